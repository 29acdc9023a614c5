/* What the strategies' tests share: a fixed sequence of inputs with ties, duplicates, saturated probabilities, one and
 * two classes, empty L, k = 1, k = |U|, one item, D > N, constant embeddings, dense and CSR; the call; and the judge of
 * STRATEGIES.md ("How agreement is judged"). References share no code with src/strategy. */
#ifndef AL_TESTS_STRATEGY_FIXTURE_H
#define AL_TESTS_STRATEGY_FIXTURE_H

#include "strategy/strategy.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST_N = 60, MOST_L = 30, MOST_C = 6, MOST_D = 80, MOST_T = 12, MOST_P = 7, MOST_F = 9, INPUTS = 240 };

typedef struct {
  size_t n, m, c, d, k;
  float probs[MOST_N * MOST_C], probs_l[MOST_L * MOST_C], h[MOST_N * MOST_D], hl[MOST_L * MOST_D];
  float f[MOST_N * MOST_F], fl[MOST_L * MOST_F], fa[(MOST_N + MOST_L) * MOST_F];
  size_t fd;
  int32_t all_pool[MOST_N], all_labelled[MOST_L];
  int32_t labels[MOST_L], truth[MOST_N];
  /* CSR copies */
  int64_t begin[MOST_N + 1], begin_l[MOST_L + 1];
  int32_t index[MOST_N * MOST_D], index_l[MOST_L * MOST_D];
  float value[MOST_N * MOST_D], value_l[MOST_L * MOST_D];
  /* token sets */
  int64_t tb[MOST_N + 1], tbl[MOST_L + 1];
  int32_t tokens[MOST_N * MOST_T], tokens_l[MOST_L * MOST_T];
  size_t passes;
  float mc[MOST_P * MOST_N * MOST_C];
  uint8_t error[MOST_L];
  int32_t predicted[MOST_L];
  float oof[MOST_L * MOST_C];
  float head[MOST_C * MOST_D], bias[MOST_C];
  al_oof out_of_fold;
  al_refit refit;
  al_query query;
} input;

static inline double uniform(al_rng *rng) { return al_rng_uniform(rng); }

static inline void random_probs(al_rng *rng, float *p, size_t rows, size_t c, int kind) {
  for (size_t i = 0; i < rows; i++) {
    double sum = 0.0, raw[MOST_C];
    for (size_t j = 0; j < c; j++)
      sum += raw[j] = kind == 1 ? (double)(1 + al_rng_below(rng, 2)) : pow(uniform(rng), 3.0) + 1e-6;
    for (size_t j = 0; j < c; j++) p[i * c + j] = (float)(raw[j] / sum);
    if (kind == 2 && al_rng_below(rng, 2) == 0) { /* saturated: exact 0 and 1 */
      size_t one = (size_t)al_rng_below(rng, c);
      for (size_t j = 0; j < c; j++) p[i * c + j] = j == one ? 1.0F : 0.0F;
    }
  }
}

static inline void random_rows(al_rng *rng, float *h, size_t rows, size_t d, int kind, double offset) {
  for (size_t i = 0; i < rows; i++)
    for (size_t j = 0; j < d; j++) {
      double v = kind == 1 ? (double)al_rng_below(rng, 3) : kind == 2 ? 1.0 : al_rng_normal(rng) + offset;
      if (kind == 3 && al_rng_below(rng, 3) != 0) v = 0.0; /* sparse */
      h[i * d + j] = (float)v;
    }
  if (kind == 0 && rows > 3) memcpy(h + d, h, d * sizeof *h); /* a duplicate */
}

static inline void to_csr(const float *h, size_t rows, size_t d, int64_t *begin, int32_t *index, float *value) {
  int64_t at = 0;
  begin[0] = 0;
  for (size_t i = 0; i < rows; i++) {
    for (size_t j = 0; j < d; j++)
      if (h[i * d + j] != 0.0F) {
        index[at] = (int32_t)j;
        value[at++] = h[i * d + j];
      }
    begin[i + 1] = at;
  }
}

