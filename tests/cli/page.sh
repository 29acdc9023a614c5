# index.html in a headless browser: what must be there is there, it sorts, highlights and unfolds, nothing is fetched, nothing is said
# on the console, and it can be shown in light, dark, narrow and on paper.
set -u
alab=$1
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || { echo "no Chromium"; exit 77; }
command -v gnuplot >/dev/null || { echo "no gnuplot"; exit 77; }
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
export ALAB_DATA=$here/cache HOME=$here
unset ALAB_MIRROR

fail() { echo "FAIL: $*"; exit 1; }
browse() { # browse arguments...: an empty profile each time
  rm -rf "$here/profile"
  timeout 120 "$browser" --headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking \
    --disable-component-update --disable-sync --user-data-dir="$here/profile" --enable-logging=stderr "$@" 2>"$here/log"
}
browse --dump-dom 'data:text/html,<p>alive' | grep -q alive || { echo "Chromium does not start here"; exit 77; }

cat >"$here/small.yaml" <<Y
study: small
seed: 11
replicates: 5
datasets: [{name: synthetic-text, size: 300, test_size: 100, classes: 4}, {name: synthetic-text, as: skewed, size: 300, test_size: 100, classes: 4, imbalance: 5}]
models: [{name: linear, l2: 0.1}]
strategies: [random, margin, k-center]
initial: {size: 20}
query: {batch: 10, rounds: 5}
cost: {kind: time}
Y
"$alab" run "$here/small.yaml" --out "$here/small" --quiet || fail "run"
"$alab" report "$here/small" --formats html >/dev/null 2>&1 || fail "report"
page=$here/small/report/index.html
mv "$here/small/report/figures" "$here/figures" # the page must stand alone

