/* NumPy .npy files (format 1.0 to 3.0, C order, little-endian): what `alab query`, user data and exec strategies
 * exchange. Headers are hostile until checked: sizes against the file's length, before anything is allocated. */
#ifndef AL_BASE_NPY_H
#define AL_BASE_NPY_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

typedef enum al_npy_type { AL_NPY_F32, AL_NPY_F64, AL_NPY_I32, AL_NPY_I64, AL_NPY_U8 } al_npy_type;

typedef struct al_npy {
  al_npy_type type;
  size_t dims, shape[4], count;
  void *data; /* count elements */
} al_npy;

/* Messages name `path`. Fortran order, other types, more than 4 dimensions, truncation: AL_BAD_INPUT; no such file:
 * AL_BAD_INPUT. */
al_status al_npy_read(al_npy *out, const char *path) AL_MUST_USE;
void al_npy_free(al_npy *array);
/* In-place conversion to float32 (from f64, i32, i64, u8) or int32 (from i64, u8; out of range: AL_BAD_INPUT). */
al_status al_npy_to_f32(al_npy *array, const char *path) AL_MUST_USE;
al_status al_npy_to_i32(al_npy *array, const char *path) AL_MUST_USE;
/* Whole or not at all, and on disk when it returns. */
al_status al_npy_write(const char *path, al_npy_type type, const void *data, const size_t *shape,
                       size_t dims) AL_MUST_USE;
/* Straight into a new file, nothing flushed: for folders that another process reads and nobody keeps. */
al_status al_npy_write_scratch(const char *path, al_npy_type type, const void *data, const size_t *shape,
                               size_t dims) AL_MUST_USE;

#endif
