/* Areas, paired differences to random, targets and savings of each strategy of a setting (STATISTICS.md). */
#include "report/summarise.h"

#include "base/memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double alpha = 0.05, share_of_full = 0.9, tie = 1e-12;

bool al_is_better(size_t measure, double x, double y) {
  return al_measures[measure].lower_is_better ? x < y - tie : x > y + tie;
}

/* A run's curve with storage of its own. */
typedef struct {
  al_curve curve;
  double *storage; /* 2 x rounds */
} owned;

static al_status owned_curve(owned *out, const al_run *run, al_axis axis, size_t measure) {
  al_status status = AL_NEW(&out->storage, 2 * run->rounds);
  if (status == AL_OK) out->curve = al_run_curve(run, axis, measure, out->storage, out->storage + run->rounds);
  return status;
}

static al_status curves_of(owned **out, const al_contender *c, al_axis axis, size_t measure) {
  al_status status = AL_NEW(out, c->n);
  for (size_t i = 0; i < c->n && status == AL_OK; i++) status = owned_curve(&(*out)[i], &c->runs[i], axis, measure);
  return status;
}

static void curves_free(owned *curves, size_t n) {
  for (size_t i = 0; curves != NULL && i < n; i++) free(curves[i].storage);
  free(curves);
}

/* The range of x that every run reaches, and the largest x of any. */
static void widen(double *from, double *to, double *longest, const owned *curves, size_t n) {
  for (size_t i = 0; i < n; i++) {
    const al_curve *curve = &curves[i].curve;
    *from = fmax(*from, curve->n == 0 ? INFINITY : curve->x[0]);
    *to = fmin(*to, curve->n == 0 ? -INFINITY : curve->x[curve->n - 1]);
    *longest = fmax(*longest, curve->n == 0 ? 0.0 : curve->x[curve->n - 1]);
  }
}

/* Cells that a quality rule ended are left out: that they ended says something of their quality. */
static size_t crossings_of(al_crossing *out, const al_contender *c, const owned *curves, double target) {
  size_t n = 0;
  for (size_t i = 0; i < c->n; i++)
    if (strcmp(c->runs[i].end, "accuracy") != 0) out[n++] = al_curve_crossing(&curves[i].curve, target);
  return n;
}

static al_status fill_targets(al_row *row, const owned *curves, const al_contender *random, const owned *of_random,
                              double target, double limit) {
  al_status status;
  al_crossing *own = NULL, *other = NULL;
  AL_TRY(AL_NEW(&own, row->contender->n));
  AL_TRY(AL_NEW(&other, random == NULL ? 0 : random->n));
  size_t n = crossings_of(own, row->contender, curves, target);
  row->ended_by_rule = row->contender->n - n;
  if (n == 0) goto done;
  for (size_t i = 0; i < n; i++) {
    row->reached += !own[i].censored;
    row->censored_n += own[i].censored;
    row->at_start = row->at_start || own[i].at_start;
  }
  AL_TRY(al_censored_median(&row->target_labels, own, n));
  if (random == NULL || random == row->contender) goto done;
  size_t others = crossings_of(other, random, of_random, target);
  if (others == 0) goto done;
  al_utilisation use = al_utilisation_rate(own, n, other, others, limit);
  row->saving = 1.0 - use.rate; /* what is at least used is at most saved */
  row->saving_mark = use.mark == '>' ? '<' : use.mark == '<' ? '>' : use.mark;
done:
  free(own);
  free(other);
  return status;
}

static al_status fill_areas(al_row *row, const al_table_of_setting *t, const owned *curves, const al_row *random) {
  al_status status;
  double *differences = NULL, *finals = NULL;
  const al_contender *c = row->contender;
  size_t paired = 0, finished = 0;
  AL_TRY(AL_NEW(&finals, c->n));
  AL_TRY(AL_NEW(&differences, c->n));
  AL_TRY(AL_NEW(&row->areas, c->n));
  bool comparable = t->to > t->from;
  for (size_t i = 0; i < c->n; i++) {
    const al_curve *curve = &curves[i].curve;
    row->areas[i] = comparable ? al_curve_area(curve, t->from, t->to) : NAN;
    if (curve->n != 0) finals[finished++] = curve->y[curve->n - 1];
    if (!comparable || random == NULL || random == row) continue;
    for (size_t j = 0; j < random->n; j++) {
      if (random->contender->runs[j].replicate != c->runs[i].replicate) continue;
      double d = row->areas[i] - random->areas[j];
      row->won += al_is_better(t->measure, row->areas[i], random->areas[j]);
      row->tied += fabs(d) <= tie;
      differences[paired++] = d;
    }
  }
  row->final = al_mean_interval(finals, finished);
  if (comparable) row->aulc = al_mean_interval(row->areas, c->n);
  if (paired != 0) {
    row->difference = al_mean_interval(differences, paired);
    row->p = al_paired_t(differences, paired);
    AL_TRY(al_wilcoxon(&row->p_wilcoxon, differences, paired));
    row->detectable = al_detectable(row->difference.sd, paired, alpha / (double)(t->n > 1 ? t->n - 1 : 1));
  }
done:
  free(finals);
  free(differences);
  return status;
}

