/* State of the labelled set against a direct O(n^2) evaluation of STATISTICS.md's definitions. */
#include "base/log.h"
#include "data/dataset.h"
#include "sim/labelled_state.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ROWS = 60, WIDTH = 5, POOL = 40, CLASSES = 3 };

static float f[ROWS * WIDTH];
static int32_t truth[ROWS], pool[POOL];

static int setup(void **state) {
  (void)state;
  char folder[] = "/tmp/alab-state-XXXXXX";
  if (mkdtemp(folder) == NULL) return -1;
  setenv("ALAB_DATA", folder, 1);
  al_rng rng = al_rng_open(&(al_stream_key){.seed = 1, .purpose = "test", .dataset = "test"});
  for (size_t i = 0; i < (size_t)ROWS * WIDTH; i++) f[i] = (float)al_rng_normal(&rng);
  for (size_t i = 0; i < ROWS; i++) truth[i] = (int32_t)(i % CLASSES);
  for (size_t i = 0; i < POOL; i++) pool[i] = (int32_t)(i + 7);
  return 0;
}

static double distance(int32_t a, int32_t b) {
  double sum = 0.0;
  for (size_t c = 0; c < WIDTH; c++) {
    double difference = (double)f[a * WIDTH + (int32_t)c] - (double)f[b * WIDTH + (int32_t)c];
    sum += difference * difference;
  }
  return sqrt(sum);
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* The pool side is the whole pool here (40 < 5000), so that only the kernel width depends on the stream. */
static double naive_mmd(const int32_t *labelled, size_t n, al_rng rng) {
  double distances[1000];
  for (size_t i = 0; i < 1000; i++) {
    int32_t a = pool[al_rng_below(&rng, POOL)], b = pool[al_rng_below(&rng, POOL)];
    distances[i] = distance(a, b);
  }
  qsort(distances, 1000, sizeof *distances, ascending);
  double s = (distances[499] + distances[500]) / 2.0, own = 0.0, cross = 0.0, all = 0.0;
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++)
      if (i != j) own += exp(-pow(distance(labelled[i], labelled[j]), 2) / (2.0 * s * s));
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < POOL; j++) cross += exp(-pow(distance(labelled[i], pool[j]), 2) / (2.0 * s * s));
  for (size_t i = 0; i < POOL; i++)
    for (size_t j = 0; j < POOL; j++)
      if (i != j) all += exp(-pow(distance(pool[i], pool[j]), 2) / (2.0 * s * s));
  double m = POOL, k = (double)n;
  return own / (k * (k - 1.0)) + all / (m * (m - 1.0)) - 2.0 * cross / (k * m);
}

static void agrees_with_definition(void **unused) {
  (void)unused;
  al_view view = al_view_dense(f, ROWS, WIDTH);
  al_rng rng = al_rng_open(&(al_stream_key){.seed = 2, .purpose = "mmd", .dataset = "test"});
  for (int pass = 0; pass < 2; pass++) { /* the second pass reads the pool's sum from the cache */
    al_labelled_state *state = NULL;
    assert_int_equal(al_labelled_state_new(&state, &view, pool, POOL, truth, CLASSES, rng, "key"), AL_OK);
    int32_t first[4] = {7, 8, 20, 30}, answers[4], second[5] = {9, 10, 11, 12, 13}, later[5];
    for (size_t i = 0; i < 4; i++) answers[i] = truth[first[i]];
    for (size_t i = 0; i < 5; i++) later[i] = truth[second[i]];
    later[0] = (later[0] + 1) % CLASSES; /* one wrong answer */
    assert_int_equal(al_labelled_state_add(state, first, answers, 4), AL_OK);
    assert_int_equal(al_labelled_state_add(state, second, later, 5), AL_OK);
    int32_t labelled[9] = {7, 8, 20, 30, 9, 10, 11, 12, 13};
    json_t *json = al_labelled_state_json(state);
    assert_float_equal(json_number_value(json_object_get(json, "mmd2")), naive_mmd(labelled, 9, rng), 1e-6);
    assert_float_equal(json_number_value(json_object_get(json, "noise")), 1.0 / 9.0, 1e-15);
    double counts[CLASSES] = {0}, shares[CLASSES] = {0}, kl = 0.0, least = 9, most = 0;
    for (size_t i = 0; i < 4; i++) counts[answers[i]]++;
    for (size_t i = 0; i < 5; i++) counts[later[i]]++;
    for (size_t i = 0; i < POOL; i++) shares[truth[pool[i]]] += 1.0 / POOL;
    for (size_t c = 0; c < CLASSES; c++) {
      assert_float_equal(json_number_value(json_array_get(json_object_get(json, "counts"), c)), counts[c], 0.0);
      if (counts[c] > 0) kl += counts[c] / 9.0 * log(counts[c] / 9.0 / shares[c]);
      least = fmin(least, counts[c]);
      most = fmax(most, counts[c]);
    }
    assert_float_equal(json_number_value(json_object_get(json, "kl")), kl, 1e-12);
    assert_float_equal(json_number_value(json_object_get(json, "imbalance")), most / least, 1e-12);
    json_decref(json);
    al_labelled_state_free(state);
  }
}

static void undefined_values_are_null(void **unused) {
  (void)unused;
  al_view view = al_view_dense(f, ROWS, WIDTH);
  al_rng rng = al_rng_open(&(al_stream_key){.seed = 3, .purpose = "mmd", .dataset = "test"});
  al_labelled_state *state = NULL;
  assert_int_equal(al_labelled_state_new(&state, &view, pool, POOL, truth, CLASSES, rng, "other"), AL_OK);
  int32_t row = 7, answer = truth[7];
  assert_int_equal(al_labelled_state_add(state, &row, &answer, 1), AL_OK);
  json_t *json = al_labelled_state_json(state);
  assert_true(json_is_null(json_object_get(json, "mmd2")));
  assert_true(json_is_null(json_object_get(json, "imbalance")));
  json_decref(json);
  al_labelled_state_free(state);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(agrees_with_definition),
      cmocka_unit_test(undefined_values_are_null),
  };
  return cmocka_run_group_tests(tests, setup, NULL);
}
