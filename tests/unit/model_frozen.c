/* Frozen encoders: their values against the network asked directly on inputs that this test prepares itself, the
 * cache's name, standardisation, and every refusal. */
#include "features_fixture.h"
#include "weights_fixture.h"

#include "model/frozen.h"
#include "model/weights.h"
#include "torch/al_torch.h"

#include <sys/stat.h>

#ifdef ALAB_TORCH

enum { ROWS = 1100, TRAIN = 900, SIDE = 20 }; /* more than one block */

static char folder[64];

static json_t *parse(const char *text) {
  json_t *value = json_loads(text, 0, NULL);
  assert_non_null(value);
  return value;
}

static const char *path_of(const char *file) {
  static char path[200];
  snprintf(path, sizeof path, "%s/%s", folder, file);
  return path;
}

static void write_text(const char *file, const char *text) {
  assert_ok(al_file_write(path_of(file), text, strlen(text)));
}

static int setup(void **state) {
  if (fixture_setup(state) != 0) return -1;
  snprintf(folder, sizeof folder, "%s/weights", fixture_cache);
  assert_ok(al_folder_make(folder));
  weights_file f = {0};
  weights_resnet(&f, 16, 2, 7);
  weights_write(&f, path_of("model.safetensors"), NULL);
  write_text("config.json", "{\"pretraining_mean\": [0.4, 0.5, 0.6], \"pretraining_std\": [0.2, 0.25, 0.3]}");
  return 0;
}

static void images(fixture *f, uint8_t **pixels, size_t channels) {
  fixture_init(f, AL_IMAGE, ROWS, TRAIN);
  size_t size = channels * SIDE * SIDE;
  assert_ok(AL_NEW(pixels, ROWS * size));
  for (size_t i = 0; i < ROWS * size; i++)
    (*pixels)[i] = (uint8_t)(127.5 + 127.0 * sin(0.37 * (double)i + 0.001 * (double)(i / size) * (double)(i % 17)));
  f->dataset.channels = channels;
  f->dataset.height = f->dataset.width = SIDE;
  f->dataset.classes = 3;
  f->dataset.pixels = *pixels;
}

static al_model_source source_of(const fixture *f) {
  return (al_model_source){.dataset = &f->dataset, .split = &f->split, .where = "here", .base = folder};
}

static al_features *open_frozen(const fixture *f, const char *text) {
  al_features *features = NULL;
  al_model_source source = source_of(f);
  json_t *spec = parse(text);
  char weights[33] = "";
  assert_ok(al_frozen_open(&features, weights, spec, &source));
  assert_int_equal(strlen(weights), 32);
  assert_int_equal(features->view.rows, f->dataset.rows);
  json_decref(spec);
  return features;
}

/* The network of the file, filled by name. */
static al_torch_net *network(const al_torch_api *api, const al_torch_config *config, const char *file) {
  al_torch_net *net = NULL;
  al_safetensors weights;
  assert_int_equal(api->create(&net, config), 0);
  assert_ok(al_safetensors_open(&weights, path_of(file)));
  for (size_t i = 0; i < api->tensors(net); i++) {
    al_torch_tensor tensor;
    bool found = false;
    float *values = NULL;
    assert_int_equal(api->tensor(net, i, &tensor), 0);
    assert_ok(AL_NEW(&values, tensor.count));
    assert_ok(al_safetensors_read(&weights, tensor.name, values, tensor.count, &found));
    if (found) assert_int_equal(api->set(net, i, values), 0);
    free(values);
  }
  al_safetensors_close(&weights);
  return net;
}

