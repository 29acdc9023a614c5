/* Statistics against R (stats_evidence.R prints the numbers and says by which packages), published examples, and by
 * hand where that is written. */
#include "stats/bootstrap.h"
#include "stats/curve_fit.h"
#include "stats/distributions.h"
#include "stats/hypothesis.h"
#include "stats/power.h"
#include "stats/summary.h"

#include <gsl/gsl_errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void close_to(double got, double wanted, double relative) {
  if (!(fabs(got - wanted) <= relative * fabs(wanted)))
    fail_msg("%.17g, not %.17g (off by %.2g of it)", got, wanted, fabs(got - wanted) / fabs(wanted));
}

static void distributions(void **state) {
  (void)state;
  const double t[4] = {1.3, -0.4, 2.776, 1.7}, df[4] = {4, 9, 2.5, 150}, ncp[4] = {0.7, 1.9, 3.1, 2.2};
  const double upper[4] = {0.31786680669898415, 0.98867804620485567, 0.66009969249518075, 0.69161632119830130};
  for (int i = 0; i < 4; i++) close_to(al_noncentral_t_upper(t[i], df[i], ncp[i]), upper[i], 1e-9);
  const double q[4] = {0.8, 2.3, 3.633, 5.1};
  const unsigned k[4] = {2, 3, 4, 17};
  const double cdf[4] = {0.42839235504667650, 0.76552021867075615, 0.94998502100370841, 0.96937662894658216};
  for (int i = 0; i < 4; i++) close_to(al_range_cdf(q[i], k[i]), cdf[i], 1e-9);
  const double p[4] = {0.95, 0.9, 0.95, 0.99};
  const unsigned groups[4] = {2, 4, 8, 20};
  const double quantile[4] = {2.7718076490191890, 3.2404462210804432, 4.2863095125594670, 5.6452146851370282};
  for (int i = 0; i < 4; i++) close_to(al_range_quantile(p[i], groups[i]), quantile[i], 1e-7);
  assert_float_equal(al_range_cdf(0.0, 3), 0.0, 0.0);
}

static void power(void **state) {
  (void)state;
  close_to(al_detectable(0.031, 7, 0.05 / 3.0), 0.050334079972053282, 1e-7);
  close_to(al_detectable_from(1.7 * sqrt(2.0 / 9.0), 16.0, 0.05), 2.3917761257142538, 1e-7);
  assert_float_equal(al_detectable_from(0.0, 9.0, 0.05), 0.0, 0.0);
  assert_true(isnan(al_detectable(1.0, 1, 0.05)));
  al_sd_factors f = al_sd_interval(6);
  close_to(f.low, 0.62420800225898254, 1e-10);
  close_to(f.high, 2.45261398854829737, 1e-10);
  assert_true(isnan(al_sd_interval(1).low));
}

static void replicates_needed(void **state) {
  (void)state;
  assert_int_equal(al_replicates_needed(0.02, 10, 0.02, 0.05, 1), 12);
  assert_int_equal(al_replicates_needed(0.02, 10, 0.02, 0.05, 7), 22);
  assert_int_equal(al_replicates_needed(0.07, 10, 0.01, 0.05, 1), 509);
  assert_int_equal(al_replicates_needed(0.001, 5, 0.02, 0.05, 3), 5);
  assert_int_equal(al_replicates_needed(0.015, 30, 0.02, 0.025, 4), 12);
  assert_int_equal(al_replicates_needed(0.0, 5, 0.02, 0.05, 3), 5);
  assert_int_equal(al_replicates_needed(0.02, 1, 0.02, 0.05, 1), 0);
  assert_int_equal(al_replicates_needed(1.0, 10, 1e-6, 0.05, 1), 0);
}

