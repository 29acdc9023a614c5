/* The grid. A cell's name ends in a hash of everything that can change a line of its log, settings at their default
 * left out, so that a changed setting is another cell and a new key with a default is not. */
#include "sim/study.h"

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "model/frozen.h"
#include "model/predictor.h"
#include "record/record.h"
#include "sim/host.h"
#include "sim/pool.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HASH_DIGITS = 8 };

static const char *text_of(const json_t *object, const char *key) {
  return json_string_value(json_object_get(object, key));
}

/* ---- opening the data ---- */

static bool splits_move(const al_problem *problem) {
  const json_t *per = json_object_get(json_object_get(problem->entry, "split"), "per");
  return problem->dataset->train_rows == problem->dataset->rows && json_is_string(per) &&
         strcmp(json_string_value(per), "replicate") == 0;
}

static al_status open_problem(al_problem *problem, const al_experiment *experiment, size_t index, size_t replicates) {
  al_status status;
  const json_t *listed = json_array_get(experiment->datasets, index);
  problem->entry = json_object_get(listed, "options");
  problem->label = text_of(listed, "label");
  snprintf(problem->where, sizeof problem->where, "%s: datasets[%zu]", experiment->path, index);
  AL_TRY(al_dataset_open(&problem->dataset, problem->entry, experiment->base, problem->where));
  const json_t *representation = json_object_get(problem->entry, "representation");
  if (al_frozen_given(representation)) {
    char where[sizeof problem->where + 20];
    snprintf(where, sizeof where, "%s.representation", problem->where);
    AL_TRY(al_frozen_check(representation, problem->dataset->kind, experiment->base, where));
    AL_TRY(al_frozen_weights(problem->weights, representation, experiment->base));
  }
  problem->split_count = splits_move(problem) ? replicates : 1;
  AL_TRY(AL_NEW(&problem->splits, problem->split_count));
  AL_TRY(AL_NEW(&problem->f, problem->split_count));
  for (size_t i = 0; i < problem->split_count; i++) {
    al_stream_key key = {
        .seed = experiment->seed, .purpose = "split", .dataset = problem->dataset->name, .replicate = (uint32_t)i};
    AL_TRY(al_split_make(&problem->splits[i], problem->dataset, problem->entry, al_rng_open(&key)));
  }
done:
  return status;
}

static void close_problem(al_problem *problem) {
  for (size_t i = 0; i < problem->split_count; i++) {
    if (problem->splits != NULL) al_split_free(&problem->splits[i]);
    if (problem->f != NULL) al_features_free(problem->f[i]);
  }
  free(problem->splits);
  free(problem->f);
  al_token_sets_free(problem->words);
  al_token_sets_free(problem->pieces);
  al_dataset_free(problem->dataset);
}

/* ---- the grid ---- */

/* Only what is not at its default, and of the data only what its digest does not hold already. */
static al_status hash_of(char hex[33], const al_cell *cell) {
  al_status status;
  json_t *model = NULL, *strategy = NULL, *oracle = NULL, *cost = NULL, *all = NULL;
  const al_problem *problem = cell->problem;
  const al_split *split = &problem->splits[problem->split_count == 1 ? 0 : cell->replicate];
  AL_TRY(al_model_settings(&model, cell->model, cell->model_options, cell->base));
  all = json_pack("{s:i,s:I,s:i,s:s,s:s,s:s,s:o}", "stream_version", AL_STREAM_VERSION, "seed", (json_int_t)cell->seed,
                  "replicate", (int)cell->replicate, "dataset", problem->dataset->name, "digest", split->digest,
                  "model", cell->model->name, "model_options", model);
  model = NULL;
  if (all == NULL) return al_fail(AL_ENVIRONMENT, "out of memory");
  static const char *const of_data[] = {"pool", "representation"};
  for (size_t i = 0; i < 2; i++) {
    json_t *value = json_object_get(problem->entry, of_data[i]);
    if (value == NULL || json_is_null(value)) continue;
    json_t *frozen = NULL;
    if (al_frozen_given(value)) AL_TRY(al_frozen_settings(&frozen, value, cell->base));
    if (frozen != NULL)
      json_object_set_new(all, of_data[i], frozen);
    else
      json_object_set(all, of_data[i], value);
  }
  if (cell->holdout != 0) json_object_set_new(all, "holdout", json_integer((json_int_t)cell->holdout));
  if (cell->sample != 0) json_object_set_new(all, "sample", json_integer((json_int_t)cell->sample));
  if (cell->strategy != NULL) {
    AL_TRY(al_strategy_nondefault(&strategy, cell->strategy, cell->strategy_params));
    if (cell->strategy_files != NULL) al_name_by_content(strategy, cell->strategy_files);
    json_object_set_new(all, "strategy", json_string(cell->strategy->name));
    json_object_set(all, "params", strategy);
    json_object_set_new(all, "initial",
                        json_pack("[I,s]", (json_int_t)al_params_int(cell->initial, "size"),
                                  al_params_string(cell->initial, "method")));
    json_object_set_new(all, "batch", json_integer((json_int_t)cell->batch));
  }
  const al_oracle_type *oracle_type = al_oracle_find(text_of(cell->oracle, "kind"));
  const al_cost_type *cost_type = al_cost_find(text_of(cell->cost, "kind"));
  assert(oracle_type != NULL && cost_type != NULL);
  AL_TRY(al_params_nondefault(&oracle, oracle_type->params, cell->oracle));
  AL_TRY(al_params_nondefault(&cost, cost_type->params, cell->cost));
  json_object_set_new(all, "oracle", json_pack("[s,O]", oracle_type->name, oracle));
  json_object_set_new(all, "cost", json_pack("[s,O]", cost_type->name, cost));
  AL_TRY(al_json_digest(all, hex));
done:
  json_decref(model);
  json_decref(strategy);
  json_decref(oracle);
  json_decref(cost);
  json_decref(all);
  return status;
}

