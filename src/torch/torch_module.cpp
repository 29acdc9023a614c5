// BERT and ResNet in libtorch, behind al_torch.h. Nothing here knows of files, data or rounds: arithmetic only.
//
// Parameters are kept under the names that Hugging Face and torchvision give them. The last layer of a [CLS]-pooled
// encoder needs keys and values of all tokens, but query, output and feed-forward of one: that half of its work is left
// out.
#include "torch/al_torch.h"

#include <torch/torch.h>
#include <torch/version.h>

#include <map>
#include <string>
#include <vector>

namespace F = torch::nn::functional;
using torch::Tensor;

static thread_local std::string last_message;

template <typename Body> static int guarded(Body body) {
  try {
    body();
    return 0;
  } catch (const std::exception &error) {
    last_message = error.what();
    auto end = last_message.find('\n');
    if (end != std::string::npos) last_message.resize(end);
  } catch (...) {
    last_message = "unknown C++ exception";
  }
  return 1;
}

struct al_torch_net {
  al_torch_config config;
  std::vector<std::string> names;
  std::map<std::string, Tensor> tensors;
  std::vector<bool> is_buffer;
  std::unique_ptr<torch::optim::Optimizer> optimiser;

  Tensor &operator[](const std::string &name) { return tensors.at(name); }

  void add(const std::string &name, std::vector<int64_t> shape, bool buffer = false) {
    Tensor tensor = torch::zeros(shape);
    if (!buffer) tensor.requires_grad_(true);
    names.push_back(name);
    is_buffer.push_back(buffer);
    tensors.emplace(name, tensor);
  }

  void add_linear(const std::string &name, int64_t in, int64_t out) {
    add(name + ".weight", {out, in});
    add(name + ".bias", {out});
  }

  void add_norm(const std::string &name, int64_t width, bool batch) {
    add(name + ".weight", {width});
    add(name + ".bias", {width});
    if (batch) {
      add(name + ".running_mean", {width}, true);
      add(name + ".running_var", {width}, true);
    }
  }

  Tensor linear(const Tensor &x, const std::string &name) {
    return F::linear(x, (*this)[name + ".weight"], (*this)[name + ".bias"]);
  }
};

// ---- BERT ----

static void make_bert(al_torch_net &net) {
  const auto &c = net.config;
  int64_t width = (int64_t)c.width, inner = (int64_t)c.inner;
  net.add("embeddings.word_embeddings.weight", {(int64_t)c.vocabulary, width});
  net.add("embeddings.position_embeddings.weight", {(int64_t)c.positions, width});
  net.add("embeddings.token_type_embeddings.weight", {(int64_t)c.types, width});
  net.add_norm("embeddings.LayerNorm", width, false);
  for (size_t l = 0; l < c.layers; l++) {
    std::string at = "encoder.layer." + std::to_string(l) + ".";
    for (const char *part : {"query", "key", "value"}) net.add_linear(at + "attention.self." + part, width, width);
    net.add_linear(at + "attention.output.dense", width, width);
    net.add_norm(at + "attention.output.LayerNorm", width, false);
    net.add_linear(at + "intermediate.dense", width, inner);
    net.add_linear(at + "output.dense", inner, width);
    net.add_norm(at + "output.LayerNorm", width, false);
  }
  net.add_linear("pooler.dense", width, width);
  net.add_linear("classifier", width, (int64_t)c.classes);
}

static Tensor layer_norm(al_torch_net &net, const Tensor &x, const std::string &name) {
  return torch::layer_norm(x, {(int64_t)net.config.width}, net[name + ".weight"], net[name + ".bias"], 1e-12);
}

