/* Metrics of one set of predictions. All sums are double; ECE is Guo et al. 2017, eq. 3, with bins (i/15, (i+1)/15]. */
#include "sim/metrics.h"

#include "base/memory.h"

#include <math.h>
#include <stdlib.h>

enum { BINS = 15 };

int32_t al_argmax(const float *probs, size_t classes) {
  size_t best = 0;
  for (size_t c = 1; c < classes; c++)
    if (probs[c] > probs[best]) best = c;
  return (int32_t)best;
}

double al_accuracy(const float *probs, const int32_t *truth, size_t n, size_t classes) {
  size_t right = 0;
  for (size_t i = 0; i < n; i++) right += al_argmax(probs + i * classes, classes) == truth[i];
  return n == 0 ? 0.0 : (double)right / (double)n;
}

/* Bin of a confidence: the i with i/15 < confidence <= (i+1)/15; 0 belongs to the first. */
static size_t bin_of(double confidence) {
  size_t bin = 0;
  while (bin + 1 < BINS && confidence > (double)(bin + 1) / BINS) bin++;
  return bin;
}

typedef struct {
  float confidence;
  int32_t row;
} ranked;

static int by_confidence(const void *a, const void *b) {
  const ranked *x = a, *y = b;
  if (x->confidence != y->confidence) return x->confidence < y->confidence ? -1 : 1;
  return x->row < y->row ? -1 : x->row > y->row;
}

typedef struct {
  double count, confidence, right;
} bin_sums;

static double calibration_error(const bin_sums *bins, size_t n) {
  double error = 0.0;
  for (size_t b = 0; b < BINS; b++) error += fabs(bins[b].right - bins[b].confidence);
  return error / (double)n;
}

static void add_to_bin(bin_sums *bin, double confidence, int right) {
  bin->count += 1.0;
  bin->confidence += confidence;
  bin->right += right;
}

typedef struct {
  double *tp, *predicted, *actual; /* C each */
} confusion;

static double ratio(double numerator, double denominator) { return denominator > 0.0 ? numerator / denominator : 0.0; }

static int set_real(json_t *object, const char *key, double value) {
  return json_object_set_new(object, key, json_real(value));
}

static json_t *class_metrics(const confusion *counts, size_t n, size_t classes, double nll, double brier, double ece,
                             double ece_mass) {
  double precision = 0.0, recall = 0.0, f1 = 0.0, balanced = 0.0, present = 0.0, right = 0.0;
  json_t *recalls = json_array();
  for (size_t c = 0; c < classes; c++) {
    double tp = counts->tp[c], p = ratio(tp, counts->predicted[c]), r = ratio(tp, counts->actual[c]);
    precision += p;
    recall += r;
    f1 += ratio(2.0 * tp, counts->predicted[c] + counts->actual[c]);
    right += tp;
    if (counts->actual[c] > 0.0) {
      balanced += r;
      present += 1.0;
    }
    json_array_append_new(recalls, counts->actual[c] > 0.0 ? json_real(r) : json_null());
  }
  double accuracy = right / (double)n, of_classes = (double)classes;
  json_t *object = json_object();
  int failed = set_real(object, "accuracy", accuracy);
  failed |= set_real(object, "balanced_accuracy", ratio(balanced, present));
  failed |= set_real(object, "precision_macro", precision / of_classes);
  failed |= set_real(object, "recall_macro", recall / of_classes);
  failed |= set_real(object, "f1_macro", f1 / of_classes);
  /* single label: every row is one prediction and one truth, so the micro averages are the accuracy */
  failed |= set_real(object, "precision_micro", accuracy);
  failed |= set_real(object, "recall_micro", accuracy);
  failed |= set_real(object, "f1_micro", accuracy);
  failed |= set_real(object, "nll", nll);
  failed |= set_real(object, "brier", brier);
  failed |= set_real(object, "ece", ece);
  failed |= set_real(object, "ece_mass", ece_mass);
  failed |= json_object_set_new(object, "recall", recalls);
  if (failed) {
    json_decref(object);
    return NULL;
  }
  return object;
}

al_status al_metrics(json_t **metrics, json_t **calibration, const float *probs, const int32_t *truth, size_t n,
                     size_t classes) {
  al_status status;
  confusion counts = {0};
  ranked *order = NULL;
  bin_sums width[BINS] = {{0}}, mass[BINS] = {{0}};
  double nll = 0.0, brier = 0.0;
  *metrics = *calibration = NULL;
  AL_TRY(AL_NEW(&counts.tp, classes));
  AL_TRY(AL_NEW(&counts.predicted, classes));
  AL_TRY(AL_NEW(&counts.actual, classes));
  AL_TRY(AL_NEW(&order, n));
  for (size_t i = 0; i < n; i++) {
    const float *p = probs + i * classes;
    int32_t guess = al_argmax(p, classes);
    int right = guess == truth[i];
    counts.predicted[guess] += 1.0;
    counts.actual[truth[i]] += 1.0;
    counts.tp[guess] += right;
    nll -= log(fmax((double)p[truth[i]], 1e-12));
    for (size_t c = 0; c < classes; c++) {
      double difference = (double)p[c] - (c == (size_t)truth[i]);
      brier += difference * difference;
    }
    order[i] = (ranked){p[guess], (int32_t)i};
    add_to_bin(&width[bin_of((double)p[guess])], (double)p[guess], right);
  }
  qsort(order, n, sizeof *order, by_confidence);
  for (size_t i = 0; i < n; i++) {
    const float *p = probs + (size_t)order[i].row * classes;
    add_to_bin(&mass[BINS * i / n], (double)order[i].confidence, al_argmax(p, classes) == truth[order[i].row]);
  }
  *metrics = class_metrics(&counts, n, classes, nll / (double)n, brier / (double)n, calibration_error(width, n),
                           calibration_error(mass, n));
  *calibration = json_array();
  for (size_t b = 0; b < BINS; b++)
    json_array_append_new(*calibration,
                          json_pack("[i,f,f]", (int)width[b].count, ratio(width[b].confidence, width[b].count),
                                    ratio(width[b].right, width[b].count)));
  if (*metrics == NULL || json_array_size(*calibration) != BINS) status = al_fail(AL_ENVIRONMENT, "out of memory");
done:
  free(counts.tp);
  free(counts.predicted);
  free(counts.actual);
  free(order);
  if (status != AL_OK) {
    json_decref(*metrics);
    json_decref(*calibration);
    *metrics = *calibration = NULL;
  }
  return status;
}
