/* Putting a report together: for each setting its figures and table, then the page that shows them. */
#include "report/report.h"

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "report/summary_table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char page_head[] = "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                                "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>";
static const char page_style[] =
    "</title>\n<style>\n"
    ":root{color-scheme:light "
    "dark;--ink:#1c1c1c;--paper:#fff;--soft:#666;--line:#d8d8d8;--band:#f4f6f8;--link:#0057a3}\n"
    "@media(prefers-color-scheme:dark){:root{--ink:#e8e8e8;--paper:#16181b;--soft:#a5a5a5;--line:#3a3d42;--band:#"
    "202328;--link:#7ab8f5}}\n"
    "body{font:16px/1.5 system-ui,'DejaVu "
    "Sans',sans-serif;color:var(--ink);background:var(--paper);max-width:72rem;margin:2rem auto;padding:0 1.2rem}\n"
    "h1{margin-bottom:.2rem}h2{margin-top:2.6rem;border-bottom:1px solid var(--line);padding-bottom:.3rem}\n"
    ".lead{font-size:1.12rem}.lead li{margin:.3rem 0}figure{margin:1.6rem 0}figure "
    "img{max-width:100%;height:auto;background:#fff;border:1px solid var(--line)}\n"
    "figcaption,.note{color:var(--soft);font-size:.92rem}code{font-size:.9em;background:var(--band);padding:.1em "
    ".3em;border-radius:3px}\n"
    ".scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.93rem;font-variant-numeric:tabular-"
    "nums}\n"
    "th,td{text-align:left;padding:.35rem .6rem;border-bottom:1px solid var(--line);white-space:nowrap}tbody "
    "tr:nth-child(even){background:var(--band)}\n"
    "th button{all:unset;cursor:pointer;font-weight:600}th button:focus-visible{outline:2px solid "
    "var(--link)}th[aria-sort] button::after{content:' \\2195'}\n"
    "a{color:var(--link)}dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem "
    "1rem}dt{font-weight:600}dd{margin:0;overflow-wrap:anywhere}\n"
    "@media print{body{max-width:none}h2{break-after:avoid}figure,table{break-inside:avoid}}\n"
    "</style>\n</head>\n<body>\n<main>\n";
static const char page_end[] =
    "</main>\n<script>\n"
    "for(const t of "
    "document.querySelectorAll('table.sortable'))t.querySelectorAll('th').forEach((h,i)=>h.querySelector('button')."
    "addEventListener('click',()=>{\n"
    " const up=h.getAttribute('aria-sort')!=='ascending',key=r=>{const "
    "s=r.cells[i].textContent,n=parseFloat(s.replace(/^[<>= ]+/,''));return isNaN(n)?s:n};\n"
    " t.querySelectorAll('th').forEach(o=>o.removeAttribute('aria-sort'));h.setAttribute('aria-sort',up?'ascending':'"
    "descending');\n"
    " const b=t.tBodies[0];[...b.rows].sort((x,y)=>{const a=key(x),c=key(y),d=typeof a===typeof "
    "c?(a<c?-1:a>c?1:0):(typeof a==='number'?-1:1);return up?d:-d}).forEach(r=>b.append(r))}));\n"
    "</script>\n</body>\n</html>\n";

static const char *text_of(const json_t *object, const char *key) {
  const char *text = json_string_value(json_object_get(object, key));
  return text == NULL ? "" : text;
}

typedef struct {
  const al_collection *c;
  const char *out;
  unsigned formats;
  al_buffer page, md, tex, csv, text, lead;
} writer;

static al_status add_figure(writer *w, const al_setting *s, const char *stem, const char *suffix, al_figure_kind kind,
                            double full, const char *caption) {
  char name[300], source[200];
  bool drawn = false;
  snprintf(name, sizeof name, "%s.%s", stem, suffix);
  snprintf(source, sizeof source, "study %s", text_of(w->c->study, "study"));
  al_status status = al_figure_draw(w->out, name, s, kind, full, source, w->formats, &drawn);
  if (status != AL_OK || !drawn || !(w->formats & AL_FORMAT_HTML)) return status;
  AL_TRY(al_buffer_print(&w->page, "<figure><img src=\"%s.svg\" alt=\"", name));
  AL_TRY(al_html_text(&w->page, caption));
  AL_TRY(al_buffer_print(&w->page, "\">\n<figcaption>"));
  AL_TRY(al_html_text(&w->page, caption));
  AL_TRY(al_buffer_print(
      &w->page,
      " Data: <a href=\"%s.dat\">%s.dat</a>; script: <a href=\"%s.gp\">%s.gp</a>; redraw in this folder with "
      "<code>gnuplot %s.gp</code></figcaption></figure>\n",
      name, name, name, name, name));
done:
  return status;
}

