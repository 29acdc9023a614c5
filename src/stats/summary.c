/* Summaries and tests. Distributions are GSL's; what it lacks (the noncentral t) is integrated by its quadrature. */
#include "stats/summary.h"

#include "base/memory.h"

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_integration.h>
#include <gsl/gsl_randist.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

al_interval al_mean_interval(const double *values, size_t n) {
  al_interval out = {.mean = NAN, .low = NAN, .high = NAN, .sd = NAN, .n = n};
  if (n == 0) return out;
  out.mean = gsl_stats_mean(values, 1, n);
  if (n == 1) return out;
  out.sd = gsl_stats_sd(values, 1, n);
  double half = gsl_cdf_tdist_Pinv(0.975, (double)n - 1.0) * out.sd / sqrt((double)n);
  out.low = out.mean - half;
  out.high = out.mean + half;
  return out;
}

double al_curve_at(const al_curve *curve, double x) {
  size_t i = 1;
  if (curve->n == 1 || x <= curve->x[0]) return curve->y[0];
  while (i + 1 < curve->n && curve->x[i] < x) i++;
  double width = curve->x[i] - curve->x[i - 1];
  if (x >= curve->x[i] || width <= 0.0) return curve->y[i];
  return curve->y[i - 1] + (curve->y[i] - curve->y[i - 1]) * (x - curve->x[i - 1]) / width;
}

double al_curve_area(const al_curve *curve, double from, double to) {
  double area = 0.0, x = from, y = al_curve_at(curve, from);
  for (size_t i = 0; i < curve->n; i++) {
    if (curve->x[i] <= from || curve->x[i] >= to) continue;
    area += 0.5 * (y + curve->y[i]) * (curve->x[i] - x);
    x = curve->x[i];
    y = curve->y[i];
  }
  area += 0.5 * (y + al_curve_at(curve, to)) * (to - x);
  return area / (to - from);
}

al_crossing al_curve_crossing(const al_curve *curve, double target) {
  for (size_t i = 0; i + 1 < curve->n; i++) {
    if (curve->y[i] < target || curve->y[i + 1] < target) continue;
    if (i == 0) return (al_crossing){.x = curve->x[0], .at_start = true};
    double rise = curve->y[i] - curve->y[i - 1];
    return (al_crossing){.x = curve->x[i - 1] + (curve->x[i] - curve->x[i - 1]) * (target - curve->y[i - 1]) / rise};
  }
  return (al_crossing){.x = curve->x[curve->n - 1], .censored = true};
}

/* Events before censorings at one x, as survfit has it. */
static int by_time(const void *a, const void *b) {
  const al_crossing *p = a, *q = b;
  if (p->x != q->x) return p->x < q->x ? -1 : 1;
  return (int)p->censored - (int)q->censored;
}

al_status al_censored_median(double *median, const al_crossing *values, size_t n) {
  al_crossing *sorted = NULL;
  *median = NAN;
  al_status status = AL_NEW(&sorted, n);
  if (status != AL_OK) return status;
  memcpy(sorted, values, n * sizeof *sorted);
  qsort(sorted, n, sizeof *sorted, by_time);
  double survival = 1.0, half_at = NAN;
  for (size_t i = 0; i < n && isnan(*median);) {
    size_t events = 0, same = i;
    for (; same < n && sorted[same].x == sorted[i].x; same++) events += !sorted[same].censored;
    if (events != 0 && !isnan(half_at)) {
      *median = 0.5 * (half_at + sorted[i].x);
    } else if (events != 0) {
      survival *= 1.0 - (double)events / (double)(n - i);
      if (fabs(survival - 0.5) < 1e-12)
        half_at = sorted[i].x;
      else if (survival < 0.5)
        *median = sorted[i].x;
    }
    i = same;
  }
  if (isnan(*median) && !isnan(half_at)) *median = half_at; /* S stays at 1/2: no later event to average with */
  free(sorted);
  return AL_OK;
}

double al_restricted_mean(const al_crossing *values, size_t n, double limit, bool *exact) {
  double sum = 0.0;
  *exact = true;
  for (size_t i = 0; i < n; i++) {
    sum += fmin(values[i].x, limit);
    if (values[i].censored || values[i].at_start) *exact = false;
  }
  return sum / (double)n;
}

double al_paired_t(const double *differences, size_t n) {
  if (n < 2) return NAN;
  double mean = gsl_stats_mean(differences, 1, n), most = 0.0, spread = 0.0;
  for (size_t i = 0; i < n; i++) {
    most = fmax(most, fabs(differences[i]));
    spread = fmax(spread, fabs(differences[i] - mean));
  }
  if (most <= 1e-12) return 1.0;
  if (spread <= 1e-12) return 0.0;
  double t = mean / (gsl_stats_sd(differences, 1, n) / sqrt((double)n));
  return 2.0 * gsl_cdf_tdist_Q(fabs(t), (double)n - 1.0);
}

typedef struct {
  double size;
  int sign;
} signed_size;

static int by_size(const void *a, const void *b) {
  double x = ((const signed_size *)a)->size, y = ((const signed_size *)b)->size;
  return (x > y) - (x < y);
}

