/* albl and bandit: which sub-strategy chooses is learnt from what its choices brought.
 *
 * Each is a function of its views, the past rounds, its state of the last round and its stream. Weights are kept with
 * sum 1: only their ratios matter, and they cannot overflow. */
#include "strategy/composed.h"

#include "base/memory.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* 64 KiB of state hold the logged q(x) of so many picks, at most 20 bytes each, and what else there is. */
enum { MOST_CHILDREN = 64, MOST_BATCH = 2500 };

extern const al_strategy al_strategy_albl, al_strategy_bandit, al_strategy_random;

static const char *const children_of_adaptive[] = {"strategies", NULL};

static void divide_by_sum(double *weights, size_t n) {
  double sum = 0.0;
  for (size_t j = 0; j < n; j++) sum += weights[j];
  for (size_t j = 0; j < n; j++) weights[j] /= sum;
}

void al_exp4p_update(double *weights, const double *p, const double *gain, size_t n, double p_min, double delta,
                     double horizon) {
  double bonus = sqrt(log((double)n / delta) / ((double)n * horizon));
  for (size_t j = 0; j < n; j++) weights[j] *= exp(p_min / 2.0 * (gain[j] + bonus / p[j]));
  divide_by_sum(weights, n);
}

void al_exp3_update(double *weights, const double *p, size_t n, size_t arm, double reward, double gamma) {
  weights[arm] *= exp(gamma * (reward / p[arm]) / (double)n);
  divide_by_sum(weights, n);
}

/* ---- states as JSON ---- */

static json_t *numbers(const double *values, size_t n) {
  json_t *list = json_array();
  for (size_t i = 0; i < n; i++) json_array_append_new(list, json_real(values[i]));
  return list;
}

static al_status foreign_state(const char *name, const char *key) {
  return al_fail(AL_BAD_INPUT, "%s: the history's state has no usable '%s'; it is not of these sub-strategies", name,
                 key);
}

/* n finite numbers of at least `least`; for state that may have come from a user's file. */
static al_status read_numbers(const json_t *own, const char *key, double least, double *out, size_t n,
                              const char *name) {
  const json_t *list = json_object_get(own, key);
  if (json_array_size(list) != n) return foreign_state(name, key);
  for (size_t i = 0; i < n; i++) {
    const json_t *value = json_array_get(list, i);
    out[i] = json_number_value(value);
    if (!json_is_number(value) || !isfinite(out[i]) || out[i] < least) return foreign_state(name, key);
  }
  return AL_OK;
}

/* Weights and probabilities of the last round. */
static al_status read_state(const json_t *own, double *weights, double *p, size_t n, const char *name) {
  al_status status = read_numbers(own, "weights", 0.0, weights, n, name);
  if (status == AL_OK) status = read_numbers(own, "p", 1e-12, p, n, name);
  double sum = 0.0;
  for (size_t j = 0; status == AL_OK && j < n; j++) sum += weights[j];
  if (status == AL_OK && !(sum > 0.0)) return foreign_state(name, "weights");
  return status;
}

/* ---- albl ---- */

static const al_param params_of_albl[] = {
    {.key = "strategies", .type = AL_PARAM_LIST, .help = "sub-strategies: names, or {name, params}"},
    {.key = "horizon",
     .type = AL_PARAM_INT,
     .fallback = "10",
     .min = 1,
     .max = 1e9,
     .help = "rounds for which the least probability and the step are set"},
    {.key = "delta",
     .type = AL_PARAM_REAL,
     .fallback = "0.1",
     .min = 1e-9,
     .max = 1,
     .help = "probability with which the regret bound may fail"},
    {0}};

static unsigned needs_of_albl(const json_t *params) {
  return al_children_need(&al_strategy_albl, params) | AL_NEED_LABELLED | AL_NEED_PROBS_LABELLED | AL_NEED_HISTORY;
}

static al_status check_albl(const json_t *params, const char *where) {
  return al_check_children(&al_strategy_albl, params, "strategies", where);
}

static al_status check_batch_of_albl(const json_t *params, size_t batch, const char *where) {
  if (batch > MOST_BATCH)
    return al_fail(AL_BAD_INPUT,
                   "%s: albl logs a probability for each pick, at most %d of them a round; lower the batch", where,
                   MOST_BATCH);
  return al_children_check_batch(&al_strategy_albl, params, batch, where);
}

static al_status prepare_albl(void **prepared, const al_query *query, const json_t *params) {
  return al_children_prepare(&al_strategy_albl, prepared, query, params);
}

typedef struct {
  int32_t row, index;
} place;

