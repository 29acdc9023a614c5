/* What bert, resnet, torchscript and mlp share: keys of training, starting weights, the training loop, batched
 * prediction. Private to model. */
#ifndef AL_MODEL_TORCH_TRAIN_H
#define AL_MODEL_TORCH_TRAIN_H

#include "base/memory.h"
#include "model/model.h"
#include "model/weights.h"
#include "torch/al_torch.h"

extern const al_param al_mc_network_params[], al_early_stop_params[];

/* The keys of `train` that any network has, with the defaults in which they differ (JSON texts). */
#define AL_TRAIN_PARAMS(lr_default, epochs_default, dropout_default, dropout_help)                                     \
  {.key = "optimiser",                                                                                                 \
   .type = AL_PARAM_CHOICE,                                                                                            \
   .fallback = "\"adamw\"",                                                                                            \
   .choices = "adamw|sgd",                                                                                             \
   .help = "AdamW, or SGD with momentum"},                                                                             \
      {.key = "lr",                                                                                                    \
       .type = AL_PARAM_REAL,                                                                                          \
       .fallback = (lr_default),                                                                                       \
       .min = 1e-9,                                                                                                    \
       .max = 10,                                                                                                      \
       .help = "highest learning rate"},                                                                               \
      {.key = "epochs",                                                                                                \
       .type = AL_PARAM_INT,                                                                                           \
       .fallback = (epochs_default),                                                                                   \
       .min = 1,                                                                                                       \
       .max = 100000,                                                                                                  \
       .help = "passes over the labelled set"},                                                                        \
      {.key = "steps",                                                                                                 \
       .type = AL_PARAM_INT,                                                                                           \
       .fallback = "null",                                                                                             \
       .min = 1,                                                                                                       \
       .max = 1e8,                                                                                                     \
       .help = "optimiser steps in place of epochs"},                                                                  \
      {.key = "batch", .type = AL_PARAM_INT, .fallback = "32", .min = 2, .max = 4096, .help = "rows a step"},          \
      {.key = "warmup",                                                                                                \
       .type = AL_PARAM_REAL,                                                                                          \
       .fallback = "0.1",                                                                                              \
       .min = 0,                                                                                                       \
       .max = 1,                                                                                                       \
       .help = "share of the steps that warm up"},                                                                     \
      {.key = "schedule",                                                                                              \
       .type = AL_PARAM_CHOICE,                                                                                        \
       .fallback = "\"linear\"",                                                                                       \
       .choices = "linear|constant",                                                                                   \
       .help = "after warm-up"},                                                                                       \
      {.key = "weight_decay",                                                                                          \
       .type = AL_PARAM_REAL,                                                                                          \
       .fallback = "0.01",                                                                                             \
       .min = 0,                                                                                                       \
       .max = 10,                                                                                                      \
       .help = "of weight matrices"},                                                                                  \
      {.key = "clip",                                                                                                  \
       .type = AL_PARAM_REAL,                                                                                          \
       .fallback = "1.0",                                                                                              \
       .min = 0,                                                                                                       \
       .max = 1e6,                                                                                                     \
       .help = "largest gradient norm (0: none)"},                                                                     \
      {.key = "dropout",                                                                                               \
       .type = AL_PARAM_REAL,                                                                                          \
       .fallback = (dropout_default),                                                                                  \
       .min = 0,                                                                                                       \
       .max = 0.9,                                                                                                     \
       .help = (dropout_help)},                                                                                        \
      {.key = "start",                                                                                                 \
       .type = AL_PARAM_CHOICE,                                                                                        \
       .fallback = "\"cold\"",                                                                                         \
       .choices = "cold|warm",                                                                                         \
       .help = "warm: from the last round's weights, with a new optimiser and schedule"},                              \
      {.key = "early_stop",                                                                                            \
       .type = AL_PARAM_MAP,                                                                                           \
       .fallback = "null",                                                                                             \
       .table = al_early_stop_params,                                                                                  \
       .help = "keep the pass with the least log loss on the hold-out"},                                               \
  {                                                                                                                    \
    .key = "class_weights", .type = AL_PARAM_CHOICE, .fallback = "\"none\"", .choices = "none|balanced",               \
    .help = "balanced: n / (k n_c) for the k classes of the labelled set"                                              \
  }

