/* The active-learning loop of one cell.
 *
 * Line r of the log is round r: the batch that was asked, what was answered and paid, and the metrics of the model
 * fitted afterwards. A resume replays the logged batches through the same updates (so that every sum is added in the
 * same order), refits the last model (a fit depends on nothing but rows, labels and its stream) and goes on: the bytes
 * are those of a run that was never stopped. The loop keeps the budget; a strategy cannot. */
#include "sim/cell.h"

#include "base/log.h"
#include "base/memory.h"
#include "record/record.h"
#include "sim/host.h"
#include "sim/labelled_state.h"
#include "sim/metrics.h"
#include "sim/pool.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { FOLDS = 5, LEAST_FOR_FOLDS = 10 };

typedef struct {
  al_subset h_pool, h_labelled, h_evaluated, f_pool, f_labelled;
  int64_t *token_begin[2], *token_end[2]; /* of U and L */
  size_t token_capacity[2];
  float *probs, *mc, *oof_probs;
  size_t probs_capacity, mc_capacity, oof_capacity;
  uint8_t *oof_error, *fold_of;
  int32_t *oof_predicted;
  size_t oof_rows;
} query_storage;

typedef struct {
  const al_cell *cell;
  const al_dataset *dataset;
  const al_split *split;
  const al_features *f;
  al_pool pool;
  al_model *model;
  al_labelled_state *state;
  al_record *record;
  json_t *history; /* the round lines on disk, oldest first */
  /* U in pool order, L in the order labelled; rows are dataset rows */
  int32_t *unlabelled, *labelled, *answers;
  size_t unlabelled_count, labelled_count;
  uint32_t *questions; /* of each dataset row, how often it was asked */
  size_t labels;
  double cost;
  int32_t *evaluated, *evaluated_truth; /* test rows and their classes */
  size_t evaluated_count;
  float *evaluated_probs; /* evaluated x C */
  int32_t *holdout_classes;
  float *holdout_probs;
  double holdout_accuracy; /* of the last fit; -1 before */
  int32_t *truth; /* class of every dataset row: for oracle-error and the state of L, never for a strategy's views */
  const al_oracle_type *oracle;
  const al_cost_type *price;
  query_storage storage;
  double seconds_train, seconds_predict, seconds_query, seconds_evaluate;
  bool cut; /* the batch at hand was cut short by the cost budget */
} loop;

/* A batch as it goes into a round line. */
typedef struct {
  al_picks picks; /* pos in U before the batch was taken out */
  int32_t *rows, *classes;
  double *paid;
  size_t count;
  json_t *notes;
} batch;

static al_rng stream(const loop *l, const char *purpose, const char *strategy, uint32_t round) {
  al_stream_key key = {.seed = l->cell->seed,
                       .purpose = purpose,
                       .dataset = l->dataset->name,
                       .strategy = strategy,
                       .replicate = l->cell->replicate,
                       .round = round};
  return al_rng_open(&key);
}

const char *al_needs_unmet(unsigned needs, unsigned gives, al_kind kind) {
  if ((needs & AL_NEED_PROBS) && !(gives & AL_GIVES_PROBS)) return "the model gives no probabilities";
  if ((needs & (AL_NEED_EMBEDDINGS | AL_NEED_OOF | AL_NEED_REFIT)) && !(gives & AL_GIVES_EMBEDDINGS))
    return "the model gives no embeddings";
  if ((needs & AL_NEED_MC) && !(gives & AL_GIVES_MC)) return "the model gives no stochastic passes";
  if ((needs & AL_NEED_HEAD) && !(gives & AL_GIVES_HEAD)) return "the model gives no last layer";
  if ((needs & AL_NEED_WORDPIECE) && kind != AL_TEXT) return "WordPiece tokens exist for text only";
  if ((needs & AL_NEED_TOKENS) && kind != AL_TEXT && !(kind == AL_IMAGE && (needs & AL_NEED_PIXELS)))
    return "the data has no tokens";
  if ((needs & AL_NEED_PIXELS) && !(needs & AL_NEED_TOKENS) && kind != AL_IMAGE) return "the data has no pixels";
  return "";
}

bool al_strategy_can_start(const al_strategy *strategy) {
  json_t *params = NULL;
  if (al_params_resolve(&params, strategy->params, NULL, strategy->name) != AL_OK) return false;
  unsigned allowed =
      AL_NEED_EMBEDDINGS | AL_NEED_FEATURES | AL_NEED_TOKENS | AL_NEED_PIXELS | AL_NEED_DENSE | AL_NEED_WORDPIECE;
  bool can = (strategy->needs(params) & ~allowed) == 0;
  json_decref(params);
  return can;
}

/* ---- the budget ---- */

size_t al_cell_rounds(const al_cell *cell, size_t pool) {
  if (cell->strategy == NULL) return 1;
  size_t start = (size_t)al_params_int(cell->initial, "size"), left = pool > start ? pool - start : 0;
  size_t spent = start + cell->holdout;
  if (cell->budget.labels != 0)
    left = cell->budget.labels > spent ? (cell->budget.labels - spent < left ? cell->budget.labels - spent : left) : 0;
  size_t rounds = 1 + (left + cell->batch - 1) / cell->batch;
  if (cell->budget.rounds != 0 && cell->budget.rounds + 1 < rounds) rounds = cell->budget.rounds + 1;
  return rounds;
}

static const al_split *split_of(const al_cell *cell) {
  const al_problem *problem = cell->problem;
  return &problem->splits[problem->split_count == 1 ? 0 : cell->replicate];
}

