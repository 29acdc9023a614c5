/* What every figure draws, against numbers worked out here from a study made by hand: three strategies, three
 * replicates, four rounds at 10, 15, 20 and 25 labels. */
#include "report/figure_parts.h"
#include "report/html.h"
#include "report/summary_table.h"
#include "study_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { DATASETS = 6, STRATEGIES = 3, REPLICATES = 3 };
static const char *const datasets[DATASETS] = {"d1", "d2", "d3", "d4", "d5", "d6"};
static const char *const strategies[STRATEGIES] = {"random", "margin", "badge"};
static const double t_of_2 = 4.302652729911275; /* R: qt(0.975, 2) */

static const char experiment[] = "{'study': 'fixture', 'seed': 1, 'replicates': 3, 'datasets': [], 'models': [], "
                                 "'strategies': [], 'initial': [], 'query': "
                                 "[], 'stop': {}, 'holdout': {'size': 0}, 'evaluate': {'sample': 0}}";

/* margin is above random everywhere, badge below it; replicates differ, and on d6 margin's lead is lost in them. */
static double accuracy_of(int dataset, int strategy, int replicate, int round) {
  double lead = strategy == 0 || round == 0 ? 0.0 : strategy == 1 ? 0.031 : -0.042;
  if (dataset == 5 && strategy == 1 && round != 0) lead = 0.05 * (replicate - 1);
  return 0.3 + 0.07 * round + 0.01 * dataset + 0.004 * replicate * (round + 1) + lead +
         0.0003 * replicate * strategy * round;
}

static void add_dataset(study *s, int dataset, double price) {
  for (int i = 0; i < STRATEGIES; i++)
    for (int r = 0; r < REPLICATES; r++) {
      cell c = {.dataset = datasets[dataset],
                .strategy = strategies[i],
                .replicate = r,
                .first_row = 20 * r,
                .picks_from = 1000 + 5 * i,
                .cost_of_label = price * (1 + r),
                .seconds = 0.5 * (i + 1)};
      for (int q = 0; q < FIXTURE_ROUNDS; q++) c.accuracy[q] = accuracy_of(dataset, i, r, q);
      study_add(s, &c, false);
    }
  study_add(s, &(cell){.dataset = datasets[dataset], .strategy = "full-data", .accuracy = {0.6}}, true);
}

typedef struct world {
  study s;
  al_collection *c;
  al_setting *settings[DATASETS];
} world;

static void open_world(world *w, int n, double price) {
  const char *folder = w->s.folder;
  study_begin(&w->s);
  for (int d = 0; d < n; d++) add_dataset(&w->s, d, price);
  study_write(&w->s, experiment);
  assert_int_equal(al_collect(&w->c, &folder, 1, NULL), AL_OK);
  assert_int_equal(w->c->n, n);
  for (int d = 0; d < n; d++) w->settings[d] = &w->c->settings[d];
}

static void close_world(world *w) {
  al_collection_free(w->c);
  study_end(&w->s);
}

static al_canvas draw(world *w, const al_figure_type *type, size_t n, size_t measure, al_axis axis) {
  al_canvas canvas = {.name = "x", .template = type->name, .source = "study fixture", .redraw = "alab report x"};
  al_figure_request request = {.settings = w->settings, .n = n, .measure = measure, .axis = axis};
  assert_int_equal(type->draw(&canvas, &request), AL_OK);
  if (canvas.skipped.size != 0) fail_msg("%s was skipped: %s", type->name, canvas.skipped.data);
  assert_true(canvas.width > 1.0 && canvas.height > 1.0);
  assert_non_null(al_asset_text("style.gp"));
  char template[64];
  snprintf(template, sizeof template, "%s.gp", canvas.template);
  assert_non_null(al_asset_text(template));
  assert_non_null(strstr(canvas.script.data, "note = "));
  return canvas;
}

/* Number `column` of line `line` (from 0) in the block whose comment begins with `block`. */
static double number_at(const al_canvas *canvas, const char *block, int line, int column) {
  char comment[200];
  snprintf(comment, sizeof comment, "# %s", block);
  const char *at = strstr(canvas->data.data, comment);
  if (at == NULL) fail_msg("no block '%s' in\n%s", block, canvas->data.data);
  for (int i = 0; i <= line; i++) at = strchr(at, '\n') + 1;
  double value = NAN;
  for (int i = 0; i <= column; i++) {
    char *end = NULL;
    value = strtod(at, &end);
    at = end;
  }
  return value;
}

