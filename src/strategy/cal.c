/* cal: contrastive active learning. An item counts by how far the predictions of its nearest labelled items are from
 * its own. Neighbours are looked for among L alone, block by block. */
#include "strategy/pointwise.h"

#include "base/cross.h"
#include "base/memory.h"

#include <math.h>
#include <stdlib.h>

enum { BLOCK = 512, NEIGHBOURS = 10 };

static const al_param params_of_cal[] = {{.key = "normalise",
                                          .type = AL_PARAM_BOOL,
                                          .fallback = "false",
                                          .help = "distances between unit rows, as in the authors' code"},
                                         {0}};

static unsigned needs_of_cal(const json_t *params) {
  (void)params;
  return AL_NEED_PROBS | AL_NEED_PROBS_LABELLED | AL_NEED_EMBEDDINGS | AL_NEED_LABELLED;
}

/* ---- distances ---- */

typedef struct {
  const al_query *query;
  bool normalise;
  al_cross *cross;
  double *norms, *labelled_norms;    /* squared; |U|, |L| */
  float *unit_labelled, *unit_block; /* |L| x D, BLOCK x D: dense unit rows */
  al_view labelled;
} space;

static void unit_rows(const al_view *rows, size_t first, size_t last, const double *norms, float *out) {
  for (size_t i = first; i < last; i++) {
    double scale = norms[i] > 0.0 ? 1.0 / sqrt(norms[i]) : 0.0;
    for (size_t c = 0; c < rows->cols; c++)
      out[(i - first) * rows->cols + c] = (float)(scale * (double)rows->values[i * rows->cols + c]);
  }
}

static al_status space_new(space *s) {
  al_status status;
  const al_query *q = s->query;
  AL_TRY(AL_NEW(&s->norms, q->pool));
  AL_TRY(AL_NEW(&s->labelled_norms, q->labelled));
  al_view_squared_norms(&q->h_pool, s->norms);
  al_view_squared_norms(&q->h_labelled, s->labelled_norms);
  s->labelled = q->h_labelled;
  if (s->normalise && q->h_pool.kind == AL_VIEW_DENSE) {
    AL_TRY(AL_NEW(&s->unit_labelled, q->labelled * q->h_pool.cols));
    AL_TRY(AL_NEW(&s->unit_block, BLOCK * q->h_pool.cols));
    unit_rows(&q->h_labelled, 0, q->labelled, s->labelled_norms, s->unit_labelled);
    s->labelled = al_view_dense(s->unit_labelled, q->labelled, q->h_pool.cols);
  }
  AL_TRY(al_cross_new(&s->cross, &s->labelled));
done:
  return status;
}

static void space_free(space *s) {
  al_cross_free(s->cross);
  free(s->norms);
  free(s->labelled_norms);
  free(s->unit_labelled);
  free(s->unit_block);
}

/* Squared distance of unit rows in doubles: |x/|x| - z/|z||^2 = (|x - z|^2 - (|x| - |z|)^2) / (|x| |z|), which keeps
 * its digits where the rows nearly agree. A row of zeros stays where it is. */
static double unit_distance(const space *s, size_t pos, size_t j) {
  double x = sqrt(s->norms[pos]), z = sqrt(s->labelled_norms[j]);
  if (x == 0.0 || z == 0.0) return (x > 0.0) + (z > 0.0);
  double gap = al_view_squared_distance(&s->query->h_pool, pos, &s->query->h_labelled, j);
  return fmax(0.0, (gap - (x - z) * (x - z)) / (x * z));
}

/* Squared distances of items first .. last - 1 to all of L; out: (last - first) x |L|. */
static void distances(const space *s, size_t first, size_t last, float *out) {
  const al_query *q = s->query;
  if (!s->normalise) {
    al_cross_distances(s->cross, &q->h_pool, s->norms, first, last, out);
    return;
  }
  bool dense = q->h_pool.kind == AL_VIEW_DENSE;
  if (dense) {
    unit_rows(&q->h_pool, first, last, s->norms, s->unit_block);
    al_view block = al_view_dense(s->unit_block, last - first, q->h_pool.cols);
    al_cross_distances(s->cross, &block, NULL, 0, last - first, out);
  } else {
    al_cross_dots(s->cross, &q->h_pool, first, last, out);
  }
  /* What float32 leaves of a small distance: of differences 1e-7 of the unit, of the expansion 1e-7 of its square. */
  float least = dense ? 1e-4F : 2e-2F;
  for (size_t pos = first; pos < last; pos++)
    for (size_t j = 0; j < q->labelled; j++) {
      float *at = &out[(pos - first) * q->labelled + j];
      double scale = sqrt(s->norms[pos]) * sqrt(s->labelled_norms[j]);
      if (!dense && scale > 0.0) *at = (float)(2.0 - 2.0 * (double)*at / scale);
      if (*at < least || scale == 0.0) *at = (float)unit_distance(s, pos, j);
    }
}

