/* Tests beyond one pair: Welch, many strategies over many datasets (Demsar 2006), the pairwise penalty matrix (Ash
 * 2020). Values within 1e-12 of each other are equal, or tied. Higher is better: callers turn the sign of a metric
 * where it is not. */
#ifndef AL_STATS_HYPOTHESIS_H
#define AL_STATS_HYPOTHESIS_H

#include "base/status.h"

#include <stddef.h>

/* Welch's two-sided t test of mean(x) - mean(y) as R's t.test, with its 95 % interval. A side below 2 values: p, low
 * and high are NaN. No variance on either side: p 1 where the means are equal, else 0. */
typedef struct al_welch {
  double difference, low, high, p, t, df, standard_error;
} al_welch;
al_welch al_welch_t(const double *x, size_t nx, const double *y, size_t ny);

/* Midranks of k values, 1 = the highest. */
al_status al_ranks(double *ranks /* k */, const double *values /* k */, size_t k) AL_MUST_USE;

/* Friedman's test over blocks (datasets), tie-corrected as R's friedman.test, with the F of Iman and Davenport (1980).
 * F infinite: p_f 0. All values tied in every block: chi2 0 and both p 1. */
typedef struct al_friedman {
  size_t blocks, k;
  double chi2, p; /* k - 1 degrees of freedom */
  double f, p_f;  /* k - 1 and (k - 1)(blocks - 1) */
} al_friedman;
/* values: blocks x k; mean_ranks: k, filled. blocks and k at least 2. */
al_status al_friedman_test(al_friedman *out, double *mean_ranks, const double *values, size_t blocks,
                           size_t k) AL_MUST_USE;
/* The same from mean ranks as papers print them, without a correction for ties. */
al_friedman al_friedman_from_ranks(const double *mean_ranks, size_t blocks, size_t k);

/* Nemenyi's critical difference of mean ranks: qtukey(1 - alpha, k, Inf) / sqrt(2) * sqrt(k (k + 1) / (6 blocks)). */
double al_nemenyi(size_t k, size_t blocks, double alpha);

/* Exact Wilcoxon signed-rank p of every pair over the blocks, Holm over the k (k - 1) / 2 pairs. p: k x k, symmetric,
 * its diagonal NaN. */
al_status al_pairwise_wilcoxon(double *p, const double *values /* blocks x k */, size_t blocks, size_t k) AL_MUST_USE;

/* The pairwise penalty matrix of Ash et al. (2020), as STATISTICS.md defines its checkpoints: labels[0] + 2^(j-1) *
 * batch (batch = labels[1] - labels[0]) below n0, the first of random's labels where its mean over replicates reaches
 * 99 % of its last mean. Adds 1 / checkpoints to matrix[i * k + j] at each checkpoint where the two-sided paired t test
 * at 0.05 finds strategy i above j (no variance: where the mean is above). values: k x replicates x points at `labels`
 * (ascending), NaN where a cell has no such point: pairs without both are left out. *checkpoints = 0: nothing is added,
 * and the report must say so. */
al_status al_penalty_add(double *matrix /* k x k */, size_t *checkpoints, const double *values, const double *labels,
                         size_t k, size_t replicates, size_t points, size_t random) AL_MUST_USE;

#endif
