/* badge: k-means++ (D^2 sampling) on the gradient of the last layer for the model's own prediction, g = a (outer) h
 * with a = p - e_argmax and no bias. g is never built: a distance comes from two short dot products a pair. */
#include "strategy/pointwise.h"

#include "base/cross.h"
#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const al_param badge_params[] = {
    {.key = "dims",
     .type = AL_PARAM_INT,
     .fallback = "0",
     .min = 0,
     .max = 1e6,
     .help = "project h to this many columns by a seeded Gaussian map (0: not)"},
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

/* a = p - e_argmax; |U| x C */
static al_status residuals(const al_query *query, float **a) {
  al_status status = AL_NEW(a, query->pool * query->classes);
  if (status != AL_OK) return status;
  for (size_t i = 0; i < query->pool; i++) {
    const float *p = query->probs + i * query->classes;
    float *to = *a + i * query->classes;
    size_t best = 0;
    for (size_t c = 0; c < query->classes; c++) {
      to[c] = p[c];
      if (p[c] > p[best]) best = c;
    }
    to[best] -= 1.0F;
  }
  return AL_OK;
}

/* h times a D x dims matrix of N(0, 1/dims), drawn row by row; |U| x dims */
static al_status project(const al_view *h, size_t dims, al_rng rng, float **out) {
  al_status status;
  float *map = NULL;
  double scale = 1.0 / sqrt((double)dims);
  *out = NULL;
  AL_TRY(AL_NEW(&map, h->cols * dims));
  AL_TRY(AL_NEW(out, h->rows * dims));
  for (size_t i = 0; i < h->cols * dims; i++) map[i] = (float)(scale * al_rng_normal(&rng));
  for (size_t i = 0; i < h->rows; i++) {
    float *to = *out + i * dims;
    if (h->kind == AL_VIEW_DENSE)
      for (size_t c = 0; c < h->cols; c++)
        for (size_t d = 0; d < dims; d++) to[d] += h->values[i * h->cols + c] * map[c * dims + d];
    else
      for (int64_t p = h->begin[i]; p < h->end[i]; p++)
        for (size_t d = 0; d < dims; d++) to[d] += h->values[p] * map[(size_t)h->indices[p] * dims + d];
  }
done:
  free(map);
  return status;
}

typedef struct {
  al_view a, h;            /* |U| x C dense; |U| x D */
  double *a_norm, *h_norm; /* squared */
  float *dots_a, *dots_h, *scratch;
  double *weight; /* D^2 to the nearest pick; 0 once picked */
} gradients;

/* |g - g'|^2. Near-duplicates lose all digits in the expansion: there the factored differences, in double. */
static double distance(const gradients *g, size_t i, size_t pick) {
  double own = g->a_norm[i] * g->h_norm[i], other = g->a_norm[pick] * g->h_norm[pick];
  double squared = own + other - 2.0 * (double)g->dots_a[i] * (double)g->dots_h[i];
  if (squared >= 1e-2 * (own + other)) return squared;
  double hh = al_view_dot(&g->h, i, &g->h, pick), h_gap = al_view_squared_distance(&g->h, i, &g->h, pick);
  double a_gap = 0.0, a_mixed = 0.0;
  const float *x = g->a.values + i * g->a.cols, *y = g->a.values + pick * g->a.cols;
  for (size_t c = 0; c < g->a.cols; c++) {
    double difference = (double)x[c] - (double)y[c];
    a_gap += difference * difference;
    a_mixed += (double)x[c] * difference;
  }
  /* h'.(h - h') = h.h' - |h'|^2 */
  squared = g->a_norm[i] * h_gap + a_gap * g->h_norm[pick] + 2.0 * a_mixed * (hh - g->h_norm[pick]);
  return squared > 0.0 ? squared : 0.0;
}

