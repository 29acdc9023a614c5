# alab compare: strategies of a study, the same from its export, two versions, two models, foreign curves; every format; refusals of one line.
set -u
alab=$1
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
export ALAB_DATA=$here/cache
unset ALAB_MIRROR
golden=tests/golden/compare_curves.csv

fail() { echo "FAIL: $*"; exit 1; }

cat >"$here/tiny.yaml" <<Y
study: tiny
seed: 3
replicates: 6
datasets: [{name: synthetic-images, size: 300, test_size: 200, classes: 4}]
models: [{name: linear, as: a, l2: 1.0}, {name: linear, as: b, l2: 10.0}]
strategies: [random, margin]
initial: {size: 20}
query: {batch: 10, rounds: 4}
Y
"$alab" run "$here/tiny.yaml" --quiet --out "$here/one" || fail "run"

# a study: a table a model; from its export the same numbers to the last digit
"$alab" compare "$here/one" >"$here/out" 2>"$here/err" || fail "a study: $(cat "$here/err")"
[ "$(grep -c 'area under accuracy over labels, from 20 to 60' "$here/out")" -eq 2 ] || fail "two tables: $(cat "$here/out")"
grep -qE '^margin +6 +0\.[0-9]+ \[' "$here/out" || fail "replicates stand beside every number: $(cat "$here/out")"
"$alab" export "$here/one" --format csv -o "$here/one.csv" || fail "export"
for format in csv json; do
  "$alab" compare "$here/one" --format $format | sed "s#$here/one#SOURCE#g" >"$here/folder.$format"
  "$alab" compare "$here/one.csv" --format $format | sed "s#$here/one.csv#SOURCE#g" >"$here/export.$format"
  cmp -s "$here/folder.$format" "$here/export.$format" || fail "$format: folder and export differ"
done
head -1 "$here/folder.csv" | grep -q '^dataset,model,setting,source,strategy,against_source,against_strategy,metric,summary,from,to,replicates,mean' ||
  fail "csv: $(head -1 "$here/folder.csv")"
[ "$(wc -l <"$here/folder.csv")" -eq 9 ] || fail "csv: 2 models x 2 strategies x 2 summaries and a head: $(cat "$here/folder.csv")"

# models with each other, paired: same seeds and data
"$alab" compare "$here/one" --across model --format csv >"$here/out" 2>"$here/err" || fail "across: $(cat "$here/err")"
grep -q "SOURCE, b,margin" <(sed "s#\"$here/one, b\"#SOURCE, b#g" "$here/out") || fail "across: $(cat "$here/out")"
"$alab" compare "$here/one" --across model | grep -q "^2. $here/one, b$" || fail "sources must be listed"

# two versions of a study: paired by seed and digest; another seed: Welch
"$alab" compare "$here/one" "$here/one.csv" >"$here/out" 2>"$here/err" || fail "versions: $(cat "$here/err")"
grep -q "2 sources, each against the first" "$here/out" || fail "versions: $(cat "$here/out")"
grep -qE 'margin.* 1\.000 ' "$here/out" && ! grep -q Welch "$here/out" || fail "equal versions: paired, p 1: $(cat "$here/out")"
"$alab" run "$here/tiny.yaml" --quiet --out "$here/two" --set seed=4 || fail "another seed"
"$alab" compare "$here/one" "$here/two" >"$here/out" || fail "another seed"
grep -q "6 against 6 .*(Welch)" "$here/out" || fail "Welch must say the n of both sides: $(cat "$here/out")"

# the unfinished is named
rm "$(ls "$here"/two/cells/*.a.margin.r5.* | grep -v timing)"
"$alab" compare "$here/two" >"$here/out" 2>"$here/err" || fail "unfinished"
grep -q "unfinished, left out: .*a.margin.r5" "$here/err" || fail "unfinished: $(cat "$here/err")"
grep -qE '^margin +5 ' "$here/out" || fail "5 replicates left: $(cat "$here/out")"

