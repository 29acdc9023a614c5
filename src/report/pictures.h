/* The figures of a report: what was asked for, what became of it, and what the page says of it. */
#ifndef AL_REPORT_PICTURES_H
#define AL_REPORT_PICTURES_H

#include "report/figure.h"

typedef struct al_picture {
  const al_figure_type *type;
  al_axis axis;
  char *folder, *name;     /* files are <out>/<folder>/<name>.* */
  char *title;             /* "Learning curves: trec, linear" */
  char *caption, *skipped; /* what the data show; why there is nothing to draw (NULL: drawn) */
  size_t drawing;          /* index among the drawings */
} al_picture;

typedef struct al_pictures {
  al_picture *items;
  size_t n, capacity;
  al_drawings drawings;
} al_pictures;

typedef struct al_picture_request {
  const al_figure_type *type;
  al_figure_request figure;
  const char *out, *folder, *name, *source, *redraw;
  double width, height; /* inches; 0: the figure's own */
} al_picture_request;

/* Computes the figure and queues it; one with nothing to draw is kept with its reason. */
al_status al_pictures_add(al_pictures *pictures, const al_picture_request *request) AL_MUST_USE;
void al_pictures_free(al_pictures *pictures);

#endif
