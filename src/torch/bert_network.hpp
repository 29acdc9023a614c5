// BERT's classes: what its tensors are, shared by the hand-written network (bert_network.cpp, its self-supervised half
// in bert_pretext.cpp) and the one in tensor operations (bert_tensor.cpp).
#ifndef AL_TORCH_BERT_NETWORK_HPP
#define AL_TORCH_BERT_NETWORK_HPP

#include "torch/network.hpp"

#include <cblas.h>

// C (m x n) = alpha op(A) op(B) + beta C
inline void gemm(bool ta, bool tb, size_t m, size_t n, size_t k, float alpha, const float *a, size_t lda,
                 const float *b, size_t ldb, float beta, float *c, size_t ldc) {
  cblas_sgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, static_cast<int>(m),
              static_cast<int>(n), static_cast<int>(k), alpha, a, static_cast<int>(lda), b, static_cast<int>(ldb), beta,
              c, static_cast<int>(ldc));
}

// Grows and keeps; contents are finite but otherwise undefined.
template <typename T> T *room(std::vector<T> &buffer, size_t count) {
  if (buffer.size() < count) buffer.resize(count + count / 4);
  return buffer.data();
}

struct layer_weights { // offsets
  size_t qkv, qkv_bias, out, out_bias, norm1, shift1, wide, wide_bias, narrow, narrow_bias, norm2, shift2;
};

// What the way back needs of one layer. N tokens; R rows that go on: N, or one a text.
struct layer_state {
  std::vector<float> qkv;   // N x 3D; with R < N: N x 2D (keys, values)
  std::vector<float> query; // R x D, only with R < N
  std::vector<float> p;     // softmax, a block of T x stride a text and head
  std::vector<uint8_t> p_mask, mask1, mask2;
  std::vector<float> mixed; // R x D, attention's output
  std::vector<float> normal1, rstd1, y1, slope, wide, normal2, rstd2, y2;
};

// Names and places of the tensors, and what a batch may hold.
class bert_layout : public al_torch_net {
public:
  size_t width() const override { return config.width; }
  const char *head() const override { return "classifier"; }

protected:
  explicit bert_layout(const al_torch_config &c);
  void check(const al_torch_batch &batch) const;
  void check_pretext(const al_torch_batch &batch, const al_torch_pretext &pretext) const;

  // Self-supervised heads: word(transform(state)), see bert_pretext.cpp.
  struct word_head { // offsets
    size_t dense, dense_bias, norm, shift, bias;
  };
  word_head masked_head{}, bag_head{};
  size_t contrast = 0, contrast_bias = 0;
  size_t D, heads, S, inner;
  std::vector<layer_weights> weights;
  size_t word, position, type, norm0, shift0, pooler, pooler_bias;

private:
  void add_pretext();
};

class bert : public bert_layout {
public:
  explicit bert(const al_torch_config &c);
  double learn(const al_torch_batch &batch, const int32_t *labels) override;
  void learn_pretext(const al_torch_batch &batch, const al_torch_pretext &pretext, double losses[3]) override;
  void embed(const al_torch_batch &batch, bool stochastic, float *h) override;
  void encode(const al_torch_batch &batch, float *cls, float *mean, float *pooler) override;

private:
  void pool_mean(const al_torch_batch &batch, const float *states, float *h) const;
  void pool_pooler(const float *cls, size_t n, float *h);
  const float *forward(const al_torch_batch &batch, bool active, bool keep, bool only_cls);
  const float *layer_forward(size_t l, const float *x, const al_torch_batch &batch, bool active, bool keep, bool cls);
  void layer_backward(size_t l, const float *x, float *dy, const al_torch_batch &batch, bool cls, float *dx);
  void embeddings_forward(const al_torch_batch &batch, bool active, bool keep);
  void embeddings_backward(const al_torch_batch &batch, float *dx);
  const uint8_t *mask(std::vector<uint8_t> &buffer, size_t n, bool active) {
    if (!active || config.dropout <= 0.0) return nullptr;
    uint8_t *bytes = room(buffer, n);
    dropout.fill(bytes, n, config.dropout);
    return bytes;
  }

  double name_words(const word_head &head, const al_torch_pretext &pretext, const float *states, const int64_t *rows,
                    size_t m, const int64_t *target_begin, const int32_t *targets, const float *shares, double weight,
                    float *dstates);
  double tell_apart(const al_torch_batch &batch, const float *states, double temperature, double weight,
                    float *dstates);

  std::vector<float> candidate_rows, candidate_gradients, picked, activated, slopes, transformed, normals, deviations,
      word_scores;

  float keep_scale;
  std::vector<layer_state> layers;
  std::vector<float> x0, normal0, rstd0, cls_rows, h, tanh_rows; // embeddings: N x D; the rest n x D
  std::vector<uint8_t> mask0;
  bool dropped = false; // in the forward pass at hand
  std::vector<float> dx, dqkv, dwide, da, dp, dropped_p, dcls, dquery;
};

#endif
