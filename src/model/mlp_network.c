/* The perceptron's arithmetic: float32, row-major, one thread, products by BLAS, everything else in the order of the
 * source.
 *
 *   a_0 = x,  h_l = max(0, a_(l-1) W_l + b_l),  a_l = drop(h_l),  z = a_L V^T + c,  p = softmax(z)
 *
 * The last h_l is what the outside calls h. Hidden matrices are inputs x width, so that a column of a sparse input is a
 * row of floats in W_1. AdamW decays matrices only. A column that no row of the fit has shown yet has moments of zero,
 * and dense AdamW would only decay it: that is done at once, when it is first shown or when somebody looks, so that a
 * step on TF-IDF rows costs what the labelled set's terms cost, not the vocabulary. */
#include "model/mlp_network.h"

#include "base/matrix.h"
#include "base/memory.h"
#include "base/rng.h"
#include "base/simd.h"

#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  char name[32];
  size_t dims, shape[2], offset, count;
} tensor;

struct al_torch_net {
  al_mlp_config config;
  tensor *tensors; /* 2 (layers + 1) */
  size_t count, total;
  float *values, *gradients, *first, *second; /* total; moments: second only for AdamW */
  float *class_weights;                       /* classes */
  bool weighed;
  al_rng dropout;
  size_t steps;
  /* sparse inputs; arrays of `inputs` */
  double decayed;            /* what the columns not yet shown owe */
  uint8_t *shown, *in_batch; /* since begin; in the batch at hand */
  int32_t *touched;          /* columns of the batch at hand: their gradients are not 0 */
  size_t touched_count;
  /* of the batch at hand */
  size_t capacity;               /* rows */
  float *hidden, *keep, *passed; /* layers x capacity x width: h_l; 0 or 1 / (1 - rate); a_l */
  float *delta, *below;          /* capacity x width */
  float *logits;                 /* capacity x classes */
};

static void free_net(al_torch_net *net) {
  if (net == NULL) return;
  void *blocks[] = {net->tensors,       net->values, net->gradients, net->first,   net->second,
                    net->class_weights, net->shown,  net->in_batch,  net->touched, net->hidden,
                    net->keep,          net->passed, net->delta,     net->below,   net->logits};
  for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) free(blocks[i]);
  free(net);
}

static void describe(al_torch_net *net, const char *layer, const char *what, size_t rows, size_t cols) {
  tensor *t = &net->tensors[net->count++];
  snprintf(t->name, sizeof t->name, "%s.%s", layer, what);
  t->dims = cols == 0 ? 1 : 2;
  t->shape[0] = rows;
  t->shape[1] = cols;
  t->count = cols == 0 ? rows : rows * cols;
  t->offset = net->total;
  net->total += (t->count + AL_LANES - 1) / AL_LANES * AL_LANES;
}

al_status al_mlp_create(al_torch_net **out, const al_mlp_config *config) {
  al_status status;
  al_torch_net *net = NULL;
  *out = NULL;
  AL_TRY(AL_NEW(&net, 1));
  net->config = *config;
  net->decayed = 1.0;
  AL_TRY(AL_NEW(&net->tensors, 2 * (config->layers + 1)));
  for (size_t l = 0; l < config->layers; l++) {
    char layer[24];
    snprintf(layer, sizeof layer, "hidden.%zu", l);
    describe(net, layer, "weight", l == 0 ? config->inputs : config->width, config->width);
    describe(net, layer, "bias", config->width, 0);
  }
  describe(net, "classifier", "weight", config->classes, config->width);
  describe(net, "classifier", "bias", config->classes, 0);
  AL_TRY(AL_NEW(&net->values, net->total));
  AL_TRY(AL_NEW(&net->gradients, net->total));
  AL_TRY(AL_NEW(&net->first, net->total));
  if (!config->sgd) AL_TRY(AL_NEW(&net->second, net->total));
  AL_TRY(AL_NEW(&net->class_weights, config->classes));
  if (config->sparse) {
    AL_TRY(AL_NEW(&net->shown, config->inputs));
    AL_TRY(AL_NEW(&net->in_batch, config->inputs));
    AL_TRY(AL_NEW(&net->touched, config->inputs));
  }
  *out = net;
  net = NULL;
done:
  free_net(net);
  return status;
}

