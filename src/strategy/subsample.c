/* subsample: another strategy on a part of U. The part is chosen at random, as the neighbours of L (SEALS), or as what
 * is like seeded anchors of each class. */
#include "strategy/composed.h"

#include "base/cross.h"
#include "base/memory.h"
#include "base/topk.h"

#include <assert.h>
#include <cblas.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 512, MOST_PRODUCTS = 1 << 22 /* floats of a block of products */ };

extern const al_strategy al_strategy_subsample;

static const char *const children_of_subsample[] = {"strategy", NULL};

static const al_param params_of_subsample[] = {
    {.key = "strategy", .type = AL_PARAM_ANY, .help = "the sub-strategy: a name, or {name, params}"},
    {.key = "method",
     .type = AL_PARAM_CHOICE,
     .fallback = "\"random\"",
     .choices = "random|seals|anchors",
     .help = "how the part of U is chosen"},
    {.key = "size",
     .type = AL_PARAM_INT,
     .fallback = "1000",
     .min = 1,
     .max = 1e9,
     .help = "items of the part (random, anchors)"},
    {.key = "neighbours",
     .type = AL_PARAM_INT,
     .fallback = "100",
     .min = 1,
     .max = 100000,
     .help = "nearest items of each labelled one (seals)"},
    {.key = "anchors",
     .type = AL_PARAM_INT,
     .fallback = "10",
     .min = 1,
     .max = 100000,
     .help = "labelled items of each class (anchors)"},
    {0}};

static bool method_is(const json_t *params, const char *method) {
  return strcmp(al_params_string(params, "method"), method) == 0;
}

static unsigned needs_of_subsample(const json_t *params) {
  unsigned own = method_is(params, "seals")     ? AL_NEED_FEATURES | AL_NEED_LABELLED
                 : method_is(params, "anchors") ? AL_NEED_EMBEDDINGS | AL_NEED_LABELLED
                                                : 0;
  return own | al_children_need(&al_strategy_subsample, params);
}

static al_status check_batch_of_subsample(const json_t *params, size_t batch, const char *where) {
  size_t size = (size_t)al_params_int(params, "size");
  if (!method_is(params, "seals") && size < batch)
    return al_fail(AL_BAD_INPUT, "%s.size: a part of %zu items does not hold a batch of %zu", where, size, batch);
  return al_children_check_batch(&al_strategy_subsample, params, batch, where);
}

static al_status prepare_subsample(void **prepared, const al_query *query, const json_t *params) {
  return al_children_prepare(&al_strategy_subsample, prepared, query, params);
}

/* ---- random ---- */

static void choose_at_random(const al_query *query, size_t size, int32_t *part) {
  al_rng rng = query->rng;
  for (size_t pos = 0; pos < query->pool; pos++) part[pos] = (int32_t)pos;
  al_rng_sample(&rng, part, query->pool, size);
}

/* ---- seals ---- */

/* The nearest of one labelled item so far: a heap, the farthest on top; of equals the higher position is farther. */
typedef struct {
  float squared;
  int32_t pos;
} near_item;

static bool farther(near_item a, near_item b) {
  return a.squared > b.squared || (a.squared == b.squared && a.pos > b.pos);
}

static void sift_down(near_item *heap, size_t n, near_item item) {
  size_t at = 0;
  for (;;) {
    size_t child = 2 * at + 1;
    if (child >= n) break;
    if (child + 1 < n && farther(heap[child + 1], heap[child])) child++;
    if (!farther(heap[child], item)) break;
    heap[at] = heap[child];
    at = child;
  }
  heap[at] = item;
}

static void keep_nearest(near_item *heap, size_t *n, size_t most, near_item item) {
  if (*n == most) {
    if (farther(heap[0], item)) sift_down(heap, most, item);
    return;
  }
  size_t at = (*n)++;
  for (; at != 0 && farther(item, heap[(at - 1) / 2]); at = (at - 1) / 2) heap[at] = heap[(at - 1) / 2];
  heap[at] = item;
}

typedef struct {
  near_item *heaps; /* |L| x neighbours */
  size_t *counts;   /* |L| */
  float *least;     /* |U|: squared distance to the nearest labelled item; NULL when nobody asks */
  size_t neighbours;
} nearest_lists;

