/* No number stands without its replicates. People see as many digits as the interval supports, machines 17. */
#include "cli/compare_print.h"

#include "stats/power.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const al_unit *against_of(const al_comparison *c, const al_unit *u) {
  return u->against == SIZE_MAX ? NULL : &c->units[u->against];
}

/* Replicates behind a comparison: pairs, or those of the smaller side. */
static size_t replicates_of(const al_comparison *c, const al_unit *u, const al_versus *v) {
  const al_unit *o = against_of(c, u);
  if (v->paired) return v->pairs;
  return o != NULL && o->n < u->n ? o->n : u->n;
}

/* ---- cells of the tables ---- */

static al_status put_interval(al_text_table *t, double mean, double low, double high, bool sign) {
  const char *format = sign ? "%+.*f [%+.*f, %+.*f]" : "%.*f [%.*f, %.*f]";
  if (isnan(mean)) return al_text_table_add(t, "-");
  int d = al_digits_of(0.5 * (high - low));
  if (isnan(low)) return al_text_table_add(t, sign ? "%+.4f" : "%.4f", mean);
  return al_text_table_add(t, format, d, mean, d, low, d, high);
}

static al_status put_p(al_text_table *t, const al_versus *v) {
  char p[24];
  if (!v->compared) return al_text_table_add(t, "-");
  return al_text_table_add(t, "%s%s", al_show_p(v->p_holm, p),
                           !v->paired    ? " (Welch)"
                           : v->constant ? " (constant difference)"
                                         : "");
}

static al_status put_wilcoxon(al_text_table *t, const al_versus *v) {
  char p[24];
  if (!v->compared || !v->paired) return al_text_table_add(t, "-");
  return al_text_table_add(t, "%s%s", al_show_p(v->p_wilcoxon_holm, p), v->wilcoxon_too_small ? " (n too small)" : "");
}

/* What these replicates would have shown, beside every difference that they do not show. */
static al_status put_detectable(al_text_table *t, const al_comparison *c, const al_versus *v) {
  if (!v->compared || isnan(v->detectable) || v->p_holm <= c->alpha) return al_text_table_add(t, "-");
  int d = al_digits_of(v->detectable);
  if (isnan(v->detectable_low)) return al_text_table_add(t, "%.*f", d, v->detectable);
  return al_text_table_add(t, "%.*f [%.*f, %.*f]", d, v->detectable, d, v->detectable_low, d, v->detectable_high);
}

static al_status put_deficiency(al_text_table *t, const al_unit *u) {
  if (u->against == SIZE_MAX || u->deficiency.n == 0) return al_text_table_add(t, "-");
  if (isnan(u->deficiency.value)) return al_text_table_add(t, "undefined");
  return put_interval(t, u->deficiency.value, u->deficiency.low, u->deficiency.high, false);
}

static al_status put_target(al_text_table *t, const al_compared_group *g, const al_unit *u) {
  char rule[48] = "";
  if (isnan(g->target)) return al_text_table_add(t, "no reference");
  if (u->by_rule != 0) snprintf(rule, sizeof rule, ", %zu ended by a rule", u->by_rule);
  size_t n = u->reached + u->censored;
  if (isnan(u->target_labels)) return al_text_table_add(t, "not reached (%zu of %zu%s)", u->reached, n, rule);
  return al_text_table_add(t, "%s%.0f (%zu of %zu%s)", u->at_start ? "<= " : "", u->target_labels, u->reached, n, rule);
}

static al_status put_use(al_text_table *t, const al_unit *u) {
  if (u->against == SIZE_MAX) return al_text_table_add(t, "-");
  if (isnan(u->use.rate)) return al_text_table_add(t, "not comparable");
  return al_text_table_add(t, "%s%.2f", u->use.mark == '>' ? ">= " : u->use.mark == '<' ? "<= " : "", u->use.rate);
}

