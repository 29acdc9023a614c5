/* Balls on the unit sphere, a block of centres against all rows at a time: never n x n. */
#include "strategy/coverage.h"

#include "base/cross.h"
#include "base/memory.h"
#include "base/simd.h"
#include "strategy/row_products.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CENTRES = 128, ROWS = 256 };

/* Error of a squared distance that is expanded from float32 products, as a share of the two squared norms: tens of
 * times what sgemm is seen to do at a few thousand columns. */
static const double doubt = 2e-5;

/* ---- unit rows ---- */

static const al_view *source(const al_view *first, const al_view *second, const int32_t *which, size_t i, size_t *row) {
  *row = i;
  if (i < first->rows) return first;
  *row = which == NULL ? i - first->rows : (size_t)which[i - first->rows];
  return second;
}

static double inverse_norm(const al_view *view, size_t row) {
  double squared = al_row_squared_norm(view, row);
  return squared > 0.0 ? 1.0 / sqrt(squared) : 0.0;
}

static al_status make_dense(al_sphere *s, const al_view *first, const al_view *second, const int32_t *which, size_t n) {
  al_status status;
  size_t rows = first->rows + n, cols = first->rows != 0 ? first->cols : second->cols, row;
  double *mean = NULL;
  AL_TRY(AL_NEW(&mean, cols));
  AL_TRY(AL_NEW(&s->values, rows * cols));
  for (size_t i = 0; i < rows; i++) {
    const al_view *from = source(first, second, which, i, &row);
    al_row_add(from, row, inverse_norm(from, row) / (double)rows, mean);
  }
  for (size_t i = 0; i < rows; i++) {
    const al_view *from = source(first, second, which, i, &row);
    double scale = inverse_norm(from, row);
    for (size_t c = 0; c < cols; c++)
      s->values[i * cols + c] = (float)(scale * (double)from->values[row * cols + c] - mean[c]);
  }
  s->view = al_view_dense(s->values, rows, cols);
done:
  free(mean);
  return status;
}

static al_status make_csr(al_sphere *s, const al_view *first, const al_view *second, const int32_t *which, size_t n) {
  al_status status;
  size_t rows = first->rows + n, row;
  AL_TRY(AL_NEW(&s->begin, rows + 1));
  for (size_t i = 0; i < rows; i++) {
    const al_view *from = source(first, second, which, i, &row);
    s->begin[i + 1] = s->begin[i] + (from->end[row] - from->begin[row]);
  }
  AL_TRY(AL_NEW(&s->values, (size_t)s->begin[rows]));
  AL_TRY(AL_NEW(&s->indices, (size_t)s->begin[rows]));
  for (size_t i = 0; i < rows; i++) {
    const al_view *from = source(first, second, which, i, &row);
    double scale = inverse_norm(from, row);
    int64_t to = s->begin[i];
    for (int64_t p = from->begin[row]; p < from->end[row]; p++, to++) {
      s->indices[to] = from->indices[p];
      s->values[to] = (float)(scale * (double)from->values[p]);
    }
  }
  s->view = al_view_csr(s->begin, s->indices, s->values, rows, first->rows != 0 ? first->cols : second->cols);
done:
  return status;
}

al_status al_sphere_make(al_sphere *s, const al_view *first, const al_view *second, const int32_t *which, size_t n) {
  al_status status;
  *s = (al_sphere){0};
  bool sparse = (first->rows != 0 ? first : second)->kind == AL_VIEW_CSR;
  AL_TRY(sparse ? make_csr(s, first, second, which, n) : make_dense(s, first, second, which, n));
  AL_TRY(AL_NEW(&s->norms, s->view.rows));
  for (size_t i = 0; i < s->view.rows; i++) s->norms[i] = al_row_squared_norm(&s->view, i);
done:
  return status;
}

void al_sphere_free(al_sphere *s) {
  free(s->norms);
  free(s->values);
  free(s->indices);
  free(s->begin);
  *s = (al_sphere){0};
}

