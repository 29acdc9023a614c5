/* torchscript: a module of the user's own as an encoder, with alab's head on its h, trained each round as bert and
 * resnet are (docs/models.md has the signature). It starts from the file's own weights; the head is drawn. */
#include "model/script_file.h"
#include "model/torch_batch.h"
#include "model/torch_train.h"

#include "base/log.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_TOKENS = 4096 };
static const double most_apart = 1e-3; /* of the largest |h|: what rounding does not explain */

extern const al_model_type al_model_torchscript;

static const al_param train_params[] = {
    AL_TRAIN_PARAMS("0.001", "20", "0.1", "dropout before the head"), AL_TRAIN_ENCODER_PARAMS, {0}};

static const al_param script_params[] = {
    {.key = "file",
     .type = AL_PARAM_STRING,
     .help = "what torch.jit.script(model).save wrote: run only what you trust"},
    {.key = "inputs",
     .type = AL_PARAM_CHOICE,
     .choices = "tokens|pixels",
     .help = "what forward gets: ids and mask of texts, or images"},
    {.key = "max_tokens",
     .type = AL_PARAM_INT,
     .fallback = "null",
     .min = 3,
     .max = MOST_TOKENS,
     .help = "inputs: tokens: WordPieces read of a text (null: 128)"},
    {.key = "mc", .type = AL_PARAM_MAP, .fallback = "{}", .table = al_mc_network_params, .help = "stochastic passes"},
    {.key = "train", .type = AL_PARAM_MAP, .fallback = "{}", .table = train_params, .help = "how it is trained"},
    AL_DEVICE_PARAM,
    AL_ANY_MODEL_PARAMS,
    {0}};

struct al_model {
  al_trainer trainer; /* first: al_trained_fit and its kin read no more than this */
  char *file;         /* as given; for messages */
  al_text_feed texts;
  al_image_feed images;
};

static void free_script(al_model *model) {
  if (model == NULL) return;
  al_trainer_free(&model->trainer);
  al_text_feed_free(&model->texts);
  al_image_feed_free(&model->images);
  free(model->file);
  free(model);
}

static bool reads_tokens(const json_t *params) { return strcmp(al_params_string(params, "inputs"), "tokens") == 0; }

static al_status check_script(const json_t *params, al_kind kind, const char *base, const char *where) {
  (void)base; /* the file itself is looked at for the cell's hash: a bad one ends the study */
  bool tokens = reads_tokens(params), limited = !json_is_null(json_object_get(params, "max_tokens"));
  if (!tokens && limited) return al_fail(AL_BAD_INPUT, "%s.max_tokens: images have no tokens", where);
  if (kind != (tokens ? AL_TEXT : AL_IMAGE))
    return al_fail(AL_BAD_INPUT, "%s.inputs: %s", where,
                   tokens ? "tokens is for text only" : "pixels is for images only");
  return al_trainer_check(params, kind, where);
}

static al_status fill_texts(void *context, const int32_t *rows, size_t n, al_torch_batch *batch) {
  return al_text_batch(&((al_model *)context)->texts, rows, n, batch);
}

static al_status fill_images(void *context, const int32_t *rows, size_t n, al_torch_batch *batch) {
  al_model *model = context;
  return al_image_batch(&model->images, &model->trainer, rows, n, batch);
}

/* The rows that the module will see, and in the configuration what a trial of it needs to know of them. */
static al_status open_inputs(al_model *model, al_torch_config *config, const json_t *params) {
  al_status status;
  al_trainer *t = &model->trainer;
  const al_dataset *d = t->source.dataset;
  const json_t *limit = json_object_get(params, "max_tokens");
  t->context = model;
  if (!reads_tokens(params)) {
    t->fill = fill_images;
    model->images.channels = config->channels = d->channels;
    config->height = d->height;
    config->width_of_image = d->width;
    for (size_t c = 0; c < 3; c++) config->mean[c] = config->deviation[c] = 0.5;
    return AL_OK;
  }
  t->fill = fill_texts;
  config->script_tokens = 1;
  AL_TRY(al_tokens_open(&model->texts.tokens, d, json_is_null(limit) ? 128 : (size_t)json_integer_value(limit)));
  const al_tokens *tokens = model->texts.tokens;
  t->length_begin = tokens->begin;
  for (size_t i = 0; i < tokens->rows; i++) {
    size_t length = (size_t)(tokens->begin[i + 1] - tokens->begin[i]);
    if (length > config->positions) config->positions = length;
  }
  for (int64_t i = 0; i < tokens->begin[tokens->rows]; i++)
    if ((size_t)tokens->ids[i] >= config->vocabulary) config->vocabulary = (size_t)tokens->ids[i] + 1;
done:
  return status;
}

/* The head's only: as torch.nn.Linear's weights, and a bias of 0. */
static void draw_head(const al_torch_tensor *tensor, al_rng rng, float *values, void *context) {
  const al_trainer *t = context;
  if (strncmp(tensor->name, t->head, strlen(t->head)) != 0 || tensor->dims != 2) return;
  double bound = 1.0 / sqrt((double)tensor->shape[1]);
  for (size_t i = 0; i < tensor->count; i++) values[i] = (float)(bound * (2.0 * al_rng_uniform(&rng) - 1.0));
}

