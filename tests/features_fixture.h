/* Small datasets in memory and a cache folder of its own, for the tests of features. */
#ifndef AL_TESTS_FEATURES_FIXTURE_H
#define AL_TESTS_FEATURES_FIXTURE_H

#include "base/memory.h"
#include "data/features_private.h"

#include <dirent.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define assert_ok(expression)                                                                                          \
  do {                                                                                                                 \
    if ((expression) != AL_OK) fail_msg("%s: %s", #expression, al_message());                                          \
  } while (0)
#define assert_fails(code, expression, part)                                                                           \
  do {                                                                                                                 \
    assert_int_equal(expression, code);                                                                                \
    if (strstr(al_message(), part) == NULL) fail_msg("'%s' does not say '%s'", al_message(), part);                    \
  } while (0)

static char fixture_cache[] = "/tmp/alab-features-XXXXXX";

static inline int fixture_setup(void **state) {
  (void)state;
  if (mkdtemp(fixture_cache) == NULL) return -1;
  return setenv("ALAB_DATA", fixture_cache, 1);
}

static inline void fixture_remove(const char *folder) {
  DIR *list = opendir(folder);
  char path[PATH_MAX];
  if (list == NULL) return;
  for (const struct dirent *entry; (entry = readdir(list)) != NULL;) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
    if (unlink(path) != 0) fixture_remove(path);
  }
  closedir(list);
  rmdir(folder);
}

static inline int fixture_teardown(void **state) {
  (void)state;
  fixture_remove(fixture_cache);
  return 0;
}

/* A text dataset of n rows, the first `train` of them train rows. Digests count up, so that no two share a cache file.
 */
typedef struct {
  al_dataset dataset;
  al_split split;
  int64_t *begin;
  al_buffer text;
  int32_t *rows;
} fixture;

static inline void fixture_init(fixture *f, al_kind kind, size_t n, size_t train) {
  static unsigned made;
  *f = (fixture){0};
  f->dataset = (al_dataset){.kind = kind, .rows = n, .train_rows = train, .name = "fixture"};
  assert_ok(AL_NEW(&f->rows, n));
  for (size_t i = 0; i < n; i++) f->rows[i] = (int32_t)i;
  f->split = (al_split){.train = f->rows, .test = f->rows + train, .train_size = train, .test_size = n - train};
  snprintf(f->dataset.digest, sizeof f->dataset.digest, "dataset%u", made);
  snprintf(f->split.digest, sizeof f->split.digest, "split%u", made++);
}

/* sizes: bytes of each text, NULL for strlen */
static inline void fixture_text(fixture *f, const char *const *texts, const size_t *sizes, size_t n, size_t train) {
  fixture_init(f, AL_TEXT, n, train);
  assert_ok(AL_NEW(&f->begin, n + 1));
  for (size_t i = 0; i < n; i++) {
    assert_ok(al_buffer_append(&f->text, texts[i], sizes == NULL ? strlen(texts[i]) : sizes[i]));
    f->begin[i + 1] = (int64_t)f->text.size;
  }
  f->dataset.text_begin = f->begin;
  f->dataset.text = f->text.data;
}

static inline void fixture_free(fixture *f) {
  free(f->begin);
  free(f->rows);
  al_buffer_free(&f->text);
}

/* The JSON beside the golden tests. */
static inline json_t *fixture_golden(const char *file) {
  char path[PATH_MAX];
  json_error_t error;
  snprintf(path, sizeof path, "%s/tests/golden/%s", ALAB_SOURCE_DIR, file);
  json_t *json = json_load_file(path, 0, &error);
  if (json == NULL) fail_msg("%s: %s", path, error.text);
  return json;
}

static inline double fixture_number(const json_t *array, size_t i) {
  const json_t *value = json_array_get(array, i);
  assert_true(json_is_number(value));
  return json_number_value(value);
}

/* Path of a file below a folder of ALAB_MIRROR, or skips the test. */
static inline void fixture_mirror(char *path, size_t size, const char *file) {
  const char *mirror = getenv("ALAB_MIRROR");
  for (const char *at = mirror; at != NULL && *at != '\0';) {
    size_t length = strcspn(at, ":");
    snprintf(path, size, "%.*s/%s", (int)length, at, file);
    if (access(path, R_OK) == 0) return;
    at += length + (at[length] == ':');
  }
  print_message("skipped: no %s in a folder of ALAB_MIRROR\n", file);
  skip();
}

#endif
