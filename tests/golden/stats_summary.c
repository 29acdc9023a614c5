/* Statistics against SciPy 1.10 (stats_summary.py prints the numbers), brute force over all
 * sign vectors, and by hand. */
#include "stats/summary.h"

#include <gsl/gsl_errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const double differences[10] = {0.021, -0.013, 0.034, 0.008, 0.027, 0.015, -0.002, 0.041, 0.019, 0.011};

static void intervals(void **state) {
  (void)state;
  al_interval m = al_mean_interval(differences, 10);
  assert_float_equal(m.mean, 0.0161, 1e-15);
  assert_float_equal(m.low, 0.0045187273882130227, 1e-12);
  assert_float_equal(m.high, 0.027681272611786975, 1e-12);
  assert_true(isnan(al_mean_interval(differences, 1).low));
}

static void paired_tests(void **state) {
  (void)state;
  double p, constant[4] = {0.1, 0.1, 0.1, 0.1}, zero[4] = {0};
  assert_float_equal(al_paired_t(differences, 10), 0.011836294011019615, 1e-12);
  assert_float_equal(al_paired_t(zero, 4), 1.0, 0.0);
  assert_float_equal(al_paired_t(constant, 4), 0.0, 0.0);
  assert_int_equal(al_wilcoxon(&p, differences, 10), AL_OK);
  assert_float_equal(p, 0.01953125, 1e-12);
}

/* All 2^n sign vectors of Pratt's ranks, with ties and zeros. */
static void wilcoxon_by_brute_force(void **state) {
  (void)state;
  const double d[8] = {0.0, 1.0, -1.0, 2.0, 2.0, 0.0, -3.0, 5.0};
  const double ranks[6] = {3.5, 3.5, 5.5, 5.5, 7.0, 8.0}; /* midranks of the non-zero ones; the zeros took 1 and 2 */
  double total = 0.0, observed = 3.5 + 5.5 + 5.5 + 8.0, extreme = 0.0, p;
  for (size_t i = 0; i < 6; i++) total += ranks[i];
  double least = fmin(observed, total - observed);
  for (unsigned signs = 0; signs < 64; signs++) {
    double sum = 0.0;
    for (size_t i = 0; i < 6; i++) sum += (signs >> i & 1U) ? ranks[i] : 0.0;
    extreme += sum <= least + 1e-9 ? 1.0 / 64.0 : 0.0;
  }
  assert_int_equal(al_wilcoxon(&p, d, 8), AL_OK);
  assert_float_equal(p, fmin(1.0, 2.0 * extreme), 1e-12);
}

static void holm(void **state) {
  (void)state;
  double p[5] = {0.01, 0.04, 0.03, NAN, 0.005}; /* R: p.adjust(c(.01, .04, .03, .005), "holm") = .03 .06 .06 .02 */
  assert_int_equal(al_holm(p, 5), AL_OK);
  assert_float_equal(p[0], 0.03, 1e-15);
  assert_float_equal(p[1], 0.06, 1e-15);
  assert_float_equal(p[2], 0.06, 1e-15);
  assert_true(isnan(p[3]));
  assert_float_equal(p[4], 0.02, 1e-15);
}

static void curves(void **state) {
  (void)state;
  const double x[4] = {100, 150, 200, 300}, y[4] = {0.2, 0.4, 0.5, 0.7};
  al_curve c = {x, y, 4};
  assert_float_equal(al_curve_at(&c, 125), 0.3, 1e-15);
  assert_float_equal(al_curve_area(&c, 100, 300), (0.3 * 50 + 0.45 * 50 + 0.6 * 100) / 200, 1e-15);
  assert_float_equal(al_curve_area(&c, 125, 250), (0.35 * 25 + 0.45 * 50 + 0.55 * 50) / 125, 1e-15);
  al_crossing t = al_curve_crossing(&c, 0.45);
  assert_false(t.censored);
  assert_float_equal(t.x, 175, 1e-12);
  t = al_curve_crossing(&c, 0.6); /* reached in the last round only: unconfirmed */
  assert_true(t.censored);
  assert_float_equal(t.x, 300, 0.0);
  t = al_curve_crossing(&c, 0.1);
  assert_true(t.at_start);
  const double dip[4] = {0.2, 0.5, 0.3, 0.6};
  al_curve unsteady = {x, dip, 4};
  assert_true(al_curve_crossing(&unsteady, 0.4).censored); /* the crossing at 150 is not confirmed */
}

/* By R's survival::survfit rule: the smallest x with S <= 1/2, averaged with the next event where S = 1/2. */
static void medians(void **state) {
  (void)state;
  double m;
  al_crossing odd[5] = {{.x = 3}, {.x = 1}, {.x = 2}, {.x = 5, .censored = true}, {.x = 4}};
  assert_int_equal(al_censored_median(&m, odd, 5), AL_OK);
  assert_float_equal(m, 3.0, 0.0); /* S: .8 .6 .4 */
  al_crossing even[4] = {{.x = 1}, {.x = 2}, {.x = 4}, {.x = 9}};
  assert_int_equal(al_censored_median(&m, even, 4), AL_OK);
  assert_float_equal(m, 3.0, 0.0); /* S = 1/2 at 2: the mean of 2 and 4 */
  al_crossing early[4] = {{.x = 1, .censored = true}, {.x = 2}, {.x = 3}, {.x = 4}};
  assert_int_equal(al_censored_median(&m, early, 4), AL_OK);
  assert_float_equal(m, 3.0, 0.0); /* S: 2/3, 1/3 */
  al_crossing none[3] = {{.x = 5, .censored = true}, {.x = 5, .censored = true}, {.x = 2}};
  assert_int_equal(al_censored_median(&m, none, 3), AL_OK);
  assert_true(isnan(m));
}

static void power(void **state) {
  (void)state;
  gsl_set_error_handler_off();
  assert_float_equal(al_detectable(1.0, 10, 0.05), 0.9960013714360272, 1e-6);
  assert_float_equal(al_detectable(1.0, 5, 0.01), 2.6289737616422464, 1e-6);
  assert_float_equal(al_detectable(2.0, 30, 0.05 / 7.0), 2.0 * 0.6881559414666308, 1e-6);
  assert_float_equal(al_detectable(0.0, 10, 0.05), 0.0, 0.0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(intervals), cmocka_unit_test(paired_tests), cmocka_unit_test(wilcoxon_by_brute_force),
      cmocka_unit_test(holm),      cmocka_unit_test(curves),       cmocka_unit_test(medians),
      cmocka_unit_test(power),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
