/* What fine-tuning and pretraining share of BERT. */
#include "model/bert_shape.h"

#include <stdbool.h>
#include <string.h>

static const struct {
  const char *name;
  size_t layers, width, heads;
} sizes[] = {{"tiny", 2, 128, 2}, {"mini", 4, 256, 4}, {"small", 4, 512, 8}, {"base", 12, 768, 12}};

al_torch_config al_bert_config(const char *name, size_t kept, size_t classes) {
  size_t size = 0;
  while (strcmp(sizes[size].name, name) != 0) size++;
  return (al_torch_config){.kind = AL_TORCH_BERT,
                           .classes = classes,
                           .vocabulary = kept,
                           .positions = AL_BERT_POSITIONS,
                           .types = 2,
                           .width = sizes[size].width,
                           .layers = sizes[size].layers,
                           .heads = sizes[size].heads,
                           .inner = 4 * sizes[size].width};
}

void al_bert_draw(const al_torch_tensor *tensor, al_rng rng, const int32_t *token_of, float *values) {
  if (strcmp(tensor->name, "embeddings.word_embeddings.weight") == 0) {
    size_t width = tensor->shape[1];
    for (size_t row = 0; row < tensor->shape[0]; row++) {
      al_rng of_token = al_rng_child(&rng, (uint64_t)token_of[row]);
      for (size_t c = 0; c < width; c++) values[row * width + c] = (float)(0.02 * al_rng_normal(&of_token));
    }
    return;
  }
  bool norm = strstr(tensor->name, "LayerNorm.weight") != NULL;
  for (size_t i = 0; i < tensor->count; i++)
    values[i] = norm ? 1.0F : tensor->dims > 1 ? (float)(0.02 * al_rng_normal(&rng)) : 0.0F;
}
