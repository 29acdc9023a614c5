# alab pretrain: the same file twice and after an interruption, what it says it has read, recipes that are refused, and weights that
# `run` takes or, when they have read one of its test rows, refuses. The text half needs BERT's vocabulary (ALAB_MIRROR).
set -u
alab=$1
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
export ALAB_DATA=$here/cache
ALAB_MIRROR_FOR_TEXT=${ALAB_MIRROR:-}
unset ALAB_MIRROR

fail() { echo "FAIL: $*"; exit 1; }
"$alab" pretrain "$here/none.yaml" 2>"$here/err"
grep -q "built without" "$here/err" && { echo "skipped: built without libtorch"; exit 77; }

cat >"$here/turns.yaml" <<Y
model: {name: resnet, width: 4, stages: 2, stem: 3x3s2}
data: [{name: synthetic-images, size: 300, test_size: 60}]
objectives: {rotation: 1}
steps: 30
train: {batch: 16, lr: 0.003}
out: turns.safetensors
Y
"$alab" pretrain "$here/turns.yaml" --quiet || fail "rotation"
cp "$here/turns.safetensors" "$here/first"
"$alab" pretrain "$here/turns.yaml" --quiet || fail "rotation again"
cmp -s "$here/first" "$here/turns.safetensors" || fail "the same recipe gave another file"
"$alab" pretrain "$here/turns.yaml" --quiet --set seed=2 --set out=other.safetensors || fail "another seed"
cmp -s "$here/first" "$here/other.safetensors" && fail "another seed gave the same file"
n=$("$alab" pretrain "$here/turns.yaml" --minutes 1 2>/dev/null) || fail "measuring"
[ "$n" -gt 10 ] || fail "only $n steps a minute"

# an interruption leaves a checkpoint, and the run that goes on ends in the same bytes
"$alab" pretrain "$here/turns.yaml" --quiet --set steps=1500 --set out=long.safetensors || fail "a longer run"
"$alab" pretrain "$here/turns.yaml" --set steps=1500 --set out=cut.safetensors 2>"$here/err" &
pid=$!
sleep 1
kill -INT $pid
wait $pid
status=$?
if [ $status -eq 130 ]; then
  grep -q "go on with: alab pretrain" "$here/err" || fail "an interruption must say how to go on: $(cat "$here/err")"
  [ -e "$here/cut.safetensors.checkpoint" ] || fail "no checkpoint"
  [ ! -e "$here/cut.safetensors" ] || fail "a file before the end"
  "$alab" pretrain "$here/turns.yaml" --set steps=1500 --set out=cut.safetensors 2>"$here/err" || fail "going on: $(cat "$here/err")"
  grep -q "going on at step" "$here/err" || fail "it started anew: $(cat "$here/err")"
else
  [ $status -eq 0 ] || fail "an interrupted run: status $status: $(cat "$here/err")"
fi
[ ! -e "$here/cut.safetensors.checkpoint" ] || fail "the checkpoint stayed"
cmp -s <(tail -c 3000 "$here/long.safetensors") <(tail -c 3000 "$here/cut.safetensors") || fail "an interruption changed the weights"
printf 'rubbish' >"$here/cut.safetensors.checkpoint"
"$alab" pretrain "$here/turns.yaml" --set out=cut.safetensors 2>"$here/err" || fail "a damaged checkpoint"
grep -q "starting anew" "$here/err" || fail "a damaged checkpoint must be told: $(cat "$here/err")"
head -c 3000000 /dev/zero >"$here/cut.safetensors.checkpoint" # that of a larger network
"$alab" pretrain "$here/turns.yaml" --set out=cut.safetensors 2>"$here/err" || fail "a larger checkpoint: $(cat "$here/err")"
grep -q "starting anew" "$here/err" || fail "a larger checkpoint must be told: $(cat "$here/err")"

