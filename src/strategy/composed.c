/* What composed strategies share (composed.h), and the two that only deal a batch out: schedule and mixture. */
#include "strategy/composed.h"

#include "base/memory.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_CHILDREN = 64, MOST_LOOKED_AT = 100000 };

/* ---- what is computed once a cell ---- */

typedef struct {
  size_t n;
  struct {
    const al_strategy *strategy;
    void *made;
  } parts[];
} prepared_parts;

static al_query query_of_child(const al_query *query, size_t index) {
  al_query own = *query;
  const prepared_parts *prepared = query->prepared;
  own.rng = al_rng_child(&query->rng, index);
  own.cell_rng = al_rng_child(&query->cell_rng, index);
  own.prepared = prepared == NULL ? NULL : prepared->parts[index].made;
  return own;
}

al_status al_children_prepare(const al_strategy *strategy, void **prepared, const al_query *query,
                              const json_t *params) {
  al_status status;
  char *block = NULL;
  size_t n = al_child_count(strategy, params);
  *prepared = NULL;
  AL_TRY(AL_NEW(&block, sizeof(prepared_parts) + n * sizeof(((prepared_parts *)NULL)->parts[0])));
  prepared_parts *parts = (prepared_parts *)(void *)block;
  parts->n = n;
  *prepared = parts;
  for (size_t i = 0; i < n; i++) {
    al_child child = al_child_at(strategy, params, i);
    al_query own = query_of_child(query, i);
    own.prepared = NULL;
    parts->parts[i].strategy = child.strategy;
    if (child.strategy->prepare != NULL) AL_TRY(child.strategy->prepare(&parts->parts[i].made, &own, child.params));
  }
done:
  if (status != AL_OK) {
    al_children_forget(*prepared);
    *prepared = NULL;
  }
  return status;
}

void al_children_forget(void *prepared) {
  prepared_parts *parts = prepared;
  if (parts == NULL) return;
  for (size_t i = 0; i < parts->n; i++)
    if (parts->parts[i].made != NULL) parts->parts[i].strategy->forget(parts->parts[i].made);
  free(parts);
}

/* ---- asking one ---- */

al_status al_child_select(const al_strategy *strategy, const al_query *query, const json_t *params, size_t index,
                          size_t batch, bool with_state, al_picks *picks) {
  al_status status;
  al_child child = al_child_at(strategy, params, index);
  al_query own = query_of_child(query, index);
  *picks = (al_picks){0};
  own.batch = batch < query->pool ? batch : query->pool;
  if (!with_state) own.state = NULL;
  AL_TRY(AL_NEW(&picks->pos, own.batch));
  AL_TRY(AL_NEW(&picks->scores, own.batch));
  status = al_strategy_select(child.strategy, &own, child.params, picks);
  if (status != AL_OK) {
    (void)al_context(status, "%s", strategy->name);
    goto done;
  }
  if (!with_state && picks->state != NULL)
    status = al_fail(AL_BAD_INPUT, "%s: %s keeps a state, and one of several in a round cannot", strategy->name,
                     child.strategy->name);
  if (status == AL_OK && picks->note != NULL) {
    char *text = NULL;
    AL_TRY(al_format(&text, "%s: %s", child.strategy->name, picks->note));
    free(picks->note);
    picks->note = text;
  }
done:
  return status;
}

void al_picks_move(al_picks *to, al_picks *from) {
  memcpy(to->pos, from->pos, from->count * sizeof *to->pos);
  if (from->scored) memcpy(to->scores, from->scores, from->count * sizeof *to->scores);
  to->count = from->count;
  to->scored = from->scored;
  to->note = from->note;
  to->state = from->state;
  from->note = NULL;
  from->state = NULL;
}

al_status al_picks_join_note(al_picks *to, const al_picks *from) {
  return from->note == NULL ? AL_OK : al_picks_note(to, "%s", from->note);
}

/* ---- schedule ---- */

extern const al_strategy al_strategy_schedule, al_strategy_mixture;

static const char *const children_of_schedule[] = {"first", "then", NULL};

