/* BERT's uncased WordPiece (Devlin et al. 2019): basic tokens (clean, lower-case, strip accents, split at punctuation
 * and CJK), then greedy longest match through a byte trie, one probe a byte. Any bytes are accepted; invalid UTF-8 is
 * dropped as U+FFFD is. Special tokens in the text are plain text. Lower-casing is code point by code point (a final
 * U+03A3 becomes U+03C3, as in the Rust tokenizers, and not U+03C2 as in the Python one). */
#include "data/features_private.h"

#include "base/file.h"
#include "data/catalogue.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum { MOST_VOCABULARY = 1 << 26, MOST_WORD_POINTS = 100, MOST_WORD_BYTES = 4096 };
const int32_t al_wordpiece_cls = 101, al_wordpiece_sep = 102;

/* Node numbers of (node, byte) pairs in open addressing; node 0 is the root. */
struct al_wordpiece {
  uint64_t *keys; /* node << 8 | byte, plus 1 so that 0 is empty */
  int32_t *targets;
  size_t mask, used;
  int32_t *token_of; /* a node each; -1 = no token ends here */
  size_t nodes, node_capacity, count;
  int32_t unknown, continued; /* [UNK]'s id; the node behind "##" */
  uint8_t *continues;         /* count: 1 = the token goes on a word ("##...") */
  size_t continues_capacity;
};

static size_t probe(const al_wordpiece *p, uint64_t key) {
  size_t slot = (size_t)(key * 0x9E3779B97F4A7C15U >> 20) & p->mask;
  while (p->keys[slot] != 0 && p->keys[slot] != key) slot = (slot + 1) & p->mask;
  return slot;
}

static int32_t step(const al_wordpiece *p, int32_t node, unsigned char byte) {
  uint64_t key = ((uint64_t)(uint32_t)node << 8 | byte) + 1;
  size_t slot = probe(p, key);
  return p->keys[slot] == key ? p->targets[slot] : -1;
}

static al_status widen(al_wordpiece *p) {
  size_t size = p->keys == NULL ? 1 << 12 : (p->mask + 1) * 2;
  uint64_t *old_keys = p->keys;
  int32_t *old_targets = p->targets, *targets = NULL;
  size_t old_size = p->keys == NULL ? 0 : p->mask + 1;
  uint64_t *keys = NULL;
  al_status status = AL_NEW(&keys, size);
  if (status == AL_OK) status = AL_NEW(&targets, size);
  if (status != AL_OK) {
    free(keys);
    return status;
  }
  p->keys = keys;
  p->targets = targets;
  p->mask = size - 1;
  for (size_t i = 0; i < old_size; i++) {
    if (old_keys[i] == 0) continue;
    size_t slot = probe(p, old_keys[i]);
    p->keys[slot] = old_keys[i];
    p->targets[slot] = old_targets[i];
  }
  free(old_keys);
  free(old_targets);
  return AL_OK;
}

static al_status add_node(al_wordpiece *p, int32_t *node) {
  al_status status = al_grow(&p->token_of, &p->node_capacity, p->nodes + 1, sizeof *p->token_of);
  if (status != AL_OK) return status;
  p->token_of[p->nodes] = -1;
  *node = (int32_t)p->nodes++;
  return AL_OK;
}

static al_status add_token(al_wordpiece *p, const char *text, size_t size, int32_t id) {
  al_status status = AL_OK;
  int32_t node = 0;
  for (size_t i = 0; i < size; i++) {
    int32_t next = step(p, node, (unsigned char)text[i]);
    if (next < 0) {
      if (2 * (p->used + 1) > p->mask + 1) AL_TRY(widen(p));
      AL_TRY(add_node(p, &next));
      uint64_t key = ((uint64_t)(uint32_t)node << 8 | (unsigned char)text[i]) + 1;
      size_t slot = probe(p, key);
      p->keys[slot] = key;
      p->targets[slot] = next;
      p->used++;
    }
    node = next;
  }
  if (p->token_of[node] < 0) p->token_of[node] = id;
  if (size == 5 && memcmp(text, "[UNK]", 5) == 0) p->unknown = id;
done:
  return status;
}

