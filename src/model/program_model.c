/* exec: a user's program as a model (docs/exec.md is the protocol).
 *
 * One call fits and leaves what it likes in the folder `model`, later calls predict. Rows come as `features` says, as
 * for `linear`. A fit sees the labelled rows and the hold-out, a prediction the rows that are asked for; neither is
 * told which rows of the dataset they are. What comes back is checked number by number. */
#include "model/frozen.h"
#include "model/model.h"

#include "base/command.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/npy.h"
#include "base/npy_view.h"
#include "base/scratch.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_OUTPUT = 1 << 20 };
static const double off_one = 1e-3; /* by how much a row of probabilities may miss a sum of 1 */

static const al_param exec_params[] = {
    AL_COMMAND_PARAMS("seconds a call"),
    {.key = "features",
     .type = AL_PARAM_ANY,
     .fallback = "null",
     .help = "the rows it gets: tfidf, pixels, columns, {tfidf: {options}} or {frozen: WEIGHTS, ..} (null: by kind)"},
    {.key = "embeddings",
     .type = AL_PARAM_BOOL,
     .fallback = "false",
     .help = "it writes embeddings.npy beside probs.npy"},
    AL_ANY_MODEL_PARAMS,
    {0}};

struct al_model {
  al_model_source source;
  json_t *params, *files; /* files: digests at the time it was opened */
  al_features *input;
  char weights[33];
  bool embeds;
  al_scratch scratch; /* of the last fit */
  uint32_t round;
};

static void free_exec(al_model *model) {
  if (model == NULL) return;
  al_scratch_close(&model->scratch);
  al_features_free(model->input);
  json_decref(model->params);
  json_decref(model->files);
  free(model);
}

static al_status check_exec(const json_t *params, al_kind kind, const char *base, const char *where) {
  al_status status = al_command_check(params, where);
  return status == AL_OK ? al_model_input_check(json_object_get(params, "features"), kind, base, where) : status;
}

/* The command's words stay what they are; what the files among them hold counts too. */
static al_status settings_of_exec(json_t *nondefault, const char *base) {
  al_status status;
  json_t *contents = json_object(), *frozen = NULL;
  const json_t *features = json_object_get(nondefault, "features");
  AL_TRY(al_command_files(contents, nondefault, base, "exec"));
  json_object_set(nondefault, "contents", contents);
  if (!al_frozen_given(features)) goto done;
  AL_TRY(al_frozen_settings(&frozen, features, base));
  json_object_set_new(nondefault, "features", frozen);
done:
  json_decref(contents);
  return status;
}

static al_status open_exec(al_model **out, const json_t *params, const al_model_source *source) {
  al_status status;
  al_model *model = NULL;
  *out = NULL;
  AL_TRY(AL_NEW(&model, 1));
  model->source = *source;
  model->params = json_deep_copy(params);
  model->files = json_object();
  model->embeds = al_params_bool(params, "embeddings");
  AL_TRY(al_command_files(model->files, params, source->base, source->where));
  AL_TRY(al_model_input_open(&model->input, model->weights, json_object_get(params, "features"), source));
  *out = model;
  model = NULL;
done:
  free_exec(model);
  return status;
}

/* The named rows as `name` in the folder. */
static al_status write_rows(const al_model *model, const char *name, const int32_t *rows, size_t n) {
  al_subset subset = {0};
  al_view view;
  al_status status = al_view_take(&view, &model->input->view, rows, n, &subset);
  if (status == AL_OK) status = al_npy_write_view(model->scratch.path, name, &view);
  al_subset_free(&subset);
  return status;
}

