/* One network of alab on rows of a dataset, timed on request, for bench/models.py: training steps and predictions in
 * batches of 32, as a fit makes them, in processor seconds of this one-threaded process. Rows are read and tokenised
 * before; what a fit does for each batch (gathering its rows, sorting predictions by length) is timed. Which row is in
 * which batch is fixed, so that a peer can be given the same ones. The optimiser's state lasts, so every token row of
 * the rows used is an active one, which is the dearest state of a fit.
 *
 * usage: models bert POOLING LEAST DATASET ROWS FOLDER      BERT-tiny; LEAST: tokens that a row must have, of 128
 *        models resnet WIDTH STAGES STEM DATASET ROWS FOLDER
 * DATASET is an entry of an experiment's `datasets` as JSON, prepared in the working folder's cache; or `random`: rows
 * drawn here, for whoever has no data. On start FOLDER gets what the peer needs, drawn by a fixed seed: labels.npy,
 * ids.npy and begin.npy or pixels.npy, and weights.safetensors (BERT's whole vocabulary; no value is neutral, so that a
 * bias or norm that is left out shows). Then "ready" and a command a line on standard input, a line of answer each:
 *   train FIRST COUNT    COUNT steps on batches FIRST, FIRST + 1, .., around the end; answers with the seconds
 *   predict TIMES        probabilities and h of all rows, TIMES times; answers with the seconds
 *   outputs              writes probs.npy and h.npy, in the order of the rows
 *   steps COUNT RATE     from weights.safetensors and without dropout: COUNT steps on the first batches, then
 *                        trained.safetensors (BERT: the used rows of the table, alab.token_ids); answers with the
 * losses sgemm TA TB M N K    a product of M x K by K x N, each stored transposed (1) or not (0), until a tenth of a
 * second is over; answers with GFLOP/s */
#include "base/memory.h"
#include "base/npy.h"
#include "base/rng.h"
#include "data/features.h"
#include "model/bert_shape.h"
#include "model/resnet_shape.h"
#include "model/safetensors.h"

#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BATCH = 32, LONGEST = 128, RANDOM_CLASSES = 20 };

typedef struct {
  bool bert;
  const char *folder;
  al_rng draws;
  const al_torch_api *api;
  al_torch_config config;
  al_torch_net *net;
  float *start; /* every tensor of the network, in its order */
  /* rows */
  size_t rows;     /* a multiple of BATCH */
  int32_t *labels; /* rows */
  int32_t *ids;    /* rows of the network's table, where BERT's tokens are */
  int64_t *begin;  /* rows + 1 */
  uint8_t *pixels; /* rows x channels x height x width */
  size_t height, width;
  int32_t *token_of; /* a row of the network's table each: its token id */
  /* of the batch at hand */
  int32_t *batch_ids;
  int64_t batch_begin[BATCH + 1];
  uint8_t *batch_pixels;
  int32_t batch_labels[BATCH];
  /* answers, in the order of the rows */
  float *probs, *h; /* rows x C, rows x D */
  size_t D;
} bench;

static double processor_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static al_status checked(const bench *b, int result) { return al_torch_check(b->api, result, "bench"); }

/* ---- rows ---- */

static al_status write_array(const bench *b, const char *name, al_npy_type type, const void *data, const size_t *shape,
                             size_t dims) {
  char *path = NULL;
  al_status status = al_format(&path, "%s/%s.npy", b->folder, name);
  if (status == AL_OK) status = al_npy_write_scratch(path, type, data, shape, dims);
  free(path);
  return status;
}

/* `wanted` rows of the dataset in an order drawn here, of those with LEAST tokens where there are tokens. */
static al_status choose_rows(bench *b, const al_dataset *dataset, const al_tokens *tokens, int64_t least, size_t wanted,
                             int32_t **out) {
  al_status status;
  int32_t *rows = NULL;
  size_t n = 0;
  AL_TRY(AL_NEW(&rows, dataset->rows));
  for (size_t row = 0; row < dataset->rows; row++)
    if (tokens == NULL || tokens->begin[row + 1] - tokens->begin[row] >= least) rows[n++] = (int32_t)row;
  al_rng_shuffle(&b->draws, rows, n);
  b->rows = (n < wanted ? n : wanted) / BATCH * BATCH;
  if (b->rows == 0) status = al_fail(AL_BAD_INPUT, "%s has %zu such rows; a batch is %d", dataset->name, n, BATCH);
  *out = rows;
  rows = NULL;
done:
  free(rows);
  return status;
}

