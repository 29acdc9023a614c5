/* Logistic regression of U against L in its primal form: few columns, many rows, one fit after another from where the
 * last one ended. Columns are centred, which changes nothing with a free intercept but lets conjugate gradients
 * converge far from the origin; the centring is done on sums, the rows stay as they are. */
#include "strategy/discriminator.h"

#include "base/memory.h"
#include "strategy/row_products.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_NEWTON = 200 };

struct al_logistic {
  size_t pool, labelled, cols;
  double *centre;                    /* D */
  double *weights, *gradient, *step; /* D + 1: of the centred columns, then the intercept */
  double *residual, *preconditioned, *direction, *image, *diagonal; /* D + 1 */
  double *score, *change, *curvature, *error;                       /* |U| + |L| */
};

al_status al_logistic_new(al_logistic **out, const al_sides *sides) {
  al_status status;
  al_logistic *m = NULL;
  *out = NULL;
  AL_TRY(AL_NEW(&m, 1));
  m->pool = sides->pool->rows;
  m->labelled = sides->labelled->rows;
  m->cols = sides->pool->cols;
  double **columns[] = {&m->centre,         &m->weights,   &m->gradient, &m->step,    &m->residual,
                        &m->preconditioned, &m->direction, &m->image,    &m->diagonal};
  for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) AL_TRY(AL_NEW(columns[i], m->cols + 1));
  double **rows[] = {&m->score, &m->change, &m->curvature, &m->error};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) AL_TRY(AL_NEW(rows[i], m->pool + m->labelled));
  double share = 1.0 / (double)(m->pool + m->labelled);
  for (size_t i = 0; i < m->pool; i++) al_row_add(sides->pool, i, share, m->centre);
  for (size_t i = 0; i < m->labelled; i++) al_row_add(sides->labelled, i, share, m->centre);
  *out = m;
  m = NULL;
done:
  al_logistic_free(m);
  return status;
}

void al_logistic_free(al_logistic *m) {
  if (m == NULL) return;
  double *blocks[] = {m->centre, m->weights,  m->gradient, m->step,   m->residual,  m->preconditioned, m->direction,
                      m->image,  m->diagonal, m->score,    m->change, m->curvature, m->error};
  for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) free(blocks[i]);
  free(m);
}

static const al_view *side_of(const al_logistic *m, const al_sides *sides, size_t i, size_t *row) {
  *row = i < m->pool ? i : i - m->pool;
  return i < m->pool ? sides->pool : sides->labelled;
}

/* out[i] = v . (x_i - centre) + v_b for all rows; v: D + 1 */
static void apply(const al_logistic *m, const al_sides *sides, const double *v, double *out) {
  double offset = v[m->cols] - cblas_ddot((int)m->cols, v, 1, m->centre, 1);
  for (size_t i = 0; i < m->pool + m->labelled; i++) {
    size_t row;
    const al_view *view = side_of(m, sides, i, &row);
    out[i] = offset + al_row_dot(view, row, v);
  }
}

/* log(1 + exp(-x)) */
static double softplus(double x) { return x > 0.0 ? log1p(exp(-x)) : log1p(exp(x)) - x; }

static bool is_pool(const al_logistic *m, const al_sides *sides, size_t i) { return i < m->pool && !sides->picked[i]; }

static double objective(const al_logistic *m, const al_sides *sides, const double *weights, double rate) {
  double sum = 0.0;
  for (size_t i = 0; i < m->pool + m->labelled; i++) {
    double f = m->score[i] + rate * m->change[i];
    sum += softplus(is_pool(m, sides, i) ? f : -f);
  }
  for (size_t c = 0; c < m->cols; c++) {
    double w = weights[c] + rate * m->step[c];
    sum += 0.5 * w * w;
  }
  return sum;
}

