/* Views and their row kernels. Dense products go to BLAS, sparse ones walk the rows. */
#include "base/matrix.h"

#include "base/memory.h"
#include "base/simd.h"

#include <assert.h>
#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

al_view al_view_dense(const float *values, size_t rows, size_t cols) {
  return (al_view){.kind = AL_VIEW_DENSE, .rows = rows, .cols = cols, .values = values};
}

al_view al_view_csr(const int64_t *indptr, const int32_t *indices, const float *values, size_t rows, size_t cols) {
  return (al_view){.kind = AL_VIEW_CSR,
                   .rows = rows,
                   .cols = cols,
                   .values = values,
                   .begin = indptr,
                   .end = indptr + 1,
                   .indices = indices};
}

al_status al_view_take(al_view *out, const al_view *all, const int32_t *rows, size_t n, al_subset *subset) {
  *out = (al_view){.kind = all->kind, .rows = n, .cols = all->cols};
  if (all->kind == AL_VIEW_NONE) return AL_OK;
  if (all->kind == AL_VIEW_DENSE) {
    al_status status = al_grow(&subset->values, &subset->value_capacity, n * all->cols + 1, sizeof *subset->values);
    if (status != AL_OK) return status;
    for (size_t i = 0; i < n; i++) {
      assert(rows[i] >= 0 && (size_t)rows[i] < all->rows);
      memcpy(subset->values + i * all->cols, all->values + (size_t)rows[i] * all->cols, all->cols * sizeof(float));
    }
    out->values = subset->values;
    return AL_OK;
  }
  size_t capacity = subset->row_capacity;
  al_status status = al_grow(&subset->begin, &capacity, n + 1, sizeof *subset->begin);
  capacity = subset->row_capacity;
  if (status == AL_OK) status = al_grow(&subset->end, &capacity, n + 1, sizeof *subset->end);
  if (status != AL_OK) return status;
  subset->row_capacity = capacity;
  for (size_t i = 0; i < n; i++) {
    assert(rows[i] >= 0 && (size_t)rows[i] < all->rows);
    subset->begin[i] = all->begin[rows[i]];
    subset->end[i] = all->end[rows[i]];
  }
  out->begin = subset->begin;
  out->end = subset->end;
  out->indices = all->indices;
  out->values = all->values;
  return AL_OK;
}

void al_subset_free(al_subset *subset) {
  free(subset->values);
  free(subset->begin);
  free(subset->end);
  *subset = (al_subset){0};
}

AL_SIMD static void dense_squared_norms(const float *values, size_t rows, size_t cols, double *restrict out) {
  for (size_t i = 0; i < rows; i++, values += cols) {
    double lanes[AL_LANES] = {0}, sum = 0.0;
    size_t c = 0;
    for (; c + AL_LANES <= cols; c += AL_LANES)
      for (size_t l = 0; l < AL_LANES; l++) lanes[l] += (double)values[c + l] * (double)values[c + l];
    for (; c < cols; c++) sum += (double)values[c] * (double)values[c];
    for (size_t width = AL_LANES / 2; width > 0; width /= 2)
      for (size_t l = 0; l < width; l++) lanes[l] += lanes[l + width];
    out[i] = lanes[0] + sum;
  }
}

void al_view_squared_norms(const al_view *view, double *out) {
  if (view->kind == AL_VIEW_DENSE)
    dense_squared_norms(view->values, view->rows, view->cols, out);
  else
    for (size_t i = 0; i < view->rows; i++) out[i] = al_view_dot(view, i, view, i);
}

