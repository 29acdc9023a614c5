/* batch-bald, qbc, expected-error-reduction, bait against references written from the papers' formulas: the joint
 * mutual information over every configuration of a batch's answers, the Fisher information as a matrix that is
 * inverted. */
#include "strategy_fixture.h"

#include "base/memory.h"

/* ---- batch-bald ---- */

static double p_of(const input *x, size_t pass, int32_t i, size_t c) {
  return (double)x->mc[(pass * x->n + (size_t)i) * x->c + c];
}

/* H(y_1, .., y_m) by every configuration, m items: sum over passes of the product of their probabilities. */
static double joint_entropy(const input *x, const int32_t *items, size_t m) {
  size_t choice[MOST_N] = {0};
  double entropy = 0.0;
  for (;;) {
    double p = 0.0;
    for (size_t t = 0; t < x->passes; t++) {
      double product = 1.0 / (double)x->passes;
      for (size_t i = 0; i < m; i++) product *= p_of(x, t, items[i], choice[i]);
      p += product;
    }
    if (p > 0.0) entropy -= p * log(p);
    size_t at = 0;
    while (at < m && ++choice[at] == x->c) choice[at++] = 0;
    if (at == m) return entropy;
  }
}

/* Kirsch et al., equation 8: I(y_1..m; w) = H(y_1..m) - E_w sum_i H(y_i | w). */
static double joint_information(const input *x, const int32_t *items, size_t m) {
  double sum = joint_entropy(x, items, m);
  for (size_t i = 0; i < m; i++)
    for (size_t t = 0; t < x->passes; t++)
      for (size_t c = 0; c < x->c; c++) {
        double p = p_of(x, t, items[i], c);
        if (p > 0.0) sum += p * log(p) / (double)x->passes;
      }
  return sum;
}

static void batch_bald(void **state) {
  (void)state;
  size_t deep = 0;
  for (unsigned which = 0; which < INPUTS; which++) {
    static input x;
    make_input(&x, which, false);
    if (x.k > 6) x.query.batch = 6;
    answer a;
    assert_int_equal(ask(find("batch-bald"), &x.query, "{}", &a), AL_OK);
    bool taken[MOST_N] = {false};
    size_t possible = x.c; /* C^(m + 1) */
    for (size_t m = 0; m < a.picks.count && possible <= 1300; m++, possible *= x.c) {
      int32_t items[MOST_N];
      double u[MOST_N], entropy;
      memcpy(items, a.pos, m * sizeof *items);
      items[m] = a.pos[m];
      entropy = 0.01 + joint_entropy(&x, items, m + 1); /* 0 where all is saturated */
      for (size_t i = 0; i < x.n; i++) {
        items[m] = (int32_t)i;
        u[i] = joint_information(&x, items, m + 1);
      }
      assert_float_equal(a.scores[m], u[a.pos[m]], 1e-6); /* rows of float32 sum to 1 within 1e-7 */
      for (size_t i = 0; i < x.n; i++) u[i] += entropy;   /* the largest term, which judge goes by; no order changes */
      judge("batch-bald", which, x.n, u, taken, a.pos[m]);
      taken[a.pos[m]] = true;
      deep += m >= 3;
    }
    forget(&a);
  }
  assert_true(deep > 50);
}

/* On exact arithmetic ties go to the lower position, also where lazy evaluation meets them late. */
static void batch_bald_ties(void **state) {
  (void)state;
  /* two passes; items 0 and 3 say the same, 1 and 2 the opposite; 4 nothing */
  float mc[2 * 5 * 2] = {1, 0, 0, 1, 0, 1, 1, 0, 0.5F, 0.5F, 0, 1, 1, 0, 1, 0, 0, 1, 0.5F, 0.5F};
  al_query query = {.pool = 5, .classes = 2, .batch = 5, .mc = mc, .passes = 2};
  answer a;
  assert_int_equal(ask(find("batch-bald"), &query, "{}", &a), AL_OK);
  const int32_t wanted[5] = {0, 1, 2, 3, 4}; /* all is known after the first */
  assert_memory_equal(a.pos, wanted, sizeof wanted);
  for (size_t i = 0; i < 5; i++) assert_float_equal(a.scores[i], log(2.0), 1e-15);
  forget(&a);
}

