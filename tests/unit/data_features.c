/* Features as a whole: nothing of a test row gets into what is fitted, caches are found again and told apart, inputs by
 * kind of data, token sets, the cut of `first`, and what is refused. */
#include "features_fixture.h"

#include "base/rng.h"

#include <math.h>

enum { TEXTS = 40, TRAIN = 30 };

/* Sentences of a small vocabulary; test rows of another one when `other`. */
static void random_texts(fixture *f, bool other) {
  static char texts[TEXTS][256];
  const char *pointers[TEXTS];
  al_stream_key key = {.seed = 8, .purpose = "test", .dataset = "features"};
  al_rng rng = al_rng_open(&key);
  for (size_t row = 0; row < TEXTS; row++) {
    size_t at = 0, words = 3 + al_rng_below(&rng, 20);
    for (size_t i = 0; i < words; i++) {
      unsigned word = (unsigned)(al_rng_uniform(&rng) * al_rng_uniform(&rng) * 60.0);
      at +=
          (size_t)snprintf(texts[row] + at, sizeof texts[row] - at, "%s%u ", other && row >= TRAIN ? "new" : "w", word);
    }
    pointers[row] = texts[row];
  }
  fixture_text(f, pointers, NULL, TEXTS, TRAIN);
}

static json_t *options(const char *text) {
  json_t *given = json_loads(text, 0, NULL), *out = NULL;
  assert_non_null(given);
  assert_ok(al_params_resolve(&out, al_tfidf_params, given, "test"));
  json_decref(given);
  return out;
}

/* The train rows of both views hold the same bytes. */
static void same_train_rows(const al_view *a, const al_view *b) {
  assert_int_equal(a->cols, b->cols);
  for (size_t row = 0; row < TRAIN; row++) {
    if (a->kind == AL_VIEW_DENSE) {
      assert_memory_equal(a->values + row * a->cols, b->values + row * b->cols, a->cols * sizeof(float));
      continue;
    }
    size_t n = (size_t)(a->end[row] - a->begin[row]);
    assert_int_equal(n, b->end[row] - b->begin[row]);
    assert_memory_equal(a->indices + a->begin[row], b->indices + b->begin[row], n * sizeof(int32_t));
    assert_memory_equal(a->values + a->begin[row], b->values + b->begin[row], n * sizeof(float));
  }
}

static bool same_test_rows(const al_view *a, const al_view *b) {
  if (a->kind == AL_VIEW_DENSE)
    return memcmp(a->values + TRAIN * a->cols, b->values + TRAIN * b->cols,
                  (TEXTS - TRAIN) * a->cols * sizeof(float)) == 0;
  return a->end[TEXTS - 1] == b->end[TEXTS - 1];
}

static void no_leak(const fixture *f, const fixture *g) {
  al_features *a[2] = {NULL, NULL}, *b[2] = {NULL, NULL};
  const fixture *both[2] = {f, g};
  for (int i = 0; i < 2; i++) {
    assert_ok(al_input_open(&a[i], &both[i]->dataset, &both[i]->split, NULL, "test"));
    assert_ok(al_representation_open(&b[i], &both[i]->dataset, &both[i]->split, NULL, 4));
  }
  same_train_rows(&a[0]->view, &a[1]->view);
  same_train_rows(&b[0]->view, &b[1]->view);
  assert_false(same_test_rows(&a[0]->view, &a[1]->view));
  assert_false(same_test_rows(&b[0]->view, &b[1]->view));
  for (int i = 0; i < 2; i++) {
    al_features_free(a[i]);
    al_features_free(b[i]);
  }
}

