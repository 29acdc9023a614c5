/* class-balanced: lowest margins, drawn evenly from the predicted classes that have the fewest labels. */
#include "strategy/pointwise.h"

#include "base/memory.h"
#include "base/topk.h"

#include <stdlib.h>

static unsigned needs_class_balanced(const json_t *params) {
  (void)params;
  return AL_NEED_PROBS | AL_NEED_LABELLED;
}

/* Predicted class (lowest on ties) and 1 - margin of a row. */
static size_t predicted_of(const float *p, size_t classes, double *utility) {
  size_t best = 0;
  float second = 0.0F;
  for (size_t c = 1; c < classes; c++)
    if (p[c] > p[best]) best = c;
  for (size_t c = 0; c < classes; c++)
    if (c != best && p[c] > second) second = p[c];
  double margin = (double)p[best] - (double)second;
  *utility = margin < 1.0 ? 1.0 - margin : 0.0;
  return best;
}

/* The pool sorted by utility once; each class then walks it in that order, never back. */
static al_status select_class_balanced(const al_query *query, const json_t *params, al_picks *picks) {
  (void)params;
  size_t n = query->pool, classes = query->classes, k = query->batch < n ? query->batch : n;
  double *utility = NULL;
  size_t *predicted = NULL, *count = NULL, *at = NULL;
  int32_t *order = NULL;
  al_status status;
  AL_TRY(AL_NEW(&utility, n));
  AL_TRY(AL_NEW(&predicted, n));
  AL_TRY(AL_NEW(&order, n));
  AL_TRY(AL_NEW(&count, classes));
  AL_TRY(AL_NEW(&at, classes));
  for (size_t pos = 0; pos < n; pos++)
    predicted[pos] = predicted_of(query->probs + pos * classes, classes, &utility[pos]);
  al_top_k(utility, n, n, order);
  for (size_t j = 0; j < query->labelled; j++) count[query->labels[j]]++;
  for (size_t c = 0; c < classes; c++)
    while (at[c] < n && predicted[order[at[c]]] != c) at[c]++;
  for (size_t i = 0; i < k; i++) {
    size_t rarest = classes;
    for (size_t c = 0; c < classes; c++)
      if (at[c] < n && (rarest == classes || count[c] < count[rarest])) rarest = c;
    int32_t pos = order[at[rarest]++];
    while (at[rarest] < n && predicted[order[at[rarest]]] != rarest) at[rarest]++;
    count[rarest]++;
    picks->pos[i] = pos;
    picks->scores[i] = utility[pos];
  }
  picks->count = k;
done:
  free(utility);
  free(predicted);
  free(order);
  free(count);
  free(at);
  return status;
}

const al_strategy al_strategy_class_balanced = {
    .name = "class-balanced",
    .family = "hybrid",
    .summary = "lowest margin in the predicted class that has the fewest labels and picks so far",
    .definition =
        "Each pick: the class with the fewest labels and picks so far (a pick counts for its predicted class;\n"
        "ties: the lower class) that has predicted members left; the lowest p_(1) - p_(2) among them.",
    .citation = "after Bengar, van de Weijer, Fuentes and Raducanu 2022",
    .cost = "time O(|U| C + |U| log |U| + k C), memory O(|U| + C)",
    .params = al_no_params,
    .needs = needs_class_balanced,
    .select = select_class_balanced,
};
