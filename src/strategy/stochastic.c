/* Strategies on T stochastic passes (MC dropout, or a bootstrap's members): variation-ratio, mc-entropy, mean-std,
 * bald, power-bald. All sums are in doubles: bald is a small difference of two entropies. */
#include "strategy/pointwise.h"

#include "base/memory.h"

#include <math.h>
#include <stdlib.h>

static unsigned needs_passes(const json_t *params) {
  (void)params;
  return AL_NEED_MC;
}

static const float *row_of(const al_query *query, size_t pass, size_t pos) {
  return query->mc + (pass * query->pool + pos) * query->classes;
}

/* -x ln x, 0 at 0. */
static double term(double x) { return x > 0.0 ? -x * log(x) : 0.0; }

/* Mean over passes; out: C. */
static void mean_of(const al_query *query, size_t pos, double *out) {
  for (size_t c = 0; c < query->classes; c++) out[c] = 0.0;
  for (size_t pass = 0; pass < query->passes; pass++) {
    const float *p = row_of(query, pass, pos);
    for (size_t c = 0; c < query->classes; c++) out[c] += (double)p[c];
  }
  for (size_t c = 0; c < query->classes; c++) out[c] /= (double)query->passes;
}

/* Utility of one item; room: C doubles. */
typedef double (*score_item)(const al_query *query, size_t pos, double *room);

static al_status score_all(const al_query *query, score_item score, double **utility) {
  double *room = NULL;
  al_status status;
  AL_TRY(AL_NEW(utility, query->pool));
  AL_TRY(AL_NEW(&room, query->classes));
  for (size_t pos = 0; pos < query->pool; pos++) (*utility)[pos] = score(query, pos, room);
done:
  free(room);
  return status;
}

static al_status pick_by(const al_query *query, al_picks *picks, score_item score) {
  double *utility = NULL;
  al_status status = score_all(query, score, &utility);
  if (status == AL_OK) al_pick_highest(query, utility, picks);
  free(utility);
  return status;
}

/* ---- variation-ratio ---- */

static double variation_ratio(const al_query *query, size_t pos, double *votes) {
  double most = 0.0;
  for (size_t c = 0; c < query->classes; c++) votes[c] = 0.0;
  for (size_t pass = 0; pass < query->passes; pass++) {
    const float *p = row_of(query, pass, pos);
    size_t best = 0;
    for (size_t c = 1; c < query->classes; c++)
      if (p[c] > p[best]) best = c;
    most = fmax(most, ++votes[best]);
  }
  return 1.0 - most / (double)query->passes;
}

static al_status select_variation_ratio(const al_query *query, const json_t *params, al_picks *picks) {
  (void)params;
  return pick_by(query, picks, variation_ratio);
}

const al_strategy al_strategy_variation_ratio = {
    .name = "variation-ratio",
    .family = "uncertainty",
    .summary = "share of the stochastic passes that disagree with the most frequent vote",
    .definition =
        "Highest 1 - (votes for the modal class) / T over T passes; a pass votes for its most probable class.",
    .citation = "Freeman 1965; Gal, Islam and Ghahramani 2017",
    .cost = "time O(T |U| C), memory O(|U|)",
    .params = al_no_params,
    .needs = needs_passes,
    .select = select_variation_ratio,
};

/* ---- mc-entropy ---- */

static double mc_entropy(const al_query *query, size_t pos, double *mean) {
  double sum = 0.0;
  mean_of(query, pos, mean);
  for (size_t c = 0; c < query->classes; c++) sum += term(mean[c]);
  return fmax(0.0, sum);
}

static al_status select_mc_entropy(const al_query *query, const json_t *params, al_picks *picks) {
  (void)params;
  return pick_by(query, picks, mc_entropy);
}

const al_strategy al_strategy_mc_entropy = {
    .name = "mc-entropy",
    .family = "uncertainty",
    .summary = "highest entropy of the mean of the stochastic passes",
    .definition = "Highest -sum_c m_c ln m_c with m the mean of the T passes' probabilities (nats).",
    .citation = "Gal, Islam and Ghahramani 2017",
    .cost = "time O(T |U| C), memory O(|U|)",
    .params = al_no_params,
    .needs = needs_passes,
    .select = select_mc_entropy,
};

/* ---- mean-std ---- */

