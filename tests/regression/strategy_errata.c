/* Defects that other implementations had (docs/errata.md), each as a small input on which the defect shows. */
#include "strategy_fixture.h"

/* scikit-activeml issue 586: ten candidates at two places, a batch of six, the same one twice. */
static void badge_batch_without_repeats(void **state) {
  (void)state;
  float h[10 * 2], probs[10 * 2];
  for (size_t i = 0; i < 10; i++) {
    h[2 * i] = h[2 * i + 1] = i % 2 == 0 ? 3.0F : 7.0F;
    probs[2 * i] = i % 2 == 0 ? 0.3F : 0.1F;
    probs[2 * i + 1] = 1.0F - probs[2 * i];
  }
  for (uint32_t seed = 0; seed < 50; seed++) {
    al_query query = {.pool = 10,
                      .classes = 2,
                      .batch = 6,
                      .probs = probs,
                      .h_pool = al_view_dense(h, 10, 2),
                      .rng = al_rng_open(&(al_stream_key){.seed = seed, .purpose = "test", .dataset = "errata"})};
    answer a;
    bool seen[10] = {false};
    assert_int_equal(ask(find("badge"), &query, "{}", &a), AL_OK);
    for (size_t i = 0; i < 6; i++) {
      assert_false(seen[a.pos[i]]);
      seen[a.pos[i]] = true;
    }
    forget(&a);
  }
}

/* scikit-activeml issue 588: the origin stayed a centre, so that what lies near it was never far from "a pick". Of two
 * items, one with a small gradient: when the other is picked first, its distance is to that one, not to the origin. */
static void badge_without_a_centre_at_the_origin(void **state) {
  (void)state;
  const float h[2 * 2] = {10.0F, 10.0F, 0.01F, -0.01F}, probs[2 * 2] = {0.5F, 0.5F, 0.5F, 0.5F};
  al_query query = {.pool = 2,
                    .classes = 2,
                    .batch = 2,
                    .probs = probs,
                    .h_pool = al_view_dense(h, 2, 2),
                    .rng = al_rng_open(&(al_stream_key){.seed = 1, .purpose = "test", .dataset = "errata"})};
  answer a;
  assert_int_equal(ask(find("badge"), &query, "{\"first\": \"largest\"}", &a), AL_OK);
  assert_int_equal(a.pos[0], 0);
  assert_float_equal(a.scores[0], 100.0, 1e-3);    /* |a|^2 |h|^2 = 0.5 x 200 */
  assert_float_equal(a.scores[1], 100.0001, 1e-3); /* and not 1e-4, its distance to the origin */
  forget(&a);
}

/* small-text's badge took -p for p - e: a sure item had the larger gradient. At equal |h| an unsure one must. */
static void badge_of_sure_items_is_small(void **state) {
  (void)state;
  const float h[3 * 1] = {1.0F, 1.0F, 1.0F}, probs[3 * 3] = {0.98F, 0.01F, 0.01F, 0.4F, 0.3F, 0.3F, 0.7F, 0.2F, 0.1F};
  al_query query = {.pool = 3,
                    .classes = 3,
                    .batch = 1,
                    .probs = probs,
                    .h_pool = al_view_dense(h, 3, 1),
                    .rng = al_rng_open(&(al_stream_key){.seed = 1, .purpose = "test", .dataset = "errata"})};
  answer a;
  assert_int_equal(ask(find("badge"), &query, "{\"first\": \"largest\"}", &a), AL_OK);
  assert_int_equal(a.pos[0], 1);
  assert_float_equal(a.scores[0], 0.36 + 0.09 + 0.09, 1e-6);
  forget(&a);
}

/* scikit-activeml issue 451: nine rows at two places ask for six clusters, and clusters stay empty. */
static void typiclust_of_duplicates(void **state) {
  (void)state;
  float f[9 * 2];
  int32_t all[9];
  for (size_t i = 0; i < 9; i++) {
    f[2 * i] = i == 0 ? 5.0F : 1.0F;
    f[2 * i + 1] = i == 0 ? 3.0F : 2.0F;
    all[i] = (int32_t)i;
  }
  al_view view = al_view_dense(f, 9, 2);
  al_stream_key key = {.seed = 1, .purpose = "test", .dataset = "errata"};
  al_query query = {.pool = 9,
                    .batch = 6,
                    .h_pool = view,
                    .f_pool = view,
                    .f_all = view,
                    .all_pool = all,
                    .rng = al_rng_open(&key),
                    .cell_rng = al_rng_open(&key)};
  answer a;
  bool seen[9] = {false};
  assert_int_equal(ask(find("typiclust"), &query, "{}", &a), AL_OK);
  assert_int_equal(a.picks.count, 6);
  for (size_t i = 0; i < 6; i++) {
    assert_false(seen[a.pos[i]]);
    assert_true(isfinite(a.scores[i]));
    seen[a.pos[i]] = true;
  }
  forget(&a);
}

/* A first centre drawn at random: with nothing labelled the seed must not matter. */
static void k_center_starts_without_a_draw(void **state) {
  (void)state;
  const float h[5 * 1] = {0.0F, 1.0F, 2.0F, 3.0F, 10.0F}; /* the mean is 3.2 */
  for (uint32_t seed = 0; seed < 20; seed++) {
    al_query query = {.pool = 5,
                      .batch = 3,
                      .h_pool = al_view_dense(h, 5, 1),
                      .rng = al_rng_open(&(al_stream_key){.seed = seed, .purpose = "test", .dataset = "errata"})};
    answer a;
    assert_int_equal(ask(find("k-center"), &query, "{}", &a), AL_OK);
    assert_int_equal(a.pos[0], 3);
    assert_int_equal(a.pos[1], 4);
    assert_int_equal(a.pos[2], 0);
    forget(&a);
  }
}

