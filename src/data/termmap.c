/* Open addressing on XXH3, at most half full. */
#include "data/termmap.h"

#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

void al_termmap_free(al_termmap *map) {
  al_buffer_free(&map->bytes);
  free(map->begin);
  free(map->slots);
  *map = (al_termmap){0};
}

static size_t slot_of(const al_termmap *map, const char *text, size_t size) {
  size_t mask = map->slot_count - 1, slot = (size_t)XXH3_64bits(text, size) & mask;
  for (;; slot = (slot + 1) & mask) {
    int32_t id = map->slots[slot];
    if (id < 0) return slot;
    size_t begin = map->begin[id];
    if (map->begin[id + 1] - begin == size && memcmp(map->bytes.data + begin, text, size) == 0) return slot;
  }
}

static al_status grow(al_termmap *map) {
  size_t wanted = map->slot_count == 0 ? 1024 : map->slot_count * 2;
  int32_t *slots = NULL;
  al_status status = AL_NEW(&slots, wanted);
  if (status != AL_OK) return status;
  memset(slots, 0xff, wanted * sizeof *slots);
  free(map->slots);
  map->slots = slots;
  map->slot_count = wanted;
  for (size_t id = 0; id < map->count; id++) {
    size_t begin = map->begin[id];
    map->slots[slot_of(map, map->bytes.data + begin, map->begin[id + 1] - begin)] = (int32_t)id;
  }
  return AL_OK;
}

al_status al_termmap_add(al_termmap *map, const char *text, size_t size, int32_t *id) {
  al_status status;
  if (2 * (map->count + 1) > map->slot_count) AL_TRY(grow(map));
  size_t slot = slot_of(map, text, size);
  if (map->slots[slot] >= 0) {
    *id = map->slots[slot];
    return AL_OK;
  }
  if (map->count == INT32_MAX - 1) return al_fail(AL_BAD_INPUT, "more than 2^31 distinct terms");
  AL_TRY(al_grow(&map->begin, &map->begin_capacity, map->count + 2, sizeof *map->begin));
  if (map->count == 0) map->begin[0] = 0;
  AL_TRY(al_buffer_append(&map->bytes, text, size));
  *id = map->slots[slot] = (int32_t)map->count++;
  map->begin[map->count] = map->bytes.size;
done:
  return status;
}

int32_t al_termmap_find(const al_termmap *map, const char *text, size_t size) {
  return map->count == 0 ? -1 : map->slots[slot_of(map, text, size)];
}
