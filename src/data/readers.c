/* Readers of the catalogue's formats. Each fills the table from raw files; train before test, rows in the order that
 * DESIGN.md fixes (archives: byte order of the path; other files: catalogue order, then line order). */
#include "base/csv.h"
#include "data/table.h"
#include "data/unpack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  char *name, *bytes;
  size_t size;
} member;

typedef struct {
  member *items;
  size_t n, capacity;
} members;

static al_status keep_member(void *context, const char *name, const char *bytes, size_t size) {
  members *all = context;
  al_status status = al_grow(&all->items, &all->capacity, all->n + 1, sizeof *all->items);
  if (status != AL_OK) return status;
  member *m = &all->items[all->n];
  *m = (member){.size = size};
  status = al_copy_string(&m->name, name);
  if (status == AL_OK) status = al_copy_bytes(&m->bytes, bytes, size);
  all->n++;
  return status;
}

static void members_free(members *all) {
  for (size_t i = 0; i < all->n; i++) {
    free(all->items[i].name);
    free(all->items[i].bytes);
  }
  free(all->items);
  *all = (members){0};
}

static al_status unpack_all(members *all, const al_raw_file *files, size_t n, size_t limit) {
  al_status status = AL_OK;
  for (size_t i = 0; i < n && status == AL_OK; i++)
    status = al_unpack(files[i].path, files[i].name, limit, keep_member, all);
  return status;
}

/* The member whose file name is one of the two, or NULL. */
static const member *find_member(const members *all, const char *name, const char *other) {
  for (size_t i = 0; i < all->n; i++) {
    const char *slash = strrchr(all->items[i].name, '/'), *base = slash == NULL ? all->items[i].name : slash + 1;
    if (strcmp(base, name) == 0 || (other != NULL && strcmp(base, other) == 0)) return &all->items[i];
  }
  return NULL;
}

static al_status need_member(const member **out, const members *all, const char *name, const char *other) {
  *out = find_member(all, name, other);
  return *out != NULL ? AL_OK
                      : al_fail(AL_ENVIRONMENT, "the file %s is missing from the raw data; run alab fetch again", name);
}

/* ---- character sets ---- */

static al_status append_code(al_buffer *out, unsigned code) {
  char bytes[3];
  if (code < 0x80) {
    bytes[0] = (char)code;
    return al_buffer_append(out, bytes, 1);
  }
  if (code < 0x800) {
    bytes[0] = (char)(0xC0 | code >> 6);
    bytes[1] = (char)(0x80 | (code & 0x3F));
    return al_buffer_append(out, bytes, 2);
  }
  bytes[0] = (char)(0xE0 | code >> 12);
  bytes[1] = (char)(0x80 | (code >> 6 & 0x3F));
  bytes[2] = (char)(0x80 | (code & 0x3F));
  return al_buffer_append(out, bytes, 3);
}

static const unsigned short windows_1252[32] = {0x20AC, 0xFFFD, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021,
                                                0x02C6, 0x2030, 0x0160, 0x2039, 0x0152, 0xFFFD, 0x017D, 0xFFFD,
                                                0xFFFD, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014,
                                                0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0xFFFD, 0x017E, 0x0178};

static al_status to_utf8(al_buffer *out, const char *bytes, size_t size, bool windows) {
  al_status status = AL_OK;
  out->size = 0;
  for (size_t i = 0; i < size && status == AL_OK;) {
    size_t run = i;
    while (run < size && (unsigned char)bytes[run] < 0x80) run++;
    status = al_buffer_append(out, bytes + i, run - i);
    if (run < size && status == AL_OK) {
      unsigned char byte = (unsigned char)bytes[run++];
      status = append_code(out, windows && byte < 0xA0 ? windows_1252[byte - 0x80] : byte);
    }
    i = run;
  }
  return status;
}

/* ---- 20 Newsgroups ---- */

static int by_part_and_name(const void *a, const void *b) {
  const member *x = a, *y = b;
  bool test_x = strstr(x->name, "-test/") != NULL, test_y = strstr(y->name, "-test/") != NULL;
  if (test_x != test_y) return test_x ? 1 : -1;
  return strcmp(x->name, y->name);
}

