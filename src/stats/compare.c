/* Units, groups and their tests; rankings over datasets and penalties are in compare_many.c. */
#include "stats/compare.h"

#include "base/memory.h"
#include "base/params.h"
#include "stats/compare_private.h"
#include "stats/power.h"

#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double equal_within = 1e-12;
enum { MOST_GROUPS = 10000, MOST_UNITS = 20000 };

const char *const al_summary_names[AL_SUMMARIES] = {"aulc", "aulc_cost", "final"};

/* ---- sides, groups, units ---- */

typedef struct {
  al_comparison *c;
  bool across;
  const char **models;                         /* of a side, when sides differ in model; borrowed */
  size_t *sources;                             /* of a side */
  size_t n, models_capacity, sources_capacity; /* n: sides so far */
} builder;

static al_status find_side(size_t *side, builder *b, const al_cell_curve *cell) {
  al_status status;
  al_comparison *c = b->c;
  for (*side = 0; *side < b->n; ++*side)
    if (b->sources[*side] == cell->source && (!b->across || strcmp(b->models[*side], cell->model) == 0)) return AL_OK;
  AL_TRY(al_grow(&c->sides, &c->side_capacity, c->side_count + 1, sizeof *c->sides));
  AL_TRY(al_grow(&b->models, &b->models_capacity, c->side_count + 1, sizeof *b->models));
  AL_TRY(al_grow(&b->sources, &b->sources_capacity, c->side_count + 1, sizeof *b->sources));
  const char *source = c->set->sources[cell->source];
  AL_TRY(b->across ? al_format(&c->sides[c->side_count], "%s, %s", source, cell->model)
                   : al_copy_string(&c->sides[c->side_count], source));
  b->models[c->side_count] = cell->model;
  b->sources[c->side_count] = cell->source;
  c->side_count = ++b->n;
done:
  return status;
}

/* Units are kept in order of appearance until all are known; then they are sorted by group. */
static al_status find_unit(size_t *at, builder *b, const al_cell_curve *cell, size_t side) {
  al_status status;
  al_comparison *c = b->c;
  size_t group = SIZE_MAX;
  for (size_t i = 0; i < c->n; i++) {
    al_unit *u = &c->units[i];
    if (strcmp(u->dataset, cell->dataset) != 0 || strcmp(u->setting, cell->setting) != 0 ||
        (!b->across && strcmp(u->model, cell->model) != 0))
      continue;
    group = u->group;
    if (u->side == side && strcmp(u->strategy, cell->strategy) == 0) {
      *at = i;
      return AL_OK;
    }
  }
  if (group == SIZE_MAX) group = c->group_count++;
  if (c->group_count > MOST_GROUPS || c->n == MOST_UNITS)
    return al_fail(AL_BAD_INPUT, "more than %d settings or %d strategies in them; compare fewer at a time", MOST_GROUPS,
                   MOST_UNITS);
  AL_TRY(al_grow(&c->units, &c->capacity, c->n + 1, sizeof *c->units));
  *at = c->n++;
  c->units[*at] = (al_unit){.dataset = cell->dataset,
                            .model = cell->model,
                            .setting = cell->setting,
                            .strategy = cell->strategy,
                            .side = side,
                            .group = group,
                            .against = SIZE_MAX};
done:
  return status;
}

static int by_replicate(const void *a, const void *b) {
  size_t x = (*(al_cell_curve *const *)a)->replicate, y = (*(al_cell_curve *const *)b)->replicate;
  return (x > y) - (x < y);
}

/* The baseline strategy leads its group, then sides and strategies in order of appearance. */
typedef struct {
  al_unit unit;
  size_t appeared;
  bool leads;
} ordered;

static int by_group(const void *a, const void *b) {
  const ordered *x = a, *y = b;
  if (x->unit.group != y->unit.group) return x->unit.group < y->unit.group ? -1 : 1;
  if (x->leads != y->leads) return x->leads ? -1 : 1;
  if (x->unit.side != y->unit.side) return x->unit.side < y->unit.side ? -1 : 1;
  return (x->appeared > y->appeared) - (x->appeared < y->appeared);
}

