/* density, herding and cal against naive double-precision references written from the papers' formulas, judged as
 * STRATEGIES.md says; herding's greedy choice against brute force over the MMD; and guards against what other
 * implementations got wrong: a density that prefers outliers, contrastive neighbours searched among all rows, the point
 * itself included. */
#include "strategy_fixture.h"

/* ---- density ---- */

static void density(void **state) {
  (void)state;
  static const char *const options[] = {"{}", "{\"beta\": 2.5}", "{\"beta\": 0}"};
  static const double betas[] = {1.0, 2.5, 0.0};
  for (unsigned which = 0; which < INPUTS; which++) {
    static input x;
    make_input(&x, which, which % 2 == 1);
    for (size_t b = 0; b < 3; b++) {
      answer a;
      double u[MOST_N];
      assert_int_equal(ask(find("density"), &x.query, options[b], &a), AL_OK);
      for (size_t i = 0; i < x.n; i++) {
        double entropy = 0.0, mean = 0.0;
        for (size_t c = 0; c < x.c; c++) {
          double p = (double)x.probs[i * x.c + c];
          if (p > 0.0) entropy -= p * log(p);
        }
        for (size_t j = 0; j < x.n; j++) mean += (1.0 + cosine(x.h + i * x.d, x.h + j * x.d, x.d)) / 2.0 / (double)x.n;
        u[i] = entropy * pow(mean, betas[b]);
      }
      judge_static("density", which, &x, &a, u);
      for (size_t i = 0; i < a.picks.count; i++) assert_float_equal(a.scores[i], fmax(0.0, u[a.pos[i]]), 1e-6);
      forget(&a);
    }
  }
}

/* Of equally uncertain items the one among many others comes first, the one apart from all last. */
static void density_passes_over_outliers(void **state) {
  (void)state;
  float h[6 * 2] = {-1.0F, 0.1F, 1.0F, 0.0F, 0.9F, 0.1F, 0.95F, 0.05F, 0.5F, 0.8F, 1.0F, 0.1F}, probs[6 * 2];
  for (size_t i = 0; i < 12; i++) probs[i] = 0.5F;
  al_query query = {.pool = 6, .classes = 2, .batch = 6, .probs = probs, .h_pool = al_view_dense(h, 6, 2)};
  answer a;
  assert_int_equal(ask(find("density"), &query, "{}", &a), AL_OK);
  assert_int_equal(a.pos[5], 0);
  assert_int_equal(a.pos[4], 4);
  for (size_t i = 1; i < 6; i++) assert_true(a.scores[i] <= a.scores[i - 1]);
  forget(&a);
}

/* ---- herding ---- */

enum { COSINES = 512, PAIRS = 1000 };

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* The features, from the draws that herding documents. rows: n x d; out: n x 512; width: from `all`, m x d. */
static void random_features(const al_query *query, const float *all, size_t m, const float *rows, size_t n, size_t d,
                            double *out) {
  static double w[MOST_D][COSINES], b[COSINES], between[PAIRS];
  al_rng pairs = al_rng_child(&query->cell_rng, 1), rng = al_rng_child(&query->cell_rng, 2);
  double width = 1.0;
  for (size_t p = 0; m > 1 && p < PAIRS; p++) {
    size_t i = (size_t)al_rng_below(&pairs, m), j = (size_t)al_rng_below(&pairs, m - 1);
    if (j >= i) j++;
    between[p] = distance(all + i * d, all + j * d, d);
  }
  if (m > 1) {
    qsort(between, PAIRS, sizeof *between, ascending);
    width = 0.5 * (between[499] + between[500]);
    if (width == 0.0) width = 1.0;
  }
  for (size_t c = 0; c < d; c++)
    for (size_t j = 0; j < COSINES; j++) w[c][j] = al_rng_normal(&rng);
  for (size_t j = 0; j < COSINES; j++) b[j] = 2.0 * acos(-1.0) * al_rng_uniform(&rng);
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < COSINES; j++) {
      double angle = b[j];
      for (size_t c = 0; c < d; c++) angle += w[c][j] / width * (double)rows[i * d + c];
      out[i * COSINES + j] = sqrt(2.0 / COSINES) * cos(angle);
    }
}