static al_status check_sizes(const al_cell *cell, const al_pool *pool) {
  size_t start = (size_t)al_params_int(cell->initial, "size"), all = pool->size + pool->holdout_size;
  const char *name = cell->problem->label;
  if (start > pool->size)
    return al_fail(AL_BAD_INPUT, "initial.size: %zu labels asked, but the pool of %s has %zu rows", start, name,
                   pool->size);
  if (cell->budget.labels > all)
    return al_fail(AL_BAD_INPUT, "stop.labels: %zu labels asked, but the pool of %s has %zu rows", cell->budget.labels,
                   name, all);
  if (cell->budget.labels != 0 && cell->budget.labels < start + pool->holdout_size)
    return al_fail(AL_BAD_INPUT, "stop.labels: %zu is less than the %zu labels of initial set and hold-out",
                   cell->budget.labels, start + pool->holdout_size);
  size_t wanted = start + cell->budget.rounds * cell->batch;
  if (cell->budget.rounds != 0 && cell->budget.labels == 0 && wanted > pool->size)
    return al_fail(AL_BAD_INPUT, "query: %zu + %zu x %zu = %zu labels asked, but the pool of %s has %zu rows", start,
                   cell->budget.rounds, cell->batch, wanted, name, pool->size);
  return AL_OK;
}

al_status al_cell_check(const al_cell *cell) {
  al_pool pool = {0};
  al_status status;
  int32_t *rows = NULL;
  size_t n = 0;
  const al_problem *problem = cell->problem;
  AL_TRY(al_pool_make(&pool, problem->dataset, split_of(cell), problem->entry, cell->holdout, cell->seed,
                      cell->replicate, problem->where));
  AL_TRY(al_evaluation_rows(&rows, &n, problem->dataset, split_of(cell), cell->sample, cell->seed, problem->where));
  if (cell->strategy != NULL) AL_TRY(check_sizes(cell, &pool));
done:
  free(rows);
  al_pool_free(&pool);
  return status;
}

static json_t *number_or_null(double value, bool present) { return present ? json_real(value) : json_null(); }

static json_t *count_or_null(size_t value) { return value == 0 ? json_null() : json_integer((json_int_t)value); }

static json_t *budget_json(const al_budget *budget) {
  return json_pack("{s:o,s:o,s:o,s:o}", "labels", count_or_null(budget->labels), "cost",
                   number_or_null(budget->cost, budget->cost > 0.0), "rounds", count_or_null(budget->rounds),
                   "accuracy", number_or_null(budget->accuracy, budget->accuracy >= 0.0));
}

/* The reason to end after the last round, or NULL. */
static const char *reason_to_end(const loop *l, size_t rounds_done) {
  const al_budget *budget = &l->cell->budget;
  if (l->cell->strategy == NULL) return "full-data";
  if (budget->accuracy >= 0.0 && l->holdout_accuracy >= budget->accuracy) return "accuracy";
  if (budget->labels != 0 && l->labels >= budget->labels) return "labels";
  if (budget->cost > 0.0 && (l->cut || l->cost >= budget->cost)) return "cost";
  if (budget->rounds != 0 && rounds_done > budget->rounds) return "rounds";
  if (l->unlabelled_count == 0) return "pool";
  return NULL;
}

/* ---- setting up ---- */

static al_status find_kinds(loop *l) {
  const char *kind = al_params_string(l->cell->oracle, "kind");
  l->oracle = al_oracle_find(kind);
  if (l->oracle == NULL) return al_fail(AL_BAD_INPUT, "oracle.kind: unknown oracle '%s'", kind);
  kind = al_params_string(l->cell->cost, "kind");
  l->price = al_cost_find(kind);
  if (l->price == NULL) return al_fail(AL_BAD_INPUT, "cost.kind: unknown cost '%s'", kind);
  return AL_OK;
}

/* Cache key of the pool's kernel sum: everything it depends on. */
static al_status state_key(char hex[33], const loop *l) {
  al_buffer text = {0};
  al_rng rng = stream(l, "mmd", NULL, 0);
  al_status status;
  AL_TRY(al_buffer_append(&text, l->f->digest, sizeof l->f->digest));
  AL_TRY(al_buffer_append(&text, rng.key, sizeof rng.key));
  AL_TRY(al_buffer_append(&text, l->pool.start, l->pool.size * sizeof *l->pool.start));
  al_bytes_digest(text.data, text.size, hex);
done:
  al_buffer_free(&text);
  return status;
}

static al_status set_up_data(loop *l) {
  al_status status;
  const al_cell *cell = l->cell;
  const al_problem *problem = cell->problem;
  size_t classes = l->dataset->classes, rows = l->dataset->rows;
  char key[33];
  AL_TRY(find_kinds(l));
  AL_TRY(al_pool_make(&l->pool, l->dataset, l->split, problem->entry, cell->holdout, cell->seed, cell->replicate,
                      problem->where));
  if (cell->strategy != NULL) AL_TRY(check_sizes(cell, &l->pool));
  AL_TRY(al_evaluation_rows(&l->evaluated, &l->evaluated_count, l->dataset, l->split, cell->sample, cell->seed,
                            problem->where));
  AL_TRY(AL_NEW(&l->truth, rows));
  for (size_t row = 0; row < rows; row++) l->truth[row] = al_dataset_label(l->dataset, (int32_t)row);
  AL_TRY(AL_NEW(&l->evaluated_truth, l->evaluated_count));
  for (size_t i = 0; i < l->evaluated_count; i++) l->evaluated_truth[i] = l->truth[l->evaluated[i]];
  AL_TRY(AL_NEW(&l->evaluated_probs, l->evaluated_count * classes));
  AL_TRY(AL_NEW(&l->holdout_classes, l->pool.holdout_size));
  AL_TRY(AL_NEW(&l->holdout_probs, l->pool.holdout_size * classes));
  AL_TRY(AL_NEW(&l->questions, rows));
  AL_TRY(AL_NEW(&l->unlabelled, l->pool.size));
  memcpy(l->unlabelled, l->pool.start, l->pool.size * sizeof *l->unlabelled);
  l->unlabelled_count = l->pool.size;
  size_t most = l->pool.whole_size;
  AL_TRY(AL_NEW(&l->labelled, most));
  AL_TRY(AL_NEW(&l->answers, most));
  AL_TRY(state_key(key, l));
  AL_TRY(al_labelled_state_new(&l->state, &l->f->view, l->pool.start, l->pool.size, l->truth, classes,
                               stream(l, "mmd", NULL, 0), key));
done:
  return status;
}