static inline void random_sets(al_rng *rng, size_t rows, int64_t *begin, int32_t *tokens, int32_t universe) {
  int64_t at = 0;
  begin[0] = 0;
  for (size_t i = 0; i < rows; i++) {
    size_t size = (size_t)al_rng_below(rng, MOST_T), taken = 0;
    for (int32_t t = 0; t < universe && taken < size; t++)
      if (al_rng_below(rng, (uint64_t)universe) < 2 * size) {
        tokens[at++] = t;
        taken++;
      }
    begin[i + 1] = at;
  }
}

/* ---- REFIT: a plain softmax on the dense rows, a few steps of gradient descent from zero ---- */

typedef struct {
  double w[MOST_C][MOST_D + 1]; /* the intercept last */
} plain_softmax;

static inline void plain_predict(const input *x, const plain_softmax *model, const bool *present, const float *row,
                                 double *out) {
  double sum = 0.0;
  for (size_t c = 0; c < x->c; c++) {
    double score = model->w[c][x->d];
    for (size_t j = 0; j < x->d; j++) score += model->w[c][j] * (double)row[j];
    sum += out[c] = present[c] ? exp(fmin(fmax(score, -300.0), 300.0)) : 0.0;
  }
  for (size_t c = 0; c < x->c; c++) out[c] /= sum;
}

static inline void plain_steps(const input *x, plain_softmax *model, const bool *present, const float *const *rows,
                               const int32_t *labels, size_t n, unsigned steps) {
  for (unsigned s = 0; s < steps; s++) {
    plain_softmax before = *model;
    double scale = 0.0;
    for (size_t i = 0; i < n; i++)
      for (size_t j = 0; j < x->d; j++) scale += (double)rows[i][j] * (double)rows[i][j];
    for (size_t i = 0; i < n; i++) {
      double p[MOST_C];
      plain_predict(x, &before, present, rows[i], p);
      for (size_t c = 0; c < x->c; c++) {
        double step = 2.0 * ((c == (size_t)labels[i] ? 1.0 : 0.0) - p[c]) / (1.0 + scale);
        for (size_t j = 0; j < x->d; j++) model->w[c][j] += step * (double)rows[i][j];
        model->w[c][x->d] += step;
      }
    }
  }
}

static inline al_status plain_fit_labelled(void *context, const int32_t *labelled, size_t n, float *probs) {
  const input *x = context;
  const float *rows[MOST_L];
  int32_t labels[MOST_L];
  bool present[MOST_C] = {false};
  plain_softmax model = {{{0}}};
  for (size_t i = 0; i < n; i++) {
    rows[i] = x->hl + (size_t)labelled[i] * x->d;
    labels[i] = x->labels[labelled[i]];
    present[labels[i]] = true;
  }
  plain_steps(x, &model, present, rows, labels, n, 5);
  for (size_t i = 0; i < x->n; i++) {
    double p[MOST_C];
    plain_predict(x, &model, present, x->h + i * x->d, p);
    for (size_t c = 0; c < x->c; c++) probs[i * x->c + c] = (float)p[c];
  }
  return AL_OK;
}

