/* Softmax regression with an l2 penalty and a free intercept, to the optimum.
 *
 * L-BFGS (Nocedal 1980, two-loop form, memory 8, strong Wolfe line search) from zero. With few rows the weights lie in
 * the rows' span, W = X^T A, and everything is done on A with the inner product tr(A^T K B), K = X X^T: the same
 * iterations as on W, at n^2 C a step instead of n D C, and one product with K a step, because images under K are
 * carried along linearly. With many rows the same code runs on W itself, where a vector is its own image. The intercept
 * is one more row in both.
 *
 * The first guess of the inverse Hessian is that of the loss with every p (1 - p) set to one mean w, the intercept
 * included (far-from-centred features such as pixels would otherwise take thousands of steps): one Cholesky factor a
 * fit, of M = w K + l2 I in the span, of w X^T X + l2 I (X centred) on W when it is dense, and two triangular solves a
 * step. In the span its image under K costs nothing: K M^-1 g = (g - l2 M^-1 g) / w.
 *
 * Stops when the gap that strong convexity allows, |gradient|^2 / (2 l2), is below 1e-10: a training row's
 * probabilities are then within sqrt(gap / 2), about 1e-5, of the optimum's. */
#include "model/softmax.h"

#include "base/lapack.h"
#include "base/memory.h"

#include <assert.h>
#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MEMORY = 8, MOST_STEPS = 1000, MOST_TRIALS = 25, BLOCK = 256 };

struct al_softmax {
  size_t classes, width, present;
  int32_t *class_of; /* present: class id of each fitted column */
  float *by_feature; /* width x present: W transposed, for sparse rows */
  float *head;       /* classes x width; made on first demand of al_softmax_head */
  float *bias;       /* classes */
  double *intercept; /* present */
  double objective;
};

/* ---- the problem: rows of parameters (n or D of them, and the intercept last) x P columns ---- */

typedef struct {
  size_t n, p, dims;     /* training rows, present classes, parameter rows without the intercept */
  const int32_t *target; /* n: column of each row's class */
  double l2;
  /* span form */
  const double *gram; /* n x n, or NULL */
  /* both, where factor is not NULL */
  double *factor;      /* dims x dims: lower Cholesky factor of M */
  double *ones_solved; /* n: M^-1 1 (span) */
  double *mean;        /* dims: column means of x (primal) */
  double curvature, ridge, ones_sum;
  /* primal form */
  const al_view *x;             /* n x dims */
  double *block, *block_scores; /* BLOCK x dims and BLOCK x p: dense rows in double */
  double *scores;               /* n x p, then the residuals */
} problem;

/* A point or direction: parameters ((dims + 1) x p) and their image ((dims + 1) x p; the parameters themselves in
 * primal form). */
typedef struct {
  double *v, *image;
} vector;

static size_t length_of(const problem *q) { return (q->dims + 1) * q->p; }

static double dot(const problem *q, const vector *a, const vector *b) {
  return cblas_ddot((int)length_of(q), a->v, 1, b->image, 1);
}

static void copy_vector(const problem *q, const vector *from, vector *to) {
  memcpy(to->v, from->v, length_of(q) * sizeof(double));
  if (to->image != to->v) memcpy(to->image, from->image, length_of(q) * sizeof(double));
}

static void add_scaled(const problem *q, double scale, const vector *x, vector *y) {
  cblas_daxpy((int)length_of(q), scale, x->v, 1, y->v, 1);
  if (y->image != y->v) cblas_daxpy((int)length_of(q), scale, x->image, 1, y->image, 1);
}

static void scale_vector(const problem *q, double scale, vector *x) {
  cblas_dscal((int)length_of(q), scale, x->v, 1);
  if (x->image != x->v) cblas_dscal((int)length_of(q), scale, x->image, 1);
}

static void load_block(const problem *q, size_t start, size_t size) {
  const float *from = q->x->values + start * q->dims;
  for (size_t i = 0; i < size * q->dims; i++) q->block[i] = (double)from[i];
}

static void primal_scores(const problem *q, const double *w) {
  size_t p = q->p;
  if (q->x->kind == AL_VIEW_DENSE) {
    for (size_t start = 0; start < q->n; start += BLOCK) {
      size_t size = q->n - start < BLOCK ? q->n - start : BLOCK;
      load_block(q, start, size);
      cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)size, (int)p, (int)q->dims, 1.0, q->block,
                  (int)q->dims, w, (int)p, 0.0, q->scores + start * p, (int)p);
    }
    return;
  }
  memset(q->scores, 0, q->n * p * sizeof(double));
  for (size_t i = 0; i < q->n; i++) {
    double *score = q->scores + i * p;
    for (int64_t at = q->x->begin[i]; at < q->x->end[i]; at++) {
      const double *row = w + (size_t)q->x->indices[at] * p;
      double value = (double)q->x->values[at];
      for (size_t c = 0; c < p; c++) score[c] += value * row[c];
    }
  }
}

