/* Oracles: who answers a question about a row, and what an answer costs.
 *
 * What an oracle draws about a row is keyed by (row, n-th question about it), never by the order asked, so that noise
 * is paired across strategies. One const struct a kind plus one line in the table. */
#ifndef AL_ORACLE_ORACLE_H
#define AL_ORACLE_ORACLE_H

#include "base/params.h"
#include "base/rng.h"
#include "base/sets.h"
#include "base/status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An answer is a set of class ids, borrowed from the oracle's truth, or an abstention. */
typedef struct al_answer {
  bool abstained;
  const int32_t *classes;
  size_t n;
} al_answer;

typedef struct al_oracle_type {
  const char *name, *summary;
  const al_param *params;
  /* question: 0 for the first time this row is asked. rng: the cell's oracle stream, read with al_rng_at. */
  al_status (*answer)(const json_t *params, const al_sets *truth, int32_t row, uint32_t question, const al_rng *rng,
                      al_answer *out);
} al_oracle_type;

extern const al_oracle_type *const al_oracles[]; /* ends with NULL */
const al_oracle_type *al_oracle_find(const char *kind);

/* What a price may depend on. */
typedef struct al_priced_item {
  bool text;      /* a text is read, anything else is looked at */
  size_t words;   /* matches of the word pattern in the raw text */
  size_t classes; /* C */
} al_priced_item;

typedef struct al_cost_type {
  const char *name, *summary;
  const char *unit; /* of the cost axis */
  const al_param *params;
  double (*price)(const json_t *params, const al_priced_item *item);
} al_cost_type;

extern const al_cost_type *const al_costs[]; /* ends with NULL */
const al_cost_type *al_cost_find(const char *kind);

#endif
