/* ln and exp without branches or tables, so that a loop over them becomes vector code where libm's calls stay scalar:
 * the exponent is taken apart in integers, the rest is a polynomial. Plain C with no -ffast-math; the bits are the same
 * for every vector width. Each says on which arguments it holds, and how closely; tests/unit/base_vector_math.c checks
 * that. Write the loop over elements alone and sum afterwards: what is inside a loop over a few lanes gets unrolled,
 * and is not vectorised then. */
#ifndef AL_BASE_VECTOR_MATH_H
#define AL_BASE_VECTOR_MATH_H

#include <stdint.h>
#include <string.h>

/* The larger of x and `least` > 0, compared as integers: a comparison of floats would become a jump. x is not NaN. */
static inline float al_at_least_f32(float x, float least) {
  int32_t bits, floor;
  memcpy(&bits, &x, sizeof bits);
  memcpy(&floor, &least, sizeof floor);
  bits = bits > floor ? bits : floor;
  memcpy(&x, &bits, sizeof bits);
  return x;
}

static inline double al_at_least_f64(double x, double least) {
  int64_t bits, floor;
  memcpy(&bits, &x, sizeof bits);
  memcpy(&floor, &least, sizeof floor);
  bits = bits > floor ? bits : floor;
  memcpy(&x, &bits, sizeof bits);
  return x;
}

/* ln x for x in [1e-37, 1e37]; |error| < 1.5e-7 + 1.5e-7 |ln x|, and of x ln x below 3e-7 for x <= 2. The atanh series
 * of a mantissa in [sqrt(1/2), sqrt(2)). */
static inline float al_log_f32(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  uint32_t shifted = bits - 0x3F3504F3U; /* sqrt(1/2) */
  int32_t exponent = (int32_t)shifted >> 23;
  uint32_t mantissa_bits = bits - ((uint32_t)exponent << 23);
  float m;
  memcpy(&m, &mantissa_bits, sizeof m);
  float s = (m - 1.0F) / (m + 1.0F), z = s * s;
  float series = s * (2.0F + z * (0.666666687F + z * (0.400000006F + z * (0.285714f + z * 0.2222222F))));
  return (float)exponent * 0.693147181F + series;
}

/* ln x for normal x > 0; |error| < 4e-16 + 2e-16 |ln x|. The same series to z^9, whose rest is below 1e-17; ln 2 in two
 * parts, the first with enough zeros behind it for its product with the exponent to be exact. */
static inline double al_log_f64(double x) {
  uint64_t bits, shifted, mantissa_bits, exponent_bits;
  memcpy(&bits, &x, sizeof bits);
  shifted = bits + (0x3FF0000000000000U - 0x3FE6A09E667F3BCDU); /* 1 over sqrt(1/2), in the exponent's field */
  mantissa_bits = bits - (shifted & 0xFFF0000000000000U) + 0x3FF0000000000000U;
  exponent_bits =
      (shifted >> 52) | 0x4330000000000000U; /* 2^52 + exponent: 64-bit integers have no vector conversion */
  double m, exponent;
  memcpy(&m, &mantissa_bits, sizeof m);
  memcpy(&exponent, &exponent_bits, sizeof exponent);
  exponent -= 4503599627370496.0 + 1023.0;
  double s = (m - 1.0) / (m + 1.0), z = s * s;
  double rest = 2.0 / 15 + z * (2.0 / 17 + z * (2.0 / 19));
  rest = 2.0 / 9 + z * (2.0 / 11 + z * (2.0 / 13 + z * rest));
  rest = z * (2.0 / 3 + z * (2.0 / 5 + z * (2.0 / 7 + z * rest)));
  return exponent * 0x1.62e42fefa3800p-1 + (exponent * 0x1.ef35793c76730p-45 + (2.0 * s + s * rest));
}

/* e^x for x <= 700, 0 below -700; relative error < 4e-16. x = k ln 2 + r, |r| <= ln 2 / 2, and Taylor's series of e^r
 * to r^13. */
static inline double al_exp_f64(double x) {
  double within = x > -700.0 ? x : -700.0;
  double shifter = within * 0x1.71547652b82fep+0 + 0x1.8p52; /* k lies in the low bits */
  double k = shifter - 0x1.8p52;
  double r = (within - k * 0x1.62e42fefa3800p-1) - k * 0x1.ef35793c76730p-45;
  double series = 1.0 / 3628800 + r * (1.0 / 39916800 + r * (1.0 / 479001600 + r * (1.0 / 6227020800)));
  series = 1.0 / 5040 + r * (1.0 / 40320 + r * (1.0 / 362880 + r * series));
  series = 1.0 / 24 + r * (1.0 / 120 + r * (1.0 / 720 + r * series));
  series = 1.0 + (r + r * r * (0.5 + r * (1.0 / 6 + r * series)));
  uint64_t bits;
  memcpy(&bits, &shifter, sizeof bits);
  bits = (bits + 1023) << 52;
  double power;
  memcpy(&power, &bits, sizeof power);
  return x >= -700.0 ? series * power : 0.0;
}

#endif
