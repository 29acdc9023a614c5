/* alfa-mix: items whose predicted class changes when their embedding is moved a little towards a class mean of the
 * labelled set. The head is linear, so a move is followed through the logits alone: coordinate j of z goes by
 * eps |z* - z| g_j / |g|, scaled down only where |z*_j - z_j| is below the floor, so that the new logits are W z + b +
 * eps (|z* - z| / |g|) W (g o r), with r = 1 but for these coordinates (and, in sparse rows, those where both are 0).
 */
#include "strategy/pointwise.h"

#include "base/memory.h"
#include "strategy/closest.h"
#include "strategy/kmeans.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 32 };

static const double step_size = 0.03125, least_gap = 1e-8, filler_score = -2.0;

static unsigned needs_of_alfa_mix(const json_t *params) {
  (void)params;
  return AL_NEED_PROBS | AL_NEED_EMBEDDINGS | AL_NEED_LABELLED | AL_NEED_HEAD;
}

typedef struct {
  const al_query *query;
  const al_view *h;
  size_t classes, cols, anchors;
  double *columns; /* D x C: the head transposed */
  double *lengths; /* C: |W_c| */
  double *gram;    /* C x C: W W^T; CSR: then anchors x C x C, of the columns as far as a row of zeros is moved */
  double *anchor;  /* anchors x D: class means of h on L */
  double *norms;   /* anchors: squared */
  /* of the item at hand */
  double *a, *logits, *full, *shift; /* C: p - e_y; W z + b; W g; W (g o r) */
  double *g;                         /* D: W^T a; CSR: only where |g| would be lost in a^T W W^T a */
} mixer;

static void mixer_free(mixer *m) {
  void *blocks[] = {m->columns, m->lengths, m->gram, m->anchor, m->norms, m->a, m->logits, m->full, m->shift, m->g};
  for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) free(blocks[i]);
}

/* How much of the move a coordinate makes. */
static double share_of(double gap) { return fabs(gap) < least_gap ? fabs(gap) / least_gap : 1.0; }

/* Class means of the labelled, absent classes left out. */
static al_status anchors_of(mixer *m) {
  al_status status;
  const al_query *query = m->query;
  const al_view *h = &query->h_labelled;
  size_t *count = NULL;
  int32_t *place = NULL;
  AL_TRY(AL_NEW(&count, m->classes));
  AL_TRY(AL_NEW(&place, m->classes));
  for (size_t i = 0; i < query->labelled; i++) count[query->labels[i]]++;
  for (size_t c = 0; c < m->classes; c++)
    if (count[c] != 0) place[c] = (int32_t)m->anchors++;
  AL_TRY(AL_NEW(&m->anchor, m->anchors * m->cols));
  AL_TRY(AL_NEW(&m->norms, m->anchors));
  for (size_t i = 0; i < query->labelled; i++) {
    double *sum = m->anchor + (size_t)place[query->labels[i]] * m->cols;
    if (h->kind == AL_VIEW_DENSE)
      for (size_t d = 0; d < m->cols; d++) sum[d] += (double)h->values[i * m->cols + d];
    else
      for (int64_t p = h->begin[i]; p < h->end[i]; p++) sum[h->indices[p]] += (double)h->values[p];
  }
  for (size_t c = 0; c < m->classes; c++) {
    double *mean = m->anchor + (size_t)place[c] * m->cols;
    for (size_t d = 0; count[c] != 0 && d < m->cols; d++) {
      mean[d] /= (double)count[c];
      m->norms[place[c]] += mean[d] * mean[d];
    }
  }
done:
  free(count);
  free(place);
  return status;
}

/* gram (C x C) += W diag(r) W^T, r = 1, or the share of its move that a row of zeros makes towards the anchor (D). */
static void add_gram(const mixer *m, const double *anchor, double *gram) {
  for (size_t d = 0; d < m->cols; d++) {
    const double *column = m->columns + d * m->classes;
    double share = anchor == NULL ? 1.0 : share_of(anchor[d]);
    for (size_t b = 0; share > 0.0 && b < m->classes; b++)
      for (size_t c = 0; c < m->classes; c++) gram[b * m->classes + c] += share * column[b] * column[c];
  }
}

