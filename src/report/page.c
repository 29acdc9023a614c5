/* index.html: one file that works from a folder, offline. What came out stands first, then every figure with what to
 * see in it and the data behind it, the protocol, the audit and the environment. Its look is page.css, its behaviour
 * page.js. */
#include "report/report_parts.h"

#include "base/file.h"
#include "report/html.h"
#include "report/summary_table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_DATA = 1 << 16, MAIN_FIGURES = 2 };

typedef struct {
  const al_report *w;
  al_buffer page;
} writer;

static const char *text_of(const json_t *object, const char *key) {
  const char *text = json_string_value(json_object_get(object, key));
  return text == NULL ? "" : text;
}

static al_status put(writer *p, const char *text) { return al_buffer_append(&p->page, text, strlen(text)); }

static al_status put_safe(writer *p, const char *before, const char *text, const char *behind) {
  al_status status;
  AL_TRY(put(p, before));
  AL_TRY(al_html_text(&p->page, text));
  AL_TRY(put(p, behind));
done:
  return status;
}

/* ---- a figure ---- */

static al_status put_data(writer *p, const al_picture *picture) {
  al_status status;
  char *path = NULL, *text = NULL;
  size_t size = 0, lines = 0;
  AL_TRY(al_format(&path, "%s/%s/%s.dat", p->w->options->out, picture->folder, picture->name));
  AL_TRY(al_file_read(&text, &size, path, 1 << 28));
  for (size_t i = 0; i < size; i++) lines += text[i] == '\n';
  AL_TRY(al_buffer_print(
      &p->page,
      "<details class=\"data\"><summary>Data behind it (%zu lines)</summary>\n<p>Files: <a "
      "href=\"%s/%s.dat\">%s.dat</a>, script <a href=\"%s/%s.gp\">%s.gp</a>; in that folder <code>gnuplot "
      "-e \"format='pdf'\" %s.gp</code> draws it, <code>",
      lines, picture->folder, picture->name, picture->name, picture->folder, picture->name, picture->name,
      picture->name));
  AL_TRY(put_safe(p, "", p->w->redraw, "</code> draws it anew from the logs.</p>\n"));
  if (size <= MOST_DATA) {
    AL_TRY(put_safe(p, "<pre tabindex=\"0\">", text, "</pre>\n"));
  } else {
    AL_TRY(put(p, "<p>The data are too many to stand here.</p>\n"));
  }
  AL_TRY(put(p, "</details>\n"));
done:
  free(path);
  free(text);
  return status;
}

static al_status put_figure(writer *p, const al_picture *picture, size_t number, const char *level) {
  al_status status;
  char *path = NULL, *svg = NULL, *label = NULL, prefix[32];
  size_t size = 0;
  const al_drawing *drawing = &p->w->pictures.drawings.items[picture->drawing];
  snprintf(prefix, sizeof prefix, "f%zu-", number);
  AL_TRY(al_format(&label, "%s. %s %s", picture->title, picture->type->see, picture->caption));
  AL_TRY(al_buffer_print(&p->page, "<figure id=\"figure-%zu\" class=\"of-%s\">\n<%s>", number, picture->type->name,
                         level));
  AL_TRY(put_safe(p, "", picture->type->title, picture->axis == AL_AXIS_COST ? " against cost" : ""));
  AL_TRY(al_buffer_print(&p->page, "</%s>\n", level));
  AL_TRY(al_format(&path, "%s/%s/%s.svg", p->w->options->out, picture->folder, picture->name));
  if (drawing->drawn && al_file_exists(path)) {
    AL_TRY(al_file_read(&svg, &size, path, 1 << 28));
    AL_TRY(put(p, "<div class=\"picture\" tabindex=\"0\" role=\"group\" aria-label=\"Figure, scrolls sideways on "
                  "narrow screens\">\n"));
    AL_TRY(al_html_svg(&p->page, svg, prefix, label));
    AL_TRY(put(p, "</div>\n"));
  } else {
    AL_TRY(put(
        p,
        "<p class=\"missing\">No picture: gnuplot was not there when this report was made. The data are below.</p>\n"));
  }
  AL_TRY(put_safe(p, "<figcaption><p>", picture->type->see, " "));
  AL_TRY(put_safe(p, "<strong>", picture->caption, "</strong></p>\n"));
  AL_TRY(put_data(p, picture));
  AL_TRY(put(p, "</figcaption>\n</figure>\n"));
done:
  free(path);
  free(svg);
  free(label);
  return status;
}

