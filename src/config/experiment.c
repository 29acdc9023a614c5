/* The experiment contract. One table says which keys there are; each axis is then normalised to a list of labelled
 * entries, so that nobody downstream meets "a name or a mapping" again. */
#include "config/experiment.h"

#include "base/file.h"
#include "base/memory.h"
#include "base/yaml.h"

#include <assert.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const al_param top_keys[] = {
    {.key = "study", .type = AL_PARAM_STRING, .help = "name of the study and of its results folder"},
    {.key = "seed",
     .type = AL_PARAM_INT,
     .fallback = "1",
     .min = 0,
     .max = 9e15,
     .help = "master seed of every stream"},
    {.key = "replicates",
     .type = AL_PARAM_INT,
     .fallback = "null",
     .min = 1,
     .max = 10000,
     .help = "paired repeats (null: 10, and 5 for fine-tuned models)"},
    {.key = "datasets", .type = AL_PARAM_LIST, .help = "names, or mappings with name and options"},
    {.key = "models", .type = AL_PARAM_LIST, .help = "names, or mappings with name and options"},
    {.key = "strategies", .type = AL_PARAM_LIST, .help = "names, or mappings {name, as, params}"},
    {.key = "initial", .type = AL_PARAM_ANY, .fallback = "{}", .help = "the initial labelled set; a list is an axis"},
    {.key = "query", .type = AL_PARAM_ANY, .fallback = "{}", .help = "batch and rounds; a list is an axis"},
    {.key = "stop", .type = AL_PARAM_ANY, .fallback = "{}", .help = "when a cell ends; the first that fires"},
    {.key = "observe", .type = AL_PARAM_LIST, .fallback = "[]", .help = "stopping rules that are only logged"},
    {.key = "oracle", .type = AL_PARAM_ANY, .fallback = "{}", .help = "who answers; a list is an axis"},
    {.key = "cost", .type = AL_PARAM_ANY, .fallback = "{}", .help = "what an answer costs; a list is an axis"},
    {.key = "holdout",
     .type = AL_PARAM_ANY,
     .fallback = "{}",
     .help = "rows of the pool that are paid for, never queried"},
    {.key = "evaluate", .type = AL_PARAM_ANY, .fallback = "{}", .help = "what is evaluated each round"},
    {0}};

static const al_param initial_keys[] = {
    {.key = "as", .type = AL_PARAM_STRING, .fallback = "null", .help = "label of this axis entry"},
    {.key = "size",
     .type = AL_PARAM_INT,
     .fallback = "100",
     .min = 1,
     .max = 1e9,
     .help = "labels before the first query"},
    {.key = "method",
     .type = AL_PARAM_STRING,
     .fallback = "\"random\"",
     .help = "random, stratified, or a strategy that needs features or tokens only"},
    {0}};

static const al_param query_keys[] = {
    {.key = "as", .type = AL_PARAM_STRING, .fallback = "null", .help = "label of this axis entry"},
    {.key = "batch", .type = AL_PARAM_INT, .fallback = "50", .min = 1, .max = 1e9, .help = "labels a round"},
    {.key = "rounds",
     .type = AL_PARAM_INT,
     .fallback = "null",
     .min = 1,
     .max = 1e9,
     .help = "rounds after the initial one"},
    {0}};

static const al_param stop_keys[] = {
    {.key = "labels",
     .type = AL_PARAM_REAL,
     .fallback = "null",
     .min = 1e-9,
     .max = 1e9,
     .help = "labels in all, hold-out included; below 1 a share of the pool"},
    {.key = "cost", .type = AL_PARAM_REAL, .fallback = "null", .min = 1e-9, .max = 1e15, .help = "cost in all"},
    {.key = "rounds",
     .type = AL_PARAM_INT,
     .fallback = "null",
     .min = 1,
     .max = 1e9,
     .help = "rounds after the initial one"},
    {.key = "accuracy",
     .type = AL_PARAM_REAL,
     .fallback = "null",
     .min = 1e-9,
     .max = 1,
     .help = "accuracy on the hold-out"},
    {0}};

static const al_param holdout_keys[] = {
    {.key = "size", .type = AL_PARAM_INT, .fallback = "0", .min = 0, .max = 1e9, .help = "rows held out of the pool"},
    {.key = "from", .type = AL_PARAM_CHOICE, .fallback = "\"pool\"", .choices = "pool", .help = "where they come from"},
    {0}};

