/* The linear model: softmax regression on TF-IDF rows, pixels, columns or a frozen encoder's features. Its embedding is
 * its input row.
 *
 * The Gram matrix of the labelled rows is kept between rounds and grows with them; an entry's bits do not depend on
 * when it was computed, so a resumed cell fits the same model. */
#include "model/frozen.h"
#include "model/resample.h"
#include "model/softmax.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

static const al_param mc_params[] = {
    {.key = "by",
     .type = AL_PARAM_CHOICE,
     .fallback = "\"bootstrap\"",
     .choices = "bootstrap",
     .help = "refits on stratified bootstrap samples of the labelled set"},
    {.key = "passes", .type = AL_PARAM_INT, .fallback = "10", .min = 2, .max = 1000, .help = "number of refits"},
    {0}};

static const al_param linear_params[] = {
    {.key = "features",
     .type = AL_PARAM_ANY,
     .fallback = "null",
     .help = "tfidf, pixels, columns, {tfidf: {options}} or {frozen: WEIGHTS, pooling, stage, max_tokens, device} "
             "(null: by kind of data)"},
    {.key = "l2",
     .type = AL_PARAM_REAL,
     .fallback = "1.0",
     .min = 1e-8,
     .max = 1e8,
     .help = "penalty: (l2 / 2) ||W||^2 beside the sum of log losses; scikit-learn's C is 1 / l2"},
    {.key = "mc", .type = AL_PARAM_MAP, .fallback = "{}", .table = mc_params, .help = "stochastic passes"},
    AL_ANY_MODEL_PARAMS,
    {0}};

struct al_model {
  al_model_source source;
  al_features *input;
  char weights[33]; /* hash of the frozen encoder's; "" without one */
  double l2;
  size_t passes;
  al_softmax *softmax;
  /* what the last fit was fitted on, and its Gram matrix */
  int32_t *rows, *classes;
  size_t n, rows_capacity, classes_capacity, stride;
  double *gram, *scratch;
  al_subset subset;
  al_view labelled;
  uint32_t round;
};

static al_status check_linear(const json_t *params, al_kind kind, const char *base, const char *where) {
  return al_model_input_check(json_object_get(params, "features"), kind, base, where);
}

static void free_linear(al_model *model) {
  if (model == NULL) return;
  al_features_free(model->input);
  al_softmax_free(model->softmax);
  free(model->rows);
  free(model->classes);
  free(model->gram);
  free(model->scratch);
  al_subset_free(&model->subset);
  free(model);
}

static al_status open_linear(al_model **out, const json_t *params, const al_model_source *source) {
  al_status status;
  al_model *model = NULL;
  *out = NULL;
  AL_TRY(AL_NEW(&model, 1));
  model->source = *source;
  model->l2 = al_params_real(params, "l2");
  model->passes = (size_t)al_params_int(json_object_get(params, "mc"), "passes");
  AL_TRY(al_model_input_open(&model->input, model->weights, json_object_get(params, "features"), source));
  AL_TRY(AL_NEW(&model->scratch, model->input->view.cols));
  *out = model;
  model = NULL;
done:
  free_linear(model);
  return status;
}

/* Makes room for n rows, keeping what is there. */
static al_status widen_gram(al_model *model, size_t n) {
  if (n <= model->stride) return AL_OK;
  size_t stride = model->stride < 64 ? 64 : model->stride;
  while (stride < n) stride *= 2;
  if (stride > AL_GRAM_LIMIT) stride = n;
  double *wider = NULL;
  al_status status = AL_NEW(&wider, stride * stride);
  if (status != AL_OK) return status;
  for (size_t i = 0; i < model->n; i++)
    memcpy(wider + i * stride, model->gram + i * model->stride, model->n * sizeof *wider);
  free(model->gram);
  model->gram = wider;
  model->stride = stride;
  return AL_OK;
}

static al_status fit_in_span(al_model *model, const al_training *training) {
  al_status status;
  int32_t *index = NULL;
  size_t n = training->n, kept = 0;
  while (kept < model->n && kept < n && model->rows[kept] == training->rows[kept]) kept++;
  model->n = kept;
  AL_TRY(widen_gram(model, n));
  AL_TRY(al_grow(&model->rows, &model->rows_capacity, n, sizeof *model->rows));
  memcpy(model->rows, training->rows, n * sizeof *model->rows);
  al_gram_extend(model->gram, model->stride, &model->labelled, kept, n, model->scratch);
  model->n = n;
  AL_TRY(AL_NEW(&index, n));
  for (size_t i = 0; i < n; i++) index[i] = (int32_t)i;
  AL_TRY(al_softmax_fit_gram(&model->softmax, &model->labelled, model->gram, model->stride, index, n, training->classes,
                             model->source.dataset->classes, model->l2));
done:
  free(index);
  return status;
}

static al_status fit_linear(al_model *model, const al_training *training) {
  al_status status;
  size_t n = training->n;
  al_softmax_free(model->softmax);
  model->softmax = NULL;
  model->round = training->round;
  AL_TRY(al_view_take(&model->labelled, &model->input->view, training->rows, n, &model->subset));
  AL_TRY(al_grow(&model->classes, &model->classes_capacity, n, sizeof *model->classes));
  memcpy(model->classes, training->classes, n * sizeof *model->classes);
  if (n <= AL_GRAM_LIMIT && (model->input->view.kind == AL_VIEW_CSR || n <= model->input->view.cols)) {
    AL_TRY(fit_in_span(model, training));
  } else {
    model->n = 0; /* no Gram matrix of these rows */
    AL_TRY(al_softmax_fit(&model->softmax, &model->labelled, training->classes, model->source.dataset->classes,
                          model->l2));
  }
done:
  return status;
}

