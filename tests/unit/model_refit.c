/* Refits with one more item (model/refit.h): step by step against the same conjugate gradients written naively on the
 * weights, with the preconditioner inverted entry by entry; and at convergence against an independent fit of L and the
 * item together. In the span of the rows and on the weights, dense and sparse, with classes that L does not have. */
#include "model/refit.h"

#include "base/memory.h"
#include "base/rng.h"
#include "model/model.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { POOL = 9, MOST_N = 60, MOST_D = 24, MOST_C = 5, MOST_SIZE = MOST_D + 1 };

typedef struct {
  size_t n, d, c;
  float l[MOST_N * MOST_D], u[POOL * MOST_D];
  int32_t labels[MOST_N];
  int64_t begin_l[MOST_N + 1], begin_u[POOL + 1];
  int32_t index_l[MOST_N * MOST_D], index_u[POOL * MOST_D];
  float value_l[MOST_N * MOST_D], value_u[POOL * MOST_D];
  al_view labelled, pool;
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

/* classes: labels are below it, and so are fewer than c where `fewer` */
static void make(problem *x, size_t n, size_t d, size_t c, size_t with_labels, bool csr, double offset, uint32_t seed) {
  al_rng rng = al_rng_open(&(al_stream_key){.seed = seed, .purpose = "test", .dataset = "refit"});
  memset(x, 0, sizeof *x);
  x->n = n;
  x->d = d;
  x->c = c;
  for (size_t i = 0; i < n; i++) {
    x->labels[i] = (int32_t)(i < with_labels ? i : al_rng_below(&rng, with_labels));
    for (size_t j = 0; j < d; j++) {
      double v = al_rng_normal(&rng) + offset + (j == (size_t)x->labels[i] ? 1.7 : 0.0);
      x->l[i * d + j] = csr && al_rng_below(&rng, 2) == 0 ? 0.0F : (float)v;
    }
  }
  for (size_t i = 0; i < POOL; i++)
    for (size_t j = 0; j < d; j++)
      x->u[i * d + j] = csr && al_rng_below(&rng, 2) == 0 ? 0.0F : (float)(al_rng_normal(&rng) + offset);
  to_csr(x->l, n, d, x->begin_l, x->index_l, x->value_l);
  to_csr(x->u, POOL, d, x->begin_u, x->index_u, x->value_u);
  x->labelled = csr ? al_view_csr(x->begin_l, x->index_l, x->value_l, n, d) : al_view_dense(x->l, n, d);
  x->pool = csr ? al_view_csr(x->begin_u, x->index_u, x->value_u, POOL, d) : al_view_dense(x->u, POOL, d);
}

/* ---- the reference, on W and b: (d + 1) x p, the intercept last ---- */

typedef struct {
  size_t rows, d, p;
  double x[MOST_N + 1][MOST_SIZE]; /* [h, 1]; the added item last */
  size_t target[MOST_N + 1];
  double l2;
} reference;

static void probabilities(const reference *r, const double w[MOST_SIZE][MOST_C], const double *row, double *out) {
  double sum = 0.0;
  for (size_t c = 0; c < r->p; c++) {
    double score = 0.0;
    for (size_t j = 0; j <= r->d; j++) score += row[j] * w[j][c];
    sum += out[c] = exp(score);
  }
  for (size_t c = 0; c < r->p; c++) out[c] /= sum;
}

static void gradient(const reference *r, const double w[MOST_SIZE][MOST_C], double g[MOST_SIZE][MOST_C]) {
  for (size_t j = 0; j <= r->d; j++)
    for (size_t c = 0; c < r->p; c++) g[j][c] = j < r->d ? r->l2 * w[j][c] : 0.0;
  for (size_t i = 0; i < r->rows; i++) {
    double p[MOST_C];
    probabilities(r, w, r->x[i], p);
    for (size_t j = 0; j <= r->d; j++)
      for (size_t c = 0; c < r->p; c++) g[j][c] += (p[c] - (c == r->target[i] ? 1.0 : 0.0)) * r->x[i][j];
  }
}

static double product(const reference *r, const double a[MOST_SIZE][MOST_C], const double b[MOST_SIZE][MOST_C]) {
  double sum = 0.0;
  for (size_t j = 0; j <= r->d; j++)
    for (size_t c = 0; c < r->p; c++) sum += a[j][c] * b[j][c];
  return sum;
}

/* z = (w sum [h,1][h,1]^T + l2 I)^-1 g by Gauss-Jordan; the intercept has no penalty. */
static void precondition(const reference *r, double curvature, const double g[MOST_SIZE][MOST_C],
                         double z[MOST_SIZE][MOST_C]) {
  double m[MOST_SIZE][MOST_SIZE + MOST_C];
  size_t size = r->d + 1;
  for (size_t a = 0; a < size; a++) {
    for (size_t b = 0; b < size; b++) {
      m[a][b] = a == b && a < r->d ? r->l2 : 0.0;
      for (size_t i = 0; i < r->rows; i++) m[a][b] += curvature * r->x[i][a] * r->x[i][b];
    }
    for (size_t c = 0; c < r->p; c++) m[a][size + c] = g[a][c];
  }
  for (size_t a = 0; a < size; a++)
    for (size_t b = 0; b < size; b++) {
      double factor = m[b][a] / m[a][a];
      for (size_t c = 0; a != b && c < size + r->p; c++) m[b][c] -= factor * m[a][c];
    }
  for (size_t a = 0; a < size; a++)
    for (size_t c = 0; c < r->p; c++) z[a][c] = m[a][size + c] / m[a][a];
}

/* Second derivative along d. */
static double bend(const reference *r, const double w[MOST_SIZE][MOST_C], const double d[MOST_SIZE][MOST_C]) {
  double sum = 0.0;
  for (size_t i = 0; i < r->rows; i++) {
    double p[MOST_C], mean = 0.0, square = 0.0;
    probabilities(r, w, r->x[i], p);
    for (size_t c = 0; c < r->p; c++) {
      double change = 0.0;
      for (size_t j = 0; j <= r->d; j++) change += r->x[i][j] * d[j][c];
      mean += p[c] * change;
      square += p[c] * change * change;
    }
    sum += square - mean * mean;
  }
  for (size_t j = 0; j < r->d; j++)
    for (size_t c = 0; c < r->p; c++) sum += r->l2 * d[j][c] * d[j][c];
  return sum;
}

static void conjugate_gradients(const reference *r, double w[MOST_SIZE][MOST_C], double curvature, unsigned steps) {
  double g[MOST_SIZE][MOST_C], before[MOST_SIZE][MOST_C], z[MOST_SIZE][MOST_C], d[MOST_SIZE][MOST_C] = {{0}};
  double last = 0.0;
  for (unsigned s = 0; s < steps; s++) {
    gradient(r, w, g);
    precondition(r, curvature, g, z);
    double now = product(r, g, z);
    if (now <= 1e-12) return;
    double beta = s == 0 ? 0.0 : fmax(0.0, (now - product(r, before, z)) / last);
    for (size_t j = 0; j <= r->d; j++)
      for (size_t c = 0; c < r->p; c++) d[j][c] = beta * d[j][c] - z[j][c];
    memcpy(before, g, sizeof g);
    last = now;
    double first = product(r, g, d), slope = first, low = 0.0, high = INFINITY, length = 0.0, start[MOST_SIZE][MOST_C];
    assert_true(first < 0.0);
    memcpy(start, w, sizeof start);
    for (int trial = 0; trial < 30; trial++) {
      double next = length - slope / bend(r, w, d);
      if (next <= low || next >= high) next = isfinite(high) ? (low + high) / 2.0 : 2.0 * length;
      length = next;
      for (size_t j = 0; j <= r->d; j++)
        for (size_t c = 0; c < r->p; c++) w[j][c] = start[j][c] + length * d[j][c];
      gradient(r, w, g);
      slope = product(r, g, d);
      if (fabs(slope) <= 0.1 * fabs(first)) break;
      if (slope < 0.0)
        low = length;
      else
        high = length;
    }
  }
}

/* The fit on L by Newton's method on all weights would be another program; al_softmax's, tested in model_softmax.c, is
 * the start of both. Classes are 0 .. P-1 in L, and P where the new one is not in it. */
static void start_reference(const problem *x, double l2, int32_t pos, int32_t class, size_t present, reference *r,
                            double w[MOST_SIZE][MOST_C], double *curvature) {
  al_softmax *base = NULL;
  const float *weights, *bias;
  assert_int_equal(al_softmax_fit(&base, &x->labelled, x->labels, x->c, l2), AL_OK);
  assert_int_equal(al_softmax_head(base, &weights, &bias), AL_OK);
  *r = (reference){.rows = x->n, .d = x->d, .p = present, .l2 = l2};
  memset(w, 0, sizeof(double) * MOST_SIZE * MOST_C);
  for (size_t c = 0; c < present; c++) {
    for (size_t j = 0; j < x->d; j++) w[j][c] = (double)weights[c * x->d + j];
    w[x->d][c] = (double)bias[c];
  }
  al_softmax_free(base);
  for (size_t i = 0; i <= x->n; i++) {
    for (size_t j = 0; j < x->d; j++)
      r->x[i][j] = (double)(i < x->n ? x->l[i * x->d + j] : x->u[(size_t)pos * x->d + j]);
    r->x[i][x->d] = 1.0;
    r->target[i] = (size_t)(i < x->n ? x->labels[i] : class);
  }
  double sum = 0.0, uniform = 1.0 / (double)(present + 1);
  for (size_t i = 0; i < x->n; i++) {
    double p[MOST_C];
    probabilities(r, w, r->x[i], p);
    for (size_t c = 0; c < present; c++) sum += p[c] * (1.0 - p[c]);
  }
  *curvature = fmax(sum / (double)(x->n * present), 0.1 * uniform * (1.0 - uniform));
  r->rows = x->n + 1;
  if ((size_t) class < present) return;
  double odds = 0.0;
  for (size_t i = 0; i < r->rows; i++) {
    double total = 0.0;
    for (size_t c = 0; c < present; c++) {
      double score = 0.0;
      for (size_t j = 0; j <= r->d; j++) score += r->x[i][j] * w[j][c];
      total += exp(score);
    }
    odds += 1.0 / total;
  }
  r->p = present + 1;
  w[r->d][present] = -log(odds);
}

typedef struct {
  size_t n, d, c, present;
  bool csr;
  double offset, l2;
} shape;

static const shape shapes[] = {
    {12, 20, 4, 4, false, 0.0, 1.3},   /* span */
    {40, 24, 4, 3, false, 0.0, 0.7},   /* on the weights */
    {33, 17, 5, 5, true, 0.0, 1.0},    /* span, sparse */
    {60, 7, 4, 3, false, 0.0, 0.9},    /* on the weights */
    {60, 9, 3, 2, false, 5.0, 2.1},    /* on the weights, far from the origin */
    {9, 11, 3, 1, false, 0.0, 1.0},    /* one class */
    {20, 16, 3, 3, false, 30.0, 1e-3}, /* ill-conditioned */
};

static const int32_t targets[] = {8, 0, 3, 4};

static void step_by_step(void **state) {
  (void)state;
  for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
    static problem x;
    const shape *a = &shapes[s];
    if (a->l2 < 0.1) continue; /* float32 weights start the reference elsewhere: see converged */
    make(&x, a->n, a->d, a->c, a->present, a->csr, a->offset, (uint32_t)s);
    al_refitter *refitter = NULL;
    assert_int_equal(al_refitter_new(&refitter, &x.labelled, x.labels, x.c, &x.pool, a->l2), AL_OK);
    const al_refit *refit = al_refitter_callbacks(refitter);
    int32_t classes[MOST_C];
    float probs[MOST_C * 4 * MOST_C];
    size_t m = a->present < a->c ? a->present + 1 : a->present;
    for (size_t c = 0; c < m; c++) classes[c] = (int32_t)(m - 1 - c);
    for (unsigned steps = 0; steps <= 10; steps += steps < 4 ? 1 : 3)
      for (int32_t pos = 0; pos < POOL; pos += 4) {
        assert_int_equal(refit->fit_extra(refit->context, pos, classes, m, steps, targets, 4, probs), AL_OK);
        for (size_t c = 0; c < m; c++) {
          static reference r;
          double w[MOST_SIZE][MOST_C], curvature, wanted[MOST_C];
          start_reference(&x, a->l2, pos, classes[c], a->present, &r, w, &curvature);
          conjugate_gradients(&r, w, curvature, steps);
          for (size_t t = 0; t < 4; t++) {
            double row[MOST_SIZE];
            for (size_t j = 0; j < x.d; j++) row[j] = (double)x.u[(size_t)targets[t] * x.d + j];
            row[x.d] = 1.0;
            probabilities(&r, w, row, wanted);
            for (size_t k = 0; k < x.c; k++)
              assert_float_equal(probs[(c * 4 + t) * x.c + k], k < r.p ? wanted[k] : 0.0, 2e-5);
          }
        }
      }
    al_refitter_free(refitter);
  }
}

