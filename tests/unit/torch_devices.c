/* The networks in tensor operations against the hand-written ones: outputs, losses, steps of both optimisers, parts of
 * a batch, states, self-supervised objectives. Always on the CPU, and on a GPU where libtorch finds one: that is the
 * check to run first on a machine with CUDA. What they are both held against is in torch_gradients and golden/. */
#include "base/memory.h"
#include "base/rng.h"
#include "torch/al_torch.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { TEXTS = 6, IMAGES = 6, CLASSES = 3, VOCABULARY = 60, USED = 50, TOKENS = 99 };

static const al_torch_api *api;
static al_torch_config where[2]; /* generic on the CPU; CUDA */
static size_t where_count;
static const double tolerance[2] = {1.0, 10.0}; /* a GPU adds up in another order, and its expf is another */

static const float uneven[CLASSES] = {0.4F, 2.5F, 1.3F};
static int32_t ids[TOKENS], types[TOKENS], labels[TEXTS];
static int64_t begin[TEXTS + 1];
static uint8_t pixels[IMAGES * 3 * 21 * 17];

static int find_devices(void **state) {
  (void)state;
  char text[200];
  if (al_torch_load(&api) != AL_OK) return -1;
  where[where_count++].generic = 1;
  if (api->device(AL_DEVICE_CUDA, text, sizeof text) == 0) {
    where[where_count++].device = AL_DEVICE_CUDA;
    print_message("cuda: %s\n", text);
  } else {
    print_message("cuda: %s\n", api->message());
  }
  static const int64_t lengths[TEXTS] = {3, 17, 1, 33, 16, 29};
  al_stream_key key = {.seed = 21, .purpose = "test", .dataset = "devices"};
  al_rng rng = al_rng_open(&key);
  for (size_t i = 0; i < TEXTS; i++) begin[i + 1] = begin[i] + lengths[i];
  for (size_t i = 0; i < TOKENS; i++) {
    ids[i] = (int32_t)al_rng_below(&rng, i < 54 ? 30 : USED); /* some rows are first used by the later texts */
    types[i] = (int32_t)al_rng_below(&rng, 2);
  }
  for (size_t i = 0; i < TEXTS; i++) labels[i] = (int32_t)(i * 2 % CLASSES);
  for (size_t i = 0; i < sizeof pixels; i++) pixels[i] = (uint8_t)al_rng_below(&rng, 256);
  return begin[TEXTS] == TOKENS ? 0 : -1;
}

static al_torch_config bert_config(int pooling) {
  return (al_torch_config){.kind = AL_TORCH_BERT,
                           .classes = CLASSES,
                           .vocabulary = VOCABULARY,
                           .positions = 40,
                           .types = 2,
                           .width = 32,
                           .layers = 2,
                           .heads = 2,
                           .inner = 48,
                           .pooling = pooling,
                           .weight_decay = 0.3,
                           .clip = 0.7};
}

static al_torch_config resnet_config(int stem, size_t depth) {
  return (al_torch_config){.kind = AL_TORCH_RESNET,
                           .classes = CLASSES,
                           .depth = depth,
                           .channels = 3,
                           .stages = 2,
                           .stage_width = 8,
                           .stem = stem,
                           .mean = {0.5, 0.4, 0.3},
                           .deviation = {0.25, 0.5, 0.3},
                           .weight_decay = 0.3,
                           .clip = 0.7};
}

/* A DistilBERT: no token types. */
static al_torch_config distilled_config(void) {
  al_torch_config config = bert_config(AL_POOL_CLS);
  config.types = 0;
  return config;
}

static al_torch_batch texts(size_t n) { return (al_torch_batch){.n = n, .ids = ids, .types = types, .begin = begin}; }

/* What such a network reads. */
static al_torch_batch batch_of(const al_torch_config *config, size_t n) {
  al_torch_batch batch = texts(n);
  if (config->types == 0) batch.types = NULL;
  return batch;
}

static al_torch_batch images(void) {
  return (al_torch_batch){.n = IMAGES, .pixels = pixels, .height = 21, .width = 17};
}

static al_torch_tensor tensor_of(const al_torch_net *net, size_t which) {
  al_torch_tensor tensor;
  assert_int_equal(api->tensor(net, which, &tensor), 0);
  return tensor;
}

