/* The perceptron against naive double-precision loops that share no code with it, and what a model owes the loop: cold
 * fits that repeat, warm ones that go on from their bytes, passes of three kinds, a head that explains p. */
#include "features_fixture.h"

#include "model/mlp_network.h"
#include "model/predictor.h"
#include "model/torch_train.h"

#include <math.h>

enum { ROWS = 900, LABELLED = 300, COLUMNS = 6, CLASSES = 3, HELD = 200 };

static float columns[ROWS * COLUMNS];
static int32_t truth[ROWS];
static fixture data;
static float a[ROWS * CLASSES], b[ROWS * CLASSES];

static double noise(size_t i) {
  double value = sin(12.9898 * (double)i + 4.1414 * (double)(i % 17)) * 43758.5453;
  return value - floor(value);
}

/* The set of tests/golden/mlp.py: a ring inside a ring, cut by a product. */
static int setup(void **state) {
  if (fixture_setup(state) != 0) return -1;
  fixture_init(&data, AL_TABULAR, ROWS, LABELLED);
  for (size_t i = 0; i < ROWS; i++) {
    double x[COLUMNS];
    for (size_t c = 0; c < COLUMNS; c++) columns[i * COLUMNS + c] = (float)(x[c] = 4.0 * noise(i * COLUMNS + c) - 2.0);
    truth[i] = x[2] * x[3] > 0.8 ? 2 : x[0] * x[0] + 0.5 * x[1] * x[1] > 1.4;
  }
  data.dataset.columns = al_view_dense(columns, ROWS, COLUMNS);
  data.dataset.classes = CLASSES;
  return 0;
}

static int teardown(void **state) {
  fixture_free(&data);
  return fixture_teardown(state);
}

/* ---- the network in double, loop by loop ---- */

enum { MOST = 4000, WIDEST = 64 };

typedef struct {
  size_t inputs, width, layers, classes;
  double p[MOST], g[MOST], first[MOST], second[MOST];
  size_t steps;
} naive;

static size_t size_of(const naive *n) {
  return n->inputs * n->width + (n->layers - 1) * n->width * n->width + n->layers * n->width +
         (n->width + 1) * n->classes;
}

/* Offset of a layer's weights (layers: the last one's); its biases stand behind them. */
static size_t at(const naive *n, size_t layer) {
  if (layer == 0) return 0;
  return (n->inputs + 1) * n->width + (layer - 1) * (n->width + 1) * n->width;
}

/* Loss of one row; into g, where it is not NULL, its gradient times share. */
static double learn(const naive *n, const double *p, const float *x, int32_t label, double share, double *g) {
  double h[5][WIDEST], z[WIDEST], d[WIDEST], below[WIDEST], sum = 0.0, most = -INFINITY;
  for (size_t c = 0; c < n->inputs; c++) h[0][c] = (double)x[c];
  for (size_t l = 0; l < n->layers; l++) {
    size_t in = l == 0 ? n->inputs : n->width;
    for (size_t u = 0; u < n->width; u++) {
      double value = p[at(n, l) + in * n->width + u];
      for (size_t c = 0; c < in; c++) value += h[l][c] * p[at(n, l) + c * n->width + u];
      h[l + 1][u] = value > 0.0 ? value : 0.0;
    }
  }
  const double *top = h[n->layers], *v = p + at(n, n->layers);
  for (size_t k = 0; k < n->classes; k++) {
    z[k] = v[n->classes * n->width + k];
    for (size_t u = 0; u < n->width; u++) z[k] += top[u] * v[k * n->width + u];
    most = fmax(most, z[k]);
  }
  for (size_t k = 0; k < n->classes; k++) sum += exp(z[k] - most);
  double loss = log(sum) + most - z[label];
  if (g == NULL) return loss;
  double *gv = g + at(n, n->layers);
  for (size_t u = 0; u < n->width; u++) d[u] = 0.0;
  for (size_t k = 0; k < n->classes; k++) {
    double e = share * (exp(z[k] - most) / sum - (k == (size_t)label ? 1.0 : 0.0));
    gv[n->classes * n->width + k] += e;
    for (size_t u = 0; u < n->width; u++) {
      gv[k * n->width + u] += e * top[u];
      d[u] += e * v[k * n->width + u];
    }
  }
  for (size_t l = n->layers; l-- > 0;) {
    size_t in = l == 0 ? n->inputs : n->width;
    for (size_t c = 0; c < in; c++) below[c] = 0.0;
    for (size_t u = 0; u < n->width; u++) {
      double own = h[l + 1][u] > 0.0 ? d[u] : 0.0;
      g[at(n, l) + in * n->width + u] += own;
      for (size_t c = 0; c < in; c++) {
        g[at(n, l) + c * n->width + u] += own * h[l][c];
        below[c] += own * p[at(n, l) + c * n->width + u];
      }
    }
    for (size_t c = 0; c < in && l > 0; c++) d[c] = below[c];
  }
  return loss;
}

