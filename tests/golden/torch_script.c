/* A user's TorchScript modules against what PyTorch computes with them and what a plain PyTorch loop makes of them
 * (torchscript.py wrote both), and that nothing but the flat tensors and the seeds decides what a fit and a prediction
 * are. */
#include "base/file.h"
#include "base/memory.h"
#include "torch/al_torch.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { CLASSES = 3, MOST = 512, TEXTS = 5, IMAGES = 6, HEIGHT = 9, WIDTH = 11 };

static const al_torch_api *api;
static json_t *golden;
static int32_t ids[TEXTS * 16];
static int64_t begin[TEXTS + 1];
static uint8_t pixels[IMAGES * 2 * HEIGHT * WIDTH];

static int setup(void **state) {
  (void)state;
  golden = json_load_file("tests/golden/torchscript.json", 0, NULL);
  if (golden == NULL || al_torch_load(&api) != AL_OK) return -1;
  for (size_t i = 0; i < TEXTS; i++) {
    const json_t *text = json_array_get(json_object_get(golden, "texts"), i);
    begin[i + 1] = begin[i] + (int64_t)json_array_size(text);
    for (size_t k = 0; k < json_array_size(text); k++)
      ids[begin[i] + (int64_t)k] = (int32_t)json_integer_value(json_array_get(text, k));
  }
  for (size_t i = 0; i < sizeof pixels; i++)
    pixels[i] = (uint8_t)json_integer_value(json_array_get(json_object_get(golden, "pixels"), i));
  return 0;
}

static int teardown(void **state) {
  (void)state;
  json_decref(golden);
  return 0;
}

typedef struct {
  al_torch_net *net;
  al_torch_batch batch;
  size_t width;
  int32_t labels[IMAGES];
} problem;

/* The module of a file; dropout: of alab's own before the head; generic: in tensor
 * operations. */
static problem open_problem(const char *name, bool sgd, double dropout, bool generic) {
  problem p = {0};
  char path[100], *bytes = NULL;
  bool text = strcmp(name, "text") == 0, dropped = strcmp(name, "dropped") == 0;
  al_torch_script facts;
  al_torch_config config = {.kind = AL_TORCH_SCRIPT,
                            .classes = CLASSES,
                            .dropout = dropout,
                            .positions = 16,
                            .vocabulary = 60,
                            .script_tokens = text,
                            .channels = dropped ? 1 : 2,
                            .height = dropped ? 5 : HEIGHT,
                            .width_of_image = dropped ? 6 : WIDTH,
                            .mean = {0.5, 0.5, 0.5},
                            .deviation = {0.5, 0.5, 0.5},
                            .sgd = sgd,
                            .generic = generic,
                            .weight_decay = 0.01,
                            .clip = 1.0};
  snprintf(path, sizeof path, "tests/golden/torchscript/%s.pt", name);
  assert_int_equal(al_file_read(&bytes, &config.script_size, path, 1 << 20), AL_OK);
  config.script = bytes;
  if (api->create(&p.net, &config) != 0) fail_msg("%s: %s", name, api->message());
  free(bytes); /* read by create alone */
  assert_int_equal(api->script_facts(p.net, &facts), 0);
  p.width = facts.width;
  assert_int_equal(facts.dropouts, dropped ? 1 : 0);
  assert_true(facts.apart < 1e-5);
  p.batch =
      text ? (al_torch_batch){.n = TEXTS, .ids = ids, .begin = begin}
           : (al_torch_batch){.n = IMAGES, .pixels = pixels, .height = config.height, .width = config.width_of_image};
  for (size_t i = 0; i < p.batch.n; i++) p.labels[i] = (int32_t)(i % CLASSES);
  return p;
}

static size_t find(const al_torch_net *net, const char *name, al_torch_tensor *tensor) {
  for (size_t i = 0; i < api->tensors(net); i++) {
    assert_int_equal(api->tensor(net, i, tensor), 0);
    if (strcmp(tensor->name, name) == 0) return i;
  }
  fail_msg("no tensor %s", name);
  return 0;
}

static void set_tensor(al_torch_net *net, const char *name, const json_t *values) {
  al_torch_tensor tensor;
  float given[MOST];
  size_t which = find(net, name, &tensor);
  assert_int_equal(tensor.count, json_array_size(values));
  for (size_t i = 0; i < tensor.count; i++) given[i] = (float)json_number_value(json_array_get(values, i));
  assert_int_equal(api->set(net, which, given), 0);
}

static void close_to(const char *what, const json_t *wanted, const float *got, size_t n, double tolerance) {
  assert_int_equal(json_array_size(wanted), n);
  for (size_t i = 0; i < n; i++) {
    double value = json_number_value(json_array_get(wanted, i));
    if (!(fabs((double)got[i] - value) <= tolerance)) fail_msg("%s[%zu]: %g, not %g", what, i, (double)got[i], value);
  }
}

