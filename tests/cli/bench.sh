# The program behind bench/models.py: its protocol on a few random rows, and, where Python has PyTorch, that network, outputs and training
# steps of the two sides agree (models.py --check). Nothing is timed here.
set -u
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
models=${ALAB_BENCH_MODELS:-}
[ -n "$models" ] || { echo "skipped: built without libtorch"; exit 77; }

fail() { echo "FAIL: $*"; exit 1; }

talk() { # name of a folder, then the program's arguments; commands on standard input
  local folder=$here/$1
  shift
  mkdir "$folder"
  "$models" "$@" 32 "$folder" >"$folder/out" 2>"$folder/err" || fail "$*: $(cat "$folder/err")"
}

number='[0-9]+\.[0-9]+(e[-+][0-9]+)?'
for network in "bert mean 2" "resnet 8 2 3x3s2"; do
  name=${network%% *}
  # shellcheck disable=SC2086
  talk "$name" $network random <<<$'steps 2 0.001\nsteps 2 0.001\noutputs\ntrain 0 2\npredict 1\nsgemm 1 0 32 16 8'
  cd "$here/$name" || fail "no folder"
  [ "$(head -1 out)" = ready ] && [ "$(wc -l <out)" -eq 7 ] || fail "answers of $name: $(cat out)"
  sed -n 2p out | grep -qE "^$number $number *$" || fail "two losses: $(sed -n 2p out)"
  [ "$(sed -n 2p out)" = "$(sed -n 3p out)" ] || fail "the same steps gave other losses: $(cat out)"
  [ "$(sed -n 4p out)" = written ] || fail "outputs: $(sed -n 4p out)"
  [ "$(sed -n '5,7p' out | grep -cE "^$number$")" -eq 3 ] || fail "seconds and GFLOP/s: $(cat out)"
  [ "$(stat -c %s probs.npy)" -eq $((128 + 4 * 32 * 20)) ] && [ -s h.npy ] || fail "probs.npy and h.npy"
  [ -s weights.safetensors ] && [ -s trained.safetensors ] || fail "no weights"
  cmp -s weights.safetensors trained.safetensors && fail "two steps changed no weight of $name"
  cd - >/dev/null || fail "no way back"
done

mkdir "$here/bad"
echo "trian 0 1" | "$models" bert cls 2 random 32 "$here/bad" >/dev/null 2>"$here/err"
[ $? -eq 3 ] && grep -q "unknown command 'trian 0 1'" "$here/err" || fail "an unknown command: $(cat "$here/err")"
"$models" bert max 2 random 32 "$here/bad" >/dev/null 2>"$here/err"
[ $? -eq 2 ] && grep -q '^usage: ' "$here/err" || fail "an unknown pooling: $(cat "$here/err")"

python=
for candidate in python3 /usr/bin/python3; do
  [ -z "$python" ] && "$candidate" -c 'import importlib.util as u; exit(not (u.find_spec("numpy") and u.find_spec("torch")))' && python=$candidate
done
if [ -n "$python" ]; then
  "$python" bench/models.py "$models" --check --only "mean pooling" >"$here/out" 2>&1 || fail "models.py --check: $(cat "$here/out")"
  grep -q "outputs .* within .*" "$here/out" && grep -q "steps .* of the way they went" "$here/out" || fail "models.py compared nothing: $(cat "$here/out")"
else
  echo "models.py not tried: no python3 with PyTorch"
fi
echo ok
