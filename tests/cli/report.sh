# alab report and alab audit on a small study: every format of every figure, the same bytes twice and by hand, gnuplot missing, too
# old or failing, figures of a paper from a file, bad input.
set -u
alab=$1
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
export ALAB_DATA=$here/cache
unset ALAB_MIRROR

fail() { echo "FAIL: $*"; exit 1; }
count() { find "$1" -name "$2" | wc -l; }

cat >"$here/small.yaml" <<Y
study: small
seed: 11
replicates: 3
datasets:
  - {name: synthetic-text, size: 300, test_size: 100, classes: 4}
  - {name: synthetic-text, as: skewed_text, size: 300, test_size: 100, classes: 4, imbalance: 5}
models: [{name: linear, l2: 0.1}]
strategies: [random, margin, k-center]
initial: {size: 20}
query: {batch: 10, rounds: 5}
cost: {kind: time}
Y
"$alab" run "$here/small.yaml" --out "$here/small" --quiet || fail "run"
mkdir "$here/elsewhere"

# tables need no gnuplot: it is missing, too old, or fails; one clear message (of pictures that fail, three and a count)
mkdir "$here/none" "$here/old" "$here/bad"
printf '#!/bin/sh\necho "gnuplot 4.6 patchlevel 6"\n' >"$here/old/gnuplot"
printf '#!/bin/sh\n[ "$1" = --version ] && { echo "gnuplot 9.1 patchlevel 0"; exit 0; }\necho "no terminal" >&2; exit 1\n' >"$here/bad/gnuplot"
chmod +x "$here"/old/gnuplot "$here"/bad/gnuplot
for kind in none old bad; do
  PATH=$here/$kind:$([ $kind = none ] || echo "$PATH") "$alab" report "$here/small" --out "$here/r-$kind" >"$here/out" 2>"$here/err" ||
    fail "$kind gnuplot: status $?: $(cat "$here/err")"
  for table in summary.md summary.tex summary.csv ranking.csv audit.md index.html; do
    [ -s "$here/r-$kind/$table" ] || fail "$kind gnuplot: $table is missing"
  done
  grep -q "^k-center " "$here/out" || fail "$kind gnuplot: the table is missing on standard output"
  grep -q "No picture: gnuplot was not there" "$here/r-$kind/index.html" || fail "$kind gnuplot: the page does not say so"
  [ "$(count "$here/r-$kind" '*.svg')" = 0 ] || fail "$kind gnuplot: there are pictures"
  [ -s "$here/r-$kind/figures/synthetic-text.linear/curves.dat" ] || fail "$kind gnuplot: the data are missing"
done
PATH=$here/none "$alab" report "$here/small" --out "$here/r-none" 2>&1 >/dev/null | grep -c warning >"$here/n"
[ "$(cat "$here/n")" = 1 ] || fail "one message expected where gnuplot is missing"
PATH=$here/none "$alab" report "$here/small" --out "$here/r-none" 2>&1 >/dev/null | grep -q "gnuplot is not installed: tables are written" ||
  fail "the message where gnuplot is missing"
PATH=$here/old:$PATH "$alab" report "$here/small" --out "$here/r-old" 2>&1 >/dev/null | grep -q "'gnuplot 4.6 patchlevel 6' is too old" ||
  fail "the message where gnuplot is too old"
PATH=$here/bad:$PATH "$alab" report "$here/small" --out "$here/r-bad" 2>"$here/err" >/dev/null
[ "$(grep -c warning "$here/err")" -eq 4 ] || fail "three messages and a count expected: $(cat "$here/err")"
grep -q "no terminal" "$here/r-bad/figures/synthetic-text.linear/curves.svg.log" || fail "what gnuplot said is lost"

# formats that were not asked for do not come
"$alab" report "$here/small" --out "$here/r-csv" --formats csv >/dev/null 2>&1 || fail "--formats csv"
[ "$(find "$here/r-csv" -type f | wc -l)" = 2 ] || fail "--formats csv left $(find "$here/r-csv" -type f)"
head -1 "$here/r-csv/summary.csv" | grep -q "^dataset,model,setting,metric,strategy,replicates,from,to,aulc," || fail "head of summary.csv"
[ "$(wc -l <"$here/r-csv/summary.csv")" = 7 ] || fail "a row a setting and strategy expected"
awk -F, 'NR > 1 && $6 != 3 {bad = 1} END {exit bad}' "$here/r-csv/summary.csv" || fail "replicates in summary.csv"

