/* What the files of one cell's loop share: cell.c runs it, cell_query.c shows a strategy its views and lets it choose,
 * cell_lines.c makes the lines of the log. */
#ifndef AL_SIM_CELL_PRIVATE_H
#define AL_SIM_CELL_PRIVATE_H

#include "model/predictor.h"
#include "model/refit.h"
#include "record/record.h"
#include "sim/cell.h"
#include "sim/labelled_state.h"
#include "sim/pool.h"

typedef struct {
  al_subset h_pool, h_labelled, h_evaluated, f_pool, f_labelled, f_all;
  int64_t *token_begin[2], *token_end[2]; /* of U and L */
  size_t token_capacity[2];
  float *probs, *probs_labelled, *mc, *oof_probs;
  size_t probs_capacity, probs_labelled_capacity, mc_capacity, oof_capacity;
  uint8_t *oof_error, *fold_of;
  int32_t *oof_predicted;
  size_t oof_rows;
  al_view f_all_view;               /* into f_all, once made */
  int32_t *place;                   /* of a dataset row in the starting pool */
  int32_t *all_pool, *all_labelled; /* pool.size each */
  al_refitter *refitter;            /* of the last round that needed REFIT */
  void *prepared;                   /* by the cell's strategy, once */
} al_query_storage;

typedef struct {
  const al_cell *cell;
  const al_dataset *dataset;
  const al_split *split;
  const al_features *f;
  al_pool pool;
  al_predictor *model;
  al_labelled_state *state;
  al_record *record;
  json_t *history; /* the round lines on disk, oldest first */
  /* U in pool order, L in the order labelled; rows are dataset rows */
  int32_t *unlabelled, *labelled, *answers;
  size_t unlabelled_count, labelled_count;
  uint32_t *questions; /* of each dataset row, how often it was asked */
  size_t labels;
  double cost;
  int32_t *evaluated, *evaluated_truth; /* test rows and their classes */
  size_t evaluated_count;
  float *evaluated_probs; /* evaluated x C */
  int32_t *holdout_classes;
  float *holdout_probs;
  double holdout_accuracy; /* of the last fit; -1 before */
  int32_t *truth; /* class of every dataset row: for oracle-error and the state of L, never for a strategy's views */
  const al_oracle_type *oracle;
  const al_cost_type *price;
  al_query_storage storage;
  double seconds_train, seconds_predict, seconds_query, seconds_evaluate;
  bool cut; /* the batch at hand was cut short by the cost budget */
} al_loop;

/* A batch as it goes into a round line. */
typedef struct {
  al_picks picks; /* pos in U before the batch was taken out */
  int32_t *rows, *classes;
  double *paid;
  size_t count;
  json_t *notes;
} al_batch;

/* The stream of a purpose of this cell's replicate (DESIGN.md, randomness). strategy NULL: shared by all of them. */
al_rng al_loop_stream(const al_loop *l, const char *purpose, const char *strategy, uint32_t round);

/* cell_query.c: fill b->picks with k positions in U; without a model (the initial set), and by the cell's strategy. */
al_status al_loop_select_first(al_loop *l, al_batch *b, size_t k) AL_MUST_USE;
al_status al_loop_select_next(al_loop *l, al_batch *b, size_t k, size_t round) AL_MUST_USE;
void al_query_storage_free(al_query_storage *storage);

/* cell_checkpoint.c: the last fit of a model that starts warm, beside the log. digest "": it does not. */
al_status al_loop_save_fit(const al_loop *l, const char *folder, char digest[33]) AL_MUST_USE;
al_status al_loop_restore_fit(al_loop *l, const char *folder, const char *digest, const al_training *training,
                              bool *good) AL_MUST_USE;
al_status al_loop_prune_fits(const al_loop *l, const char *folder) AL_MUST_USE; /* all but the last two rounds' */

/* cell_lines.c: fresh JSON. al_loop_line takes over holdout (NULL: none), metrics and calibration. */
json_t *al_budget_json(const al_budget *budget);
json_t *al_loop_header(const al_loop *l);
al_status al_loop_line(json_t **out, const al_loop *l, const al_batch *b, size_t round, json_t *holdout,
                       json_t *metrics, json_t *calibration) AL_MUST_USE;
/* Appends a line to the cell's timing file. pool: rows of U when the batch was chosen. */
al_status al_loop_timing(const al_loop *l, const char *folder, size_t round, size_t pool) AL_MUST_USE;

#endif
