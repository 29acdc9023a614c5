/* Matrices and lists of ids as files for a user's program. */
#include "base/npy_view.h"

#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

al_status al_npy_write_in(const char *folder, const char *name, al_npy_type type, const void *data, const size_t *shape,
                          size_t dims) {
  char *path = NULL;
  al_status status = al_format(&path, "%s/%s.npy", folder, name);
  if (status == AL_OK) status = al_npy_write_scratch(path, type, data, shape, dims);
  free(path);
  return status;
}

/* Rows given by begin and end, one behind the other: indptr, indices and, where there are any, values. */
al_status al_npy_write_rows(const char *folder, const char *name, const int64_t *begin, const int64_t *end, size_t rows,
                            const int32_t *ids, const float *values) {
  al_status status;
  int64_t *indptr = NULL;
  int32_t *indices = NULL;
  float *data = NULL;
  char part[64];
  AL_TRY(AL_NEW(&indptr, rows + 1));
  for (size_t i = 0; i < rows; i++) indptr[i + 1] = indptr[i] + (end[i] - begin[i]);
  size_t n = (size_t)indptr[rows], points = rows + 1;
  AL_TRY(AL_NEW(&indices, n));
  if (values != NULL) AL_TRY(AL_NEW(&data, n));
  for (size_t i = 0; i < rows; i++) {
    size_t length = (size_t)(end[i] - begin[i]);
    if (length == 0) continue;
    memcpy(indices + indptr[i], ids + begin[i], length * sizeof *indices);
    if (values != NULL) memcpy(data + indptr[i], values + begin[i], length * sizeof *data);
  }
  snprintf(part, sizeof part, "%s_indptr", name);
  AL_TRY(al_npy_write_in(folder, part, AL_NPY_I64, indptr, &points, 1));
  snprintf(part, sizeof part, "%s_indices", name);
  AL_TRY(al_npy_write_in(folder, part, AL_NPY_I32, indices, &n, 1));
  snprintf(part, sizeof part, "%s_data", name);
  if (values != NULL) AL_TRY(al_npy_write_in(folder, part, AL_NPY_F32, data, &n, 1));
done:
  free(indptr);
  free(indices);
  free(data);
  return status;
}

al_status al_npy_write_view(const char *folder, const char *name, const al_view *view) {
  size_t shape[2] = {view->rows, view->cols};
  if (view->kind == AL_VIEW_CSR)
    return al_npy_write_rows(folder, name, view->begin, view->end, view->rows, view->indices, view->values);
  return al_npy_write_in(folder, name, AL_NPY_F32, view->values, shape, 2);
}
