/* One strategy on arrays from a folder, timed on request, for bench/strategies.py: what is timed is al_strategy_select,
 * the checks of its inputs included, in processor seconds of this one-threaded process. The arrays are read before.
 *
 * usage: strategies STRATEGY K PARAMETERS(JSON) FOLDER; then a command a line on standard input:
 *   select      runs the query; answers with its seconds
 *   stream N    reads all of rows.npy N times; answers with its seconds
 *   draws       answers with the query's uniforms: one below |U|, then K in [0, 1)
 *   picks       answers with K lines, position and score
 *   memory      answers with the peak resident bytes so far
 * --list alone prints the names of the strategies.
 * FOLDER: rows.npy ((|L| + |U|) x D, L first: embeddings and features), labels.npy (|L|), probs.npy (|U| x C),
 * mc.npy (T x |U| x C); what is not there is not given. */
#include "base/memory.h"
#include "base/npy.h"
#include "base/simd.h"
#include "strategy/strategy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef struct {
  al_npy rows, labels, probs, mc;
  int32_t *all; /* |L| + |U|: 0, 1, ... */
} arrays;

static double processor_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* VmHWM: getrusage would count the parent's memory at the fork too. */
static long long peak_bytes(void) {
  char line[128];
  long long kilobytes = -1;
  FILE *status = fopen("/proc/self/status", "re");
  while (status != NULL && fgets(line, sizeof line, status) != NULL)
    if (strncmp(line, "VmHWM:", 6) == 0) kilobytes = strtoll(line + 6, NULL, 10);
  if (status != NULL) fclose(status);
  return kilobytes * 1024;
}

static al_status read_array(al_npy *out, const char *folder, const char *name) {
  char *path = NULL;
  al_status status = al_format(&path, "%s/%s.npy", folder, name);
  if (status == AL_OK && access(path, R_OK) == 0) {
    status = al_npy_read(out, path);
    if (status == AL_OK) status = strcmp(name, "labels") == 0 ? al_npy_to_i32(out, path) : al_npy_to_f32(out, path);
  }
  free(path);
  return status;
}

static al_status fill(al_query *query, arrays *a, const char *folder) {
  al_status status;
  AL_TRY(read_array(&a->rows, folder, "rows"));
  AL_TRY(read_array(&a->labels, folder, "labels"));
  AL_TRY(read_array(&a->probs, folder, "probs"));
  AL_TRY(read_array(&a->mc, folder, "mc"));
  query->labelled = a->labels.count;
  query->labels = a->labels.data;
  if (a->probs.data != NULL) {
    query->pool = a->probs.shape[0];
    query->classes = a->probs.shape[1];
    query->probs = a->probs.data;
  }
  if (a->mc.data != NULL) {
    query->passes = a->mc.shape[0];
    query->pool = a->mc.shape[1];
    query->classes = a->mc.shape[2];
    query->mc = a->mc.data;
  }
  if (a->rows.data != NULL) {
    size_t all = a->rows.shape[0], width = a->rows.shape[1];
    const float *values = a->rows.data;
    query->pool = all - query->labelled;
    query->f_all = al_view_dense(values, all, width);
    query->h_labelled = query->f_labelled = al_view_dense(values, query->labelled, width);
    query->h_pool = query->f_pool = al_view_dense(values + query->labelled * width, query->pool, width);
  }
  AL_TRY(AL_NEW(&a->all, query->labelled + query->pool));
  for (size_t i = 0; i < query->labelled + query->pool; i++) a->all[i] = (int32_t)i;
  query->all_labelled = a->all;
  query->all_pool = a->all + query->labelled;
done:
  return status;
}

