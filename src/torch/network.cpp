// Flat parameters, the head, and the optimiser. AdamW decays matrices only: biases and norms are left alone, as BERT's
// authors do. A row of the embedding table that no batch has used yet has moments of zero, so dense AdamW would only
// decay it: that is done at once, when it is first used or when somebody looks.
#include "torch/network.hpp"

#include <cblas.h>

#include <cmath>
#include <cstring>

al_torch_net::al_torch_net(const al_torch_config &c)
    : config(c), device(c.device == AL_DEVICE_CUDA ? torch::Device(torch::kCUDA, 0) : torch::Device(torch::kCPU)) {}

size_t al_torch_net::reserve(size_t count) {
  size_t offset = reserved;
  reserved += (count + 15) / 16 * 16;
  return offset;
}

void al_torch_net::add(const std::string &name, std::vector<int64_t> shape, size_t offset, bool buffer) {
  size_t count = 1;
  for (int64_t size : shape) count *= static_cast<size_t>(size);
  by_name[name] = slots.size();
  slots.push_back({name, std::move(shape), offset, count, buffer, !buffer});
}

void al_torch_net::add(const std::string &name, std::vector<int64_t> shape, bool buffer) {
  size_t count = 1;
  for (int64_t size : shape) count *= static_cast<size_t>(size);
  add(name, std::move(shape), reserve(count), buffer);
}

void al_torch_net::add_linear(const std::string &name, int64_t in, int64_t out) {
  add(name + ".weight", {out, in});
  add(name + ".bias", {out});
}

void al_torch_net::add_norm(const std::string &name, int64_t size, bool batch) {
  add(name + ".weight", {size});
  add(name + ".bias", {size});
  if (batch) {
    add(name + ".running_mean", {size}, true);
    add(name + ".running_var", {size}, true);
  }
}

void al_torch_net::allocate() {
  auto size = static_cast<int64_t>(reserved);
  values = torch::zeros({size}, device);
  gradients = torch::zeros({size}, device);
  if (table != none && !generic()) {
    active.assign(static_cast<size_t>(slots[table].shape[0]), 0);
    in_batch.assign(active.size(), 0);
  }
}

void al_torch_net::make_leaves() {
  leaves.clear();
  for (const slot &s : slots) {
    torch::Tensor leaf = view_of(values, s.offset, s.count, s.shape).detach();
    if (s.trained) {
      leaf.requires_grad_(true);
      leaf.mutable_grad() = view_of(gradients, s.offset, s.count, s.shape);
    }
    leaves.push_back(leaf);
  }
}

torch::Tensor al_torch_net::view_of(const torch::Tensor &flat, size_t offset, size_t count,
                                    const std::vector<int64_t> &shape) const {
  return flat.narrow(0, static_cast<int64_t>(offset), static_cast<int64_t>(count)).view(shape);
}

void al_torch_net::set(const slot &s, const float *from) {
  flush();
  auto count = static_cast<int64_t>(s.count);
  values.narrow(0, static_cast<int64_t>(s.offset), count).copy_(torch::from_blob(const_cast<float *>(from), {count}));
}

void al_torch_net::get(const slot &s, float *to) {
  flush();
  auto count = static_cast<int64_t>(s.count);
  torch::from_blob(to, {count}).copy_(values.narrow(0, static_cast<int64_t>(s.offset), count));
}

void al_torch_net::begin(uint64_t seed) {
  flush();
  restart();
  dropout = {seed, 0};
  first = torch::zeros_like(values);
  second = config.sgd ? torch::Tensor() : torch::zeros_like(values);
  gradients.zero_();
  steps = 0;
  touched.clear();
  std::fill(in_batch.begin(), in_batch.end(), 0);
  if (summed.defined()) summed.zero_();
  summed_rows.clear();
  std::fill(in_sum.begin(), in_sum.end(), 0);
  std::fill(active.begin(), active.end(), 0);
}

namespace {
struct state_head {
  uint64_t seed, used, steps;
  double decayed;
};
} // namespace

size_t al_torch_net::state_size() const {
  return sizeof(state_head) + (config.sgd ? 2 : 3) * reserved * sizeof(float) + active.size();
}

