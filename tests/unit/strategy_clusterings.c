/* Strategies built on clusterings against naive references: k-means against Lloyd's algorithm with every distance anew,
 * D^2 sampling by inverse CDF from the same uniforms. What follows a clustering is replayed on the clusters that the
 * fast version found (strategy/kmeans.h), as STRATEGIES.md says. */
#include "strategy_fixture.h"

#include "strategy/kmeans.h"

enum { MOST_ROWS = 400, MOST_COLS = 80, MOST_K = 60 };

static double squared_gap(const double *a, const float *b, size_t d) {
  double sum = 0.0;
  for (size_t j = 0; j < d; j++) sum += (a[j] - (double)b[j]) * (a[j] - (double)b[j]);
  return sum;
}

/* ---- D^2 sampling ---- */

/* Replays draws: the same uniforms through naive double sums. weights may be NULL; least: n, counted where `counted`.
 * Stops where rounding decides whether anything is left to draw by. */
static void judge_draws(const char *name, unsigned which, const float *x, size_t n, size_t d, const double *weights,
                        double *least, bool counted, al_rng rng, const int32_t *picked, size_t k,
                        const double *scores) {
  bool taken[MOST_ROWS] = {false};
  for (size_t i = 0; i < k; i++) {
    bool nothing = i == 0 && !counted;
    double mass[MOST_ROWS], total = 0.0, most = 0.0, below = 0.0;
    size_t pick = (size_t)picked[i];
    for (size_t r = 0; r < n; r++) {
      double w = weights == NULL ? 1.0 : weights[r];
      mass[r] = taken[r] ? 0.0 : nothing ? (weights == NULL ? 0.0 : w) : w * least[r];
      total += mass[r];
      for (size_t j = 0; j < d; j++) most = fmax(most, fabs((double)x[r * d + j]));
    }
    if (total <= 0.0) {
      size_t skip = (size_t)al_rng_below(&rng, n - i), at = 0;
      while (taken[at] || skip-- != 0) at++;
      assert_int_equal(pick, at);
    } else {
      if (total < 1e-10 * most * most) return;
      double u = al_rng_uniform(&rng);
      for (size_t r = 0; r < pick; r++) below += mass[r];
      if (!(u >= below / total - 1e-6 && u <= (below + mass[pick]) / total + 1e-6)) {
        print_error("%s, input %u: draw %zu took %zu\n", name, which, i, pick);
        fail();
      }
    }
    if (scores != NULL)
      assert_float_equal(scores[i], nothing ? 0.0 : least[pick], 2e-5 * (nothing ? 1.0 : least[pick]));
    assert_false(taken[pick]);
    taken[pick] = true;
    for (size_t r = 0; r < n; r++) {
      double gap = pow(distance(x + r * d, x + pick * d, d), 2.0);
      least[r] = nothing ? gap : fmin(least[r], gap);
    }
  }
}

static void kmeans_plus_plus(void **state) {
  (void)state;
  for (unsigned which = 0; which < INPUTS; which++)
    for (int embedding = 0; embedding < 2; embedding++) {
      static input x;
      make_input(&x, which, which % 2 == 1);
      answer a;
      double least[MOST_N];
      const float *pool = embedding ? x.h : x.f, *labelled = embedding ? x.hl : x.fl;
      size_t d = embedding ? x.d : x.fd;
      assert_int_equal(ask(find("kmeans-plus-plus"), &x.query, embedding ? "{\"space\": \"embedding\"}" : "{}", &a),
                       AL_OK);
      for (size_t i = 0; i < x.n; i++) {
        least[i] = INFINITY;
        for (size_t j = 0; j < x.m; j++)
          least[i] = fmin(least[i], pow(distance(pool + i * d, labelled + j * d, d), 2.0));
      }
      judge_draws("kmeans-plus-plus", which, pool, x.n, d, NULL, least, x.m != 0, x.query.rng, a.pos, a.picks.count,
                  a.scores);
      forget(&a);
    }
}

/* ---- k-means ---- */

typedef struct {
  size_t n, d, k;
  bool csr, weighted;
  float x[MOST_ROWS * MOST_COLS];
  double weights[MOST_ROWS];
  int64_t begin[MOST_ROWS + 1];
  int32_t index[MOST_ROWS * MOST_COLS];
  float value[MOST_ROWS * MOST_COLS];
  al_view view;
} cloud;

