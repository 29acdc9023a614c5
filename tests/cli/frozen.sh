# Studies on a frozen encoder, run through the program: encoded once, the same bytes whatever --jobs and whether the cache is there, cells
# named by the weights' content and not by their path, and the weights' hash in the log. The weights are made here.
set -u
alab=$1
"$alab" list models | grep -q '^resnet ' || { echo "built without libtorch"; exit 77; }
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
export ALAB_DATA=$here/cache
fail() { echo "FAIL: $*"; exit 1; }

cat >"$here/weights.py" <<'P'
# A ResNet-18 of width 16 and two stages, random from a seed: weights.py SEED FILE
import json, random, struct, sys
draw, header, data = random.Random(int(sys.argv[1])), {}, b""
def put(name, shape, centre, scale):
    global data
    n = 1
    for size in shape: n *= size
    values = struct.pack(f"<{n}f", *(centre + scale * draw.gauss(0, 1) for _ in range(n)))
    header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(values)]}
    data += values
def norm(name, n):
    for part, centre in (("weight", 1), ("bias", 0), ("running_mean", 0), ("running_var", 1)): put(f"{name}.{part}", [n], centre, 0.01)
put("conv1.weight", [16, 3, 7, 7], 0, 0.1); norm("bn1", 16)
for stage in (1, 2):
    for block in (0, 1):
        at, n = f"layer{stage}.{block}.", 16 * stage
        m = n // 2 if stage == 2 and block == 0 else n
        put(at + "conv1.weight", [n, m, 3, 3], 0, 0.1); norm(at + "bn1", n)
        put(at + "conv2.weight", [n, n, 3, 3], 0, 0.1); norm(at + "bn2", n)
        if m != n: put(at + "downsample.0.weight", [n, m, 1, 1], 0, 0.3); norm(at + "downsample.1", n)
text = json.dumps(header).encode()
open(sys.argv[2], "wb").write(struct.pack("<Q", len(text)) + text + data)
P
python3 "$here/weights.py" 1 "$here/one.safetensors" || { echo "no python3"; exit 77; }
python3 "$here/weights.py" 2 "$here/two.safetensors"
cat >"$here/frozen.yaml" <<'Y'
study: frozen
replicates: 2
datasets:
  - {name: synthetic-images, size: 1200, test_size: 100, classes: 4, pool: 300, representation: {frozen: one.safetensors, stage: 1}}
models:
  - {name: linear, features: {frozen: one.safetensors}, l2: 1}
  - {name: mlp, features: {frozen: one.safetensors}, hidden: 16, train: {epochs: 5}}
strategies: [random, margin, k-center]
initial: {size: 20, method: k-center}
query: {batch: 10, rounds: 3}
Y
run() { "$alab" run "$here/frozen.yaml" "$@" 2>"$here/err" || fail "run $*: $(cat "$here/err")"; }
run --out "$here/a" --jobs 2
# two stages are two files, each made once; the notice says so
[ "$(grep -c 'encoding synthetic-images, once' "$here/err")" -eq 2 ] || fail "encoded other than twice: $(cat "$here/err")"
[ "$(ls "$here/cache/encoded" | wc -l)" -eq 2 ] || fail "files in the cache: $(ls "$here/cache/encoded")"
run --out "$here/b" --jobs 1
grep -q 'encoding' "$here/err" && fail "encoded again: $(cat "$here/err")"
rm -r "$here/cache"
run --out "$here/c" --jobs 2
# the working folder and the file's name are no settings
mkdir "$here/elsewhere"
mv "$here/one.safetensors" "$here/elsewhere/other.safetensors"
sed 's#one.safetensors#elsewhere/other.safetensors#' "$here/frozen.yaml" >"$here/moved.yaml"
(cd / && "$alab" run "$here/moved.yaml" --quiet --out "$here/d" --jobs 2) || fail "run with moved weights"
n=0
for log in "$here"/a/cells/*.jsonl; do
  case $log in *.timing.jsonl) continue ;; esac
  name=$(basename "$log")
  cmp -s "$log" "$here/b/cells/$name" || fail "$name differs with other --jobs"
  cmp -s "$log" "$here/c/cells/$name" || fail "$name differs with a new cache"
  [ -f "$here/d/cells/$name" ] || fail "$name is another cell where the weights have another path"
  n=$((n + 1))
done
[ "$n" -eq 15 ] || fail "expected 12 cells and 3 references, found $n"
# other content is another cell, and another hash in the log
mv "$here/two.safetensors" "$here/one.safetensors"
run --out "$here/e" --jobs 2
python3 - "$here" <<'P' || fail "hashes in the logs"
import glob, json, os, sys
def headers(study):
    found = {}
    for path in glob.glob(f"{sys.argv[1]}/{study}/cells/*.jsonl"):
        if not path.endswith(".timing.jsonl"): found[os.path.basename(path)] = json.loads(open(path).readline())
    return found
a, e = headers("a"), headers("e")
assert not set(a) & set(e), "cells of other weights have the same name"
hashes = [{h["weights"] for h in s.values()} for s in (a, e)]
assert all(len(h) == 1 and len(next(iter(h))) == 32 for h in hashes) and hashes[0] != hashes[1], hashes
assert all(h["dataset"]["representation_weights"] == h["weights"] for s in (a, e) for h in s.values())
P
best=$("$alab" export "$here/a" --format csv | python3 -c 'import csv, sys; print(max(float(r["accuracy"]) for r in csv.DictReader(sys.stdin)))')
python3 -c "import sys; sys.exit(not $best > 0.5)" || fail "best accuracy of four classes is $best"
"$alab" verify "$here/a" >"$here/out" || fail "verify: $(cat "$here/out")"

refused() { # status, text of the message, what to --set
  "$alab" run "$here/frozen.yaml" --out "$here/x" --only model=linear --set "$3" >"$here/out" 2>"$here/err"
  [ $? -eq "$1" ] || fail "$3: status is not $1: $(cat "$here/err")"
  grep -q -- "$2" "$here/err" || fail "$3: the message lacks '$2': $(cat "$here/err")"
}
refused 2 'have 2 stages' 'models[0].features.stage=3'
refused 2 "unknown key 'layers'" 'models[0].features.layers=3'
refused 3 'no such weights' 'models[0].features.frozen=none.safetensors'
refused 2 'features.pooling: is not for a ResNet' 'models[0].features.pooling=cls'
refused 2 'have 2 stages' 'datasets[0].representation.stage=4'
refused 2 'give svd, pca, standardised or {frozen' 'datasets[0].representation=wavelets'
refused 3 'no such weights' 'datasets[0].representation.frozen=none.safetensors'
refused 2 "did you mean 'resnet18-imagenet-trunk3'" 'datasets[0].representation.frozen=resnet18-imagenet-trunk4'
head -c 1000 "$here/elsewhere/other.safetensors" >"$here/one.safetensors"
refused 2 'not a usable safetensors file' 'query.batch=10'
echo "ok, $n logs"
