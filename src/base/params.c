/* One walk over a table of keys does checking, defaults and messages. */
#include "base/params.h"

#include "base/memory.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t edit_distance(const char *a, const char *b) {
  enum { LONGEST = 64 };
  size_t n = strlen(a), m = strlen(b), row[LONGEST + 1];
  if (n > LONGEST || m > LONGEST) return SIZE_MAX;
  for (size_t j = 0; j <= m; j++) row[j] = j;
  for (size_t i = 1; i <= n; i++) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= m; j++) {
      size_t best = diagonal + (a[i - 1] != b[j - 1]);
      if (row[j] + 1 < best) best = row[j] + 1;
      if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
      diagonal = row[j];
      row[j] = best;
    }
  }
  return row[m];
}

const char *al_nearest(const char *word, const char *const *candidates, size_t n) {
  const char *best = NULL;
  size_t best_distance = strlen(word) / 3 + 1;
  for (size_t i = 0; i < n; i++) {
    size_t distance = edit_distance(word, candidates[i]);
    if (distance <= best_distance && (best == NULL || distance < best_distance)) {
      best = candidates[i];
      best_distance = distance;
    }
  }
  return best;
}

static size_t table_size(const al_param *table) {
  size_t n = 0;
  while (table[n].key != NULL) n++;
  return n;
}

static al_status unknown_key(const al_param *table, const char *key, const char *where) {
  enum { MOST = 64 };
  const char *keys[MOST] = {0};
  size_t n = table_size(table);
  if (n > MOST) n = MOST;
  for (size_t i = 0; i < n; i++) keys[i] = table[i].key;
  const char *nearest = al_nearest(key, keys, n);
  if (nearest != NULL) return al_fail(AL_BAD_INPUT, "%s: unknown key '%s'; did you mean '%s'?", where, key, nearest);
  char list[400] = "";
  size_t used = 0;
  for (size_t i = 0; i < n && used < sizeof list - 40; i++)
    used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", keys[i]);
  return al_fail(AL_BAD_INPUT, "%s: unknown key '%s'; known keys: %s", where, key, n == 0 ? "none" : list);
}

static bool is_choice(const char *choices, const char *value) {
  size_t length = strlen(value);
  for (const char *at = choices; at != NULL; at = strchr(at, '|')) {
    if (*at == '|') at++;
    if (strncmp(at, value, length) == 0 && (at[length] == '|' || at[length] == '\0')) return true;
  }
  return false;
}

static al_status wrong_type(const al_param *param, const char *where, const char *wanted) {
  return al_fail(AL_BAD_INPUT, "%s.%s: must be %s", where, param->key, wanted);
}

static al_status check_number(const al_param *param, double value, const char *where) {
  bool limited = param->min != 0.0 || param->max != 0.0;
  if (!isfinite(value)) return al_fail(AL_BAD_INPUT, "%s.%s: must be a finite number", where, param->key);
  if (limited && (value < param->min || value > param->max)) {
    if (param->max >= 1e15)
      return al_fail(AL_BAD_INPUT, "%s.%s: %g is out of range; give a value of at least %g", where, param->key, value,
                     param->min);
    return al_fail(AL_BAD_INPUT, "%s.%s: %g is out of range; give a value from %g to %g", where, param->key, value,
                   param->min, param->max);
  }
  return AL_OK;
}

static al_status check_value(json_t **out, const al_param *param, const json_t *value, const char *where) {
  *out = NULL;
  if (json_is_null(value) && param->fallback != NULL && strcmp(param->fallback, "null") == 0) {
    *out = json_null();
    return AL_OK;
  }
  al_status status = AL_OK;
  switch (param->type) {
  case AL_PARAM_BOOL:
    if (!json_is_boolean(value)) return wrong_type(param, where, "true or false");
    break;
  case AL_PARAM_INT:
    if (!json_is_integer(value)) return wrong_type(param, where, "a whole number");
    status = check_number(param, (double)json_integer_value(value), where);
    break;
  case AL_PARAM_REAL:
    if (!json_is_number(value)) return wrong_type(param, where, "a number");
    status = check_number(param, json_number_value(value), where);
    /* 1 and 1.0 must hash alike */
    if (status == AL_OK && (*out = json_real(json_number_value(value))) == NULL)
      return al_fail(AL_ENVIRONMENT, "out of memory");
    return status;
  case AL_PARAM_STRING:
    if (!json_is_string(value)) return wrong_type(param, where, "a text");
    break;
  case AL_PARAM_CHOICE:
    if (!json_is_string(value) || !is_choice(param->choices, json_string_value(value)))
      return al_fail(AL_BAD_INPUT, "%s.%s: %s%s%s is not one of %s", where, param->key,
                     json_is_string(value) ? "'" : "", json_is_string(value) ? json_string_value(value) : "this",
                     json_is_string(value) ? "'" : "", param->choices);
    break;
  case AL_PARAM_LIST:
    if (!json_is_array(value)) return wrong_type(param, where, "a list");
    break;
  case AL_PARAM_MAP:
    if (!json_is_object(value)) return wrong_type(param, where, "a mapping");
    if (param->table != NULL) {
      char inner[512];
      snprintf(inner, sizeof inner, "%s.%s", where, param->key);
      return al_params_resolve(out, param->table, value, inner);
    }
    break;
  case AL_PARAM_ANY: break;
  }
  if (status == AL_OK && (*out = json_deep_copy(value)) == NULL) return al_fail(AL_ENVIRONMENT, "out of memory");
  return status;
}

