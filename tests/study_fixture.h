/* Studies made by hand for the report's tests: every number of a log is chosen by the test, the logs are written by
 * record, so that digests and chains are right. */
#ifndef AL_TESTS_STUDY_FIXTURE_H
#define AL_TESTS_STUDY_FIXTURE_H

#include "base/file.h"
#include "base/memory.h"
#include "record/record.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FIXTURE_ROUNDS = 4, FIXTURE_INITIAL = 10, FIXTURE_BATCH = 5, FIXTURE_CLASSES = 3 };

/* One cell; what is 0 or NULL takes the default in brackets. */
typedef struct cell {
  const char *dataset, *model, *setting, *strategy; /* ["d"], ["linear"], [""], must be given */
  int replicate;
  double accuracy[FIXTURE_ROUNDS]; /* of rounds 0 to 3 */
  double cost_of_label;            /* [1] */
  int rounds;                      /* [FIXTURE_ROUNDS] */
  int first_row;                   /* of the initial set [0] */
  int picks_from;                  /* first row asked after round 0 [1000] */
  int holdout;                     /* rows held out */
  bool holdout_unpaid;             /* left out of labels and cost, as a broken log would */
  bool asks_twice;                 /* round 2 asks a row of round 1 again */
  const char *end;                 /* reason ["rounds"]; "" = unfinished */
  const char *cpu;                 /* in the timing file ["A"]; "" = no timing file */
  double seconds;                  /* of a query [0.5] */
  const char *digest;              /* of the dataset ["0123"] */
} cell;

typedef struct study {
  char folder[64];
  json_t *cells, *references;
} study;

static inline void study_begin(study *s) {
  snprintf(s->folder, sizeof s->folder, "/tmp/alab-study-XXXXXX");
  char cells[80];
  if (mkdtemp(s->folder) == NULL) abort();
  snprintf(cells, sizeof cells, "%s/cells", s->folder);
  if (al_folder_make(cells) != AL_OK) abort();
  s->cells = json_array();
  s->references = json_array();
}

static inline void study_end(study *s) {
  char command[128];
  snprintf(command, sizeof command, "rm -rf '%s'", s->folder);
  if (system(command) != 0) abort();
  json_decref(s->cells);
  json_decref(s->references);
}

static inline const char *or_else(const char *text, const char *fallback) { return text == NULL ? fallback : text; }

static inline json_t *fixture_line(const cell *c, int round, double *labels, double *cost) {
  json_t *asked = json_array(), *scores = json_array(), *answers = json_array(), *paid = json_array();
  double price = c->cost_of_label > 0.0 ? c->cost_of_label : 1.0;
  int n = round == 0 ? FIXTURE_INITIAL : FIXTURE_BATCH, counts[FIXTURE_CLASSES] = {0};
  for (int i = 0; i < n; i++) {
    int row =
        round == 0 ? c->first_row + i : (c->picks_from == 0 ? 1000 : c->picks_from) + FIXTURE_BATCH * (round - 1) + i;
    if (c->asks_twice && round == 2 && i == 0) row -= FIXTURE_BATCH;
    json_array_append_new(asked, json_integer(row));
    json_array_append_new(scores, json_null());
    json_array_append_new(answers, json_pack("[i]", row % FIXTURE_CLASSES));
    json_array_append_new(paid, json_real(price));
    *labels += 1.0;
    *cost += price;
  }
  json_t *line = json_pack("{s:i,s:o,s:o,s:o,s:o}", "round", round, "asked", asked, "scores", scores, "answers",
                           answers, "paid", paid);
  if (round == 0 && c->holdout != 0) {
    json_t *rows = json_array(), *said = json_array(), *spent = json_array();
    for (int i = 0; i < c->holdout; i++) {
      json_array_append_new(rows, json_integer(500 + i));
      json_array_append_new(said, json_pack("[i]", 0));
      json_array_append_new(spent, json_real(price));
      *labels += c->holdout_unpaid ? 0.0 : 1.0;
      *cost += c->holdout_unpaid ? 0.0 : price;
    }
    json_object_set_new(line, "holdout", json_pack("{s:o,s:o,s:o}", "asked", rows, "answers", said, "paid", spent));
  }
  json_object_set_new(line, "labels", json_integer((json_int_t)*labels));
  json_object_set_new(line, "cost", json_real(*cost));
  double a = c->accuracy[round];
  json_object_set_new(line, "metrics",
                      json_pack("{s:{s:f,s:f,s:f,s:f,s:f,s:f}}", "test", "accuracy", a, "balanced_accuracy", a,
                                "f1_macro", a, "nll", 1.0 - a, "brier", 1.0 - a, "ece", 0.25));
  json_t *bins = json_array();
  for (int b = 0; b < 15; b++) /* all test rows in two bins */
    json_array_append_new(bins, b == 6    ? json_pack("[i,f,f]", 30, 0.45, a)
                                : b == 12 ? json_pack("[i,f,f]", 10, 0.85, 0.5)
                                          : json_pack("[i,f,f]", 0, 0.0, 0.0));
  json_object_set_new(line, "calibration", bins);
  for (int k = 0; k < FIXTURE_CLASSES; k++)
    counts[k] = (int)*labels / FIXTURE_CLASSES + (k == 0 ? (int)*labels % FIXTURE_CLASSES : 0);
  json_object_set_new(line, "labelled",
                      json_pack("{s:[i,i,i],s:f,s:f,s:n,s:f}", "counts", counts[0], counts[1], counts[2], "kl",
                                0.125 * round, "imbalance", 1.5, "mmd2", "noise", 0.0));
  return line;
}

