/* How the torch models are trained: early stopping, warm starts and their checkpoints, ensembles, the head first,
 * augmentation, weighted classes. A small ResNet on images of this test's own. */
#include "features_fixture.h"

#include "model/predictor.h"

#include <math.h>

#ifdef ALAB_TORCH

enum { ROWS = 90, SIDE = 12, CLASSES = 3, LABELLED = 33, HELD = 30 };

static uint8_t pixels[ROWS * SIDE * SIDE], dark[ROWS * SIDE * SIDE];
static int32_t truth[ROWS];
static fixture data;

static int setup(void **state) {
  if (fixture_setup(state) != 0) return -1;
  fixture_init(&data, AL_IMAGE, ROWS, ROWS);
  for (size_t i = 0; i < ROWS; i++) {
    truth[i] = (int32_t)(i * 5 % CLASSES);
    for (size_t y = 0; y < SIDE; y++)
      for (size_t x = 0; x < SIDE; x++) {
        size_t stripe = truth[i] == 0 ? x : truth[i] == 1 ? y : x + y;
        double noise = sin(12.9898 * (double)(i * SIDE * SIDE + y * SIDE + x));
        pixels[(i * SIDE + y) * SIDE + x] = (uint8_t)(128.0 + 50.0 * sin(1.5 * (double)stripe) + 70.0 * noise);
      }
  }
  data.dataset.channels = 1;
  data.dataset.height = data.dataset.width = SIDE;
  data.dataset.classes = CLASSES;
  data.dataset.pixels = pixels;
  return 0;
}

static int teardown(void **state) {
  fixture_free(&data);
  return fixture_teardown(state);
}

/* train: what is added to the keys of `train`; rest: to the model's own */
static al_predictor *open_resnet(const char *train, const char *rest) {
  char text[600];
  snprintf(text, sizeof text,
           "{\"weights\": \"none\", \"width\": 8, \"stages\": 2, \"stem\": \"3x3s1\"%s, \"train\": {\"lr\": 0.01, "
           "\"batch\": 8%s}}",
           rest, train);
  json_t *given = json_loads(text, 0, NULL), *params = NULL;
  const al_model_type *resnet = al_model_find("resnet");
  al_predictor *p = NULL;
  al_model_source source = {.dataset = &data.dataset, .split = &data.split, .seed = 3, .where = "here"};
  assert_non_null(given);
  assert_ok(al_params_resolve(&params, resnet->params, given, "here"));
  assert_ok(resnet->check(params, AL_IMAGE, NULL, "here"));
  assert_ok(al_predictor_check(resnet, params, HELD, "here"));
  assert_ok(al_predictor_open(&p, resnet, params, &source));
  json_decref(given);
  json_decref(params);
  return p;
}

static al_training training(size_t n, uint32_t round) {
  return (al_training){.rows = data.rows,
                       .classes = truth,
                       .n = n,
                       .holdout_rows = data.rows + 60,
                       .holdout_classes = truth + 60,
                       .holdout = HELD,
                       .round = round};
}

static void fit(al_predictor *p, size_t n, uint32_t round) {
  al_training given = training(n, round);
  assert_ok(al_predictor_fit(p, &given));
}

static void probs_of(al_predictor *p, float *probs) {
  assert_ok(al_predictor_predict(p, data.rows, ROWS, &(al_prediction){.probs = probs}));
}

static double loss_of(const float *probs, size_t from, size_t n) {
  double sum = 0.0;
  for (size_t i = from; i < from + n; i++) sum -= log(fmax((double)probs[i * CLASSES + (size_t)truth[i]], 1e-12));
  return sum / (double)n;
}

static char *notes_of(const al_predictor *p) {
  static char text[500];
  json_t *notes = al_predictor_notes(p);
  snprintf(text, sizeof text, "%s", json_array_size(notes) == 0 ? "" : json_string_value(json_array_get(notes, 0)));
  json_decref(notes);
  return text;
}

static float a[ROWS * CLASSES], b[ROWS * CLASSES];

/* The pass that is kept is the one with the least loss, and its weights are back. */
static void early_stop(void **state) {
  (void)state;
  al_predictor *p = open_resnet(", \"epochs\": 40, \"lr\": 0.05, \"early_stop\": {\"patience\": 4}", "");
  unsigned long best = 0, run = 0;
  double loss = 0.0;
  fit(p, LABELLED, 0);
  if (sscanf(notes_of(p), "early stop: pass %lu of %lu, hold-out log loss %lf", &best, &run, &loss) != 3)
    fail_msg("'%s'", notes_of(p));
  assert_true(best >= 1 && run == best + 4 && run < 40); /* it did stop */
  probs_of(p, a);
  assert_float_equal(loss_of(a, 60, HELD), loss, 1e-4);
  al_predictor_free(p);
  /* the same number of passes without stopping ends elsewhere: the schedule knows nothing of the stop, the weights do
   */
  p = open_resnet(", \"epochs\": 40, \"lr\": 0.05", "");
  fit(p, LABELLED, 0);
  probs_of(p, b);
  assert_string_equal(notes_of(p), "");
  assert_true(loss_of(a, 60, HELD) < loss_of(b, 60, HELD));
  al_predictor_free(p);
}