static al_status put_n(al_text_table *t, const al_comparison *c, const al_unit *u, const al_versus *v) {
  const al_unit *o = against_of(c, u);
  if (!v->compared) return al_text_table_add(t, "%zu", u->n);
  if (v->paired) return al_text_table_add(t, v->pairs == u->n ? "%zu" : "%zu (%zu pairs)", u->n, v->pairs);
  return al_text_table_add(t, "%zu against %zu", u->n, o == NULL ? 0 : o->n);
}

static al_status put_share(al_text_table *t, const al_versus *v) {
  if (!v->compared || !v->paired) return al_text_table_add(t, "-");
  return al_text_table_add(t, v->tied == 0 ? "%zu of %zu" : "%zu of %zu, %zu tied", v->won, v->pairs, v->tied);
}

static al_status put_bca(al_text_table *t, const al_versus *v) {
  if (isnan(v->bca.low)) return al_text_table_add(t, "-");
  int d = al_digits_of(0.5 * (v->bca.high - v->bca.low));
  return al_text_table_add(t, "[%.*f, %.*f]", d, v->bca.low, d, v->bca.high);
}

/* ---- one setting ---- */

static al_status put_row(al_text_table *t, const al_comparison *c, const al_compared_group *g, const al_unit *u,
                         al_summary s, bool bca) {
  al_status status;
  const al_versus *v = &u->versus[s];
  AL_TRY(al_text_table_add(t, "%s", u->strategy));
  if (c->side_count > 1) AL_TRY(al_text_table_add(t, "%s", c->sides[u->side]));
  AL_TRY(put_n(t, c, u, v));
  AL_TRY(put_interval(t, v->mean.mean, v->mean.low, v->mean.high, false));
  if (bca) AL_TRY(put_bca(t, v));
  AL_TRY(put_interval(t, v->compared ? v->difference : NAN, v->low, v->high, true));
  AL_TRY(put_p(t, v));
  AL_TRY(put_wilcoxon(t, v));
  AL_TRY(put_share(t, v));
  AL_TRY(put_detectable(t, c, v));
  if (s != AL_AULC) goto done;
  AL_TRY(put_deficiency(t, u));
  AL_TRY(put_target(t, g, u));
  AL_TRY(put_use(t, u));
done:
  return status;
}

static void put_heading(const al_comparison *c, const al_compared_group *g, al_summary s, al_text_style style,
                        FILE *out) {
  static const char *const what[] = {"area under %s over labels", "area under %s over cost", "last %s"};
  const al_unit *u = &c->units[g->first];
  const al_versus *v = &u->versus[s];
  fputs(style == AL_STYLE_MD ? "\n### " : "\n", out);
  fprintf(out, "%s%s", *u->dataset == '\0' ? "curves" : u->dataset, *u->model == '\0' ? "" : ", ");
  fprintf(out, "%s%s%s: ", u->model, *u->setting == '\0' ? "" : ", ", u->setting);
  fprintf(out, what[s], c->set->metric);
  if (v->exists && s != AL_FINAL) fprintf(out, ", from %g to %g", v->from, v->to);
  fputs("\n\n", out);
}

static void put_notes(const al_comparison *c, const al_compared_group *g, FILE *out) {
  size_t fewest = SIZE_MAX;
  for (size_t i = g->first; i < g->first + g->n; i++) {
    size_t n = replicates_of(c, &c->units[i], &c->units[i].versus[AL_AULC]);
    fewest = n < fewest ? n : fewest;
  }
  if (!c->units[g->first].versus[AL_AULC].exists)
    fputs("\nAreas: not comparable, the cells share no range of labels.\n", out);
  else if (g->half_budget)
    fputs("\nWarning: the range that all cells share is below half of the budget.\n", out);
  if (fewest < AL_TOO_FEW_REPLICATES)
    fprintf(out, "\nWarning: %zu replicates are too few to show anything but a large difference.\n", fewest);
  if (!isnan(g->target)) fprintf(out, "\nTarget: %.4f, 0.9 of the full-data %s.\n", g->target, c->set->metric);
}

