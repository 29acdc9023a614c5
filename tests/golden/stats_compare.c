/* A whole comparison against R: stats_compare.R makes compare_curves.csv and prints the numbers. Run from the source
 * folder. */
#include "stats/compare.h"

#include <gsl/gsl_errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char curves[] = "tests/golden/compare_curves.csv";

static void close_to(double got, double wanted, double relative) {
  if (!(fabs(got - wanted) <= relative * fabs(wanted))) fail_msg("%.17g, not %.17g", got, wanted);
}

static const al_unit *unit(const al_comparison *c, const char *dataset, const char *strategy, size_t side) {
  for (size_t i = 0; i < c->n; i++)
    if (strcmp(c->units[i].dataset, dataset) == 0 && strcmp(c->units[i].strategy, strategy) == 0 &&
        c->units[i].side == side)
      return &c->units[i];
  fail_msg("no unit %s, %s", dataset, strategy);
  return NULL;
}

static void strategies(void **state) {
  (void)state;
  al_curve_set *set;
  al_comparison *c;
  assert_int_equal(al_curve_set_new(&set, "accuracy"), AL_OK);
  assert_int_equal(al_curve_set_add(set, curves), AL_OK);
  assert_int_equal(set->n, 126);
  assert_int_equal(al_compare(&c, set, NULL, false, 0.05), AL_OK);
  assert_string_equal(c->baseline, "random");
  assert_int_equal(c->group_count, 6);
  const al_unit *margin = unit(c, "set1", "margin", 0), *kappa = unit(c, "set1", "kappa", 0);
  const al_versus *v = &margin->versus[AL_AULC], *w = &kappa->versus[AL_AULC];
  assert_int_equal(margin->n, 7);
  assert_true(v->paired && v->pairs == 7 && v->family == 2);
  close_to(v->mean.mean, 0.44392857142857145014, 1e-12);
  close_to(v->difference, 0.00644464285714286492, 1e-10);
  close_to(v->low, -0.00023435637080671827, 1e-8);
  close_to(v->high, 0.01312364208509244831, 1e-10);
  close_to(v->p, 0.05620315878416730360, 1e-9);
  close_to(w->p, 0.38605980367558118, 1e-9);
  close_to(v->p_holm, 0.11240631756833461, 1e-9);
  close_to(w->p_holm, 0.38605980367558118, 1e-9);
  close_to(v->p_wilcoxon_holm, 0.156250, 1e-9);
  close_to(w->p_wilcoxon_holm, 0.578125, 1e-9);
  assert_false(v->wilcoxon_too_small); /* 2^-6 times 2 can be rejected */
  assert_int_equal(v->won, 6);
  close_to(w->detectable, 0.010300866930311488, 1e-6);
  assert_true(w->detectable_low < w->detectable && w->detectable < w->detectable_high);
  close_to(margin->versus[AL_FINAL].difference, 0.015671428571428576, 1e-10);
  close_to(margin->versus[AL_FINAL].p, 0.112575685832996986, 1e-9);
  close_to(margin->deficiency.value, 0.64272699665958077, 1e-9);
  close_to(margin->versus[AL_AULC_COST].mean.mean, 0.44344782150483958, 1e-10);
  assert_float_equal(margin->versus[AL_AULC_COST].to, 302.0, 1e-12);
  close_to(c->groups[0].target, 0.9 * 0.52, 1e-12);
  assert_int_equal(margin->reached, 4);
  close_to(margin->target_labels, 104.29292929292937, 1e-10);
  assert_int_equal(unit(c, "set1", "random", 0)->reached, 3);
  assert_true(isnan(unit(c, "set1", "random", 0)->target_labels));
  assert_int_equal(margin->use.mark, '?');
  assert_false(c->groups[0].half_budget);
  /* over the datasets */
  assert_int_equal(c->ranking_count, 1);
  const al_ranking *r = &c->rankings[0];
  assert_true(r->tested && r->blocks == 6 && r->k == 3);
  close_to(r->mean_ranks[0], 2.3333333333333335, 1e-12);
  close_to(r->mean_ranks[1], 1.3333333333333333, 1e-12);
  close_to(r->friedman.chi2, 4.0, 1e-12);
  close_to(r->friedman.p, 0.13533528323661270, 1e-10);
  close_to(r->friedman.f, 2.5, 1e-12);
  close_to(r->friedman.p_f, 0.13168724279835398, 1e-10);
  close_to(r->p_wilcoxon[1], 0.09375, 1e-12);
  close_to(r->p_wilcoxon[2], 0.68750, 1e-12);
  close_to(r->p_wilcoxon[5], 0.43750, 1e-12);
  assert_true(r->wins[1] == 3 && r->ties[1] == 3 && r->losses[1] == 0);
  assert_true(r->wins[2] == 2 && r->ties[2] == 2 && r->losses[2] == 2);
  assert_int_equal(c->penalties.k, 3);
  assert_int_equal(c->penalties.settings + c->penalties.skipped, 6);
  al_comparison_free(c);
  /* another baseline turns the sign */
  assert_int_equal(al_compare(&c, set, "margin", false, 0.05), AL_OK);
  close_to(unit(c, "set1", "random", 0)->versus[AL_AULC].difference, -0.00644464285714286492, 1e-10);
  al_comparison_free(c);
  assert_int_equal(al_compare(&c, set, "margni", false, 0.05), AL_BAD_INPUT);
  assert_non_null(strstr(al_message(), "did you mean 'margin'"));
  assert_int_equal(al_compare(&c, set, NULL, true, 0.05), AL_BAD_INPUT);
  assert_non_null(strstr(al_message(), "one model only"));
  al_curve_set_free(set);
}

