/* The experiment file: YAML -> checked, fully resolved plain values (docs/experiment.md).
 *
 * config knows the keys; which strategies, models and datasets there are it is told by the caller. */
#ifndef AL_CONFIG_EXPERIMENT_H
#define AL_CONFIG_EXPERIMENT_H

#include "base/params.h"
#include "base/status.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

/* What the caller knows of names. Functions return NULL (tables) for an unknown name; lists end with NULL. */
typedef struct al_vocabulary {
  const char *const *strategies, *const *models, *const *initial_methods, *const *oracles, *const *costs;
  const al_param *(*strategy_params)(const char *name);
  /* What the table cannot check of resolved parameters, and names of sub-strategies filled in. Messages start with the
   * path of what is wrong, at or below `where`. */
  al_status (*settle_strategy)(const char *name, json_t *params, const char *where);
  /* Can the strategy work with batches of this size? Messages as above. */
  al_status (*check_batch)(const char *name, const json_t *params, size_t batch, const char *where);
  const al_param *(*model_params)(const char *name);
  const al_param *(*oracle_params)(const char *name);
  const al_param *(*cost_params)(const char *name);
  const al_param *dataset_params; /* one table; check_dataset says which keys fit the name */
  al_status (*check_dataset)(const json_t *entry, const char *where);
} al_vocabulary;

/* Axes are arrays of objects that each carry "label" (the `as`, else the name; "" where an axis has one unlabelled
 * entry). datasets[i]   = {"name", "label", "options": the whole resolved entry}
 * "options": resolved} strategies[i] = {"name", "label", "params": resolved} initial[i]    = {"label", "size",
 * "method"}         query[i] = {"label", "batch", "rounds": int | null} oracle[i]     = {"label", "kind", ...params}
 * cost[i]  = {"label", "kind", ...params} stop          = {"labels": number | null (below 1: a share of the pool),
 * "cost", "rounds", "accuracy"} holdout       = {"size"}                             evaluate = {"sample"} */
typedef struct al_experiment {
  char *path; /* as given; for messages */
  char *base; /* absolute folder of the file: relative paths in it start here */
  char *study;
  uint64_t seed;
  size_t replicates; /* 0: by model */
  json_t *datasets, *models, *strategies, *initial, *query, *oracle, *cost, *stop, *holdout, *evaluate;
  json_t *resolved; /* all of the above in one object, for study.json */
} al_experiment;

/* overrides: n texts KEY=VALUE (dotted path, [i] for list items, VALUE in YAML), applied before validation. */
al_status al_experiment_read(al_experiment **out, const char *path, const char *const *overrides, size_t n,
                             const al_vocabulary *vocabulary) AL_MUST_USE;
void al_experiment_free(al_experiment *experiment);

#endif
