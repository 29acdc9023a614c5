/* BERT's batches: segments of documents, what is masked in them, which words are candidates, what a document's bag
 * weighs.
 *
 * With a contrastive objective a batch is pairs of segments of one document, cut at a random place; otherwise single
 * segments. Segments begin at their part's start half of the time (fine-tuning reads the start of a text) and anywhere
 * else the other half. Words are masked whole (Devlin et al.'s later release). */
#include "model/pretrain_private.h"

#include "base/memory.h"
#include "data/features.h"
#include "model/bert_shape.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST = 512, PAIR_FROM = 32 };

struct al_pretext {
  const al_recipe *recipe;
  const al_torch_api *api;
  al_torch_net *net;
  /* documents: WordPieces without [CLS] and [SEP], as rows of the kept vocabulary */
  int64_t *begin; /* n + 1 */
  int32_t *ids, *order;
  size_t n, epoch;
  int32_t *token_of;  /* kept rows: their token ids */
  uint8_t *continues; /* kept rows: the piece goes on a word */
  double *idf;        /* kept rows */
  size_t kept;
  int32_t cls, sep, mask; /* kept rows */
  size_t batch, segment, least_candidates;
  double share, weights[3];
  double temperature;
  /* the batch at hand */
  int32_t *batch_ids, *targets, *candidates, *index_of, *bag, *words;
  int64_t *batch_begin, *positions, *bag_begin;
  float *shares;
  size_t candidate_count, masked, bag_size, bag_capacity, shares_capacity;
};

static void close_text(al_pretext *p) {
  if (p == NULL) return;
  void *blocks[] = {p->begin,       p->ids,       p->order,      p->token_of, p->continues, p->idf,
                    p->batch_ids,   p->targets,   p->candidates, p->index_of, p->bag,       p->words,
                    p->batch_begin, p->positions, p->bag_begin,  p->shares};
  for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) free(blocks[i]);
  free(p);
}

/* ---- documents ---- */

/* WordPieces of every train row of every dataset, [CLS] and [SEP] taken off; ids are token ids still. */
static al_status read_documents(al_pretext *p, const al_corpus *corpus) {
  al_status status;
  al_tokens **tokens = NULL;
  size_t total = 0;
  AL_TRY(AL_NEW(&tokens, corpus->datasets_count));
  AL_TRY(AL_NEW(&p->begin, corpus->n + 1));
  AL_TRY(AL_NEW(&p->order, corpus->n));
  for (size_t i = 0; i < corpus->datasets_count; i++) AL_TRY(al_tokens_open(&tokens[i], corpus->datasets[i], LONGEST));
  for (int pass = 0; pass < 2; pass++) { /* count, then copy */
    p->n = total = 0;
    for (size_t i = 0; i < corpus->n; i++) {
      const al_tokens *t = tokens[corpus->dataset_of[i]];
      int64_t from = t->begin[corpus->row_of[i]] + 1, to = t->begin[corpus->row_of[i] + 1] - 1;
      if (to <= from) continue; /* a text without a word teaches nothing */
      if (pass == 1) memcpy(p->ids + total, t->ids + from, (size_t)(to - from) * sizeof *p->ids);
      total += (size_t)(to - from);
      p->begin[++p->n] = (int64_t)total;
    }
    if (pass == 0) AL_TRY(AL_NEW(&p->ids, total));
  }
  if (p->n < p->batch) status = al_fail(AL_BAD_INPUT, "%s: fewer documents than a batch", p->recipe->path);
done:
  for (size_t i = 0; tokens != NULL && i < corpus->datasets_count; i++) al_tokens_free(tokens[i]);
  free(tokens);
  return status;
}

