/* The recipe, its corpus, the schedule, checkpoints and the file that comes out.
 *
 * A step depends on the recipe and its number alone, and a checkpoint holds everything else that the next step needs,
 * so an interrupted run ends in the same file. */
#include "model/pretrain_private.h"

#include "base/build.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/yaml.h"
#include "model/model.h"

#include <libgen.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

enum { MOST_RECIPE = 1 << 20, MOST_TENSORS = 512, WARM_STEPS = 8, MEASURED_STEPS = 16 };
static const double seconds_between_checkpoints = 60.0;

static const al_param model_params[] = {
    {.key = "name", .type = AL_PARAM_CHOICE, .choices = "bert|resnet", .help = "the network"},
    {.key = "size",
     .type = AL_PARAM_CHOICE,
     .fallback = "\"tiny\"",
     .choices = "tiny|mini|small|base",
     .help = "bert: layers and width"},
    {.key = "max_tokens",
     .type = AL_PARAM_INT,
     .fallback = "128",
     .min = 8,
     .max = 512,
     .help = "bert: WordPieces of a segment, [CLS] and [SEP] included"},
    {.key = "width",
     .type = AL_PARAM_INT,
     .fallback = "64",
     .min = 4,
     .max = 256,
     .help = "resnet: of the first stage"},
    {.key = "stages",
     .type = AL_PARAM_INT,
     .fallback = "4",
     .min = 1,
     .max = 4,
     .help = "resnet: stages of two blocks"},
    {.key = "stem",
     .type = AL_PARAM_CHOICE,
     .fallback = "\"imagenet\"",
     .choices = "imagenet|3x3s1|3x3s2",
     .help = "resnet: first convolution"},
    {0}};

#define WEIGHT(name, text)                                                                                             \
  { .key = (name), .type = AL_PARAM_REAL, .fallback = "0", .min = 0, .max = 1000, .help = (text) }
static const al_param objective_params[] = {
    WEIGHT("svd", "bert: embeddings start from an SVD of the token x document matrix; entries of this deviation / 20"),
    WEIGHT("mlm", "bert: masked words, whole"),
    WEIGHT("bow", "bert: [CLS] names the words of its document"),
    WEIGHT("contrastive", "bert: segments of one document told from those of others"),
    WEIGHT("rotation", "resnet: by which quarter turn an image was rotated"),
    {0}};

static const al_param train_params[] = {
    {.key = "batch",
     .type = AL_PARAM_INT,
     .fallback = "32",
     .min = 4,
     .max = 4096,
     .help = "segments or images a step"},
    {.key = "lr", .type = AL_PARAM_REAL, .fallback = "0.001", .min = 1e-9, .max = 10, .help = "highest learning rate"},
    {.key = "warmup",
     .type = AL_PARAM_REAL,
     .fallback = "0.05",
     .min = 0,
     .max = 1,
     .help = "share of the steps that warm up"},
    {.key = "weight_decay",
     .type = AL_PARAM_REAL,
     .fallback = "0.01",
     .min = 0,
     .max = 10,
     .help = "of weight matrices"},
    {.key = "clip",
     .type = AL_PARAM_REAL,
     .fallback = "1.0",
     .min = 0,
     .max = 1e6,
     .help = "largest gradient norm (0: none)"},
    {.key = "dropout", .type = AL_PARAM_REAL, .fallback = "0.1", .min = 0, .max = 0.9, .help = "dropout rate"},
    {.key = "mask",
     .type = AL_PARAM_REAL,
     .fallback = "0.15",
     .min = 0.01,
     .max = 0.9,
     .help = "mlm: share of masked tokens"},
    {.key = "candidates",
     .type = AL_PARAM_INT,
     .fallback = "4096",
     .min = 16,
     .max = 30522,
     .help = "mlm, bow: words told apart in a step, more when the batch holds more"},
    {.key = "temperature",
     .type = AL_PARAM_REAL,
     .fallback = "0.1",
     .min = 1e-3,
     .max = 10,
     .help = "contrastive: of the cosines"},
    {.key = "precision", .type = AL_PARAM_CHOICE, .fallback = "\"f32\"", .choices = "f32|f16", .help = "of the file"},
    {0}};

