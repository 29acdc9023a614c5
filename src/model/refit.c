/* Refits on what is labelled, and on what would be with one more item.
 *
 * fit_labelled is a fit like any other (model/softmax.c). fit_extra is asked thousands of times a round, always for
 * problems that differ in one row from one another. So it starts from the fit on L and describes all rows once by their
 * principal coordinates: L's rows, centred, are Z with Z^T Z diagonal (from the eigenvectors of the Gram matrix, or of
 * the covariance where there are fewer columns than rows), and the added item has one coordinate more, for what of it
 * lies outside L's span. The preconditioner is then diagonal but for the item's rank-one part, shared by all candidates
 * and classes, and a step is two products with Z for all classes of a candidate at once. Centring makes no difference
 * to a fit whose intercept is free. */
#include "model/refit.h"

#include "base/lapack.h"
#include "base/memory.h"
#include "base/simd.h"
#include "base/vector_math.h"
#include "model/softmax.h"

#include <assert.h>
#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
  BLOCK = 256,
  MOST_TRIALS = 30,
  MOST_TOGETHER = 1 << 22 /* doubles that the problems of one candidate may take */
};

struct al_refitter {
  al_refit callbacks;
  al_view labelled, pool; /* n x D; |U| x D */
  const int32_t *classes; /* n */
  size_t n, class_count;
  double l2;
  double *gram;    /* n x n, once needed */
  double *scratch; /* D, zeros */
  /* the fit on L, once fit_extra needs it */
  bool based;
  size_t present;                /* P */
  int32_t *class_of, *column_of; /* P; C: column of each class, -1 when absent */
  int32_t *target;               /* n: column of each row's class */
  double *mean, mean_squared;    /* D: L's mean row, and its product with itself */
  double *labelled_mean;         /* span: n, products of L's rows with it */
  bool span;                     /* coordinates come from products with L's rows, not from the rows */
  size_t rank;                   /* r; D where z is NULL */
  double *z;                     /* n x r coordinates; NULL where both n and D are too large: the rows themselves */
  double *basis;                 /* n x r (span) or D x r: coordinates are products with it */
  double *start, *intercept;     /* r x P; P */
  double *scores;                /* n x P */
  double curvature;              /* w */
  double *diagonal;              /* r + 1: of the preconditioner's inverse without the item; the intercept last */
  /* the targets of the last call */
  int32_t *targets;
  size_t target_count, target_capacity;
  al_view target_rows;
  al_subset target_storage;
  double *target_z, *target_mean; /* targets x r; targets: products with the mean row */
};

/* ---- fits on L ---- */

static al_status need_gram(al_refitter *r) {
  al_status status = AL_OK;
  if (r->gram != NULL) return AL_OK;
  AL_TRY(AL_NEW(&r->gram, r->n * r->n));
  al_gram_extend(r->gram, r->n, &r->labelled, 0, r->n, r->scratch);
done:
  return status;
}

static al_status fit_labelled(void *context, const int32_t *labelled, size_t n, float *probs) {
  al_refitter *r = context;
  al_status status;
  int32_t *classes = NULL;
  al_softmax *model = NULL;
  al_subset subset = {0};
  al_view rows;
  assert(n != 0);
  AL_TRY(AL_NEW(&classes, n));
  for (size_t i = 0; i < n; i++) classes[i] = r->classes[labelled[i]];
  size_t most = n > r->n ? n : r->n;
  if (most <= AL_GRAM_LIMIT && (r->labelled.kind == AL_VIEW_CSR || most <= r->labelled.cols)) {
    AL_TRY(need_gram(r));
    AL_TRY(al_softmax_fit_gram(&model, &r->labelled, r->gram, r->n, labelled, n, classes, r->class_count, r->l2));
  } else {
    AL_TRY(al_view_take(&rows, &r->labelled, labelled, n, &subset));
    AL_TRY(al_softmax_fit(&model, &rows, classes, r->class_count, r->l2));
  }
  AL_TRY(al_softmax_predict(model, &r->pool, probs));
done:
  al_softmax_free(model);
  al_subset_free(&subset);
  free(classes);
  return status;
}

/* ---- coordinates ---- */

/* Dense rows start .. start + size - 1, centred; block: size x cols */
static void load_block(const al_view *x, const double *mean, size_t start, size_t size, double *block) {
  for (size_t i = 0; i < size; i++)
    for (size_t j = 0; j < x->cols; j++)
      block[i * x->cols + j] = (double)x->values[(start + i) * x->cols + j] - mean[j];
}

