// Plain loops that the compiler vectorises, a clone a vector width (base/simd.h). Nothing here allocates.
#include "torch/kernels.hpp"

#include "base/simd.h"

#include <Random123/philox.h>
#include <cmath>
#include <cstring>

#define INLINE static inline __attribute__((always_inline))

namespace kernels {

void dropout_stream::fill(uint8_t *mask, size_t n, double rate) {
  const uint16_t threshold = static_cast<uint16_t>(std::lround(rate * 65536.0));
  philox4x64_key_t key = {{seed, 0x64726f70 /* "drop" */}};
  for (size_t i = 0; i < n; i += 16) {
    philox4x64_ctr_t counter = {{used++, 0, 0, 0}};
    philox4x64_ctr_t block = philox4x64(counter, key);
    uint16_t words[16];
    std::memcpy(words, block.v, sizeof words);
    uint8_t keep[16];
    for (int l = 0; l < 16; l++) keep[l] = words[l] >= threshold;
    std::memcpy(mask + i, keep, n - i < 16 ? n - i : 16);
  }
}

// The order is fixed, so that the sum is.
INLINE float sum16(const float *s) {
  float a[8], b[4];
  for (int i = 0; i < 8; i++) a[i] = s[i] + s[i + 8];
  for (int i = 0; i < 4; i++) b[i] = a[i] + a[i + 4];
  return (b[0] + b[2]) + (b[1] + b[3]);
}

// exp for y <= 0 to 2 units in the last place; below -87 the smallest value it gives.
INLINE float exp_negative(float y) {
  y = y < -87.0F ? -87.0F : y;
  float shifted = y * 1.44269504F + 12582912.0F; // round to nearest by losing the fraction
  int32_t bits;
  std::memcpy(&bits, &shifted, 4);
  float n = shifted - 12582912.0F, r = y - n * 0.693359375F + n * 2.12194440e-4F;
  float p = 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * r * r + r + 1.0F;
  int32_t power = (bits - 0x4b400000 + 127) << 23;
  float two;
  std::memcpy(&two, &power, 4);
  return p * two;
}

// Eight numbers as one value: the compiler keeps sums over lanes in registers, where it adds those of an array one by
// one. Of sixteen lanes the first eight are [0].
using eight = al_float8;
typedef uint8_t bytes8 __attribute__((vector_size(8), aligned(1), may_alias));
typedef int32_t int8lanes __attribute__((vector_size(32)));
INLINE eight *at(float *x) { return reinterpret_cast<eight *>(x); }
INLINE const eight *at(const float *x) { return reinterpret_cast<const eight *>(x); }
INLINE float sum_of(const eight *s) {
  const eight both = s[0] + s[1];
  const al_float4 *half = reinterpret_cast<const al_float4 *>(&both), four = half[0] + half[1];
  return (four[0] + four[2]) + (four[1] + four[3]);
}

AL_SIMD void norm_forward(const float *residual, const float *a, const float *bias, const uint8_t *mask, float scale,
                          const float *weight, const float *shift, float *y, float *normal, float *rstd, size_t n,
                          size_t D) {
  for (size_t i = 0; i < n; i++) {
    eight sums[2] = {{0.0F}, {0.0F}}, squares[2] = {{0.0F}, {0.0F}};
    const float *ai = a + i * D, *ri = residual == nullptr ? nullptr : residual + i * D;
    const uint8_t *mi = mask == nullptr ? nullptr : mask + i * D;
    float *yi = y + i * D;
    for (size_t c = 0; c < D; c += 16)
      for (size_t half = 0, k = c; half < 2; half++, k += 8) {
        eight z = *at(ai + k);
        if (bias != nullptr) z += *at(bias + k);
        if (mi != nullptr) { // chosen and not multiplied by 0 or scale, which would be fused with the sum that follows
          const auto kept = __builtin_convertvector(*reinterpret_cast<const bytes8 *>(mi + k), int8lanes) != 0;
          z = kept ? z * scale : z * 0.0F;
        }
        if (ri != nullptr) z += *at(ri + k);
        sums[half] += z;
        *at(yi + k) = z;
      }
    const float mean = sum_of(sums) / static_cast<float>(D);
    for (size_t c = 0; c < D; c += 16)
      for (size_t half = 0, k = c; half < 2; half++, k += 8) {
        eight off = *at(yi + k) - mean;
        squares[half] += off * off;
      }
    const float inverse = 1.0F / std::sqrt(sum_of(squares) / static_cast<float>(D) + 1e-12F);
    float *ni = normal == nullptr ? nullptr : normal + i * D;
    for (size_t c = 0; c < D; c += 8) {
      eight x = (*at(yi + c) - mean) * inverse;
      if (ni != nullptr) *at(ni + c) = x;
      *at(yi + c) = x * *at(weight + c) + *at(shift + c);
    }
    if (rstd != nullptr) rstd[i] = inverse;
  }
}

AL_SIMD void norm_backward(const float *dy, const float *normal, const float *rstd, const float *weight,
                           const uint8_t *mask, float scale, float *dz, float *da, float *dweight, float *dshift,
                           float *dbias, size_t n, size_t D) {
  for (size_t i = 0; i < n; i++) {
    eight sums[2] = {{0.0F}, {0.0F}}, dots[2] = {{0.0F}, {0.0F}};
    const float *di = dy + i * D, *ni = normal + i * D;
    for (size_t c = 0; c < D; c += 16)
      for (size_t half = 0, k = c; half < 2; half++, k += 8) {
        eight d = *at(di + k), x = *at(ni + k), g = d * *at(weight + k);
        sums[half] += g;
        dots[half] += g * x;
        *at(dweight + k) += d * x;
        *at(dshift + k) += d;
      }
    const float mean = sum_of(sums) / static_cast<float>(D), slope = sum_of(dots) / static_cast<float>(D);
    float *zi = dz + i * D;
    for (size_t c = 0; c < D; c += 8)
      *at(zi + c) = rstd[i] * (*at(di + c) * *at(weight + c) - mean - *at(ni + c) * slope);
    if (da == nullptr) continue;
    float *ai = da + i * D;
    if (mask != nullptr)
      for (size_t c = 0; c < D; c++) ai[c] = mask[i * D + c] ? zi[c] * scale : 0.0F;
    else
      std::memcpy(ai, zi, D * sizeof *ai);
    if (dbias != nullptr)
      for (size_t c = 0; c < D; c++) dbias[c] += ai[c];
  }
}

AL_SIMD void drop(const float *x, const uint8_t *mask, float scale, float *y, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] = mask[i] ? x[i] * scale : 0.0F;
}

