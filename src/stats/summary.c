/* Summaries and tests of one pair. Distributions are GSL's. */
#include "stats/summary.h"

#include "base/memory.h"
#include "stats/power.h"

#include <gsl/gsl_cdf.h>
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

double al_detectable(double sd, size_t n, double alpha) {
  return n < 2 ? NAN : al_detectable_from(sd / sqrt((double)n), (double)n - 1.0, alpha);
}

/* ---- what a strategy costs ---- */

/* Where a true value lies to its restricted one: exact, at least, at most, or nobody knows. */
static void note_bounds(const al_crossing *values, size_t n, double limit, bool *more, bool *less) {
  for (size_t i = 0; i < n; i++) {
    if (values[i].censored || values[i].x > limit)
      *more = true;
    else if (values[i].at_start)
      *less = true;
  }
}

/* Mean of min(T, limit). */
static double restricted_mean(const al_crossing *values, size_t n, double limit) {
  double sum = 0.0;
  for (size_t i = 0; i < n; i++) sum += fmin(values[i].x, limit);
  return sum / (double)n;
}

al_utilisation al_utilisation_rate(const al_crossing *own, size_t n, const al_crossing *baseline, size_t n_baseline,
                                   double limit) {
  bool more = false, less = false;
  if (n == 0 || n_baseline == 0) return (al_utilisation){NAN, '?'};
  note_bounds(own, n, limit, &more, &less);
  note_bounds(baseline, n_baseline, limit, &less, &more); /* a larger denominator is a smaller rate */
  if (more && less) return (al_utilisation){NAN, '?'};
  double rate = restricted_mean(own, n, limit) / restricted_mean(baseline, n_baseline, limit);
  return (al_utilisation){rate, more ? '>' : less ? '<' : '='};
}

/* ---- overlap ---- */

static int by_row(const void *a, const void *b) {
  int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
  return (x > y) - (x < y);
}

al_status al_jaccard(double *overlap, const int32_t *a, size_t na, const int32_t *b, size_t nb) {
  al_status status;
  int32_t *p = NULL, *q = NULL;
  size_t both = 0;
  *overlap = NAN;
  if (na == 0 && nb == 0) return AL_OK;
  AL_TRY(AL_NEW(&p, na));
  AL_TRY(AL_NEW(&q, nb));
  if (na != 0) memcpy(p, a, na * sizeof *p);
  if (nb != 0) memcpy(q, b, nb * sizeof *q);
  qsort(p, na, sizeof *p, by_row);
  qsort(q, nb, sizeof *q, by_row);
  size_t distinct[2] = {0};
  for (size_t i = 0; i < na; i++) distinct[0] += i == 0 || p[i] != p[i - 1];
  for (size_t i = 0; i < nb; i++) distinct[1] += i == 0 || q[i] != q[i - 1];
  for (size_t i = 0, j = 0; i < na && j < nb;) {
    if (p[i] == q[j]) {
      int32_t row = p[i];
      both++;
      while (i < na && p[i] == row) i++;
      while (j < nb && q[j] == row) j++;
    } else if (p[i] < q[j]) {
      i++;
    } else {
      j++;
    }
  }
  *overlap = (double)both / (double)(distinct[0] + distinct[1] - both);
done:
  free(p);
  free(q);
  return status;
}