static inline al_status plain_fit_extra(void *context, int32_t pos, const int32_t *classes, size_t m, unsigned steps,
                                        const int32_t *targets, size_t n, float *probs) {
  const input *x = context;
  const float *rows[MOST_L + 1];
  int32_t labels[MOST_L + 1];
  bool seen[MOST_C] = {false};
  plain_softmax base = {{{0}}};
  for (size_t i = 0; i < x->m; i++) {
    rows[i] = x->hl + i * x->d;
    labels[i] = x->labels[i];
    seen[labels[i]] = true;
  }
  rows[x->m] = x->h + (size_t)pos * x->d;
  plain_steps(x, &base, seen, rows, labels, x->m, 5);
  for (size_t k = 0; k < m; k++) {
    plain_softmax model = base;
    bool present[MOST_C];
    memcpy(present, seen, sizeof present);
    present[classes[k]] = true;
    labels[x->m] = classes[k];
    plain_steps(x, &model, present, rows, labels, x->m + 1, steps < 2 ? steps : 2);
    for (size_t t = 0; t < n; t++) {
      double p[MOST_C];
      plain_predict(x, &model, present, x->h + (size_t)targets[t] * x->d, p);
      for (size_t c = 0; c < x->c; c++) probs[(k * n + t) * x->c + c] = (float)p[c];
    }
  }
  return AL_OK;
}

/* Input number `which` of a fixed sequence. */
static inline void make_input(input *x, unsigned which, bool csr) {
  al_rng rng = al_rng_open(&(al_stream_key){.seed = 11, .purpose = "test", .dataset = "strategy", .index = which});
  memset(x, 0, sizeof *x);
  x->n = which % 17 == 0 ? 1 : 2 + (size_t)al_rng_below(&rng, MOST_N - 1);
  x->m = which % 13 == 0 ? 0 : 1 + (size_t)al_rng_below(&rng, MOST_L);
  x->c = which % 11 == 0 ? 1 : which % 7 == 0 ? 2 : 2 + (size_t)al_rng_below(&rng, MOST_C - 1);
  x->d = which % 5 == 0 ? MOST_D : 1 + (size_t)al_rng_below(&rng, 12);
  x->k = which % 3 == 0 ? 1 : which % 3 == 1 ? x->n : 1 + (size_t)al_rng_below(&rng, x->n);
  random_probs(&rng, x->probs, x->n, x->c, (int)(which % 4));
  random_rows(&rng, x->h, x->n, x->d, (int)(which % 4), which % 8 == 4 ? 100.0 : 0.0);
  random_rows(&rng, x->hl, x->m, x->d, (int)(which % 4), which % 8 == 4 ? 100.0 : 0.0);
  bool one_label = which % 6 == 0;
  for (size_t j = 0; j < x->m; j++) x->labels[j] = one_label ? 0 : (int32_t)al_rng_below(&rng, x->c);
  for (size_t i = 0; i < x->n; i++) x->truth[i] = (int32_t)al_rng_below(&rng, x->c);
  random_sets(&rng, x->n, x->tb, x->tokens, 25);
  random_sets(&rng, x->m, x->tbl, x->tokens_l, 25);
  random_probs(&rng, x->oof, x->m, x->c, 0);
  for (size_t j = 0; j < x->m; j++) {
    x->error[j] = (uint8_t)al_rng_below(&rng, 2);
    x->predicted[j] = (int32_t)al_rng_below(&rng, x->c);
  }
  x->passes = 1 + which % MOST_P;
  for (size_t t = 0; t < x->passes; t++) random_probs(&rng, x->mc + t * x->n * x->c, x->n, x->c, (int)(which % 4));
  x->out_of_fold = (al_oof){.error = x->error, .predicted = x->predicted, .probs = x->oof};
  al_rng other = al_rng_child(&rng, 8); /* what came later must not move what was drawn before */
  random_probs(&other, x->probs_l, x->m, x->c, (int)(which % 4));
  x->fd = 1 + (size_t)al_rng_below(&other, MOST_F);
  random_rows(&other, x->f, x->n, x->fd, (int)(which % 4), which % 8 == 4 ? 100.0 : 0.0);
  random_rows(&other, x->fl, x->m, x->fd, (int)(which % 4), which % 8 == 4 ? 100.0 : 0.0);
  for (size_t i = 0, j = 0; i + j < x->n + x->m;) { /* L is dealt among U in the starting pool */
    size_t at = i + j;
    if (i == x->n || (j < x->m && al_rng_below(&other, x->n + x->m) < x->m)) {
      memcpy(x->fa + at * x->fd, x->fl + j * x->fd, x->fd * sizeof *x->fa);
      x->all_labelled[j++] = (int32_t)at;
    } else {
      memcpy(x->fa + at * x->fd, x->f + i * x->fd, x->fd * sizeof *x->fa);
      x->all_pool[i++] = (int32_t)at;
    }
  }
  to_csr(x->h, x->n, x->d, x->begin, x->index, x->value);
  to_csr(x->hl, x->m, x->d, x->begin_l, x->index_l, x->value_l);
  x->query = (al_query){.pool = x->n,
                        .labelled = x->m,
                        .classes = x->c,
                        .batch = x->k,
                        .probs = x->probs,
                        .probs_labelled = x->probs_l,
                        .mc = x->mc,
                        .passes = x->passes,
                        .h_pool = csr ? al_view_csr(x->begin, x->index, x->value, x->n, x->d)
                                      : al_view_dense(x->h, x->n, x->d),
                        .h_labelled = csr ? al_view_csr(x->begin_l, x->index_l, x->value_l, x->m, x->d)
                                          : al_view_dense(x->hl, x->m, x->d),
                        .f_pool = al_view_dense(x->f, x->n, x->fd),
                        .f_labelled = al_view_dense(x->fl, x->m, x->fd),
                        .f_all = al_view_dense(x->fa, x->n + x->m, x->fd),
                        .all_pool = x->all_pool,
                        .all_labelled = x->all_labelled,
                        .labels = x->labels,
                        .rows_labelled = x->all_labelled,
                        .truth = x->truth,
                        .oof = x->m >= 10 && x->c > 1 ? &x->out_of_fold : NULL,
                        .round = 1,
                        .rng = al_rng_child(&rng, 7),
                        .cell_rng = al_rng_child(&rng, 9)};
  al_rng last = al_rng_child(&rng, 10);
  for (size_t i = 0; i < x->c * x->d; i++) x->head[i] = (float)(al_rng_normal(&last) / sqrt((double)x->d));
  for (size_t c = 0; c < x->c; c++) x->bias[c] = (float)(0.3 * al_rng_normal(&last));
  x->query.head = x->head;
  x->query.bias = x->bias;
  x->refit = (al_refit){.context = x, .fit_labelled = plain_fit_labelled, .fit_extra = plain_fit_extra};
  x->query.refit = x->m == 0 ? NULL : &x->refit;
  x->query.tokens_pool = (al_sets){x->n, 25, x->tb, x->tb + 1, x->tokens};
  x->query.tokens_labelled = (al_sets){x->m, 25, x->tbl, x->tbl + 1, x->tokens_l};
  x->query.tokens_all = x->query.tokens_pool;
}