typedef struct {
  const char *at;
  size_t size;
} span;

static bool next_line(const char *text, size_t size, size_t *at, span *line) {
  if (*at > size) return false;
  const char *newline = memchr(text + *at, '\n', size - *at);
  size_t end = newline == NULL ? size : (size_t)(newline - text);
  *line = (span){text + *at, end - *at};
  *at = newline == NULL ? size + 1 : end + 1;
  return true;
}

/* Behind the first empty line; no empty line: nothing is below the headers (scikit-learn's strip_newsgroup_header). */
static span below_headers(span text) {
  for (size_t i = 0; i + 1 < text.size; i++)
    if (text.at[i] == '\n' && text.at[i + 1] == '\n') return (span){text.at + i + 2, text.size - i - 2};
  return (span){text.at + text.size, 0};
}

/* White space of Latin-1 as Python's str.strip sees it. */
static bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r') || (c >= 0x1c && c <= 0x1f) || c == '\x85' || c == '\xa0';
}

static span trim(span text) {
  while (text.size != 0 && is_space(text.at[0])) text = (span){text.at + 1, text.size - 1};
  while (text.size != 0 && is_space(text.at[text.size - 1])) text.size--;
  return text;
}

/* A last paragraph behind a blank line or a line of dashes is a signature (scikit-learn's strip_newsgroup_footer). */
static span without_footer(span text) {
  span whole = trim(text);
  size_t end = whole.size;
  while (end != 0) {
    size_t start = end;
    while (start != 0 && whole.at[start - 1] != '\n') start--;
    span line = trim((span){whole.at + start, end - start});
    while (line.size != 0 && line.at[0] == '-') line = (span){line.at + 1, line.size - 1};
    while (line.size != 0 && line.at[line.size - 1] == '-') line.size--;
    if (line.size == 0) return start == 0 ? text : (span){whole.at, start - 1};
    if (start == 0) break;
    end = start - 1;
  }
  return text;
}

static bool contains(span line, const char *word) { return memmem(line.at, line.size, word, strlen(word)) != NULL; }

static bool starts(span line, const char *word) {
  return line.size >= strlen(word) && memcmp(line.at, word, strlen(word)) == 0;
}

/* scikit-learn's _QUOTE_RE: (writes in|writes:|wrote:|says:|said:|^In article|^Quoted from|^\||^>) */
static bool is_quote(span line) {
  return contains(line, "writes in") || contains(line, "writes:") || contains(line, "wrote:") ||
         contains(line, "says:") || contains(line, "said:") || starts(line, "In article") ||
         starts(line, "Quoted from") || starts(line, "|") || starts(line, ">");
}

static al_status bare_text(al_buffer *out, span text) {
  al_status status = AL_OK;
  span kept = without_footer(below_headers(text)), line;
  bool first = true;
  out->size = 0;
  for (size_t at = 0; status == AL_OK && next_line(kept.at, kept.size, &at, &line);) {
    if (is_quote(line)) continue;
    if (!first) status = al_buffer_append(out, "\n", 1);
    if (status == AL_OK) status = al_buffer_append(out, line.at, line.size);
    first = false;
  }
  return status;
}

/* The subject (without its tag) on a line of its own, then everything below the headers. */
static al_status body_text(al_buffer *out, span text) {
  al_status status = AL_OK;
  span body = below_headers(text), line;
  size_t headers = text.size - body.size;
  out->size = 0;
  for (size_t at = 0; status == AL_OK && at < headers && next_line(text.at, headers, &at, &line);) {
    if (line.size < 8 || strncasecmp(line.at, "Subject:", 8) != 0) continue;
    span subject = trim((span){line.at + 8, line.size - 8});
    status = al_buffer_append(out, subject.at, subject.size);
    if (status == AL_OK) status = al_buffer_append(out, "\n", 1);
    break;
  }
  return status == AL_OK ? al_buffer_append(out, body.at, body.size) : status;
}

