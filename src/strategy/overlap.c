/* jaccard and mutual-information: greedy, the item whose largest similarity to L and the batch so far is smallest.
 *
 * Intersections come from an inverted index over the pool's sets: a set costs the sum of the lengths of its tokens'
 * lists, and no pool x pool matrix exists. Images have no token lists for mutual information: there the joint histogram
 * of a pair is counted. */
#include "strategy/pointwise.h"

#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_SIDE = 4, BLOCK_LEVELS = 8, GREY_LEVELS = 16, FEW_TOKENS = 3 };

static const al_param jaccard_params[] = {{.key = "tokens",
                                           .type = AL_PARAM_CHOICE,
                                           .fallback = "\"word\"",
                                           .choices = "word|wordpiece",
                                           .help = "what a text's set is of"},
                                          {0}};

static const al_param information_params[] = {{.key = "tokens",
                                               .type = AL_PARAM_CHOICE,
                                               .fallback = "\"word\"",
                                               .choices = "word|wordpiece",
                                               .help = "what a text's set is of"},
                                              {.key = "normalised",
                                               .type = AL_PARAM_BOOL,
                                               .fallback = "true",
                                               .help = "divide by the smaller entropy of the two"},
                                              {0}};

static unsigned needs_of_overlap(const json_t *params) {
  bool pieces = strcmp(al_params_string(params, "tokens"), "wordpiece") == 0;
  return AL_NEED_TOKENS | (pieces ? (unsigned)AL_NEED_WORDPIECE : (unsigned)AL_NEED_PIXELS);
}

/* ---- sets of images ---- */

typedef struct {
  int64_t *begin;
  int32_t *ids;
  al_sets sets;
} image_sets;

static const uint8_t *image_of(const al_pixels *pixels, size_t i) {
  size_t size = pixels->channels * pixels->height * pixels->width;
  return pixels->data + (pixels->rows == NULL ? i : (size_t)pixels->rows[i]) * size;
}

/* One (block, level) pair a 4x4 block and channel: id = block x 8 + level of its mean intensity. Blocks at the edge may
 * be smaller. */
static al_status sets_of_images(image_sets *out, const al_pixels *pixels) {
  al_status status;
  size_t across = (pixels->width + BLOCK_SIDE - 1) / BLOCK_SIDE, down = (pixels->height + BLOCK_SIDE - 1) / BLOCK_SIDE;
  size_t blocks = pixels->channels * down * across;
  AL_TRY(AL_NEW(&out->begin, pixels->n + 1));
  AL_TRY(AL_NEW(&out->ids, pixels->n * blocks));
  for (size_t i = 0; i < pixels->n; i++) {
    const uint8_t *image = image_of(pixels, i);
    size_t at = i * blocks;
    for (size_t c = 0; c < pixels->channels; c++)
      for (size_t y = 0; y < pixels->height; y += BLOCK_SIDE)
        for (size_t x = 0; x < pixels->width; x += BLOCK_SIDE) {
          unsigned sum = 0, count = 0;
          for (size_t v = y; v < y + BLOCK_SIDE && v < pixels->height; v++)
            for (size_t u = x; u < x + BLOCK_SIDE && u < pixels->width; u++, count++)
              sum += image[(c * pixels->height + v) * pixels->width + u];
          out->ids[at] = (int32_t)((at - i * blocks) * BLOCK_LEVELS + sum * BLOCK_LEVELS / (256 * count));
          at++;
        }
    out->begin[i + 1] = (int64_t)at;
  }
  out->sets = (al_sets){.rows = pixels->n,
                        .universe = (int32_t)(blocks * BLOCK_LEVELS),
                        .begin = out->begin,
                        .end = out->begin + 1,
                        .ids = out->ids};
done:
  return status;
}

static void image_sets_free(image_sets *sets) {
  free(sets->begin);
  free(sets->ids);
}

/* ---- the greedy loop ---- */