static void resnet_values(void **state) {
  (void)state;
  const double mean[3] = {0.4, 0.5, 0.6}, deviation[3] = {0.2, 0.25, 0.3};
  const al_torch_api *api = NULL;
  assert_ok(al_torch_load(&api));
  al_torch_config config = {
      .kind = AL_TORCH_RESNET, .classes = 3, .channels = 3, .stages = 2, .stage_width = 16, .stem = AL_STEM_IMAGENET};
  al_torch_net *net = network(api, &config, "model.safetensors");
  for (size_t channels = 1; channels <= 3; channels += 2) {
    fixture f;
    uint8_t *pixels = NULL;
    images(&f, &pixels, channels);
    al_features *whole = open_frozen(&f, "{\"frozen\": \"model.safetensors\"}");
    al_features *first = open_frozen(&f, "{\"frozen\": \"model.safetensors\", \"stage\": 1}");
    assert_int_equal(whole->view.cols, 32);
    assert_int_equal(first->view.cols, 16);
    static const size_t asked[] = {0, 31, 1023, 1024, ROWS - 1};
    for (size_t r = 0; r < sizeof asked / sizeof *asked; r++) {
      static float x[3 * SIDE * SIDE];
      float wanted[32];
      for (size_t c = 0; c < 3; c++)
        for (size_t p = 0; p < SIDE * SIDE; p++) {
          size_t plane = channels == 1 ? 0 : c; /* grey is repeated */
          x[c * SIDE * SIDE + p] =
              (float)((pixels[(asked[r] * channels + plane) * SIDE * SIDE + p] / 255.0 - mean[c]) / deviation[c]);
        }
      for (size_t stage = 1; stage <= 2; stage++) {
        const al_features *got = stage == 1 ? first : whole;
        assert_int_equal(api->stage_features(net, x, 1, SIDE, SIDE, stage, wanted), 0);
        for (size_t c = 0; c < got->view.cols; c++)
          assert_float_equal(got->view.values[asked[r] * got->view.cols + c], wanted[c],
                             2e-5 * (1.0 + fabs((double)wanted[c])));
      }
    }
    /* rows differ, or the comparison says nothing */
    assert_memory_not_equal(whole->view.values, whole->view.values + 32, 32 * sizeof(float));
    al_features_free(whole);
    al_features_free(first);
    free(pixels);
    fixture_free(&f);
  }
  api->free(net);
}

static void names_of_the_cache(void **state) {
  (void)state;
  fixture f;
  uint8_t *pixels = NULL;
  struct stat before, after;
  images(&f, &pixels, 1);
  al_features *one = open_frozen(&f, "{\"frozen\": \"model.safetensors\"}");
  char path[PATH_MAX], first[33];
  memcpy(first, one->digest, sizeof first);
  snprintf(path, sizeof path, "%s/encoded/%s.alab", fixture_cache, first);
  assert_int_equal(stat(path, &before), 0);
  /* again, and with the default said: the same file, not written anew */
  al_features *two = open_frozen(&f, "{\"frozen\": \"./model.safetensors\", \"stage\": 2}");
  assert_string_equal(two->digest, first);
  assert_int_equal(stat(path, &after), 0);
  assert_int_equal(before.st_ino, after.st_ino);
  al_features_free(two);
  /* removed: remade to the same bytes */
  assert_int_equal(unlink(path), 0);
  two = open_frozen(&f, "{\"frozen\": \"model.safetensors\"}");
  assert_memory_equal(one->view.values, two->view.values, ROWS * 32 * sizeof(float));
  al_features_free(two);
  /* another stage, other data, another config.json, other weights: another file each */
  two = open_frozen(&f, "{\"frozen\": \"model.safetensors\", \"stage\": 1}");
  assert_string_not_equal(two->digest, first);
  al_features_free(two);
  write_text("config.json", "{\"pretraining_mean\": [0.4, 0.5, 0.6], \"pretraining_std\": [0.2, 0.25, 0.31]}");
  two = open_frozen(&f, "{\"frozen\": \"model.safetensors\"}");
  assert_string_not_equal(two->digest, first);
  assert_memory_not_equal(one->view.values, two->view.values, 32 * sizeof(float));
  al_features_free(two);
  assert_int_equal(unlink(path_of("config.json")), 0);
  weights_file other = {.tensors = 1};
  weights_resnet(&other, 16, 2, 7);
  weights_write(&other, path_of("model.safetensors"), NULL);
  two = open_frozen(&f, "{\"frozen\": \"model.safetensors\"}");
  assert_string_not_equal(two->digest, first);
  al_features_free(two);
  al_features_free(one);
  free(pixels);
  fixture_free(&f);
}

