/* Collecting rows. */
#include "data/table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "data/words.h"

void al_table_free(al_table *table) {
  al_buffer_free(&table->labels);
  al_buffer_free(&table->text);
  al_buffer_free(&table->pixels);
  free(table->text_end);
  free(table->values);
  free(table->indices);
  free(table->row_end);
  *table = (al_table){0};
}

void al_table_begin_test(al_table *table) {
  assert(!table->test_begun);
  table->test_begun = true;
}

static al_status add_label(al_table *table, const char *label, size_t size) {
  if (size == 0) return al_fail(AL_BAD_INPUT, "row %zu has an empty label", table->rows);
  if (memchr(label, '\0', size) != NULL)
    return al_fail(AL_BAD_INPUT, "row %zu has a NUL byte in its label", table->rows);
  if (table->rows == INT32_MAX) return al_fail(AL_BAD_INPUT, "more than 2^31 - 1 rows");
  al_status status = al_clean_utf8(&table->labels, label, size);
  if (status == AL_OK) status = al_buffer_append(&table->labels, "", 1);
  if (status != AL_OK) return status;
  table->rows++;
  if (!table->test_begun) table->train_rows++;
  return AL_OK;
}

al_status al_table_add_text(al_table *table, const char *text, size_t size, const char *label, size_t label_size) {
  al_status status = al_grow(&table->text_end, &table->text_capacity, table->rows + 1, sizeof *table->text_end);
  if (status == AL_OK) status = al_clean_utf8(&table->text, text, size);
  if (status == AL_OK) table->text_end[table->rows] = (int64_t)table->text.size;
  return status == AL_OK ? add_label(table, label, label_size) : status;
}

al_status al_table_add_image(al_table *table, const uint8_t *pixels, const char *label, size_t label_size) {
  al_status status = al_buffer_append(&table->pixels, pixels, table->channels * table->height * table->width);
  return status == AL_OK ? add_label(table, label, label_size) : status;
}

al_status al_table_add_columns(al_table *table, const int32_t *indices, const float *values, size_t n,
                               const char *label, size_t label_size) {
  al_status status;
  AL_TRY(al_grow(&table->values, &table->values_capacity, table->nonzeros + n, sizeof *table->values));
  AL_TRY(al_grow(&table->indices, &table->indices_capacity, table->nonzeros + n, sizeof *table->indices));
  AL_TRY(al_grow(&table->row_end, &table->row_capacity, table->rows + 1, sizeof *table->row_end));
  if (n != 0) {
    memcpy(table->values + table->nonzeros, values, n * sizeof *values);
    memcpy(table->indices + table->nonzeros, indices, n * sizeof *indices);
    if ((size_t)indices[n - 1] + 1 > table->columns) table->columns = (size_t)indices[n - 1] + 1;
  }
  table->nonzeros += n;
  table->row_end[table->rows] = (int64_t)table->nonzeros;
  AL_TRY(add_label(table, label, label_size));
done:
  return status;
}
