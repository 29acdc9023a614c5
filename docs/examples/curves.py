#!/usr/bin/env python3
"""Areas under the learning curves and paired differences to random, from `alab export`, without alab.

    alab export results/my-study --format csv -o curves.csv        curves.py curves.csv
    alab export results/my-study --format sqlite -o study.db       curves.py study.db

Prints a row a dataset, model, setting and strategy. Needs python3-numpy and python3-scipy. The numbers are those of alab's
summary.csv (docs/statistics.md); a test compares them.
"""
import csv
import sqlite3
import sys
from collections import defaultdict

import numpy as np
from scipy import stats


def read_csv(path):
    """{(dataset, model, setting, strategy, replicate): [(labels, accuracy), ...]}"""
    curves = defaultdict(list)
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            if row["strategy"] != "full-data" and row["end"] != "" and row["accuracy"] != "":
                key = (row["dataset"], row["model"], row["setting"], row["strategy"], int(row["replicate"]))
                curves[key].append((float(row["labels"]), float(row["accuracy"])))
    return curves


def read_sqlite(path):
    curves = defaultdict(list)
    query = """SELECT r.dataset, r.model, r.setting, r.strategy, r.replicate, labels, value
               FROM runs r JOIN rounds USING (run) JOIN metrics USING (run, round)
               WHERE metric = 'accuracy' AND value IS NOT NULL AND strategy <> 'full-data' AND end IS NOT NULL
               ORDER BY run, round"""
    for *key, labels, value in sqlite3.connect(path).execute(query):
        curves[tuple(key)].append((labels, value))
    return curves


def area(points, low, high):
    """Trapezoid area over [low, high] divided by its length, linear between rounds."""
    x, y = np.array(points).T
    grid = np.unique(np.concatenate([[low, high], x[(x > low) & (x < high)]]))
    return np.trapz(np.interp(grid, x, y), grid) / (high - low)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    curves = read_csv(sys.argv[1]) if sys.argv[1].endswith(".csv") else read_sqlite(sys.argv[1])
    settings = defaultdict(lambda: defaultdict(dict))
    for (dataset, model, setting, strategy, replicate), points in curves.items():
        settings[dataset, model, setting][strategy][replicate] = points
    print("dataset,model,setting,strategy,replicates,aulc,difference,low,high,p")
    for where, strategies in settings.items():
        every = [points for runs in strategies.values() for points in runs.values()]
        low, high = max(points[0][0] for points in every), min(points[-1][0] for points in every)
        areas = {name: {r: area(points, low, high) for r, points in runs.items()} for name, runs in strategies.items()}
        for name, own in areas.items():
            row = [*where, name, len(own), np.mean(list(own.values()))]
            paired = np.array([own[r] - areas["random"][r] for r in own if r in areas.get("random", {})])
            if name != "random" and len(paired) > 1:
                half = stats.t.ppf(0.975, len(paired) - 1) * stats.sem(paired)
                row += [paired.mean(), paired.mean() - half, paired.mean() + half, stats.ttest_1samp(paired, 0).pvalue]
            else:
                row += [""] * 4
            print(*(repr(float(v)) if isinstance(v, float) else v for v in row), sep=",")


main()
