/* Sequences and images a second of the torch models, for bench/models.py: training steps and predictions on random ids
 * and pixels, one thread, no data and no files. What is timed is what a fit spends its time on; reading rows is not.
 * Arguments: bert LENGTH | bert FILE (a length a line) | resnet SIDE CHANNELS WIDTH; then seconds a measurement. */
#include "base/log.h"
#include "base/memory.h"
#include "base/rng.h"
#include "torch/al_torch.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 2048, BATCH = 32, CLASSES = 20, VOCABULARY = 20000, LONGEST = 128 };

static al_rng draws;

static int by_length(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

static int fail(void) {
  fprintf(stderr, "models: %s\n", al_message());
  return 3;
}

static al_status fill(const al_torch_api *api, al_torch_net *net) {
  al_status status = AL_OK;
  for (size_t i = 0; i < api->tensors(net); i++) {
    al_torch_tensor tensor;
    float *values = NULL;
    AL_TRY(al_torch_check(api, api->tensor(net, i, &tensor), "tensor"));
    AL_TRY(AL_NEW(&values, tensor.count));
    double scale = tensor.dims == 4 ? sqrt(2.0 / (double)(tensor.count / tensor.shape[1])) : 0.02;
    int ones = tensor.dims == 1 && (strstr(tensor.name, ".weight") || strstr(tensor.name, "running_var"));
    for (size_t k = 0; k < tensor.count; k++)
      values[k] = tensor.dims == 1 ? (float)ones : (float)(scale * al_rng_normal(&draws));
    status = al_torch_check(api, api->set(net, i, values), "set");
    free(values);
    if (status != AL_OK) goto done;
  }
done:
  return status;
}

int main(int argc, char **argv) {
  if (argc < 4 || (strcmp(argv[1], "bert") == 0 ? argc != 4 : argc != 6)) {
    fprintf(stderr, "usage: models bert LENGTH|FILE SECONDS | models resnet SIDE CHANNELS WIDTH SECONDS\n");
    return 2;
  }
  int bert = strcmp(argv[1], "bert") == 0;
  double seconds = strtod(argv[argc - 1], NULL);
  al_stream_key key = {.seed = 1, .purpose = "bench", .dataset = "models"};
  draws = al_rng_open(&key);
  al_torch_config config = {.classes = CLASSES, .weight_decay = 0.01, .clip = 1.0, .dropout = 0.1};
  static int lengths[ROWS];
  static int32_t ids[ROWS * LONGEST], labels[BATCH];
  static float probs[BATCH * CLASSES], h[BATCH * 2048];
  uint8_t *pixels = NULL;
  size_t plane = 0, side = 0;
  if (bert) {
    config.kind = AL_TORCH_BERT;
    config.vocabulary = VOCABULARY;
    config.positions = 512;
    config.types = 2;
    config.width = 128;
    config.layers = config.heads = 2;
    config.inner = 512;
    FILE *file = fopen(argv[2], "re");
    for (int i = 0; i < ROWS; i++) {
      if (file == NULL || fscanf(file, "%d", &lengths[i]) != 1)
        lengths[i] = file == NULL ? atoi(argv[2]) : lengths[i - 1];
      if (lengths[i] < 2 || lengths[i] > LONGEST) return fprintf(stderr, "models: lengths are 2 to 128\n"), 2;
    }
    if (file != NULL) fclose(file);
    for (int i = 0; i < ROWS * LONGEST; i++) ids[i] = (int32_t)al_rng_below(&draws, VOCABULARY);
  } else {
    side = (size_t)atoi(argv[2]);
    config.kind = AL_TORCH_RESNET;
    config.channels = (size_t)atoi(argv[3]);
    config.stages = 4;
    config.stage_width = (size_t)atoi(argv[4]);
    config.stem = AL_STEM_3X3S2;
    config.dropout = 0.2;
    for (int c = 0; c < 3; c++) config.mean[c] = config.deviation[c] = 0.5;
    plane = config.channels * side * side;
    if (AL_NEW(&pixels, ROWS * plane) != AL_OK) return fail();
    for (size_t i = 0; i < ROWS * plane; i++) pixels[i] = (uint8_t)al_rng_below(&draws, 256);
  }
  const al_torch_api *api = NULL;
  al_torch_net *net = NULL;
  if (al_torch_load(&api) != AL_OK || al_torch_check(api, api->create(&net, &config), "create") != AL_OK ||
      fill(api, net) != AL_OK || al_torch_check(api, api->begin(net, 1), "begin") != AL_OK)
    return fail();
  /* training batches stay in random order; predictions are sorted by length */
  for (int predicting = 0; predicting < 2; predicting++) {
    if (predicting) qsort(lengths, ROWS, sizeof *lengths, by_length);
    double start = al_seconds(), spent = 0.0;
    size_t done = 0;
    for (size_t from = 0; spent < seconds || (predicting && from != 0); from = (from + BATCH) % ROWS) {
      int64_t begin[BATCH + 1] = {0};
      double loss;
      for (size_t i = 0; i < BATCH; i++) {
        begin[i + 1] = begin[i] + lengths[from + i];
        labels[i] = (int32_t)((from + i) % CLASSES);
      }
      al_torch_batch batch = {.n = BATCH,
                              .ids = ids + from * LONGEST,
                              .begin = begin,
                              .pixels = bert ? NULL : pixels + from * plane,
                              .height = side,
                              .width = side};
      int result = predicting ? api->predict(net, &batch, 0, probs, h) : api->step(net, &batch, labels, 1e-4, &loss);
      if (al_torch_check(api, result, "a batch") != AL_OK) return fail();
      done += BATCH;
      spent = al_seconds() - start;
    }
    printf("%s %.1f\n", predicting ? "predict" : "train", (double)done / spent);
  }
  api->free(net);
  free(pixels);
  return 0;
}
