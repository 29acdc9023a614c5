/* margin-clustered: weighted k-means of the least certain items. */
#include "strategy/pointwise.h"

#include "base/memory.h"
#include "base/topk.h"
#include "strategy/kmeans.h"

#include <stdlib.h>

static const al_param margin_clustered_params[] = {{.key = "prefilter",
                                                    .type = AL_PARAM_INT,
                                                    .fallback = "10",
                                                    .min = 1,
                                                    .max = 1e6,
                                                    .help = "the prefilter x k lowest margins are clustered"},
                                                   {0}};

static unsigned needs_of_margin_clustered(const json_t *params) {
  (void)params;
  return AL_NEED_PROBS | AL_NEED_EMBEDDINGS | AL_NEED_DENSE;
}

static int ascending(const void *a, const void *b) {
  int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
  return (x > y) - (x < y);
}

static al_status select_margin_clustered(const al_query *query, const json_t *params, al_picks *picks) {
  al_status status;
  size_t n = query->pool, k = query->batch < n ? query->batch : n, factor = (size_t)al_params_int(params, "prefilter");
  size_t kept = factor > n / k ? n : factor * k;
  double *utility = NULL, *weights = NULL, heaviest = 0.0;
  int32_t *rows = NULL;
  al_subset subset = {0};
  al_view view;
  al_kmeans *kmeans = NULL;
  al_rng rng = query->rng;
  AL_TRY(AL_NEW(&utility, n));
  AL_TRY(AL_NEW(&rows, kept));
  AL_TRY(AL_NEW(&weights, kept));
  al_margin_utility(query, utility);
  al_top_k(utility, n, kept, rows);
  qsort(rows, kept, sizeof *rows, ascending); /* draws and ties go by position */
  AL_TRY(al_view_take(&view, &query->h_pool, rows, kept, &subset));
  for (size_t i = 0; i < kept; i++) {
    weights[i] = utility[rows[i]];
    heaviest = weights[i] > heaviest ? weights[i] : heaviest;
  }
  AL_TRY(al_kmeans_make(&kmeans, &view, heaviest > 0.0 ? weights : NULL, k, &rng));
  AL_TRY(al_kmeans_pick(kmeans, k, picks->pos, picks->scores));
  for (size_t i = 0; i < k; i++) picks->pos[i] = rows[picks->pos[i]];
  picks->count = k;
done:
  al_kmeans_free(kmeans);
  al_subset_free(&subset);
  free(utility);
  free(weights);
  free(rows);
  return status;
}

const al_strategy al_strategy_margin_clustered = {
    .name = "margin-clustered",
    .family = "hybrid",
    .summary = "weighted k-means of the lowest margins, the item nearest each centre",
    .definition =
        "The 10 k lowest margins (`prefilter` k) are clustered on h by k-means with k clusters, weights 1 - margin\n"
        "(all 0: all 1): k-means++ start by weight x D^2, weighted means, at most 100 rounds. From each cluster,\n"
        "largest first, the member nearest the centre; a shortfall is filled with the items farthest from their own\n"
        "centre. Printed: minus the distance to the centre. Dense rows only: f stands in for a sparse h.",
    .citation = "Zhdanov 2019",
    .cost = "time O(|U| C + |U| log k) and O(prefilter k^2 D) a round of k-means, at most 100, of which exact bounds\n"
            "skip most; memory O(|U| + prefilter k D)",
    .params = margin_clustered_params,
    .needs = needs_of_margin_clustered,
    .select = select_margin_clustered,
};