static void expect_at(const al_canvas *canvas, const char *block, int line, int column, double value) {
  double found = number_at(canvas, block, line, column);
  if (!(fabs(found - value) <= 1e-8))
    fail_msg("%s, line %d, column %d: %.10g, expected %.10g", block, line, column, found, value);
}

static void expect_text(const al_canvas *canvas, const char *text) {
  if (strstr(canvas->script.data, text) == NULL) fail_msg("no '%s' in\n%s", text, canvas->script.data);
}

static void expect_said(const al_canvas *canvas, const char *text) {
  if (canvas->caption.data == NULL || strstr(canvas->caption.data, text) == NULL)
    fail_msg("no '%s' in the caption '%s'", text, canvas->caption.data == NULL ? "" : canvas->caption.data);
}

typedef struct {
  double mean, half;
} naive;

static naive naive_interval(const double *v) {
  double mean = (v[0] + v[1] + v[2]) / 3.0, square = 0.0;
  for (int i = 0; i < 3; i++) square += (v[i] - mean) * (v[i] - mean);
  return (naive){mean, t_of_2 * sqrt(square / 2.0) / sqrt(3.0)};
}

static double area_of(int dataset, int strategy, int replicate) { /* three trapezoids of equal width */
  double a[FIXTURE_ROUNDS];
  for (int q = 0; q < FIXTURE_ROUNDS; q++) a[q] = accuracy_of(dataset, strategy, replicate, q);
  return ((a[0] + a[1]) + (a[1] + a[2]) + (a[2] + a[3])) / 6.0;
}

static naive area_difference(int dataset, int strategy) {
  double d[REPLICATES];
  for (int r = 0; r < REPLICATES; r++) d[r] = area_of(dataset, strategy, r) - area_of(dataset, 0, r);
  return naive_interval(d);
}

static void curves_and_differences(void **unused) {
  (void)unused;
  world w;
  open_world(&w, 1, 0.0);
  al_canvas curves = draw(&w, &al_figure_curves, 1, AL_MEASURE_ACCURACY, AL_AXIS_LABELS);
  al_canvas differences = draw(&w, &al_figure_differences, 1, AL_MEASURE_ACCURACY, AL_AXIS_LABELS);
  for (int i = 0; i < STRATEGIES; i++)
    for (int q = 0; q < FIXTURE_ROUNDS; q++) {
      double a[REPLICATES], d[REPLICATES];
      for (int r = 0; r < REPLICATES; r++) {
        a[r] = accuracy_of(0, i, r, q);
        d[r] = a[r] - accuracy_of(0, 0, r, q);
      }
      naive own = naive_interval(a), other = naive_interval(d);
      expect_at(&curves, strategies[i], q, 0, 10.0 + 5.0 * q);
      expect_at(&curves, strategies[i], q, 1, own.mean);
      expect_at(&curves, strategies[i], q, 2, own.mean - own.half);
      expect_at(&curves, strategies[i], q, 3, own.mean + own.half);
      expect_at(&curves, strategies[i], q, 4, 3.0);
      if (i == 0) continue;
      expect_at(&differences, strategies[i], q, 1, other.mean);
      expect_at(&differences, strategies[i], q, 2, other.mean - other.half);
      expect_at(&differences, strategies[i], q, 3, other.mean + other.half);
    }
  expect_text(&curves, "full = 0.6\n");
  expect_text(&curves, "names[1] = 'random'\nstyles[1] = 1\n");
  expect_text(&curves, "names[2] = 'margin'\n");
  expect_text(&curves, "n = 3 replicates");
  expect_said(&curves, "margin has the best mean area");
  expect_text(&differences, "titles[1] = 'margin");
  al_canvas_free(&curves);
  al_canvas_free(&differences);
  al_canvas state = draw(&w, &al_figure_curves, 1, 12, AL_AXIS_LABELS); /* kl */
  expect_at(&state, "badge", 3, 1, 0.375);
  al_canvas_free(&state);
  close_world(&w);
}

/* Replicate r pays 1 + r a label: 10..25, 20..50, 30..75. All have a point from 30 to 25: nowhere; with a third of the
 * spread there is a common range. */