static void primal_gradient(const problem *q, double *g) {
  size_t p = q->p;
  memset(g, 0, q->dims * p * sizeof(double));
  if (q->x->kind == AL_VIEW_DENSE) {
    for (size_t start = 0; start < q->n; start += BLOCK) {
      size_t size = q->n - start < BLOCK ? q->n - start : BLOCK;
      load_block(q, start, size);
      cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)q->dims, (int)p, (int)size, 1.0, q->block, (int)q->dims,
                  q->scores + start * p, (int)p, 1.0, g, (int)p);
    }
    return;
  }
  for (size_t i = 0; i < q->n; i++) {
    const double *residual = q->scores + i * p;
    for (int64_t at = q->x->begin[i]; at < q->x->end[i]; at++) {
      double *row = g + (size_t)q->x->indices[at] * p, value = (double)q->x->values[at];
      for (size_t c = 0; c < p; c++) row[c] += value * residual[c];
    }
  }
}

/* Turns scores into residuals (probability minus 1 for the target) and returns the sum of log losses. */
static double residuals(const problem *q, const double *intercept) {
  double loss = 0.0;
  for (size_t i = 0; i < q->n; i++) {
    double *score = q->scores + i * q->p, most = -INFINITY, sum = 0.0;
    for (size_t c = 0; c < q->p; c++) {
      score[c] += intercept[c];
      most = score[c] > most ? score[c] : most;
    }
    double of_target = score[q->target[i]];
    for (size_t c = 0; c < q->p; c++) sum += score[c] = exp(score[c] - most);
    loss += log(sum) + most - of_target;
    for (size_t c = 0; c < q->p; c++) score[c] /= sum;
    score[q->target[i]] -= 1.0;
  }
  return loss;
}

/* Objective at x, gradient and its image into g. */
static double evaluate(const problem *q, const vector *x, vector *g) {
  size_t inner = q->dims * q->p;
  const double *intercept = x->v + inner;
  if (q->gram != NULL)
    memcpy(q->scores, x->image, inner * sizeof(double)); /* dims = n: the image under K is the scores */
  else
    primal_scores(q, x->v);
  double loss = residuals(q, intercept);
  double penalty = 0.5 * q->l2 * cblas_ddot((int)inner, x->v, 1, x->image, 1);
  if (q->gram != NULL) {
    memcpy(g->v, q->scores, inner * sizeof(double));
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)q->n, (int)q->p, (int)q->n, 1.0, q->gram, (int)q->n,
                q->scores, (int)q->p, 0.0, g->image, (int)q->p);
    cblas_daxpy((int)inner, q->l2, x->image, 1, g->image, 1);
  } else {
    primal_gradient(q, g->v);
  }
  cblas_daxpy((int)inner, q->l2, x->v, 1, g->v, 1);
  memset(g->v + inner, 0, q->p * sizeof(double));
  for (size_t i = 0; i < q->n; i++)
    for (size_t c = 0; c < q->p; c++) g->v[inner + c] += q->scores[i * q->p + c];
  if (g->image != g->v) memcpy(g->image + inner, g->v + inner, q->p * sizeof(double));
  return loss + penalty;
}

/* ---- L-BFGS ---- */

typedef struct {
  vector x, g, next, next_g, direction, s[MEMORY], y[MEMORY];
  double rho[MEMORY];
  size_t pairs, newest;
  double *storage;
} workspace;

static al_status workspace_new(workspace *w, const problem *q) {
  vector *all[5 + 2 * MEMORY] = {&w->x, &w->g, &w->next, &w->next_g, &w->direction};
  for (size_t i = 0; i < MEMORY; i++) {
    all[5 + i] = &w->s[i];
    all[5 + MEMORY + i] = &w->y[i];
  }
  size_t length = length_of(q), parts = q->gram == NULL ? 1 : 2;
  al_status status = AL_NEW(&w->storage, (5 + 2 * MEMORY) * parts * length);
  if (status != AL_OK) return status;
  for (size_t i = 0; i < 5 + 2 * MEMORY; i++) {
    all[i]->v = w->storage + i * parts * length;
    all[i]->image = all[i]->v + (parts - 1) * length;
  }
  return AL_OK;
}