/* Keeps the tokens that stand in the documents, and BERT's special ones; ids become kept rows. */
static al_status keep_tokens(al_pretext *p) {
  static const int32_t special[] = {AL_BERT_PAD, AL_BERT_UNKNOWN, AL_BERT_CLS, AL_BERT_SEP, AL_BERT_MASK};
  al_status status;
  int32_t *row_of = NULL, *df = NULL, *last = NULL;
  uint8_t *continues = NULL;
  size_t count = 0;
  AL_TRY(AL_NEW(&row_of, AL_BERT_VOCABULARY));
  AL_TRY(AL_NEW(&p->token_of, AL_BERT_VOCABULARY));
  AL_TRY(al_token_continues(&continues, &count));
  if (count != AL_BERT_VOCABULARY) {
    status = al_fail(AL_BAD_INPUT, "the WordPiece vocabulary has %zu lines, and BERT's %d", count, AL_BERT_VOCABULARY);
    goto done;
  }
  for (size_t i = 0; i < sizeof special / sizeof *special; i++) row_of[special[i]] = 1;
  for (int64_t i = 0; i < p->begin[p->n]; i++) row_of[p->ids[i]] = 1;
  for (int32_t id = 0; id < AL_BERT_VOCABULARY; id++)
    if (row_of[id] != 0) {
      row_of[id] = (int32_t)p->kept;
      p->token_of[p->kept++] = id;
    }
  AL_TRY(AL_NEW(&p->continues, p->kept));
  AL_TRY(AL_NEW(&p->idf, p->kept));
  AL_TRY(AL_NEW(&df, p->kept));
  AL_TRY(AL_NEW(&last, p->kept));
  for (size_t v = 0; v < p->kept; v++) p->continues[v] = continues[p->token_of[v]];
  for (size_t d = 0; d < p->n; d++)
    for (int64_t i = p->begin[d]; i < p->begin[d + 1]; i++) {
      int32_t row = p->ids[i] = row_of[p->ids[i]];
      if (last[row] != (int32_t)d + 1) df[row]++;
      last[row] = (int32_t)d + 1;
    }
  for (size_t v = 0; v < p->kept; v++) p->idf[v] = df[v] > 0 ? log((double)p->n / (double)df[v]) : 0.0;
  p->cls = row_of[AL_BERT_CLS];
  p->sep = row_of[AL_BERT_SEP];
  p->mask = row_of[AL_BERT_MASK];
done:
  free(row_of);
  free(df);
  free(last);
  free(continues);
  return status;
}

/* ---- the start ---- */

/* Token vectors of unit length, so that no word is loud because it is frequent, at the deviation that `svd` asks for.
 */
static al_status svd_start(al_pretext *p, float *values, size_t width, double weight) {
  al_status status;
  float *vectors = NULL;
  double squared = 0.0;
  size_t filled = 0;
  AL_TRY(AL_NEW(&vectors, p->kept * width));
  AL_TRY(al_token_vectors(vectors, p->begin, p->ids, p->n, p->kept, width, al_recipe_stream(p->recipe, "svd", 0)));
  for (size_t v = 0; v < p->kept; v++) {
    double norm = 0.0;
    for (size_t c = 0; c < width; c++) norm += (double)vectors[v * width + c] * (double)vectors[v * width + c];
    if (!(norm > 0.0)) continue; /* special tokens, and words of every document: they keep their random start */
    for (size_t c = 0; c < width; c++) vectors[v * width + c] = (float)((double)vectors[v * width + c] / sqrt(norm));
    squared += 1.0;
    filled++;
  }
  double scale = filled == 0 ? 0.0 : 0.05 * weight * sqrt((double)(filled * width) / squared);
  for (size_t v = 0; v < p->kept; v++) {
    bool empty = true;
    for (size_t c = 0; c < width; c++) empty = empty && vectors[v * width + c] == 0.0F;
    for (size_t c = 0; !empty && c < width; c++)
      values[v * width + c] = (float)(scale * (double)vectors[v * width + c]);
  }
done:
  free(vectors);
  return status;
}

static al_status set_start(al_pretext *p, double svd) {
  al_status status = AL_OK;
  float *values = NULL;
  al_rng rng = al_recipe_stream(p->recipe, "start", 0);
  for (size_t i = 0; i < p->api->tensors(p->net); i++) {
    al_torch_tensor tensor;
    AL_TRY(al_torch_check(p->api, p->api->tensor(p->net, i, &tensor), "tensor"));
    free(values);
    AL_TRY(AL_NEW(&values, tensor.count));
    al_bert_draw(&tensor, al_rng_child(&rng, i), p->token_of, values);
    if (svd > 0.0 && strcmp(tensor.name, "embeddings.word_embeddings.weight") == 0)
      AL_TRY(svd_start(p, values, tensor.shape[1], svd));
    AL_TRY(al_torch_check(p->api, p->api->set(p->net, i, values), "setting a tensor"));
  }
done:
  free(values);
  return status;
}