const al_param al_recipe_params[] = {
    {.key = "model", .type = AL_PARAM_MAP, .fallback = "{}", .table = model_params, .help = "the network"},
    {.key = "data",
     .type = AL_PARAM_LIST,
     .help = "dataset entries, as in an experiment; their train parts are read whole"},
    {.key = "split_seed",
     .type = AL_PARAM_INT,
     .fallback = "null",
     .min = 0,
     .max = 9e15,
     .help = "seed of the studies that will use the file; needed by sets without an official test part"},
    {.key = "objectives", .type = AL_PARAM_MAP, .fallback = "{}", .table = objective_params, .help = "weights"},
    {.key = "steps", .type = AL_PARAM_INT, .min = 0, .max = 1e9, .help = "optimiser steps; 0 writes the start"},
    {.key = "train", .type = AL_PARAM_MAP, .fallback = "{}", .table = train_params, .help = "how it is trained"},
    AL_DEVICE_PARAM,
    {.key = "seed", .type = AL_PARAM_INT, .fallback = "1", .min = 0, .max = 9e15, .help = "of everything drawn"},
    {.key = "out", .type = AL_PARAM_STRING, .help = "the .safetensors file to write; relative to the recipe"},
    {0}};

const json_t *al_recipe_get(const al_recipe *recipe, const char *key) { return json_object_get(recipe->resolved, key); }

double al_recipe_objective(const al_recipe *recipe, const char *name) {
  return al_params_real(al_recipe_get(recipe, "objectives"), name);
}

al_rng al_recipe_stream(const al_recipe *recipe, const char *purpose, size_t step) {
  al_stream_key key = {.seed = (uint64_t)al_params_int(recipe->resolved, "seed"),
                       .purpose = purpose,
                       .dataset = "pretrain",
                       .round = (uint32_t)step};
  return al_rng_open(&key);
}

size_t al_recipe_item(const al_recipe *recipe, size_t which, int32_t *order, size_t n, size_t *epoch) {
  if (*epoch != which / n) {
    *epoch = which / n;
    al_rng rng = al_recipe_stream(recipe, "order", *epoch);
    for (size_t i = 0; i < n; i++) order[i] = (int32_t)i;
    al_rng_shuffle(&rng, order, n);
  }
  return (size_t)order[which % n];
}

/* ---- reading ---- */

static al_status check_recipe(const al_recipe *r) {
  static const char *const of_text[] = {"svd", "mlm", "bow", "contrastive"};
  bool text = strcmp(al_params_string(al_recipe_get(r, "model"), "name"), "bert") == 0;
  double sum = 0.0, wrong = 0.0;
  for (size_t i = 0; i < 4; i++) *(text ? &sum : &wrong) += al_recipe_objective(r, of_text[i]);
  *(text ? &wrong : &sum) += al_recipe_objective(r, "rotation");
  if (wrong > 0.0)
    return al_fail(AL_BAD_INPUT, "%s: objectives: %s", r->path,
                   text ? "rotation is of resnet; bert has svd, mlm, bow and contrastive"
                        : "svd, mlm, bow and contrastive are of bert; resnet has rotation");
  if (!(sum > 0.0)) return al_fail(AL_BAD_INPUT, "%s: objectives: give at least one a weight above 0", r->path);
  if (text && !(sum > al_recipe_objective(r, "svd")) && al_params_int(r->resolved, "steps") != 0)
    return al_fail(AL_BAD_INPUT, "%s: steps: svd alone is a start, not something to train for; set steps: 0", r->path);
  if (al_params_int(al_recipe_get(r, "train"), "batch") % 2 != 0)
    return al_fail(AL_BAD_INPUT, "%s: train.batch: must be even", r->path);
  return json_array_size(al_recipe_get(r, "data")) != 0
             ? AL_OK
             : al_fail(AL_BAD_INPUT, "%s: data: the list is empty; name at least one dataset", r->path);
}

static al_status digest_recipe(al_recipe *r) {
  json_t *copy = json_deep_copy(r->resolved);
  if (copy == NULL) return al_fail(AL_ENVIRONMENT, "out of memory");
  json_object_del(copy, "out");
  char *text = json_dumps(copy, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(17));
  json_decref(copy);
  if (text == NULL) return al_fail(AL_ENVIRONMENT, "out of memory");
  XXH128_hash_t hash = XXH3_128bits(text, strlen(text));
  snprintf(r->digest, sizeof r->digest, "%016llx%016llx", (unsigned long long)hash.high64,
           (unsigned long long)hash.low64);
  free(text);
  return AL_OK;
}