static int by_row(const void *a, const void *b) {
  int32_t x = ((const place *)a)->row, y = ((const place *)b)->row;
  return (x > y) - (x < y);
}

static bool predicted_right(const al_query *query, size_t i) {
  const float *p = query->probs_labelled + i * query->classes;
  size_t best = 0;
  for (size_t c = 1; c < query->classes; c++)
    if (p[c] > p[best]) best = c;
  return (int32_t)best == query->labels[i];
}

/* Adds one past round's queries to the sums of weights, of all and of those that the new model predicts right. */
static al_status add_round(const al_query *query, const json_t *round, const place *places, double *right,
                           double *all) {
  const json_t *q = json_object_get(json_object_get(json_object_get(round, "state"), "albl"), "q");
  const json_t *asked = json_object_get(round, "asked"), *answers = json_object_get(round, "answers");
  if (q == NULL) return AL_OK; /* the initial set, or a round in which another chose */
  for (size_t i = 0; i < json_array_size(asked); i++) {
    const json_t *probability = json_array_get(q, i);
    double value = json_number_value(probability);
    if (!json_is_number(probability) || !(value > 0.0) || value > 1.0 + 1e-9) return foreign_state("albl", "q");
    if (json_is_null(json_array_get(answers, i))) continue; /* abstained: there is no answer to compare with */
    place key = {.row = (int32_t)json_integer_value(json_array_get(asked, i))};
    const place *found = bsearch(&key, places, query->labelled, sizeof key, by_row);
    if (found == NULL) continue;
    *all += 1.0 / value;
    if (predicted_right(query, (size_t)found->index)) *right += 1.0 / value;
  }
  return AL_OK;
}

/* Importance-weighted accuracy of the new model on all past queries; -1 where there are none. */
static al_status weighted_accuracy(const al_query *query, double *reward) {
  al_status status;
  place *places = NULL;
  double right = 0.0, all = 0.0;
  *reward = -1.0;
  if (query->history == NULL || query->rows_labelled == NULL) return AL_OK;
  AL_TRY(AL_NEW(&places, query->labelled));
  for (size_t i = 0; i < query->labelled; i++) places[i] = (place){query->rows_labelled[i], (int32_t)i};
  qsort(places, query->labelled, sizeof *places, by_row);
  for (size_t r = 0; r < json_array_size(query->history); r++)
    AL_TRY(add_round(query, json_array_get(query->history, r), places, &right, &all));
  if (all > 0.0) *reward = right / all;
done:
  free(places);
  return status;
}

/* What one sub-strategy offers: its k picks in order, and how far they are used up. */
typedef struct {
  al_picks picks;
  size_t next;
  bool uniform; /* `random`: any item that is left, with equal chance */
} offer;

static al_status ask_all(const al_query *query, const json_t *params, size_t n, offer *offers, al_picks *picks) {
  al_status status = AL_OK;
  for (size_t j = 0; j < n; j++) {
    AL_TRY(al_child_select(&al_strategy_albl, query, params, j, query->batch, false, &offers[j].picks));
    offers[j].uniform = al_child_at(&al_strategy_albl, params, j).strategy == &al_strategy_random;
    picks->scored = picks->scored && offers[j].picks.scored;
    AL_TRY(al_picks_join_note(picks, &offers[j].picks));
  }
done:
  return status;
}

/* k draws of a sub-strategy by p, each taking its best unpicked item. q: k, probability of what was picked at its pick;
 * credit: n, mean over the picks of phi_j(x) / q(x). */
static al_status draw_picks(const al_query *query, const double *p, offer *offers, size_t n, size_t k, al_picks *picks,
                            double *q, double *credit) {
  bool *taken = NULL;
  al_rng rng = query->rng;
  al_status status = AL_NEW(&taken, query->pool);
  if (status != AL_OK) return status;
  for (size_t i = 0; i < k; i++) {
    for (size_t j = 0; j < n; j++)
      while (taken[offers[j].picks.pos[offers[j].next]]) offers[j].next++;
    size_t arm = al_rng_pick(p, n, 1.0, al_rng_uniform(&rng));
    assert(arm < n);
    const offer *drawn = &offers[arm];
    int32_t pos = drawn->picks.pos[drawn->next];
    double phi[MOST_CHILDREN], left = (double)(query->pool - i);
    q[i] = 0.0;
    for (size_t j = 0; j < n; j++) {
      phi[j] = offers[j].uniform ? 1.0 / left : offers[j].picks.pos[offers[j].next] == pos ? 1.0 : 0.0;
      q[i] += p[j] * phi[j];
    }
    for (size_t j = 0; j < n; j++) credit[j] += phi[j] / q[i] / (double)k;
    picks->pos[i] = pos;
    picks->scores[i] = picks->scored ? drawn->picks.scores[drawn->next] : 0.0;
    taken[pos] = true;
  }
  picks->count = k;
  free(taken);
  return AL_OK;
}

