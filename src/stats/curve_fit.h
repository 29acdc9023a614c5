/* A power law through a mean learning curve, for extrapolation that says what it is. */
#ifndef AL_STATS_CURVE_FIT_H
#define AL_STATS_CURVE_FIT_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>

/* y = a - b x^-c. Standard errors are asymptotic, scaled by the residual variance as R's nls does; they describe how
 * the points lie about the fitted form, not how far that form may be trusted beyond them. */
typedef struct al_curve_fit {
  double a, b, c;          /* NaN where nothing could be fitted */
  double se_a, se_b, se_c; /* NaN with 3 points: no residual degree of freedom */
  double residual;         /* weighted residual standard deviation, R's "residual standard error" */
  size_t n;                /* points */
  double from, to;         /* x of the first and last point: what lies outside is extrapolated */
  bool converged;
} al_curve_fit;

/* Least squares with weights 1 / se^2 (all 1 where se is NULL or any se is not positive), by the
 * Levenberg-Marquardt of gsl_multifit_nlinear from the best of a grid over c. x positive and ascending, at least 3
 * points; otherwise a, b, c are NaN and converged is false. c is kept within 0.001 to 20: a fit that ends on either
 * bound has not converged. */
al_status al_curve_fit_make(al_curve_fit *out, const double *x, const double *y, const double *se,
                            size_t n) AL_MUST_USE;

double al_curve_fit_at(const al_curve_fit *fit, double x);

#endif
