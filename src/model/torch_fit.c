/* Fitting a network: order, schedule, early stopping, the head before the rest, warm starts, ensembles, bootstrap.
 *
 * A fit is a function of rows, labels, hold-out and streams, and with `start: warm` of the weights before. What follows
 * the last fit (predictions for out-of-fold errors, members of an ensemble or bootstrap) leaves the network as that fit
 * left it. */
#include "model/resample.h"
#include "model/torch_train.h"

#include "base/memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

enum { BUCKET_BATCHES = 32 };
static const char checkpoint_magic[16] = "alab fit 1\n";

/* ---- all tensors at once ---- */

al_status al_trainer_weights(al_trainer *t, float **values, size_t *count) {
  al_status status = AL_OK;
  size_t total = 0, at = 0;
  al_torch_tensor tensor;
  for (size_t i = 0; i < t->api->tensors(t->net); i++) {
    AL_TRY(al_torch_check(t->api, t->api->tensor(t->net, i, &tensor), "tensor"));
    total += tensor.count;
  }
  if (*values == NULL) AL_TRY(AL_NEW(values, total));
  for (size_t i = 0; i < t->api->tensors(t->net); i++, at += tensor.count) {
    AL_TRY(al_torch_check(t->api, t->api->tensor(t->net, i, &tensor), "tensor"));
    AL_TRY(al_torch_check(t->api, t->api->get(t->net, i, *values + at), "reading a tensor"));
  }
  if (count != NULL) *count = total;
done:
  return status;
}

al_status al_trainer_put(al_trainer *t, const float *values) {
  al_status status = AL_OK;
  size_t at = 0;
  for (size_t i = 0; i < t->api->tensors(t->net); i++) {
    al_torch_tensor tensor;
    AL_TRY(al_torch_check(t->api, t->api->tensor(t->net, i, &tensor), "tensor"));
    AL_TRY(al_torch_check(t->api, t->api->set(t->net, i, values + at), "setting a tensor"));
    at += tensor.count;
  }
done:
  return status;
}

/* ---- the head first ---- */

static al_status put_head(al_trainer *t, const float *weights, const float *bias) {
  al_status status = AL_OK;
  for (size_t i = 0; i < t->api->tensors(t->net); i++) {
    al_torch_tensor tensor;
    AL_TRY(al_torch_check(t->api, t->api->tensor(t->net, i, &tensor), "tensor"));
    if (strncmp(tensor.name, t->head, strlen(t->head)) != 0) continue;
    const float *values = strcmp(tensor.name + strlen(t->head), "weight") == 0 ? weights : bias;
    AL_TRY(al_torch_check(t->api, t->api->set(t->net, i, values), "setting the last layer"));
  }
done:
  return status;
}

/* Columns of h minus their mean over their deviation, in place; a constant column becomes 0. */
static void standardise(float *h, size_t n, size_t width, double *mean, double *deviation) {
  for (size_t d = 0; d < width; d++) {
    mean[d] = deviation[d] = 0.0;
    for (size_t i = 0; i < n; i++) mean[d] += (double)h[i * width + d] / (double)n;
    for (size_t i = 0; i < n; i++) deviation[d] += pow((double)h[i * width + d] - mean[d], 2.0) / (double)n;
    deviation[d] = sqrt(deviation[d]);
    if (deviation[d] < 1e-6 * (1.0 + fabs(mean[d]))) deviation[d] = INFINITY;
    for (size_t i = 0; i < n; i++) h[i * width + d] = (float)(((double)h[i * width + d] - mean[d]) / deviation[d]);
  }
}

/* The last layer at the optimum of softmax regression (l2 1) on the standardised h that the start gives, as `linear`
 * has it on frozen features; the standardisation is folded into W and b. A class without a label keeps the weights it
 * starts with, and the least intercept of the others. */