static al_status sort_units(al_comparison *c) {
  ordered *list = NULL;
  al_status status = AL_NEW(&list, c->n);
  if (status != AL_OK) return status;
  for (size_t i = 0; i < c->n; i++)
    list[i] = (ordered){c->units[i], i, c->baseline != NULL && strcmp(c->units[i].strategy, c->baseline) == 0};
  qsort(list, c->n, sizeof *list, by_group);
  for (size_t i = 0; i < c->n; i++) c->units[i] = list[i].unit;
  free(list);
  return AL_OK;
}

static al_status make_units(builder *b) {
  al_status status = AL_OK;
  al_comparison *c = b->c;
  const al_curve_set *set = c->set;
  for (size_t i = 0; i < set->n; i++) {
    size_t side, unit = 0;
    if (set->cells[i].n == 0) { /* no value of this metric at all */
      c->unmatched++;
      continue;
    }
    AL_TRY(find_side(&side, b, &set->cells[i]));
    AL_TRY(find_unit(&unit, b, &set->cells[i], side));
    c->units[unit].n++;
  }
  for (size_t i = 0; i < c->n; i++) {
    AL_TRY(AL_NEW(&c->units[i].cells, c->units[i].n));
    c->units[i].n = 0;
  }
  for (size_t i = 0; i < set->n; i++) {
    size_t side, unit = 0;
    if (set->cells[i].n == 0) continue;
    AL_TRY(find_side(&side, b, &set->cells[i]));
    AL_TRY(find_unit(&unit, b, &set->cells[i], side));
    c->units[unit].cells[c->units[unit].n++] = &set->cells[i];
  }
  for (size_t i = 0; i < c->n; i++) qsort(c->units[i].cells, c->units[i].n, sizeof *c->units[i].cells, by_replicate);
done:
  return status;
}

static bool has_strategy(const al_comparison *c, const char *strategy) {
  for (size_t i = 0; i < c->n; i++)
    if (strcmp(c->units[i].strategy, strategy) == 0) return true;
  return false;
}

static al_status choose_baseline(al_comparison *c, const char *wanted) {
  if (c->side_count > 1) {
    if (wanted == NULL) return AL_OK;
    return al_fail(AL_BAD_INPUT, "--baseline '%s' is for strategies within one source; here %s is the baseline", wanted,
                   c->sides[0]);
  }
  if (wanted == NULL) {
    if (has_strategy(c, "random")) c->baseline = "random";
    return AL_OK;
  }
  if (has_strategy(c, wanted)) {
    c->baseline = wanted;
    return AL_OK;
  }
  const char *names[256];
  size_t n = 0;
  for (size_t i = 0; i < c->n && n < 256; i++) names[n++] = c->units[i].strategy;
  const char *nearest = al_nearest(wanted, names, n);
  return al_fail(AL_BAD_INPUT, "--baseline: there is no strategy '%s'%s%s%s", wanted,
                 nearest == NULL ? "" : "; did you mean '", nearest == NULL ? "" : nearest,
                 nearest == NULL ? "" : "'?");
}

/* With several sides only what both sides of a pair have is compared: the others are counted and dropped. */
static void drop_unmatched(al_comparison *c) {
  size_t kept = 0;
  for (size_t i = 0; i < c->n; i++) {
    al_unit *u = &c->units[i];
    bool matched = false;
    for (size_t j = 0; j < c->n && !matched; j++) {
      const al_unit *o = &c->units[j];
      matched = o->cells != NULL && o->group == u->group && strcmp(o->strategy, u->strategy) == 0 &&
                (u->side == 0) != (o->side == 0);
    }
    if (!matched) c->unmatched += u->n;
    u->versus[0].compared = matched; /* a mark until the pass below */
  }
  for (size_t i = 0; i < c->n; i++) {
    if (c->units[i].versus[0].compared) {
      c->units[i].versus[0].compared = false;
      c->units[kept++] = c->units[i];
    } else {
      free(c->units[i].cells);
    }
  }
  c->n = kept;
}