static al_status set_up(loop *l, const al_cell *cell) {
  const al_problem *problem = cell->problem;
  size_t split = problem->split_count == 1 ? 0 : cell->replicate;
  *l = (loop){.cell = cell, .dataset = problem->dataset, .split = &problem->splits[split], .f = problem->f[split]};
  l->holdout_accuracy = -1.0;
  al_status status = set_up_data(l);
  if (status != AL_OK) return status;
  al_model_source source = {.dataset = l->dataset,
                            .split = l->split,
                            .seed = cell->seed,
                            .replicate = cell->replicate,
                            .where = cell->model_label};
  return cell->model->open(&l->model, cell->model_options, &source);
}

static void tear_down(loop *l) {
  query_storage *s = &l->storage;
  al_subset *subsets[] = {&s->h_pool, &s->h_labelled, &s->h_evaluated, &s->f_pool, &s->f_labelled};
  for (size_t i = 0; i < sizeof subsets / sizeof *subsets; i++) al_subset_free(subsets[i]);
  for (size_t side = 0; side < 2; side++) {
    free(s->token_begin[side]);
    free(s->token_end[side]);
  }
  free(s->probs);
  free(s->mc);
  free(s->oof_probs);
  free(s->oof_error);
  free(s->oof_predicted);
  free(s->fold_of);
  if (l->model != NULL) l->cell->model->free(l->model);
  al_labelled_state_free(l->state);
  al_record_close(l->record);
  json_decref(l->history);
  free(l->unlabelled);
  free(l->labelled);
  free(l->answers);
  free(l->questions);
  free(l->evaluated);
  free(l->evaluated_truth);
  free(l->evaluated_probs);
  free(l->holdout_classes);
  free(l->holdout_probs);
  free(l->truth);
  al_pool_free(&l->pool);
}

static json_t *hex_of_stream(const loop *l, const char *purpose, const char *strategy) {
  al_rng rng = stream(l, purpose, strategy, 0);
  return json_sprintf("%016llx%016llx", (unsigned long long)rng.key[1], (unsigned long long)rng.key[0]);
}

/* A private copy of what the caller resolved: the header must not share references with the experiment. */
static json_t *copy(const json_t *value) { return value == NULL ? json_null() : json_deep_copy(value); }

static json_t *header_json(const loop *l) {
  const al_cell *cell = l->cell;
  const al_dataset *dataset = l->dataset;
  static const char *const kinds[] = {[AL_TEXT] = "text", [AL_IMAGE] = "image", [AL_TABULAR] = "tabular"};
  json_t *classes = json_array();
  for (size_t c = 0; c < dataset->classes; c++) json_array_append_new(classes, json_string(dataset->class_names[c]));
  const char *strategy = cell->strategy == NULL ? "full-data" : cell->strategy->name;
  const char *hash = cell->model->weights_hash == NULL ? NULL : cell->model->weights_hash(l->model);
  json_t *data = json_pack("{s:s,s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:o,s:o}", "name", dataset->name, "label",
                           cell->problem->label, "digest", l->split->digest, "kind", kinds[dataset->kind], "labels",
                           dataset->multi ? "multi" : "single", "train", (json_int_t)l->split->train_size, "pool",
                           (json_int_t)l->pool.size, "test", (json_int_t)l->split->test_size, "evaluated",
                           (json_int_t)l->evaluated_count, "classes", classes, "options", copy(cell->problem->entry));
  json_t *streams = json_pack("{s:o,s:o,s:o,s:o,s:o,s:o}", "split", hex_of_stream(l, "split", NULL), "order",
                              hex_of_stream(l, "order", NULL), "initial", hex_of_stream(l, "initial", NULL), "start",
                              hex_of_stream(l, "start", NULL), "fit", hex_of_stream(l, "fit", NULL), "query",
                              hex_of_stream(l, "query", strategy));
  return json_pack("{s:s,s:i,s:s,s:I,s:i,s:o,s:{s:s,s:s,s:o},s:o,s:{s:s,s:s,s:o},s:s,s:o,s:{s:I},s:o,s:o,s:{s:I},"
                   "s:{s:I},s:o}",
                   "schema", AL_RECORD_SCHEMA, "stream_version", AL_STREAM_VERSION, "study", cell->study, "seed",
                   (json_int_t)cell->seed, "replicate", (int)cell->replicate, "dataset", data, "model", "name",
                   cell->model->name, "label", cell->model_label, "options", copy(cell->model_options), "weights",
                   hash == NULL ? json_null() : json_string(hash), "strategy", "name", strategy, "label",
                   cell->strategy_label, "params", copy(cell->strategy_params), "setting", cell->setting, "initial",
                   copy(cell->initial), "query", "batch", (json_int_t)cell->batch, "oracle", copy(cell->oracle), "cost",
                   copy(cell->cost), "holdout", "size", (json_int_t)cell->holdout, "evaluate", "sample",
                   (json_int_t)cell->sample, "streams", streams);
}

/* ---- asking ---- */

static double price_of(const loop *l, int32_t row) {
  const al_dataset *dataset = l->dataset;
  al_priced_item item = {.text = dataset->kind == AL_TEXT,
                         .words = dataset->kind == AL_TEXT ? (size_t)dataset->words[row] : 0,
                         .classes = dataset->classes};
  return l->price->price(l->cell->cost, &item);
}

