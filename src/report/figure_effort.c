/* What it takes: labels to a target with censoring, seconds and memory of a query. */
#include "report/figure_parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- labels to the target ---- */

static al_status put_crossings(al_canvas *canvas, const al_row *row, size_t place, double target, double *least,
                               double *most) {
  al_status status = AL_OK;
  double *x = NULL, *y = NULL;
  const al_contender *c = row->contender;
  for (size_t j = 0; j < c->n; j++) {
    const al_run *run = &c->runs[j];
    free(x);
    free(y);
    x = y = NULL;
    AL_TRY(AL_NEW(&x, run->rounds));
    AL_TRY(AL_NEW(&y, run->rounds));
    al_curve curve = al_run_curve(run, AL_AXIS_LABELS, AL_MEASURE_ACCURACY, x, y);
    if (curve.n == 0 || strcmp(run->end, "accuracy") == 0) continue;
    al_crossing at = al_curve_crossing(&curve, target);
    double shift = c->n > 1 ? 0.5 * ((double)j / (double)(c->n - 1) - 0.5) : 0.0;
    *least = fmin(*least, at.x);
    *most = fmax(*most, at.x);
    AL_TRY(al_canvas_row(canvas, "%zu %.10g %.6g %d %zu %s", place, at.x, (double)place + shift,
                         at.censored   ? 1
                         : at.at_start ? 2
                                       : 0,
                         run->replicate, row->strategy));
  }
done:
  free(x);
  free(y);
  return status;
}

static al_status draw_targets(al_canvas *canvas, const al_figure_request *r) {
  al_status status;
  al_setting *s = r->settings[0];
  const al_table_of_setting *t = NULL;
  size_t *order = NULL, longest = 0, widest = 0;
  double least = INFINITY, most = -INFINITY;
  char title[256];
  AL_TRY(al_setting_table(&t, s, AL_MEASURE_ACCURACY, AL_AXIS_LABELS));
  if (isnan(t->target)) {
    status = al_canvas_skip(canvas,
                            "the target is a share of the full-data accuracy, and the full-data reference is missing");
    goto done;
  }
  AL_TRY(AL_NEW(&order, t->n));
  for (size_t i = 0; i < t->n; i++) { /* by median, those never reached last, by how many replicates got there */
    size_t at = i;
    double mine = isnan(t->rows[i].target_labels) ? INFINITY : t->rows[i].target_labels;
    for (; at > 0; at--) {
      const al_row *before = &t->rows[order[at - 1]];
      double other = isnan(before->target_labels) ? INFINITY : before->target_labels;
      if (mine > other || (mine == other && t->rows[i].reached <= before->reached)) break;
      order[at] = order[at - 1];
    }
    order[at] = i;
  }
  AL_TRY(al_canvas_array(canvas, "names", t->n));
  AL_TRY(al_canvas_array(canvas, "texts", t->n));
  AL_TRY(al_canvas_array(canvas, "medians", t->n));
  AL_TRY(al_canvas_array(canvas, "styles", t->n));
  AL_TRY(al_canvas_block(canvas,
                         "place, labels, height, 0 reached 1 censored 2 already at the start, replicate, strategy"));
  size_t left_out = 0;
  for (size_t i = 0; i < t->n; i++) {
    const al_row *row = &t->rows[order[i]];
    char text[96];
    AL_TRY(put_crossings(canvas, row, i + 1, t->target, &least, &most));
    left_out += row->ended_by_rule;
    size_t n = row->reached + row->censored_n;
    if (isnan(row->target_labels))
      snprintf(text, sizeof text, "median not reached, %zu of %zu", row->reached, n);
    else
      snprintf(text, sizeof text, "median %s%.0f, %zu of %zu", row->at_start ? "<= " : "", row->target_labels,
               row->reached, n);
    AL_TRY(al_canvas_text_at(canvas, "names", i + 1, "%s", row->strategy));
    AL_TRY(al_canvas_text_at(canvas, "texts", i + 1, "%s", text));
    AL_TRY(al_canvas_set_at(canvas, "medians", i + 1, row->target_labels));
    AL_TRY(al_canvas_set_at(canvas, "styles", i + 1, (double)row->contender->style));
    longest = strlen(row->strategy) > longest ? strlen(row->strategy) : longest;
    widest = strlen(text) > widest ? strlen(text) : widest;
  }
  if (!(most >= least)) {
    status = al_canvas_skip(canvas, "no cell can be followed to the target");
    goto done;
  }
  canvas->width = canvas->width > 0.0 ? canvas->width : 8.6;
  canvas->height = canvas->height > 0.0 ? canvas->height : 1.55 + 0.3 * (double)t->n;
  least = fmin(least, t->from);
  most = fmax(most, t->to);
  double air = 0.04 * (most > least ? most - least : 1.0);
  AL_TRY(al_canvas_set(canvas, "rows", (double)t->n));
  AL_TRY(al_canvas_set(canvas, "longest", (double)longest));
  AL_TRY(al_canvas_set(canvas, "widest", (double)widest));
  AL_TRY(al_canvas_set(canvas, "x_from", least - air));
  AL_TRY(al_canvas_set(canvas, "x_to", most + air));
  AL_TRY(al_canvas_text(canvas, "title", "Labels to the target: %s", al_setting_title(s, title)));
  AL_TRY(al_canvas_text(canvas, "x_title", "labels to %.4f test accuracy, 90 %% of the full-data %.4f", t->target,
                        t->full));
  char more[96] = "";
  if (left_out != 0) snprintf(more, sizeof more, "; %zu cells that a quality rule ended are left out", left_out);
  AL_TRY(al_canvas_text(
      canvas, "note",
      "a mark a replicate; hollow with an arrow: censored, the target lies beyond; bar: Kaplan-Meier median%s", more));
  const al_row *best = &t->rows[order[0]];
  if (!isnan(best->target_labels))
    AL_TRY(
        al_canvas_say(canvas, "%s gets there first, at a median of %.0f labels.", best->strategy, best->target_labels));
  else
    AL_TRY(al_canvas_say(canvas, "No strategy's median reaches it within the budget."));
done:
  free(order);
  return status;
}

