/* Pools large enough that what the small inputs of strategy_fixture.h cannot reach is used: several levels of maxima,
 * more centres than one look takes, whole blocks of items, chunks of rows. Against naive double-precision references;
 * on small integers, where all arithmetic is exact, the picks must be the same. */
#include "strategy_fixture.h"

enum { N = 5000, M = 70, D = 21, C = 7, K = 150 };

static float h[N * D], hl[M * D], probs[N * C];
static int64_t begin[N + 1], begin_l[M + 1];
static int32_t at[N * D], at_l[M * D], pos[N];
static float value[N * D], value_l[M * D];
static double scores[N];

/* integers: coordinates 0, 1, 2 (many duplicates and ties); else normal, a third of the rows within 1e-3 of another */
static al_query make(bool integers, bool csr, size_t labelled, uint32_t index) {
  al_rng rng = al_rng_open(&(al_stream_key){.seed = 12, .purpose = "test", .dataset = "large", .index = index});
  random_rows(&rng, h, N, D, integers ? 1 : csr ? 3 : 0, 0.0);
  random_rows(&rng, hl, M, D, integers ? 1 : csr ? 3 : 0, 0.0);
  for (size_t i = 2; !integers && i < N; i += 3)
    for (size_t d = 0; d < D; d++) h[i * D + d] = h[(i - 1) * D + d] * (1.0F + 1e-3F * (float)uniform(&rng));
  for (size_t i = 0; i < N; i++) {
    double sum = 0.0, raw[C];
    for (size_t c = 0; c < C; c++) sum += raw[c] = pow(uniform(&rng), i % 2 == 0 ? 1.0 : 12.0) + 1e-9;
    for (size_t c = 0; c < C; c++) probs[i * C + c] = (float)(raw[c] / sum);
  }
  to_csr(h, N, D, begin, at, value);
  to_csr(hl, M, D, begin_l, at_l, value_l);
  return (al_query){.pool = N,
                    .labelled = labelled,
                    .classes = C,
                    .batch = K,
                    .probs = probs,
                    .h_pool = csr ? al_view_csr(begin, at, value, N, D) : al_view_dense(h, N, D),
                    .h_labelled =
                        csr ? al_view_csr(begin_l, at_l, value_l, labelled, D) : al_view_dense(hl, labelled, D),
                    .round = 1,
                    .rng = al_rng_child(&rng, 1),
                    .cell_rng = al_rng_child(&rng, 2)};
}

static void run(const char *name, const al_query *query, const char *options) {
  const al_strategy *strategy = find(name);
  json_t *given = json_loads(options, 0, NULL), *params = NULL;
  al_picks picks = {.pos = pos, .scores = scores};
  assert_int_equal(al_params_resolve(&params, strategy->params, given, name), AL_OK);
  assert_int_equal(al_strategy_select(strategy, query, params, &picks), AL_OK);
  assert_int_equal(picks.count, K);
  json_decref(given);
  json_decref(params);
  free(picks.note);
}

/* Squared distance to the nearest of L and the picks, taken up pick by pick. */
static double squares[N];

static double squared_distance(const float *x, const float *y) {
  double sum = 0.0;
  for (size_t d = 0; d < D; d++) sum += pow((double)x[d] - (double)y[d], 2.0);
  return sum;
}

static void start(size_t labelled) {
  for (size_t i = 0; i < N; i++) {
    squares[i] = INFINITY;
    for (size_t j = 0; j < labelled; j++) squares[i] = fmin(squares[i], squared_distance(h + i * D, hl + j * D));
  }
}

static void step(size_t pick) {
  for (size_t i = 0; i < N; i++) squares[i] = fmin(squares[i], squared_distance(h + i * D, h + pick * D));
}

/* The judge of the fixture, for N items. */
static void judged(const double *u, const bool *taken, size_t pick, bool exactly) {
  double best = -INFINITY, worst = INFINITY;
  size_t first = 0;
  for (size_t i = 0; i < N; i++) {
    if (taken[i]) continue;
    if (u[i] > best) {
      best = u[i];
      first = i;
    }
    worst = fmin(worst, u[i]);
  }
  if (exactly) assert_int_equal(pick, first);
  assert_false(taken[pick]);
  assert_true(u[pick] >= best - 1e-5 * (best - worst) - 1e-6 * fabs(best));
}