static al_status call(al_model *model, const char *action, size_t rows, size_t holdout, uint64_t seed) {
  const al_view *view = &model->input->view;
  char *output = NULL;
  size_t size = 0;
  json_t *facts = json_pack("{s:i,s:s,s:I,s:I,s:I,s:I,s:I,s:s,s:I,s:O}", "protocol", 1, "action", action, "round",
                            (json_int_t)model->round, "seed", (json_int_t)(seed >> 11), "classes",
                            (json_int_t)model->source.dataset->classes, "rows", (json_int_t)rows, "holdout",
                            (json_int_t)holdout, "format", view->kind == AL_VIEW_CSR ? "csr" : "dense", "columns",
                            (json_int_t)view->cols, "options", json_object_get(model->params, "options"));
  if (facts == NULL) return al_fail(AL_ENVIRONMENT, "out of memory");
  al_status status = al_json_write(model->scratch.path, "params.json", facts);
  if (status == AL_OK) {
    status =
        al_command_run(&output, &size, model->params, model->source.base, model->scratch.path, MOST_OUTPUT, "exec");
    if (status != AL_OK) (void)al_context(status, "exec: %s", action);
  }
  json_decref(facts);
  free(output);
  return status;
}

static al_status fit_exec(al_model *model, const al_training *training) {
  al_status status;
  char *folder = NULL;
  size_t n = training->n, held = training->holdout;
  al_stream_key key = {.seed = model->source.seed,
                       .purpose = "fit",
                       .dataset = model->source.dataset->name,
                       .replicate = model->source.replicate,
                       .round = training->round,
                       .index = training->member};
  AL_TRY(al_command_unchanged(model->files, model->params, model->source.base, "exec"));
  al_scratch_close(&model->scratch); /* a fit depends on nothing that an earlier one left */
  model->scratch = (al_scratch){0};
  AL_TRY(al_scratch_open(&model->scratch, "model"));
  AL_TRY(al_format(&folder, "%s/model", model->scratch.path));
  AL_TRY(al_folder_make(folder));
  model->round = training->round;
  AL_TRY(write_rows(model, "rows", training->rows, n));
  AL_TRY(al_npy_write_in(model->scratch.path, "labels", AL_NPY_I32, training->classes, &n, 1));
  if (held != 0) {
    AL_TRY(write_rows(model, "holdout", training->holdout_rows, held));
    AL_TRY(al_npy_write_in(model->scratch.path, "holdout_labels", AL_NPY_I32, training->holdout_classes, &held, 1));
  }
  AL_TRY(call(model, "fit", n, held, al_rng_seed(&key)));
done:
  free(folder);
  return status;
}

static al_status forget(const al_model *model, const char *name) {
  char *path = NULL;
  al_status status = al_format(&path, "%s/%s", model->scratch.path, name);
  if (status == AL_OK && unlink(path) != 0 && errno != ENOENT) status = al_fail_errno("cannot remove %s", path);
  free(path);
  return status;
}

/* A matrix that the program wrote: n rows, `cols` columns unless that is 0, all finite. */
static al_status read_matrix(al_npy *out, const al_model *model, const char *name, size_t n, size_t cols) {
  al_status status;
  char *path = NULL, shown[64];
  snprintf(shown, sizeof shown, "exec: %s", name);
  AL_TRY(al_format(&path, "%s/%s", model->scratch.path, name));
  if (!al_file_exists(path)) {
    status = al_fail(AL_BAD_INPUT, "%s: the program did not write it", shown);
    goto done;
  }
  status = al_npy_read(out, path);
  if (status == AL_OK) status = al_npy_to_f32(out, shown);
  if (status != AL_OK) goto done;
  if (out->dims != 2 || out->shape[0] != n || (cols != 0 && out->shape[1] != cols) || out->shape[1] == 0) {
    status = al_fail(AL_BAD_INPUT, "%s: %zu rows of %s%zu columns are wanted", shown, n, cols == 0 ? "at least " : "",
                     cols == 0 ? (size_t)1 : cols);
    goto done;
  }
  const float *values = out->data;
  for (size_t i = 0; i < out->count; i++)
    if (!isfinite(values[i])) {
      status = al_fail(AL_BAD_INPUT, "%s: row %zu is not finite", shown, i / out->shape[1]);
      break;
    }
done:
  free(path);
  return status;
}

