/* probcover against a naive double-precision reference: every distance anew, every pick the one that covers the most,
 * with prepared balls and without; the pure radius and the balls against brute force; coverage against the best of all
 * choices; and guards against what other implementations got wrong: last points that cannot be chosen, a labelled point
 * returned once everything is covered. */
#include "strategy_fixture.h"

#include "strategy/coverage.h"

static void unit(const float *row, size_t d, double *out) {
  double squares = 0.0;
  for (size_t c = 0; c < d; c++) squares += (double)row[c] * (double)row[c];
  for (size_t c = 0; c < d; c++) out[c] = squares > 0.0 ? (double)row[c] / sqrt(squares) : 0.0;
}

static double gap(const double *a, const double *b, size_t d) {
  double sum = 0.0;
  for (size_t c = 0; c < d; c++) sum += (a[c] - b[c]) * (a[c] - b[c]);
  return sqrt(sum);
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

enum { MOST = MOST_N + MOST_L };

/* U, then L: all distances between unit rows. */
static void distances(const float *pool, size_t n, const float *labelled, size_t m, size_t d, double out[MOST][MOST]) {
  static double rows[MOST][MOST_D];
  for (size_t i = 0; i < n + m; i++) unit(i < n ? pool + i * d : labelled + (i - n) * d, d, rows[i]);
  for (size_t i = 0; i < n + m; i++)
    for (size_t j = 0; j < n + m; j++) out[i][j] = gap(rows[i], rows[j], d);
}

/* A radius with no distance near it. */
static double choose_delta(double between[MOST][MOST], size_t n, double quantile) {
  static double all[MOST * MOST];
  size_t pairs = 0;
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < i; j++) all[pairs++] = between[i][j];
  qsort(all, pairs, sizeof *all, ascending);
  for (size_t at = (size_t)(quantile * (double)pairs); at + 1 < pairs; at++)
    if (all[at + 1] - all[at] > 1e-5 * all[at + 1]) return 0.5 * (all[at] + all[at + 1]);
  return pairs == 0 || all[pairs - 1] == 0.0 ? 0.5 : 1.01 * all[pairs - 1];
}

/* Replays the picks: each must add the most, ties to the lower position; then the farthest. Returns the points covered
 * by adding picks. */
static size_t replay(const char *name, unsigned which, double between[MOST][MOST], size_t n, size_t m, double delta,
                     const answer *a) {
  bool covered[MOST] = {false}, taken[MOST_N] = {false};
  size_t adding = 0;
  for (size_t j = n; j < n + m; j++)
    for (size_t y = 0; y < n + m; y++) covered[y] |= between[j][y] < delta;
  for (size_t pick = 0; pick < a->picks.count; pick++) {
    size_t best = n, most = 0;
    for (size_t i = 0; i < n; i++) {
      size_t gain = 0;
      for (size_t y = 0; y < n + m; y++) gain += !covered[y] && between[i][y] < delta;
      if (!taken[i] && gain > most) {
        best = i;
        most = gain;
      }
    }
    if (most > 0) {
      if (a->pos[pick] != (int32_t)best) print_error("%s, input %u, pick %zu\n", name, which, pick);
      assert_int_equal(a->pos[pick], best);
      assert_float_equal(a->scores[pick], (double)most, 0.0);
      for (size_t y = 0; y < n + m; y++) covered[y] |= between[best][y] < delta;
      adding++;
    } else {
      double u[MOST_N];
      for (size_t i = 0; i < n; i++) {
        double least = INFINITY;
        for (size_t j = n; j < n + m; j++) least = fmin(least, between[i][j]);
        for (size_t j = 0; j < pick; j++) least = fmin(least, between[i][a->pos[j]]);
        u[i] = isfinite(least) ? least / 4.0 : 0.0;
      }
      judge(name, which, n, u, taken, a->pos[pick]);
      assert_float_equal(a->scores[pick], u[a->pos[pick]], 1e-5);
    }
    taken[a->pos[pick]] = true;
  }
  return adding;
}

