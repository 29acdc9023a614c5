/* The composed strategies: schedule, mixture and subsample exactly or against brute force; albl and bandit against
 * EXP4.P and EXP3 written out of the papers with raw weights; both on a problem whose right answer changes halfway;
 * and what is refused. */
#include "strategy_fixture.h"

#include <float.h>

/* ---- schedule and mixture ---- */

static bool same_picks(const answer *a, const answer *b) {
  return a->picks.count == b->picks.count && memcmp(a->pos, b->pos, a->picks.count * sizeof *a->pos) == 0;
}

static void schedule(void **state) {
  (void)state;
  for (unsigned which = 1; which < INPUTS; which++) {
    static input x;
    make_input(&x, which, which % 2 == 1);
    char options[200];
    for (size_t until = 1; until < 2 * MOST_L; until += 7) {
      answer a, b;
      bool first = x.m < until;
      snprintf(options, sizeof options, "{\"first\": \"random\", \"then\": {\"name\": \"badge\"}, \"until\": %zu}",
               until);
      al_query own = x.query;
      own.rng = al_rng_child(&x.query.rng, first ? 0 : 1);
      assert_int_equal(ask(find("schedule"), &x.query, options, &a), AL_OK);
      assert_int_equal(ask(find(first ? "random" : "badge"), &own, "{}", &b), AL_OK);
      assert_true(same_picks(&a, &b));
      assert_true(a.picks.scored == b.picks.scored);
      forget(&a);
      forget(&b);
    }
  }
}

void al_largest_remainder(const double *shares, size_t n, size_t items, size_t *counts);

static void largest_remainder(void **state) {
  (void)state;
  size_t counts[6];
  /* https://en.wikipedia.org/wiki/Quota_method, largest remainders with the Hare quota: 100,000 votes, 10 seats */
  const double votes[6] = {47000, 16000, 15900, 12000, 6000, 3100};
  const size_t seats[6] = {5, 2, 1, 1, 1, 0};
  al_largest_remainder(votes, 6, 10, counts);
  assert_memory_equal(counts, seats, sizeof seats);
  const double tenths[3] = {0.1, 0.2, 0.7};
  const size_t ten[3] = {1, 2, 7};
  al_largest_remainder(tenths, 3, 10, counts);
  assert_memory_equal(counts, ten, sizeof ten);
  /* integers, where remainders are exact: each goes to the largest left, the first of equals */
  for (unsigned code = 0; code < 1000; code++) {
    const unsigned s[3] = {1 + code % 10, 1 + code / 10 % 10, 1 + code / 100};
    const double shares[3] = {s[0], s[1], s[2]};
    unsigned sum = s[0] + s[1] + s[2];
    for (unsigned k = 1; k < 30; k++) {
      unsigned got[3], rest[3], left = k;
      for (size_t i = 0; i < 3; i++) {
        got[i] = k * s[i] / sum;
        rest[i] = k * s[i] % sum;
        left -= got[i];
      }
      for (; left != 0; left--) {
        size_t best = 3;
        for (size_t i = 0; i < 3; i++)
          if (rest[i] != UINT32_MAX && (best == 3 || rest[i] > rest[best])) best = i;
        got[best]++;
        rest[best] = UINT32_MAX;
      }
      al_largest_remainder(shares, 3, k, counts);
      for (size_t i = 0; i < 3; i++) assert_int_equal(counts[i], got[i]);
    }
  }
}

/* Two orders of the whole pool, dealt 3 to 2: each sub-strategy's best that is left. */
static void mixture(void **state) {
  (void)state;
  for (unsigned which = 1; which < INPUTS; which++) {
    static input x;
    make_input(&x, which, false);
    answer a, order[2];
    al_query whole = x.query;
    whole.batch = x.n;
    assert_int_equal(ask(find("margin"), &whole, "{}", &order[0]), AL_OK);
    whole.rng = al_rng_child(&x.query.rng, 1);
    assert_int_equal(ask(find("k-center"), &whole, "{}", &order[1]), AL_OK);
    assert_int_equal(
        ask(find("mixture"), &x.query, "{\"strategies\": [\"margin\", \"k-center\"], \"shares\": [3, 2]}", &a), AL_OK);
    size_t k = x.k < x.n ? x.k : x.n, firsts = (k * 3) / 5 + ((k * 3) % 5 >= 3 ? 1 : 0), at = 0;
    if ((k * 3) % 5 == 0) firsts = k * 3 / 5;
    bool taken[MOST_N] = {false};
    assert_int_equal(a.picks.count, k);
    for (size_t s = 0; s < 2; s++)
      for (size_t left = s == 0 ? firsts : k - firsts, i = 0; left != 0; i++) {
        assert_true(i < x.n);
        if (taken[order[s].pos[i]]) continue;
        assert_int_equal(a.pos[at], order[s].pos[i]);
        assert_true(a.scores[at] == order[s].scores[i]);
        taken[order[s].pos[i]] = true;
        at++;
        left--;
      }
    forget(&a);
    forget(&order[0]);
    forget(&order[1]);
  }
}

