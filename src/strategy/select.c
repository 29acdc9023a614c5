/* The contract around every select: what goes in is finite and of agreeing sizes, what comes out is exactly min(k, |U|)
 * distinct members with finite scores. */
#include "strategy/strategy.h"

#include "base/memory.h"
#include "base/simd.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static al_status missing(const al_strategy *strategy, const char *what) {
  return al_fail(AL_BAD_INPUT, "%s needs %s, and none are given", strategy->name, what);
}

static al_status check_view(const al_view *view, size_t rows, const char *what) {
  size_t row = 0, col = 0;
  if (view->rows != rows) return al_fail(AL_BAD_INPUT, "%s: %zu rows, but %zu are expected", what, view->rows, rows);
  if (!al_view_finite(view, &row, &col))
    return al_fail(AL_BAD_INPUT, "%s: row %zu, column %zu is NaN or infinite", what, row, col);
  return AL_OK;
}

/* Values that are looked at together, in float32. */
enum { SIGHT = 1024 };

/* True only of rows that pass the exact test: float32's rounding of at most SIGHT terms is far less than the room left
 * here. NaN compares false. */
AL_SIMD static bool surely_probs(const float *probs, size_t rows, size_t classes) {
  float low[AL_LANES] = {0}, high[AL_LANES] = {0};
  size_t n = rows * classes, i = 0;
  bool sure = true;
  for (; i + AL_LANES <= n; i += AL_LANES)
    for (size_t l = 0; l < AL_LANES; l++) {
      low[l] = probs[i + l] < low[l] ? probs[i + l] : low[l];
      high[l] = probs[i + l] > high[l] ? probs[i + l] : high[l];
    }
  for (; i < n; i++) sure &= probs[i] >= -9e-4F && probs[i] <= 1.0009F;
  for (size_t l = 0; l < AL_LANES; l++) sure &= low[l] >= -9e-4F && high[l] <= 1.0009F;
  for (size_t row = 0; row < rows; row++) {
    float sum = al_sum(probs + row * classes, classes);
    sure &= sum > 0.9995F && sum < 1.0005F;
  }
  return sure;
}

/* A probability row sums to 1 within 1e-3, each entry in [0, 1] within it. */
static al_status check_probs(const float *probs, size_t rows, size_t classes, const char *what) {
  size_t together = classes == 0 || classes > SIGHT ? 1 : SIGHT / classes;
  for (size_t first = 0; first < rows; first += together) {
    size_t last = rows - first < together ? rows : first + together;
    if (classes <= SIGHT && surely_probs(probs + first * classes, last - first, classes)) continue;
    for (size_t i = first; i < last; i++) {
      double sum = 0.0;
      for (size_t c = 0; c < classes; c++) {
        float p = probs[i * classes + c];
        if (!isfinite(p)) return al_fail(AL_BAD_INPUT, "%s: row %zu, column %zu is NaN or infinite", what, i, c);
        if (p < -1e-3F || p > 1.0F + 1e-3F)
          return al_fail(AL_BAD_INPUT, "%s: row %zu, column %zu is %g, outside 0 to 1", what, i, c, (double)p);
        sum += (double)p;
      }
      if (fabs(sum - 1.0) > 1e-3) return al_fail(AL_BAD_INPUT, "%s: row %zu sums to %g, not to 1", what, i, sum);
    }
  }
  return AL_OK;
}

static al_status check_labels(const al_query *query) {
  for (size_t i = 0; i < query->labelled; i++)
    if (query->labels[i] < 0 || (size_t)query->labels[i] >= query->classes)
      return al_fail(AL_BAD_INPUT, "labels: item %zu is %d, outside 0 to %zu", i, query->labels[i], query->classes - 1);
  return AL_OK;
}

static al_status check_inputs(const al_strategy *strategy, const al_query *query, unsigned needs) {
  al_status status = AL_OK;
  if ((needs & AL_NEED_PROBS) && query->probs == NULL) return missing(strategy, "class probabilities");
  if ((needs & AL_NEED_EMBEDDINGS) && query->h_pool.kind == AL_VIEW_NONE) return missing(strategy, "embeddings");
  if ((needs & AL_NEED_FEATURES) && query->f_pool.kind == AL_VIEW_NONE) return missing(strategy, "features");
  if ((needs & AL_NEED_MC) && query->mc == NULL) return missing(strategy, "stochastic passes");
  if ((needs & AL_NEED_LABELLED) && query->labelled == 0) return missing(strategy, "labelled items");
  if ((needs & AL_NEED_LABELLED) && query->labels == NULL) return missing(strategy, "the labels of the labelled items");
  if ((needs & AL_NEED_REFIT) && query->refit == NULL) return missing(strategy, "a model to refit");
  if ((needs & AL_NEED_MC_OR_REFIT) && query->mc == NULL && query->refit == NULL)
    return missing(strategy, "stochastic passes, or a model to refit (embeddings and labels)");
  if ((needs & AL_NEED_HEAD) && (query->head == NULL || query->bias == NULL))
    return missing(strategy, "the last layer's weights");
  if ((needs & AL_NEED_ORACLE) && query->truth == NULL) return missing(strategy, "the true labels");
  if ((needs & (AL_NEED_TOKENS | AL_NEED_PIXELS)) && query->tokens_pool.begin == NULL &&
      query->pixels_pool.data == NULL)
    return missing(strategy, (needs & AL_NEED_PIXELS) ? "tokens or pixels" : "tokens");
  if (needs & AL_NEED_PROBS) AL_TRY(check_probs(query->probs, query->pool, query->classes, "probs"));
  if ((needs & AL_NEED_PROBS_LABELLED) && query->labelled != 0) {
    if (query->probs_labelled == NULL) return missing(strategy, "class probabilities of the labelled items");
    AL_TRY(check_probs(query->probs_labelled, query->labelled, query->classes, "probs of the labelled"));
  }
  if ((needs & (AL_NEED_MC | AL_NEED_MC_OR_REFIT)) && query->mc != NULL)
    AL_TRY(check_probs(query->mc, query->passes * query->pool, query->classes, "mc"));
  if (needs & AL_NEED_EMBEDDINGS) {
    AL_TRY(check_view(&query->h_pool, query->pool, "embeddings of the pool"));
    if (query->labelled != 0) AL_TRY(check_view(&query->h_labelled, query->labelled, "embeddings of the labelled"));
  }
  if (needs & AL_NEED_HEAD) {
    al_view head = al_view_dense(query->head, query->classes, query->h_pool.cols);
    al_view bias = al_view_dense(query->bias, 1, query->classes);
    AL_TRY(check_view(&head, query->classes, "head"));
    AL_TRY(check_view(&bias, 1, "bias"));
  }
  if (needs & AL_NEED_FEATURES) {
    AL_TRY(check_view(&query->f_pool, query->pool, "features of the pool"));
    if (query->labelled != 0) AL_TRY(check_view(&query->f_labelled, query->labelled, "features of the labelled"));
  }
  if ((needs & AL_NEED_LABELLED) && query->labels != NULL) AL_TRY(check_labels(query));
done:
  return status;
}

