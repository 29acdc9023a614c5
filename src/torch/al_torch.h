/* The boundary to libtorch, at model level: networks are created from a configuration, filled tensor by tensor, stepped
 * and asked. model/mlp_network.c fills part of the same table without libtorch, so that one loop trains all networks.
 *
 * libtorch lives in a module of its own (libalab_torch.so) that is loaded on first use, because linking it costs every
 * start about half a second. Everything crosses as plain C: sizes, const inputs, the caller's output buffers. Functions
 * return 0 or non-zero with a thread-local message; nothing throws across. One thread; deterministic algorithms; the
 * seed is an argument wherever something is drawn. Buffers of the caller's are always in host memory. */
#ifndef AL_TORCH_AL_TORCH_H
#define AL_TORCH_AL_TORCH_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct al_view;
typedef struct al_torch_net al_torch_net;

enum { AL_TORCH_BERT = 1, AL_TORCH_RESNET = 2, AL_TORCH_SCRIPT = 3 };
/* Where a network's numbers lie and are computed. CUDA: the first GPU that CUDA_VISIBLE_DEVICES leaves. */
enum { AL_DEVICE_CPU = 0, AL_DEVICE_CUDA = 1 };
enum { AL_POOL_CLS = 0, AL_POOL_MEAN = 1, AL_POOL_POOLER = 2 };
enum { AL_STEM_IMAGENET = 0, AL_STEM_3X3S1 = 1, AL_STEM_3X3S2 = 2 };

typedef struct al_torch_config {
  int kind;
  size_t classes;
  double dropout;
  /* BERT: vocabulary rows kept, positions, token types (0: none, as in DistilBERT) */
  size_t vocabulary, positions, types, width, layers, heads, inner;
  int pooling;
  /* ResNet: depth (50: bottlenecks of four times the width; else 18), channels of the input, stages (1 to 4), width of
   * the first stage */
  size_t depth, channels, stages, stage_width;
  int stem;
  double mean[3], deviation[3]; /* pixels / 255 are normalised by these, a channel each */
  /* SCRIPT: the bytes of a TorchScript file, read by create alone. It sees tokens (positions: the longest text's;
   * vocabulary: above every id) or pixels (channels x height x width_of_image, mean, deviation). */
  const void *script;
  size_t script_size;
  int script_tokens;
  size_t height, width_of_image;
  int pretext;               /* BERT: the heads of al_torch_pretext exist and are trained, the classifier is not */
  int sgd;                   /* optimiser: 0 AdamW, 1 SGD with momentum 0.9 */
  double weight_decay, clip; /* clip 0: none */
  int device;                /* AL_DEVICE_.. */
  int generic;               /* in tensor operations on the CPU too, as on any other device: for checks of that code */
} al_torch_config;

/* n sequences as ids and offsets (begin: n + 1; types: as ids, or NULL for all 0), n images (n x channels x height x
 * width), or n rows of features. */
typedef struct al_torch_batch {
  size_t n;
  const int32_t *ids, *types;
  const int64_t *begin;
  const uint8_t *pixels;
  size_t height, width;
  const struct al_view *features; /* n x D (base/matrix.h) */
} al_torch_batch;

/* What a self-supervised step of BERT learns from, all from one pass over the batch; an objective of weight 0 is left
 * out. Words are told apart among `candidates` (distinct rows of the vocabulary) only, through the tied embeddings.
 *   mlm          the state of each of the `masked` tokens (offsets into the batch's ids; what stands there is the
 *                caller's business) names its true word, an index into candidates
 *   bow          each text's [CLS] names the words of its document: shares of candidates, 1 a text in all
 *   contrastive  texts 2 i and 2 i + 1 are of one document: their projected [CLS] are nearer in cosine than those of
 *                other texts of the batch (NT-Xent, Chen et al. 2020) */
typedef struct al_torch_pretext {
  double mlm, bow, contrastive; /* weights */
  double temperature;
  size_t candidate_count, masked;
  const int32_t *candidates; /* candidate_count */
  const int64_t *positions;  /* masked */
  const int32_t *targets;    /* masked; indices into candidates */
  const int64_t *bag_begin;  /* n + 1; NULL without bow */
  const int32_t *bag;        /* indices into candidates */
  const float *shares;       /* as bag */
} al_torch_pretext;

typedef struct al_torch_tensor {
  const char *name; /* Hugging Face's or torchvision's */
  size_t dims, shape[4], count;
  int buffer; /* running statistics: not trained */
} al_torch_tensor;

