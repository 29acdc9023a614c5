/* Heat maps: each cell a box whose colour and text colour are computed here, so that every format shows the same. */
#include "report/figure_heat.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_WITH_TEXT = 16 };

al_status al_heat_begin(al_heat *h, size_t rows, size_t columns) {
  al_status status;
  h->rows = rows;
  h->columns = columns;
  AL_TRY(AL_NEW(&h->row_names, rows));
  AL_TRY(AL_NEW(&h->column_names, columns));
  AL_TRY(AL_NEW(&h->values, rows * columns));
  AL_TRY(al_allocate(&h->texts, rows * columns, AL_HEAT_TEXT));
done:
  return status;
}

al_status al_heat_text(al_heat *h, size_t row, size_t column, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(h->texts[row * h->columns + column], AL_HEAT_TEXT, format, arguments);
  va_end(arguments);
  return AL_OK;
}

static unsigned mix(unsigned from, unsigned to, double share) {
  unsigned colour = 0;
  for (int shift = 16; shift >= 0; shift -= 8) {
    double a = (double)((from >> shift) & 255U), b = (double)((to >> shift) & 255U);
    colour |= (unsigned)lround(a + (b - a) * share) << shift;
  }
  return colour;
}

/* share in [-1, 1]: white at 0, blue at 1, orange at -1, with a darker blue half-way so that grey prints keep order. */
static unsigned colour_of(double share) {
  if (isnan(share)) return 0xeeeeee;
  return share >= 0.0 ? mix(0xf7fbff, 0x08519c, share) : mix(0xf7fbff, 0xb35806, -share);
}

al_status al_heat_put(al_canvas *canvas, const al_heat *h) {
  al_status status;
  double most = h->least_top;
  size_t longest = 0, tallest = 0;
  for (size_t i = 0; i < h->rows * h->columns; i++)
    if (!isnan(h->values[i])) most = fmax(most, fabs(h->values[i]));
  bool texts = h->columns <= MOST_WITH_TEXT;
  AL_TRY(al_canvas_block(canvas, "column, row (from above), value, colour, colour of the text, text"));
  for (size_t r = 0; r < h->rows; r++)
    for (size_t c = 0; c < h->columns; c++) {
      double value = h->values[r * h->columns + c], share = most > 0.0 ? value / most : value;
      AL_TRY(al_canvas_row(canvas, "%zu %zu %.10g %u %u \"%s\"", c + 1, r + 1, value, colour_of(share),
                           fabs(share) > 0.55 ? 0xfefefeU : 0x111111U, texts ? h->texts[r * h->columns + c] : ""));
    }
  AL_TRY(al_canvas_array(canvas, "row_names", h->rows));
  AL_TRY(al_canvas_array(canvas, "column_names", h->columns));
  for (size_t r = 0; r < h->rows; r++) {
    AL_TRY(al_canvas_text_at(canvas, "row_names", r + 1, "%s", h->row_names[r]));
    longest = strlen(h->row_names[r]) > longest ? strlen(h->row_names[r]) : longest;
  }
  for (size_t c = 0; c < h->columns; c++) {
    AL_TRY(al_canvas_text_at(canvas, "column_names", c + 1, "%s", h->column_names[c]));
    tallest = strlen(h->column_names[c]) > tallest ? strlen(h->column_names[c]) : tallest;
  }
  AL_TRY(al_canvas_set(canvas, "rows", (double)h->rows));
  AL_TRY(al_canvas_set(canvas, "columns", (double)h->columns));
  AL_TRY(al_canvas_set(canvas, "longest", (double)longest));
  AL_TRY(al_canvas_set(canvas, "tallest", (double)tallest));
  canvas->template = "heat";
  double row_height = h->rows > MOST_WITH_TEXT ? 0.2 : 0.3;
  canvas->width = canvas->width > 0.0 ? canvas->width : 8.6;
  canvas->height = canvas->height > 0.0
                       ? canvas->height
                       : 1.07 + (texts ? 0.056 : 0.066) * (double)tallest + row_height * (double)h->rows;
done:
  return status;
}

void al_heat_free(al_heat *h) {
  free(h->row_names);
  free(h->column_names);
  free(h->values);
  free(h->texts);
}
