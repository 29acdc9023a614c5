/* bert: a post-norm encoder (Devlin et al. 2019) with a classification head, fine-tuned whole each round from a cold
 * start. A DistilBERT (Sanh et al. 2019) is one without token types and pooler.
 *
 * Only the token rows that the dataset uses are kept. A row's random start is drawn for its token id, so that keeping
 * fewer rows changes no output. */
#include "model/bert_shape.h"
#include "model/torch_batch.h"
#include "model/torch_train.h"

#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VOCABULARY = AL_BERT_VOCABULARY, UNKNOWN = AL_BERT_UNKNOWN, POSITIONS = AL_BERT_POSITIONS };

extern const al_model_type al_model_bert;

static const al_param train_params[] = {
    AL_TRAIN_PARAMS("0.0005", "20", "0.1", "dropout rate"), AL_TRAIN_ENCODER_PARAMS, {0}};

static const al_param bert_params[] = {
    {.key = "size",
     .type = AL_PARAM_CHOICE,
     .fallback = "null",
     .choices = "tiny|mini|small|base",
     .help = "layers and width (null: the weights' own)"},
    {.key = "weights",
     .type = AL_PARAM_STRING,
     .help = "none (random start, said so), a catalogue name, or a .safetensors file"},
    {.key = "missing",
     .type = AL_PARAM_CHOICE,
     .fallback = "\"error\"",
     .choices = "error|random",
     .help = "tensors the file lacks"},
    {.key = "max_tokens",
     .type = AL_PARAM_INT,
     .fallback = "128",
     .min = 3,
     .max = POSITIONS,
     .help = "WordPieces read of a text"},
    {.key = "pooling",
     .type = AL_PARAM_CHOICE,
     .fallback = "\"cls\"",
     .choices = "cls|mean|pooler",
     .help = "what the head sees"},
    {.key = "mc", .type = AL_PARAM_MAP, .fallback = "{}", .table = al_mc_network_params, .help = "stochastic passes"},
    {.key = "train", .type = AL_PARAM_MAP, .fallback = "{}", .table = train_params, .help = "how it is trained"},
    AL_DEVICE_PARAM,
    AL_ANY_MODEL_PARAMS,
    {0}};

struct al_model {
  al_trainer trainer; /* first: al_trained_fit and its kin read no more than this */
  al_text_feed texts; /* compact: VOCABULARY; row of a token id, or -1 */
  int32_t *token_of;  /* kept rows: their token ids */
  size_t kept;
};

static void free_bert(al_model *model) {
  if (model == NULL) return;
  al_trainer_free(&model->trainer);
  al_text_feed_free(&model->texts);
  free(model->token_of);
  free(model);
}

static al_status check_bert(const json_t *params, al_kind kind, const char *base, const char *where) {
  (void)base;
  if (al_params_string(params, "size") == NULL && strcmp(al_params_string(params, "weights"), "none") == 0)
    return al_fail(AL_BAD_INPUT, "%s.size: weights: none needs a size: tiny, mini, small or base", where);
  if (kind == AL_TEXT) return al_trainer_check(params, kind, where);
  return al_fail(AL_BAD_INPUT, "%s: bert reads text only", where);
}

/* [PAD] is row 0, since that is what a batch is padded with. */
static al_status keep_used_tokens(al_model *model) {
  al_status status;
  AL_TRY(AL_NEW(&model->texts.compact, VOCABULARY));
  AL_TRY(AL_NEW(&model->token_of, VOCABULARY));
  int32_t *compact = model->texts.compact;
  for (size_t id = 0; id < VOCABULARY; id++) compact[id] = -1;
  compact[0] = 0;
  const al_tokens *tokens = model->texts.tokens;
  for (int64_t i = 0; i < tokens->begin[tokens->rows]; i++)
    if (tokens->ids[i] < 0 || tokens->ids[i] >= VOCABULARY)
      return al_fail(AL_BAD_INPUT, "bert: a token id is outside the vocabulary of %d", VOCABULARY);
    else
      compact[tokens->ids[i]] = 0;
  for (size_t id = 0; id < VOCABULARY; id++)
    if (compact[id] == 0) {
      compact[id] = (int32_t)model->kept;
      model->token_of[model->kept++] = (int32_t)id;
    }
done:
  return status;
}

static void draw_bert(const al_torch_tensor *tensor, al_rng rng, float *values, void *context) {
  al_bert_draw(tensor, rng, ((const al_model *)context)->token_of, values);
}

