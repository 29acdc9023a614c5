// A user's TorchScript module with alab's head: forward(ids, mask) or forward(pixels) gives h, n x D (docs/models.md).
//
// Its float32 parameters and buffers live in the flat buffers as every network's tensors do: the module's own slots
// hold views of them. All else that it keeps (counters, numbers, lists, tensors of other types) starts each fit as the
// file has it, and predictions see it as the file has it, so that a prediction is a function of the flat values alone.
// The interpreter runs operation by operation, as PyTorch does without JIT: the optimising executor gives the first
// calls of a process other roundings than later ones. The generator that dropout inside the module draws from is seeded
// at every call, from the network's stream in training and stochastic predictions.
#include "torch/network.hpp"

#include <caffe2/serialize/in_memory_adapter.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/script.h>

#include <cmath>
#include <cstring>
#include <set>
#include <sstream>

namespace {

using torch::Tensor;
using torch::jit::IValue;
using object = c10::intrusive_ptr<c10::ivalue::Object>;

// Where the module holds a tensor of the flat buffers, and what stands there: others may be put in its place by
// assignments in forward.
struct place {
  object owner;
  size_t slot;
  std::string name;
  bool parameter;
  Tensor bound; // first the file's own
};

// What is no float32 tensor, as the file has it and as the fit at hand left it.
struct kept_attribute {
  object owner;
  size_t slot;
  std::string name;
  IValue start, training;
};

enum class mode { unset, predicting, sampling, training };

[[noreturn]] void refuse(const std::string &what) { throw std::runtime_error(what); }

// Of libtorch's pages the line that says what went wrong, and the last line of the user's source that it names.
std::string essence(const std::string &text) {
  std::istringstream lines(text);
  std::string line, first, error, where;
  while (std::getline(lines, line)) {
    size_t from = line.find_first_not_of(" \t");
    if (from == std::string::npos) continue;
    line = line.substr(from);
    size_t colon = line.find(": "), name = line.find_first_of(" (");
    if (first.empty()) first = line;
    if (line.rfind("File \"", 0) == 0) {
      size_t end = line.find('"', 6), after = line.find(", in ");
      if (end != std::string::npos && after != std::string::npos && after > end + 2)
        where = " (" + line.substr(6, end - 6) + line.substr(end + 1, after - end - 1) + ")";
    } else if (colon != std::string::npos && (name == std::string::npos || name > colon) && colon >= 5 &&
               (line.compare(colon - 5, 5, "Error") == 0 ||
                line.substr(0, colon).find("Exception") != std::string::npos)) {
      error = line;
    }
  }
  if (error.empty()) error = first;
  bool gpu = error.find("CUDA") != std::string::npos || error.find("cuda") != std::string::npos;
  if (error.size() > 240) error = error.substr(0, 240) + "...";
  return error + where + (gpu ? "; its code names a GPU: let it take the device of its inputs" : "");
}

template <typename Body> auto tell(const char *what, Body body) {
  try {
    return body();
  } catch (const c10::Error &error) {
    refuse(std::string(what) + ": " + essence(error.what_without_backtrace()));
  } catch (const std::exception &error) {
    refuse(std::string(what) + ": " + essence(error.what()));
  }
}

bool is_module(const IValue &value) { return value.isObject() && value.toObject()->type()->is_module(); }

// Dropout, Dropout2d, AlphaDropout, ...; mangled names end in the class's own.
bool is_dropout(const object &owner) {
  return owner->type()->name().has_value() && owner->type()->name()->name().find("Dropout") != std::string::npos;
}

// torch.jit.trace writes down whether dropout was on: no flag changes it any more.
bool is_fixed(const object &owner) {
  auto forward = torch::jit::Module(owner).find_method("forward");
  if (!forward) return false;
  auto graph = forward->graph();
  for (torch::jit::Node *node : graph->nodes()) {
    std::string kind = node->kind().toQualString();
    if (kind.find("dropout") != std::string::npos && node->inputs().size() > 2 &&
        node->input(2)->node()->kind() == torch::jit::prim::Constant)
      return true;
  }
  return false;
}

class script : public al_torch_net {
public:
  explicit script(const al_torch_config &c);
  Tensor features(const al_torch_batch &batch, bool training, bool dropping) override;
  double learn(const al_torch_batch &batch, const int32_t *labels) override;
  void embed(const al_torch_batch &batch, bool stochastic, float *h) override;
  size_t width() const override { return facts.width; }
  const char *head() const override { return "(head)"; } // no attribute of a module is called so
  void restart() override;

