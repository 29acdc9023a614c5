// BERT in tensor operations with autograd, for any device: the network of bert_network.cpp and the objectives of
// bert_pretext.cpp, written down once more and plainly.
//
// Texts of a batch are padded to its longest. Nothing reads a padded place: keys there have no share of attention, and
// pooling takes real tokens only, so that neither values nor gradients depend on the padding. Dropout is where it is in
// the hand-written network, from libtorch's generators: other masks, the same distribution.
#include "torch/bert_network.hpp"

#include <cmath>

namespace {

using torch::Tensor;

const double norm_epsilon = 1e-12;

struct padded {
  int64_t n, length;
  Tensor ids, types; // n * length
  Tensor absent;     // n x 1 x 1 x length: 0, -inf at padding; added to attention's scores
  Tensor shares;     // n x 1 x length: 1 / tokens of the text, 0 at padding
};

class tensor_bert : public bert_layout {
public:
  explicit tensor_bert(const al_torch_config &c);
  Tensor features(const al_torch_batch &batch, bool training, bool dropping) override;
  void learn_pretext(const al_torch_batch &batch, const al_torch_pretext &pretext, double losses[3]) override;
  void encode(const al_torch_batch &batch, float *cls, float *mean, float *pooler) override;

private:
  struct layer_leaves {
    Tensor qkv, qkv_bias, out, out_bias, norm1, shift1, wide, wide_bias, narrow, narrow_bias, norm2, shift2;
  };
  struct word_leaves {
    Tensor dense, dense_bias, norm, shift, bias;
  };
  word_leaves leaves_of(const word_head &head);
  padded pad(const al_torch_batch &batch) const;
  // Last states: n x length x D, or with only_cls n x 1 x D.
  Tensor states(const padded &batch, bool dropping, bool only_cls);
  Tensor layer(const layer_leaves &w, const Tensor &x, const padded &batch, bool dropping, bool only_cls) const;
  Tensor normalised(const Tensor &x, const Tensor &weight, const Tensor &shift) const {
    return torch::layer_norm(x, {static_cast<int64_t>(D)}, weight, shift, norm_epsilon, false);
  }
  Tensor pool_cls(const Tensor &x) const { return x.select(1, 0); }
  Tensor pool_mean(const Tensor &x, const padded &batch) const { return torch::matmul(batch.shares, x).squeeze(1); }
  Tensor pool_pooler(const Tensor &x) {
    return torch::tanh(torch::linear(pool_cls(x), leaf("pooler.dense.weight"), leaf("pooler.dense.bias")));
  }
  Tensor name_words(const word_leaves &head, const Tensor &picked, const Tensor &candidates, const Tensor &targets,
                    const Tensor &shares);
  Tensor tell_apart(const Tensor &cls, double temperature);

