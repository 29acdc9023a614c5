/* State of the labelled set, a round (STATISTICS.md): class counts, KL to the pool, imbalance, squared MMD on f, noise.
 */
#ifndef AL_SIM_LABELLED_STATE_H
#define AL_SIM_LABELLED_STATE_H

#include "base/matrix.h"
#include "base/rng.h"
#include "base/status.h"

#include <jansson.h>

typedef struct al_labelled_state al_labelled_state;

/* f: all rows of the dataset (dense); pool: the starting pool's rows, truth: class of every dataset row. The pool side
 * of the MMD is a sample of min(n, 5000) drawn from rng; key: cache key of what determines it (f, pool, stream), so
 * that the one O(5000^2 D) sum is computed once a replicate and not once a cell. O(5000 D) memory. */
al_status al_labelled_state_new(al_labelled_state **out, const al_view *f, const int32_t *pool, size_t n,
                                const int32_t *truth, size_t classes, al_rng rng, const char *key) AL_MUST_USE;
void al_labelled_state_free(al_labelled_state *state);
/* Adds a batch of answered rows (in the order asked) with their answered classes. O(batch x (|L| + 5000) x D). The bits
 * of the MMD depend on how rows were batched, so a resume adds the batches as they were. */
al_status al_labelled_state_add(al_labelled_state *state, const int32_t *rows, const int32_t *answers,
                                size_t n) AL_MUST_USE;
/* {"counts": [C], "kl": .., "imbalance": .. | null, "mmd2": .. | null, "noise": ..}, fresh. */
json_t *al_labelled_state_json(const al_labelled_state *state);

#endif
