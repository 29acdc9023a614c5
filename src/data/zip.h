/* Walking a zip archive in memory, hostile until checked: repeated names, encrypted entries, and more bytes than
 * allowed are refused. Nothing is ever written to disk. */
#ifndef AL_DATA_ZIP_H
#define AL_DATA_ZIP_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct al_zip_visitor {
  bool (*wanted)(void *context, const char *name);                                     /* shall it be unpacked? */
  al_status (*visit)(void *context, const char *name, const char *bytes, size_t size); /* and a NUL behind */
  void *context;
} al_zip_visitor;

/* path: for messages. limit: most bytes of all entries, by their size where they are not unpacked, and 512 an entry.
 * No zip, or a broken one: AL_BAD_INPUT. */
al_status al_zip_walk(const char *path, const void *bytes, size_t size, size_t limit,
                      const al_zip_visitor *visitor) AL_MUST_USE;

#endif
