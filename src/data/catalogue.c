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

enum { MOST_CATALOGUE = 1 << 20, MOST_FILES = sizeof((al_installed *)0)->files / sizeof(al_raw_file) };

/* A name that is a file or folder of its own: no path, no hidden file, not one of fetch's own. */
static bool good_name(const char *name) {
  if (name == NULL || *name == '\0' || *name == '.' || strlen(name) >= sizeof((al_raw_file *)0)->name) return false;
  for (const char *at = name; *at != '\0'; at++)
    if (*at == '/' || (unsigned char)*at < 0x21 || *at == 0x7f) return false;
  return true;
}

static al_status check_file_spec(const json_t *file, const char *where) {
  static const char *const checksums[] = {"sha256", "md5"};
  static const size_t lengths[] = {64, 32};
  if (!good_name(json_string_value(json_object_get(file, "file"))))
    return al_fail(AL_BAD_INPUT, "%s: every file needs a name (key file) without / and of at most 63 bytes", where);
  const json_t *recorded = json_object_get(file, "recorded");
  if (recorded != NULL && (!json_is_string(recorded) || strcmp(json_string_value(recorded), "first-use") != 0))
    return al_fail(AL_BAD_INPUT, "%s: recorded: the only value is first-use", where);
  bool checked = recorded != NULL || json_is_object(json_object_get(file, "content"));
  for (size_t i = 0; i < 2; i++) {
    const char *hex = json_string_value(json_object_get(file, checksums[i]));
    if (json_object_get(file, checksums[i]) == NULL) continue;
    if (hex == NULL || strlen(hex) != lengths[i] || strspn(hex, "0123456789abcdef") != lengths[i])
      return al_fail(AL_BAD_INPUT, "%s: a %s has %zu lower-case hexadecimal digits", where, checksums[i], lengths[i]);
    checked = true;
  }
  if (!checked) return al_fail(AL_BAD_INPUT, "%s: every file needs sha256, md5, content or recorded: first-use", where);
  const char *member;
  json_t *digest;
  json_object_foreach(json_object_get(file, "content"), member,
                      digest) if (json_string_length(digest) !=
                                  64) return al_fail(AL_BAD_INPUT, "%s: content: '%s' needs a sha256", where, member);
  return AL_OK;
}

static al_status check_entry(const json_t *entry, bool dataset, const char *where) {
  static const char *const texts[] = {"kind", "format"};
  for (size_t i = 0; i < (dataset ? 2u : 1u); i++)
    if (!json_is_string(json_object_get(entry, texts[i])))
      return al_fail(AL_BAD_INPUT, "%s: the key '%s' is missing", where, texts[i]);
  static const char *const numbers[] = {"unpacked", "train", "test", "classes"};
  for (size_t i = 0; i < (dataset ? 4u : 1u); i++)
    if (json_integer_value(json_object_get(entry, numbers[i])) < (i == 2 ? 0 : 1))
      return al_fail(AL_BAD_INPUT, "%s: the key '%s' must be a number of at least %d", where, numbers[i], i != 2);
  const json_t *alternatives = json_object_get(entry, "alternatives");
  if (json_array_size(alternatives) == 0) return al_fail(AL_BAD_INPUT, "%s: no alternatives", where);
  for (size_t a = 0; a < json_array_size(alternatives); a++) {
    const json_t *files = json_object_get(json_array_get(alternatives, a), "files");
    if (json_array_size(files) == 0 || json_array_size(files) > MOST_FILES)
      return al_fail(AL_BAD_INPUT, "%s: an alternative has 1 to %d files", where, MOST_FILES);
    for (size_t i = 0; i < json_array_size(files); i++) {
      al_status status = check_file_spec(json_array_get(files, i), where);
      if (status != AL_OK) return status;
    }
  }
  return AL_OK;
}

static al_status check_catalogue(const json_t *catalogue, const char *path) {
  static const char *const sections[] = {"datasets", "models"};
  if (!json_is_object(catalogue)) return al_fail(AL_BAD_INPUT, "%s: not a mapping with datasets and models", path);
  for (size_t i = 0; i < 2; i++) {
    const char *name;
    json_t *entry;
    json_object_foreach(json_object_get(catalogue, sections[i]), name, entry) {
      char where[600];
      snprintf(where, sizeof where, "%s: %s.%s", path, sections[i], name);
      if (!good_name(name)) return al_fail(AL_BAD_INPUT, "%s: not a usable name", where);
      al_status status = check_entry(entry, i == 0, where);
      if (status != AL_OK) return status;
    }
  }
  return AL_OK;
}

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
    if (status == AL_OK) status = check_catalogue(loaded, path);
    free(text);
    if (status != AL_OK) forget();
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
    for (size_t i = 0; i < count; i++) {
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