static al_status select_by_albl(const al_query *query, const json_t *params, al_picks *picks) {
  al_status status;
  size_t n = al_child_count(&al_strategy_albl, params), k = query->batch < query->pool ? query->batch : query->pool;
  double horizon = al_params_real(params, "horizon"), reward = -1.0, weights[MOST_CHILDREN], p[MOST_CHILDREN];
  double credit[MOST_CHILDREN] = {0}, *q = NULL;
  double p_min = fmin(sqrt(log((double)n) / ((double)n * horizon)), 1.0 / (2.0 * (double)n));
  const json_t *last = json_object_get(query->state, "albl");
  offer offers[MOST_CHILDREN] = {{{0}, 0, false}};
  for (size_t j = 0; j < n; j++) weights[j] = 1.0 / (double)n;
  if (last != NULL) {
    double gain[MOST_CHILDREN], before[MOST_CHILDREN];
    AL_TRY(read_state(last, weights, before, n, "albl"));
    AL_TRY(read_numbers(last, "credit", 0.0, gain, n, "albl"));
    AL_TRY(weighted_accuracy(query, &reward));
    for (size_t j = 0; j < n; j++) gain[j] *= reward;
    if (reward >= 0.0) al_exp4p_update(weights, before, gain, n, p_min, al_params_real(params, "delta"), horizon);
  }
  divide_by_sum(weights, n);
  for (size_t j = 0; j < n; j++) p[j] = (1.0 - (double)n * p_min) * weights[j] + p_min;
  AL_TRY(AL_NEW(&q, k));
  AL_TRY(ask_all(query, params, n, offers, picks));
  AL_TRY(draw_picks(query, p, offers, n, k, picks, q, credit));
  picks->state =
      json_pack("{s:{s:o,s:o,s:o,s:o,s:o}}", "albl", "weights", numbers(weights, n), "p", numbers(p, n), "reward",
                reward < 0.0 ? json_null() : json_real(reward), "credit", numbers(credit, n), "q", numbers(q, k));
  if (picks->state == NULL) status = al_fail(AL_ENVIRONMENT, "out of memory");
done:
  for (size_t j = 0; j < n; j++) al_picks_free(&offers[j].picks);
  free(q);
  return status;
}

const al_strategy al_strategy_albl = {
    .name = "albl",
    .family = "adaptive",
    .summary = "active learning by learning: EXP4.P over sub-strategies, rewarded by importance-weighted accuracy",
    .definition =
        "K sub-strategies with weights w (equal at first), p_j = (1 - K p_min) w_j / sum w + p_min, p_min =\n"
        "sqrt(ln K / (K T)), at most 1 / (2K), T the horizon in rounds. Each pick draws a sub-strategy by p and takes\n"
        "its best unpicked item x; q(x) = sum_j p_j phi_j(x) is logged, phi_j(x) = 1 when x is j's best unpicked item\n"
        "(for `random`: 1 / items left). Next round's reward r is the importance-weighted accuracy of the new model "
        "on\n"
        "all past queries, sum of [f(x) = y] / q(x) over the sum of 1 / q(x); one update a round,\n"
        "w_j *= exp(p_min / 2 (g_j + sqrt(ln(K / delta) / (K T)) / p_j)), g_j = r times the mean of phi_j(x) / q(x)\n"
        "over the round's picks: at a batch of one the paper's update. The paper divides the weighted sum by n T\n"
        "instead, which is an accuracy only where every item of the pool can be drawn, and next to 0 where\n"
        "sub-strategies always name one item; there is no uniform arm unless `random` is listed. One reward is shared\n"
        "by a round, so large batches, in which all sub-strategies have their share, teach little.",
    .citation = "Hsu and Lin 2015 (AAAI); Beygelzimer, Langford, Li, Reyzin and Schapire 2011 (AISTATS), algorithm 1",
    .cost = "the sum of the sub-strategies' at the whole batch, and O(|L| (log |L| + C)); state: a number a pick",
    .params = params_of_albl,
    .needs = needs_of_albl,
    .select = select_by_albl,
    .check = check_albl,
    .prepare = prepare_albl,
    .forget = al_children_forget,
    .children = children_of_adaptive,
    .adaptive = true,
    .check_batch = check_batch_of_albl,
};

/* ---- bandit ---- */

