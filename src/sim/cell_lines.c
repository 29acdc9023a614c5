/* The lines of a cell's log and timing file: docs/log.md gives them field by field. */
#include "sim/cell_private.h"

#include <sys/resource.h>

static json_t *number_or_null(double value, bool present) { return present ? json_real(value) : json_null(); }

static json_t *count_or_null(size_t value) { return value == 0 ? json_null() : json_integer((json_int_t)value); }

json_t *al_budget_json(const al_budget *budget) {
  return json_pack("{s:o,s:o,s:o,s:o}", "labels", count_or_null(budget->labels), "cost",
                   number_or_null(budget->cost, budget->cost > 0.0), "rounds", count_or_null(budget->rounds),
                   "accuracy", number_or_null(budget->accuracy, budget->accuracy >= 0.0));
}

static json_t *hex_of_stream(const al_loop *l, const char *purpose, const char *strategy) {
  al_rng rng = al_loop_stream(l, purpose, strategy, 0);
  return json_sprintf("%016llx%016llx", (unsigned long long)rng.key[1], (unsigned long long)rng.key[0]);
}

/* A private copy of what the caller resolved: the header must not share references with the experiment. */
static json_t *copy(const json_t *value) { return value == NULL ? json_null() : json_deep_copy(value); }

void al_name_by_content(json_t *value, const json_t *files) {
  const char *key;
  json_t *inner;
  size_t i;
  json_object_foreach(value, key, inner) {
    const json_t *digest = json_is_string(inner) ? json_object_get(files, json_string_value(inner)) : NULL;
    if (digest != NULL)
      json_object_set_new(value, key, json_sprintf("content %s", json_string_value(digest)));
    else
      al_name_by_content(inner, files);
  }
  json_array_foreach(value, i, inner) {
    const json_t *digest = json_is_string(inner) ? json_object_get(files, json_string_value(inner)) : NULL;
    if (digest != NULL)
      json_array_set_new(value, i, json_sprintf("content %s", json_string_value(digest)));
    else
      al_name_by_content(inner, files);
  }
}

json_t *al_loop_header(const al_loop *l) {
  const al_cell *cell = l->cell;
  const al_dataset *dataset = l->dataset;
  static const char *const kinds[] = {[AL_TEXT] = "text", [AL_IMAGE] = "image", [AL_TABULAR] = "tabular"};
  json_t *classes = json_array();
  for (size_t c = 0; c < dataset->classes; c++) json_array_append_new(classes, json_string(dataset->class_names[c]));
  const char *strategy = cell->strategy == NULL ? "full-data" : cell->strategy->name;
  const char *hash = al_predictor_weights(l->model);
  json_t *data = json_pack("{s:s,s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:o,s:o}", "name", dataset->name, "label",
                           cell->problem->label, "digest", l->split->digest, "kind", kinds[dataset->kind], "labels",
                           dataset->multi ? "multi" : "single", "train", (json_int_t)l->split->train_size, "pool",
                           (json_int_t)l->pool.size, "test", (json_int_t)l->split->test_size, "evaluated",
                           (json_int_t)l->evaluated_count, "classes", classes, "options", copy(cell->problem->entry));
  if (*cell->problem->weights != '\0')
    json_object_set_new(data, "representation_weights", json_string(cell->problem->weights));
  json_t *streams = json_pack("{s:o,s:o,s:o,s:o,s:o,s:o}", "split", hex_of_stream(l, "split", NULL), "order",
                              hex_of_stream(l, "order", NULL), "initial", hex_of_stream(l, "initial", NULL), "start",
                              hex_of_stream(l, "start", NULL), "fit", hex_of_stream(l, "fit", NULL), "query",
                              hex_of_stream(l, "query", strategy));
  json_t *params = copy(cell->strategy_params);
  if (cell->strategy_files != NULL) al_name_by_content(params, cell->strategy_files);
  return json_pack("{s:s,s:i,s:s,s:I,s:i,s:o,s:{s:s,s:s,s:o},s:o,s:{s:s,s:s,s:o},s:s,s:o,s:{s:I},s:o,s:o,s:{s:I},"
                   "s:{s:I},s:o}",
                   "schema", AL_RECORD_SCHEMA, "stream_version", AL_STREAM_VERSION, "study", cell->study, "seed",
                   (json_int_t)cell->seed, "replicate", (int)cell->replicate, "dataset", data, "model", "name",
                   cell->model->name, "label", cell->model_label, "options", copy(cell->model_options), "weights",
                   hash == NULL ? json_null() : json_string(hash), "strategy", "name", strategy, "label",
                   cell->strategy_label, "params", params, "setting", cell->setting, "initial", copy(cell->initial),
                   "query", "batch", (json_int_t)cell->batch, "oracle", copy(cell->oracle), "cost", copy(cell->cost),
                   "holdout", "size", (json_int_t)cell->holdout, "evaluate", "sample", (json_int_t)cell->sample,
                   "streams", streams);
}

static void add_notes(json_t *notes, const al_loop *l) {
  json_t *of_model = al_predictor_notes(l->model);
  if (of_model != NULL) json_array_extend(notes, of_model);
  json_decref(of_model);
}

al_status al_loop_line(json_t **out, const al_loop *l, const al_batch *b, size_t round, json_t *holdout,
                       json_t *metrics, json_t *calibration) {
  json_t *asked = json_array(), *scores = json_array(), *answers = json_array(), *paid = json_array();
  for (size_t i = 0; i < b->count; i++) {
    json_array_append_new(asked, json_integer(b->rows[i]));
    json_array_append_new(scores, b->picks.scored ? json_real(b->picks.scores[i]) : json_null());
    json_array_append_new(answers, json_pack("[i]", b->classes[i]));
    json_array_append_new(paid, json_real(b->paid[i]));
  }
  if (b->picks.note != NULL) json_array_append_new(b->notes, json_string(b->picks.note));
  add_notes(b->notes, l);
  *out = json_pack("{s:I,s:I,s:f,s:o,s:o,s:o,s:o}", "round", (json_int_t)round, "labels", (json_int_t)l->labels, "cost",
                   l->cost, "asked", asked, "scores", scores, "answers", answers, "paid", paid);
  if (*out == NULL) return al_fail(AL_ENVIRONMENT, "out of memory");
  int failed = 0;
  if (holdout != NULL) failed |= json_object_set_new(*out, "holdout", holdout);
  failed |= json_object_set_new(*out, "metrics", json_pack("{s:o}", "test", metrics));
  failed |= json_object_set_new(*out, "calibration", calibration);
  failed |= json_object_set_new(*out, "labelled", al_labelled_state_json(l->state));
  failed |= json_object_set_new(*out, "observed", json_object());
  failed |= json_object_set(*out, "state", b->picks.state == NULL ? json_null() : b->picks.state);
  failed |= json_object_set(*out, "notes", b->notes);
  return failed ? al_fail(AL_ENVIRONMENT, "out of memory") : AL_OK;
}

al_status al_loop_timing(const al_loop *l, const char *folder, size_t round, size_t pool) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  json_t *line = json_pack("{s:I,s:f,s:f,s:f,s:f,s:I,s:I}", "round", (json_int_t)round, "train", l->seconds_train,
                           "predict", l->seconds_predict, "query", l->seconds_query, "evaluate", l->seconds_evaluate,
                           "pool", (json_int_t)pool, "peak_rss", (json_int_t)usage.ru_maxrss * 1024);
  al_status status = al_record_timing(folder, l->cell->name, line);
  json_decref(line);
  return status;
}