static void warm_start(void **state) {
  (void)state;
  static const char warm[] = ", \"epochs\": 6, \"start\": \"warm\"";
  al_buffer kept = {0}, again = {0};
  al_predictor *p = open_resnet(warm, ""), *cold = open_resnet(", \"epochs\": 6", "");
  bool good = false;
  fit(p, 20, 0);
  fit(cold, 20, 0);
  probs_of(p, a);
  probs_of(cold, b);
  assert_memory_equal(a, b, sizeof a); /* the first fit is a cold one */
  assert_true(al_predictor_chained(p) && !al_predictor_chained(cold));
  assert_ok(al_predictor_save(p, &kept));
  fit(p, LABELLED, 1);
  fit(cold, LABELLED, 1);
  probs_of(p, a);
  probs_of(cold, b);
  assert_memory_not_equal(a, b, sizeof a);
  assert_true(loss_of(a, 0, LABELLED) < loss_of(b, 0, LABELLED)); /* it has had twice the passes */
  /* taken up from its bytes: the same next fit, bit for bit */
  al_training given = training(20, 0);
  al_predictor *other = open_resnet(warm, "");
  assert_ok(al_predictor_restore(other, kept.data, kept.size, &given, &good));
  assert_true(good);
  assert_ok(al_predictor_save(other, &again));
  assert_int_equal(again.size, kept.size);
  assert_memory_equal(again.data, kept.data, kept.size);
  fit(other, LABELLED, 1);
  probs_of(other, b);
  assert_memory_equal(a, b, sizeof a);
  al_predictor_free(other);
  /* bytes that are no such fit change nothing */
  other = open_resnet(warm, "");
  for (size_t at = 0; at < kept.size; at += kept.size / 7) {
    kept.data[at] ^= 4;
    assert_ok(al_predictor_restore(other, kept.data, kept.size, &given, &good));
    assert_false(good);
    kept.data[at] ^= 4;
  }
  assert_ok(al_predictor_restore(other, kept.data, kept.size - 1, &given, &good));
  assert_false(good);
  assert_ok(al_predictor_restore(other, kept.data, 3, &given, &good));
  assert_false(good);
  fit(other, 20, 0);
  probs_of(other, a);
  fit(cold, 20, 0);
  probs_of(cold, b);
  assert_memory_equal(a, b, sizeof a);
  al_predictor_free(other);
  al_predictor_free(p);
  al_predictor_free(cold);
  al_buffer_free(&kept);
  al_buffer_free(&again);
}

/* Members differ, the first is the model, and asking for them leaves the model as it was. */
static void ensemble(void **state) {
  (void)state;
  enum { MEMBERS = 3 };
  static float mc[2][MEMBERS * ROWS * CLASSES];
  for (int run = 0; run < 2; run++) {
    al_predictor *p = open_resnet(", \"epochs\": 25", ", \"mc\": {\"by\": \"ensemble\", \"passes\": 3}");
    fit(p, LABELLED, 2);
    probs_of(p, a);
    assert_int_equal(al_predictor_passes(p), MEMBERS);
    assert_ok(al_predictor_predict(p, data.rows, ROWS, &(al_prediction){.mc = mc[run]}));
    probs_of(p, b);
    assert_memory_equal(a, b, sizeof a);
    assert_memory_equal(a, mc[run], sizeof a);
    al_predictor_free(p);
  }
  assert_memory_equal(mc[0], mc[1], sizeof mc[0]);
  for (size_t m = 0; m < MEMBERS; m++)
    for (size_t other = 0; other < m; other++)
      assert_memory_not_equal(mc[0] + m * ROWS * CLASSES, mc[0] + other * ROWS * CLASSES, sizeof a);
  /* each has learned */
  for (size_t m = 0; m < MEMBERS; m++) assert_true(loss_of(mc[0] + m * ROWS * CLASSES, 0, LABELLED) < 0.9);
  /* the members of the next round are others */
  al_predictor *p = open_resnet(", \"epochs\": 25", ", \"mc\": {\"by\": \"ensemble\", \"passes\": 3}");
  fit(p, LABELLED, 2);
  assert_ok(al_predictor_predict(p, data.rows, ROWS, &(al_prediction){.mc = mc[1]}));
  fit(p, LABELLED, 3);
  assert_ok(al_predictor_predict(p, data.rows, ROWS, &(al_prediction){.mc = mc[1]}));
  assert_memory_not_equal(mc[0] + ROWS * CLASSES, mc[1] + ROWS * CLASSES, sizeof a);
  al_predictor_free(p);
}

