/* Lines of a log as text: dumping, digests, and reading a whole file back with everything checked. Private to record.
 */
#ifndef AL_RECORD_LINES_H
#define AL_RECORD_LINES_H

#include "base/memory.h"
#include "base/status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* Compact, insertion order, reals with 17 significant digits. */
al_status al_line_dump(al_buffer *text, const json_t *line) AL_MUST_USE;

/* XXH3-128 over `chain` and the dump of the line without its member "digest". */
al_status al_line_digest(const json_t *line, const char *chain, char hex[33]) AL_MUST_USE;

typedef struct al_lines {
  json_t *header, *rounds /* array */, *end;
  size_t *starts, count, capacity; /* byte offset of each whole line */
  size_t whole_bytes;
  bool torn; /* bytes follow the last whole line */
} al_lines;

/* Reads and checks a log: one JSON object a line, schema, digests and their chain, rounds numbered from 0, nothing
 * after the end line. An edited log is AL_BAD_INPUT "path:line: ...". A torn last line (no newline) is no error. An
 * empty file has no header. At most 1 GiB. */
al_status al_lines_read(al_lines *lines, const char *path) AL_MUST_USE;
void al_lines_free(al_lines *lines);

#endif