// Hidden states after the last layer: n x T x width, or n x 1 x width where only [CLS] is asked for.
static Tensor bert_states(al_torch_net &net, const Tensor &ids, const Tensor &types, const Tensor &mask, bool active,
                          bool only_cls) {
  const auto &c = net.config;
  int64_t n = ids.size(0), length = ids.size(1), heads = (int64_t)c.heads, size = (int64_t)(c.width / c.heads);
  Tensor x = torch::embedding(net["embeddings.word_embeddings.weight"], ids) +
             net["embeddings.position_embeddings.weight"].slice(0, 0, length).unsqueeze(0) +
             torch::embedding(net["embeddings.token_type_embeddings.weight"], types);
  x = torch::dropout(layer_norm(net, x, "embeddings.LayerNorm"), c.dropout, active);
  for (size_t l = 0; l < c.layers; l++) {
    std::string at = "encoder.layer." + std::to_string(l) + ".";
    bool cls = only_cls && l + 1 == c.layers;
    Tensor from = cls ? x.slice(1, 0, 1) : x;
    auto split = [&](const Tensor &t) { return t.view({n, t.size(1), heads, size}).transpose(1, 2); };
    Tensor q = split(net.linear(from, at + "attention.self.query")),
           k = split(net.linear(x, at + "attention.self.key"));
    Tensor v = split(net.linear(x, at + "attention.self.value"));
    Tensor scores = torch::matmul(q, k.transpose(2, 3)) * (1.0 / std::sqrt((double)size)) + mask;
    Tensor weights = torch::dropout(torch::softmax(scores, -1), c.dropout, active);
    Tensor mixed = torch::matmul(weights, v).transpose(1, 2).reshape({n, from.size(1), (int64_t)c.width});
    Tensor attended = torch::dropout(net.linear(mixed, at + "attention.output.dense"), c.dropout, active);
    Tensor y = layer_norm(net, from + attended, at + "attention.output.LayerNorm");
    Tensor wide = torch::gelu(net.linear(y, at + "intermediate.dense"));
    Tensor out = torch::dropout(net.linear(wide, at + "output.dense"), c.dropout, active);
    x = layer_norm(net, y + out, at + "output.LayerNorm");
  }
  return x;
}

struct padded {
  Tensor ids, types, mask, real; // n x T, n x T, n x 1 x 1 x T (0 or -inf), n x T x 1 (1 or 0)
};

static padded pad(const al_torch_net &net, const al_torch_batch &batch) {
  int64_t n = (int64_t)batch.n, longest = 1;
  for (size_t i = 0; i < batch.n; i++) longest = std::max(longest, batch.begin[i + 1] - batch.begin[i]);
  TORCH_CHECK(longest <= (int64_t)net.config.positions, "a sequence is longer than the model has positions");
  padded p{torch::zeros({n, longest}, torch::kLong), torch::zeros({n, longest}, torch::kLong),
           torch::zeros({n, 1, 1, longest}), torch::ones({n, longest, 1})};
  auto ids = p.ids.accessor<int64_t, 2>();
  auto types = p.types.accessor<int64_t, 2>();
  auto mask = p.mask.accessor<float, 4>();
  auto real = p.real.accessor<float, 3>();
  for (int64_t i = 0; i < n; i++) {
    int64_t length = batch.begin[i + 1] - batch.begin[i];
    for (int64_t t = 0; t < longest; t++) {
      if (t < length) {
        int64_t id = batch.ids[batch.begin[i] + t];
        TORCH_CHECK(id >= 0 && id < (int64_t)net.config.vocabulary, "a token id is outside the vocabulary");
        ids[i][t] = id;
        types[i][t] = batch.types == nullptr ? 0 : batch.types[batch.begin[i] + t];
      } else {
        mask[i][0][0][t] = -INFINITY;
        real[i][t][0] = 0.0F;
      }
    }
  }
  return p;
}

static Tensor mean_of(const Tensor &states, const Tensor &real) { return (states * real).sum(1) / real.sum(1); }

static Tensor bert_h(al_torch_net &net, const al_torch_batch &batch, bool active) {
  padded p = pad(net, batch);
  Tensor states = bert_states(net, p.ids, p.types, p.mask, active, net.config.pooling != AL_POOL_MEAN);
  if (net.config.pooling == AL_POOL_MEAN) return mean_of(states, p.real);
  Tensor cls = states.select(1, 0);
  return net.config.pooling == AL_POOL_POOLER ? torch::tanh(net.linear(cls, "pooler.dense")) : cls;
}