static al_status name_cell(al_cell *cell) {
  char hex[33];
  al_status status = hash_of(hex, cell);
  if (status != AL_OK) return al_context(status, "%s on %s", cell->model_label, cell->problem->label);
  hex[HASH_DIGITS] = '\0';
  return al_format(&cell->name, "%s.%s.%s%s%s.r%u.%s", cell->problem->label, cell->model_label, cell->strategy_label,
                   *cell->setting == '\0' ? "" : ".", cell->setting, cell->replicate, hex);
}

typedef struct {
  size_t initial, query, oracle, cost;
} axes;

/* Labels of the axes that have several entries, joined by '+'. */
static al_status setting_of(char **out, const al_experiment *e, const axes *at) {
  al_buffer text = {0};
  const json_t *lists[] = {e->initial, e->query, e->oracle, e->cost};
  const size_t index[] = {at->initial, at->query, at->oracle, at->cost};
  al_status status = al_buffer_append(&text, "", 0);
  for (size_t i = 0; status == AL_OK && i < 4; i++) {
    const char *label = text_of(json_array_get(lists[i], index[i]), "label");
    if (label != NULL && *label != '\0') status = al_buffer_print(&text, "%s%s", text.size == 0 ? "" : "+", label);
  }
  *out = text.data;
  return status;
}

static size_t smaller_limit(const json_t *a, const json_t *b) {
  size_t x = json_is_integer(a) ? (size_t)json_integer_value(a) : 0,
         y = json_is_integer(b) ? (size_t)json_integer_value(b) : 0;
  if (x == 0 || y == 0) return x + y;
  return x < y ? x : y;
}

static al_budget budget_of(const al_experiment *e, const al_problem *problem, const json_t *query, size_t pool) {
  const json_t *labels = json_object_get(e->stop, "labels"), *cost = json_object_get(e->stop, "cost");
  const json_t *accuracy = json_object_get(e->stop, "accuracy");
  (void)problem;
  double wanted = json_is_number(labels) ? json_number_value(labels) : 0.0;
  return (al_budget){.labels = wanted > 0.0 && wanted < 1.0 ? (size_t)ceil(wanted * (double)pool) : (size_t)wanted,
                     .rounds = smaller_limit(json_object_get(query, "rounds"), json_object_get(e->stop, "rounds")),
                     .cost = json_is_number(cost) ? json_number_value(cost) : 0.0,
                     .accuracy = json_is_number(accuracy) ? json_number_value(accuracy) : -1.0};
}

typedef struct {
  al_study *study;
  size_t capacity, *replicates; /* a model each */
} builder;

