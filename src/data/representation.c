/* The fixed representation f (STRATEGIES.md): svd, pca, standardised; whatever is fitted is fitted on train rows.
 *
 * svd is the randomised SVD of Halko, Martinsson and Tropp (2011, algorithms 4.4 and 5.1): a Gaussian sketch, power
 * iterations with a QR each, and the exact decomposition of what is left. The QR is of the sketch of the rows only:
 * A^T Q spans what its QR would, and is a third of the cost. pca is exact, by the covariance, up to EXACT_WIDTH pixels,
 * and the same randomised SVD of the centred rows beyond. Directions below a relative 1e-6 of the largest singular
 * value are left out (rank). Columns are turned so that the largest component of each right vector is positive, since a
 * sign is otherwise an accident of LAPACK. Not here: frozen encoders (model/frozen.c). */
#include "data/features_private.h"

#include "base/lapack.h"
#include "base/memory.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
  SVD_COLUMNS = 256,
  PCA_COLUMNS = 64,
  OVERSAMPLE = 10,
  POWERS = 4,
  PCA_POWERS = 8,
  EXACT_WIDTH = 3072,
  BLOCK = 256, /* rows at a time */
  MOST_CELLS = INT32_MAX
};
static const double negligible = 1e-12; /* of the largest squared singular value */

/* A view's train rows, minus a mean row (NULL: none): the matrix that is decomposed. n x d */
typedef struct {
  const al_view *all;
  const int32_t *rows;
  size_t n, d;
  const double *mean; /* d */
} operand;

/* y (k) += value x (k). */
static void add_scaled(double *restrict y, double value, const double *restrict x, size_t k) {
  for (size_t j = 0; j < k; j++) y[j] += value * x[j];
}

/* y (k) = the row times x (d x k). */
static void row_times(const al_view *all, size_t row, const double *x, size_t k, double *y) {
  memset(y, 0, k * sizeof *y);
  if (all->kind == AL_VIEW_CSR) {
    for (int64_t p = all->begin[row]; p < all->end[row]; p++)
      add_scaled(y, (double)all->values[p], x + (size_t)all->indices[p] * k, k);
  } else {
    const float *values = all->values + row * all->cols;
    for (size_t c = 0; c < all->cols; c++)
      if (values[c] != 0.0F) add_scaled(y, (double)values[c], x + c * k, k);
  }
}

/* x (d x k) += the row's transpose times y (k). */
static void transposed_times(const al_view *all, size_t row, const double *y, size_t k, double *x) {
  if (all->kind == AL_VIEW_CSR) {
    for (int64_t p = all->begin[row]; p < all->end[row]; p++)
      add_scaled(x + (size_t)all->indices[p] * k, (double)all->values[p], y, k);
  } else {
    const float *values = all->values + row * all->cols;
    for (size_t c = 0; c < all->cols; c++)
      if (values[c] != 0.0F) add_scaled(x + c * k, (double)values[c], y, k);
  }
}

/* shift (k) = mean x (d x k); zeros without a mean. */
static void mean_times(const double *mean, size_t d, const double *x, size_t k, double *shift) {
  memset(shift, 0, k * sizeof *shift);
  for (size_t c = 0; mean != NULL && c < d; c++) add_scaled(shift, mean[c], x + c * k, k);
}

/* q (n x k, column-major) = an orthonormal basis of A x; x: d x k, row-major. */
static al_status sketch(const operand *a, const double *x, size_t k, double *q) {
  al_status status;
  double *y = NULL, *shift = NULL;
  AL_TRY(AL_NEW(&y, k));
  AL_TRY(AL_NEW(&shift, k));
  mean_times(a->mean, a->d, x, k, shift);
  for (size_t i = 0; i < a->n; i++) {
    row_times(a->all, (size_t)a->rows[i], x, k, y);
    for (size_t j = 0; j < k; j++) q[j * a->n + i] = y[j] - shift[j];
  }
  AL_TRY(al_orthonormalise(q, a->n, k));
done:
  free(y);
  free(shift);
  return status;
}

/* x (d x k, row-major) = A^T q (n x k, column-major). */
static al_status pull_back(const operand *a, const double *q, size_t k, double *x) {
  al_status status;
  double *y = NULL, *sum = NULL;
  AL_TRY(AL_NEW(&y, k));
  AL_TRY(AL_NEW(&sum, k));
  memset(x, 0, a->d * k * sizeof *x);
  for (size_t i = 0; i < a->n; i++) {
    for (size_t j = 0; j < k; j++) {
      y[j] = q[j * a->n + i];
      sum[j] += y[j];
    }
    transposed_times(a->all, (size_t)a->rows[i], y, k, x);
  }
  for (size_t c = 0; a->mean != NULL && c < a->d; c++) add_scaled(x + c * k, -a->mean[c], sum, k);
done:
  free(y);
  free(sum);
  return status;
}

