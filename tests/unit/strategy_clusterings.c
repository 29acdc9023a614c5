/* Strategies built on clusterings against naive references: k-means against Lloyd's algorithm with every distance anew,
 * D^2 sampling by inverse CDF from the same uniforms. What follows a clustering is replayed on the clusters that the
 * fast version found (strategy/kmeans.h), as STRATEGIES.md says. */
#include "strategy_fixture.h"

#include "strategy/hac.h"
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

/* ---- U and L together ---- */

/* Rows of both in the order of the starting pool; pos >= 0, or -1 - i of L. */
typedef struct {
  size_t n, d;
  int32_t source[MOST_N + MOST_L];
  float x[(MOST_N + MOST_L) * MOST_D];
  int64_t begin[MOST_N + MOST_L + 1];
  int32_t index[(MOST_N + MOST_L) * MOST_D];
  float value[(MOST_N + MOST_L) * MOST_D];
  al_view view;
} together;

static void join(together *t, const input *x, bool embedding, bool csr) {
  t->n = x->n + x->m;
  t->d = embedding ? x->d : x->fd;
  for (size_t i = 0; i < x->n; i++) t->source[x->all_pool[i]] = (int32_t)i;
  for (size_t j = 0; j < x->m; j++) t->source[x->all_labelled[j]] = -1 - (int32_t)j;
  for (size_t i = 0; i < t->n; i++) {
    const float *pool = embedding ? x->h : x->f, *labelled = embedding ? x->hl : x->fl;
    const float *row =
        t->source[i] >= 0 ? pool + (size_t)t->source[i] * t->d : labelled + (size_t)(-1 - t->source[i]) * t->d;
    memcpy(t->x + i * t->d, row, t->d * sizeof *row);
  }
  to_csr(t->x, t->n, t->d, t->begin, t->index, t->value);
  t->view = csr ? al_view_csr(t->begin, t->index, t->value, t->n, t->d) : al_view_dense(t->x, t->n, t->d);
}

/* ---- typiclust ---- */

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Mean distance to the nearest of the s members that are left: -1 for a single one. */
static double mean_to_nearest(const together *t, const bool *left, size_t i) {
  double gaps[MOST_N + MOST_L], sum = 0.0;
  size_t others = 0;
  for (size_t j = 0; j < t->n; j++)
    if (left[j] && j != i) gaps[others++] = distance(t->x + i * t->d, t->x + j * t->d, t->d);
  if (others == 0) return -1.0;
  size_t s = others + 1, k = s / 2 > 20 ? 20 : s / 2 < 1 ? 1 : s / 2;
  qsort(gaps, others, sizeof *gaps, by_value);
  for (size_t j = 0; j < k; j++) sum += gaps[j] / (double)k;
  return fmax(sum, 1e-12);
}