static void ok(int result) {
  if (result != 0) fail_msg("%s", api->message());
}

/* The same start in each network of a shape. NULL device: by hand. */
static al_torch_net *make(al_torch_config config, const al_torch_config *device) {
  al_torch_net *net = NULL;
  config.device = device == NULL ? AL_DEVICE_CPU : device->device;
  config.generic = device == NULL ? 0 : device->generic;
  ok(api->create(&net, &config));
  al_stream_key key = {.seed = 22, .purpose = "test", .dataset = "start"};
  al_rng rng = al_rng_open(&key);
  for (size_t i = 0; i < api->tensors(net); i++) {
    al_torch_tensor tensor = tensor_of(net, i);
    float *values = NULL;
    assert_int_equal(AL_NEW(&values, tensor.count), AL_OK);
    bool one = tensor.dims == 1 && (strstr(tensor.name, ".weight") || strstr(tensor.name, "running_var"));
    for (size_t k = 0; k < tensor.count; k++)
      values[k] = (float)((one ? 1.0 : 0.0) + (tensor.dims > 1 ? 0.35 : 0.1) * al_rng_normal(&rng));
    ok(api->set(net, i, values));
    free(values);
  }
  ok(api->begin(net, 7));
  return net;
}

static float *values_of(al_torch_net *net, size_t which) {
  float *values = NULL;
  assert_int_equal(AL_NEW(&values, tensor_of(net, which).count), AL_OK);
  ok(api->get(net, which, values));
  return values;
}

static double largest_difference(const float *a, const float *b, size_t n) {
  double worst = 0.0;
  for (size_t i = 0; i < n; i++) worst = fmax(worst, isfinite(a[i]) ? fabs((double)a[i] - (double)b[i]) : INFINITY);
  return worst;
}

/* Every tensor of two networks. The gradient of a key's bias is 0 but for rounding, of which AdamW takes the sign. */
static void same_tensors(al_torch_net *a, al_torch_net *b, double most, bool adam) {
  for (size_t i = 0; i < api->tensors(a); i++) {
    al_torch_tensor tensor = tensor_of(a, i);
    float *x = values_of(a, i), *y = values_of(b, i);
    double found = largest_difference(x, y, tensor.count);
    if (!(adam && strstr(tensor.name, "key.bias") != NULL) && !(found <= most))
      fail_msg("%s differs by %g, more than %g", tensor.name, found, most);
    free(x);
    free(y);
  }
}

static void check_outputs(al_torch_net *hand, al_torch_net *other, const al_torch_batch *batch, size_t width,
                          double most) {
  float p[2][TEXTS * CLASSES], h[2][TEXTS * 64];
  ok(api->predict(hand, batch, 0, p[0], h[0]));
  ok(api->predict(other, batch, 0, p[1], h[1]));
  assert_true(largest_difference(p[0], p[1], batch->n * CLASSES) <= most);
  assert_true(largest_difference(h[0], h[1], batch->n * width) <= most);
  ok(api->predict(other, batch, 0, p[0], NULL));
  assert_memory_equal(p[0], p[1], batch->n * CLASSES * sizeof **p);
}

static void bert_outputs(void **state) {
  (void)state;
  for (size_t d = 0; d < where_count; d++)
    for (int pooling = AL_POOL_CLS; pooling <= AL_POOL_POOLER + 1; pooling++) {
      al_torch_config config = pooling <= AL_POOL_POOLER ? bert_config(pooling) : distilled_config();
      al_torch_net *hand = make(config, NULL), *other = make(config, &where[d]);
      al_torch_batch batch = batch_of(&config, TEXTS);
      check_outputs(hand, other, &batch, config.width, 1e-5 * tolerance[d]);
      float a[3][TEXTS * 32], b[3][TEXTS * 32];
      ok(api->encode(hand, &batch, a[0], a[1], a[2]));
      ok(api->encode(other, &batch, b[0], b[1], b[2]));
      assert_true(largest_difference(*a, *b, 3 * TEXTS * 32) <= 1e-5 * tolerance[d]);
      api->free(hand);
      api->free(other);
    }
}

