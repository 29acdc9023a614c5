/* k-means: a k-means++ start, then Lloyd's algorithm with Hamerly's bounds. Centres and their means are double; every
 * assignment is what double arithmetic names nearest (strategy/closest.h), so neither BLAS nor the bounds show in a
 * result. */
#include "strategy/kmeans.h"

#include "base/cross.h"
#include "base/memory.h"
#include "base/simd.h"
#include "base/topk.h"
#include "strategy/closest.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_ROUNDS = 100 };

/* ---- D^2 sampling ---- */

/* Row number `skip` of those not picked yet. */
static size_t unpicked(const bool *is_picked, size_t n, uint64_t skip) {
  for (size_t i = 0; i < n; i++)
    if (!is_picked[i] && skip-- == 0) return i;
  return n - 1;
}

al_status al_d2_sample(const al_view *rows, const double *weights, size_t k, double *least, bool counted, al_rng *rng,
                       int32_t *picked, double *scores) {
  al_status status;
  size_t n = rows->rows;
  float *scratch = NULL, *distance = NULL;
  double *norms = NULL, *mass = NULL;
  bool *is_picked = NULL;
  AL_TRY(AL_NEW(&scratch, rows->cols));
  AL_TRY(AL_NEW(&distance, n));
  AL_TRY(AL_NEW(&norms, rows->kind == AL_VIEW_CSR ? n : 0));
  AL_TRY(AL_NEW(&mass, weights == NULL ? 0 : n));
  AL_TRY(AL_NEW(&is_picked, n));
  if (rows->kind == AL_VIEW_CSR) al_view_squared_norms(rows, norms);
  for (size_t i = 0; i < k; i++) {
    bool nothing = i == 0 && !counted;
    double total = 0.0;
    const double *chances = weights != NULL ? (nothing ? weights : mass) : nothing ? NULL : least;
    for (size_t row = 0; weights != NULL && !nothing && row < n; row++) mass[row] = weights[row] * least[row];
    for (size_t row = 0; chances != NULL && row < n; row++) total += chances[row];
    size_t pick = total > 0.0 ? al_rng_pick(chances, n, total, al_rng_uniform(rng))
                              : unpicked(is_picked, n, al_rng_below(rng, n - i));
    if (scores != NULL) scores[i] = nothing ? 0.0 : least[pick];
    picked[i] = (int32_t)pick;
    is_picked[pick] = true;
    al_distances_to_row(rows, norms, pick, scratch, distance);
    for (size_t row = 0; row < n; row++)
      if (nothing || (double)distance[row] < least[row]) least[row] = (double)distance[row];
    least[pick] = 0.0;
  }
done:
  free(scratch);
  free(distance);
  free(norms);
  free(mass);
  free(is_picked);
  return status;
}

/* ---- Lloyd's algorithm ---- */

typedef struct {
  const al_view *rows;
  const double *weights; /* rows, or NULL: all 1 */
  size_t k;
  bool pairs; /* distances between centres cost less than a pass over the rows */
  al_closest *closest;
  double *centres, *before; /* k x cols */
  double *norms;            /* k: |centre|^2 */
  double *weight;           /* k: of the members */
  double *apart;            /* k: half the distance to the nearest other centre, rounded down */
  double *moved;            /* k: how far a centre went, rounded up */
  float *upper, *lower;     /* rows: bounds of the distances to the own centre and to any other */
  int32_t *cluster_of;      /* rows; -1 at first */
  int32_t *doubtful, *was;  /* rows: those the bounds do not settle; their cluster before */
  double *squared;          /* rows: distance to the own centre, where it is asked for */
} lloyd;

static double weight_of(const lloyd *l, size_t row) { return l->weights == NULL ? 1.0 : l->weights[row]; }

static double squared_norm(const double *x, size_t n) {
  double sum = 0.0;
  for (size_t d = 0; d < n; d++) sum += x[d] * x[d];
  return sum;
}

AL_SIMD static double gap_between(const double *restrict a, const double *restrict b, size_t n) {
  double lanes[AL_LANES] = {0}, sum = 0.0;
  size_t d = 0;
  for (; d + AL_LANES <= n; d += AL_LANES)
    for (size_t i = 0; i < AL_LANES; i++) lanes[i] += (a[d + i] - b[d + i]) * (a[d + i] - b[d + i]);
  for (; d < n; d++) lanes[d % AL_LANES] += (a[d] - b[d]) * (a[d] - b[d]);
  for (size_t i = 0; i < AL_LANES; i++) sum += lanes[i];
  return sqrt(sum);
}