static void test_no_leak(void **state) {
  (void)state;
  fixture f, g;
  random_texts(&f, false);
  random_texts(&g, true);
  no_leak(&f, &g);
  fixture_free(&f);
  fixture_free(&g);

  enum { WIDTH = 12 };
  uint8_t pixels[2][TEXTS * WIDTH];
  float columns[2][TEXTS * WIDTH];
  al_stream_key key = {.seed = 9, .purpose = "test", .dataset = "features"};
  al_rng rng = al_rng_open(&key);
  for (size_t i = 0; i < TEXTS * WIDTH; i++) {
    pixels[0][i] = (uint8_t)al_rng_below(&rng, 256);
    columns[0][i] = (float)al_rng_normal(&rng);
    pixels[1][i] = i < TRAIN * WIDTH ? pixels[0][i] : (uint8_t)(255 - pixels[0][i]);
    columns[1][i] = i < TRAIN * WIDTH ? columns[0][i] : 100.0F * columns[0][i] + 7.0F;
  }
  fixture image[2], table[2];
  for (int i = 0; i < 2; i++) {
    fixture_init(&image[i], AL_IMAGE, TEXTS, TRAIN);
    image[i].dataset.channels = 3;
    image[i].dataset.height = image[i].dataset.width = 2;
    image[i].dataset.pixels = pixels[i];
    fixture_init(&table[i], AL_TABULAR, TEXTS, TRAIN);
    table[i].dataset.columns = al_view_dense(columns[i], TEXTS, WIDTH);
  }
  no_leak(&image[0], &image[1]);
  no_leak(&table[0], &table[1]);
  for (int i = 0; i < 2; i++) {
    fixture_free(&image[i]);
    fixture_free(&table[i]);
  }
}

/* Whatever is opened again is the same bytes and digest; other options are another file. */
static void test_cache(void **state) {
  (void)state;
  fixture f;
  random_texts(&f, false);
  json_t *plain = options("{}"), *other = options("{\"sublinear\": false}");
  al_features *a = NULL, *b = NULL, *c = NULL;
  assert_ok(al_tfidf_open(&a, &f.dataset, &f.split, plain));
  assert_ok(al_tfidf_open(&b, &f.dataset, &f.split, plain));
  assert_ok(al_tfidf_open(&c, &f.dataset, &f.split, other));
  same_train_rows(&a->view, &b->view);
  assert_true(same_test_rows(&a->view, &b->view));
  assert_string_equal(a->digest, b->digest);
  assert_string_not_equal(a->digest, c->digest);
  assert_memory_not_equal(a->view.values, c->view.values, 20 * sizeof(float));
  al_features_free(a);
  al_features_free(b);
  al_features_free(c);
  al_features *f1 = NULL, *f2 = NULL, *f3 = NULL;
  assert_ok(al_representation_open(&f1, &f.dataset, &f.split, NULL, 1));
  assert_ok(al_representation_open(&f2, &f.dataset, &f.split, NULL, 2));
  assert_ok(al_representation_open(&f3, &f.dataset, &f.split, NULL, 1));
  assert_string_equal(f1->digest, f3->digest);
  assert_string_not_equal(f1->digest, f2->digest); /* the sketch is the study's own */
  al_features_free(f1);
  al_features_free(f2);
  al_features_free(f3);
  json_decref(plain);
  json_decref(other);
  fixture_free(&f);
}

/* f = X V: with as many columns as the rank, distances between train rows are those of the TF-IDF rows. */
static void test_svd_keeps_distances(void **state) {
  (void)state;
  fixture f;
  const char *const texts[] = {"red green", "green blue blue",     "red blue",
                               "red green", "red green blue blue", "blue green"};
  fixture_text(&f, texts, NULL, 6, 5);
  json_t *plain = options("{}");
  al_features *x = NULL, *y = NULL;
  assert_ok(al_tfidf_open(&x, &f.dataset, &f.split, plain));
  assert_ok(al_representation_open(&y, &f.dataset, &f.split, NULL, 3));
  assert_int_equal(y->view.kind, AL_VIEW_DENSE);
  assert_int_equal(y->view.cols, 3); /* the rank, not 256 */
  for (size_t i = 0; i < 6; i++)
    for (size_t j = 0; j < 6; j++)
      assert_true(fabs(al_view_squared_distance(&x->view, i, &x->view, j) -
                       al_view_squared_distance(&y->view, i, &y->view, j)) < 1e-6);
  al_features_free(x);
  al_features_free(y);
  json_decref(plain);
  fixture_free(&f);
}

