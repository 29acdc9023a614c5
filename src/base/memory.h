/* Allocation with overflow checks, and a growing byte buffer. Out of memory is an AL_ENVIRONMENT status like any other.
 */
#ifndef AL_BASE_MEMORY_H
#define AL_BASE_MEMORY_H

#include "base/status.h"

#include <stddef.h>

/* Allocates `count` zeroed elements of `size` bytes, aligned to 64 (BLAS, SIMD); count 0 gives a valid pointer.
 * Freed by free(). *out is NULL on failure. */
al_status al_allocate(void *out, size_t count, size_t size) AL_MUST_USE;

/* AL_NEW(&array, count): typed al_allocate. */
#define AL_NEW(out, count) al_allocate((out), (count), sizeof **(out))

/* Makes room for `need` elements in a realloc-grown array; capacity grows by doubling. New bytes are not zeroed.
 * `array` is the address of the pointer (which must come from this function or be NULL). */
al_status al_grow(void *array, size_t *capacity, size_t need, size_t size) AL_MUST_USE;

/* A copy of the string, or of its first `length` bytes. */
al_status al_copy_string(char **out, const char *text) AL_MUST_USE;
al_status al_copy_bytes(char **out, const char *text, size_t length) AL_MUST_USE;

/* printf into a fresh string. */
al_status al_format(char **out, const char *format, ...) AL_PRINTF(2, 3) AL_MUST_USE;

/* A growing byte string, always NUL-terminated after the first append; {0} is an empty one. */
typedef struct al_buffer {
  char *data;
  size_t size, capacity;
} al_buffer;

al_status al_buffer_append(al_buffer *buffer, const void *bytes, size_t size) AL_MUST_USE;
al_status al_buffer_print(al_buffer *buffer, const char *format, ...) AL_PRINTF(2, 3) AL_MUST_USE;
void al_buffer_free(al_buffer *buffer);

#endif
