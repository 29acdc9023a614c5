// ResNet-18 and -50 (He et al. 2016; the stride of a bottleneck is in its 3x3 convolution, as torchvision has it) of
// any width and number of stages: libtorch's convolutions (oneDNN, or cuDNN) and autograd, the rest of a step as in
// network.cpp.
#include "torch/network.hpp"

#include <cstring>

namespace {

using torch::Tensor;

struct norm_names {
  std::string weight, bias, mean, variance;
};

class resnet : public al_torch_net {
public:
  explicit resnet(const al_torch_config &c);
  Tensor features(const al_torch_batch &batch, bool training, bool dropping) override;
  double learn(const al_torch_batch &batch, const int32_t *labels) override;
  void embed(const al_torch_batch &batch, bool stochastic, float *h) override;
  size_t width() const override {
    return static_cast<size_t>(expansion()) * (config.stage_width << (config.stages - 1));
  }
  const char *head() const override { return "fc"; }
  // Feature maps after `stages` stages.
  Tensor maps(Tensor x, bool training, size_t stages);

private:
  bool deep() const { return config.depth == 50; }
  int64_t expansion() const { return deep() ? 4 : 1; }
  int blocks(size_t stage) const {
    static constexpr int of_50[4] = {3, 4, 6, 3};
    return deep() ? of_50[stage] : 2;
  }
  Tensor conv(const Tensor &x, const std::string &name, int64_t stride, int64_t padding) {
    return torch::conv2d(x, leaf(name + ".weight"), {}, stride, padding);
  }
  Tensor norm(const Tensor &x, const std::string &name, bool training) {
    return torch::batch_norm(x, leaf(name + ".weight"), leaf(name + ".bias"), leaf(name + ".running_mean"),
                             leaf(name + ".running_var"), training, 0.1, 1e-5, false);
  }
  Tensor normalised(const al_torch_batch &batch) const;
};

resnet::resnet(const al_torch_config &c) : al_torch_net(c) {
  TORCH_CHECK(c.stages >= 1 && c.stages <= 4 && (c.channels == 1 || c.channels == 3), "stages or channels");
  auto first = static_cast<int64_t>(c.stage_width), kernel = static_cast<int64_t>(c.stem == AL_STEM_IMAGENET ? 7 : 3);
  add("conv1.weight", {first, static_cast<int64_t>(c.channels), kernel, kernel});
  add_norm("bn1", first, true);
  int64_t in = first;
  for (size_t s = 0; s < c.stages; s++)
    for (int b = 0; b < blocks(s); b++) {
      std::string at = "layer" + std::to_string(s + 1) + "." + std::to_string(b) + ".";
      int64_t inner = first << s, out = inner * expansion();
      if (deep()) {
        add(at + "conv1.weight", {inner, in, 1, 1});
        add_norm(at + "bn1", inner, true);
        add(at + "conv2.weight", {inner, inner, 3, 3});
        add_norm(at + "bn2", inner, true);
        add(at + "conv3.weight", {out, inner, 1, 1});
        add_norm(at + "bn3", out, true);
      } else {
        add(at + "conv1.weight", {out, in, 3, 3});
        add_norm(at + "bn1", out, true);
        add(at + "conv2.weight", {out, out, 3, 3});
        add_norm(at + "bn2", out, true);
      }
      if (in != out) {
        add(at + "downsample.0.weight", {out, in, 1, 1});
        add_norm(at + "downsample.1", out, true);
      }
      in = out;
    }
  add_linear("fc", in, static_cast<int64_t>(c.classes));
  allocate();
  make_leaves();
}

Tensor resnet::maps(Tensor x, bool training, size_t stages) {
  int stem = config.stem;
  x = conv(x, "conv1", stem == AL_STEM_3X3S1 ? 1 : 2, stem == AL_STEM_IMAGENET ? 3 : 1);
  x = norm(x, "bn1", training).relu_();
  if (stem == AL_STEM_IMAGENET) x = torch::max_pool2d(x, 3, 2, 1);
  for (size_t s = 0; s < stages; s++)
    for (int b = 0; b < blocks(s); b++) {
      std::string at = "layer" + std::to_string(s + 1) + "." + std::to_string(b) + ".";
      int64_t stride = b == 0 && s > 0 ? 2 : 1;
      Tensor y = norm(conv(x, at + "conv1", deep() ? 1 : stride, deep() ? 0 : 1), at + "bn1", training).relu_();
      y = norm(conv(y, at + "conv2", deep() ? stride : 1, 1), at + "bn2", training);
      if (deep()) y = norm(conv(y.relu_(), at + "conv3", 1, 0), at + "bn3", training);
      if (has(at + "downsample.0.weight"))
        x = norm(conv(x, at + "downsample.0", stride, 0), at + "downsample.1", training);
      x = y.add_(x).relu_();
    }
  return x;
}

// Pixels / 255, normalised a channel at a time. n x channels x height x width
Tensor resnet::normalised(const al_torch_batch &batch) const {
  size_t plane = batch.height * batch.width;
  TORCH_CHECK(batch.pixels != nullptr && plane > 0, "no pixels");
  if (generic()) { // the pixels cross as bytes
    Tensor x = on_device(batch.pixels, {static_cast<int64_t>(batch.n), static_cast<int64_t>(config.channels),
                                        static_cast<int64_t>(batch.height), static_cast<int64_t>(batch.width)});
    float mean[3], inverse[3];
    for (size_t c = 0; c < config.channels; c++) {
      mean[c] = static_cast<float>(config.mean[c]);
      inverse[c] = static_cast<float>(1.0 / config.deviation[c]);
    }
    std::vector<int64_t> channel = {static_cast<int64_t>(config.channels), 1, 1};
    return x.to(torch::kFloat).div_(255.0).sub_(on_device(mean, channel)).mul_(on_device(inverse, channel));
  }
  Tensor x = torch::empty({static_cast<int64_t>(batch.n), static_cast<int64_t>(config.channels),
                           static_cast<int64_t>(batch.height), static_cast<int64_t>(batch.width)});
  float *to = x.data_ptr<float>();
  const uint8_t *from = batch.pixels;
  for (size_t i = 0; i < batch.n; i++)
    for (size_t c = 0; c < config.channels; c++, from += plane, to += plane) {
      auto mean = static_cast<float>(config.mean[c]), inverse = static_cast<float>(1.0 / config.deviation[c]);
      for (size_t p = 0; p < plane; p++) to[p] = (static_cast<float>(from[p]) / 255.0F - mean) * inverse;
    }
  return x;
}

void resnet::embed(const al_torch_batch &batch, bool, float *h) { // dropout is before the head only
  torch::NoGradGuard no_grad;
  Tensor pooled = maps(normalised(batch), false, config.stages).mean({2, 3}).contiguous();
  std::memcpy(h, pooled.data_ptr<float>(), batch.n * width() * sizeof *h);
}

Tensor resnet::features(const al_torch_batch &batch, bool training, bool) { // dropout is before the head only
  return maps(normalised(batch), training, config.stages).mean({2, 3});
}

double resnet::learn(const al_torch_batch &batch, const int32_t *labels) {
  if (generic()) return al_torch_net::learn(batch, labels);
  Tensor pooled = maps(normalised(batch), true, config.stages).mean({2, 3});
  Tensor h = pooled.detach().contiguous().clone();
  double loss = head_loss(h.data_ptr<float>(), batch.n, labels); // h becomes its gradient
  pooled.backward(h);
  return loss;
}

} // namespace

std::unique_ptr<al_torch_net> make_resnet(const al_torch_config &config) { return std::make_unique<resnet>(config); }

void resnet_stage_features(al_torch_net &net, const float *input, size_t n, size_t height, size_t width, size_t stage,
                           float *out) {
  torch::NoGradGuard no_grad;
  Tensor x =
      torch::from_blob(const_cast<float *>(input), {static_cast<int64_t>(n), static_cast<int64_t>(net.config.channels),
                                                    static_cast<int64_t>(height), static_cast<int64_t>(width)});
  Tensor pooled =
      dynamic_cast<resnet &>(net).maps(x.to(net.device), false, stage).mean({2, 3}).to(torch::kCPU).contiguous();
  std::memcpy(out, pooled.data_ptr<float>(), static_cast<size_t>(pooled.numel()) * sizeof *out);
}