static al_status check_probs(const float *probs, size_t n, size_t classes) {
  for (size_t i = 0; i < n; i++) {
    double sum = 0.0;
    for (size_t c = 0; c < classes; c++) {
      if (probs[i * classes + c] < 0.0F)
        return al_fail(AL_BAD_INPUT, "exec: probs.npy: row %zu has a negative probability", i);
      sum += (double)probs[i * classes + c];
    }
    if (fabs(sum - 1.0) > off_one) return al_fail(AL_BAD_INPUT, "exec: probs.npy: row %zu sums to %g", i, sum);
  }
  return AL_OK;
}

/* What lies in the folder from the call before, links of the program's own making included. */
static const char *const of_a_call[] = {
    "params.json",         "probs.npy",        "embeddings.npy",    "rows.npy",    "rows_indptr.npy",
    "rows_indices.npy",    "rows_data.npy",    "labels.npy",        "holdout.npy", "holdout_indptr.npy",
    "holdout_indices.npy", "holdout_data.npy", "holdout_labels.npy"};

static al_status predict_exec(al_model *model, const int32_t *rows, size_t n, const al_prediction *out) {
  al_status status = AL_OK;
  size_t classes = model->source.dataset->classes;
  al_npy probs = {0}, h = {0};
  al_stream_key key = {.seed = model->source.seed,
                       .purpose = "predict",
                       .dataset = model->source.dataset->name,
                       .replicate = model->source.replicate,
                       .round = model->round};
  if (n == 0) {
    if (out->h != NULL) *out->h = al_view_dense(out->subset->values, 0, 1);
    return AL_OK;
  }
  for (size_t i = 0; i < sizeof of_a_call / sizeof *of_a_call; i++) AL_TRY(forget(model, of_a_call[i]));
  AL_TRY(write_rows(model, "rows", rows, n));
  AL_TRY(call(model, "predict", n, 0, al_rng_seed(&key)));
  AL_TRY(read_matrix(&probs, model, "probs.npy", n, classes));
  AL_TRY(check_probs(probs.data, n, classes));
  const float *p = probs.data;
  if (out->probs != NULL) memcpy(out->probs, p, n * classes * sizeof *p);
  for (size_t i = 0; out->logits != NULL && i < n * classes; i++) out->logits[i] = p[i] > 0.0F ? logf(p[i]) : -INFINITY;
  if (out->h != NULL) {
    AL_TRY(read_matrix(&h, model, "embeddings.npy", n, 0));
    size_t width = h.shape[1];
    AL_TRY(al_grow(&out->subset->values, &out->subset->value_capacity, n * width + 1, sizeof(float)));
    memcpy(out->subset->values, h.data, n * width * sizeof(float));
    *out->h = al_view_dense(out->subset->values, n, width);
  }
done:
  al_npy_free(&probs);
  al_npy_free(&h);
  return status;
}

static unsigned gives_of_exec(const json_t *params, const char *base) {
  (void)base;
  return AL_GIVES_PROBS | (al_params_bool(params, "embeddings") ? AL_GIVES_EMBEDDINGS : 0U);
}

static const char *weights_of_exec(const al_model *model) { return model->weights[0] == '\0' ? NULL : model->weights; }

const al_model_type al_model_exec = {
    .name = "exec",
    .summary = "a program of yours, over .npy files: docs/exec.md",
    .citation = "",
    .gives = AL_GIVES_PROBS | AL_GIVES_EMBEDDINGS,
    .params = exec_params,
    .check = check_exec,
    .settings = settings_of_exec,
    .files = {"command", "files", "features.frozen"},
    .open = open_exec,
    .fit = fit_exec,
    .predict = predict_exec,
    .gives_of = gives_of_exec,
    .weights_hash = weights_of_exec,
    .free = free_exec,
};
