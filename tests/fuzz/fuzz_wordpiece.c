/* Fuzzes what reads a user's text: WordPiece, the word pattern, lower-casing, cleaning. A libFuzzer entry:
 *     clang -fsanitize=fuzzer,address -DALAB_LIBFUZZER ... tests/fuzz/fuzz_wordpiece.c
 * The ordinary build has a main of its own that runs the files and folders given to it (in ctest: the committed
 * corpus), each also cut short and with bytes flipped, so that gcc alone checks as much as it can.
 *
 * Input: the first byte chooses a limit of pieces, the rest is the text. A broken property aborts. */
#include "data/features_private.h"
#include "data/words.h"

#include "base/file.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <utf8proc.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char vocabulary[] =
    "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nb\nc\nthe\n##ing\n##a\n##b\nplay\n,\n.\n\xE4\xB8\xAD\n\xC3\x9F\n"
    "cafe\n##\xE1\x85\xA1\n\xE1\x84\x92\n";

static void must(bool holds, const char *what) {
  if (holds) return;
  fprintf(stderr, "broken: %s (%s)\n", what, al_message());
  abort();
}

static bool valid_utf8(const char *text, size_t size) {
  for (size_t i = 0; i < size;) {
    utf8proc_int32_t code;
    utf8proc_ssize_t used = utf8proc_iterate((const utf8proc_uint8_t *)text + i, (utf8proc_ssize_t)(size - i), &code);
    if (used <= 0) return false;
    i += (size_t)used;
  }
  return true;
}

static size_t count_words(al_words *words, const char *text, size_t size) {
  size_t at = 0, begin = 0, end = 0, before = 0, n = 0;
  for (; al_words_next(words, text, size, &at, &begin, &end); n++) {
    must(begin >= before && begin < end && end <= size && at >= end, "words come in order and are not empty");
    before = end;
  }
  return n;
}

static void check_pieces(const al_wordpiece *pieces, const char *text, size_t size, size_t most) {
  int32_t *all = NULL, *some = NULL;
  size_t n = 0, few = 0, all_capacity = 0, some_capacity = 0, cut = 0;
  must(al_wordpiece_encode(pieces, text, size, SIZE_MAX, &all, &n, &all_capacity, NULL) == AL_OK, "encoding");
  must(al_wordpiece_encode(pieces, text, size, most, &some, &few, &some_capacity, &cut) == AL_OK, "encoding a part");
  for (size_t i = 0; i < n; i++) must(all[i] > 0 && (size_t)all[i] < al_wordpiece_size(pieces), "ids in range");
  must(few == (most < n ? most : n) && cut <= size, "as many pieces as asked for");
  must(few == 0 || memcmp(all, some, few * sizeof *all) == 0, "a part is a prefix");
  free(all);
  free(some);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static al_wordpiece *pieces;
  static al_words *plain, *general;
  if (pieces == NULL) {
    must(al_wordpiece_new(&pieces, vocabulary, sizeof vocabulary - 1, "fuzz") == AL_OK, "vocabulary");
    must(al_words_new(&plain, "\\w\\w+", "fuzz") == AL_OK && al_words_new(&general, "\\w{2,}", "fuzz") == AL_OK,
         "pattern");
  }
  if (size == 0) return 0;
  const char *text = (const char *)data + 1;
  check_pieces(pieces, text, --size, data[0]);
  (void)count_words(plain, text, size);
  al_buffer lowered = {0}, clean = {0};
  must(al_lower(&lowered, text, size) == AL_OK && al_clean_utf8(&clean, text, size) == AL_OK, "cleaning");
  must(valid_utf8(lowered.data, lowered.size) && valid_utf8(clean.data, clean.size), "cleaned text is UTF-8");
  (void)count_words(general, lowered.data, lowered.size);
  must(count_words(plain, text, size) == count_words(plain, clean.data, clean.size), "cleaning changes no word");
  al_buffer_free(&lowered);
  al_buffer_free(&clean);
  /* the text as a vocabulary: refused or not, but never a crash */
  al_wordpiece *own = NULL;
  if (al_wordpiece_new(&own, text, size, "fuzz") == AL_OK) {
    int32_t *ids = NULL;
    size_t n = 0, capacity = 0;
    must(al_wordpiece_encode(own, text, size, SIZE_MAX, &ids, &n, &capacity, NULL) == AL_OK, "own vocabulary");
    for (size_t i = 0; i < n; i++) must(ids[i] >= 0 && (size_t)ids[i] < al_wordpiece_size(own), "ids in range");
    free(ids);
    al_wordpiece_free(own);
  }
  return 0;
}

#ifndef ALAB_LIBFUZZER
static void run_bytes(const char *bytes, size_t size) {
  /* a fresh block of the very size each time, so that a sanitizer sees a read behind it */
  uint8_t *block = malloc(size == 0 ? 1 : size);
  if (block == NULL) abort();
  memcpy(block, bytes, size);
  (void)LLVMFuzzerTestOneInput(block, size);
  free(block);
}

static size_t run_path(const char *path) {
  struct stat facts;
  if (stat(path, &facts) != 0) return 0;
  if (S_ISDIR(facts.st_mode)) {
    DIR *list = opendir(path);
    size_t n = 0;
    for (const struct dirent *entry; list != NULL && (entry = readdir(list)) != NULL;) {
      char inner[PATH_MAX];
      if (entry->d_name[0] == '.') continue;
      snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
      n += run_path(inner);
    }
    if (list != NULL) closedir(list);
    return n;
  }
  char *text = NULL;
  size_t size = 0;
  must(al_file_read(&text, &size, path, 1 << 24) == AL_OK, path);
  run_bytes(text, size);
  for (size_t cut = 0; cut < size && cut < 512; cut++) run_bytes(text, cut);
  for (size_t i = 0; i < size && i < 512; i++) {
    text[i] = (char)(text[i] ^ (1 << (i % 8)));
    run_bytes(text, size);
    text[i] = (char)(text[i] ^ (1 << (i % 8)));
  }
  free(text);
  return 1;
}

int main(int argc, char **argv) {
  size_t n = 0;
  for (int i = 1; i < argc; i++) n += run_path(argv[i]);
  printf("%zu inputs\n", n);
  return n == 0;
}
#endif
