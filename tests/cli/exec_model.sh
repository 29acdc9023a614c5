# Models that are a user's program: docs/examples/classifier.py is alab's linear model to the sixth digit; a fit sees the labelled rows and the
# hold-out only; what is wrong with an answer is reported by name and fails its cell; a changed program is another cell.
set -u
alab=$1
python=
for candidate in python3 /usr/bin/python3; do
  "$candidate" -c "import numpy" 2>/dev/null && python=$candidate && break
done
[ -n "$python" ] || { echo "python3 with numpy is not here"; exit 77; }
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
export ALAB_DATA=$here/cache TMPDIR=$here/scratch
mkdir "$TMPDIR"
unset ALAB_MIRROR
fail() { echo "FAIL: $*"; exit 1; }
nothing_left() { [ -z "$(ls -A "$TMPDIR")" ] || fail "$1 left a temporary folder: $(ls "$TMPDIR")"; }
[ "$(grep -vcE '^#|^$' docs/examples/classifier.py)" -le 20 ] || fail "the example has grown"

# a classifier of its own: nearest centroid, which says what it saw
cat >"$here/centroid.py" <<'P'
import glob, json, numpy
params = json.load(open("params.json"))
rows = numpy.load("rows.npy")
assert rows.dtype == numpy.float32 and rows.shape == (params["rows"], params["columns"]) and params["protocol"] == 1
if params["action"] == "fit":
    assert not glob.glob("model/*") and not glob.glob("probs.npy"), "an earlier fit left something"
    labels, held = numpy.load("labels.npy"), params["holdout"]
    assert labels.dtype == numpy.int32 and len(labels) == len(rows)
    assert held == 0 or len(numpy.load("holdout.npy")) == len(numpy.load("holdout_labels.npy")) == held
    middle = [rows[labels == c].mean(0) if (labels == c).any() else numpy.full(rows.shape[1], 1e3) for c in range(params["classes"])]
    numpy.save("model/middle.npy", middle)
    open(params["options"]["diary"], "a").write(f"{params['round']} {len(rows)} {held} {params['seed']}\n")
else:
    assert sorted(glob.glob("*")) == ["model", "params.json", "rows.npy"], "a prediction sees no label"
    middle = numpy.load("model/middle.npy")
    far = ((rows[:, None, :] - middle[None]) ** 2).sum(2)
    scores = numpy.exp(-(far - far.min(1, keepdims=True)))
    numpy.save("probs.npy", scores / scores.sum(1, keepdims=True))
    numpy.save("embeddings.npy", -far)
