/* batch-bald: greedy joint mutual information between a batch's labels and the model (Kirsch et al. 2019).
 *
 * A configuration is one answer for each pick so far. What is kept of one is its probability and, for each pass, how
 * probable the pass is given the configuration (weights that sum to 1). The gain of a candidate is then its bald score
 * under each configuration's weights, averaged over configurations: I(y_x; w | y_1..m), which the chain rule adds to
 * the joint mutual information so far. Every term is at least 0 and between 0 and ln C, where the textbook's difference
 * of two joint entropies would lose digits, and for sampled configurations the average is unbiased.
 *
 * While C^m is small all configurations are there; gains can then only shrink from pick to pick (the joint mutual
 * information is submodular), so the last known gain is an upper bound and most candidates are never looked at again.
 * Beyond it configurations are sampled, and a candidate costs one product of its probabilities with the weights. */
#include "strategy/strategy.h"

#include "base/memory.h"
#include "base/simd.h"
#include "base/vector_math.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 512 /* configurations */, ROWS = 160 /* candidates x classes */ };

static const al_param params_of_batch_bald[] = {
    {.key = "configurations",
     .type = AL_PARAM_INT,
     .fallback = "10000",
     .min = 1,
     .max = 1e6,
     .help = "exact while C^(picks so far) is at most this; then this many sampled configurations"},
    {0}};

static unsigned needs_of_batch_bald(const json_t *params) {
  (void)params;
  return AL_NEED_MC;
}

typedef struct {
  const al_query *query;
  size_t n, passes, classes, limit;
  size_t picked; /* m */
  al_rng rng;
  /* what is known of each item */
  double *gain;         /* n: as of the pick that `known` names; an upper bound afterwards; -1 once picked */
  double *mean_entropy; /* n: mean over passes */
  size_t *known;        /* n */
  int32_t *heap;        /* left: items that are not picked, highest gain on top, ties to the lower position */
  size_t left;
  /* configurations, a column each (so that loops run along them) */
  size_t configurations;
  double *share;  /* exact: configurations, sums to 1 */
  double *weight; /* exact: passes x configurations */
  bool sampled;
  float *sampled_weight; /* passes x limit */
  float *open;           /* passes x configurations: those in which not all is decided */
  int32_t *pass_of;      /* limit: the pass that a configuration was drawn from */
} search;

static const float *probs_of(const search *s, size_t pass, size_t pos) {
  return s->query->mc + (pass * s->n + pos) * s->classes;
}

static double entropy_of(const float *p, size_t classes) {
  double sum = 0.0;
  for (size_t c = 0; c < classes; c++)
    if (p[c] > 0.0F) sum -= (double)p[c] * log((double)p[c]);
  return sum;
}

/* ---- sums of -x ln x, 0 ln 0 = 0; x is overwritten ---- */

/* Two passes, because compilers unroll a loop over the lanes before they would vectorise what is in it. */
AL_SIMD static double shared_entropy(double *restrict x, const double *restrict share, size_t n) {
  double lanes[AL_LANES] = {0}, sum = 0.0;
  for (size_t i = 0; i < n; i++) {
    double at = al_at_least_f64(x[i], 1e-300); /* x ln x is nothing there */
    x[i] = share[i] * at * al_log_f64(at);
  }
  for (size_t i = 0; i + AL_LANES <= n; i += AL_LANES)
    for (size_t l = 0; l < AL_LANES; l++) lanes[l] -= x[i + l];
  for (size_t i = n / AL_LANES * AL_LANES; i < n; i++) sum -= x[i];
  for (size_t l = 0; l < AL_LANES; l++) sum += lanes[l];
  return sum;
}

/* At most BLOCK values: 32 a lane in float32, the lanes in double. */
AL_SIMD static double block_entropy(float *restrict x, size_t n) {
  float lanes[AL_LANES] = {0};
  double sum = 0.0;
  for (size_t i = 0; i < n; i++) {
    float at = al_at_least_f32(x[i], 1e-30F);
    x[i] = at * al_log_f32(at);
  }
  for (size_t i = 0; i + AL_LANES <= n; i += AL_LANES)
    for (size_t l = 0; l < AL_LANES; l++) lanes[l] -= x[i + l];
  for (size_t i = n / AL_LANES * AL_LANES; i < n; i++) sum -= (double)x[i];
  for (size_t l = 0; l < AL_LANES; l++) sum += (double)lanes[l];
  return sum;
}

/* ---- all configurations ---- */

