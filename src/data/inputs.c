/* What the linear model reads: TF-IDF rows, pixels in [0, 1], or columns. */
#include "data/features_private.h"

#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A name, or {"tfidf": {options}}; null = by kind. *options is set for TF-IDF: resolved, fresh. */
static al_status parse(const json_t *features, al_kind kind, const char *where, const char **name, json_t **options) {
  static const char *const by_kind[] = {[AL_TEXT] = "tfidf", [AL_IMAGE] = "pixels", [AL_TABULAR] = "columns"};
  static const char *const kinds[] = {[AL_TEXT] = "text", [AL_IMAGE] = "images", [AL_TABULAR] = "tables"};
  const json_t *given = NULL;
  *options = NULL;
  *name = by_kind[kind];
  if (json_is_string(features)) {
    *name = json_string_value(features);
  } else if (json_is_object(features) && json_object_size(features) == 1) {
    *name = json_object_iter_key(json_object_iter((json_t *)(uintptr_t)features));
    given = json_object_get(features, *name);
    if (strcmp(*name, "tfidf") != 0)
      return al_fail(AL_BAD_INPUT,
                     "%s.features: only tfidf takes options; give tfidf, pixels, columns or {frozen: WEIGHTS, ..}",
                     where);
  } else if (features != NULL && !json_is_null(features)) {
    return al_fail(AL_BAD_INPUT, "%s.features: give tfidf, pixels, columns, {tfidf: {options}} or {frozen: WEIGHTS}",
                   where);
  }
  bool known = false;
  for (size_t i = 0; i < 3; i++) known |= strcmp(*name, by_kind[i]) == 0;
  if (!known)
    return al_fail(AL_BAD_INPUT, "%s.features: unknown features '%s'; there are tfidf, pixels and columns", where,
                   *name);
  if (strcmp(*name, by_kind[kind]) != 0)
    return al_fail(AL_BAD_INPUT, "%s.features: %s do not exist for %s", where, *name, kinds[kind]);
  if (strcmp(*name, "tfidf") != 0) return AL_OK;
  char inner[256];
  snprintf(inner, sizeof inner, "%s.features.tfidf", where);
  return al_params_resolve(options, al_tfidf_params, given, inner);
}

al_status al_input_check(const json_t *features, al_kind kind, const char *where) {
  const char *name;
  json_t *options = NULL;
  al_status status = parse(features, kind, where, &name, &options);
  json_decref(options);
  return status;
}

/* Row by row, so that memory holds one row whatever the set's size. */
static al_status open_pixels(al_features **out, const al_dataset *dataset) {
  al_status status;
  char key[33];
  float *values = NULL;
  al_store_writer *writer = NULL;
  size_t width = dataset->channels * dataset->height * dataset->width;
  AL_TRY(al_feature_key(key, "pixels", dataset->digest, NULL));
  AL_TRY(al_features_cached(out, "pixels", key));
  if (*out != NULL) goto done;
  AL_TRY(AL_NEW(&values, width));
  AL_TRY(al_store_create(&writer, "pixels", key));
  AL_TRY(al_store_begin(writer, "values", sizeof *values));
  for (size_t row = 0; row < dataset->rows; row++) {
    for (size_t i = 0; i < width; i++) values[i] = (float)dataset->pixels[row * width + i] / 255.0F;
    AL_TRY(al_store_append(writer, values, width));
  }
  status = al_features_finish(out, "pixels", key, writer, dataset->rows, width, false);
  writer = NULL;
done:
  al_store_abandon(writer);
  free(values);
  return status;
}

/* Two passes over the train rows, then one over all; memory for one row. */
static al_status standardise(al_features **out, const al_view *all, const al_split *split, const char key[33]) {
  al_status status;
  float *values = NULL;
  double *mean = NULL, *deviation = NULL;
  float *constant = NULL; /* width: the train part's one value, NaN when it has several */
  al_store_writer *writer = NULL;
  size_t width = all->cols;
  AL_TRY(al_features_cached(out, "standardised", key));
  if (*out != NULL) goto done;
  AL_TRY(AL_NEW(&values, width));
  AL_TRY(AL_NEW(&constant, width));
  AL_TRY(AL_NEW(&mean, width));
  AL_TRY(AL_NEW(&deviation, width));
  double n = (double)split->train_size;
  for (size_t i = 0; i < split->train_size; i++) {
    al_view_row(all, (size_t)split->train[i], values);
    for (size_t c = 0; c < width; c++) {
      mean[c] += (double)values[c];
      if (i == 0)
        constant[c] = values[c];
      else if (values[c] != constant[c])
        constant[c] = NAN;
    }
  }
  for (size_t c = 0; c < width; c++) mean[c] /= n;
  for (size_t i = 0; i < split->train_size; i++) {
    al_view_row(all, (size_t)split->train[i], values);
    for (size_t c = 0; c < width; c++) {
      double difference = (double)values[c] - mean[c];
      deviation[c] += difference * difference / n;
    }
  }
  for (size_t c = 0; c < width; c++) {
    /* asked of the values, since a constant's mean and deviation are off by rounding */
    if (!isnan(constant[c])) mean[c] = (double)constant[c];
    deviation[c] = isnan(constant[c]) ? sqrt(deviation[c]) : 1.0;
  }
  AL_TRY(al_store_create(&writer, "standardised", key));
  AL_TRY(al_store_begin(writer, "values", sizeof *values));
  for (size_t row = 0; row < all->rows; row++) {
    al_view_row(all, row, values);
    for (size_t c = 0; c < width; c++) values[c] = (float)(((double)values[c] - mean[c]) / deviation[c]);
    AL_TRY(al_store_append(writer, values, width));
  }
  status = al_features_finish(out, "standardised", key, writer, all->rows, width, false);
  writer = NULL;
done:
  al_store_abandon(writer);
  free(values);
  free(constant);
  free(mean);
  free(deviation);
  return status;
}

al_status al_standardised_open(al_features **out, const al_dataset *dataset, const al_split *split) {
  char key[33];
  al_status status = al_feature_key(key, "standardised", split->digest, NULL);
  return status == AL_OK ? standardise(out, &dataset->columns, split, key) : status;
}

al_status al_features_standardise(al_features **out, const al_features *all, const al_split *split) {
  char key[33];
  json_t *of = json_pack("{s:s}", "of", all->digest);
  al_status status = al_feature_key(key, "standardised", split->digest, of);
  json_decref(of);
  return status == AL_OK ? standardise(out, &all->view, split, key) : status;
}

/* CSR columns as they are: centring would fill them. */
static al_status open_sparse(al_features **out, const al_dataset *dataset) {
  al_features *features = NULL;
  al_status status = AL_NEW(&features, 1);
  if (status != AL_OK) return status;
  features->view = dataset->columns;
  memcpy(features->digest, dataset->digest, sizeof features->digest);
  *out = features;
  return AL_OK;
}

al_status al_input_open(al_features **out, const al_dataset *dataset, const al_split *split, const json_t *features,
                        const char *where) {
  const char *name;
  json_t *options = NULL;
  *out = NULL;
  al_status status = parse(features, dataset->kind, where, &name, &options);
  if (status != AL_OK) return status;
  if (dataset->kind == AL_TEXT)
    status = al_tfidf_open(out, dataset, split, options);
  else if (dataset->kind == AL_IMAGE)
    status = open_pixels(out, dataset);
  else if (dataset->columns.kind == AL_VIEW_CSR)
    status = open_sparse(out, dataset);
  else
    status = al_standardised_open(out, dataset, split);
  json_decref(options);
  return status;
}
