/* DistilBERT's files: its tensors under its own names against an encoder written here in double from its definition
 * (Sanh et al. 2019: word and position embeddings, post-norm layers, no token types, no pooler), against the same
 * encoder in a BERT's file, and what is refused or left out. */
#include "features_fixture.h"
#include "weights_fixture.h"

#include "model/frozen.h"
#include "model/model.h"
#include "model/weights.h"
#include "torch/al_torch.h"

#include <fcntl.h>
#include <math.h>

#ifdef ALAB_TORCH

enum { VOCABULARY = 30522, POSITIONS = 40, WIDTH = 32, LAYERS = 2, HEADS = 4, INNER = 48, CLASSES = 3 };

static char folder[64];

static const char *path_of(const char *file) {
  static char path[200];
  snprintf(path, sizeof path, "%s/%s", folder, file);
  return path;
}

static int setup(void **state) {
  if (fixture_setup(state) != 0) return -1;
  snprintf(folder, sizeof folder, "%s/weights", fixture_cache);
  assert_ok(al_folder_make(folder));
  static const char config[] = "{\"model_type\": \"distilbert\", \"n_heads\": 4, \"activation\": \"gelu\"}";
  assert_ok(al_file_write(path_of("config.json"), config, sizeof config - 1));
  return 0;
}

/* ---- files ---- */

typedef enum { DISTILBERT, BERT, TORN } scheme; /* TORN: a DistilBERT without one of its tensors */

/* The tensors of a layer in the order in which they are written: BERT's name, DistilBERT's. */
static const struct {
  const char *bert, *distilbert;
  size_t rows, cols;
} parts[] = {{"attention.self.query", "attention.q_lin", WIDTH, WIDTH},
             {"attention.self.key", "attention.k_lin", WIDTH, WIDTH},
             {"attention.self.value", "attention.v_lin", WIDTH, WIDTH},
             {"attention.output.dense", "attention.out_lin", WIDTH, WIDTH},
             {"attention.output.LayerNorm", "sa_layer_norm", 0, WIDTH},
             {"intermediate.dense", "ffn.lin1", INNER, WIDTH},
             {"output.dense", "ffn.lin2", WIDTH, INNER},
             {"output.LayerNorm", "output_layer_norm", 0, WIDTH}};

static void put(weights_file *f, const char *name, const char *which, size_t rows, size_t cols, bool norm) {
  char whole[200];
  snprintf(whole, sizeof whole, "%s.%s", name, which);
  bool matrix = strcmp(which, "weight") == 0 && !norm;
  if (matrix)
    weights_tensor(f, whole, 0.0, 0.25, 2, rows, cols);
  else
    weights_tensor(f, whole, norm && strcmp(which, "weight") == 0 ? 1.0 : 0.0, 0.15, 1, norm ? cols : rows);
}

/* The same values whatever the names. prefix: "" or "distilbert." or "bert." */
static void write_weights(const char *file, scheme names, const char *prefix, size_t classifier) {
  weights_file f = {0};
  char name[150];
  snprintf(name, sizeof name, "%sembeddings.word_embeddings", prefix);
  put(&f, name, "weight", VOCABULARY, WIDTH, false);
  snprintf(name, sizeof name, "%sembeddings.position_embeddings", prefix);
  put(&f, name, "weight", POSITIONS, WIDTH, false);
  snprintf(name, sizeof name, "%sembeddings.LayerNorm", prefix);
  put(&f, name, "weight", 0, WIDTH, true);
  put(&f, name, "bias", 0, WIDTH, true);
  for (size_t l = 0; l < LAYERS; l++)
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
      snprintf(name, sizeof name, "%s%s.layer.%zu.%s", prefix, names == BERT ? "encoder" : "transformer", l,
               names == BERT ? parts[i].bert : parts[i].distilbert);
      put(&f, name, "weight", parts[i].rows, parts[i].cols, parts[i].rows == 0);
      if (names == TORN && l == 1 && i == 6) continue;
      put(&f, name, "bias", parts[i].rows, parts[i].cols, parts[i].rows == 0);
    }
  if (names == BERT) {
    snprintf(name, sizeof name, "%sembeddings.token_type_embeddings.weight", prefix);
    weights_tensor(&f, name, 0.0, 0.0, 2, (size_t)2, (size_t)WIDTH);
  }
  if (classifier != 0) { /* what DistilBertForSequenceClassification and ForMaskedLM have */
    put(&f, "pre_classifier", "weight", WIDTH, WIDTH, false);
    put(&f, "classifier", "weight", classifier, WIDTH, false);
    put(&f, "classifier", "bias", classifier, WIDTH, false);
    put(&f, "vocab_transform", "weight", WIDTH, WIDTH, false);
  }
  weights_write(&f, path_of(file), NULL);
}