/* A cell's hash holds content, not names, and no default. */
static void settings_hold_content(void **state) {
  (void)state;
  static const char *const same[] = {"{\"frozen\": \"model.safetensors\"}",
                                     "{\"frozen\": \"./model.safetensors\", \"pooling\": null}"};
  json_t *settings[2] = {NULL, NULL};
  for (int i = 0; i < 2; i++) {
    json_t *spec = parse(same[i]);
    assert_ok(al_frozen_settings(&settings[i], spec, folder));
    json_decref(spec);
  }
  assert_true(json_equal(settings[0], settings[1]));
  assert_int_equal(json_object_size(settings[0]), 1);
  assert_int_equal(json_string_length(json_object_get(settings[0], "frozen")), 32);
  /* the model's: nothing of the build in it */
  char text[200];
  snprintf(text, sizeof text, "{\"features\": {\"frozen\": \"model.safetensors\"}}");
  json_t *given = parse(text), *params = NULL, *model = NULL;
  const al_model_type *linear = al_model_find("linear");
  assert_ok(al_params_resolve(&params, linear->params, given, "here"));
  assert_ok(al_model_settings(&model, linear, params, folder));
  assert_true(json_equal(json_object_get(model, "features"), settings[0]));
  assert_int_equal(json_object_size(model), 1);
  json_decref(given);
  json_decref(params);
  json_decref(model);
  json_decref(settings[0]);
  json_decref(settings[1]);
}

static void standardised_for_linear(void **state) {
  (void)state;
  fixture f;
  uint8_t *pixels = NULL;
  images(&f, &pixels, 1);
  al_model_source source = source_of(&f);
  json_t *spec = parse("{\"frozen\": \"model.safetensors\"}");
  json_t *entry = json_pack("{s:O}", "representation", spec);
  al_features *input = NULL, *fixed = NULL;
  char weights[33];
  assert_ok(al_model_input_open(&input, weights, spec, &source));
  assert_ok(al_model_representation_open(&fixed, entry, &source)); /* f is as the encoder gives it */
  size_t d = fixed->view.cols;
  for (size_t c = 0; c < d; c++) {
    double mean = 0.0, square = 0.0;
    for (size_t i = 0; i < TRAIN; i++) mean += (double)fixed->view.values[i * d + c] / TRAIN;
    for (size_t i = 0; i < TRAIN; i++) square += pow((double)fixed->view.values[i * d + c] - mean, 2.0) / TRAIN;
    assert_true(square > 0.0);
    for (size_t i = 0; i < ROWS; i += 37) {
      double wanted = ((double)fixed->view.values[i * d + c] - mean) / sqrt(square);
      assert_float_equal(input->view.values[i * d + c], wanted, 1e-4 * (1.0 + fabs(wanted)));
    }
  }
  al_features_free(input);
  al_features_free(fixed);
  json_decref(entry);
  json_decref(spec);
  free(pixels);
  fixture_free(&f);
}

