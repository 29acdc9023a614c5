/* probcover: greedy coverage of U by balls around picks, on l2-normalised rows.
 *
 * The degree of a point is the number of uncovered points in its ball. A point is covered once, and then lowers by one
 * the degree of all within reach: so a whole round measures each point against the others at most twice, and needs no
 * graph. Where one is affordable, the balls' members are listed once a cell and no round measures anything again.
 *
 * Draws: from cell_rng child 1 the k-means of the pseudo-labels, child 2 the centres that the radius is taken from;
 * from rng the items that stand for a large U. */
#include "strategy/coverage.h"
#include "strategy/kmeans.h"
#include "strategy/space.h"

#include "base/cross.h"
#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_EXACT = 60000, MOST_DRAWN = 50000, MOST_CENTRES = 5000 };

static const size_t most_listed = (size_t)1 << 27; /* members of balls, 512 MiB */

static const al_param params_of_probcover[] = {
    {.key = "delta",
     .type = AL_PARAM_REAL,
     .fallback = "0",
     .min = 0,
     .max = 2,
     .help = "radius of the balls; 0: the largest at which 95 % of them hold one pseudo-label only"},
    {.key = "classes",
     .type = AL_PARAM_INT,
     .fallback = "0",
     .min = 0,
     .max = 1e6,
     .help = "clusters that give the pseudo-labels; 0: the number of classes"},
    AL_SPACE_PARAM,
    {0}};

/* ---- once a cell ---- */

typedef struct {
  double squared; /* delta^2 */
  /* of the starting pool, where it is small enough to be covered exactly */
  al_sphere sphere;
  al_balls *balls;
} preparation;

static void forget(void *prepared) {
  preparation *p = prepared;
  if (p == NULL) return;
  al_balls_free(p->balls);
  al_sphere_free(&p->sphere);
  free(p);
}

static al_status radius(double *squared, const al_sphere *sphere, const al_query *query, const json_t *params) {
  al_status status;
  double given = al_params_real(params, "delta");
  size_t n = sphere->view.rows, classes = (size_t)al_params_int(params, "classes");
  al_rng clusters = al_rng_child(&query->cell_rng, 1), draws = al_rng_child(&query->cell_rng, 2);
  al_kmeans *kmeans = NULL;
  int32_t *centres = NULL;
  *squared = given * given;
  if (given > 0.0) return AL_OK;
  if (classes == 0) classes = query->classes;
  if (classes == 0)
    return al_fail(AL_BAD_INPUT, "probcover: the number of classes is unknown; give probabilities, labels, or the "
                                 "parameter classes or delta");
  AL_TRY(al_kmeans_make(&kmeans, &sphere->view, NULL, classes, &clusters));
  AL_TRY(AL_NEW(&centres, n));
  for (size_t i = 0; i < n; i++) centres[i] = (int32_t)i;
  size_t count = n < MOST_CENTRES ? n : MOST_CENTRES;
  if (count < n) al_rng_sample(&draws, centres, n, count);
  AL_TRY(al_pure_radius(squared, sphere, kmeans->cluster_of, centres, count));
done:
  al_kmeans_free(kmeans);
  free(centres);
  return status;
}

static al_status prepare(void **prepared, const al_query *query, const json_t *params) {
  al_status status;
  preparation *p = NULL;
  al_view none = {0};
  *prepared = NULL;
  if (al_space_is_embedding(params)) return AL_OK; /* rows that move: each round for itself */
  if (query->f_all.kind == AL_VIEW_NONE || query->all_pool == NULL)
    return al_fail(AL_BAD_INPUT, "probcover needs the features of the starting pool, and none are given");
  AL_TRY(AL_NEW(&p, 1));
  AL_TRY(al_sphere_make(&p->sphere, &query->f_all, &none, NULL, 0));
  AL_TRY(radius(&p->squared, &p->sphere, query, params));
  if (query->f_all.rows <= MOST_EXACT)
    AL_TRY(al_balls_new(&p->balls, &p->sphere, p->squared, most_listed));
  else
    al_sphere_free(&p->sphere);
  *prepared = p;
  p = NULL;
done:
  forget(p);
  return status;
}

/* ---- a round ---- */

/* Points that cover and are covered; -1 is no point. */
typedef struct {
  const al_query *query;
  const al_view *pool, *labelled;
  al_balls *balls;
  int32_t *of_pool, *of_labelled; /* |U|, |L| */
  size_t points;
  bool *covered;   /* points; what is neither in U nor in L counts as covered */
  int32_t *degree; /* points */
  int32_t *fresh;  /* points: just covered, or still uncovered */
  size_t fresh_count;
  bool *taken; /* |U| */
} round_state;

static void cover(void *context, int32_t centre, const int32_t *members, size_t count) {
  round_state *r = context;
  (void)centre;
  for (size_t i = 0; i < count; i++) {
    if (r->covered[members[i]]) continue;
    r->covered[members[i]] = true;
    r->fresh[r->fresh_count++] = members[i];
  }
}

