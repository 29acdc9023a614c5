/* The report of one study: figures, tables and a page. */
#ifndef AL_REPORT_REPORT_H
#define AL_REPORT_REPORT_H

#include "base/status.h"
#include "report/figure.h"

#include <stdio.h>

/* Writes the report of `study` into `out` (made when missing) and its tables as text to `text` (NULL: not). */
al_status al_report_study(const char *study, const char *out, unsigned formats, FILE *text) AL_MUST_USE;

#endif