/* Those of encoders: of pretrained weights, and of images and texts as they are. */
#define AL_TRAIN_ENCODER_PARAMS                                                                                        \
  {.key = "regime",                                                                                                    \
   .type = AL_PARAM_CHOICE,                                                                                            \
   .fallback = "\"full\"",                                                                                             \
   .choices = "full|head-then-full",                                                                                   \
   .help = "head-then-full: a cold fit begins with the head that `linear` has on the start's h"},                      \
      {.key = "augment",                                                                                               \
       .type = AL_PARAM_CHOICE,                                                                                        \
       .fallback = "\"none\"",                                                                                         \
       .choices = "none|crop-flip",                                                                                    \
       .help = "images: crops of the image in a dark frame of an eighth of its side, half of them mirrored"},          \
      {.key = "buckets",                                                                                               \
       .type = AL_PARAM_BOOL,                                                                                          \
       .fallback = "false",                                                                                            \
       .help = "text: batches of texts of like length, out of runs of 32 batches"},                                    \
  {                                                                                                                    \
    .key = "micro_batch", .type = AL_PARAM_INT, .fallback = "0", .min = 0, .max = 4096,                                \
    .help = "rows whose gradients are computed at once (0: the batch)"                                                 \
  }

/* Fills batch for dataset rows (n of them) from the model's inputs; storage is the context's, valid until the next
 * call. */
typedef al_status (*al_fill_batch)(void *context, const int32_t *rows, size_t n, al_torch_batch *batch);

/* What a stochastic pass is: dropout left on, another start and order, or another sample of the labelled set. */
typedef enum al_mc_by { AL_MC_DROPOUT, AL_MC_ENSEMBLE, AL_MC_BOOTSTRAP } al_mc_by;

typedef struct al_trainer {
  const al_torch_api *api;
  al_torch_net *net;
  al_model_source source;
  al_fill_batch fill;
  void *context;
  size_t classes, width; /* width: D of h */
  size_t batch_size, epochs, steps, passes;
  double rate, warmup;
  size_t micro_batch, patience; /* 0: none */
  bool linear_schedule, head_first, warm, balanced, augment, buckets;
  al_mc_by mc_by;
  const int64_t *length_begin; /* rows + 1, or NULL */
  float *start;                /* all tensors one behind the other, as a cold fit begins */
  float **starts;              /* passes: of an ensemble's members; [0] is start. NULL without one */
  const char *head, *idle;     /* prefix of the last layer's tensors; of tensors that nothing reads, or NULL */
  char weights[33];
  char device[480]; /* what it is computed on, as the log has it; "" for the CPU */
  uint32_t round;
  /* the last fit */
  float *class_weights; /* C, when balanced */
  float *last;          /* all tensors, when warm; NULL before the first fit */
  size_t last_count;
  float **members;    /* passes: trained when first asked for; NULL: the network itself, an ensemble's first */
  al_training kept;   /* what they are trained on; owned */
  al_rng *augmenting; /* while a step's images are filled in; NULL: as they are */
  float *head_weights, *head_bias; /* what al_trained_head lends; NULL until asked for */
  size_t passes_run, best_pass;
  double stopped_on; /* hold-out log loss of the kept pass; NaN: not stopped by it */
} al_trainer;

/* Combinations of the keys that make no sense: AL_BAD_INPUT naming the key. */
al_status al_trainer_check(const json_t *params, al_kind kind, const char *where) AL_MUST_USE;
/* What of AL_GIVES_.. is left with these params: without dropout there are no stochastic passes by it. */
unsigned al_trainer_gives(unsigned gives, const json_t *params);
/* Reads the keys of `train` and `mc`. */
al_status al_trainer_configure(al_trainer *trainer, const json_t *params, al_torch_config *config) AL_MUST_USE;
/* Loads libtorch and makes the network. AL_ENVIRONMENT where its device is not there. */
al_status al_trainer_create(al_trainer *trainer, const al_torch_config *config) AL_MUST_USE;
const char *al_trainer_device(const al_trainer *trainer); /* for al_model_type.device */
al_rng al_trainer_stream(const al_trainer *trainer, const char *purpose, uint32_t round, uint32_t index);

/* Tensors of the network that the weights file lacks. HEAD: the last layer starts at random, the rest is an error. A
 * head of another shape than the network's (another task's classes) counts as missing. */
