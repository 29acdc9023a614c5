/* expected-error-reduction: what the model would expect to get wrong on the pool, were the candidate labelled. */
#include "strategy/pointwise.h"

#include "base/memory.h"
#include "base/simd.h"
#include "base/vector_math.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const al_param params_of_eer[] = {
    {.key = "loss",
     .type = AL_PARAM_CHOICE,
     .fallback = "\"log\"",
     .choices = "log|zero-one",
     .help = "log: entropy of the predictions; zero-one: 1 - max p"},
    {.key = "candidates",
     .type = AL_PARAM_INT,
     .fallback = "0",
     .min = 0,
     .max = 1e9,
     .help = "items of U that are tried, seeded, never fewer than the batch (0: the larger of 50 and 5 k)"},
    {.key = "evaluate",
     .type = AL_PARAM_INT,
     .fallback = "1000",
     .min = 1,
     .max = 1e9,
     .help = "items of U, seeded, whose expected loss is measured"},
    {.key = "steps",
     .type = AL_PARAM_INT,
     .fallback = "10",
     .min = 1,
     .max = 1000,
     .help = "most steps of a refit, which starts from the fit on L"},
    {0}};

static unsigned needs_of_eer(const json_t *params) {
  (void)params;
  return AL_NEED_PROBS | AL_NEED_REFIT | AL_NEED_LABELLED;
}

/* p ln p of each, in place */
AL_SIMD static void entropy_terms(double *x, size_t n) {
  for (size_t i = 0; i < n; i++) x[i] *= al_log_f64(al_at_least_f64(x[i], 1e-300));
}

/* Mean expected loss of n predictions (n x C). room: n x C */
static double mean_loss(const float *probs, size_t n, size_t classes, bool zero_one, double *room) {
  double sum = 0.0;
  for (size_t i = 0; zero_one && i < n; i++) {
    float most = 0.0F;
    for (size_t c = 0; c < classes; c++) most = fmaxf(most, probs[i * classes + c]);
    sum += 1.0 - (double)most;
  }
  if (!zero_one) {
    for (size_t i = 0; i < n * classes; i++) room[i] = (double)probs[i];
    entropy_terms(room, n * classes);
    for (size_t i = 0; i < n * classes; i++) sum -= room[i];
  }
  return sum / (double)n;
}

/* `count` of the pool's positions, drawn without replacement. */
static al_status draw(const al_query *query, al_rng rng, size_t count, int32_t **out) {
  al_status status = AL_NEW(out, query->pool);
  if (status != AL_OK) return status;
  for (size_t i = 0; i < query->pool; i++) (*out)[i] = (int32_t)i;
  al_rng_sample(&rng, *out, query->pool, count);
  return AL_OK;
}

typedef struct {
  bool zero_one;
  unsigned steps;
  int32_t *evaluated;
  size_t evaluated_count;
  int32_t *classes; /* C, those that a candidate may have */
  float *probs;     /* C x evaluated x C */
  double *room;     /* evaluated x C */
} measure;

static al_status expected_loss(const al_query *query, const measure *m, int32_t pos, double *out) {
  const float *p = query->probs + (size_t)pos * query->classes;
  size_t possible = 0, width = m->evaluated_count * query->classes;
  double weight = 0.0, sum = 0.0;
  for (size_t c = 0; c < query->classes; c++)
    if (p[c] > 0.0F) m->classes[possible++] = (int32_t)c;
  al_status status = query->refit->fit_extra(query->refit->context, pos, m->classes, possible, m->steps, m->evaluated,
                                             m->evaluated_count, m->probs);
  if (status != AL_OK) return status;
  for (size_t i = 0; i < possible; i++) {
    double chance = (double)p[m->classes[i]];
    weight += chance;
    sum += chance * mean_loss(m->probs + i * width, m->evaluated_count, query->classes, m->zero_one, m->room);
  }
  *out = sum / weight;
  return AL_OK;
}

static al_status select_eer(const al_query *query, const json_t *params, al_picks *picks) {
  al_status status;
  size_t k = query->batch < query->pool ? query->batch : query->pool, classes = query->classes;
  size_t tried = (size_t)al_params_int(params, "candidates"), evaluated = (size_t)al_params_int(params, "evaluate");
  measure m = {.zero_one = strcmp(al_params_string(params, "loss"), "zero-one") == 0,
               .steps = (unsigned)al_params_int(params, "steps")};
  int32_t *candidates = NULL;
  double *utility = NULL, most = m.zero_one ? 1.0 : log((double)classes);
  if (tried == 0) tried = 5 * k < 50 ? 50 : 5 * k;
  tried = tried < k ? k : tried > query->pool ? query->pool : tried;
  m.evaluated_count = evaluated < query->pool ? evaluated : query->pool;
  AL_TRY(draw(query, al_rng_child(&query->rng, 0), tried, &candidates));
  AL_TRY(draw(query, al_rng_child(&query->rng, 1), m.evaluated_count, &m.evaluated));
  AL_TRY(AL_NEW(&m.classes, classes));
  AL_TRY(AL_NEW(&m.probs, classes * m.evaluated_count * classes));
  AL_TRY(AL_NEW(&m.room, m.evaluated_count * classes));
  AL_TRY(AL_NEW(&utility, query->pool));
  for (size_t pos = 0; pos < query->pool; pos++) utility[pos] = -1.0; /* not tried: below all that are */
  for (size_t i = 0; i < tried; i++) {
    double loss;
    AL_TRY(expected_loss(query, &m, candidates[i], &loss));
    utility[candidates[i]] = fmax(0.0, most - loss);
  }
  al_pick_highest(query, utility, picks);
done:
  free(candidates);
  free(utility);
  free(m.evaluated);
  free(m.classes);
  free(m.probs);
  free(m.room);
  return status;
}

const al_strategy al_strategy_expected_error_reduction = {
    .name = "expected-error-reduction",
    .family = "expected error",
    .summary = "the items that, once labelled, leave the least expected loss on the pool",
    .definition =
        "For each candidate x and class y alab's linear model is refitted on L with (x, y) added; lowest\n"
        "sum_y p(y|x) mean_u loss(u), the mean over `evaluate` items of U: loss log is the entropy of the refitted "
        "model's\n"
        "p(u), zero-one is 1 - max p(u). The utility is ln C (zero-one: 1) less that. A refit takes at most `steps` "
        "steps\n"
        "from the fit on L: conjugate gradients (Polak-Ribiere) on the sum of log losses + (l2 / 2) ||W||^2, "
        "preconditioned by\n"
        "(w sum [h,1][h,1]^T + l2 I)^-1 with w the mean p (1 - p) on L, each step to where the slope along the line is "
        "below\n"
        "a tenth of its start. Candidates and evaluated items are drawn anew each round; classes with p(y|x) = 0 are "
        "left out.",
    .citation = "Roy and McCallum 2001",
    .cost = "M candidates, E evaluated items, r = min(|L|, D), S steps: time O(M C^2 r (S |L| + E)), memory O(C^2 "
            "(|L| + E))",
    .params = params_of_eer,
    .needs = needs_of_eer,
    .select = select_eer,
};
