/* Heat maps with named rows and columns and a text in each cell. */
#ifndef AL_REPORT_FIGURE_HEAT_H
#define AL_REPORT_FIGURE_HEAT_H

#include "report/canvas.h"

enum { AL_HEAT_TEXT = 24 };

typedef struct al_heat {
  size_t rows, columns;
  const char **row_names, **column_names; /* borrowed texts */
  double *values;                         /* rows x columns; NaN: an empty cell */
  char (*texts)[AL_HEAT_TEXT];            /* rows x columns */
  double least_top;                       /* the darkest colour stands for this value at least */
  bool diverging;                         /* around 0, blue above and orange below; else from 0 up */
} al_heat;

al_status al_heat_begin(al_heat *heat, size_t rows, size_t columns) AL_MUST_USE;
al_status al_heat_text(al_heat *heat, size_t row, size_t column, const char *format, ...) AL_PRINTF(4, 5) AL_MUST_USE;
/* Writes data, names and size; the template is heat.gp. Texts are left out where cells are too small for them. */
al_status al_heat_put(al_canvas *canvas, const al_heat *heat) AL_MUST_USE;
void al_heat_free(al_heat *heat);

#endif