static void solve_factor(const problem *q, double *x, size_t p) {
  cblas_dtrsm(CblasRowMajor, CblasLeft, CblasLower, CblasNoTrans, CblasNonUnit, (int)q->dims, (int)p, 1.0, q->factor,
              (int)q->dims, x, (int)p);
  cblas_dtrsm(CblasRowMajor, CblasLeft, CblasLower, CblasTrans, CblasNonUnit, (int)q->dims, (int)p, 1.0, q->factor,
              (int)q->dims, x, (int)p);
}

/* x = H0 x in the span, with its image: solves l2 a + w (K a + 1 b) = x, w (1' K a + n b) = x_b by eliminating a. */
static void precondition_span(const problem *q, vector *x) {
  size_t n = q->n, p = q->p, inner = n * p;
  double *a = x->v, *image = x->image, *b = x->v + inner;
  memcpy(image, a, inner * sizeof *a);
  solve_factor(q, a, p);
  for (size_t i = 0; i < n; i++)
    for (size_t c = 0; c < p; c++) b[c] += q->ridge * a[i * p + c] - image[i * p + c];
  for (size_t c = 0; c < p; c++) image[inner + c] = b[c] /= q->curvature * q->ridge * q->ones_sum;
  for (size_t i = 0; i < n; i++)
    for (size_t c = 0; c < p; c++) {
      size_t at = i * p + c;
      a[at] -= q->curvature * q->ones_solved[i] * b[c];
      image[at] = (image[at] - q->ridge * a[at]) / q->curvature - b[c];
    }
}

/* The same on W: centred features make the intercept independent of the weights. */
static void precondition_primal(const problem *q, vector *x) {
  size_t p = q->p;
  double *w = x->v, *b = x->v + q->dims * p;
  for (size_t d = 0; d < q->dims; d++)
    for (size_t c = 0; c < p; c++) w[d * p + c] -= q->mean[d] * b[c];
  solve_factor(q, w, p);
  for (size_t c = 0; c < p; c++) b[c] /= q->curvature * (double)q->n;
  for (size_t d = 0; d < q->dims; d++)
    for (size_t c = 0; c < p; c++) b[c] -= q->mean[d] * w[d * p + c];
}

/* direction = -H g, by the two loops. */
static void find_direction(const problem *q, workspace *w) {
  double alpha[MEMORY];
  copy_vector(q, &w->g, &w->direction);
  for (size_t i = 0; i < w->pairs; i++) {
    size_t at = (w->newest + MEMORY - i) % MEMORY;
    alpha[at] = w->rho[at] * dot(q, &w->s[at], &w->direction);
    add_scaled(q, -alpha[at], &w->y[at], &w->direction);
  }
  if (q->gram != NULL) {
    precondition_span(q, &w->direction);
  } else if (q->factor != NULL) {
    precondition_primal(q, &w->direction);
  } else if (w->pairs != 0) {
    const vector *y = &w->y[w->newest];
    scale_vector(q, 1.0 / (w->rho[w->newest] * dot(q, y, y)), &w->direction);
  }
  for (size_t i = w->pairs; i-- > 0;) {
    size_t at = (w->newest + MEMORY - i) % MEMORY;
    double beta = w->rho[at] * dot(q, &w->y[at], &w->direction);
    add_scaled(q, alpha[at] - beta, &w->s[at], &w->direction);
  }
  scale_vector(q, -1.0, &w->direction);
}

/* A step that meets the strong Wolfe conditions, by bracketing and interpolation; leaves it in next and next_g. The
 * problem is convex and smooth, so that the unit step nearly always does. False when rounding leaves nothing to gain.
 */
static bool line_search(const problem *q, workspace *w, double *objective, double first_step) {
  double start = *objective, slope = dot(q, &w->g, &w->direction), low = 0.0, high = INFINITY, step = first_step;
  if (!(slope < 0.0)) return false;
  for (int trial = 0; trial < MOST_TRIALS; trial++) {
    copy_vector(q, &w->x, &w->next);
    add_scaled(q, step, &w->direction, &w->next);
    double value = evaluate(q, &w->next, &w->next_g), new_slope = dot(q, &w->next_g, &w->direction);
    /* near the optimum the objective is flat to rounding: the slope alone decides */
    bool flat = fabs(value - start) <= 1e-13 * (1.0 + fabs(start));
    if (!isfinite(value) || (!flat && value > start + 1e-4 * step * slope) || (flat && new_slope > 0.9 * fabs(slope))) {
      high = step;
    } else if (new_slope < 0.9 * slope) {
      low = step;
    } else if (new_slope > -0.9 * slope) {
      high = step;
    } else {
      *objective = value;
      return true;
    }
    step = isfinite(high) ? 0.5 * (low + high) : 2.0 * step;
  }
  return false;
}

