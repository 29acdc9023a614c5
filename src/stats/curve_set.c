/* The set and its reading from study folders. What a log does not have is no point of a curve. */
#include "stats/curve_set.h"

#include "base/file.h"
#include "base/memory.h"
#include "base/params.h"
#include "record/record.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

bool al_metric_lower_is_better(const char *metric) {
  static const char *const lower[] = {"nll", "brier", "ece", "ece_mass", "hamming"};
  size_t length = strcspn(metric, "@");
  for (size_t i = 0; i < sizeof lower / sizeof *lower; i++)
    if (strlen(lower[i]) == length && strncmp(lower[i], metric, length) == 0) return true;
  return false;
}

al_status al_metric_unknown(const char *metric, const char *const *known, size_t n, const char *where) {
  const char *nearest = al_nearest(metric, known, n);
  if (nearest != NULL)
    return al_fail(AL_BAD_INPUT, "%s: there is no metric '%s'; did you mean '%s'?", where, metric, nearest);
  return al_fail(AL_BAD_INPUT, "%s: there is no metric '%s'; there %s %s%s%s", where, metric,
                 n == 0   ? "is"
                 : n == 1 ? "is only"
                          : "are",
                 n == 0 ? "none" : known[0], n < 2 ? "" : ", ",
                 n < 2   ? ""
                 : n < 3 ? known[1]
                         : "and others");
}

al_status al_curve_set_new(al_curve_set **out, const char *metric) {
  al_status status;
  al_curve_set *set = NULL;
  *out = NULL;
  AL_TRY(AL_NEW(&set, 1));
  set->lower_is_better = al_metric_lower_is_better(metric);
  set->environment = json_array();
  AL_TRY(al_copy_string(&set->metric, metric));
  *out = set;
  set = NULL;
done:
  al_curve_set_free(set);
  return status;
}

void al_cell_curve_clear(al_cell_curve *c) {
  char *texts[] = {c->dataset, c->model,  c->setting, c->strategy, c->seed,
                   c->streams, c->digest, c->end,     c->lines,    c->picks};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) free(texts[i]);
  free(c->labels);
  free(c->cost);
  free(c->value);
}

void al_curve_set_free(al_curve_set *set) {
  if (set == NULL) return;
  for (size_t i = 0; i < set->source_count; i++) free(set->sources[i]);
  for (size_t i = 0; i < set->n; i++) al_cell_curve_clear(&set->cells[i]);
  for (size_t i = 0; i < set->unfinished_n; i++) free(set->unfinished[i]);
  for (size_t i = 0; i < set->full_n; i++) {
    free(set->full[i].dataset);
    free(set->full[i].model);
  }
  free(set->sources);
  free(set->cells);
  free(set->unfinished);
  free(set->full);
  free(set->metric);
  json_decref(set->environment);
  free(set);
}

al_status al_curve_set_source(size_t *index, al_curve_set *set, const char *name) {
  al_status status;
  AL_TRY(al_grow(&set->sources, &set->source_capacity, set->source_count + 1, sizeof *set->sources));
  AL_TRY(al_copy_string(&set->sources[set->source_count], name));
  *index = set->source_count++;
done:
  return status;
}

al_status al_curve_set_cell(al_cell_curve **out, al_curve_set *set) {
  al_status status = al_grow(&set->cells, &set->capacity, set->n + 1, sizeof *set->cells);
  if (status != AL_OK) return status;
  *out = &set->cells[set->n++];
  **out = (al_cell_curve){.budget = NAN};
  return AL_OK;
}

al_status al_curve_set_full(al_curve_set *set, size_t source, const char *dataset, const char *model, double value) {
  al_status status;
  if (isnan(value)) return AL_OK;
  AL_TRY(al_grow(&set->full, &set->full_capacity, set->full_n + 1, sizeof *set->full));
  al_full_value *full = &set->full[set->full_n++];
  *full = (al_full_value){.source = source, .value = value};
  AL_TRY(al_copy_string(&full->dataset, dataset));
  AL_TRY(al_copy_string(&full->model, model));
done:
  return status;
}

al_status al_curve_set_unfinished(al_curve_set *set, const char *name) {
  al_status status;
  AL_TRY(al_grow(&set->unfinished, &set->unfinished_capacity, set->unfinished_n + 1, sizeof *set->unfinished));
  AL_TRY(al_copy_string(&set->unfinished[set->unfinished_n], name));
  set->unfinished_n++;
done:
  return status;
}

