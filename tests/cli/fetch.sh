# alab fetch against a server of its own and folders full of bad copies: checksums before anything gets its name, resuming, mirror before
# network, hostile archives refused, a copy that rotted found and replaced. Nothing outside this machine is asked.
set -u
alab=$1
command -v python3 >/dev/null || { echo "python3 is not here"; exit 77; }
here=$(mktemp -d)
server=
trap '[ -n "$server" ] && kill "$server" 2>/dev/null; rm -rf "$here"' EXIT
export ALAB_DATA=$here/cache ALAB_CATALOGUE=$here/catalogue.yaml no_proxy=127.0.0.1
unset ALAB_MIRROR http_proxy HTTP_PROXY ALL_PROXY all_proxy
mkdir -p "$here/www" "$here/mirror/datasets"
fail() { echo "FAIL: $*"; exit 1; }

mkfifo "$here/port"
python3 tests/cli/server.py "$here/www" >"$here/port" 2>"$here/requests" &
server=$!
read -r port <"$here/port"

python3 - "$here" "$port" <<'P' || fail "cannot write the files"
import hashlib, io, os, random, sys, tarfile, gzip
here, port = sys.argv[1:]
random.seed(1)
rows = lambda n, s: "".join("%s:%d What is %d ?\n" % (random.choice(["NUM", "LOC", "HUM"]), i % 3, i * s) for i in range(n)).encode()
train, test = rows(3000, 7), rows(50, 11)
put = lambda path, data: (os.makedirs(os.path.dirname(path), exist_ok=True), open(path, "wb").write(data))
put(here + "/www/train", train)
put(here + "/www/test", test)
sha = lambda data: hashlib.sha256(data).hexdigest()

entries = []
def entry(name, files, unpacked=2000000, form="trec"):
    lines = ["  %s:" % name, "    kind: text", "    format: %s" % form, "    task: t", "    train: 3000", "    test: 50",
             "    classes: 3", "    cite: c", "    terms: t", "    homepage: h", "    unpacked: %d" % unpacked,
             "    alternatives:", "      - files:"]
    entries.append("\n".join(lines + ["          - {%s}" % f for f in files]))

url = "http://127.0.0.1:%s/" % port
def pair(name, train_sha, where="train"):
    entry(name, ["file: train_5500.label, sha256: %s, bytes: %d, url: '%s%s'" % (train_sha, len(train), url, where),
                 "file: TREC_10.label, md5: %s, url: '%stest'" % (hashlib.md5(test).hexdigest(), url)])
pair("good", sha(train))
pair("wrong", "f" * 64)
pair("absent", sha(train), "nowhere")
pair("mirrored", sha(train), "nowhere")
pair("rotten", sha(train))
pair("cut", sha(train), "cut")
entry("unsigned", ["file: train_5500.label, recorded: first-use, url: '%sunsigned'" % url,
                   "file: TREC_10.label, recorded: first-use, url: '%stest'" % url])
put(here + "/www/unsigned", train)
put(here + "/www/cut", train)
put(here + "/www/cut.cut", b"")
put(here + "/mirror/datasets/mirrored/train_5500.label", train)
put(here + "/mirror/datasets/mirrored/TREC_10.label", test)
put(here + "/mirror/datasets/rotten/train_5500.label", train[:-9])
put(here + "/mirror/datasets/rotten/TREC_10.label", test)

def tar(name, add, unpacked=2000000):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as t:
        add(t)
    data = out.getvalue()
    put("%s/mirror/datasets/%s/a.tar.gz" % (here, name), data)
    entry(name, ["file: a.tar.gz, sha256: %s" % sha(data)], unpacked, "20newsgroups")
    return data
def member(path, size=3, kind=tarfile.REGTYPE, link=""):
    def add(t):
        i = tarfile.TarInfo(path); i.type = kind; i.linkname = link; i.size = size if kind == tarfile.REGTYPE else 0
        t.addfile(i, io.BytesIO(b"x" * i.size))
    return add
tar("climbing", member("20news-bydate-train/a/../../../../evil"))
tar("absolute", member("/tmp/evil"))
tar("symlink", member("20news-bydate-train/a/1", kind=tarfile.SYMTYPE, link="/etc/passwd"))
tar("hardlink", member("20news-bydate-train/a/1", kind=tarfile.LNKTYPE, link="b"))
tar("device", member("20news-bydate-train/a/1", kind=tarfile.CHRTYPE))
tar("bomb", member("20news-bydate-train/a/1", 50 * 1000 * 1000))
tar("many", lambda t: [member("20news-bydate-train/a/%d" % i, 0)(t) for i in range(5000)])
tar("twice", lambda t: [member("20news-bydate-train/a/1")(t), member("20news-bydate-train/a/1")(t)])
def honest(t):
    for part in "train", "test":
        for group in "a", "b":
            for i in range(4):
                body = ("From: x\nSubject: s\n\nhello %s %d\n" % (group, i)).encode()
                info = tarfile.TarInfo("20news-bydate-%s/%s/%d" % (part, group, i)); info.size = len(body)
                t.addfile(info, io.BytesIO(body))
