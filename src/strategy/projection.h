/* The parameter `dims`: a seeded Gaussian projection of h. Private to strategy. */
#ifndef AL_STRATEGY_PROJECTION_H
#define AL_STRATEGY_PROJECTION_H

#include "base/matrix.h"
#include "base/params.h"
#include "base/rng.h"
#include "base/status.h"

#define AL_DIMS_PARAM                                                                                                  \
  {                                                                                                                    \
    .key = "dims", .type = AL_PARAM_INT, .fallback = "0", .min = 0, .max = 1e6,                                        \
    .help = "project h to this many columns by a seeded Gaussian map (0: not)"                                         \
  }

/* A cols x dims matrix of N(0, 1 / dims) draws, row by row: it keeps squared norms and products in the mean. */
al_status al_gaussian_map(double **map, size_t cols, size_t dims, al_rng rng) AL_MUST_USE;

/* *out (rows x dims): h times the map, summed in double. O(non-zeros x dims). */
al_status al_project(float **out, const al_view *h, const double *map, size_t dims) AL_MUST_USE;

#endif
