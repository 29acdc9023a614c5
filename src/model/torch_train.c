/* The loops around a network, libtorch's or alab's own: order, schedule and seeds are the same for all, so that a fit
 * is a function of rows, labels and streams. */
#include "model/torch_train.h"

#include "base/log.h"
#include "base/memory.h"

#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const al_param al_mc_network_params[] = {
    {.key = "by",
     .type = AL_PARAM_CHOICE,
     .fallback = "\"dropout\"",
     .choices = "dropout|ensemble|bootstrap",
     .help = "passes with dropout active, networks trained from starts of their own, or from one start on stratified "
             "bootstrap samples of the labelled set"},
    {.key = "passes",
     .type = AL_PARAM_INT,
     .fallback = "10",
     .min = 2,
     .max = 1000,
     .help = "number of passes, or of networks (of an ensemble the model itself is one)"},
    {0}};

const al_param al_early_stop_params[] = {
    {.key = "patience",
     .type = AL_PARAM_INT,
     .min = 1,
     .max = 100000,
     .help = "passes over the labelled set without a smaller loss after which training ends"},
    {0}};

/* A network may lack a key (AL_TRAIN_ENCODER_PARAMS). */
static bool is(const json_t *params, const char *key, const char *value) {
  return json_object_get(params, key) != NULL && strcmp(al_params_string(params, key), value) == 0;
}

static bool is_true(const json_t *params, const char *key) { return json_is_true(json_object_get(params, key)); }

static size_t count_of(const json_t *params, const char *key) {
  return json_object_get(params, key) == NULL ? 0 : (size_t)al_params_int(params, key);
}

al_status al_trainer_check(const json_t *params, al_kind kind, const char *where) {
  const json_t *train = json_object_get(params, "train"), *mc = json_object_get(params, "mc");
  if (kind == AL_TEXT && is(train, "augment", "crop-flip"))
    return al_fail(AL_BAD_INPUT, "%s.train.augment: crop-flip is for images", where);
  if (kind == AL_IMAGE && is_true(train, "buckets"))
    return al_fail(AL_BAD_INPUT, "%s.train.buckets: images have no length", where);
  if (is(train, "start", "warm") && !is(mc, "by", "dropout"))
    return al_fail(AL_BAD_INPUT,
                   "%s.mc.by: the networks of an ensemble or bootstrap start cold; give train.start: cold", where);
  if (count_of(train, "micro_batch") == 1)
    return al_fail(AL_BAD_INPUT, "%s.train.micro_batch: give 0, or at least 2", where);
  return AL_OK;
}

unsigned al_trainer_gives(unsigned gives, const json_t *params) {
  bool none = is(json_object_get(params, "mc"), "by", "dropout") &&
              al_params_real(json_object_get(params, "train"), "dropout") == 0.0;
  return none ? gives & ~(unsigned)AL_GIVES_MC : gives;
}

al_status al_trainer_configure(al_trainer *t, const json_t *params, al_torch_config *config) {
  const json_t *train = json_object_get(params, "train"), *mc = json_object_get(params, "mc");
  const json_t *steps = json_object_get(train, "steps"), *stop = json_object_get(train, "early_stop");
  t->batch_size = (size_t)al_params_int(train, "batch");
  t->micro_batch = count_of(train, "micro_batch");
  t->epochs = (size_t)al_params_int(train, "epochs");
  t->steps = json_is_integer(steps) ? (size_t)json_integer_value(steps) : 0;
  t->patience = json_is_object(stop) ? (size_t)al_params_int(stop, "patience") : 0;
  t->rate = al_params_real(train, "lr");
  t->warmup = al_params_real(train, "warmup");
  t->linear_schedule = is(train, "schedule", "linear");
  t->head_first = is(train, "regime", "head-then-full");
  t->warm = is(train, "start", "warm");
  t->balanced = is(train, "class_weights", "balanced");
  t->augment = is(train, "augment", "crop-flip");
  t->buckets = is_true(train, "buckets");
  t->mc_by = is(mc, "by", "ensemble") ? AL_MC_ENSEMBLE : is(mc, "by", "bootstrap") ? AL_MC_BOOTSTRAP : AL_MC_DROPOUT;
  t->passes = (size_t)al_params_int(mc, "passes");
  t->stopped_on = NAN;
  config->dropout = al_params_real(train, "dropout");
  config->sgd = is(train, "optimiser", "sgd");
  config->weight_decay = al_params_real(train, "weight_decay");
  config->clip = al_params_real(train, "clip");
  return AL_NEW(&t->class_weights, config->classes);
}