/* The kept rows of the file's table, one by one. A trimmed table's missing ids read as [UNK]. */
static al_status load_table(const al_weights *weights, const char *name, const al_torch_tensor *tensor, float *values,
                            const al_model *model) {
  al_status status = AL_OK;
  int32_t *ids = NULL, *row_of = NULL;
  size_t shape[4], dims, width = tensor->shape[1], n = 0;
  bool trimmed = false;
  if (!al_safetensors_shape(&weights->file, name, shape, &dims) || dims != 2 || shape[1] != width)
    return al_fail(AL_BAD_INPUT, "%s: tensor '%s' is not of width %zu", weights->file.path, name, width);
  AL_TRY(al_safetensors_integers(&weights->file, "alab.token_ids", &ids, &n, &trimmed));
  AL_TRY(AL_NEW(&row_of, VOCABULARY));
  if (shape[0] != (trimmed ? n : VOCABULARY)) {
    status =
        al_fail(AL_BAD_INPUT, "%s: %zu token rows where %zu are expected; only bert-base-uncased's vocabulary is read",
                weights->file.path, shape[0], trimmed ? n : (size_t)VOCABULARY);
    goto done;
  }
  for (size_t id = 0; id < VOCABULARY; id++) row_of[id] = trimmed ? -1 : (int32_t)id;
  for (size_t i = 0; i < n; i++) {
    if (ids[i] < 0 || ids[i] >= VOCABULARY || row_of[ids[i]] >= 0) {
      status =
          al_fail(AL_BAD_INPUT, "%s: alab.token_ids has an id twice or outside the vocabulary", weights->file.path);
      goto done;
    }
    row_of[ids[i]] = (int32_t)i;
  }
  if (row_of[UNKNOWN] < 0) {
    status = al_fail(AL_BAD_INPUT, "%s: alab.token_ids lacks [UNK]", weights->file.path);
    goto done;
  }
  for (size_t row = 0; row < model->kept; row++) {
    int32_t id = model->token_of[row], from = row_of[id] < 0 ? row_of[UNKNOWN] : row_of[id];
    AL_TRY(al_safetensors_part(&weights->file, name, (size_t)from * width, values + row * width, width));
  }
done:
  free(ids);
  free(row_of);
  return status;
}

static al_status load_bert(const al_weights *weights, const al_torch_tensor *tensor, float *values, char used[200],
                           void *context) {
  char name[200];
  size_t shape[4], dims;
  bool found = false;
  if (!al_weights_find_bert(weights, tensor->name, name)) return AL_OK;
  (void)al_safetensors_shape(&weights->file, name, shape, &dims);
  if (strncmp(tensor->name, "classifier.", 11) == 0 && shape[0] != tensor->shape[0]) return AL_OK; /* other classes */
  snprintf(used, 200, "%s", name);
  if (strcmp(tensor->name, "embeddings.word_embeddings.weight") == 0)
    return load_table(weights, name, tensor, values, context);
  return al_safetensors_read(&weights->file, name, values, tensor->count, &found);
}

static al_status fill_text(void *context, const int32_t *rows, size_t n, al_torch_batch *batch) {
  return al_text_batch(&((al_model *)context)->texts, rows, n, batch);
}

static int pooling_of(const char *name) {
  return strcmp(name, "mean") == 0 ? AL_POOL_MEAN : strcmp(name, "pooler") == 0 ? AL_POOL_POOLER : AL_POOL_CLS;
}

/* The network of a configuration, over the tokens that the dataset uses, and its starting values. */
static al_status make_bert(al_model *model, al_torch_config *config, size_t max_tokens, const al_weights *weights,
                           al_missing missing) {
  al_status status;
  al_trainer *t = &model->trainer;
  t->fill = fill_text;
  t->context = model;
  t->head = "classifier.";
  t->idle = config->pooling == AL_POOL_POOLER ? NULL : "pooler.";
  if (max_tokens > config->positions)
    return al_fail(AL_BAD_INPUT, "%s.max_tokens: %zu is more than the %zu positions of the weights", t->source.where,
                   max_tokens, config->positions);
  AL_TRY(al_tokens_open(&model->texts.tokens, t->source.dataset, max_tokens));
  AL_TRY(keep_used_tokens(model));
  config->vocabulary = model->kept;
  t->classes = config->classes;
  t->width = config->width;
  t->length_begin = model->texts.tokens->begin;
  AL_TRY(al_trainer_create(t, config));
  AL_TRY(al_trainer_start(t, weights, missing, draw_bert, load_bert, model));
done:
  return status;
}

