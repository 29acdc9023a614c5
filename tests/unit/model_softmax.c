/* al_softmax against a reference that shares nothing with it: damped Newton steps on the dense weights in double, with
 * the whole Hessian solved by Gaussian elimination. Small problems of every shape the model meets: wide, tall,
 * duplicates, one row, one class, absent classes, hardly and heavily penalised; dense and CSR. */
#include "model/softmax.h"

#include "base/memory.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST_ROWS = 64, MOST_COLS = 24, MOST_CLASSES = 6, MOST_UNKNOWNS = (MOST_COLS + 1) * MOST_CLASSES };

typedef struct {
  size_t n, d, classes;
  float x[MOST_ROWS * MOST_COLS]; /* n x d */
  int32_t y[MOST_ROWS];
  int64_t indptr[MOST_ROWS + 1]; /* the same rows as CSR */
  int32_t indices[MOST_ROWS * MOST_COLS];
  float values[MOST_ROWS * MOST_COLS];
} problem;

static void make(problem *q, uint32_t seed, size_t n, size_t d, size_t classes, double density) {
  al_stream_key key = {.seed = seed, .purpose = "test", .dataset = "softmax"};
  al_rng rng = al_rng_open(&key);
  *q = (problem){.n = n, .d = d, .classes = classes};
  for (size_t i = 0; i < n; i++) {
    q->y[i] = (int32_t)al_rng_below(&rng, classes);
    for (size_t j = 0; j < d; j++) {
      double value = al_rng_normal(&rng) + (j % classes == (size_t)q->y[i] ? 0.8 : 0.0);
      q->x[i * d + j] = al_rng_uniform(&rng) < density ? (float)value : 0.0F;
    }
  }
}

static void to_csr(problem *q) {
  int64_t at = 0;
  for (size_t i = 0; i < q->n; i++) {
    for (size_t j = 0; j < q->d; j++)
      if (q->x[i * q->d + j] != 0.0F) {
        q->indices[at] = (int32_t)j;
        q->values[at++] = q->x[i * q->d + j];
      }
    q->indptr[i + 1] = at;
  }
}

static al_view dense(const problem *q) { return al_view_dense(q->x, q->n, q->d); }
static al_view sparse(const problem *q) { return al_view_csr(q->indptr, q->indices, q->values, q->n, q->d); }

/* Objective at w ((d + 1) x p, intercept last); prob: n x p. */
static double objective(const problem *q, const int32_t *target, size_t p, const double *w, double l2, double *prob) {
  double sum = 0.0;
  for (size_t k = 0; k < q->d * p; k++) sum += 0.5 * l2 * w[k] * w[k];
  for (size_t i = 0; i < q->n; i++) {
    double most = -INFINITY, total = 0.0, *row = prob + i * p;
    for (size_t c = 0; c < p; c++) {
      row[c] = w[q->d * p + c];
      for (size_t j = 0; j < q->d; j++) row[c] += (double)q->x[i * q->d + j] * w[j * p + c];
      most = fmax(most, row[c]);
    }
    sum += most - row[target[i]];
    for (size_t c = 0; c < p; c++) total += row[c] = exp(row[c] - most);
    sum += log(total);
    for (size_t c = 0; c < p; c++) row[c] /= total;
  }
  return sum;
}

static void solve(double *h, double *g, size_t m) {
  for (size_t k = 0; k < m; k++) {
    size_t pivot = k;
    for (size_t i = k + 1; i < m; i++)
      if (fabs(h[i * m + k]) > fabs(h[pivot * m + k])) pivot = i;
    for (size_t j = 0; j < m; j++) {
      double keep = h[k * m + j];
      h[k * m + j] = h[pivot * m + j];
      h[pivot * m + j] = keep;
    }
    double keep = g[k];
    g[k] = g[pivot];
    g[pivot] = keep;
    for (size_t i = k + 1; i < m; i++) {
      double factor = h[i * m + k] / h[k * m + k];
      for (size_t j = k; j < m; j++) h[i * m + j] -= factor * h[k * m + j];
      g[i] -= factor * g[k];
    }
  }
  for (size_t k = m; k-- > 0;) {
    for (size_t j = k + 1; j < m; j++) g[k] -= h[k * m + j] * g[j];
    g[k] /= h[k * m + k];
  }
}