static void take(gradients *g, size_t pick, bool first) {
  al_dots_with_row(&g->a, pick, NULL, g->dots_a);
  al_dots_with_row(&g->h, pick, g->scratch, g->dots_h);
  for (size_t i = 0; i < g->a.rows; i++) {
    if (!first && g->weight[i] == 0.0) continue;
    double squared = distance(g, i, pick);
    if (first || squared < g->weight[i]) g->weight[i] = squared;
  }
  g->weight[pick] = 0.0;
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
  for (size_t i = 1; i < g->a.rows; i++)
    if (g->a_norm[i] * g->h_norm[i] > g->a_norm[best] * g->h_norm[best]) best = i;
  return best;
}

static al_status sample(const al_query *query, gradients *g, bool largest, al_rng *rng, al_picks *picks) {
  bool *picked = NULL;
  size_t k = query->batch < query->pool ? query->batch : query->pool;
  al_status status = AL_NEW(&picked, query->pool);
  if (status != AL_OK) return status;
  for (size_t n = 0; n < k; n++) {
    double total = 0.0;
    size_t pick;
    for (size_t i = 0; n != 0 && i < query->pool; i++) total += g->weight[i];
    if (n == 0 && largest)
      pick = largest_gradient(g);
    else if (total > 0.0)
      pick = al_rng_pick(g->weight, query->pool, total, al_rng_uniform(rng));
    else
      pick = draw_uniform(picked, query->pool, query->pool - n, rng);
    picks->scores[n] = n == 0 ? g->a_norm[pick] * g->h_norm[pick] : g->weight[pick];
    picks->pos[n] = (int32_t)pick;
    picked[pick] = true;
    if (n + 1 < k) take(g, pick, n == 0);
  }
  picks->count = k;
  free(picked);
  return AL_OK;
}

static al_status select_badge(const al_query *query, const json_t *params, al_picks *picks) {
  al_status status;
  gradients g = {.h = query->h_pool};
  float *a = NULL, *projected = NULL;
  size_t dims = (size_t)al_params_int(params, "dims");
  al_rng rng = query->rng;
  AL_TRY(residuals(query, &a));
  g.a = al_view_dense(a, query->pool, query->classes);
  if (dims != 0) {
    AL_TRY(project(&query->h_pool, dims, al_rng_child(&rng, 1), &projected));
    g.h = al_view_dense(projected, query->pool, dims);
  }
  AL_TRY(AL_NEW(&g.a_norm, query->pool));
  AL_TRY(AL_NEW(&g.h_norm, query->pool));
  AL_TRY(AL_NEW(&g.dots_a, query->pool));
  AL_TRY(AL_NEW(&g.dots_h, query->pool));
  AL_TRY(AL_NEW(&g.scratch, g.h.cols));
  AL_TRY(AL_NEW(&g.weight, query->pool));
  al_view_squared_norms(&g.a, g.a_norm);
  al_view_squared_norms(&g.h, g.h_norm);
  AL_TRY(sample(query, &g, strcmp(al_params_string(params, "first"), "largest") == 0, &rng, picks));
done:
  free(a);
  free(projected);
  free(g.a_norm);
  free(g.h_norm);
  free(g.dots_a);
  free(g.dots_h);
  free(g.scratch);
  free(g.weight);
  return status;
}

const al_strategy al_strategy_badge = {
    .name = "badge",
    .family = "gradient",
    .summary = "k-means++ sampling of the last layer's gradients: uncertain and diverse at once",
    .definition =
        "D^2 sampling on g = a (outer) h, a = p - e_argmax, no bias, one draw a pick; L is not counted; the first\n"
        "pick is uniform (first: largest takes the largest |g|). |g - g'|^2 = |a|^2|h|^2 + |a'|^2|h'|^2 -\n"
        "2 (a.a')(h.h'), near-duplicates by differences. All distances 0: uniform over the rest. No repeats.",
    .citation = "Ash, Zhang, Krishnamurthy, Langford and Agarwal 2020",
    .cost = "time O(k |U| (C + D)) (CSR: non-zeros in place of D), memory O(|U| C); g is never built",
    .params = badge_params,
    .needs = needs_of_badge,
    .select = select_badge,
};
