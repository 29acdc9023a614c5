/* error-rate: each pool item's chance of being wrong, learnt from the model's out-of-fold errors on L. */
#include "strategy/pointwise.h"

#include "base/cross.h"
#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 512, NEIGHBOURS = 10, MOST_NEWTON = 50 };

static const al_param params_of_error_rate[] = {{.key = "by",
                                                 .type = AL_PARAM_CHOICE,
                                                 .fallback = "\"neighbours\"",
                                                 .choices = "neighbours|class|regression",
                                                 .help = "what errors are generalised by"},
                                                {0}};

static unsigned needs_of_error_rate(const json_t *params) {
  bool by_class = strcmp(al_params_string(params, "by"), "class") == 0;
  return AL_NEED_PROBS | AL_NEED_OOF | AL_NEED_LABELLED | (by_class ? 0U : (unsigned)AL_NEED_EMBEDDINGS);
}

static double overall_rate(const al_query *query) {
  double wrong = 0.0;
  for (size_t i = 0; i < query->labelled; i++) wrong += query->oof->error[i];
  return wrong / (double)query->labelled;
}

/* ---- by neighbours ---- */

typedef struct {
  double cosine;
  size_t j;
} neighbour;

/* The 10 highest cosines, ties to the lower position in L; the worst of them last. */
static void insert(neighbour *best, size_t *n, double cosine, size_t j) {
  if (*n == NEIGHBOURS && cosine <= best[NEIGHBOURS - 1].cosine) return;
  size_t at = *n < NEIGHBOURS ? (*n)++ : NEIGHBOURS - 1;
  for (; at > 0 && cosine > best[at - 1].cosine; at--) best[at] = best[at - 1];
  best[at] = (neighbour){cosine, j};
}

static double by_neighbours(const al_query *query, const float *dots, double norm, const double *labelled_norms,
                            double rate) {
  neighbour best[NEIGHBOURS];
  size_t n = 0;
  for (size_t j = 0; j < query->labelled; j++) {
    double scale = sqrt(norm * labelled_norms[j]);
    insert(best, &n, scale > 0.0 ? (double)dots[j] / scale : 0.0, j);
  }
  double wrong = rate, weight = 1.0;
  for (size_t i = 0; i < n; i++) {
    double w = fmax(0.0, best[i].cosine);
    wrong += w * query->oof->error[best[i].j];
    weight += w;
  }
  return wrong / weight;
}

static al_status score_by_neighbours(const al_query *query, double *score) {
  al_status status;
  al_cross *cross = NULL;
  double *norms = NULL, *labelled_norms = NULL, rate = overall_rate(query);
  float *dots = NULL;
  AL_TRY(al_cross_new(&cross, &query->h_labelled));
  AL_TRY(AL_NEW(&norms, query->pool));
  AL_TRY(AL_NEW(&labelled_norms, query->labelled));
  AL_TRY(AL_NEW(&dots, BLOCK * query->labelled));
  al_view_squared_norms(&query->h_pool, norms);
  al_view_squared_norms(&query->h_labelled, labelled_norms);
  for (size_t first = 0; first < query->pool; first += BLOCK) {
    size_t last = first + BLOCK < query->pool ? first + BLOCK : query->pool;
    al_cross_dots(cross, &query->h_pool, first, last, dots);
    for (size_t pos = first; pos < last; pos++)
      score[pos] = by_neighbours(query, dots + (pos - first) * query->labelled, norms[pos], labelled_norms, rate);
  }
done:
  al_cross_free(cross);
  free(norms);
  free(labelled_norms);
  free(dots);
  return status;
}

/* ---- by class ---- */

static int32_t predicted(const float *p, size_t classes) {
  size_t best = 0;
  for (size_t c = 1; c < classes; c++)
    if (p[c] > p[best]) best = c;
  return (int32_t)best;
}

static al_status score_by_class(const al_query *query, double *score) {
  double *wrong = NULL, *count = NULL, rate = overall_rate(query);
  al_status status;
  AL_TRY(AL_NEW(&wrong, query->classes));
  AL_TRY(AL_NEW(&count, query->classes));
  for (size_t i = 0; i < query->labelled; i++) {
    wrong[query->oof->predicted[i]] += query->oof->error[i];
    count[query->oof->predicted[i]] += 1.0;
  }
  for (size_t pos = 0; pos < query->pool; pos++) {
    int32_t c = predicted(query->probs + pos * query->classes, query->classes);
    score[pos] = (wrong[c] + rate) / (count[c] + 1.0);
  }
done:
  free(wrong);
  free(count);
  return status;
}

/* ---- by regression ---- */

static int descending(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x < y) - (x > y);
}

