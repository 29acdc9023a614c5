/* The candidates of `tune`. What is asked of a model's params is asked of each of them: the params around `tune` are
 * never fitted. */
#include "model/candidates.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_CANDIDATES = 64 };

static bool is_by_cv(const json_t *tune) {
  const json_t *by = json_object_get(tune, "by");
  return json_is_string(by) && strcmp(json_string_value(by), "cv") == 0;
}

al_status al_candidates_count(size_t *count, const json_t *params, const char *where) {
  const json_t *tune = json_object_get(params, "tune");
  const char *key;
  json_t *values;
  *count = 1;
  if (tune == NULL || json_is_null(tune)) return AL_OK;
  if (!json_is_object(tune)) return al_fail(AL_BAD_INPUT, "%s.tune: give {KEY: [values], by: cv}", where);
  if (!is_by_cv(tune))
    return al_fail(AL_BAD_INPUT, "%s.tune.by: give cv, the cross-validation on the labelled set", where);
  json_object_foreach((json_t *)(uintptr_t)tune, key, values) {
    if (strcmp(key, "by") == 0) continue;
    if (strcmp(key, "tune") == 0 || strcmp(key, "calibrate") == 0)
      return al_fail(AL_BAD_INPUT, "%s.tune: %s cannot be tuned", where, key);
    if (!json_is_array(values) || json_array_size(values) == 0)
      return al_fail(AL_BAD_INPUT, "%s.tune.%s: give a list of values", where, key);
    *count *= json_array_size(values);
    if (*count > MOST_CANDIDATES)
      return al_fail(AL_BAD_INPUT, "%s.tune: more than %d combinations", where, MOST_CANDIDATES);
  }
  if (json_object_size(tune) < 2) return al_fail(AL_BAD_INPUT, "%s.tune: names no key", where);
  return AL_OK;
}

/* `value` at a dotted path of fresh params. */
static al_status set_at(json_t *params, const char *path, const json_t *value) {
  const char *dot;
  while ((dot = strchr(path, '.')) != NULL) {
    char key[64];
    snprintf(key, sizeof key, "%.*s", (int)(dot - path), path);
    params = json_object_get(params, key);
    if (!json_is_object(params)) return al_fail(AL_BAD_INPUT, "there is no mapping '%s'", key);
    path = dot + 1;
  }
  return json_object_set_new(params, path, json_deep_copy(value)) == 0 ? AL_OK
                                                                       : al_fail(AL_ENVIRONMENT, "out of memory");
}

al_status al_candidate_given(json_t **out, char *text, size_t size, const json_t *params, size_t which,
                             const char *where) {
  const json_t *tune = json_object_get(params, "tune");
  json_t *given = json_deep_copy(params);
  const char *key;
  json_t *values;
  size_t used = 0;
  *out = NULL;
  if (text != NULL) *text = '\0';
  if (given == NULL) return al_fail(AL_ENVIRONMENT, "out of memory");
  json_object_foreach((json_t *)(uintptr_t)tune, key, values) {
    if (strcmp(key, "by") == 0) continue;
    size_t n = json_array_size(values);
    const json_t *value = json_array_get(values, which % n);
    which /= n;
    al_status status = set_at(given, key, value);
    if (status != AL_OK) {
      json_decref(given);
      return al_context(status, "%s.tune.%s", where, key);
    }
    if (text == NULL) continue;
    char *shown = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(6));
    if (used < size) used += (size_t)snprintf(text + used, size - used, "%s%s = %s", used == 0 ? "" : ", ", key, shown);
    free(shown);
  }
  *out = given;
  return AL_OK;
}

al_status al_candidate(json_t **out, char *text, size_t size, const al_model_type *type, const json_t *params,
                       size_t which, const char *where) {
  json_t *given = NULL;
  char inner[300];
  *out = NULL;
  al_status status = al_candidate_given(&given, text, size, params, which, where);
  if (status != AL_OK) return status;
  snprintf(inner, sizeof inner, "%s.tune", where);
  status = al_params_resolve(out, type->params, given, json_is_object(json_object_get(params, "tune")) ? inner : where);
  json_decref(given);
  return status;
}
