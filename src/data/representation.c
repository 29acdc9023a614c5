/* The fixed representation f: truncated SVD of TF-IDF for text, PCA of the pixels for images, standardised columns for
 * tables.
 *
 * The SVD is the randomised one of Halko, Martinsson and Tropp (2011, algorithms 4.4 and 5.1): a Gaussian sketch, power
 * iterations with a QR each, and the exact decomposition of what is left. Columns are turned so that the largest
 * component of each right vector is positive, since a sign is otherwise an accident of LAPACK. */
#include "data/features_private.h"

#include "base/lapack.h"
#include "base/memory.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SVD_COLUMNS = 256, PCA_COLUMNS = 64, OVERSAMPLE = 10, POWERS = 4, PCA_POWERS = 8 };

/* A view's train rows, minus a mean row (NULL: none): the matrix that is decomposed. n x d */
typedef struct {
  const al_view *all;
  const int32_t *rows;
  size_t n, d;
  const double *mean; /* d */
} operand;

/* y (n x k, column-major) = A x (d x k, column-major). Walks the rows: a non-zero is one axpy. */
static al_status multiply(const operand *a, const double *x, size_t k, double *y, double *row_major) {
  /* row-major copy of x, so that each non-zero is one contiguous axpy */
  for (size_t i = 0; i < a->d; i++)
    for (size_t j = 0; j < k; j++) row_major[i * k + j] = x[j * a->d + i];
  double *sum = NULL, *shift = NULL;
  al_status status;
  AL_TRY(AL_NEW(&sum, k));
  AL_TRY(AL_NEW(&shift, k));
  for (size_t i = 0; a->mean != NULL && i < a->d; i++)
    for (size_t j = 0; j < k; j++) shift[j] += a->mean[i] * row_major[i * k + j];
  for (size_t i = 0; i < a->n; i++) {
    size_t row = (size_t)a->rows[i];
    for (size_t j = 0; j < k; j++) sum[j] = -shift[j];
    if (a->all->kind == AL_VIEW_CSR) {
      for (int64_t p = a->all->begin[row]; p < a->all->end[row]; p++) {
        const double *from = row_major + (size_t)a->all->indices[p] * k;
        double value = (double)a->all->values[p];
        for (size_t j = 0; j < k; j++) sum[j] += value * from[j];
      }
    } else {
      const float *values = a->all->values + row * a->d;
      for (size_t c = 0; c < a->d; c++) {
        double value = (double)values[c];
        if (value == 0.0) continue; /* dark pixels */
        const double *from = row_major + c * k;
        for (size_t j = 0; j < k; j++) sum[j] += value * from[j];
      }
    }
    for (size_t j = 0; j < k; j++) y[j * a->n + i] = sum[j];
  }
done:
  free(sum);
  free(shift);
  return status;
}

/* x (d x k, column-major) = A^T y (n x k, column-major). */
static al_status multiply_transposed(const operand *a, const double *y, size_t k, double *x, double *row_major) {
  double *from = NULL, *shift = NULL;
  al_status status;
  AL_TRY(AL_NEW(&from, k));
  AL_TRY(AL_NEW(&shift, k));
  memset(row_major, 0, a->d * k * sizeof *row_major);
  for (size_t i = 0; i < a->n; i++) {
    size_t row = (size_t)a->rows[i];
    for (size_t j = 0; j < k; j++) {
      from[j] = y[j * a->n + i];
      shift[j] += from[j];
    }
    if (a->all->kind == AL_VIEW_CSR) {
      for (int64_t p = a->all->begin[row]; p < a->all->end[row]; p++) {
        double *to = row_major + (size_t)a->all->indices[p] * k, value = (double)a->all->values[p];
        for (size_t j = 0; j < k; j++) to[j] += value * from[j];
      }
    } else {
      const float *values = a->all->values + row * a->d;
      for (size_t c = 0; c < a->d; c++) {
        double value = (double)values[c];
        if (value == 0.0) continue;
        double *to = row_major + c * k;
        for (size_t j = 0; j < k; j++) to[j] += value * from[j];
      }
    }
  }
  for (size_t i = 0; i < a->d; i++)
    for (size_t j = 0; j < k; j++)
      x[j * a->d + i] = row_major[i * k + j] - (a->mean == NULL ? 0.0 : a->mean[i] * shift[j]);
done:
  free(from);
  free(shift);
  return status;
}