static const al_param params_of_bandit[] = {
    {.key = "strategies", .type = AL_PARAM_LIST, .help = "sub-strategies: names, or {name, params}"},
    {.key = "gamma",
     .type = AL_PARAM_REAL,
     .fallback = "0.1",
     .min = 1e-9,
     .max = 1,
     .help = "share of uniform exploration, and the step"},
    {0}};

static unsigned needs_of_bandit(const json_t *params) {
  return al_children_need(&al_strategy_bandit, params) | AL_NEED_LABELLED | AL_NEED_OOF | AL_NEED_HISTORY;
}

static al_status check_bandit(const json_t *params, const char *where) {
  return al_check_children(&al_strategy_bandit, params, "strategies", where);
}

static al_status prepare_bandit(void **prepared, const al_query *query, const json_t *params) {
  return al_children_prepare(&al_strategy_bandit, prepared, query, params);
}

/* Out-of-fold accuracy on L; -1 with too few labels or one class. */
static double accuracy_on_labelled(const al_query *query) {
  double wrong = 0.0;
  if (query->oof == NULL) return -1.0;
  for (size_t i = 0; i < query->labelled; i++) wrong += query->oof->error[i];
  return 1.0 - wrong / (double)query->labelled;
}

static al_status select_by_bandit(const al_query *query, const json_t *params, al_picks *picks) {
  al_status status = AL_OK;
  size_t n = al_child_count(&al_strategy_bandit, params);
  double gamma = al_params_real(params, "gamma"), now = accuracy_on_labelled(query), reward = -1.0;
  double weights[MOST_CHILDREN], p[MOST_CHILDREN] = {0};
  const json_t *last = json_object_get(query->state, "bandit");
  al_rng rng = query->rng;
  al_picks own = {0};
  for (size_t j = 0; j < n; j++) weights[j] = 1.0 / (double)n;
  if (last != NULL) {
    const json_t *accuracy = json_object_get(last, "accuracy");
    json_int_t arm = json_integer_value(json_object_get(last, "arm"));
    AL_TRY(read_state(last, weights, p, n, "bandit"));
    if (arm < 0 || (size_t)arm >= n) {
      status = foreign_state("bandit", "arm");
      goto done;
    }
    if (json_is_number(accuracy) && now >= 0.0) {
      reward = fmin(1.0, fmax(0.0, now - json_number_value(accuracy)));
      al_exp3_update(weights, p, n, (size_t)arm, reward, gamma);
    }
  }
  divide_by_sum(weights, n);
  for (size_t j = 0; j < n; j++) p[j] = (1.0 - gamma) * weights[j] + gamma / (double)n;
  size_t arm = al_rng_pick(p, n, 1.0, al_rng_uniform(&rng));
  AL_TRY(al_child_select(&al_strategy_bandit, query, params, arm, query->batch, false, &own));
  al_picks_move(picks, &own);
  if (now < 0.0)
    AL_TRY(al_picks_note(picks, "fewer than 10 labels or one class: no out-of-fold accuracy, and no reward from it"));
  picks->state = json_pack("{s:{s:o,s:o,s:I,s:o,s:o}}", "bandit", "weights", numbers(weights, n), "p", numbers(p, n),
                           "arm", (json_int_t)arm, "reward", reward < 0.0 ? json_null() : json_real(reward), "accuracy",
                           now < 0.0 ? json_null() : json_real(now));
  if (picks->state == NULL) status = al_fail(AL_ENVIRONMENT, "out of memory");
done:
  al_picks_free(&own);
  return status;
}

const al_strategy al_strategy_bandit = {
    .name = "bandit",
    .family = "adaptive",
    .summary = "EXP3 over sub-strategies, one a round, rewarded by the gain in out-of-fold accuracy",
    .definition =
        "K sub-strategies with weights w (equal at first), p_j = (1 - gamma) w_j / sum w + gamma / K. One is drawn a\n"
        "round and chooses the whole batch. Next round its reward is the gain in out-of-fold accuracy on L, clipped "
        "to\n"
        "0 to 1: w_j *= exp(gamma reward / (p_j K)). With fewer than 10 labels or one class there is no such accuracy\n"
        "and no update. Gains are small and sum to little in a run, so the weights move slowly at gamma 0.1.",
    .citation = "Auer, Cesa-Bianchi, Freund and Schapire 2002 (SIAM Journal on Computing 32), figure 1; Baram, "
                "El-Yaniv and Luz 2004 for the use of bandits",
    .cost = "the drawn sub-strategy's, and the 5-fold cross-validation on L",
    .params = params_of_bandit,
    .needs = needs_of_bandit,
    .select = select_by_bandit,
    .check = check_bandit,
    .prepare = prepare_bandit,
    .forget = al_children_forget,
    .children = children_of_adaptive,
    .adaptive = true,
};