static void resnet_outputs(void **state) {
  (void)state;
  for (size_t d = 0; d < where_count; d++)
    for (int stem = AL_STEM_IMAGENET; stem <= AL_STEM_3X3S2; stem++) {
      al_torch_config config = resnet_config(stem, stem == AL_STEM_3X3S1 ? 50 : 18);
      al_torch_net *hand = make(config, NULL), *other = make(config, &where[d]);
      al_torch_batch batch = images();
      check_outputs(hand, other, &batch, config.depth == 50 ? 64 : 16, 1e-4 * tolerance[d]);
      float input[3 * 21 * 17], a[64], b[64];
      for (size_t i = 0; i < 3 * 21 * 17; i++) input[i] = (float)sin(0.31 * (double)i);
      ok(api->stage_features(hand, input, 1, 21, 17, 1, a));
      ok(api->stage_features(other, input, 1, 21, 17, 1, b));
      assert_true(largest_difference(a, b, config.depth == 50 ? 32 : 8) <= 1e-4 * tolerance[d]);
      api->free(hand);
      api->free(other);
    }
}

/* Six steps, on the early texts and on all of them, with decay and clipping: rows of the table that nobody has used yet
 * or never will decay alike. */
static void check_steps(al_torch_config config, const float *weights, size_t d) {
  al_torch_net *hand = make(config, NULL), *other = make(config, &where[d]);
  ok(api->weigh(hand, weights));
  ok(api->weigh(other, weights));
  const double rate = config.sgd ? 0.02 : 0.001;
  for (size_t step = 0; step < 6; step++) {
    al_torch_batch batch = config.kind == AL_TORCH_BERT ? batch_of(&config, step < 2 ? 4 : TEXTS) : images();
    double a = 0.0, b = 0.0;
    ok(api->step(hand, &batch, labels, rate, &a));
    ok(api->step(other, &batch, labels, rate, &b));
    assert_float_equal(a, b, 1e-4 * tolerance[d]);
  }
  same_tensors(hand, other, 1e-4 * tolerance[d], !config.sgd);
  if (config.kind == AL_TORCH_BERT) { /* exactly: nothing but rounding of the decay parts them */
    float *x = values_of(hand, 0), *y = values_of(other, 0), *start = NULL;
    size_t unused = USED * config.width, rest = (VOCABULARY - USED) * config.width;
    assert_true(largest_difference(x + unused, y + unused, rest) <= 1e-6);
    al_torch_net *fresh = make(config, NULL);
    start = values_of(fresh, 0);
    assert_true(largest_difference(x + unused, start + unused, rest) > 1e-4); /* they did decay */
    api->free(fresh);
    free(x);
    free(y);
    free(start);
  }
  api->free(hand);
  api->free(other);
}

static void bert_steps(void **state) {
  (void)state;
  for (size_t d = 0; d < where_count; d++)
    for (int pooling = AL_POOL_CLS; pooling <= AL_POOL_POOLER; pooling++)
      for (int sgd = 0; sgd < 2; sgd++) {
        al_torch_config config = bert_config(pooling);
        config.sgd = sgd;
        check_steps(config, pooling == AL_POOL_MEAN ? uneven : NULL, d);
        if (pooling != AL_POOL_CLS) continue;
        check_steps(config, uneven, d);
        config.types = 0;
        check_steps(config, NULL, d);
      }
}

static void resnet_steps(void **state) {
  (void)state;
  for (size_t d = 0; d < where_count; d++)
    for (int sgd = 0; sgd < 2; sgd++) {
      al_torch_config config = resnet_config(sgd ? AL_STEM_IMAGENET : AL_STEM_3X3S2, 18);
      config.sgd = sgd;
      check_steps(config, sgd ? uneven : NULL, d);
    }
}

/* Two parts with their shares are one batch. */
static void parts(void **state) {
  (void)state;
  for (size_t d = 0; d < where_count; d++) {
    al_torch_config config = bert_config(AL_POOL_CLS);
    config.sgd = 1;
    al_torch_net *whole = make(config, &where[d]), *parted = make(config, &where[d]);
    int64_t later[TEXTS - 1];
    for (size_t i = 0; i < TEXTS - 1; i++) later[i] = begin[2 + i] - begin[2];
    for (int step = 0; step < 3; step++) {
      al_torch_batch batch = texts(TEXTS);
      double loss, first, second;
      ok(api->step(whole, &batch, labels, 0.02, &loss));
      batch = texts(2);
      ok(api->accumulate(parted, &batch, labels, 2.0 / TEXTS, &first));
      batch = (al_torch_batch){.n = TEXTS - 2, .ids = ids + begin[2], .types = types + begin[2], .begin = later};
      ok(api->accumulate(parted, &batch, labels + 2, 1.0 - 2.0 / TEXTS, &second));
      ok(api->update(parted, 0.02));
      assert_float_equal(2.0 / TEXTS * first + (1.0 - 2.0 / TEXTS) * second, loss, 1e-5 * tolerance[d]);
    }
    same_tensors(whole, parted, 2e-5 * tolerance[d], false);
    api->free(whole);
    api->free(parted);
  }
}

