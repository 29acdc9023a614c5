/* What was picked, and how sure the model is: overlap of strategies, classes of the labelled set, calibration. */
#include "report/figure_heat.h"
#include "report/figure_parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- overlap ---- */

static int by_row(const void *a, const void *b) {
  int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
  return (x > y) - (x < y);
}

/* Rows asked after round 0, until `labels` labels stood; sorted, in `rows`. False: the cell has no round there. */
static bool rows_until(const al_run *run, double labels, int32_t *rows, size_t *n) {
  for (size_t r = 0; r < run->rounds; r++) {
    if (run->labels[r] != labels) continue;
    *n = run->asked_end[r] - run->asked_end[0];
    memcpy(rows, run->asked + run->asked_end[0], *n * sizeof *rows);
    qsort(rows, *n, sizeof *rows, by_row);
    return true;
  }
  return false;
}

static double jaccard_of(const int32_t *a, size_t na, const int32_t *b, size_t nb) {
  size_t both = 0;
  for (size_t i = 0, j = 0; i < na && j < nb;) {
    both += a[i] == b[j];
    if (a[i] < b[j])
      i++;
    else if (a[i] > b[j])
      j++;
    else
      i++, j++;
  }
  return na + nb == both ? NAN : (double)both / (double)(na + nb - both);
}

/* The largest number of labels at which every cell has a round; NaN without one. */
static double common_labels(const al_setting *s) {
  const al_run *first = &s->contenders[0].runs[0];
  for (size_t r = first->rounds; r-- > 1;) {
    bool everywhere = true;
    for (size_t i = 0; i < s->n && everywhere; i++)
      for (size_t j = 0; j < s->contenders[i].n && everywhere; j++) {
        const al_run *run = &s->contenders[i].runs[j];
        bool here = false;
        for (size_t q = 1; q < run->rounds; q++) here |= run->labels[q] == first->labels[r];
        everywhere = here;
      }
    if (everywhere) return first->labels[r];
  }
  return NAN;
}

static al_status draw_overlap(al_canvas *canvas, const al_figure_request *r) {
  al_status status;
  al_setting *s = r->settings[0];
  al_heat heat = {.least_top = 0.2};
  const al_table_of_setting *t = NULL;
  size_t *order = NULL, most = 0;
  int32_t *a = NULL, *b = NULL;
  double labels = common_labels(s);
  if (s->n < 2) return al_canvas_skip(canvas, "there is one strategy");
  if (isnan(labels)) return al_canvas_skip(canvas, "no number of labels is reached by all cells");
  AL_TRY(al_setting_table(&t, s, r->measure, AL_AXIS_LABELS));
  AL_TRY(AL_NEW(&order, s->n));
  al_table_order(order, t);
  for (size_t i = 0; i < s->n; i++)
    for (size_t j = 0; j < s->contenders[i].n; j++) {
      const al_run *run = &s->contenders[i].runs[j];
      size_t n = run->asked_end[run->rounds - 1];
      most = n > most ? n : most;
    }
  AL_TRY(AL_NEW(&a, most));
  AL_TRY(AL_NEW(&b, most));
  AL_TRY(al_heat_begin(&heat, s->n, s->n));
  double highest = -1.0;
  const char *pair[2] = {"", ""};
  for (size_t i = 0; i < s->n; i++) {
    const al_contender *x = &s->contenders[order[i]];
    heat.row_names[i] = heat.column_names[i] = x->strategy;
    for (size_t j = 0; j < s->n; j++) {
      const al_contender *y = &s->contenders[order[j]];
      double sum = 0.0;
      size_t used = 0;
      for (size_t k = 0; k < x->n && i != j; k++) {
        const al_run *other = al_run_of_replicate(y, x->runs[k].replicate);
        size_t na = 0, nb = 0;
        if (other == NULL || !rows_until(&x->runs[k], labels, a, &na) || !rows_until(other, labels, b, &nb)) continue;
        double one = jaccard_of(a, na, b, nb);
        if (isnan(one)) continue;
        sum += one;
        used++;
      }
      double mean = used == 0 ? NAN : sum / (double)used;
      heat.values[i * s->n + j] = mean;
      AL_TRY(al_heat_text(&heat, i, j, used == 0 ? "" : "%.2f", mean));
      if (used != 0 && mean > highest) {
        highest = mean;
        pair[0] = x->strategy;
        pair[1] = y->strategy;
      }
    }
  }
  char title[256], n[64];
  const al_contender *first = &s->contenders[0];
  AL_TRY(al_heat_put(canvas, &heat));
  AL_TRY(al_canvas_text(canvas, "title", "Overlap of what was labelled: %s", al_setting_title(s, title)));
  AL_TRY(
      al_canvas_text(canvas, "note",
                     "Jaccard similarity of the rows labelled beyond the initial set, at %.0f labels; mean over paired "
                     "replicates, %s",
                     labels, al_replicates_text(&first, 1, n)));
  if (highest >= 0.0)
    AL_TRY(al_canvas_say(canvas, "Here %s and %s pick most alike (%.2f).", pair[0], pair[1], highest));
done:
  al_heat_free(&heat);
  free(order);
  free(a);
  free(b);
  return status;
}

