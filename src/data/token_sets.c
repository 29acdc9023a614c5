/* Token sets of every row: distinct word ids, or distinct WordPiece ids. No document-frequency limit. */
#include "data/features_private.h"
#include "data/termmap.h"
#include "data/words.h"

#include <stdlib.h>
#include <string.h>

static int ascending(const void *a, const void *b) {
  int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
  return (x > y) - (x < y);
}

static size_t distinct(int32_t *ids, size_t n) {
  size_t kept = 0;
  qsort(ids, n, sizeof *ids, ascending);
  for (size_t i = 0; i < n; i++)
    if (kept == 0 || ids[kept - 1] != ids[i]) ids[kept++] = ids[i];
  return kept;
}

typedef struct {
  al_words *words;
  al_wordpiece *pieces;
  al_termmap terms;
  al_buffer lowered;
  int32_t *ids;
  size_t capacity;
} reader;

static al_status row_ids(reader *r, const char *text, size_t size, size_t *n) {
  al_status status;
  size_t at = 0, from, to;
  *n = 0;
  if (r->pieces != NULL) return al_wordpiece_encode(r->pieces, text, size, SIZE_MAX, &r->ids, n, &r->capacity, NULL);
  r->lowered.size = 0;
  AL_TRY(al_lower(&r->lowered, text, size));
  while (al_words_next(r->words, r->lowered.data, r->lowered.size, &at, &from, &to)) {
    AL_TRY(al_grow(&r->ids, &r->capacity, *n + 1, sizeof *r->ids));
    AL_TRY(al_termmap_add(&r->terms, r->lowered.data + from, to - from, &r->ids[*n]));
    (*n)++;
  }
done:
  return status;
}

static al_status make_sets(const al_dataset *dataset, bool wordpiece, const char key[33]) {
  al_status status;
  reader r = {0};
  al_store_writer *writer = NULL;
  int64_t *begin = NULL;
  json_t *meta = NULL;
  if (wordpiece)
    AL_TRY(al_wordpiece_open(&r.pieces));
  else
    AL_TRY(al_words_new(&r.words, AL_DEFAULT_WORD_PATTERN, "internal"));
  AL_TRY(AL_NEW(&begin, dataset->rows + 1));
  AL_TRY(al_store_create(&writer, "sets", key));
  AL_TRY(al_store_begin(writer, "ids", sizeof(int32_t)));
  for (size_t row = 0; row < dataset->rows; row++) {
    size_t n = 0, size = (size_t)(dataset->text_begin[row + 1] - dataset->text_begin[row]);
    AL_TRY(row_ids(&r, dataset->text + dataset->text_begin[row], size, &n));
    n = distinct(r.ids, n);
    AL_TRY(al_store_append(writer, r.ids, n));
    begin[row + 1] = begin[row] + (int64_t)n;
  }
  AL_TRY(al_store_put(writer, "begin", sizeof *begin, begin, dataset->rows + 1));
  size_t universe = wordpiece ? al_wordpiece_size(r.pieces) : r.terms.count;
  meta = json_pack("{s:I}", "universe", (json_int_t)universe);
  status = al_store_commit(writer, meta);
  writer = NULL;
done:
  json_decref(meta);
  al_store_abandon(writer);
  al_words_free(r.words);
  al_wordpiece_free(r.pieces);
  al_termmap_free(&r.terms);
  al_buffer_free(&r.lowered);
  free(r.ids);
  free(begin);
  return status;
}

al_status al_token_sets_open(al_token_sets **out, const al_dataset *dataset, bool wordpiece) {
  al_status status;
  al_token_sets *sets = NULL;
  char key[33];
  const void *begin = NULL, *ids = NULL;
  size_t n = 0, count = 0;
  *out = NULL;
  if (dataset->kind != AL_TEXT) return al_fail(AL_BAD_INPUT, "token sets need text, and %s has none", dataset->name);
  AL_TRY(al_feature_key(key, wordpiece ? "piece sets" : "word sets", dataset->digest, NULL));
  AL_TRY(AL_NEW(&sets, 1));
  AL_TRY(al_store_open(&sets->store, "sets", key));
  if (sets->store == NULL) {
    AL_TRY(make_sets(dataset, wordpiece, key));
    AL_TRY(al_store_open(&sets->store, "sets", key));
    if (sets->store == NULL) {
      status = al_fail(AL_ENVIRONMENT, "the token sets cannot be read back; is the cache folder writable?");
      goto done;
    }
  }
  AL_TRY(al_store_get(sets->store, "begin", sizeof(int64_t), &begin, &n));
  AL_TRY(al_store_get(sets->store, "ids", sizeof(int32_t), &ids, &count));
  const int64_t *offsets = begin;
  if (n != dataset->rows + 1 || offsets[dataset->rows] != (int64_t)count) {
    status = al_fail(AL_ENVIRONMENT, "a cached file of token sets is damaged; remove the folder sets in the cache");
    goto done;
  }
  json_int_t universe = json_integer_value(json_object_get(al_store_meta(sets->store), "universe"));
  sets->sets =
      (al_sets){.rows = dataset->rows, .universe = (int32_t)universe, .begin = offsets, .end = offsets + 1, .ids = ids};
  *out = sets;
  sets = NULL;
done:
  al_token_sets_free(sets);
  return status;
}

void al_token_sets_free(al_token_sets *sets) {
  if (sets == NULL) return;
  al_store_close(sets->store);
  free(sets);
}