static double dense_dot(const float *a, const float *b, size_t n) {
  double sum = 0.0;
  for (size_t i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
  return sum;
}

static double csr_dot(const al_view *a, size_t i, const al_view *b, size_t j) {
  int64_t p = a->begin[i], p_end = a->end[i], q = b->begin[j], q_end = b->end[j];
  double sum = 0.0;
  while (p < p_end && q < q_end) {
    int32_t left = a->indices[p], right = b->indices[q];
    if (left == right) sum += (double)a->values[p] * (double)b->values[q];
    p += left <= right;
    q += right <= left;
  }
  return sum;
}

static double mixed_dot(const al_view *sparse, size_t i, const float *dense) {
  double sum = 0.0;
  for (int64_t p = sparse->begin[i]; p < sparse->end[i]; p++)
    sum += (double)sparse->values[p] * (double)dense[sparse->indices[p]];
  return sum;
}

double al_view_dot(const al_view *a, size_t i, const al_view *b, size_t j) {
  assert(a->cols == b->cols && i < a->rows && j < b->rows);
  if (a->kind == AL_VIEW_DENSE && b->kind == AL_VIEW_DENSE)
    return dense_dot(a->values + i * a->cols, b->values + j * b->cols, a->cols);
  if (a->kind == AL_VIEW_DENSE) return mixed_dot(b, j, a->values + i * a->cols);
  if (b->kind == AL_VIEW_DENSE) return mixed_dot(a, i, b->values + j * b->cols);
  return csr_dot(a, i, b, j);
}

double al_view_squared_distance(const al_view *a, size_t i, const al_view *b, size_t j) {
  assert(a->cols == b->cols && i < a->rows && j < b->rows && a->kind == b->kind);
  double sum = 0.0;
  if (a->kind == AL_VIEW_DENSE) {
    const float *x = a->values + i * a->cols, *y = b->values + j * b->cols;
    for (size_t c = 0; c < a->cols; c++) {
      double difference = (double)x[c] - (double)y[c];
      sum += difference * difference;
    }
    return sum;
  }
  int64_t p = a->begin[i], p_end = a->end[i], q = b->begin[j], q_end = b->end[j];
  while (p < p_end || q < q_end) {
    int32_t left = p < p_end ? a->indices[p] : INT32_MAX, right = q < q_end ? b->indices[q] : INT32_MAX;
    double difference = (left <= right ? (double)a->values[p] : 0.0) - (right <= left ? (double)b->values[q] : 0.0);
    sum += difference * difference;
    p += left <= right;
    q += right <= left;
  }
  return sum;
}

void al_view_row(const al_view *view, size_t i, float *out) {
  if (view->kind == AL_VIEW_DENSE) {
    memcpy(out, view->values + i * view->cols, view->cols * sizeof *out);
    return;
  }
  memset(out, 0, view->cols * sizeof *out);
  for (int64_t p = view->begin[i]; p < view->end[i]; p++) out[view->indices[p]] = view->values[p];
}

void al_view_cross(const al_view *a, const al_view *b, float *scratch, float *out) {
  assert(a->cols == b->cols);
  size_t m = b->rows;
  if (a->kind == AL_VIEW_DENSE && b->kind == AL_VIEW_DENSE) {
    if (a->rows != 0 && m != 0)
      cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)a->rows, (int)m, (int)a->cols, 1.0F, a->values,
                  (int)a->cols, b->values, (int)a->cols, 0.0F, out, (int)m);
    return;
  }
  if (a->kind == AL_VIEW_CSR && b->kind == AL_VIEW_CSR) {
    for (size_t j = 0; j < m; j++) {
      for (int64_t p = b->begin[j]; p < b->end[j]; p++) scratch[b->indices[p]] = b->values[p];
      for (size_t i = 0; i < a->rows; i++) {
        float sum = 0.0F;
        for (int64_t p = a->begin[i]; p < a->end[i]; p++) sum += a->values[p] * scratch[a->indices[p]];
        out[i * m + j] = sum;
      }
      for (int64_t p = b->begin[j]; p < b->end[j]; p++) scratch[b->indices[p]] = 0.0F;
    }
    return;
  }
  for (size_t i = 0; i < a->rows; i++)
    for (size_t j = 0; j < m; j++) out[i * m + j] = (float)al_view_dot(a, i, b, j);
}

/* x - x is 0 unless x is NaN or infinite, and then it is NaN and so is the sum. */
AL_SIMD static bool all_finite(const float *values, size_t n) {
  float lanes[4 * AL_LANES] = {0}, sum = 0.0F;
  size_t i = 0;
  for (; i + 4 * AL_LANES <= n; i += 4 * AL_LANES)
    for (size_t l = 0; l < 4 * AL_LANES; l++) lanes[l] += values[i + l] - values[i + l];
  for (; i < n; i++) sum += values[i] - values[i];
  for (size_t l = 0; l < 4 * AL_LANES; l++) sum += lanes[l];
  return sum == 0.0F;
}

bool al_view_finite(const al_view *view, size_t *row, size_t *col) {
  if (view->kind == AL_VIEW_DENSE && all_finite(view->values, view->rows * view->cols)) return true;
  for (size_t i = 0; i < view->rows; i++) {
    if (view->kind == AL_VIEW_DENSE) {
      for (size_t c = 0; c < view->cols; c++)
        if (!isfinite(view->values[i * view->cols + c])) {
          *row = i;
          *col = c;
          return false;
        }
    } else if (view->kind == AL_VIEW_CSR) {
      for (int64_t p = view->begin[i]; p < view->end[i]; p++)
        if (!isfinite(view->values[p])) {
          *row = i;
          *col = (size_t)view->indices[p];
          return false;
        }
    }
  }
  return true;
}
