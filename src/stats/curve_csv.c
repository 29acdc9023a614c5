/* Tidy curves from a CSV file that anybody may have made (docs/statistics.md, "Curves from elsewhere"). Rows are read,
 * checked and sorted into cells; whatever does not hold is an error that names the line. */
#include "stats/curve_set.h"

#include "base/csv.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/params.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MOST_BYTES ((size_t)1 << 30)
enum { MOST_ROWS = 4000000, MOST_STUDIES = 64, MOST_NAME = 200, MOST_REPLICATE = 1000000 };

/* Columns with a meaning of their own; any other column is a metric. */
enum { STUDY, DATASET, MODEL, SETTING, STRATEGY, SEED, STREAMS, DIGEST, BUDGET, END, TEXTS };
enum { REPLICATE = TEXTS, ROUND, LABELS, COST, KNOWN, VALUE = KNOWN, COLUMNS };
static const char *const column_names[KNOWN] = {"study",     "dataset", "model",  "setting", "strategy",
                                                "seed",      "streams", "digest", "budget",  "end",
                                                "replicate", "round",   "labels", "cost"};

typedef struct {
  size_t texts[TEXTS]; /* offsets into reader.names */
  size_t study;        /* index into reader.studies */
  size_t replicate, line;
  double round, labels, cost, value; /* NaN: empty */
} row;

typedef struct {
  const char *path, *metric;
  size_t column[COLUMNS], fields; /* SIZE_MAX: the file has no such column */
  bool header_read;
  al_buffer names;                           /* NUL-terminated texts; offset 0 is "" */
  size_t studies[MOST_STUDIES], study_count; /* offsets of their names, in order of appearance */
  row *rows;
  size_t n, capacity;
} reader;

/* ---- fields ---- */

/* Length of the UTF-8 sequence at `text` and its code point; 0: there is none. Overlong forms and surrogates are none.
 */
static size_t decode(const unsigned char *text, size_t size, uint32_t *point) {
  static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
  unsigned char first = text[0];
  size_t length = first < 0x80 ? 1 : first < 0xC2 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : first < 0xF5 ? 4 : 0;
  if (length == 0 || length > size) return 0;
  *point = length == 1 ? first : first & (0x7FU >> length);
  for (size_t i = 1; i < length; i++) {
    if ((text[i] & 0xC0) != 0x80) return 0;
    *point = *point << 6 | (text[i] & 0x3FU);
  }
  if (*point < least[length] || *point > 0x10FFFF || (*point >= 0xD800 && *point < 0xE000)) return 0;
  return length;
}

/* What a terminal may be shown: no control characters, none that turn the direction of the text. */
static bool printable(const char *text, size_t size) {
  for (size_t at = 0; at < size;) {
    uint32_t point = 0;
    size_t length = decode((const unsigned char *)text + at, size - at, &point);
    if (length == 0 || point < 0x20 || (point >= 0x7F && point < 0xA0) || (point >= 0x200E && point <= 0x200F) ||
        (point >= 0x2028 && point <= 0x202E) || (point >= 0x2066 && point <= 0x2069) || point == 0xFEFF)
      return false;
    at += length;
  }
  return true;
}

static bool is_absent(const al_buffer *field) {
  static const char *const absent[] = {"", "NA", "NaN", "nan"};
  for (size_t i = 0; i < 4; i++)
    if (field->size == strlen(absent[i]) && memcmp(field->data, absent[i], field->size) == 0) return true;
  return false;
}

static const al_buffer *field_of(const reader *r, const al_buffer *fields, int column) {
  static char empty[1];
  static const al_buffer none = {.data = empty};
  return r->column[column] == SIZE_MAX ? &none : &fields[r->column[column]];
}

static const char *name_of(const reader *r, int column) { return column == VALUE ? r->metric : column_names[column]; }

static al_status read_number(double *out, const reader *r, const al_buffer *fields, int column, size_t line) {
  const al_buffer *field = field_of(r, fields, column);
  *out = NAN;
  if (is_absent(field)) return AL_OK;
  char *end = NULL;
  bool plain = strspn(field->data, "0123456789+-.eE") == field->size; /* no hexadecimal, no inf, no NUL inside */
  *out = plain ? strtod(field->data, &end) : NAN;
  if (!plain || end != field->data + field->size || !isfinite(*out))
    return al_fail(AL_BAD_INPUT, "line %zu: column '%s': this is no finite number", line, name_of(r, column));
  return AL_OK;
}

