/* The tree of maxima against a scan: sizes around its fan-out, ties, keys that rise, fall and go to minus infinity. */
#include "base/peaks.h"
#include "base/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static size_t highest(const double *keys, size_t n) {
  size_t best = 0;
  for (size_t i = 1; i < n; i++)
    if (keys[i] > keys[best]) best = i;
  return best;
}

static void same_as_a_scan(void **state) {
  (void)state;
  static const size_t sizes[] = {1, 2, 63, 64, 65, 127, 4095, 4096, 4097, 70001};
  al_rng rng = al_rng_open(&(al_stream_key){.seed = 5, .purpose = "test", .dataset = "peaks"});
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
    size_t n = sizes[s];
    double *keys = calloc(n, sizeof *keys);
    al_peaks peaks;
    assert_non_null(keys);
    for (size_t i = 0; i < n; i++) keys[i] = (double)al_rng_below(&rng, 50); /* many ties */
    assert_int_equal(al_peaks_new(&peaks, keys, n), AL_OK);
    al_peaks_rebuild(&peaks);
    for (size_t round = 0; round < 300; round++) {
      size_t top = al_peaks_top(&peaks);
      assert_int_equal(top, highest(keys, n));
      size_t at = round % 3 == 0 ? (size_t)al_rng_below(&rng, n) : top; /* what is on top falls most of the time */
      keys[at] = round % 7 == 0 ? -INFINITY : (double)al_rng_below(&rng, round % 5 == 0 ? 60 : 50);
      al_peaks_update(&peaks, at);
    }
    al_peaks_free(&peaks);
    free(keys);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(same_as_a_scan)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