static void typiclust(void **state) {
  (void)state;
  for (unsigned which = 0; which < 2 * INPUTS; which++) {
    static input x;
    static together t;
    bool embedding = which >= INPUTS, csr = which % 2 == 1;
    make_input(&x, which % INPUTS, csr);
    join(&t, &x, embedding, csr && embedding);
    answer a;
    al_kmeans *m = NULL;
    al_rng rng = x.query.rng;
    assert_int_equal(ask(find("typiclust"), &x.query, embedding ? "{\"space\": \"embedding\"}" : "{}", &a), AL_OK);
    size_t wanted = x.m + (x.k < x.n ? x.k : x.n);
    assert_int_equal(al_kmeans_make(&m, &t.view, NULL, wanted < 500 ? wanted : 500, &rng), AL_OK);
    size_t order[MOST_N + MOST_L], labels[MOST_N + MOST_L] = {0}, large = 0, at = 0;
    bool taken[MOST_N + MOST_L] = {false};
    for (size_t i = 0; i < t.n; i++) {
      taken[i] = t.source[i] < 0;
      labels[m->cluster_of[i]] += taken[i];
    }
    for (size_t j = 0; j < m->clusters; j++) large += m->size[j] > 5;
    for (size_t j = 0; j < m->clusters; j++) order[j] = j;
    for (size_t i = 0; i < m->clusters;
         i++) /* fewest labels, then largest, then lowest row; small ones after all others */
      for (size_t j = 0; j + 1 < m->clusters; j++) {
        size_t p = order[j], q = order[j + 1];
        bool p_small = large != 0 && m->size[p] <= 5, q_small = large != 0 && m->size[q] <= 5;
        bool swap = p_small != q_small         ? p_small
                    : labels[p] != labels[q]   ? labels[p] > labels[q]
                    : m->size[p] != m->size[q] ? m->size[p] < m->size[q]
                                               : m->lowest[p] > m->lowest[q];
        if (swap) {
          order[j] = q;
          order[j + 1] = p;
        }
      }
    if (large == 0) large = m->clusters;
    for (size_t n = 0; n < a.picks.count; n++) {
      bool left[MOST_N + MOST_L], gone[MOST_N + MOST_L];
      double u[MOST_N + MOST_L];
      size_t row = 0, first = 0, last = large, members = 0;
      bool any = false; /* anything left in the large clusters */
      for (size_t i = 0; i < t.n; i++)
        for (size_t g = 0; g < large; g++) any |= !taken[i] && (size_t)m->cluster_of[i] == order[g];
      if (!any) {
        first = large;
        last = m->clusters;
        if (at < large) at = large;
      }
      for (;; at++) { /* the next cluster that has something left */
        if (at < first || at >= last) at = first;
        members = 0;
        for (size_t i = 0; i < t.n; i++) members += left[i] = !taken[i] && (size_t)m->cluster_of[i] == order[at];
        if (members != 0) break;
      }
      at++;
      for (size_t i = 0; i < t.n; i++) {
        gone[i] = !left[i];
        u[i] = left[i] ? -mean_to_nearest(&t, left, i) : 0.0;
      }
      while (t.source[row] != a.pos[n]) row++;
      assert_true(left[row]);
      judge("typiclust", which, t.n, u, gone, (int32_t)row);
      if (members == 1)
        assert_float_equal(a.scores[n], 0.0, 0.0);
      else
        assert_float_equal(a.scores[n], -1.0 / u[row], -1e-5 / u[row]);
      taken[row] = true;
    }
    al_kmeans_free(m);
    forget(&a);
  }
}

/* Clusters larger than a block of products, dense places off the centre, duplicates; and no item twice. */
static void typiclust_of_many(void **state) {
  (void)state;
  enum { N = 1500, D = 5 };
  static float x[N * D];
  static double means[N];
  static int32_t place[N], pos[N];
  al_rng rng = al_rng_open(&(al_stream_key){.seed = 2, .purpose = "test", .dataset = "typical"});
  for (size_t i = 0; i < N; i++) {
    place[i] = (int32_t)i;
    double spread = i % 5 == 0 ? 1e-4 : 1.0; /* a fifth of it in clumps of almost duplicates */
    for (size_t j = 0; j < D; j++)
      x[i * D + j] = (float)(30.0 * (double)(i % 15 == 0 && j == 1) + spread * al_rng_normal(&rng));
  }
  al_query query = {.pool = N,
                    .classes = 2,
                    .batch = 1,
                    .f_pool = al_view_dense(x, N, D),
                    .f_all = al_view_dense(x, N, D),
                    .all_pool = place,
                    .rng = rng};
  answer a;
  assert_int_equal(ask(find("typiclust"), &query, "{}", &a), AL_OK); /* one cluster: all of it */
  double best = INFINITY;
  for (size_t i = 0; i < N; i++) {
    double gaps[N];
    for (size_t j = 0; j < N; j++) gaps[j] = j == i ? INFINITY : distance(x + i * D, x + j * D, D);
    qsort(gaps, N, sizeof *gaps, by_value);
    means[i] = 0.0;
    for (size_t j = 0; j < 20; j++) means[i] += gaps[j] / 20.0;
    best = fmin(best, means[i]);
  }
  assert_true(means[a.pos[0]] <= best * (1.0 + 1e-9));
  assert_float_equal(a.scores[0] * best, 1.0, 1e-6);
  forget(&a);
  static double scores[N];
  al_picks picks = {.pos = pos, .scores = scores};
  json_t *params = json_pack("{s:s}", "space", "features");
  query.batch = 700;
  assert_int_equal(al_strategy_select(find("typiclust"), &query, params, &picks), AL_OK);
  bool seen[N] = {false};
  for (size_t i = 0; i < picks.count; i++) {
    assert_false(seen[pos[i]]);
    seen[pos[i]] = true;
  }
  json_decref(params);
}