/* Only the token rows that the dataset uses are kept, as the model does it (model/bert.c). from: a row's token ids. */
static al_status take_texts(bench *b, const al_tokens *tokens, const int32_t *rows) {
  al_status status;
  int32_t *compact = NULL, *ids = NULL; /* AL_BERT_VOCABULARY; as b->ids, but token ids */
  size_t kept = 0, n = 0;
  AL_TRY(AL_NEW(&compact, AL_BERT_VOCABULARY));
  AL_TRY(AL_NEW(&b->token_of, AL_BERT_VOCABULARY));
  AL_TRY(AL_NEW(&b->begin, b->rows + 1));
  AL_TRY(AL_NEW(&ids, b->rows * LONGEST));
  AL_TRY(AL_NEW(&b->ids, b->rows * LONGEST));
  for (int64_t i = 0; i < tokens->begin[tokens->rows]; i++) compact[tokens->ids[i]] = 1;
  for (int32_t id = 0; id < AL_BERT_VOCABULARY; id++) {
    if (compact[id] == 0) continue;
    compact[id] = (int32_t)kept;
    b->token_of[kept++] = id;
  }
  for (size_t i = 0; i < b->rows; i++) {
    for (int64_t at = tokens->begin[rows[i]]; at < tokens->begin[rows[i] + 1]; at++, n++) {
      ids[n] = tokens->ids[at];
      b->ids[n] = compact[ids[n]];
    }
    b->begin[i + 1] = (int64_t)n;
  }
  b->config.vocabulary = kept;
  AL_TRY(write_array(b, "ids", AL_NPY_I32, ids, &n, 1));
  AL_TRY(write_array(b, "begin", AL_NPY_I64, b->begin, (size_t[1]){b->rows + 1}, 1));
done:
  free(compact);
  free(ids);
  return status;
}

static al_status take_images(bench *b, const uint8_t *pixels, const int32_t *rows) {
  al_status status;
  size_t size = b->config.channels * b->height * b->width;
  AL_TRY(AL_NEW(&b->pixels, b->rows * size));
  AL_TRY(AL_NEW(&b->batch_pixels, BATCH * size));
  for (size_t i = 0; i < b->rows; i++) memcpy(b->pixels + i * size, pixels + (size_t)rows[i] * size, size);
  AL_TRY(
      write_array(b, "pixels", AL_NPY_U8, b->pixels, (size_t[4]){b->rows, b->config.channels, b->height, b->width}, 4));
done:
  return status;
}

static al_status read_dataset(bench *b, const char *text, int64_t least, size_t wanted) {
  al_status status;
  json_t *given = json_loads(text, 0, NULL), *spec = NULL;
  al_dataset *dataset = NULL;
  al_tokens *tokens = NULL;
  int32_t *rows = NULL;
  AL_TRY(al_params_resolve(&spec, al_dataset_params, given, "DATASET"));
  AL_TRY(al_dataset_open(&dataset, spec, ".", "DATASET"));
  if (dataset->kind != (b->bert ? AL_TEXT : AL_IMAGE)) {
    status = al_fail(AL_BAD_INPUT, "%s is not what the network reads", dataset->name);
    goto done;
  }
  if (b->bert) AL_TRY(al_tokens_open(&tokens, dataset, LONGEST));
  AL_TRY(choose_rows(b, dataset, tokens, least, wanted, &rows));
  AL_TRY(AL_NEW(&b->labels, b->rows));
  for (size_t i = 0; i < b->rows; i++) b->labels[i] = al_dataset_label(dataset, rows[i]);
  b->config.classes = dataset->classes;
  b->config.channels = dataset->channels;
  b->height = dataset->height;
  b->width = dataset->width;
  status = b->bert ? take_texts(b, tokens, rows) : take_images(b, dataset->pixels, rows);
done:
  al_tokens_free(tokens);
  al_dataset_free(dataset);
  json_decref(given);
  json_decref(spec);
  free(rows);
  return status;
}

