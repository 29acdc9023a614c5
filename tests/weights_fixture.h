/* Small .safetensors files for tests: a ResNet or a BERT whose values come from a formula, written tensor by tensor. */
#ifndef AL_TESTS_WEIGHTS_FIXTURE_H
#define AL_TESTS_WEIGHTS_FIXTURE_H

#include "base/file.h"
#include "base/memory.h"

#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef struct {
  al_buffer header, data; /* header without its closing brace */
  unsigned tensors;
} weights_file;

static inline void weights_bytes(weights_file *f, const char *name, const char *type, const char *shape,
                                 const void *bytes, size_t size) {
  assert_int_equal(al_buffer_print(&f->header, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}",
                                   f->header.size == 0 ? "{" : ",", name, type, shape, f->data.size,
                                   f->data.size + size),
                   AL_OK);
  assert_int_equal(al_buffer_append(&f->data, bytes, size), AL_OK);
}

static inline float weights_value(unsigned tensor, size_t k) {
  return (float)sin(1.3 * (double)tensor + 0.61803398875 * (double)k);
}

/* centre + scale x sin(..), another sequence for each tensor */
static inline void weights_tensor(weights_file *f, const char *name, double centre, double scale, unsigned dims, ...) {
  char shape[100] = "";
  size_t count = 1, used = 0;
  va_list sizes;
  va_start(sizes, dims);
  for (unsigned i = 0; i < dims; i++) {
    size_t size = va_arg(sizes, size_t);
    used += (size_t)snprintf(shape + used, sizeof shape - used, "%s%zu", i == 0 ? "" : ",", size);
    count *= size;
  }
  va_end(sizes);
  float *values = NULL;
  assert_int_equal(AL_NEW(&values, count), AL_OK);
  for (size_t k = 0; k < count; k++) values[k] = (float)(centre + scale * (double)weights_value(f->tensors, k));
  f->tensors++;
  weights_bytes(f, name, "F32", shape, values, count * sizeof *values);
  free(values);
}

static inline void weights_write(weights_file *f, const char *path, const char *metadata) {
  al_buffer whole = {0};
  if (metadata != NULL) assert_int_equal(al_buffer_print(&f->header, ",\"__metadata__\":%s", metadata), AL_OK);
  assert_int_equal(al_buffer_append(&f->header, "}", 1), AL_OK);
  uint64_t size = f->header.size;
  assert_int_equal(al_buffer_append(&whole, &size, sizeof size), AL_OK);
  assert_int_equal(al_buffer_append(&whole, f->header.data, f->header.size), AL_OK);
  assert_int_equal(al_buffer_append(&whole, f->data.data, f->data.size), AL_OK);
  assert_int_equal(al_file_write(path, whole.data, whole.size), AL_OK);
  al_buffer_free(&whole);
  al_buffer_free(&f->header);
  al_buffer_free(&f->data);
  *f = (weights_file){0};
}

static inline void weights_norm(weights_file *f, const char *at, size_t size, bool batch) {
  char name[120];
  const char *const parts[] = {"weight", "bias", "running_mean", "running_var"};
  const double centres[] = {1.0, 0.1, 0.05, 1.2}, scales[] = {0.2, 0.2, 0.1, 0.3};
  for (int i = 0; i < (batch ? 4 : 2); i++) {
    snprintf(name, sizeof name, "%s.%s", at, parts[i]);
    weights_tensor(f, name, centres[i], scales[i], 1, size);
  }
}

