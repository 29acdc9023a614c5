/* Vectors of tokens by a truncated SVD of the token x document matrix: the start of BERT's embeddings when there is
 * nothing better (latent semantic analysis, Deerwester et al. 1990). */
#include "data/features_private.h"

#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

/* The matrix with tokens as rows, since the reduction gives rows times singular vectors. */
typedef struct {
  int64_t *indptr;
  int32_t *document;
  float *value;
  int32_t *all; /* 0 .. tokens - 1 */
} transposed;

static void transposed_free(transposed *t) {
  free(t->indptr);
  free(t->document);
  free(t->value);
  free(t->all);
}

/* Distinct tokens of one document and their counts; `count` (tokens) is zero before and after. */
static size_t distinct(const int32_t *ids, size_t n, int32_t *count, int32_t *seen) {
  size_t kinds = 0;
  for (size_t i = 0; i < n; i++)
    if (count[ids[i]]++ == 0) seen[kinds++] = ids[i];
  return kinds;
}

static al_status transpose(transposed *t, const int64_t *begin, const int32_t *ids, size_t n, size_t tokens) {
  al_status status;
  int32_t *count = NULL, *seen = NULL;
  int64_t *at = NULL, longest = 0;
  AL_TRY(AL_NEW(&count, tokens));
  for (size_t d = 0; d < n; d++) longest = begin[d + 1] - begin[d] > longest ? begin[d + 1] - begin[d] : longest;
  AL_TRY(AL_NEW(&seen, (size_t)longest));
  AL_TRY(AL_NEW(&t->indptr, tokens + 1));
  AL_TRY(AL_NEW(&at, tokens));
  AL_TRY(AL_NEW(&t->all, tokens));
  for (size_t d = 0; d < n; d++) {
    size_t kinds = distinct(ids + begin[d], (size_t)(begin[d + 1] - begin[d]), count, seen);
    for (size_t k = 0; k < kinds; k++) {
      t->indptr[seen[k] + 1]++;
      count[seen[k]] = 0;
    }
  }
  for (size_t v = 0; v < tokens; v++) {
    t->all[v] = (int32_t)v;
    t->indptr[v + 1] += t->indptr[v];
    at[v] = t->indptr[v];
  }
  AL_TRY(AL_NEW(&t->document, (size_t)t->indptr[tokens]));
  AL_TRY(AL_NEW(&t->value, (size_t)t->indptr[tokens]));
  for (size_t d = 0; d < n; d++) {
    size_t kinds = distinct(ids + begin[d], (size_t)(begin[d + 1] - begin[d]), count, seen);
    double squared = 0.0;
    for (size_t k = 0; k < kinds; k++) {
      int32_t v = seen[k];
      double df = (double)(t->indptr[v + 1] - t->indptr[v]);
      double weight = (1.0 + log((double)count[v])) * log((double)n / df);
      t->document[at[v]] = (int32_t)d;
      t->value[at[v]] = (float)weight;
      squared += weight * weight;
    }
    for (size_t k = 0; k < kinds; k++) {
      int32_t v = seen[k];
      if (squared > 0.0) t->value[at[v]] = (float)((double)t->value[at[v]] / sqrt(squared));
      at[v]++;
      count[v] = 0;
    }
  }
done:
  free(count);
  free(seen);
  free(at);
  return status;
}

/* Everything that the result depends on. */
static al_status key_of(char key[33], const int64_t *begin, const int32_t *ids, size_t n, size_t tokens, size_t width,
                        const al_rng *rng) {
  char hex[33];
  XXH128_hash_t lengths = XXH3_128bits(begin, (n + 1) * sizeof *begin);
  XXH128_hash_t content = XXH3_128bits_withSeed(ids, (size_t)begin[n] * sizeof *ids, lengths.low64);
  snprintf(hex, sizeof hex, "%016llx%016llx", (unsigned long long)content.high64, (unsigned long long)content.low64);
  json_t *options = json_pack("{s:I,s:I,s:I,s:I}", "tokens", (json_int_t)tokens, "width", (json_int_t)width, "stream0",
                              (json_int_t)(rng->key[0] >> 1), "stream1", (json_int_t)(rng->key[1] >> 1));
  al_status status = al_feature_key(key, "token-svd", hex, options);
  json_decref(options);
  return status;
}

al_status al_token_vectors(float *out, const int64_t *begin, const int32_t *ids, size_t n, size_t tokens, size_t width,
                           al_rng rng) {
  al_status status;
  transposed t = {0};
  al_features *vectors = NULL;
  char key[33];
  AL_TRY(key_of(key, begin, ids, n, tokens, width, &rng));
  AL_TRY(al_features_cached(&vectors, "token-svd", key));
  if (vectors == NULL) {
    AL_TRY(transpose(&t, begin, ids, n, tokens));
    al_view view = al_view_csr(t.indptr, t.document, t.value, tokens, n);
    AL_TRY(al_reduce(&vectors, "token-svd", key, &view, t.all, tokens, width, false, rng));
  }
  memset(out, 0, tokens * width * sizeof *out);
  for (size_t v = 0; v < tokens; v++)
    memcpy(out + v * width, vectors->view.values + v * vectors->view.cols, vectors->view.cols * sizeof *out);
done:
  al_features_free(vectors);
  transposed_free(&t);
  return status;
}