/* With what the loop prepares once a cell. */
static void ask_prepared(al_query query, const char *options, answer *a) {
  const al_strategy *s = find("probcover");
  json_t *given = json_loads(options, 0, NULL), *params = NULL;
  void *prepared = NULL;
  assert_int_equal(al_params_resolve(&params, s->params, given, s->name), AL_OK);
  assert_int_equal(s->prepare(&prepared, &query, params), AL_OK);
  query.prepared = prepared;
  assert_int_equal(ask(s, &query, options, a), AL_OK);
  s->forget(prepared);
  json_decref(given);
  json_decref(params);
}

static void coverage(void **state) {
  (void)state;
  static double between[MOST][MOST];
  size_t adding = 0, farthest = 0;
  for (unsigned which = 0; which < INPUTS; which++) {
    static input x;
    bool embedding = which % 3 == 2;
    make_input(&x, which, which % 2 == 1);
    if (embedding)
      distances(x.h, x.n, x.hl, x.m, x.d, between);
    else
      distances(x.f, x.n, x.fl, x.m, x.fd, between);
    double delta = choose_delta(between, x.n + x.m, which % 5 == 0 ? 0.5 : 0.08);
    char options[100];
    snprintf(options, sizeof options, "{\"delta\": %.17g%s}", fmin(2.0, delta),
             embedding ? ", \"space\": \"embedding\"" : "");
    answer a, b;
    assert_int_equal(ask(find("probcover"), &x.query, options, &a), AL_OK);
    size_t added = replay("probcover", which, between, x.n, x.m, delta, &a);
    adding += added;
    farthest += a.picks.count - added;
    ask_prepared(x.query, options, &b);
    assert_memory_equal(a.pos, b.pos, a.picks.count * sizeof *a.pos);
    forget(&a);
    forget(&b);
  }
  assert_true(adding > 500 && farthest > 500);
}

enum { N_DELTA = 40, M_DELTA = 5, GROUPS_DELTA = 3 };

/* L is all of one group, so that others are left to cover. */
static size_t group_of(size_t i) { return i < N_DELTA ? i % GROUPS_DELTA : 0; }

/* Far fewer classes than points, groups that k-means finds: delta by brute force, then the same replay, the pair at
 * delta itself left out. */
static void delta_from_the_data(void **state) {
  (void)state;
  enum { N = N_DELTA, M = M_DELTA, D = 4, GROUPS = GROUPS_DELTA };
  static double between[MOST][MOST];
  for (uint32_t round = 0; round < 20; round++) {
    al_rng rng = al_rng_open(&(al_stream_key){.seed = 6, .purpose = "test", .dataset = "delta", .index = round});
    static float rows[(N + M) * D];
    int32_t index[N + M], labels[M] = {0};
    for (size_t i = 0; i < N + M; i++)
      for (size_t c = 0; c < D; c++)
        rows[i * D + c] = (float)(0.15 * al_rng_normal(&rng) + (c == group_of(i) ? 2.0 : 0.0));
    for (size_t i = 0; i < N + M; i++) index[i] = (int32_t)i;
    al_query query = {.pool = N, .labelled = M, .classes = GROUPS, .batch = N, .labels = labels};
    query.f_pool = al_view_dense(rows, N, D);
    query.f_labelled = al_view_dense(rows + (size_t)N * D, M, D);
    query.f_all = al_view_dense(rows, N + M, D);
    query.all_pool = index;
    query.all_labelled = index + N;
    query.rng = query.cell_rng = rng;
    distances(rows, N, rows + (size_t)N * D, M, D, between);
    double least[N + M], delta = 0.0;
    for (size_t i = 0; i < N + M; i++) {
      least[i] = INFINITY;
      for (size_t j = 0; j < N + M; j++)
        if (group_of(i) != group_of(j)) least[i] = fmin(least[i], between[i][j]);
    }
    for (size_t candidate = 0; candidate < N + M; candidate++) { /* the largest with 95 % pure */
      size_t pure = 0;
      for (size_t i = 0; i < N + M; i++) pure += least[i] >= least[candidate];
      if ((double)pure >= 0.95 * (N + M)) delta = fmax(delta, least[candidate]);
    }
    answer a;
    assert_int_equal(ask(find("probcover"), &query, round % 2 == 0 ? "{}" : "{\"classes\": 3}", &a), AL_OK);
    assert_true(replay("probcover, delta", round, between, N, M, delta, &a) >= 1);
    forget(&a);
    query.classes = 1; /* one pseudo-label: delta 2 */
    assert_int_equal(ask(find("probcover"), &query, "{}", &a), AL_OK);
    replay("probcover, one class", round, between, N, M, 2.0, &a);
    forget(&a);
    query.classes = 0;
    assert_int_equal(ask(find("probcover"), &query, "{}", &a), AL_BAD_INPUT);
    assert_non_null(strstr(al_message(), "classes"));
    forget(&a);
  }
}