static void refusals(void **state) {
  (void)state;
  weights_file f = {0};
  weights_bert(&f, "", false, 200, 16, 1, 32);
  weights_write(&f, path_of("text.safetensors"), NULL);
  weights_resnet(&f, 8, 1, 3);
  weights_write(&f, path_of("stem.safetensors"), NULL);
  weights_resnet(&f, 8, 1, 3);
  weights_write(&f, path_of("said.safetensors"), "{\"alab.stem\": \"3x3s2\"}");
  static const struct {
    const char *spec;
    al_kind kind;
    al_status status;
    const char *says;
  } cases[] = {
      {"{\"frozen\": \"model.safetensors\", \"stage\": 2}", AL_IMAGE, AL_OK, ""},
      {"{\"frozen\": \"said.safetensors\"}", AL_IMAGE, AL_OK, ""},
      {"{\"frozen\": \"text.safetensors\", \"pooling\": \"mean\", \"max_tokens\": 64}", AL_TEXT, AL_OK, ""},
      {"{\"frozen\": \"text.safetensors\", \"max_tokens\": 65}", AL_TEXT, AL_BAD_INPUT, "64 positions"},
      {"{\"frozen\": \"model.safetensors\", \"stage\": 3}", AL_IMAGE, AL_BAD_INPUT, "have 2 stages"},
      {"{\"frozen\": \"model.safetensors\", \"stage\": 5}", AL_IMAGE, AL_BAD_INPUT, "from 1 to 4"},
      {"{\"frozen\": \"model.safetensors\", \"pooling\": \"cls\"}", AL_IMAGE, AL_BAD_INPUT, "here.pooling"},
      {"{\"frozen\": \"model.safetensors\", \"max_tokens\": 20}", AL_IMAGE, AL_BAD_INPUT, "here.max_tokens"},
      {"{\"frozen\": \"text.safetensors\", \"stage\": 1}", AL_TEXT, AL_BAD_INPUT, "here.stage"},
      {"{\"frozen\": \"text.safetensors\"}", AL_IMAGE, AL_BAD_INPUT, "encodes text and the data are images"},
      {"{\"frozen\": \"model.safetensors\"}", AL_TEXT, AL_BAD_INPUT, "encodes images and the data are text"},
      {"{\"frozen\": \"model.safetensors\"}", AL_TABULAR, AL_BAD_INPUT, "of tables"},
      {"{\"frozen\": \"stem.safetensors\"}", AL_IMAGE, AL_BAD_INPUT, "alab.stem"},
      {"{\"frozen\": \"nothing.safetensors\"}", AL_IMAGE, AL_ENVIRONMENT, "nothing.safetensors"},
      {"{\"frozen\": \"config.json/\"}", AL_IMAGE, AL_ENVIRONMENT, "config.json"},
      {"{\"frozen\": \"resnet18-imagenet-trunk\"}", AL_IMAGE, AL_BAD_INPUT, "resnet18-imagenet-trunk3"},
      {"{\"frozen\": \"model.safetensors\", \"layer\": 1}", AL_IMAGE, AL_BAD_INPUT, "unknown key 'layer'"},
      {"{\"frozen\": 3}", AL_IMAGE, AL_BAD_INPUT, "here.frozen"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    json_t *spec = parse(cases[i].spec);
    al_status status = al_frozen_check(spec, cases[i].kind, folder, "here");
    if (status != cases[i].status || (status != AL_OK && strstr(al_message(), cases[i].says) == NULL))
      fail_msg("%s: status %d, '%s'", cases[i].spec, (int)status, al_message());
    json_decref(spec);
  }
}

/* ---- text: needs the vocabulary ---- */

static const char *const texts[] = {"a plain text",
                                    "Another one, with commas, and rather longer than the first of them",
                                    "",
                                    "zebra",
                                    "the zebra and the quagga",
                                    "one more text about plain zebras"};
enum { TEXTS = sizeof texts / sizeof *texts };

static void bert_values(void **state) {
  (void)state;
  char path[PATH_MAX];
  fixture_mirror(path, sizeof path, "models/bert-base-uncased-vocab/vocab.txt");
  const al_torch_api *api = NULL;
  assert_ok(al_torch_load(&api));
  fixture f;
  fixture_text(&f, texts, NULL, TEXTS, 4);
  f.dataset.classes = 2;
  weights_file w = {0};
  weights_bert(&w, "", false, 30522, 32, 2, 64);
  weights_write(&w, path_of("bert.safetensors"), NULL);
  weights_bert(&w, "bert.", true, 30522, 32, 2, 64); /* the same under the old names */
  weights_write(&w, path_of("old.safetensors"), NULL);
  write_text("config.json", "{\"num_attention_heads\": 4, \"hidden_act\": \"gelu\"}");
  al_torch_config config = {.kind = AL_TORCH_BERT,
                            .classes = 2,
                            .vocabulary = 30522,
                            .positions = 64,
                            .types = 2,
                            .width = 32,
                            .layers = 2,
                            .heads = 4,
                            .inner = 64};
  al_torch_net *net = network(api, &config, "bert.safetensors");
  al_tokens *tokens = NULL;
  assert_ok(al_tokens_open(&tokens, &f.dataset, 12));
  float wanted[3][TEXTS * 32];
  al_torch_batch batch = {.n = TEXTS, .ids = tokens->ids, .begin = tokens->begin};
  assert_int_equal(api->encode(net, &batch, wanted[0], wanted[1], wanted[2]), 0);
  static const char *const pooling[] = {"cls", "mean", "pooler"};
  for (int p = 0; p < 3; p++)
    for (int old = 0; old < 2; old++) {
      char text[200];
      snprintf(text, sizeof text, "{\"frozen\": \"%s.safetensors\", \"pooling\": \"%s\", \"max_tokens\": 12}",
               old ? "old" : "bert", pooling[p]);
      al_features *features = open_frozen(&f, text);
      assert_int_equal(features->view.cols, 32);
      for (size_t i = 0; i < TEXTS * 32; i++) assert_float_equal(features->view.values[i], wanted[p][i], 2e-5);
      al_features_free(features);
    }
  api->free(net);
  al_tokens_free(tokens);
  fixture_free(&f);
}

/* A table trimmed to some ids gives the same features, the others read as [UNK]. */
static void trimmed_table(void **state) {
  (void)state;
  char path[PATH_MAX];
  fixture_mirror(path, sizeof path, "models/bert-base-uncased-vocab/vocab.txt");
  fixture f;
  fixture_text(&f, texts, NULL, TEXTS, 4);
  f.dataset.classes = 2;
  al_tokens *tokens = NULL;
  assert_ok(al_tokens_open(&tokens, &f.dataset, 12));
  /* kept: special ones and those of the first two texts, in falling order so that rows and ids differ */
  bool keep[30522] = {false};
  keep[0] = keep[100] = keep[101] = keep[102] = true;
  for (int64_t i = 0; i < tokens->begin[2]; i++) keep[tokens->ids[i]] = true;
  int64_t ids[64];
  size_t n = 0;
  for (int id = 30521; id >= 0; id--)
    if (keep[id]) ids[n++] = id;
  assert_true(n < 64);
  /* the full table has [UNK]'s row wherever the trimmed one has none */
  for (int trimmed = 0; trimmed < 2; trimmed++) {
    weights_file file = {.tensors = 1};
    float *table = NULL;
    size_t rows = trimmed ? n : 30522;
    assert_ok(AL_NEW(&table, rows * 16));
    for (size_t row = 0; row < rows; row++) {
      int64_t id = trimmed ? ids[row] : (int64_t)row;
      if (!trimmed && !keep[id]) id = 100;
      for (size_t c = 0; c < 16; c++) table[row * 16 + c] = (float)sin(0.1 * (double)id + (double)c);
    }
    char shape[40];
    snprintf(shape, sizeof shape, "%zu,16", rows);
    weights_bytes(&file, "embeddings.word_embeddings.weight", "F32", shape, table, rows * 16 * sizeof *table);
    snprintf(shape, sizeof shape, "%zu", n);
    if (trimmed) weights_bytes(&file, "alab.token_ids", "I64", shape, ids, n * sizeof *ids);
    weights_bert_rest(&file, "", false, 16, 1, 32);
    weights_write(&file, path_of(trimmed ? "trimmed.safetensors" : "full.safetensors"), NULL);
    free(table);
  }
  assert_int_equal(unlink(path_of("config.json")), 0);
  al_features *full = open_frozen(&f, "{\"frozen\": \"full.safetensors\", \"max_tokens\": 12}");
  al_features *trimmed = open_frozen(&f, "{\"frozen\": \"trimmed.safetensors\", \"max_tokens\": 12}");
  assert_memory_equal(full->view.values, trimmed->view.values, TEXTS * 16 * sizeof(float));
  assert_memory_not_equal(full->view.values, full->view.values + 16, 16 * sizeof(float));
  al_features_free(full);
  al_features_free(trimmed);
  al_tokens_free(tokens);
  fixture_free(&f);
}

#endif

int main(void) {
#ifdef ALAB_TORCH
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(resnet_values),
      cmocka_unit_test(names_of_the_cache),
      cmocka_unit_test(settings_hold_content),
      cmocka_unit_test(standardised_for_linear),
      cmocka_unit_test(refusals),
      cmocka_unit_test(bert_values),
      cmocka_unit_test(trimmed_table),
  };
  return cmocka_run_group_tests(tests, setup, fixture_teardown);
#else
  (void)fixture_setup;
  return 0;
#endif
}
