/* What training and pretraining share of ResNet. */
#include "model/resnet_shape.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

al_torch_config al_resnet_config(size_t depth, size_t width, size_t stages, const char *stem, size_t channels,
                                 size_t classes) {
  return (al_torch_config){.kind = AL_TORCH_RESNET,
                           .classes = classes,
                           .channels = channels,
                           .depth = depth,
                           .stages = stages,
                           .stage_width = width,
                           .stem = strcmp(stem, "3x3s1") == 0   ? AL_STEM_3X3S1
                                   : strcmp(stem, "3x3s2") == 0 ? AL_STEM_3X3S2
                                                                : AL_STEM_IMAGENET,
                           .mean = {0.5, 0.5, 0.5},
                           .deviation = {0.5, 0.5, 0.5}};
}

void al_resnet_draw(const al_torch_tensor *tensor, al_rng rng, float *values) {
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
