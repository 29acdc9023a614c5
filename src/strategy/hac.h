/* Average-linkage hierarchical agglomerative clustering (UPGMA) of up to some thousands of rows. Private to strategy.
 */
#ifndef AL_STRATEGY_HAC_H
#define AL_STRATEGY_HAC_H

#include "base/matrix.h"
#include "base/rng.h"
#include "base/status.h"

/* Two clusters become one. a < b: the lowest item of each. */
typedef struct al_merge {
  int32_t a, b;
  float height; /* the mean distance between their items */
} al_merge;

/* The whole dendrogram of n items, heights ascending (a parent never stands before its child).
 * distances: n (n - 1) / 2, that of items i > j at i (i - 1) / 2 + j; overwritten. merges: n - 1.
 * Nearest-neighbour chains with the Lance-Williams update: time O(n^2), memory O(n) beside the distances. Ties go to
 * the chain's previous cluster, then to the one with the lowest item. */
al_status al_average_linkage(float *distances, size_t n, al_merge *merges) AL_MUST_USE;

/* cluster_of (rows): numbers from 0 in order of the clusters' lowest rows. At most `most` items, seeded (al_rng_sample;
 * no draw when there are no more rows than that), are clustered by Euclidean distance and cut at the smallest distance
 * at which these items have a mean cluster size of at least `size` (fewer items than that: one cluster); every other
 * row joins the cluster of its nearest clustered item (ties: the lowest row).
 * Time O(most^2 D + rows most D), memory 2 most^2 bytes (200 MB for 10,000) + O(rows). */
al_status al_hac_clusters(const al_view *rows, size_t most, size_t size, al_rng *rng, int32_t *cluster_of) AL_MUST_USE;

#endif
