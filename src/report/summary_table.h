/* The summary table of a setting, as text, Markdown, LaTeX, CSV and HTML. */
#ifndef AL_REPORT_SUMMARY_TABLE_H
#define AL_REPORT_SUMMARY_TABLE_H

#include "base/memory.h"
#include "report/collect.h"

typedef enum al_table_style { AL_TABLE_TEXT, AL_TABLE_MD, AL_TABLE_TEX, AL_TABLE_CSV, AL_TABLE_HTML } al_table_style;

al_status al_table_append(al_buffer *out, const al_setting *setting, const al_table_of_setting *table,
                          al_table_style style) AL_MUST_USE;

/* One honest sentence: which strategy leads, by how much, and whether that is more than chance. */
al_status al_headline(al_buffer *out, const al_setting *setting, const al_table_of_setting *table) AL_MUST_USE;

/* Escapes text for HTML. */
al_status al_html_text(al_buffer *out, const char *text) AL_MUST_USE;

#endif
