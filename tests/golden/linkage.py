"""Writes tests/golden/linkage.json: points in clumps of several scales with the merge heights of scipy's average linkage
(scipy.cluster.hierarchy.linkage) and its clusters when n // 10 of them are left (fcluster, maxclust)."""
import json
import os

import numpy
import scipy
from scipy.cluster.hierarchy import fcluster, linkage

here = os.path.dirname(os.path.abspath(__file__))
rng = numpy.random.RandomState(20261)
n, d = 130, 4
centres = 3.0 * rng.randn(9, d)
points = centres[rng.randint(0, 9, n)] + rng.randn(n, d) * 10.0 ** rng.randint(-2, 1, n)[:, None]
points = points.astype(numpy.float32)
z = linkage(points.astype(numpy.float64), method="average", metric="euclidean")
clusters = fcluster(z, n // 10, criterion="maxclust")

with open(os.path.join(here, "linkage.json"), "w") as file:
    json.dump({"by": "scipy %s, numpy %s, tests/golden/linkage.py" % (scipy.__version__, numpy.__version__),
               "points": [[float(a) for a in row] for row in points],
               "heights": [round(float(h), 10) for h in z[:, 2]],
               "clusters": [int(c) for c in clusters]}, file)
    file.write("\n")
