/* What the tables say. */
#include "report/summary_table.h"

#include "report/figure_parts.h"
#include "stats/bootstrap.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double alpha = 0.05;

static int digits_of(const al_interval *v) {
  int d = al_digits(0.5 * (v->high - v->low));
  return d < 2 ? 2 : d;
}

static void put_interval(al_grid *g, size_t row, size_t column, const al_interval *v, bool sign, const char *behind) {
  int d = digits_of(v);
  if (v->n == 0 || isnan(v->mean))
    al_grid_put(g, row, column, NAN, "%s", sign ? "-" : "not comparable");
  else if (v->n < 2)
    al_grid_put(g, row, column, v->mean, sign ? "%+.*f%s" : "%.*f%s", d, v->mean, behind);
  else
    al_grid_put(g, row, column, v->mean, sign ? "%+.*f [%+.*f, %+.*f]%s" : "%.*f [%.*f, %.*f]%s", d, v->mean, d, v->low,
                d, v->high, behind);
}

static void put_target(al_grid *g, size_t row, size_t column, const al_row *r, const al_table_of_setting *t) {
  size_t n = r->reached + r->censored_n;
  if (isnan(t->target))
    al_grid_put(g, row, column, NAN, "no reference");
  else if (isnan(r->target_labels))
    al_grid_put(g, row, column, 1e300 - (double)r->reached, "> %.0f (%zu of %zu)", t->to, r->reached, n);
  else
    al_grid_put(g, row, column, r->target_labels, "%s%.0f (%zu of %zu)", r->at_start ? "<= " : "", r->target_labels,
                r->reached, n);
}

al_status al_summary_grid(al_grid *g, const al_setting *s, const al_table_of_setting *t) {
  static const char *const heads[] = {"strategy",
                                      "n",
                                      "AULC [95 %]",
                                      "difference to random [95 %], p",
                                      "detects from",
                                      "last round",
                                      "labels to 90 % of full",
                                      "saving against random"};
  al_status status;
  char p[24], behind[40];
  (void)s;
  AL_TRY(al_grid_begin(g, "Summary by strategy", heads, sizeof heads / sizeof *heads, t->n));
  for (size_t i = 0; i < t->n; i++) {
    const al_row *r = &t->rows[i];
    bool random = strcmp(r->strategy, "random") == 0;
    al_grid_put(g, i, 0, NAN, "%s", r->strategy);
    al_grid_put(g, i, 1, (double)r->n, "%zu", r->n);
    put_interval(g, i, 2, &r->aulc, false, "");
    snprintf(behind, sizeof behind, "%s%s", isnan(r->p) ? "" : ", ", isnan(r->p) ? "" : al_p_text(r->p, p));
    put_interval(g, i, 3, &r->difference, true, behind);
    if (isnan(r->detectable))
      al_grid_put(g, i, 4, NAN, "-");
    else
      al_grid_put(g, i, 4, r->detectable, "%.*f", al_digits(r->detectable), r->detectable);
    al_grid_put(g, i, 5, r->final.mean, "%.*f", digits_of(&r->final), r->final.mean);
    put_target(g, i, 6, r, t);
    if (isnan(r->saving) || r->saving_mark == '?')
      al_grid_put(g, i, 7, NAN, random ? "-" : "not comparable");
    else
      al_grid_put(g, i, 7, r->saving, "%s%.0f %%",
                  r->saving_mark == '>'   ? ">= "
                  : r->saving_mark == '<' ? "<= "
                                          : "",
                  100.0 * r->saving);
  }
done:
  return status;
}

/* Deficiency against random (Baram et al. 2004), on the labels that both have, round 0 left out. */
static al_status deficiency_of(al_deficiency *out, const al_setting *s, const al_row *r, size_t measure) {
  al_status status = AL_OK;
  const al_contender *random = al_setting_random(s);
  double *own = NULL, *base = NULL;
  *out = (al_deficiency){.value = NAN, .low = NAN, .high = NAN};
  if (random == NULL || random == r->contender) return AL_OK;
  AL_TRY(AL_NEW(&own, r->n));
  AL_TRY(AL_NEW(&base, r->n));
  double turn = al_measures[measure].lower_is_better ? -1.0 : 1.0;
  size_t n = 0;
  for (size_t i = 0; i < r->n; i++) {
    const al_run *run = &r->contender->runs[i], *pair = al_run_of_replicate(random, run->replicate);
    if (pair == NULL) continue;
    double last = pair->values[measure * pair->rounds + pair->rounds - 1];
    for (size_t a = 1, b = 1; a < run->rounds && b < pair->rounds;) {
      if (run->labels[a] < pair->labels[b]) {
        a++;
      } else if (run->labels[a] > pair->labels[b]) {
        b++;
      } else {
        own[n] += turn * (last - run->values[measure * run->rounds + a++]);
        base[n] += turn * (last - pair->values[measure * pair->rounds + b++]);
      }
    }
    n++;
  }
  bool complete = n != 0;
  for (size_t i = 0; i < n; i++) complete &= isfinite(own[i]) && isfinite(base[i]);
  if (complete) AL_TRY(al_deficiency_of(out, own, base, n, al_bootstrap_stream("deficiency")));
done:
  free(own);
  free(base);
  return status;
}

