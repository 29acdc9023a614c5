/* Frozen encoders on top of the networks that fine-tuning uses: nothing is computed here twice.
 *
 * A block of rows is encoded in batches of 32 (texts in order of length within the block), on one thread. The file's
 * name hashes all that a bit depends on: dataset content, weights, what config.json says, vocabulary, every key of
 * preprocessing, and the build, libtorch and processor, of a network on a GPU also its model. The last ones are no
 * setting: they are left out of a cell's hash. */
#include "model/frozen.h"

#include "base/build.h"
#include "base/file.h"
#include "base/memory.h"
#include "data/catalogue.h"
#include "model/weights.h"
#include "torch/al_torch.h"
#ifdef ALAB_TORCH
#include "model/torch_train.h"
#endif

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

enum { ENCODER_VERSION = 1 };

const al_param al_frozen_params[] = {
    {.key = "frozen", .type = AL_PARAM_STRING, .help = "a catalogue name (alab list models) or a .safetensors file"},
    {.key = "pooling",
     .type = AL_PARAM_CHOICE,
     .fallback = "null",
     .choices = "cls|mean|pooler",
     .help = "of a BERT: what of a text is kept (null: cls)"},
    {.key = "stage",
     .type = AL_PARAM_INT,
     .fallback = "null",
     .min = 1,
     .max = 4,
     .help = "of a ResNet: the stage whose average-pooled maps are kept (null: the last there is)"},
    {.key = "max_tokens",
     .type = AL_PARAM_INT,
     .fallback = "null",
     .min = 3,
     .max = 512,
     .help = "of a BERT: WordPieces read of a text (null: 128)"},
    AL_DEVICE_PARAM,
    {0}};

bool al_frozen_given(const json_t *value) { return json_object_get(value, "frozen") != NULL; }

static bool given(const json_t *options, const char *key) { return !json_is_null(json_object_get(options, key)); }

/* What an encoder is made from, resolved. */
typedef struct {
  al_weights weights;
  const char *pooling;
  size_t max_tokens, stage, cols;
  int device;
  json_t *options; /* resolved; owns pooling */
} recipe;

static void close_recipe(recipe *r) {
  al_weights_close(&r->weights);
  json_decref(r->options);
  *r = (recipe){0};
}

static al_status read_recipe(recipe *r, const json_t *frozen, al_kind kind, const char *base, const char *where) {
  al_status status;
  al_kind reads;
  al_resnet_shape resnet;
  al_bert_shape bert;
  *r = (recipe){0};
#ifndef ALAB_TORCH
  return al_fail(AL_BAD_INPUT,
                 "%s: a frozen encoder needs libtorch, and this alab was built without (-DALAB_TORCH=OFF)", where);
#endif
  AL_TRY(al_params_resolve(&r->options, al_frozen_params, frozen, where));
  r->device = al_torch_device_of(al_params_string(r->options, "device"));
  if (kind == AL_TABULAR) {
    status = al_fail(AL_BAD_INPUT, "%s: there is no frozen encoder of tables", where);
    goto done;
  }
  status = al_weights_open(&r->weights, al_params_string(r->options, "frozen"), base);
  if (status == AL_OK) status = al_weights_kind(&r->weights, &reads);
  if (status != AL_OK) {
    (void)al_context(status, "%s.frozen", where);
    goto done;
  }
  if (reads != kind) {
    status = al_fail(AL_BAD_INPUT, "%s.frozen: %s encodes %s and the data are %s", where, r->weights.name,
                     reads == AL_TEXT ? "text" : "images", kind == AL_TEXT ? "text" : "images");
    goto done;
  }
  const char *foreign = kind == AL_TEXT ? "stage" : given(r->options, "pooling") ? "pooling" : "max_tokens";
  if (given(r->options, foreign)) {
    status = al_fail(AL_BAD_INPUT, "%s.%s: is not for a %s", where, foreign, kind == AL_TEXT ? "BERT" : "ResNet");
    goto done;
  }
  if (kind == AL_TEXT) {
    AL_TRY(al_weights_bert(&r->weights, &bert));
    r->pooling = given(r->options, "pooling") ? al_params_string(r->options, "pooling") : "cls";
    r->max_tokens = given(r->options, "max_tokens") ? (size_t)al_params_int(r->options, "max_tokens") : 128;
    r->cols = bert.width;
    status = al_weights_pooling(&bert, r->pooling, where);
    if (status == AL_OK && r->max_tokens > bert.positions)
      status = al_fail(AL_BAD_INPUT, "%s.max_tokens: %zu is more than the %zu positions of the weights", where,
                       r->max_tokens, bert.positions);
  } else {
    AL_TRY(al_weights_resnet(&r->weights, &resnet));
    r->stage = given(r->options, "stage") ? (size_t)al_params_int(r->options, "stage") : resnet.stages;
    if (r->stage > resnet.stages)
      status = al_fail(AL_BAD_INPUT, "%s.stage: %zu, but the weights have %zu stages", where, r->stage, resnet.stages);
    else
      r->cols = (resnet.width << (r->stage - 1)) * (resnet.depth == 50 ? 4 : 1);
  }
done:
  if (status != AL_OK) close_recipe(r);
  return status;
}

