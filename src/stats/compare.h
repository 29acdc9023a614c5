/* Comparing curves: the strategies of one source with a baseline strategy, or several sources with the first
 * (docs/statistics.md). Everything that `alab compare` prints, as numbers; what does not exist is NaN. */
#ifndef AL_STATS_COMPARE_H
#define AL_STATS_COMPARE_H

#include "stats/bootstrap.h"
#include "stats/curve_set.h"
#include "stats/hypothesis.h"

/* aulc: area under the curve over labels, divided by the range; aulc_cost: over cost; final: the last value. */
typedef enum al_summary { AL_AULC, AL_AULC_COST, AL_FINAL, AL_SUMMARIES } al_summary;
extern const char *const al_summary_names[AL_SUMMARIES];

/* One summary of one unit, and its difference to that of the unit it is compared with. */
typedef struct al_versus {
  bool exists;      /* there is a value: a common range (aulc), costs that differ from labels (aulc_cost) */
  double from, to;  /* range of the area */
  double *values;   /* n of the unit, in the order of its cells */
  al_interval mean; /* of the values */
  al_bounds bca;    /* of the mean, from AL_BCA_LEAST replicates */
  /* the difference: own - other, in the metric's own sign */
  bool compared, paired;
  size_t pairs; /* paired: differences there are; else 0, and both sides have their n */
  double difference, low, high, sd, standard_error, df;
  al_bounds difference_bca;
  double p, p_holm;                                   /* paired t, or Welch's */
  double p_wilcoxon, p_wilcoxon_holm;                 /* paired only */
  bool wilcoxon_too_small;                            /* so few non-zero differences that no p could be rejected */
  bool constant;                                      /* all differences equal and not 0 */
  size_t won, tied;                                   /* pairs that are better; within 1e-12 */
  size_t family;                                      /* m of Holm */
  double detectable, detectable_low, detectable_high; /* 80 % power at alpha / m; the interval below 10 replicates */
} al_versus;

/* One strategy of one side in one setting. Texts are borrowed from the set. */
typedef struct al_unit {
  const char *dataset, *model, *setting, *strategy;
  size_t side, group;          /* indices */
  size_t against;              /* the unit it is compared with; SIZE_MAX: none */
  const al_cell_curve **cells; /* n, by replicate */
  size_t n;
  al_versus versus[AL_SUMMARIES];
  /* labels to the target of the group; of cells that no quality rule has ended */
  double target_labels; /* median; NaN: not reached by enough */
  size_t reached, censored, by_rule;
  bool at_start;
  al_utilisation use;       /* to the unit it is compared with */
  al_deficiency deficiency; /* paired only */
} al_unit;

/* A setting: what is compared with each other shares its ranges. */
typedef struct al_compared_group {
  size_t first, n;     /* units */
  double full, target; /* full-data value and 0.9 of it; NaN: no reference, or a metric where lower is better */
  double limit;        /* smallest last labels of all its cells */
  bool half_budget;    /* the common range is below half of the budget */
} al_compared_group;

/* Many datasets under one model and setting. k strategies that all its datasets have. */
typedef struct al_ranking {
  const char *model, *setting;
  const char **datasets;   /* blocks */
  const char **strategies; /* k */
  size_t blocks, k;
  double *values;     /* blocks x k: mean area over replicates */
  double *mean_ranks; /* k; 1 = best */
  bool tested;        /* at least AL_DATASETS_LEAST datasets */
  al_friedman friedman;
  double critical_difference;
  double *p_wilcoxon;           /* k x k, Holm */
  size_t *wins, *ties, *losses; /* k: datasets, against the baseline by the Holm-corrected test of each setting */
  bool has_baseline;
} al_ranking;
enum { AL_DATASETS_LEAST = 6 };

/* Ash's pairwise penalty matrix over all settings that have checkpoints. */
typedef struct al_penalties {
  const char **strategies;     /* k that all these settings have; k 0: there is no matrix */
  size_t k, settings, skipped; /* skipped: settings without a checkpoint or without random */
  double *matrix;              /* k x k: [i][j] how often i beats j */
  double *column_means;        /* k: lower is better */
} al_penalties;

typedef struct al_comparison {
  const al_curve_set *set;
  double alpha;
  const char *baseline; /* strategy; NULL with several sides, or where no source has it */
  char **sides;         /* names; one: strategies within a source; several: each against the first */
  size_t side_count, side_capacity;
  al_unit *units;
  size_t n, capacity;
  al_compared_group *groups;
  size_t group_count, group_capacity;
  al_ranking *rankings;
  size_t ranking_count, ranking_capacity;
  al_penalties penalties;
  size_t unmatched; /* cells that have no counterpart on the first side, or on another */
} al_comparison;

/* baseline: a strategy, or NULL: random where there is one. across_model: sides differ in model (and source), cells are
 * matched without it. Unknown baseline, a baseline with several sides, nothing that matches: AL_BAD_INPUT. */
al_status al_compare(al_comparison **out, const al_curve_set *set, const char *baseline, bool across_model,
                     double alpha) AL_MUST_USE;
void al_comparison_free(al_comparison *comparison);

#endif
