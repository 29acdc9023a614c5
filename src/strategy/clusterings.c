/* k-means and kmeans-plus-plus: batches that cover the pool, from its rows alone. */
#include "base/cross.h"
#include "base/memory.h"
#include "strategy/kmeans.h"
#include "strategy/nearest.h"
#include "strategy/space.h"

#include <math.h>
#include <stdlib.h>

static const al_param space_params[] = {AL_SPACE_PARAM, {0}};

/* ---- k-means ---- */

static al_status select_k_means(const al_query *query, const json_t *params, al_picks *picks) {
  al_status status;
  al_kmeans *kmeans = NULL;
  al_rng rng = query->rng;
  size_t k = query->batch < query->pool ? query->batch : query->pool;
  AL_TRY(al_kmeans_make(&kmeans, al_space_pool(query, params), NULL, k, &rng));
  AL_TRY(al_kmeans_pick(kmeans, k, picks->pos, picks->scores));
  picks->count = k;
done:
  al_kmeans_free(kmeans);
  return status;
}

const al_strategy al_strategy_k_means = {
    .name = "k-means",
    .family = "diversity",
    .summary = "k clusters of the pool, the member nearest each centre",
    .definition =
        "k-means of U on f with k clusters: seeded k-means++ start, Lloyd until nothing changes or 100 rounds, an\n"
        "empty cluster restarts at the farthest point. From each, largest first, the member nearest the centre;\n"
        "fewer distinct rows than k: then what is farthest from its own centre. L is not counted.\n"
        "Printed: minus the distance to the centre.",
    .citation = "MacQueen 1967; Lloyd 1982; Arthur and Vassilvitskii 2007 (k-means++); Hamerly 2010 (bounds)",
    .cost = "time O(k |U| D) a round, at most 100, of which exact bounds skip most (CSR: non-zeros in place of D);\n"
            "memory O(|U| + k D)",
    .multi = true,
    .params = space_params,
    .needs = al_space_needs,
    .select = select_k_means,
};

/* ---- kmeans-plus-plus ---- */

static al_status select_plus_plus(const al_query *query, const json_t *params, al_picks *picks) {
  al_status status;
  al_query in_space = *query;
  al_rng rng = query->rng;
  float *least = NULL;
  double *norms = NULL, *squared = NULL;
  size_t k = query->batch < query->pool ? query->batch : query->pool;
  in_space.h_pool = *al_space_pool(query, params);
  in_space.h_labelled = *al_space_labelled(query, params);
  AL_TRY(AL_NEW(&squared, query->pool));
  if (query->labelled != 0) {
    AL_TRY(AL_NEW(&least, query->pool));
    AL_TRY(AL_NEW(&norms, query->pool));
    if (in_space.h_pool.kind == AL_VIEW_CSR) al_view_squared_norms(&in_space.h_pool, norms);
    AL_TRY(al_least_distances(&in_space, norms, least));
    for (size_t pos = 0; pos < query->pool; pos++) squared[pos] = (double)least[pos];
  }
  AL_TRY(al_d2_sample(&in_space.h_pool, NULL, k, squared, query->labelled != 0, &rng, picks->pos, picks->scores));
  picks->count = k;
done:
  free(least);
  free(norms);
  free(squared);
  return status;
}

const al_strategy al_strategy_kmeans_plus_plus = {
    .name = "kmeans-plus-plus",
    .family = "diversity",
    .summary = "D^2 sampling: far from the labelled set and from one another, by chance",
    .definition =
        "Each pick is drawn with probability D(x)^2 / sum D^2, D the Euclidean distance in f to the nearest of L and\n"
        "the picks so far. Empty L: the first pick is uniform. All distances 0: uniform over the rest. No repeats.\n"
        "Printed: D^2 at the moment of the pick.",
    .citation = "Arthur and Vassilvitskii 2007",
    .cost = "time O((k + |L|) |U| D) (CSR: non-zeros in place of D), memory O(|U|)",
    .multi = true,
    .params = space_params,
    .needs = al_space_needs,
    .select = select_plus_plus,
};