/* ---- the encoder, loop by loop ---- */

static double *tensor(const al_safetensors *file, const char *format, size_t layer, size_t count) {
  char name[150];
  float *values = NULL;
  double *wide = NULL;
  bool found = false;
  snprintf(name, sizeof name, format, layer);
  assert_ok(AL_NEW(&values, count));
  assert_ok(AL_NEW(&wide, count));
  assert_ok(al_safetensors_read(file, name, values, count, &found));
  if (!found) fail_msg("no %s", name);
  for (size_t i = 0; i < count; i++) wide[i] = (double)values[i];
  free(values);
  return wide;
}

/* y = W x + b of the named linear layer, for n rows */
static void linear(const al_safetensors *file, const char *name, size_t layer, const double *x, size_t n, size_t in,
                   size_t out, double *y) {
  char full[150];
  snprintf(full, sizeof full, "distilbert.transformer.layer.%%zu.%s.weight", name);
  double *w = tensor(file, full, layer, in * out);
  snprintf(full, sizeof full, "distilbert.transformer.layer.%%zu.%s.bias", name);
  double *b = tensor(file, full, layer, out);
  for (size_t i = 0; i < n; i++)
    for (size_t o = 0; o < out; o++) {
      y[i * out + o] = b[o];
      for (size_t c = 0; c < in; c++) y[i * out + o] += w[o * in + c] * x[i * in + c];
    }
  free(w);
  free(b);
}

static void normalise(const al_safetensors *file, const char *name, size_t layer, double *x, size_t n) {
  char full[150];
  snprintf(full, sizeof full, "%s.weight", name);
  double *w = tensor(file, full, layer, WIDTH);
  snprintf(full, sizeof full, "%s.bias", name);
  double *b = tensor(file, full, layer, WIDTH);
  for (size_t i = 0; i < n; i++) {
    double mean = 0.0, square = 0.0;
    for (size_t d = 0; d < WIDTH; d++) mean += x[i * WIDTH + d] / WIDTH;
    for (size_t d = 0; d < WIDTH; d++) square += pow(x[i * WIDTH + d] - mean, 2.0) / WIDTH;
    for (size_t d = 0; d < WIDTH; d++)
      x[i * WIDTH + d] = (x[i * WIDTH + d] - mean) / sqrt(square + 1e-12) * w[d] + b[d];
  }
  free(w);
  free(b);
}

/* The last states (n x WIDTH) of one text. */
static void encode(const al_safetensors *file, const int32_t *ids, size_t n, double *x) {
  enum { MOST = POSITIONS, SIZE = WIDTH / HEADS };
  static double q[MOST * WIDTH], k[MOST * WIDTH], v[MOST * WIDTH], mixed[MOST * WIDTH], y[MOST * WIDTH],
      wide[MOST * INNER];
  double *word = tensor(file, "distilbert.embeddings.word_embeddings.weight", 0, (size_t)VOCABULARY * WIDTH);
  double *position = tensor(file, "distilbert.embeddings.position_embeddings.weight", 0, POSITIONS * WIDTH);
  for (size_t i = 0; i < n; i++)
    for (size_t d = 0; d < WIDTH; d++) x[i * WIDTH + d] = word[(size_t)ids[i] * WIDTH + d] + position[i * WIDTH + d];
  normalise(file, "distilbert.embeddings.LayerNorm", 0, x, n);
  for (size_t l = 0; l < LAYERS; l++) {
    linear(file, "attention.q_lin", l, x, n, WIDTH, WIDTH, q);
    linear(file, "attention.k_lin", l, x, n, WIDTH, WIDTH, k);
    linear(file, "attention.v_lin", l, x, n, WIDTH, WIDTH, v);
    for (size_t h = 0; h < HEADS; h++)
      for (size_t i = 0; i < n; i++) {
        double p[MOST], sum = 0.0;
        for (size_t j = 0; j < n; j++) {
          double score = 0.0;
          for (size_t d = h * SIZE; d < (h + 1) * SIZE; d++) score += q[i * WIDTH + d] * k[j * WIDTH + d];
          sum += p[j] = exp(score / sqrt((double)SIZE));
        }
        for (size_t d = h * SIZE; d < (h + 1) * SIZE; d++) {
          mixed[i * WIDTH + d] = 0.0;
          for (size_t j = 0; j < n; j++) mixed[i * WIDTH + d] += p[j] / sum * v[j * WIDTH + d];
        }
      }
    linear(file, "attention.out_lin", l, mixed, n, WIDTH, WIDTH, y);
    for (size_t i = 0; i < n * WIDTH; i++) x[i] += y[i];
    normalise(file, "distilbert.transformer.layer.%zu.sa_layer_norm", l, x, n);
    linear(file, "ffn.lin1", l, x, n, WIDTH, INNER, wide);
    for (size_t i = 0; i < n * INNER; i++) wide[i] *= 0.5 * (1.0 + erf(wide[i] / sqrt(2.0)));
    linear(file, "ffn.lin2", l, wide, n, INNER, WIDTH, y);
    for (size_t i = 0; i < n * WIDTH; i++) x[i] += y[i];
    normalise(file, "distilbert.transformer.layer.%zu.output_layer_norm", l, x, n);
  }
  free(word);
  free(position);
}