/* out (rows x q) = X w, w: cols x q. Dense rows are centred, CSR rows are not. */
static al_status multiply(const al_view *x, const double *mean, const double *w, size_t q, double *out) {
  double *block = NULL;
  al_status status = AL_OK;
  if (x->kind == AL_VIEW_CSR) {
    memset(out, 0, x->rows * q * sizeof *out);
    for (size_t i = 0; i < x->rows; i++)
      for (int64_t at = x->begin[i]; at < x->end[i]; at++)
        cblas_daxpy((int)q, (double)x->values[at], w + (size_t)x->indices[at] * q, 1, out + i * q, 1);
    return AL_OK;
  }
  AL_TRY(AL_NEW(&block, BLOCK * x->cols));
  for (size_t start = 0; start < x->rows; start += BLOCK) {
    size_t size = x->rows - start < BLOCK ? x->rows - start : BLOCK;
    load_block(x, mean, start, size, block);
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)size, (int)q, (int)x->cols, 1.0, block, (int)x->cols, w,
                (int)q, 0.0, out + start * q, (int)q);
  }
done:
  free(block);
  return status;
}

/* out (cols x q) = X^T v, v: rows x q */
static al_status multiply_transposed(const al_view *x, const double *mean, const double *v, size_t q, double *out) {
  double *block = NULL;
  al_status status = AL_OK;
  memset(out, 0, x->cols * q * sizeof *out);
  if (x->kind == AL_VIEW_CSR) {
    for (size_t i = 0; i < x->rows; i++)
      for (int64_t at = x->begin[i]; at < x->end[i]; at++)
        cblas_daxpy((int)q, (double)x->values[at], v + i * q, 1, out + (size_t)x->indices[at] * q, 1);
    return AL_OK;
  }
  AL_TRY(AL_NEW(&block, BLOCK * x->cols));
  for (size_t start = 0; start < x->rows; start += BLOCK) {
    size_t size = x->rows - start < BLOCK ? x->rows - start : BLOCK;
    load_block(x, mean, start, size, block);
    cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)x->cols, (int)q, (int)size, 1.0, block, (int)x->cols,
                v + start * q, (int)q, 1.0, out, (int)q);
  }
done:
  free(block);
  return status;
}

static void find_mean(al_refitter *r) {
  const al_view *x = &r->labelled;
  double share = 1.0 / (double)r->n;
  for (size_t i = 0; i < r->n; i++) {
    if (x->kind == AL_VIEW_CSR)
      for (int64_t at = x->begin[i]; at < x->end[i]; at++) r->mean[x->indices[at]] += share * (double)x->values[at];
    else
      for (size_t j = 0; j < x->cols; j++) r->mean[j] += share * (double)x->values[i * x->cols + j];
  }
  r->mean_squared = cblas_ddot((int)x->cols, r->mean, 1, r->mean, 1);
}

/* Row i times the mean row. */
static double with_mean(const al_refitter *r, const al_view *x, size_t i) {
  double sum = 0.0;
  if (x->kind == AL_VIEW_CSR)
    for (int64_t at = x->begin[i]; at < x->end[i]; at++) sum += (double)x->values[at] * r->mean[x->indices[at]];
  else
    for (size_t j = 0; j < x->cols; j++) sum += (double)x->values[i * x->cols + j] * r->mean[j];
  return sum;
}

/* Products of row i of x with L's rows (n), all centred. own: with_mean of it; labelled_mean: n, that of L's. */
static void centred_products(const al_refitter *r, const al_view *x, size_t i, double own, const double *labelled_mean,
                             double *out) {
  for (size_t j = 0; j < r->n; j++)
    out[j] = al_view_dot(x, i, &r->labelled, j) - (labelled_mean[j] + (own - r->mean_squared));
}

/* Eigenvectors with an eigenvalue worth keeping, largest first: columns of m (size x size, column-major) ascending on
 * entry. basis: size x rank, row-major, each column times its eigenvalue to the power. */
static void take_eigenvectors(const double *m, const double *values, size_t size, size_t rank, double power,
                              double *basis) {
  for (size_t k = 0; k < rank; k++) {
    double scale = pow(values[size - 1 - k], power);
    for (size_t i = 0; i < size; i++) basis[i * rank + k] = scale * m[(size - 1 - k) * size + i];
  }
}

