/* NumPy files. The header is a Python dict literal; only its three keys in the forms that NumPy writes are read. */
#include "base/npy.h"

#include "base/file.h"
#include "base/memory.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const size_t sizes[] = {[AL_NPY_F32] = 4, [AL_NPY_F64] = 8, [AL_NPY_I32] = 4, [AL_NPY_I64] = 8, [AL_NPY_U8] = 1};
static const char *const names[] = {
    [AL_NPY_F32] = "<f4", [AL_NPY_F64] = "<f8", [AL_NPY_I32] = "<i4", [AL_NPY_I64] = "<i8", [AL_NPY_U8] = "|u1"};
enum { TYPES = 5, MOST_HEADER = 65536, MOST_DIMS = 4 };

static al_status not_npy(const char *path, const char *why) {
  return al_fail(AL_BAD_INPUT, "%s: not a usable .npy file: %s", path, why);
}

/* The text behind 'key': in the header, or NULL. */
static const char *value_of(const char *header, const char *key) {
  char quoted[32];
  snprintf(quoted, sizeof quoted, "'%s'", key);
  const char *at = strstr(header, quoted);
  if (at == NULL) return NULL;
  at += strlen(quoted);
  at += strspn(at, " ");
  return *at == ':' ? at + 1 + strspn(at + 1, " ") : NULL;
}

static al_status parse_shape(al_npy *out, const char *text, const char *path) {
  out->dims = 0;
  out->count = 1;
  if (text == NULL || *text != '(') return not_npy(path, "its header has no shape");
  for (text++;;) {
    text += strspn(text, " ,");
    if (*text == ')') return AL_OK;
    char *end = NULL;
    errno = 0;
    uintmax_t size = strtoumax(text, &end, 10);
    if (end == text || errno != 0 || *text == '-' || size > SIZE_MAX / 16)
      return not_npy(path, "its shape cannot be read");
    if (out->dims == MOST_DIMS) return not_npy(path, "it has more than 4 dimensions");
    if (size != 0 && out->count > SIZE_MAX / 16 / size) return not_npy(path, "its shape overflows");
    out->shape[out->dims++] = (size_t)size;
    out->count *= (size_t)size;
    text = end;
  }
}

static al_status parse_header(al_npy *out, const char *header, const char *path) {
  const char *descr = value_of(header, "descr"), *order = value_of(header, "fortran_order");
  bool known = false;
  if (descr == NULL || order == NULL) return not_npy(path, "its header lacks descr or fortran_order");
  for (int type = 0; type < TYPES; type++)
    if (strncmp(descr + 1, names[type], 3) == 0 && (descr[0] == '\'' || descr[0] == '"')) {
      out->type = (al_npy_type)type;
      known = true;
    }
  if (!known)
    return not_npy(path,
                   "its type must be float32, float64, int32, int64 or uint8, little-endian; convert with astype");
  al_status status = parse_shape(out, value_of(header, "shape"), path);
  if (status == AL_OK && strncmp(order, "False", 5) != 0 && out->dims > 1)
    return not_npy(path, "it is in Fortran order; save numpy.ascontiguousarray(x)");
  return status;
}

static al_status read_file(al_npy *out, FILE *file, const char *path) {
  unsigned char start[12];
  struct stat facts;
  if (fread(start, 1, 10, file) != 10 || memcmp(start, "\x93NUMPY", 6) != 0)
    return not_npy(path, "the magic bytes are missing");
  size_t header_size = (size_t)start[8] | (size_t)start[9] << 8, offset = 10;
  if (start[6] >= 2) {
    if (fread(start + 10, 1, 2, file) != 2) return not_npy(path, "it is truncated");
    header_size |= (size_t)start[10] << 16 | (size_t)start[11] << 24;
    offset = 12;
  }
  if (start[6] < 1 || start[6] > 3 || header_size > MOST_HEADER)
    return not_npy(path, "its header is of an unknown version");
  char *header = NULL;
  al_status status = AL_NEW(&header, header_size + 1);
  if (status != AL_OK) return status;
  if (fread(header, 1, header_size, file) != header_size)
    status = not_npy(path, "it is truncated");
  else
    status = parse_header(out, header, path);
  free(header);
  if (status != AL_OK) return status;
  size_t bytes = out->count * sizes[out->type];
  /* the length is checked before anything is allocated: a header may claim anything */
  if (fstat(fileno(file), &facts) != 0) return al_fail_errno("cannot read %s", path);
  if (facts.st_size < 0 || (size_t)facts.st_size - offset - header_size < bytes ||
      (size_t)facts.st_size < offset + header_size)
    return not_npy(path, "it is truncated (shorter than its shape says)");
  status = al_allocate(&out->data, bytes == 0 ? 1 : bytes, 1);
  if (status == AL_OK && fread(out->data, 1, bytes, file) != bytes) status = not_npy(path, "it is truncated");
  return status;
}

