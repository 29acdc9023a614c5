/* bait: batches that lower the trace of the inverse Fisher information, weighted by the pool's (Ash et al. 2021).
 *
 * I(x) = (diag p - p p^T) kron h h^T = V V^T with V = A kron h, A = (diag 1 - p 1^T) diag(sqrt p): rank below C. What
 * an item would change is a matter of two C x C matrices, S = V^T M^-1 V and T = V^T Q V with Q = M^-1 F M^-1: adding
 * it lowers tr(M^-1 F) by tr((1 + S)^-1 T), taking it away raises it by tr((1 - S)^-1 T) (Woodbury). With V apart, each
 * item keeps h^T [M^-1]_cc' h and h^T [Q]_cc' h for all pairs of classes; a pick changes M^-1 and Q by rank C, and so
 * these by one product of H with a D x 2 C^2 matrix for all items at once. All in double. */
#include "strategy/pointwise.h"
#include "strategy/projection.h"

#include "base/lapack.h"
#include "base/memory.h"
#include "base/simd.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 256, MOST_PARAMETERS = 6000 };

static const al_param params_of_bait[] = {AL_DIMS_PARAM,
                                          {.key = "lambda",
                                           .type = AL_PARAM_REAL,
                                           .fallback = "1.0",
                                           .min = 1e-9,
                                           .max = 1e9,
                                           .help = "regulariser: M starts as lambda I plus the mean information of L"},
                                          {0}};

static unsigned needs_of_bait(const json_t *params) {
  unsigned needs = AL_NEED_PROBS | AL_NEED_PROBS_LABELLED | AL_NEED_EMBEDDINGS;
  return al_params_int(params, "dims") == 0 ? needs | AL_NEED_DENSE : needs; /* a projection is dense */
}

typedef struct {
  size_t n, c, d, size, pairs; /* |U|, C, D, C D, C (C + 1) / 2 */
  al_view h;                   /* n x d */
  double *p;                   /* n x c; rows sum to 1 */
  double *inverse, *q;         /* size x size: M^-1 and M^-1 F M^-1; lower triangles after the first pick */
  double *s, *t;               /* n x pairs: h^T [M^-1]_ij h and h^T [Q]_ij h, j <= i */
  /* of the item being added or taken away */
  double *v, *b, *e; /* size x c */
  double *change;    /* d x 2 c^2 */
  /* scratch */
  double *rows, *products; /* BLOCK x d; BLOCK x max(size, 2 c^2) */
  double *small;           /* 5 c^2 + c */
} fisher;

/* Rows that index names (NULL: first, first + 1, ..) in double. */
static void load_rows(const al_view *h, const int32_t *index, size_t first, size_t count, double *out) {
  for (size_t i = 0; i < count; i++) {
    const float *from = h->values + (index == NULL ? first + i : (size_t)index[first + i]) * h->cols;
    for (size_t j = 0; j < h->cols; j++) out[i * h->cols + j] = (double)from[j];
  }
}

static al_status normalise(double **out, const float *probs, size_t n, size_t c) {
  al_status status = AL_NEW(out, n * c);
  for (size_t i = 0; status == AL_OK && i < n; i++) {
    double sum = 0.0;
    for (size_t j = 0; j < c; j++) sum += (*out)[i * c + j] = fmax(0.0, (double)probs[i * c + j]);
    for (size_t j = 0; j < c; j++) (*out)[i * c + j] /= sum;
  }
  return status;
}

/* ---- sums over items ---- */

/* to += scale sum_i (diag p_i - p_i p_i^T) kron h_i h_i^T; the blocks on and right of the diagonal. */
static void add_information(const fisher *f, const al_view *h, const double *p, double scale, double *to) {
  size_t c = f->c, d = f->d;
  for (size_t start = 0; start < h->rows; start += BLOCK) {
    size_t count = h->rows - start < BLOCK ? h->rows - start : BLOCK;
    load_rows(h, NULL, start, count, f->rows);
    for (size_t a = 0; a < c; a++) {
      size_t width = (c - a) * d;
      for (size_t i = 0; i < count; i++) {
        const double *row = f->rows + i * d, *own = p + (start + i) * c;
        for (size_t b = a; b < c; b++) {
          double weight = scale * ((a == b ? own[a] : 0.0) - own[a] * own[b]);
          double *out = f->products + i * width + (b - a) * d;
          for (size_t j = 0; j < d; j++) out[j] = weight * row[j];
        }
      }
      cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)d, (int)width, (int)count, 1.0, f->rows, (int)d,
                  f->products, (int)width, 1.0, to + a * d * f->size + a * d, (int)f->size);
    }
  }
}