# another metric, lower is better: the table is of it, and the sign is its own
"$alab" report "$here/small" --out "$here/r-nll" --formats csv,md --metric nll >/dev/null 2>&1 || fail "--metric nll"
grep -q "^synthetic-text,linear,,nll,margin,3," "$here/r-nll/summary.csv" || fail "the table is not of nll"

expect2() { # expect2 "text" command...
  local text=$1
  shift
  "$@" >"$here/out" 2>"$here/err"
  [ $? -eq 2 ] || fail "status 2 expected: $*: $(cat "$here/err")"
  [ "$(grep -c 'alab: error' "$here/err")" -eq 1 ] || fail "one line expected: $(cat "$here/err")"
  grep -qF -- "$text" "$here/err" || fail "'$text' expected: $(cat "$here/err")"
}
expect2 "did you mean 'accuracy'" "$alab" report "$here/small" --metric acuracy
expect2 "neither better nor worse" "$alab" report "$here/small" --metric kl
expect2 "'gif' is not one of" "$alab" report "$here/small" --formats svg,gif
expect2 "--jobs" "$alab" report "$here/small" --jobs 0
expect2 "give a results folder" "$alab" report
expect2 "study.json" "$alab" report "$here/elsewhere"
expect2 "stand in the file" "$alab" report --figures "$here/x.yaml" "$here/small"

# audit: of a folder by its logs, of a file by what it says; status 1 for a problem
"$alab" audit "$here/small" >"$here/out" 2>"$here/err"
[ $? -eq 1 ] || fail "three replicates are a problem"
grep -q "^problem  Are there at least 5 replicates" "$here/out" || fail "audit: $(cat "$here/out")"
grep -q "18 cells have 6 starts" "$here/out" || fail "audit must count the starts: $(cat "$here/out")"
grep -q "1 problem$" "$here/err" || fail "audit: $(cat "$here/err")"
sed 's/replicates: 3/replicates: 12/' "$here/small.yaml" >"$here/sound.yaml"
"$alab" audit "$here/sound.yaml" --format json >"$here/out" || fail "an experiment without a problem: status $?"
grep -q '"verdict": "problem"' "$here/out" && fail "no problem expected"
grep -q '12 replicates planned' "$here/out" || fail "audit of a file: $(cat "$here/out")"
sed 's/random, margin/margin/' "$here/small.yaml" >"$here/unsound.yaml"
"$alab" audit "$here/unsound.yaml" --format md >"$here/out" 2>/dev/null
[ $? -eq 1 ] || fail "no baseline is a problem"
grep -q "^| problem | Is there a random baseline" "$here/out" || fail "audit --format md"
sed 's/replicates/replicats/' "$here/small.yaml" >"$here/typo.yaml"
expect2 "did you mean 'replicates'" "$alab" audit "$here/typo.yaml"
expect2 "not one of text, md, json" "$alab" audit --format html "$here/small"
expect2 "give one experiment" "$alab" audit

command -v gnuplot >/dev/null || { echo "no gnuplot: figures are not drawn"; exit 77; }

# every figure in every format
"$alab" report "$here/small" --out "$here/one" >/dev/null 2>"$here/err" || fail "report: $(cat "$here/err")"
grep -q warning "$here/err" && fail "report warned: $(cat "$here/err")"
[ "$(count "$here/one" '*.log')" = 0 ] || fail "gnuplot's messages were left behind"
n=0
while read -r script; do
  name=${script%.gp}
  case $name in */style) continue ;; esac
  n=$((n + 1))
  head -c 5 "$name.pdf" | grep -q '%PDF-' || fail "$name.pdf is none"
  head -c 4 "$name.png" | grep -q 'PNG' || fail "$name.png is none"
  grep -q '</svg>' "$name.svg" || fail "$name.svg is none"
  head -1 "$name-tex.tex" | grep -q '^% data: .*, from study small; redraw: alab report small' || fail "$name-tex.tex lacks its source"
  head -c 5 "$name-tex.pdf" | grep -q '%PDF-' || fail "$name-tex.pdf is none"
  [ -s "$name.dat" ] || fail "$name.dat is empty"
  grep -q "data: $(basename "$name").dat, from study small" "$name.svg" || fail "$name.svg lacks its source"
done < <(find "$here/one/figures" -name '*.gp')
[ "$n" -ge 26 ] || fail "only $n figures"
for name in overview ranks wins penalty time; do
  [ -s "$here/one/figures/across.linear/$name.svg" ] || fail "$name over the datasets is missing"