static double own_squared(const lloyd *l, size_t row) {
  size_t own = (size_t)l->cluster_of[row];
  return al_squared_to_point(l->rows, row, l->centres + own * l->rows->cols, l->norms[own]);
}

/* The centres are new: what hangs on them alone. */
static void centres_changed(lloyd *l) {
  size_t cols = l->rows->cols;
  al_closest_points(l->closest, l->centres);
  for (size_t j = 0; j < l->k; j++) {
    l->norms[j] = squared_norm(l->centres + j * cols, cols);
    l->apart[j] = l->pairs ? INFINITY : 0.0;
  }
  for (size_t j = 0; l->pairs && j < l->k; j++)
    for (size_t i = 0; i < j; i++) {
      double half = 0.5 * gap_between(l->centres + i * cols, l->centres + j * cols, cols) * (1.0 - 1e-12);
      if (half < l->apart[j]) l->apart[j] = half;
      if (half < l->apart[i]) l->apart[i] = half;
    }
}

/* Rows to their nearest centres; says whether one changed. A row whose distance to its centre is surely below that to
 * any other keeps it unseen (Hamerly 2010). */
static bool assign(lloyd *l) {
  size_t n = l->rows->rows, doubtful = 0;
  for (size_t row = 0; row < n; row++) {
    if (l->cluster_of[row] >= 0) {
      double limit = fmax((double)l->lower[row], l->apart[l->cluster_of[row]]);
      if ((double)l->upper[row] < limit) continue;
      l->upper[row] = (float)(sqrt(own_squared(l, row)) * (1.0 + 0x1p-21));
      if ((double)l->upper[row] < limit) continue;
    }
    l->was[doubtful] = l->cluster_of[row];
    l->doubtful[doubtful++] = (int32_t)row;
  }
  al_closest_find(l->closest, l->rows, l->doubtful, doubtful, l->cluster_of, l->upper, l->lower);
  bool changed = false;
  for (size_t i = 0; i < doubtful; i++) changed |= l->cluster_of[l->doubtful[i]] != l->was[i];
  return changed;
}

/* The row that an empty cluster restarts at, or SIZE_MAX. members: k, with weight. A distance below 1e-12 of the row's
 * length is a centre's rounding. */
static size_t farthest(const lloyd *l, const size_t *members) {
  size_t best = SIZE_MAX;
  for (size_t row = 0; row < l->rows->rows; row++) {
    if (weight_of(l, row) <= 0.0 || members[l->cluster_of[row]] < 2) continue;
    if (best != SIZE_MAX && l->squared[row] <= l->squared[best]) continue;
    if (l->squared[row] <= 1e-24 * l->norms[l->cluster_of[row]]) continue;
    best = row;
  }
  return best;
}

/* Empty clusters take a row each; says whether one did. O(rows D) for each. */
static al_status restart_empty(lloyd *l, bool *changed) {
  size_t n = l->rows->rows, cols = l->rows->cols, empty = 0;
  size_t *members = NULL;
  float *row_values = NULL;
  double *point = NULL;
  al_status status;
  AL_TRY(AL_NEW(&members, l->k));
  for (size_t row = 0; row < n; row++)
    if (weight_of(l, row) > 0.0) members[l->cluster_of[row]]++;
  for (size_t j = 0; j < l->k; j++) empty += members[j] == 0;
  if (empty == 0) goto done;
  AL_TRY(AL_NEW(&row_values, cols));
  AL_TRY(AL_NEW(&point, cols));
  for (size_t row = 0; row < n; row++) l->squared[row] = own_squared(l, row);
  for (size_t j = 0; j < l->k; j++) {
    if (members[j] != 0) continue;
    size_t row = farthest(l, members);
    if (row == SIZE_MAX) break;
    members[l->cluster_of[row]]--;
    members[j] = 1;
    l->cluster_of[row] = (int32_t)j;
    l->upper[row] = FLT_MAX; /* bounds start anew */
    l->lower[row] = 0.0F;
    *changed = true;
    al_view_row(l->rows, row, row_values); /* the next one must be far from this row too */
    for (size_t d = 0; d < cols; d++) point[d] = (double)row_values[d];
    double norm = squared_norm(point, cols);
    for (size_t i = 0; i < n; i++) {
      double squared = al_squared_to_point(l->rows, i, point, norm);
      if (squared < l->squared[i]) l->squared[i] = squared;
    }
    l->squared[row] = 0.0;
  }
done:
  free(members);
  free(row_values);
  free(point);
  return status;
}

AL_SIMD static void add_row(double *restrict sum, const float *restrict x, double weight, size_t n) {
  for (size_t d = 0; d < n; d++) sum[d] += weight * (double)x[d];
}

