/* The gate's decision: its cases, its error rates by simulation (1,000 repeats each for 1, 3 and 10 strategies, with
 * three binomial standard errors of tolerance), and the baseline file there and back. */
#include "base/rng.h"
#include "stats/gate.h"
#include "stats/power.h"

#include <gsl/gsl_errno.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { REPEATS = 1000, MOST = 10, MOST_N = 4000 };
static const double margin = 0.02, alpha = 0.05;
static const double too_often = 0.071;  /* 0.05 + 3 sqrt(0.05 0.95 / 1000) */
static const double too_rarely = 0.762; /* 0.8 - 3 sqrt(0.8 0.2 / 1000) */

static double fresh[MOST][MOST_N], pinned[MOST][MOST_N];

static al_gate_test test_of(int i, size_t n, bool paired) {
  return (al_gate_test){.n = n, .fresh = fresh[i], .pinned = pinned[i], .paired = paired};
}

/* Areas near 0.8; replicates differ by 0.03, the difference of a pair by sd. */
static void draw(int i, size_t from, size_t n, double loss, double sd, al_rng *rng) {
  for (size_t r = from; r < n; r++) {
    pinned[i][r] = 0.8 + 0.03 * al_rng_normal(rng);
    fresh[i][r] = pinned[i][r] - loss + sd * al_rng_normal(rng);
  }
}

static al_rng stream(const char *what) {
  al_stream_key key = {.seed = 2026, .purpose = "gate-test", .dataset = what};
  return al_rng_open(&key);
}

static const int families[3] = {1, 3, 10};
static const double spreads[2] = {0.015, 0.04};

/* No change at all: how often is anything called regressed? */
static void false_alarms(void **state) {
  (void)state;
  al_rng rng = stream("false-alarms");
  for (int f = 0; f < 3; f++)
    for (int s = 0; s < 2; s++) {
      int alarms = 0;
      for (int repeat = 0; repeat < REPEATS; repeat++) {
        al_gate_test t[MOST];
        bool any = false;
        for (int i = 0; i < families[f]; i++) {
          draw(i, 0, 10, 0.0, spreads[s], &rng);
          t[i] = test_of(i, 10, true);
        }
        assert_int_equal(al_gate_decide(t, (size_t)families[f], margin, alpha), AL_OK);
        for (int i = 0; i < families[f]; i++) any = any || t[i].verdict == AL_REGRESSED;
        alarms += any;
      }
      print_message("no change, %d strategies, sd %.3f: %.3f of the runs regressed\n", families[f], spreads[s],
                    (double)alarms / REPEATS);
      assert_true(alarms <= too_often * REPEATS);
    }
}

/* A loss of the margin, in one strategy or in all: how often does it pass? */
static void misses(void **state) {
  (void)state;
  al_rng rng = stream("misses");
  for (int f = 0; f < 3; f++)
    for (int s = 0; s < 2; s++)
      for (int all = 0; all < 2; all++) {
        int passed = 0, planted = all ? families[f] : 1;
        for (int repeat = 0; repeat < REPEATS; repeat++) {
          al_gate_test t[MOST];
          for (int i = 0; i < families[f]; i++) {
            draw(i, 0, 10, i < planted ? margin : 0.0, spreads[s], &rng);
            t[i] = test_of(i, 10, true);
          }
          assert_int_equal(al_gate_decide(t, (size_t)families[f], margin, alpha), AL_OK);
          for (int i = 0; i < planted; i++) passed += t[i].verdict == AL_PASS;
        }
        print_message("loss of the margin in %d of %d, sd %.3f: %.3f of them pass\n", planted, families[f], spreads[s],
                      (double)passed / (REPEATS * planted));
        assert_true(passed <= too_often * REPEATS * planted);
        assert_true(passed > 0); /* a gate that never lets it through would be one that never passes anything */
      }
}

