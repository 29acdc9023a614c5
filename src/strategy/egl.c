/* egl: expected gradient length of the last layer, in closed form. */
#include "strategy/pointwise.h"

#include "base/memory.h"

#include <math.h>
#include <stdlib.h>

static unsigned needs_egl(const json_t *params) {
  (void)params;
  return AL_NEED_PROBS | AL_NEED_EMBEDDINGS;
}

/* sum_y p_y |p - e_y|. The square is (1 - p_y)^2 + sum of the others' squares, which keeps its digits near a sure p. */
static double expected_residual(const float *p, size_t classes) {
  double squares = 0.0, sum = 0.0;
  for (size_t c = 0; c < classes; c++) squares += (double)p[c] * (double)p[c];
  for (size_t y = 0; y < classes; y++) {
    double py = (double)p[y], others = 0.0;
    if (py == 0.0) continue;
    if (py > 0.5) /* squares - py^2 would cancel */
      for (size_t c = 0; c < classes; c++) others += c == y ? 0.0 : (double)p[c] * (double)p[c];
    else
      others = squares - py * py;
    sum += py * sqrt((1.0 - py) * (1.0 - py) + fmax(0.0, others));
  }
  return sum;
}

static al_status select_egl(const al_query *query, const json_t *params, al_picks *picks) {
  (void)params;
  double *utility = NULL;
  al_status status = AL_NEW(&utility, query->pool);
  if (status != AL_OK) return status;
  al_view_squared_norms(&query->h_pool, utility);
  for (size_t pos = 0; pos < query->pool; pos++)
    utility[pos] = expected_residual(query->probs + pos * query->classes, query->classes) * sqrt(utility[pos] + 1.0);
  al_pick_highest(query, utility, picks);
  free(utility);
  return status;
}

const al_strategy al_strategy_egl = {
    .name = "egl",
    .family = "gradient",
    .summary = "expected length of the last layer's gradient, over the labels that the model holds possible",
    .definition =
        "Highest sum_y p_y ||p - e_y|| ||[h, 1]||: the Euclidean norm of the cross-entropy's gradient in the\n"
        "last layer's weights and bias, in expectation over the model's own label.",
    .citation = "Settles, Craven and Ray 2008",
    .cost = "time O(|U| (C + D)), memory O(|U|)",
    .params = al_no_params,
    .needs = needs_egl,
    .select = select_egl,
};
