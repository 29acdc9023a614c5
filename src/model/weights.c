/* Finding weights and reading what they are of. */
#include "model/weights.h"

#include "base/file.h"
#include "base/memory.h"
#include "data/catalogue.h"
#include "torch/al_torch.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

enum { MOST_CONFIG = 1 << 20, MOST_LAYERS = 96 };

static bool ends_with(const char *text, const char *end) {
  size_t n = strlen(text), m = strlen(end);
  return n >= m && strcmp(text + n - m, end) == 0;
}

static bool is_file(const char *given) { return strchr(given, '/') != NULL || ends_with(given, ".safetensors"); }

static al_status unknown_weights(const char *given, const json_t *catalogue) {
  enum { MOST = 100 };
  const char *names[MOST], *key;
  size_t n = 0;
  json_t *entry;
  json_object_foreach(json_object_get(catalogue, "models"), key, entry) if (n < MOST) names[n++] = key;
  const char *nearest = al_nearest(given, names, n);
  return al_fail(AL_BAD_INPUT, "unknown weights '%s'%s%s%s; see alab list models, or give a .safetensors file", given,
                 nearest == NULL ? "" : "; did you mean '", nearest == NULL ? "" : nearest,
                 nearest == NULL ? "" : "'?");
}

static al_status find_path(char path[PATH_MAX], const char *given, const char *base) {
  if (is_file(given)) {
    int length = base == NULL || *given == '/' ? snprintf(path, PATH_MAX, "%s", given)
                                               : snprintf(path, PATH_MAX, "%s/%s", base, given);
    return length < PATH_MAX ? AL_OK : al_fail(AL_BAD_INPUT, "%s: the path is too long", given);
  }
  const json_t *catalogue = NULL;
  const char *section = NULL;
  al_status status = al_catalogue(&catalogue);
  if (status != AL_OK) return status;
  if (al_catalogue_find(catalogue, given, &section) == NULL || strcmp(section, "models") != 0)
    return unknown_weights(given, catalogue);
  return al_fetch_model_file(path, PATH_MAX, given, "model.safetensors");
}

al_status al_weights_open(al_weights *out, const char *given, const char *base) {
  al_status status;
  char path[PATH_MAX], *text = NULL;
  size_t size = 0;
  json_error_t error;
  *out = (al_weights){0};
  AL_TRY(find_path(path, given, base));
  AL_TRY(al_copy_string(&out->name, given));
  AL_TRY(al_safetensors_open(&out->file, path));
  char *slash = strrchr(path, '/');
  size_t folder = slash == NULL ? 0 : (size_t)(slash + 1 - path);
  snprintf(path + folder, sizeof path - folder, "config.json");
  if (!al_file_exists(path)) {
    out->config = json_object();
  } else {
    AL_TRY(al_file_read(&text, &size, path, MOST_CONFIG));
    out->config = json_loadb(text, size, 0, &error);
    if (!json_is_object(out->config)) {
      status = al_fail(AL_BAD_INPUT, "%s:%d: not a JSON object", path, error.line);
      goto done;
    }
  }
done:
  free(text);
  if (status != AL_OK) al_weights_close(out);
  return status;
}

void al_weights_close(al_weights *weights) {
  al_safetensors_close(&weights->file);
  json_decref(weights->config);
  free(weights->name);
  *weights = (al_weights){0};
}

/* ---- identity ---- */

static al_status check_installed(const char *name) {
  const json_t *catalogue = NULL;
  al_installed installed;
  al_status status = al_catalogue(&catalogue);
  if (status == AL_OK) status = al_installed_find(&installed, name, al_catalogue_find(catalogue, name, NULL));
  return status == AL_OK && installed.n != 0 ? al_installed_verify(&installed, name) : status;
}

/* Kept for the process and those it forks: a grid asks once a cell, and a file may have half a gigabyte. */
typedef struct {
  struct timespec changed;
  dev_t device;
  ino_t inode;
  off_t size;
  char digest[33];
} known_file;

al_status al_weights_digest(const al_weights *weights, char hex[33]) {
  enum { KEPT = 16 };
  static known_file known[KEPT];
  static size_t next;
  struct stat facts;
  if (stat(weights->file.path, &facts) != 0) return al_fail_errno("cannot read %s", weights->file.path);
  for (size_t i = 0; i < KEPT; i++) {
    const known_file *k = &known[i];
    if (*k->digest == '\0' || k->device != facts.st_dev || k->inode != facts.st_ino || k->size != facts.st_size ||
        k->changed.tv_sec != facts.st_mtim.tv_sec || k->changed.tv_nsec != facts.st_mtim.tv_nsec)
      continue;
    memcpy(hex, k->digest, sizeof k->digest);
    return AL_OK;
  }
  if (!is_file(weights->name)) {
    al_status status = check_installed(weights->name);
    if (status != AL_OK) return status;
  }
  al_safetensors_digest(&weights->file, hex);
  known_file *k = &known[next++ % KEPT];
  *k = (known_file){facts.st_mtim, facts.st_dev, facts.st_ino, facts.st_size, ""};
  memcpy(k->digest, hex, sizeof k->digest);
  return AL_OK;
}

