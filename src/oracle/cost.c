/* What an answer costs: one unit a label, or a reader's seconds. */
#include "oracle/oracle.h"

#include <string.h>

static const al_param label_params[] = {{0}};

static double price_of_label(const json_t *params, const al_priced_item *item) {
  (void)params;
  (void)item;
  return 1.0;
}

static const al_cost_type labels = {
    .name = "labels",
    .summary = "every answer costs 1",
    .unit = "labels",
    .params = label_params,
    .price = price_of_label,
};

static const al_param time_params[] = {
    {.key = "a",
     .type = AL_PARAM_REAL,
     .fallback = "null",
     .min = 0,
     .max = 1e6,
     .help = "seconds an item (null: 5 for text, 1 otherwise)"},
    {.key = "b",
     .type = AL_PARAM_REAL,
     .fallback = "null",
     .min = 0,
     .max = 1e6,
     .help = "seconds a word of a text, or a class to choose from (null: 0.3 for text, 0.5 otherwise)"},
    {0}};

static double real_or(const json_t *params, const char *key, double otherwise) {
  const json_t *value = json_object_get(params, key);
  return json_is_number(value) ? json_number_value(value) : otherwise;
}

static double price_of_time(const json_t *params, const al_priced_item *item) {
  if (item->text) return real_or(params, "a", 5.0) + real_or(params, "b", 0.3) * (double)item->words;
  return real_or(params, "a", 1.0) + real_or(params, "b", 0.5) * (double)item->classes;
}

static const al_cost_type time_cost = {
    .name = "time",
    .summary = "seconds: a + b x words of a text, a + b x classes for anything else",
    .unit = "seconds of annotation",
    .params = time_params,
    .price = price_of_time,
};

const al_cost_type *const al_costs[] = {&labels, &time_cost, NULL};

const al_cost_type *al_cost_find(const char *kind) {
  for (size_t i = 0; al_costs[i] != NULL; i++)
    if (strcmp(al_costs[i]->name, kind) == 0) return al_costs[i];
  return NULL;
}
