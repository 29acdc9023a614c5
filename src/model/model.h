/* Models: what one is to the loop (MODELS.md). A model is one const struct plus one line in model/models.c; the loop
 * knows none by name. */
#ifndef AL_MODEL_MODEL_H
#define AL_MODEL_MODEL_H

#include "base/memory.h"
#include "base/params.h"
#include "base/rng.h"
#include "base/status.h"
#include "data/dataset.h"
#include "data/features.h"

#include <jansson.h>
#include <stdbool.h>

enum {
  AL_GIVES_PROBS = 1 << 0,
  AL_GIVES_EMBEDDINGS = 1 << 1,
  AL_GIVES_MC = 1 << 2,
  AL_GIVES_HEAD = 1 << 3,
  AL_GIVES_OOF = 1 << 4, /* a cheap exact cross-validation of its own */
  AL_GIVES_REFIT = 1 << 5
};

/* What a model is made from. The model opens the inputs it needs (TF-IDF, tokens, pixels) itself, from the cache. */
typedef struct al_model_source {
  const al_dataset *dataset;
  const al_split *split;
  uint64_t seed; /* master seed; streams `start`, `fit`, `mc` are keyed by it, dataset->name and replicate */
  uint32_t replicate;
  const char *where; /* for messages */
  const char *base;  /* folder that the experiment's relative files start from; NULL: the working folder */
  bool announce;     /* say once on standard error what of the weights is missing or left out */
} al_model_source;

/* Training rows and their classes; what fit must not look beyond. */
typedef struct al_training {
  const int32_t *rows;       /* n dataset rows, in the order labelled */
  const int32_t *classes;    /* n; single-label */
  const al_sets *label_sets; /* n; NULL unless multi */
  size_t n;
  const int32_t *holdout_rows, *holdout_classes; /* m */
  size_t holdout;
  uint32_t round;  /* 0 = first fit; keys the `fit` stream. The full-data fit: 0 */
  uint32_t member; /* 0, or 1 + a fold's or ensemble member's number: keys the `fit` stream too */
} al_training;

/* What predict is asked for; NULL pointers are not computed. One pass over the data serves all. */
typedef struct al_prediction {
  float *probs;      /* n x C */
  float *logits;     /* n x C, before the softmax; -inf for a class that the fit has not seen, where it has p = 0 */
  al_view *h;        /* n x D view into model-owned or subset storage, valid until the next predict or free */
  al_subset *subset; /* storage for h; must outlive it; required when h is not NULL */
  float *mc;         /* passes x n x C */
} al_prediction;

/* Keys that any model has (model/predictor.h reads them). */
#define AL_ANY_MODEL_PARAMS                                                                                            \
  {.key = "calibrate",                                                                                                 \
   .type = AL_PARAM_CHOICE,                                                                                            \
   .fallback = "\"none\"",                                                                                             \
   .choices = "none|temperature",                                                                                      \
   .help = "temperature: divides the logits, fitted each round on the hold-out"},                                      \
  {                                                                                                                    \
    .key = "tune", .type = AL_PARAM_ANY, .fallback = "null",                                                           \
    .help = "{KEY: [values], by: cv}: chosen each round by 5-fold cross-validation on the labelled set"                \
  }

/* The key of whoever runs a network. Results differ in their last bits between devices, so it is a setting like others.
 */
#define AL_DEVICE_PARAM                                                                                                \
  {                                                                                                                    \
    .key = "device", .type = AL_PARAM_CHOICE, .fallback = "\"cpu\"", .choices = "cpu|cuda",                            \
    .help = "where the network is computed; cuda needs a libtorch with CUDA, and a GPU"                                \
  }

typedef struct al_model al_model; /* each model's own */

