/* Average linkage by nearest-neighbour chains (Murtagh 1983): follow nearest neighbours until two clusters are each
 * other's, merge these, go on from what is left of the chain. Average linkage never brings a merged cluster nearer to a
 * third than its nearer part was, so the order of merging does not matter, and sorting by height gives the dendrogram.
 */
#include "strategy/hac.h"

#include "base/cross.h"
#include "base/memory.h"
#include "strategy/closest.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 64 };

static float *between(float *distances, size_t i, size_t j) {
  return i > j ? &distances[i * (i - 1) / 2 + j] : &distances[j * (j - 1) / 2 + i];
}

/* ---- the dendrogram ---- */

typedef struct {
  float *distances;
  size_t alive;    /* clusters left */
  int32_t *active; /* n: their lowest items, ascending */
  int32_t *size;   /* n, by lowest item */
  float *height;   /* n: at which that cluster was made */
  int32_t *chain;  /* n */
  size_t length;
} chains;

/* Nearest cluster of `top`; `previous` (or -1) wins ties, then the lowest. */
static int32_t nearest_cluster(chains *c, int32_t top, int32_t previous) {
  int32_t best = previous;
  float least = previous < 0 ? INFINITY : *between(c->distances, (size_t)top, (size_t)previous);
  size_t i = 0, row = top == 0 ? 0 : (size_t)top * ((size_t)top - 1) / 2;
  for (; i < c->alive && c->active[i] < top; i++) {
    float distance = c->distances[row + (size_t)c->active[i]];
    if (distance < least || best < 0) {
      least = distance;
      best = c->active[i];
    }
  }
  for (i += i < c->alive && c->active[i] == top; i < c->alive; i++) {
    size_t other = (size_t)c->active[i];
    float distance = c->distances[other * (other - 1) / 2 + (size_t)top];
    if (distance < least || best < 0) {
      least = distance;
      best = (int32_t)other;
    }
  }
  return best;
}

/* Clusters a < b become one under a's name. */
static void merge_two(chains *c, size_t a, size_t b, al_merge *merge) {
  double first = (double)c->size[a], second = (double)c->size[b];
  float height = *between(c->distances, a, b);
  size_t gone = 0;
  for (size_t i = 0; i < c->alive; i++) {
    size_t other = (size_t)c->active[i];
    if (other == b) gone = i;
    if (other == a || other == b) continue;
    float *to = between(c->distances, a, other);
    *to = (float)((first * (double)*to + second * (double)*between(c->distances, b, other)) / (first + second));
  }
  /* rounding may leave a parent a trifle below its child */
  height = fmaxf(height, fmaxf(c->height[a], c->height[b]));
  c->height[a] = height;
  c->size[a] += c->size[b];
  c->alive--;
  memmove(c->active + gone, c->active + gone + 1, (c->alive - gone) * sizeof *c->active);
  *merge = (al_merge){.a = (int32_t)a, .b = (int32_t)b, .height = height};
}

typedef struct {
  al_merge merge;
  size_t order;
} made;

static int by_height(const void *x, const void *y) {
  const made *a = x, *b = y;
  if (a->merge.height != b->merge.height) return a->merge.height < b->merge.height ? -1 : 1;
  return (a->order > b->order) - (a->order < b->order);
}

static void run_chains(chains *c, size_t n, made *merges) {
  for (size_t m = 0; m + 1 < n; m++) {
    for (;;) {
      if (c->length == 0) c->chain[c->length++] = c->active[0];
      int32_t top = c->chain[c->length - 1], previous = c->length > 1 ? c->chain[c->length - 2] : -1;
      int32_t next = nearest_cluster(c, top, previous);
      if (next != previous) {
        c->chain[c->length++] = next;
        continue;
      }
      c->length -= 2;
      size_t a = (size_t)(top < next ? top : next), b = (size_t)(top < next ? next : top);
      merge_two(c, a, b, &merges[m].merge);
      merges[m].order = m;
      break;
    }
  }
}

al_status al_average_linkage(float *distances, size_t n, al_merge *merges) {
  al_status status;
  chains c = {.distances = distances, .alive = n};
  made *sorted = NULL;
  AL_TRY(AL_NEW(&c.active, n));
  AL_TRY(AL_NEW(&c.size, n));
  AL_TRY(AL_NEW(&c.height, n));
  AL_TRY(AL_NEW(&c.chain, n));
  AL_TRY(AL_NEW(&sorted, n));
  for (size_t i = 0; i < n; i++) {
    c.active[i] = (int32_t)i;
    c.size[i] = 1;
  }
  run_chains(&c, n, sorted);
  if (n > 1) qsort(sorted, n - 1, sizeof *sorted, by_height);
  for (size_t i = 0; i + 1 < n; i++) merges[i] = sorted[i].merge;
done:
  free(c.active);
  free(c.size);
  free(c.height);
  free(c.chain);
  free(sorted);
  return status;
}

/* ---- clusters of a view's rows ---- */