/* Figures of a span: those that are main at once, the others folded away. */
static al_status put_figures(writer *p, al_span span, bool folded) {
  al_status status = AL_OK;
  size_t shown = 0, hidden = 0, skipped = 0;
  const al_picture *items = p->w->pictures.items;
  for (size_t i = span.from; i < span.to; i++) {
    bool main_figure = !folded || items[i].type == &al_figure_curves || items[i].type == &al_figure_areas;
    skipped += items[i].skipped != NULL;
    hidden += items[i].skipped == NULL && !main_figure;
    if (items[i].skipped != NULL || !main_figure) continue;
    AL_TRY(put_figure(p, &items[i], i, "h3"));
    shown++;
  }
  if (hidden != 0) {
    AL_TRY(al_buffer_print(&p->page, "<details class=\"more\"><summary>%zu more figures:", hidden));
    bool first = true;
    for (size_t i = span.from; i < span.to; i++) {
      if (items[i].skipped != NULL || items[i].type == &al_figure_curves || items[i].type == &al_figure_areas) continue;
      AL_TRY(put_safe(p, first ? " " : ", ", items[i].type->title, ""));
      first = false;
    }
    AL_TRY(put(p, "</summary>\n"));
    for (size_t i = span.from; i < span.to; i++) {
      if (items[i].skipped != NULL || items[i].type == &al_figure_curves || items[i].type == &al_figure_areas) continue;
      AL_TRY(put_figure(p, &items[i], i, "h4"));
    }
    AL_TRY(put(p, "</details>\n"));
  }
  if (skipped == 0) goto done;
  AL_TRY(put(p, "<ul class=\"note\">\n"));
  for (size_t i = span.from; i < span.to; i++)
    if (items[i].skipped != NULL) {
      AL_TRY(put_safe(p, "<li>Not drawn: ", items[i].title, ": "));
      AL_TRY(put_safe(p, "", items[i].skipped, ".</li>\n"));
    }
  AL_TRY(put(p, "</ul>\n"));
done:
  return status;
}

/* ---- sections ---- */

static al_status put_json(writer *p, const char *title, const json_t *value) {
  char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
  al_status status = al_buffer_print(&p->page, "<dt>%s</dt><dd><code>", title);
  if (status == AL_OK) status = put_safe(p, "", text == NULL ? "" : text, "</code></dd>");
  free(text);
  return status;
}

static al_status put_protocol(writer *p, const al_setting *s) {
  const json_t *h = s->header, *d = json_object_get(h, "dataset");
  al_status status;
  AL_TRY(put(p, "<details><summary>Protocol of this setting</summary><dl>"));
  AL_TRY(al_buffer_print(
      &p->page, "<dt>Rows</dt><dd>%lld in the pool, %lld evaluated each round (of %lld test rows), %zu classes</dd>",
      (long long)json_integer_value(json_object_get(d, "pool")),
      (long long)json_integer_value(json_object_get(d, "evaluated")),
      (long long)json_integer_value(json_object_get(d, "test")), json_array_size(json_object_get(d, "classes"))));
  AL_TRY(al_buffer_print(&p->page,
                         "<dt>Initial set</dt><dd>%lld labels, %s, the same for all strategies of a replicate</dd>",
                         (long long)json_integer_value(json_object_get(json_object_get(h, "initial"), "size")),
                         text_of(json_object_get(h, "initial"), "method")));
  AL_TRY(al_buffer_print(
      &p->page,
      "<dt>Batch</dt><dd>%lld labels</dd><dt>Hold-out</dt><dd>%lld rows</dd><dt>Master seed</dt><dd>%lld</dd>",
      (long long)json_integer_value(json_object_get(json_object_get(h, "query"), "batch")),
      (long long)json_integer_value(json_object_get(json_object_get(h, "holdout"), "size")),
      (long long)json_integer_value(json_object_get(h, "seed"))));
  AL_TRY(put_json(p, "Model", json_object_get(json_object_get(h, "model"), "options")));
  AL_TRY(put_json(p, "Oracle", json_object_get(h, "oracle")));
  AL_TRY(put_json(p, "Cost", json_object_get(h, "cost")));
  AL_TRY(put_safe(p, "<dt>Data digest</dt><dd><code>", text_of(d, "digest"), "</code></dd></dl></details>\n"));
done:
  return status;
}