static double inner(const double *x, const double *y) {
  double sum = 0.0;
  for (size_t j = 0; j < COSINES; j++) sum += x[j] * y[j];
  return sum;
}

static void herding(void **state) {
  (void)state;
  static double phi[MOST_N * COSINES], phi_l[MOST_L * COSINES];
  for (unsigned which = 0; which < INPUTS; which++) {
    static input x;
    bool embedding = which % 3 == 2;
    make_input(&x, which, which % 2 == 1);
    answer a;
    assert_int_equal(ask(find("herding"), &x.query, embedding ? "{\"space\": \"embedding\"}" : "{}", &a), AL_OK);
    if (embedding) {
      random_features(&x.query, x.h, x.n, x.h, x.n, x.d, phi);
      random_features(&x.query, x.h, x.n, x.hl, x.m, x.d, phi_l);
    } else {
      random_features(&x.query, x.fa, x.n + x.m, x.f, x.n, x.fd, phi);
      random_features(&x.query, x.fa, x.n + x.m, x.fl, x.m, x.fd, phi_l);
    }
    bool taken[MOST_N] = {false};
    double u[MOST_N], mu[MOST_N] = {0}, against[MOST_N] = {0};
    for (size_t i = 0; i < x.n; i++) {
      for (size_t j = 0; j < x.n; j++) mu[i] += inner(phi + i * COSINES, phi + j * COSINES) / (double)x.n;
      for (size_t j = 0; j < x.m; j++) against[i] += inner(phi + i * COSINES, phi_l + j * COSINES);
    }
    for (size_t n = 0; n < a.picks.count; n++) {
      for (size_t i = 0; i < x.n; i++) u[i] = mu[i] - against[i] / (double)(x.m + n + 1);
      judge("herding", which, x.n, u, taken, a.pos[n]);
      assert_float_equal(a.scores[n], fmax(0.0, 1.0 + u[a.pos[n]]), 1e-5);
      taken[a.pos[n]] = true;
      for (size_t i = 0; i < x.n; i++) against[i] += inner(phi + i * COSINES, phi + (size_t)a.pos[n] * COSINES);
    }
    forget(&a);
  }
}

/* Squared MMD between U and the items of `set`, by the explicit kernel sums. */
static double mmd(const double *kernel, size_t n, const size_t *set, size_t size) {
  double uu = 0.0, us = 0.0, ss = 0.0, nn = (double)n, m = (double)size;
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++) uu += kernel[i * n + j] / (nn * nn);
  for (size_t i = 0; i < n; i++)
    for (size_t s = 0; s < size; s++) us += kernel[i * n + set[s]] / (nn * m);
  for (size_t r = 0; r < size; r++)
    for (size_t s = 0; s < size; s++) ss += kernel[set[r] * n + set[s]] / (m * m);
  return uu - 2.0 * us + ss;
}

/* Each pick is the one of all candidates that leaves the smallest MMD (up to what k(x, x) differs from 1, which the
 * formula leaves out), the whole lies below the average of random sets at every size, and the first score is the mean
 * of the Gaussian kernel itself within what 512 features can do. */