/* Makes the probabilities those of the head: softmax(W h + b). */
static inline void probs_of_head(input *x) {
  for (size_t i = 0; i < x->n; i++) {
    double logits[MOST_C], most = -INFINITY, sum = 0.0;
    for (size_t c = 0; c < x->c; c++) {
      logits[c] = (double)x->bias[c];
      for (size_t j = 0; j < x->d; j++) logits[c] += (double)x->head[c * x->d + j] * (double)x->h[i * x->d + j];
      most = fmax(most, logits[c]);
    }
    for (size_t c = 0; c < x->c; c++) sum += exp(logits[c] - most);
    for (size_t c = 0; c < x->c; c++) x->probs[i * x->c + c] = (float)(exp(logits[c] - most) / sum);
  }
}

/* Parameters for tests that go through the registry: "{}", and something for those that cannot do without. NULL: exec,
 * which needs a program (tests/cli/exec.sh holds it to the contract). */
static inline const char *options_for(const al_strategy *s) {
  static const char *const given[][2] = {
      {"schedule", "{\"first\": \"random\", \"then\": \"k-center\", \"until\": 8}"},
      {"mixture", "{\"strategies\": [\"margin\", \"random\", \"k-center\"], \"shares\": [2, 1, 0.5]}"},
      {"subsample", "{\"strategy\": \"badge\", \"method\": \"seals\", \"neighbours\": 3}"},
      {"albl", "{\"strategies\": [\"entropy\", \"random\", \"k-center\"]}"},
      {"bandit", "{\"strategies\": [\"entropy\", \"random\"]}"}};
  if (strcmp(s->name, "exec") == 0) return NULL;
  for (size_t i = 0; i < sizeof given / sizeof *given; i++)
    if (strcmp(s->name, given[i][0]) == 0) return given[i][1];
  return "{}";
}