static al_status print_summary(const al_comparison *c, const al_compared_group *g, al_summary s, al_text_style style,
                               FILE *out) {
  static const char *const values[] = {"area [95 %]", "area [95 %]", "value [95 %]"};
  al_status status = AL_OK;
  al_text_table t = {0};
  bool bca = false;
  char difference[128] = "difference [95 %]";
  for (size_t i = g->first; i < g->first + g->n; i++) bca = bca || !isnan(c->units[i].versus[s].bca.low);
  t.columns = 8U + (c->side_count > 1) + bca + (s == AL_AULC ? 3 : 0);
  AL_TRY(al_text_table_add(&t, "strategy"));
  if (c->side_count > 1) AL_TRY(al_text_table_add(&t, "source"));
  AL_TRY(al_text_table_add(&t, "n"));
  AL_TRY(al_text_table_add(&t, "%s", values[s]));
  if (bca) AL_TRY(al_text_table_add(&t, "BCa"));
  if (c->side_count == 1 && c->baseline != NULL)
    snprintf(difference, sizeof difference, "difference to %.80s [95 %%]", c->baseline);
  if (c->side_count > 1) snprintf(difference, sizeof difference, "difference to the first [95 %%]");
  AL_TRY(al_text_table_add(&t, "%s", difference));
  static const char *const rest[] = {"p (Holm)",   "Wilcoxon (Holm)", "better",
                                     "detects",    "deficiency",      "labels to the target (reached)",
                                     "labels used"};
  for (size_t i = 0; i < (s == AL_AULC ? 7 : 4); i++) AL_TRY(al_text_table_add(&t, "%s", rest[i]));
  for (size_t i = g->first; i < g->first + g->n; i++) AL_TRY(put_row(&t, c, g, &c->units[i], s, bca));
  put_heading(c, g, s, style, out);
  al_text_table_print(&t, style, out);
done:
  al_text_table_free(&t);
  return status;
}

/* ---- many datasets ---- */

static al_status print_ranking(const al_comparison *c, const al_ranking *r, al_text_style style, FILE *out) {
  al_status status = AL_OK;
  al_text_table t = {.columns = r->has_baseline ? 3 : 2}, pairs = {.columns = 1 + r->k};
  char p[24], q[24];
  AL_TRY(al_text_table_add(&t, "strategy"));
  AL_TRY(al_text_table_add(&t, "mean rank"));
  if (r->has_baseline) AL_TRY(al_text_table_add(&t, "won / not rejected / lost against %s", c->baseline));
  for (size_t j = 0; j < r->k; j++) {
    AL_TRY(al_text_table_add(&t, "%s", r->strategies[j]));
    AL_TRY(al_text_table_add(&t, "%.3f", r->mean_ranks[j]));
    if (!r->has_baseline) continue;
    if (strcmp(r->strategies[j], c->baseline) == 0)
      AL_TRY(al_text_table_add(&t, "-"));
    else
      AL_TRY(al_text_table_add(&t, "%zu / %zu / %zu", r->wins[j], r->ties[j], r->losses[j]));
  }
  fprintf(out, "\n%sRanks over %zu datasets, %s%s%s (1 is best; areas are means over the replicates above)\n\n",
          style == AL_STYLE_MD ? "### " : "", r->blocks, r->model, *r->setting == '\0' ? "" : ", ", r->setting);
  al_text_table_print(&t, style, out);
  if (!r->tested) {
    fprintf(out, "\nFewer than %d datasets: ranks without a test.\n", AL_DATASETS_LEAST);
    goto done;
  }
  fprintf(out, "\nFriedman chi2(%zu) = %.3f, p %s; Iman-Davenport F = %.3f, p %s; Nemenyi critical difference %.3f\n",
          r->k - 1, r->friedman.chi2, al_show_p(r->friedman.p, p), r->friedman.f, al_show_p(r->friedman.p_f, q),
          r->critical_difference);
  AL_TRY(al_text_table_add(&pairs, "Wilcoxon p (Holm)"));
  for (size_t j = 0; j < r->k; j++) AL_TRY(al_text_table_add(&pairs, "%s", r->strategies[j]));
  for (size_t i = 0; i < r->k; i++) {
    AL_TRY(al_text_table_add(&pairs, "%s", r->strategies[i]));
    for (size_t j = 0; j < r->k; j++)
      AL_TRY(al_text_table_add(&pairs, "%s", al_show_p(r->p_wilcoxon[i * r->k + j], p)));
  }
  fputs("\n", out);
  al_text_table_print(&pairs, style, out);
done:
  al_text_table_free(&t);
  al_text_table_free(&pairs);
  return status;
}