static float *weight(const al_torch_net *net, float *of, size_t layer) { return of + net->tensors[2 * layer].offset; }
static float *bias(const al_torch_net *net, float *of, size_t layer) { return of + net->tensors[2 * layer + 1].offset; }

/* ---- loops ---- */

AL_SIMD static void rectify(float *x, size_t n) {
  for (size_t i = 0; i < n; i++) x[i] = x[i] > 0.0F ? x[i] : x[i] != x[i] ? x[i] : 0.0F; /* NaN stays */
}

AL_SIMD static void multiply(const float *x, const float *y, float *out, size_t n) {
  for (size_t i = 0; i < n; i++) out[i] = x[i] * y[i];
}

/* The gradient of a hidden layer goes no further where the layer is 0. */
AL_SIMD static void gate(const float *h, float *delta, size_t n) {
  for (size_t i = 0; i < n; i++) delta[i] = h[i] > 0.0F ? delta[i] : 0.0F;
}

AL_SIMD static void add_scaled(float factor, const float *x, float *y, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] += factor * x[i];
}

AL_SIMD static void scale(float factor, float *x, size_t n) {
  for (size_t i = 0; i < n; i++) x[i] *= factor;
}

AL_SIMD static double squared_norm(const float *x, size_t n) {
  double sums[AL_LANES] = {0.0}, total = 0.0;
  size_t whole = n - n % AL_LANES;
  for (size_t i = 0; i < whole; i += AL_LANES)
    for (size_t l = 0; l < AL_LANES; l++) sums[l] += (double)x[i + l] * (double)x[i + l];
  for (size_t i = whole; i < n; i++) sums[i - whole] += (double)x[i] * (double)x[i];
  for (size_t l = 0; l < AL_LANES; l++) total += sums[l];
  return total;
}

/* rate: over 1 - beta1^t; root: 1 / sqrt(1 - beta2^t); decay: 1 - rate x weight decay */
AL_SIMD static void adamw(float *p, const float *g, float *first, float *second, size_t n, float rate, float root,
                          float decay, float shrink) {
  for (size_t i = 0; i < n; i++) {
    float gradient = g[i] * shrink;
    float m = 0.9F * first[i] + 0.1F * gradient, v = 0.999F * second[i] + 0.001F * gradient * gradient;
    first[i] = m;
    second[i] = v;
    p[i] = p[i] * decay - rate * m / (sqrtf(v) * root + 1e-8F);
  }
}

AL_SIMD static void sgd(float *p, const float *g, float *momentum, size_t n, float rate, float decay, float shrink) {
  for (size_t i = 0; i < n; i++) {
    float m = 0.9F * momentum[i] + (g[i] * shrink + decay * p[i]);
    momentum[i] = m;
    p[i] -= rate * m;
  }
}

/* out: n x cols, += a (n x inner) b (inner x cols, or its transpose cols x inner) */
static void add_product(const float *a, const float *b, bool transposed, float *out, size_t n, size_t cols,
                        size_t inner) {
  cblas_sgemm(CblasRowMajor, CblasNoTrans, transposed ? CblasTrans : CblasNoTrans, (int)n, (int)cols, (int)inner, 1.0F,
              a, (int)inner, b, (int)(transposed ? inner : cols), 1.0F, out, (int)cols);
}

/* out: rows x cols = a^T (n x rows) b (n x cols) */
static void transposed_product(const float *a, const float *b, float *out, size_t n, size_t rows, size_t cols) {
  cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)rows, (int)cols, (int)n, 1.0F, a, (int)rows, b, (int)cols,
              0.0F, out, (int)cols);
}

static void column_sums(const float *a, size_t n, size_t cols, float *sums) {
  memset(sums, 0, cols * sizeof *sums);
  for (size_t i = 0; i < n; i++) add_scaled(1.0F, a + i * cols, sums, cols);
}

/* ---- sparse inputs ---- */

static void flush(al_torch_net *net) {
  float *w = weight(net, net->values, 0);
  if (net->decayed == 1.0) return;
  for (size_t c = 0; c < net->config.inputs; c++)
    if (!net->shown[c]) scale((float)net->decayed, w + c * net->config.width, net->config.width);
  net->decayed = 1.0;
}