/* p: classes x passes and block: classes x BLOCK, both scratch */
static double exact_gain(const search *s, size_t pos, double *p, double *block) {
  double entropy = 0.0;
  for (size_t t = 0; t < s->passes; t++)
    for (size_t c = 0; c < s->classes; c++) p[c * s->passes + t] = (double)probs_of(s, t, pos)[c];
  for (size_t start = 0; start < s->configurations; start += BLOCK) {
    size_t size = s->configurations - start < BLOCK ? s->configurations - start : BLOCK;
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)s->classes, (int)size, (int)s->passes, 1.0, p,
                (int)s->passes, s->weight + start, (int)s->configurations, 0.0, block, BLOCK);
    for (size_t c = 0; c < s->classes; c++) entropy += shared_entropy(block + c * BLOCK, s->share + start, size);
  }
  return fmax(0.0, entropy - s->mean_entropy[pos]);
}

/* Each configuration split by the answers of the item just picked; those that cannot be are left out. */
static al_status split_configurations(search *s, size_t pos) {
  al_status status;
  double *share = NULL, *weight = NULL, *next = NULL;
  size_t most = s->configurations * s->classes, kept = 0;
  AL_TRY(AL_NEW(&share, most));
  AL_TRY(AL_NEW(&next, s->passes * most)); /* most x passes first */
  for (size_t i = 0; i < s->configurations; i++)
    for (size_t c = 0; c < s->classes; c++) {
      double sum = 0.0, *row = next + kept * s->passes;
      for (size_t t = 0; t < s->passes; t++)
        sum += row[t] = s->weight[t * s->configurations + i] * fmax(0.0, (double)probs_of(s, t, pos)[c]);
      if (sum <= 0.0 || s->share[i] * sum <= 0.0) continue;
      for (size_t t = 0; t < s->passes; t++) row[t] /= sum;
      share[kept++] = s->share[i] * sum;
    }
  AL_TRY(AL_NEW(&weight, s->passes * kept));
  for (size_t i = 0; i < kept; i++)
    for (size_t t = 0; t < s->passes; t++) weight[t * kept + i] = next[i * s->passes + t];
  free(s->share);
  free(s->weight);
  s->share = share;
  s->weight = weight;
  s->configurations = kept;
  share = weight = NULL;
done:
  free(share);
  free(weight);
  free(next);
  return status;
}

/* ---- sampled configurations ---- */

/* One more answer in every configuration, drawn from its own pass: a uniform each, in order. */
static al_status draw_answers(search *s, size_t pos) {
  double *sum = NULL;
  int32_t *answer = NULL;
  al_status status;
  AL_TRY(AL_NEW(&sum, s->limit));
  AL_TRY(AL_NEW(&answer, s->limit));
  for (size_t i = 0; i < s->limit; i++) {
    const float *p = probs_of(s, (size_t)s->pass_of[i], pos);
    double total = 0.0, below = 0.0;
    for (size_t c = 0; c < s->classes; c++) total += fmax(0.0, (double)p[c]);
    double u = al_rng_uniform(&s->rng) * total;
    for (size_t c = 0; c < s->classes; c++) {
      if (p[c] <= 0.0F) continue;
      answer[i] = (int32_t)c; /* the last that is possible, should rounding leave u above all */
      below += (double)p[c];
      if (u < below) break;
    }
  }
  for (size_t t = 0; t < s->passes; t++) {
    float *weight = s->sampled_weight + t * s->limit;
    for (size_t i = 0; i < s->limit; i++) {
      float p = probs_of(s, t, pos)[answer[i]];
      weight[i] *= p > 0.0F ? p : 0.0F;
      sum[i] += (double)weight[i];
    }
  }
  for (size_t t = 0; t < s->passes; t++) {
    float *weight = s->sampled_weight + t * s->limit;
    for (size_t i = 0; i < s->limit; i++) {
      double w = (double)weight[i] / sum[i];
      weight[i] = w < 1e-30 ? 0.0F : (float)w;
    }
  }
done:
  free(sum);
  free(answer);
  return status;
}

/* The columns in which no pass has all the weight to float32: in the others nothing is left to learn. */
static void gather_open(search *s) {
  size_t kept = 0;
  for (size_t i = 0; i < s->limit; i++) {
    bool decided = false;
    for (size_t t = 0; t < s->passes; t++) decided |= s->sampled_weight[t * s->limit + i] == 1.0F;
    if (!decided) s->pass_of[s->limit + kept++] = (int32_t)i;
  }
  for (size_t t = 0; t < s->passes; t++)
    for (size_t i = 0; i < kept; i++)
      s->open[t * kept + i] = s->sampled_weight[t * s->limit + (size_t)s->pass_of[s->limit + i]];
  s->configurations = kept;
}

