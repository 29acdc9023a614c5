/* Arithmetic of the torch models against reference values that this project did not compute: the mirror's
 * bert-synthetic-golden (a float64 forward pass of weights made by formula, checked there against PyTorch's own encoder
 * layer) and resnet18-imagenet-trunk3 (torchvision's trunk, float64). Skipped where ALAB_MIRROR is not set. */
#include "base/file.h"
#include "base/memory.h"
#include "model/safetensors.h"
#include "torch/al_torch.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#ifdef ALAB_TORCH

static json_t *mirror_json(const char *file) {
  const char *mirror = getenv("ALAB_MIRROR");
  char path[1024];
  if (mirror == NULL) return NULL;
  snprintf(path, sizeof path, "%s/models/%s", mirror, file);
  return json_load_file(path, 0, NULL);
}

static void close_to(const json_t *wanted, const float *got, double tolerance) {
  for (size_t i = 0; i < json_array_size(wanted); i++)
    assert_float_equal(got[i], json_number_value(json_array_get(wanted, i)), tolerance);
}

/* The weights' formula, as golden.json states it. */
static void fill_by_formula(const al_torch_api *api, al_torch_net *net, const json_t *order) {
  for (size_t i = 0; i < api->tensors(net); i++) {
    al_torch_tensor tensor;
    assert_int_equal(api->tensor(net, i, &tensor), 0);
    float *values = NULL;
    assert_int_equal(AL_NEW(&values, tensor.count), AL_OK);
    for (size_t t = 0; t < json_array_size(order); t++) {
      const char *name = json_string_value(json_array_get(json_array_get(order, t), 0));
      if (strcmp(name, tensor.name) != 0) continue;
      for (size_t k = 0; k < tensor.count; k++) {
        double s = sin(1.3 * (double)t + 0.61803398875 * (double)k);
        bool norm = strstr(name, "LayerNorm.weight") != NULL, bias = strcmp(name + strlen(name) - 5, ".bias") == 0;
        bool table = strncmp(name, "embeddings.", 11) == 0 && !norm && !bias;
        values[k] = (float)(norm ? 1.0 + 0.1 * s : bias ? 0.02 * s : table ? s : 0.3 * s);
      }
    }
    assert_int_equal(api->set(net, i, values), 0);
    free(values);
  }
}

static void bert_arithmetic(void **state) {
  (void)state;
  json_t *golden = mirror_json("bert-synthetic-golden/golden.json");
  if (golden == NULL) skip();
  const al_torch_api *api = NULL;
  al_torch_net *net = NULL;
  assert_int_equal(al_torch_load(&api), AL_OK);
  al_torch_config config = {.kind = AL_TORCH_BERT,
                            .classes = 3,
                            .vocabulary = 30522,
                            .positions = 512,
                            .types = 2,
                            .width = 32,
                            .layers = 2,
                            .heads = 4,
                            .inner = 64,
                            .pooling = AL_POOL_CLS};
  assert_int_equal(api->create(&net, &config), 0);
  fill_by_formula(api, net, json_object_get(golden, "tensor_order"));
  const json_t *cases = json_object_get(golden, "cases");
  static int32_t ids[4096], types[4096];
  int64_t begin[32] = {0};
  size_t n = json_array_size(cases);
  for (size_t c = 0; c < n; c++) {
    const json_t *list = json_object_get(json_array_get(cases, c), "input_ids");
    for (size_t i = 0; i < json_array_size(list); i++)
      ids[begin[c] + (int64_t)i] = (int32_t)json_integer_value(json_array_get(list, i));
    begin[c + 1] = begin[c] + (int64_t)json_array_size(list);
  }
  float cls[32 * 32], mean[32 * 32], pooler[32 * 32], h[32 * 32];
  al_torch_batch batch = {.n = n, .ids = ids, .begin = begin}; /* padded to the longest: must change nothing */
  assert_int_equal(api->encode(net, &batch, cls, mean, pooler), 0);
  assert_int_equal(api->predict(net, &batch, 0, NULL, h), 0); /* the way that computes [CLS] alone in the last layer */
  for (size_t c = 0; c < n; c++) {
    const json_t *one = json_array_get(cases, c);
    close_to(json_object_get(one, "cls_last_hidden_first8"), cls + c * 32, 2e-5);
    close_to(json_object_get(one, "cls_last_hidden_first8"), h + c * 32, 2e-5);
    close_to(json_object_get(one, "mean_pooled_first8"), mean + c * 32, 2e-5);
    close_to(json_object_get(one, "pooler_output_first8"), pooler + c * 32, 2e-5);
    const json_t *typed = json_object_get(one, "token_type_ids_second_half_1");
    if (typed == NULL) continue;
    int64_t alone[2] = {0, begin[c + 1] - begin[c]};
    for (int64_t i = 0; i < alone[1]; i++)
      types[i] = (int32_t)json_integer_value(json_array_get(json_object_get(typed, "token_type_ids"), (size_t)i));
    al_torch_batch single = {.n = 1, .ids = ids + begin[c], .types = types, .begin = alone};
    float typed_cls[32], typed_mean[32], typed_pooler[32];
    assert_int_equal(api->encode(net, &single, typed_cls, typed_mean, typed_pooler), 0);
    close_to(json_object_get(typed, "cls_last_hidden_first8"), typed_cls, 2e-5);
  }
  api->free(net);
  json_decref(golden);
}