/* out[i][pair (b, a)] = h_i^T [m]_ab h_i, a <= b, by the blocks on and right of the diagonal. */
static void measure_all(const fisher *f, const double *m, double *out) {
  size_t c = f->c, d = f->d;
  for (size_t start = 0; start < f->n; start += BLOCK) {
    size_t count = f->n - start < BLOCK ? f->n - start : BLOCK;
    load_rows(&f->h, NULL, start, count, f->rows);
    for (size_t a = 0; a < c; a++) {
      size_t width = (c - a) * d;
      cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)count, (int)width, (int)d, 1.0, f->rows, (int)d,
                  m + a * d * f->size + a * d, (int)f->size, 0.0, f->products, (int)width);
      for (size_t i = 0; i < count; i++)
        for (size_t b = a; b < c; b++)
          out[(start + i) * f->pairs + b * (b + 1) / 2 + a] =
              cblas_ddot((int)d, f->products + i * width + (b - a) * d, 1, f->rows + i * d, 1);
    }
  }
}

static void mirror(double *m, size_t size, bool from_upper) {
  for (size_t i = 0; i < size; i++)
    for (size_t j = 0; j < i; j++) {
      if (from_upper)
        m[i * size + j] = m[j * size + i];
      else
        m[j * size + i] = m[i * size + j];
    }
}

/* M^-1 and Q from the information of L and U, and what each item makes of them. */
static al_status start(fisher *f, const al_view *labelled, const double *p_labelled, double lambda) {
  al_status status;
  double *pool = NULL, *half = NULL;
  size_t size = f->size;
  AL_TRY(AL_NEW(&f->inverse, size * size));
  AL_TRY(AL_NEW(&pool, size * size));
  AL_TRY(AL_NEW(&half, size * size));
  if (p_labelled != NULL) add_information(f, labelled, p_labelled, 1.0 / (double)labelled->rows, f->inverse);
  for (size_t i = 0; i < size; i++) f->inverse[i * size + i] += lambda;
  mirror(f->inverse, size, true);
  AL_TRY(al_cholesky(f->inverse, size));
  AL_TRY(al_cholesky_inverse(f->inverse, size));
  mirror(f->inverse, size, false);
  add_information(f, &f->h, f->p, 1.0 / (double)f->n, pool);
  mirror(pool, size, true);
  cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)size, (int)size, (int)size, 1.0, f->inverse, (int)size,
              pool, (int)size, 0.0, half, (int)size);
  cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)size, (int)size, (int)size, 1.0, half, (int)size,
              f->inverse, (int)size, 0.0, pool, (int)size);
  f->q = pool;
  pool = NULL;
  measure_all(f, f->inverse, f->s);
  measure_all(f, f->q, f->t);
done:
  free(pool);
  free(half);
  return status;
}

/* ---- one item ---- */

/* A^T G A for packed G: sqrt(p_i p_j) (G_ij - g_i - g_j + p.g), g = G p. Lower triangle of out (c x c). */
static void between_gradients(const double *packed, const double *p, size_t c, double *room, double *out) {
  double whole = 0.0;
  memset(room, 0, c * sizeof *room);
  for (size_t i = 0, at = 0; i < c; i++)
    for (size_t j = 0; j <= i; j++, at++) {
      room[i] += packed[at] * p[j];
      if (j != i) room[j] += packed[at] * p[i];
    }
  for (size_t i = 0; i < c; i++) whole += room[i] * p[i];
  for (size_t i = 0, at = 0; i < c; i++)
    for (size_t j = 0; j <= i; j++, at++)
      out[i * c + j] = sqrt(p[i] * p[j]) * ((packed[at] - room[i]) - (room[j] - whole));
}

/* Lower Cholesky factor of m (c x c, lower) in place. False where it is not positive definite. */
static bool factor(double *m, size_t c) {
  for (size_t i = 0; i < c; i++)
    for (size_t j = 0; j <= i; j++) {
      double sum = m[i * c + j];
      for (size_t k = 0; k < j; k++) sum -= m[i * c + k] * m[j * c + k];
      if (i == j && !(sum > 0.0)) return false;
      m[i * c + j] = i == j ? sqrt(sum) : sum / m[j * c + j];
    }
  return true;
}

