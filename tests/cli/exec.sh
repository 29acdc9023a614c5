# Strategies that are a user's program: docs/examples/margin.py chooses what margin chooses, to the row; it sees no more than the protocol
# says; one that hangs, crashes or answers nonsense is reported by name and fails its cell only; a changed program is another cell.
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
asked() { grep -o '"asked":\[[0-9,]*\],"scores":\[[^]]*\]' "$1"; }
log() { ls "$here/$1/cells/"*."$2".r0.*.jsonl | grep -v timing; }
[ "$(grep -vcE '^#|^$' docs/examples/margin.py)" -le 15 ] || fail "the example has grown"

# the example against the strategy that it is; the study's folder is where relative names start
cp docs/examples/margin.py "$here/margin.py"
cat >"$here/same.yaml" <<Y
study: same
datasets: [{name: synthetic-text, size: 300, test_size: 60, classes: 4}]
models: [{name: linear, l2: 0.1}]
replicates: 1
strategies: [margin, {name: exec, as: program, params: {command: [$python, margin.py], arrays: [probs]}},
  {name: exec, as: text, params: {command: $python margin.py}}]
initial: {size: 15}
query: {batch: 6, rounds: 4}
Y
(cd / && "$alab" run "$here/same.yaml" --quiet --out "$here/same" 2>"$here/err") || fail "the example: $(cat "$here/err")"
for name in program text; do
  cmp -s <(asked "$(log same margin)") <(asked "$(log same "$name")") || fail "$name is not margin"
done
nothing_left "the example"
"$alab" verify "$here/same" >/dev/null || fail "verify"

# killed in the middle and run again: the same bytes
cp "$(log same program)" "$here/whole"
for bytes in 2000 5000; do
  head -c $bytes "$here/whole" >"$(log same program)"
  "$alab" run "$here/same.yaml" --quiet --out "$here/same" || fail "resume"
  cmp -s "$here/whole" "$(log same program)" || fail "resume from $bytes bytes gave other bytes"
done

# the program counts by content: elsewhere it is the same cell with the same log, changed it is another
mkdir "$here/moved" && cp "$here/margin.py" "$here/moved/other.py"
sed "s#margin.py\\]#$here/moved/other.py]#" "$here/same.yaml" >"$here/moved.yaml"
"$alab" run "$here/moved.yaml" --quiet --out "$here/elsewhere" --only strategy=program || fail "moved"
cmp -s "$here/whole" "$here/elsewhere/cells/$(basename "$(log same program)")" || fail "a moved program is another cell"
echo "# changed" >>"$here/margin.py"
"$alab" run "$here/same.yaml" --quiet --out "$here/same" || fail "changed"
[ "$(log same program | wc -l)" -eq 2 ] || fail "a changed program is the same cell"

# through query; every array is there as the protocol says, and the views are those of numpy
"$python" - "$here" <<'P'
import numpy, sys
n = numpy.random.default_rng(1)
p = n.random((20, 3)); p /= p.sum(1, keepdims=True)
h = n.normal(size=(20, 4)); h[:, 0] = 0
save = lambda name, x: numpy.save(sys.argv[1] + "/" + name, x)
save("p.npy", p); save("h.npy", h); save("f.npy", h[:, :2]); save("mc.npy", numpy.stack([p, p]))
save("l.npy", numpy.arange(12)); save("y.npy", numpy.arange(12) % 3)
save("w.npy", n.normal(size=(3, 4))); save("b.npy", n.normal(size=3))
save("x.npy", n.integers(0, 255, size=(20, 1, 4, 4)).astype("uint8"))
open(sys.argv[1] + "/t.txt", "w").write("\n".join("%d %d" % (i, i + 1) for i in range(20)) + "\n")
P
cat >"$here/look.py" <<'P'
import json, os, sys, numpy
a = json.load(open("params.json")); load = lambda n: numpy.load(n + ".npy")
root = a["options"]["root"]; all_of = lambda n: numpy.load(root + "/" + n + ".npy")
assert (a["protocol"], a["k"], a["pool"], a["labelled"], a["classes"], a["round"]) == (1, 3, 8, 12, 3, 1), a
assert 0 <= a["seed"] < 2**53
same = lambda x, y: x.shape == y.shape and numpy.allclose(x, y, atol=1e-6)
assert same(load("probs"), all_of("p")[12:]) and same(load("probs_labelled"), all_of("p")[:12])
assert same(load("embeddings"), all_of("h")[12:]) and same(load("embeddings_labelled"), all_of("h")[:12])
assert same(load("features"), all_of("f")[12:]) and same(load("features_labelled"), all_of("f")[:12])
assert same(load("mc"), all_of("mc")[:, 12:]) and same(load("head"), all_of("w")) and same(load("bias"), all_of("b"))
assert same(load("pixels"), all_of("x")[12:]) and load("pixels").dtype == numpy.uint8
assert same(load("labels"), all_of("y")) and load("oof_probs").shape == (12, 3) and load("oof_predicted").shape == (12,)
assert list(load("tokens_indptr")) == list(range(0, 17, 2)) and list(load("tokens_indices")[:4]) == [12, 13, 13, 14]
assert a["arrays"]["embeddings"] == {"format": "dense", "columns": 4}
expected = {"params.json"} | {n + ".npy" for n in """probs probs_labelled embeddings embeddings_labelled features features_labelled mc head
  bias pixels pixels_labelled labels oof_probs oof_predicted tokens_indptr tokens_indices tokens_labelled_indptr
  tokens_labelled_indices""".split()}
