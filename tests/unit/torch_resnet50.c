/* ResNet-50's bottlenecks in eval mode against the formulas in double precision, loop by loop: 1x1, 3x3 (which has the
 * stride, as torchvision's ResNets since version 0.3 do), 1x1 to four times the width, projection where shapes differ.
 */
#include "base/memory.h"
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

enum { SIDE = 21, WIDTH = 4, STAGES = 2, MOST = 160 };

static const al_torch_api *api;
static al_torch_net *net;
static float *values[MOST];
static al_torch_tensor tensors[MOST];

/* channels x side x side */
typedef struct {
  size_t channels, side;
  double *at;
} maps;

static const float *find(const char *name, const char *part, size_t shape[4]) {
  char whole[120];
  snprintf(whole, sizeof whole, "%s.%s", name, part);
  for (size_t i = 0; i < api->tensors(net); i++) {
    if (strcmp(tensors[i].name, whole) != 0) continue;
    if (shape != NULL) memcpy(shape, tensors[i].shape, sizeof tensors[i].shape);
    return values[i];
  }
  return NULL;
}

static maps convolve(maps x, const char *name, size_t stride) {
  size_t shape[4] = {0};
  const float *w = find(name, "weight", shape);
  assert_non_null(w);
  assert_int_equal(shape[1], x.channels);
  size_t kernel = shape[2], pad = kernel / 2;
  maps y = {.channels = shape[0], .side = (x.side + 2 * pad - kernel) / stride + 1};
  assert_int_equal(AL_NEW(&y.at, y.channels * y.side * y.side), AL_OK);
  for (size_t o = 0; o < y.channels; o++)
    for (size_t r = 0; r < y.side; r++)
      for (size_t c = 0; c < y.side; c++) {
        double sum = 0.0;
        for (size_t i = 0; i < x.channels; i++)
          for (size_t kr = 0; kr < kernel; kr++)
            for (size_t kc = 0; kc < kernel; kc++) {
              size_t row = r * stride + kr, col = c * stride + kc;
              if (row < pad || col < pad || row - pad >= x.side || col - pad >= x.side) continue;
              sum += (double)w[((o * x.channels + i) * kernel + kr) * kernel + kc] *
                     x.at[(i * x.side + row - pad) * x.side + col - pad];
            }
        y.at[(o * y.side + r) * y.side + c] = sum;
      }
  return y;
}

static void normalise(maps x, const char *name, bool rectify) {
  const float *weight = find(name, "weight", NULL), *bias = find(name, "bias", NULL),
              *mean = find(name, "running_mean", NULL), *variance = find(name, "running_var", NULL);
  for (size_t c = 0; c < x.channels; c++)
    for (size_t p = 0; p < x.side * x.side; p++) {
      double *v = &x.at[c * x.side * x.side + p];
      *v = (*v - (double)mean[c]) / sqrt((double)variance[c] + 1e-5) * (double)weight[c] + (double)bias[c];
      if (rectify && *v < 0.0) *v = 0.0;
    }
}

static maps pool(maps x) {
  maps y = {.channels = x.channels, .side = (x.side + 2 - 3) / 2 + 1};
  assert_int_equal(AL_NEW(&y.at, y.channels * y.side * y.side), AL_OK);
  for (size_t c = 0; c < y.channels; c++)
    for (size_t r = 0; r < y.side; r++)
      for (size_t q = 0; q < y.side; q++) {
        double most = -INFINITY;
        for (size_t kr = 0; kr < 3; kr++)
          for (size_t kc = 0; kc < 3; kc++) {
            size_t row = r * 2 + kr, col = q * 2 + kc;
            if (row < 1 || col < 1 || row > x.side || col > x.side) continue;
            most = fmax(most, x.at[(c * x.side + row - 1) * x.side + col - 1]);
          }
        y.at[(c * y.side + r) * y.side + q] = most;
      }
  return y;
}