static al_status print_penalties(const al_penalties *m, al_text_style style, FILE *out) {
  al_status status = AL_OK;
  al_text_table t = {.columns = 1 + m->k};
  AL_TRY(al_text_table_add(&t, "row beats column"));
  for (size_t j = 0; j < m->k; j++) AL_TRY(al_text_table_add(&t, "%s", m->strategies[j]));
  for (size_t i = 0; i <= m->k; i++) {
    AL_TRY(al_text_table_add(&t, "%s", i == m->k ? "column mean (lower is better)" : m->strategies[i]));
    for (size_t j = 0; j < m->k; j++)
      AL_TRY(al_text_table_add(&t, "%.2f", i == m->k ? m->column_means[j] : m->matrix[i * m->k + j]));
  }
  fprintf(out, "\n%sPairwise penalties (Ash 2020) over %zu settings", style == AL_STYLE_MD ? "### " : "", m->settings);
  if (m->skipped != 0) fprintf(out, "; %zu settings without random or a checkpoint are left out", m->skipped);
  fputs("\n\n", out);
  al_text_table_print(&t, style, out);
done:
  al_text_table_free(&t);
  return status;
}

al_status al_compare_print_tables(const al_comparison *c, al_text_style style, FILE *out) {
  al_status status = AL_OK;
  if (c->side_count > 1) {
    fprintf(out, "%zu sources, each against the first:\n\n", c->side_count);
    for (size_t i = 0; i < c->side_count; i++) fprintf(out, "%zu. %s\n", i + 1, c->sides[i]);
  } else {
    fprintf(out, "%s\n", c->sides[0]);
  }
  for (size_t i = 0; i < c->group_count; i++) {
    const al_compared_group *g = &c->groups[i];
    for (int s = 0; s < AL_SUMMARIES; s++)
      if (c->units[g->first].versus[s].exists) AL_TRY(print_summary(c, g, (al_summary)s, style, out));
    put_notes(c, g, out);
  }
  for (size_t i = 0; i < c->ranking_count; i++)
    if (c->rankings[i].k >= 2) AL_TRY(print_ranking(c, &c->rankings[i], style, out));
  if (c->penalties.k >= 2 && c->penalties.settings != 0) AL_TRY(print_penalties(&c->penalties, style, out));
  fprintf(
      out,
      "\nn: replicates. %s is better. Tests are two-sided, Holm over %s; detects: the true difference that these "
      "replicates find\nwith 80 %% power. Intervals cover the draw of the initial set, the order and the seeds, not "
      "another test set or pool.\n",
      c->set->lower_is_better ? "Lower" : "Higher",
      c->side_count > 1 ? "all pairs of a table's summary" : "the strategies of a setting");
done:
  return status;
}

/* ---- CSV ---- */