/* Settled parameters; freed by the caller. */
static inline json_t *settled(const al_strategy *s, const char *options) {
  json_t *given = json_loads(options, 0, NULL), *params = NULL;
  assert_non_null(given);
  assert_int_equal(al_params_resolve(&params, s->params, given, s->name), AL_OK);
  assert_int_equal(al_strategy_settle(s, params, s->name), AL_OK);
  json_decref(given);
  return params;
}

typedef struct {
  int32_t pos[MOST_N];
  double scores[MOST_N];
  al_picks picks;
} answer;

static inline al_status ask(const al_strategy *s, const al_query *query, const char *options, answer *a) {
  json_t *params = settled(s, options);
  a->picks = (al_picks){.pos = a->pos, .scores = a->scores};
  al_status status = al_strategy_select(s, query, params, &a->picks);
  json_decref(params);
  return status;
}

static inline void forget(answer *a) {
  free(a->picks.note);
  json_decref(a->picks.state);
}

/* The rule of STRATEGIES.md: u holds the reference's utility of every item at this pick; `taken` what is gone. */
static inline void judge(const char *name, unsigned which, size_t n, const double *u, const bool *taken, int32_t pick) {
  double best = -INFINITY, worst = INFINITY, most = 0.0;
  for (size_t i = 0; i < n; i++) {
    if (taken[i]) continue;
    best = fmax(best, u[i]);
    worst = fmin(worst, u[i]);
    most = fmax(most, fabs(u[i]));
  }
  double allowed = 1e-5 * (best - worst) + 1e-6 * fmax(most, 1e-300);
  if (!(u[pick] >= best - allowed)) {
    print_error("%s, input %u: picked %d with %.12g, the best is %.12g\n", name, which, pick, u[pick], best);
    fail();
  }
}

static inline void judge_static(const char *name, unsigned which, const input *x, const answer *a, const double *u) {
  bool taken[MOST_N] = {false};
  for (size_t i = 0; i < a->picks.count; i++) {
    judge(name, which, x->n, u, taken, a->pos[i]);
    taken[a->pos[i]] = true;
  }
}

static inline const al_strategy *find(const char *name) {
  const al_strategy *s = al_strategy_find(name);
  assert_non_null(s);
  return s;
}

static inline double distance(const float *a, const float *b, size_t d) {
  double sum = 0.0;
  for (size_t j = 0; j < d; j++) sum += pow((double)a[j] - (double)b[j], 2.0);
  return sqrt(sum);
}

static inline double cosine(const float *a, const float *b, size_t d) {
  double ab = 0.0, aa = 0.0, bb = 0.0;
  for (size_t j = 0; j < d; j++) {
    ab += (double)a[j] * (double)b[j];
    aa += (double)a[j] * (double)a[j];
    bb += (double)b[j] * (double)b[j];
  }
  return aa > 0.0 && bb > 0.0 ? ab / sqrt(aa) / sqrt(bb) : 0.0;
}

static inline size_t argmax(const float *p, size_t c) {
  size_t best = 0;
  for (size_t j = 1; j < c; j++)
    if (p[j] > p[best]) best = j;
  return best;
}

#endif