/* A set of identical images has one empty direction; constant columns of a table stay 0. */
static void test_degenerate(void **state) {
  (void)state;
  uint8_t pixels[5 * 4];
  memset(pixels, 77, sizeof pixels);
  fixture f;
  al_features *features = NULL;
  fixture_init(&f, AL_IMAGE, 5, 3);
  f.dataset.channels = 1;
  f.dataset.height = f.dataset.width = 2;
  f.dataset.pixels = pixels;
  assert_ok(al_representation_open(&features, &f.dataset, &f.split, NULL, 1));
  assert_int_equal(features->view.cols, 1);
  for (size_t row = 0; row < 5; row++) assert_true(fabsf(features->view.values[row]) < 1e-6F);
  al_features_free(features);
  fixture_free(&f);
  static const float columns[] = {0.1F, 1, 0.1F, 2, 0.1F, 6, 0.1F, 3, 5.1F, -1};
  fixture_init(&f, AL_TABULAR, 5, 3);
  f.dataset.columns = al_view_dense(columns, 5, 2);
  assert_ok(al_input_open(&features, &f.dataset, &f.split, NULL, "test"));
  const float *v = features->view.values;
  const double deviation = sqrt(14.0 / 3.0); /* of 1, 2, 6 */
  for (size_t row = 0; row < 4; row++) assert_true(v[2 * row] == 0.0F);
  assert_true(fabsf(v[8] - 5.0F) < 1e-6F);
  for (size_t row = 0; row < 5; row++)
    assert_true(fabs((double)v[2 * row + 1] - ((double)columns[2 * row + 1] - 3.0) / deviation) < 1e-6);
  al_features_free(features);
  fixture_free(&f);
}

static void test_inputs(void **state) {
  (void)state;
  static const uint8_t pixels[] = {0, 51, 255, 102};
  fixture f;
  al_features *features = NULL;
  fixture_init(&f, AL_IMAGE, 2, 1);
  f.dataset.channels = f.dataset.height = 1;
  f.dataset.width = 2;
  f.dataset.pixels = pixels;
  json_t *name = json_string("pixels");
  assert_ok(al_input_open(&features, &f.dataset, &f.split, name, "test"));
  for (size_t i = 0; i < 4; i++) assert_true(features->view.values[i] == (float)pixels[i] / 255.0F);
  al_features_free(features);
  fixture_free(&f);
  static const int64_t indptr[] = {0, 1, 2};
  static const int32_t indices[] = {7, 3};
  static const float values[] = {2.5F, -1.0F};
  fixture_init(&f, AL_TABULAR, 2, 1);
  f.dataset.columns = al_view_csr(indptr, indices, values, 2, 9);
  assert_ok(al_input_open(&features, &f.dataset, &f.split, NULL, "test"));
  assert_int_equal(features->view.kind, AL_VIEW_CSR); /* as it is: centring would fill it */
  assert_ptr_equal(features->view.values, values);
  al_features_free(features);
  assert_fails(AL_BAD_INPUT, al_input_open(&features, &f.dataset, &f.split, name, "models[0]"),
               "models[0].features: pixels");
  assert_null(features);
  fixture_free(&f);
  json_decref(name);
}

static void refuse(const char *text, al_kind kind, const char *part) {
  json_t *features = json_loads(text, JSON_DECODE_ANY, NULL);
  assert_fails(AL_BAD_INPUT, al_input_check(features, kind, "here"), part);
  json_decref(features);
}

