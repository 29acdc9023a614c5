/* The word pattern, lower-casing and cleaning: the default pattern's scanner against PCRE2 on every code point and on
 * random text, the meaning of Python's classes and groups, and patterns that are refused. */
#include "features_fixture.h"

#include "data/words.h"

#include <utf8proc.h>

/* The matches, each followed by '|'. */
static void matches(al_words *words, const char *text, size_t size, al_buffer *out) {
  size_t at = 0, begin, end, before = 0;
  out->size = 0;
  while (al_words_next(words, text, size, &at, &begin, &end)) {
    assert_true(begin >= before && begin < end && end <= size && at >= end);
    before = end;
    assert_ok(al_buffer_append(out, text + begin, end - begin));
    assert_ok(al_buffer_append(out, "|", 1));
  }
  assert_ok(al_buffer_append(out, "", 1));
}

static void check(const char *pattern, const char *text, const char *want) {
  al_words *words = NULL;
  al_buffer got = {0};
  assert_ok(al_words_new(&words, pattern, "test"));
  matches(words, text, strlen(text), &got);
  assert_string_equal(got.data, want);
  assert_ok(al_words_end(words, "test"));
  al_words_free(words);
  al_buffer_free(&got);
}

static void test_patterns(void **state) {
  (void)state;
  const char *text = "A fox_1, a\xC3\xA9 b \xE4\xB8\xAD\xE6\x96\x87 e\xCC\x81t x-y 42";
  check("\\w\\w+", text, "fox_1|a\xC3\xA9|\xE4\xB8\xAD\xE6\x96\x87|42|");
  check("\\w+", text, "A|fox_1|a\xC3\xA9|b|\xE4\xB8\xAD\xE6\x96\x87|e|t|x|y|42|"); /* a mark is no \w in Python */
  check("[\\w-]{3,}", text, "fox_1|x-y|");
  check("[]\\w]+", "a]b [c", "a]b|c|");
  check("[^]\\w]+", "a]b [c", " [|");
  check("\\W",
        "a\xCC\x81"
        "b",
        "\xCC\x81|");
  check("\\b\\w",
        "ab c\xCC\x81"
        "d",
        "a|c|d|");
  check("\\w\\B", "ab c", "a|");
  check("(?u)\\b\\w\\w+\\b", "ab c de", "ab|de|");
  check("(\\w+)-\\w", text, "x|");
  check("(?:a|b)+", "abab cab", "abab|ab|");
  check("(a)|b", "bab", "a|"); /* a group that took no part is no word */
  check("(?=b)|a", "bba", "a|");
  check("\\\\w", "\\w w", "\\w|");
}

static void test_refused(void **state) {
  (void)state;
  al_words *words = NULL;
  assert_fails(AL_BAD_INPUT, al_words_new(&words, "[a", "here"), "here: the word pattern '[a'");
  assert_null(words);
  assert_fails(AL_BAD_INPUT, al_words_new(&words, "\\w*", "here"), "matches the empty text");
  assert_fails(AL_BAD_INPUT, al_words_new(&words, "(a)(b)", "here"), "2 groups");
  assert_fails(AL_BAD_INPUT, al_words_new(&words, "\\Ca", "here"), "\\C");
  assert_fails(AL_BAD_INPUT, al_words_new(&words, "a\\Kb", "here"), "\\K");
  assert_fails(AL_BAD_INPUT, al_words_new(&words, "[\\W]", "here"), "in brackets");
  assert_fails(AL_BAD_INPUT, al_words_new(&words, "a\\", "here"), "no regular expression");
  assert_null(words);
}

/* A pattern that explodes must be an error, not the silent end of a document. */
static void test_too_hard(void **state) {
  (void)state;
  al_words *words = NULL;
  char text[60];
  size_t at = 0, begin, end;
  memset(text, 'a', sizeof text);
  assert_ok(al_words_new(&words, "(?:a+)+(?:a+)+(?:a+)+\\x{21}", "here"));
  memcpy(text + 50, "b! b", 4); /* the literal is there, so that no shortcut applies */
  assert_false(al_words_next(words, text, sizeof text, &at, &begin, &end));
  assert_fails(AL_BAD_INPUT, al_words_end(words, "here"), "too hard");
  al_words_free(words);
}

