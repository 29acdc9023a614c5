/* Reading weights. The whole header is checked before any tensor is handed out. */
#include "model/safetensors.h"

#include "base/memory.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

enum { MOST_HEADER = 1 << 24 };

static al_status refuse(const char *path, const char *why) {
  return al_fail(AL_BAD_INPUT, "%s: not a usable safetensors file: %s", path, why);
}

static size_t width_of(const char *type) {
  if (type == NULL) return 0;
  if (strcmp(type, "F32") == 0 || strcmp(type, "I32") == 0) return 4;
  if (strcmp(type, "F16") == 0 || strcmp(type, "BF16") == 0) return 2;
  return strcmp(type, "I64") == 0 ? 8 : 0;
}

typedef struct {
  uint64_t begin, end;
} extent;

static int by_begin(const void *a, const void *b) {
  const extent *x = a, *y = b;
  if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
  return (x->end > y->end) - (x->end < y->end);
}

static al_status check_entry(const al_safetensors *f, const char *name, const json_t *entry, extent *out) {
  const json_t *shape = json_object_get(entry, "shape"), *offsets = json_object_get(entry, "data_offsets");
  const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
  size_t width = width_of(json_string_value(json_object_get(entry, "dtype"))), room = f->size - f->data;
  char why[200];
  if (width == 0) {
    snprintf(why, sizeof why, "tensor '%.100s' is not of f32, f16, bf16, i32 or i64", name);
    return refuse(f->path, why);
  }
  uint64_t count = 1;
  bool good = json_is_array(shape) && json_array_size(offsets) == 2 && json_is_integer(begin) && json_is_integer(end);
  for (size_t i = 0; good && i < json_array_size(shape); i++) {
    json_int_t size = json_integer_value(json_array_get(shape, i));
    good = json_is_integer(json_array_get(shape, i)) && size >= 0 && (size == 0 || count <= room / (uint64_t)size);
    count *= (uint64_t)size;
  }
  json_int_t from = json_integer_value(begin), to = json_integer_value(end);
  good = good && from >= 0 && to >= from && (uint64_t)to <= room && (uint64_t)(to - from) == count * width;
  if (!good) {
    snprintf(why, sizeof why, "tensor '%.100s' has a shape or offsets that do not fit the file", name);
    return refuse(f->path, why);
  }
  *out = (extent){(uint64_t)from, (uint64_t)to};
  return AL_OK;
}

static al_status check_header(const al_safetensors *f) {
  extent *extents = NULL;
  size_t n = 0;
  const char *name;
  json_t *entry;
  al_status status = AL_NEW(&extents, json_object_size(f->header));
  if (status != AL_OK) return status;
  json_object_foreach(f->header, name, entry) {
    if (strcmp(name, "__metadata__") == 0) continue;
    AL_TRY(check_entry(f, name, entry, &extents[n]));
    n++;
  }
  qsort(extents, n, sizeof *extents, by_begin);
  uint64_t end = 0;
  for (size_t i = 0; i < n && status == AL_OK; end = extents[i++].end) {
    if (extents[i].begin < end) status = refuse(f->path, "its tensors overlap");
    if (extents[i].begin > end) status = refuse(f->path, "there are bytes between its tensors");
  }
  if (status == AL_OK && end != f->size - f->data) status = refuse(f->path, "there are bytes behind its tensors");
done:
  free(extents);
  return status;
}

al_status al_safetensors_open(al_safetensors *out, const char *path) {
  al_status status;
  struct stat facts;
  uint64_t header = 0;
  *out = (al_safetensors){0};
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return al_fail(AL_ENVIRONMENT, "%s: no such weights, or they cannot be read", path);
  if (fstat(file, &facts) != 0 || facts.st_size < 10) {
    close(file);
    return refuse(path, "it is too short");
  }
  out->size = (size_t)facts.st_size;
  void *map = mmap(NULL, out->size, PROT_READ, MAP_PRIVATE, file, 0);
  close(file);
  if (map == MAP_FAILED) return al_fail_errno("cannot read %s", path);
  out->map = map;
  AL_TRY(al_copy_string(&out->path, path));
  memcpy(&header, out->map, sizeof header);
  if (header > MOST_HEADER || header > out->size - 8) {
    status = refuse(path, "its header is longer than the file or than 16 MiB");
    goto done;
  }
  out->data = 8 + (size_t)header;
  json_error_t error;
  out->header = json_loadb((const char *)out->map + 8, (size_t)header, JSON_REJECT_DUPLICATES, &error);
  if (!json_is_object(out->header)) {
    status = refuse(path, "its header is not a JSON object");
    goto done;
  }
  AL_TRY(check_header(out));
done:
  if (status != AL_OK) al_safetensors_close(out);
  return status;
}

void al_safetensors_close(al_safetensors *file) {
  if (file->map != NULL) munmap((void *)(uintptr_t)file->map, file->size);
  json_decref(file->header);
  free(file->path);
  *file = (al_safetensors){0};
}

