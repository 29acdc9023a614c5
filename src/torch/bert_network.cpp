// BERT (post-norm encoder), forward and backward by hand.
//
// Tokens of a batch lie one behind the other without padding (N of them), so that a short text costs what it is long.
// With [CLS] or pooler pooling the last layer computes keys and values of all tokens but query, output and feed-forward
// of one token a text: that half of its work is left out. Linear layers are one sgemm each, attention three small ones
// a text and head; what lies between is one pass (kernels.hpp). Query, key and value weights lie side by side in
// memory.
#include "torch/bert_network.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

bert_layout::bert_layout(const al_torch_config &c) : al_torch_net(c) {
  D = c.width;
  heads = c.heads;
  inner = c.inner;
  TORCH_CHECK(heads > 0 && D % heads == 0 && D % 16 == 0 && inner % 16 == 0,
              "widths must be multiples of 16 and of the heads");
  S = D / heads;
  auto width = static_cast<int64_t>(D), wide = static_cast<int64_t>(inner);
  add("embeddings.word_embeddings.weight", {static_cast<int64_t>(c.vocabulary), width});
  table = 0;
  add("embeddings.position_embeddings.weight", {static_cast<int64_t>(c.positions), width});
  if (c.types != 0) add("embeddings.token_type_embeddings.weight", {static_cast<int64_t>(c.types), width});
  add_norm("embeddings.LayerNorm", width, false);
  for (size_t l = 0; l < c.layers; l++) {
    std::string at = "encoder.layer." + std::to_string(l) + ".";
    layer_weights w{};
    w.qkv = reserve(3 * D * D);
    w.qkv_bias = reserve(3 * D);
    size_t part = 0;
    for (const char *name : {"query", "key", "value"}) {
      add(at + "attention.self." + name + ".weight", {width, width}, w.qkv + part * D * D);
      add(at + "attention.self." + name + ".bias", {width}, w.qkv_bias + part * D);
      part++;
    }
    add_linear(at + "attention.output.dense", width, width);
    add_norm(at + "attention.output.LayerNorm", width, false);
    add_linear(at + "intermediate.dense", width, wide);
    add_linear(at + "output.dense", wide, width);
    add_norm(at + "output.LayerNorm", width, false);
    w.out = offset_of(at + "attention.output.dense.weight");
    w.out_bias = offset_of(at + "attention.output.dense.bias");
    w.norm1 = offset_of(at + "attention.output.LayerNorm.weight");
    w.shift1 = offset_of(at + "attention.output.LayerNorm.bias");
    w.wide = offset_of(at + "intermediate.dense.weight");
    w.wide_bias = offset_of(at + "intermediate.dense.bias");
    w.narrow = offset_of(at + "output.dense.weight");
    w.narrow_bias = offset_of(at + "output.dense.bias");
    w.norm2 = offset_of(at + "output.LayerNorm.weight");
    w.shift2 = offset_of(at + "output.LayerNorm.bias");
    weights.push_back(w);
  }
  add_linear("pooler.dense", width, width);
  add_linear("classifier", width, static_cast<int64_t>(c.classes));
  if (c.pooling != AL_POOL_POOLER) { // trained only where it is used
    untrained("pooler.dense.weight");
    untrained("pooler.dense.bias");
  }
  if (c.pretext) {
    add_pretext();
    for (const char *name : {"classifier.weight", "classifier.bias", "pooler.dense.weight", "pooler.dense.bias"})
      untrained(name);
  }
  word = offset_of("embeddings.word_embeddings.weight");
  position = offset_of("embeddings.position_embeddings.weight");
  type = c.types == 0 ? none : offset_of("embeddings.token_type_embeddings.weight");
  norm0 = offset_of("embeddings.LayerNorm.weight");
  shift0 = offset_of("embeddings.LayerNorm.bias");
  pooler = offset_of("pooler.dense.weight");
  pooler_bias = offset_of("pooler.dense.bias");
  allocate();
}

bert::bert(const al_torch_config &c) : bert_layout(c) {
  keep_scale = static_cast<float>(1.0 / (1.0 - c.dropout));
  layers.resize(c.layers);
}

