/* safetensors files: an 8-byte size, a JSON header, raw little-endian tensors. Hostile until checked: header at most 16
 * MiB, offsets inside the file and not overlapping, sizes that fit shapes. Pickles are never read. Private to model. */
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
  char digest[33]; /* XXH3-128 of the file */
} al_safetensors;

al_status al_safetensors_open(al_safetensors *out, const char *path) AL_MUST_USE;
void al_safetensors_close(al_safetensors *file);

/* Values of one tensor as float32 (from F32, F16 or BF16), when its element count is `count`. *found = false when there
 * is none of that name. values: count. Another count or type: AL_BAD_INPUT. */
al_status al_safetensors_read(const al_safetensors *file, const char *name, float *values, size_t count,
                              bool *found) AL_MUST_USE;

#endif