done
for name in curves curves-cost areas differences targets metrics labelled balance overlap calibration time; do
  [ -s "$here/one/figures/skewed_text.linear/$name.svg" ] || fail "$name is missing"
done

# the same bytes a second later, with other jobs, and by hand
sleep 1
"$alab" report "$here/small" --out "$here/two" --jobs 1 >/dev/null 2>&1 || fail "report again"
diff -r "$here/one" "$here/two" >"$here/out" || fail "the second report differs: $(head -3 "$here/out")"
grep -rlI "$(date +%Y-%m-%d)\|D:$(date +%Y%m%d)" "$here/one" >"$here/out" && fail "today's date stands in $(cat "$here/out")"
cp -r "$here/one/figures/synthetic-text.linear" "$here/hand" && rm "$here"/hand/*.png "$here"/hand/*.svg
(cd "$here/hand" && gnuplot curves.gp && gnuplot -e "format='png'" areas.gp) || fail "a script does not stand alone"
cmp -s "$here/hand/curves.svg" "$here/one/figures/synthetic-text.linear/curves.svg" || fail "curves drawn by hand differ"
cmp -s "$here/hand/areas.png" "$here/one/figures/synthetic-text.linear/areas.png" || fail "areas drawn by hand differ"

# figures of a paper
mkdir "$here/paper"
cat >"$here/paper/figures.yaml" <<Y
- {figure: curves, studies: ../small, only: {dataset: synthetic-text, strategy: [random, margin]}, size: 3.4x2.6, o: fig1}
- {figure: curves, studies: [../small], only: {dataset: skewed_text}, x: cost, metric: f1_macro, o: fig2}
- {figure: curves, studies: ../small, metric: kl}
- {figure: overview, studies: ../small, metric: balanced_accuracy, o: fig4}
Y
(cd "$here/elsewhere" && "$alab" report --figures ../paper/figures.yaml) >"$here/out" 2>"$here/err" || fail "--figures: $(cat "$here/err")"
for f in fig1 fig2 03-curves-synthetic-text-linear 03-curves-skewed_text-linear fig4; do
  for kind in .svg .pdf .png -tex.tex -tex.pdf .dat .gp; do
    [ -s "$here/paper/figures/$f$kind" ] || fail "--figures: $f$kind is missing"
  done
done
grep -q 'viewBox="0 0 340 260"' "$here/paper/figures/fig1.svg" || fail "size is not kept"
grep -q '^# k-center' "$here/paper/figures/fig1.dat" && fail "only is not kept"
grep -q "redraw: alab report --figures figures.yaml" "$here/paper/figures/fig1.svg" || fail "the command is missing"
"$alab" report --figures "$here/paper/figures.yaml" --out "$here/again" --formats svg,pdf,png,tex 2>/dev/null || fail "--figures --out"
diff -r "$here/paper/figures" "$here/again" >"$here/out" || fail "a paper's figures differ the second time: $(head -3 "$here/out")"

bad() { # bad "text" "line of the file"
  echo "$2" >"$here/paper/bad.yaml"
  expect2 "$1" "$alab" report --figures "$here/paper/bad.yaml" --out "$here/r-x"
}
bad "did you mean 'curves'" "- {figure: curvs, studies: ../small}"
bad "did you mean 'metric'" "- {figure: curves, studies: ../small, metrik: nll}"
bad "did you mean 'strategy'" "- {figure: curves, studies: ../small, only: {strategies: margin}}"
bad "WIDTHxHEIGHT" "- {figure: curves, studies: ../small, size: 3.4x0.2}"
bad "plain file name" "- {figure: curves, studies: ../small, o: a/b}"
bad "labels|cost" "- {figure: areas, studies: ../small, x: time}"
bad "has no cost axis" "- {figure: overlap, studies: ../small, x: cost}"
bad "shows no chosen metric" "- {figure: overlap, studies: ../small, metric: nll}"
bad "there is no rank" "- {figure: ranks, studies: ../small, metric: kl}"
bad "left by only" "- {figure: curves, studies: ../small, only: {strategy: badge}}"
bad "cannot be drawn" "- {figure: differences, studies: ../small, only: {strategy: margin}}"
bad "two of the studies hold" "- {figure: curves, studies: [../small, ../small]}"
bad "is there already" "$(printf -- '- {figure: ranks, studies: ../small, o: a}\n- {figure: wins, studies: ../small, o: a}')"
bad "is a list of" "figure: curves"
bad "studies" "- {figure: curves}"
bad "study.json" "- {figure: curves, studies: ../nowhere}"
echo ok
