"""What scikit-learn makes of real rows: the golden values of test_learners.

    python tools/golden/learners.py TRAIN.jsonl TEST.jsonl      rows of tools/demo-data, of which some are kept

learner_rows.jsonl and learner_test.jsonl are {text, label} rows, values/learners.safetensors what is fitted on the first:

    idf, weight, bias, outputs      TfidfVectorizer, LogisticRegression(C=10); outputs of the test rows
    binary.weight, binary.bias      the same of the first two classes alone
    x, x_test                       the rows' weights times a random matrix: dense features
    dense.weight, dense.bias        LogisticRegression(C=0.5) on them
    ridge.weight, ridge.bias        Ridge(alpha=2) on them, of numbers: the characters of a text
    nearest                         of the test rows the five nearest by cosine
    temperature                     of `outputs`, by which the test rows lose least
"""
import json
import pathlib
import sys

import numpy as np
from safetensors.numpy import save_file
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import NearestNeighbors

GOLDEN = pathlib.Path(__file__).resolve().parents[2] / "test/golden"
N_TRAIN, N_TEST, CLASSES, WIDTH = 180, 90, 6, 24


def read(path, n):
    """The first rows of each of the first classes, in the file's order."""
    rows, left = [], {}
    for line in open(path, encoding="utf-8"):
        j = json.loads(line)
        label = j["choices"][j["gold"]]
        if j["gold"] < CLASSES and left.setdefault(label, n // CLASSES) > 0:
            left[label] -= 1
            rows.append({"text": j["query"].split("Package: ")[1].replace("\nSection:", ""), "label": label})
    return rows


def write(name, rows):
    with open(GOLDEN / name, "w", encoding="utf-8") as f:
        f.writelines(json.dumps(r, ensure_ascii=False) + "\n" for r in rows)


def logistic(x, y, C):
    """To the end: tolerance far below the float that is kept."""
    return LogisticRegression(C=C, tol=1e-10, max_iter=100000).fit(x, y)


train, test = read(sys.argv[1], N_TRAIN), read(sys.argv[2], N_TEST)
train[3]["text"] += " Ünïcode_words ÀÉ x 中文 naïve 3½"
write("learner_rows.jsonl", train)
write("learner_test.jsonl", test)
texts, labels = [r["text"] for r in train], [r["label"] for r in train]
names = sorted(set(labels))
y, y_test = (np.array([names.index(r["label"]) for r in rows]) for rows in (train, test))
words = TfidfVectorizer()
x, x_test = words.fit_transform(texts), words.transform([r["text"] for r in test])
print(len(words.vocabulary_), "words")
fit = logistic(x, y, 10)
two = y < 2
binary = logistic(x[two], y[two], 10)
z = fit.decision_function(x_test)
print("accuracy", (z.argmax(1) == y_test).mean())
rng = np.random.default_rng(5)
projection = rng.normal(size=(x.shape[1], WIDTH))
d, d_test = (x @ projection).astype(np.float32), (x_test @ projection).astype(np.float32)
dense = logistic(d.astype(np.float64), y, 0.5)
lengths = np.array([len(t) for t in texts], dtype=np.float64)
ridge = Ridge(alpha=2, solver="cholesky").fit(d.astype(np.float64), lengths)
nearest = NearestNeighbors(n_neighbors=5, metric="cosine").fit(d).kneighbors(d_test, return_distance=False)
loss = lambda t: (logsumexp(z / np.exp(t), axis=1) - z[np.arange(len(z)), y_test] / np.exp(t)).mean()
best = np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded", options={"xatol": 1e-10}).x)
print("temperature", best)
save_file({"idf": words.idf_, "weight": fit.coef_.T.copy(), "bias": fit.intercept_, "outputs": z,
           "binary.weight": binary.coef_.T.copy(), "binary.bias": binary.intercept_, "x": d, "x_test": d_test,
           "dense.weight": dense.coef_.T.copy(), "dense.bias": dense.intercept_, "ridge.weight": ridge.coef_,
           "ridge.bias": np.array([ridge.intercept_]), "nearest": nearest.astype(np.int32), "temperature": np.array([best])},
          GOLDEN / "values/learners.safetensors", {"reference": "scikit-learn, in float64"})
