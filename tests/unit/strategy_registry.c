/* What holds over the registry, beside the contract in strategy_reference.c: NaN and infinity are refused in whatever a
 * strategy reads, by name.
 *
 * Another order of the pool gives the same set where neither ties nor draws are involved: every array is permuted, the
 * starting pool (what is computed once a cell) stays. Where two items tie the sets may differ, and then the utilities
 * that were printed do not. Strategies that draw a number an item, a pick or a clustering are not in the list. */
#include "strategy_fixture.h"

static const char *const deterministic[] = {
    "entropy",      "least-confidence", "margin",     "error-rate", "oracle-error", "jaccard", "mutual-information",
    "neighborhood", "variation-ratio",  "mc-entropy", "mean-std",   "bald",         "qbc",     "egl",
    "bait",         "k-center",         "density",    "herding",    "probcover",    "cal",     "discriminative",
    "ranked-batch", "class-balanced"};

static void permute(void *to, const void *from, size_t n, const int32_t *source, size_t size) {
  for (size_t i = 0; i < n; i++) memcpy((char *)to + i * size, (const char *)from + (size_t)source[i] * size, size);
}

/* y = x with item source[i] at position i. */
static void reorder(input *y, const input *x, const int32_t *source) {
  memcpy(y, x, sizeof *y);
  permute(y->probs, x->probs, x->n, source, x->c * sizeof(float));
  permute(y->h, x->h, x->n, source, x->d * sizeof(float));
  permute(y->f, x->f, x->n, source, x->fd * sizeof(float));
  permute(y->truth, x->truth, x->n, source, sizeof *x->truth);
  permute(y->all_pool, x->all_pool, x->n, source, sizeof *x->all_pool);
  for (size_t t = 0; t < x->passes; t++)
    permute(y->mc + t * x->n * x->c, x->mc + t * x->n * x->c, x->n, source, x->c * sizeof(float));
  int64_t at = 0;
  for (size_t i = 0; i < x->n; i++) {
    int64_t from = x->tb[source[i]], to = x->tb[source[i] + 1];
    memcpy(y->tokens + at, x->tokens + from, (size_t)(to - from) * sizeof *x->tokens);
    at += to - from;
    y->tb[i + 1] = at;
  }
  y->query.probs = y->probs;
  y->query.mc = y->mc;
  y->query.h_pool = al_view_dense(y->h, y->n, y->d);
  y->query.f_pool = al_view_dense(y->f, y->n, y->fd);
  y->query.all_pool = y->all_pool;
  y->query.truth = y->truth;
  y->query.tokens_pool = (al_sets){y->n, 25, y->tb, y->tb + 1, y->tokens};
  y->query.tokens_all = y->query.tokens_pool;
}

static bool near(double a, double b) { return fabs(a - b) <= 1e-5 * (1.0 + fabs(a)); }

static void another_order_gives_the_same_set(void **state) {
  (void)state;
  enum { NAMES = sizeof deterministic / sizeof *deterministic };
  size_t asked[NAMES] = {0}, equal[NAMES] = {0};
  for (unsigned which = 3; which < INPUTS; which += 4) { /* kind 3: continuous values */
    static input x, y;
    int32_t source[MOST_N];
    make_input(&x, which, false);
    if (x.m < 10 || x.n < 6) continue;
    x.k = x.query.batch = 1 + x.n / 4;
    al_rng rng = al_rng_open(&(al_stream_key){.seed = 3, .purpose = "test", .dataset = "order", .index = which});
    for (size_t i = 0; i < x.n; i++) source[i] = (int32_t)i;
    al_rng_shuffle(&rng, source, x.n);
    reorder(&y, &x, source);
    for (size_t s = 0; s < NAMES; s++) {
      answer a, b;
      bool in_a[MOST_N] = {false};
      size_t common = 0;
      assert_int_equal(ask(find(deterministic[s]), &x.query, "{}", &a), AL_OK);
      assert_int_equal(ask(find(deterministic[s]), &y.query, "{}", &b), AL_OK);
      for (size_t i = 0; i < x.k; i++) in_a[a.pos[i]] = true;
      for (size_t i = 0; i < x.k; i++) common += in_a[source[b.pos[i]]];
      asked[s]++;
      equal[s] += common == x.k;
      /* the first pick that differs must be a tie */
      for (size_t i = 0; common < x.k && i < x.k; i++) {
        if (!near(a.scores[i], b.scores[i])) {
          print_error("%s, input %u: pick %zu has %.9g, and %.9g in another order\n", deterministic[s], which, i,
                      a.scores[i], b.scores[i]);
          fail();
        }
        if (a.pos[i] != source[b.pos[i]]) break;
      }
      forget(&a);
      forget(&b);
    }
  }
  for (size_t s = 0; s < NAMES; s++) {
    /* of these all utilities are small whole numbers of something: ties everywhere, judged above */
    bool coarse = strcmp(deterministic[s], "variation-ratio") == 0 || strcmp(deterministic[s], "qbc") == 0 ||
                  strcmp(deterministic[s], "jaccard") == 0 || strcmp(deterministic[s], "mutual-information") == 0 ||
                  strcmp(deterministic[s], "probcover") == 0;
    if (asked[s] < 12 || equal[s] < (coarse ? 0 : asked[s] / 2)) {
      print_error("%s: %zu of %zu sets are equal\n", deterministic[s], equal[s], asked[s]);
      fail();
    }
  }
}

/* One bad value in each array that a strategy needs. */
static void bad_values_are_refused(void **state) {
  (void)state;
  static const struct {
    unsigned need;
    const char *said;
  } arrays[] = {{AL_NEED_PROBS, "probs"},
                {AL_NEED_PROBS_LABELLED, "probs of the labelled"},
                {AL_NEED_EMBEDDINGS, "embeddings"},
                {AL_NEED_FEATURES, "features"},
                {AL_NEED_MC, "mc"},
                {AL_NEED_HEAD, "head"}};
  size_t tried = 0;
  for (size_t s = 0; al_strategies[s] != NULL; s++) {
    const char *options = options_for(al_strategies[s]);
    if (options == NULL) continue; /* exec: tests/cli/exec.sh */
    json_t *params = settled(al_strategies[s], options);
    unsigned needs = al_strategies[s]->needs(params);
    json_decref(params);
    for (size_t a = 0; a < sizeof arrays / sizeof *arrays; a++)
      for (int infinite = 0; infinite < 2; infinite++) {
        static input x;
        answer answered;
        float bad = infinite ? INFINITY : NAN;
        if (!(needs & arrays[a].need)) continue;
        make_input(&x, 19, false);
        assert_true(x.m > 2 && x.n > 2 && x.passes > 1);
        float *at[] = {x.probs + x.c, x.probs_l + x.c, x.h + x.d, x.f + x.fd, x.mc + x.c, x.head};
        *at[a] = bad;
        if (ask(al_strategies[s], &x.query, options, &answered) != AL_BAD_INPUT ||
            strstr(al_message(), arrays[a].said) == NULL) {
          print_error("%s takes a %s in %s: %s\n", al_strategies[s]->name, infinite ? "infinity" : "NaN",
                      arrays[a].said, al_message());
          fail();
        }
        forget(&answered);
        tried++;
      }
  }
  assert_true(tried > 80);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(another_order_gives_the_same_set),
                                     cmocka_unit_test(bad_values_are_refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