/* CSR: blocks of exact distances. */
static al_status search_sparse(const al_query *query, nearest_lists *lists) {
  al_status status;
  al_cross *cross = NULL;
  float *values = NULL;
  double *norms = NULL;
  size_t m = query->labelled, step = MOST_PRODUCTS / m < BLOCK ? MOST_PRODUCTS / m + 1 : BLOCK;
  AL_TRY(al_cross_new(&cross, &query->f_labelled));
  AL_TRY(AL_NEW(&values, step * m));
  AL_TRY(AL_NEW(&norms, query->pool));
  al_view_squared_norms(&query->f_pool, norms);
  for (size_t first = 0; first < query->pool; first += step) {
    size_t last = first + step < query->pool ? first + step : query->pool;
    al_cross_distances(cross, &query->f_pool, norms, first, last, values);
    for (size_t pos = first; pos < last; pos++)
      for (size_t j = 0; j < m; j++) {
        float squared = values[(pos - first) * m + j];
        keep_nearest(lists->heaps + j * lists->neighbours, &lists->counts[j], lists->neighbours,
                     (near_item){squared, (int32_t)pos});
        if (lists->least != NULL) lists->least[pos] = fminf(lists->least[pos], squared);
      }
  }
done:
  al_cross_free(cross);
  free(values);
  free(norms);
  return status;
}

/* rows minus the mean, and their squared norms. out: n x cols. */
static void centred(const al_view *view, size_t first, size_t n, const double *mean, float *out, float *norms) {
  for (size_t i = 0; i < n; i++) {
    double sum = 0.0;
    for (size_t c = 0; c < view->cols; c++) {
      float value = (float)((double)view->values[(first + i) * view->cols + c] - mean[c]);
      out[i * view->cols + c] = value;
      sum += (double)value * (double)value;
    }
    norms[i] = (float)sum;
  }
}

/* Dense: products of centred rows rule most pairs out, and only those that may be among the nearest are measured by
 * differences. What the expansion may be off by: the rounding of a float32 product of D terms and of the centring. */
static al_status search_dense(const al_query *query, nearest_lists *lists) {
  al_status status;
  const al_view *u = &query->f_pool, *l = &query->f_labelled;
  size_t m = query->labelled, cols = u->cols, step = MOST_PRODUCTS / m < BLOCK ? MOST_PRODUCTS / m + 1 : BLOCK;
  double *mean = NULL;
  float *labelled = NULL, *labelled_norms = NULL, *block = NULL, *norms = NULL, *products = NULL;
  float slack = 1.2e-7F * ((float)cols + 16.0F);
  AL_TRY(AL_NEW(&mean, cols));
  AL_TRY(AL_NEW(&labelled, m * cols));
  AL_TRY(AL_NEW(&labelled_norms, m));
  AL_TRY(AL_NEW(&block, step * cols));
  AL_TRY(AL_NEW(&norms, step));
  AL_TRY(AL_NEW(&products, step * m));
  for (size_t pos = 0; pos < u->rows; pos++)
    for (size_t c = 0; c < cols; c++) mean[c] += (double)u->values[pos * cols + c];
  for (size_t c = 0; c < cols; c++) mean[c] /= (double)u->rows;
  centred(l, 0, m, mean, labelled, labelled_norms);
  for (size_t first = 0; first < u->rows; first += step) {
    size_t n = first + step < u->rows ? step : u->rows - first;
    centred(u, first, n, mean, block, norms);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)n, (int)m, (int)cols, 1.0F, block, (int)cols, labelled,
                (int)cols, 0.0F, products, (int)m);
    for (size_t i = 0; i < n; i++)
      for (size_t j = 0; j < m; j++) {
        near_item *heap = lists->heaps + j * lists->neighbours;
        float size = norms[i] + labelled_norms[j], about = size - 2.0F * products[i * m + j];
        float least = about - slack * size; /* NaN where the squares overflow: measured then */
        bool near_j = lists->counts[j] < lists->neighbours || !(least > heap[0].squared);
        bool nearest = lists->least != NULL && !(least >= lists->least[first + i]);
        if (!near_j && !nearest) continue;
        float squared = (float)al_view_squared_distance(u, first + i, l, j);
        keep_nearest(heap, &lists->counts[j], lists->neighbours, (near_item){squared, (int32_t)(first + i)});
        if (lists->least != NULL) lists->least[first + i] = fminf(lists->least[first + i], squared);
      }
  }
done:
  free(mean);
  free(labelled);
  free(labelled_norms);
  free(block);
  free(norms);
  free(products);
  return status;
}

