/* Power of t tests, by the noncentral t. */
#include "stats/power.h"

#include "stats/distributions.h"

#include <gsl/gsl_cdf.h>
#include <math.h>

static const double wanted_power = 0.8;

/* Both tails; P(T < -t) under ncp is P(T > t) under -ncp. */
static double two_sided_power(double t, double df, double ncp) {
  return al_noncentral_t_upper(t, df, ncp) + al_noncentral_t_upper(t, df, -ncp);
}

double al_detectable_from(double standard_error, double df, double alpha) {
  if (!(df > 0.0) || !(standard_error >= 0.0) || isinf(standard_error)) return NAN;
  if (standard_error == 0.0) return 0.0;
  double t = gsl_cdf_tdist_Qinv(0.5 * alpha, df), low = 0.0, high = 1.0;
  while (two_sided_power(t, df, high) < wanted_power) {
    low = high;
    high *= 2.0;
    if (high > 1e9) return NAN;
  }
  while (high - low > 1e-10 * high) {
    double middle = 0.5 * (low + high);
    if (two_sided_power(t, df, middle) < wanted_power)
      low = middle;
    else
      high = middle;
  }
  return high * standard_error;
}

al_sd_factors al_sd_interval(size_t n) {
  if (n < 2) return (al_sd_factors){NAN, NAN};
  double df = (double)n - 1.0;
  return (al_sd_factors){sqrt(df / gsl_cdf_chisq_Pinv(0.975, df)), sqrt(df / gsl_cdf_chisq_Pinv(0.025, df))};
}

static double gate_power(size_t n, double s, double margin, double level) {
  double df = (double)n - 1.0;
  return al_noncentral_t_upper(gsl_cdf_tdist_Qinv(level, df), df, margin * sqrt((double)n) / s);
}

size_t al_replicates_needed(double sd, size_t n0, double margin, double alpha, size_t m) {
  enum { LEAST = 5, MOST = 1000000 };
  if (n0 < 2 || !(sd >= 0.0) || !(margin > 0.0)) return 0;
  if (sd == 0.0) return LEAST;
  double df = (double)n0 - 1.0, s = sd * sqrt(df / gsl_cdf_chisq_Pinv(0.2, df)),
         level = alpha / (double)(m == 0 ? 1 : m);
  size_t low = LEAST - 1, high = LEAST; /* power(low) is short, power(high) is not, once the loop is through */
  while (gate_power(high, s, margin, level) < wanted_power) {
    low = high;
    high *= 2;
    if (high > MOST) return 0;
  }
  while (high - low > 1) {
    size_t middle = low + (high - low) / 2;
    if (gate_power(middle, s, margin, level) < wanted_power)
      low = middle;
    else
      high = middle;
  }
  return high;
}
