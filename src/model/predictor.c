/* Calibration and tuning around any model.
 *
 * Tuning opens one model a candidate (the product of the lists), scores each by the log loss of 5-fold cross-validation
 * on the training set in the order labelled, and keeps the best, the first of equals. Everything is a function of rows,
 * labels and streams, so a resumed cell chooses the same. */
#include "model/predictor.h"

#include "base/memory.h"
#include "model/candidates.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FOLDS = 5, LEAST_FOR_FOLDS = 10 };
static const double least_probability = 1e-12, widest = 20.0; /* of a log loss; of a temperature and its inverse */

struct al_predictor {
  const al_model_type *type;
  al_model_source source;
  al_model **candidates; /* count; one without `tune` */
  json_t **params;       /* count; resolved */
  json_t *chosen_text;   /* array of count texts: "l2 = 10, ..." */
  size_t count, chosen;
  double loss; /* of the chosen candidate; NaN: not tuned this time */
  bool calibrate;
  double temperature;
  size_t calibrated_on; /* rows of the hold-out that were used */
  float *logits, *weights, *bias;
  size_t logit_capacity, weight_capacity, bias_capacity;
  bool head_scaled;
};

/* ---- keys ---- */

static const char *text_of(const json_t *params, const char *key) {
  const json_t *value = json_object_get(params, key);
  return json_is_string(value) ? json_string_value(value) : "";
}

static bool candidate_reads_holdout(const json_t *params) {
  const json_t *stop = json_object_get(json_object_get(params, "train"), "early_stop");
  return strcmp(text_of(params, "calibrate"), "temperature") == 0 || (stop != NULL && !json_is_null(stop));
}

bool al_predictor_reads_holdout(const json_t *params) {
  bool reads = false;
  size_t count;
  if (al_candidates_count(&count, params, "") != AL_OK) return candidate_reads_holdout(params);
  for (size_t i = 0; i < count && !reads; i++) {
    json_t *given = NULL;
    reads = al_candidate_given(&given, NULL, 0, params, i, "") == AL_OK && candidate_reads_holdout(given);
    json_decref(given);
  }
  return reads;
}

static const json_t *value_at(const json_t *params, const char *path) {
  const char *dot;
  while ((dot = strchr(path, '.')) != NULL) {
    char key[64];
    snprintf(key, sizeof key, "%.*s", (int)(dot - path), path);
    params = json_object_get(params, key);
    path = dot + 1;
  }
  return json_object_get(params, path);
}

/* A cell's hash has the content of the files that the params around `tune` name, and of `tune` the text. */
static al_status same_files(const al_model_type *type, const json_t *params, const json_t *candidate,
                            const char *where) {
  for (size_t f = 0; type->files[f] != NULL; f++) {
    const json_t *one = value_at(params, type->files[f]), *other = value_at(candidate, type->files[f]);
    if (one != other && !json_equal(one, other))
      return al_fail(AL_BAD_INPUT,
                     "%s.tune: %s names files, and files are compared as models of their own: list each "
                     "under models, outside tune",
                     where, type->files[f]);
  }
  return AL_OK;
}

al_status al_predictor_check(const al_model_type *type, const json_t *params, size_t holdout, const char *where) {
  al_status status;
  size_t count;
  json_t *candidate = NULL;
  AL_TRY(al_candidates_count(&count, params, where));
  for (size_t i = 0; i < count; i++) {
    json_decref(candidate);
    AL_TRY(al_candidate(&candidate, NULL, 0, type, params, i, where));
    AL_TRY(same_files(type, params, candidate, where));
    if (count > 1 && strcmp(text_of(json_object_get(candidate, "train"), "start"), "warm") == 0) {
      status = al_fail(AL_BAD_INPUT, "%s.tune: what is tuned starts cold; give train.start: cold", where);
      goto done;
    }
  }
  if (holdout == 0 && al_predictor_reads_holdout(params))
    status =
        al_fail(AL_BAD_INPUT, "%s: %s reads the hold-out; give holdout: {size: N}", where,
                strcmp(text_of(params, "calibrate"), "temperature") == 0 ? "calibrate: temperature" : "early_stop");
done:
  json_decref(candidate);
  return status;
}

/* ---- opening ---- */