static void curves_against_cost(void **unused) {
  (void)unused;
  world w;
  open_world(&w, 1, 1.0);
  al_canvas canvas = {.name = "x", .template = "curves"};
  al_figure_request request = {.settings = w.settings, .n = 1, .axis = AL_AXIS_COST};
  assert_int_equal(al_figure_curves.draw(&canvas, &request), AL_OK);
  assert_true(canvas.skipped.size != 0); /* replicates share no cost */
  al_canvas_free(&canvas);
  /* two replicates, at 10..25 and 20..50: the union within 20..25 is 20 and 25 */
  for (size_t i = 0; i < w.settings[0]->n; i++) w.settings[0]->contenders[i].n = 2;
  canvas = draw(&w, &al_figure_curves, 1, AL_MEASURE_ACCURACY, AL_AXIS_COST);
  double second_at_25 = 0.5 * (accuracy_of(0, 1, 1, 0) + accuracy_of(0, 1, 1, 1)); /* 25 is half-way from 20 to 30 */
  expect_at(&canvas, "margin", 0, 0, 20.0);
  expect_at(&canvas, "margin", 0, 1, 0.5 * (accuracy_of(0, 1, 0, 2) + accuracy_of(0, 1, 1, 0)));
  expect_at(&canvas, "margin", 1, 0, 25.0);
  expect_at(&canvas, "margin", 1, 1, 0.5 * (accuracy_of(0, 1, 0, 3) + second_at_25));
  expect_text(&canvas, "x_title = 'cost (seconds of annotation)'");
  al_canvas_free(&canvas);
  for (size_t i = 0; i < w.settings[0]->n; i++) w.settings[0]->contenders[i].n = 3;
  close_world(&w);
}

static void areas(void **unused) {
  (void)unused;
  world w;
  open_world(&w, 1, 0.0);
  al_canvas canvas = draw(&w, &al_figure_areas, 1, AL_MEASURE_ACCURACY, AL_AXIS_LABELS);
  const int order[] = {1, 0, 2}; /* best first */
  for (int place = 0; place < 3; place++) {
    naive d = area_difference(0, order[place]);
    expect_at(&canvas, "place", place, 0, place + 1.0);
    expect_at(&canvas, "place", place, 1, order[place] == 0 ? 0.0 : d.mean);
    expect_at(&canvas, "place", place, 2, order[place] == 0 ? 0.0 : d.mean - d.half);
    expect_at(&canvas, "place", place, 3, order[place] == 0 ? 0.0 : d.mean + d.half);
  }
  expect_said(&canvas, "Of 2 strategies 1 is shown to be better than random and 1 to be worse");
  al_canvas_free(&canvas);
  canvas = draw(&w, &al_figure_areas, 1, 8, AL_AXIS_LABELS); /* nll is 1 - accuracy: lower is better, the order stays */
  expect_at(&canvas, "place", 0, 1, -area_difference(0, 1).mean);
  expect_said(&canvas, "1 is shown to be better");
  al_canvas_free(&canvas);
  close_world(&w);
}

static void panels_of_measures(void **unused) {
  (void)unused;
  world w;
  open_world(&w, 1, 0.0);
  al_canvas metrics = draw(&w, &al_figure_metrics, 1, AL_MEASURE_ACCURACY, AL_AXIS_LABELS);
  al_canvas labelled = draw(&w, &al_figure_labelled, 1, AL_MEASURE_ACCURACY, AL_AXIS_LABELS);
  double a = 0.0;
  for (int r = 0; r < REPLICATES; r++) a += accuracy_of(0, 2, r, 2) / 3.0;
  expect_at(&metrics, "accuracy, badge", 2, 1, a);
  expect_at(&metrics, "nll, badge", 2, 1, 1.0 - a);
  expect_at(&metrics, "ece, random", 0, 1, 0.25);
  assert_true(isnan(number_at(&metrics, "recall_macro, random", 0, 1))); /* not in these logs */
  expect_text(&metrics, "titles[4] = 'macro recall: none'");
  assert_int_equal(metrics.blocks, 12 * STRATEGIES);
  expect_at(&labelled, "kl, margin", 2, 1, 0.25);
  expect_at(&labelled, "imbalance, margin", 2, 1, 1.5);
  expect_text(&labelled, "titles[4] = 'share of wrong answers: 0 throughout'");
  al_canvas_free(&metrics);
  al_canvas_free(&labelled);
  close_world(&w);
}