/* All of a network's numbers, so that two can be compared byte by byte. */
static float *all_tensors(al_torch_net *net, size_t *count) {
  float *values = NULL;
  al_torch_tensor tensor;
  *count = 0;
  for (int writing = 0; writing < 2; writing++) {
    size_t at = 0;
    for (size_t i = 0; i < api->tensors(net); i++, at += tensor.count) {
      assert_int_equal(api->tensor(net, i, &tensor), 0);
      if (writing) assert_int_equal(api->get(net, i, values + at), 0);
    }
    if (!writing) assert_int_equal(AL_NEW(&values, *count = at), AL_OK);
  }
  return values;
}

static void put_tensors(al_torch_net *net, const float *values) {
  al_torch_tensor tensor;
  for (size_t i = 0; i < api->tensors(net); i++, values += tensor.count) {
    assert_int_equal(api->tensor(net, i, &tensor), 0);
    assert_int_equal(api->set(net, i, values), 0);
  }
}

static void as_pytorch(const char *name, bool generic) {
  const json_t *wanted = json_object_get(golden, name), *rates = json_object_get(wanted, "rates"), *values;
  problem p =
      open_problem(name, strcmp(json_string_value(json_object_get(wanted, "optimiser")), "sgd") == 0, 0.0, generic);
  float h[MOST];
  double loss;
  const char *tensor_name;
  al_torch_tensor tensor;
  assert_int_equal(p.width, json_integer_value(json_object_get(wanted, "width")));
  set_tensor(p.net, "(head).weight", json_array_get(json_object_get(wanted, "head"), 0));
  set_tensor(p.net, "(head).bias", json_array_get(json_object_get(wanted, "head"), 1));
  assert_int_equal(api->predict(p.net, &p.batch, 0, NULL, h), 0);
  close_to("h", json_object_get(wanted, "h"), h, p.batch.n * p.width, 1e-5);
  for (size_t i = 0; i < p.batch.n; i++)
    p.labels[i] = (int32_t)json_integer_value(json_array_get(json_object_get(wanted, "labels"), i));
  assert_int_equal(api->begin(p.net, 1), 0);
  for (size_t i = 0; i < json_array_size(rates); i++) {
    double rate = json_number_value(json_array_get(rates, i));
    assert_int_equal(api->step(p.net, &p.batch, p.labels, rate, &loss), 0);
    assert_float_equal(loss, json_number_value(json_array_get(json_object_get(wanted, "losses"), i)), 1e-4);
  }
  size_t seen = 0;
  json_object_foreach(json_object_get(wanted, "tensors"), tensor_name, values) {
    float got[1024];
    if (strcmp(tensor_name, "again.weight") == 0) continue; /* tied: one tensor of two names */
    size_t which = find(p.net, tensor_name, &tensor);
    assert_true(tensor.count <= 1024);
    assert_int_equal(api->get(p.net, which, got), 0);
    close_to(tensor_name, values, got, tensor.count, 1e-4);
    seen++;
  }
  assert_int_equal(seen, api->tensors(p.net));
  assert_int_equal(api->predict(p.net, &p.batch, 0, NULL, h), 0);
  close_to("h after training", json_object_get(wanted, "h_after"), h, p.batch.n * p.width, 1e-4);
  api->free(p.net);
}

static void text_as_pytorch(void **state) {
  (void)state;
  as_pytorch("text", false);
  as_pytorch("text", true);
}

static void images_as_pytorch(void **state) {
  (void)state;
  as_pytorch("image", false);
  as_pytorch("image", true);
}

/* A few steps from `start` under a seed; between: a prediction after each, as early stopping makes them. */
static float *fit(problem *p, const float *start, uint64_t seed, bool between, bool in_parts, size_t *count) {
  double loss;
  float h[MOST];
  put_tensors(p->net, start);
  assert_int_equal(api->begin(p->net, seed), 0);
  for (size_t i = 0; i < 4; i++) {
    if (!in_parts) {
      assert_int_equal(api->step(p->net, &p->batch, p->labels, 0.02, &loss), 0);
    } else {
      al_torch_batch first = p->batch, second = p->batch;
      first.n = 2;
      second.n = p->batch.n - 2;
      if (p->batch.pixels != NULL)
        second.pixels += 2 * (p->batch.height * p->batch.width);
      else
        second.begin += 2;
      double share = 2.0 / (double)p->batch.n;
      assert_int_equal(api->accumulate(p->net, &first, p->labels, share, &loss), 0);
      assert_int_equal(api->accumulate(p->net, &second, p->labels + 2, 1.0 - share, &loss), 0);
      assert_int_equal(api->update(p->net, 0.02), 0);
    }
    if (between) assert_int_equal(api->predict(p->net, &p->batch, 0, NULL, h), 0);
  }
  return all_tensors(p->net, count);
}

