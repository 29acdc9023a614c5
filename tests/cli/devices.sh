# The key `device`: cpu is what leaving it out is, another word is bad input, and cuda where libtorch has none is one line and status 3
# before anything is run. Where a GPU is found the same small study runs on it, twice to the same bytes and as other cells than the CPU's.
set -u
alab=$1
"$alab" list models | grep -q '^resnet ' || { echo "built without libtorch"; exit 77; }
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
export ALAB_DATA=$here/cache
fail() { echo "FAIL: $*"; exit 1; }

cat >"$here/turns.yaml" <<'Y'
model: {name: resnet, width: 4, stages: 2, stem: 3x3s2}
data: [{name: synthetic-images, size: 300, test_size: 60}]
objectives: {rotation: 1}
steps: 4
train: {batch: 16, lr: 0.003}
out: turns.safetensors
Y
cat >"$here/study.yaml" <<'Y'
study: devices
replicates: 1
datasets: [{name: synthetic-images, size: 120, test_size: 40, classes: 4}]
models: [{name: resnet, width: 8, stages: 2, stem: 3x3s2, weights: none, train: {epochs: 2}}]
strategies: [random, entropy]
initial: {size: 20}
query: {batch: 8, rounds: 1}
Y
frozen="models=[{name: linear, features: {frozen: $here/turns.safetensors}}]"
frozen_cuda="models=[{name: linear, features: {frozen: $here/turns.safetensors, device: cuda}}]"
cells() { ls "$1/cells" | grep -v timing; }

# device: cpu is the default: the same cells, the same bytes, the same file of a recipe
"$alab" pretrain "$here/turns.yaml" --quiet || fail "a recipe"
"$alab" pretrain "$here/turns.yaml" --quiet --set device=cpu --set out=named.safetensors || fail "a recipe with device: cpu"
cmp -s <(tail -c 2000 "$here/turns.safetensors") <(tail -c 2000 "$here/named.safetensors") || fail "device: cpu changed a recipe's weights"
"$alab" run "$here/study.yaml" --quiet --out "$here/a" || fail "a run"
"$alab" run "$here/study.yaml" --quiet --out "$here/b" --set models[0].device=cpu || fail "a run with device: cpu"
for log in $(cells "$here/a"); do cmp -s "$here/a/cells/$log" "$here/b/cells/$log" || fail "device: cpu is not the default in $log"; done
"$alab" run "$here/study.yaml" --quiet --out "$here/f" --set "$frozen" || fail "frozen features"

refused() { # status, text of the message, command...
  local wanted=$1 text=$2
  shift 2
  "$alab" "$@" >"$here/out" 2>"$here/err"
  local status=$?
  [ $status -eq "$wanted" ] || fail "$*: status $status is not $wanted: $(cat "$here/err")"
  grep -qF -- "$text" "$here/err" || fail "$*: the message lacks '$text': $(cat "$here/err")"
}
refused 2 "models[0].device" run "$here/study.yaml" --out "$here/x" --set models[0].device=gpu
refused 2 "device" pretrain "$here/turns.yaml" --set device=tpu
"$alab" explain resnet | grep -q '^ *device' || fail "explain does not name the key"

if "$alab" run "$here/study.yaml" --quiet --out "$here/c" --set models[0].device=cuda 2>"$here/err"; then
  "$alab" run "$here/study.yaml" --quiet --out "$here/d" --set models[0].device=cuda --jobs 2 || fail "a second run on the GPU"
  for log in $(cells "$here/c"); do
    cmp -s "$here/c/cells/$log" "$here/d/cells/$log" || fail "$log: two runs on the GPU differ"
    [ ! -e "$here/a/cells/$log" ] || fail "$log is the CPU's cell too"
  done
  grep -q '"device": *".*CUDA' "$here"/c/cells/*.timing.jsonl || fail "the timing file does not name the device"
  "$alab" run "$here/study.yaml" --quiet --out "$here/g" --set "$frozen_cuda" || fail "frozen features on the GPU"
  "$alab" pretrain "$here/turns.yaml" --quiet --set device=cuda --set out=gpu.safetensors || fail "pretraining on the GPU"
  "$alab" pretrain "$here/turns.yaml" --quiet --set device=cuda --set out=gpu2.safetensors || fail "pretraining on the GPU again"
  cmp -s <(tail -c 2000 "$here/gpu.safetensors") <(tail -c 2000 "$here/gpu2.safetensors") || fail "two pretrainings on the GPU differ"
  echo "ok, with a GPU"
  exit 0
fi

# one line, and no cell and no file
one_line() { [ "$(wc -l <"$here/err")" -eq 1 ] || fail "$1: more than one line: $(cat "$here/err")"; }
refused 3 "resnet.device: cuda: libtorch" run "$here/study.yaml" --quiet --out "$here/x" --set models[0].device=cuda
one_line "a model"
refused 3 "give cpu" run "$here/study.yaml" --quiet --out "$here/x" --set "$frozen_cuda"
grep -qF "features.device" "$here/err" || fail "the message does not name the key: $(cat "$here/err")"
one_line "frozen features"
refused 3 "representation.device: cuda" run "$here/study.yaml" --quiet --out "$here/x" \
  --set "datasets[0].representation={frozen: $here/turns.safetensors, device: cuda}"
one_line "a representation"
[ ! -e "$here/x" ] || fail "a refused study left $(find "$here/x")"
refused 3 "device: cuda" pretrain "$here/turns.yaml" --quiet --set device=cuda --set out=none/gpu.safetensors
one_line "a recipe"
[ ! -e "$here/none" ] || fail "a refused recipe left a file"
refused 3 "resnet.device: cuda" run "$here/study.yaml" --dry-run --set models[0].device=cuda
echo "ok, without a GPU: $(sed 's/.*cuda: //' "$here/err")"
