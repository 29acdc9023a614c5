# scikit-learn's logistic regression as a model of alab; options: {C: 1}
import json
import pickle

import numpy
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression

params = json.load(open("params.json"))
if params["format"] == "csr":
    parts = tuple(numpy.load(f"rows_{part}.npy") for part in ("data", "indices", "indptr"))
    rows = csr_matrix(parts, shape=(params["rows"], params["columns"]))
else:
    rows = numpy.load("rows.npy")
if params["action"] == "fit":
    model = LogisticRegression(C=params["options"].get("C", 1), tol=1e-7, max_iter=10000)
    pickle.dump(model.fit(rows, numpy.load("labels.npy")), open("model/fitted", "wb"))
else:
    model = pickle.load(open("model/fitted", "rb"))
    probs = numpy.zeros((params["rows"], params["classes"]))  # a class without a label has 0
    probs[:, model.classes_] = model.predict_proba(rows)
    numpy.save("probs.npy", probs)
