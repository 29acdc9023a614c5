# Committees, refits and Fisher information in the loop: the same logs whatever --jobs and after a log is cut short, on sparse text and on
# pixels; what the networks' passes are, what bait does with sparse embeddings, and the cell that it refuses.
set -u
alab=$1
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
export ALAB_DATA=$here/cache
unset ALAB_MIRROR
fail() { echo "FAIL: $*"; exit 1; }
log() { ls "$here/$1/cells/"*"$2".r0.*.jsonl | grep -v timing; }

cat >"$here/all.yaml" <<Y
study: all
replicates: 1
datasets: [{name: synthetic-text, size: 240, test_size: 60, classes: 4}, {name: synthetic-images, size: 200, test_size: 60}]
models: [{name: linear, l2: 0.5, mc: {passes: 5}}]
strategies:
- {name: batch-bald, params: {configurations: 60}}
- {name: qbc, params: {by: kl}}
- {name: qbc, as: bootstrap, params: {committee: bootstrap, members: 4}}
- {name: expected-error-reduction, params: {candidates: 12, evaluate: 50}}
- {name: subsample, as: eer-part, params: {size: 30, strategy: {name: expected-error-reduction, params: {loss: zero-one, candidates: 8}}}}
- {name: subsample, as: qbc-part, params: {size: 30, strategy: qbc}}
- {name: bait, as: bait-d6, params: {dims: 6}}
- {name: badge, as: badge-d6, params: {dims: 6}}
initial: {size: 15}
query: {batch: 4, rounds: 3}
Y
run() { "$alab" run "$here/all.yaml" --quiet "$@"; }
run --out "$here/a" --jobs 2 || fail "first run"
run --out "$here/b" --jobs 1 || fail "second run"
for cut in expected-error-reduction eer-part bootstrap batch-bald bait-d6; do
  log=$(log b "synthetic-text.linear.$cut")
  head -n 3 "$log" >"$log.cut" && mv "$log.cut" "$log"
done
run --out "$here/b" --jobs 1 || fail "after the cuts"
n=0
for log in "$here"/a/cells/*.jsonl; do
  case $log in *.timing.jsonl) continue ;; esac
  cmp -s "$log" "$here/b/cells/$(basename "$log")" || fail "$(basename "$log") differs"
  n=$((n + 1))
done
[ "$n" -eq 18 ] || fail "18 logs expected, $n found"
"$alab" verify "$here/a" >"$here/out" || fail "verify: $(cat "$here/out")"
# the linear model's passes are a bootstrap committee of the mc stream: another one than qbc's own
cmp -s <(grep '"round":1' "$(log a synthetic-text.linear.qbc)") <(grep '"round":1' "$(log a synthetic-text.linear.bootstrap)") && fail "two committees, one answer"

# sparse rows without dims: the dense features stand in, and the line says so
sed -e 's/^strategies:/strategies: [bait]/' -e '/^- /d' -e 's/, {name: synthetic-images[^}]*}//' "$here/all.yaml" >"$here/bait.yaml"
"$alab" run "$here/bait.yaml" --quiet --out "$here/c" || fail "bait on text"
grep -q "the features stand in" "$(log c bait)" || fail "bait does not say what it took"
# 784 pixels times 10 classes are too many
sed -e 's/{name: synthetic-text[^}]*}, //' -e 's/^strategies:/strategies: [bait]/' -e '/^- /d' "$here/all.yaml" >"$here/wide.yaml"
"$alab" run "$here/wide.yaml" --quiet --out "$here/d" 2>"$here/err" && fail "7,840 parameters were taken"
grep -q "give dims" "$here/err" || fail "the refusal does not name dims: $(cat "$here/err")"
echo ok