/* Random labels, ties and duplicates, dense and CSR: the radius and all balls against brute force; lists too long for
 * their bound give the same balls. */
typedef struct {
  size_t n, calls;
  double (*between)[MOST];
  double radius;
} expectation;

static void expect(void *context, int32_t centre, const int32_t *members, size_t count) {
  expectation *e = context;
  size_t at = 0;
  e->calls++;
  for (size_t i = 0; i < e->n; i++)
    if (e->between[centre][i] < e->radius) {
      assert_true(at < count);
      assert_int_equal(members[at++], i);
    }
  assert_int_equal(at, count);
}

static void balls_and_purity(void **state) {
  (void)state;
  static double between[MOST][MOST];
  for (unsigned which = 0; which < INPUTS; which++) {
    static input x;
    make_input(&x, which, which % 2 == 1);
    distances(x.h, x.n, NULL, 0, x.d, between);
    al_rng rng = x.query.rng;
    int32_t label[MOST_N], centres[MOST_N];
    double least[MOST_N], squared = 0.0, wanted = 2.0;
    size_t labels = 1 + which % 4;
    for (size_t i = 0; i < x.n; i++) {
      label[i] = (int32_t)al_rng_below(&rng, labels);
      centres[i] = (int32_t)i;
    }
    al_sphere sphere;
    al_view none = {0};
    assert_int_equal(al_sphere_make(&sphere, &x.query.h_pool, &none, NULL, 0), AL_OK);
    assert_int_equal(al_pure_radius(&squared, &sphere, label, centres, x.n), AL_OK);
    bool several = false;
    for (size_t i = 0; i < x.n; i++) {
      least[i] = INFINITY;
      several |= label[i] != label[0];
      for (size_t j = 0; j < x.n; j++)
        if (label[i] != label[j]) least[i] = fmin(least[i], between[i][j]);
    }
    if (several) {
      wanted = 0.0;
      for (size_t candidate = 0; candidate < x.n; candidate++) {
        size_t pure = 0;
        for (size_t i = 0; i < x.n; i++) pure += least[i] >= least[candidate] - 1e-9;
        if ((double)pure >= 0.95 * (double)x.n) wanted = fmax(wanted, least[candidate]);
      }
    }
    assert_float_equal(sqrt(squared), wanted, 1e-6 * wanted + 1e-7);
    double radius = choose_delta(between, x.n, 0.3);
    expectation e = {.n = x.n, .between = between, .radius = radius};
    for (int listed = 0; listed < 3; listed++) { /* not asked for, listed, too long */
      al_balls *balls = NULL;
      assert_int_equal(al_balls_new(&balls, &sphere, radius * radius,
                                    listed == 0   ? 0
                                    : listed == 1 ? 100000
                                                  : 1),
                       AL_OK);
      assert_int_equal(al_balls_listed(balls), listed == 1 || (listed == 2 && x.n == 1));
      assert_int_equal(al_balls_visit(balls, centres, x.n, expect, &e), AL_OK);
      al_balls_free(balls);
    }
    assert_int_equal(e.calls, 3 * x.n);
    al_sphere_free(&sphere);
  }
}