/* One bootstrap member: each class resampled within itself, from the stream (mc, replicate, round, member). */
static al_status predict_member(al_model *model, size_t member, const al_view *rows, float *probs) {
  al_status status;
  int32_t *index = NULL, *classes = NULL;
  al_softmax *softmax = NULL;
  size_t n = model->labelled.rows, class_count = model->source.dataset->classes;
  al_stream_key key = {.seed = model->source.seed,
                       .purpose = "mc",
                       .dataset = model->source.dataset->name,
                       .replicate = model->source.replicate,
                       .round = model->round,
                       .index = (uint32_t)member};
  al_rng rng = al_rng_open(&key);
  AL_TRY(AL_NEW(&index, n));
  AL_TRY(AL_NEW(&classes, n));
  AL_TRY(al_resample(index, &rng, model->classes, n, class_count));
  for (size_t i = 0; i < n; i++) classes[i] = model->classes[index[i]];
  if (model->n == n) {
    AL_TRY(al_softmax_fit_gram(&softmax, &model->labelled, model->gram, model->stride, index, n, classes, class_count,
                               model->l2));
  } else {
    al_subset subset = {0};
    al_view sample;
    status = al_view_take(&sample, &model->labelled, index, n, &subset);
    if (status == AL_OK) status = al_softmax_fit(&softmax, &sample, classes, class_count, model->l2);
    al_subset_free(&subset);
    if (status != AL_OK) goto done;
  }
  AL_TRY(al_softmax_predict(softmax, rows, probs));
done:
  al_softmax_free(softmax);
  free(index);
  free(classes);
  return status;
}

static al_status predict_linear(al_model *model, const int32_t *rows, size_t n, const al_prediction *out) {
  al_status status;
  al_subset own = {0};
  al_view view, *h = out->h == NULL ? &view : out->h;
  size_t classes = model->source.dataset->classes;
  AL_TRY(al_view_take(h, &model->input->view, rows, n, out->h == NULL ? &own : out->subset));
  if (out->probs != NULL) AL_TRY(al_softmax_predict(model->softmax, h, out->probs));
  if (out->logits != NULL) AL_TRY(al_softmax_logits(model->softmax, h, out->logits));
  for (size_t member = 0; out->mc != NULL && member < model->passes; member++)
    AL_TRY(predict_member(model, member, h, out->mc + member * n * classes));
done:
  al_subset_free(&own);
  return status;
}

static al_status head_of_linear(al_model *model, const float **weights, const float **bias, size_t *width) {
  *width = model->input->view.cols;
  return al_softmax_head(model->softmax, weights, bias);
}

static al_status cross_validate_linear(al_model *model, const al_training *training, const uint8_t *fold_of,
                                       unsigned folds, float *probs) {
  size_t classes = model->source.dataset->classes;
  bool same = model->n == training->n && memcmp(model->rows, training->rows, training->n * sizeof *model->rows) == 0;
  if (same)
    return al_gram_cross_validate(model->gram, model->stride, training->classes, training->n, classes, model->l2,
                                  fold_of, folds, probs);
  return al_softmax_cross_validate(&model->labelled, training->classes, classes, model->l2, fold_of, folds, probs);
}

static const char *weights_of_linear(const al_model *model) {
  return model->weights[0] == '\0' ? NULL : model->weights;
}

static size_t passes_of_linear(const al_model *model) { return model->passes; }

static double l2_of_linear(const al_model *model) { return model->l2; }

static json_t *notes_of_linear(const al_model *model) {
  const al_dataset *dataset = model->source.dataset;
  size_t absent = 0;
  bool *seen = NULL;
  if (AL_NEW(&seen, dataset->classes) != AL_OK) return NULL;
  for (size_t i = 0; i < model->labelled.rows; i++) seen[model->classes[i]] = true;
  for (size_t c = 0; c < dataset->classes; c++) absent += !seen[c];
  free(seen);
  return absent == 0 ? NULL
                     : json_pack("[o]", json_sprintf("%zu classes have no label yet; their probability is 0", absent));
}

const al_model_type al_model_linear = {
    .name = "linear",
    .summary = "softmax regression with an l2 penalty, fitted to the optimum; its embedding is its input row",
    .citation = "Cox 1958; Nocedal 1980 (L-BFGS)",
    .deterministic = true,
    .gives = AL_GIVES_PROBS | AL_GIVES_EMBEDDINGS | AL_GIVES_MC | AL_GIVES_HEAD | AL_GIVES_OOF | AL_GIVES_REFIT,
    .params = linear_params,
    .check = check_linear,
    .settings = al_model_input_settings,
    .files = {"features.frozen"},
    .open = open_linear,
    .fit = fit_linear,
    .predict = predict_linear,
    .head = head_of_linear,
    .cross_validate = cross_validate_linear,
    .passes = passes_of_linear,
    .weights_hash = weights_of_linear,
    .l2 = l2_of_linear,
    .notes = notes_of_linear,
    .free = free_linear,
};
