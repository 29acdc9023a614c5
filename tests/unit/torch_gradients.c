/* The hand-written way back against finite differences, and the optimiser against its definition in doubles. Loss
 * differences are the network's own, so a wrong gradient cannot hide behind a wrong forward pass that agrees with it:
 * the forward passes are held against outside values in golden/. */
#include "base/memory.h"
#include "base/rng.h"
#include "torch/al_torch.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { TEXTS = 5, IMAGES = 6, CLASSES = 3, MOST = 64, USED = 50 };

typedef struct {
  const al_torch_api *api;
  al_torch_config config;
  al_torch_batch batch;
  int32_t labels[8];
  const al_torch_pretext *pretext; /* NULL: labels */
  const float *class_weights;      /* CLASSES, or NULL */
  size_t count;                    /* tensors */
  float *values[MOST];             /* starting values of each */
  size_t sizes[MOST];
  bool buffers[MOST];
} problem;

static size_t inner = 48; /* of the feed-forward layer */
static int32_t ids[256];
static int64_t begin[TEXTS + 1];
static uint8_t pixels[IMAGES * 3 * 13 * 11];

static void make_problem(problem *p, int kind, int pooling, const al_torch_pretext *pretext) {
  static const int64_t lengths[TEXTS] = {3, 17, 1, 33, 16};
  al_stream_key key = {.seed = 11, .purpose = "test", .dataset = "gradients"};
  al_rng rng = al_rng_open(&key);
  *p = (problem){.pretext = pretext};
  p->config = (al_torch_config){.kind = kind,
                                .classes = CLASSES,
                                .vocabulary = 60,
                                .positions = 40,
                                .types = 2,
                                .width = 32,
                                .layers = 2,
                                .heads = 2,
                                .inner = inner,
                                .pooling = pooling,
                                .pretext = pretext != NULL,
                                .channels = 3,
                                .stages = 2,
                                .stage_width = 8,
                                .stem = AL_STEM_3X3S2,
                                .mean = {0.5, 0.4, 0.3},
                                .deviation = {0.25, 0.5, 0.3}};
  for (size_t i = 0; i < TEXTS; i++) begin[i + 1] = begin[i] + lengths[i];
  /* rows from USED on of the table are used by nobody */
  for (int64_t i = 0; i < begin[TEXTS]; i++) ids[i] = (int32_t)al_rng_below(&rng, USED);
  for (size_t i = 0; i < sizeof pixels; i++) pixels[i] = (uint8_t)al_rng_below(&rng, 256);
  p->batch = kind == AL_TORCH_BERT ? (al_torch_batch){.n = TEXTS, .ids = ids, .begin = begin}
                                   : (al_torch_batch){.n = IMAGES, .pixels = pixels, .height = 13, .width = 11};
  if (pretext != NULL) p->batch.n = TEXTS - 1; /* pairs */
  for (size_t i = 0; i < p->batch.n; i++) p->labels[i] = (int32_t)(i * 2 % CLASSES);
  assert_int_equal(al_torch_load(&p->api), AL_OK);
  al_torch_net *net = NULL;
  assert_int_equal(p->api->create(&net, &p->config), 0);
  p->count = p->api->tensors(net);
  assert_true(p->count <= MOST);
  for (size_t i = 0; i < p->count; i++) {
    al_torch_tensor tensor;
    assert_int_equal(p->api->tensor(net, i, &tensor), 0);
    p->sizes[i] = tensor.count;
    p->buffers[i] = tensor.buffer;
    assert_int_equal(AL_NEW(&p->values[i], tensor.count), AL_OK);
    bool one = tensor.dims == 1 && (strstr(tensor.name, ".weight") || strstr(tensor.name, "running_var"));
    for (size_t k = 0; k < tensor.count; k++)
      p->values[i][k] = (float)((one ? 1.0 : 0.0) + (tensor.dims > 1 ? 0.35 : 0.1) * al_rng_normal(&rng));
  }
  p->api->free(net);
}

static void free_problem(problem *p) {
  for (size_t i = 0; i < p->count; i++) free(p->values[i]);
}

