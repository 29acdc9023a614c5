/* What composed strategies share: their sub-strategies, asked one by one. Private to strategy.
 *
 * Sub-strategy i draws from al_rng_child(query->rng, i) and al_rng_child(query->cell_rng, i), i counted over the lists
 * of `children` in order, so that one more at the end changes nobody's draws. The composed strategy's own draws come
 * from copies of query->rng and query->cell_rng themselves. */
#ifndef AL_STRATEGY_COMPOSED_H
#define AL_STRATEGY_COMPOSED_H

#include "strategy/strategy.h"

typedef struct al_child {
  const al_strategy *strategy;
  const json_t *params; /* settled */
} al_child;

/* Of settled parameters. */
size_t al_child_count(const al_strategy *strategy, const json_t *params);
al_child al_child_at(const al_strategy *strategy, const json_t *params, size_t index);
/* Union of what they need. */
unsigned al_children_need(const al_strategy *strategy, const json_t *params);
/* Is this one adaptive, or made of one that is? */
bool al_strategy_adapts(const al_strategy *strategy, const json_t *params);
/* A list of sub-strategies of 2 to 64, none of them adaptive: for those that ask several in a round. `key` names it. */
al_status al_check_children(const al_strategy *strategy, const json_t *params, const char *key,
                            const char *where) AL_MUST_USE;

/* al_strategy_check_batch of each. */
al_status al_children_check_batch(const al_strategy *strategy, const json_t *params, size_t batch,
                                  const char *where) AL_MUST_USE;

/* `prepare` and `forget` of composed strategies: those of their parts. */
al_status al_children_prepare(const al_strategy *strategy, void **prepared, const al_query *query,
                              const json_t *params) AL_MUST_USE;
void al_children_forget(void *prepared);

/* The min(batch, |U|) picks of sub-strategy `index`. picks: fresh arrays and texts on success and failure, freed with
 * al_picks_free; its note says whose it is. query->state is passed on only where `with_state`; otherwise a
 * sub-strategy that keeps one is refused. */
al_status al_child_select(const al_strategy *strategy, const al_query *query, const json_t *params, size_t index,
                          size_t batch, bool with_state, al_picks *picks) AL_MUST_USE;

/* Moves all of `from` into the caller's arrays; for strategies that ask one sub-strategy a round. */
void al_picks_move(al_picks *to, al_picks *from);

/* Puts another's note, if any, behind those of `to`. */
al_status al_picks_join_note(al_picks *to, const al_picks *from) AL_MUST_USE;

/* `items` dealt by shares with the largest remainder: counts[i] sum to `items`; ties, which are remainders within 1e-9,
 * to the lower index. shares: n, each >= 0, some > 0; n at most 64. */
void al_largest_remainder(const double *shares, size_t n, size_t items, size_t *counts);

/* EXP4.P's update with one expert an arm (Beygelzimer et al. 2011, algorithm 1, line 8): weights[j] *= exp(p_min / 2
 * (gain[j] + sqrt(ln(n / delta) / (n horizon)) / p[j])), then divided by their sum. */
void al_exp4p_update(double *weights, const double *p, const double *gain, size_t n, double p_min, double delta,
                     double horizon);
/* EXP3's (Auer et al. 2002, figure 1): weights[arm] *= exp(gamma reward / (p[arm] n)), then divided by their sum. */
void al_exp3_update(double *weights, const double *p, size_t n, size_t arm, double reward, double gamma);

#endif
