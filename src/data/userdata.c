/* A user's own data: csv, jsonl, libsvm, npy and folders of images. Everything here is bytes from strangers: sizes are
 * checked before they are believed, and an error names file and line. */
#include "base/csv.h"
#include "base/file.h"
#include "base/npy.h"
#include "data/table.h"

#include <dirent.h>
#include <errno.h>
#include <jpeglib.h>
#include <limits.h>
#include <math.h>
#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#define MOST_FILE ((size_t)1 << 33)
enum { MOST_SIDE = 4096 };

static const char *option(const json_t *entry, const char *key, const char *otherwise) {
  const char *value = json_string_value(json_object_get(entry, key));
  return value == NULL ? otherwise : value;
}

static al_status path_of(char **path, const char *base, const char *name) {
  return *name == '/' ? al_copy_string(path, name) : al_format(path, "%s/%s", base, name);
}

/* ---- csv ---- */

typedef struct {
  al_table *table;
  const char *text_name, *label_name;
  size_t text, label, columns;
  bool header_read;
} csv_reader;

static al_status add_record(void *context, const al_buffer *fields, size_t n, size_t line) {
  csv_reader *reader = context;
  if (!reader->header_read) {
    reader->text = reader->label = SIZE_MAX;
    for (size_t i = 0; i < n; i++) {
      if (strcmp(fields[i].data, reader->text_name) == 0) reader->text = i;
      if (strcmp(fields[i].data, reader->label_name) == 0) reader->label = i;
    }
    if (reader->text == SIZE_MAX || reader->label == SIZE_MAX)
      return al_fail(AL_BAD_INPUT,
                     "line %zu: the header has no column '%s'; name the columns with text: and label:", line,
                     reader->text == SIZE_MAX ? reader->text_name : reader->label_name);
    reader->columns = n;
    reader->header_read = true;
    return AL_OK;
  }
  if (n != reader->columns)
    return al_fail(AL_BAD_INPUT, "line %zu: %zu columns, but the header has %zu", line, n, reader->columns);
  al_status status = al_table_add_text(reader->table, fields[reader->text].data, fields[reader->text].size,
                                       fields[reader->label].data, fields[reader->label].size);
  return status == AL_OK ? AL_OK : al_context(status, "line %zu", line);
}

/* ---- jsonl ---- */

static al_status read_jsonl(al_table *table, const json_t *entry, const char *text, size_t size, const char *path) {
  const char *text_key = option(entry, "text", "text"), *label_key = option(entry, "label", "label");
  size_t line = 0;
  for (size_t at = 0; at < size;) {
    const char *newline = memchr(text + at, '\n', size - at);
    size_t end = newline == NULL ? size : (size_t)(newline - text);
    line++;
    if (strspn(text + at, " \t\r") < end - at) {
      json_error_t error;
      json_t *object = json_loadb(text + at, end - at, 0, &error);
      const json_t *body = json_object_get(object, text_key), *label = json_object_get(object, label_key);
      char number[40] = "";
      if (json_is_integer(label))
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(label));
      else if (json_is_real(label))
        snprintf(number, sizeof number, "%.17g", json_real_value(label));
      const char *name = json_is_string(label) ? json_string_value(label) : number;
      al_status status;
      if (object == NULL)
        status = al_fail(AL_BAD_INPUT, "%s:%zu: not JSON: %s", path, line, error.text);
      else if (!json_is_string(body) || *name == '\0')
        status = al_fail(AL_BAD_INPUT, "%s:%zu: needs a text '%s' and a label '%s'", path, line, text_key, label_key);
      else
        status = al_table_add_text(table, json_string_value(body), json_string_length(body), name, strlen(name));
      json_decref(object);
      if (status != AL_OK) return status;
    }
    at = end + 1;
  }
  return AL_OK;
}

/* ---- libsvm ---- */

static bool blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

