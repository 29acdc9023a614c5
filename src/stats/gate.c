/* The gate's decision, and matching a study's cells with the baseline's. The file itself is in gate_file.c. */
#include "stats/gate.h"

#include "base/memory.h"
#include "stats/gate_private.h"
#include "stats/hypothesis.h"
#include "stats/power.h"

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double equal_within = 1e-12;

const char *const al_verdict_names[4] = {"identical", "pass", "regressed", "inconclusive"};

/* Difference, spread, lower bound and p of one test. No variance: the difference stands for itself. */
static void measure(al_gate_test *t, const double *differences, double alpha) {
  double n = (double)t->n, spread = 0.0, error = 0.0, df = n - 1.0;
  t->difference = gsl_stats_mean(differences, 1, t->n);
  t->lower = t->p = t->sd = NAN;
  if (t->n < 2) return;
  if (t->paired) {
    for (size_t i = 0; i < t->n; i++) spread = fmax(spread, fabs(differences[i] - t->difference));
    t->sd = spread <= equal_within ? 0.0 : gsl_stats_sd(differences, 1, t->n);
    error = t->sd / sqrt(n);
  } else {
    al_welch w = al_welch_t(t->fresh, t->n, t->pinned, t->n);
    error = w.standard_error;
    df = w.df;
    t->sd = error * sqrt(n);
  }
  if (error == 0.0) {
    t->lower = t->difference;
    t->p = t->difference < -equal_within ? 0.0 : 1.0;
    return;
  }
  t->lower = t->difference - gsl_cdf_tdist_Qinv(alpha, df) * error;
  t->p = gsl_cdf_tdist_P(t->difference / error, df);
}

static void find_worst(al_gate_test *t) {
  double other = t->paired || t->n == 0 ? 0.0 : gsl_stats_mean(t->pinned, 1, t->n);
  t->worst_difference = INFINITY;
  for (size_t i = 0; i < t->n; i++) {
    double d = t->fresh[i] - (t->paired ? t->pinned[i] : other);
    if (d >= t->worst_difference) continue;
    t->worst_difference = d;
    t->worst = i;
  }
}

al_status al_gate_decide(al_gate_test *tests, size_t n, double margin, double alpha) {
  al_status status;
  double *p = NULL, *differences = NULL;
  size_t m = 0, most = 0;
  for (size_t i = 0; i < n; i++) most = tests[i].n > most ? tests[i].n : most;
  AL_TRY(AL_NEW(&p, n));
  AL_TRY(AL_NEW(&differences, most));
  for (size_t i = 0; i < n; i++) {
    al_gate_test *t = &tests[i];
    for (size_t r = 0; r < t->n; r++) differences[r] = t->fresh[r] - t->pinned[r];
    measure(t, differences, alpha);
    find_worst(t);
    if (t->identical) t->p = NAN;
    p[i] = t->identical ? NAN : isnan(t->p) ? 1.0 : t->p; /* one replicate says nothing, and is in the family */
    m += !t->identical;
  }
  AL_TRY(al_holm(p, n));
  for (size_t i = 0; i < n; i++) {
    al_gate_test *t = &tests[i];
    t->p_holm = p[i];
    if (t->identical)
      t->verdict = AL_IDENTICAL;
    else if (t->n < AL_GATE_LEAST)
      t->verdict = AL_INCONCLUSIVE;
    else if (t->lower > -margin)
      t->verdict = AL_PASS;
    else
      t->verdict = p[i] <= alpha ? AL_REGRESSED : AL_INCONCLUSIVE;
    if (t->verdict == AL_INCONCLUSIVE) t->needed = al_replicates_needed(t->sd, t->n, margin, alpha, m);
  }
done:
  free(p);
  free(differences);
  return status;
}

/* ---- matching ---- */

bool al_same_setting(const al_cell_curve *a, const al_cell_curve *b) {
  return strcmp(a->dataset, b->dataset) == 0 && strcmp(a->model, b->model) == 0 && strcmp(a->setting, b->setting) == 0;
}

static bool same_strategy(const al_cell_curve *a, const al_cell_curve *b) {
  return strcmp(a->strategy, b->strategy) == 0 && al_same_setting(a, b);
}

static const al_cell_curve *match_of(const al_curve_set *set, const al_cell_curve *pinned) {
  for (size_t i = 0; i < set->n; i++)
    if (set->cells[i].replicate == pinned->replicate && same_strategy(&set->cells[i], pinned)) return &set->cells[i];
  return NULL;
}

