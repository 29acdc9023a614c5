/* Nearest points. The float32 expansion |c|^2 - 2 x.c, with x and c centred, finds the best and how far behind the
 * second lies; the error of a float32 product of n terms is below n 2^-24 |x| |c|, and what it cannot tell apart is
 * told apart in double. So a result never depends on BLAS, block size or the order of rows. */
#include "strategy/closest.h"

#include "base/memory.h"
#include "base/simd.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_BLOCK = 256, PRODUCTS = 1 << 18 };

static const float far_away = 3e38F;

struct al_closest {
  al_view_kind kind;
  size_t m, cols, block;
  const double *points;    /* m x cols, as given */
  double *norms, *middle;  /* m: |c|^2 as given; cols: mean of the points (0 for CSR) */
  float *centred, *offset; /* m x cols, minus the middle (CSR: cols x m, transposed); m: |c - middle|^2 */
  float *origin;           /* cols: the middle as float32 */
  double longest;          /* the largest |c - middle| */
  float *rows, *products;  /* block x cols, centred (dense only); block x m */
  double *lengths;         /* block: |x - middle|^2 */
};

al_status al_closest_new(al_closest **out, al_view_kind kind, size_t m, size_t cols) {
  al_status status;
  al_closest *c = NULL;
  *out = NULL;
  AL_TRY(AL_NEW(&c, 1));
  c->kind = kind;
  c->m = m;
  c->cols = cols;
  c->block = PRODUCTS / (m == 0 ? 1 : m);
  c->block = c->block < 16 ? 16 : c->block > MOST_BLOCK ? MOST_BLOCK : c->block;
  AL_TRY(AL_NEW(&c->norms, m));
  AL_TRY(AL_NEW(&c->middle, cols));
  AL_TRY(AL_NEW(&c->origin, cols));
  AL_TRY(AL_NEW(&c->centred, m * cols));
  AL_TRY(AL_NEW(&c->offset, m));
  AL_TRY(AL_NEW(&c->rows, kind == AL_VIEW_DENSE ? c->block * cols : 0));
  AL_TRY(AL_NEW(&c->products, c->block * m));
  AL_TRY(AL_NEW(&c->lengths, c->block));
  *out = c;
  c = NULL;
done:
  al_closest_free(c);
  return status;
}

void al_closest_free(al_closest *c) {
  if (c == NULL) return;
  free(c->norms);
  free(c->middle);
  free(c->origin);
  free(c->centred);
  free(c->offset);
  free(c->rows);
  free(c->products);
  free(c->lengths);
  free(c);
}

void al_closest_points(al_closest *c, const double *points) {
  bool dense = c->kind == AL_VIEW_DENSE;
  c->points = points;
  c->longest = 0.0;
  memset(c->middle, 0, c->cols * sizeof *c->middle);
  for (size_t j = 0; dense && j < c->m; j++)
    for (size_t d = 0; d < c->cols; d++) c->middle[d] += points[j * c->cols + d] / (double)c->m;
  for (size_t d = 0; d < c->cols; d++) c->origin[d] = (float)c->middle[d];
  for (size_t j = 0; j < c->m; j++) {
    double norm = 0.0, offset = 0.0;
    for (size_t d = 0; d < c->cols; d++) {
      double value = points[j * c->cols + d], centred = value - (double)c->origin[d];
      norm += value * value;
      offset += centred * centred;
      c->centred[dense ? j * c->cols + d : d * c->m + j] = (float)centred;
    }
    c->norms[j] = norm;
    c->offset[j] = (float)offset;
    if (sqrt(offset) > c->longest) c->longest = sqrt(offset);
  }
}

AL_SIMD static double squared_gap(const float *restrict x, const double *restrict point, size_t n) {
  double lanes[AL_LANES] = {0}, sum = 0.0;
  size_t i = 0;
  for (; i + AL_LANES <= n; i += AL_LANES)
    for (size_t l = 0; l < AL_LANES; l++) {
      double gap = (double)x[i + l] - point[i + l];
      lanes[l] += gap * gap;
    }
  for (; i < n; i++) {
    double gap = (double)x[i] - point[i];
    lanes[i % AL_LANES] += gap * gap;
  }
  for (size_t l = 0; l < AL_LANES; l++) sum += lanes[l];
  return sum;
}

double al_squared_to_point(const al_view *rows, size_t row, const double *point, double norm) {
  if (rows->kind == AL_VIEW_DENSE) return squared_gap(rows->values + row * rows->cols, point, rows->cols);
  double own = 0.0, dot = 0.0;
  for (int64_t p = rows->begin[row]; p < rows->end[row]; p++) {
    own += (double)rows->values[p] * (double)rows->values[p];
    dot += (double)rows->values[p] * point[rows->indices[p]];
  }
  double squared = own + norm - 2.0 * dot;
  if (squared > 1e-4 * (own + norm)) return squared;
  squared = 0.0;
  int64_t p = rows->begin[row];
  for (size_t d = 0; d < rows->cols; d++) {
    bool stored = p < rows->end[row] && (size_t)rows->indices[p] == d;
    double gap = (stored ? (double)rows->values[p] : 0.0) - point[d];
    squared += gap * gap;
    p += stored;
  }
  return squared;
}

