/* Unit rows, the balls of one radius around them, and the radius at which balls stay pure. Private to strategy.
 *
 * A pair lies within the radius or not by one rule wherever it is met: the squared distance in doubles, by differences,
 * of the float32 rows held here. Products in float32 only decide what is far from the edge. */
#ifndef AL_STRATEGY_COVERAGE_H
#define AL_STRATEGY_COVERAGE_H

#include "base/matrix.h"
#include "base/status.h"

/* Rows over their norms (zeros stay); dense ones with the mean taken off afterwards, which moves no distance and keeps
 * float32's digits where all rows point one way. */
typedef struct al_sphere {
  al_view view;  /* n x D */
  double *norms; /* n: squared, of the rows held */
  float *values; /* owned */
  int32_t *indices;
  int64_t *begin;
} al_sphere;

/* The rows of `first`, then rows which[0 .. n-1] of `second` (both of one kind; `which` NULL: its rows 0 .. n-1).
 * Time and memory O((rows + n) D), CSR: non-zeros. */
al_status al_sphere_make(al_sphere *sphere, const al_view *first, const al_view *second, const int32_t *which,
                         size_t n) AL_MUST_USE;
void al_sphere_free(al_sphere *sphere);

/* *squared = the square of the largest radius r for which at least 95 % of the points centres[0 .. n-1] have no point
 * of another label at a distance < r; 4 where there is one label only. label: rows of the sphere. O(n rows D). */
al_status al_pure_radius(double *squared, const al_sphere *sphere, const int32_t *label, const int32_t *centres,
                         size_t n) AL_MUST_USE;

typedef struct al_balls al_balls;

/* Balls of squared radius `squared`, d < r, around the points of the sphere (borrowed). With most > 0 all their members
 * are listed once, 4 bytes each, unless there are more than `most`: then, as with most = 0, each visit measures anew.
 * O(n^2 D) for lists; memory O(512 n) bytes besides them. */
al_status al_balls_new(al_balls **out, const al_sphere *sphere, double squared, size_t most) AL_MUST_USE;
void al_balls_free(al_balls *balls);
bool al_balls_listed(const al_balls *balls);

/* Calls meet(context, centre, members, count) for each of the n centres in order, members ascending. Listed:
 * O(members); else O(n rows D). */
typedef void (*al_meet)(void *context, int32_t centre, const int32_t *members, size_t count);
al_status al_balls_visit(al_balls *balls, const int32_t *centres, size_t n, al_meet meet, void *context) AL_MUST_USE;

#endif
