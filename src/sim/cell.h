/* One cell of the grid: one dataset, model, strategy, setting and replicate, run from its first or its next round to
 * the end. The loop is train - evaluate - record - select - ask; it knows no model and no strategy by name. */
#ifndef AL_SIM_CELL_H
#define AL_SIM_CELL_H

#include "data/dataset.h"
#include "data/features.h"
#include "model/model.h"
#include "oracle/oracle.h"
#include "sim/engine.h"
#include "strategy/strategy.h"

#include <jansson.h>
#include <signal.h>

/* What a cell may spend. Zero (accuracy: a negative) means no limit. */
typedef struct al_budget {
  size_t labels, rounds;
  double cost, accuracy;
} al_budget;

/* A dataset of the study with everything its cells share; opened once, before workers are forked. */
typedef struct al_problem {
  const json_t *entry; /* resolved; borrowed from the experiment */
  const char *label;
  char where[160];
  al_dataset *dataset;
  al_split *splits; /* one a replicate, or one for all */
  size_t split_count;
  al_features **f;               /* one a split */
  char weights[33];              /* hash of a frozen representation's; "" without one */
  al_token_sets *words, *pieces; /* NULL when no strategy asks for them */
} al_problem;

typedef struct al_cell {
  char *name;               /* file name without .jsonl */
  const char *study, *base; /* base: folder that the experiment's relative files start from */
  uint64_t seed;
  uint32_t replicate;
  const al_problem *problem;
  const al_model_type *model;
  const json_t *model_options;
  const char *model_label;
  const al_strategy *strategy; /* NULL: the full-data reference */
  const json_t *strategy_params;
  const char *strategy_label, *setting;
  const json_t *strategy_files;          /* what its parameters name, by content (al_strategy_files); NULL: none */
  const json_t *initial, *oracle, *cost; /* resolved mappings with their `kind` or `method` */
  size_t batch, holdout, sample;
  al_budget budget;
  char build[33];
} al_cell;

/* Rounds a cell of this pool will have, for progress and predictions; an upper bound when it stops by quality or cost.
 */
size_t al_cell_rounds(const al_cell *cell, size_t pool);
/* Rows of its pool without the hold-out. */
size_t al_cell_pool(const al_cell *cell);
/* What its first `rounds` rounds cost, in labels: those that each fit reads, and a fiftieth of the pool for each
 * prediction of it. For progress: a full-data reference is one round, and takes as long as many. */
double al_cell_work(const al_cell *cell, size_t rounds);

/* Checks that need the data but no model: initial set, hold-out, budget and batch against the pool. AL_BAD_INPUT. */
al_status al_cell_check(const al_cell *cell) AL_MUST_USE;

/* Runs or continues the cell in `folder`. `progress` is told the rounds on disk after each. When *stop becomes non-zero
 * the round at hand is finished and AL_INTERRUPTED returned. */
struct al_cell_watch {
  volatile sig_atomic_t *stop;
  void (*progress)(void *context, size_t rounds_done, size_t rounds);
  void *context;
};
al_status al_cell_run(const al_cell *cell, const char *folder, const al_cell_watch *watch) AL_MUST_USE;

/* Seconds of one fit on n rows and of one prediction of the pool and the evaluation rows, measured without writing a
 * log. */
al_status al_cell_probe(const al_cell *cell, size_t n, double *fit_seconds, double *predict_seconds) AL_MUST_USE;

/* Has the log of this cell ended under this budget (*complete), and is it of this build alone (*same_build; an
 * unfinished one of another starts anew when the cell is run)? A log beyond the budget is AL_BAD_INPUT that names
 * --out. */
al_status al_cell_progress(const al_cell *cell, const char *folder, bool *complete, bool *same_build,
                           size_t *rounds) AL_MUST_USE;

/* Texts in `value` that name one of `files` (al_strategy_files) become "content DIGEST", in its hash and its header:
 * where a user's file lies changes no line of a log. */
void al_name_by_content(json_t *value, const json_t *files);

/* Removes a cell's checkpoints (weights of a model that starts warm) but those of these digests. */
al_status al_checkpoints_prune(const char *folder, const char *cell, const char *const *keep, size_t n) AL_MUST_USE;

/* What an initial method or strategy needs of the data: "" when it runs on the kind, else the reason it cannot. */
const char *al_needs_unmet(unsigned needs, unsigned gives, al_kind kind);
/* Can this strategy stand for an initial method (needs nothing but FEATURES, TOKENS and PIXELS)? */
bool al_strategy_can_start(const al_strategy *strategy);

#endif