/* The mean and standard deviation, over configurations of the picks, of the bald score of `item` under the passes'
 * posterior weights: what a sampled gain estimates, and how well. */
static void exact_gain(const input *x, const int32_t *picks, size_t m, int32_t item, double *mean, double *sd) {
  size_t choice[MOST_N] = {0};
  double sum = 0.0, squares = 0.0;
  for (;;) {
    double weight[MOST_P], p = 0.0, bald = 0.0;
    for (size_t t = 0; t < x->passes; t++) {
      weight[t] = 1.0 / (double)x->passes;
      for (size_t i = 0; i < m; i++) weight[t] *= p_of(x, t, picks[i], choice[i]);
      p += weight[t];
    }
    for (size_t c = 0; p > 0.0 && c < x->c; c++) {
      double mixed = 0.0;
      for (size_t t = 0; t < x->passes; t++) {
        double q = p_of(x, t, item, c);
        mixed += weight[t] / p * q;
        if (q > 0.0) bald += weight[t] / p * q * log(q);
      }
      if (mixed > 0.0) bald -= mixed * log(mixed);
    }
    sum += p * bald;
    squares += p * bald * bald;
    size_t at = 0;
    while (at < m && ++choice[at] == x->c) choice[at++] = 0;
    if (at == m) break;
  }
  *mean = sum;
  *sd = sqrt(fmax(0.0, squares - sum * sum));
}

/* With 4 classes and 300 configurations four picks are exact (4^4 = 256) and a fifth; the sixth and seventh are
 * sampled. Each sampled gain lies within its sampling error of the exact one, the pick's exact gain within twice that
 * of the best; and over seeds the error averages out. */
static void batch_bald_sampled(void **state) {
  (void)state;
  enum { N = 14, C = 4, T = 6, K = 7, SEEDS = 60, SAMPLES = 300 };
  static input x;
  x.n = N;
  x.c = C;
  x.passes = T;
  double off = 0.0, allowed = 0.0;
  size_t informative = 0;
  for (unsigned seed = 0; seed < SEEDS; seed++) {
    al_rng rng = al_rng_open(&(al_stream_key){.seed = seed, .purpose = "test", .dataset = "batch-bald"});
    for (size_t t = 0; t < T; t++)
      for (size_t i = 0; i < N; i++) {
        double raw[C], sum = 0.0;
        for (size_t c = 0; c < C; c++) sum += raw[c] = exp(0.6 * al_rng_normal(&rng));
        for (size_t c = 0; c < C; c++) x.mc[(t * N + i) * C + c] = (float)(raw[c] / sum);
      }
    al_query query = {.pool = N, .classes = C, .batch = K, .mc = x.mc, .passes = T, .rng = rng};
    answer a;
    assert_int_equal(ask(find("batch-bald"), &query, "{\"configurations\": 300}", &a), AL_OK);
    for (size_t m = 5; m < K; m++) {
      double mean, sd, best = 0.0;
      for (int32_t i = 0; i < N; i++) {
        bool out = false;
        for (size_t j = 0; j < m; j++) out |= a.pos[j] == i;
        exact_gain(&x, a.pos, m, i, &mean, &sd);
        if (!out) best = fmax(best, mean);
      }
      exact_gain(&x, a.pos, m, a.pos[m], &mean, &sd);
      double error = sd / sqrt((double)SAMPLES), gain = a.scores[m] - a.scores[m - 1];
      assert_true(fabs(gain - mean) < 5.0 * error + 1e-6);
      assert_true(mean > best - 10.0 * error);
      off += gain - mean;
      allowed += error * error;
      informative += mean > 10.0 * error;
    }
    forget(&a);
  }
  assert_true(informative > SEEDS); /* the test can fail */
  /* a pick's gain is the largest of its rivals', so a little of its error stays: half an error a pick */
  assert_true(fabs(off) < 5.0 * sqrt(allowed) + 0.5 * sqrt(2.0 * SEEDS * allowed));
}