/* ---- tests ---- */

/* Each text by the network that the shapes ask for, filled through the names, by hand and in tensor operations. */
static void values(void **state) {
  (void)state;
  static const int32_t ids[] = {101, 2023, 2003, 102, 101, 30521, 102, 101, 7, 7, 999, 12000, 5, 102};
  static const int64_t begin[] = {0, 4, 7, 14};
  enum { TEXTS = 3, TOKENS = 14 };
  const al_torch_api *api = NULL;
  al_weights weights;
  al_bert_shape shape;
  al_kind kind;
  static double x[POSITIONS * WIDTH];
  assert_ok(al_torch_load(&api));
  write_weights("model.safetensors", DISTILBERT, "distilbert.", 0);
  assert_ok(al_weights_open(&weights, path_of("model.safetensors"), NULL));
  assert_ok(al_weights_kind(&weights, &kind));
  assert_int_equal(kind, AL_TEXT);
  assert_ok(al_weights_bert(&weights, &shape));
  assert_true(shape.distilled && shape.types == 0 && shape.layers == LAYERS && shape.heads == HEADS &&
              shape.inner == INNER && shape.width == WIDTH && shape.positions == POSITIONS);
  for (int generic = 0; generic < 2; generic++) {
    al_torch_config config = {.kind = AL_TORCH_BERT,
                              .classes = CLASSES,
                              .vocabulary = VOCABULARY,
                              .positions = shape.positions,
                              .types = shape.types,
                              .width = shape.width,
                              .layers = shape.layers,
                              .heads = shape.heads,
                              .inner = shape.inner,
                              .generic = generic};
    al_torch_net *net = NULL;
    float cls[TEXTS * WIDTH], mean[TEXTS * WIDTH], pooler[TEXTS * WIDTH];
    size_t filled = 0;
    assert_int_equal(api->create(&net, &config), 0);
    for (size_t i = 0; i < api->tensors(net); i++) {
      al_torch_tensor t;
      char name[200];
      float *read = NULL;
      bool found = false;
      assert_int_equal(api->tensor(net, i, &t), 0);
      assert_null(strstr(t.name, "token_type"));
      if (!al_weights_find_bert(&weights, t.name, name)) continue;
      assert_ok(AL_NEW(&read, t.count));
      assert_ok(al_safetensors_read(&weights.file, name, read, t.count, &found));
      assert_true(found);
      assert_int_equal(api->set(net, i, read), 0);
      free(read);
      filled++;
    }
    assert_int_equal(filled, 4 + LAYERS * 16);
    al_torch_batch batch = {.n = TEXTS, .ids = ids, .begin = begin};
    assert_int_equal(api->encode(net, &batch, cls, mean, pooler), 0);
    for (size_t b = 0; b < TEXTS; b++) {
      size_t n = (size_t)(begin[b + 1] - begin[b]);
      encode(&weights.file, ids + begin[b], n, x);
      for (size_t d = 0; d < WIDTH; d++) {
        double average = 0.0;
        for (size_t i = 0; i < n; i++) average += x[i * WIDTH + d] / (double)n;
        assert_float_equal(cls[b * WIDTH + d], x[d], 2e-5);
        assert_float_equal(mean[b * WIDTH + d], average, 2e-5);
      }
    }
    api->free(net);
  }
  al_weights_close(&weights);
}

