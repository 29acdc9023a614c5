/* The word pattern and what surrounds it. The default pattern has its own scanner; any other is PCRE2's work (Unicode
 * properties, JIT), with Python's meaning of \w and of a group. Text that comes here is valid UTF-8 (al_clean_utf8 and
 * al_lower make it so), which lets PCRE2 skip its own check. Not a tokenizer for models: see wordpiece.c. */
#include "data/words.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

/* A letter, a number or an underscore, as Python's \w. Spelt out because PCRE2 10.43 added marks to its own \w. */
#define WORD "\\p{L}\\p{N}_"

struct al_words {
  bool plain; /* the default pattern: no PCRE2 */
  pcre2_code *code;
  pcre2_match_data *match;
  uint32_t group; /* of the pattern, whose text is the word; 0 = the whole match */
  int error;      /* PCRE2's, once a match could not be finished */
};

/* The pattern with Python's \w, \W and \b. (?u) in front says what is so anyway. */
static al_status translate(al_buffer *out, const char *pattern, const char *where) {
  al_status status = AL_OK;
  bool in_class = false;
  const char *class_begin = NULL, *p = strncmp(pattern, "(?u)", 4) == 0 ? pattern + 4 : pattern;
  for (; *p != '\0'; p++) {
    const char *put = NULL;
    if (*p == '\\' && p[1] != '\0') {
      char letter = *++p;
      if (letter == 'w') put = in_class ? WORD : "[" WORD "]";
      if (letter == 'W' && !in_class) put = "[^" WORD "]";
      if (letter == 'b' && !in_class) put = "(?:(?<=[" WORD "])(?![" WORD "])|(?<![" WORD "])(?=[" WORD "]))";
      if (letter == 'B' && !in_class) put = "(?:(?<=[" WORD "])(?=[" WORD "])|(?<![" WORD "])(?![" WORD "]))";
      if (letter == 'Q' || letter == 'K' || letter == 'G' || letter == 'C' || (letter == 'W' && in_class))
        return al_fail(AL_BAD_INPUT, "%s: the word pattern '%s' has a \\%c, which is not supported%s", where, pattern,
                       letter, letter == 'W' ? " in brackets" : "");
      if (put == NULL) AL_TRY(al_buffer_append(out, p - 1, 2));
    } else {
      if (*p == '[' && !in_class) {
        in_class = true;
        class_begin = p + 1 + (p[1] == '^');
      } else if (*p == ']' && in_class && p != class_begin) {
        in_class = false; /* a bracket at the very front of a class is a member of it */
      }
      AL_TRY(al_buffer_append(out, p, 1));
    }
    if (put != NULL) AL_TRY(al_buffer_append(out, put, strlen(put)));
  }
  status = al_buffer_append(out, "", 0);
done:
  return status;
}

static al_status compile(al_words *words, const char *translated, const char *pattern, const char *where) {
  int error;
  PCRE2_SIZE offset;
  uint32_t groups = 0;
  words->code = pcre2_compile((PCRE2_SPTR)translated, PCRE2_ZERO_TERMINATED,
                              PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &offset, NULL);
  if (words->code == NULL) {
    PCRE2_UCHAR why[160];
    pcre2_get_error_message(error, why, sizeof why);
    return al_fail(AL_BAD_INPUT, "%s: the word pattern '%s' is no regular expression: %s", where, pattern,
                   (const char *)why);
  }
  (void)pcre2_jit_compile(words->code, PCRE2_JIT_COMPLETE); /* without JIT the interpreter gives the same matches */
  words->match = pcre2_match_data_create_from_pattern(words->code, NULL);
  if (words->match == NULL) return al_fail(AL_ENVIRONMENT, "out of memory");
  (void)pcre2_pattern_info(words->code, PCRE2_INFO_CAPTURECOUNT, &groups);
  if (groups > 1)
    return al_fail(AL_BAD_INPUT, "%s: the word pattern '%s' has %u groups; at most one, or (?:..)", where, pattern,
                   (unsigned)groups);
  words->group = groups;
  if (pcre2_match(words->code, (PCRE2_SPTR) "", 0, 0, 0, words->match, NULL) >= 0)
    return al_fail(AL_BAD_INPUT, "%s: the word pattern '%s' matches the empty text", where, pattern);
  return AL_OK;
}