void al_torch_net::get_state(void *state) {
  TORCH_CHECK(first.defined(), "state before begin");
  state_head head = {dropout.seed, dropout.used, steps, decayed};
  auto *to = static_cast<uint8_t *>(state);
  size_t bytes = reserved * sizeof(float);
  std::memcpy(to, &head, sizeof head);
  to += sizeof head;
  for (torch::Tensor *part : {&values, &first, &second}) {
    if (!part->defined()) continue;
    torch::from_blob(to, part->sizes()).copy_(*part);
    to += bytes;
  }
  if (!active.empty()) std::memcpy(to, active.data(), active.size());
}

void al_torch_net::set_state(const void *state, size_t size) {
  TORCH_CHECK(size == state_size(), "the state is of another network");
  begin(0);
  state_head head{};
  auto *from = static_cast<uint8_t *>(const_cast<void *>(state)); // is only read: from_blob knows no const
  size_t bytes = reserved * sizeof(float);
  std::memcpy(&head, from, sizeof head);
  from += sizeof head;
  for (torch::Tensor *part : {&values, &first, &second}) {
    if (!part->defined()) continue;
    part->copy_(torch::from_blob(from, part->sizes()));
    from += bytes;
  }
  if (!active.empty()) std::memcpy(active.data(), from, active.size());
  dropout = {head.seed, head.used};
  steps = static_cast<size_t>(head.steps);
  decayed = head.decayed;
}

void al_torch_net::flush() {
  if (table == none || decayed == 1.0) return;
  size_t width = static_cast<size_t>(slots[table].shape[1]);
  for (size_t row = 0; row < active.size(); row++)
    if (!active[row]) kernels::scale(value(slots[table].offset) + row * width, static_cast<float>(decayed), width);
  decayed = 1.0;
}

void al_torch_net::use_rows(const al_torch_batch &batch) {
  size_t width = static_cast<size_t>(slots[table].shape[1]), offset = slots[table].offset;
  for (int32_t row : touched) {
    std::memset(gradient(offset) + static_cast<size_t>(row) * width, 0, width * sizeof(float));
    in_batch[static_cast<size_t>(row)] = 0;
  }
  touched.clear();
  use_more_rows(batch.ids, static_cast<size_t>(batch.begin[batch.n]));
}

void al_torch_net::use_more_rows(const int32_t *rows, size_t n) {
  size_t width = static_cast<size_t>(slots[table].shape[1]), offset = slots[table].offset;
  for (size_t i = 0; i < n; i++) {
    auto row = static_cast<size_t>(rows[i]);
    if (in_batch[row]) continue;
    in_batch[row] = 1;
    touched.push_back(rows[i]);
    if (!active[row] && decayed != 1.0) kernels::scale(value(offset) + row * width, static_cast<float>(decayed), width);
    active[row] = 1;
  }
}

void al_torch_net::clear_gradients() {
  if (generic()) {
    gradients.zero_();
    return;
  }
  for (size_t i = 0; i < slots.size(); i++)
    if (i != table && slots[i].trained) std::memset(gradient(slots[i].offset), 0, slots[i].count * sizeof(float));
}

double al_torch_net::gradients_of(const al_torch_batch &batch, const int32_t *labels) {
  TORCH_CHECK(first.defined(), "step before begin");
  for (size_t i = 0; i < batch.n; i++)
    TORCH_CHECK(labels[i] >= 0 && static_cast<size_t>(labels[i]) < config.classes, "a label is outside the classes");
  clear_gradients();
  return learn(batch, labels);
}

double al_torch_net::step(const al_torch_batch &batch, const int32_t *labels, double rate) {
  double loss = gradients_of(batch, labels);
  optimise(rate);
  return loss;
}

double al_torch_net::accumulate(const al_torch_batch &part, const int32_t *labels, double share) {
  double loss = gradients_of(part, labels);
  if (!summed.defined()) summed = torch::zeros_like(gradients);
  if (generic()) {
    summed.add_(gradients, share);
    return loss;
  }
  if (table != none) in_sum.resize(active.size(), 0);
  auto factor = static_cast<float>(share);
  auto add = [&](size_t offset, size_t count) {
    kernels::scale(gradient(offset), factor, count);
    kernels::add(gradient(offset), summed.data_ptr<float>() + offset, count);
  };
  for (size_t i = 0; i < slots.size(); i++)
    if (i != table && slots[i].trained) add(slots[i].offset, slots[i].count);
  size_t width = table == none ? 0 : static_cast<size_t>(slots[table].shape[1]);
  for (int32_t row : touched) {
    add(slots[table].offset + static_cast<size_t>(row) * width, width);
    if (in_sum[static_cast<size_t>(row)]) continue;
    in_sum[static_cast<size_t>(row)] = 1;
    summed_rows.push_back(row);
  }
  return loss;
}