static al_status fit_head(al_trainer *t, const al_training *training) {
  al_status status;
  al_softmax *softmax = NULL;
  al_subset storage = {0};
  al_view h;
  float *weights = NULL, *bias = NULL;
  double *mean = NULL, *deviation = NULL;
  const float *w, *b;
  size_t classes = t->classes, width = t->width;
  float least = INFINITY;
  AL_TRY(AL_NEW(&weights, classes * width));
  AL_TRY(AL_NEW(&bias, classes));
  AL_TRY(AL_NEW(&mean, width));
  AL_TRY(AL_NEW(&deviation, width));
  AL_TRY(al_trainer_predict(t, training->rows, training->n, &(al_prediction){.h = &h, .subset = &storage}));
  standardise(storage.values, training->n, width, mean, deviation);
  AL_TRY(al_softmax_fit(&softmax, &h, training->classes, classes, 1.0));
  AL_TRY(al_softmax_head(softmax, &w, &b));
  AL_TRY(al_trainer_head(t, weights, bias));
  for (size_t c = 0; c < classes; c++) {
    double shift = 0.0;
    if (b[c] <= -1e29F) continue;
    for (size_t d = 0; d < width; d++) {
      double folded = (double)w[c * width + d] / deviation[d];
      weights[c * width + d] = (float)folded;
      shift += folded * mean[d];
    }
    bias[c] = (float)((double)b[c] - shift);
    least = bias[c] < least ? bias[c] : least;
  }
  for (size_t c = 0; c < classes; c++)
    if (b[c] <= -1e29F) bias[c] = least;
  AL_TRY(put_head(t, weights, bias));
done:
  al_softmax_free(softmax);
  al_subset_free(&storage);
  free(weights);
  free(bias);
  free(mean);
  free(deviation);
  return status;
}

/* ---- one pass over the training set ---- */

/* n / (k n_c) for the k classes that there are; 0 for the others, which no row has. */
static al_status weigh_classes(al_trainer *t, const al_training *training) {
  float *weights = NULL;
  size_t *count = NULL, present = 0;
  al_status status = AL_OK;
  if (!t->balanced) return al_torch_check(t->api, t->api->weigh(t->net, NULL), "weighing classes");
  AL_TRY(AL_NEW(&weights, t->classes));
  AL_TRY(AL_NEW(&count, t->classes));
  for (size_t i = 0; i < training->n; i++) present += count[training->classes[i]]++ == 0;
  for (size_t c = 0; c < t->classes; c++)
    weights[c] = count[c] == 0 ? 0.0F : (float)((double)training->n / ((double)present * (double)count[c]));
  AL_TRY(al_torch_check(t->api, t->api->weigh(t->net, weights), "weighing classes"));
  memcpy(t->class_weights, weights, t->classes * sizeof *weights);
done:
  free(weights);
  free(count);
  return status;
}

typedef struct {
  int64_t length;
  int32_t item;
  size_t at; /* in the shuffled order: what breaks ties */
} placed;

static int by_length(const void *a, const void *b) {
  const placed *x = a, *y = b;
  if (x->length != y->length) return x->length < y->length ? -1 : 1;
  return x->at < y->at ? -1 : x->at > y->at;
}

/* Sorts runs of BUCKET_BATCHES batches of a shuffled order by length, so that a batch holds texts of like length. */
static al_status bucket(const al_trainer *t, const al_training *training, int32_t *order, size_t size) {
  placed *run = NULL;
  size_t most = BUCKET_BATCHES * size;
  al_status status = AL_NEW(&run, most);
  if (status != AL_OK) return status;
  for (size_t first = 0; first < training->n; first += most) {
    size_t n = training->n - first < most ? training->n - first : most;
    for (size_t i = 0; i < n; i++) {
      int32_t row = training->rows[order[first + i]];
      run[i] = (placed){t->length_begin[row + 1] - t->length_begin[row], order[first + i], i};
    }
    qsort(run, n, sizeof *run, by_length);
    for (size_t i = 0; i < n; i++) order[first + i] = run[i].item;
  }
  free(run);
  return AL_OK;
}

typedef struct {
  const al_training *training;
  al_rng rng, augment;
  int32_t *order, *visit, *rows, *labels;
  size_t size, batches, steps, step;
} pass;

static double weight_of(const al_trainer *t, int32_t class) {
  return t->balanced ? (double)t->class_weights[class] : 1.0;
}

