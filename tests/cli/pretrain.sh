# alab pretrain: the same file twice and after an interruption, what it says it has read, recipes that are refused, and weights that
# `run` takes or, when they have read one of its test rows, refuses. The text half needs BERT's vocabulary (ALAB_MIRROR).
set -u
alab=$1
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
export ALAB_DATA=$here/cache

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
"$alab" run "$here/study.yaml" --quiet --out "$here/leak" --set "datasets=[{name: synthetic-images, size: 300, test_size: 60, seed: 20}]" 2>"$here/err" ||
  fail "the same set by another name of its seed"
echo ok