/* The replicates that a first run of 10 asks for, then that many: how often is the loss found? */
static void power_at_the_replicates_asked_for(void **state) {
  (void)state;
  al_rng rng = stream("power");
  for (int f = 0; f < 3; f++)
    for (int s = 0; s < 2; s++) {
      int found = 0;
      double asked = 0.0;
      for (int repeat = 0; repeat < REPEATS; repeat++) {
        al_gate_test t[MOST];
        double d[10];
        draw(0, 0, 10, margin, spreads[s], &rng);
        for (int r = 0; r < 10; r++) d[r] = fresh[0][r] - pinned[0][r];
        size_t n = al_replicates_needed(gsl_stats_sd(d, 1, 10), 10, margin, alpha, (size_t)families[f]);
        assert_in_range(n, 5, MOST_N);
        asked += (double)n / REPEATS;
        for (int i = 0; i < families[f]; i++) {
          draw(i, 0, n, i == 0 ? margin : 0.0, spreads[s], &rng);
          t[i] = test_of(i, n, true);
        }
        assert_int_equal(al_gate_decide(t, (size_t)families[f], margin, alpha), AL_OK);
        found += t[0].verdict == AL_REGRESSED;
      }
      print_message("%d strategies, sd %.3f: at the replicates asked for (mean %.0f) %.3f of the losses regressed\n",
                    families[f], spreads[s], asked, (double)found / REPEATS);
      assert_true(found >= too_rarely * REPEATS);
    }
}

/* Two looks at alpha / 2 each, the second with the first's replicates and as many again. */
static void two_looks(void **state) {
  (void)state;
  al_rng rng = stream("looks");
  int alarms = 0, passed = 0;
  for (int repeat = 0; repeat < REPEATS; repeat++)
    for (int loss = 0; loss < 2; loss++) {
      bool any_regressed = false, any_pass = false;
      draw(0, 0, 16, loss ? margin : 0.0, 0.03, &rng);
      for (size_t n = 8; n <= 16; n += 8) {
        al_gate_test t = test_of(0, n, true);
        assert_int_equal(al_gate_decide(&t, 1, margin, alpha / 2.0), AL_OK);
        any_regressed = any_regressed || t.verdict == AL_REGRESSED;
        any_pass = any_pass || t.verdict == AL_PASS;
      }
      alarms += !loss && any_regressed;
      passed += loss && any_pass;
    }
  print_message("two looks: %.3f regressed without a change, %.3f passed with a loss\n", (double)alarms / REPEATS,
                (double)passed / REPEATS);
  assert_true(alarms <= too_often * REPEATS);
  assert_true(passed <= too_often * REPEATS);
}

/* Differences given one by one. */
static al_gate_test decided(const double *differences, size_t n, bool paired) {
  for (size_t r = 0; r < n; r++) {
    pinned[0][r] = 0.8;
    fresh[0][r] = 0.8 + differences[r];
  }
  al_gate_test t = test_of(0, n, paired);
  assert_int_equal(al_gate_decide(&t, 1, margin, alpha), AL_OK);
  return t;
}

static void cases(void **state) {
  (void)state;
  /* By R: d <- c(-.031, -.024, -.035, -.022, -.040, -.028); t.test(d, alternative = "less"): p 5.812208724e-05;
   * mean(d) - qt(.95, 5) * sd(d) / sqrt(6) = -0.0355794163 */
  const double lost[6] = {-0.031, -0.024, -0.035, -0.022, -0.040, -0.028};
  al_gate_test t = decided(lost, 6, true);
  assert_int_equal(t.verdict, AL_REGRESSED);
  assert_float_equal(t.difference, -0.03, 1e-12);
  assert_float_equal(t.p, 5.812208724e-05, 1e-13);
  assert_float_equal(t.lower, -0.0355794163, 1e-10);
  assert_int_equal(t.worst, 4);
  assert_float_equal(t.worst_difference, -0.04, 1e-12);
  assert_int_equal(t.needed, 0);
  t = decided(lost, 4, true); /* fewer than 5 decide nothing */
  assert_int_equal(t.verdict, AL_INCONCLUSIVE);
  assert_true(t.needed >= 5);
  const double small[6] = {0.004, -0.003, 0.002, -0.006, 0.001, 0.003}, wild[6] = {0.1, -0.12, 0.03, -0.2, 0.09, -0.05};
  assert_int_equal(decided(small, 6, true).verdict, AL_PASS);
  t = decided(wild, 6, true);
  assert_int_equal(t.verdict, AL_INCONCLUSIVE);
  assert_true(t.needed > 6);
  const double same[5] = {0}, less[5] = {-0.019, -0.019, -0.019, -0.019, -0.019};
  const double beyond[5] = {-0.021, -0.021, -0.021, -0.021, -0.021};
  assert_int_equal(decided(same, 5, true).verdict, AL_PASS);
  assert_int_equal(decided(less, 5, true).verdict, AL_PASS);
  assert_int_equal(decided(beyond, 5, true).verdict, AL_REGRESSED);
  t = decided(lost, 6, false); /* Welch: the pinned side has no spread, so df is 5 and the p the same */
  assert_int_equal(t.verdict, AL_REGRESSED);
  assert_float_equal(t.p, 5.812208724e-05, 1e-13);
  al_gate_test identical = test_of(0, 6, true);
  identical.identical = true;
  assert_int_equal(al_gate_decide(&identical, 1, margin, alpha), AL_OK);
  assert_int_equal(identical.verdict, AL_IDENTICAL);
  assert_true(isnan(identical.p));
}

