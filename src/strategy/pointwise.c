/* Strategies that score each item by itself: random, entropy, least-confidence, margin, oracle-error. */
#include "strategy/pointwise.h"

#include "base/memory.h"
#include "base/simd.h"
#include "base/topk.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const al_param al_no_params[] = {{0}};

void al_pick_highest(const al_query *query, const double *utility, al_picks *picks) {
  size_t k = query->batch < query->pool ? query->batch : query->pool;
  al_top_k(utility, query->pool, k, picks->pos);
  for (size_t i = 0; i < k; i++) picks->scores[i] = utility[picks->pos[i]];
  picks->count = k;
}

/* A score function over |U| x C, then the top k. */
static al_status pick_by(const al_query *query, al_picks *picks, void (*score)(const al_query *, double *)) {
  double *utility = NULL;
  al_status status = AL_NEW(&utility, query->pool);
  if (status != AL_OK) return status;
  score(query, utility);
  al_pick_highest(query, utility, picks);
  free(utility);
  return AL_OK;
}

/* ---- random ---- */

static unsigned needs_nothing(const json_t *params) {
  (void)params;
  return 0;
}

static al_status select_random(const al_query *query, const json_t *params, al_picks *picks) {
  (void)params;
  size_t k = query->batch < query->pool ? query->batch : query->pool;
  int32_t *items = NULL;
  al_rng rng = query->rng;
  al_status status = AL_NEW(&items, query->pool);
  if (status != AL_OK) return status;
  for (size_t i = 0; i < query->pool; i++) items[i] = (int32_t)i;
  al_rng_sample(&rng, items, query->pool, k);
  memcpy(picks->pos, items, k * sizeof *items);
  free(items);
  picks->count = k;
  picks->scored = false;
  return AL_OK;
}

const al_strategy al_strategy_random = {
    .name = "random",
    .family = "baseline",
    .summary = "uniform without replacement: what every other strategy must beat",
    .definition = "k items of U drawn uniformly without replacement.",
    .citation = "",
    .cost = "time and memory O(|U|)",
    .multi = true,
    .params = al_no_params,
    .needs = needs_nothing,
    .select = select_random,
};

/* ---- probabilities ---- */

static unsigned needs_probs(const json_t *params) {
  (void)params;
  return AL_NEED_PROBS;
}

/* terms[l] = -x ln x of x = probs[l], sixteen at a time; 0 log 0 = 0, and x log x is nothing near 0. ln x for x in
 * [1e-38, 2], relative error of x ln x below 3e-7: exponent apart, atanh series of the mantissa. libm's logf does not
 * vectorise. */
static inline void sixteen_terms(const float *probs, float *terms) {
  const al_int16 root = (al_int16){0} + 0x3F3504F3; /* sqrt(1/2) */
  const al_float16 tiny = (al_float16){0.0F} + 1e-30F;
  al_float16 x = *(const al_float16 *)probs;
  al_int16 large = x > tiny, bits = ((al_int16)x & large) | ((al_int16)tiny & ~large);
  al_int16 exponent = (bits - root) >> 23;
  al_float16 m = (al_float16)(bits - (al_int16)((al_unsigned16)exponent << 23)), s = (m - 1.0F) / (m + 1.0F), z = s * s;
  al_float16 series = s * (2.0F + z * (0.666666687F + z * (0.400000006F + z * (0.285714F + z * 0.2222222F))));
  *(al_float16 *)terms = -(al_float16)bits * (__builtin_convertvector(exponent, al_float16) * 0.693147181F + series);
}

/* n values, whatever rows they are of. */
static inline void terms_of(const float *probs, size_t n, float *terms) {
  size_t i = 0;
  for (; i + AL_LANES <= n; i += AL_LANES) sixteen_terms(probs + i, terms + i);
  float rest[AL_LANES] = {0}, last[AL_LANES];
  for (size_t l = 0; l < n - i; l++) rest[l] = probs[i + l];
  sixteen_terms(rest, last);
  for (size_t l = 0; l < n - i; l++) terms[i + l] = last[l];
}

/* TERMS at a time: whole rows, or pieces of a row that is longer. */
AL_SIMD static void entropy_rows(const float *restrict probs, size_t rows, size_t classes, double *restrict out) {
  enum { TERMS = 1024 };
  float terms[TERMS] = {0};
  size_t together = classes > TERMS ? 1 : TERMS / classes;
  for (size_t first = 0; first < rows; first += together) {
    size_t last = rows - first < together ? rows : first + together;
    const float *p = probs + first * classes;
    if (classes > TERMS) {
      double sum = 0.0;
      for (size_t c = 0; c < classes; c += TERMS) {
        size_t n = classes - c < TERMS ? classes - c : TERMS;
        terms_of(p + c, n, terms);
        sum += (double)al_sum(terms, n);
      }
      out[first] = sum > 0.0 ? sum : 0.0;
      continue;
    }
    terms_of(p, (last - first) * classes, terms);
    for (size_t i = first; i < last; i++) {
      double sum = (double)al_sum(terms + (i - first) * classes, classes);
      out[i] = sum > 0.0 ? sum : 0.0;
    }
  }
}