static al_status table_of(const al_report *w, al_setting *s, const al_table_of_setting **t) {
  return al_setting_table(t, s, w->options->measure, AL_AXIS_LABELS);
}

static al_status put_setting(writer *p, size_t at) {
  al_status status;
  al_setting *s = &p->w->c->settings[at];
  const al_table_of_setting *t = NULL;
  al_grid grid = {0};
  al_buffer line = {0};
  char title[256];
  AL_TRY(table_of(p->w, s, &t));
  AL_TRY(al_headline(&line, s, t));
  AL_TRY(al_summary_grid(&grid, s, t));
  AL_TRY(al_buffer_print(&p->page,
                         "<section id=\"setting-%zu\" aria-labelledby=\"h-setting-%zu\">\n<h2 id=\"h-setting-%zu\">",
                         at, at, at));
  AL_TRY(put_safe(p, "", al_setting_title(s, title), "</h2>\n"));
  char *sentence = line.data + strlen(title) + 2;
  if (strncmp(sentence, "no ", 3) == 0) *sentence = 'N'; /* names of strategies keep their case */
  AL_TRY(put_safe(p, "<p class=\"lead\">", sentence, "</p>\n"));
  AL_TRY(al_grid_append(&p->page, &grid, AL_GRID_HTML));
  AL_TRY(
      al_buffer_print(&p->page,
                      "<p class=\"note\">AULC: area under the curve of %s from %g to %g labels, divided by that range. "
                      "Differences are paired by replicate; p: paired t test, Holm over the strategies; “detects "
                      "from”: the smallest true difference that these replicates find with 80 %% power.",
                      al_measures[t->measure].title, t->from, t->to));
  if (isfinite(t->full)) AL_TRY(al_buffer_print(&p->page, " Full data: %.4f (n = %zu).", t->full, t->full_n));
  if (isfinite(t->target))
    AL_TRY(
        al_buffer_print(&p->page,
                        " Target: %.4f, counted when the next round confirms it; median by Kaplan-Meier, in brackets "
                        "how many replicates got there.",
                        t->target));
  if (t->half_budget) AL_TRY(put(p, " The range that all cells reach is below half of the longest."));
  AL_TRY(put(p, "</p>\n"));
  AL_TRY(put_figures(p, p->w->of_setting[at], true));
  AL_TRY(put_protocol(p, s));
  AL_TRY(put(p, "</section>\n"));
done:
  al_grid_free(&grid);
  al_buffer_free(&line);
  return status;
}

static al_status put_group(writer *p, size_t at) {
  al_status status;
  const al_group *g = &p->w->groups[at];
  al_grid grid = {0};
  char title[256];
  if (g->n < 2) return AL_OK;
  AL_TRY(al_buffer_print(
      &p->page, "<section id=\"across-%zu\" aria-labelledby=\"h-across-%zu\">\n<h2 id=\"h-across-%zu\">", at, at, at));
  AL_TRY(put_safe(p, "Over the datasets: ", al_group_title(g, title), "</h2>\n"));
  if (g->k >= 2) {
    AL_TRY(al_ranking_grid(&grid, g, p->w->options->measure));
    AL_TRY(al_grid_append(&p->page, &grid, AL_GRID_HTML));
    AL_TRY(
        al_buffer_print(&p->page,
                        "<p class=\"note\">Ranks and differences are of the mean area on each of %zu datasets; won and "
                        "lost: Holm-corrected paired t test within the dataset.</p>\n",
                        g->n));
  }
  AL_TRY(put_figures(p, p->w->of_group[at], false));
  AL_TRY(put(p, "</section>\n"));
done:
  al_grid_free(&grid);
  return status;
}