/* ---- average linkage ---- */

/* UPGMA by its definition: the two clusters with the least mean distance between their items, O(N^3) and more. */
static void naive_linkage(const float *x, size_t n, size_t d, size_t clusters, int32_t *of, double *heights) {
  for (size_t i = 0; i < n; i++) of[i] = (int32_t)i;
  for (size_t left = n; left > 1; left--) {
    double least = INFINITY;
    int32_t a = 0, b = 0;
    static double sum[100][100], count[100];
    memset(sum, 0, sizeof sum);
    memset(count, 0, sizeof count);
    for (size_t i = 0; i < n; i++) count[of[i]] += 1.0;
    for (size_t i = 0; i < n; i++)
      for (size_t j = 0; j < n; j++) sum[of[i]][of[j]] += distance(x + i * d, x + j * d, d);
    for (int32_t i = 0; i < (int32_t)n; i++)
      for (int32_t j = 0; j < i; j++)
        if (count[i] > 0.0 && count[j] > 0.0 && sum[i][j] / count[i] / count[j] < least) {
          least = sum[i][j] / count[i] / count[j];
          a = i;
          b = j;
        }
    heights[n - left] = least;
    if (left <= clusters) continue; /* heights go on, the clusters stand */
    for (size_t i = 0; i < n; i++)
      if (of[i] == a) of[i] = b;
  }
}

static void average_linkage(void **state) {
  (void)state;
  static const unsigned kinds[] = {0, 1, 5, 7};
  for (unsigned which = 0; which < 60; which++) {
    static cloud c;
    static float distances[100 * 99 / 2];
    al_merge merges[100];
    double heights[100];
    int32_t of[MOST_ROWS], fast[MOST_ROWS];
    al_rng rng = al_rng_open(&(al_stream_key){.seed = 9, .purpose = "test", .dataset = "linkage", .index = which});
    make_cloud(&c, kinds[which % 4] + 8 * which, &rng);
    size_t n = c.n < 90 ? c.n : which % 10 == 9 ? 9 : 90;
    for (size_t i = 0; i < n; i++)
      for (size_t j = 0; j < i; j++)
        distances[i * (i - 1) / 2 + j] = (float)distance(c.x + i * c.d, c.x + j * c.d, c.d);
    assert_int_equal(al_average_linkage(distances, n, merges), AL_OK);
    naive_linkage(c.x, n, c.d, 1, of, heights);
    for (size_t i = 0; i + 1 < n; i++) assert_float_equal((double)merges[i].height, heights[i], 2e-6 * heights[i]);
    /* cut: the fewest merges that leave a mean size of 10 */
    al_view view = c.view;
    view.rows = n;
    naive_linkage(c.x, n, c.d, n < 10 ? 1 : n / 10, of, heights);
    assert_int_equal(al_hac_clusters(&view, 1000, 10, &rng, fast), AL_OK);
    for (size_t i = 0; i < n; i++)
      for (size_t j = 0; j < i; j++) assert_int_equal(of[i] == of[j], fast[i] == fast[j]);
    for (size_t i = 0, most = 0; i < n; i++) { /* numbered by their lowest rows */
      assert_true((size_t)fast[i] <= most);
      if ((size_t)fast[i] == most) most++;
    }
    /* a sample is clustered, the rest joins its nearest */
    if (n < 40) continue;
    int32_t order[100], sampled[100];
    static float part[100 * MOST_COLS];
    al_rng draws = al_rng_child(&rng, 3), again = draws;
    for (size_t i = 0; i < n; i++) order[i] = (int32_t)i;
    al_rng_sample(&again, order, n, 30);
    bool in[100] = {false};
    for (size_t i = 0; i < 30; i++) in[order[i]] = true;
    for (size_t i = 0, m = 0; i < n; i++)
      if (in[i]) {
        memcpy(part + m * c.d, c.x + i * c.d, c.d * sizeof *part);
        sampled[m++] = (int32_t)i;
      }
    naive_linkage(part, 30, c.d, 3, of, heights);
    assert_int_equal(al_hac_clusters(&view, 30, 10, &draws, fast), AL_OK);
    for (size_t i = 0; i < n; i++) {
      size_t best = 0;
      for (size_t j = 1; j < 30; j++)
        if (distance(c.x + i * c.d, part + j * c.d, c.d) < distance(c.x + i * c.d, part + best * c.d, c.d)) best = j;
      for (size_t j = 0; j < 30; j++) assert_int_equal(of[j] == of[best], fast[i] == fast[sampled[j]]);
    }
  }
}

