/* Distances to the nearest labelled item, block by block. */
#include "strategy/nearest.h"

#include "base/cross.h"
#include "base/memory.h"

#include <math.h>
#include <stdlib.h>

enum { BLOCK = 512 };

al_status al_least_distances(const al_query *query, const double *norms, float *least) {
  al_status status;
  al_cross *cross = NULL;
  float *values = NULL;
  size_t m = query->labelled;
  for (size_t pos = 0; pos < query->pool; pos++) least[pos] = INFINITY;
  if (m == 0) return AL_OK;
  AL_TRY(al_cross_new(&cross, &query->h_labelled));
  AL_TRY(AL_NEW(&values, BLOCK * m));
  for (size_t first = 0; first < query->pool; first += BLOCK) {
    size_t last = first + BLOCK < query->pool ? first + BLOCK : query->pool;
    al_cross_distances(cross, &query->h_pool, norms, first, last, values);
    for (size_t pos = first; pos < last; pos++)
      for (size_t j = 0; j < m; j++) least[pos] = fminf(least[pos], values[(pos - first) * m + j]);
  }
done:
  al_cross_free(cross);
  free(values);
  return status;
}