/* Columns of this batch; those of the one before lose their gradients. */
static void show_columns(al_torch_net *net, const al_view *x) {
  size_t width = net->config.width;
  float *w = weight(net, net->values, 0), *g = weight(net, net->gradients, 0);
  for (size_t i = 0; i < net->touched_count; i++) {
    size_t column = (size_t)net->touched[i];
    memset(g + column * width, 0, width * sizeof *g);
    net->in_batch[column] = 0;
  }
  net->touched_count = 0;
  for (size_t i = 0; i < x->rows; i++)
    for (int64_t at = x->begin[i]; at < x->end[i]; at++) {
      size_t column = (size_t)x->indices[at];
      if (net->in_batch[column]) continue;
      net->in_batch[column] = 1;
      net->touched[net->touched_count++] = x->indices[at];
      if (!net->shown[column] && net->decayed != 1.0) scale((float)net->decayed, w + column * width, width);
      net->shown[column] = 1;
    }
}

/* ---- forward, backward ---- */

static al_status make_room(al_torch_net *net, size_t rows) {
  al_status status = AL_OK;
  size_t width = net->config.width, all = net->config.layers * rows * width;
  if (rows <= net->capacity) return AL_OK;
  float **blocks[] = {&net->hidden, &net->keep, &net->passed, &net->delta, &net->below, &net->logits};
  const size_t sizes[] = {all, all, all, rows * width, rows * width, rows * net->config.classes};
  net->capacity = 0;
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    free(*blocks[i]);
    *blocks[i] = NULL;
  }
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) AL_TRY(AL_NEW(blocks[i], sizes[i]));
  net->capacity = rows;
done:
  return status;
}

/* Sixteen bits a unit: dropped with the rate to within 2^-16. */
static void draw_keep(al_torch_net *net, float *keep, size_t n) {
  uint64_t threshold = (uint64_t)lround(net->config.dropout * 65536.0), word = 0;
  float kept = (float)(1.0 / (1.0 - net->config.dropout));
  for (size_t i = 0; i < n; i++) {
    word = i % 4 == 0 ? al_rng_u64(&net->dropout) : word >> 16;
    keep[i] = (word & 0xFFFF) >= threshold ? kept : 0.0F;
  }
}

static float *layer_of(const al_torch_net *net, float *all, size_t layer) {
  return all + layer * net->capacity * net->config.width;
}

static void first_layer(al_torch_net *net, const al_view *x, float *out) {
  size_t width = net->config.width;
  const float *w = weight(net, net->values, 0);
  if (x->kind == AL_VIEW_DENSE) {
    add_product(x->values, w, false, out, x->rows, width, net->config.inputs);
    return;
  }
  for (size_t i = 0; i < x->rows; i++)
    for (int64_t at = x->begin[i]; at < x->end[i]; at++)
      add_scaled(x->values[at], w + (size_t)x->indices[at] * width, out + i * width, width);
}

static void broadcast(const float *row, size_t n, size_t cols, float *out) {
  for (size_t i = 0; i < n; i++) memcpy(out + i * cols, row, cols * sizeof *out);
}

/* Hidden layers and, into net->logits, z. */
static void forward(al_torch_net *net, const al_view *x, bool dropping) {
  const al_mlp_config *c = &net->config;
  size_t n = x->rows, size = n * c->width;
  const float *input = NULL;
  for (size_t l = 0; l < c->layers; l++) {
    float *h = layer_of(net, net->hidden, l), *keep = layer_of(net, net->keep, l);
    float *passed = layer_of(net, net->passed, l);
    broadcast(bias(net, net->values, l), n, c->width, h);
    if (l == 0)
      first_layer(net, x, h);
    else
      add_product(input, weight(net, net->values, l), false, h, n, c->width, c->width);
    rectify(h, size);
    if (dropping) {
      draw_keep(net, keep, size);
      multiply(h, keep, passed, size);
    }
    input = dropping ? passed : h;
  }
  broadcast(bias(net, net->values, c->layers), n, c->classes, net->logits);
  add_product(input, weight(net, net->values, c->layers), true, net->logits, n, c->classes, c->width);
}

