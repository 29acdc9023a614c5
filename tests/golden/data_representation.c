/* The representation f against scipy's svds and numpy's SVD (tests/golden/reduce.py wrote the expected scores). */
#include "features_fixture.h"

#include <math.h>

/* Largest |difference| of a column's scores from the expected ones. */
static double column_error(const al_view *view, const json_t *scores, size_t column) {
  double worst = 0.0;
  for (size_t row = 0; row < view->rows; row++) {
    double want = fixture_number(json_array_get(scores, row), column);
    worst = fmax(worst, fabs((double)view->values[row * view->cols + column] - want));
  }
  return worst;
}

static void read_matrix(const json_t *matrix, float *values, size_t cols) {
  size_t row;
  const json_t *line;
  json_array_foreach(matrix, row, line) for (size_t c = 0; c < cols; c++) values[row * cols + c] =
      (float)fixture_number(line, c);
}

static void test_svd(void **state) {
  (void)state;
  json_t *golden = fixture_golden("reduce.json");
  const json_t *svd = json_object_get(golden, "svd"), *matrix = json_object_get(svd, "matrix");
  size_t rows = json_array_size(matrix), cols = json_array_size(json_array_get(matrix, 0));
  size_t train = (size_t)json_integer_value(json_object_get(svd, "train")), used = 0;
  size_t k = (size_t)json_integer_value(json_object_get(svd, "columns"));
  float *values = NULL, *stored = NULL;
  int64_t *indptr = NULL;
  int32_t *indices = NULL;
  fixture f;
  fixture_init(&f, AL_TABULAR, rows, train);
  assert_ok(AL_NEW(&values, rows * cols));
  assert_ok(AL_NEW(&stored, rows * cols));
  assert_ok(AL_NEW(&indices, rows * cols));
  assert_ok(AL_NEW(&indptr, rows + 1));
  read_matrix(matrix, values, cols);
  for (size_t row = 0; row < rows; row++) {
    for (size_t c = 0; c < cols; c++)
      if (values[row * cols + c] != 0.0F) {
        indices[used] = (int32_t)c;
        stored[used++] = values[row * cols + c];
      }
    indptr[row + 1] = (int64_t)used;
  }
  assert_true(used < rows * cols / 2);
  al_stream_key key = {.seed = 5, .purpose = "svd", .dataset = "test"};
  const al_view views[2] = {al_view_csr(indptr, indices, stored, rows, cols), al_view_dense(values, rows, cols)};
  for (int i = 0; i < 2; i++) {
    al_features *features = NULL;
    assert_ok(al_reduce(&features, "svd", i == 0 ? "sparse" : "dense", &views[i], f.split.train, train, k, false,
                        al_rng_open(&key)));
    assert_int_equal(features->view.rows, rows);
    assert_int_equal(features->view.cols, k);
    for (size_t c = 0; c < k; c++) {
      double error = column_error(&features->view, json_object_get(svd, "scores"), c);
      if (!(error < 2e-5)) fail_msg("view %d, column %zu is off by %g", i, c, error);
    }
    al_features_free(features);
  }
  fixture_free(&f);
  free(values);
  free(stored);
  free(indices);
  free(indptr);
  json_decref(golden);
}

/* Exact PCA of the images through al_representation_open, and the randomised one of wide images on the same numbers. */
static void test_pca(void **state) {
  (void)state;
  json_t *golden = fixture_golden("reduce.json");
  const json_t *pca = json_object_get(golden, "pca"), *images = json_object_get(pca, "pixels");
  const json_t *scores = json_object_get(pca, "scores");
  size_t n = json_array_size(images), train = (size_t)json_integer_value(json_object_get(pca, "train"));
  enum { WIDTH = 60 };
  uint8_t *pixels = NULL;
  float *scaled = NULL;
  fixture f;
  fixture_init(&f, AL_IMAGE, n, train);
  f.dataset.channels = 3;
  f.dataset.height = 4;
  f.dataset.width = 5;
  assert_ok(AL_NEW(&pixels, n * WIDTH));
  assert_ok(AL_NEW(&scaled, n * WIDTH));
  for (size_t row = 0; row < n; row++) {
    const json_t *image = json_array_get(images, row);
    assert_int_equal(json_array_size(image), WIDTH);
    for (size_t c = 0; c < WIDTH; c++) pixels[row * WIDTH + c] = (uint8_t)fixture_number(image, c);
  }
  for (size_t i = 0; i < n * WIDTH; i++) scaled[i] = (float)pixels[i] / 255.0F;
  f.dataset.pixels = pixels;
  al_features *exact = NULL, *sketched = NULL;
  assert_ok(al_representation_open(&exact, &f.dataset, &f.split, NULL, 1));
  assert_int_equal(exact->view.rows, n);
  assert_int_equal(exact->view.cols, json_array_size(json_array_get(scores, 0)));
  for (size_t c = 0; c < exact->view.cols; c++) {
    double error = column_error(&exact->view, scores, c);
    if (!(error < 1e-6)) fail_msg("exact, column %zu is off by %g", c, error);
  }
  al_view view = al_view_dense(scaled, n, WIDTH);
  al_stream_key key = {.seed = 5, .purpose = "pca", .dataset = "test"};
  assert_ok(al_reduce(&sketched, "pca", "sketched", &view, f.split.train, train, 8, true, al_rng_open(&key)));
  for (size_t c = 0; c < 8; c++) {
    double error = column_error(&sketched->view, scores, c);
    if (!(error < 1e-3)) fail_msg("randomised, column %zu is off by %g", c, error);
  }
  al_features_free(exact);
  al_features_free(sketched);
  fixture_free(&f);
  free(pixels);
  free(scaled);
  json_decref(golden);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_svd), cmocka_unit_test(test_pca)};
  return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
