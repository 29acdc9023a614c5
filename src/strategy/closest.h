/* The nearest of m dense points to each row of a view, by sgemm, yet exactly what double arithmetic would name. Private
 * to strategy. */
#ifndef AL_STRATEGY_CLOSEST_H
#define AL_STRATEGY_CLOSEST_H

#include "base/matrix.h"
#include "base/status.h"

typedef struct al_closest al_closest;

/* m points of `cols` columns, for rows of this kind. Memory O(m cols). */
al_status al_closest_new(al_closest **out, al_view_kind kind, size_t m, size_t cols) AL_MUST_USE;
void al_closest_free(al_closest *closest);
/* The points themselves (m x cols, borrowed until the next call). O(m cols). */
void al_closest_points(al_closest *closest, const double *points);

/* For each of the rows which[0 .. n-1] (NULL: rows 0 .. n-1): nearest[row] = its nearest point (Euclidean; ties: the
 * lowest). Where given, upper[row] >= the distance to it, and lower[row] <= the distance to any other point.
 * Products are float32 and centred on the mean of the points; every point whose product lies within the rounding error
 * of the best is measured again in double. Time O(n m D) (CSR: non-zeros in place of D), no memory of its own. */
void al_closest_find(al_closest *closest, const al_view *rows, const int32_t *which, size_t n, int32_t *nearest,
                     float *upper, float *lower);

/* Squared distance of a row to a point (cols), in double, by differences (CSR: expanded, by differences where that
 * cancels); the norm is the point's squared one, read for CSR only. */
double al_squared_to_point(const al_view *rows, size_t row, const double *point, double norm);

#endif