static const al_param evaluate_keys[] = {
    {.key = "shifts", .type = AL_PARAM_LIST, .fallback = "[]", .help = "test variants; none exist yet"},
    {.key = "sample",
     .type = AL_PARAM_INT,
     .fallback = "0",
     .min = 0,
     .max = 1e9,
     .help = "test rows evaluated, a stratified sample once a study; 0 = all"},
    {0}};

typedef struct {
  al_experiment *e;
  const al_vocabulary *vocabulary;
  al_marks marks;
} reader;

/* "file:line: path", with the line of the node at `path`; text is reused by the next call. */
static const char *place(const reader *r, const char *path) {
  static _Thread_local char text[512];
  snprintf(text, sizeof text, "%s:%zu: %s", r->e->path, al_marks_line(&r->marks, path), path);
  return text;
}

/* The messages of al_params_resolve name keys below `where`; the line of the key itself is better than its parent's. */
static al_status resolve(const reader *r, json_t **out, const al_param *table, const json_t *given, const char *path) {
  const char *key;
  json_t *value;
  /* one key at a time, so that the error's line is the key's */
  if (json_is_object(given)) {
    json_object_foreach((json_t *)(uintptr_t)given, key, value) {
      json_t *one = json_pack("{s:O}", key, value), *ignored = NULL;
      char inner[400];
      snprintf(inner, sizeof inner, "%s%s%s", path, *path == '\0' ? "" : ".", key);
      size_t line = al_marks_line(&r->marks, inner);
      char where[512];
      snprintf(where, sizeof where, "%s:%zu: %s", r->e->path, line, *path == '\0' ? "experiment" : path);
      al_param alone[2] = {{0}, {0}};
      for (size_t i = 0; table[i].key != NULL; i++)
        if (strcmp(table[i].key, key) == 0) alone[0] = table[i];
      al_status status = al_params_resolve(&ignored, alone[0].key == NULL ? table : alone, one, where);
      json_decref(one);
      json_decref(ignored);
      if (status != AL_OK) return status;
    }
  }
  return al_params_resolve(out, table, given, place(r, *path == '\0' ? "experiment" : path));
}

static bool label_is_good(const char *label) {
  return *label != '\0' && strlen(label) <= 64 &&
         strspn(label, "abcdefghijklmnopqrstuvwxyz0123456789_-") == strlen(label);
}

static al_status check_label(const reader *r, const json_t *list, const char *label, const char *path) {
  if (!label_is_good(label))
    return al_fail(AL_BAD_INPUT, "%s: the label '%s' must match [a-z0-9_-]+; give one with as", place(r, path), label);
  for (size_t i = 0; i < json_array_size(list); i++)
    if (strcmp(json_string_value(json_object_get(json_array_get(list, i), "label")), label) == 0)
      return al_fail(AL_BAD_INPUT, "%s: the label '%s' stands twice; tell them apart with as", place(r, path), label);
  return AL_OK;
}

static al_status unknown_name(const reader *r, const char *what, const char *name, const char *const *names,
                              const char *path) {
  size_t n = 0;
  while (names[n] != NULL) n++;
  const char *nearest = al_nearest(name, names, n);
#ifndef ALAB_TORCH
  if (strcmp(name, "bert") == 0 || strcmp(name, "resnet") == 0 || strcmp(name, "torchscript") == 0)
    return al_fail(AL_BAD_INPUT, "%s: %s needs libtorch, and this alab was built without (-DALAB_TORCH=OFF)",
                   place(r, path), name);
#endif
  if (nearest != NULL)
    return al_fail(AL_BAD_INPUT, "%s: unknown %s '%s'; did you mean '%s'?", place(r, path), what, name, nearest);
  char list[600] = "";
  size_t used = 0;
  for (size_t i = 0; i < n && used < sizeof list - 60; i++)
    used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i == 0 ? "" : ", ", names[i]);
  return al_fail(AL_BAD_INPUT, "%s: unknown %s '%s'; there are: %s", place(r, path), what, name, list);
}

/* A name alone, or a mapping with a name: *mapping is a fresh object that has one. */
static al_status as_mapping(const reader *r, const json_t *entry, const char *path, const char *key, json_t **mapping) {
  if (json_is_string(entry))
    *mapping = json_pack("{s:O}", key, entry);
  else if (json_is_object(entry) && json_is_string(json_object_get(entry, key)))
    *mapping = json_deep_copy(entry);
  else
    return al_fail(AL_BAD_INPUT, "%s: give a name, or a mapping with a %s", place(r, path), key);
  return *mapping == NULL ? al_fail(AL_ENVIRONMENT, "out of memory") : AL_OK;
}