static al_status draw_rows(bench *b, int64_t least, size_t wanted) {
  al_status status;
  int32_t *ids = NULL, *rows = NULL;
  int64_t *begin = NULL;
  uint8_t *pixels = NULL;
  b->rows = wanted / BATCH * BATCH;
  b->config.classes = RANDOM_CLASSES;
  b->config.channels = 3;
  b->height = b->width = 32;
  AL_TRY(AL_NEW(&b->labels, b->rows));
  AL_TRY(AL_NEW(&rows, b->rows));
  for (size_t i = 0; i < b->rows; i++) {
    rows[i] = (int32_t)i;
    b->labels[i] = (int32_t)al_rng_below(&b->draws, RANDOM_CLASSES);
  }
  if (b->bert) {
    AL_TRY(AL_NEW(&ids, b->rows * LONGEST));
    AL_TRY(AL_NEW(&begin, b->rows + 1));
    for (size_t i = 0; i < b->rows; i++)
      begin[i + 1] = begin[i] + least + (int64_t)al_rng_below(&b->draws, (uint64_t)(LONGEST - least + 1));
    for (int64_t i = 0; i < begin[b->rows]; i++) ids[i] = (int32_t)al_rng_below(&b->draws, AL_BERT_VOCABULARY);
    status = take_texts(b, &(al_tokens){.rows = b->rows, .begin = begin, .ids = ids}, rows);
  } else {
    size_t count = b->rows * b->config.channels * b->height * b->width;
    AL_TRY(AL_NEW(&pixels, count));
    for (size_t i = 0; i < count; i++) pixels[i] = (uint8_t)al_rng_below(&b->draws, 256);
    status = take_images(b, pixels, rows);
  }
done:
  free(ids);
  free(begin);
  free(pixels);
  free(rows);
  return status;
}

/* ---- weights ---- */

/* Matrices of the scale 1 / sqrt(inputs); norms, biases and running statistics about their neutral values. */
static void draw(bench *b, const al_torch_tensor *tensor, size_t count, float *values) {
  bool norm = tensor->dims == 1 && strstr(tensor->name, ".weight") != NULL;
  bool variance = strstr(tensor->name, "running_var") != NULL, table = strstr(tensor->name, "embeddings.") != NULL;
  double scale = tensor->dims == 1 || table ? 0.1 : sqrt((double)tensor->shape[0] / (double)tensor->count);
  for (size_t i = 0; i < count; i++) {
    double drawn = variance ? 0.5 + al_rng_uniform(&b->draws) : scale * al_rng_normal(&b->draws);
    values[i] = (float)(norm ? 1.0 + drawn : drawn);
  }
}

static al_status new_net(const bench *b, double dropout, al_torch_net **net) {
  al_status status;
  al_torch_config config = b->config;
  al_torch_tensor tensor;
  const float *values = b->start;
  config.dropout = dropout;
  AL_TRY(checked(b, b->api->create(net, &config)));
  for (size_t i = 0; i < b->api->tensors(*net) && values != NULL; i++, values += tensor.count) {
    AL_TRY(checked(b, b->api->tensor(*net, i, &tensor)));
    AL_TRY(checked(b, b->api->set(*net, i, values)));
  }
  AL_TRY(checked(b, b->api->begin(*net, 1)));
done:
  return status;
}

static al_status write_weights(const bench *b, const char *name, const al_safetensors_tensor *parts, size_t n) {
  char *path = NULL;
  al_status status = al_format(&path, "%s/%s.safetensors", b->folder, name);
  if (status == AL_OK) status = al_safetensors_write(path, parts, n, NULL);
  free(path);
  return status;
}

static al_safetensors_tensor part_of(const al_torch_tensor *tensor, const float *values) {
  al_safetensors_tensor part = {
      .name = tensor->name, .type = AL_SAFETENSORS_F32, .dims = tensor->dims, .count = tensor->count, .values = values};
  memcpy(part.shape, tensor->shape, sizeof part.shape);
  return part;
}

