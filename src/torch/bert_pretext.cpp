// BERT's self-supervised objectives and their gradients: masked words and bags of words through the tied embeddings of
// a reduced set of candidates, and two segments of a document told from those of others. One forward and one backward
// pass of the encoder serve all three. What is masked, which words are candidates and what a bag weighs is the
// caller's.
#include "torch/bert_network.hpp"

#include <cmath>
#include <cstring>

void bert_layout::add_pretext() {
  auto width = static_cast<int64_t>(D), vocabulary = static_cast<int64_t>(config.vocabulary);
  auto add_head = [&](const std::string &at, const std::string &bias) {
    add_linear(at + "dense", width, width);
    add_norm(at + "LayerNorm", width, false);
    add(bias, {vocabulary});
    return word_head{offset_of(at + "dense.weight"), offset_of(at + "dense.bias"), offset_of(at + "LayerNorm.weight"),
                     offset_of(at + "LayerNorm.bias"), offset_of(bias)};
  };
  masked_head = add_head("cls.predictions.transform.", "cls.predictions.bias"); // Hugging Face's names
  bag_head = add_head("alab.bag.transform.", "alab.bag.bias");
  add_linear("alab.contrast.dense", width, width);
  contrast = offset_of("alab.contrast.dense.weight");
  contrast_bias = offset_of("alab.contrast.dense.bias");
}

void bert_layout::check_pretext(const al_torch_batch &batch, const al_torch_pretext &p) const {
  TORCH_CHECK(config.pretext, "the network was made without self-supervised heads");
  auto inside = [&](int32_t index, size_t size) { return index >= 0 && static_cast<size_t>(index) < size; };
  for (size_t i = 0; i < p.candidate_count; i++)
    TORCH_CHECK(inside(p.candidates[i], config.vocabulary), "a candidate is outside the vocabulary");
  for (size_t i = 0; p.mlm > 0.0 && i < p.masked; i++)
    TORCH_CHECK(p.positions[i] >= 0 && p.positions[i] < batch.begin[batch.n] && inside(p.targets[i], p.candidate_count),
                "a masked token or its word is outside the batch or the candidates");
  for (int64_t i = 0; p.bow > 0.0 && i < p.bag_begin[batch.n]; i++)
    TORCH_CHECK(inside(p.bag[i], p.candidate_count), "a bag's word is outside the candidates");
  TORCH_CHECK(p.contrastive <= 0.0 || (batch.n % 2 == 0 && p.temperature > 0.0),
              "contrastive batches are pairs, and their temperature is positive");
}

// Mean over m rows of states of the cross-entropy between their target shares (row i: target_begin[i] ..
// target_begin[i + 1]; shares NULL: 1 each) and the softmax over the candidates. The gradient times `weight` is added
// to dstates, the candidates' gradients and the head's. A block of rows at a time, so that the scores stay in the
// cache.
double bert::name_words(const word_head &head, const al_torch_pretext &p, const float *states, const int64_t *rows,
                        size_t m, const int64_t *target_begin, const int32_t *targets, const float *shares,
                        double weight, float *dstates) {
  const size_t block = 64, V = p.candidate_count, stride = (V + 15) / 16 * 16;
  const float *table_rows = candidate_rows.data();
  float *x = room(picked, block * D), *slope = room(slopes, block * D), *active = room(activated, block * D);
  float *t = room(transformed, block * D), *normal = room(normals, block * D), *rstd = room(deviations, block);
  float *scores = room(word_scores, block * stride), *bias = value(head.bias), *dbias = gradient(head.bias);
  double loss = 0.0;
  auto share = static_cast<float>(weight / static_cast<double>(m));
  for (size_t from = 0; from < m; from += block) {
    size_t b = m - from < block ? m - from : block;
    for (size_t i = 0; i < b; i++)
      std::memcpy(x + i * D, states + static_cast<size_t>(rows[from + i]) * D, D * sizeof *x);
    gemm(false, true, b, D, D, 1.0F, x, D, value(head.dense), D, 0.0F, slope, D);
    kernels::gelu_forward(slope, value(head.dense_bias), active, b, D, true);
    kernels::norm_forward(nullptr, active, nullptr, nullptr, 1.0F, value(head.norm), value(head.shift), t, normal, rstd,
                          b, D);
    gemm(false, true, b, V, D, 1.0F, t, D, table_rows, D, 0.0F, scores, stride);
    for (size_t i = 0; i < b; i++)
      for (size_t v = 0; v < V; v++) scores[i * stride + v] += bias[p.candidates[v]];
    kernels::softmax(scores, b, V, stride);
    for (size_t i = 0; i < b; i++)
      for (int64_t k = target_begin[from + i]; k < target_begin[from + i + 1]; k++) {
        float &probability = scores[i * stride + static_cast<size_t>(targets[k])];
        float q = shares == nullptr ? 1.0F : shares[k];
        loss -= static_cast<double>(q) * std::log(std::max(static_cast<double>(probability), 1e-37));
        if (std::isnan(probability)) loss = NAN;
      }
    for (size_t i = 0; i < b; i++)
      for (int64_t k = target_begin[from + i]; k < target_begin[from + i + 1]; k++)
        scores[i * stride + static_cast<size_t>(targets[k])] -= shares == nullptr ? 1.0F : shares[k];
    kernels::scale(scores, share, b * stride);
    for (size_t i = 0; i < b; i++)
      for (size_t v = 0; v < V; v++) dbias[p.candidates[v]] += scores[i * stride + v];
    gemm(true, false, V, D, b, 1.0F, scores, stride, t, D, 1.0F, candidate_gradients.data(), D);
    gemm(false, false, b, D, V, 1.0F, scores, stride, table_rows, D, 0.0F, t, D);
    kernels::norm_backward(t, normal, rstd, value(head.norm), nullptr, 1.0F, t, nullptr, gradient(head.norm),
                           gradient(head.shift), nullptr, b, D);
    kernels::gelu_backward(t, slope, gradient(head.dense_bias), b, D);
    gemm(true, false, D, D, b, 1.0F, t, D, x, D, 1.0F, gradient(head.dense), D);
    gemm(false, false, b, D, D, 1.0F, t, D, value(head.dense), D, 0.0F, active, D);
    for (size_t i = 0; i < b; i++) kernels::add(active + i * D, dstates + static_cast<size_t>(rows[from + i]) * D, D);
  }
  return loss / static_cast<double>(m);
}