/* Enough configurations to sample from, and as many as there are: the estimate converges on the joint mutual
 * information of the batch. */
static void batch_bald_converges(void **state) {
  (void)state;
  for (unsigned which = 5; which < INPUTS; which += 40) {
    static input x;
    make_input(&x, which, false);
    if (x.n < 8 || x.c < 3) continue;
    x.query.batch = 4;
    answer a;
    assert_int_equal(ask(find("batch-bald"), &x.query, "{\"configurations\": 2}", &a), AL_OK);
    forget(&a);
    assert_int_equal(ask(find("batch-bald"), &x.query, "{\"configurations\": 10000}", &a), AL_OK);
    double exact = joint_information(&x, a.pos, 4);
    assert_float_equal(a.scores[3], exact, 1e-6);
    forget(&a);
  }
}

/* ---- qbc ---- */

static double disagreement(const float *probs, size_t members, size_t n, size_t classes, size_t i, int by) {
  double mean[MOST_C] = {0}, votes[MOST_C] = {0}, sum = 0.0;
  for (size_t t = 0; t < members; t++) {
    const float *p = probs + (t * n + i) * classes;
    votes[argmax(p, classes)] += 1.0;
    for (size_t c = 0; c < classes; c++) mean[c] += (double)p[c] / (double)members;
  }
  if (by == 1) {
    for (size_t t = 0; t < members; t++)
      for (size_t c = 0; c < classes; c++) {
        double p = (double)probs[(t * n + i) * classes + c];
        sum += p * log(fmax(p, 1e-12) / fmax(mean[c], 1e-12)) / (double)members;
      }
    return sum;
  }
  for (size_t c = 0; c < classes; c++) {
    double share = by == 0 ? votes[c] / (double)members : mean[c];
    if (share > 0.0) sum -= share * log(share);
  }
  return sum;
}

static const char *const measures[] = {"vote-entropy", "kl", "consensus-entropy"};

static void query_by_committee(void **state) {
  (void)state;
  for (unsigned which = 0; which < INPUTS; which++) {
    static input x;
    make_input(&x, which, false);
    for (int by = 0; by < 3; by++) {
      answer a;
      char options[80];
      double u[MOST_N];
      snprintf(options, sizeof options, "{\"by\": \"%s\"}", measures[by]);
      assert_int_equal(ask(find("qbc"), &x.query, options, &a), AL_OK);
      for (size_t i = 0; i < x.n; i++) u[i] = disagreement(x.mc, x.passes, x.n, x.c, i, by);
      judge_static("qbc", which, &x, &a, u);
      for (size_t i = 0; i < a.picks.count; i++) assert_float_equal(a.scores[i], fmax(0.0, u[a.pos[i]]), 1e-9);
      /* other names for the same things */
      if (by != 0) {
        answer b;
        assert_int_equal(ask(find(by == 1 ? "bald" : "mc-entropy"), &x.query, "{}", &b), AL_OK);
        for (size_t i = 0; i < b.picks.count; i++) assert_float_equal(b.scores[i], fmax(0.0, u[b.pos[i]]), 1e-6);
        for (size_t i = 0; by == 2 && i < b.picks.count; i++) assert_int_equal(a.pos[i], b.pos[i]);
        judge_static("bald is qbc by kl", which, &x, &b, u);
        forget(&b);
      }
      forget(&a);
    }
  }
}

/* Members refitted on stratified samples of L: as many items of each class as L has. */
static al_status counting_fit(void *context, const int32_t *labelled, size_t n, float *probs) {
  const input *x = context;
  size_t own[MOST_C] = {0}, drawn[MOST_C] = {0};
  assert_int_equal(n, x->m);
  for (size_t i = 0; i < n; i++) {
    own[x->labels[i]]++;
    drawn[x->labels[labelled[i]]]++;
  }
  assert_memory_equal(own, drawn, sizeof own);
  return plain_fit_labelled(context, labelled, n, probs);
}