static void add_degrees(void *context, int32_t centre, const int32_t *members, size_t count) {
  round_state *r = context;
  (void)centre;
  for (size_t i = 0; i < count; i++) r->degree[members[i]]++;
}

static void take_degrees(void *context, int32_t centre, const int32_t *members, size_t count) {
  round_state *r = context;
  (void)centre;
  for (size_t i = 0; i < count; i++) r->degree[members[i]]--;
}

/* What L covers goes first; then every point's degree. */
static al_status begin_round(round_state *r) {
  al_status status;
  size_t pool = r->query->pool, labelled = r->query->labelled;
  AL_TRY(AL_NEW(&r->covered, r->points));
  AL_TRY(AL_NEW(&r->degree, r->points));
  AL_TRY(AL_NEW(&r->fresh, r->points));
  AL_TRY(AL_NEW(&r->taken, pool));
  memset(r->covered, true, r->points);
  for (size_t pos = 0; pos < pool; pos++)
    if (r->of_pool[pos] >= 0) r->covered[r->of_pool[pos]] = false;
  for (size_t j = 0; j < labelled; j++) r->covered[r->of_labelled[j]] = false;
  AL_TRY(al_balls_visit(r->balls, r->of_labelled, labelled, cover, r));
  r->fresh_count = 0;
  for (size_t i = 0; i < r->points; i++)
    if (!r->covered[i]) r->fresh[r->fresh_count++] = (int32_t)i;
  AL_TRY(al_balls_visit(r->balls, r->fresh, r->fresh_count, add_degrees, r));
done:
  return status;
}

/* The highest degree, ties to the lower position; |U| when no ball adds a point. */
static size_t highest_degree(const round_state *r) {
  size_t best = r->query->pool;
  int32_t highest = 0;
  for (size_t pos = 0; pos < r->query->pool; pos++)
    if (!r->taken[pos] && r->of_pool[pos] >= 0 && r->degree[r->of_pool[pos]] > highest) {
      best = pos;
      highest = r->degree[r->of_pool[pos]];
    }
  return best;
}

static al_status take(round_state *r, size_t pos) {
  al_status status;
  r->fresh_count = 0;
  AL_TRY(al_balls_visit(r->balls, &r->of_pool[pos], 1, cover, r));
  AL_TRY(al_balls_visit(r->balls, r->fresh, r->fresh_count, take_degrees, r));
done:
  return status;
}

/* Picks number `first` and on, farthest from L and the picks first: on a sphere of L and all of U, of which a large U
 * shows only a part to the rounds above. */
static al_status take_farthest(const round_state *r, size_t first, size_t k, al_picks *picks) {
  al_status status;
  size_t n = r->query->pool, m = r->query->labelled;
  al_sphere all = {0};
  float *least = NULL, *from = NULL, *scratch = NULL;
  AL_TRY(al_sphere_make(&all, r->labelled, r->pool, NULL, n));
  AL_TRY(AL_NEW(&least, m + n));
  AL_TRY(AL_NEW(&from, m + n));
  AL_TRY(AL_NEW(&scratch, all.view.cols));
  for (size_t i = 0; i < m + n; i++) least[i] = INFINITY;
  for (size_t j = 0; j < m + first; j++) {
    al_distances_to_row(&all.view, all.norms, j < m ? j : m + (size_t)picks->pos[j - m], scratch, from);
    for (size_t i = 0; i < m + n; i++) least[i] = fminf(least[i], from[i]);
  }
  for (size_t i = first; i < k; i++) {
    size_t best = n;
    for (size_t pos = 0; pos < n; pos++)
      if (!r->taken[pos] && (best == n || least[m + pos] > least[m + best])) best = pos;
    r->taken[best] = true;
    picks->pos[i] = (int32_t)best;
    /* a quarter of the distance: below what any ball would add */
    picks->scores[i] = isfinite(least[m + best]) ? sqrt((double)least[m + best]) / 4.0 : 0.0;
    if (i + 1 == k) break;
    al_distances_to_row(&all.view, all.norms, m + best, scratch, from);
    for (size_t at = 0; at < m + n; at++) least[at] = fminf(least[at], from[at]);
  }
done:
  al_sphere_free(&all);
  free(least);
  free(from);
  free(scratch);
  return status;
}

static al_status pick(round_state *r, al_picks *picks) {
  al_status status;
  size_t k = r->query->batch < r->query->pool ? r->query->batch : r->query->pool, n = 0;
  AL_TRY(begin_round(r));
  for (; n < k; n++) {
    size_t best = highest_degree(r);
    if (best == r->query->pool) break;
    picks->pos[n] = (int32_t)best;
    picks->scores[n] = (double)r->degree[r->of_pool[best]];
    r->taken[best] = true;
    if (n + 1 < k) AL_TRY(take(r, best));
  }
  if (n < k) AL_TRY(take_farthest(r, n, k, picks));
  picks->count = k;
done:
  return status;
}