/* Centres become the means of their members; a cluster without weight keeps its own. The bounds follow. */
static void update(lloyd *l) {
  const al_view *rows = l->rows;
  size_t n = rows->rows, cols = rows->cols;
  memcpy(l->before, l->centres, l->k * cols * sizeof *l->before);
  memset(l->centres, 0, l->k * cols * sizeof *l->centres);
  memset(l->weight, 0, l->k * sizeof *l->weight);
  for (size_t row = 0; row < n; row++) {
    double weight = weight_of(l, row), *sum = l->centres + (size_t)l->cluster_of[row] * cols;
    l->weight[l->cluster_of[row]] += weight;
    if (rows->kind == AL_VIEW_DENSE)
      add_row(sum, rows->values + row * cols, weight, cols);
    else
      for (int64_t p = rows->begin[row]; p < rows->end[row]; p++)
        sum[rows->indices[p]] += weight * (double)rows->values[p];
  }
  double most = 0.0, next = 0.0; /* the two farthest moves */
  size_t mover = 0;
  for (size_t j = 0; j < l->k; j++) {
    double *centre = l->centres + j * cols;
    if (l->weight[j] > 0.0)
      for (size_t d = 0; d < cols; d++) centre[d] /= l->weight[j];
    else
      memcpy(centre, l->before + j * cols, cols * sizeof *centre);
    l->moved[j] = gap_between(centre, l->before + j * cols, cols) * (1.0 + 1e-12);
    if (l->moved[j] > most) {
      next = most;
      most = l->moved[j];
      mover = j;
    } else if (l->moved[j] > next) {
      next = l->moved[j];
    }
  }
  for (size_t row = 0; row < n; row++) {
    size_t own = (size_t)l->cluster_of[row];
    double upper = ((double)l->upper[row] + l->moved[own]) * (1.0 + 0x1p-22);
    double lower = (double)l->lower[row] * (1.0 - 0x1p-22) - (own == mover ? next : most) * (1.0 + 0x1p-22);
    l->upper[row] = upper < (double)FLT_MAX ? (float)upper : FLT_MAX;
    l->lower[row] = lower > 0.0 ? (float)lower : 0.0F;
  }
  centres_changed(l);
}

static void lloyd_free(lloyd *l) {
  al_closest_free(l->closest);
  void *blocks[] = {l->before, l->norms, l->weight, l->apart, l->moved, l->upper, l->lower, l->doubtful, l->was};
  for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) free(blocks[i]);
}

static size_t stored_values(const al_view *csr) {
  size_t stored = 0;
  for (size_t row = 0; row < csr->rows; row++) stored += (size_t)(csr->end[row] - csr->begin[row]);
  return stored;
}

/* l's centres hold the start. */
static al_status iterate(lloyd *l, unsigned *rounds) {
  al_status status;
  bool changed = true;
  size_t n = l->rows->rows, stored = n * l->rows->cols;
  if (l->rows->kind == AL_VIEW_CSR) stored = stored_values(l->rows);
  l->pairs = l->k * l->rows->cols <= stored;
  AL_TRY(al_closest_new(&l->closest, l->rows->kind, l->k, l->rows->cols));
  AL_TRY(AL_NEW(&l->before, l->k * l->rows->cols));
  AL_TRY(AL_NEW(&l->norms, l->k));
  AL_TRY(AL_NEW(&l->weight, l->k));
  AL_TRY(AL_NEW(&l->apart, l->k));
  AL_TRY(AL_NEW(&l->moved, l->k));
  AL_TRY(AL_NEW(&l->upper, n));
  AL_TRY(AL_NEW(&l->lower, n));
  AL_TRY(AL_NEW(&l->doubtful, n));
  AL_TRY(AL_NEW(&l->was, n));
  centres_changed(l);
  for (*rounds = 0; changed && *rounds < MOST_ROUNDS; (*rounds)++) {
    changed = assign(l);
    AL_TRY(restart_empty(l, &changed));
    if (changed) update(l);
  }
  for (size_t row = 0; row < n; row++) l->squared[row] = own_squared(l, row);
done:
  return status;
}

/* ---- the result ---- */

/* What orders clusters; qsort has no other way to hand it over. */
typedef struct {
  size_t size;
  int32_t lowest, old;
} ranked;

static int by_size(const void *a, const void *b) {
  const ranked *x = a, *y = b;
  if (x->size != y->size) return x->size > y->size ? -1 : 1;
  return (x->lowest > y->lowest) - (x->lowest < y->lowest);
}

