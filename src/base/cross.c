/* Blocked products. Dense distances are formed by differences: the rows are streamed once either way, and no centring
 * is needed far from the origin. */
#include "base/cross.h"

#include "base/memory.h"
#include "base/simd.h"

#include <cblas.h>
#include <stdlib.h>
#include <string.h>

struct al_cross {
  const al_view *fixed;
  double *norms; /* fixed->rows */
  /* CSR: the transposed of `fixed` */
  int64_t *column_begin; /* cols + 1 */
  int32_t *row_of;       /* non-zeros */
  float *values;
};

al_status al_cross_new(al_cross **out, const al_view *fixed) {
  al_status status;
  al_cross *cross = NULL;
  int64_t *next = NULL;
  *out = NULL;
  AL_TRY(AL_NEW(&cross, 1));
  cross->fixed = fixed;
  AL_TRY(AL_NEW(&cross->norms, fixed->rows));
  al_view_squared_norms(fixed, cross->norms);
  if (fixed->kind == AL_VIEW_CSR) {
    size_t nonzeros = 0;
    AL_TRY(AL_NEW(&cross->column_begin, fixed->cols + 1));
    AL_TRY(AL_NEW(&next, fixed->cols));
    for (size_t j = 0; j < fixed->rows; j++)
      for (int64_t p = fixed->begin[j]; p < fixed->end[j]; p++, nonzeros++)
        cross->column_begin[fixed->indices[p] + 1]++;
    for (size_t c = 0; c < fixed->cols; c++) {
      cross->column_begin[c + 1] += cross->column_begin[c];
      next[c] = cross->column_begin[c];
    }
    AL_TRY(AL_NEW(&cross->row_of, nonzeros));
    AL_TRY(AL_NEW(&cross->values, nonzeros));
    for (size_t j = 0; j < fixed->rows; j++)
      for (int64_t p = fixed->begin[j]; p < fixed->end[j]; p++) {
        int64_t at = next[fixed->indices[p]]++;
        cross->row_of[at] = (int32_t)j;
        cross->values[at] = fixed->values[p];
      }
  }
  *out = cross;
  cross = NULL;
done:
  free(next);
  al_cross_free(cross);
  return status;
}

void al_cross_free(al_cross *cross) {
  if (cross == NULL) return;
  free(cross->norms);
  free(cross->column_begin);
  free(cross->row_of);
  free(cross->values);
  free(cross);
}

void al_cross_dots(const al_cross *cross, const al_view *rows, size_t first, size_t last, float *out) {
  size_t m = cross->fixed->rows, n = last - first;
  if (n == 0 || m == 0) return;
  if (cross->fixed->kind == AL_VIEW_DENSE) {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)n, (int)m, (int)rows->cols, 1.0F,
                rows->values + first * rows->cols, (int)rows->cols, cross->fixed->values, (int)rows->cols, 0.0F, out,
                (int)m);
    return;
  }
  memset(out, 0, n * m * sizeof *out);
  for (size_t i = first; i < last; i++) {
    float *sums = out + (i - first) * m;
    for (int64_t p = rows->begin[i]; p < rows->end[i]; p++) {
      float value = rows->values[p];
      int64_t end = cross->column_begin[rows->indices[p] + 1];
      for (int64_t q = cross->column_begin[rows->indices[p]]; q < end; q++)
        sums[cross->row_of[q]] += value * cross->values[q];
    }
  }
}

AL_SIMD static float difference_norm(const float *restrict x, const float *restrict y, size_t n) {
  float lanes[AL_LANES] = {0};
  size_t i = 0;
  for (; i + AL_LANES <= n; i += AL_LANES)
    for (size_t l = 0; l < AL_LANES; l++) {
      float d = x[i + l] - y[i + l];
      lanes[l] += d * d;
    }
  for (; i < n; i++) {
    float d = x[i] - y[i];
    lanes[i % AL_LANES] += d * d;
  }
  float sum = 0.0F;
  for (size_t l = 0; l < AL_LANES; l++) sum += lanes[l];
  return sum;
}

AL_SIMD static float product(const float *restrict x, const float *restrict y, size_t n) {
  float lanes[AL_LANES] = {0};
  size_t i = 0;
  for (; i + AL_LANES <= n; i += AL_LANES)
    for (size_t l = 0; l < AL_LANES; l++) lanes[l] += x[i + l] * y[i + l];
  for (; i < n; i++) lanes[i % AL_LANES] += x[i] * y[i];
  float sum = 0.0F;
  for (size_t l = 0; l < AL_LANES; l++) sum += lanes[l];
  return sum;
}

/* The expansion, and differences where it would cancel. */
static float from_dot(double norm, double other, double dot, const al_view *a, size_t i, const al_view *b, size_t j) {
  double squared = norm + other - 2.0 * dot;
  if (squared < 1e-2 * (norm + other)) squared = al_view_squared_distance(a, i, b, j);
  return (float)squared;
}

void al_cross_distances(const al_cross *cross, const al_view *rows, const double *norms, size_t first, size_t last,
                        float *out) {
  size_t m = cross->fixed->rows, cols = rows->cols;
  if (rows->kind == AL_VIEW_DENSE) {
    for (size_t i = first; i < last; i++)
      for (size_t j = 0; j < m; j++)
        out[(i - first) * m + j] = difference_norm(rows->values + i * cols, cross->fixed->values + j * cols, cols);
    return;
  }
  al_cross_dots(cross, rows, first, last, out);
  for (size_t i = first; i < last; i++)
    for (size_t j = 0; j < m; j++) {
      float *at = &out[(i - first) * m + j];
      *at = from_dot(norms[i], cross->norms[j], (double)*at, rows, i, cross->fixed, j);
    }
}

void al_dots_with_row(const al_view *rows, size_t pick, float *scratch, float *out) {
  size_t cols = rows->cols;
  if (rows->kind == AL_VIEW_DENSE) {
    for (size_t i = 0; i < rows->rows; i++) out[i] = product(rows->values + i * cols, rows->values + pick * cols, cols);
    return;
  }
  for (int64_t p = rows->begin[pick]; p < rows->end[pick]; p++) scratch[rows->indices[p]] = rows->values[p];
  for (size_t i = 0; i < rows->rows; i++) {
    float sum = 0.0F;
    for (int64_t p = rows->begin[i]; p < rows->end[i]; p++) sum += rows->values[p] * scratch[rows->indices[p]];
    out[i] = sum;
  }
  for (int64_t p = rows->begin[pick]; p < rows->end[pick]; p++) scratch[rows->indices[p]] = 0.0F;
}

void al_distances_to_row(const al_view *rows, const double *norms, size_t pick, float *scratch, float *out) {
  size_t cols = rows->cols;
  if (rows->kind == AL_VIEW_DENSE) {
    for (size_t i = 0; i < rows->rows; i++)
      out[i] = difference_norm(rows->values + i * cols, rows->values + pick * cols, cols);
    return;
  }
  al_dots_with_row(rows, pick, scratch, out);
  for (size_t i = 0; i < rows->rows; i++) out[i] = from_dot(norms[i], norms[pick], (double)out[i], rows, i, rows, pick);
}