al_curve al_cell_curve_of(const al_cell_curve *cell, bool cost) {
  return (al_curve){.x = cost ? cell->cost : cell->labels, .y = cell->value, .n = cell->n};
}

static bool both(const char *a, const char *b, bool equal) {
  return *a != '\0' && *b != '\0' && (strcmp(a, b) == 0) == equal;
}

bool al_cells_paired(const al_cell_curve *a, const al_cell_curve *b) {
  return both(a->seed, b->seed, true) && both(a->streams, b->streams, true) && both(a->digest, b->digest, true);
}

bool al_cells_differ(const al_cell_curve *a, const al_cell_curve *b) {
  return both(a->seed, b->seed, false) || both(a->streams, b->streams, false) || both(a->digest, b->digest, false);
}

double al_budget_labels(const json_t *budget, const double *labels, size_t n) {
  const json_t *most = json_object_get(budget, "labels"), *rounds = json_object_get(budget, "rounds");
  double by_labels = json_is_number(most) ? json_number_value(most) : INFINITY, by_rounds = INFINITY;
  if (json_is_number(rounds) && n >= 2) by_rounds = labels[0] + json_number_value(rounds) * (labels[1] - labels[0]);
  double least = fmin(by_labels, by_rounds);
  return isinf(least) ? NAN : least;
}

/* ---- a study folder ---- */

static const char *text_of(const json_t *object, const char *key) {
  const char *text = json_string_value(json_object_get(object, key));
  return text == NULL ? "" : text;
}

static double number_of(const json_t *object, const char *key) {
  const json_t *value = json_object_get(object, key);
  return json_is_number(value) ? json_number_value(value) : NAN;
}

/* metrics: {"test": {..}, "<shift>": {..}} of a round line. */
static const json_t *metric_in(const json_t *round, const char *metric) {
  const char *at = strchr(metric, '@');
  const json_t *part = json_object_get(json_object_get(round, "metrics"), at == NULL ? "test" : at + 1);
  char name[64];
  snprintf(name, sizeof name, "%.*s", (int)strcspn(metric, "@"), metric);
  return json_object_get(part, name);
}

/* A metric that is null has no value there; one that is not a member at all is a wrong name. */
static al_status check_metric(const json_t *round, const char *metric, const char *where) {
  if (metric_in(round, metric) != NULL && !json_is_array(metric_in(round, metric))) return AL_OK;
  const char *names[64], *key;
  size_t n = 0;
  json_t *value;
  json_object_foreach(json_object_get(json_object_get(round, "metrics"), "test"), key, value) {
    if (!json_is_array(value) && n < sizeof names / sizeof *names) names[n++] = key;
  }
  return al_metric_unknown(metric, names, n, where);
}

static al_status picks_digest(char **out, const al_log *log) {
  al_status status;
  char hex[33];
  json_t *all = json_array();
  for (size_t r = 0; r < json_array_size(log->rounds); r++)
    json_array_append(all, json_object_get(json_array_get(log->rounds, r), "asked"));
  AL_TRY(al_json_digest(all, hex));
  AL_TRY(al_copy_string(out, hex));
done:
  json_decref(all);
  return status;
}

static al_status number_text(char **out, const json_t *value) {
  return json_is_integer(value) ? al_format(out, "%lld", (long long)json_integer_value(value))
                                : al_copy_string(out, "");
}

