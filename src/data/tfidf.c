/* TF-IDF rows, equal to scikit-learn 1.2's TfidfVectorizer (tests/golden/tfidf.py): vocabulary and document frequencies
 * from the train part of the split alone, idf = ln((1 + n) / (1 + df)) + 1, rows of unit length. Where max_features
 * cuts between terms of equal total count, the first in byte order stay (scikit-learn leaves that to an unstable sort,
 * so there it depends on the machine). */
#include "data/features_private.h"
#include "data/termmap.h"
#include "data/words.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const al_param al_tfidf_params[] = {
    {.key = "pattern",
     .type = AL_PARAM_STRING,
     .fallback = "\"\\\\w\\\\w+\"",
     .help = "what a word is, as a regular expression"},
    {.key = "lower", .type = AL_PARAM_BOOL, .fallback = "true", .help = "lower-case the text first"},
    {.key = "sublinear", .type = AL_PARAM_BOOL, .fallback = "true", .help = "1 + ln(count) instead of the count"},
    {.key = "min_df",
     .type = AL_PARAM_INT,
     .fallback = "2",
     .min = 1,
     .max = 1e9,
     .help = "train documents a word must stand in"},
    {.key = "max_features",
     .type = AL_PARAM_INT,
     .fallback = "50000",
     .min = 1,
     .max = 1e9,
     .help = "most words kept, the most frequent first"},
    {.key = "first",
     .type = AL_PARAM_INT,
     .fallback = "0",
     .min = 0,
     .max = 1e9,
     .help = "only the text of the first N WordPieces (0: all)"},
    {0}};

typedef struct {
  const al_dataset *dataset;
  const al_split *split;
  al_words *words;
  al_wordpiece *pieces; /* only with `first` */
  bool lower, sublinear;
  size_t min_df, most, first;
  al_termmap terms;
  int64_t *total, *df; /* a term each */
  size_t total_capacity, df_capacity, capacity;
  int32_t *ids;   /* every row's words as term ids, -1 = not in the train part */
  int64_t *begin; /* rows: offsets into ids, in reading order */
  int64_t *end;
  int32_t *last_row; /* a term each: the last train row it was seen in */
  size_t last_capacity, id_count;
  int32_t *column_of; /* a term each; -1 = dropped */
  size_t columns;
  int64_t *df_of_column;
} builder;

static al_status see(builder *b, int32_t row, const char *word, size_t size, bool train) {
  al_status status;
  int32_t id = -1;
  if (train) {
    size_t before = b->terms.count;
    AL_TRY(al_termmap_add(&b->terms, word, size, &id));
    if (b->terms.count != before) {
      AL_TRY(al_grow(&b->total, &b->total_capacity, b->terms.count, sizeof *b->total));
      AL_TRY(al_grow(&b->df, &b->df_capacity, b->terms.count, sizeof *b->df));
      AL_TRY(al_grow(&b->last_row, &b->last_capacity, b->terms.count, sizeof *b->last_row));
      b->total[id] = b->df[id] = 0;
      b->last_row[id] = -1;
    }
    b->total[id]++;
    if (b->last_row[id] != row) b->df[id]++;
    b->last_row[id] = row;
  } else {
    id = al_termmap_find(&b->terms, word, size);
  }
  AL_TRY(al_grow(&b->ids, &b->capacity, b->id_count + 1, sizeof *b->ids));
  b->ids[b->id_count++] = id;
done:
  return status;
}

static al_status read_row(builder *b, int32_t row, bool train, al_buffer *lowered, int32_t **piece_ids,
                          size_t *piece_capacity) {
  al_status status = AL_OK;
  const char *text = b->dataset->text + b->dataset->text_begin[row];
  size_t size = (size_t)(b->dataset->text_begin[row + 1] - b->dataset->text_begin[row]), at = 0, from, to, n = 0;
  if (b->first != 0) AL_TRY(al_wordpiece_encode(b->pieces, text, size, b->first, piece_ids, &n, piece_capacity, &size));
  lowered->size = 0;
  AL_TRY(b->lower ? al_lower(lowered, text, size) : al_clean_utf8(lowered, text, size));
  text = lowered->data;
  size = lowered->size;
  b->begin[row] = (int64_t)b->id_count;
  while (al_words_next(b->words, text, size, &at, &from, &to)) AL_TRY(see(b, row, text + from, to - from, train));
  AL_TRY(al_words_end(b->words, "features.tfidf.pattern"));
  b->end[row] = (int64_t)b->id_count;
done:
  return status;
}

/* Train rows first, so that the vocabulary is complete before a test row is looked at. */
static al_status read_all(builder *b) {
  al_status status = AL_OK;
  al_buffer lowered = {0};
  int32_t *piece_ids = NULL;
  size_t piece_capacity = 0;
  for (size_t i = 0; i < b->split->train_size; i++)
    AL_TRY(read_row(b, b->split->train[i], true, &lowered, &piece_ids, &piece_capacity));
  for (size_t i = 0; i < b->split->test_size; i++)
    AL_TRY(read_row(b, b->split->test[i], false, &lowered, &piece_ids, &piece_capacity));
done:
  al_buffer_free(&lowered);
  free(piece_ids);
  return status;
}

typedef struct {
  const char *text;
  size_t size;
  int64_t total;
  int32_t id;
} ranked;

static int by_bytes(const void *a, const void *b) {
  const ranked *x = a, *y = b;
  int order = memcmp(x->text, y->text, x->size < y->size ? x->size : y->size);
  if (order != 0) return order;
  return x->size < y->size ? -1 : x->size > y->size;
}

static int by_total(const void *a, const void *b) {
  const ranked *x = a, *y = b;
  if (x->total != y->total) return x->total > y->total ? -1 : 1;
  return by_bytes(a, b);
}

