# Strategies made of others, in the loop and through query: a killed run goes on to the same bytes, states stand in the round lines and
# nothing of the test set reaches a strategy, what is wrong is refused with file and line, and a history takes query through rounds.
set -u
alab=$1
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
export ALAB_DATA=$here/cache
unset ALAB_MIRROR
fail() { echo "FAIL: $*"; exit 1; }
log() { ls "$here/$1/cells/"*."$2".r0.*.jsonl | grep -v timing; }

cat >"$here/all.yaml" <<Y
study: all
replicates: 1
datasets: [{name: synthetic-text, size: 400, test_size: 60, classes: 4}]
models: [{name: linear, l2: 0.1}]
strategies:
- {name: schedule, params: {first: k-center, then: margin, until: 30}}
- {name: mixture, params: {strategies: [margin, random, {name: badge, params: {first: largest}}], shares: [2, 1, 1]}}
- {name: subsample, params: {strategy: badge, size: 60}}
- {name: subsample, as: seals, params: {strategy: entropy, method: seals, neighbours: 5}}
- {name: subsample, as: anchors, params: {strategy: neighborhood, method: anchors, size: 60}}
- {name: albl, params: {strategies: [random, margin, k-center]}}
- {name: bandit, params: {strategies: [random, entropy], gamma: 0.3}}
- {name: schedule, as: later, params: {first: random, then: {name: albl, params: {strategies: [random, margin]}}, until: 27}}
- {name: schedule, as: bound, params: {first: random, then: oracle-error, until: 25}}
initial: {size: 20}
query: {batch: 4, rounds: 7}
Y
run() { "$alab" run "$here/all.yaml" --quiet "$@"; }
run --out "$here/a" --jobs 2 || fail "first run"
run --out "$here/b" --jobs 1 || fail "second run"
"$alab" verify "$here/a" >"$here/out" || fail "verify: $(cat "$here/out")"
n=0
for log in "$here"/a/cells/*.jsonl; do
  case $log in *.timing.jsonl) continue ;; esac
  cmp -s "$log" "$here/b/cells/$(basename "$log")" || fail "$(basename "$log") differs with other --jobs"
  n=$((n + 1))
done
[ "$n" -eq 10 ] || fail "10 logs expected, $n found"

# cut anywhere, also inside and between the rounds that carry state
for name in albl bandit later mixture seals; do
  one=$(log a $name)
  cp "$one" "$here/whole"
  size=$(wc -c <"$one")
  for part in 2 4 5 6 7 8 9; do
    head -c $((size * part / 10)) "$here/whole" >"$one"
    run --out "$here/a" || fail "$name: resume from $part tenths"
    cmp -s "$one" "$here/whole" || fail "$name: resume from $part tenths gave other bytes"
  done
done

# killed while it runs, and started again
cat >"$here/long.yaml" <<Y
study: long
replicates: 1
datasets: [{name: synthetic-text, size: 1500, test_size: 100}]
models: [{name: linear, l2: 0.1}]
strategies: [{name: albl, params: {strategies: [random, margin], horizon: 60}}, {name: bandit, params: {strategies: [random, margin]}}]
initial: {size: 50}
query: {batch: 5, rounds: 60}
Y
"$alab" run "$here/long.yaml" --quiet --out "$here/long" --jobs 2 || fail "the long study"
"$alab" prepare "$here/long.yaml" --quiet >/dev/null || fail "prepare"
for delay in 0.4 0.9; do
  setsid "$alab" run "$here/long.yaml" --quiet --out "$here/killed" --jobs 2 2>/dev/null &
  pid=$!
  sleep $delay
  kill -KILL -- -$pid 2>/dev/null
  wait $pid 2>/dev/null
done
"$alab" run "$here/long.yaml" --quiet --out "$here/killed" --jobs 2 || fail "after the kills"
for name in albl bandit; do
  cmp -s "$(log long $name)" "$(log killed $name)" || fail "$name: other bytes after kills"
done

# states: albl's weights, probabilities and a q a pick; in `later` only from its first round on; bandit's arm
[ "$(grep -c '"state":{"albl":{"weights":\[' "$(log a albl)")" -eq 7 ] || fail "albl's states"
[ "$(grep -c '"state":{"albl":' "$(log a later)")" -eq 5 ] || fail "states of albl behind random"
grep -o '"state":{"albl":.*' "$(log a later)" | head -n 1 | grep -q '"reward":null' || fail "no reward in albl's first round"
grep -o '"state":{"albl":.*' "$(log a later)" | tail -n 1 | grep -q '"reward":[01]' || fail "a reward in its others"
[ "$(grep -o '"arm":[01]' "$(log a bandit)" | wc -l)" -eq 7 ] || fail "bandit's arms"
head -n 1 "$(log a mixture)" | grep -q '{"name":"badge","params":{"dims":0,"first":"largest"' || fail "the header lacks defaults of a sub-strategy"
[ "$(grep -c 'UPPER-BOUND REFERENCE' "$(log a bound)")" -eq 7 ] || fail "oracle-error inside another must be marked"

# a default written out is the same cell
sed 's/strategies: \[random, entropy\], gamma: 0.3/strategies: [{name: random}, {name: entropy, params: {}}], gamma: 0.3/' "$here/all.yaml" >"$here/same.yaml"
"$alab" run "$here/same.yaml" --dry-run --quiet --only strategy=bandit 2>/dev/null | grep -q "$(basename "$(log a bandit)" .jsonl)" ||
  fail "a default written out is another cell"

# refused: file, line and path, one line, nothing run
refuses() { # refuses LINE "text" 'strategy' [--set ...]
  local line=$1 text=$2
  printf 'study: no\ndatasets: [{name: synthetic-text, size: 100}]\nmodels: [linear]\nstrategies:\n- random\n- %s\n' "$3" >"$here/no.yaml"
  shift 3
  "$alab" run "$here/no.yaml" --quiet --out "$here/no" "$@" >"$here/out" 2>"$here/err"
  [ $? -eq 2 ] || fail "status 2 expected: $text"
  [ "$(wc -l <"$here/err")" -eq 1 ] || fail "one line expected: $(cat "$here/err")"
  grep -qF -- "no.yaml:$line: strategies[1].params$text" "$here/err" || fail "'$text' in line $line expected: $(cat "$here/err")"
}
two='name: mixture
  params:
    strategies:
    - margin'
refuses 10 ".strategies[1]: unknown strategy 'entropi'; did you mean 'entropy'?" "$two
    - entropi"
refuses 11 ".strategies[1].params: unknown key 'frist'; did you mean 'first'?" "$two
    - name: badge
      params:
        frist: largest"
refuses 10 ".strategies[1]: bandit learns from the rounds that it chose" "$two
    - {name: bandit, params: {strategies: [random, margin]}}"
refuses 7 ": in a batch of 1 the mixture gives random no pick; a batch of 2 does" "$two
    - random" --set query.batch=1
refuses 6 ".size: a part of 10 items does not hold a batch of 50" "{name: subsample, params: {strategy: margin, size: 10}}"
[ ! -e "$here/no" ] || fail "bad input left a folder behind"

# query: parameters in YAML, and rounds through a history
command -v python3 >/dev/null || { echo "ok, but for query: python3 is not here"; exit 0; }
cd "$here" || exit 1
python3 - <<'P'
import random, struct
def npy(name, descr, shape, values, fmt):
    head = "{'descr': '%s', 'fortran_order': False, 'shape': (%s,), }" % (descr, ", ".join(map(str, shape)))
    head += " " * ((64 - (10 + len(head) + 1) % 64) % 64) + "\n"
    open(name, "wb").write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() +
                           struct.pack("<%d%s" % (len(values), fmt), *values))
random.seed(3)
p = [random.random() for _ in range(40)]
npy("p.npy", "<f8", (40, 2), [v for x in p for v in (x, 1 - x)], "d")
npy("h.npy", "<f8", (40, 1), [random.random() for _ in range(40)], "d")
def labelled(name, rows):
    npy(name + "l.npy", "<i8", (len(rows),), rows, "q")
    npy(name + "y.npy", "<i8", (len(rows),), [int(p[r] < 0.5) for r in rows], "q")
labelled("one", list(range(12)))
P
q() { "$alab" query "$@" 2>err || fail "query $*: $(cat err)"; }
[ "$(q mixture -n 4 --probs p.npy --embeddings h.npy --param strategies=[margin,k-center] | head -n 2)" = \
  "$(q margin -n 2 --probs p.npy)" ] || fail "query mixture"
[ "$(q schedule -n 3 --probs p.npy --labelled onel.npy --labels oney.npy --param first=random --param then=margin --param until=12)" = \
  "$(q margin -n 3 --probs p.npy --labelled onel.npy)" ] || fail "query schedule"
albl="albl -n 3 --probs p.npy --param strategies=[entropy,random] --param horizon=3"
q $albl --labelled onel.npy --labels oney.npy --state s1.json >picks1
q $albl --labelled onel.npy --labels oney.npy --history /dev/null >again
cmp -s picks1 again || fail "an empty history changes the first round"
python3 - <<'P'
import json
state, rows = json.load(open("s1.json")), [int(l) for l in open("picks1")]
assert set(state["albl"]) == {"weights", "p", "reward", "credit", "q"} and len(state["albl"]["q"]) == 3, state
p = state["albl"]["p"]
assert state["albl"]["reward"] is None and abs(sum(p) - 1) < 1e-12 and p[0] == p[1]
lines = [{"round": 0, "asked": list(range(12)), "answers": [[0]] * 12}, {"round": 1, "asked": rows, "answers": [[0]] * 3, "state": state}]
open("history.jsonl", "w").write("".join(json.dumps(l) + "\n" for l in lines))
import struct, array
prob = array.array("d"); prob.frombytes(open("p.npy", "rb").read()[-40 * 16:])
def npy(name, values):
    head = "{'descr': '<i8', 'fortran_order': False, 'shape': (%d,), }" % len(values)
    head += " " * ((64 - (10 + len(head) + 1) % 64) % 64) + "\n"
    open(name, "wb").write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + struct.pack("<%dq" % len(values), *values))
npy("twol.npy", rows[::-1] + list(range(12)))                       # L in another order than it was asked
truth = [0 if prob[2 * r] > 0.5 else 1 for r in range(40)]           # what the model predicts: right
wrong = rows[0]
npy("twoy.npy", [1 - truth[r] if r == wrong else truth[r] for r in rows[::-1] + list(range(12))])
weight = [1 / x for x in state["albl"]["q"]]
json.dump((sum(weight) - weight[0]) / sum(weight), open("reward", "w"))
P
q $albl --labelled twol.npy --labels twoy.npy --history history.jsonl --state s2.json >picks2
python3 -c '
import json
a, b = json.load(open("s2.json"))["albl"]["reward"], json.load(open("reward"))
assert abs(a - b) < 1e-12, (a, b)' || fail "the reward through a history"
no() { # no "text" arguments...
  local text=$1
  shift
  "$alab" query "$@" >out 2>err
  [ $? -eq 2 ] && [ ! -s out ] && [ "$(wc -l <err)" -eq 1 ] && grep -qF -- "$text" err || fail "'$text' expected: $(cat err)"
}
no "mixture.strategies[1]: unknown strategy 'margn'; did you mean 'margin'?" mixture -n 4 --probs p.npy --param strategies=[random,margn]
no "a batch of 2 does" mixture -n 1 --probs p.npy --param strategies=[random,margin]
no "needs labelled items" $albl
no "no such file" $albl --labelled onel.npy --labels oney.npy --history none.jsonl
echo '{"round": 1, "asked": [99], "answers": [[0]]}' >bad.jsonl
no "bad.jsonl:1: asked[0] is no row from 0 to 39" $albl --labelled onel.npy --labels oney.npy --history bad.jsonl
echo 'x' >bad.jsonl
no "bad.jsonl:1: not a JSON object" $albl --labelled onel.npy --labels oney.npy --history bad.jsonl
sed 's/"q": \[/"q": [-1, /' history.jsonl >bad.jsonl
no "no usable 'q'" $albl --labelled twol.npy --labels twoy.npy --history bad.jsonl
echo ok