/* Writes the cell's log and timing file; full: as a full-data reference. */
static inline void study_add(study *s, const cell *c, bool full) {
  al_record *record = NULL;
  json_t *rounds = NULL, *end = NULL;
  char name[200];
  const char *dataset = or_else(c->dataset, "d"), *model = or_else(c->model, "linear"),
             *setting = or_else(c->setting, "");
  const char *cpu = or_else(c->cpu, "A");
  snprintf(name, sizeof name, "%s.%s.%s%s%s.r%d.01234567", dataset, model, c->strategy, *setting == '\0' ? "" : ".",
           setting, c->replicate);
  json_t *header = json_pack(
      "{s:s,s:i,s:s,s:i,s:i,s:{s:s,s:s,s:s,s:s,s:s,s:i,s:i,s:i,s:i,s:[s,s,s]},s:{s:s,s:s,s:{s:f}},s:n,s:{s:s,s:s,s:{}},"
      "s:s,"
      "s:{s:i,s:s,s:s},s:{s:i},s:{s:s,s:s},s:{s:s,s:s},s:{s:i},s:{s:i}}",
      "schema", AL_RECORD_SCHEMA, "stream_version", 1, "study", "fixture", "seed", 1, "replicate", c->replicate,
      "dataset", "name", dataset, "label", dataset, "digest", or_else(c->digest, "0123"), "kind", "text", "labels",
      "single", "train", 2000, "pool", 2000, "test", 100, "evaluated", 100, "classes", "one", "two & three", "4",
      "model", "name", "linear", "label", model, "options", "l2", 0.1, "weights", "strategy", "name", c->strategy,
      "label", c->strategy, "params", "setting", setting, "initial", "size", FIXTURE_INITIAL, "method", "random",
      "label", "", "query", "batch", FIXTURE_BATCH, "oracle", "kind", "perfect", "label", "", "cost", "kind",
      c->cost_of_label > 0.0 ? "time" : "labels", "label", "", "holdout", "size", c->holdout, "evaluate", "sample", 0);
  if (header == NULL || al_record_open(&record, s->folder, name, header, &rounds, &end) != AL_OK) abort();
  double labels = 0.0, cost = 0.0;
  int n = full ? 1 : c->rounds == 0 ? FIXTURE_ROUNDS : c->rounds;
  for (int r = 0; r < n; r++) {
    json_t *line = fixture_line(c, r, &labels, &cost);
    if (line == NULL || al_record_append(record, line) != AL_OK) abort();
    json_decref(line);
  }
  const char *reason = or_else(c->end, "rounds");
  if (*reason != '\0') {
    json_t *last =
        json_pack("{s:s,s:i,s:{s:n,s:n,s:i}}", "end", reason, "rounds", n, "budget", "labels", "cost", "rounds", n - 1);
    if (al_record_finish(record, last) != AL_OK) abort();
    json_decref(last);
  }
  al_record_close(record);
  for (int r = -1; r < n && *cpu != '\0'; r++) {
    double seconds = c->seconds > 0.0 ? c->seconds : 0.5;
    json_t *line =
        r < 0 ? json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:i}", "host", "h", "cpu", cpu, "blas", "b", "libtorch", "none",
                          "compiler", "c", "flags", "-O2", "threads", 1)
              : json_pack("{s:i,s:f,s:f,s:f,s:f,s:i,s:i}", "round", r, "train", 1.0, "predict", 0.25, "query",
                          seconds - 0.25, "evaluate", 1.0, "pool", 1990 - 5 * r, "peak_rss", 1048576 * (64 + r));
    if (al_record_timing(s->folder, name, line) != AL_OK) abort();
    json_decref(line);
  }
  json_array_append_new(full ? s->references : s->cells, json_string(name));
  json_decref(header);
  json_decref(rounds);
  json_decref(end);
}

/* study.json; experiment: what `run` would have resolved, as JSON text with single quotes. */
static inline json_t *fixture_experiment(const char *text) {
  char *copy = NULL;
  if (al_copy_string(&copy, text) != AL_OK) abort();
  for (char *at = copy; *at != '\0'; at++)
    if (*at == '\'') *at = '"';
  json_error_t error;
  json_t *value = json_loads(copy, 0, &error);
  if (value == NULL) {
    fprintf(stderr, "fixture: %s at %d of %s\n", error.text, error.position, copy);
    abort();
  }
  free(copy);
  return value;
}

static inline void study_write(study *s, const char *experiment) {
  json_t *document = json_pack("{s:s,s:s,s:o,s:s,s:{},s:[],s:O,s:O}", "schema", "alab.study/1", "study", "fixture",
                               "experiment", fixture_experiment(experiment), "hash", "0123", "budget", "left_out",
                               "cells", s->cells, "references", s->references);
  if (document == NULL || al_study_write(s->folder, document) != AL_OK) abort();
  json_decref(document);
}

#endif