/* Turns each column of v (d x k, row-major) so that its largest component is positive (the first of equal ones), and
 * gives it unit length. */
static void settle_columns(double *v, size_t d, size_t k) {
  for (size_t j = 0; j < k; j++) {
    double norm = 0.0, largest = 0.0;
    for (size_t i = 0; i < d; i++) {
      double value = v[i * k + j];
      norm += value * value;
      if (fabs(value) > fabs(largest)) largest = value;
    }
    double scale = norm > 0.0 ? (largest < 0.0 ? -1.0 : 1.0) / sqrt(norm) : 0.0;
    for (size_t i = 0; i < d; i++) v[i * k + j] *= scale;
  }
}

/* How many of the k largest of n ascending squared singular values are not negligible; at least 1. */
static size_t rank_of(const double *squared, size_t n, size_t k) {
  size_t rank = 1;
  while (rank < k && squared[n - 1 - rank] > negligible * squared[n - 1]) rank++;
  return rank;
}

/* *v (fresh, d x *k, row-major): the *k leading right singular vectors of A, *k lowered to the rank.
 * O(powers (nnz + n k) k), memory (2 d + n) k doubles. */
static al_status right_vectors(const operand *a, size_t *k, int powers, al_rng rng, double **v) {
  al_status status;
  size_t smaller = a->n < a->d ? a->n : a->d, wide = *k + OVERSAMPLE < smaller ? *k + OVERSAMPLE : smaller;
  double *q = NULL, *x = NULL, *gram = NULL, *leading = NULL, *values = NULL;
  if (*k > smaller) *k = smaller;
  if (a->n > MOST_CELLS || a->d > MOST_CELLS)
    return al_fail(AL_BAD_INPUT, "representation: more than 2^31 rows or columns");
  AL_TRY(AL_NEW(&q, a->n * wide));
  AL_TRY(AL_NEW(&x, a->d * wide));
  AL_TRY(AL_NEW(&gram, wide * wide));
  AL_TRY(AL_NEW(&values, wide));
  for (size_t i = 0; i < a->d * wide; i++) x[i] = al_rng_normal(&rng);
  for (int power = 0; power <= powers; power++) {
    AL_TRY(sketch(a, x, wide, q));
    AL_TRY(pull_back(a, q, wide, x)); /* x = B^T, B = Q^T A */
  }
  /* B B^T = U S^2 U^T; the right vectors are B^T U / S */
  cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)wide, (int)wide, (int)a->d, 1.0, x, (int)wide, x, (int)wide,
              0.0, gram, (int)wide);
  AL_TRY(al_eigen_symmetric(gram, wide, values));
  *k = rank_of(values, wide, *k);
  AL_TRY(AL_NEW(&leading, wide * *k));
  for (size_t j = 0; j < *k; j++) /* eigenvalues ascend */
    for (size_t i = 0; i < wide; i++) leading[i * *k + j] = gram[(wide - 1 - j) * wide + i];
  AL_TRY(AL_NEW(v, a->d * *k));
  cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)a->d, (int)*k, (int)wide, 1.0, x, (int)wide, leading,
              (int)*k, 0.0, *v, (int)*k);
  settle_columns(*v, a->d, *k);
done:
  free(q);
  free(x);
  free(gram);
  free(leading);
  free(values);
  return status;
}

/* A feature file of all rows in dataset order, written row by row. */
typedef struct {
  const char *kind, *key;
  al_store_writer *writer;
} sink;

static al_status sink_open(sink *s, const char *kind, const char *key) {
  *s = (sink){.kind = kind, .key = key};
  al_status status = al_store_create(&s->writer, kind, key);
  return status == AL_OK ? al_store_begin(s->writer, "values", sizeof(float)) : status;
}

static al_status sink_close(sink *s, al_features **out, size_t rows, size_t cols) {
  al_store_writer *writer = s->writer;
  s->writer = NULL;
  return al_features_finish(out, s->kind, s->key, writer, rows, cols, false);
}

