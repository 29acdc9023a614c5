/* Shared by compare.c and compare_many.c. */
#ifndef AL_STATS_COMPARE_PRIVATE_H
#define AL_STATS_COMPARE_PRIVATE_H

#include "stats/compare.h"

/* Rankings and penalties of a comparison whose units are measured. */
al_status al_compare_many(al_comparison *comparison) AL_MUST_USE;
void al_ranking_clear(al_ranking *ranking);
bool al_units_paired(const al_comparison *comparison, const al_unit *unit, const al_unit *other);

#endif
