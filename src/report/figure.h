/* Figures: data and gnuplot script kept side by side, drawn by gnuplot as a child process. */
#ifndef AL_REPORT_FIGURE_H
#define AL_REPORT_FIGURE_H

#include "base/status.h"
#include "report/collect.h"

#include <stdbool.h>

enum {
  AL_FORMAT_HTML = 1,
  AL_FORMAT_SVG = 2,
  AL_FORMAT_PDF = 4,
  AL_FORMAT_PNG = 8,
  AL_FORMAT_TEX = 16,
  AL_FORMAT_MD = 32,
  AL_FORMAT_CSV = 64
};

typedef enum al_figure_kind { AL_FIGURE_LABELS, AL_FIGURE_COST, AL_FIGURE_TIME } al_figure_kind;

/* Writes <folder>/<name>.dat and .gp (and style.gp once) and draws the formats. *drawn = false when gnuplot is missing
 * or fails; that is a warning, the report goes on without the picture. full: full-data accuracy or NaN. */
al_status al_figure_draw(const char *folder, const char *name, const al_setting *setting, al_figure_kind kind,
                         double full, const char *source, unsigned formats, bool *drawn) AL_MUST_USE;

#endif
