/* Learning curves: a measure against labels or cost, differences to random, and all measures side by side. */
#include "report/figure_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A block: x, mean, low and high of the interval, replicates. The range of what is drawn is widened. */
static al_status put_curve(al_canvas *canvas, const char *name, const al_mean_curve *curve, double *least,
                           double *most) {
  al_status status;
  AL_TRY(al_canvas_block(canvas, "%s: x, mean, low and high of the 95 %% t interval, replicates", name));
  for (size_t i = 0; i < curve->n; i++) {
    const al_interval *y = &curve->y[i];
    double row[] = {curve->x[i], y->mean, y->n > 1 ? y->low : y->mean, y->n > 1 ? y->high : y->mean, (double)y->n};
    AL_TRY(al_canvas_numbers(canvas, row, 5));
    *least = fmin(*least, row[2]);
    *most = fmax(*most, row[3]);
  }
  if (curve->n == 0) AL_TRY(al_canvas_row(canvas, "NaN NaN NaN NaN 0"));
done:
  return status;
}

typedef struct {
  double x_from, x_to, y_from, y_to;
} frame;

/* ---- one measure ---- */

static al_status put_labels(al_canvas *canvas, const al_choice *choice, double *ends, double full, const frame *f) {
  al_status status;
  enum { LINE_PIXELS = 17 };
  double zoom = canvas->width < 6.0 ? fmax(0.6, sqrt(canvas->width / 6.0)) : 1.0; /* as in style.gp */
  double gap = (f->y_to - f->y_from) * LINE_PIXELS / (100.0 * fmax(0.5, canvas->height / zoom - 1.35));
  size_t n = choice->named + (isfinite(full) ? 1 : 0);
  ends[choice->named] = full;
  AL_TRY(al_spread(ends, n, gap, f->y_from, f->y_to));
  AL_TRY(al_canvas_array(canvas, "label_y", n));
  for (size_t i = 0; i < n; i++) {
    AL_TRY(al_canvas_set_at(canvas, "label_y", i + 1, ends[i]));
  }
done:
  return status;
}

static al_status put_names(al_canvas *canvas, const al_choice *choice) {
  al_status status;
  size_t longest = 0;
  AL_TRY(al_canvas_set(canvas, "named", (double)choice->named));
  AL_TRY(al_canvas_set(canvas, "grey", (double)(choice->n - choice->named)));
  AL_TRY(al_canvas_array(canvas, "names", choice->named));
  AL_TRY(al_canvas_array(canvas, "styles", choice->named));
  for (size_t i = 0; i < choice->named; i++) {
    const char *label = choice->items[i]->strategy;
    longest = strlen(label) > longest ? strlen(label) : longest;
    AL_TRY(al_canvas_text_at(canvas, "names", i + 1, "%s", label));
    AL_TRY(al_canvas_set_at(canvas, "styles", i + 1, (double)choice->styles[i]));
  }
  AL_TRY(al_canvas_set(canvas, "longest", (double)longest));
done:
  return status;
}

/* What the foot says of the strategies that have no name. */
static al_status put_note(al_canvas *canvas, const al_choice *choice, const char *what) {
  char n[64], others[160] = "";
  if (choice->n > choice->named)
    snprintf(others, sizeof others, "; named: random and the %zu best by area, grey: the other %zu", choice->named - 1,
             choice->n - choice->named);
  return al_canvas_text(canvas, "note", "%s, %s%s", what, al_replicates_text(choice->items, choice->n, n), others);
}

