/* Parameters of strategies beyond what a table can check: sub-strategies, and files. One walk over the keys that name
 * sub-strategies serves them all. */
#include "strategy/composed.h"

#include "base/memory.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_WHERE = 600, MOST_NAMES = 256 };

static const al_param child_keys[] = {
    {.key = "name", .type = AL_PARAM_STRING, .help = "a strategy's name"},
    {.key = "params", .type = AL_PARAM_ANY, .fallback = "{}", .help = "its parameters (alab explain NAME)"},
    {0}};

static al_status unknown_name(const char *name, const char *where) {
  const char *names[MOST_NAMES];
  size_t n = 0;
  while (al_strategies[n] != NULL && n < MOST_NAMES) {
    names[n] = al_strategies[n]->name;
    n++;
  }
  const char *nearest = al_nearest(name, names, n);
  if (nearest != NULL)
    return al_fail(AL_BAD_INPUT, "%s: unknown strategy '%s'; did you mean '%s'?", where, name, nearest);
  return al_fail(AL_BAD_INPUT, "%s: unknown strategy '%s'; see alab list strategies", where, name);
}

/* A name or {name, params} -> {name, params} in full. */
static al_status settle_child(json_t **out, const json_t *given, const char *where) {
  al_status status;
  json_t *mapping = NULL, *outer = NULL, *params = NULL;
  char inner[MOST_WHERE];
  *out = NULL;
  if (!json_is_string(given) && !json_is_object(given))
    return al_fail(AL_BAD_INPUT, "%s: give a strategy's name, or {name, params}", where);
  mapping = json_is_string(given) ? json_pack("{s:O}", "name", given) : json_deep_copy(given);
  if (mapping == NULL) return al_fail(AL_ENVIRONMENT, "out of memory");
  AL_TRY(al_params_resolve(&outer, child_keys, mapping, where));
  const char *name = al_params_string(outer, "name");
  const al_strategy *strategy = al_strategy_find(name);
  if (strategy == NULL) {
    status = unknown_name(name, where);
    goto done;
  }
  snprintf(inner, sizeof inner, "%s.params", where);
  AL_TRY(al_params_resolve(&params, strategy->params, json_object_get(outer, "params"), inner));
  AL_TRY(al_strategy_settle(strategy, params, inner));
  *out = json_pack("{s:s,s:O}", "name", name, "params", params);
  if (*out == NULL) status = al_fail(AL_ENVIRONMENT, "out of memory");
done:
  json_decref(mapping);
  json_decref(outer);
  json_decref(params);
  return status;
}

static al_status settle_list(json_t *list, const char *where) {
  for (size_t i = 0; i < json_array_size(list); i++) {
    char inner[MOST_WHERE];
    json_t *settled = NULL;
    snprintf(inner, sizeof inner, "%s[%zu]", where, i);
    al_status status = settle_child(&settled, json_array_get(list, i), inner);
    if (status != AL_OK) return status;
    if (json_array_set_new(list, i, settled) != 0) return al_fail(AL_ENVIRONMENT, "out of memory");
  }
  return AL_OK;
}

al_status al_strategy_settle(const al_strategy *strategy, json_t *params, const char *where) {
  for (size_t i = 0; strategy->children != NULL && strategy->children[i] != NULL; i++) {
    const char *key = strategy->children[i];
    json_t *value = json_object_get(params, key), *settled = NULL;
    char inner[MOST_WHERE];
    snprintf(inner, sizeof inner, "%s.%s", where, key);
    al_status status = json_is_array(value) ? settle_list(value, inner) : settle_child(&settled, value, inner);
    if (status != AL_OK) return status;
    if (settled != NULL && json_object_set_new(params, key, settled) != 0)
      return al_fail(AL_ENVIRONMENT, "out of memory");
  }
  return strategy->check == NULL ? AL_OK : strategy->check(params, where);
}

/* ---- reading settled parameters ---- */

size_t al_child_count(const al_strategy *strategy, const json_t *params) {
  size_t n = 0;
  for (size_t i = 0; strategy->children != NULL && strategy->children[i] != NULL; i++) {
    const json_t *value = json_object_get(params, strategy->children[i]);
    n += json_is_array(value) ? json_array_size(value) : 1;
  }
  return n;
}

al_child al_child_at(const al_strategy *strategy, const json_t *params, size_t index) {
  const json_t *found = NULL;
  for (size_t i = 0; found == NULL && strategy->children[i] != NULL; i++) {
    const json_t *value = json_object_get(params, strategy->children[i]);
    size_t n = json_is_array(value) ? json_array_size(value) : 1;
    if (index < n)
      found = json_is_array(value) ? json_array_get(value, index) : value;
    else
      index -= n;
  }
  assert(found != NULL && json_is_object(found) && "parameters must be settled");
  al_child child = {al_strategy_find(al_params_string(found, "name")), json_object_get(found, "params")};
  assert(child.strategy != NULL);
  return child;
}