al_status al_params_resolve(json_t **out, const al_param *table, const json_t *given, const char *where) {
  *out = NULL;
  if (given != NULL && !json_is_object(given)) return al_fail(AL_BAD_INPUT, "%s: must be a mapping", where);
  const char *key;
  json_t *value;
  json_object_foreach((json_t *)given, key, value) {
    size_t i = 0;
    while (table[i].key != NULL && strcmp(table[i].key, key) != 0) i++;
    if (table[i].key == NULL) return unknown_key(table, key, where);
  }
  json_t *resolved = json_object();
  al_status status = resolved == NULL ? al_fail(AL_ENVIRONMENT, "out of memory") : AL_OK;
  for (const al_param *param = table; status == AL_OK && param->key != NULL; param++) {
    const json_t *found = given == NULL ? NULL : json_object_get(given, param->key);
    json_t *checked = NULL;
    if (found != NULL) {
      status = check_value(&checked, param, found, where);
    } else if (param->fallback == NULL) {
      status = al_fail(AL_BAD_INPUT, "%s: the key '%s' is missing (%s)", where, param->key, param->help);
    } else {
      json_t *fallback = json_loads(param->fallback, JSON_DECODE_ANY, NULL);
      assert(fallback != NULL && "a table's fallback must be JSON");
      status = check_value(&checked, param, fallback, where);
      json_decref(fallback);
    }
    if (status == AL_OK && json_object_set_new(resolved, param->key, checked) != 0)
      status = al_fail(AL_ENVIRONMENT, "out of memory");
  }
  if (status != AL_OK) {
    json_decref(resolved);
    return status;
  }
  *out = resolved;
  return AL_OK;
}

al_status al_params_nondefault(json_t **out, const al_param *table, const json_t *params) {
  json_t *defaults = NULL;
  *out = json_object();
  if (*out == NULL) return al_fail(AL_ENVIRONMENT, "out of memory");
  for (const al_param *param = table; param->key != NULL; param++) {
    const json_t *value = json_object_get(params, param->key);
    if (value == NULL) continue;
    json_t *kept = NULL;
    if (param->type == AL_PARAM_MAP && param->table != NULL && json_is_object(value)) {
      al_status status = al_params_nondefault(&kept, param->table, value);
      if (status != AL_OK) {
        json_decref(*out);
        *out = NULL;
        return status;
      }
      if (json_object_size(kept) == 0) {
        json_decref(kept);
        continue;
      }
    } else {
      defaults = param->fallback == NULL ? NULL : json_loads(param->fallback, JSON_DECODE_ANY, NULL);
      bool same = defaults != NULL &&
                  (json_equal(defaults, value) || (json_is_number(defaults) && json_is_number(value) &&
                                                   json_number_value(defaults) == json_number_value(value)));
      json_decref(defaults);
      if (same) continue;
      kept = json_deep_copy(value);
    }
    if (json_object_set_new(*out, param->key, kept) != 0) {
      json_decref(*out);
      *out = NULL;
      return al_fail(AL_ENVIRONMENT, "out of memory");
    }
  }
  return AL_OK;
}

int64_t al_params_int(const json_t *params, const char *key) {
  const json_t *value = json_object_get(params, key);
  assert(json_is_integer(value));
  return json_integer_value(value);
}

double al_params_real(const json_t *params, const char *key) {
  const json_t *value = json_object_get(params, key);
  assert(json_is_number(value));
  return json_number_value(value);
}

bool al_params_bool(const json_t *params, const char *key) {
  const json_t *value = json_object_get(params, key);
  assert(json_is_boolean(value));
  return json_boolean_value(value);
}

const char *al_params_string(const json_t *params, const char *key) {
  const json_t *value = json_object_get(params, key);
  assert(json_is_string(value) || json_is_null(value));
  return json_string_value(value);
}