static al_status add_protocol(writer *w, const al_setting *s) {
  const json_t *h = s->header, *d = json_object_get(h, "dataset");
  al_status status;
  char *model =
      json_dumps(json_object_get(json_object_get(h, "model"), "options"), JSON_COMPACT | JSON_REAL_PRECISION(6));
  char *cost = json_dumps(json_object_get(h, "cost"), JSON_COMPACT);
  AL_TRY(al_buffer_print(&w->page, "<details><summary>Protocol of this setting</summary><dl>"));
  AL_TRY(al_buffer_print(
      &w->page, "<dt>Rows</dt><dd>%lld in the pool, %lld evaluated each round (test part), %zu classes</dd>",
      (long long)json_integer_value(json_object_get(d, "pool")),
      (long long)json_integer_value(json_object_get(d, "evaluated")), json_array_size(json_object_get(d, "classes"))));
  AL_TRY(al_buffer_print(&w->page,
                         "<dt>Initial set</dt><dd>%lld labels, %s, alike for all strategies of a replicate</dd>",
                         (long long)json_integer_value(json_object_get(json_object_get(h, "initial"), "size")),
                         text_of(json_object_get(h, "initial"), "method")));
  AL_TRY(al_buffer_print(
      &w->page, "<dt>Batch</dt><dd>%lld</dd><dt>Master seed</dt><dd>%lld</dd><dt>Hold-out</dt><dd>%lld rows</dd>",
      (long long)json_integer_value(json_object_get(json_object_get(h, "query"), "batch")),
      (long long)json_integer_value(json_object_get(h, "seed")),
      (long long)json_integer_value(json_object_get(json_object_get(h, "holdout"), "size"))));
  AL_TRY(al_buffer_print(&w->page, "<dt>Model</dt><dd><code>"));
  AL_TRY(al_html_text(&w->page, model == NULL ? "" : model));
  AL_TRY(al_buffer_print(&w->page, "</code></dd><dt>Cost</dt><dd><code>"));
  AL_TRY(al_html_text(&w->page, cost == NULL ? "" : cost));
  AL_TRY(al_buffer_print(&w->page, "</code></dd><dt>Data digest</dt><dd><code>%s</code></dd></dl></details>\n",
                         text_of(d, "digest")));
done:
  free(model);
  free(cost);
  return status;
}

