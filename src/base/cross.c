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

/* Fixed rows a tile, so that a tile stays in the cache while the other side streams by. */
enum { TILE_VALUES = 6144 };

AL_SIMD static void dense_distances(const float *restrict rows, size_t n, const float *restrict fixed, size_t m,
                                    size_t cols, float *restrict out) {
  size_t tile = cols >= TILE_VALUES ? 1 : TILE_VALUES / (cols == 0 ? 1 : cols);
  for (size_t from = 0; from < m; from += tile) {
    size_t to = m - from < tile ? m : from + tile;
    for (size_t i = 0; i < n; i++)
      for (size_t j = from; j < to; j++) out[i * m + j] = al_squared_gap(rows + i * cols, fixed + j * cols, cols);
  }
}

AL_SIMD static void dense_distances_to(const float *rows, size_t n, const float *to, size_t cols, float *restrict out) {
  for (size_t i = 0; i < n; i++) out[i] = al_squared_gap(rows + i * cols, to, cols);
}

AL_SIMD static void dense_products(const float *rows, size_t n, const float *with, size_t cols, float *restrict out) {
  for (size_t i = 0; i < n; i++) out[i] = al_product(rows + i * cols, with, cols);
}

/* listed NULL: rows first .. first + n - 1 of `others`. */
AL_SIMD static float dense_least(const float *row, const float *others, const int32_t *listed, size_t first, size_t n,
                                 size_t cols, float least) {
  for (size_t j = 0; j < n; j++) {
    size_t at = listed == NULL ? first + j : (size_t)listed[j];
    float squared = al_squared_gap(row, others + at * cols, cols);
    least = squared < least ? squared : least;
  }
  return least;
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
    dense_distances(rows->values + first * cols, last - first, cross->fixed->values, m, cols, out);
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
    dense_products(rows->values, rows->rows, rows->values + pick * cols, cols, out);
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
    dense_distances_to(rows->values, rows->rows, rows->values + pick * cols, cols, out);
    return;
  }
  al_dots_with_row(rows, pick, scratch, out);
  for (size_t i = 0; i < rows->rows; i++) out[i] = from_dot(norms[i], norms[pick], (double)out[i], rows, i, rows, pick);
}

float al_least_of(const al_view *rows, const double *norms, size_t i, const al_view *others, const double *other_norms,
                  const int32_t *listed, size_t first, size_t n, float *scratch, float least) {
  size_t cols = rows->cols;
  if (rows->kind == AL_VIEW_DENSE)
    return dense_least(rows->values + i * cols, others->values, listed, first, n, cols, least);
  for (int64_t p = rows->begin[i]; p < rows->end[i]; p++) scratch[rows->indices[p]] = rows->values[p];
  for (size_t j = 0; j < n; j++) {
    size_t at = listed == NULL ? first + j : (size_t)listed[j];
    float dot = 0.0F;
    for (int64_t p = others->begin[at]; p < others->end[at]; p++)
      dot += others->values[p] * scratch[others->indices[p]];
    float squared = from_dot(norms[i], other_norms[at], (double)dot, rows, i, others, at);
    least = squared < least ? squared : least;
  }
  for (int64_t p = rows->begin[i]; p < rows->end[i]; p++) scratch[rows->indices[p]] = 0.0F;
  return least;
}