static al_status draw_curves(al_canvas *canvas, const al_figure_request *r) {
  al_status status;
  al_setting *s = r->settings[0];
  al_choice choice = {0};
  double *ends = NULL, *end_x = NULL;
  const al_table_of_setting *t = NULL;
  frame f = {INFINITY, -INFINITY, INFINITY, -INFINITY};
  canvas->width = canvas->width > 0.0 ? canvas->width : 8.6;
  canvas->height = canvas->height > 0.0 ? canvas->height : 5.0;
  AL_TRY(al_setting_table(&t, s, r->measure, r->axis));
  AL_TRY(al_choose(&choice, t, NULL, AL_MOST_NAMED));
  AL_TRY(AL_NEW(&ends, choice.named + 1));
  AL_TRY(AL_NEW(&end_x, choice.named));
  bool any = false;
  for (size_t i = 0; i < choice.n; i++) {
    al_mean_curve curve;
    AL_TRY(al_mean_curve_of(&curve, choice.items[i], NULL, r->axis, r->measure));
    double ignored_low = INFINITY, ignored_high = -INFINITY;
    bool named = i < choice.named;
    status = put_curve(canvas, choice.items[i]->strategy, &curve, named ? &f.y_from : &ignored_low,
                       named ? &f.y_to : &ignored_high);
    if (curve.n != 0) {
      any = true;
      f.x_from = fmin(f.x_from, curve.x[0]);
      f.x_to = fmax(f.x_to, curve.x[curve.n - 1]);
      if (named) {
        ends[i] = curve.y[curve.n - 1].mean;
        end_x[i] = curve.x[curve.n - 1];
      }
    }
    al_mean_curve_free(&curve);
    if (status != AL_OK) goto done;
  }
  if (!any) {
    status = al_canvas_skip(canvas, "no round has a %s", al_measures[r->measure].title);
    goto done;
  }
  if (isfinite(t->full)) {
    f.y_from = fmin(f.y_from, t->full);
    f.y_to = fmax(f.y_to, t->full);
  }
  double air = 0.03 * (f.y_to > f.y_from ? f.y_to - f.y_from : 1.0);
  f.y_from -= air;
  f.y_to += air;
  AL_TRY(al_canvas_titles(canvas, r, r->axis == AL_AXIS_COST ? "Learning curves against cost" : "Learning curves"));
  AL_TRY(put_names(canvas, &choice));
  AL_TRY(al_canvas_set(canvas, "full", t->full));
  AL_TRY(al_canvas_set(canvas, "x_from", f.x_from));
  AL_TRY(al_canvas_set(canvas, "x_to", f.x_to > f.x_from ? f.x_to : f.x_from + 1.0));
  AL_TRY(al_canvas_set(canvas, "y_from", f.y_from));
  AL_TRY(al_canvas_set(canvas, "y_to", f.y_to));
  AL_TRY(al_canvas_array(canvas, "end_x", choice.named));
  AL_TRY(al_canvas_array(canvas, "end_y", choice.named));
  for (size_t i = 0; i < choice.named; i++) {
    AL_TRY(al_canvas_set_at(canvas, "end_x", i + 1, end_x[i]));
    AL_TRY(al_canvas_set_at(canvas, "end_y", i + 1, ends[i]));
  }
  AL_TRY(put_labels(canvas, &choice, ends, t->full, &f));
  AL_TRY(put_note(canvas, &choice, "mean and 95 % t interval (bars, set apart sideways)"));
  size_t best = choice.named > 1 ? 1 : 0;
  if (!isnan(t->rows[0].aulc.mean) && choice.named > 1)
    AL_TRY(
        al_canvas_say(canvas, "Here %s has the best mean area: %.4f, against %.4f of %s.", choice.items[best]->strategy,
                      al_mean_interval(t->rows[choice.items[best] - s->contenders].areas, choice.items[best]->n).mean,
                      t->rows[choice.items[0] - s->contenders].aulc.mean, choice.items[0]->strategy));
done:
  al_choice_free(&choice);
  free(ends);
  free(end_x);
  return status;
}

const al_figure_type al_figure_curves = {.name = "curves",
                                         .title = "Learning curves",
                                         .see = "The higher a curve, the more the model learnt from the same effort; "
                                                "what lies above random's dashed line saves "
                                                "effort. The dotted line is the model fitted on the whole pool.",
                                         .any_measure = true,
                                         .any_axis = true,
                                         .draw = draw_curves};

/* ---- small multiples ---- */