unsigned al_children_need(const al_strategy *strategy, const json_t *params) {
  unsigned needs = 0;
  for (size_t i = 0; i < al_child_count(strategy, params); i++) {
    al_child child = al_child_at(strategy, params, i);
    needs |= child.strategy->needs(child.params);
  }
  return needs;
}

bool al_strategy_adapts(const al_strategy *strategy, const json_t *params) {
  bool adapts = strategy->adaptive;
  for (size_t i = 0; !adapts && i < al_child_count(strategy, params); i++) {
    al_child child = al_child_at(strategy, params, i);
    adapts = al_strategy_adapts(child.strategy, child.params);
  }
  return adapts;
}

bool al_strategy_takes_multi(const al_strategy *strategy, const json_t *params) {
  bool takes = strategy->multi;
  for (size_t i = 0; takes && i < al_child_count(strategy, params); i++) {
    al_child child = al_child_at(strategy, params, i);
    takes = al_strategy_takes_multi(child.strategy, child.params);
  }
  return takes;
}

al_status al_check_children(const al_strategy *strategy, const json_t *params, const char *key, const char *where) {
  const json_t *list = json_object_get(params, key);
  size_t n = json_array_size(list);
  if (n < 2 || n > 64)
    return al_fail(AL_BAD_INPUT, "%s.%s: %zu given; %s needs 2 to 64 of them", where, key, n, strategy->name);
  for (size_t i = 0; i < n; i++) {
    const json_t *item = json_array_get(list, i);
    const al_strategy *child = al_strategy_find(al_params_string(item, "name"));
    if (child != NULL && al_strategy_adapts(child, json_object_get(item, "params")))
      return al_fail(AL_BAD_INPUT,
                     "%s.%s[%zu]: %s learns from the rounds that it chose, and in %s others choose too; use it alone, "
                     "or inside schedule or subsample",
                     where, key, i, child->name, strategy->name);
  }
  return AL_OK;
}

al_status al_strategy_check_batch(const al_strategy *strategy, const json_t *params, size_t batch, const char *where) {
  if (strategy->check_batch != NULL) return strategy->check_batch(params, batch, where);
  return al_children_check_batch(strategy, params, batch, where);
}

al_status al_children_check_batch(const al_strategy *strategy, const json_t *params, size_t batch, const char *where) {
  al_status status = AL_OK;
  for (size_t i = 0; status == AL_OK && i < al_child_count(strategy, params); i++) {
    al_child child = al_child_at(strategy, params, i);
    status = al_strategy_check_batch(child.strategy, child.params, batch, where);
  }
  return status;
}

al_status al_strategy_files(json_t **out, const al_strategy *strategy, const json_t *params, const char *base,
                            const char *where) {
  *out = json_object();
  if (*out == NULL) return al_fail(AL_ENVIRONMENT, "out of memory");
  al_status status = strategy->files == NULL ? AL_OK : strategy->files(*out, params, base, where);
  for (size_t i = 0; status == AL_OK && i < al_child_count(strategy, params); i++) {
    al_child child = al_child_at(strategy, params, i);
    json_t *of_child = NULL;
    status = al_strategy_files(&of_child, child.strategy, child.params, base, where);
    if (status == AL_OK && json_object_update(*out, of_child) != 0) status = al_fail(AL_ENVIRONMENT, "out of memory");
    json_decref(of_child);
  }
  if (status != AL_OK) {
    json_decref(*out);
    *out = NULL;
  }
  return status;
}

static al_status nondefault_child(json_t **out, const json_t *child) {
  const al_strategy *strategy = al_strategy_find(al_params_string(child, "name"));
  json_t *params = NULL;
  assert(strategy != NULL);
  al_status status = al_strategy_nondefault(&params, strategy, json_object_get(child, "params"));
  if (status != AL_OK) return status;
  *out = json_pack("{s:s,s:o}", "name", strategy->name, "params", params);
  return *out == NULL ? al_fail(AL_ENVIRONMENT, "out of memory") : AL_OK;
}

al_status al_strategy_nondefault(json_t **out, const al_strategy *strategy, const json_t *params) {
  al_status status = al_params_nondefault(out, strategy->params, params);
  for (size_t i = 0; status == AL_OK && strategy->children != NULL && strategy->children[i] != NULL; i++) {
    json_t *value = json_object_get(*out, strategy->children[i]), *short_form = NULL;
    if (json_is_array(value)) {
      for (size_t j = 0; status == AL_OK && j < json_array_size(value); j++) {
        status = nondefault_child(&short_form, json_array_get(value, j));
        if (status == AL_OK) json_array_set_new(value, j, short_form);
      }
    } else if (value != NULL) {
      status = nondefault_child(&short_form, value);
      if (status == AL_OK) json_object_set_new(*out, strategy->children[i], short_form);
    }
  }
  if (status != AL_OK) {
    json_decref(*out);
    *out = NULL;
  }
  return status;
}