/* Positions among the unlabelled taken for rows: picks must be held against themselves, not against what stands at
 * their positions in some other array. The rows of L lie so that a mix-up would choose item 1. */
static void k_center_holds_picks_against_themselves(void **state) {
  (void)state;
  const float h[4 * 1] = {100.0F, 99.0F, 50.0F, 98.0F}, labelled[3 * 1] = {0.0F, 1.0F, 2.0F};
  al_query query = {.pool = 4,
                    .labelled = 3,
                    .batch = 2,
                    .h_pool = al_view_dense(h, 4, 1),
                    .h_labelled = al_view_dense(labelled, 3, 1)};
  answer a;
  assert_int_equal(ask(find("k-center"), &query, "{}", &a), AL_OK);
  assert_int_equal(a.pos[0], 0);
  assert_int_equal(a.pos[1], 2);
  assert_float_equal(a.scores[1], 48.0, 1e-6);
  forget(&a);
}

/* A variation ratio is of votes: item 0 is won 2 to 1 while the mean says 0.51, item 1 by all while the mean says 0.4.
 */
static void variation_ratio_counts_votes(void **state) {
  (void)state;
  const float mc[3 * 2 * 3] = {0.4F, 0.35F, 0.25F, 0.4F, 0.3F, 0.3F, 0.13F, 0.87F, 0.0F,
                               0.4F, 0.3F,  0.3F,  1.0F, 0.0F, 0.0F, 0.4F,  0.3F,  0.3F};
  al_query query = {.pool = 2, .classes = 3, .batch = 2, .mc = mc, .passes = 3};
  answer a;
  assert_int_equal(ask(find("variation-ratio"), &query, "{}", &a), AL_OK);
  assert_int_equal(a.pos[0], 0);
  assert_float_equal(a.scores[0], 1.0 / 3.0, 1e-12);
  assert_float_equal(a.scores[1], 0.0, 1e-12);
  forget(&a);
}

/* The entropy of the mean, not the sum of the passes' entropies: two sure passes that disagree have ln 2 and not 0. */
static void mc_entropy_is_of_the_mean(void **state) {
  (void)state;
  const float mc[2 * 2 * 2] = {1.0F, 0.0F, 0.75F, 0.25F, 0.0F, 1.0F, 0.75F, 0.25F};
  al_query query = {.pool = 2, .classes = 2, .batch = 2, .mc = mc, .passes = 2};
  answer a;
  assert_int_equal(ask(find("mc-entropy"), &query, "{}", &a), AL_OK);
  assert_int_equal(a.pos[0], 0);
  assert_float_equal(a.scores[0], log(2.0), 1e-12);
  assert_float_equal(a.scores[1], -0.75 * log(0.75) - 0.25 * log(0.25), 1e-9);
  forget(&a);
}

/* A length is Euclidean: 3-4-12 with the bias has 13. small-text summed absolute values. */
static void gradient_length_is_euclidean(void **state) {
  (void)state;
  const float h[1 * 3] = {3.0F, 4.0F, 12.0F}, probs[1 * 2] = {0.5F, 0.5F};
  al_query query = {.pool = 1, .classes = 2, .batch = 1, .probs = probs, .h_pool = al_view_dense(h, 1, 3)};
  answer a;
  assert_int_equal(ask(find("egl"), &query, "{}", &a), AL_OK);
  assert_float_equal(a.scores[0], sqrt(0.5) * sqrt(9.0 + 16.0 + 144.0 + 1.0), 1e-5);
  forget(&a);
}

/* The answers are out of reach: no strategy but the one marked for it may pick otherwise when the true classes differ
 * (a public informative-diverse sampler takes its number of clusters from them). */
static void true_classes_change_nothing(void **state) {
  (void)state;
  for (unsigned which = 1; which < 40; which++)
    for (size_t s = 0; al_strategies[s] != NULL; s++) {
      static input x;
      const al_strategy *strategy = al_strategies[s];
      bool complete = true;
      for (const al_param *p = strategy->params; p->key != NULL; p++) complete = complete && p->fallback != NULL;
      make_input(&x, which, false);
      json_t *params = NULL;
      if (!complete) continue; /* composed of others: what it picks is theirs */
      assert_int_equal(al_params_resolve(&params, strategy->params, NULL, strategy->name), AL_OK);
      unsigned needs = strategy->needs(params);
      json_decref(params);
      if ((needs & AL_NEED_ORACLE) || (x.m == 0 && (needs & AL_NEED_LABELLED))) continue;
      answer a, b;
      al_status status = ask(strategy, &x.query, "{}", &a);
      for (size_t i = 0; i < x.n; i++) x.truth[i] = 0;
      x.query.truth = which % 2 == 0 ? NULL : x.truth;
      assert_int_equal(ask(strategy, &x.query, "{}", &b), status);
      assert_memory_equal(a.pos, b.pos, a.picks.count * sizeof *a.pos);
      forget(&a);
      forget(&b);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(badge_batch_without_repeats),    cmocka_unit_test(badge_without_a_centre_at_the_origin),
      cmocka_unit_test(badge_of_sure_items_is_small),   cmocka_unit_test(typiclust_of_duplicates),
      cmocka_unit_test(k_center_starts_without_a_draw), cmocka_unit_test(k_center_holds_picks_against_themselves),
      cmocka_unit_test(variation_ratio_counts_votes),   cmocka_unit_test(mc_entropy_is_of_the_mean),
      cmocka_unit_test(gradient_length_is_euclidean),   cmocka_unit_test(true_classes_change_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
