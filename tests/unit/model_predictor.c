/* What any model can be told: temperature and tuning, against naive computations that share no code with them. */
#include "features_fixture.h"

#include "model/predictor.h"

#include <math.h>

enum { ROWS = 240, TRAIN = 200, COLUMNS = 6, CLASSES = 3, LABELLED = 70, HELD = 60 };

static float columns[ROWS * COLUMNS];
static int32_t truth[ROWS];
static fixture data;

static double wave(size_t i) { return sin(12.9898 * (double)i + 0.3 * (double)(i % 7)); }

static int setup(void **state) {
  if (fixture_setup(state) != 0) return -1;
  fixture_init(&data, AL_TABULAR, ROWS, TRAIN);
  for (size_t i = 0; i < ROWS; i++) {
    truth[i] = (int32_t)(i * 7 % CLASSES);
    for (size_t c = 0; c < COLUMNS; c++)
      columns[i * COLUMNS + c] = (float)((c == (size_t)truth[i] ? 1.1 : 0.0) + 2.2 * wave(i * COLUMNS + c));
    if (i % 9 == 0) truth[i] = (truth[i] + 1) % CLASSES; /* wrong labels make an overfitted model overconfident */
  }
  data.dataset.columns = al_view_dense(columns, ROWS, COLUMNS);
  data.dataset.classes = CLASSES;
  return 0;
}

static int teardown(void **state) {
  fixture_free(&data);
  return fixture_teardown(state);
}

static al_predictor *open_linear(const char *text) {
  json_t *given = json_loads(text, 0, NULL), *params = NULL;
  const al_model_type *linear = al_model_find("linear");
  al_predictor *p = NULL;
  al_model_source source = {.dataset = &data.dataset, .split = &data.split, .seed = 3, .where = "here"};
  assert_non_null(given);
  assert_ok(al_params_resolve(&params, linear->params, given, "here"));
  assert_ok(al_predictor_check(linear, params, HELD, "here"));
  assert_ok(al_predictor_open(&p, linear, params, &source));
  json_decref(given);
  json_decref(params);
  return p;
}

static al_training training(size_t n) {
  return (al_training){.rows = data.rows,
                       .classes = truth,
                       .n = n,
                       .holdout_rows = data.rows + LABELLED,
                       .holdout_classes = truth + LABELLED,
                       .holdout = HELD};
}

static char *notes_of(const al_predictor *p) {
  static char text[500];
  json_t *notes = al_predictor_notes(p);
  text[0] = '\0';
  for (size_t i = 0; i < json_array_size(notes); i++)
    snprintf(text + strlen(text), sizeof text - strlen(text), "%s; ", json_string_value(json_array_get(notes, i)));
  json_decref(notes);
  return text;
}

/* Log loss of softmax(z / T), with no thought of speed. */
static double loss_at(const float *z, const int32_t *classes, size_t n, double t) {
  double sum = 0.0;
  for (size_t i = 0; i < n; i++) {
    double total = 0.0;
    for (size_t c = 0; c < CLASSES; c++) total += exp((double)z[i * CLASSES + c] / t);
    sum += log(total) - (double)z[i * CLASSES + (size_t)classes[i]] / t;
  }
  return sum / (double)n;
}

static void temperature_is_the_minimum(void **state) {
  (void)state;
  float z[90 * CLASSES], scaled[90 * CLASSES];
  int32_t classes[90];
  for (size_t i = 0; i < 90; i++) {
    classes[i] = (int32_t)(i % CLASSES);
    for (size_t c = 0; c < CLASSES; c++)
      z[i * CLASSES + c] = (float)(6.0 * wave(i * CLASSES + c) + (c == (size_t)classes[i] ? 1.7 : 0.0));
    for (size_t c = 0; c < CLASSES; c++) scaled[i * CLASSES + c] = 2.5F * z[i * CLASSES + c];
  }
  double t = al_temperature(z, classes, 90, CLASSES), best = loss_at(z, classes, 90, t);
  assert_true(t > 1.5 && t < 20.0);
  for (double other = 0.06; other < 19.0; other *= 1.01) assert_true(loss_at(z, classes, 90, other) >= best - 1e-12);
  assert_float_equal(al_temperature(scaled, classes, 90, CLASSES), 2.5 * t, 1e-5);
  /* always right: as cold as may be; always wrong: as hot */
  for (size_t i = 0; i < 90; i++)
    for (size_t c = 0; c < CLASSES; c++) z[i * CLASSES + c] = c == (size_t)classes[i] ? 1.0F : 0.0F;
  assert_float_equal(al_temperature(z, classes, 90, CLASSES), 0.05, 1e-9);
  for (size_t i = 0; i < 90 * CLASSES; i++) z[i] = -z[i];
  assert_float_equal(al_temperature(z, classes, 90, CLASSES), 20.0, 1e-9);
  /* a class that the model has not seen says nothing; nothing but such rows: 1 */
  for (size_t i = 0; i < 90 * CLASSES; i++) z[i] = i % CLASSES == 0 ? -INFINITY : (float)wave(i);
  for (size_t i = 0; i < 90; i++) classes[i] = 0;
  assert_true(al_temperature(z, classes, 90, CLASSES) == 1.0);
  memset(z, 0, sizeof z);
  assert_true(al_temperature(z, classes, 90, CLASSES) == 1.0);
}

