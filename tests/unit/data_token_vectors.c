/* Token vectors against the matrix they come from: with as many columns as the rank, U S (U S)^T is A A^T, whatever the
 * decomposition. And the first column is the direction of most of A: no other unit combination of rows has more. */
#include "data/features.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { DOCUMENTS = 14, TOKENS = 30, LONGEST = 12, WIDTH = DOCUMENTS };

static int64_t begin[DOCUMENTS + 1];
static int32_t ids[DOCUMENTS * LONGEST];
static double a[TOKENS][DOCUMENTS];

static void make_documents(void) {
  al_rng rng = al_rng_open(&(al_stream_key){.seed = 5, .purpose = "test", .dataset = "token vectors"});
  int64_t at = 0;
  for (size_t d = 0; d < DOCUMENTS; d++) {
    size_t length = 1 + (size_t)al_rng_below(&rng, LONGEST);
    for (size_t i = 0; i < length; i++)
      ids[at++] = (int32_t)(al_rng_below(&rng, 3) == 0 ? al_rng_below(&rng, 4) : al_rng_below(&rng, TOKENS - 1));
    begin[d + 1] = at; /* the last token stands in no document */
  }
  for (size_t v = 0; v < TOKENS; v++) {
    double df = 0.0;
    for (size_t d = 0; d < DOCUMENTS; d++) {
      double tf = 0.0;
      for (int64_t i = begin[d]; i < begin[d + 1]; i++) tf += ids[i] == (int32_t)v;
      a[v][d] = tf > 0.0 ? 1.0 + log(tf) : 0.0;
      df += tf > 0.0;
    }
    for (size_t d = 0; d < DOCUMENTS; d++) a[v][d] *= df > 0.0 ? log(DOCUMENTS / df) : 0.0;
  }
  for (size_t d = 0; d < DOCUMENTS; d++) {
    double norm = 0.0;
    for (size_t v = 0; v < TOKENS; v++) norm += a[v][d] * a[v][d];
    for (size_t v = 0; v < TOKENS; v++) a[v][d] /= sqrt(norm);
  }
}

static void product_is_the_matrix(void **state) {
  (void)state;
  static float out[TOKENS * WIDTH], again[TOKENS * WIDTH];
  al_rng rng = al_rng_open(&(al_stream_key){.seed = 6, .purpose = "test", .dataset = "svd"});
  make_documents();
  for (int repeat = 0; repeat < 2; repeat++) /* made, then from the cache */
    assert_int_equal(al_token_vectors(repeat ? again : out, begin, ids, DOCUMENTS, TOKENS, WIDTH, rng), AL_OK);
  assert_memory_equal(out, again, sizeof out);
  double most = 0.0;
  for (size_t v = 0; v < TOKENS; v++)
    for (size_t w = 0; w < TOKENS; w++) {
      double wanted = 0.0, found = 0.0;
      for (size_t d = 0; d < DOCUMENTS; d++) wanted += a[v][d] * a[w][d];
      for (size_t c = 0; c < WIDTH; c++) found += (double)out[v * WIDTH + c] * (double)out[w * WIDTH + c];
      assert_float_equal(found, wanted, 1e-5);
      most = fmax(most, fabs(wanted));
    }
  assert_true(most > 0.1);
  for (size_t c = 0; c < WIDTH; c++) assert_true(out[(TOKENS - 1) * WIDTH + c] == 0.0F);
  /* columns are orthogonal and descend in length */
  double before = INFINITY;
  for (size_t c = 0; c < WIDTH; c++) {
    double length = 0.0, across = 0.0;
    for (size_t v = 0; v < TOKENS; v++) {
      length += pow((double)out[v * WIDTH + c], 2.0);
      if (c > 0) across += (double)out[v * WIDTH + c] * (double)out[v * WIDTH + c - 1];
    }
    assert_true(length <= before + 1e-6);
    assert_float_equal(across, 0.0, 1e-5);
    before = length;
  }
}

static int fresh_cache(void **state) {
  static char folder[] = "/tmp/alab-token-vectors-XXXXXX";
  (void)state;
  return mkdtemp(folder) == NULL || setenv("ALAB_DATA", folder, 1) != 0;
}

static int remove_cache(void **state) {
  char command[300];
  (void)state;
  snprintf(command, sizeof command, "rm -rf '%s'", getenv("ALAB_DATA"));
  return system(command); /* NOLINT: the folder is this test's own */
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(product_is_the_matrix)};
  return cmocka_run_group_tests(tests, fresh_cache, remove_cache);
}