/* One more at the end changes nobody's draws. */
static void streams_of_children(void **state) {
  (void)state;
  for (unsigned which = 1; which < INPUTS; which++) {
    static input x;
    make_input(&x, which, false);
    if (x.n < 5) continue;
    answer two, three;
    al_query query = x.query;
    query.batch = 2;
    assert_int_equal(ask(find("mixture"), &query, "{\"strategies\": [\"random\", \"badge\"]}", &two), AL_OK);
    query.batch = 3;
    assert_int_equal(ask(find("mixture"), &query, "{\"strategies\": [\"random\", \"badge\", \"random\"]}", &three),
                     AL_OK);
    assert_memory_equal(two.pos, three.pos, 2 * sizeof *two.pos);
    forget(&two);
    forget(&three);
  }
}

/* ---- subsample ---- */

static int ascending(const void *a, const void *b) {
  int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
  return (x > y) - (x < y);
}

typedef struct {
  double d;
  size_t pos;
} ranked;

static int nearest_first(const void *a, const void *b) {
  const ranked *x = a, *y = b;
  return x->d != y->d ? (x->d > y->d) - (x->d < y->d) : (x->pos > y->pos) - (x->pos < y->pos);
}

/* Every distance, sorted; float32 as the distances are reported in. */
static size_t brute_seals(const float *u, size_t n, const float *l, size_t m, size_t d, size_t neighbours, size_t k,
                          bool *member) {
  ranked *order = calloc(n, sizeof *order), *least = calloc(n, sizeof *least);
  size_t size = 0;
  assert_true(order != NULL && least != NULL);
  for (size_t i = 0; i < n; i++) {
    member[i] = false;
    least[i] = (ranked){INFINITY, i};
  }
  for (size_t j = 0; j < m; j++) {
    for (size_t i = 0; i < n; i++) {
      double sum = 0.0;
      for (size_t c = 0; c < d; c++) sum += pow((double)u[i * d + c] - (double)l[j * d + c], 2.0);
      order[i] = (ranked){(double)(float)sum, i};
      least[i].d = fmin(least[i].d, order[i].d);
    }
    qsort(order, n, sizeof *order, nearest_first);
    for (size_t i = 0; i < neighbours && i < n; i++) member[order[i].pos] = true;
  }
  for (size_t i = 0; i < n; i++) size += member[i];
  qsort(least, n, sizeof *least, nearest_first);
  for (size_t i = 0; i < n && size < k; i++)
    if (!member[least[i].pos]) {
      member[least[i].pos] = true;
      size++;
    }
  free(order);
  free(least);
  return size;
}

/* Asked for as many as the part holds, a sub-strategy gives all of it: the set is the part. */
static void expect_part(const al_query *query, const char *options, const bool *member, size_t size) {
  answer a;
  al_query own = *query;
  own.batch = size;
  assert_int_equal(ask(find("subsample"), &own, options, &a), AL_OK);
  assert_int_equal(a.picks.count, size);
  for (size_t i = 0; i < size; i++) assert_true(member[a.pos[i]]);
  forget(&a);
}

static void seals(void **state) {
  (void)state;
  for (unsigned which = 1; which < INPUTS; which++) {
    static input x;
    bool member[MOST_N];
    char options[200];
    make_input(&x, which, false);
    if (x.m == 0) continue;
    for (size_t neighbours = 1; neighbours < 6; neighbours += 2) {
      snprintf(options, sizeof options, "{\"strategy\": \"random\", \"method\": \"seals\", \"neighbours\": %zu}",
               neighbours);
      size_t size = brute_seals(x.f, x.n, x.fl, x.m, x.fd, neighbours, 0, member);
      expect_part(&x.query, options, member, size);
      if (size + 2 > x.n) continue;
      brute_seals(x.f, x.n, x.fl, x.m, x.fd, neighbours, size + 2, member); /* two more than there are */
      expect_part(&x.query, options, member, size + 2);
    }
  }
}

/* Several blocks, far from the origin, near-duplicates; and CSR. */
static void seals_at_size(void **state) {
  (void)state;
  enum { N = 1500, M = 40, D = 24, NEAR = 7 };
  al_rng rng = al_rng_open(&(al_stream_key){.seed = 5, .purpose = "test", .dataset = "seals"});
  float *u = calloc(N * D, sizeof *u), *l = calloc(M * D, sizeof *l);
  int64_t *ub = calloc(N + 1, sizeof *ub), *lb = calloc(M + 1, sizeof *lb);
  int32_t *ui = calloc(N * D, sizeof *ui), *li = calloc(M * D, sizeof *li), *pos = calloc(N, sizeof *pos);
  float *uv = calloc(N * D, sizeof *uv), *lv = calloc(M * D, sizeof *lv);
  double *scores = calloc(N, sizeof *scores);
  int32_t labels[M] = {0};
  static bool member[N];
  assert_true(u && l && ub && lb && ui && li && uv && lv && pos && scores);
  json_t *params = settled(find("subsample"), "{\"strategy\": \"random\", \"method\": \"seals\", \"neighbours\": 7}");
  for (int kind = 0; kind < 3; kind++) {
    double offset = kind == 1 ? 1e4 : 0.0;
    for (size_t e = 0; e < N * D; e++)
      u[e] = (float)(kind == 2 && al_rng_below(&rng, 4) != 0 ? 0.0 : al_rng_normal(&rng) + offset);
    for (size_t i = 1; i < N; i += 3) /* near-duplicates of the row before */
      for (size_t c = 0; c < D; c++) u[i * D + c] = u[(i - 1) * D + c] * (1.0F + (float)c * 1e-6F);
    for (size_t j = 0; j < M; j++)
      for (size_t c = 0; c < D; c++) l[j * D + c] = (float)((double)u[j * 31 * D + c] * 1.01);
    to_csr(u, N, D, ub, ui, uv);
    to_csr(l, M, D, lb, li, lv);
    al_query query = {.pool = N,
                      .labelled = M,
                      .classes = 2,
                      .labels = labels,
                      .f_pool = kind == 2 ? al_view_csr(ub, ui, uv, N, D) : al_view_dense(u, N, D),
                      .f_labelled = kind == 2 ? al_view_csr(lb, li, lv, M, D) : al_view_dense(l, M, D)};
    query.batch = brute_seals(u, N, l, M, D, NEAR, 0, member);
    al_picks picks = {.pos = pos, .scores = scores};
    assert_int_equal(al_strategy_select(find("subsample"), &query, params, &picks), AL_OK);
    for (size_t i = 0; i < picks.count; i++) assert_true(member[pos[i]]);
    free(picks.note);
  }
  json_decref(params);
  free(u);
  free(l);
  free(ub);
  free(lb);
  free(ui);
  free(li);
  free(uv);
  free(lv);
  free(pos);
  free(scores);
}

