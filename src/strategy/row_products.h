/* Products of float32 rows (dense or CSR) with vectors of doubles, summed in doubles. Private to strategy. */
#ifndef AL_STRATEGY_ROW_PRODUCTS_H
#define AL_STRATEGY_ROW_PRODUCTS_H

#include "base/matrix.h"

/* row . vector; vector: cols. O(cols), CSR: O(non-zeros of the row). */
double al_row_dot(const al_view *view, size_t row, const double *vector);

/* sum += scale * row; sum: cols. */
void al_row_add(const al_view *view, size_t row, double scale, double *sum);

/* Squared Euclidean norm of a row: al_view_squared_norms in vector registers. */
double al_row_squared_norm(const al_view *view, size_t row);

#endif
