/* qbc: query by committee. The members are the stochastic passes, or refits on bootstrap samples of L. */
#include "strategy/pointwise.h"

#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const al_param params_of_qbc[] = {
    {.key = "by",
     .type = AL_PARAM_CHOICE,
     .fallback = "\"vote-entropy\"",
     .choices = "vote-entropy|kl|consensus-entropy",
     .help = "how disagreement is measured"},
    {.key = "committee",
     .type = AL_PARAM_CHOICE,
     .fallback = "\"any\"",
     .choices = "any|passes|bootstrap",
     .help =
         "who is in it: the stochastic passes, refits on bootstrap samples of L, or the passes where there are any"},
    {.key = "members",
     .type = AL_PARAM_INT,
     .fallback = "10",
     .min = 2,
     .max = 1000,
     .help = "size of a bootstrap committee (passes are as many as the model makes)"},
    {0}};

static unsigned needs_of_qbc(const json_t *params) {
  const char *committee = al_params_string(params, "committee");
  if (strcmp(committee, "passes") == 0) return AL_NEED_MC;
  if (strcmp(committee, "bootstrap") == 0) return AL_NEED_REFIT | AL_NEED_LABELLED;
  return AL_NEED_MC_OR_REFIT;
}

/* A stratified bootstrap sample of L: class by class ascending, each drawn from itself with replacement. out: |L|. */
static void draw_sample(const al_query *query, al_rng *rng, int32_t *of_class, int32_t *out) {
  size_t drawn = 0;
  for (size_t c = 0; c < query->classes; c++) {
    size_t size = 0;
    for (size_t i = 0; i < query->labelled; i++)
      if ((size_t)query->labels[i] == c) of_class[size++] = (int32_t)i;
    for (size_t i = 0; i < size; i++) out[drawn++] = of_class[al_rng_below(rng, size)];
  }
}

/* What members say of the pool: members x |U| x C. Member i draws from child i of the query's stream. */
static al_status bootstrap(const al_query *query, size_t members, float **probs) {
  al_status status;
  int32_t *sample = NULL, *of_class = NULL;
  AL_TRY(AL_NEW(probs, members * query->pool * query->classes));
  AL_TRY(AL_NEW(&sample, query->labelled));
  AL_TRY(AL_NEW(&of_class, query->labelled));
  for (size_t i = 0; i < members; i++) {
    al_rng rng = al_rng_child(&query->rng, i);
    draw_sample(query, &rng, of_class, sample);
    AL_TRY(query->refit->fit_labelled(query->refit->context, sample, query->labelled,
                                      *probs + i * query->pool * query->classes));
  }
done:
  free(sample);
  free(of_class);
  return status;
}

typedef struct {
  const float *probs; /* members x n x C */
  size_t members, n, classes;
} committee;

static const float *opinion(const committee *m, size_t member, size_t pos) {
  return m->probs + (member * m->n + pos) * m->classes;
}

/* Mean over members; out: C. */
static void consensus(const committee *m, size_t pos, double *out) {
  memset(out, 0, m->classes * sizeof *out);
  for (size_t i = 0; i < m->members; i++)
    for (size_t c = 0; c < m->classes; c++) out[c] += (double)opinion(m, i, pos)[c];
  for (size_t c = 0; c < m->classes; c++) out[c] /= (double)m->members;
}

static double entropy_of(const double *p, size_t classes) {
  double sum = 0.0;
  for (size_t c = 0; c < classes; c++)
    if (p[c] > 0.0) sum -= p[c] * log(p[c]);
  return fmax(0.0, sum);
}

static double vote_entropy(const committee *m, size_t pos, double *votes) {
  memset(votes, 0, m->classes * sizeof *votes);
  for (size_t i = 0; i < m->members; i++) {
    const float *p = opinion(m, i, pos);
    size_t best = 0;
    for (size_t c = 1; c < m->classes; c++)
      if (p[c] > p[best]) best = c;
    votes[best] += 1.0 / (double)m->members;
  }
  return entropy_of(votes, m->classes);
}

static double consensus_entropy(const committee *m, size_t pos, double *mean) {
  consensus(m, pos, mean);
  return entropy_of(mean, m->classes);
}

/* Mean over members of KL(member || consensus). */
static double divergence(const committee *m, size_t pos, double *mean) {
  double sum = 0.0;
  consensus(m, pos, mean);
  for (size_t i = 0; i < m->members; i++)
    for (size_t c = 0; c < m->classes; c++) {
      double p = (double)opinion(m, i, pos)[c];
      if (p > 0.0) sum += p * log(fmax(p, 1e-12) / fmax(mean[c], 1e-12));
    }
  return fmax(0.0, sum / (double)m->members);
}

static al_status select_qbc(const al_query *query, const json_t *params, al_picks *picks) {
  al_status status;
  const char *by = al_params_string(params, "by"), *who = al_params_string(params, "committee");
  committee m = {.probs = query->mc, .members = query->passes, .n = query->pool, .classes = query->classes};
  float *made = NULL;
  double *utility = NULL, *room = NULL;
  if (strcmp(who, "bootstrap") == 0 || query->mc == NULL) {
    m.members = (size_t)al_params_int(params, "members");
    AL_TRY(bootstrap(query, m.members, &made));
    m.probs = made;
  }
  AL_TRY(AL_NEW(&utility, query->pool));
  AL_TRY(AL_NEW(&room, query->classes));
  double (*measure)(const committee *, size_t, double *) = strcmp(by, "kl") == 0                  ? divergence
                                                           : strcmp(by, "consensus-entropy") == 0 ? consensus_entropy
                                                                                                  : vote_entropy;
  for (size_t pos = 0; pos < query->pool; pos++) utility[pos] = measure(&m, pos, room);
  al_pick_highest(query, utility, picks);
done:
  free(made);
  free(utility);
  free(room);
  return status;
}

const al_strategy al_strategy_qbc = {
    .name = "qbc",
    .family = "committee",
    .summary = "query by committee: the items on which passes or bootstrap refits disagree most",
    .definition =
        "by vote-entropy: highest -sum_c v_c ln v_c, v_c the share of members whose most probable class is c (nats,\n"
        "not normalised). by kl: mean over members of KL(p_member || mean), both arguments of the logarithm floored "
        "at\n"
        "1e-12; equals bald on the same passes. by consensus-entropy: entropy of the mean; equals mc-entropy. A\n"
        "bootstrap member is a refit on L resampled with replacement within each class, so that every class stays.",
    .citation =
        "Seung, Opper and Sompolinsky 1992; Engelson and Dagan 1996 (vote entropy); McCallum and Nigam 1998 (KL); "
        "consensus-entropy is modAL's name",
    .cost = "M members: time O(M |U| C) and M fits for bootstrap, memory O(M |U| C)",
    .params = params_of_qbc,
    .needs = needs_of_qbc,
    .select = select_qbc,
};
