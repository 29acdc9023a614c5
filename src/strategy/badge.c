/* badge: k-means++ (D^2 sampling) on the gradient of the last layer for the model's own prediction, g = a (outer) h
 * with a = p - e_argmax and no bias. g is never built: a distance comes from two short dot products a pair. */
#include "strategy/pointwise.h"
#include "strategy/projection.h"

#include "base/memory.h"
#include "base/simd.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const al_param badge_params[] = {
    AL_DIMS_PARAM,
    {.key = "first",
     .type = AL_PARAM_CHOICE,
     .fallback = "\"uniform\"",
     .choices = "uniform|largest",
     .help = "first pick: uniform as in the paper, or the largest gradient as in the authors' code"},
    {0}};

static unsigned needs_of_badge(const json_t *params) {
  (void)params;
  return AL_NEED_PROBS | AL_NEED_EMBEDDINGS;
}

/* Items a block. A block's residuals lie class by class, so that a pick's product with all of them is C steps over
 * BLOCK neighbours; its weights are added up again only when one of them changed. */
enum { BLOCK = 256, AHEAD = 6, CHUNK = 64, FLUSH = 128 };
/* Of |g|^2 + |g'|^2: more than float32 can be off in what follows. */
static const float SLACK = 1e-4F;

typedef struct {
  size_t n, classes;
  al_view h;                                 /* |U| x D */
  float *a;                                  /* ceil(|U| / BLOCK) x C x BLOCK: p - e_argmax */
  float *pick_a;                             /* C: the pick's */
  double *a_norm, *h_norm, *norm;            /* |U|: |a|^2, |h|^2, |g|^2 */
  float *norm_short, *h_length, *weight_top; /* |U|: |g|^2, |h|, weight, for bounds */
  double *weight;                            /* |U|: D^2 to the nearest pick; 0 once picked */
  double *block;                             /* ceil(|U| / BLOCK): sums of weight */
  float *scratch;                            /* D; CSR: the pick's h, scattered */
} gradients;

static const float *residual(const gradients *g, size_t i) {
  return g->a + (i / BLOCK) * g->classes * BLOCK + i % BLOCK; /* of class c: [c * BLOCK] */
}

static void fill_residuals(gradients *g, const float *probs) {
  for (size_t i = 0; i < g->n; i++) {
    const float *p = probs + i * g->classes;
    float *to = g->a + (i / BLOCK) * g->classes * BLOCK + i % BLOCK;
    size_t best = 0;
    for (size_t c = 1; c < g->classes; c++)
      if (p[c] > p[best]) best = c;
    for (size_t c = 0; c < g->classes; c++) {
      float a = c == best ? p[c] - 1.0F : p[c];
      to[c * BLOCK] = a;
      g->a_norm[i] += (double)a * (double)a;
    }
  }
}

AL_SIMD static float dense_product(const float *x, const float *y, size_t n) { return al_product(x, y, n); }

static float h_product(const gradients *g, size_t i, size_t pick) {
  const al_view *h = &g->h;
  if (h->kind == AL_VIEW_DENSE) return dense_product(h->values + i * h->cols, h->values + pick * h->cols, h->cols);
  float sum = 0.0F;
  for (int64_t p = h->begin[i]; p < h->end[i]; p++) sum += h->values[p] * g->scratch[h->indices[p]];
  return sum;
}

/* |g - g'|^2. Near-duplicates lose all digits in the expansion: there the factored differences, in double. */
static double distance(const gradients *g, size_t i, size_t pick, double dot_a) {
  double own = g->norm[i], other = g->norm[pick];
  double squared = own + other - 2.0 * dot_a * (double)h_product(g, i, pick);
  if (squared >= 1e-2 * (own + other)) return squared;
  double hh = al_view_dot(&g->h, i, &g->h, pick), h_gap = al_view_squared_distance(&g->h, i, &g->h, pick);
  double a_gap = 0.0, a_mixed = 0.0;
  const float *x = residual(g, i);
  for (size_t c = 0; c < g->classes; c++) {
    double difference = (double)x[c * BLOCK] - (double)g->pick_a[c];
    a_gap += difference * difference;
    a_mixed += (double)x[c * BLOCK] * difference;
  }
  /* h'.(h - h') = h.h' - |h'|^2 */
  squared = g->a_norm[i] * h_gap + a_gap * g->h_norm[pick] + 2.0 * a_mixed * (hh - g->h_norm[pick]);
  return squared > 0.0 ? squared : 0.0;
}

/* a.a' of a block's items, and whose distance to the pick could be below its weight: |h.h'| <= |h||h'|. What is not a
 * number counts as open. */