/* Gradient, curvatures s_i = p (1 - p) and the Hessian's diagonal at the scores held. */
static void differentiate(al_logistic *m, const al_sides *sides) {
  size_t n = m->pool + m->labelled, d = m->cols;
  double errors = 0.0, curvatures = 0.0;
  memset(m->gradient, 0, (d + 1) * sizeof *m->gradient);
  memset(m->image, 0, (d + 1) * sizeof *m->image);
  memset(m->diagonal, 0, (d + 1) * sizeof *m->diagonal);
  for (size_t i = 0; i < n; i++) {
    double f = m->score[i], small = exp(-fabs(f)), p = (f >= 0.0 ? 1.0 : small) / (1.0 + small);
    /* 1 - p is formed on its own: near 1 it would lose its digits */
    double not_p = (f >= 0.0 ? small : 1.0) / (1.0 + small);
    m->error[i] = is_pool(m, sides, i) ? -not_p : p;
    m->curvature[i] = p * not_p;
    errors += m->error[i];
    curvatures += m->curvature[i];
    size_t row;
    const al_view *view = side_of(m, sides, i, &row);
    al_row_add(view, row, m->error[i], m->gradient);
    al_row_add(view, row, m->curvature[i], m->image);
    const float *x = view->values + row * d;
    for (size_t c = 0; c < d; c++) {
      double gap = (double)x[c] - m->centre[c];
      m->diagonal[c] += m->curvature[i] * gap * gap;
    }
  }
  for (size_t c = 0; c < d; c++) {
    m->gradient[c] += m->weights[c] - errors * m->centre[c];
    m->diagonal[c] += 1.0;
  }
  m->gradient[d] = errors;
  m->diagonal[d] = curvatures + 1e-12; /* never 0, however sure the model is */
}

/* out = H v, the Hessian at the curvatures held; change: scratch, n */
static void curve(al_logistic *m, const al_sides *sides, const double *v, double *out) {
  size_t n = m->pool + m->labelled, d = m->cols;
  double offset = v[d] - cblas_ddot((int)d, v, 1, m->centre, 1), total = 0.0;
  memset(out, 0, (d + 1) * sizeof *out);
  for (size_t i = 0; i < n; i++) {
    size_t row;
    const al_view *view = side_of(m, sides, i, &row);
    double t = m->curvature[i] * (offset + al_row_dot(view, row, v));
    al_row_add(view, row, t, out);
    total += t;
  }
  for (size_t c = 0; c < d; c++) out[c] += v[c] - total * m->centre[c];
  out[d] = total;
}

/* step = -H^-1 gradient by preconditioned conjugate gradients, to `tolerance` of the gradient's norm. */
static void newton_step(al_logistic *m, const al_sides *sides, double tolerance) {
  int size = (int)m->cols + 1;
  double *r = m->residual, *z = m->preconditioned, *p = m->direction, *q = m->image;
  memset(m->step, 0, (size_t)size * sizeof *m->step);
  for (int c = 0; c < size; c++) {
    r[c] = -m->gradient[c];
    p[c] = z[c] = r[c] / m->diagonal[c];
  }
  double rz = cblas_ddot(size, r, 1, z, 1), target = tolerance * cblas_dnrm2(size, r, 1);
  for (int round = 0; round < 4 * size + 100 && cblas_dnrm2(size, r, 1) > target; round++) {
    curve(m, sides, p, q);
    double bend = cblas_ddot(size, p, 1, q, 1);
    if (!(bend > 0.0)) break;
    double alpha = rz / bend;
    cblas_daxpy(size, alpha, p, 1, m->step, 1);
    cblas_daxpy(size, -alpha, q, 1, r, 1);
    for (int c = 0; c < size; c++) z[c] = r[c] / m->diagonal[c];
    double next = cblas_ddot(size, r, 1, z, 1);
    cblas_dscal(size, next / rz, p, 1);
    cblas_daxpy(size, 1.0, z, 1, p, 1);
    rz = next;
  }
}

al_status al_logistic_fit(al_logistic *m, const al_sides *sides, double *score) {
  size_t n = m->pool + m->labelled;
  int size = (int)m->cols + 1;
  double first_norm = 0.0;
  apply(m, sides, m->weights, m->score);
  for (int round = 0; round < MOST_NEWTON; round++) {
    differentiate(m, sides);
    double norm = cblas_dnrm2(size, m->gradient, 1);
    if (round == 0) first_norm = norm;
    if (norm == 0.0) break;
    /* the nearer the minimum, the more exact the step, or Newton's method would not converge faster than linearly */
    newton_step(m, sides, fmax(1e-8, fmin(0.1, norm / first_norm)));
    apply(m, sides, m->step, m->change);
    double slope = cblas_ddot(size, m->gradient, 1, m->step, 1), rate = 1.0, most = 0.0;
    double before = objective(m, sides, m->weights, 0.0);
    while (rate > 1e-10 && objective(m, sides, m->weights, rate) > before + 1e-4 * rate * slope + 1e-13 * fabs(before))
      rate *= 0.5;
    cblas_daxpy(size, rate, m->step, 1, m->weights, 1);
    for (size_t i = 0; i < n; i++) {
      m->score[i] += rate * m->change[i];
      most = fmax(most, fabs(rate * m->change[i]));
    }
    if (most < 1e-8) break;
  }
  memcpy(score, m->score, m->pool * sizeof *score);
  return AL_OK;
}
