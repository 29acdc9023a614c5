/* The on-disk cache: one file of named arrays, written atomically, mmapped read-only by all workers.
 *
 * Layout: 64-byte magic and version, the arrays each aligned to 64 bytes, a JSON index (name, type, count, offset; and
 * free metadata), its offset, size and XXH3-128 at the end. A file that does not check out is removed and remade: a
 * cache is never an error. Files are little-endian; a big-endian machine remakes them. */
#ifndef AL_DATA_STORE_H
#define AL_DATA_STORE_H

#include "base/status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct al_store al_store;
typedef struct al_store_writer al_store_writer;

/* Opens <cache>/<kind>/<key>.alab; *out = NULL (and AL_OK) when it is not there or does not check out. */
al_status al_store_open(al_store **out, const char *kind, const char *key) AL_MUST_USE;
void al_store_close(al_store *store);
/* The array, borrowed until close; *count elements of `size` bytes. A missing one is AL_ENVIRONMENT ("remove FILE"). */
al_status al_store_get(const al_store *store, const char *name, size_t size, const void **array,
                       size_t *count) AL_MUST_USE;
const json_t *al_store_meta(const al_store *store); /* object, borrowed */

/* Writes to a temporary name in the same folder; commit renames (fsync first). Two processes making the same key is
 * fine: the last rename wins and both are equal. */
al_status al_store_create(al_store_writer **out, const char *kind, const char *key) AL_MUST_USE;
al_status al_store_put(al_store_writer *writer, const char *name, size_t size, const void *array,
                       size_t count) AL_MUST_USE;
/* Streaming: begin an array, append pieces, and it ends with the next begin/put/commit. */
al_status al_store_begin(al_store_writer *writer, const char *name, size_t size) AL_MUST_USE;
al_status al_store_append(al_store_writer *writer, const void *piece, size_t count) AL_MUST_USE;
al_status al_store_commit(al_store_writer *writer, const json_t *meta) AL_MUST_USE; /* frees the writer */
void al_store_abandon(al_store_writer *writer); /* removes the temporary file; NULL is fine */

#endif