void bert_layout::check(const al_torch_batch &batch) const {
  for (size_t i = 0; i < batch.n; i++) {
    int64_t length = batch.begin[i + 1] - batch.begin[i];
    TORCH_CHECK(length >= 1 && length <= static_cast<int64_t>(config.positions),
                "a sequence is empty or longer than the model has positions");
  }
  for (int64_t i = 0; i < batch.begin[batch.n]; i++) {
    TORCH_CHECK(batch.ids[i] >= 0 && batch.ids[i] < static_cast<int64_t>(config.vocabulary),
                "a token id is outside the vocabulary");
    TORCH_CHECK(batch.types == nullptr || (batch.types[i] >= 0 && batch.types[i] < static_cast<int64_t>(config.types)),
                "a token type is outside the types");
  }
}

void bert::embeddings_forward(const al_torch_batch &batch, bool active, bool keep) {
  auto N = static_cast<size_t>(batch.begin[batch.n]);
  float *x = room(x0, N * D);
  for (size_t b = 0; b < batch.n; b++)
    for (int64_t i = batch.begin[b]; i < batch.begin[b + 1]; i++) {
      float *to = x + static_cast<size_t>(i) * D;
      std::memcpy(to, value(word) + static_cast<size_t>(batch.ids[i]) * D, D * sizeof *to);
      kernels::add(value(position) + static_cast<size_t>(i - batch.begin[b]) * D, to, D);
      if (type == none) continue;
      kernels::add(value(type) + (batch.types == nullptr ? 0 : static_cast<size_t>(batch.types[i])) * D, to, D);
    }
  kernels::norm_forward(nullptr, x, nullptr, nullptr, 1.0F, value(norm0), value(shift0), x,
                        keep ? room(normal0, N * D) : nullptr, keep ? room(rstd0, N) : nullptr, N, D);
  if (const uint8_t *bytes = mask(mask0, N * D, active)) kernels::drop(x, bytes, keep_scale, x, N * D);
}

void bert::embeddings_backward(const al_torch_batch &batch, float *d) {
  auto N = static_cast<size_t>(batch.begin[batch.n]);
  if (dropped) kernels::drop(d, mask0.data(), keep_scale, d, N * D);
  kernels::norm_backward(d, normal0.data(), rstd0.data(), value(norm0), nullptr, 1.0F, d, nullptr, gradient(norm0),
                         gradient(shift0), nullptr, N, D);
  for (size_t b = 0; b < batch.n; b++)
    for (int64_t i = batch.begin[b]; i < batch.begin[b + 1]; i++) {
      const float *from = d + static_cast<size_t>(i) * D;
      kernels::add(from, gradient(word) + static_cast<size_t>(batch.ids[i]) * D, D);
      kernels::add(from, gradient(position) + static_cast<size_t>(i - batch.begin[b]) * D, D);
      if (type == none) continue;
      kernels::add(from, gradient(type) + (batch.types == nullptr ? 0 : static_cast<size_t>(batch.types[i])) * D, D);
    }
}

static size_t stride_of(size_t length) { return (length + 15) / 16 * 16; }

// Floats of all attention blocks of a batch.
static size_t attention_size(const al_torch_batch &batch, size_t heads, bool cls) {
  size_t total = 0;
  for (size_t b = 0; b < batch.n; b++) {
    auto T = static_cast<size_t>(batch.begin[b + 1] - batch.begin[b]);
    total += heads * (cls ? 1 : T) * stride_of(T);
  }
  return total;
}