static void remember(const problem *q, workspace *w) {
  size_t at = w->pairs == 0 ? 0 : (w->newest + 1) % MEMORY;
  copy_vector(q, &w->next, &w->s[at]);
  add_scaled(q, -1.0, &w->x, &w->s[at]);
  copy_vector(q, &w->next_g, &w->y[at]);
  add_scaled(q, -1.0, &w->g, &w->y[at]);
  double curvature = dot(q, &w->s[at], &w->y[at]);
  if (curvature <= 0.0) { /* rounding at the optimum: not kept, and the oldest pair, which it overwrote, is given up */
    if (w->pairs == MEMORY) w->pairs--;
    return;
  }
  w->rho[at] = 1.0 / curvature;
  w->newest = at;
  if (w->pairs < MEMORY) w->pairs++;
}

static double minimise(const problem *q, workspace *w) {
  double objective = evaluate(q, &w->x, &w->g);
  for (int step = 0; step < MOST_STEPS; step++) {
    double squared = dot(q, &w->g, &w->g);
    if (squared / (2.0 * q->l2) <= 1e-10) break;
    find_direction(q, w);
    double first = w->pairs == 0 && q->factor == NULL ? 1.0 / fmax(1.0, sqrt(squared)) : 1.0;
    if (!line_search(q, w, &objective, first)) {
      if (w->pairs == 0) break;
      w->pairs = 0; /* once more along the gradient */
      continue;
    }
    remember(q, w);
    vector keep = w->x, keep_g = w->g;
    w->x = w->next;
    w->next = keep;
    w->g = w->next_g;
    w->next_g = keep_g;
  }
  return objective;
}

/* ---- fitted models ---- */

/* Present classes ascending; target[i] the column of row i. */
static al_status find_present(const int32_t *classes, size_t n, size_t class_count, int32_t **class_of, size_t *present,
                              int32_t *target) {
  int32_t *column = NULL;
  al_status status = AL_NEW(&column, class_count);
  if (status == AL_OK) status = AL_NEW(class_of, class_count);
  if (status != AL_OK) {
    free(column);
    return status;
  }
  for (size_t i = 0; i < n; i++) {
    assert(classes[i] >= 0 && (size_t)classes[i] < class_count);
    column[classes[i]] = 1;
  }
  *present = 0;
  for (size_t c = 0; c < class_count; c++)
    if (column[c] != 0) {
      (*class_of)[*present] = (int32_t)c;
      column[c] = (int32_t)(*present)++;
    }
  for (size_t i = 0; i < n; i++) target[i] = column[classes[i]];
  free(column);
  return AL_OK;
}

static al_status softmax_new(al_softmax **out, const int32_t *classes, size_t n, size_t class_count, size_t width,
                             int32_t *target) {
  al_status status;
  al_softmax *model = NULL;
  *out = NULL;
  AL_TRY(AL_NEW(&model, 1));
  model->classes = class_count;
  model->width = width;
  AL_TRY(find_present(classes, n, class_count, &model->class_of, &model->present, target));
  AL_TRY(AL_NEW(&model->by_feature, width * model->present));
  AL_TRY(AL_NEW(&model->intercept, model->present));
  *out = model;
  model = NULL;
done:
  al_softmax_free(model);
  return status;
}

void al_softmax_free(al_softmax *model) {
  if (model == NULL) return;
  free(model->class_of);
  free(model->by_feature);
  free(model->head);
  free(model->bias);
  free(model->intercept);
  free(model);
}

double al_softmax_objective(const al_softmax *model) { return model->objective; }

/* W = X^T A, transposed: feature-major. Summed in double over the features that occur, because with more rows than
 * features A is large and cancels. */
static al_status weights_from_span(al_softmax *model, const al_view *rows, const int32_t *index, size_t n,
                                   const double *a) {
  al_status status;
  size_t p = model->present, used = 0;
  int32_t *slot = NULL; /* width: 1 + place of the feature in sums, 0 = does not occur */
  double *sums = NULL;  /* used x p */
  AL_TRY(AL_NEW(&slot, model->width));
  if (rows->kind == AL_VIEW_CSR) {
    for (size_t i = 0; i < n; i++)
      for (int64_t at = rows->begin[index[i]]; at < rows->end[index[i]]; at++)
        if (slot[rows->indices[at]] == 0) slot[rows->indices[at]] = (int32_t)++used;
  } else {
    for (size_t d = 0; d < model->width; d++) slot[d] = (int32_t)++used;
  }
  AL_TRY(AL_NEW(&sums, used * p));
  for (size_t i = 0; i < n; i++) {
    const double *from = a + i * p;
    bool sparse = rows->kind == AL_VIEW_CSR;
    int64_t begin = sparse ? rows->begin[index[i]] : (int64_t)index[i] * (int64_t)rows->cols;
    int64_t end = sparse ? rows->end[index[i]] : begin + (int64_t)rows->cols;
    for (int64_t at = begin; at < end; at++) {
      size_t feature = (size_t)(sparse ? rows->indices[at] : at - begin);
      double *to = sums + (size_t)(slot[feature] - 1) * p, value = (double)rows->values[at];
      for (size_t c = 0; c < p; c++) to[c] += value * from[c];
    }
  }
  for (size_t d = 0; d < model->width; d++)
    for (size_t c = 0; slot[d] != 0 && c < p; c++)
      model->by_feature[d * p + c] = (float)sums[(size_t)(slot[d] - 1) * p + c];
done:
  free(slot);
  free(sums);
  return status;
}