# foreign curves: many datasets, ranks, penalties; formats; other metrics and baselines
"$alab" compare $golden >"$here/out" || fail "golden"
for text in "Ranks over 6 datasets" "Friedman chi2(2) = 4.000, p 0.135; Iman-Davenport F = 2.500, p 0.132" "3 / 3 / 0" "Pairwise penalties" \
  "0.64 [" "area under accuracy over cost" "104 (4 of 7)"; do
  grep -qF -- "$text" "$here/out" || fail "'$text' expected: $(cat "$here/out")"
done
"$alab" compare $golden --format md | grep -q '^| margin | 7 | 0.444 \\\[0.423, 0.465\\\]' || fail "md: $("$alab" compare $golden --format md | head)"
"$alab" compare $golden --baseline margin | grep -q "difference to margin" || fail "baseline"
"$alab" compare $golden --format json >"$here/a" && "$alab" compare $golden --format json >"$here/b" && cmp -s "$here/a" "$here/b" || fail "twice, not the same"
if command -v python3 >/dev/null; then
  python3 - "$here/a" <<'P' || fail "json"
import json, sys
c = json.load(open(sys.argv[1]))
assert c["schema"] == "alab.compare/1" and len(c["results"]) == 18
for u in c["results"]:
    for s in u["summaries"]:
        assert s["replicates"] == 7
        if u["against"]:
            assert 0 <= s["difference"]["p"] <= s["difference"]["p_holm"] <= 1 and s["difference"]["pairs"] == 7
assert abs(c["rankings"][0]["friedman"]["chi2"] - 4) < 1e-9
P
fi
printf 'strategy,replicate,labels,nll\n' >"$here/few.csv"
for r in 0 1 2; do printf 'random,%d,10,0.9\nrandom,%d,20,0.%d\nbest,%d,10,0.9\nbest,%d,20,0.4\n' $r $r $((r + 5)) $r $r; done >>"$here/few.csv"
"$alab" compare "$here/few.csv" --metric nll >"$here/out" || fail "nll"
grep -q "3 replicates are too few" "$here/out" && grep -q "(n too small)" "$here/out" && grep -q "Lower is better" "$here/out" &&
  grep -q "3 of 3" "$here/out" || fail "few: $(cat "$here/out")"

refuses() { # refuses "text" arguments...
  local text=$1
  shift
  "$alab" compare "$@" >"$here/out" 2>"$here/err"
  [ $? -eq 2 ] || fail "status 2 expected: compare $*: $(cat "$here/err")"
  [ -s "$here/out" ] && fail "output on standard output: compare $*"
  [ "$(wc -l <"$here/err")" -eq 1 ] || fail "one line expected: $(cat "$here/err")"
  grep -qF -- "$text" "$here/err" || fail "'$text' expected: $(cat "$here/err")"
}
refuses "give results folders or CSV files"
refuses "is not text, md, csv or json" "$here/one" --format xml
refuses "did you mean 'accuracy'" "$here/one" --metric acuracy
refuses "line 1: there is no metric 'f1'" $golden --metric f1
refuses "did you mean 'margin'" "$here/one" --baseline margn
refuses "here $here/one is the baseline" "$here/one" "$here/one.csv" --baseline random
refuses "is not model" "$here/one" --across dataset
refuses "there is one model only" $golden --across model
refuses "nothing matches" "$here/one" $golden
refuses "no such file" "$here/none.csv"
refuses "study.json" "$here"
refuses "unknown option" "$here/one" --wrong
sed '7s/,accuracy.*//; 7s/[0-9.]*$/much/' $golden >"$here/bad.csv"
refuses "$here/bad.csv: line 7: column 'accuracy'" "$here/bad.csv"
head -c 5000 /dev/urandom >"$here/noise.csv"
"$alab" compare "$here/noise.csv" >"$here/out" 2>"$here/err"
[ $? -eq 2 ] || fail "noise: status 2 expected: $(cat "$here/err")"
[ "$(LC_ALL=C tr -d '\n\040-\176' <"$here/err" | wc -c)" -eq 0 ] || fail "noise reached the terminal"
echo ok