// ---- ResNet-18 ----

static int64_t stage_channels(const al_torch_config &c, size_t stage) { return (int64_t)(c.stage_width << stage); }

static void make_resnet(al_torch_net &net) {
  const auto &c = net.config;
  int64_t first = (int64_t)c.stage_width, kernel = c.stem == AL_STEM_IMAGENET ? 7 : 3;
  net.add("conv1.weight", {first, (int64_t)c.channels, kernel, kernel});
  net.add_norm("bn1", first, true);
  for (size_t s = 0; s < c.stages; s++)
    for (int b = 0; b < 2; b++) {
      std::string at = "layer" + std::to_string(s + 1) + "." + std::to_string(b) + ".";
      int64_t out = stage_channels(c, s), in = b == 0 && s > 0 ? stage_channels(c, s - 1) : out;
      net.add(at + "conv1.weight", {out, in, 3, 3});
      net.add_norm(at + "bn1", out, true);
      net.add(at + "conv2.weight", {out, out, 3, 3});
      net.add_norm(at + "bn2", out, true);
      if (in != out) {
        net.add(at + "downsample.0.weight", {out, in, 1, 1});
        net.add_norm(at + "downsample.1", out, true);
      }
    }
  net.add_linear("fc", stage_channels(c, c.stages - 1), (int64_t)c.classes);
}

static Tensor batch_norm(al_torch_net &net, const Tensor &x, const std::string &name, bool training) {
  return torch::batch_norm(x, net[name + ".weight"], net[name + ".bias"], net[name + ".running_mean"],
                           net[name + ".running_var"], training, 0.1, 1e-5, false);
}

static Tensor conv(al_torch_net &net, const Tensor &x, const std::string &name, int64_t stride, int64_t padding) {
  return torch::conv2d(x, net[name + ".weight"], {}, stride, padding);
}

// Feature maps after `stages` stages.
static Tensor resnet_maps(al_torch_net &net, Tensor x, bool training, size_t stages) {
  int stem = net.config.stem;
  x = conv(net, x, "conv1", stem == AL_STEM_3X3S1 ? 1 : 2, stem == AL_STEM_IMAGENET ? 3 : 1);
  x = torch::relu(batch_norm(net, x, "bn1", training));
  if (stem == AL_STEM_IMAGENET) x = torch::max_pool2d(x, 3, 2, 1);
  for (size_t s = 0; s < stages; s++)
    for (int b = 0; b < 2; b++) {
      std::string at = "layer" + std::to_string(s + 1) + "." + std::to_string(b) + ".";
      int64_t stride = b == 0 && s > 0 ? 2 : 1;
      Tensor y = torch::relu(batch_norm(net, conv(net, x, at + "conv1", stride, 1), at + "bn1", training));
      y = batch_norm(net, conv(net, y, at + "conv2", 1, 1), at + "bn2", training);
      if (net.tensors.count(at + "downsample.0.weight") != 0)
        x = batch_norm(net, conv(net, x, at + "downsample.0", stride, 0), at + "downsample.1", training);
      x = torch::relu(x + y);
    }
  return x;
}

static Tensor normalised_pixels(const al_torch_net &net, const al_torch_batch &batch) {
  const auto &c = net.config;
  int64_t n = (int64_t)batch.n, h = (int64_t)batch.height, w = (int64_t)batch.width;
  Tensor raw = torch::from_blob(const_cast<uint8_t *>(batch.pixels), {n, (int64_t)c.channels, h, w}, torch::kUInt8);
  Tensor x = raw.to(torch::kFloat).div_(255.0);
  Tensor mean = torch::empty({1, (int64_t)c.channels, 1, 1}), scale = torch::empty({1, (int64_t)c.channels, 1, 1});
  for (size_t i = 0; i < c.channels; i++) {
    mean[0][(int64_t)i][0][0] = c.mean[i];
    scale[0][(int64_t)i][0][0] = 1.0 / c.deviation[i];
  }
  return x.sub_(mean).mul_(scale);
}