/* Holm: a p of 0.02 is a regression by itself and not among ten. */
static void family(void **state) {
  (void)state;
  al_gate_test t[MOST];
  const double d[6] = {-0.005, -0.060, -0.010, -0.075, -0.002, -0.050}; /* R: one-sided p 0.0243002 */
  for (int i = 0; i < MOST; i++)
    for (int r = 0; r < 6; r++) {
      pinned[i][r] = 0.8;
      fresh[i][r] = 0.8 + (i == 0 ? d[r] : (r % 2 ? 0.03 : -0.03) + 0.001 * r);
    }
  for (int i = 0; i < MOST; i++) t[i] = test_of(i, 6, true);
  assert_int_equal(al_gate_decide(t, MOST, margin, alpha), AL_OK);
  assert_int_equal(t[0].verdict, AL_INCONCLUSIVE);
  assert_float_equal(t[0].p, 0.0243002, 1e-6);
  assert_float_equal(t[0].p_holm, 10.0 * t[0].p, 1e-12);
  for (int i = 1; i < MOST; i++) t[i].identical = true; /* those that are identical are no tests */
  assert_int_equal(al_gate_decide(t, MOST, margin, alpha), AL_OK);
  assert_int_equal(t[0].verdict, AL_REGRESSED);
}

/* ---- the file ---- */

static void put(const char *path, const al_buffer *text) {
  FILE *out = fopen(path, "wb"); /* not al_file_write, which waits for the disk each time */
  assert_non_null(out);
  assert_int_equal(fwrite(text->data, 1, text->size, out), text->size);
  assert_int_equal(fclose(out), 0);
}

static void add(al_curve_set *set, const char *strategy, size_t replicate, double up, double last) {
  al_cell_curve *c;
  assert_int_equal(al_curve_set_cell(&c, set), AL_OK);
  c->replicate = replicate;
  const char *texts[] = {"data", "linear", "small", strategy, "7", "1", "abc", "labels", "l", "p"};
  char **to[] = {&c->dataset, &c->model,  &c->setting, &c->strategy, &c->seed,
                 &c->streams, &c->digest, &c->end,     &c->lines,    &c->picks};
  for (size_t i = 0; i < 10; i++) assert_non_null(*to[i] = strdup(texts[i]));
  c->n = 3;
  assert_non_null(c->labels = calloc(3, sizeof(double)));
  assert_non_null(c->value = calloc(3, sizeof(double)));
  for (int i = 0; i < 3; i++) {
    c->labels[i] = i == 2 ? last : 10.0 * (i + 1);
    c->value[i] = 0.1 * (i + 1) + up + 0.01 * (double)replicate;
  }
}