/* The loss that is differentiated: of labels, or the weighted sum of the self-supervised objectives. */
static double step_once(const problem *p, al_torch_net *net, double rate) {
  double loss = 0.0, losses[3];
  if (p->pretext == NULL) {
    assert_int_equal(p->api->step(net, &p->batch, p->labels, rate, &loss), 0);
    return loss;
  }
  if (p->api->pretrain(net, &p->batch, p->pretext, rate, losses) != 0) fail_msg("%s", p->api->message());
  return p->pretext->mlm * losses[0] + p->pretext->bow * losses[1] + p->pretext->contrastive * losses[2];
}

static al_torch_net *make_net(const problem *p, const al_torch_config *config) {
  al_torch_net *net = NULL;
  assert_int_equal(p->api->create(&net, config), 0);
  for (size_t i = 0; i < p->count; i++) assert_int_equal(p->api->set(net, i, p->values[i]), 0);
  assert_int_equal(p->api->begin(net, 1), 0);
  assert_int_equal(p->api->weigh(net, p->class_weights), 0);
  return net;
}

/* One SGD step of rate 1 from a fresh start moves each parameter by minus its gradient. */
static void gradients_of(const problem *p, float **gradients) {
  al_torch_config config = p->config;
  config.sgd = 1;
  config.weight_decay = config.clip = config.dropout = 0.0;
  al_torch_net *net = make_net(p, &config);
  step_once(p, net, 1.0);
  for (size_t i = 0; i < p->count; i++) {
    assert_int_equal(p->api->get(net, i, gradients[i]), 0);
    for (size_t k = 0; k < p->sizes[i]; k++) gradients[i][k] = p->values[i][k] - gradients[i][k];
  }
  p->api->free(net);
}

static double loss_at(const problem *p, size_t which, const float *direction, double distance) {
  al_torch_config config = p->config;
  config.sgd = 1;
  float *moved = NULL;
  al_torch_net *net = make_net(p, &config);
  assert_int_equal(AL_NEW(&moved, p->sizes[which]), AL_OK);
  for (size_t k = 0; k < p->sizes[which]; k++)
    moved[k] = (float)(p->values[which][k] + distance * (double)direction[k]);
  assert_int_equal(p->api->set(net, which, moved), 0);
  double loss = step_once(p, net, 0.0);
  free(moved);
  p->api->free(net);
  return loss;
}

static void check_weighted(int kind, int pooling, const al_torch_pretext *pretext, const float *weights, size_t least) {
  problem p;
  make_problem(&p, kind, pooling, pretext);
  p.class_weights = weights;
  float *gradients[MOST];
  al_stream_key key = {.seed = 12, .purpose = "test", .dataset = "directions"};
  al_rng rng = al_rng_open(&key);
  size_t checked = 0;
  for (size_t i = 0; i < p.count; i++) assert_int_equal(AL_NEW(&gradients[i], p.sizes[i]), AL_OK);
  gradients_of(&p, gradients);
  for (size_t i = 0; i < p.count; i++) {
    if (p.buffers[i]) continue; /* batch statistics move without a gradient */
    /* half along the gradient, half at random: errors of either kind show */
    double norm = 0.0, slope = 0.0, size = 0.0;
    float *direction = NULL;
    assert_int_equal(AL_NEW(&direction, p.sizes[i]), AL_OK);
    for (size_t k = 0; k < p.sizes[i]; k++) norm += (double)gradients[i][k] * gradients[i][k];
    norm = sqrt(norm);
    for (size_t k = 0; k < p.sizes[i]; k++) {
      direction[k] =
          (float)((norm > 0.0 ? gradients[i][k] / norm : 0.0) + al_rng_normal(&rng) / sqrt((double)p.sizes[i]));
      slope += (double)direction[k] * gradients[i][k];
      size += (double)direction[k] * direction[k];
    }
    const double step = kind == AL_TORCH_RESNET ? 5e-4 : 4e-3; /* few ReLUs change side within it */
    double found = (loss_at(&p, i, direction, step) - loss_at(&p, i, direction, -step)) / (2.0 * step);
    assert_float_equal(found, slope, 2e-4 + 5e-3 * fabs(slope) + 2e-3 * norm * sqrt(size));
    checked += norm > 1e-3;
    free(direction);
  }
  assert_true(checked >= least); /* most tensors have a gradient to be wrong about */
  for (size_t i = 0; i < p.count; i++) free(gradients[i]);
  free_problem(&p);
}

static void check_gradients(int kind, int pooling, const al_torch_pretext *pretext, size_t least) {
  check_weighted(kind, pooling, pretext, NULL, least);
}