static Tensor resnet_h(al_torch_net &net, const al_torch_batch &batch, bool training) {
  return resnet_maps(net, normalised_pixels(net, batch), training, net.config.stages).mean({2, 3});
}

// ---- both ----

static Tensor logits_of(al_torch_net &net, const Tensor &h, bool active) {
  double rate = net.config.dropout;
  return net.linear(torch::dropout(h, rate, active), net.config.kind == AL_TORCH_BERT ? "classifier" : "fc");
}

static int net_create(al_torch_net **out, const al_torch_config *config) {
  *out = nullptr;
  return guarded([&] {
    torch::set_num_threads(1);
    at::globalContext().setDeterministicAlgorithms(true, false);
    auto net = std::make_unique<al_torch_net>();
    net->config = *config;
    if (config->kind == AL_TORCH_BERT)
      make_bert(*net);
    else
      make_resnet(*net);
    *out = net.release();
  });
}

static void net_free(al_torch_net *net) { delete net; }
static size_t net_tensors(const al_torch_net *net) { return net->names.size(); }

static int net_tensor(const al_torch_net *net, size_t which, al_torch_tensor *out) {
  return guarded([&] {
    const Tensor &t = net->tensors.at(net->names.at(which));
    *out = al_torch_tensor{
        net->names[which].c_str(), (size_t)t.dim(), {0, 0, 0, 0}, (size_t)t.numel(), net->is_buffer[which]};
    for (int64_t i = 0; i < t.dim(); i++) out->shape[i] = (size_t)t.size(i);
  });
}

static int net_set(al_torch_net *net, size_t which, const float *values) {
  return guarded([&] {
    torch::NoGradGuard no_grad;
    Tensor &t = net->tensors.at(net->names.at(which));
    t.copy_(torch::from_blob(const_cast<float *>(values), t.sizes(), torch::kFloat));
  });
}

static int net_get(const al_torch_net *net, size_t which, float *values) {
  return guarded([&] {
    const Tensor &t = net->tensors.at(net->names.at(which));
    torch::from_blob(values, t.sizes(), torch::kFloat).copy_(t.detach());
  });
}

// Weight matrices decay; biases and norms do not, as is the habit of BERT's authors.
static int net_begin(al_torch_net *net, uint64_t seed) {
  return guarded([&] {
    torch::manual_seed(seed);
    std::vector<Tensor> decayed, plain;
    for (size_t i = 0; i < net->names.size(); i++) {
      Tensor &t = (*net)[net->names[i]];
      if (net->is_buffer[i]) continue;
      // the pooler is trained only where it is used
      if (net->config.kind == AL_TORCH_BERT && net->config.pooling != AL_POOL_POOLER &&
          net->names[i].rfind("pooler.", 0) == 0)
        continue;
      t.mutable_grad() = Tensor();
      (t.dim() > 1 ? decayed : plain).push_back(t);
    }
    if (net->config.sgd) {
      auto options = torch::optim::SGDOptions(0.01).momentum(0.9);
      auto with_decay = torch::optim::SGDOptions(0.01).momentum(0.9).weight_decay(net->config.weight_decay);
      std::vector<torch::optim::OptimizerParamGroup> groups;
      groups.emplace_back(decayed, std::make_unique<torch::optim::SGDOptions>(with_decay));
      groups.emplace_back(plain, std::make_unique<torch::optim::SGDOptions>(options));
      net->optimiser = std::make_unique<torch::optim::SGD>(groups, options);
    } else {
      auto options = torch::optim::AdamWOptions(1e-3).weight_decay(0.0);
      auto with_decay = torch::optim::AdamWOptions(1e-3).weight_decay(net->config.weight_decay);
      std::vector<torch::optim::OptimizerParamGroup> groups;
      groups.emplace_back(decayed, std::make_unique<torch::optim::AdamWOptions>(with_decay));
      groups.emplace_back(plain, std::make_unique<torch::optim::AdamWOptions>(options));
      net->optimiser = std::make_unique<torch::optim::AdamW>(groups, options);
    }
  });
}