static void calibrated_linear(void **state) {
  (void)state;
  al_predictor *plain = open_linear("{\"l2\": 1e-4}");
  al_predictor *cool = open_linear("{\"l2\": 1e-4, \"calibrate\": \"temperature\"}");
  al_training given = training(30); /* few, so that it overfits */
  float p[2][HELD * CLASSES], z[HELD * CLASSES], mc[10 * HELD * CLASSES];
  al_view h;
  al_subset subset = {0};
  assert_ok(al_predictor_fit(plain, &given));
  assert_ok(al_predictor_fit(cool, &given));
  assert_ok(al_predictor_predict(plain, given.holdout_rows, HELD, &(al_prediction){.probs = p[0], .logits = z}));
  assert_ok(al_predictor_predict(cool, given.holdout_rows, HELD,
                                 &(al_prediction){.probs = p[1], .h = &h, .subset = &subset, .mc = mc}));
  double t = al_temperature(z, given.holdout_classes, HELD, CLASSES);
  assert_true(t > 1.2 && t < 19.0);
  const float *w, *b;
  size_t width = 0;
  assert_ok(al_predictor_head(cool, &w, &b, &width));
  assert_int_equal(width, COLUMNS);
  for (size_t i = 0; i < HELD; i++) {
    double total = 0.0, from_head[CLASSES], of_head = 0.0, sum[10] = {0};
    for (size_t c = 0; c < CLASSES; c++) {
      total += exp((double)z[i * CLASSES + c] / t);
      double score = (double)b[c];
      for (size_t d = 0; d < COLUMNS; d++) score += (double)w[c * COLUMNS + d] * (double)h.values[i * COLUMNS + d];
      of_head += from_head[c] = exp(score);
      for (size_t pass = 0; pass < 10; pass++) sum[pass] += (double)mc[(pass * HELD + i) * CLASSES + c];
    }
    for (size_t c = 0; c < CLASSES; c++) {
      assert_float_equal(p[1][i * CLASSES + c], exp((double)z[i * CLASSES + c] / t) / total, 1e-6);
      assert_float_equal(p[1][i * CLASSES + c], from_head[c] / of_head, 1e-5);
    }
    for (size_t pass = 0; pass < 10; pass++) assert_float_equal(sum[pass], 1.0, 1e-5);
  }
  char wanted[100];
  snprintf(wanted, sizeof wanted, "calibrated: temperature %.6g", t);
  if (strncmp(notes_of(cool), wanted, strlen(wanted) - 1) != 0 || strstr(notes_of(cool), "60 rows") == NULL)
    fail_msg("'%s' is not '%s'", notes_of(cool), wanted);
  assert_string_equal(notes_of(plain), "");
  /* no hold-out in this fit (a fold, say): as it is */
  given.holdout = 0;
  assert_ok(al_predictor_fit(cool, &given));
  assert_ok(al_predictor_predict(cool, given.holdout_rows, HELD, &(al_prediction){.probs = p[1]}));
  assert_memory_equal(p[0], p[1], sizeof p[0]);
  al_subset_free(&subset);
  al_predictor_free(plain);
  al_predictor_free(cool);
}

/* 5-fold log loss of the softmax with this penalty, each fold fitted from scratch; folds as STRATEGIES.md deals them.
 */