static al_status mixer_open(mixer *m, const al_query *query) {
  al_status status;
  size_t classes = query->classes, cols = query->h_pool.cols;
  bool sparse = query->h_pool.kind == AL_VIEW_CSR;
  *m = (mixer){.query = query, .h = &query->h_pool, .classes = classes, .cols = cols};
  AL_TRY(anchors_of(m));
  AL_TRY(AL_NEW(&m->columns, cols * classes));
  AL_TRY(AL_NEW(&m->lengths, classes));
  AL_TRY(AL_NEW(&m->gram, (1 + (sparse ? m->anchors : 0)) * classes * classes));
  AL_TRY(AL_NEW(&m->a, classes));
  AL_TRY(AL_NEW(&m->logits, classes));
  AL_TRY(AL_NEW(&m->full, classes));
  AL_TRY(AL_NEW(&m->shift, classes));
  AL_TRY(AL_NEW(&m->g, cols));
  for (size_t c = 0; c < classes; c++) {
    for (size_t d = 0; d < cols; d++) {
      double weight = (double)query->head[c * cols + d];
      m->columns[d * classes + c] = weight;
      m->lengths[c] += weight * weight;
    }
    m->lengths[c] = sqrt(m->lengths[c]);
  }
  add_gram(m, NULL, m->gram);
  for (size_t k = 0; sparse && k < m->anchors; k++)
    add_gram(m, m->anchor + k * cols, m->gram + (1 + k) * classes * classes);
done:
  return status;
}

/* ---- one item ---- */

static double slope(const mixer *m, size_t d) {
  double sum = 0.0;
  for (size_t c = 0; c < m->classes; c++) sum += m->a[c] * m->columns[d * m->classes + c];
  return sum;
}

/* |g| = |W^T a|, exactly 0 only where every coordinate is. scale: sum |a_c| |W_c|. */
static double gradient_length(mixer *m, double scale) {
  double squared = 0.0;
  if (m->h->kind == AL_VIEW_CSR) {
    for (size_t b = 0; b < m->classes; b++)
      for (size_t c = 0; c < m->classes; c++) squared += m->a[b] * m->a[c] * m->gram[b * m->classes + c];
    if (squared > 1e-6 * scale * scale) return sqrt(squared);
    squared = 0.0;
  }
  for (size_t d = 0; d < m->cols; d++) {
    m->g[d] = slope(m, d);
    squared += m->g[d] * m->g[d];
  }
  return sqrt(squared);
}

static void add_column(mixer *m, size_t d, double factor) {
  for (size_t c = 0; c < m->classes; c++) m->shift[c] += factor * m->columns[d * m->classes + c];
}

/* out (C) = gram a */
static void times_gram(const mixer *m, const double *gram, double *out) {
  for (size_t c = 0; c < m->classes; c++) {
    out[c] = 0.0;
    for (size_t b = 0; b < m->classes; b++) out[c] += m->a[b] * gram[b * m->classes + c];
  }
}

/* shift = W (g o r) for the move of item pos towards anchor k. */
static void shift_towards(mixer *m, size_t pos, size_t k) {
  const double *anchor = m->anchor + k * m->cols;
  if (m->h->kind == AL_VIEW_DENSE) {
    const float *z = m->h->values + pos * m->cols;
    memcpy(m->shift, m->full, m->classes * sizeof *m->shift);
    for (size_t d = 0; d < m->cols; d++) {
      double gap = anchor[d] - (double)z[d];
      if (fabs(gap) < least_gap) add_column(m, d, (share_of(gap) - 1.0) * m->g[d]);
    }
    return;
  }
  times_gram(m, m->gram + (1 + k) * m->classes * m->classes, m->shift);
  for (int64_t p = m->h->begin[pos]; p < m->h->end[pos]; p++) { /* elsewhere z is 0, as in the gram */
    size_t d = (size_t)m->h->indices[p];
    double change = share_of(anchor[d] - (double)m->h->values[p]) - share_of(anchor[d]);
    if (change != 0.0) add_column(m, d, change * slope(m, d));
  }
}

/* The first step 1 .. STEPS at which class c has overtaken y, gap behind and catching up by rate a step; STEPS + 1 for
 * never. At equal logits the lower class leads. */