/* z, basis, rank and diagonal (eigenvalues, for now). */
static al_status find_coordinates(al_refitter *r) {
  al_status status;
  size_t n = r->n, d = r->labelled.cols, size = r->span ? n : d, kept = 0;
  double *m = NULL, *values = NULL, *block = NULL;
  AL_TRY(AL_NEW(&m, size * size));
  AL_TRY(AL_NEW(&values, size));
  if (r->span) {
    AL_TRY(AL_NEW(&r->labelled_mean, n));
    for (size_t i = 0; i < n; i++) r->labelled_mean[i] = with_mean(r, &r->labelled, i);
    for (size_t i = 0; i < n; i++)
      for (size_t j = 0; j < n; j++)
        m[i * n + j] = r->gram[i * n + j] - (r->labelled_mean[i] + (r->labelled_mean[j] - r->mean_squared));
  } else {
    AL_TRY(AL_NEW(&block, BLOCK * d));
    for (size_t start = 0; start < n; start += BLOCK) {
      size_t rows = n - start < BLOCK ? n - start : BLOCK;
      load_block(&r->labelled, r->mean, start, rows, block);
      cblas_dsyrk(CblasRowMajor, CblasLower, CblasTrans, (int)d, (int)rows, 1.0, block, (int)d, 1.0, m, (int)d);
    }
  }
  AL_TRY(al_eigen_symmetric(m, size, values)); /* a row-major lower triangle is a column-major upper one */
  while (kept < size && values[size - 1 - kept] > 1e-12 * values[size - 1]) kept++;
  r->rank = kept;
  AL_TRY(AL_NEW(&r->z, n * kept));
  AL_TRY(AL_NEW(&r->basis, size * kept));
  AL_TRY(AL_NEW(&r->diagonal, kept + 1));
  for (size_t k = 0; k < kept; k++) r->diagonal[k] = values[size - 1 - k];
  take_eigenvectors(m, values, size, kept, r->span ? -0.5 : 0.0, r->basis);
  if (r->span)
    take_eigenvectors(m, values, size, kept, 0.5, r->z);
  else
    AL_TRY(multiply(&r->labelled, r->mean, r->basis, kept, r->z));
done:
  free(m);
  free(values);
  free(block);
  return status;
}

/* Where an eigenvalue problem would be too large: the rows are their own coordinates. */
static al_status keep_rows(al_refitter *r) {
  al_status status;
  const al_view *x = &r->labelled;
  r->rank = x->cols;
  AL_TRY(AL_NEW(&r->diagonal, x->cols + 1));
  for (size_t i = 0; i < r->n; i++) {
    if (x->kind == AL_VIEW_CSR)
      for (int64_t at = x->begin[i]; at < x->end[i]; at++)
        r->diagonal[x->indices[at]] += (double)x->values[at] * (double)x->values[at];
    else
      for (size_t j = 0; j < x->cols; j++) r->diagonal[j] += pow((double)x->values[i * x->cols + j] - r->mean[j], 2.0);
  }
done:
  return status;
}

/* Coordinates of n rows of x, their products with the mean row, into out (n x r) and means (n). */
static al_status coordinates(const al_refitter *r, const al_view *x, size_t first, size_t n, double *out,
                             double *means) {
  al_status status = AL_OK;
  double *products = NULL;
  AL_TRY(AL_NEW(&products, r->span ? r->n : r->labelled.cols));
  for (size_t i = 0; i < n; i++) {
    means[i] = with_mean(r, x, first + i);
    size_t length = r->span ? r->n : x->cols;
    if (r->span) {
      centred_products(r, x, first + i, means[i], r->labelled_mean, products);
    } else {
      memset(products, 0, length * sizeof *products);
      if (x->kind == AL_VIEW_CSR)
        for (int64_t at = x->begin[first + i]; at < x->end[first + i]; at++)
          products[x->indices[at]] = (double)x->values[at];
      else
        load_block(x, r->mean, first + i, 1, products);
    }
    if (r->z == NULL)
      memcpy(out + i * r->rank, products, r->rank * sizeof *out);
    else if (r->rank != 0)
      cblas_dgemv(CblasRowMajor, CblasTrans, (int)length, (int)r->rank, 1.0, r->basis, (int)r->rank, products, 1, 0.0,
                  out + i * r->rank, 1);
  }
done:
  free(products);
  return status;
}

/* Products of L's coordinates: out (n x q) = Z w, and out (r x q) = Z^T v. */
static al_status times_rows(const al_refitter *r, const double *w, size_t q, double *out) {
  if (r->z == NULL) return multiply(&r->labelled, r->mean, w, q, out);
  memset(out, 0, r->n * q * sizeof *out);
  if (r->rank != 0)
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)r->n, (int)q, (int)r->rank, 1.0, r->z, (int)r->rank, w,
                (int)q, 0.0, out, (int)q);
  return AL_OK;
}

static al_status times_columns(const al_refitter *r, const double *v, size_t q, double *out) {
  if (r->z == NULL) return multiply_transposed(&r->labelled, r->mean, v, q, out);
  if (r->rank != 0)
    cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)r->rank, (int)q, (int)r->n, 1.0, r->z, (int)r->rank, v,
                (int)q, 0.0, out, (int)q);
  return AL_OK;
}

/* ---- the fit on L ---- */

static al_status number_classes(al_refitter *r) {
  al_status status;
  AL_TRY(AL_NEW(&r->class_of, r->class_count));
  AL_TRY(AL_NEW(&r->column_of, r->class_count));
  AL_TRY(AL_NEW(&r->target, r->n));
  for (size_t c = 0; c < r->class_count; c++) r->column_of[c] = -1;
  for (size_t i = 0; i < r->n; i++) r->column_of[r->classes[i]] = 0;
  for (size_t c = 0; c < r->class_count; c++)
    if (r->column_of[c] == 0) {
      r->class_of[r->present] = (int32_t)c;
      r->column_of[c] = (int32_t)r->present++;
    }
  for (size_t i = 0; i < r->n; i++) r->target[i] = r->column_of[r->classes[i]];
done:
  return status;
}