static al_status draw_differences(al_canvas *canvas, const al_figure_request *r) {
  al_status status;
  al_setting *s = r->settings[0];
  const al_contender *random = al_setting_random(s);
  const al_table_of_setting *t = NULL;
  size_t *order = NULL, panels = 0;
  frame f = {INFINITY, -INFINITY, 0.0, 0.0};
  if (random == NULL || s->n < 2)
    return al_canvas_skip(canvas, "differences are to random, which %s",
                          random == NULL ? "is not here" : "stands alone");
  AL_TRY(al_setting_table(&t, s, r->measure, r->axis));
  AL_TRY(AL_NEW(&order, s->n));
  al_table_order(order, t);
  AL_TRY(al_canvas_array(canvas, "titles", s->n - 1));
  AL_TRY(al_canvas_array(canvas, "styles", s->n - 1));
  for (size_t i = 0; i < s->n; i++) {
    const al_row *row = &t->rows[order[i]];
    if (row->contender == random) continue;
    al_mean_curve curve;
    AL_TRY(al_mean_curve_of(&curve, row->contender, random, r->axis, r->measure));
    status = put_curve(canvas, row->strategy, &curve, &f.y_from, &f.y_to);
    if (curve.n != 0) {
      f.x_from = fmin(f.x_from, curve.x[0]);
      f.x_to = fmax(f.x_to, curve.x[curve.n - 1]);
    }
    al_mean_curve_free(&curve);
    if (status != AL_OK) goto done;
    panels++;
    AL_TRY(al_canvas_text_at(canvas, "titles", panels, "%s%s", row->strategy, row->p < 0.05 ? " *" : ""));
    AL_TRY(al_canvas_set_at(canvas, "styles", panels, (double)row->contender->style));
  }
  if (!(f.x_to > f.x_from)) {
    status = al_canvas_skip(canvas, "no range of x that paired replicates share");
    goto done;
  }
  AL_TRY(al_canvas_panels(canvas, panels, panels <= 8 ? 2.2 : 1.4, panels <= 8 ? 1.75 : 1.3, 1.25));
  AL_TRY(al_canvas_titles(canvas, r, "Difference to random"));
  AL_TRY(al_canvas_text(canvas, "y_title", "difference, %s", al_measures[r->measure].brief));
  AL_TRY(al_canvas_set(canvas, "x_from", f.x_from));
  AL_TRY(al_canvas_set(canvas, "x_to", f.x_to));
  double air = 0.05 * (f.y_to > f.y_from ? f.y_to - f.y_from : 1.0);
  AL_TRY(al_canvas_set(canvas, "y_from", f.y_from - air));
  AL_TRY(al_canvas_set(canvas, "y_to", f.y_to + air));
  char n[64];
  AL_TRY(al_canvas_text(
      canvas, "note",
      "mean paired difference and its 95 %% t interval (band), %s; best area first; * area differs, Holm "
      "p < 0.05",
      al_replicates_text(&random, 1, n)));
done:
  free(order);
  return status;
}

const al_figure_type al_figure_differences = {
    .name = "differences",
    .title = "Difference to random",
    .see =
        "One panel a strategy: its measure minus random's in the same replicate. Where the whole band is off the zero "
        "line, the strategy differs from random at that point.",
    .any_measure = true,
    .any_axis = true,
    .draw = draw_differences};