static const char *text_of(const json_t *object, const char *key) {
  return json_string_value(json_object_get(object, key));
}

/* Puts "file:line" in front of a message that starts with the path of what is wrong. */
static al_status at_line(const reader *r, al_status status) {
  char path[512];
  if (status == AL_OK) return status;
  snprintf(path, sizeof path, "%s", al_message());
  path[strcspn(path, ": ")] = '\0';
  return al_context(status, "%s:%zu", r->e->path, al_marks_line(&r->marks, path));
}

static al_status read_strategy(reader *r, const json_t *entry, const char *path) {
  static const al_param keys[] = {
      {.key = "name", .type = AL_PARAM_STRING, .help = "a strategy's name"},
      {.key = "as", .type = AL_PARAM_STRING, .fallback = "null", .help = "label in logs and figures"},
      {.key = "params", .type = AL_PARAM_ANY, .fallback = "{}", .help = "its parameters (alab explain NAME)"},
      {0}};
  al_status status;
  json_t *mapping = NULL, *outer = NULL, *params = NULL;
  char inner[400];
  AL_TRY(as_mapping(r, entry, path, "name", &mapping));
  AL_TRY(resolve(r, &outer, keys, mapping, path));
  const char *name = text_of(outer, "name"), *label = text_of(outer, "as");
  const al_param *table = r->vocabulary->strategy_params(name);
  if (table == NULL) {
    status = unknown_name(r, "strategy", name, r->vocabulary->strategies, path);
    goto done;
  }
  snprintf(inner, sizeof inner, "%s.params", path);
  AL_TRY(resolve(r, &params, table, json_object_get(outer, "params"), inner));
  AL_TRY(at_line(r, r->vocabulary->settle_strategy(name, params, inner)));
  if (label == NULL) label = name;
  AL_TRY(check_label(r, r->e->strategies, label, path));
  json_array_append_new(r->e->strategies, json_pack("{s:s,s:s,s:O}", "name", name, "label", label, "params", params));
done:
  json_decref(mapping);
  json_decref(outer);
  json_decref(params);
  return status;
}

static al_status read_model(reader *r, const json_t *entry, const char *path) {
  al_status status;
  json_t *mapping = NULL, *options = NULL, *name_value = NULL, *as = NULL;
  AL_TRY(as_mapping(r, entry, path, "name", &mapping));
  name_value = json_incref(json_object_get(mapping, "name"));
  as = json_incref(json_object_get(mapping, "as"));
  const char *name = json_string_value(name_value), *label = as == NULL ? name : json_string_value(as);
  const al_param *table = r->vocabulary->model_params(name);
  if (table == NULL) {
    status = unknown_name(r, "model", name, r->vocabulary->models, path);
    goto done;
  }
  if (label == NULL) {
    status = al_fail(AL_BAD_INPUT, "%s.as: must be a text", place(r, path));
    goto done;
  }
  json_object_del(mapping, "name");
  json_object_del(mapping, "as");
  AL_TRY(resolve(r, &options, table, mapping, path));
  AL_TRY(check_label(r, r->e->models, label, path));
  json_array_append_new(r->e->models, json_pack("{s:s,s:s,s:O}", "name", name, "label", label, "options", options));
done:
  json_decref(mapping);
  json_decref(options);
  json_decref(name_value);
  json_decref(as);
  return status;
}

static al_status read_dataset(reader *r, const json_t *entry, const char *path) {
  al_status status;
  json_t *mapping = NULL, *resolved = NULL;
  AL_TRY(as_mapping(r, entry, path, "name", &mapping));
  AL_TRY(resolve(r, &resolved, r->vocabulary->dataset_params, mapping, path));
  AL_TRY(r->vocabulary->check_dataset(resolved, place(r, path)));
  const char *label = text_of(resolved, "as");
  if (label == NULL) label = text_of(resolved, "name");
  AL_TRY(check_label(r, r->e->datasets, label, path));
  json_array_append_new(r->e->datasets, json_pack("{s:s,s:s,s:O}", "name", text_of(resolved, "name"), "label", label,
                                                  "options", resolved));
done:
  json_decref(mapping);
  json_decref(resolved);
  return status;
}