/* Equal heights all belong to the cut: two crowds of twelve duplicates. */
static void linkage_of_ties(void **state) {
  (void)state;
  float x[24];
  int32_t of[24];
  al_rng rng = al_rng_open(&(al_stream_key){.seed = 9, .purpose = "test", .dataset = "ties"});
  for (size_t i = 0; i < 24; i++) x[i] = (float)(i / 12) * 5.0F;
  al_view view = al_view_dense(x, 24, 1);
  assert_int_equal(al_hac_clusters(&view, 100, 2, &rng, of), AL_OK); /* 12 merges would do, 22 have that height */
  for (size_t i = 0; i < 24; i++) assert_int_equal(of[i], i / 12);
  assert_int_equal(al_hac_clusters(&view, 100, 13, &rng, of), AL_OK);
  for (size_t i = 0; i < 24; i++) assert_int_equal(of[i], 0);
}

/* ---- cluster-margin, margin-clustered ---- */

static double margin_utility(const input *x, size_t i) {
  const float *p = x->probs + i * x->c;
  size_t first = argmax(p, x->c);
  double second = 0.0;
  for (size_t c = 0; c < x->c; c++)
    if (c != first) second = fmax(second, (double)p[c]);
  return fmax(0.0, 1.0 - ((double)p[first] - second));
}

/* The `count` lowest margins, ties to the lower position. */
static void lowest_margins(const input *x, size_t count, bool *in) {
  memset(in, 0, MOST_N * sizeof *in);
  for (size_t n = 0; n < count; n++) {
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < x->n; i++)
      if (!in[i] && (best == SIZE_MAX || margin_utility(x, i) > margin_utility(x, best))) best = i;
    in[best] = true;
  }
}

static void cluster_margin(void **state) {
  (void)state;
  for (unsigned which = 0; which < 2 * INPUTS; which++) {
    static input x;
    static together t;
    bool embedding = which >= INPUTS, in[MOST_N];
    int32_t of[MOST_N + MOST_L], cluster[MOST_N];
    make_input(&x, which % INPUTS, which % 2 == 1);
    join(&t, &x, embedding, embedding && which % 2 == 1);
    answer a;
    const char *options = embedding ? "{\"space\": \"embedding\", \"items\": 25}" : "{\"m\": 2, \"items\": 40}";
    assert_int_equal(ask(find("cluster-margin"), &x.query, options, &a), AL_OK);
    al_rng rng = embedding ? al_rng_child(&x.query.rng, 1) : x.query.cell_rng, draws = x.query.rng;
    assert_int_equal(al_hac_clusters(&t.view, embedding ? 25 : 40, 10, &rng, of), AL_OK);
    for (size_t i = 0; i < t.n; i++)
      if (t.source[i] >= 0) cluster[t.source[i]] = of[i];
    double wanted = ceil((embedding ? 1.25 : 2.0) * (double)a.picks.count);
    lowest_margins(&x, wanted < (double)x.n ? (size_t)wanted : x.n, in);
    /* clusters in the order of their size among these, smallest first, then lowest position */
    size_t size[MOST_N + MOST_L] = {0}, lowest[MOST_N + MOST_L], order[MOST_N + MOST_L], clusters = 0, at = 0;
    for (size_t i = x.n; i-- > 0;)
      if (in[i]) {
        size[cluster[i]]++;
        lowest[cluster[i]] = i;
      }
    for (size_t j = 0; j < t.n; j++)
      if (size[j] != 0) order[clusters++] = j;
    for (size_t i = 0; i < clusters; i++)
      for (size_t j = 0; j + 1 < clusters; j++) {
        size_t p = order[j], q = order[j + 1];
        if (size[p] > size[q] || (size[p] == size[q] && lowest[p] > lowest[q])) {
          order[j] = q;
          order[j + 1] = p;
        }
      }
    for (size_t n = 0; n < a.picks.count; n++, at++) {
      size_t members = 0, pick = 0;
      for (;; at++) {
        members = 0;
        for (size_t i = 0; i < x.n; i++) members += in[i] && (size_t)cluster[i] == order[at % clusters];
        if (members != 0) break;
      }
      size_t skip = (size_t)al_rng_below(&draws, members);
      while (!in[pick] || (size_t)cluster[pick] != order[at % clusters] || skip-- != 0) pick++;
      assert_int_equal(a.pos[n], pick);
      assert_float_equal(a.scores[n], margin_utility(&x, pick), 1e-9);
      in[pick] = false;
    }
    forget(&a);
  }
}