/* Every row of the dataset (not only the train part), minus the mean, times v (d x k, row-major). */
static al_status project_all(al_features **out, const char *kind, const char *key, const operand *a, const double *v,
                             size_t k) {
  al_status status;
  double *y = NULL, *shift = NULL;
  float *values = NULL;
  sink to = {0};
  AL_TRY(AL_NEW(&y, k));
  AL_TRY(AL_NEW(&shift, k));
  AL_TRY(AL_NEW(&values, k));
  mean_times(a->mean, a->d, v, k, shift);
  AL_TRY(sink_open(&to, kind, key));
  for (size_t row = 0; row < a->all->rows; row++) {
    row_times(a->all, row, v, k, y);
    for (size_t j = 0; j < k; j++) values[j] = (float)(y[j] - shift[j]);
    AL_TRY(al_store_append(to.writer, values, k));
  }
  AL_TRY(sink_close(&to, out, a->all->rows, k));
done:
  al_store_abandon(to.writer);
  free(y);
  free(shift);
  free(values);
  return status;
}

al_status al_reduce(al_features **out, const char *kind, const char *key, const al_view *all, const int32_t *train,
                    size_t n, size_t columns, bool centred, al_rng rng) {
  al_status status;
  double *mean = NULL, *v = NULL;
  operand a = {.all = all, .rows = train, .n = n, .d = all->cols};
  size_t k = columns;
  *out = NULL;
  AL_TRY(AL_NEW(&mean, a.d));
  for (size_t i = 0; centred && i < n; i++) {
    const float *row = all->values + (size_t)train[i] * a.d;
    for (size_t c = 0; c < a.d; c++) mean[c] += (double)row[c] / (double)n;
  }
  if (centred) a.mean = mean;
  AL_TRY(right_vectors(&a, &k, centred ? PCA_POWERS : POWERS, rng, &v));
  AL_TRY(project_all(out, kind, key, &a, v, k));
done:
  free(mean);
  free(v);
  return status;
}

static al_status open_svd(al_features **out, const al_dataset *dataset, const al_split *split, const char *key,
                          al_rng rng) {
  al_status status;
  al_features *tfidf = NULL;
  json_t *defaults = NULL;
  AL_TRY(al_params_resolve(&defaults, al_tfidf_params, NULL, "tfidf"));
  AL_TRY(al_tfidf_open(&tfidf, dataset, split, defaults));
  AL_TRY(al_reduce(out, "svd", key, &tfidf->view, split->train, split->train_size, SVD_COLUMNS, false, rng));
done:
  json_decref(defaults);
  al_features_free(tfidf);
  return status;
}

/* block (count x d) = rows of pixels in [0, 1] minus the mean. */
static void centre_block(const uint8_t *pixels, const int32_t *rows, size_t first, size_t count, size_t d,
                         const double *mean, double *block) {
  for (size_t i = 0; i < count; i++) {
    const uint8_t *from = pixels + (rows == NULL ? first + i : (size_t)rows[first + i]) * d;
    for (size_t c = 0; c < d; c++) block[i * d + c] = (double)from[c] / 255.0 - mean[c];
  }
}

/* The k (lowered to the rank) leading eigenvectors of the train part's covariance. v: d x k, row-major, fresh.
 * O(n d^2 + d^3), memory 2 d^2 doubles. */
static al_status covariance_vectors(const uint8_t *pixels, const al_split *split, size_t d, const double *mean,
                                    size_t *k, double **v) {
  al_status status;
  double *block = NULL, *gram = NULL, *values = NULL;
  AL_TRY(AL_NEW(&block, BLOCK * d));
  AL_TRY(AL_NEW(&gram, d * d));
  AL_TRY(AL_NEW(&values, d));
  for (size_t first = 0; first < split->train_size; first += BLOCK) {
    size_t count = split->train_size - first < BLOCK ? split->train_size - first : BLOCK;
    centre_block(pixels, split->train, first, count, d, mean, block);
    /* row-major count x d is column-major d x count */
    cblas_dsyrk(CblasColMajor, CblasUpper, CblasNoTrans, (int)d, (int)count, 1.0, block, (int)d, 1.0, gram, (int)d);
  }
  AL_TRY(al_eigen_symmetric(gram, d, values));
  *k = rank_of(values, d, *k < d ? *k : d);
  AL_TRY(AL_NEW(v, d * *k));
  for (size_t j = 0; j < *k; j++)
    for (size_t i = 0; i < d; i++) (*v)[i * *k + j] = gram[(d - 1 - j) * d + i];
  settle_columns(*v, d, *k);
done:
  free(block);
  free(gram);
  free(values);
  return status;
}