static al_status add_cell(builder *b, const al_cell *cell) {
  al_study *study = b->study;
  al_status status = al_grow(&study->cells, &b->capacity, study->cell_count + 1, sizeof *study->cells);
  if (status != AL_OK) return status;
  al_cell *added = &study->cells[study->cell_count];
  *added = *cell;
  added->name = NULL;
  snprintf(added->build, sizeof added->build, "%s", text_of(study->build, "id"));
  status = name_cell(added);
  study->cell_count += status == AL_OK; /* one without a name is not the study's, and its setting not either */
  return status;
}

static al_status leave_out(al_study *study, const char *dataset, const char *model, const char *strategy,
                           const char *why) {
  json_t *entry = json_pack("{s:s,s:s,s:s,s:s}", "dataset", dataset, "model", model, "strategy", strategy, "why", why);
  return json_array_append_new(study->left_out, entry) == 0 ? AL_OK : al_fail(AL_ENVIRONMENT, "out of memory");
}

static al_status pool_rows(size_t *rows, const al_problem *problem, uint64_t seed) {
  al_pool pool;
  al_status status =
      al_pool_make(&pool, problem->dataset, &problem->splits[0], problem->entry, 0, seed, 0, problem->where);
  *rows = pool.whole_size;
  al_pool_free(&pool);
  return status;
}

/* Replicates outermost, so that an interrupted study has whole pairs. */
static al_status add_settings(builder *b, al_cell *cell, const axes *at, size_t pool) {
  const al_experiment *e = b->study->experiment;
  const json_t *query = json_array_get(e->query, at->query);
  cell->initial = json_array_get(e->initial, at->initial);
  cell->oracle = json_array_get(e->oracle, at->oracle);
  cell->cost = json_array_get(e->cost, at->cost);
  cell->batch = (size_t)al_params_int(query, "batch");
  cell->budget = budget_of(e, cell->problem, query, pool);
  char *setting = NULL;
  al_status status = setting_of(&setting, e, at);
  cell->setting = setting;
  if (status == AL_OK) status = add_cell(b, cell);
  if (status != AL_OK) free(setting);
  return status;
}

static al_status add_strategies(builder *b, al_cell *cell, size_t pool) {
  const al_experiment *e = b->study->experiment;
  al_status status = AL_OK;
  for (size_t s = 0; s < json_array_size(e->strategies); s++) {
    const json_t *entry = json_array_get(e->strategies, s);
    cell->strategy = al_strategy_find(text_of(entry, "name"));
    cell->strategy_params = json_object_get(entry, "params");
    cell->strategy_label = text_of(entry, "label");
    cell->strategy_files = json_array_get(b->study->files, s);
    if (json_object_size(cell->strategy_files) == 0) cell->strategy_files = NULL;
    assert(cell->strategy != NULL);
    const char *unmet =
        al_needs_unmet(cell->strategy->needs(cell->strategy_params),
                       al_model_gives(cell->model, cell->model_options, cell->base), cell->problem->dataset->kind);
    if (cell->problem->dataset->multi && !al_strategy_takes_multi(cell->strategy, cell->strategy_params))
      unmet = "it takes single-label data only";
    if (*unmet != '\0') {
      if (cell->replicate == 0)
        AL_TRY(leave_out(b->study, cell->problem->label, cell->model_label, cell->strategy_label, unmet));
      continue;
    }
    for (axes at = {0}; at.initial < json_array_size(e->initial); at.initial++)
      for (at.query = 0; at.query < json_array_size(e->query); at.query++)
        for (at.oracle = 0; at.oracle < json_array_size(e->oracle); at.oracle++)
          for (at.cost = 0; at.cost < json_array_size(e->cost); at.cost++) AL_TRY(add_settings(b, cell, &at, pool));
  }
done:
  return status;
}

static al_status add_reference(builder *b, al_cell *cell) {
  const al_experiment *e = b->study->experiment;
  char *setting = NULL;
  cell->strategy = NULL;
  cell->strategy_params = NULL;
  cell->strategy_files = NULL;
  cell->strategy_label = "full-data";
  cell->initial = json_array_get(e->initial, 0);
  cell->oracle = json_array_get(e->oracle, 0);
  cell->cost = json_array_get(e->cost, 0);
  cell->batch = 0;
  cell->budget = (al_budget){.accuracy = -1.0};
  al_status status = al_copy_string(&setting, "");
  cell->setting = setting;
  if (status == AL_OK) status = add_cell(b, cell);
  if (status != AL_OK)
    free(setting);
  else
    b->study->reference_count++;
  return status;
}