const al_figure_type al_figure_targets = {
    .name = "targets",
    .title = "Labels to the target",
    .see = "Labels that each replicate needed to reach 90 % of the full-data accuracy and stay there. Hollow marks "
           "with an "
           "arrow had not got there when the budget ended; they count as such, and are not left out.",
    .draw = draw_targets};

/* ---- time and memory ---- */

typedef struct {
  double pool, seconds[3], memory[3], n; /* mean, low and high of the 95 % t interval; replicates */
} effort;

typedef struct {
  effort *items;
  size_t n, capacity;
} efforts;

static int by_pool(const void *a, const void *b) {
  double x = ((const effort *)a)->pool, y = ((const effort *)b)->pool;
  return (x > y) - (x < y);
}

static void put_range(double *out, const double *values, size_t n, double floor) {
  al_interval v = al_mean_interval(values, n);
  out[0] = v.mean;
  out[1] =
      n > 1 ? fmax(v.low, floor * v.mean) : v.mean; /* the axis is logarithmic: an interval that reaches 0 is cut */
  out[2] = n > 1 ? v.high : v.mean;
}

/* One point: rounds from `from` to before `to` of every replicate. */
static al_status add_effort(efforts *out, const al_contender *c, size_t from, size_t to) {
  al_status status;
  double *seconds = NULL, *memory = NULL, pool = 0.0;
  size_t n = 0;
  AL_TRY(AL_NEW(&seconds, c->n));
  AL_TRY(AL_NEW(&memory, c->n));
  for (size_t j = 0; j < c->n; j++) {
    const al_run *run = &c->runs[j];
    size_t used = 0;
    double sum = 0.0, rows = 0.0, peak = 0.0;
    for (size_t q = from; q < to && q < run->rounds; q++) {
      if (isnan(run->seconds[q]) || isnan(run->pool[q])) continue;
      sum += run->seconds[q];
      rows += run->pool[q];
      peak = fmax(peak, run->memory[q]);
      used++;
    }
    if (used == 0) continue;
    seconds[n] = sum / (double)used;
    memory[n++] = peak / 1048576.0;
    pool += rows / (double)used;
  }
  if (n == 0) goto done;
  AL_TRY(al_grow(&out->items, &out->capacity, out->n + 1, sizeof *out->items));
  effort *e = &out->items[out->n++];
  e->pool = pool / (double)n;
  e->n = (double)n;
  put_range(e->seconds, seconds, n, 0.2);
  put_range(e->memory, memory, n, 0.0);
done:
  free(seconds);
  free(memory);
  return status;
}

/* A strategy's points: of several datasets one each, of one dataset one a round. */
static al_status put_effort(al_canvas *canvas, const al_figure_request *r, const char *strategy, double *last,
                            double *least_pool, double *most_pool) {
  al_status status;
  efforts points = {0};
  *last = NAN;
  AL_TRY(al_canvas_block(
      canvas, "%s: pool (rows), seconds a query: mean, low, high; peak memory (MiB): mean, low, high; replicates",
      strategy));
  for (size_t i = 0; i < r->n; i++)
    for (size_t k = 0; k < r->settings[i]->n; k++) {
      const al_contender *c = &r->settings[i]->contenders[k];
      if (strcmp(c->strategy, strategy) != 0) continue;
      size_t rounds = 0;
      for (size_t j = 0; j < c->n; j++) rounds = c->runs[j].rounds > rounds ? c->runs[j].rounds : rounds;
      if (r->n > 1) AL_TRY(add_effort(&points, c, 1, rounds));
      for (size_t q = 1; q < rounds && r->n == 1; q++) AL_TRY(add_effort(&points, c, q, q + 1));
    }
  if (points.n != 0) qsort(points.items, points.n, sizeof *points.items, by_pool);
  for (size_t i = 0; i < points.n; i++) {
    const effort *e = &points.items[i];
    double row[] = {e->pool,      e->seconds[0], e->seconds[1], e->seconds[2],
                    e->memory[0], e->memory[1],  e->memory[2],  e->n};
    AL_TRY(al_canvas_numbers(canvas, row, 8));
    *last = e->seconds[0];
    *least_pool = fmin(*least_pool, e->pool);
    *most_pool = fmax(*most_pool, e->pool);
  }
  if (points.n == 0) AL_TRY(al_canvas_row(canvas, "NaN NaN NaN NaN NaN NaN NaN 0"));
done:
  free(points.items);
  return status;
}

