/* Batches as the networks' boundary takes them, from dataset rows. Private to model. */
#ifndef AL_MODEL_TORCH_BATCH_H
#define AL_MODEL_TORCH_BATCH_H

#include "model/torch_train.h"

/* Images of `channels` planes, a grey one repeated, augmented while the trainer says so. */
typedef struct al_image_feed {
  size_t channels; /* of the network's input */
  uint8_t *pixels; /* of the batch at hand */
  size_t capacity;
} al_image_feed;
al_status al_image_batch(al_image_feed *feed, const al_trainer *trainer, const int32_t *rows, size_t n,
                         al_torch_batch *batch) AL_MUST_USE;
void al_image_feed_free(al_image_feed *feed);

/* Texts as token ids. */
typedef struct al_text_feed {
  al_tokens *tokens;
  int32_t *compact; /* what a token id becomes; NULL: itself */
  int32_t *ids;     /* of the batch at hand */
  int64_t *begin;
  size_t id_capacity, begin_capacity;
} al_text_feed;
al_status al_text_batch(al_text_feed *feed, const int32_t *rows, size_t n, al_torch_batch *batch) AL_MUST_USE;
void al_text_feed_free(al_text_feed *feed);

#endif
