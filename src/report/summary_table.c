/* Tables. People see as many digits as the interval supports; CSV has 17 significant digits. */
#include "report/summary_table.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { CELLS = 7, CELL = 64 };

static const char *const heads[CELLS] = {"strategy",
                                         "n",
                                         "AULC [95 %]",
                                         "difference to random [95 %], p",
                                         "final accuracy",
                                         "labels to 90 % of full",
                                         "saving against random"};

/* Digits behind the point that an interval of this half-width supports. */
static int digits(double half) {
  if (!(half > 0.0)) return 4;
  int d = (int)ceil(-log10(half)) + 1;
  return d < 2 ? 2 : d > 5 ? 5 : d;
}

static void put_p(char *text, size_t size, double p) {
  if (isnan(p))
    snprintf(text, size, "-");
  else if (p < 0.0001)
    snprintf(text, size, "< 0.0001");
  else
    snprintf(text, size, p < 0.001 ? "%.4f" : "%.3f", p);
}

static void fill_cells(char cells[CELLS][CELL], const al_row *r, const al_table_of_setting *t) {
  char p[24];
  int d = digits(0.5 * (r->aulc.high - r->aulc.low));
  snprintf(cells[0], CELL, "%s", r->strategy);
  snprintf(cells[1], CELL, "%zu", r->n);
  if (isnan(r->aulc.mean))
    snprintf(cells[2], CELL, "not comparable");
  else if (r->n < 2)
    snprintf(cells[2], CELL, "%.*f", d, r->aulc.mean);
  else
    snprintf(cells[2], CELL, "%.*f [%.*f, %.*f]", d, r->aulc.mean, d, r->aulc.low, d, r->aulc.high);
  put_p(p, sizeof p, r->p);
  d = digits(0.5 * (r->difference.high - r->difference.low));
  if (r->difference.n == 0)
    snprintf(cells[3], CELL, "-");
  else if (r->difference.n < 2)
    snprintf(cells[3], CELL, "%+.*f", d, r->difference.mean);
  else
    snprintf(cells[3], CELL, "%+.*f [%+.*f, %+.*f], p %s%s", d, r->difference.mean, d, r->difference.low, d,
             r->difference.high, *p == '<' ? "" : "= ", p);
  d = digits(0.5 * (r->final.high - r->final.low));
  snprintf(cells[4], CELL, "%.*f", d, r->final.mean);
  if (isnan(t->target))
    snprintf(cells[5], CELL, "no reference");
  else if (isnan(r->target_labels))
    snprintf(cells[5], CELL, "> %.0f (%zu of %zu)", t->to, r->reached, r->n);
  else
    snprintf(cells[5], CELL, "%s%.0f%s", r->at_start ? "<= " : "", r->target_labels,
             r->censored_n != 0 ? " (some censored)" : "");
  if (isnan(r->saving) || r->saving_mark == '?')
    snprintf(cells[6], CELL, strcmp(r->strategy, "random") == 0 ? "-" : "not comparable");
  else
    snprintf(cells[6], CELL, "%s%.0f %%",
             r->saving_mark == '>'   ? ">= "
             : r->saving_mark == '<' ? "<= "
                                     : "",
             100.0 * r->saving);
}

al_status al_html_text(al_buffer *out, const char *text) {
  al_status status = AL_OK;
  for (; *text != '\0' && status == AL_OK; text++) {
    const char *with = *text == '&'   ? "&amp;"
                       : *text == '<' ? "&lt;"
                       : *text == '>' ? "&gt;"
                       : *text == '"' ? "&quot;"
                                      : NULL;
    status = with != NULL ? al_buffer_append(out, with, strlen(with)) : al_buffer_append(out, text, 1);
  }
  return status;
}

static al_status tex_text(al_buffer *out, const char *text) {
  al_status status = AL_OK;
  for (; *text != '\0' && status == AL_OK; text++) {
    if (strchr("%_&#$", *text) != NULL)
      status = al_buffer_print(out, "\\%c", *text);
    else if (*text == '<' || *text == '>')
      status = al_buffer_print(out, "$%c$", *text);
    else
      status = al_buffer_append(out, text, 1);
  }
  return status;
}

static al_status put_csv(al_buffer *out, const al_setting *s, const al_table_of_setting *t) {
  al_status status;
  AL_TRY(al_buffer_print(
      out, "dataset,model,setting,strategy,replicates,aulc,aulc_low,aulc_high,difference,difference_low,"
           "difference_high,p_holm,p_wilcoxon_holm,detectable,final,final_low,final_high,full_data,target,"
           "labels_to_target,reached,censored,saving,saving_mark\n"));
  for (size_t i = 0; i < t->n; i++) {
    const al_row *r = &t->rows[i];
    AL_TRY(al_buffer_print(out, "%s,%s,%s,%s,%zu", s->dataset, s->model, s->axes, r->strategy, r->n));
    const double values[] = {r->aulc.mean,       r->aulc.low,   r->aulc.high,  r->difference.mean, r->difference.low,
                             r->difference.high, r->p,          r->p_wilcoxon, r->detectable,      r->final.mean,
                             r->final.low,       r->final.high, t->full,       t->target,          r->target_labels};
    for (size_t v = 0; v < sizeof values / sizeof *values; v++)
      AL_TRY(isnan(values[v]) ? al_buffer_print(out, ",") : al_buffer_print(out, ",%.17g", values[v]));
    AL_TRY(al_buffer_print(out, ",%zu,%zu,", r->reached, r->censored_n));
    if (!isnan(r->saving)) AL_TRY(al_buffer_print(out, "%.17g", r->saving));
    AL_TRY(al_buffer_print(out, ",%c\n", r->saving_mark));
  }
done:
  return status;
}

