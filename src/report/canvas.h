/* A figure in the making: its data file and its gnuplot script, kept beside the pictures, and the drawing of many by
 * gnuplot as a child process. */
#ifndef AL_REPORT_CANVAS_H
#define AL_REPORT_CANVAS_H

#include "base/memory.h"
#include "report/collect.h"

#include <stdbool.h>

enum {
  AL_FORMAT_HTML = 1,
  AL_FORMAT_SVG = 2,
  AL_FORMAT_PDF = 4,
  AL_FORMAT_PNG = 8,
  AL_FORMAT_TEX = 16,
  AL_FORMAT_MD = 32,
  AL_FORMAT_CSV = 64,
  AL_FORMAT_ALL = 127,
  AL_FORMAT_PICTURES = AL_FORMAT_HTML | AL_FORMAT_SVG | AL_FORMAT_PDF | AL_FORMAT_PNG | AL_FORMAT_TEX
};

typedef struct al_canvas {
  const char *name;     /* of the files, without extension */
  const char *template; /* plots/<template>.gp */
  const char *source;   /* "study 20ng-linear" */
  const char *redraw;   /* the command that draws it anew from the logs */
  double width, height; /* inches */
  size_t blocks;        /* in the data so far */
  al_buffer data, script, skipped, caption;
} al_canvas;

void al_canvas_free(al_canvas *canvas);

/* Says why there is nothing to draw. */
al_status al_canvas_skip(al_canvas *canvas, const char *format, ...) AL_PRINTF(2, 3) AL_MUST_USE;
/* A sentence for the caption: what these data show. */
al_status al_canvas_say(al_canvas *canvas, const char *format, ...) AL_PRINTF(2, 3) AL_MUST_USE;

/* Script lines: name = value. Text is quoted, and escaped for LaTeX where gnuplot writes LaTeX. */
al_status al_canvas_set(al_canvas *canvas, const char *name, double value) AL_MUST_USE;
al_status al_canvas_text(al_canvas *canvas, const char *name, const char *format, ...) AL_PRINTF(3, 4) AL_MUST_USE;
/* "array name[n]", and its elements from 1 on. */
al_status al_canvas_array(al_canvas *canvas, const char *name, size_t n) AL_MUST_USE;
al_status al_canvas_set_at(al_canvas *canvas, const char *array, size_t at, double value) AL_MUST_USE;
al_status al_canvas_text_at(al_canvas *canvas, const char *array, size_t at, const char *format, ...)
    AL_PRINTF(4, 5) AL_MUST_USE;

/* Begins a data block: gnuplot's `index`, counted from 0 in canvas->blocks. The comment names it and its columns. */
al_status al_canvas_block(al_canvas *canvas, const char *format, ...) AL_PRINTF(2, 3) AL_MUST_USE;
al_status al_canvas_row(al_canvas *canvas, const char *format, ...) AL_PRINTF(2, 3) AL_MUST_USE;
/* Numbers of a row with 10 significant digits; NaN as gnuplot reads it. */
al_status al_canvas_numbers(al_canvas *canvas, const double *values, size_t n) AL_MUST_USE;

/* Figures that wait for gnuplot. */
typedef struct al_drawing {
  char *folder, *name, *source;
  bool drawn; /* in every format that was asked for */
} al_drawing;
typedef struct al_drawings {
  al_drawing *items;
  size_t n, capacity;
} al_drawings;

/* Writes <folder>/<name>.dat, <name>.gp and style.gp, and adds the figure to those that wait. */
al_status al_canvas_finish(al_canvas *canvas, const char *folder, al_drawings *drawings) AL_MUST_USE;

/* Draws all of them in these formats, `jobs` children at once. A gnuplot that is missing, too old or fails is one
 * warning, and the pictures stay away; what is drawn twice is equal byte by byte. */
al_status al_drawings_make(al_drawings *drawings, unsigned formats, size_t jobs) AL_MUST_USE;
void al_drawings_free(al_drawings *drawings);

/* The files of plots/ and the page's, built into the program. NULL: there is none of this name. */
typedef struct al_asset {
  const char *name, *text;
} al_asset;
extern const al_asset al_assets[]; /* ends with name NULL */
const char *al_asset_text(const char *name);

#endif