// NT-Xent of the batch's texts, pairs side by side. n is small, so in plain order and doubles.
double bert::tell_apart(const al_torch_batch &batch, const float *states, double temperature, double weight,
                        float *dstates) {
  size_t n = batch.n;
  std::vector<float> x(n * D), z(n * D);
  std::vector<double> unit(n * D), length(n), g(n * n), du(n * D);
  for (size_t i = 0; i < n; i++)
    std::memcpy(x.data() + i * D, states + static_cast<size_t>(batch.begin[i]) * D, D * sizeof(float));
  gemm(false, true, n, D, D, 1.0F, x.data(), D, value(contrast), D, 0.0F, z.data(), D);
  kernels::add_bias(z.data(), value(contrast_bias), n, D);
  for (size_t i = 0; i < n; i++) {
    double squared = 1e-24;
    for (size_t c = 0; c < D; c++) squared += static_cast<double>(z[i * D + c]) * z[i * D + c];
    length[i] = std::sqrt(squared);
    for (size_t c = 0; c < D; c++) unit[i * D + c] = z[i * D + c] / length[i];
  }
  double loss = 0.0;
  for (size_t i = 0; i < n; i++) {
    std::vector<double> s(n);
    double most = -INFINITY, sum = 0.0;
    for (size_t j = 0; j < n; j++) {
      if (j == i) continue;
      double dot = 0.0;
      for (size_t c = 0; c < D; c++) dot += unit[i * D + c] * unit[j * D + c];
      s[j] = dot / temperature;
      most = std::max(most, s[j]);
    }
    for (size_t j = 0; j < n; j++)
      if (j != i) sum += std::exp(s[j] - most);
    loss += most + std::log(sum) - s[i ^ 1];
    for (size_t j = 0; j < n; j++)
      g[i * n + j] = j == i ? 0.0
                            : (std::exp(s[j] - most) / sum - (j == (i ^ 1) ? 1.0 : 0.0)) * weight /
                                  (temperature * static_cast<double>(n));
  }
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++)
      for (size_t c = 0; c < D; c++) du[i * D + c] += (g[i * n + j] + g[j * n + i]) * unit[j * D + c];
  for (size_t i = 0; i < n; i++) {
    double along = 0.0;
    for (size_t c = 0; c < D; c++) along += du[i * D + c] * unit[i * D + c];
    for (size_t c = 0; c < D; c++)
      z[i * D + c] = static_cast<float>((du[i * D + c] - along * unit[i * D + c]) / length[i]);
  }
  gemm(true, false, D, D, n, 1.0F, z.data(), D, x.data(), D, 0.0F, gradient(contrast), D);
  kernels::add_column_sums(z.data(), n, D, D, gradient(contrast_bias));
  gemm(false, false, n, D, D, 1.0F, z.data(), D, value(contrast), D, 0.0F, x.data(), D);
  for (size_t i = 0; i < n; i++) kernels::add(x.data() + i * D, dstates + static_cast<size_t>(batch.begin[i]) * D, D);
  return loss / static_cast<double>(n);
}

void bert::learn_pretext(const al_torch_batch &batch, const al_torch_pretext &p, double losses[3]) {
  check(batch);
  check_pretext(batch, p);
  use_rows(batch);
  use_more_rows(p.candidates, p.candidate_count);
  auto N = static_cast<size_t>(batch.begin[batch.n]);
  size_t V = p.candidate_count;
  float *gathered = room(candidate_rows, V * D), *gathered_gradients = room(candidate_gradients, V * D);
  for (size_t v = 0; v < V; v++)
    std::memcpy(gathered + v * D, value(word) + static_cast<size_t>(p.candidates[v]) * D, D * sizeof *gathered);
  std::memset(gathered_gradients, 0, V * D * sizeof *gathered_gradients);
  const float *last = forward(batch, true, true, false);
  float *d = room(dx, N * D);
  std::memset(d, 0, N * D * sizeof *d);
  losses[0] = losses[1] = losses[2] = 0.0;
  if (p.mlm > 0.0 && p.masked != 0) {
    std::vector<int64_t> one(p.masked + 1);
    for (size_t i = 0; i <= p.masked; i++) one[i] = static_cast<int64_t>(i);
    losses[0] = name_words(masked_head, p, last, p.positions, p.masked, one.data(), p.targets, nullptr, p.mlm, d);
  }
  if (p.bow > 0.0)
    losses[1] = name_words(bag_head, p, last, batch.begin, batch.n, p.bag_begin, p.bag, p.shares, p.bow, d);
  if (p.contrastive > 0.0) losses[2] = tell_apart(batch, last, p.temperature, p.contrastive, d);
  for (size_t l = layers.size(); l-- > 0;)
    layer_backward(l, l == 0 ? x0.data() : layers[l - 1].y2.data(), d, batch, false, d);
  embeddings_backward(batch, d);
  for (size_t v = 0; v < V; v++)
    kernels::add(gathered_gradients + v * D, gradient(word) + static_cast<size_t>(p.candidates[v]) * D, D);
}
