/* The baseline file (docs/gate.md, "The baseline file"): JSON that a person can review, with a line a cell. */
#include "stats/gate.h"

#include "base/file.h"
#include "base/memory.h"
#include "stats/gate_private.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_BYTES ((size_t)64 << 20)

/* ---- writing ---- */

static al_status put_json(al_buffer *out, const char *before, json_t *value, const char *behind) {
  char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));
  json_decref(value);
  if (text == NULL) return al_fail(AL_ENVIRONMENT, "out of memory");
  al_status status = al_buffer_print(out, "%s%s%s", before, text, behind);
  free(text);
  return status;
}

static json_t *numbers(const double *values, size_t n) {
  json_t *list = json_array();
  for (size_t i = 0; i < n; i++) {
    bool whole = values[i] == floor(values[i]) && fabs(values[i]) < 1e15;
    json_array_append_new(list, whole ? json_integer((json_int_t)values[i]) : json_real(values[i]));
  }
  return list;
}

static al_status put_cell(al_buffer *out, const al_cell_curve *c, const char *before) {
  return put_json(out, before,
                  json_pack("{s:I,s:s,s:s,s:s,s:s,s:s,s:o,s:o}", "replicate", (json_int_t)c->replicate, "seed", c->seed,
                            "streams", c->streams, "digest", c->digest, "lines", c->lines, "picks", c->picks, "labels",
                            numbers(c->labels, c->n), "values", numbers(c->value, c->n)),
                  "");
}

static al_status put_strategies(al_buffer *out, const al_curve_set *set, const al_cell_curve *setting, bool *done) {
  al_status status = AL_OK;
  const char *before = "\n   ";
  for (size_t i = 0; i < set->n; i++) {
    const al_cell_curve *first = &set->cells[i];
    if (done[i] || !al_same_setting(first, setting)) continue;
    AL_TRY(al_buffer_print(out, "%s{", before));
    AL_TRY(put_json(out, "\"strategy\": ", json_string(first->strategy), ", \"cells\": ["));
    const char *between = "\n     ";
    for (size_t j = i; j < set->n; j++) {
      const al_cell_curve *cell = &set->cells[j];
      if (strcmp(cell->strategy, first->strategy) != 0 || !al_same_setting(cell, setting)) continue;
      AL_TRY(put_cell(out, cell, between));
      between = ",\n     ";
      done[j] = true;
    }
    AL_TRY(al_buffer_print(out, "]}"));
    before = ",\n   ";
  }
done:
  return status;
}

al_status al_gate_pin(al_buffer *out, const al_curve_set *set, const char *study) {
  al_status status;
  bool *done = NULL;
  double ends[2];
  AL_TRY(AL_NEW(&done, set->n));
  AL_TRY(al_buffer_print(out, "{\"schema\": \"%s\", \"alab\": \"%s\",\n", AL_GATE_SCHEMA, ALAB_VERSION));
  AL_TRY(put_json(out, " \"study\": ", json_string(study), ","));
  AL_TRY(put_json(out, " \"metric\": ", json_string(set->metric), ",\n"));
  AL_TRY(put_json(out, " \"environment\": ", json_incref(set->environment), ",\n \"settings\": ["));
  const char *before = "\n  ";
  for (size_t i = 0; i < set->n; i++) {
    const al_cell_curve *first = &set->cells[i];
    if (done[i]) continue;
    if (!al_gate_range_of(set, first, &ends[0], &ends[1])) {
      status = al_fail(AL_BAD_INPUT, "%s, %s: its cells share no range of labels with a '%s'; nothing can be pinned",
                       first->dataset, first->model, set->metric);
      goto done;
    }
    AL_TRY(put_json(out, before,
                    json_pack("{s:s,s:s,s:s,s:o}", "dataset", first->dataset, "model", first->model, "setting",
                              first->setting, "range", numbers(ends, 2)),
                    ""));
    out->size--; /* the object goes on */
    AL_TRY(al_buffer_print(out, ", \"strategies\": ["));
    AL_TRY(put_strategies(out, set, first, done));
    AL_TRY(al_buffer_print(out, "]}"));
    before = ",\n  ";
  }
  AL_TRY(al_buffer_print(out, "]}\n"));
done:
  free(done);
  return status;
}

/* ---- reading ---- */

