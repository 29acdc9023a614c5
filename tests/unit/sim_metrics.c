/* Metrics against values worked out by hand from the definitions in STATISTICS.md. */
#include "sim/metrics.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static double get(const json_t *metrics, const char *key) { return json_number_value(json_object_get(metrics, key)); }

/* Six rows, four classes of which the last never occurs and the third is never predicted. */
static const float probs[6 * 4] = {
    0.7F,  0.1F,  0.1F,  0.1F,  /* 0, right */
    0.2F,  0.5F,  0.2F,  0.1F,  /* 1, right */
    0.45F, 0.35F, 0.1F,  0.1F,  /* 0, wrong: 1 */
    0.1F,  0.8F,  0.05F, 0.05F, /* 1, wrong: 2 */
    0.25F, 0.25F, 0.25F, 0.25F, /* tie: lowest class, 0, right */
    0.0F,  0.0F,  0.0F,  1.0F,  /* 3, wrong: 2 with p = 0 */
};
static const int32_t truth[6] = {0, 1, 1, 2, 0, 2};

static void known_values(void **state) {
  (void)state;
  json_t *metrics, *calibration;
  assert_int_equal(al_metrics(&metrics, &calibration, probs, truth, 6, 4), AL_OK);
  assert_float_equal(get(metrics, "accuracy"), 0.5, 1e-12);
  /* recall: 1, 1/2, 0, absent */
  assert_float_equal(get(metrics, "balanced_accuracy"), 0.5, 1e-12);
  /* precision: 2/3, 1/2, 0/0 = 0, 0/1 */
  assert_float_equal(get(metrics, "precision_macro"), (2.0 / 3.0 + 0.5) / 4.0, 1e-12);
  assert_float_equal(get(metrics, "recall_macro"), 1.5 / 4.0, 1e-12);
  /* F1: 4/5, 1/2, 0, 0 */
  assert_float_equal(get(metrics, "f1_macro"), 1.3 / 4.0, 1e-12);
  assert_float_equal(get(metrics, "f1_micro"), 0.5, 1e-12);
  double nll = -(log(0.7) + log(0.5) + log(0.35) + log(0.05) + log(0.25) + log(1e-12)) / 6.0;
  assert_float_equal(get(metrics, "nll"), nll, 1e-6);
  double brier = ((0.09 + 0.03) + (0.04 + 0.25 + 0.04 + 0.01) + (0.2025 + 0.4225 + 0.02) +
                  (0.01 + 0.64 + 0.9025 + 0.0025) + (0.5625 + 3 * 0.0625) + 2.0) /
                 6.0;
  assert_float_equal(get(metrics, "brier"), brier, 1e-6);
  /* confidences 0.7 right, 0.5 right, 0.45 wrong, 0.8 wrong, 0.25 right, 1 wrong: six bins of one or, for 0.7 in
   * (10/15, 11/15] and 0.8 = 12/15 in (11/15, 12/15], one each */
  double ece = (0.3 + 0.5 + 0.45 + 0.8 + 0.75 + 1.0) / 6.0;
  assert_float_equal(get(metrics, "ece"), ece, 1e-6);
  assert_float_equal(get(metrics, "ece_mass"), ece, 1e-6); /* six rows fall into six of the fifteen bins */
  const json_t *recall = json_object_get(metrics, "recall");
  assert_true(json_is_null(json_array_get(recall, 3)));
  assert_float_equal(json_number_value(json_array_get(recall, 1)), 0.5, 1e-12);
  double rows = 0.0;
  for (size_t b = 0; b < 15; b++) rows += json_number_value(json_array_get(json_array_get(calibration, b), 0));
  assert_float_equal(rows, 6.0, 0.0);
  json_decref(metrics);
  json_decref(calibration);
}

/* Bins are open below and closed above: 1/15 itself belongs to the first bin. */
static void bin_edges(void **state) {
  (void)state;
  const float edge[2] = {1.0F, 0.0F};
  const int32_t right[1] = {0};
  json_t *metrics, *calibration;
  assert_int_equal(al_metrics(&metrics, &calibration, edge, right, 1, 2), AL_OK);
  assert_int_equal(json_integer_value(json_array_get(json_array_get(calibration, 14), 0)), 1);
  assert_float_equal(get(metrics, "ece"), 0.0, 0.0);
  assert_float_equal(get(metrics, "nll"), 0.0, 1e-12);
  json_decref(metrics);
  json_decref(calibration);
}

static void one_class(void **state) {
  (void)state;
  const float certain[3] = {1.0F, 1.0F, 1.0F};
  const int32_t zeros[3] = {0, 0, 0};
  json_t *metrics, *calibration;
  assert_int_equal(al_metrics(&metrics, &calibration, certain, zeros, 3, 1), AL_OK);
  assert_float_equal(get(metrics, "f1_macro"), 1.0, 0.0);
  assert_float_equal(get(metrics, "brier"), 0.0, 0.0);
  json_decref(metrics);
  json_decref(calibration);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(known_values),
      cmocka_unit_test(bin_edges),
      cmocka_unit_test(one_class),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
