/* Who is better: areas with paired differences, and ranks, wins and penalties over several datasets. */
#include "report/figure_heat.h"
#include "report/figure_parts.h"
#include "stats/hypothesis.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double alpha = 0.05;
enum { LEAST_DATASETS = 6 };

/* ---- areas of one setting ---- */

static al_status draw_areas(al_canvas *canvas, const al_figure_request *r) {
  al_status status;
  al_setting *s = r->settings[0];
  const al_table_of_setting *t = NULL;
  size_t *order = NULL, rows = 0, longest = 0, widest = 0;
  double least = 0.0, most = 0.0;
  char p[24];
  AL_TRY(al_setting_table(&t, s, r->measure, r->axis));
  bool paired = al_setting_random(s) != NULL && s->n > 1;
  if (!(t->to > t->from)) {
    status = al_canvas_skip(canvas, "not comparable: the cells share no range of %s", al_x_title(s, r->axis));
    goto done;
  }
  AL_TRY(AL_NEW(&order, t->n));
  al_table_order(order, t);
  AL_TRY(al_canvas_array(canvas, "names", t->n));
  AL_TRY(al_canvas_array(canvas, "texts", t->n));
  AL_TRY(al_canvas_array(canvas, "styles", t->n));
  AL_TRY(al_canvas_array(canvas, "shown", t->n));
  AL_TRY(al_canvas_block(canvas, "place, %s, low and high of the 95 %% t interval, Holm p, replicates, strategy",
                         paired ? "mean paired difference of AULC to random" : "mean AULC"));
  if (!paired) least = INFINITY, most = -INFINITY;
  for (size_t i = 0; i < t->n; i++) {
    const al_row *row = &t->rows[order[i]];
    bool is_random = paired && order[i] == 0;
    const al_interval *v = paired ? &row->difference : &row->aulc;
    double mean = is_random ? 0.0 : v->mean, low = v->n > 1 ? v->low : mean, high = v->n > 1 ? v->high : mean;
    if (isnan(mean)) continue;
    rows++;
    least = fmin(least, low);
    most = fmax(most, high);
    AL_TRY(al_canvas_row(canvas, "%zu %.10g %.10g %.10g %.10g %zu %s", rows, mean, low, high,
                         isnan(row->p) ? 1.0 : row->p, row->n, row->strategy));
    int d = al_digits(0.5 * (high - low));
    char text[160];
    if (is_random)
      snprintf(text, sizeof text, "AULC %.4f", row->aulc.mean);
    else if (paired)
      snprintf(text, sizeof text, "%+.*f, %s", d, mean, al_p_text(row->p, p));
    else
      snprintf(text, sizeof text, "%.*f [%.*f, %.*f]", d, mean, d, low, d, high);
    AL_TRY(al_canvas_text_at(canvas, "names", rows, "%s", row->strategy));
    AL_TRY(al_canvas_text_at(canvas, "texts", rows, "%s", text));
    AL_TRY(al_canvas_set_at(canvas, "styles", rows, (double)row->contender->style));
    AL_TRY(al_canvas_set_at(canvas, "shown", rows, row->p < alpha ? 1.0 : 0.0));
    longest = strlen(row->strategy) > longest ? strlen(row->strategy) : longest;
    widest = strlen(text) > widest ? strlen(text) : widest;
  }
  canvas->width = canvas->width > 0.0 ? canvas->width : 8.6;
  canvas->height = canvas->height > 0.0 ? canvas->height : 1.55 + 0.25 * (double)rows;
  AL_TRY(al_canvas_titles(canvas, r, "Area under the learning curve"));
  AL_TRY(al_canvas_text(canvas, "x_title", "%s of AULC (%s), %g to %g %s", paired ? "difference to random" : "mean",
                        al_measures[r->measure].title, t->from, t->to, al_x_title(s, r->axis)));
  AL_TRY(al_canvas_set(canvas, "rows", (double)rows));
  AL_TRY(al_canvas_set(canvas, "longest", (double)longest));
  AL_TRY(al_canvas_set(canvas, "widest", (double)widest));
  double air = 0.04 * (most > least ? most - least : 1.0);
  AL_TRY(al_canvas_set(canvas, "x_from", least - air));
  AL_TRY(al_canvas_set(canvas, "x_to", most + air));
  AL_TRY(al_canvas_set(canvas, "zero", paired ? 0.0 : NAN));
  const al_contender **all = NULL;
  AL_TRY(AL_NEW(&all, t->n));
  for (size_t i = 0; i < t->n; i++) all[i] = t->rows[i].contender;
  char n[64];
  status = al_canvas_text(canvas, "note", "mean and 95 %% t interval%s, %s; filled: Holm p < 0.05",
                          paired ? " of paired differences" : "", al_replicates_text(all, t->n, n));
  free(all);
  if (status != AL_OK) goto done;
  if (paired) {
    size_t better = 0, worse = 0;
    for (size_t i = 1; i < t->n; i++) {
      if (!(t->rows[i].p < alpha)) continue;
      bool up =
          al_measures[r->measure].lower_is_better ? t->rows[i].difference.mean < 0 : t->rows[i].difference.mean > 0;
      better += up;
      worse += !up;
    }
    AL_TRY(al_canvas_say(canvas,
                         "Of %zu strategies %zu %s shown to be better than random and %zu to be worse; for the "
                         "other %zu these replicates show nothing.",
                         t->n - 1, better, better == 1 ? "is" : "are", worse, t->n - 1 - better - worse));
  }
done:
  free(order);
  return status;
}

