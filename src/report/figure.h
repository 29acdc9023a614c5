/* Figures. Each kind is a const struct: a name, what it shows, and a function that fills a canvas with data and
 * settings; its gnuplot template is plots/<kind>.gp. */
#ifndef AL_REPORT_FIGURE_H
#define AL_REPORT_FIGURE_H

#include "report/canvas.h"
#include "report/summarise.h"

typedef struct al_figure_request {
  al_setting **settings; /* n: one, or for kinds that are `across` several */
  size_t n;
  size_t measure;
  al_axis axis;
} al_figure_request;

typedef struct al_figure_type {
  const char *name, *title;
  const char *see;  /* the caption: what to see in it */
  bool across;      /* takes several datasets at once */
  bool any_measure; /* `metric` chooses what it shows */
  bool any_axis;    /* `x` may be cost */
  /* Fills the canvas, or says in it why there is nothing to draw (al_canvas_skip). */
  al_status (*draw)(al_canvas *canvas, const al_figure_request *request);
} al_figure_type;

extern const al_figure_type al_figure_areas, al_figure_balance, al_figure_calibration, al_figure_curves,
    al_figure_differences, al_figure_fits, al_figure_labelled, al_figure_metrics, al_figure_overlap, al_figure_overview,
    al_figure_penalty, al_figure_ranks, al_figure_targets, al_figure_time, al_figure_wins;

extern const al_figure_type *const al_figure_types[]; /* ends with NULL */
/* Unknown names are AL_BAD_INPUT with the nearest valid one. */
al_status al_figure_find(const al_figure_type **out, const char *name, const char *where) AL_MUST_USE;

#endif
