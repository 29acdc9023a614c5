/* Products and distances between many rows and a fixed set of rows, block by block: no N x M matrix is ever held. */
#ifndef AL_BASE_CROSS_H
#define AL_BASE_CROSS_H

#include "base/matrix.h"
#include "base/status.h"

/* The fixed side (m rows), prepared: CSR rows are turned into columns, so that a product costs the pairs of non-zeros
 * that meet and not the other side's non-zeros times m. Borrows `fixed`. */
typedef struct al_cross al_cross;
al_status al_cross_new(al_cross **out, const al_view *fixed) AL_MUST_USE;
void al_cross_free(al_cross *cross);

/* out[(i - first) * m + j] = dot(rows i, fixed j), float32 sums; i = first .. last - 1. */
void al_cross_dots(const al_cross *cross, const al_view *rows, size_t first, size_t last, float *out);

/* out[(i - first) * m + j] = squared Euclidean distance. Dense: by differences. CSR: expanded, and again by differences
 * (double) where d^2 < 1e-2 (|x|^2 + |z|^2), which keeps a relative error of about 1e-5. norms: squared norms of all
 * rows of `rows`. */
void al_cross_distances(const al_cross *cross, const al_view *rows, const double *norms, size_t first, size_t last,
                        float *out);

/* Rows against one pick: out[i] = squared distance of rows i to row `pick` of the same view. scratch: cols floats,
 * zeros on entry and exit (CSR). O(non-zeros). */
void al_distances_to_row(const al_view *rows, const double *norms, size_t pick, float *scratch, float *out);

/* The least of `least` and the squared distances of row i of `rows` to n rows of `others` (both dense or both CSR, of
 * one width): those listed, or (listed NULL) first .. first + n - 1. norms and other_norms: squared norms of all rows
 * of each (CSR; else unread). scratch: cols floats, zeros on entry and exit (CSR). */
float al_least_of(const al_view *rows, const double *norms, size_t i, const al_view *others, const double *other_norms,
                  const int32_t *listed, size_t first, size_t n, float *scratch, float least);

/* out[i] = dot(rows i, row pick). */
void al_dots_with_row(const al_view *rows, size_t pick, float *scratch, float *out);

#endif