static void herding_lowers_the_mmd(void **state) {
  (void)state;
  enum { N = 48, D = 3, DRAWS = 200 };
  static double phi[N * COSINES], kernel[N * N];
  for (uint32_t round = 0; round < 6; round++) {
    al_rng rng = al_rng_open(&(al_stream_key){.seed = 5, .purpose = "test", .dataset = "herding", .index = round});
    static float f[N * D];
    int32_t index[N];
    for (size_t i = 0; i < N; i++) {
      for (size_t c = 0; c < D; c++) f[i * D + c] = (float)(al_rng_normal(&rng) + (i < 30 ? 0.0 : 3.0));
      index[i] = (int32_t)i;
    }
    al_query query = {.pool = N, .classes = 2, .batch = N / 2, .f_pool = al_view_dense(f, N, D)};
    query.f_all = query.f_pool;
    query.all_pool = index;
    query.cell_rng = al_rng_child(&rng, 3);
    answer a;
    assert_int_equal(ask(find("herding"), &query, "{}", &a), AL_OK);
    random_features(&query, f, N, f, N, D, phi);
    double lowest = INFINITY, highest = 0.0;
    for (size_t i = 0; i < N; i++)
      for (size_t j = 0; j < N; j++) {
        kernel[i * N + j] = inner(phi + i * COSINES, phi + j * COSINES);
        if (i == j) lowest = fmin(lowest, kernel[i * N + j]);
        if (i == j) highest = fmax(highest, kernel[i * N + j]);
      }
    size_t set[N];
    for (size_t n = 0; n < a.picks.count; n++) {
      double least = INFINITY, random = 0.0, t = (double)(n + 1);
      for (size_t i = 0; i < N; i++) {
        bool taken = false;
        for (size_t s = 0; s < n; s++) taken |= set[s] == i;
        set[n] = i;
        if (!taken) least = fmin(least, mmd(kernel, N, set, n + 1));
      }
      set[n] = (size_t)a.pos[n];
      double reached = mmd(kernel, N, set, n + 1);
      assert_true(reached <= least + (highest - lowest) / (t * t) + 1e-9);
      for (size_t draw = 0; draw < DRAWS; draw++) {
        int32_t items[N];
        size_t others[N];
        for (size_t i = 0; i < N; i++) items[i] = (int32_t)i;
        al_rng_sample(&rng, items, N, n + 1);
        for (size_t i = 0; i <= n; i++) others[i] = (size_t)items[i];
        random += mmd(kernel, N, others, n + 1) / DRAWS;
      }
      assert_true(reached < random);
    }
    double gaussian = 0.0;
    static double all[N * (N - 1) / 2];
    size_t pairs = 0;
    for (size_t i = 0; i < N; i++)
      for (size_t j = 0; j < i; j++) all[pairs++] = distance(f + i * D, f + j * D, D);
    qsort(all, pairs, sizeof *all, ascending);
    for (size_t i = 0; i < N; i++)
      gaussian += exp(-pow(distance(f + (size_t)a.pos[0] * D, f + i * D, D) / all[pairs / 2], 2.0) / 2.0) / N;
    assert_float_equal(a.scores[0] - 1.0, gaussian, 0.1);
    forget(&a);
  }
}

/* The kernel hangs on the cell's stream and the starting pool alone: not on the round's stream. */
static void herding_has_one_kernel_a_cell(void **state) {
  (void)state;
  static input x;
  answer a, b;
  make_input(&x, 7, false);
  assert_int_equal(ask(find("herding"), &x.query, "{}", &a), AL_OK);
  x.query.rng = al_rng_child(&x.query.rng, 99);
  assert_int_equal(ask(find("herding"), &x.query, "{}", &b), AL_OK);
  assert_memory_equal(a.pos, b.pos, a.picks.count * sizeof *a.pos);
  forget(&a);
  forget(&b);
  x.query.f_all = (al_view){0};
  assert_int_equal(ask(find("herding"), &x.query, "{}", &a), AL_BAD_INPUT);
  forget(&a);
}

/* ---- cal ---- */

static double kl(const float *q, const float *p, size_t classes) {
  double sum = 0.0;
  for (size_t c = 0; c < classes; c++)
    sum += (double)q[c] * (log(fmax((double)q[c], 1e-12)) - log(fmax((double)p[c], 1e-12)));
  return sum;
}