static const float uneven[CLASSES] = {0.4F, 2.5F, 1.3F};

/* Weighted classes: gradients, and the loss itself from the probabilities that predict gives (no dropout, no batch
 * norm in a BERT). */
static void weighted(void **state) {
  (void)state;
  check_weighted(AL_TORCH_BERT, AL_POOL_CLS, NULL, uneven, 12);
  check_weighted(AL_TORCH_RESNET, AL_POOL_CLS, NULL, uneven, 12);
  problem p;
  make_problem(&p, AL_TORCH_BERT, AL_POOL_MEAN, NULL);
  p.class_weights = uneven;
  float probs[TEXTS * CLASSES];
  al_torch_net *net = make_net(&p, &p.config);
  assert_int_equal(p.api->predict(net, &p.batch, 0, probs, NULL), 0);
  double sum = 0.0, total = 0.0;
  for (size_t i = 0; i < TEXTS; i++) {
    sum -= (double)uneven[p.labels[i]] * log((double)probs[i * CLASSES + (size_t)p.labels[i]]);
    total += (double)uneven[p.labels[i]];
  }
  assert_float_equal(step_once(&p, net, 0.0), sum / total, 1e-5);
  p.api->free(net);
  free_problem(&p);
}

/* Two parts with their shares move every parameter as one batch does, over several steps of either optimiser. */
static void parts(void **state) {
  (void)state;
  for (int sgd = 0; sgd < 2; sgd++)
    for (int heavy = 0; heavy < 2; heavy++) {
      problem p;
      make_problem(&p, AL_TORCH_BERT, AL_POOL_CLS, NULL);
      p.class_weights = heavy ? uneven : NULL;
      al_torch_config config = p.config;
      config.sgd = sgd;
      config.clip = 1.0;
      config.weight_decay = 0.1;
      al_torch_net *whole = make_net(&p, &config), *parted = make_net(&p, &config);
      double weight[2] = {0.0, 0.0}, loss, part_loss;
      for (size_t i = 0; i < TEXTS; i++) weight[i >= 2] += heavy ? (double)uneven[p.labels[i]] : 1.0;
      int64_t later[TEXTS - 1]; /* offsets of texts 2 .. 4 from 0 */
      for (size_t i = 0; i < TEXTS - 1; i++) later[i] = begin[2 + i] - begin[2];
      for (int step = 0; step < 3; step++) {
        const double rate = sgd ? 0.05 : 0.003;
        al_torch_batch part = {.n = 2, .ids = ids, .begin = begin};
        double sum = 0.0;
        assert_int_equal(p.api->step(whole, &p.batch, p.labels, rate, &loss), 0);
        assert_int_equal(p.api->accumulate(parted, &part, p.labels, weight[0] / (weight[0] + weight[1]), &part_loss),
                         0);
        sum += part_loss * weight[0] / (weight[0] + weight[1]);
        part = (al_torch_batch){.n = TEXTS - 2, .ids = ids + begin[2], .begin = later};
        assert_int_equal(
            p.api->accumulate(parted, &part, p.labels + 2, weight[1] / (weight[0] + weight[1]), &part_loss), 0);
        sum += part_loss * weight[1] / (weight[0] + weight[1]);
        assert_int_equal(p.api->update(parted, rate), 0);
        assert_float_equal(sum, loss, 1e-5);
      }
      bool moved = false;
      for (size_t i = 0; i < p.count; i++) {
        float *a = NULL, *b = NULL;
        assert_int_equal(AL_NEW(&a, p.sizes[i]), AL_OK);
        assert_int_equal(AL_NEW(&b, p.sizes[i]), AL_OK);
        assert_int_equal(p.api->get(whole, i, a), 0);
        assert_int_equal(p.api->get(parted, i, b), 0);
        /* Adam divides by the root of a square: where a gradient is all but 0, its sign is rounding's */
        for (size_t k = 0; k < p.sizes[i]; k++) {
          assert_float_equal(a[k], b[k], sgd ? 2e-5 : 3e-3);
          moved |= fabsf(a[k] - p.values[i][k]) > 1e-3F;
        }
        free(a);
        free(b);
      }
      assert_true(moved);
      p.api->free(whole);
      p.api->free(parted);
      free_problem(&p);
    }
}

