/* Shared by gate.c and gate_file.c. */
#ifndef AL_STATS_GATE_PRIVATE_H
#define AL_STATS_GATE_PRIVATE_H

#include "stats/curve_set.h"

bool al_same_setting(const al_cell_curve *a, const al_cell_curve *b);
/* The range of labels that all cells of this cell's setting reach; false: there is none. */
bool al_gate_range_of(const al_curve_set *set, const al_cell_curve *setting, double *from, double *to);

#endif
