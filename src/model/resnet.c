/* resnet: ResNet-18 and -50 (He et al. 2016) of any width and number of stages, with stems for small images, trained
 * whole each round from a cold start. */
#include "model/resnet_shape.h"
#include "model/torch_batch.h"
#include "model/torch_train.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

extern const al_model_type al_model_resnet;

static const al_param train_params[] = {
    AL_TRAIN_PARAMS("0.003", "20", "0.2", "dropout before the head"), AL_TRAIN_ENCODER_PARAMS, {0}};

static const al_param resnet_params[] = {
    {.key = "depth", .type = AL_PARAM_INT, .fallback = "18", .min = 18, .max = 50, .help = "layers: 18 or 50"},
    {.key = "width",
     .type = AL_PARAM_INT,
     .fallback = "64",
     .min = 4,
     .max = 256,
     .help = "channels of the first stage"},
    {.key = "stages", .type = AL_PARAM_INT, .fallback = "4", .min = 1, .max = 4, .help = "stages of blocks"},
    {.key = "stem",
     .type = AL_PARAM_CHOICE,
     .fallback = "\"imagenet\"",
     .choices = "imagenet|3x3s1|3x3s2",
     .help = "first convolution"},
    {.key = "weights",
     .type = AL_PARAM_STRING,
     .help = "none (random start, said so), a catalogue name, or a .safetensors file"},
    {.key = "missing",
     .type = AL_PARAM_CHOICE,
     .fallback = "\"error\"",
     .choices = "error|random",
     .help = "tensors the file lacks"},
    {.key = "mc", .type = AL_PARAM_MAP, .fallback = "{}", .table = al_mc_network_params, .help = "stochastic passes"},
    {.key = "train", .type = AL_PARAM_MAP, .fallback = "{}", .table = train_params, .help = "how it is trained"},
    AL_DEVICE_PARAM,
    AL_ANY_MODEL_PARAMS,
    {0}};

struct al_model {
  al_trainer trainer;   /* first: al_trained_fit and its kin read no more than this */
  al_image_feed images; /* 3 channels with weights, else the data's */
};

static void free_resnet(al_model *model) {
  if (model == NULL) return;
  al_trainer_free(&model->trainer);
  al_image_feed_free(&model->images);
  free(model);
}

static al_status check_resnet(const json_t *params, al_kind kind, const char *base, const char *where) {
  (void)base;
  int64_t depth = al_params_int(params, "depth");
  if (depth != 18 && depth != 50) return al_fail(AL_BAD_INPUT, "%s.depth: give 18 or 50", where);
  if (kind == AL_IMAGE) return al_trainer_check(params, kind, where);
  return al_fail(AL_BAD_INPUT, "%s: resnet sees images only", where);
}

static void draw_resnet(const al_torch_tensor *tensor, al_rng rng, float *values, void *context) {
  (void)context;
  al_resnet_draw(tensor, rng, values);
}

static al_status load_resnet(const al_weights *weights, const al_torch_tensor *tensor, float *values, char used[200],
                             void *context) {
  size_t shape[4], dims;
  bool found = false;
  (void)context;
  if (!al_safetensors_shape(&weights->file, tensor->name, shape, &dims)) return AL_OK;
  if (strncmp(tensor->name, "fc.", 3) == 0 && shape[0] != tensor->shape[0]) return AL_OK; /* of other classes */
  snprintf(used, 200, "%s", tensor->name);
  return al_safetensors_read(&weights->file, tensor->name, values, tensor->count, &found);
}

static al_status fill_images(void *context, const int32_t *rows, size_t n, al_torch_batch *batch) {
  al_model *model = context;
  return al_image_batch(&model->images, &model->trainer, rows, n, batch);
}

/* The network of a configuration whose channels are set, and its starting values. */
static al_status make_resnet(al_model *model, const al_torch_config *config, const al_weights *weights,
                             al_missing missing) {
  al_status status;
  al_trainer *t = &model->trainer;
  const al_dataset *d = t->source.dataset;
  if (d->channels != 1 && d->channels != 3)
    return al_fail(AL_BAD_INPUT, "%s: resnet sees images of 1 or 3 channels", t->source.where);
  if (config->channels < d->channels)
    return al_fail(AL_BAD_INPUT, "%s: the weights are of a grey network and the images have colours", t->source.where);
  t->fill = fill_images;
  t->context = model;
  t->head = "fc.";
  model->images.channels = config->channels;
  t->classes = config->classes;
  t->width = (config->stage_width << (config->stages - 1)) * (config->depth == 50 ? 4 : 1);
  AL_TRY(al_trainer_create(t, config));
  AL_TRY(al_trainer_start(t, weights, missing, draw_resnet, load_resnet, model));
done:
  return status;
}