/* PCA of pixels in [0, 1], exact, a block of rows in memory at a time. */
static al_status exact_pca(al_features **out, const al_dataset *dataset, const al_split *split, const char *key) {
  al_status status;
  size_t d = dataset->channels * dataset->height * dataset->width, k = PCA_COLUMNS;
  uint64_t *sums = NULL;
  double *mean = NULL, *v = NULL, *block = NULL, *projected = NULL;
  float *values = NULL;
  sink to = {0};
  if (k > split->train_size) k = split->train_size;
  AL_TRY(AL_NEW(&sums, d));
  AL_TRY(AL_NEW(&mean, d));
  for (size_t i = 0; i < split->train_size; i++)
    for (size_t c = 0; c < d; c++) sums[c] += dataset->pixels[(size_t)split->train[i] * d + c];
  for (size_t c = 0; c < d; c++) mean[c] = (double)sums[c] / 255.0 / (double)split->train_size;
  AL_TRY(covariance_vectors(dataset->pixels, split, d, mean, &k, &v));
  AL_TRY(AL_NEW(&block, BLOCK * d));
  AL_TRY(AL_NEW(&projected, BLOCK * k));
  AL_TRY(AL_NEW(&values, BLOCK * k));
  AL_TRY(sink_open(&to, "pca", key));
  for (size_t first = 0; first < dataset->rows; first += BLOCK) {
    size_t count = dataset->rows - first < BLOCK ? dataset->rows - first : BLOCK;
    centre_block(dataset->pixels, NULL, first, count, d, mean, block);
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)count, (int)k, (int)d, 1.0, block, (int)d, v, (int)k,
                0.0, projected, (int)k);
    for (size_t i = 0; i < count * k; i++) values[i] = (float)projected[i];
    AL_TRY(al_store_append(to.writer, values, count * k));
  }
  AL_TRY(sink_close(&to, out, dataset->rows, k));
done:
  al_store_abandon(to.writer);
  free(sums);
  free(mean);
  free(v);
  free(block);
  free(projected);
  free(values);
  return status;
}

static al_status open_pca(al_features **out, const al_dataset *dataset, const al_split *split, const char *key,
                          al_rng rng) {
  if (dataset->channels * dataset->height * dataset->width <= EXACT_WIDTH) return exact_pca(out, dataset, split, key);
  al_features *pixels = NULL;
  json_t *name = json_string("pixels");
  al_status status = al_input_open(&pixels, dataset, split, name, "representation");
  if (status == AL_OK)
    status = al_reduce(out, "pca", key, &pixels->view, split->train, split->train_size, PCA_COLUMNS, true, rng);
  json_decref(name);
  al_features_free(pixels);
  return status;
}

al_status al_representation_open(al_features **out, const al_dataset *dataset, const al_split *split,
                                 const json_t *spec, uint64_t seed) {
  static const char *const by_kind[] = {[AL_TEXT] = "svd", [AL_IMAGE] = "pca", [AL_TABULAR] = "standardised"};
  const json_t *given = json_object_get(spec, "representation");
  const char *wanted = json_string_value(given);
  const char *name = by_kind[dataset->kind];
  char key[33];
  *out = NULL;
  if (given != NULL && wanted == NULL && !json_is_null(given))
    return al_fail(AL_BAD_INPUT, "representation: of %s must be %s or a frozen encoder", dataset->name, name);
  if (wanted != NULL && strcmp(wanted, name) != 0)
    return al_fail(AL_BAD_INPUT, "representation: %s does not fit %s; its kind of data takes %s", wanted, dataset->name,
                   name);
  if (dataset->kind == AL_TABULAR) {
    return al_standardised_open(out, dataset, split);
  }
  al_stream_key stream = {.seed = seed, .purpose = name, .dataset = dataset->name};
  al_rng rng = al_rng_open(&stream);
  json_t *options =
      json_pack("{s:I,s:I}", "stream0", (json_int_t)(rng.key[0] >> 1), "stream1", (json_int_t)(rng.key[1] >> 1));
  al_status status = al_feature_key(key, name, split->digest, options);
  json_decref(options);
  if (status == AL_OK) status = al_features_cached(out, name, key);
  if (status != AL_OK || *out != NULL) return status;
  return dataset->kind == AL_TEXT ? open_svd(out, dataset, split, key, rng) : open_pca(out, dataset, split, key, rng);
}
