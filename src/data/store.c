/* The cache file. A reader checks magic, index hash and bounds before it trusts an offset; whatever fails is remade. */
#include "data/store.h"

#include "base/file.h"
#include "base/memory.h"
#include "data/dataset.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

enum { ALIGNMENT = 64, TRAILER = 40 };
static const char magic[ALIGNMENT] = "alab store 1 little-endian\n";

struct al_store {
  const char *map;
  size_t size;
  json_t *index; /* {"arrays": {name: [element size, count, offset]}, "meta": {}} */
  char *path;
};

struct al_store_writer {
  int file;
  char *path, *temporary;
  json_t *arrays;
  size_t offset;
  /* the array being streamed */
  char *name;
  size_t element, count, start;
};

/* At the end of the file. */
typedef struct {
  uint64_t index_offset, index_size, hash[2], file_size;
} trailer;
_Static_assert(sizeof(trailer) == TRAILER, "the trailer has no padding");

al_status al_cache_folder(char *path, size_t size) {
  const char *chosen = getenv("ALAB_DATA");
  int length = snprintf(path, size, "%s", chosen != NULL && *chosen != '\0' ? chosen : "datasets/cache");
  if (length < 0 || (size_t)length >= size) return al_fail(AL_BAD_INPUT, "ALAB_DATA: the path is too long");
  return al_folder_make(path);
}

static al_status path_of(char **path, const char *kind, const char *key, bool make) {
  char folder[PATH_MAX - 300], full[PATH_MAX];
  al_status status = al_cache_folder(folder, sizeof folder);
  if (status != AL_OK) return status;
  snprintf(full, sizeof full, "%s/%s", folder, kind);
  if (make && (status = al_folder_make(full)) != AL_OK) return status;
  return al_format(path, "%s/%s.alab", full, key);
}

static json_t *read_index(const char *map, size_t size) {
  trailer end;
  if (size < ALIGNMENT + TRAILER || memcmp(map, magic, ALIGNMENT) != 0) return NULL;
  memcpy(&end, map + size - TRAILER, sizeof end);
  if (end.file_size != size || end.index_offset > size - TRAILER || end.index_size > size - TRAILER - end.index_offset)
    return NULL;
  XXH128_hash_t hash = XXH3_128bits(map + end.index_offset, (size_t)end.index_size);
  if (hash.low64 != end.hash[0] || hash.high64 != end.hash[1]) return NULL;
  return json_loadb(map + end.index_offset, (size_t)end.index_size, 0, NULL);
}

al_status al_store_open(al_store **out, const char *kind, const char *key) {
  al_status status;
  al_store *store = NULL;
  char *path = NULL;
  struct stat facts;
  *out = NULL;
  AL_TRY(path_of(&path, kind, key, false));
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) goto done; /* not there, or not ours to read: it is made */
  if (fstat(file, &facts) != 0 || facts.st_size <= 0) {
    close(file);
    goto done;
  }
  size_t size = (size_t)facts.st_size;
  void *map = mmap(NULL, size, PROT_READ, MAP_SHARED, file, 0);
  close(file);
  if (map == MAP_FAILED) goto done;
  json_t *index = read_index(map, size);
  if (index == NULL) {
    munmap(map, size);
    unlink(path);
    goto done;
  }
  status = AL_NEW(&store, 1);
  if (status != AL_OK) {
    munmap(map, size);
    json_decref(index);
    goto done;
  }
  *store = (al_store){.map = map, .size = size, .index = index, .path = path};
  path = NULL;
  *out = store;
done:
  free(path);
  return status;
}

void al_store_close(al_store *store) {
  if (store == NULL) return;
  munmap((void *)(uintptr_t)store->map, store->size);
  json_decref(store->index);
  free(store->path);
  free(store);
}

al_status al_store_get(const al_store *store, const char *name, size_t size, const void **array, size_t *count) {
  const json_t *entry = json_object_get(json_object_get(store->index, "arrays"), name);
  json_int_t element = json_integer_value(json_array_get(entry, 0)), n = json_integer_value(json_array_get(entry, 1));
  json_int_t offset = json_integer_value(json_array_get(entry, 2));
  if (entry == NULL || element != (json_int_t)size || n < 0 || offset < 0 || offset % ALIGNMENT != 0 ||
      (size_t)offset > store->size || (size_t)n > (store->size - (size_t)offset) / size)
    return al_fail(AL_ENVIRONMENT, "%s: the cached array '%s' is missing or of another type; remove the file",
                   store->path, name);
  *array = store->map + offset;
  *count = (size_t)n;
  return AL_OK;
}

