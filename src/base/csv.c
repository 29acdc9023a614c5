/* One pass over the bytes; a record's fields are buffers that the next record uses again. */
#include "base/csv.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_FIELDS = 10000 };

typedef struct {
  al_buffer *fields;
  size_t n, capacity;
} record;

static al_status begin_field(record *r) {
  if (r->n == MOST_FIELDS) return al_fail(AL_BAD_INPUT, "more than %d columns", MOST_FIELDS);
  if (r->n == r->capacity) {
    size_t before = r->capacity;
    al_status status = al_grow(&r->fields, &r->capacity, r->n + 1, sizeof *r->fields);
    if (status != AL_OK) return status;
    memset(r->fields + before, 0, (r->capacity - before) * sizeof *r->fields);
  }
  r->fields[r->n].size = 0;
  return al_buffer_append(&r->fields[r->n++], "", 0);
}

/* One field from *at; *last: the record ends with it. */
static al_status read_field(record *r, const char *text, size_t size, size_t *at, size_t *line, bool *last) {
  al_status status = begin_field(r);
  if (status != AL_OK) return status;
  al_buffer *field = &r->fields[r->n - 1];
  bool quoted = *at < size && text[*at] == '"';
  if (quoted) {
    size_t opened = *line;
    for ((*at)++;;) {
      if (*at >= size) return al_fail(AL_BAD_INPUT, "line %zu: the quote that opens here is never closed", opened);
      char c = text[(*at)++];
      if (c == '"') {
        if (*at >= size || text[*at] != '"') break;
        (*at)++;
      }
      *line += c == '\n';
      if ((status = al_buffer_append(field, &c, 1)) != AL_OK) return status;
    }
  } else {
    size_t start = *at;
    while (*at < size && text[*at] != ',' && text[*at] != '\n' && text[*at] != '\r') (*at)++;
    if ((status = al_buffer_append(field, text + start, *at - start)) != AL_OK) return status;
  }
  *last = true;
  if (*at >= size) return AL_OK;
  if (text[*at] == ',') {
    (*at)++;
    *last = false;
    return AL_OK;
  }
  if (text[*at] == '\r' && *at + 1 < size && text[*at + 1] == '\n') (*at)++;
  if (text[*at] != '\n' && text[*at] != '\r')
    return al_fail(AL_BAD_INPUT, "line %zu: text stands behind a closing quote; double the quotes inside a field",
                   *line);
  (*at)++;
  (*line)++;
  return AL_OK;
}

al_status al_csv_parse(const char *text, size_t size, const char *name, al_csv_visit visit, void *context) {
  al_status status = AL_OK;
  record r = {0};
  size_t at = 0, line = 1;
  if (size >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) at = 3; /* a byte order mark */
  while (at < size && status == AL_OK) {
    size_t began = line;
    bool last = false;
    r.n = 0;
    while (!last && status == AL_OK) status = read_field(&r, text, size, &at, &line, &last);
    bool blank = r.n == 1 && r.fields[0].size == 0;
    if (status == AL_OK && !blank) status = visit(context, r.fields, r.n, began);
  }
  if (status != AL_OK) (void)al_context(status, "%s", name);
  for (size_t i = 0; i < r.capacity; i++) al_buffer_free(&r.fields[i]);
  free(r.fields);
  return status;
}
