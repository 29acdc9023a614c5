/* A multilayer perceptron behind the table that libtorch's networks have (torch/al_torch.h), so that training, warm
 * starts, ensembles and prediction are those of model/torch_train.h. Private to model. */
#ifndef AL_MODEL_MLP_NETWORK_H
#define AL_MODEL_MLP_NETWORK_H

#include "torch/al_torch.h"

#include <stdbool.h>

typedef struct al_mlp_config {
  size_t inputs, width, layers, classes; /* layers: hidden ones, 1 or more, all of the width */
  bool sparse;                           /* batches are CSR views */
  double dropout, weight_decay, clip;    /* clip 0: none */
  bool sgd;                              /* momentum 0.9; else AdamW */
} al_mlp_config;

/* Tensors, in this order: hidden.0.weight (inputs x width), hidden.0.bias (width), hidden.1.weight (width x width), ..,
 * classifier.weight (classes x width), classifier.bias (classes); all 0. Batches have `features`; a step's batch may
 * have any number of rows. O(parameters) memory, four floats each. */
al_status al_mlp_create(al_torch_net **out, const al_mlp_config *config) AL_MUST_USE;
/* Without state_size, get_state, set_state, accumulate, update, pretrain, stage_features and encode. */
extern const al_torch_api al_mlp_api;

#endif