void al_gram_extend(double *gram, size_t stride, const al_view *rows, size_t from, size_t n, double *scratch) {
  for (size_t i = from; i < n; i++) {
    if (rows->kind == AL_VIEW_CSR) {
      for (int64_t at = rows->begin[i]; at < rows->end[i]; at++) scratch[rows->indices[at]] = (double)rows->values[at];
      for (size_t j = 0; j <= i; j++) {
        double sum = 0.0;
        for (int64_t at = rows->begin[j]; at < rows->end[j]; at++)
          sum += (double)rows->values[at] * scratch[rows->indices[at]];
        gram[i * stride + j] = gram[j * stride + i] = sum;
      }
      for (int64_t at = rows->begin[i]; at < rows->end[i]; at++) scratch[rows->indices[at]] = 0.0;
    } else {
      for (size_t j = 0; j <= i; j++) gram[i * stride + j] = gram[j * stride + i] = al_view_dot(rows, i, rows, j);
    }
  }
}

static double mean_curvature(size_t p) { return 0.5 / (double)p * (1.0 - 1.0 / (double)p); }

/* l2, or what keeps the factor of a singular matrix (diagonal of k: dims x dims) positive when l2 is lost in rounding.
 * Only the first guess of the Hessian depends on it. */
static double ridge_of(const problem *q, const double *k) {
  double most = 0.0;
  for (size_t i = 0; i < q->dims; i++) most = fmax(most, k[i * q->dims + i]);
  return fmax(q->l2, 1e-14 * (double)q->dims * q->curvature * most);
}

/* Solves in the span: a (n x P) and the intercept. */
static al_status solve_gram(const double *gram, size_t stride, const int32_t *index, size_t n, const int32_t *target,
                            size_t p, double l2, double **a, double *intercept, double *objective) {
  al_status status;
  workspace w = {0};
  double *k = NULL, *scores = NULL, *factor = NULL, *ones = NULL;
  *a = NULL;
  AL_TRY(AL_NEW(&k, n * n));
  AL_TRY(AL_NEW(&scores, n * p));
  AL_TRY(AL_NEW(a, n * p));
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++) k[i * n + j] = gram[(size_t)index[i] * stride + (size_t)index[j]];
  problem q = {.n = n, .p = p, .dims = n, .target = target, .l2 = l2, .gram = k, .scores = scores};
  q.curvature = mean_curvature(p);
  AL_TRY(AL_NEW(&factor, n * n));
  AL_TRY(AL_NEW(&ones, n));
  q.factor = factor;
  q.ones_solved = ones;
  q.ridge = ridge_of(&q, k);
  for (size_t i = 0; i < n; i++) {
    for (size_t j = 0; j <= i; j++) q.factor[i * n + j] = q.curvature * k[i * n + j];
    q.factor[i * n + i] += q.ridge;
    ones[i] = 1.0;
  }
  AL_TRY(al_cholesky(q.factor, n));
  solve_factor(&q, ones, 1);
  for (size_t i = 0; i < n; i++) q.ones_sum += ones[i];
  AL_TRY(workspace_new(&w, &q));
  *objective = minimise(&q, &w);
  memcpy(*a, w.x.v, n * p * sizeof **a);
  memcpy(intercept, w.x.v + n * p, p * sizeof *intercept);
done:
  free(w.storage);
  free(factor);
  free(ones);
  free(k);
  free(scores);
  return status;
}

al_status al_gram_solve(const double *gram, size_t stride, const int32_t *target, size_t n, size_t p, double l2,
                        double *a, double *intercept) {
  al_status status;
  int32_t *index = NULL;
  double *found = NULL, objective;
  AL_TRY(AL_NEW(&index, n));
  for (size_t i = 0; i < n; i++) index[i] = (int32_t)i;
  AL_TRY(solve_gram(gram, stride, index, n, target, p, l2, &found, intercept, &objective));
  memcpy(a, found, n * p * sizeof *a);
done:
  free(index);
  free(found);
  return status;
}

