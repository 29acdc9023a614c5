/* What several figures share: which strategies are named, where labels stand, notes on replicates. */
#ifndef AL_REPORT_FIGURE_PARTS_H
#define AL_REPORT_FIGURE_PARTS_H

#include "report/figure.h"

enum { AL_MOST_NAMED = 9, AL_STYLES = 12, AL_GREY_STYLE = 92 };

/* The strategies that get a colour, a marker and a name, and those that stay grey behind them: random and the best of
 * the table, or those of the highest keys (a row each; NULL: the table's order). */
typedef struct al_choice {
  const al_contender **items; /* n: the named ones first, random before all, then by the table's order */
  size_t *styles;             /* named: line styles, all different */
  size_t named, n;
} al_choice;
al_status al_choose(al_choice *out, const al_table_of_setting *table, const double *keys, size_t most) AL_MUST_USE;
void al_choice_free(al_choice *choice);

/* Moves labels at `y` (n) apart so that each keeps `gap` to the next and all stay within [low, high], as near to where
 * they were as that allows. */
al_status al_spread(double *y, size_t n, double gap, double low, double high) AL_MUST_USE;

/* "n = 10 replicates" or "n = 8 to 10 replicates", over the contenders; into 64 bytes, returned. */
const char *al_replicates_text(const al_contender *const *contenders, size_t n, char text[64]);

/* Title, axis titles and what the figure's foot says: "note". */
al_status al_canvas_titles(al_canvas *canvas, const al_figure_request *request, const char *title) AL_MUST_USE;
const char *al_x_title(const al_setting *setting, al_axis axis);

/* Small multiples: "panels", "columns" and "rows", and the figure's size where the request leaves it open. shape:
 * columns to rows of a square number of panels; tall: inches a row of panels takes; frame: inches above and below all
 * of them. */
al_status al_canvas_panels(al_canvas *canvas, size_t panels, double shape, double tall, double frame) AL_MUST_USE;

/* Digits behind the point that an interval of this half-width supports: two of its own, at most 4. */
int al_digits(double half_width);
/* "p = 0.012", "p < 0.0001" or "-" into 24 bytes; returns it. */
const char *al_p_text(double p, char text[24]);

#endif