static void bootstrap_committee(void **state) {
  (void)state;
  size_t distinct = 0;
  for (unsigned which = 0; which < INPUTS; which++) {
    static input x;
    make_input(&x, which, false);
    if (x.m == 0) continue;
    x.refit.fit_labelled = counting_fit;
    static float probs[8 * MOST_N * MOST_C];
    for (size_t t = 0; t < 8; t++) { /* the same draws: a child stream a member, class by class */
      al_rng rng = al_rng_child(&x.query.rng, t);
      int32_t sample[MOST_L];
      size_t at = 0;
      for (size_t c = 0; c < x.c; c++) {
        int32_t own[MOST_L];
        size_t size = 0;
        for (size_t j = 0; j < x.m; j++)
          if ((size_t)x.labels[j] == c) own[size++] = (int32_t)j;
        for (size_t j = 0; j < size; j++) sample[at++] = own[al_rng_below(&rng, size)];
      }
      for (size_t j = 1; j < at; j++) distinct += sample[j] != sample[j - 1] + 1;
      assert_int_equal(plain_fit_labelled(&x, sample, x.m, probs + t * x.n * x.c), AL_OK);
    }
    for (int by = 0; by < 3; by++) {
      answer a, b;
      char options[120];
      double u[MOST_N];
      snprintf(options, sizeof options, "{\"by\": \"%s\", \"committee\": \"bootstrap\", \"members\": 8}", measures[by]);
      assert_int_equal(ask(find("qbc"), &x.query, options, &a), AL_OK);
      for (size_t i = 0; i < x.n; i++) u[i] = disagreement(probs, 8, x.n, x.c, i, by);
      judge_static("qbc of refits", which, &x, &a, u);
      al_query without = x.query; /* no passes: refits unasked */
      without.mc = NULL;
      snprintf(options, sizeof options, "{\"by\": \"%s\", \"members\": 8}", measures[by]);
      assert_int_equal(ask(find("qbc"), &without, options, &b), AL_OK);
      assert_memory_equal(a.pos, b.pos, a.picks.count * sizeof *a.pos);
      forget(&a);
      forget(&b);
    }
  }
  assert_true(distinct > 1000);
}

static void committee_refused(void **state) {
  (void)state;
  static input x;
  answer a;
  make_input(&x, 2, false);
  x.query.mc = NULL;
  assert_int_equal(ask(find("qbc"), &x.query, "{\"committee\": \"passes\"}", &a), AL_BAD_INPUT);
  assert_non_null(strstr(al_message(), "stochastic passes"));
  x.query.refit = NULL;
  assert_int_equal(ask(find("qbc"), &x.query, "{}", &a), AL_BAD_INPUT);
  assert_non_null(strstr(al_message(), "refit"));
  make_input(&x, 2, false);
  x.mc[1] = NAN;
  assert_int_equal(ask(find("qbc"), &x.query, "{}", &a), AL_BAD_INPUT);
  make_input(&x, 2, false);
  x.mc[1] = NAN;
  assert_int_equal(ask(find("batch-bald"), &x.query, "{}", &a), AL_BAD_INPUT);
  make_input(&x, 13, false); /* nothing labelled */
  x.query.mc = NULL;
  assert_int_equal(ask(find("qbc"), &x.query, "{}", &a), AL_BAD_INPUT);
}

/* ---- expected-error-reduction ---- */