/* Draws b->start and writes the file. */
static al_status make_weights(bench *b) {
  al_status status;
  al_torch_net *net = NULL;
  al_safetensors_tensor *parts = NULL;
  float *whole = NULL; /* BERT's table of the whole vocabulary */
  size_t total = 0, at = 0;
  al_torch_tensor tensor;
  AL_TRY(new_net(b, 0.0, &net));
  size_t n = b->api->tensors(net);
  AL_TRY(AL_NEW(&parts, n));
  for (size_t i = 0; i < n; i++, total += tensor.count) AL_TRY(checked(b, b->api->tensor(net, i, &tensor)));
  AL_TRY(AL_NEW(&b->start, total));
  for (size_t i = 0; i < n; i++, at += tensor.count) {
    AL_TRY(checked(b, b->api->tensor(net, i, &tensor)));
    parts[i] = part_of(&tensor, b->start + at);
    if (strcmp(tensor.name, "embeddings.word_embeddings.weight") == 0) {
      size_t width = tensor.shape[1];
      AL_TRY(AL_NEW(&whole, AL_BERT_VOCABULARY * width));
      draw(b, &tensor, AL_BERT_VOCABULARY * width, whole);
      for (size_t row = 0; row < tensor.shape[0]; row++)
        memcpy(b->start + at + row * width, whole + (size_t)b->token_of[row] * width, width * sizeof *whole);
      parts[i].shape[0] = AL_BERT_VOCABULARY;
      parts[i].count = AL_BERT_VOCABULARY * width;
      parts[i].values = whole;
    } else {
      draw(b, &tensor, tensor.count, b->start + at);
    }
  }
  AL_TRY(write_weights(b, "weights", parts, n));
done:
  if (net != NULL) b->api->free(net);
  free(parts);
  free(whole);
  return status;
}

/* ---- commands ---- */

/* rows: BATCH of them */
static al_torch_batch gather(bench *b, const size_t *rows) {
  size_t size = b->config.channels * b->height * b->width;
  for (size_t i = 0; i < BATCH; i++) {
    size_t row = rows[i];
    b->batch_labels[i] = b->labels[row];
    if (!b->bert) {
      memcpy(b->batch_pixels + i * size, b->pixels + row * size, size);
      continue;
    }
    int64_t length = b->begin[row + 1] - b->begin[row], at = b->batch_begin[i];
    memcpy(b->batch_ids + at, b->ids + b->begin[row], (size_t)length * sizeof *b->ids);
    b->batch_begin[i + 1] = at + length;
  }
  return (al_torch_batch){.n = BATCH,
                          .ids = b->batch_ids,
                          .begin = b->batch_begin,
                          .pixels = b->batch_pixels,
                          .height = b->height,
                          .width = b->width};
}

static al_status train(bench *b, al_torch_net *net, size_t which, double rate, double *loss) {
  size_t rows[BATCH];
  for (size_t i = 0; i < BATCH; i++) rows[i] = which * BATCH % b->rows + i;
  al_torch_batch batch = gather(b, rows);
  return checked(b, b->api->step(net, &batch, b->batch_labels, rate, loss));
}

typedef struct {
  int64_t length;
  size_t row;
} placed;

static int by_length(const void *a, const void *b) {
  const placed *x = a, *y = b;
  if (x->length != y->length) return x->length < y->length ? -1 : 1;
  return x->row < y->row ? -1 : x->row > y->row;
}

static al_status predict(bench *b) {
  al_status status;
  placed *order = NULL;
  float *probs = NULL, *h = NULL; /* of a batch */
  size_t C = b->config.classes, D = b->D;
  AL_TRY(AL_NEW(&order, b->rows));
  AL_TRY(AL_NEW(&probs, BATCH * C));
  AL_TRY(AL_NEW(&h, BATCH * D));
  for (size_t i = 0; i < b->rows; i++) order[i] = (placed){b->bert ? b->begin[i + 1] - b->begin[i] : 0, i};
  qsort(order, b->rows, sizeof *order, by_length);
  for (size_t from = 0; from < b->rows; from += BATCH) {
    size_t rows[BATCH];
    for (size_t i = 0; i < BATCH; i++) rows[i] = order[from + i].row;
    al_torch_batch batch = gather(b, rows);
    AL_TRY(checked(b, b->api->predict(b->net, &batch, 0, probs, h)));
    for (size_t i = 0; i < BATCH; i++) {
      memcpy(b->probs + rows[i] * C, probs + i * C, C * sizeof *probs);
      memcpy(b->h + rows[i] * D, h + i * D, D * sizeof *h);
    }
  }
done:
  free(order);
  free(probs);
  free(h);
  return status;
}

