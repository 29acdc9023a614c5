/* herding: greedy picks whose mean in a kernel's feature space follows the pool's. The Gaussian kernel is that of 512
 * random cosine features, so that a pick is one pass over |U| x 512 numbers and no kernel matrix exists.
 *
 * Draws, all from cell_rng, so that the kernel is the same in every round: child 1 the pairs that the width is taken
 * from, child 2 the frequencies (a column of f after the other, 512 normals each), then the 512 phases. */
#include "strategy/row_products.h"
#include "strategy/space.h"

#include "base/memory.h"
#include "base/simd.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { COSINES = 512, PAIRS = 1000, BLOCK = 256 };

static const double two_pi = 6.283185307179586;

static const al_param params_of_herding[] = {AL_SPACE_PARAM, {0}};

/* ---- the kernel ---- */

typedef struct {
  double *frequency; /* D x 512 */
  double *phase;     /* 512 */
  double *block;     /* BLOCK x D, dense rows in doubles */
  double *angle;     /* BLOCK x 512 */
} kernel;

static void kernel_free(kernel *k) {
  free(k->frequency);
  free(k->phase);
  free(k->block);
  free(k->angle);
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* The median distance of 1,000 pairs of different rows; 1 where that is 0 or there is no pair. */
static al_status median_distance(const al_view *rows, al_rng rng, double *width) {
  *width = 1.0;
  if (rows->rows < 2) return AL_OK;
  double *distance = NULL;
  al_status status = AL_NEW(&distance, PAIRS);
  if (status != AL_OK) return status;
  for (size_t p = 0; p < PAIRS; p++) {
    size_t i = (size_t)al_rng_below(&rng, rows->rows), j = (size_t)al_rng_below(&rng, rows->rows - 1);
    distance[p] = sqrt(al_view_squared_distance(rows, i, rows, j + (j >= i)));
  }
  qsort(distance, PAIRS, sizeof *distance, ascending);
  double median = (distance[PAIRS / 2 - 1] + distance[PAIRS / 2]) / 2.0;
  if (median > 0.0) *width = median;
  free(distance);
  return AL_OK;
}

static al_status kernel_draw(kernel *k, size_t cols, double width, al_rng rng) {
  al_status status;
  AL_TRY(AL_NEW(&k->frequency, cols * COSINES));
  AL_TRY(AL_NEW(&k->phase, COSINES));
  AL_TRY(AL_NEW(&k->block, BLOCK * cols));
  AL_TRY(AL_NEW(&k->angle, BLOCK * COSINES));
  for (size_t i = 0; i < cols * COSINES; i++) k->frequency[i] = al_rng_normal(&rng) / width;
  for (size_t j = 0; j < COSINES; j++) k->phase[j] = two_pi * al_rng_uniform(&rng);
done:
  return status;
}

/* out = sqrt(2 / 512) cos(angle), absolute error below 1e-10: the turn's fraction, then sine's series about a quarter
 * turn. Free of branches and calls, so that it vectorises. */
AL_SIMD static void cosines(const double *restrict angle, size_t n, float *restrict out) {
  const double scale = sqrt(2.0 / COSINES), whole = 6755399441055744.0; /* 1.5 * 2^52: adding it rounds */
  for (size_t i = 0; i < n; i++) {
    double turns = angle[i] / two_pi, fraction = turns - ((turns + whole) - whole);
    double x = two_pi * (0.25 - fabs(fraction)), z = x * x;
    double series = 1.0 - z / 210.0;
    series = 1.0 - z / 156.0 * series;
    series = 1.0 - z / 110.0 * series;
    series = 1.0 - z / 72.0 * series;
    series = 1.0 - z / 42.0 * series;
    series = 1.0 - z / 20.0 * series;
    series = 1.0 - z / 6.0 * series;
    out[i] = (float)(scale * x * series);
  }
}

/* Features of rows first .. last - 1 (at most BLOCK); out: (last - first) x 512. Angles are doubles: far from the
 * origin they are many turns. */
static void kernel_features(kernel *k, const al_view *rows, size_t first, size_t last, float *out) {
  size_t n = last - first, cols = rows->cols;
  for (size_t i = 0; i < n; i++) memcpy(k->angle + i * COSINES, k->phase, COSINES * sizeof *k->phase);
  if (rows->kind == AL_VIEW_DENSE) {
    for (size_t i = 0; i < n * cols; i++) k->block[i] = (double)rows->values[first * cols + i];
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)n, COSINES, (int)cols, 1.0, k->block, (int)cols,
                k->frequency, COSINES, 1.0, k->angle, COSINES);
  } else {
    for (size_t i = 0; i < n; i++)
      for (int64_t p = rows->begin[first + i]; p < rows->end[first + i]; p++)
        cblas_daxpy(COSINES, (double)rows->values[p], k->frequency + (size_t)rows->indices[p] * COSINES, 1,
                    k->angle + i * COSINES, 1);
  }
  cosines(k->angle, n * COSINES, out);
}

