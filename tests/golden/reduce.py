"""Writes tests/golden/reduce.json: a sparse matrix with its SVD scores (scipy.sparse.linalg.svds) and small images with
their PCA scores (numpy's SVD of the centred train part). Signs: the largest component of a right vector is positive."""
import json
import os

import numpy
import scipy
from scipy.sparse import random as random_sparse
from scipy.sparse.linalg import svds

here = os.path.dirname(os.path.abspath(__file__))
rng = numpy.random.RandomState(20260)


def turned(v):  # k x d
    return v * numpy.sign(v[numpy.arange(len(v)), numpy.abs(v).argmax(axis=1)])[:, None]


rows, cols, train, k = 60, 45, 48, 6
weights = 0.6 ** numpy.arange(8)
left = random_sparse(rows, 8, 0.25, random_state=rng).toarray() * weights
low = left @ random_sparse(8, cols, 0.25, random_state=rng).toarray()
sparse = numpy.where(numpy.abs(low) > 0.02, low, 0).astype(numpy.float32)
u, s, v = svds(sparse[:train].astype(numpy.float64), k=k, tol=1e-14)
v = turned(v[numpy.argsort(-s)])
svd = sparse.astype(numpy.float64) @ v.T

n, channels, height, width, fitted, components = 90, 3, 4, 5, 70, 64
d = channels * height * width
factors = rng.randn(n, d) * (0.9 ** numpy.arange(d))
pixels = numpy.clip(128 + 45 * factors @ numpy.linalg.qr(rng.randn(d, d))[0], 0, 255).astype(numpy.uint8)
x = pixels.astype(numpy.float64) / 255
centred = x - x[:fitted].mean(axis=0)
w = turned(numpy.linalg.svd(centred[:fitted], full_matrices=False)[2][:components])
pca = centred @ w.T

with open(os.path.join(here, "reduce.json"), "w") as file:
    json.dump({"by": "scipy %s, numpy %s, tests/golden/reduce.py" % (scipy.__version__, numpy.__version__),
               "svd": {"train": train, "columns": k, "matrix": [[round(float(a), 9) for a in row] for row in sparse],
                       "scores": [[round(float(a), 10) for a in row] for row in svd]},
               "pca": {"train": fitted, "shape": [channels, height, width], "pixels": pixels.tolist(),
                       "scores": [[round(float(a), 10) for a in row] for row in pca]}}, file, separators=(",", ":"))
    file.write("\n")
