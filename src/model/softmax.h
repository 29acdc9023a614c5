/* The optimiser behind al_softmax, for models that keep a Gram matrix of their own. Private to model. */
#ifndef AL_MODEL_SOFTMAX_H
#define AL_MODEL_SOFTMAX_H

#include "model/model.h"

enum { AL_GRAM_LIMIT = 4000 }; /* rows up to which the problem is solved in the span of the rows */

/* gram[i * stride + j] for j <= i < n, rows from .. n - 1 computed anew (both triangles are filled). Each entry is
 * computed the same way whatever `from` is, so that a grown matrix equals a fresh one bit for bit. scratch: cols
 * doubles, zero on entry and exit. */
void al_gram_extend(double *gram, size_t stride, const al_view *rows, size_t from, size_t n, double *scratch);

/* Fits on rows index[0 .. n-1] of `rows` (repeats allowed), given the Gram matrix of all of them. */
al_status al_softmax_fit_gram(al_softmax **out, const al_view *rows, const double *gram, size_t stride,
                              const int32_t *index, size_t n, const int32_t *classes, size_t class_count,
                              double l2) AL_MUST_USE;

/* The optimum in the span of n rows, given their Gram matrix (n x n with `stride`): a (n x p) and the intercept (p).
 * target: n, each below p; p > 1. */
al_status al_gram_solve(const double *gram, size_t stride, const int32_t *target, size_t n, size_t p, double l2,
                        double *a, double *intercept) AL_MUST_USE;

/* Cross-validation with a given Gram matrix; see al_softmax_cross_validate. */
al_status al_gram_cross_validate(const double *gram, size_t stride, const int32_t *classes, size_t n,
                                 size_t class_count, double l2, const uint8_t *fold_of, unsigned folds,
                                 float *probs) AL_MUST_USE;

#endif
