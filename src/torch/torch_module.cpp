// The functions of al_torch.h, each inside a guard that lets nothing through. Nothing here knows of files, data or
// rounds.
#include "torch/network.hpp"

#include <torch/version.h>

#include <cblas.h>
#include <cmath>
#include <cstring>
#include <malloc.h>

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

// Keeps what libtorch warns of, to say it where it explains a failure and nowhere else.
#if TORCH_VERSION_MAJOR >= 2
namespace warnings = c10::WarningUtils;
struct warning_keeper : c10::WarningHandler {
  std::string text;
  void process(const c10::Warning &warning) override { text = warning.msg(); }
};
#else
namespace warnings = c10::Warning;
struct warning_keeper : c10::WarningHandler {
  std::string text;
  void process(const c10::SourceLocation &, const std::string &message, bool) override { text = message; }
};
#endif

// Before the first call into CUDA: cuBLAS reads its workspace's size once, and with a size of its own choosing its sums
// are in no fixed order. TensorFloat-32 would round every product's factors to 11 bits.
static void settle_cuda() {
  setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", 0);
  at::Context &context = at::globalContext();
  context.setDeterministicCuDNN(true);
  context.setBenchmarkCuDNN(false);
  context.setAllowTF32CuBLAS(false);
  context.setAllowTF32CuDNN(false);
}

// What computes on CUDA; throws where nothing does.
static std::string find_cuda() {
  at::Context &context = at::globalContext();
  TORCH_CHECK(context.hasCUDART(), "libtorch " TORCH_VERSION " was built without CUDA");
  warning_keeper keeper;
  warnings::WarningHandlerGuard guard(&keeper);
  settle_cuda();
  TORCH_CHECK(torch::cuda::is_available(), "libtorch " TORCH_VERSION " finds no usable GPU",
              keeper.text.empty() ? "" : " (" + keeper.text + ")");
  long cuda = context.versionCUDART(); // 12040: 12.4
  return "CUDA " + std::to_string(cuda / 1000) + "." + std::to_string(cuda % 1000 / 10) +
         (torch::cuda::cudnn_is_available() ? ", cuDNN " + std::to_string(context.versionCuDNN()) : "");
}

// One thread, so that sums have one order; large blocks stay in the heap, since mapping them anew for every tensor
// costs a tenth of a step in page faults.
static void settle() {
  static const bool once = [] {
    at::set_num_threads(1);
    at::set_num_interop_threads(1);
    openblas_set_num_threads(1);
    at::globalContext().setDeterministicAlgorithms(true, false);
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 2)
    at::globalContext().setDeterministicFillUninitializedMemory(false); // a check of libtorch's own code, at a cost
#endif
    mallopt(M_MMAP_THRESHOLD, 256 << 20);
    mallopt(M_TRIM_THRESHOLD, 512 << 20);
    return true;
  }();
  (void)once;
}

static int net_create(al_torch_net **out, const al_torch_config *config) {
  *out = nullptr;
  return guarded([&] {
    settle();
    TORCH_CHECK(config->classes > 0, "no classes");
    TORCH_CHECK(config->dropout >= 0.0 && config->dropout < 1.0, "dropout must be in [0, 1)");
    if (config->device == AL_DEVICE_CUDA) find_cuda();
    auto net = config->kind == AL_TORCH_BERT     ? make_bert(*config)
               : config->kind == AL_TORCH_SCRIPT ? make_script(*config)
                                                 : make_resnet(*config);
    *out = net.release();
  });
}

static void net_free(al_torch_net *net) { delete net; }
static size_t net_tensors(const al_torch_net *net) { return net->slots.size(); }