static al_status open_resnet(al_model **out, const json_t *params, const al_model_source *source) {
  al_status status;
  al_model *model = NULL;
  al_weights weights = {0};
  al_resnet_shape shape = {0};
  bool none = false;
  *out = NULL;
  AL_TRY(AL_NEW(&model, 1));
  model->trainer.source = *source;
  AL_TRY(al_weights_of_params(&weights, &none, params, source));
  if (!none) AL_TRY(al_weights_resnet(&weights, &shape));
  al_torch_config config =
      al_resnet_config((size_t)al_params_int(params, "depth"), (size_t)al_params_int(params, "width"),
                       (size_t)al_params_int(params, "stages"), al_params_string(params, "stem"),
                       none ? source->dataset->channels : shape.channels, source->dataset->classes);
  if (!none && (config.depth != shape.depth || config.stage_width != shape.width)) {
    status = al_fail(AL_BAD_INPUT, "%s: the weights are of depth %zu and width %zu; give depth and width so",
                     source->where, shape.depth, shape.width);
    goto done;
  }
  if (!none) { /* as they were trained */
    memcpy(config.mean, shape.mean, sizeof config.mean);
    memcpy(config.deviation, shape.deviation, sizeof config.deviation);
  }
  config.device = al_torch_device_of(al_params_string(params, "device"));
  AL_TRY(al_trainer_configure(&model->trainer, params, &config));
  bool random = strcmp(al_params_string(params, "missing"), "random") == 0;
  AL_TRY(make_resnet(model, &config, none ? NULL : &weights, random ? AL_MISSING_RANDOM : AL_MISSING_ERROR));
  *out = model;
  model = NULL;
done:
  al_weights_close(&weights);
  free_resnet(model);
  return status;
}

al_status al_resnet_encoder(al_model **out, const al_weights *weights, size_t stage, int device,
                            const al_model_source *source) {
  al_status status;
  al_model *model = NULL;
  al_resnet_shape shape;
  *out = NULL;
  AL_TRY(AL_NEW(&model, 1));
  AL_TRY(al_weights_resnet(weights, &shape));
  model->trainer.source = *source;
  model->trainer.source.announce = false; /* that the head is missing is how it should be */
  model->trainer.batch_size = 32;
  al_torch_config config = {.kind = AL_TORCH_RESNET,
                            .classes = source->dataset->classes,
                            .channels = shape.channels,
                            .depth = shape.depth,
                            .stages = stage,
                            .stage_width = shape.width,
                            .stem = shape.stem,
                            .device = device};
  memcpy(config.mean, shape.mean, sizeof config.mean);
  memcpy(config.deviation, shape.deviation, sizeof config.deviation);
  AL_TRY(make_resnet(model, &config, weights, AL_MISSING_HEAD));
  AL_TRY(al_trainer_reset(&model->trainer));
  *out = model;
  model = NULL;
done:
  free_resnet(model);
  return status;
}

static unsigned gives_of_resnet(const json_t *params, const char *base) {
  (void)base;
  return al_trainer_gives(al_model_resnet.gives, params);
}

const al_model_type al_model_resnet = {
    .name = "resnet",
    .summary = "ResNet-18 or -50 of any width, with stems for 28 and 32 pixels, trained whole",
    .citation = "He, Zhang, Ren and Sun 2016",
    .fine_tuned = true,
    .gives = AL_GIVES_PROBS | AL_GIVES_EMBEDDINGS | AL_GIVES_MC | AL_GIVES_HEAD,
    .params = resnet_params,
    .check = check_resnet,
    .settings = al_weights_settings,
    .files = {"weights"},
    .open = open_resnet,
    .fit = al_trained_fit,
    .predict = al_trained_predict,
    .head = al_trained_head,
    .passes = al_trained_passes,
    .weights_hash = al_trained_weights,
    .device = al_trained_device,
    .gives_of = gives_of_resnet,
    .notes = al_trained_notes,
    .chained = al_trained_chained,
    .save = al_trained_save,
    .load = al_trained_load,
    .free = free_resnet,
};