/* The reference: probabilities of the training rows (n x classes, absent classes 0) and the optimum. */
static double reference(const problem *q, double l2, double *probs) {
  static double h[MOST_UNKNOWNS * MOST_UNKNOWNS], prob[MOST_ROWS * MOST_CLASSES];
  double w[MOST_UNKNOWNS] = {0}, g[MOST_UNKNOWNS], next[MOST_UNKNOWNS];
  int32_t column[MOST_CLASSES], target[MOST_ROWS];
  size_t p = 0, d = q->d;
  for (size_t c = 0; c < q->classes; c++) {
    column[c] = -1;
    for (size_t i = 0; i < q->n; i++)
      if ((size_t)q->y[i] == c) column[c] = (int32_t)p;
    p += column[c] >= 0;
  }
  for (size_t i = 0; i < q->n; i++) target[i] = column[q->y[i]];
  size_t m = (d + 1) * p;
  double best = objective(q, target, p, w, l2, prob);
  for (int step = 0; step < 200; step++) {
    memset(h, 0, m * m * sizeof *h);
    memset(g, 0, sizeof g);
    for (size_t i = 0; i < q->n; i++)
      for (size_t j = 0; j <= d; j++) {
        double xj = j < d ? (double)q->x[i * d + j] : 1.0;
        for (size_t c = 0; c < p; c++) {
          double pc = prob[i * p + c];
          g[j * p + c] += xj * (pc - (target[i] == (int32_t)c));
          for (size_t k = 0; k <= d; k++) {
            double xk = k < d ? (double)q->x[i * d + k] : 1.0;
            for (size_t e = 0; e < p; e++)
              h[(j * p + c) * m + k * p + e] += xj * xk * (pc * (c == e) - pc * prob[i * p + e]);
          }
        }
      }
    for (size_t k = 0; k < m; k++) {
      if (k < d * p) g[k] += l2 * w[k];
      h[k * m + k] += k < d * p ? l2 : 1e-8; /* the intercepts' common shift changes nothing */
    }
    solve(h, g, m);
    double rate = 1.0, value = INFINITY;
    for (int halving = 0; halving < 40; halving++, rate *= 0.5) {
      for (size_t k = 0; k < m; k++) next[k] = w[k] - rate * g[k];
      value = objective(q, target, p, next, l2, prob);
      if (value <= best) break;
    }
    if (!(value < best)) break;
    best = value;
    memcpy(w, next, m * sizeof *w);
  }
  best = objective(q, target, p, w, l2, prob);
  for (size_t i = 0; i < q->n; i++)
    for (size_t c = 0; c < q->classes; c++)
      probs[i * q->classes + c] = column[c] < 0 ? 0.0 : prob[i * p + (size_t)column[c]];
  return best;
}

static void compare_view(const problem *q, const al_view *view, double l2, double optimum, const double *truth) {
  float probs[MOST_ROWS * MOST_CLASSES];
  const float *weights, *bias;
  al_softmax *model;
  assert_int_equal(al_softmax_fit(&model, view, q->y, q->classes, l2), AL_OK);
  assert_int_equal(al_softmax_predict(model, view, probs), AL_OK);
  assert_true(fabs(al_softmax_objective(model) - optimum) <= 1e-6 * (1.0 + optimum));
  for (size_t k = 0; k < q->n * q->classes; k++) assert_true(fabs((double)probs[k] - truth[k]) < 2e-5);
  /* W h + b gives the same probabilities */
  assert_int_equal(al_softmax_head(model, &weights, &bias), AL_OK);
  for (size_t i = 0; i < q->n; i++) {
    double score[MOST_CLASSES], most = -INFINITY, sum = 0.0;
    for (size_t c = 0; c < q->classes; c++) {
      score[c] = (double)bias[c];
      for (size_t j = 0; j < q->d; j++) score[c] += (double)weights[c * q->d + j] * (double)q->x[i * q->d + j];
      most = fmax(most, score[c]);
    }
    for (size_t c = 0; c < q->classes; c++) sum += exp(score[c] - most);
    for (size_t c = 0; c < q->classes; c++)
      assert_true(fabs(exp(score[c] - most) / sum - (double)probs[i * q->classes + c]) < 1e-5);
  }
  al_softmax_free(model);
}

