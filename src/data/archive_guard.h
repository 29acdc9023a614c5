/* What walking any archive has in common: how much of it there may be, each name once, and what is said when it is
 * otherwise. The formats are libarchive's; private to data. */
#ifndef AL_DATA_ARCHIVE_GUARD_H
#define AL_DATA_ARCHIVE_GUARD_H

#include "base/memory.h"
#include "base/status.h"
#include "data/termmap.h"

#include <archive.h>

typedef struct al_archive_guard {
  const char *path;          /* for messages */
  al_status status;          /* of what is refused */
  const char *broken, *mend; /* "..: <broken> (<libarchive's reason>)<mend>" */
  size_t left;               /* bytes that may still be unpacked */
  al_termmap seen;
  al_buffer bytes; /* of the entry at hand, and a NUL behind */
} al_archive_guard;

al_status al_archive_refuse(const al_archive_guard *guard, const char *entry, const char *why) AL_MUST_USE;
al_status al_archive_broken(const al_archive_guard *guard, struct archive *archive) AL_MUST_USE;
/* Takes bytes off what is left. */
al_status al_archive_take(al_archive_guard *guard, const char *entry, size_t size) AL_MUST_USE;
/* A name once, and 512 bytes for it, so that millions of empty entries are no way around the limit. */
al_status al_archive_count(al_archive_guard *guard, const char *entry) AL_MUST_USE;
/* The entry at hand, whole, into guard->bytes. */
al_status al_archive_read(al_archive_guard *guard, const char *entry, struct archive *archive) AL_MUST_USE;
void al_archive_guard_free(al_archive_guard *guard);

#endif