/* Integer sums of every word: four independent vectors, so that memory is all it waits for. */
AL_SIMD static uint64_t read_all(const uint64_t *words, size_t n) {
  uint64_t lanes[4 * AL_LANES] = {0}, sum = 0;
  size_t i = 0;
  for (; i + 4 * AL_LANES <= n; i += 4 * AL_LANES)
    for (size_t l = 0; l < 4 * AL_LANES; l++) lanes[l] += words[i + l];
  for (; i < n; i++) sum += words[i];
  for (size_t l = 0; l < 4 * AL_LANES; l++) sum += lanes[l];
  return sum;
}

static al_status answer(const char *command, const al_strategy *strategy, const al_query *query, const json_t *params,
                        const al_npy *rows, al_picks *picks) {
  double start = processor_seconds();
  if (strcmp(command, "select") == 0) {
    free(picks->note);
    json_decref(picks->state);
    picks->note = NULL;
    picks->state = NULL;
    al_status status = al_strategy_select(strategy, query, params, picks);
    if (status != AL_OK) return status;
    printf("%.9f\n", processor_seconds() - start);
  } else if (strncmp(command, "stream ", 7) == 0) {
    volatile uint64_t sum = 0; /* read for nothing but its time */
    for (long n = strtol(command + 7, NULL, 10); n > 0; n--)
      sum = sum + read_all(rows->data, rows->count * sizeof(float) / sizeof(uint64_t));
    printf("%.9f\n", processor_seconds() - start);
  } else if (strcmp(command, "draws") == 0) {
    al_rng rng = query->rng;
    printf("%llu", (unsigned long long)al_rng_below(&rng, query->pool));
    for (size_t i = 0; i < query->batch; i++) printf(" %.17g", al_rng_uniform(&rng));
    putchar('\n');
  } else if (strcmp(command, "picks") == 0) {
    for (size_t i = 0; i < picks->count; i++) printf("%d %.17g\n", picks->pos[i], picks->scores[i]);
  } else if (strcmp(command, "memory") == 0) {
    printf("%lld\n", peak_bytes());
  } else {
    return al_fail(AL_BAD_INPUT, "unknown command '%s'", command);
  }
  fflush(stdout);
  return AL_OK;
}

int main(int argc, char **argv) {
  al_status status = AL_OK;
  arrays a = {0};
  al_picks picks = {0};
  json_t *params = NULL, *given = NULL;
  char line[64];
  if (argc == 2 && strcmp(argv[1], "--list") == 0) {
    for (size_t i = 0; al_strategies[i] != NULL; i++) puts(al_strategies[i]->name);
    return 0;
  }
  if (argc != 5) return fprintf(stderr, "usage: strategies STRATEGY K PARAMETERS FOLDER\n"), 2;
  const al_strategy *strategy = al_strategy_find(argv[1]);
  if (strategy == NULL) return fprintf(stderr, "strategies: no strategy %s\n", argv[1]), 2;
  al_stream_key key = {.seed = 1, .purpose = "bench", .dataset = "strategies"};
  al_query query = {.batch = strtoul(argv[2], NULL, 10), .round = 1, .rng = al_rng_open(&key)};
  query.cell_rng = al_rng_child(&query.rng, 0);
  given = json_loads(argv[3], 0, NULL);
  AL_TRY(al_params_resolve(&params, strategy->params, given, strategy->name));
  AL_TRY(fill(&query, &a, argv[4]));
  AL_TRY(AL_NEW(&picks.pos, query.batch));
  AL_TRY(AL_NEW(&picks.scores, query.batch));
  while (fgets(line, sizeof line, stdin) != NULL) {
    line[strcspn(line, "\n")] = '\0';
    AL_TRY(answer(line, strategy, &query, params, &a.rows, &picks));
  }
done:
  if (status != AL_OK) fprintf(stderr, "strategies: %s\n", al_message());
  json_decref(given);
  json_decref(params);
  al_picks_free(&picks);
  al_npy_free(&a.rows);
  al_npy_free(&a.labels);
  al_npy_free(&a.probs);
  al_npy_free(&a.mc);
  free(a.all);
  return status == AL_OK ? 0 : 3;
}