typedef struct {
  const al_query *query;
  al_sets pool, labelled;
  /* inverted index of the pool */
  int64_t *list_begin; /* universe + 1 */
  int32_t *list;
  int32_t *shared; /* pool: tokens shared with the set at hand */
  /* similarity */
  bool information, normalised;
  double vocabulary;
  double *n_log_n; /* 0 .. vocabulary */
  size_t table_size;
  /* images, mutual information */
  uint8_t *levels, *labelled_levels; /* n x H W */
  size_t plane;
  double *most_similar; /* pool */
} overlap;

static size_t set_size(const al_sets *sets, size_t i) { return (size_t)(sets->end[i] - sets->begin[i]); }

static double n_log_n(const overlap *o, double n) {
  if (n <= 0.0) return 0.0;
  return (size_t)n < o->table_size ? o->n_log_n[(size_t)n] : n * log(n);
}

/* Mutual information (nats) of two presence vectors over the vocabulary, from sizes and intersection. */
static double presence_information(const overlap *o, double a, double b, double both) {
  double v = o->vocabulary;
  if (v <= 0.0) return 0.0;
  double joint = n_log_n(o, both) + n_log_n(o, a - both) + n_log_n(o, b - both) + n_log_n(o, v - a - b + both);
  double marginal = n_log_n(o, a) + n_log_n(o, v - a) + n_log_n(o, b) + n_log_n(o, v - b);
  double information = fmax(0.0, (joint - marginal + n_log_n(o, v)) / v);
  if (!o->normalised) return information;
  double ha = log(v) - (n_log_n(o, a) + n_log_n(o, v - a)) / v, hb = log(v) - (n_log_n(o, b) + n_log_n(o, v - b)) / v;
  double smaller = fmin(ha, hb);
  return smaller > 1e-15 ? fmin(1.0, information / smaller) : 0.0;
}

static double set_similarity(const overlap *o, double a, double b, double both) {
  if (o->information) return presence_information(o, a, b, both);
  return a + b == 0.0 ? 1.0 : both / (a + b - both); /* J(empty, empty) = 1 */
}

static double histogram_information(const overlap *o, const uint8_t *a, const uint8_t *b) {
  unsigned joint[GREY_LEVELS][GREY_LEVELS] = {{0}}, of_a[GREY_LEVELS] = {0}, of_b[GREY_LEVELS] = {0};
  for (size_t i = 0; i < o->plane; i++) joint[a[i]][b[i]]++;
  double n = (double)o->plane, sum = 0.0, sum_a = 0.0, sum_b = 0.0;
  for (size_t i = 0; i < GREY_LEVELS; i++)
    for (size_t j = 0; j < GREY_LEVELS; j++) {
      of_a[i] += joint[i][j];
      of_b[j] += joint[i][j];
      sum += n_log_n(o, joint[i][j]);
    }
  for (size_t i = 0; i < GREY_LEVELS; i++) {
    sum_a += n_log_n(o, of_a[i]);
    sum_b += n_log_n(o, of_b[i]);
  }
  double information = fmax(0.0, (sum - sum_a - sum_b) / n + log(n));
  if (!o->normalised) return information;
  double smaller = fmin(log(n) - sum_a / n, log(n) - sum_b / n);
  return smaller > 1e-12 ? fmin(1.0, information / smaller) : 0.0;
}

static al_status build_index(overlap *o) {
  al_status status;
  int64_t *next = NULL;
  const al_sets *pool = &o->pool;
  size_t universe = (size_t)pool->universe, total = 0;
  AL_TRY(AL_NEW(&o->list_begin, universe + 1));
  AL_TRY(AL_NEW(&next, universe));
  for (size_t i = 0; i < pool->rows; i++)
    for (int64_t p = pool->begin[i]; p < pool->end[i]; p++, total++) o->list_begin[pool->ids[p] + 1]++;
  for (size_t t = 0; t < universe; t++) {
    o->list_begin[t + 1] += o->list_begin[t];
    next[t] = o->list_begin[t];
  }
  AL_TRY(AL_NEW(&o->list, total));
  for (size_t i = 0; i < pool->rows; i++)
    for (int64_t p = pool->begin[i]; p < pool->end[i]; p++) o->list[next[pool->ids[p]]++] = (int32_t)i;
  AL_TRY(AL_NEW(&o->shared, pool->rows));
done:
  free(next);
  return status;
}

