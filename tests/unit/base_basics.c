/* base: the generator against Random123's published vector, streams, top-k, parameter tables, sparse and dense views,
 * YAML. */
#include "base/cross.h"
#include "base/matrix.h"
#include "base/memory.h"
#include "base/params.h"
#include "base/rng.h"
#include "base/topk.h"
#include "base/yaml.h"

#include <Random123/philox.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Random123's kat_vectors: philox4x64 10, counter and key 0. */
static void philox_known_answer(void **state) {
  (void)state;
  philox4x64_ctr_t counter = {{0, 0, 0, 0}};
  philox4x64_key_t key = {{0, 0}};
  philox4x64_ctr_t out = philox4x64(counter, key);
  assert_true(out.v[0] == 0x16554d9eca36314cU && out.v[1] == 0xdb20fe9d672d0fdcU);
  al_rng rng = {.key = {0, 0}, .used = 4};
  assert_true(al_rng_u64(&rng) == 0x16554d9eca36314cU && al_rng_u64(&rng) == 0xdb20fe9d672d0fdcU);
}

static void streams(void **state) {
  (void)state;
  al_stream_key key = {.seed = 1, .purpose = "a", .dataset = "b"};
  al_rng first = al_rng_open(&key), again = al_rng_open(&key);
  assert_true(al_rng_u64(&first) == al_rng_u64(&again));
  const al_stream_key others[] = {{.seed = 2, .purpose = "a", .dataset = "b"},
                                  {.seed = 1, .purpose = "ab", .dataset = ""},
                                  {.seed = 1, .purpose = "a", .dataset = "b", .strategy = ""},
                                  {.seed = 1, .purpose = "a", .dataset = "b", .replicate = 1},
                                  {.seed = 1, .purpose = "a", .dataset = "b", .round = 1},
                                  {.seed = 1, .purpose = "a", .dataset = "b", .index = 1}};
  for (size_t i = 0; i < 6; i++) {
    al_rng other = al_rng_open(&others[i]), base = al_rng_open(&key);
    assert_true(al_rng_u64(&other) != al_rng_u64(&base));
  }
  /* draws about an item do not depend on the order asked */
  al_rng rng = al_rng_open(&key);
  double at = al_rng_at(&rng, 7, 2);
  (void)al_rng_u64(&rng);
  assert_float_equal(al_rng_at(&rng, 7, 2), at, 0.0);
  assert_true(al_rng_at(&rng, 7, 3) != at);
  /* unbiased below 3: each third within five standard deviations */
  int counts[3] = {0};
  for (int i = 0; i < 30000; i++) counts[al_rng_below(&rng, 3)]++;
  for (int i = 0; i < 3; i++) assert_true(abs(counts[i] - 10000) < 5 * 82);
  double sum = 0.0, squares = 0.0;
  for (int i = 0; i < 20000; i++) {
    double z = al_rng_normal(&rng);
    sum += z;
    squares += z * z;
  }
  assert_true(fabs(sum / 20000) < 5.0 / sqrt(20000.0) && fabs(squares / 20000 - 1.0) < 5.0 * sqrt(2.0 / 20000));
  int32_t items[10];
  for (int32_t i = 0; i < 10; i++) items[i] = i;
  al_rng_shuffle(&rng, items, 10);
  unsigned seen = 0;
  for (int i = 0; i < 10; i++) seen |= 1U << items[i];
  assert_int_equal(seen, 1023);
}

static void top_k(void **state) {
  (void)state;
  al_rng rng = al_rng_open(&(al_stream_key){.seed = 3, .purpose = "t", .dataset = "t"});
  for (int round = 0; round < 200; round++) {
    double scores[40];
    int32_t out[40];
    size_t n = 1 + (size_t)al_rng_below(&rng, 40), k = (size_t)al_rng_below(&rng, n + 1);
    for (size_t i = 0; i < n; i++) scores[i] = (double)al_rng_below(&rng, 6); /* many ties */
    al_top_k(scores, n, k, out);
    bool taken[40] = {false};
    for (size_t i = 0; i < k; i++) {
      size_t best = SIZE_MAX;
      for (size_t j = 0; j < n; j++)
        if (!taken[j] && (best == SIZE_MAX || scores[j] > scores[best])) best = j;
      assert_int_equal(out[i], best);
      taken[best] = true;
    }
  }
}

static void views(void **state) {
  (void)state;
  const float dense[6] = {1, 0, 2, 0, 3, 0}, values[3] = {1, 2, 3};
  const int64_t indptr[3] = {0, 2, 3};
  const int32_t indices[3] = {0, 2, 1};
  al_view d = al_view_dense(dense, 2, 3), s = al_view_csr(indptr, indices, values, 2, 3);
  for (size_t i = 0; i < 2; i++)
    for (size_t j = 0; j < 2; j++) {
      assert_float_equal(al_view_dot(&s, i, &s, j), al_view_dot(&d, i, &d, j), 0.0);
      assert_float_equal(al_view_dot(&s, i, &d, j), al_view_dot(&d, i, &d, j), 0.0);
      assert_float_equal(al_view_squared_distance(&s, i, &s, j), al_view_squared_distance(&d, i, &d, j), 0.0);
    }
  assert_float_equal(al_view_squared_distance(&d, 0, &d, 1), 14.0, 0.0);
  al_subset subset = {0};
  al_view taken;
  const int32_t rows[3] = {1, 0, 1};
  assert_int_equal(al_view_take(&taken, &s, rows, 3, &subset), AL_OK);
  assert_float_equal(al_view_dot(&taken, 0, &taken, 2), 9.0, 0.0);
  al_subset_free(&subset);
  double norms[2];
  float from_sparse[4], from_dense[4];
  al_cross *cross = NULL;
  al_view_squared_norms(&s, norms);
  assert_int_equal(al_cross_new(&cross, &s), AL_OK);
  al_cross_distances(cross, &s, norms, 0, 2, from_sparse);
  al_cross_free(cross);
  assert_int_equal(al_cross_new(&cross, &d), AL_OK);
  al_cross_distances(cross, &d, norms, 0, 2, from_dense);
  al_cross_free(cross);
  for (size_t i = 0; i < 4; i++) assert_float_equal(from_sparse[i], from_dense[i], 1e-5);
}

