#!/usr/bin/env python3
"""The picture in docs/strategies.md: what each strategy of the registry picks from one two-dimensional toy set.

usage: plots/strategy_picture.py ALAB PICTURE.png (scripts/strategy-picture does)

The set is drawn from a fixed seed: a dense class, a long one, a third in two places, one of which nothing is labelled of, and a few outliers.
The probabilities are those of a linear model that is really fitted to the twelve labelled points (softmax regression, L2), the stochastic passes
those of its refits on ten stratified bootstrap samples, and the token sets those of the nearest landmarks, so that near points share tokens.
Every strategy gets the same arrays through `alab query`; oracle-error alone gets the true classes."""
import json
import os
import subprocess
import sys
import tempfile

import numpy as np

POINTS, PICKS, COLUMNS, PASSES = 320, 10, 6, 10
# What has no default: composed strategies need something to compose.
PARAMETERS = {
    "albl": ["strategies=[margin, k-center]"],
    "bandit": ["strategies=[margin, k-center]"],
    "mixture": ["strategies=[margin, k-center]"],
    "schedule": ["first=k-center", "then=margin", "until=12"],
    "subsample": ["strategy=margin", "size=60"],
}
LEFT_OUT = {"exec": "a program of the user's own"}


def toy_set():
    rng = np.random.default_rng(2026)
    turn = np.array([[0.8, 0.6], [-0.6, 0.8]])
    parts = [
        (0, rng.normal((-1.8, 0.6), 0.62, (140, 2))),
        (1, rng.normal(0, (1.5, 0.35), (95, 2)) @ turn + (1.3, 1.2)),
        (2, rng.normal((1.1, -1.7), 0.45, (60, 2))),
        (2, rng.normal((-2.9, -2.2), 0.22, (15, 2))),
        (1, rng.uniform((-4, -3.2), (4, 3.2), (10, 2))),
    ]
    rows, labels = np.concatenate([p for _, p in parts]), np.concatenate([[c] * len(p) for c, p in parts])
    order = rng.permutation(len(rows))
    rows, labels = rows[order].astype(np.float32), labels[order].astype(np.int32)
    known = [i for i in range(len(rows)) if not (rows[i, 0] < -2 and rows[i, 1] < -1.5)]
    labelled = []
    for c, n in enumerate((5, 4, 3)):
        labelled += [i for i in known if labels[i] == c][:n]
    return rows, labels, np.array(sorted(labelled), np.int32)


def fit(x, y, l2=0.05, steps=4000, rate=0.5):
    """Softmax regression by plain gradient descent: (classes x 2, classes)."""
    w, b, hot = np.zeros((3, 2)), np.zeros(3), np.eye(3)[y]
    for _ in range(steps):
        gap = softmax(x @ w.T + b) - hot
        w -= rate * (gap.T @ x / len(x) + l2 * w)
        b -= rate * gap.mean(0)
    return w, b


def softmax(logits):
    p = np.exp(logits - logits.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True)


def passes_of(rows, labels, labelled):
    rng, out = np.random.default_rng(7), []
    for _ in range(PASSES):
        chosen = np.concatenate([rng.choice(labelled[labels[labelled] == c], np.sum(labels[labelled] == c)) for c in range(3)])
        w, b = fit(rows[chosen].astype(float), labels[chosen])
        out.append(softmax(rows @ w.T + b))
    return np.array(out, np.float32)


def write_tokens(path, rows):
    landmarks = np.random.default_rng(11).uniform((-4, -3.2), (4, 3.2), (80, 2))
    nearest = np.argsort(((rows[:, None] - landmarks) ** 2).sum(2), axis=1, kind="stable")[:, :8]
    with open(path, "w") as file:
        for ids in nearest:
            file.write(" ".join(map(str, sorted(ids))) + "\n")


def save(path, rows):
    np.savetxt(path, rows, fmt="%.6g")


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: strategy_picture.py ALAB PICTURE.png")
    alab, picture = sys.argv[1:]
    rows, labels, labelled = toy_set()
    w, b = fit(rows[labelled].astype(float), labels[labelled])
    with tempfile.TemporaryDirectory() as here:
        path = lambda name: os.path.join(here, name)
        for name, array in (("probs", softmax(rows @ w.T + b)), ("embeddings", rows), ("mc", passes_of(rows, labels, labelled)), ("head", w),
                            ("bias", b), ("labelled", labelled), ("labels", labels[labelled]), ("truth", labels)):
            np.save(path(name + ".npy"), array if array.dtype == np.int32 else array.astype(np.float32))
        write_tokens(path("tokens.txt"), rows)
        given = ["--probs", path("probs.npy"), "--embeddings", path("embeddings.npy"), "--features", path("embeddings.npy"), "--mc", path("mc.npy"),
                 "--head", path("head.npy"), "--bias", path("bias.npy"), "--tokens", path("tokens.txt"), "--labelled", path("labelled.npy"),
                 "--labels", path("labels.npy"), "--seed", "1"]
        listed = json.loads(subprocess.run([alab, "list", "strategies", "--json"], check=True, capture_output=True, text=True).stdout)
        names = []
        for name in (s["name"] for s in listed):
            if name in LEFT_OUT:
                print("left out: %s, %s" % (name, LEFT_OUT[name]))
                continue
            more = ["--true-labels", path("truth.npy")] if name == "oracle-error" else []
            more += [word for p in PARAMETERS.get(name, []) for word in ("--param", p)]
            answer = subprocess.run([alab, "query", name, "-n", str(PICKS), *given, *more], capture_output=True, text=True)
            if answer.returncode != 0:
                sys.exit("strategy_picture.py: %s: %s" % (name, answer.stderr.strip()))
            picks = [int(line) for line in answer.stdout.split()]
            save(path(name + ".dat"), np.c_[rows[picks], np.arange(1, len(picks) + 1)])
            names.append(name)
        for c in range(3):
            save(path("class%d.dat" % c), rows[labels == c])
        save(path("labelled.dat"), np.c_[rows[labelled], labels[labelled]])
        x, y = np.meshgrid(np.linspace(-4.5, 4.5, 91), np.linspace(-3.7, 3.7, 75))
        p = softmax(np.c_[x.ravel(), y.ravel()] @ w.T + b)
        save(path("field.dat"), np.c_[x.ravel(), y.ravel(), -(p * np.log(p)).sum(1)])
        settings = "folder='%s'; output='%s'; names='%s'; columns=%d" % (here, os.path.abspath(picture), " ".join(names), COLUMNS)
        subprocess.run(["gnuplot", "-e", settings, os.path.join(os.path.dirname(os.path.abspath(__file__)), "strategy_picture.gp")], check=True)
        print("%s: %d strategies" % (picture, len(names)))


main()
