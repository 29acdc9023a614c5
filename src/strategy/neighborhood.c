/* Nearest-neighbour sampling in h, Euclidean or cosine. Distances go block by block against L: memory O(block x |L|).
 */
#include "strategy/pointwise.h"

#include "base/cross.h"
#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 512 };

static const al_param params_of_neighborhood[] = {
    {.key = "metric",
     .type = AL_PARAM_CHOICE,
     .fallback = "\"euclidean\"",
     .choices = "euclidean|cosine",
     .help = "distance in h"},
    {.key = "mode",
     .type = AL_PARAM_CHOICE,
     .fallback = "\"ambiguous\"",
     .choices = "nearest|ambiguous",
     .help = "nearest labelled item of the predicted class, or its distance over that to any other class"},
    {0}};

static unsigned needs_of_neighborhood(const json_t *params) {
  (void)params;
  return AL_NEED_PROBS | AL_NEED_EMBEDDINGS | AL_NEED_LABELLED;
}

typedef struct {
  const al_query *query;
  bool cosine, ambiguous, one_class;
  double *norms, *labelled_norms; /* squared */
} finder;

/* A distance as it counts: `value` is the squared Euclidean or the cosine distance. */
static double distance_of(const finder *f, float value) {
  double distance = f->cosine ? (double)value : sqrt((double)value);
  return distance < 1e-12 ? 1e-12 : distance;
}

static int32_t predicted(const al_query *query, size_t pos) {
  const float *p = query->probs + pos * query->classes;
  size_t best = 0;
  for (size_t c = 1; c < query->classes; c++)
    if (p[c] > p[best]) best = c;
  return (int32_t)best;
}

/* utility, and a rank class: 2 before all others, 1 by utility, 0 last. */
static void score_item(const finder *f, size_t pos, const float *values, double *utility, int *rank) {
  int32_t own = predicted(f->query, pos);
  double same = INFINITY, other = INFINITY;
  for (size_t j = 0; j < f->query->labelled; j++) {
    double distance = distance_of(f, values[j]);
    if (f->one_class || f->query->labels[j] == own)
      same = fmin(same, distance);
    else
      other = fmin(other, distance);
  }
  *rank = 1;
  if (f->one_class) {
    *utility = same; /* far from all that is known */
  } else if (!isfinite(same)) {
    *rank = f->ambiguous ? 2 : 0;
    *utility = 0.0;
  } else {
    *utility = f->ambiguous ? same / other : 1.0 / same;
  }
}

/* Dot products in place into cosine distances; a zero row has cosine 0. Near-duplicates lose their digits in float32:
 * their dot product is formed again in double. */
static void to_cosine_distances(const finder *f, size_t pos, float *row) {
  const al_query *q = f->query;
  for (size_t j = 0; j < q->labelled; j++) {
    double scale = sqrt(f->norms[pos]) * sqrt(f->labelled_norms[j]), dot = (double)row[j];
    if (dot > 0.99 * scale) dot = al_view_dot(&q->h_pool, pos, &q->h_labelled, j);
    row[j] = (float)(1.0 - (scale > 0.0 ? dot / scale : 0.0));
  }
}

static al_status score_all(const finder *f, double *utility, int *rank) {
  al_status status;
  const al_query *q = f->query;
  al_cross *cross = NULL;
  float *values = NULL;
  AL_TRY(al_cross_new(&cross, &q->h_labelled));
  AL_TRY(AL_NEW(&values, BLOCK * q->labelled));
  for (size_t first = 0; first < q->pool; first += BLOCK) {
    size_t last = first + BLOCK < q->pool ? first + BLOCK : q->pool;
    if (f->cosine)
      al_cross_dots(cross, &q->h_pool, first, last, values);
    else
      al_cross_distances(cross, &q->h_pool, f->norms, first, last, values);
    for (size_t pos = first; pos < last; pos++) {
      float *row = values + (pos - first) * q->labelled;
      if (f->cosine) to_cosine_distances(f, pos, row);
      score_item(f, pos, row, &utility[pos], &rank[pos]);
    }
  }
done:
  al_cross_free(cross);
  free(values);
  return status;
}

/* Rank first, then utility, then position: ranks become steps that no utility can bridge. */
static void pick(const al_query *query, const double *utility, const int *rank, al_picks *picks, double *key) {
  double most = 0.0;
  for (size_t pos = 0; pos < query->pool; pos++) most = fmax(most, utility[pos]);
  for (size_t pos = 0; pos < query->pool; pos++)
    key[pos] = rank[pos] == 2 ? most + 1.0 + most : rank[pos] == 1 ? utility[pos] : -1.0;
  al_pick_highest(query, key, picks);
  for (size_t i = 0; i < picks->count; i++)
    if (picks->scores[i] < 0.0) picks->scores[i] = 0.0;
}

static al_status select_neighborhood(const al_query *query, const json_t *params, al_picks *picks) {
  al_status status;
  finder f = {.query = query,
              .cosine = strcmp(al_params_string(params, "metric"), "cosine") == 0,
              .ambiguous = strcmp(al_params_string(params, "mode"), "ambiguous") == 0,
              .one_class = true};
  double *utility = NULL, *key = NULL;
  int *rank = NULL;
  for (size_t j = 1; j < query->labelled; j++) f.one_class = f.one_class && query->labels[j] == query->labels[0];
  AL_TRY(AL_NEW(&f.norms, query->pool));
  AL_TRY(AL_NEW(&f.labelled_norms, query->labelled));
  AL_TRY(AL_NEW(&utility, query->pool));
  AL_TRY(AL_NEW(&key, query->pool));
  AL_TRY(AL_NEW(&rank, query->pool));
  al_view_squared_norms(&query->h_pool, f.norms);
  al_view_squared_norms(&query->h_labelled, f.labelled_norms);
  AL_TRY(score_all(&f, utility, rank));
  pick(query, utility, rank, picks, key);
done:
  free(f.norms);
  free(f.labelled_norms);
  free(utility);
  free(key);
  free(rank);
  return status;
}

const al_strategy al_strategy_neighborhood = {
    .name = "neighborhood",
    .family = "nearest neighbour",
    .summary = "nearest-neighbour sampling in the model's embedding, by distance to labelled items",
    .definition =
        "mode nearest: smallest distance to a labelled item of the predicted class (utility 1/d); none: last.\n"
        "mode ambiguous: that distance over the distance to the nearest labelled item of any other class, highest\n"
        "first; none of the predicted class: before all others. One class in L: distance to it, highest first.\n"
        "Distances below 1e-12 count as 1e-12; a zero row has cosine 0.",
    .citation = "the founding article; compare Cover and Hart 1967",
    .cost = "time O(|U| |L| D) (CSR: pairs of non-zeros that meet), memory O(|U| + |L|)",
    .params = params_of_neighborhood,
    .needs = needs_of_neighborhood,
    .select = select_neighborhood,
};