static double unit_distance(const float *a, const float *b, size_t d) {
  double aa = 0.0, bb = 0.0, sum = 0.0;
  for (size_t j = 0; j < d; j++) {
    aa += (double)a[j] * (double)a[j];
    bb += (double)b[j] * (double)b[j];
  }
  for (size_t j = 0; j < d; j++) {
    double gap = (aa > 0.0 ? (double)a[j] / sqrt(aa) : 0.0) - (bb > 0.0 ? (double)b[j] / sqrt(bb) : 0.0);
    sum += gap * gap;
  }
  return sqrt(sum);
}

/* Neighbours within 1e-5 of the k-th distance may be exchanged: the least and the most the mean can be. */
static void contrast(const input *x, size_t i, bool normalise, double *low, double *high) {
  double from[MOST_L], sorted[MOST_L], open[MOST_L], sure = 0.0;
  size_t k = x->m < 10 ? x->m : 10, certain = 0, n = 0;
  for (size_t j = 0; j < x->m; j++)
    sorted[j] = from[j] = normalise ? unit_distance(x->h + i * x->d, x->hl + j * x->d, x->d)
                                    : distance(x->h + i * x->d, x->hl + j * x->d, x->d);
  qsort(sorted, x->m, sizeof *sorted, ascending);
  double edge = sorted[k - 1], slack = 1e-5 * edge + 1e-7;
  for (size_t j = 0; j < x->m; j++) {
    double value = kl(x->probs_l + j * x->c, x->probs + i * x->c, x->c);
    if (from[j] < edge - slack) {
      sure += value;
      certain++;
    } else if (from[j] <= edge + slack) {
      open[n++] = value;
    }
  }
  qsort(open, n, sizeof *open, ascending);
  *low = *high = sure;
  for (size_t r = 0; r < k - certain; r++) {
    *low += open[r];
    *high += open[n - 1 - r];
  }
  *low /= (double)k;
  *high /= (double)k;
}

static void cal(void **state) {
  (void)state;
  for (unsigned which = 0; which < INPUTS; which++) {
    static input x;
    make_input(&x, which, which % 2 == 1);
    if (x.m == 0) continue;
    for (int normalise = 0; normalise < 2; normalise++) {
      answer a;
      double low[MOST_N], high[MOST_N];
      bool taken[MOST_N] = {false};
      assert_int_equal(ask(find("cal"), &x.query, normalise ? "{\"normalise\": true}" : "{}", &a), AL_OK);
      for (size_t i = 0; i < x.n; i++) contrast(&x, i, normalise != 0, &low[i], &high[i]);
      for (size_t n = 0; n < a.picks.count; n++) {
        size_t pick = (size_t)a.pos[n];
        double mine = low[pick];
        low[pick] = high[pick]; /* the benefit of the doubt, for the pick alone */
        judge(normalise ? "cal, unit rows" : "cal", which, x.n, low, taken, a.pos[n]);
        assert_true(a.scores[n] >= fmax(0.0, mine) - 1e-6 && a.scores[n] <= fmax(0.0, high[pick]) + 1e-6);
        taken[pick] = true;
      }
      forget(&a);
    }
  }
}

/* Two pool items lie together and disagree with each other; only what L says counts. Item 2, whose one near labelled
 * item disagrees with it, comes first. */
static void cal_looks_at_labelled_items_alone(void **state) {
  (void)state;
  float h[3] = {0.0F, 0.01F, 5.0F}, hl[2] = {-1.0F, 5.1F};
  float probs[6] = {0.9F, 0.1F, 0.75F, 0.25F, 0.2F, 0.8F}, labelled[4] = {0.9F, 0.1F, 0.9F, 0.1F};
  int32_t labels[2] = {0, 0};
  al_query query = {.pool = 3, .labelled = 2, .classes = 2, .batch = 3, .probs = probs, .probs_labelled = labelled};
  query.h_pool = al_view_dense(h, 3, 1);
  query.h_labelled = al_view_dense(hl, 2, 1);
  query.labels = labels;
  answer a;
  assert_int_equal(ask(find("cal"), &query, "{}", &a), AL_OK);
  assert_int_equal(a.pos[0], 2);
  assert_int_equal(a.pos[1], 1);
  assert_float_equal(a.scores[2], 0.0, 1e-9); /* agrees with all of L, whatever its neighbour in U says */
  forget(&a);
}