static void welch(void **state) {
  (void)state;
  const double x[6] = {0.8134, 0.8021, 0.8215, 0.7988, 0.8102, 0.8177}, y[4] = {0.7921, 0.8043, 0.7876, 0.7990};
  const double flat[3] = {0.8, 0.8, 0.8}, lower[2] = {0.7, 0.7};
  al_welch w = al_welch_t(x, 6, y, 4);
  close_to(w.t, 2.8839086984117901, 1e-10);
  close_to(w.df, 7.4034131578728966, 1e-10);
  close_to(w.p, 0.0221365089287479597, 1e-9);
  close_to(w.low, 0.0028102982367633508, 1e-9);
  close_to(w.high, 0.0269230350965700416, 1e-9);
  assert_float_equal(al_welch_t(flat, 3, flat, 2).p, 1.0, 0.0);
  assert_float_equal(al_welch_t(flat, 3, lower, 2).p, 0.0, 0.0);
  assert_true(isnan(al_welch_t(x, 6, y, 1).p));
}

static void wilcoxon(void **state) {
  (void)state;
  /* Hollander and Wolfe (1973), p. 29: depression before and after a tranquilliser; the exact two-sided p is 20/512 */
  const double before[9] = {1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30};
  const double after[9] = {0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29};
  const double u[11] = {0.031, 0.012, 0.012, 0.054, 0.027, 0.040, 0.008, 0.033, 0.012, 0.061, 0.020};
  const double v[11] = {0.031, 0.020, 0.004, 0.031, 0.021, 0.046, 0.008, 0.010, 0.019, 0.030, 0.007};
  double d[11], p;
  for (int i = 0; i < 9; i++) d[i] = before[i] - after[i];
  assert_int_equal(al_wilcoxon(&p, d, 9), AL_OK);
  close_to(p, 0.0390625, 1e-12);
  for (int i = 0; i < 11; i++) d[i] = u[i] - v[i];
  assert_int_equal(al_wilcoxon(&p, d, 11), AL_OK);
  close_to(p, 0.16015625, 1e-12);
}

/* Demsar (2006), table 6. */
static const double auc[14][4] = {
    {0.763, 0.768, 0.771, 0.798}, {0.599, 0.591, 0.590, 0.569}, {0.954, 0.971, 0.968, 0.967},
    {0.628, 0.661, 0.654, 0.657}, {0.882, 0.888, 0.886, 0.898}, {0.936, 0.931, 0.916, 0.931},
    {0.661, 0.668, 0.609, 0.685}, {0.583, 0.583, 0.563, 0.625}, {0.775, 0.838, 0.866, 0.875},
    {1.000, 1.000, 1.000, 1.000}, {0.940, 0.962, 0.965, 0.962}, {0.619, 0.666, 0.614, 0.669},
    {0.972, 0.981, 0.975, 0.975}, {0.957, 0.978, 0.946, 0.970}};

static void friedman(void **state) {
  (void)state;
  const double printed[4] = {3.143, 2.000, 2.893, 1.964};
  al_friedman f = al_friedman_from_ranks(printed, 14, 4); /* his text: 9.28 and 3.69 */
  assert_float_equal(f.chi2, 9.28, 0.005);
  assert_float_equal(f.f, 3.69, 0.005);
  double ranks[4];
  const double wanted[4] = {3.1428571428571428, 2.0, 2.9285714285714284, 1.9285714285714286};
  assert_int_equal(al_friedman_test(&f, ranks, &auc[0][0], 14, 4), AL_OK);
  for (int j = 0; j < 4; j++) close_to(ranks[j], wanted[j], 1e-12);
  close_to(f.chi2, 10.9523809523809526, 1e-12);
  close_to(f.p, 0.0119861763254178154, 1e-10);
  close_to(f.f, 4.5858895705521476, 1e-12);
  close_to(f.p_f, 0.0076288387307257618, 1e-10);
  close_to(al_nemenyi(4, 14, 0.05), 1.2535591494959941, 1e-7); /* his text: 1.25 */
  const double alike[6] = {3, 2, 1, 6, 5, 4}, tied[4] = {7, 7, 9, 9};
  assert_int_equal(al_friedman_test(&f, ranks, alike, 2, 3), AL_OK);
  assert_true(isinf(f.f));
  assert_float_equal(f.p_f, 0.0, 0.0);
  assert_int_equal(al_friedman_test(&f, ranks, tied, 2, 2), AL_OK);
  assert_float_equal(f.p, 1.0, 0.0);
  assert_float_equal(f.p_f, 1.0, 0.0);
  assert_float_equal(ranks[0], 1.5, 1e-15);
}