static al_status draw_panels(al_canvas *canvas, const al_figure_request *r, size_t from, size_t to, const char *title) {
  al_status status;
  al_setting *s = r->settings[0];
  al_choice choice = {0};
  const al_table_of_setting *t = NULL;
  size_t panels = 0;
  double x_from = INFINITY, x_to = -INFINITY;
  AL_TRY(al_setting_table(&t, s, AL_MEASURE_ACCURACY, r->axis));
  AL_TRY(al_choose(&choice, t, NULL, AL_MOST_NAMED - 1));
  AL_TRY(al_canvas_array(canvas, "titles", to - from));
  AL_TRY(al_canvas_array(canvas, "first", to - from));
  AL_TRY(al_canvas_array(canvas, "fulls", to - from));
  AL_TRY(al_canvas_array(canvas, "low", to - from));
  AL_TRY(al_canvas_array(canvas, "high", to - from));
  for (size_t m = from; m < to; m++) {
    double least = INFINITY, most = -INFINITY, full = 0.0;
    AL_TRY(al_canvas_set_at(canvas, "first", panels + 1, (double)canvas->blocks));
    for (size_t i = 0; i < choice.n; i++) {
      al_mean_curve curve;
      char label[160];
      snprintf(label, sizeof label, "%s, %s", al_measures[m].name, choice.items[i]->strategy);
      AL_TRY(al_mean_curve_of(&curve, choice.items[i], NULL, r->axis, m));
      status = put_curve(canvas, label, &curve, &least, &most);
      if (curve.n != 0) {
        x_from = fmin(x_from, curve.x[0]);
        x_to = fmax(x_to, curve.x[curve.n - 1]);
      }
      al_mean_curve_free(&curve);
      if (status != AL_OK) goto done;
    }
    panels++;
    AL_TRY(al_canvas_text_at(canvas, "titles", panels, "%s%s", al_measures[m].brief,
                             !isfinite(most)               ? ": none"
                             : least == 0.0 && most == 0.0 ? ": 0 throughout"
                                                           : ""));
    for (size_t i = 0; i < s->full_n && m < AL_MEASURES_OF_TEST; i++)
      full += s->full[i * AL_MEASURES_OF_TEST + m] / (double)s->full_n;
    bool line = s->full_n != 0 && m < AL_MEASURES_OF_TEST && isfinite(full);
    AL_TRY(al_canvas_set_at(canvas, "fulls", panels, line ? full : NAN));
    if (line) least = fmin(least, full);
    if (line) most = fmax(most, full);
    double span = isfinite(most) && most > least ? most - least : 1.0,
           middle = isfinite(most) ? 0.5 * (most + least) : 0.5;
    AL_TRY(al_canvas_set_at(canvas, "low", panels, middle - 0.54 * span));
    AL_TRY(al_canvas_set_at(canvas, "high", panels, middle + 0.54 * span));
  }
  AL_TRY(al_canvas_panels(canvas, panels, panels <= 4 ? 1.0 : 0.8, 2.0, 1.8));
  AL_TRY(al_canvas_set(canvas, "x_from", x_from));
  AL_TRY(al_canvas_set(canvas, "x_to", x_to > x_from ? x_to : x_from + 1.0));
  AL_TRY(al_canvas_titles(canvas, r, title));
  AL_TRY(put_names(canvas, &choice));
  AL_TRY(al_canvas_set(canvas, "any_full", from < AL_MEASURES_OF_TEST && s->full_n != 0 ? 1.0 : 0.0));
  AL_TRY(put_note(canvas, &choice, "mean and 95 % t interval"));
done:
  al_choice_free(&choice);
  return status;
}

static al_status draw_metrics(al_canvas *canvas, const al_figure_request *r) {
  return draw_panels(canvas, r, 0, AL_MEASURES_OF_TEST, "Every metric of the test set");
}

static al_status draw_labelled(al_canvas *canvas, const al_figure_request *r) {
  canvas->template = "metrics";
  return draw_panels(canvas, r, AL_MEASURES_OF_TEST, AL_MEASURES, "State of the labelled set");
}

const al_figure_type al_figure_metrics = {
    .name = "metrics",
    .title = "Every metric of the test set",
    .see = "One panel a metric; dotted: the model fitted on the whole pool. A strategy may win in accuracy and lose in "
           "calibration or on rare classes. Likelihood, Brier score and calibration errors are better when low.",
    .any_axis = true,
    .draw = draw_metrics};

const al_figure_type al_figure_labelled = {
    .name = "labelled",
    .title = "State of the labelled set",
    .see =
        "What the strategies labelled, beside the pool: how far its classes (KL, largest to smallest) and its features "
        "(MMD) are from the pool's, and how many answers were wrong. Random is near 0 by construction.",
    .any_axis = true,
    .draw = draw_labelled};