static void anchors(void **state) {
  (void)state;
  for (unsigned which = 1; which < INPUTS; which++) {
    static input x;
    make_input(&x, which, which % 2 == 1);
    if (x.m == 0) continue;
    /* the same draws: class by class, two of each */
    int32_t members[MOST_L], chosen[MOST_L];
    size_t n = 0, size = x.n / 2 + 1;
    al_rng rng = x.query.rng;
    for (size_t c = 0; c < x.c; c++) {
      size_t of_class = 0;
      for (size_t j = 0; j < x.m; j++)
        if (x.labels[j] == (int32_t)c) members[of_class++] = (int32_t)j;
      size_t wanted = of_class < 2 ? of_class : 2;
      al_rng_sample(&rng, members, of_class, wanted);
      for (size_t j = 0; j < wanted; j++) chosen[n++] = members[j];
    }
    double mean[MOST_N] = {0};
    ranked order[MOST_N];
    for (size_t i = 0; i < x.n; i++) {
      for (size_t j = 0; j < n; j++) mean[i] += cosine(x.h + i * x.d, x.hl + (size_t)chosen[j] * x.d, x.d) / (double)n;
      order[i] = (ranked){-mean[i], i};
    }
    qsort(order, x.n, sizeof *order, nearest_first);
    bool member[MOST_N] = {false};
    for (size_t i = 0; i < x.n; i++) member[i] = mean[i] >= -order[size - 1].d - 1e-9; /* ties at the end are open */
    char options[200];
    snprintf(options, sizeof options,
             "{\"strategy\": \"random\", \"method\": \"anchors\", \"anchors\": 2, \"size\": %zu}", size);
    expect_part(&x.query, options, member, size);
  }
}

/* random: the part is the sample, in pool order, and the sub-strategy is as if there were nothing else. */
static void part_at_random(void **state) {
  (void)state;
  for (unsigned which = 1; which < INPUTS; which++) {
    static input x;
    make_input(&x, which, which % 2 == 1);
    size_t size = x.n / 2 + 1, k = x.k < size ? x.k : size;
    int32_t part[MOST_N];
    al_rng rng = x.query.rng;
    for (size_t i = 0; i < x.n; i++) part[i] = (int32_t)i;
    al_rng_sample(&rng, part, x.n, size);
    qsort(part, size, sizeof *part, ascending);
    answer a;
    double u[MOST_N];
    bool out[MOST_N];
    char options[200];
    al_query query = x.query;
    query.batch = k;
    snprintf(options, sizeof options, "{\"strategy\": \"least-confidence\", \"size\": %zu}", size);
    assert_int_equal(ask(find("subsample"), &query, options, &a), AL_OK);
    for (size_t i = 0; i < x.n; i++) {
      u[i] = 1.0 - (double)x.probs[i * x.c + argmax(x.probs + i * x.c, x.c)];
      out[i] = true;
    }
    for (size_t i = 0; i < size; i++) out[part[i]] = false;
    assert_int_equal(a.picks.count, k);
    for (size_t i = 0; i < k; i++) {
      assert_false(out[a.pos[i]]);
      judge("subsample", which, x.n, u, out, a.pos[i]);
      out[a.pos[i]] = true;
    }
    forget(&a);
  }
}

/* Every strategy there is works on a part, whatever it reads, and as it would if the part were the pool. */
static void every_strategy_on_a_part(void **state) {
  (void)state;
  for (unsigned which = 0; which < 60; which++)
    for (size_t s = 0; al_strategies[s] != NULL; s++) {
      static input x;
      const char *inner = options_for(al_strategies[s]);
      if (inner == NULL) continue;
      make_input(&x, which, which % 2 == 1);
      if (x.m == 0) continue;
      char options[600];
      answer a;
      bool seen[MOST_N] = {false};
      snprintf(options, sizeof options, "{\"size\": %zu, \"strategy\": {\"name\": \"%s\", \"params\": %s}}",
               x.n / 2 + 1, al_strategies[s]->name, inner);
      al_status status = ask(find("subsample"), &x.query, options, &a);
      if (status != AL_OK) print_error("%s, input %u: %s\n", al_strategies[s]->name, which, al_message());
      assert_int_equal(status, AL_OK);
      for (size_t i = 0; i < a.picks.count; i++) {
        assert_false(seen[a.pos[i]]);
        seen[a.pos[i]] = true;
      }
      forget(&a);
    }
}