/* One optimiser step on rows[0 .. n-1], in parts when micro_batch says so; a last part of one joins the one before. */
static al_status step_on(al_trainer *t, const pass *p, size_t n, double rate, double *loss) {
  al_status status = AL_OK;
  size_t part = t->micro_batch == 0 || t->micro_batch >= n ? n : t->micro_batch;
  double whole = 0.0;
  al_torch_batch batch = {0};
  if (part == n) {
    AL_TRY(t->fill(t->context, p->rows, n, &batch));
    AL_TRY(al_torch_check(t->api, t->api->step(t->net, &batch, p->labels, rate, loss), "a training step"));
    goto done;
  }
  for (size_t i = 0; i < n; i++) whole += weight_of(t, p->labels[i]);
  *loss = 0.0;
  for (size_t from = 0, to; from < n; from = to) {
    double share = 0.0, own = 0.0;
    to = from + part + 1 >= n ? n : from + part;
    for (size_t i = from; i < to; i++) share += weight_of(t, p->labels[i]) / whole;
    AL_TRY(t->fill(t->context, p->rows + from, to - from, &batch));
    AL_TRY(al_torch_check(t->api, t->api->accumulate(t->net, &batch, p->labels + from, share, &own),
                          "a part of a training step"));
    *loss += share * own;
  }
  AL_TRY(al_torch_check(t->api, t->api->update(t->net, rate), "a training step"));
done:
  return status;
}

/* Warm-up from 0, then constant or linearly to 0. step counts from 0. */
static double rate_at(const al_trainer *t, size_t step, size_t steps) {
  double warm = t->warmup * (double)steps, at = (double)step + 1.0;
  if (at < warm) return t->rate * at / warm;
  if (!t->linear_schedule) return t->rate;
  return t->rate * fmax(0.0, ((double)steps - (double)step) / fmax(1.0, (double)steps - warm));
}

static al_status run_pass(al_trainer *t, pass *p) {
  al_status status = AL_OK;
  size_t n = p->training->n;
  al_rng_shuffle(&p->rng, p->order, n);
  for (size_t b = 0; b < p->batches; b++) p->visit[b] = (int32_t)b;
  if (t->buckets) {
    AL_TRY(bucket(t, p->training, p->order, p->size));
    al_rng_shuffle(&p->rng, p->visit, p->batches);
  }
  for (size_t at = 0; at < p->batches && p->step < p->steps; at++, p->step++) {
    size_t b = (size_t)p->visit[at], from = b * p->size, to = b + 1 == p->batches ? n : from + p->size;
    double loss = 0.0;
    for (size_t i = from; i < to; i++) {
      p->rows[i - from] = p->training->rows[p->order[i]];
      p->labels[i - from] = p->training->classes[p->order[i]];
    }
    AL_TRY(step_on(t, p, to - from, rate_at(t, p->step, p->steps), &loss));
    if (!isfinite(loss)) {
      status = al_fail(AL_ENVIRONMENT, "training diverged at step %zu; lower train.lr", p->step);
      goto done;
    }
  }
done:
  return status;
}

static al_status holdout_loss(al_trainer *t, const al_training *training, float *probs, double *loss) {
  al_rng *augment = t->augmenting;
  t->augmenting = NULL; /* a prediction sees the image as it is */
  al_status status = al_trainer_predict(t, training->holdout_rows, training->holdout, &(al_prediction){.probs = probs});
  t->augmenting = augment;
  *loss = 0.0;
  for (size_t i = 0; i < training->holdout; i++) {
    double q = (double)probs[i * t->classes + (size_t)training->holdout_classes[i]];
    *loss -= log(q < 1e-12 ? 1e-12 : q) / (double)training->holdout;
  }
  return status;
}

/* ---- a fit ---- */

