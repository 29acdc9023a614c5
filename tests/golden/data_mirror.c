/* The readers on the real datasets, against what others counted: the sizes and class counts that the datasets' authors
 * publish, scikit-learn's totals of UTF-8 bytes for 20 Newsgroups, and sha256 of uncompressed pixels (sha256sum over
 * the official files). Skipped without ALAB_MIRROR. */
#include "data/dataset.h"
#include "features_fixture.h"

#include <openssl/evp.h>

static al_dataset *open_entry(const char *text) {
  json_t *given = json_loads(text, 0, NULL), *spec = NULL;
  al_dataset *dataset = NULL;
  assert_non_null(given);
  assert_ok(al_params_resolve(&spec, al_dataset_params, given, "test"));
  assert_ok(al_dataset_open(&dataset, spec, ".", "test"));
  json_decref(given);
  json_decref(spec);
  return dataset;
}

/* Rows, and rows a class of one part, in the order of the class names. */
static void check_part(const al_dataset *d, size_t from, size_t to, const size_t *wanted) {
  size_t count[64] = {0};
  assert_true(d->classes <= 64);
  for (size_t row = from; row < to; row++) count[al_dataset_label(d, (int32_t)row)]++;
  for (size_t c = 0; c < d->classes; c++) assert_int_equal(count[c], wanted[c]);
}

static void check(const char *text, size_t train, size_t test, size_t classes, const size_t *in_train,
                  const size_t *in_test, const char *first) {
  al_dataset *d = open_entry(text);
  assert_int_equal(d->train_rows, train);
  assert_int_equal(d->rows, train + test);
  assert_int_equal(d->classes, classes);
  assert_string_equal(d->class_names[0], first);
  check_part(d, 0, train, in_train);
  if (in_test != NULL) check_part(d, train, train + test, in_test);
  al_dataset_free(d);
}

static void need_mirror(void) {
  if (getenv("ALAB_MIRROR") == NULL) skip();
}

static void newsgroups(void **state) {
  (void)state;
  static const size_t train[] = {480, 584, 591, 590, 578, 593, 585, 594, 598, 597,
                                 600, 595, 591, 594, 593, 599, 546, 564, 465, 377},
                      test[] = {319, 389, 394, 392, 385, 395, 390, 396, 398, 397,
                                399, 396, 393, 396, 394, 398, 364, 376, 310, 251};
  need_mirror();
  check("{\"name\": \"20newsgroups\"}", 11314, 7532, 20, train, test, "alt.atheism");
  al_dataset *d = open_entry("{\"name\": \"20newsgroups\", \"parts\": \"full\"}");
  assert_int_equal(d->text_begin[11314], 22054617);
  assert_int_equal(d->text_begin[18846] - d->text_begin[11314], 13800585);
  al_dataset_free(d);
  /* less of each message, in this order; none grows */
  al_dataset *body = open_entry("{\"name\": \"20newsgroups\", \"parts\": \"body\"}"),
             *bare = open_entry("{\"name\": \"20newsgroups\", \"parts\": \"bare\"}");
  assert_true(bare->text_begin[18846] < body->text_begin[18846] && body->text_begin[18846] < 22054617 + 13800585);
  al_dataset_free(body);
  al_dataset_free(bare);
}

static void sentences(void **state) {
  (void)state;
  need_mirror();
  check("{\"name\": \"trec\"}", 5452, 500, 6, (size_t[]){86, 1162, 1250, 1223, 835, 896},
        (size_t[]){9, 138, 94, 65, 81, 113}, "ABBR");
  al_dataset *fine = open_entry("{\"name\": \"trec\", \"labels\": \"fine\"}");
  assert_int_equal(fine->classes, 50);
  al_dataset_free(fine);
  al_dataset *d = open_entry("{\"name\": \"subj\"}");
  assert_int_equal(d->rows, 10000);
  assert_int_equal(d->classes, 2);
  check_part(d, 0, 10000, (size_t[]){5000, 5000});
  al_dataset_free(d);
  d = open_entry("{\"name\": \"mr\"}");
  check_part(d, 0, 10662, (size_t[]){5331, 5331});
  al_dataset_free(d);
  d = open_entry("{\"name\": \"cr\"}");
  assert_int_equal(d->rows, 3775);
  check_part(d, 0, 3775, (size_t[]){1368, 2407});
  al_dataset_free(d);
  d = open_entry("{\"name\": \"sst\"}");
  assert_int_equal(d->train_rows, 6920);
  assert_int_equal(d->rows, 6920 + 1821);
  check_part(d, 0, 6920, (size_t[]){3310, 3610});
  check_part(d, 6920, 8741, (size_t[]){912, 909});
  al_dataset_free(d);
  d = open_entry("{\"name\": \"sst\", \"labels\": \"fine\"}");
  assert_int_equal(d->train_rows, 8544);
  assert_int_equal(d->rows, 8544 + 2210);
  assert_int_equal(d->classes, 5);
  al_dataset_free(d);
}

static void check_digest(EVP_MD_CTX *context, const char *wanted) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  char hex[65] = "";
  assert_int_equal(EVP_DigestFinal_ex(context, digest, &size), 1);
  for (unsigned i = 0; i < size && i < 32; i++) snprintf(hex + 2 * (size_t)i, 3, "%02x", digest[i]);
  assert_string_equal(hex, wanted);
  EVP_MD_CTX_free(context);
}

static EVP_MD_CTX *begin_digest(void) {
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  assert_non_null(context);
  assert_int_equal(EVP_DigestInit_ex(context, EVP_sha256(), NULL), 1);
  return context;
}

static void images(void **state) {
  (void)state;
  need_mirror();
  static const size_t six[] = {6000, 6000, 6000, 6000, 6000, 6000, 6000, 6000, 6000, 6000},
                      one[] = {1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000};
  al_dataset *d = open_entry("{\"name\": \"fashion-mnist\"}");
  assert_int_equal(d->channels * d->height * d->width, 784);
  check_part(d, 0, 60000, six);
  check_part(d, 60000, 70000, one);
  EVP_MD_CTX *context = begin_digest();
  EVP_DigestUpdate(context, d->pixels + (size_t)60000 * 784, (size_t)10000 * 784);
  check_digest(context, "c867c93ff95360594e8ec3287995350b824dd110b11595c0e13d5423f621867a");
  al_dataset_free(d);
  d = open_entry("{\"name\": \"cifar-10\"}");
  assert_int_equal(d->train_rows, 50000);
  assert_int_equal(d->rows, 60000);
  assert_string_equal(d->class_names[0], "airplane");
  assert_string_equal(d->class_names[9], "truck");
  check_part(d, 50000, 60000, one);
  context = begin_digest(); /* records as in test_batch.bin: a label, then its pixels */
  for (size_t row = 50000; row < 60000; row++) {
    unsigned char label = (unsigned char)al_dataset_label(d, (int32_t)row);
    EVP_DigestUpdate(context, &label, 1);
    EVP_DigestUpdate(context, d->pixels + row * 3072, 3072);
  }
  check_digest(context, "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b");
  al_dataset_free(d);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(newsgroups),
      cmocka_unit_test(sentences),
      cmocka_unit_test(images),
  };
  return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