/* Clusters by size, and what is told of each. */
static al_status arrange(al_kmeans *out, const lloyd *l) {
  al_status status;
  size_t n = out->rows, cols = out->cols;
  ranked *order = NULL;
  int32_t *becomes = NULL;
  AL_TRY(AL_NEW(&order, l->k));
  AL_TRY(AL_NEW(&becomes, l->k));
  for (size_t j = 0; j < l->k; j++) order[j] = (ranked){.lowest = INT32_MAX, .old = (int32_t)j};
  for (size_t row = n; row-- > 0;) {
    order[out->cluster_of[row]].size++;
    order[out->cluster_of[row]].lowest = (int32_t)row;
  }
  qsort(order, l->k, sizeof *order, by_size);
  while (out->clusters < l->k && order[out->clusters].size != 0) out->clusters++;
  AL_TRY(AL_NEW(&out->size, out->clusters));
  AL_TRY(AL_NEW(&out->lowest, out->clusters));
  AL_TRY(AL_NEW(&out->nearest, out->clusters));
  AL_TRY(AL_NEW(&out->centres, out->clusters * cols));
  for (size_t j = 0; j < out->clusters; j++) {
    becomes[order[j].old] = (int32_t)j;
    out->size[j] = order[j].size;
    out->lowest[j] = order[j].lowest;
    out->nearest[j] = -1;
    memcpy(out->centres + j * cols, l->centres + (size_t)order[j].old * cols, cols * sizeof *out->centres);
  }
  for (size_t row = 0; row < n; row++) {
    int32_t own = becomes[out->cluster_of[row]], best = out->nearest[own];
    out->cluster_of[row] = own;
    out->inertia += weight_of(l, row) * out->squared[row];
    if (best < 0 || out->squared[row] < out->squared[best]) out->nearest[own] = (int32_t)row;
  }
done:
  free(order);
  free(becomes);
  return status;
}

al_status al_kmeans_make(al_kmeans **out, const al_view *rows, const double *weights, size_t k, al_rng *rng) {
  al_status status;
  al_kmeans *result = NULL;
  float *values = NULL;
  size_t n = rows->rows, cols = rows->cols;
  lloyd l = {.rows = rows, .weights = weights, .k = k < n ? k : n};
  *out = NULL;
  AL_TRY(AL_NEW(&result, 1));
  result->rows = n;
  result->cols = cols;
  AL_TRY(AL_NEW(&result->cluster_of, n));
  AL_TRY(AL_NEW(&result->squared, n));
  AL_TRY(AL_NEW(&result->start, l.k));
  AL_TRY(AL_NEW(&l.centres, l.k * cols));
  AL_TRY(AL_NEW(&values, cols));
  AL_TRY(al_d2_sample(rows, weights, l.k, result->squared, false, rng, result->start, NULL));
  for (size_t j = 0; j < l.k; j++) {
    al_view_row(rows, (size_t)result->start[j], values);
    for (size_t d = 0; d < cols; d++) l.centres[j * cols + d] = (double)values[d];
  }
  for (size_t row = 0; row < n; row++) result->cluster_of[row] = -1;
  l.cluster_of = result->cluster_of;
  l.squared = result->squared;
  AL_TRY(iterate(&l, &result->rounds));
  AL_TRY(arrange(result, &l));
  *out = result;
  result = NULL;
done:
  lloyd_free(&l);
  free(l.centres);
  free(values);
  al_kmeans_free(result);
  return status;
}

void al_kmeans_free(al_kmeans *kmeans) {
  if (kmeans == NULL) return;
  void *blocks[] = {kmeans->cluster_of, kmeans->size,    kmeans->lowest, kmeans->nearest,
                    kmeans->centres,    kmeans->squared, kmeans->start};
  for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) free(blocks[i]);
  free(kmeans);
}

al_status al_kmeans_pick(const al_kmeans *m, size_t k, int32_t *picked, double *scores) {
  size_t nearest = k < m->clusters ? k : m->clusters;
  memcpy(picked, m->nearest, nearest * sizeof *picked);
  if (nearest < k) {
    double *far = NULL;
    al_status status = AL_NEW(&far, m->rows);
    if (status != AL_OK) return status;
    memcpy(far, m->squared, m->rows * sizeof *far);
    for (size_t j = 0; j < nearest; j++) far[picked[j]] = -1.0;
    al_top_k(far, m->rows, k - nearest, picked + nearest);
    free(far);
  }
  for (size_t i = 0; i < k; i++) scores[i] = -sqrt(m->squared[picked[i]]);
  return AL_OK;
}