/* Each refit by itself, the loss as Roy and McCallum write it. */
static void expected_error(void **state) {
  (void)state;
  for (unsigned which = 0; which < INPUTS; which++) {
    static input x;
    make_input(&x, which, false);
    if (x.m == 0) continue;
    if (x.k > 4) x.query.batch = 4;
    bool zero_one = which % 2 == 1;
    size_t tried = which % 4 < 2 ? 50 : 5, evaluated = which % 3 == 0 ? 7 : 1000;
    tried = tried < x.query.batch ? x.query.batch : tried > x.n ? x.n : tried;
    evaluated = evaluated < x.n ? evaluated : x.n;
    answer a;
    char options[120];
    snprintf(options, sizeof options, "{\"loss\": \"%s\", \"candidates\": %zu, \"evaluate\": %zu, \"steps\": 1}",
             zero_one ? "zero-one" : "log", which % 4 < 2 ? 0 : tried, evaluated);
    assert_int_equal(ask(find("expected-error-reduction"), &x.query, options, &a), AL_OK);
    int32_t candidates[MOST_N], targets[MOST_N];
    double u[MOST_N];
    bool out[MOST_N];
    for (size_t i = 0; i < x.n; i++) {
      candidates[i] = targets[i] = (int32_t)i;
      out[i] = true;
      u[i] = 0.0;
    }
    al_rng first = al_rng_child(&x.query.rng, 0), second = al_rng_child(&x.query.rng, 1);
    al_rng_sample(&first, candidates, x.n, tried);
    al_rng_sample(&second, targets, x.n, evaluated);
    for (size_t i = 0; i < tried; i++) {
      int32_t pos = candidates[i];
      double loss = 0.0, weight = 0.0;
      out[pos] = false;
      for (int32_t y = 0; y < (int32_t)x.c; y++) {
        static float probs[MOST_N * MOST_C];
        double p = (double)x.probs[(size_t)pos * x.c + (size_t)y], of_y = 0.0;
        assert_int_equal(plain_fit_extra(&x, pos, &y, 1, 1, targets, evaluated, probs), AL_OK);
        for (size_t t = 0; t < evaluated; t++) {
          double entropy = 0.0, most = 0.0;
          for (size_t c = 0; c < x.c; c++) {
            double q = (double)probs[t * x.c + c];
            if (q > 0.0) entropy -= q * log(q);
            most = fmax(most, q);
          }
          of_y += (zero_one ? 1.0 - most : entropy) / (double)evaluated;
        }
        loss += p * of_y;
        weight += p;
      }
      u[pos] = fmax(0.0, (zero_one ? 1.0 : log((double)x.c)) - loss / weight);
    }
    for (size_t i = 0; i < a.picks.count; i++) {
      assert_false(out[a.pos[i]]);
      judge("expected-error-reduction", which, x.n, u, out, a.pos[i]);
      assert_float_equal(a.scores[i], u[a.pos[i]], 1e-9);
      out[a.pos[i]] = true;
    }
    forget(&a);
  }
}

/* ---- bait ---- */

enum { MOST_SIZE = 30 };
typedef double matrix[MOST_SIZE][MOST_SIZE];

/* m += scale (diag p - p p^T) kron h h^T */
static void add_information(const input *x, const float *probs, const float *h, double scale, matrix m) {
  double total = 0.0;
  for (size_t c = 0; c < x->c; c++) total += (double)probs[c];
  for (size_t a = 0; a < x->c; a++)
    for (size_t b = 0; b < x->c; b++) {
      double pa = (double)probs[a] / total, pb = (double)probs[b] / total;
      for (size_t i = 0; i < x->d; i++)
        for (size_t j = 0; j < x->d; j++)
          m[a * x->d + i][b * x->d + j] += scale * ((a == b ? pa : 0.0) - pa * pb) * (double)h[i] * (double)h[j];
    }
}

/* tr(m^-1 f) by elimination with pivoting */
static double trace_of(const matrix m, const matrix f, size_t size) {
  double work[MOST_SIZE][2 * MOST_SIZE], sum = 0.0;
  for (size_t i = 0; i < size; i++)
    for (size_t j = 0; j < size; j++) {
      work[i][j] = m[i][j];
      work[i][size + j] = f[i][j];
    }
  for (size_t a = 0; a < size; a++) {
    size_t best = a;
    for (size_t i = a + 1; i < size; i++)
      if (fabs(work[i][a]) > fabs(work[best][a])) best = i;
    for (size_t j = 0; j < 2 * size; j++) {
      double keep = work[a][j];
      work[a][j] = work[best][j];
      work[best][j] = keep;
    }
    for (size_t i = 0; i < size; i++) {
      if (i == a) continue;
      double factor = work[i][a] / work[a][a];
      for (size_t j = a; j < 2 * size; j++) work[i][j] -= factor * work[a][j];
    }
  }
  for (size_t i = 0; i < size; i++) sum += work[i][size + i] / work[i][i];
  return sum;
}

