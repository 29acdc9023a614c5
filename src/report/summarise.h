/* The numbers of a setting's table, and of several settings side by side. */
#ifndef AL_REPORT_SUMMARISE_H
#define AL_REPORT_SUMMARISE_H

#include "report/collect.h"
#include "stats/hypothesis.h"

/* A strategy's row. Values that do not exist are NaN. Differences are to random, paired by replicate, in the measure's
 * own sign. */
typedef struct al_row {
  const al_contender *contender;
  const char *strategy;
  size_t n;                            /* replicates */
  al_interval aulc, difference, final; /* difference: of aulc to random */
  double *areas;                       /* n: aulc of each replicate; NaN where not comparable */
  double p, p_wilcoxon;                /* Holm over the strategies of the setting */
  double detectable;
  size_t won, tied;     /* replicates that are better than, or within 1e-12 of, random's */
  double target_labels; /* median labels to the target */
  size_t reached, censored_n, ended_by_rule;
  bool at_start;
  double saving;    /* 1 - data-utilisation rate */
  char saving_mark; /* '=', '<' (at most), '>' (at least), '?' not comparable */
} al_row;

typedef struct al_table_of_setting {
  size_t measure;
  al_axis axis;
  al_row *rows; /* n, in the order of the setting's contenders */
  size_t n;
  double from, to;     /* range of the area, in labels or cost */
  double target, full; /* target of the measure (accuracy only) and its value on the full data; NaN without */
  size_t full_n;
  bool half_budget; /* the common range is below half of the longest */
} al_table_of_setting;

al_status al_summarise(al_table_of_setting *out, const al_setting *setting, size_t measure, al_axis axis) AL_MUST_USE;
void al_summary_free(al_table_of_setting *table);

/* The same, computed once and kept in the setting; borrowed. */
al_status al_setting_table(const al_table_of_setting **out, al_setting *setting, size_t measure,
                           al_axis axis) AL_MUST_USE;

/* x is better than y in this measure by more than 1e-12. */
bool al_is_better(size_t measure, double x, double y);

/* Indices of the rows, best mean AULC first; random among them, rows without an area last. order: table->n. */
void al_table_order(size_t *order, const al_table_of_setting *table);

/* Settings that share model and axes, one for each dataset: what ranks over datasets are made of. */
typedef struct al_group {
  al_setting **settings; /* n */
  size_t n, capacity;
  const char **strategies; /* k: those that every setting has with an area, random first when it is there */
  size_t k;
  double *values;      /* n x k: mean AULC, sign turned so that higher is better */
  const al_row **rows; /* n x k */
} al_group;

/* Fresh array of groups in order of appearance. */
al_status al_groups_of(al_group **groups, size_t *n, al_collection *collection, size_t measure) AL_MUST_USE;
/* A group of these settings, whatever they share (the figures file chooses them). */
al_status al_group_make(al_group *group, al_setting *const *settings, size_t n, size_t measure) AL_MUST_USE;
void al_group_free(al_group *group);
void al_groups_free(al_group *groups, size_t n);
/* Mean ranks (k) over the settings, 1 is best, and Friedman's test (of one setting: its ranks, and no test). */
al_status al_group_ranks(double *ranks, al_friedman *test, const al_group *group) AL_MUST_USE;
/* 1: better than random, 0: not told apart, -1: worse, by the Holm-corrected paired t test at 0.05. */
int al_row_verdict(const al_row *row, size_t measure);
/* "linear" or "linear, small" into 256 bytes; returns it. */
const char *al_group_title(const al_group *group, char text[256]);

#endif