static double naive_loss(const al_view *x, size_t n, double l2) {
  uint8_t fold[LABELLED];
  unsigned next = 0;
  double sum = 0.0;
  for (int32_t c = 0; c < CLASSES; c++)
    for (size_t i = 0; i < n; i++)
      if (truth[i] == c) fold[i] = (uint8_t)(next++ % 5);
  for (unsigned f = 0; f < 5; f++) {
    float in[LABELLED * COLUMNS], out[LABELLED * COLUMNS], p[LABELLED * CLASSES];
    int32_t labels[LABELLED], left[LABELLED];
    size_t a = 0, b = 0;
    for (size_t i = 0; i < n; i++) {
      float *to = fold[i] == f ? out + b * COLUMNS : in + a * COLUMNS;
      memcpy(to, x->values + i * COLUMNS, COLUMNS * sizeof *to);
      if (fold[i] == f)
        left[b++] = truth[i];
      else
        labels[a++] = truth[i];
    }
    al_view train = al_view_dense(in, a, COLUMNS), test = al_view_dense(out, b, COLUMNS);
    al_softmax *model = NULL;
    assert_ok(al_softmax_fit(&model, &train, labels, CLASSES, l2));
    assert_ok(al_softmax_predict(model, &test, p));
    for (size_t i = 0; i < b; i++) sum -= log(fmax((double)p[i * CLASSES + (size_t)left[i]], 1e-12));
    al_softmax_free(model);
  }
  return sum / (double)n;
}

static void tuned_linear(void **state) {
  (void)state;
  static const double grid[] = {0.001, 30.0, 3.0, 1000.0};
  al_predictor *tuned = open_linear("{\"tune\": {\"l2\": [0.001, 30, 3, 1000], \"by\": \"cv\"}}");
  al_features *input = NULL;
  assert_ok(al_input_open(&input, &data.dataset, &data.split, NULL, "here"));
  size_t best = 0;
  double losses[4];
  for (size_t g = 0; g < 4; g++) {
    losses[g] = naive_loss(&input->view, LABELLED, grid[g]);
    if (losses[g] < losses[best]) best = g;
  }
  assert_true(best == 1 || best == 2); /* neither end, or the test says little */
  for (size_t g = 0; g < 4; g++) assert_true(g == best || losses[g] > losses[best] + 1e-4);
  al_training given = training(LABELLED);
  assert_ok(al_predictor_fit(tuned, &given));
  char wanted[100], text[100];
  snprintf(wanted, sizeof wanted, "tuned: l2 = %.6g", grid[best]);
  if (strncmp(notes_of(tuned), wanted, strlen(wanted)) != 0) fail_msg("'%s' is not '%s'", notes_of(tuned), wanted);
  assert_float_equal(atof(strstr(notes_of(tuned), "log loss ") + 9), losses[best], 1e-4);
  snprintf(text, sizeof text, "{\"l2\": %g}", grid[best]);
  al_predictor *plain = open_linear(text);
  float p[2][ROWS * CLASSES];
  assert_ok(al_predictor_fit(plain, &given));
  assert_ok(al_predictor_predict(plain, data.rows, ROWS, &(al_prediction){.probs = p[0]}));
  assert_ok(al_predictor_predict(tuned, data.rows, ROWS, &(al_prediction){.probs = p[1]}));
  assert_memory_equal(p[0], p[1], sizeof p[0]);
  assert_true(al_predictor_l2(tuned) == grid[best]);
  /* too few labels: the first, and said so */
  given.n = 9;
  assert_ok(al_predictor_fit(tuned, &given));
  assert_non_null(strstr(notes_of(tuned), "tuned: l2 = 0.001, the first candidate"));
  al_features_free(input);
  al_predictor_free(plain);
  al_predictor_free(tuned);
}

static void refusals(void **state) {
  (void)state;
  const al_model_type *linear = al_model_find("linear");
  static const struct {
    const char *params, *says;
    size_t holdout;
  } cases[] = {
      {"{\"calibrate\": \"temperature\"}", "reads the hold-out", 0},
      {"{\"tune\": [1]}", "by: cv", 5},
      {"{\"tune\": {\"l2\": [1, 2]}}", "tune.by", 5},
      {"{\"tune\": {\"by\": \"cv\"}}", "names no key", 5},
      {"{\"tune\": {\"l2\": 3, \"by\": \"cv\"}}", "tune.l2: give a list", 5},
      {"{\"tune\": {\"l2\": [], \"by\": \"cv\"}}", "tune.l2: give a list", 5},
      {"{\"tune\": {\"l2\": [1, -1], \"by\": \"cv\"}}", "l2: -1 is out of range", 5},
      {"{\"tune\": {\"l1\": [1], \"by\": \"cv\"}}", "unknown key 'l1'", 5},
      {"{\"tune\": {\"train.lr\": [1], \"by\": \"cv\"}}", "no mapping 'train'", 5},
      {"{\"tune\": {\"tune\": [1], \"by\": \"cv\"}}", "cannot be tuned", 5},
      {"{\"tune\": {\"l2\": [1,2,3,4,5,6,7,8,9], \"mc.passes\": [2,3,4,5,6,7,8,9], \"by\": \"cv\"}}", "more than 64",
       5},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    json_t *given = json_loads(cases[i].params, 0, NULL), *params = NULL;
    assert_ok(al_params_resolve(&params, linear->params, given, "here"));
    assert_fails(AL_BAD_INPUT, al_predictor_check(linear, params, cases[i].holdout, "here"), cases[i].says);
    json_decref(given);
    json_decref(params);
  }
}