static void pairwise(void **state) {
  (void)state;
  double p[16];
  const double wanted[6] = {0.046875, 0.900390625, 0.056152343750, 0.158935546875, 0.900390625, 0.109375};
  assert_int_equal(al_pairwise_wilcoxon(p, &auc[0][0], 14, 4), AL_OK);
  for (int i = 0, at = 0; i < 4; i++) {
    assert_true(isnan(p[i * 4 + i]));
    for (int j = i + 1; j < 4; j++) {
      close_to(p[i * 4 + j], wanted[at++], 1e-10);
      assert_float_equal(p[i * 4 + j], p[j * 4 + i], 0.0);
    }
  }
}

static void medians(void **state) {
  (void)state;
  double m;
  const al_crossing a[8] = {{.x = 230}, {.x = 180},
                            {.x = 410}, {.x = 600, .censored = true},
                            {.x = 325}, {.x = 600, .censored = true},
                            {.x = 280}, {.x = 600, .censored = true}};
  assert_int_equal(al_censored_median(&m, a, 8), AL_OK);
  close_to(m, 367.5, 1e-15);
  assert_int_equal(al_censored_median(&m, a, 6), AL_OK);
  close_to(m, 367.5, 1e-15);
  const al_crossing b[4] = {{.x = 150, .censored = true}, {.x = 260}, {.x = 300, .censored = true}, {.x = 350}};
  assert_int_equal(al_censored_median(&m, b, 4), AL_OK);
  close_to(m, 350.0, 1e-15);
}

static void curve_fit(void **state) {
  (void)state;
  const double x[8] = {100, 150, 200, 250, 300, 400, 500, 600};
  const double y[8] = {0.412, 0.498, 0.551, 0.583, 0.611, 0.640, 0.662, 0.671};
  double se[8] = {0.011, 0.009, 0.008, 0.007, 0.0065, 0.005, 0.0045, 0.004};
  al_curve_fit f;
  assert_int_equal(al_curve_fit_make(&f, x, y, se, 8), AL_OK);
  assert_true(f.converged);
  close_to(f.a, 0.77318984110284139, 1e-5);
  close_to(f.b, 10.13238743080827753, 1e-5);
  close_to(f.c, 0.72212357100877989, 1e-5);
  close_to(f.se_a, 0.014420193169406880, 1e-4);
  close_to(f.se_b, 2.394823845121123007, 1e-4);
  close_to(f.se_c, 0.057629297959642931, 1e-4);
  close_to(f.residual, 0.496382459063131942, 1e-6);
  se[3] = 0.0; /* an se of 0: equal weights */
  assert_int_equal(al_curve_fit_make(&f, x, y, se, 8), AL_OK);
  close_to(f.a, 0.78579286118954239, 1e-5);
  close_to(f.b, 8.50283078633314382, 1e-5);
  close_to(f.c, 0.67770439594019427, 1e-5);
  close_to(f.se_b, 1.4963224272969752882, 1e-4);
  close_to(f.residual, 0.0028211068274420791, 1e-6);
  close_to(al_curve_fit_at(&f, 1000.0), f.a - f.b * pow(1000.0, -f.c), 1e-12);
  double exact[5], flat[5] = {0.5, 0.5, 0.5, 0.5, 0.5};
  for (int i = 0; i < 5; i++) exact[i] = 0.9 - 3.0 * pow(x[i], -0.5);
  assert_int_equal(al_curve_fit_make(&f, x, exact, NULL, 5), AL_OK);
  assert_true(f.converged);
  close_to(f.b, 3.0, 1e-6);
  close_to(f.c, 0.5, 1e-6);
  assert_int_equal(al_curve_fit_make(&f, x, flat, NULL, 5), AL_OK);
  assert_true(!f.converged || fabs(al_curve_fit_at(&f, 300.0) - 0.5) < 1e-9);
  assert_int_equal(al_curve_fit_make(&f, x, y, NULL, 2), AL_OK);
  assert_false(f.converged);
  assert_true(isnan(f.a));
}

static const double values[11] = {0.021, -0.013, 0.034, 0.008, 0.027, 0.015, -0.002, 0.041, 0.019, 0.011, 0.090};