al_status al_frozen_check(const json_t *frozen, al_kind kind, const char *base, const char *where) {
  recipe r;
  al_status status = read_recipe(&r, frozen, kind, base, where);
  if (status == AL_OK) close_recipe(&r);
  return status;
}

static al_status vocabulary_digest(char hex[33]) {
  char path[PATH_MAX], *text = NULL;
  size_t size = 0;
  al_status status = al_fetch_model_file(path, sizeof path, "bert-base-uncased-vocab", "vocab.txt");
  if (status == AL_OK) status = al_file_read(&text, &size, path, 1 << 26);
  if (status != AL_OK) return status;
  XXH128_hash_t hash = XXH3_128bits(text, size);
  snprintf(hex, 33, "%016llx%016llx", (unsigned long long)hash.high64, (unsigned long long)hash.low64);
  free(text);
  return AL_OK;
}

/* All that determines a value beside the dataset. */
static al_status cache_key(json_t **out, const recipe *r, const json_t *frozen, const char *base, al_kind kind) {
  al_status status;
  char identity[33], build[33], vocabulary[33] = "", cpu[320];
  AL_TRY(al_weights_identity(identity, al_params_string(frozen, "frozen"), base));
  AL_TRY(al_build_id(build));
  if (kind == AL_TEXT) AL_TRY(vocabulary_digest(vocabulary));
  al_cpu_kind(cpu, sizeof cpu);
  *out =
      json_pack("{s:i,s:s,s:s,s:s,s:I,s:I,s:s,s:s,s:s}", "version", ENCODER_VERSION, "weights", identity, "vocabulary",
                vocabulary, "pooling", r->pooling == NULL ? "" : r->pooling, "max_tokens", (json_int_t)r->max_tokens,
                "stage", (json_int_t)r->stage, "build", build, "libtorch", ALAB_LIBTORCH, "cpu", cpu);
  if (*out != NULL && r->device != AL_DEVICE_CPU) { /* which GPU is known without touching it: workers are forked */
    char gpu[320];
    al_gpu_kind(gpu, sizeof gpu, NULL);
    json_object_set_new(*out, "device", json_string(al_params_string(r->options, "device")));
    json_object_set_new(*out, "gpu", json_string(gpu));
  }
  if (*out == NULL) status = al_fail(AL_ENVIRONMENT, "out of memory");
done:
  return status;
}

typedef struct {
  const recipe *recipe;
  const al_model_source *source;
  al_model *model;
  al_subset storage;
} encoder;

#ifdef ALAB_TORCH
/* The network is made on the first block, so that a cached file costs no libtorch. */
static al_status encode(void *context, const int32_t *rows, size_t n, float *out) {
  encoder *e = context;
  const recipe *r = e->recipe;
  al_status status = AL_OK;
  bool text = e->source->dataset->kind == AL_TEXT;
  const al_model_type *type = al_model_find(text ? "bert" : "resnet");
  al_view h;
  if (e->model == NULL && text)
    AL_TRY(al_bert_encoder(&e->model, &r->weights, r->pooling, r->max_tokens, r->device, e->source));
  if (e->model == NULL) AL_TRY(al_resnet_encoder(&e->model, &r->weights, r->stage, r->device, e->source));
  al_prediction want = {.h = &h, .subset = &e->storage};
  AL_TRY(type->predict(e->model, rows, n, &want));
  if (h.cols != r->cols)
    status = al_fail(AL_ENVIRONMENT, "the encoder has %zu features where its weights promise %zu", h.cols, r->cols);
  else
    memcpy(out, h.values, n * h.cols * sizeof *out);
done:
  return status;
}