/* Greedy coverage reaches at least 1 - 1/e of what the best three balls together cover. */
static void coverage_bound(void **state) {
  (void)state;
  enum { N = 14, D = 3 };
  static double between[MOST][MOST];
  for (uint32_t round = 0; round < 40; round++) {
    al_rng rng = al_rng_open(&(al_stream_key){.seed = 8, .purpose = "test", .dataset = "bound", .index = round});
    static float rows[N * D];
    int32_t index[N];
    for (size_t i = 0; i < (size_t)N * D; i++) rows[i] = (float)al_rng_normal(&rng);
    for (size_t i = 0; i < N; i++) index[i] = (int32_t)i;
    al_query query = {.pool = N, .classes = 2, .batch = 3, .f_pool = al_view_dense(rows, N, D), .all_pool = index};
    query.f_all = query.f_pool;
    answer a;
    assert_int_equal(ask(find("probcover"), &query, "{\"delta\": 0.8}", &a), AL_OK);
    distances(rows, N, NULL, 0, D, between);
    double best = 0.0, reached = 0.0;
    for (size_t p = 0; p < N; p++)
      for (size_t q = 0; q < N; q++)
        for (size_t r = 0; r < N; r++) {
          double covers = 0.0;
          for (size_t y = 0; y < N; y++) covers += between[p][y] < 0.8 || between[q][y] < 0.8 || between[r][y] < 0.8;
          best = fmax(best, covers);
        }
    for (size_t i = 0; i < 3; i++) reached += a.scores[i] >= 1.0 ? a.scores[i] : 0.0;
    assert_true(reached >= (1.0 - exp(-1.0)) * best);
    forget(&a);
  }
}

/* 612 items of which the last 100 form the densest spot: in blocks of 500 without the remainder none of them could ever
 * be chosen. */
static void the_last_points_can_be_chosen(void **state) {
  (void)state;
  enum { N = 612, D = 8 };
  static float rows[N * D];
  static int32_t index[N], pos[2];
  static double scores[2];
  al_rng rng = al_rng_open(&(al_stream_key){.seed = 9, .purpose = "test", .dataset = "last"});
  for (size_t i = 0; i < N; i++) {
    index[i] = (int32_t)i;
    for (size_t c = 0; c < D; c++)
      rows[i * D + c] =
          (float)((i < N - 100 ? 1.0 : 0.01) * al_rng_normal(&rng) + (i >= N - 100 && c == 2 ? 1.0 : 0.0));
  }
  al_query query = {.pool = N, .classes = 2, .batch = 2, .f_pool = al_view_dense(rows, N, D), .all_pool = index};
  query.f_all = query.f_pool;
  const al_strategy *s = find("probcover");
  json_t *given = json_loads("{\"delta\": 0.3}", 0, NULL), *params = NULL;
  al_picks picks = {.pos = pos, .scores = scores};
  assert_int_equal(al_params_resolve(&params, s->params, given, s->name), AL_OK);
  assert_int_equal(al_strategy_select(s, &query, params, &picks), AL_OK);
  assert_true(pos[0] >= N - 100 && scores[0] >= 100.0);
  assert_true(pos[1] < N - 100 && scores[1] < 20.0);
  json_decref(given);
  json_decref(params);
}

/* L covers everything: the farthest pool items follow, no labelled one, none twice. */
static void all_covered(void **state) {
  (void)state;
  float rows[5 * 2] = {1.0F, 0.0F, 1.0F, 0.1F, 1.0F, 0.4F, 1.0F, 0.2F, 1.0F, 0.0F};
  int32_t pool[4] = {1, 2, 3, 4}, labelled[1] = {0}, labels[1] = {0};
  al_query query = {.pool = 4, .labelled = 1, .classes = 2, .batch = 4, .labels = labels};
  query.f_all = al_view_dense(rows, 5, 2);
  query.f_labelled = al_view_dense(rows, 1, 2);
  query.f_pool = al_view_dense(rows + 2, 4, 2);
  query.all_pool = pool;
  query.all_labelled = labelled;
  answer a;
  const int32_t wanted[4] = {1, 2, 0, 3};
  assert_int_equal(ask(find("probcover"), &query, "{\"delta\": 1.5}", &a), AL_OK);
  assert_memory_equal(a.pos, wanted, sizeof wanted);
  assert_float_equal(a.scores[0], 2.0 * sin(atan(0.4) / 2.0) / 4.0, 1e-6);
  forget(&a);
}

