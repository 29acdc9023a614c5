/* How much these replicates can show, and how many are needed. */
#ifndef AL_STATS_POWER_H
#define AL_STATS_POWER_H

#include <stddef.h>

/* The smallest true difference that a two-sided t test at alpha detects with 80 % power, both tails counted: the
 * noncentral t with `df` degrees of freedom and ncp = difference / standard_error. A paired test of n differences has
 * standard_error sd / sqrt(n), df n - 1; Welch's its own. standard_error 0: 0; no degree of freedom: NaN. */
double al_detectable_from(double standard_error, double df, double alpha);

/* Below AL_FEW_REPLICATES replicates the sd is known too poorly to give one number for what is detectable: these
 * factors, times the sd or anything proportional to it, are its 95 % chi-square interval. n < 2: NaN. */
enum { AL_FEW_REPLICATES = 10, AL_TOO_FEW_REPLICATES = 5 };
typedef struct al_sd_factors {
  double low, high;
} al_sd_factors;
al_sd_factors al_sd_interval(size_t n);

/* Replicates that a gate needs: the smallest n >= 5 at which a true loss of `margin` is found "regressed" with 80 %
 * power by the one-sided paired t test at alpha / m, where the sd of the differences is the upper 80 % bound of the
 * `sd` seen in n0 replicates (STATISTICS.md, "The gate"). sd 0: 5. n0 < 2 or more than a million: 0. */
size_t al_replicates_needed(double sd, size_t n0, double margin, double alpha, size_t m);

#endif