/* ResNet-18 of a few stages with torchvision's names and no head. stem: 7 or 3 */
static inline void weights_resnet(weights_file *f, size_t width, size_t stages, size_t stem) {
  char at[60], name[100];
  weights_tensor(f, "conv1.weight", 0.0, 0.2, 4, width, (size_t)3, stem, stem);
  weights_norm(f, "bn1", width, true);
  for (size_t s = 0; s < stages; s++)
    for (int b = 0; b < 2; b++) {
      size_t out = width << s, in = b == 0 && s > 0 ? out / 2 : out;
      snprintf(at, sizeof at, "layer%zu.%d", s + 1, b);
      snprintf(name, sizeof name, "%s.conv1.weight", at);
      weights_tensor(f, name, 0.0, 0.3, 4, out, in, (size_t)3, (size_t)3);
      snprintf(name, sizeof name, "%s.bn1", at);
      weights_norm(f, name, out, true);
      snprintf(name, sizeof name, "%s.conv2.weight", at);
      weights_tensor(f, name, 0.0, 0.3, 4, out, out, (size_t)3, (size_t)3);
      snprintf(name, sizeof name, "%s.bn2", at);
      weights_norm(f, name, out, true);
      if (in == out) continue;
      snprintf(name, sizeof name, "%s.downsample.0.weight", at);
      weights_tensor(f, name, 0.0, 0.3, 4, out, in, (size_t)1, (size_t)1);
      snprintf(name, sizeof name, "%s.downsample.1", at);
      weights_norm(f, name, out, true);
    }
}

/* All but the token table of a BERT with Hugging Face's names behind `prefix`, norms as gamma / beta when `old`. */
static inline void weights_bert_rest(weights_file *f, const char *prefix, bool old, size_t width, size_t layers,
                                     size_t inner) {
  char name[150];
#define BERT_NAME(...)                                                                                                 \
  (snprintf(name, sizeof name, "%s", prefix),                                                                          \
   snprintf(name + strlen(prefix), sizeof name - strlen(prefix), __VA_ARGS__), name)
  const char *const norm[] = {old ? "gamma" : "weight", old ? "beta" : "bias"};
  weights_tensor(f, BERT_NAME("embeddings.position_embeddings.weight"), 0.0, 0.5, 2, (size_t)64, width);
  weights_tensor(f, BERT_NAME("embeddings.token_type_embeddings.weight"), 0.0, 0.5, 2, (size_t)2, width);
  for (int i = 0; i < 2; i++)
    weights_tensor(f, BERT_NAME("embeddings.LayerNorm.%s", norm[i]), i == 0 ? 1.0 : 0.0, 0.1, 1, width);
  for (size_t l = 0; l < layers; l++) {
    static const char *const linear[] = {"attention.self.query",   "attention.self.key", "attention.self.value",
                                         "attention.output.dense", "intermediate.dense", "output.dense"};
    for (size_t i = 0; i < 6; i++) {
      size_t in = i == 5 ? inner : width, out = i == 4 ? inner : width;
      weights_tensor(f, BERT_NAME("encoder.layer.%zu.%s.weight", l, linear[i]), 0.0, 0.3, 2, out, in);
      weights_tensor(f, BERT_NAME("encoder.layer.%zu.%s.bias", l, linear[i]), 0.0, 0.05, 1, out);
    }
    for (int i = 0; i < 4; i++)
      weights_tensor(
          f, BERT_NAME("encoder.layer.%zu.%s.LayerNorm.%s", l, i < 2 ? "attention.output" : "output", norm[i % 2]),
          i % 2 == 0 ? 1.0 : 0.0, 0.1, 1, width);
  }
  weights_tensor(f, BERT_NAME("pooler.dense.weight"), 0.0, 0.3, 2, width, width);
  weights_tensor(f, BERT_NAME("pooler.dense.bias"), 0.0, 0.05, 1, width);
#undef BERT_NAME
}

/* With a table of `rows` token rows. */
static inline void weights_bert(weights_file *f, const char *prefix, bool old, size_t rows, size_t width, size_t layers,
                                size_t inner) {
  char name[150];
  snprintf(name, sizeof name, "%sembeddings.word_embeddings.weight", prefix);
  weights_tensor(f, name, 0.0, 1.0, 2, rows, width);
  weights_bert_rest(f, prefix, old, width, layers, inner);
}

#endif