static al_status put_text(al_buffer *out, const al_table_of_setting *t) {
  al_status status = AL_OK;
  size_t widths[CELLS];
  char cells[CELLS][CELL];
  for (size_t c = 0; c < CELLS; c++) {
    widths[c] = strlen(heads[c]);
    for (size_t i = 0; i < t->n; i++) {
      fill_cells(cells, &t->rows[i], t);
      widths[c] = strlen(cells[c]) > widths[c] ? strlen(cells[c]) : widths[c];
    }
  }
  for (size_t i = 0; i <= t->n; i++) {
    if (i != 0) fill_cells(cells, &t->rows[i - 1], t);
    for (size_t c = 0; c < CELLS; c++)
      AL_TRY(al_buffer_print(out, "%-*s%s", c + 1 < CELLS ? (int)widths[c] : 0, i == 0 ? heads[c] : cells[c],
                             c + 1 < CELLS ? "  " : "\n"));
  }
done:
  return status;
}

static al_status put_markup(al_buffer *out, const al_table_of_setting *t, al_table_style style) {
  al_status status = AL_OK;
  char cells[CELLS][CELL];
  if (style == AL_TABLE_TEX) AL_TRY(al_buffer_print(out, "\\begin{tabular}{lrlllll}\n\\toprule\n"));
  if (style == AL_TABLE_HTML) AL_TRY(al_buffer_print(out, "<table class=\"sortable\">\n<thead><tr>"));
  for (size_t i = 0; i <= t->n; i++) {
    if (i != 0) fill_cells(cells, &t->rows[i - 1], t);
    if (style == AL_TABLE_HTML && i != 0) AL_TRY(al_buffer_print(out, "<tr>"));
    for (size_t c = 0; c < CELLS; c++) {
      const char *text = i == 0 ? heads[c] : cells[c];
      if (style == AL_TABLE_MD) {
        AL_TRY(al_buffer_print(out, "| %s %s", text, c + 1 < CELLS ? "" : "|\n"));
      } else if (style == AL_TABLE_TEX) {
        AL_TRY(tex_text(out, text));
        AL_TRY(al_buffer_print(out, "%s", c + 1 < CELLS ? " & " : " \\\\\n"));
      } else {
        AL_TRY(al_buffer_print(out, i == 0 ? "<th scope=\"col\"><button type=\"button\">" : "<td>"));
        AL_TRY(al_html_text(out, text));
        AL_TRY(al_buffer_print(out, i == 0 ? "</button></th>" : "</td>"));
      }
    }
    if (i == 0 && style == AL_TABLE_MD) AL_TRY(al_buffer_print(out, "| --- | --- | --- | --- | --- | --- | --- |\n"));
    if (i == 0 && style == AL_TABLE_TEX) AL_TRY(al_buffer_print(out, "\\midrule\n"));
    if (style == AL_TABLE_HTML) AL_TRY(al_buffer_print(out, i == 0 ? "</tr></thead>\n<tbody>\n" : "</tr>\n"));
  }
  if (style == AL_TABLE_TEX) AL_TRY(al_buffer_print(out, "\\bottomrule\n\\end{tabular}\n"));
  if (style == AL_TABLE_HTML) AL_TRY(al_buffer_print(out, "</tbody>\n</table>\n"));
done:
  return status;
}

al_status al_table_append(al_buffer *out, const al_setting *s, const al_table_of_setting *t, al_table_style style) {
  if (style == AL_TABLE_CSV) return put_csv(out, s, t);
  return style == AL_TABLE_TEXT ? put_text(out, t) : put_markup(out, t, style);
}

al_status al_headline(al_buffer *out, const al_setting *s, const al_table_of_setting *t) {
  const al_row *best = NULL;
  for (size_t i = 0; i < t->n; i++)
    if (t->rows[i].difference.n > 1 && (best == NULL || t->rows[i].difference.mean > best->difference.mean))
      best = &t->rows[i];
  if (best == NULL) return al_buffer_print(out, "%s, %s: nothing to compare with random.", s->dataset, s->model);
  if (best->difference.mean <= 0.0 || !(best->p < 0.05))
    return al_buffer_print(
        out,
        "%s, %s: no strategy is shown to beat random (best: %s, %+.4f in area, Holm p %.3f; %zu replicates "
        "detect differences from %.4f).",
        s->dataset, s->model, best->strategy, best->difference.mean, best->p, best->difference.n, best->detectable);
  al_status status = al_buffer_print(out, "%s, %s: %s leads, %+.4f [%+.4f, %+.4f] in area over random (%zu replicates)",
                                     s->dataset, s->model, best->strategy, best->difference.mean, best->difference.low,
                                     best->difference.high, best->difference.n);
  if (status == AL_OK && !isnan(best->saving) && best->saving_mark != '?' && best->saving > 0.0)
    status = al_buffer_print(out, "; it saves %s%.0f %% of the labels to 90 %% of the full-data accuracy",
                             best->saving_mark == '>'   ? "at least "
                             : best->saving_mark == '<' ? "at most "
                                                        : "",
                             100.0 * best->saving);
  return status == AL_OK ? al_buffer_print(out, ".") : status;
}