static void greedy(const char *name, bool integers, bool csr, size_t labelled, uint32_t index) {
  al_query query = make(integers, csr, labelled, index);
  static double u[N];
  static bool taken[N];
  bool ranked = strcmp(name, "ranked-batch") == 0;
  memset(taken, 0, sizeof taken);
  run(name, &query, "{}");
  start(labelled);
  for (size_t n = 0; n < K; n++) {
    double alpha = (double)(N - n) / (double)(N + labelled);
    for (size_t i = 0; i < N; i++) {
      double most = 0.0;
      for (size_t c = 0; c < C; c++) most = fmax(most, (double)probs[i * C + c]);
      u[i] = ranked ? alpha * (1.0 - 1.0 / (1.0 + sqrt(squares[i]))) + (1.0 - alpha) * (1.0 - most) : squares[i];
    }
    if (n != 0 || labelled != 0) judged(u, taken, (size_t)pos[n], integers && !ranked);
    taken[pos[n]] = true;
    step((size_t)pos[n]);
  }
}

static void farthest_first(void **state) {
  (void)state;
  uint32_t index = 0;
  for (int csr = 0; csr < 2; csr++)
    for (int integers = 0; integers < 2; integers++) {
      greedy("k-center", integers, csr, M, index++);
      greedy("k-center", integers, csr, 0, index++);
      greedy("k-center", integers, csr, 1, index++);
    }
}

static void ranked_batches(void **state) {
  (void)state;
  for (int csr = 0; csr < 2; csr++) {
    greedy("ranked-batch", false, csr, M, 20 + (uint32_t)csr);
    greedy("ranked-batch", true, csr, M, 22 + (uint32_t)csr);
    greedy("ranked-batch", false, csr, 0, 24 + (uint32_t)csr);
  }
}

/* Inverse CDF in pool order on the gradients written out, from the same uniforms. */
static void badge_of_many(void **state) {
  (void)state;
  static double g[N][C * D], weight[N];
  for (uint32_t index = 0; index < 4; index++) {
    al_query query = make(index == 1, index % 2 == 1, M, 30 + index);
    run("badge", &query, index == 2 ? "{\"first\": \"largest\"}" : "{}");
    for (size_t i = 0; i < N; i++) {
      size_t best = argmax(probs + i * C, C);
      for (size_t c = 0; c < C; c++)
        for (size_t d = 0; d < D; d++)
          g[i][c * D + d] = ((double)probs[i * C + c] - (c == best)) * (double)h[i * D + d];
    }
    al_rng rng = query.rng;
    for (size_t n = 0; n < K; n++) {
      size_t pick = (size_t)pos[n];
      if (n == 0 && index != 2) assert_int_equal(pick, al_rng_below(&rng, N));
      if (n == 0 && index == 2)
        for (size_t i = 0; i < N; i++) {
          double own = 0.0, other = 0.0;
          for (size_t e = 0; e < C * D; e++) own += g[pick][e] * g[pick][e], other += g[i][e] * g[i][e];
          assert_true(own >= other * (1.0 - 1e-12));
        }
      if (n != 0) {
        double total = 0.0, below = 0.0, u = al_rng_uniform(&rng);
        for (size_t i = 0; i < N; i++) {
          if (i == pick) below = total;
          total += weight[i];
        }
        assert_true(u >= below / total - 1e-6 && u <= (below + weight[pick]) / total + 1e-6);
        assert_float_equal(scores[n], weight[pick], 1e-4 * weight[pick]);
      }
      for (size_t i = 0; i < N; i++) {
        double squared = 0.0;
        for (size_t e = 0; e < C * D; e++) squared += (g[i][e] - g[pick][e]) * (g[i][e] - g[pick][e]);
        weight[i] = n == 0 ? squared : fmin(weight[i], squared);
      }
      weight[pick] = 0.0;
    }
  }
}