void al_torch_net::update(double rate) {
  TORCH_CHECK(summed.defined(), "update before accumulate");
  if (generic()) {
    gradients.copy_(summed);
    summed.zero_();
    optimise(rate);
    return;
  }
  auto take = [&](size_t offset, size_t count) {
    float *from = summed.data_ptr<float>() + offset;
    std::memcpy(gradient(offset), from, count * sizeof *from);
    std::memset(from, 0, count * sizeof *from);
  };
  for (size_t i = 0; i < slots.size(); i++)
    if (i != table && slots[i].trained) take(slots[i].offset, slots[i].count);
  size_t width = table == none ? 0 : static_cast<size_t>(slots[table].shape[1]);
  for (int32_t row : summed_rows) {
    take(slots[table].offset + static_cast<size_t>(row) * width, width);
    in_sum[static_cast<size_t>(row)] = 0;
    if (in_batch[static_cast<size_t>(row)]) continue;
    in_batch[static_cast<size_t>(row)] = 1; // so that the next batch clears its gradient
    touched.push_back(row);
  }
  summed_rows.clear();
  optimise(rate);
}

void al_torch_net::pretrain(const al_torch_batch &batch, const al_torch_pretext &pretext, double rate,
                            double losses[3]) {
  TORCH_CHECK(first.defined(), "step before begin");
  clear_gradients();
  learn_pretext(batch, pretext, losses);
  optimise(rate);
}

void al_torch_net::learn_pretext(const al_torch_batch &, const al_torch_pretext &, double[3]) {
  TORCH_CHECK(false, "this network has no self-supervised objectives of its own");
}

void al_torch_net::encode(const al_torch_batch &, float *, float *, float *) {
  TORCH_CHECK(false, "only a BERT encodes tokens");
}

void al_torch_net::optimise(double rate) {
  if (generic()) {
    optimise_generic(rate);
    return;
  }
  float shrink = 1.0F;
  size_t width = table == none ? 0 : static_cast<size_t>(slots[table].shape[1]);
  if (config.clip > 0.0) {
    double squared = 0.0;
    for (size_t i = 0; i < slots.size(); i++)
      if (i != table && slots[i].trained) squared += kernels::squared_norm(gradient(slots[i].offset), slots[i].count);
    for (int32_t row : touched)
      squared += kernels::squared_norm(gradient(slots[table].offset) + static_cast<size_t>(row) * width, width);
    double norm = std::sqrt(squared);
    if (norm > config.clip) shrink = static_cast<float>(config.clip / (norm + 1e-6));
  }
  steps++;
  auto t = static_cast<double>(steps);
  kernels::adam_step adam = {static_cast<float>(rate), 1.0F, shrink, static_cast<float>(1.0 - std::pow(0.9, t)),
                             static_cast<float>(1.0 - std::pow(0.999, t))};
  auto update = [&](size_t offset, size_t count, bool matrix) {
    float *p = value(offset), *g = gradient(offset), *m = first.data_ptr<float>() + offset;
    if (config.sgd) {
      kernels::sgd(p, g, m, count, static_cast<float>(rate), matrix ? static_cast<float>(config.weight_decay) : 0.0F,
                   shrink);
    } else {
      adam.decay = matrix ? static_cast<float>(1.0 - rate * config.weight_decay) : 1.0F;
      kernels::adamw(p, g, m, second.data_ptr<float>() + offset, count, adam);
    }
  };
  for (size_t i = 0; i < slots.size(); i++) {
    const slot &s = slots[i];
    if (!s.trained) continue;
    if (i != table || config.sgd) {
      update(s.offset, s.count, s.shape.size() > 1);
      continue;
    }
    for (size_t row = 0; row < active.size(); row++)
      if (active[row]) update(s.offset + row * width, width, true);
    decayed *= 1.0 - rate * config.weight_decay;
  }
}