AL_SIMD static void look(const gradients *g, size_t block, float other, float other_length, float *restrict dots,
                         int32_t *restrict open) {
  const float *a = g->a + block * g->classes * BLOCK, *pick_a = g->pick_a;
  const float *norm = g->norm_short + block * BLOCK, *h_length = g->h_length + block * BLOCK;
  const float *weight = g->weight_top + block * BLOCK;
  for (size_t from = 0; from < BLOCK; from += CHUNK) {
    float sums[CHUNK] = {0}, flushed[CHUNK] = {0};
    for (size_t c = 0; c < g->classes; c++) {
      for (size_t l = 0; l < CHUNK; l++) sums[l] += a[c * BLOCK + from + l] * pick_a[c];
      if (c % FLUSH != FLUSH - 1) continue;
      for (size_t l = 0; l < CHUNK; l++) {
        flushed[l] += sums[l];
        sums[l] = 0.0F;
      }
    }
    for (size_t l = 0; l < CHUNK; l++) {
      float dot = flushed[l] + sums[l];
      float bound = (1.0F - SLACK) * (norm[from + l] + other) - 2.0F * fabsf(dot) * h_length[from + l] * other_length;
      dots[from + l] = dot;
      open[from + l] = !(bound >= weight[from + l]);
    }
  }
}

AL_SIMD static double sum_of(const double *weight, size_t n) {
  double lanes[AL_LANES] = {0}, sum = 0.0;
  size_t i = 0;
  for (; i + AL_LANES <= n; i += AL_LANES)
    for (size_t l = 0; l < AL_LANES; l++) lanes[l] += weight[i + l];
  for (; i < n; i++) sum += weight[i];
  for (size_t l = 0; l < AL_LANES; l++) sum += lanes[l];
  return sum;
}

/* Rows are far apart in memory: asked for before they are needed. */
static void fetch_ahead(const gradients *g, size_t i) {
  if (g->h.kind != AL_VIEW_DENSE) return;
  const float *row = g->h.values + i * g->h.cols;
  for (size_t c = 0; c < g->h.cols && c < 512; c += AL_LANES) __builtin_prefetch(row + c);
}

static void set_weight(gradients *g, size_t i, double weight) {
  g->weight[i] = weight;
  g->weight_top[i] = (float)weight;
}

/* Weights fall to the distances to the pick. Most are left after a look at residuals and lengths, h unread. */
static void take(gradients *g, size_t pick) {
  float dots[BLOCK], other = g->norm_short[pick], other_length = g->h_length[pick];
  int32_t open[BLOCK], listed[BLOCK];
  for (size_t c = 0; c < g->classes; c++) g->pick_a[c] = residual(g, pick)[c * BLOCK];
  if (g->h.kind == AL_VIEW_CSR)
    for (int64_t p = g->h.begin[pick]; p < g->h.end[pick]; p++) g->scratch[g->h.indices[p]] = g->h.values[p];
  for (size_t first = 0; first < g->n; first += BLOCK) {
    size_t size = g->n - first < BLOCK ? g->n - first : BLOCK, kept = 0;
    bool changed = pick - first < size;
    if (changed) set_weight(g, pick, 0.0); /* never again */
    look(g, first / BLOCK, other, other_length, dots, open);
    for (size_t l = 0; l < size; l++)
      if (open[l]) listed[kept++] = (int32_t)l;
    for (size_t j = 0; j < kept; j++) {
      size_t i = first + (size_t)listed[j];
      if (j + AHEAD < kept) fetch_ahead(g, first + (size_t)listed[j + AHEAD]);
      if (g->weight[i] == 0.0) continue;
      double squared = distance(g, i, pick, (double)dots[listed[j]]);
      if (squared >= g->weight[i]) continue;
      set_weight(g, i, squared);
      changed = true;
    }
    if (changed) g->block[first / BLOCK] = sum_of(g->weight + first, size);
  }
  if (g->h.kind == AL_VIEW_CSR)
    for (int64_t p = g->h.begin[pick]; p < g->h.end[pick]; p++) g->scratch[g->h.indices[p]] = 0.0F;
}

/* Inverse CDF in pool order: the block, then the item. */
static size_t draw_weighted(const gradients *g, double total, double u) {
  size_t n = g->n, blocks = (n + BLOCK - 1) / BLOCK, found = 0;
  double target = u * total, sum = 0.0, before = 0.0;
  for (size_t b = 0; b < blocks; b++) {
    if (g->block[b] <= 0.0) continue;
    before = sum;
    sum += g->block[b];
    found = b;
    if (sum > target) break;
  }
  size_t first = found * BLOCK, size = n - first < BLOCK ? n - first : BLOCK;
  return first + al_rng_pick(g->weight + first, size, 1.0, target - before);
}

/* Uniform over what is not yet picked. */
static size_t draw_uniform(const bool *picked, size_t n, size_t left, al_rng *rng) {
  size_t skip = (size_t)al_rng_below(rng, left);
  for (size_t i = 0; i < n; i++)
    if (!picked[i] && skip-- == 0) return i;
  return n - 1;
}

