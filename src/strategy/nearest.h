/* What strategies that look for the nearest labelled or picked item share. Private to strategy. */
#ifndef AL_STRATEGY_NEAREST_H
#define AL_STRATEGY_NEAREST_H

#include "strategy/strategy.h"

/* least[pos]: squared Euclidean distance in h of each pool item to its nearest labelled one; INFINITY with |L| = 0.
 * norms: squared norms of h_pool (read for CSR only). Time O(|U| |L| D), memory O(|L|). */
al_status al_least_distances(const al_query *query, const double *norms, float *least) AL_MUST_USE;

/* Distances in h of each pool item to its nearest centre, the centres being L and the picks so far. They are brought up
 * to date one item at a time, when someone asks: a distance to fewer centres is never less than the one to all, so who
 * looks for the farthest item need only ask about those that still could be it. The answers are those of a full pass,
 * bit for bit. Memory O(|U|); time at most O(|U| D (|L| + k)), O(|U| D) and little more as a rule. */
typedef struct al_centres {
  const al_query *query;
  float *least;   /* |U|: squared distance to the nearest of the first seen[pos] centres; INFINITY of none */
  int32_t *seen;  /* |U| */
  int32_t *picks; /* k: what was added, in order */
  size_t picked;
  double *norms, *labelled_norms; /* CSR: |U|, |L| */
  float *scratch;                 /* D */
} al_centres;

/* L alone; room for k more. Each item is held against the first few of L. */
al_status al_centres_new(al_centres *out, const al_query *query, size_t k) AL_MUST_USE;
void al_centres_free(al_centres *centres);
/* Pool item `pos` becomes a centre. */
void al_centres_add(al_centres *centres, size_t pos);
/* True when least[pos] is the distance to all centres. */
bool al_centres_current(const al_centres *centres, size_t pos);
/* Holds the item against some more centres; returns least[pos]. */
float al_centres_look(al_centres *centres, size_t pos);

#endif
