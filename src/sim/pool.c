/* Drawing pools, hold-outs and evaluation samples. Every draw has a stream of its own, so that adding a hold-out does
 * not change the pool and a larger pool does not change the test sample. */
#include "sim/pool.h"

#include "base/memory.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static al_rng stream(const char *purpose, const al_dataset *dataset, uint64_t seed, uint32_t replicate) {
  al_stream_key key = {.seed = seed, .purpose = purpose, .dataset = dataset->name, .replicate = replicate};
  return al_rng_open(&key);
}

static int ascending(const void *a, const void *b) {
  int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
  return (x > y) - (x < y);
}

bool al_pool_is_fixed(const json_t *entry) {
  const json_t *pool = json_object_get(entry, "pool");
  const json_t *per = json_object_get(json_object_get(entry, "split"), "per");
  bool split_moves = json_is_string(per) && strcmp(json_string_value(per), "replicate") == 0;
  return !split_moves && !(json_is_number(pool) && json_number_value(pool) < 1.0);
}

size_t al_pool_whole_size(const json_t *entry, size_t available) {
  const json_t *pool = json_object_get(entry, "pool");
  double value = json_is_number(pool) ? json_number_value(pool) : (double)available;
  if (value < 1.0) value = floor(value * (double)available);
  return value < (double)available ? (size_t)value : available;
}

static al_status pool_size(size_t *size, const json_t *entry, size_t available, const char *where) {
  const json_t *pool = json_object_get(entry, "pool");
  double value = json_number_value(pool); /* 0 where there is none */
  *size = al_pool_whole_size(entry, available);
  if (*size == 0) return al_fail(AL_BAD_INPUT, "%s.pool: a share of %g of %zu rows is no row", where, value, available);
  if (value > (double)available)
    return al_fail(AL_BAD_INPUT, "%s.pool: %.0f rows asked, but the train part has %zu; give a smaller pool", where,
                   value, available);
  return AL_OK;
}

al_status al_pool_make(al_pool *out, const al_dataset *dataset, const al_split *split, const json_t *entry,
                       size_t holdout, uint64_t seed, uint32_t replicate, const char *where) {
  al_status status;
  int32_t *rows = NULL;
  size_t size = 0;
  *out = (al_pool){0};
  AL_TRY(pool_size(&size, entry, split->train_size, where));
  if (holdout >= size) {
    status =
        al_fail(AL_BAD_INPUT, "holdout.size: %zu rows asked, but the pool of %s has %zu", holdout, dataset->name, size);
    goto done;
  }
  AL_TRY(AL_NEW(&rows, split->train_size));
  memcpy(rows, split->train, split->train_size * sizeof *rows);
  if (size < split->train_size) {
    al_rng rng = stream("pool", dataset, seed, al_pool_is_fixed(entry) ? 0 : replicate);
    al_rng_sample(&rng, rows, split->train_size, size);
    qsort(rows, size, sizeof *rows, ascending);
  }
  AL_TRY(AL_NEW(&out->whole, size));
  memcpy(out->whole, rows, size * sizeof *rows);
  out->whole_size = size;
  al_rng rng = stream("holdout", dataset, seed, replicate);
  al_rng_sample(&rng, rows, size, holdout);
  AL_TRY(AL_NEW(&out->holdout, holdout));
  memcpy(out->holdout, rows, holdout * sizeof *rows);
  out->holdout_size = holdout;
  out->size = size - holdout;
  AL_TRY(AL_NEW(&out->start, out->size));
  memcpy(out->start, rows + holdout, out->size * sizeof *rows);
  /* from row order, so that the hold-out's swaps leave no trace in the pool's order */
  qsort(out->start, out->size, sizeof *rows, ascending);
  rng = stream("order", dataset, seed, replicate);
  al_rng_shuffle(&rng, out->start, out->size);
done:
  free(rows);
  if (status != AL_OK) al_pool_free(out);
  return status;
}

void al_pool_free(al_pool *pool) {
  free(pool->start);
  free(pool->holdout);
  free(pool->whole);
  *pool = (al_pool){0};
}

typedef struct {
  double remainder;
  size_t class;
} share;

static int by_remainder(const void *a, const void *b) {
  const share *x = a, *y = b;
  if (x->remainder != y->remainder) return x->remainder > y->remainder ? -1 : 1;
  return x->class < y->class ? -1 : 1;
}

/* quota[c]: how many of k fall to class c; never more than the class has, since k <= n. */
static al_status quotas(size_t *quota, const size_t *count, size_t classes, size_t k, size_t n) {
  share *shares = NULL;
  al_status status = AL_NEW(&shares, classes);
  if (status != AL_OK) return status;
  size_t given = 0;
  for (size_t c = 0; c < classes; c++) {
    /* k * count / n in integers: no rounding decides who gets the rest */
    unsigned __int128 product = (unsigned __int128)k * count[c];
    quota[c] = (size_t)(product / n);
    shares[c] = (share){(double)(size_t)(product % n), c};
    given += quota[c];
  }
  qsort(shares, classes, sizeof *shares, by_remainder);
  for (size_t i = 0; given < k; i++, given++) quota[shares[i].class]++;
  free(shares);
  return AL_OK;
}

al_status al_stratified_positions(int32_t *positions, size_t k, const al_dataset *dataset, const int32_t *rows,
                                  size_t n, al_rng rng) {
  al_status status;
  size_t *count = NULL, *quota = NULL, taken = 0;
  int32_t *order = NULL;
  assert(k <= n);
  AL_TRY(AL_NEW(&count, dataset->classes));
  AL_TRY(AL_NEW(&quota, dataset->classes));
  AL_TRY(AL_NEW(&order, n));
  for (size_t i = 0; i < n; i++) {
    count[al_dataset_label(dataset, rows[i])]++;
    order[i] = (int32_t)i;
  }
  AL_TRY(quotas(quota, count, dataset->classes, k, n));
  al_rng_shuffle(&rng, order, n);
  for (size_t i = 0; i < n && taken < k; i++) {
    size_t *left = &quota[al_dataset_label(dataset, rows[order[i]])];
    if (*left == 0) continue;
    (*left)--;
    positions[taken++] = order[i];
  }
  qsort(positions, k, sizeof *positions, ascending);
done:
  free(count);
  free(quota);
  free(order);
  return status;
}

al_status al_evaluation_rows(int32_t **rows, size_t *n, const al_dataset *dataset, const al_split *split, size_t sample,
                             uint64_t seed, const char *where) {
  al_status status;
  *rows = NULL;
  *n = split->test_size;
  if (split->test_size == 0) {
    status =
        al_fail(AL_BAD_INPUT, "%s: the dataset has no test rows to evaluate on; give it a test part or a split", where);
    goto done;
  }
  if (sample > split->test_size) {
    status = al_fail(AL_BAD_INPUT, "evaluate.sample: %zu rows asked, but %s has %zu test rows; 0 takes them all",
                     sample, dataset->name, split->test_size);
    goto done;
  }
  if (sample != 0) *n = sample;
  AL_TRY(AL_NEW(rows, *n));
  if (sample == 0) {
    memcpy(*rows, split->test, *n * sizeof **rows);
    goto done;
  }
  AL_TRY(al_stratified_positions(*rows, sample, dataset, split->test, split->test_size,
                                 stream("evaluate", dataset, seed, 0)));
  for (size_t i = 0; i < *n; i++) (*rows)[i] = split->test[(*rows)[i]];
done:
  if (status != AL_OK) {
    free(*rows);
    *rows = NULL;
  }
  return status;
}
