# alab gates itself on experiments/gate-synthetic.yaml against the published baseline: on the machine that made it, identical; on another
# one, pass. Entropy with its sign turned (the program alab_flipped) is caught. Then every format, option and refusal.
set -u
alab=$1
flipped=$ALAB_FLIPPED
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
export ALAB_DATA=$here/cache
unset ALAB_MIRROR
baseline=results/published/gate-synthetic.json

fail() { echo "FAIL: $*"; exit 1; }

"$alab" gate experiments/gate-synthetic.yaml --baseline $baseline --margin 0.03 --strict --junit "$here/junit.xml" --jobs 2 --out "$here/run" \
  >"$here/out" 2>"$here/err" || fail "the gate: $(cat "$here/out" "$here/err")"
[ "$(grep -cE ' (identical|pass)(, changed)?$' "$here/out")" -eq 9 ] || fail "8 strategies and the verdict: $(cat "$here/out")"
grep -q 'tests="8" failures="0" errors="0" skipped="0"' "$here/junit.xml" || fail "JUnit: $(cat "$here/junit.xml")"

# the broken strategy: only its cells are run again, by the program that has it
cp -r "$here/run" "$here/broken"
rm "$here"/broken/cells/*.entropy.*
"$flipped" run experiments/gate-synthetic.yaml --out "$here/broken" --jobs 2 --quiet || fail "the run with the broken strategy"
"$alab" gate "$here/broken" --baseline $baseline --margin 0.03 --junit "$here/junit.xml" >"$here/out" 2>"$here/err"
[ $? -eq 1 ] || fail "the broken strategy was not caught: $(cat "$here/out")"
grep -qE '^synthetic-text, linear-text .* entropy .* regressed$' "$here/out" || fail "entropy on text must regress: $(cat "$here/out")"
[ "$(grep -c 'regressed' "$here/out")" -eq 2 ] || fail "entropy on text alone (and the verdict) must regress: $(cat "$here/out")"
grep -q "gate: 1 of 8 strategies regressed" "$here/err" || fail "stderr: $(cat "$here/err")"
grep -q 'failures="1"' "$here/junit.xml" && grep -q '<failure message="regressed: area of accuracy -0' "$here/junit.xml" ||
  fail "JUnit must have the failure: $(cat "$here/junit.xml")"
"$alab" gate "$here/broken" --baseline $baseline --margin 0.03 --format github >"$here/out" 2>/dev/null
[ $? -eq 1 ] || fail "github: status"
grep -q '^::error title=alab gate%3A entropy::synthetic-text, linear-text: regressed' "$here/out" || fail "github: $(cat "$here/out")"
[ "$(grep -c '^::notice ' "$here/out")" -ge 6 ] || fail "github: six notices expected: $(cat "$here/out")"

# a baseline of its own: identical to itself; other picks on one machine are "changed"; a narrow margin is inconclusive
"$alab" gate "$here/run" --write "$here/own.json" >"$here/out" 2>"$here/err" || fail "write: $(cat "$here/err")"
grep -q "replicates needed" "$here/out" && grep -q "fewer replicates than a margin of 0.02 needs" "$here/err" || fail "sizes: $(cat "$here/err")"
"$alab" gate "$here/run" --write "$here/again.json" --format json >"$here/out" 2>/dev/null || fail "write again"
cmp -s "$here/own.json" "$here/again.json" || fail "the same study gives other baselines"
grep -q '"schema": "alab.gate.sizes/1"' "$here/out" || fail "sizes as JSON: $(cat "$here/out")"
"$alab" gate "$here/run" --baseline "$here/own.json" >"$here/out" || fail "against itself"
[ "$(grep -c ' identical$' "$here/out")" -eq 9 ] || fail "identical to itself: $(cat "$here/out")"
"$alab" gate "$here/broken" --baseline "$here/own.json" --margin 0.03 >"$here/out" 2>/dev/null
grep -qE '^synthetic-images.* entropy .* (pass, changed|inconclusive)' "$here/out" || fail "changed: $(cat "$here/out")"
# four replicates are too few for a verdict, however they look
rm "$here"/broken/cells/synthetic-text.*.entropy.* "$here"/broken/cells/synthetic-images.*.entropy.r[4-9]* "$here"/broken/cells/synthetic-images.*.entropy.r1[0-5]*
cp "$here"/run/cells/synthetic-text.*.entropy.* "$here/broken/cells"
"$alab" gate "$here/broken" --baseline "$here/own.json" --format json >"$here/out" 2>"$here/err" || fail "inconclusive is status 0: $(cat "$here/err")"
grep -q '"verdict": "inconclusive"' "$here/out" && grep -qE '"replicates_needed": [0-9]+' "$here/out" || fail "inconclusive: $(cat "$here/out")"
grep -q -- "--strict would fail" "$here/err" || fail "inconclusive must warn: $(cat "$here/err")"
grep -q "entropy: 12 of the baseline's replicates are not in the study" "$here/err" || fail "missing replicates: $(cat "$here/err")"
[ "$(grep -c "unfinished, not judged" "$here/err")" -eq 12 ] || fail "unfinished cells must be named: $(cat "$here/err")"
"$alab" gate "$here/broken" --baseline "$here/own.json" --strict --junit "$here/junit.xml" >/dev/null 2>&1
[ $? -eq 1 ] || fail "--strict must fail on inconclusive"
grep -q '<failure message="inconclusive' "$here/junit.xml" || fail "--strict in JUnit"

# another metric, where lower is better
"$alab" gate "$here/run" --write "$here/nll.json" --metric nll >/dev/null 2>&1 || fail "--metric nll"
"$alab" gate "$here/run" --baseline "$here/nll.json" --looks 2 | grep -q "alpha 0.025 (0.05 over 2 looks).*lower values" || fail "nll and looks"

refuses() { # refuses STATUS "text" arguments...
  local wanted=$1 text=$2
  shift 2
  "$alab" gate "$@" >"$here/out" 2>"$here/err"
  [ $? -eq "$wanted" ] || fail "status $wanted expected: gate $*: $(cat "$here/err")"
  [ "$(grep -c 'alab: error' "$here/err")" -eq 1 ] || fail "one line expected: gate $*: $(cat "$here/err")"
  grep -qF -- "$text" "$here/err" || fail "'$text' expected: $(cat "$here/err")"
}
refuses 2 "either --write FILE or --baseline FILE" "$here/run"
refuses 2 "either --write FILE or --baseline FILE" "$here/run" --write a --baseline b
refuses 2 "give one study folder or one experiment" --baseline $baseline
refuses 2 "no such file" "$here/run" --baseline "$here/none.json"
refuses 2 "did you mean 'accuracy'" "$here/run" --write "$here/x.json" --metric acuracy
refuses 2 "--metric goes with --write" "$here/run" --baseline $baseline --metric nll
refuses 2 "--margin" "$here/run" --baseline $baseline --margin 0
refuses 2 "--margin" "$here/run" --baseline $baseline --margin 1x
refuses 2 "--alpha" "$here/run" --baseline $baseline --alpha 0.7
refuses 2 "--looks" "$here/run" --baseline $baseline --looks 0
refuses 2 "--format" "$here/run" --baseline $baseline --format xml
refuses 2 "go with --baseline" "$here/run" --write "$here/x.json" --strict
refuses 2 "--out and --jobs go with an experiment" "$here/run" --baseline $baseline --jobs 2
refuses 2 "in a new folder" experiments/gate-synthetic.yaml --baseline $baseline --out "$here/run"
refuses 2 "study.json" "$here/cache" --baseline $baseline
refuses 3 "cannot write" "$here/run" --write "$here/none/x.json"
[ ! -e "$here/x.json" ] || fail "a refused gate wrote a baseline"
head -c 900 $baseline >"$here/torn.json"
refuses 2 "$here/torn.json:" "$here/run" --baseline "$here/torn.json"
sed 's#alab.gate/1#alab.gate/9#' $baseline >"$here/other.json"
refuses 2 "its schema is 'alab.gate/9'" "$here/run" --baseline "$here/other.json"
sed 's#"strategy": "badge"#"strategy": "badger"#' $baseline >"$here/other.json"
refuses 2 "badger: the baseline has it" "$here/run" --baseline "$here/other.json"
sed 's#"range": \[100, 400\]#"range": [100, 500]#' $baseline >"$here/other.json"
refuses 2 "do not cover the range" "$here/run" --baseline "$here/other.json"
echo ok
