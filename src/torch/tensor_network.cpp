// The steps of network.cpp in tensor operations, for any device: the same head, loss, clipping and optimisers, over
// whole flat buffers. Rows of an embedding table that no batch has used are stepped with all others here: moments and
// gradient of zero leave AdamW the decay alone, which is what network.cpp owes them.
//
// Every operation that is used has a deterministic form on a GPU: rows are picked with index_select, whose way back is
// deterministic there, and losses are sums of products with a matrix or a list of shares.
#include "torch/network.hpp"

#include <Random123/philox.h>
#include <cmath>

using torch::Tensor;

torch::Tensor al_torch_net::joined_leaf(size_t offset, std::vector<int64_t> shape) {
  size_t count = 1;
  for (int64_t size : shape) count *= static_cast<size_t>(size);
  Tensor leaf = view_of(values, offset, count, shape).detach().requires_grad_(true);
  leaf.mutable_grad() = view_of(gradients, offset, count, shape);
  return leaf;
}

void al_torch_net::reseed() {
  philox4x64_key_t key = {{dropout.seed, 0x70617373 /* "pass" */}};
  philox4x64_ctr_t counter = {{dropout.used++, 0, 0, 0}};
  torch::manual_seed(philox4x64(counter, key).v[0]); // every device's generator
}

Tensor al_torch_net::dropped(const Tensor &x, bool dropping) const {
  return dropping && config.dropout > 0.0 ? torch::dropout(x, config.dropout, true) : x;
}

Tensor al_torch_net::features(const al_torch_batch &, bool, bool) {
  TORCH_CHECK(false, "this network is not written in tensor operations");
}

void al_torch_net::embed(const al_torch_batch &, bool, float *) {
  TORCH_CHECK(false, "this network is written in tensor operations only");
}

double al_torch_net::learn(const al_torch_batch &batch, const int32_t *labels) {
  auto n = static_cast<int64_t>(batch.n), classes = static_cast<int64_t>(config.classes);
  std::vector<float> shares(batch.n * config.classes, 0.0F); // n x C: a row's weight at its label
  double total = 0.0;
  for (size_t i = 0; i < batch.n; i++) {
    auto label = static_cast<size_t>(labels[i]);
    float weight = class_weights.empty() ? 1.0F : class_weights[label];
    shares[i * config.classes + label] = weight;
    total += weight;
  }
  TORCH_CHECK(total > 0.0, "the classes of a batch have no weight");
  reseed();
  std::string name = head();
  Tensor h = dropped(features(batch, true, true), true);
  Tensor logits = torch::linear(h, leaf(name + ".weight"), leaf(name + ".bias"));
  Tensor loss = (torch::log_softmax(logits, 1) * on_device(shares.data(), {n, classes})).sum() / -total;
  loss.backward();
  return loss.item<double>();
}

void al_torch_net::predict_generic(const al_torch_batch &batch, bool stochastic, float *probs, float *h) {
  torch::NoGradGuard no_grad;
  if (stochastic) reseed();
  Tensor x = features(batch, false, stochastic);
  if (h != nullptr) torch::from_blob(h, x.sizes()).copy_(x);
  if (probs == nullptr) return;
  std::string name = head();
  Tensor p = torch::softmax(torch::linear(dropped(x, stochastic), leaf(name + ".weight"), leaf(name + ".bias")), 1);
  torch::from_blob(probs, p.sizes()).copy_(p);
}

void al_torch_net::optimise_generic(double rate) {
  torch::NoGradGuard no_grad;
  if (!decays.defined()) {
    decays = torch::zeros_like(values);
    for (const slot &s : slots)
      if (s.trained && s.shape.size() > 1)
        decays.narrow(0, static_cast<int64_t>(s.offset), static_cast<int64_t>(s.count)).fill_(1.0);
  }
  if (config.clip > 0.0) {
    double norm = torch::linalg_vector_norm(gradients, 2, {}, false, torch::kDouble).item<double>();
    if (norm > config.clip) gradients.mul_(config.clip / (norm + 1e-6));
  }
  steps++;
  if (config.sgd) {
    first.mul_(0.9).add_(gradients).addcmul_(decays, values, config.weight_decay);
    values.sub_(first, rate);
    return;
  }
  auto t = static_cast<double>(steps);
  double correction1 = 1.0 - std::pow(0.9, t), correction2 = 1.0 - std::pow(0.999, t);
  first.mul_(0.9).add_(gradients, 0.1);
  second.mul_(0.999).addcmul_(gradients, gradients, 0.001);
  values.addcmul_(values, decays, -rate * config.weight_decay);
  values.addcdiv_(first, second.sqrt().mul_(1.0 / std::sqrt(correction2)).add_(1e-8), -rate / correction1);
}
