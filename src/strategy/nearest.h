/* What strategies that look for the nearest labelled item share. Private to strategy. */
#ifndef AL_STRATEGY_NEAREST_H
#define AL_STRATEGY_NEAREST_H

#include "strategy/strategy.h"

/* least[pos]: squared Euclidean distance in h of each pool item to its nearest labelled one; INFINITY with |L| = 0.
 * norms: squared norms of h_pool (read for CSR only). Time O(|U| |L| D), memory O(|L|). */
al_status al_least_distances(const al_query *query, const double *norms, float *least) AL_MUST_USE;

#endif
