/* Allocation. Sizes are checked before they are multiplied; nothing here aborts. */
#include "base/memory.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64 };

static al_status out_of_memory(size_t count, size_t size) {
  return al_fail(AL_ENVIRONMENT, "out of memory: %zu elements of %zu bytes; use a smaller pool or fewer jobs", count,
                 size);
}

al_status al_allocate(void *out, size_t count, size_t size) {
  void *block = NULL;
  memcpy(out, &block, sizeof block);
  if (size != 0 && count > (SIZE_MAX - ALIGNMENT) / size) return out_of_memory(count, size);
  size_t bytes = count * size;
  bytes = bytes == 0 ? ALIGNMENT : (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  block = aligned_alloc(ALIGNMENT, bytes);
  if (block == NULL) return out_of_memory(count, size);
  memset(block, 0, bytes);
  memcpy(out, &block, sizeof block);
  return AL_OK;
}

al_status al_grow(void *array, size_t *capacity, size_t need, size_t size) {
  if (need <= *capacity) return AL_OK;
  size_t wanted = *capacity < 16 ? 16 : *capacity;
  while (wanted < need) {
    if (wanted > SIZE_MAX / 2) return out_of_memory(need, size);
    wanted *= 2;
  }
  if (wanted > SIZE_MAX / size) return out_of_memory(need, size);
  void *block;
  memcpy(&block, array, sizeof block);
  block = realloc(block, wanted * size);
  if (block == NULL) return out_of_memory(need, size);
  memcpy(array, &block, sizeof block);
  *capacity = wanted;
  return AL_OK;
}

al_status al_copy_bytes(char **out, const char *text, size_t length) {
  *out = NULL;
  char *copy = malloc(length + 1);
  if (copy == NULL) return out_of_memory(length, 1);
  memcpy(copy, text, length);
  copy[length] = '\0';
  *out = copy;
  return AL_OK;
}

al_status al_copy_string(char **out, const char *text) { return al_copy_bytes(out, text, strlen(text)); }

static al_status print_onto(al_buffer *buffer, const char *format, va_list arguments) {
  va_list again;
  va_copy(again, arguments);
  int length = vsnprintf(NULL, 0, format, arguments);
  al_status status = length < 0 ? al_fail(AL_ENVIRONMENT, "vsnprintf failed on format '%s'", format)
                                : al_grow(&buffer->data, &buffer->capacity, buffer->size + (size_t)length + 1, 1);
  if (status == AL_OK) {
    vsnprintf(buffer->data + buffer->size, (size_t)length + 1, format, again);
    buffer->size += (size_t)length;
  }
  va_end(again);
  return status;
}

al_status al_format(char **out, const char *format, ...) {
  al_buffer buffer = {0};
  va_list arguments;
  va_start(arguments, format);
  al_status status = print_onto(&buffer, format, arguments);
  va_end(arguments);
  *out = status == AL_OK ? buffer.data : NULL;
  if (status != AL_OK) free(buffer.data);
  return status;
}

al_status al_buffer_append(al_buffer *buffer, const void *bytes, size_t size) {
  if (size > SIZE_MAX - buffer->size - 1) return out_of_memory(size, 1);
  al_status status = al_grow(&buffer->data, &buffer->capacity, buffer->size + size + 1, 1);
  if (status != AL_OK) return status;
  if (size != 0) memcpy(buffer->data + buffer->size, bytes, size);
  buffer->size += size;
  buffer->data[buffer->size] = '\0';
  return AL_OK;
}

al_status al_buffer_print(al_buffer *buffer, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  al_status status = print_onto(buffer, format, arguments);
  va_end(arguments);
  return status;
}

void al_buffer_free(al_buffer *buffer) {
  free(buffer->data);
  *buffer = (al_buffer){0};
}
