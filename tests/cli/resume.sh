# Going on with a study after a kill between a batch that a budget cut short and the end line, and under another build: the bytes are those
# of a run that was never stopped, and no log holds the rounds of two builds.
set -u
alab=$1
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
export ALAB_DATA=$here/cache
unset ALAB_MIRROR ALAB_TORCH_MODULE
fail() { echo "FAIL: $*"; exit 1; }
log() { ls "$here/$1/cells/"*."$2".r0.*.jsonl | grep -v timing; }

# texts of 3 to 60 words, so that what a budget leaves may pay for one and not for another
texts() { # texts rows seed
  awk -v rows="$1" -v seed="$2" 'BEGIN {
    srand(seed)
    print "text,label"
    for (i = 0; i < rows; i++) {
      class = int(rand() * 3)
      text = "w" int(rand() * 40)
      for (left = 2 + int(rand() * 58); left > 0; left--) text = text " w" (rand() < 0.3 ? 40 + 10 * class + int(rand() * 10) : int(rand() * 40))
      print text "," substr("abc", class + 1, 1)
    }
  }'
}
texts 200 1 >"$here/train.csv"
texts 60 2 >"$here/test.csv"
cat >"$here/cut.yaml" <<Y
study: cut
replicates: 1
datasets: [{name: mine, format: csv, train: train.csv, test: test.csv}]
models: [{name: linear, l2: 0.1}]
strategies: [entropy, random, margin]
initial: {size: 10}
query: {batch: 10, rounds: 4}
cost: {kind: time, a: 0, b: 1}
Y
run() { "$alab" run "$here/cut.yaml" --quiet "$@"; }
killed() { sed -i '$d' "$1"; } # killed before the end line

# a budget of cost that pays for a part of a batch: what is left pays for other items, which nobody may buy after a resume
for cost in 700 850 1100 1200; do
  run --out "$here/cost" --set query.rounds=9 --set stop.cost=$cost --only strategy=entropy --only strategy=full-data || fail "stop by cost"
  for name in entropy full-data; do
    one=$(log cost $name)
    cp "$one" "$here/whole"
    killed "$one"
    run --out "$here/cost" --set query.rounds=9 --set stop.cost=$cost --only strategy=entropy --only strategy=full-data ||
      fail "$name: resume of a cut batch"
    cmp -s "$one" "$here/whole" || fail "$name: cost $cost: killed before the end line, it goes on to other bytes"
  done
  rm -r "$here/cost"
done
run --out "$here/first" --set stop.cost=200 --only strategy=entropy || fail "a cut initial set"
one=$(log first entropy)
[ "$(wc -l <"$one")" -eq 3 ] || fail "header, round 0 and the end expected: $(cat "$one")"
cp "$one" "$here/whole"
killed "$one"
run --out "$here/first" --set stop.cost=200 --only strategy=entropy || fail "resume of a cut initial set"
cmp -s "$one" "$here/whole" || fail "a cut initial set goes on to other bytes"

# a budget of labels: a short batch is made whole when more is allowed
run --out "$here/labels" --set stop.labels=35 --only strategy=margin || fail "stop by labels"
killed "$(log labels margin)"
run --out "$here/labels" --set stop.labels=50 --only strategy=margin || fail "raised budget after a kill"
run --out "$here/at-once" --set stop.labels=50 --only strategy=margin || fail "the larger budget at once"
cmp -s "$(log labels margin)" "$(log at-once margin)" || fail "a batch that the old budget cut stays short after a kill"