static al_status add_cell(al_curve_set *set, size_t source, const al_log *log) {
  al_status status;
  al_cell_curve *c = NULL;
  const json_t *header = log->header, *dataset = json_object_get(header, "dataset");
  size_t rounds = json_array_size(log->rounds);
  AL_TRY(al_curve_set_cell(&c, set));
  c->source = source;
  c->replicate = (size_t)json_integer_value(json_object_get(header, "replicate"));
  AL_TRY(al_copy_string(&c->dataset, text_of(dataset, "label")));
  AL_TRY(al_copy_string(&c->model, text_of(json_object_get(header, "model"), "label")));
  AL_TRY(al_copy_string(&c->setting, text_of(header, "setting")));
  AL_TRY(al_copy_string(&c->strategy, text_of(json_object_get(header, "strategy"), "label")));
  AL_TRY(number_text(&c->seed, json_object_get(header, "seed")));
  AL_TRY(number_text(&c->streams, json_object_get(header, "stream_version")));
  AL_TRY(al_copy_string(&c->digest, text_of(dataset, "digest")));
  AL_TRY(al_copy_string(&c->end, text_of(log->end, "end")));
  AL_TRY(al_copy_string(&c->lines, text_of(json_array_get(log->rounds, rounds - 1), "digest")));
  AL_TRY(picks_digest(&c->picks, log));
  AL_TRY(AL_NEW(&c->labels, rounds));
  AL_TRY(AL_NEW(&c->cost, rounds));
  AL_TRY(AL_NEW(&c->value, rounds));
  for (size_t r = 0; r < rounds; r++) {
    const json_t *round = json_array_get(log->rounds, r), *value = metric_in(round, set->metric);
    c->labels[c->n] = number_of(round, "labels");
    c->cost[c->n] = number_of(round, "cost");
    c->value[c->n] = json_is_number(value) ? json_number_value(value) : NAN;
    c->n += !isnan(c->value[c->n]) && !isnan(c->labels[c->n]);
  }
  c->budget = al_budget_labels(json_object_get(log->end, "budget"), c->labels, c->n);
done:
  return status;
}

static void note_environment(al_curve_set *set, const al_log *log) {
  static const char *const keys[] = {"cpu", "blas", "libtorch", "compiler", "flags", "device"};
  for (size_t i = 0; i < json_array_size(log->timing); i++) {
    const json_t *line = json_array_get(log->timing, i);
    if (json_object_get(line, "cpu") == NULL) continue;
    json_t *kept = json_object();
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
      json_object_set_new(kept, keys[k], json_string(text_of(line, keys[k])));
    bool known = false;
    for (size_t j = 0; j < json_array_size(set->environment) && !known; j++)
      known = json_equal(json_array_get(set->environment, j), kept);
    if (!known) json_array_append(set->environment, kept);
    json_decref(kept);
  }
}

static al_status add_log(al_curve_set *set, size_t source, const char *folder, const char *name, bool reference) {
  al_status status;
  al_log *log = NULL;
  char *path = NULL;
  AL_TRY(al_format(&path, "%s/cells/%s.jsonl", folder, name));
  if (!al_file_exists(path)) {
    status = al_curve_set_unfinished(set, name);
    goto done;
  }
  AL_TRY(al_log_read(&log, folder, name));
  if (log->end == NULL || json_array_size(log->rounds) == 0) {
    status = al_curve_set_unfinished(set, name);
    goto done;
  }
  const json_t *first = json_array_get(log->rounds, 0), *value = metric_in(first, set->metric);
  AL_TRY(check_metric(first, set->metric, folder));
  if (reference) {
    status = al_curve_set_full(set, source, text_of(json_object_get(log->header, "dataset"), "label"),
                               text_of(json_object_get(log->header, "model"), "label"),
                               json_is_number(value) ? json_number_value(value) : NAN);
  } else {
    note_environment(set, log);
    status = add_cell(set, source, log);
  }
done:
  al_log_free(log);
  free(path);
  return status;
}

al_status al_curve_set_add_study(al_curve_set *set, const char *folder) {
  al_status status;
  json_t *study = NULL;
  size_t source, before = set->n;
  AL_TRY(al_study_read(&study, folder));
  AL_TRY(al_curve_set_source(&source, set, folder));
  static const char *const lists[] = {"cells", "references"};
  for (size_t l = 0; l < 2; l++) {
    const json_t *names = json_object_get(study, lists[l]);
    for (size_t i = 0; i < json_array_size(names); i++) {
      const char *name = json_string_value(json_array_get(names, i));
      if (name == NULL || strchr(name, '/') != NULL) {
        status = al_fail(AL_BAD_INPUT, "%s/study.json: '%s' holds something that is no cell's name", folder, lists[l]);
        goto done;
      }
      AL_TRY(add_log(set, source, folder, name, l == 1));
    }
  }
  if (set->n == before)
    status = al_fail(AL_BAD_INPUT, "%s: no cell of the study is complete yet; run it first", folder);
done:
  json_decref(study);
  return status;
}

al_status al_curve_set_add(al_curve_set *set, const char *path) {
  struct stat facts;
  if (stat(path, &facts) == 0 && S_ISDIR(facts.st_mode)) return al_curve_set_add_study(set, path);
  return al_curve_set_add_csv(set, path);
}