/* What is made once a cell is what a round makes for itself, and the clusters stay when items leave U for L. */
static void prepared_once(void **state) {
  (void)state;
  const al_strategy *s = find("cluster-margin");
  for (unsigned which = 1; which < 40; which++) {
    static input x, y;
    make_input(&x, which, false);
    json_t *params = NULL;
    void *prepared = NULL;
    answer a, b;
    assert_int_equal(al_params_resolve(&params, s->params, NULL, s->name), AL_OK);
    assert_int_equal(ask(s, &x.query, "{}", &a), AL_OK);
    assert_int_equal(s->prepare(&prepared, &x.query, params), AL_OK);
    assert_non_null(prepared);
    x.query.prepared = prepared;
    assert_int_equal(ask(s, &x.query, "{}", &b), AL_OK);
    assert_memory_equal(a.pos, b.pos, a.picks.count * sizeof *a.pos);
    forget(&a);
    forget(&b);
    /* the next round: the first item of U is labelled */
    if (x.n > 2) {
      memcpy(&y, &x, sizeof x);
      y.query.pool--;
      y.query.all_pool = x.all_pool + 1;
      y.query.probs = x.probs + x.c;
      y.query.f_pool = al_view_dense(x.f + x.fd, x.n - 1, x.fd);
      void *again = NULL;
      assert_int_equal(s->prepare(&again, &y.query, params), AL_OK);
      assert_memory_equal(prepared, again, (x.n + x.m) * sizeof(int32_t));
      s->forget(again);
      assert_int_equal(ask(s, &y.query, "{}", &a), AL_OK);
      forget(&a);
    }
    s->forget(prepared);
    json_decref(params);
  }
}

