/* Features or embeddings, and U and L side by side in an order that no round changes. */
#include "strategy/space.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

bool al_space_is_embedding(const json_t *params) { return strcmp(al_params_string(params, "space"), "embedding") == 0; }

unsigned al_space_needs(const json_t *params) {
  return al_space_is_embedding(params) ? AL_NEED_EMBEDDINGS : AL_NEED_FEATURES;
}

const al_view *al_space_pool(const al_query *query, const json_t *params) {
  return al_space_is_embedding(params) ? &query->h_pool : &query->f_pool;
}

const al_view *al_space_labelled(const al_query *query, const json_t *params) {
  return al_space_is_embedding(params) ? &query->h_labelled : &query->f_labelled;
}

/* Fills `source`; `places` (where given) becomes the row of f_all of each. */
static al_status order(al_both *both, const al_query *query, int32_t *places) {
  size_t span = 0;
  int32_t *at = NULL; /* span: 0 = neither, pos + 1, -1 - i */
  if (query->all_pool == NULL || (query->labelled != 0 && query->all_labelled == NULL)) {
    for (size_t i = 0; i < both->n; i++)
      both->source[i] = i < query->pool ? (int32_t)i : -1 - (int32_t)(i - query->pool);
    return AL_OK;
  }
  for (size_t pos = 0; pos < query->pool; pos++)
    if ((size_t)query->all_pool[pos] >= span) span = (size_t)query->all_pool[pos] + 1;
  for (size_t i = 0; i < query->labelled; i++)
    if ((size_t)query->all_labelled[i] >= span) span = (size_t)query->all_labelled[i] + 1;
  al_status status = AL_NEW(&at, span);
  if (status != AL_OK) return status;
  for (size_t pos = 0; pos < query->pool; pos++) at[query->all_pool[pos]] = (int32_t)pos + 1;
  for (size_t i = 0; i < query->labelled; i++) at[query->all_labelled[i]] = -1 - (int32_t)i;
  size_t n = 0;
  for (size_t place = 0; place < span; place++) {
    if (at[place] == 0) continue;
    places[n] = (int32_t)place;
    both->source[n++] = at[place] > 0 ? at[place] - 1 : at[place];
  }
  free(at);
  return AL_OK;
}

static const al_view *side(const al_view *pool, const al_view *labelled, int32_t source, size_t *row) {
  *row = source >= 0 ? (size_t)source : (size_t)(-1 - source);
  return source >= 0 ? pool : labelled;
}

static al_status join_dense(al_both *both, const al_view *pool, const al_view *labelled) {
  size_t cols = pool->cols, row;
  al_status status = AL_NEW(&both->values, both->n * cols);
  if (status != AL_OK) return status;
  for (size_t i = 0; i < both->n; i++) {
    const al_view *from = side(pool, labelled, both->source[i], &row);
    memcpy(both->values + i * cols, from->values + row * cols, cols * sizeof *both->values);
  }
  both->view = al_view_dense(both->values, both->n, cols);
  return AL_OK;
}

/* Values are copied only where the two sides do not share them already. */
static al_status join_csr(al_both *both, const al_view *pool, const al_view *labelled) {
  al_status status;
  bool shared = labelled->rows == 0 || (pool->values == labelled->values && pool->indices == labelled->indices);
  size_t nonzeros = 0, row;
  AL_TRY(AL_NEW(&both->begin, both->n));
  AL_TRY(AL_NEW(&both->end, both->n));
  for (size_t i = 0; i < both->n; i++) {
    const al_view *from = side(pool, labelled, both->source[i], &row);
    both->begin[i] = shared ? from->begin[row] : (int64_t)nonzeros;
    nonzeros += (size_t)(from->end[row] - from->begin[row]);
    both->end[i] = shared ? from->end[row] : (int64_t)nonzeros;
  }
  if (!shared) {
    AL_TRY(AL_NEW(&both->values, nonzeros));
    AL_TRY(AL_NEW(&both->indices, nonzeros));
    for (size_t i = 0; i < both->n; i++) {
      const al_view *from = side(pool, labelled, both->source[i], &row);
      size_t count = (size_t)(from->end[row] - from->begin[row]);
      memcpy(both->values + both->begin[i], from->values + from->begin[row], count * sizeof *both->values);
      memcpy(both->indices + both->begin[i], from->indices + from->begin[row], count * sizeof *both->indices);
    }
  }
  both->view = (al_view){.kind = AL_VIEW_CSR,
                         .rows = both->n,
                         .cols = pool->cols,
                         .values = shared ? pool->values : both->values,
                         .begin = both->begin,
                         .end = both->end,
                         .indices = shared ? pool->indices : both->indices};
done:
  return status;
}

al_status al_both_make(al_both *both, const al_query *query, const json_t *params) {
  al_status status;
  int32_t *places = NULL;
  *both = (al_both){.n = query->pool + query->labelled};
  AL_TRY(AL_NEW(&both->source, both->n));
  AL_TRY(AL_NEW(&places, both->n));
  AL_TRY(order(both, query, places));
  const al_view *pool = al_space_pool(query, params), *labelled = al_space_labelled(query, params);
  bool fixed = !al_space_is_embedding(params) && query->f_all.kind != AL_VIEW_NONE && query->all_pool != NULL;
  if (fixed && query->f_all.rows == both->n)
    both->view = query->f_all;
  else if (fixed)
    AL_TRY(al_view_take(&both->view, &query->f_all, places, both->n, &both->subset));
  else if (pool->kind == AL_VIEW_DENSE)
    AL_TRY(join_dense(both, pool, labelled));
  else
    AL_TRY(join_csr(both, pool, labelled));
done:
  free(places);
  return status;
}

void al_both_free(al_both *both) {
  free(both->source);
  free(both->values);
  free(both->indices);
  free(both->begin);
  free(both->end);
  al_subset_free(&both->subset);
  *both = (al_both){0};
}
