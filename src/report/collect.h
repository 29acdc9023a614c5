/* A study as the report sees it: settings (dataset, model, axis labels), strategies in them, replicates' curves. */
#ifndef AL_REPORT_COLLECT_H
#define AL_REPORT_COLLECT_H

#include "base/status.h"
#include "stats/summary.h"

#include <jansson.h>
#include <stddef.h>

/* One complete cell. */
typedef struct al_run {
  char *cell;
  size_t replicate, rounds;
  double *labels, *cost, *accuracy; /* rounds */
  double *seconds;                  /* rounds: predicting and selecting; NaN where no timing is there */
  double seconds_in_all;
} al_run;

typedef struct al_contender {
  char *strategy; /* label */
  al_run *runs;
  size_t n, capacity;
} al_contender;

typedef struct al_setting {
  char *dataset, *model, *axes;
  json_t *header; /* of its first cell */
  char *cost_kind;
  al_contender *contenders; /* random first, then as in study.json */
  size_t n, capacity;
  double *full; /* accuracies of the full-data references */
  size_t full_n, full_capacity;
} al_setting;

typedef struct al_collection {
  char *folder;
  json_t *study;
  al_setting *settings;
  size_t n, capacity;
  json_t *unfinished;  /* array of cell names */
  json_t *environment; /* array of distinct start lines, host and build only */
} al_collection;

al_status al_collect(al_collection **out, const char *folder) AL_MUST_USE;
void al_collection_free(al_collection *collection);

/* A row of the summary table. Values that do not exist are NaN. */
typedef struct al_row {
  const char *strategy;
  size_t n;
  al_interval aulc, difference, final; /* difference: of aulc to random, paired */
  double p, p_wilcoxon;                /* Holm over the strategies of the setting */
  double detectable;
  double target_labels; /* median labels to the target */
  size_t reached, censored_n;
  bool at_start;
  double saving;    /* 1 - data-utilisation rate */
  char saving_mark; /* '=', '<' (at most), '>' (at least), '?' not comparable */
} al_row;

typedef struct al_table_of_setting {
  al_row *rows;
  size_t n;
  double from, to, target, full; /* range of the area; target accuracy; full-data accuracy (NaN without) */
  bool half_budget;              /* the common range is below half of the budget */
} al_table_of_setting;

al_status al_summarise(al_table_of_setting *out, const al_setting *setting) AL_MUST_USE;
void al_summary_free(al_table_of_setting *table);

#endif