static bool is_matrix(const naive *n, size_t i) {
  for (size_t l = 0; l < n->layers; l++) {
    size_t in = l == 0 ? n->inputs : n->width;
    if (i < at(n, l) + in * n->width) return true;
    if (i < at(n, l + 1)) return false;
  }
  return i < at(n, n->layers) + n->classes * n->width;
}

/* AdamW as its authors have it, after the gradient in g is cut to the norm `clip`. */
static void adamw(naive *n, double rate, double decay, double clip) {
  double norm = 0.0;
  for (size_t i = 0; i < size_of(n); i++) norm += n->g[i] * n->g[i];
  double shrink = sqrt(norm) > clip ? clip / sqrt(norm) : 1.0;
  n->steps++;
  for (size_t i = 0; i < size_of(n); i++) {
    double gradient = shrink * n->g[i];
    n->first[i] = 0.9 * n->first[i] + 0.1 * gradient;
    n->second[i] = 0.999 * n->second[i] + 0.001 * gradient * gradient;
    double m = n->first[i] / (1.0 - pow(0.9, (double)n->steps));
    double v = n->second[i] / (1.0 - pow(0.999, (double)n->steps));
    if (is_matrix(n, i)) n->p[i] -= rate * decay * n->p[i];
    n->p[i] -= rate * m / (sqrt(v) + 1e-8);
  }
}

static void put(al_torch_net *net, const naive *from) {
  size_t offset = 0;
  for (size_t i = 0; i < al_mlp_api.tensors(net); i++) {
    al_torch_tensor tensor;
    float values[MOST];
    al_mlp_api.tensor(net, i, &tensor);
    for (size_t k = 0; k < tensor.count; k++) values[k] = (float)from->p[offset + k];
    al_mlp_api.set(net, i, values);
    offset += tensor.count;
  }
  assert_int_equal(offset, size_of(from));
}

static void take(al_torch_net *net, float *values) {
  for (size_t i = 0; i < al_mlp_api.tensors(net); i++) {
    al_torch_tensor tensor;
    al_mlp_api.tensor(net, i, &tensor);
    al_mlp_api.get(net, i, values);
    values += tensor.count;
  }
}

/* ---- the network itself ---- */

/* A step of SGD at rate 1 without momentum moves the weights by the gradient. Central differences in double, of the
 * loss alone; classes weighted in a second round. */
static void gradient(void **state) {
  (void)state;
  enum { N = 9 };
  static const float weights[CLASSES] = {0.5F, 2.25F, 1.25F};
  for (size_t layers = 1; layers <= 3; layers++)
    for (int weighted = 0; weighted < 2; weighted++) {
      naive n = {.inputs = COLUMNS, .width = 7, .layers = layers, .classes = CLASSES};
      al_mlp_config config = {.inputs = COLUMNS, .width = 7, .layers = layers, .classes = CLASSES, .sgd = true};
      al_torch_net *net = NULL;
      float after[MOST];
      double loss = 0.0, total = 0.0, of_all = 0.0;
      for (size_t i = 0; i < size_of(&n); i++) n.p[i] = (double)(float)(1.4 * noise(i + 31 * layers) - 0.6);
      assert_ok(al_mlp_create(&net, &config));
      put(net, &n);
      al_view x = al_view_dense(columns, N, COLUMNS);
      al_mlp_api.begin(net, 5);
      al_mlp_api.weigh(net, weighted ? weights : NULL);
      assert_int_equal(al_mlp_api.step(net, &(al_torch_batch){.n = N, .features = &x}, truth, 1.0, &loss), 0);
      take(net, after);
      for (size_t r = 0; r < N; r++) total += weighted ? (double)weights[truth[r]] : 1.0;
      for (size_t r = 0; r < N; r++)
        of_all += (weighted ? (double)weights[truth[r]] : 1.0) / total *
                  learn(&n, n.p, columns + r * COLUMNS, truth[r], 1.0, NULL);
      assert_float_equal(loss, of_all, 1e-5);
      for (size_t i = 0; i < size_of(&n); i++) {
        double was = n.p[i], change = 1e-6, difference = 0.0;
        for (int side = -1; side <= 1; side += 2) {
          n.p[i] = was + side * change;
          for (size_t r = 0; r < N; r++)
            difference += side * (weighted ? (double)weights[truth[r]] : 1.0) / total *
                          learn(&n, n.p, columns + r * COLUMNS, truth[r], 1.0, NULL);
        }
        n.p[i] = was;
        difference /= 2.0 * change;
        if (fabs(was - (double)after[i] - difference) > 2e-6 + 1e-4 * fabs(difference))
          fail_msg("%zu layers, parameter %zu: %g, by differences %g", layers, i, was - (double)after[i], difference);
      }
      al_mlp_api.free(net);
    }
}

