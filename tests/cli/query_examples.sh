# The examples of docs/query-from-python-and-r.md, as they stand there. Needs a Python with NumPy; without R and nnet that half is skipped.
set -u
alab=$(realpath "$1")
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
fail() { echo "FAIL: $*"; exit 1; }
page=docs/query-from-python-and-r.md
awk '/^```python$/ {on = 1; next} /^```$/ {on = 0} on' $page >"$here/example.py"
awk '/^```r$/ {on = 1; next} /^```$/ {on = 0} on' $page >"$here/example.R"
[ -s "$here/example.py" ] && [ -s "$here/example.R" ] || fail "no examples in $page"
export ALAB=$alab OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1
python=
for candidate in python3 /usr/bin/python3; do
  "$candidate" -c 'import numpy' 2>/dev/null && python=$candidate && break
done
# learns "FILE": three lines, each strategy ends at 0.8 or better
learns() { awk '$NF < 0.8 || $NF > 1 {bad = 1} END {exit bad || NR != 3}' "$1"; }
if [ -n "$python" ]; then
  "$python" "$here/example.py" >"$here/python.txt" 2>"$here/err" || fail "the Python example: $(cat "$here/err")"
  cat "$here/python.txt"
  learns "$here/python.txt" || fail "the Python example did not learn"
  # what alab says of bad input reaches the caller
  sed '/^class Softmax/,$d' "$here/example.py" >"$here/bad.py"
  echo 'query("margin", 3, probs=np.array([[0.5, 0.5], [0.9, 0.3]]))' >>"$here/bad.py"
  "$python" "$here/bad.py" 2>"$here/err" && fail "bad probabilities are taken"
  grep -q "probs.npy: row 1 sums to 1.2" "$here/err" || fail "the error is lost: $(cat "$here/err")"
fi
if ! Rscript -e 'library(nnet)' >/dev/null 2>&1; then
  echo "no R with nnet here"
  exit 77
fi
Rscript "$here/example.R" >"$here/r.txt" 2>"$here/err" || fail "the R example: $(cat "$here/err")"
cat "$here/r.txt"
learns "$here/r.txt" || fail "the R example did not learn"
# both languages write the same bytes: a matrix and an integer vector read back by the same strategy
if [ -n "$python" ]; then
  sed '/^x <- scale/,$d' "$here/example.R" >"$here/write.R"
  echo "write_npy(matrix(c(0.5, 0.25, 2.385, 3, 4, -5.5), 2), '$here/m.npy'); write_npy(c(3L, 1L, 70000L), '$here/i.npy')" >>"$here/write.R"
  Rscript "$here/write.R" 2>/dev/null || fail "write_npy"
  "$python" - "$here" <<'P' || fail "write_npy wrote something else"
import sys
import numpy as np
m, i = np.load(sys.argv[1] + "/m.npy"), np.load(sys.argv[1] + "/i.npy")
assert m.tolist() == [[0.5, 2.385, 4], [0.25, 3, -5.5]] and m.dtype == np.float64
assert i.tolist() == [3, 1, 70000] and i.dtype == np.int32
P
else
  echo "no Python with NumPy here"
  exit 77
fi
echo ok