const al_figure_type al_figure_overlap = {
    .name = "overlap",
    .title = "Overlap of what was labelled",
    .see =
        "How much of what two strategies labelled is the same. A dark block is a family of strategies that pick nearly "
        "the same rows; their curves can hardly differ.",
    .draw = draw_overlap};

/* ---- class balance ---- */

/* Names of few classes stand at the axis, cut where they are long; of many only their numbers. */
static al_status put_class_names(al_canvas *canvas, const al_setting *s, size_t classes, bool named) {
  enum { MOST_CLASSES = 20, LONGEST = 18 };
  al_status status;
  const json_t *names = json_object_get(json_object_get(s->header, "dataset"), "classes");
  size_t longest = 0;
  named = named && classes <= MOST_CLASSES;
  AL_TRY(al_canvas_set(canvas, "named_classes", named ? 1.0 : 0.0));
  AL_TRY(al_canvas_array(canvas, "class_names", classes));
  for (size_t k = 0; k < classes && named; k++) {
    const char *name = json_string_value(json_array_get(names, k));
    size_t n = name == NULL ? 0 : strlen(name);
    if (n > LONGEST)
      for (n = LONGEST; n > 0 && ((unsigned char)name[n] & 0xc0) == 0x80;) n--; /* not within a character */
    AL_TRY(al_canvas_text_at(canvas, "class_names", k + 1, "%.*s", (int)n, name == NULL ? "" : name));
    longest = n > longest ? n : longest;
  }
  AL_TRY(al_canvas_set(canvas, "longest", (double)longest));
done:
  return status;
}

static al_status draw_balance(al_canvas *canvas, const al_figure_request *r) {
  al_status status;
  al_setting *s = r->settings[0];
  const al_table_of_setting *t = NULL;
  size_t *order = NULL, classes = s->contenders[0].runs[0].classes, panels = 0;
  double *mean = NULL;
  char title[256], n[64];
  if (classes < 2) return al_canvas_skip(canvas, "there are no classes to balance");
  AL_TRY(al_setting_table(&t, s, r->measure, AL_AXIS_LABELS));
  AL_TRY(AL_NEW(&order, s->n));
  AL_TRY(AL_NEW(&mean, classes));
  al_table_order(order, t);
  AL_TRY(al_canvas_array(canvas, "titles", s->n));
  AL_TRY(al_canvas_text(canvas, "title", "Classes of the labelled set: %s", al_setting_title(s, title)));
  double x_to = 0.0;
  for (size_t i = 0; i < s->n; i++) {
    const al_contender *c = &s->contenders[order[i]];
    size_t rounds = SIZE_MAX;
    for (size_t j = 0; j < c->n; j++) rounds = c->runs[j].rounds < rounds ? c->runs[j].rounds : rounds;
    AL_TRY(al_canvas_block(canvas, "%s: round, labels, class, share of the labelled set times the number of classes",
                           c->strategy));
    for (size_t q = 0; q < rounds; q++) {
      double labels = 0.0;
      memset(mean, 0, classes * sizeof *mean);
      for (size_t j = 0; j < c->n; j++) {
        double sum = 0.0;
        for (size_t k = 0; k < classes; k++) sum += c->runs[j].counts[q * classes + k];
        labels += c->runs[j].labels[q] / (double)c->n;
        for (size_t k = 0; k < classes && sum > 0.0; k++)
          mean[k] += c->runs[j].counts[q * classes + k] / sum * (double)classes / (double)c->n;
      }
      for (size_t k = 0; k < classes; k++) AL_TRY(al_canvas_row(canvas, "%zu %.10g %zu %.6g", q, labels, k, mean[k]));
      x_to = fmax(x_to, (double)q);
    }
    AL_TRY(al_canvas_text_at(canvas, "titles", ++panels, "%s", c->strategy));
  }
  AL_TRY(al_canvas_panels(canvas, panels, panels <= 8 ? 2.2 : 1.4, panels <= 8 ? 2.0 : 1.3, 1.25));
  AL_TRY(put_class_names(canvas, s, classes, panels <= 8));
  AL_TRY(al_canvas_set(canvas, "classes", (double)classes));
  AL_TRY(al_canvas_set(canvas, "last_round", x_to));
  const al_contender *first = &s->contenders[0];
  AL_TRY(al_canvas_text(
      canvas, "note",
      "colour: share of the labelled set in units of an even share (1 = 1/%zu), by class and round; mean, %s", classes,
      al_replicates_text(&first, 1, n)));
done:
  free(order);
  free(mean);
  return status;
}

