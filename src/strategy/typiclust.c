/* typiclust: clusters of everything, and from each the item in the densest place: the one whose neighbours within the
 * cluster are nearest on average. Neighbours are found by blocked products; their distances are then taken anew in
 * double, so that dense places far from a cluster's centre are told apart too. */
#include "base/cross.h"
#include "base/memory.h"
#include "base/simd.h"
#include "base/topk.h"
#include "strategy/kmeans.h"
#include "strategy/space.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_CLUSTERS = 500, SMALL_CLUSTER = 5, MOST_NEIGHBOURS = 20, CHUNK = 64, PRODUCTS = 1 << 22, MOST_BLOCK = 256 };

static const double least_mean = 1e-12;

static const al_param typiclust_params[] = {AL_SPACE_PARAM, {0}};

/* ---- typicality ---- */

/* The s items that are compared with one another. */
typedef struct {
  const al_view *rows;
  const int32_t *members; /* s rows, ascending */
  size_t s, neighbours, block;
  float *gathered; /* dense: s x D, minus the cluster's centre */
  al_view sparse;  /* CSR: the members' rows */
  al_subset subset;
  al_cross *cross;
  double *lengths, longest; /* s: squared norms of what is multiplied; the largest norm */
  float *norms;             /* s: the same */
  float *products;          /* block x s */
  float *least;             /* a chunk's least value; one for every CHUNK of s */
  int32_t *candidates, *chosen;
  double *closeness; /* s: minus the squared distance of a candidate */
} crowd;

AL_SIMD static void subtract(const float *restrict x, const float *restrict origin, size_t n, float *restrict out) {
  for (size_t d = 0; d < n; d++) out[d] = x[d] - origin[d];
}

/* products[j] becomes norms[j] - 2 products[j], the squared distance less the row's own norm. */
AL_SIMD static void expand(float *restrict products, const float *restrict norms, size_t n, float *restrict least) {
  for (size_t first = 0; first < n; first += CHUNK) {
    size_t last = first + CHUNK < n ? first + CHUNK : n;
    float lanes[AL_LANES], lowest;
    for (size_t l = 0; l < AL_LANES; l++) lanes[l] = INFINITY;
    size_t j = first;
    for (; j + AL_LANES <= last; j += AL_LANES)
      for (size_t l = 0; l < AL_LANES; l++) {
        float value = norms[j + l] - 2.0F * products[j + l];
        products[j + l] = value;
        lanes[l] = value < lanes[l] ? value : lanes[l];
      }
    for (; j < last; j++) {
      products[j] = norms[j] - 2.0F * products[j];
      lanes[0] = products[j] < lanes[0] ? products[j] : lanes[0];
    }
    lowest = lanes[0];
    for (size_t l = 1; l < AL_LANES; l++) lowest = lanes[l] < lowest ? lanes[l] : lowest;
    least[first / CHUNK] = lowest;
  }
}

/* Puts a value in place of a heap's top, the largest of its k. */
static void replace_top(float *heap, size_t k, float value) {
  size_t at = 0;
  for (;;) {
    size_t child = 2 * at + 1;
    if (child >= k) break;
    if (child + 1 < k && heap[child + 1] > heap[child]) child++;
    if (heap[child] <= value) break;
    heap[at] = heap[child];
    at = child;
  }
  heap[at] = value;
}

/* The k-th least of n values. least: of every CHUNK of them. */
static float kth_least(const float *values, const float *least, size_t n, size_t k) {
  float heap[MOST_NEIGHBOURS];
  for (size_t i = 0; i < MOST_NEIGHBOURS; i++) heap[i] = INFINITY;
  for (size_t first = 0; first < n; first += CHUNK) {
    if (least[first / CHUNK] >= heap[0]) continue;
    for (size_t j = first; j < n && j < first + CHUNK; j++)
      if (values[j] < heap[0]) replace_top(heap, k, values[j]);
  }
  return heap[0];
}

/* Mean distance of member i to its nearest, given what `expand` made of its products. */
static double mean_distance(crowd *c, size_t i, const float *values, const float *least) {
  size_t row = (size_t)c->members[i], n = 0;
  size_t terms = c->rows->kind == AL_VIEW_DENSE ? c->rows->cols : (size_t)(c->rows->end[row] - c->rows->begin[row]);
  double error =
      0x1p-24 * ((2.0 * (double)terms + 8.0) * sqrt(c->lengths[i]) * c->longest + 2.0 * c->longest * c->longest);
  double limit = (double)kth_least(values, least, c->s, c->neighbours) + 2.5 * error, sum = 0.0;
  for (size_t first = 0; first < c->s; first += CHUNK) {
    if ((double)least[first / CHUNK] > limit) continue;
    for (size_t j = first; j < c->s && j < first + CHUNK; j++)
      if (j != i && (double)values[j] <= limit) c->candidates[n++] = (int32_t)j;
  }
  for (size_t j = 0; j < n; j++)
    c->closeness[j] = -al_view_squared_distance(c->rows, row, c->rows, (size_t)c->members[c->candidates[j]]);
  al_top_k(c->closeness, n, c->neighbours, c->chosen);
  for (size_t j = 0; j < c->neighbours; j++) sum += sqrt(-c->closeness[c->chosen[j]]);
  return sum / (double)c->neighbours;
}