static void margin_clustered(void **state) {
  (void)state;
  for (unsigned which = 0; which < INPUTS; which++) {
    static input x;
    bool csr = which % 2 == 1, in[MOST_N], taken[MOST_N] = {false};
    make_input(&x, which, csr);
    answer a;
    int32_t rows[MOST_N];
    double weights[MOST_N], heaviest = 0.0;
    size_t kept = 0, d = csr ? x.fd : x.d; /* sparse: f stands in */
    static float part[MOST_N * MOST_D];
    unsigned factor = which % 3 == 0 ? 10 : 2;
    assert_int_equal(ask(find("margin-clustered"), &x.query, factor == 10 ? "{}" : "{\"prefilter\": 2}", &a), AL_OK);
    assert_int_equal(csr, a.picks.note != NULL);
    size_t k = a.picks.count;
    lowest_margins(&x, factor * k < x.n ? factor * k : x.n, in);
    for (size_t i = 0; i < x.n; i++)
      if (in[i]) {
        memcpy(part + kept * d, (csr ? x.f : x.h) + i * d, d * sizeof *part);
        weights[kept] = margin_utility(&x, i);
        heaviest = fmax(heaviest, weights[kept]);
        rows[kept++] = (int32_t)i;
      }
    al_view view = al_view_dense(part, kept, d);
    al_kmeans *m = NULL;
    al_rng rng = x.query.rng;
    assert_int_equal(al_kmeans_make(&m, &view, heaviest > 0.0 ? weights : NULL, k, &rng), AL_OK);
    for (size_t n = 0; n < k; n++) {
      double u[MOST_N];
      size_t at = 0;
      for (size_t i = 0; i < kept; i++) {
        double gap = sqrt(squared_gap(m->centres + (size_t)m->cluster_of[i] * d, part + i * d, d));
        u[i] = n < m->clusters ? (m->cluster_of[i] == (int32_t)n ? -gap : -1e6) : gap;
      }
      while (rows[at] != a.pos[n]) assert_true(++at < kept);
      judge("margin-clustered", which, kept, u, taken, (int32_t)at);
      assert_float_equal(a.scores[n], -fabs(u[at]), 1e-6 * (1.0 + fabs(u[at])));
      taken[at] = true;
    }
    al_kmeans_free(m);
    forget(&a);
  }
}

/* ---- alfa-mix ---- */

/* The first of the 32 steps at which mixing with some class mean changes the argmax, each mixed embedding built in
 * full; 33 for never. *close: some decision hangs on rounding. */
static unsigned mixed_change(const input *x, size_t i, bool *close) {
  const float *p = x->probs + i * x->c, *z = x->h + i * x->d;
  size_t y = argmax(p, x->c);
  double g[MOST_D], length = 0.0;
  unsigned first = 33;
  for (size_t j = 0; j < x->d; j++) {
    g[j] = 0.0;
    for (size_t c = 0; c < x->c; c++) g[j] += (double)x->head[c * x->d + j] * ((double)p[c] - (c == y ? 1.0 : 0.0));
    length += g[j] * g[j];
  }
  length = sqrt(length);
  if (length == 0.0) return first;
  for (size_t k = 0; k < x->c; k++) {
    double mean[MOST_D] = {0}, members = 0.0, apart = 0.0;
    for (size_t l = 0; l < x->m; l++) {
      if (x->labels[l] != (int32_t)k) continue;
      members += 1.0;
      for (size_t j = 0; j < x->d; j++) mean[j] += (double)x->hl[l * x->d + j];
    }
    if (members == 0.0) continue;
    for (size_t j = 0; j < x->d; j++) {
      mean[j] /= members;
      apart += pow(mean[j] - (double)z[j], 2.0);
    }
    apart = sqrt(apart);
    for (unsigned step = 1; step <= 32; step++) {
      double logits[MOST_C], eps = 0.03125 * (double)step / sqrt((double)x->d), most = 0.0;
      size_t best = 0;
      for (size_t c = 0; c < x->c; c++) {
        logits[c] = (double)x->bias[c];
        for (size_t j = 0; j < x->d; j++) {
          double gap = mean[j] - (double)z[j], floored = fabs(gap) >= 1e-8 ? gap : gap < 0.0 ? -1e-8 : 1e-8;
          double alpha = eps * apart * g[j] / (length * floored);
          double mixed = fabs(gap) < 1e-8 ? (double)z[j] + alpha * gap : (1.0 - alpha) * (double)z[j] + alpha * mean[j];
          logits[c] += (double)x->head[c * x->d + j] * mixed;
        }
        most = fmax(most, fabs(logits[c]));
        if (logits[c] > logits[best]) best = c;
      }
      for (size_t c = 0; c < x->c; c++) *close |= c != y && fabs(logits[c] - logits[y]) < 1e-8 * (1.0 + most);
      if (best != y && step < first) first = step;
    }
  }
  return first;
}

