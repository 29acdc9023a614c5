/* A dataset being read: rows are added one by one, then it is prepared (written to the cache in its final numbering).
 * Private to data: readers and generators fill it. */
#ifndef AL_DATA_TABLE_H
#define AL_DATA_TABLE_H

#include "base/memory.h"
#include "data/dataset.h"

typedef struct al_table {
  al_kind kind;
  size_t rows, train_rows;
  bool test_begun;
  /* labels as given: texts, turned into class ids when all are known */
  al_buffer labels; /* NUL-terminated texts one behind the other */
  /* text */
  al_buffer text;
  int64_t *text_end;
  size_t text_capacity;
  /* image */
  size_t channels, height, width;
  al_buffer pixels;
  /* tabular: CSR */
  bool dense;
  size_t columns;
  float *values;
  int32_t *indices;
  int64_t *row_end;
  size_t nonzeros, values_capacity, indices_capacity, row_capacity;
} al_table;

void al_table_free(al_table *table);

/* All rows added from here on are test rows; once. */
void al_table_begin_test(al_table *table);
/* Text is cleaned to UTF-8. */
al_status al_table_add_text(al_table *table, const char *text, size_t size, const char *label,
                            size_t label_size) AL_MUST_USE;
/* pixels: channels x height x width. */
al_status al_table_add_image(al_table *table, const uint8_t *pixels, const char *label, size_t label_size) AL_MUST_USE;
/* Column indices ascending; n of them. */
al_status al_table_add_columns(al_table *table, const int32_t *indices, const float *values, size_t n,
                               const char *label, size_t label_size) AL_MUST_USE;

/* Readers: fill the table from raw files. limit: most bytes that each file may unpack to. entry: the resolved dataset
 * entry. */
typedef struct al_raw_file {
  char name[64], path[4096];
} al_raw_file;
al_status al_read_catalogue(al_table *table, const char *format, const json_t *entry, const al_raw_file *files,
                            size_t n, size_t limit) AL_MUST_USE;
al_status al_read_user(al_table *table, const json_t *entry, const char *base, const char *where) AL_MUST_USE;
/* Files a user's entry names, for the cache key. */
al_status al_user_content_digest(char hex[33], const json_t *entry, const char *base, const char *where) AL_MUST_USE;

/* The embedded generators (docs/generators.md). */
bool al_is_generator(const char *name);
al_status al_generate(al_table *table, const json_t *entry) AL_MUST_USE;

#endif
