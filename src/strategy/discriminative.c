/* discriminative: picks what a classifier of U against L takes most surely for unlabelled, ten sub-batches a batch, so
 * that later picks differ from earlier ones. */
#include "strategy/discriminator.h"
#include "strategy/strategy.h"

#include "base/memory.h"
#include "base/topk.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SUB_BATCHES = 10 };

static const al_param params_of_discriminative[] = {
    {.key = "head",
     .type = AL_PARAM_CHOICE,
     .fallback = "\"linear\"",
     .choices = "linear|mlp",
     .help = "what tells U from L: logistic regression, or the paper's multilayer perceptron"},
    {.key = "epochs",
     .type = AL_PARAM_INT,
     .fallback = "1000",
     .min = 1,
     .max = 1e6,
     .help = "mlp: most passes over its training set; it stops earlier at 98 % accuracy"},
    {.key = "learning_rate",
     .type = AL_PARAM_REAL,
     .fallback = "0.0001",
     .min = 1e-8,
     .max = 1,
     .help = "mlp: Adam's step"},
    {0}};

static unsigned needs_of_discriminative(const json_t *params) {
  (void)params;
  return AL_NEED_EMBEDDINGS | AL_NEED_LABELLED | AL_NEED_DENSE;
}

/* The `wanted` highest scores among what is not picked, ties to the lower position. key: |U|, scratch */
static void take(const double *score, bool *picked, double *key, size_t n, size_t wanted, al_picks *picks) {
  int32_t *to = picks->pos + picks->count;
  for (size_t pos = 0; pos < n; pos++) key[pos] = picked[pos] ? -DBL_MAX : score[pos];
  al_top_k(key, n, wanted, to);
  for (size_t i = 0; i < wanted; i++) {
    picked[to[i]] = true;
    picks->scores[picks->count + i] = 1.0 / (1.0 + exp(-score[to[i]]));
  }
  picks->count += wanted;
}

static al_status select_discriminative(const al_query *query, const json_t *params, al_picks *picks) {
  al_status status;
  size_t n = query->pool, k = query->batch < n ? query->batch : n;
  bool mlp = strcmp(al_params_string(params, "head"), "mlp") == 0, *picked = NULL;
  double *score = NULL, *key = NULL;
  al_logistic *model = NULL;
  AL_TRY(AL_NEW(&picked, n));
  AL_TRY(AL_NEW(&score, n));
  AL_TRY(AL_NEW(&key, n));
  al_sides sides = {.pool = &query->h_pool, .labelled = &query->h_labelled, .picked = picked};
  if (!mlp) AL_TRY(al_logistic_new(&model, &sides));
  picks->count = 0;
  for (size_t sub = 1; sub <= SUB_BATCHES; sub++) {
    size_t end = k * sub / SUB_BATCHES;
    if (end == picks->count) continue;
    if (mlp)
      AL_TRY(al_perceptron_score(&sides, (size_t)al_params_int(params, "epochs"),
                                 al_params_real(params, "learning_rate"), al_rng_child(&query->rng, sub), score));
    else
      AL_TRY(al_logistic_fit(model, &sides, score));
    take(score, picked, key, n, end - picks->count, picks);
  }
done:
  al_logistic_free(model);
  free(picked);
  free(score);
  free(key);
  return status;
}

const al_strategy al_strategy_discriminative = {
    .name = "discriminative",
    .family = "adversarial",
    .summary = "items that a classifier of unlabelled against labelled is surest to be unlabelled",
    .definition =
        "Sub-batch i of 10 ends at floor(k i / 10). For each a classifier of U against L is fitted on h, the picks\n"
        "counting as L, and takes the items of the highest probability of being unlabelled. head linear: logistic\n"
        "regression (L2, C = 1, intercept free) on all of U and L. head mlp, as in the paper: three hidden layers of\n"
        "256 rectified units (20 where h has fewer than 30 columns), softmax, Adam, batches of 128, L and 10 |L|\n"
        "seeded items of U, until an epoch's training accuracy exceeds 98 %. The paper chooses from all of U and so\n"
        "does this; the authors' code chooses among the drawn items only, and changes its step, batch and sub-batches\n"
        "(10 or 20) with the data: the defaults here are its settings for 128 columns.",
    .citation = "Gissin and Shalev-Shwartz 2019",
    .cost = "linear: time O((|U| + |L|) D) a product, some ten to a hundred products a fit, memory O(|U| + |L| + D);\n"
            "mlp: time O(10 epochs 11 |L| (256 D + 256^2) + 10 |U| (256 D + 256^2)), memory O(|U| + 11 |L| D)",
    .params = params_of_discriminative,
    .needs = needs_of_discriminative,
    .select = select_discriminative,
};