/* Which terms are columns, in byte order (which is scikit-learn's order of code points). */
static al_status choose_columns(builder *b) {
  al_status status;
  ranked *kept = NULL;
  size_t n = 0;
  AL_TRY(AL_NEW(&kept, b->terms.count));
  AL_TRY(AL_NEW(&b->column_of, b->terms.count));
  for (size_t id = 0; id < b->terms.count; id++) {
    b->column_of[id] = -1;
    if (b->df[id] < (int64_t)b->min_df) continue;
    size_t begin = b->terms.begin[id];
    kept[n++] = (ranked){b->terms.bytes.data + begin, b->terms.begin[id + 1] - begin, b->total[id], (int32_t)id};
  }
  if (n > b->most) {
    qsort(kept, n, sizeof *kept, by_total);
    n = b->most;
  }
  if (n == 0) {
    status = al_fail(AL_BAD_INPUT, "no word stands in %zu train documents; lower features.tfidf.min_df", b->min_df);
    goto done;
  }
  qsort(kept, n, sizeof *kept, by_bytes);
  AL_TRY(AL_NEW(&b->df_of_column, n));
  for (size_t c = 0; c < n; c++) {
    b->column_of[kept[c].id] = (int32_t)c;
    b->df_of_column[c] = b->df[kept[c].id];
  }
  b->columns = n;
done:
  free(kept);
  return status;
}

static int ascending(const void *a, const void *b) {
  int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
  return (x > y) - (x < y);
}

/* Turns one row's words into sorted columns and weights. scratch, weights: as many as the row has words. */
static size_t weigh_row(const builder *b, size_t row, int32_t *scratch, double *weights, int32_t *indices,
                        float *values) {
  size_t n = 0, distinct = 0;
  double norm = 0.0, documents = (double)b->split->train_size;
  for (int64_t i = b->begin[row]; i < b->end[row]; i++) {
    int32_t column = b->ids[i] < 0 ? -1 : b->column_of[b->ids[i]];
    if (column >= 0) scratch[n++] = column;
  }
  qsort(scratch, n, sizeof *scratch, ascending);
  for (size_t i = 0; i < n;) {
    size_t run = i;
    while (run < n && scratch[run] == scratch[i]) run++;
    double count = (double)(run - i), tf = b->sublinear ? 1.0 + log(count) : count;
    double weight = tf * (log((1.0 + documents) / (1.0 + (double)b->df_of_column[scratch[i]])) + 1.0);
    norm += weight * weight;
    indices[distinct] = scratch[i];
    weights[distinct++] = weight;
    i = run;
  }
  norm = norm > 0.0 ? sqrt(norm) : 1.0;
  for (size_t i = 0; i < distinct; i++) values[i] = (float)(weights[i] / norm);
  return distinct;
}

static al_status write_rows(al_features **out, builder *b, const char key[33]) {
  al_status status;
  int64_t *indptr = NULL;
  int32_t *indices = NULL, *scratch = NULL;
  float *values = NULL;
  double *weights = NULL;
  size_t rows = b->dataset->rows, longest = 0, used = 0;
  for (size_t row = 0; row < rows; row++) {
    size_t size = (size_t)(b->end[row] - b->begin[row]);
    longest = size > longest ? size : longest;
  }
  AL_TRY(AL_NEW(&indptr, rows + 1));
  AL_TRY(AL_NEW(&indices, b->id_count));
  AL_TRY(AL_NEW(&values, b->id_count));
  AL_TRY(AL_NEW(&scratch, longest));
  AL_TRY(AL_NEW(&weights, longest));
  for (size_t row = 0; row < rows; row++) {
    used += weigh_row(b, row, scratch, weights, indices + used, values + used);
    indptr[row + 1] = (int64_t)used;
  }
  AL_TRY(al_features_write_csr(out, "tfidf", key, indptr, indices, values, rows, b->columns));
done:
  free(indptr);
  free(indices);
  free(values);
  free(scratch);
  free(weights);
  return status;
}

al_status al_tfidf_open(al_features **out, const al_dataset *dataset, const al_split *split, const json_t *options) {
  al_status status;
  char key[33];
  builder b = {.dataset = dataset,
               .split = split,
               .lower = al_params_bool(options, "lower"),
               .sublinear = al_params_bool(options, "sublinear"),
               .min_df = (size_t)al_params_int(options, "min_df"),
               .most = (size_t)al_params_int(options, "max_features"),
               .first = (size_t)al_params_int(options, "first")};
  *out = NULL;
  if (dataset->kind != AL_TEXT) return al_fail(AL_BAD_INPUT, "TF-IDF needs text, and %s has none", dataset->name);
  AL_TRY(al_feature_key(key, "tfidf", split->digest, options));
  AL_TRY(al_features_cached(out, "tfidf", key));
  if (*out != NULL) goto done;
  AL_TRY(al_words_new(&b.words, al_params_string(options, "pattern"), "features.tfidf.pattern"));
  if (b.first != 0) AL_TRY(al_wordpiece_open(&b.pieces));
  AL_TRY(AL_NEW(&b.begin, dataset->rows));
  AL_TRY(AL_NEW(&b.end, dataset->rows));
  AL_TRY(read_all(&b));
  AL_TRY(choose_columns(&b));
  AL_TRY(write_rows(out, &b, key));
done:
  al_words_free(b.words);
  al_wordpiece_free(b.pieces);
  al_termmap_free(&b.terms);
  free(b.total);
  free(b.df);
  free(b.last_row);
  free(b.ids);
  free(b.begin);
  free(b.end);
  free(b.column_of);
  free(b.df_of_column);
  return status;
}