/* tr((1 + sign S)^-1 T) of an item: what adding it (1) lowers the trace by, or taking it away (-1) raises it. */
static double effect(const fisher *f, size_t item, double sign) {
  size_t c = f->c;
  double *s = f->small, *t = s + c * c, *l = t + c * c, *room = l + c * c, sum = 0.0;
  between_gradients(f->s + item * f->pairs, f->p + item * c, c, room, s);
  between_gradients(f->t + item * f->pairs, f->p + item * c, c, room, t);
  for (size_t i = 0; i < c; i++) {
    for (size_t j = 0; j <= i; j++) s[i * c + j] *= sign;
    s[i * c + i] += 1.0;
  }
  if (!factor(s, c)) return INFINITY; /* by rounding alone, where nothing else holds its directions */
  for (size_t i = 0; i < c; i++) {    /* row i of L^-1, then its square under T */
    double *row = l + i * c;
    for (size_t j = 0; j < i; j++) {
      double value = 0.0;
      for (size_t k = j; k < i; k++) value -= s[i * c + k] * l[k * c + j];
      row[j] = value / s[i * c + i];
    }
    row[i] = 1.0 / s[i * c + i];
    for (size_t j = 0; j <= i; j++) {
      double inner = 0.5 * t[j * c + j] * row[j];
      for (size_t k = 0; k < j; k++) inner += t[j * c + k] * row[k];
      sum += 2.0 * row[j] * inner;
    }
  }
  return sum > 0.0 ? sum : 0.0;
}

/* out (c x c) = V^T m for m: size x c, V = A kron h. */
static void project_on_item(const fisher *f, const double *h, const double *p, const double *m, double *room,
                            double *out) {
  size_t c = f->c, d = f->d;
  for (size_t a = 0; a < c; a++)
    for (size_t k = 0; k < c; k++) {
      room[a * c + k] = 0.0;
      for (size_t j = 0; j < d; j++) room[a * c + k] += h[j] * m[(a * d + j) * c + k];
    }
  for (size_t k = 0; k < c; k++) {
    double mean = 0.0;
    for (size_t a = 0; a < c; a++) mean += p[a] * room[a * c + k];
    for (size_t a = 0; a < c; a++) out[a * c + k] = sqrt(p[a]) * (room[a * c + k] - mean);
  }
}

/* packed -= sign sum_k (x_k y_k^T + y_k x_k^T) / 2, x and y: c x c, rows x_k */
static inline void subtract_products(double *packed, const double *x, const double *y, size_t c, double sign) {
  for (size_t k = 0; k < c; k++, x += c, y += c)
    for (size_t i = 0; i < c; i++) {
      double *to = packed + i * (i + 1) / 2, own = 0.5 * sign * x[i], other = 0.5 * sign * y[i];
      for (size_t j = 0; j <= i; j++) to[j] -= own * y[j] + other * x[j];
    }
}

AL_SIMD static void update_items(const fisher *f, const int32_t *items, size_t first, size_t count, double sign) {
  size_t c = f->c;
  for (size_t i = 0; i < count; i++) {
    size_t item = items == NULL ? first + i : (size_t)items[first + i];
    const double *b = f->products + i * 2 * c * c, *e = b + c * c;
    subtract_products(f->s + item * f->pairs, b, b, c, sign);
    subtract_products(f->t + item * f->pairs, b, e, c, 2.0 * sign);
  }
}

/* M + sign I(item): M^-1, Q, and what the `count` items (NULL: all) make of them. With L L^T = 1 + sign S: M^-1 -= sign
 * B B^T and Q -= sign (B E^T + E B^T), B = M^-1 V L^-T, E = Q V L^-T - sign B (L^-1 T L^-T) / 2. */