  al_torch_script facts{};

private:
  void load(const al_torch_config &c);
  void walk(const object &owner, const std::string &prefix, std::set<const void *> &seen);
  void check_signature();
  void add_tensors();
  void bind();
  void settle();
  std::string shared(const Tensor &tensor, const std::string &name) const;
  IValue fresh(const IValue &value, const std::string &name, int depth = 0);
  void enter(mode wanted);
  std::vector<IValue> inputs(const al_torch_batch &batch) const;
  Tensor forward(const al_torch_batch &batch);
  Tensor predicted(const al_torch_batch &batch, uint64_t seed);
  void try_out();

  torch::jit::Module module;
  mode now = mode::unset;
  std::vector<place> places;
  std::vector<std::string> slot_of; // of each place: the slot's name, of several places that share a tensor the first's
  std::vector<kept_attribute> kept;
  std::vector<object> dropouts;
  // Tensors of the file that became slots, and where their memory was: `start` keeps it.
  struct range {
    const void *memory;
    int64_t from, to;
    Tensor tensor;
    std::string slot;
  };
  static range range_of(const Tensor &tensor, const std::string &slot);
  std::vector<range> ranges;
  std::vector<std::pair<std::string, Tensor>> start; // slot's name and the file's values
};

script::script(const al_torch_config &c) : al_torch_net(c) {
  load(c);
  config.script = nullptr; // the caller's
  std::set<const void *> seen;
  walk(module._ivalue(), "", seen);
  check_signature();
  try_out();
}

void script::load(const al_torch_config &c) {
  tell("not a TorchScript file that this libtorch reads", [&] {
    auto bytes = std::make_shared<caffe2::serialize::MemoryReadAdapter>(c.script, static_cast<off_t>(c.script_size));
    module = torch::jit::load(bytes, device);
  });
}

void script::walk(const object &owner, const std::string &prefix, std::set<const void *> &seen) {
  if (!seen.insert(owner.get()).second) return; // a module that stands in two places
  auto type = owner->type();
  if (is_dropout(owner)) {
    if (is_fixed(owner))
      refuse("its Dropout layers are fixed, since it was traced; export it with torch.jit.script, or without them");
    dropouts.push_back(owner);
  }
  for (size_t i = 0; i < type->numAttributes(); i++) {
    std::string name = prefix + type->getAttributeName(i);
    IValue value = owner->getSlot(i);
    if (is_module(value)) {
      walk(value.toObject(), name + ".", seen);
      continue;
    }
    if (value.isCapsule() || value.isCustomClass())
      refuse("it holds '" + name + "', an object of C++; a quantized module cannot be trained: export it before");
    bool parameter = type->is_parameter(i);
    if (value.isTensor() && value.toTensor().defined()) {
      const Tensor &tensor = value.toTensor();
      bool plain = tensor.layout() == torch::kStrided && !tensor.is_quantized();
      if (parameter && !(plain && tensor.scalar_type() == torch::kFloat))
        refuse("its parameter '" + name + "' is not of float32; export model.float()");
      if (plain && tensor.scalar_type() == torch::kFloat) {
        places.push_back({owner, i, name, parameter, tensor});
        continue;
      }
    }
    if (type->getAttributeName(i) == "training" && value.isBool()) continue;
    kept.push_back({owner, i, name, value, IValue()});
  }
}

void script::check_signature() {
  auto method = module.find_method("forward");
  if (!method) refuse("it has no method forward");
  size_t wanted = config.script_tokens ? 2 : 1, least = 0, most = 0;
  for (const auto &argument : method->function().getSchema().arguments()) {
    most++;
    least += !argument.default_value().has_value();
  }
  if (least > wanted + 1 || most < wanted + 1) // self
    refuse("forward takes " + std::to_string(most - 1) + " arguments, and `inputs: " +
           (config.script_tokens ? "tokens` gives 2 (ids, mask)" : "pixels` gives 1 (the images)"));
}

script::range script::range_of(const Tensor &tensor, const std::string &slot) {
  range own = {tensor.storage().unsafeGetStorageImpl(), tensor.storage_offset(), tensor.storage_offset() + 1, tensor,
               slot};
  for (int64_t d = 0; d < tensor.dim(); d++) own.to += (tensor.size(d) - 1) * tensor.stride(d);
  return own;
}

// The slot whose memory the tensor of the file is, or "".
std::string script::shared(const Tensor &tensor, const std::string &name) const {
  range own = range_of(tensor, name);
  for (const range &other : ranges) {
    if (other.memory != own.memory || tensor.numel() == 0 || own.from >= other.to || other.from >= own.to) continue;
    if (tensor.sizes() != other.tensor.sizes() || tensor.strides() != other.tensor.strides() || own.from != other.from)
      refuse("its tensors '" + other.slot + "' and '" + name + "' share a part of their memory");
    return other.slot;
  }
  return "";
}

// The head comes first, so that what it is drawn from depends on no module. Parameters come before buffers: a buffer
// that shares a parameter's memory is another name of it.
void script::add_tensors() {
  add_linear(head(), static_cast<int64_t>(facts.width), static_cast<int64_t>(config.classes));
  slot_of.resize(places.size());
  for (bool parameters : {true, false})
    for (size_t p = 0; p < places.size(); p++) {
      if (places[p].parameter != parameters) continue;
      const Tensor &tensor = places[p].bound;
      slot_of[p] = shared(tensor, places[p].name);
      if (!slot_of[p].empty()) continue;
      slot_of[p] = places[p].name;
      ranges.push_back(range_of(tensor, places[p].name));
      add(places[p].name, tensor.sizes().vec(), !parameters);
      start.emplace_back(places[p].name, tensor.detach());
      if (parameters && !tensor.requires_grad()) untrained(places[p].name);
      if (parameters && tensor.requires_grad()) facts.parameters += static_cast<size_t>(tensor.numel());
    }
  allocate();
  make_leaves();
}

// A copy down to the last list and tensor, of slots' tensors apart: where a list holds a parameter (as those of
// recurrent layers do), the copy holds the leaf.
IValue script::fresh(const IValue &value, const std::string &name, int depth) {
  if (depth > 32) refuse("its attribute '" + name + "' is nested too deep, or in itself");
  if (value.isTensor()) {
    const Tensor &tensor = value.toTensor();
    if (!tensor.defined()) return value;
    for (size_t p = 0; p < slot_of.size(); p++)
      if (tensor.is_same(places[p].bound) || tensor.is_same(leaf(slot_of[p]))) return value;
    if (tensor.layout() != torch::kStrided || tensor.is_quantized()) return tensor.clone();
    std::string slot = shared(tensor, name);
    if (slot.empty()) return tensor.detach().clone();
    return leaf(slot);
  }
  if (value.isList()) {
    c10::List<IValue> from = value.toList(), to(from.elementType());
    for (size_t i = 0; i < from.size(); i++) to.push_back(fresh(from.get(i), name, depth + 1));
    return to;
  }
  if (value.isGenericDict()) {
    auto from = value.toGenericDict();
    c10::Dict<IValue, IValue> to(from.keyType(), from.valueType());
    for (const auto &entry : from)
      to.insert(fresh(entry.key(), name, depth + 1), fresh(entry.value(), name, depth + 1));
    return to;
  }
  if (value.isTuple()) {
    std::vector<IValue> elements;
    for (const IValue &element : value.toTupleRef().elements()) elements.push_back(fresh(element, name, depth + 1));
    return c10::ivalue::Tuple::createNamed(std::move(elements), value.toTuple()->type());
  }
  if (value.isObject()) {
    object from = value.toObject();
    auto to = c10::ivalue::Object::create(c10::StrongTypePtr(from->compilation_unit(), from->type()),
                                          from->type()->numAttributes());
    for (size_t i = 0; i < from->type()->numAttributes(); i++) to->setSlot(i, fresh(from->getSlot(i), name, depth + 1));
    return to;
  }
  return value;
}

// The module's slots hold the leaves; a buffer that shares a parameter's memory sees it without its gradient.
void script::bind() {
  torch::NoGradGuard no_grad;
  for (auto &[name, values] : start) leaf(name).copy_(values);
  for (size_t p = 0; p < places.size(); p++) {
    Tensor &tensor = leaf(slot_of[p]);
    places[p].bound = places[p].parameter ? tensor : tensor.detach();
    places[p].owner->setSlot(places[p].slot, places[p].bound);
  }
  for (kept_attribute &k : kept) k.start = fresh(k.start, k.name);
}

// After a call in training: an assignment to a buffer becomes a copy into it, and gradients are where they belong.
void script::settle() {
  torch::NoGradGuard no_grad;
  for (place &p : places) {
    IValue found = p.owner->getSlot(p.slot);
    if (found.isTensor() && found.toTensor().is_same(p.bound)) continue;
    if (!found.isTensor() || !found.toTensor().defined() || found.toTensor().sizes() != p.bound.sizes())
      refuse("forward gives its tensor '" + p.name + "' another shape");
    p.bound.copy_(found.toTensor());
    p.owner->setSlot(p.slot, p.bound);
  }
  for (const slot &s : slots) {
    Tensor &tensor = leaf(s.name);
    if (!s.trained || s.count == 0) continue;
    Tensor view = gradients_of_slot(s);
    if (tensor.grad().data_ptr() == view.data_ptr()) continue;
    view.copy_(tensor.grad());
    tensor.mutable_grad() = view;
  }
}

void script::restart() {
  now = mode::unset; // what the last fit left is not kept
  for (kept_attribute &k : kept) k.training = fresh(k.start, k.name);
}

void script::enter(mode wanted) {
  if (now == mode::training)
    for (kept_attribute &k : kept) k.training = k.owner->getSlot(k.slot);
  if (wanted == mode::training && now != mode::training)
    for (kept_attribute &k : kept) k.owner->setSlot(k.slot, k.training);
  if (wanted != mode::training)
    for (kept_attribute &k : kept) k.owner->setSlot(k.slot, fresh(k.start, k.name));
  if (now == wanted) return;
  module.train(wanted == mode::training);
  for (const object &owner : dropouts) torch::jit::Module(owner).train(wanted != mode::predicting);
  now = wanted;
}

std::vector<IValue> script::inputs(const al_torch_batch &batch) const {
  auto n = static_cast<int64_t>(batch.n);
  if (!config.script_tokens) {
    auto channels = static_cast<int64_t>(config.channels);
    TORCH_CHECK(batch.pixels != nullptr, "no pixels");
    std::vector<float> mean, inverse;
    for (size_t c = 0; c < config.channels; c++) {
      mean.push_back(static_cast<float>(config.mean[std::min<size_t>(c, 2)]));
      inverse.push_back(static_cast<float>(1.0 / config.deviation[std::min<size_t>(c, 2)]));
    }
    Tensor x =
        on_device(batch.pixels, {n, channels, static_cast<int64_t>(batch.height), static_cast<int64_t>(batch.width)});
    x = x.to(torch::kFloat).div_(255.0).sub_(on_device(mean.data(), {channels, 1, 1}));
    return {x.mul_(on_device(inverse.data(), {channels, 1, 1}))};
  }
  TORCH_CHECK(batch.ids != nullptr, "no tokens");
  int64_t longest = 1;
  for (int64_t i = 0; i < n; i++) longest = std::max(longest, batch.begin[i + 1] - batch.begin[i]);
  std::vector<int64_t> ids(static_cast<size_t>(n * longest), 0), mask(ids.size(), 0);
  for (int64_t i = 0; i < n; i++)
    for (int64_t p = batch.begin[i], to = i * longest; p < batch.begin[i + 1]; p++, to++) {
      ids[static_cast<size_t>(to)] = batch.ids[p];
      mask[static_cast<size_t>(to)] = 1;
    }
  return {on_device(ids.data(), {n, longest}), on_device(mask.data(), {n, longest})};
}

Tensor script::forward(const al_torch_batch &batch) {
  torch::jit::GraphOptimizerEnabledGuard plain(false);
  std::vector<IValue> given = inputs(batch);
  const char *what = now == mode::training ? "forward, in training," : "forward";
  IValue out = tell(what, [&] { return module.forward(std::move(given)); });
  std::string wanted = ", and not h, a float32 tensor of shape [n, D]";
  if (!out.isTensor()) refuse("forward gives " + out.tagKind() + wanted);
  Tensor h = out.toTensor();
  if (!h.defined() || h.scalar_type() != torch::kFloat || h.layout() != torch::kStrided)
    refuse("forward gives a tensor of " + std::string(h.defined() ? toString(h.scalar_type()) : "nothing") + wanted);
  if (h.dim() != 2 || h.size(0) != static_cast<int64_t>(batch.n) || h.size(1) < 1 ||
      (facts.width != 0 && h.size(1) != static_cast<int64_t>(facts.width))) {
    std::ostringstream shape;
    shape << h.sizes();
    refuse("forward gives a tensor of shape " + shape.str() + " for n = " + std::to_string(batch.n) +
           (facts.width != 0 ? " and D = " + std::to_string(facts.width) : "") + wanted);
  }
  return h;
}

Tensor script::predicted(const al_torch_batch &batch, uint64_t seed) {
  torch::manual_seed(seed);
  return features(batch, false, false);
}

// The generator is seeded by whoever asks.
Tensor script::features(const al_torch_batch &batch, bool training, bool dropping) {
  enter(training ? mode::training : dropping ? mode::sampling : mode::predicting);
  Tensor h = forward(batch);
  if (training) return h;
  h = h.detach().contiguous();
  if (!torch::isfinite(h).all().item<bool>()) refuse("forward gives numbers that are not finite");
  for (size_t p = 0; p < slot_of.size(); p++) places[p].owner->setSlot(places[p].slot, places[p].bound);
  return h;
}

void script::embed(const al_torch_batch &batch, bool stochastic, float *h) {
  torch::NoGradGuard no_grad;
  if (stochastic) reseed();
  Tensor values = features(batch, false, stochastic);
  std::memcpy(h, values.data_ptr<float>(), batch.n * width() * sizeof *h);
}

double script::learn(const al_torch_batch &batch, const int32_t *labels) {
  double loss = 0.0;
  if (generic()) {
    loss = al_torch_net::learn(batch, labels);
  } else {
    reseed();
    Tensor h = features(batch, true, true), own = h.detach().contiguous().clone();
    loss = head_loss(own.data_ptr<float>(), batch.n, labels); // own becomes its gradient
    if (h.requires_grad()) tell("the gradient of forward", [&] { h.backward(own); });
  }
  settle();
  return loss;
}

// Two rows, a long and a short one, through all that training and predictions will ask; the file's values are put back.
void script::try_out() {
  auto length = static_cast<int64_t>(std::max<size_t>(config.positions, 2)), shorter = std::max<int64_t>(length / 4, 2);
  std::vector<int64_t> begin = {0, length, length + shorter};
  std::vector<int32_t> ids(static_cast<size_t>(length + shorter));
  auto above = static_cast<uint32_t>(std::max<size_t>(config.vocabulary, 2));
  for (size_t i = 0; i < ids.size(); i++) ids[i] = static_cast<int32_t>(1 + (above - 2 - i * 7919 % (above - 1)));
  size_t size = config.channels * config.height * config.width_of_image;
  std::vector<uint8_t> pixels(2 * size);
  for (size_t i = 0; i < pixels.size(); i++) pixels[i] = static_cast<uint8_t>(i * 37 % 251);
  std::vector<int64_t> alone = {0, shorter};
  al_torch_batch both{}, second{};
  both.height = second.height = config.height;
  both.width = second.width = config.width_of_image;
  both.n = 2;
  both.ids = ids.data();
  both.begin = begin.data();
  both.pixels = pixels.data();
  second.n = 1;
  second.ids = ids.data() + length;
  second.begin = alone.data();
  second.pixels = pixels.data() + size;

  {
    torch::NoGradGuard no_grad;
    facts.width = static_cast<size_t>(predicted(both, 0).size(1));
    facts.dropouts = dropouts.size();
    add_tensors();
    bind();
    Tensor h = predicted(both, 1);
    if (!h.equal(predicted(both, 2)))
      refuse("forward draws random numbers where self.training is False, or remembers earlier calls");
    for (auto &[name, values] : start)
      if (!leaf(name).equal(values)) refuse("forward changes its tensor '" + name + "' where self.training is False");
    double most = h.abs().max().item<double>();
    Tensor moved = (predicted(second, 1)[0] - h[1]).abs().max();
    facts.apart = most > 0.0 ? moved.item<double>() / most : 0.0;
  }
  restart();
  Tensor h = features(both, true, true);
  if (facts.parameters != 0 && !h.requires_grad())
    refuse("h does not depend on its parameters where self.training is True: forward detaches it");
  if (h.requires_grad()) tell("the gradient of forward", [&] { h.backward(torch::zeros_like(h)); });
  settle();
  bind();
  restart();
}

} // namespace

std::unique_ptr<al_torch_net> make_script(const al_torch_config &config) { return std::make_unique<script>(config); }
al_torch_script script_facts(const al_torch_net &net) { return dynamic_cast<const script &>(net).facts; }
