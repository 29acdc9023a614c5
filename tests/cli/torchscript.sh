# Studies with TorchScript modules that docs/examples/export_torchscript.py exports: they learn, the same bytes whatever --jobs, a killed run
# goes on to the same bytes, warm starts too; what alab computes on real files is PyTorch's; bad files end in one line that says what to do.
set -u
alab=$1
"$alab" list models | grep -q '^torchscript ' || { echo "built without libtorch"; exit 77; }
python=
for candidate in python3 /usr/bin/python3; do
  "$candidate" -c "import torch" 2>/dev/null && python=$candidate && break
done
[ -n "$python" ] || { echo "python3 with torch is not here"; exit 77; }
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
export ALAB_DATA=$here/cache OMP_NUM_THREADS=1
fail() { echo "FAIL: $*"; exit 1; }
"$python" docs/examples/export_torchscript.py "$here" 2>"$here/err" || fail "the example: $(cat "$here/err")"

text='' words=''
if [ -n "${ALAB_MIRROR:-}" ] && "$alab" fetch bert-base-uncased-vocab >/dev/null 2>&1; then
  words=', {name: synthetic-text, size: 200, test_size: 100, classes: 4}'
  text='  - {name: torchscript, as: words, file: text.pt, inputs: tokens, max_tokens: 64, mc: {passes: 3}, train: {epochs: 20, lr: 0.01, dropout: 0, buckets: true}}'
fi
cat >"$here/s.yaml" <<Y
study: scripts
replicates: 1
datasets: [{name: synthetic-images, size: 200, test_size: 150, classes: 3}$words]
models:
  - {name: torchscript, as: image, file: image.pt, inputs: pixels, mc: {passes: 3}, train: {epochs: 25, lr: 0.02, dropout: 0}}
  - {name: torchscript, as: warm, file: image.pt, inputs: pixels, calibrate: temperature,
     train: {epochs: 4, lr: 0.02, start: warm, augment: crop-flip, micro_batch: 9}}
  - {name: torchscript, as: members, file: image.pt, inputs: pixels, mc: {by: ensemble, passes: 2},
     train: {epochs: 4, optimiser: sgd, regime: head-then-full, early_stop: {patience: 2}, class_weights: balanced}}
