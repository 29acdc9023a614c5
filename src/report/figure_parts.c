/* Shared parts of figures. */
#include "report/figure_parts.h"

#include "base/params.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const al_figure_type *const al_figure_types[] = {
    &al_figure_curves,      &al_figure_areas,    &al_figure_differences, &al_figure_targets,
    &al_figure_metrics,     &al_figure_labelled, &al_figure_balance,     &al_figure_overlap,
    &al_figure_calibration, &al_figure_fits,     &al_figure_time,        &al_figure_overview,
    &al_figure_ranks,       &al_figure_penalty,  &al_figure_wins,        NULL};

al_status al_figure_find(const al_figure_type **out, const char *name, const char *where) {
  const char *names[64];
  char list[400] = "";
  size_t n = 0, used = 0;
  for (; al_figure_types[n] != NULL; n++) {
    names[n] = al_figure_types[n]->name;
    used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", n == 0 ? "" : ", ", names[n]);
    if (strcmp(names[n], name) != 0) continue;
    *out = al_figure_types[n];
    return AL_OK;
  }
  const char *nearest = al_nearest(name, names, n);
  if (nearest != NULL)
    return al_fail(AL_BAD_INPUT, "%s: unknown figure '%s'; did you mean '%s'?", where, name, nearest);
  return al_fail(AL_BAD_INPUT, "%s: unknown figure '%s'; there are: %s", where, name, list);
}

enum { MOST_COLUMNS = 6 }; /* of small multiples: a name must fit over each */

/* The style that a strategy has in the whole report, unless another in this figure has it already. */
static size_t free_style(const al_choice *choice, size_t named, size_t wish) {
  if (wish == 1) return 1;
  for (size_t step = 0; step < AL_STYLES - 1; step++) {
    size_t style = 2 + (wish - 2 + step) % (AL_STYLES - 1);
    bool taken = false;
    for (size_t i = 0; i < named; i++) taken |= choice->styles[i] == style;
    if (!taken) return style;
  }
  return wish;
}

al_status al_choose(al_choice *out, const al_table_of_setting *t, const double *keys, size_t most) {
  al_status status;
  size_t *order = NULL;
  *out = (al_choice){.n = t->n, .named = t->n < most ? t->n : most};
  AL_TRY(AL_NEW(&out->items, t->n));
  AL_TRY(AL_NEW(&out->styles, t->n));
  AL_TRY(AL_NEW(&order, t->n));
  al_table_order(order, t);
  for (size_t i = 1; i < t->n && keys != NULL; i++) /* insertion: equal keys keep the table's order */
    for (size_t at = i; at > 0 && keys[order[at]] > keys[order[at - 1]]; at--) {
      size_t swap = order[at];
      order[at] = order[at - 1];
      order[at - 1] = swap;
    }
  size_t n = 0;
  if (t->n != 0 && strcmp(t->rows[0].strategy, "random") == 0) out->items[n++] = t->rows[0].contender;
  for (size_t i = 0; i < t->n; i++)
    if (n == 0 || t->rows[order[i]].contender != out->items[0] || order[i] != 0)
      out->items[n++] = t->rows[order[i]].contender;
  for (size_t i = 0; i < out->named; i++) out->styles[i] = free_style(out, i, out->items[i]->style);
done:
  free(order);
  return status;
}

void al_choice_free(al_choice *choice) {
  free(choice->items);
  free(choice->styles);
  *choice = (al_choice){0};
}

typedef struct {
  double y;
  size_t at;
} placed;

static int upwards(const void *a, const void *b) {
  double x = ((const placed *)a)->y, y = ((const placed *)b)->y;
  return (x > y) - (x < y);
}

al_status al_spread(double *y, size_t n, double gap, double low, double high) {
  placed *sorted = NULL;
  al_status status = AL_NEW(&sorted, n);
  if (status != AL_OK) return status;
  if (n > 1) gap = fmin(gap, (high - low) / (double)(n - 1));
  for (size_t i = 0; i < n; i++) sorted[i] = (placed){y[i], i};
  qsort(sorted, n, sizeof *sorted, upwards);
  for (int pass = 0; pass < 200; pass++) { /* neighbours that are too near move apart by half of what lacks each */
    bool moved = false;
    for (size_t i = 0; i < n; i++) sorted[i].y = fmin(fmax(sorted[i].y, low), high);
    for (size_t i = 1; i < n; i++) {
      double lacks = gap - (sorted[i].y - sorted[i - 1].y);
      if (lacks <= 1e-9 * gap) continue;
      sorted[i].y += 0.5 * lacks;
      sorted[i - 1].y -= 0.5 * lacks;
      moved = true;
    }
    if (!moved) break;
  }
  for (size_t i = 0; i < n; i++) y[sorted[i].at] = sorted[i].y;
  free(sorted);
  return AL_OK;
}

const char *al_replicates_text(const al_contender *const *contenders, size_t n, char text[64]) {
  size_t least = SIZE_MAX, most = 0;
  for (size_t i = 0; i < n; i++) {
    least = contenders[i]->n < least ? contenders[i]->n : least;
    most = contenders[i]->n > most ? contenders[i]->n : most;
  }
  if (least == most)
    snprintf(text, 64, "n = %zu replicate%s", most, most == 1 ? "" : "s");
  else
    snprintf(text, 64, "n = %zu to %zu replicates", least, most);
  return text;
}

const char *al_x_title(const al_setting *s, al_axis axis) {
  if (axis == AL_AXIS_LABELS) return "labels";
  return strcmp(s->cost_kind, "time") == 0 ? "cost (seconds of annotation)" : "cost";
}

al_status al_canvas_titles(al_canvas *canvas, const al_figure_request *r, const char *title) {
  al_status status;
  char text[256];
  AL_TRY(al_canvas_text(canvas, "title", "%s: %s", title, al_setting_title(r->settings[0], text)));
  AL_TRY(al_canvas_text(canvas, "x_title", "%s", al_x_title(r->settings[0], r->axis)));
  AL_TRY(al_canvas_text(canvas, "y_title", "%s", al_measures[r->measure].title));
done:
  return status;
}

al_status al_canvas_panels(al_canvas *canvas, size_t panels, double shape, double tall, double frame) {
  al_status status;
  size_t columns = (size_t)ceil(sqrt((double)panels * shape));
  if (columns < 1) columns = 1;
  if (columns > MOST_COLUMNS) columns = MOST_COLUMNS;
  if (columns > panels && panels != 0) columns = panels;
  size_t rows = (panels + columns - 1) / columns;
  if (!(canvas->width > 0.0)) canvas->width = 8.6;
  if (!(canvas->height > 0.0)) canvas->height = frame + tall * (double)rows;
  AL_TRY(al_canvas_set(canvas, "panels", (double)panels));
  AL_TRY(al_canvas_set(canvas, "columns", (double)columns));
  AL_TRY(al_canvas_set(canvas, "rows", (double)rows));
done:
  return status;
}

int al_digits(double half_width) {
  if (!(half_width > 0.0)) return 4;
  int d = 1 - (int)floor(log10(half_width));
  return d < 0 ? 0 : d > 4 ? 4 : d;
}

const char *al_p_text(double p, char text[24]) {
  if (isnan(p))
    snprintf(text, 24, "-");
  else if (p < 0.0001)
    snprintf(text, 24, "p < 0.0001");
  else
    snprintf(text, 24, p < 0.001 || fabs(p - 0.05) < 0.0005 ? "p = %.4f" : "p = %.3f", p); /* 0.0497 is below 0.05 */
  return text;
}
