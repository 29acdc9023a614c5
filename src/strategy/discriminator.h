/* Classifiers that tell U from L, for `discriminative`. Private to strategy. */
#ifndef AL_STRATEGY_DISCRIMINATOR_H
#define AL_STRATEGY_DISCRIMINATOR_H

#include "base/matrix.h"
#include "base/rng.h"
#include "base/status.h"

#include <stdbool.h>

/* The two sides: a picked pool item counts as labelled. */
typedef struct al_sides {
  const al_view *pool, *labelled; /* |U| x D, |L| x D */
  const bool *picked;             /* |U| */
} al_sides;

/* Logistic regression: sum of log(1 + exp(-y f)) + |w|^2 / 2 at its minimum, f = w . x + b, y = 1 on U and -1 on L, b
 * free. Keeps its weights, so that the next fit starts from them. Newton's method with conjugate gradients, sums in
 * doubles: time O((|U| + |L|) D) a product, memory O(|U| + |L| + D). Both sides must have an item. */
typedef struct al_logistic al_logistic;
al_status al_logistic_new(al_logistic **out, const al_sides *sides) AL_MUST_USE;
void al_logistic_free(al_logistic *model);
/* score: |U|, f of each pool item. */
al_status al_logistic_fit(al_logistic *model, const al_sides *sides, double *score) AL_MUST_USE;

/* Multilayer perceptron: three hidden layers of 256 rectified units (20 where D < 30), two-way softmax, cross-entropy,
 * Adam, batches of 128, trained on the labelled side and min(10 |L|, |U|) items of U until an epoch's training accuracy
 * exceeds 0.98, at most `epochs`. Draws, in order: the items of U, the weights layer by layer, each epoch's shuffle.
 * score: |U|, the log of the odds of being unlabelled. Doubles throughout; dense views. Time O(11 |L| epochs (D 256 +
 * 256^2) + |U| (D 256 + 256^2)), memory O(|U| + 11 |L| D + D 256 + 256^2). */
al_status al_perceptron_score(const al_sides *sides, size_t epochs, double learning_rate, al_rng rng,
                              double *score) AL_MUST_USE;

#endif