static void crowd_free(crowd *c) {
  al_cross_free(c->cross);
  al_subset_free(&c->subset);
  void *blocks[] = {c->gathered, c->lengths, c->norms, c->products, c->least, c->candidates, c->chosen, c->closeness};
  for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) free(blocks[i]);
}

static al_status crowd_open(crowd *c, const double *centre) {
  al_status status;
  size_t cols = c->rows->cols;
  float *origin = NULL;
  c->block = PRODUCTS / c->s;
  c->block = c->block < 8 ? 8 : c->block > MOST_BLOCK ? MOST_BLOCK : c->block;
  AL_TRY(AL_NEW(&c->lengths, c->s));
  AL_TRY(AL_NEW(&c->norms, c->s));
  AL_TRY(AL_NEW(&c->products, c->block * c->s));
  AL_TRY(AL_NEW(&c->least, c->s / CHUNK + 1));
  AL_TRY(AL_NEW(&c->candidates, c->s));
  AL_TRY(AL_NEW(&c->chosen, c->s));
  AL_TRY(AL_NEW(&c->closeness, c->s));
  if (c->rows->kind == AL_VIEW_DENSE) {
    AL_TRY(AL_NEW(&c->gathered, c->s * cols));
    AL_TRY(AL_NEW(&origin, cols));
    for (size_t d = 0; d < cols; d++) origin[d] = (float)centre[d];
    for (size_t i = 0; i < c->s; i++)
      subtract(c->rows->values + (size_t)c->members[i] * cols, origin, cols, c->gathered + i * cols);
    al_view centred = al_view_dense(c->gathered, c->s, cols);
    al_view_squared_norms(&centred, c->lengths);
  } else {
    AL_TRY(al_view_take(&c->sparse, c->rows, c->members, c->s, &c->subset));
    AL_TRY(al_cross_new(&c->cross, &c->sparse));
    al_view_squared_norms(&c->sparse, c->lengths);
  }
  for (size_t i = 0; i < c->s; i++) {
    c->norms[i] = (float)c->lengths[i];
    c->longest = fmax(c->longest, sqrt(c->lengths[i]));
  }
done:
  free(origin);
  return status;
}

/* The most typical of s rows of a cluster (ties: the lowest row), as an index into `members`, and its typicality. A
 * single one has no neighbours: it, with typicality 0. */
static al_status most_typical(const al_view *rows, const int32_t *members, size_t s, const double *centre, size_t *best,
                              double *typicality) {
  al_status status = AL_OK;
  size_t neighbours = s / 2 < 1 ? 1 : s / 2 > MOST_NEIGHBOURS ? MOST_NEIGHBOURS : s / 2;
  crowd c = {.rows = rows, .members = members, .s = s, .neighbours = neighbours};
  double lowest = INFINITY;
  *best = 0;
  *typicality = 0.0;
  if (s < 2) return AL_OK;
  AL_TRY(crowd_open(&c, centre));
  for (size_t first = 0; first < s; first += c.block) {
    size_t last = first + c.block < s ? first + c.block : s;
    if (c.cross == NULL)
      cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)(last - first), (int)s, (int)rows->cols, 1.0F,
                  c.gathered + first * rows->cols, (int)rows->cols, c.gathered, (int)rows->cols, 0.0F, c.products,
                  (int)s);
    else
      al_cross_dots(c.cross, &c.sparse, first, last, c.products);
    for (size_t i = first; i < last; i++) {
      float *values = c.products + (i - first) * s;
      values[i] = -INFINITY; /* not its own neighbour: infinitely far */
      expand(values, c.norms, s, c.least);
      double mean = mean_distance(&c, i, values, c.least);
      mean = mean < least_mean ? least_mean : mean;
      if (mean < lowest) {
        lowest = mean;
        *best = i;
      }
    }
  }
  *typicality = 1.0 / lowest;
done:
  crowd_free(&c);
  return status;
}

/* ---- the order of clusters ---- */

