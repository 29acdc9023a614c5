/* What `alab compare` says. Keys and columns: docs/statistics.md. */
#ifndef AL_CLI_COMPARE_PRINT_H
#define AL_CLI_COMPARE_PRINT_H

#include "cli/text_table.h"
#include "stats/compare.h"

/* Tables for people, as text or Markdown. */
al_status al_compare_print_tables(const al_comparison *comparison, al_text_style style, FILE *out) AL_MUST_USE;
/* A row a unit and summary. */
al_status al_compare_print_csv(const al_comparison *comparison, FILE *out) AL_MUST_USE;
al_status al_compare_print_json(const al_comparison *comparison, FILE *out) AL_MUST_USE;

#endif