al_status al_compare_print_csv(const al_comparison *c, FILE *out) {
  static const char *const head[] = {"dataset",
                                     "model",
                                     "setting",
                                     "source",
                                     "strategy",
                                     "against_source",
                                     "against_strategy",
                                     "metric",
                                     "summary",
                                     "from",
                                     "to",
                                     "replicates",
                                     "mean",
                                     "low",
                                     "high",
                                     "bca_low",
                                     "bca_high",
                                     "against_replicates",
                                     "pairs",
                                     "difference",
                                     "difference_low",
                                     "difference_high",
                                     "difference_bca_low",
                                     "difference_bca_high",
                                     "sd",
                                     "p",
                                     "p_holm",
                                     "p_wilcoxon",
                                     "p_wilcoxon_holm",
                                     "family",
                                     "better",
                                     "tied",
                                     "detectable",
                                     "detectable_low",
                                     "detectable_high",
                                     "deficiency",
                                     "deficiency_low",
                                     "deficiency_high",
                                     "target",
                                     "labels_to_target",
                                     "reached",
                                     "censored",
                                     "ended_by_rule",
                                     "utilisation",
                                     "utilisation_mark"};
  enum { COLUMNS = sizeof head / sizeof *head };
  al_status status = AL_OK;
  al_text_table t = {.columns = COLUMNS};
  for (size_t i = 0; i < COLUMNS; i++) AL_TRY(al_text_table_add(&t, "%s", head[i]));
  for (size_t i = 0; i < c->n; i++)
    for (int s = 0; s < AL_SUMMARIES; s++) {
      const al_unit *u = &c->units[i], *o = against_of(c, u);
      const al_versus *v = &u->versus[s];
      if (!v->exists) continue;
      const char *texts[] = {u->dataset,
                             u->model,
                             u->setting,
                             c->sides[u->side],
                             u->strategy,
                             o == NULL ? "" : c->sides[o->side],
                             o == NULL ? "" : o->strategy,
                             c->set->metric,
                             al_summary_names[s]};
      for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) AL_TRY(al_text_table_add(&t, "%s", texts[k]));
      AL_TRY(al_text_table_exact(&t, v->from));
      AL_TRY(al_text_table_exact(&t, v->to));
      AL_TRY(al_text_table_add(&t, "%zu", u->n));
      const double first[] = {v->mean.mean, v->mean.low, v->mean.high, v->bca.low, v->bca.high};
      for (size_t k = 0; k < 5; k++) AL_TRY(al_text_table_exact(&t, first[k]));
      AL_TRY(o == NULL ? al_text_table_add(&t, "%s", "") : al_text_table_add(&t, "%zu", o->n));
      AL_TRY(v->paired ? al_text_table_add(&t, "%zu", v->pairs) : al_text_table_add(&t, "%s", ""));
      const double second[] = {v->difference, v->low, v->high,   v->difference_bca.low, v->difference_bca.high,
                               v->sd,         v->p,   v->p_holm, v->p_wilcoxon,         v->p_wilcoxon_holm};
      for (size_t k = 0; k < 10; k++) AL_TRY(al_text_table_exact(&t, second[k]));
      AL_TRY(v->compared ? al_text_table_add(&t, "%zu", v->family) : al_text_table_add(&t, "%s", ""));
      AL_TRY(v->paired ? al_text_table_add(&t, "%zu", v->won) : al_text_table_add(&t, "%s", ""));
      AL_TRY(v->paired ? al_text_table_add(&t, "%zu", v->tied) : al_text_table_add(&t, "%s", ""));
      const double third[] = {v->detectable, v->detectable_low, v->detectable_high};
      for (size_t k = 0; k < 3; k++) AL_TRY(al_text_table_exact(&t, third[k]));
      if (s != AL_AULC) {
        for (size_t k = 0; k < 10; k++) AL_TRY(al_text_table_add(&t, "%s", ""));
        continue;
      }
      const double last[] = {u->deficiency.value, u->deficiency.low, u->deficiency.high, c->groups[u->group].target,
                             u->target_labels};
      for (size_t k = 0; k < 5; k++) AL_TRY(al_text_table_exact(&t, last[k]));
      AL_TRY(al_text_table_add(&t, "%zu", u->reached));
      AL_TRY(al_text_table_add(&t, "%zu", u->censored));
      AL_TRY(al_text_table_add(&t, "%zu", u->by_rule));
      AL_TRY(al_text_table_exact(&t, u->use.rate));
      AL_TRY(al_text_table_add(&t, "%s",
                               isnan(u->use.rate)   ? ""
                               : u->use.mark == '=' ? "="
                               : u->use.mark == '<' ? "<="
                                                    : ">="));
    }
  al_text_table_print(&t, AL_STYLE_CSV, out);
