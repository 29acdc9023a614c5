/* Opening datasets: the prepared form comes from the cache, or is made from raw files or a generator and put there.
 *
 * Classes are numbered by value where all labels are numbers, else in byte order. The digest covers what a log can
 * depend on (kind, labels, class names, content), so that two archives of the same content give the same log. */
#include "data/dataset.h"

#include "base/log.h"
#include "data/catalogue.h"
#include "data/store.h"
#include "data/table.h"
#include "data/words.h"

#include <assert.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

enum { PREPARED_VERSION = 2, MOST_CLASSES = 100000 };

static const al_param split_keys[] = {
    {.key = "test", .type = AL_PARAM_REAL, .fallback = "0.2", .min = 0.001, .max = 0.999, .help = "share of test rows"},
    {.key = "per",
     .type = AL_PARAM_CHOICE,
     .fallback = "\"study\"",
     .choices = "study|replicate",
     .help = "drawn once a study, or anew for each replicate"},
    {0}};

const al_param al_dataset_params[] = {
    {.key = "name", .type = AL_PARAM_STRING, .help = "a catalogue name, a generator, or the name of your own data"},
    {.key = "as", .type = AL_PARAM_STRING, .fallback = "null", .help = "label in logs and figures"},
    {.key = "pool",
     .type = AL_PARAM_REAL,
     .fallback = "null",
     .min = 1e-9,
     .max = 1e9,
     .help = "rows of the train part that are the pool; below 1 a share, drawn anew each replicate"},
    {.key = "split",
     .type = AL_PARAM_MAP,
     .fallback = "{}",
     .table = split_keys,
     .help = "how a set without an official test part is split"},
    {.key = "representation",
     .type = AL_PARAM_ANY,
     .fallback = "null",
     .help = "the fixed features f: svd, pca, standardised or {frozen: WEIGHTS, pooling, stage, max_tokens} (null: by "
             "kind of data)"},
    {.key = "parts",
     .type = AL_PARAM_CHOICE,
     .fallback = "null",
     .choices = "full|bare|body",
     .help = "20newsgroups: what of a message is read (null: full)"},
    {.key = "labels",
     .type = AL_PARAM_CHOICE,
     .fallback = "null",
     .choices = "coarse|fine|binary",
     .help = "trec: coarse or fine; sst: binary or fine (null: coarse, binary)"},
    {.key = "format",
     .type = AL_PARAM_CHOICE,
     .fallback = "null",
     .choices = "csv|jsonl|libsvm|npy|image-folder",
     .help = "your own data: how its files are written"},
    {.key = "train", .type = AL_PARAM_STRING, .fallback = "null", .help = "your own data: train file or folder"},
    {.key = "test", .type = AL_PARAM_STRING, .fallback = "null", .help = "your own data: test file or folder, if any"},
    {.key = "train_labels", .type = AL_PARAM_STRING, .fallback = "null", .help = "npy: file of the train rows' labels"},
    {.key = "test_labels", .type = AL_PARAM_STRING, .fallback = "null", .help = "npy: file of the test rows' labels"},
    {.key = "text", .type = AL_PARAM_STRING, .fallback = "null", .help = "csv, jsonl: column of the text (null: text)"},
    {.key = "label",
     .type = AL_PARAM_STRING,
     .fallback = "null",
     .help = "csv, jsonl: column of the label (null: label)"},
    {.key = "size",
     .type = AL_PARAM_ANY,
     .fallback = "null",
     .help = "image-folder: WxH to scale to; generators: number of train rows (null: 8000)"},
    {.key = "test_size",
     .type = AL_PARAM_INT,
     .fallback = "null",
     .min = 1,
     .max = 1e7,
     .help = "generators: test rows (null: 2000)"},
    {.key = "colour",
     .type = AL_PARAM_BOOL,
     .fallback = "null",
     .help = "synthetic-images: 32x32 in colour instead of 28x28 grey"},
    {.key = "classes",
     .type = AL_PARAM_INT,
     .fallback = "null",
     .min = 2,
     .max = 20,
     .help = "generators: number of classes (null: 20 of text, 10 of images, which has no more)"},
    {.key = "seed",
     .type = AL_PARAM_INT,
     .fallback = "null",
     .min = 0,
     .max = 4294967295,
     .help = "generators: another set of the same kind for each seed (null: 20)"},
    {.key = "imbalance",
     .type = AL_PARAM_REAL,
     .fallback = "null",
     .min = 1,
     .max = 1000,
     .help = "generators: size of the largest class over the smallest (null: 1)"},
    {.key = "duplicates",
     .type = AL_PARAM_REAL,
     .fallback = "null",
     .min = 0,
     .max = 0.9,
     .help = "generators: share of near-duplicates among the train rows (null: 0)"},
    {.key = "outliers",
     .type = AL_PARAM_REAL,
     .fallback = "null",
     .min = 0,
     .max = 0.9,
     .help = "generators: share of outliers among the train rows (null: 0)"},
    {.key = "noise",
     .type = AL_PARAM_REAL,
     .fallback = "null",
     .min = 0,
     .max = 0.9,
     .help = "generators: share of wrong labels among the train rows (null: 0)"},
    {0}};

