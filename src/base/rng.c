/* Philox streams. The key hash covers every field with its length, so that no two keys can run together. */
#include "base/rng.h"

#include <Random123/philox.h>
#include <assert.h>
#include <math.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

static void feed_string(XXH3_state_t *state, const char *text) {
  uint64_t length = text == NULL ? UINT64_MAX : strlen(text);
  XXH3_128bits_update(state, &length, sizeof length);
  if (text != NULL) XXH3_128bits_update(state, text, (size_t)length);
}

al_rng al_rng_open(const al_stream_key *key) {
  assert(key->purpose != NULL && key->dataset != NULL);
  XXH3_state_t state;
  XXH3_128bits_reset(&state);
  XXH3_128bits_update(&state, &key->seed, sizeof key->seed);
  feed_string(&state, key->purpose);
  feed_string(&state, key->dataset);
  feed_string(&state, key->strategy);
  uint32_t numbers[3] = {key->replicate, key->round, key->index};
  XXH3_128bits_update(&state, numbers, sizeof numbers);
  XXH128_hash_t hash = XXH3_128bits_digest(&state);
  return (al_rng){.key = {hash.low64, hash.high64}, .used = 4};
}

al_rng al_rng_child(const al_rng *rng, uint64_t index) {
  uint64_t input[3] = {rng->key[0], rng->key[1], index};
  XXH128_hash_t hash = XXH3_128bits_withSeed(input, sizeof input, 0x616c6162 /* "alab" */);
  return (al_rng){.key = {hash.low64, hash.high64}, .used = 4};
}

static void philox(const uint64_t key[2], uint64_t c0, uint64_t c1, uint64_t c2, uint64_t out[4]) {
  philox4x64_ctr_t counter = {{c0, c1, c2, 0}};
  philox4x64_key_t philox_key = {{key[0], key[1]}};
  philox4x64_ctr_t block = philox4x64(counter, philox_key);
  memcpy(out, block.v, sizeof block.v);
}

uint64_t al_rng_u64(al_rng *rng) {
  if (rng->used == 4) {
    philox(rng->key, rng->counter++, 0, 0, rng->block);
    rng->used = 0;
  }
  return rng->block[rng->used++];
}

static double to_unit(uint64_t word) { return (double)(word >> 11) * 0x1p-53; }

double al_rng_uniform(al_rng *rng) { return to_unit(al_rng_u64(rng)); }

/* Rejection of the incomplete last interval (Lemire 2019 without the multiplication trick: clarity over a division). */
uint64_t al_rng_below(al_rng *rng, uint64_t n) {
  assert(n > 0);
  uint64_t threshold = (UINT64_MAX - n + 1) % n; /* 2^64 mod n */
  uint64_t word;
  do word = al_rng_u64(rng);
  while (word < threshold);
  return word % n;
}

double al_rng_normal(al_rng *rng) {
  double radius = sqrt(-2.0 * log1p(-al_rng_uniform(rng)));
  return radius * cos(6.283185307179586476925286766559 * al_rng_uniform(rng));
}

void al_rng_shuffle(al_rng *rng, int32_t *items, size_t n) {
  for (size_t i = n; i > 1; i--) {
    size_t j = (size_t)al_rng_below(rng, i);
    int32_t keep = items[i - 1];
    items[i - 1] = items[j];
    items[j] = keep;
  }
}

void al_rng_sample(al_rng *rng, int32_t *items, size_t n, size_t k) {
  assert(k <= n);
  for (size_t i = 0; i < k; i++) {
    size_t j = i + (size_t)al_rng_below(rng, n - i);
    int32_t keep = items[i];
    items[i] = items[j];
    items[j] = keep;
  }
}

double al_rng_at(const al_rng *rng, uint64_t row, uint64_t question) {
  uint64_t block[4];
  philox(rng->key, row, question, 1, block); /* word 2 of the counter keeps these apart from sequential draws */
  return to_unit(block[0]);
}

size_t al_rng_pick(const double *weights, size_t n, double total, double u) {
  double target = u * total, sum = 0.0;
  size_t last = 0;
  for (size_t i = 0; i < n; i++) {
    if (weights[i] <= 0.0) continue;
    sum += weights[i];
    last = i;
    if (sum > target) return i;
  }
  return last; /* rounding left the target at the very end */
}

uint64_t al_rng_seed(const al_stream_key *key) {
  al_rng rng = al_rng_open(key);
  return al_rng_u64(&rng);
}

static void gsl_set(void *state, unsigned long seed) {
  al_rng *rng = state;
  *rng = (al_rng){.key = {seed, 0}, .used = 4};
}
static unsigned long gsl_get(void *state) { return (unsigned long)al_rng_u64(state); }
static double gsl_get_double(void *state) { return al_rng_uniform(state); }

static const gsl_rng_type philox_type = {
    .name = "alab-philox4x64",
    .max = UINT64_MAX,
    .min = 0,
    .size = sizeof(al_rng),
    .set = gsl_set,
    .get = gsl_get,
    .get_double = gsl_get_double,
};
const gsl_rng_type *const al_rng_gsl = &philox_type;