// Phi by Abramowitz and Stegun 7.1.26 (absolute error 1.5e-7), whose exp(-x^2 / 2) the slope needs too.
AL_SIMD void gelu_forward(float *a, const float *bias, float *y, size_t n, size_t D, bool keep_slope) {
  for (size_t i = 0; i < n; i++) {
    float *ai = a + i * D, *yi = y + i * D;
    for (size_t c = 0; c < D; c++) {
      float x = ai[c] + bias[c], z = std::fabs(x) * 0.70710678F;
      float e = exp_negative(-0.5F * x * x), t = 1.0F / (1.0F + 0.3275911F * z);
      float tail =
          ((((1.061405429F * t - 1.453152027F) * t + 1.421413741F) * t - 0.284496736F) * t + 0.254829592F) * t * e;
      float phi = 0.5F * tail; // Phi(-|x|)
      phi = x > 0.0F ? 1.0F - phi : phi;
      yi[c] = x * phi;
      if (keep_slope) ai[c] = phi + x * e * 0.39894228F;
    }
  }
}

AL_SIMD void gelu_backward(float *dy, const float *slope, float *dbias, size_t n, size_t D) {
  for (size_t i = 0; i < n; i++)
    for (size_t c = 0; c < D; c++) {
      float d = dy[i * D + c] * slope[i * D + c];
      dy[i * D + c] = d;
      dbias[c] += d;
    }
}