/* BCa intervals beside Student's t, from 30 replicates on. */
static al_status bca_of(al_bounds *out, const al_setting *s, const al_row *r, size_t measure) {
  al_status status = AL_OK;
  double *differences = NULL;
  size_t n = 0;
  const al_row *random = NULL;
  *out = (al_bounds){NAN, NAN};
  for (size_t i = 0; i < s->table_count; i++)
    if (s->tables[i]->measure == measure && s->tables[i]->axis == AL_AXIS_LABELS) random = &s->tables[i]->rows[0];
  if (random == NULL || strcmp(random->strategy, "random") != 0 || random->contender == r->contender ||
      r->difference.n < AL_BCA_LEAST)
    return AL_OK;
  AL_TRY(AL_NEW(&differences, r->n));
  for (size_t i = 0; i < r->n; i++)
    for (size_t j = 0; j < random->n; j++)
      if (random->contender->runs[j].replicate == r->contender->runs[i].replicate)
        differences[n++] = r->areas[i] - random->areas[j];
  AL_TRY(al_bca_mean(out, differences, n, al_bootstrap_stream("difference of areas")));
done:
  free(differences);
  return status;
}

al_status al_summary_csv(al_buffer *out, const al_setting *s, const al_table_of_setting *t) {
  al_status status = AL_OK;
  if (out->size == 0)
    AL_TRY(al_buffer_print(
        out,
        "dataset,model,setting,metric,strategy,replicates,from,to,aulc,aulc_low,aulc_high,difference,difference_low,"
        "difference_high,difference_bca_low,difference_bca_high,p_holm,p_wilcoxon_holm,won,tied,detectable,"
        "deficiency,deficiency_low,deficiency_high,final,final_low,final_high,full_data,target,labels_to_target,"
        "reached,censored,ended_by_rule,saving,saving_mark\n"));
  for (size_t i = 0; i < t->n; i++) {
    const al_row *r = &t->rows[i];
    al_deficiency deficiency;
    al_bounds bca;
    AL_TRY(deficiency_of(&deficiency, s, r, t->measure));
    AL_TRY(bca_of(&bca, s, r, t->measure));
    const char *const texts[] = {s->dataset, s->model, s->axes, al_measures[t->measure].name, r->strategy};
    for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) AL_TRY(al_csv_text(out, texts[k]));
    const double values[] = {(double)r->n,
                             t->from,
                             t->to,
                             r->aulc.mean,
                             r->aulc.low,
                             r->aulc.high,
                             r->difference.mean,
                             r->difference.low,
                             r->difference.high,
                             bca.low,
                             bca.high,
                             r->p,
                             r->p_wilcoxon,
                             (double)r->won,
                             (double)r->tied,
                             r->detectable,
                             deficiency.value,
                             deficiency.low,
                             deficiency.high,
                             r->final.mean,
                             r->final.low,
                             r->final.high,
                             t->full,
                             t->target,
                             r->target_labels,
                             (double)r->reached,
                             (double)r->censored_n,
                             (double)r->ended_by_rule,
                             r->saving};
    for (size_t v = 0; v < sizeof values / sizeof *values; v++) AL_TRY(al_csv_number(out, values[v]));
    AL_TRY(al_buffer_print(out, ",%c\n", r->saving_mark));
  }
done:
  return status;
}

/* ---- over datasets ---- */

typedef struct {
  double rank, difference, worst;
  const char *worst_dataset;
  size_t won, lost;
} standing;

static al_status standings_of(standing **out, al_friedman *test, const al_group *g, size_t measure) {
  al_status status;
  double *ranks = NULL;
  AL_TRY(AL_NEW(out, g->k));
  AL_TRY(AL_NEW(&ranks, g->k));
  AL_TRY(al_group_ranks(ranks, test, g));
  double turn = al_measures[measure].lower_is_better ? -1.0 : 1.0;
  for (size_t j = 0; j < g->k; j++) {
    standing *s = &(*out)[j];
    *s = (standing){.rank = ranks[j], .worst = INFINITY, .worst_dataset = ""};
    for (size_t i = 0; i < g->n; i++) {
      const al_row *row = g->rows[i * g->k + j];
      double d = row->difference.mean;
      s->difference += d / (double)g->n;
      if (turn * d < s->worst) {
        s->worst = turn * d;
        s->worst_dataset = g->settings[i]->dataset;
      }
      s->won += al_row_verdict(row, measure) > 0;
      s->lost += al_row_verdict(row, measure) < 0;
    }
    s->worst *= turn;
  }
done:
  free(ranks);
  return status;
}

