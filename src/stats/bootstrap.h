/* Bootstrap intervals, seeded: equal data give equal intervals. Quantiles are R's type 7. */
#ifndef AL_STATS_BOOTSTRAP_H
#define AL_STATS_BOOTSTRAP_H

#include "base/rng.h"
#include "base/status.h"

#include <stddef.h>

enum { AL_DRAWS = 10000, AL_BCA_LEAST = 30 };

typedef struct al_bounds {
  double low, high;
} al_bounds;

/* The stream for the bootstrap of a summary; `what` says which (it is part of the key). */
al_rng al_bootstrap_stream(const char *what);

/* 95 % BCa bounds (Efron 1987) from bootstrap draws of a statistic (sorted in place): z0 from the share of draws below
 * `value`, half of those equal to it within 1e-12 counted; acceleration from the n leave-one-out values. All draws
 * equal: both bounds are `value`. */
al_bounds al_bca_bounds(double *draws, size_t n_draws, double value, const double *leave_one_out, size_t n);

/* BCa interval of a mean, AL_DRAWS draws. Below AL_BCA_LEAST values: NaN. O(AL_DRAWS n). */
al_status al_bca_mean(al_bounds *out, const double *values, size_t n, al_rng rng) AL_MUST_USE;

/* Deficiency (Baram et al. 2004) of a strategy against a baseline on replicate-mean curves, with its percentile
 * interval over AL_DRAWS draws of replicate pairs. own[r] and baseline[r]: sums over the labels that both have, round 0
 * left out, of (A_final - A) for the strategy's and the baseline's curve in replicate r, A_final the baseline's last
 * value in that replicate; so the value is sum(own) / sum(baseline). value NaN: the denominator is not positive,
 * "undefined". A draw whose denominator is not positive is counted on both sides, as below and above everything: bounds
 * are infinite where such draws reach them. n < 2: no interval (NaN). */
typedef struct al_deficiency {
  double value, low, high;
  size_t n;
} al_deficiency;
al_status al_deficiency_of(al_deficiency *out, const double *own, const double *baseline, size_t n,
                           al_rng rng) AL_MUST_USE;

#endif
