/* TF-IDF against scikit-learn (tests/golden/tfidf.py wrote the expected rows): a small corpus under many options, and,
 * where the archive is at hand, all of 20 Newsgroups. */
#include "features_fixture.h"

#include "data/catalogue.h"

#include <math.h>

static json_t *resolved(const json_t *given) {
  json_t *options = NULL;
  assert_ok(al_params_resolve(&options, al_tfidf_params, given, "test"));
  return options;
}

static void load(fixture *f, const json_t *golden) {
  const json_t *train = json_object_get(golden, "train"), *test = json_object_get(golden, "test");
  const char *texts[64];
  size_t n = 0, sizes[64], i;
  const json_t *text;
  json_array_foreach(train, i, text) {
    sizes[n] = json_string_length(text);
    texts[n++] = json_string_value(text);
  }
  json_array_foreach(test, i, text) {
    sizes[n] = json_string_length(text);
    texts[n++] = json_string_value(text);
  }
  fixture_text(f, texts, sizes, n, json_array_size(train));
}

static void check_case(const fixture *f, const json_t *expected) {
  json_t *options = resolved(json_object_get(expected, "options"));
  char *name = json_dumps(json_object_get(expected, "options"), JSON_COMPACT);
  al_features *features = NULL;
  assert_ok(al_tfidf_open(&features, &f->dataset, &f->split, options));
  const al_view *view = &features->view;
  const json_t *indptr = json_object_get(expected, "indptr"), *indices = json_object_get(expected, "indices");
  const json_t *values = json_object_get(expected, "values");
  assert_int_equal(view->kind, AL_VIEW_CSR);
  assert_int_equal(view->rows, f->dataset.rows);
  if ((json_int_t)view->cols != json_integer_value(json_object_get(expected, "columns")))
    fail_msg("%s: %zu columns", name, view->cols);
  for (size_t row = 0; row < view->rows; row++) {
    if (view->end[row] != (int64_t)fixture_number(indptr, row + 1)) fail_msg("%s: row %zu ends otherwise", name, row);
    for (int64_t i = view->begin[row]; i < view->end[row]; i++) {
      if (view->indices[i] != (int32_t)fixture_number(indices, (size_t)i))
        fail_msg("%s: row %zu has column %d", name, row, view->indices[i]);
      double want = fixture_number(values, (size_t)i);
      if (fabs((double)view->values[i] - want) > 6e-8 * want)
        fail_msg("%s: row %zu: %.9g for %.9g", name, row, (double)view->values[i], want);
    }
  }
  free(name);
  json_decref(options);
  al_features_free(features);
}

static void test_small(void **state) {
  (void)state;
  json_t *golden = fixture_golden("tfidf.json");
  const json_t *cases = json_object_get(golden, "cases"), *expected;
  size_t i;
  fixture f;
  load(&f, golden);
  assert_true(json_array_size(cases) >= 15);
  json_array_foreach(cases, i, expected) check_case(&f, expected);
  fixture_free(&f);
  json_decref(golden);
}

static void test_20newsgroups(void **state) {
  (void)state;
  char path[PATH_MAX];
  fixture_mirror(path, sizeof path, "datasets/20newsgroups/20news-bydate.tar.gz");
  json_t *golden = fixture_golden("tfidf_20newsgroups.json"), *options = resolved(NULL), *spec = NULL;
  json_t *given = json_pack("{s:s}", "name", "20newsgroups");
  al_dataset *dataset = NULL;
  al_split split = {0};
  al_features *features = NULL;
  al_stream_key key = {.seed = 1, .purpose = "split", .dataset = "20newsgroups"};
  assert_ok(al_params_resolve(&spec, al_dataset_params, given, "test"));
  assert_ok(al_fetch("20newsgroups", false));
  assert_ok(al_dataset_open(&dataset, spec, ".", "test"));
  assert_ok(al_split_make(&split, dataset, spec, al_rng_open(&key)));
  assert_ok(al_tfidf_open(&features, dataset, &split, options));
  const al_view *view = &features->view;
  assert_int_equal(view->rows, json_integer_value(json_object_get(golden, "rows")));
  assert_int_equal(view->cols, json_integer_value(json_object_get(golden, "columns")));
  int64_t nnz = view->end[view->rows - 1], index_sum = 0;
  double value_sum = 0.0;
  assert_int_equal(nnz, json_integer_value(json_object_get(golden, "nnz")));
  for (int64_t i = 0; i < nnz; i++) {
    index_sum += view->indices[i];
    value_sum += (double)view->values[i];
  }
  assert_int_equal(index_sum, json_integer_value(json_object_get(golden, "index_sum")));
  assert_true(fabs(value_sum - json_real_value(json_object_get(golden, "value_sum"))) < 1e-3);
  const json_t *some = json_object_get(golden, "some"), *one;
  size_t n;
  assert_int_equal(json_array_size(some), 8);
  json_array_foreach(some, n, one) {
    size_t row = (size_t)json_integer_value(json_object_get(one, "row"));
    const json_t *indices = json_object_get(one, "indices"), *values = json_object_get(one, "values");
    assert_int_equal(view->end[row] - view->begin[row], json_array_size(indices));
    for (size_t i = 0; i < json_array_size(indices); i++) {
      assert_int_equal(view->indices[view->begin[row] + (int64_t)i], (int64_t)fixture_number(indices, i));
      assert_true(fabs((double)view->values[view->begin[row] + (int64_t)i] - fixture_number(values, i)) < 5e-8);
    }
  }
  al_features_free(features);
  al_split_free(&split);
  al_dataset_free(dataset);
  json_decref(given);
  json_decref(spec);
  json_decref(options);
  json_decref(golden);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_small), cmocka_unit_test(test_20newsgroups)};
  return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