typedef struct al_model_type {
  const char *name, *summary, *citation;
  bool deterministic; /* fit draws nothing: one full-data reference serves all replicates of a fixed pool */
  bool fine_tuned;    /* default replicates 5 instead of 10 */
  unsigned gives;
  const al_param *params;
  /* Does it run on this kind of data? AL_BAD_INPUT with the reason otherwise. No data is read, of weights the header.
   */
  al_status (*check)(const json_t *params, al_kind kind, const char *base, const char *where);
  /* Replaces, in what al_params_nondefault left of the params, every file name by what its content is: a cell's hash is
   * of content. NULL: no key names a file. */
  al_status (*settings)(json_t *nondefault, const char *base);
  const char *files[4]; /* the keys that `settings` replaces ("features.frozen"), then NULL; `tune` cannot set them */
  al_status (*open)(al_model **out, const json_t *params, const al_model_source *source);
  al_status (*fit)(al_model *model, const al_training *training);
  al_status (*predict)(al_model *model, const int32_t *rows, size_t n, const al_prediction *out);
  /* Borrowed until the next fit; D = *width. NULL where HEAD is not given. */
  al_status (*head)(al_model *model, const float **weights /* C x D */, const float **bias /* C */, size_t *width);
  /* OOF of the last fit's training set; fold_of: n (fold of each item, 0..folds-1). probs: n x C. NULL where not given
   */
  al_status (*cross_validate)(al_model *model, const al_training *training, const uint8_t *fold_of, unsigned folds,
                              float *probs);
  size_t (*passes)(const al_model *model);            /* T of mc */
  double (*l2)(const al_model *model);                /* penalty of REFIT's softmax on h (model/refit.h); NULL: 1 */
  const char *(*weights_hash)(const al_model *model); /* hex, or NULL: starts at random */
  const char *(*device)(const al_model *model);       /* what it is computed on; NULL: the CPU */
  json_t *(*notes)(const al_model *model); /* array of strings about the last fit, or NULL (e.g. absent classes) */
  /* What of `gives` is left with these params; NULL: all of it. base: as for check. */
  unsigned (*gives_of)(const json_t *params, const char *base);
  /* Does a fit start from the one before (start: warm)? Then the last fit can be saved, and loaded in place of making
   * it again: *good = false for bytes that are not such a fit of this model. NULL: a refit is as good. */
  bool (*chained)(const al_model *model);
  al_status (*save)(const al_model *model, al_buffer *out);
  al_status (*load)(al_model *model, const void *bytes, size_t size, uint32_t round, bool *good);
  void (*free)(al_model *model);
} al_model_type;

extern const al_model_type *const al_models[]; /* ends with NULL */
const al_model_type *al_model_find(const char *name);
/* The type's check, of each candidate that the params' `tune` has. */
al_status al_model_check(const al_model_type *type, const json_t *params, al_kind kind, const char *base,
                         const char *where) AL_MUST_USE;
/* What a model of these params gives: with `tune`, what each candidate gives. */
unsigned al_model_gives(const al_model_type *type, const json_t *params, const char *base);
/* Fresh: what of a model's params a cell's hash holds (no defaults, files by content). */
al_status al_model_settings(json_t **out, const al_model_type *type, const json_t *params,
                            const char *base) AL_MUST_USE;

/* Softmax regression on plain matrices, for whoever has h and labels but no dataset: the default OOF and REFIT, the
 * heads, `alab query`. Minimises sum of log losses + (l2/2) ||W||^2, intercept free (model/linear.c). */
typedef struct al_softmax al_softmax;
al_status al_softmax_fit(al_softmax **out, const al_view *rows, const int32_t *classes, size_t class_count,
                         double l2) AL_MUST_USE;
/* probs: rows x C; a class absent from the fit has p = 0. */
al_status al_softmax_predict(const al_softmax *model, const al_view *rows, float *probs) AL_MUST_USE;
/* The scores that predict's probabilities come from: rows x C; -inf for an absent class. */
al_status al_softmax_logits(const al_softmax *model, const al_view *rows, float *logits) AL_MUST_USE;
/* Borrowed until free; made on the first call. An absent class has weights 0 and bias -1e30. */
al_status al_softmax_head(al_softmax *model, const float **weights /* C x D */, const float **bias /* C */) AL_MUST_USE;
double al_softmax_objective(const al_softmax *model); /* at the optimum found */
void al_softmax_free(al_softmax *model);

/* Fold of each item: class by class ascending in the order given, dealt round-robin, the counter running on from class
 * to class (STRATEGIES.md, error-rate). fold_of: n. */
void al_deal_folds(const int32_t *classes, size_t n, size_t class_count, unsigned folds, uint8_t *fold_of);
/* Out-of-fold predictions of al_softmax on `rows`: probs n x C. Cost: `folds` fits that share one Gram matrix. */
al_status al_softmax_cross_validate(const al_view *rows, const int32_t *classes, size_t class_count, double l2,
                                    const uint8_t *fold_of, unsigned folds, float *probs) AL_MUST_USE;

#endif