/* ---- the radius ---- */

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* least[j]: squared distance of centre j to the nearest point of another label, INFINITY without one. dots: ROWS x n */
static al_status nearest_other(const al_sphere *s, const int32_t *label, const int32_t *centres, size_t n, float *dots,
                               double *least) {
  al_status status;
  al_subset subset = {0};
  al_cross *cross = NULL;
  al_view block;
  AL_TRY(al_view_take(&block, &s->view, centres, n, &subset));
  AL_TRY(al_cross_new(&cross, &block));
  for (size_t j = 0; j < n; j++) least[j] = INFINITY;
  for (size_t first = 0; first < s->view.rows; first += ROWS) {
    size_t last = first + ROWS < s->view.rows ? first + ROWS : s->view.rows;
    al_cross_dots(cross, &s->view, first, last, dots);
    for (size_t i = first; i < last; i++)
      for (size_t j = 0; j < n; j++) {
        double norms = s->norms[i] + s->norms[centres[j]];
        if (norms * (1.0 - doubt) - 2.0 * (double)dots[(i - first) * n + j] >= least[j]) continue;
        if (label[i] == label[centres[j]]) continue;
        least[j] = fmin(least[j], al_view_squared_distance(&s->view, i, &s->view, (size_t)centres[j]));
      }
  }
done:
  al_subset_free(&subset);
  al_cross_free(cross);
  return status;
}

al_status al_pure_radius(double *squared, const al_sphere *s, const int32_t *label, const int32_t *centres, size_t n) {
  al_status status;
  double *least = NULL;
  float *dots = NULL;
  AL_TRY(AL_NEW(&least, n));
  AL_TRY(AL_NEW(&dots, (size_t)ROWS * CENTRES));
  for (size_t first = 0; first < n; first += CENTRES) {
    size_t count = n - first < CENTRES ? n - first : CENTRES;
    AL_TRY(nearest_other(s, label, centres + first, count, dots, least + first));
  }
  qsort(least, n, sizeof *least, ascending);
  size_t pure = (95 * n + 99) / 100; /* so many of the highest must reach the radius */
  *squared = n == 0 || !isfinite(least[n - pure]) ? 4.0 : least[n - pure];
done:
  free(least);
  free(dots);
  return status;
}

/* ---- balls ---- */

struct al_balls {
  const al_sphere *sphere;
  double squared;
  int64_t *begin;  /* n + 1, or NULL: not listed */
  int32_t *member; /* begin[n] */
  int32_t *found;  /* CENTRES x n: members of a block's balls */
  float *dots;     /* ROWS x CENTRES */
  al_subset subset;
};

AL_SIMD static void mark_near(const float *restrict dots, const float *restrict norms, float limit, size_t n,
                              uint8_t *restrict near) {
  for (size_t j = 0; j < n; j++) near[j] = dots[j] - norms[j] > limit;
}

/* Is row i inside the ball of centre j, given their product? */
static bool inside(const al_balls *b, size_t i, size_t centre, double dot) {
  const al_sphere *s = b->sphere;
  double norms = s->norms[i] + s->norms[centre], squared = norms - 2.0 * dot;
  if (squared < b->squared - doubt * norms) return true;
  return al_view_squared_distance(&s->view, i, &s->view, centre) < b->squared;
}