  std::vector<layer_leaves> layers;
};

tensor_bert::tensor_bert(const al_torch_config &c) : bert_layout(c) {
  make_leaves();
  auto width = static_cast<int64_t>(D), wide = static_cast<int64_t>(inner);
  for (const layer_weights &w : weights) // query, key and value lie side by side: one product for all three
    layers.push_back({joined_leaf(w.qkv, {3 * width, width}), joined_leaf(w.qkv_bias, {3 * width}),
                      joined_leaf(w.out, {width, width}), joined_leaf(w.out_bias, {width}),
                      joined_leaf(w.norm1, {width}), joined_leaf(w.shift1, {width}), joined_leaf(w.wide, {wide, width}),
                      joined_leaf(w.wide_bias, {wide}), joined_leaf(w.narrow, {width, wide}),
                      joined_leaf(w.narrow_bias, {width}), joined_leaf(w.norm2, {width}),
                      joined_leaf(w.shift2, {width})});
}

padded tensor_bert::pad(const al_torch_batch &batch) const {
  check(batch);
  size_t n = batch.n, longest = 0;
  for (size_t b = 0; b < n; b++) longest = std::max(longest, static_cast<size_t>(batch.begin[b + 1] - batch.begin[b]));
  std::vector<int64_t> ids(n * longest, 0), types(n * longest, 0);
  std::vector<float> absent(n * longest, -INFINITY), shares(n * longest, 0.0F);
  for (size_t b = 0; b < n; b++) {
    auto first = static_cast<size_t>(batch.begin[b]), length = static_cast<size_t>(batch.begin[b + 1]) - first;
    for (size_t i = 0; i < length; i++) {
      size_t to = b * longest + i;
      ids[to] = batch.ids[first + i];
      types[to] = batch.types == nullptr ? 0 : batch.types[first + i];
      absent[to] = 0.0F;
      shares[to] = 1.0F / static_cast<float>(length);
    }
  }
  auto rows = static_cast<int64_t>(n), length = static_cast<int64_t>(longest);
  return {rows,
          length,
          on_device(ids.data(), {rows * length}),
          on_device(types.data(), {rows * length}),
          on_device(absent.data(), {rows, 1, 1, length}),
          on_device(shares.data(), {rows, 1, length})};
}

Tensor tensor_bert::layer(const layer_leaves &w, const Tensor &x, const padded &batch, bool dropping,
                          bool only_cls) const {
  auto n = batch.n, length = batch.length, width = static_cast<int64_t>(D), count = static_cast<int64_t>(heads);
  int64_t rows = only_cls ? 1 : length, size = width / count;
  Tensor from = only_cls ? x.narrow(1, 0, 1) : x; // the rows that go on
  Tensor query = torch::linear(from, w.qkv.narrow(0, 0, width), w.qkv_bias.narrow(0, 0, width))
                     .view({n, rows, count, size})
                     .transpose(1, 2);
  Tensor both = torch::linear(x, w.qkv.narrow(0, width, 2 * width), w.qkv_bias.narrow(0, width, 2 * width))
                    .view({n, length, 2, count, size})
                    .permute({2, 0, 3, 1, 4});
  Tensor key = both.select(0, 0), value = both.select(0, 1); // n x heads x length x size
  Tensor scores = torch::matmul(query, key.transpose(2, 3)) * (1.0 / std::sqrt(static_cast<double>(size)));
  Tensor p = dropped(torch::softmax(scores + batch.absent, 3), dropping);
  Tensor mixed = torch::matmul(p, value).transpose(1, 2).reshape({n, rows, width});
  Tensor y = normalised(from + dropped(torch::linear(mixed, w.out, w.out_bias), dropping), w.norm1, w.shift1);
  Tensor wide = torch::gelu(torch::linear(y, w.wide, w.wide_bias)); // exact
  return normalised(y + dropped(torch::linear(wide, w.narrow, w.narrow_bias), dropping), w.norm2, w.shift2);
}

Tensor tensor_bert::states(const padded &batch, bool dropping, bool only_cls) {
  Tensor x = leaf("embeddings.word_embeddings.weight").index_select(0, batch.ids);
  if (config.types != 0) x = x + leaf("embeddings.token_type_embeddings.weight").index_select(0, batch.types);
  x = x.view({batch.n, batch.length, static_cast<int64_t>(D)}) +
      leaf("embeddings.position_embeddings.weight").narrow(0, 0, batch.length);
  x = dropped(normalised(x, leaf("embeddings.LayerNorm.weight"), leaf("embeddings.LayerNorm.bias")), dropping);
  for (size_t l = 0; l < layers.size(); l++)
    x = layer(layers[l], x, batch, dropping, only_cls && l + 1 == layers.size());
  return x;
}

Tensor tensor_bert::features(const al_torch_batch &batch, bool, bool dropping) {
  padded p = pad(batch);
  bool mean = config.pooling == AL_POOL_MEAN;
  Tensor last = states(p, dropping, !mean);
  return mean ? pool_mean(last, p) : config.pooling == AL_POOL_POOLER ? pool_pooler(last) : pool_cls(last);
}

void tensor_bert::encode(const al_torch_batch &batch, float *cls, float *mean, float *pooler) {
  torch::NoGradGuard no_grad;
  padded p = pad(batch);
  Tensor last = states(p, false, false);
  std::vector<int64_t> shape = {p.n, static_cast<int64_t>(D)};
  torch::from_blob(cls, shape).copy_(pool_cls(last));
  torch::from_blob(mean, shape).copy_(pool_mean(last, p));
  torch::from_blob(pooler, shape).copy_(pool_pooler(last));
}

tensor_bert::word_leaves tensor_bert::leaves_of(const word_head &head) {
  auto width = static_cast<int64_t>(D);
  return {joined_leaf(head.dense, {width, width}), joined_leaf(head.dense_bias, {width}),
          joined_leaf(head.norm, {width}), joined_leaf(head.shift, {width}),
          joined_leaf(head.bias, {static_cast<int64_t>(config.vocabulary)})};
}

// Mean over the picked states (m x D) of the cross-entropy between shares of candidates and their softmax. targets:
// where in the m x candidates matrix each share belongs.
Tensor tensor_bert::name_words(const word_leaves &head, const Tensor &picked, const Tensor &candidates,
                               const Tensor &targets, const Tensor &shares) {
  Tensor x = normalised(torch::gelu(torch::linear(picked, head.dense, head.dense_bias)), head.norm, head.shift);
  Tensor scores = torch::linear(x, leaf("embeddings.word_embeddings.weight").index_select(0, candidates),
                                head.bias.index_select(0, candidates));
  Tensor named = torch::log_softmax(scores, 1).reshape({-1}).index_select(0, targets);
  return (named * shares).sum() / -static_cast<double>(picked.size(0));
}

// NT-Xent of the batch's texts, pairs side by side.
Tensor tensor_bert::tell_apart(const Tensor &cls, double temperature) {
  int64_t n = cls.size(0);
  Tensor z = torch::linear(cls, leaf("alab.contrast.dense.weight"), leaf("alab.contrast.dense.bias"));
  Tensor unit = z / (z.square().sum(1, true) + 1e-24).sqrt();
  Tensor itself = torch::eye(n, torch::TensorOptions(torch::kBool).device(device));
  Tensor scores = (torch::matmul(unit, unit.t()) / temperature).masked_fill(itself, -INFINITY);
  std::vector<int64_t> partner(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; i++) partner[static_cast<size_t>(i)] = i * n + (i ^ 1);
  return torch::log_softmax(scores, 1).reshape({-1}).index_select(0, on_device(partner.data(), {n})).sum() /
         -static_cast<double>(n);
}

void tensor_bert::learn_pretext(const al_torch_batch &batch, const al_torch_pretext &p, double losses[3]) {
  padded texts = pad(batch);
  check_pretext(batch, p);
  reseed();
  Tensor last = states(texts, true, false).reshape({texts.n * texts.length, static_cast<int64_t>(D)});
  auto count = static_cast<int64_t>(p.candidate_count), width = texts.length;
  std::vector<int64_t> chosen(p.candidates, p.candidates + p.candidate_count), first(batch.n);
  for (size_t b = 0; b < batch.n; b++) first[b] = static_cast<int64_t>(b) * width;
  Tensor candidates = on_device(chosen.data(), {count}), total;
  Tensor cls = last.index_select(0, on_device(first.data(), {texts.n}));
  auto add = [&](double weight, const Tensor &loss) {
    total = total.defined() ? total + loss * weight : loss * weight;
    return loss.item<double>();
  };
  losses[0] = losses[1] = losses[2] = 0.0;
  if (p.mlm > 0.0 && p.masked != 0) {
    std::vector<int64_t> places(p.masked), targets(p.masked);
    std::vector<float> shares(p.masked, 1.0F);
    for (size_t i = 0; i < p.masked; i++) {
      auto text = static_cast<size_t>(std::upper_bound(batch.begin, batch.begin + batch.n + 1, p.positions[i]) -
                                      batch.begin - 1);
      places[i] = first[text] + p.positions[i] - batch.begin[text];
      targets[i] = static_cast<int64_t>(i) * count + p.targets[i];
    }
    auto m = static_cast<int64_t>(p.masked);
    losses[0] = add(p.mlm, name_words(leaves_of(masked_head), last.index_select(0, on_device(places.data(), {m})),
                                      candidates, on_device(targets.data(), {m}), on_device(shares.data(), {m})));
  }
  if (p.bow > 0.0) {
    int64_t m = p.bag_begin[batch.n];
    std::vector<int64_t> targets(static_cast<size_t>(m));
    for (size_t b = 0; b < batch.n; b++)
      for (int64_t k = p.bag_begin[b]; k < p.bag_begin[b + 1]; k++)
        targets[static_cast<size_t>(k)] = static_cast<int64_t>(b) * count + p.bag[k];
    losses[1] = add(p.bow, name_words(leaves_of(bag_head), cls, candidates, on_device(targets.data(), {m}),
                                      on_device(p.shares, {m})));
  }
  if (p.contrastive > 0.0) losses[2] = add(p.contrastive, tell_apart(cls, p.temperature));
  if (total.defined()) total.backward();
}

} // namespace

std::unique_ptr<al_torch_net> make_tensor_bert(const al_torch_config &config) {
  return std::make_unique<tensor_bert>(config);
}