/* Masked words, bags of words, pairs of segments: losses and three steps on their sum. */
static void pretext(void **state) {
  (void)state;
  static const int32_t candidates[] = {3, 55, 7, 12, 48, 1, 30, 59, 22}, targets[] = {1, 0, 8, 4},
                       bag[] = {0, 2, 5, 7, 1, 1, 4};
  static const int64_t positions[] = {1, 5, 20, 40}, bag_begin[] = {0, 2, 3, 4, 5, 6, 7};
  static const float shares[] = {0.25F, 0.75F, 1.0F, 1.0F, 1.0F, 1.0F, 1.0F};
  const al_torch_pretext all = {.mlm = 0.7,
                                .bow = 1.3,
                                .contrastive = 0.4,
                                .temperature = 0.3,
                                .candidate_count = 9,
                                .candidates = candidates,
                                .masked = 4,
                                .positions = positions,
                                .targets = targets,
                                .bag_begin = bag_begin,
                                .bag = bag,
                                .shares = shares};
  for (size_t d = 0; d < where_count; d++)
    for (int sgd = 0; sgd < 2; sgd++) {
      al_torch_config config = bert_config(AL_POOL_CLS);
      config.pretext = 1;
      config.sgd = sgd;
      al_torch_net *hand = make(config, NULL), *other = make(config, &where[d]);
      for (int step = 0; step < 3; step++) {
        al_torch_batch batch = texts(TEXTS);
        double a[3], b[3];
        ok(api->pretrain(hand, &batch, &all, sgd ? 0.02 : 0.001, a));
        ok(api->pretrain(other, &batch, &all, sgd ? 0.02 : 0.001, b));
        for (int i = 0; i < 3; i++) {
          assert_true(a[i] > 0.01);
          assert_float_equal(a[i], b[i], 1e-4 * tolerance[d]);
        }
      }
      same_tensors(hand, other, 1e-4 * tolerance[d], !sgd);
      api->free(hand);
      api->free(other);
    }
}

/* Six steps with dropout, and the last three of them again from a saved state, and all of them again from the seed: the
 * same bits. Another seed, and the hand-written network's state: not. */
static void states(void **state) {
  (void)state;
  for (size_t d = 0; d < where_count; d++)
    for (int sgd = 0; sgd < 2; sgd++) {
      al_torch_config config = bert_config(AL_POOL_CLS);
      config.sgd = sgd;
      config.dropout = 0.1;
      al_torch_net *net = make(config, &where[d]), *later = make(config, &where[d]), *again = make(config, &where[d]);
      al_torch_net *hand = make(config, NULL), *seeded = make(config, &where[d]);
      void *bytes = NULL;
      size_t size = api->state_size(net);
      assert_int_equal(al_allocate(&bytes, size, 1), AL_OK);
      ok(api->begin(seeded, 8));
      for (int step = 0; step < 6; step++) {
        al_torch_batch batch = texts(step % 2 == 0 ? 4 : TEXTS);
        double loss, other;
        if (step == 3) {
          ok(api->get_state(net, bytes));
          ok(api->set_state(later, bytes, size));
        }
        ok(api->step(net, &batch, labels, 0.002, &loss));
        ok(api->step(again, &batch, labels, 0.002, &other));
        assert_true(loss == other);
        if (step >= 3) ok(api->step(later, &batch, labels, 0.002, &other));
        assert_true(loss == other);
        ok(api->step(seeded, &batch, labels, 0.002, &other));
        if (step == 0) assert_true(loss != other);
      }
      same_tensors(net, later, 0.0, false);
      same_tensors(net, again, 0.0, false);
      assert_int_not_equal(api->set_state(hand, bytes, size), 0);
      assert_non_null(strstr(api->message(), "another network"));
      free(bytes);
      al_torch_net *all[] = {net, later, again, hand, seeded};
      for (size_t i = 0; i < 5; i++) api->free(all[i]);
    }
}

