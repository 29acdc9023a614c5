# A study on the embedded generator, run through the program: the same files whatever --jobs and the order of cells, a killed run
# goes on to the same bytes, a raised budget continues, an edited log and another study's folder are refused, two runs at once.
set -u
alab=$1
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
export ALAB_DATA=$here/cache
unset ALAB_MIRROR

fail() { echo "FAIL: $*"; exit 1; }

cat >"$here/tiny.yaml" <<Y
study: tiny
seed: 3
replicates: 2
datasets: [{name: synthetic-text, size: 400, test_size: 100}, {name: synthetic-images, size: 300, test_size: 100}]
models: [{name: linear, l2: 0.1}]
strategies: [random, entropy, margin, least-confidence, error-rate, oracle-error, jaccard, mutual-information, neighborhood,
  k-center, {name: badge, as: badge-d8, params: {dims: 8}}]
initial: {size: 20, method: k-center}
query: {batch: 7, rounds: 4}
cost: {kind: time}
holdout: {size: 10}
Y
run() { "$alab" run "$here/tiny.yaml" --quiet "$@"; }

run --out "$here/a" --jobs 2 || fail "first run"
run --out "$here/b" --jobs 1 --only strategy=badge-d8 || fail "part of the second run"
run --out "$here/b" --jobs 1 || fail "rest of the second run"
n=0
for log in "$here"/a/cells/*.jsonl; do
  case $log in *.timing.jsonl) continue ;; esac
  cmp -s "$log" "$here/b/cells/$(basename "$log")" || fail "$(basename "$log") differs with other --jobs and order"
  n=$((n + 1))
done
[ "$n" -eq 46 ] || fail "expected 46 logs, found $n"
"$alab" verify "$here/a" >"$here/out" || fail "verify: $(cat "$here/out")"
grep -q "46 cells, 46 complete, 0 differences" "$here/out" || fail "verify says $(cat "$here/out")"

# cut a log in the middle of a line, as a kill at any instant leaves it
one=$(ls "$here"/a/cells/*.badge-d8.r0.*.jsonl | grep -v timing | head -1)
cp "$one" "$here/whole"
for bytes in 700 3000 4500 $(($(wc -c <"$here/whole") - 5)); do
  head -c "$bytes" "$here/whole" >"$one"
  "$alab" run "$here/tiny.yaml" --out "$here/a" 2>"$here/err" || fail "resume from $bytes bytes"
  [ $bytes -eq 700 ] || grep -q "$(basename "$one"): dropped a torn last line" "$here/err" || fail "a dropped line must be told: $(cat "$here/err")"
  cmp -s "$one" "$here/whole" || fail "resume from $bytes bytes gave other bytes"
done

# a raised budget goes on: the same as having asked for it at once
run --out "$here/a" --set query.rounds=5 --only dataset=synthetic-text || fail "raised budget"
run --out "$here/c" --set query.rounds=5 --only dataset=synthetic-text || fail "larger budget from the start"
for log in "$here"/c/cells/synthetic-text.*.jsonl; do
  case $log in *.timing.jsonl) continue ;; esac
  cmp -s "$log" "$here/a/cells/$(basename "$log")" || fail "$(basename "$log"): a raised budget gave other bytes"
done
run --out "$here/a" --set query.rounds=2 2>"$here/err"
[ $? -eq 2 ] || fail "a budget below the log must be bad input"
grep -q -- "--out" "$here/err" || fail "it must name --out: $(cat "$here/err")"

# stops: labels cut the last batch, cost, accuracy on the hold-out
run --out "$here/d" --set stop.labels=45 --only strategy=margin --only strategy=random || fail "stop by labels"
for log in $(ls "$here"/d/cells/*margin*.jsonl | grep -v timing); do
  tail -n 1 "$log" | grep -q '"end":"labels"' || fail "the reason must be labels"
  tail -n 2 "$log" | head -n 1 | grep -q '"labels":45,' || fail "45 labels expected"
done
run --out "$here/e" --set stop.cost=2000 --only strategy=random --only dataset=synthetic-text || fail "stop by cost"
"$alab" verify "$here/e" | grep -q "more cost" && fail "the cost budget was passed"
run --out "$here/g" --set stop.accuracy=0.01 --only strategy=random || fail "stop by accuracy"
grep -h '"end":"accuracy"' "$here"/g/cells/*random*.jsonl | grep -q . || fail "the reason must be accuracy"

# one full-data reference serves all replicates of a fixed pool, but not of a model that reads the hold-out: each replicate has its own
run --out "$here/h" --set 'models[0].calibrate=temperature' --set query.rounds=1 --only strategy=full-data --only strategy=random || fail "calibrated"
for dataset in synthetic-text synthetic-images; do
  [ "$(ls "$here"/a/cells/$dataset.linear.full-data.*.jsonl | grep -vc timing)" -eq 1 ] || fail "one reference of $dataset expected"
  two=$(ls "$here"/h/cells/$dataset.linear.full-data.r[01].*.jsonl | grep -v timing)
  [ "$(echo "$two" | wc -l)" -eq 2 ] || fail "a reference a replicate of $dataset expected: $two"
  [ "$(for log in $two; do grep -o 'calibrated: temperature [^ ]*' "$log" | head -n 1; done | sort -u | wc -l)" -eq 2 ] ||
    fail "both references of $dataset were calibrated on the same rows"
done

# bad input: one line, status 2, nothing lost
expect2() { # expect2 "text" command...
  local text=$1
  shift
  "$@" >"$here/out" 2>"$here/err"
  [ $? -eq 2 ] || fail "status 2 expected: $*: $(cat "$here/err")"
  [ "$(grep -c 'alab: error' "$here/err")" -eq 1 ] || fail "one line expected: $(cat "$here/err")"
  grep -qF -- "$text" "$here/err" || fail "'$text' expected: $(cat "$here/err")"
}
sed 's/^study: tiny/study: other/' "$here/tiny.yaml" >"$here/other.yaml"
expect2 "belongs to the study 'tiny'" "$alab" run "$here/other.yaml" --out "$here/b" --quiet
expect2 "did you mean 'entropy'" "$alab" run "$here/tiny.yaml" --out "$here/x" --set strategies=[random,entropi]
expect2 "rows" "$alab" run "$here/tiny.yaml" --out "$here/x" --set initial.size=5000
expect2 "labels asked" "$alab" run "$here/tiny.yaml" --out "$here/x" --set query.rounds=900
expect2 "did you mean 'replicates'" "$alab" run "$here/tiny.yaml" --out "$here/x" --set replicate=3
expect2 "hold-out" "$alab" run "$here/tiny.yaml" --out "$here/x" --set stop.accuracy=0.5 --set holdout.size=0
expect2 "did you mean 'linear'" "$alab" run "$here/tiny.yaml" --out "$here/x" --set models=[linaer]
expect2 "no such" "$alab" run "$here/none.yaml"
[ ! -e "$here/x" ] || fail "bad input left a folder behind"
sed -i 's/"accuracy":0/"accuracy":1/' "$one"
expect2 "edited" "$alab" run "$here/tiny.yaml" --out "$here/a" --set query.rounds=5 --quiet
"$alab" verify "$here/a" >"$here/out" 2>/dev/null
[ $? -eq 1 ] || fail "verify must find the edited log"

# another run holds a cell's log
log=$(ls "$here"/b/cells/*entropy.r0.*.jsonl | grep -v timing | head -1)
head -c 2500 "$log" >"$here/part" && cp "$here/part" "$log"
(
  flock 9
  run --out "$here/b" 2>"$here/err"
  [ $? -eq 2 ] || fail "a locked log must be bad input: $(cat "$here/err")"
  grep -q "in use by another run" "$here/err" || fail "locked: $(cat "$here/err")"
) 9<>"$log" || exit 1
run --out "$here/b" || fail "after the lock is gone"

# Ctrl-C finishes the line and says how to go on
cat >"$here/long.yaml" <<Y
study: long
datasets: [{name: synthetic-text, size: 3000, test_size: 100}]
models: [{name: linear, l2: 0.1}]
strategies: [badge]
replicates: 1
initial: {size: 50}
query: {batch: 10, rounds: 250}
Y
"$alab" prepare "$here/long.yaml" >/dev/null 2>&1
"$alab" run "$here/long.yaml" --out "$here/long" 2>"$here/err" &
pid=$!
sleep 4
kill -INT $pid
wait $pid
status=$?
[ $status -eq 130 ] || fail "Ctrl-C: status $status: $(cat "$here/err")"
grep -q "go on with: alab run" "$here/err" || fail "Ctrl-C must say how to go on: $(cat "$here/err")"
tail -c 1 "$(ls "$here"/long/cells/*badge*.jsonl | grep -v timing)" | od -c | grep -q '\\n' || fail "the last line is torn"

# exports, show, report
"$alab" export "$here/b" --format csv -o "$here/b.csv" || fail "export csv"
[ "$(wc -l <"$here/b.csv")" -eq 223 ] || fail "223 lines expected, $(wc -l <"$here/b.csv") found"
"$alab" export "$here/b" --format sqlite -o "$here/b.db" || fail "export sqlite"
if command -v sqlite3 >/dev/null; then
  [ "$(sqlite3 "$here/b.db" 'select count(*) from rounds')" = 222 ] || fail "222 rounds expected in the database"
  sqlite3 "$here/b.db" "select mean from summaries where metric = 'accuracy' limit 1" | grep -q . || fail "the view is empty"
fi
"$alab" show "$here/b/cells/$(basename "$(ls "$here"/b/cells/synthetic-images*margin.r0*.jsonl | grep -v timing)")" --round 1 |
  grep -q "score" || fail "show"
"$alab" report "$here/b" --formats html,csv >"$here/table" 2>/dev/null || fail "report"
grep -q "^badge-d8 " "$here/table" || fail "the table lacks a strategy"
grep -q "Learning curves" "$here/b/report/index.html" || fail "the page lacks a figure"
grep -q "Left out: combinations" "$here/b/report/index.html" && fail "nothing was left out here"

# every strategy of the registry runs in the loop, or is left out by name
# (those that are made of others need parameters: composed.sh, exec.sh; bait refuses 10 classes x 784 pixels without dims)
names=$("$alab" list strategies | awk '$2 != "composed" && $2 != "adaptive" {print $1}' | paste -sd, -)
cat >"$here/every.yaml" <<Y
study: every
replicates: 1
datasets: [{name: synthetic-text, size: 150, test_size: 50, classes: 5}, {name: synthetic-images, size: 150, test_size: 50}]
models: [{name: linear, l2: 0.1}]
strategies: [$(echo "$names" | sed 's/bait/{name: bait, params: {dims: 16}}/')]
initial: {size: 20}
query: {batch: 6, rounds: 2}
Y
"$alab" run "$here/every.yaml" --quiet --out "$here/every" 2>"$here/err" || fail "every strategy: $(cat "$here/err")"
"$alab" verify "$here/every" >"$here/out" || fail "every strategy: $(cat "$here/out")"
for name in $(echo "$names" | tr , ' '); do
  ls "$here"/every/cells/synthetic-text.linear."$name".r0.* >/dev/null 2>&1 || fail "$name did not run"
  "$alab" explain "$name" >"$here/out" || fail "explain $name"
  for part in Definition Cost; do grep -q "$part" "$here/out" || fail "explain $name lacks $part"; done
done

# a full disk: every line that was written stays, nothing is torn, and the same command goes on when there is room. A limit on the size of
# files stands for the disk; /dev/full is one, and must still be a device afterwards.
(
  trap '' XFSZ
  ulimit -f 8
  run --out "$here/full" --only strategy=random --only strategy=margin 2>"$here/err"
  [ $? -eq 3 ] || fail "a full disk: status 3 expected: $(cat "$here/err")"
) || exit 1
grep -q "disk full" "$here/err" || fail "a full disk: $(cat "$here/err")"
run --out "$here/full" --only strategy=random --only strategy=margin || fail "after the full disk"
for log in "$here"/full/cells/*.jsonl; do
  case $log in *.timing.jsonl) continue ;; esac
  cmp -s "$log" "$here/b/cells/$(basename "$log")" || fail "$(basename "$log"): other bytes after a full disk"
done
if [ -c /dev/full ]; then
  "$alab" export "$here/b" --format csv >/dev/full 2>"$here/err"
  [ $? -eq 3 ] || fail "export to a full disk"
  "$alab" export "$here/b" --format csv -o /dev/full 2>"$here/err"
  [ $? -eq 3 ] || fail "export -o to a full disk"
  "$alab" query random -n 3 --rows 10 -o /dev/full 2>"$here/err"
  [ $? -eq 3 ] || fail "query -o to a full disk"
  [ -c /dev/full ] || fail "a device was replaced by a file"
fi
echo ok