static const char *const texts[] = {
    "a zebra on the plain",    "the quagga was a zebra", "plain words and no more", "one", "two words",
    "the zebra and the quagga"};
enum { ROWS = sizeof texts / sizeof *texts };

static al_status open_frozen(al_features **out, const fixture *f, const char *file, const char *pooling) {
  char weights[33];
  json_t *frozen = json_pack("{s:s,s:s,s:i}", "frozen", path_of(file), "pooling", pooling, "max_tokens", 12);
  al_model_source source = {.dataset = &f->dataset, .split = &f->split, .where = "here"};
  al_status status = al_frozen_open(out, weights, frozen, &source);
  json_decref(frozen);
  return status;
}

/* Frozen features of both files, bit for bit: an absent table of token types is one of zeros. */
static void same_as_bert(void **state) {
  (void)state;
  char path[PATH_MAX];
  fixture_mirror(path, sizeof path, "models/bert-base-uncased-vocab/vocab.txt");
  fixture f;
  fixture_text(&f, texts, NULL, ROWS, 4);
  f.dataset.classes = CLASSES;
  write_weights("plain.safetensors", DISTILBERT, "", 0);
  write_weights("behind.safetensors", DISTILBERT, "distilbert.", 2);
  static const char *const pooling[] = {"cls", "mean"};
  for (size_t p = 0; p < 2; p++) {
    al_features *a = NULL, *b = NULL, *c = NULL;
    assert_ok(open_frozen(&a, &f, "plain.safetensors", pooling[p]));
    assert_ok(open_frozen(&b, &f, "behind.safetensors", pooling[p]));
    /* a BERT's heads have another key */
    assert_ok(al_folder_make(path_of("bert")));
    static const char config[] = "{\"num_attention_heads\": 4}";
    assert_ok(al_file_write(path_of("bert/config.json"), config, sizeof config - 1));
    write_weights("bert/model.safetensors", BERT, "bert.", 0);
    assert_ok(open_frozen(&c, &f, "bert/model.safetensors", pooling[p]));
    assert_int_equal(a->view.cols, WIDTH);
    assert_memory_equal(a->view.values, b->view.values, ROWS * WIDTH * sizeof(float));
    assert_memory_equal(a->view.values, c->view.values, ROWS * WIDTH * sizeof(float));
    assert_memory_not_equal(a->view.values, a->view.values + WIDTH, WIDTH * sizeof(float));
    al_features_free(a);
    al_features_free(b);
    al_features_free(c);
  }
  al_features *none = NULL;
  assert_fails(AL_BAD_INPUT, open_frozen(&none, &f, "plain.safetensors", "pooler"),
               "here.pooling: a DistilBERT has no pooler; give cls or mean");
  fixture_free(&f);
}

static al_status open_bert(al_model **out, const fixture *f, const char *file, const char *rest) {
  char text[400];
  snprintf(text, sizeof text, "{\"weights\": \"%s\", \"max_tokens\": 12%s}", path_of(file), rest);
  json_t *given = json_loads(text, 0, NULL), *params = NULL;
  const al_model_type *bert = al_model_find("bert");
  al_model_source source = {.dataset = &f->dataset, .split = &f->split, .seed = 3, .where = "here", .announce = true};
  assert_non_null(given);
  assert_ok(al_params_resolve(&params, bert->params, given, "here"));
  assert_ok(bert->check(params, AL_TEXT, NULL, "here"));
  al_status status = bert->open(out, params, &source);
  json_decref(given);
  json_decref(params);
  return status;
}