static void compare(problem *q, double l2) {
  static double truth[MOST_ROWS * MOST_CLASSES];
  double optimum = reference(q, l2, truth);
  to_csr(q);
  al_view views[2] = {dense(q), sparse(q)};
  for (size_t v = 0; v < 2; v++) compare_view(q, &views[v], l2, optimum, truth);
}

static void wide_and_tall(void **state) {
  (void)state;
  static problem q;
  double penalties[] = {1e-3, 0.1, 1.0, 137.0};
  for (size_t k = 0; k < 4; k++) {
    make(&q, 1, 17, 23, 4, 0.3); /* n < D */
    compare(&q, penalties[k]);
    make(&q, 2, 61, 5, 5, 1.0); /* n > D */
    compare(&q, penalties[k]);
    make(&q, 3, 40, 7, 2, 0.6); /* two classes */
    compare(&q, penalties[k]);
  }
}

static void duplicates_and_empty_rows(void **state) {
  (void)state;
  static problem q;
  make(&q, 4, 30, 20, 3, 0.4);
  for (size_t i = 10; i < 20; i++) memcpy(q.x + i * q.d, q.x + (i - 10) * q.d, q.d * sizeof *q.x);
  for (size_t i = 10; i < 15; i++) q.y[i] = q.y[i - 10]; /* the rest may contradict each other */
  memset(q.x + 29 * q.d, 0, q.d * sizeof *q.x);
  compare(&q, 0.1);
  compare(&q, 1e-3);
}

static void large_features(void **state) {
  (void)state;
  static problem q;
  make(&q, 5, 50, 8, 3, 1.0);
  for (size_t k = 0; k < q.n * q.d; k++) q.x[k] = q.x[k] * 30.0F + 100.0F; /* far from centred, as pixels are */
  compare(&q, 1.0);
  make(&q, 6, 14, 22, 3, 1.0);
  for (size_t k = 0; k < q.n * q.d; k++) q.x[k] = q.x[k] * 30.0F + 100.0F;
  compare(&q, 1.0);
}

static void absent_class(void **state) {
  (void)state;
  static problem q;
  make(&q, 7, 25, 10, 6, 0.7);
  for (size_t i = 0; i < q.n; i++)
    if (q.y[i] == 0 || q.y[i] == 4) q.y[i] = 2;
  compare(&q, 0.3);
}

static void one_class_and_one_row(void **state) {
  (void)state;
  static problem q;
  for (size_t n = 1; n <= 9; n += 8) {
    make(&q, 8, n, 6, 4, 1.0);
    for (size_t i = 0; i < n; i++) q.y[i] = 3;
    to_csr(&q);
    al_view views[2] = {dense(&q), sparse(&q)};
    for (size_t v = 0; v < 2; v++) {
      float probs[MOST_ROWS * MOST_CLASSES];
      al_softmax *model;
      assert_int_equal(al_softmax_fit(&model, &views[v], q.y, 4, 1.0), AL_OK);
      assert_int_equal(al_softmax_predict(model, &views[v], probs), AL_OK);
      for (size_t k = 0; k < n * 4; k++) assert_float_equal(probs[k], (k % 4 == 3 ? 1.0F : 0.0F), 0.0F);
      al_softmax_free(model);
    }
  }
}