/* Full data 0.6, target 0.54. */
static void targets(void **unused) {
  (void)unused;
  world w;
  open_world(&w, 1, 0.0);
  al_canvas canvas = draw(&w, &al_figure_targets, 1, AL_MEASURE_ACCURACY, AL_AXIS_LABELS);
  for (int line = 0; line < STRATEGIES * REPLICATES; line++) {
    int strategy = -1, replicate = (int)number_at(&canvas, "place, labels", line, 4);
    const char *at = strstr(canvas.data.data, "# place, labels");
    for (int i = 0; i <= line; i++) at = strchr(at, '\n') + 1;
    for (int i = 0; i < STRATEGIES; i++) {
      const char *end = strchr(at, '\n');
      size_t n = strlen(strategies[i]);
      if (strncmp(end - n, strategies[i], n) == 0) strategy = i;
    }
    assert_in_range(strategy, 0, 2);
    double x = 25.0;
    int censored = 1; /* the first crossing that the next round confirms */
    for (int q = 1; q + 1 < FIXTURE_ROUNDS && censored; q++) {
      double before = accuracy_of(0, strategy, replicate, q - 1), here = accuracy_of(0, strategy, replicate, q);
      if (here < 0.54 || accuracy_of(0, strategy, replicate, q + 1) < 0.54) continue;
      x = 10.0 + 5.0 * (q - 1) + 5.0 * (0.54 - before) / (here - before);
      censored = 0;
    }
    expect_at(&canvas, "place, labels", line, 1, x);
    expect_at(&canvas, "place, labels", line, 3, censored);
  }
  expect_text(&canvas, "0.5400 test accuracy");
  al_canvas_free(&canvas);
  close_world(&w);
}

static void picks(void **unused) {
  (void)unused;
  world w;
  open_world(&w, 1, 0.0);
  al_canvas overlap = draw(&w, &al_figure_overlap, 1, AL_MEASURE_ACCURACY, AL_AXIS_LABELS);
  /* 15 rows each, from 1000, 1005 and 1010: 10 of 20 and 5 of 25 are shared. Order: margin, random, badge. */
  expect_at(&overlap, "column, row", 1, 2, 0.5); /* margin, random */
  expect_at(&overlap, "column, row", 2, 2, 0.5); /* margin, badge */
  expect_at(&overlap, "column, row", 5, 2, 0.2); /* random, badge */
  assert_true(isnan(number_at(&overlap, "column, row", 4, 2)));
  expect_text(&overlap, "at 25 labels");
  al_canvas balance = draw(&w, &al_figure_balance, 1, AL_MEASURE_ACCURACY, AL_AXIS_LABELS);
  /* round 1, 15 labels: 5, 5, 5; round 2, 20 labels: 8, 6, 6 of 20, times 3 classes */
  expect_at(&balance, "badge", 3, 3, 1.0);
  expect_at(&balance, "badge", 6, 3, 8.0 / 20.0 * 3.0);
  expect_at(&balance, "badge", 7, 3, 6.0 / 20.0 * 3.0);
  expect_text(&balance, "class_names[2] = T('two \\& three', 'two \\& three')");
  al_canvas calibration = draw(&w, &al_figure_calibration, 1, AL_MEASURE_ACCURACY, AL_AXIS_LABELS);
  double last[REPLICATES];
  for (int r = 0; r < REPLICATES; r++) last[r] = accuracy_of(0, 1, r, 3);
  naive a = naive_interval(last);
  expect_at(&calibration, "margin", 0, 0, 0.45);
  expect_at(&calibration, "margin", 0, 1, a.mean);
  expect_at(&calibration, "margin", 0, 2, a.mean - a.half);
  expect_at(&calibration, "margin", 0, 4, 0.75);
  expect_at(&calibration, "margin", 1, 0, 0.85);
  expect_at(&calibration, "margin", 1, 4, 0.25);
  expect_text(&calibration, "eces[1] = 'ece 0.250'");
  al_canvas_free(&overlap);
  al_canvas_free(&balance);
  al_canvas_free(&calibration);
  close_world(&w);
}