/* A member of the kind that is asked for, or an error that names where it should be. */
static al_status member(const json_t **out, const json_t *object, const char *key, json_type type, const char *path,
                        const char *where) {
  static const char *const kinds[] = {[JSON_OBJECT] = "an object",
                                      [JSON_ARRAY] = "a list",
                                      [JSON_STRING] = "a text",
                                      [JSON_INTEGER] = "a whole number"};
  *out = json_object_get(object, key);
  if (*out != NULL && json_typeof(*out) == type) return AL_OK;
  return al_fail(AL_BAD_INPUT, "%s: %s has no '%s' that is %s; write the baseline anew with alab gate --write", path,
                 where, key, kinds[type]);
}

static al_status member_text(char **out, const json_t *object, const char *key, const char *path, const char *where) {
  const json_t *value;
  al_status status = member(&value, object, key, JSON_STRING, path, where);
  return status == AL_OK ? al_copy_string(out, json_string_value(value)) : status;
}

/* A list of numbers into a fresh array. */
static al_status member_numbers(double **out, size_t *n, const json_t *object, const char *key, const char *path,
                                const char *where) {
  al_status status;
  const json_t *list;
  AL_TRY(member(&list, object, key, JSON_ARRAY, path, where));
  *n = json_array_size(list);
  AL_TRY(AL_NEW(out, *n));
  for (size_t i = 0; i < *n; i++) {
    const json_t *value = json_array_get(list, i);
    if (!json_is_number(value)) {
      status = al_fail(AL_BAD_INPUT, "%s: %s.%s[%zu] is no number", path, where, key, i);
      goto done;
    }
    (*out)[i] = json_number_value(value);
  }
done:
  return status;
}

static al_status read_cell(al_gate_baseline *b, const json_t *entry, const al_gate_range *range, const char *strategy,
                           const char *path, const char *where) {
  al_status status;
  al_cell_curve *c = NULL;
  const json_t *replicate;
  size_t n = 0;
  AL_TRY(member(&replicate, entry, "replicate", JSON_INTEGER, path, where));
  AL_TRY(al_curve_set_cell(&c, b->set));
  c->replicate = (size_t)json_integer_value(replicate);
  AL_TRY(al_copy_string(&c->dataset, range->dataset));
  AL_TRY(al_copy_string(&c->model, range->model));
  AL_TRY(al_copy_string(&c->setting, range->setting));
  AL_TRY(al_copy_string(&c->strategy, strategy));
  AL_TRY(al_copy_string(&c->end, ""));
  char **const texts[] = {&c->seed, &c->streams, &c->digest, &c->lines, &c->picks};
  static const char *const keys[] = {"seed", "streams", "digest", "lines", "picks"};
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) AL_TRY(member_text(texts[i], entry, keys[i], path, where));
  AL_TRY(member_numbers(&c->labels, &c->n, entry, "labels", path, where));
  AL_TRY(member_numbers(&c->value, &n, entry, "values", path, where));
  for (size_t i = 1; i < c->n; i++)
    if (c->labels[i] < c->labels[i - 1]) n = SIZE_MAX;
  if (n != c->n || n == 0 || c->labels[0] > range->from || c->labels[n - 1] < range->to) {
    status = al_fail(AL_BAD_INPUT,
                     "%s: %s: its labels do not ascend, do not cover the range, or are not as many as its "
                     "values",
                     path, where);
    goto done;
  }
  for (size_t i = 0; i + 1 < b->set->n; i++) {
    const al_cell_curve *other = &b->set->cells[i];
    if (other->replicate == c->replicate && strcmp(other->strategy, strategy) == 0 && al_same_setting(other, c)) {
      status = al_fail(AL_BAD_INPUT, "%s: %s stands twice", path, where);
      goto done;
    }
  }
done:
  return status;
}

static al_status read_strategy(al_gate_baseline *b, const json_t *entry, const al_gate_range *range, const char *path,
                               const char *setting) {
  al_status status;
  const json_t *cells, *name;
  char where[256];
  AL_TRY(member(&name, entry, "strategy", JSON_STRING, path, setting));
  snprintf(where, sizeof where, "%s.%.100s", setting, json_string_value(name));
  AL_TRY(member(&cells, entry, "cells", JSON_ARRAY, path, where));
  for (size_t i = 0; i < json_array_size(cells); i++) {
    char cell[320];
    snprintf(cell, sizeof cell, "%s.cells[%zu]", where, i);
    AL_TRY(read_cell(b, json_array_get(cells, i), range, json_string_value(name), path, cell));
  }
done:
  return status;
}