static void file(void **state) {
  (void)state;
  char path[] = "/tmp/alab-gate-XXXXXX";
  int handle = mkstemp(path);
  assert_true(handle >= 0 && close(handle) == 0);
  al_curve_set *set, *other;
  al_buffer text = {0};
  al_gate_baseline *b;
  al_gate_test *tests;
  size_t n;
  assert_int_equal(al_curve_set_new(&set, "accuracy"), AL_OK);
  for (size_t r = 0; r < 6; r++) add(set, "random", r, 0.0, 30.0);
  for (size_t r = 0; r < 6; r++) add(set, "entropy", r, r % 2 ? 0.1 : 0.11, r == 2 ? 28.0 : 30.0);
  assert_int_equal(al_gate_pin(&text, set, "a \"study\""), AL_OK);
  put(path, &text);
  assert_int_equal(al_gate_read(&b, path), AL_OK);
  assert_string_equal(b->study, "a \"study\"");
  assert_int_equal(b->n, 1);
  assert_float_equal(b->ranges[0].to, 28.0, 0.0); /* what all cells of the setting reach */
  assert_int_equal(b->set->n, 12);
  assert_memory_equal(b->set->cells[9].value, set->cells[9].value, 3 * sizeof(double));
  /* against itself: identical; with other lines: no difference at all */
  assert_int_equal(al_gate_match(&tests, &n, b, set), AL_OK);
  assert_int_equal(n, 2);
  assert_string_equal(tests[1].strategy, "entropy");
  assert_true(tests[1].identical && tests[1].paired && tests[1].n == 6 && tests[1].changed == 0);
  al_gate_tests_free(tests, n);
  set->cells[7].lines[0] = 'x';
  free(set->cells[8].seed);
  set->cells[8].seed = strdup("8");
  assert_int_equal(al_gate_match(&tests, &n, b, set), AL_OK);
  assert_true(tests[0].identical && !tests[1].identical && !tests[1].paired && tests[1].changed == -1);
  assert_string_equal(tests[1].why_unpaired, "the seeds differ");
  assert_int_equal(al_gate_decide(tests, n, margin, alpha), AL_OK);
  al_gate_tests_free(tests, n);
  /* a strategy that is gone, and a curve that ends early */
  assert_int_equal(al_curve_set_new(&other, "accuracy"), AL_OK);
  for (size_t r = 2; r < 9; r++) add(other, "random", r, 0.0, 40.0);
  assert_int_equal(al_gate_match(&tests, &n, b, other), AL_BAD_INPUT);
  assert_non_null(strstr(al_message(), "entropy: the baseline has it"));
  add(other, "entropy", 1, 0.0, 25.0);
  assert_int_equal(al_gate_match(&tests, &n, b, other), AL_BAD_INPUT);
  assert_non_null(strstr(al_message(), "from 10 to 25 labels, the baseline needs 10 to 28"));
  other->cells[other->n - 1].labels[2] = 28.0;
  assert_int_equal(al_gate_match(&tests, &n, b, other), AL_OK);
  assert_int_equal(tests[0].n, 4);
  assert_int_equal(tests[0].missing, 2);
  al_gate_tests_free(tests, n);
  al_gate_baseline_free(b);
  al_curve_set_free(other);
  /* damaged: refused with a word about where, or read whole */
  for (size_t i = 0; i < text.size; i += 3) {
    char kept = text.data[i];
    text.data[i] = "]}9\"x,"[i % 6];
    put(path, &text);
    al_status status = al_gate_read(&b, path);
    assert_true(status == AL_OK || (status == AL_BAD_INPUT && strncmp(al_message(), path, strlen(path)) == 0));
    al_gate_baseline_free(b);
    text.data[i] = kept;
  }
  al_buffer_free(&text);
  al_curve_set_free(set);
  unlink(path);
}

static void sizes(void **state) {
  (void)state;
  al_curve_set *set;
  al_gate_size *s;
  size_t n;
  assert_int_equal(al_curve_set_new(&set, "accuracy"), AL_OK);
  for (size_t r = 0; r < 6; r++) add(set, "random", r, 0.0, 30.0);
  for (size_t r = 0; r < 6; r++) add(set, "entropy", r, r % 2 ? 0.1 : 0.11, 30.0);
  assert_int_equal(al_gate_sizes(&s, &n, set, margin, alpha), AL_OK);
  assert_int_equal(n, 2);
  /* areas of random are 0.2 + 0.01 r, sd 0.0187083; entropy's differences to it 0.11 and 0.1, sd 0.0054772 */
  assert_float_equal(s[0].sd, sqrt(2.0) * 0.018708286933869706, 1e-9);
  assert_float_equal(s[1].sd, sqrt(2.0) * 0.005477225575051661, 1e-9);
  assert_float_equal(s[0].mean, 0.225, 1e-9);
  assert_int_equal(s[1].needed, al_replicates_needed(s[1].sd, 6, margin, alpha, 2));
  free(s);
  al_curve_set_free(set);
}

int main(void) {
  gsl_set_error_handler_off();
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(false_alarms), cmocka_unit_test(misses), cmocka_unit_test(power_at_the_replicates_asked_for),
      cmocka_unit_test(two_looks),    cmocka_unit_test(cases),  cmocka_unit_test(family),
      cmocka_unit_test(file),         cmocka_unit_test(sizes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
