/* Noncentral t and studentized range by adaptive Gauss-Kronrod quadrature. Each integrand is smooth and, outside the
 * given bounds, below 1e-15. */
#include "stats/distributions.h"

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_errno.h>
#include <gsl/gsl_integration.h>
#include <gsl/gsl_randist.h>
#include <math.h>

enum { PIECES = 200 };

static double integrate(const gsl_function *f, double from, double to) {
  double value = NAN, error = INFINITY;
  gsl_integration_workspace *space = gsl_integration_workspace_alloc(PIECES);
  if (space == NULL) return NAN;
  int code = gsl_integration_qag(f, from, to, 1e-12, 1e-11, PIECES, GSL_INTEG_GAUSS31, space, &value, &error);
  gsl_integration_workspace_free(space);
  /* Rounding may keep the last digits out of reach; what was reached is good enough when its own estimate says so. */
  return code == GSL_SUCCESS || error < 1e-9 ? value : NAN;
}

typedef struct {
  double t, df, ncp;
} noncentral;

/* P(T > t) is the mean over s = sqrt(X / df), X chi-square, of P(Z > t s - ncp). */
static double noncentral_at(double s, void *context) {
  const noncentral *w = context;
  return 2.0 * w->df * s * gsl_ran_chisq_pdf(w->df * s * s, w->df) * gsl_cdf_ugaussian_Q(w->t * s - w->ncp);
}

double al_noncentral_t_upper(double t, double df, double ncp) {
  noncentral w = {t, df, ncp};
  gsl_function f = {.function = noncentral_at, .params = &w};
  double width = 12.0 / sqrt(2.0 * df); /* s has mean about 1 and standard deviation about 1 / sqrt(2 df) */
  return integrate(&f, fmax(0.0, 1.0 - width), 1.0 + width);
}

typedef struct {
  double q;
  unsigned k;
} range;

/* The least of k normals is at z, the k - 1 others lie within q above it. */
static double range_at(double z, void *context) {
  const range *w = context;
  double within = gsl_cdf_ugaussian_P(z + w->q) - gsl_cdf_ugaussian_P(z);
  return (double)w->k * gsl_ran_ugaussian_pdf(z) * pow(within, (double)w->k - 1.0);
}

double al_range_cdf(double q, unsigned k) {
  if (!(q > 0.0)) return isnan(q) ? NAN : 0.0;
  range w = {q, k};
  gsl_function f = {.function = range_at, .params = &w};
  return integrate(&f, -9.0, 9.0);
}

double al_range_quantile(double p, unsigned k) {
  double low = 0.0, high = 1.0;
  while (al_range_cdf(high, k) < p && high < 1e3) high *= 2.0;
  while (high - low > 1e-9 * high) {
    double middle = 0.5 * (low + high);
    if (al_range_cdf(middle, k) < p)
      low = middle;
    else
      high = middle;
  }
  return 0.5 * (low + high);
}