/* Fine-tuned from a file with heads of its own: they are left out and named, the head starts at random. */
static void fine_tuned(void **state) {
  (void)state;
  char path[PATH_MAX], *said = NULL;
  size_t size = 0;
  fixture_mirror(path, sizeof path, "models/bert-base-uncased-vocab/vocab.txt");
  const al_model_type *bert = al_model_find("bert");
  fixture f;
  al_model *model = NULL;
  float before[ROWS * CLASSES], after[ROWS * CLASSES];
  static const int32_t classes[ROWS] = {0, 1, 2, 0, 1, 2};
  fixture_text(&f, texts, NULL, ROWS, 4);
  f.dataset.classes = CLASSES;
  write_weights("tuned.safetensors", DISTILBERT, "distilbert.", CLASSES);
  write_weights("torn.safetensors", TORN, "distilbert.", 0);
  assert_fails(AL_BAD_INPUT, open_bert(&model, &f, "tuned.safetensors", ""),
               "lacks 2 tensors of the network: classifier.weight, classifier.bias");
  assert_fails(AL_BAD_INPUT, open_bert(&model, &f, "torn.safetensors", ""),
               "lacks 3 tensors of the network: encoder.layer.1.output.dense.bias, classifier.weight");
  assert_fails(AL_BAD_INPUT,
               open_bert(&model, &f, "tuned.safetensors", ", \"missing\": \"random\", \"pooling\": \"pooler\""),
               "here.pooling: a DistilBERT has no pooler; give cls or mean");
  assert_fails(AL_BAD_INPUT, open_bert(&model, &f, "tuned.safetensors", ", \"size\": \"base\""), "leave size out");
  snprintf(path, sizeof path, "%s", path_of("said"));
  int kept = dup(STDERR_FILENO), to = open(path, O_CREAT | O_WRONLY, 0600);
  assert_true(kept >= 0 && to >= 0 && dup2(to, STDERR_FILENO) >= 0);
  al_status status = open_bert(&model, &f, "tuned.safetensors",
                               ", \"missing\": \"random\", \"train\": {\"steps\": 100, \"lr\": 0.003, \"dropout\": 0}");
  fflush(stderr);
  assert_true(dup2(kept, STDERR_FILENO) >= 0);
  close(kept);
  close(to);
  assert_ok(status);
  assert_ok(al_file_read(&said, &size, path, 1 << 16));
  static const char *const wanted[] = {
      "2 tensors of the network start at random: classifier.weight, classifier.bias",
      "4 tensors that the network does not have are left out: ", "pre_classifier.weight", "vocab_transform.weight"};
  for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
    if (strstr(said, wanted[i]) == NULL) fail_msg("'%s' is not in: %s", wanted[i], said);
  free(said);
  al_training on = {.rows = f.rows, .classes = classes, .n = ROWS};
  assert_ok(bert->fit(model, &on));
  assert_ok(bert->predict(model, f.rows, ROWS, &(al_prediction){.probs = before}));
  for (size_t i = 0; i < ROWS; i++) assert_true(before[i * CLASSES + (size_t)classes[i]] > 0.8F); /* it learns */
  assert_ok(bert->fit(model, &on));
  assert_ok(bert->predict(model, f.rows, ROWS, &(al_prediction){.probs = after}));
  assert_memory_equal(before, after, sizeof before);
  bert->free(model);
  fixture_free(&f);
}

/* Steps without token types: by hand as by autograd. */
static void steps_without_types(void **state) {
  (void)state;
  static const int32_t ids[] = {3, 9, 4, 7, 7, 1, 30, 2, 5}, labels[] = {2, 0, 1};
  static const int64_t begin[] = {0, 2, 6, 9};
  const al_torch_api *api = NULL;
  al_torch_net *nets[2] = {NULL, NULL};
  assert_ok(al_torch_load(&api));
  for (int g = 0; g < 2; g++) {
    al_torch_config config = {.kind = AL_TORCH_BERT,
                              .classes = CLASSES,
                              .vocabulary = 40,
                              .positions = 8,
                              .width = WIDTH,
                              .layers = LAYERS,
                              .heads = HEADS,
                              .inner = INNER,
                              .pooling = AL_POOL_MEAN,
                              .sgd = 1,
                              .generic = g};
    assert_int_equal(api->create(&nets[g], &config), 0);
    for (size_t i = 0; i < api->tensors(nets[g]); i++) {
      al_torch_tensor t;
      float *start = NULL;
      assert_int_equal(api->tensor(nets[g], i, &t), 0);
      assert_ok(AL_NEW(&start, t.count));
      bool norm = strstr(t.name, "LayerNorm.weight") != NULL;
      for (size_t k = 0; k < t.count; k++) start[k] = (float)(norm ? 1.0 : 0.0) + 0.3F * weights_value((unsigned)i, k);
      assert_int_equal(api->set(nets[g], i, start), 0);
      free(start);
    }
    assert_int_equal(api->begin(nets[g], 1), 0);
    for (int s = 0; s < 3; s++) {
      double loss;
      al_torch_batch batch = {.n = 3, .ids = ids, .begin = begin};
      assert_int_equal(api->step(nets[g], &batch, labels, 0.05, &loss), 0);
    }
  }
  assert_int_equal(api->tensors(nets[0]), api->tensors(nets[1]));
  for (size_t i = 0; i < api->tensors(nets[0]); i++) {
    al_torch_tensor t;
    float *x[2] = {NULL, NULL};
    double worst = 0.0;
    assert_int_equal(api->tensor(nets[0], i, &t), 0);
    for (int g = 0; g < 2; g++) {
      assert_ok(AL_NEW(&x[g], t.count));
      assert_int_equal(api->get(nets[g], i, x[g]), 0);
    }
    for (size_t k = 0; k < t.count; k++) worst = fmax(worst, fabs((double)x[0][k] - (double)x[1][k]));
    if (worst > 2e-5) fail_msg("%s differs by %g", t.name, worst);
    free(x[0]);
    free(x[1]);
  }
  int32_t types[9] = {0};
  float probs[3 * CLASSES];
  al_torch_batch typed = {.n = 3, .ids = ids, .begin = begin, .types = types};
  assert_int_not_equal(api->predict(nets[0], &typed, 0, probs, NULL), 0); /* it has none */
  api->free(nets[0]);
  api->free(nets[1]);
}