/* What a trial of a TorchScript module showed. */
typedef struct al_torch_script {
  size_t width;      /* D of its h */
  size_t parameters; /* floats that training changes, the head's apart */
  size_t dropouts;   /* Dropout layers: what a stochastic prediction switches on, beside the head's */
  double apart;      /* by how much a row's h moves with what stands beside it, relative to the largest |h| */
} al_torch_script;

typedef struct al_torch_api {
  int (*create)(al_torch_net **out, const al_torch_config *config);
  void (*free)(al_torch_net *net);
  size_t (*tensors)(const al_torch_net *net);
  int (*tensor)(const al_torch_net *net, size_t which, al_torch_tensor *out);
  int (*set)(al_torch_net *net, size_t which, const float *values);
  int (*get)(al_torch_net *net, size_t which, float *values);
  /* Everything that the next step depends on (tensors, moments, step, dropout's place) as bytes, so that training can
   * stop and go on to the same numbers. Between `begin` and the next one. set_state refuses another network's size. */
  size_t (*state_size)(const al_torch_net *net);
  int (*get_state)(al_torch_net *net, void *state);
  int (*set_state)(al_torch_net *net, const void *state, size_t size);
  /* A new fit: optimiser state is dropped, dropout draws from `seed`. */
  int (*begin)(al_torch_net *net, uint64_t seed);
  /* One optimiser step on a batch; labels: n. *loss is the mean cross-entropy. */
  int (*step)(al_torch_net *net, const al_torch_batch *batch, const int32_t *labels, double rate, double *loss);
  /* The same in parts, for batches too large for memory: gradients of each part (labels: n), times its share of the
   * batch (shares sum to 1), then one optimiser step on their sum. */
  int (*accumulate)(al_torch_net *net, const al_torch_batch *part, const int32_t *labels, double share, double *loss);
  int (*update)(al_torch_net *net, double rate);
  /* From now on a row's loss counts by its class (classes; NULL: all alike), divided by the weights of its batch. */
  int (*weigh)(al_torch_net *net, const float *class_weights);
  /* One optimiser step on a self-supervised batch; losses: mlm, bow, contrastive, unweighted, 0 where left out. */
  int (*pretrain)(al_torch_net *net, const al_torch_batch *batch, const al_torch_pretext *pretext, double rate,
                  double losses[3]);
  /* probs: n x classes, h: n x D (each may be NULL). stochastic: dropout is active. */
  int (*predict)(al_torch_net *net, const al_torch_batch *batch, int stochastic, float *probs, float *h);
  int (*seed)(al_torch_net *net, uint64_t seed); /* of the dropout of stochastic predictions */
  /* ResNet: average-pooled features after stage 1, 2, ... of float input (n x 3 x height x width, not normalised), eval
   * mode; out: n x channels of that stage. For checks against reference values. */
  int (*stage_features)(al_torch_net *net, const float *input, size_t n, size_t height, size_t width, size_t stage,
                        float *out);
  /* BERT: last hidden states' [CLS], mean over tokens and pooler of a batch; each n x width. */
  int (*encode)(al_torch_net *net, const al_torch_batch *batch, float *cls, float *mean, float *pooler);
  /* Is the device there? 0: yes, and what computes there goes into text, as "CUDA 12.4, cuDNN 90100"; "" for the CPU.
   * The first call for CUDA initialises it, after which the process must not fork. */
  int (*device)(int device, char *text, size_t size);
  int (*script_facts)(const al_torch_net *net, al_torch_script *out);
  const char *(*message)(void);
  const char *(*version)(void);
  const char *name; /* of the library, for messages */
} al_torch_api;

/* Loads the module (al_torch_module_path) on first use. Missing: AL_ENVIRONMENT. */
al_status al_torch_load(const al_torch_api **out) AL_MUST_USE;

/* AL_DEVICE_.. of "cpu" or "cuda". */
int al_torch_device_of(const char *name);

/* What computes on the device, as the log has it, "" for the CPU: the GPU's model, CUDA and cuDNN. AL_ENVIRONMENT where
 * the device is not there; the message names `where`, the entry whose key `device` asks for it. Initialises CUDA. */
al_status al_torch_device(const al_torch_api *api, int device, const char *where, char *text, size_t size) AL_MUST_USE;

/* Turns a non-zero return into a status with the module's message. */
al_status al_torch_check(const al_torch_api *api, int result, const char *what) AL_MUST_USE;

#ifdef __cplusplus
}
#endif

#endif