/* v: d x k, column-major: the k leading right singular vectors of A. */
static al_status right_vectors(const operand *a, size_t k, int powers, al_rng rng, double *v) {
  al_status status;
  size_t smaller = a->n < a->d ? a->n : a->d, wide = k + OVERSAMPLE < smaller ? k + OVERSAMPLE : smaller;
  double *y = NULL, *x = NULL, *scratch = NULL, *gram = NULL, *values = NULL;
  AL_TRY(AL_NEW(&y, a->n * wide));
  AL_TRY(AL_NEW(&x, a->d * wide));
  AL_TRY(AL_NEW(&scratch, a->d * wide));
  AL_TRY(AL_NEW(&gram, wide * wide));
  AL_TRY(AL_NEW(&values, wide));
  for (size_t i = 0; i < a->d * wide; i++) x[i] = al_rng_normal(&rng);
  for (int power = 0; power <= powers; power++) {
    AL_TRY(multiply(a, x, wide, y, scratch));
    AL_TRY(al_orthonormalise(y, a->n, wide));
    AL_TRY(multiply_transposed(a, y, wide, x, scratch)); /* x = (Q^T A)^T = B^T */
    if (power < powers) AL_TRY(al_orthonormalise(x, a->d, wide));
  }
  /* B B^T = U S^2 U^T; the right vectors are B^T U / S */
  cblas_dgemm(CblasColMajor, CblasTrans, CblasNoTrans, (int)wide, (int)wide, (int)a->d, 1.0, x, (int)a->d, x, (int)a->d,
              0.0, gram, (int)wide);
  AL_TRY(al_eigen_symmetric(gram, wide, values));
  for (size_t j = 0; j < k; j++) {
    const double *u = gram + (wide - 1 - j) * wide; /* eigenvalues ascend */
    double *column = v + j * a->d, norm = 0.0, largest = 0.0;
    cblas_dgemv(CblasColMajor, CblasNoTrans, (int)a->d, (int)wide, 1.0, x, (int)a->d, u, 1, 0.0, column, 1);
    for (size_t i = 0; i < a->d; i++) {
      norm += column[i] * column[i];
      if (fabs(column[i]) > fabs(largest)) largest = column[i];
    }
    double scale = norm > 1e-24 ? (largest < 0.0 ? -1.0 : 1.0) / sqrt(norm) : 0.0;
    for (size_t i = 0; i < a->d; i++) column[i] *= scale;
  }
done:
  free(y);
  free(x);
  free(scratch);
  free(gram);
  free(values);
  return status;
}

/* Every row of the dataset (not only the train part) times v. */
static al_status project_all(al_features **out, const char *kind, const char key[33], const operand *a, const double *v,
                             size_t k) {
  al_status status;
  double *y = NULL, *scratch = NULL;
  float *values = NULL;
  int32_t *rows = NULL;
  operand every = *a;
  every.n = a->all->rows;
  AL_TRY(AL_NEW(&rows, every.n));
  for (size_t i = 0; i < every.n; i++) rows[i] = (int32_t)i;
  every.rows = rows;
  AL_TRY(AL_NEW(&y, every.n * k));
  AL_TRY(AL_NEW(&scratch, a->d * k));
  AL_TRY(AL_NEW(&values, every.n * k));
  AL_TRY(multiply(&every, v, k, y, scratch));
  for (size_t i = 0; i < every.n; i++)
    for (size_t j = 0; j < k; j++) values[i * k + j] = (float)y[j * every.n + i];
  AL_TRY(al_features_write_dense(out, kind, key, values, every.n, k));
done:
  free(y);
  free(scratch);
  free(values);
  free(rows);
  return status;
}

static al_status reduce(al_features **out, const char *kind, const char key[33], const al_view *all,
                        const al_split *split, size_t columns, bool centred, al_rng rng) {
  al_status status;
  double *mean = NULL, *v = NULL;
  operand a = {.all = all, .rows = split->train, .n = split->train_size, .d = all->cols};
  size_t smaller = a.n < a.d ? a.n : a.d, k = columns < smaller ? columns : smaller;
  AL_TRY(AL_NEW(&mean, a.d));
  for (size_t i = 0; centred && i < a.n; i++) {
    const float *row = all->values + (size_t)split->train[i] * a.d;
    for (size_t c = 0; c < a.d; c++) mean[c] += (double)row[c] / (double)a.n;
  }
  if (centred) a.mean = mean;
  AL_TRY(AL_NEW(&v, a.d * k));
  AL_TRY(right_vectors(&a, k, centred ? PCA_POWERS : POWERS, rng, v));
  AL_TRY(project_all(out, kind, key, &a, v, k));
done:
  free(mean);
  free(v);
  return status;
}

static al_status open_svd(al_features **out, const al_dataset *dataset, const al_split *split, const char key[33],
                          al_rng rng) {
  al_status status;
  al_features *tfidf = NULL;
  json_t *defaults = NULL;
  AL_TRY(al_params_resolve(&defaults, al_tfidf_params, NULL, "tfidf"));
  AL_TRY(al_tfidf_open(&tfidf, dataset, split, defaults));
  AL_TRY(reduce(out, "svd", key, &tfidf->view, split, SVD_COLUMNS, false, rng));
done:
  json_decref(defaults);
  al_features_free(tfidf);
  return status;
}

static al_status open_pca(al_features **out, const al_dataset *dataset, const al_split *split, const char key[33],
                          al_rng rng) {
  al_features *pixels = NULL;
  json_t *name = json_string("pixels");
  al_status status = al_input_open(&pixels, dataset, split, name, "representation");
  if (status == AL_OK) status = reduce(out, "pca", key, &pixels->view, split, PCA_COLUMNS, true, rng);
  json_decref(name);
  al_features_free(pixels);
  return status;
}

al_status al_representation_open(al_features **out, const al_dataset *dataset, const al_split *split,
                                 const json_t *spec, uint64_t seed) {
  static const char *const by_kind[] = {[AL_TEXT] = "svd", [AL_IMAGE] = "pca", [AL_TABULAR] = "standardised"};
  const char *wanted = json_string_value(json_object_get(spec, "representation"));
  const char *name = by_kind[dataset->kind];
  char key[33];
  *out = NULL;
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