/* Kinds: blobs, blobs far from the origin, small integers (ties), few distinct rows, constant, near-duplicates in far
 * clumps, sparse, no structure at all. */
static void make_cloud(cloud *c, unsigned which, al_rng *rng) {
  unsigned kind = which % 8;
  memset(c, 0, sizeof *c);
  c->n = which % 19 == 0 ? 1 : 2 + (size_t)al_rng_below(rng, MOST_ROWS - 1);
  c->d = which % 7 == 0 ? MOST_COLS : 1 + (size_t)al_rng_below(rng, 40);
  c->k = which % 5 == 0 ? 1 : 1 + (size_t)al_rng_below(rng, MOST_K);
  c->csr = which % 3 == 1;
  c->weighted = which % 4 == 3;
  for (size_t i = 0; i < c->n; i++) {
    size_t blob = (size_t)al_rng_below(rng, 9);
    c->weights[i] = al_rng_below(rng, 3) == 0 ? 0.0 : al_rng_uniform(rng);
    for (size_t j = 0; j < c->d; j++) {
      double v = al_rng_normal(rng), centre = sin((double)(1 + blob * 31 + j * 17));
      double values[] = {4.0 * centre + v,
                         1000.0 + 4.0 * centre + v,
                         (double)al_rng_below(rng, 3),
                         floor(2.0 * centre + 0.5),
                         1.0,
                         50.0 * centre + 1e-3 * v,
                         al_rng_below(rng, 4) ? 0.0 : v,
                         v};
      c->x[i * c->d + j] = (float)values[kind];
    }
  }
  c->weights[c->n / 2] = 0.7;
  to_csr(c->x, c->n, c->d, c->begin, c->index, c->value);
  c->view = c->csr ? al_view_csr(c->begin, c->index, c->value, c->n, c->d) : al_view_dense(c->x, c->n, c->d);
}

/* Lloyd as STRATEGIES.md words it, from the given start: the inertia at its end. */
static double naive_lloyd(const cloud *c, const int32_t *start, size_t k, int32_t *of) {
  static double centre[MOST_K][MOST_COLS];
  double far[MOST_ROWS], inertia = 0.0;
  for (size_t j = 0; j < k; j++)
    for (size_t e = 0; e < c->d; e++) centre[j][e] = (double)c->x[(size_t)start[j] * c->d + e];
  for (size_t i = 0; i < c->n; i++) of[i] = -1;
  for (int round = 0; round < 100; round++) {
    bool changed = false;
    for (size_t i = 0; i < c->n; i++) {
      size_t best = 0;
      for (size_t j = 1; j < k; j++)
        if (squared_gap(centre[j], c->x + i * c->d, c->d) < squared_gap(centre[best], c->x + i * c->d, c->d)) best = j;
      changed |= of[i] != (int32_t)best;
      of[i] = (int32_t)best;
      far[i] = squared_gap(centre[best], c->x + i * c->d, c->d);
    }
    for (size_t j = 0; j < k; j++) {
      size_t members[MOST_K] = {0}, row = SIZE_MAX;
      for (size_t i = 0; i < c->n; i++) members[of[i]] += !c->weighted || c->weights[i] > 0.0;
      if (members[j] != 0) continue;
      for (size_t i = 0; i < c->n; i++)
        if ((!c->weighted || c->weights[i] > 0.0) && members[of[i]] > 1 && far[i] > 1e-20 &&
            (row == SIZE_MAX || far[i] > far[row]))
          row = i;
      if (row == SIZE_MAX) continue;
      of[row] = (int32_t)j;
      changed = true;
      for (size_t i = 0; i < c->n; i++)
        far[i] = fmin(far[i], pow(distance(c->x + i * c->d, c->x + row * c->d, c->d), 2.0));
    }
    if (!changed) break;
    for (size_t j = 0; j < k; j++) {
      double sum[MOST_COLS] = {0}, weight = 0.0;
      for (size_t i = 0; i < c->n; i++) {
        if (of[i] != (int32_t)j) continue;
        double w = c->weighted ? c->weights[i] : 1.0;
        weight += w;
        for (size_t e = 0; e < c->d; e++) sum[e] += w * (double)c->x[i * c->d + e];
      }
      for (size_t e = 0; e < c->d && weight > 0.0; e++) centre[j][e] = sum[e] / weight;
    }
  }
  for (size_t i = 0; i < c->n; i++)
    inertia += (c->weighted ? c->weights[i] : 1.0) * squared_gap(centre[of[i]], c->x + i * c->d, c->d);
  return inertia;
}