al_status al_npy_read(al_npy *out, const char *path) {
  *out = (al_npy){0};
  FILE *file = fopen(path, "rbe");
  if (file == NULL) {
    if (errno == ENOENT) return al_fail(AL_BAD_INPUT, "%s: no such file", path);
    return al_fail_errno("cannot read %s", path);
  }
  al_status status = read_file(out, file, path);
  fclose(file);
  if (status != AL_OK) al_npy_free(out);
  return status;
}

void al_npy_free(al_npy *array) {
  free(array->data);
  *array = (al_npy){0};
}

static double element(const al_npy *array, size_t i) {
  switch (array->type) {
  case AL_NPY_F32: return (double)((const float *)array->data)[i];
  case AL_NPY_F64: return ((const double *)array->data)[i];
  case AL_NPY_I32: return (double)((const int32_t *)array->data)[i];
  case AL_NPY_I64: return (double)((const int64_t *)array->data)[i];
  case AL_NPY_U8: return (double)((const uint8_t *)array->data)[i];
  }
  return 0.0;
}

al_status al_npy_to_f32(al_npy *array, const char *path) {
  (void)path;
  if (array->type == AL_NPY_F32) return AL_OK;
  float *converted = NULL;
  al_status status = AL_NEW(&converted, array->count);
  if (status != AL_OK) return status;
  for (size_t i = 0; i < array->count; i++) converted[i] = (float)element(array, i);
  free(array->data);
  array->data = converted;
  array->type = AL_NPY_F32;
  return AL_OK;
}

al_status al_npy_to_i32(al_npy *array, const char *path) {
  if (array->type == AL_NPY_I32) return AL_OK;
  if (array->type == AL_NPY_F32 || array->type == AL_NPY_F64)
    return al_fail(AL_BAD_INPUT, "%s: must be of whole numbers (int32 or int64), not of floats", path);
  int32_t *converted = NULL;
  al_status status = AL_NEW(&converted, array->count);
  if (status != AL_OK) return status;
  for (size_t i = 0; i < array->count; i++) {
    int64_t value = array->type == AL_NPY_I64 ? ((const int64_t *)array->data)[i] : ((const uint8_t *)array->data)[i];
    if (value < INT32_MIN || value > INT32_MAX) {
      free(converted);
      return al_fail(AL_BAD_INPUT, "%s: element %zu (%" PRId64 ") does not fit 32 bits", path, i, value);
    }
    converted[i] = (int32_t)value;
  }
  free(array->data);
  array->data = converted;
  array->type = AL_NPY_I32;
  return AL_OK;
}

/* Magic, version and header; what follows starts at a multiple of 64. *bytes: of the data. */
static al_status start_of(al_buffer *buffer, al_npy_type type, const size_t *shape, size_t dims, size_t *bytes) {
  char header[192], text[100] = "";
  size_t used = 0;
  *bytes = sizes[type];
  for (size_t i = 0; i < dims; i++) {
    used += (size_t)snprintf(text + used, sizeof text - used, "%zu,%s", shape[i], i + 1 < dims ? " " : "");
    *bytes *= shape[i];
  }
  int length =
      snprintf(header, sizeof header, "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", names[type], text);
  size_t padded = ((size_t)length + 1 + 10 + 63) / 64 * 64 - 10;
  unsigned char start[10] = "\x93NUMPY\x01";
  start[7] = 0;
  start[8] = (unsigned char)(padded & 0xff);
  start[9] = (unsigned char)(padded >> 8);
  al_status status;
  AL_TRY(al_buffer_append(buffer, start, sizeof start));
  AL_TRY(al_buffer_append(buffer, header, (size_t)length));
  while (buffer->size < 10 + padded - 1) AL_TRY(al_buffer_append(buffer, " ", 1));
  AL_TRY(al_buffer_append(buffer, "\n", 1));
done:
  return status;
}

al_status al_npy_write(const char *path, al_npy_type type, const void *data, const size_t *shape, size_t dims) {
  al_buffer buffer = {0};
  size_t bytes = 0;
  al_status status;
  AL_TRY(start_of(&buffer, type, shape, dims, &bytes));
  AL_TRY(al_buffer_append(&buffer, data, bytes));
  AL_TRY(al_file_write(path, buffer.data, buffer.size));
done:
  al_buffer_free(&buffer);
  return status;
}

al_status al_npy_write_scratch(const char *path, al_npy_type type, const void *data, const size_t *shape, size_t dims) {
  al_buffer buffer = {0};
  size_t bytes = 0;
  al_status status = start_of(&buffer, type, shape, dims, &bytes);
  FILE *file = status == AL_OK ? fopen(path, "wbxe") : NULL;
  if (status == AL_OK && file == NULL) status = al_fail_errno("cannot write %s", path);
  if (file != NULL) {
    bool good = fwrite(buffer.data, 1, buffer.size, file) == buffer.size &&
                (bytes == 0 || fwrite(data, 1, bytes, file) == bytes);
    if (fclose(file) != 0 || !good) status = al_fail_errno("cannot write %s", path);
  }
  al_buffer_free(&buffer);
  return status;
}