static al_status make_groups(al_comparison *c) {
  al_status status = AL_OK;
  c->group_count = 0;
  for (size_t i = 0, old = SIZE_MAX; i < c->n; i++) {
    if (i == 0 || c->units[i].group != old) {
      AL_TRY(al_grow(&c->groups, &c->group_capacity, c->group_count + 1, sizeof *c->groups));
      c->groups[c->group_count++] = (al_compared_group){.first = i, .full = NAN, .target = NAN};
    }
    old = c->units[i].group;
    c->units[i].group = c->group_count - 1;
    c->groups[c->group_count - 1].n++;
  }
  for (size_t i = 0; i < c->n; i++) {
    al_unit *u = &c->units[i];
    const al_compared_group *g = &c->groups[u->group];
    for (size_t j = g->first; j < g->first + g->n; j++) {
      const al_unit *o = &c->units[j];
      bool other = c->side_count > 1 ? o->side == 0 && u->side != 0 && strcmp(o->strategy, u->strategy) == 0
                                     : c->baseline != NULL && j != i && strcmp(o->strategy, c->baseline) == 0;
      if (other) u->against = j;
    }
  }
done:
  return status;
}

/* ---- summaries ---- */

/* The range that all cells of the group reach. */
static void range_of(const al_comparison *c, const al_compared_group *g, bool cost, double *from, double *to) {
  *from = -INFINITY;
  *to = INFINITY;
  for (size_t i = g->first; i < g->first + g->n; i++)
    for (size_t r = 0; r < c->units[i].n; r++) {
      al_curve curve = al_cell_curve_of(c->units[i].cells[r], cost);
      *from = fmax(*from, curve.x[0]);
      *to = fmin(*to, curve.x[curve.n - 1]);
    }
}

/* Does cost say anything that labels do not? All cells must have it, and one must differ. */
static bool has_costs(const al_comparison *c, const al_compared_group *g) {
  bool differs = false;
  for (size_t i = g->first; i < g->first + g->n; i++)
    for (size_t r = 0; r < c->units[i].n; r++) {
      const al_cell_curve *cell = c->units[i].cells[r];
      for (size_t p = 0; p < cell->n; p++) {
        if (isnan(cell->cost[p])) return false;
        differs = differs || fabs(cell->cost[p] - cell->labels[p]) > 1e-9;
      }
    }
  return differs;
}

static void note_budget(al_comparison *c, al_compared_group *g, double from, double to) {
  double budget = 0.0;
  for (size_t i = g->first; i < g->first + g->n; i++)
    for (size_t r = 0; r < c->units[i].n; r++) {
      const al_cell_curve *cell = c->units[i].cells[r];
      budget = fmax(budget, isnan(cell->budget) ? cell->labels[cell->n - 1] : cell->budget);
    }
  g->limit = to;
  g->half_budget = to - from < 0.5 * (budget - from);
}

static al_rng stream_of(const al_unit *u, const char *what) {
  char key[512];
  snprintf(key, sizeof key, "%s|%s|%s|%s|%s", u->dataset, u->model, u->setting, u->strategy, what);
  return al_bootstrap_stream(key);
}

static al_status summarise(al_comparison *c, al_unit *u, al_summary which, double from, double to) {
  al_status status;
  al_versus *v = &u->versus[which];
  AL_TRY(AL_NEW(&v->values, u->n));
  for (size_t r = 0; r < u->n; r++) {
    al_curve curve = al_cell_curve_of(u->cells[r], which == AL_AULC_COST);
    v->values[r] = which == AL_FINAL ? curve.y[curve.n - 1] : al_curve_area(&curve, from, to);
  }
  v->exists = true;
  v->from = which == AL_FINAL ? NAN : from;
  v->to = which == AL_FINAL ? NAN : to;
  v->mean = al_mean_interval(v->values, u->n);
  AL_TRY(al_bca_mean(&v->bca, v->values, u->n, stream_of(u, al_summary_names[which])));
  (void)c;
done:
  return status;
}