static const al_gate_range *range_of(const al_gate_baseline *baseline, const al_cell_curve *cell) {
  for (size_t i = 0; i < baseline->n; i++) {
    const al_gate_range *r = &baseline->ranges[i];
    if (strcmp(r->dataset, cell->dataset) == 0 && strcmp(r->model, cell->model) == 0 &&
        strcmp(r->setting, cell->setting) == 0)
      return r;
  }
  return NULL; /* never: al_gate_read makes cells below their range */
}

static bool same_machine(const al_curve_set *a, const al_curve_set *b) {
  return json_array_size(a->environment) == 1 && json_array_size(b->environment) == 1 &&
         json_equal(a->environment, b->environment);
}

static const char *why_unpaired(const al_cell_curve *a, const al_cell_curve *b) {
  return strcmp(a->seed, b->seed) != 0         ? "the seeds differ"
         : strcmp(a->streams, b->streams) != 0 ? "the log's stream versions differ"
                                               : "the datasets' digests differ";
}

static al_status covers(const al_cell_curve *cell, const al_gate_range *range) {
  if (cell->n != 0 && cell->labels[0] <= range->from + 1e-9 && cell->labels[cell->n - 1] >= range->to - 1e-9)
    return AL_OK;
  return al_fail(AL_BAD_INPUT,
                 "%s, %s, %s, replicate %zu: its curve goes from %g to %g labels, the baseline needs %g to %g; run the "
                 "budget of the baseline, or write a new one",
                 cell->dataset, cell->model, cell->strategy, cell->replicate, cell->n == 0 ? 0.0 : cell->labels[0],
                 cell->n == 0 ? 0.0 : cell->labels[cell->n - 1], range->from, range->to);
}

/* The test of the strategy whose first pinned cell is cells[at]. */
static al_status make_test(al_gate_test *t, const al_gate_baseline *baseline, const al_curve_set *set, size_t at) {
  al_status status;
  const al_cell_curve *first = &baseline->set->cells[at];
  const al_gate_range *range = range_of(baseline, first);
  double sign = baseline->set->lower_is_better ? -1.0 : 1.0;
  bool comparable = same_machine(baseline->set, set), other_picks = false;
  *t = (al_gate_test){.dataset = first->dataset,
                      .model = first->model,
                      .setting = first->setting,
                      .strategy = first->strategy,
                      .paired = true,
                      .identical = true,
                      .why_unpaired = "",
                      .changed = -1};
  AL_TRY(AL_NEW(&t->replicates, baseline->set->n));
  AL_TRY(AL_NEW(&t->fresh, baseline->set->n));
  AL_TRY(AL_NEW(&t->pinned, baseline->set->n));
  for (size_t i = at; i < baseline->set->n; i++) {
    const al_cell_curve *pinned = &baseline->set->cells[i];
    if (!same_strategy(pinned, first)) continue;
    const al_cell_curve *fresh = match_of(set, pinned);
    if (fresh == NULL) {
      t->missing++;
      continue;
    }
    AL_TRY(covers(fresh, range));
    al_curve a = al_cell_curve_of(fresh, false), b = al_cell_curve_of(pinned, false);
    t->replicates[t->n] = pinned->replicate;
    t->fresh[t->n] = sign * al_curve_area(&a, range->from, range->to);
    t->pinned[t->n++] = sign * al_curve_area(&b, range->from, range->to);
    t->identical = t->identical && *pinned->lines != '\0' && strcmp(pinned->lines, fresh->lines) == 0;
    other_picks = other_picks || strcmp(pinned->picks, fresh->picks) != 0;
    if (t->paired && !al_cells_paired(fresh, pinned)) {
      t->paired = false;
      t->why_unpaired = why_unpaired(fresh, pinned);
    }
  }
  if (t->n == 0) {
    status = al_fail(AL_BAD_INPUT, "%s, %s, %s: the baseline has it, the study has none of its %zu replicates",
                     first->dataset, first->model, first->strategy, t->missing);
    goto done;
  }
  if (t->identical)
    t->changed = 0;
  else if (comparable)
    t->changed = other_picks;
done:
  return status;
}