/* The union of each labelled item's nearest in U; with fewer than k of them, the nearest next. */
static al_status choose_near_labelled(const al_query *query, size_t neighbours, size_t k, int32_t *part, size_t *size) {
  al_status status;
  nearest_lists lists = {.neighbours = neighbours < query->pool ? neighbours : query->pool};
  bool *member = NULL;
  double *closeness = NULL;
  AL_TRY(AL_NEW(&lists.heaps, query->labelled * lists.neighbours));
  AL_TRY(AL_NEW(&lists.counts, query->labelled));
  AL_TRY(AL_NEW(&member, query->pool));
  /* a union of fewer than k is possible only where the lists are shorter than k */
  if (lists.neighbours < k) {
    AL_TRY(AL_NEW(&lists.least, query->pool));
    for (size_t pos = 0; pos < query->pool; pos++) lists.least[pos] = INFINITY;
  }
  AL_TRY(query->f_pool.kind == AL_VIEW_DENSE ? search_dense(query, &lists) : search_sparse(query, &lists));
  for (size_t j = 0; j < query->labelled; j++)
    for (size_t i = 0; i < lists.counts[j]; i++) member[lists.heaps[j * lists.neighbours + i].pos] = true;
  *size = 0;
  for (size_t pos = 0; pos < query->pool; pos++)
    if (member[pos]) part[(*size)++] = (int32_t)pos;
  if (*size < k) {
    AL_TRY(AL_NEW(&closeness, query->pool));
    for (size_t pos = 0; pos < query->pool; pos++) closeness[pos] = member[pos] ? -DBL_MAX : -(double)lists.least[pos];
    al_top_k(closeness, query->pool, k - *size, part + *size);
    *size = k;
  }
done:
  free(lists.heaps);
  free(lists.counts);
  free(lists.least);
  free(member);
  free(closeness);
  return status;
}

/* ---- anchors ---- */

/* Adds a row over its norm; a zero row adds nothing. */
static void add_unit(const al_view *view, size_t i, double *sum) {
  double norm = sqrt(al_view_dot(view, i, view, i));
  if (!(norm > 0.0)) return;
  if (view->kind == AL_VIEW_DENSE)
    for (size_t c = 0; c < view->cols; c++) sum[c] += (double)view->values[i * view->cols + c] / norm;
  else
    for (int64_t at = view->begin[i]; at < view->end[i]; at++)
      sum[view->indices[at]] += (double)view->values[at] / norm;
}

/* Class by class ascending, up to `most` seeded items of L each. *count: how many in all. */
static al_status sum_of_anchors(const al_query *query, size_t most, double *sum, size_t *count) {
  int32_t *members = NULL;
  al_rng rng = query->rng;
  al_status status = AL_NEW(&members, query->labelled);
  *count = 0;
  for (size_t class = 0; status == AL_OK && class < query->classes; class ++) {
    size_t n = 0;
    for (size_t i = 0; i < query->labelled; i++)
      if (query->labels[i] == (int32_t) class) members[n++] = (int32_t)i;
    size_t taken = n < most ? n : most;
    al_rng_sample(&rng, members, n, taken);
    for (size_t i = 0; i < taken; i++) add_unit(&query->h_labelled, (size_t)members[i], sum);
    *count += taken;
  }
  free(members);
  return status;
}

/* The mean of cosines to the anchors is one product with the sum of the unit anchors. */
static al_status choose_like_anchors(const al_query *query, size_t most, size_t size, int32_t *part) {
  al_status status;
  const al_view *h = &query->h_pool;
  double *sum = NULL, *score = NULL;
  size_t count = 0;
  AL_TRY(AL_NEW(&sum, h->cols));
  AL_TRY(AL_NEW(&score, query->pool));
  AL_TRY(sum_of_anchors(query, most, sum, &count));
  for (size_t pos = 0; pos < query->pool; pos++) {
    double norm = 0.0, dot = 0.0;
    size_t first = h->kind == AL_VIEW_DENSE ? pos * h->cols : (size_t)h->begin[pos];
    size_t n = h->kind == AL_VIEW_DENSE ? h->cols : (size_t)(h->end[pos] - h->begin[pos]);
    for (size_t i = 0; i < n; i++) {
      double value = (double)h->values[first + i];
      norm += value * value;
      dot += value * sum[h->kind == AL_VIEW_DENSE ? i : (size_t)h->indices[first + i]];
    }
    score[pos] = norm > 0.0 ? dot / sqrt(norm) / (double)count : 0.0;
  }
  al_top_k(score, query->pool, size, part);
done:
  free(sum);
  free(score);
  return status;
}