al_status al_predictor_open(al_predictor **out, const al_model_type *type, const json_t *params,
                            const al_model_source *source) {
  al_status status;
  al_predictor *p = NULL;
  char text[300];
  *out = NULL;
  AL_TRY(AL_NEW(&p, 1));
  p->type = type;
  p->source = *source;
  p->temperature = 1.0;
  p->loss = NAN;
  p->calibrate = strcmp(text_of(params, "calibrate"), "temperature") == 0;
  AL_TRY(al_candidates_count(&p->count, params, source->where));
  AL_TRY(AL_NEW(&p->candidates, p->count));
  AL_TRY(AL_NEW(&p->params, p->count));
  p->chosen_text = json_array();
  for (size_t i = 0; i < p->count; i++) {
    al_model_source own = *source;
    own.announce = source->announce && i == 0;
    AL_TRY(al_candidate(&p->params[i], text, sizeof text, type, params, i, source->where));
    json_array_append_new(p->chosen_text, json_string(text));
    AL_TRY(type->open(&p->candidates[i], p->params[i], &own));
  }
  *out = p;
  p = NULL;
done:
  al_predictor_free(p);
  return status;
}

void al_predictor_free(al_predictor *p) {
  if (p == NULL) return;
  for (size_t i = 0; i < p->count; i++) {
    if (p->candidates != NULL && p->candidates[i] != NULL) p->type->free(p->candidates[i]);
    if (p->params != NULL) json_decref(p->params[i]);
  }
  free(p->candidates);
  free(p->params);
  json_decref(p->chosen_text);
  free(p->logits);
  free(p->weights);
  free(p->bias);
  free(p);
}

/* ---- tuning ---- */

/* Out-of-fold probabilities by fitting and predicting; the fold's number keys its streams. */
static al_status refit_folds(const al_predictor *p, al_model *model, const al_training *training,
                             const uint8_t *fold_of, float *probs) {
  al_status status = AL_OK;
  size_t n = training->n, classes = p->source.dataset->classes;
  int32_t *rows = NULL, *labels = NULL, *out = NULL;
  float *part = NULL;
  AL_TRY(AL_NEW(&rows, n));
  AL_TRY(AL_NEW(&labels, n));
  AL_TRY(AL_NEW(&out, n));
  AL_TRY(AL_NEW(&part, n * classes));
  for (unsigned fold = 0; fold < FOLDS; fold++) {
    size_t kept = 0, left = 0;
    for (size_t i = 0; i < n; i++) {
      if (fold_of[i] == fold) {
        out[left++] = training->rows[i];
      } else {
        rows[kept] = training->rows[i];
        labels[kept++] = training->classes[i];
      }
    }
    if (left == 0) continue;
    al_training own = *training;
    own.rows = rows;
    own.classes = labels;
    own.n = kept;
    own.member = fold + 1;
    AL_TRY(p->type->fit(model, &own));
    AL_TRY(p->type->predict(model, out, left, &(al_prediction){.probs = part}));
    for (size_t i = 0, at = 0; i < n; i++)
      if (fold_of[i] == fold) memcpy(probs + i * classes, part + at++ * classes, classes * sizeof *probs);
  }
done:
  free(rows);
  free(labels);
  free(out);
  free(part);
  return status;
}

static double log_loss(const float *probs, const int32_t *classes, size_t n, size_t class_count) {
  double sum = 0.0;
  for (size_t i = 0; i < n; i++) {
    double q = (double)probs[i * class_count + (size_t)classes[i]];
    sum -= log(q < least_probability ? least_probability : q);
  }
  return sum / (double)n;
}

/* Chooses a candidate; each that has folds of its own is fitted on all rows on the way. */
static al_status tune(al_predictor *p, const al_training *training) {
  al_status status = AL_OK;
  uint8_t *fold_of = NULL;
  float *probs = NULL;
  size_t n = training->n, classes = p->source.dataset->classes;
  bool several = false;
  p->chosen = 0;
  p->loss = NAN;
  for (size_t i = 1; i < n; i++) several |= training->classes[i] != training->classes[0];
  if (n < LEAST_FOR_FOLDS || !several) return AL_OK;
  AL_TRY(AL_NEW(&fold_of, n));
  AL_TRY(AL_NEW(&probs, n * classes));
  al_deal_folds(training->classes, n, classes, FOLDS, fold_of);
  for (size_t i = 0; i < p->count; i++) {
    if (p->type->cross_validate != NULL) {
      AL_TRY(p->type->fit(p->candidates[i], training));
      AL_TRY(p->type->cross_validate(p->candidates[i], training, fold_of, FOLDS, probs));
    } else {
      AL_TRY(refit_folds(p, p->candidates[i], training, fold_of, probs));
    }
    double loss = log_loss(probs, training->classes, n, classes);
    if (i != 0 && !(loss < p->loss)) continue;
    p->loss = loss;
    p->chosen = i;
  }
done:
  free(fold_of);
  free(probs);
  return status;
}

/* ---- calibration ---- */

