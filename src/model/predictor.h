/* A model as the loop has it: around a model's own functions, what any model can be told (MODELS.md): `calibrate`, a
 * temperature fitted on the hold-out, and `tune`, settings chosen by cross-validation on the labelled set. Without
 * either it passes everything through. */
#ifndef AL_MODEL_PREDICTOR_H
#define AL_MODEL_PREDICTOR_H

#include "model/model.h"

typedef struct al_predictor al_predictor;

/* Keys that any model has, and what they need, in every candidate of `tune`: AL_BAD_INPUT naming the key. holdout: rows
 * that a cell holds out. */
al_status al_predictor_check(const al_model_type *type, const json_t *params, size_t holdout,
                             const char *where) AL_MUST_USE;
/* Does a fit look at the hold-out (calibrate, early stopping, that of any candidate of `tune` too)? */
bool al_predictor_reads_holdout(const json_t *params);

al_status al_predictor_open(al_predictor **out, const al_model_type *type, const json_t *params,
                            const al_model_source *source) AL_MUST_USE;
void al_predictor_free(al_predictor *predictor);

/* Tunes, fits, calibrates. With `tune`, each candidate costs a cross-validation of 5 folds on the training set. */
al_status al_predictor_fit(al_predictor *predictor, const al_training *training) AL_MUST_USE;
al_status al_predictor_predict(al_predictor *predictor, const int32_t *rows, size_t n,
                               const al_prediction *out) AL_MUST_USE;
/* Does a fit start from the one before it? Then the last fit can be kept as bytes and taken up again: restore also
 * calibrates on training's hold-out. *good = false: not such bytes, and nothing changed. */
bool al_predictor_chained(const al_predictor *predictor);
al_status al_predictor_save(const al_predictor *predictor, al_buffer *out) AL_MUST_USE;
al_status al_predictor_restore(al_predictor *predictor, const void *bytes, size_t size, const al_training *training,
                               bool *good) AL_MUST_USE;
/* W / T and b / T, so that p = softmax(W h + b) holds for the p that predict gives. Borrowed until the next fit. */
al_status al_predictor_head(al_predictor *predictor, const float **weights /* C x D */, const float **bias /* C */,
                            size_t *width) AL_MUST_USE;
/* Out-of-fold probabilities of the training set, with the last fit's temperature. False: the model has none of its own.
 */
bool al_predictor_has_folds(const al_predictor *predictor);
al_status al_predictor_cross_validate(al_predictor *predictor, const al_training *training, const uint8_t *fold_of,
                                      unsigned folds, float *probs) AL_MUST_USE;
size_t al_predictor_passes(const al_predictor *predictor);
double al_predictor_l2(const al_predictor *predictor);           /* of REFIT's softmax on h */
const char *al_predictor_weights(const al_predictor *predictor); /* hash, or NULL */
const char *al_predictor_device(const al_predictor *predictor);  /* what it is computed on; NULL: the CPU */
json_t *al_predictor_notes(const al_predictor *predictor);       /* fresh array, or NULL */

/* The temperature T in [1/20, 20] at which softmax(z / T) has the least log loss; rows whose class has z = -inf are
 * left out, and without others T is 1. logits: n x C. Exact to 1e-9 in 1 / T: the loss is convex in it. Guo et al.
 * 2017. */
double al_temperature(const float *logits, const int32_t *classes, size_t n, size_t class_count);

#endif
