/* k-center: greedy farthest-first traversal (2-approximation of the k-center problem). Distances only shrink as centres
 * come, so a stale one is an upper bound, and only items on top of the bounds are brought up to date. */
#include "base/memory.h"
#include "base/peaks.h"
#include "strategy/nearest.h"
#include "strategy/pointwise.h"

#include <math.h>
#include <stdlib.h>

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
  size_t n = query->pool, k = query->batch < n ? query->batch : n;
  double *farness = NULL; /* |U|: squared distance to the nearest centre or more; -1 once picked */
  al_centres centres = {0};
  al_peaks peaks = {0};
  AL_TRY(al_centres_new(&centres, query, k));
  AL_TRY(AL_NEW(&farness, n));
  AL_TRY(al_peaks_new(&peaks, farness, n));
  for (size_t taken = 0; taken < k; taken++) {
    size_t best = 0;
    if (taken == 0 && query->labelled == 0) {
      AL_TRY(nearest_to_mean(query, &best)); /* nothing is near or far yet: the utility is 0 */
      picks->scores[0] = 0.0;
    } else {
      if (taken == 0 || (taken == 1 && query->labelled == 0)) { /* the first that knows a centre */
        for (size_t i = 0; i < n; i++) farness[i] = (double)centres.least[i];
        if (taken == 1) farness[picks->pos[0]] = -1.0;
        al_peaks_rebuild(&peaks);
      }
      while (!al_centres_current(&centres, best = al_peaks_top(&peaks))) {
        farness[best] = (double)al_centres_look(&centres, best);
        al_peaks_update(&peaks, best);
      }
      picks->scores[taken] = sqrt(farness[best]);
      farness[best] = -1.0;
      al_peaks_update(&peaks, best);
    }
    picks->pos[taken] = (int32_t)best;
    al_centres_add(&centres, best);
  }
  picks->count = k;
done:
  al_centres_free(&centres);
  al_peaks_free(&peaks);
  free(farness);
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
    .cost = "time at most O(|U| D (|L| + k)), as a rule little more than one pass over U (distances are brought up to "
            "date\n"
            "only where they could be the largest); CSR: non-zeros in place of D; memory O(|U|)",
    .multi = true,
    .params = al_no_params,
    .needs = needs_of_k_center,
    .select = select_k_center,
};