al_status al_softmax_fit_gram(al_softmax **out, const al_view *rows, const double *gram, size_t stride,
                              const int32_t *index, size_t n, const int32_t *classes, size_t class_count, double l2) {
  al_status status;
  al_softmax *model = NULL;
  int32_t *target = NULL;
  double *a = NULL;
  *out = NULL;
  AL_TRY(AL_NEW(&target, n));
  AL_TRY(softmax_new(&model, classes, n, class_count, rows->cols, target));
  if (model->present > 1) {
    AL_TRY(solve_gram(gram, stride, index, n, target, model->present, l2, &a, model->intercept, &model->objective));
    AL_TRY(weights_from_span(model, rows, index, n, a));
  }
  *out = model;
  model = NULL;
done:
  al_softmax_free(model);
  free(target);
  free(a);
  return status;
}

/* Factor of w X^T X + l2 I, X dense and centred, by blocks of rows. */
static al_status factor_primal(problem *q) {
  al_status status;
  size_t d = q->dims;
  AL_TRY(AL_NEW(&q->factor, d * d));
  AL_TRY(AL_NEW(&q->mean, d));
  for (size_t i = 0; i < q->n; i++)
    for (size_t j = 0; j < d; j++) q->mean[j] += (double)q->x->values[i * d + j] / (double)q->n;
  q->curvature = mean_curvature(q->p);
  for (size_t start = 0; start < q->n; start += BLOCK) {
    size_t size = q->n - start < BLOCK ? q->n - start : BLOCK;
    load_block(q, start, size);
    for (size_t i = 0; i < size; i++)
      for (size_t j = 0; j < d; j++) q->block[i * d + j] -= q->mean[j];
    cblas_dsyrk(CblasRowMajor, CblasLower, CblasTrans, (int)d, (int)size, 1.0, q->block, (int)d, 1.0, q->factor,
                (int)d);
  }
  q->ridge = ridge_of(q, q->factor);
  for (size_t i = 0; i < d; i++) {
    for (size_t j = 0; j <= i; j++) q->factor[i * d + j] *= q->curvature;
    q->factor[i * d + i] += q->ridge;
  }
  AL_TRY(al_cholesky(q->factor, d));
done:
  return status;
}

static al_status fit_primal(al_softmax *model, const al_view *rows, const int32_t *target, double l2) {
  al_status status;
  workspace w = {0};
  problem q = {.n = rows->rows, .p = model->present, .dims = rows->cols, .target = target, .l2 = l2, .x = rows};
  AL_TRY(AL_NEW(&q.scores, q.n * q.p));
  if (rows->kind == AL_VIEW_DENSE) AL_TRY(AL_NEW(&q.block, BLOCK * q.dims));
  if (rows->kind == AL_VIEW_DENSE && q.dims <= AL_GRAM_LIMIT) AL_TRY(factor_primal(&q));
  AL_TRY(workspace_new(&w, &q));
  model->objective = minimise(&q, &w);
  for (size_t i = 0; i < q.dims * q.p; i++) model->by_feature[i] = (float)w.x.v[i];
  memcpy(model->intercept, w.x.v + q.dims * q.p, q.p * sizeof *model->intercept);
done:
  free(q.scores);
  free(q.block);
  free(q.factor);
  free(q.mean);
  free(w.storage);
  return status;
}

al_status al_softmax_fit(al_softmax **out, const al_view *rows, const int32_t *classes, size_t class_count, double l2) {
  al_status status;
  al_softmax *model = NULL;
  int32_t *target = NULL, *index = NULL;
  double *gram = NULL, *scratch = NULL;
  size_t n = rows->rows;
  *out = NULL;
  assert(n != 0 && l2 > 0.0);
  if (n > AL_GRAM_LIMIT || (rows->kind == AL_VIEW_DENSE && rows->cols < n)) {
    AL_TRY(AL_NEW(&target, n));
    AL_TRY(softmax_new(&model, classes, n, class_count, rows->cols, target));
    if (model->present > 1) AL_TRY(fit_primal(model, rows, target, l2));
    *out = model;
    model = NULL;
    goto done;
  }
  AL_TRY(AL_NEW(&gram, n * n));
  AL_TRY(AL_NEW(&scratch, rows->cols));
  AL_TRY(AL_NEW(&index, n));
  for (size_t i = 0; i < n; i++) index[i] = (int32_t)i;
  al_gram_extend(gram, n, rows, 0, n, scratch);
  AL_TRY(al_softmax_fit_gram(out, rows, gram, n, index, n, classes, class_count, l2));
done:
  al_softmax_free(model);
  free(target);
  free(index);
  free(gram);
  free(scratch);
  return status;
}