static size_t largest_gradient(const gradients *g) {
  size_t best = 0;
  for (size_t i = 1; i < g->n; i++)
    if (g->norm[i] > g->norm[best]) best = i;
  return best;
}

static al_status sample(const al_query *query, gradients *g, bool largest, al_rng *rng, al_picks *picks) {
  bool *picked = NULL;
  size_t k = query->batch < query->pool ? query->batch : query->pool;
  al_status status = AL_NEW(&picked, query->pool);
  if (status != AL_OK) return status;
  for (size_t n = 0; n < k; n++) {
    size_t pick;
    double total = n == 0 ? 0.0 : sum_of(g->block, (query->pool + BLOCK - 1) / BLOCK);
    if (n == 0 && largest)
      pick = largest_gradient(g);
    else if (total > 0.0)
      pick = draw_weighted(g, total, al_rng_uniform(rng));
    else
      pick = draw_uniform(picked, query->pool, query->pool - n, rng);
    picks->scores[n] = n == 0 ? g->norm[pick] : g->weight[pick];
    picks->pos[n] = (int32_t)pick;
    picked[pick] = true;
    if (n + 1 < k) take(g, pick);
  }
  picks->count = k;
  free(picked);
  return AL_OK;
}

static al_status gradients_new(gradients *g, const al_query *query) {
  al_status status;
  size_t n = query->pool, blocks = (n + BLOCK - 1) / BLOCK;
  g->n = n;
  g->classes = query->classes;
  AL_TRY(AL_NEW(&g->a, blocks * BLOCK * g->classes));
  AL_TRY(AL_NEW(&g->pick_a, g->classes));
  AL_TRY(AL_NEW(&g->a_norm, n));
  AL_TRY(AL_NEW(&g->h_norm, n));
  AL_TRY(AL_NEW(&g->norm, n));
  AL_TRY(AL_NEW(&g->norm_short, blocks * BLOCK));
  AL_TRY(AL_NEW(&g->h_length, blocks * BLOCK));
  AL_TRY(AL_NEW(&g->weight_top, blocks * BLOCK));
  AL_TRY(AL_NEW(&g->weight, n));
  AL_TRY(AL_NEW(&g->block, blocks));
  AL_TRY(AL_NEW(&g->scratch, g->h.cols));
  fill_residuals(g, query->probs);
  al_view_squared_norms(&g->h, g->h_norm);
  for (size_t i = 0; i < n; i++) {
    g->norm[i] = g->a_norm[i] * g->h_norm[i];
    g->norm_short[i] = (float)g->norm[i];
    g->h_length[i] = (float)sqrt(g->h_norm[i]);
    set_weight(g, i, INFINITY);
  }
done:
  return status;
}

static void gradients_free(gradients *g) {
  void *blocks[] = {g->a,        g->pick_a,     g->a_norm, g->h_norm, g->norm,   g->norm_short,
                    g->h_length, g->weight_top, g->weight, g->block,  g->scratch};
  for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) free(blocks[i]);
}

static al_status select_badge(const al_query *query, const json_t *params, al_picks *picks) {
  al_status status = AL_OK;
  gradients g = {.h = query->h_pool};
  float *projected = NULL;
  double *map = NULL;
  size_t dims = (size_t)al_params_int(params, "dims");
  al_rng rng = query->rng;
  if (dims != 0) {
    AL_TRY(al_gaussian_map(&map, query->h_pool.cols, dims, al_rng_child(&rng, 1)));
    AL_TRY(al_project(&projected, &query->h_pool, map, dims));
    g.h = al_view_dense(projected, query->pool, dims);
  }
  AL_TRY(gradients_new(&g, query));
  AL_TRY(sample(query, &g, strcmp(al_params_string(params, "first"), "largest") == 0, &rng, picks));
done:
  gradients_free(&g);
  free(projected);
  free(map);
  return status;
}

const al_strategy al_strategy_badge = {
    .name = "badge",
    .family = "gradient",
    .summary = "k-means++ sampling of the last layer's gradients: uncertain and diverse at once",
    .definition =
        "D^2 sampling on g = a (outer) h, a = p - e_argmax, no bias, one draw a pick; L is not counted; the first\n"
        "pick is uniform (first: largest takes the largest |g|). |g - g'|^2 = |a|^2|h|^2 + |a'|^2|h'|^2 -\n"
        "2 (a.a')(h.h'), near-duplicates by differences. All distances 0: uniform over the rest. No repeats.\n"
        "dims: d first maps h by a seeded Gaussian matrix with entries N(0, 1/d).",
    .citation = "Ash, Zhang, Krishnamurthy, Langford and Agarwal 2020",
    .cost =
        "time at most O(k |U| (C + D)) (CSR: non-zeros in place of D), as a rule O(k |U| C): h is read only where |g|\n"
        "and a leave it open whether the pick is nearer; memory O(|U| C); g is never built",
    .params = badge_params,
    .needs = needs_of_badge,
    .select = select_badge,
};