static al_status ask(const loop *l, int32_t row, int32_t *class) {
  al_rng rng = stream(l, "oracle", NULL, 0);
  al_answer answer = {0};
  al_status status = l->oracle->answer(l->cell->oracle, &l->dataset->labels, row, l->questions[row], &rng, &answer);
  if (status != AL_OK) return status;
  if (answer.abstained || answer.n != 1)
    return al_fail(AL_BAD_INPUT, "row %d: only single answers are supported by the models there are", row);
  *class = answer.classes[0];
  return AL_OK;
}

static void batch_free(batch *b) {
  al_picks_free(&b->picks);
  free(b->rows);
  free(b->classes);
  free(b->paid);
  json_decref(b->notes);
  *b = (batch){0};
}

static al_status batch_new(batch *b, size_t k) {
  al_status status;
  *b = (batch){0};
  AL_TRY(AL_NEW(&b->picks.pos, k));
  AL_TRY(AL_NEW(&b->picks.scores, k));
  AL_TRY(AL_NEW(&b->rows, k));
  AL_TRY(AL_NEW(&b->classes, k));
  AL_TRY(AL_NEW(&b->paid, k));
  b->notes = json_array();
done:
  return status;
}

/* Fills rows, classes and paid from the picked positions, and stops at what the cost budget affords. */
static al_status answer_batch(loop *l, batch *b) {
  double budget = l->cell->budget.cost, spent = l->cost;
  b->count = 0;
  for (size_t i = 0; i < b->picks.count; i++) {
    int32_t row = l->unlabelled[b->picks.pos[i]];
    double price = price_of(l, row);
    if (budget > 0.0 && spent + price > budget) {
      l->cut = true;
      break;
    }
    al_status status = ask(l, row, &b->classes[i]);
    if (status != AL_OK) return status;
    spent += price;
    b->rows[i] = row;
    b->paid[i] = price;
    b->count++;
  }
  return AL_OK;
}

/* Moves the batch from U to L: the one place where the pool changes, for new rounds and for replayed ones. */
static al_status take_batch(loop *l, const int32_t *rows, const int32_t *classes, const double *paid, size_t n) {
  for (size_t i = 0; i < n; i++) {
    l->questions[rows[i]]++;
    l->labelled[l->labelled_count] = rows[i];
    l->answers[l->labelled_count++] = classes[i];
    l->cost += paid[i];
  }
  l->labels += n;
  size_t kept = 0;
  for (size_t pos = 0; pos < l->unlabelled_count; pos++)
    if (l->questions[l->unlabelled[pos]] == 0) l->unlabelled[kept++] = l->unlabelled[pos];
  l->unlabelled_count = kept;
  return al_labelled_state_add(l->state, rows, classes, n);
}

static al_status pay_holdout(loop *l, json_t **out) {
  json_t *asked = json_array(), *answers = json_array(), *paid = json_array();
  al_status status = AL_OK;
  for (size_t i = 0; status == AL_OK && i < l->pool.holdout_size; i++) {
    int32_t row = l->pool.holdout[i];
    status = ask(l, row, &l->holdout_classes[i]);
    double price = price_of(l, row);
    l->questions[row]++;
    l->labels++;
    l->cost += price;
    json_array_append_new(asked, json_integer(row));
    json_array_append_new(answers, json_pack("[i]", l->holdout_classes[i]));
    json_array_append_new(paid, json_real(price));
  }
  *out = json_pack("{s:o,s:o,s:o}", "asked", asked, "answers", answers, "paid", paid);
  return status;
}

/* ---- selecting ---- */

static al_sets gather_sets(loop *l, const al_sets *all, const int32_t *rows, size_t n, int side, al_status *status) {
  query_storage *s = &l->storage;
  al_sets out = {.rows = n, .universe = all->universe, .ids = all->ids};
  size_t capacity = s->token_capacity[side];
  *status = al_grow(&s->token_begin[side], &capacity, n + 1, sizeof **s->token_begin);
  capacity = s->token_capacity[side];
  if (*status == AL_OK) *status = al_grow(&s->token_end[side], &capacity, n + 1, sizeof **s->token_end);
  if (*status != AL_OK) return out;
  s->token_capacity[side] = capacity;
  for (size_t i = 0; i < n; i++) {
    s->token_begin[side][i] = all->begin[rows[i]];
    s->token_end[side][i] = all->end[rows[i]];
  }
  out.begin = s->token_begin[side];
  out.end = s->token_end[side];
  return out;
}

static al_pixels pixels_of(const loop *l, const int32_t *rows, size_t n) {
  const al_dataset *d = l->dataset;
  return (al_pixels){
      .data = d->pixels, .rows = rows, .n = n, .channels = d->channels, .height = d->height, .width = d->width};
}

/* TOKENS, PIXELS and FEATURES: what exists without a model, and so at the initial set too. */
static al_status fixed_views(loop *l, unsigned needs, al_query *query, al_sets *starting) {
  al_status status = AL_OK;
  query_storage *s = &l->storage;
  if (needs & AL_NEED_FEATURES) {
    AL_TRY(al_view_take(&query->f_pool, &l->f->view, l->unlabelled, l->unlabelled_count, &s->f_pool));
    AL_TRY(al_view_take(&query->f_labelled, &l->f->view, l->labelled, l->labelled_count, &s->f_labelled));
  }
  if ((needs & AL_NEED_TOKENS) && l->dataset->kind == AL_TEXT) {
    const al_token_sets *tokens = (needs & AL_NEED_WORDPIECE) ? l->cell->problem->pieces : l->cell->problem->words;
    assert(tokens != NULL);
    query->tokens_pool = gather_sets(l, &tokens->sets, l->unlabelled, l->unlabelled_count, 0, &status);
    if (status != AL_OK) goto done;
    query->tokens_labelled = gather_sets(l, &tokens->sets, l->labelled, l->labelled_count, 1, &status);
    if (status != AL_OK) goto done;
    int64_t *begin = NULL, *end = NULL;
    AL_TRY(AL_NEW(&begin, l->pool.size));
    starting->begin = begin;
    AL_TRY(AL_NEW(&end, l->pool.size));
    starting->end = end;
    for (size_t i = 0; i < l->pool.size; i++) {
      begin[i] = tokens->sets.begin[l->pool.start[i]];
      end[i] = tokens->sets.end[l->pool.start[i]];
    }
    starting->rows = l->pool.size;
    starting->universe = tokens->sets.universe;
    starting->ids = tokens->sets.ids;
    query->tokens_all = *starting;
  } else if ((needs & AL_NEED_PIXELS) && l->dataset->kind == AL_IMAGE) {
    query->pixels_pool = pixels_of(l, l->unlabelled, l->unlabelled_count);
    query->pixels_labelled = pixels_of(l, l->labelled, l->labelled_count);
  }
done:
  return status;
}

