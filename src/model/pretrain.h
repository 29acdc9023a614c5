/* Self-supervised pretraining (MODELS.md, "Pretraining"): a recipe names a network, the train parts it reads,
 * objectives and their weights, and gives a safetensors file that `weights: FILE` loads. No label is read, and no test
 * row. */
#ifndef AL_MODEL_PRETRAIN_H
#define AL_MODEL_PRETRAIN_H

#include "base/params.h"
#include "base/status.h"

#include <jansson.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>

typedef struct al_recipe {
  char *path, *base; /* the file, and the folder that relative paths in it start from */
  json_t *resolved;  /* every key, defaults filled in */
  char digest[33];   /* of `resolved` without `out` */
  int device; /* AL_DEVICE_..; in `resolved` unless it is the CPU, so that older files and newer ones are alike */
} al_recipe;

/* The keys of a recipe, for `alab pretrain --help` and docs. */
extern const al_param al_recipe_params[];

/* overrides: n texts KEY=VALUE for top-level keys. */
al_status al_recipe_read(al_recipe **out, const char *path, const char *const *overrides, size_t n) AL_MUST_USE;
void al_recipe_free(al_recipe *recipe);

/* Runs or continues the recipe: a checkpoint stands beside its output (<out>.checkpoint) and is removed at the end.
 * When *stop becomes non-zero the step at hand is finished, the checkpoint written and AL_INTERRUPTED returned. The
 * file is the same however often it was interrupted. */
al_status al_pretrain_run(const al_recipe *recipe, volatile sig_atomic_t *stop) AL_MUST_USE;

/* How many steps fit into so many minutes on this machine, measured; *seconds: of setting up. */
al_status al_pretrain_measure(const al_recipe *recipe, double minutes, size_t *steps, double *seconds) AL_MUST_USE;

#endif