static void versions(void **state) {
  (void)state;
  al_curve_set *set;
  al_comparison *c;
  assert_int_equal(al_curve_set_new(&set, "accuracy"), AL_OK);
  assert_int_equal(al_curve_set_add(set, curves), AL_OK);
  assert_int_equal(al_curve_set_add(set, curves), AL_OK);
  for (size_t i = 0; i < set->n; i++) {
    al_cell_curve *cell = &set->cells[i];
    if (cell->source != 1 || strcmp(cell->dataset, "set1") != 0 || strcmp(cell->strategy, "kappa") != 0) continue;
    for (size_t p = 0; p < cell->n; p++) cell->value[p] -= cell->replicate % 2 == 1 ? 0.004 : 0.002;
  }
  assert_int_equal(al_compare(&c, set, "random", false, 0.05), AL_BAD_INPUT);
  assert_int_equal(al_compare(&c, set, NULL, false, 0.05), AL_OK);
  assert_int_equal(c->side_count, 2);
  const al_versus *v = &unit(c, "set1", "kappa", 1)->versus[AL_AULC];
  assert_true(v->paired);
  assert_int_equal(v->family, 18); /* Holm goes over all pairs of the summary */
  close_to(v->p, 0.00040087754455410841, 1e-7);
  close_to(v->p_holm, 0.00721579580197395133, 1e-7);
  close_to(v->difference, -(4 * 0.002 + 3 * 0.004) / 7, 1e-9);
  v = &unit(c, "set2", "kappa", 1)->versus[AL_AULC];
  assert_float_equal(v->p, 1.0, 0.0);
  assert_int_equal(v->tied, 7);
  assert_int_equal(unit(c, "set1", "kappa", 0)->against, SIZE_MAX);
  al_comparison_free(c);
  /* another seed on one side: Welch */
  for (size_t i = 0; i < set->n; i++)
    if (set->cells[i].source == 1) set->cells[i].seed[0] = '8';
  assert_int_equal(al_compare(&c, set, NULL, false, 0.05), AL_OK);
  v = &unit(c, "set1", "kappa", 1)->versus[AL_AULC];
  assert_false(v->paired);
  close_to(v->p, 0.835037476795149169, 1e-9);
  close_to(v->low, -0.032107970883980187, 1e-9);
  close_to(v->high, 0.026393685169694404, 1e-9);
  assert_true(isnan(v->p_wilcoxon));
  al_comparison_free(c);
  /* another model on one side: nothing matches, except across models */
  for (size_t i = 0; i < set->n; i++)
    if (set->cells[i].source == 1) set->cells[i].model[0] = 'L';
  assert_int_equal(al_compare(&c, set, NULL, false, 0.05), AL_BAD_INPUT);
  assert_non_null(strstr(al_message(), "--across model"));
  assert_int_equal(al_compare(&c, set, NULL, true, 0.05), AL_OK);
  close_to(unit(c, "set1", "kappa", 1)->versus[AL_AULC].p, 0.835037476795149169, 1e-9);
  al_comparison_free(c);
  al_curve_set_free(set);
}

int main(void) {
  gsl_set_error_handler_off();
  const struct CMUnitTest tests[] = {cmocka_unit_test(strategies), cmocka_unit_test(versions)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
