/* Walking archives and compressed files without writing anything: tar with any filter, or a single compressed or plain
 * file. Archives are hostile until checked: `..`, absolute paths, links, devices, repeated names, and more bytes than
 * allowed are refused before the callback sees the entry. */
#ifndef AL_DATA_UNPACK_H
#define AL_DATA_UNPACK_H

#include "base/status.h"

#include <stddef.h>

/* name: path inside the archive (for a single file: the file's name without .gz or .xz). bytes: size and a NUL behind.
 */
typedef al_status (*al_unpack_visit)(void *context, const char *name, const char *bytes, size_t size);

/* file_name: what the file is called when it has its place (a .part file has another path). limit: most unpacked bytes
 * in all, 512 a tar entry included. Truncated or corrupted: AL_ENVIRONMENT that names `alab fetch`. */
al_status al_unpack(const char *path, const char *file_name, size_t limit, al_unpack_visit visit,
                    void *context) AL_MUST_USE;

#endif
