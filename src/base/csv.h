/* Reading CSV from strangers. */
#ifndef AL_BASE_CSV_H
#define AL_BASE_CSV_H

#include "base/memory.h"
#include "base/status.h"

#include <stddef.h>

/* RFC 4180 CSV: quoted fields, doubled quotes, CR LF or LF; a byte order mark and blank lines are passed over. visit is
 * called a record: n fields (at most 10,000; NUL bytes in them are kept) and the line it began on. Errors, those of
 * visit too, get "name: " in front. O(size). */
typedef al_status (*al_csv_visit)(void *context, const al_buffer *fields, size_t n, size_t line);
al_status al_csv_parse(const char *text, size_t size, const char *name, al_csv_visit visit, void *context) AL_MUST_USE;

#endif
