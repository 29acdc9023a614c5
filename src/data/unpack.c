/* libarchive does the formats and filters; what is checked here is what it leaves to its callers: where an entry would
 * land, what it is, and how much there is of it. Nothing is ever written to disk. */
#include "data/unpack.h"

#include "base/memory.h"
#include "data/termmap.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static al_status refuse(const char *path, const char *entry, const char *why) {
  return al_fail(AL_ENVIRONMENT, "%s: refused: the entry '%.200s' %s", path, entry, why);
}

static al_status broken(const char *path, struct archive *archive) {
  const char *why = archive_error_string(archive);
  return al_fail(AL_ENVIRONMENT, "%s: truncated or corrupted (%s); remove it and run alab fetch again", path,
                 why == NULL ? "unreadable" : why);
}

static bool climbs(const char *name) {
  for (const char *part = name; part != NULL; part = strchr(part, '/')) {
    part += *part == '/';
    if (strncmp(part, "..", 2) == 0 && (part[2] == '/' || part[2] == '\0')) return true;
  }
  return false;
}

static al_status check_entry(const char *path, struct archive_entry *entry, const char *name) {
  if (name == NULL || *name == '\0') return refuse(path, "", "has no name");
  if (*name == '/') return refuse(path, name, "has an absolute path");
  if (climbs(name)) return refuse(path, name, "climbs out with ..");
  if (archive_entry_hardlink(entry) != NULL || archive_entry_symlink(entry) != NULL)
    return refuse(path, name, "is a link");
  unsigned type = archive_entry_filetype(entry);
  if (type != AE_IFREG && type != AE_IFDIR) return refuse(path, name, "is neither a file nor a folder");
  return AL_OK;
}

/* What an entry takes of the limit beside its bytes, as in a tar: millions of empty entries are a bomb, too. */
enum { ENTRY_BYTES = 512 };

/* Each name once, and not more entries than the limit has room for. */
static al_status count_entry(const char *path, const char *name, al_termmap *seen, size_t *left) {
  size_t before = seen->count;
  int32_t id;
  al_status status = al_termmap_add(seen, name, strlen(name), &id);
  if (status != AL_OK) return status;
  if (seen->count == before) return refuse(path, name, "stands in the archive twice");
  if (*left < ENTRY_BYTES) return refuse(path, name, "is one too many for the size that the catalogue allows");
  *left -= ENTRY_BYTES;
  return AL_OK;
}

/* Reads one entry whole; *left is what the archive may still unpack to. */
static al_status read_entry(struct archive *archive, const char *path, const char *name, al_buffer *bytes,
                            size_t *left) {
  char piece[1 << 16];
  bytes->size = 0;
  al_status status = al_buffer_append(bytes, "", 0);
  while (status == AL_OK) {
    la_ssize_t got = archive_read_data(archive, piece, sizeof piece);
    if (got == 0) break;
    if (got < 0) return broken(path, archive);
    if ((size_t)got > *left) return refuse(path, name, "unpacks to more than the catalogue allows");
    *left -= (size_t)got;
    status = al_buffer_append(bytes, piece, (size_t)got);
  }
  return status;
}

/* "t10k-images.gz" of a single compressed file is the entry "t10k-images". */
static al_status plain_name(char **out, const char *name) {
  size_t length = strlen(name);
  if (length > 3 && (strcmp(name + length - 3, ".gz") == 0 || strcmp(name + length - 3, ".xz") == 0)) length -= 3;
  return al_copy_bytes(out, name, length);
}

al_status al_unpack(const char *path, const char *file_name, size_t limit, al_unpack_visit visit, void *context) {
  al_status status = AL_OK;
  al_buffer bytes = {0};
  al_termmap seen = {0};
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
    status = broken(path, archive);
    goto done;
  }
  struct archive_entry *entry;
  int result;
  while ((result = archive_read_next_header(archive, &entry)) == ARCHIVE_OK || result == ARCHIVE_WARN) {
    bool raw = archive_format(archive) == ARCHIVE_FORMAT_RAW;
    const char *name = raw ? single : archive_entry_pathname(entry);
    if (!raw) {
      AL_TRY(check_entry(path, entry, name));
      AL_TRY(count_entry(path, name, &seen, &limit));
    }
    if (archive_entry_filetype(entry) == AE_IFDIR) continue;
    AL_TRY(read_entry(archive, path, name, &bytes, &limit));
    AL_TRY(visit(context, name, bytes.data, bytes.size));
  }
  if (result != ARCHIVE_EOF) status = broken(path, archive);
done:
  archive_read_free(archive);
  al_buffer_free(&bytes);
  al_termmap_free(&seen);
  free(single);
  return status;
}
