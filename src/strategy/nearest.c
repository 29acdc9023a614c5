/* Distances to the nearest labelled item, block by block, and to the nearest centre, item by item. */
#include "strategy/nearest.h"

#include "base/cross.h"
#include "base/memory.h"

#include <math.h>
#include <stdlib.h>

/* STEP centres a look: enough to be worth the fetch of the row, few enough that an item which is out is soon left. */
enum { BLOCK = 512, STEP = 16 };

/* The first m of L. */
static al_status least_of_first(const al_query *query, size_t m, const double *norms, float *least) {
  al_status status;
  al_cross *cross = NULL;
  float *values = NULL;
  al_view labelled = query->h_labelled;
  labelled.rows = m;
  for (size_t pos = 0; pos < query->pool; pos++) least[pos] = INFINITY;
  if (m == 0) return AL_OK;
  AL_TRY(al_cross_new(&cross, &labelled));
  AL_TRY(AL_NEW(&values, BLOCK * m));
  for (size_t first = 0; first < query->pool; first += BLOCK) {
    size_t last = first + BLOCK < query->pool ? first + BLOCK : query->pool;
    al_cross_distances(cross, &query->h_pool, norms, first, last, values);
    for (size_t pos = first; pos < last; pos++)
      for (size_t j = 0; j < m; j++) {
        float squared = values[(pos - first) * m + j];
        least[pos] = squared < least[pos] ? squared : least[pos];
      }
  }
done:
  al_cross_free(cross);
  free(values);
  return status;
}

al_status al_least_distances(const al_query *query, const double *norms, float *least) {
  return least_of_first(query, query->labelled, norms, least);
}

al_status al_centres_new(al_centres *out, const al_query *query, size_t k) {
  al_status status;
  size_t n = query->pool, m = query->labelled < STEP ? query->labelled : STEP;
  *out = (al_centres){.query = query};
  AL_TRY(AL_NEW(&out->least, n));
  AL_TRY(AL_NEW(&out->seen, n));
  AL_TRY(AL_NEW(&out->picks, k));
  if (query->h_pool.kind == AL_VIEW_CSR) {
    AL_TRY(AL_NEW(&out->norms, n));
    AL_TRY(AL_NEW(&out->labelled_norms, query->labelled));
    AL_TRY(AL_NEW(&out->scratch, query->h_pool.cols));
    al_view_squared_norms(&query->h_pool, out->norms);
    if (query->labelled != 0) al_view_squared_norms(&query->h_labelled, out->labelled_norms);
  }
  AL_TRY(least_of_first(query, m, out->norms, out->least));
  for (size_t pos = 0; pos < n; pos++) out->seen[pos] = (int32_t)m;
done:
  if (status != AL_OK) al_centres_free(out);
  return status;
}

void al_centres_free(al_centres *centres) {
  free(centres->least);
  free(centres->seen);
  free(centres->picks);
  free(centres->norms);
  free(centres->labelled_norms);
  free(centres->scratch);
  *centres = (al_centres){0};
}

void al_centres_add(al_centres *centres, size_t pos) {
  const al_query *query = centres->query;
  centres->picks[centres->picked++] = (int32_t)pos;
  if (query->labelled + centres->picked != 1) return;
  /* the only centre there is: everything is held against it, in one pass */
  al_distances_to_row(&query->h_pool, centres->norms, pos, centres->scratch, centres->least);
  for (size_t i = 0; i < query->pool; i++) centres->seen[i] = 1;
}

bool al_centres_current(const al_centres *centres, size_t pos) {
  /* nothing is nearer than 0 */
  return centres->least[pos] == 0.0F || (size_t)centres->seen[pos] == centres->query->labelled + centres->picked;
}

float al_centres_look(al_centres *centres, size_t pos) {
  const al_query *query = centres->query;
  size_t seen = (size_t)centres->seen[pos], m = query->labelled, all = m + centres->picked, n;
  float *least = &centres->least[pos];
  if (seen < m) {
    n = m - seen < STEP ? m - seen : STEP;
    *least = al_least_of(&query->h_pool, centres->norms, pos, &query->h_labelled, centres->labelled_norms, NULL, seen,
                         n, centres->scratch, *least);
  } else {
    n = all - seen < STEP ? all - seen : STEP;
    *least = al_least_of(&query->h_pool, centres->norms, pos, &query->h_pool, centres->norms,
                         centres->picks + (seen - m), 0, n, centres->scratch, *least);
  }
  centres->seen[pos] = (int32_t)(seen + n);
  return *least;
}