/* The fit on L in coordinates: W = Z's basis times start, so that start = Z^T A in the span and basis^T W elsewhere. */
static al_status fit_base(al_refitter *r) {
  al_status status;
  al_softmax *model = NULL;
  const float *weights, *bias;
  double *a = NULL;
  size_t d = r->labelled.cols, p = r->present;
  AL_TRY(AL_NEW(&r->start, r->rank * p));
  AL_TRY(AL_NEW(&r->intercept, p));
  AL_TRY(AL_NEW(&r->scores, r->n * p));
  AL_TRY(AL_NEW(&a, (r->span ? r->n : d) * p));
  if (p > 1 && r->span) {
    AL_TRY(al_gram_solve(r->gram, r->n, r->target, r->n, p, r->l2, a, r->intercept));
    for (size_t i = 0; i < r->n; i++)
      for (size_t c = 0; c < p; c++) r->intercept[c] += r->labelled_mean[i] * a[i * p + c];
    AL_TRY(times_columns(r, a, p, r->start));
  } else if (p > 1) {
    AL_TRY(al_softmax_fit(&model, &r->labelled, r->classes, r->class_count, r->l2));
    AL_TRY(al_softmax_head(model, &weights, &bias));
    bool centred = r->labelled.kind == AL_VIEW_DENSE;
    for (size_t c = 0; c < p; c++) {
      r->intercept[c] = (double)bias[r->class_of[c]];
      for (size_t j = 0; j < d; j++) {
        a[j * p + c] = (double)weights[(size_t)r->class_of[c] * d + j];
        if (centred) r->intercept[c] += r->mean[j] * a[j * p + c];
      }
    }
    if (r->z == NULL)
      memcpy(r->start, a, d * p * sizeof *a);
    else if (r->rank != 0)
      cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)r->rank, (int)p, (int)d, 1.0, r->basis, (int)r->rank, a,
                  (int)p, 0.0, r->start, (int)p);
  }
  AL_TRY(times_rows(r, r->start, p, r->scores));
  for (size_t i = 0; i < r->n; i++)
    for (size_t c = 0; c < p; c++) r->scores[i * p + c] += r->intercept[c];
done:
  al_softmax_free(model);
  free(a);
  return status;
}

/* The mean of p (1 - p) over L, no less than a tenth of what uniform probabilities of P + 1 classes have. */
static double mean_curvature(const al_refitter *r) {
  double sum = 0.0, uniform = 1.0 / (double)(r->present + 1);
  for (size_t i = 0; i < r->n; i++) {
    double most = -INFINITY, total = 0.0;
    for (size_t c = 0; c < r->present; c++) most = fmax(most, r->scores[i * r->present + c]);
    for (size_t c = 0; c < r->present; c++) total += exp(r->scores[i * r->present + c] - most);
    for (size_t c = 0; c < r->present; c++) {
      double share = exp(r->scores[i * r->present + c] - most) / total;
      sum += share * (1.0 - share);
    }
  }
  return fmax(sum / (double)(r->n * r->present), 0.1 * uniform * (1.0 - uniform));
}

static al_status need_base(al_refitter *r) {
  al_status status = AL_OK;
  if (r->based) return AL_OK;
  bool sparse = r->labelled.kind == AL_VIEW_CSR;
  r->span = r->n <= AL_GRAM_LIMIT && (sparse || r->n <= r->labelled.cols);
  AL_TRY(AL_NEW(&r->mean, r->labelled.cols));
  find_mean(r);
  if (r->span) AL_TRY(need_gram(r));
  AL_TRY(number_classes(r));
  AL_TRY(r->span || (!sparse && r->labelled.cols <= AL_GRAM_LIMIT) ? find_coordinates(r) : keep_rows(r));
  AL_TRY(fit_base(r));
  r->curvature = mean_curvature(r);
  for (size_t k = 0; k < r->rank; k++) r->diagonal[k] = r->curvature * r->diagonal[k] + r->l2;
  r->diagonal[r->rank] = r->curvature * (double)r->n;
  r->based = true;
done:
  return status;
}

static al_status need_targets(al_refitter *r, const int32_t *targets, size_t n) {
  al_status status = AL_OK;
  if (r->target_count == n && memcmp(r->targets, targets, n * sizeof *targets) == 0) return AL_OK;
  r->target_count = 0;
  free(r->target_z);
  free(r->target_mean);
  r->target_z = r->target_mean = NULL;
  AL_TRY(al_grow(&r->targets, &r->target_capacity, n, sizeof *targets));
  memcpy(r->targets, targets, n * sizeof *targets);
  AL_TRY(al_view_take(&r->target_rows, &r->pool, targets, n, &r->target_storage));
  AL_TRY(AL_NEW(&r->target_mean, n));
  if (r->z == NULL) { /* the rows are their own coordinates */
    for (size_t t = 0; t < n; t++) r->target_mean[t] = with_mean(r, &r->target_rows, t);
  } else {
    AL_TRY(AL_NEW(&r->target_z, n * r->rank));
    AL_TRY(coordinates(r, &r->target_rows, 0, n, r->target_z, r->target_mean));
  }
  r->target_count = n;
done:
  return status;
}

