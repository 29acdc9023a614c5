/* The gate: did a strategy lose quality against a pinned baseline? Definitions and error rates: docs/gate.md. */
#ifndef AL_STATS_GATE_H
#define AL_STATS_GATE_H

#include "base/memory.h"
#include "stats/curve_set.h"

#define AL_GATE_SCHEMA "alab.gate/1"
enum { AL_GATE_LEAST = 5 }; /* fewer replicates decide nothing */

typedef enum al_verdict { AL_IDENTICAL, AL_PASS, AL_REGRESSED, AL_INCONCLUSIVE } al_verdict;
extern const char *const al_verdict_names[4]; /* "identical", "pass", "regressed", "inconclusive" */

/* One strategy in one setting. Texts are borrowed from the baseline. */
typedef struct al_gate_test {
  const char *dataset, *model, *setting, *strategy;
  size_t n;                 /* replicates that both sides have */
  size_t missing;           /* replicates of the baseline that the study lacks */
  size_t *replicates;       /* n */
  double *fresh, *pinned;   /* n: areas of the study and of the baseline; negated where lower is better */
  bool paired, identical;   /* identical: the digests of all round lines are equal */
  const char *why_unpaired; /* "" when paired */
  int changed; /* 1: other rows were asked on the same CPU, BLAS, libtorch, compiler and flags; 0: the same rows;
                  -1: those differ or are unknown, so that it cannot be judged */
  /* filled by al_gate_decide */
  al_verdict verdict;
  double difference; /* mean of fresh - pinned: below 0 is a loss */
  double sd;         /* of the differences; unpaired: standard error times sqrt(n) */
  double lower;      /* one-sided 1 - alpha lower bound of the difference */
  double p, p_holm;  /* of "the mean difference is 0 or more"; NaN when identical */
  size_t worst;      /* index of the replicate with the lowest fresh - pinned (unpaired: lowest fresh) */
  double worst_difference;
  size_t needed; /* inconclusive: replicates that detect a loss of the margin with 80 % power; 0: more than a million,
                    or unknown */
} al_gate_test;

/* Decides n tests together: Holm goes over those that are not identical. margin > 0; alpha: of one look. */
al_status al_gate_decide(al_gate_test *tests, size_t n, double margin, double alpha) AL_MUST_USE;

/* A baseline file in memory: curves, and the range of labels of each setting. */
typedef struct al_gate_range {
  char *dataset, *model, *setting;
  double from, to;
} al_gate_range;
typedef struct al_gate_baseline {
  char *study;
  al_curve_set *set;
  al_gate_range *ranges;
  size_t n, capacity;
} al_gate_baseline;

/* The text of a baseline file from a set's cells: reviewable JSON, a line a cell. A setting whose cells share no range
 * of labels is AL_BAD_INPUT. */
al_status al_gate_pin(al_buffer *out, const al_curve_set *set, const char *study) AL_MUST_USE;
/* Another schema, a member that is missing or of another kind: AL_BAD_INPUT "path: ...". At most 64 MiB. */
al_status al_gate_read(al_gate_baseline **out, const char *path) AL_MUST_USE;
void al_gate_baseline_free(al_gate_baseline *baseline);

/* Matches and measures: a test for each strategy and setting of the baseline, in its order, not yet decided. A strategy
 * of which the set has no replicate, or a curve that does not cover the baseline's range, is AL_BAD_INPUT. */
al_status al_gate_match(al_gate_test **tests, size_t *n, const al_gate_baseline *baseline,
                        const al_curve_set *set) AL_MUST_USE;
void al_gate_tests_free(al_gate_test *tests, size_t n);

/* What a baseline that is written now will need: replicates for each strategy and setting, from sqrt(2) times the sd of
 * its areas' differences to random (random itself, or a setting without it: of its areas). */
typedef struct al_gate_size {
  const char *dataset, *model, *setting, *strategy;
  size_t n, needed;
  double mean, sd; /* of the areas; of what a difference to a later run is expected to have */
} al_gate_size;
al_status al_gate_sizes(al_gate_size **out, size_t *n, const al_curve_set *set, double margin,
                        double alpha) AL_MUST_USE;

#endif