al_status al_wordpiece_new(al_wordpiece **out, const char *vocabulary, size_t size, const char *name) {
  al_status status;
  al_wordpiece *p = NULL;
  int32_t root;
  *out = NULL;
  AL_TRY(AL_NEW(&p, 1));
  p->unknown = -1;
  AL_TRY(widen(p));
  AL_TRY(add_node(p, &root));
  for (size_t at = 0; at < size; p->count++) {
    const char *newline = memchr(vocabulary + at, '\n', size - at);
    size_t end = newline == NULL ? size : (size_t)(newline - vocabulary);
    size_t length = end - at;
    if (length != 0 && vocabulary[end - 1] == '\r') length--;
    AL_TRY(add_token(p, vocabulary + at, length, (int32_t)p->count));
    AL_TRY(al_grow(&p->continues, &p->continues_capacity, p->count + 1, 1));
    p->continues[p->count] = length > 2 && memcmp(vocabulary + at, "##", 2) == 0;
    at = end + 1;
  }
  if (p->unknown < 0) {
    status = al_fail(AL_BAD_INPUT, "%s: a WordPiece vocabulary needs the line [UNK]", name);
    goto done;
  }
  int32_t hash = step(p, 0, '#');
  p->continued = hash < 0 ? -1 : step(p, hash, '#');
  *out = p;
  p = NULL;
done:
  al_wordpiece_free(p);
  return status;
}

al_status al_wordpiece_open(al_wordpiece **out) {
  al_status status;
  char path[PATH_MAX], *text = NULL;
  size_t size = 0;
  *out = NULL;
  AL_TRY(al_fetch_model_file(path, sizeof path, "bert-base-uncased-vocab", "vocab.txt"));
  AL_TRY(al_file_read(&text, &size, path, MOST_VOCABULARY));
  AL_TRY(al_wordpiece_new(out, text, size, path));
done:
  free(text);
  return status;
}

void al_wordpiece_free(al_wordpiece *pieces) {
  if (pieces == NULL) return;
  free(pieces->keys);
  free(pieces->targets);
  free(pieces->token_of);
  free(pieces->continues);
  free(pieces);
}

size_t al_wordpiece_size(const al_wordpiece *pieces) { return pieces->count; }

typedef struct {
  const al_wordpiece *pieces;
  char word[MOST_WORD_BYTES];
  size_t behind[MOST_WORD_BYTES]; /* a byte of the word each: offset in the text behind the character it came from */
  size_t size, points;            /* of the word at hand */
  size_t here;                    /* offset behind the character at hand */
  size_t last;                    /* offset behind the last character of the word at hand */
  int32_t **ids;
  size_t *n, *capacity, most, cut; /* cut: offset behind the text of the first `most` pieces, once there are so many */
} encoder;

static al_status put_id(encoder *e, int32_t id) {
  al_status status = al_grow(e->ids, e->capacity, *e->n + 1, sizeof **e->ids);
  if (status == AL_OK) (*e->ids)[(*e->n)++] = id;
  return status;
}

/* Splits the word at hand into pieces; one that does not match makes the whole word [UNK]. */
static al_status end_word(encoder *e) {
  al_status status = AL_OK;
  const al_wordpiece *p = e->pieces;
  size_t first = *e->n, cut = e->last;
  bool known = e->points <= MOST_WORD_POINTS;
  if (e->size == 0) return AL_OK;
  for (size_t at = 0; known && at < e->size;) {
    int32_t node = at == 0 ? 0 : p->continued, token = -1;
    size_t end = at;
    for (size_t i = at; i < e->size && node >= 0; i++) {
      node = step(p, node, (unsigned char)e->word[i]);
      if (node >= 0 && p->token_of[node] >= 0) {
        token = p->token_of[node];
        end = i + 1;
      }
    }
    known = token >= 0;
    if (known) AL_TRY(put_id(e, token));
    if (known && *e->n == e->most) cut = e->behind[end - 1];
    at = end;
  }
  if (!known) {
    *e->n = first;
    cut = e->last;
    AL_TRY(put_id(e, p->unknown));
  }
  if (first < e->most && *e->n >= e->most) e->cut = cut;
done:
  e->size = e->points = 0;
  return status;
}

