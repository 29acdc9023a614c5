/* k-center: greedy farthest-first traversal (2-approximation of the k-center problem). One pass over the rows a pick.
 */
#include "base/cross.h"
#include "base/memory.h"
#include "strategy/nearest.h"
#include "strategy/pointwise.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static unsigned needs_of_k_center(const json_t *params) {
  (void)params;
  return AL_NEED_EMBEDDINGS;
}

/* The item nearest the mean of all: the first pick when nothing is labelled. */
static al_status nearest_to_mean(const al_query *query, size_t *nearest) {
  const al_view *h = &query->h_pool;
  double *mean = NULL, best = INFINITY, mean_norm = 0.0;
  al_status status = AL_NEW(&mean, h->cols);
  if (status != AL_OK) return status;
  double share = 1.0 / (double)h->rows;
  for (size_t i = 0; i < h->rows; i++) {
    if (h->kind == AL_VIEW_DENSE)
      for (size_t c = 0; c < h->cols; c++) mean[c] += share * (double)h->values[i * h->cols + c];
    else
      for (int64_t p = h->begin[i]; p < h->end[i]; p++) mean[h->indices[p]] += share * (double)h->values[p];
  }
  for (size_t c = 0; c < h->cols; c++) mean_norm += mean[c] * mean[c];
  *nearest = 0;
  for (size_t i = 0; i < h->rows; i++) {
    double distance = 0.0;
    if (h->kind == AL_VIEW_DENSE) {
      for (size_t c = 0; c < h->cols; c++) {
        double difference = (double)h->values[i * h->cols + c] - mean[c];
        distance += difference * difference;
      }
    } else {
      distance = mean_norm;
      for (int64_t p = h->begin[i]; p < h->end[i]; p++) {
        double value = (double)h->values[p], at = mean[h->indices[p]];
        distance += (value - at) * (value - at) - at * at;
      }
    }
    if (distance < best) {
      best = distance;
      *nearest = i;
    }
  }
  free(mean);
  return AL_OK;
}

static al_status select_k_center(const al_query *query, const json_t *params, al_picks *picks) {
  (void)params;
  al_status status;
  size_t k = query->batch < query->pool ? query->batch : query->pool;
  float *least = NULL, *scratch = NULL, *distance = NULL;
  double *norms = NULL;
  AL_TRY(AL_NEW(&least, query->pool));
  AL_TRY(AL_NEW(&distance, query->pool));
  AL_TRY(AL_NEW(&norms, query->pool));
  AL_TRY(AL_NEW(&scratch, query->h_pool.cols));
  if (query->h_pool.kind == AL_VIEW_CSR) al_view_squared_norms(&query->h_pool, norms);
  AL_TRY(al_least_distances(query, norms, least));
  for (size_t n = 0; n < k; n++) {
    size_t best = SIZE_MAX;
    double score = 0.0;
    if (n == 0 && query->labelled == 0) {
      AL_TRY(nearest_to_mean(query, &best)); /* nothing is near or far yet: the utility is 0 */
    } else {
      for (size_t i = 0; i < query->pool; i++)
        if (least[i] >= 0.0F && (best == SIZE_MAX || least[i] > least[best])) best = i;
      score = sqrt((double)least[best]);
    }
    picks->pos[n] = (int32_t)best;
    picks->scores[n] = score;
    if (n + 1 == k) break;
    al_distances_to_row(&query->h_pool, norms, best, scratch, distance);
    for (size_t i = 0; i < query->pool; i++) least[i] = fminf(least[i], distance[i]);
    for (size_t i = 0; i <= n; i++) least[picks->pos[i]] = -1.0F; /* picked: never again */
  }
  picks->count = k;
done:
  free(least);
  free(scratch);
  free(distance);
  free(norms);
  return status;
}

const al_strategy al_strategy_k_center = {
    .name = "k-center",
    .family = "diversity",
    .summary = "farthest-first traversal from the labelled set (core-set)",
    .definition =
        "Greedy: the x farthest (Euclidean, in h) from L and the picks so far; at most twice the radius of the best\n"
        "choice of k centres. Empty L: the first pick is the item nearest the mean.",
    .citation = "Sener and Savarese 2018; Gonzalez 1985",
    .cost = "time O(|U| D (|L| + k)) (CSR: non-zeros in place of D), memory O(|U|)",
    .multi = true,
    .params = al_no_params,
    .needs = needs_of_k_center,
    .select = select_k_center,
};
