/* cluster-margin: low margins, spread over clusters that are made once a cell. */
#include "strategy/pointwise.h"

#include "base/memory.h"
#include "base/topk.h"
#include "strategy/hac.h"
#include "strategy/space.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CLUSTER_SIZE = 10 };

static const al_param cluster_margin_params[] = {
    {.key = "m",
     .type = AL_PARAM_REAL,
     .fallback = "1.25",
     .min = 1,
     .max = 1e6,
     .help = "the batch is drawn from the ceil(m k) lowest margins"},
    {.key = "items",
     .type = AL_PARAM_INT,
     .fallback = "10000",
     .min = 2,
     .max = 50000,
     .help = "at most so many seeded items are clustered, the others join; memory is 2 items^2 bytes"},
    AL_SPACE_PARAM,
    {0}};

static unsigned needs_of_cluster_margin(const json_t *params) { return AL_NEED_PROBS | al_space_needs(params); }

/* ---- clusters of the starting pool ---- */

static al_status prepare_clusters(void **prepared, const al_query *query, const json_t *params) {
  *prepared = NULL;
  if (al_space_is_embedding(params)) return AL_OK; /* h is another every round */
  int32_t *cluster_of = NULL;
  al_rng rng = query->cell_rng;
  al_status status = AL_NEW(&cluster_of, query->f_all.rows);
  if (status == AL_OK)
    status = al_hac_clusters(&query->f_all, (size_t)al_params_int(params, "items"), CLUSTER_SIZE, &rng, cluster_of);
  if (status == AL_OK)
    *prepared = cluster_of;
  else
    free(cluster_of);
  return status;
}

/* *of_pool (|U|, owned): the cluster of each pool item. */
static al_status clusters_of_pool(const al_query *query, const json_t *params, int32_t **of_pool) {
  al_status status;
  al_both both = {0};
  void *made = NULL;
  int32_t *cluster_of = NULL;
  bool placed = query->f_all.kind != AL_VIEW_NONE && query->all_pool != NULL;
  AL_TRY(AL_NEW(of_pool, query->pool));
  if (!al_space_is_embedding(params) && placed) {
    if (query->prepared == NULL) AL_TRY(prepare_clusters(&made, query, params));
    const int32_t *all = query->prepared != NULL ? query->prepared : made;
    assert(all != NULL);
    for (size_t pos = 0; pos < query->pool; pos++) (*of_pool)[pos] = all[query->all_pool[pos]];
  } else {
    al_rng rng = al_rng_child(&query->rng, 1);
    AL_TRY(al_both_make(&both, query, params));
    AL_TRY(AL_NEW(&cluster_of, both.n));
    AL_TRY(al_hac_clusters(&both.view, (size_t)al_params_int(params, "items"), CLUSTER_SIZE, &rng, cluster_of));
    for (size_t i = 0; i < both.n; i++)
      if (both.source[i] >= 0) (*of_pool)[both.source[i]] = cluster_of[i];
  }
done:
  al_both_free(&both);
  free(made);
  free(cluster_of);
  return status;
}

/* ---- the round-robin ---- */

/* A candidate, and then the clusters among the candidates: members stand side by side. */
typedef struct {
  int32_t cluster, pos;
} candidate;

typedef struct {
  size_t first, size;
  int32_t lowest; /* position */
} turn;

static int by_cluster(const void *a, const void *b) {
  const candidate *x = a, *y = b;
  if (x->cluster != y->cluster) return x->cluster < y->cluster ? -1 : 1;
  return (x->pos > y->pos) - (x->pos < y->pos);
}

static int smallest_first(const void *a, const void *b) {
  const turn *x = a, *y = b;
  if (x->size != y->size) return x->size < y->size ? -1 : 1;
  return (x->lowest > y->lowest) - (x->lowest < y->lowest);
}

static al_status round_robin(candidate *candidates, size_t n, const double *utility, al_rng rng, size_t k,
                             al_picks *picks) {
  turn *turns = NULL;
  size_t clusters = 0;
  al_status status = AL_NEW(&turns, n);
  if (status != AL_OK) return status;
  qsort(candidates, n, sizeof *candidates, by_cluster);
  for (size_t i = 0; i < n; i++) {
    if (i == 0 || candidates[i].cluster != candidates[i - 1].cluster)
      turns[clusters++] = (turn){.first = i, .lowest = candidates[i].pos};
    turns[clusters - 1].size++;
  }
  qsort(turns, clusters, sizeof *turns, smallest_first);
  picks->count = 0;
  for (size_t at = 0; picks->count < k; at = (at + 1) % clusters) {
    turn *own = &turns[at];
    if (own->size == 0) continue;
    candidate *members = candidates + own->first;
    size_t draw = (size_t)al_rng_below(&rng, own->size);
    picks->pos[picks->count] = members[draw].pos;
    picks->scores[picks->count++] = utility[members[draw].pos];
    own->size--; /* the others keep their order */
    memmove(members + draw, members + draw + 1, (own->size - draw) * sizeof *members);
  }
  free(turns);
  return AL_OK;
}

static al_status select_cluster_margin(const al_query *query, const json_t *params, al_picks *picks) {
  al_status status;
  size_t n = query->pool, k = query->batch < n ? query->batch : n;
  double wanted = ceil(al_params_real(params, "m") * (double)k);
  size_t candidate_count = wanted < (double)n ? (size_t)wanted : n;
  int32_t *cluster_of = NULL, *lowest = NULL;
  double *utility = NULL;
  candidate *candidates = NULL;
  AL_TRY(clusters_of_pool(query, params, &cluster_of));
  AL_TRY(AL_NEW(&utility, n));
  AL_TRY(AL_NEW(&lowest, candidate_count));
  AL_TRY(AL_NEW(&candidates, candidate_count));
  al_margin_utility(query, utility);
  al_top_k(utility, n, candidate_count, lowest);
  for (size_t i = 0; i < candidate_count; i++)
    candidates[i] = (candidate){.cluster = cluster_of[lowest[i]], .pos = lowest[i]};
  AL_TRY(round_robin(candidates, candidate_count, utility, query->rng, k, picks));
done:
  free(cluster_of);
  free(utility);
  free(lowest);
  free(candidates);
  return status;
}

const al_strategy al_strategy_cluster_margin = {
    .name = "cluster-margin",
    .family = "hybrid",
    .summary = "low margins drawn in turn from clusters, smallest cluster first",
    .definition =
        "Once a cell: average-linkage clustering (Euclidean) of the starting pool (L and U) on f, on at most `items`\n"
        "seeded items, cut at the smallest distance at which these have a mean cluster size of at least 10 (fewer "
        "than\n"
        "10: one cluster); the rest join the cluster of their nearest clustered item. space: embedding clusters anew\n"
        "each round, on h. Each round: the ceil(m k) lowest margins, clusters in order of their size among them,\n"
        "smallest first, ties by lowest position, a uniform member each turn, round-robin. Printed: 1 - margin.",
    .citation = "Citovsky, DeSalvo, Gentile, Karydas, Rajagopalan, Rostamizadeh and Kumar 2021",
    .cost =
        "once a cell (space: embedding: each round) time O(items^2 D + N items D) with items = min(items, N), memory\n"
        "2 items^2 bytes (200 MB for 10,000); each round time O(|U| C + m k log(m k)), memory O(|U|)",
    .params = cluster_margin_params,
    .needs = needs_of_cluster_margin,
    .select = select_cluster_margin,
    .prepare = prepare_clusters,
    .forget = free,
};
