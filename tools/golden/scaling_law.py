"""A scaling law by SciPy, in test/golden/scaling_law.json: losses of a ladder of runs made of Hoffmann et al.'s published
numbers with noise of 0.2 %, and the (A, alpha, B, beta, E) that minimize the sum of Huber's function (delta 1e-3) of the
logarithms, by L-BFGS-B from that paper's grid of beginnings.

    python3 tools/golden/scaling_law.py
"""
import itertools
import json
import os

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp

rng = np.random.default_rng(11)
points = [(n, r * n) for n in (4e5, 1.3e6, 3e6, 8e6, 2.5e7) for r in (5, 20, 80)]
N, D = np.array(points).T
L = (1.69 + 406.4 / N**0.34 + 410.7 / D**0.28) * np.exp(rng.normal(0, 0.002, len(N)))


def value(p):
    a, alpha, b, beta, e = p
    r = logsumexp([a - alpha * np.log(N), b - beta * np.log(D), np.full(len(N), e)], axis=0) - np.log(L)
    return np.where(abs(r) <= 1e-3, r * r / 2, 1e-3 * (abs(r) - 5e-4)).sum() * 1e6


best = min((minimize(value, p, method="L-BFGS-B", options={"maxiter": 500, "ftol": 1e-15, "gtol": 1e-9})
            for p in itertools.product((3, 8), (0.3, 0.6), (3, 8), (0.3, 0.6), (0, 0.5))),
           key=lambda r: r.fun)
best = minimize(value, best.x, method="Nelder-Mead", options={"maxiter": 4000, "maxfev": 8000, "xatol": 1e-12, "fatol": 1e-14})
a, alpha, b, beta, e = best.x
out = {"runs": [[float(n), float(d), float(f"{l:.9g}")] for n, d, l in zip(N, D, L)],
       "value": best.fun, "law": {"a": np.exp(a), "alpha": alpha, "b": np.exp(b), "beta": beta, "e": np.exp(e)}}
with open(os.path.join(os.path.dirname(__file__), "..", "..", "test", "golden", "scaling_law.json"), "w") as f:
    json.dump(out, f, indent=1)
    f.write("\n")
print(out["law"], out["value"])