static al_status add_setting(writer *w, const al_setting *s) {
  al_status status;
  al_table_of_setting t = {0};
  char stem[260];
  AL_TRY(al_summarise(&t, s));
  snprintf(stem, sizeof stem, "%s.%s%s%s", s->dataset, s->model, *s->axes == '\0' ? "" : ".", s->axes);
  AL_TRY(
      al_buffer_print(&w->page, "<h2>%s, %s%s%s</h2>\n", s->dataset, s->model, *s->axes == '\0' ? "" : ", ", s->axes));
  AL_TRY(add_figure(w, s, stem, "curves", AL_FIGURE_LABELS, t.full,
                    "Test accuracy against the number of labels: mean over paired replicates with 95 % t intervals; "
                    "the dotted line is "
                    "the model fitted on the whole pool. A curve above random's saves labels."));
  if (strcmp(s->cost_kind, "labels") != 0)
    AL_TRY(add_figure(
        w, s, stem, "cost", AL_FIGURE_COST, t.full,
        "Test accuracy against what the annotation cost: a strategy that picks long items pays for it here."));
  AL_TRY(add_figure(w, s, stem, "time", AL_FIGURE_TIME, NAN,
                    "Seconds a query takes (predicting the pool and choosing the batch), logarithmic."));
  AL_TRY(al_buffer_print(&w->page, "<div class=\"scroll\">\n"));
  AL_TRY(al_table_append(&w->page, s, &t, AL_TABLE_HTML));
  AL_TRY(
      al_buffer_print(&w->page,
                      "</div>\n<p class=\"note\">AULC: area under the learning curve from %.0f to %.0f labels over its "
                      "length. p: paired t test, Holm over the strategies. ",
                      t.from, t.to));
  if (!isnan(t.full))
    AL_TRY(
        al_buffer_print(&w->page,
                        "Full data: %.4f (n = %zu); target: %.4f, counted when the next round confirms it; median by "
                        "Kaplan-Meier.",
                        t.full, s->full_n, t.target));
  if (t.half_budget) AL_TRY(al_buffer_print(&w->page, " The range that all cells reach is below half of the budget."));
  AL_TRY(al_buffer_print(&w->page, "</p>\n"));
  AL_TRY(add_protocol(w, s));
  AL_TRY(al_buffer_print(&w->lead, "<li>"));
  al_buffer line = {0};
  status = al_headline(&line, s, &t);
  if (status == AL_OK) status = al_html_text(&w->lead, line.data);
  if (status == AL_OK)
    status = al_buffer_print(&w->md, "## %s, %s%s%s\n\n%s\n\n", s->dataset, s->model, *s->axes == '\0' ? "" : ", ",
                             s->axes, line.data);
  if (status == AL_OK) status = al_buffer_print(&w->text, "%s\n", line.data);
  al_buffer_free(&line);
  if (status != AL_OK) goto done;
  AL_TRY(al_buffer_print(&w->lead, "</li>\n"));
  AL_TRY(al_table_append(&w->md, s, &t, AL_TABLE_MD));
  if (!isnan(t.full))
    AL_TRY(al_buffer_print(&w->md, "\nFull data: %.4f; target %.4f; area from %.0f to %.0f labels.\n\n", t.full,
                           t.target, t.from, t.to));
  AL_TRY(al_buffer_print(&w->tex, "%% %s, %s%s%s\n", s->dataset, s->model, *s->axes == '\0' ? "" : ", ", s->axes));
  AL_TRY(al_table_append(&w->tex, s, &t, AL_TABLE_TEX));
  if (w->csv.size != 0) { /* one header for all settings */
    al_buffer more = {0};
    status = al_table_append(&more, s, &t, AL_TABLE_CSV);
    if (status == AL_OK) {
      const char *rows = strchr(more.data, '\n') + 1;
      status = al_buffer_append(&w->csv, rows, strlen(rows));
    }
    al_buffer_free(&more);
    if (status != AL_OK) goto done;
  } else {
    AL_TRY(al_table_append(&w->csv, s, &t, AL_TABLE_CSV));
  }
  AL_TRY(al_table_append(&w->text, s, &t, AL_TABLE_TEXT));
  AL_TRY(al_buffer_print(&w->text, "\n"));
done:
  al_summary_free(&t);
  return status;
}

static al_status add_names(al_buffer *page, const char *title, const json_t *names) {
  al_status status = AL_OK;
  if (json_array_size(names) == 0) return AL_OK;
  AL_TRY(al_buffer_print(page, "<h2>%s</h2>\n<ul>", title));
  for (size_t i = 0; i < json_array_size(names); i++) {
    const json_t *item = json_array_get(names, i);
    AL_TRY(al_buffer_print(page, "<li>"));
    if (json_is_string(item)) {
      AL_TRY(al_html_text(page, json_string_value(item)));
    } else {
      AL_TRY(al_buffer_print(page, "%s with %s on %s: ", text_of(item, "strategy"), text_of(item, "model"),
                             text_of(item, "dataset")));
      AL_TRY(al_html_text(page, text_of(item, "why")));
    }
    AL_TRY(al_buffer_print(page, "</li>\n"));
  }
  AL_TRY(al_buffer_print(page, "</ul>\n"));
done:
  return status;
}

