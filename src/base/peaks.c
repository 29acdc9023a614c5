/* A tree of maxima. The top is found from above: the first child that has its parent's value, so that of equal keys the
 * lowest position wins. */
#include "base/peaks.h"

#include "base/memory.h"
#include "base/simd.h"

#include <math.h>
#include <stdlib.h>

enum { FAN = 64, SIDE_BY_SIDE = 8 };

static inline double highest(const double *keys, size_t n) {
  double best[SIDE_BY_SIDE], top = -INFINITY;
  size_t i = 0;
  for (size_t l = 0; l < SIDE_BY_SIDE; l++) best[l] = -INFINITY;
  for (; i + SIDE_BY_SIDE <= n; i += SIDE_BY_SIDE)
    for (size_t l = 0; l < SIDE_BY_SIDE; l++) best[l] = keys[i + l] > best[l] ? keys[i + l] : best[l];
  for (; i < n; i++) top = keys[i] > top ? keys[i] : top;
  for (size_t l = 0; l < SIDE_BY_SIDE; l++) top = best[l] > top ? best[l] : top;
  return top;
}

AL_SIMD static void level_up(const double *below, size_t n, double *maxima) {
  for (size_t first = 0; first < n; first += FAN)
    maxima[first / FAN] = highest(below + first, n - first < FAN ? n - first : FAN);
}

AL_SIMD static double node(const double *below, size_t n, size_t at) {
  return highest(below + at * FAN, n - at * FAN < FAN ? n - at * FAN : FAN);
}

al_status al_peaks_new(al_peaks *out, const double *keys, size_t n) {
  al_status status = AL_OK;
  *out = (al_peaks){.keys = keys, .n = n};
  for (size_t size = n; size > 1 || out->levels == 0;) {
    size = (size + FAN - 1) / FAN;
    out->sizes[out->levels] = size;
    AL_TRY(AL_NEW(&out->maxima[out->levels], size));
    out->levels++;
  }
done:
  if (status != AL_OK) al_peaks_free(out);
  return status;
}

void al_peaks_free(al_peaks *peaks) {
  for (size_t j = 0; j < AL_PEAKS_LEVELS; j++) free(peaks->maxima[j]);
  *peaks = (al_peaks){0};
}

void al_peaks_rebuild(al_peaks *peaks) {
  const double *below = peaks->keys;
  size_t n = peaks->n;
  for (size_t j = 0; j < peaks->levels; j++) {
    level_up(below, n, peaks->maxima[j]);
    below = peaks->maxima[j];
    n = peaks->sizes[j];
  }
}

void al_peaks_update(al_peaks *peaks, size_t i) {
  const double *below = peaks->keys;
  size_t n = peaks->n;
  for (size_t j = 0; j < peaks->levels; j++) {
    i /= FAN;
    double now = node(below, n, i);
    if (now == peaks->maxima[j][i]) return;
    peaks->maxima[j][i] = now;
    below = peaks->maxima[j];
    n = peaks->sizes[j];
  }
}

size_t al_peaks_top(const al_peaks *peaks) {
  size_t at = 0;
  double top = peaks->maxima[peaks->levels - 1][0];
  for (size_t j = peaks->levels; j-- > 0;) {
    const double *below = j == 0 ? peaks->keys : peaks->maxima[j - 1];
    at *= FAN;
    while (below[at] != top) at++;
  }
  return at;
}