/* ---- albl and bandit, against the papers ---- */

/* A line of the past. */
static void remember(json_t *history, size_t round, const int32_t *rows, const int32_t *classes, size_t n,
                     json_t *state) {
  json_t *asked = json_array(), *answers = json_array();
  for (size_t i = 0; i < n; i++) {
    json_array_append_new(asked, json_integer(rows[i]));
    json_array_append_new(answers, json_pack("[i]", classes[i]));
  }
  json_array_append_new(history, json_pack("{s:i,s:o,s:o,s:o}", "round", (int)round, "asked", asked, "answers", answers,
                                           "state", state == NULL ? json_null() : json_incref(state)));
}

static double number_in(const json_t *state, const char *name, const char *key, size_t i) {
  const json_t *list = json_object_get(json_object_get(state, name), key);
  assert_true(json_is_number(json_array_get(list, i)));
  return json_number_value(json_array_get(list, i));
}

/* Some rounds on a pool that does not shrink: rows are made up, predictions on L are drawn. The reference keeps raw
 * weights, as the papers do. K = 3: entropy, random (uniform advice), k-center. */
static void albl_by_the_paper(void **state) {
  (void)state;
  enum { K = 3, T = 7, ROUNDS = 9, MOST = 200 };
  static const char options[] =
      "{\"strategies\": [\"entropy\", \"random\", \"k-center\"], \"horizon\": 7, \"delta\": 0.05}";
  for (unsigned which = 1; which < 60; which++) {
    static input x;
    make_input(&x, which, false);
    if (x.c < 2) continue;
    al_rng noise = al_rng_child(&x.query.rng, 99);
    double w[K] = {1, 1, 1}, p_min = fmin(sqrt(log(3.0) / (3.0 * T)), 1.0 / 6.0), q_past[MOST], advice[K] = {0};
    double p[K] = {0};
    int32_t rows[MOST], classes[MOST];
    static float predicted[MOST * MOST_C], hl[MOST * MOST_D];
    size_t labelled = 3, queried = 0;
    json_t *history = json_array(), *last = NULL;
    memset(hl, 0, sizeof hl);
    for (size_t i = 0; i < 3; i++) {
      rows[i] = (int32_t)(1000 + i);
      classes[i] = (int32_t)(i % x.c);
    }
    remember(history, 0, rows, classes, 3, NULL);
    for (size_t round = 1; round <= ROUNDS; round++) {
      size_t k = 1 + round % 4 < x.n ? 1 + round % 4 : x.n;
      random_probs(&noise, predicted, labelled, x.c, 0);
      if (round > 1) { /* EXP4.P, lines 7 and 8 of algorithm 1; the reward is ALBL's, self-normalised */
        double right = 0.0, all = 0.0;
        for (size_t i = 0; i < queried; i++) {
          all += 1.0 / q_past[i];
          if ((int32_t)argmax(predicted + (3 + i) * x.c, x.c) == classes[3 + i]) right += 1.0 / q_past[i];
        }
        for (size_t j = 0; j < K; j++)
          w[j] *= exp(p_min / 2.0 * (right / all * advice[j] + 1.0 / p[j] * sqrt(log(K / 0.05) / (K * (double)T))));
      }
      for (size_t j = 0; j < K; j++) p[j] = (1.0 - K * p_min) * w[j] / (w[0] + w[1] + w[2]) + p_min;
      al_query query = x.query;
      query.batch = k;
      query.round = round;
      query.rng = al_rng_child(&noise, round);
      query.labelled = labelled;
      query.labels = classes;
      query.rows_labelled = rows;
      query.probs_labelled = predicted;
      query.h_labelled = al_view_dense(hl, labelled, x.d);
      query.history = history;
      query.state = last;
      query.oof = NULL;
      answer a, offers[K];
      assert_int_equal(ask(find("albl"), &query, options, &a), AL_OK);
      static const char *const names[K] = {"entropy", "random", "k-center"};
      for (size_t j = 0; j < K; j++) {
        al_query own = query;
        own.rng = al_rng_child(&query.rng, j);
        assert_int_equal(ask(find(names[j]), &own, "{}", &offers[j]), AL_OK);
        assert_true(fabs(number_in(a.picks.state, "albl", "p", j) - p[j]) < 1e-10);
        advice[j] = 0.0;
      }
      bool taken[MOST_N] = {false};
      al_rng rng = query.rng;
      for (size_t i = 0; i < k; i++) {
        int32_t best[K];
        double u = al_rng_uniform(&rng), q = 0.0;
        for (size_t j = 0; j < K; j++) {
          size_t at = 0;
          while (taken[offers[j].pos[at]]) at++;
          best[j] = offers[j].pos[at];
        }
        size_t arm = u < p[0] ? 0 : u < p[0] + p[1] ? 1 : 2;
        assert_int_equal(a.pos[i], best[arm]);
        double phi[K];
        for (size_t j = 0; j < K; j++) {
          phi[j] = j == 1 ? 1.0 / (double)(x.n - i) : best[j] == a.pos[i] ? 1.0 : 0.0;
          q += p[j] * phi[j];
        }
        assert_true(fabs(number_in(a.picks.state, "albl", "q", i) - q) < 1e-10);
        for (size_t j = 0; j < K; j++) advice[j] += phi[j] / q / (double)k;
        taken[a.pos[i]] = true;
        q_past[queried] = q;
        rows[labelled] = (int32_t)(5000 - queried); /* any numbers, in no order */
        classes[labelled] = (int32_t)al_rng_below(&noise, x.c);
        queried++;
        labelled++;
      }
      remember(history, round, rows + labelled - k, classes + labelled - k, k, a.picks.state);
      json_decref(last);
      last = json_incref(a.picks.state);
      forget(&a);
      for (size_t j = 0; j < K; j++) forget(&offers[j]);
    }
    json_decref(history);
    json_decref(last);
  }
}