/* Takes one set (of L or a pick) into account: most_similar of every pool item. */
static void take_set(overlap *o, const al_sets *sets, size_t which) {
  memset(o->shared, 0, o->pool.rows * sizeof *o->shared);
  for (int64_t p = sets->begin[which]; p < sets->end[which]; p++) {
    int32_t token = sets->ids[p];
    if (token < 0 || token >= o->pool.universe) continue;
    for (int64_t q = o->list_begin[token]; q < o->list_begin[token + 1]; q++) o->shared[o->list[q]]++;
  }
  double size = (double)set_size(sets, which);
  for (size_t i = 0; i < o->pool.rows; i++) {
    /* nothing shared is no similarity to jaccard; presence vectors tell something about each other even then */
    if (o->shared[i] == 0 && !o->information && size + (double)set_size(&o->pool, i) > 0.0) continue;
    double similarity = set_similarity(o, (double)set_size(&o->pool, i), size, (double)o->shared[i]);
    if (similarity > o->most_similar[i]) o->most_similar[i] = similarity;
  }
}

static void take_image(overlap *o, const uint8_t *levels) {
  for (size_t i = 0; i < o->query->pool; i++) {
    double similarity = histogram_information(o, o->levels + i * o->plane, levels);
    if (similarity > o->most_similar[i]) o->most_similar[i] = similarity;
  }
}

static void take(overlap *o, bool labelled, size_t which) {
  if (o->levels != NULL)
    take_image(o, (labelled ? o->labelled_levels : o->levels) + which * o->plane);
  else
    take_set(o, labelled ? &o->labelled : &o->pool, which);
}

/* The available item of least similarity; those with few tokens come last, among themselves by the same rule. */
static al_status pick_greedily(overlap *o, al_picks *picks) {
  al_status status;
  const al_query *query = o->query;
  bool *taken = NULL, *few = NULL;
  size_t k = query->batch < query->pool ? query->batch : query->pool;
  AL_TRY(AL_NEW(&taken, query->pool));
  AL_TRY(AL_NEW(&few, query->pool));
  for (size_t i = 0; i < query->pool; i++) few[i] = o->levels == NULL && set_size(&o->pool, i) < FEW_TOKENS;
  for (size_t n = 0; n < k; n++) {
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < query->pool; i++) {
      if (taken[i]) continue;
      if (best == SIZE_MAX || few[i] < few[best] || (few[i] == few[best] && o->most_similar[i] < o->most_similar[best]))
        best = i;
    }
    taken[best] = true;
    picks->pos[n] = (int32_t)best;
    double bound = o->information && !o->normalised ? log(2.0) : 1.0; /* what a similarity can reach at most */
    if (o->levels != NULL && !o->normalised) bound = log((double)GREY_LEVELS);
    picks->scores[n] = fmax(0.0, bound - o->most_similar[best]);
    if (n + 1 < k) take(o, false, best);
  }
  picks->count = k;
done:
  free(taken);
  free(few);
  return status;
}

/* 16 levels of the mean over channels; n x H W. */
static al_status grey_levels(uint8_t **out, const al_pixels *pixels) {
  size_t plane = pixels->height * pixels->width, channels = pixels->channels == 0 ? 1 : pixels->channels;
  al_status status = AL_NEW(out, pixels->n * plane);
  if (status != AL_OK) return status;
  for (size_t i = 0; i < pixels->n; i++) {
    const uint8_t *image = image_of(pixels, i);
    for (size_t p = 0; p < plane; p++) {
      unsigned sum = 0;
      for (size_t c = 0; c < channels; c++) sum += image[c * plane + p];
      (*out)[i * plane + p] = (uint8_t)(sum * GREY_LEVELS / (256 * (unsigned)channels));
    }
  }
  return AL_OK;
}

/* Distinct ids of the starting pool. */
static al_status count_vocabulary(double *count, const al_sets *sets) {
  bool *seen = NULL;
  al_status status = AL_NEW(&seen, (size_t)sets->universe);
  if (status != AL_OK) return status;
  *count = 0.0;
  for (size_t i = 0; i < sets->rows; i++)
    for (int64_t p = sets->begin[i]; p < sets->end[i]; p++)
      if (!seen[sets->ids[p]]) {
        seen[sets->ids[p]] = true;
        *count += 1.0;
      }
  free(seen);
  return AL_OK;
}