# recipes that are refused, one line each
refused() { # refused "text" overrides...
  local text=$1
  shift
  "$alab" pretrain "$here/turns.yaml" "$@" >"$here/out" 2>"$here/err"
  [ $? -eq 2 ] || fail "status 2 expected: $*: $(cat "$here/err")"
  grep -qF -- "$text" "$here/err" || fail "'$text' expected: $(cat "$here/err")"
}
refused "rotation is of resnet" --set "model={name: bert}"
refused "at least one" --set "objectives={rotation: 0}"
refused "svd, mlm, bow and contrastive are of bert" --set objectives.mlm=1
refused "unknown key 'step'" --set step=3
refused "images only" --set "data=[{name: synthetic-text, size: 200}]"
refused "must be even" --set train.batch=15

# the weights load, and a study whose test rows they have read is refused
cat >"$here/study.yaml" <<Y
study: study
replicates: 1
datasets: [{name: synthetic-images, size: 300, test_size: 60}]
models: [{name: resnet, width: 4, stages: 2, stem: 3x3s2, weights: $here/turns.safetensors, missing: random, train: {epochs: 1}}]
strategies: [random]
initial: {size: 20}
query: {batch: 10, rounds: 1}
Y
"$alab" run "$here/study.yaml" --quiet --out "$here/study" 2>"$here/err" || fail "the weights do not load: $(cat "$here/err")"
mkdir -p "$here/images/even" "$here/images/odd"
for i in $(seq 40); do
  class=$([ $((i % 2)) -eq 0 ] && echo even || echo odd)
  { printf 'P5 8 8 255\n'; for p in $(seq 64); do printf "\\$(printf %03o $(((i * p * p + 7 * i) % 256)))"; done; } >"$here/images/$class/$i.pgm"
done
cat >"$here/mine.yaml" <<Y
model: {name: resnet, width: 4, stages: 2, stem: 3x3s2}
data: [{name: mine, format: image-folder, train: images}]
objectives: {rotation: 1}
steps: 2
train: {batch: 8}
out: mine.safetensors
Y
"$alab" pretrain "$here/mine.yaml" --quiet 2>"$here/err"
[ $? -eq 2 ] || fail "a set without an official test part needs split_seed"
grep -q "split_seed" "$here/err" || fail "split_seed must be asked for: $(cat "$here/err")"
"$alab" pretrain "$here/mine.yaml" --quiet --set split_seed=5 || fail "a set of one's own: $(cat "$here/err")"
cat >"$here/own.yaml" <<Y
study: own
seed: 5
replicates: 1
datasets: [{name: mine, format: image-folder, train: images}]
models: [{name: resnet, width: 4, stages: 2, stem: 3x3s2, weights: mine.safetensors, missing: random, train: {epochs: 1}}]
strategies: [random]
initial: {size: 10}
query: {batch: 5, rounds: 1}
Y
"$alab" run "$here/own.yaml" --quiet --out "$here/own" 2>"$here/err" || fail "the seed that the weights know: $(cat "$here/err")"
"$alab" run "$here/own.yaml" --quiet --set seed=6 --out "$here/leak" 2>"$here/err"
[ $? -eq 2 ] || fail "weights that have read test rows must be refused: $(cat "$here/err")"
grep -q "has read .* of the 8 test rows" "$here/err" || fail "it must say how many: $(cat "$here/err")"
"$alab" run "$here/own.yaml" --quiet --set seed=6 --out "$here/leak" 2>"$here/err" \
  --set "models=[{name: linear, features: {frozen: mine.safetensors}}]"
[ $? -eq 2 ] || fail "frozen features of such weights must be refused: $(cat "$here/err")"

