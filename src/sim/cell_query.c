/* Choosing: the views that a strategy's needs ask for, over U in pool order and L in the order labelled, and the call.
 */
#include "sim/cell_private.h"

#include "base/log.h"
#include "base/memory.h"
#include "model/refit.h"
#include "sim/metrics.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { FOLDS = 5, LEAST_FOR_FOLDS = 10 };

const char *al_needs_unmet(unsigned needs, unsigned gives, al_kind kind) {
  if ((needs & (AL_NEED_PROBS | AL_NEED_PROBS_LABELLED)) && !(gives & AL_GIVES_PROBS))
    return "the model gives no probabilities";
  if ((needs & (AL_NEED_EMBEDDINGS | AL_NEED_OOF | AL_NEED_REFIT)) && !(gives & AL_GIVES_EMBEDDINGS))
    return "the model gives no embeddings";
  if ((needs & AL_NEED_MC_OR_REFIT) && !(gives & (AL_GIVES_MC | AL_GIVES_EMBEDDINGS)))
    return "the model gives neither stochastic passes nor embeddings to refit on";
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

static al_sets gather_sets(al_loop *l, const al_sets *all, const int32_t *rows, size_t n, int side, al_status *status) {
  al_query_storage *s = &l->storage;
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

static al_pixels pixels_of(const al_loop *l, const int32_t *rows, size_t n) {
  const al_dataset *d = l->dataset;
  return (al_pixels){
      .data = d->pixels, .rows = rows, .n = n, .channels = d->channels, .height = d->height, .width = d->width};
}

/* Where each item of U and L stands in the starting pool. */
static al_status places(al_loop *l, al_query *query) {
  al_status status = AL_OK;
  al_query_storage *s = &l->storage;
  if (s->place == NULL) {
    AL_TRY(AL_NEW(&s->place, l->dataset->rows));
    AL_TRY(AL_NEW(&s->all_pool, l->pool.size));
    AL_TRY(AL_NEW(&s->all_labelled, l->pool.size));
    for (size_t i = 0; i < l->pool.size; i++) s->place[l->pool.start[i]] = (int32_t)i;
  }
  for (size_t pos = 0; pos < l->unlabelled_count; pos++) s->all_pool[pos] = s->place[l->unlabelled[pos]];
  for (size_t i = 0; i < l->labelled_count; i++) s->all_labelled[i] = s->place[l->labelled[i]];
  query->all_pool = s->all_pool;
  query->all_labelled = s->all_labelled;
done:
  return status;
}

/* TOKENS, PIXELS and FEATURES: what exists without a model, and so at the initial set too. */
static al_status fixed_views(al_loop *l, unsigned needs, al_query *query, al_sets *starting) {
  al_status status = AL_OK;
  al_query_storage *s = &l->storage;
  AL_TRY(places(l, query));
  if (needs & (AL_NEED_FEATURES | AL_NEED_DENSE)) {
    AL_TRY(al_view_take(&query->f_pool, &l->f->view, l->unlabelled, l->unlabelled_count, &s->f_pool));
    AL_TRY(al_view_take(&query->f_labelled, &l->f->view, l->labelled, l->labelled_count, &s->f_labelled));
    if (s->f_all.values == NULL && s->f_all.begin == NULL)
      AL_TRY(al_view_take(&query->f_all, &l->f->view, l->pool.start, l->pool.size, &s->f_all));
    else
      query->f_all = s->f_all_view;
    s->f_all_view = query->f_all;
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

al_status al_loop_select_first(al_loop *l, al_batch *b, size_t k) {
  const char *method = al_params_string(l->cell->initial, "method");
  al_rng rng = al_loop_stream(l, "initial", NULL, 0);
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
  al_query query = {
      .pool = l->unlabelled_count, .classes = l->dataset->classes, .batch = k, .rng = rng, .cell_rng = rng};
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
static al_status out_of_fold(al_loop *l, const al_view *h, al_oof *oof, const al_oof **given) {
  al_query_storage *s = &l->storage;
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
  if (al_predictor_has_folds(l->model)) {
    al_training training = {.rows = l->labelled, .classes = l->answers, .n = n};
    AL_TRY(al_predictor_cross_validate(l->model, &training, s->fold_of, FOLDS, s->oof_probs));
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

/* REFIT: the softmax on h of L, with the linear model's own penalty. */
static al_status refit_on(al_loop *l, al_query *query) {
  double l2 = al_predictor_l2(l->model);
  al_refitter_free(l->storage.refitter);
  l->storage.refitter = NULL;
  if (l->labelled_count == 0) return AL_OK; /* the strategy says what it misses */
  al_status status =
      al_refitter_new(&l->storage.refitter, &query->h_labelled, l->answers, l->dataset->classes, &query->h_pool, l2);
  if (status == AL_OK) query->refit = al_refitter_callbacks(l->storage.refitter);
  return status;
}

/* What the model gives over U and L, each once a round. A dense h of both comes from the model itself. */
static al_status model_views(al_loop *l, unsigned needs, al_query *query, al_oof *oof) {
  al_status status = AL_OK;
  al_query_storage *s = &l->storage;
  size_t n = l->unlabelled_count, classes = l->dataset->classes;
  al_prediction want = {0};
  if (needs & AL_NEED_MC_OR_REFIT)
    needs |= (al_model_gives(l->cell->model, l->cell->model_options, l->cell->base) & AL_GIVES_MC) ? AL_NEED_MC
                                                                                                   : AL_NEED_REFIT;
  if (needs & AL_NEED_PROBS) {
    AL_TRY(al_grow(&s->probs, &s->probs_capacity, n * classes, sizeof *s->probs));
    query->probs = want.probs = s->probs;
  }
  if (needs & AL_NEED_MC) {
    query->passes = al_predictor_passes(l->model);
    AL_TRY(al_grow(&s->mc, &s->mc_capacity, query->passes * n * classes, sizeof *s->mc));
    query->mc = want.mc = s->mc;
  }
  if (needs & AL_NEED_PROBS_LABELLED) {
    AL_TRY(al_grow(&s->probs_labelled, &s->probs_labelled_capacity, l->labelled_count * classes,
                   sizeof *s->probs_labelled));
    query->probs_labelled = s->probs_labelled;
  }
  bool h = (needs & (AL_NEED_EMBEDDINGS | AL_NEED_OOF | AL_NEED_REFIT)) != 0;
  if (h) {
    al_prediction of_labelled = {.h = &query->h_labelled, .subset = &s->h_labelled};
    if (needs & AL_NEED_PROBS_LABELLED) of_labelled.probs = s->probs_labelled;
    AL_TRY(al_predictor_predict(l->model, l->labelled, l->labelled_count, &of_labelled));
    want.h = &query->h_pool;
    want.subset = &s->h_pool;
  } else if (needs & AL_NEED_PROBS_LABELLED) {
    al_prediction of_labelled = {.probs = s->probs_labelled};
    AL_TRY(al_predictor_predict(l->model, l->labelled, l->labelled_count, &of_labelled));
  }
  if (want.probs != NULL || want.mc != NULL || h) AL_TRY(al_predictor_predict(l->model, l->unlabelled, n, &want));
  if (needs & AL_NEED_HEAD) {
    size_t width = 0;
    AL_TRY(al_predictor_head(l->model, &query->head, &query->bias, &width));
  }
  if (needs & AL_NEED_OOF) AL_TRY(out_of_fold(l, &query->h_labelled, oof, &query->oof));
  if (needs & AL_NEED_REFIT) AL_TRY(refit_on(l, query));
done:
  return status;
}

/* The past rounds as a strategy may see them: what was asked and answered, and its own state. Metrics, which come from
 * the test set, and what the log says of L by the true labels stay out. */
static json_t *past_rounds(const al_loop *l) {
  static const char *const shown[] = {"round", "asked", "answers", "state"};
  json_t *history = json_array();
  for (size_t r = 0; r < json_array_size(l->history); r++) {
    json_t *round = json_object();
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
      json_t *value = json_object_get(json_array_get(l->history, r), shown[i]);
      if (value != NULL) json_object_set(round, shown[i], value);
    }
    json_array_append_new(history, round);
  }
  return history;
}

al_status al_loop_select_next(al_loop *l, al_batch *b, size_t k, size_t round) {
  al_status status;
  const al_cell *cell = l->cell;
  al_sets starting = {0};
  al_oof oof;
  int32_t *truth = NULL;
  int64_t *label_begin = NULL, *label_end = NULL;
  json_t *history = NULL;
  unsigned needs = cell->strategy->needs(cell->strategy_params);
  const json_t *last = json_array_get(l->history, json_array_size(l->history) - 1);
  const json_t *state = json_object_get(last, "state");
  al_query query = {.pool = l->unlabelled_count,
                    .labelled = l->labelled_count,
                    .classes = l->dataset->classes,
                    .batch = k,
                    .labels = l->answers,
                    .rows_labelled = l->labelled,
                    .state = json_is_null(state) ? NULL : state,
                    .round = round,
                    .base = cell->base,
                    .files = cell->strategy_files,
                    .rng = al_loop_stream(l, "query", cell->strategy->name, (uint32_t)round),
                    .cell_rng = al_loop_stream(l, "prepare", cell->strategy->name, 0)};
  double start = al_seconds();
  if (needs & AL_NEED_HISTORY) query.history = history = past_rounds(l);
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
  if (cell->strategy->prepare != NULL && l->storage.prepared == NULL)
    AL_TRY(cell->strategy->prepare(&l->storage.prepared, &query, cell->strategy_params));
  query.prepared = l->storage.prepared;
  AL_TRY(al_strategy_select(cell->strategy, &query, cell->strategy_params, &b->picks));
  l->seconds_query = al_seconds() - start;
done:
  json_decref(history);
  free(truth);
  free(label_begin);
  free(label_end);
  free((void *)(uintptr_t)starting.begin);
  free((void *)(uintptr_t)starting.end);
  return status;
}

void al_query_storage_free(al_query_storage *s) {
  al_subset *subsets[] = {&s->h_pool, &s->h_labelled, &s->h_evaluated, &s->f_pool, &s->f_labelled, &s->f_all};
  for (size_t i = 0; i < sizeof subsets / sizeof *subsets; i++) al_subset_free(subsets[i]);
  for (size_t side = 0; side < 2; side++) {
    free(s->token_begin[side]);
    free(s->token_end[side]);
  }
  al_refitter_free(s->refitter);
  free(s->probs);
  free(s->probs_labelled);
  free(s->place);
  free(s->all_pool);
  free(s->all_labelled);
  free(s->mc);
  free(s->oof_probs);
  free(s->oof_error);
  free(s->oof_predicted);
  free(s->fold_of);
}
