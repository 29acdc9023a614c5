/* One function, for `linear` and the networks alike: a class keeps its number of rows, so that none vanishes. */
#include "model/resample.h"

#include "base/memory.h"

#include <stdlib.h>

al_status al_resample(int32_t *index, al_rng *rng, const int32_t *classes, size_t n, size_t class_count) {
  int32_t *of_class = NULL;
  size_t drawn = 0;
  al_status status = AL_NEW(&of_class, n);
  if (status != AL_OK) return status;
  for (size_t c = 0; c < class_count; c++) {
    size_t size = 0;
    for (size_t i = 0; i < n; i++)
      if ((size_t)classes[i] == c) of_class[size++] = (int32_t)i;
    for (size_t i = 0; i < size; i++) index[drawn++] = of_class[al_rng_below(rng, size)];
  }
  free(of_class);
  return AL_OK;
}