/* Members of the balls of n <= CENTRES centres into `found`; count: n. */
static al_status find(al_balls *b, const int32_t *centres, size_t n, size_t *count) {
  al_status status;
  const al_sphere *s = b->sphere;
  al_cross *cross = NULL;
  al_view block;
  float norms[CENTRES];
  uint8_t near[CENTRES + 8] = {0}; /* read eight at a time */
  double share = 0.5 * (1.0 - doubt);
  AL_TRY(al_view_take(&block, &s->view, centres, n, &b->subset));
  AL_TRY(al_cross_new(&cross, &block));
  for (size_t j = 0; j < n; j++) {
    norms[j] = (float)(share * s->norms[centres[j]]);
    count[j] = 0;
  }
  for (size_t first = 0; first < s->view.rows; first += ROWS) {
    size_t last = first + ROWS < s->view.rows ? first + ROWS : s->view.rows;
    al_cross_dots(cross, &s->view, first, last, b->dots);
    for (size_t i = first; i < last; i++) {
      const float *dots = b->dots + (i - first) * n;
      mark_near(dots, norms, (float)(share * s->norms[i] - 0.5 * b->squared), n, near);
      for (size_t j = 0; j < n; j += 8) {
        uint64_t eight;
        memcpy(&eight, near + j, sizeof eight);
        if (eight == 0) continue;
        for (size_t l = j; l < j + 8 && l < n; l++)
          if (near[l] && inside(b, i, (size_t)centres[l], (double)dots[l]))
            b->found[l * s->view.rows + count[l]++] = (int32_t)i;
      }
    }
  }
done:
  al_cross_free(cross);
  return status;
}

static al_status list_all(al_balls *b, size_t most) {
  al_status status;
  size_t n = b->sphere->view.rows, capacity = 0, count[CENTRES];
  int32_t centres[CENTRES];
  AL_TRY(AL_NEW(&b->begin, n + 1));
  for (size_t first = 0; first < n; first += CENTRES) {
    size_t size = n - first < CENTRES ? n - first : CENTRES;
    for (size_t j = 0; j < size; j++) centres[j] = (int32_t)(first + j);
    AL_TRY(find(b, centres, size, count));
    for (size_t j = 0; j < size; j++) {
      size_t begin = (size_t)b->begin[first + j];
      b->begin[first + j + 1] = (int64_t)(begin + count[j]);
      if (begin + count[j] > most) { /* too many: measured anew at each visit */
        free(b->begin);
        free(b->member);
        b->begin = NULL;
        b->member = NULL;
        goto done;
      }
      AL_TRY(al_grow(&b->member, &capacity, begin + count[j] + 1, sizeof *b->member));
      memcpy(b->member + begin, b->found + j * n, count[j] * sizeof *b->member);
    }
  }
done:
  return status;
}

al_status al_balls_new(al_balls **out, const al_sphere *sphere, double squared, size_t most) {
  al_status status;
  al_balls *b = NULL;
  *out = NULL;
  AL_TRY(AL_NEW(&b, 1));
  b->sphere = sphere;
  b->squared = squared;
  AL_TRY(AL_NEW(&b->found, CENTRES * sphere->view.rows));
  AL_TRY(AL_NEW(&b->dots, (size_t)ROWS * CENTRES));
  if (most > 0) AL_TRY(list_all(b, most));
  *out = b;
  b = NULL;
done:
  al_balls_free(b);
  return status;
}

void al_balls_free(al_balls *b) {
  if (b == NULL) return;
  free(b->begin);
  free(b->member);
  free(b->found);
  free(b->dots);
  al_subset_free(&b->subset);
  free(b);
}

bool al_balls_listed(const al_balls *b) { return b->begin != NULL; }

al_status al_balls_visit(al_balls *b, const int32_t *centres, size_t n, al_meet meet, void *context) {
  if (b->begin != NULL) {
    for (size_t j = 0; j < n; j++) {
      int64_t begin = b->begin[centres[j]];
      meet(context, centres[j], b->member + begin, (size_t)(b->begin[centres[j] + 1] - begin));
    }
    return AL_OK;
  }
  size_t count[CENTRES];
  for (size_t first = 0; first < n; first += CENTRES) {
    size_t size = n - first < CENTRES ? n - first : CENTRES;
    al_status status = find(b, centres + first, size, count);
    if (status != AL_OK) return status;
    for (size_t j = 0; j < size; j++) meet(context, centres[first + j], b->found + j * b->sphere->view.rows, count[j]);
  }
  return AL_OK;
}