static unsigned overtaken_at(double gap, double rate, bool lower) {
  if (rate > gap || (lower && rate == gap)) return 1;
  if (rate <= 0.0 || gap > rate * (STEPS + 1.0)) return STEPS + 1;
  unsigned step = (unsigned)fmax(1.0, floor(gap / rate) - 1.0);
  while (step <= STEPS && !((double)step * rate > gap || (lower && (double)step * rate == gap))) step++;
  return step;
}

/* The first step at which the predicted class of item pos changes for some anchor; STEPS + 1 for never. */
static unsigned first_change(mixer *m, size_t pos) {
  const al_query *query = m->query;
  const float *p = query->probs + pos * m->classes;
  al_view head = al_view_dense(query->head, m->classes, m->cols);
  size_t y = 0;
  unsigned first = STEPS + 1;
  double scale = 0.0;
  for (size_t c = 1; c < m->classes; c++)
    if (p[c] > p[y]) y = c;
  for (size_t c = 0; c < m->classes; c++) {
    m->a[c] = (double)p[c] - (c == y ? 1.0 : 0.0);
    scale += fabs(m->a[c]) * m->lengths[c];
  }
  double length = scale == 0.0 ? 0.0 : gradient_length(m, scale);
  if (length == 0.0) return first;
  for (size_t c = 0; c < m->classes; c++) m->logits[c] = (double)query->bias[c] + al_view_dot(m->h, pos, &head, c);
  times_gram(m, m->gram, m->full);
  for (size_t k = 0; k < m->anchors && first > 1; k++) {
    double apart = sqrt(fmax(0.0, al_squared_to_point(m->h, pos, m->anchor + k * m->cols, m->norms[k])));
    double pace = step_size / sqrt((double)m->cols) * apart / length;
    shift_towards(m, pos, k);
    for (size_t c = 0; c < m->classes; c++) {
      if (c == y) continue;
      unsigned step = overtaken_at(m->logits[y] - m->logits[c], pace * (m->shift[c] - m->shift[y]), c < y);
      first = step < first ? step : first;
    }
  }
  return first;
}

/* ---- the batch ---- */

/* candidates: |U|, positions ascending; those whose prediction has changed by the first step at which these are more
 * than k. */
static al_status find_candidates(const al_query *query, size_t k, int32_t *candidates, size_t *count) {
  al_status status;
  mixer m = {0};
  unsigned *first = NULL, last = 0;
  size_t changed[STEPS + 2] = {0}, sum = 0;
  AL_TRY(AL_NEW(&first, query->pool));
  AL_TRY(mixer_open(&m, query));
  for (size_t pos = 0; pos < query->pool; pos++) {
    first[pos] = first_change(&m, pos);
    changed[first[pos]]++;
  }
  while (last < STEPS && sum <= k) sum += changed[++last];
  *count = 0;
  for (size_t pos = 0; pos < query->pool; pos++)
    if (first[pos] <= last) candidates[(*count)++] = (int32_t)pos;
done:
  mixer_free(&m);
  free(first);
  return status;
}

/* The candidates' rows, each divided by its length (a zero row stays); freed by the caller. */
typedef struct {
  al_view view;
  float *values;
  int64_t *begin, *end;
  int32_t *indices;
} unit_rows;

static al_status make_unit_rows(unit_rows *u, const al_view *h, const int32_t *rows, size_t n) {
  al_status status;
  size_t stored = n * h->cols;
  bool sparse = h->kind == AL_VIEW_CSR;
  if (sparse) {
    stored = 0;
    for (size_t i = 0; i < n; i++) stored += (size_t)(h->end[rows[i]] - h->begin[rows[i]]);
    AL_TRY(AL_NEW(&u->begin, n));
    AL_TRY(AL_NEW(&u->end, n));
    AL_TRY(AL_NEW(&u->indices, stored));
  }
  AL_TRY(AL_NEW(&u->values, stored));
  u->view = (al_view){.kind = h->kind, .rows = n, .cols = h->cols, .values = u->values};
  for (size_t i = 0, at = 0; i < n; i++) {
    size_t row = (size_t)rows[i], from = sparse ? (size_t)h->begin[row] : row * h->cols;
    size_t size = sparse ? (size_t)(h->end[row] - h->begin[row]) : h->cols;
    double length = sqrt(al_view_dot(h, row, h, row));
    for (size_t e = 0; e < size; e++)
      u->values[at + e] = length > 0.0 ? (float)((double)h->values[from + e] / length) : 0.0F;
    if (sparse) {
      memcpy(u->indices + at, h->indices + from, size * sizeof *u->indices);
      u->begin[i] = (int64_t)at;
      u->end[i] = (int64_t)(at + size);
    }
    at += size;
  }
  u->view.begin = u->begin;
  u->view.end = u->end;
  u->view.indices = u->indices;
done:
  return status;
}