static void bandit_by_the_paper(void **state) {
  (void)state;
  enum { K = 2, ROUNDS = 40 };
  static const char *const names[K] = {"random", "entropy"};
  for (unsigned which = 1; which < 60; which++) {
    static input x;
    make_input(&x, which, false);
    if (x.m < 10 || x.c < 2) continue;
    al_rng noise = al_rng_child(&x.query.rng, 99);
    double w[K] = {1, 1}, gamma = 0.3, p[K] = {0}, before = -1.0;
    size_t arm = 0;
    json_t *last = NULL;
    for (size_t round = 1; round <= ROUNDS; round++) {
      bool known = round % 5 != 0; /* now and then there is no out-of-fold accuracy */
      double now = 0.0;
      for (size_t i = 0; i < x.m; i++) {
        x.error[i] = (uint8_t)al_rng_below(&noise, 2);
        now += (1.0 - x.error[i]) / (double)x.m;
      }
      if (round > 1 && known && before >= 0.0)
        w[arm] *= exp(gamma / K * (fmax(0.0, now - before) / p[arm])); /* figure 1, with one arm's estimate not 0 */
      for (size_t j = 0; j < K; j++) p[j] = (1.0 - gamma) * w[j] / (w[0] + w[1]) + gamma / K;
      al_query query = x.query;
      query.rng = al_rng_child(&noise, round);
      query.oof = known ? &x.out_of_fold : NULL;
      query.state = last;
      query.round = round;
      answer a, b;
      assert_int_equal(ask(find("bandit"), &query, "{\"strategies\": [\"random\", \"entropy\"], \"gamma\": 0.3}", &a),
                       AL_OK);
      al_rng rng = query.rng;
      arm = al_rng_uniform(&rng) < p[0] ? 0 : 1;
      for (size_t j = 0; j < K; j++) assert_true(fabs(number_in(a.picks.state, "bandit", "p", j) - p[j]) < 1e-10);
      query.rng = al_rng_child(&query.rng, arm);
      query.state = NULL;
      assert_int_equal(ask(find(names[arm]), &query, "{}", &b), AL_OK);
      assert_true(same_picks(&a, &b));
      before = known ? now : -1.0;
      json_decref(last);
      last = json_incref(a.picks.state);
      forget(&a);
      forget(&b);
    }
    json_decref(last);
  }
}

/* ---- a problem whose right answer changes ---- */

enum { SEEDS = 20, HORIZON = 1000 };

/* Two items: the unsure one (entropy's choice) and the far one (k-center's), so that a pick tells who chose. In the
 * first half the model learns from the first, in the second half from the other. */
typedef struct {
  float probs[4], h[2], hl[HORIZON + 12], right[2 * (HORIZON + 12)];
  int32_t labels[HORIZON + 12], rows[HORIZON + 12];
  uint8_t error[HORIZON + 12];
  int32_t predicted[HORIZON + 12];
  al_oof oof;
  al_query query;
} problem;

static void make_problem(problem *x) {
  memset(x, 0, sizeof *x);
  x->probs[0] = x->probs[1] = 0.5F;
  x->probs[2] = 1.0F;
  x->h[1] = 1.0F;
  for (size_t i = 0; i < HORIZON + 12; i++) x->rows[i] = (int32_t)i;
  x->oof = (al_oof){.error = x->error, .predicted = x->predicted};
  x->query = (al_query){.pool = 2,
                        .classes = 2,
                        .batch = 1,
                        .probs = x->probs,
                        .h_pool = al_view_dense(x->h, 2, 1),
                        .labels = x->labels,
                        .rows_labelled = x->rows,
                        .probs_labelled = x->right,
                        .oof = &x->oof};
}

typedef struct {
  double middle, end; /* weight on what is right in the first half when it ends, on the other at the end */
  double regret_fixed, regret_switch, regret_uniform;
} outcome;

static size_t right_arm(size_t round) { return round <= HORIZON / 2 ? 0 : 1; }

/* Expected reward of a round: 0.9 of the past queries are predicted right after the right choice, 0.2 after the other.
 * Regret is in these units: against the better of the two arms played throughout, and against the right one always. */
