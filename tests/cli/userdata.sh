# A user's own data in every format, through whole runs: the same rows written as csv and as jsonl, as npy and as libsvm give the same picks;
# bytes that no format allows are refused in one line that says where, and a bad file leaves no results behind.
set -u
alab=$1
command -v python3 >/dev/null || { echo "python3 is not here"; exit 77; }
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
export ALAB_DATA=$here/cache
unset ALAB_MIRROR
cd "$here" || exit 1
fail() { echo "FAIL: $*"; exit 1; }

python3 - <<'P' || fail "cannot write the files"
import json, os, random, struct, zlib
random.seed(5)
words = ["alpha", "beta", "g\u00e4mma", "delta, with comma", 'say "so"', "two\nlines", "zeta", "eta"]
rows = []
for i in range(120):
    c = i % 3
    rows.append((" ".join([words[c]] + random.choices(words, k=5)) + " w%d" % random.randrange(40), ["red", "green", "blue"][c]))
quote = lambda t: '"%s"' % t.replace('"', '""')
for name, part in ("train", rows[:90]), ("test", rows[90:]):
    open(name + ".csv", "w", encoding="utf-8", newline="").write("id,body,class\r\n" + "".join("%d,%s,%s\r\n" % (i, quote(t), l) for i, (t, l) in enumerate(part)))
    open(name + ".jsonl", "w", encoding="utf-8").write("".join(json.dumps({"text": t, "label": l, "more": [1]}) + "\n" for t, l in part))
def npy(name, descr, shape, values, fmt):
    head = "{'descr': '%s', 'fortran_order': False, 'shape': (%s,), }" % (descr, ", ".join(map(str, shape)))
    head += " " * ((64 - (10 + len(head) + 1) % 64) % 64) + "\n"
    open(name, "wb").write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + struct.pack("<%d%s" % (len(values), fmt), *values))
f32 = lambda v: struct.unpack("f", struct.pack("f", v))[0]
points = [[f32(random.gauss(2.0 * (i % 3), 1.0)) for _ in range(4)] for i in range(100)]
npy("x.npy", "<f4", (100, 4), [v for p in points for v in p], "f")
npy("y.npy", "<i8", (100,), [i % 3 for i in range(100)], "q")
npy("y9.npy", "<i8", (9,), list(range(9)), "q")
open("x.svm", "w").write("".join("%d %s\n" % (i % 3, " ".join("%d:%.9g" % (k + 1, v) for k, v in enumerate(p))) for i, p in enumerate(points)))
def png(path, side, shade):
    raw = b"".join(b"\0" + bytes(shade(x, y) & 255 for x in range(side)) for y in range(side))
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    open(path, "wb").write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b""))
def ppm(path, side, shade):
    open(path, "wb").write(b"P5\n# comment\n%d %d\n255\n" % (side, side) + bytes(shade(x, y) & 255 for y in range(side) for x in range(side)))
for c, name in enumerate(["cat", "dog"]):
    os.makedirs("pictures/" + name); os.makedirs("mixed/" + name)
    for i in range(20):
        noise = random.Random(c * 100 + i)
        shade = lambda x, y: (200 if (x < 4) == (c == 0) else 30) + noise.randrange(20)
        (png if i % 2 else ppm)("pictures/%s/%02d.%s" % (name, i, "png" if i % 2 else "pgm"), 8, shade)
        png("mixed/%s/%02d.png" % (name, i), 8 + i % 3, shade)