static al_status select_first(loop *l, batch *b, size_t k) {
  const char *method = al_params_string(l->cell->initial, "method");
  al_rng rng = stream(l, "initial", NULL, 0);
  b->picks.count = k;
  if (strcmp(method, "random") == 0) {
    int32_t *positions = NULL;
    al_status status = AL_NEW(&positions, l->unlabelled_count);
    if (status != AL_OK) return status;
    for (size_t pos = 0; pos < l->unlabelled_count; pos++) positions[pos] = (int32_t)pos;
    al_rng_sample(&rng, positions, l->unlabelled_count, k);
    memcpy(b->picks.pos, positions, k * sizeof *positions);
    free(positions);
    return AL_OK;
  }
  if (strcmp(method, "stratified") == 0)
    return al_stratified_positions(b->picks.pos, k, l->dataset, l->unlabelled, l->unlabelled_count, rng);
  const al_strategy *strategy = al_strategy_find(method);
  if (strategy == NULL || !al_strategy_can_start(strategy))
    return al_fail(AL_BAD_INPUT,
                   "initial.method: '%s' cannot choose an initial set; give random, stratified or k-center", method);
  al_status status;
  json_t *params = NULL;
  al_sets starting = {0};
  al_query query = {.pool = l->unlabelled_count, .classes = l->dataset->classes, .batch = k, .rng = rng};
  AL_TRY(al_params_resolve(&params, strategy->params, NULL, method));
  unsigned needs = strategy->needs(params);
  const char *unmet = al_needs_unmet(needs, AL_GIVES_EMBEDDINGS, l->dataset->kind);
  if (*unmet != '\0') {
    status = al_fail(AL_BAD_INPUT, "initial.method: %s cannot start %s: %s", method, l->cell->problem->label, unmet);
    goto done;
  }
  AL_TRY(fixed_views(l, needs | AL_NEED_FEATURES, &query, &starting));
  query.h_pool = query.f_pool; /* every initial method works on f (STRATEGIES.md) */
  query.h_labelled = query.f_labelled;
  AL_TRY(al_strategy_select(strategy, &query, params, &b->picks));
done:
  json_decref(params);
  free((void *)(uintptr_t)starting.begin);
  free((void *)(uintptr_t)starting.end);
  return status;
}

/* Out-of-fold errors on L; *oof stays empty with too few labels or one class, which the strategy is told by NULL. */
static al_status out_of_fold(loop *l, const al_view *h, al_oof *oof, const al_oof **given) {
  query_storage *s = &l->storage;
  size_t n = l->labelled_count, classes = l->dataset->classes;
  bool several = false;
  *given = NULL;
  for (size_t i = 1; i < n; i++) several |= l->answers[i] != l->answers[0];
  if (n < LEAST_FOR_FOLDS || !several) return AL_OK;
  al_status status = AL_OK;
  if (s->oof_rows < n) {
    free(s->oof_error);
    free(s->oof_predicted);
    free(s->fold_of);
    s->oof_error = s->fold_of = NULL;
    s->oof_predicted = NULL;
    s->oof_rows = 0;
    AL_TRY(AL_NEW(&s->oof_error, n));
    AL_TRY(AL_NEW(&s->oof_predicted, n));
    AL_TRY(AL_NEW(&s->fold_of, n));
    s->oof_rows = n;
  }
  AL_TRY(al_grow(&s->oof_probs, &s->oof_capacity, n * classes, sizeof *s->oof_probs));
  al_deal_folds(l->answers, n, classes, FOLDS, s->fold_of);
  if ((l->cell->model->gives & AL_GIVES_OOF) && l->cell->model->cross_validate != NULL) {
    al_training training = {.rows = l->labelled, .classes = l->answers, .n = n};
    AL_TRY(l->cell->model->cross_validate(l->model, &training, s->fold_of, FOLDS, s->oof_probs));
  } else {
    AL_TRY(al_softmax_cross_validate(h, l->answers, classes, 1.0, s->fold_of, FOLDS, s->oof_probs));
  }
  for (size_t i = 0; i < n; i++) {
    s->oof_predicted[i] = al_argmax(s->oof_probs + i * classes, classes);
    s->oof_error[i] = s->oof_predicted[i] != l->answers[i];
  }
  *oof = (al_oof){.error = s->oof_error, .predicted = s->oof_predicted, .probs = s->oof_probs};
  *given = oof;
done:
  return status;
}