/* From all configurations to samples: passes by systematic sampling (one uniform), answers pick by pick. */
static al_status start_sampling(search *s, const int32_t *picks) {
  al_status status;
  free(s->weight);
  free(s->share);
  s->weight = s->share = NULL;
  s->sampled = true;
  AL_TRY(AL_NEW(&s->sampled_weight, s->passes * s->limit));
  AL_TRY(AL_NEW(&s->open, s->passes * s->limit));
  AL_TRY(AL_NEW(&s->pass_of, 2 * s->limit)); /* and room for gather_open */
  double u = al_rng_uniform(&s->rng);
  for (size_t i = 0; i < s->limit; i++) {
    double at = ((double)i + u) * (double)s->passes / (double)s->limit;
    s->pass_of[i] = at < (double)s->passes ? (int32_t)at : (int32_t)s->passes - 1;
  }
  for (size_t i = 0; i < s->passes * s->limit; i++) s->sampled_weight[i] = (float)(1.0 / (double)s->passes);
  for (size_t m = 0; m < s->picked; m++) AL_TRY(draw_answers(s, (size_t)picks[m]));
done:
  return status;
}

/* Gains of all items: (candidates x classes) x passes times passes x configurations, a block at a time. */
static al_status sampled_gains(search *s) {
  al_status status;
  float *block = NULL;
  double *entropy = NULL, *mean_weight = NULL;
  size_t together = s->classes < ROWS ? ROWS / s->classes : 1, width = s->n * s->classes;
  AL_TRY(AL_NEW(&block, together * s->classes * BLOCK));
  AL_TRY(AL_NEW(&entropy, together));
  AL_TRY(AL_NEW(&mean_weight, s->passes));
  for (size_t t = 0; t < s->passes; t++)
    for (size_t i = 0; i < s->configurations; i++) mean_weight[t] += (double)s->open[t * s->configurations + i];
  for (size_t first = 0; first < s->n; first += together) {
    size_t count = s->n - first < together ? s->n - first : together;
    memset(entropy, 0, together * sizeof *entropy);
    for (size_t start = 0; start < s->configurations; start += BLOCK) {
      size_t size = s->configurations - start < BLOCK ? s->configurations - start : BLOCK;
      cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)(count * s->classes), (int)size, (int)s->passes, 1.0F,
                  s->query->mc + first * s->classes, (int)width, s->open + start, (int)s->configurations, 0.0F, block,
                  BLOCK);
      for (size_t row = 0; row < count * s->classes; row++)
        entropy[row / s->classes] += block_entropy(block + row * BLOCK, size);
    }
    for (size_t i = 0; i < count; i++) {
      size_t pos = first + i;
      if (s->gain[pos] < 0.0) continue;
      for (size_t t = 0; t < s->passes; t++) entropy[i] -= mean_weight[t] * entropy_of(probs_of(s, t, pos), s->classes);
      s->gain[pos] = fmax(0.0, entropy[i] / (double)s->limit);
    }
  }
done:
  free(block);
  free(entropy);
  free(mean_weight);
  return status;
}

/* ---- picking ---- */

static bool above(const search *s, int32_t a, int32_t b) {
  if (s->gain[a] != s->gain[b]) return s->gain[a] > s->gain[b];
  return a < b;
}

static void sift_down(search *s, size_t at) {
  int32_t item = s->heap[at];
  for (;;) {
    size_t child = 2 * at + 1;
    if (child >= s->left) break;
    if (child + 1 < s->left && above(s, s->heap[child + 1], s->heap[child])) child++;
    if (!above(s, s->heap[child], item)) break;
    s->heap[at] = s->heap[child];
    at = child;
  }
  s->heap[at] = item;
}

static void order_heap(search *s) {
  for (size_t i = s->left / 2; i-- > 0;) sift_down(s, i);
}

/* Looks again at the item on top until the one on top is up to date. */
static void refresh_top(search *s, double *p, double *block) {
  while (s->known[s->heap[0]] != s->picked) {
    size_t pos = (size_t)s->heap[0];
    s->gain[pos] = fmin(s->gain[pos], exact_gain(s, pos, p, block)); /* rounding aside, it is no more */
    s->known[pos] = s->picked;
    sift_down(s, 0);
  }
}