# a checkpoint of other rows under the same names is not gone on with: what it has read would be denied
cp -r "$here/images" "$here/grown"
sed 's/^steps: 2/steps: 3000/; s/train: images/train: grown/; s/^out: .*/out: grown.safetensors/' "$here/mine.yaml" >"$here/grown.yaml"
"$alab" pretrain "$here/grown.yaml" --set split_seed=5 2>"$here/err" &
pid=$!
sleep 1
kill -INT $pid
if ! wait $pid; then
  cp "$here/grown/even/2.pgm" "$here/grown/odd/new.pgm"
  "$alab" pretrain "$here/grown.yaml" --set split_seed=5 2>"$here/err" || fail "other rows: $(cat "$here/err")"
  grep -q "starting anew" "$here/err" || fail "a checkpoint of other rows was gone on with: $(cat "$here/err")"
fi

# a train row that the test part holds too is not read: the official split of a set with twins
mkdir -p "$here/twins"
cp -r "$here/images" "$here/twins/train"
mkdir -p "$here/twins/test/even" "$here/twins/test/odd"
for i in 2 4; do cp "$here/images/even/$i.pgm" "$here/twins/test/even/twin$i.pgm"; done
printf 'P5 8 8 255\n%064d' 7 >"$here/twins/test/odd/own.pgm"
"$alab" pretrain "$here/mine.yaml" --set "data=[{name: twins, format: image-folder, train: twins/train, test: twins/test}]" \
  --set out=twins.safetensors 2>"$here/err" || fail "a set with twins: $(cat "$here/err")"
grep -q "2 of the 40 train rows of twins are left out" "$here/err" || fail "the twins must be told: $(cat "$here/err")"
"$alab" run "$here/own.yaml" --quiet --out "$here/twin-run" 2>"$here/err" \
  --set "datasets=[{name: twins, format: image-folder, train: twins/train, test: twins/test}]" \
  --set "models[0].weights=twins.safetensors" || fail "weights that left the twins out: $(cat "$here/err")"

# text: all objectives at once, and the svd start alone
if [ -z "${ALAB_MIRROR_FOR_TEXT:-}" ]; then
  echo "ok; the text half was skipped: no mirror folder"
  exit 0
fi
export ALAB_MIRROR=$ALAB_MIRROR_FOR_TEXT
"$alab" fetch bert-base-uncased-vocab >/dev/null 2>&1 || { echo "ok; the text half was skipped: no vocabulary"; exit 0; }
cat >"$here/words.yaml" <<Y
model: {name: bert, size: tiny, max_tokens: 24}
data: [{name: synthetic-text, size: 200, test_size: 50}]
objectives: {svd: 1, mlm: 1, bow: 1, contrastive: 0.5}
steps: 6
train: {batch: 8, candidates: 256}
out: words.safetensors
Y
"$alab" pretrain "$here/words.yaml" --quiet || fail "text"
cp "$here/words.safetensors" "$here/first"
"$alab" pretrain "$here/words.yaml" --quiet || fail "text again"
cmp -s "$here/first" "$here/words.safetensors" || fail "the same text recipe gave another file"
for name in alab.token_ids alab.rows_read embeddings.word_embeddings.weight encoder.layer.1.output.dense.weight; do
  head -c 20000 "$here/first" | grep -aq "\"$name\"" || fail "the file lacks $name"
done
head -c 20000 "$here/first" | grep -aq "cls.predictions" && fail "the objectives' heads are in the file"
"$alab" pretrain "$here/words.yaml" --quiet --set steps=0 --set "objectives={svd: 1}" --set train.precision=f16 || fail "the svd start alone"
cmp -s "$here/first" "$here/words.safetensors" && fail "no step gave the file of six"
cat >"$here/fine.yaml" <<Y
study: fine
replicates: 1
datasets: [{name: synthetic-text, size: 200, test_size: 50}]
models: [{name: bert, weights: words.safetensors, missing: random, max_tokens: 24, train: {epochs: 1}}]
strategies: [random]
initial: {size: 16}
query: {batch: 8, rounds: 1}
Y
"$alab" run "$here/fine.yaml" --quiet --out "$here/fine" 2>"$here/err" || fail "the text weights do not load: $(cat "$here/err")"
echo ok