/* Every start has the file's values (what the network holds now) everywhere but in the head. */
static al_status start_script(al_trainer *t) {
  al_status status;
  float *file = NULL;
  size_t at = 0;
  al_torch_tensor tensor;
  AL_TRY(al_trainer_weights(t, &file, NULL));
  AL_TRY(al_trainer_start(t, NULL, AL_MISSING_ERROR, draw_head, NULL, t));
  for (size_t i = 0; i < t->api->tensors(t->net); i++, at += tensor.count) {
    AL_TRY(al_torch_check(t->api, t->api->tensor(t->net, i, &tensor), "tensor"));
    if (strncmp(tensor.name, t->head, strlen(t->head)) == 0) continue;
    memcpy(t->start + at, file + at, tensor.count * sizeof *file);
    for (size_t m = 1; t->starts != NULL && m < t->passes; m++)
      memcpy(t->starts[m] + at, file + at, tensor.count * sizeof *file);
  }
done:
  free(file);
  return status;
}

static void announce(const al_model *model, const al_torch_script *facts) {
  if (!model->trainer.source.announce) return;
  if (facts->parameters == 0)
    al_log_notice("%s: has no parameters to train (they are frozen, or constants): only the head is trained",
                  model->file);
  if (facts->apart > most_apart)
    al_log_notice("%s: what stands beside a row in its batch changes its h (by %.2g of the largest): %s", model->file,
                  facts->apart, model->texts.tokens == NULL ? "does forward mix rows?" : "does forward honour mask?");
}

static al_status open_script(al_model **out, const json_t *params, const al_model_source *source) {
  al_status status;
  al_model *model = NULL;
  al_script_facts file = {0};
  al_torch_script facts = {0};
  char *bytes = NULL;
  al_torch_config config = {.kind = AL_TORCH_SCRIPT,
                            .classes = source->dataset->classes,
                            .device = al_torch_device_of(al_params_string(params, "device"))};
  *out = NULL;
  AL_TRY(AL_NEW(&model, 1));
  al_trainer *t = &model->trainer;
  t->source = *source;
  t->head = "(head).";
  t->classes = config.classes;
  AL_TRY(al_copy_string(&model->file, al_params_string(params, "file")));
  AL_TRY(al_script_open(&file, &bytes, &config.script_size, model->file, source->base));
  memcpy(t->weights, file.digest, sizeof t->weights);
  AL_TRY(al_trainer_configure(t, params, &config));
  AL_TRY(open_inputs(model, &config, params));
  AL_TRY(al_torch_load(&t->api));
  AL_TRY(al_torch_device(t->api, config.device, source->where, t->device, sizeof t->device));
  config.script = bytes;
  if (t->api->create(&t->net, &config) != 0) {
    status = al_fail(AL_BAD_INPUT, "%s: %.600s", model->file, t->api->message());
    goto done;
  }
  AL_TRY(al_torch_check(t->api, t->api->script_facts(t->net, &facts), "the network"));
  t->width = facts.width;
  AL_TRY(start_script(t));
  announce(model, &facts);
  *out = model;
  model = NULL;
done:
  free(bytes);
  free_script(model);
  return status;
}

static al_status settings_of_script(json_t *nondefault, const char *base) {
  al_script_facts file;
  const char *given = json_string_value(json_object_get(nondefault, "file"));
  al_status status = al_script_open(&file, NULL, NULL, given, base);
  if (status == AL_OK && json_object_set_new(nondefault, "file", json_string(file.digest)) != 0)
    status = al_fail(AL_ENVIRONMENT, "out of memory");
  return status;
}

static al_status fit_script(al_model *model, const al_training *training) {
  al_status status = al_trainer_fit(&model->trainer, training);
  return status == AL_OK ? AL_OK : al_context(status, "%s", model->file);
}

static al_status predict_script(al_model *model, const int32_t *rows, size_t n, const al_prediction *out) {
  al_status status = al_trainer_predict(&model->trainer, rows, n, out);
  return status == AL_OK ? AL_OK : al_context(status, "%s", model->file);
}

/* Stochastic passes are also those of the file's own Dropout layers. A bad file is settings_of_script's to tell. */
static unsigned gives_of_script(const json_t *params, const char *base) {
  al_script_facts file;
  unsigned all = al_model_torchscript.gives, left = al_trainer_gives(all, params);
  if (left == all) return all;
  return al_script_open(&file, NULL, NULL, al_params_string(params, "file"), base) == AL_OK && file.dropout ? all
                                                                                                            : left;
}

const al_model_type al_model_torchscript = {
    .name = "torchscript",
    .summary = "a TorchScript module of yours with a classification head, fine-tuned: docs/models.md",
    .citation = "",
    .fine_tuned = true,
    .gives = AL_GIVES_PROBS | AL_GIVES_EMBEDDINGS | AL_GIVES_MC | AL_GIVES_HEAD,
    .params = script_params,
    .check = check_script,
    .settings = settings_of_script,
    .files = {"file"},
    .open = open_script,
    .fit = fit_script,
    .predict = predict_script,
    .head = al_trained_head,
    .passes = al_trained_passes,
    .weights_hash = al_trained_weights,
    .device = al_trained_device,
    .gives_of = gives_of_script,
    .notes = al_trained_notes,
    .chained = al_trained_chained,
    .save = al_trained_save,
    .load = al_trained_load,
    .free = free_script,
};
