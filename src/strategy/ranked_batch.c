/* ranked-batch: uncertain items unlike what is labelled or picked. What is stale of a distance makes a utility too
 * large and never too small, so only items on top are brought up to date. */
#include "base/cross.h"
#include "base/memory.h"
#include "base/peaks.h"
#include "base/simd.h"
#include "strategy/nearest.h"
#include "strategy/pointwise.h"

#include <math.h>
#include <stdlib.h>

static unsigned needs_ranked_batch(const json_t *params) {
  (void)params;
  return AL_NEED_PROBS | AL_NEED_EMBEDDINGS;
}

/* The item with the least mean distance to all: the first pick when nothing is labelled. O(|U|^2 D), in rows. */
static al_status most_central(const al_query *query, size_t *centre) {
  al_status status;
  double *norms = NULL, best = INFINITY;
  float *distance = NULL, *scratch = NULL;
  AL_TRY(AL_NEW(&norms, query->pool));
  AL_TRY(AL_NEW(&distance, query->pool));
  AL_TRY(AL_NEW(&scratch, query->h_pool.cols));
  if (query->h_pool.kind == AL_VIEW_CSR) al_view_squared_norms(&query->h_pool, norms);
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
done:
  free(norms);
  free(distance);
  free(scratch);
  return status;
}

static double novelty_of(float squared) { return 1.0 - 1.0 / (1.0 + sqrt((double)squared)); }

AL_SIMD static void novelties(const float *restrict least, size_t n, double *restrict novelty) {
  for (size_t i = 0; i < n; i++) novelty[i] = 1.0 - 1.0 / (1.0 + sqrt((double)least[i]));
}

AL_SIMD static void utilities(const double *restrict novelty, const double *restrict uncertainty, double alpha,
                              size_t n, double *restrict utility) {
  for (size_t i = 0; i < n; i++) utility[i] = alpha * novelty[i] + (1.0 - alpha) * uncertainty[i];
}

static al_status select_ranked_batch(const al_query *query, const json_t *params, al_picks *picks) {
  (void)params;
  al_status status;
  size_t n = query->pool, k = query->batch < n ? query->batch : n;
  double *novelty = NULL, *uncertainty = NULL, *utility = NULL; /* |U| each; novelty: 1 - s, or more where stale */
  al_centres centres = {0};
  al_peaks peaks = {0};
  AL_TRY(al_centres_new(&centres, query, k));
  AL_TRY(AL_NEW(&novelty, n));
  AL_TRY(AL_NEW(&uncertainty, n));
  AL_TRY(AL_NEW(&utility, n));
  AL_TRY(al_peaks_new(&peaks, utility, n));
  al_least_confidence(query, uncertainty);
  if (query->labelled != 0) novelties(centres.least, n, novelty);
  for (size_t taken = 0; taken < k; taken++) {
    size_t best = 0;
    double left = (double)(n - taken), labelled = (double)(query->labelled + taken), alpha = left / (left + labelled);
    if (taken == 0 && query->labelled == 0) {
      AL_TRY(most_central(query, &best));
      picks->scores[0] = 1.0; /* alpha is 1, and similarity to nothing 0 */
    } else {
      utilities(novelty, uncertainty, alpha, n, utility);
      al_peaks_rebuild(&peaks);
      while (!al_centres_current(&centres, best = al_peaks_top(&peaks))) {
        novelty[best] = novelty_of(al_centres_look(&centres, best));
        utility[best] = alpha * novelty[best] + (1.0 - alpha) * uncertainty[best];
        al_peaks_update(&peaks, best);
      }
      picks->scores[taken] = utility[best];
    }
    picks->pos[taken] = (int32_t)best;
    al_centres_add(&centres, best);
    if (taken == 0 && query->labelled == 0) novelties(centres.least, n, novelty);
    novelty[best] = uncertainty[best] = -1.0; /* picked: below all others, whatever alpha */
  }
  picks->count = k;
done:
  al_centres_free(&centres);
  al_peaks_free(&peaks);
  free(novelty);
  free(uncertainty);
  free(utility);
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
    .cost = "time at most O(|U| D (|L| + k)), as a rule little more than one pass over U and O(|U| k); with empty L\n"
            "O(|U|^2 D) for the first pick; memory O(|U|)",
    .params = al_no_params,
    .needs = needs_ranked_batch,
    .select = select_ranked_batch,
};