/* What is promised of the result, whatever the clusters: sizes, order, means, nearest members, inertia. */
static void check_clusters(const cloud *c, const al_kmeans *m) {
  size_t total = 0;
  double inertia = 0.0, scale = 0.0;
  for (size_t i = 0; i < c->n * c->d; i++) scale = fmax(scale, fabs((double)c->x[i]));
  for (size_t j = 0; j < m->clusters; j++) {
    double mean[MOST_COLS] = {0}, weight = 0.0, least = INFINITY;
    size_t size = 0, lowest = SIZE_MAX;
    for (size_t i = 0; i < c->n; i++) {
      if (m->cluster_of[i] != (int32_t)j) continue;
      double w = c->weighted ? c->weights[i] : 1.0, squared = squared_gap(m->centres + j * c->d, c->x + i * c->d, c->d);
      size++;
      weight += w;
      inertia += w * squared;
      least = fmin(least, squared);
      assert_float_equal(m->squared[i], squared, 1e-9 * (squared + 1e-6 * scale * scale));
      if (lowest == SIZE_MAX) lowest = i;
      for (size_t e = 0; e < c->d; e++) mean[e] += w * (double)c->x[i * c->d + e];
    }
    assert_int_equal(m->size[j], size);
    assert_true(size > 0);
    assert_int_equal(m->lowest[j], lowest);
    assert_int_equal(m->cluster_of[m->nearest[j]], j);
    assert_true(m->squared[m->nearest[j]] <= least * (1.0 + 1e-9) + 1e-15 * scale * scale);
    if (j > 0) assert_true(m->size[j - 1] > size || (m->size[j - 1] == size && m->lowest[j - 1] < m->lowest[j]));
    for (size_t e = 0; e < c->d && weight > 0.0; e++)
      assert_float_equal(mean[e] / weight, m->centres[j * c->d + e], 1e-11 * (1.0 + scale));
    total += size;
  }
  assert_int_equal(total, c->n);
  assert_float_equal(m->inertia, inertia, 1e-9 * (inertia + 1e-6 * scale * scale));
}

static void lloyd(void **state) {
  (void)state;
  unsigned same = 0, judged = 0;
  for (unsigned which = 0; which < 320; which++) {
    static cloud c;
    al_rng rng = al_rng_open(&(al_stream_key){.seed = 5, .purpose = "test", .dataset = "lloyd", .index = which});
    make_cloud(&c, which, &rng);
    al_kmeans *m = NULL;
    al_rng draws = al_rng_child(&rng, 1);
    const double *weights = c.weighted ? c.weights : NULL;
    assert_int_equal(al_kmeans_make(&m, &c.view, weights, c.k, &draws), AL_OK);
    size_t k = c.k < c.n ? c.k : c.n;
    double least[MOST_ROWS];
    int32_t of[MOST_ROWS];
    judge_draws("k-means++ start", which, c.x, c.n, c.d, weights, least, false, al_rng_child(&rng, 1), m->start, k,
                NULL);
    check_clusters(&c, m);
    double naive = naive_lloyd(&c, m->start, k, of);
    /* Integers tie: there a rounding of a mean may send Lloyd another way, to a solution no worse in kind. */
    bool ties = which % 8 == 2;
    double allowed = (ties ? 0.02 : 1e-9) * naive + 1e-9;
    if (fabs(m->inertia - naive) > allowed) {
      print_error("k-means, input %u: inertia %.12g, naively %.12g\n", which, m->inertia, naive);
      fail();
    }
    if (!ties) {
      for (size_t i = 0; i < c.n; i++)
        for (size_t j = 0; j < i; j++) same += (of[i] == of[j]) == (m->cluster_of[i] == m->cluster_of[j]);
      judged += (unsigned)(c.n * (c.n - 1) / 2);
    }
    al_kmeans_free(m);
  }
  assert_int_equal(same, judged); /* not only the inertia: the partition itself */
}

