/* alab verify STUDY_DIR...: does every log hold what the rules of a run promise? Schema, digests, budget, no row asked
 * twice, paired starts, and that everything study.json names is there. */
#include "cli/cli.h"

#include "base/memory.h"
#include "record/record.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  const char *folder;
  size_t cells, complete, problems;
  json_t *starts; /* "dataset|model-free setting|replicate" -> asked rows of round 0 */
} check;

static void problem(check *c, const char *cell, const char *what) {
  printf("  %s/cells/%s.jsonl: %s\n", c->folder, cell, what);
  c->problems++;
}

static double number(const json_t *object, const char *key) { return json_number_value(json_object_get(object, key)); }

/* Sums and arrays of one round; adds to labels and cost. */
static void check_batch(check *c, const char *name, size_t round, const json_t *part, const json_t *header,
                        json_t *seen, double *labels, double *cost) {
  char text[160];
  const json_t *asked = json_object_get(part, "asked"), *answers = json_object_get(part, "answers"),
               *paid = json_object_get(part, "paid");
  size_t n = json_array_size(asked),
         classes = json_array_size(json_object_get(json_object_get(header, "dataset"), "classes"));
  if (json_array_size(answers) != n || json_array_size(paid) != n) {
    snprintf(text, sizeof text, "round %zu: asked, answers and paid differ in length", round);
    problem(c, name, text);
    return;
  }
  for (size_t i = 0; i < n; i++) {
    char row[32];
    snprintf(row, sizeof row, "%lld", (long long)json_integer_value(json_array_get(asked, i)));
    if (json_object_get(seen, row) != NULL) {
      snprintf(text, sizeof text, "round %zu asks row %s again", round, row);
      problem(c, name, text);
    }
    json_object_set_new(seen, row, json_true());
    const json_t *answer = json_array_get(answers, i);
    if (!json_is_null(answer)) *labels += 1.0;
    for (size_t j = 0; j < json_array_size(answer); j++) {
      json_int_t class = json_integer_value(json_array_get(answer, j));
      if (class < 0 || (size_t) class >= classes) {
        snprintf(text, sizeof text, "round %zu: the answer about row %s is no class", round, row);
        problem(c, name, text);
      }
    }
    *cost += json_number_value(json_array_get(paid, i));
  }
}

static void check_rounds(check *c, const al_log *log) {
  char text[200];
  json_t *seen = json_object();
  double labels = 0.0, cost = 0.0;
  for (size_t r = 0; r < json_array_size(log->rounds); r++) {
    const json_t *round = json_array_get(log->rounds, r), *holdout = json_object_get(round, "holdout");
    if (holdout != NULL) check_batch(c, log->name, r, holdout, log->header, seen, &labels, &cost);
    check_batch(c, log->name, r, round, log->header, seen, &labels, &cost);
    if (number(round, "labels") != labels) {
      snprintf(text, sizeof text, "round %zu says %.0f labels, its answers add up to %.0f", r, number(round, "labels"),
               labels);
      problem(c, log->name, text);
    }
    if (fabs(number(round, "cost") - cost) > 1e-9 * (1.0 + fabs(cost))) {
      snprintf(text, sizeof text, "round %zu says cost %g, what was paid adds up to %g", r, number(round, "cost"),
               cost);
      problem(c, log->name, text);
    }
    double accuracy = number(json_object_get(json_object_get(round, "metrics"), "test"), "accuracy");
    if (!(accuracy >= 0.0 && accuracy <= 1.0)) problem(c, log->name, "an accuracy is outside 0 to 1");
  }
  json_decref(seen);
  const json_t *budget = json_object_get(log->end, "budget");
  const json_t *most_labels = json_object_get(budget, "labels"), *most_cost = json_object_get(budget, "cost");
  const json_t *most_rounds = json_object_get(budget, "rounds");
  if (json_is_number(most_labels) && labels > json_number_value(most_labels))
    problem(c, log->name, "more labels than the budget");
  if (json_is_number(most_cost) && cost > json_number_value(most_cost) * (1.0 + 1e-12))
    problem(c, log->name, "more cost than the budget");
  if (json_is_number(most_rounds) && (double)json_array_size(log->rounds) > json_number_value(most_rounds) + 1.0)
    problem(c, log->name, "more rounds than the budget");
}

/* Cells of one dataset, initial method and replicate must begin with the same rows and answers. */
static void check_start(check *c, const al_log *log) {
  const json_t *round = json_array_get(log->rounds, 0), *dataset = json_object_get(log->header, "dataset");
  json_t *settings = json_pack("[O,O,O,O,O,O]", json_object_get(dataset, "digest"), json_object_get(dataset, "pool"),
                               json_object_get(dataset, "label"), json_object_get(log->header, "initial"),
                               json_object_get(log->header, "replicate"), json_object_get(log->header, "holdout"));
  char key[33];
  if (settings == NULL || al_json_digest(settings, key) != AL_OK) {
    json_decref(settings);
    return;
  }
  json_decref(settings);
  json_t *start = json_pack("[O,O]", json_object_get(round, "asked"), json_object_get(round, "answers"));
  const json_t *first = json_object_get(c->starts, key);
  if (first == NULL)
    json_object_set(c->starts, key, start);
  else if (!json_equal(first, start))
    problem(c, log->name, "its initial set differs from that of the other strategies of this replicate");
  json_decref(start);
}

static void check_cell(check *c, const char *name, bool reference) {
  al_log *log = NULL;
  c->cells++;
  if (al_log_read(&log, c->folder, name) != AL_OK) {
    printf("  %s\n", al_message());
    c->problems++;
    return;
  }
  if (log->end != NULL)
    c->complete++;
  else
    printf("  %s/cells/%s.jsonl: unfinished (%zu rounds)\n", c->folder, name, json_array_size(log->rounds));
  if (!reference) {
    check_rounds(c, log);
    if (json_array_size(log->rounds) != 0) check_start(c, log);
  }
  al_log_free(log);
}

al_status al_cli_verify(int argc, char **argv) {
  size_t problems = 0, unfinished = 0;
  if (argc == 2 && strcmp(argv[1], "--help") == 0) {
    puts("usage: alab verify STUDY_DIR...\n\nReplay-checks logs: schema, digests, budget, rows asked once, paired "
         "starts. Exit status 1\n"
         "when something does not hold.");
    return AL_OK;
  }
  if (argc < 2) return al_fail(AL_BAD_INPUT, "verify: give one results folder or more");
  for (int i = 1; i < argc; i++) {
    json_t *study = NULL;
    al_status status = al_study_read(&study, argv[i]);
    if (status != AL_OK) return status;
    check c = {.folder = argv[i], .starts = json_object()};
    static const char *const lists[] = {"cells", "references"};
    for (size_t l = 0; l < 2; l++) {
      const json_t *names = json_object_get(study, lists[l]);
      for (size_t n = 0; n < json_array_size(names); n++)
        check_cell(&c, json_string_value(json_array_get(names, n)), l == 1);
    }
    printf("%s: %zu cells, %zu complete, %zu differences\n", argv[i], c.cells, c.complete, c.problems);
    problems += c.problems;
    unfinished += c.cells - c.complete;
    json_decref(c.starts);
    json_decref(study);
  }
  if (problems != 0) return al_fail(AL_NEGATIVE, "%zu differences found", problems);
  if (unfinished != 0) return al_fail(AL_NEGATIVE, "%zu cells are unfinished; alab run goes on with them", unfinished);
  return AL_OK;
}