static void bca(void **state) {
  (void)state;
  enum { N = 11, DRAWS = 1999 };
  double draws[DRAWS], leave[N], sum = 0.0, many[33];
  unsigned long long s = 1;
  for (int i = 0; i < N; i++) sum += values[i];
  for (int i = 0; i < N; i++) leave[i] = (sum - values[i]) / (N - 1);
  for (int d = 0; d < DRAWS; d++) {
    draws[d] = 0.0;
    for (int i = 0; i < N; i++) {
      s = 16807 * s % 2147483647;
      draws[d] += values[s % N] / N;
    }
  }
  al_bounds b = al_bca_bounds(draws, DRAWS, sum / N, leave, N);
  close_to(b.low, 0.011514607463704965, 1e-10);
  close_to(b.high, 0.044880766876569264, 1e-10);
  for (int i = 0; i < N; i++) {
    many[i] = values[i];
    many[N + i] = values[i] * 0.7 + 0.004;
    many[2 * N + i] = values[i] * 1.3 - 0.01;
  }
  assert_int_equal(al_bca_mean(&b, many, 33, al_bootstrap_stream("test")), AL_OK);
  assert_float_equal(b.low, 0.01317, 4e-4); /* boot's, with its own draws */
  assert_float_equal(b.high, 0.03177, 8e-4);
  al_bounds again;
  assert_int_equal(al_bca_mean(&again, many, 33, al_bootstrap_stream("test")), AL_OK);
  assert_memory_equal(&b, &again, sizeof b);
  assert_int_equal(al_bca_mean(&b, many, 29, al_bootstrap_stream("test")), AL_OK);
  assert_true(isnan(b.low));
  double flat[30];
  for (int i = 0; i < 30; i++) flat[i] = 0.7;
  assert_int_equal(al_bca_mean(&b, flat, 30, al_bootstrap_stream("test")), AL_OK);
  assert_float_equal(b.low, 0.7, 1e-12);
}

static void deficiency(void **state) {
  (void)state;
  const double own[6] = {1.21, 0.87, 1.43, 0.66, 1.05, 0.92}, baseline[6] = {1.30, 1.25, 1.18, 0.97, 1.41, 1.02};
  al_deficiency d;
  assert_int_equal(al_deficiency_of(&d, own, baseline, 6, al_bootstrap_stream("test")), AL_OK);
  close_to(d.value, 0.86115007012622713, 1e-12);
  assert_float_equal(d.low, 0.7322, 0.004);
  assert_float_equal(d.high, 1.0253, 0.004);
  const double negative[6] = {-1.0, -1.0, -1.0, -1.0, -1.0, -1.0};
  assert_int_equal(al_deficiency_of(&d, own, negative, 6, al_bootstrap_stream("test")), AL_OK);
  assert_true(isnan(d.value));
  /* one pair of two brings the denominator to -0.5: a quarter of the draws has it twice, and both bounds are open */
  const double some[2] = {1.0, -0.5};
  assert_int_equal(al_deficiency_of(&d, own, some, 2, al_bootstrap_stream("test")), AL_OK);
  close_to(d.value, (1.21 + 0.87) / 0.5, 1e-12);
  assert_true(isinf(d.low) && d.low < 0.0 && isinf(d.high) && d.high > 0.0);
}

/* By hand: 3 strategies, 4 replicates, labels 20, 30, .. 100: checkpoints at 30, 40, 60, (100); random reaches 99 % of
 * its last mean at 70. */