/* Every replicate of every dataset and model; `references`: the full-data cells instead, one where nothing moves. */
static al_status add_all(builder *b, bool references) {
  al_study *study = b->study;
  const al_experiment *e = study->experiment;
  al_status status = AL_OK;
  size_t models = json_array_size(e->models), most = 0;
  for (size_t m = 0; m < models; m++) most = b->replicates[m] > most ? b->replicates[m] : most;
  for (size_t replicate = 0; replicate < most; replicate++)
    for (size_t d = 0; d < study->problem_count; d++) {
      al_problem *problem = &study->problems[d];
      size_t pool = 0;
      AL_TRY(pool_rows(&pool, problem, e->seed));
      for (size_t m = 0; m < models; m++) {
        const json_t *entry = json_array_get(e->models, m);
        al_cell cell = {.study = e->study,
                        .base = e->base,
                        .seed = e->seed,
                        .replicate = (uint32_t)replicate,
                        .problem = problem,
                        .model = al_model_find(text_of(entry, "name")),
                        .model_options = json_object_get(entry, "options"),
                        .model_label = text_of(entry, "label"),
                        .holdout = (size_t)al_params_int(e->holdout, "size"),
                        .sample = (size_t)al_params_int(e->evaluate, "sample")};
        char where[256];
        assert(cell.model != NULL);
        snprintf(where, sizeof where, "%s: models[%zu]", e->path, m);
        if (replicate >= b->replicates[m]) continue;
        AL_TRY(al_predictor_check(cell.model, cell.model_options, cell.holdout, where));
        status = al_model_check(cell.model, cell.model_options, problem->dataset->kind, e->base, where);
        if (status == AL_ENVIRONMENT) goto done; /* missing weights are no impossible combination */
        if (status != AL_OK) {
          if (replicate == 0 && !references)
            AL_TRY(leave_out(study, problem->label, cell.model_label, "*", al_message()));
          status = AL_OK;
          continue;
        }
        /* a model that reads the hold-out is not trained on it, and each replicate has its own */
        bool fixed = cell.model->deterministic && al_pool_is_fixed(problem->entry) && problem->split_count == 1 &&
                     !al_predictor_reads_holdout(cell.model_options);
        if (!references)
          AL_TRY(add_strategies(b, &cell, pool));
        else if (replicate == 0 || !fixed)
          AL_TRY(add_reference(b, &cell));
      }
    }
done:
  return status;
}

/* Programs of the user's, by content, once for all cells. */
static al_status read_files(al_study *study) {
  const al_experiment *e = study->experiment;
  study->files = json_array();
  for (size_t s = 0; s < json_array_size(e->strategies); s++) {
    const json_t *entry = json_array_get(e->strategies, s);
    const al_strategy *strategy = al_strategy_find(text_of(entry, "name"));
    json_t *files = NULL;
    char where[512];
    assert(strategy != NULL);
    snprintf(where, sizeof where, "%s: strategies[%zu].params", e->path, s);
    al_status status = al_strategy_files(&files, strategy, json_object_get(entry, "params"), e->base, where);
    if (status != AL_OK) return status;
    json_array_append_new(study->files, files);
  }
  return AL_OK;
}

static al_status count_replicates(builder *b, size_t *most) {
  const al_experiment *e = b->study->experiment;
  size_t models = json_array_size(e->models);
  al_status status = AL_NEW(&b->replicates, models);
  if (status != AL_OK) return status;
  *most = 0;
  for (size_t m = 0; m < models; m++) {
    const al_model_type *type = al_model_find(text_of(json_array_get(e->models, m), "name"));
    assert(type != NULL);
    b->replicates[m] = e->replicates != 0 ? e->replicates : type->fine_tuned ? 5 : 10;
    *most = b->replicates[m] > *most ? b->replicates[m] : *most;
  }
  return AL_OK;
}

static al_status refuse_equal_names(const al_study *study) {
  for (size_t i = 0; i < study->cell_count; i++)
    for (size_t j = 0; j < i; j++)
      if (strcmp(study->cells[i].name, study->cells[j].name) == 0)
        return al_fail(AL_BAD_INPUT,
                       "two cells of the grid are alike (%s); give them different settings or labels with as",
                       study->cells[i].name);
  return AL_OK;
}