static void product(const float *a, const float *b, float *out, size_t n, size_t m, size_t k, bool b_transposed,
                    float beta) {
  cblas_sgemm(CblasRowMajor, CblasNoTrans, b_transposed ? CblasTrans : CblasNoTrans, static_cast<int>(n),
              static_cast<int>(m), static_cast<int>(k), 1.0F, a, static_cast<int>(k), b,
              static_cast<int>(b_transposed ? k : m), beta, out, static_cast<int>(m));
}

// Softmax of n rows of logits, in place; small, so in plain order.
static void probabilities(float *logits, size_t n, size_t classes) {
  for (size_t i = 0; i < n; i++) {
    float *row = logits + i * classes, most = row[0];
    double sum = 0.0;
    for (size_t c = 1; c < classes; c++) most = row[c] > most ? row[c] : most;
    for (size_t c = 0; c < classes; c++) {
      row[c] = std::exp(row[c] - most);
      sum += row[c];
    }
    for (size_t c = 0; c < classes; c++) row[c] = static_cast<float>(row[c] / sum);
  }
}

void al_torch_net::head_probs(const float *h, size_t n, float *probs) {
  std::string name = head();
  product(h, value(name + ".weight"), probs, n, config.classes, width(), true, 0.0F);
  kernels::add_bias(probs, value(name + ".bias"), n, config.classes);
  probabilities(probs, n, config.classes);
}

double al_torch_net::head_loss(float *h, size_t n, const int32_t *labels) {
  size_t D = width(), C = config.classes;
  std::string name = head();
  float scale = static_cast<float>(1.0 / (1.0 - config.dropout));
  bool dropping = config.dropout > 0.0;
  if (dropping) {
    head_mask.resize(n * D);
    dropout.fill(head_mask.data(), n * D, config.dropout);
    kernels::drop(h, head_mask.data(), scale, h, n * D);
  }
  logits.resize(n * C);
  head_probs(h, n, logits.data());
  double loss = 0.0, total = 0.0;
  auto weight_of = [&](size_t i) {
    return class_weights.empty() ? 1.0 : static_cast<double>(class_weights[static_cast<size_t>(labels[i])]);
  };
  for (size_t i = 0; i < n; i++) total += weight_of(i);
  TORCH_CHECK(total > 0.0, "the classes of a batch have no weight");
  for (size_t i = 0; i < n; i++) {
    float &p = logits[i * C + static_cast<size_t>(labels[i])];
    loss -= weight_of(i) * std::log(std::max(static_cast<double>(p), 1e-37));
    if (std::isnan(p)) loss = NAN;
    p -= 1.0F;
    if (!class_weights.empty()) kernels::scale(logits.data() + i * C, static_cast<float>(weight_of(i)), C);
  }
  kernels::scale(logits.data(), 1.0F / static_cast<float>(total), n * C);
  cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, static_cast<int>(C), static_cast<int>(D), static_cast<int>(n),
              1.0F, logits.data(), static_cast<int>(C), h, static_cast<int>(D), 0.0F, gradient(name + ".weight"),
              static_cast<int>(D));
  kernels::add_column_sums(logits.data(), n, C, C, gradient(name + ".bias"));
  product(logits.data(), value(name + ".weight"), h, n, D, C, false, 0.0F);
  if (dropping) kernels::drop(h, head_mask.data(), scale, h, n * D);
  return loss / total;
}

void al_torch_net::predict(const al_torch_batch &batch, bool stochastic, float *probs, float *h) {
  if (generic()) {
    predict_generic(batch, stochastic, probs, h);
    return;
  }
  flush();
  size_t n = batch.n, D = width();
  std::vector<float> own;
  if (h == nullptr || stochastic) {
    own.resize(n * D);
    embed(batch, stochastic, own.data());
    if (h != nullptr) std::memcpy(h, own.data(), n * D * sizeof(float));
    h = own.data();
  } else {
    embed(batch, false, h);
  }
  if (probs == nullptr) return;
  if (stochastic && config.dropout > 0.0) {
    head_mask.resize(n * D);
    dropout.fill(head_mask.data(), n * D, config.dropout);
    kernels::drop(h, head_mask.data(), static_cast<float>(1.0 / (1.0 - config.dropout)), h, n * D);
  }
  head_probs(h, n, probs);
}