const float *bert::layer_forward(size_t l, const float *x, const al_torch_batch &batch, bool active, bool keep,
                                 bool cls) {
  const layer_weights &w = weights[l];
  layer_state &s = layers[l];
  auto N = static_cast<size_t>(batch.begin[batch.n]);
  size_t n = batch.n, R = cls ? n : N, across = cls ? 2 * D : 3 * D;
  const float *from = x; // R x D: the rows that go on
  float *qkv = room(s.qkv, N * across), *query = qkv;
  size_t query_stride = across;
  if (cls) {
    float *rows = room(cls_rows, n * D);
    for (size_t b = 0; b < n; b++)
      std::memcpy(rows + b * D, x + static_cast<size_t>(batch.begin[b]) * D, D * sizeof *rows);
    from = rows;
    query = room(s.query, n * D);
    query_stride = D;
    gemm(false, true, n, D, D, 1.0F, from, D, value(w.qkv), D, 0.0F, query, D);
    kernels::add_bias(query, value(w.qkv_bias), n, D);
    gemm(false, true, N, 2 * D, D, 1.0F, x, D, value(w.qkv) + D * D, D, 0.0F, qkv, 2 * D);
    kernels::add_bias(qkv, value(w.qkv_bias) + D, N, 2 * D);
  } else {
    gemm(false, true, N, 3 * D, D, 1.0F, x, D, value(w.qkv), D, 0.0F, qkv, 3 * D);
    kernels::add_bias(qkv, value(w.qkv_bias), N, 3 * D);
  }
  const float *key = qkv + across - 2 * D, *val = qkv + across - D;
  size_t blocks = attention_size(batch, heads, cls), at = 0;
  float *p = room(s.p, blocks), *mixed = room(s.mixed, R * D);
  const uint8_t *p_mask = mask(s.p_mask, blocks, active);
  const float scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(S)));
  for (size_t b = 0; b < n; b++) {
    auto first = static_cast<size_t>(batch.begin[b]), T = static_cast<size_t>(batch.begin[b + 1]) - first;
    size_t rows = cls ? 1 : T, q0 = cls ? b : first, stride = stride_of(T);
    for (size_t h0 = 0; h0 < D; h0 += S, at += rows * stride) {
      gemm(false, true, rows, T, S, scale, query + q0 * query_stride + h0, query_stride, key + first * across + h0,
           across, 0.0F, p + at, stride);
      kernels::softmax(p + at, rows, T, stride);
      const float *used = p + at;
      if (p_mask != nullptr) {
        float *scratch = room(dropped_p, rows * stride);
        kernels::drop(p + at, p_mask + at, keep_scale, scratch, rows * stride);
        used = scratch;
      }
      gemm(false, false, rows, S, T, 1.0F, used, stride, val + first * across + h0, across, 0.0F, mixed + q0 * D + h0,
           D);
    }
  }
  float *y1 = room(s.y1, R * D), *y2 = room(s.y2, R * D), *a = room(da, R * D);
  gemm(false, true, R, D, D, 1.0F, mixed, D, value(w.out), D, 0.0F, a, D);
  kernels::norm_forward(from, a, value(w.out_bias), mask(s.mask1, R * D, active), keep_scale, value(w.norm1),
                        value(w.shift1), y1, keep ? room(s.normal1, R * D) : nullptr, keep ? room(s.rstd1, R) : nullptr,
                        R, D);
  // a block of rows at a time stays in the cache between the two products
  float *slope = room(s.slope, R * inner), *wide = room(s.wide, R * inner);
  const uint8_t *mask2 = mask(s.mask2, R * D, active);
  const size_t block = 256;
  for (size_t r = 0; r < R; r += block) {
    size_t m = R - r < block ? R - r : block;
    float *slope_r = keep ? slope + r * inner : slope, *wide_r = keep ? wide + r * inner : wide;
    gemm(false, true, m, inner, D, 1.0F, y1 + r * D, D, value(w.wide), D, 0.0F, slope_r, inner);
    kernels::gelu_forward(slope_r, value(w.wide_bias), wide_r, m, inner, keep);
    gemm(false, true, m, D, inner, 1.0F, wide_r, inner, value(w.narrow), inner, 0.0F, a + r * D, D);
  }
  kernels::norm_forward(y1, a, value(w.narrow_bias), mask2, keep_scale, value(w.norm2), value(w.shift2), y2,
                        keep ? room(s.normal2, R * D) : nullptr, keep ? room(s.rstd2, R) : nullptr, R, D);
  return y2;
}

