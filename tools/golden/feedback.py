#!/usr/bin/env python3
"""feedback: test/golden/feedback.json, which test/unit/test_agreement.c reads: small tables of labels and what other
programs count from them: Krippendorff's alpha (krippendorff), Cohen's kappa (scikit-learn), Fleiss' kappa and the errors
of logistic models (statsmodels), Dawid and Skene's posteriors (crowd-kit), Bradley-Terry as scikit-learn's logistic
regression without a penalty on a column of log 10 for each model, as Chatbot Arena's notebook has it, Davidson by SciPy.

usage: tools/golden/feedback.py test/golden/feedback.json
needs: numpy, scipy, scikit-learn, statsmodels, krippendorff, pandas, crowd-kit"""
import json
import math
import sys
import warnings

import krippendorff
import numpy as np
import pandas as pd
import statsmodels.api as sm
from crowdkit.aggregation import DawidSkene
from scipy.optimize import minimize, root
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import fleiss_kappa

warnings.filterwarnings("ignore")
rng = np.random.default_rng(7)


def agreement():
    """12 units, 4 raters, values 1 to 5, some missing."""
    truth = rng.integers(1, 6, 12)
    table = np.clip(truth[None, :] + rng.choice([-1, 0, 0, 0, 1], (4, 12)), 1, 5).astype(float)
    table[rng.random((4, 12)) < .2] = np.nan
    full = np.nan_to_num(table, nan=3)
    counts = [[int((full[:, u] == v).sum()) for v in range(1, 6)] for u in range(12)]
    kappas = []
    for a in range(4):
        for b in range(a + 1, 4):
            both = ~np.isnan(table[a]) & ~np.isnan(table[b])
            kappas.append({"a": a, "b": b, "units": int(both.sum()),
                           "kappa": cohen_kappa_score(table[a][both], table[b][both])})
    return {"table": [[None if np.isnan(x) else x for x in row] for row in table],
            "alpha": {m: krippendorff.alpha(table, level_of_measurement=m) for m in ("nominal", "ordinal", "interval")},
            "cohen": kappas, "full": full.tolist(), "fleiss": fleiss_kappa(np.array(counts), method="fleiss")}


def games(n, models, ties):
    strength, out = rng.normal(0, .8, models), []
    for _ in range(n):
        a, b = rng.choice(models, 2, replace=False)
        wa, wb = math.exp(strength[a]), math.exp(strength[b])
        even = ties * math.sqrt(wa * wb)
        out.append([int(a), int(b), float(rng.choice([1, 0, .5], p=np.array([wa, wb, even]) / (wa + wb + even)))])
    return out


def bradley_terry(rows, models):
    x, y = [], []
    for a, b, won in rows:
        for w in (won > 0, won == 1) if won == .5 else (won == 1,) * 2:   # each game twice, a tie once for each
            x.append([math.log(10) * ((m == a) - (m == b)) for m in range(1, models)])
            y.append(int(w))
    fit = LogisticRegression(fit_intercept=False, penalty=None, tol=1e-14, solver="newton-cholesky")
    r = np.append(0, 400 * fit.fit(x, y).coef_[0])     # the first is where the others are measured from
    return (r - r.mean() + 1000).tolist()


def davidson(rows, models):
    def loss(p):
        total, g = 0, np.zeros(models + 1)
        for a, b, won in rows:
            z = np.array([p[a], p[b], (p[a] + p[b]) / 2 + p[models]])
            q = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
            k = {1: 0, 0: 1, .5: 2}[won]
            total -= math.log(q[k])
            d = q.copy()
            d[k] -= 1
            g[a] += d[0] + d[2] / 2
            g[b] += d[1] + d[2] / 2
            g[models] += d[2]
        return total, g
    r = minimize(loss, np.zeros(models + 1), jac=True, method="BFGS", options={"gtol": 1e-9}).x
    r = root(lambda p: loss(p)[1] + np.append(np.full(models, p[:models].sum()), 0), r, tol=1e-14).x
    s = r[:models] - r[:models].mean()
    return {"rating": (1000 + 400 / math.log(10) * s).tolist(), "tie": math.exp(r[models])}


def standings():
    rows = games(120, 4, .7)
    return {"games": rows, "bradley_terry": bradley_terry(rows, 4), "davidson": davidson(rows, 4)}


def dawid_skene():
    """60 units of 3 values, 5 raters of whom one guesses; three judge each unit. Rows: unit, rater, value."""
    truth, rows = rng.integers(0, 3, 60), []
    for u in range(60):
        for r in sorted(rng.choice(5, 3, replace=False)):
            right = rng.random() < (.9, .8, .75, .85, 1 / 3)[r]
            rows.append([u, int(r), int(truth[u] if right else rng.integers(0, 3))])
    table = pd.DataFrame(rows, columns=["task", "worker", "label"])
    fit = DawidSkene(n_iter=2000, tol=0).fit(table)
    return {"rows": rows, "prior": fit.priors_.sort_index().tolist(),
            "posterior": fit.probas_.sort_index()[[0, 1, 2]].values.tolist()}


def bias():
    """Lengths of the two answers as they stood, and whether the first won: y on a constant and the log ratio."""
    n = 80
    lengths = rng.integers(20, 900, (n, 2))
    x = np.log((lengths[:, 0] + 1) / (lengths[:, 1] + 1))
    p = 1 / (1 + np.exp(-(.4 + .6 * x)))
    y = np.where(rng.random(n) < .15, .5, (rng.random(n) < p).astype(float))
    fit = sm.GLM(y, sm.add_constant(x), family=sm.families.Binomial()).fit(tol=1e-14)
    return {"rows": [[int(a), int(b), float(w)] for (a, b), w in zip(lengths, y)],
            "side": [fit.params[0], fit.bse[0]], "length": [fit.params[1], fit.bse[1]]}


def heads():
    """40 pairs with 3 states an answer: head 0's weights by scikit-learn for each penalty (heads.h)."""
    n, width = 40, 3
    x = rng.normal(size=(n, 2, width)).astype(np.float32)
    lengths = rng.integers(5, 60, (n, 2))
    apart = (x[:, 0] - x[:, 1]).astype(float)
    log = np.log(lengths + 1)
    d = np.c_[apart / math.sqrt((apart ** 2).sum(1).mean()),
              (log[:, 0] - log[:, 1]) / math.sqrt(((log[:, 0] - log[:, 1]) ** 2).mean()) * .5]
    won = (d @ np.array([2, -1, .5, 1]) + rng.logistic(size=n) * .5 > 0).astype(int)
    fits = {}
    for penalty in (.03, .1, .3, 1, 3, 10, 30):
        fit = LogisticRegression(C=1 / penalty, fit_intercept=False, tol=1e-12, solver="newton-cholesky").fit(d, won)
        fits["%g" % penalty] = fit.coef_[0].tolist()
    return {"states": x.reshape(n, -1).astype(float).round(7).tolist(), "lengths": lengths.tolist(), "won": won.tolist(),
            "weights": fits}


out = {"agreement": agreement(), "standings": standings(), "dawid_skene": dawid_skene(), "bias": bias(), "heads": heads()}
with open(sys.argv[1], "w") as f:
    f.write("{\n" + ",\n".join('"%s": %s' % (k, json.dumps(v)) for k, v in out.items()) + "\n}\n")
