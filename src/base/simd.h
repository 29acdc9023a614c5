/* AL_SIMD in front of a function: one clone a vector width, chosen at load time, so that the baseline build runs
 * everywhere and uses what the CPU has. Sums are spread over AL_LANES fixed partial sums and added up in a fixed order,
 * and ISO C keeps the compiler from fusing products into sums, so that all clones of C code give the same bits.
 * torch/kernels.cpp is GNU C++, where GCC does fuse them in the clones for v3 and v4, which have FMA: these round other
 * than the default clone, as the clones of BLAS and libm may. */
#ifndef AL_BASE_SIMD_H
#define AL_BASE_SIMD_H

#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define AL_SIMD __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define AL_SIMD
#endif

enum { AL_LANES = 16 };

/* Vectors of the compiler's extension; loads need no alignment. They are never passed or returned (no ABI for that). */
typedef float al_float16 __attribute__((vector_size(64), aligned(4), may_alias));
typedef float al_float8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef float al_float4 __attribute__((vector_size(16), aligned(4), may_alias));

typedef int32_t al_int16 __attribute__((vector_size(64), aligned(4), may_alias));
typedef uint32_t al_unsigned16 __attribute__((vector_size(64), aligned(4), may_alias));

/* Halves onto each other until one is left. */
static inline float al_sum16(const al_float16 *lanes) {
  const al_float8 *halves = (const al_float8 *)lanes;
  al_float8 eight = halves[0] + halves[1];
  const al_float4 *quarters = (const al_float4 *)&eight;
  al_float4 four = quarters[0] + quarters[1];
  return (four[0] + four[2]) + (four[1] + four[3]);
}

/* The sum of x in float32: of a few hundred, not of thousands. */
static inline float al_sum(const float *x, size_t n) {
  al_float16 sums = {0.0F};
  al_float4 few = {0.0F};
  float rest = 0.0F;
  size_t i = 0;
  for (; i + AL_LANES <= n; i += AL_LANES) sums += *(const al_float16 *)(x + i);
  for (; i + 4 <= n; i += 4) few += *(const al_float4 *)(x + i);
  for (; i < n; i++) rest += x[i];
  return al_sum16(&sums) + ((few[0] + few[2]) + (few[1] + few[3])) + rest;
}

/* |x - y|^2 in float32; inline, so that it is part of the clones of whoever calls it. Sixteen, then four, then one. */
static inline float al_squared_gap(const float *x, const float *y, size_t n) {
  al_float16 sums = {0.0F};
  al_float4 few = {0.0F};
  float rest = 0.0F;
  size_t i = 0;
  for (; i + AL_LANES <= n; i += AL_LANES) {
    al_float16 gap = *(const al_float16 *)(x + i) - *(const al_float16 *)(y + i);
    sums += gap * gap;
  }
  for (; i + 4 <= n; i += 4) {
    al_float4 gap = *(const al_float4 *)(x + i) - *(const al_float4 *)(y + i);
    few += gap * gap;
  }
  for (; i < n; i++) rest += (x[i] - y[i]) * (x[i] - y[i]);
  return al_sum16(&sums) + ((few[0] + few[2]) + (few[1] + few[3])) + rest;
}

/* x.y in float32. */
static inline float al_product(const float *x, const float *y, size_t n) {
  al_float16 sums = {0.0F};
  al_float4 few = {0.0F};
  float rest = 0.0F;
  size_t i = 0;
  for (; i + AL_LANES <= n; i += AL_LANES) sums += *(const al_float16 *)(x + i) * *(const al_float16 *)(y + i);
  for (; i + 4 <= n; i += 4) few += *(const al_float4 *)(x + i) * *(const al_float4 *)(y + i);
  for (; i < n; i++) rest += x[i] * y[i];
  return al_sum16(&sums) + ((few[0] + few[2]) + (few[1] + few[3])) + rest;
}

#endif