static void free_encoder(encoder *e) {
  if (e->model != NULL) al_model_find(e->source->dataset->kind == AL_TEXT ? "bert" : "resnet")->free(e->model);
  al_subset_free(&e->storage);
}
#else
static al_status encode(void *context, const int32_t *rows, size_t n, float *out) {
  (void)context, (void)rows, (void)n, (void)out;
  return al_fail(AL_ENVIRONMENT, "built without libtorch");
}

static void free_encoder(encoder *e) { (void)e; }
#endif

al_status al_frozen_open(al_features **out, char weights[33], const json_t *frozen, const al_model_source *source) {
  al_status status;
  recipe r;
  json_t *key = NULL;
  encoder e = {.recipe = &r, .source = source};
  *out = NULL;
  AL_TRY(read_recipe(&r, frozen, source->dataset->kind, source->base, source->where));
  AL_TRY(al_weights_check_test(&r.weights, source->dataset, source->split, source->where));
  AL_TRY(cache_key(&key, &r, frozen, source->base, source->dataset->kind));
  if (weights != NULL) AL_TRY(al_weights_digest(&r.weights, weights));
  AL_TRY(al_encoded_open(out, source->dataset, key, r.cols, encode, &e));
done:
  free_encoder(&e);
  json_decref(key);
  close_recipe(&r);
  return status;
}

al_status al_frozen_weights(char hex[33], const json_t *frozen, const char *base) {
  al_weights weights;
  al_status status = al_weights_open(&weights, al_params_string(frozen, "frozen"), base);
  if (status != AL_OK) return status;
  status = al_weights_digest(&weights, hex);
  al_weights_close(&weights);
  return status;
}

al_status al_frozen_settings(json_t **out, const json_t *frozen, const char *base) {
  al_status status;
  json_t *options = NULL;
  char identity[33];
  *out = NULL;
  AL_TRY(al_params_resolve(&options, al_frozen_params, frozen, "frozen"));
  AL_TRY(al_weights_identity(identity, al_params_string(options, "frozen"), base));
  AL_TRY(al_params_nondefault(out, al_frozen_params, options));
  if (json_object_set_new(*out, "frozen", json_string(identity)) != 0)
    status = al_fail(AL_ENVIRONMENT, "out of memory");
done:
  json_decref(options);
  return status;
}

/* ---- what linear, mlp and f take ---- */

al_status al_model_input_check(const json_t *features, al_kind kind, const char *base, const char *where) {
  char inner[256];
  if (!al_frozen_given(features)) return al_input_check(features, kind, where);
  snprintf(inner, sizeof inner, "%s.features", where);
  return al_frozen_check(features, kind, base, inner);
}

al_status al_model_input_open(al_features **out, char weights[33], const json_t *features,
                              const al_model_source *source) {
  *out = NULL;
  *weights = '\0';
  if (!al_frozen_given(features)) return al_input_open(out, source->dataset, source->split, features, source->where);
  al_features *raw = NULL;
  al_model_source inner = *source;
  char where[256];
  snprintf(where, sizeof where, "%s.features", source->where);
  inner.where = where;
  al_status status = al_frozen_open(&raw, weights, features, &inner);
  if (status == AL_OK) status = al_features_standardise(out, raw, source->split);
  al_features_free(raw);
  return status;
}

al_status al_model_input_settings(json_t *nondefault, const char *base) {
  const json_t *features = json_object_get(nondefault, "features");
  if (!al_frozen_given(features)) return AL_OK;
  json_t *frozen = NULL;
  al_status status = al_frozen_settings(&frozen, features, base);
  if (status == AL_OK && json_object_set_new(nondefault, "features", frozen) != 0)
    status = al_fail(AL_ENVIRONMENT, "out of memory");
  return status;
}

al_status al_model_representation_open(al_features **out, const json_t *entry, const al_model_source *source) {
  const json_t *wanted = json_object_get(entry, "representation");
  if (al_frozen_given(wanted)) return al_frozen_open(out, NULL, wanted, source);
  return al_representation_open(out, source->dataset, source->split, entry, source->seed);
}