static void compare(al_words *plain, al_words *general, const al_buffer *text, al_buffer *a, al_buffer *b) {
  matches(plain, text->data, text->size, a);
  matches(general, text->data, text->size, b);
  assert_int_equal(a->size, b->size);
  assert_memory_equal(a->data, b->data, a->size);
}

static void put(al_buffer *text, utf8proc_int32_t code) {
  utf8proc_uint8_t bytes[4];
  assert_ok(al_buffer_append(text, bytes, (size_t)utf8proc_encode_char(code, bytes)));
}

static void test_scanner(void **state) {
  (void)state;
  al_words *plain = NULL, *general = NULL;
  al_buffer text = {0}, a = {0}, b = {0}, raw = {0}, clean = {0};
  assert_ok(al_words_new(&plain, "\\w\\w+", "test"));
  assert_ok(al_words_new(&general, "\\w{2,}", "test"));
  size_t differing = 0;
  for (utf8proc_int32_t code = 0; code < 0x110000; code++) {
    if (code >= 0xD800 && code < 0xE000) continue;
    text.size = 0;
    put(&text, code);
    put(&text, 'a');
    matches(plain, text.data, text.size, &a);
    matches(general, text.data, text.size, &b);
    differing += a.size != b.size; /* the libraries may know different versions of Unicode */
    assert_true(a.size == b.size || code > 0x500);
  }
  assert_true(differing < 10000);
  al_stream_key key = {.seed = 3, .purpose = "test", .dataset = "words"};
  al_rng rng = al_rng_open(&key);
  for (int round = 0; round < 3000; round++) {
    text.size = raw.size = clean.size = 0;
    size_t n = al_rng_below(&rng, 40);
    for (size_t i = 0; i < n; i++) {
      static const utf8proc_int32_t some[] = {'a',  'B',    '9',   '_',  ' ',     '-',
                                              0xE9, 0x4E2D, 0x301, 0xB2, 0x1F600, 0x10400};
      put(&text, some[al_rng_below(&rng, sizeof some / sizeof *some)]);
      unsigned char byte = (unsigned char)al_rng_below(&rng, 256);
      assert_ok(al_buffer_append(&raw, &byte, 1));
    }
    assert_ok(al_buffer_append(&text, "", 0));
    compare(plain, general, &text, &a, &b);
    assert_ok(al_clean_utf8(&clean, raw.data == NULL ? "" : raw.data, raw.size));
    compare(plain, general, &clean, &a, &b);
    matches(plain, raw.data == NULL ? "" : raw.data, raw.size, &a); /* the scanner itself takes any bytes */
  }
  al_words_free(plain);
  al_words_free(general);
  al_buffer_free(&text);
  al_buffer_free(&a);
  al_buffer_free(&b);
  al_buffer_free(&raw);
  al_buffer_free(&clean);
}

static void test_lower(void **state) {
  (void)state;
  al_buffer out = {0};
  const char *text = "AZaz[`{ \xC3\x89\xC4\xB0\xC8\xBA\xE2\x84\xAA \xCE\xA3 \xFF\xC3 z";
  assert_ok(al_lower(&out, text, strlen(text)));
  assert_string_equal(out.data, "azaz[`{ \xC3\xA9i\xE2\xB1\xA5k \xCF\x83 \xEF\xBF\xBD\xEF\xBF\xBD z");
  out.size = 0;
  assert_ok(al_lower(&out, "", 0));
  assert_string_equal(out.data, "");
  out.size = 0;
  const char *overlong = "a\xC0\x80z\xED\xA0\x80\xF4\x90\x80\x80"; /* also a surrogate, and beyond U+10FFFF */
  assert_ok(al_clean_utf8(&out, overlong, strlen(overlong)));
  assert_int_equal(out.size, 2 + 9 * 3);
  for (size_t i = 0; i < 9; i++) assert_memory_equal(out.data + (i < 2 ? 1 + 3 * i : 2 + 3 * i), "\xEF\xBF\xBD", 3);
  assert_int_equal(out.data[7], 'z');
  al_buffer_free(&out);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_patterns), cmocka_unit_test(test_refused),
                                     cmocka_unit_test(test_too_hard), cmocka_unit_test(test_scanner),
                                     cmocka_unit_test(test_lower)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
