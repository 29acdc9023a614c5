/* A study: the grid of an experiment, its folder, and running what is unfinished in it. */
#ifndef AL_SIM_STUDY_H
#define AL_SIM_STUDY_H

#include "config/experiment.h"
#include "sim/cell.h"

#include <stdbool.h>
#include <stdio.h>

typedef struct al_study {
  const al_experiment *experiment;
  al_problem *problems; /* a dataset entry each */
  size_t problem_count;
  al_cell *cells; /* the grid, references last */
  size_t cell_count, reference_count;
  json_t *left_out; /* array of {"dataset", "model", "strategy", "why"} */
  json_t *build;
  json_t *files; /* array, an object a strategy: what its parameters name, by content */
} al_study;

/* Opens (and prepares, on first use) every dataset and lays out the grid. Nothing left to run: AL_BAD_INPUT. */
al_status al_study_open(al_study **out, const al_experiment *experiment) AL_MUST_USE;
void al_study_free(al_study *study);

/* Builds every cached input that cells will map: token sets, f, and each model's own, in child processes. */
al_status al_study_prepare(al_study *study) AL_MUST_USE;

typedef struct al_run_options {
  const char *folder; /* results/<study> or --out */
  unsigned jobs;
  const char *const *only; /* KEY=VALUE texts: dataset, model, strategy, setting, replicate */
  size_t only_count;
  unsigned shard, shards; /* cells with index % shards == shard - 1; 0 shards = all */
} al_run_options;

/* Runs or continues the study. Continues what is unfinished, skips what is complete. */
al_status al_study_run(al_study *study, const al_run_options *options) AL_MUST_USE;

/* Prints the cells and the predicted time to standard output (the caller's stream). */
al_status al_study_dry_run(al_study *study, const al_run_options *options, FILE *out) AL_MUST_USE;

#endif