typedef enum al_missing { AL_MISSING_ERROR, AL_MISSING_RANDOM, AL_MISSING_HEAD } al_missing;

/* Starting values: drawn by `draw` for each tensor from the `start` stream, then those of the weights file over them
 * (NULL: none). load: says in `used` which of the file's tensors it read, "" for none. With source.announce, missing
 * and unexpected tensors are listed on standard error. */
typedef void (*al_draw_tensor)(const al_torch_tensor *tensor, al_rng rng, float *values, void *context);
typedef al_status (*al_load_tensor)(const al_weights *weights, const al_torch_tensor *tensor, float *values,
                                    char used[200], void *context);
al_status al_trainer_start(al_trainer *trainer, const al_weights *weights, al_missing missing, al_draw_tensor draw,
                           al_load_tensor load, void *context) AL_MUST_USE;
/* Puts the starting values into the network: what each cold fit does first. */
al_status al_trainer_reset(al_trainer *trainer) AL_MUST_USE;

al_status al_trainer_fit(al_trainer *trainer, const al_training *training) AL_MUST_USE;
al_status al_trainer_predict(al_trainer *trainer, const int32_t *rows, size_t n, const al_prediction *out) AL_MUST_USE;
al_status al_trainer_head(al_trainer *trainer, float *weights /* C x D */, float *bias /* C */) AL_MUST_USE;
void al_trainer_free(al_trainer *trainer);

/* torch_fit.c. All tensors of the network, in its order: into *values (made when NULL), and back. */
al_status al_trainer_weights(al_trainer *trainer, float **values, size_t *count) AL_MUST_USE;
al_status al_trainer_put(al_trainer *trainer, const float *values) AL_MUST_USE;
/* Probabilities of each member of an ensemble or bootstrap, passes x n x C; trains them on the first call after a fit.
 */
al_status al_trainer_members(al_trainer *trainer, const int32_t *rows, size_t n, float *mc) AL_MUST_USE;
void al_trainer_forget(al_trainer *trainer);
/* The last fit's weights as bytes, when warm; and back. *good = false: not such bytes, or of another network. */
al_status al_trainer_save(const al_trainer *trainer, al_buffer *out) AL_MUST_USE;
al_status al_trainer_load(al_trainer *trainer, const void *bytes, size_t size, uint32_t round, bool *good) AL_MUST_USE;
json_t *al_trainer_notes(const al_trainer *trainer); /* fresh, or NULL */

/* trained_model.c. Members of al_model_type for a model that is a trainer and its inputs: its struct al_model begins
 * with the al_trainer. */
al_status al_trained_fit(al_model *model, const al_training *training) AL_MUST_USE;
al_status al_trained_predict(al_model *model, const int32_t *rows, size_t n, const al_prediction *out) AL_MUST_USE;
al_status al_trained_head(al_model *model, const float **weights, const float **bias, size_t *width) AL_MUST_USE;
bool al_trained_chained(const al_model *model);
al_status al_trained_save(const al_model *model, al_buffer *out) AL_MUST_USE;
al_status al_trained_load(al_model *model, const void *bytes, size_t size, uint32_t round, bool *good) AL_MUST_USE;
json_t *al_trained_notes(const al_model *model);
size_t al_trained_passes(const al_model *model);
const char *al_trained_device(const al_model *model);
const char *al_trained_weights(const al_model *model); /* hash of the weights file, or NULL */

/* The weights that `weights:` names; *none: "none", nothing is opened. Messages name source->where. */
al_status al_weights_of_params(al_weights *weights, bool *none, const json_t *params,
                               const al_model_source *source) AL_MUST_USE;
/* For al_model_type.settings: the identity of `weights` in place of its name. */
al_status al_weights_settings(json_t *settings, const char *base) AL_MUST_USE;

/* A network that only encodes: h of the weights' own network under al_trainer_predict, dropout off, never fitted. The
 * source has no seed. */
al_status al_resnet_encoder(al_model **out, const al_weights *weights, size_t stage, int device,
                            const al_model_source *source) AL_MUST_USE;
al_status al_bert_encoder(al_model **out, const al_weights *weights, const char *pooling, size_t max_tokens, int device,
                          const al_model_source *source) AL_MUST_USE;

#endif