/* What the model gives over U and L, each once a round. A dense h of both comes from the model itself. */
static al_status model_views(loop *l, unsigned needs, al_query *query, al_oof *oof) {
  al_status status = AL_OK;
  query_storage *s = &l->storage;
  const al_model_type *type = l->cell->model;
  size_t n = l->unlabelled_count, classes = l->dataset->classes;
  al_prediction want = {0};
  if (needs & AL_NEED_PROBS) {
    AL_TRY(al_grow(&s->probs, &s->probs_capacity, n * classes, sizeof *s->probs));
    query->probs = want.probs = s->probs;
  }
  if (needs & AL_NEED_MC) {
    query->passes = type->passes(l->model);
    AL_TRY(al_grow(&s->mc, &s->mc_capacity, query->passes * n * classes, sizeof *s->mc));
    query->mc = want.mc = s->mc;
  }
  bool h = (needs & (AL_NEED_EMBEDDINGS | AL_NEED_OOF)) != 0;
  if (h) {
    al_prediction of_labelled = {.h = &query->h_labelled, .subset = &s->h_labelled};
    AL_TRY(type->predict(l->model, l->labelled, l->labelled_count, &of_labelled));
    want.h = &query->h_pool;
    want.subset = &s->h_pool;
  }
  if (want.probs != NULL || want.mc != NULL || h) AL_TRY(type->predict(l->model, l->unlabelled, n, &want));
  if (needs & AL_NEED_HEAD) {
    size_t width = 0;
    AL_TRY(type->head(l->model, &query->head, &query->bias, &width));
  }
  if (needs & AL_NEED_OOF) AL_TRY(out_of_fold(l, &query->h_labelled, oof, &query->oof));
done:
  return status;
}

static al_status select_next(loop *l, batch *b, size_t k, size_t round) {
  al_status status;
  const al_cell *cell = l->cell;
  al_sets starting = {0};
  al_oof oof;
  int32_t *truth = NULL;
  int64_t *label_begin = NULL, *label_end = NULL;
  unsigned needs = cell->strategy->needs(cell->strategy_params);
  const json_t *last = json_array_get(l->history, json_array_size(l->history) - 1);
  const json_t *state = json_object_get(last, "state");
  al_query query = {.pool = l->unlabelled_count,
                    .labelled = l->labelled_count,
                    .classes = l->dataset->classes,
                    .batch = k,
                    .labels = l->answers,
                    .history = (needs & AL_NEED_HISTORY) ? l->history : NULL,
                    .state = json_is_null(state) ? NULL : state,
                    .round = round,
                    .rng = stream(l, "query", cell->strategy->name, (uint32_t)round)};
  double start = al_seconds();
  AL_TRY(AL_NEW(&label_begin, l->labelled_count));
  AL_TRY(AL_NEW(&label_end, l->labelled_count));
  for (size_t i = 0; i < l->labelled_count; i++) {
    label_begin[i] = (int64_t)i;
    label_end[i] = (int64_t)i + 1;
  }
  query.label_sets = (al_sets){.rows = l->labelled_count,
                               .universe = (int32_t)l->dataset->classes,
                               .begin = label_begin,
                               .end = label_end,
                               .ids = l->answers};
  AL_TRY(fixed_views(l, needs, &query, &starting));
  AL_TRY(model_views(l, needs, &query, &oof));
  if (needs & AL_NEED_ORACLE) {
    AL_TRY(AL_NEW(&truth, l->unlabelled_count));
    for (size_t pos = 0; pos < l->unlabelled_count; pos++) truth[pos] = l->truth[l->unlabelled[pos]];
    query.truth = truth;
  }
  l->seconds_predict = al_seconds() - start;
  start = al_seconds();
  AL_TRY(al_strategy_select(cell->strategy, &query, cell->strategy_params, &b->picks));
  l->seconds_query = al_seconds() - start;
done:
  free(truth);
  free(label_begin);
  free(label_end);
  free((void *)(uintptr_t)starting.begin);
  free((void *)(uintptr_t)starting.end);
  return status;
}

/* ---- fitting and evaluating ---- */

static al_status fit(loop *l, const int32_t *rows, const int32_t *classes, size_t n, uint32_t round) {
  al_training training = {.rows = rows,
                          .classes = classes,
                          .n = n,
                          .holdout_rows = l->pool.holdout,
                          .holdout_classes = l->holdout_classes,
                          .holdout = l->pool.holdout_size,
                          .round = round};
  double start = al_seconds();
  al_status status = l->cell->model->fit(l->model, &training);
  l->seconds_train = al_seconds() - start;
  if (status == AL_OK && l->pool.holdout_size != 0) {
    al_prediction want = {.probs = l->holdout_probs};
    status = l->cell->model->predict(l->model, l->pool.holdout, l->pool.holdout_size, &want);
    l->holdout_accuracy = al_accuracy(l->holdout_probs, l->holdout_classes, l->pool.holdout_size, l->dataset->classes);
  }
  return status;
}

static al_status evaluate(loop *l, json_t **metrics, json_t **calibration) {
  double start = al_seconds();
  al_prediction want = {.probs = l->evaluated_probs};
  al_status status = l->cell->model->predict(l->model, l->evaluated, l->evaluated_count, &want);
  if (status == AL_OK)
    status = al_metrics(metrics, calibration, l->evaluated_probs, l->evaluated_truth, l->evaluated_count,
                        l->dataset->classes);
  l->seconds_evaluate = al_seconds() - start;
  return status;
}

/* ---- recording ---- */

static void add_notes(json_t *notes, const loop *l) {
  json_t *of_model = l->cell->model->notes == NULL ? NULL : l->cell->model->notes(l->model);
  if (of_model != NULL) json_array_extend(notes, of_model);
  json_decref(of_model);
}

static al_status round_json(json_t **out, const loop *l, const batch *b, size_t round, json_t *holdout, json_t *metrics,
                            json_t *calibration) {
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

static al_status write_timing(const loop *l, const char *folder, size_t round, size_t pool) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  json_t *line = json_pack("{s:I,s:f,s:f,s:f,s:f,s:I,s:I}", "round", (json_int_t)round, "train", l->seconds_train,
                           "predict", l->seconds_predict, "query", l->seconds_query, "evaluate", l->seconds_evaluate,
                           "pool", (json_int_t)pool, "peak_rss", (json_int_t)usage.ru_maxrss * 1024);
  al_status status = al_record_timing(folder, l->cell->name, line);
  json_decref(line);
  return status;
}

