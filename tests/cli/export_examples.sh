# docs/examples/curves.py and curves.R read both exports and come to the numbers of alab's own summary.csv.
set -u
alab=$1
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
export ALAB_DATA=$here/cache
unset ALAB_MIRROR

fail() { echo "FAIL: $*"; exit 1; }

cat >"$here/small.yaml" <<Y
study: small
seed: 4
replicates: 4
datasets: [{name: synthetic-text, size: 250, test_size: 80, classes: 4}, {name: synthetic-text, as: skewed, size: 250, test_size: 80, classes: 4, imbalance: 5}]
models: [{name: linear, l2: 0.1}]
strategies: [random, margin, badge]
initial: {size: 15}
query: {batch: 10, rounds: 4}
Y
"$alab" run "$here/small.yaml" --out "$here/small" --quiet || fail "run"
"$alab" export "$here/small" --format csv -o "$here/curves.csv" || fail "export csv"
"$alab" export "$here/small" --format sqlite -o "$here/study.db" || fail "export sqlite"
"$alab" report "$here/small" --out "$here/report" --formats csv >/dev/null 2>&1 || fail "report"
# what summary.csv says, in the examples' columns; its p is Holm-corrected, theirs is not: it is left out here
awk -F, 'NR > 1 {print $1 "," $2 "," $3 "," $5 "," $6 "," $9 "," $12 "," $13 "," $14}' "$here/report/summary.csv" | sort >"$here/expected"
[ "$(wc -l <"$here/expected")" = 6 ] || fail "six rows expected"

compare() { # compare FILE "what": the same rows, numbers within 1e-12
  cut -d, -f1-9 "$1" | tail -n +2 | sort >"$here/found"
  paste -d, "$here/expected" "$here/found" | awk -F, '
    {for (i = 1; i <= 5; i++) if ($i != $(i + 9)) bad = 1
     for (i = 6; i <= 9; i++) {d = $i - $(i + 9); if (($i == "") != ($(i + 9) == "") || d > 1e-12 || d < -1e-12) bad = 1}}
    END {exit bad || NR != 6}' || fail "$2: $(cat "$here/found")"
}

ran=0
python=python3
[ -x /usr/bin/python3 ] && python=/usr/bin/python3
if $python -c 'import numpy, scipy' 2>/dev/null; then
  for file in curves.csv study.db; do
    $python docs/examples/curves.py "$here/$file" >"$here/out" || fail "curves.py $file"
    compare "$here/out" "curves.py $file"
    ran=$((ran + 1))
  done
fi
if command -v Rscript >/dev/null; then
  Rscript docs/examples/curves.R "$here/curves.csv" >"$here/out" || fail "curves.R curves.csv"
  compare "$here/out" "curves.R curves.csv"
  ran=$((ran + 1))
  if Rscript -e 'quit(status = !requireNamespace("RSQLite", quietly = TRUE))' 2>/dev/null; then
    Rscript docs/examples/curves.R "$here/study.db" >"$here/out" || fail "curves.R study.db"
    compare "$here/out" "curves.R study.db"
    ran=$((ran + 1))
  fi
fi
[ "$ran" -gt 0 ] || { echo "neither SciPy nor R"; exit 77; }
echo "ok: $ran of 4"