static al_status read_newsgroups(al_table *table, const json_t *entry, members *all) {
  al_status status = AL_OK;
  al_buffer bytes = {0}, text = {0};
  const char *parts = json_string_value(json_object_get(entry, "parts"));
  if (all->n != 0) qsort(all->items, all->n, sizeof *all->items, by_part_and_name);
  for (size_t i = 0; i < all->n; i++) {
    const member *m = &all->items[i];
    const char *file = strrchr(m->name, '/'), *group = file;
    if (file == NULL) continue;
    while (group > m->name && group[-1] != '/') group--;
    if (strstr(m->name, "-test/") != NULL && !table->test_begun) al_table_begin_test(table);
    span raw = {m->bytes, m->size};
    if (parts != NULL && strcmp(parts, "bare") == 0)
      AL_TRY(bare_text(&bytes, raw));
    else if (parts != NULL && strcmp(parts, "body") == 0)
      AL_TRY(body_text(&bytes, raw));
    if (bytes.data != NULL) raw = (span){bytes.data, bytes.size};
    AL_TRY(to_utf8(&text, raw.at, raw.size, false));
    AL_TRY(al_table_add_text(table, text.data, text.size, group, (size_t)(file - group)));
  }
done:
  al_buffer_free(&bytes);
  al_buffer_free(&text);
  return status;
}

/* ---- images ---- */