al_status al_trainer_create(al_trainer *t, const al_torch_config *config) {
  al_status status;
  AL_TRY(al_torch_load(&t->api));
  AL_TRY(al_torch_device(t->api, config->device, t->source.where, t->device, sizeof t->device));
  AL_TRY(al_torch_check(t->api, t->api->create(&t->net, config), "making the network"));
done:
  return status;
}

const char *al_trainer_device(const al_trainer *t) { return *t->device == '\0' ? NULL : t->device; }

al_rng al_trainer_stream(const al_trainer *t, const char *purpose, uint32_t round, uint32_t index) {
  al_stream_key key = {.seed = t->source.seed,
                       .purpose = purpose,
                       .dataset = t->source.dataset->name,
                       .replicate = t->source.replicate,
                       .round = round,
                       .index = index};
  return al_rng_open(&key);
}

al_status al_weights_of_params(al_weights *weights, bool *none, const json_t *params, const al_model_source *source) {
  const char *given = al_params_string(params, "weights");
  *none = strcmp(given, "none") == 0;
  *weights = (al_weights){0};
  if (*none) return AL_OK;
  al_status status = al_weights_open(weights, given, source->base);
  return status == AL_OK ? AL_OK : al_context(status, "%s.weights", source->where);
}

al_status al_weights_settings(json_t *settings, const char *base) {
  char hex[33];
  const char *given = json_string_value(json_object_get(settings, "weights"));
  if (given == NULL || strcmp(given, "none") == 0) return AL_OK;
  al_status status = al_weights_identity(hex, given, base);
  if (status == AL_OK && json_object_set_new(settings, "weights", json_string(hex)) != 0)
    status = al_fail(AL_ENVIRONMENT, "out of memory");
  return status;
}

/* "a, b, c and 12 more" */
static al_status list_names(al_buffer *text, size_t at, const char *name) {
  enum { SHOWN = 8 };
  return at < SHOWN    ? al_buffer_print(text, "%s%s", at == 0 ? "" : ", ", name)
         : at == SHOWN ? al_buffer_print(text, ", ...")
                       : AL_OK;
}

static bool starts_with(const char *text, const char *start) {
  return start != NULL && strncmp(text, start, strlen(start)) == 0;
}

/* What the file has and the network does not, counters of batch norm and position numbers apart. */
static al_status list_unexpected(const al_weights *weights, const json_t *used) {
  static const char *const ignored[] = {"num_batches_tracked", "position_ids", "alab.", "__metadata__"};
  al_buffer text = {0};
  size_t count = 0;
  al_status status = AL_OK;
  const char *name;
  json_t *entry;
  json_object_foreach(weights->file.header, name, entry) {
    bool skip = json_object_get(used, name) != NULL;
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++) skip |= strstr(name, ignored[i]) != NULL;
    if (skip) continue;
    AL_TRY(list_names(&text, count++, name));
  }
  if (count != 0)
    al_log_notice("%s: %zu tensors that the network does not have are left out: %s", weights->file.path, count,
                  text.data);
done:
  al_buffer_free(&text);
  return status;
}