static const al_param inner[] = {{.key = "x", .type = AL_PARAM_INT, .fallback = "3", .min = 1, .max = 9, .help = "x"},
                                 {0}};
static const al_param table[] = {
    {.key = "rate", .type = AL_PARAM_REAL, .fallback = "0.5", .min = 0, .max = 1, .help = "rate"},
    {.key = "mode", .type = AL_PARAM_CHOICE, .fallback = "\"a\"", .choices = "a|bc", .help = "mode"},
    {.key = "name", .type = AL_PARAM_STRING, .help = "name"},
    {.key = "deep", .type = AL_PARAM_MAP, .fallback = "{}", .table = inner, .help = "deep"},
    {0}};

static al_status resolve(const char *yaml, json_t **out) {
  json_t *given = NULL;
  assert_int_equal(al_yaml_value(&given, yaml, "test"), AL_OK);
  al_status status = al_params_resolve(out, table, given, "here");
  json_decref(given);
  return status;
}

static void tables(void **state) {
  (void)state;
  json_t *out = NULL, *kept = NULL;
  assert_int_equal(resolve("{name: n, rate: 1}", &out), AL_OK);
  assert_float_equal(al_params_real(out, "rate"), 1.0, 0.0);
  assert_int_equal(al_params_int(json_object_get(out, "deep"), "x"), 3);
  assert_int_equal(al_params_nondefault(&kept, table, out), AL_OK);
  assert_int_equal(json_object_size(kept), 2); /* name and rate; mode and deep are at their default */
  json_decref(kept);
  json_decref(out);
  const char *const bad[][2] = {{"{rate: 0.1}", "'name' is missing"},
                                {"{name: n, rat: 1}", "did you mean 'rate'"},
                                {"{name: n, rate: 2}", "from 0 to 1"},
                                {"{name: n, mode: b}", "not one of a|bc"},
                                {"{name: 3}", "must be a text"},
                                {"{name: n, deep: {x: 10}}", "here.deep.x"},
                                {"{name: n, rate: fast}", "must be a number"},
                                {"[1]", "must be a mapping"}};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    assert_int_equal(resolve(bad[i][0], &out), AL_BAD_INPUT);
    if (strstr(al_message(), bad[i][1]) == NULL) fail_msg("'%s' lacks '%s'", al_message(), bad[i][1]);
  }
}

static void yaml(void **state) {
  (void)state;
  json_t *v = NULL;
  assert_int_equal(al_yaml_value(&v, "{a: 1, b: 1e-3, c: no, d: null, e: '1', f: true}", "t"), AL_OK);
  assert_true(json_is_integer(json_object_get(v, "a")) && json_is_real(json_object_get(v, "b")));
  assert_string_equal(json_string_value(json_object_get(v, "c")), "no"); /* the core schema has no yes and no */
  assert_true(json_is_null(json_object_get(v, "d")) && json_is_string(json_object_get(v, "e")) &&
              json_is_true(json_object_get(v, "f")));
  json_decref(v);
  const char *const bad[] = {"{a: 1, a: 2}", "{a: [}", "a: 1\n---\nb: 2", "\xff\xfe{", "{[1]: 2}"};
  for (size_t i = 0; i < 5; i++) assert_int_equal(al_yaml_value(&v, bad[i], "t"), AL_BAD_INPUT);
  /* a billion laughs is counted, not expanded */
  al_buffer bomb = {0};
  assert_int_equal(al_buffer_print(&bomb, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"), AL_OK);
  for (int i = 1; i < 9; i++)
    assert_int_equal(al_buffer_print(&bomb, "a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n",
                                     i, i, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1),
                     AL_OK);
  assert_int_equal(al_yaml_value(&v, bomb.data, "t"), AL_BAD_INPUT);
  assert_non_null(strstr(al_message(), "more than"));
  al_buffer_free(&bomb);
}

static void messages(void **state) {
  (void)state;
  assert_int_equal(al_fail(AL_BAD_INPUT, "line\nbreak %d", 5), AL_BAD_INPUT);
  assert_string_equal(al_message(), "line break 5");
  assert_int_equal(al_context(AL_BAD_INPUT, "file %s", "x"), AL_BAD_INPUT);
  assert_string_equal(al_message(), "file x: line break 5");
  void *block;
  assert_int_equal(al_allocate(&block, SIZE_MAX / 2, 16), AL_ENVIRONMENT);
  assert_null(block);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(philox_known_answer),
      cmocka_unit_test(streams),
      cmocka_unit_test(top_k),
      cmocka_unit_test(views),
      cmocka_unit_test(tables),
      cmocka_unit_test(yaml),
      cmocka_unit_test(messages),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