static void play_albl(problem *x, unsigned seed, outcome *out) {
  const double after_right = 0.9, after_wrong = 0.2;
  json_t *history = json_array(), *last = NULL;
  al_rng master = al_rng_open(&(al_stream_key){.seed = seed, .purpose = "test", .dataset = "switch"});
  al_rng noise = al_rng_child(&master, 0);
  char options[120];
  make_problem(x);
  snprintf(options, sizeof options, "{\"strategies\": [\"entropy\", \"k-center\"], \"horizon\": %d}", HORIZON);
  *out = (outcome){0};
  double level = 0.5;
  remember(history, 0, x->rows, x->labels, 1, NULL);
  for (size_t round = 1; round <= HORIZON; round++) {
    x->query.labelled = round;
    for (size_t i = 0; i < round; i++) {
      bool good = al_rng_uniform(&noise) < level;
      x->right[2 * i] = good ? 1.0F : 0.0F;
      x->right[2 * i + 1] = good ? 0.0F : 1.0F;
    }
    x->query.h_labelled = al_view_dense(x->hl, round, 1);
    x->query.history = history;
    x->query.state = last;
    x->query.round = round;
    x->query.rng = al_rng_child(&master, round);
    answer a;
    assert_int_equal(ask(find("albl"), &x->query, options, &a), AL_OK);
    size_t arm = (size_t)a.pos[0], best = right_arm(round);
    level = arm == best ? after_right : after_wrong;
    out->regret_switch += after_right - level;
    out->regret_fixed += (after_right + after_wrong) / 2.0 - level;
    out->regret_uniform += (after_right - after_wrong) / 2.0;
    remember(history, round, x->rows + round, x->labels, 1, a.picks.state);
    if (round == HORIZON / 2) out->middle = number_in(a.picks.state, "albl", "weights", 0);
    out->end = number_in(a.picks.state, "albl", "weights", 1);
    json_decref(last);
    last = json_incref(a.picks.state);
    forget(&a);
  }
  json_decref(history);
  json_decref(last);
}

/* Out-of-fold accuracy goes up by 0.2 after the right choice, and down after the other, between 0.1 and 0.9: there is
 * something to gain only after a loss, as accuracy has it. */
static void play_bandit(problem *x, unsigned seed, outcome *out) {
  json_t *last = NULL;
  al_rng master = al_rng_open(&(al_stream_key){.seed = seed, .purpose = "test", .dataset = "switch"});
  make_problem(x);
  x->query.labelled = 10;
  x->query.h_labelled = al_view_dense(x->hl, 10, 1);
  *out = (outcome){0};
  int right = 5;
  for (size_t round = 1; round <= HORIZON; round++) {
    for (int i = 0; i < 10; i++) x->error[i] = i >= right;
    x->query.state = last;
    x->query.round = round;
    x->query.rng = al_rng_child(&master, round);
    answer a;
    assert_int_equal(ask(find("bandit"), &x->query, "{\"strategies\": [\"entropy\", \"k-center\"]}", &a), AL_OK);
    size_t arm = (size_t)a.pos[0], best = right_arm(round);
    right += arm == best ? 2 : -2;
    right = right > 9 ? 9 : right < 1 ? 1 : right;
    out->regret_switch += arm == best ? 0.0 : 1.0; /* rounds in which the wrong one chose */
    out->regret_fixed += arm == best ? -0.5 : 0.5;
    out->regret_uniform += 0.5;
    if (round == HORIZON / 2) out->middle = number_in(a.picks.state, "bandit", "weights", 0);
    out->end = number_in(a.picks.state, "bandit", "weights", 1);
    json_decref(last);
    last = json_incref(a.picks.state);
    forget(&a);
  }
  json_decref(last);
}

static void adapts(void **state) {
  (void)state;
  static problem x;
  static const char *const names[] = {"albl", "bandit"};
  for (size_t s = 0; s < 2; s++) {
    outcome mean = {0};
    size_t right_in_the_middle = 0, right_at_the_end = 0;
    double worst = 1.0;
    for (unsigned seed = 1; seed <= SEEDS; seed++) {
      outcome one;
      (s == 0 ? play_albl : play_bandit)(&x, seed, &one);
      right_in_the_middle += one.middle > 0.5;
      right_at_the_end += one.end > 0.5;
      worst = fmin(worst, one.end);
      mean.middle += one.middle / SEEDS;
      mean.end += one.end / SEEDS;
      mean.regret_fixed += one.regret_fixed / SEEDS;
      mean.regret_switch += one.regret_switch / SEEDS;
      mean.regret_uniform += one.regret_uniform / SEEDS;
    }
    print_message(
        "%s, %d rounds, %d seeds: weight on the right one %.3f after the first half (above 1/2 in %zu), %.3f at "
        "the end (above 1/2 in %zu, least %.3f); regret %.1f to the better one throughout, %.1f to the right "
        "one always, where choosing uniformly has %.1f\n",
        names[s], HORIZON, SEEDS, mean.middle, right_in_the_middle, mean.end, right_at_the_end, worst,
        mean.regret_fixed, mean.regret_switch, mean.regret_uniform);
    assert_int_equal(right_in_the_middle, SEEDS);
    assert_int_equal(right_at_the_end, SEEDS);
    assert_true(mean.end > 0.7);
    assert_true(mean.regret_switch < 0.85 * mean.regret_uniform);
    assert_true(mean.regret_fixed < 0.0); /* better than either throughout */
  }
}