static void effort(void **unused) {
  (void)unused;
  world w;
  open_world(&w, 2, 0.0);
  al_canvas one = draw(&w, &al_figure_time, 1, AL_MEASURE_ACCURACY, AL_AXIS_LABELS);
  expect_at(&one, "badge", 0, 0, 1975.0); /* the smallest pool first: that of round 3 */
  expect_at(&one, "badge", 0, 1, 1.5);
  expect_at(&one, "badge", 0, 4, 67.0); /* 64 + 3 MiB */
  expect_at(&one, "badge", 2, 0, 1985.0);
  al_canvas two = draw(&w, &al_figure_time, 2, AL_MEASURE_ACCURACY, AL_AXIS_LABELS);
  expect_at(&two, "margin", 1, 0, 1980.0); /* mean over rounds 1 to 3 */
  expect_at(&two, "margin", 1, 1, 1.0);
  expect_at(&two, "margin", 1, 7, 3.0);
  expect_said(&two, "Slowest on the largest pool: badge, 1.5 s");
  al_canvas_free(&one);
  al_canvas_free(&two);
  close_world(&w);
}

static void fits(void **unused) {
  (void)unused;
  world w;
  const char *folder = w.s.folder;
  study_begin(&w.s);
  for (int r = 0; r < REPLICATES; r++) {
    cell c = {.strategy = "random", .replicate = r};
    for (int q = 0; q < FIXTURE_ROUNDS; q++) c.accuracy[q] = 0.9 - 1.2 * pow(10.0 + 5.0 * q, -0.5) + 0.01 * (r - 1);
    study_add(&w.s, &c, false);
  }
  study_write(&w.s, experiment);
  assert_int_equal(al_collect(&w.c, &folder, 1, NULL), AL_OK);
  w.settings[0] = &w.c->settings[0];
  al_canvas canvas = draw(&w, &al_figure_fits, 1, AL_MEASURE_ACCURACY, AL_AXIS_LABELS);
  expect_text(&canvas, "says[1] = 'a 0.90, c 0.50'");
  assert_float_equal(number_at(&canvas, "random, fitted curve, within the data", 0, 1), 0.9 - 1.2 / sqrt(10.0), 1e-5);
  assert_float_equal(number_at(&canvas, "random, fitted curve, EXTRAPOLATED", 40, 0), 50.0, 1e-6);
  assert_float_equal(number_at(&canvas, "random, fitted curve, EXTRAPOLATED", 40, 1), 0.9 - 1.2 / sqrt(50.0), 1e-4);
  expect_text(&canvas, "EXTRAPOLATED, no data");
  al_canvas_free(&canvas);
  close_world(&w);
}