cat >"$here/probe.js" <<'J'
const bad = [];
const must = (truth, what) => { if (!truth) bad.push(what); };
const all = selector => [...document.querySelectorAll(selector)];
try {
  must(document.documentElement.lang === 'en', 'language');
  must(document.title === 'small: alab report', 'title: ' + document.title);
  must(all('h1').length === 1, 'one h1');
  for (const id of ['result', 'across-0', 'setting-0', 'setting-1', 'audit', 'protocol', 'environment'])
    must(document.getElementById(id), 'section ' + id);
  for (const link of all('nav a')) must(document.querySelector(link.getAttribute('href')), 'contents lead to ' + link.getAttribute('href'));
  const ids = all('[id]').map(e => e.id);
  must(new Set(ids).size === ids.length, 'an id stands twice: ' + ids.find((id, i) => ids.indexOf(id) !== i));
  for (const use of all('use')) must(document.querySelector(use.getAttribute('xlink:href')), 'a marker is missing: ' + use.getAttribute('xlink:href'));
  const figures = all('figure');
  must(figures.length >= 26, 'figures: ' + figures.length);
  for (const figure of figures) {
    const svg = figure.querySelector('svg.plot');
    must(svg && svg.getAttribute('role') === 'img' && svg.getAttribute('aria-label').length > 60, 'alt text of ' + figure.id);
    must(figure.querySelector('figcaption p').textContent.length > 60, 'caption of ' + figure.id);
    must(figure.querySelector('figcaption details.data'), 'data behind ' + figure.id);
    must(svg && /redraw: alab report/.test(svg.textContent), 'source under ' + figure.id);
  }
  must(all('.missing').length === 0, 'a picture is missing');
  must(all('[src], link[href^="http"]').length === 0, 'something is fetched');
  must(all('details.data pre').some(pre => /mean, low and high/.test(pre.textContent)), 'data in the page');

  const table = document.querySelector('#setting-0 table.sortable');
  const names = () => [...table.tBodies[0].rows].map(row => row.cells[0].textContent).join(' ');
  const head = table.tHead.rows[0].cells[2], before = names();
  must(head.getAttribute('aria-sort') === 'none', 'aria-sort before');
  head.querySelector('button').focus();
  must(document.activeElement === head.querySelector('button'), 'heads take the focus');
  head.querySelector('button').click();
  must(head.getAttribute('aria-sort') === 'ascending', 'aria-sort after a click');
  const keys = [...table.tBodies[0].rows].map(row => Number(row.cells[2].dataset.key));
  must(keys.every((key, i) => i === 0 || keys[i - 1] <= key) && keys.every(Number.isFinite), 'sorted by number: ' + keys);
  head.querySelector('button').click();
  must(head.getAttribute('aria-sort') === 'descending', 'aria-sort after two clicks');
  const other = table.tHead.rows[0].cells[0];
  other.querySelector('button').click();
  must(names() === 'k-center margin random' && head.getAttribute('aria-sort') === 'none', 'sorted by name: ' + names());
  const last = table.tHead.rows[0].cells[3];
  last.querySelector('button').click();
  must(/random$/.test(names()), 'what is missing comes last: ' + names());

  const chooser = document.getElementById('highlight');
  chooser.value = 'margin';
  chooser.dispatchEvent(new Event('change'));
  must(all('svg g.dim').length > 0 && all('svg g.dim > title').every(t => t.textContent !== 'margin'), 'highlight');
  must(all('tr.chosen').length >= 2, 'highlight in tables');
  chooser.value = '';
  chooser.dispatchEvent(new Event('change'));
  must(all('svg g.dim').length === 0, 'highlight taken back');

  const ink = () => getComputedStyle(document.body).color;
  const theme = document.getElementById('theme');
  const colours = ['light', 'dark'].map(value => {
    theme.value = value;
    theme.dispatchEvent(new Event('change'));
    return ink();
  });
  must(colours[0] !== colours[1], 'light and dark');
  const text = document.querySelector('svg.plot text');
  must(getComputedStyle(text.parentNode).fill === colours[1] || text.parentNode.getAttribute('fill').startsWith('var('), 'figures follow the theme');

  window.dispatchEvent(new Event('beforeprint'));
  must(all('details.more:not([open])').length === 0, 'all is open on paper');
  window.dispatchEvent(new Event('afterprint'));
  must(all('details.more[open]').length === 0, 'and folded again');
  const folded = document.querySelector('details.more figure');
  location.hash = folded.id;
  window.dispatchEvent(new HashChangeEvent('hashchange'));
  must(folded.closest('details').open, 'a link opens what is folded');
  must(all('#audit tbody tr').length >= 15 && all('#audit tbody tr').every(row => row.cells.length === 4), 'audit');
} catch (error) {
  bad.push(String(error));
}
const verdict = document.createElement('p');
verdict.id = 'verdict';
verdict.textContent = bad.length === 0 ? 'all is well' : 'BAD: ' + bad.join('; ');
document.body.append(verdict);
J
awk -v probe="$here/probe.js" '/<\/body>/ {print "<script>"; while ((getline line < probe) > 0) print line; print "</script>"} {print}' "$page" >"$here/probed.html"
browse --dump-dom "file://$here/probed.html" >"$here/dom" || fail "the browser ended with $?"
grep -q '<p id="verdict">all is well</p>' "$here/dom" || fail "$(grep -o '<p id="verdict">[^<]*' "$here/dom" || echo 'the probe did not run')"
grep "CONSOLE" "$here/log" && fail "the console is not silent"
# that a fault would be seen: the same page without its script, and an error on the console
sed '/^for (const table of/,/^}/d' "$here/probed.html" >"$here/broken.html"
browse --dump-dom "file://$here/broken.html" | grep -q 'BAD: .*aria-sort' || fail "a page that does not sort passes"
echo '<script>nowhere()</script>' >"$here/error.html"
browse --dump-dom "file://$here/error.html" >/dev/null
grep -q "CONSOLE.*nowhere" "$here/log" || fail "an error on the console would not be seen"

# it can be shown: wide and narrow nothing is wider than the window, and on paper there are pages
for width in 1400 420; do
  sed 's|</body>|<script>document.title = document.documentElement.scrollWidth <= window.innerWidth ? "fits" : "too wide: " + document.documentElement.scrollWidth</script></body>|' "$page" >"$here/wide.html"
  browse --window-size=$width,900 --dump-dom "file://$here/wide.html" | grep -q '<title>fits' || fail "the page is wider than a window of $width"
done
browse --print-to-pdf="$here/print.pdf" "file://$page"
head -c 5 "$here/print.pdf" | grep -q '%PDF-' || fail "it does not print"
browse --window-size=1000,1400 --screenshot="$here/shot.png" "file://$page"
[ "$(wc -c <"$here/shot.png")" -gt 20000 ] || fail "the screenshot is empty"
echo ok