/* Largest difference of p after `steps` from the optimum of L and the item, over candidates, classes and targets. */
static double off_optimum(const problem *x, double l2, unsigned steps, size_t m) {
  al_refitter *refitter = NULL;
  double worst = 0.0;
  float *probs = NULL, *rows = NULL, wanted[4 * MOST_C];
  int32_t *labels = NULL, classes[MOST_C];
  assert_int_equal(AL_NEW(&probs, MOST_C * 4 * MOST_C), AL_OK);
  assert_int_equal(AL_NEW(&rows, (x->n + 1) * x->d), AL_OK);
  assert_int_equal(AL_NEW(&labels, x->n + 1), AL_OK);
  assert_int_equal(al_refitter_new(&refitter, &x->labelled, x->labels, x->c, &x->pool, l2), AL_OK);
  const al_refit *refit = al_refitter_callbacks(refitter);
  for (size_t c = 0; c < m; c++) classes[c] = (int32_t)c;
  for (int32_t pos = 1; pos < POOL; pos += 3) {
    assert_int_equal(refit->fit_extra(refit->context, pos, classes, m, steps, targets, 4, probs), AL_OK);
    for (size_t c = 0; c < m; c++) {
      al_softmax *model = NULL;
      al_subset storage = {0};
      al_view some;
      for (size_t i = 0; i < x->n; i++) {
        al_view_row(&x->labelled, i, rows + i * x->d);
        labels[i] = x->labels[i];
      }
      al_view_row(&x->pool, (size_t)pos, rows + x->n * x->d);
      labels[x->n] = (int32_t)c;
      al_view all = al_view_dense(rows, x->n + 1, x->d);
      assert_int_equal(al_softmax_fit(&model, &all, labels, x->c, l2), AL_OK);
      assert_int_equal(al_view_take(&some, &x->pool, targets, 4, &storage), AL_OK);
      assert_int_equal(al_softmax_predict(model, &some, wanted), AL_OK);
      for (size_t t = 0; t < 4 * x->c; t++)
        worst = fmax(worst, fabs((double)probs[c * 4 * x->c + t] - (double)wanted[t]));
      al_subset_free(&storage);
      al_softmax_free(model);
    }
  }
  al_refitter_free(refitter);
  free(probs);
  free(rows);
  free(labels);
  return worst;
}