done:
  al_text_table_free(&t);
  return status;
}

/* ---- JSON ---- */

static json_t *real(double value) { return isfinite(value) ? json_real(value) : json_null(); }

static json_t *pair(double low, double high) {
  return isnan(low) ? json_null() : json_pack("[o,o]", real(low), real(high));
}

static json_t *reals(const double *values, size_t n) {
  json_t *list = json_array();
  for (size_t i = 0; i < n; i++) json_array_append_new(list, real(values[i]));
  return list;
}

static json_t *texts(const char *const *values, size_t n) {
  json_t *list = json_array();
  for (size_t i = 0; i < n; i++) json_array_append_new(list, json_string(values[i]));
  return list;
}

static json_t *matrix(const double *values, size_t rows, size_t columns) {
  json_t *list = json_array();
  for (size_t i = 0; i < rows; i++) json_array_append_new(list, reals(values + i * columns, columns));
  return list;
}

static json_t *counts(const size_t *values, size_t n) {
  json_t *list = json_array();
  for (size_t i = 0; i < n; i++) json_array_append_new(list, json_integer((json_int_t)values[i]));
  return list;
}

static json_t *versus_json(const al_comparison *c, const al_unit *u, al_summary s) {
  const al_versus *v = &u->versus[s];
  const al_unit *o = against_of(c, u);
  json_t *out = json_pack("{s:s,s:o,s:I,s:o,s:o,s:o}", "summary", al_summary_names[s], "range", pair(v->from, v->to),
                          "replicates", (json_int_t)u->n, "mean", real(v->mean.mean), "interval",
                          pair(v->mean.low, v->mean.high), "bca", pair(v->bca.low, v->bca.high));
  if (!v->compared || o == NULL) return out;
  json_object_set_new(
      out, "difference",
      json_pack("{s:o,s:o,s:o,s:b,s:o,s:I,s:o,s:o,s:o,s:o,s:o,s:b,s:b,s:I,s:o,s:o,s:o,s:o}", "mean",
                real(v->difference), "interval", pair(v->low, v->high), "bca",
                pair(v->difference_bca.low, v->difference_bca.high), "paired", (int)v->paired, "pairs",
                v->paired ? json_integer((json_int_t)v->pairs) : json_null(), "against_replicates", (json_int_t)o->n,
                "sd", real(v->sd), "p", real(v->p), "p_holm", real(v->p_holm), "p_wilcoxon", real(v->p_wilcoxon),
                "p_wilcoxon_holm", real(v->p_wilcoxon_holm), "wilcoxon_too_small", (int)v->wilcoxon_too_small,
                "constant", (int)v->constant, "family", (json_int_t)v->family, "better",
                v->paired ? json_integer((json_int_t)v->won) : json_null(), "tied",
                v->paired ? json_integer((json_int_t)v->tied) : json_null(), "detectable", real(v->detectable),
                "detectable_interval", pair(v->detectable_low, v->detectable_high)));
  return out;
}

static json_t *unit_json(const al_comparison *c, const al_unit *u) {
  const al_unit *o = against_of(c, u);
  const al_compared_group *g = &c->groups[u->group];
  json_t *summaries = json_array(), *replicates = json_array();
  for (int s = 0; s < AL_SUMMARIES; s++)
    if (u->versus[s].exists) json_array_append_new(summaries, versus_json(c, u, (al_summary)s));
  for (size_t r = 0; r < u->n; r++) json_array_append_new(replicates, json_integer((json_int_t)u->cells[r]->replicate));
  const char *mark = isnan(u->use.rate)   ? "not comparable"
                     : u->use.mark == '=' ? "="
                     : u->use.mark == '<' ? "<="
                                          : ">=";
  return json_pack(
      "{s:s,s:s,s:s,s:s,s:s,s:o,s:o,s:o,s:o,s:{s:o,s:o,s:I,s:I,s:I,s:b},s:{s:o,s:s},s:{s:o,s:o,s:I}}", "dataset",
      u->dataset, "model", u->model, "setting", u->setting, "source", c->sides[u->side], "strategy", u->strategy,
      "against", o == NULL ? json_null() : json_pack("{s:s,s:s}", "source", c->sides[o->side], "strategy", o->strategy),
      "replicate", replicates, "areas",
      u->versus[AL_AULC].exists ? reals(u->versus[AL_AULC].values, u->n) : json_null(), "summaries", summaries,
      "labels_to_target", "target", real(g->target), "median", real(u->target_labels), "reached",
      (json_int_t)u->reached, "censored", (json_int_t)u->censored, "ended_by_rule", (json_int_t)u->by_rule, "at_start",
      (int)u->at_start, "utilisation", "rate", real(u->use.rate), "mark", mark, "deficiency", "value",
      real(u->deficiency.value), "interval", pair(u->deficiency.low, u->deficiency.high), "pairs",
      (json_int_t)u->deficiency.n);
}