static const al_param params_of_schedule[] = {
    {.key = "first", .type = AL_PARAM_ANY, .help = "the sub-strategy of the first rounds: a name, or {name, params}"},
    {.key = "then", .type = AL_PARAM_ANY, .help = "the sub-strategy of the others"},
    {.key = "until", .type = AL_PARAM_INT, .min = 1, .max = 1e9, .help = "number of labelled items from which on"},
    {0}};

static unsigned needs_of_schedule(const json_t *params) { return al_children_need(&al_strategy_schedule, params); }

static al_status prepare_schedule(void **prepared, const al_query *query, const json_t *params) {
  return al_children_prepare(&al_strategy_schedule, prepared, query, params);
}

static al_status select_by_schedule(const al_query *query, const json_t *params, al_picks *picks) {
  al_picks own;
  size_t index = query->labelled < (size_t)al_params_int(params, "until") ? 0 : 1;
  al_status status = al_child_select(&al_strategy_schedule, query, params, index, query->batch, true, &own);
  if (status == AL_OK) al_picks_move(picks, &own);
  al_picks_free(&own);
  return status;
}

const al_strategy al_strategy_schedule = {
    .name = "schedule",
    .family = "composed",
    .summary = "one sub-strategy while few items are labelled, another from then on",
    .definition =
        "`first` while |L| < `until` at the start of the round, `then` after; a batch is not split. Sub-strategies\n"
        "draw from streams of their own (`first` 0, `then` 1).",
    .citation = "",
    .cost = "those of the sub-strategy at hand; what both need is computed each round",
    .multi = true,
    .params = params_of_schedule,
    .needs = needs_of_schedule,
    .select = select_by_schedule,
    .prepare = prepare_schedule,
    .forget = al_children_forget,
    .children = children_of_schedule,
};

/* ---- mixture ---- */

static const char *const children_of_mixture[] = {"strategies", NULL};

static const al_param params_of_mixture[] = {
    {.key = "strategies", .type = AL_PARAM_LIST, .help = "sub-strategies: names, or {name, params}"},
    {.key = "shares",
     .type = AL_PARAM_LIST,
     .fallback = "[]",
     .help = "a number for each, of any sum (none: equal shares)"},
    {0}};

void al_largest_remainder(const double *shares, size_t n, size_t items, size_t *counts) {
  double sum = 0.0, rest[MOST_CHILDREN] = {0};
  size_t dealt = 0;
  assert(n <= MOST_CHILDREN);
  for (size_t i = 0; i < n; i++) sum += shares[i];
  for (size_t i = 0; i < n; i++) {
    double quota = (double)items * (shares[i] / sum);
    /* 0.1 + 0.2 + 0.7 is not 1: a quota that is whole but for rounding is whole */
    double whole = fabs(quota - round(quota)) < 1e-9 ? round(quota) : floor(quota);
    counts[i] = (size_t)whole;
    rest[i] = fmax(0.0, quota - whole);
    dealt += counts[i];
  }
  while (dealt < items) {
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
      if (rest[i] > rest[best] + 1e-9) best = i;
    counts[best]++;
    rest[best] = -1.0;
    dealt++;
  }
}

static void read_shares(const json_t *params, double *shares) {
  const json_t *given = json_object_get(params, "shares");
  size_t n = json_array_size(json_object_get(params, "strategies"));
  for (size_t i = 0; i < n; i++)
    shares[i] = json_array_size(given) == 0 ? 1.0 : json_number_value(json_array_get(given, i));
}

static al_status check_mixture(const json_t *params, const char *where) {
  const json_t *shares = json_object_get(params, "shares");
  size_t n = json_array_size(json_object_get(params, "strategies"));
  double sum = 0.0;
  al_status status = al_check_children(&al_strategy_mixture, params, "strategies", where);
  if (status != AL_OK || json_array_size(shares) == 0) return status;
  if (json_array_size(shares) != n)
    return al_fail(AL_BAD_INPUT, "%s.shares: %zu shares for %zu strategies", where, json_array_size(shares), n);
  for (size_t i = 0; i < n; i++) {
    const json_t *share = json_array_get(shares, i);
    if (!json_is_number(share) || !(json_number_value(share) > 0.0) || json_number_value(share) > 1e9)
      return al_fail(AL_BAD_INPUT, "%s.shares[%zu]: must be a number above 0", where, i);
    sum += json_number_value(share);
  }
  return isfinite(sum) ? AL_OK : al_fail(AL_BAD_INPUT, "%s.shares: their sum is not finite", where);
}