/* Logistic regression of E on [h, sorted p] with (l2 / 2) |w|^2, l2 = 1, intercept free, in the span of the rows: the
 * dual of the Newton system is |L| x |L| whatever D is. inner(i, j) = h_i.h_j + s_i.s_j. */
typedef struct {
  double *gram;      /* n x n */
  double *a, *f, *g; /* n: dual weights, scores, gradient */
  double bias;
  size_t n;
} regression;

static double sigmoid(double x) { return x >= 0.0 ? 1.0 / (1.0 + exp(-x)) : exp(x) / (1.0 + exp(x)); }

/* Solves m x = right for a symmetric positive definite m (n x n), which is overwritten. False when it is not. */
static bool cholesky_solve(double *m, size_t n, double *right) {
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j <= i; j++) {
      double sum = m[i * n + j];
      for (size_t k = 0; k < j; k++) sum -= m[i * n + k] * m[j * n + k];
      if (i == j && sum <= 0.0) return false;
      m[i * n + j] = i == j ? sqrt(sum) : sum / m[j * n + j];
    }
  for (size_t i = 0; i < n; i++) {
    for (size_t k = 0; k < i; k++) right[i] -= m[i * n + k] * right[k];
    right[i] /= m[i * n + i];
  }
  for (size_t i = n; i-- > 0;) {
    for (size_t k = i + 1; k < n; k++) right[i] -= m[k * n + i] * right[k];
    right[i] /= m[i * n + i];
  }
  return true;
}

/* Iteratively reweighted least squares: with weights w and working response z, the dual solves (K + W^-1) a + b 1 =
 * z, 1.a = 0. */
static al_status fit_regression(regression *r, const uint8_t *error) {
  al_status status;
  size_t n = r->n;
  double *m = NULL, *ones = NULL, *z = NULL;
  AL_TRY(AL_NEW(&m, n * n));
  AL_TRY(AL_NEW(&ones, n));
  AL_TRY(AL_NEW(&z, n));
  for (int step = 0; step < MOST_NEWTON; step++) {
    double change = 0.0, sum_z = 0.0, sum_ones = 0.0;
    for (int pass = 0; pass < 2; pass++) { /* the Cholesky factor overwrites m: once for z, once for 1 */
      double *right = pass == 0 ? z : ones;
      for (size_t i = 0; i < n; i++) {
        double p = sigmoid(r->f[i]), w = fmax(p * (1.0 - p), 1e-10);
        memcpy(m + i * n, r->gram + i * n, n * sizeof *m);
        m[i * n + i] += 1.0 / w;
        right[i] = pass == 0 ? r->f[i] + ((double)error[i] - p) / w : 1.0;
      }
      if (!cholesky_solve(m, n, right)) {
        status = al_fail(AL_ENVIRONMENT, "internal: the regression of errors is not positive definite");
        goto done;
      }
    }
    for (size_t i = 0; i < n; i++) {
      sum_z += z[i];
      sum_ones += ones[i];
    }
    r->bias = sum_z / sum_ones;
    for (size_t i = 0; i < n; i++) r->a[i] = z[i] - r->bias * ones[i];
    for (size_t i = 0; i < n; i++) {
      double f = r->bias;
      for (size_t j = 0; j < n; j++) f += r->gram[i * n + j] * r->a[j];
      change = fmax(change, fabs(f - r->f[i]));
      r->f[i] = f;
    }
    if (change < 1e-10) break;
  }
done:
  free(m);
  free(ones);
  free(z);
  return status;
}

static al_status sorted_rows(const float *probs, size_t n, size_t classes, float **out) {
  al_status status = AL_NEW(out, n * classes);
  if (status != AL_OK) return status;
  memcpy(*out, probs, n * classes * sizeof **out);
  for (size_t i = 0; i < n; i++) qsort(*out + i * classes, classes, sizeof **out, descending);
  return AL_OK;
}

static al_status score_by_regression(const al_query *query, double *score) {
  al_status status;
  size_t n = query->labelled, classes = query->classes;
  regression r = {.n = n};
  float *labelled_p = NULL, *pool_p = NULL, *dots = NULL;
  al_cross *cross = NULL;
  AL_TRY(sorted_rows(query->oof->probs, n, classes, &labelled_p));
  AL_TRY(sorted_rows(query->probs, query->pool, classes, &pool_p));
  al_view own = al_view_dense(labelled_p, n, classes), theirs = al_view_dense(pool_p, query->pool, classes);
  AL_TRY(AL_NEW(&r.gram, n * n));
  AL_TRY(AL_NEW(&r.a, n));
  AL_TRY(AL_NEW(&r.f, n));
  AL_TRY(AL_NEW(&dots, BLOCK * n));
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j <= i; j++)
      r.gram[i * n + j] = r.gram[j * n + i] =
          al_view_dot(&query->h_labelled, i, &query->h_labelled, j) + al_view_dot(&own, i, &own, j);
  AL_TRY(fit_regression(&r, query->oof->error));
  AL_TRY(al_cross_new(&cross, &query->h_labelled));
  for (size_t first = 0; first < query->pool; first += BLOCK) {
    size_t last = first + BLOCK < query->pool ? first + BLOCK : query->pool;
    al_cross_dots(cross, &query->h_pool, first, last, dots);
    for (size_t pos = first; pos < last; pos++) {
      double f = r.bias;
      for (size_t j = 0; j < n; j++)
        f += r.a[j] * ((double)dots[(pos - first) * n + j] + al_view_dot(&theirs, pos, &own, j));
      score[pos] = sigmoid(f);
    }
  }