/* ---- differences ---- */

static const al_cell_curve *replicate_of(const al_unit *u, size_t replicate, size_t *at) {
  for (*at = 0; *at < u->n; ++*at)
    if (u->cells[*at]->replicate == replicate) return u->cells[*at];
  return NULL;
}

/* Within a source a replicate is a pair unless its facts contradict that; between sources only where seed, stream
 * version and digest are known and agree. */
bool al_units_paired(const al_comparison *c, const al_unit *u, const al_unit *o) {
  size_t pairs = 0, at;
  for (size_t r = 0; r < u->n; r++) {
    const al_cell_curve *other = replicate_of(o, u->cells[r]->replicate, &at);
    if (other == NULL) continue;
    if (c->side_count > 1 ? !al_cells_paired(u->cells[r], other) : al_cells_differ(u->cells[r], other)) return false;
    pairs++;
  }
  return pairs != 0;
}

static al_status compare_paired(const al_comparison *c, al_versus *v, const al_unit *u, const al_unit *o,
                                const al_versus *w) {
  al_status status;
  double *d = NULL, most = 0.0, spread = 0.0;
  size_t at, nonzero = 0;
  AL_TRY(AL_NEW(&d, u->n));
  for (size_t r = 0; r < u->n; r++) {
    if (replicate_of(o, u->cells[r]->replicate, &at) == NULL) continue;
    double difference = v->values[r] - w->values[at];
    d[v->pairs++] = difference;
    v->tied += fabs(difference) <= equal_within;
    v->won += (c->set->lower_is_better ? -difference : difference) > equal_within;
    most = fmax(most, fabs(difference));
  }
  nonzero = v->pairs - v->tied;
  al_interval i = al_mean_interval(d, v->pairs);
  for (size_t k = 0; k < v->pairs; k++) spread = fmax(spread, fabs(d[k] - i.mean));
  v->constant = spread <= equal_within && most > equal_within;
  v->difference = i.mean;
  v->low = i.low;
  v->high = i.high;
  v->sd = spread <= equal_within && v->pairs > 1 ? 0.0 : i.sd;
  v->standard_error = v->sd / sqrt((double)v->pairs);
  v->df = (double)v->pairs - 1.0;
  v->p = al_paired_t(d, v->pairs);
  AL_TRY(al_wilcoxon(&v->p_wilcoxon, d, v->pairs));
  v->wilcoxon_too_small = nonzero < 60 && pow(2.0, 1.0 - (double)nonzero) > c->alpha; /* Holm's factor comes later */
  AL_TRY(al_bca_mean(&v->difference_bca, d, v->pairs, stream_of(u, "difference")));
done:
  free(d);
  return status;
}

static al_status compare_unit(const al_comparison *c, al_unit *u, al_summary which) {
  al_versus *v = &u->versus[which];
  const al_unit *o = &c->units[u->against];
  const al_versus *w = &o->versus[which];
  if (!v->exists || !w->exists) return AL_OK;
  v->compared = true;
  v->paired = al_units_paired(c, u, o);
  if (v->paired) return compare_paired(c, v, u, o, w);
  al_welch t = al_welch_t(v->values, u->n, w->values, o->n);
  v->difference = t.difference;
  v->low = t.low;
  v->high = t.high;
  v->standard_error = t.standard_error;
  v->df = t.df;
  v->p = t.p;
  return AL_OK;
}