static al_status move(fisher *f, size_t item, double sign, const int32_t *items, size_t count) {
  al_status status = AL_OK;
  size_t c = f->c, d = f->d, size = f->size;
  double *s = f->small, *t = s + c * c, *room = t + c * c;
  const double *p = f->p + item * c;
  load_rows(&f->h, NULL, item, 1, f->rows);
  for (size_t a = 0; a < c; a++)
    for (size_t j = 0; j < d; j++)
      for (size_t k = 0; k < c; k++)
        f->v[(a * d + j) * c + k] = sqrt(p[k]) * ((a == k ? 1.0 : 0.0) - p[a]) * f->rows[j];
  cblas_dsymm(CblasRowMajor, CblasLeft, CblasLower, (int)size, (int)c, 1.0, f->inverse, (int)size, f->v, (int)c, 0.0,
              f->b, (int)c);
  cblas_dsymm(CblasRowMajor, CblasLeft, CblasLower, (int)size, (int)c, 1.0, f->q, (int)size, f->v, (int)c, 0.0, f->e,
              (int)c);
  project_on_item(f, f->rows, p, f->b, room, s);
  project_on_item(f, f->rows, p, f->e, room, t);
  for (size_t i = 0; i < c; i++) {
    for (size_t j = 0; j <= i; j++) s[i * c + j] *= sign;
    s[i * c + i] += 1.0;
  }
  if (!factor(s, c)) return al_fail(AL_ENVIRONMENT, "internal: bait: the information matrix lost its definiteness");
  cblas_dtrsm(CblasRowMajor, CblasRight, CblasLower, CblasTrans, CblasNonUnit, (int)size, (int)c, 1.0, s, (int)c, f->b,
              (int)c);
  cblas_dtrsm(CblasRowMajor, CblasRight, CblasLower, CblasTrans, CblasNonUnit, (int)size, (int)c, 1.0, s, (int)c, f->e,
              (int)c);
  cblas_dtrsm(CblasRowMajor, CblasRight, CblasLower, CblasTrans, CblasNonUnit, (int)c, (int)c, 1.0, s, (int)c, t,
              (int)c);
  cblas_dtrsm(CblasRowMajor, CblasLeft, CblasLower, CblasNoTrans, CblasNonUnit, (int)c, (int)c, 1.0, s, (int)c, t,
              (int)c);
  cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)size, (int)c, (int)c, -0.5 * sign, f->b, (int)c, t,
              (int)c, 1.0, f->e, (int)c);
  cblas_dsyrk(CblasRowMajor, CblasLower, CblasNoTrans, (int)size, (int)c, -sign, f->b, (int)c, 1.0, f->inverse,
              (int)size);
  cblas_dsyr2k(CblasRowMajor, CblasLower, CblasNoTrans, (int)size, (int)c, -sign, f->b, (int)c, f->e, (int)c, 1.0, f->q,
               (int)size);
  for (size_t j = 0; j < d; j++) /* [k][a] a row of D, so that a row of an item's product is one column of B */
    for (size_t k = 0; k < c; k++)
      for (size_t a = 0; a < c; a++) {
        f->change[j * 2 * c * c + k * c + a] = f->b[(a * d + j) * c + k];
        f->change[j * 2 * c * c + c * c + k * c + a] = f->e[(a * d + j) * c + k];
      }
  for (size_t first = 0; first < count; first += BLOCK) {
    size_t some = count - first < BLOCK ? count - first : BLOCK;
    load_rows(&f->h, items, first, some, f->rows);
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)some, (int)(2 * c * c), (int)d, 1.0, f->rows, (int)d,
                f->change, (int)(2 * c * c), 0.0, f->products, (int)(2 * c * c));
    update_items(f, items, first, some, sign);
  }
  return status;
}

/* ---- the batch ---- */

/* Forward picks into pos and gain; `most` of them. */
static al_status go_forward(fisher *f, size_t most, int32_t *pos, double *gain) {
  al_status status;
  bool *taken = NULL;
  AL_TRY(AL_NEW(&taken, f->n));
  for (size_t m = 0; m < most; m++) {
    size_t best = f->n;
    for (size_t i = 0; i < f->n; i++) {
      if (taken[i]) continue;
      double lowers = effect(f, i, 1.0);
      if (best == f->n || lowers > gain[m]) {
        best = i;
        gain[m] = lowers;
      }
    }
    pos[m] = (int32_t)best;
    taken[best] = true;
    AL_TRY(move(f, best, 1.0, NULL, f->n));
  }
done:
  free(taken);
  return status;
}

/* Removals from the m picks down to k; ties go to the later pick. */
static al_status go_back(fisher *f, size_t m, size_t k, int32_t *pos, double *gain) {
  al_status status = AL_OK;
  for (; m > k; m--) {
    size_t worst = m - 1;
    double least = INFINITY;
    for (size_t i = m; i-- > 0;) {
      double raises = effect(f, (size_t)pos[i], -1.0);
      if (raises < least) {
        least = raises;
        worst = i;
      }
    }
    size_t item = (size_t)pos[worst];
    memmove(pos + worst, pos + worst + 1, (m - worst - 1) * sizeof *pos);
    memmove(gain + worst, gain + worst + 1, (m - worst - 1) * sizeof *gain);
    if (m - 1 > k) AL_TRY(move(f, item, -1.0, pos, m - 1));
  }
done:
  return status;
}