/* Counters, numbers and assigned buffers leave no trace in the next fit; predictions leave none in a fit. */
static void fits_from_streams_alone(void **state) {
  (void)state;
  static const char *const names[] = {"text", "image", "dropped"};
  for (size_t k = 0; k < 6; k++) {
    problem p = open_problem(names[k % 3], false, 0.3, k >= 3);
    size_t count, n;
    float *start = all_tensors(p.net, &count), *once = fit(&p, start, 5, false, false, &n);
    float *again = fit(&p, start, 5, false, false, &n), *other = fit(&p, start, 6, false, false, &n);
    float *looked = fit(&p, start, 5, true, false, &n);
    assert_memory_equal(once, again, count * sizeof *once);
    assert_memory_equal(once, looked, count * sizeof *once);
    assert_memory_not_equal(once, other, count * sizeof *once); /* the seed is that of dropout */
    problem fresh = open_problem(names[k % 3], false, 0.3, k >= 3);
    float *elsewhere = fit(&fresh, start, 5, false, false, &n);
    assert_memory_equal(once, elsewhere, count * sizeof *once);
    float h[MOST], same[MOST];
    assert_int_equal(api->predict(p.net, &p.batch, 0, NULL, h), 0);
    put_tensors(fresh.net, looked);
    assert_int_equal(api->predict(fresh.net, &p.batch, 0, NULL, same), 0);
    assert_memory_equal(h, same, p.batch.n * p.width * sizeof *h);
    api->free(p.net);
    api->free(fresh.net);
    free(start), free(once), free(again), free(other), free(looked), free(elsewhere);
  }
}

static void parts_add_up(void **state) {
  (void)state;
  problem p = open_problem("text", true, 0.0, false);
  size_t count, n;
  float *start = all_tensors(p.net, &count), *whole = fit(&p, start, 1, false, false, &n);
  /* offsets of a part begin where the batch's do not, as alab's own batches never have them: shift by hand */
  float *parts = NULL;
  int64_t moved[TEXTS + 1];
  put_tensors(p.net, start);
  assert_int_equal(api->begin(p.net, 1), 0);
  for (size_t i = 0; i < 4; i++) {
    double loss;
    al_torch_batch first = {.n = 2, .ids = ids, .begin = begin},
                   second = {.n = TEXTS - 2, .ids = ids + begin[2], .begin = moved};
    for (size_t k = 0; k <= TEXTS - 2; k++) moved[k] = begin[k + 2] - begin[2];
    assert_int_equal(api->accumulate(p.net, &first, p.labels, 0.4, &loss), 0);
    assert_int_equal(api->accumulate(p.net, &second, p.labels + 2, 0.6, &loss), 0);
    assert_int_equal(api->update(p.net, 0.02), 0);
  }
  parts = all_tensors(p.net, &n);
  for (size_t i = 0; i < count; i++) assert_float_equal(whole[i], parts[i], 1e-5);
  api->free(p.net);
  free(start), free(whole), free(parts);
}

/* A stochastic prediction is its seed's; the Dropout layer is on, other dropout is not; nothing of it stays. */
static void stochastic_predictions(void **state) {
  (void)state;
  problem p = open_problem("dropped", false, 0.0, false);
  float plain[MOST], again[MOST], one[MOST], same[MOST], other[MOST];
  size_t bytes = p.batch.n * p.width * sizeof(float), zeros = 0;
  assert_int_equal(api->predict(p.net, &p.batch, 0, NULL, plain), 0);
  assert_int_equal(api->seed(p.net, 3), 0);
  assert_int_equal(api->predict(p.net, &p.batch, 1, NULL, one), 0);
  assert_int_equal(api->seed(p.net, 4), 0);
  assert_int_equal(api->predict(p.net, &p.batch, 1, NULL, other), 0);
  assert_int_equal(api->seed(p.net, 3), 0);
  assert_int_equal(api->predict(p.net, &p.batch, 1, NULL, same), 0);
  assert_int_equal(api->predict(p.net, &p.batch, 0, NULL, again), 0);
  assert_memory_equal(one, same, bytes);
  assert_memory_equal(plain, again, bytes);
  assert_memory_not_equal(one, other, bytes);
  for (size_t i = 0; i < p.batch.n * p.width; i++) { /* kept ones are scaled by 1 / 0.6 alone */
    zeros += one[i] == 0.0F;
    if (one[i] != 0.0F) assert_float_equal(one[i], plain[i] / 0.6F, 1e-5);
  }
  assert_in_range(zeros, 10, 40); /* of 60, 24 are expected */
  api->free(p.net);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(text_as_pytorch), cmocka_unit_test(images_as_pytorch),
                                     cmocka_unit_test(fits_from_streams_alone), cmocka_unit_test(parts_add_up),
                                     cmocka_unit_test(stochastic_predictions)};
  return cmocka_run_group_tests_name("torch_script", tests, setup, teardown);
}
