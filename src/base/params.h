/* Parameter tables: what a strategy, model, dataset option or cost may be told, in one array of rows.
 *
 * The same table validates the experiment file (src/config), fills in defaults, feeds `alab explain`, and is what
 * `--param` is checked against. Resolved parameters travel as jansson objects with every key of the table present
 * (default or given), so that the log can record them in full. */
#ifndef AL_BASE_PARAMS_H
#define AL_BASE_PARAMS_H

#include "base/status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum al_param_type {
  AL_PARAM_BOOL,
  AL_PARAM_INT,    /* min <= value <= max */
  AL_PARAM_REAL,   /* min <= value <= max; an integer is accepted */
  AL_PARAM_STRING, /* any text */
  AL_PARAM_CHOICE, /* one of `choices` */
  AL_PARAM_LIST,   /* a sequence; its items are checked by whoever reads it */
  AL_PARAM_MAP,    /* a mapping checked against `table` when that is set */
  AL_PARAM_ANY     /* anything; whoever reads it checks it */
} al_param_type;

typedef struct al_param {
  const char *key;
  al_param_type type;
  const char *fallback;         /* default as JSON text ("0.1", "\"adamw\"", "null", "[]"); NULL = must be given */
  double min, max;              /* INT and REAL; both 0 = no limits */
  const char *choices;          /* CHOICE: "full|bare|body" */
  const char *help;             /* one line, no full stop */
  const struct al_param *table; /* MAP: table of the inner keys, ended by key NULL */
} al_param;                     /* tables end with a row whose key is NULL */

/* A null given for a key whose fallback is "null" is accepted. */

/* `given` (an object or NULL) checked against `table`: *out = a fresh object with every key of the table, in table
 * order, defaults filled in, inner MAP tables too. Errors (unknown key with the nearest valid one, wrong type, range,
 * choice, missing) are AL_BAD_INPUT and start with `where` ("experiments/x.yaml:12: strategies[2].params"). */
al_status al_params_resolve(json_t **out, const al_param *table, const json_t *given, const char *where) AL_MUST_USE;

/* Getters for resolved objects; the key must be there with the right type (asserted). Strings are borrowed. */
int64_t al_params_int(const json_t *params, const char *key);
double al_params_real(const json_t *params, const char *key); /* takes integers too */
bool al_params_bool(const json_t *params, const char *key);
const char *al_params_string(const json_t *params, const char *key); /* NULL for null */

/* *out = a fresh object with only the members of `params` that differ from the table's defaults, inner MAP tables too:
 * what settings hashes are made of, so that a new key with a default changes no hash. */
al_status al_params_nondefault(json_t **out, const al_param *table, const json_t *params) AL_MUST_USE;

/* The candidate nearest to `word` by edit distance, or NULL when none is near (more than a third of it differs). */
const char *al_nearest(const char *word, const char *const *candidates, size_t n);

#endif