al_status al_weights_identity(char hex[33], const char *given, const char *base) {
  static const char *const read[] = {"num_attention_heads", "hidden_act",     "layer_norm_eps", "pretraining_mean",
                                     "pretraining_std",     "pretrained_cfg", "n_heads",        "activation"};
  al_status status;
  al_weights weights;
  json_t *facts = NULL;
  char digest[33], *text = NULL;
  AL_TRY(al_weights_open(&weights, given, base));
  AL_TRY(al_weights_digest(&weights, digest));
  facts = json_pack("{s:s}", "file", digest);
  for (size_t i = 0; i < sizeof read / sizeof *read; i++)
    if (json_object_get(weights.config, read[i]) != NULL)
      json_object_set(facts, read[i], json_object_get(weights.config, read[i]));
  text = json_dumps(facts, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(17));
  if (text == NULL) {
    status = al_fail(AL_ENVIRONMENT, "out of memory");
    goto done;
  }
  XXH128_hash_t hash = XXH3_128bits(text, strlen(text));
  snprintf(hex, 33, "%016llx%016llx", (unsigned long long)hash.high64, (unsigned long long)hash.low64);
done:
  free(text);
  json_decref(facts);
  al_weights_close(&weights);
  return status;
}

/* ---- what the tensors are of ---- */

/* Is the encoder a DistilBERT's? Its layers have names of their own. */
static bool is_distilled(const al_weights *weights) {
  size_t shape[4], dims;
  return al_safetensors_shape(&weights->file, "distilbert.transformer.layer.0.ffn.lin1.weight", shape, &dims) ||
         al_safetensors_shape(&weights->file, "transformer.layer.0.ffn.lin1.weight", shape, &dims);
}

/* DistilBERT's name for a tensor of a BERT. False: it has no such tensor. Its classifier is none of ours: it reads what
 * a layer of its own (pre_classifier) makes of the state. */
static bool distilled_name(const char *name, char out[200]) {
  static const char *const parts[][2] = {{"attention.self.query.", "attention.q_lin."},
                                         {"attention.self.key.", "attention.k_lin."},
                                         {"attention.self.value.", "attention.v_lin."},
                                         {"attention.output.dense.", "attention.out_lin."},
                                         {"attention.output.LayerNorm.", "sa_layer_norm."},
                                         {"intermediate.dense.", "ffn.lin1."},
                                         {"output.dense.", "ffn.lin2."},
                                         {"output.LayerNorm.", "output_layer_norm."}};
  static const char layers[] = "encoder.layer.";
  if (strncmp(name, "embeddings.", 11) == 0) {
    snprintf(out, 200, "%s", name);
    return strstr(name, "token_type") == NULL;
  }
  if (strncmp(name, layers, sizeof layers - 1) != 0) return false;
  const char *number = name + sizeof layers - 1, *part = strchr(number, '.');
  for (size_t i = 0; part != NULL && i < sizeof parts / sizeof *parts; i++) {
    size_t length = strlen(parts[i][0]);
    if (strncmp(part + 1, parts[i][0], length) != 0) continue;
    snprintf(out, 200, "transformer.layer.%.*s.%s%s", (int)(part - number), number, parts[i][1], part + 1 + length);
    return true;
  }
  return false;
}

bool al_weights_find_bert(const al_weights *weights, const char *name, char found[200]) {
  bool distilled = is_distilled(weights);
  const char *const prefixes[] = {"", distilled ? "distilbert." : "bert."};
  char own[200];
  size_t shape[4], dims;
  if (!distilled) snprintf(own, sizeof own, "%s", name);
  if (distilled && !distilled_name(name, own)) return false;
  for (size_t p = 0; p < 2; p++)
    for (int old = 0; old < 2; old++) {
      snprintf(found, 200, "%s%s", prefixes[p], own);
      if (old) {
        const char *ending = ends_with(name, "LayerNorm.weight") ? ".gamma"
                             : ends_with(name, "LayerNorm.bias") ? ".beta"
                                                                 : NULL;
        if (ending == NULL) continue;
        char *dot = strrchr(found, '.');
        snprintf(dot, 200 - (size_t)(dot - found), "%s", ending);
      }
      if (al_safetensors_shape(&weights->file, found, shape, &dims)) return true;
    }
  return false;
}