P
cat >"$here/own.yaml" <<Y
study: own
replicates: 1
datasets: [{name: synthetic-images, size: 200, test_size: 50, classes: 3}]
models: [{name: exec, command: [$python, centroid.py], embeddings: true, calibrate: temperature, options: {diary: $here/diary}}]
strategies: [random, margin, badge, error-rate, alfa-mix]
initial: {size: 15, method: stratified}
query: {batch: 5, rounds: 2}
holdout: {size: 12}
Y
"$alab" run "$here/own.yaml" --quiet --out "$here/a" --jobs 2 2>"$here/err" || fail "own: $(cat "$here/err")"
nothing_left own
# alfa-mix needs a last layer, which no program gives; the others ran
ls "$here"/a/cells/*.alfa-mix.* >/dev/null 2>&1 && fail "alfa-mix ran without a head"
[ "$(ls "$here"/a/cells/*.jsonl | grep -vc timing)" -eq 5 ] || fail "cells: $(ls "$here/a/cells")"
sort "$here/diary" | cut -d' ' -f1-3 | uniq -c | awk '{print $2, $3, $4, "x" $1}' >"$here/seen"
printf '0 15 12 x4\n0 188 12 x1\n1 20 12 x4\n2 25 12 x4\n' | cmp -s - "$here/seen" || fail "fits saw: $(cat "$here/seen")"
[ "$(awk '{print $1, $4}' "$here/diary" | sort -u | wc -l)" -eq 3 ] || fail "a round's seed is shared by all strategies: $(cat "$here/diary")"
"$alab" run "$here/own.yaml" --quiet --out "$here/b" --jobs 1 || fail "own again"
for log in "$here"/a/cells/*.jsonl; do
  case $log in *.timing.jsonl) continue ;; esac
  cmp -s "$log" "$here/b/cells/$(basename "$log")" || fail "$(basename "$log") differs with other --jobs"
done
grep -q 'calibrated: temperature' "$here"/a/cells/*.margin.*.jsonl || fail "not calibrated"
best=$("$alab" export "$here/a" --format csv | "$python" -c 'import csv, sys; print(max(float(r["accuracy"]) for r in csv.DictReader(sys.stdin)))')
"$python" -c "import sys; sys.exit(not $best > 0.5)" || fail "best accuracy of three classes is $best"
# a changed program is another cell
echo "# changed" >>"$here/centroid.py"
"$alab" run "$here/own.yaml" --quiet --out "$here/a" --only strategy=margin || fail "changed"
[ "$(ls "$here"/a/cells/*.margin.*.jsonl | grep -vc timing)" -eq 2 ] || fail "a changed program is the same cell"

# answers that are wrong
wrong() { # wrong "what it says" "Python in place of the answer"
  printf 'import json, numpy, sys\np = json.load(open("params.json"))\nn, c = p["rows"], p["classes"]\nif p["action"] == "predict":\n    %s\n' "$2" >"$here/bad.py"
  sed "s#centroid.py#bad.py#; s#strategies:.*#strategies: [random]#" "$here/own.yaml" >"$here/bad.yaml"
  rm -rf "$here/x"
  "$alab" run "$here/bad.yaml" --quiet --out "$here/x" --only strategy=random >"$here/out" 2>"$here/err"
  [ $? -eq 2 ] || fail "$1: status 2 expected: $(cat "$here/err")"
  grep -q -- "$1" "$here/err" || fail "'$1' expected: $(cat "$here/err")"
  nothing_left "$1"
}
wrong "probs.npy: the program did not write it" 'pass'
wrong "rows of 3 columns are wanted" 'numpy.save("probs.npy", numpy.full((n, c + 1), 1 / (c + 1)))'
wrong "rows of 3 columns are wanted" 'numpy.save("probs.npy", numpy.full((n - 1, c), 1 / c))'
wrong "row 1 sums to" 'a = numpy.full((n, c), 1 / c); a[1] = 0.5; numpy.save("probs.npy", a)'
wrong "row 2 has a negative" 'a = numpy.full((n, c), 1 / c); a[2] = [-1, 1, 1]; numpy.save("probs.npy", a)'
wrong "row 3 is not finite" 'a = numpy.full((n, c), 1 / c); a[3] = numpy.nan; numpy.save("probs.npy", a)'
wrong "ValueError: no way" 'raise ValueError("no way")'
refused() { # text of the message, what to --set
  "$alab" run "$here/own.yaml" --out "$here/x" --set "$2" >"$here/out" 2>"$here/err"
  [ $? -eq 2 ] || fail "$2: status is not 2: $(cat "$here/err")"
  grep -q -- "$1" "$here/err" || fail "$2: the message lacks '$1': $(cat "$here/err")"
}
refused 'give a program and its arguments' 'models[0].command=[]'
refused 'no such program: ./nothing' 'models[0].command=[./nothing]'

# the example against alab's own linear model
"$python" -c "import sklearn, scipy" 2>/dev/null || python=/usr/bin/python3
"$python" -c "import sklearn, scipy" 2>/dev/null || { echo "ok, but for the example: scikit-learn is not here"; exit 0; }
cp docs/examples/classifier.py "$here/"
cat >"$here/same.yaml" <<Y
study: same
replicates: 1
datasets: [{name: synthetic-text, size: 300, test_size: 80, classes: 4}]
models: [{name: linear, l2: 0.5}, {name: exec, command: [$python, classifier.py], options: {C: 2}}]
strategies: [random]
initial: {size: 20, method: stratified}
query: {batch: 20, rounds: 2}
Y
"$alab" run "$here/same.yaml" --quiet --out "$here/same" 2>"$here/err" || fail "the example: $(cat "$here/err")"
"$alab" export "$here/same" --format csv | "$python" -c '
import csv, sys
rows = list(csv.DictReader(sys.stdin))
key = lambda r: (r["strategy"], r["round"])
linear = {key(r): r for r in rows if r["model"] == "linear"}
other = {key(r): r for r in rows if r["model"] == "exec"}
assert len(linear) == 4 and linear.keys() == other.keys(), (linear.keys(), other.keys())
for k in linear:
    for metric, most in (("nll", 1e-5), ("brier", 1e-5), ("accuracy", 0)):
        a, b = float(linear[k][metric]), float(other[k][metric])
        assert abs(a - b) <= most, (k, metric, a, b)
' || fail "the example is not the linear model"
echo ok