/* ---- one candidate under several classes ---- */

/* Parameters: rows x p, rows = r + 1 (the last for the item's own direction), and then p intercepts. Scores and images:
 * (n + 1) x p, the added item last. */
typedef struct {
  size_t p;                          /* columns: the present classes, and one more where the class is new */
  int32_t class, target;             /* the added item's class, and its column */
  double *x, *g, *before, *z, *d;    /* weights, gradient, the last gradient, preconditioned gradient, direction */
  double *f, *z_image, *d_image, *e; /* scores; images of z and d on them; probabilities minus targets */
  double decrement;                  /* <g, z> */
  bool done;
} problem;

typedef struct {
  const al_refitter *base;
  size_t at;    /* the item's position in the pool */
  size_t rows;  /* r + 1 */
  double *own;  /* rows + 1: its coordinates, what lies outside L's span, and 1 for the intercept */
  double mean;  /* its product with the mean row */
  double *u;    /* rows + 1: own over the diagonal */
  double pivot; /* 1 + w own.u */
  problem *problems;
  size_t m;
  double *storage, *left, *right; /* of the problems; (max(n, rows) + 1) x all columns, twice */
} candidate;

static double diagonal_of(const candidate *c, size_t i) {
  return i < c->base->rank ? c->base->diagonal[i] : i < c->rows ? c->base->l2 : c->base->diagonal[c->base->rank];
}

AL_SIMD static void exponentials(double *x, size_t n) {
  for (size_t i = 0; i < n; i++) x[i] = al_exp_f64(x[i]);
}

/* Softmax of each of `rows` rows of p scores, in place. */
static void softmax_rows(double *x, size_t rows, size_t p) {
  for (size_t i = 0; i < rows; i++) {
    double most = -INFINITY;
    for (size_t c = 0; c < p; c++) most = x[i * p + c] > most ? x[i * p + c] : most;
    for (size_t c = 0; c < p; c++) x[i * p + c] -= most;
  }
  exponentials(x, rows * p);
  for (size_t i = 0; i < rows; i++) {
    double sum = 0.0;
    for (size_t c = 0; c < p; c++) sum += x[i * p + c];
    for (size_t c = 0; c < p; c++) x[i * p + c] /= sum;
  }
}

static int32_t target_of(const candidate *c, const problem *q, size_t i) {
  return i < c->base->n ? c->base->target[i] : q->target;
}

/* e = softmax(f + length d_image) - targets */
static void residuals(const candidate *c, problem *q, double length) {
  size_t rows = c->base->n + 1;
  memcpy(q->e, q->f, rows * q->p * sizeof *q->e);
  if (length != 0.0) cblas_daxpy((int)(rows * q->p), length, q->d_image, 1, q->e, 1);
  softmax_rows(q->e, rows, q->p);
  for (size_t i = 0; i < rows; i++) q->e[i * q->p + (size_t)target_of(c, q, i)] -= 1.0;
}

/* Second derivative of the losses along d, from what residuals left. */
static double line_curvature(const candidate *c, const problem *q) {
  double sum = 0.0;
  for (size_t i = 0; i <= c->base->n; i++) {
    double mean = 0.0, square = 0.0;
    size_t target = (size_t)target_of(c, q, i);
    for (size_t j = 0; j < q->p; j++) {
      double share = q->e[i * q->p + j] + (j == target ? 1.0 : 0.0), d = q->d_image[i * q->p + j];
      mean += share * d;
      square += share * d * d;
    }
    sum += fmax(0.0, square - mean * mean);
  }
  return sum;
}

/* Newton on the slope along d, kept inside what is known to bracket its zero. Moves x and f; e belongs to them. */
static void search_line(const candidate *c, problem *q) {
  size_t all = (c->base->n + 1) * q->p, inner = c->rows * q->p;
  double l2 = c->base->l2, along = cblas_ddot((int)inner, q->x, 1, q->d, 1);
  double squared = cblas_ddot((int)inner, q->d, 1, q->d, 1), low = 0.0, high = INFINITY, length = 0.0;
  double first = cblas_ddot((int)all, q->e, 1, q->d_image, 1) + l2 * along, slope = first;
  for (int trial = 0; trial < MOST_TRIALS; trial++) {
    double next = length - slope / (line_curvature(c, q) + l2 * squared);
    if (!(next > low && next < high)) next = isfinite(high) ? 0.5 * (low + high) : 2.0 * length;
    length = next;
    residuals(c, q, length);
    slope = cblas_ddot((int)all, q->e, 1, q->d_image, 1) + l2 * (along + length * squared);
    if (fabs(slope) <= 0.1 * fabs(first)) break;
    if (slope < 0.0)
      low = length;
    else
      high = length;
  }
  cblas_daxpy((int)((c->rows + 1) * q->p), length, q->d, 1, q->x, 1);
  cblas_daxpy((int)all, length, q->d_image, 1, q->f, 1);
}