static al_status open_text(al_pretext **out, const al_recipe *recipe, const al_corpus *corpus, const al_torch_api *api,
                           al_torch_net **net) {
  al_status status;
  al_pretext *p = NULL;
  const json_t *model = al_recipe_get(recipe, "model"), *train = al_recipe_get(recipe, "train");
  *out = NULL;
  AL_TRY(AL_NEW(&p, 1));
  p->recipe = recipe;
  p->api = api;
  p->epoch = SIZE_MAX;
  p->batch = (size_t)al_params_int(train, "batch");
  p->segment = (size_t)al_params_int(model, "max_tokens") - 2;
  p->least_candidates = (size_t)al_params_int(train, "candidates");
  p->share = al_params_real(train, "mask");
  p->temperature = al_params_real(train, "temperature");
  p->weights[0] = al_recipe_objective(recipe, "mlm");
  p->weights[1] = al_recipe_objective(recipe, "bow");
  p->weights[2] = al_recipe_objective(recipe, "contrastive");
  AL_TRY(read_documents(p, corpus));
  AL_TRY(keep_tokens(p));
  size_t most = p->batch * (p->segment + 2);
  AL_TRY(AL_NEW(&p->batch_ids, most));
  AL_TRY(AL_NEW(&p->targets, most));
  AL_TRY(AL_NEW(&p->positions, most));
  AL_TRY(AL_NEW(&p->words, p->segment + 2));
  AL_TRY(AL_NEW(&p->candidates, p->kept));
  AL_TRY(AL_NEW(&p->index_of, p->kept));
  AL_TRY(AL_NEW(&p->batch_begin, p->batch + 1));
  AL_TRY(AL_NEW(&p->bag_begin, p->batch + 1));
  for (size_t v = 0; v < p->kept; v++) p->index_of[v] = -1;
  al_torch_config config = al_bert_config(al_params_string(model, "size"), p->kept, 1);
  config.pretext = 1;
  config.device = recipe->device;
  config.dropout = al_params_real(train, "dropout");
  config.weight_decay = al_params_real(train, "weight_decay");
  config.clip = al_params_real(train, "clip");
  AL_TRY(al_torch_check(api, api->create(net, &config), "making the network"));
  p->net = *net;
  AL_TRY(set_start(p, al_recipe_objective(recipe, "svd")));
  *out = p;
  p = NULL;
done:
  close_text(p);
  return status;
}

/* ---- batches ---- */

static int32_t candidate(al_pretext *p, int32_t row) {
  if (p->index_of[row] < 0) {
    p->index_of[row] = (int32_t)p->candidate_count;
    p->candidates[p->candidate_count++] = row;
  }
  return p->index_of[row];
}

/* Masks whole words of the segment ids[from, to) until the share is reached: 80 % become [MASK], 10 % another token, 10
 * % stay, a token each. */
static void mask_words(al_pretext *p, size_t from, size_t to, al_rng *rng) {
  size_t words = 0, wanted = (size_t)fmax(1.0, round(p->share * (double)(to - from))), taken = 0;
  for (size_t i = from; i < to; i++)
    if (i == from || !p->continues[p->batch_ids[i]]) p->words[words++] = (int32_t)i;
  for (size_t left = words; left > 0 && taken < wanted; left--) {
    size_t which = (size_t)al_rng_below(rng, left), at = (size_t)p->words[which];
    p->words[which] = p->words[left - 1];
    size_t end = at + 1;
    while (end < to && p->continues[p->batch_ids[end]]) end++;
    for (size_t i = at; i < end; i++, taken++) {
      double u = al_rng_uniform(rng);
      int32_t other = (int32_t)al_rng_below(rng, p->kept);
      p->positions[p->masked] = (int64_t)i;
      p->targets[p->masked++] = candidate(p, p->batch_ids[i]);
      if (u < 0.9) p->batch_ids[i] = u < 0.8 ? p->mask : p->continues[other] ? p->mask : other;
    }
  }
}

/* Appends [CLS] segment [SEP] of ids[from, to), at most a segment's length of it. */
static void append_segment(al_pretext *p, size_t which, int64_t from, int64_t to, al_rng *rng) {
  size_t length = (size_t)(to - from), at = (size_t)p->batch_begin[which];
  if (length > p->segment) {
    size_t spare = length - p->segment;
    double u = al_rng_uniform(rng);
    from += u < 0.5 ? 0 : (int64_t)al_rng_below(rng, spare + 1);
    length = p->segment;
  }
  p->batch_ids[at++] = p->cls;
  memcpy(p->batch_ids + at, p->ids + from, length * sizeof *p->ids);
  if (p->weights[0] > 0.0) mask_words(p, at, at + length, rng);
  at += length;
  p->batch_ids[at++] = p->sep;
  p->batch_begin[which + 1] = (int64_t)at;
}