/* ---- what is refused, and how parameters are put in full ---- */

static void expect_refused(const char *name, const char *options, const char *text) {
  const al_strategy *s = find(name);
  json_t *given = json_loads(options, 0, NULL), *params = NULL;
  assert_non_null(given);
  al_status status = al_params_resolve(&params, s->params, given, "here");
  if (status == AL_OK) status = al_strategy_settle(s, params, "here");
  if (status == AL_OK || strstr(al_message(), text) == NULL)
    print_error("%s %s: '%s' expected, got '%s'\n", name, options, text, status == AL_OK ? "" : al_message());
  assert_int_equal(status, AL_BAD_INPUT);
  assert_non_null(strstr(al_message(), text));
  json_decref(given);
  json_decref(params);
}

static void refused(void **state) {
  (void)state;
  expect_refused("mixture", "{\"strategies\": [\"random\", \"entropi\"]}",
                 "here.strategies[1]: unknown strategy 'entropi'; did you mean 'entropy'?");
  expect_refused("mixture", "{\"strategies\": [\"random\", {\"name\": \"badge\", \"params\": {\"frist\": 1}}]}",
                 "here.strategies[1].params: unknown key 'frist'; did you mean 'first'?");
  expect_refused("mixture", "{\"strategies\": [\"random\", {\"nam\": \"badge\"}]}", "did you mean 'name'?");
  expect_refused("mixture", "{\"strategies\": [\"random\", 3]}", "give a strategy's name");
  expect_refused("mixture", "{\"strategies\": [\"random\"]}", "1 given; mixture needs 2 to 64");
  expect_refused("mixture", "{\"strategies\": [\"random\", \"margin\"], \"shares\": [1]}", "1 shares for 2 strategies");
  expect_refused("mixture", "{\"strategies\": [\"random\", \"margin\"], \"shares\": [1, 0]}",
                 "must be a number above 0");
  expect_refused("mixture", "{}", "the key 'strategies' is missing");
  expect_refused("schedule", "{\"first\": \"random\", \"then\": \"margn\", \"until\": 3}",
                 "here.then: unknown strategy");
  expect_refused("schedule", "{\"first\": \"random\", \"then\": \"margin\"}", "'until' is missing");
  expect_refused("subsample", "{\"strategy\": \"margin\", \"method\": \"seal\"}", "seals");
  expect_refused("exec", "{\"command\": []}", "give a program");
  expect_refused("exec", "{\"command\": [\"a\", 1]}", "command[1]: must be a text");
  expect_refused("exec", "{\"command\": \"a\", \"arrays\": [\"prob\"]}", "did you mean 'probs'?");
#define ALBL "{\"name\": \"albl\", \"params\": {\"strategies\": [\"random\", \"margin\"]}}"
  static const char *const several[] = {"mixture", "albl", "bandit"};
  for (size_t i = 0; i < 3; i++) {
    expect_refused(several[i], "{\"strategies\": [\"random\", " ALBL "]}", "strategies[1]: albl learns from");
    expect_refused(several[i],
                   "{\"strategies\": [\"random\", {\"name\": \"subsample\", \"params\": {\"strategy\": " ALBL "}}]}",
                   "learns from");
  }
  /* alone in a round it may be part of another */
  json_decref(settled(find("schedule"), "{\"first\": \"random\", \"then\": " ALBL ", \"until\": 30}"));
  json_decref(settled(find("subsample"), "{\"strategy\": " ALBL "}"));
#undef ALBL
}

static void batches(void **state) {
  (void)state;
  json_t *params = settled(find("mixture"), "{\"strategies\": [\"random\", \"margin\"], \"shares\": [9, 1]}");
  assert_int_equal(al_strategy_check_batch(find("mixture"), params, 1, "here"), AL_BAD_INPUT);
  assert_non_null(strstr(al_message(), "a batch of 1 the mixture gives margin no pick; a batch of 6 does"));
  assert_int_equal(al_strategy_check_batch(find("mixture"), params, 4, "here"), AL_BAD_INPUT);
  assert_int_equal(al_strategy_check_batch(find("mixture"), params, 10, "here"), AL_OK);
  json_decref(params);
  params =
      settled(find("schedule"), "{\"first\": \"random\", \"until\": 9, \"then\": {\"name\": \"mixture\", \"params\": "
                                "{\"strategies\": [\"random\", \"margin\"]}}}");
  assert_int_equal(al_strategy_check_batch(find("schedule"), params, 1, "here"), AL_BAD_INPUT);
  assert_int_equal(al_strategy_check_batch(find("schedule"), params, 2, "here"), AL_OK);
  json_decref(params);
  params = settled(find("subsample"), "{\"strategy\": \"margin\", \"size\": 20}");
  assert_int_equal(al_strategy_check_batch(find("subsample"), params, 21, "here"), AL_BAD_INPUT);
  assert_int_equal(al_strategy_check_batch(find("subsample"), params, 20, "here"), AL_OK);
  json_decref(params);
  params = settled(find("albl"), "{\"strategies\": [\"random\", \"margin\"]}");
  assert_int_equal(al_strategy_check_batch(find("albl"), params, 2501, "here"), AL_BAD_INPUT);
  assert_int_equal(al_strategy_check_batch(find("albl"), params, 1, "here"), AL_OK);
  json_decref(params);
}

