/* The multilayer perceptron that tells U from L as in Gissin and Shalev-Shwartz's experiments. Small, so it is trained
 * here in doubles on one thread: the same draws give the same weights. */
#include "strategy/discriminator.h"

#include "base/memory.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LAYERS = 4, BATCH = 128, WIDE = 256, NARROW = 20, NARROW_BELOW = 30, POOL_PER_LABEL = 10 };

static const double enough = 0.98; /* accuracy that ends training: beyond it all of U would look alike */

typedef struct {
  size_t width[LAYERS + 1];                      /* D, hidden, hidden, hidden, 2 */
  size_t weights[LAYERS], biases[LAYERS], count; /* offsets: weights width[l] x width[l + 1] row-major, then biases */
  double *value, *gradient, *mean, *square;      /* count: parameters, and Adam's two moments */
  double *unit[LAYERS + 1];                      /* BATCH x width[l]: inputs, rectified units, scores */
  double *fault[LAYERS + 1];                     /* BATCH x width[l]: the loss's derivative by them */
} network;

static al_status network_new(network *net, size_t cols, al_rng *rng) {
  al_status status = AL_OK;
  size_t hidden = cols < NARROW_BELOW ? NARROW : WIDE;
  for (size_t l = 0; l <= LAYERS; l++) net->width[l] = l == 0 ? cols : l < LAYERS ? hidden : 2;
  for (size_t l = 0; l < LAYERS; l++) {
    net->weights[l] = net->count;
    net->biases[l] = net->weights[l] + net->width[l] * net->width[l + 1];
    net->count = net->biases[l] + net->width[l + 1];
  }
  AL_TRY(AL_NEW(&net->value, net->count));
  AL_TRY(AL_NEW(&net->gradient, net->count));
  AL_TRY(AL_NEW(&net->mean, net->count));
  AL_TRY(AL_NEW(&net->square, net->count));
  for (size_t l = 0; l <= LAYERS; l++) {
    AL_TRY(AL_NEW(&net->unit[l], BATCH * net->width[l]));
    AL_TRY(AL_NEW(&net->fault[l], BATCH * net->width[l]));
  }
  for (size_t l = 0; l < LAYERS; l++) { /* Glorot's uniform weights, biases 0 */
    double reach = sqrt(6.0 / (double)(net->width[l] + net->width[l + 1]));
    for (size_t i = net->weights[l]; i < net->biases[l]; i++) net->value[i] = reach * (2.0 * al_rng_uniform(rng) - 1.0);
  }
done:
  return status;
}

static void network_free(network *net) {
  free(net->value);
  free(net->gradient);
  free(net->mean);
  free(net->square);
  for (size_t l = 0; l <= LAYERS; l++) {
    free(net->unit[l]);
    free(net->fault[l]);
  }
}

/* unit[0] holds n inputs; fills the others. */
static void forward(network *net, size_t n) {
  for (size_t l = 0; l < LAYERS; l++) {
    int in = (int)net->width[l], out = (int)net->width[l + 1];
    double *to = net->unit[l + 1];
    for (size_t i = 0; i < n; i++) memcpy(to + i * (size_t)out, net->value + net->biases[l], (size_t)out * sizeof *to);
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)n, out, in, 1.0, net->unit[l], in,
                net->value + net->weights[l], out, 1.0, to, out);
    for (size_t i = 0; l + 1 < LAYERS && i < n * (size_t)out; i++) to[i] = to[i] > 0.0 ? to[i] : 0.0;
  }
}

/* Gradient of the mean cross-entropy from fault[LAYERS]. */
static void backward(network *net, size_t n) {
  for (size_t l = LAYERS; l-- > 0;) {
    int in = (int)net->width[l], out = (int)net->width[l + 1];
    const double *fault = net->fault[l + 1];
    double *biases = net->gradient + net->biases[l];
    cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, in, out, (int)n, 1.0, net->unit[l], in, fault, out, 0.0,
                net->gradient + net->weights[l], out);
    memset(biases, 0, (size_t)out * sizeof *biases);
    for (size_t i = 0; i < n; i++) cblas_daxpy(out, 1.0, fault + i * (size_t)out, 1, biases, 1);
    if (l == 0) break;
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)n, in, out, 1.0, fault, out, net->value + net->weights[l],
                out, 0.0, net->fault[l], in);
    for (size_t i = 0; i < n * (size_t)in; i++)
      if (net->unit[l][i] <= 0.0) net->fault[l][i] = 0.0;
  }
}

