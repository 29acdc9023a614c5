/* Curve summaries, intervals and paired tests (STATISTICS.md; docs/statistics.md). */
#ifndef AL_STATS_SUMMARY_H
#define AL_STATS_SUMMARY_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A mean with its 95 % Student t interval. n = 1: low = high = NaN. */
typedef struct al_interval {
  double mean, low, high, sd;
  size_t n;
} al_interval;
al_interval al_mean_interval(const double *values, size_t n);

/* A curve of one cell: x ascending (labels or cost), y the metric. */
typedef struct al_curve {
  const double *x, *y;
  size_t n;
} al_curve;

/* y at x by linear interpolation; x within the curve. */
double al_curve_at(const al_curve *curve, double x);
/* Trapezoid area over [from, to] divided by its length; both within the curve, from < to. */
double al_curve_area(const al_curve *curve, double from, double to);

/* labels-to-target: the first crossing that the next point confirms, linear in between. */
typedef struct al_crossing {
  double x;
  bool censored; /* not reached, or reached at the last point only: x is the last x */
  bool at_start; /* already there at the first point: x is "at most" */
} al_crossing;
al_crossing al_curve_crossing(const al_curve *curve, double target);

/* Median of right-censored values as R's survfit gives it: the smallest x with S(x) <= 1/2, averaged with the next
 * event where S = 1/2. NaN when the survival curve never gets there. O(n log n). */
al_status al_censored_median(double *median, const al_crossing *values, size_t n) AL_MUST_USE;

/* Paired two-sided t test of differences. All 0 within 1e-12: p 1; constant and not 0: p 0. n < 2: p NaN. */
double al_paired_t(const double *differences, size_t n);
/* Exact two-sided Wilcoxon signed-rank test, Pratt zeros, midranks, by dynamic programming over doubled ranks. n <=
 * 1000. */
al_status al_wilcoxon(double *p, const double *differences, size_t n) AL_MUST_USE;
/* Holm's correction in place; NaN entries are left out of the family. */
al_status al_holm(double *p, size_t m) AL_MUST_USE;

/* Smallest true mean difference that n paired replicates with this sd detect with 80 % power, two-sided at alpha.
 * sd 0: 0; n < 2: NaN. */
double al_detectable(double sd, size_t n, double alpha);

/* Data-utilisation rate: mean of min(T, limit) over that of the baseline, limit the smallest last x of all compared
 * cells; the saving is 1 - rate. mark: '=' exact; '>' at least (own values censored at the limit, or the baseline there
 * at its start); '<' at most (the other way round); '?' not comparable, rate NaN. */
typedef struct al_utilisation {
  double rate;
  char mark;
} al_utilisation;
al_utilisation al_utilisation_rate(const al_crossing *own, size_t n, const al_crossing *baseline, size_t n_baseline,
                                   double limit);

/* Overlap of two selections: Jaccard index of the sets of rows; NaN when both are empty. O(n log n). */
al_status al_jaccard(double *overlap, const int32_t *a, size_t na, const int32_t *b, size_t nb) AL_MUST_USE;

#endif