const al_figure_type al_figure_areas = {
    .name = "areas",
    .title = "Area under the learning curve",
    .see =
        "Strategies from best to worst: the difference of their area to random's, paired by replicate, with its 95 % "
        "interval. Filled marks differ from random after Holm's correction; hollow ones may be chance.",
    .any_measure = true,
    .any_axis = true,
    .draw = draw_areas};

/* ---- several datasets ---- */

static al_status begin_group(al_canvas *canvas, al_group *g, const al_figure_request *r, size_t least,
                             const char *title) {
  al_status status;
  char text[256];
  AL_TRY(al_group_make(g, r->settings, r->n, r->measure));
  if (r->n < least) {
    status = al_canvas_skip(canvas, "it needs %zu datasets, and there %s %zu", least, r->n == 1 ? "is" : "are", r->n);
    goto done;
  }
  if (g->k < 2) {
    status = al_canvas_skip(canvas, "fewer than two strategies are complete on every dataset");
    goto done;
  }
  AL_TRY(al_canvas_text(canvas, "title", "%s: %s, %zu datasets", title, al_group_title(g, text), g->n));
done:
  return status;
}

typedef struct {
  double key;
  size_t at;
} keyed;

static int by_key(const void *a, const void *b) {
  const keyed *x = a, *y = b;
  if (x->key != y->key) return x->key < y->key ? -1 : 1;
  return (x->at > y->at) - (x->at < y->at);
}

/* Indices of keys, ascending, equal ones in their order. */
static al_status order_of(size_t *order, const double *keys, size_t n) {
  keyed *sorted = NULL;
  al_status status = AL_NEW(&sorted, n);
  if (status != AL_OK) return status;
  for (size_t i = 0; i < n; i++) sorted[i] = (keyed){keys[i], i};
  qsort(sorted, n, sizeof *sorted, by_key);
  for (size_t i = 0; i < n; i++) order[i] = sorted[i].at;
  free(sorted);
  return AL_OK;
}

/* Strategies that no difference of `distance` parts: the longest runs in rank order. */
static al_status put_bars(al_canvas *canvas, const double *ranks, const size_t *order, size_t k, double distance) {
  al_status status;
  size_t last_end = 0, level = 0;
  AL_TRY(al_canvas_block(canvas, "groups that Nemenyi's test does not part: level, lowest rank, highest rank"));
  for (size_t i = 0; i < k; i++) {
    size_t end = i;
    while (end + 1 < k && ranks[order[end + 1]] - ranks[order[i]] <= distance) end++;
    if (end == i || end <= last_end) continue;
    AL_TRY(al_canvas_row(canvas, "%zu %.10g %.10g", ++level, ranks[order[i]], ranks[order[end]]));
    last_end = end;
  }
  if (level == 0) AL_TRY(al_canvas_row(canvas, "NaN NaN NaN"));
  AL_TRY(al_canvas_set(canvas, "levels", (double)level));
done:
  return status;
}