/* Points in the starting pool's order: what was prepared. */
static al_status use_prepared(round_state *r, const preparation *p) {
  al_status status;
  const al_query *q = r->query;
  AL_TRY(AL_NEW(&r->of_pool, q->pool));
  AL_TRY(AL_NEW(&r->of_labelled, q->labelled));
  for (size_t pos = 0; pos < q->pool; pos++) r->of_pool[pos] = q->all_pool[pos];
  for (size_t j = 0; j < q->labelled; j++) r->of_labelled[j] = q->all_labelled[j];
  r->points = p->sphere.view.rows;
  r->balls = p->balls;
done:
  return status;
}

/* Points: L, then U, or 50,000 items of it. `which`: |U|, the items; *count of them */
static al_status draw_points(round_state *r, int32_t **which, size_t *count, al_picks *picks) {
  al_status status;
  const al_query *q = r->query;
  al_rng rng = q->rng;
  AL_TRY(AL_NEW(which, q->pool));
  AL_TRY(AL_NEW(&r->of_pool, q->pool));
  AL_TRY(AL_NEW(&r->of_labelled, q->labelled));
  for (size_t pos = 0; pos < q->pool; pos++) (*which)[pos] = (int32_t)pos;
  *count = q->pool;
  if (q->pool + q->labelled > MOST_EXACT && q->pool > MOST_DRAWN) {
    *count = MOST_DRAWN;
    al_rng_sample(&rng, *which, q->pool, *count);
    AL_TRY(
        al_format(&picks->note,
                  "probcover: more than %d items: all %zu labelled ones and %zu drawn of the pool's %zu cover and are "
                  "covered",
                  MOST_EXACT, q->labelled, *count, q->pool));
  }
  for (size_t pos = 0; pos < q->pool; pos++) r->of_pool[pos] = -1;
  for (size_t j = 0; j < q->labelled; j++) r->of_labelled[j] = (int32_t)j;
  for (size_t i = 0; i < *count; i++) r->of_pool[(*which)[i]] = (int32_t)(q->labelled + i);
  r->points = q->labelled + *count;
done:
  return status;
}

static al_status select_probcover(const al_query *query, const json_t *params, al_picks *picks) {
  al_status status = AL_OK;
  bool embedding = al_space_is_embedding(params);
  const preparation *p = query->prepared;
  void *own_preparation = NULL;
  int32_t *which = NULL;
  size_t count = 0;
  al_sphere sphere = {0};
  al_balls *balls = NULL;
  double squared = 0.0;
  round_state r = {.query = query, .pool = al_space_pool(query, params), .labelled = al_space_labelled(query, params)};
  if (!embedding && p == NULL) {
    AL_TRY(prepare(&own_preparation, query, params));
    p = own_preparation;
  }
  if (p != NULL && p->balls != NULL) {
    AL_TRY(use_prepared(&r, p));
  } else {
    AL_TRY(draw_points(&r, &which, &count, picks));
    AL_TRY(al_sphere_make(&sphere, r.labelled, r.pool, which, count));
    if (p != NULL)
      squared = p->squared;
    else
      AL_TRY(radius(&squared, &sphere, query, params));
    AL_TRY(al_balls_new(&balls, &sphere, squared, 0));
    r.balls = balls;
  }
  AL_TRY(pick(&r, picks));
done:
  forget(own_preparation);
  al_balls_free(balls);
  al_sphere_free(&sphere);
  free(which);
  free(r.of_pool);
  free(r.of_labelled);
  free(r.covered);
  free(r.degree);
  free(r.fresh);
  free(r.taken);
  return status;
}

const al_strategy al_strategy_probcover = {
    .name = "probcover",
    .family = "representativeness",
    .summary = "greedy coverage of the pool by balls that are nearly pure in their class",
    .definition =
        "On l2-normalised rows of L and U; points within delta of L (d < delta) are covered and go first. Each\n"
        "pick: the x in U with the most uncovered points in its ball d < delta, ties to the lower position; they\n"
        "are covered then. No ball adds a point: the item farthest from L and the picks (utility d / 4; neither:\n"
        "the lowest row). Zero rows stay. delta: k-means with C clusters gives pseudo-labels, and delta is the\n"
        "largest value at which at least 95 % of 5,000 seeded balls hold no other pseudo-label (fewer points: all;\n"
        "one pseudo-label: 2); once a cell on the features, each round on the embedding. With more than 60,000\n"
        "items all of L and 50,000 items of U, drawn anew each round and logged, are what covers and what is\n"
        "covered. The authors' code takes delta as given and cannot choose the last rows of an incomplete block of\n"
        "500.",
    .citation = "Yehuda, Dekel, Hacohen and Weinshall 2022",
    .cost =
        "with n = |U| + |L| to 60,000: the balls' members once a cell in time O(n^2 D) and memory 4 bytes each, at\n"
        "most 512 MiB; where they are more, or on the embedding, a round costs O(n^2 D) without that memory;\n"
        "besides, memory O(n D) and 512 n bytes. Beyond 60,000: as with 50,000 + |L|. delta: k-means and time\n"
        "O(5,000 rows D), once a cell. Farthest items: O(|U| (|L| + k) D)",
    .multi = true,
    .params = params_of_probcover,
    .needs = al_space_needs,
    .select = select_probcover,
    .prepare = prepare,
    .forget = forget,
};