static void test_refused(void **state) {
  (void)state;
  refuse("\"tfid\"", AL_TEXT, "unknown features 'tfid'");
  refuse("\"tfidf\"", AL_IMAGE, "tfidf");
  refuse("{\"tfidf\": {\"mindf\": 2}}", AL_TEXT, "min_df");
  refuse("{\"tfidf\": {\"min_df\": 0}}", AL_TEXT, "here.features.tfidf");
  refuse("{\"pixels\": {}}", AL_IMAGE, "only tfidf takes options");
  refuse("3", AL_TEXT, "here.features");
  refuse("{\"frozen\": \"bert-tiny\"}", AL_TEXT, "here.features");
  fixture f;
  random_texts(&f, false);
  al_features *features = NULL;
  json_t *spec = json_pack("{s:{s:s}}", "representation", "frozen", "bert-tiny");
  assert_fails(AL_BAD_INPUT, al_representation_open(&features, &f.dataset, &f.split, spec, 1), "frozen");
  json_decref(spec);
  spec = json_pack("{s:s}", "representation", "pca");
  assert_fails(AL_BAD_INPUT, al_representation_open(&features, &f.dataset, &f.split, spec, 1), "svd");
  json_decref(spec);
  json_t *strict = options("{\"min_df\": 1000}"), *wrong = options("{\"pattern\": \"(\"}");
  assert_fails(AL_BAD_INPUT, al_tfidf_open(&features, &f.dataset, &f.split, strict), "min_df");
  assert_fails(AL_BAD_INPUT, al_tfidf_open(&features, &f.dataset, &f.split, wrong), "features.tfidf.pattern");
  assert_null(features);
  json_decref(strict);
  json_decref(wrong);
  f.dataset.kind = AL_IMAGE;
  al_token_sets *sets = NULL;
  al_tokens *tokens = NULL;
  assert_fails(AL_BAD_INPUT, al_token_sets_open(&sets, &f.dataset, false), "text");
  assert_fails(AL_BAD_INPUT, al_tokens_open(&tokens, &f.dataset, 128), "text");
  fixture_free(&f);
}

static void test_token_sets(void **state) {
  (void)state;
  fixture f;
  const char *const texts[] = {"Red red GREEN x", "", "blue red Blue", "\xFFgr\xC3\x89y"};
  fixture_text(&f, texts, NULL, 4, 2);
  static const int64_t ends[] = {2, 2, 4, 5};
  static const int32_t want[] = {0, 1, 0, 2, 3}; /* in order of first sight, ascending within a row */
  for (int time = 0; time < 2; time++) {
    al_token_sets *sets = NULL;
    assert_ok(al_token_sets_open(&sets, &f.dataset, false));
    assert_int_equal(sets->sets.rows, 4);
    assert_int_equal(sets->sets.universe, 4);
    assert_memory_equal(sets->sets.end, ends, sizeof ends);
    assert_memory_equal(sets->sets.ids, want, sizeof want);
    al_token_sets_free(sets);
  }
  fixture_free(&f);
}

/* `first`: words behind the N-th piece do not count; an N beyond the text changes nothing. */
static void test_first(void **state) {
  (void)state;
  char path[PATH_MAX];
  fixture_mirror(path, sizeof path, "models/bert-base-uncased-vocab/vocab.txt");
  fixture f, g;
  const char *const whole[] = {"the cat sat on the mat.", "the dog ran home"};
  const char *const cut[] = {"the cat sat", "the dog ran"};
  fixture_text(&f, whole, NULL, 2, 2);
  fixture_text(&g, cut, NULL, 2, 2);
  json_t *three = options("{\"min_df\": 1, \"first\": 3}"), *many = options("{\"min_df\": 1, \"first\": 100}");
  json_t *all = options("{\"min_df\": 1}");
  al_features *a[4] = {NULL};
  assert_ok(al_tfidf_open(&a[0], &f.dataset, &f.split, three));
  assert_ok(al_tfidf_open(&a[1], &g.dataset, &g.split, all));
  assert_ok(al_tfidf_open(&a[2], &f.dataset, &f.split, many));
  assert_ok(al_tfidf_open(&a[3], &f.dataset, &f.split, all));
  for (int i = 0; i < 4; i += 2) {
    const al_view *x = &a[i]->view, *y = &a[i + 1]->view;
    assert_int_equal(x->cols, i == 0 ? 5 : 8);
    assert_int_equal(x->cols, y->cols);
    assert_int_equal(x->end[1], y->end[1]);
    assert_memory_equal(x->values, y->values, (size_t)x->end[1] * sizeof(float));
    assert_memory_equal(x->indices, y->indices, (size_t)x->end[1] * sizeof(int32_t));
  }
  for (int i = 0; i < 4; i++) al_features_free(a[i]);
  json_decref(three);
  json_decref(many);
  json_decref(all);
  fixture_free(&f);
  fixture_free(&g);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_no_leak),    cmocka_unit_test(test_cache),  cmocka_unit_test(test_svd_keeps_distances),
      cmocka_unit_test(test_degenerate), cmocka_unit_test(test_inputs), cmocka_unit_test(test_refused),
      cmocka_unit_test(test_token_sets), cmocka_unit_test(test_first)};
  return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