/* Shape of a matrix of a BERT; false when it is not there or no matrix. */
static bool bert_matrix(const al_weights *weights, const char *name, size_t *rows, size_t *cols) {
  char found[200];
  size_t shape[4], dims = 0;
  if (!al_weights_find_bert(weights, name, found)) return false;
  if (!al_safetensors_shape(&weights->file, found, shape, &dims) || dims != 2) return false;
  *rows = shape[0];
  *cols = shape[1];
  return true;
}

static al_status not_of(const al_weights *weights, const char *what, const char *why) {
  return al_fail(AL_BAD_INPUT, "%s: not the weights of a %s: %s", weights->file.path, what, why);
}

al_status al_weights_bert(const al_weights *weights, al_bert_shape *out) {
  size_t shape[4], dims, width = 0;
  *out = (al_bert_shape){.distilled = is_distilled(weights)};
  if (!bert_matrix(weights, "embeddings.word_embeddings.weight", &out->vocabulary, &out->width) ||
      !bert_matrix(weights, "embeddings.position_embeddings.weight", &out->positions, &width) ||
      (!out->distilled && !bert_matrix(weights, "embeddings.token_type_embeddings.weight", &out->types, &width)) ||
      !bert_matrix(weights, "encoder.layer.0.intermediate.dense.weight", &out->inner, &width))
    return not_of(weights, "BERT", "its embeddings and layers are not there");
  if (out->width == 0 || out->inner == 0) return not_of(weights, "BERT", "its width is 0");
  for (size_t rows; out->layers < MOST_LAYERS; out->layers++) {
    char name[100];
    snprintf(name, sizeof name, "encoder.layer.%zu.intermediate.dense.weight", out->layers);
    if (!bert_matrix(weights, name, &rows, &width)) break;
  }
  out->trimmed = al_safetensors_shape(&weights->file, "alab.token_ids", shape, &dims);
  /* only config.json says how many heads share the width; all of Google's sizes have 64 numbers a head */
  const json_t *heads = json_object_get(weights->config, out->distilled ? "n_heads" : "num_attention_heads");
  out->heads = json_is_integer(heads) && json_integer_value(heads) > 0 ? (size_t)json_integer_value(heads)
                                                                       : (out->width + 63) / 64;
  if (out->width % out->heads != 0)
    return not_of(weights, "BERT",
                  "its width is no multiple of its heads; config.json must say num_attention_heads, or n_heads for "
                  "a DistilBERT");
  const json_t *activation = json_object_get(weights->config, out->distilled ? "activation" : "hidden_act");
  if (activation != NULL && (!json_is_string(activation) || strcmp(json_string_value(activation), "gelu") != 0))
    return not_of(weights, "BERT that alab has", "config.json says another activation than gelu");
  const json_t *epsilon = json_object_get(weights->config, "layer_norm_eps");
  if (epsilon != NULL && json_number_value(epsilon) > 1e-11)
    return not_of(weights, "BERT that alab has", "config.json says another layer_norm_eps than 1e-12");
  return AL_OK;
}

al_status al_weights_pooling(const al_bert_shape *shape, const char *pooling, const char *where) {
  if (!shape->distilled || strcmp(pooling, "pooler") != 0) return AL_OK;
  return al_fail(AL_BAD_INPUT, "%s.pooling: a DistilBERT has no pooler; give cls or mean", where);
}

/* Three numbers, or one of each channel of a grey network. */
static bool read_channels(const json_t *list, size_t channels, double out[3]) {
  if (json_array_size(list) != channels) return false;
  for (size_t c = 0; c < channels; c++) {
    out[c] = json_number_value(json_array_get(list, c));
    if (!json_is_number(json_array_get(list, c))) return false;
  }
  return true;
}

