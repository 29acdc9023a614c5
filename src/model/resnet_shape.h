/* ResNet's configuration and random start, for whoever makes the network. Private to model. */
#ifndef AL_MODEL_RESNET_SHAPE_H
#define AL_MODEL_RESNET_SHAPE_H

#include "base/rng.h"
#include "torch/al_torch.h"

/* stem: imagenet, 3x3s1 or 3x3s2. Pixels are centred on mid-grey (mean and deviation 0.5). What training decides is
 * left at 0. */
al_torch_config al_resnet_config(size_t depth, size_t width, size_t stages, const char *stem, size_t channels,
                                 size_t classes);

/* Kaiming normal (fan out) for convolutions, 1 and 0 for norms, uniform 1 / sqrt(in) for the head: torchvision's start.
 */
void al_resnet_draw(const al_torch_tensor *tensor, al_rng rng, float *values);

#endif