static al_status draw_ranks(al_canvas *canvas, const al_figure_request *r) {
  al_status status;
  al_group g = {0};
  al_friedman test = {0};
  double *ranks = NULL, distance = NAN, longest = 0.0;
  size_t *order = NULL;
  AL_TRY(begin_group(canvas, &g, r, 2, r->n >= LEAST_DATASETS ? "Critical differences of mean ranks" : "Mean ranks"));
  if (canvas->skipped.size != 0) goto done;
  AL_TRY(AL_NEW(&ranks, g.k));
  AL_TRY(AL_NEW(&order, g.k));
  AL_TRY(al_group_ranks(ranks, &test, &g));
  AL_TRY(order_of(order, ranks, g.k));
  bool tested = g.n >= LEAST_DATASETS;
  if (tested) distance = al_nemenyi(g.k, g.n, alpha);
  AL_TRY(al_canvas_block(canvas, "mean rank, place, strategy"));
  AL_TRY(al_canvas_array(canvas, "names", g.k));
  AL_TRY(al_canvas_array(canvas, "ranks", g.k));
  for (size_t i = 0; i < g.k; i++) {
    AL_TRY(al_canvas_row(canvas, "%.10g %zu %s", ranks[order[i]], i + 1, g.strategies[order[i]]));
    AL_TRY(al_canvas_text_at(canvas, "names", i + 1, "%s  %.2f", g.strategies[order[i]], ranks[order[i]]));
    longest = fmax(longest, (double)strlen(g.strategies[order[i]]) + 3.0);
    AL_TRY(al_canvas_set_at(canvas, "ranks", i + 1, ranks[order[i]]));
  }
  AL_TRY(al_canvas_set(canvas, "longest", longest));
  AL_TRY(put_bars(canvas, ranks, order, g.k, tested ? distance : -1.0));
  AL_TRY(al_canvas_set(canvas, "k", (double)g.k));
  AL_TRY(al_canvas_set(canvas, "distance", distance));
  AL_TRY(al_canvas_text(canvas, "x_title", "mean rank by AULC (%s), 1 is best", al_measures[r->measure].title));
  AL_TRY(al_canvas_text(canvas, "distance_text", "critical difference %.2f", distance));
  canvas->width = canvas->width > 0.0 ? canvas->width : 8.6;
  canvas->height = canvas->height > 0.0 ? canvas->height : 2.1 + 0.105 * (double)(g.k + g.k % 2) + (tested ? 0.5 : 0.0);
  size_t sharing = 1;
  char leaders[160];
  while (sharing < g.k && ranks[order[sharing]] <= ranks[order[0]] + 1e-12) sharing++;
  if (sharing == 1)
    snprintf(leaders, sizeof leaders, "%s", g.strategies[order[0]]);
  else
    snprintf(leaders, sizeof leaders, "%s and %zu other%s", g.strategies[order[0]], sharing - 1,
             sharing == 2 ? "" : "s");
  if (tested) {
    AL_TRY(al_canvas_text(
        canvas, "note",
        "Friedman chi2 = %.2f, p = %.2g; Iman-Davenport F = %.2f, p = %.2g; Nemenyi at 0.05; n = %zu datasets",
        test.chi2, test.p, test.f, test.p_f, g.n));
    AL_TRY(al_canvas_say(
        canvas, "%s %s the best mean rank, %.2f of %zu. Friedman's test %s that ranks differ (p = %.2g).", leaders,
        sharing == 1 ? "has" : "share", ranks[order[0]], g.k, test.p < alpha ? "finds" : "does not find", test.p));
  } else {
    AL_TRY(al_canvas_text(canvas, "note",
                          "blocks: %zu datasets, each the mean of its replicates; a test of ranks needs at least %d",
                          g.n, LEAST_DATASETS));
    AL_TRY(al_canvas_say(canvas, "%s %s the best mean rank, %.2f of %zu; with fewer than %d datasets no test is made.",
                         leaders, sharing == 1 ? "has" : "share", ranks[order[0]], g.k, LEAST_DATASETS));
  }
done:
  al_group_free(&g);
  free(ranks);
  free(order);
  return status;
}

