"""alab's softmax fit beside scikit-learn's LogisticRegression on the same TF-IDF rows, interleaved in one run.

    linear_sklearn.py PROGRAM 20news-bydate.tar.gz [REPEATS]

PROGRAM is bench/linear_sklearn.c, built. Train documents, sublinear TF-IDF, min_df 2, 50,000 features, C = 10 (l2 0.1),
random 100 to 600 rows. Prints seconds, the ratio, and alab's objective minus scikit-learn's at its own tolerance and at
tol 1e-8. Rows go over as files; only the fit is timed, in either program.
"""
import subprocess, sys, tarfile, tempfile, time
import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression


def read(path):
    texts, names = [], []
    with tarfile.open(path) as archive:
        for member in sorted((m for m in archive if m.isfile()), key=lambda m: m.name):
            if "train" in member.name:
                texts.append(archive.extractfile(member).read().decode("latin-1"))
                names.append(member.name.split("/")[-2])
    return texts, np.unique(names, return_inverse=True)[1].astype(np.int32)


def objective(model, x, y, l2):
    z = x @ model.coef_.T + model.intercept_
    z -= z.max(1, keepdims=True)
    column = np.searchsorted(model.classes_, y)
    return (np.log(np.exp(z).sum(1)) - z[np.arange(len(y)), column]).sum() + l2 / 2 * (model.coef_**2).sum()


def main():
    program, repeats = sys.argv[1], int(sys.argv[3]) if len(sys.argv) > 3 else 3
    texts, y = read(sys.argv[2])
    x = TfidfVectorizer(sublinear_tf=True, min_df=2, max_features=50000).fit_transform(texts).astype(np.float32)
    x.sort_indices()
    rng = np.random.RandomState(2026)
    print("rows  sklearn s   alab s   ratio   objective - sklearn's   - sklearn's at tol 1e-8")
    for n in (100, 200, 400, 600):
        for _ in range(repeats):
            rows = rng.permutation(x.shape[0])[:n]
            part, own = x[rows], y[rows]
            start = time.perf_counter()
            peer = LogisticRegression(C=10, max_iter=1000).fit(part, own)
            seconds = time.perf_counter() - start
            exact = LogisticRegression(C=10, max_iter=10000, tol=1e-8).fit(part.astype(np.float64), own)
            with tempfile.TemporaryDirectory() as folder:
                files = []
                arrays = (part.indptr.astype(np.int64), part.indices.astype(np.int32), part.data, own)
                for name, array in zip(("indptr", "indices", "values", "classes"), arrays):
                    files.append(f"{folder}/{name}.npy")
                    np.save(files[-1], array)
                out = subprocess.run([program, *files, str(x.shape[1]), "20", "0.1"], check=True, stdout=subprocess.PIPE)
            ours, value = map(float, out.stdout.split())
            double = part.astype(np.float64)
            print(f"{n:4d}  {seconds:9.3f}  {ours:7.4f}  {seconds / ours:6.0f}  {value - objective(peer, double, own, 0.1):+.2e}"
                  f"  {value - objective(exact, double, own, 0.1):+.2e}", flush=True)


if __name__ == "__main__":
    main()
