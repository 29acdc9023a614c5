/* Train and test rows: the official split, or a stratified draw. */
#include "base/memory.h"
#include "data/dataset.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

typedef struct {
  double remainder;
  size_t class;
} share;

static int by_remainder(const void *a, const void *b) {
  const share *x = a, *y = b;
  if (x->remainder != y->remainder) return x->remainder > y->remainder ? -1 : 1;
  return x->class < y->class ? -1 : 1;
}

/* quota[c]: test rows of class c, by largest remainder, summing to round(test x rows). */
static al_status test_quotas(size_t *quota, const al_dataset *dataset, double test) {
  al_status status;
  share *shares = NULL;
  size_t *count = NULL, given = 0, wanted = (size_t)llround(test * (double)dataset->rows);
  AL_TRY(AL_NEW(&shares, dataset->classes));
  AL_TRY(AL_NEW(&count, dataset->classes));
  for (size_t row = 0; row < dataset->rows; row++) count[al_dataset_label(dataset, (int32_t)row)]++;
  for (size_t c = 0; c < dataset->classes; c++) {
    double exact = (double)wanted * (double)count[c] / (double)dataset->rows;
    quota[c] = (size_t)floor(exact);
    shares[c] = (share){exact - floor(exact), c};
    given += quota[c];
  }
  qsort(shares, dataset->classes, sizeof *shares, by_remainder);
  for (size_t i = 0; given < wanted; i = i + 1 < dataset->classes ? i + 1 : 0)
    if (quota[shares[i].class] < count[shares[i].class]) {
      quota[shares[i].class]++;
      given++;
    }
done:
  free(shares);
  free(count);
  return status;
}

static al_status draw(al_split *out, const al_dataset *dataset, double test, al_rng rng) {
  al_status status;
  size_t *quota = NULL;
  int32_t *order = NULL;
  bool *is_test = NULL;
  AL_TRY(AL_NEW(&quota, dataset->classes));
  AL_TRY(AL_NEW(&order, dataset->rows));
  AL_TRY(AL_NEW(&is_test, dataset->rows));
  AL_TRY(test_quotas(quota, dataset, test));
  for (size_t row = 0; row < dataset->rows; row++) order[row] = (int32_t)row;
  al_rng_shuffle(&rng, order, dataset->rows);
  for (size_t i = 0; i < dataset->rows; i++) {
    size_t *left = &quota[al_dataset_label(dataset, order[i])];
    if (*left == 0) continue;
    (*left)--;
    is_test[order[i]] = true;
  }
  for (size_t row = 0; row < dataset->rows; row++) {
    if (is_test[row])
      out->test[out->test_size++] = (int32_t)row;
    else
      out->train[out->train_size++] = (int32_t)row;
  }
done:
  free(quota);
  free(order);
  free(is_test);
  return status;
}

al_status al_split_make(al_split *out, const al_dataset *dataset, const json_t *spec, al_rng rng) {
  al_status status;
  *out = (al_split){0};
  AL_TRY(AL_NEW(&out->train, dataset->rows));
  AL_TRY(AL_NEW(&out->test, dataset->rows));
  if (dataset->train_rows < dataset->rows) {
    for (size_t row = 0; row < dataset->rows; row++) {
      if (row < dataset->train_rows)
        out->train[out->train_size++] = (int32_t)row;
      else
        out->test[out->test_size++] = (int32_t)row;
    }
  } else {
    const json_t *split = json_object_get(spec, "split");
    AL_TRY(draw(out, dataset, al_params_real(split, "test"), rng));
  }
  XXH3_state_t state;
  XXH3_128bits_reset(&state);
  XXH3_128bits_update(&state, dataset->digest, sizeof dataset->digest);
  XXH3_128bits_update(&state, out->train, out->train_size * sizeof *out->train);
  XXH3_128bits_update(&state, out->test, out->test_size * sizeof *out->test);
  XXH128_hash_t hash = XXH3_128bits_digest(&state);
  snprintf(out->digest, sizeof out->digest, "%016llx%016llx", (unsigned long long)hash.high64,
           (unsigned long long)hash.low64);
done:
  if (status != AL_OK) al_split_free(out);
  return status;
}

void al_split_free(al_split *split) {
  free(split->train);
  free(split->test);
  *split = (al_split){0};
}