big = lambda name, data: open(name, "wb").write(data)
big("unclosed.csv", b'text,label\n"never,closed\n')
big("columns.csv", b"text,label\na,b\na,b,c\n")
big("behind.csv", b'text,label\n"a"b,c\n')
big("header.csv", b"words,label\na,b\n")
big("empty.csv", b"")
big("zeros.csv", b"text,label\n" + b"\0\xff\xfeone,a\n" * 20 + b"two\0one,b\n" * 20)
big("no.jsonl", b'{"text": "a", "label": "b"}\n{"text": \n')
big("keys.jsonl", b'{"text": "a"}\n')
big("deep.jsonl", b"[" * 200000)
big("order.svm", b"1 3:1 2:1\n")
big("nan.svm", b"1 1:nan\n")
big("huge.svm", b"1 99999999999999:1\n")
big("torn.npy", open("x.npy", "rb").read()[:300])
head = b"{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }"
head += b" " * ((64 - (10 + len(head) + 1) % 64) % 64) + b"\n"
big("absurd.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head)
os.makedirs("torn/a"); os.makedirs("torn/b"); os.makedirs("none")
good = open("pictures/cat/01.png", "rb").read()
big("torn/a/1.png", good[:60]); big("torn/b/1.png", good)
os.makedirs("giant/a"); os.makedirs("giant/b")
big("giant/a/1.pgm", b"P5\n2000000000 2000000000\n255\n"); big("giant/b/1.png", good)
P

study() { # study NAME "dataset entry" [strategies]
  printf 'study: %s\nreplicates: 2\ndatasets: [{name: mine, %s}]\nmodels: [linear]\nstrategies: [%s]\ninitial: {size: 9}\nquery: {batch: 5, rounds: 3}\n' \
    "$1" "$2" "${3:-random, margin, k-center}" >"$1.yaml"
}
works() { # works NAME "dataset entry" [strategies]
  study "$@"
  "$alab" run "$1.yaml" --quiet --out "$1" >out 2>&1 || fail "$1: $(cat out)"
  "$alab" verify "$1" >out 2>&1 || fail "$1: $(cat out)"
}
refuses() { # refuses NAME "dataset entry" "text"
  study "$1" "$2"
  timeout 60 "$alab" run "$1.yaml" --quiet --out "bad_$1" >out 2>err
  [ $? -eq 2 ] || fail "$1: status 2 expected: $(cat err)"
  [ "$(wc -l <err)" -eq 1 ] || fail "$1: one line expected: $(cat err)"
  grep -qF -- "$3" err || fail "$1: '$3' expected: $(cat err)"
  [ -z "$(find "bad_$1" -name '*.jsonl' 2>/dev/null)" ] || fail "$1: a log was begun"
}

works csv 'format: csv, train: train.csv, test: test.csv, text: body, label: class' 'random, margin, jaccard, mutual-information'
works jsonl 'format: jsonl, train: train.jsonl, test: test.jsonl' 'random, margin, jaccard, mutual-information'
works npy 'format: npy, train: x.npy, train_labels: y.npy'
works libsvm 'format: libsvm, train: x.svm'
works folder 'format: image-folder, train: pictures' 'random, margin, jaccard'
works scaled 'format: image-folder, train: mixed, size: 8x8'
# the same rows in two formats: the same rows picked. (dense columns are standardised and sparse ones are not, so only random for those)
same() { # same A B STRATEGY
  for one in "$1"/cells/*"$3".r*.jsonl; do
    case $one in *timing*) continue ;; esac
    other=$(echo "$2"/cells/*"$3".r"$(echo "$one" | sed 's/.*\.r\([0-9]*\)\..*/\1/')".*.jsonl | tr ' ' '\n' | grep -v timing)
    grep -o '"asked":\[[^]]*\]' "$one" >a && grep -o '"asked":\[[^]]*\]' "$other" >b && [ -s a ] || fail "no picks in $one"
    cmp -s a b || fail "$3: $1 and $2 pick other rows"
  done
}
for strategy in random margin jaccard mutual-information; do same csv jsonl "$strategy"; done
same npy libsvm random

refuses unclosed 'format: csv, train: unclosed.csv' 'line 2: the quote'
refuses columns 'format: csv, train: columns.csv' 'line 3: 3 columns'
refuses behind 'format: csv, train: behind.csv' 'line 2'
refuses header 'format: csv, train: header.csv' "text"
refuses empty 'format: csv, train: empty.csv' 'empty.csv'
refuses absent 'format: csv, train: absent.csv' 'no such file'
refuses no 'format: jsonl, train: no.jsonl' 'no.jsonl:2: not JSON'
refuses keys 'format: jsonl, train: keys.jsonl' "needs a text 'text' and a label 'label'"
refuses deep 'format: jsonl, train: deep.jsonl' 'deep.jsonl:1'
refuses order 'format: libsvm, train: order.svm' 'ascending'
refuses nan 'format: libsvm, train: nan.svm' 'not a finite number'
refuses huge 'format: libsvm, train: huge.svm' 'huge.svm:1'
refuses torn 'format: npy, train: torn.npy, train_labels: y.npy' 'truncated'
refuses absurd 'format: npy, train: absurd.npy, train_labels: y.npy' 'absurd.npy'
refuses labels 'format: npy, train: x.npy, train_labels: y9.npy' 'one label a row'
refuses sizes 'format: image-folder, train: mixed' 'give size'
refuses tornpicture 'format: image-folder, train: torn' '1.png'
refuses giant 'format: image-folder, train: giant' '1.pgm'
refuses none 'format: image-folder, train: none' 'none'
refuses one 'format: csv, train: train.csv, text: body, label: id, parts: bare' 'parts'
# any bytes are text
works zeros 'format: csv, train: zeros.csv' 'random, margin'
echo ok