static al_status internal(const al_strategy *strategy, const char *what) {
  return al_fail(AL_ENVIRONMENT, "internal: %s %s", strategy->name, what);
}

static al_status check_picks(const al_strategy *strategy, const al_query *query, const al_picks *picks, size_t k) {
  bool *taken = NULL;
  if (picks->count != k) return internal(strategy, "picked a wrong number");
  al_status status = AL_NEW(&taken, query->pool);
  for (size_t i = 0; i < k && status == AL_OK; i++) {
    int32_t pos = picks->pos[i];
    if (pos < 0 || (size_t)pos >= query->pool)
      status = internal(strategy, "picked outside the pool");
    else if (taken[pos])
      status = internal(strategy, "picked an item twice");
    else if (picks->scored && !isfinite(picks->scores[i]))
      status = internal(strategy, "gave a score that is not finite");
    else
      taken[pos] = true;
  }
  free(taken);
  return status;
}

al_status al_picks_note(al_picks *picks, const char *format, ...) {
  al_buffer text = {0};
  char line[1000];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  al_status status = AL_OK;
  if (picks->note != NULL) status = al_buffer_print(&text, "%s; ", picks->note);
  if (status == AL_OK) status = al_buffer_print(&text, "%s", line);
  if (status != AL_OK) {
    al_buffer_free(&text);
    return status;
  }
  free(picks->note);
  picks->note = text.data;
  return AL_OK;
}

/* What a round line can carry. */
static al_status check_state(const al_strategy *strategy, const json_t *state) {
  if (state == NULL) return AL_OK;
  size_t size = json_dumpb(state, NULL, 0, JSON_COMPACT | JSON_REAL_PRECISION(17) | JSON_ENCODE_ANY);
  if (size == 0) return internal(strategy, "gave a state that is no JSON");
  if (size > AL_MOST_STATE)
    return al_fail(AL_BAD_INPUT, "%s: its state has %zu bytes, and a round line carries at most %d; lower the batch",
                   strategy->name, size, AL_MOST_STATE);
  return AL_OK;
}

al_status al_strategy_select(const al_strategy *strategy, const al_query *query, const json_t *params,
                             al_picks *picks) {
  size_t k = query->batch < query->pool ? query->batch : query->pool;
  picks->count = 0;
  picks->scored = true;
  if (k == 0) return AL_OK;
  if (query->pool > INT32_MAX) return al_fail(AL_BAD_INPUT, "the pool has more than 2^31 - 1 rows");
  unsigned needs = strategy->needs(params);
  if ((needs & AL_NEED_MC_OR_REFIT) && query->mc == NULL && query->refit != NULL) needs |= AL_NEED_LABELLED;
  al_query dense;
  bool substituted = false;
  if (strategy->children == NULL && (needs & AL_NEED_DENSE) && (needs & AL_NEED_EMBEDDINGS) &&
      query->h_pool.kind == AL_VIEW_CSR) {
    if (query->f_pool.kind != AL_VIEW_DENSE) return missing(strategy, "dense embeddings or dense features");
    dense = *query;
    dense.h_pool = query->f_pool;
    dense.h_labelled = query->f_labelled;
    query = &dense;
    substituted = true;
  }
  al_status status = check_inputs(strategy, query, needs);
  if (status == AL_OK) status = strategy->select(query, params, picks);
  if (status == AL_OK) status = check_picks(strategy, query, picks, k);
  if (status == AL_OK) status = check_state(strategy, picks->state);
  if (status == AL_OK && substituted) status = al_picks_note(picks, "the embeddings are sparse: the features stand in");
  if (status == AL_OK && strategy->children != NULL && (needs & AL_NEED_ORACLE))
    status = al_picks_note(picks, "UPPER-BOUND REFERENCE: oracle-error, which sees the labels, is part of it");
  return status;
}

void al_picks_free(al_picks *picks) {
  free(picks->pos);
  free(picks->scores);
  free(picks->note);
  json_decref(picks->state);
  *picks = (al_picks){0};
}