/* Hostile and foreign files stay refused. */
static void refusals(void **state) {
  (void)state;
  al_weights weights;
  al_bert_shape shape;
  weights_file f = {0};
  weights_tensor(&f, "distilbert.transformer.layer.0.ffn.lin1.weight", 0.0, 1.0, 2, (size_t)8, (size_t)8);
  weights_write(&f, path_of("no-embeddings.safetensors"), NULL);
  weights_tensor(&f, "transformer.layer.0.ffn.lin1.weight", 0.0, 1.0, 1, (size_t)8);
  weights_tensor(&f, "embeddings.word_embeddings.weight", 0.0, 1.0, 2, (size_t)9, (size_t)8);
  weights_tensor(&f, "embeddings.position_embeddings.weight", 0.0, 1.0, 2, (size_t)9, (size_t)8);
  weights_write(&f, path_of("flat.safetensors"), NULL);
  static const char *const files[] = {"no-embeddings.safetensors", "flat.safetensors"};
  for (size_t i = 0; i < 2; i++) {
    assert_ok(al_weights_open(&weights, path_of(files[i]), NULL));
    assert_fails(AL_BAD_INPUT, al_weights_bert(&weights, &shape), "its embeddings and layers are not there");
    al_weights_close(&weights);
  }
  /* a BERT still needs its token types */
  weights_tensor(&f, "encoder.layer.0.intermediate.dense.weight", 0.0, 1.0, 2, (size_t)8, (size_t)8);
  weights_tensor(&f, "embeddings.word_embeddings.weight", 0.0, 1.0, 2, (size_t)9, (size_t)8);
  weights_tensor(&f, "embeddings.position_embeddings.weight", 0.0, 1.0, 2, (size_t)9, (size_t)8);
  weights_write(&f, path_of("typeless.safetensors"), NULL);
  assert_ok(al_weights_open(&weights, path_of("typeless.safetensors"), NULL));
  assert_fails(AL_BAD_INPUT, al_weights_bert(&weights, &shape), "its embeddings and layers are not there");
  al_weights_close(&weights);
  static const char *const configs[][2] = {{"{\"n_heads\": 5}", "n_heads"},
                                           {"{\"activation\": \"relu\"}", "activation"}};
  assert_ok(al_folder_make(path_of("odd")));
  write_weights("odd/model.safetensors", DISTILBERT, "", 0);
  for (size_t i = 0; i < 2; i++) {
    assert_ok(al_file_write(path_of("odd/config.json"), configs[i][0], strlen(configs[i][0])));
    assert_ok(al_weights_open(&weights, path_of("odd/model.safetensors"), NULL));
    assert_fails(AL_BAD_INPUT, al_weights_bert(&weights, &shape), configs[i][1]);
    al_weights_close(&weights);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(values), cmocka_unit_test(same_as_bert),
                                     cmocka_unit_test(fine_tuned), cmocka_unit_test(steps_without_types),
                                     cmocka_unit_test(refusals)};
  return cmocka_run_group_tests(tests, setup, fixture_teardown);
}

#else

int main(void) { return 0; } /* built without libtorch */

#endif