/* Forward picks and removals, with every trace from a matrix inverted anew. Only the survivors are printed: where the
 * next of them is as good as the best, it is the pick; where an item that did not survive is as good to remove as the
 * best, it goes. The survivors must be what is left. */
static void bait(void **state) {
  (void)state;
  size_t compared = 0, removed = 0;
  for (unsigned which = 0; which < INPUTS; which++) {
    static input x;
    static matrix f, m, with;
    make_input(&x, which, false);
    size_t size = x.c * x.d;
    if (size > MOST_SIZE) continue;
    if (x.k > 5) x.query.batch = 5;
    if (which % 3 == 1 && x.n <= 12) x.query.batch = x.n;
    answer a;
    double lambda = which % 2 == 0 ? 1.0 : 0.3;
    assert_int_equal(ask(find("bait"), &x.query, which % 2 == 0 ? "{}" : "{\"lambda\": 0.3}", &a), AL_OK);
    memset(f, 0, sizeof f);
    memset(m, 0, sizeof m);
    for (size_t i = 0; i < size; i++) m[i][i] = lambda;
    for (size_t i = 0; i < x.n; i++) add_information(&x, x.probs + i * x.c, x.h + i * x.d, 1.0 / (double)x.n, f);
    for (size_t i = 0; i < x.m; i++) add_information(&x, x.probs_l + i * x.c, x.hl + i * x.d, 1.0 / (double)x.m, m);
    size_t k = a.picks.count, most = 2 * k < x.n ? 2 * k : x.n, survivors = 0, left = most;
    int32_t forward[MOST_N];
    bool taken[MOST_N] = {false}, survives[MOST_N] = {false};
    for (size_t i = 0; i < k; i++) survives[a.pos[i]] = true;
    for (size_t n = 0; n < most; n++) {
      double u[MOST_N], now = trace_of(m, f, size), best = 0.0, range = INFINITY;
      size_t pick = x.n;
      for (size_t i = 0; i < x.n; i++) {
        if (taken[i]) continue;
        memcpy(with, m, sizeof m);
        add_information(&x, x.probs + i * x.c, x.h + i * x.d, 1.0, with);
        u[i] = now - trace_of(with, f, size);
        if (pick == x.n || u[i] > best) {
          pick = i;
          best = u[i];
        }
        range = fmin(range, u[i]);
      }
      double allowed = 1e-5 * (best - range) + 1e-6 * now + 1e-13;
      if (survivors < k && u[a.pos[survivors]] >= best - allowed) {
        pick = (size_t)a.pos[survivors];
        assert_float_equal(a.scores[survivors], u[pick], 1e-6 * now + 1e-12);
        survivors++;
      } else if (survives[pick]) {
        for (size_t i = 0; i < x.n; i++) /* a tie: what the fast version took instead was removed later */
          if (!taken[i] && !survives[i] && u[i] >= best - allowed) pick = i;
      }
      assert_false(survives[pick] && (survivors == 0 || a.pos[survivors - 1] != (int32_t)pick));
      forward[n] = (int32_t)pick;
      taken[pick] = true;
      add_information(&x, x.probs + pick * x.c, x.h + pick * x.d, 1.0, m);
    }
    assert_int_equal(survivors, k);
    for (; left > k; left--) {
      double u[MOST_N], now = trace_of(m, f, size), least = INFINITY, most_raised = 0.0;
      size_t gone = left;
      for (size_t i = 0; i < left; i++) {
        memcpy(with, m, sizeof m);
        add_information(&x, x.probs + (size_t)forward[i] * x.c, x.h + (size_t)forward[i] * x.d, -1.0, with);
        u[i] = trace_of(with, f, size) - now;
        least = fmin(least, u[i]);
        most_raised = fmax(most_raised, u[i]);
      }
      double allowed = 1e-5 * (most_raised - least) + 1e-6 * now + 1e-13;
      for (size_t i = 0; i < left; i++)
        if (!survives[forward[i]] && (gone == left || u[i] < u[gone])) gone = i;
      if (!(u[gone] <= least + allowed)) {
        print_error("bait, input %u: removing %d raises the trace by %.9g, another by %.9g\n", which, forward[gone],
                    u[gone], least);
        fail();
      }
      add_information(&x, x.probs + (size_t)forward[gone] * x.c, x.h + (size_t)forward[gone] * x.d, -1.0, m);
      memmove(forward + gone, forward + gone + 1, (left - gone - 1) * sizeof *forward);
      removed++;
    }
    compared++;
    forget(&a);
  }
  print_message("bait: %zu inputs, %zu removals\n", compared, removed);
  assert_true(compared > 60 && removed > 100);
}