static float half_to_float(uint16_t half) {
  uint32_t sign = (uint32_t)(half >> 15) << 31, exponent = half >> 10 & 31, mantissa = half & 1023, bits;
  float value;
  if (exponent == 0) { /* zero or subnormal: mantissa x 2^-24 */
    value = (float)mantissa * 0x1p-24F;
    return sign != 0 ? -value : value;
  }
  bits = sign | (exponent == 31 ? 255U : exponent + 112) << 23 | mantissa << 13;
  memcpy(&value, &bits, sizeof value);
  return value;
}

void al_safetensors_digest(const al_safetensors *file, char hex[33]) {
  XXH128_hash_t hash = XXH3_128bits(file->map, file->size);
  snprintf(hex, 33, "%016llx%016llx", (unsigned long long)hash.high64, (unsigned long long)hash.low64);
}

typedef struct {
  const char *type;
  const unsigned char *from;
  size_t count;
} tensor;

/* The metadata is no tensor, whatever it is asked for as. */
static bool find(const al_safetensors *file, const char *name, tensor *out) {
  const json_t *entry = strcmp(name, "__metadata__") == 0 ? NULL : json_object_get(file->header, name);
  if (entry == NULL) return false;
  const json_t *offsets = json_object_get(entry, "data_offsets");
  size_t begin = (size_t)json_integer_value(json_array_get(offsets, 0));
  size_t end = (size_t)json_integer_value(json_array_get(offsets, 1));
  const char *type = json_string_value(json_object_get(entry, "dtype"));
  size_t width = width_of(type);
  *out = (tensor){type, file->map + file->data + begin, width == 0 ? 0 : (end - begin) / width};
  return width != 0; /* always: the header was checked */
}

bool al_safetensors_shape(const al_safetensors *file, const char *name, size_t shape[4], size_t *dims) {
  tensor t;
  if (!find(file, name, &t)) return false;
  const json_t *sizes = json_object_get(json_object_get(file->header, name), "shape");
  *dims = json_array_size(sizes);
  for (size_t i = 0; i < 4; i++) shape[i] = i < *dims ? (size_t)json_integer_value(json_array_get(sizes, i)) : 1;
  return true;
}

static void convert(const tensor *t, size_t first, float *values, size_t count) {
  if (strcmp(t->type, "F32") == 0) {
    if (count != 0) memcpy(values, t->from + 4 * first, 4 * count);
    return;
  }
  for (size_t i = 0; i < count; i++) {
    uint16_t half;
    memcpy(&half, t->from + 2 * (first + i), 2);
    uint32_t bits = (uint32_t)half << 16;
    if (t->type[0] == 'B')
      memcpy(&values[i], &bits, 4);
    else
      values[i] = half_to_float(half);
  }
}

al_status al_safetensors_read(const al_safetensors *file, const char *name, float *values, size_t count, bool *found) {
  tensor t;
  *found = find(file, name, &t);
  if (!*found) return AL_OK;
  if (t.type[0] == 'I' || t.count != count)
    return al_fail(AL_BAD_INPUT, "%s: tensor '%s' does not have the %zu floating-point values that the model needs",
                   file->path, name, count);
  convert(&t, 0, values, count);
  return AL_OK;
}

al_status al_safetensors_part(const al_safetensors *file, const char *name, size_t first, float *values, size_t count) {
  tensor t;
  if (!find(file, name, &t) || t.type[0] == 'I' || first > t.count || count > t.count - first)
    return al_fail(AL_BAD_INPUT, "%s: tensor '%s' does not have the floating-point values that the model needs",
                   file->path, name);
  convert(&t, first, values, count);
  return AL_OK;
}

al_status al_safetensors_integers(const al_safetensors *file, const char *name, int32_t **values, size_t *count,
                                  bool *found) {
  tensor t;
  *values = NULL;
  *found = find(file, name, &t);
  if (!*found) return AL_OK;
  if (t.type[0] != 'I') return al_fail(AL_BAD_INPUT, "%s: tensor '%s' is not of whole numbers", file->path, name);
  al_status status = AL_NEW(values, t.count);
  if (status != AL_OK) return status;
  for (size_t i = 0; i < t.count; i++) {
    int64_t wide = 0;
    if (t.type[1] == '3')
      memcpy(&(*values)[i], t.from + 4 * i, 4);
    else
      memcpy(&wide, t.from + 8 * i, 8);
    if (t.type[1] == '3') continue;
    if (wide < INT32_MIN || wide > INT32_MAX) {
      free(*values);
      *values = NULL;
      return al_fail(AL_BAD_INPUT, "%s: tensor '%s' has numbers beyond 32 bits", file->path, name);
    }
    (*values)[i] = (int32_t)wide;
  }
  *count = t.count;
  return AL_OK;
}

al_status al_safetensors_wide(const al_safetensors *file, const char *name, int64_t **values, size_t *count,
                              bool *found) {
  tensor t;
  *values = NULL;
  *found = find(file, name, &t);
  if (!*found) return AL_OK;
  if (strcmp(t.type, "I64") != 0) return al_fail(AL_BAD_INPUT, "%s: tensor '%s' is not of i64", file->path, name);
  al_status status = AL_NEW(values, t.count);
  if (status != AL_OK) return status;
  if (t.count != 0) memcpy(*values, t.from, t.count * sizeof **values);
  *count = t.count;
  return AL_OK;
}