/* ---- steps for all problems of a candidate; products for all at once ---- */

typedef enum { PART_X, PART_Z, PART_E } part;

/* Columns of the problems still going side by side in `to` (rows x columns); how many they are. */
static size_t gather(const candidate *c, size_t rows, part which, double *to) {
  size_t columns = 0, at = 0;
  for (size_t j = 0; j < c->m; j++) columns += c->problems[j].done ? 0 : c->problems[j].p;
  for (size_t j = 0; j < c->m; j++) {
    const problem *q = &c->problems[j];
    const double *from = which == PART_X ? q->x : which == PART_Z ? q->z : q->e;
    if (q->done) continue;
    for (size_t i = 0; i < rows; i++) memcpy(to + i * columns + at, from + i * q->p, q->p * sizeof *to);
    at += q->p;
  }
  return columns;
}

static al_status find_gradients(candidate *c) {
  al_status status;
  size_t n = c->base->n, at = 0, columns = gather(c, n, PART_E, c->left);
  AL_TRY(times_columns(c->base, c->left, columns, c->right));
  memset(c->right + c->base->rank * columns, 0, columns * sizeof *c->right); /* L has nothing outside its span */
  for (size_t j = 0; j < c->m; j++) {
    problem *q = &c->problems[j];
    if (q->done) continue;
    const double *last = q->e + n * q->p;
    double *b = q->g + c->rows * q->p;
    for (size_t i = 0; i < c->rows; i++)
      for (size_t k = 0; k < q->p; k++)
        q->g[i * q->p + k] = c->right[i * columns + at + k] + c->own[i] * last[k] + c->base->l2 * q->x[i * q->p + k];
    memset(b, 0, q->p * sizeof *b);
    for (size_t i = 0; i <= n; i++)
      for (size_t k = 0; k < q->p; k++) b[k] += q->e[i * q->p + k];
    at += q->p;
  }
done:
  return status;
}

/* z: g over the diagonal, and the rank-one correction for the item; then its scores. */
static al_status precondition(candidate *c) {
  al_status status;
  size_t n = c->base->n, at = 0;
  for (size_t j = 0; j < c->m; j++) {
    problem *q = &c->problems[j];
    if (q->done) continue;
    double *own = q->z_image + n * q->p;
    memset(own, 0, q->p * sizeof *own);
    for (size_t i = 0; i <= c->rows; i++)
      for (size_t k = 0; k < q->p; k++) {
        q->z[i * q->p + k] = q->g[i * q->p + k] / diagonal_of(c, i);
        own[k] += c->own[i] * q->z[i * q->p + k];
      }
    for (size_t k = 0; k < q->p; k++) own[k] /= c->pivot; /* the item's score once the correction is in */
    for (size_t i = 0; i <= c->rows; i++)
      for (size_t k = 0; k < q->p; k++) q->z[i * q->p + k] -= c->base->curvature * c->u[i] * own[k];
  }
  size_t columns = gather(c, c->base->rank, PART_Z, c->left);
  AL_TRY(times_rows(c->base, c->left, columns, c->right));
  for (size_t j = 0; j < c->m; j++) {
    problem *q = &c->problems[j];
    if (q->done) continue;
    const double *b = q->z + c->rows * q->p;
    for (size_t i = 0; i < n; i++)
      for (size_t k = 0; k < q->p; k++) q->z_image[i * q->p + k] = c->right[i * columns + at + k] + b[k];
    at += q->p;
  }
done:
  return status;
}

/* The direction from z, the step along it. */
static void step(const candidate *c, problem *q, bool first) {
  size_t length = (c->rows + 1) * q->p, images = (c->base->n + 1) * q->p;
  double decrement = cblas_ddot((int)length, q->g, 1, q->z, 1), beta = 0.0;
  q->done = !(decrement > 1e-12);
  if (q->done) return;
  if (!first) beta = fmax(0.0, (decrement - cblas_ddot((int)length, q->before, 1, q->z, 1)) / q->decrement);
  for (int again = 0; again < 2; again++) {
    cblas_dscal((int)length, beta, q->d, 1);
    cblas_daxpy((int)length, -1.0, q->z, 1, q->d, 1);
    cblas_dscal((int)images, beta, q->d_image, 1);
    cblas_daxpy((int)images, -1.0, q->z_image, 1, q->d_image, 1);
    if (beta == 0.0 || cblas_ddot((int)length, q->g, 1, q->d, 1) < 0.0) break;
    beta = 0.0; /* not downhill: forget the past */
  }
  q->decrement = decrement;
  memcpy(q->before, q->g, length * sizeof *q->before);
  search_line(c, q);
}