static double mean_std(const al_query *query, size_t pos, double *mean) {
  double sum = 0.0;
  mean_of(query, pos, mean);
  for (size_t c = 0; c < query->classes; c++) {
    double squares = 0.0; /* about the mean: the difference of moments loses what is left of small deviations */
    for (size_t pass = 0; pass < query->passes; pass++) {
      double off = (double)row_of(query, pass, pos)[c] - mean[c];
      squares += off * off;
    }
    sum += sqrt(squares / (double)query->passes);
  }
  return sum / (double)query->classes;
}

static al_status select_mean_std(const al_query *query, const json_t *params, al_picks *picks) {
  (void)params;
  return pick_by(query, picks, mean_std);
}

const al_strategy al_strategy_mean_std = {
    .name = "mean-std",
    .family = "uncertainty",
    .summary = "highest mean over classes of the standard deviation over the stochastic passes",
    .definition = "Highest (1/C) sum_c sd_c with sd_c the population standard deviation of p_c over the T passes.",
    .citation = "Kampffmeyer, Salberg and Jenssen 2016; Gal, Islam and Ghahramani 2017",
    .cost = "time O(T |U| C), memory O(|U|)",
    .params = al_no_params,
    .needs = needs_passes,
    .select = select_mean_std,
};

/* ---- bald ---- */

static double bald(const al_query *query, size_t pos, double *mean) {
  double inner = 0.0;
  for (size_t pass = 0; pass < query->passes; pass++) {
    const float *p = row_of(query, pass, pos);
    for (size_t c = 0; c < query->classes; c++) inner += term((double)p[c]);
  }
  return fmax(0.0, mc_entropy(query, pos, mean) - inner / (double)query->passes);
}

static al_status select_bald(const al_query *query, const json_t *params, al_picks *picks) {
  (void)params;
  return pick_by(query, picks, bald);
}

const al_strategy al_strategy_bald = {
    .name = "bald",
    .family = "uncertainty",
    .summary = "mutual information of label and model: passes that are sure and disagree",
    .definition =
        "Highest H(mean of the T passes) - mean of the passes' H (nats). Saturated passes that disagree rank\n"
        "first: 0 ln 0 = 0.",
    .citation = "Houlsby, Huszar, Ghahramani and Lengyel 2011",
    .cost = "time O(T |U| C), memory O(|U|)",
    .params = al_no_params,
    .needs = needs_passes,
    .select = select_bald,
};

/* ---- power-bald ---- */

static const al_param power_params[] = {{.key = "beta",
                                         .type = AL_PARAM_REAL,
                                         .fallback = "1.0",
                                         .min = 0,
                                         .max = 1000,
                                         .help = "0: uniform; large: bald itself"},
                                        {0}};

/* Below it a score counts as nothing. Such items keep their Gumbel draw, this far below every other utility. */
static const double nothing = 1e-12, abyss = 1e6;

static al_status select_power_bald(const al_query *query, const json_t *params, al_picks *picks) {
  double *utility = NULL, beta = al_params_real(params, "beta");
  al_status status = score_all(query, bald, &utility);
  al_rng rng = query->rng;
  for (size_t pos = 0; status == AL_OK && pos < query->pool; pos++) { /* a draw an item, in pool order */
    double u = al_rng_uniform(&rng), gumbel = -log(-log(u > 0.0 ? u : 0x1p-54));
    utility[pos] = utility[pos] > nothing ? beta * log(utility[pos]) + gumbel : gumbel - abyss;
  }
  if (status == AL_OK) al_pick_highest(query, utility, picks);
  free(utility);
  return status;
}

const al_strategy al_strategy_power_bald = {
    .name = "power-bald",
    .family = "uncertainty",
    .summary = "bald with noise, so that a batch is not k times the same thing",
    .definition =
        "The k highest of beta ln s + G with s the bald score and G a standard Gumbel draw an item; items with\n"
        "s <= 1e-12 come after all others, by their draw. The printed score is the log (1e6 less for those).",
    .citation = "Kirsch, Farquhar, Atighehchian, Jesson, Branchaud-Charron and Gal 2021 (stochastic batch acquisition)",
    .cost = "time O(T |U| C), memory O(|U|)",
    .params = power_params,
    .needs = needs_passes,
    .select = select_power_bald,
};
