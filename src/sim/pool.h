/* The pool of one replicate: which rows may be asked, in which order, and which are held out (DESIGN.md, experiment
 * file). */
#ifndef AL_SIM_POOL_H
#define AL_SIM_POOL_H

#include "data/dataset.h"

typedef struct al_pool {
  int32_t *start; /* size rows in pool order: shuffled once a replicate, hold-out taken out */
  size_t size;
  int32_t *holdout; /* in the order drawn */
  size_t holdout_size;
  int32_t *whole; /* size + holdout_size rows, ascending: what the full-data reference is fitted on */
  size_t whole_size;
} al_pool;

/* entry: the dataset's resolved entry (key `pool`: null = all of the train part, N = drawn once a study, a share below
 * 1 = drawn anew each replicate). Streams: "pool", "holdout", "order". More rows than there are: AL_BAD_INPUT. */
al_status al_pool_make(al_pool *out, const al_dataset *dataset, const al_split *split, const json_t *entry,
                       size_t holdout, uint64_t seed, uint32_t replicate, const char *where) AL_MUST_USE;
void al_pool_free(al_pool *pool);

/* Rows that this entry takes of `available` train rows, hold-out included; at most all of them. */
size_t al_pool_whole_size(const json_t *entry, size_t available);

/* True when every replicate has the same pool (but for its order). */
bool al_pool_is_fixed(const json_t *entry);

/* Rows of the test part that are evaluated: all (sample 0), or a stratified sample of `sample`, once a study. */
al_status al_evaluation_rows(int32_t **rows, size_t *n, const al_dataset *dataset, const al_split *split, size_t sample,
                             uint64_t seed, const char *where) AL_MUST_USE;

/* `k` of the n rows with class shares as in `rows` (largest remainder, ties to the lower class), drawn from rng, in
 * ascending position; positions: k. */
al_status al_stratified_positions(int32_t *positions, size_t k, const al_dataset *dataset, const int32_t *rows,
                                  size_t n, al_rng rng) AL_MUST_USE;

#endif