al_status al_words_new(al_words **out, const char *pattern, const char *where) {
  static const char *const plain[] = {AL_DEFAULT_WORD_PATTERN, "\\b\\w\\w+\\b", "(?u)\\b\\w\\w+\\b"};
  al_status status;
  al_buffer translated = {0};
  al_words *words = NULL;
  *out = NULL;
  AL_TRY(AL_NEW(&words, 1));
  for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) words->plain |= strcmp(pattern, plain[i]) == 0;
  if (!words->plain) {
    AL_TRY(translate(&translated, pattern, where));
    AL_TRY(compile(words, translated.data, pattern, where));
  }
  *out = words;
  words = NULL;
done:
  al_buffer_free(&translated);
  al_words_free(words);
  return status;
}

void al_words_free(al_words *words) {
  if (words == NULL) return;
  pcre2_match_data_free(words->match);
  pcre2_code_free(words->code);
  free(words);
}

/* Bytes of the word character at text, or 0 when it is none; *length: bytes of whatever stands there, at least 1. */
static size_t word_character(const char *text, size_t size, size_t *length) {
  unsigned char byte = (unsigned char)*text;
  *length = 1;
  if (byte < 0x80)
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') || byte == '_';
  utf8proc_int32_t code;
  utf8proc_ssize_t used = utf8proc_iterate((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)size, &code);
  if (used <= 0) return 0;
  *length = (size_t)used;
  utf8proc_category_t category = utf8proc_category(code);
  bool letter = category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
  bool number = category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO;
  return letter || number ? *length : 0;
}

/* \w\w+: the next run of two word characters or more. */
static bool next_run(const char *text, size_t size, size_t *at, size_t *begin, size_t *end) {
  size_t length = 1;
  while (*at < size) {
    size_t from = *at, characters = 0;
    while (*at < size && word_character(text + *at, size - *at, &length) != 0) {
      *at += length;
      characters++;
    }
    if (characters >= 2) {
      *begin = from;
      *end = *at;
      return true;
    }
    if (*at < size) *at += length;
  }
  return false;
}

bool al_words_next(al_words *words, const char *text, size_t size, size_t *at, size_t *begin, size_t *end) {
  if (words->plain) return next_run(text, size, at, begin, end);
  while (*at < size) {
    size_t from = *at;
    int got = pcre2_match(words->code, (PCRE2_SPTR)text, size, from, PCRE2_NO_UTF_CHECK, words->match, NULL);
    if (got < 0) {
      if (got != PCRE2_ERROR_NOMATCH) words->error = got;
      return false;
    }
    const PCRE2_SIZE *span = pcre2_get_ovector_pointer(words->match), *word = span + 2 * (size_t)words->group;
    *at = span[1];
    if (*at == span[0] || *at <= from) /* an empty match inside the text (a look-around): step over one character */
      for (*at = (*at < from ? from : *at) + 1; *at < size && ((unsigned char)text[*at] & 0xC0) == 0x80; (*at)++) {
      }
    if (word[0] == PCRE2_UNSET || word[1] <= word[0]) continue;
    *begin = word[0];
    *end = word[1];
    return true;
  }
  return false;
}

al_status al_words_end(const al_words *words, const char *where) {
  if (words->error == 0) return AL_OK;
  PCRE2_UCHAR why[160];
  pcre2_get_error_message(words->error, why, sizeof why);
  return al_fail(AL_BAD_INPUT, "%s: the word pattern is too hard for this text (%s); give a simpler one", where,
                 (const char *)why);
}

al_status al_lower(al_buffer *out, const char *text, size_t size) {
  al_status status;
  /* no lower-case form and no replaced byte takes more than three bytes for one */
  if (size > (SIZE_MAX - out->size - 1) / 3) return al_fail(AL_ENVIRONMENT, "out of memory");
  AL_TRY(al_grow(&out->data, &out->capacity, out->size + 3 * size + 1, 1));
  char *to = out->data + out->size;
  for (size_t i = 0; i < size;) {
    unsigned char byte = (unsigned char)text[i];
    if (byte < 0x80) {
      *to++ = (char)(byte >= 'A' && byte <= 'Z' ? byte + 32 : byte);
      i++;
      continue;
    }
    utf8proc_int32_t code;
    utf8proc_ssize_t used = utf8proc_iterate((const utf8proc_uint8_t *)text + i, (utf8proc_ssize_t)(size - i), &code);
    if (used <= 0) code = 0xFFFD;
    to += utf8proc_encode_char(used <= 0 ? code : utf8proc_tolower(code), (utf8proc_uint8_t *)to);
    i += used <= 0 ? 1 : (size_t)used;
  }
  out->size = (size_t)(to - out->data);
  *to = '\0';
done:
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