static al_status prepare_search(search *s, const al_query *query, const json_t *params) {
  al_status status;
  *s = (search){.query = query,
                .n = query->pool,
                .passes = query->passes,
                .classes = query->classes,
                .limit = (size_t)al_params_int(params, "configurations"),
                .rng = query->rng,
                .left = query->pool,
                .configurations = 1};
  AL_TRY(AL_NEW(&s->gain, s->n));
  AL_TRY(AL_NEW(&s->mean_entropy, s->n));
  AL_TRY(AL_NEW(&s->known, s->n));
  AL_TRY(AL_NEW(&s->heap, s->n));
  AL_TRY(AL_NEW(&s->share, 1));
  AL_TRY(AL_NEW(&s->weight, s->passes));
  s->share[0] = 1.0;
  for (size_t t = 0; t < s->passes; t++) s->weight[t] = 1.0 / (double)s->passes;
  for (size_t pos = 0; pos < s->n; pos++) {
    for (size_t t = 0; t < s->passes; t++) s->mean_entropy[pos] += entropy_of(probs_of(s, t, pos), s->classes);
    s->mean_entropy[pos] /= (double)s->passes;
    s->heap[pos] = (int32_t)pos;
    s->gain[pos] = INFINITY;
    s->known[pos] = SIZE_MAX;
  }
done:
  return status;
}

static al_status greedy(search *s, al_picks *picks) {
  al_status status;
  double *p = NULL, *block = NULL, joint = 0.0;
  size_t k = s->query->batch < s->n ? s->query->batch : s->n, possible = 1; /* C^picked */
  AL_TRY(AL_NEW(&p, s->classes * s->passes));
  AL_TRY(AL_NEW(&block, s->classes * BLOCK));
  while (s->picked < k) {
    if (s->sampled) {
      gather_open(s);
      AL_TRY(sampled_gains(s));
      order_heap(s);
    } else {
      refresh_top(s, p, block);
    }
    int32_t pick = s->heap[0];
    joint += s->gain[pick];
    picks->pos[s->picked] = pick;
    picks->scores[s->picked++] = joint;
    s->gain[pick] = -1.0;
    s->heap[0] = s->heap[--s->left];
    if (s->left != 0) sift_down(s, 0);
    if (s->picked == k) break;
    possible = possible > s->limit ? possible : possible * s->classes;
    if (s->sampled)
      AL_TRY(draw_answers(s, (size_t)pick));
    else if (possible <= s->limit)
      AL_TRY(split_configurations(s, (size_t)pick));
    else
      AL_TRY(start_sampling(s, picks->pos));
  }
  picks->count = k;
done:
  free(p);
  free(block);
  return status;
}

static al_status select_batch_bald(const al_query *query, const json_t *params, al_picks *picks) {
  search s;
  al_status status = prepare_search(&s, query, params);
  if (status == AL_OK) status = greedy(&s, picks);
  free(s.gain);
  free(s.mean_entropy);
  free(s.known);
  free(s.heap);
  free(s.share);
  free(s.weight);
  free(s.sampled_weight);
  free(s.open);
  free(s.pass_of);
  return status;
}

const al_strategy al_strategy_batch_bald = {
    .name = "batch-bald",
    .family = "uncertainty",
    .summary = "greedy joint mutual information of a batch with the model: bald without counting twice",
    .definition =
        "Greedily the x with the highest I(y_1..m, y_x; w) = H(y_1..m, y_x) - sum_i mean_t H(p_t(y_i)), over T passes "
        "as\n"
        "equally probable models. With m picks so far: over all C^m configurations of their answers while C^m is at "
        "most\n"
        "`configurations`, by lazy greedy (gains can only shrink); then over that many configurations, each drawn from "
        "one\n"
        "pass (passes by systematic sampling), every candidate evaluated: the gain is the mean over configurations of "
        "the\n"
        "bald score under the passes' posterior weights, an unbiased estimate of I(y_x; w | y_1..m) with less variance "
        "than\n"
        "the authors' importance-weighted joint entropy. The printed score is the joint mutual information after the "
        "pick.",
    .citation = "Kirsch, van Amersfoort and Gal 2019",
    .cost = "S configurations: time O(S T C) for each candidate looked at (exact), O(S T C |U|) a pick (sampled);\n"
            "memory O(|U| + S T)",
    .params = params_of_batch_bald,
    .needs = needs_of_batch_bald,
    .select = select_batch_bald,
};