/* From the network's present weights. member: keys the streams beside training->member. */
static al_status train(al_trainer *t, const al_training *training, uint32_t member) {
  al_status status;
  size_t n = training->n;
  pass p = {.training = training, .size = t->batch_size < n ? t->batch_size : n};
  float *best = NULL, *probs = NULL;
  double least = INFINITY, loss;
  /* a last batch of one joins the one before: batch norm has no variance of one */
  p.batches = (n + p.size - 1) / p.size;
  if (p.batches > 1 && n % p.size == 1) p.batches--;
  p.steps = t->steps != 0 ? t->steps : t->epochs * p.batches;
  p.rng = al_trainer_stream(t, "fit", training->round, training->member + member);
  p.augment = al_rng_child(&p.rng, 0);
  AL_TRY(AL_NEW(&p.order, n));
  AL_TRY(AL_NEW(&p.visit, p.batches));
  AL_TRY(AL_NEW(&p.rows, p.size + 1));
  AL_TRY(AL_NEW(&p.labels, p.size + 1));
  AL_TRY(weigh_classes(t, training));
  AL_TRY(al_torch_check(t->api, t->api->begin(t->net, al_rng_u64(&p.rng)), "beginning a fit"));
  bool stops = t->patience != 0 && training->holdout != 0;
  if (stops) AL_TRY(AL_NEW(&probs, training->holdout * t->classes));
  t->augmenting = t->augment ? &p.augment : NULL;
  t->passes_run = t->best_pass = 0;
  for (size_t i = 0; i < n; i++) p.order[i] = (int32_t)i;
  while (p.step < p.steps) {
    AL_TRY(run_pass(t, &p));
    t->passes_run++;
    if (!stops) continue;
    AL_TRY(holdout_loss(t, training, probs, &loss));
    if (loss < least) {
      least = loss;
      t->best_pass = t->passes_run;
      AL_TRY(al_trainer_weights(t, &best, NULL));
    } else if (t->passes_run - t->best_pass >= t->patience) {
      break;
    }
  }
  if (best != NULL) AL_TRY(al_trainer_put(t, best));
  t->stopped_on = stops ? least : NAN;
done:
  t->augmenting = NULL;
  free(p.order);
  free(p.visit);
  free(p.rows);
  free(p.labels);
  free(best);
  free(probs);
  return status;
}

/* Keeps what members are trained on, when somebody asks for them. */
static al_status keep_training(al_trainer *t, const al_training *training) {
  al_status status;
  al_training *k = &t->kept;
  al_trainer_forget(t);
  int32_t *lists[4] = {NULL, NULL, NULL, NULL};
  const int32_t *from[4] = {training->rows, training->classes, training->holdout_rows, training->holdout_classes};
  const size_t sizes[4] = {training->n, training->n, training->holdout, training->holdout};
  *k = *training;
  k->rows = k->classes = k->holdout_rows = k->holdout_classes = NULL;
  for (size_t i = 0; i < 4; i++) {
    AL_TRY(AL_NEW(&lists[i], sizes[i]));
    if (sizes[i] != 0) memcpy(lists[i], from[i], sizes[i] * sizeof **lists);
    *(i == 0 ? &k->rows : i == 1 ? &k->classes : i == 2 ? &k->holdout_rows : &k->holdout_classes) = lists[i];
  }
done:
  return status;
}

void al_trainer_forget(al_trainer *t) {
  free((void *)(uintptr_t)t->kept.rows);
  free((void *)(uintptr_t)t->kept.classes);
  free((void *)(uintptr_t)t->kept.holdout_rows);
  free((void *)(uintptr_t)t->kept.holdout_classes);
  t->kept = (al_training){0};
  for (size_t m = 0; t->members != NULL && m < t->passes; m++) {
    free(t->members[m]);
    t->members[m] = NULL;
  }
}

al_status al_trainer_fit(al_trainer *t, const al_training *training) {
  al_status status;
  bool fold = training->member != 0; /* a fold is no part of the chain of warm starts */
  t->round = training->round;
  if (t->warm && t->last != NULL && !fold) {
    AL_TRY(al_trainer_put(t, t->last));
  } else {
    AL_TRY(al_trainer_reset(t));
    if (t->head_first) AL_TRY(fit_head(t, training));
  }
  AL_TRY(train(t, training, 0));
  if (t->warm && !fold) AL_TRY(al_trainer_weights(t, &t->last, &t->last_count));
  if (t->mc_by != AL_MC_DROPOUT) AL_TRY(keep_training(t, training));
done:
  return status;
}

/* ---- ensembles and bootstrap ---- */

/* From a start, and in an order, of its own. */
static al_status train_member(al_trainer *t, uint32_t m) {
  al_status status;
  AL_TRY(al_trainer_put(t, t->starts[m]));
  if (t->head_first) AL_TRY(fit_head(t, &t->kept));
  AL_TRY(train(t, &t->kept, m));
done:
  return status;
}

