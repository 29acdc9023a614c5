# Studies with the fine-tuned networks, run through the program: the same bytes whatever --jobs and the order of cells, and a killed run
# goes on to the same bytes. ResNet on the embedded images always; BERT when a mirror folder has the vocabulary.
set -u
alab=$1
"$alab" list models | grep -q '^resnet ' || { echo "built without libtorch"; exit 77; }
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
export ALAB_DATA=$here/cache
fail() { echo "FAIL: $*"; exit 1; }

bert='' text=''
if [ -n "${ALAB_MIRROR:-}" ] && "$alab" fetch bert-base-uncased-vocab >/dev/null 2>&1; then
  bert='  - {name: bert, size: tiny, weights: none, max_tokens: 32, mc: {passes: 2}, train: {epochs: 2}}'
  text=', {name: synthetic-text, size: 120, test_size: 40, classes: 4}'
fi
cat >"$here/nets.yaml" <<Y
study: nets
replicates: 2
datasets: [{name: synthetic-images, size: 120, test_size: 60, classes: 4}$text]
models:
  - {name: resnet, width: 8, stem: 3x3s2, weights: none, train: {epochs: 15, lr: 0.005}}
$bert
strategies: [random, entropy, error-rate, k-center, badge]
initial: {size: 40}
query: {batch: 8, rounds: 2}
Y
run() { "$alab" run "$here/nets.yaml" --quiet "$@" || fail "run $*"; }
run --out "$here/a" --jobs 2
run --out "$here/b" --jobs 1 --only strategy=badge
run --out "$here/b" --jobs 1
n=0
for log in "$here"/a/cells/*.jsonl; do
  case $log in *.timing.jsonl) continue ;; esac
  cmp -s "$log" "$here/b/cells/$(basename "$log")" || fail "$(basename "$log") differs with other --jobs and order"
  n=$((n + 1))
done
if [ -n "$bert" ]; then wanted=24; else wanted=12; fi
[ "$n" -eq $wanted ] || fail "expected $wanted logs, found $n"
for one in "$here"/a/cells/*.badge.r1.*.jsonl; do
  case $one in *.timing.jsonl) continue ;; esac
  cp "$one" "$here/whole"
  head -c $(($(stat -c %s "$one") / 2)) "$here/whole" >"$one"
  run --out "$here/a"
  cmp -s "$one" "$here/whole" || fail "$(basename "$one"): resumed to other bytes"
done
# it learns: accuracy well above the quarter of four classes
best=$("$alab" export "$here/a" --format csv | python3 -c 'import csv, sys; print(max(float(r["accuracy"]) for r in csv.DictReader(sys.stdin) if r["model"] == "resnet"))')
python3 -c "import sys; sys.exit(not $best > 0.4)" || fail "resnet's best accuracy is $best"
"$alab" verify "$here/a" >"$here/out" || fail "verify: $(cat "$here/out")"
echo "ok, $n logs"