al_status al_study_open(al_study **out, const al_experiment *experiment) {
  al_status status;
  builder b = {0};
  size_t most = 0;
  *out = NULL;
  al_study *study = NULL;
  AL_TRY(AL_NEW(&study, 1));
  b.study = study;
  study->experiment = experiment;
  study->left_out = json_array();
  study->problem_count = json_array_size(experiment->datasets);
  AL_TRY(al_host_build(&study->build));
  AL_TRY(count_replicates(&b, &most));
  AL_TRY(read_files(study));
  AL_TRY(AL_NEW(&study->problems, study->problem_count));
  for (size_t i = 0; i < study->problem_count; i++) AL_TRY(open_problem(&study->problems[i], experiment, i, most));
  AL_TRY(add_all(&b, false));
  if (study->cell_count == 0) {
    const json_t *first = json_array_get(study->left_out, 0);
    status =
        al_fail(AL_BAD_INPUT, "%s: no combination of dataset, model and strategy can run; the first: %s with %s: %s",
                experiment->path, text_of(first, "dataset"), text_of(first, "model"), text_of(first, "why"));
    goto done;
  }
  AL_TRY(add_all(&b, true));
  AL_TRY(refuse_equal_names(study));
  for (size_t i = 0; i < study->cell_count; i++)
    if (study->cells[i].replicate == 0) {
      status = al_cell_check(&study->cells[i]);
      if (status != AL_OK) {
        (void)al_context(status, "%s", experiment->path);
        goto done;
      }
    }
  *out = study;
  study = NULL;
done:
  free(b.replicates);
  al_study_free(study);
  return status;
}

void al_study_free(al_study *study) {
  if (study == NULL) return;
  for (size_t i = 0; i < study->cell_count; i++) {
    free(study->cells[i].name);
    free((void *)(uintptr_t)study->cells[i].setting);
  }
  free(study->cells);
  for (size_t i = 0; study->problems != NULL && i < study->problem_count; i++) close_problem(&study->problems[i]);
  free(study->problems);
  json_decref(study->left_out);
  json_decref(study->build);
  json_decref(study->files);
  free(study);
}

/* ---- preparing ---- */

static al_status prepare_model(void *context, void *result) {
  const al_cell *cell = context;
  al_predictor *model = NULL;
  (void)result;
  const al_problem *problem = cell->problem;
  al_model_source source = {.dataset = problem->dataset,
                            .split = &problem->splits[problem->split_count == 1 ? 0 : cell->replicate],
                            .seed = cell->seed,
                            .replicate = cell->replicate,
                            .where = cell->model_label,
                            .base = cell->base,
                            .announce = cell->replicate == 0};
  al_status status = al_predictor_open(&model, cell->model, cell->model_options, &source);
  al_predictor_free(model);
  return status;
}

/* The same model, data and split as an earlier cell's. */
static bool prepared_before(const al_study *study, size_t index) {
  const al_cell *cell = &study->cells[index];
  for (size_t i = 0; i < index; i++) {
    const al_cell *other = &study->cells[i];
    if (other->problem == cell->problem && other->model_options == cell->model_options &&
        (cell->problem->split_count == 1 || other->replicate == cell->replicate))
      return true;
  }
  return false;
}

typedef struct {
  al_problem *problem;
  al_model_source source;
} representation_task;

static al_status prepare_representation(void *context, void *result) {
  representation_task *task = context;
  al_features *f = NULL;
  (void)result;
  al_status status = al_model_representation_open(&f, task->problem->entry, &task->source);
  al_features_free(f);
  return status;
}

/* A frozen encoder runs in a child, so that this process, which forks workers, never has libtorch's threads. */
static al_status open_representation(al_problem *problem, size_t split, const al_experiment *e) {
  char where[sizeof problem->where + 20];
  snprintf(where, sizeof where, "%s.representation", problem->where);
  representation_task task = {problem,
                              {.dataset = problem->dataset,
                               .split = &problem->splits[split],
                               .seed = e->seed,
                               .where = where,
                               .base = e->base}};
  al_status status = AL_OK;
  if (al_frozen_given(json_object_get(problem->entry, "representation")))
    status = al_engine_isolate(prepare_representation, &task, NULL, 0);
  return status == AL_OK ? al_model_representation_open(&problem->f[split], problem->entry, &task.source) : status;
}