/* Mean seconds a query, for which strategies are named. */
static double seconds_of(const al_contender *c) {
  double sum = 0.0;
  size_t n = 0;
  for (size_t j = 0; j < c->n; j++)
    for (size_t q = 1; q < c->runs[j].rounds; q++) {
      if (isnan(c->runs[j].seconds[q])) continue;
      sum += c->runs[j].seconds[q];
      n++;
    }
  return n == 0 ? 0.0 : sum / (double)n;
}

static al_status draw_time(al_canvas *canvas, const al_figure_request *r) {
  al_status status;
  al_choice choice = {0};
  const al_table_of_setting *t = NULL;
  double *keys = NULL;
  char title[256], n[64], others[96] = "";
  bool any = false;
  double slowest = 0.0, fastest = INFINITY, from = INFINITY, to = 0.0;
  const char *slow = "";
  AL_TRY(al_setting_table(&t, r->settings[0], r->measure, AL_AXIS_LABELS));
  AL_TRY(AL_NEW(&keys, t->n));
  for (size_t i = 0; i < t->n; i++) keys[i] = seconds_of(t->rows[i].contender);
  AL_TRY(al_choose(&choice, t, keys, AL_MOST_NAMED));
  AL_TRY(al_canvas_array(canvas, "names", choice.named));
  AL_TRY(al_canvas_array(canvas, "styles", choice.named));
  for (size_t i = 0; i < choice.n; i++) {
    double last;
    AL_TRY(put_effort(canvas, r, choice.items[i]->strategy, &last, &from, &to));
    if (i < choice.named) {
      AL_TRY(al_canvas_text_at(canvas, "names", i + 1, "%s", choice.items[i]->strategy));
      AL_TRY(al_canvas_set_at(canvas, "styles", i + 1, (double)choice.styles[i]));
    }
    if (isnan(last)) continue;
    any = true;
    fastest = fmin(fastest, last);
    if (last > slowest) {
      slowest = last;
      slow = choice.items[i]->strategy;
    }
  }
  if (!any) {
    status = al_canvas_skip(canvas, "the timing files are missing");
    goto done;
  }
  canvas->width = canvas->width > 0.0 ? canvas->width : 8.6;
  canvas->height = canvas->height > 0.0 ? canvas->height : 4.6;
  AL_TRY(al_canvas_set(canvas, "named", (double)choice.named));
  AL_TRY(al_canvas_set(canvas, "grey", (double)(choice.n - choice.named)));
  AL_TRY(al_canvas_set(canvas, "several", r->n > 1 ? 1.0 : 0.0));
  double air = to > from ? 0.04 * (to - from) : 1.0;
  AL_TRY(al_canvas_set(canvas, "x_from", r->n > 1 ? 0.85 * from : from - air));
  AL_TRY(al_canvas_set(canvas, "x_to", r->n > 1 ? 1.15 * to : to + air));
  const al_setting *s = r->settings[0];
  if (r->n > 1)
    AL_TRY(al_canvas_text(canvas, "title", "Time and memory of a query: %s, %zu datasets", s->model, r->n));
  else
    AL_TRY(al_canvas_text(canvas, "title", "Time and memory of a query: %s", al_setting_title(s, title)));
  if (choice.n > choice.named) snprintf(others, sizeof others, "; named: random and the %zu slowest", choice.named - 1);
  AL_TRY(al_canvas_text(canvas, "note",
                        "%s; mean and 95 %% t interval, %s; seconds: predicting the pool and choosing%s",
                        r->n > 1 ? "a point a dataset" : "a point a round, the pool shrinks from right to left",
                        al_replicates_text(choice.items, choice.n, n), others));
  AL_TRY(al_canvas_say(canvas, "Slowest on the largest pool: %s, %.2g s a query; the fastest takes %.2g s.", slow,
                       slowest, fastest));
done:
  al_choice_free(&choice);
  free(keys);
  return status;
}

const al_figure_type al_figure_time = {
    .name = "time",
    .title = "Time and memory of a query",
    .see = "Seconds to predict the pool and choose the batch, and the peak memory of the process, which also holds the "
           "data "
           "and whatever it ran before. Both stand against the rows there were to choose from.",
    .across = true,
    .draw = draw_time};
