/* Picking by a score an item. Private to strategy. */
#ifndef AL_STRATEGY_POINTWISE_H
#define AL_STRATEGY_POINTWISE_H

#include "strategy/strategy.h"

/* The min(k, |U|) highest utilities, ties to the lower position. utility: |U|. */
void al_pick_highest(const al_query *query, const double *utility, al_picks *picks);

/* 1 - max p of each pool item; out: |U|. */
void al_least_confidence(const al_query *query, double *out);

/* 1 - (p_(1) - p_(2)) of each pool item; out: |U|. */
void al_margin_utility(const al_query *query, double *out);

extern const al_param al_no_params[];

/* -sum_c p_c ln p_c of one row (p: C) in doubles, 0 ln 0 = 0. A sum off 1 by no more than float32's rounding is taken
 * for 1: the row is divided by it. Others are left as given. */
double al_entropy(const float *p, size_t classes);

#endif