static void over_datasets(void **unused) {
  (void)unused;
  world w;
  open_world(&w, DATASETS, 0.0);
  al_canvas ranks = draw(&w, &al_figure_ranks, DATASETS, AL_MEASURE_ACCURACY, AL_AXIS_LABELS);
  /* margin is first on five datasets; on d6 its mean lead is 0.0003-sized, still above random */
  double margin = 0.0, random = 0.0;
  for (int d = 0; d < DATASETS; d++) {
    double a[STRATEGIES] = {0};
    for (int i = 0; i < STRATEGIES; i++)
      for (int r = 0; r < REPLICATES; r++) a[i] += area_of(d, i, r) / 3.0;
    margin += (1.0 + (a[0] > a[1]) + (a[2] > a[1])) / DATASETS;
    random += (1.0 + (a[1] > a[0]) + (a[2] > a[0])) / DATASETS;
  }
  expect_at(&ranks, "mean rank", 0, 0, margin);
  expect_at(&ranks, "mean rank", 1, 0, random);
  expect_at(&ranks, "mean rank", 2, 0, 3.0);
  expect_text(&ranks, "Friedman chi2 = 12.00");                      /* complete agreement: blocks * (k - 1) = 6 * 2 */
  expect_text(&ranks, "distance_text = 'critical difference 1.35'"); /* Demsar's 2.343 * sqrt(3 * 4 / (6 * 6)) */
  expect_at(&ranks, "groups", 0, 1, 1.0); /* margin and random are 1 apart, random and badge too */
  expect_at(&ranks, "groups", 0, 2, 2.0);
  expect_at(&ranks, "groups", 1, 1, 2.0);
  expect_at(&ranks, "groups", 1, 2, 3.0);
  al_canvas_free(&ranks);
  al_canvas few = draw(&w, &al_figure_ranks, 5, AL_MEASURE_ACCURACY, AL_AXIS_LABELS);
  expect_text(&few, "a test of ranks needs at least 6");
  assert_true(isnan(number_at(&few, "groups", 0, 1)));
  al_canvas_free(&few);
  al_canvas wins = draw(&w, &al_figure_wins, DATASETS, AL_MEASURE_ACCURACY, AL_AXIS_LABELS);
  expect_at(&wins, "place", 0, 1, 5.0); /* margin: all but d6 */
  expect_at(&wins, "place", 0, 2, 1.0);
  expect_at(&wins, "place", 1, 3, 6.0); /* badge loses everywhere */
  al_canvas_free(&wins);
  al_canvas overview = draw(&w, &al_figure_overview, DATASETS, AL_MEASURE_ACCURACY, AL_AXIS_LABELS);
  for (int i = 1; i < STRATEGIES; i++)
    for (int d = 0; d < DATASETS; d++)
      expect_at(&overview, "column, row", (i - 1) * DATASETS + d, 2, area_difference(d, i).mean);
  al_canvas_free(&overview);
  al_canvas penalty = draw(&w, &al_figure_penalty, 5, AL_MEASURE_ACCURACY, AL_AXIS_LABELS);
  /* checkpoints 15 and 20; margin beats both, and random badge, at each, on all five datasets */
  expect_at(&penalty, "column, row", 1, 2, 5.0); /* margin over random */
  expect_at(&penalty, "column, row", 2, 2, 5.0); /* margin over badge */
  expect_at(&penalty, "column, row", 5, 2, 5.0); /* random over badge */
  expect_at(&penalty, "column, row", 3, 2, 0.0); /* random over margin */
  expect_at(&penalty, "column, row", 9, 2, 0.0); /* column means over all three rows */
  expect_at(&penalty, "column, row", 10, 2, 5.0 / 3.0);
  expect_at(&penalty, "column, row", 11, 2, 10.0 / 3.0);
  al_canvas_free(&penalty);
  close_world(&w);
}

static void reasons_to_skip(void **unused) {
  (void)unused;
  world w;
  const char *folder = w.s.folder;
  study_begin(&w.s);
  study_add(&w.s, &(cell){.strategy = "margin", .accuracy = {0.1, 0.3, 0.2, 0.4}, .cpu = ""}, false);
  study_write(&w.s, experiment);
  assert_int_equal(al_collect(&w.c, &folder, 1, NULL), AL_OK);
  w.settings[0] = &w.c->settings[0];
  static const struct {
    const al_figure_type *type;
    const char *why;
  } expected[] = {{&al_figure_differences, "random"},    {&al_figure_targets, "full-data"},
                  {&al_figure_overlap, "one strategy"},  {&al_figure_time, "timing"},
                  {&al_figure_ranks, "2 datasets"},      {&al_figure_wins, "2 datasets"},
                  {&al_figure_penalty, "two strategies"}};
  for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
    al_canvas canvas = {.name = "x"};
    al_figure_request request = {.settings = w.settings, .n = 1};
    assert_int_equal(expected[i].type->draw(&canvas, &request), AL_OK);
    if (canvas.skipped.data == NULL || strstr(canvas.skipped.data, expected[i].why) == NULL)
      fail_msg("%s: '%s', expected '%s'", expected[i].type->name,
               canvas.skipped.data == NULL ? "" : canvas.skipped.data, expected[i].why);
    al_canvas_free(&canvas);
  }
  close_world(&w);
}

static void labels_keep_apart(void **unused) {
  (void)unused;
  double y[] = {0.5, 0.501, 0.499, 0.9, 0.5, 0.02};
  assert_int_equal(al_spread(y, 6, 0.1, 0.0, 1.0), AL_OK);
  for (int i = 0; i < 6; i++) {
    assert_true(y[i] >= 0.0 && y[i] <= 1.0);
    for (int j = 0; j < i; j++) assert_true(fabs(y[i] - y[j]) >= 0.1 - 1e-6);
  }
  assert_true(y[1] > y[0] && y[0] > y[2]);           /* their order stays */
  assert_true(fabs(y[3] - 0.9) < 0.1 && y[5] < 0.1); /* and nobody moves without need */
  double full[] = {0.1, 0.1, 0.1, 0.1};
  assert_int_equal(al_spread(full, 4, 0.9, 0.0, 1.0), AL_OK); /* no room: as far as it goes */
  for (int i = 0; i < 4; i++) assert_true(full[i] >= -1e-9 && full[i] <= 1.0 + 1e-9);
}