/* ---- picking ---- */

static void add_rows(const float *features, size_t n, double scale, double *sum) {
  al_view view = al_view_dense(features, n, COSINES);
  for (size_t i = 0; i < n; i++) al_row_add(&view, i, scale, sum);
}

/* sum += the features of L; scratch: BLOCK x 512 */
static void add_labelled(kernel *k, const al_view *labelled, size_t m, float *scratch, double *sum) {
  for (size_t first = 0; first < m; first += BLOCK) {
    size_t last = first + BLOCK < m ? first + BLOCK : m;
    kernel_features(k, labelled, first, last, scratch);
    add_rows(scratch, last - first, 1.0, sum);
  }
}

/* The score of every item is one product with mean - sum / (t + 1). mean, sum, direction: 512; taken: |U|, false */
static void pick(const al_query *query, const al_view *features, const double *mean, double *sum, double *direction,
                 bool *taken, al_picks *picks) {
  size_t n = query->pool, k = query->batch < n ? query->batch : n;
  for (size_t i = 0; i < k; i++) {
    size_t best = n;
    double highest = 0.0;
    for (size_t j = 0; j < COSINES; j++) direction[j] = mean[j] - sum[j] / (double)(query->labelled + i + 1);
    for (size_t pos = 0; pos < n; pos++) {
      if (taken[pos]) continue;
      double score = al_row_dot(features, pos, direction);
      if (best == n || score > highest) {
        best = pos;
        highest = score;
      }
    }
    taken[best] = true;
    picks->pos[i] = (int32_t)best;
    picks->scores[i] = fmax(0.0, 1.0 + highest);
    al_row_add(features, best, 1.0, sum);
  }
  picks->count = k;
}

static al_status select_herding(const al_query *query, const json_t *params, al_picks *picks) {
  al_status status;
  bool embedding = al_space_is_embedding(params);
  const al_view *pool = al_space_pool(query, params), *labelled = al_space_labelled(query, params);
  kernel k = {0};
  double width, *vectors = NULL;
  float *features = NULL, *scratch = NULL;
  bool *taken = NULL;
  if (!embedding && query->f_all.kind == AL_VIEW_NONE)
    return al_fail(AL_BAD_INPUT, "herding needs the features of the starting pool, and none are given");
  AL_TRY(median_distance(embedding ? pool : &query->f_all, al_rng_child(&query->cell_rng, 1), &width));
  AL_TRY(kernel_draw(&k, pool->cols, width, al_rng_child(&query->cell_rng, 2)));
  AL_TRY(AL_NEW(&vectors, (size_t)3 * COSINES));
  AL_TRY(AL_NEW(&features, query->pool * COSINES));
  AL_TRY(AL_NEW(&scratch, BLOCK * COSINES));
  AL_TRY(AL_NEW(&taken, query->pool));
  double *mean = vectors, *sum = vectors + COSINES, *direction = vectors + (size_t)2 * COSINES;
  for (size_t first = 0; first < query->pool; first += BLOCK) {
    size_t last = first + BLOCK < query->pool ? first + BLOCK : query->pool;
    kernel_features(&k, pool, first, last, features + first * COSINES);
  }
  add_rows(features, query->pool, 1.0 / (double)query->pool, mean);
  add_labelled(&k, labelled, query->labelled, scratch, sum);
  al_view view = al_view_dense(features, query->pool, COSINES);
  pick(query, &view, mean, sum, direction, taken, picks);
done:
  kernel_free(&k);
  free(vectors);
  free(features);
  free(scratch);
  free(taken);
  return status;
}

const al_strategy al_strategy_herding = {
    .name = "herding",
    .family = "representativeness",
    .summary = "kernel herding: labelled items and picks together follow the pool's distribution",
    .definition =
        "Greedy: highest mu(x) - 1/(t+1) sum over L and the picks of k(x, s), mu(x) the mean of k(x, u) over U,\n"
        "t = |L| + picks so far, k = exp(-d^2 / 2 s^2) by 512 random cosine features sqrt(2/512) cos(w.x + b) that\n"
        "are the same in every round; s is the median distance of 1,000 pairs (of the starting pool; space\n"
        "embedding: of U), 1 where that is 0. Printed: the score plus 1, at least 0.",
    .citation = "Chen, Welling and Smola 2010; features: Rahimi and Recht 2007",
    .cost = "time O(512 (|U| + |L|) D + 512 k |U|) (CSR: non-zeros in place of D), memory 2 KiB an item of U",
    .multi = true,
    .params = params_of_herding,
    .needs = al_space_needs,
    .select = select_herding,
};