/* One line "label index:value ...", indices from 1 and ascending. */
static al_status read_svm_line(al_table *table, char *line, int32_t **indices, float **values, size_t capacity[2],
                               const char *path, size_t number) {
  size_t n = 0;
  char *at = line;
  while (blank(*at)) at++;
  if (*at == '\0' || *at == '#') return AL_OK;
  char *label = at;
  while (*at != '\0' && !blank(*at)) at++;
  size_t label_size = (size_t)(at - label);
  long long previous = 0;
  for (;;) {
    while (blank(*at)) at++;
    if (*at == '\0' || *at == '#') break;
    char *end = NULL;
    errno = 0;
    long long index = strtoll(at, &end, 10);
    if (end == at || *end != ':' || errno != 0 || index <= previous || index > INT32_MAX)
      return al_fail(AL_BAD_INPUT, "%s:%zu: indices must be index:value, from 1, ascending", path, number);
    at = end + 1;
    double value = strtod(at, &end);
    if (end == at || (*end != '\0' && !blank(*end)) || !isfinite(value))
      return al_fail(AL_BAD_INPUT, "%s:%zu: the value of index %lld is not a finite number", path, number, index);
    al_status status = al_grow(indices, &capacity[0], n + 1, sizeof **indices);
    if (status == AL_OK) status = al_grow(values, &capacity[1], n + 1, sizeof **values);
    if (status != AL_OK) return status;
    (*indices)[n] = (int32_t)(index - 1);
    (*values)[n++] = (float)value;
    previous = index;
    at = end;
  }
  return al_table_add_columns(table, *indices, *values, n, label, label_size);
}

static al_status read_libsvm(al_table *table, char *text, size_t size, const char *path) {
  al_status status = AL_OK;
  int32_t *indices = NULL;
  float *values = NULL;
  size_t capacity[2] = {0, 0}, number = 0;
  for (size_t at = 0; at < size && status == AL_OK;) {
    char *newline = memchr(text + at, '\n', size - at);
    size_t end = newline == NULL ? size : (size_t)(newline - text);
    text[end] = '\0';
    status = read_svm_line(table, text + at, &indices, &values, capacity, path, ++number);
    at = end + 1;
  }
  free(indices);
  free(values);
  return status;
}

/* ---- npy ---- */

static al_status read_npy(al_table *table, const char *path, const char *labels_path) {
  al_status status;
  al_npy x = {0}, y = {0};
  int32_t *all = NULL;
  AL_TRY(al_npy_read(&x, path));
  AL_TRY(al_npy_to_f32(&x, path));
  AL_TRY(al_npy_read(&y, labels_path));
  AL_TRY(al_npy_to_i32(&y, labels_path));
  if (x.dims != 2 || y.dims != 1 || x.shape[0] != y.shape[0] || x.shape[1] == 0 || x.shape[1] > INT32_MAX) {
    status = al_fail(AL_BAD_INPUT, "%s: must be rows x columns, and %s one label a row", path, labels_path);
    goto done;
  }
  if (table->rows != 0 && table->columns != x.shape[1]) {
    status = al_fail(AL_BAD_INPUT, "%s: %zu columns, but the train part has %zu", path, x.shape[1], table->columns);
    goto done;
  }
  AL_TRY(AL_NEW(&all, x.shape[1]));
  for (size_t c = 0; c < x.shape[1]; c++) all[c] = (int32_t)c;
  table->dense = true;
  for (size_t i = 0; i < x.shape[0]; i++) {
    const float *row = (const float *)x.data + i * x.shape[1];
    char label[16];
    int length = snprintf(label, sizeof label, "%d", ((const int32_t *)y.data)[i]);
    for (size_t c = 0; c < x.shape[1]; c++)
      if (!isfinite(row[c])) {
        status = al_fail(AL_BAD_INPUT, "%s: row %zu, column %zu is not finite", path, i, c);
        goto done;
      }
    AL_TRY(al_table_add_columns(table, all, row, x.shape[1], label, (size_t)length));
  }
done:
  al_npy_free(&x);
  al_npy_free(&y);
  free(all);
  return status;
}

/* ---- images ---- */

typedef struct {
  size_t channels, height, width;
  uint8_t *pixels; /* height x width x channels as decoded */
} picture;

static al_status bad_picture(const char *path, const char *why) { return al_fail(AL_BAD_INPUT, "%s: %s", path, why); }

static al_status picture_room(picture *p, const char *path) {
  if (p->width == 0 || p->height == 0 || p->width > MOST_SIDE || p->height > MOST_SIDE)
    return bad_picture(path, "an image must be 1 to 4096 pixels a side");
  return AL_NEW(&p->pixels, p->width * p->height * p->channels);
}

static al_status read_png(picture *p, const char *path) {
  png_image image;
  memset(&image, 0, sizeof image);
  image.version = PNG_IMAGE_VERSION;
  if (!png_image_begin_read_from_file(&image, path)) return bad_picture(path, "not a readable PNG image");
  bool colour = (image.format & PNG_FORMAT_FLAG_COLOR) != 0;
  image.format = colour ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
  *p = (picture){.channels = colour ? 3 : 1, .height = image.height, .width = image.width};
  al_status status = picture_room(p, path);
  if (status == AL_OK && !png_image_finish_read(&image, NULL, p->pixels, 0, NULL))
    status = bad_picture(path, "truncated or corrupted PNG image");
  png_image_free(&image);
  return status;
}