static al_status override(json_t *given, const char *text) {
  char key[64], where[300];
  const char *equals = strchr(text, '=');
  json_t *value = NULL;
  if (equals == NULL || equals == text || (size_t)(equals - text) >= sizeof key)
    return al_fail(AL_BAD_INPUT, "--set %s: give KEY=VALUE, as steps=1000 or train.lr=0.002", text);
  snprintf(key, sizeof key, "%.*s", (int)(equals - text), text);
  snprintf(where, sizeof where, "--set %.200s", text);
  al_status status = al_yaml_value(&value, equals + 1, where);
  if (status != AL_OK) return status;
  char *dot = strchr(key, '.');
  if (dot == NULL) {
    json_object_set_new(given, key, value);
    return AL_OK;
  }
  *dot = '\0';
  json_t *inner = json_object_get(given, key);
  if (inner == NULL) json_object_set_new(given, key, inner = json_object());
  json_object_set_new(inner, dot + 1, value);
  return AL_OK;
}

al_status al_recipe_read(al_recipe **out, const char *path, const char *const *overrides, size_t n) {
  al_status status;
  al_recipe *r = NULL;
  json_t *given = NULL;
  al_marks marks = {0};
  char *text = NULL, real[PATH_MAX];
  size_t size = 0;
  *out = NULL;
  AL_TRY(AL_NEW(&r, 1));
  AL_TRY(al_copy_string(&r->path, path));
  AL_TRY(al_file_read(&text, &size, path, MOST_RECIPE));
  AL_TRY(al_yaml_parse(&given, &marks, text, size, path));
  if (!json_is_object(given)) {
    status = al_fail(AL_BAD_INPUT, "%s: a recipe is a mapping; see alab pretrain --help", path);
    goto done;
  }
  for (size_t i = 0; i < n; i++) AL_TRY(override(given, overrides[i]));
  AL_TRY(al_params_resolve(&r->resolved, al_recipe_params, given, path));
  r->device = al_torch_device_of(al_params_string(r->resolved, "device"));
  if (r->device == AL_DEVICE_CPU) json_object_del(r->resolved, "device");
  AL_TRY(check_recipe(r));
  AL_TRY(digest_recipe(r));
  if (realpath(path, real) == NULL) {
    status = al_fail_errno("%s", path);
    goto done;
  }
  AL_TRY(al_copy_string(&r->base, dirname(real)));
  *out = r;
  r = NULL;
done:
  free(text);
  al_marks_free(&marks);
  json_decref(given);
  al_recipe_free(r);
  return status;
}

void al_recipe_free(al_recipe *r) {
  if (r == NULL) return;
  json_decref(r->resolved);
  free(r->path);
  free(r->base);
  free(r);
}

/* ---- the corpus ---- */

static void corpus_free(al_corpus *c) {
  for (size_t i = 0; i < c->datasets_count; i++) {
    if (c->splits != NULL) al_split_free(&c->splits[i]);
    if (c->datasets != NULL) al_dataset_free(c->datasets[i]);
  }
  free(c->datasets);
  free(c->splits);
  free(c->dataset_of);
  free(c->row_of);
}

static al_status open_dataset(al_corpus *c, const al_recipe *r, size_t index, al_kind kind) {
  al_status status;
  char where[400];
  json_t *entry = json_array_get(al_recipe_get(r, "data"), index), *given = NULL, *resolved = NULL;
  snprintf(where, sizeof where, "%.300s: data[%zu]", r->path, index);
  given = json_is_string(entry) ? json_pack("{s:O}", "name", entry) : json_incref(entry);
  AL_TRY(al_params_resolve(&resolved, al_dataset_params, given, where));
  AL_TRY(al_dataset_check(resolved, where, NULL));
  AL_TRY(al_dataset_open(&c->datasets[index], resolved, r->base, where));
  const al_dataset *d = c->datasets[index];
  if (d->kind != kind) {
    status =
        al_fail(AL_BAD_INPUT, "%s: %s", where, kind == AL_TEXT ? "bert reads text only" : "resnet sees images only");
    goto done;
  }
  const json_t *seed = al_recipe_get(r, "split_seed");
  if (d->train_rows == d->rows && !json_is_integer(seed)) {
    status = al_fail(AL_BAD_INPUT,
                     "%s: %s has no official test part: give split_seed, the seed of the studies that will "
                     "use the file, so that their test rows stay unread",
                     where, d->name);
    goto done;
  }
  al_stream_key key = {.seed = (uint64_t)json_integer_value(seed), .purpose = "split", .dataset = d->name};
  AL_TRY(al_split_make(&c->splits[index], d, resolved, al_rng_open(&key)));
done:
  json_decref(given);
  json_decref(resolved);
  return status;
}

