# The perceptron through the program, dense and sparse: the same bytes whatever --jobs and what else runs, strategies that read head, h and
# passes, and a killed cell that starts warm goes on to the same bytes.
set -u
alab=$1
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
export ALAB_DATA=$here/cache
fail() { echo "FAIL: $*"; exit 1; }

cat >"$here/m.yaml" <<'Y'
study: perceptron
replicates: 1
datasets: [{name: synthetic-text, size: 200, test_size: 60, classes: 4}, {name: synthetic-images, size: 200, test_size: 60, classes: 4}]
models:
  - {name: mlp, hidden: 12, train: {epochs: 5}}
  - {name: mlp, as: sampled, hidden: 12, layers: 2, mc: {by: bootstrap, passes: 3}, calibrate: temperature, train: {epochs: 5, early_stop: {patience: 3}}}
  - {name: mlp, as: warm, hidden: 12, train: {epochs: 3, start: warm, class_weights: balanced}}
strategies: [bald, badge, egl, alfa-mix]
initial: {size: 24}
query: {batch: 8, rounds: 3}
holdout: {size: 20}
Y
run() { "$alab" run "$here/m.yaml" --quiet "$@" 2>"$here/err" || fail "run $*: $(cat "$here/err")"; }
run --out "$here/a" --jobs 2
run --out "$here/b" --jobs 1
n=0
for log in "$here"/a/cells/*.jsonl; do
  case $log in *.timing.jsonl) continue ;; esac
  cmp -s "$log" "$here/b/cells/$(basename "$log")" || fail "$(basename "$log") differs with other --jobs"
  n=$((n + 1))
done
[ "$n" -eq 30 ] || fail "expected 24 cells and 6 references, found $n"
run --out "$here/c" --only model=sampled --only strategy=egl
for log in "$here"/c/cells/*.egl.*.jsonl; do
  case $log in *.timing.jsonl) continue ;; esac
  cmp -s "$log" "$here/a/cells/$(basename "$log")" || fail "$(basename "$log") differs alone"
done
grep -q '"early stop: pass ' "$here"/a/cells/*.sampled.egl.*.jsonl || fail "no note of the early stop"
grep -q '"calibrated: temperature ' "$here"/a/cells/*.sampled.egl.*.jsonl || fail "no note of the temperature"
for log in "$here"/a/cells/*.warm.badge.*.jsonl; do
  case $log in *.timing.jsonl) continue ;; esac
  name=$(basename "$log" .jsonl)
  cp "$log" "$here/whole"
  run --out "$here/d" --only model=warm --only strategy=badge --set query.rounds=1
  for way in whole without; do
    rm -f "$here"/a/cells/"$name".*.fit
    head -n 3 "$here/whole" >"$log" # header, rounds 0 and 1
    [ $way = without ] || cp "$here"/d/cells/"$name".*.fit "$here/a/cells/"
    "$alab" run "$here/m.yaml" --out "$here/a" 2>"$here/err" || fail "$way: $(cat "$here/err")"
    cmp -s "$log" "$here/whole" || fail "$name resumed $way to other bytes"
    if [ $way = whole ]; then
      grep -q 'made again' "$here/err" && fail "the checkpoint was not used"
    else
      grep -q '2 fits are made again' "$here/err" || fail "nothing said of the fits that are made again: $(cat "$here/err")"
    fi
  done
done
"$alab" verify "$here/a" >"$here/out" || fail "verify: $(cat "$here/out")"
refused() { # text of the message, what to --set
  "$alab" run "$here/m.yaml" --out "$here/x" --set "$2" >"$here/out" 2>"$here/err"
  [ $? -eq 2 ] || fail "$2: status is not 2: $(cat "$here/err")"
  grep -q -- "$1" "$here/err" || fail "$2: the message lacks '$1': $(cat "$here/err")"
}
"$alab" run "$here/m.yaml" --out "$here/x" --set 'models[2].mc={by: ensemble}' 2>"$here/err" >"$here/out"
grep -q 'left out: .* with warm .*start cold' "$here/err" || fail "an ensemble that starts warm is not left out: $(cat "$here/err")"
refused "unknown key 'regime'" 'models[0].train.regime=full'
refused 'reads the hold-out; give holdout' 'holdout.size=0'
"$alab" run "$here/m.yaml" --out "$here/x" --quiet --only model=mlp --only strategy=egl \
  --set 'models[0].train={optimiser: sgd, lr: 10, clip: 0, weight_decay: 10}' >"$here/out" 2>"$here/err" && fail "a diverged fit passed"
grep -q 'training diverged at step .*; lower train.lr' "$here/err" || fail "nothing said of the divergence: $(cat "$here/err")"
echo "ok, $n logs"