al_status al_gate_match(al_gate_test **tests, size_t *n, const al_gate_baseline *baseline, const al_curve_set *set) {
  al_status status = AL_OK;
  size_t capacity = 0;
  *tests = NULL;
  *n = 0;
  for (size_t i = 0; i < baseline->set->n; i++) {
    size_t before = 0;
    while (before < i && !same_strategy(&baseline->set->cells[before], &baseline->set->cells[i])) before++;
    if (before < i) continue;
    AL_TRY(al_grow(tests, &capacity, *n + 1, sizeof **tests));
    (*tests)[*n] = (al_gate_test){0};
    ++*n;
    AL_TRY(make_test(&(*tests)[*n - 1], baseline, set, i));
  }
done:
  if (status != AL_OK) {
    al_gate_tests_free(*tests, *n);
    *tests = NULL;
    *n = 0;
  }
  return status;
}

void al_gate_tests_free(al_gate_test *tests, size_t n) {
  for (size_t i = 0; i < n; i++) {
    free(tests[i].replicates);
    free(tests[i].fresh);
    free(tests[i].pinned);
  }
  free(tests);
}

/* ---- sizing ---- */

bool al_gate_range_of(const al_curve_set *set, const al_cell_curve *setting, double *from, double *to) {
  *from = -INFINITY;
  *to = INFINITY;
  for (size_t i = 0; i < set->n; i++) {
    const al_cell_curve *c = &set->cells[i];
    if (!al_same_setting(c, setting)) continue;
    *from = fmax(*from, c->n == 0 ? INFINITY : c->labels[0]);
    *to = fmin(*to, c->n == 0 ? -INFINITY : c->labels[c->n - 1]);
  }
  return *from < *to;
}

static const al_cell_curve *random_of(const al_curve_set *set, const al_cell_curve *cell) {
  for (size_t i = 0; i < set->n; i++)
    if (set->cells[i].replicate == cell->replicate && strcmp(set->cells[i].strategy, "random") == 0 &&
        al_same_setting(&set->cells[i], cell))
      return &set->cells[i];
  return NULL;
}

/* areas, others: a workspace of set->n each. */
static void size_of(al_gate_size *s, const al_curve_set *set, const al_cell_curve *first, double *areas,
                    double *others) {
  double from, to;
  size_t pairs = 0;
  *s = (al_gate_size){.dataset = first->dataset,
                      .model = first->model,
                      .setting = first->setting,
                      .strategy = first->strategy,
                      .mean = NAN,
                      .sd = NAN};
  if (!al_gate_range_of(set, first, &from, &to)) return;
  for (size_t i = 0; i < set->n; i++) {
    const al_cell_curve *cell = &set->cells[i], *random = random_of(set, cell);
    if (!same_strategy(cell, first)) continue;
    al_curve own = al_cell_curve_of(cell, false);
    areas[s->n++] = al_curve_area(&own, from, to);
    if (random == NULL || random == cell) continue;
    al_curve other = al_cell_curve_of(random, false);
    others[pairs++] = areas[s->n - 1] - al_curve_area(&other, from, to);
  }
  s->mean = gsl_stats_mean(areas, 1, s->n);
  if (pairs >= 2)
    s->sd = sqrt(2.0) * gsl_stats_sd(others, 1, pairs);
  else if (s->n >= 2)
    s->sd = sqrt(2.0) * gsl_stats_sd(areas, 1, s->n);
}

al_status al_gate_sizes(al_gate_size **out, size_t *n, const al_curve_set *set, double margin, double alpha) {
  al_status status;
  double *areas = NULL, *others = NULL;
  size_t capacity = 0;
  *out = NULL;
  *n = 0;
  AL_TRY(AL_NEW(&areas, set->n));
  AL_TRY(AL_NEW(&others, set->n));
  for (size_t i = 0; i < set->n; i++) {
    size_t before = 0;
    while (before < i && !same_strategy(&set->cells[before], &set->cells[i])) before++;
    if (before < i) continue;
    AL_TRY(al_grow(out, &capacity, *n + 1, sizeof **out));
    size_of(&(*out)[(*n)++], set, &set->cells[i], areas, others);
  }
  for (size_t i = 0; i < *n; i++) (*out)[i].needed = al_replicates_needed((*out)[i].sd, (*out)[i].n, margin, alpha, *n);
done:
  free(areas);
  free(others);
  if (status != AL_OK) {
    free(*out);
    *out = NULL;
  }
  return status;
}