/* Who has the best mean rank, whoever shares it, and whether that was tested. */
static al_status put_lead(writer *p, const al_group *g, const al_grid *grid, size_t at) {
  al_status status;
  size_t sharing = 1;
  al_friedman test;
  double *ranks = NULL;
  AL_TRY(AL_NEW(&ranks, g->k));
  AL_TRY(al_group_ranks(ranks, &test, g));
  while (sharing < grid->rows && grid->keys[sharing * grid->columns + 1] <= grid->keys[1] + 1e-12) sharing++;
  AL_TRY(al_buffer_print(&p->page, ", over %zu datasets: <a href=\"#across-%zu\">%s", g->n, at, grid->cells[0]));
  for (size_t i = 1; i < sharing && i < 4; i++)
    AL_TRY(al_buffer_print(&p->page, "%s%s", i + 1 == sharing ? " and " : ", ", grid->cells[i * grid->columns]));
  if (sharing > 4) AL_TRY(al_buffer_print(&p->page, " and %zu more", sharing - 4));
  AL_TRY(al_buffer_print(&p->page, " %s the best mean rank</a>, %s of %zu", sharing == 1 ? "has" : "share",
                         grid->cells[1], g->k));
  if (g->n >= 6)
    AL_TRY(al_buffer_print(&p->page, "; Friedman's test %s that ranks differ (p = %.2g).</li>\n",
                           test.p < 0.05 ? "finds" : "does not find", test.p));
  else
    AL_TRY(al_buffer_print(&p->page, "; with fewer than 6 datasets no test of ranks is made.</li>\n"));
done:
  free(ranks);
  return status;
}

static al_status put_result(writer *p) {
  al_status status;
  al_buffer line = {0};
  const al_report *w = p->w;
  AL_TRY(put(p, "<section id=\"result\" aria-labelledby=\"h-result\">\n<h2 id=\"h-result\">What came out</h2>\n<ul "
                "class=\"lead\">\n"));
  for (size_t i = 0; i < w->group_count; i++) {
    const al_group *g = &w->groups[i];
    al_grid grid = {0};
    char title[256];
    if (g->n < 2 || g->k < 2) continue;
    status = al_ranking_grid(&grid, g, w->options->measure);
    if (status == AL_OK) status = put_safe(p, "<li>", al_group_title(g, title), "");
    if (status == AL_OK) status = put_lead(p, g, &grid, i);
    al_grid_free(&grid);
    if (status != AL_OK) goto done;
  }
  for (size_t i = 0; i < w->c->n; i++) {
    const al_table_of_setting *t = NULL;
    line.size = 0;
    AL_TRY(table_of(w, &w->c->settings[i], &t));
    AL_TRY(al_headline(&line, &w->c->settings[i], t));
    char title[256];
    size_t n = strlen(al_setting_title(&w->c->settings[i], title));
    AL_TRY(al_buffer_print(&p->page, "<li><a href=\"#setting-%zu\">", i));
    AL_TRY(put_safe(p, "", title, "</a>"));
    AL_TRY(put_safe(p, "", line.data + n, "</li>\n"));
  }
  AL_TRY(put(p, "</ul>\n"));
  size_t problems = al_audit_count(&w->audit, AL_VERDICT_PROBLEM),
         warnings = al_audit_count(&w->audit, AL_VERDICT_WARNING);
  AL_TRY(al_buffer_print(
      &p->page,
      "<p><a href=\"#audit\">Protocol audit</a>: <span class=\"verdict %s\">%zu problem%s</span>, <span "
      "class=\"verdict %s\">%zu warning%s</span>, %zu sound.</p>\n",
      problems != 0 ? "problem" : "sound", problems, problems == 1 ? "" : "s", warnings != 0 ? "warning" : "sound",
      warnings, warnings == 1 ? "" : "s", al_audit_count(&w->audit, AL_VERDICT_SOUND)));
  AL_TRY(put(p, "</section>\n"));
done:
  al_buffer_free(&line);
  return status;
}