AL_SIMD void add_bias(float *a, const float *bias, size_t n, size_t D) {
  for (size_t i = 0; i < n; i++)
    for (size_t c = 0; c < D; c++) a[i * D + c] += bias[c];
}

AL_SIMD void add_column_sums(const float *a, size_t n, size_t D, size_t stride, float *sums) {
  for (size_t i = 0; i < n; i++)
    for (size_t c = 0; c < D; c++) sums[c] += a[i * stride + c];
}

AL_SIMD void add(const float *x, float *y, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] += x[i];
}

AL_SIMD void softmax(float *scores, size_t n, size_t cols, size_t stride) {
  for (size_t i = 0; i < n; i++) {
    float *s = scores + i * stride, most[16], sums[16] = {0};
    for (size_t c = cols; c < stride; c++) s[c] = -INFINITY;
    for (int l = 0; l < 16; l++) most[l] = s[l];
    for (size_t c = 16; c < stride; c += 16)
      for (int l = 0; l < 16; l++) most[l] = s[c + l] > most[l] ? s[c + l] : most[l];
    float highest = most[0];
    for (int l = 1; l < 16; l++) highest = most[l] > highest ? most[l] : highest;
    for (size_t c = 0; c < stride; c += 16)
      for (int l = 0; l < 16; l++) {
        float e = exp_negative(s[c + l] - highest);
        s[c + l] = e;
      }
    for (size_t c = cols; c < stride; c++) s[c] = 0.0F;
    for (size_t c = 0; c < stride; c += 16)
      for (int l = 0; l < 16; l++) sums[l] += s[c + l];
    const float inverse = 1.0F / sum16(sums);
    for (size_t c = 0; c < stride; c++) s[c] *= inverse;
  }
}

AL_SIMD void softmax_backward(const float *p, const uint8_t *mask, float scale, float *dp, size_t n, size_t stride) {
  for (size_t i = 0; i < n; i++) {
    const float *pi = p + i * stride;
    float *di = dp + i * stride, dots[16] = {0};
    if (mask != nullptr)
      for (size_t c = 0; c < stride; c++) di[c] = mask[i * stride + c] ? di[c] * scale : 0.0F;
    for (size_t c = 0; c < stride; c += 16)
      for (int l = 0; l < 16; l++) dots[l] += di[c + l] * pi[c + l];
    const float dot = sum16(dots);
    for (size_t c = 0; c < stride; c++) di[c] = pi[c] * (di[c] - dot);
  }
}

AL_SIMD void adamw(float *p, const float *g, float *m, float *v, size_t n, const adam_step &s) {
  const float rate = s.rate / s.correction1, root = 1.0F / std::sqrt(s.correction2), decay = s.decay;
  const float shrink = s.shrink;
  for (size_t i = 0; i < n; i++) {
    float gradient = g[i] * shrink;
    float first = 0.9F * m[i] + 0.1F * gradient, second = 0.999F * v[i] + 0.001F * gradient * gradient;
    m[i] = first;
    v[i] = second;
    p[i] = p[i] * decay - rate * first / (std::sqrt(second) * root + 1e-8F);
  }
}

AL_SIMD void sgd(float *p, const float *g, float *momentum, size_t n, float rate, float weight_decay, float shrink) {
  for (size_t i = 0; i < n; i++) {
    float b = 0.9F * momentum[i] + (g[i] * shrink + weight_decay * p[i]);
    momentum[i] = b;
    p[i] -= rate * b;
  }
}

AL_SIMD double squared_norm(const float *g, size_t n) {
  double sums[16] = {0}, total = 0.0;
  size_t whole = n - n % 16;
  for (size_t i = 0; i < whole; i += 16)
    for (int l = 0; l < 16; l++) sums[l] += static_cast<double>(g[i + l]) * g[i + l];
  for (size_t i = whole; i < n; i++) sums[i - whole] += static_cast<double>(g[i]) * g[i];
  for (double sum : sums) total += sum;
  return total;
}

AL_SIMD void scale(float *p, float factor, size_t n) {
  for (size_t i = 0; i < n; i++) p[i] *= factor;
}

} // namespace kernels