static int by_hash(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

/* XXH64 of the test rows of all data, ascending. */
static al_status test_rows(int64_t **out, size_t *n, const al_corpus *c) {
  size_t count = 0;
  for (size_t i = 0; i < c->datasets_count; i++) count += c->splits[i].test_size;
  al_status status = AL_NEW(out, count);
  if (status != AL_OK) return status;
  *n = 0;
  for (size_t i = 0; i < c->datasets_count; i++)
    for (size_t k = 0; k < c->splits[i].test_size; k++)
      (*out)[(*n)++] = (int64_t)al_dataset_row_hash(c->datasets[i], c->splits[i].test[k]);
  qsort(*out, *n, sizeof **out, by_hash);
  return AL_OK;
}

/* The train rows of a dataset, without those whose content a test part holds too: official splits have such twins, and
 * a test row is not to be read, wherever it stands. */
static void add_rows(al_corpus *c, size_t index, const int64_t *tests, size_t tests_size) {
  const al_dataset *dataset = c->datasets[index];
  const al_split *split = &c->splits[index];
  size_t twins = 0;
  for (size_t k = 0; k < split->train_size; k++) {
    int64_t hash = (int64_t)al_dataset_row_hash(dataset, split->train[k]);
    if (bsearch(&hash, tests, tests_size, sizeof *tests, by_hash) != NULL) {
      twins++;
      continue;
    }
    c->dataset_of[c->n] = (int32_t)index;
    c->row_of[c->n++] = split->train[k];
  }
  if (twins != 0)
    al_log_notice("%zu of the %zu train rows of %s are left out: the test part holds the same", twins,
                  split->train_size, dataset->name);
}

static al_status corpus_open(al_corpus *c, const al_recipe *r) {
  al_status status;
  bool text = strcmp(al_params_string(al_recipe_get(r, "model"), "name"), "bert") == 0;
  size_t all = 0, tests_size = 0;
  int64_t *tests = NULL;
  c->datasets_count = json_array_size(al_recipe_get(r, "data"));
  AL_TRY(AL_NEW(&c->datasets, c->datasets_count));
  AL_TRY(AL_NEW(&c->splits, c->datasets_count));
  for (size_t i = 0; i < c->datasets_count; i++) {
    AL_TRY(open_dataset(c, r, i, text ? AL_TEXT : AL_IMAGE));
    all += c->splits[i].train_size;
  }
  AL_TRY(test_rows(&tests, &tests_size, c));
  AL_TRY(AL_NEW(&c->dataset_of, all));
  AL_TRY(AL_NEW(&c->row_of, all));
  for (size_t i = 0; i < c->datasets_count; i++) add_rows(c, i, tests, tests_size);
  if (c->n == 0) status = al_fail(AL_BAD_INPUT, "%s: no row is left to read", r->path);
done:
  free(tests);
  return status;
}

/* XXH64 of each row that is read, ascending: what `run` holds its test rows against. */
static al_status rows_read(int64_t **out, const al_corpus *c) {
  al_status status = AL_NEW(out, c->n);
  for (size_t i = 0; status == AL_OK && i < c->n; i++)
    (*out)[i] = (int64_t)al_dataset_row_hash(c->datasets[c->dataset_of[i]], c->row_of[i]);
  if (status == AL_OK) qsort(*out, c->n, sizeof **out, by_hash);
  return status;
}

/* ---- training ---- */

typedef struct {
  const al_recipe *recipe;
  al_corpus corpus;
  const al_pretext_type *type;
  al_pretext *pretext;
  const al_torch_api *api;
  al_torch_net *net;
  char *out, *checkpoint;
  char identity[33]; /* of the recipe, the rows that it reads, and the build: what a checkpoint must share */
  size_t steps, done;
  double smooth[AL_PRETEXT_LOSSES]; /* running means of the losses, for the bar */
} run;

static void run_close(run *r) {
  if (r->pretext != NULL) r->type->free(r->pretext);
  if (r->net != NULL) r->api->free(r->net);
  corpus_free(&r->corpus);
  free(r->out);
  free(r->checkpoint);
}

/* The recipe names its data; which rows those are depends on files, split and twins. */
static al_status identify(run *r) {
  const al_corpus *c = &r->corpus;
  char build[33];
  al_status status = al_build_id(build);
  if (status != AL_OK) return status;
  XXH3_state_t *hash = XXH3_createState();
  if (hash == NULL) return al_fail(AL_ENVIRONMENT, "out of memory");
  XXH3_128bits_reset(hash);
  XXH3_128bits_update(hash, build, sizeof build);
  XXH3_128bits_update(hash, r->recipe->digest, sizeof r->recipe->digest);
  for (size_t i = 0; i < c->datasets_count; i++)
    XXH3_128bits_update(hash, c->datasets[i]->digest, sizeof c->datasets[i]->digest);
  XXH3_128bits_update(hash, c->dataset_of, c->n * sizeof *c->dataset_of);
  XXH3_128bits_update(hash, c->row_of, c->n * sizeof *c->row_of);
  XXH128_hash_t digest = XXH3_128bits_digest(hash);
  XXH3_freeState(hash);
  snprintf(r->identity, sizeof r->identity, "%016llx%016llx", (unsigned long long)digest.high64,
           (unsigned long long)digest.low64);
  return AL_OK;
}

static al_status run_open(run *r, const al_recipe *recipe) {
  al_status status;
  const char *out = al_params_string(recipe->resolved, "out");
  char *folder = NULL, device[480];
  *r = (run){.recipe = recipe, .steps = (size_t)al_params_int(recipe->resolved, "steps")};
  r->type = strcmp(al_params_string(al_recipe_get(recipe, "model"), "name"), "bert") == 0 ? &al_pretext_text
                                                                                          : &al_pretext_images;
  AL_TRY(out[0] == '/' ? al_copy_string(&r->out, out) : al_format(&r->out, "%s/%s", recipe->base, out));
  AL_TRY(al_format(&r->checkpoint, "%s.checkpoint", r->out));
  AL_TRY(al_copy_string(&folder, r->out));
  AL_TRY(al_torch_load(&r->api));
  AL_TRY(al_torch_device(r->api, recipe->device, recipe->path, device, sizeof device));
  if (*device != '\0') al_log_notice("pretraining on %s", device);
  AL_TRY(al_folder_make(dirname(folder)));
  AL_TRY(corpus_open(&r->corpus, recipe));
  AL_TRY(identify(r));
  AL_TRY(r->type->open(&r->pretext, recipe, &r->corpus, r->api, &r->net));
  al_rng rng = al_recipe_stream(recipe, "dropout", 0);
  AL_TRY(al_torch_check(r->api, r->api->begin(r->net, al_rng_u64(&rng)), "beginning"));
done:
  free(folder);
  return status;
}

/* Warm-up from 0, then linearly to 0. step counts from 0. */
static double rate_at(const run *r, size_t step) {
  const json_t *train = al_recipe_get(r->recipe, "train");
  double steps = (double)r->steps, warm = al_params_real(train, "warmup") * steps, at = (double)step + 1.0;
  double rate = al_params_real(train, "lr");
  return at < warm ? rate * at / warm : rate * fmax(0.0, (steps - (double)step) / fmax(1.0, steps - warm));
}

static al_status one_step(run *r) {
  double losses[AL_PRETEXT_LOSSES] = {0};
  al_status status = r->type->step(r->pretext, r->done, rate_at(r, r->done), losses);
  if (status != AL_OK) return status;
  for (size_t i = 0; i < AL_PRETEXT_LOSSES; i++) {
    if (!isfinite(losses[i]))
      return al_fail(AL_ENVIRONMENT, "%s: training diverged at step %zu; lower train.lr", r->recipe->path, r->done);
    r->smooth[i] = r->done == 0 ? losses[i] : 0.99 * r->smooth[i] + 0.01 * losses[i];
  }
  r->done++;
  return AL_OK;
}

/* ---- checkpoints: magic, identity, step, losses, the network's state, and a hash of all that ---- */

typedef struct {
  char magic[8], identity[32];
  uint64_t step, size;
  double smooth[AL_PRETEXT_LOSSES];
} checkpoint_head;

static const char magic[8] = {'a', 'l', 'a', 'b', 'p', 'r', 'e', '2'};

static al_status write_checkpoint(const run *r) {
  al_status status;
  al_buffer all = {0};
  void *state = NULL;
  size_t size = r->api->state_size(r->net);
  checkpoint_head head = {.step = r->done, .size = size};
  memcpy(head.magic, magic, sizeof magic);
  memcpy(head.identity, r->identity, sizeof head.identity);
  memcpy(head.smooth, r->smooth, sizeof head.smooth);
  AL_TRY(al_allocate(&state, size, 1));
  AL_TRY(al_torch_check(r->api, r->api->get_state(r->net, state), "reading the network's state"));
  AL_TRY(al_buffer_append(&all, &head, sizeof head));
  AL_TRY(al_buffer_append(&all, state, size));
  uint64_t hash = XXH3_64bits(all.data, all.size);
  AL_TRY(al_buffer_append(&all, &hash, sizeof hash));
  AL_TRY(al_file_write(r->checkpoint, all.data, all.size));
done:
  free(state);
  al_buffer_free(&all);
  return status;
}

/* A checkpoint that is damaged, or of another recipe, other rows or another build, is passed over with a notice: the
 * run starts anew. */
static al_status read_checkpoint(run *r) {
  al_status status;
  char *text = NULL;
  size_t size = 0, wanted = r->api->state_size(r->net);
  checkpoint_head head;
  uint64_t hash;
  struct stat facts;
  if (stat(r->checkpoint, &facts) != 0) return AL_OK;
  bool good = facts.st_size == (off_t)(sizeof head + wanted + sizeof hash);
  if (good) {
    AL_TRY(al_file_read(&text, &size, r->checkpoint, sizeof head + wanted + sizeof hash));
    memcpy(&head, text, sizeof head);
    memcpy(&hash, text + size - sizeof hash, sizeof hash);
    good = memcmp(head.magic, magic, sizeof magic) == 0 && head.size == wanted &&
           memcmp(head.identity, r->identity, sizeof head.identity) == 0 &&
           hash == XXH3_64bits(text, size - sizeof hash) && head.step <= r->steps;
  }
  if (!good) {
    al_log_notice("%s: not a checkpoint of this recipe, its rows and this build; starting anew", r->checkpoint);
    goto done;
  }
  AL_TRY(al_torch_check(r->api, r->api->set_state(r->net, text + sizeof head, wanted), "restoring the network"));
  r->done = (size_t)head.step;
  memcpy(r->smooth, head.smooth, sizeof head.smooth);
  al_log_notice("going on at step %zu of %zu", r->done, r->steps);
done:
  free(text);
  return status;
}

/* ---- the file ---- */

static al_status metadata_of(json_t **out, const run *r) {
  char *recipe = json_dumps(r->recipe->resolved, JSON_COMPACT | JSON_REAL_PRECISION(17));
  json_t *digests = json_array();
  for (size_t i = 0; i < r->corpus.datasets_count; i++) {
    json_int_t rows = 0;
    for (size_t k = 0; k < r->corpus.n; k++) rows += r->corpus.dataset_of[k] == (int32_t)i;
    json_array_append_new(digests,
                          json_pack("{s:s,s:s,s:s,s:I}", "name", r->corpus.datasets[i]->name, "digest",
                                    r->corpus.datasets[i]->digest, "split", r->corpus.splits[i].digest, "rows", rows));
  }
  char *data = json_dumps(digests, JSON_COMPACT);
  json_decref(digests);
  *out = recipe == NULL || data == NULL ? NULL
                                        : json_pack("{s:s,s:s,s:s,s:s}", "format", "pt", "alab", ALAB_VERSION,
                                                    "alab.recipe", recipe, "alab.data", data);
  free(recipe);
  free(data);
  if (*out == NULL) return al_fail(AL_ENVIRONMENT, "out of memory");
  const json_t *model = al_recipe_get(r->recipe, "model");
  if (strcmp(al_params_string(model, "name"), "resnet") == 0 &&
      strcmp(al_params_string(model, "stem"), "imagenet") != 0)
    json_object_set(*out, "alab.stem", json_object_get(model, "stem")); /* a stride is in no shape */
  return AL_OK;
}

static al_status write_weights(const run *r) {
  al_status status;
  al_safetensors_tensor parts[MOST_TENSORS];
  char *names[MOST_TENSORS] = {0};
  float *values[MOST_TENSORS] = {0};
  int64_t *read = NULL;
  json_t *metadata = NULL;
  size_t n = 0, all = r->api->tensors(r->net);
  bool half = strcmp(al_params_string(al_recipe_get(r->recipe, "train"), "precision"), "f16") == 0;
  for (size_t i = 0; i < all && n + 4 < MOST_TENSORS; i++) {
    al_torch_tensor tensor;
    AL_TRY(al_torch_check(r->api, r->api->tensor(r->net, i, &tensor), "tensor"));
    if (!r->type->keeps(tensor.name)) continue;
    AL_TRY(al_copy_string(&names[n], tensor.name));
    AL_TRY(AL_NEW(&values[n], tensor.count));
    AL_TRY(al_torch_check(r->api, r->api->get(r->net, i, values[n]), "reading a tensor"));
    parts[n] = (al_safetensors_tensor){.name = names[n],
                                       .type = half ? AL_SAFETENSORS_F16 : AL_SAFETENSORS_F32,
                                       .dims = tensor.dims,
                                       .count = tensor.count,
                                       .values = values[n]};
    memcpy(parts[n].shape, tensor.shape, sizeof tensor.shape);
    n++;
  }
  n += r->type->extras(r->pretext, parts + n, MOST_TENSORS - n - 1);
  AL_TRY(rows_read(&read, &r->corpus));
  parts[n++] = (al_safetensors_tensor){.name = "alab.rows_read",
                                       .type = AL_SAFETENSORS_I64,
                                       .dims = 1,
                                       .shape = {r->corpus.n},
                                       .count = r->corpus.n,
                                       .values = read};
  AL_TRY(metadata_of(&metadata, r));
  AL_TRY(al_safetensors_write(r->out, parts, n, metadata));
done:
  for (size_t i = 0; i < MOST_TENSORS; i++) {
    free(names[i]);
    free(values[i]);
  }
  free(read);
  json_decref(metadata);
  return status;
}

static void show(const run *r) {
  static const char *const names[AL_PRETEXT_LOSSES] = {"mlm", "bow", "contrastive", "rotation"};
  char detail[80] = "";
  size_t used = 0;
  for (size_t i = 0; i < AL_PRETEXT_LOSSES && used + 24 < sizeof detail; i++)
    if (al_recipe_objective(r->recipe, names[i]) > 0.0)
      used += (size_t)snprintf(detail + used, sizeof detail - used, "%s%s %.3f", used == 0 ? "" : ", ", names[i],
                               r->smooth[i]);
  al_progress_update((double)r->done, detail);
}

al_status al_pretrain_run(const al_recipe *recipe, volatile sig_atomic_t *stop) {
  al_status status;
  run r;
  AL_TRY(run_open(&r, recipe));
  AL_TRY(read_checkpoint(&r));
  double saved = al_seconds();
  al_progress_start("pretraining", (double)r.steps, "steps");
  while (r.done < r.steps) {
    AL_TRY(one_step(&r));
    show(&r);
    if (*stop && r.done < r.steps) {
      AL_TRY(write_checkpoint(&r));
      al_progress_end();
      status = al_fail(AL_INTERRUPTED, "interrupted after step %zu of %zu; go on with: alab pretrain %s", r.done,
                       r.steps, recipe->path);
      goto done;
    }
    if (al_seconds() - saved > seconds_between_checkpoints) {
      AL_TRY(write_checkpoint(&r));
      saved = al_seconds();
    }
  }
  al_progress_end();
  AL_TRY(write_weights(&r));
  unlink(r.checkpoint);
  al_log_notice("wrote %s", r.out);
done:
  run_close(&r);
  return status;
}

al_status al_pretrain_measure(const al_recipe *recipe, double minutes, size_t *steps, double *seconds) {
  al_status status;
  run r;
  double start = al_seconds();
  AL_TRY(run_open(&r, recipe));
  *seconds = al_seconds() - start;
  if (r.steps < WARM_STEPS + MEASURED_STEPS) r.steps = WARM_STEPS + MEASURED_STEPS;
  while (r.done < WARM_STEPS) AL_TRY(one_step(&r)); /* buffers grow, caches fill */
  start = al_seconds();
  while (r.done < WARM_STEPS + MEASURED_STEPS) AL_TRY(one_step(&r));
  double each = (al_seconds() - start) / MEASURED_STEPS;
  *steps = (size_t)fmax(0.0, (60.0 * minutes - *seconds) / each);
done:
  run_close(&r);
  return status;
}