$text
strategies: [margin, badge, bald]
initial: {size: 40}
query: {batch: 10, rounds: 2}
holdout: {size: 20}
Y
run() { "$alab" run "$here/s.yaml" --quiet "$@" 2>"$here/err" || fail "run $*: $(cat "$here/err")"; }
run --out "$here/a" --jobs 2
run --out "$here/b" --jobs 1 --only strategy=badge
run --out "$here/b" --jobs 1
n=0
for log in "$here"/a/cells/*.jsonl; do
  case $log in *.timing.jsonl) continue ;; esac
  cmp -s "$log" "$here/b/cells/$(basename "$log")" || fail "$(basename "$log") differs with other --jobs and order"
  n=$((n + 1))
done
if [ -n "$text" ]; then wanted=16; else wanted=12; fi
[ "$n" -eq $wanted ] || fail "expected $wanted logs, found $n"
for one in "$here"/a/cells/*.badge.r0.*.jsonl; do
  case $one in *.timing.jsonl) continue ;; esac
  cp "$one" "$here/whole"
  head -n 2 "$here/whole" >"$one"
  run --out "$here/a"
  cmp -s "$one" "$here/whole" || fail "$(basename "$one"): resumed to other bytes"
done
# it learns: above the third of three classes and the quarter of four
"$alab" export "$here/a" --format csv >"$here/all.csv" || fail "export"
"$python" - "$here/all.csv" <<'P' || fail "accuracies: $(cut -d, -f3,5,7 "$here/all.csv")"
import csv, sys
best = {}
for row in csv.DictReader(open(sys.argv[1])):
    best[row["model"]] = max(best.get(row["model"], 0), float(row["accuracy"]))
print("best accuracies:", best)
sys.exit(not (best["image"] > 0.5 and best.get("words", 1) > 0.5))
P
"$alab" verify "$here/a" >"$here/out" || fail "verify: $(cat "$here/out")"
# the log names the file by its content, and so does the cell: the same bytes elsewhere are the same cells, others are not
mkdir "$here/else" && cp "$here/image.pt" "$here/else/other.pt"
names() { ls "$1"/cells | grep -c .; }
run --out "$here/c" --only strategy=margin --only model=image --set models[0].file=else/other.pt
for log in "$here"/c/cells/*.jsonl; do
  case $log in *.timing.jsonl) continue ;; esac
  grep '^{"round"' "$log" >"$here/lines" # the header has the path, and the last line a digest of all
  grep '^{"round"' "$here/a/cells/$(basename "$log")" | cmp -s - "$here/lines" || fail "$(basename "$log"): the same file elsewhere is another cell"
  head -n 1 "$log" | grep -q '"weights":"[0-9a-f]\{32\}"' || fail "no hash of the file in the log: $(head -n 1 "$log")"
done

# modules that end in one line, made here: name, then a part of the message
cat >"$here/bad.py" <<'P'
import sys, warnings, zipfile
import torch
from torch import nn
warnings.simplefilter("ignore")
folder = sys.argv[1] + "/"
class Base(nn.Module):
    def __init__(self):
        super().__init__()
        self.c = nn.Conv2d(1, 4, 3)
        self.d = nn.Dropout(0.5)
        self.seen = 0
        self.register_buffer("sum", torch.zeros(1))
    def h(self, x):
        return self.d(self.c(x)).mean((2, 3))
class Two(Base):
    def forward(self, x, y):
        return self.h(x) + y
class Maps(Base):
    def forward(self, x):
        return self.c(x)
class Pair(Base):
    def forward(self, x):
        return self.h(x), x
class Double(Base):
    def forward(self, x):
        return self.h(x).double()
class Infinite(Base):
    def forward(self, x):
        return self.h(x) / 0.0
class Throws(Base):
    def forward(self, x):
        if x.size(0) > 0:
            raise ValueError("no such luck")
        return self.h(x)
class Shapes(Base):
    def forward(self, x):
        return torch.matmul(self.h(x), torch.zeros(7, 3))
class Random(Base):
    def forward(self, x):
        return self.h(x) + torch.rand(4)
class Detached(Base):
    def forward(self, x):
        return self.h(x).detach()
class Remembers(Base):
    def forward(self, x):
        self.sum += 1.0
        return self.h(x)
class Gpu(Base):
    def forward(self, x):
        return self.h(x.to("cuda"))
class Plain(Base):
    def forward(self, x):
        return self.h(x)
class Mixes(Base):
    def forward(self, x):
        return self.h(x) - self.h(x).mean(0)
class Counts(Base):  # fine: the number is put back
    def forward(self, x):
        self.seen += 1
        return self.h(x) + 0.0 * self.seen
for make in (Two, Maps, Pair, Double, Infinite, Throws, Shapes, Random, Detached, Remembers, Gpu, Plain, Mixes, Counts):
    torch.jit.script(make()).save(folder + make.__name__ + ".pt")
torch.jit.trace(Plain(), torch.zeros(2, 1, 28, 28), check_trace=False).save(folder + "Traced.pt")
torch.jit.freeze(torch.jit.script(Plain().eval())).save(folder + "Constant.pt")
torch.jit.script(Plain().half()).save(folder + "Half.pt")
torch.save(Plain().state_dict(), folder + "State.pt")
torch.save(Plain().state_dict(), folder + "Old.pt", _use_new_zipfile_serialization=False)
whole = open(folder + "Plain.pt", "rb").read()
open(folder + "Short.pt", "wb").write(whole[: len(whole) // 2])
open(folder + "Empty.pt", "wb")
for name, entries in {"Bomb": [("a/code/a.py", b"\n" * 200_000_000)], "Zip": [("a.txt", b"a")], "Twice": [("a/code/a.py", b"a")] * 2,
                      "False": [("a/code/a.py", b"a"), ("a/data.pkl", b"b"), ("a/version", b"3"), ("a/constants.pkl", b"c")]}.items():
    with zipfile.ZipFile(folder + name + ".pt", "w", zipfile.ZIP_DEFLATED) as archive:
        for entry, content in entries:
            archive.writestr(entry, content)
P
"$python" "$here/bad.py" "$here" 2>"$here/err" || fail "bad.py: $(cat "$here/err")"
cat >"$here/bad.yaml" <<'Y'
study: bad
replicates: 1
datasets: [{name: synthetic-images, size: 60, test_size: 20, classes: 3}]
models: [{name: torchscript, as: one, file: Plain.pt, inputs: pixels, train: {epochs: 1}}]
strategies: [random]
initial: {size: 20}
query: {batch: 5, rounds: 1}
Y
refused() { # name of the file, part of the message
  "$alab" run "$here/bad.yaml" --quiet --out "$here/x$1" --set "models[0].file=$1.pt" >"$here/out" 2>"$here/err" && fail "$1 ran"
  grep -q -- "$1.pt.*$2" "$here/err" || fail "$1: the message lacks '$2': $(cat "$here/err")"
  [ "$(grep -c 'error:' "$here/err")" -eq "$(grep -c . "$here/err")" ] || fail "$1: more than lines of errors: $(cat "$here/err")"
}
refused Two 'forward takes 2 arguments, and `inputs: pixels` gives 1'
refused Maps 'shape \[2, 4, 26, 26\]'
refused Pair 'forward gives Tuple'
refused Double 'Double, and not h, a float32'
refused Infinite 'not finite'
refused Throws 'no such luck.*line'
refused Shapes 'cannot be multiplied'
refused Random 'random numbers'
refused Detached 'detaches'
refused Remembers "changes its tensor 'sum'"
refused Gpu 'takes\? the device of its inputs'
refused Traced 'export it with torch.jit.script'
refused Half 'float32'
refused State 'export it with torch.jit.script'
refused Old 'a pickle.*export it with torch.jit.script'
refused Short 'truncated or damaged'
refused Empty 'not a TorchScript file'
refused Bomb 'unpack to more than is allowed'
refused Zip 'a zip without TorchScript'
refused Twice 'twice'
refused False 'not a TorchScript file that this libtorch reads'
refused Missing 'No such file\|no such file\|cannot'
for fine in Plain Mixes Counts Constant; do
  "$alab" run "$here/bad.yaml" --out "$here/x$fine" --set "models[0].file=$fine.pt" >"$here/out" 2>"$here/err" || fail "$fine: $(cat "$here/err")"
  case $fine in
  Mixes) grep -q 'what stands beside a row in its batch changes its h' "$here/err" || fail "nothing said of $fine: $(cat "$here/err")" ;;
  Constant) grep -q 'only the head is trained' "$here/err" || fail "nothing said of $fine: $(cat "$here/err")" ;;
  *) grep -q "$fine.pt" "$here/err" && fail "$fine: $(cat "$here/err")" ;;
  esac
done
set_refused() { # part of the message, what to --set
  "$alab" run "$here/bad.yaml" --quiet --out "$here/y" --set "$2" >"$here/out" 2>"$here/err"
  [ $? -eq 2 ] || fail "$2: status is not 2: $(cat "$here/err")"
  grep -q -- "$1" "$here/err" || fail "$2: the message lacks '$1': $(cat "$here/err")"
}
set_refused 'tokens is for text only' 'models[0].inputs=tokens'
set_refused 'images have no tokens' 'models[0].max_tokens=20'
set_refused 'files are compared as models of their own' 'models[0].tune={file: [Plain.pt, Mixes.pt], by: cv}'
# without a Dropout layer and without dropout before the head there are no stochastic passes
"$alab" run "$here/bad.yaml" --quiet --out "$here/d" --set 'strategies=[bald]' --set models[0].train.dropout=0 || fail "the file's own dropout"
[ -n "$(ls "$here"/d/cells/*.bald.* 2>/dev/null)" ] || fail "bald was left out of a module with a Dropout layer"
"$alab" run "$here/bad.yaml" --quiet --out "$here/e" --set 'strategies=[random, bald]' --set models[0].train.dropout=0 \
  --set models[0].file=Constant.pt || fail "no dropout"
[ -z "$(ls "$here"/e/cells/*.bald.* 2>/dev/null)" ] || fail "bald ran on a module without dropout"
echo "ok, $n logs"