static al_status write_trained(bench *b, al_torch_net *net) {
  al_status status;
  size_t n = b->api->tensors(net), total = 0, at = 0;
  al_safetensors_tensor *parts = NULL;
  float *values = NULL;
  al_torch_tensor tensor;
  AL_TRY(AL_NEW(&parts, n + 1));
  for (size_t i = 0; i < n; i++, total += tensor.count) AL_TRY(checked(b, b->api->tensor(net, i, &tensor)));
  AL_TRY(AL_NEW(&values, total));
  for (size_t i = 0; i < n; i++, at += tensor.count) {
    AL_TRY(checked(b, b->api->tensor(net, i, &tensor)));
    AL_TRY(checked(b, b->api->get(net, i, values + at)));
    parts[i] = part_of(&tensor, values + at);
  }
  if (b->bert)
    parts[n++] = (al_safetensors_tensor){.name = "alab.token_ids",
                                         .type = AL_SAFETENSORS_I32,
                                         .dims = 1,
                                         .shape = {b->config.vocabulary},
                                         .count = b->config.vocabulary,
                                         .values = b->token_of};
  AL_TRY(write_weights(b, "trained", parts, n));
done:
  free(parts);
  free(values);
  return status;
}

static al_status steps(bench *b, size_t count, double rate) {
  al_status status;
  al_torch_net *net = NULL;
  AL_TRY(new_net(b, 0.0, &net));
  for (size_t i = 0; i < count; i++) {
    double loss;
    AL_TRY(train(b, net, i, rate, &loss));
    printf("%.9g ", loss);
  }
  putchar('\n');
  AL_TRY(write_trained(b, net));
done:
  if (net != NULL) b->api->free(net);
  return status;
}

static al_status outputs(bench *b) {
  al_status status;
  AL_TRY(predict(b));
  AL_TRY(write_array(b, "probs", AL_NPY_F32, b->probs, (size_t[2]){b->rows, b->config.classes}, 2));
  AL_TRY(write_array(b, "h", AL_NPY_F32, b->h, (size_t[2]){b->rows, b->D}, 2));
  puts("written");
done:
  return status;
}

static al_status sgemm(bench *b, bool ta, bool tb, size_t m, size_t n, size_t k) {
  al_status status;
  float *a = NULL, *c = NULL, *out = NULL;
  AL_TRY(AL_NEW(&a, m * k));
  AL_TRY(AL_NEW(&c, k * n));
  AL_TRY(AL_NEW(&out, m * n));
  for (size_t i = 0; i < m * k; i++) a[i] = (float)al_rng_uniform(&b->draws);
  for (size_t i = 0; i < k * n; i++) c[i] = (float)al_rng_uniform(&b->draws);
  double start = 0.0, spent = 0.0;
  long done = -1; /* the first product only warms up */
  for (; done < 1 || spent < 0.1; done++) {
    if (done == 0) start = processor_seconds();
    cblas_sgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, (int)m, (int)n, (int)k,
                1.0F, a, (int)(ta ? m : k), c, (int)(tb ? k : n), 0.0F, out, (int)n);
    if (done >= 0) spent = processor_seconds() - start;
  }
  printf("%.3f\n", 2e-9 * (double)m * (double)n * (double)k * (double)done / spent);
done:
  free(a);
  free(c);
  free(out);
  return status;
}

