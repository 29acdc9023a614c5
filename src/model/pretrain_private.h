/* What the recipe's runner and its two kinds of network share. Private to model. */
#ifndef AL_MODEL_PRETRAIN_PRIVATE_H
#define AL_MODEL_PRETRAIN_PRIVATE_H

#include "base/rng.h"
#include "data/dataset.h"
#include "model/pretrain.h"
#include "model/safetensors.h"
#include "torch/al_torch.h"

/* The train rows of all data of a recipe, one behind the other. */
typedef struct {
  al_dataset **datasets;
  al_split *splits;
  size_t datasets_count;
  int32_t *dataset_of, *row_of; /* n */
  size_t n;
} al_corpus;

enum { AL_PRETEXT_LOSSES = 4 }; /* mlm, bow, contrastive, rotation */

/* A network being pretrained. Batches are a function of the recipe's seed and the step. */
typedef struct al_pretext al_pretext;
typedef struct al_pretext_type {
  al_status (*open)(al_pretext **out, const al_recipe *recipe, const al_corpus *corpus, const al_torch_api *api,
                    al_torch_net **net);
  al_status (*step)(al_pretext *pretext, size_t step, double rate, double losses[AL_PRETEXT_LOSSES]);
  /* Which tensors are worth keeping, and what else goes into the file: parts are appended (at most `room`). */
  bool (*keeps)(const char *tensor);
  size_t (*extras)(const al_pretext *pretext, al_safetensors_tensor *parts, size_t room);
  void (*free)(al_pretext *pretext);
} al_pretext_type;

extern const al_pretext_type al_pretext_text, al_pretext_images;

double al_recipe_objective(const al_recipe *recipe, const char *name);
/* A stream of the recipe for one purpose and step. */
al_rng al_recipe_stream(const al_recipe *recipe, const char *purpose, size_t step);
const json_t *al_recipe_get(const al_recipe *recipe, const char *key);
/* Item number `which` of an endless sequence that goes through 0 .. n - 1 in a new order each time. order: n, *epoch:
 * the one that it holds (SIZE_MAX at first). */
size_t al_recipe_item(const al_recipe *recipe, size_t which, int32_t *order, size_t n, size_t *epoch);

#endif