/* With a learning rate of nothing what is left of a fit is the head: what softmax regression finds on the standardised
 * h of the labelled texts. A BERT, since batch norm's running statistics would move without any rate. */
static void head_first(void **state) {
  (void)state;
  enum { TEXTS = 24, WIDTH = 128 };
  static const char *const words[] = {"apple", "river", "stone", "green", "quick", "seven", "table", "music"};
  char path[PATH_MAX], lines[TEXTS][80];
  const char *texts[TEXTS];
  int32_t classes[TEXTS];
  fixture_mirror(path, sizeof path, "models/bert-base-uncased-vocab/vocab.txt");
  for (size_t i = 0; i < TEXTS; i++) {
    classes[i] = (int32_t)(i % 2);
    snprintf(lines[i], sizeof lines[i], "%s %s %s", words[i % 8], words[(i * 3 + 1) % 8], words[(i / 2 * 5) % 8]);
    texts[i] = lines[i];
  }
  fixture f;
  fixture_text(&f, texts, NULL, TEXTS, TEXTS);
  f.dataset.classes = 3; /* one that nobody has */
  json_t *given = json_loads("{\"weights\": \"none\", \"size\": \"tiny\", \"max_tokens\": 8, \"train\": {\"steps\": 1, "
                             "\"lr\": 1e-9, \"regime\": \"head-then-full\"}}",
                             0, NULL);
  json_t *params = NULL;
  const al_model_type *bert = al_model_find("bert");
  al_model_source source = {.dataset = &f.dataset, .split = &f.split, .seed = 3, .where = "here"};
  al_predictor *p = NULL;
  al_view h;
  al_subset storage = {0};
  float probs[TEXTS * 3], wanted[TEXTS * 3];
  assert_ok(al_params_resolve(&params, bert->params, given, "here"));
  assert_ok(al_predictor_open(&p, bert, params, &source));
  al_training on = {.rows = f.rows, .classes = classes, .n = TEXTS};
  assert_ok(al_predictor_fit(p, &on));
  assert_ok(al_predictor_predict(p, f.rows, TEXTS, &(al_prediction){.probs = probs, .h = &h, .subset = &storage}));
  assert_int_equal(h.cols, WIDTH);
  for (size_t d = 0; d < WIDTH; d++) {
    double mean = 0.0, square = 0.0;
    for (size_t i = 0; i < TEXTS; i++) mean += (double)storage.values[i * WIDTH + d] / TEXTS;
    for (size_t i = 0; i < TEXTS; i++) square += pow((double)storage.values[i * WIDTH + d] - mean, 2.0) / TEXTS;
    for (size_t i = 0; i < TEXTS; i++)
      storage.values[i * WIDTH + d] = (float)(((double)storage.values[i * WIDTH + d] - mean) / sqrt(square));
  }
  al_softmax *softmax = NULL;
  assert_ok(al_softmax_fit(&softmax, &h, classes, 3, 1.0));
  assert_ok(al_softmax_predict(softmax, &h, wanted));
  double worst = 0.0, right = 0.0, third = 0.0;
  for (size_t i = 0; i < TEXTS; i++) {
    double two = (double)probs[i * 3] + (double)probs[i * 3 + 1];
    third = fmax(third, (double)probs[i * 3 + 2]);
    for (size_t c = 0; c < 2; c++)
      worst = fmax(worst, fabs((double)probs[i * 3 + c] / two - (double)wanted[i * 3 + c]));
    right += wanted[i * 3 + (size_t)classes[i]] > 0.5F;
  }
  assert_true(worst < 2e-3);
  assert_true(right > 0.75 * TEXTS); /* or agreeing says little */
  assert_true(third < 0.5);          /* the class without a label is there, and not preferred */
  al_softmax_free(softmax);
  al_subset_free(&storage);
  al_predictor_free(p);
  json_decref(given);
  json_decref(params);
  fixture_free(&f);
}

/* A crop of a black image in a black frame is that image, so nothing may change; of others it must. */
static void augmentation(void **state) {
  (void)state;
  static const char cropped[] = ", \"epochs\": 3, \"augment\": \"crop-flip\"";
  for (int black = 0; black < 2; black++) {
    data.dataset.pixels = black ? dark : pixels;
    al_predictor *plain = open_resnet(", \"epochs\": 3", ""), *augmented = open_resnet(cropped, "");
    fit(plain, LABELLED, 0);
    fit(augmented, LABELLED, 0);
    probs_of(plain, a);
    probs_of(augmented, b);
    if (black)
      assert_memory_equal(a, b, sizeof a);
    else
      assert_memory_not_equal(a, b, sizeof a);
    fit(augmented, LABELLED, 0); /* seeded: the same again */
    probs_of(augmented, a);
    assert_memory_equal(a, b, sizeof a);
    al_predictor_free(plain);
    al_predictor_free(augmented);
  }
  data.dataset.pixels = pixels;
}