typedef struct {
  struct jpeg_error_mgr base;
  jmp_buf back;
} jpeg_guard;

static void on_jpeg_error(j_common_ptr info) { longjmp(((jpeg_guard *)info->err)->back, 1); }
static void ignore_jpeg_message(j_common_ptr info) { (void)info; }

static al_status read_jpeg(picture *p, const char *path) {
  struct jpeg_decompress_struct info;
  jpeg_guard guard;
  FILE *volatile file = fopen(path, "rbe");
  if (file == NULL) return al_fail_errno("cannot read %s", path);
  info.err = jpeg_std_error(&guard.base);
  guard.base.error_exit = on_jpeg_error;
  guard.base.output_message = ignore_jpeg_message;
  if (setjmp(guard.back)) {
    jpeg_destroy_decompress(&info);
    fclose(file);
    return bad_picture(path, "truncated or corrupted JPEG image");
  }
  jpeg_create_decompress(&info);
  jpeg_stdio_src(&info, file);
  jpeg_read_header(&info, TRUE);
  info.out_color_space = info.num_components == 1 ? JCS_GRAYSCALE : JCS_RGB;
  *p = (picture){.channels = info.num_components == 1 ? 1 : 3, .height = info.image_height, .width = info.image_width};
  al_status status = picture_room(p, path);
  if (status == AL_OK) {
    jpeg_start_decompress(&info);
    while (info.output_scanline < info.output_height) {
      JSAMPROW row = p->pixels + (size_t)info.output_scanline * p->width * p->channels;
      jpeg_read_scanlines(&info, &row, 1);
    }
    jpeg_finish_decompress(&info);
  }
  jpeg_destroy_decompress(&info);
  fclose(file);
  return status;
}

/* Binary PGM (P5) and PPM (P6) of 8 bits. */
static al_status read_ppm(picture *p, const char *path) {
  char *text = NULL;
  size_t size = 0, values[3] = {0};
  al_status status = al_file_read(&text, &size, path, (size_t)MOST_SIDE * MOST_SIDE * 3 + 4096);
  if (status != AL_OK) return status;
  size_t at = 2;
  bool good = size > 2 && text[0] == 'P' && (text[1] == '5' || text[1] == '6');
  for (int i = 0; i < 3 && good; i++) {
    while (at < size && (blank(text[at]) || text[at] == '\n' || text[at] == '#'))
      if (text[at++] == '#')
        while (at < size && text[at] != '\n') at++;
    good = at < size && text[at] >= '0' && text[at] <= '9';
    while (at < size && text[at] >= '0' && text[at] <= '9' && values[i] < 100000)
      values[i] = values[i] * 10 + (size_t)(text[at++] - '0');
  }
  at++; /* one white space behind the header */
  *p = (picture){.channels = good && text[1] == '5' ? 1 : 3, .width = values[0], .height = values[1]};
  if (!good || values[2] != 255)
    status = bad_picture(path, "not a binary PGM or PPM image of 8 bits");
  else if ((status = picture_room(p, path)) == AL_OK) {
    size_t bytes = p->width * p->height * p->channels;
    if (at > size || size - at < bytes)
      status = bad_picture(path, "truncated PPM image");
    else
      memcpy(p->pixels, text + at, bytes);
  }
  free(text);
  return status;
}

static al_status read_picture(picture *p, const char *path) {
  const char *dot = strrchr(path, '.');
  *p = (picture){0};
  if (dot != NULL && strcasecmp(dot, ".png") == 0) return read_png(p, path);
  if (dot != NULL && (strcasecmp(dot, ".jpg") == 0 || strcasecmp(dot, ".jpeg") == 0)) return read_jpeg(p, path);
  return read_ppm(p, path);
}

static bool is_picture(const char *name) {
  static const char *const endings[] = {".png", ".jpg", ".jpeg", ".ppm", ".pgm"};
  const char *dot = strrchr(name, '.');
  for (size_t i = 0; dot != NULL && i < 5; i++)
    if (strcasecmp(dot, endings[i]) == 0) return true;
  return false;
}