static al_status answer(bench *b, const char *line) {
  al_status status = AL_OK;
  size_t first, count, m, n, k;
  int ta, tb;
  double rate, loss, start = processor_seconds();
  if (sscanf(line, "train %zu %zu", &first, &count) == 2) {
    for (size_t i = 0; i < count; i++) AL_TRY(train(b, b->net, first + i, 1e-5, &loss));
    printf("%.9f\n", processor_seconds() - start);
  } else if (sscanf(line, "predict %zu", &count) == 1) {
    for (size_t i = 0; i < count; i++) AL_TRY(predict(b));
    printf("%.9f\n", processor_seconds() - start);
  } else if (strcmp(line, "outputs") == 0) {
    AL_TRY(outputs(b));
  } else if (sscanf(line, "steps %zu %lf", &count, &rate) == 2) {
    AL_TRY(steps(b, count, rate));
  } else if (sscanf(line, "sgemm %d %d %zu %zu %zu", &ta, &tb, &m, &n, &k) == 5) {
    AL_TRY(sgemm(b, ta != 0, tb != 0, m, n, k));
  } else {
    status = al_fail(AL_BAD_INPUT, "unknown command '%s'", line);
  }
  fflush(stdout);
done:
  return status;
}

/* The network of the command line; what the rows decide is left at 0. False: not such a network. */
static bool read_network(bench *b, char **argv, int64_t *least) {
  if (b->bert) {
    static const char *const names[] = {"cls", "mean", "pooler"}; /* AL_POOL_.. */
    b->config = al_bert_config("tiny", 0, 0);
    b->config.pooling = -1;
    for (int i = 0; i < 3; i++)
      if (strcmp(argv[2], names[i]) == 0) b->config.pooling = i;
    *least = strtol(argv[3], NULL, 10);
    b->D = b->config.width;
    return b->config.pooling >= 0 && *least >= 2 && *least <= LONGEST;
  }
  size_t stages = strtoul(argv[3], NULL, 10);
  if (stages < 1 || stages > 4) return false;
  b->config = al_resnet_config(18, strtoul(argv[2], NULL, 10), stages, argv[4], 0, 0);
  b->D = b->config.stage_width << (stages - 1);
  return b->config.stage_width > 0;
}

int main(int argc, char **argv) {
  al_status status = AL_OK;
  al_stream_key key = {.seed = 1, .purpose = "bench", .dataset = "models"};
  bench b = {.draws = al_rng_open(&key), .bert = argc > 1 && strcmp(argv[1], "bert") == 0};
  char line[128];
  int64_t least = 0;
  if (argc != (b.bert ? 7 : 8) || (!b.bert && strcmp(argv[1], "resnet") != 0) || !read_network(&b, argv, &least)) {
    fprintf(stderr, "usage: models bert cls|mean|pooler LEAST DATASET ROWS FOLDER\n"
                    "       models resnet WIDTH STAGES imagenet|3x3s1|3x3s2 DATASET ROWS FOLDER\n");
    return 2;
  }
  const char *dataset = argv[argc - 3];
  size_t wanted = strtoul(argv[argc - 2], NULL, 10);
  b.folder = argv[argc - 1];
  b.config.weight_decay = 0.01;
  b.config.clip = 1.0;
  status = strcmp(dataset, "random") == 0 ? draw_rows(&b, least, wanted) : read_dataset(&b, dataset, least, wanted);
  if (status != AL_OK) goto done;
  AL_TRY(AL_NEW(&b.batch_ids, BATCH * LONGEST));
  AL_TRY(AL_NEW(&b.probs, b.rows * b.config.classes));
  AL_TRY(AL_NEW(&b.h, b.rows * b.D));
  AL_TRY(write_array(&b, "labels", AL_NPY_I32, b.labels, &b.rows, 1));
  AL_TRY(al_torch_load(&b.api));
  AL_TRY(make_weights(&b));
  AL_TRY(new_net(&b, b.bert ? 0.1 : 0.2, &b.net));
  puts("ready");
  fflush(stdout);
  while (fgets(line, sizeof line, stdin) != NULL) {
    line[strcspn(line, "\n")] = '\0';
    AL_TRY(answer(&b, line));
  }
done:
  if (status != AL_OK) fprintf(stderr, "models: %s\n", al_message());
  if (b.net != NULL) b.api->free(b.net);
  free(b.start);
  free(b.labels);
  free(b.ids);
  free(b.begin);
  free(b.pixels);
  free(b.token_of);
  free(b.batch_ids);
  free(b.batch_pixels);
  free(b.probs);
  free(b.h);
  return status == AL_OK ? 0 : 3;
}