static void resnet_arithmetic(void **state) {
  (void)state;
  json_t *golden = mirror_json("resnet18-imagenet-trunk3/golden.json");
  if (golden == NULL) skip();
  const al_torch_api *api = NULL;
  al_torch_net *net = NULL;
  al_safetensors file;
  char path[1024];
  snprintf(path, sizeof path, "%s/models/resnet18-imagenet-trunk3/model.safetensors", getenv("ALAB_MIRROR"));
  assert_int_equal(al_torch_load(&api), AL_OK);
  al_torch_config config = {
      .kind = AL_TORCH_RESNET, .classes = 10, .channels = 3, .stages = 3, .stage_width = 64, .stem = AL_STEM_IMAGENET};
  assert_int_equal(api->create(&net, &config), 0);
  assert_int_equal(al_safetensors_open(&file, path), AL_OK);
  size_t missing = 0;
  for (size_t i = 0; i < api->tensors(net); i++) {
    al_torch_tensor tensor;
    bool found = false;
    float *values = NULL;
    assert_int_equal(api->tensor(net, i, &tensor), 0);
    assert_int_equal(AL_NEW(&values, tensor.count), AL_OK);
    assert_int_equal(al_safetensors_read(&file, tensor.name, values, tensor.count, &found), AL_OK);
    missing += !found;
    if (found) assert_int_equal(api->set(net, i, values), 0);
    free(values);
  }
  assert_int_equal(missing, 2); /* fc.weight and fc.bias: the trunk has no head */
  const json_t *cases = json_object_get(golden, "cases");
  for (size_t c = 0; c < json_array_size(cases); c++) {
    const json_t *one = json_array_get(cases, c);
    size_t side = (size_t)json_integer_value(json_object_get(one, "size"));
    float *x = NULL, out[256];
    assert_int_equal(AL_NEW(&x, 3 * side * side), AL_OK);
    for (size_t ch = 0; ch < 3; ch++)
      for (size_t i = 0; i < side; i++)
        for (size_t j = 0; j < side; j++)
          x[(ch * side + i) * side + j] = (float)sin(0.1 * (double)i + 0.2 * (double)j + (double)ch);
    for (size_t stage = 1; stage <= 3; stage++) {
      char key[64];
      snprintf(key, sizeof key, "layer%zu_avgpool_first8", stage);
      assert_int_equal(api->stage_features(net, x, 1, side, side, stage, out), 0);
      close_to(json_object_get(one, key), out, 2e-4);
    }
    free(x);
  }
  al_safetensors_close(&file);
  api->free(net);
  json_decref(golden);
}

/* Training lowers the loss and two equal fits are equal bytes. */
static void training_is_repeatable(void **state) {
  (void)state;
  const al_torch_api *api = NULL;
  float probs[2][8 * 2];
  uint8_t pixels[8 * 16 * 16];
  int32_t labels[8];
  for (size_t i = 0; i < 8; i++) {
    labels[i] = (int32_t)(i % 2);
    for (size_t p = 0; p < 256; p++) pixels[i * 256 + p] = (uint8_t)(labels[i] ? (p % 16) * 15 : (p / 16) * 15 + i);
  }
  assert_int_equal(al_torch_load(&api), AL_OK);
  for (int run = 0; run < 2; run++) {
    al_torch_net *net = NULL;
    al_torch_config config = {.kind = AL_TORCH_RESNET,
                              .classes = 2,
                              .channels = 1,
                              .stages = 2,
                              .stage_width = 4,
                              .dropout = 0.2,
                              .stem = AL_STEM_3X3S2,
                              .mean = {0.5},
                              .deviation = {0.5},
                              .weight_decay = 0.01,
                              .clip = 1.0};
    assert_int_equal(api->create(&net, &config), 0);
    for (size_t i = 0; i < api->tensors(net); i++) {
      al_torch_tensor tensor;
      float *values = NULL;
      assert_int_equal(api->tensor(net, i, &tensor), 0);
      assert_int_equal(AL_NEW(&values, tensor.count), AL_OK);
      bool one =
          strstr(tensor.name, "running_var") != NULL || (tensor.dims == 1 && strstr(tensor.name, ".weight") != NULL);
      for (size_t k = 0; k < tensor.count; k++)
        values[k] = one ? 1.0F : tensor.dims > 1 ? (float)(0.3 * sin((double)(k * 7 + i * 3))) : 0.0F;
      assert_int_equal(api->set(net, i, values), 0);
      free(values);
    }
    al_torch_batch batch = {.n = 8, .pixels = pixels, .height = 16, .width = 16};
    double first = 0.0, loss = 0.0;
    assert_int_equal(api->begin(net, 5), 0);
    for (int step = 0; step < 60; step++) {
      assert_int_equal(api->step(net, &batch, labels, 0.01, &loss), 0);
      if (step == 0) first = loss;
    }
    assert_true(loss < 0.5 * first);
    assert_int_equal(api->predict(net, &batch, 0, probs[run], NULL), 0);
    api->free(net);
  }
  assert_memory_equal(probs[0], probs[1], sizeof probs[0]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(bert_arithmetic),
      cmocka_unit_test(resnet_arithmetic),
      cmocka_unit_test(training_is_repeatable),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void) { return 0; } /* built without libtorch */

#endif
