# A strategy for alab's exec: the smallest difference between the two most probable classes.
import json
import numpy

params = json.load(open("params.json"))
probs = numpy.load("probs.npy").astype(float)  # a row an item of the pool, a column a class
top_two = numpy.sort(probs, axis=1)[:, -2:]
utility = 1.0 - (top_two[:, 1] - top_two[:, 0])
order = numpy.argsort(-utility, kind="stable")  # the highest first; of equals the lower row
for row in order[: params["k"]]:
    print(row, utility[row])
