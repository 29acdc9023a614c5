/* bert: a post-norm encoder (Devlin et al. 2019) with a classification head, fine-tuned whole each round from a cold
 * start.
 *
 * Only the token rows that the dataset uses are kept. A row's random start is drawn for its token id, so that keeping
 * fewer rows changes no output. */
#include "model/torch_train.h"

#include "base/memory.h"
#include "model/safetensors.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VOCABULARY = 30522, POSITIONS = 512 };

static const al_param train_params[] = {AL_TRAIN_PARAMS("0.0005", "0.1", "dropout rate"), {0}};

static const al_param bert_params[] = {
    {.key = "size",
     .type = AL_PARAM_CHOICE,
     .fallback = "\"tiny\"",
     .choices = "tiny|mini|small|base",
     .help = "layers and width"},
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
    {.key = "mc", .type = AL_PARAM_MAP, .fallback = "{}", .table = al_mc_dropout_params, .help = "stochastic passes"},
    {.key = "train", .type = AL_PARAM_MAP, .fallback = "{}", .table = train_params, .help = "how it is trained"},
    {0}};

static const struct {
  const char *name;
  size_t layers, width, heads;
} sizes[] = {{"tiny", 2, 128, 2}, {"mini", 4, 256, 4}, {"small", 4, 512, 8}, {"base", 12, 768, 12}};

struct al_model {
  al_trainer trainer;
  al_tokens *tokens;
  int32_t *compact;  /* VOCABULARY: row of a token id, or -1 */
  int32_t *token_of; /* kept rows: their token ids */
  size_t kept;
  int32_t *ids; /* of the batch at hand */
  int64_t *begin;
  size_t id_capacity, begin_capacity;
  float *head, *bias;
};

static void free_bert(al_model *model) {
  if (model == NULL) return;
  al_trainer_free(&model->trainer);
  al_tokens_free(model->tokens);
  free(model->compact);
  free(model->token_of);
  free(model->ids);
  free(model->begin);
  free(model->head);
  free(model->bias);
  free(model);
}

static al_status check_bert(const json_t *params, al_kind kind, const char *where) {
  (void)params;
  return kind == AL_TEXT ? AL_OK : al_fail(AL_BAD_INPUT, "%s: bert reads text only", where);
}

/* [PAD] is row 0, since that is what a batch is padded with. */
static al_status keep_used_tokens(al_model *model) {
  al_status status;
  AL_TRY(AL_NEW(&model->compact, VOCABULARY));
  AL_TRY(AL_NEW(&model->token_of, VOCABULARY));
  for (size_t id = 0; id < VOCABULARY; id++) model->compact[id] = -1;
  model->compact[0] = 0;
  const al_tokens *tokens = model->tokens;
  for (int64_t i = 0; i < tokens->begin[tokens->rows]; i++)
    if (tokens->ids[i] < 0 || tokens->ids[i] >= VOCABULARY)
      return al_fail(AL_BAD_INPUT, "bert: a token id is outside the vocabulary of %d", VOCABULARY);
    else
      model->compact[tokens->ids[i]] = 0;
  for (size_t id = 0; id < VOCABULARY; id++)
    if (model->compact[id] == 0) {
      model->compact[id] = (int32_t)model->kept;
      model->token_of[model->kept++] = (int32_t)id;
    }
done:
  return status;
}

static bool ends_with(const char *text, const char *end) {
  size_t n = strlen(text), m = strlen(end);
  return n >= m && strcmp(text + n - m, end) == 0;
}

/* N(0, 0.02) for matrices, 1 for norms' weights, 0 for biases: BERT's own start. */
static void draw_bert(const al_torch_tensor *tensor, al_rng rng, float *values, void *context) {
  const al_model *model = context;
  if (strcmp(tensor->name, "embeddings.word_embeddings.weight") == 0) {
    size_t width = tensor->shape[1];
    for (size_t row = 0; row < tensor->shape[0]; row++) {
      al_rng of_token = al_rng_child(&rng, (uint64_t)model->token_of[row]);
      for (size_t c = 0; c < width; c++) values[row * width + c] = (float)(0.02 * al_rng_normal(&of_token));
    }
    return;
  }
  bool norm = strstr(tensor->name, "LayerNorm.weight") != NULL;
  for (size_t i = 0; i < tensor->count; i++)
    values[i] = norm ? 1.0F : tensor->dims > 1 ? (float)(0.02 * al_rng_normal(&rng)) : 0.0F;
}

/* Also under "bert.", and gamma / beta for norms. */
static al_status read_named(const al_safetensors *file, const char *name, float *values, size_t count, bool *found) {
  al_status status = AL_OK;
  static const char *const prefixes[] = {"", "bert."};
  for (size_t p = 0; p < 2; p++)
    for (int old = 0; old < 2; old++) {
      char tried[200];
      snprintf(tried, sizeof tried, "%s%s", prefixes[p], name);
      if (old) {
        const char *ending = ends_with(name, "LayerNorm.weight") ? ".gamma"
                             : ends_with(name, "LayerNorm.bias") ? ".beta"
                                                                 : NULL;
        if (ending == NULL) continue;
        char *dot = strrchr(tried, '.');
        snprintf(dot, sizeof tried - (size_t)(dot - tried), "%s", ending);
      }
      AL_TRY(al_safetensors_read(file, tried, values, count, found));
      if (*found) return AL_OK;
    }
done:
  return status;
}