static al_status correct(al_table_of_setting *t) {
  double *p = NULL;
  al_status status = AL_NEW(&p, t->n);
  for (int test = 0; test < 2 && status == AL_OK; test++) {
    for (size_t i = 0; i < t->n; i++) p[i] = test == 0 ? t->rows[i].p : t->rows[i].p_wilcoxon;
    status = al_holm(p, t->n);
    for (size_t i = 0; i < t->n && status == AL_OK; i++) *(test == 0 ? &t->rows[i].p : &t->rows[i].p_wilcoxon) = p[i];
  }
  free(p);
  return status;
}

al_status al_summarise(al_table_of_setting *out, const al_setting *s, size_t measure, al_axis axis) {
  al_status status;
  double longest = 0.0;
  owned **curves = NULL;
  *out = (al_table_of_setting){
      .measure = measure, .axis = axis, .n = s->n, .from = 0.0, .to = INFINITY, .target = NAN, .full = NAN};
  AL_TRY(AL_NEW(&out->rows, s->n));
  AL_TRY(AL_NEW(&curves, s->n));
  for (size_t i = 0; i < s->n; i++) {
    AL_TRY(curves_of(&curves[i], &s->contenders[i], axis, measure));
    widen(&out->from, &out->to, &longest, curves[i], s->contenders[i].n);
  }
  out->half_budget = out->to - out->from < 0.5 * (longest - out->from);
  if (s->full_n != 0 && measure < AL_MEASURES_OF_TEST) {
    double sum = 0.0;
    for (size_t i = 0; i < s->full_n; i++) sum += s->full[i * AL_MEASURES_OF_TEST + measure];
    out->full = sum / (double)s->full_n;
    out->full_n = s->full_n;
    if (measure == AL_MEASURE_ACCURACY) out->target = share_of_full * out->full;
  }
  const al_contender *random = al_setting_random(s);
  for (size_t i = 0; i < s->n; i++) {
    al_row *row = &out->rows[i];
    al_interval none = al_mean_interval(NULL, 0);
    *row = (al_row){.contender = &s->contenders[i],
                    .strategy = s->contenders[i].strategy,
                    .n = s->contenders[i].n,
                    .aulc = none,
                    .difference = none,
                    .final = none,
                    .p = NAN,
                    .p_wilcoxon = NAN,
                    .detectable = NAN,
                    .target_labels = NAN,
                    .saving = NAN,
                    .saving_mark = '?'};
    AL_TRY(fill_areas(row, out, curves[i], random == NULL ? NULL : &out->rows[0]));
    if (!isnan(out->target)) AL_TRY(fill_targets(row, curves[i], random, curves[0], out->target, out->to));
  }
  AL_TRY(correct(out));
done:
  for (size_t i = 0; curves != NULL && i < s->n; i++) curves_free(curves[i], s->contenders[i].n);
  free(curves);
  if (status != AL_OK) al_summary_free(out);
  return status;
}

void al_summary_free(al_table_of_setting *table) {
  for (size_t i = 0; table->rows != NULL && i < table->n; i++) free(table->rows[i].areas);
  free(table->rows);
  table->rows = NULL;
}

al_status al_setting_table(const al_table_of_setting **out, al_setting *s, size_t measure, al_axis axis) {
  al_status status = AL_OK;
  al_table_of_setting *fresh = NULL;
  for (size_t i = 0; i < s->table_count; i++)
    if (s->tables[i]->measure == measure && s->tables[i]->axis == axis) {
      *out = s->tables[i];
      return AL_OK;
    }
  AL_TRY(al_grow(&s->tables, &s->table_capacity, s->table_count + 1, sizeof *s->tables));
  AL_TRY(AL_NEW(&fresh, 1));
  AL_TRY(al_summarise(fresh, s, measure, axis));
  *out = s->tables[s->table_count++] = fresh;
  fresh = NULL;
done:
  free(fresh);
  return status;
}