/* The document's distinct words, the rarer the more. */
static al_status append_bag(al_pretext *p, size_t which, size_t document) {
  al_status status = AL_OK;
  double sum = 0.0;
  size_t first = p->bag_size, longest = (size_t)(p->begin[document + 1] - p->begin[document]);
  AL_TRY(al_grow(&p->bag, &p->bag_capacity, p->bag_size + longest, sizeof *p->bag));
  AL_TRY(al_grow(&p->shares, &p->shares_capacity, p->bag_size + longest, sizeof *p->shares));
  for (int64_t i = p->begin[document]; i < p->begin[document + 1]; i++) {
    int32_t index = candidate(p, p->ids[i]);
    bool seen = false;
    for (size_t k = first; k < p->bag_size && !seen; k++) seen = p->bag[k] == index;
    if (seen) continue;
    p->bag[p->bag_size] = index;
    p->shares[p->bag_size++] = (float)(p->idf[p->ids[i]] + 1e-6);
    sum += (double)p->shares[p->bag_size - 1];
  }
  for (size_t k = first; k < p->bag_size; k++) p->shares[k] = (float)((double)p->shares[k] / sum);
  p->bag_begin[which + 1] = (int64_t)p->bag_size;
done:
  return status;
}

static al_status append_document(al_pretext *p, size_t which, size_t document, bool pair, al_rng *rng) {
  al_status status = AL_OK;
  int64_t from = p->begin[document], to = p->begin[document + 1];
  if (!pair) {
    append_segment(p, which, from, to, rng);
  } else if (to - from < PAIR_FROM) { /* too short to cut: the same words, masked and dropped out anew */
    append_segment(p, which, from, to, rng);
    append_segment(p, which + 1, from, to, rng);
  } else {
    int64_t third = (to - from) / 3, cut = from + third + (int64_t)al_rng_below(rng, (uint64_t)third + 1);
    append_segment(p, which, from, cut, rng);
    append_segment(p, which + 1, cut, to, rng);
  }
  if (p->weights[1] > 0.0)
    for (size_t i = 0; i < (pair ? 2U : 1U); i++) AL_TRY(append_bag(p, which + i, document));
done:
  return status;
}

static al_status step_text(al_pretext *p, size_t step, double rate, double losses[AL_PRETEXT_LOSSES]) {
  al_status status = AL_OK;
  bool pair = p->weights[2] > 0.0;
  size_t documents = pair ? p->batch / 2 : p->batch, each = pair ? 2 : 1;
  al_rng rng = al_recipe_stream(p->recipe, "batch", step);
  for (size_t i = 0; i < p->candidate_count; i++) p->index_of[p->candidates[i]] = -1;
  p->candidate_count = p->masked = p->bag_size = 0;
  for (size_t i = 0; i < documents; i++) {
    size_t document = al_recipe_item(p->recipe, step * documents + i, p->order, p->n, &p->epoch);
    AL_TRY(append_document(p, i * each, document, pair, &rng));
  }
  size_t wanted = p->least_candidates < p->kept ? p->least_candidates : p->kept;
  /* the rest of the candidates: words of documents drawn at random, so that frequent words are met as often as they are
   */
  for (size_t tries = 0; p->candidate_count < wanted && tries < 16 * wanted; tries++)
    (void)candidate(p, p->ids[al_rng_below(&rng, (uint64_t)p->begin[p->n])]);
  al_torch_batch batch = {.n = documents * each, .ids = p->batch_ids, .begin = p->batch_begin};
  al_torch_pretext pretext = {.mlm = p->weights[0],
                              .bow = p->weights[1],
                              .contrastive = p->weights[2],
                              .temperature = p->temperature,
                              .candidate_count = p->candidate_count,
                              .candidates = p->candidates,
                              .masked = p->masked,
                              .positions = p->positions,
                              .targets = p->targets,
                              .bag_begin = p->bag_begin,
                              .bag = p->bag,
                              .shares = p->shares};
  AL_TRY(al_torch_check(p->api, p->api->pretrain(p->net, &batch, &pretext, rate, losses), "a pretraining step"));
done:
  return status;
}

static bool keeps_text(const char *tensor) {
  return strncmp(tensor, "embeddings.", 11) == 0 || strncmp(tensor, "encoder.", 8) == 0;
}

static size_t extras_of_text(const al_pretext *p, al_safetensors_tensor *parts, size_t room) {
  if (room == 0) return 0;
  parts[0] = (al_safetensors_tensor){.name = "alab.token_ids",
                                     .type = AL_SAFETENSORS_I32,
                                     .dims = 1,
                                     .shape = {p->kept},
                                     .count = p->kept,
                                     .values = p->token_of};
  return 1;
}

const al_pretext_type al_pretext_text = {open_text, step_text, keeps_text, extras_of_text, close_text};
