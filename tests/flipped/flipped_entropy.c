/* Entropy with its sign turned: a broken strategy, for tests/cli/gate.sh. The linker puts this in place of the real one
 * (--wrap) in the test program alab_flipped; nothing of it is in alab. */
#include "base/memory.h"
#include "strategy/pointwise.h"

#include <stdlib.h>

extern const al_strategy __wrap_al_strategy_entropy; /* NOLINT(bugprone-reserved-identifier): the linker's name */

static unsigned needs_probs(const json_t *params) {
  (void)params;
  return AL_NEED_PROBS;
}

static al_status select_flipped(const al_query *query, const json_t *params, al_picks *picks) {
  (void)params;
  double *utility = NULL;
  al_status status = AL_NEW(&utility, query->pool);
  if (status != AL_OK) return status;
  for (size_t i = 0; i < query->pool; i++) utility[i] = -al_entropy(query->probs + i * query->classes, query->classes);
  al_pick_highest(query, utility, picks);
  free(utility);
  return AL_OK;
}

const al_strategy __wrap_al_strategy_entropy = {
    .name = "entropy",
    .family = "uncertainty",
    .summary = "broken on purpose",
    .definition = "minus the entropy",
    .citation = "",
    .cost = "",
    .params = al_no_params,
    .needs = needs_probs,
    .select = select_flipped,
};