/* Holm over the units first .. first + n, and what depends on the family: detectable, too few for Wilcoxon. */
static al_status correct(al_comparison *c, size_t first, size_t n, al_summary which) {
  al_status status;
  double *p = NULL;
  size_t family = 0;
  AL_TRY(AL_NEW(&p, n));
  for (size_t i = 0; i < n; i++) family += c->units[first + i].versus[which].compared;
  for (int test = 0; test < 2; test++) {
    for (size_t i = 0; i < n; i++) {
      const al_versus *v = &c->units[first + i].versus[which];
      p[i] = !v->compared ? NAN : test == 0 ? v->p : v->p_wilcoxon;
    }
    if (test == 1)
      for (size_t i = 0; i < n; i++) {
        al_versus *v = &c->units[first + i].versus[which];
        size_t before = 0, members = 0;
        if (isnan(p[i])) continue;
        for (size_t j = 0; j < n; j++) {
          members += !isnan(p[j]);
          before += p[j] < p[i] || (p[j] == p[i] && j < i);
        }
        double least = pow(2.0, 1.0 - (double)(v->pairs - v->tied)) * (double)(members - before);
        v->wilcoxon_too_small = least > c->alpha;
      }
    AL_TRY(al_holm(p, n));
    for (size_t i = 0; i < n; i++) {
      al_versus *v = &c->units[first + i].versus[which];
      if (v->compared) *(test == 0 ? &v->p_holm : &v->p_wilcoxon_holm) = p[i];
    }
  }
  for (size_t i = 0; i < n; i++) {
    const al_unit *u = &c->units[first + i];
    al_versus *v = &c->units[first + i].versus[which];
    if (!v->compared) continue;
    v->family = family;
    size_t of = v->paired ? v->pairs : u->n < c->units[u->against].n ? u->n : c->units[u->against].n;
    v->detectable = al_detectable_from(v->standard_error, v->df, c->alpha / (double)family);
    if (of >= AL_FEW_REPLICATES) continue;
    al_sd_factors f = al_sd_interval(of);
    v->detectable_low = f.low * v->detectable;
    v->detectable_high = f.high * v->detectable;
  }
done:
  free(p);
  return status;
}

/* ---- labels to the target, deficiency ---- */

static bool by_quality_rule(const al_cell_curve *cell) {
  static const char *const budgets[] = {"", "labels", "cost", "rounds", "pool"};
  for (size_t i = 0; i < sizeof budgets / sizeof *budgets; i++)
    if (strcmp(cell->end, budgets[i]) == 0) return false;
  return true;
}

/* Crossings of the cells that no quality rule ended into `out`; returns how many. */
static size_t crossings_of(al_crossing *out, const al_unit *u, double target) {
  size_t n = 0;
  for (size_t r = 0; r < u->n; r++) {
    if (by_quality_rule(u->cells[r])) continue;
    al_curve curve = al_cell_curve_of(u->cells[r], false);
    out[n++] = al_curve_crossing(&curve, target);
  }
  return n;
}

static al_status find_target(al_comparison *c, al_compared_group *g) {
  al_status status;
  double sum = 0.0;
  size_t n = 0;
  const al_unit *first = &c->units[g->first];
  for (size_t i = 0; i < c->set->full_n; i++) {
    const al_full_value *full = &c->set->full[i];
    if (full->source != first->cells[0]->source || strcmp(full->dataset, first->dataset) != 0 ||
        strcmp(full->model, first->model) != 0)
      continue;
    sum += full->value;
    n++;
  }
  if (n != 0) g->full = sum / (double)n;
  if (n != 0 && !c->set->lower_is_better) g->target = 0.9 * g->full;
  al_crossing *own = NULL, *other = NULL;
  for (size_t i = g->first; i < g->first + g->n; i++) {
    al_unit *u = &c->units[i];
    u->target_labels = NAN;
    u->use = (al_utilisation){NAN, '?'};
    for (size_t r = 0; r < u->n; r++) u->by_rule += by_quality_rule(u->cells[r]);
    if (isnan(g->target)) continue;
    AL_TRY(AL_NEW(&own, u->n));
    size_t count = crossings_of(own, u, g->target);
    for (size_t r = 0; r < count; r++) {
      u->reached += !own[r].censored;
      u->censored += own[r].censored;
      u->at_start = u->at_start || own[r].at_start;
    }
    AL_TRY(al_censored_median(&u->target_labels, own, count));
    if (u->against != SIZE_MAX) {
      AL_TRY(AL_NEW(&other, c->units[u->against].n));
      size_t others = crossings_of(other, &c->units[u->against], g->target);
      u->use = al_utilisation_rate(own, count, other, others, g->limit);
    }
    free(own);
    free(other);
    own = other = NULL;
  }
  status = AL_OK;
done:
  free(own);
  free(other);
  return status;
}

