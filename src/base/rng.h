/* Random streams. There is no global generator: a stream is a value, keyed by what it is for.
 *
 * Philox4x64-10 (Salmon et al. 2011, Random123) under a 128-bit key that is the XXH3-128 of the stream's key fields.
 * Adding a strategy or a dataset changes nobody's draws; drawing more from one stream changes no other. */
#ifndef AL_BASE_RNG_H
#define AL_BASE_RNG_H

#include <gsl/gsl_rng.h>
#include <stddef.h>
#include <stdint.h>

/* What a stream is for. `purpose` and `dataset` are never NULL; a field that does not apply is left at its zero
 * (strategy NULL, round and index 0). `strategy` is the registry name, never the label. What is drawn once a study
 * has replicate 0. Rounds in a key are counted from 0. */
typedef struct al_stream_key {
  uint64_t seed; /* the study's master seed */
  const char *purpose, *dataset, *strategy;
  uint32_t replicate, round, index /* fold, ensemble member, ... */;
} al_stream_key;

typedef struct al_rng {
  uint64_t key[2], counter, block[4];
  unsigned used; /* words of `block` already given; 4 = empty */
} al_rng;

al_rng al_rng_open(const al_stream_key *key);
/* A stream of its own, derived from this one's key (not its position): for sub-tasks that draw independently. */
al_rng al_rng_child(const al_rng *rng, uint64_t index);

uint64_t al_rng_u64(al_rng *rng);
double al_rng_uniform(al_rng *rng);                         /* [0, 1), 53 bits */
uint64_t al_rng_below(al_rng *rng, uint64_t n);             /* 0 .. n-1, unbiased; n > 0 */
double al_rng_normal(al_rng *rng);                          /* Box-Muller, two words a draw, cosine branch */
void al_rng_shuffle(al_rng *rng, int32_t *items, size_t n); /* Fisher-Yates from the end */
/* k distinct items to the front of `items` (n of them), in drawing order: the first k steps of a Fisher-Yates. */
void al_rng_sample(al_rng *rng, int32_t *items, size_t n, size_t k);
/* Draw number `question` about item `row`, in [0, 1), whatever was drawn before: the (row, n-th question) counter. */
double al_rng_at(const al_rng *rng, uint64_t row, uint64_t question);
/* Index i with cumulative weight > u * total, u in [0, 1), by inverse CDF in index order; weights >= 0, total > 0.
 * O(n), sums in double. */
size_t al_rng_pick(const double *weights, size_t n, double total, double u);

/* The same generator for GSL's distributions: gsl_rng_alloc(al_rng_gsl), then copy a stream into gsl_rng_state. */
extern const gsl_rng_type *const al_rng_gsl;

/* The 64-bit seed that torch's generator gets from a stream. */
uint64_t al_rng_seed(const al_stream_key *key);

#endif
