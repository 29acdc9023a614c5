/* base/vector_math.h against libm in long double, over every magnitude and densely around 1, where the logarithm's
 * relative accuracy is hardest. */
#include "base/vector_math.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void logarithm_of_floats(void **state) {
  (void)state;
  double worst_entropy = 0.0;
  for (double e = -37.0; e <= 37.0; e += 0.00013) {
    float x = (float)pow(10.0, e);
    double wanted = log((double)x), error = fabs((double)al_log_f32(x) - wanted);
    assert_true(error < 1.5e-7 + 1.5e-7 * fabs(wanted));
    if (x <= 2.0F) worst_entropy = fmax(worst_entropy, (double)x * error);
  }
  for (float x = 0.5F; x <= 2.0F; x += 1.3e-6F) {
    double error = fabs((double)al_log_f32(x) - log((double)x));
    assert_true(error < 1.5e-7 + 1.5e-7 * fabs(log((double)x)));
    worst_entropy = fmax(worst_entropy, (double)x * error);
  }
  assert_true(worst_entropy < 3e-7);
  assert_true(al_log_f32(1.0F) == 0.0F);
}

static double off_log(double x) {
  long double wanted = logl((long double)x);
  return (double)(fabsl((long double)al_log_f64(x) - wanted) / (4e-16L + 2e-16L * fabsl(wanted)));
}

static void logarithm_of_doubles(void **state) {
  (void)state;
  for (double e = -307.0; e <= 307.0; e += 0.00071) assert_true(off_log(pow(10.0, e)) < 1.0);
  for (double x = 0.5; x <= 2.0; x += 1.7e-6) assert_true(off_log(x) < 1.0);
  for (double gap = 1e-15; gap < 0.1; gap *= 1.3) { /* next to 1 the error is relative */
    assert_true(fabs(al_log_f64(1.0 + gap) / log1p((1.0 + gap) - 1.0) - 1.0) < 1e-15);
    assert_true(fabs(al_log_f64(1.0 - gap) / log1p((1.0 - gap) - 1.0) - 1.0) < 1e-15);
  }
  assert_true(al_log_f64(1.0) == 0.0);
}

static void exponential(void **state) {
  (void)state;
  for (double x = -700.0; x <= 700.0; x += 0.00213) {
    long double wanted = expl((long double)x);
    assert_true(fabsl((long double)al_exp_f64(x) - wanted) < 4e-16L * wanted);
  }
  for (double x = 1e-300; x < 1.0; x *= 7.7)
    assert_true(fabs(al_exp_f64(-x) - exp(-x)) < 4e-16 && fabs(al_exp_f64(x) - exp(x)) < 8e-16);
  assert_true(al_exp_f64(0.0) == 1.0 && al_exp_f64(-701.0) == 0.0 && al_exp_f64(-1e300) == 0.0);
  assert_true(al_exp_f64(-INFINITY) == 0.0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(logarithm_of_floats),
      cmocka_unit_test(logarithm_of_doubles),
      cmocka_unit_test(exponential),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
