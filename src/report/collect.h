/* Studies as the report sees them: settings (dataset, model, axis labels), strategies in them, replicates' curves. */
#ifndef AL_REPORT_COLLECT_H
#define AL_REPORT_COLLECT_H

#include "base/status.h"
#include "report/measure.h"
#include "stats/summary.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

enum { AL_BINS = 15 };

typedef enum al_axis { AL_AXIS_LABELS, AL_AXIS_COST } al_axis;

/* One complete cell. */
typedef struct al_run {
  char *cell;
  size_t replicate, rounds, classes;
  double *labels, *cost;   /* rounds */
  double *values;          /* AL_MEASURES x rounds; NaN where the log has null */
  double *counts;          /* rounds x classes: the labelled set's class counts */
  double bins[AL_BINS][3]; /* of the last round: count, mean confidence, accuracy */
  double *seconds;         /* rounds: predicting the pool and choosing; NaN where no timing is there */
  double *pool, *memory;   /* rounds: rows to choose from, peak memory of the process in bytes; NaN likewise */
  double seconds_in_all;   /* training, predicting, choosing and evaluating */
  int32_t *asked;          /* rows in the order asked, initial set included, hold-out not */
  size_t *asked_end;       /* rounds: how many were asked up to that round */
  /* what the audit needs */
  char start[33], data[33]; /* digests: of the initial set and the hold-out; of the dataset */
  double first_paid;        /* sum of what round 0 paid, hold-out included */
  size_t first_answers;     /* answers of round 0, hold-out included */
  size_t holdout, repeated; /* rows held out; rows asked more than once or asked though held out */
  char end[16];             /* the end line's reason */
  size_t environment;       /* index into al_collection.environment, or SIZE_MAX */
} al_run;

typedef struct al_contender {
  char *strategy; /* label */
  char *name;     /* of the registry */
  size_t style;   /* line style that it prefers in every figure of the collection */
  al_run *runs;   /* by replicate */
  size_t n, capacity;
} al_contender;

struct al_table_of_setting;

typedef struct al_setting {
  char *dataset, *model, *axes;
  json_t *header; /* of its first cell */
  char *cost_kind;
  al_contender *contenders; /* random first, then as in study.json */
  size_t n, capacity;
  double *full; /* full_n x AL_MEASURES_OF_TEST, of the full-data references */
  size_t full_n, full_capacity;
  struct al_table_of_setting **tables; /* what al_setting_table has computed */
  size_t table_count, table_capacity;
} al_setting;

typedef struct al_collection {
  char *source;  /* "study 20ng-linear" or "studies a, b" */
  json_t *study; /* study.json of the first folder */
  al_setting *settings;
  size_t n, capacity;
  char **strategies; /* labels in order of appearance, random not among them: what styles are given by */
  size_t strategy_count, strategy_capacity;
  json_t *unfinished;  /* array of cell names */
  json_t *left_out;    /* array of objects, as in study.json */
  json_t *environment; /* array of distinct start lines, host and build only */
} al_collection;

/* only: {dataset|model|strategy|setting|replicate: text, number or a list of them}; NULL: every cell. A cell that two
 * folders hold is AL_BAD_INPUT, as is an `only` that leaves nothing. */
al_status al_collect(al_collection **out, const char *const *folders, size_t n, const json_t *only) AL_MUST_USE;
void al_collection_free(al_collection *collection);

const al_run *al_run_of_replicate(const al_contender *contender, size_t replicate);

/* The random baseline of a setting, or NULL. */
const al_contender *al_setting_random(const al_setting *setting);

/* "20newsgroups, linear" or "20newsgroups, linear, small+slow" into 256 bytes; returns it. */
const char *al_setting_title(const al_setting *setting, char text[256]);

/* The points of a cell's curve that exist; x and y: run->rounds each. */
al_curve al_run_curve(const al_run *run, al_axis axis, size_t measure, double *x, double *y);

/* A mean curve over replicates. x is where all replicates have a point (their union where x differs, each interpolated
 * linearly; of a union of many x about a dozen are kept). With a baseline: of the differences to its paired runs. */
typedef struct al_mean_curve {
  double *x;            /* n */
  al_interval *y;       /* n */
  size_t n, replicates; /* replicates 0: nothing to show */
} al_mean_curve;
al_status al_mean_curve_of(al_mean_curve *out, const al_contender *contender, const al_contender *baseline,
                           al_axis axis, size_t measure) AL_MUST_USE;
void al_mean_curve_free(al_mean_curve *curve);

#endif