static size_t next_batch_size(const loop *l, size_t round) {
  const al_cell *cell = l->cell;
  size_t k = round == 0 ? (size_t)al_params_int(cell->initial, "size") : cell->batch;
  if (k > l->unlabelled_count) k = l->unlabelled_count;
  if (cell->budget.labels != 0 && k > cell->budget.labels - l->labels) k = cell->budget.labels - l->labels;
  return k;
}

/* One round from asking to the line on disk. *asked = false: the cost budget affords nothing more, no line is written.
 */
static al_status do_round(loop *l, const char *folder, size_t round, bool *asked) {
  al_status status;
  batch b = {0};
  json_t *holdout = NULL, *metrics = NULL, *calibration = NULL, *line = NULL;
  size_t k, pool = l->unlabelled_count;
  *asked = true;
  l->seconds_predict = l->seconds_query = 0.0;
  if (round == 0 && l->pool.holdout_size != 0) AL_TRY(pay_holdout(l, &holdout));
  k = next_batch_size(l, round);
  AL_TRY(batch_new(&b, k));
  if (round == 0)
    AL_TRY(select_first(l, &b, k));
  else
    AL_TRY(select_next(l, &b, k, round));
  AL_TRY(answer_batch(l, &b));
  if (b.count == 0) {
    if (round == 0)
      status =
          al_fail(AL_BAD_INPUT, "stop.cost: %g does not pay for one initial label; raise it", l->cell->budget.cost);
    *asked = false;
    goto done;
  }
  AL_TRY(take_batch(l, b.rows, b.classes, b.paid, b.count));
  AL_TRY(fit(l, l->labelled, l->answers, l->labelled_count, (uint32_t)round));
  AL_TRY(evaluate(l, &metrics, &calibration));
  AL_TRY(round_json(&line, l, &b, round, holdout, metrics, calibration));
  holdout = metrics = calibration = NULL; /* the line owns them */
  AL_TRY(al_record_append(l->record, line));
  AL_TRY(write_timing(l, folder, round, pool));
  json_array_append(l->history, line);
done:
  json_decref(line);
  json_decref(holdout);
  json_decref(metrics);
  json_decref(calibration);
  batch_free(&b);
  return status;
}

/* The reference: fitted on the whole pool's true labels, one line. */
static al_status do_reference(loop *l, const char *folder) {
  al_status status;
  batch b = {0};
  json_t *metrics = NULL, *calibration = NULL, *line = NULL;
  int32_t *classes = NULL;
  double *paid = NULL;
  size_t n = l->pool.whole_size;
  AL_TRY(AL_NEW(&classes, n));
  AL_TRY(AL_NEW(&paid, n));
  for (size_t i = 0; i < n; i++) {
    classes[i] = l->truth[l->pool.whole[i]];
    paid[i] = price_of(l, l->pool.whole[i]);
  }
  for (size_t i = 0; i < l->pool.holdout_size; i++) l->holdout_classes[i] = l->truth[l->pool.holdout[i]];
  AL_TRY(take_batch(l, l->pool.whole, classes, paid, n));
  AL_TRY(fit(l, l->labelled, l->answers, n, 0));
  AL_TRY(evaluate(l, &metrics, &calibration));
  AL_TRY(batch_new(&b, 0));
  AL_TRY(round_json(&line, l, &b, 0, NULL, metrics, calibration));
  metrics = calibration = NULL;
  AL_TRY(al_record_append(l->record, line));
  AL_TRY(write_timing(l, folder, 0, n));
done:
  json_decref(line);
  json_decref(metrics);
  json_decref(calibration);
  free(classes);
  free(paid);
  batch_free(&b);
  return status;
}

/* ---- resuming ---- */

static size_t logged_batch(const json_t *line) { return json_array_size(json_object_get(line, "asked")); }

/* How many logged rounds stand under the present budget: all, or all but a last batch that an older budget cut short.
 */
static al_status rounds_to_keep(const al_cell *cell, const json_t *rounds, const json_t *end, size_t pool_size,
                                size_t *keep) {
  size_t count = json_array_size(rounds), asked = 0;
  *keep = count;
  if (cell->strategy == NULL || count == 0) return AL_OK;
  const json_t *last = json_array_get(rounds, count - 1);
  double labels = json_number_value(json_object_get(last, "labels")),
         cost = json_number_value(json_object_get(last, "cost"));
  const al_budget *budget = &cell->budget;
  if ((budget->labels != 0 && labels > (double)budget->labels) ||
      (budget->cost > 0.0 && cost > budget->cost * (1 + 1e-12)) || (budget->rounds != 0 && count > budget->rounds + 1))
    return al_fail(AL_BAD_INPUT,
                   "%s.jsonl: logged up to %.0f labels and %zu rounds, beyond this budget; keep the old budget or give "
                   "another folder with --out",
                   cell->name, labels, count - 1);
  for (size_t i = 0; i < count; i++) asked += logged_batch(json_array_get(rounds, i));
  size_t before = asked - logged_batch(last), left = pool_size - before;
  size_t whole = count == 1 ? (size_t)al_params_int(cell->initial, "size") : cell->batch;
  if (whole > left) whole = left;
  if (end != NULL && logged_batch(last) < whole) *keep = count - 1;
  return AL_OK;
}

