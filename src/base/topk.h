/* The k best of n scores, in order. */
#ifndef AL_BASE_TOPK_H
#define AL_BASE_TOPK_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

/* Positions of the k highest scores, highest first, ties to the lower position. scores: n, finite; k <= n; out: k.
 * O(n + n log k) worst case, O(n + k log k) typical; no allocation: `out` itself is the heap. */
void al_top_k(const double *scores, size_t n, size_t k, int32_t *out);

#endif