# another build: what is unfinished starts anew, whichever cells are run first and whatever study.json says by then
cp "$alab" "$here/other" && printf x >>"$here/other"
id() { sed -n 's/.*"id": *"\([0-9a-f]*\)".*/\1/p' "$here/$1/study.json" | head -1; }
part() { head -c "$(($(wc -c <"$1") * 2 / 3))" "$1" >"$here/part" && cp "$here/part" "$1"; }
run --out "$here/builds" || fail "the first build"
cp -r "$here/builds" "$here/expected"
mine=$(id builds)
part "$(log builds entropy)"
part "$(log builds random)"
"$here/other" run "$here/cut.yaml" --out "$here/builds" --only strategy=entropy 2>"$here/err" || fail "the other build: $(cat "$here/err")"
grep -q "1 unfinished cells of another build start anew" "$here/err" || fail "entropy must start anew: $(cat "$here/err")"
[ "$(id builds)" != "$mine" ] || fail "study.json must name the other build"
one=$(log builds random)
(
  flock 9
  cp "$one" "$here/part"
  "$here/other" run "$here/cut.yaml" --out "$here/builds" --only strategy=random --quiet 2>"$here/err"
  [ $? -eq 2 ] || fail "a log in use must be bad input: $(cat "$here/err")"
  grep -q "in use by another run" "$here/err" || fail "in use: $(cat "$here/err")"
  cmp -s "$one" "$here/part" || fail "a log in use was touched"
) 9<>"$one" || exit 1
"$here/other" run "$here/cut.yaml" --out "$here/builds" 2>"$here/err" || fail "the rest: $(cat "$here/err")"
grep -q "1 unfinished cells of another build start anew" "$here/err" || fail "random must start anew: $(cat "$here/err")"
grep -q "2 of them were made by another build of alab; they are kept" "$here/err" || fail "margin and full-data stay: $(cat "$here/err")"
for name in entropy random margin full-data; do
  cmp -s "$(log builds $name)" "$(log expected $name)" || fail "$name: other bytes"
  timing=$(log builds $name | sed 's/jsonl$/timing.jsonl/')
  case $name in entropy | random) wanted=$(id builds) ;; *) wanted=$mine ;; esac
  [ "$(grep -o '"build":"[0-9a-f]*"' "$timing" | sort -u)" = "\"build\":\"$wanted\"" ] || fail "$name: made by $(grep -o '"build":"[^"]*"' "$timing")"
done
part "$(log builds margin)"
rm "$(log builds margin | sed 's/jsonl$/timing.jsonl/')"
"$alab" run "$here/cut.yaml" --out "$here/builds" --only strategy=margin 2>"$here/err" || fail "rounds of nobody: $(cat "$here/err")"
grep -q "1 unfinished cells of another build start anew" "$here/err" || fail "rounds without a timing file are nobody's: $(cat "$here/err")"
part "$(log builds margin)"
"$alab" run "$here/cut.yaml" --out "$here/builds" --only strategy=margin 2>"$here/err" || fail "the same build: $(cat "$here/err")"
grep -q "start anew" "$here/err" && fail "the same build goes on, though study.json named another: $(cat "$here/err")"
cmp -s "$(log builds margin)" "$(log expected margin)" || fail "margin: other bytes"

# the build's id holds the libtorch module that would be loaded, wherever it is found
mkdir -p "$here/usr/bin" "$here/usr/lib/alab"
cp "$alab" "$here/usr/bin/alab"
one_cell() { rm -rf "$here/id" && "$here/usr/bin/alab" run "$here/cut.yaml" --quiet --out "$here/id" --only strategy=random --set query.rounds=1 || fail "an installed alab"; }
none=$(one_cell && id id)
[ -n "$none" ] || fail "study.json lacks the build"
before=$none
for module in usr/lib/alab/libalab_torch.so usr/libalab_torch.so usr/bin/libalab_torch.so chosen.so; do
  [ $module != chosen.so ] || export ALAB_TORCH_MODULE=$here/chosen.so
  for content in one two; do
    echo $content $module >"$here/$module"
    now=$(one_cell && id id)
    [ "$now" != "$before" ] || fail "$module: $content: the build's id does not tell"
    before=$now
  done
done
rm "$here"/usr/*/libalab_torch.so "$here"/usr/*/*/libalab_torch.so "$here/usr/libalab_torch.so"
[ "$(one_cell && id id)" = "$now" ] || fail "a module that is not loaded changed the build's id"
echo ok