static void texts_are_quoted(void **unused) {
  (void)unused;
  al_canvas canvas = {0};
  assert_int_equal(al_canvas_text(&canvas, "a", "it's 5 %% of a_b"), AL_OK);
  assert_string_equal(canvas.script.data, "a = T('it''s 5 % of a\\_b', 'it''s 5 \\% of a\\_b')\n");
  al_canvas_free(&canvas);
  al_buffer html = {0};
  assert_int_equal(al_html_text(&html, "<a href=\"x\">&"), AL_OK);
  assert_string_equal(html.data, "&lt;a href=&quot;x&quot;&gt;&amp;");
  html.size = 0;
  static const char svg[] =
      "<?xml?>\n<svg \n viewBox=\"0 0 10 20\"\n xmlns=\"x\">\n<title>Gnuplot</title>\n<g id=\"gnuplot_canvas\">\n"
      "<rect x=\"0\" y=\"0\" width=\"10\" height=\"20\" fill=\"#ffffff\"/>\n<path id='gpPt0' d='M0'/>"
      "<use xlink:href='#gpPt0' color='rgb(  0, 114, 178)'/><path stroke='black' fill='rgb(12, 13, "
      "14)'/></g>\n</svg>\n";
  assert_int_equal(al_html_svg(&html, svg, "f1-", "what it shows & why"), AL_OK);
  assert_string_equal(html.data,
                      "<svg class=\"plot\" viewBox=\"0 0 10 20\" role=\"img\" aria-label=\"what it shows &amp; why\">\n"
                      "<g id=\"f1-gnuplot_canvas\">\n\n<path id='f1-gpPt0' d='M0'/>"
                      "<use xlink:href='#f1-gpPt0' color='var(--s2)'/><path stroke=\"var(--ink)\" fill='rgb(12, 13, "
                      "14)'/></g>\n</svg>\n");
  al_buffer_free(&html);
}

static void tables_in_every_style(void **unused) {
  (void)unused;
  static const char *const heads[] = {"name_x", "p < 5 %"};
  al_grid grid;
  al_buffer out = {0};
  assert_int_equal(al_grid_begin(&grid, "A caption", heads, 2, 2), AL_OK);
  al_grid_put(&grid, 0, 0, NAN, "a&b");
  al_grid_put(&grid, 0, 1, 0.25, "-0.250 [-1, +2]");
  al_grid_put(&grid, 1, 0, NAN, "k-center");
  al_grid_put(&grid, 1, 1, NAN, ">= 3 %%");
  assert_int_equal(al_grid_append(&out, &grid, AL_GRID_TEX), AL_OK);
  assert_string_equal(
      out.data,
      "% needs \\usepackage{booktabs}\n\\begin{tabular}{lr}\n\\toprule\nname\\_x & p $<$ 5 \\% \\\\\n\\midrule\n"
      "a\\&b & $-$0.250 [$-$1, $+$2] \\\\\nk-center & $\\ge$ 3 \\% \\\\\n\\bottomrule\n\\end{tabular}\n");
  out.size = 0;
  assert_int_equal(al_grid_append(&out, &grid, AL_GRID_MD), AL_OK);
  assert_string_equal(out.data,
                      "| name_x | p < 5 % |\n| --- | --- |\n| a&b | -0.250 [-1, +2] |\n| k-center | >= 3 % |\n");
  out.size = 0;
  assert_int_equal(al_grid_append(&out, &grid, AL_GRID_TEXT), AL_OK);
  assert_string_equal(out.data, "name_x    p < 5 %\na&b       -0.250 [-1, +2]\nk-center  >= 3 %\n");
  out.size = 0;
  assert_int_equal(al_grid_append(&out, &grid, AL_GRID_HTML), AL_OK);
  assert_non_null(strstr(out.data, "<caption>A caption</caption>"));
  assert_non_null(
      strstr(out.data, "<th scope=\"col\" aria-sort=\"none\"><button type=\"button\">p &lt; 5 %</button></th>"));
  assert_non_null(strstr(out.data, "<th scope=\"row\">a&amp;b</th><td data-key=\"0.25\">-0.250 [-1, +2]</td>"));
  out.size = 0;
  assert_int_equal(al_csv_text(&out, "a,\"b\""), AL_OK);
  assert_int_equal(al_csv_number(&out, 0.1), AL_OK);
  assert_int_equal(al_csv_number(&out, NAN), AL_OK);
  assert_int_equal(al_csv_text(&out, ""), AL_OK);
  assert_string_equal(out.data, "\"a,\"\"b\"\"\",0.10000000000000001,,");
  al_grid_free(&grid);
  al_buffer_free(&out);
}