/* ---- which keys fit which name ---- */

static bool given(const json_t *spec, const char *key) {
  const json_t *value = json_object_get(spec, key);
  return value != NULL && !json_is_null(value);
}

static al_status refuse_keys(const json_t *spec, const char *where, const char *const *keys, const char *whose) {
  for (size_t i = 0; keys[i] != NULL; i++)
    if (given(spec, keys[i])) return al_fail(AL_BAD_INPUT, "%s.%s: this key is for %s", where, keys[i], whose);
  return AL_OK;
}

static const char *const user_keys[] = {"format",      "train", "test",  "train_labels",
                                        "test_labels", "text",  "label", NULL};
static const char *const generator_keys[] = {"test_size",  "colour",   "classes", "seed", "imbalance",
                                             "duplicates", "outliers", "noise",   NULL};

static al_status check_user(const json_t *spec, const char *where, al_kind *kind) {
  static const char *const catalogue_keys[] = {"parts", "labels", NULL};
  const char *format = json_string_value(json_object_get(spec, "format"));
  al_status status;
  AL_TRY(refuse_keys(spec, where, generator_keys, "the generators"));
  AL_TRY(refuse_keys(spec, where, catalogue_keys, "sets of the catalogue"));
  if (!given(spec, "train")) return al_fail(AL_BAD_INPUT, "%s: your own data needs the key 'train'", where);
  bool npy = strcmp(format, "npy") == 0, images = strcmp(format, "image-folder") == 0;
  bool table = strcmp(format, "csv") == 0 || strcmp(format, "jsonl") == 0;
  if (npy && (!given(spec, "train_labels") || given(spec, "test") != given(spec, "test_labels")))
    return al_fail(AL_BAD_INPUT, "%s: npy data needs train_labels (and test_labels beside test)", where);
  if (!npy && (given(spec, "train_labels") || given(spec, "test_labels")))
    return al_fail(AL_BAD_INPUT, "%s: train_labels and test_labels are for format npy", where);
  if (!table && (given(spec, "text") || given(spec, "label")))
    return al_fail(AL_BAD_INPUT, "%s: text and label name columns of csv and jsonl", where);
  if (!images && given(spec, "size"))
    return al_fail(AL_BAD_INPUT, "%s.size: is for image-folder and the generators", where);
  if (kind != NULL) *kind = images ? AL_IMAGE : table ? AL_TEXT : AL_TABULAR;
done:
  return status;
}

static al_status check_generator(const json_t *spec, const char *name, const char *where, al_kind *kind) {
  static const char *const others[] = {"parts", "labels", NULL};
  al_status status;
  AL_TRY(refuse_keys(spec, where, others, "sets of the catalogue"));
  const json_t *size = json_object_get(spec, "size");
  if (given(spec, "size") &&
      (!json_is_integer(size) || json_integer_value(size) < 20 || json_integer_value(size) > 10000000))
    return al_fail(AL_BAD_INPUT, "%s.size: a generator's size is a number of rows from 20 to 10,000,000", where);
  bool images = strcmp(name, "synthetic-images") == 0;
  if (images && given(spec, "classes") && al_params_int(spec, "classes") > 10)
    return al_fail(AL_BAD_INPUT, "%s.classes: synthetic-images has 2 to 10 classes", where);
  if (!images && given(spec, "colour")) return al_fail(AL_BAD_INPUT, "%s.colour: is for synthetic-images", where);
  if (kind != NULL) *kind = images ? AL_IMAGE : AL_TEXT;
done:
  return status;
}