al_status al_study_prepare(al_study *study) {
  al_status status = AL_OK;
  for (size_t i = 0; i < study->problem_count; i++) {
    al_problem *problem = &study->problems[i];
    for (size_t s = 0; s < problem->split_count; s++)
      if (problem->f[s] == NULL) AL_TRY(open_representation(problem, s, study->experiment));
  }
  for (size_t i = 0; i < study->cell_count; i++) {
    al_cell *cell = &study->cells[i];
    al_problem *problem = &study->problems[cell->problem - study->problems];
    unsigned needs = cell->strategy == NULL ? 0 : cell->strategy->needs(cell->strategy_params);
    const al_strategy *start = al_strategy_find(al_params_string(cell->initial, "method"));
    if (start != NULL && strcmp(start->name, "random") != 0) {
      json_t *params = NULL;
      AL_TRY(al_params_resolve(&params, start->params, NULL, start->name));
      needs |= start->needs(params);
      json_decref(params);
    }
    if ((needs & AL_NEED_TOKENS) && problem->dataset->kind == AL_TEXT) {
      al_token_sets **sets = (needs & AL_NEED_WORDPIECE) ? &problem->pieces : &problem->words;
      if (*sets == NULL) AL_TRY(al_token_sets_open(sets, problem->dataset, (needs & AL_NEED_WORDPIECE) != 0));
    }
    if (!prepared_before(study, i)) {
      status = al_engine_isolate(prepare_model, cell, NULL, 0);
      if (status != AL_OK) {
        (void)al_context(status, "%s on %s", cell->model_label, problem->label);
        goto done;
      }
    }
  }
done:
  return status;
}

/* ---- choosing cells ---- */

static bool only_matches(const al_cell *cell, const char *key, const char *value) {
  if (strcmp(key, "dataset") == 0) return strcmp(cell->problem->label, value) == 0;
  if (strcmp(key, "model") == 0) return strcmp(cell->model_label, value) == 0;
  if (strcmp(key, "strategy") == 0) return strcmp(cell->strategy_label, value) == 0;
  if (strcmp(key, "setting") == 0) return strcmp(cell->setting, value) == 0;
  char number[24];
  snprintf(number, sizeof number, "%u", cell->replicate);
  return strcmp(number, value) == 0;
}

/* keep[i]: the cell is wanted. Values of one key are alternatives, keys are conditions. */
static al_status choose(bool **out, const al_study *study, const al_run_options *options) {
  static const char *const keys[] = {"dataset", "model", "strategy", "setting", "replicate"};
  al_status status = AL_NEW(out, study->cell_count);
  if (status != AL_OK) return status;
  bool *keep = *out, any = false;
  for (size_t i = 0; i < options->only_count; i++) {
    const char *equals = strchr(options->only[i], '=');
    size_t length = equals == NULL ? 0 : (size_t)(equals - options->only[i]);
    bool known = false, used = false;
    for (size_t k = 0; k < 5; k++)
      known |= strlen(keys[k]) == length && strncmp(options->only[i], keys[k], length) == 0;
    if (!known)
      return al_fail(AL_BAD_INPUT,
                     "--only %s: give dataset=, model=, strategy=, setting= or replicate=", options->only[i]);
    for (size_t c = 0; c < study->cell_count; c++) {
      char key[16];
      snprintf(key, sizeof key, "%.*s", (int)length, options->only[i]);
      used |= only_matches(&study->cells[c], key, equals + 1);
    }
    if (!used) return al_fail(AL_BAD_INPUT, "--only %s: no cell of this experiment matches", options->only[i]);
  }
  for (size_t c = 0; c < study->cell_count; c++) {
    keep[c] = options->shards == 0 || c % options->shards == options->shard - 1;
    for (size_t k = 0; keep[c] && k < 5; k++) {
      bool asked = false, met = false;
      for (size_t i = 0; i < options->only_count; i++) {
        size_t length = strlen(keys[k]);
        if (strncmp(options->only[i], keys[k], length) != 0 || options->only[i][length] != '=') continue;
        asked = true;
        met |= only_matches(&study->cells[c], keys[k], options->only[i] + length + 1);
      }
      keep[c] = !asked || met;
    }
    any |= keep[c];
  }
  return any ? AL_OK : al_fail(AL_BAD_INPUT, "--only: no cell meets all the conditions");
}

/* ---- the folder ---- */

static json_t *names_of(const al_study *study, bool references) {
  json_t *names = json_array();
  for (size_t i = 0; i < study->cell_count; i++)
    if ((study->cells[i].strategy == NULL) == references)
      json_array_append_new(names, json_string(study->cells[i].name));
  return names;
}