static al_status read_list(reader *r, const json_t *given, const char *key,
                           al_status (*read)(reader *, const json_t *, const char *)) {
  const json_t *list = json_object_get(given, key);
  if (json_array_size(list) == 0)
    return al_fail(AL_BAD_INPUT, "%s: the list is empty; name at least one", place(r, key));
  for (size_t i = 0; i < json_array_size(list); i++) {
    char path[64];
    snprintf(path, sizeof path, "%s[%zu]", key, i);
    al_status status = read(r, json_array_get(list, i), path);
    if (status != AL_OK) return status;
  }
  return AL_OK;
}

/* One entry of an axis with a fixed table. The label is `as`; entries of a list must have one each. */
static al_status read_plain(reader *r, const json_t *entry, const char *path, const al_param *table, json_t *axis,
                            bool listed) {
  al_status status;
  json_t *resolved = NULL;
  AL_TRY(resolve(r, &resolved, table, entry, path));
  const char *label = text_of(resolved, "as");
  if (listed && label == NULL) {
    status = al_fail(AL_BAD_INPUT, "%s: entries of a list need a label; give one with as", place(r, path));
    goto done;
  }
  if (label != NULL) AL_TRY(check_label(r, axis, label, path));
  json_object_set_new(resolved, "label", json_string(label == NULL ? "" : label));
  json_object_del(resolved, "as");
  json_array_append(axis, resolved);
done:
  json_decref(resolved);
  return status;
}

typedef const al_param *(*table_of)(const char *kind);

/* oracle and cost: a kind and its parameters. */
static al_status read_kind(reader *r, const json_t *entry, const char *path, const char *what, const char *fallback,
                           table_of find, const char *const *names, json_t *axis, bool listed) {
  al_status status;
  json_t *mapping = NULL, *resolved = NULL;
  if (json_is_object(entry) && json_object_get(entry, "kind") == NULL) {
    mapping = json_deep_copy(entry);
    json_object_set_new(mapping, "kind", json_string(fallback));
  } else {
    AL_TRY(as_mapping(r, entry, path, "kind", &mapping));
  }
  json_t *kind_value = json_incref(json_object_get(mapping, "kind")), *as = json_incref(json_object_get(mapping, "as"));
  const char *kind = json_string_value(kind_value), *label = as == NULL ? NULL : json_string_value(as);
  const al_param *table = find(kind);
  if (table == NULL) {
    status = unknown_name(r, what, kind, names, path);
  } else if (listed && label == NULL) {
    status = al_fail(AL_BAD_INPUT, "%s: entries of a list need a label; give one with as", place(r, path));
  } else {
    json_object_del(mapping, "kind");
    json_object_del(mapping, "as");
    status = resolve(r, &resolved, table, mapping, path);
    if (status == AL_OK && label != NULL) status = check_label(r, axis, label, path);
    if (status == AL_OK) {
      json_object_set_new(resolved, "kind", json_string(kind));
      json_object_set_new(resolved, "label", json_string(label == NULL ? "" : label));
      json_array_append(axis, resolved);
    }
  }
  json_decref(kind_value);
  json_decref(as);
done:
  json_decref(mapping);
  json_decref(resolved);
  return status;
}

static al_status read_axes(reader *r, const json_t *given) {
  static const char *const keys[] = {"initial", "query", "oracle", "cost"};
  json_t *axes[] = {r->e->initial, r->e->query, r->e->oracle, r->e->cost};
  const al_vocabulary *v = r->vocabulary;
  for (size_t a = 0; a < 4; a++) {
    const json_t *value = json_object_get(given, keys[a]);
    bool listed = json_is_array(value);
    size_t n = listed ? json_array_size(value) : 1;
    if (n == 0) return al_fail(AL_BAD_INPUT, "%s: the list is empty", place(r, keys[a]));
    for (size_t i = 0; i < n; i++) {
      const json_t *entry = listed ? json_array_get(value, i) : value;
      char path[64];
      snprintf(path, sizeof path, listed ? "%s[%zu]" : "%s", keys[a], i);
      al_status status =
          a == 0   ? read_plain(r, entry, path, initial_keys, axes[a], listed && n > 1)
          : a == 1 ? read_plain(r, entry, path, query_keys, axes[a], listed && n > 1)
          : a == 2
              ? read_kind(r, entry, path, "oracle", "perfect", v->oracle_params, v->oracles, axes[a], listed && n > 1)
              : read_kind(r, entry, path, "cost", "labels", v->cost_params, v->costs, axes[a], listed && n > 1);
      if (status != AL_OK) return status;
    }
  }
  return AL_OK;
}

