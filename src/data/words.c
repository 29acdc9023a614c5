/* The word pattern and what surrounds it. Text that comes here is valid UTF-8 (al_clean_utf8 makes it so), which lets
 * PCRE2 skip its own check. */
#include "data/words.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

struct al_words {
  pcre2_code *code;
  pcre2_match_data *match;
};

al_status al_words_new(al_words **out, const char *pattern, const char *where) {
  int error;
  PCRE2_SIZE offset;
  al_words *words = NULL;
  *out = NULL;
  al_status status = AL_NEW(&words, 1);
  if (status != AL_OK) return status;
  words->code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP, &error, &offset, NULL);
  if (words->code == NULL) {
    PCRE2_UCHAR why[160];
    pcre2_get_error_message(error, why, sizeof why);
    free(words);
    return al_fail(AL_BAD_INPUT, "%s: the word pattern '%s' is wrong at character %zu: %s", where, pattern,
                   (size_t)offset, (const char *)why);
  }
  (void)pcre2_jit_compile(words->code, PCRE2_JIT_COMPLETE); /* without JIT the interpreter gives the same matches */
  words->match = pcre2_match_data_create_from_pattern(words->code, NULL);
  if (words->match == NULL) {
    al_words_free(words);
    return al_fail(AL_ENVIRONMENT, "out of memory");
  }
  if (pcre2_match(words->code, (PCRE2_SPTR) "", 0, 0, 0, words->match, NULL) >= 0) {
    al_words_free(words);
    return al_fail(AL_BAD_INPUT, "%s: the word pattern '%s' matches the empty text", where, pattern);
  }
  *out = words;
  return AL_OK;
}

void al_words_free(al_words *words) {
  if (words == NULL) return;
  pcre2_match_data_free(words->match);
  pcre2_code_free(words->code);
  free(words);
}

bool al_words_next(al_words *words, const char *text, size_t size, size_t *at, size_t *begin, size_t *end) {
  while (*at < size) {
    int got = pcre2_match(words->code, (PCRE2_SPTR)text, size, *at, PCRE2_NO_UTF_CHECK, words->match, NULL);
    if (got < 0) return false;
    const PCRE2_SIZE *span = pcre2_get_ovector_pointer(words->match);
    *begin = span[0];
    *end = span[1];
    *at = span[1];
    if (*end > *begin) return true;
    /* an empty match inside the text (a look-around): step over one character */
    for ((*at)++; *at < size && ((unsigned char)text[*at] & 0xC0) == 0x80; (*at)++) {
    }
  }
  return false;
}

al_status al_lower(al_buffer *out, const char *text, size_t size) {
  al_status status = al_grow(&out->data, &out->capacity, out->size + size + 1, 1);
  for (size_t i = 0; status == AL_OK && i < size;) {
    unsigned char byte = (unsigned char)text[i];
    if (byte < 0x80) {
      char lower = (char)(byte >= 'A' && byte <= 'Z' ? byte + 32 : byte);
      status = al_buffer_append(out, &lower, 1);
      i++;
      continue;
    }
    utf8proc_int32_t code;
    utf8proc_ssize_t used = utf8proc_iterate((const utf8proc_uint8_t *)text + i, (utf8proc_ssize_t)(size - i), &code);
    if (used <= 0) return al_fail(AL_ENVIRONMENT, "internal: text is not UTF-8");
    utf8proc_uint8_t encoded[4];
    utf8proc_ssize_t length = utf8proc_encode_char(utf8proc_tolower(code), encoded);
    status = al_buffer_append(out, encoded, (size_t)length);
    i += (size_t)used;
  }
  return status;
}

al_status al_clean_utf8(al_buffer *out, const char *text, size_t size) {
  al_status status = AL_OK;
  size_t good = 0; /* start of the valid run not yet copied */
  for (size_t i = 0; i < size && status == AL_OK;) {
    if ((unsigned char)text[i] < 0x80) {
      i++;
      continue;
    }
    utf8proc_int32_t code;
    utf8proc_ssize_t used = utf8proc_iterate((const utf8proc_uint8_t *)text + i, (utf8proc_ssize_t)(size - i), &code);
    if (used > 0) {
      i += (size_t)used;
      continue;
    }
    status = al_buffer_append(out, text + good, i - good);
    if (status == AL_OK) status = al_buffer_append(out, "\xEF\xBF\xBD", 3);
    good = ++i;
  }
  return status == AL_OK ? al_buffer_append(out, text + good, size - good) : status;
}