// dy: R x D, overwritten; out: N x D, the gradient of x
void bert::layer_backward(size_t l, const float *x, float *dy, const al_torch_batch &batch, bool cls, float *out) {
  const layer_weights &w = weights[l];
  layer_state &s = layers[l];
  auto N = static_cast<size_t>(batch.begin[batch.n]);
  size_t n = batch.n, R = cls ? n : N, across = cls ? 2 * D : 3 * D;
  const float *from = cls ? cls_rows.data() : x;
  float *a = room(da, R * D), *wide = room(dwide, R * std::max(inner, D)); // R x D later
  // feed-forward
  kernels::norm_backward(dy, s.normal2.data(), s.rstd2.data(), value(w.norm2), dropped ? s.mask2.data() : nullptr,
                         keep_scale, dy, a, gradient(w.norm2), gradient(w.shift2), gradient(w.narrow_bias), R, D);
  gemm(true, false, D, inner, R, 1.0F, a, D, s.wide.data(), inner, 0.0F, gradient(w.narrow), inner);
  gemm(false, false, R, inner, D, 1.0F, a, D, value(w.narrow), inner, 0.0F, wide, inner);
  kernels::gelu_backward(wide, s.slope.data(), gradient(w.wide_bias), R, inner);
  gemm(true, false, inner, D, R, 1.0F, wide, inner, s.y1.data(), D, 0.0F, gradient(w.wide), D);
  gemm(false, false, R, D, inner, 1.0F, wide, inner, value(w.wide), D, 1.0F, dy, D);
  // attention's output
  kernels::norm_backward(dy, s.normal1.data(), s.rstd1.data(), value(w.norm1), dropped ? s.mask1.data() : nullptr,
                         keep_scale, dy, a, gradient(w.norm1), gradient(w.shift1), gradient(w.out_bias), R, D);
  gemm(true, false, D, D, R, 1.0F, a, D, s.mixed.data(), D, 0.0F, gradient(w.out), D);
  float *mixed = wide; // R x D: free again
  gemm(false, false, R, D, D, 1.0F, a, D, value(w.out), D, 0.0F, mixed, D);
  // attention
  float *d = room(dqkv, N * across), *dq = d;
  size_t query_stride = across;
  const float *qkv = s.qkv.data(), *query = qkv;
  if (cls) {
    dq = room(dquery, n * D);
    query = s.query.data();
    query_stride = D;
  }
  const float *key = qkv + across - 2 * D, *val = qkv + across - D;
  float *dkey = d + across - 2 * D, *dval = d + across - D;
  const float scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(S)));
  size_t at = 0;
  for (size_t b = 0; b < n; b++) {
    auto first = static_cast<size_t>(batch.begin[b]), T = static_cast<size_t>(batch.begin[b + 1]) - first;
    size_t rows = cls ? 1 : T, q0 = cls ? b : first, stride = stride_of(T);
    for (size_t h0 = 0; h0 < D; h0 += S, at += rows * stride) {
      const float *p = s.p.data() + at, *used = p, *dm = mixed + q0 * D + h0;
      const uint8_t *p_mask = dropped ? s.p_mask.data() + at : nullptr;
      if (p_mask != nullptr) {
        float *scratch = room(dropped_p, rows * stride);
        kernels::drop(p, p_mask, keep_scale, scratch, rows * stride);
        used = scratch;
      }
      float *ds = room(dp, rows * stride);
      gemm(true, false, T, S, rows, 1.0F, used, stride, dm, D, 0.0F, dval + first * across + h0, across);
      gemm(false, true, rows, T, S, 1.0F, dm, D, val + first * across + h0, across, 0.0F, ds, stride);
      for (size_t r = 0; r < rows; r++) std::fill(ds + r * stride + T, ds + (r + 1) * stride, 0.0F);
      kernels::softmax_backward(p, p_mask, keep_scale, ds, rows, stride);
      gemm(false, false, rows, S, T, scale, ds, stride, key + first * across + h0, across, 0.0F,
           dq + q0 * query_stride + h0, query_stride);
      gemm(true, false, T, S, rows, scale, ds, stride, query + q0 * query_stride + h0, query_stride, 0.0F,
           dkey + first * across + h0, across);
    }
  }
  if (!cls) {
    gemm(true, false, 3 * D, D, N, 1.0F, d, 3 * D, x, D, 0.0F, gradient(w.qkv), D);
    kernels::add_column_sums(d, N, 3 * D, 3 * D, gradient(w.qkv_bias));
    if (out != dy) std::memcpy(out, dy, N * D * sizeof *out);
    gemm(false, false, N, D, 3 * D, 1.0F, d, 3 * D, value(w.qkv), D, 1.0F, out, D);
    return;
  }
  gemm(true, false, D, D, n, 1.0F, dq, D, from, D, 0.0F, gradient(w.qkv), D);
  kernels::add_column_sums(dq, n, D, D, gradient(w.qkv_bias));
  gemm(true, false, 2 * D, D, N, 1.0F, d, 2 * D, x, D, 0.0F, gradient(w.qkv) + D * D, D);
  kernels::add_column_sums(d, N, 2 * D, 2 * D, gradient(w.qkv_bias) + D);
  gemm(false, false, N, D, 2 * D, 1.0F, d, 2 * D, value(w.qkv) + D * D, D, 0.0F, out, D);
  gemm(false, false, n, D, D, 1.0F, dq, D, value(w.qkv), D, 1.0F, dy, D);
  for (size_t b = 0; b < n; b++) kernels::add(dy + b * D, out + static_cast<size_t>(batch.begin[b]) * D, D);
}

const float *bert::forward(const al_torch_batch &batch, bool active, bool keep, bool only_cls) {
  dropped = active && config.dropout > 0.0;
  embeddings_forward(batch, active, keep);
  const float *x = x0.data();
  for (size_t l = 0; l < layers.size(); l++)
    x = layer_forward(l, x, batch, active, keep, only_cls && l + 1 == layers.size());
  return x;
}

