/* expected-error-reduction on alab's own refits (model/refit.h): at convergence the scores are those of an independent
 * fit of L and the item together, candidate by candidate and class by class; after the ten steps of the default they
 * are nearly those. Dense and sparse, more rows than columns and fewer, a class that L does not have. */
#include "base/memory.h"
#include "base/params.h"
#include "base/rng.h"
#include "model/model.h"
#include "model/refit.h"
#include "strategy/strategy.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { POOL = 14, MOST_L = 40, MOST_D = 30, MOST_C = 4 };

typedef struct {
  size_t n, d, c;
  float l[(MOST_L + 1) * MOST_D], u[POOL * MOST_D], probs[POOL * MOST_C];
  int32_t labels[MOST_L + 1];
  int64_t begin_l[MOST_L + 1], begin_u[POOL + 1];
  int32_t index_l[MOST_L * MOST_D], index_u[POOL * MOST_D];
  float value_l[MOST_L * MOST_D], value_u[POOL * MOST_D];
} problem;

static void to_csr(const float *x, size_t rows, size_t d, int64_t *begin, int32_t *index, float *value) {
  int64_t at = 0;
  begin[0] = 0;
  for (size_t i = 0; i < rows; i++) {
    for (size_t j = 0; j < d; j++)
      if (x[i * d + j] != 0.0F) {
        index[at] = (int32_t)j;
        value[at++] = x[i * d + j];
      }
    begin[i + 1] = at;
  }
}

/* What Roy and McCallum's sum is when every refit is a fit of its own. */
static double expected_loss(problem *x, size_t pos, bool zero_one) {
  double loss = 0.0, weight = 0.0;
  al_view pool = al_view_dense(x->u, POOL, x->d), all = al_view_dense(x->l, x->n + 1, x->d);
  memcpy(x->l + x->n * x->d, x->u + pos * x->d, x->d * sizeof(float));
  for (size_t y = 0; y < x->c; y++) {
    al_softmax *model = NULL;
    float probs[POOL * MOST_C];
    double of_y = 0.0, p = (double)x->probs[pos * x->c + y];
    x->labels[x->n] = (int32_t)y;
    assert_int_equal(al_softmax_fit(&model, &all, x->labels, x->c, 0.8), AL_OK);
    assert_int_equal(al_softmax_predict(model, &pool, probs), AL_OK);
    for (size_t i = 0; i < POOL; i++) {
      double entropy = 0.0, most = 0.0;
      for (size_t c = 0; c < x->c; c++) {
        double q = (double)probs[i * x->c + c];
        if (q > 0.0) entropy -= q * log(q);
        most = fmax(most, q);
      }
      of_y += (zero_one ? 1.0 - most : entropy) / POOL;
    }
    loss += p * of_y;
    weight += p;
    al_softmax_free(model);
  }
  return loss / weight;
}

static void select_with(const problem *x, bool csr, const char *options, int32_t *pos, double *scores) {
  al_view labelled =
      csr ? al_view_csr(x->begin_l, x->index_l, x->value_l, x->n, x->d) : al_view_dense(x->l, x->n, x->d);
  al_view pool = csr ? al_view_csr(x->begin_u, x->index_u, x->value_u, POOL, x->d) : al_view_dense(x->u, POOL, x->d);
  al_refitter *refitter = NULL;
  json_t *given = json_loads(options, 0, NULL), *params = NULL;
  const al_strategy *strategy = al_strategy_find("expected-error-reduction");
  al_picks picks = {.pos = pos, .scores = scores};
  assert_int_equal(al_refitter_new(&refitter, &labelled, x->labels, x->c, &pool, 0.8), AL_OK);
  al_query query = {.pool = POOL,
                    .labelled = x->n,
                    .classes = x->c,
                    .batch = POOL,
                    .probs = x->probs,
                    .h_pool = pool,
                    .h_labelled = labelled,
                    .labels = x->labels,
                    .refit = al_refitter_callbacks(refitter)};
  assert_int_equal(al_params_resolve(&params, strategy->params, given, "test"), AL_OK);
  assert_int_equal(al_strategy_select(strategy, &query, params, &picks), AL_OK);
  assert_int_equal(picks.count, POOL);
  json_decref(given);
  json_decref(params);
  al_refitter_free(refitter);
}

static void against_independent_fits(void **state) {
  (void)state;
  for (unsigned which = 0; which < 8; which++) {
    static problem x;
    memset(&x, 0, sizeof x);
    al_rng rng = al_rng_open(&(al_stream_key){.seed = which, .purpose = "test", .dataset = "eer"});
    bool csr = which % 2 == 1, zero_one = which % 4 >= 2;
    x.n = which < 4 ? 12 : MOST_L;
    x.d = which < 4 ? MOST_D : 7;
    x.c = MOST_C;
    size_t known = which % 3 == 0 ? MOST_C : MOST_C - 1; /* or a class that no label has */
    for (size_t i = 0; i < x.n; i++) {
      x.labels[i] = (int32_t)(i % known);
      for (size_t j = 0; j < x.d; j++)
        x.l[i * x.d + j] =
            al_rng_below(&rng, 3) == 0 ? 0.0F : (float)(al_rng_normal(&rng) + (j == i % known ? 1.5 : 0.0));
    }
    for (size_t i = 0; i < POOL; i++) {
      double sum = 0.0, raw[MOST_C];
      for (size_t j = 0; j < x.d; j++)
        x.u[i * x.d + j] = al_rng_below(&rng, 3) == 0 ? 0.0F : (float)(1.3 * al_rng_normal(&rng));
      for (size_t c = 0; c < x.c; c++) sum += raw[c] = exp(al_rng_normal(&rng));
      for (size_t c = 0; c < x.c; c++) x.probs[i * x.c + c] = (float)(raw[c] / sum);
    }
    to_csr(x.l, x.n, x.d, x.begin_l, x.index_l, x.value_l);
    to_csr(x.u, POOL, x.d, x.begin_u, x.index_u, x.value_u);
    int32_t pos[POOL];
    double scores[POOL], wanted[POOL], low = INFINITY, high = 0.0, most = zero_one ? 1.0 : log((double)MOST_C);
    for (size_t i = 0; i < POOL; i++) {
      wanted[i] = most - expected_loss(&x, i, zero_one);
      low = fmin(low, wanted[i]);
      high = fmax(high, wanted[i]);
    }
    const char *loss = zero_one ? "zero-one" : "log";
    char options[80];
    snprintf(options, sizeof options, "{\"loss\": \"%s\", \"steps\": 300}", loss);
    select_with(&x, csr, options, pos, scores);
    for (size_t i = 0; i < POOL; i++) {
      assert_float_equal(scores[i], wanted[pos[i]], 1e-5);
      if (i != 0) assert_true(wanted[pos[i]] <= wanted[pos[i - 1]] + 1e-5);
    }
    snprintf(options, sizeof options, "{\"loss\": \"%s\"}", loss);
    select_with(&x, csr, options, pos, scores);
    for (size_t i = 0; i < POOL; i++) assert_float_equal(scores[i], wanted[pos[i]], 0.02 * (high - low));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(against_independent_fits)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