/* Index of a sub-strategy that would never pick, or n. */
static size_t idle(const double *shares, size_t n, size_t batch) {
  size_t counts[MOST_CHILDREN] = {0}, i = 0;
  al_largest_remainder(shares, n, batch, counts);
  while (i < n && counts[i] != 0) i++;
  return i;
}

static al_status check_batch_of_mixture(const json_t *params, size_t batch, const char *where) {
  double shares[MOST_CHILDREN] = {0};
  const json_t *list = json_object_get(params, "strategies");
  size_t n = json_array_size(list), least = batch;
  read_shares(params, shares);
  size_t lazy = idle(shares, n, batch);
  if (lazy == n) return AL_OK;
  while (least < MOST_LOOKED_AT && idle(shares, n, least) != n) least++;
  return al_fail(AL_BAD_INPUT, "%s: in a batch of %zu the mixture gives %s no pick; a batch of %zu does", where, batch,
                 al_params_string(json_array_get(list, lazy), "name"), least);
}

static unsigned needs_of_mixture(const json_t *params) { return al_children_need(&al_strategy_mixture, params); }

static al_status prepare_mixture(void **prepared, const al_query *query, const json_t *params) {
  return al_children_prepare(&al_strategy_mixture, prepared, query, params);
}

/* A sub-strategy whose turn it is may have had all earlier picks in mind too: so it is asked for as many as are taken
 * and its share, and what is taken is passed over. */
static al_status select_by_mixture(const al_query *query, const json_t *params, al_picks *picks) {
  al_status status;
  size_t n = al_child_count(&al_strategy_mixture, params), counts[MOST_CHILDREN] = {0};
  size_t k = query->batch < query->pool ? query->batch : query->pool, filled = 0;
  double shares[MOST_CHILDREN] = {0};
  bool *taken = NULL;
  al_picks own = {0};
  read_shares(params, shares);
  al_largest_remainder(shares, n, k, counts);
  AL_TRY(AL_NEW(&taken, query->pool));
  for (size_t i = 0; i < n; i++) {
    if (counts[i] == 0) continue;
    AL_TRY(al_child_select(&al_strategy_mixture, query, params, i, filled + counts[i], false, &own));
    size_t end = filled + counts[i];
    for (size_t j = 0; j < own.count && filled < end; j++) {
      if (taken[own.pos[j]]) continue;
      taken[own.pos[j]] = true;
      picks->pos[filled] = own.pos[j];
      picks->scores[filled++] = own.scored ? own.scores[j] : 0.0;
    }
    picks->scored = picks->scored && own.scored;
    AL_TRY(al_picks_join_note(picks, &own));
    al_picks_free(&own);
  }
  picks->count = filled;
done:
  free(taken);
  al_picks_free(&own);
  return status;
}

const al_strategy al_strategy_mixture = {
    .name = "mixture",
    .family = "composed",
    .summary = "a batch shared out among sub-strategies",
    .definition =
        "The batch is dealt by `shares` with the largest remainder (ties: first listed). In list order each\n"
        "sub-strategy takes its best unpicked items: it is asked for its share and as many more as are taken, and\n"
        "passes over what is taken. Sub-strategy i draws from stream i of the query. Scores are the sub-strategies' "
        "own\n"
        "and not comparable; there are none when one of them has none. A batch that leaves one without a pick is\n"
        "refused.",
    .citation = "",
    .cost = "the sum of the sub-strategies'",
    .multi = true,
    .params = params_of_mixture,
    .needs = needs_of_mixture,
    .select = select_by_mixture,
    .check = check_mixture,
    .prepare = prepare_mixture,
    .forget = al_children_forget,
    .children = children_of_mixture,
    .check_batch = check_batch_of_mixture,
};
