/* REFIT for strategies that must retrain: alab's softmax regression on h (model/softmax.c), for the loop and `alab
 * query` alike. */
#ifndef AL_MODEL_REFIT_H
#define AL_MODEL_REFIT_H

#include "base/matrix.h"
#include "base/status.h"
#include "strategy/strategy.h"

/* Keeps its own copies of the views, but borrows what they point at, and the classes. labelled: n x D; classes: n;
 * pool: |U| x D. Nothing is computed before the first call.
 *
 * fit_extra: a step is one of conjugate gradients (Polak-Ribiere, never negative) on the regularised loss of L and the
 * added item, preconditioned by the inverse of w sum [h,1][h,1]^T + l2 I over both (no penalty on the intercept), w the
 * mean of p (1 - p) over L, no less than a tenth of that of uniform p. Its length is Newton's on the line, bracketed,
 * until the slope is below a tenth of what it was. It ends early when the preconditioned squared norm of the gradient,
 * near the optimum twice what is left to gain, is below 1e-12. A class that L does not have starts with weights 0 and
 * the intercept that expects one such item in |L| + 1.
 *
 * Cost of fit_extra for m classes, P of them present in L, r = min(n, D) <= 4000: once about 9 r^3; then 4 n r P m a
 * step, and 2 |targets| r P m at the end. */
typedef struct al_refitter al_refitter;
al_status al_refitter_new(al_refitter **out, const al_view *labelled, const int32_t *classes, size_t class_count,
                          const al_view *pool, double l2) AL_MUST_USE;
const al_refit *al_refitter_callbacks(const al_refitter *refitter);
void al_refitter_free(al_refitter *refitter);

#endif