static Tensor h_of(al_torch_net &net, const al_torch_batch &batch, bool training) {
  return net.config.kind == AL_TORCH_BERT ? bert_h(net, batch, training) : resnet_h(net, batch, training);
}

static int net_step(al_torch_net *net, const al_torch_batch *batch, const int32_t *labels, double rate, double *loss) {
  return guarded([&] {
    TORCH_CHECK(net->optimiser != nullptr, "step before begin");
    Tensor target = torch::empty({(int64_t)batch->n}, torch::kLong);
    for (size_t i = 0; i < batch->n; i++) target[(int64_t)i] = (int64_t)labels[i];
    for (auto &group : net->optimiser->param_groups()) {
      if (net->config.sgd)
        static_cast<torch::optim::SGDOptions &>(group.options()).lr(rate);
      else
        static_cast<torch::optim::AdamWOptions &>(group.options()).lr(rate);
    }
    net->optimiser->zero_grad();
    Tensor value = F::cross_entropy(logits_of(*net, h_of(*net, *batch, true), true), target);
    value.backward();
    if (net->config.clip > 0.0) {
      double squared = 0.0;
      for (auto &group : net->optimiser->param_groups())
        for (auto &p : group.params())
          if (p.grad().defined()) squared += std::pow(p.grad().norm().item<double>(), 2.0);
      double norm = std::sqrt(squared);
      if (norm > net->config.clip)
        for (auto &group : net->optimiser->param_groups())
          for (auto &p : group.params())
            if (p.grad().defined()) p.mutable_grad().mul_(net->config.clip / (norm + 1e-6));
    }
    net->optimiser->step();
    *loss = value.item<double>();
  });
}

static void put(const Tensor &from, float *to) { torch::from_blob(to, from.sizes(), torch::kFloat).copy_(from); }

static int net_predict(al_torch_net *net, const al_torch_batch *batch, int stochastic, float *probs, float *h) {
  return guarded([&] {
    torch::NoGradGuard no_grad;
    // dropout may be active, batch norm never learns here
    Tensor hidden =
        net->config.kind == AL_TORCH_BERT ? bert_h(*net, *batch, stochastic != 0) : resnet_h(*net, *batch, false);
    if (h != nullptr) put(hidden, h);
    if (probs != nullptr) put(torch::softmax(logits_of(*net, hidden, stochastic != 0), -1), probs);
  });
}

static int seed_torch(uint64_t seed) {
  return guarded([&] { torch::manual_seed(seed); });
}

static int net_stage_features(al_torch_net *net, const float *input, size_t n, size_t height, size_t width,
                              size_t stage, float *out) {
  return guarded([&] {
    torch::NoGradGuard no_grad;
    Tensor x = torch::from_blob(const_cast<float *>(input),
                                {(int64_t)n, (int64_t)net->config.channels, (int64_t)height, (int64_t)width});
    put(resnet_maps(*net, x, false, stage).mean({2, 3}), out);
  });
}

static int net_encode(al_torch_net *net, const al_torch_batch *batch, float *cls, float *mean, float *pooler) {
  return guarded([&] {
    torch::NoGradGuard no_grad;
    padded p = pad(*net, *batch);
    Tensor states = bert_states(*net, p.ids, p.types, p.mask, false, false), first = states.select(1, 0);
    put(first, cls);
    put(mean_of(states, p.real), mean);
    put(torch::tanh(net->linear(first, "pooler.dense")), pooler);
  });
}

static const char *message() { return last_message.c_str(); }
static const char *version() { return TORCH_VERSION; }

extern "C" __attribute__((visibility("default"))) const al_torch_api *al_torch_module(void) {
  static const al_torch_api api = {
      net_create, net_free,    net_tensors, net_tensor,         net_set,    net_get, net_begin,
      net_step,   net_predict, seed_torch,  net_stage_features, net_encode, message, version};
  return &api;
}