static al_status load_bert(const void *context_file, const al_torch_tensor *tensor, float *values, bool *found,
                           void *context) {
  const al_safetensors *file = context_file;
  const al_model *model = context;
  if (strcmp(tensor->name, "embeddings.word_embeddings.weight") != 0)
    return read_named(file, tensor->name, values, tensor->count, found);
  size_t width = tensor->shape[1];
  float *whole = NULL;
  al_status status = AL_NEW(&whole, VOCABULARY * width);
  if (status == AL_OK) status = read_named(file, tensor->name, whole, VOCABULARY * width, found);
  for (size_t row = 0; status == AL_OK && *found && row < model->kept; row++)
    memcpy(values + row * width, whole + (size_t)model->token_of[row] * width, width * sizeof *values);
  free(whole);
  return status;
}

static al_status fill_text(void *context, const int32_t *rows, size_t n, al_torch_batch *batch) {
  al_model *model = context;
  al_status status;
  size_t total = 0;
  AL_TRY(al_grow(&model->begin, &model->begin_capacity, n + 1, sizeof *model->begin));
  model->begin[0] = 0;
  for (size_t i = 0; i < n; i++) {
    int64_t from = model->tokens->begin[rows[i]], to = model->tokens->begin[rows[i] + 1];
    AL_TRY(al_grow(&model->ids, &model->id_capacity, total + (size_t)(to - from), sizeof *model->ids));
    for (int64_t p = from; p < to; p++) model->ids[total++] = model->compact[model->tokens->ids[p]];
    model->begin[i + 1] = (int64_t)total;
  }
  *batch = (al_torch_batch){.n = n, .ids = model->ids, .begin = model->begin};
done:
  return status;
}

static al_status open_bert(al_model **out, const json_t *params, const al_model_source *source) {
  al_status status;
  al_model *model = NULL;
  char path[PATH_MAX];
  bool none = false;
  const char *pooling = al_params_string(params, "pooling");
  size_t size = 0;
  *out = NULL;
  AL_TRY(AL_NEW(&model, 1));
  al_trainer *t = &model->trainer;
  t->source = *source;
  t->fill = fill_text;
  t->context = model;
  AL_TRY(al_weights_path(al_params_string(params, "weights"), path, sizeof path, &none));
  AL_TRY(al_tokens_open(&model->tokens, source->dataset, (size_t)al_params_int(params, "max_tokens")));
  AL_TRY(keep_used_tokens(model));
  while (strcmp(sizes[size].name, al_params_string(params, "size")) != 0) size++;
  al_torch_config config = {.kind = AL_TORCH_BERT,
                            .classes = source->dataset->classes,
                            .vocabulary = model->kept,
                            .positions = POSITIONS,
                            .types = 2,
                            .width = sizes[size].width,
                            .layers = sizes[size].layers,
                            .heads = sizes[size].heads,
                            .inner = 4 * sizes[size].width,
                            .pooling = strcmp(pooling, "mean") == 0     ? AL_POOL_MEAN
                                       : strcmp(pooling, "pooler") == 0 ? AL_POOL_POOLER
                                                                        : AL_POOL_CLS};
  al_trainer_configure(t, json_object_get(params, "train"), json_object_get(params, "mc"), &config);
  t->classes = config.classes;
  t->width = config.width;
  t->length_begin = model->tokens->begin;
  AL_TRY(AL_NEW(&model->head, t->classes * t->width));
  AL_TRY(AL_NEW(&model->bias, t->classes));
  AL_TRY(al_torch_load(&t->api));
  AL_TRY(al_torch_check(t->api, t->api->create(&t->net, &config), "making the network"));
  AL_TRY(al_trainer_start(t, none ? NULL : path, strcmp(al_params_string(params, "missing"), "random") == 0, draw_bert,
                          load_bert, model));
  *out = model;
  model = NULL;
done:
  free_bert(model);
  return status;
}

static al_status fit_bert(al_model *model, const al_training *training) {
  return al_trainer_fit(&model->trainer, training);
}

static al_status predict_bert(al_model *model, const int32_t *rows, size_t n, const al_prediction *out) {
  return al_trainer_predict(&model->trainer, rows, n, out);
}

static al_status head_of_bert(al_model *model, const float **weights, const float **bias, size_t *width) {
  *weights = model->head;
  *bias = model->bias;
  *width = model->trainer.width;
  return al_trainer_head(&model->trainer, "classifier", model->head, model->bias);
}

static size_t passes_of_bert(const al_model *model) { return model->trainer.passes; }
static const char *weights_of_bert(const al_model *model) {
  return model->trainer.weights[0] == '\0' ? NULL : model->trainer.weights;
}

const al_model_type al_model_bert = {
    .name = "bert",
    .summary = "post-norm Transformer encoder with a classification head, fine-tuned; sizes tiny, mini, small, base",
    .citation = "Devlin et al. 2019; sizes: Turc et al. 2019",
    .fine_tuned = true,
    .gives = AL_GIVES_PROBS | AL_GIVES_EMBEDDINGS | AL_GIVES_MC | AL_GIVES_HEAD,
    .params = bert_params,
    .check = check_bert,
    .open = open_bert,
    .fit = fit_bert,
    .predict = predict_bert,
    .head = head_of_bert,
    .passes = passes_of_bert,
    .weights_hash = weights_of_bert,
    .free = free_bert,
};