data = tar("honest", honest)
for name, bad in ("short", data[: len(data) // 2]), ("noise", bytes(random.randrange(256) for _ in range(4096))):
    put("%s/mirror/datasets/%s/a.tar.gz" % (here, name), bad)
    entry(name, ["file: a.tar.gz, sha256: %s" % sha(bad)], 2000000, "20newsgroups")
# the containers that the mirror of real data has not: AG News as csv, CIFAR-10 as the official tar.gz (batches of 30 records here)
def records(n):
    return b"".join(bytes([i % 10]) + bytes(random.randrange(256) for _ in range(3072)) for i in range(n))
def cifar(t):
    for name in ["data_batch_%d.bin" % b for b in range(1, 6)] + ["test_batch.bin"]:
        info = tarfile.TarInfo("cifar-10-batches-bin/" + name); info.size = 30 * 3073
        t.addfile(info, io.BytesIO(records(30)))
    info = tarfile.TarInfo("cifar-10-batches-bin/readme.html"); info.size = 2
    t.addfile(info, io.BytesIO(b"hi"))
out = io.BytesIO()
with tarfile.open(fileobj=out, mode="w:gz") as t:
    cifar(t)
put(here + "/mirror/datasets/colours/a.tar.gz", out.getvalue())
entry("colours", ["file: a.tar.gz, md5: %s" % hashlib.md5(out.getvalue()).hexdigest()], 2000000, "cifar")
news = lambda n: "".join('"%d","Title ""%d"" of\\na kind","Text, with commas %s"\n' % (i % 4 + 1, i, "abc"[i % 3] * 3) for i in range(n)).encode()
for part in ("train", news(80)), ("test", news(20)):
    put("%s/mirror/datasets/news/%s.csv.gz" % (here, part[0]), gzip.compress(part[1]))
entry("news", ["file: %s.csv.gz, content: {%s.csv: %s}" % (n, n, sha(news(k))) for n, k in (("train", 80), ("test", 20))], 2000000, "ag_news")

open(here + "/catalogue.yaml", "w").write("datasets:\n" + "\n".join(entries) + "\n")
P

refuses() { # refuses NAME "text": status 3, one line of error that has it, nothing installed
  "$alab" fetch "$1" >"$here/out" 2>"$here/err"
  [ $? -eq 3 ] || fail "$1: status 3 expected: $(cat "$here/err")"
  [ "$(grep -c error "$here/err")" -eq 1 ] || fail "$1: one line of error expected: $(cat "$here/err")"
  grep error "$here/err" | grep -qF -- "$2" || fail "$1: '$2' expected: $(cat "$here/err")"
  [ -z "$(find "$here/cache/raw/$1" -type f ! -name '*.part' ! -name 'TREC*' 2>/dev/null)" ] || fail "$1: something was installed"
}

"$alab" fetch good >"$here/out" 2>&1 || fail "good: $(cat "$here/out")"
cmp -s "$here/www/train" "$here/cache/raw/good/train_5500.label" || fail "good: other bytes"
"$alab" fetch good | grep -q "here already" || fail "a second fetch"
refuses wrong "wrong checksum"
refuses absent "HTTP status 404"

# half a file, then the rest of it from where it stopped
: >"$here/requests"
refuses cut "run the same command again"
half=$(stat -c %s "$here/cache/raw/cut/train_5500.label.part")
"$alab" fetch cut >"$here/out" 2>&1 || fail "resuming: $(cat "$here/out")"
grep -qx "from $half" "$here/requests" || fail "it did not go on at $half: $(cat "$here/requests")"
cmp -s "$here/www/train" "$here/cache/raw/cut/train_5500.label" || fail "resumed to other bytes"
# what lay there was of another file: once more from the start
rm -rf "$here/cache/raw/cut" && mkdir -p "$here/cache/raw/cut" && head -c 100 /dev/zero >"$here/cache/raw/cut/train_5500.label.part"
rm "$here/www/cut.cut"
"$alab" fetch cut >"$here/out" 2>&1 || fail "over a bad part: $(cat "$here/out")"
cmp -s "$here/www/train" "$here/cache/raw/cut/train_5500.label" || fail "bad part: other bytes"

# a file that nobody published a checksum of: what the first fetch got is recorded, and checked ever after
"$alab" fetch unsigned >"$here/out" 2>&1 || fail "unsigned: $(cat "$here/out")"
grep -q "recorded its sha256 $(sha256sum "$here/www/train" | cut -d' ' -f1)" "$here/out" || fail "it must say what it records: $(cat "$here/out")"
unsigned=$here/cache/raw/unsigned/train_5500.label
cp "$here/www/unsigned" "$here/kept"
printf 'X' | dd of="$here/www/unsigned" conv=notrunc bs=1 seek=9 2>/dev/null
rm "$unsigned" "$unsigned.checked"
"$alab" fetch unsigned >"$here/out" 2>"$here/err"
[ $? -eq 3 ] || fail "a file that changed upstream: status 3 expected"
grep -q "when it was first fetched" "$here/err" || fail "what is wrong is missing: $(cat "$here/err")"
[ -e "$unsigned" ] && fail "a file that changed upstream got its name"
cp "$here/kept" "$here/www/unsigned"
"$alab" fetch unsigned >"$here/out" 2>&1 || fail "unsigned, as it was: $(cat "$here/out")"
grep -q "recorded" "$here/out" && fail "recorded twice"
printf 'X' | dd of="$unsigned" conv=notrunc bs=1 seek=9 2>/dev/null
"$alab" fetch unsigned >"$here/out" 2>&1 || fail "repair of unsigned: $(cat "$here/out")"
cmp -s "$here/kept" "$unsigned" || fail "unsigned: other bytes"

export ALAB_MIRROR=$here/nowhere:$here/mirror
"$alab" fetch mirrored >"$here/out" 2>&1 || fail "mirror: $(cat "$here/out")"
"$alab" fetch rotten >"$here/out" 2>&1 || fail "a truncated mirror copy must not stop the network: $(cat "$here/out")"
grep -q "truncated" "$here/out" || fail "it must say that the copy is truncated: $(cat "$here/out")"
refuses climbing "climbs out"
refuses absolute "absolute path"
refuses symlink "is a link"
refuses hardlink "is a link"
refuses device "neither a file nor a folder"
refuses bomb "unpack"
refuses many "one too many"
refuses twice "twice"
refuses short "truncated or corrupted"
[ -e /tmp/evil ] && fail "an archive wrote outside"
"$alab" fetch honest >"$here/out" 2>&1 || fail "honest: $(cat "$here/out")"

# what no archive is, though its checksum is as the catalogue says: refused by the reader
study() { printf 'study: s\nreplicates: 1\ndatasets: [%s]\nmodels: [linear]\nstrategies: [random]\ninitial: {size: %d}\nquery: {batch: 1, rounds: 1}\n' "$1" "$2" >"$here/s.yaml"; }
study noise 2
"$alab" run "$here/s.yaml" --quiet --out "$here/n" 2>"$here/err"
[ $? -eq 2 ] || fail "noise: status 2 expected: $(cat "$here/err")"
study honest 2
"$alab" run "$here/s.yaml" --quiet --out "$here/h" || fail "honest"

study colours 10
"$alab" run "$here/s.yaml" --quiet --out "$here/colours" || fail "colours"
grep -q '"train":150,' "$here"/colours/cells/*random*.jsonl || fail "150 train rows expected of the tar.gz of CIFAR-10"
study news 10
"$alab" run "$here/s.yaml" --quiet --out "$here/news" || fail "news"
grep -q '"train":80,' "$here"/news/cells/*random*.jsonl || fail "80 train rows expected of the csv of AG News"

# a file that changed after it was installed is found before it is read, and fetched again when asked
study good 10
printf 'X' | dd of="$here/cache/raw/good/train_5500.label" conv=notrunc bs=1 seek=9 2>/dev/null
"$alab" run "$here/s.yaml" --quiet --out "$here/r" 2>"$here/err"
[ $? -eq 3 ] || fail "a changed raw file: status 3 expected"
grep -q "run alab fetch good" "$here/err" || fail "what to do is missing: $(cat "$here/err")"
"$alab" fetch good >"$here/out" 2>&1 || fail "repair: $(cat "$here/out")"
"$alab" run "$here/s.yaml" --quiet --out "$here/r" || fail "after the repair"

# the catalogue is checked as a whole
printf 'datasets:\n  x: {kind: text, format: trec, unpacked: 10, train: 1, test: 0, classes: 2, alternatives: [{files: [{file: ../x, sha256: %s}]}]}\n' "$(printf 'a%.0s' {1..64})" >"$here/catalogue.yaml"
"$alab" fetch x 2>"$here/err"
[ $? -eq 2 ] || fail "a file name that climbs in the catalogue: status 2 expected"
echo ok
