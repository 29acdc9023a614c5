/* libarchive does the format; sizes and names are checked here. */
#include "data/zip.h"

#include "data/archive_guard.h"

#include <archive.h>
#include <archive_entry.h>

static al_status walk(struct archive *archive, al_archive_guard *guard, const al_zip_visitor *visitor) {
  al_status status = AL_OK;
  struct archive_entry *entry;
  int result;
  while ((result = archive_read_next_header(archive, &entry)) == ARCHIVE_OK || result == ARCHIVE_WARN) {
    const char *name = archive_entry_pathname(entry);
    if (name == NULL || *name == '\0') return al_archive_refuse(guard, "", "has no name");
    AL_TRY(al_archive_count(guard, name));
    if (archive_entry_is_encrypted(entry)) return al_archive_refuse(guard, name, "is encrypted");
    if (!visitor->wanted(visitor->context, name)) {
      la_int64_t size = archive_entry_size_is_set(entry) ? archive_entry_size(entry) : 0;
      if (size < 0) return al_archive_refuse(guard, name, "has no size");
      AL_TRY(al_archive_take(guard, name, (size_t)size));
      continue;
    }
    AL_TRY(al_archive_read(guard, name, archive));
    AL_TRY(visitor->visit(visitor->context, name, guard->bytes.data, guard->bytes.size));
  }
  if (result != ARCHIVE_EOF) status = al_archive_broken(guard, archive);
done:
  return status;
}

al_status al_zip_walk(const char *path, const void *bytes, size_t size, size_t limit, const al_zip_visitor *visitor) {
  al_archive_guard guard = {
      .path = path, .status = AL_BAD_INPUT, .broken = "a truncated or damaged zip", .mend = "", .left = limit};
  struct archive *archive = archive_read_new();
  if (archive == NULL) return al_fail(AL_ENVIRONMENT, "out of memory");
  archive_read_support_format_zip_seekable(archive);
  al_status status = archive_read_open_memory(archive, bytes, size) == ARCHIVE_OK ? walk(archive, &guard, visitor)
                                                                                  : al_archive_broken(&guard, archive);
  archive_read_free(archive);
  al_archive_guard_free(&guard);
  return status;
}
