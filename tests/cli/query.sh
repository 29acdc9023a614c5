# alab query on .npy files: picks, scores, ties, errors with one line and status 2. Files are written with Python's struct, so that no
# NumPy is needed.
set -u
alab=$1
command -v python3 >/dev/null || { echo "python3 is not here"; exit 77; }
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here" || exit 1
python3 - <<'P'
import struct
def npy(name, descr, shape, values, fmt):
    head = "{'descr': '%s', 'fortran_order': False, 'shape': (%s,), }" % (descr, ", ".join(map(str, shape)))
    head += " " * ((64 - (10 + len(head) + 1) % 64) % 64) + "\n"
    open(name, "wb").write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() +
                           struct.pack("<%d%s" % (len(values), fmt), *values))
probs = [0.5, 0.5, 0.9, 0.1, 0.6, 0.4, 0.5, 0.5, 1.0, 0.0]
npy("p.npy", "<f8", (5, 2), probs, "d")
npy("h.npy", "<f4", (5, 1), [0.0, 10.0, 4.0, 1.0, 9.0], "f")
npy("mid.npy", "<f4", (5, 1), [0.0, 10.0, 6.0, 5.0, 10.5], "f")
npy("same.npy", "<f4", (5, 1), [2.0] * 5, "f")
npy("l.npy", "<i8", (1,), [0], "q")
npy("y.npy", "<i4", (1,), [1], "i")
npy("truth.npy", "<i8", (5,), [0, 1, 0, 1, 1], "q")
npy("off.npy", "<f8", (5, 2), [0.5, 0.6] + probs[2:], "d")
npy("nan.npy", "<f8", (5, 1), [0.0, float("nan"), 1.0, 2.0, 3.0], "d")
npy("short.npy", "<f8", (4, 2), probs[:8], "d")
npy("big.npy", "<f8", (5, 2), probs[:4], "d")
npy("none_wide.npy", "<f8", (5, 0), [], "d")
npy("nine.npy", "<i8", (1,), [9], "q")
npy("w.npy", "<f4", (2, 1), [1.0, -1.0], "f")
npy("b.npy", "<f4", (2,), [0.0, 9.0], "f")
npy("wide.npy", "<f4", (2, 2), [1.0, -1.0, 0.5, 0.5], "f")
npy("three.npy", "<f4", (3, 1), [1.0, -1.0, 0.5], "f")
npy("h12.npy", "<f4", (12, 2), [0, 0, 1, 0, 0, 1, 5, 5, 6, 5, 5, 6, 2, 3, 3, 2, 2.5, 2.5, 0.5, 0.5, 5.5, 5.5, 2.7, 2.6], "f")
npy("p12.npy", "<f4", (12, 2), [0.9, 0.1] * 3 + [0.1, 0.9] * 3 + [0.5, 0.5] * 3 + [0.9, 0.1, 0.1, 0.9, 0.5, 0.5], "f")
npy("h12wide.npy", "<f4", (12, 3001), [0.25] * 12 * 3001, "f")
npy("l12.npy", "<i8", (6,), [0, 1, 2, 3, 4, 5], "q")
npy("y12.npy", "<i8", (6,), [0, 0, 0, 1, 1, 1], "q")
npy("mc.npy", "<f4", (2, 3, 2), [1, 0, 0.5, 0.5, 0.9, 0.1, 0, 1, 0.5, 0.5, 0.8, 0.2], "f")
open("t.txt", "w").write("1 2 3 4\n1 2 3 4\n5 6 7\n1 2 3 9\n8 9 10 11\n")
npy("px.npy", "|u1", (3, 1, 8, 8), [0] * 64 + [255] * 64 + [0] * 60 + [255] * 4, "B")
P
fail() { echo "FAIL: $*"; exit 1; }
says() { # says "lines" command...
  local wanted=$1 got
  shift
  got=$("$alab" query "$@" 2>err | tr '\n' ' ') || fail "$*: $(cat err)"
  [ "$got" = "$wanted" ] || fail "$*: '$got', not '$wanted'"
}
refuses() { # refuses "text" command...
  local text=$1
  shift
  "$alab" query "$@" >out 2>err
  [ $? -eq 2 ] || fail "status 2 expected: $*"
  [ -s out ] && fail "output on standard output: $*"
  [ "$(wc -l <err)" -eq 1 ] || fail "one line expected: $(cat err)"
  grep -qF -- "$text" err || fail "'$text' expected of $*: $(cat err)"
}
says "0 3 2 " entropy -n 3 --probs p.npy
says "0 3 2 1 4 " margin -n 99 --probs p.npy
says "0 3 " least-confidence -n 2 --probs p.npy
says "3 2 " entropy -n 2 --probs p.npy --labelled l.npy
says "1 2 " k-center -n 2 --embeddings h.npy --labelled l.npy
says "4 1 " oracle-error -n 2 --probs p.npy --true-labels truth.npy
says "1 4 2 3 " neighborhood -n 4 --probs p.npy --embeddings h.npy --labelled l.npy --labels y.npy
says "2 4 " jaccard -n 2 --tokens t.txt --labelled l.npy
says "0 1 2 " jaccard -n 3 --pixels px.npy
says "0 2 1 " bald -n 3 --mc mc.npy
says "0 1 2 " mc-entropy -n 3 --mc mc.npy
says "0 1 2 " batch-bald -n 3 --mc mc.npy
says "0 1 2 " qbc -n 3 --mc mc.npy
[ "$("$alab" query qbc -n 1 --mc mc.npy --param by=kl --scores)" = "$("$alab" query bald -n 1 --mc mc.npy --scores)" ] || fail "kl is bald"
[ "$("$alab" query qbc -n 2 --mc mc.npy --param by=consensus-entropy --scores)" = "$("$alab" query mc-entropy -n 2 --mc mc.npy --scores)" ] || fail "consensus-entropy is mc-entropy"
says "1 2 " bait -n 2 --probs p.npy --embeddings h.npy
says "1 2 " bait -n 2 --probs p.npy --embeddings h.npy --labelled l.npy --labels y.npy --param lambda=0.5
says "1 2 " bait -n 2 --probs p.npy --embeddings h.npy --param dims=1 --seed 3
"$alab" query badge -n 5 --probs p.npy --embeddings h.npy --param dims=2 | sort -n | tr '\n' ' ' | grep -q "^0 1 2 3 4 $" || fail "badge with dims"
says "2 1 3 " egl -n 3 --probs p.npy --embeddings h.npy
says "3 2 1 " class-balanced -n 3 --probs p.npy --labelled l.npy --labels y.npy
says "3 2 1 " density -n 3 --probs p.npy --embeddings h.npy --labelled l.npy
says "4 1 " cal -n 2 --probs p.npy --embeddings h.npy --labelled l.npy --labels y.npy
says "4 1 2 " cal -n 3 --probs p.npy --embeddings h.npy --labelled l.npy --labels y.npy --param normalise=true
says "1 2 3 4 " probcover -n 4 --features h.npy --labelled l.npy --param delta=0.5
says "0 1 " probcover -n 2 --features h.npy --param classes=1
refuses "number of classes" probcover -n 2 --features h.npy
refuses "delta" probcover -n 2 --features h.npy --param delta=-1
says "1 3 4 2 " discriminative -n 4 --embeddings h.npy --labelled l.npy --labels y.npy
refuses "labelled items" discriminative -n 4 --embeddings h.npy
says "0 1 2 3 4 " k-means -n 5 --features mid.npy
says "2 " k-means -n 1 --features mid.npy
says "1 2 3 4 " typiclust -n 4 --features h.npy --labelled l.npy
says "0 1 2 3 4 " margin-clustered -n 5 --probs p.npy --embeddings same.npy
"$alab" query kmeans-plus-plus -n 4 --features h.npy --labelled l.npy --scores | sort -n | cut -f1 | tr '\n' ' ' | grep -q "^1 2 3 4 $" || fail "kmeans-plus-plus"
"$alab" query cluster-margin -n 2 --probs p.npy --features h.npy --param m=1 | sort -n | tr '\n' ' ' | grep -q "^0 3 $" || fail "cluster-margin"
"$alab" query alfa-mix -n 3 --probs p.npy --embeddings h.npy --labelled l.npy --labels y.npy --head w.npy --bias b.npy --seed 2 >a 2>err || fail "alfa-mix: $(cat err)"
[ "$(sort -u a | wc -l)" -eq 3 ] || fail "alfa-mix"
refuses "wide.npy: 2 columns, but h.npy has 1" alfa-mix -n 1 --probs p.npy --embeddings h.npy --labelled l.npy --labels y.npy --head wide.npy --bias b.npy
refuses "three.npy: 3 classes, but the probabilities have 2" alfa-mix -n 1 --probs p.npy --embeddings h.npy --labelled l.npy --labels y.npy --head three.npy
refuses "needs the last layer's weights" alfa-mix -n 1 --probs p.npy --embeddings h.npy --labelled l.npy --labels y.npy
# Refits of alab's linear model, said on standard error: rows between the classes are what committees and expected errors ask for.
all12="--embeddings h12.npy --labelled l12.npy --labels y12.npy"
for strategy in "qbc --param by=kl" "qbc --param committee=bootstrap --param by=consensus-entropy" "expected-error-reduction --probs p12.npy" \
  "expected-error-reduction --probs p12.npy --param loss=zero-one --param candidates=6 --param evaluate=5"; do
  # shellcheck disable=SC2086
  "$alab" query $strategy -n 1 $all12 >out 2>err || fail "$strategy: $(cat err)"
  grep -qE '^(6|7|8|11)$' out || fail "$strategy: picked $(cat out)"
  grep -q "alab's linear model on the embeddings" err || fail "$strategy does not say what it refits"
