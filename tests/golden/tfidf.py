"""Writes tests/golden/tfidf.json: TF-IDF rows of a small corpus, by scikit-learn's TfidfVectorizer.

    python3 tests/golden/tfidf.py                              the small corpus, to tfidf.json
    python3 tests/golden/tfidf.py 20news-bydate.tar.gz         also totals of 20 Newsgroups, to tfidf_20newsgroups.json

With max_features the terms of highest total count stay; scikit-learn breaks ties by an unstable sort, so the choice is made
here, ties by code point, and handed to it as its vocabulary.
"""
import json
import os
import sys
import tarfile

import numpy
import sklearn
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

here = os.path.dirname(os.path.abspath(__file__))

train = [
    "The quick brown fox, the QUICK fox; the dog.",
    "A dog and a fox met in 1993: fox_1 said 'hello-world' to dog_2.",
    "Café CAFÉ naïve über straße STRASSE ÉCOLE école.",
    "中文 日本語 中文 русский Русский текст ТЕКСТ ελληνικα",
    "",
    "hello hello hello world x y z hello-world e-mail e-mail",
    "re\u0301sume\u0301 a\u0303o combining marks split words; x² ½ Ⅳ ٣٤ ١٢٣",
    "ǅ Ǆ ß ﬁne ſet K Å tabs\tand\nnewlines\u00a0nbsp\u2003em\u200bzero",
    "the end of the end, and the end: to be or not to be",
    "fox dog 1993 1993 quick_brown 中文 École",
]
test = [
    "the unseen word fox fox DOG",
    "only novelties here zzz qqq",
    "",
    "café École 中文 end end end end",
    "\U0001f98afox x_y",
]

cases = [
    {},
    {"min_df": 1},
    {"min_df": 1, "sublinear": False, "lower": False},
    {"min_df": 3},
    {"min_df": 1, "max_features": 7},
    {"min_df": 2, "max_features": 11, "sublinear": False},
    {"min_df": 1, "pattern": r"\w+"},
    {"min_df": 1, "pattern": r"\S+"},
    {"min_df": 1, "pattern": r"[a-z]+"},
    {"min_df": 1, "pattern": r"[a-z]{3,}", "lower": False},
    {"min_df": 1, "pattern": r"(?u)\b\w\w+\b"},
    {"min_df": 1, "pattern": r"\b\w{3,5}\b"},
    {"min_df": 1, "pattern": r"(\w+)-\w"},
    {"min_df": 1, "pattern": r"[^\s\d]+"},
    {"min_df": 1, "pattern": r"\W\w\w\B"},
]


def vectorizer(options, fitted_on):
    given = {"pattern": r"\w\w+", "lower": True, "sublinear": True, "min_df": 2, "max_features": 50000, **options}
    counter = CountVectorizer(token_pattern=given["pattern"], lowercase=given["lower"], min_df=given["min_df"])
    counts = numpy.asarray(counter.fit_transform(fitted_on).sum(axis=0)).ravel()
    terms = counter.get_feature_names_out()  # in code-point order
    kept = sorted(terms[i] for i in numpy.argsort(-counts, kind="stable")[: given["max_features"]])
    return TfidfVectorizer(token_pattern=given["pattern"], lowercase=given["lower"], sublinear_tf=given["sublinear"],
                           vocabulary=kept).fit(fitted_on)


out = {"by": "scikit-learn " + sklearn.__version__ + ", tests/golden/tfidf.py", "train": train, "test": test, "cases": []}
for options in cases:
    rows = vectorizer(options, train)
    matrix = rows.transform(train + test)
    matrix.sort_indices()
    out["cases"].append({"options": options, "columns": matrix.shape[1], "indptr": matrix.indptr.tolist(),
                         "indices": matrix.indices.tolist(), "values": [round(float(v), 12) for v in matrix.data]})
with open(os.path.join(here, "tfidf.json"), "w") as file:
    json.dump(out, file, ensure_ascii=True, indent=None, separators=(",", ":"))
    file.write("\n")

if len(sys.argv) > 1:
    texts = {"train": [], "test": []}
    with tarfile.open(sys.argv[1]) as archive:
        members = {m.name: m for m in archive.getmembers() if m.isfile()}
        for name in sorted(members, key=lambda n: n.encode()):
            texts["train" if "bydate-train" in name else "test"].append(
                archive.extractfile(members[name]).read().decode("latin-1"))
    matrix = vectorizer({}, texts["train"]).transform(texts["train"] + texts["test"])
    matrix.sort_indices()
    rows = [0, 1, 77, 5000, 11313, 11314, 15000, 18845]
    totals = {"by": out["by"], "rows": matrix.shape[0], "train": len(texts["train"]), "columns": matrix.shape[1],
              "nnz": int(matrix.nnz), "index_sum": int(matrix.indices.astype(numpy.int64).sum()),
              "value_sum": float(matrix.data.sum()),
              "some": [{"row": r, "indices": matrix[r].indices.tolist(),
                        "values": [round(float(v), 9) for v in matrix[r].data]} for r in rows]}
    with open(os.path.join(here, "tfidf_20newsgroups.json"), "w") as file:
        json.dump(totals, file, separators=(",", ":"))
        file.write("\n")