/* No better solution lies one move away: a converged Lloyd has every row at its nearest centre. */
static void converged(void **state) {
  (void)state;
  static cloud c;
  al_rng rng = al_rng_open(&(al_stream_key){.seed = 6, .purpose = "test", .dataset = "converged"});
  for (unsigned which = 0; which < 64; which++) {
    make_cloud(&c, which, &rng);
    al_kmeans *m = NULL;
    assert_int_equal(al_kmeans_make(&m, &c.view, NULL, c.k, &rng), AL_OK);
    assert_in_range(m->rounds, 1, 100);
    for (size_t i = 0; i < c.n && m->rounds < 100; i++)
      for (size_t j = 0; j < m->clusters; j++) {
        double squared = squared_gap(m->centres + j * c.d, c.x + i * c.d, c.d);
        assert_true(m->squared[i] <= squared * (1.0 + 1e-9) + 1e-9);
      }
    al_kmeans_free(m);
  }
}

/* An empty cluster restarts: three far singletons and a crowd whose duplicates would leave clusters without members. */
static void fewer_distinct_rows_than_clusters(void **state) {
  (void)state;
  const float x[8] = {0.0F, 0.0F, 5.0F, 0.0F, 0.0F, 9.0F, 0.0F, 5.0F};
  al_view view = al_view_dense(x, 8, 1);
  for (uint64_t seed = 0; seed < 20; seed++) {
    al_rng rng = al_rng_open(&(al_stream_key){.seed = seed, .purpose = "test", .dataset = "few"});
    al_kmeans *m = NULL;
    int32_t picked[8];
    double scores[8];
    assert_int_equal(al_kmeans_make(&m, &view, NULL, 6, &rng), AL_OK);
    assert_int_equal(m->clusters, 3);
    assert_float_equal(m->inertia, 0.0, 0.0);
    assert_int_equal(al_kmeans_pick(m, 6, picked, scores), AL_OK);
    const int32_t wanted[6] = {0, 2, 5, 1, 3, 4}; /* by size, then what is left: all at distance 0, lowest first */
    assert_memory_equal(picked, wanted, sizeof wanted);
    al_kmeans_free(m);
  }
}

/* The strategy takes the clusters' nearest members, then the farthest rows; both spaces. */
static void k_means(void **state) {
  (void)state;
  for (unsigned which = 0; which < INPUTS; which++)
    for (int embedding = 0; embedding < 2; embedding++) {
      static input x;
      make_input(&x, which, which % 2 == 1);
      answer a;
      al_kmeans *m = NULL;
      al_rng rng = x.query.rng;
      assert_int_equal(ask(find("k-means"), &x.query, embedding ? "{\"space\": \"embedding\"}" : "{}", &a), AL_OK);
      assert_int_equal(al_kmeans_make(&m, embedding ? &x.query.h_pool : &x.query.f_pool, NULL, a.picks.count, &rng),
                       AL_OK);
      const float *rows = embedding ? x.h : x.f;
      size_t d = embedding ? x.d : x.fd;
      bool taken[MOST_N] = {false};
      for (size_t i = 0; i < a.picks.count; i++) {
        double u[MOST_N];
        for (size_t r = 0; r < x.n; r++) {
          double gap = sqrt(squared_gap(m->centres + (size_t)m->cluster_of[r] * d, rows + r * d, d));
          u[r] = i < m->clusters ? (m->cluster_of[r] == (int32_t)i ? -gap : -1e6) : gap;
        }
        judge("k-means", which, x.n, u, taken, a.pos[i]);
        double printed = i < m->clusters ? u[a.pos[i]] : -u[a.pos[i]];
        assert_float_equal(a.scores[i], printed, 1e-6 * (1.0 - printed));
        taken[a.pos[i]] = true;
      }
      al_kmeans_free(m);
      forget(&a);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(kmeans_plus_plus), cmocka_unit_test(lloyd),
      cmocka_unit_test(converged),        cmocka_unit_test(fewer_distinct_rows_than_clusters),
      cmocka_unit_test(k_means),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