/* Sparse rows are the same rows, also for columns that come late or never, and whoever looks in between. */
static void sparse_is_dense(void **state) {
  (void)state;
  enum { WIDTH = 10, INPUTS = 23, N = 6, STEPS = 12 };
  for (int by_sgd = 0; by_sgd < 2; by_sgd++) {
    al_mlp_config config = {.inputs = INPUTS,
                            .width = WIDTH,
                            .layers = 2,
                            .classes = CLASSES,
                            .dropout = 0.25,
                            .weight_decay = 0.3,
                            .clip = 0.4,
                            .sgd = by_sgd == 1};
    naive start = {.inputs = INPUTS, .width = WIDTH, .layers = 2, .classes = CLASSES};
    al_torch_net *dense = NULL, *sparse = NULL;
    float x[2][MOST], p[2][N * CLASSES], values[N * INPUTS], stored[N * INPUTS];
    int64_t offsets[N + 1];
    int32_t indices[N * INPUTS];
    for (size_t i = 0; i < size_of(&start); i++) start.p[i] = 0.8 * noise(i) - 0.4;
    assert_ok(al_mlp_create(&dense, &config));
    config.sparse = true;
    assert_ok(al_mlp_create(&sparse, &config));
    put(dense, &start);
    put(sparse, &start);
    al_mlp_api.begin(dense, 11);
    al_mlp_api.begin(sparse, 11);
    for (size_t s = 0; s < STEPS; s++) {
      int64_t used = 0;
      offsets[0] = 0;
      for (size_t i = 0; i < N; i++) {
        for (size_t c = 0; c < INPUTS; c++) {
          /* column 5 is shown at step 7 first, column 6 never */
          bool there = noise(s * 1000 + i * INPUTS + c) < 0.2 && c != 6 && (c != 5 || s >= 7);
          values[i * INPUTS + c] = there ? (float)(noise(c + 77 * s + i) + 0.1) : 0.0F;
          if (!there) continue;
          stored[used] = values[i * INPUTS + c];
          indices[used++] = (int32_t)c;
        }
        offsets[i + 1] = used;
      }
      al_view of_dense = al_view_dense(values, N, INPUTS), of_sparse = al_view_csr(offsets, indices, stored, N, INPUTS);
      al_torch_batch batches[2] = {{.n = N, .features = &of_dense}, {.n = N, .features = &of_sparse}};
      double loss[2];
      al_mlp_api.step(dense, &batches[0], truth, 0.05, &loss[0]);
      al_mlp_api.step(sparse, &batches[1], truth, 0.05, &loss[1]);
      assert_float_equal(loss[0], loss[1], 1e-5);
      if (s % 5 != 2) continue;
      al_mlp_api.predict(dense, &batches[0], 0, p[0], NULL);
      al_mlp_api.predict(sparse, &batches[1], 0, p[1], NULL);
      for (size_t i = 0; i < N * CLASSES; i++) assert_float_equal(p[0][i], p[1][i], 1e-5);
    }
    take(dense, x[0]);
    take(sparse, x[1]);
    for (size_t i = 0; i < size_of(&start); i++) assert_float_equal(x[0][i], x[1][i], 2e-5);
    assert_true(fabs((double)x[1][6 * WIDTH] - start.p[6 * WIDTH]) > 1e-3); /* column 6 has decayed */
    /* what is owed is owed to the old weights only */
    put(sparse, &start);
    take(sparse, x[1]);
    for (size_t i = 0; i < size_of(&start); i++) assert_true(x[1][i] == (float)start.p[i]);
    al_mlp_api.free(dense);
    al_mlp_api.free(sparse);
  }
}

/* ---- the model ---- */

