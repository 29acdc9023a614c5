/* Reading arguments, and the vocabulary that the experiment reader is given. */
#include "cli/cli.h"

#include "data/dataset.h"
#include "model/model.h"
#include "oracle/oracle.h"
#include "sim/cell.h"
#include "strategy/strategy.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

al_status al_cli_number(size_t *out, const char *text, const char *name, size_t most) {
  char *end = NULL;
  errno = 0;
  unsigned long long value = strtoull(text, &end, 10);
  if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || value == 0 || value > most)
    return al_fail(AL_BAD_INPUT, "%s: '%s' is not a whole number from 1 to %zu", name, text, most);
  *out = (size_t)value;
  return AL_OK;
}

al_status al_cli_add(al_texts *texts, const char *text, const char *name) {
  if (texts->n == sizeof texts->items / sizeof *texts->items)
    return al_fail(AL_BAD_INPUT, "%s: given more than %zu times", name, texts->n);
  texts->items[texts->n++] = text;
  return AL_OK;
}

al_status al_cli_unknown_option(const char *command, char **argv) {
  const char *given = optind > 0 ? argv[optind - 1] : "";
  return al_fail(AL_BAD_INPUT, "%s: unknown option or missing value at '%s'; see alab %s --help", command, given,
                 command);
}

enum { MOST_NAMES = 128 };

static const al_param *params_of_strategy(const char *name) {
  const al_strategy *strategy = al_strategy_find(name);
  return strategy == NULL ? NULL : strategy->params;
}

static al_status settle_strategy(const char *name, json_t *params, const char *where) {
  return al_strategy_settle(al_strategy_find(name), params, where);
}

static al_status check_batch(const char *name, const json_t *params, size_t batch, const char *where) {
  return al_strategy_check_batch(al_strategy_find(name), params, batch, where);
}

static const al_param *params_of_model(const char *name) {
  const al_model_type *model = al_model_find(name);
  return model == NULL ? NULL : model->params;
}

static const al_param *params_of_oracle(const char *name) {
  const al_oracle_type *oracle = al_oracle_find(name);
  return oracle == NULL ? NULL : oracle->params;
}

static const al_param *params_of_cost(const char *name) {
  const al_cost_type *cost = al_cost_find(name);
  return cost == NULL ? NULL : cost->params;
}

static al_status check_dataset(const json_t *entry, const char *where) { return al_dataset_check(entry, where, NULL); }

const al_vocabulary *al_cli_vocabulary(void) {
  static const char *strategies[MOST_NAMES], *models[MOST_NAMES], *methods[MOST_NAMES], *oracles[MOST_NAMES],
      *costs[MOST_NAMES];
  static const al_vocabulary vocabulary = {.strategies = strategies,
                                           .models = models,
                                           .initial_methods = methods,
                                           .oracles = oracles,
                                           .costs = costs,
                                           .strategy_params = params_of_strategy,
                                           .settle_strategy = settle_strategy,
                                           .check_batch = check_batch,
                                           .model_params = params_of_model,
                                           .oracle_params = params_of_oracle,
                                           .cost_params = params_of_cost,
                                           .dataset_params = al_dataset_params,
                                           .check_dataset = check_dataset};
  size_t method = 0;
  methods[method++] = "random";
  methods[method++] = "stratified";
  for (size_t i = 0; al_strategies[i] != NULL && i + 1 < MOST_NAMES; i++) {
    strategies[i] = al_strategies[i]->name;
    if (al_strategy_can_start(al_strategies[i]) && strcmp(al_strategies[i]->name, "random") != 0)
      methods[method++] = al_strategies[i]->name;
  }
  for (size_t i = 0; al_models[i] != NULL && i + 1 < MOST_NAMES; i++) models[i] = al_models[i]->name;
  for (size_t i = 0; al_oracles[i] != NULL && i + 1 < MOST_NAMES; i++) oracles[i] = al_oracles[i]->name;
  for (size_t i = 0; al_costs[i] != NULL && i + 1 < MOST_NAMES; i++) costs[i] = al_costs[i]->name;
  return &vocabulary;
}