static al_status minimise(candidate *c, unsigned steps) {
  al_status status = AL_OK;
  for (size_t j = 0; j < c->m; j++) residuals(c, &c->problems[j], 0.0);
  for (unsigned s = 0; s < steps; s++) {
    bool going = false;
    AL_TRY(find_gradients(c));
    AL_TRY(precondition(c));
    for (size_t j = 0; j < c->m; j++) {
      if (!c->problems[j].done) step(c, &c->problems[j], s == 0);
      going |= !c->problems[j].done;
    }
    if (!going) break;
  }
done:
  return status;
}

/* ---- setting up, predicting ---- */

static al_status describe_item(candidate *c) {
  al_status status;
  const al_refitter *r = c->base;
  c->rows = r->rank + 1;
  AL_TRY(AL_NEW(&c->own, c->rows + 1));
  AL_TRY(AL_NEW(&c->u, c->rows + 1));
  AL_TRY(coordinates(r, &r->pool, c->at, 1, c->own, &c->mean));
  if (r->z != NULL) {
    double squared = al_view_dot(&r->pool, c->at, &r->pool, c->at) - (2.0 * c->mean - r->mean_squared);
    double outside = squared - cblas_ddot((int)r->rank, c->own, 1, c->own, 1);
    c->own[r->rank] = outside > 1e-12 * squared ? sqrt(outside) : 0.0;
  }
  c->own[c->rows] = 1.0;
  c->pivot = 1.0;
  for (size_t i = 0; i <= c->rows; i++) {
    c->u[i] = c->own[i] / diagonal_of(c, i);
    c->pivot += r->curvature * c->own[i] * c->u[i];
  }
done:
  return status;
}

static double log_sum(const double *scores, size_t p) {
  double most = -INFINITY, sum = 0.0;
  for (size_t j = 0; j < p; j++) most = fmax(most, scores[j]);
  for (size_t j = 0; j < p; j++) sum += exp(scores[j] - most);
  return most + log(sum);
}

/* Doubles that a problem of p columns takes. */
static size_t size_of_problem(const candidate *c, size_t p) { return (5 * (c->rows + 1) + 4 * (c->base->n + 1)) * p; }

static void start_problem(const candidate *c, problem *q, int32_t class, double *at) {
  const al_refitter *r = c->base;
  size_t n = r->n, p = r->present;
  bool known = r->column_of[class] >= 0;
  q->class = class;
  q->target = known ? r->column_of[class] : (int32_t)p;
  q->p = known ? p : p + 1;
  double **parameters[] = {&q->x, &q->g, &q->before, &q->z, &q->d};
  double **images[] = {&q->f, &q->z_image, &q->d_image, &q->e};
  for (size_t i = 0; i < 5; i++, at += (c->rows + 1) * q->p) *parameters[i] = at;
  for (size_t i = 0; i < 4; i++, at += (n + 1) * q->p) *images[i] = at;
  double *b = q->x + c->rows * q->p, *last = q->f + n * q->p;
  for (size_t i = 0; i < r->rank; i++) memcpy(q->x + i * q->p, r->start + i * p, p * sizeof *q->x);
  for (size_t i = 0; i < n; i++) memcpy(q->f + i * q->p, r->scores + i * p, p * sizeof *q->f);
  memcpy(b, r->intercept, p * sizeof *b);
  memcpy(last, r->intercept, p * sizeof *last);
  for (size_t i = 0; i < r->rank; i++)
    for (size_t j = 0; j < p; j++) last[j] += c->own[i] * r->start[i * p + j];
  if (known) return;
  /* an intercept b makes a rare class expect e^b sum_i 1 / Z_i items: it is to be 1 */
  double expected = 0.0, least = INFINITY;
  for (size_t i = 0; i <= n; i++) least = fmin(least, log_sum(q->f + i * q->p, p));
  for (size_t i = 0; i <= n; i++) expected += exp(least - log_sum(q->f + i * q->p, p));
  b[p] = least - log(expected);
  for (size_t i = 0; i <= n; i++) q->f[i * q->p + p] = b[p];
}

