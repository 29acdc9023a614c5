/* Matrices and lists of ids as files for a user's program, in a temporary folder that nobody waits for the disk of. */
#ifndef AL_BASE_NPY_VIEW_H
#define AL_BASE_NPY_VIEW_H

#include "base/matrix.h"
#include "base/npy.h"
#include "base/status.h"

/* folder/name.npy */
al_status al_npy_write_in(const char *folder, const char *name, al_npy_type type, const void *data, const size_t *shape,
                          size_t dims) AL_MUST_USE;
/* Rows given by begin and end, one behind the other: name_indptr, name_indices and, where there are any, name_data. */
al_status al_npy_write_rows(const char *folder, const char *name, const int64_t *begin, const int64_t *end, size_t rows,
                            const int32_t *ids, const float *values) AL_MUST_USE;
/* A dense view as name.npy, a CSR view as al_npy_write_rows does. */
al_status al_npy_write_view(const char *folder, const char *name, const al_view *view) AL_MUST_USE;

#endif
