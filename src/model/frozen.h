/* Frozen encoders: a pretrained network whose output is a fixed feature of every row, computed once a dataset, weights
 * and build, and mapped by all workers. They are the input of `linear` and `mlp` ({frozen: ..} in features) and the
 * fixed representation f of a dataset (representation: {frozen: ..}). */
#ifndef AL_MODEL_FROZEN_H
#define AL_MODEL_FROZEN_H

#include "model/model.h"

/* {frozen: NAME|FILE, pooling | stage, max_tokens, device}. */
extern const al_param al_frozen_params[];

/* Is `value` a mapping with the key `frozen`? */
bool al_frozen_given(const json_t *value);
/* Keys, weights' header and kind of data; AL_BAD_INPUT or, for weights that are not here, AL_ENVIRONMENT. */
al_status al_frozen_check(const json_t *frozen, al_kind kind, const char *base, const char *where) AL_MUST_USE;
/* rows x D, as the encoder gives them. The first call encodes the dataset under a progress bar and loads libtorch for
 * it; later ones map the file. source: dataset, base and where. weights: the file's hash, or NULL. */
al_status al_frozen_open(al_features **out, char weights[33], const json_t *frozen,
                         const al_model_source *source) AL_MUST_USE;
/* The hash of the weights' file, which the log records. */
al_status al_frozen_weights(char hex[33], const json_t *frozen, const char *base) AL_MUST_USE;
/* Fresh: the mapping without defaults and with the weights' identity in place of their name, for a cell's hash. */
al_status al_frozen_settings(json_t **out, const json_t *frozen, const char *base) AL_MUST_USE;

/* What `linear` and `mlp` read: a frozen encoder's features, standardised on the train part, or what al_input_open
 * knows. weights: "" without an encoder. */
al_status al_model_input_check(const json_t *features, al_kind kind, const char *base, const char *where) AL_MUST_USE;
al_status al_model_input_open(al_features **out, char weights[33], const json_t *features,
                              const al_model_source *source) AL_MUST_USE;
/* For al_model_type.settings: the weights' identity in place of their name in `features`. */
al_status al_model_input_settings(json_t *nondefault, const char *base) AL_MUST_USE;

/* f of a dataset's resolved entry: a frozen encoder's features as they are, or what al_representation_open knows. */
al_status al_model_representation_open(al_features **out, const json_t *entry,
                                       const al_model_source *source) AL_MUST_USE;

#endif