/* out = x - origin, and the squared norm of it */
AL_SIMD static double centre(const float *restrict x, const float *restrict origin, size_t n, float *restrict out) {
  double lanes[AL_LANES] = {0}, sum = 0.0;
  size_t i = 0;
  for (; i + AL_LANES <= n; i += AL_LANES)
    for (size_t l = 0; l < AL_LANES; l++) {
      out[i + l] = x[i + l] - origin[i + l];
      lanes[l] += (double)out[i + l] * (double)out[i + l];
    }
  for (; i < n; i++) {
    out[i] = x[i] - origin[i];
    lanes[i % AL_LANES] += (double)out[i] * (double)out[i];
  }
  for (size_t l = 0; l < AL_LANES; l++) sum += lanes[l];
  return sum;
}

AL_SIMD static void add_scaled(float *restrict out, const float *restrict from, float factor, size_t n) {
  for (size_t j = 0; j < n; j++) out[j] += factor * from[j];
}

/* Products of the rows which[0 .. n-1], n <= block, with all points, and |x - middle|^2. */
static void multiply(al_closest *c, const al_view *rows, const int32_t *which, size_t first, size_t n) {
  if (c->kind == AL_VIEW_DENSE) {
    for (size_t i = 0; i < n; i++) {
      size_t row = which == NULL ? first + i : (size_t)which[first + i];
      c->lengths[i] = centre(rows->values + row * c->cols, c->origin, c->cols, c->rows + i * c->cols);
    }
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)n, (int)c->m, (int)c->cols, 1.0F, c->rows, (int)c->cols,
                c->centred, (int)c->cols, 0.0F, c->products, (int)c->m);
    return;
  }
  memset(c->products, 0, n * c->m * sizeof *c->products);
  for (size_t i = 0; i < n; i++) {
    size_t row = which == NULL ? first + i : (size_t)which[first + i];
    c->lengths[i] = 0.0;
    for (int64_t p = rows->begin[row]; p < rows->end[row]; p++) {
      float value = rows->values[p];
      c->lengths[i] += (double)value * (double)value;
      add_scaled(c->products + i * c->m, c->centred + (size_t)rows->indices[p] * c->m, value, c->m);
    }
  }
}

/* The least and the second least of offset - 2 product, and where the least is (one of them on ties). */
AL_SIMD static size_t two_least(const float *restrict product, const float *restrict offset, size_t m, float *least,
                                float *second) {
  float best[AL_LANES], next[AL_LANES];
  int32_t at[AL_LANES];
  for (size_t l = 0; l < AL_LANES; l++) {
    best[l] = next[l] = far_away;
    at[l] = 0;
  }
  size_t j = 0;
  for (; j + AL_LANES <= m; j += AL_LANES)
    for (size_t l = 0; l < AL_LANES; l++) {
      float value = offset[j + l] - 2.0F * product[j + l], larger = value > best[l] ? value : best[l];
      next[l] = larger < next[l] ? larger : next[l];
      at[l] = value < best[l] ? (int32_t)(j + l) : at[l];
      best[l] = value < best[l] ? value : best[l];
    }
  for (; j < m; j++) {
    size_t l = j % AL_LANES;
    float value = offset[j] - 2.0F * product[j], larger = value > best[l] ? value : best[l];
    next[l] = larger < next[l] ? larger : next[l];
    at[l] = value < best[l] ? (int32_t)j : at[l];
    best[l] = value < best[l] ? value : best[l];
  }
  size_t winner = 0;
  for (size_t l = 1; l < AL_LANES; l++)
    if (best[l] < best[winner]) winner = l;
  *least = best[winner];
  *second = next[winner];
  for (size_t l = 0; l < AL_LANES; l++)
    if (l != winner && best[l] < *second) *second = best[l];
  return (size_t)at[winner];
}

void al_closest_find(al_closest *c, const al_view *rows, const int32_t *which, size_t n, int32_t *nearest, float *upper,
                     float *lower) {
  for (size_t first = 0; first < n; first += c->block) {
    size_t count = first + c->block < n ? c->block : n - first;
    multiply(c, rows, which, first, count);
    for (size_t i = 0; i < count; i++) {
      size_t row = which == NULL ? first + i : (size_t)which[first + i];
      const float *product = c->products + i * c->m;
      float least, second;
      size_t terms = c->kind == AL_VIEW_DENSE ? c->cols : (size_t)(rows->end[row] - rows->begin[row]);
      double length = sqrt(c->lengths[i]);
      double error = 0x1p-24 * ((2.0 * (double)terms + 8.0) * length * c->longest + 2.0 * c->longest * c->longest);
      size_t rough = two_least(product, c->offset, c->m, &least, &second), best = rough;
      double squared = (double)least + error + c->lengths[i] * (1.0 + 0x1p-21); /* an upper bound */
      if (second <= least + 2.0 * error) {
        squared = INFINITY;
        for (size_t j = 0; j < c->m; j++) {
          if ((double)c->offset[j] - 2.0 * (double)product[j] > (double)least + 2.5 * error) continue;
          double exact = al_squared_to_point(rows, row, c->points + j * c->cols, c->norms[j]);
          if (exact < squared) {
            squared = exact;
            best = j;
          }
        }
      }
      nearest[row] = (int32_t)best;
      if (upper != NULL) upper[row] = (float)(sqrt(fmax(squared, 0.0)) * (1.0 + 0x1p-21));
      if (lower != NULL) {
        double other = (double)(best == rough ? second : least) - error + c->lengths[i] * (1.0 - 0x1p-21);
        lower[row] = other > 0.0 ? (float)(sqrt(other) * (1.0 - 0x1p-21)) : 0.0F;
      }
    }
  }
}