static al_status put_names(writer *p, const char *title, const json_t *names) {
  al_status status = AL_OK;
  if (json_array_size(names) == 0) return AL_OK;
  AL_TRY(put_safe(p, "<h3>", title, "</h3>\n<ul>\n"));
  for (size_t i = 0; i < json_array_size(names); i++) {
    const json_t *item = json_array_get(names, i);
    if (json_is_string(item)) {
      AL_TRY(put_safe(p, "<li><code>", json_string_value(item), "</code></li>\n"));
      continue;
    }
    AL_TRY(put_safe(p, "<li>", text_of(item, "strategy"), " with "));
    AL_TRY(put_safe(p, "", text_of(item, "model"), " on "));
    AL_TRY(put_safe(p, "", text_of(item, "dataset"), ": "));
    AL_TRY(put_safe(p, "", text_of(item, "why"), "</li>\n"));
  }
  AL_TRY(put(p, "</ul>\n"));
done:
  return status;
}

static al_status put_study(writer *p) {
  al_status status;
  const json_t *study = p->w->c->study, *e = json_object_get(study, "experiment");
  char *text = json_dumps(e, JSON_INDENT(1) | JSON_REAL_PRECISION(10));
  AL_TRY(put(p, "<section id=\"protocol\" aria-labelledby=\"h-protocol\">\n<h2 id=\"h-protocol\">Protocol</h2>\n<p>All "
                "strategies of a "
                "replicate share split, pool order, initial set and model start, so their differences are paired. A "
                "strategy sees "
                "rows of the pool and never their labels; the test set is out of its reach.</p>\n<dl>"));
  AL_TRY(put_safe(p, "<dt>Study</dt><dd>", text_of(study, "study"), "</dd>"));
  AL_TRY(put_safe(p, "<dt>Hash of its settings</dt><dd><code>", text_of(study, "hash"), "</code></dd>"));
  AL_TRY(put_json(p, "Stop", json_object_get(e, "stop")));
  AL_TRY(al_buffer_print(&p->page, "<dt>Cells</dt><dd>%zu, and %zu full-data references</dd></dl>\n",
                         json_array_size(json_object_get(study, "cells")),
                         json_array_size(json_object_get(study, "references"))));
  AL_TRY(put_safe(p, "<details><summary>The experiment, every default filled in</summary><pre tabindex=\"0\">",
                  text == NULL ? "" : text, "</pre></details>\n"));
  AL_TRY(put_names(p, "Left out: combinations that cannot run", p->w->c->left_out));
  AL_TRY(put_names(p, "Not complete, in no figure", p->w->c->unfinished));
  AL_TRY(put(p, "</section>\n"));
done:
  free(text);
  return status;
}

static al_status put_environment(writer *p) {
  al_status status;
  AL_TRY(put(
      p,
      "<section id=\"environment\" aria-labelledby=\"h-environment\">\n<h2 id=\"h-environment\">Environment</h2>\n"));
  for (size_t i = 0; i < json_array_size(p->w->c->environment); i++) {
    const char *key;
    json_t *value;
    AL_TRY(put(p, "<dl>"));
    json_object_foreach(json_array_get(p->w->c->environment, i), key, value) {
      char *text = json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY);
      status = put_safe(p, "<dt>", key, "</dt>");
      if (status == AL_OK)
        status = put_safe(p, "<dd>",
                          json_is_string(value) ? json_string_value(value)
                          : text == NULL        ? ""
                                                : text,
                          "</dd>");
      free(text);
      if (status != AL_OK) goto done;
    }
    AL_TRY(put(p, "</dl>\n"));
  }
  if (json_array_size(p->w->c->environment) == 0)
    AL_TRY(put(p, "<p>The timing files, which would say, are missing.</p>\n"));
  AL_TRY(put(p, "<p class=\"note\">The intervals cover the draw of the initial set, the order of the pool and the "
                "models' seeds (and "
                "the pool or split, where they are drawn anew each replicate). They do not cover another test set, "
                "another dataset "
                "or another annotator.</p>\n</section>\n"));
done:
  return status;
}