const al_figure_type al_figure_balance = {
    .name = "balance",
    .title = "Classes of the labelled set over rounds",
    .see = "One panel a strategy, best area first; a line a class, from the initial set at the left. White is an even "
           "share, "
           "blue more, orange less: horizontal stripes that grow are classes that a strategy prefers or forgets.",
    .draw = draw_balance};

/* ---- calibration ---- */

static al_status put_bins(al_canvas *canvas, const al_contender *c) {
  al_status status;
  double *confidence = NULL, *accuracy = NULL;
  AL_TRY(AL_NEW(&confidence, c->n));
  AL_TRY(AL_NEW(&accuracy, c->n));
  AL_TRY(al_canvas_block(canvas,
                         "%s: mean confidence, mean accuracy, low and high of its 95 %% t interval, share of the test "
                         "rows, replicates with the bin",
                         c->strategy));
  bool any = false;
  for (size_t b = 0; b < AL_BINS; b++) {
    size_t n = 0;
    double share = 0.0;
    for (size_t j = 0; j < c->n; j++) {
      double rows = 0.0;
      for (size_t k = 0; k < AL_BINS; k++) rows += c->runs[j].bins[k][0];
      if (!(c->runs[j].bins[b][0] > 0.0)) continue;
      share += c->runs[j].bins[b][0] / rows / (double)c->n;
      confidence[n] = c->runs[j].bins[b][1];
      accuracy[n++] = c->runs[j].bins[b][2];
    }
    if (n == 0) continue;
    any = true;
    al_interval x = al_mean_interval(confidence, n), y = al_mean_interval(accuracy, n);
    double row[] = {x.mean, y.mean,   n > 1 ? fmax(y.low, 0.0) : y.mean, n > 1 ? fmin(y.high, 1.0) : y.mean,
                    share,  (double)n};
    AL_TRY(al_canvas_numbers(canvas, row, 6));
  }
  if (!any) AL_TRY(al_canvas_row(canvas, "NaN NaN NaN NaN 0 0"));
done:
  free(confidence);
  free(accuracy);
  return status;
}

static al_status draw_calibration(al_canvas *canvas, const al_figure_request *r) {
  enum { ECE = 10 };
  al_status status;
  al_setting *s = r->settings[0];
  const al_table_of_setting *t = NULL;
  size_t *order = NULL, panels = 0;
  char title[256], n[64];
  AL_TRY(al_setting_table(&t, s, r->measure, AL_AXIS_LABELS));
  AL_TRY(AL_NEW(&order, s->n));
  al_table_order(order, t);
  AL_TRY(al_canvas_array(canvas, "titles", s->n));
  AL_TRY(al_canvas_array(canvas, "styles", s->n));
  AL_TRY(al_canvas_array(canvas, "eces", s->n));
  AL_TRY(al_canvas_text(canvas, "title", "Calibration after the last round: %s", al_setting_title(s, title)));
  for (size_t i = 0; i < s->n; i++) {
    const al_contender *c = &s->contenders[order[i]];
    double ece = 0.0;
    for (size_t j = 0; j < c->n; j++) {
      const al_run *run = &c->runs[j];
      ece += run->values[ECE * run->rounds + run->rounds - 1] / (double)c->n;
    }
    AL_TRY(put_bins(canvas, c));
    panels++;
    AL_TRY(al_canvas_text_at(canvas, "titles", panels, "%s", c->strategy));
    AL_TRY(isnan(ece) ? al_canvas_text_at(canvas, "eces", panels, " ")
                      : al_canvas_text_at(canvas, "eces", panels, "ece %.3f", ece));
    AL_TRY(al_canvas_set_at(canvas, "styles", panels, (double)c->style));
  }
  double shape = panels <= 8 ? 2.2 : 1.6, across = fmin(6.0, ceil(sqrt((double)panels * shape)));
  double side = (8.6 - 0.9 - 0.22 * (across - 1.0)) / across; /* panels are nearly square */
  AL_TRY(al_canvas_panels(canvas, panels, shape, side + 0.34, 1.25));
  const al_contender *first = &s->contenders[0];
  AL_TRY(al_canvas_text(
      canvas, "note",
      "15 bins of confidence; accuracy: mean and 95 %% t interval over the replicates that have the bin, "
      "%s; area of a mark: share of the test rows; ece: mean",
      al_replicates_text(&first, 1, n)));
done:
  free(order);
  return status;
}

const al_figure_type al_figure_calibration = {.name = "calibration",
                                              .title = "Calibration after the last round",
                                              .see = "Accuracy of the predictions that the model made with a given "
                                                     "confidence. On the diagonal it knows what it knows; "
                                                     "below it is too sure, above it is too modest.",
                                              .draw = draw_calibration};
