/* Bugs that were found in networks that are fitted again.
 *
 * 1. A fit's last batch left its token rows marked as known to the batch at hand, and the next fit of the same network
 *    never trained them: every cold fit but a process's first missed them, and a resumed cell went on to other bytes.
 */
#include "base/memory.h"
#include "torch/al_torch.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { VOCABULARY = 12, WIDTH = 16, CLASSES = 2, STEPS = 4 };

static const al_torch_api *api;

static float *values_of(al_torch_net *net, size_t *count) {
  float *values = NULL;
  size_t at = 0;
  al_torch_tensor tensor;
  *count = 0;
  for (size_t i = 0; i < api->tensors(net); i++) {
    assert_int_equal(api->tensor(net, i, &tensor), 0);
    *count += tensor.count;
  }
  assert_int_equal(AL_NEW(&values, *count), AL_OK);
  for (size_t i = 0; i < api->tensors(net); i++, at += tensor.count) {
    assert_int_equal(api->tensor(net, i, &tensor), 0);
    assert_int_equal(api->get(net, i, values + at), 0);
  }
  return values;
}

/* A cold start and a few steps, each on another text, the last on tokens that others have too. */
static void fit(al_torch_net *net) {
  static const int32_t ids[STEPS][4] = {{1, 2, 3, 4}, {1, 5, 6, 7}, {1, 8, 9, 2}, {1, 2, 10, 5}},
                       labels[] = {0, 1, 1, 0};
  static const int64_t begin[] = {0, 4};
  for (size_t i = 0; i < api->tensors(net); i++) {
    al_torch_tensor tensor;
    float *start = NULL;
    assert_int_equal(api->tensor(net, i, &tensor), 0);
    assert_int_equal(AL_NEW(&start, tensor.count), AL_OK);
    for (size_t k = 0; k < tensor.count; k++)
      start[k] =
          (float)((strstr(tensor.name, "LayerNorm.weight") ? 1.0 : 0.0) + 0.3 * sin(1.7 * (double)i + (double)k));
    assert_int_equal(api->set(net, i, start), 0);
    free(start);
  }
  assert_int_equal(api->begin(net, 3), 0);
  for (size_t s = 0; s < STEPS; s++) {
    double loss;
    al_torch_batch batch = {.n = 1, .ids = ids[s], .begin = begin};
    assert_int_equal(api->step(net, &batch, &labels[s], 0.01, &loss), 0);
  }
}

static void a_fit_forgets_the_one_before(void **state) {
  (void)state;
  assert_int_equal(al_torch_load(&api), AL_OK);
  for (int sgd = 0; sgd < 2; sgd++) {
    al_torch_config config = {.kind = AL_TORCH_BERT,
                              .classes = CLASSES,
                              .vocabulary = VOCABULARY,
                              .positions = 4,
                              .types = 1,
                              .width = WIDTH,
                              .layers = 1,
                              .heads = 2,
                              .inner = 32,
                              .dropout = 0.1,
                              .weight_decay = 0.1,
                              .clip = 0.5,
                              .sgd = sgd};
    al_torch_net *net = NULL;
    size_t n;
    assert_int_equal(api->create(&net, &config), 0);
    fit(net);
    float *first = values_of(net, &n);
    for (int again = 0; again < 2; again++) {
      fit(net);
      float *next = values_of(net, &n);
      assert_memory_equal(first, next, n * sizeof *first);
      free(next);
    }
    free(first);
    api->free(net);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(a_fit_forgets_the_one_before)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