static void bert_cls(void **state) { (void)state, check_gradients(AL_TORCH_BERT, AL_POOL_CLS, NULL, 12); }
static void bert_mean(void **state) { (void)state, check_gradients(AL_TORCH_BERT, AL_POOL_MEAN, NULL, 12); }
static void bert_pooler(void **state) { (void)state, check_gradients(AL_TORCH_BERT, AL_POOL_POOLER, NULL, 12); }
/* A file may say any shape: with a feed-forward layer narrower than the network its gradient once overran its room. */
static void bert_narrow(void **state) {
  (void)state;
  inner = 16;
  check_gradients(AL_TORCH_BERT, AL_POOL_MEAN, NULL, 12);
  inner = 48;
}
static void resnet(void **state) { (void)state, check_gradients(AL_TORCH_RESNET, AL_POOL_CLS, NULL, 12); }

/* Masked words, bags of words and pairs of segments, each alone and together; words of the candidates that the batch
 * does not hold included. */
static void pretext(void **state) {
  (void)state;
  static const int32_t candidates[] = {3, 55, 7, 12, 48, 1, 30, 59, 22}, targets[] = {1, 0, 8, 4},
                       bag[] = {0, 2, 5, 7, 1};
  static const int64_t positions[] = {1, 5, 19, 40}, bag_begin[] = {0, 2, 3, 4, 5};
  static const float shares[] = {0.25F, 0.75F, 1.0F, 1.0F, 1.0F};
  al_torch_pretext all = {.temperature = 0.3,
                          .candidate_count = 9,
                          .candidates = candidates,
                          .masked = 4,
                          .positions = positions,
                          .targets = targets,
                          .bag_begin = bag_begin,
                          .bag = bag,
                          .shares = shares};
  static const double weights[4][3] = {{1.0, 0.0, 0.0}, {0.0, 1.0, 0.0}, {0.0, 0.0, 1.0}, {0.7, 1.3, 0.4}};
  for (size_t i = 0; i < 4; i++) {
    all.mlm = weights[i][0];
    all.bow = weights[i][1];
    all.contrastive = weights[i][2];
    check_gradients(AL_TORCH_BERT, AL_POOL_CLS, &all, 12);
  }
}

/* Losses of a network that is zero but for what the expected values need: uniform words have ln V, and equal texts are
 * told apart at random among n - 1. */
static void pretext_of_nothing(void **state) {
  (void)state;
  static const int32_t candidates[] = {3, 55, 7}, targets[] = {1}, bag[] = {0, 2, 1, 1, 1};
  static const int64_t positions[] = {1}, bag_begin[] = {0, 2, 3, 4, 5};
  static const float shares[] = {0.5F, 0.5F, 1.0F, 1.0F, 1.0F};
  const al_torch_pretext all = {.mlm = 1,
                                .bow = 1,
                                .contrastive = 1,
                                .temperature = 0.3,
                                .candidate_count = 3,
                                .candidates = candidates,
                                .masked = 1,
                                .positions = positions,
                                .targets = targets,
                                .bag_begin = bag_begin,
                                .bag = bag,
                                .shares = shares};
  problem p;
  double losses[3];
  make_problem(&p, AL_TORCH_BERT, AL_POOL_CLS, &all);
  for (size_t i = 0; i < p.count; i++) memset(p.values[i], 0, p.sizes[i] * sizeof(float));
  al_torch_net *net = make_net(&p, &p.config);
  assert_int_equal(p.api->pretrain(net, &p.batch, &all, 0.0, losses), 0);
  assert_float_equal(losses[0], log(3.0), 1e-6);
  assert_float_equal(losses[1], log(3.0), 1e-6);
  assert_float_equal(losses[2], log(3.0), 1e-6); /* four texts */
  p.api->free(net);
  free_problem(&p);
}

