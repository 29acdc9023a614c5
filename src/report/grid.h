/* A table of texts, written as text, Markdown, LaTeX (booktabs) or HTML whose columns can be sorted. */
#ifndef AL_REPORT_GRID_H
#define AL_REPORT_GRID_H

#include "base/memory.h"

#include <stdbool.h>

typedef enum al_grid_style { AL_GRID_TEXT, AL_GRID_MD, AL_GRID_TEX, AL_GRID_HTML } al_grid_style;

enum { AL_GRID_CELL = 72 };

typedef struct al_grid {
  const char *caption;      /* what a screen reader says first, and \caption's text */
  const char *const *heads; /* columns */
  size_t columns, rows;
  char (*cells)[AL_GRID_CELL]; /* rows x columns */
  double *keys;                /* rows x columns: what HTML sorts by; NaN: by text, or last among numbers */
} al_grid;

al_status al_grid_begin(al_grid *grid, const char *caption, const char *const *heads, size_t columns,
                        size_t rows) AL_MUST_USE;
void al_grid_put(al_grid *grid, size_t row, size_t column, double key, const char *format, ...) AL_PRINTF(5, 6);
al_status al_grid_append(al_buffer *out, const al_grid *grid, al_grid_style style) AL_MUST_USE;
void al_grid_free(al_grid *grid);

/* A CSV field, quoted where it must be; a number with 17 significant digits, empty where it does not exist. A comma in
 * front unless it begins the line. */
al_status al_csv_text(al_buffer *out, const char *text) AL_MUST_USE;
al_status al_csv_number(al_buffer *out, double value) AL_MUST_USE;

#endif
