/* Power laws through mean learning curves, and what they would say beyond the last label. */
#include "report/figure_parts.h"
#include "stats/curve_fit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { STEPS = 40 };

static al_status put_fit(al_canvas *canvas, const char *strategy, const al_curve_fit *fit, double from, double to,
                         const char *what) {
  al_status status;
  AL_TRY(al_canvas_block(canvas, "%s, fitted curve, %s: labels, value", strategy, what));
  if (!fit->converged) return al_canvas_row(canvas, "NaN NaN");
  for (size_t i = 0; i <= STEPS; i++) {
    double x = from * pow(to / from, (double)i / STEPS), row[] = {x, al_curve_fit_at(fit, x)};
    AL_TRY(al_canvas_numbers(canvas, row, 2));
  }
done:
  return status;
}

static al_status fit_curve(al_curve_fit *fit, const al_mean_curve *curve) {
  al_status status;
  double *y = NULL, *error = NULL;
  AL_TRY(AL_NEW(&y, curve->n));
  AL_TRY(AL_NEW(&error, curve->n));
  for (size_t i = 0; i < curve->n; i++) {
    y[i] = curve->y[i].mean;
    error[i] = curve->y[i].n > 1 ? curve->y[i].sd / sqrt((double)curve->y[i].n) : 0.0;
  }
  AL_TRY(al_curve_fit_make(fit, curve->x, y, error, curve->n));
done:
  free(y);
  free(error);
  return status;
}

static al_status draw_fits(al_canvas *canvas, const al_figure_request *r) {
  al_status status;
  al_setting *s = r->settings[0];
  const al_table_of_setting *t = NULL;
  size_t *order = NULL, panels = 0, fitted = 0;
  double x_from = INFINITY, x_to = 0.0, y_from = INFINITY, y_to = -INFINITY;
  char n[64];
  AL_TRY(al_setting_table(&t, s, r->measure, AL_AXIS_LABELS));
  AL_TRY(AL_NEW(&order, s->n));
  al_table_order(order, t);
  AL_TRY(al_canvas_array(canvas, "titles", s->n));
  AL_TRY(al_canvas_array(canvas, "styles", s->n));
  AL_TRY(al_canvas_array(canvas, "says", s->n));
  for (size_t i = 0; i < s->n; i++) {
    const al_contender *c = &s->contenders[order[i]];
    al_mean_curve curve;
    al_curve_fit fit = {.a = NAN, .b = NAN, .c = NAN};
    AL_TRY(al_mean_curve_of(&curve, c, NULL, AL_AXIS_LABELS, r->measure));
    status = fit_curve(&fit, &curve);
    if (status == AL_OK)
      status = al_canvas_block(canvas, "%s: labels, mean, low and high of the 95 %% t interval", c->strategy);
    for (size_t p = 0; p < curve.n && status == AL_OK; p++) {
      const al_interval *y = &curve.y[p];
      double row[] = {curve.x[p], y->mean, y->n > 1 ? y->low : y->mean, y->n > 1 ? y->high : y->mean};
      status = al_canvas_numbers(canvas, row, 4);
      y_from = fmin(y_from, row[2]);
      y_to = fmax(y_to, row[3]);
    }
    if (curve.n == 0 && status == AL_OK) status = al_canvas_row(canvas, "NaN NaN NaN NaN");
    double first = curve.n == 0 ? 1.0 : curve.x[0], last = curve.n == 0 ? 1.0 : curve.x[curve.n - 1];
    al_mean_curve_free(&curve);
    if (status != AL_OK) goto done;
    AL_TRY(put_fit(canvas, c->strategy, &fit, first, last, "within the data"));
    AL_TRY(put_fit(canvas, c->strategy, &fit, last, 2.0 * last, "EXTRAPOLATED"));
    x_from = fmin(x_from, first);
    x_to = fmax(x_to, 2.0 * last);
    if (fit.converged) y_to = fmax(y_to, al_curve_fit_at(&fit, 2.0 * last));
    if (fit.converged) y_from = fmin(y_from, al_curve_fit_at(&fit, 2.0 * last));
    fitted += fit.converged;
    panels++;
    AL_TRY(al_canvas_text_at(canvas, "titles", panels, "%s", c->strategy));
    if (fit.converged)
      AL_TRY(al_canvas_text_at(canvas, "says", panels, "a %.2f, c %.2f", fit.a, fit.c));
    else
      AL_TRY(al_canvas_text_at(canvas, "says", panels, "no fit"));
    AL_TRY(al_canvas_set_at(canvas, "styles", panels, (double)c->style));
  }
  if (fitted == 0) {
    status = al_canvas_skip(canvas, "no curve follows a - b x^-c closely enough to be fitted");
    goto done;
  }
  AL_TRY(al_canvas_panels(canvas, panels, panels <= 8 ? 2.2 : 1.4, panels <= 8 ? 1.75 : 1.3, 1.25));
  if (isfinite(t->full)) {
    y_from = fmin(y_from, t->full);
    y_to = fmax(y_to, t->full);
  }
  double air = 0.05 * (y_to > y_from ? y_to - y_from : 1.0);
  AL_TRY(al_canvas_titles(canvas, r, "Fitted power laws"));
  AL_TRY(al_canvas_set(canvas, "x_from", x_from));
  AL_TRY(al_canvas_set(canvas, "x_to", x_to));
  AL_TRY(al_canvas_set(canvas, "y_from", y_from - air));
  AL_TRY(al_canvas_set(canvas, "y_to", y_to + air));
  AL_TRY(al_canvas_set(canvas, "full", t->full));
  const al_contender *one = &s->contenders[0];
  AL_TRY(al_canvas_text(canvas, "note",
                        "bars: mean and 95 %% t interval, %s; solid: a - b x^(-c), weights 1/se^2; dashed, shaded: "
                        "EXTRAPOLATED, no data; dotted: full data",
                        al_replicates_text(&one, 1, n)));
  AL_TRY(al_canvas_say(canvas, "%zu of %zu curves could be fitted.", fitted, panels));
done:
  free(order);
  return status;
}

const al_figure_type al_figure_fits = {
    .name = "fits",
    .title = "Fitted power laws",
    .see = "A power law a - b x^-c through each mean curve; a is where it would end. What is dashed on the shaded "
           "ground is "
           "extrapolation to twice the labels: a guess of the formula, not a measurement.",
    .any_measure = true,
    .draw = draw_fits};
