/* Weights that a model or a frozen encoder starts from: a catalogue name, or a .safetensors file with a config.json
 * beside it. Shapes are read from the tensors; config.json tells what they cannot (a BERT's heads, a ResNet's mean and
 * deviation). Private to model. */
#ifndef AL_MODEL_WEIGHTS_H
#define AL_MODEL_WEIGHTS_H

#include "data/dataset.h"
#include "model/safetensors.h"

typedef struct al_weights {
  al_safetensors file;
  json_t *config; /* object, empty where there is no config.json */
  char *name;     /* as given; for messages */
} al_weights;

/* given: a name of the catalogue's section `models`, or a file, which a `/` or the ending .safetensors tells. base:
 * folder that a relative file starts from (NULL: the working folder). Not here: AL_ENVIRONMENT that names `alab fetch`.
 */
al_status al_weights_open(al_weights *out, const char *given, const char *base) AL_MUST_USE;
void al_weights_close(al_weights *weights);

/* XXH3-128 of the file, in hex: what the log records. The first call of a process on a file reads it all, and checks
 * one of the catalogue against its recorded checksum. */
al_status al_weights_digest(const al_weights *weights, char hex[33]) AL_MUST_USE;
/* Of the file and of what is read from config.json: what a cell's hash and a cache's name hold in place of a path. */
al_status al_weights_identity(char hex[33], const char *given, const char *base) AL_MUST_USE;

/* Refuses weights whose `alab.rows_read` (XXH64 of the rows they were pretrained on, ascending) holds one of the
 * split's test rows: AL_BAD_INPUT. Files without it say nothing, and pass. O(test rows (their size + log n)). */
al_status al_weights_check_test(const al_weights *weights, const al_dataset *dataset, const al_split *split,
                                const char *where) AL_MUST_USE;

typedef struct al_bert_shape {
  size_t vocabulary; /* rows of the table, fewer than the vocabulary has when trimmed */
  bool trimmed;      /* alab.token_ids says which rows they are */
  bool distilled;    /* a DistilBERT: no token types (types 0), no pooler */
  size_t positions, types, width, layers, heads, inner;
} al_bert_shape;

typedef struct al_resnet_shape {
  size_t depth, width, stages, channels; /* depth 18 or 50; width: channels of the first stage's blocks */
  int stem;                              /* AL_STEM_.. */
  double mean[3], deviation[3];          /* of pixels / 255 */
} al_resnet_shape;

/* What network the tensors are of; AL_BAD_INPUT, naming the file, when they are not of that kind. */
al_status al_weights_bert(const al_weights *weights, al_bert_shape *out) AL_MUST_USE;
al_status al_weights_resnet(const al_weights *weights, al_resnet_shape *out) AL_MUST_USE;
/* The kind of data that they read: AL_TEXT or AL_IMAGE. */
al_status al_weights_kind(const al_weights *weights, al_kind *kind) AL_MUST_USE;

/* Refuses a pooling that the network does not have. */
al_status al_weights_pooling(const al_bert_shape *shape, const char *pooling, const char *where) AL_MUST_USE;

/* The name under which the file has a BERT tensor: as it is, behind "bert.", or with gamma / beta for a norm's weight
 * and bias; in a DistilBERT's file by its own names, which may stand behind "distilbert.". False: none of them. */
bool al_weights_find_bert(const al_weights *weights, const char *name, char found[200]);

#endif