static al_status read_start(al_trainer *t, float *start, const al_weights *weights, al_missing missing,
                            al_load_tensor load, void *context) {
  al_status status = AL_OK;
  al_buffer lacking = {0};
  json_t *used = json_object();
  size_t n = t->api->tensors(t->net), at = 0, random = 0, refused = 0;
  al_torch_tensor tensor;
  AL_TRY(al_weights_digest(weights, t->weights));
  AL_TRY(al_weights_check_test(weights, t->source.dataset, t->source.split, t->source.where));
  for (size_t i = 0; i < n; i++, at += tensor.count) {
    char name[200] = "";
    AL_TRY(al_torch_check(t->api, t->api->tensor(t->net, i, &tensor), "tensor"));
    AL_TRY(load(weights, &tensor, start + at, name, context));
    if (*name != '\0') {
      json_object_set_new(used, name, json_true());
    } else if (!starts_with(tensor.name, t->idle)) {
      AL_TRY(list_names(&lacking, random++, tensor.name));
      refused += !(missing == AL_MISSING_RANDOM || (missing == AL_MISSING_HEAD && starts_with(tensor.name, t->head)));
    }
  }
  if (refused != 0)
    status = al_fail(AL_BAD_INPUT, "%s: lacks %zu tensors of the network: %s%s", weights->file.path, random,
                     lacking.data, missing == AL_MISSING_ERROR ? "; missing: random lets them start at random" : "");
  if (status != AL_OK || !t->source.announce || start != t->start) goto done;
  if (random != 0)
    al_log_notice("%s: %zu tensors of the network start at random: %s", weights->file.path, random, lacking.data);
  status = list_unexpected(weights, used);
done:
  json_decref(used);
  al_buffer_free(&lacking);
  return status;
}

/* One start of `total` floats: drawn for this member, then the file's values over them. */
static al_status draw_start(al_trainer *t, float *start, uint32_t member, al_draw_tensor draw, void *context) {
  al_status status = AL_OK;
  size_t at = 0;
  al_rng rng = al_trainer_stream(t, "start", 0, member);
  al_torch_tensor tensor;
  for (size_t i = 0; i < t->api->tensors(t->net); i++, at += tensor.count) {
    AL_TRY(al_torch_check(t->api, t->api->tensor(t->net, i, &tensor), "tensor"));
    draw(&tensor, al_rng_child(&rng, i), start + at, context);
  }
done:
  return status;
}

al_status al_trainer_start(al_trainer *t, const al_weights *weights, al_missing missing, al_draw_tensor draw,
                           al_load_tensor load, void *context) {
  al_status status = AL_OK;
  bool ensemble = t->mc_by == AL_MC_ENSEMBLE;
  size_t total = 0, n = t->api->tensors(t->net);
  al_torch_tensor tensor;
  for (size_t i = 0; i < n; i++) {
    AL_TRY(al_torch_check(t->api, t->api->tensor(t->net, i, &tensor), "tensor"));
    total += tensor.count;
  }
  AL_TRY(AL_NEW(&t->start, total));
  if (ensemble) AL_TRY(AL_NEW(&t->starts, t->passes));
  for (size_t m = 0; m == 0 || (ensemble && m < t->passes); m++) {
    float *start = t->start;
    if (m != 0) {
      AL_TRY(AL_NEW(&t->starts[m], total));
      start = t->starts[m];
    }
    AL_TRY(draw_start(t, start, (uint32_t)m, draw, context));
    if (weights != NULL) AL_TRY(read_start(t, start, weights, missing, load, context));
  }
done:
  return status;
}

al_status al_trainer_reset(al_trainer *t) { return al_trainer_put(t, t->start); }

typedef struct {
  int64_t length;
  size_t at;
} placed;

static int by_length(const void *a, const void *b) {
  const placed *x = a, *y = b;
  if (x->length != y->length) return x->length < y->length ? -1 : 1;
  return x->at < y->at ? -1 : x->at > y->at;
}

/* One pass over the rows in order of length, so that a batch is padded little. */
static al_status predict_pass(al_trainer *t, const int32_t *rows, const placed *order, size_t n, bool stochastic,
                              float *probs, float *h) {
  al_status status;
  int32_t *part = NULL;
  float *p = NULL, *q = NULL;
  size_t size = t->batch_size < 32 ? 32 : t->batch_size;
  AL_TRY(AL_NEW(&part, size));
  AL_TRY(AL_NEW(&p, size * t->classes));
  AL_TRY(AL_NEW(&q, size * t->width));
  for (size_t from = 0; from < n; from += size) {
    size_t m = n - from < size ? n - from : size;
    al_torch_batch batch = {0};
    for (size_t i = 0; i < m; i++) part[i] = rows[order[from + i].at];
    AL_TRY(t->fill(t->context, part, m, &batch));
    AL_TRY(al_torch_check(t->api,
                          t->api->predict(t->net, &batch, stochastic, probs == NULL ? NULL : p, h == NULL ? NULL : q),
                          "a prediction"));
    for (size_t i = 0; i < m; i++) {
      if (probs != NULL) memcpy(probs + order[from + i].at * t->classes, p + i * t->classes, t->classes * sizeof *p);
      if (h != NULL) memcpy(h + order[from + i].at * t->width, q + i * t->width, t->width * sizeof *q);
    }
  }
done:
  free(part);
  free(p);
  free(q);
  return status;
}