/* Derivative of the mean log loss of softmax(beta z) in beta: mean of E[z] - z_y. */
static double slope_at(double beta, const float *logits, const int32_t *classes, size_t n, size_t class_count,
                       size_t *used) {
  double sum = 0.0;
  *used = 0;
  for (size_t i = 0; i < n; i++) {
    const float *z = logits + i * class_count;
    double truth = (double)z[classes[i]], most = -INFINITY, total = 0.0, mean = 0.0;
    if (!isfinite(truth)) continue;
    for (size_t c = 0; c < class_count; c++) most = (double)z[c] > most ? (double)z[c] : most;
    for (size_t c = 0; c < class_count; c++) {
      if (!isfinite(z[c])) continue;
      double weight = exp(beta * ((double)z[c] - most));
      total += weight;
      mean += weight * ((double)z[c] - most);
    }
    sum += mean / total - (truth - most);
    (*used)++;
  }
  return sum;
}

static double fit_temperature(const float *logits, const int32_t *classes, size_t n, size_t class_count, size_t *used) {
  double low = 1.0 / widest, high = widest;
  double at_low = slope_at(low, logits, classes, n, class_count, used);
  if (*used == 0) return 1.0;
  if (at_low >= 0.0) return at_low == 0.0 ? 1.0 : 1.0 / low; /* all equal: nothing to say */
  if (slope_at(high, logits, classes, n, class_count, used) <= 0.0) return 1.0 / high;
  while (high - low > 1e-9) {
    double middle = 0.5 * (low + high);
    if (slope_at(middle, logits, classes, n, class_count, used) < 0.0)
      low = middle;
    else
      high = middle;
  }
  return 2.0 / (low + high);
}

double al_temperature(const float *logits, const int32_t *classes, size_t n, size_t class_count) {
  size_t used;
  return fit_temperature(logits, classes, n, class_count, &used);
}

static al_status calibrate(al_predictor *p, const al_training *training) {
  al_status status = AL_OK;
  size_t classes = p->source.dataset->classes;
  p->temperature = 1.0;
  p->calibrated_on = 0;
  p->head_scaled = false;
  if (!p->calibrate || training->holdout == 0) return AL_OK;
  AL_TRY(al_grow(&p->logits, &p->logit_capacity, training->holdout * classes, sizeof *p->logits));
  AL_TRY(p->type->predict(p->candidates[p->chosen], training->holdout_rows, training->holdout,
                          &(al_prediction){.logits = p->logits}));
  p->temperature = fit_temperature(p->logits, training->holdout_classes, training->holdout, classes, &p->calibrated_on);
done:
  return status;
}

al_status al_predictor_fit(al_predictor *p, const al_training *training) {
  al_status status = AL_OK;
  p->loss = NAN;
  if (p->count > 1) AL_TRY(tune(p, training));
  /* tuning by the model's own folds has fitted it already */
  if (isnan(p->loss) || p->type->cross_validate == NULL) AL_TRY(p->type->fit(p->candidates[p->chosen], training));
  AL_TRY(calibrate(p, training));
done:
  return status;
}

bool al_predictor_chained(const al_predictor *p) {
  return p->type->chained != NULL && p->type->chained(p->candidates[p->chosen]);
}

al_status al_predictor_save(const al_predictor *p, al_buffer *out) {
  return p->type->save(p->candidates[p->chosen], out);
}

al_status al_predictor_restore(al_predictor *p, const void *bytes, size_t size, const al_training *training,
                               bool *good) {
  al_status status = p->type->load(p->candidates[p->chosen], bytes, size, training->round, good);
  return status == AL_OK && *good ? calibrate(p, training) : status;
}

/* softmax(z / T) of n rows; a class at -inf has 0. */
static void cooled(const float *logits, size_t n, size_t classes, double temperature, float *probs) {
  for (size_t i = 0; i < n; i++) {
    const float *z = logits + i * classes;
    float *out = probs + i * classes;
    double most = -INFINITY, sum = 0.0;
    for (size_t c = 0; c < classes; c++) most = (double)z[c] > most ? (double)z[c] : most;
    for (size_t c = 0; c < classes; c++) sum += isfinite(z[c]) ? exp(((double)z[c] - most) / temperature) : 0.0;
    for (size_t c = 0; c < classes; c++)
      out[c] = isfinite(z[c]) ? (float)(exp(((double)z[c] - most) / temperature) / sum) : 0.0F;
  }
}