static json_t *resolved(const al_model_type *type, const char *text) {
  json_t *given = json_loads(text, 0, NULL), *params = NULL;
  if (given == NULL) fail_msg("not JSON: %s", text);
  assert_ok(al_params_resolve(&params, type->params, given, "here"));
  json_decref(given);
  return params;
}

/* What is refused outside `tune` is refused in any candidate of it; the params around it do not count. */
static void every_candidate_is_checked(void **state) {
  (void)state;
  static const struct {
    const char *model, *params, *says; /* says NULL: accepted */
    size_t holdout;
  } cases[] = {
      {"mlp", "{\"tune\": {\"train.start\": [\"warm\"], \"train.lr\": [0.1, 0.01], \"by\": \"cv\"}}", "starts cold", 5},
      {"mlp", "{\"tune\": {\"train\": [{}, {\"start\": \"warm\"}], \"by\": \"cv\"}}", "starts cold", 5},
      {"mlp", "{\"train\": {\"start\": \"warm\"}, \"tune\": {\"train.lr\": [0.1, 0.01], \"by\": \"cv\"}}",
       "starts cold", 5},
      {"mlp", "{\"tune\": {\"train.start\": [\"warm\"], \"by\": \"cv\"}}", NULL, 5},
      {"mlp", "{\"tune\": {\"train.early_stop\": [{\"patience\": 1}], \"by\": \"cv\"}}",
       "early_stop reads the hold-out", 0},
      {"mlp", "{\"tune\": {\"train\": [{}, {\"early_stop\": {\"patience\": 1}}], \"by\": \"cv\"}}", "early_stop reads",
       0},
      {"mlp", "{\"tune\": {\"train.early_stop\": [null, {\"patience\": 1}], \"by\": \"cv\"}}", NULL, 5},
      {"linear", "{\"tune\": {\"features\": [\"columns\", {\"frozen\": \"w\"}], \"by\": \"cv\"}}",
       "features.frozen names files", 5},
      {"mlp", "{\"features\": {\"frozen\": \"v\"}, \"tune\": {\"features.frozen\": [\"v\", \"w\"], \"by\": \"cv\"}}",
       "features.frozen names files", 5},
      {"mlp",
       "{\"features\": {\"frozen\": \"v\"}, \"tune\": {\"features.pooling\": [\"cls\", \"mean\"], \"by\": \"cv\"}}",
       NULL, 5},
      {"exec", "{\"command\": [\"a\"], \"tune\": {\"command\": [[\"a\"], [\"b\"]], \"by\": \"cv\"}}",
       "command names files", 5},
      {"exec", "{\"command\": [\"a\"], \"tune\": {\"files\": [[\"b\"]], \"by\": \"cv\"}}", "tune: files names files",
       5},
      {"exec", "{\"command\": [\"a\"], \"tune\": {\"options\": [{\"C\": 1}, {}], \"by\": \"cv\"}}", NULL, 5},
      {"bert", "{\"weights\": \"v\", \"tune\": {\"weights\": [\"v\", \"w\"], \"by\": \"cv\"}}", "weights names files",
       5},
      {"resnet", "{\"weights\": \"v\", \"tune\": {\"weights\": [\"w\"], \"by\": \"cv\"}}", "weights names files", 5},
      {"torchscript", "{\"file\": \"v\", \"inputs\": \"pixels\", \"tune\": {\"file\": [\"v\", \"w\"], \"by\": \"cv\"}}",
       "file names files", 5},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const al_model_type *type = al_model_find(cases[i].model);
    if (type == NULL) continue; /* built without libtorch */
    json_t *params = resolved(type, cases[i].params);
    al_status status = al_predictor_check(type, params, cases[i].holdout, "here");
    if (cases[i].says == NULL)
      assert_ok(status);
    else
      assert_fails(AL_BAD_INPUT, status, cases[i].says);
    json_decref(params);
  }
}