/* With eleven labelled items at one distance the last in L is left out. */
static void cal_ties(void **state) {
  (void)state;
  enum { M = 11 };
  float h[1] = {0.0F}, hl[M], probs[2] = {0.5F, 0.5F}, labelled[2 * M];
  int32_t labels[M] = {0};
  for (size_t j = 0; j < M; j++) {
    hl[j] = j % 2 == 0 ? 1.0F : -1.0F;
    labelled[2 * j] = j == M - 1 ? 1.0F : 0.5F;
    labelled[2 * j + 1] = 1.0F - labelled[2 * j];
  }
  al_query query = {.pool = 1, .labelled = M, .classes = 2, .batch = 1, .probs = probs, .probs_labelled = labelled};
  query.h_pool = al_view_dense(h, 1, 1);
  query.h_labelled = al_view_dense(hl, M, 1);
  query.labels = labels;
  answer a;
  assert_int_equal(ask(find("cal"), &query, "{}", &a), AL_OK);
  assert_float_equal(a.scores[0], 0.0, 0.0);
  forget(&a);
}

/* ---- another order of the pool ---- */

static void reverse(const input *x, input *y) {
  memcpy(y, x, sizeof *y);
  for (size_t i = 0; i < x->n; i++) {
    size_t from = x->n - 1 - i;
    memcpy(y->probs + i * x->c, x->probs + from * x->c, x->c * sizeof(float));
    memcpy(y->h + i * x->d, x->h + from * x->d, x->d * sizeof(float));
    memcpy(y->f + i * x->fd, x->f + from * x->fd, x->fd * sizeof(float));
    y->all_pool[i] = x->all_pool[from];
  }
  y->query.probs = y->probs;
  y->query.h_pool = al_view_dense(y->h, y->n, y->d);
  y->query.f_pool = al_view_dense(y->f, y->n, y->fd);
  y->query.all_pool = y->all_pool;
}

static void order_does_not_matter(void **state) {
  (void)state;
  static const char *const names[] = {"density", "herding", "cal"};
  unsigned compared = 0;
  for (unsigned which = 3; which < INPUTS; which += 4) { /* kind 3: continuous values */
    static input x, y;
    make_input(&x, which, false);
    if (x.m == 0 || x.d < 4 || x.c < 2 || x.k == x.n) continue;
    random_rows(&x.query.rng, x.f, x.n, x.fd, 0, 0.0); /* no two alike but the first two: */
    for (size_t c = 0; x.n > 1 && c < x.fd; c++) x.f[x.fd + c] += 1.0F;
    reverse(&x, &y);
    for (size_t s = 0; s < sizeof names / sizeof *names; s++) {
      answer a, b;
      assert_int_equal(ask(find(names[s]), &x.query, "{}", &a), AL_OK);
      assert_int_equal(ask(find(names[s]), &y.query, "{}", &b), AL_OK);
      size_t common = 0;
      for (size_t i = 0; i < a.picks.count; i++)
        for (size_t j = 0; j < b.picks.count; j++) common += (size_t)a.pos[i] + (size_t)b.pos[j] == x.n - 1;
      if (common != a.picks.count) print_error("%s, input %u\n", names[s], which);
      assert_int_equal(common, a.picks.count);
      compared++;
      forget(&a);
      forget(&b);
    }
  }
  assert_true(compared > 20);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(density),
      cmocka_unit_test(density_passes_over_outliers),
      cmocka_unit_test(herding),
      cmocka_unit_test(herding_lowers_the_mmd),
      cmocka_unit_test(herding_has_one_kernel_a_cell),
      cmocka_unit_test(cal),
      cmocka_unit_test(cal_looks_at_labelled_items_alone),
      cmocka_unit_test(cal_ties),
      cmocka_unit_test(order_does_not_matter),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