static int net_tensor(const al_torch_net *net, size_t which, al_torch_tensor *out) {
  return guarded([&] {
    const slot &s = net->slots.at(which);
    size_t dims = std::min<size_t>(s.shape.size(), 4); // a tensor of more: the fourth stands for the rest
    *out = al_torch_tensor{s.name.c_str(), dims, {0, 0, 0, 0}, s.count, s.buffer};
    for (size_t i = 0; i < dims; i++) out->shape[i] = static_cast<size_t>(s.shape[i]);
    for (size_t i = 4; i < s.shape.size(); i++) out->shape[3] *= static_cast<size_t>(s.shape[i]);
  });
}

static int net_set(al_torch_net *net, size_t which, const float *values) {
  return guarded([&] {
    const slot &s = net->slots.at(which);
    net->set(s, values);
  });
}

static int net_get(al_torch_net *net, size_t which, float *values) {
  return guarded([&] {
    const slot &s = net->slots.at(which);
    net->get(s, values);
  });
}

static int net_begin(al_torch_net *net, uint64_t seed) {
  return guarded([&] { net->begin(seed); });
}

static size_t net_state_size(const al_torch_net *net) { return net->state_size(); }

static int net_get_state(al_torch_net *net, void *state) {
  return guarded([&] { net->get_state(state); });
}

static int net_set_state(al_torch_net *net, const void *state, size_t size) {
  return guarded([&] { net->set_state(state, size); });
}

static int net_step(al_torch_net *net, const al_torch_batch *batch, const int32_t *labels, double rate, double *loss) {
  return guarded([&] { *loss = net->step(*batch, labels, rate); });
}

static int net_pretrain(al_torch_net *net, const al_torch_batch *batch, const al_torch_pretext *pretext, double rate,
                        double losses[3]) {
  return guarded([&] { net->pretrain(*batch, *pretext, rate, losses); });
}

static int net_accumulate(al_torch_net *net, const al_torch_batch *part, const int32_t *labels, double share,
                          double *loss) {
  return guarded([&] { *loss = net->accumulate(*part, labels, share); });
}

static int net_update(al_torch_net *net, double rate) {
  return guarded([&] { net->update(rate); });
}

static int net_weigh(al_torch_net *net, const float *class_weights) {
  return guarded([&] {
    net->class_weights.clear();
    if (class_weights != nullptr) net->class_weights.assign(class_weights, class_weights + net->config.classes);
  });
}

static int net_predict(al_torch_net *net, const al_torch_batch *batch, int stochastic, float *probs, float *h) {
  return guarded([&] { net->predict(*batch, stochastic != 0, probs, h); });
}

static int net_seed(al_torch_net *net, uint64_t seed) {
  return guarded([&] { net->dropout = {seed, 0}; });
}

static int net_stage_features(al_torch_net *net, const float *input, size_t n, size_t height, size_t width,
                              size_t stage, float *out) {
  return guarded([&] { resnet_stage_features(*net, input, n, height, width, stage, out); });
}

static int net_encode(al_torch_net *net, const al_torch_batch *batch, float *cls, float *mean, float *pooler) {
  return guarded([&] { net->encode(*batch, cls, mean, pooler); });
}

static int net_device(int device, char *text, size_t size) {
  return guarded([&] {
    settle();
    TORCH_CHECK(device == AL_DEVICE_CPU || device == AL_DEVICE_CUDA, "no such device");
    snprintf(text, size, "%s", device == AL_DEVICE_CPU ? "" : find_cuda().c_str());
  });
}

static int net_script_facts(const al_torch_net *net, al_torch_script *out) {
  return guarded([&] { *out = script_facts(*net); });
}

static const char *message() { return last_message.c_str(); }
static const char *version() { return TORCH_VERSION; }

extern "C" __attribute__((visibility("default"))) const al_torch_api *al_torch_module(void) {
  static const al_torch_api api = {
      net_create,     net_free,      net_tensors,      net_tensor,  net_set,  net_get,
      net_state_size, net_get_state, net_set_state,    net_begin,   net_step, net_accumulate,
      net_update,     net_weigh,     net_pretrain,     net_predict, net_seed, net_stage_features,
      net_encode,     net_device,    net_script_facts, message,     version,  "libtorch"};
  return &api;
}
