/* The catalogue file and what is installed of it. */
#include "data/catalogue.h"

#include "base/file.h"
#include "base/yaml.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

enum { MOST_CATALOGUE = 1 << 20 };

/* Read once: the catalogue does not change during a run, and every dataset entry asks for it. */
static json_t *loaded;

static void forget(void) {
  json_decref(loaded);
  loaded = NULL;
}

static const char *catalogue_path(void) {
  const char *chosen = getenv("ALAB_CATALOGUE");
  if (chosen != NULL && *chosen != '\0') return chosen;
  if (al_file_exists("datasets/catalogue.yaml")) return "datasets/catalogue.yaml";
  return ALAB_SOURCE_DIR "/datasets/catalogue.yaml";
}

al_status al_catalogue(const json_t **out) {
  if (loaded == NULL) {
    char *text = NULL;
    size_t size = 0;
    const char *path = catalogue_path();
    al_status status = al_file_read(&text, &size, path, MOST_CATALOGUE);
    if (status == AL_OK) status = al_yaml_parse(&loaded, NULL, text, size, path);
    free(text);
    if (status != AL_OK) return status;
    atexit(forget);
  }
  *out = loaded;
  return AL_OK;
}

const json_t *al_catalogue_find(const json_t *catalogue, const char *name, const char **section) {
  static const char *const sections[] = {"datasets", "models"};
  for (size_t i = 0; i < 2; i++) {
    const json_t *entry = json_object_get(json_object_get(catalogue, sections[i]), name);
    if (entry == NULL) continue;
    if (section != NULL) *section = sections[i];
    return entry;
  }
  return NULL;
}

al_status al_installed_find(al_installed *out, const char *name, const json_t *entry) {
  al_status status = AL_OK;
  char cache[PATH_MAX - 400];
  *out = (al_installed){.limit = (size_t)json_integer_value(json_object_get(entry, "unpacked"))};
  AL_TRY(al_cache_folder(cache, sizeof cache));
  const json_t *alternatives = json_object_get(entry, "alternatives");
  for (size_t a = 0; out->n == 0 && a < json_array_size(alternatives); a++) {
    const json_t *files = json_object_get(json_array_get(alternatives, a), "files");
    size_t count = json_array_size(files), found = 0;
    XXH3_state_t state;
    XXH3_128bits_reset(&state);
    for (size_t i = 0; i < count && i < sizeof out->files / sizeof *out->files; i++) {
      const char *file = json_string_value(json_object_get(json_array_get(files, i), "file"));
      al_raw_file *raw = &out->files[i];
      snprintf(raw->name, sizeof raw->name, "%s", file);
      snprintf(raw->path, sizeof raw->path, "%s/raw/%s/%s", cache, name, file);
      /* what was checked when the file got its name stands beside it */
      char *mark_path = NULL, *mark = NULL;
      size_t size = 0;
      AL_TRY(al_format(&mark_path, "%s.checked", raw->path));
      if (al_file_exists(raw->path) && al_file_exists(mark_path) &&
          al_file_read(&mark, &size, mark_path, 4096) == AL_OK) {
        XXH3_128bits_update(&state, file, strlen(file) + 1);
        XXH3_128bits_update(&state, mark, size);
        found++;
      }
      free(mark_path);
      free(mark);
    }
    if (found != count || count == 0) continue;
    out->n = count;
    XXH128_hash_t hash = XXH3_128bits_digest(&state);
    snprintf(out->identity, sizeof out->identity, "%016llx%016llx", (unsigned long long)hash.high64,
             (unsigned long long)hash.low64);
  }
done:
  return status;
}