static al_status write_study(const al_study *study, const char *folder) {
  const al_experiment *e = study->experiment;
  char hash[33];
  al_status status = al_json_digest(e->resolved, hash);
  if (status != AL_OK) return status;
  json_t *budget = json_pack("{s:O,s:O}", "stop", e->stop, "query", e->query);
  json_t *object = json_pack("{s:s,s:s,s:s,s:s,s:O,s:s,s:O,s:o,s:O,s:o,s:o}", "schema", "alab.study/1", "study",
                             e->study, "source", e->path, "base", e->base, "experiment", e->resolved, "hash", hash,
                             "build", study->build, "budget", budget, "left_out", study->left_out, "cells",
                             names_of(study, false), "references", names_of(study, true));
  if (object == NULL) return al_fail(AL_ENVIRONMENT, "out of memory");
  status = al_study_write(folder, object);
  json_decref(object);
  return status;
}

/* The folder must be new or this study's. */
static al_status claim_folder(const al_study *study, const char *folder) {
  char path[4096];
  json_t *before = NULL;
  snprintf(path, sizeof path, "%s/cells", folder);
  al_status status = al_folder_make(path);
  if (status != AL_OK) return status;
  snprintf(path, sizeof path, "%s/study.json", folder);
  if (access(path, F_OK) != 0) return AL_OK;
  status = al_study_read(&before, folder);
  if (status != AL_OK) return status;
  const char *name = text_of(before, "study");
  if (name == NULL || strcmp(name, study->experiment->study) != 0)
    status = al_fail(AL_BAD_INPUT, "%s: the folder belongs to the study '%s', not to '%s'; give another with --out",
                     folder, name == NULL ? "?" : name, study->experiment->study);
  json_decref(before);
  return status;
}

typedef struct {
  al_cell *cell;
  const char *folder;
} cell_task;

static al_status run_cell(void *context, const al_cell_watch *watch) {
  cell_task *task = context;
  return al_cell_run(task->cell, task->folder, watch);
}

static double work_of_cell(const void *context, size_t rounds) {
  return al_cell_work(((const cell_task *)context)->cell, rounds);
}

typedef struct {
  al_task *tasks;
  cell_task *contexts;
  size_t count, complete, kept_from_other_build, restarted;
} todo;

static al_status list_todo(todo *list, al_study *study, const char *folder, const bool *keep) {
  al_status status;
  AL_TRY(AL_NEW(&list->tasks, study->cell_count));
  AL_TRY(AL_NEW(&list->contexts, study->cell_count));
  /* the references first: each takes longest, and nothing waits for them at the end */
  for (int pass = 0; pass < 2; pass++)
    for (size_t i = 0; i < study->cell_count; i++) {
      al_cell *cell = &study->cells[i];
      if (!keep[i] || (cell->strategy == NULL) != (pass == 0)) continue;
      bool complete = false, same_build = true;
      size_t rounds = 0;
      AL_TRY(al_cell_progress(cell, folder, &complete, &same_build, &rounds));
      if (complete) {
        list->complete++;
        list->kept_from_other_build += !same_build;
        continue;
      }
      if (!same_build) {
        list->restarted++;
        rounds = 0;
      }
      size_t weight = al_cell_rounds(cell, al_cell_pool(cell));
      list->contexts[list->count] = (cell_task){cell, folder};
      list->tasks[list->count] = (al_task){.name = cell->name,
                                           .done = rounds < weight ? rounds : weight,
                                           .weight = weight,
                                           .run = run_cell,
                                           .work = work_of_cell,
                                           .context = &list->contexts[list->count]};
      list->count++;
    }
done:
  return status;
}

static void name_left_out(const al_study *study) {
  for (size_t i = 0; i < json_array_size(study->left_out); i++) {
    const json_t *entry = json_array_get(study->left_out, i);
    al_log_notice("left out: %s with %s on %s: %s", text_of(entry, "strategy"), text_of(entry, "model"),
                  text_of(entry, "dataset"), text_of(entry, "why"));
  }
}