/* The same from probabilities, where no logits are had: p^(1/T), normalised. */
static void cooled_probs(float *probs, size_t n, size_t classes, double temperature) {
  for (size_t i = 0; i < n; i++) {
    float *out = probs + i * classes;
    double sum = 0.0;
    for (size_t c = 0; c < classes; c++) sum += out[c] > 0.0F ? pow((double)out[c], 1.0 / temperature) : 0.0;
    for (size_t c = 0; c < classes; c++)
      out[c] = out[c] > 0.0F ? (float)(pow((double)out[c], 1.0 / temperature) / sum) : 0.0F;
  }
}

al_status al_predictor_predict(al_predictor *p, const int32_t *rows, size_t n, const al_prediction *out) {
  al_status status;
  size_t classes = p->source.dataset->classes;
  al_prediction want = *out;
  bool calibrated = p->temperature != 1.0;
  if (calibrated && out->probs != NULL) {
    AL_TRY(al_grow(&p->logits, &p->logit_capacity, n * classes, sizeof *p->logits));
    if (want.logits == NULL) want.logits = p->logits;
    want.probs = NULL;
  }
  AL_TRY(p->type->predict(p->candidates[p->chosen], rows, n, &want));
  if (!calibrated) goto done;
  if (out->probs != NULL) cooled(want.logits, n, classes, p->temperature, out->probs);
  if (out->logits != NULL)
    for (size_t i = 0; i < n * classes; i++) out->logits[i] = (float)((double)out->logits[i] / p->temperature);
  if (out->mc != NULL) cooled_probs(out->mc, p->type->passes(p->candidates[p->chosen]) * n, classes, p->temperature);
done:
  return status;
}

al_status al_predictor_head(al_predictor *p, const float **weights, const float **bias, size_t *width) {
  al_status status;
  const float *w = NULL, *b = NULL;
  size_t classes = p->source.dataset->classes;
  AL_TRY(p->type->head(p->candidates[p->chosen], &w, &b, width));
  *weights = w;
  *bias = b;
  if (p->temperature == 1.0) goto done;
  if (!p->head_scaled) {
    AL_TRY(al_grow(&p->weights, &p->weight_capacity, classes * *width, sizeof *w));
    AL_TRY(al_grow(&p->bias, &p->bias_capacity, classes, sizeof *b));
    for (size_t i = 0; i < classes * *width; i++) p->weights[i] = (float)((double)w[i] / p->temperature);
    /* an absent class's -1e30 stays as far away as it is */
    for (size_t c = 0; c < classes; c++) p->bias[c] = b[c] <= -1e30F ? b[c] : (float)((double)b[c] / p->temperature);
    p->head_scaled = true;
  }
  *weights = p->weights;
  *bias = p->bias;
done:
  return status;
}

bool al_predictor_has_folds(const al_predictor *p) {
  return (p->type->gives & AL_GIVES_OOF) && p->type->cross_validate != NULL;
}

al_status al_predictor_cross_validate(al_predictor *p, const al_training *training, const uint8_t *fold_of,
                                      unsigned folds, float *probs) {
  al_status status = p->type->cross_validate(p->candidates[p->chosen], training, fold_of, folds, probs);
  if (status == AL_OK && p->temperature != 1.0)
    cooled_probs(probs, training->n, p->source.dataset->classes, p->temperature);
  return status;
}

size_t al_predictor_passes(const al_predictor *p) { return p->type->passes(p->candidates[p->chosen]); }

double al_predictor_l2(const al_predictor *p) {
  return p->type->l2 == NULL ? 1.0 : p->type->l2(p->candidates[p->chosen]);
}

const char *al_predictor_weights(const al_predictor *p) {
  return p->type->weights_hash == NULL ? NULL : p->type->weights_hash(p->candidates[0]);
}

const char *al_predictor_device(const al_predictor *p) {
  return p->type->device == NULL ? NULL : p->type->device(p->candidates[0]);
}

json_t *al_predictor_notes(const al_predictor *p) {
  json_t *notes = p->type->notes == NULL ? NULL : p->type->notes(p->candidates[p->chosen]);
  if (p->count == 1 && !p->calibrate) return notes;
  if (notes == NULL) notes = json_array();
  const char *chosen = json_string_value(json_array_get(p->chosen_text, p->chosen));
  if (p->count > 1 && isnan(p->loss))
    json_array_append_new(notes, json_sprintf("tuned: %s, the first candidate: fewer than %d labels or one class",
                                              chosen, LEAST_FOR_FOLDS));
  else if (p->count > 1)
    json_array_append_new(notes, json_sprintf("tuned: %s, log loss %.6g in %d folds", chosen, p->loss, FOLDS));
  if (p->calibrate)
    json_array_append_new(notes, json_sprintf("calibrated: temperature %.9g from %zu rows of the hold-out",
                                              p->temperature, p->calibrated_on));
  return notes;
}