/* Chunks of rows, rows longer than a chunk, and the tail of each. */
static void entropy_of_many(void **state) {
  (void)state;
  static const size_t classes[] = {1, 2, 3, 15, 16, 17, 20, 100, 1023, 1024, 1025, 3000};
  al_rng rng = al_rng_open(&(al_stream_key){.seed = 13, .purpose = "test", .dataset = "entropy"});
  for (size_t s = 0; s < sizeof classes / sizeof *classes; s++) {
    size_t c = classes[s], rows = 157;
    float *p = calloc(rows * c, sizeof *p);
    assert_non_null(p);
    for (size_t i = 0; i < rows; i++) {
      double sum = 0.0;
      for (size_t j = 0; j < c; j++) sum += (double)(p[i * c + j] = (float)pow(uniform(&rng), (double)(i % 9)));
      for (size_t j = 0; j < c; j++) p[i * c + j] = (float)((double)p[i * c + j] / sum);
    }
    al_query query = {.pool = rows, .classes = c, .batch = rows, .probs = p};
    al_picks picks = {.pos = pos, .scores = scores};
    assert_int_equal(al_strategy_select(find("entropy"), &query, NULL, &picks), AL_OK);
    for (size_t i = 0; i < rows; i++) {
      double wanted = 0.0;
      const float *row = p + (size_t)pos[i] * c;
      for (size_t j = 0; j < c; j++)
        if (row[j] > 0.0F) wanted -= (double)row[j] * log((double)row[j]);
      assert_float_equal(scores[i], fmax(0.0, wanted), 1e-6 * (1.0 + log((double)c)));
      if (i != 0) assert_true(scores[i] <= scores[i - 1]);
    }
    free(p);
  }
}

/* One bad entry anywhere is found and named, whatever chunk it is in; rows at the edge of what is allowed pass. */
static void one_bad_entry(void **state) {
  (void)state;
  static const struct {
    float value;
    const char *says;
  } bad[] = {{NAN, "is NaN"}, {INFINITY, "is NaN or infinite"}, {-0.0011F, "outside 0 to 1"}, {0.6F, "sums to"}};
  al_query query = make(false, false, 0, 40);
  const al_strategy *entropy = find("entropy"), *k_center = find("k-center");
  al_picks picks = {.pos = pos, .scores = scores};
  for (size_t where = 0; where < N; where += 997)
    for (size_t b = 0; b < 4; b++) {
      char row[32];
      size_t entry = where * C + where % C;
      float kept = probs[entry], kept_h = h[where * D + 20];
      snprintf(row, sizeof row, "row %zu", where);
      probs[entry] = b == 3 ? kept + bad[b].value : bad[b].value;
      if (b == 3 && probs[entry] > 1.0F) probs[entry] = kept - bad[b].value; /* outside and off alike */
      assert_int_equal(al_strategy_select(entropy, &query, NULL, &picks), AL_BAD_INPUT);
      assert_non_null(strstr(al_message(), row));
      if (b < 3) assert_non_null(strstr(al_message(), bad[b].says));
      probs[entry] = kept;
      if (b >= 2) continue;
      h[where * D + 20] = bad[b].value;
      assert_int_equal(al_strategy_select(k_center, &query, NULL, &picks), AL_BAD_INPUT);
      assert_non_null(strstr(al_message(), row));
      h[where * D + 20] = kept_h;
    }
  float edge[3 * 2] = {0.0F, 1.0009F, -0.0009F, 1.0F, 0.5F, 0.4991F};
  query = (al_query){.pool = 3, .classes = 2, .batch = 3, .probs = edge};
  assert_int_equal(al_strategy_select(entropy, &query, NULL, &picks), AL_OK);
  edge[5] = 0.4985F;
  assert_int_equal(al_strategy_select(entropy, &query, NULL, &picks), AL_BAD_INPUT);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(farthest_first), cmocka_unit_test(ranked_batches),
                                     cmocka_unit_test(badge_of_many), cmocka_unit_test(entropy_of_many),
                                     cmocka_unit_test(one_bad_entry)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
