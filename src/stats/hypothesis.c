/* Welch, Friedman with Iman-Davenport, Nemenyi, pairwise Wilcoxon, penalties. */
#include "stats/hypothesis.h"

#include "base/memory.h"
#include "stats/distributions.h"
#include "stats/summary.h"

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

static const double equal_within = 1e-12;

al_welch al_welch_t(const double *x, size_t nx, const double *y, size_t ny) {
  al_welch w = {.difference = NAN, .low = NAN, .high = NAN, .p = NAN, .t = NAN, .df = NAN, .standard_error = NAN};
  if (nx == 0 || ny == 0) return w;
  w.difference = gsl_stats_mean(x, 1, nx) - gsl_stats_mean(y, 1, ny);
  if (nx < 2 || ny < 2) return w;
  double a = gsl_stats_variance(x, 1, nx) / (double)nx, b = gsl_stats_variance(y, 1, ny) / (double)ny;
  w.standard_error = sqrt(a + b);
  if (w.standard_error <= equal_within) {
    w.standard_error = 0.0;
    w.low = w.high = w.difference;
    w.p = fabs(w.difference) <= equal_within ? 1.0 : 0.0;
    return w;
  }
  w.df = (a + b) * (a + b) / (a * a / ((double)nx - 1.0) + b * b / ((double)ny - 1.0));
  w.t = w.difference / w.standard_error;
  w.p = fmin(1.0, 2.0 * gsl_cdf_tdist_Q(fabs(w.t), w.df));
  double half = gsl_cdf_tdist_Pinv(0.975, w.df) * w.standard_error;
  w.low = w.difference - half;
  w.high = w.difference + half;
  return w;
}

/* ---- ranks ---- */

typedef struct {
  double value;
  size_t at;
} placed;

static int highest_first(const void *a, const void *b) {
  double x = ((const placed *)a)->value, y = ((const placed *)b)->value;
  return (x < y) - (x > y);
}

/* Ranks into `ranks`; *ties gains the sum of t^3 - t over groups of t tied values. sorted: k, a workspace. */
static void rank_block(double *ranks, const double *values, size_t k, placed *sorted, double *ties) {
  for (size_t i = 0; i < k; i++) sorted[i] = (placed){values[i], i};
  qsort(sorted, k, sizeof *sorted, highest_first);
  for (size_t i = 0; i < k;) {
    size_t same = i;
    while (same < k && sorted[i].value - sorted[same].value <= equal_within) same++;
    double t = (double)(same - i);
    for (size_t j = i; j < same; j++) ranks[sorted[j].at] = 0.5 * (double)(i + same + 1);
    *ties += t * t * t - t;
    i = same;
  }
}

al_status al_ranks(double *ranks, const double *values, size_t k) {
  placed *sorted = NULL;
  double ties = 0.0;
  al_status status = AL_NEW(&sorted, k);
  if (status != AL_OK) return status;
  rank_block(ranks, values, k, sorted, &ties);
  free(sorted);
  return AL_OK;
}

/* From mean ranks and the sum over blocks of t^3 - t. */
static al_friedman friedman_of(const double *mean_ranks, size_t blocks, size_t k, double ties) {
  double n = (double)blocks, m = (double)k, spread = 0.0;
  al_friedman out = {.blocks = blocks, .k = k, .chi2 = 0.0, .p = 1.0, .f = 0.0, .p_f = 1.0};
  for (size_t j = 0; j < k; j++) spread += (mean_ranks[j] - 0.5 * (m + 1.0)) * (mean_ranks[j] - 0.5 * (m + 1.0));
  double scale = n * m * (m + 1.0) - ties / (m - 1.0);
  if (scale <= 1e-9 * n * m * (m + 1.0)) return out; /* everything is tied */
  out.chi2 = 12.0 * n * n * spread / scale;
  out.p = gsl_cdf_chisq_Q(out.chi2, m - 1.0);
  double rest = n * (m - 1.0) - out.chi2;
  if (rest <= 1e-9 * n * (m - 1.0)) { /* every block ranks alike */
    out.f = INFINITY;
    out.p_f = 0.0;
    return out;
  }
  out.f = (n - 1.0) * out.chi2 / rest;
  out.p_f = gsl_cdf_fdist_Q(out.f, m - 1.0, (m - 1.0) * (n - 1.0));
  return out;
}

al_friedman al_friedman_from_ranks(const double *mean_ranks, size_t blocks, size_t k) {
  return friedman_of(mean_ranks, blocks, k, 0.0);
}

