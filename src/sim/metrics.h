/* Test metrics of a round (STATISTICS.md, "Test metrics"). */
#ifndef AL_SIM_METRICS_H
#define AL_SIM_METRICS_H

#include "base/status.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

/* *metrics = {accuracy, balanced_accuracy, precision_macro, ..., nll, brier, ece, ece_mass, recall: [C]} and
 * *calibration = 15 x [count, mean confidence, accuracy], as fresh values. probs: n x C float32, truth: n classes; n >
 * 0. Macro averages run over all C classes with 0/0 = 0; balanced accuracy over the classes that occur in truth; a
 * class that does not occur has recall null. O(n C + n log n). */
al_status al_metrics(json_t **metrics, json_t **calibration, const float *probs, const int32_t *truth, size_t n,
                     size_t classes) AL_MUST_USE;

/* Lowest class of the highest probability. probs: C. */
int32_t al_argmax(const float *probs, size_t classes);

double al_accuracy(const float *probs, const int32_t *truth, size_t n, size_t classes);

#endif