al_status al_study_run(al_study *study, const al_run_options *options) {
  al_status status;
  bool *keep = NULL;
  todo list = {0};
  size_t failed = 0;
  name_left_out(study);
  AL_TRY(choose(&keep, study, options));
  AL_TRY(al_study_prepare(study));
  AL_TRY(claim_folder(study, options->folder));
  AL_TRY(list_todo(&list, study, options->folder, keep));
  AL_TRY(write_study(study, options->folder));
  if (list.complete != 0) al_log_notice("%zu cells are complete already", list.complete);
  if (list.kept_from_other_build != 0)
    al_log_notice("%zu of them were made by another build of alab; they are kept", list.kept_from_other_build);
  if (list.restarted != 0) al_log_notice("%zu unfinished cells of another build start anew", list.restarted);
  if (list.count == 0) goto done;
  al_engine_catch_signals();
  status = al_engine_run(list.tasks, list.count, options->jobs, study->experiment->study, &failed);
  al_engine_release_signals();
done:
  free(keep);
  free(list.tasks);
  free(list.contexts);
  return status;
}

/* ---- the dry run ---- */

typedef struct {
  const al_cell *cell;
  size_t n;
} probe_task;

typedef struct {
  double fit, predict;
} probe_times;

static al_status probe(void *context, void *result) {
  probe_task *task = context;
  probe_times *times = result;
  return al_cell_probe(task->cell, task->n, &times->fit, &times->predict);
}

/* Seconds of one cell, from a fit at its first and at its last size: the fit's time is taken as linear in between. A
 * full-data reference is foretold from fits of once and three times the initial size: a prediction that costs what it
 * predicts is of no use. */
static al_status predict_seconds(const al_cell *cell, double *seconds) {
  al_status status;
  probe_times first = {0}, last = {0};
  size_t pool = al_cell_pool(cell), start = (size_t)al_params_int(cell->initial, "size");
  size_t rounds = al_cell_rounds(cell, pool),
         end = cell->strategy == NULL ? 3 * start : start + (rounds - 1) * cell->batch;
  if (end > pool) end = pool;
  AL_TRY(al_engine_isolate(probe, &(probe_task){cell, start}, &first, sizeof first));
  last = first;
  if (end > start) AL_TRY(al_engine_isolate(probe, &(probe_task){cell, end}, &last, sizeof last));
  double predict = 0.5 * (first.predict + last.predict);
  if (cell->strategy == NULL) {
    double slope = end > start ? fmax(0.0, last.fit - first.fit) / (double)(end - start) : first.fit / (double)start;
    *seconds = last.fit + slope * (double)(pool - end) + predict;
  } else {
    *seconds = (double)rounds * (0.5 * (first.fit + last.fit) + predict);
  }
done:
  return status;
}

al_status al_study_dry_run(al_study *study, const al_run_options *options, FILE *out) {
  al_status status;
  bool *keep = NULL;
  double *seconds = NULL, total = 0.0;
  size_t chosen = 0;
  char text[32];
  AL_TRY(choose(&keep, study, options));
  AL_TRY(al_study_prepare(study));
  AL_TRY(AL_NEW(&seconds, study->cell_count));
  for (size_t i = 0; i < study->cell_count; i++) {
    const al_cell *cell = &study->cells[i];
    if (!keep[i]) continue;
    bool known = false;
    for (size_t j = 0; j < i && !known; j++) {
      const al_cell *other = &study->cells[j];
      known = keep[j] && other->problem == cell->problem && other->model_options == cell->model_options &&
              other->batch == cell->batch && other->initial == cell->initial &&
              (other->strategy == NULL) == (cell->strategy == NULL);
      if (known) seconds[i] = seconds[j];
    }
    if (!known) AL_TRY(predict_seconds(cell, &seconds[i]));
    total += seconds[i];
    chosen++;
    fprintf(out, "%s  %zu rounds  about %s\n", cell->name, al_cell_rounds(cell, al_cell_pool(cell)),
            al_show_seconds(seconds[i], text));
  }
  for (size_t i = 0; i < json_array_size(study->left_out); i++) {
    const json_t *entry = json_array_get(study->left_out, i);
    fprintf(out, "left out: %s with %s on %s: %s\n", text_of(entry, "strategy"), text_of(entry, "model"),
            text_of(entry, "dataset"), text_of(entry, "why"));
  }
  fprintf(out, "%zu cells; predicted with --jobs %u: about %s, from measured fits and predictions; queries are extra\n",
          chosen, options->jobs, al_show_seconds(total / options->jobs, text));
done:
  free(keep);
  free(seconds);
  return status;
}
