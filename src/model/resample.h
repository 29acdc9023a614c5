/* Stratified bootstrap samples: what a member of `mc: {by: bootstrap}` is fitted on. Private to model. */
#ifndef AL_MODEL_RESAMPLE_H
#define AL_MODEL_RESAMPLE_H

#include "base/rng.h"
#include "base/status.h"

/* index: n positions in 0 .. n-1, class by class ascending, each class drawn with replacement within itself as often as
 * it occurs. classes: n, each below class_count. O(n class_count). */
al_status al_resample(int32_t *index, al_rng *rng, const int32_t *classes, size_t n, size_t class_count) AL_MUST_USE;

#endif