static al_status replay(loop *l, const json_t *line) {
  al_status status;
  const json_t *asked = json_object_get(line, "asked"), *answers = json_object_get(line, "answers");
  const json_t *paid = json_object_get(line, "paid");
  size_t n = json_array_size(asked);
  batch b = {0};
  json_t *holdout = NULL;
  if (json_object_get(line, "holdout") != NULL) AL_TRY(pay_holdout(l, &holdout));
  AL_TRY(batch_new(&b, n));
  for (size_t i = 0; i < n; i++) {
    const json_t *answer = json_array_get(answers, i);
    json_int_t row = json_integer_value(json_array_get(asked, i)),
               class = json_integer_value(json_array_get(answer, 0));
    if (row < 0 || (size_t)row >= l->dataset->rows || class < 0 || (size_t) class >= l->dataset->classes ||
        l->questions[row] != 0) {
      status =
          al_fail(AL_BAD_INPUT, "%s.jsonl: row %lld or its answer is not this pool's; the log belongs to other data",
                  l->cell->name, (long long)row);
      goto done;
    }
    b.rows[i] = (int32_t)row;
    b.classes[i] = (int32_t) class;
    b.paid[i] = json_number_value(json_array_get(paid, i));
  }
  AL_TRY(take_batch(l, b.rows, b.classes, b.paid, n));
done:
  json_decref(holdout);
  batch_free(&b);
  return status;
}

static bool ended_under(const json_t *end, const al_budget *budget) {
  json_t *now = budget_json(budget);
  bool equal = json_equal(json_object_get(end, "budget"), now);
  json_decref(now);
  return equal;
}

al_status al_cell_progress(const al_cell *cell, const char *folder, bool *complete, size_t *rounds) {
  al_log *log = NULL;
  bool begun = false;
  *complete = false;
  *rounds = 0;
  al_status status = al_log_begun(&begun, folder, cell->name);
  if (status == AL_OK && begun) status = al_log_read(&log, folder, cell->name);
  if (status != AL_OK || !begun) return status;
  *rounds = json_array_size(log->rounds);
  *complete = log->end != NULL && ended_under(log->end, &cell->budget);
  al_log_free(log);
  return AL_OK;
}

static al_status finish(loop *l, const char *reason) {
  json_t *end = json_pack("{s:s,s:I,s:o}", "end", reason, "rounds", (json_int_t)json_array_size(l->history), "budget",
                          budget_json(&l->cell->budget));
  al_status status = end == NULL ? al_fail(AL_ENVIRONMENT, "out of memory") : al_record_finish(l->record, end);
  json_decref(end);
  return status;
}

/* Opens the log and brings the loop to the state after its last line. *ended: nothing is left to do. */
static al_status open_log(loop *l, const char *folder, bool *ended) {
  al_status status;
  json_t *header = header_json(l), *end = NULL;
  size_t keep = 0;
  *ended = false;
  if (header == NULL) return al_fail(AL_ENVIRONMENT, "out of memory");
  AL_TRY(al_record_open(&l->record, folder, l->cell->name, header, &l->history, &end));
  if (end != NULL && ended_under(end, &l->cell->budget)) {
    *ended = true;
    goto done;
  }
  AL_TRY(rounds_to_keep(l->cell, l->history, end, l->pool.size, &keep));
  if (end != NULL || keep < json_array_size(l->history)) AL_TRY(al_record_truncate(l->record, keep));
  while (json_array_size(l->history) > keep) json_array_remove(l->history, json_array_size(l->history) - 1);
  if (l->cell->strategy != NULL)
    for (size_t i = 0; i < keep; i++) AL_TRY(replay(l, json_array_get(l->history, i)));
  if (l->cell->strategy != NULL && keep != 0)
    AL_TRY(fit(l, l->labelled, l->answers, l->labelled_count, (uint32_t)(keep - 1)));
done:
  json_decref(header);
  json_decref(end);
  return status;
}

al_status al_cell_run(const al_cell *cell, const char *folder, const al_cell_watch *watch) {
  loop l;
  bool ended = false;
  al_status status;
  AL_TRY(set_up(&l, cell));
  AL_TRY(open_log(&l, folder, &ended));
  if (ended) goto done;
  AL_TRY(al_host_start_line(folder, cell->name, cell->build));
  size_t rounds = al_cell_rounds(cell, l.pool.size), done_rounds = json_array_size(l.history);
  const char *reason = done_rounds == 0 ? NULL : reason_to_end(&l, done_rounds);
  while (reason == NULL) {
    bool asked = true;
    if (cell->strategy == NULL) {
      AL_TRY(do_reference(&l, folder));
      json_array_append_new(l.history, json_object());
    } else {
      AL_TRY(do_round(&l, folder, done_rounds, &asked));
    }
    if (asked) done_rounds++;
    if (watch->progress != NULL) watch->progress(watch->context, done_rounds, rounds);
    reason = asked ? reason_to_end(&l, done_rounds) : "cost";
    if (reason == NULL && *watch->stop) {
      status = al_fail(AL_INTERRUPTED, "interrupted after round %zu", done_rounds - 1);
      goto done;
    }
  }
  AL_TRY(finish(&l, reason));
done:
  tear_down(&l);
  return status;
}

al_status al_cell_probe(const al_cell *cell, size_t n, double *fit_seconds, double *predict_seconds) {
  loop l;
  al_status status;
  batch b = {0};
  json_t *metrics = NULL, *calibration = NULL;
  AL_TRY(set_up(&l, cell));
  if (n > l.pool.size) n = l.pool.size;
  AL_TRY(batch_new(&b, n));
  for (size_t i = 0; i < l.pool.holdout_size; i++) l.holdout_classes[i] = l.truth[l.pool.holdout[i]];
  for (size_t i = 0; i < n; i++) {
    b.rows[i] = l.unlabelled[i];
    b.classes[i] = l.truth[b.rows[i]];
  }
  AL_TRY(take_batch(&l, b.rows, b.classes, b.paid, n));
  AL_TRY(fit(&l, l.labelled, l.answers, n, 0));
  AL_TRY(evaluate(&l, &metrics, &calibration));
  *fit_seconds = l.seconds_train;
  /* the pool is predicted by most strategies, at the evaluation's rate a row */
  *predict_seconds = l.seconds_evaluate * (1.0 + (double)l.pool.size / (double)l.evaluated_count);
done:
  json_decref(metrics);
  json_decref(calibration);
  batch_free(&b);
  tear_down(&l);
  return status;
}