static al_status allocate(fisher *f) {
  al_status status;
  size_t c = f->c, width = f->size > 2 * c * c ? f->size : 2 * c * c;
  AL_TRY(AL_NEW(&f->s, f->n * f->pairs));
  AL_TRY(AL_NEW(&f->t, f->n * f->pairs));
  AL_TRY(AL_NEW(&f->v, f->size * c));
  AL_TRY(AL_NEW(&f->b, f->size * c));
  AL_TRY(AL_NEW(&f->e, f->size * c));
  AL_TRY(AL_NEW(&f->change, f->d * 2 * c * c));
  AL_TRY(AL_NEW(&f->rows, BLOCK * f->d));
  AL_TRY(AL_NEW(&f->products, BLOCK * width));
  AL_TRY(AL_NEW(&f->small, 3 * c * c + c));
done:
  return status;
}

static void fisher_free(fisher *f) {
  double *blocks[] = {f->p, f->inverse, f->q, f->s, f->t, f->v, f->b, f->e, f->change, f->rows, f->products, f->small};
  for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) free(blocks[i]);
}

static al_status select_bait(const al_query *query, const json_t *params, al_picks *picks) {
  al_status status;
  size_t k = query->batch < query->pool ? query->batch : query->pool, c = query->classes;
  size_t dims = (size_t)al_params_int(params, "dims"), d = dims == 0 ? query->h_pool.cols : dims;
  size_t most = 2 * k < query->pool ? 2 * k : query->pool;
  al_view labelled = query->h_labelled;
  float *own_pool = NULL, *own_labelled = NULL;
  double *map = NULL, *p_labelled = NULL, *gain = NULL;
  int32_t *pos = NULL;
  if (c > MOST_PARAMETERS || c * d > MOST_PARAMETERS)
    return al_fail(AL_BAD_INPUT,
                   "bait: %zu classes times %zu columns are %zu parameters, more than %d; give dims to project the "
                   "embeddings to fewer columns",
                   c, d, c * d, MOST_PARAMETERS);
  fisher f = {.n = query->pool, .c = c, .d = d, .size = c * d, .pairs = c * (c + 1) / 2, .h = query->h_pool};
  labelled.rows = query->labelled;
  if (dims != 0) {
    AL_TRY(al_gaussian_map(&map, query->h_pool.cols, dims, al_rng_child(&query->rng, 1)));
    AL_TRY(al_project(&own_pool, &query->h_pool, map, dims));
    f.h = al_view_dense(own_pool, query->pool, dims);
    if (query->labelled != 0) AL_TRY(al_project(&own_labelled, &query->h_labelled, map, dims));
    labelled = al_view_dense(own_labelled, query->labelled, dims);
  }
  AL_TRY(normalise(&f.p, query->probs, query->pool, c));
  if (query->labelled != 0) AL_TRY(normalise(&p_labelled, query->probs_labelled, query->labelled, c));
  AL_TRY(allocate(&f));
  AL_TRY(AL_NEW(&pos, most));
  AL_TRY(AL_NEW(&gain, most));
  AL_TRY(start(&f, &labelled, p_labelled, al_params_real(params, "lambda")));
  AL_TRY(go_forward(&f, most, pos, gain));
  AL_TRY(go_back(&f, most, k, pos, gain));
  memcpy(picks->pos, pos, k * sizeof *pos);
  memcpy(picks->scores, gain, k * sizeof *gain);
  picks->count = k;
done:
  fisher_free(&f);
  free(map);
  free(own_pool);
  free(own_labelled);
  free(p_labelled);
  free(pos);
  free(gain);
  return status;
}

const al_strategy al_strategy_bait = {
    .name = "bait",
    .family = "gradient",
    .summary = "batches that best lower the pool's expected variance, by the last layer's Fisher information",
    .definition =
        "I(x) = (diag p - p p^T) kron h h^T, no bias; F = mean of I over U; M = lambda I + mean of I over L. Up to 2 "
        "k\n"
        "picks, each the x with the lowest tr((M + I(x))^-1 F), which M then includes; then removals down to k, each "
        "the one\n"
        "that raises the trace least (ties: the later pick). Printed in the order picked, with what the pick lowered "
        "the\n"
        "trace by. dims: d first maps h by a seeded Gaussian matrix with entries N(0, 1/d). Probabilities are divided "
        "by their\n"
        "sum. The authors' code weighs labels and picks by their numbers, n / (n + k) and k / (n + k); here\n"
        "a pick counts whole beside the mean of L. C x D above 6,000 is refused.",
    .citation = "Ash, Goel, Krishnamurthy and Kakade 2021 (Gone Fishing)",
    .cost = "P = C D: time O(P^2 (|U| + |L|) + P^3 + k (|U| C^2 (C + D) + C P^2)), memory 3 P^2 + |U| C (C + 1) "
            "doubles; CSR "
            "with\n"
            "dims is projected, otherwise the dense features stand in",
    .params = params_of_bait,
    .needs = needs_of_bait,
    .select = select_bait,
};