static al_torch_config config_of(const al_bert_shape *shape, const char *pooling, const al_dataset *dataset) {
  return (al_torch_config){.kind = AL_TORCH_BERT,
                           .classes = dataset->classes,
                           .positions = shape->positions,
                           .types = shape->types,
                           .width = shape->width,
                           .layers = shape->layers,
                           .heads = shape->heads,
                           .inner = shape->inner,
                           .pooling = pooling_of(pooling)};
}

static al_status open_bert(al_model **out, const json_t *params, const al_model_source *source) {
  al_status status;
  al_model *model = NULL;
  al_weights weights = {0};
  al_bert_shape shape = {.positions = POSITIONS, .types = 2};
  bool none = false;
  const char *wanted = al_params_string(params, "size");
  al_torch_config named = {0};
  *out = NULL;
  AL_TRY(AL_NEW(&model, 1));
  model->trainer.source = *source;
  AL_TRY(al_weights_of_params(&weights, &none, params, source));
  if (!none) AL_TRY(al_weights_bert(&weights, &shape));
  AL_TRY(al_weights_pooling(&shape, al_params_string(params, "pooling"), source->where));
  if (wanted != NULL) named = al_bert_config(wanted, 0, 0);
  if (none) {
    shape.layers = named.layers;
    shape.width = named.width;
    shape.heads = named.heads;
    shape.inner = named.inner;
  } else if (wanted != NULL && (shape.layers != named.layers || shape.width != named.width)) {
    status = al_fail(AL_BAD_INPUT, "%s.size: %s, but the weights have %zu layers of width %zu; leave size out",
                     source->where, wanted, shape.layers, shape.width);
    goto done;
  }
  al_torch_config config = config_of(&shape, al_params_string(params, "pooling"), source->dataset);
  config.device = al_torch_device_of(al_params_string(params, "device"));
  AL_TRY(al_trainer_configure(&model->trainer, params, &config));
  bool random = strcmp(al_params_string(params, "missing"), "random") == 0;
  AL_TRY(make_bert(model, &config, (size_t)al_params_int(params, "max_tokens"), none ? NULL : &weights,
                   random ? AL_MISSING_RANDOM : AL_MISSING_ERROR));
  *out = model;
  model = NULL;
done:
  al_weights_close(&weights);
  free_bert(model);
  return status;
}

al_status al_bert_encoder(al_model **out, const al_weights *weights, const char *pooling, size_t max_tokens, int device,
                          const al_model_source *source) {
  al_status status;
  al_model *model = NULL;
  al_bert_shape shape;
  *out = NULL;
  AL_TRY(AL_NEW(&model, 1));
  AL_TRY(al_weights_bert(weights, &shape));
  model->trainer.source = *source;
  model->trainer.source.announce = false; /* that the head is missing is how it should be */
  model->trainer.batch_size = 32;
  al_torch_config config = config_of(&shape, pooling, source->dataset);
  config.device = device;
  AL_TRY(make_bert(model, &config, max_tokens, weights, AL_MISSING_HEAD));
  AL_TRY(al_trainer_reset(&model->trainer));
  *out = model;
  model = NULL;
done:
  free_bert(model);
  return status;
}

static unsigned gives_of_bert(const json_t *params, const char *base) {
  (void)base;
  return al_trainer_gives(al_model_bert.gives, params);
}

const al_model_type al_model_bert = {
    .name = "bert",
    .summary = "post-norm Transformer encoder with a classification head, fine-tuned; sizes tiny, mini, small, base",
    .citation = "Devlin et al. 2019; sizes: Turc et al. 2019; DistilBERT: Sanh et al. 2019",
    .fine_tuned = true,
    .gives = AL_GIVES_PROBS | AL_GIVES_EMBEDDINGS | AL_GIVES_MC | AL_GIVES_HEAD,
    .params = bert_params,
    .check = check_bert,
    .settings = al_weights_settings,
    .files = {"weights"},
    .open = open_bert,
    .fit = al_trained_fit,
    .predict = al_trained_predict,
    .head = al_trained_head,
    .passes = al_trained_passes,
    .weights_hash = al_trained_weights,
    .device = al_trained_device,
    .gives_of = gives_of_bert,
    .notes = al_trained_notes,
    .chained = al_trained_chained,
    .save = al_trained_save,
    .load = al_trained_load,
    .free = free_bert,
};
