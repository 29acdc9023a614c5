/* Whole files and folders. */
#ifndef AL_BASE_FILE_H
#define AL_BASE_FILE_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>

/* A whole file in memory: *size bytes and a NUL behind them. No such file, or larger than `most`: AL_BAD_INPUT. */
al_status al_file_read(char **text, size_t *size, const char *path, size_t most) AL_MUST_USE;

/* Makes the folder and those above it; one that is there is fine. */
al_status al_folder_make(const char *path) AL_MUST_USE;

bool al_file_exists(const char *path);
/* Nothing is there, or a regular file: what may be renamed over. Pipes and devices (/dev/stdout) are written in place.
 */
bool al_file_replaceable(const char *path);

/* Writes `size` bytes to `path` so that it is whole or what it was: temporary name, fsync, rename. */
al_status al_file_write(const char *path, const void *bytes, size_t size) AL_MUST_USE;

/* XXH3-128 in hex of a file's bytes. No such file: AL_BAD_INPUT. */
al_status al_file_digest(const char *path, char hex[33]) AL_MUST_USE;

#endif
