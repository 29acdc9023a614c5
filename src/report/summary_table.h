/* The tables of a report: a setting's summary, and the ranking over several datasets. */
#ifndef AL_REPORT_SUMMARY_TABLE_H
#define AL_REPORT_SUMMARY_TABLE_H

#include "report/grid.h"
#include "report/summarise.h"

/* People see as many digits as the interval supports. */
al_status al_summary_grid(al_grid *out, const al_setting *setting, const al_table_of_setting *table) AL_MUST_USE;
al_status al_ranking_grid(al_grid *out, const al_group *group, size_t measure) AL_MUST_USE;

/* The same with 17 significant digits and more columns (docs/report.md); the header only when `out` is empty. */
al_status al_summary_csv(al_buffer *out, const al_setting *setting, const al_table_of_setting *table) AL_MUST_USE;
al_status al_ranking_csv(al_buffer *out, const al_group *group, size_t measure) AL_MUST_USE;

/* One honest sentence: which strategy leads, by how much, and whether that is more than chance. */
al_status al_headline(al_buffer *out, const al_setting *setting, const al_table_of_setting *table) AL_MUST_USE;

#endif