static void adam(network *net, double learning_rate, size_t steps) {
  const double first = 0.9, second = 0.999, small = 1e-7;
  double rate = learning_rate * sqrt(1.0 - pow(second, (double)steps)) / (1.0 - pow(first, (double)steps));
  for (size_t i = 0; i < net->count; i++) {
    double g = net->gradient[i];
    net->mean[i] = first * net->mean[i] + (1.0 - first) * g;
    net->square[i] = second * net->square[i] + (1.0 - second) * g * g;
    net->value[i] -= rate * net->mean[i] / (sqrt(net->square[i]) + small);
  }
}

/* The log of the odds of being unlabelled, of item i of the batch. */
static double odds(const network *net, size_t i) { return net->unit[LAYERS][2 * i + 1] - net->unit[LAYERS][2 * i]; }

/* One pass over the training set in the order given; returns the accuracy met on the way. x: n x D; unlabelled: n */
static double train_epoch(network *net, const double *x, const bool *unlabelled, const int32_t *order, size_t n,
                          double learning_rate, size_t *steps) {
  size_t right = 0, cols = net->width[0];
  for (size_t first = 0; first < n; first += BATCH) {
    size_t size = n - first < BATCH ? n - first : BATCH;
    for (size_t i = 0; i < size; i++)
      memcpy(net->unit[0] + i * cols, x + (size_t)order[first + i] * cols, cols * sizeof *x);
    forward(net, size);
    for (size_t i = 0; i < size; i++) {
      bool wanted = unlabelled[order[first + i]];
      double f = odds(net, i), p = 1.0 / (1.0 + exp(-f));
      right += wanted == (f > 0.0);
      net->fault[LAYERS][2 * i + 1] = (p - (wanted ? 1.0 : 0.0)) / (double)size;
      net->fault[LAYERS][2 * i] = -net->fault[LAYERS][2 * i + 1];
    }
    backward(net, size);
    adam(net, learning_rate, ++*steps);
  }
  return (double)right / (double)n;
}

static void to_doubles(const al_view *view, size_t row, double *out) {
  for (size_t c = 0; c < view->cols; c++) out[c] = (double)view->values[row * view->cols + c];
}

typedef struct {
  double *x;                  /* n x D */
  bool *unlabelled;           /* n */
  int32_t *order, *positions; /* n, |U| */
  size_t n;
} training;

/* L, the picks in pool order, then the drawn items of U. */
static al_status gather(training *t, const al_sides *sides, al_rng *rng) {
  al_status status;
  size_t left = 0, cols = sides->pool->cols, at = 0;
  AL_TRY(AL_NEW(&t->positions, sides->pool->rows));
  for (size_t pos = 0; pos < sides->pool->rows; pos++)
    if (!sides->picked[pos]) t->positions[left++] = (int32_t)pos;
  size_t labelled = sides->labelled->rows + sides->pool->rows - left;
  size_t drawn = left < POOL_PER_LABEL * labelled ? left : POOL_PER_LABEL * labelled;
  al_rng_sample(rng, t->positions, left, drawn);
  t->n = labelled + drawn;
  AL_TRY(AL_NEW(&t->x, t->n * cols));
  AL_TRY(AL_NEW(&t->unlabelled, t->n));
  AL_TRY(AL_NEW(&t->order, t->n));
  for (size_t i = 0; i < sides->labelled->rows; i++) to_doubles(sides->labelled, i, t->x + cols * at++);
  for (size_t pos = 0; pos < sides->pool->rows; pos++)
    if (sides->picked[pos]) to_doubles(sides->pool, pos, t->x + cols * at++);
  for (size_t i = 0; i < drawn; i++) {
    t->unlabelled[at] = true;
    to_doubles(sides->pool, (size_t)t->positions[i], t->x + cols * at++);
  }
  for (size_t i = 0; i < t->n; i++) t->order[i] = (int32_t)i;
done:
  return status;
}

al_status al_perceptron_score(const al_sides *sides, size_t epochs, double learning_rate, al_rng rng, double *score) {
  al_status status;
  network net = {0};
  training t = {0};
  size_t steps = 0, cols = sides->pool->cols;
  AL_TRY(gather(&t, sides, &rng));
  AL_TRY(network_new(&net, cols, &rng));
  for (size_t epoch = 0; epoch < epochs; epoch++) {
    al_rng_shuffle(&rng, t.order, t.n);
    if (train_epoch(&net, t.x, t.unlabelled, t.order, t.n, learning_rate, &steps) > enough) break;
  }
  for (size_t first = 0; first < sides->pool->rows; first += BATCH) {
    size_t size = sides->pool->rows - first < BATCH ? sides->pool->rows - first : BATCH;
    for (size_t i = 0; i < size; i++) to_doubles(sides->pool, first + i, net.unit[0] + i * cols);
    forward(&net, size);
    for (size_t i = 0; i < size; i++) score[first + i] = odds(&net, i);
  }
done:
  network_free(&net);
  free(t.x);
  free(t.unlabelled);
  free(t.order);
  free(t.positions);
  return status;
}