static void converged(void **state) {
  (void)state;
  for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
    static problem x;
    const shape *a = &shapes[s];
    make(&x, a->n, a->d, a->c, a->present, a->csr, a->offset, (uint32_t)s);
    size_t m = a->present < a->c ? a->present + 1 : a->present;
    double far = off_optimum(&x, a->l2, 0, m), ten = off_optimum(&x, a->l2, 10, m),
           near = off_optimum(&x, a->l2, 500, m);
    print_message("shape %zu: %.3g, after 10 steps %.3g, after 500 %.3g\n", s, far, ten, near);
    assert_true(far > 1e-2);
    assert_true(ten < (a->l2 < 0.1 ? 1.0 : 2e-2) * far);
    assert_true(near < 1e-4);
  }
}

/* Resampled fits equal fits on the resampled rows, and leave out what was not drawn. */
static void resampled(void **state) {
  (void)state;
  for (size_t s = 0; s < 4; s++) {
    static problem x;
    const shape *a = &shapes[s];
    make(&x, a->n, a->d, a->c, a->present, a->csr, a->offset, (uint32_t)s);
    al_refitter *refitter = NULL;
    al_softmax *model = NULL;
    al_subset storage = {0};
    al_view rows;
    int32_t index[MOST_N], labels[MOST_N];
    float probs[POOL * MOST_C], wanted[POOL * MOST_C];
    for (size_t i = 0; i < x.n; i++) {
      index[i] = (int32_t)((i * 7 + 3) % x.n / 2);
      labels[i] = x.labels[index[i]];
    }
    assert_int_equal(al_refitter_new(&refitter, &x.labelled, x.labels, x.c, &x.pool, a->l2), AL_OK);
    const al_refit *refit = al_refitter_callbacks(refitter);
    assert_int_equal(refit->fit_labelled(refit->context, index, x.n, probs), AL_OK);
    assert_int_equal(al_view_take(&rows, &x.labelled, index, x.n, &storage), AL_OK);
    assert_int_equal(al_softmax_fit(&model, &rows, labels, x.c, a->l2), AL_OK);
    assert_int_equal(al_softmax_predict(model, &x.pool, wanted), AL_OK);
    for (size_t i = 0; i < POOL * x.c; i++) assert_float_equal(probs[i], wanted[i], 2e-5);
    al_softmax_free(model);
    al_subset_free(&storage);
    al_refitter_free(refitter);
  }
}