/* One row of class 0 among many others: balanced weights give it more of the loss. */
static void balanced_classes(void **state) {
  (void)state;
  int32_t rows[LABELLED], classes[LABELLED];
  size_t n = 0;
  for (size_t i = 0; i < 60 && n < 25; i++) {
    if (truth[i] == 0 && n != 0) continue;
    rows[n] = (int32_t)i;
    classes[n++] = truth[i];
  }
  double of_rare[2];
  for (int balanced = 0; balanced < 2; balanced++) {
    al_predictor *p =
        open_resnet(balanced ? ", \"epochs\": 4, \"class_weights\": \"balanced\"" : ", \"epochs\": 4", "");
    al_training given = {.rows = rows, .classes = classes, .n = n};
    assert_ok(al_predictor_fit(p, &given));
    probs_of(p, a);
    of_rare[balanced] = 0.0;
    for (size_t i = 0; i < ROWS; i++) of_rare[balanced] += truth[i] == 0 ? (double)a[i * CLASSES] : 0.0;
    al_predictor_free(p);
  }
  assert_true(of_rare[1] > 1.2 * of_rare[0]);
}

/* micro_batch changes batch norm's batches, hence the fit; it is seeded and it learns. */
static void micro_batches(void **state) {
  (void)state;
  al_predictor *p = open_resnet(", \"epochs\": 8, \"batch\": 16, \"micro_batch\": 5", "");
  fit(p, LABELLED, 0);
  probs_of(p, a);
  fit(p, LABELLED, 0);
  probs_of(p, b);
  assert_memory_equal(a, b, sizeof a);
  assert_true(loss_of(a, 0, LABELLED) < 0.9);
  al_predictor_free(p);
}

static void refusals(void **state) {
  (void)state;
  static const struct {
    const char *name, *params, *says;
    al_kind kind;
  } cases[] = {
      {"bert", "{\"weights\": \"none\", \"size\": \"tiny\", \"train\": {\"augment\": \"crop-flip\"}}", "for images",
       AL_TEXT},
      {"resnet", "{\"weights\": \"none\", \"train\": {\"buckets\": true}}", "no length", AL_IMAGE},
      {"resnet", "{\"weights\": \"none\", \"mc\": {\"by\": \"ensemble\"}, \"train\": {\"start\": \"warm\"}}",
       "start cold", AL_IMAGE},
      {"resnet", "{\"weights\": \"none\", \"train\": {\"micro_batch\": 1}}", "at least 2", AL_IMAGE},
      {"resnet", "{\"weights\": \"none\", \"depth\": 34}", "18 or 50", AL_IMAGE},
      {"bert", "{\"weights\": \"none\"}", "needs a size", AL_TEXT},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    json_t *given = json_loads(cases[i].params, 0, NULL), *params = NULL;
    const al_model_type *type = al_model_find(cases[i].name);
    assert_ok(al_params_resolve(&params, type->params, given, "here"));
    assert_fails(AL_BAD_INPUT, type->check(params, cases[i].kind, NULL, "here"), cases[i].says);
    json_decref(given);
    json_decref(params);
  }
  /* without dropout there are no passes by it */
  json_t *given = json_loads("{\"weights\": \"none\", \"train\": {\"dropout\": 0}}", 0, NULL), *params = NULL;
  const al_model_type *resnet = al_model_find("resnet");
  assert_ok(al_params_resolve(&params, resnet->params, given, "here"));
  assert_int_equal(al_model_gives(resnet, params, NULL), resnet->gives & ~(unsigned)AL_GIVES_MC);
  json_decref(params);
  json_object_set_new(given, "mc", json_pack("{s:s}", "by", "ensemble"));
  assert_ok(al_params_resolve(&params, resnet->params, given, "here"));
  assert_int_equal(al_model_gives(resnet, params, NULL), resnet->gives);
  json_decref(params);
  json_decref(given);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(early_stop),    cmocka_unit_test(warm_start),   cmocka_unit_test(ensemble),
      cmocka_unit_test(head_first),    cmocka_unit_test(augmentation), cmocka_unit_test(balanced_classes),
      cmocka_unit_test(micro_batches), cmocka_unit_test(refusals),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}

#else

int main(void) { return 0; } /* built without libtorch */

#endif
