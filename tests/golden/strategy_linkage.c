/* Average linkage against scipy's (tests/golden/linkage.py made linkage.json; its first key says with which versions).
 */
#include "strategy/hac.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

enum { N = 130, D = 4 };

static void as_scipy(void **state) {
  (void)state;
  static float points[N * D], distances[N * (N - 1) / 2];
  al_merge merges[N];
  int32_t clusters[N];
  json_t *golden = json_load_file("tests/golden/linkage.json", 0, NULL);
  assert_non_null(golden);
  const json_t *rows = json_object_get(golden, "points"), *heights = json_object_get(golden, "heights");
  const json_t *theirs = json_object_get(golden, "clusters");
  assert_int_equal(json_array_size(rows), N);
  for (size_t i = 0; i < N; i++)
    for (size_t d = 0; d < D; d++)
      points[i * D + d] = (float)json_number_value(json_array_get(json_array_get(rows, i), d));
  for (size_t i = 0; i < N; i++)
    for (size_t j = 0; j < i; j++) {
      double squared = 0.0;
      for (size_t d = 0; d < D; d++) squared += pow((double)points[i * D + d] - (double)points[j * D + d], 2.0);
      distances[i * (i - 1) / 2 + j] = (float)sqrt(squared);
    }
  assert_int_equal(al_average_linkage(distances, N, merges), AL_OK);
  for (size_t m = 0; m + 1 < N; m++) {
    double wanted = json_number_value(json_array_get(heights, m));
    assert_float_equal((double)merges[m].height, wanted, 1e-6 * wanted + 1e-9);
  }
  al_view view = al_view_dense(points, N, D);
  al_rng rng = {0}; /* not drawn from: all are clustered */
  assert_int_equal(al_hac_clusters(&view, N, 10, &rng, clusters), AL_OK);
  for (size_t i = 0; i < N; i++)
    for (size_t j = 0; j < i; j++)
      assert_int_equal(clusters[i] == clusters[j],
                       json_integer_value(json_array_get(theirs, i)) == json_integer_value(json_array_get(theirs, j)));
  json_decref(golden);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(as_scipy)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
