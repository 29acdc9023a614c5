/* The table of measures. */
#include "report/measure.h"

#include "base/params.h"

#include <math.h>
#include <string.h>

const al_measure al_measures[AL_MEASURES] = {
    {.name = "accuracy", .title = "test accuracy", .brief = "accuracy"},
    {.name = "balanced_accuracy", .title = "balanced test accuracy", .brief = "balanced accuracy"},
    {.name = "precision_macro", .title = "macro precision", .brief = "macro precision"},
    {.name = "recall_macro", .title = "macro recall", .brief = "macro recall"},
    {.name = "f1_macro", .title = "macro F1", .brief = "macro F1"},
    {.name = "precision_micro", .title = "micro precision", .brief = "micro precision"},
    {.name = "recall_micro", .title = "micro recall", .brief = "micro recall"},
    {.name = "f1_micro", .title = "micro F1", .brief = "micro F1"},
    {.name = "nll", .title = "negative log-likelihood (nats)", .brief = "NLL (nats)", .lower_is_better = true},
    {.name = "brier", .title = "Brier score", .brief = "Brier score", .lower_is_better = true},
    {.name = "ece", .title = "expected calibration error", .brief = "ECE", .lower_is_better = true},
    {.name = "ece_mass",
     .title = "calibration error, bins of equal mass",
     .brief = "ECE, equal mass",
     .lower_is_better = true},
    {.name = "kl", .title = "KL of labelled to pool classes (nats)", .brief = "KL of classes to pool (nats)"},
    {.name = "imbalance", .title = "largest to smallest class (ratio)", .brief = "largest to smallest class"},
    {.name = "mmd2", .title = "squared MMD of labelled set to pool", .brief = "squared MMD to pool"},
    {.name = "noise", .title = "share of wrong answers", .brief = "share of wrong answers"},
};

al_status al_measure_find(size_t *out, const char *name, const char *where) {
  const char *names[AL_MEASURES];
  for (size_t m = 0; m < AL_MEASURES; m++) {
    names[m] = al_measures[m].name;
    if (strcmp(name, names[m]) != 0) continue;
    *out = m;
    return AL_OK;
  }
  const char *nearest = al_nearest(name, names, AL_MEASURES);
  if (nearest != NULL)
    return al_fail(AL_BAD_INPUT, "%s: unknown metric '%s'; did you mean '%s'?", where, name, nearest);
  return al_fail(AL_BAD_INPUT,
                 "%s: unknown metric '%s'; there are: accuracy, balanced_accuracy, f1_macro, nll, ece, ...", where,
                 name);
}

double al_measure_of(size_t measure, const json_t *round) {
  const json_t *of_test = json_object_get(json_object_get(round, "metrics"), "test");
  const json_t *value = json_object_get(measure < AL_MEASURES_OF_TEST ? of_test : json_object_get(round, "labelled"),
                                        al_measures[measure].name);
  return json_is_number(value) ? json_number_value(value) : NAN;
}