/* Fills the batch from picks->count to k, uniformly from what is not picked. */
static al_status fill_at_random(const al_query *query, size_t k, al_rng *rng, al_picks *picks) {
  al_status status;
  bool *taken = NULL;
  int32_t *rest = NULL;
  size_t left = 0, missing = k - picks->count;
  AL_TRY(AL_NEW(&taken, query->pool));
  AL_TRY(AL_NEW(&rest, query->pool));
  for (size_t i = 0; i < picks->count; i++) taken[picks->pos[i]] = true;
  for (size_t pos = 0; pos < query->pool; pos++)
    if (!taken[pos]) rest[left++] = (int32_t)pos;
  al_rng_sample(rng, rest, left, missing);
  AL_TRY(al_format(&picks->note, "%zu of %zu picks at random: too few items change their class", missing, k));
  for (size_t i = 0; i < missing; i++) {
    picks->pos[picks->count] = rest[i];
    picks->scores[picks->count++] = filler_score;
  }
done:
  free(taken);
  free(rest);
  return status;
}

static al_status select_alfa_mix(const al_query *query, const json_t *params, al_picks *picks) {
  (void)params;
  al_status status;
  size_t k = query->batch < query->pool ? query->batch : query->pool, count = 0;
  int32_t *candidates = NULL;
  unit_rows unit = {0};
  al_kmeans *kmeans = NULL;
  al_rng rng = query->rng;
  picks->count = 0;
  AL_TRY(AL_NEW(&candidates, query->pool));
  AL_TRY(find_candidates(query, k, candidates, &count));
  if (count != 0) {
    AL_TRY(make_unit_rows(&unit, &query->h_pool, candidates, count));
    AL_TRY(al_kmeans_make(&kmeans, &unit.view, NULL, k, &rng));
    picks->count = kmeans->clusters;
    AL_TRY(al_kmeans_pick(kmeans, picks->count, picks->pos, picks->scores));
    for (size_t i = 0; i < picks->count; i++) picks->pos[i] = candidates[picks->pos[i]];
  }
  if (picks->count < k) AL_TRY(fill_at_random(query, k, &rng, picks));
done:
  al_kmeans_free(kmeans);
  free(candidates);
  free(unit.values);
  free(unit.begin);
  free(unit.end);
  free(unit.indices);
  return status;
}

const al_strategy al_strategy_alfa_mix = {
    .name = "alfa-mix",
    .family = "hybrid",
    .summary = "items whose class changes when mixed a little with a labelled class mean, clustered",
    .definition =
        "z = h(x); anchors z* = class means of h on L, absent classes skipped; g = W^T (p - e_yhat), the gradient for\n"
        "the predicted class. Mixing: (1 - alpha) z + alpha z* with alpha = eps |z* - z| g / (|g| (z* - z)), "
        "coordinate\n"
        "by coordinate, z* - z floored at 1e-8 keeping its sign (coordinates where z* = z stay); g = 0: not a\n"
        "candidate. eps = 0.03125 i / sqrt(D), i = 1 to 32; candidates accumulate until more than k have, for some\n"
        "anchor, another argmax of the head than that of p. k-means of the candidates on l2-normalised h, k clusters,\n"
        "the member nearest each centre, largest cluster first; a shortfall is drawn at random from the rest.\n"
        "Printed: minus the distance to the centre; -2, the least it can be, for random picks. Linear heads.",
    .citation = "Parvaneh, Abbasnejad, Teney, Haffari, van den Hengel and Shi 2022",
    .cost =
        "A classes in L: time O(|U| (C D + C^2 + A (D + C))) dense, O(|U| A (C^2 + non-zeros of a row x C)) CSR, and "
        "k-means\n"
        "of the candidates; memory O(|U| + C D + A D), CSR also A C^2, and a copy of the candidates' rows",
    .params = al_no_params,
    .needs = needs_of_alfa_mix,
    .select = select_alfa_mix,
};
