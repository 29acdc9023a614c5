/* Cached feature matrices: keys, reading and writing. */
#include "data/features_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/memory.h"

al_status al_feature_key(char hex[33], const char *what, const char *content, const json_t *options) {
  json_t *parts = json_pack("{s:s,s:i,s:s,s:O?}", "what", what, "version", AL_FEATURE_VERSION, "content", content,
                            "options", options);
  char *text = parts == NULL ? NULL : json_dumps(parts, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(17));
  json_decref(parts);
  if (text == NULL) return al_fail(AL_ENVIRONMENT, "out of memory");
  XXH128_hash_t hash = XXH3_128bits(text, strlen(text));
  snprintf(hex, 33, "%016llx%016llx", (unsigned long long)hash.high64, (unsigned long long)hash.low64);
  free(text);
  return AL_OK;
}

al_status al_features_cached(al_features **out, const char *kind, const char key[33]) {
  al_status status;
  al_features *features = NULL;
  const void *values = NULL, *indices = NULL, *indptr = NULL;
  size_t n = 0, m = 0, p = 0;
  *out = NULL;
  AL_TRY(AL_NEW(&features, 1));
  AL_TRY(al_store_open(&features->store, kind, key));
  if (features->store == NULL) goto done;
  const json_t *meta = al_store_meta(features->store);
  size_t rows = (size_t)json_integer_value(json_object_get(meta, "rows"));
  size_t cols = (size_t)json_integer_value(json_object_get(meta, "cols"));
  snprintf(features->digest, sizeof features->digest, "%s", key);
  AL_TRY(al_store_get(features->store, "values", sizeof(float), &values, &n));
  if (json_is_true(json_object_get(meta, "csr"))) {
    AL_TRY(al_store_get(features->store, "indices", sizeof(int32_t), &indices, &m));
    AL_TRY(al_store_get(features->store, "indptr", sizeof(int64_t), &indptr, &p));
    if (p != rows + 1 || n != m) {
      status = al_fail(AL_ENVIRONMENT, "a cached feature file is damaged; remove the folder %s in the cache", kind);
      goto done;
    }
    if (((const int64_t *)indptr)[rows] != (int64_t)n) {
      status = al_fail(AL_ENVIRONMENT, "a cached feature file is damaged; remove the folder %s in the cache", kind);
      goto done;
    }
    features->view = al_view_csr(indptr, indices, values, rows, cols);
  } else {
    if (cols != 0 && (n / cols != rows || n % cols != 0)) {
      status = al_fail(AL_ENVIRONMENT, "a cached feature file is damaged; remove the folder %s in the cache", kind);
      goto done;
    }
    features->view = al_view_dense(values, rows, cols);
  }
  *out = features;
  features = NULL;
done:
  al_features_free(features);
  return status;
}

al_status al_features_finish(al_features **out, const char *kind, const char key[33], al_store_writer *writer,
                             size_t rows, size_t cols, bool csr) {
  json_t *meta = json_pack("{s:I,s:I,s:b}", "rows", (json_int_t)rows, "cols", (json_int_t)cols, "csr", csr);
  al_status status = al_store_commit(writer, meta);
  json_decref(meta);
  if (status == AL_OK) status = al_features_cached(out, kind, key);
  if (status == AL_OK && *out == NULL)
    status = al_fail(AL_ENVIRONMENT, "a feature file cannot be read back; is the cache folder writable?");
  return status;
}

al_status al_features_write_dense(al_features **out, const char *kind, const char key[33], const float *values,
                                  size_t rows, size_t cols) {
  al_store_writer *writer = NULL;
  al_status status = al_store_create(&writer, kind, key);
  if (status == AL_OK) status = al_store_put(writer, "values", sizeof *values, values, rows * cols);
  if (status != AL_OK) {
    al_store_abandon(writer);
    return status;
  }
  return al_features_finish(out, kind, key, writer, rows, cols, false);
}

al_status al_features_write_csr(al_features **out, const char *kind, const char key[33], const int64_t *indptr,
                                const int32_t *indices, const float *values, size_t rows, size_t cols) {
  al_store_writer *writer = NULL;
  size_t n = (size_t)indptr[rows];
  al_status status = al_store_create(&writer, kind, key);
  if (status == AL_OK) status = al_store_put(writer, "values", sizeof *values, values, n);
  if (status == AL_OK) status = al_store_put(writer, "indices", sizeof *indices, indices, n);
  if (status == AL_OK) status = al_store_put(writer, "indptr", sizeof *indptr, indptr, rows + 1);
  if (status != AL_OK) {
    al_store_abandon(writer);
    return status;
  }
  return al_features_finish(out, kind, key, writer, rows, cols, true);
}

void al_features_free(al_features *features) {
  if (features == NULL) return;
  al_store_close(features->store);
  free(features);
}
