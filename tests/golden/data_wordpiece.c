/* WordPiece against a transcription of the rules in Python (tests/golden/wordpiece.py) under a tiny vocabulary, and,
 * where BERT's vocabulary is at hand, against the reference cases that lie beside it. */
#include "features_fixture.h"

static void same_ids(const al_wordpiece *pieces, const char *text, size_t size, const json_t *want, size_t skip) {
  int32_t *ids = NULL;
  size_t n = 0, capacity = 0, count = json_array_size(want) - 2 * skip;
  assert_ok(al_wordpiece_encode(pieces, text, size, SIZE_MAX, &ids, &n, &capacity, NULL));
  bool same = n == count;
  for (size_t i = 0; same && i < n; i++) same = ids[i] == (int32_t)fixture_number(want, i + skip);
  if (!same) fail_msg("other ids of '%.*s' (%zu, not %zu)", (int)size, text, n, count);
  free(ids);
}

static void test_tiny(void **state) {
  (void)state;
  json_t *golden = fixture_golden("wordpiece.json");
  const json_t *vocabulary = json_object_get(golden, "vocabulary"), *cases = json_object_get(golden, "cases"), *one;
  al_buffer lines = {0};
  al_wordpiece *pieces = NULL;
  size_t i;
  json_array_foreach(vocabulary, i, one) assert_ok(al_buffer_print(&lines, "%s\n", json_string_value(one)));
  assert_ok(al_wordpiece_new(&pieces, lines.data, lines.size, "tiny"));
  assert_int_equal(al_wordpiece_size(pieces), json_array_size(vocabulary));
  assert_true(json_array_size(cases) > 100);
  json_array_foreach(cases, i, one) {
    const char *hex = json_string_value(json_object_get(one, "hex"));
    size_t size = strlen(hex) / 2;
    char *bytes = NULL;
    assert_ok(AL_NEW(&bytes, size)); /* exactly as long as the text, so that the sanitizer sees a read behind it */
    for (size_t b = 0; b < size; b++) {
      unsigned value;
      assert_int_equal(sscanf(hex + 2 * b, "%2x", &value), 1);
      bytes[b] = (char)value;
    }
    same_ids(pieces, bytes, size, json_object_get(one, "ids"), 0);
    free(bytes);
  }
  al_wordpiece_free(pieces);
  al_buffer_free(&lines);
  json_decref(golden);
}

static void test_bert(void **state) {
  (void)state;
  char path[PATH_MAX];
  fixture_mirror(path, sizeof path, "models/bert-base-uncased-vocab/golden_tokens.json");
  json_t *golden = json_load_file(path, 0, NULL);
  const json_t *cases = json_object_get(golden, "cases"), *one;
  al_wordpiece *pieces = NULL;
  size_t i;
  assert_ok(al_wordpiece_open(&pieces));
  assert_int_equal(al_wordpiece_size(pieces), 30522);
  assert_int_equal(json_array_size(cases), 14);
  json_array_foreach(cases, i, one) {
    const json_t *text = json_object_get(one, "text"), *ids = json_object_get(one, "input_ids");
    assert_int_equal(fixture_number(ids, 0), al_wordpiece_cls);
    assert_int_equal(fixture_number(ids, json_array_size(ids) - 1), al_wordpiece_sep);
    same_ids(pieces, json_string_value(text), json_string_length(text), ids, 1);
  }
  al_wordpiece_free(pieces);
  json_decref(golden);
}

/* Cached ids of a dataset: [CLS] .. [SEP], cut at max_tokens, the same when opened again. */
static void test_dataset(void **state) {
  (void)state;
  char path[PATH_MAX];
  fixture_mirror(path, sizeof path, "models/bert-base-uncased-vocab/vocab.txt");
  const char *const texts[] = {"A cat sits on the mat.", "", "unaffable \xFF tokenization"};
  static const int32_t want[] = {101, 1037, 4937, 7719, 102, 101, 102, 101, 14477, 20961, 3468, 102};
  static const int64_t begin[] = {0, 5, 7, 12};
  fixture f;
  fixture_text(&f, texts, NULL, 3, 2);
  for (int time = 0; time < 2; time++) {
    al_tokens *tokens = NULL;
    assert_ok(al_tokens_open(&tokens, &f.dataset, 5));
    assert_int_equal(tokens->rows, 3);
    assert_memory_equal(tokens->begin, begin, sizeof begin);
    assert_memory_equal(tokens->ids, want, sizeof want);
    al_tokens_free(tokens);
  }
  al_tokens *tokens = NULL;
  assert_fails(AL_BAD_INPUT, al_tokens_open(&tokens, &f.dataset, 2), "max_tokens");
  assert_null(tokens);
  al_token_sets *sets = NULL;
  static const int32_t distinct[] = {1012, 1037, 1996, 2006, 4937, 7719, 13523};
  assert_ok(al_token_sets_open(&sets, &f.dataset, true));
  assert_int_equal(sets->sets.universe, 30522);
  assert_int_equal(sets->sets.end[0] - sets->sets.begin[0], 7);
  assert_memory_equal(sets->sets.ids, distinct, sizeof distinct);
  al_token_sets_free(sets);
  fixture_free(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_tiny), cmocka_unit_test(test_bert),
                                     cmocka_unit_test(test_dataset)};
  return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