static al_status check_together(const reader *r, const json_t *given) {
  const al_experiment *e = r->e;
  for (size_t i = 0; i < json_array_size(e->initial); i++) {
    const char *method = text_of(json_array_get(e->initial, i), "method");
    bool known = false;
    for (size_t m = 0; r->vocabulary->initial_methods[m] != NULL; m++)
      known |= strcmp(r->vocabulary->initial_methods[m], method) == 0;
    if (!known) return unknown_name(r, "initial method", method, r->vocabulary->initial_methods, "initial.method");
  }
  for (size_t s = 0; s < json_array_size(e->strategies); s++)
    for (size_t q = 0; q < json_array_size(e->query); q++) {
      const json_t *strategy = json_array_get(e->strategies, s);
      size_t batch = (size_t)al_params_int(json_array_get(e->query, q), "batch");
      char path[64];
      snprintf(path, sizeof path, "strategies[%zu].params", s);
      al_status status = at_line(
          r, r->vocabulary->check_batch(text_of(strategy, "name"), json_object_get(strategy, "params"), batch, path));
      if (status != AL_OK) return status;
    }
  if (json_is_number(json_object_get(e->stop, "accuracy")) && al_params_int(e->holdout, "size") == 0)
    return al_fail(AL_BAD_INPUT, "%s: stopping by accuracy reads a hold-out; set holdout: {size: N}",
                   place(r, "stop.accuracy"));
  double labels = json_number_value(json_object_get(e->stop, "labels"));
  if (labels >= 1.0 && labels != (double)(long long)labels)
    return al_fail(AL_BAD_INPUT, "%s: %g is neither a whole number of labels nor a share below 1",
                   place(r, "stop.labels"), labels);
  if (json_array_size(json_object_get(given, "observe")) != 0)
    return al_fail(AL_BAD_INPUT, "%s: no stopping rule can be observed yet; leave the list empty", place(r, "observe"));
  if (json_array_size(json_object_get(e->evaluate, "shifts")) != 0)
    return al_fail(AL_BAD_INPUT, "%s: no test shift exists yet; leave the list empty", place(r, "evaluate.shifts"));
  return AL_OK;
}

/* ---- overrides ---- */

static al_status missing_place(const char *text) {
  return al_fail(AL_BAD_INPUT,
                 "--set %s: there is no such place in the experiment; give KEY=VALUE, as query.batch=20 or "
                 "datasets[0].pool=2000",
                 text);
}

/* Walks "a.b[2].c" from the root, making mappings on the way, and sets the value at the end. */
static al_status set_path(json_t *root, const char *text, const char *equals, json_t *value) {
  json_t *at = root;
  const char *word = text;
  while (word < equals) {
    size_t length = strcspn(word, ".[=");
    char key[128];
    if (length == 0 || length >= sizeof key || !json_is_object(at)) return missing_place(text);
    memcpy(key, word, length);
    key[length] = '\0';
    word += length;
    if (word == equals) return json_object_set(at, key, value) == 0 ? AL_OK : missing_place(text);
    json_t *next = json_object_get(at, key);
    if (next == NULL && *word == '.') {
      json_object_set_new(at, key, json_object());
      next = json_object_get(at, key);
    }
    while (*word == '[') {
      char *end = NULL;
      unsigned long index = strtoul(word + 1, &end, 10);
      if (end == word + 1 || *end != ']' || index >= json_array_size(next)) return missing_place(text);
      word = end + 1;
      if (word == equals) return json_array_set(next, index, value) == 0 ? AL_OK : missing_place(text);
      json_t *item = json_array_get(next, index);
      if (json_is_string(item)) { /* a name alone becomes a mapping, so that keys can be set beside it */
        json_array_set_new(next, index, json_pack("{s:O}", "name", item));
        item = json_array_get(next, index);
      }
      next = item;
    }
    if (*word == '.') word++;
    at = next;
  }
  return missing_place(text);
}

static al_status apply_override(json_t *root, const char *text) {
  const char *equals = strchr(text, '=');
  if (equals == NULL || equals == text) return al_fail(AL_BAD_INPUT, "--set %s: give KEY=VALUE", text);
  json_t *value = NULL;
  char where[200];
  snprintf(where, sizeof where, "--set %s", text);
  al_status status = al_yaml_value(&value, equals + 1, where);
  if (status == AL_OK) status = set_path(root, text, equals, value);
  json_decref(value);
  return status;
}