const json_t *al_store_meta(const al_store *store) { return json_object_get(store->index, "meta"); }

static al_status write_all(al_store_writer *writer, const void *bytes, size_t size) {
  const char *at = bytes;
  while (size != 0) {
    ssize_t written = write(writer->file, at, size);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return al_fail_errno("cannot write the cache file %s", writer->temporary);
    at += written;
    size -= (size_t)written;
    writer->offset += (size_t)written;
  }
  return AL_OK;
}

al_status al_store_create(al_store_writer **out, const char *kind, const char *key) {
  al_status status;
  al_store_writer *writer = NULL;
  *out = NULL;
  AL_TRY(AL_NEW(&writer, 1));
  writer->file = -1;
  writer->arrays = json_object();
  AL_TRY(path_of(&writer->path, kind, key, true));
  AL_TRY(al_format(&writer->temporary, "%s.%ld.tmp", writer->path, (long)getpid()));
  writer->file = open(writer->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (writer->file < 0) {
    status = al_fail_errno("cannot write the cache file %s", writer->temporary);
    goto done;
  }
  AL_TRY(write_all(writer, magic, sizeof magic));
  *out = writer;
  writer = NULL;
done:
  al_store_abandon(writer);
  return status;
}

static al_status end_array(al_store_writer *writer) {
  static const char zeros[ALIGNMENT];
  if (writer->name == NULL) return AL_OK;
  json_t *entry =
      json_pack("[I,I,I]", (json_int_t)writer->element, (json_int_t)writer->count, (json_int_t)writer->start);
  int failed = json_object_set_new(writer->arrays, writer->name, entry);
  free(writer->name);
  writer->name = NULL;
  if (failed) return al_fail(AL_ENVIRONMENT, "out of memory");
  return write_all(writer, zeros, (ALIGNMENT - writer->offset % ALIGNMENT) % ALIGNMENT);
}

al_status al_store_begin(al_store_writer *writer, const char *name, size_t size) {
  al_status status = end_array(writer);
  if (status != AL_OK) return status;
  writer->element = size;
  writer->count = 0;
  writer->start = writer->offset;
  return al_copy_string(&writer->name, name);
}

al_status al_store_append(al_store_writer *writer, const void *piece, size_t count) {
  writer->count += count;
  return write_all(writer, piece, count * writer->element);
}

al_status al_store_put(al_store_writer *writer, const char *name, size_t size, const void *array, size_t count) {
  al_status status = al_store_begin(writer, name, size);
  return status == AL_OK ? al_store_append(writer, array, count) : status;
}

al_status al_store_commit(al_store_writer *writer, const json_t *meta) {
  al_status status;
  char *text = NULL;
  json_t *index = NULL;
  AL_TRY(end_array(writer));
  index = json_pack("{s:O,s:o}", "arrays", writer->arrays, "meta", meta == NULL ? json_object() : json_deep_copy(meta));
  text = index == NULL ? NULL : json_dumps(index, JSON_COMPACT | JSON_REAL_PRECISION(17));
  if (text == NULL) {
    status = al_fail(AL_ENVIRONMENT, "out of memory");
    goto done;
  }
  size_t size = strlen(text);
  XXH128_hash_t hash = XXH3_128bits(text, size);
  trailer end = {.index_offset = writer->offset,
                 .index_size = size,
                 .hash = {hash.low64, hash.high64},
                 .file_size = writer->offset + size + TRAILER};
  AL_TRY(write_all(writer, text, size));
  AL_TRY(write_all(writer, &end, sizeof end));
  if (fsync(writer->file) != 0 || rename(writer->temporary, writer->path) != 0) {
    status = al_fail_errno("cannot finish the cache file %s", writer->path);
    goto done;
  }
  free(writer->temporary);
  writer->temporary = NULL; /* it has its name: nothing to remove */
done:
  json_decref(index);
  free(text);
  al_store_abandon(writer);
  return status;
}

void al_store_abandon(al_store_writer *writer) {
  if (writer == NULL) return;
  if (writer->file >= 0) close(writer->file);
  if (writer->temporary != NULL) unlink(writer->temporary);
  json_decref(writer->arrays);
  free(writer->name);
  free(writer->path);
  free(writer->temporary);
  free(writer);
}