assert set(os.listdir(".")) == expected, set(os.listdir(".")) ^ expected
assert set(os.environ) - {"LC_CTYPE"} <= {"PATH", "HOME", "LANG", "TMPDIR", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
  "ALAB_SECRET", "SHELL", "PWD"}, os.environ
assert os.environ["ALAB_SECRET"] == "seen" and os.environ["TMPDIR"] == os.getcwd() and "ALAB_DATA" not in os.environ
assert sys.stdin.read() == ""
print("7\n\n 0 \n3\r")
P
cd "$here" || exit 1
got=$(ALAB_SECRET=seen "$alab" query exec -n 3 --param command="[$python, look.py]" --probs p.npy --embeddings h.npy --features f.npy --mc mc.npy \
  --labelled l.npy --labels y.npy --head w.npy --bias b.npy --pixels x.npy --tokens t.txt --param environment=[ALAB_SECRET] \
  --param options="{root: $here}" \
  --param arrays='[probs, probs-labelled, embeddings, features, mc, tokens, pixels, head, oof]' 2>err | tr '\n' ' ')
[ "$got" = "19 12 15 " ] || fail "query: '$got' $(cat err)"
nothing_left "query"
cp "$OLDPWD/docs/examples/margin.py" m.py
cmp <("$alab" query exec -n 20 --scores --param command="$python m.py" --probs p.npy --embeddings h.npy) \
  <("$alab" query margin -n 20 --scores --probs p.npy) || fail "query exec is not margin"

# CSR: linear's embeddings are TF-IDF rows; a state is kept from round to round, and logged
cat >"$here/count.py" <<'P'
import json, os, numpy
a = json.load(open("params.json"))
data, indices, indptr = (numpy.load("embeddings_" + n + ".npy") for n in ("data", "indices", "indptr"))
assert a["arrays"]["embeddings"]["format"] == "csr" and len(indptr) == a["pool"] + 1 and indptr[0] == 0
assert len(data) == len(indices) == indptr[-1] and indices.max() < a["arrays"]["embeddings"]["columns"]
norms = numpy.sqrt(numpy.add.reduceat(data.astype(float) ** 2, indptr[:-1]))
assert numpy.allclose(norms, 1, atol=1e-5)                  # TF-IDF rows have norm 1
assert not os.path.exists("state.json") or json.load(open("state.json"))["rounds"] == a["round"] - 1
json.dump({"rounds": a["round"]}, open("state.json", "w"))
print(*range(a["k"]), sep="\n")
P
sed "s#^strategies:.*#strategies: [{name: exec, params: {command: [$python, count.py]}}]#; /name: exec, as: text/d; s/^study: .*/study: count/" \
  "$here/same.yaml" >"$here/count.yaml"
"$alab" run "$here/count.yaml" --quiet --out "$here/count" 2>err || fail "count: $(cat err)"
[ "$(grep -o '"state":{"exec":{"rounds":[0-9]*}}' "$(log count exec)" | tr '\n' ' ')" = \
  '"state":{"exec":{"rounds":1}} "state":{"exec":{"rounds":2}} "state":{"exec":{"rounds":3}} "state":{"exec":{"rounds":4}} ' ] || fail "state"