static maps bottleneck(maps x, const char *at, size_t stride) {
  char name[80];
  maps y = x;
  for (size_t k = 1; k <= 3; k++) {
    snprintf(name, sizeof name, "%s.conv%zu", at, k);
    maps next = convolve(y, name, k == 2 ? stride : 1);
    snprintf(name, sizeof name, "%s.bn%zu", at, k);
    normalise(next, name, k < 3);
    if (k > 1) free(y.at);
    y = next;
  }
  snprintf(name, sizeof name, "%s.downsample.0", at);
  bool projected = find(name, "weight", NULL) != NULL;
  if (projected) {
    maps next = convolve(x, name, stride);
    free(x.at);
    x = next;
    snprintf(name, sizeof name, "%s.downsample.1", at);
    normalise(x, name, false);
  }
  for (size_t i = 0; i < y.channels * y.side * y.side; i++) y.at[i] = fmax(0.0, y.at[i] + x.at[i]);
  free(x.at);
  return y;
}

static void forward(void **state) {
  (void)state;
  static const size_t blocks[STAGES] = {3, 4};
  float input[3 * SIDE * SIDE], got[4 * WIDTH * 2];
  assert_int_equal(al_torch_load(&api), AL_OK);
  al_torch_config config = {.kind = AL_TORCH_RESNET,
                            .depth = 50,
                            .classes = 2,
                            .channels = 3,
                            .stages = STAGES,
                            .stage_width = WIDTH,
                            .stem = AL_STEM_IMAGENET};
  assert_int_equal(api->create(&net, &config), 0);
  assert_true(api->tensors(net) <= MOST);
  for (size_t i = 0; i < api->tensors(net); i++) {
    assert_int_equal(api->tensor(net, i, &tensors[i]), 0);
    assert_int_equal(AL_NEW(&values[i], tensors[i].count), AL_OK);
    bool one = tensors[i].dims == 1 && (strstr(tensors[i].name, ".weight") || strstr(tensors[i].name, "running_var"));
    for (size_t k = 0; k < tensors[i].count; k++)
      values[i][k] =
          (float)((one ? 1.0 : 0.0) + (tensors[i].dims > 1 ? 0.4 : 0.2) * sin(1.3 * (double)i + 0.7 * (double)k));
    assert_int_equal(api->set(net, i, values[i]), 0);
  }
  size_t shape[4] = {0};
  assert_non_null(find("layer2.3.conv3", "weight", shape));
  assert_int_equal(shape[0], 4 * WIDTH * 2);
  assert_int_equal(shape[1], WIDTH * 2);
  maps x = {.channels = 3, .side = SIDE};
  assert_int_equal(AL_NEW(&x.at, 3 * SIDE * SIDE), AL_OK);
  for (size_t i = 0; i < 3 * SIDE * SIDE; i++) x.at[i] = input[i] = (float)sin(0.31 * (double)i);
  maps y = convolve(x, "conv1", 2);
  free(x.at);
  /* 7x7 of stride 2 with padding 3 */
  normalise(y, "bn1", true);
  x = pool(y);
  free(y.at);
  for (size_t s = 0; s < STAGES; s++) {
    for (size_t b = 0; b < blocks[s]; b++) {
      char at[40];
      snprintf(at, sizeof at, "layer%zu.%zu", s + 1, b);
      x = bottleneck(x, at, b == 0 && s > 0 ? 2 : 1);
    }
    assert_int_equal(api->stage_features(net, input, 1, SIDE, SIDE, s + 1, got), 0);
    double largest = 0.0;
    for (size_t c = 0; c < x.channels; c++) {
      double mean = 0.0;
      for (size_t p = 0; p < x.side * x.side; p++) mean += x.at[c * x.side * x.side + p] / (double)(x.side * x.side);
      assert_float_equal(got[c], mean, 2e-4 * (1.0 + fabs(mean)));
      largest = fmax(largest, mean);
    }
    assert_true(largest > 0.1);
  }
  free(x.at);
  for (size_t i = 0; i < api->tensors(net); i++) free(values[i]);
  api->free(net);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(forward)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