static al_status add_environment(writer *w) {
  al_status status;
  AL_TRY(al_buffer_print(&w->page, "<h2>Environment</h2>\n"));
  for (size_t i = 0; i < json_array_size(w->c->environment); i++) {
    const char *key;
    json_t *value;
    AL_TRY(al_buffer_print(&w->page, "<dl>"));
    json_object_foreach(json_array_get(w->c->environment, i), key, value) {
      char *text = json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY);
      AL_TRY(al_buffer_print(&w->page, "<dt>%s</dt><dd>", key));
      AL_TRY(al_html_text(&w->page, json_is_string(value) ? json_string_value(value) : text == NULL ? "" : text));
      AL_TRY(al_buffer_print(&w->page, "</dd>"));
      free(text);
    }
    AL_TRY(al_buffer_print(&w->page, "</dl>\n"));
  }
  AL_TRY(al_buffer_print(
      &w->page,
      "<p class=\"note\">What the intervals cover: the draw of the initial set, the order of the pool and the "
      "models' seeds (and the pool, where it is a share drawn anew each replicate). What they do not: another test "
      "set, another dataset, another annotator.</p>\n"));
done:
  return status;
}

static al_status put_file(const char *folder, const char *name, const al_buffer *bytes) {
  char *path = NULL;
  al_status status = al_format(&path, "%s/%s", folder, name);
  if (status == AL_OK) status = al_file_write(path, bytes->data == NULL ? "" : bytes->data, bytes->size);
  free(path);
  return status;
}

static al_status write_page(writer *w, const char *study) {
  al_status status;
  al_buffer page = {0};
  AL_TRY(al_buffer_print(&page, "%s%s: alab report%s", page_head, text_of(w->c->study, "study"), page_style));
  AL_TRY(al_buffer_print(
      &page,
      "<h1>%s</h1>\n<p class=\"note\">A study of query strategies by alab. Drawn from the logs by <code>alab "
      "report ",
      text_of(w->c->study, "study")));
  AL_TRY(al_html_text(&page, study));
  AL_TRY(al_buffer_print(&page, "</code>; they are in <code>cells/</code> there.</p>\n<ul class=\"lead\">\n"));
  AL_TRY(al_buffer_append(&page, w->lead.data, w->lead.size));
  AL_TRY(al_buffer_print(&page, "</ul>\n"));
  AL_TRY(al_buffer_append(&page, w->page.data, w->page.size));
  AL_TRY(al_buffer_append(&page, page_end, strlen(page_end)));
  AL_TRY(put_file(w->out, "index.html", &page));
done:
  al_buffer_free(&page);
  return status;
}

al_status al_report_study(const char *study, const char *out, unsigned formats, FILE *text) {
  al_status status;
  al_collection *c = NULL;
  writer w = {.out = out, .formats = formats};
  AL_TRY(al_collect(&c, study));
  w.c = c;
  AL_TRY(al_folder_make(out));
  for (size_t i = 0; i < c->n; i++) AL_TRY(add_setting(&w, &c->settings[i]));
  AL_TRY(add_names(&w.page, "Left out: combinations that cannot run", json_object_get(c->study, "left_out")));
  AL_TRY(add_names(&w.page, "Unfinished cells, not in any figure", c->unfinished));
  AL_TRY(add_environment(&w));
  if (formats & AL_FORMAT_HTML) AL_TRY(write_page(&w, study));
  if (formats & AL_FORMAT_MD) AL_TRY(put_file(out, "summary.md", &w.md));
  if (formats & AL_FORMAT_TEX) AL_TRY(put_file(out, "summary.tex", &w.tex));
  if (formats & AL_FORMAT_CSV) AL_TRY(put_file(out, "summary.csv", &w.csv));
  for (size_t i = 0; i < json_array_size(c->unfinished); i++)
    al_log_notice("unfinished, left out: %s", json_string_value(json_array_get(c->unfinished, i)));
  if (text != NULL && w.text.size != 0) fwrite(w.text.data, 1, w.text.size, text);
done:
  al_collection_free(c);
  al_buffer *buffers[] = {&w.page, &w.md, &w.tex, &w.csv, &w.text, &w.lead};
  for (size_t i = 0; i < 6; i++) al_buffer_free(buffers[i]);
  return status;
}
