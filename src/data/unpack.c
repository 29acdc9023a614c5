/* libarchive does the formats and filters; what is checked here is what it leaves to its callers: where an entry would
 * land, what it is, and how much there is of it. Nothing is ever written to disk. */
#include "data/unpack.h"

#include "base/memory.h"
#include "data/archive_guard.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool climbs(const char *name) {
  for (const char *part = name; part != NULL; part = strchr(part, '/')) {
    part += *part == '/';
    if (strncmp(part, "..", 2) == 0 && (part[2] == '/' || part[2] == '\0')) return true;
  }
  return false;
}

static al_status check_entry(const al_archive_guard *guard, struct archive_entry *entry, const char *name) {
  if (name == NULL || *name == '\0') return al_archive_refuse(guard, "", "has no name");
  if (*name == '/') return al_archive_refuse(guard, name, "has an absolute path");
  if (climbs(name)) return al_archive_refuse(guard, name, "climbs out with ..");
  if (archive_entry_hardlink(entry) != NULL || archive_entry_symlink(entry) != NULL)
    return al_archive_refuse(guard, name, "is a link");
  unsigned type = archive_entry_filetype(entry);
  if (type != AE_IFREG && type != AE_IFDIR) return al_archive_refuse(guard, name, "is neither a file nor a folder");
  return AL_OK;
}

/* "t10k-images.gz" of a single compressed file is the entry "t10k-images". */
static al_status plain_name(char **out, const char *name) {
  size_t length = strlen(name);
  if (length > 3 && (strcmp(name + length - 3, ".gz") == 0 || strcmp(name + length - 3, ".xz") == 0)) length -= 3;
  return al_copy_bytes(out, name, length);
}

al_status al_unpack(const char *path, const char *file_name, size_t limit, al_unpack_visit visit, void *context) {
  al_status status = AL_OK;
  al_archive_guard guard = {.path = path,
                            .status = AL_ENVIRONMENT,
                            .broken = "truncated or corrupted",
                            .mend = "; remove it and run alab fetch again",
                            .left = limit};
  char *single = NULL;
  struct archive *archive = archive_read_new();
  if (archive == NULL) return al_fail(AL_ENVIRONMENT, "out of memory");
  archive_read_support_filter_gzip(archive);
  archive_read_support_filter_xz(archive);
  archive_read_support_format_tar(archive);
  archive_read_support_format_raw(archive);
  archive_read_support_format_empty(archive);
  AL_TRY(plain_name(&single, file_name));
  if (archive_read_open_filename(archive, path, 1 << 16) != ARCHIVE_OK) {
    status = al_archive_broken(&guard, archive);
    goto done;
  }
  struct archive_entry *entry;
  int result;
  while ((result = archive_read_next_header(archive, &entry)) == ARCHIVE_OK || result == ARCHIVE_WARN) {
    bool raw = archive_format(archive) == ARCHIVE_FORMAT_RAW;
    const char *name = raw ? single : archive_entry_pathname(entry);
    if (!raw) {
      AL_TRY(check_entry(&guard, entry, name));
      AL_TRY(al_archive_count(&guard, name));
    }
    if (archive_entry_filetype(entry) == AE_IFDIR) continue;
    AL_TRY(al_archive_read(&guard, name, archive));
    AL_TRY(visit(context, name, guard.bytes.data, guard.bytes.size));
  }
  if (result != ARCHIVE_EOF) status = al_archive_broken(&guard, archive);
done:
  archive_read_free(archive);
  al_archive_guard_free(&guard);
  free(single);
  return status;
}