static uint32_t big_endian(const char *bytes) {
  const unsigned char *b = (const unsigned char *)bytes;
  return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static al_status read_idx_pair(al_table *table, const member *images, const member *labels) {
  if (images->size < 16 || labels->size < 8 || big_endian(images->bytes) != 0x803 || big_endian(labels->bytes) != 0x801)
    return al_fail(AL_ENVIRONMENT, "%s: not an IDX file of images and labels", images->name);
  size_t n = big_endian(images->bytes + 4), height = big_endian(images->bytes + 8),
         width = big_endian(images->bytes + 12);
  if (height == 0 || width == 0 || height > 4096 || width > 4096 || big_endian(labels->bytes + 4) != n ||
      labels->size != n + 8 || images->size != n * height * width + 16)
    return al_fail(AL_ENVIRONMENT, "%s: sizes of images and labels do not agree", images->name);
  if (table->rows != 0 && (table->height != height || table->width != width))
    return al_fail(AL_ENVIRONMENT, "%s: train and test images differ in size", images->name);
  table->channels = 1;
  table->height = height;
  table->width = width;
  al_status status = AL_OK;
  for (size_t i = 0; i < n && status == AL_OK; i++) {
    char label[8];
    int length = snprintf(label, sizeof label, "%u", (unsigned char)labels->bytes[8 + i]);
    status = al_table_add_image(table, (const uint8_t *)images->bytes + 16 + i * height * width, label, (size_t)length);
  }
  return status;
}

static al_status read_idx(al_table *table, const members *all) {
  al_status status;
  const member *images = NULL, *labels = NULL;
  AL_TRY(need_member(&images, all, "train-images-idx3-ubyte", NULL));
  AL_TRY(need_member(&labels, all, "train-labels-idx1-ubyte", NULL));
  AL_TRY(read_idx_pair(table, images, labels));
  al_table_begin_test(table);
  AL_TRY(need_member(&images, all, "t10k-images-idx3-ubyte", NULL));
  AL_TRY(need_member(&labels, all, "t10k-labels-idx1-ubyte", NULL));
  AL_TRY(read_idx_pair(table, images, labels));
done:
  return status;
}

static al_status read_cifar(al_table *table, const members *all) {
  enum { RECORD = 3073 };
  /* batches.meta.txt; in byte order, as classes are numbered */
  static const char *const names[] = {"airplane", "automobile", "bird",  "cat",  "deer",
                                      "dog",      "frog",       "horse", "ship", "truck"};
  al_status status = AL_OK;
  table->channels = 3;
  table->height = table->width = 32;
  for (int batch = 1; batch <= 6; batch++) {
    char name[32];
    const member *m = NULL;
    snprintf(name, sizeof name, batch == 6 ? "test_batch.bin" : "data_batch_%d.bin", batch);
    AL_TRY(need_member(&m, all, name, NULL));
    if (m->size % RECORD != 0) return al_fail(AL_ENVIRONMENT, "%s: not a whole number of CIFAR records", m->name);
    if (batch == 6) al_table_begin_test(table);
    for (size_t at = 0; at < m->size; at += RECORD) {
      unsigned label = (unsigned char)m->bytes[at];
      if (label > 9) return al_fail(AL_ENVIRONMENT, "%s: record %zu has the label %u", m->name, at / RECORD, label);
      const uint8_t *pixels = (const uint8_t *)m->bytes + at + 1;
      AL_TRY(al_table_add_image(table, pixels, names[label], strlen(names[label])));
    }
  }
done:
  return status;
}

/* ---- lines ---- */

static al_status add_line(al_table *table, al_buffer *text, span line, bool windows, bool utf8, span label) {
  if (utf8) return al_table_add_text(table, line.at, line.size, label.at, label.size);
  al_status status = to_utf8(text, line.at, line.size, windows);
  return status == AL_OK ? al_table_add_text(table, text->data, text->size, label.at, label.size) : status;
}

/* "LABEL:fine text", Latin-1. */
static al_status read_trec_file(al_table *table, const member *m, bool fine) {
  al_status status = AL_OK;
  al_buffer text = {0};
  span line;
  size_t number = 0;
  for (size_t at = 0; next_line(m->bytes, m->size, &at, &line);) {
    number++;
    if (line.size == 0) continue;
    const char *space = memchr(line.at, ' ', line.size), *colon = memchr(line.at, ':', line.size);
    if (space == NULL || colon == NULL || colon > space) {
      status = al_fail(AL_ENVIRONMENT, "%s:%zu: not a line of the form LABEL:fine question", m->name, number);
      goto done;
    }
    span label = {line.at, (size_t)((fine ? space : colon) - line.at)};
    span question = {space + 1, line.size - (size_t)(space + 1 - line.at)};
    AL_TRY(add_line(table, &text, question, false, false, label));
  }
done:
  al_buffer_free(&text);
  return status;
}

static al_status read_trec(al_table *table, const json_t *entry, const members *all) {
  al_status status;
  const member *m = NULL;
  const char *labels = json_string_value(json_object_get(entry, "labels"));
  bool fine = labels != NULL && strcmp(labels, "fine") == 0;
  AL_TRY(need_member(&m, all, "train_5500.label", NULL));
  AL_TRY(read_trec_file(table, m, fine));
  al_table_begin_test(table);
  AL_TRY(need_member(&m, all, "TREC_10.label", NULL));
  AL_TRY(read_trec_file(table, m, fine));
done:
  return status;
}

/* A file a class, a text a line; lines end in LF only. Empty lines count: cr has four among its published 3,775. */
static al_status read_two_files(al_table *table, const members *all, const char *const names[2],
                                const char *const others[2], const char *const labels[2]) {
  al_status status = AL_OK;
  al_buffer text = {0};
  for (size_t side = 0; side < 2; side++) {
    const member *m = NULL;
    span line;
    AL_TRY(need_member(&m, all, names[side], others[side]));
    for (size_t at = 0; next_line(m->bytes, m->size, &at, &line);)
      if (line.size != 0 || line.at < m->bytes + m->size) /* all but the nothing behind the last LF */
        AL_TRY(add_line(table, &text, line, true, false, (span){labels[side], strlen(labels[side])}));
  }
done:
  al_buffer_free(&text);
  return status;
}

static al_status read_sst(al_table *table, const json_t *entry, const members *all) {
  static const char *const parts[] = {"train", "test"};
  const char *labels = json_string_value(json_object_get(entry, "labels"));
  al_status status = AL_OK;
  for (size_t part = 0; part < 2; part++) {
    char name[48];
    const member *m = NULL;
    span line;
    snprintf(name, sizeof name, "stsa.%s.%s", labels != NULL && strcmp(labels, "fine") == 0 ? "fine" : "binary",
             parts[part]);
    AL_TRY(need_member(&m, all, name, NULL));
    if (part == 1) al_table_begin_test(table);
    for (size_t at = 0; next_line(m->bytes, m->size, &at, &line);) {
      if (line.size < 2) continue;
      AL_TRY(add_line(table, NULL, (span){line.at + 2, line.size - 2}, false, true, (span){line.at, 1}));
    }
  }
done:
  return status;
}

/* Three quoted columns without a header: class, title, description. */
typedef struct {
  al_table *table;
  al_buffer text;
} news_reader;

static al_status add_news(void *context, const al_buffer *fields, size_t n, size_t line) {
  news_reader *reader = context;
  if (n != 3) return al_fail(AL_ENVIRONMENT, "line %zu: %zu columns instead of 3", line, n);
  al_status status;
  reader->text.size = 0;
  AL_TRY(al_buffer_append(&reader->text, fields[1].data, fields[1].size));
  AL_TRY(al_buffer_append(&reader->text, "\n", 1));
  AL_TRY(al_buffer_append(&reader->text, fields[2].data, fields[2].size));
  AL_TRY(al_table_add_text(reader->table, reader->text.data, reader->text.size, fields[0].data, fields[0].size));
done:
  return status;
}

static al_status read_ag_news(al_table *table, const members *all) {
  al_status status;
  news_reader reader = {.table = table};
  const member *m = NULL;
  AL_TRY(need_member(&m, all, "train.csv", NULL));
  AL_TRY(al_csv_parse(m->bytes, m->size, m->name, add_news, &reader));
  al_table_begin_test(table);
  AL_TRY(need_member(&m, all, "test.csv", NULL));
  AL_TRY(al_csv_parse(m->bytes, m->size, m->name, add_news, &reader));
done:
  al_buffer_free(&reader.text);
  return status;
}

al_status al_read_catalogue(al_table *table, const char *format, const json_t *entry, const al_raw_file *files,
                            size_t n, size_t limit) {
  static const char *const subj[2] = {"subj.objective", "subj.subjective"};
  static const char *const subj_upstream[2] = {"plot.tok.gt9.5000", "quote.tok.gt9.5000"};
  static const char *const subj_labels[2] = {"objective", "subjective"};
  static const char *const mr[2] = {"rt-polarity.neg", "rt-polarity.pos"};
  static const char *const cr[2] = {"custrev.neg", "custrev.pos"};
  static const char *const none[2] = {NULL, NULL};
  static const char *const polarity[2] = {"negative", "positive"};
  al_status status;
  members all = {0};
  bool image = strcmp(format, "idx") == 0 || strcmp(format, "cifar") == 0;
  table->kind = image ? AL_IMAGE : AL_TEXT;
  AL_TRY(unpack_all(&all, files, n, limit));
  if (strcmp(format, "20newsgroups") == 0)
    status = read_newsgroups(table, entry, &all);
  else if (strcmp(format, "idx") == 0)
    status = read_idx(table, &all);
  else if (strcmp(format, "cifar") == 0)
    status = read_cifar(table, &all);
  else if (strcmp(format, "trec") == 0)
    status = read_trec(table, entry, &all);
  else if (strcmp(format, "subj") == 0)
    status = read_two_files(table, &all, subj, subj_upstream, subj_labels);
  else if (strcmp(format, "mr") == 0)
    status = read_two_files(table, &all, mr, none, polarity);
  else if (strcmp(format, "cr") == 0)
    status = read_two_files(table, &all, cr, none, polarity);
  else if (strcmp(format, "sst") == 0)
    status = read_sst(table, entry, &all);
  else if (strcmp(format, "ag_news") == 0)
    status = read_ag_news(table, &all);
  else
    status = al_fail(AL_BAD_INPUT, "the catalogue's format '%s' is unknown", format);
done:
  members_free(&all);
  return status;
}
