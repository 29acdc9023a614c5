/* The highest of many keys that change a few at a time: a tree of maxima, 64 keys to a node, over the caller's array.
 */
#ifndef AL_BASE_PEAKS_H
#define AL_BASE_PEAKS_H

#include "base/status.h"

#include <stddef.h>

enum { AL_PEAKS_LEVELS = 6 }; /* 64^6 > 2^31 keys */

typedef struct al_peaks {
  const double *keys; /* n > 0, not NaN; borrowed */
  size_t n, levels;
  size_t sizes[AL_PEAKS_LEVELS];
  double *maxima[AL_PEAKS_LEVELS]; /* maxima[j]: sizes[j] maxima of 64 of the level below */
} al_peaks;

/* Empty until al_peaks_rebuild. Memory O(n / 64). */
al_status al_peaks_new(al_peaks *out, const double *keys, size_t n) AL_MUST_USE;
void al_peaks_free(al_peaks *peaks);
/* After all keys changed. O(n) */
void al_peaks_rebuild(al_peaks *peaks);
/* After key i changed. O(64 log n / log 64) */
void al_peaks_update(al_peaks *peaks, size_t i);
/* The lowest position that has the highest key. O(64 log n / log 64) */
size_t al_peaks_top(const al_peaks *peaks);

#endif
