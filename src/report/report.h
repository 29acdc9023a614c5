/* The report of one study, and the figures of a paper. */
#ifndef AL_REPORT_REPORT_H
#define AL_REPORT_REPORT_H

#include "report/canvas.h"

#include <stdio.h>

typedef struct al_report_options {
  const char *out;  /* folder, made when missing; for figures NULL: "figures" beside the file */
  unsigned formats; /* AL_FORMAT_... */
  size_t measure;   /* what curves and areas show; figures files say it themselves */
  size_t jobs;      /* gnuplot processes at once */
} al_report_options;

/* Writes figures, tables, audit and index.html of the study in this folder, and its tables as text to `text` (NULL:
 * not). */
al_status al_report_study(const char *study, const al_report_options *options, FILE *text) AL_MUST_USE;

/* The figures that a YAML file lists (docs/report.md), drawn from the logs of the studies it names. */
al_status al_report_figures(const char *file, const al_report_options *options) AL_MUST_USE;

#endif