/* A text becomes an offset; most rows have the texts of the row before. */
static al_status read_text(size_t *out, reader *r, const al_buffer *fields, int column, size_t line) {
  const al_buffer *field = field_of(r, fields, column);
  size_t most = column == BUDGET ? 10 * MOST_NAME : MOST_NAME;
  *out = 0;
  if (field->size == 0) return AL_OK;
  if (r->n != 0) {
    size_t before = r->rows[r->n - 1].texts[column];
    const char *known = r->names.data + before;
    if (strlen(known) == field->size && memcmp(known, field->data, field->size) == 0) {
      *out = before;
      return AL_OK;
    }
  }
  if (field->size > most)
    return al_fail(AL_BAD_INPUT, "line %zu: column '%s': more than %zu bytes", line, column_names[column], most);
  if (!printable(field->data, field->size))
    return al_fail(AL_BAD_INPUT, "line %zu: column '%s': this is not printable UTF-8", line, column_names[column]);
  *out = r->names.size;
  return al_buffer_append(&r->names, field->data, field->size + 1); /* with its NUL */
}

static al_status find_study(size_t *out, reader *r, size_t name, size_t line) {
  const char *names = r->names.data;
  for (*out = 0; *out < r->study_count; ++*out)
    if (r->studies[*out] == name || strcmp(names + r->studies[*out], names + name) == 0) return AL_OK;
  if (r->study_count == MOST_STUDIES)
    return al_fail(AL_BAD_INPUT, "line %zu: more than %d studies in one file", line, MOST_STUDIES);
  r->studies[r->study_count++] = name;
  return AL_OK;
}

static al_status read_replicate(size_t *out, const reader *r, const al_buffer *fields, size_t line) {
  double value;
  al_status status = read_number(&value, r, fields, REPLICATE, line);
  *out = 0;
  if (status != AL_OK || isnan(value)) return status;
  if (value < 0.0 || value > MOST_REPLICATE || value != floor(value))
    return al_fail(AL_BAD_INPUT, "line %zu: column 'replicate': give a whole number from 0 to %d", line,
                   MOST_REPLICATE);
  *out = (size_t)value;
  return AL_OK;
}

static al_status read_header(reader *r, const al_buffer *fields, size_t n, size_t line) {
  const char *metrics[64];
  size_t known = 0;
  for (int c = 0; c < COLUMNS; c++) r->column[c] = SIZE_MAX;
  for (size_t i = 0; i < n; i++) {
    if (fields[i].size == 0 || fields[i].size > MOST_NAME || !printable(fields[i].data, fields[i].size))
      return al_fail(AL_BAD_INPUT, "line %zu: the name of column %zu is empty, too long or not printable UTF-8", line,
                     i + 1);
    int c = 0;
    while (c < KNOWN && strcmp(fields[i].data, column_names[c]) != 0) c++;
    if (c == KNOWN && known < sizeof metrics / sizeof *metrics) metrics[known++] = fields[i].data;
    if (c == KNOWN && strcmp(fields[i].data, r->metric) != 0) continue;
    if (r->column[c] != SIZE_MAX)
      return al_fail(AL_BAD_INPUT, "line %zu: two columns are named '%s'", line, fields[i].data);
    r->column[c] = i;
  }
  if (r->column[STRATEGY] == SIZE_MAX || r->column[LABELS] == SIZE_MAX)
    return al_fail(AL_BAD_INPUT,
                   "line %zu: the header has no column '%s'; see docs/statistics.md, Curves from elsewhere", line,
                   r->column[STRATEGY] == SIZE_MAX ? "strategy" : "labels");
  if (r->column[VALUE] == SIZE_MAX) {
    char where[32];
    snprintf(where, sizeof where, "line %zu", line);
    return al_metric_unknown(r->metric, metrics, known, where);
  }
  r->fields = n;
  r->header_read = true;
  return AL_OK;
}

static al_status read_row(void *context, const al_buffer *fields, size_t n, size_t line) {
  reader *r = context;
  al_status status;
  row new = {.line = line};
  if (!r->header_read) return read_header(r, fields, n, line);
  if (n != r->fields) return al_fail(AL_BAD_INPUT, "line %zu: %zu fields, but the header has %zu", line, n, r->fields);
  if (r->n == MOST_ROWS) return al_fail(AL_BAD_INPUT, "line %zu: more than %d rounds; split the file", line, MOST_ROWS);
  for (int c = 0; c < TEXTS; c++) AL_TRY(read_text(&new.texts[c], r, fields, c, line));
  AL_TRY(find_study(&new.study, r, new.texts[STUDY], line));
  AL_TRY(read_replicate(&new.replicate, r, fields, line));
  AL_TRY(read_number(&new.round, r, fields, ROUND, line));
  AL_TRY(read_number(&new.labels, r, fields, LABELS, line));
  AL_TRY(read_number(&new.cost, r, fields, COST, line));
  AL_TRY(read_number(&new.value, r, fields, VALUE, line));
  if (new.texts[STRATEGY] == 0) return al_fail(AL_BAD_INPUT, "line %zu: column 'strategy' is empty", line);
  if (isnan(new.labels) || new.labels < 0.0)
    return al_fail(AL_BAD_INPUT, "line %zu: column 'labels': give a number from 0", line);
  AL_TRY(al_grow(&r->rows, &r->capacity, r->n + 1, sizeof *r->rows));
  r->rows[r->n++] = new;
done:
  return status;
}