/* softmax of a row into p (which may be z), in double; returns ln of the sum of e^z, NaN if a score is. */
static double softmax(const float *z, size_t classes, float *p) {
  double most = (double)z[0], sum = 0.0;
  for (size_t c = 1; c < classes; c++) most = (double)z[c] > most ? (double)z[c] : most;
  for (size_t c = 0; c < classes; c++) sum += exp((double)z[c] - most);
  for (size_t c = 0; c < classes; c++) p[c] = (float)(exp((double)z[c] - most) / sum);
  return most + log(sum);
}

/* Turns z into the gradient of the mean loss, weighted by class; returns that loss. */
static double residuals(al_torch_net *net, const int32_t *labels, size_t n) {
  size_t classes = net->config.classes;
  double loss = 0.0, total = 0.0;
  for (size_t i = 0; i < n; i++) total += net->weighed ? (double)net->class_weights[labels[i]] : 1.0;
  for (size_t i = 0; i < n; i++) {
    float *z = net->logits + i * classes;
    double share = (net->weighed ? (double)net->class_weights[labels[i]] : 1.0) / total, truth = (double)z[labels[i]];
    loss += share * (softmax(z, classes, z) - truth);
    z[labels[i]] -= 1.0F;
    for (size_t c = 0; c < classes; c++) z[c] *= (float)share;
  }
  return loss;
}

static void first_gradient(al_torch_net *net, const al_view *x, const float *delta) {
  size_t width = net->config.width;
  float *g = weight(net, net->gradients, 0);
  if (x->kind == AL_VIEW_DENSE) {
    transposed_product(x->values, delta, g, x->rows, net->config.inputs, width);
    return;
  }
  for (size_t i = 0; i < x->rows; i++)
    for (int64_t at = x->begin[i]; at < x->end[i]; at++)
      add_scaled(x->values[at], delta + i * width, g + (size_t)x->indices[at] * width, width);
}

/* From the gradient of z in net->logits. */
static void backward(al_torch_net *net, const al_view *x, bool dropping) {
  const al_mlp_config *c = &net->config;
  size_t n = x->rows, size = n * c->width;
  float *inputs = dropping ? net->passed : net->hidden;
  transposed_product(net->logits, layer_of(net, inputs, c->layers - 1), weight(net, net->gradients, c->layers), n,
                     c->classes, c->width);
  column_sums(net->logits, n, c->classes, bias(net, net->gradients, c->layers));
  memset(net->delta, 0, size * sizeof *net->delta);
  add_product(net->logits, weight(net, net->values, c->layers), false, net->delta, n, c->width, c->classes);
  for (size_t l = c->layers; l-- > 0;) {
    if (dropping) multiply(net->delta, layer_of(net, net->keep, l), net->delta, size);
    gate(layer_of(net, net->hidden, l), net->delta, size);
    column_sums(net->delta, n, c->width, bias(net, net->gradients, l));
    if (l == 0) break;
    transposed_product(layer_of(net, inputs, l - 1), net->delta, weight(net, net->gradients, l), n, c->width, c->width);
    memset(net->below, 0, size * sizeof *net->below);
    add_product(net->delta, weight(net, net->values, l), true, net->below, n, c->width, c->width);
    float *swap = net->delta;
    net->delta = net->below;
    net->below = swap;
  }
  first_gradient(net, x, net->delta);
}

/* ---- the optimiser ---- */

static double norm_of_gradients(const al_torch_net *net) {
  double squared = 0.0;
  size_t width = net->config.width;
  for (size_t i = net->config.sparse ? 1 : 0; i < net->count; i++)
    squared += squared_norm(net->gradients + net->tensors[i].offset, net->tensors[i].count);
  for (size_t i = 0; i < net->touched_count; i++)
    squared += squared_norm(net->gradients + (size_t)net->touched[i] * width, width); /* the first tensor */
  return sqrt(squared);
}

static void update(al_torch_net *net, size_t offset, size_t n, bool matrix, double rate, float shrink) {
  const al_mlp_config *c = &net->config;
  float *p = net->values + offset, *g = net->gradients + offset, *m = net->first + offset;
  double t = (double)net->steps, decay = matrix ? c->weight_decay : 0.0;
  if (c->sgd)
    sgd(p, g, m, n, (float)rate, (float)decay, shrink);
  else
    adamw(p, g, m, net->second + offset, n, (float)(rate / (1.0 - pow(0.9, t))),
          (float)(1.0 / sqrt(1.0 - pow(0.999, t))), (float)(1.0 - rate * decay), shrink);
}

