/* Picking by a score an item. Private to strategy. */
#ifndef AL_STRATEGY_POINTWISE_H
#define AL_STRATEGY_POINTWISE_H

#include "strategy/strategy.h"

/* The min(k, |U|) highest utilities, ties to the lower position. utility: |U|. */
void al_pick_highest(const al_query *query, const double *utility, al_picks *picks);

/* 1 - max p of each pool item; out: |U|. */
void al_least_confidence(const al_query *query, double *out);

extern const al_param al_no_params[];

#endif
