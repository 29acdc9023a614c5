/* Curves of one metric from study folders and tidy CSV files, for comparison and the gate. */
#ifndef AL_STATS_CURVE_SET_H
#define AL_STATS_CURVE_SET_H

#include "base/status.h"
#include "stats/summary.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* The curve of one cell. Texts are never NULL; "" is unknown. */
typedef struct al_cell_curve {
  size_t source; /* index into the set's sources */
  char *dataset, *model, *setting, *strategy;
  size_t replicate;
  char *seed, *streams, *digest; /* master seed, stream version, dataset digest: what a pair must share */
  char *end;                     /* reason of the end line */
  char *lines, *picks;           /* digests of the round lines and of the rows asked; studies only */
  double budget;                 /* labels; NaN unknown */
  size_t n;                      /* points at which the metric has a value */
  double *labels, *cost, *value; /* n; labels ascending; cost all NaN where the source has none */
} al_cell_curve;

/* The metric on the full data, one for each reference cell. */
typedef struct al_full_value {
  size_t source;
  char *dataset, *model;
  double value;
} al_full_value;

typedef struct al_curve_set {
  char *metric; /* "accuracy", or "accuracy@shift" */
  bool lower_is_better;
  char **sources; /* names to print, in the order given */
  size_t source_count, source_capacity;
  al_cell_curve *cells; /* in order of appearance */
  size_t n, capacity;
  al_full_value *full;
  size_t full_n, full_capacity;
  char **unfinished; /* cells without an end line: left out, to be named */
  size_t unfinished_n, unfinished_capacity;
  json_t *environment; /* array of distinct {cpu, blas, libtorch, compiler, flags; device, not the CPU} of the cells;
                          studies only */
} al_curve_set;

/* An unknown metric is AL_BAD_INPUT when a source without it is added. */
al_status al_curve_set_new(al_curve_set **out, const char *metric) AL_MUST_USE;
void al_curve_set_free(al_curve_set *set);

/* A study folder, or a CSV file as `alab export` writes it (docs/statistics.md, "Curves from elsewhere"): each study in
 * it is a source. The file is taken for a stranger's: a header with unique names, as many fields in every line, numbers
 * that are numbers, names of printable UTF-8, ascending labels, each round once; anything else is AL_BAD_INPUT
 * "path:line: ...". O(rows log rows). At most 1 GiB. */
al_status al_curve_set_add(al_curve_set *set, const char *path) AL_MUST_USE;
al_status al_curve_set_add_study(al_curve_set *set, const char *folder) AL_MUST_USE;
al_status al_curve_set_add_csv(al_curve_set *set, const char *path) AL_MUST_USE;

/* Is a smaller value of this metric the better one? "name@shift" is judged by its name. */
bool al_metric_lower_is_better(const char *metric);

/* The cell's curve over labels, or over cost. Borrowed. */
al_curve al_cell_curve_of(const al_cell_curve *cell, bool cost);

/* Do both cells come from the same seed, stream version and dataset content? Unknown agrees with nothing. */
bool al_cells_paired(const al_cell_curve *a, const al_cell_curve *b);
/* Do they contradict each other in one of the three, both known? */
bool al_cells_differ(const al_cell_curve *a, const al_cell_curve *b);

/* ---- for the readers (curve_set.c, curve_csv.c) ---- */

void al_cell_curve_clear(al_cell_curve *cell); /* frees what it holds */
/* AL_BAD_INPUT for a metric that a source does not have: names the nearest of the n that it has. */
al_status al_metric_unknown(const char *metric, const char *const *known, size_t n, const char *where);
al_status al_curve_set_source(size_t *index, al_curve_set *set, const char *name) AL_MUST_USE;
/* Room for a zeroed cell at the end of the set. The caller fills it, texts included. */
al_status al_curve_set_cell(al_cell_curve **out, al_curve_set *set) AL_MUST_USE;
al_status al_curve_set_full(al_curve_set *set, size_t source, const char *dataset, const char *model,
                            double value) AL_MUST_USE;
al_status al_curve_set_unfinished(al_curve_set *set, const char *name) AL_MUST_USE;
/* Labels that a budget allows: its "labels", or what its "rounds" make at this cell's batch; NaN when neither is said.
 * labels: n, of the cell. */
double al_budget_labels(const json_t *budget, const double *labels, size_t n);

#endif
