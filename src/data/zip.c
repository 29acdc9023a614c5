/* libarchive does the format; sizes and names are checked here. */
#include "data/zip.h"

#include "base/memory.h"
#include "data/termmap.h"

#include <archive.h>
#include <archive_entry.h>
#include <string.h>

enum { ENTRY_BYTES = 512 }; /* so that millions of empty entries are no way around the limit */

static al_status refuse(const char *path, const char *entry, const char *why) {
  return al_fail(AL_BAD_INPUT, "%s: refused: the entry '%.200s' %s", path, entry, why);
}

static al_status broken(const char *path, struct archive *archive) {
  const char *why = archive_error_string(archive);
  return al_fail(AL_BAD_INPUT, "%s: a truncated or damaged zip (%s)", path, why == NULL ? "unreadable" : why);
}

static al_status take(size_t *left, size_t size, const char *path, const char *name) {
  if (size > *left) return refuse(path, name, "makes the archive larger than is allowed");
  *left -= size;
  return AL_OK;
}

static al_status read_entry(struct archive *archive, const char *path, const char *name, al_buffer *bytes,
                            size_t *left) {
  char piece[1 << 14];
  bytes->size = 0;
  al_status status = al_buffer_append(bytes, "", 0);
  while (status == AL_OK) {
    la_ssize_t got = archive_read_data(archive, piece, sizeof piece);
    if (got == 0) break;
    if (got < 0) return broken(path, archive);
    status = take(left, (size_t)got, path, name);
    if (status == AL_OK) status = al_buffer_append(bytes, piece, (size_t)got);
  }
  return status;
}

static al_status walk(struct archive *archive, const char *path, size_t left, const al_zip_visitor *visitor,
                      al_buffer *bytes, al_termmap *seen) {
  al_status status = AL_OK;
  struct archive_entry *entry;
  int result;
  while ((result = archive_read_next_header(archive, &entry)) == ARCHIVE_OK || result == ARCHIVE_WARN) {
    const char *name = archive_entry_pathname(entry);
    size_t before = seen->count;
    int32_t id;
    if (name == NULL || *name == '\0') return refuse(path, "", "has no name");
    AL_TRY(al_termmap_add(seen, name, strlen(name), &id));
    if (seen->count == before) return refuse(path, name, "stands in the archive twice");
    if (archive_entry_is_encrypted(entry)) return refuse(path, name, "is encrypted");
    AL_TRY(take(&left, ENTRY_BYTES, path, name));
    if (!visitor->wanted(visitor->context, name)) {
      la_int64_t size = archive_entry_size_is_set(entry) ? archive_entry_size(entry) : 0;
      if (size < 0) return refuse(path, name, "has no size");
      AL_TRY(take(&left, (size_t)size, path, name));
      continue;
    }
    AL_TRY(read_entry(archive, path, name, bytes, &left));
    AL_TRY(visitor->visit(visitor->context, name, bytes->data, bytes->size));
  }
  if (result != ARCHIVE_EOF) status = broken(path, archive);
done:
  return status;
}

al_status al_zip_walk(const char *path, const void *bytes, size_t size, size_t limit, const al_zip_visitor *visitor) {
  al_status status;
  al_buffer unpacked = {0};
  al_termmap seen = {0};
  struct archive *archive = archive_read_new();
  if (archive == NULL) return al_fail(AL_ENVIRONMENT, "out of memory");
  archive_read_support_format_zip_seekable(archive);
  if (archive_read_open_memory(archive, bytes, size) != ARCHIVE_OK)
    status = broken(path, archive);
  else
    status = walk(archive, path, limit, visitor, &unpacked, &seen);
  archive_read_free(archive);
  al_buffer_free(&unpacked);
  al_termmap_free(&seen);
  return status;
}