static al_status put_contents(writer *p) {
  al_status status;
  const al_report *w = p->w;
  char title[256];
  AL_TRY(put(p, "<nav aria-label=\"Contents\">\n<ul>\n<li><a href=\"#result\">What came out</a></li>\n"));
  for (size_t i = 0; i < w->group_count; i++) {
    if (w->groups[i].n < 2) continue;
    AL_TRY(al_buffer_print(&p->page, "<li><a href=\"#across-%zu\">", i));
    AL_TRY(put_safe(p, "Over the datasets: ", al_group_title(&w->groups[i], title), "</a></li>\n"));
  }
  for (size_t i = 0; i < w->c->n; i++) {
    AL_TRY(al_buffer_print(&p->page, "<li><a href=\"#setting-%zu\">", i));
    AL_TRY(put_safe(p, "", al_setting_title(&w->c->settings[i], title), "</a></li>\n"));
  }
  AL_TRY(put(p, "<li><a href=\"#audit\">Protocol audit</a></li>\n<li><a href=\"#protocol\">Protocol</a></li>\n<li><a "
                "href=\"#environment\">Environment</a></li>\n</ul>\n</nav>\n"));
done:
  return status;
}

static al_status put_head(writer *p) {
  al_status status;
  const al_report *w = p->w;
  const char *name = text_of(w->c->study, "study");
  AL_TRY(put(p, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
                "content=\"width=device-width, initial-scale=1\">\n<link rel=\"icon\" href=\"data:,\">\n"));
  AL_TRY(put_safe(p, "<title>", name, ": alab report</title>\n<style>\n"));
  AL_TRY(put(p, al_asset_text("page.css")));
  AL_TRY(put(p, "</style>\n</head>\n<body>\n<a class=\"skip\" href=\"#main\">Skip to the results</a>\n<header>\n"));
  AL_TRY(put_safe(p, "<h1>", name, "</h1>\n"));
  AL_TRY(put_safe(
      p,
      "<p>Query strategies for active learning, simulated and measured by alab. Drawn from the study's logs by <code>",
      w->redraw, "</code>.</p>\n"));
  AL_TRY(put(p, "<div class=\"controls\">\n<label for=\"highlight\">Highlight in all curves</label>\n<select "
                "id=\"highlight\"><option value=\"\">every strategy</option>"));
  for (size_t i = 0; i < w->c->strategy_count; i++) {
    AL_TRY(put_safe(p, "<option>", w->c->strategies[i], "</option>"));
  }
  AL_TRY(put(p, "</select>\n<label for=\"theme\">Colours</label>\n<select id=\"theme\"><option value=\"\">as the "
                "system</option><option value=\"light\">light</option><option "
                "value=\"dark\">dark</option></select>\n</div>\n</header>\n"));
done:
  return status;
}

al_status al_page_write(const al_report *w) {
  al_status status;
  writer p = {.w = w};
  char *path = NULL;
  AL_TRY(put_head(&p));
  AL_TRY(put(&p, "<div class=\"columns\">\n"));
  AL_TRY(put_contents(&p));
  AL_TRY(put(&p, "<main id=\"main\">\n"));
  AL_TRY(put_result(&p));
  for (size_t i = 0; i < w->group_count; i++) AL_TRY(put_group(&p, i));
  for (size_t i = 0; i < w->c->n; i++) AL_TRY(put_setting(&p, i));
  AL_TRY(put(
      &p, "<section id=\"audit\" aria-labelledby=\"h-audit\">\n<h2 id=\"h-audit\">Protocol audit</h2>\n<p>Does the "
          "study avoid "
          "the known pitfalls of evaluating active learning? Each finding names its evidence and the remedy.</p>\n<div "
          "class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Protocol audit\">\n"));
  AL_TRY(al_audit_append(&p.page, &w->audit, AL_AUDIT_HTML));
  AL_TRY(put(&p, "</div>\n</section>\n"));
  AL_TRY(put_study(&p));
  AL_TRY(put_environment(&p));
  AL_TRY(put(&p, "</main>\n</div>\n<script>\n"));
  AL_TRY(put(&p, al_asset_text("page.js")));
  AL_TRY(put(&p, "</script>\n</body>\n</html>\n"));
  AL_TRY(al_format(&path, "%s/index.html", w->options->out));
  AL_TRY(al_file_write(path, p.page.data, p.page.size));
done:
  free(path);
  al_buffer_free(&p.page);
  return status;
}
