/* resnet: ResNet-18 (He et al. 2016) of any width and number of stages, with stems for small images, trained whole each
 * round from a cold start. */
#include "model/torch_train.h"

#include "base/memory.h"
#include "model/safetensors.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const al_param train_params[] = {AL_TRAIN_PARAMS("0.003", "0.2", "dropout before the head"), {0}};

static const al_param resnet_params[] = {
    {.key = "depth", .type = AL_PARAM_INT, .fallback = "18", .min = 18, .max = 18, .help = "layers"},
    {.key = "width",
     .type = AL_PARAM_INT,
     .fallback = "64",
     .min = 4,
     .max = 256,
     .help = "channels of the first stage"},
    {.key = "stages", .type = AL_PARAM_INT, .fallback = "4", .min = 1, .max = 4, .help = "stages of two blocks"},
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
    {.key = "mc", .type = AL_PARAM_MAP, .fallback = "{}", .table = al_mc_dropout_params, .help = "stochastic passes"},
    {.key = "train", .type = AL_PARAM_MAP, .fallback = "{}", .table = train_params, .help = "how it is trained"},
    {0}};

struct al_model {
  al_trainer trainer;
  size_t channels; /* of the network's input: 3 with weights, else the data's */
  uint8_t *pixels; /* of the batch at hand */
  size_t capacity;
  float *head, *bias;
};

static void free_resnet(al_model *model) {
  if (model == NULL) return;
  al_trainer_free(&model->trainer);
  free(model->pixels);
  free(model->head);
  free(model->bias);
  free(model);
}

static al_status check_resnet(const json_t *params, al_kind kind, const char *where) {
  (void)params;
  return kind == AL_IMAGE ? AL_OK : al_fail(AL_BAD_INPUT, "%s: resnet sees images only", where);
}

/* Kaiming normal (fan out) for convolutions, 1 and 0 for norms, uniform 1 / sqrt(in) for the head: torchvision's start.
 */
static void draw_resnet(const al_torch_tensor *tensor, al_rng rng, float *values, void *context) {
  (void)context;
  bool ones =
      tensor->dims == 1 && (strstr(tensor->name, "running_var") != NULL || strstr(tensor->name, ".weight") != NULL);
  double deviation =
      tensor->dims == 4 ? sqrt(2.0 / (double)(tensor->shape[0] * tensor->shape[2] * tensor->shape[3])) : 0.0;
  double bound = tensor->dims == 2 ? 1.0 / sqrt((double)tensor->shape[1]) : 0.0;
  for (size_t i = 0; i < tensor->count; i++) {
    if (tensor->dims == 4)
      values[i] = (float)(deviation * al_rng_normal(&rng));
    else if (tensor->dims == 2)
      values[i] = (float)(bound * (2.0 * al_rng_uniform(&rng) - 1.0));
    else
      values[i] = ones ? 1.0F : 0.0F;
  }
}

static al_status load_resnet(const void *file, const al_torch_tensor *tensor, float *values, bool *found,
                             void *context) {
  (void)context;
  return al_safetensors_read(file, tensor->name, values, tensor->count, found);
}

static al_status fill_images(void *context, const int32_t *rows, size_t n, al_torch_batch *batch) {
  al_model *model = context;
  const al_dataset *d = model->trainer.source.dataset;
  size_t plane = d->height * d->width, own = d->channels * plane, size = model->channels * plane;
  al_status status = al_grow(&model->pixels, &model->capacity, n * size, 1);
  if (status != AL_OK) return status;
  for (size_t i = 0; i < n; i++)
    for (size_t c = 0; c < model->channels; c++) /* grey is repeated */
      memcpy(model->pixels + i * size + c * plane, d->pixels + (size_t)rows[i] * own + (c % d->channels) * plane,
             plane);
  *batch = (al_torch_batch){.n = n, .pixels = model->pixels, .height = d->height, .width = d->width};
  return AL_OK;
}