/* ---- the sub-strategy's views of the part ---- */

typedef struct {
  al_subset h, f;
  float *probs, *mc;
  int32_t *all_pool, *truth, *pixel_rows;
  int64_t *token_begin, *token_end;
} part_storage;

typedef struct {
  const al_refit *whole;
  const int32_t *part; /* n positions in the whole U */
  size_t n, pool, classes;
  float *probs;     /* pool x classes */
  int32_t *targets; /* n */
} part_refit;

static al_status fit_labelled_of_part(void *context, const int32_t *labelled, size_t n, float *probs) {
  part_refit *own = context;
  al_status status;
  if (own->probs == NULL) AL_TRY(AL_NEW(&own->probs, own->pool * own->classes));
  AL_TRY(own->whole->fit_labelled(own->whole->context, labelled, n, own->probs));
  for (size_t i = 0; i < own->n; i++)
    memcpy(probs + i * own->classes, own->probs + (size_t)own->part[i] * own->classes, own->classes * sizeof *probs);
done:
  return status;
}

static al_status fit_extra_of_part(void *context, int32_t pos, const int32_t *classes, size_t m, unsigned steps,
                                   const int32_t *targets, size_t n, float *probs) {
  part_refit *own = context;
  al_status status;
  assert(n <= own->n);
  if (own->targets == NULL) AL_TRY(AL_NEW(&own->targets, own->n));
  for (size_t i = 0; i < n; i++) own->targets[i] = own->part[targets[i]];
  AL_TRY(own->whole->fit_extra(own->whole->context, own->part[pos], classes, m, steps, own->targets, n, probs));
done:
  return status;
}

static al_status take_floats(float **out, const float *all, size_t width, const int32_t *part, size_t n) {
  al_status status = AL_NEW(out, n * width);
  for (size_t i = 0; status == AL_OK && i < n; i++)
    memcpy(*out + i * width, all + (size_t)part[i] * width, width * sizeof **out);
  return status;
}

static al_status take_integers(int32_t **out, const int32_t *all, const int32_t *part, size_t n) {
  al_status status = AL_NEW(out, n);
  for (size_t i = 0; status == AL_OK && i < n; i++) (*out)[i] = all[part[i]];
  return status;
}

static al_status take_tokens(al_query *own, const al_query *query, const int32_t *part, size_t n, part_storage *s) {
  al_status status;
  AL_TRY(AL_NEW(&s->token_begin, n));
  AL_TRY(AL_NEW(&s->token_end, n));
  for (size_t i = 0; i < n; i++) {
    s->token_begin[i] = query->tokens_pool.begin[part[i]];
    s->token_end[i] = query->tokens_pool.end[part[i]];
  }
  own->tokens_pool.rows = n;
  own->tokens_pool.begin = s->token_begin;
  own->tokens_pool.end = s->token_end;
done:
  return status;
}

/* Everything over U, for the items of the part only. What is computed once a cell (f_all) stays whole. */
static al_status take_part(al_query *own, const al_query *query, const int32_t *part, size_t n, unsigned needs,
                           part_storage *s) {
  al_status status = AL_OK;
  size_t classes = query->classes;
  *own = *query;
  own->pool = n;
  if ((needs & AL_NEED_PROBS) && query->probs != NULL) {
    AL_TRY(take_floats(&s->probs, query->probs, classes, part, n));
    own->probs = s->probs;
  }
  if ((needs & (AL_NEED_MC | AL_NEED_MC_OR_REFIT)) && query->mc != NULL) {
    AL_TRY(AL_NEW(&s->mc, query->passes * n * classes));
    for (size_t t = 0; t < query->passes; t++)
      for (size_t i = 0; i < n; i++)
        memcpy(s->mc + (t * n + i) * classes, query->mc + (t * query->pool + (size_t)part[i]) * classes,
               classes * sizeof *s->mc);
    own->mc = s->mc;
  }
  if (query->h_pool.kind != AL_VIEW_NONE) AL_TRY(al_view_take(&own->h_pool, &query->h_pool, part, n, &s->h));
  if (query->f_pool.kind != AL_VIEW_NONE) AL_TRY(al_view_take(&own->f_pool, &query->f_pool, part, n, &s->f));
  if (query->all_pool != NULL) {
    AL_TRY(take_integers(&s->all_pool, query->all_pool, part, n));
    own->all_pool = s->all_pool;
  }
  if (query->truth != NULL) {
    AL_TRY(take_integers(&s->truth, query->truth, part, n));
    own->truth = s->truth;
  }
  if (query->tokens_pool.begin != NULL) AL_TRY(take_tokens(own, query, part, n, s));
  if (query->pixels_pool.data != NULL) {
    AL_TRY(AL_NEW(&s->pixel_rows, n));
    for (size_t i = 0; i < n; i++)
      s->pixel_rows[i] = query->pixels_pool.rows == NULL ? part[i] : query->pixels_pool.rows[part[i]];
    own->pixels_pool.rows = s->pixel_rows;
    own->pixels_pool.n = n;
  }
done:
  return status;
}