static al_status read_setting(al_gate_baseline *b, const json_t *entry, const char *path, const char *where) {
  al_status status;
  const json_t *strategies;
  double *ends = NULL;
  size_t n = 0;
  AL_TRY(al_grow(&b->ranges, &b->capacity, b->n + 1, sizeof *b->ranges));
  b->ranges[b->n] = (al_gate_range){0};
  al_gate_range *range = &b->ranges[b->n++];
  AL_TRY(member_text(&range->dataset, entry, "dataset", path, where));
  AL_TRY(member_text(&range->model, entry, "model", path, where));
  AL_TRY(member_text(&range->setting, entry, "setting", path, where));
  AL_TRY(member_numbers(&ends, &n, entry, "range", path, where));
  if (n != 2 || !(ends[0] < ends[1])) {
    status = al_fail(AL_BAD_INPUT, "%s: %s.range is not [from, to] with from < to", path, where);
    goto done;
  }
  range->from = ends[0];
  range->to = ends[1];
  AL_TRY(member(&strategies, entry, "strategies", JSON_ARRAY, path, where));
  for (size_t i = 0; i < json_array_size(strategies); i++)
    AL_TRY(read_strategy(b, json_array_get(strategies, i), range, path, where));
done:
  free(ends);
  return status;
}

static al_status read_root(al_gate_baseline *b, const json_t *root, const char *path) {
  al_status status;
  const json_t *schema, *metric, *settings, *environment;
  AL_TRY(member(&schema, root, "schema", JSON_STRING, path, "the baseline"));
  if (strcmp(json_string_value(schema), AL_GATE_SCHEMA) != 0) {
    status = al_fail(AL_BAD_INPUT, "%s: its schema is '%s', this alab reads " AL_GATE_SCHEMA, path,
                     json_string_value(schema));
    goto done;
  }
  AL_TRY(member(&metric, root, "metric", JSON_STRING, path, "the baseline"));
  AL_TRY(member(&environment, root, "environment", JSON_ARRAY, path, "the baseline"));
  AL_TRY(member(&settings, root, "settings", JSON_ARRAY, path, "the baseline"));
  AL_TRY(member_text(&b->study, root, "study", path, "the baseline"));
  AL_TRY(al_curve_set_new(&b->set, json_string_value(metric)));
  json_array_extend(b->set->environment, (json_t *)(uintptr_t)environment);
  for (size_t i = 0; i < json_array_size(settings); i++) {
    char where[64];
    snprintf(where, sizeof where, "settings[%zu]", i);
    AL_TRY(read_setting(b, json_array_get(settings, i), path, where));
  }
  if (b->set->n == 0) status = al_fail(AL_BAD_INPUT, "%s: the baseline has no cell", path);
done:
  return status;
}

al_status al_gate_read(al_gate_baseline **out, const char *path) {
  al_status status;
  al_gate_baseline *b = NULL;
  char *text = NULL;
  size_t size = 0;
  json_t *root = NULL;
  json_error_t error;
  *out = NULL;
  AL_TRY(al_file_read(&text, &size, path, MOST_BYTES));
  root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
  if (!json_is_object(root)) {
    status = al_fail(AL_BAD_INPUT, "%s:%d: this is no baseline of alab gate: %s", path, root == NULL ? error.line : 1,
                     root == NULL ? error.text : "not a JSON object");
    goto done;
  }
  AL_TRY(AL_NEW(&b, 1));
  AL_TRY(read_root(b, root, path));
  *out = b;
  b = NULL;
done:
  al_gate_baseline_free(b);
  json_decref(root);
  free(text);
  return status;
}

void al_gate_baseline_free(al_gate_baseline *b) {
  if (b == NULL) return;
  for (size_t i = 0; i < b->n; i++) {
    free(b->ranges[i].dataset);
    free(b->ranges[i].model);
    free(b->ranges[i].setting);
  }
  free(b->ranges);
  free(b->study);
  al_curve_set_free(b->set);
  free(b);
}