static al_status open_resnet(al_model **out, const json_t *params, const al_model_source *source) {
  static const double imagenet_mean[3] = {0.485, 0.456, 0.406}, imagenet_deviation[3] = {0.229, 0.224, 0.225};
  al_status status;
  al_model *model = NULL;
  char path[PATH_MAX];
  bool none = false;
  const char *stem = al_params_string(params, "stem");
  *out = NULL;
  AL_TRY(AL_NEW(&model, 1));
  al_trainer *t = &model->trainer;
  t->source = *source;
  t->fill = fill_images;
  t->context = model;
  AL_TRY(al_weights_path(al_params_string(params, "weights"), path, sizeof path, &none));
  if (source->dataset->channels != 1 && source->dataset->channels != 3) {
    status = al_fail(AL_BAD_INPUT, "%s: resnet sees images of 1 or 3 channels", source->where);
    goto done;
  }
  model->channels = none ? source->dataset->channels : 3;
  al_torch_config config = {.kind = AL_TORCH_RESNET,
                            .classes = source->dataset->classes,
                            .channels = model->channels,
                            .stages = (size_t)al_params_int(params, "stages"),
                            .stage_width = (size_t)al_params_int(params, "width"),
                            .stem = strcmp(stem, "3x3s1") == 0   ? AL_STEM_3X3S1
                                    : strcmp(stem, "3x3s2") == 0 ? AL_STEM_3X3S2
                                                                 : AL_STEM_IMAGENET};
  for (size_t c = 0; c < 3; c++) { /* with weights as they were trained; else centred on mid-grey, whatever the data */
    config.mean[c] = none ? 0.5 : imagenet_mean[c];
    config.deviation[c] = none ? 0.5 : imagenet_deviation[c];
  }
  al_trainer_configure(t, json_object_get(params, "train"), json_object_get(params, "mc"), &config);
  t->classes = config.classes;
  t->width = config.stage_width << (config.stages - 1);
  AL_TRY(AL_NEW(&model->head, t->classes * t->width));
  AL_TRY(AL_NEW(&model->bias, t->classes));
  AL_TRY(al_torch_load(&t->api));
  AL_TRY(al_torch_check(t->api, t->api->create(&t->net, &config), "making the network"));
  AL_TRY(al_trainer_start(t, none ? NULL : path, strcmp(al_params_string(params, "missing"), "random") == 0,
                          draw_resnet, load_resnet, model));
  *out = model;
  model = NULL;
done:
  free_resnet(model);
  return status;
}

static al_status fit_resnet(al_model *model, const al_training *training) {
  return al_trainer_fit(&model->trainer, training);
}

static al_status predict_resnet(al_model *model, const int32_t *rows, size_t n, const al_prediction *out) {
  return al_trainer_predict(&model->trainer, rows, n, out);
}

static al_status head_of_resnet(al_model *model, const float **weights, const float **bias, size_t *width) {
  *weights = model->head;
  *bias = model->bias;
  *width = model->trainer.width;
  return al_trainer_head(&model->trainer, "fc", model->head, model->bias);
}

static size_t passes_of_resnet(const al_model *model) { return model->trainer.passes; }
static const char *weights_of_resnet(const al_model *model) {
  return model->trainer.weights[0] == '\0' ? NULL : model->trainer.weights;
}

const al_model_type al_model_resnet = {
    .name = "resnet",
    .summary = "ResNet-18 of any width, with stems for 28 and 32 pixels, trained whole",
    .citation = "He, Zhang, Ren and Sun 2016",
    .fine_tuned = true,
    .gives = AL_GIVES_PROBS | AL_GIVES_EMBEDDINGS | AL_GIVES_MC | AL_GIVES_HEAD,
    .params = resnet_params,
    .check = check_resnet,
    .open = open_resnet,
    .fit = fit_resnet,
    .predict = predict_resnet,
    .head = head_of_resnet,
    .passes = passes_of_resnet,
    .weights_hash = weights_of_resnet,
    .free = free_resnet,
};