/* Softmax of one row's scores (present columns) into C probabilities; absent classes get 0. */
static void put_probs(const double *scores, const int32_t *class_of, size_t present, size_t classes, float *probs) {
  double most = -INFINITY, sum = 0.0;
  memset(probs, 0, classes * sizeof *probs);
  for (size_t c = 0; c < present; c++) most = scores[c] > most ? scores[c] : most;
  for (size_t c = 0; c < present; c++) sum += exp(scores[c] - most);
  for (size_t c = 0; c < present; c++) probs[class_of[c]] = (float)(exp(scores[c] - most) / sum);
}

/* Probabilities, or with `raw` the scores. */
static al_status predict_rows(const al_softmax *model, const al_view *rows, bool raw, float *out) {
  al_status status;
  float *scores = NULL;
  double *exact = NULL;
  size_t p = model->present;
  assert(rows->cols == model->width);
  AL_TRY(AL_NEW(&scores, BLOCK * p));
  AL_TRY(AL_NEW(&exact, p));
  for (size_t start = 0; start < rows->rows; start += BLOCK) {
    size_t size = rows->rows - start < BLOCK ? rows->rows - start : BLOCK;
    if (rows->kind == AL_VIEW_DENSE) {
      cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)size, (int)p, (int)rows->cols, 1.0F,
                  rows->values + start * rows->cols, (int)rows->cols, model->by_feature, (int)p, 0.0F, scores, (int)p);
    } else {
      memset(scores, 0, size * p * sizeof *scores);
      for (size_t i = 0; i < size; i++)
        for (int64_t at = rows->begin[start + i]; at < rows->end[start + i]; at++) {
          const float *row = model->by_feature + (size_t)rows->indices[at] * p;
          float value = rows->values[at], *score = scores + i * p;
          for (size_t c = 0; c < p; c++) score[c] += value * row[c];
        }
    }
    for (size_t i = 0; i < size; i++) {
      for (size_t c = 0; c < p; c++) exact[c] = (double)scores[i * p + c] + model->intercept[c];
      float *row = out + (start + i) * model->classes;
      if (!raw) {
        put_probs(exact, model->class_of, p, model->classes, row);
        continue;
      }
      for (size_t c = 0; c < model->classes; c++) row[c] = -INFINITY;
      for (size_t c = 0; c < p; c++) row[model->class_of[c]] = (float)exact[c];
    }
  }
done:
  free(scores);
  free(exact);
  return status;
}

al_status al_softmax_predict(const al_softmax *model, const al_view *rows, float *probs) {
  return predict_rows(model, rows, false, probs);
}

al_status al_softmax_logits(const al_softmax *model, const al_view *rows, float *logits) {
  return predict_rows(model, rows, true, logits);
}

al_status al_softmax_head(al_softmax *model, const float **weights, const float **bias) {
  al_status status = AL_OK;
  if (model->head == NULL) {
    AL_TRY(AL_NEW(&model->head, model->classes * model->width));
    AL_TRY(AL_NEW(&model->bias, model->classes));
    for (size_t c = 0; c < model->classes; c++) model->bias[c] = -1e30F; /* an absent class: probability 0 */
    for (size_t c = 0; c < model->present; c++) {
      float *row = model->head + (size_t)model->class_of[c] * model->width;
      for (size_t d = 0; d < model->width; d++) row[d] = model->by_feature[d * model->present + c];
      model->bias[model->class_of[c]] = (float)model->intercept[c];
    }
  }
  *weights = model->head;
  *bias = model->bias;
done:
  return status;
}

/* ---- cross-validation ---- */

static al_status predict_fold(const double *gram, size_t stride, const int32_t *train, size_t n, const int32_t *held,
                              size_t m, const int32_t *classes, size_t class_count, double l2, float *probs) {
  al_status status;
  int32_t *own = NULL, *target = NULL, *class_of = NULL;
  double *a = NULL, *intercept = NULL, *scores = NULL, objective;
  size_t present = 0;
  AL_TRY(AL_NEW(&own, n));
  AL_TRY(AL_NEW(&target, n));
  for (size_t i = 0; i < n; i++) own[i] = classes[train[i]];
  AL_TRY(find_present(own, n, class_count, &class_of, &present, target));
  AL_TRY(AL_NEW(&intercept, present));
  AL_TRY(AL_NEW(&scores, present));
  if (present > 1) AL_TRY(solve_gram(gram, stride, train, n, target, present, l2, &a, intercept, &objective));
  for (size_t i = 0; i < m; i++) {
    for (size_t c = 0; c < present; c++) scores[c] = intercept[c];
    for (size_t j = 0; a != NULL && j < n; j++) {
      double k = gram[(size_t)held[i] * stride + (size_t)train[j]];
      for (size_t c = 0; c < present; c++) scores[c] += k * a[j * present + c];
    }
    put_probs(scores, class_of, present, class_count, probs + (size_t)held[i] * class_count);
  }
done:
  free(own);
  free(target);
  free(class_of);
  free(a);
  free(intercept);
  free(scores);
  return status;
}

