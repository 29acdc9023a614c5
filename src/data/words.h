/* Words: matches of a pattern in UTF-8 text (scikit-learn's token_pattern), by PCRE2 with Unicode properties and JIT;
 * the default pattern by a scanner of its own. */
#ifndef AL_DATA_WORDS_H
#define AL_DATA_WORDS_H

#include "base/memory.h"
#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>

#define AL_DEFAULT_WORD_PATTERN "\\w\\w+"

typedef struct al_words al_words;

/* A pattern that does not compile, that matches the empty text, or that has more than one group is AL_BAD_INPUT. As in
 * Python's re and scikit-learn: \w is a letter, a number or an underscore of any script; a pattern with one group gives
 * the group's text. where: for messages. */
al_status al_words_new(al_words **out, const char *pattern, const char *where) AL_MUST_USE;
void al_words_free(al_words *words);
/* The next match at or after *at in valid UTF-8 `text`: [*begin, *end), and *at moves behind it. False when there is
 * none. */
bool al_words_next(al_words *words, const char *text, size_t size, size_t *at, size_t *begin, size_t *end);
/* After al_words_next gave false: AL_BAD_INPUT when it was no end of the text but a pattern that backtracks beyond
 * PCRE2's limits. Never so with the default pattern. */
al_status al_words_end(const al_words *words, const char *where) AL_MUST_USE;

/* Lower-cases UTF-8 (simple mapping, code point by code point: U+03A3 is always U+03C3, while Python's lower() ends a
 * word with U+03C2; U+0130 is "i") into `out`, appended. Bytes of no valid sequence become U+FFFD. */
al_status al_lower(al_buffer *out, const char *text, size_t size) AL_MUST_USE;
/* Copies text as valid UTF-8: every byte that is not part of a valid sequence becomes U+FFFD. */
al_status al_clean_utf8(al_buffer *out, const char *text, size_t size) AL_MUST_USE;

#endif
