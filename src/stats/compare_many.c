/* Many strategies over many datasets: ranks, Friedman and Nemenyi, wins, and the pairwise penalty matrix. */
#include "base/memory.h"
#include "stats/compare_private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const al_unit *unit_of(const al_comparison *c, const al_compared_group *g, const char *strategy) {
  for (size_t i = g->first; i < g->first + g->n; i++)
    if (strcmp(c->units[i].strategy, strategy) == 0) return &c->units[i];
  return NULL;
}

static bool same_analysis(const al_comparison *c, const al_compared_group *a, const al_compared_group *b) {
  const al_unit *x = &c->units[a->first], *y = &c->units[b->first];
  return strcmp(x->model, y->model) == 0 && strcmp(x->setting, y->setting) == 0;
}

/* Strategies of the first of these groups that all of them have; with_area: and whose areas are comparable. */
static al_status common_strategies(const char ***out, size_t *k, const al_comparison *c,
                                   const al_compared_group *const *groups, size_t n, bool with_area) {
  *out = NULL;
  *k = 0;
  al_status status = AL_NEW(out, groups[0]->n);
  if (status != AL_OK) return status;
  for (size_t i = 0; i < groups[0]->n; i++) {
    const char *strategy = c->units[groups[0]->first + i].strategy;
    bool all = true;
    for (size_t g = 0; g < n && all; g++) {
      const al_unit *u = unit_of(c, groups[g], strategy);
      all = u != NULL && (!with_area || u->versus[AL_AULC].exists);
    }
    if (all) (*out)[(*k)++] = strategy;
  }
  return AL_OK;
}

/* ---- ranks ---- */

void al_ranking_clear(al_ranking *r) {
  free(r->datasets);
  free(r->strategies);
  free(r->values);
  free(r->mean_ranks);
  free(r->p_wilcoxon);
  free(r->wins);
  free(r->ties);
  free(r->losses);
}

static void count_wins(al_ranking *r, const al_comparison *c, const al_compared_group *g) {
  for (size_t j = 0; j < r->k; j++) {
    const al_unit *u = unit_of(c, g, r->strategies[j]);
    const al_versus *v = &u->versus[AL_AULC];
    if (!v->compared) continue;
    double gain = c->set->lower_is_better ? -v->difference : v->difference;
    bool rejected = v->p_holm <= c->alpha;
    r->wins[j] += rejected && gain > 0.0;
    r->losses[j] += rejected && gain < 0.0;
    r->ties[j] += !rejected;
  }
}

static al_status make_ranking(al_ranking *r, const al_comparison *c, const al_compared_group *const *groups, size_t n) {
  al_status status;
  double *turned = NULL, sign = c->set->lower_is_better ? -1.0 : 1.0;
  *r = (al_ranking){.model = c->units[groups[0]->first].model,
                    .setting = c->units[groups[0]->first].setting,
                    .blocks = n,
                    .critical_difference = NAN,
                    .has_baseline = c->baseline != NULL};
  AL_TRY(common_strategies(&r->strategies, &r->k, c, groups, n, true));
  if (r->k < 2) goto done;
  AL_TRY(AL_NEW(&r->datasets, n));
  AL_TRY(AL_NEW(&r->values, n * r->k));
  AL_TRY(AL_NEW(&turned, n * r->k));
  AL_TRY(AL_NEW(&r->mean_ranks, r->k));
  AL_TRY(AL_NEW(&r->p_wilcoxon, r->k * r->k));
  AL_TRY(AL_NEW(&r->wins, r->k));
  AL_TRY(AL_NEW(&r->ties, r->k));
  AL_TRY(AL_NEW(&r->losses, r->k));
  for (size_t b = 0; b < n; b++) {
    r->datasets[b] = c->units[groups[b]->first].dataset;
    for (size_t j = 0; j < r->k; j++) {
      r->values[b * r->k + j] = unit_of(c, groups[b], r->strategies[j])->versus[AL_AULC].mean.mean;
      turned[b * r->k + j] = sign * r->values[b * r->k + j];
    }
    count_wins(r, c, groups[b]);
  }
  AL_TRY(al_friedman_test(&r->friedman, r->mean_ranks, turned, n, r->k));
  r->tested = n >= AL_DATASETS_LEAST;
  if (!r->tested) goto done;
  r->critical_difference = al_nemenyi(r->k, n, c->alpha);
  AL_TRY(al_pairwise_wilcoxon(r->p_wilcoxon, turned, n, r->k));
done:
  free(turned);
  return status;
}