/* Three steps of AdamW (Loshchilov and Hutter 2019) with clipping, in doubles, unused rows of the table included. */
static void adamw(void **state) {
  (void)state;
  problem p;
  make_problem(&p, AL_TORCH_BERT, AL_POOL_CLS, NULL);
  p.config.weight_decay = 0.3;
  p.config.clip = 0.7;
  al_torch_net *net = make_net(&p, &p.config);
  float *gradients[MOST], *got = NULL;
  double *m[MOST], *v[MOST];
  const double rates[3] = {0.02, 0.05, 0.01};
  for (size_t i = 0; i < p.count; i++) {
    assert_int_equal(AL_NEW(&gradients[i], p.sizes[i]), AL_OK);
    assert_int_equal(AL_NEW(&m[i], p.sizes[i]), AL_OK);
    assert_int_equal(AL_NEW(&v[i], p.sizes[i]), AL_OK);
  }
  for (int t = 1; t <= 3; t++) {
    double squared = 0.0, loss, worst = 0.0;
    gradients_of(&p, gradients);
    for (size_t i = 0; i < p.count; i++)
      for (size_t k = 0; k < p.sizes[i]; k++) squared += (double)gradients[i][k] * gradients[i][k];
    double shrink = squared > 0.49 ? 0.7 / sqrt(squared) : 1.0;
    assert_true(shrink < 1.0); /* the clip is at work */
    assert_int_equal(p.api->step(net, &p.batch, p.labels, rates[t - 1], &loss), 0);
    for (size_t i = 0; i < p.count; i++) {
      al_torch_tensor tensor;
      assert_int_equal(p.api->tensor(net, i, &tensor), 0);
      if (strncmp(tensor.name, "pooler.", 7) == 0) continue; /* not used, not trained */
      assert_int_equal(AL_NEW(&got, p.sizes[i]), AL_OK);
      assert_int_equal(p.api->get(net, i, got), 0);
      for (size_t k = 0; k < p.sizes[i]; k++) {
        double g = shrink * gradients[i][k], decay = tensor.dims > 1 ? 1.0 - rates[t - 1] * 0.3 : 1.0;
        m[i][k] = 0.9 * m[i][k] + 0.1 * g;
        v[i][k] = 0.999 * v[i][k] + 0.001 * g * g;
        double wanted = p.values[i][k] * decay -
                        rates[t - 1] * (m[i][k] / (1.0 - pow(0.9, t))) / (sqrt(v[i][k] / (1.0 - pow(0.999, t))) + 1e-8);
        /* where the gradient is rounding noise its sign is, too; rows that nobody uses have none and only decay */
        if (fabs(g) > 1e-5 || (i == 0 && k >= USED * p.config.width)) worst = fmax(worst, fabs(wanted - got[k]));
        p.values[i][k] = got[k];
      }
      free(got);
    }
    assert_true(worst < 1e-5);
  }
  for (size_t i = 0; i < p.count; i++) {
    free(gradients[i]);
    free(m[i]);
    free(v[i]);
  }
  p.api->free(net);
  free_problem(&p);
}

/* Bad calls are refused by name, not by a crash. */
static void refusals(void **state) {
  (void)state;
  problem p;
  make_problem(&p, AL_TORCH_BERT, AL_POOL_CLS, NULL);
  al_torch_net *net = make_net(&p, &p.config), *none = NULL;
  double loss;
  int32_t bad[2] = {3, 60}, outside[1] = {CLASSES};
  int64_t one[2] = {0, 2}, empty[2] = {0, 0};
  al_torch_batch batch = {.n = 1, .ids = bad, .begin = one};
  assert_int_not_equal(p.api->predict(net, &batch, 0, NULL, NULL), 0);
  assert_non_null(strstr(p.api->message(), "vocabulary"));
  batch.begin = empty;
  assert_int_not_equal(p.api->predict(net, &batch, 0, NULL, NULL), 0);
  assert_non_null(strstr(p.api->message(), "empty"));
  bad[1] = 4;
  batch.begin = one;
  assert_int_not_equal(p.api->step(net, &batch, outside, 0.1, &loss), 0);
  assert_non_null(strstr(p.api->message(), "classes"));
  al_torch_config config = p.config;
  config.heads = 3;
  assert_int_not_equal(p.api->create(&none, &config), 0);
  assert_null(none);
  p.api->free(net);
  free_problem(&p);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(bert_cls),    cmocka_unit_test(bert_mean), cmocka_unit_test(bert_pooler),
      cmocka_unit_test(bert_narrow), cmocka_unit_test(resnet),    cmocka_unit_test(adamw),
      cmocka_unit_test(refusals),    cmocka_unit_test(pretext),   cmocka_unit_test(pretext_of_nothing),
      cmocka_unit_test(weighted),    cmocka_unit_test(parts),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
