/* Writing weights: the counterpart of safetensors.c. */
#include "model/safetensors.h"

#include "base/file.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

static uint16_t float_to_half(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  uint16_t sign = (uint16_t)(bits >> 16 & 0x8000U);
  uint32_t magnitude = bits & 0x7FFFFFFFU;
  if (magnitude >= 0x7F800000U) return (uint16_t)(sign | (magnitude > 0x7F800000U ? 0x7E00U : 0x7C00U));
  if (magnitude >= 0x477FF000U) return (uint16_t)(sign | 0x7C00U); /* rounds beyond the largest half */
  if (magnitude < 0x38800000U) {                                   /* subnormal: a whole number of 2^-24 */
    float scaled;
    memcpy(&scaled, &magnitude, sizeof scaled);
    scaled = scaled * 0x1p24F + 0x1p23F; /* rounds to even */
    uint32_t rounded;
    memcpy(&rounded, &scaled, sizeof rounded);
    return (uint16_t)(sign | (rounded & 0x7FFU));
  }
  uint32_t odd = magnitude >> 13 & 1U;
  magnitude += 0xFFFU + odd;
  return (uint16_t)(sign | ((magnitude - 0x38000000U) >> 13));
}

static al_status append_values(al_buffer *out, const al_safetensors_tensor *part) {
  al_status status = AL_OK;
  if (part->type == AL_SAFETENSORS_F16) {
    const float *values = part->values;
    for (size_t i = 0; i < part->count; i++) {
      uint16_t half = float_to_half(values[i]);
      AL_TRY(al_buffer_append(out, &half, sizeof half));
    }
    return AL_OK;
  }
  return al_buffer_append(out, part->values, part->count * (part->type == AL_SAFETENSORS_I64 ? 8 : 4));
done:
  return status;
}

al_status al_safetensors_write(const char *path, const al_safetensors_tensor *parts, size_t n, const json_t *metadata) {
  static const char *const names[] = {"F32", "F16", "I32", "I64"};
  static const size_t widths[] = {4, 2, 4, 8};
  al_status status;
  json_t *header = json_object();
  al_buffer out = {0};
  size_t at = 0;
  char *text = NULL;
  if (json_object_size(metadata) != 0) json_object_set(header, "__metadata__", (json_t *)(uintptr_t)metadata);
  /* widest first, so that every tensor is aligned */
  for (size_t width = 8; width >= 2; width /= 2)
    for (size_t i = 0; i < n; i++) {
      if (widths[parts[i].type] != width) continue;
      json_t *shape = json_array();
      for (size_t d = 0; d < parts[i].dims; d++)
        json_array_append_new(shape, json_integer((json_int_t)parts[i].shape[d]));
      size_t size = parts[i].count * width;
      json_object_set_new(header, parts[i].name,
                          json_pack("{s:s,s:o,s:[I,I]}", "dtype", names[parts[i].type], "shape", shape, "data_offsets",
                                    (json_int_t)at, (json_int_t)at + (json_int_t)size));
      at += size;
    }
  text = json_dumps(header, JSON_COMPACT | JSON_PRESERVE_ORDER);
  if (text == NULL) {
    status = al_fail(AL_ENVIRONMENT, "out of memory");
    goto done;
  }
  size_t length = strlen(text), padded = (length + 7) / 8 * 8;
  uint64_t size = padded;
  AL_TRY(al_buffer_append(&out, &size, sizeof size));
  AL_TRY(al_buffer_append(&out, text, length));
  AL_TRY(al_buffer_append(&out, "       ", padded - length));
  for (size_t width = 8; width >= 2; width /= 2)
    for (size_t i = 0; i < n; i++)
      if (widths[parts[i].type] == width) AL_TRY(append_values(&out, &parts[i]));
  AL_TRY(al_file_write(path, out.data, out.size));
done:
  free(text);
  json_decref(header);
  al_buffer_free(&out);
  return status;
}