# what can go wrong: each by name, each its own cell only
bad() { # bad NAME 'program text'
  printf '#!/bin/sh\n%s\n' "$2" >"$here/$1.sh"
  chmod +x "$here/$1.sh"
}
bad hangs "(sleep 5; touch $here/survivor) & sleep 60"
bad leaves "(sleep 5; touch $here/survivor) & printf '0\\n1\\n2\\n'"
bad crashes 'kill -SEGV $$'
bad exits 'echo first >&2; echo "the reason" >&2; exit 3'
bad repeats "printf '4\\n5\\n4\\n'"
bad few "printf '1\\n2\\n'"
bad many "printf '1\\n2\\n3\\n4\\n'"
bad unknown "printf '1\\n2\\n999999\\n'"
bad negative "printf '1\\n2\\n-1\\n'"
bad words "printf '1\\n2\\nthree\\n'"
bad halves "printf '1\\n2\\n2.5\\n'"
bad mixed "printf '1 0.5\\n2\\n3\\n'"
bad scores "printf '1 nan\\n2 1\\n3 1\\n'"
bad floods "yes"
bad nul "printf '1\\0\\n2\\n3\\n'"
bad state "printf '0\\n1\\n2\\n'; echo '{' >state.json"
bad silent ":"
bad locked "mkdir shut; touch shut/in; chmod 0 shut; printf '0\\n1\\n2\\n'"
bad good "printf '0\\n1\\n2\\n'"
printf '#!/no/such/interpreter\n' >"$here/starts.sh" && chmod +x "$here/starts.sh"
{
  sed 's/^study: .*/study: bad/; /^strategies/,/^initial/d' "$here/same.yaml" | sed '/^query/d'
  echo "initial: {size: 15}"
  echo "query: {batch: 3, rounds: 2}"
  echo "strategies:"
  echo "- random"
  for script in "$here"/*.sh; do
    name=$(basename "$script" .sh)
    echo "- {name: exec, as: $name, params: {command: [./$name.sh], arrays: [], timeout: $([ "$name" = hangs ] && echo 1 || echo 30)}}"
  done
} >"$here/bad.yaml"
"$alab" run "$here/bad.yaml" --quiet --out "$here/bad" 2>err
[ $? -eq 1 ] || fail "a study with failed cells must end with status 1: $(cat err)"
says() { # says NAME "text"
  grep "cell synthetic-text.linear.$1.r0" err | grep -qF -- "$2" || fail "$1: '$2' expected: $(grep "linear.$1\\.r0" err)"
}
says hangs "hangs.sh' ran longer than 1 s"
says crashes "was ended by signal 11"
says exits "ended with status 3: the reason"
says repeats "line 3 of the answer repeats row 4"
says few "returned 2 rows, and 3 are wanted"
says many "returned 4 rows, and 3 are wanted"
says unknown "names row 999999, outside 0 to"
says negative "names row -1, outside 0 to"
says words "line 3 of the answer, 'three', is not a row number"
says halves "'2.5', is not a row number"
says mixed "must have a score where the others have one"
says scores "a score that is not a finite number"
says floods "printed more than"
says nul "holds NUL bytes"
says state "state.json is not JSON"
says silent "returned 0 rows, and 3 are wanted"
says starts "cannot start"
[ "$(grep -c 'alab: error: cell ' err)" -eq 17 ] || fail "17 cells must fail: $(cat err)"
for name in random good leaves locked; do
  tail -n 1 "$(log bad $name)" | grep -q '"end":"rounds"' || fail "$name did not end"
done
nothing_left "a failing program"
sleep 5
[ ! -e "$here/survivor" ] || fail "what a program started outlived it"

# refused before anything runs: file and line
refuses() { # refuses "text" 'params'
  sed 's/^study: .*/study: bad/; /^strategies/,/^initial/d' "$here/same.yaml" >"$here/no.yaml"
  printf 'initial: {size: 15}\nstrategies:\n- random\n- {name: exec, params: %s}\n' "$2" >>"$here/no.yaml"
  "$alab" run "$here/no.yaml" --quiet --out "$here/no" 2>err
  [ $? -eq 2 ] || fail "status 2 expected of $2"
  [ "$(wc -l <err)" -eq 1 ] || fail "one line expected: $(cat err)"
  grep -qF -- "$1" err || fail "'$1' expected of $2: $(cat err)"
}
refuses "no such program: ./none.sh" '{command: ./none.sh}'
refuses "files[0]: no such file: none.txt" '{command: [python3, m.py], files: [none.txt]}'
refuses "no.yaml:$(($(wc -l <"$here/no.yaml"))): strategies[1].params.arrays[0]: unknown array 'prob'; did you mean 'probs'?" '{command: x, arrays: [prob]}'
refuses "the key 'command' is missing" '{timeout: 3}'
[ ! -e "$here/no" ] || fail "bad input left a folder behind"
echo ok