al_status al_gram_cross_validate(const double *gram, size_t stride, const int32_t *classes, size_t n,
                                 size_t class_count, double l2, const uint8_t *fold_of, unsigned folds, float *probs) {
  al_status status = AL_OK;
  int32_t *train = NULL, *held = NULL;
  AL_TRY(AL_NEW(&train, n));
  AL_TRY(AL_NEW(&held, n));
  memset(probs, 0, n * class_count * sizeof *probs);
  for (unsigned fold = 0; fold < folds; fold++) {
    size_t in = 0, out = 0;
    for (size_t i = 0; i < n; i++) {
      if (fold_of[i] == fold)
        held[out++] = (int32_t)i;
      else
        train[in++] = (int32_t)i;
    }
    if (in != 0 && out != 0) AL_TRY(predict_fold(gram, stride, train, in, held, out, classes, class_count, l2, probs));
  }
done:
  free(train);
  free(held);
  return status;
}

/* A fit a fold on the rows themselves, where the Gram matrix of all would be large or slower. */
static al_status cross_validate_primal(const al_view *rows, const int32_t *classes, size_t class_count, double l2,
                                       const uint8_t *fold_of, unsigned folds, float *probs) {
  al_status status;
  size_t n = rows->rows;
  int32_t *train = NULL, *held = NULL, *own = NULL;
  float *part = NULL; /* rows held out x C */
  al_subset storage = {0};
  al_softmax *model = NULL;
  al_view view;
  AL_TRY(AL_NEW(&train, n));
  AL_TRY(AL_NEW(&held, n));
  AL_TRY(AL_NEW(&own, n));
  AL_TRY(AL_NEW(&part, n * class_count));
  memset(probs, 0, n * class_count * sizeof *probs);
  for (unsigned fold = 0; fold < folds; fold++) {
    size_t in = 0, out = 0;
    for (size_t i = 0; i < n; i++) {
      if (fold_of[i] == fold) {
        held[out++] = (int32_t)i;
      } else {
        own[in] = classes[i];
        train[in++] = (int32_t)i;
      }
    }
    if (in == 0 || out == 0) continue;
    AL_TRY(al_view_take(&view, rows, train, in, &storage));
    AL_TRY(al_softmax_fit(&model, &view, own, class_count, l2));
    AL_TRY(al_view_take(&view, rows, held, out, &storage));
    AL_TRY(al_softmax_predict(model, &view, part));
    for (size_t i = 0; i < out; i++)
      memcpy(probs + (size_t)held[i] * class_count, part + i * class_count, class_count * sizeof *probs);
    al_softmax_free(model);
    model = NULL;
  }
done:
  al_softmax_free(model);
  al_subset_free(&storage);
  free(train);
  free(held);
  free(own);
  free(part);
  return status;
}

al_status al_softmax_cross_validate(const al_view *rows, const int32_t *classes, size_t class_count, double l2,
                                    const uint8_t *fold_of, unsigned folds, float *probs) {
  al_status status;
  double *gram = NULL, *scratch = NULL;
  size_t n = rows->rows;
  if (n > AL_GRAM_LIMIT || (rows->kind == AL_VIEW_DENSE && rows->cols < n))
    return cross_validate_primal(rows, classes, class_count, l2, fold_of, folds, probs);
  AL_TRY(AL_NEW(&gram, n * n));
  AL_TRY(AL_NEW(&scratch, rows->cols));
  al_gram_extend(gram, n, rows, 0, n, scratch);
  AL_TRY(al_gram_cross_validate(gram, n, classes, n, class_count, l2, fold_of, folds, probs));
done:
  free(gram);
  free(scratch);
  return status;
}

void al_deal_folds(const int32_t *classes, size_t n, size_t class_count, unsigned folds, uint8_t *fold_of) {
  unsigned counter = 0;
  for (size_t c = 0; c < class_count; c++)
    for (size_t i = 0; i < n; i++)
      if ((size_t)classes[i] == c) fold_of[i] = (uint8_t)(counter++ % folds);
}
