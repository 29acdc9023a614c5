// The loops between matrix products that libtorch makes several passes of: each is one pass here. float32, row-major,
// one thread. D is a multiple of 16 throughout; sums are spread over 16 fixed partial sums, so that their order is the
// source's own.
#ifndef AL_TORCH_KERNELS_HPP
#define AL_TORCH_KERNELS_HPP

#include <cstddef>
#include <cstdint>

namespace kernels {

// Keep-or-drop decisions from a Philox stream: word i depends on (seed, i) alone, and words are used in order.
struct dropout_stream {
  uint64_t seed = 0, used = 0;
  // mask: n bytes, 1 = keep; dropped with probability `rate` to within 2^-16
  void fill(uint8_t *mask, size_t n, double rate);
};

// One residual block's end: y = LayerNorm(residual + keep * scale * (a + bias)). mask NULL: nothing is dropped.
// residual, a, y: n x D (y may be a or residual); normal: n x D and rstd: n are kept for the way back, or NULL.
void norm_forward(const float *residual, const float *a, const float *bias, const uint8_t *mask, float scale,
                  const float *weight, const float *shift, float *y, float *normal, float *rstd, size_t n, size_t D);
// dy -> dz (n x D; may be dy), the gradient of the normalised sum; da = keep * scale * dz (n x D, NULL: not wanted).
// dweight, dshift, dbias: D, added to (dbias may be NULL).
void norm_backward(const float *dy, const float *normal, const float *rstd, const float *weight, const uint8_t *mask,
                   float scale, float *dz, float *da, float *dweight, float *dshift, float *dbias, size_t n, size_t D);
// y = keep * scale * x over n values (y may be x).
void drop(const float *x, const uint8_t *mask, float scale, float *y, size_t n);

// y = gelu(a + bias), exact (erf); a becomes gelu'(a + bias) where `keep_slope`. a, y: n x D
void gelu_forward(float *a, const float *bias, float *y, size_t n, size_t D, bool keep_slope);
// dy *= slope; dbias += column sums. dy, slope: n x D
void gelu_backward(float *dy, const float *slope, float *dbias, size_t n, size_t D);

void add_bias(float *a, const float *bias, size_t n, size_t D);                       // a: n x D
void add_column_sums(const float *a, size_t n, size_t D, size_t stride, float *sums); // sums: D, added to
void add(const float *x, float *y, size_t n);                                         // y += x

// Rows of scores (n x cols, each `stride` long, a multiple of 16) become probabilities; the padding becomes 0.
void softmax(float *scores, size_t n, size_t cols, size_t stride);
// dp (gradient of the dropped-out probabilities) becomes the gradient of the scores. p, dp, mask: n x stride
void softmax_backward(const float *p, const uint8_t *mask, float scale, float *dp, size_t n, size_t stride);

// One pass of the optimiser over n parameters with the gradient g * shrink.
struct adam_step {
  float rate, decay /* 1 - rate x weight decay */, shrink, correction1, correction2 /* 1 - beta^t */;
};
void adamw(float *p, const float *g, float *m, float *v, size_t n, const adam_step &s);
// momentum 0.9; weight decay is added to the gradient
void sgd(float *p, const float *g, float *momentum, size_t n, float rate, float weight_decay, float shrink);
double squared_norm(const float *g, size_t n);
void scale(float *p, float factor, size_t n);

} // namespace kernels

#endif
