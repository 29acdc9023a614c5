// What the networks share: named tensors in one flat buffer, their gradients in another of the same layout, and an
// optimiser that passes over them once.
//
// The buffers lie on the network's device. On the CPU loops of our own pass over them (network.cpp); on any other
// device the same definitions are tensor operations (tensor_network.cpp), and a network need only say what its h is
// (`features`). `config.generic` asks for those on the CPU too.
#ifndef AL_TORCH_NETWORK_HPP
#define AL_TORCH_NETWORK_HPP

#include "torch/al_torch.h"
#include "torch/kernels.hpp"

#include <torch/torch.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

struct slot {
  std::string name;
  std::vector<int64_t> shape;
  size_t offset, count;
  bool buffer, trained;
};

struct al_torch_net {
  al_torch_config config;
  const torch::Device device;
  std::vector<slot> slots; // in the order of the published names
  // by hand: the stream of the masks; in tensor operations `used` counts the passes that drew, each from a seed of its
  // own
  kernels::dropout_stream dropout;
  std::vector<float> class_weights; // a class each; empty: all alike

  explicit al_torch_net(const al_torch_config &c);
  virtual ~al_torch_net() = default;
  al_torch_net(const al_torch_net &) = delete;
  al_torch_net &operator=(const al_torch_net &) = delete;

  // In tensor operations? Then nobody may ask for value() or gradient(): they may lie on another device.
  bool generic() const { return config.generic != 0 || !device.is_cpu(); }

  // h (n x D, before the head) on the device, in tensor operations from `leaf`, recorded for autograd unless that is
  // off. training: batch norm sees the batch; dropping: dropout is active (`dropped`).
  virtual torch::Tensor features(const al_torch_batch &batch, bool training, bool dropping);
  // Mean cross-entropy of the batch; its gradient goes into `gradients`. As it stands here: through `features`.
  virtual double learn(const al_torch_batch &batch, const int32_t *labels);
  // The weighted sum of the objectives; see al_torch_pretext.
  virtual void learn_pretext(const al_torch_batch &batch, const al_torch_pretext &pretext, double losses[3]);
  // h: n x D, before the head. stochastic: dropout is active. By hand only.
  virtual void embed(const al_torch_batch &batch, bool stochastic, float *h);
  // BERT only; see al_torch_api.
  virtual void encode(const al_torch_batch &batch, float *cls, float *mean, float *pooler);
  virtual size_t width() const = 0;
  virtual const char *head() const = 0;

  void begin(uint64_t seed);
  virtual void restart() {} // what a network keeps beside its tensors is put back, at each begin
  size_t state_size() const;
  void get_state(void *state);
  void set_state(const void *state, size_t size);
  double step(const al_torch_batch &batch, const int32_t *labels, double rate);
  // Gradients of a part of a batch, times its share, onto those of the parts before; `update` steps on their sum.
  double accumulate(const al_torch_batch &part, const int32_t *labels, double share);
  void update(double rate);
  void pretrain(const al_torch_batch &batch, const al_torch_pretext &pretext, double rate, double losses[3]);
  void predict(const al_torch_batch &batch, bool stochastic, float *probs, float *h);
  void flush(); // lets the rows that no batch has used catch up with weight decay
  // Between host memory and the network.
  void set(const slot &s, const float *from);
  void get(const slot &s, float *to);

  float *value(size_t offset) { return values.data_ptr<float>() + offset; }
  float *gradient(size_t offset) { return gradients.data_ptr<float>() + offset; }
  size_t offset_of(const std::string &name) const { return slots[by_name.at(name)].offset; }
  float *value(const std::string &name) { return value(offset_of(name)); }
  float *gradient(const std::string &name) { return gradient(offset_of(name)); }
  // A tensor that shares the buffers, for autograd; its gradient accumulates into `gradients`.
  torch::Tensor &leaf(const std::string &name) { return leaves[by_name.at(name)]; }
  bool has(const std::string &name) const { return by_name.count(name) != 0; }

protected:
  static constexpr size_t none = static_cast<size_t>(-1);
  size_t reserve(size_t count); // floats; offsets are multiples of 16
  void add(const std::string &name, std::vector<int64_t> shape, size_t offset, bool buffer = false);
  void add(const std::string &name, std::vector<int64_t> shape, bool buffer = false);
  void add_linear(const std::string &name, int64_t in, int64_t out);
  void add_norm(const std::string &name, int64_t size, bool batch);
  void allocate();
  void make_leaves();
  // A leaf of several tensors that lie side by side from `offset` on.
  torch::Tensor joined_leaf(size_t offset, std::vector<int64_t> shape);
  // In tensor operations: dropout as configured, from the state that `reseed` sets once a pass.
  torch::Tensor dropped(const torch::Tensor &x, bool dropping) const;
  void reseed();
  template <typename T> torch::Tensor on_device(const T *from, std::vector<int64_t> shape) const {
    auto options = torch::TensorOptions(c10::CppTypeToScalarType<T>::value);
    return torch::from_blob(const_cast<T *>(from), shape, options)
        .to(device, options.dtype().toScalarType(), false, true);
  }
  void untrained(const std::string &name) { slots[by_name.at(name)].trained = false; }
  torch::Tensor gradients_of_slot(const slot &s) { return view_of(gradients, s.offset, s.count, s.shape); }
  // Rows of the table that this batch uses; their gradients are zero afterwards. Called once a step before use.
  void use_rows(const al_torch_batch &batch);
  void use_more_rows(const int32_t *rows, size_t n); // after use_rows
  // logits (n x C) of h (n x D) and, given labels, loss and the gradient of h; the head's gradients are written.
  double head_loss(float *h, size_t n, const int32_t *labels);
  void head_probs(const float *h, size_t n, float *probs);

  size_t table = none; // slot of the embedding table, whose rows are trained from their first use on

private:
  void clear_gradients();
  torch::Tensor view_of(const torch::Tensor &flat, size_t offset, size_t count,
                        const std::vector<int64_t> &shape) const;
  void predict_generic(const al_torch_batch &batch, bool stochastic, float *probs, float *h);
  void optimise_generic(double rate);
  double gradients_of(const al_torch_batch &batch, const int32_t *labels);
  void optimise(double rate);

  std::map<std::string, size_t> by_name;
  size_t reserved = 0;
  torch::Tensor values, gradients, first, second;
  torch::Tensor decays;             // in tensor operations: 1 where weight decay applies (trained matrices), else 0
  torch::Tensor summed;             // gradients of the parts so far; undefined until parts are used
  std::vector<int32_t> summed_rows; // rows of the table that they touch
  std::vector<uint8_t> in_sum;
  std::vector<torch::Tensor> leaves;
  size_t steps = 0;
  double decayed = 1.0;         // what the unused rows of the table still owe
  std::vector<uint8_t> active;  // rows of the table, since begin
  std::vector<int32_t> touched; // rows of the batch at hand
  std::vector<uint8_t> in_batch;
  std::vector<float> logits;
  std::vector<uint8_t> head_mask;
};

std::unique_ptr<al_torch_net> make_bert(const al_torch_config &config);
std::unique_ptr<al_torch_net> make_tensor_bert(const al_torch_config &config); // in tensor operations
std::unique_ptr<al_torch_net> make_resnet(const al_torch_config &config);
std::unique_ptr<al_torch_net> make_script(const al_torch_config &config);
al_torch_script script_facts(const al_torch_net &net);
// For checks: see al_torch_api.
void resnet_stage_features(al_torch_net &net, const float *input, size_t n, size_t height, size_t width, size_t stage,
                           float *out);

#endif
