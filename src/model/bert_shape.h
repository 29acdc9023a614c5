/* BERT's sizes and random start, for whoever makes the network. Private to model. */
#ifndef AL_MODEL_BERT_SHAPE_H
#define AL_MODEL_BERT_SHAPE_H

#include "base/rng.h"
#include "torch/al_torch.h"

enum { AL_BERT_VOCABULARY = 30522, AL_BERT_POSITIONS = 512 };
enum { AL_BERT_PAD = 0, AL_BERT_UNKNOWN = 100, AL_BERT_CLS = 101, AL_BERT_SEP = 102, AL_BERT_MASK = 103 };

/* Layers, widths and heads of `size` (tiny, mini, small, base), of a vocabulary of `kept` rows; what training decides
 * is left at 0. */
al_torch_config al_bert_config(const char *size, size_t kept, size_t classes);

/* N(0, 0.02) for matrices, 1 for norms' weights, 0 for biases: BERT's own start. A row of the embedding table is drawn
 * for its token id (token_of: one a row), so that keeping fewer rows changes no other. */
void al_bert_draw(const al_torch_tensor *tensor, al_rng rng, const int32_t *token_of, float *values);

#endif