/* albl's largest batch fits a round line, whatever the digits; a state of other sub-strategies is refused. */
static void states(void **state) {
  (void)state;
  enum { N = 2500 };
  static float probs[N * 3], probs_labelled[3] = {0.2F, 0.3F, 0.5F};
  static int32_t pos[N], labels[1], rows[1];
  static double scores[N];
  al_rng rng = al_rng_open(&(al_stream_key){.seed = 8, .purpose = "test", .dataset = "states"});
  for (size_t i = 0; i < N; i++) {
    double a = al_rng_uniform(&rng) / 2.0, b = al_rng_uniform(&rng) / 2.0;
    probs[i * 3] = (float)a;
    probs[i * 3 + 1] = (float)b;
    probs[i * 3 + 2] = (float)(1.0 - a - b);
  }
  al_query query = {
      .pool = N, .labelled = 1, .classes = 3, .batch = N, .probs = probs, .probs_labelled = probs_labelled};
  query.labels = labels;
  query.rows_labelled = rows;
  query.rng = rng;
  json_t *params = settled(find("albl"), "{\"strategies\": [\"random\", \"margin\", \"entropy\"]}");
  al_picks picks = {.pos = pos, .scores = scores};
  assert_int_equal(al_strategy_select(find("albl"), &query, params, &picks), AL_OK);
  free(picks.note);
  json_decref(params);
  params = settled(find("albl"), "{\"strategies\": [\"random\", \"margin\"]}");
  query.state = picks.state;
  al_picks again = {.pos = pos, .scores = scores};
  assert_int_equal(al_strategy_select(find("albl"), &query, params, &again), AL_BAD_INPUT);
  assert_non_null(strstr(al_message(), "not of these sub-strategies"));
  free(again.note);
  json_decref(again.state);
  json_decref(picks.state);
  json_decref(params);
}

/* Defaults are filled in for the log and left out of hashes, however they were written. */
static void parameters_in_full(void **state) {
  (void)state;
  const al_strategy *s = find("mixture");
  json_t *a = settled(s, "{\"strategies\": [\"random\", \"badge\"]}");
  json_t *b = settled(s, "{\"strategies\": [{\"name\": \"random\"}, {\"name\": \"badge\", \"params\": {\"first\": "
                         "\"uniform\"}}], \"shares\": []}");
  json_t *c = settled(s, "{\"strategies\": [\"random\", {\"name\": \"badge\", \"params\": {\"first\": \"largest\"}}]}");
  assert_true(json_equal(a, b));
  assert_false(json_equal(a, c));
  const json_t *badge = json_object_get(json_array_get(json_object_get(a, "strategies"), 1), "params");
  assert_string_equal(json_string_value(json_object_get(badge, "first")), "uniform");
  json_t *lean = NULL, *wanted = json_loads("{\"strategies\": [{\"name\": \"random\", \"params\": {}}, {\"name\": "
                                            "\"badge\", \"params\": {}}]}",
                                            0, NULL);
  assert_int_equal(al_strategy_nondefault(&lean, s, b), AL_OK);
  assert_true(json_equal(lean, wanted));
  json_decref(a);
  json_decref(b);
  json_decref(c);
  json_decref(lean);
  json_decref(wanted);
}

/* oracle-error inside another is let through the same door, and marked. */
static void oracle_is_marked(void **state) {
  (void)state;
  static input x;
  answer a, b;
  static const char options[] = "{\"first\": \"oracle-error\", \"then\": \"random\", \"until\": 1000}";
  make_input(&x, 2, false);
  json_t *params = settled(find("schedule"), options);
  assert_true((find("schedule")->needs(params) & AL_NEED_ORACLE) != 0);
  json_decref(params);
  assert_int_equal(ask(find("schedule"), &x.query, options, &a), AL_OK);
  assert_int_equal(ask(find("oracle-error"), &x.query, "{}", &b), AL_OK);
  assert_true(same_picks(&a, &b));
  assert_non_null(strstr(a.picks.note, "UPPER-BOUND REFERENCE"));
  forget(&a);
  forget(&b);
  x.query.truth = NULL;
  assert_int_equal(ask(find("schedule"), &x.query, options, &a), AL_BAD_INPUT);
  forget(&a);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(schedule),
      cmocka_unit_test(largest_remainder),
      cmocka_unit_test(mixture),
      cmocka_unit_test(streams_of_children),
      cmocka_unit_test(seals),
      cmocka_unit_test(seals_at_size),
      cmocka_unit_test(anchors),
      cmocka_unit_test(part_at_random),
      cmocka_unit_test(every_strategy_on_a_part),
      cmocka_unit_test(albl_by_the_paper),
      cmocka_unit_test(bandit_by_the_paper),
      cmocka_unit_test(adapts),
      cmocka_unit_test(refused),
      cmocka_unit_test(batches),
      cmocka_unit_test(states),
      cmocka_unit_test(parameters_in_full),
      cmocka_unit_test(oracle_is_marked),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
