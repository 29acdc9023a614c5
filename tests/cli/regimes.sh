# Training regimes through the program: the same bytes whatever --jobs, and a killed cell that starts warm goes on to the same bytes with
# its checkpoint, without it, and with a damaged one.
set -u
alab=$1
"$alab" list models | grep -q '^resnet ' || { echo "built without libtorch"; exit 77; }
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
export ALAB_DATA=$here/cache
fail() { echo "FAIL: $*"; exit 1; }

cat >"$here/r.yaml" <<'Y'
study: regimes
replicates: 1
datasets: [{name: synthetic-images, size: 150, test_size: 40, classes: 3}]
models:
  - {name: resnet, as: warm, width: 4, stages: 2, stem: 3x3s2, weights: none, calibrate: temperature, train: {epochs: 3, start: warm}}
  - {name: resnet, as: members, width: 4, stages: 2, stem: 3x3s2, weights: none, mc: {by: ensemble, passes: 2}, train: {epochs: 3, optimiser: sgd}}
  - {name: resnet, as: stopped, width: 4, stages: 2, stem: 3x3s2, weights: none,
     train: {epochs: 6, early_stop: {patience: 2}, class_weights: balanced, augment: crop-flip, micro_batch: 9, dropout: 0}}
strategies: [random, bald]
initial: {size: 24}
query: {batch: 8, rounds: 3}
holdout: {size: 20}
evaluate: {sample: 40}
Y
run() { "$alab" run "$here/r.yaml" --quiet "$@" 2>"$here/err" || fail "run $*: $(cat "$here/err")"; }
run --out "$here/a" --jobs 2
run --out "$here/b" --jobs 1
# without dropout there are no stochastic passes by it: bald is left out
[ -z "$(ls "$here"/a/cells/*.stopped.bald.* 2>/dev/null)" ] || fail "bald ran on a model without dropout"
n=0
for log in "$here"/a/cells/*.jsonl; do
  case $log in *.timing.jsonl) continue ;; esac
  cmp -s "$log" "$here/b/cells/$(basename "$log")" || fail "$(basename "$log") differs with other --jobs"
  n=$((n + 1))
done
[ "$n" -eq 8 ] || fail "expected 5 cells and 3 references, found $n"
grep -q '"early stop: pass ' "$here"/a/cells/*.stopped.random.*.jsonl || fail "no note of the early stop"
grep -q '"calibrated: temperature ' "$here"/a/cells/*.warm.random.*.jsonl || fail "no note of the temperature"

log=$(ls "$here"/a/cells/*.warm.bald.*.jsonl | grep -v timing)
name=$(basename "$log" .jsonl)
checkpoints() { ls "$here/a/cells" | grep -c "^$name.*\.fit$"; }
[ "$(checkpoints)" -eq 2 ] || fail "two checkpoints are kept, not $(checkpoints)"
[ "$(ls "$here"/a/cells/*.fit | wc -l)" -eq 4 ] || fail "checkpoints of models that start cold: $(ls "$here"/a/cells/*.fit)"
for digest in $(tail -n 3 "$log" | head -n 2 | grep -o '"checkpoint":"[0-9a-f]*"' | cut -d'"' -f4); do
  [ -f "$here/a/cells/$name.$digest.fit" ] || fail "the checkpoint $digest of the log is not there"
done
cp "$log" "$here/whole"
cut() { head -n 3 "$here/whole" >"$log"; } # header, rounds 0 and 1
# a run that stops after two rounds keeps their checkpoints: make that state, then go on from it in three ways
"$alab" run "$here/r.yaml" --quiet --out "$here/c" --only model=warm --set query.rounds=1 || fail "two rounds"
mkdir "$here/kept" && cp "$here"/c/cells/"$name".*.fit "$here/kept/"
[ "$(ls "$here/kept" | wc -l)" -eq 2 ] || fail "no checkpoints of two rounds"
for way in whole without damaged; do
  rm -f "$here"/a/cells/"$name".*.fit
  cut
  [ $way = without ] || cp "$here"/kept/* "$here/a/cells/"
  if [ $way = damaged ]; then
    for file in "$here"/a/cells/"$name".*.fit; do printf 'XY' | dd of="$file" conv=notrunc bs=1 seek=4000 2>/dev/null; done
  fi
  "$alab" run "$here/r.yaml" --out "$here/a" --jobs 1 2>"$here/err" || fail "$way: $(cat "$here/err")"
  cmp -s "$log" "$here/whole" || fail "resumed $way to other bytes"
  if [ $way = whole ]; then
    grep -q 'made again' "$here/err" && fail "the checkpoint was not used"
  else
    grep -q '2 fits are made again' "$here/err" || fail "$way: nothing said of the fits that are made again: $(cat "$here/err")"
  fi
  [ "$(checkpoints)" -eq 2 ] || fail "$way: two checkpoints are kept, not $(checkpoints)"
done
# a raised budget goes on where the finished cell ended
"$alab" run "$here/r.yaml" --quiet --out "$here/a" --only model=warm --only strategy=bald --set query.rounds=4 || fail "a raised budget"
"$alab" run "$here/r.yaml" --quiet --out "$here/d" --only model=warm --only strategy=bald --set query.rounds=4 || fail "the whole budget"
cmp -s "$log" "$here/d/cells/$name.jsonl" || fail "a raised budget goes on to other bytes"
"$alab" verify "$here/a" >"$here/out" || fail "verify: $(cat "$here/out")"

refused() { # text of the message, what to --set
  "$alab" run "$here/r.yaml" --out "$here/x" --set "$2" >"$here/out" 2>"$here/err"
  [ $? -eq 2 ] || fail "$2: status is not 2: $(cat "$here/err")"
  grep -q -- "$1" "$here/err" || fail "$2: the message lacks '$1': $(cat "$here/err")"
}
refused 'reads the hold-out; give holdout' 'holdout.size=0'
refused 'what is tuned starts cold' 'models[0].tune={train.lr: [0.01, 0.001], by: cv}'
refused "must be a whole number\|lacks\|missing\|must be given" 'models[2].train.early_stop={}'
echo "ok, $n logs"
