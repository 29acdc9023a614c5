/* density: entropy weighed by how much an item is like the pool. The mean cosine to all of U is one product with the
 * sum of U's unit rows, so the N x N similarities are never formed. */
#include "strategy/pointwise.h"
#include "strategy/row_products.h"

#include "base/memory.h"

#include <math.h>
#include <stdlib.h>

static const al_param params_of_density[] = {{.key = "beta",
                                              .type = AL_PARAM_REAL,
                                              .fallback = "1",
                                              .min = 0,
                                              .max = 1e3,
                                              .help = "exponent of the density; 0 is entropy alone"},
                                             {0}};

static unsigned needs_of_density(const json_t *params) {
  (void)params;
  return AL_NEED_PROBS | AL_NEED_EMBEDDINGS;
}

/* density[pos] = mean over u in U of (1 + cos(pos, u)) / 2. sum: D, zero on entry. */
static void densities(const al_view *h, double *sum, double *density) {
  for (size_t pos = 0; pos < h->rows; pos++) {
    double squared = al_row_squared_norm(h, pos);
    density[pos] = squared > 0.0 ? 1.0 / sqrt(squared) : 0.0; /* a row of zeros has cosine 0 */
    al_row_add(h, pos, density[pos], sum);
  }
  for (size_t pos = 0; pos < h->rows; pos++) {
    double mean_cosine = density[pos] * al_row_dot(h, pos, sum) / (double)h->rows;
    density[pos] = fmax(0.0, (1.0 + mean_cosine) / 2.0);
  }
}

static al_status select_density(const al_query *query, const json_t *params, al_picks *picks) {
  al_status status;
  double beta = al_params_real(params, "beta");
  double *sum = NULL, *utility = NULL;
  AL_TRY(AL_NEW(&sum, query->h_pool.cols));
  AL_TRY(AL_NEW(&utility, query->pool));
  densities(&query->h_pool, sum, utility);
  for (size_t pos = 0; pos < query->pool; pos++) {
    double weight = beta == 1.0 ? utility[pos] : pow(utility[pos], beta);
    utility[pos] = weight * al_entropy(query->probs + pos * query->classes, query->classes);
  }
  al_pick_highest(query, utility, picks);
done:
  free(sum);
  free(utility);
  return status;
}

const al_strategy al_strategy_density = {
    .name = "density",
    .family = "hybrid",
    .summary = "information density: entropy weighed by the mean similarity to the pool",
    .definition =
        "Highest entropy(x) (mean over u in U of (1 + cos(h(x), h(u))) / 2)^beta, x itself included; a row of zeros\n"
        "has cosine 0. The paper leaves the similarity open and uses the cosine of sparse counts, which is never\n"
        "negative; embeddings can point apart, so here it is shifted to stay >= 0. Similar items count more, never\n"
        "less: outliers are passed over.",
    .citation = "Settles and Craven 2008, section 3.4",
    .cost = "time O(|U| (C + D)) (CSR: non-zeros in place of D), memory O(|U| + D); no pairwise similarities",
    .params = params_of_density,
    .needs = needs_of_density,
    .select = select_density,
};