const al_figure_type al_figure_ranks = {
    .name = "ranks",
    .title = "Mean ranks and critical differences",
    .see =
        "Each strategy stands at its mean rank over the datasets. Strategies under one thick bar are not told apart by "
        "Nemenyi's test at 0.05.",
    .across = true,
    .any_measure = true,
    .draw = draw_ranks};

static al_status draw_wins(al_canvas *canvas, const al_figure_request *r) {
  al_status status;
  al_group g = {0};
  double *keys = NULL;
  size_t *order = NULL, longest = 0, rows = 0;
  size_t(*counts)[3] = NULL;
  AL_TRY(begin_group(canvas, &g, r, 2, "Wins, ties and losses against random"));
  if (canvas->skipped.size != 0) goto done;
  if (strcmp(g.strategies[0], "random") != 0) {
    status = al_canvas_skip(canvas, "random is not in every dataset");
    goto done;
  }
  AL_TRY(AL_NEW(&keys, g.k));
  AL_TRY(AL_NEW(&order, g.k));
  AL_TRY(al_allocate(&counts, g.k, sizeof *counts));
  for (size_t j = 1; j < g.k; j++) {
    for (size_t i = 0; i < g.n; i++) counts[j][1 - al_row_verdict(g.rows[i * g.k + j], r->measure)]++;
    keys[j] = -((double)counts[j][0] - (double)counts[j][2]) - 1e-3 * (double)counts[j][0];
    longest = strlen(g.strategies[j]) > longest ? strlen(g.strategies[j]) : longest;
  }
  keys[0] = -INFINITY;
  AL_TRY(order_of(order, keys, g.k));
  AL_TRY(al_canvas_array(canvas, "names", g.k - 1));
  AL_TRY(al_canvas_block(canvas, "place, won, not told apart, lost (datasets), strategy"));
  for (size_t i = 1; i < g.k; i++) {
    size_t j = order[i];
    rows++;
    AL_TRY(
        al_canvas_row(canvas, "%zu %zu %zu %zu %s", rows, counts[j][0], counts[j][1], counts[j][2], g.strategies[j]));
    AL_TRY(al_canvas_text_at(canvas, "names", rows, "%s", g.strategies[j]));
  }
  AL_TRY(al_canvas_set(canvas, "rows", (double)rows));
  AL_TRY(al_canvas_set(canvas, "longest", (double)longest));
  AL_TRY(al_canvas_set(canvas, "datasets", (double)g.n));
  AL_TRY(al_canvas_text(
      canvas, "note",
      "won or lost: Holm-corrected paired t test of AULC (%s) within the dataset, p < 0.05; tie: not rejected",
      al_measures[r->measure].title));
  canvas->width = canvas->width > 0.0 ? canvas->width : 8.6;
  canvas->height = canvas->height > 0.0 ? canvas->height : 1.75 + 0.25 * (double)rows;
  size_t best = order[1];
  AL_TRY(al_canvas_say(canvas, "%s wins on %zu and loses on %zu of %zu datasets.", g.strategies[best], counts[best][0],
                       counts[best][2], g.n));
done:
  al_group_free(&g);
  free(keys);
  free(order);
  free(counts);
  return status;
}

const al_figure_type al_figure_wins = {
    .name = "wins",
    .title = "Wins, ties and losses against random",
    .see = "On how many datasets each strategy is better than random, not told apart from it, or worse.",
    .across = true,
    .any_measure = true,
    .draw = draw_wins};