static al_status rank_all(al_comparison *c, const al_compared_group **groups) {
  al_status status = AL_OK;
  for (size_t i = 0; i < c->group_count; i++) {
    size_t n = 0, before = 0;
    while (before < i && !same_analysis(c, &c->groups[before], &c->groups[i])) before++;
    if (before < i) continue;
    for (size_t j = i; j < c->group_count; j++)
      if (same_analysis(c, &c->groups[i], &c->groups[j])) groups[n++] = &c->groups[j];
    if (n < 2) continue;
    AL_TRY(al_grow(&c->rankings, &c->ranking_capacity, c->ranking_count + 1, sizeof *c->rankings));
    AL_TRY(make_ranking(&c->rankings[c->ranking_count++], c, groups, n));
  }
done:
  return status;
}

/* ---- penalties ---- */

static double value_at(const al_cell_curve *cell, double labels) {
  for (size_t i = 0; i < cell->n; i++)
    if (fabs(cell->labels[i] - labels) <= 1e-9) return cell->value[i];
  return NAN;
}

/* Adds a setting; its points are those of the random unit's first cell. */
static al_status add_setting(al_penalties *p, const al_comparison *c, const al_compared_group *g, size_t random,
                             size_t *checkpoints) {
  al_status status;
  double *values = NULL;
  const al_unit *base = unit_of(c, g, "random");
  const al_cell_curve *grid = base->cells[0];
  AL_TRY(AL_NEW(&values, p->k * base->n * grid->n));
  for (size_t j = 0; j < p->k; j++) {
    const al_unit *u = unit_of(c, g, p->strategies[j]);
    bool paired = u == base || al_units_paired(c, u, base);
    for (size_t r = 0; r < base->n; r++) {
      const al_cell_curve *cell = NULL;
      for (size_t k = 0; k < u->n && paired; k++)
        if (u->cells[k]->replicate == base->cells[r]->replicate) cell = u->cells[k];
      for (size_t i = 0; i < grid->n; i++)
        values[(j * base->n + r) * grid->n + i] = cell == NULL ? NAN : value_at(cell, grid->labels[i]);
    }
  }
  AL_TRY(al_penalty_add(p->matrix, checkpoints, values, grid->labels, p->k, base->n, grid->n, random));
done:
  free(values);
  return status;
}

static al_status penalise(al_comparison *c, const al_compared_group **groups) {
  al_status status = AL_OK;
  al_penalties *p = &c->penalties;
  size_t n = 0, random = 0;
  for (size_t i = 0; i < c->group_count; i++) {
    if (unit_of(c, &c->groups[i], "random") != NULL)
      groups[n++] = &c->groups[i];
    else
      p->skipped++;
  }
  if (n == 0 || c->set->lower_is_better) return AL_OK; /* 99 % of a last value needs one that grows */
  AL_TRY(common_strategies(&p->strategies, &p->k, c, groups, n, false));
  if (p->k < 2) {
    p->k = 0;
    goto done;
  }
  AL_TRY(AL_NEW(&p->matrix, p->k * p->k));
  AL_TRY(AL_NEW(&p->column_means, p->k));
  while (strcmp(p->strategies[random], "random") != 0) random++;
  for (size_t i = 0; i < n; i++) {
    size_t checkpoints = 0;
    AL_TRY(add_setting(p, c, groups[i], random, &checkpoints));
    if (checkpoints == 0)
      p->skipped++;
    else
      p->settings++;
  }
  for (size_t i = 0; i < p->k; i++)
    for (size_t j = 0; j < p->k; j++) p->column_means[j] += p->matrix[i * p->k + j] / (double)p->k;
done:
  return status;
}

al_status al_compare_many(al_comparison *c) {
  const al_compared_group **groups = NULL;
  al_status status = AL_NEW(&groups, c->group_count);
  if (status == AL_OK) status = rank_all(c, groups);
  if (status == AL_OK) status = penalise(c, groups);
  free(groups);
  return status;
}