void bert::pool_mean(const al_torch_batch &batch, const float *from, float *to) const {
  for (size_t b = 0; b < batch.n; b++) {
    std::memset(to + b * D, 0, D * sizeof *to);
    for (int64_t i = batch.begin[b]; i < batch.begin[b + 1]; i++)
      kernels::add(from + static_cast<size_t>(i) * D, to + b * D, D);
    kernels::scale(to + b * D, 1.0F / static_cast<float>(batch.begin[b + 1] - batch.begin[b]), D);
  }
}

void bert::pool_pooler(const float *cls, size_t n, float *to) {
  gemm(false, true, n, D, D, 1.0F, cls, D, value(pooler), D, 0.0F, to, D);
  kernels::add_bias(to, value(pooler_bias), n, D);
  for (size_t i = 0; i < n * D; i++) to[i] = std::tanh(to[i]);
}

void bert::embed(const al_torch_batch &batch, bool stochastic, float *to) {
  check(batch);
  bool mean = config.pooling == AL_POOL_MEAN;
  const float *last = forward(batch, stochastic, false, !mean);
  if (mean)
    pool_mean(batch, last, to);
  else if (config.pooling == AL_POOL_POOLER)
    pool_pooler(last, batch.n, to);
  else
    std::memcpy(to, last, batch.n * D * sizeof *to);
}

double bert::learn(const al_torch_batch &batch, const int32_t *labels) {
  check(batch);
  use_rows(batch);
  auto N = static_cast<size_t>(batch.begin[batch.n]);
  size_t n = batch.n;
  bool mean = config.pooling == AL_POOL_MEAN;
  const float *last = forward(batch, true, true, !mean);
  float *pooled = room(h, n * D);
  if (mean)
    pool_mean(batch, last, pooled);
  else if (config.pooling == AL_POOL_POOLER)
    pool_pooler(last, n, pooled);
  else
    std::memcpy(pooled, last, n * D * sizeof *pooled);
  if (config.pooling == AL_POOL_POOLER) std::memcpy(room(tanh_rows, n * D), pooled, n * D * sizeof *pooled);
  double loss = head_loss(pooled, n, labels); // pooled becomes its gradient
  float *d = room(dx, N * D), *dy = d;
  if (mean) {
    for (size_t b = 0; b < n; b++)
      for (int64_t i = batch.begin[b]; i < batch.begin[b + 1]; i++) {
        float *to = d + static_cast<size_t>(i) * D;
        std::memcpy(to, pooled + b * D, D * sizeof *to);
        kernels::scale(to, 1.0F / static_cast<float>(batch.begin[b + 1] - batch.begin[b]), D);
      }
  } else {
    dy = room(dcls, n * D);
    std::memcpy(dy, pooled, n * D * sizeof *dy);
    if (config.pooling == AL_POOL_POOLER) {
      for (size_t i = 0; i < n * D; i++) pooled[i] *= 1.0F - tanh_rows[i] * tanh_rows[i];
      gemm(true, false, D, D, n, 1.0F, pooled, D, last, D, 0.0F, gradient(pooler), D);
      kernels::add_column_sums(pooled, n, D, D, gradient(pooler_bias));
      gemm(false, false, n, D, D, 1.0F, pooled, D, value(pooler), D, 0.0F, dy, D);
    }
  }
  for (size_t l = layers.size(); l-- > 0;) {
    const float *x = l == 0 ? x0.data() : layers[l - 1].y2.data();
    layer_backward(l, x, dy, batch, !mean && l + 1 == layers.size(), d);
    dy = d;
  }
  embeddings_backward(batch, d);
  return loss;
}

void bert::encode(const al_torch_batch &batch, float *cls, float *mean, float *pooled) {
  check(batch);
  flush();
  const float *last = forward(batch, false, false, false);
  for (size_t i = 0; i < batch.n; i++)
    std::memcpy(cls + i * D, last + static_cast<size_t>(batch.begin[i]) * D, D * sizeof *cls);
  pool_mean(batch, last, mean);
  pool_pooler(cls, batch.n, pooled);
}

std::unique_ptr<al_torch_net> make_bert(const al_torch_config &config) {
  if (config.generic != 0 || config.device != AL_DEVICE_CPU) return make_tensor_bert(config);
  return std::make_unique<bert>(config);
}