/* ---- rows into cells ---- */

static int by_cell(const row *a, const row *b, const char *names) {
  if (a->study != b->study) return a->study < b->study ? -1 : 1;
  for (int c = DATASET; c <= STRATEGY; c++) {
    int order = a->texts[c] == b->texts[c] ? 0 : strcmp(names + a->texts[c], names + b->texts[c]);
    if (order != 0) return order;
  }
  return (a->replicate > b->replicate) - (a->replicate < b->replicate);
}

static int by_cell_and_round(const void *x, const void *y, void *names) {
  const row *a = x, *b = y;
  int order = by_cell(a, b, names);
  if (order != 0) return order;
  if (isnan(a->round) != isnan(b->round)) return isnan(a->round) ? 1 : -1;
  double p = isnan(a->round) ? a->labels : a->round, q = isnan(b->round) ? b->labels : b->round;
  if (p != q) return p < q ? -1 : 1;
  return (a->line > b->line) - (a->line < b->line);
}

/* The rows of one cell hold together: its facts are the same in each, rounds are distinct, labels ascend. */
static al_status check_cell(const reader *r, const row *rows, size_t n) {
  for (size_t i = 1; i < n; i++) {
    for (int c = SEED; c < TEXTS; c++)
      if (strcmp(r->names.data + rows[i].texts[c], r->names.data + rows[0].texts[c]) != 0)
        return al_fail(AL_BAD_INPUT, "line %zu: column '%s' differs from line %zu of the same cell", rows[i].line,
                       column_names[c], rows[0].line);
    if (isnan(rows[i].round) != isnan(rows[0].round))
      return al_fail(AL_BAD_INPUT, "line %zu: column 'round' is empty, but not on line %zu of the same cell",
                     rows[i].line, rows[0].line);
    if (isnan(rows[i].round) ? rows[i].labels == rows[i - 1].labels : rows[i].round == rows[i - 1].round)
      return al_fail(AL_BAD_INPUT, "line %zu: this round of the cell is on line %zu already", rows[i].line,
                     rows[i - 1].line);
    if (rows[i].labels < rows[i - 1].labels)
      return al_fail(AL_BAD_INPUT, "line %zu: fewer labels than in the round before, on line %zu", rows[i].line,
                     rows[i - 1].line);
    if (rows[i].cost < rows[i - 1].cost)
      return al_fail(AL_BAD_INPUT, "line %zu: less cost than in the round before, on line %zu", rows[i].line,
                     rows[i - 1].line);
  }
  return AL_OK;
}

static al_status read_budget(double *out, const char *text, const double *labels, size_t n, size_t line) {
  *out = NAN;
  if (*text == '\0') return AL_OK;
  json_t *budget = json_loads(text, JSON_DECODE_ANY, NULL);
  if (json_is_object(budget)) {
    *out = al_budget_labels(budget, labels, n);
  } else if (json_is_number(budget)) {
    *out = json_number_value(budget);
  } else {
    json_decref(budget);
    return al_fail(AL_BAD_INPUT,
                   "line %zu: column 'budget': give a number of labels, or the JSON object of alab export", line);
  }
  json_decref(budget);
  return AL_OK;
}

typedef struct {
  al_cell_curve cell;
  size_t line;
} placed;

static int by_line(const void *a, const void *b) {
  size_t x = ((const placed *)a)->line, y = ((const placed *)b)->line;
  return (x > y) - (x < y);
}

static al_status fill_cell(al_cell_curve *c, const reader *r, const row *rows, size_t n) {
  al_status status;
  const char *names = r->names.data;
  char **const texts[TEXTS] = {NULL,     &c->dataset, &c->model,  &c->setting, &c->strategy,
                               &c->seed, &c->streams, &c->digest, NULL,        &c->end};
  bool costs = true;
  for (int t = 0; t < TEXTS; t++)
    if (texts[t] != NULL) AL_TRY(al_copy_string(texts[t], names + rows[0].texts[t]));
  AL_TRY(al_copy_string(&c->lines, ""));
  AL_TRY(al_copy_string(&c->picks, ""));
  c->replicate = rows[0].replicate;
  AL_TRY(AL_NEW(&c->labels, n));
  AL_TRY(AL_NEW(&c->cost, n));
  AL_TRY(AL_NEW(&c->value, n));
  for (size_t i = 0; i < n; i++) costs = costs && !isnan(rows[i].cost);
  for (size_t i = 0; i < n; i++) {
    if (isnan(rows[i].value)) continue;
    c->labels[c->n] = rows[i].labels;
    c->cost[c->n] = costs ? rows[i].cost : NAN;
    c->value[c->n++] = rows[i].value;
  }
  AL_TRY(read_budget(&c->budget, names + rows[0].texts[BUDGET], c->labels, c->n, rows[0].line));
done:
  return status;
}