static al_status unknown_dataset(const json_t *catalogue, const char *name, const char *where) {
  enum { MOST = 200 };
  const char *names[MOST] = {"synthetic-text", "synthetic-images"};
  size_t n = 2;
  const char *key;
  json_t *value;
  json_object_foreach(json_object_get(catalogue, "datasets"), key, value) if (n < MOST) names[n++] = key;
  const char *nearest = al_nearest(name, names, n);
  if (nearest != NULL)
    return al_fail(AL_BAD_INPUT, "%s: unknown dataset '%s'; did you mean '%s'?", where, name, nearest);
  return al_fail(AL_BAD_INPUT,
                 "%s: unknown dataset '%s'; see alab list datasets, or give format and train for your own data", where,
                 name);
}

/* A frozen encoder's keys are checked by the layer that has it (model/frozen.h). */
static al_status check_representation(const json_t *spec, const char *where) {
  static const char *const names[] = {"svd", "pca", "standardised"};
  const json_t *value = json_object_get(spec, "representation");
  if (!given(spec, "representation") || json_object_get(value, "frozen") != NULL) return AL_OK;
  for (size_t i = 0; json_is_string(value) && i < 3; i++)
    if (strcmp(json_string_value(value), names[i]) == 0) return AL_OK;
  return al_fail(AL_BAD_INPUT, "%s.representation: give svd, pca, standardised or {frozen: WEIGHTS}", where);
}

al_status al_dataset_check(const json_t *spec, const char *where, al_kind *kind) {
  al_status status = check_representation(spec, where);
  if (status != AL_OK) return status;
  const json_t *catalogue = NULL;
  const char *name = al_params_string(spec, "name");
  if (given(spec, "format")) return check_user(spec, where, kind);
  if (al_is_generator(name)) {
    AL_TRY(refuse_keys(spec, where, user_keys, "your own data (give format)"));
    return check_generator(spec, name, where, kind);
  }
  AL_TRY(al_catalogue(&catalogue));
  const char *section = NULL;
  const json_t *entry = al_catalogue_find(catalogue, name, &section);
  if (entry == NULL || strcmp(section, "datasets") != 0) return unknown_dataset(catalogue, name, where);
  AL_TRY(refuse_keys(spec, where, user_keys, "your own data (give format)"));
  AL_TRY(refuse_keys(spec, where, generator_keys, "the generators"));
  if (given(spec, "size")) return al_fail(AL_BAD_INPUT, "%s.size: is for image-folder and the generators", where);
  if (given(spec, "parts") && strcmp(name, "20newsgroups") != 0)
    return al_fail(AL_BAD_INPUT, "%s.parts: is for 20newsgroups", where);
  if (given(spec, "labels")) {
    const char *labels = al_params_string(spec, "labels");
    bool trec = strcmp(name, "trec") == 0, sst = strcmp(name, "sst") == 0;
    if ((!trec && !sst) || strcmp(labels, trec ? "binary" : "coarse") == 0)
      return al_fail(AL_BAD_INPUT, "%s.labels: '%s' is no task of %s (trec: coarse, fine; sst: binary, fine)", where,
                     labels, name);
  }
  if (kind != NULL)
    *kind = strcmp(json_string_value(json_object_get(entry, "kind")), "image") == 0 ? AL_IMAGE : AL_TEXT;
done:
  return status;
}

/* ---- preparing ---- */

typedef struct {
  const char *text;
  size_t row;
} row_label;

static int by_text(const void *a, const void *b) {
  return strcmp(((const row_label *)a)->text, ((const row_label *)b)->text);
}

static bool as_number(const char *text, double *value) {
  char *end = NULL;
  *value = strtod(text, &end);
  return end != text && *end == '\0' && isfinite(*value);
}