static void alfa_mix(void **state) {
  (void)state;
  unsigned judged = 0, part = 0, filled = 0;
  for (unsigned which = 0; which < INPUTS; which++) {
    static input x;
    bool csr = which % 2 == 1, close = false;
    make_input(&x, which, csr);
    if (x.m == 0) continue;
    if (which % 3 != 2) probs_of_head(&x); /* else probabilities that the head does not give: the words still hold */
    if (which % 3 == 1) x.query.batch = 1 + x.n / 8;
    answer a;
    unsigned first[MOST_N];
    int32_t rows[MOST_N], rest[MOST_N];
    static float unit[MOST_N * MOST_D], value[MOST_N * MOST_D];
    int64_t begin[MOST_N + 1];
    static int32_t index[MOST_N * MOST_D];
    size_t kept = 0, sum = 0, left = 0;
    assert_int_equal(ask(find("alfa-mix"), &x.query, "{}", &a), AL_OK);
    size_t k = a.picks.count;
    for (size_t i = 0; i < x.n; i++) first[i] = mixed_change(&x, i, &close);
    if (close) {
      forget(&a);
      continue;
    }
    judged++;
    unsigned last = 0;
    while (last < 32 && sum <= k) {
      last++;
      for (size_t i = 0; i < x.n; i++) sum += first[i] == last;
    }
    for (size_t i = 0; i < x.n; i++) {
      if (first[i] > last) continue;
      double squared = 0.0;
      for (size_t j = 0; j < x.d; j++) squared += (double)x.h[i * x.d + j] * (double)x.h[i * x.d + j];
      for (size_t j = 0; j < x.d; j++)
        unit[kept * x.d + j] = squared > 0.0 ? (float)((double)x.h[i * x.d + j] / sqrt(squared)) : 0.0F;
      rows[kept++] = (int32_t)i;
    }
    part += kept > 0 && kept < x.n && last > 1;
    to_csr(unit, kept, x.d, begin, index, value);
    al_view view = csr ? al_view_csr(begin, index, value, kept, x.d) : al_view_dense(unit, kept, x.d);
    al_kmeans *m = NULL;
    al_rng rng = x.query.rng;
    if (kept != 0) assert_int_equal(al_kmeans_make(&m, &view, NULL, k, &rng), AL_OK);
    size_t clusters = m == NULL ? 0 : m->clusters;
    bool taken[MOST_N] = {false}, gone[MOST_N] = {false};
    for (size_t n = 0; n < clusters; n++) {
      double u[MOST_N];
      size_t at = 0;
      for (size_t i = 0; i < kept; i++) {
        double gap = sqrt(squared_gap(m->centres + (size_t)m->cluster_of[i] * x.d, unit + i * x.d, x.d));
        u[i] = m->cluster_of[i] == (int32_t)n ? -gap : -1e6;
      }
      while (rows[at] != a.pos[n]) assert_true(++at < kept);
      judge("alfa-mix", which, kept, u, taken, (int32_t)at);
      assert_float_equal(a.scores[n], u[at], 1e-6);
      taken[at] = true;
      gone[a.pos[n]] = true;
    }
    for (size_t i = 0; i < x.n; i++)
      if (!gone[i]) rest[left++] = (int32_t)i;
    if (clusters < k) {
      filled++;
      al_rng_sample(&rng, rest, left, k - clusters);
      assert_memory_equal(rest, a.pos + clusters, (k - clusters) * sizeof *rest);
      for (size_t n = clusters; n < k; n++) assert_float_equal(a.scores[n], -2.0, 0.0);
      assert_non_null(a.picks.note);
    }
    al_kmeans_free(m);
    forget(&a);
  }
  assert_true(judged > 150 && part > 30 && filled > 30);
}

