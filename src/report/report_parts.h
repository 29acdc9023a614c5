/* A report while it is put together. Private to report. */
#ifndef AL_REPORT_REPORT_PARTS_H
#define AL_REPORT_REPORT_PARTS_H

#include "report/audit.h"
#include "report/pictures.h"
#include "report/report.h"
#include "report/summarise.h"

/* Figures of one setting or group: a range of al_pictures.items. */
typedef struct al_span {
  size_t from, to;
} al_span;

typedef struct al_report {
  const al_report_options *options;
  const char *study; /* its folder, as given */
  al_collection *c;
  al_group *groups; /* group_count */
  size_t group_count;
  al_span *of_setting, *of_group; /* c->n, group_count */
  al_pictures pictures;
  al_audit audit;
  char *redraw; /* the command, without a folder of this machine */
} al_report;

/* index.html, self-contained. */
al_status al_page_write(const al_report *report) AL_MUST_USE;

#endif
