#!/usr/bin/env python3
"""Accuracy of scikit-learn's MLPClassifier on the set that tests/unit/model_mlp.c makes by the same formula, for mlp.json.

Run with scikit-learn 1.2.1: python3 tests/golden/mlp.py > tests/golden/mlp.json
"""

import json
import math

import numpy
import sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

ROWS, LABELLED, COLUMNS = 900, 300, 6


def noise(i):
    return math.sin(12.9898 * i + 4.1414 * (i % 17)) * 43758.5453 % 1.0


x = numpy.array([[4.0 * noise(i * COLUMNS + c) - 2.0 for c in range(COLUMNS)] for i in range(ROWS)])
# three classes: a ring inside a ring, cut by a product; four columns of six matter
y = numpy.array(
    [2 if r[2] * r[3] > 0.8 else int(r[0] * r[0] + 0.5 * r[1] * r[1] > 1.4) for r in x]
)
scaler = StandardScaler().fit(x[:LABELLED])
train, test = scaler.transform(x[:LABELLED]), scaler.transform(x[LABELLED:])
scores = []
for seed in range(10):
    model = MLPClassifier((64,), alpha=0.0, batch_size=32, learning_rate_init=0.003, max_iter=100, tol=0.0,
                          n_iter_no_change=1000, random_state=seed)
    scores.append(float(model.fit(train, y[:LABELLED]).score(test, y[LABELLED:])))
linear = LogisticRegression(C=1.0).fit(train, y[:LABELLED]).score(test, y[LABELLED:])
print(json.dumps({"sklearn": sklearn.__version__, "classes": numpy.bincount(y).tolist(), "mlp": scores,
                  "mean": sum(scores) / len(scores), "linear": float(linear)}, indent=1))