static void two_studies_of_one_cell(void **unused) {
  (void)unused;
  study s;
  al_collection *c = NULL;
  study_begin(&s);
  study_add(&s, &(cell){.strategy = "random", .accuracy = {0.1, 0.2, 0.3, 0.4}}, false);
  study_write(&s, experiment);
  const char *folders[] = {s.folder, s.folder};
  assert_int_equal(al_collect(&c, folders, 2, NULL), AL_BAD_INPUT);
  json_t *only = fixture_experiment("{'strategy': ['margin', 'badge']}");
  assert_int_equal(al_collect(&c, folders, 1, only), AL_BAD_INPUT); /* nothing is left */
  json_decref(only);
  only = fixture_experiment("{'strategy': ['margin', 'random'], 'replicate': 0, 'dataset': 'd'}");
  assert_int_equal(al_collect(&c, folders, 1, only), AL_OK);
  assert_int_equal(c->settings[0].contenders[0].n, 1);
  assert_string_equal(c->source, "study fixture");
  json_decref(only);
  al_collection_free(c);
  study_end(&s);
}

/* Bounds of a saving: who is there at the start has used at most that much and saves at least the rest; who never gets
 * there saves at most what the range shows; both at once cannot be compared. */
static void savings_are_bounds(void **state) {
  (void)state;
  static const double curves[STRATEGIES][FIXTURE_ROUNDS] = {
      {0.30, 0.40, 0.56, 0.58}, {0.55, 0.56, 0.57, 0.58}, {0.30, 0.35, 0.40, 0.45}};
  world w = {0};
  const char *folder = NULL;
  const al_table_of_setting *table = NULL;
  study_begin(&w.s);
  folder = w.s.folder;
  for (int i = 0; i < STRATEGIES; i++)
    for (int r = 0; r < REPLICATES; r++) {
      cell c = {.dataset = "d1", .strategy = strategies[i], .replicate = r, .cost_of_label = 1.0, .seconds = 1.0};
      memcpy(c.accuracy, curves[i], sizeof curves[i]);
      study_add(&w.s, &c, false);
    }
  study_add(&w.s, &(cell){.dataset = "d1", .strategy = "full-data", .accuracy = {0.6}}, true);
  study_write(&w.s, experiment);
  assert_int_equal(al_collect(&w.c, &folder, 1, NULL), AL_OK);
  assert_int_equal(al_setting_table(&table, &w.c->settings[0], 0, AL_AXIS_LABELS), AL_OK);
  for (size_t i = 0; i < table->n; i++) {
    const char *name = table->rows[i].contender->strategy;
    if (strcmp(name, strategies[1]) == 0) assert_int_equal(table->rows[i].saving_mark, '>');
    if (strcmp(name, strategies[2]) == 0) assert_int_equal(table->rows[i].saving_mark, '<');
    if (strcmp(name, strategies[1]) == 0) assert_true(table->rows[i].saving > 0.0);
    if (strcmp(name, strategies[2]) == 0) assert_true(table->rows[i].saving < 0.0);
  }
  assert_int_equal(table->n, STRATEGIES);
  close_world(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(savings_are_bounds),
      cmocka_unit_test(curves_and_differences),
      cmocka_unit_test(curves_against_cost),
      cmocka_unit_test(areas),
      cmocka_unit_test(panels_of_measures),
      cmocka_unit_test(targets),
      cmocka_unit_test(picks),
      cmocka_unit_test(effort),
      cmocka_unit_test(fits),
      cmocka_unit_test(over_datasets),
      cmocka_unit_test(reasons_to_skip),
      cmocka_unit_test(labels_keep_apart),
      cmocka_unit_test(texts_are_quoted),
      cmocka_unit_test(tables_in_every_style),
      cmocka_unit_test(two_studies_of_one_cell),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