/* ---- scores ---- */

typedef struct {
  float distance;
  size_t j;
} neighbour;

/* The min(10, |L|) nearest, ties to the lower position in L. */
static size_t nearest(const float *distance, size_t m, neighbour *best) {
  size_t n = 0;
  for (size_t j = 0; j < m; j++) {
    if (n == NEIGHBOURS && distance[j] >= best[NEIGHBOURS - 1].distance) continue;
    size_t at = n < NEIGHBOURS ? n++ : NEIGHBOURS - 1;
    for (; at > 0 && distance[j] < best[at - 1].distance; at--) best[at] = best[at - 1];
    best[at] = (neighbour){distance[j], j};
  }
  return n;
}

static double floored_log(float p) { return log(fmax((double)p, 1e-12)); }

/* Mean of KL(q || p(x)) = sum_c q_c ln q_c - sum_c q_c ln p_c; negative_entropy: |L|. */
static double divergence(const al_query *query, size_t pos, const neighbour *best, size_t n,
                         const double *negative_entropy) {
  const float *p = query->probs + pos * query->classes;
  double sum = 0.0;
  for (size_t i = 0; i < n; i++) sum += negative_entropy[best[i].j];
  for (size_t c = 0; c < query->classes; c++) {
    double weight = 0.0;
    for (size_t i = 0; i < n; i++) weight += (double)query->probs_labelled[best[i].j * query->classes + c];
    if (weight != 0.0) sum -= weight * floored_log(p[c]);
  }
  return sum / (double)n;
}

static al_status select_cal(const al_query *query, const json_t *params, al_picks *picks) {
  al_status status;
  space s = {.query = query, .normalise = al_params_bool(params, "normalise")};
  size_t m = query->labelled, classes = query->classes;
  double *utility = NULL, *negative_entropy = NULL;
  float *block = NULL;
  AL_TRY(space_new(&s));
  AL_TRY(AL_NEW(&utility, query->pool));
  AL_TRY(AL_NEW(&negative_entropy, m));
  AL_TRY(AL_NEW(&block, BLOCK * m));
  for (size_t j = 0; j < m; j++)
    for (size_t c = 0; c < classes; c++) {
      float q = query->probs_labelled[j * classes + c];
      negative_entropy[j] += (double)q * floored_log(q);
    }
  for (size_t first = 0; first < query->pool; first += BLOCK) {
    size_t last = first + BLOCK < query->pool ? first + BLOCK : query->pool;
    distances(&s, first, last, block);
    for (size_t pos = first; pos < last; pos++) {
      neighbour best[NEIGHBOURS];
      size_t n = nearest(block + (pos - first) * m, m, best);
      utility[pos] = divergence(query, pos, best, n, negative_entropy);
    }
  }
  al_pick_highest(query, utility, picks);
  for (size_t i = 0; i < picks->count; i++) picks->scores[i] = fmax(0.0, picks->scores[i]); /* rounding of sums of p */
done:
  space_free(&s);
  free(utility);
  free(negative_entropy);
  free(block);
  return status;
}

const al_strategy al_strategy_cal = {
    .name = "cal",
    .family = "contrastive",
    .summary = "items whose nearest labelled items are predicted otherwise",
    .definition =
        "Highest mean over the min(10, |L|) labelled items nearest in h (Euclidean; ties: lower position in L) of\n"
        "KL(p(neighbour) || p(x)), probabilities floored at 1e-12 inside the logarithm. normalise: true compares\n"
        "unit rows, as the authors' code does. Neighbours come from L alone, never from U.",
    .citation = "Margatina, Vernikos, Barrault and Aletras 2021",
    .cost = "time O(|U| (|L| D + 10 C)) (CSR: pairs of non-zeros that meet), memory O(|U| + 512 |L| + |L| D)",
    .params = params_of_cal,
    .needs = needs_of_cal,
    .select = select_cal,
};
