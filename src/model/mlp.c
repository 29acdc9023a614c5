/* mlp: hidden layers of rectified units on any features that `linear` reads, and a linear layer on top, trained anew
 * each round by AdamW (Rumelhart, Hinton, Williams 1986; Loshchilov and Hutter 2019). On a frozen encoder's features it
 * is the encoder's MLP head. Its embedding is the last hidden layer.
 *
 * How it is trained is model/torch_train.h's, as for bert and resnet; the arithmetic is model/mlp_network.h's, and
 * needs no libtorch. */
#include "model/frozen.h"
#include "model/mlp_network.h"
#include "model/torch_train.h"

#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

extern const al_model_type al_model_mlp;

static const al_param train_params[] = {AL_TRAIN_PARAMS("0.001", "50", "0.1", "dropout rate, after each hidden layer"),
                                        {0}};

static const al_param mlp_params[] = {
    {.key = "features",
     .type = AL_PARAM_ANY,
     .fallback = "null",
     .help = "tfidf, pixels, columns, {tfidf: {options}} or {frozen: WEIGHTS, pooling, stage, max_tokens, device} "
             "(null: by kind of data)"},
    {.key = "hidden", .type = AL_PARAM_INT, .fallback = "128", .min = 1, .max = 16384, .help = "units a hidden layer"},
    {.key = "layers", .type = AL_PARAM_INT, .fallback = "1", .min = 1, .max = 16, .help = "hidden layers"},
    {.key = "mc", .type = AL_PARAM_MAP, .fallback = "{}", .table = al_mc_network_params, .help = "stochastic passes"},
    {.key = "train", .type = AL_PARAM_MAP, .fallback = "{}", .table = train_params, .help = "how it is trained"},
    AL_ANY_MODEL_PARAMS,
    {0}};

struct al_model {
  al_trainer trainer; /* first: al_trained_fit and its kin read no more than this */
  al_features *input;
  char weights[33]; /* hash of the frozen encoder's; "" without one */
  al_view batch;
  al_subset storage;
};

static void free_mlp(al_model *model) {
  if (model == NULL) return;
  al_trainer_free(&model->trainer);
  al_features_free(model->input);
  al_subset_free(&model->storage);
  free(model);
}

static al_status check_mlp(const json_t *params, al_kind kind, const char *base, const char *where) {
  al_status status;
  AL_TRY(al_model_input_check(json_object_get(params, "features"), kind, base, where));
  AL_TRY(al_trainer_check(params, kind, where));
done:
  return status;
}

static al_status fill_rows(void *context, const int32_t *rows, size_t n, al_torch_batch *batch) {
  al_model *model = context;
  al_status status = al_view_take(&model->batch, &model->input->view, rows, n, &model->storage);
  *batch = (al_torch_batch){.n = n, .features = &model->batch};
  return status;
}

/* Uniform: hidden matrices of variance 2 / inputs (He et al. 2015), the last of 2 / (inputs + outputs) (Glorot and
 * Bengio 2010); biases 0. */
static void draw_mlp(const al_torch_tensor *tensor, al_rng rng, float *values, void *context) {
  (void)context;
  if (tensor->dims < 2) {
    memset(values, 0, tensor->count * sizeof *values);
    return;
  }
  bool last = strncmp(tensor->name, "classifier.", 11) == 0;
  double bound = sqrt(6.0 / (double)(last ? tensor->shape[0] + tensor->shape[1] : tensor->shape[0]));
  for (size_t i = 0; i < tensor->count; i++) values[i] = (float)(bound * (2.0 * al_rng_uniform(&rng) - 1.0));
}

static al_status open_mlp(al_model **out, const json_t *params, const al_model_source *source) {
  al_status status;
  al_model *model = NULL;
  al_torch_config config = {.classes = source->dataset->classes};
  *out = NULL;
  AL_TRY(AL_NEW(&model, 1));
  al_trainer *t = &model->trainer;
  t->source = *source;
  t->fill = fill_rows;
  t->context = model;
  t->head = "classifier.";
  t->classes = config.classes;
  t->width = (size_t)al_params_int(params, "hidden");
  AL_TRY(al_model_input_open(&model->input, model->weights, json_object_get(params, "features"), source));
  AL_TRY(al_trainer_configure(t, params, &config));
  al_mlp_config own = {.inputs = model->input->view.cols,
                       .width = t->width,
                       .layers = (size_t)al_params_int(params, "layers"),
                       .classes = t->classes,
                       .sparse = model->input->view.kind == AL_VIEW_CSR,
                       .dropout = config.dropout,
                       .weight_decay = config.weight_decay,
                       .clip = config.clip,
                       .sgd = config.sgd != 0};
  t->api = &al_mlp_api;
  AL_TRY(al_mlp_create(&t->net, &own));
  AL_TRY(al_trainer_start(t, NULL, AL_MISSING_ERROR, draw_mlp, NULL, NULL));
  *out = model;
  model = NULL;
done:
  free_mlp(model);
  return status;
}

static unsigned gives_of_mlp(const json_t *params, const char *base) {
  (void)base;
  return al_trainer_gives(al_model_mlp.gives, params);
}

static const char *weights_of_mlp(const al_model *model) { return model->weights[0] == '\0' ? NULL : model->weights; }

const al_model_type al_model_mlp = {
    .name = "mlp",
    .summary = "hidden layers of rectified units on features as of linear, trained by AdamW; an encoder's MLP head",
    .citation = "Rumelhart, Hinton, Williams 1986; Loshchilov and Hutter 2019 (AdamW); He et al. 2015 (start)",
    .gives = AL_GIVES_PROBS | AL_GIVES_EMBEDDINGS | AL_GIVES_MC | AL_GIVES_HEAD,
    .params = mlp_params,
    .check = check_mlp,
    .settings = al_model_input_settings,
    .files = {"features.frozen"},
    .open = open_mlp,
    .fit = al_trained_fit,
    .predict = al_trained_predict,
    .head = al_trained_head,
    .passes = al_trained_passes,
    .weights_hash = weights_of_mlp,
    .gives_of = gives_of_mlp,
    .notes = al_trained_notes,
    .chained = al_trained_chained,
    .save = al_trained_save,
    .load = al_trained_load,
    .free = free_mlp,
};