double al_entropy(const float *p, size_t classes) {
  double sum = 0.0, whole = 0.0;
  for (size_t c = 0; c < classes; c++) {
    if (p[c] > 0.0F) sum -= (double)p[c] * log((double)p[c]);
    whole += (double)p[c];
  }
  if (fabs(whole - 1.0) < 1e-6) sum = log(whole) + sum / whole;
  return sum > 0.0 ? sum : 0.0;
}

/* Near its top entropy is flat: at two classes a margin of 1e-4 moves it by 5e-9, less than float32 resolves and less
 * than what the rounding of the row's sum moves it by. So those that float32 cannot tell from the k-th best are told
 * apart in doubles, with that rounding taken out. */
static al_status select_entropy(const al_query *query, const json_t *params, al_picks *picks) {
  (void)params;
  size_t n = query->pool, classes = query->classes, k = query->batch < n ? query->batch : n;
  double *utility = NULL;
  al_status status = AL_NEW(&utility, n);
  if (status != AL_OK) return status;
  entropy_rows(query->probs, n, classes, utility);
  al_top_k(utility, n, k, picks->pos);
  double error = 3e-6 * (1.0 + log((double)classes)), least = k == 0 ? INFINITY : utility[picks->pos[k - 1]];
  for (size_t i = 0; i < n; i++)
    if (utility[i] >= least - 2.0 * error) utility[i] = al_entropy(query->probs + i * classes, classes);
  al_pick_highest(query, utility, picks);
  free(utility);
  return status;
}

const al_strategy al_strategy_entropy = {
    .name = "entropy",
    .family = "uncertainty",
    .summary = "highest entropy of the predicted class distribution",
    .definition = "Highest -sum_c p_c ln p_c with 0 ln 0 = 0 (nats); a sum that float32 rounded is taken for 1.",
    .citation = "Shannon 1948; Settles 2009, section 3.1",
    .cost = "time O(|U| C), memory O(|U|)",
    .params = al_no_params,
    .needs = needs_probs,
    .select = select_entropy,
};

void al_least_confidence(const al_query *query, double *out) {
  for (size_t i = 0; i < query->pool; i++) {
    float most = 0.0F;
    for (size_t c = 0; c < query->classes; c++) most = fmaxf(most, query->probs[i * query->classes + c]);
    out[i] = fmax(0.0, 1.0 - (double)most);
  }
}

static al_status select_least_confidence(const al_query *query, const json_t *params, al_picks *picks) {
  (void)params;
  return pick_by(query, picks, al_least_confidence);
}

const al_strategy al_strategy_least_confidence = {
    .name = "least-confidence",
    .family = "uncertainty",
    .summary = "lowest probability of the predicted class",
    .definition = "Highest 1 - max_c p_c.",
    .citation = "Lewis and Gale 1994; Culotta and McCallum 2005",
    .cost = "time O(|U| C), memory O(|U|)",
    .params = al_no_params,
    .needs = needs_probs,
    .select = select_least_confidence,
};

void al_margin_utility(const al_query *query, double *out) {
  for (size_t i = 0; i < query->pool; i++) {
    const float *p = query->probs + i * query->classes;
    float first = p[0], second = 0.0F; /* with one class the second is 0 */
    for (size_t c = 1; c < query->classes; c++) {
      if (p[c] > first) {
        second = first;
        first = p[c];
      } else if (p[c] > second) {
        second = p[c];
      }
    }
    out[i] = fmax(0.0, 1.0 - ((double)first - (double)second));
  }
}

static al_status select_margin(const al_query *query, const json_t *params, al_picks *picks) {
  (void)params;
  return pick_by(query, picks, al_margin_utility);
}

const al_strategy al_strategy_margin = {
    .name = "margin",
    .family = "uncertainty",
    .summary = "smallest difference between the two most probable classes (breaking ties)",
    .definition = "Lowest p_(1) - p_(2); the printed utility is 1 minus it.",
    .citation = "Scheffer, Decomain and Wrobel 2001",
    .cost = "time O(|U| C), memory O(|U|)",
    .params = al_no_params,
    .needs = needs_probs,
    .select = select_margin,
};

/* ---- the article's E(U), which no real annotator could offer ---- */

static unsigned needs_oracle(const json_t *params) {
  (void)params;
  return AL_NEED_PROBS | AL_NEED_ORACLE;
}

static void oracle_error(const al_query *query, double *out) {
  for (size_t i = 0; i < query->pool; i++)
    out[i] = fmax(0.0, 1.0 - (double)query->probs[i * query->classes + (size_t)query->truth[i]]);
}

static al_status select_oracle_error(const al_query *query, const json_t *params, al_picks *picks) {
  (void)params;
  for (size_t i = 0; i < query->pool; i++)
    if (query->truth[i] < 0 || (size_t)query->truth[i] >= query->classes)
      return al_fail(AL_BAD_INPUT, "true labels: item %zu is %d, outside 0 to %zu", i, query->truth[i],
                     query->classes - 1);
  return pick_by(query, picks, oracle_error);
}

const al_strategy al_strategy_oracle_error = {
    .name = "oracle-error",
    .family = "upper bound",
    .summary = "UPPER-BOUND REFERENCE, sees the labels: lowest probability of the true class",
    .definition =
        "Highest 1 - p_y with y the true class. Not available in practice: it reads the answers before asking.",
    .citation = "the literal E(U) of the founding article",
    .cost = "time O(|U|), memory O(|U|)",
    .params = al_no_params,
    .needs = needs_oracle,
    .select = select_oracle_error,
};