static al_status add_sources(size_t *first, al_curve_set *set, const reader *r) {
  al_status status = AL_OK;
  *first = set->source_count;
  for (size_t i = 0; i < r->study_count && status == AL_OK; i++) {
    char *name = NULL;
    size_t index;
    status = r->study_count == 1 ? al_copy_string(&name, r->path)
                                 : al_format(&name, "%s: %s", r->path, r->names.data + r->studies[i]);
    if (status == AL_OK) status = al_curve_set_source(&index, set, name);
    free(name);
  }
  return status;
}

static al_status add_cells(al_curve_set *set, reader *r, size_t first) {
  al_status status = AL_OK;
  placed *cells = NULL;
  size_t n = 0, capacity = 0;
  bool ends = false; /* does the file say how cells ended? Then one that does not is unfinished. */
  for (size_t i = 0; i < r->n && !ends; i++) ends = r->rows[i].texts[END] != 0;
  qsort_r(r->rows, r->n, sizeof *r->rows, by_cell_and_round, r->names.data);
  for (size_t i = 0, next; i < r->n; i = next) {
    const row *rows = &r->rows[i];
    size_t line = rows->line;
    for (next = i; next < r->n && by_cell(&r->rows[next], rows, r->names.data) == 0; next++)
      line = r->rows[next].line < line ? r->rows[next].line : line;
    AL_TRY(check_cell(r, rows, next - i));
    size_t source = first + rows->study;
    const char *dataset = r->names.data + rows->texts[DATASET], *model = r->names.data + rows->texts[MODEL];
    if (ends && rows->texts[END] == 0) {
      char name[6 * MOST_NAME];
      snprintf(name, sizeof name, "%s, line %zu: %s.%s.%s.r%zu", r->path, line, dataset, model,
               r->names.data + rows->texts[STRATEGY], rows->replicate);
      AL_TRY(al_curve_set_unfinished(set, name));
    } else if (strcmp(r->names.data + rows->texts[STRATEGY], "full-data") == 0) {
      AL_TRY(al_curve_set_full(set, source, dataset, model, rows[next - i - 1].value));
    } else {
      AL_TRY(al_grow(&cells, &capacity, n + 1, sizeof *cells));
      cells[n] = (placed){.cell = {.source = source, .budget = NAN}, .line = line};
      n++;
      AL_TRY(fill_cell(&cells[n - 1].cell, r, rows, next - i));
    }
  }
done:
  if (status == AL_OK && n != 0) {
    qsort(cells, n, sizeof *cells, by_line);
    status = al_grow(&set->cells, &set->capacity, set->n + n, sizeof *set->cells);
  }
  if (status == AL_OK) {
    for (size_t i = 0; i < n; i++) set->cells[set->n++] = cells[i].cell;
  } else {
    for (size_t i = 0; i < n; i++) al_cell_curve_clear(&cells[i].cell);
  }
  free(cells);
  return status;
}

al_status al_curve_set_add_csv(al_curve_set *set, const char *path) {
  al_status status;
  reader r = {.path = path, .metric = set->metric};
  char *text = NULL;
  size_t size = 0, first = 0, before = set->n;
  for (int c = 0; c < KNOWN; c++)
    if (strcmp(column_names[c], set->metric) == 0)
      return al_fail(AL_BAD_INPUT, "'%s' is no metric: it is a column of its own", set->metric);
  AL_TRY(al_file_read(&text, &size, path, MOST_BYTES));
  AL_TRY(al_buffer_append(&r.names, "", 1));
  AL_TRY(al_csv_parse(text, size, path, read_row, &r));
  if (r.n == 0) {
    status =
        al_fail(AL_BAD_INPUT, "%s: %s", path, r.header_read ? "no round stands below the header" : "the file is empty");
    goto done;
  }
  AL_TRY(add_sources(&first, set, &r));
  status = add_cells(set, &r, first);
  if (status != AL_OK) {
    (void)al_context(status, "%s", path);
  } else if (set->n == before) {
    status = al_fail(AL_BAD_INPUT, "%s: no cell is complete: none has an entry in the column 'end'", path);
  }
done:
  free(text);
  free(r.rows);
  al_buffer_free(&r.names);
  return status;
}