static al_status fill_table(overlap *o, size_t largest) {
  o->table_size = largest + 1;
  al_status status = AL_NEW(&o->n_log_n, o->table_size);
  if (status != AL_OK) return status;
  for (size_t n = 1; n < o->table_size; n++) o->n_log_n[n] = (double)n * log((double)n);
  return AL_OK;
}

static al_status select_overlap(const al_query *query, al_picks *picks, bool information, bool normalised) {
  al_status status;
  overlap o = {.query = query, .information = information, .normalised = normalised};
  image_sets pool = {0}, labelled = {0};
  bool images = query->pixels_pool.data != NULL;
  AL_TRY(AL_NEW(&o.most_similar, query->pool));
  if (images && information) {
    o.plane = query->pixels_pool.height * query->pixels_pool.width;
    AL_TRY(fill_table(&o, o.plane));
    AL_TRY(grey_levels(&o.levels, &query->pixels_pool));
    AL_TRY(grey_levels(&o.labelled_levels, &query->pixels_labelled));
  } else {
    if (images) {
      AL_TRY(sets_of_images(&pool, &query->pixels_pool));
      AL_TRY(sets_of_images(&labelled, &query->pixels_labelled));
      o.pool = pool.sets;
      o.labelled = labelled.sets;
    } else {
      o.pool = query->tokens_pool;
      o.labelled = query->tokens_labelled;
    }
    if (information) {
      AL_TRY(count_vocabulary(&o.vocabulary, &query->tokens_all));
      AL_TRY(fill_table(&o, (size_t)o.vocabulary));
    }
    AL_TRY(build_index(&o));
  }
  for (size_t j = 0; j < query->labelled; j++) take(&o, true, j);
  AL_TRY(pick_greedily(&o, picks));
done:
  image_sets_free(&pool);
  image_sets_free(&labelled);
  free(o.list_begin);
  free(o.list);
  free(o.shared);
  free(o.n_log_n);
  free(o.levels);
  free(o.labelled_levels);
  free(o.most_similar);
  return status;
}

static al_status select_jaccard(const al_query *query, const json_t *params, al_picks *picks) {
  (void)params;
  return select_overlap(query, picks, false, false);
}

static al_status select_information(const al_query *query, const json_t *params, al_picks *picks) {
  return select_overlap(query, picks, true, al_params_bool(params, "normalised"));
}

const al_strategy al_strategy_jaccard = {
    .name = "jaccard",
    .family = "diversity",
    .summary = "the item least like anything labelled or picked, by Jaccard similarity of token sets",
    .definition =
        "Greedy: the x whose largest Jaccard similarity to L and the batch so far is smallest. Text: sets of word ids\n"
        "or WordPiece ids; images: sets of (4x4 block, level of 8 of its mean) pairs, per channel. Similarity to\n"
        "nothing is 0; J(empty, empty) = 1; items of fewer than 3 distinct tokens come last.",
    .citation = "Jaccard 1912; the founding article's diversity family",
    .cost = "time: for each set of L and batch the lengths of its tokens' lists; memory O(non-zeros)",
    .multi = true,
    .params = jaccard_params,
    .needs = needs_of_overlap,
    .select = select_jaccard,
};

const al_strategy al_strategy_mutual_information = {
    .name = "mutual-information",
    .family = "diversity",
    .summary = "the item least like anything labelled or picked, by mutual information of presence vectors",
    .definition =
        "As jaccard, with the mutual information (nats) of the two presence vectors over the starting pool's\n"
        "vocabulary, from the 2x2 counts; normalised: divided by min(H_a, H_b), 0 where that is 0. Complementary sets\n"
        "have mutual information 1 too. Images: the joint 16-level histogram of the channel mean.",
    .citation = "Shannon 1948; the founding article's diversity family",
    .cost = "as jaccard, and O(|U|) table look-ups a set; images O(|U| (|L| + k) pixels)",
    .multi = true,
    .params = information_params,
    .needs = needs_of_overlap,
    .select = select_information,
};
