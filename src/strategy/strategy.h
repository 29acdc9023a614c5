/* Query strategies: what one is told, and what it answers.
 *
 * A strategy is one const struct at the end of its file plus one line in strategy/strategies.c. It sees const views of
 * the unlabelled pool U in pool order and of the labelled set L in the order labelled; it cannot reach a pool label or
 * a test row. Positions (`pos`) index U. Definitions: docs/strategies.md (STRATEGIES.md of the design). */
#ifndef AL_STRATEGY_STRATEGY_H
#define AL_STRATEGY_STRATEGY_H

#include "base/matrix.h"
#include "base/params.h"
#include "base/rng.h"
#include "base/sets.h"
#include "base/status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a strategy needs of the loop. */
enum {
  AL_NEED_PROBS = 1 << 0,
  AL_NEED_EMBEDDINGS = 1 << 1, /* h of U, and of L */
  AL_NEED_FEATURES = 1 << 2,   /* f of U, and of L */
  AL_NEED_MC = 1 << 3,
  AL_NEED_TOKENS = 1 << 4,   /* token sets of U and L, or (images) pixels: whichever the data has */
  AL_NEED_PIXELS = 1 << 5,   /* with TOKENS: either will do */
  AL_NEED_LABELLED = 1 << 6, /* the classes of L; refused with |L| = 0 */
  AL_NEED_HEAD = 1 << 7,
  AL_NEED_OOF = 1 << 8, /* out-of-fold predictions on L */
  AL_NEED_REFIT = 1 << 9,
  AL_NEED_HISTORY = 1 << 10,
  AL_NEED_ORACLE = 1 << 11,    /* true classes of U: `oracle-error` alone */
  AL_NEED_DENSE = 1 << 12,     /* dense views only: f stands in for a CSR h, and a note says so */
  AL_NEED_WORDPIECE = 1 << 13, /* TOKENS are WordPiece ids (parameter tokens: wordpiece) */
  AL_NEED_PROBS_LABELLED = 1 << 14,
  AL_NEED_MC_OR_REFIT = 1 << 15 /* MC; where the model gives none, REFIT and the labels of L */
};

/* Images, for strategies that read raw pixels: n x channels x height x width. */
typedef struct al_pixels {
  const uint8_t *data;
  const int32_t *rows; /* n: image of item i is data + rows[i] * channels * height * width; NULL = i itself */
  size_t n, channels, height, width;
} al_pixels;

/* Out-of-fold predictions of a stratified 5-fold cross-validation on L (STRATEGIES.md, error-rate). */
typedef struct al_oof {
  const uint8_t *error;     /* |L|: 1 = out-of-fold prediction differs from the label */
  const int32_t *predicted; /* |L| */
  const float *probs;       /* |L| x C; may be NULL */
} al_oof;

/* Retraining, for strategies that must (REFIT): alab's linear model on h (model/refit.h). */
typedef struct al_refit {
  void *context;
  /* p of U after a fit on these items of L (n indices into L, repeats allowed). probs: |U| x C; a class that none of
   * them has gets p = 0. */
  al_status (*fit_labelled)(void *context, const int32_t *labelled, size_t n, float *probs);
  /* p of n pool items (`targets`, positions in U) after at most `steps` steps from the fit on L, with the pool item
   * `pos` added under each of m classes in turn: what the candidate's refits share is then done once. probs: m x n x C.
   * The fit on L itself is left as it was. */
  al_status (*fit_extra)(void *context, int32_t pos, const int32_t *classes, size_t m, unsigned steps,
                         const int32_t *targets, size_t n, float *probs);
} al_refit;

typedef struct al_query {
  size_t pool, labelled, classes; /* |U|, |L|, C */
  size_t batch;                   /* k; select answers min(k, |U|) picks */
  const float *probs;             /* |U| x C */
  const float *probs_labelled;    /* |L| x C; with PROBS_LABELLED */
  al_view h_pool, h_labelled;     /* EMBEDDINGS; kind NONE when not needed */
  al_view f_pool, f_labelled;     /* FEATURES */
  /* FEATURES of L and U together in an order that is the same in every round: the starting pool's (`alab query`: all
   * rows), and the index in it of each item. What is computed once a cell hangs on these and on cell_rng alone. Inside
   * `subsample` some of its rows are neither in U nor in L. */
  al_view f_all;
  const int32_t *all_pool, *all_labelled; /* |U|, |L| */
  const void *prepared;                   /* what `prepare` made, or NULL: make it for this call */
  const float *mc;                        /* passes x |U| x C */
  size_t passes;
  al_sets tokens_pool, tokens_labelled; /* TOKENS; rows 0 when not needed */
  al_sets tokens_all; /* TOKENS of the starting pool (in the loop) or of all rows (`alab query`): vocabulary */
  al_pixels pixels_pool, pixels_labelled;
  const int32_t *labels;    /* |L|: class of each labelled item (single-label) */
  al_sets label_sets;       /* |L|: the same as sets, multi-label too */
  const float *head, *bias; /* HEAD: C x D (the columns of h), C */
  const al_oof *oof;        /* NULL when |L| < 10 or one class: the strategy falls back and says so */
  const al_refit *refit;
  /* HISTORY: array of past rounds, oldest first, each {round, asked: rows, answers: lists of classes or null, state},
   * or NULL: none. Nothing that was measured on the test set is in it. */
  const json_t *history;
  const int32_t *rows_labelled; /* |L|: the rows by which the history's `asked` names the items of L; with HISTORY */
  const json_t *state;          /* what the strategy returned in picks->state last round, or NULL */
  const int32_t *truth;         /* ORACLE: |U| */
  size_t round;                 /* 1 for the first query */
  const char *base;             /* folder that relative paths in parameters start at; NULL: the working directory */
  const json_t *files;          /* what `files` said when the study was opened, or NULL */
  al_rng rng;                   /* this query's stream; copy before drawing */
  al_rng cell_rng;              /* a stream that is the same in every round of the cell; copy before drawing */
} al_query;