/* Ranks are doubled, so that midranks are whole; zeros take ranks and are dropped from the sum (Pratt 1959). */
al_status al_wilcoxon(double *p, const double *differences, size_t n) {
  al_status status;
  signed_size *sorted = NULL;
  size_t *rank = NULL, total = 0, observed = 0, used = 0;
  double *ways = NULL;
  *p = NAN;
  if (n == 0 || n > 1000) return AL_OK;
  AL_TRY(AL_NEW(&sorted, n));
  AL_TRY(AL_NEW(&rank, n));
  for (size_t i = 0; i < n; i++) {
    double d = differences[i];
    sorted[i] = (signed_size){fabs(d) <= 1e-12 ? 0.0 : fabs(d), fabs(d) <= 1e-12 ? 0 : d > 0.0 ? 1 : -1};
  }
  qsort(sorted, n, sizeof *sorted, by_size);
  for (size_t i = 0; i < n;) {
    size_t same = i;
    while (same < n && sorted[same].size - sorted[i].size <= 1e-12) same++;
    for (size_t j = i; j < same; j++)
      if (sorted[j].sign != 0) {
        rank[used++] = i + same + 1; /* twice the mean of i+1 .. same */
        total += i + same + 1;
        if (sorted[j].sign > 0) observed += i + same + 1;
      }
    i = same;
  }
  if (used == 0) {
    *p = 1.0;
    goto done;
  }
  AL_TRY(AL_NEW(&ways, total + 1));
  ways[0] = 1.0; /* probabilities: each sign is a fair coin */
  for (size_t i = 0, reach = 0; i < used; i++) {
    reach += rank[i];
    for (size_t s = reach + 1; s-- > 0;) ways[s] = 0.5 * ways[s] + (s >= rank[i] ? 0.5 * ways[s - rank[i]] : 0.0);
  }
  size_t extreme = observed < total - observed ? observed : total - observed;
  double tail = 0.0;
  for (size_t s = 0; s <= extreme; s++) tail += ways[s];
  *p = fmin(1.0, 2.0 * tail);
done:
  free(sorted);
  free(rank);
  free(ways);
  return status;
}

typedef struct {
  double p;
  size_t at;
} placed;

static int by_p(const void *a, const void *b) {
  double x = ((const placed *)a)->p, y = ((const placed *)b)->p;
  return (x > y) - (x < y);
}

al_status al_holm(double *p, size_t m) {
  placed *sorted = NULL;
  size_t n = 0;
  al_status status = AL_NEW(&sorted, m);
  if (status != AL_OK) return status;
  for (size_t i = 0; i < m; i++)
    if (!isnan(p[i])) sorted[n++] = (placed){p[i], i};
  qsort(sorted, n, sizeof *sorted, by_p);
  double most = 0.0;
  for (size_t i = 0; i < n; i++) {
    most = fmax(most, fmin(1.0, sorted[i].p * (double)(n - i)));
    p[sorted[i].at] = most;
  }
  free(sorted);
  return AL_OK;
}

/* ---- power: both tails of the noncentral t ---- */

typedef struct {
  double df, ncp, t;
} tail;

/* P(T > t) = E over the chi variable s = sqrt(X / df) of P(Z > t s - ncp). */
static double tail_at(double s, void *context) {
  const tail *w = context;
  double density = 2.0 * w->df * s * gsl_ran_chisq_pdf(w->df * s * s, w->df);
  return density * (gsl_cdf_ugaussian_Q(w->t * s - w->ncp) + gsl_cdf_ugaussian_P(-w->t * s - w->ncp));
}

static double power_of(double delta, double sd, size_t n, double alpha, gsl_integration_workspace *space) {
  tail w = {.df = (double)n - 1.0,
            .ncp = delta * sqrt((double)n) / sd,
            .t = gsl_cdf_tdist_Qinv(alpha / 2.0, (double)n - 1.0)};
  gsl_function f = {.function = tail_at, .params = &w};
  double value = 0.0, error = 0.0, width = 12.0 / sqrt(2.0 * w.df);
  if (gsl_integration_qag(&f, fmax(0.0, 1.0 - width), 1.0 + width, 1e-9, 1e-9, 500, GSL_INTEG_GAUSS31, space, &value,
                          &error) != 0)
    return NAN;
  return value;
}

double al_detectable(double sd, size_t n, double alpha) {
  if (n < 2 || !(sd > 0.0)) return sd == 0.0 ? 0.0 : NAN;
  gsl_integration_workspace *space = gsl_integration_workspace_alloc(500);
  if (space == NULL) return NAN;
  double low = 0.0, high = sd;
  while (power_of(high, sd, n, alpha, space) < 0.8 && high < 1e6 * sd) high *= 2.0;
  for (int i = 0; i < 60; i++) {
    double middle = 0.5 * (low + high);
    if (power_of(middle, sd, n, alpha, space) < 0.8)
      low = middle;
    else
      high = middle;
  }
  gsl_integration_workspace_free(space);
  return high;
}
