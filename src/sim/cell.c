/* The active-learning loop of one cell.
 *
 * Line r of the log is round r: the batch that was asked, what was answered and paid, and the metrics of the model
 * fitted afterwards. A resume replays the logged batches through the same updates (so that every sum is added in the
 * same order), refits the last model (a fit depends on nothing but rows, labels and its stream; where it starts warm,
 * on a checkpoint or the fits before) and goes on: the bytes are those of a run that was never stopped. The loop keeps
 * the budget; a strategy cannot. */
#include "sim/cell.h"

#include "base/log.h"
#include "base/memory.h"
#include "sim/cell_private.h"
#include "sim/host.h"
#include "sim/metrics.h"

#include <stdlib.h>
#include <string.h>

al_rng al_loop_stream(const al_loop *l, const char *purpose, const char *strategy, uint32_t round) {
  al_stream_key key = {.seed = l->cell->seed,
                       .purpose = purpose,
                       .dataset = l->dataset->name,
                       .strategy = strategy,
                       .replicate = l->cell->replicate,
                       .round = round};
  return al_rng_open(&key);
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

size_t al_cell_pool(const al_cell *cell) {
  size_t whole = al_pool_whole_size(cell->problem->entry, cell->problem->splits[0].train_size);
  return whole > cell->holdout ? whole - cell->holdout : 0;
}

double al_cell_work(const al_cell *cell, size_t rounds) {
  double pool = (double)al_cell_pool(cell), n = (double)rounds;
  if (cell->strategy == NULL) return n * (pool + (double)cell->holdout);
  double start = (double)al_params_int(cell->initial, "size"), batch = (double)cell->batch;
  return n * (start + 0.02 * pool) + batch * n * (n - 1.0) / 2.0;
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

/* The reason to end after the last round, or NULL. */
static const char *reason_to_end(const al_loop *l, size_t rounds_done) {
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

static al_status find_kinds(al_loop *l) {
  const char *kind = al_params_string(l->cell->oracle, "kind");
  l->oracle = al_oracle_find(kind);
  if (l->oracle == NULL) return al_fail(AL_BAD_INPUT, "oracle.kind: unknown oracle '%s'", kind);
  kind = al_params_string(l->cell->cost, "kind");
  l->price = al_cost_find(kind);
  if (l->price == NULL) return al_fail(AL_BAD_INPUT, "cost.kind: unknown cost '%s'", kind);
  return AL_OK;
}

/* Cache key of the pool's kernel sum: everything it depends on. */
static al_status state_key(char hex[33], const al_loop *l) {
  al_buffer text = {0};
  al_rng rng = al_loop_stream(l, "mmd", NULL, 0);
  al_status status;
  AL_TRY(al_buffer_append(&text, l->f->digest, sizeof l->f->digest));
  AL_TRY(al_buffer_append(&text, rng.key, sizeof rng.key));
  AL_TRY(al_buffer_append(&text, l->pool.start, l->pool.size * sizeof *l->pool.start));
  al_bytes_digest(text.data, text.size, hex);
done:
  al_buffer_free(&text);
  return status;
}

static al_status set_up_data(al_loop *l) {
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
                               al_loop_stream(l, "mmd", NULL, 0), key));
done:
  return status;
}

static al_status set_up(al_loop *l, const al_cell *cell) {
  const al_problem *problem = cell->problem;
  size_t split = problem->split_count == 1 ? 0 : cell->replicate;
  *l = (al_loop){.cell = cell, .dataset = problem->dataset, .split = &problem->splits[split], .f = problem->f[split]};
  l->holdout_accuracy = -1.0;
  al_status status = set_up_data(l);
  if (status != AL_OK) return status;
  al_model_source source = {.dataset = l->dataset,
                            .split = l->split,
                            .seed = cell->seed,
                            .replicate = cell->replicate,
                            .where = cell->model_label,
                            .base = cell->base};
  return al_predictor_open(&l->model, cell->model, cell->model_options, &source);
}

static void tear_down(al_loop *l) {
  if (l->storage.prepared != NULL) l->cell->strategy->forget(l->storage.prepared);
  al_query_storage_free(&l->storage);
  al_predictor_free(l->model);
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

/* ---- asking ---- */

static double price_of(const al_loop *l, int32_t row) {
  const al_dataset *dataset = l->dataset;
  al_priced_item item = {.text = dataset->kind == AL_TEXT,
                         .words = dataset->kind == AL_TEXT ? (size_t)dataset->words[row] : 0,
                         .classes = dataset->classes};
  return l->price->price(l->cell->cost, &item);
}

static al_status ask(const al_loop *l, int32_t row, int32_t *class) {
  al_rng rng = al_loop_stream(l, "oracle", NULL, 0);
  al_answer answer = {0};
  al_status status = l->oracle->answer(l->cell->oracle, &l->dataset->labels, row, l->questions[row], &rng, &answer);
  if (status != AL_OK) return status;
  if (answer.abstained || answer.n != 1)
    return al_fail(AL_BAD_INPUT, "row %d: only single answers are supported by the models there are", row);
  *class = answer.classes[0];
  return AL_OK;
}

static void batch_free(al_batch *b) {
  al_picks_free(&b->picks);
  free(b->rows);
  free(b->classes);
  free(b->paid);
  json_decref(b->notes);
  *b = (al_batch){0};
}

static al_status batch_new(al_batch *b, size_t k) {
  al_status status;
  *b = (al_batch){0};
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
static al_status answer_batch(al_loop *l, al_batch *b) {
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
static al_status take_batch(al_loop *l, const int32_t *rows, const int32_t *classes, const double *paid, size_t n) {
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

static al_status pay_holdout(al_loop *l, json_t **out) {
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

/* ---- fitting and evaluating ---- */

static al_training training_on(const al_loop *l, const int32_t *rows, const int32_t *classes, size_t n,
                               uint32_t round) {
  return (al_training){.rows = rows,
                       .classes = classes,
                       .n = n,
                       .holdout_rows = l->pool.holdout,
                       .holdout_classes = l->holdout_classes,
                       .holdout = l->pool.holdout_size,
                       .round = round};
}

/* What stopping rules read of the fitted model. */
static al_status ask_holdout(al_loop *l) {
  if (l->pool.holdout_size == 0) return AL_OK;
  al_prediction want = {.probs = l->holdout_probs};
  al_status status = al_predictor_predict(l->model, l->pool.holdout, l->pool.holdout_size, &want);
  l->holdout_accuracy = al_accuracy(l->holdout_probs, l->holdout_classes, l->pool.holdout_size, l->dataset->classes);
  return status;
}

static al_status fit(al_loop *l, const int32_t *rows, const int32_t *classes, size_t n, uint32_t round) {
  al_training training = training_on(l, rows, classes, n, round);
  double start = al_seconds();
  al_status status = al_predictor_fit(l->model, &training);
  l->seconds_train = al_seconds() - start;
  return status == AL_OK ? ask_holdout(l) : status;
}

static al_status evaluate(al_loop *l, json_t **metrics, json_t **calibration) {
  double start = al_seconds();
  al_prediction want = {.probs = l->evaluated_probs};
  al_status status = al_predictor_predict(l->model, l->evaluated, l->evaluated_count, &want);
  if (status == AL_OK)
    status = al_metrics(metrics, calibration, l->evaluated_probs, l->evaluated_truth, l->evaluated_count,
                        l->dataset->classes);
  l->seconds_evaluate = al_seconds() - start;
  return status;
}

static size_t next_batch_size(const al_loop *l, size_t round) {
  const al_cell *cell = l->cell;
  size_t k = round == 0 ? (size_t)al_params_int(cell->initial, "size") : cell->batch;
  if (k > l->unlabelled_count) k = l->unlabelled_count;
  if (cell->budget.labels != 0 && k > cell->budget.labels - l->labels) k = cell->budget.labels - l->labels;
  return k;
}

/* One round from asking to the line on disk. *asked = false: the cost budget affords nothing more, no line is written.
 */
static al_status do_round(al_loop *l, const char *folder, size_t round, bool *asked) {
  al_status status;
  al_batch b = {0};
  json_t *holdout = NULL, *metrics = NULL, *calibration = NULL, *line = NULL;
  char checkpoint[33];
  size_t k, pool = l->unlabelled_count;
  *asked = true;
  l->seconds_predict = l->seconds_query = 0.0;
  if (round == 0 && l->pool.holdout_size != 0) AL_TRY(pay_holdout(l, &holdout));
  k = next_batch_size(l, round);
  AL_TRY(batch_new(&b, k));
  if (round == 0)
    AL_TRY(al_loop_select_first(l, &b, k));
  else
    AL_TRY(al_loop_select_next(l, &b, k, round));
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
  AL_TRY(al_loop_line(&line, l, &b, round, holdout, metrics, calibration));
  holdout = metrics = calibration = NULL; /* the line owns them */
  AL_TRY(al_loop_save_fit(l, folder, checkpoint));
  if (*checkpoint != '\0') json_object_set_new(line, "checkpoint", json_string(checkpoint));
  AL_TRY(al_record_append(l->record, line));
  AL_TRY(al_loop_timing(l, folder, round, pool));
  json_array_append(l->history, line);
  AL_TRY(al_loop_prune_fits(l, folder));
done:
  json_decref(line);
  json_decref(holdout);
  json_decref(metrics);
  json_decref(calibration);
  batch_free(&b);
  return status;
}

/* Moves the hold-out's rows behind the others of L, keeping the order of these; how many there are of them. */
static size_t leave_out_holdout(al_loop *l) {
  size_t kept = 0, whole = l->labelled_count;
  for (size_t i = 0; i < whole; i++) {
    int32_t row = l->labelled[i];
    bool held = false;
    for (size_t h = 0; h < l->pool.holdout_size && !held; h++) held = l->pool.holdout[h] == row;
    if (held) continue;
    l->labelled[kept] = row;
    l->answers[kept++] = l->truth[row];
  }
  for (size_t h = 0; h < whole - kept; h++) {
    l->labelled[kept + h] = l->pool.holdout[h];
    l->answers[kept + h] = l->truth[l->pool.holdout[h]];
  }
  return kept;
}

/* The reference: fitted on the whole pool's true labels, one line. */
static al_status do_reference(al_loop *l, const char *folder) {
  al_status status;
  al_batch b = {0};
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
  /* what a fit looks at to stop or calibrate, it must not be trained on */
  size_t used = al_predictor_reads_holdout(l->cell->model_options) ? leave_out_holdout(l) : n;
  AL_TRY(fit(l, l->labelled, l->answers, used, 0));
  AL_TRY(evaluate(l, &metrics, &calibration));
  AL_TRY(batch_new(&b, 0));
  AL_TRY(al_loop_line(&line, l, &b, 0, NULL, metrics, calibration));
  metrics = calibration = NULL;
  AL_TRY(al_record_append(l->record, line));
  AL_TRY(al_loop_timing(l, folder, 0, n));
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

/* How many logged rounds stand under the present budget: all, or all but a last batch that a budget cut short. Where it
 * is the present one, doing that round again gives its bytes, and the loop knows again that nothing more is paid for.
 */
static al_status rounds_to_keep(const al_cell *cell, const json_t *rounds, size_t pool_size, size_t *keep) {
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
  if (logged_batch(last) < whole) *keep = count - 1;
  return AL_OK;
}

static al_status replay(al_loop *l, const json_t *line) {
  al_status status;
  const json_t *asked = json_object_get(line, "asked"), *answers = json_object_get(line, "answers");
  const json_t *paid = json_object_get(line, "paid");
  size_t n = json_array_size(asked);
  al_batch b = {0};
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

/* The model of the last line, where a fit starts from the one before: from its checkpoint, or fitted again from round
 * 0. ends: labels after each round. */
static al_status chain_to(al_loop *l, const char *folder, const size_t *ends, size_t rounds) {
  al_status status;
  bool good = false;
  al_buffer bytes = {0};
  char found[33];
  const json_t *last = json_array_get(l->history, rounds - 1);
  const char *digest = json_string_value(json_object_get(last, "checkpoint"));
  if (digest == NULL) return al_fail(AL_BAD_INPUT, "%s.jsonl: its last line names no checkpoint", l->cell->name);
  al_training training = training_on(l, l->labelled, l->answers, ends[rounds - 1], (uint32_t)(rounds - 1));
  AL_TRY(al_loop_restore_fit(l, folder, digest, &training, &good));
  if (good) {
    status = ask_holdout(l);
    goto done;
  }
  al_log_notice("%s: no good checkpoint of round %zu; its %zu fits are made again", l->cell->name, rounds - 1, rounds);
  for (size_t r = 0; r < rounds; r++) AL_TRY(fit(l, l->labelled, l->answers, ends[r], (uint32_t)r));
  AL_TRY(al_predictor_save(l->model, &bytes));
  al_bytes_digest(bytes.data, bytes.size, found);
  if (strcmp(found, digest) != 0)
    status = al_fail(AL_ENVIRONMENT,
                     "%s: made again, the model of round %zu has other bits than the log says; this processor or "
                     "library computes otherwise, so start the cell anew with another --out",
                     l->cell->name, rounds - 1);
done:
  al_buffer_free(&bytes);
  return status;
}

static al_status replay_all(al_loop *l, const char *folder, size_t rounds) {
  al_status status;
  size_t *ends = NULL;
  AL_TRY(AL_NEW(&ends, rounds));
  for (size_t i = 0; i < rounds; i++) {
    AL_TRY(replay(l, json_array_get(l->history, i)));
    ends[i] = l->labelled_count;
  }
  if (al_predictor_chained(l->model))
    AL_TRY(chain_to(l, folder, ends, rounds));
  else
    AL_TRY(fit(l, l->labelled, l->answers, l->labelled_count, (uint32_t)(rounds - 1)));
done:
  free(ends);
  return status;
}

static bool ended_under(const json_t *end, const al_budget *budget) {
  json_t *now = al_budget_json(budget);
  bool equal = json_equal(json_object_get(end, "budget"), now);
  json_decref(now);
  return equal;
}

/* Was everything in the log made by this executable? The timing file tells: each run that adds rounds says there first
 * who it is. (study.json names only who came last to the folder, perhaps for other cells.) Rounds that nobody signed
 * are not known to be ours. */
static bool is_of_build(const al_log *log, const char *build) {
  bool named = false;
  for (size_t i = 0; i < json_array_size(log->timing); i++) {
    const char *one = json_string_value(json_object_get(json_array_get(log->timing, i), "build"));
    if (one == NULL) continue; /* a round's line */
    if (strcmp(one, build) != 0) return false;
    named = true;
  }
  return named || json_array_size(log->rounds) == 0;
}

al_status al_cell_progress(const al_cell *cell, const char *folder, bool *complete, bool *same_build, size_t *rounds) {
  al_log *log = NULL;
  bool begun = false;
  *complete = false;
  *same_build = true;
  *rounds = 0;
  al_status status = al_log_begun(&begun, folder, cell->name);
  if (status == AL_OK && begun) status = al_log_read(&log, folder, cell->name);
  if (status != AL_OK || !begun) return status;
  *rounds = json_array_size(log->rounds);
  *complete = log->end != NULL && ended_under(log->end, &cell->budget);
  *same_build = is_of_build(log, cell->build);
  al_log_free(log);
  return AL_OK;
}

/* An unfinished log of another build starts anew: its bits may differ. Here and not before the cells are dealt out, so
 * that a log is emptied only by who runs its cell next, and never while another process writes it. */
static al_status drop_other_build(const al_cell *cell, const char *folder) {
  bool complete, same_build;
  size_t rounds;
  al_status status = al_cell_progress(cell, folder, &complete, &same_build, &rounds);
  if (status != AL_OK || complete || same_build) return status;
  status = al_record_clear(folder, cell->name);
  return status == AL_OK ? al_checkpoints_prune(folder, cell->name, NULL, 0) : status;
}

static al_status finish(al_loop *l, const char *reason) {
  json_t *end = json_pack("{s:s,s:I,s:o}", "end", reason, "rounds", (json_int_t)json_array_size(l->history), "budget",
                          al_budget_json(&l->cell->budget));
  al_status status = end == NULL ? al_fail(AL_ENVIRONMENT, "out of memory") : al_record_finish(l->record, end);
  json_decref(end);
  return status;
}

/* Opens the log and brings the loop to the state after its last line. *ended: nothing is left to do. */
static al_status open_log(al_loop *l, const char *folder, bool *ended) {
  al_status status;
  json_t *header = al_loop_header(l), *end = NULL;
  size_t keep = 0;
  *ended = false;
  if (header == NULL) return al_fail(AL_ENVIRONMENT, "out of memory");
  AL_TRY(al_record_open(&l->record, folder, l->cell->name, header, &l->history, &end));
  if (end != NULL && ended_under(end, &l->cell->budget)) {
    *ended = true;
    goto done;
  }
  AL_TRY(rounds_to_keep(l->cell, l->history, l->pool.size, &keep));
  if (end != NULL || keep < json_array_size(l->history)) AL_TRY(al_record_truncate(l->record, keep));
  while (json_array_size(l->history) > keep) json_array_remove(l->history, json_array_size(l->history) - 1);
  if (l->cell->strategy != NULL && keep != 0) AL_TRY(replay_all(l, folder, keep));
done:
  json_decref(header);
  json_decref(end);
  return status;
}

al_status al_cell_run(const al_cell *cell, const char *folder, const al_cell_watch *watch) {
  al_loop l;
  bool ended = false;
  al_status status;
  AL_TRY(set_up(&l, cell));
  AL_TRY(drop_other_build(cell, folder));
  AL_TRY(open_log(&l, folder, &ended));
  if (ended) goto done;
  AL_TRY(al_host_start_line(folder, cell->name, cell->build, al_predictor_device(l.model)));
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
  al_loop l;
  al_status status;
  al_batch b = {0};
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