/* More sparse rows than a Gram matrix is made of: diagonal preconditioner. */
static void many_sparse_rows(void **state) {
  (void)state;
  enum { N = 4100, D = 12 };
  al_rng rng = al_rng_open(&(al_stream_key){.seed = 5, .purpose = "test", .dataset = "refit"});
  static problem x;
  make(&x, 10, D, 3, 3, true, 0.0, 4);
  float *l = NULL, *value = NULL;
  int32_t *labels = NULL, *index = NULL;
  int64_t *begin = NULL;
  assert_int_equal(AL_NEW(&l, N * D), AL_OK);
  assert_int_equal(AL_NEW(&value, N * D), AL_OK);
  assert_int_equal(AL_NEW(&index, N * D), AL_OK);
  assert_int_equal(AL_NEW(&labels, N), AL_OK);
  assert_int_equal(AL_NEW(&begin, N + 1), AL_OK);
  for (size_t i = 0; i < N; i++) {
    labels[i] = (int32_t)al_rng_below(&rng, 3);
    for (size_t j = 0; j < D; j++)
      l[i * D + j] = al_rng_below(&rng, 3) == 0 ? (float)(al_rng_normal(&rng) + (labels[i] == (int32_t)j)) : 0.0F;
  }
  to_csr(l, N, D, begin, index, value);
  x.labelled = al_view_csr(begin, index, value, N, D);
  al_refitter *refitter = NULL;
  al_softmax *model = NULL;
  float probs[3 * 4 * 3], wanted[4 * 3];
  int32_t classes[] = {0, 1, 2};
  assert_int_equal(al_refitter_new(&refitter, &x.labelled, labels, 3, &x.pool, 1.0), AL_OK);
  const al_refit *refit = al_refitter_callbacks(refitter);
  assert_int_equal(refit->fit_extra(refit->context, 2, classes, 3, 100, targets, 4, probs), AL_OK);
  float *more = NULL;
  int32_t *more_labels = NULL;
  assert_int_equal(AL_NEW(&more, (N + 1) * D), AL_OK);
  assert_int_equal(AL_NEW(&more_labels, N + 1), AL_OK);
  memcpy(more, l, N * D * sizeof *l);
  memcpy(more + N * D, x.u + 2 * D, D * sizeof *l);
  memcpy(more_labels, labels, N * sizeof *labels);
  for (int32_t c = 0; c < 3; c++) {
    al_view all = al_view_dense(more, N + 1, D), some;
    al_subset storage = {0};
    more_labels[N] = c;
    assert_int_equal(al_softmax_fit(&model, &all, more_labels, 3, 1.0), AL_OK);
    assert_int_equal(al_view_take(&some, &x.pool, targets, 4, &storage), AL_OK);
    assert_int_equal(al_softmax_predict(model, &some, wanted), AL_OK);
    for (size_t t = 0; t < 12; t++) assert_float_equal(probs[c * 12 + (int32_t)t], wanted[t], 1e-5);
    al_subset_free(&storage);
    al_softmax_free(model);
  }
  al_refitter_free(refitter);
  free(l);
  free(value);
  free(index);
  free(labels);
  free(begin);
  free(more);
  free(more_labels);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(step_by_step),
      cmocka_unit_test(converged),
      cmocka_unit_test(resampled),
      cmocka_unit_test(many_sparse_rows),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