done
"$alab" query random -n 3 --rows 10 --seed 4 >a && "$alab" query random -n 3 --rows 10 --seed 4 -o b && cmp -s a b || fail "one seed, two answers"
"$alab" query random -n 3 --rows 10 --seed 5 | cmp -s a - && fail "two seeds, one answer"
[ "$("$alab" query margin -n 1 --probs p.npy --scores)" = "$(printf '0\t1')" ] || fail "--scores"
"$alab" query badge -n 5 --probs p.npy --embeddings h.npy --param first=largest --seed 1 | sort -n | tr '\n' ' ' | grep -q "0 1 2 3 4 " || fail "badge"
refuses "row 0 sums to 1.1" entropy -n 1 --probs off.npy
refuses "no columns" entropy -n 1 --probs none_wide.npy
refuses "nan.npy: row 1, column 0" k-center -n 1 --embeddings nan.npy
refuses "5 rows" badge -n 1 --probs short.npy --embeddings h.npy
refuses "truncated" entropy -n 1 --probs big.npy
refuses "outside 0 to 4" entropy -n 1 --probs p.npy --labelled nine.npy
refuses "outside 0 to 1" neighborhood -n 1 --probs p.npy --embeddings h.npy --labelled l.npy --labels nine.npy
refuses "needs class probabilities" entropy -n 1 --embeddings h.npy
refuses "needs labelled items" neighborhood -n 1 --probs p.npy --embeddings h.npy
refuses "needs stochastic passes" qbc -n 1 --embeddings h.npy
refuses "needs embeddings" bait -n 1 --probs p.npy
refuses "give dims" bait -n 1 --probs p12.npy --embeddings h12wide.npy
refuses "needs stochastic passes" batch-bald -n 1 --probs p.npy
refuses "refits need --embeddings" qbc -n 1 --probs p.npy --labelled l.npy --labels y.npy
refuses "labelled items" expected-error-reduction -n 1 --probs p.npy --embeddings h.npy
refuses "did you mean 'entropy'" entropi -n 1 --probs p.npy
refuses "did you mean 'first'" badge -n 1 --probs p.npy --embeddings h.npy --param frist=largest
refuses "no such file" entropy -n 1 --probs none.npy
refuses "no rows" random -n 1
echo ok