/* Stochastic passes have other masks than the hand-written network's, and the same distribution. */
static void passes(void **state) {
  (void)state;
  enum { PASSES = 600, KEPT = TEXTS * CLASSES };
  for (size_t d = 0; d < where_count; d++) {
    al_torch_config config = bert_config(AL_POOL_CLS);
    config.dropout = 0.3;
    al_torch_net *nets[2] = {make(config, NULL), make(config, &where[d])};
    double sum[2][KEPT] = {{0}}, squares[2][KEPT] = {{0}};
    float p[KEPT], first[KEPT], second[KEPT];
    al_torch_batch batch = texts(TEXTS);
    for (int which = 0; which < 2; which++) {
      ok(api->seed(nets[which], 3));
      for (int pass = 0; pass < PASSES; pass++) {
        ok(api->predict(nets[which], &batch, 1, p, NULL));
        if (pass == 0) memcpy(first, p, sizeof p);
        if (pass == 1) memcpy(second, p, sizeof p);
        for (size_t i = 0; i < KEPT; i++) {
          sum[which][i] += (double)p[i];
          squares[which][i] += (double)p[i] * (double)p[i];
        }
      }
      assert_true(largest_difference(first, second, KEPT) > 1e-3);
      ok(api->seed(nets[which], 3));
      ok(api->predict(nets[which], &batch, 1, p, NULL));
      assert_memory_equal(p, first, sizeof p);
      ok(api->predict(nets[which], &batch, 1, p, NULL));
      assert_memory_equal(p, second, sizeof p);
    }
    for (size_t i = 0; i < KEPT; i++) {
      double mean[2], deviation[2];
      for (int which = 0; which < 2; which++) {
        mean[which] = sum[which][i] / PASSES;
        deviation[which] = sqrt(squares[which][i] / PASSES - mean[which] * mean[which]);
      }
      double error = sqrt((deviation[0] * deviation[0] + deviation[1] * deviation[1]) / PASSES);
      assert_true(deviation[0] > 1e-3);
      assert_true(fabs(mean[0] - mean[1]) < 4.5 * error);
      assert_true(fabs(log(deviation[0] / deviation[1])) < 0.25);
    }
    api->free(nets[0]);
    api->free(nets[1]);
  }
}

/* Bad calls are refused by name, and a device that is not there is one line. */
static void refusals(void **state) {
  (void)state;
  char text[8] = "?";
  al_torch_net *net = NULL;
  ok(api->device(AL_DEVICE_CPU, text, sizeof text));
  assert_string_equal(text, "");
  assert_int_not_equal(api->device(2, text, sizeof text), 0);
  assert_non_null(strstr(api->message(), "no such device"));
  if (where_count == 1) {
    al_torch_config config = bert_config(AL_POOL_CLS);
    config.device = AL_DEVICE_CUDA;
    assert_int_not_equal(api->create(&net, &config), 0);
    assert_null(net);
    assert_true(strstr(api->message(), "without CUDA") != NULL || strstr(api->message(), "no usable GPU") != NULL);
    assert_null(strchr(api->message(), '\n'));
  }
  net = make(bert_config(AL_POOL_CLS), &where[0]);
  int32_t bad[2] = {3, VOCABULARY};
  int64_t one[2] = {0, 2}, empty[2] = {0, 0};
  float p[CLASSES];
  al_torch_batch batch = {.n = 1, .ids = bad, .begin = one};
  assert_int_not_equal(api->predict(net, &batch, 0, p, NULL), 0);
  assert_non_null(strstr(api->message(), "vocabulary"));
  batch.begin = empty;
  assert_int_not_equal(api->predict(net, &batch, 0, p, NULL), 0);
  assert_non_null(strstr(api->message(), "empty"));
  api->free(net);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(bert_outputs), cmocka_unit_test(resnet_outputs), cmocka_unit_test(bert_steps),
      cmocka_unit_test(resnet_steps), cmocka_unit_test(parts),          cmocka_unit_test(pretext),
      cmocka_unit_test(states),       cmocka_unit_test(passes),         cmocka_unit_test(refusals),
  };
  return cmocka_run_group_tests(tests, find_devices, NULL);
}
