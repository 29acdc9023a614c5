/* What the gate says: a table, JSON, GitHub's annotations, JUnit XML. Keys and columns: docs/gate.md. */
#ifndef AL_CLI_GATE_PRINT_H
#define AL_CLI_GATE_PRINT_H

#include "base/memory.h"
#include "stats/gate.h"

#include <stdio.h>

typedef struct al_gate_report {
  const char *study, *baseline; /* folder and file, as given */
  const al_curve_set *set;
  const al_gate_test *tests; /* decided */
  size_t n;
  double margin, alpha; /* alpha: of one look */
  size_t looks;
  bool strict;
} al_gate_report;

/* The worst verdict; inconclusive is worse than pass, regressed than inconclusive. */
al_verdict al_gate_overall(const al_gate_report *report);

al_status al_gate_print_text(const al_gate_report *report, FILE *out) AL_MUST_USE;
al_status al_gate_print_json(const al_gate_report *report, FILE *out) AL_MUST_USE;
al_status al_gate_print_github(const al_gate_report *report, FILE *out) AL_MUST_USE;
al_status al_gate_junit(al_buffer *out, const al_gate_report *report) AL_MUST_USE;

/* The sizes of a baseline just written. */
al_status al_gate_print_sizes(const al_gate_size *sizes, size_t n, const al_curve_set *set, double margin, double alpha,
                              const char *format, FILE *out) AL_MUST_USE;

#endif