/* torchvision's and timm's names are alike. */
al_status al_weights_resnet(const al_weights *weights, al_resnet_shape *out) {
  static const double imagenet[2][3] = {{0.485, 0.456, 0.406}, {0.229, 0.224, 0.225}};
  static const size_t blocks[2][4] = {{2, 2, 2, 2}, {3, 4, 6, 3}};
  const al_safetensors *file = &weights->file;
  size_t stem[4], shape[4], dims;
  char name[100];
  *out = (al_resnet_shape){0};
  if (!al_safetensors_shape(file, "conv1.weight", stem, &dims) || dims != 4)
    return not_of(weights, "ResNet", "it has no conv1.weight");
  if (!al_safetensors_shape(file, "layer1.0.conv1.weight", shape, &dims) || dims != 4)
    return not_of(weights, "ResNet", "it has no layer1.0.conv1.weight");
  if (stem[0] == 0) return not_of(weights, "ResNet", "its stem has no channels");
  out->width = stem[0];
  out->channels = stem[1];
  bool deep = al_safetensors_shape(file, "layer1.0.conv3.weight", shape, &dims);
  out->depth = deep ? 50 : 18;
  for (size_t s = 0; s < 4; s++) {
    size_t found = 0;
    for (;; found++) {
      snprintf(name, sizeof name, "layer%zu.%zu.conv1.weight", s + 1, found);
      if (found > 64 || !al_safetensors_shape(file, name, shape, &dims)) break;
    }
    if (found == 0) break;
    if (found != blocks[deep][s])
      return not_of(weights, deep ? "ResNet-50" : "ResNet-18", "a stage has another number of blocks");
    out->stages++;
  }
  if (out->channels != 1 && out->channels != 3) return not_of(weights, "ResNet", "it sees neither 1 nor 3 channels");
  const json_t *ours = json_object_get(json_object_get(file->header, "__metadata__"), "alab.stem");
  const char *said = json_string_value(ours);
  if (stem[2] == 7 && stem[3] == 7)
    out->stem = AL_STEM_IMAGENET;
  else if (stem[2] == 3 && stem[3] == 3 && said != NULL && strcmp(said, "3x3s1") == 0)
    out->stem = AL_STEM_3X3S1;
  else if (stem[2] == 3 && stem[3] == 3 && said != NULL && strcmp(said, "3x3s2") == 0)
    out->stem = AL_STEM_3X3S2;
  else
    return not_of(weights, "ResNet", "its stem is neither 7x7 nor a 3x3 whose stride the metadata alab.stem tells");
  /* the mirror's config.json, then timm's; without either those of ImageNet, or mid-grey for a grey network */
  const json_t *timm = json_object_get(weights->config, "pretrained_cfg");
  const json_t *means[] = {json_object_get(weights->config, "pretraining_mean"), json_object_get(timm, "mean")};
  const json_t *deviations[] = {json_object_get(weights->config, "pretraining_std"), json_object_get(timm, "std")};
  for (size_t c = 0; c < 3; c++) {
    out->mean[c] = out->channels == 3 ? imagenet[0][c] : 0.5;
    out->deviation[c] = out->channels == 3 ? imagenet[1][c] : 0.5;
  }
  for (size_t i = 0; i < 2; i++) {
    if (means[i] == NULL && deviations[i] == NULL) continue;
    if (!read_channels(means[i], out->channels, out->mean) ||
        !read_channels(deviations[i], out->channels, out->deviation))
      return not_of(weights, "ResNet", "config.json does not give a mean and a deviation for each channel");
    break;
  }
  for (size_t c = 0; c < out->channels; c++)
    if (!(out->deviation[c] > 0.0))
      return not_of(weights, "ResNet", "config.json gives a deviation that is not positive");
  return AL_OK;
}

al_status al_weights_kind(const al_weights *weights, al_kind *kind) {
  al_bert_shape bert;
  al_resnet_shape resnet;
  size_t shape[4], dims;
  *kind = AL_IMAGE;
  if (al_safetensors_shape(&weights->file, "conv1.weight", shape, &dims)) return al_weights_resnet(weights, &resnet);
  *kind = AL_TEXT;
  return al_weights_bert(weights, &bert);
}

static int by_value(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

al_status al_weights_check_test(const al_weights *weights, const al_dataset *dataset, const al_split *split,
                                const char *where) {
  int64_t *read = NULL;
  size_t n = 0, leaked = 0;
  bool found = false;
  al_status status = al_safetensors_wide(&weights->file, "alab.rows_read", &read, &n, &found);
  if (status != AL_OK || !found) return status;
  qsort(read, n, sizeof *read, by_value); /* a stranger's file may lie about its order */
  for (size_t i = 0; i < split->test_size; i++) {
    int64_t hash = (int64_t)al_dataset_row_hash(dataset, split->test[i]);
    leaked += bsearch(&hash, read, n, sizeof *read, by_value) != NULL;
  }
  free(read);
  if (leaked == 0) return AL_OK;
  return al_fail(AL_BAD_INPUT,
                 "%s: %s has read %zu of the %zu test rows of %s while it was pretrained; pretrain it with split_seed: "
                 "the study's seed",
                 where, weights->file.path, leaked, split->test_size, dataset->name);
}
