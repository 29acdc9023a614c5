/* Limits and messages of tar and zip alike. */
#include "data/archive_guard.h"

#include <string.h>

enum { ENTRY_BYTES = 512 };

al_status al_archive_refuse(const al_archive_guard *guard, const char *entry, const char *why) {
  return al_fail(guard->status, "%s: refused: the entry '%.200s' %s", guard->path, entry, why);
}

al_status al_archive_broken(const al_archive_guard *guard, struct archive *archive) {
  const char *why = archive_error_string(archive);
  return al_fail(guard->status, "%s: %s (%s)%s", guard->path, guard->broken, why == NULL ? "unreadable" : why,
                 guard->mend);
}

al_status al_archive_take(al_archive_guard *guard, const char *entry, size_t size) {
  if (size > guard->left) return al_archive_refuse(guard, entry, "makes it unpack to more than is allowed");
  guard->left -= size;
  return AL_OK;
}

al_status al_archive_count(al_archive_guard *guard, const char *entry) {
  size_t before = guard->seen.count;
  int32_t id;
  al_status status = al_termmap_add(&guard->seen, entry, strlen(entry), &id);
  if (status != AL_OK) return status;
  if (guard->seen.count == before) return al_archive_refuse(guard, entry, "stands in the archive twice");
  if (guard->left < ENTRY_BYTES) return al_archive_refuse(guard, entry, "is one too many for the size that is allowed");
  guard->left -= ENTRY_BYTES;
  return AL_OK;
}

al_status al_archive_read(al_archive_guard *guard, const char *entry, struct archive *archive) {
  char piece[1 << 16];
  guard->bytes.size = 0;
  al_status status = al_buffer_append(&guard->bytes, "", 0);
  while (status == AL_OK) {
    la_ssize_t got = archive_read_data(archive, piece, sizeof piece);
    if (got == 0) break;
    if (got < 0) return al_archive_broken(guard, archive);
    status = al_archive_take(guard, entry, (size_t)got);
    if (status == AL_OK) status = al_buffer_append(&guard->bytes, piece, (size_t)got);
  }
  return status;
}

void al_archive_guard_free(al_archive_guard *guard) {
  al_buffer_free(&guard->bytes);
  al_termmap_free(&guard->seen);
}
