/* Reading and writing whole files; a reader never sees half a write. */
#include "base/file.h"

#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

al_status al_file_read(char **text, size_t *size, const char *path, size_t most) {
  al_buffer buffer = {0};
  al_status status = AL_OK;
  char piece[1 << 16];
  *text = NULL;
  *size = 0;
  FILE *file = fopen(path, "rbe");
  if (file == NULL) {
    if (errno == ENOENT) return al_fail(AL_BAD_INPUT, "%s: no such file", path);
    return al_fail_errno("cannot read %s", path);
  }
  AL_TRY(al_buffer_append(&buffer, "", 0));
  size_t got;
  while ((got = fread(piece, 1, sizeof piece, file)) != 0) {
    AL_TRY(al_buffer_append(&buffer, piece, got));
    if (buffer.size > most) {
      status = al_fail(AL_BAD_INPUT, "%s: larger than %zu bytes", path, most);
      goto done;
    }
  }
  if (ferror(file)) status = al_fail_errno("cannot read %s", path);
done:
  fclose(file);
  if (status == AL_OK) {
    *text = buffer.data;
    *size = buffer.size;
  } else {
    al_buffer_free(&buffer);
  }
  return status;
}

al_status al_folder_make(const char *path) {
  char *part = NULL;
  al_status status = al_copy_string(&part, path);
  if (status != AL_OK) return status;
  for (char *at = part + (*part != '\0');; at++) {
    if (*at != '/' && *at != '\0') continue;
    char keep = *at;
    *at = '\0';
    if (mkdir(part, 0777) != 0 && errno != EEXIST) {
      status = al_fail_errno("cannot make the folder %s", part);
      break;
    }
    *at = keep;
    if (keep == '\0') break;
  }
  free(part);
  return status;
}

bool al_file_exists(const char *path) { return access(path, F_OK) == 0; }

bool al_file_replaceable(const char *path) {
  struct stat facts;
  return stat(path, &facts) != 0 || S_ISREG(facts.st_mode);
}

al_status al_file_write(const char *path, const void *bytes, size_t size) {
  char *temporary = NULL;
  const char *at = bytes;
  bool whole = al_file_replaceable(path);
  al_status status =
      whole ? al_format(&temporary, "%s.%ld.tmp", path, (long)getpid()) : al_format(&temporary, "%s", path);
  if (status != AL_OK) return status;
  int file = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  bool good = file >= 0;
  while (good && size != 0) {
    ssize_t written = write(file, at, size);
    if (written < 0 && errno == EINTR) continue;
    good = written > 0;
    if (good) {
      at += written;
      size -= (size_t)written;
    }
  }
  good = good && (!whole || fsync(file) == 0);
  int error = errno;
  if (file >= 0 && close(file) != 0) good = false;
  if (good && whole && rename(temporary, path) != 0) {
    good = false;
    error = errno;
  }
  if (!good) {
    if (whole) unlink(temporary);
    errno = error;
    status = al_fail_errno("cannot write %s", path);
  }
  free(temporary);
  return status;
}

al_status al_file_digest(const char *path, char hex[33]) {
  XXH3_state_t state;
  char piece[1 << 16];
  size_t got;
  FILE *file = fopen(path, "rbe");
  if (file == NULL) {
    if (errno == ENOENT) return al_fail(AL_BAD_INPUT, "%s: no such file", path);
    return al_fail_errno("cannot read %s", path);
  }
  XXH3_128bits_reset(&state);
  while ((got = fread(piece, 1, sizeof piece, file)) != 0) XXH3_128bits_update(&state, piece, got);
  al_status status = ferror(file) ? al_fail_errno("cannot read %s", path) : AL_OK;
  fclose(file);
  XXH128_hash_t hash = XXH3_128bits_digest(&state);
  snprintf(hex, 33, "%016llx%016llx", (unsigned long long)hash.high64, (unsigned long long)hash.low64);
  return status;
}