/* W h + b. h: n x D */
static al_status logits_of(al_trainer *t, const float *h, size_t n, float *logits) {
  al_status status;
  float *weights = NULL, *bias = NULL;
  size_t classes = t->classes;
  AL_TRY(AL_NEW(&weights, classes * t->width));
  AL_TRY(AL_NEW(&bias, classes));
  AL_TRY(al_trainer_head(t, weights, bias));
  for (size_t i = 0; i < n; i++) memcpy(logits + i * classes, bias, classes * sizeof *bias);
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)n, (int)classes, (int)t->width, 1.0F, h, (int)t->width,
              weights, (int)t->width, 1.0F, logits, (int)classes);
done:
  free(weights);
  free(bias);
  return status;
}

al_status al_trainer_predict(al_trainer *t, const int32_t *rows, size_t n, const al_prediction *out) {
  al_status status;
  placed *order = NULL;
  float *h = NULL, *own = NULL;
  AL_TRY(AL_NEW(&order, n));
  for (size_t i = 0; i < n; i++)
    order[i] = (placed){t->length_begin == NULL ? 0 : t->length_begin[rows[i] + 1] - t->length_begin[rows[i]], i};
  qsort(order, n, sizeof *order, by_length);
  if (out->h != NULL) {
    /* into the caller's storage, so that h of L and h of U can live side by side */
    AL_TRY(al_grow(&out->subset->values, &out->subset->value_capacity, n * t->width + 1, sizeof *h));
    h = out->subset->values;
    *out->h = al_view_dense(h, n, t->width);
  }
  if (h == NULL && out->logits != NULL) {
    AL_TRY(AL_NEW(&own, n * t->width));
    h = own;
  }
  if (out->probs != NULL || h != NULL) AL_TRY(predict_pass(t, rows, order, n, false, out->probs, h));
  if (out->logits != NULL) AL_TRY(logits_of(t, h, n, out->logits));
  bool dropout = t->mc_by == AL_MC_DROPOUT;
  if (out->mc != NULL && !dropout) AL_TRY(al_trainer_members(t, rows, n, out->mc));
  for (size_t pass = 0; out->mc != NULL && dropout && pass < t->passes; pass++) {
    al_rng rng = al_trainer_stream(t, "mc", t->round, (uint32_t)pass);
    AL_TRY(al_torch_check(t->api, t->api->seed(t->net, al_rng_u64(&rng)), "seeding"));
    AL_TRY(predict_pass(t, rows, order, n, true, out->mc + pass * n * t->classes, NULL));
  }
done:
  free(order);
  free(own);
  return status;
}

al_status al_trainer_head(al_trainer *t, float *weights, float *bias) {
  al_status status = AL_OK;
  char wanted[2][64];
  snprintf(wanted[0], sizeof wanted[0], "%sweight", t->head);
  snprintf(wanted[1], sizeof wanted[1], "%sbias", t->head);
  for (size_t i = 0; i < t->api->tensors(t->net); i++) {
    al_torch_tensor tensor;
    AL_TRY(al_torch_check(t->api, t->api->tensor(t->net, i, &tensor), "tensor"));
    for (size_t k = 0; k < 2; k++)
      if (strcmp(tensor.name, wanted[k]) == 0)
        AL_TRY(al_torch_check(t->api, t->api->get(t->net, i, k == 0 ? weights : bias), "the last layer"));
  }
done:
  return status;
}

void al_trainer_free(al_trainer *t) {
  if (t->net != NULL) t->api->free(t->net);
  al_trainer_forget(t);
  for (size_t m = 0; t->starts != NULL && m < t->passes; m++) free(t->starts[m]);
  free(t->starts);
  free(t->members);
  free(t->start);
  free(t->class_weights);
  free(t->last);
  free(t->head_weights);
  free(t->head_bias);
  *t = (al_trainer){0};
}
