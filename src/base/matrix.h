/* Const views of float32 matrices, dense row-major or CSR, and the row operations that every layer needs.
 *
 * A view owns nothing. A CSR view has a begin and an end per row (indptr and indptr + 1 of an ordinary CSR), so that a
 * subset of rows is a gather of two offsets a row and copies no values. Column indices ascend within a row. */
#ifndef AL_BASE_MATRIX_H
#define AL_BASE_MATRIX_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum al_view_kind { AL_VIEW_NONE, AL_VIEW_DENSE, AL_VIEW_CSR } al_view_kind;

typedef struct al_view {
  al_view_kind kind;
  size_t rows, cols;
  const float *values;        /* dense: rows x cols; CSR: all stored values */
  const int64_t *begin, *end; /* CSR: rows; offsets into indices and values */
  const int32_t *indices;     /* CSR: column of each value */
} al_view;

al_view al_view_dense(const float *values, size_t rows, size_t cols);
/* indptr: rows + 1 */
al_view al_view_csr(const int64_t *indptr, const int32_t *indices, const float *values, size_t rows, size_t cols);

/* Storage of a row subset; reused between calls, freed once. {0} is empty. */
typedef struct al_subset {
  float *values;
  int64_t *begin, *end;
  size_t value_capacity, row_capacity;
} al_subset;

/* *out = the given rows of `all`, in that order. Dense rows are copied into `subset`, CSR rows only referenced.
 * rows: n indices, each < all->rows (asserted). O(n) for CSR, O(n cols) for dense. */
al_status al_view_take(al_view *out, const al_view *all, const int32_t *rows, size_t n, al_subset *subset) AL_MUST_USE;
void al_subset_free(al_subset *subset);

/* Squared Euclidean norm of each row; out: rows. Double inside. */
void al_view_squared_norms(const al_view *view, double *out);
/* Dot product of two rows (of the same or two views of the same width). Double inside. */
double al_view_dot(const al_view *a, size_t i, const al_view *b, size_t j);
/* Exact squared distance by differences (no expansion), double inside. */
double al_view_squared_distance(const al_view *a, size_t i, const al_view *b, size_t j);
/* Row i as a dense vector; out: cols. */
void al_view_row(const al_view *view, size_t i, float *out);
/* out = A B^T: A.rows x B.rows, float32. Either may be CSR. Dense x dense is one sgemm; CSR x dense walks the rows;
 * CSR x CSR goes through a scattered dense row. `scratch`: cols floats, zeroed (and left zeroed), only CSR x CSR. */
void al_view_cross(const al_view *a, const al_view *b, float *scratch, float *out);

/* False, with *row and *col of the first NaN or infinity, unless all stored values are finite. */
bool al_view_finite(const al_view *view, size_t *row, size_t *col);

#endif