/* Box filter to the table's size, interleaved to planes; grey to colour by repeating. */
static void scale_picture(const picture *p, const al_table *t, uint8_t *out) {
  for (size_t c = 0; c < t->channels; c++)
    for (size_t y = 0; y < t->height; y++)
      for (size_t x = 0; x < t->width; x++) {
        size_t y0 = y * p->height / t->height, y1 = (y + 1) * p->height / t->height;
        size_t x0 = x * p->width / t->width, x1 = (x + 1) * p->width / t->width, sum = 0, count = 0;
        for (size_t i = y0; i < (y1 > y0 ? y1 : y0 + 1); i++)
          for (size_t j = x0; j < (x1 > x0 ? x1 : x0 + 1); j++, count++)
            sum += p->pixels[(i * p->width + j) * p->channels + (p->channels == 3 ? c : 0)];
        out[(c * t->height + y) * t->width + x] = (uint8_t)((sum + count / 2) / count);
      }
}

static al_status add_picture(al_table *table, const char *path, const char *label, bool fixed) {
  picture p;
  uint8_t *planes = NULL;
  al_status status = read_picture(&p, path);
  if (status != AL_OK) goto done;
  if (table->rows == 0 && !fixed) {
    table->height = p.height;
    table->width = p.width;
  }
  if (table->rows == 0) table->channels = p.channels;
  if (!fixed && (p.height != table->height || p.width != table->width)) {
    status = al_fail(AL_BAD_INPUT, "%s: %zux%zu pixels, but the first image has %zux%zu; give size: WxH to scale them",
                     path, p.width, p.height, table->width, table->height);
    goto done;
  }
  if (p.channels == 3 && table->channels == 1) {
    status = al_fail(AL_BAD_INPUT, "%s: in colour, but the first image is grey; convert one of them", path);
    goto done;
  }
  AL_TRY(AL_NEW(&planes, table->channels * table->height * table->width));
  scale_picture(&p, table, planes);
  AL_TRY(al_table_add_image(table, planes, label, strlen(label)));
done:
  free(p.pixels);
  free(planes);
  return status;
}