typedef struct {
  size_t labels, left; /* labelled members; members that can still be picked */
  int32_t *members;    /* left: rows, ascending */
  size_t cluster;      /* which stand by size, then lowest row */
} group;

static int by_labels(const void *a, const void *b) {
  const group *x = a, *y = b;
  if (x->labels != y->labels) return x->labels < y->labels ? -1 : 1;
  return (x->cluster > y->cluster) - (x->cluster < y->cluster);
}

/* Takes from the groups in turn until k picks are made or all are empty. */
static al_status take_turns(group *groups, size_t n, const al_both *both, const al_kmeans *kmeans, size_t k,
                            al_picks *picks) {
  for (bool any = true; any && picks->count < k;) {
    any = false;
    for (size_t g = 0; g < n && picks->count < k; g++) {
      group *from = &groups[g];
      size_t best = 0;
      if (from->left == 0) continue;
      any = true;
      al_status status =
          most_typical(&both->view, from->members, from->left, kmeans->centres + from->cluster * kmeans->cols, &best,
                       &picks->scores[picks->count]);
      if (status != AL_OK) return status;
      picks->pos[picks->count++] = both->source[from->members[best]];
      from->left--;
      memmove(from->members + best, from->members + best + 1, (from->left - best) * sizeof *from->members);
    }
  }
  return AL_OK;
}

static al_status pick_typical(const al_both *both, const al_kmeans *kmeans, size_t k, al_picks *picks) {
  al_status status;
  group *groups = NULL;
  int32_t *members = NULL;
  size_t kept = 0, at = 0;
  AL_TRY(AL_NEW(&groups, kmeans->clusters));
  AL_TRY(AL_NEW(&members, both->n));
  for (size_t j = 0; j < kmeans->clusters; j++) {
    groups[j] = (group){.cluster = j, .members = members + at};
    at += kmeans->size[j];
    kept += kmeans->size[j] > SMALL_CLUSTER; /* by size: these come first */
  }
  for (size_t row = 0; row < both->n; row++) {
    group *own = &groups[kmeans->cluster_of[row]];
    if (both->source[row] < 0)
      own->labels++;
    else
      own->members[own->left++] = (int32_t)row;
  }
  qsort(groups, kept, sizeof *groups, by_labels);
  qsort(groups + kept, kmeans->clusters - kept, sizeof *groups, by_labels);
  picks->count = 0;
  AL_TRY(take_turns(groups, kept, both, kmeans, k, picks));
  AL_TRY(take_turns(groups + kept, kmeans->clusters - kept, both, kmeans, k, picks));
done:
  free(groups);
  free(members);
  return status;
}

static al_status select_typiclust(const al_query *query, const json_t *params, al_picks *picks) {
  al_status status;
  al_both both = {0};
  al_kmeans *kmeans = NULL;
  al_rng rng = query->rng;
  size_t k = query->batch < query->pool ? query->batch : query->pool, clusters = query->labelled + k;
  AL_TRY(al_both_make(&both, query, params));
  AL_TRY(al_kmeans_make(&kmeans, &both.view, NULL, clusters < MOST_CLUSTERS ? clusters : MOST_CLUSTERS, &rng));
  AL_TRY(pick_typical(&both, kmeans, k, picks));
done:
  al_kmeans_free(kmeans);
  al_both_free(&both);
  return status;
}

const al_strategy al_strategy_typiclust = {
    .name = "typiclust",
    .family = "diversity",
    .summary = "the most typical item of each of the clusters that have the fewest labels",
    .definition =
        "k-means of L and U on f with min(|L| + k, 500, N) clusters. Clusters of 5 or fewer members are dropped\n"
        "(none, if all are). In turn, fewest labels first, then largest, then lowest row, again from the start when\n"
        "k exceeds their number, passing over those that have nothing left; then the dropped ones likewise. Of a\n"
        "cluster's s unpicked unlabelled members the highest typicality = 1 / mean Euclidean distance to the\n"
        "min(20, max(1, floor(s/2))) nearest among them; a mean below 1e-12 counts as 1e-12; s = 1: it, printed as\n"
        "typicality 0. (The authors' code squares the distances.)",
    .citation = "Hacohen, Dekel and Weinshall 2022",
    .cost =
        "time O(min(|L| + k, 500) N D) a round of k-means, at most 100, of which exact bounds skip part, and\n"
        "O(s^2 D) for each cluster visited (CSR: non-zeros in place of D); memory O(N), plus a copy of the largest\n"
        "cluster visited, plus with space: embedding one of all rows",
    .multi = true,
    .params = typiclust_params,
    .needs = al_space_needs,
    .select = select_typiclust,
};