/* A gap below the floor moves in proportion; equal coordinates stay. One anchor, two classes, three coordinates. */
static void alfa_mix_floor(void **state) {
  (void)state;
  const float h[2 * 2] = {0.25F, 1.0F, 0.25F, 4.0F}, hl[2] = {0.25F, 2.0F}, head[4] = {1.0F, 0.0F, 0.0F, 0.0F};
  const float bias[2] = {0.0F, -0.75F}, probs[4] = {0.51F, 0.49F, 0.51F, 0.49F};
  const int32_t labels[1] = {0};
  al_query query = {.pool = 2,
                    .labelled = 1,
                    .classes = 2,
                    .batch = 2,
                    .probs = probs,
                    .labels = labels,
                    .h_pool = al_view_dense(h, 2, 2),
                    .h_labelled = al_view_dense(hl, 1, 2),
                    .head = head,
                    .bias = bias};
  answer a;
  /* the head sees only the first coordinate, in which both items already are where the anchor is: no move changes it */
  assert_int_equal(ask(find("alfa-mix"), &query, "{}", &a), AL_OK);
  assert_float_equal(a.scores[0], -2.0, 0.0);
  assert_non_null(strstr(a.picks.note, "2 of 2 picks at random"));
  forget(&a);
  /* an anchor elsewhere: the second item, farther from it, has the longer way and changes */
  const float other[2] = {0.5F, 2.0F};
  query.h_labelled = al_view_dense(other, 1, 2);
  query.batch = 1;
  assert_int_equal(ask(find("alfa-mix"), &query, "{}", &a), AL_OK);
  assert_float_equal(a.scores[0], 0.0, 1e-6);
  assert_null(a.picks.note);
  forget(&a);
}

/* ---- another order of the pool ---- */

/* margin-clustered and typiclust of one cluster draw, but what they draw does not matter: one cluster is one cluster.
 */
static void order_does_not_matter(void **state) {
  (void)state;
  static const char *const names[] = {"k-means", "typiclust", "margin-clustered"};
  for (unsigned which = 3; which < INPUTS; which += 4) { /* kind 3: no ties */
    static input x, y;
    make_input(&x, which, false);
    if (x.d < 4 || x.fd < 4 || x.c == 1) continue;
    x.query.labelled = 0;
    memcpy(&y, &x, sizeof x);
    for (size_t i = 0; i < x.n; i++) {
      size_t from = x.n - 1 - i;
      memcpy(y.probs + i * x.c, x.probs + from * x.c, x.c * sizeof(float));
      memcpy(y.h + i * x.d, x.h + from * x.d, x.d * sizeof(float));
      memcpy(y.f + i * x.fd, x.f + from * x.fd, x.fd * sizeof(float));
    }
    y.query.probs = y.probs;
    y.query.h_pool = al_view_dense(y.h, y.n, y.d);
    y.query.f_pool = al_view_dense(y.f, y.n, y.fd);
    y.query.f_all.kind = x.query.f_all.kind = AL_VIEW_NONE;
    y.query.all_pool = x.query.all_pool = NULL;
    y.query.batch = x.query.batch = 1;
    for (size_t s = 0; s < 3; s++) {
      answer a, b;
      assert_int_equal(ask(find(names[s]), &x.query, "{}", &a), AL_OK);
      assert_int_equal(ask(find(names[s]), &y.query, "{}", &b), AL_OK);
      const float *rows = s == 2 ? x.h : x.f;
      size_t d = s == 2 ? x.d : x.fd, one = (size_t)a.pos[0], other = x.n - 1 - (size_t)b.pos[0];
      assert_float_equal(a.scores[0], b.scores[0], 1e-9 * (1.0 + fabs(a.scores[0])));
      if (memcmp(rows + one * d, rows + other * d, d * sizeof *rows) != 0) {
        print_error("%s, input %u: %zu, and %zu in another order\n", names[s], which, one, other);
        fail();
      }
      forget(&a);
      forget(&b);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(kmeans_plus_plus),
      cmocka_unit_test(lloyd),
      cmocka_unit_test(converged),
      cmocka_unit_test(fewer_distinct_rows_than_clusters),
      cmocka_unit_test(k_means),
      cmocka_unit_test(typiclust),
      cmocka_unit_test(typiclust_of_many),
      cmocka_unit_test(average_linkage),
      cmocka_unit_test(linkage_of_ties),
      cmocka_unit_test(cluster_margin),
      cmocka_unit_test(prepared_once),
      cmocka_unit_test(margin_clustered),
      cmocka_unit_test(alfa_mix),
      cmocka_unit_test(alfa_mix_floor),
      cmocka_unit_test(order_does_not_matter),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
