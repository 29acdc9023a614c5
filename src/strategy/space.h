/* The parameter `space` of strategies that work on FEATURES unless told to take EMBEDDINGS, and the rows of U and L
 * together. Private to strategy. */
#ifndef AL_STRATEGY_SPACE_H
#define AL_STRATEGY_SPACE_H

#include "strategy/strategy.h"

#define AL_SPACE_PARAM                                                                                                 \
  {                                                                                                                    \
    .key = "space", .type = AL_PARAM_CHOICE, .fallback = "\"features\"", .choices = "features|embedding",              \
    .help = "rows compared: the fixed features, or the trained model's last layer this round"                          \
  }

bool al_space_is_embedding(const json_t *params);
/* AL_NEED_FEATURES or AL_NEED_EMBEDDINGS */
unsigned al_space_needs(const json_t *params);
/* Views of the space that `params` names, borrowed from the query. */
const al_view *al_space_pool(const al_query *query, const json_t *params);
const al_view *al_space_labelled(const al_query *query, const json_t *params);

/* U and L as the rows of one view, in the order of the starting pool (of the rows in `alab query`; U, then L where the
 * query does not tell that order), which is the same in every round. */
typedef struct al_both {
  al_view view;    /* n x D; the query's own f_all where that holds no other row, so that nothing is copied */
  size_t n;        /* |U| + |L| */
  int32_t *source; /* n: pos >= 0 for an item of U, -1 - i for item i of L */
  al_subset subset;
  float *values; /* owned; NULL where values are borrowed */
  int32_t *indices;
  int64_t *begin, *end;
} al_both;

/* Time and memory O(|U| + |L|), and a copy of the rows for dense EMBEDDINGS. al_both_free also after a failure. */
al_status al_both_make(al_both *both, const al_query *query, const json_t *params) AL_MUST_USE;
void al_both_free(al_both *both);

#endif
