/* The few LAPACK routines that are used, as OpenBLAS exports them (Fortran symbols, column-major, no LAPACKE header
 * needed). */
#ifndef AL_BASE_LAPACK_H
#define AL_BASE_LAPACK_H

#include "base/status.h"

#include <stddef.h>

/* Replaces the columns of a (n x k, column-major, n >= k) by an orthonormal basis of their span (Householder QR). O(n
 * k^2). */
al_status al_orthonormalise(double *a, size_t n, size_t k) AL_MUST_USE;

/* Eigenvalues ascending in w (n) and eigenvectors in the columns of a (n x n, column-major, symmetric on entry).
 * O(n^3). */
al_status al_eigen_symmetric(double *a, size_t n, double *w) AL_MUST_USE;

/* The lower triangle of a (n x n, row-major, symmetric positive definite) replaced by its Cholesky factor. O(n^3 / 3).
 */
al_status al_cholesky(double *a, size_t n) AL_MUST_USE;

/* The lower triangle of a (n x n, row-major), a Cholesky factor, replaced by the inverse of what it is the factor of.
 * O(2 n^3 / 3). */
al_status al_cholesky_inverse(double *a, size_t n) AL_MUST_USE;

#endif