static void put_point(encoder *e, utf8proc_int32_t code) {
  utf8proc_uint8_t bytes[4];
  utf8proc_ssize_t length = utf8proc_encode_char(code, bytes);
  /* a word this long is [UNK] whatever it holds: only its length matters from here on */
  if (e->size + (size_t)length <= sizeof e->word) {
    memcpy(e->word + e->size, bytes, (size_t)length);
    for (utf8proc_ssize_t i = 0; i < length; i++) e->behind[e->size++] = e->here;
  }
  e->last = e->here;
  e->points++;
}

static bool is_cjk(utf8proc_int32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x20000 && c <= 0x2A6DF) ||
         (c >= 0x2A700 && c <= 0x2B73F) || (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B820 && c <= 0x2CEAF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

static bool is_punctuation(utf8proc_int32_t c) {
  if (c < 0x80)
    return c > ' ' && c != 0x7f && !((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'));
  utf8proc_category_t category = utf8proc_category(c);
  return category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO;
}

/* A character by itself: ends the word before it and is one. */
static al_status put_alone(encoder *e, utf8proc_int32_t code) {
  al_status status = end_word(e);
  if (status != AL_OK) return status;
  put_point(e, code);
  return end_word(e);
}

static al_status put_code(encoder *e, utf8proc_int32_t code) {
  utf8proc_category_t category = utf8proc_category(code);
  if (category >= UTF8PROC_CATEGORY_ZS && category <= UTF8PROC_CATEGORY_ZP) return end_word(e);
  if (code == 0 || code == 0xFFFD || (category >= UTF8PROC_CATEGORY_CC && category <= UTF8PROC_CATEGORY_CO) ||
      category == UTF8PROC_CATEGORY_CN)
    return AL_OK;
  utf8proc_int32_t parts[32];
  int boundary = 0;
  al_status status = is_cjk(code) ? end_word(e) : AL_OK;
  utf8proc_ssize_t n =
      utf8proc_decompose_char(utf8proc_tolower(code), parts, 32, UTF8PROC_DECOMPOSE | UTF8PROC_STABLE, &boundary);
  for (utf8proc_ssize_t i = 0; i < n && i < 32 && status == AL_OK; i++) {
    if (utf8proc_category(parts[i]) == UTF8PROC_CATEGORY_MN) continue;
    if (is_punctuation(parts[i]))
      status = put_alone(e, parts[i]);
    else
      put_point(e, parts[i]);
  }
  return status == AL_OK && is_cjk(code) ? end_word(e) : status;
}

static al_status put_ascii(encoder *e, unsigned char byte) {
  if (byte >= 'A' && byte <= 'Z') byte = (unsigned char)(byte + 32);
  if ((byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9')) {
    if (e->size < sizeof e->word) {
      e->behind[e->size] = e->here;
      e->word[e->size++] = (char)byte;
    }
    e->last = e->here;
    e->points++;
    return AL_OK;
  }
  if (byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r') return end_word(e);
  if (byte < 0x20 || byte == 0x7f) return AL_OK;
  return put_alone(e, byte);
}

al_status al_wordpiece_encode(const al_wordpiece *pieces, const char *text, size_t size, size_t most, int32_t **ids,
                              size_t *n, size_t *capacity, size_t *cut) {
  al_status status = AL_OK;
  encoder e; /* its arrays are not cleared: only what is written is read */
  e.pieces = pieces;
  e.size = e.points = e.last = 0;
  e.ids = ids;
  e.n = n;
  e.capacity = capacity;
  e.most = most;
  e.cut = *n >= most ? 0 : size;
  size_t i = 0;
  while (i < size && *n < most) {
    unsigned char byte = (unsigned char)text[i];
    if (byte < 0x80) {
      e.here = ++i;
      AL_TRY(put_ascii(&e, byte));
    } else {
      utf8proc_int32_t code;
      utf8proc_ssize_t used = utf8proc_iterate((const utf8proc_uint8_t *)text + i, (utf8proc_ssize_t)(size - i), &code);
      e.here = i += used > 0 ? (size_t)used : 1;
      if (used > 0) AL_TRY(put_code(&e, code));
    }
  }
  if (*n < most) AL_TRY(end_word(&e));
  if (*n > most) *n = most;
  if (cut != NULL) *cut = e.cut;
done:
  return status;
}

/* ---- cached ids of a dataset ---- */

static al_status make_tokens(const al_dataset *dataset, size_t most, const char key[33]) {
  al_status status;
  al_wordpiece *pieces = NULL;
  al_store_writer *writer = NULL;
  int64_t *begin = NULL;
  int32_t *row_ids = NULL;
  size_t capacity = 0;
  AL_TRY(al_wordpiece_open(&pieces));
  AL_TRY(AL_NEW(&begin, dataset->rows + 1));
  AL_TRY(al_store_create(&writer, "tokens", key));
  AL_TRY(al_store_begin(writer, "ids", sizeof(int32_t)));
  for (size_t row = 0; row < dataset->rows; row++) {
    size_t n = 0, size = (size_t)(dataset->text_begin[row + 1] - dataset->text_begin[row]);
    AL_TRY(al_wordpiece_encode(pieces, dataset->text + dataset->text_begin[row], size, most - 2, &row_ids, &n,
                               &capacity, NULL));
    AL_TRY(al_store_append(writer, &al_wordpiece_cls, 1));
    AL_TRY(al_store_append(writer, row_ids, n));
    AL_TRY(al_store_append(writer, &al_wordpiece_sep, 1));
    begin[row + 1] = begin[row] + (int64_t)n + 2;
  }
  AL_TRY(al_store_put(writer, "begin", sizeof *begin, begin, dataset->rows + 1));
  status = al_store_commit(writer, NULL);
  writer = NULL;
done:
  al_store_abandon(writer);
  al_wordpiece_free(pieces);
  free(begin);
  free(row_ids);
  return status;
}

al_status al_tokens_open(al_tokens **out, const al_dataset *dataset, size_t max_tokens) {
  al_status status;
  al_tokens *tokens = NULL;
  char key[33];
  const void *begin = NULL, *ids = NULL;
  size_t n = 0, count = 0;
  *out = NULL;
  json_t *options = json_pack("{s:I}", "max_tokens", (json_int_t)max_tokens);
  status = al_feature_key(key, "wordpiece", dataset->digest, options);
  json_decref(options);
  if (status != AL_OK) return status;
  if (dataset->kind != AL_TEXT) return al_fail(AL_BAD_INPUT, "tokens need text, and %s has none", dataset->name);
  if (max_tokens < 3)
    return al_fail(AL_BAD_INPUT, "max_tokens: %zu leaves no room between [CLS] and [SEP]; give at least 3", max_tokens);
  AL_TRY(AL_NEW(&tokens, 1));
  AL_TRY(al_store_open(&tokens->store, "tokens", key));
  if (tokens->store == NULL) {
    AL_TRY(make_tokens(dataset, max_tokens, key));
    AL_TRY(al_store_open(&tokens->store, "tokens", key));
    if (tokens->store == NULL) {
      status = al_fail(AL_ENVIRONMENT, "the token file cannot be read back; is the cache folder writable?");
      goto done;
    }
  }
  AL_TRY(al_store_get(tokens->store, "begin", sizeof(int64_t), &begin, &n));
  AL_TRY(al_store_get(tokens->store, "ids", sizeof(int32_t), &ids, &count));
  if (n != dataset->rows + 1 || ((const int64_t *)begin)[dataset->rows] != (int64_t)count) {
    status = al_fail(AL_ENVIRONMENT, "a cached token file is damaged; remove the folder tokens in the cache");
    goto done;
  }
  tokens->rows = dataset->rows;
  tokens->begin = begin;
  tokens->ids = ids;
  memcpy(tokens->digest, key, sizeof key);
  *out = tokens;
  tokens = NULL;
done:
  al_tokens_free(tokens);
  return status;
}

void al_tokens_free(al_tokens *tokens) {
  if (tokens == NULL) return;
  al_store_close(tokens->store);
  free(tokens);
}

al_status al_token_continues(uint8_t **out, size_t *count) {
  al_wordpiece *pieces = NULL;
  *out = NULL;
  al_status status = al_wordpiece_open(&pieces);
  if (status != AL_OK || pieces == NULL) return status;
  *count = pieces->count;
  *out = pieces->continues;
  pieces->continues = NULL;
  al_wordpiece_free(pieces);
  return AL_OK;
}