static al_status draw_overview(al_canvas *canvas, const al_figure_request *r) {
  al_status status;
  al_group g = {0};
  al_heat heat = {.diverging = true};
  double *keys = NULL, *sums = NULL;
  size_t *order = NULL;
  AL_TRY(begin_group(canvas, &g, r, 2, "Difference to random on every dataset"));
  if (canvas->skipped.size != 0) goto done;
  if (strcmp(g.strategies[0], "random") != 0) {
    status = al_canvas_skip(canvas, "random is not in every dataset");
    goto done;
  }
  AL_TRY(AL_NEW(&keys, g.k));
  AL_TRY(AL_NEW(&sums, g.k));
  AL_TRY(AL_NEW(&order, g.k));
  double turn = al_measures[r->measure].lower_is_better ? -1.0 : 1.0;
  for (size_t j = 1; j < g.k; j++)
    for (size_t i = 0; i < g.n; i++) {
      double d = g.rows[i * g.k + j]->difference.mean;
      keys[j] -= turn * d / (double)g.n;
    }
  keys[0] = -INFINITY;
  AL_TRY(order_of(order, keys, g.k));
  AL_TRY(al_heat_begin(&heat, g.k - 1, g.n));
  for (size_t i = 1; i < g.k; i++) {
    heat.row_names[i - 1] = g.strategies[order[i]];
    for (size_t c = 0; c < g.n; c++) {
      const al_row *row = g.rows[c * g.k + order[i]];
      heat.column_names[c] = g.settings[c]->dataset;
      heat.values[(i - 1) * g.n + c] = turn * row->difference.mean;
      AL_TRY(al_heat_text(&heat, i - 1, c, "%+.3f%s", row->difference.mean, row->p < alpha ? " *" : ""));
    }
  }
  AL_TRY(al_heat_put(canvas, &heat));
  AL_TRY(al_canvas_text(
      canvas, "note",
      "mean paired difference of AULC (%s) to random%s; * Holm p < 0.05 within the dataset; blue: better",
      al_measures[r->measure].title, turn < 0 ? ", lower is better" : ""));
  AL_TRY(al_canvas_say(canvas, "%s has the best mean difference over the datasets, %+.4f.", g.strategies[order[1]],
                       -turn * keys[order[1]]));
done:
  al_heat_free(&heat);
  al_group_free(&g);
  free(keys);
  free(sums);
  free(order);
  return status;
}

const al_figure_type al_figure_overview = {
    .name = "overview",
    .title = "Difference to random on every dataset",
    .see =
        "Rows are strategies, best mean difference first; blue is better than random, orange worse, and a star marks "
        "what stays after Holm's correction. A row of one colour is a strategy that can be relied on.",
    .across = true,
    .any_measure = true,
    .draw = draw_overview};

/* ---- pairwise penalties (Ash et al. 2020) ---- */

static al_status add_penalties(double *matrix, size_t *checkpoints, const al_group *g, size_t at, size_t measure) {
  al_status status;
  const al_setting *s = g->settings[at];
  double *labels = NULL, *values = NULL, *x = NULL, *y = NULL;
  size_t points = 0, replicates = 0, random = 0;
  const al_contender *base = al_setting_random(s);
  *checkpoints = 0;
  if (base == NULL || base->n == 0) return AL_OK;
  /* the grid: labels at which random's first cell stands; replicates by number */
  points = base->runs[0].rounds;
  AL_TRY(AL_NEW(&labels, points));
  memcpy(labels, base->runs[0].labels, points * sizeof *labels);
  for (size_t i = 0; i < s->n; i++)
    for (size_t j = 0; j < s->contenders[i].n; j++)
      if (s->contenders[i].runs[j].replicate >= replicates) replicates = s->contenders[i].runs[j].replicate + 1;
  AL_TRY(AL_NEW(&values, g->k * replicates * points));
  for (size_t i = 0; i < g->k * replicates * points; i++) values[i] = NAN;
  for (size_t j = 0; j < g->k; j++) {
    const al_contender *c = g->rows[at * g->k + j]->contender;
    if (c == base) random = j;
    for (size_t q = 0; q < c->n; q++) {
      const al_run *run = &c->runs[q];
      free(x);
      free(y);
      x = y = NULL;
      AL_TRY(AL_NEW(&x, run->rounds));
      AL_TRY(AL_NEW(&y, run->rounds));
      al_curve curve = al_run_curve(run, AL_AXIS_LABELS, measure, x, y);
      for (size_t i = 0, p = 0; i < curve.n; i++) {
        while (p < points && labels[p] < curve.x[i]) p++;
        if (p < points && labels[p] == curve.x[i])
          values[(j * replicates + run->replicate) * points + p] =
              al_measures[measure].lower_is_better ? -curve.y[i] : curve.y[i];
      }
    }
  }
  if (points >= 2) AL_TRY(al_penalty_add(matrix, checkpoints, values, labels, g->k, replicates, points, random));
done:
  free(labels);
  free(values);
  free(x);
  free(y);
  return status;
}

