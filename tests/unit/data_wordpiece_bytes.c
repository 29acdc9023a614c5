/* WordPiece on hostile bytes and hostile vocabularies: no crash, ids in range, prefixes that are prefixes, and a cut
 * that is the end of the last piece's text. */
#include "features_fixture.h"

static const char tiny[] =
    "[PAD]\n[UNK]\nplay\n##ing\n##ed\nthe\na\nb\n##b\n,\n\xE4\xB8\xAD\n\xE1\x84\x92\n##\xE1\x85\xA1\ncafe\n";

static al_wordpiece *tiny_pieces(void) {
  al_wordpiece *pieces = NULL;
  assert_ok(al_wordpiece_new(&pieces, tiny, sizeof tiny - 1, "tiny"));
  return pieces;
}

static size_t cut_of(const al_wordpiece *pieces, const char *text, size_t most) {
  int32_t *ids = NULL;
  size_t n = 0, capacity = 0, cut = 0;
  assert_ok(al_wordpiece_encode(pieces, text, strlen(text), most, &ids, &n, &capacity, &cut));
  assert_true(n <= most);
  free(ids);
  return cut;
}

static void test_cut(void **state) {
  (void)state;
  al_wordpiece *pieces = tiny_pieces();
  const char *text = "playing,the  played xyz a";
  static const size_t want[] = {0, 4, 7, 8, 11, 17, 19, 23, 25, 25};
  for (size_t most = 0; most < sizeof want / sizeof *want; most++)
    assert_int_equal(cut_of(pieces, text, most), want[most]);
  assert_int_equal(cut_of(pieces, "the  ", 1), 3);
  assert_int_equal(cut_of(pieces, "the  ", 2), 5);
  assert_int_equal(cut_of(pieces, "caf\xC3\xA9 a", 1), 5);
  assert_int_equal(cut_of(pieces, "\xE4\xB8\xAD\xE4\xB8\xAD", 1), 3);
  assert_int_equal(cut_of(pieces, "\xED\x95\x98 a", 1), 3); /* one syllable, two pieces */
  assert_int_equal(cut_of(pieces, "zzzz a", 1), 4);         /* [UNK] is its whole word */
  al_wordpiece_free(pieces);
}

static void test_vocabularies(void **state) {
  (void)state;
  al_wordpiece *pieces = NULL;
  assert_fails(AL_BAD_INPUT, al_wordpiece_new(&pieces, "a\nb\n", 4, "some.txt"),
               "some.txt: a WordPiece vocabulary needs");
  assert_fails(AL_BAD_INPUT, al_wordpiece_new(&pieces, "", 0, "some.txt"), "[UNK]");
  assert_null(pieces);
  assert_ok(al_wordpiece_new(&pieces, "x\r\n[UNK]\r\n\r\nx", 13, "crlf")); /* CRLF, an empty line, a repeat */
  assert_int_equal(al_wordpiece_size(pieces), 4);
  int32_t *ids = NULL;
  size_t n = 0, capacity = 0;
  assert_ok(al_wordpiece_encode(pieces, "x xx y", 6, SIZE_MAX, &ids, &n, &capacity, NULL));
  static const int32_t want[] = {0, 1, 1}; /* without any "##" a word of two pieces is unknown */
  assert_int_equal(n, 3);
  assert_memory_equal(ids, want, sizeof want);
  free(ids);
  al_wordpiece_free(pieces);
}

static void test_random_bytes(void **state) {
  (void)state;
  al_wordpiece *pieces = tiny_pieces();
  al_stream_key key = {.seed = 11, .purpose = "test", .dataset = "wordpiece"};
  al_rng rng = al_rng_open(&key);
  int32_t *all = NULL, *some = NULL, *again = NULL;
  size_t all_capacity = 0, some_capacity = 0, again_capacity = 0;
  static const char alphabet[] = "playingthedab ,\xE4\xB8\xAD\xED\x95\x98\xCC\x81\xC3\xA9\xFF\xF0\x9F\x98\x80";
  for (int round = 0; round < 20000; round++) {
    size_t size = al_rng_below(&rng, round % 100 == 0 ? 6000 : 60), n = 0, few = 0, cut = 0, repeated = 0;
    char *text = NULL;
    assert_ok(AL_NEW(&text, size));
    for (size_t i = 0; i < size; i++)
      text[i] = round % 2 == 0 ? (char)al_rng_below(&rng, 256) : alphabet[al_rng_below(&rng, sizeof alphabet - 1)];
    assert_ok(al_wordpiece_encode(pieces, text, size, SIZE_MAX, &all, &n, &all_capacity, &cut));
    assert_int_equal(cut, size);
    for (size_t i = 0; i < n; i++) assert_in_range(all[i], 1, al_wordpiece_size(pieces) - 1);
    size_t most = al_rng_below(&rng, n + 2);
    assert_ok(al_wordpiece_encode(pieces, text, size, most, &some, &few, &some_capacity, &cut));
    assert_int_equal(few, most < n ? most : n);
    if (few != 0) assert_memory_equal(some, all, few * sizeof *some);
    assert_true(cut <= size);
    /* the text up to the cut holds these pieces (and at most what is left of a decomposed character) */
    assert_ok(al_wordpiece_encode(pieces, text, cut, SIZE_MAX, &again, &repeated, &again_capacity, NULL));
    assert_true(repeated >= few && repeated <= few + 2);
    if (few != 0) assert_memory_equal(again, all, few * sizeof *again);
    free(text);
  }
  /* one word of 100,000 letters is one [UNK] */
  char *word = NULL;
  size_t n = 0;
  assert_ok(AL_NEW(&word, 100000));
  memset(word, 'a', 100000);
  assert_ok(al_wordpiece_encode(pieces, word, 100000, SIZE_MAX, &all, &n, &all_capacity, NULL));
  assert_int_equal(n, 1);
  assert_int_equal(all[0], 1);
  free(word);
  free(all);
  free(some);
  free(again);
  al_wordpiece_free(pieces);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_cut), cmocka_unit_test(test_vocabularies),
                                     cmocka_unit_test(test_random_bytes)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