static void penalties(void **state) {
  (void)state;
  enum { K = 3, R = 4, P = 9 };
  const double labels[P] = {20, 30, 40, 50, 60, 70, 80, 90, 100};
  const double mean[P] = {0.4, 0.5, 0.6, 0.65, 0.7, 0.8, 0.8, 0.8, 0.8};
  double v[K][R][P], matrix[K * K] = {0};
  size_t checkpoints;
  for (int r = 0; r < R; r++)
    for (int i = 0; i < P; i++) {
      v[0][r][i] = mean[i];
      v[1][r][i] = mean[i] + (i == 1 || i == 4 ? 0.05 + 0.001 * r
                              : i == 2         ? 0.05 - 0.04 * r
                                               : 0.0);      /* above at 30, 60 */
      v[2][r][i] = mean[i] - (i == 4 ? 0.01 : 0.0); /* constant: below at 60 */
    }
  v[2][1][1] = NAN; /* a replicate that has no such round: its pair is left out */
  assert_int_equal(al_penalty_add(matrix, &checkpoints, &v[0][0][0], labels, K, R, P, 0), AL_OK);
  assert_int_equal(checkpoints, 3);
  const double wanted[K * K] = {0, 0, 1.0 / 3, 2.0 / 3, 0, 2.0 / 3, 0, 0, 0};
  for (int i = 0; i < K * K; i++) assert_float_equal(matrix[i], wanted[i], 1e-12);
  for (int r = 0; r < R; r++)
    for (int i = 0; i < P; i++) v[0][r][i] = 0.8; /* random is there at once: no checkpoint */
  assert_int_equal(al_penalty_add(matrix, &checkpoints, &v[0][0][0], labels, K, R, P, 0), AL_OK);
  assert_int_equal(checkpoints, 0);
  assert_float_equal(matrix[2], 1.0 / 3, 1e-12);
}

static void utilisation(void **state) {
  (void)state;
  const al_crossing fast[3] = {{.x = 100}, {.x = 130}, {.x = 160}}, slow[3] = {{.x = 200}, {.x = 220}, {.x = 180}};
  const al_crossing never[3] = {{.x = 200}, {.x = 300, .censored = true}, {.x = 180}};
  const al_crossing start[3] = {{.x = 50, .at_start = true}, {.x = 130}, {.x = 160}};
  al_utilisation u = al_utilisation_rate(fast, 3, slow, 3, 300);
  assert_float_equal(u.rate, 390.0 / 600.0, 1e-12);
  assert_int_equal(u.mark, '=');
  u = al_utilisation_rate(fast, 3, never, 3, 300); /* the baseline needs more than is known: the rate is at most */
  assert_float_equal(u.rate, 390.0 / 680.0, 1e-12);
  assert_int_equal(u.mark, '<');
  assert_int_equal(al_utilisation_rate(never, 3, slow, 3, 300).mark, '>');
  assert_int_equal(al_utilisation_rate(never, 3, never, 3, 300).mark, '?');
  assert_int_equal(al_utilisation_rate(start, 3, slow, 3, 300).mark, '<');
  assert_int_equal(al_utilisation_rate(slow, 3, start, 3, 300).mark, '>');
  assert_int_equal(al_utilisation_rate(never, 3, start, 3, 300).mark, '>');
  assert_int_equal(al_utilisation_rate(start, 3, start, 3, 300).mark, '?');
  u = al_utilisation_rate(fast, 3, slow, 3, 150); /* what lies beyond the limit is censored there */
  assert_int_equal(u.mark, '?');
}

static void overlap(void **state) {
  (void)state;
  const int32_t a[5] = {7, 3, 9, 1, 3}, b[4] = {9, 2, 3, 11};
  double j;
  assert_int_equal(al_jaccard(&j, a, 5, b, 4), AL_OK);
  assert_float_equal(j, 2.0 / 6.0, 1e-15);
  assert_int_equal(al_jaccard(&j, a, 5, a, 5), AL_OK);
  assert_float_equal(j, 1.0, 0.0);
  assert_int_equal(al_jaccard(&j, a, 5, NULL, 0), AL_OK);
  assert_float_equal(j, 0.0, 0.0);
  assert_int_equal(al_jaccard(&j, NULL, 0, NULL, 0), AL_OK);
  assert_true(isnan(j));
}

int main(void) {
  gsl_set_error_handler_off();
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(distributions), cmocka_unit_test(power),      cmocka_unit_test(replicates_needed),
      cmocka_unit_test(welch),         cmocka_unit_test(wilcoxon),   cmocka_unit_test(friedman),
      cmocka_unit_test(pairwise),      cmocka_unit_test(medians),    cmocka_unit_test(curve_fit),
      cmocka_unit_test(bca),           cmocka_unit_test(deficiency), cmocka_unit_test(penalties),
      cmocka_unit_test(utilisation),   cmocka_unit_test(overlap),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