static int visible(const struct dirent *item) { return item->d_name[0] != '.'; }
static int by_bytes(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

/* Calls visit for each class folder's image in byte order of the path. */
typedef al_status (*picture_visit)(void *context, const char *path, const char *label);

static al_status walk_class(const char *folder, const char *label, picture_visit visit, void *context) {
  struct dirent **items = NULL;
  int n = scandir(folder, &items, visible, by_bytes);
  al_status status = AL_OK;
  for (int i = 0; i < n; i++) {
    char *path = NULL;
    if (status == AL_OK && is_picture(items[i]->d_name)) {
      status = al_format(&path, "%s/%s", folder, items[i]->d_name);
      if (status == AL_OK) status = visit(context, path, label);
    }
    free(path);
    free(items[i]);
  }
  free(items);
  return status;
}

static al_status walk_pictures(const char *folder, picture_visit visit, void *context) {
  struct dirent **items = NULL;
  int n = scandir(folder, &items, visible, by_bytes);
  if (n < 0)
    return al_fail(AL_BAD_INPUT, "%s: cannot be read as a folder of class folders: %s", folder, strerror(errno));
  al_status status = AL_OK;
  for (int i = 0; i < n; i++) {
    char *path = NULL;
    struct stat facts;
    if (status == AL_OK) status = al_format(&path, "%s/%s", folder, items[i]->d_name);
    if (status == AL_OK && stat(path, &facts) == 0 && S_ISDIR(facts.st_mode))
      status = walk_class(path, items[i]->d_name, visit, context);
    free(path);
    free(items[i]);
  }
  free(items);
  return status;
}

typedef struct {
  al_table *table;
  bool fixed;
} folder_reader;

static al_status visit_picture(void *context, const char *path, const char *label) {
  const folder_reader *reader = context;
  return add_picture(reader->table, path, label, reader->fixed);
}

static al_status read_size(al_table *table, const json_t *entry, const char *where, bool *fixed) {
  const json_t *size = json_object_get(entry, "size");
  unsigned width = 0, height = 0;
  char end = 0;
  *fixed = !json_is_null(size) && size != NULL;
  if (!*fixed) return AL_OK;
  if (!json_is_string(size) || sscanf(json_string_value(size), "%ux%u%c", &width, &height, &end) != 2 || width == 0 ||
      height == 0 || width > MOST_SIDE || height > MOST_SIDE)
    return al_fail(AL_BAD_INPUT, "%s.size: give WIDTHxHEIGHT in pixels, as 32x32", where);
  table->width = width;
  table->height = height;
  return AL_OK;
}

/* ---- all formats ---- */

static al_status read_part(al_table *table, const json_t *entry, const char *base, const char *where, const char *key) {
  al_status status;
  char *path = NULL, *labels = NULL, *text = NULL, labels_key[32];
  size_t size = 0;
  const char *format = option(entry, "format", "");
  bool fixed = false;
  AL_TRY(path_of(&path, base, option(entry, key, "")));
  if (strcmp(format, "image-folder") == 0) {
    AL_TRY(read_size(table, entry, where, &fixed));
    AL_TRY(walk_pictures(path, visit_picture, &(folder_reader){table, fixed}));
    goto done;
  }
  if (strcmp(format, "npy") == 0) {
    snprintf(labels_key, sizeof labels_key, "%s_labels", key);
    AL_TRY(path_of(&labels, base, option(entry, labels_key, "")));
    AL_TRY(read_npy(table, path, labels));
    goto done;
  }
  AL_TRY(al_file_read(&text, &size, path, MOST_FILE));
  if (strcmp(format, "csv") == 0) {
    csv_reader reader = {
        .table = table, .text_name = option(entry, "text", "text"), .label_name = option(entry, "label", "label")};
    AL_TRY(al_csv_parse(text, size, path, add_record, &reader));
  } else if (strcmp(format, "jsonl") == 0) {
    AL_TRY(read_jsonl(table, entry, text, size, path));
  } else {
    AL_TRY(read_libsvm(table, text, size, path));
  }
done:
  free(path);
  free(labels);
  free(text);
  return status;
}

al_status al_read_user(al_table *table, const json_t *entry, const char *base, const char *where) {
  const char *format = option(entry, "format", "");
  table->kind = strcmp(format, "image-folder") == 0                          ? AL_IMAGE
                : strcmp(format, "csv") == 0 || strcmp(format, "jsonl") == 0 ? AL_TEXT
                                                                             : AL_TABULAR;
  al_status status = read_part(table, entry, base, where, "train");
  if (status == AL_OK && table->rows == 0)
    return al_fail(AL_BAD_INPUT, "%s.train: %s has no rows", where, option(entry, "train", ""));
  if (status == AL_OK && option(entry, "test", NULL) != NULL) {
    al_table_begin_test(table);
    size_t before = table->rows;
    status = read_part(table, entry, base, where, "test");
    if (status == AL_OK && table->rows == before)
      status = al_fail(AL_BAD_INPUT, "%s.test: %s has no rows", where, option(entry, "test", ""));
  }
  return status;
}

static al_status hash_file(XXH3_state_t *state, const char *path) {
  char piece[1 << 16];
  FILE *file = fopen(path, "rbe");
  if (file == NULL) {
    if (errno == ENOENT) return al_fail(AL_BAD_INPUT, "%s: no such file", path);
    return al_fail_errno("cannot read %s", path);
  }
  size_t got;
  while ((got = fread(piece, 1, sizeof piece, file)) != 0) XXH3_128bits_update(state, piece, got);
  bool bad = ferror(file) != 0;
  fclose(file);
  return bad ? al_fail(AL_BAD_INPUT, "%s: cannot be read", path) : AL_OK;
}

static al_status hash_picture(void *context, const char *path, const char *label) {
  XXH3_128bits_update(context, label, strlen(label) + 1);
  return hash_file(context, path);
}

al_status al_user_content_digest(char hex[33], const json_t *entry, const char *base, const char *where) {
  static const char *const keys[] = {"train", "train_labels", "test", "test_labels"};
  XXH3_state_t state;
  al_status status = AL_OK;
  bool folder = strcmp(option(entry, "format", ""), "image-folder") == 0;
  XXH3_128bits_reset(&state);
  for (size_t i = 0; i < 4 && status == AL_OK; i++) {
    const char *name = option(entry, keys[i], NULL);
    char *path = NULL;
    XXH3_128bits_update(&state, keys[i], strlen(keys[i]));
    if (name == NULL) continue;
    status = path_of(&path, base, name);
    if (status == AL_OK) status = folder ? walk_pictures(path, hash_picture, &state) : hash_file(&state, path);
    if (status != AL_OK) (void)al_context(status, "%s.%s", where, keys[i]);
    free(path);
  }
  XXH128_hash_t hash = XXH3_128bits_digest(&state);
  snprintf(hex, 33, "%016llx%016llx", (unsigned long long)hash.high64, (unsigned long long)hash.low64);
  return status;
}