/* ---- reading ---- */

static al_status find_base(al_experiment *e) {
  char resolved[PATH_MAX];
  if (realpath(e->path, resolved) == NULL) return al_fail_errno("%s", e->path);
  return al_copy_string(&e->base, dirname(resolved));
}

static al_status fill_in(reader *r, const json_t *given) {
  al_status status;
  al_experiment *e = r->e;
  const json_t *replicates = json_object_get(given, "replicates");
  AL_TRY(al_copy_string(&e->study, text_of(given, "study")));
  if (!label_is_good(e->study)) {
    status = al_fail(AL_BAD_INPUT, "%s: the name '%s' must match [a-z0-9_-]+", place(r, "study"), e->study);
    goto done;
  }
  e->seed = (uint64_t)al_params_int(given, "seed");
  e->replicates = json_is_integer(replicates) ? (size_t)json_integer_value(replicates) : 0;
  AL_TRY(read_list(r, given, "datasets", read_dataset));
  AL_TRY(read_list(r, given, "models", read_model));
  AL_TRY(read_list(r, given, "strategies", read_strategy));
  AL_TRY(read_axes(r, given));
  AL_TRY(resolve(r, &e->stop, stop_keys, json_object_get(given, "stop"), "stop"));
  AL_TRY(resolve(r, &e->holdout, holdout_keys, json_object_get(given, "holdout"), "holdout"));
  AL_TRY(resolve(r, &e->evaluate, evaluate_keys, json_object_get(given, "evaluate"), "evaluate"));
  AL_TRY(check_together(r, given));
  e->resolved = json_pack("{s:s,s:I,s:O,s:O,s:O,s:O,s:O,s:O,s:O,s:O,s:O,s:O,s:O}", "study", e->study, "seed",
                          (json_int_t)e->seed, "replicates", replicates, "datasets", e->datasets, "models", e->models,
                          "strategies", e->strategies, "initial", e->initial, "query", e->query, "stop", e->stop,
                          "oracle", e->oracle, "cost", e->cost, "holdout", e->holdout, "evaluate", e->evaluate);
  if (e->resolved == NULL) status = al_fail(AL_ENVIRONMENT, "out of memory");
done:
  return status;
}

al_status al_experiment_read(al_experiment **out, const char *path, const char *const *overrides, size_t n,
                             const al_vocabulary *vocabulary) {
  al_status status;
  reader r = {.vocabulary = vocabulary};
  char *text = NULL;
  size_t size = 0;
  json_t *document = NULL, *given = NULL;
  *out = NULL;
  AL_TRY(AL_NEW(&r.e, 1));
  AL_TRY(al_copy_string(&r.e->path, path));
  r.e->datasets = json_array();
  r.e->models = json_array();
  r.e->strategies = json_array();
  r.e->initial = json_array();
  r.e->query = json_array();
  r.e->oracle = json_array();
  r.e->cost = json_array();
  AL_TRY(al_file_read(&text, &size, path, 1 << 20));
  AL_TRY(find_base(r.e));
  AL_TRY(al_yaml_parse(&document, &r.marks, text, size, path));
  if (!json_is_object(document)) {
    status = al_fail(AL_BAD_INPUT, "%s:1: an experiment is a mapping of keys", path);
    goto done;
  }
  for (size_t i = 0; i < n; i++) AL_TRY(apply_override(document, overrides[i]));
  AL_TRY(resolve(&r, &given, top_keys, document, ""));
  AL_TRY(fill_in(&r, given));
  *out = r.e;
  r.e = NULL;
done:
  al_marks_free(&r.marks);
  free(text);
  json_decref(document);
  json_decref(given);
  al_experiment_free(r.e);
  return status;
}

void al_experiment_free(al_experiment *experiment) {
  if (experiment == NULL) return;
  json_t *parts[] = {experiment->datasets, experiment->models,   experiment->strategies, experiment->initial,
                     experiment->query,    experiment->oracle,   experiment->cost,       experiment->stop,
                     experiment->holdout,  experiment->evaluate, experiment->resolved};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) json_decref(parts[i]);
  free(experiment->path);
  free(experiment->base);
  free(experiment->study);
  free(experiment);
}