/* ---- dims ---- */

/* badge and bait with dims are badge and bait on rows projected beforehand, entry by entry, from the same draws. */
static void projected(void **state) {
  (void)state;
  static const char *const names[] = {"badge", "bait"};
  size_t compared = 0;
  for (unsigned which = 3; which < INPUTS; which += 4) { /* no ties */
    static input x, y;
    enum { DIMS = 4 };
    make_input(&x, which, which % 8 == 3);
    make_input(&y, which, false);
    al_rng rng = al_rng_child(&x.query.rng, 1);
    double map[MOST_D][DIMS];
    for (size_t i = 0; i < x.d; i++)
      for (size_t j = 0; j < DIMS; j++) map[i][j] = al_rng_normal(&rng) / 2.0; /* sqrt(4) */
    for (size_t side = 0; side < 2; side++)
      for (size_t i = 0; i < (side == 0 ? x.n : x.m); i++)
        for (size_t j = 0; j < DIMS; j++) {
          double sum = 0.0;
          const float *row = (side == 0 ? x.h : x.hl) + i * x.d;
          for (size_t k = 0; k < x.d; k++) sum += (double)row[k] * map[k][j];
          (side == 0 ? y.h : y.hl)[i * DIMS + j] = (float)sum;
        }
    y.query.h_pool = al_view_dense(y.h, y.n, DIMS);
    y.query.h_labelled = al_view_dense(y.hl, y.m, DIMS);
    x.query.batch = y.query.batch = x.k < 6 ? x.k : 6;
    for (size_t s = 0; s < 2; s++) {
      answer a, b;
      assert_int_equal(ask(find(names[s]), &x.query, "{\"dims\": 4}", &a), AL_OK);
      assert_int_equal(ask(find(names[s]), &y.query, "{}", &b), AL_OK);
      assert_null(a.picks.note);
      for (size_t i = 0; i < b.picks.count; i++) {
        assert_int_equal(a.pos[i], b.pos[i]);
        assert_float_equal(a.scores[i], b.scores[i], 1e-5 * (1.0 + fabs(b.scores[i])));
        compared++;
      }
      forget(&a);
      forget(&b);
    }
  }
  assert_true(compared > 200);
}

static void bait_refused(void **state) {
  (void)state;
  enum { D = 1600 };
  static input x;
  static float wide[MOST_N * D];
  answer a;
  make_input(&x, 9, false);
  assert_true(x.c >= 4);
  al_query query = x.query;
  query.h_pool = al_view_dense(wide, x.n, D);
  query.h_labelled = al_view_dense(wide, x.m, D);
  assert_int_equal(ask(find("bait"), &query, "{}", &a), AL_BAD_INPUT);
  assert_non_null(strstr(al_message(), "dims"));
  assert_int_equal(ask(find("bait"), &query, "{\"dims\": 5}", &a), AL_OK);
  forget(&a);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(batch_bald),
      cmocka_unit_test(batch_bald_ties),
      cmocka_unit_test(batch_bald_sampled),
      cmocka_unit_test(batch_bald_converges),
      cmocka_unit_test(query_by_committee),
      cmocka_unit_test(bootstrap_committee),
      cmocka_unit_test(committee_refused),
      cmocka_unit_test(expected_error),
      cmocka_unit_test(bait),
      cmocka_unit_test(projected),
      cmocka_unit_test(bait_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
