/* ResNet's pretext: which of four quarter turns an image was given (Gidaris, Singh and Komodakis 2018, RotNet). Each
 * image of a batch is seen in one turn drawn for it. The network sees three channels with ImageNet's mean and
 * deviation, as `weights: FILE` will show it the data. */
#include "model/pretrain_private.h"

#include "base/memory.h"
#include "model/resnet_shape.h"

#include <stdlib.h>
#include <string.h>

enum { TURNS = 4 };
static const double imagenet_mean[3] = {0.485, 0.456, 0.406}, imagenet_deviation[3] = {0.229, 0.224, 0.225};

struct al_pretext {
  const al_recipe *recipe;
  const al_corpus *corpus;
  const al_torch_api *api;
  al_torch_net *net;
  int32_t *order, *labels;
  uint8_t *pixels;
  size_t batch, side, epoch;
  double weight;
};

static void close_images(al_pretext *p) {
  if (p == NULL) return;
  free(p->order);
  free(p->labels);
  free(p->pixels);
  free(p);
}

static al_status check_images(const al_pretext *p) {
  const al_corpus *c = p->corpus;
  for (size_t i = 0; i < c->datasets_count; i++) {
    const al_dataset *d = c->datasets[i], *first = c->datasets[0];
    if (d->height != d->width)
      return al_fail(AL_BAD_INPUT, "%s: data[%zu]: rotation needs square images, and these are %zu x %zu",
                     p->recipe->path, i, d->width, d->height);
    if (d->height != first->height)
      return al_fail(AL_BAD_INPUT, "%s: data[%zu]: images of one recipe have one size", p->recipe->path, i);
    if (d->channels != 1 && d->channels != 3)
      return al_fail(AL_BAD_INPUT, "%s: data[%zu]: resnet sees images of 1 or 3 channels", p->recipe->path, i);
  }
  return c->n >= p->batch ? AL_OK : al_fail(AL_BAD_INPUT, "%s: fewer images than a batch", p->recipe->path);
}

static al_status set_start(al_pretext *p) {
  al_status status = AL_OK;
  float *values = NULL;
  al_rng rng = al_recipe_stream(p->recipe, "start", 0);
  for (size_t i = 0; i < p->api->tensors(p->net); i++) {
    al_torch_tensor tensor;
    AL_TRY(al_torch_check(p->api, p->api->tensor(p->net, i, &tensor), "tensor"));
    free(values);
    AL_TRY(AL_NEW(&values, tensor.count));
    al_resnet_draw(&tensor, al_rng_child(&rng, i), values);
    AL_TRY(al_torch_check(p->api, p->api->set(p->net, i, values), "setting a tensor"));
  }
done:
  free(values);
  return status;
}

static al_status open_images(al_pretext **out, const al_recipe *recipe, const al_corpus *corpus,
                             const al_torch_api *api, al_torch_net **net) {
  al_status status;
  al_pretext *p = NULL;
  const json_t *model = al_recipe_get(recipe, "model"), *train = al_recipe_get(recipe, "train");
  *out = NULL;
  AL_TRY(AL_NEW(&p, 1));
  *p = (al_pretext){.recipe = recipe,
                    .corpus = corpus,
                    .api = api,
                    .batch = (size_t)al_params_int(train, "batch"),
                    .side = corpus->datasets[0]->height,
                    .epoch = SIZE_MAX,
                    .weight = al_recipe_objective(recipe, "rotation")};
  AL_TRY(check_images(p));
  AL_TRY(AL_NEW(&p->order, corpus->n));
  AL_TRY(AL_NEW(&p->labels, p->batch));
  AL_TRY(AL_NEW(&p->pixels, p->batch * 3 * p->side * p->side));
  al_torch_config config =
      al_resnet_config(18, (size_t)al_params_int(model, "width"), (size_t)al_params_int(model, "stages"),
                       al_params_string(model, "stem"), 3, TURNS);
  memcpy(config.mean, imagenet_mean, sizeof imagenet_mean); /* what a file without a config.json is taken to expect */
  memcpy(config.deviation, imagenet_deviation, sizeof imagenet_deviation);
  config.device = recipe->device;
  config.dropout = al_params_real(train, "dropout");
  config.weight_decay = al_params_real(train, "weight_decay");
  config.clip = al_params_real(train, "clip");
  AL_TRY(al_torch_check(api, api->create(net, &config), "making the network"));
  p->net = *net;
  AL_TRY(set_start(p));
  *out = p;
  p = NULL;
done:
  close_images(p);
  return status;
}

/* to (side x side) = from turned counter-clockwise by `turns` quarters. */
static void turn(const uint8_t *from, size_t side, unsigned turns, uint8_t *to) {
  size_t last = side - 1;
  for (size_t y = 0; y < side; y++)
    for (size_t x = 0; x < side; x++) {
      size_t at = turns == 0   ? y * side + x
                  : turns == 1 ? x * side + (last - y)
                  : turns == 2 ? (last - y) * side + (last - x)
                               : (last - x) * side + y;
      to[y * side + x] = from[at];
    }
}

static al_status step_images(al_pretext *p, size_t step, double rate, double losses[AL_PRETEXT_LOSSES]) {
  size_t plane = p->side * p->side;
  al_rng rng = al_recipe_stream(p->recipe, "batch", step);
  for (size_t i = 0; i < p->batch; i++) {
    size_t item = al_recipe_item(p->recipe, step * p->batch + i, p->order, p->corpus->n, &p->epoch);
    const al_dataset *d = p->corpus->datasets[p->corpus->dataset_of[item]];
    p->labels[i] = (int32_t)al_rng_below(&rng, TURNS);
    for (size_t c = 0; c < 3; c++) /* grey is repeated */
      turn(d->pixels + ((size_t)p->corpus->row_of[item] * d->channels + c % d->channels) * plane, p->side,
           (unsigned)p->labels[i], p->pixels + (i * 3 + c) * plane);
  }
  al_torch_batch batch = {.n = p->batch, .pixels = p->pixels, .height = p->side, .width = p->side};
  return al_torch_check(p->api, p->api->step(p->net, &batch, p->labels, rate, &losses[3]), "a pretraining step");
}

static bool keeps_images(const char *tensor) { return strncmp(tensor, "fc.", 3) != 0; }

static size_t extras_of_images(const al_pretext *p, al_safetensors_tensor *parts, size_t room) {
  (void)p;
  (void)parts;
  (void)room;
  return 0;
}

const al_pretext_type al_pretext_images = {open_images, step_images, keeps_images, extras_of_images, close_images};