done:
  al_cross_free(cross);
  free(r.gram);
  free(r.a);
  free(r.f);
  free(labelled_p);
  free(pool_p);
  free(dots);
  return status;
}

/* ---- the strategy ---- */

typedef struct {
  double score, confidence;
  int32_t pos;
} candidate;

/* Highest score; ties by lower max p, then position. */
static int better(const void *a, const void *b) {
  const candidate *x = a, *y = b;
  if (x->score != y->score) return x->score > y->score ? -1 : 1;
  if (x->confidence != y->confidence) return x->confidence < y->confidence ? -1 : 1;
  return x->pos < y->pos ? -1 : 1;
}

static al_status pick(const al_query *query, const double *score, const double *least, al_picks *picks) {
  size_t k = query->batch < query->pool ? query->batch : query->pool;
  candidate *all = NULL;
  al_status status = AL_NEW(&all, query->pool);
  if (status != AL_OK) return status;
  for (size_t pos = 0; pos < query->pool; pos++) all[pos] = (candidate){score[pos], 1.0 - least[pos], (int32_t)pos};
  qsort(all, query->pool, sizeof *all, better);
  for (size_t i = 0; i < k; i++) {
    picks->pos[i] = all[i].pos;
    picks->scores[i] = all[i].score;
  }
  picks->count = k;
  free(all);
  return AL_OK;
}

static bool constant_errors(const al_query *query) {
  for (size_t i = 1; i < query->labelled; i++)
    if (query->oof->error[i] != query->oof->error[0]) return false;
  return true;
}

static al_status select_error_rate(const al_query *query, const json_t *params, al_picks *picks) {
  al_status status;
  const char *by = al_params_string(params, "by");
  double *score = NULL, *least = NULL;
  AL_TRY(AL_NEW(&score, query->pool));
  AL_TRY(AL_NEW(&least, query->pool));
  al_least_confidence(query, least);
  bool regress = strcmp(by, "regression") == 0;
  if (query->oof == NULL) {
    AL_TRY(al_copy_string(&picks->note, "error-rate: fewer than 10 labels or one class: 1 - max p instead"));
    memcpy(score, least, query->pool * sizeof *score);
  } else if (regress && constant_errors(query)) {
    AL_TRY(al_copy_string(&picks->note, "error-rate: the out-of-fold errors are all alike: 1 - max p instead"));
    memcpy(score, least, query->pool * sizeof *score);
  } else if (regress) {
    AL_TRY(score_by_regression(query, score));
  } else if (strcmp(by, "class") == 0) {
    AL_TRY(score_by_class(query, score));
  } else {
    AL_TRY(score_by_neighbours(query, score));
  }
  AL_TRY(pick(query, score, least, picks));
done:
  free(score);
  free(least);
  return status;
}

const al_strategy al_strategy_error_rate = {
    .name = "error-rate",
    .family = "error rate",
    .summary = "each item's chance of being wrong, learnt from the model's out-of-fold errors on L",
    .definition =
        "E_i: 0/1 errors of a stratified 5-fold cross-validation on L.\n"
        "by neighbours: (sum_i w_i E_i + r) / (sum_i w_i + 1) over the labelled with the 10 highest cosines in h,\n"
        "w_i = max(0, cosine), r the overall out-of-fold error rate. by class: (errors among labelled items whose "
        "out-of-fold\n"
        "prediction is x's predicted class + r) / (their number + 1). by regression: logistic regression (l2 1) of E "
        "on h and\n"
        "sorted p. Fewer than 10 labels, or one class: 1 - max p, logged. Ties by lower max p, then position.",
    .citation = "the founding article's error-rate family, estimated without labels of U",
    .cost = "one cross-validation on L, then time O(|U| |L| D), memory O(|U| + |L|); regression: O(|L|^3) once",
    .params = params_of_error_rate,
    .needs = needs_of_error_rate,
    .select = select_error_rate,
};