static int by_value(const void *a, const void *b) {
  double x = 0.0, y = 0.0;
  (void)as_number(*(const char *const *)a, &x);
  (void)as_number(*(const char *const *)b, &y);
  if (x != y) return x < y ? -1 : 1;
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool same_value(const char *a, const char *b) {
  double x = 0.0, y = 0.0;
  return as_number(a, &x) && as_number(b, &y) && x == y;
}

/* The names that differ by value, in order of value: 1, 1.0 and +1 are one class, named by the first in byte order. */
static size_t merge_numbers(const char **names, size_t count) {
  size_t kept = 0;
  qsort(names, count, sizeof *names, by_value);
  for (size_t i = 0; i < count; i++)
    if (kept == 0 || !same_value(names[kept - 1], names[i])) names[kept++] = names[i];
  return kept;
}

/* Position of a label's value among names in order of value. */
static size_t find_value(const char *const *names, size_t count, const char *label) {
  double wanted = 0.0, value = 0.0;
  size_t low = 0, high = count - 1;
  (void)as_number(label, &wanted);
  while (low < high) {
    size_t middle = (low + high) / 2;
    (void)as_number(names[middle], &value);
    if (value < wanted)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

/* Class ids of all rows and the classes' names, in their order. O(n log n). */
static al_status number_classes(const al_table *table, int32_t *ids, const char ***names, size_t *count) {
  al_status status;
  row_label *sorted = NULL;
  bool numbers = true;
  double ignored;
  *names = NULL;
  *count = 0;
  AL_TRY(AL_NEW(&sorted, table->rows));
  AL_TRY(AL_NEW(names, table->rows));
  const char *at = table->labels.data;
  for (size_t row = 0; row < table->rows; row++, at += strlen(at) + 1) {
    sorted[row] = (row_label){at, row};
    numbers = numbers && as_number(at, &ignored);
  }
  qsort(sorted, table->rows, sizeof *sorted, by_text);
  for (size_t i = 0; i < table->rows; i++) {
    if (i == 0 || strcmp(sorted[i].text, sorted[i - 1].text) != 0) (*names)[(*count)++] = sorted[i].text;
    ids[sorted[i].row] = (int32_t)(*count - 1);
  }
  if (numbers) *count = merge_numbers(*names, *count);
  if (*count > MOST_CLASSES) {
    status = al_fail(AL_BAD_INPUT, "%zu different labels: more than %d classes; is this the label column?", *count,
                     MOST_CLASSES);
    goto done;
  }
  for (size_t i = 0; numbers && i < table->rows; i++)
    ids[sorted[i].row] = i != 0 && strcmp(sorted[i].text, sorted[i - 1].text) == 0
                             ? ids[sorted[i - 1].row]
                             : (int32_t)find_value(*names, *count, sorted[i].text);
done:
  free(sorted);
  return status;
}

static void hash_array(XXH3_state_t *state, const void *array, size_t bytes) {
  uint64_t size = bytes;
  XXH3_128bits_update(state, &size, sizeof size);
  if (bytes != 0) XXH3_128bits_update(state, array, bytes);
}

static void hex_of(XXH3_state_t *state, char hex[33]) {
  XXH128_hash_t hash = XXH3_128bits_digest(state);
  snprintf(hex, 33, "%016llx%016llx", (unsigned long long)hash.high64, (unsigned long long)hash.low64);
}

static al_status put_text(al_store_writer *writer, const al_table *table) {
  al_status status;
  int64_t *begin = NULL;
  int32_t *words = NULL;
  al_words *pattern = NULL;
  AL_TRY(AL_NEW(&begin, table->rows + 1));
  AL_TRY(AL_NEW(&words, table->rows));
  AL_TRY(al_words_new(&pattern, AL_DEFAULT_WORD_PATTERN, "internal"));
  for (size_t row = 0; row < table->rows; row++) {
    begin[row + 1] = table->text_end[row];
    const char *text = table->text.data + begin[row];
    size_t size = (size_t)(begin[row + 1] - begin[row]), at = 0, from, to;
    while (al_words_next(pattern, text, size, &at, &from, &to)) words[row]++;
  }
  AL_TRY(al_store_put(writer, "text_begin", sizeof *begin, begin, table->rows + 1));
  AL_TRY(al_store_put(writer, "text", 1, table->text.data, table->text.size));
  AL_TRY(al_store_put(writer, "words", sizeof *words, words, table->rows));
done:
  free(begin);
  free(words);
  al_words_free(pattern);
  return status;
}

static al_status put_columns(al_store_writer *writer, const al_table *table) {
  al_status status;
  int64_t *indptr = NULL;
  float *dense = NULL;
  AL_TRY(AL_NEW(&indptr, table->rows + 1));
  for (size_t row = 0; row < table->rows; row++) indptr[row + 1] = table->row_end[row];
  if (table->dense) {
    AL_TRY(AL_NEW(&dense, table->rows * table->columns));
    for (size_t row = 0; row < table->rows; row++)
      for (int64_t i = indptr[row]; i < indptr[row + 1]; i++)
        dense[row * table->columns + (size_t)table->indices[i]] = table->values[i];
    AL_TRY(al_store_put(writer, "values", sizeof(float), dense, table->rows * table->columns));
  } else {
    AL_TRY(al_store_put(writer, "values", sizeof(float), table->values, table->nonzeros));
    AL_TRY(al_store_put(writer, "indices", sizeof(int32_t), table->indices, table->nonzeros));
    AL_TRY(al_store_put(writer, "indptr", sizeof(int64_t), indptr, table->rows + 1));
  }
done:
  free(indptr);
  free(dense);
  return status;
}

static void content_digest(const al_table *table, const int32_t *ids, const char *const *names, size_t classes,
                           char hex[33]) {
  XXH3_state_t state;
  XXH3_128bits_reset(&state);
  /* dense columns are standardised, sparse ones are not: what a model gets differs */
  int64_t kind = (int64_t)table->kind + (table->dense ? 256 : 0);
  int64_t facts[] = {kind,
                     (int64_t)table->rows,
                     (int64_t)table->train_rows,
                     (int64_t)classes,
                     (int64_t)table->channels,
                     (int64_t)table->height,
                     (int64_t)table->width,
                     (int64_t)table->columns};
  hash_array(&state, facts, sizeof facts);
  hash_array(&state, ids, table->rows * sizeof *ids);
  for (size_t c = 0; c < classes; c++) hash_array(&state, names[c], strlen(names[c]));
  if (table->kind == AL_TEXT) {
    hash_array(&state, table->text_end, table->rows * sizeof *table->text_end);
    hash_array(&state, table->text.data, table->text.size);
  } else if (table->kind == AL_IMAGE) {
    hash_array(&state, table->pixels.data, table->pixels.size);
  } else {
    hash_array(&state, table->row_end, table->rows * sizeof *table->row_end);
    hash_array(&state, table->indices, table->nonzeros * sizeof *table->indices);
    hash_array(&state, table->values, table->nonzeros * sizeof *table->values);
  }
  hex_of(&state, hex);
}

static al_status write_prepared(const al_table *table, const char *key) {
  al_status status;
  al_store_writer *writer = NULL;
  int32_t *ids = NULL;
  const char **names = NULL;
  size_t classes = 0;
  json_t *meta = NULL;
  char digest[33];
  AL_TRY(AL_NEW(&ids, table->rows));
  AL_TRY(number_classes(table, ids, &names, &classes));
  content_digest(table, ids, names, classes, digest);
  json_t *list = json_array();
  for (size_t c = 0; c < classes; c++) json_array_append_new(list, json_string(names[c]));
  meta = json_pack("{s:i,s:I,s:I,s:o,s:I,s:I,s:I,s:I,s:b,s:s}", "kind", (int)table->kind, "rows",
                   (json_int_t)table->rows, "train_rows", (json_int_t)table->train_rows, "classes", list, "channels",
                   (json_int_t)table->channels, "height", (json_int_t)table->height, "width", (json_int_t)table->width,
                   "columns", (json_int_t)table->columns, "dense", table->dense, "digest", digest);
  if (meta == NULL) {
    status = al_fail(AL_ENVIRONMENT, "out of memory");
    goto done;
  }
  AL_TRY(al_store_create(&writer, "prepared", key));
  AL_TRY(al_store_put(writer, "labels", sizeof *ids, ids, table->rows));
  if (table->kind == AL_TEXT) AL_TRY(put_text(writer, table));
  if (table->kind == AL_IMAGE) AL_TRY(al_store_put(writer, "pixels", 1, table->pixels.data, table->pixels.size));
  if (table->kind == AL_TABULAR) AL_TRY(put_columns(writer, table));
  status = al_store_commit(writer, meta);
  writer = NULL;
done:
  al_store_abandon(writer);
  json_decref(meta);
  free(ids);
  free(names);
  return status;
}

/* ---- the prepared form ---- */

typedef struct {
  int64_t *label_begin;
  char *name;
  json_t *meta;
  const char **names;
} owned_parts;

static al_status get(const al_store *store, const char *name, size_t size, const void *out, size_t expected) {
  const void *array = NULL;
  size_t count = 0;
  al_status status = al_store_get(store, name, size, &array, &count);
  if (status != AL_OK) return status;
  if (expected != SIZE_MAX && count != expected)
    return al_fail(AL_ENVIRONMENT, "the prepared data is damaged (%s); remove the folder prepared in the cache", name);
  memcpy((void *)(uintptr_t)out, &array, sizeof array);
  return AL_OK;
}

static al_status map_columns(al_dataset *d, size_t columns, bool dense) {
  const float *values = NULL;
  const int32_t *indices = NULL;
  const int64_t *indptr = NULL;
  al_status status;
  AL_TRY(get(d->store, "values", sizeof(float), &values, dense ? d->rows * columns : SIZE_MAX));
  if (dense) {
    d->columns = al_view_dense(values, d->rows, columns);
    goto done;
  }
  AL_TRY(get(d->store, "indices", sizeof(int32_t), &indices, SIZE_MAX));
  AL_TRY(get(d->store, "indptr", sizeof(int64_t), &indptr, d->rows + 1));
  d->columns = al_view_csr(indptr, indices, values, d->rows, columns);
done:
  return status;
}

static size_t size_of(const json_t *meta, const char *key) {
  return (size_t)json_integer_value(json_object_get(meta, key));
}

/* Points the dataset at the mapped arrays. */
static al_status map_prepared(al_dataset *d, const char *name) {
  al_status status;
  owned_parts *own = NULL;
  const json_t *meta = al_store_meta(d->store);
  const int32_t *ids = NULL;
  AL_TRY(AL_NEW(&own, 1));
  d->owned = own;
  own->meta = json_incref((json_t *)(uintptr_t)meta);
  AL_TRY(al_copy_string(&own->name, name));
  d->name = own->name;
  d->kind = (al_kind)size_of(meta, "kind");
  d->rows = size_of(meta, "rows");
  d->train_rows = size_of(meta, "train_rows");
  const json_t *classes = json_object_get(meta, "classes");
  d->classes = json_array_size(classes);
  AL_TRY(AL_NEW(&own->names, d->classes));
  for (size_t c = 0; c < d->classes; c++) own->names[c] = json_string_value(json_array_get(classes, c));
  d->class_names = own->names;
  AL_TRY(AL_NEW(&own->label_begin, d->rows + 1));
  for (size_t row = 0; row <= d->rows; row++) own->label_begin[row] = (int64_t)row;
  AL_TRY(get(d->store, "labels", sizeof(int32_t), &ids, d->rows));
  d->labels = (al_sets){.rows = d->rows,
                        .universe = (int32_t)d->classes,
                        .begin = own->label_begin,
                        .end = own->label_begin + 1,
                        .ids = ids};
  snprintf(d->digest, sizeof d->digest, "%s", json_string_value(json_object_get(meta, "digest")));
  if (d->kind == AL_TEXT) {
    AL_TRY(get(d->store, "text_begin", sizeof(int64_t), &d->text_begin, d->rows + 1));
    AL_TRY(get(d->store, "text", 1, &d->text, (size_t)d->text_begin[d->rows]));
    AL_TRY(get(d->store, "words", sizeof(int32_t), &d->words, d->rows));
  } else if (d->kind == AL_IMAGE) {
    d->channels = size_of(meta, "channels");
    d->height = size_of(meta, "height");
    d->width = size_of(meta, "width");
    AL_TRY(get(d->store, "pixels", 1, &d->pixels, d->rows * d->channels * d->height * d->width));
  } else {
    AL_TRY(map_columns(d, size_of(meta, "columns"), json_is_true(json_object_get(meta, "dense"))));
  }
done:
  return status;
}

/* Key of the prepared file: the raw content's identity and the options that shape it. */
static al_status prepared_key(char hex[33], const json_t *spec, const char *identity) {
  static const char *const shaping[] = {"name",       "parts",    "labels",    "format",  "text",
                                        "label",      "size",     "test_size", "colour",  "imbalance",
                                        "duplicates", "outliers", "noise",     "classes", "seed"};
  json_t *parts = json_pack("{s:i,s:s}", "version", PREPARED_VERSION, "identity", identity);
  for (size_t i = 0; i < sizeof shaping / sizeof *shaping; i++)
    if (given(spec, shaping[i])) json_object_set(parts, shaping[i], json_object_get(spec, shaping[i]));
  char *text = json_dumps(parts, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(17));
  json_decref(parts);
  if (text == NULL) return al_fail(AL_ENVIRONMENT, "out of memory");
  XXH128_hash_t hash = XXH3_128bits(text, strlen(text));
  snprintf(hex, 33, "%016llx%016llx", (unsigned long long)hash.high64, (unsigned long long)hash.low64);
  free(text);
  return AL_OK;
}

/* Where the rows come from; `installed` is filled for the catalogue's sets. */
static al_status find_source(const json_t *spec, const char *base, const char *where, al_installed *installed,
                             char identity[33], const json_t **entry) {
  const char *name = al_params_string(spec, "name");
  *entry = NULL;
  if (given(spec, "format")) return al_user_content_digest(identity, spec, base, where);
  if (al_is_generator(name)) {
    snprintf(identity, 33, "generated");
    return AL_OK;
  }
  const json_t *catalogue = NULL;
  al_status status = al_catalogue(&catalogue);
  if (status != AL_OK) return status;
  *entry = al_catalogue_find(catalogue, name, NULL);
  status = al_installed_find(installed, name, *entry);
  if (status == AL_OK && installed->n == 0) {
    status = al_fetch(name, false); /* a copy from a mirror folder is no download */
    if (status != AL_OK) return al_context(status, "%s", where);
    status = al_installed_find(installed, name, *entry);
  }
  memcpy(identity, installed->identity, 33);
  return status;
}

static al_status read_source(al_table *table, const json_t *spec, const char *base, const char *where,
                             const al_installed *installed, const json_t *entry) {
  const char *name = al_params_string(spec, "name");
  if (given(spec, "format")) return al_read_user(table, spec, base, where);
  if (al_is_generator(name)) return al_generate(table, spec);
  al_status status = al_installed_verify(installed, name);
  if (status != AL_OK) return status;
  return al_read_catalogue(table, json_string_value(json_object_get(entry, "format")), spec, installed->files,
                           installed->n, installed->limit);
}

al_status al_dataset_open(al_dataset **out, const json_t *spec, const char *base, const char *where) {
  al_status status;
  al_table table = {0};
  al_installed installed = {0};
  al_dataset *dataset = NULL;
  const json_t *entry = NULL;
  char identity[33] = "", key[33];
  *out = NULL;
  AL_TRY(al_dataset_check(spec, where, NULL));
  AL_TRY(find_source(spec, base, where, &installed, identity, &entry));
  AL_TRY(prepared_key(key, spec, identity));
  AL_TRY(AL_NEW(&dataset, 1));
  AL_TRY(al_store_open(&dataset->store, "prepared", key));
  if (dataset->store == NULL) {
    al_log_notice("preparing %s", al_params_string(spec, "name"));
    status = read_source(&table, spec, base, where, &installed, entry);
    if (status == AL_OK && table.train_rows == 0) status = al_fail(AL_BAD_INPUT, "the data has no rows");
    if (status != AL_OK) {
      (void)al_context(status, "%s", where);
      goto done;
    }
    AL_TRY(write_prepared(&table, key));
    AL_TRY(al_store_open(&dataset->store, "prepared", key));
    if (dataset->store == NULL) {
      status =
          al_fail(AL_ENVIRONMENT, "%s: the prepared data cannot be read back; is the cache folder writable?", where);
      goto done;
    }
  }
  AL_TRY(map_prepared(dataset, al_params_string(spec, "name")));
  *out = dataset;
  dataset = NULL;
done:
  al_table_free(&table);
  al_dataset_free(dataset);
  return status;
}

void al_dataset_free(al_dataset *dataset) {
  if (dataset == NULL) return;
  owned_parts *own = dataset->owned;
  if (own != NULL) {
    free(own->label_begin);
    free(own->name);
    free(own->names);
    json_decref(own->meta);
    free(own);
  }
  al_store_close(dataset->store);
  free(dataset);
}

int32_t al_dataset_label(const al_dataset *dataset, int32_t row) {
  assert(row >= 0 && (size_t)row < dataset->rows);
  return dataset->labels.ids[dataset->labels.begin[row]];
}