/* Answer. The caller gives arrays of at least min(k, |U|); `note` and `state` are left NULL or set to fresh values that
 * the caller frees (json_decref for state). */
typedef struct al_picks {
  size_t count;   /* = min(k, |U|) on success */
  int32_t *pos;   /* distinct positions in U, in pick order */
  double *scores; /* utility at the moment of the pick, finite; see scored */
  bool scored;    /* false: the strategy has no scores (random) */
  char *note;     /* what was substituted, and why; one line */
  json_t *state;
} al_picks;

typedef struct al_strategy {
  const char *name, *family;
  const char *summary;    /* one line */
  const char *definition; /* the formula in words and symbols, several lines are fine */
  const char *citation;
  const char *cost; /* time and memory in |U|, |L|, C, D, k */
  bool multi;       /* can answer for multi-label data */
  const al_param *params;
  unsigned (*needs)(const json_t *params); /* mask for resolved parameters */
  al_status (*select)(const al_query *query, const json_t *params, al_picks *picks);
  /* Optional: parameters that the table cannot check alone (names of sub-strategies). Messages start with `where`. */
  al_status (*check)(const json_t *params, const char *where);
  /* Optional: what can be computed once a cell, from f_all, classes and cell_rng alone (so that a resumed cell makes
   * the same). The loop calls it before the first select that meets it and keeps it; `forget` frees it. */
  al_status (*prepare)(void **prepared, const al_query *query, const json_t *params);
  void (*forget)(void *prepared);
  /* Composed strategies: the parameters that name sub-strategies (a name, {name, params}, or a list of them), ended by
   * NULL. Sub-strategies are asked through al_strategy_select, so nothing is substituted for the whole. */
  const char *const *children;
  bool adaptive; /* learns from the rounds that it chose itself, by its state: two of them cannot share a round */
  /* Optional: can it, and what it is made of, work with batches of this size? Messages start with `where`. */
  al_status (*check_batch)(const json_t *params, size_t batch, const char *where);
  /* Optional: adds to `files` a member a file that the parameters name, its name as given -> digest of its content:
   * what counts of a user's file. Relative names start at `base`. Messages start with `where`. */
  al_status (*files)(json_t *files, const json_t *params, const char *base, const char *where);
} al_strategy;

/* The registry, in documentation order; ends with NULL. */
extern const al_strategy *const al_strategies[];
const al_strategy *al_strategy_find(const char *name); /* NULL when unknown */

/* select with the contract enforced before and after: finite inputs of agreeing sizes, probability rows within 1e-3 of
 * 1, labels inside the classes, everything needed is there (AL_BAD_INPUT names array and row); exactly min(k, |U|)
 * distinct members with finite scores afterwards (AL_ENVIRONMENT "internal"). O(size of inputs). */
al_status al_strategy_select(const al_strategy *strategy, const al_query *query, const json_t *params,
                             al_picks *picks) AL_MUST_USE;
void al_picks_free(al_picks *picks); /* pos, scores, note, state */
/* Puts another remark behind those there are. */
al_status al_picks_note(al_picks *picks, const char *format, ...) AL_PRINTF(2, 3) AL_MUST_USE;

enum { AL_MOST_STATE = 65536 }; /* bytes of a strategy's state as JSON */

/* ---- parameters (strategy/settle.c) ---- */

/* What the table cannot do for parameters that al_params_resolve made: sub-strategies become {name, params} with every
 * default filled in, unknown names (with the nearest valid one) and parameters are refused, `check` is called. Messages
 * start with the path of what is wrong below `where`. */
al_status al_strategy_settle(const al_strategy *strategy, json_t *params, const char *where) AL_MUST_USE;
/* `check_batch`, or that of the parts of one that has none. */
al_status al_strategy_check_batch(const al_strategy *strategy, const json_t *params, size_t batch,
                                  const char *where) AL_MUST_USE;
/* *out = the settled parameters that are not at their default, sub-strategies' too: what settings hashes are made of.
 */
al_status al_strategy_nondefault(json_t **out, const al_strategy *strategy, const json_t *params) AL_MUST_USE;
/* *out = a fresh object of all `files`, the sub-strategies' too; empty where there are none. */
al_status al_strategy_files(json_t **out, const al_strategy *strategy, const json_t *params, const char *base,
                            const char *where) AL_MUST_USE;
/* Can it answer for multi-label data: itself, and all that it is made of? */
bool al_strategy_takes_multi(const al_strategy *strategy, const json_t *params);

#endif
