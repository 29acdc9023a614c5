/* k-means, wherever a strategy clusters, and the D^2 sampling it starts with (STRATEGIES.md). Private to strategy. */
#ifndef AL_STRATEGY_KMEANS_H
#define AL_STRATEGY_KMEANS_H

#include "base/matrix.h"
#include "base/rng.h"
#include "base/status.h"
#include "strategy/strategy.h"

#include <stdbool.h>

/* Clusters stand in order of size, largest first, ties by their lowest row. None is empty: there are fewer than asked
 * for where there are fewer distinct rows. */
typedef struct al_kmeans {
  size_t rows, cols, clusters;
  int32_t *cluster_of; /* rows */
  size_t *size;        /* clusters: members */
  int32_t *lowest;     /* clusters: the lowest row */
  int32_t *nearest;    /* clusters: the member nearest the centre, ties to the lowest row */
  double *centres;     /* clusters x cols */
  double *squared;     /* rows: squared distance to the centre of its cluster */
  double inertia;      /* sum of weight x squared */
  int32_t *start;      /* min(k, rows): the rows of the k-means++ start, as drawn */
  unsigned rounds;     /* of Lloyd's algorithm, at most 100 */
} al_kmeans;

/* min(k, rows) clusters of the rows of a dense or CSR view. weights (rows, >= 0, not all 0) or NULL: a centre is the
 * weighted mean, the start draws by weight x D^2, and a cluster without weight counts as empty.
 * k-means++ start, then Lloyd until nothing changes or 100 rounds; a row goes to the nearest centre as double
 * arithmetic names it, ties to the lowest; an empty cluster restarts at the row farthest from its centre (of those with
 * weight, and not alone; ties: the lowest), or stays empty where all distances are 0.
 * Draws from *rng: as al_d2_sample. Time O(rows k D) a round at most (distance bounds after Hamerly 2010 skip most of
 * it and change no result; CSR: non-zeros in place of D), memory O(rows + k D). */
al_status al_kmeans_make(al_kmeans **out, const al_view *rows, const double *weights, size_t k,
                         al_rng *rng) AL_MUST_USE;
void al_kmeans_free(al_kmeans *kmeans);

/* The rows that a batch takes of a clustering, k <= rows: the member nearest each centre, clusters in their order; then
 * what is farthest from its own centre, farthest first, ties to the lowest row. picked: k; scores: k, minus the
 * distance to the centre. O(rows + k log k). */
al_status al_kmeans_pick(const al_kmeans *kmeans, size_t k, int32_t *picked, double *scores) AL_MUST_USE;

/* k-means++ (Arthur and Vassilvitskii 2007): k <= rows distinct rows to `picked`, each drawn with probability weight x
 * D^2, D the distance to the nearest row drawn before. One draw a pick, in row order by inverse CDF; all weight x D^2
 * zero: uniform over the rest (al_rng_below).
 * least: rows; `counted`: squared distances that count from the start (to L), else nothing does and the first pick is
 * by weight (without weights uniform). Overwritten by the final squared distances, 0 once picked.
 * scores: k or NULL: D^2 at the moment of the pick, 0 for a first one that nothing counts for.
 * Time O(rows D k) (CSR: non-zeros), memory O(rows). */
al_status al_d2_sample(const al_view *rows, const double *weights, size_t k, double *least, bool counted, al_rng *rng,
                       int32_t *picked, double *scores) AL_MUST_USE;

#endif