/* From the model's own start, on a sample of the labelled set, in an order of its own. */
static al_status train_on_sample(al_trainer *t, uint32_t m) {
  al_status status;
  al_training on = t->kept;
  int32_t *index = NULL, *rows = NULL, *classes = NULL;
  al_rng rng = al_trainer_stream(t, "mc", t->round, m);
  AL_TRY(AL_NEW(&index, on.n));
  AL_TRY(AL_NEW(&rows, on.n));
  AL_TRY(AL_NEW(&classes, on.n));
  AL_TRY(al_resample(index, &rng, on.classes, on.n, t->classes));
  for (size_t i = 0; i < on.n; i++) {
    rows[i] = on.rows[index[i]];
    classes[i] = on.classes[index[i]];
  }
  on.rows = rows;
  on.classes = classes;
  AL_TRY(al_trainer_reset(t));
  if (t->head_first) AL_TRY(fit_head(t, &on));
  AL_TRY(train(t, &on, m + 1));
done:
  free(index);
  free(rows);
  free(classes);
  return status;
}

static al_status train_members(al_trainer *t) {
  al_status status = AL_OK;
  float *own = NULL;
  bool ensemble = t->mc_by == AL_MC_ENSEMBLE;
  if (t->members == NULL) AL_TRY(AL_NEW(&t->members, t->passes));
  if (t->members[t->passes - 1] != NULL) return AL_OK;
  size_t passes_run = t->passes_run, best_pass = t->best_pass;
  double stopped_on = t->stopped_on;
  AL_TRY(al_trainer_weights(t, &own, NULL));
  for (size_t m = ensemble ? 1 : 0; m < t->passes; m++) {
    AL_TRY(ensemble ? train_member(t, (uint32_t)m) : train_on_sample(t, (uint32_t)m));
    AL_TRY(al_trainer_weights(t, &t->members[m], NULL));
  }
  AL_TRY(al_trainer_put(t, own));
  t->passes_run = passes_run;
  t->best_pass = best_pass;
  t->stopped_on = stopped_on;
done:
  free(own);
  return status;
}

al_status al_trainer_members(al_trainer *t, const int32_t *rows, size_t n, float *mc) {
  al_status status;
  float *own = NULL;
  AL_TRY(train_members(t));
  AL_TRY(al_trainer_weights(t, &own, NULL));
  for (size_t m = 0; m < t->passes; m++) {
    AL_TRY(al_trainer_put(t, t->members[m] == NULL ? own : t->members[m]));
    AL_TRY(al_trainer_predict(t, rows, n, &(al_prediction){.probs = mc + m * n * t->classes}));
  }
  AL_TRY(al_trainer_put(t, own));
done:
  free(own);
  return status;
}

/* ---- checkpoints ---- */

/* magic, number of floats, XXH3-128 of them, floats */
al_status al_trainer_save(const al_trainer *t, al_buffer *out) {
  al_status status;
  uint64_t count = t->last_count;
  XXH128_hash_t hash = XXH3_128bits(t->last, t->last_count * sizeof *t->last);
  AL_TRY(al_buffer_append(out, checkpoint_magic, sizeof checkpoint_magic));
  AL_TRY(al_buffer_append(out, &count, sizeof count));
  AL_TRY(al_buffer_append(out, &hash, sizeof hash));
  AL_TRY(al_buffer_append(out, t->last, t->last_count * sizeof *t->last));
done:
  return status;
}

al_status al_trainer_load(al_trainer *t, const void *bytes, size_t size, uint32_t round, bool *good) {
  al_status status;
  uint64_t count;
  XXH128_hash_t hash;
  const char *at = bytes;
  size_t head = sizeof checkpoint_magic + sizeof count + sizeof hash;
  *good = false;
  if (size < head || memcmp(at, checkpoint_magic, sizeof checkpoint_magic) != 0) return AL_OK;
  memcpy(&count, at + sizeof checkpoint_magic, sizeof count);
  memcpy(&hash, at + sizeof checkpoint_magic + sizeof count, sizeof hash);
  AL_TRY(al_trainer_weights(t, &t->last, &t->last_count));
  if (count != t->last_count || size - head != count * sizeof *t->last ||
      !XXH128_isEqual(hash, XXH3_128bits(at + head, size - head))) {
    free(t->last);
    t->last = NULL;
    goto done;
  }
  memcpy(t->last, at + head, size - head);
  AL_TRY(al_trainer_put(t, t->last));
  t->round = round;
  *good = true;
done:
  return status;
}

json_t *al_trainer_notes(const al_trainer *t) {
  if (t->patience == 0 || isnan(t->stopped_on)) return NULL;
  return json_pack("[o]", json_sprintf("early stop: pass %zu of %zu, hold-out log loss %.6g", t->best_pass,
                                       t->passes_run, t->stopped_on));
}