/* Euclidean distances of all pairs of rows, block by block against the rows from there on. */
static al_status all_distances(const al_view *rows, float *distances) {
  al_status status = AL_OK;
  size_t n = rows->rows;
  float *block = NULL;
  double *norms = NULL;
  al_cross *cross = NULL;
  AL_TRY(AL_NEW(&block, n * BLOCK));
  AL_TRY(AL_NEW(&norms, n));
  if (rows->kind == AL_VIEW_CSR) al_view_squared_norms(rows, norms);
  for (size_t first = 0; first < n; first += BLOCK) {
    size_t last = first + BLOCK < n ? first + BLOCK : n;
    al_view fixed = *rows; /* rows 0 .. last - 1: the lower triangle */
    fixed.rows = last;
    AL_TRY(al_cross_new(&cross, &fixed));
    al_cross_distances(cross, rows, norms, first, last, block);
    al_cross_free(cross);
    cross = NULL;
    for (size_t i = first; i < last; i++)
      for (size_t j = 0; j < i; j++) *between(distances, i, j) = sqrtf(block[(i - first) * last + j]);
  }
done:
  al_cross_free(cross);
  free(block);
  free(norms);
  return status;
}

static int32_t root_of(int32_t *parent, int32_t i) {
  while (parent[i] != i) i = parent[i] = parent[parent[i]];
  return i;
}

/* cluster_of (n): an item of its cluster, the lowest. */
static al_status cut(const al_view *rows, size_t size, int32_t *cluster_of) {
  al_status status;
  size_t n = rows->rows, merged = n < size ? n - 1 : n - n / size;
  float *distances = NULL;
  al_merge *merges = NULL;
  AL_TRY(AL_NEW(&distances, n * (n - 1) / 2));
  AL_TRY(AL_NEW(&merges, n));
  AL_TRY(all_distances(rows, distances));
  AL_TRY(al_average_linkage(distances, n, merges));
  while (merged > 0 && merged + 1 < n && merges[merged].height <= merges[merged - 1].height) merged++;
  for (size_t i = 0; i < n; i++) cluster_of[i] = (int32_t)i;
  for (size_t m = 0; m < merged; m++) {
    int32_t a = root_of(cluster_of, merges[m].a), b = root_of(cluster_of, merges[m].b);
    cluster_of[a > b ? a : b] = a > b ? b : a;
  }
  for (size_t i = 0; i < n; i++) cluster_of[i] = root_of(cluster_of, (int32_t)i);
done:
  free(distances);
  free(merges);
  return status;
}

static int ascending(const void *a, const void *b) {
  int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
  return (x > y) - (x < y);
}

/* nearest[row] = the index of its nearest item, for the rows that rest[0 .. n-1] names. */
static al_status join(const al_view *rows, const al_view *items, const int32_t *rest, size_t n, int32_t *nearest) {
  al_status status;
  size_t m = items->rows;
  double *points = NULL, *norms = NULL;
  float *distances = NULL;
  al_closest *closest = NULL;
  al_cross *cross = NULL;
  if (rows->kind == AL_VIEW_DENSE) {
    AL_TRY(AL_NEW(&points, m * rows->cols));
    for (size_t i = 0; i < m * rows->cols; i++) points[i] = (double)items->values[i];
    AL_TRY(al_closest_new(&closest, rows->kind, m, rows->cols));
    al_closest_points(closest, points);
    al_closest_find(closest, rows, rest, n, nearest, NULL, NULL);
  } else {
    AL_TRY(AL_NEW(&norms, rows->rows));
    AL_TRY(AL_NEW(&distances, m));
    AL_TRY(al_cross_new(&cross, items));
    al_view_squared_norms(rows, norms);
    for (size_t i = 0; i < n; i++) {
      size_t row = (size_t)rest[i], best = 0;
      al_cross_distances(cross, rows, norms, row, row + 1, distances);
      for (size_t j = 1; j < m; j++)
        if (distances[j] < distances[best]) best = j;
      nearest[row] = (int32_t)best;
    }
  }
done:
  al_closest_free(closest);
  al_cross_free(cross);
  free(points);
  free(norms);
  free(distances);
  return status;
}

al_status al_hac_clusters(const al_view *rows, size_t most, size_t size, al_rng *rng, int32_t *cluster_of) {
  al_status status;
  size_t n = rows->rows, m = n < most ? n : most;
  int32_t *order = NULL, *of_item = NULL, *number = NULL;
  al_subset subset = {0};
  al_view items = *rows;
  AL_TRY(AL_NEW(&order, n));
  AL_TRY(AL_NEW(&of_item, m));
  AL_TRY(AL_NEW(&number, m));
  for (size_t i = 0; i < n; i++) order[i] = (int32_t)i;
  if (m < n) {
    al_rng_sample(rng, order, n, m);
    qsort(order, m, sizeof *order, ascending);
    AL_TRY(al_view_take(&items, rows, order, m, &subset));
    AL_TRY(join(rows, &items, order + m, n - m, cluster_of));
  }
  for (size_t i = 0; i < m; i++) cluster_of[order[i]] = (int32_t)i;
  AL_TRY(cut(&items, size, of_item));
  int32_t next = 0;
  for (size_t i = 0; i < m; i++) number[i] = -1;
  for (size_t row = 0; row < n; row++) {
    int32_t lowest = of_item[cluster_of[row]];
    if (number[lowest] < 0) number[lowest] = next++;
    cluster_of[row] = number[lowest];
  }
done:
  free(order);
  free(of_item);
  free(number);
  al_subset_free(&subset);
  return status;
}