/* Whatever a model's settings replace by content, `tune` cannot set: a model with the one says the other. */
static void files_are_named_beside_settings(void **state) {
  (void)state;
  for (size_t i = 0; al_models[i] != NULL; i++)
    assert_true((al_models[i]->settings == NULL) == (al_models[i]->files[0] == NULL));
}

static void any_candidate_reads_the_holdout(void **state) {
  (void)state;
  static const struct {
    const char *params;
    bool reads;
  } cases[] = {
      {"{}", false},
      {"{\"calibrate\": \"temperature\"}", true},
      {"{\"train\": {\"early_stop\": {\"patience\": 1}}}", true},
      {"{\"tune\": {\"train.lr\": [0.1], \"by\": \"cv\"}}", false},
      {"{\"tune\": {\"train.lr\": [0.1], \"train.early_stop\": [null, {\"patience\": 1}], \"by\": \"cv\"}}", true},
      {"{\"tune\": {\"train\": [{}, {\"early_stop\": {\"patience\": 1}}], \"by\": \"cv\"}}", true},
      {"{\"train\": {\"early_stop\": {\"patience\": 1}}, \"tune\": {\"train.early_stop\": [null], \"by\": \"cv\"}}",
       false},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    json_t *params = resolved(al_model_find("mlp"), cases[i].params);
    if (al_predictor_reads_holdout(params) != cases[i].reads) fail_msg("%s", cases[i].params);
    json_decref(params);
  }
}

static void every_candidate_suits_the_data(void **state) {
  (void)state;
  const al_model_type *linear = al_model_find("linear"), *mlp = al_model_find("mlp");
  json_t *params = resolved(linear, "{\"tune\": {\"features\": [\"columns\", \"tfidf\"], \"by\": \"cv\"}}");
  assert_ok(linear->check(params, AL_TABULAR, NULL, "here"));
  assert_fails(AL_BAD_INPUT, al_model_check(linear, params, AL_TABULAR, NULL, "here"), "here.tune.features: ");
  json_decref(params);
  params = resolved(mlp, "{\"mc\": {\"by\": \"ensemble\"}, \"tune\": {\"train.start\": [\"warm\"], \"by\": \"cv\"}}");
  assert_ok(mlp->check(params, AL_TABULAR, NULL, "here"));
  assert_fails(AL_BAD_INPUT, al_model_check(mlp, params, AL_TABULAR, NULL, "here"), "start cold");
  json_decref(params);
  params = resolved(mlp, "{\"tune\": {\"train.lr\": [0.1, 0.01], \"by\": \"cv\"}}");
  assert_ok(al_model_check(mlp, params, AL_TABULAR, NULL, "here"));
  json_decref(params);
}

/* Stochastic passes are given if each candidate has them. */
static void gives_what_every_candidate_gives(void **state) {
  (void)state;
  const al_model_type *mlp = al_model_find("mlp");
  static const struct {
    const char *params;
    bool mc;
  } cases[] = {
      {"{\"tune\": {\"train.dropout\": [0.1, 0], \"by\": \"cv\"}}", false},
      {"{\"tune\": {\"train.dropout\": [0.1, 0.2], \"by\": \"cv\"}}", true},
      {"{\"train\": {\"dropout\": 0}, \"tune\": {\"train.dropout\": [0.1, 0.2], \"by\": \"cv\"}}", true},
      {"{\"mc\": {\"by\": \"bootstrap\"}, \"tune\": {\"train.dropout\": [0.1, 0], \"by\": \"cv\"}}", true},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    json_t *params = resolved(mlp, cases[i].params);
    unsigned without = mlp->gives & ~(unsigned)AL_GIVES_MC;
    assert_int_equal(al_model_gives(mlp, params, NULL), cases[i].mc ? mlp->gives : without);
    json_decref(params);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(temperature_is_the_minimum),
      cmocka_unit_test(calibrated_linear),
      cmocka_unit_test(tuned_linear),
      cmocka_unit_test(refusals),
      cmocka_unit_test(every_candidate_is_checked),
      cmocka_unit_test(files_are_named_beside_settings),
      cmocka_unit_test(any_candidate_reads_the_holdout),
      cmocka_unit_test(every_candidate_suits_the_data),
      cmocka_unit_test(gives_what_every_candidate_gives),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
