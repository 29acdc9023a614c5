/* A table of texts, printed for people (columns aligned), as Markdown or as CSV. */
#ifndef AL_CLI_TEXT_TABLE_H
#define AL_CLI_TEXT_TABLE_H

#include "base/memory.h"
#include "base/status.h"

#include <stdio.h>

typedef enum al_text_style { AL_STYLE_TEXT, AL_STYLE_MD, AL_STYLE_CSV } al_text_style;

/* {.columns = n} is an empty table. Cells are added row by row; the first row is the head. */
typedef struct al_text_table {
  size_t columns, n, capacity;
  char **cells; /* n */
} al_text_table;

al_status al_text_table_add(al_text_table *table, const char *format, ...) AL_PRINTF(2, 3) AL_MUST_USE;
/* A number with 17 significant digits; nothing where there is none. */
al_status al_text_table_exact(al_text_table *table, double value) AL_MUST_USE;
void al_text_table_print(const al_text_table *table, al_text_style style, FILE *out);
void al_text_table_free(al_text_table *table);

/* Digits behind the point that an interval of this half-width supports. */
int al_digits_of(double half_width);
/* "0.023", "< 0.0001", "-" into 24 bytes; returns it. */
const char *al_show_p(double p, char text[24]);

#endif