al_status al_friedman_test(al_friedman *out, double *mean_ranks, const double *values, size_t blocks, size_t k) {
  al_status status;
  placed *sorted = NULL;
  double *ranks = NULL, ties = 0.0;
  AL_TRY(AL_NEW(&sorted, k));
  AL_TRY(AL_NEW(&ranks, k));
  for (size_t j = 0; j < k; j++) mean_ranks[j] = 0.0;
  for (size_t b = 0; b < blocks; b++) {
    rank_block(ranks, values + b * k, k, sorted, &ties);
    for (size_t j = 0; j < k; j++) mean_ranks[j] += ranks[j] / (double)blocks;
  }
  *out = friedman_of(mean_ranks, blocks, k, ties);
done:
  free(sorted);
  free(ranks);
  return status;
}

double al_nemenyi(size_t k, size_t blocks, double alpha) {
  double m = (double)k;
  return al_range_quantile(1.0 - alpha, (unsigned)k) / sqrt(2.0) * sqrt(m * (m + 1.0) / (6.0 * (double)blocks));
}

al_status al_pairwise_wilcoxon(double *p, const double *values, size_t blocks, size_t k) {
  al_status status;
  double *differences = NULL, *pairs = NULL;
  size_t n = 0, at = 0;
  AL_TRY(AL_NEW(&differences, blocks));
  AL_TRY(AL_NEW(&pairs, k * k));
  for (size_t i = 0; i < k; i++)
    for (size_t j = i + 1; j < k; j++) {
      for (size_t b = 0; b < blocks; b++) differences[b] = values[b * k + i] - values[b * k + j];
      AL_TRY(al_wilcoxon(&pairs[n++], differences, blocks));
    }
  AL_TRY(al_holm(pairs, n));
  for (size_t i = 0; i < k; i++) {
    p[i * k + i] = NAN;
    for (size_t j = i + 1; j < k; j++) p[i * k + j] = p[j * k + i] = pairs[at++];
  }
done:
  free(differences);
  free(pairs);
  return status;
}

/* ---- penalties ---- */

/* Mean of one strategy over its replicates at a point; NaN where a replicate has none. */
static double mean_at(const double *values /* replicates x points */, size_t replicates, size_t points, size_t at) {
  double sum = 0.0;
  for (size_t r = 0; r < replicates; r++) sum += values[r * points + at];
  return sum / (double)replicates;
}

/* Is a above b, significantly so? scratch: replicates. */
static bool beats(const double *a, const double *b, size_t replicates, size_t points, size_t at, double *scratch) {
  size_t n = 0;
  double sum = 0.0;
  for (size_t r = 0; r < replicates; r++) {
    double d = a[r * points + at] - b[r * points + at];
    if (isnan(d)) continue;
    scratch[n++] = d;
    sum += d;
  }
  return n >= 2 && sum > 0.0 && al_paired_t(scratch, n) < 0.05; /* no variance: p is 0, or 1 where all are 0 */
}

al_status al_penalty_add(double *matrix, size_t *checkpoints, const double *values, const double *labels, size_t k,
                         size_t replicates, size_t points, size_t random) {
  al_status status = AL_OK;
  double *scratch = NULL;
  size_t *chosen = NULL, n = 0, last = 0, n0;
  const double *baseline = values + random * replicates * points;
  *checkpoints = 0;
  if (points < 2 || replicates == 0) return AL_OK;
  AL_TRY(AL_NEW(&scratch, replicates));
  AL_TRY(AL_NEW(&chosen, points));
  for (size_t i = 0; i < points; i++)
    if (!isnan(mean_at(baseline, replicates, points, i))) last = i;
  double level = 0.99 * mean_at(baseline, replicates, points, last);
  for (n0 = 0; n0 < last && !(mean_at(baseline, replicates, points, n0) >= level);) n0++;
  double step = labels[1] - labels[0];
  for (size_t i = 1; i < n0; i++) {
    if (labels[i] < labels[0] + step - 1e-9) continue;
    while (labels[0] + step < labels[i] - 1e-9) step *= 2.0; /* a checkpoint between the labels: there is no round */
    if (fabs(labels[0] + step - labels[i]) <= 1e-9) chosen[n++] = i;
  }
  for (size_t c = 0; c < n; c++)
    for (size_t i = 0; i < k; i++)
      for (size_t j = 0; j < k; j++)
        if (i != j && beats(values + i * replicates * points, values + j * replicates * points, replicates, points,
                            chosen[c], scratch))
          matrix[i * k + j] += 1.0 / (double)n;
  *checkpoints = n;
done:
  free(scratch);
  free(chosen);
  return status;
}
