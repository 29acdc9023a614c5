/* ranked-batch: uncertain items unlike what is labelled or picked, one pass over the rows a pick. */
#include "base/cross.h"
#include "base/memory.h"
#include "strategy/nearest.h"
#include "strategy/pointwise.h"

#include <math.h>
#include <stdlib.h>

static unsigned needs_ranked_batch(const json_t *params) {
  (void)params;
  return AL_NEED_PROBS | AL_NEED_EMBEDDINGS;
}

/* The item with the least mean distance to all: the first pick when nothing is labelled. O(|U|^2 D), in rows. */
static void most_central(const al_query *query, const double *norms, float *scratch, float *distance, size_t *centre) {
  double best = INFINITY;
  *centre = 0;
  for (size_t pos = 0; pos < query->pool; pos++) {
    double sum = 0.0;
    al_distances_to_row(&query->h_pool, norms, pos, scratch, distance);
    for (size_t i = 0; i < query->pool; i++) sum += sqrt((double)distance[i]);
    if (sum < best) {
      best = sum;
      *centre = pos;
    }
  }
}

static al_status select_ranked_batch(const al_query *query, const json_t *params, al_picks *picks) {
  (void)params;
  al_status status;
  size_t n = query->pool, k = query->batch < n ? query->batch : n;
  float *least = NULL, *scratch = NULL, *distance = NULL;
  double *norms = NULL, *uncertainty = NULL;
  AL_TRY(AL_NEW(&least, n));
  AL_TRY(AL_NEW(&distance, n));
  AL_TRY(AL_NEW(&norms, n));
  AL_TRY(AL_NEW(&uncertainty, n));
  AL_TRY(AL_NEW(&scratch, query->h_pool.cols));
  if (query->h_pool.kind == AL_VIEW_CSR) al_view_squared_norms(&query->h_pool, norms);
  al_least_confidence(query, uncertainty);
  AL_TRY(al_least_distances(query, norms, least));
  for (size_t taken = 0; taken < k; taken++) {
    size_t best = SIZE_MAX;
    double left = (double)(n - taken), labelled = (double)(query->labelled + taken), alpha = left / (left + labelled);
    double highest = 0.0;
    if (taken == 0 && query->labelled == 0) {
      most_central(query, norms, scratch, distance, &best);
      highest = 1.0; /* alpha is 1, and similarity to nothing 0 */
    } else {
      for (size_t pos = 0; pos < n; pos++) {
        if (least[pos] < 0.0F) continue;
        double similarity = 1.0 / (1.0 + sqrt((double)least[pos]));
        double utility = alpha * (1.0 - similarity) + (1.0 - alpha) * uncertainty[pos];
        if (best == SIZE_MAX || utility > highest) {
          best = pos;
          highest = utility;
        }
      }
    }
    picks->pos[taken] = (int32_t)best;
    picks->scores[taken] = highest;
    if (taken + 1 == k) break;
    al_distances_to_row(&query->h_pool, norms, best, scratch, distance);
    for (size_t pos = 0; pos < n; pos++) least[pos] = fminf(least[pos], distance[pos]);
    for (size_t i = 0; i <= taken; i++) least[picks->pos[i]] = -1.0F; /* picked: never again */
  }
  picks->count = k;
done:
  free(least);
  free(scratch);
  free(distance);
  free(norms);
  free(uncertainty);
  return status;
}

const al_strategy al_strategy_ranked_batch = {
    .name = "ranked-batch",
    .family = "hybrid",
    .summary = "uncertain items unlike anything labelled or picked, in an order worth labelling",
    .definition =
        "Greedy: highest alpha (1 - s) + (1 - alpha) (1 - max p), alpha = |U| / (|U| + |L|) counted anew at each\n"
        "pick, s = max 1 / (1 + d) over L and the picks, d Euclidean in h. Empty L: the first pick has the\n"
        "least mean distance to all.",
    .citation = "Cardoso, Silva, Canuto, Moro and Goncalves 2017",
    .cost = "time O(|U| D (|L| + k)), with empty L O(|U|^2 D); memory O(|U|)",
    .params = al_no_params,
    .needs = needs_ranked_batch,
    .select = select_ranked_batch,
};