static void optimise(al_torch_net *net, double rate) {
  const al_mlp_config *c = &net->config;
  float shrink = 1.0F;
  if (c->clip > 0.0) {
    double norm = norm_of_gradients(net);
    if (norm > c->clip) shrink = (float)(c->clip / (norm + 1e-6));
  }
  net->steps++;
  for (size_t i = 0; i < net->count; i++) {
    const tensor *t = &net->tensors[i];
    if (i != 0 || !c->sparse || c->sgd) { /* momentum of SGD sees the decay: all columns move */
      update(net, t->offset, t->count, t->dims == 2, rate, shrink);
      continue;
    }
    for (size_t from = 0, to; from < c->inputs; from = to + 1) { /* runs of shown columns */
      for (to = from; to < c->inputs && net->shown[to]; to++) {
      }
      if (to != from) update(net, t->offset + from * c->width, (to - from) * c->width, true, rate, shrink);
    }
    net->decayed *= 1.0 - rate * c->weight_decay;
  }
}

/* ---- the table ---- */

static size_t tensors_of(const al_torch_net *net) { return net->count; }

static int tensor_at(const al_torch_net *net, size_t which, al_torch_tensor *out) {
  const tensor *t = &net->tensors[which];
  *out = (al_torch_tensor){.name = t->name, .dims = t->dims, .shape = {t->shape[0], t->shape[1]}, .count = t->count};
  return 0;
}

static int set_tensor(al_torch_net *net, size_t which, const float *values) {
  flush(net); /* what was owed is not owed by the new values */
  memcpy(net->values + net->tensors[which].offset, values, net->tensors[which].count * sizeof *values);
  return 0;
}

static int get_tensor(al_torch_net *net, size_t which, float *values) {
  flush(net);
  memcpy(values, net->values + net->tensors[which].offset, net->tensors[which].count * sizeof *values);
  return 0;
}

static int seed_dropout(al_torch_net *net, uint64_t seed) {
  net->dropout = (al_rng){.key = {seed, 0}, .used = 4};
  return 0;
}

static int begin(al_torch_net *net, uint64_t seed) {
  flush(net);
  memset(net->first, 0, net->total * sizeof *net->first);
  if (net->second != NULL) memset(net->second, 0, net->total * sizeof *net->second);
  if (net->shown != NULL) memset(net->shown, 0, net->config.inputs);
  net->steps = 0;
  return seed_dropout(net, seed);
}

static int step(al_torch_net *net, const al_torch_batch *batch, const int32_t *labels, double rate, double *loss) {
  bool dropping = net->config.dropout > 0.0;
  if (make_room(net, batch->n) != AL_OK) return 1;
  if (net->config.sparse) show_columns(net, batch->features);
  forward(net, batch->features, dropping);
  *loss = residuals(net, labels, batch->n);
  backward(net, batch->features, dropping);
  optimise(net, rate);
  return 0;
}

static int weigh(al_torch_net *net, const float *class_weights) {
  net->weighed = class_weights != NULL;
  if (net->weighed) memcpy(net->class_weights, class_weights, net->config.classes * sizeof *class_weights);
  return 0;
}

static int predict(al_torch_net *net, const al_torch_batch *batch, int stochastic, float *probs, float *h) {
  const al_mlp_config *c = &net->config;
  if (make_room(net, batch->n) != AL_OK) return 1;
  flush(net);
  forward(net, batch->features, stochastic != 0 && c->dropout > 0.0);
  if (h != NULL) memcpy(h, layer_of(net, net->hidden, c->layers - 1), batch->n * c->width * sizeof *h);
  for (size_t i = 0; probs != NULL && i < batch->n; i++)
    (void)softmax(net->logits + i * c->classes, c->classes, probs + i * c->classes);
  return 0;
}

static const char *message(void) { return "out of memory"; } /* nothing else fails */

const al_torch_api al_mlp_api = {.free = free_net,
                                 .tensors = tensors_of,
                                 .tensor = tensor_at,
                                 .set = set_tensor,
                                 .get = get_tensor,
                                 .begin = begin,
                                 .step = step,
                                 .weigh = weigh,
                                 .predict = predict,
                                 .seed = seed_dropout,
                                 .message = message,
                                 .name = "mlp"};