static void part_free(part_storage *s) {
  al_subset_free(&s->h);
  al_subset_free(&s->f);
  free(s->probs);
  free(s->mc);
  free(s->all_pool);
  free(s->truth);
  free(s->pixel_rows);
  free(s->token_begin);
  free(s->token_end);
}

static int ascending(const void *a, const void *b) {
  int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
  return (x > y) - (x < y);
}

static al_status choose(const al_query *query, const json_t *params, size_t k, int32_t *part, size_t *size) {
  *size = (size_t)al_params_int(params, "size");
  if (*size < k) *size = k;
  if (*size > query->pool) *size = query->pool;
  if (method_is(params, "seals"))
    return choose_near_labelled(query, (size_t)al_params_int(params, "neighbours"), k, part, size);
  if (method_is(params, "anchors"))
    return choose_like_anchors(query, (size_t)al_params_int(params, "anchors"), *size, part);
  choose_at_random(query, *size, part);
  return AL_OK;
}

static al_status select_from_part(const al_query *query, const json_t *params, al_picks *picks) {
  al_status status;
  size_t k = query->batch < query->pool ? query->batch : query->pool, size = 0;
  int32_t *part = NULL;
  al_query own;
  al_picks chosen = {0};
  part_storage storage = {0};
  AL_TRY(AL_NEW(&part, query->pool));
  AL_TRY(choose(query, params, k, part, &size));
  qsort(part, size, sizeof *part, ascending); /* pool order, in which ties are broken */
  AL_TRY(take_part(&own, query, part, size, al_children_need(&al_strategy_subsample, params), &storage));
  part_refit refit = {.whole = query->refit, .part = part, .n = size, .pool = query->pool, .classes = query->classes};
  al_refit of_part = {&refit, fit_labelled_of_part, fit_extra_of_part};
  if (query->refit != NULL) own.refit = &of_part;
  status = al_child_select(&al_strategy_subsample, &own, params, 0, k, true, &chosen);
  free(refit.probs);
  free(refit.targets);
  if (status != AL_OK) goto done;
  for (size_t i = 0; i < chosen.count; i++) chosen.pos[i] = part[chosen.pos[i]];
  al_picks_move(picks, &chosen);
done:
  free(part);
  part_free(&storage);
  al_picks_free(&chosen);
  return status;
}

const al_strategy al_strategy_subsample = {
    .name = "subsample",
    .family = "composed",
    .summary = "another strategy on a part of the pool: random, the neighbours of L, or what is like anchors",
    .definition =
        "The sub-strategy sees only a part of U, in pool order.\n"
        "random: `size` items drawn uniformly. seals: the union of each labelled item's `neighbours` nearest in U on "
        "f,\n"
        "Euclidean (ties: lower position), searched anew each round; with fewer than k of them the items nearest to L\n"
        "next. anchors: for each class `anchors` items of L drawn uniformly (all, where there are fewer); the `size`\n"
        "items of U with the highest mean cosine in h to these anchors of all classes (a zero row has cosine 0).",
    .citation =
        "Coleman, Chou, Katz-Samuels, Culatana, Bailis, Berg, Nowak, Sumbaly, Zaharia and Yalniz 2022 (AAAI) for "
        "seals; Lesci and Vlachos 2024 (NAACL) for anchors",
    .cost = "the sub-strategy's on the part, and: random O(|U|); seals time O(|U| |L| D), memory O(|U| + |L| "
            "(neighbours +\n"
            "D)), products in blocks and exact distances only where they may count; anchors O(|U| D)",
    .params = params_of_subsample,
    .needs = needs_of_subsample,
    .select = select_from_part,
    .prepare = prepare_subsample,
    .forget = al_children_forget,
    .children = children_of_subsample,
    .check_batch = check_batch_of_subsample,
};