static bool at_label(const al_cell_curve *cell, double labels, double *value) {
  for (size_t i = 0; i < cell->n; i++)
    if (fabs(cell->labels[i] - labels) <= 1e-9) {
      *value = cell->value[i];
      return true;
    }
  return false;
}

/* Sums over the labels that every pair of both has, the first left out; the baseline's final is its value at the last
 * labels that all its replicates have. */
static al_status find_deficiency(const al_comparison *c, al_unit *u) {
  al_status status;
  double *own = NULL, *other = NULL, sign = c->set->lower_is_better ? -1.0 : 1.0, value = 0.0, theirs = 0.0;
  size_t n = 0, at, last = SIZE_MAX;
  u->deficiency = (al_deficiency){NAN, NAN, NAN, 0};
  if (u->against == SIZE_MAX) return AL_OK;
  const al_unit *o = &c->units[u->against];
  if (!al_units_paired(c, u, o)) return AL_OK;
  AL_TRY(AL_NEW(&own, u->n));
  AL_TRY(AL_NEW(&other, u->n));
  for (size_t r = 0; r < u->n; r++) n += replicate_of(o, u->cells[r]->replicate, &at) != NULL;
  const al_cell_curve *grid = o->cells[0];
  for (size_t i = 0; i < grid->n; i++) {
    bool all = true;
    for (size_t k = 0; k < o->n && all; k++) all = at_label(o->cells[k], grid->labels[i], &value);
    if (all) last = i;
  }
  if (last == SIZE_MAX) goto done;
  for (size_t i = 1; i < grid->n; i++) {
    bool all = true;
    for (size_t r = 0; r < u->n && all; r++) {
      const al_cell_curve *pair = replicate_of(o, u->cells[r]->replicate, &at);
      all =
          pair == NULL || (at_label(u->cells[r], grid->labels[i], &value) && at_label(pair, grid->labels[i], &theirs));
    }
    if (!all) continue;
    for (size_t r = 0, k = 0; r < u->n; r++) {
      const al_cell_curve *pair = replicate_of(o, u->cells[r]->replicate, &at);
      double end = 0.0;
      if (pair == NULL) continue;
      (void)at_label(u->cells[r], grid->labels[i], &value);
      (void)at_label(pair, grid->labels[i], &theirs);
      if (!at_label(pair, grid->labels[last], &end)) continue; /* never: all of the baseline have it */
      own[k] += sign * (end - value);
      other[k++] += sign * (end - theirs);
    }
  }
  AL_TRY(al_deficiency_of(&u->deficiency, own, other, n, stream_of(u, "deficiency")));
done:
  free(own);
  free(other);
  return status;
}

/* ---- all of it ---- */