void al_table_order(size_t *order, const al_table_of_setting *t) {
  for (size_t i = 0; i < t->n; i++) { /* insertion: tables are short, and equal means keep their order */
    size_t at = i;
    double mean = t->rows[i].aulc.mean;
    while (at > 0) {
      double before = t->rows[order[at - 1]].aulc.mean;
      bool moves = !isnan(mean) && (isnan(before) || al_is_better(t->measure, mean, before));
      if (!moves) break;
      order[at] = order[at - 1];
      at--;
    }
    order[at] = i;
  }
}

/* ---- several datasets ---- */

static const al_row *row_of(const al_table_of_setting *t, const char *strategy) {
  for (size_t i = 0; i < t->n; i++)
    if (strcmp(t->rows[i].strategy, strategy) == 0 && !isnan(t->rows[i].aulc.mean)) return &t->rows[i];
  return NULL;
}

al_status al_group_make(al_group *g, al_setting *const *settings, size_t n, size_t measure) {
  al_status status;
  const al_table_of_setting **tables = NULL;
  *g = (al_group){0};
  AL_TRY(AL_NEW(&tables, n));
  for (size_t i = 0; i < n; i++) {
    AL_TRY(al_grow(&g->settings, &g->capacity, i + 1, sizeof *g->settings));
    g->settings[i] = settings[i];
    g->n++;
    AL_TRY(al_setting_table(&tables[i], settings[i], measure, AL_AXIS_LABELS));
  }
  if (n == 0) goto done;
  const al_table_of_setting *first = tables[0];
  AL_TRY(AL_NEW(&g->strategies, first->n));
  for (size_t r = 0; r < first->n; r++) {
    bool everywhere = true;
    for (size_t i = 0; i < n; i++) everywhere &= row_of(tables[i], first->rows[r].strategy) != NULL;
    if (everywhere) g->strategies[g->k++] = first->rows[r].strategy;
  }
  AL_TRY(AL_NEW(&g->values, n * g->k));
  AL_TRY(AL_NEW(&g->rows, n * g->k));
  for (size_t i = 0; i < n; i++)
    for (size_t r = 0; r < g->k; r++) {
      const al_row *row = row_of(tables[i], g->strategies[r]);
      g->rows[i * g->k + r] = row;
      g->values[i * g->k + r] = al_measures[measure].lower_is_better ? -row->aulc.mean : row->aulc.mean;
    }
done:
  free(tables);
  return status;
}

al_status al_groups_of(al_group **groups, size_t *n, al_collection *c, size_t measure) {
  al_status status;
  al_setting **members = NULL;
  *n = 0;
  AL_TRY(AL_NEW(groups, c->n));
  AL_TRY(AL_NEW(&members, c->n));
  for (size_t i = 0; i < c->n; i++) {
    const al_setting *s = &c->settings[i];
    size_t count = 0;
    bool first = true;
    for (size_t j = 0; j < c->n; j++) {
      al_setting *other = &c->settings[j];
      if (strcmp(other->model, s->model) != 0 || strcmp(other->axes, s->axes) != 0) continue;
      first &= j >= i;
      members[count++] = other;
    }
    if (!first) continue;
    (*n)++;
    AL_TRY(al_group_make(&(*groups)[*n - 1], members, count, measure));
  }
done:
  free(members);
  return status;
}

void al_group_free(al_group *g) {
  free(g->settings);
  free(g->strategies);
  free(g->values);
  free(g->rows);
  *g = (al_group){0};
}

void al_groups_free(al_group *groups, size_t n) {
  for (size_t i = 0; groups != NULL && i < n; i++) al_group_free(&groups[i]);
  free(groups);
}

al_status al_group_ranks(double *ranks, al_friedman *test, const al_group *g) {
  *test = (al_friedman){0};
  if (g->n >= 2 && g->k >= 2) return al_friedman_test(test, ranks, g->values, g->n, g->k);
  return al_ranks(ranks, g->values, g->k);
}

int al_row_verdict(const al_row *row, size_t measure) {
  if (!(row->p < alpha)) return 0;
  return (row->difference.mean > 0.0) != al_measures[measure].lower_is_better ? 1 : -1;
}

const char *al_group_title(const al_group *g, char text[256]) {
  const al_setting *s = g->settings[0];
  snprintf(text, 256, "%s%s%s", s->model, *s->axes == '\0' ? "" : ", ", s->axes);
  return text;
}
