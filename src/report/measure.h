/* What a curve may show: the test metrics of a round line and the state of the labelled set (docs/log.md). */
#ifndef AL_REPORT_MEASURE_H
#define AL_REPORT_MEASURE_H

#include "base/status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct al_measure {
  const char *name;  /* as in the log and in --metric */
  const char *title; /* as on an axis */
  const char *brief; /* as over a small panel */
  bool lower_is_better;
} al_measure;

enum {
  AL_MEASURE_ACCURACY = 0,
  AL_MEASURES_OF_TEST = 12, /* the first ones are metrics of the test set */
  AL_MEASURES = 16          /* the others are the labelled set's state: no better or worse */
};
extern const al_measure al_measures[AL_MEASURES];

/* Unknown names are AL_BAD_INPUT with the nearest valid one; where: for messages. */
al_status al_measure_find(size_t *out, const char *name, const char *where) AL_MUST_USE;

/* The value in a round line; NaN where the log has null or nothing. */
double al_measure_of(size_t measure, const json_t *round);

#endif