/* Stars whose centre covers 9, 8, ... leaves: no ties, so another order of the pool gives the same centres. */
static void order_does_not_matter(void **state) {
  (void)state;
  enum { GROUPS = 5, D = GROUPS + 9 };
  static float rows[2][MOST_N * D];
  int32_t index[MOST_N];
  size_t n = 0, centre[GROUPS];
  for (size_t g = 0; g < GROUPS; g++) {
    centre[g] = n;
    rows[0][n++ * D + g] = 3.0F;
    for (size_t leaf = 0; leaf < 9 - g; leaf++) {
      rows[0][n * D + g] = (float)cos(0.5);
      rows[0][n++ * D + GROUPS + leaf] = (float)sin(0.5);
    }
  }
  for (size_t i = 0; i < n; i++) {
    index[i] = (int32_t)i;
    memcpy(rows[1] + i * D, rows[0] + (n - 1 - i) * D, D * sizeof(float));
  }
  for (size_t order = 0; order < 2; order++) {
    al_query query = {.pool = n, .classes = 2, .batch = GROUPS, .f_pool = al_view_dense(rows[order], n, D)};
    query.f_all = query.f_pool;
    query.all_pool = index;
    answer a;
    assert_int_equal(ask(find("probcover"), &query, "{\"delta\": 0.6}", &a), AL_OK);
    for (size_t g = 0; g < GROUPS; g++) {
      assert_int_equal(a.pos[g], order == 0 ? centre[g] : n - 1 - centre[g]);
      assert_float_equal(a.scores[g], 10.0 - (double)g, 0.0);
    }
    forget(&a);
  }
}

/* More than 60,000 items: 50,000 drawn ones stand for U, anew each round, and the note says so; what is left of the
 * batch when they are covered comes from all of U. */
static void a_large_pool(void **state) {
  (void)state;
  enum { N = 60100, D = 3, K = 40 };
  static float rows[(N + 1) * D];
  static int32_t index[N], pos[2][K];
  static double scores[2][K];
  int32_t labelled[1] = {N}, labels[1] = {0};
  al_rng rng = al_rng_open(&(al_stream_key){.seed = 10, .purpose = "test", .dataset = "large"});
  for (size_t i = 0; i <= N; i++) {
    double angle = 0.2 * al_rng_uniform(&rng);
    if (i % 300 == 7) angle = 1.0 + 2.0 * al_rng_uniform(&rng); /* 200 that L does not cover */
    rows[i * D] = (float)cos(angle);
    rows[i * D + 1] = (float)sin(angle);
    if (i < N) index[i] = (int32_t)i;
  }
  rows[(size_t)N * D] = 1.0F;
  rows[(size_t)N * D + 1] = 0.0F;
  al_query query = {.pool = N, .labelled = 1, .classes = 2, .batch = K, .labels = labels};
  query.f_all = al_view_dense(rows, N + 1, D);
  query.f_labelled = al_view_dense(rows + (size_t)N * D, 1, D);
  query.f_pool = al_view_dense(rows, N, D);
  query.all_pool = index;
  query.all_labelled = labelled;
  const al_strategy *s = find("probcover");
  json_t *given = json_loads("{\"delta\": 0.3}", 0, NULL), *params = NULL;
  assert_int_equal(al_params_resolve(&params, s->params, given, s->name), AL_OK);
  for (size_t round = 0; round < 2; round++) {
    al_picks picks = {.pos = pos[round], .scores = scores[round]};
    query.rng = al_rng_child(&rng, round);
    query.cell_rng = rng;
    assert_int_equal(al_strategy_select(s, &query, params, &picks), AL_OK);
    assert_non_null(strstr(picks.note, "50000 drawn of the pool's 60100"));
    free(picks.note);
    double total = 0.0;
    size_t adding = 0;
    for (size_t i = 0; i < K; i++) {
      if (scores[round][i] < 1.0) continue;
      assert_int_equal(adding++, i);
      assert_int_equal(pos[round][i] % 300, 7);
      total += scores[round][i];
    }
    assert_true(adding >= 4 && adding < K); /* an arc of 2 in balls of 0.6 */
    assert_true(total > 130.0 && total < 200.0);
  }
  assert_true(memcmp(pos[0], pos[1], sizeof pos[0]) != 0);
  json_decref(given);
  json_decref(params);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(coverage),
      cmocka_unit_test(delta_from_the_data),
      cmocka_unit_test(balls_and_purity),
      cmocka_unit_test(coverage_bound),
      cmocka_unit_test(the_last_points_can_be_chosen),
      cmocka_unit_test(all_covered),
      cmocka_unit_test(order_does_not_matter),
      cmocka_unit_test(a_large_pool),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