static al_status measure_group(al_comparison *c, al_compared_group *g) {
  al_status status = AL_OK;
  for (size_t i = g->first; i < g->first + g->n; i++)
    for (int s = 0; s < AL_SUMMARIES; s++) {
      al_versus *v = &c->units[i].versus[s];
      *v = (al_versus){.from = NAN,
                       .to = NAN,
                       .bca = {NAN, NAN},
                       .difference = NAN,
                       .low = NAN,
                       .high = NAN,
                       .sd = NAN,
                       .standard_error = NAN,
                       .df = NAN,
                       .difference_bca = {NAN, NAN},
                       .p = NAN,
                       .p_holm = NAN,
                       .p_wilcoxon = NAN,
                       .p_wilcoxon_holm = NAN,
                       .detectable = NAN,
                       .detectable_low = NAN,
                       .detectable_high = NAN};
      v->mean = al_mean_interval(NULL, 0);
    }
  for (int s = 0; s < AL_SUMMARIES; s++) {
    double from = NAN, to = NAN;
    if (s == AL_AULC_COST && !has_costs(c, g)) continue;
    if (s != AL_FINAL) range_of(c, g, s == AL_AULC_COST, &from, &to);
    if (s == AL_AULC) note_budget(c, g, from, to);
    if (s != AL_FINAL && !(from < to)) continue; /* not comparable */
    for (size_t i = g->first; i < g->first + g->n; i++) AL_TRY(summarise(c, &c->units[i], (al_summary)s, from, to));
    for (size_t i = g->first; i < g->first + g->n; i++)
      if (c->units[i].against != SIZE_MAX) AL_TRY(compare_unit(c, &c->units[i], (al_summary)s));
    if (c->side_count == 1) AL_TRY(correct(c, g->first, g->n, (al_summary)s));
  }
  AL_TRY(find_target(c, g));
  for (size_t i = g->first; i < g->first + g->n; i++) AL_TRY(find_deficiency(c, &c->units[i]));
done:
  return status;
}

al_status al_compare(al_comparison **out, const al_curve_set *set, const char *baseline, bool across_model,
                     double alpha) {
  al_status status;
  al_comparison *c = NULL;
  builder b = {.across = across_model};
  *out = NULL;
  AL_TRY(AL_NEW(&c, 1));
  c->set = set;
  c->alpha = alpha;
  b.c = c;
  AL_TRY(make_units(&b));
  if (c->n == 0) {
    status = al_fail(AL_BAD_INPUT, "no cell has a value of '%s'", set->metric);
    goto done;
  }
  if (across_model && c->side_count == 1) {
    status = al_fail(AL_BAD_INPUT, "--across model: there is one model only, '%s'", c->units[0].model);
    goto done;
  }
  if (!across_model && c->side_count == 1 && set->source_count > 1) {
    status = al_fail(AL_BAD_INPUT, "only %s has a value of '%s'", c->sides[0], set->metric);
    goto done;
  }
  AL_TRY(choose_baseline(c, baseline));
  if (c->side_count > 1) drop_unmatched(c);
  if (c->n == 0) {
    status =
        al_fail(AL_BAD_INPUT,
                "nothing matches between %s and the others: cells must share dataset, model, setting and "
                "strategy%s",
                c->sides[0], across_model ? " (the model apart)" : "; other models are compared with --across model");
    goto done;
  }
  AL_TRY(sort_units(c));
  AL_TRY(make_groups(c));
  for (size_t g = 0; g < c->group_count; g++) AL_TRY(measure_group(c, &c->groups[g]));
  if (c->side_count > 1)
    for (int s = 0; s < AL_SUMMARIES; s++) AL_TRY(correct(c, 0, c->n, (al_summary)s));
  if (c->side_count == 1) AL_TRY(al_compare_many(c));
  *out = c;
  c = NULL;
done:
  free(b.models);
  free(b.sources);
  al_comparison_free(c);
  return status;
}

void al_comparison_free(al_comparison *c) {
  if (c == NULL) return;
  for (size_t i = 0; i < c->n; i++) {
    free(c->units[i].cells);
    for (int s = 0; s < AL_SUMMARIES; s++) free(c->units[i].versus[s].values);
  }
  for (size_t i = 0; i < c->side_count; i++) free(c->sides[i]);
  for (size_t i = 0; i < c->ranking_count; i++) al_ranking_clear(&c->rankings[i]);
  free(c->penalties.strategies);
  free(c->penalties.matrix);
  free(c->penalties.column_means);
  free(c->units);
  free(c->sides);
  free(c->groups);
  free(c->rankings);
  free(c);
}
