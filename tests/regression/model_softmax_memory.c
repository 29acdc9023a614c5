/* The pairs of softmax regression's L-BFGS, when rounding leaves one without curvature: it is not kept, and no pair is
 * left whose rho is another's. The functions are the file's own, hence its text. */
#include "../../src/model/softmax.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { LENGTH = 3 };

/* x = 0, g = 0, and a step s with y = scale s; as minimise leaves them behind its line search. */
static void step_by(const problem *q, workspace *w, const double s[LENGTH], double scale) {
  for (size_t i = 0; i < LENGTH; i++) {
    w->x.v[i] = w->g.v[i] = 0.0;
    w->next.v[i] = s[i];
    w->next_g.v[i] = scale * s[i];
  }
  remember(q, w);
}

static void assert_pairs_fit(const problem *q, const workspace *w) {
  for (size_t i = 0; i < w->pairs; i++) {
    size_t at = (w->newest + MEMORY - i) % MEMORY;
    assert_true(fabs(w->rho[at] * dot(q, &w->s[at], &w->y[at]) - 1.0) < 1e-12);
  }
}

static void rejected_pair(void **state) {
  (void)state;
  const problem q = {.p = 1, .dims = LENGTH - 1};
  for (size_t kept = 0; kept <= MEMORY + 3; kept++) {
    workspace w = {0};
    assert_int_equal(workspace_new(&w, &q), AL_OK);
    for (size_t k = 0; k < kept; k++) step_by(&q, &w, (const double[LENGTH]){1.0 + (double)k, 0.5, -2.0}, 3.0);
    size_t pairs = w.pairs;
    assert_int_equal(pairs, kept < MEMORY ? kept : MEMORY);
    for (int times = 0; times < 2; times++) {
      step_by(&q, &w, (const double[LENGTH]){9.0, 9.0, 9.0}, -1.0);
      assert_int_equal(w.pairs, pairs == MEMORY ? MEMORY - 1 : pairs);
      assert_pairs_fit(&q, &w);
    }
    step_by(&q, &w, (const double[LENGTH]){4.0, 4.0, 5.0}, 2.0); /* and goes on */
    assert_int_equal(w.pairs, pairs == MEMORY ? MEMORY : pairs + 1);
    assert_pairs_fit(&q, &w);
    free(w.storage);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(rejected_pair)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
