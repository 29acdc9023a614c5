/* safetensors files: an 8-byte size, a JSON header, raw little-endian tensors. Hostile until checked: header at most 16
 * MiB, offsets inside the file, tensors that neither overlap nor leave holes, sizes that fit shapes. Pickles are never
 * read. Private to model. */
#ifndef AL_MODEL_SAFETENSORS_H
#define AL_MODEL_SAFETENSORS_H

#include "base/status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct al_safetensors {
  char *path;
  const unsigned char *map;
  size_t size, data; /* of the file; offset of the tensors */
  json_t *header;
} al_safetensors;

/* Maps the file and checks its whole header. O(header); no tensor is read. */
al_status al_safetensors_open(al_safetensors *out, const char *path) AL_MUST_USE;
void al_safetensors_close(al_safetensors *file);

/* XXH3-128 of the file in hex. Reads all of it. */
void al_safetensors_digest(const al_safetensors *file, char hex[33]);

/* False when there is no tensor of that name. *dims may be larger than 4; shape holds the first 4, ones behind them. */
bool al_safetensors_shape(const al_safetensors *file, const char *name, size_t shape[4], size_t *dims);

/* Values of one tensor as float32 (from F32, F16 or BF16), when its element count is `count`. *found = false when there
 * is none of that name. values: count. Another count or type: AL_BAD_INPUT. */
al_status al_safetensors_read(const al_safetensors *file, const char *name, float *values, size_t count,
                              bool *found) AL_MUST_USE;
/* `count` values from element `first` on of a tensor that is there and has them. */
al_status al_safetensors_part(const al_safetensors *file, const char *name, size_t first, float *values,
                              size_t count) AL_MUST_USE;
/* An I32 or I64 tensor whose values fit int32: fresh array; *found as above. */
al_status al_safetensors_integers(const al_safetensors *file, const char *name, int32_t **values, size_t *count,
                                  bool *found) AL_MUST_USE;

/* An I64 tensor: fresh array; *found as above. */
al_status al_safetensors_wide(const al_safetensors *file, const char *name, int64_t **values, size_t *count,
                              bool *found) AL_MUST_USE;

/* A tensor to be written; `values` are floats (F32, and F16 rounded to nearest even), int32_t or int64_t. */
typedef enum { AL_SAFETENSORS_F32, AL_SAFETENSORS_F16, AL_SAFETENSORS_I32, AL_SAFETENSORS_I64 } al_safetensors_type;
typedef struct al_safetensors_tensor {
  const char *name;
  al_safetensors_type type;
  size_t dims, shape[4], count;
  const void *values; /* count */
} al_safetensors_tensor;

/* Writes `path` whole or not at all. metadata: an object of texts, or NULL. */
al_status al_safetensors_write(const char *path, const al_safetensors_tensor *parts, size_t n,
                               const json_t *metadata) AL_MUST_USE;

#endif