static al_predictor *open_on(const fixture *on, const char *train, const char *rest, uint32_t replicate) {
  char text[600];
  snprintf(text, sizeof text, "{\"hidden\": 16, \"train\": {\"lr\": 0.01, \"epochs\": 10%s}%s}", train, rest);
  json_t *given = json_loads(text, 0, NULL), *params = NULL;
  const al_model_type *mlp = al_model_find("mlp");
  al_predictor *p = NULL;
  al_model_source source = {
      .dataset = &on->dataset, .split = &on->split, .seed = 3, .replicate = replicate, .where = "here"};
  assert_non_null(given);
  assert_ok(al_params_resolve(&params, mlp->params, given, "here"));
  assert_ok(mlp->check(params, on->dataset.kind, NULL, "here"));
  assert_ok(al_predictor_check(mlp, params, HELD, "here"));
  assert_ok(al_predictor_open(&p, mlp, params, &source));
  json_decref(given);
  json_decref(params);
  return p;
}

static al_predictor *open_mlp(const char *train, const char *rest) { return open_on(&data, train, rest, 0); }

static void fit(al_predictor *p, size_t n, uint32_t round) {
  al_training given = {.rows = data.rows,
                       .classes = truth,
                       .n = n,
                       .holdout_rows = data.rows + LABELLED,
                       .holdout_classes = truth + LABELLED,
                       .holdout = HELD,
                       .round = round};
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

static double accuracy_of(const float *probs, size_t from, size_t n) {
  size_t right = 0;
  for (size_t i = from; i < from + n; i++) {
    size_t best = 0;
    for (size_t c = 1; c < CLASSES; c++)
      if (probs[i * CLASSES + c] > probs[i * CLASSES + best]) best = c;
    right += best == (size_t)truth[i];
  }
  return (double)right / (double)n;
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

static al_rng stream(const char *purpose) {
  return al_rng_open(&(al_stream_key){.seed = 3, .purpose = purpose, .dataset = "fixture", .replicate = 4});
}

/* A whole fit without dropout, in double: the published start and order, warm-up, linear decay, clipping, AdamW, and a
 * last batch of one that joins the one before. */
static void fit_is_the_naive_one(void **state) {
  (void)state;
  enum { N = 33, BATCH = 8, EPOCHS = 20, BATCHES = 4, STEPS = EPOCHS * BATCHES };
  al_features *input = NULL;
  naive n = {.inputs = COLUMNS, .width = 16, .layers = 2, .classes = CLASSES};
  int32_t order[N];
  float probs[ROWS * CLASSES];
  assert_ok(al_input_open(&input, &data.dataset, &data.split, NULL, "here"));
  al_rng start = stream("start"), rng = stream("fit");
  for (size_t tensor = 0, i = 0; tensor < 6; tensor++) {
    al_rng own = al_rng_child(&start, tensor);
    size_t in = tensor == 0 ? COLUMNS : 16, size = tensor == 4 ? 16 * CLASSES : in * 16;
    double bound = sqrt(6.0 / (double)(tensor == 4 ? 16 + CLASSES : in));
    if (tensor % 2 == 1) size = tensor == 5 ? CLASSES : 16;
    for (size_t k = 0; k < size; k++, i++)
      n.p[i] = tensor % 2 == 1 ? 0.0 : (double)(float)(bound * (2.0 * al_rng_uniform(&own) - 1.0));
  }
  (void)al_rng_u64(&rng); /* dropout's seed */
  for (size_t i = 0; i < N; i++) order[i] = (int32_t)i;
  for (size_t s = 0; s < STEPS; s++) {
    if (s % BATCHES == 0) al_rng_shuffle(&rng, order, N);
    size_t from = s % BATCHES * BATCH, to = s % BATCHES == BATCHES - 1 ? N : from + BATCH;
    memset(n.g, 0, sizeof n.g);
    for (size_t i = from; i < to; i++)
      learn(&n, n.p, input->view.values + order[i] * COLUMNS, truth[order[i]], 1.0 / (double)(to - from), n.g);
    double warm = 0.25 * STEPS;
    double rate = (double)s + 1.0 < warm ? 0.01 * ((double)s + 1.0) / warm
                                         : 0.01 * ((double)STEPS - (double)s) / ((double)STEPS - warm);
    adamw(&n, rate, 0.2, 0.7);
  }
  al_predictor *p = open_on(&data,
                            ", \"epochs\": 20, \"batch\": 8, \"dropout\": 0, \"clip\": 0.7, \"weight_decay\": 0.2, "
                            "\"warmup\": 0.25",
                            ", \"layers\": 2", 4);
  fit(p, N, 0);
  probs_of(p, probs);
  double worst = 0.0, moved = 0.0;
  for (size_t i = 0; i < ROWS; i++) {
    for (int32_t c = 0; c < CLASSES; c++) {
      double wanted = exp(-learn(&n, n.p, input->view.values + i * COLUMNS, c, 1.0, NULL));
      worst = fmax(worst, fabs(wanted - (double)probs[i * CLASSES + (size_t)c]));
    }
    moved = fmax(moved, (double)probs[i * CLASSES]);
  }
  if (worst > 2e-4) fail_msg("probabilities differ by %g", worst);
  assert_true(moved > 0.7 && loss_of(probs, 0, N) < 0.5); /* it has learned, or agreeing says little */
  al_predictor_free(p);
  al_features_free(input);
}

/* scikit-learn's on the same set: tests/golden/mlp.py. Its standard deviation over starts is 0.004. */
static void as_good_as_scikit_learn(void **state) {
  (void)state;
  enum { SEEDS = 5 };
  json_t *golden = fixture_golden("mlp.json");
  json_t *counts = json_object_get(golden, "classes");
  for (int32_t c = 0; c < CLASSES; c++) {
    size_t count = 0;
    for (size_t i = 0; i < ROWS; i++) count += truth[i] == c;
    assert_int_equal(count, json_integer_value(json_array_get(counts, (size_t)c))); /* it is the same set */
  }
  double mean = 0.0;
  for (uint32_t replicate = 0; replicate < SEEDS; replicate++) {
    al_predictor *p = open_on(&data,
                              ", \"lr\": 0.003, \"epochs\": 100, \"dropout\": 0, \"weight_decay\": 0, \"warmup\": 0, "
                              "\"schedule\": \"constant\", \"clip\": 0",
                              ", \"hidden\": 64", replicate);
    fit(p, LABELLED, 0);
    probs_of(p, a);
    mean += accuracy_of(a, LABELLED, ROWS - LABELLED) / SEEDS;
    al_predictor_free(p);
  }
  double theirs = json_real_value(json_object_get(golden, "mean"));
  assert_true(json_real_value(json_object_get(golden, "linear")) < theirs - 0.3); /* the hidden layer is needed */
  if (fabs(mean - theirs) > 0.015) fail_msg("accuracy %g, scikit-learn's %g", mean, theirs);
  json_decref(golden);
}

static void cold_fits_repeat(void **state) {
  (void)state;
  al_predictor *p = open_mlp("", "");
  fit(p, 120, 0);
  probs_of(p, a);
  fit(p, LABELLED, 1);
  probs_of(p, b);
  assert_memory_not_equal(a, b, sizeof a);
  fit(p, 120, 0); /* whatever came between */
  probs_of(p, b);
  assert_memory_equal(a, b, sizeof a);
  assert_false(al_predictor_chained(p));
  al_predictor_free(p);
}

static void warm_start(void **state) {
  (void)state;
  static const char warm[] = ", \"epochs\": 4, \"start\": \"warm\"";
  al_buffer kept = {0}, again = {0};
  al_predictor *p = open_mlp(warm, ""), *cold = open_mlp(", \"epochs\": 4", ""), *other = open_mlp(warm, "");
  bool good = false;
  fit(p, 100, 0);
  fit(cold, 100, 0);
  probs_of(p, a);
  probs_of(cold, b);
  assert_memory_equal(a, b, sizeof a); /* the first fit is a cold one */
  assert_true(al_predictor_chained(p) && !al_predictor_chained(cold));
  assert_ok(al_predictor_save(p, &kept));
  fit(p, LABELLED, 1);
  fit(cold, LABELLED, 1);
  probs_of(p, a);
  probs_of(cold, b);
  assert_true(loss_of(a, 0, LABELLED) < loss_of(b, 0, LABELLED)); /* it has had twice the passes */
  al_training given = {.rows = data.rows, .classes = truth, .n = 100};
  kept.data[kept.size - 3] ^= 4;
  assert_ok(al_predictor_restore(other, kept.data, kept.size, &given, &good));
  assert_false(good);
  kept.data[kept.size - 3] ^= 4;
  assert_ok(al_predictor_restore(other, kept.data, kept.size - 4, &given, &good));
  assert_false(good);
  assert_ok(al_predictor_restore(other, kept.data, kept.size, &given, &good));
  assert_true(good);
  assert_ok(al_predictor_save(other, &again));
  assert_int_equal(again.size, kept.size);
  assert_memory_equal(again.data, kept.data, kept.size);
  fit(other, LABELLED, 1);
  probs_of(other, b);
  assert_memory_equal(a, b, sizeof a);
  al_predictor_free(p);
  al_predictor_free(cold);
  al_predictor_free(other);
  al_buffer_free(&kept);
  al_buffer_free(&again);
}

/* p = softmax(W h + b), and h is what no dropout has touched. */
static void head_explains_p(void **state) {
  (void)state;
  al_predictor *p = open_mlp(", \"dropout\": 0.5", ", \"layers\": 2, \"calibrate\": \"temperature\"");
  al_view h;
  al_subset storage = {0};
  const float *w, *bias;
  size_t width, zeros = 0;
  float logits[ROWS * CLASSES];
  fit(p, LABELLED, 0);
  assert_ok(al_predictor_predict(p, data.rows, ROWS,
                                 &(al_prediction){.probs = a, .logits = logits, .h = &h, .subset = &storage}));
  assert_ok(al_predictor_head(p, &w, &bias, &width));
  assert_int_equal(width, 16);
  assert_int_equal(h.cols, 16);
  for (size_t i = 0; i < ROWS; i++) {
    double z[CLASSES], sum = 0.0;
    for (size_t c = 0; c < CLASSES; c++) {
      z[c] = (double)bias[c];
      for (size_t d = 0; d < width; d++) z[c] += (double)w[c * width + d] * (double)h.values[i * width + d];
      assert_float_equal(z[c], logits[i * CLASSES + c], 1e-3);
      sum += exp(z[c]);
    }
    for (size_t c = 0; c < CLASSES; c++) assert_float_equal(exp(z[c]) / sum, a[i * CLASSES + c], 1e-4);
    for (size_t d = 0; d < width; d++) zeros += h.values[i * width + d] == 0.0F;
  }
  assert_true(zeros > 0 && zeros < ROWS * width * 9 / 10); /* rectified, and alive */
  assert_non_null(strstr(notes_of(p), "calibrated: temperature "));
  al_subset_free(&storage);
  al_predictor_free(p);
}

/* Passes: seeded, all different, the model untouched; by dropout their mean is near p. */
static void stochastic_passes(void **state) {
  (void)state;
  static const struct {
    const char *mc;
    size_t passes;
  } kinds[] = {{"{\"passes\": 600}", 600},
               {"{\"by\": \"ensemble\", \"passes\": 4}", 4},
               {"{\"by\": \"bootstrap\", \"passes\": 4}", 4}};
  for (size_t k = 0; k < 3; k++) {
    char rest[100];
    float *mc = NULL, *again = NULL;
    size_t passes = kinds[k].passes, size = (size_t)ROWS * CLASSES;
    snprintf(rest, sizeof rest, ", \"mc\": %s", kinds[k].mc);
    al_predictor *p = open_mlp(", \"epochs\": 40", rest);
    assert_ok(AL_NEW(&mc, passes * size));
    assert_ok(AL_NEW(&again, passes * size));
    assert_int_equal(al_predictor_passes(p), passes);
    fit(p, LABELLED, 2);
    probs_of(p, a);
    assert_ok(al_predictor_predict(p, data.rows, ROWS, &(al_prediction){.mc = mc}));
    assert_ok(al_predictor_predict(p, data.rows, ROWS, &(al_prediction){.mc = again, .probs = b}));
    assert_memory_equal(mc, again, passes * size * sizeof *mc);
    assert_memory_equal(a, b, sizeof a);
    if (k == 1) assert_memory_equal(mc, a, sizeof a); /* an ensemble's first is the model */
    for (size_t m = 0; m < 4; m++) {
      if (m != 0) assert_memory_not_equal(mc, mc + m * size, size * sizeof *mc);
      double right = accuracy_of(mc + m * size, LABELLED, ROWS - LABELLED);
      if (k != 0 && right < 0.7) fail_msg("member %zu: accuracy %g", m, right);
    }
    double gap = 0.0, spread = 0.0;
    for (size_t i = 0; i < size; i++) {
      double mean = 0.0;
      for (size_t m = 0; m < passes; m++) mean += (double)mc[m * size + i] / (double)passes;
      gap += fabs(mean - (double)a[i]) / (double)size;
      spread += fabs((double)mc[i] - (double)a[i]) / (double)size;
    }
    if (k == 0 && !(gap < 0.03 && spread > 2.0 * gap)) fail_msg("gap %g, spread %g", gap, spread);
    fit(p, LABELLED, 3); /* members belong to their round */
    assert_ok(al_predictor_predict(p, data.rows, ROWS, &(al_prediction){.mc = again}));
    assert_memory_not_equal(mc, again, size * sizeof *mc);
    free(mc);
    free(again);
    al_predictor_free(p);
  }
}

/* Members of a bootstrap start alike: without a step they are the model, an ensemble's are not. */
static void where_members_start(void **state) {
  (void)state;
  float mc[2 * ROWS * CLASSES];
  for (int bootstrap = 0; bootstrap < 2; bootstrap++) {
    al_predictor *p = open_mlp(", \"steps\": 1, \"lr\": 1e-9, \"weight_decay\": 0",
                               bootstrap ? ", \"mc\": {\"by\": \"bootstrap\", \"passes\": 2}"
                                         : ", \"mc\": {\"by\": \"ensemble\", \"passes\": 2}");
    double gap = 0.0;
    fit(p, 50, 0);
    assert_ok(al_predictor_predict(p, data.rows, ROWS, &(al_prediction){.mc = mc, .probs = a}));
    for (size_t i = 0; i < (size_t)ROWS * CLASSES; i++)
      gap = fmax(gap, fabs((double)mc[ROWS * CLASSES + i] - (double)a[i]));
    assert_true(bootstrap ? gap < 1e-5 : gap > 0.1);
    al_predictor_free(p);
  }
}

static void early_stop(void **state) {
  (void)state;
  al_predictor *p = open_mlp(", \"epochs\": 400, \"dropout\": 0, \"early_stop\": {\"patience\": 6}", "");
  unsigned long best = 0, run = 0;
  double loss = 0.0;
  fit(p, 60, 0);
  if (sscanf(notes_of(p), "early stop: pass %lu of %lu, hold-out log loss %lf", &best, &run, &loss) != 3)
    fail_msg("'%s'", notes_of(p));
  assert_true(best >= 1 && run == best + 6 && run < 400);
  probs_of(p, a);
  assert_float_equal(loss_of(a, LABELLED, HELD), loss, 1e-5);
  al_predictor_free(p);
}

/* One row of class 2 among many others: balanced weights give it more of the loss. */
static void balanced_classes(void **state) {
  (void)state;
  int32_t rows[60], classes[60];
  size_t n = 0, rare = 0;
  double of_rare[2] = {0.0, 0.0};
  for (size_t i = 0; n < 60; i++) {
    if (truth[i] == 2 && rare != 0) continue;
    rare += truth[i] == 2;
    rows[n] = (int32_t)i;
    classes[n++] = truth[i];
  }
  for (int balanced = 0; balanced < 2; balanced++) {
    al_predictor *p = open_mlp(balanced ? ", \"class_weights\": \"balanced\"" : "", "");
    assert_ok(al_predictor_fit(p, &(al_training){.rows = rows, .classes = classes, .n = n}));
    probs_of(p, a);
    for (size_t i = 0; i < ROWS; i++) of_rare[balanced] += (double)a[i * CLASSES + 2];
    al_predictor_free(p);
  }
  assert_true(of_rare[1] > 1.5 * of_rare[0]);
}

static void tuned(void **state) {
  (void)state;
  al_predictor *p = open_mlp("", ", \"tune\": {\"train.lr\": [1e-6, 0.01], \"hidden\": [4, 32], \"by\": \"cv\"}");
  fit(p, LABELLED, 0);
  if (strncmp(notes_of(p), "tuned: train.lr = 0.01, hidden = 32, log loss ", 46) != 0) fail_msg("%s", notes_of(p));
  probs_of(p, a);
  assert_true(accuracy_of(a, LABELLED, ROWS - LABELLED) > 0.7);
  al_predictor_free(p);
}

/* TF-IDF rows, which are sparse. */
static void of_text(void **state) {
  (void)state;
  enum { TEXTS = 60, SHOWN = 40 };
  static const char *const words[2][4] = {{"orbit", "rocket", "lunar", "launch"},
                                          {"goal", "referee", "pitch", "match"}};
  static const char *const common[] = {"today", "people", "there", "about", "again"};
  char lines[TEXTS][80];
  const char *texts[TEXTS];
  int32_t classes[TEXTS];
  float probs[TEXTS * 2];
  size_t right = 0;
  fixture f;
  for (size_t i = 0; i < TEXTS; i++) {
    classes[i] = (int32_t)(i % 2);
    snprintf(lines[i], sizeof lines[i], "%s %s %s %s", common[i % 5], words[i % 2][i / 2 % 4], common[i * 3 % 5],
             words[i % 2][(i / 2 + i / 8) % 4]);
    texts[i] = lines[i];
  }
  fixture_text(&f, texts, NULL, TEXTS, SHOWN);
  f.dataset.classes = 2;
  al_predictor *p = open_on(&f, ", \"epochs\": 30", "", 0);
  assert_ok(al_predictor_fit(p, &(al_training){.rows = f.rows, .classes = classes, .n = SHOWN}));
  assert_ok(al_predictor_predict(p, f.rows, TEXTS, &(al_prediction){.probs = probs}));
  for (size_t i = SHOWN; i < TEXTS; i++) right += probs[i * 2 + i % 2] > 0.5F;
  assert_int_equal(right, TEXTS - SHOWN);
  al_predictor_free(p);
  fixture_free(&f);
}

static void refusals(void **state) {
  (void)state;
  const al_model_type *mlp = al_model_find("mlp");
  static const struct {
    const char *params, *says;
  } unknown[] = {{"{\"train\": {\"augment\": \"none\"}}", "unknown key 'augment'"},
                 {"{\"train\": {\"regime\": \"full\"}}", "unknown key 'regime'"},
                 {"{\"hidden\": 0}", "hidden"},
                 {"{\"layers\": 17}", "layers"}};
  for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
    json_t *given = json_loads(unknown[i].params, 0, NULL), *params = NULL;
    assert_fails(AL_BAD_INPUT, al_params_resolve(&params, mlp->params, given, "here"), unknown[i].says);
    json_decref(given);
  }
  static const struct {
    const char *params, *says;
  } refused[] = {
      {"{\"mc\": {\"by\": \"ensemble\"}, \"train\": {\"start\": \"warm\"}}", "start cold"},
      {"{\"mc\": {\"by\": \"bootstrap\"}, \"train\": {\"start\": \"warm\"}}", "start cold"},
      {"{\"features\": \"tfidf\"}", "do not exist"},
  };
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
    json_t *given = json_loads(refused[i].params, 0, NULL), *params = NULL;
    assert_ok(al_params_resolve(&params, mlp->params, given, "here"));
    assert_fails(AL_BAD_INPUT, mlp->check(params, AL_TABULAR, NULL, "here"), refused[i].says);
    json_decref(given);
    json_decref(params);
  }
  /* without dropout there are no passes by it */
  json_t *given = json_loads("{\"train\": {\"dropout\": 0}}", 0, NULL), *params = NULL;
  assert_ok(al_params_resolve(&params, mlp->params, given, "here"));
  assert_int_equal(al_model_gives(mlp, params, NULL), mlp->gives & ~(unsigned)AL_GIVES_MC);
  json_decref(params);
  json_object_set_new(given, "mc", json_pack("{s:s}", "by", "bootstrap"));
  assert_ok(al_params_resolve(&params, mlp->params, given, "here"));
  assert_int_equal(al_model_gives(mlp, params, NULL), mlp->gives);
  json_decref(params);
  json_decref(given);
}

static void divergence_is_said(void **state) {
  (void)state;
  al_predictor *p = open_mlp(", \"optimiser\": \"sgd\", \"lr\": 10, \"clip\": 0, \"weight_decay\": 10", "");
  al_training given = {.rows = data.rows, .classes = truth, .n = LABELLED};
  assert_fails(AL_ENVIRONMENT, al_predictor_fit(p, &given), "training diverged at step ");
  assert_non_null(strstr(al_message(), "lower train.lr"));
  al_predictor_free(p);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(gradient),
      cmocka_unit_test(sparse_is_dense),
      cmocka_unit_test(fit_is_the_naive_one),
      cmocka_unit_test(as_good_as_scikit_learn),
      cmocka_unit_test(cold_fits_repeat),
      cmocka_unit_test(warm_start),
      cmocka_unit_test(head_explains_p),
      cmocka_unit_test(stochastic_passes),
      cmocka_unit_test(where_members_start),
      cmocka_unit_test(early_stop),
      cmocka_unit_test(balanced_classes),
      cmocka_unit_test(tuned),
      cmocka_unit_test(of_text),
      cmocka_unit_test(refusals),
      cmocka_unit_test(divergence_is_said),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
