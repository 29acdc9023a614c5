/* A TorchScript file is a zip of tensors, a pickle of libtorch's restricted kind, and source text under code/. A plain
 * torch.save has no source text: it is a pickle of Python, or a zip around one. */
#include "model/script_file.h"

#include "base/file.h"
#include "base/memory.h"
#include "data/zip.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

static const size_t most_file = (size_t)4 << 30;
/* Tensors lie in the archive as they are, and source text shrinks to a tenth: what unpacks to more is a bomb. */
enum { MOST_GROWTH = 64, MOST_OVERHEAD = 1 << 26 };

#define HOW_TO "export it with torch.jit.script(model).save(FILE), as docs/examples/export_torchscript.py does"

typedef struct {
  bool code, pickle, dropout;
} contents;

static bool ends_with(const char *text, const char *end) {
  size_t n = strlen(text), m = strlen(end);
  return n >= m && strcmp(text + n - m, end) == 0;
}

/* ARCHIVE/code/__torch__/....py */
static bool is_code(void *context, const char *name) {
  contents *c = context;
  const char *slash = strchr(name, '/');
  c->pickle |= slash != NULL && strcmp(slash, "/data.pkl") == 0;
  return slash != NULL && strncmp(slash, "/code/", 6) == 0 && ends_with(name, ".py");
}

/* "class Dropout2d(Module):", also behind other words of the class's name. */
static al_status read_code(void *context, const char *name, const char *bytes, size_t size) {
  contents *c = context;
  (void)name, (void)size;
  c->code = true;
  for (const char *line = bytes; line != NULL && !c->dropout; line = strchr(line, '\n')) {
    line += *line == '\n';
    if (strncmp(line, "class ", 6) != 0) continue;
    size_t length = 6;
    while (isalnum((unsigned char)line[length]) || line[length] == '_') length++;
    c->dropout = strncmp(line + length, "(Module)", 8) == 0 && memmem(line, length, "Dropout", 7) != NULL;
  }
  return AL_OK;
}

static al_status look_into(al_script_facts *out, const char *path, const char *bytes, size_t size) {
  contents found = {0};
  if (size < 4 || memcmp(bytes, "PK", 2) != 0) {
    bool pickle = size >= 2 && (unsigned char)bytes[0] == 0x80;
    return al_fail(AL_BAD_INPUT, "%s: %s; " HOW_TO, path,
                   pickle ? "a pickle, which alab never reads" : "not a TorchScript file");
  }
  al_zip_visitor visitor = {is_code, read_code, &found};
  al_status status = al_zip_walk(path, bytes, size, size * MOST_GROWTH + MOST_OVERHEAD, &visitor);
  if (status != AL_OK) return status;
  if (!found.code)
    return al_fail(AL_BAD_INPUT, "%s: %s; " HOW_TO, path,
                   found.pickle ? "a pickle in a zip (torch.save), which alab never reads"
                                : "a zip without TorchScript");
  out->dropout = found.dropout;
  XXH128_hash_t hash = XXH3_128bits(bytes, size);
  snprintf(out->digest, sizeof out->digest, "%016llx%016llx", (unsigned long long)hash.high64,
           (unsigned long long)hash.low64);
  return AL_OK;
}

/* Kept for the process and those it forks: a grid asks several times a cell. */
typedef struct {
  struct timespec changed;
  dev_t device;
  ino_t inode;
  off_t size;
  al_script_facts facts;
} known_file;

enum { KEPT = 16 };
static known_file known[KEPT];
static size_t next_known;

static bool is_known(const struct stat *facts, al_script_facts *out) {
  for (size_t i = 0; i < KEPT; i++) {
    const known_file *k = &known[i];
    if (*k->facts.digest == '\0' || k->device != facts->st_dev || k->inode != facts->st_ino ||
        k->size != facts->st_size || k->changed.tv_sec != facts->st_mtim.tv_sec ||
        k->changed.tv_nsec != facts->st_mtim.tv_nsec)
      continue;
    *out = k->facts;
    return true;
  }
  return false;
}

al_status al_script_open(al_script_facts *out, char **bytes, size_t *size, const char *given, const char *base) {
  al_status status;
  char *path = NULL, *own = NULL;
  size_t length = 0;
  struct stat facts;
  *out = (al_script_facts){0};
  AL_TRY(al_format(&path, "%s%s%s", base == NULL || *given == '/' ? "" : base, base == NULL || *given == '/' ? "" : "/",
                   given));
  bool there = stat(path, &facts) == 0;
  if (there && bytes == NULL && is_known(&facts, out)) goto done;
  AL_TRY(al_file_read(&own, &length, path, most_file));
  AL_TRY(look_into(out, path, own, length));
  if (there) known[next_known++ % KEPT] = (known_file){facts.st_mtim, facts.st_dev, facts.st_ino, facts.st_size, *out};
  if (bytes != NULL) {
    *bytes = own;
    *size = length;
    own = NULL;
  }
done:
  free(own);
  free(path);
  return status;
}
