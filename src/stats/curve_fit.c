/* The fit works on x / geometric middle, so that b and c hardly correlate, and brings b back at the end. */
#include "stats/curve_fit.h"

#include "base/memory.h"

#include <gsl/gsl_blas.h>
#include <gsl/gsl_multifit_nlinear.h>
#include <math.h>
#include <stdlib.h>

static const double least_power = 0.001, most_power = 20.0;

typedef struct {
  const double *y;
  const double *t; /* x / middle */
  size_t n;
} points;

static int residuals(const gsl_vector *at, void *context, gsl_vector *f) {
  const points *p = context;
  double a = gsl_vector_get(at, 0), b = gsl_vector_get(at, 1), c = gsl_vector_get(at, 2);
  for (size_t i = 0; i < p->n; i++) gsl_vector_set(f, i, a - b * pow(p->t[i], -c) - p->y[i]);
  return GSL_SUCCESS;
}

static int slopes(const gsl_vector *at, void *context, gsl_matrix *jacobian) {
  const points *p = context;
  double b = gsl_vector_get(at, 1), c = gsl_vector_get(at, 2);
  for (size_t i = 0; i < p->n; i++) {
    double power = pow(p->t[i], -c);
    gsl_matrix_set(jacobian, i, 0, 1.0);
    gsl_matrix_set(jacobian, i, 1, -power);
    gsl_matrix_set(jacobian, i, 2, b * power * log(p->t[i]));
  }
  return GSL_SUCCESS;
}

/* For a given c the best a and b are a straight line through (t^-c, y); returns the weighted sum of squares. */
static double line_for(double c, const points *p, const double *weights, double *a, double *b) {
  double w = 0.0, wu = 0.0, wy = 0.0, uu = 0.0, uy = 0.0, sum = 0.0;
  for (size_t i = 0; i < p->n; i++) {
    w += weights[i];
    wu += weights[i] * pow(p->t[i], -c);
    wy += weights[i] * p->y[i];
  }
  for (size_t i = 0; i < p->n; i++) {
    double u = pow(p->t[i], -c) - wu / w;
    uu += weights[i] * u * u;
    uy += weights[i] * u * (p->y[i] - wy / w);
  }
  *b = uu > 0.0 ? -uy / uu : 0.0;
  *a = wy / w + *b * wu / w;
  for (size_t i = 0; i < p->n; i++) {
    double d = *a - *b * pow(p->t[i], -c) - p->y[i];
    sum += weights[i] * d * d;
  }
  return sum;
}

static al_status refine(al_curve_fit *out, points *p, const double *weights, double middle) {
  al_status status = AL_OK;
  gsl_multifit_nlinear_parameters parameters = gsl_multifit_nlinear_default_parameters();
  gsl_multifit_nlinear_fdf system = {.f = residuals, .df = slopes, .n = p->n, .p = 3, .params = p};
  gsl_vector_const_view w = gsl_vector_const_view_array(weights, p->n);
  double start[3] = {out->a, out->b, out->c}, sum = 0.0;
  gsl_vector_view first = gsl_vector_view_array(start, 3);
  gsl_multifit_nlinear_workspace *space = gsl_multifit_nlinear_alloc(gsl_multifit_nlinear_trust, &parameters, p->n, 3);
  gsl_matrix *covariance = gsl_matrix_alloc(3, 3);
  int why = 0;
  if (space == NULL || covariance == NULL) {
    status = al_fail(AL_ENVIRONMENT, "out of memory: a curve fit of %zu points", p->n);
    goto done;
  }
  int code = gsl_multifit_nlinear_winit(&first.vector, &w.vector, &system, space);
  if (code == GSL_SUCCESS) code = gsl_multifit_nlinear_driver(500, 1e-10, 1e-12, 0.0, NULL, NULL, &why, space);
  const gsl_vector *at = gsl_multifit_nlinear_position(space), *f = gsl_multifit_nlinear_residual(space);
  double c = gsl_vector_get(at, 2);
  /* GSL_ENOPROG: no step makes it better. From a fit that is already there, that is convergence. */
  out->converged = (code == GSL_SUCCESS || code == GSL_ENOPROG) && isfinite(c) && c > least_power && c < most_power;
  if (!out->converged) goto done;
  out->a = gsl_vector_get(at, 0);
  out->c = c;
  double scale = pow(middle, c), b = gsl_vector_get(at, 1);
  out->b = b * scale; /* b (x / middle)^-c = b middle^c x^-c */
  gsl_blas_ddot(f, f, &sum);
  if (p->n <= 3) goto done;
  out->residual = sqrt(sum / (double)(p->n - 3));
  if (gsl_multifit_nlinear_covar(gsl_multifit_nlinear_jac(space), 0.0, covariance) != GSL_SUCCESS) goto done;
  out->se_a = out->residual * sqrt(gsl_matrix_get(covariance, 0, 0));
  out->se_c = out->residual * sqrt(gsl_matrix_get(covariance, 2, 2));
  double by_b = scale, by_c = b * scale * log(middle); /* the gradient of b middle^c */
  out->se_b = out->residual * sqrt(by_b * by_b * gsl_matrix_get(covariance, 1, 1) +
                                   2.0 * by_b * by_c * gsl_matrix_get(covariance, 1, 2) +
                                   by_c * by_c * gsl_matrix_get(covariance, 2, 2));
done:
  gsl_multifit_nlinear_free(space);
  gsl_matrix_free(covariance);
  return status;
}

al_status al_curve_fit_make(al_curve_fit *out, const double *x, const double *y, const double *se, size_t n) {
  al_status status = AL_OK;
  double *weights = NULL, *t = NULL, best = INFINITY;
  *out = (al_curve_fit){.a = NAN, .b = NAN, .c = NAN, .se_a = NAN, .se_b = NAN, .se_c = NAN, .residual = NAN, .n = n};
  if (n < 3 || !(x[0] > 0.0)) return AL_OK;
  out->from = x[0];
  out->to = x[n - 1];
  AL_TRY(AL_NEW(&weights, n));
  AL_TRY(AL_NEW(&t, n));
  double middle = sqrt(x[0] * x[n - 1]);
  bool known = se != NULL;
  for (size_t i = 0; i < n && known; i++) known = se[i] > 0.0;
  for (size_t i = 0; i < n; i++) {
    weights[i] = known ? 1.0 / (se[i] * se[i]) : 1.0;
    t[i] = x[i] / middle;
  }
  points p = {y, t, n};
  for (int step = 0; step <= 80; step++) {
    double a, b, c = 0.01 * pow(1000.0, step / 80.0), sum = line_for(c, &p, weights, &a, &b); /* 0.01 to 10 */
    if (!(sum < best)) continue;
    best = sum;
    out->a = a;
    out->b = b;
    out->c = c;
  }
  AL_TRY(refine(out, &p, weights, middle));
  if (!out->converged) out->a = out->b = out->c = NAN;
done:
  free(weights);
  free(t);
  return status;
}

double al_curve_fit_at(const al_curve_fit *fit, double x) { return fit->a - fit->b * pow(x, -fit->c); }