static json_t *ranking_json(const al_ranking *r) {
  json_t *out =
      json_pack("{s:s,s:s,s:o,s:o,s:o,s:o,s:b}", "model", r->model, "setting", r->setting, "datasets",
                texts(r->datasets, r->blocks), "strategies", texts(r->strategies, r->k), "values",
                matrix(r->values, r->blocks, r->k), "mean_ranks", reals(r->mean_ranks, r->k), "tested", (int)r->tested);
  if (r->has_baseline) {
    json_object_set_new(out, "wins", counts(r->wins, r->k));
    json_object_set_new(out, "ties", counts(r->ties, r->k));
    json_object_set_new(out, "losses", counts(r->losses, r->k));
  }
  if (!r->tested) return out;
  json_object_set_new(out, "friedman", json_pack("{s:f,s:f}", "chi2", r->friedman.chi2, "p", r->friedman.p));
  json_object_set_new(out, "iman_davenport", json_pack("{s:o,s:f}", "f", real(r->friedman.f), "p", r->friedman.p_f));
  json_object_set_new(out, "critical_difference", real(r->critical_difference));
  json_object_set_new(out, "p_wilcoxon_holm", matrix(r->p_wilcoxon, r->k, r->k));
  return out;
}

al_status al_compare_print_json(const al_comparison *c, FILE *out) {
  json_t *units = json_array(), *rankings = json_array(), *unfinished = json_array(), *penalties = json_null();
  for (size_t i = 0; i < c->n; i++) json_array_append_new(units, unit_json(c, &c->units[i]));
  for (size_t i = 0; i < c->ranking_count; i++)
    if (c->rankings[i].k >= 2) json_array_append_new(rankings, ranking_json(&c->rankings[i]));
  for (size_t i = 0; i < c->set->unfinished_n; i++)
    json_array_append_new(unfinished, json_string(c->set->unfinished[i]));
  const al_penalties *m = &c->penalties;
  if (m->k >= 2)
    penalties = json_pack("{s:o,s:I,s:I,s:o,s:o}", "strategies", texts(m->strategies, m->k), "settings",
                          (json_int_t)m->settings, "skipped", (json_int_t)m->skipped, "matrix",
                          matrix(m->matrix, m->k, m->k), "column_means", reals(m->column_means, m->k));
  json_t *root =
      json_pack("{s:s,s:s,s:b,s:f,s:o,s:o,s:o,s:o,s:o,s:I}", "schema", "alab.compare/1", "metric", c->set->metric,
                "lower_is_better", (int)c->set->lower_is_better, "alpha", c->alpha, "sources",
                texts((const char *const *)c->sides, c->side_count), "results", units, "rankings", rankings,
                "penalties", penalties, "unfinished", unfinished, "unmatched_cells", (json_int_t)c->unmatched);
  if (root == NULL) return al_fail(AL_ENVIRONMENT, "out of memory");
  json_dumpf(root, out, JSON_INDENT(1) | JSON_REAL_PRECISION(17));
  putc('\n', out);
  json_decref(root);
  return AL_OK; /* main looks at standard output's errors */
}
