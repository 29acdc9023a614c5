/* Gaussian random projection (Johnson and Lindenstrauss 1984), by blocks of rows. */
#include "strategy/projection.h"

#include "base/memory.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 256 };

al_status al_gaussian_map(double **map, size_t cols, size_t dims, al_rng rng) {
  al_status status = AL_NEW(map, cols * dims);
  for (size_t i = 0; status == AL_OK && i < cols * dims; i++) (*map)[i] = al_rng_normal(&rng) / sqrt((double)dims);
  return status;
}

al_status al_project(float **out, const al_view *h, const double *map, size_t dims) {
  al_status status;
  double *rows = NULL, *sums = NULL;
  bool dense = h->kind == AL_VIEW_DENSE;
  *out = NULL;
  AL_TRY(AL_NEW(out, h->rows * dims));
  AL_TRY(AL_NEW(&sums, BLOCK * dims));
  if (dense) AL_TRY(AL_NEW(&rows, BLOCK * h->cols));
  for (size_t start = 0; start < h->rows; start += BLOCK) {
    size_t size = h->rows - start < BLOCK ? h->rows - start : BLOCK;
    if (dense && h->cols != 0) {
      for (size_t i = 0; i < size * h->cols; i++) rows[i] = (double)h->values[start * h->cols + i];
      cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)size, (int)dims, (int)h->cols, 1.0, rows,
                  (int)h->cols, map, (int)dims, 0.0, sums, (int)dims);
    } else if (!dense) {
      memset(sums, 0, size * dims * sizeof *sums);
      for (size_t i = 0; i < size; i++)
        for (int64_t at = h->begin[start + i]; at < h->end[start + i]; at++)
          cblas_daxpy((int)dims, (double)h->values[at], map + (size_t)h->indices[at] * dims, 1, sums + i * dims, 1);
    }
    for (size_t i = 0; i < size * dims; i++) (*out)[start * dims + i] = (float)sums[i];
  }
done:
  free(rows);
  free(sums);
  return status;
}
