/* Distinct byte strings and their numbers, in order of first sight. Private to data. */
#ifndef AL_DATA_TERMMAP_H
#define AL_DATA_TERMMAP_H

#include "base/memory.h"

#include <stdint.h>

typedef struct al_termmap {
  al_buffer bytes; /* the strings, one behind the other */
  size_t *begin;   /* count + 1 */
  int32_t *slots;  /* open addressing; -1 = empty */
  size_t count, slot_count, begin_capacity;
} al_termmap;

void al_termmap_free(al_termmap *map);
/* *id of the string, added when new. */
al_status al_termmap_add(al_termmap *map, const char *text, size_t size, int32_t *id) AL_MUST_USE;
/* Its id, or -1. */
int32_t al_termmap_find(const al_termmap *map, const char *text, size_t size);

#endif