al_status al_ranking_grid(al_grid *grid, const al_group *g, size_t measure) {
  static const char *const heads[] = {"strategy", "mean rank", "mean difference to random", "worst dataset",
                                      "won / not told apart / lost"};
  al_status status;
  standing *s = NULL;
  bool *placed = NULL;
  al_friedman test;
  AL_TRY(standings_of(&s, &test, g, measure));
  AL_TRY(AL_NEW(&placed, g->k));
  AL_TRY(al_grid_begin(grid, "Ranking over the datasets", heads, sizeof heads / sizeof *heads, g->k));
  for (size_t row = 0; row < g->k; row++) {
    size_t next = SIZE_MAX;
    for (size_t j = 0; j < g->k; j++)
      if (!placed[j] && (next == SIZE_MAX || s[j].rank < s[next].rank)) next = j;
    placed[next] = true;
    bool random = strcmp(g->strategies[next], "random") == 0;
    al_grid_put(grid, row, 0, NAN, "%s", g->strategies[next]);
    al_grid_put(grid, row, 1, s[next].rank, "%.2f", s[next].rank);
    if (random || isnan(s[next].difference)) {
      for (size_t c = 2; c < 5; c++) al_grid_put(grid, row, c, NAN, "-");
      continue;
    }
    al_grid_put(grid, row, 2, s[next].difference, "%+.4f", s[next].difference);
    al_grid_put(grid, row, 3, s[next].worst, "%+.4f on %.40s", s[next].worst, s[next].worst_dataset);
    al_grid_put(grid, row, 4, (double)s[next].won - (double)s[next].lost, "%zu / %zu / %zu", s[next].won,
                g->n - s[next].won - s[next].lost, s[next].lost);
  }
done:
  free(s);
  free(placed);
  return status;
}

al_status al_ranking_csv(al_buffer *out, const al_group *g, size_t measure) {
  al_status status;
  standing *s = NULL;
  al_friedman test;
  AL_TRY(standings_of(&s, &test, g, measure));
  if (out->size == 0)
    AL_TRY(al_buffer_print(
        out, "model,setting,metric,strategy,datasets,mean_rank,mean_difference,worst_difference,worst_dataset,won,"
             "lost,friedman_p,iman_davenport_p\n"));
  for (size_t j = 0; j < g->k; j++) {
    const char *const texts[] = {g->settings[0]->model, g->settings[0]->axes, al_measures[measure].name,
                                 g->strategies[j]};
    for (size_t k = 0; k < 4; k++) AL_TRY(al_csv_text(out, texts[k]));
    AL_TRY(al_csv_number(out, (double)g->n));
    AL_TRY(al_csv_number(out, s[j].rank));
    AL_TRY(al_csv_number(out, s[j].difference));
    AL_TRY(al_csv_number(out, isfinite(s[j].worst) ? s[j].worst : NAN));
    AL_TRY(al_csv_text(out, s[j].worst_dataset));
    AL_TRY(al_csv_number(out, (double)s[j].won));
    AL_TRY(al_csv_number(out, (double)s[j].lost));
    bool tested = g->n >= 6;
    AL_TRY(al_csv_number(out, tested ? test.p : NAN));
    AL_TRY(al_csv_number(out, tested ? test.p_f : NAN));
    AL_TRY(al_buffer_print(out, "\n"));
  }
done:
  free(s);
  return status;
}

al_status al_headline(al_buffer *out, const al_setting *s, const al_table_of_setting *t) {
  al_status status;
  const al_row *best = NULL;
  char title[256], p[24];
  bool lower = al_measures[t->measure].lower_is_better;
  for (size_t i = 0; i < t->n; i++) {
    const al_row *r = &t->rows[i];
    if (r->difference.n > 1 && (best == NULL || al_is_better(t->measure, r->difference.mean, best->difference.mean)))
      best = r;
  }
  AL_TRY(al_buffer_print(out, "%s: ", al_setting_title(s, title)));
  if (best == NULL) return al_buffer_print(out, "nothing to compare with random.");
  if ((lower ? best->difference.mean >= 0.0 : best->difference.mean <= 0.0) || !(best->p < alpha))
    return al_buffer_print(
        out,
        "no strategy is shown to beat random (best: %s, %+.4f in area, Holm %s; %zu replicates detect "
        "differences from %.4f).",
        best->strategy, best->difference.mean, al_p_text(best->p, p), best->difference.n, best->detectable);
  AL_TRY(al_buffer_print(out, "%s leads, %+.4f [%+.4f, %+.4f] in area over random (%zu replicates, Holm %s)",
                         best->strategy, best->difference.mean, best->difference.low, best->difference.high,
                         best->difference.n, al_p_text(best->p, p)));
  if (!isnan(best->saving) && best->saving_mark != '?' && best->saving > 0.0)
    AL_TRY(al_buffer_print(out, "; it saves %s%.0f %% of the labels to 90 %% of the full-data accuracy",
                           best->saving_mark == '>'   ? "at least "
                           : best->saving_mark == '<' ? "at most "
                                                      : "",
                           100.0 * best->saving));
  AL_TRY(al_buffer_print(out, "."));
done:
  return status;
}