/* p of the targets under each problem's weights; probs: problems x targets x C. */
static al_status predict(candidate *c, float *probs) {
  al_status status;
  const al_refitter *r = c->base;
  size_t n = r->target_count, at = 0;
  double *scores = NULL, *own = NULL, *outside = NULL, beyond = r->z == NULL ? 0.0 : c->own[r->rank];
  for (size_t j = 0; j < c->m; j++) c->problems[j].done = false; /* gather takes all */
  size_t columns = gather(c, r->rank, PART_X, c->left);
  AL_TRY(AL_NEW(&scores, n * columns));
  AL_TRY(AL_NEW(&own, n * (r->present + 1)));
  AL_TRY(AL_NEW(&outside, n)); /* of each target: its coordinate in the item's own direction */
  for (size_t t = 0; beyond != 0.0 && t < n; t++) {
    double product = al_view_dot(&r->target_rows, t, &r->pool, c->at);
    product -= r->target_mean[t] + (c->mean - r->mean_squared);
    outside[t] = (product - cblas_ddot((int)r->rank, r->target_z + t * r->rank, 1, c->own, 1)) / beyond;
  }
  if (r->z == NULL)
    AL_TRY(multiply(&r->target_rows, r->mean, c->left, columns, scores));
  else if (r->rank != 0)
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)n, (int)columns, (int)r->rank, 1.0, r->target_z,
                (int)r->rank, c->left, (int)columns, 0.0, scores, (int)columns);
  memset(probs, 0, c->m * n * r->class_count * sizeof *probs);
  for (size_t j = 0; j < c->m; j++) {
    const problem *q = &c->problems[j];
    const double *b = q->x + c->rows * q->p, *last = q->x + r->rank * q->p;
    for (size_t t = 0; t < n; t++)
      for (size_t k = 0; k < q->p; k++) own[t * q->p + k] = scores[t * columns + at + k] + b[k] + outside[t] * last[k];
    softmax_rows(own, n, q->p);
    float *to = probs + j * n * r->class_count;
    for (size_t t = 0; t < n; t++)
      for (size_t k = 0; k < q->p; k++) {
        int32_t class = k < r->present ? r->class_of[k] : q->class;
        to[t * r->class_count + (size_t) class] = (float)own[t * q->p + k];
      }
    at += q->p;
  }
done:
  free(scores);
  free(own);
  free(outside);
  return status;
}

static void candidate_free(candidate *c) {
  free(c->own);
  free(c->u);
  free(c->problems);
  free(c->storage);
  free(c->left);
  free(c->right);
}

/* As many classes of one candidate as MOST_TOGETHER allows. */
static al_status fit_some(candidate *c, const int32_t *classes, size_t m, unsigned steps, float *probs) {
  al_status status;
  size_t each = size_of_problem(c, c->base->present + 1);
  c->m = m;
  memset(c->problems, 0, m * sizeof *c->problems);
  memset(c->storage, 0, m * each * sizeof *c->storage);
  for (size_t j = 0; j < m; j++) start_problem(c, &c->problems[j], classes[j], c->storage + j * each);
  AL_TRY(minimise(c, steps));
  AL_TRY(predict(c, probs));
done:
  return status;
}

static al_status fit_extra(void *context, int32_t pos, const int32_t *classes, size_t m, unsigned steps,
                           const int32_t *targets, size_t n, float *probs) {
  al_refitter *r = context;
  al_status status;
  candidate c = {.base = r, .at = (size_t)pos};
  AL_TRY(need_base(r));
  AL_TRY(need_targets(r, targets, n));
  AL_TRY(describe_item(&c));
  size_t p = r->present + 1, most = (c.rows > r->n ? c.rows : r->n) + 1;
  size_t each = size_of_problem(&c, p), together = MOST_TOGETHER / (each + 2 * most * p);
  together = together == 0 ? 1 : together > m ? m : together;
  AL_TRY(AL_NEW(&c.problems, together));
  AL_TRY(AL_NEW(&c.storage, together * each));
  AL_TRY(AL_NEW(&c.left, together * most * p));
  AL_TRY(AL_NEW(&c.right, together * most * p));
  for (size_t first = 0; first < m; first += together) {
    size_t some = m - first < together ? m - first : together;
    AL_TRY(fit_some(&c, classes + first, some, steps, probs + first * n * r->class_count));
  }
done:
  candidate_free(&c);
  return status;
}

/* ---- the object ---- */

al_status al_refitter_new(al_refitter **out, const al_view *labelled, const int32_t *classes, size_t class_count,
                          const al_view *pool, double l2) {
  al_status status;
  al_refitter *r = NULL;
  *out = NULL;
  assert(labelled->rows != 0 && labelled->cols == pool->cols && l2 > 0.0);
  AL_TRY(AL_NEW(&r, 1));
  r->callbacks = (al_refit){.context = r, .fit_labelled = fit_labelled, .fit_extra = fit_extra};
  r->labelled = *labelled;
  r->pool = *pool;
  r->classes = classes;
  r->n = labelled->rows;
  r->class_count = class_count;
  r->l2 = l2;
  AL_TRY(AL_NEW(&r->scratch, labelled->cols));
  *out = r;
  r = NULL;
done:
  al_refitter_free(r);
  return status;
}

const al_refit *al_refitter_callbacks(const al_refitter *refitter) { return &refitter->callbacks; }

void al_refitter_free(al_refitter *r) {
  if (r == NULL) return;
  void *blocks[] = {r->gram,          r->scratch, r->class_of, r->column_of,  r->target,    r->mean,
                    r->labelled_mean, r->z,       r->basis,    r->start,      r->intercept, r->scores,
                    r->diagonal,      r->targets, r->target_z, r->target_mean};
  for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) free(blocks[i]);
  al_subset_free(&r->target_storage);
  free(r);
}