/* A Gram matrix grown in two steps is the fresh one, bit for bit. */
static void grown_gram(void **state) {
  (void)state;
  static problem q;
  static double fresh[MOST_ROWS * MOST_ROWS], grown[MOST_ROWS * MOST_ROWS], scratch[MOST_COLS];
  make(&q, 9, 60, 24, 3, 0.4);
  to_csr(&q);
  al_view views[2] = {dense(&q), sparse(&q)};
  for (size_t v = 0; v < 2; v++) {
    memset(grown, 0, sizeof grown);
    al_gram_extend(fresh, MOST_ROWS, &views[v], 0, 60, scratch);
    al_gram_extend(grown, MOST_ROWS, &views[v], 0, 23, scratch);
    al_gram_extend(grown, MOST_ROWS, &views[v], 23, 60, scratch);
    for (size_t i = 0; i < 60; i++) {
      assert_memory_equal(fresh + i * MOST_ROWS, grown + i * MOST_ROWS, 60 * sizeof *fresh);
      for (size_t j = 0; j < 60; j++) {
        double sum = 0.0;
        for (size_t c = 0; c < 24; c++) sum += (double)q.x[i * 24 + c] * (double)q.x[j * 24 + c];
        assert_true(fabs(sum - fresh[i * MOST_ROWS + j]) < 1e-12 * 100.0);
      }
    }
  }
}

/* Class by class, round-robin, the counter running on: classes 0 0 0 get folds 0 1 2, class 1 goes on with 3. */
static void folds_are_dealt(void **state) {
  (void)state;
  const int32_t classes[9] = {1, 0, 2, 0, 1, 0, 2, 2, 1};
  const uint8_t expected[9] = {3, 0, 1, 1, 4, 2, 2, 3, 0};
  uint8_t fold_of[9];
  al_deal_folds(classes, 9, 3, 5, fold_of);
  assert_memory_equal(fold_of, expected, sizeof expected);
}

/* Each held-out row's probabilities are those of the reference fitted without its fold. */
static void folds_are_held_out(void **state) {
  (void)state;
  static problem q, part;
  make(&q, 10, 41, 12, 4, 0.6);
  q.y[0] = 3;
  for (size_t i = 1; i < q.n; i++) q.y[i] %= 3; /* class 3 is absent where row 0 is held out */
  uint8_t fold_of[MOST_ROWS];
  float probs[MOST_ROWS * MOST_CLASSES], alone[MOST_ROWS * MOST_CLASSES];
  al_deal_folds(q.y, q.n, 4, 5, fold_of);
  to_csr(&q);
  al_view views[2] = {dense(&q), sparse(&q)};
  for (size_t v = 0; v < 2; v++) {
    assert_int_equal(al_softmax_cross_validate(&views[v], q.y, 4, 0.2, fold_of, 5, probs), AL_OK);
    for (unsigned fold = 0; fold < 5; fold++) {
      part = (problem){.d = q.d, .classes = 4};
      for (size_t i = 0; i < q.n; i++)
        if (fold_of[i] != fold) {
          part.y[part.n] = q.y[i];
          memcpy(part.x + part.n++ * q.d, q.x + i * q.d, q.d * sizeof *q.x);
        }
      al_softmax *model;
      al_view rest = dense(&part);
      assert_int_equal(al_softmax_fit(&model, &rest, part.y, 4, 0.2), AL_OK);
      assert_int_equal(al_softmax_predict(model, &views[v], alone), AL_OK);
      for (size_t i = 0; i < q.n; i++)
        for (size_t c = 0; fold_of[i] == fold && c < 4; c++) {
          assert_true(fabsf(alone[i * 4 + c] - probs[i * 4 + c]) < 2e-5F);
          if (i == 0 && c == 3) assert_true(probs[c] == 0.0F);
        }
      al_softmax_free(model);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(wide_and_tall),   cmocka_unit_test(duplicates_and_empty_rows), cmocka_unit_test(large_features),
      cmocka_unit_test(absent_class),    cmocka_unit_test(one_class_and_one_row),     cmocka_unit_test(grown_gram),
      cmocka_unit_test(folds_are_dealt), cmocka_unit_test(folds_are_held_out),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
