/* BCa and percentile intervals. */
#include "stats/bootstrap.h"

#include "base/memory.h"

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

static const double equal_within = 1e-12;

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

al_rng al_bootstrap_stream(const char *what) {
  al_stream_key key = {.purpose = "bootstrap", .dataset = what};
  return al_rng_open(&key);
}

/* Third moment over 6 times the second to 3/2, of mean - value: Efron's acceleration by the jackknife. */
static double acceleration(const double *leave_one_out, size_t n) {
  double mean = gsl_stats_mean(leave_one_out, 1, n), cubes = 0.0, squares = 0.0;
  for (size_t i = 0; i < n; i++) {
    double d = mean - leave_one_out[i];
    squares += d * d;
    cubes += d * d * d;
  }
  return squares > 0.0 ? cubes / (6.0 * pow(squares, 1.5)) : 0.0;
}

al_bounds al_bca_bounds(double *draws, size_t n_draws, double value, const double *leave_one_out, size_t n) {
  double below = 0.0, bounds[2];
  qsort(draws, n_draws, sizeof *draws, ascending);
  if (draws[n_draws - 1] - draws[0] <= equal_within) return (al_bounds){value, value};
  for (size_t i = 0; i < n_draws; i++)
    below += fabs(draws[i] - value) <= equal_within ? 0.5 : draws[i] < value ? 1.0 : 0.0;
  below = fmin(fmax(below, 0.5), (double)n_draws - 0.5); /* every draw on one side: as far out as half a draw */
  double z0 = gsl_cdf_ugaussian_Pinv(below / (double)n_draws), a = acceleration(leave_one_out, n);
  for (int side = 0; side < 2; side++) {
    double z = z0 + gsl_cdf_ugaussian_Pinv(side == 0 ? 0.025 : 0.975);
    double share = gsl_cdf_ugaussian_P(z0 + z / (1.0 - a * z));
    bounds[side] = gsl_stats_quantile_from_sorted_data(draws, 1, n_draws, share);
  }
  return (al_bounds){bounds[0], bounds[1]};
}

al_status al_bca_mean(al_bounds *out, const double *values, size_t n, al_rng rng) {
  al_status status;
  double *draws = NULL, *leave_one_out = NULL;
  *out = (al_bounds){NAN, NAN};
  if (n < AL_BCA_LEAST) return AL_OK;
  AL_TRY(AL_NEW(&draws, AL_DRAWS));
  AL_TRY(AL_NEW(&leave_one_out, n));
  double mean = gsl_stats_mean(values, 1, n);
  for (size_t i = 0; i < n; i++) leave_one_out[i] = (mean * (double)n - values[i]) / ((double)n - 1.0);
  for (size_t d = 0; d < AL_DRAWS; d++) {
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) sum += values[al_rng_below(&rng, n)];
    draws[d] = sum / (double)n;
  }
  *out = al_bca_bounds(draws, AL_DRAWS, mean, leave_one_out, n);
done:
  free(draws);
  free(leave_one_out);
  return status;
}

/* The quantile when `undefined` further draws lie beyond all others on the side in question. sorted: n draws. */
static double with_undefined(const double *sorted, size_t n, size_t undefined, bool low) {
  double at = (low ? 0.025 : 0.975) * (double)(n + undefined - 1), first = low ? (double)undefined : 0.0;
  double last = first + (double)n - 1.0;
  if (at < first) return -INFINITY;
  if (at > last) return INFINITY;
  return gsl_stats_quantile_from_sorted_data(sorted, 1, n, n == 1 ? 0.0 : (at - first) / ((double)n - 1.0));
}

al_status al_deficiency_of(al_deficiency *out, const double *own, const double *baseline, size_t n, al_rng rng) {
  al_status status = AL_OK;
  double *draws = NULL, above = 0.0, below = 0.0;
  size_t kept = 0;
  *out = (al_deficiency){.value = NAN, .low = NAN, .high = NAN, .n = n};
  for (size_t i = 0; i < n; i++) {
    above += own[i];
    below += baseline[i];
  }
  if (!(below > equal_within * (double)n)) return AL_OK;
  out->value = above / below;
  if (n < 2) return AL_OK;
  AL_TRY(AL_NEW(&draws, AL_DRAWS));
  for (size_t d = 0; d < AL_DRAWS; d++) {
    above = below = 0.0;
    for (size_t i = 0; i < n; i++) {
      size_t r = al_rng_below(&rng, n);
      above += own[r];
      below += baseline[r];
    }
    if (below > equal_within * (double)n) draws[kept++] = above / below;
  }
  if (kept == 0) goto done;
  qsort(draws, kept, sizeof *draws, ascending);
  out->low = with_undefined(draws, kept, AL_DRAWS - kept, true);
  out->high = with_undefined(draws, kept, AL_DRAWS - kept, false);
done:
  free(draws);
  return status;
}