static al_status draw_penalty(al_canvas *canvas, const al_figure_request *r) {
  al_status status;
  al_group g = {0};
  al_heat heat = {0};
  double *matrix = NULL, *means = NULL;
  size_t *order = NULL, used = 0;
  al_buffer skipped = {0};
  AL_TRY(begin_group(canvas, &g, r, 1, "Pairwise penalties"));
  if (canvas->skipped.size != 0) goto done;
  if (strcmp(g.strategies[0], "random") != 0) {
    status = al_canvas_skip(canvas, "its checkpoints come from random, which is not in every dataset");
    goto done;
  }
  AL_TRY(AL_NEW(&matrix, g.k * g.k));
  AL_TRY(AL_NEW(&means, g.k));
  AL_TRY(AL_NEW(&order, g.k));
  for (size_t i = 0; i < g.n; i++) {
    size_t checkpoints = 0;
    AL_TRY(add_penalties(matrix, &checkpoints, &g, i, r->measure));
    used += checkpoints != 0;
    if (checkpoints == 0)
      AL_TRY(al_buffer_print(&skipped, "%s%s", skipped.size == 0 ? "" : ", ", g.settings[i]->dataset));
  }
  if (used == 0) {
    status = al_canvas_skip(canvas, "no dataset has a checkpoint: random reaches 99 %% of its last mean too early");
    goto done;
  }
  for (size_t j = 0; j < g.k; j++)
    for (size_t i = 0; i < g.k; i++) means[j] += matrix[i * g.k + j] / (double)g.k;
  AL_TRY(order_of(order, means, g.k));
  AL_TRY(al_heat_begin(&heat, g.k + 1, g.k));
  for (size_t i = 0; i <= g.k; i++) {
    heat.row_names[i] = i < g.k ? g.strategies[order[i]] : "column mean";
    for (size_t j = 0; j < g.k; j++) {
      double v = i < g.k ? matrix[order[i] * g.k + order[j]] : means[order[j]];
      heat.column_names[j] = g.strategies[order[j]];
      heat.values[i * g.k + j] = i == j ? NAN : v;
      AL_TRY(al_heat_text(&heat, i, j, i == j ? "" : "%.2f", v));
    }
  }
  AL_TRY(al_heat_put(canvas, &heat));
  AL_TRY(al_canvas_text(canvas, "note",
                        "share of checkpoints where the row beats the column (paired t, p < 0.05), summed over %zu "
                        "dataset%s%s%s; column mean over all rows: lower is better",
                        used, used == 1 ? "" : "s",
                        skipped.size == 0 ? "" : "; no checkpoint: ", skipped.size == 0 ? "" : skipped.data));
  AL_TRY(al_canvas_say(canvas, "%s is beaten least: column mean %.2f, of at most %zu.", g.strategies[order[0]],
                       means[order[0]], used));
done:
  al_heat_free(&heat);
  al_buffer_free(&skipped);
  al_group_free(&g);
  free(matrix);
  free(means);
  free(order);
  return status;
}

const al_figure_type al_figure_penalty = {
    .name = "penalty",
    .title = "Pairwise penalties",
    .see =
        "A cell says how often the row's strategy beat the column's, over datasets and checkpoints (Ash et al. 2020). "
        "The last row is how often a strategy was beaten on average: lower is better.",
    .across = true,
    .any_measure = true,
    .draw = draw_penalty};
