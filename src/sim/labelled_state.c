/* The labelled set against the pool. The unbiased MMD (Gretton et al. 2012, eq. 3) needs three sums of kernel values;
 * two of them grow with L and are kept incrementally, the pool's own is computed once and cached. */
#include "sim/labelled_state.h"

#include "base/memory.h"
#include "data/store.h"

#include <cblas.h>
#include <gsl/gsl_sort_double.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_SAMPLE = 5000, PAIRS = 1000, BLOCK = 256 };

struct al_labelled_state {
  const al_view *f;     /* rows x D, borrowed */
  const int32_t *truth; /* rows, borrowed */
  size_t classes, sampled, labelled, capacity, wrong;
  double *pool_share;  /* C */
  size_t *counts;      /* C */
  float *sample;       /* sampled x D */
  double *sample_norm; /* sampled */
  float *rows;         /* labelled x D: f of L in the order labelled */
  double *norm;        /* labelled */
  float *products;     /* BLOCK x max(sampled, labelled): scratch */
  size_t rows_capacity, norm_capacity, products_capacity;
  double gamma;                        /* 1 / (2 s^2) */
  double sum_pool, sum_cross, sum_own; /* off-diagonal kernel sums: pool x pool, L x pool (all), L x L */
};

/* Sum of k(a_i, b_j) over the block; norms are squared norms. a: n x D, b: m x D, n <= BLOCK. */
static double kernel_sum(al_labelled_state *state, const float *a, const double *a_norm, size_t n, const float *b,
                         const double *b_norm, size_t m) {
  if (n == 0 || m == 0) return 0.0;
  size_t width = state->f->cols;
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)n, (int)m, (int)width, 1.0F, a, (int)width, b, (int)width,
              0.0F, state->products, (int)m);
  double sum = 0.0;
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < m; j++) {
      double squared = a_norm[i] + b_norm[j] - 2.0 * (double)state->products[i * m + j];
      sum += (double)expf((float)(-state->gamma * (squared > 0.0 ? squared : 0.0)));
    }
  return sum;
}

static double squared_norm(const float *row, size_t width) {
  double sum = 0.0;
  for (size_t c = 0; c < width; c++) sum += (double)row[c] * (double)row[c];
  return sum;
}

/* s = the median distance of 1,000 seeded pairs, 0 counting as 1 (STATISTICS.md). */
static double kernel_width(const al_view *f, const int32_t *pool, size_t n, al_rng *rng) {
  double distances[PAIRS];
  for (size_t i = 0; i < PAIRS; i++) {
    size_t a = (size_t)al_rng_below(rng, n), b = (size_t)al_rng_below(rng, n);
    distances[i] = sqrt(al_view_squared_distance(f, (size_t)pool[a], f, (size_t)pool[b]));
  }
  gsl_sort(distances, 1, PAIRS);
  double median = gsl_stats_median_from_sorted_data(distances, 1, PAIRS);
  return median > 0.0 ? median : 1.0;
}

static al_status sum_of_pool(al_labelled_state *state, const char *key) {
  al_store *store = NULL;
  al_store_writer *writer = NULL;
  const void *cached = NULL;
  size_t count = 0;
  al_status status;
  AL_TRY(al_store_open(&store, "mmd", key));
  if (store != NULL) {
    AL_TRY(al_store_get(store, "sum", sizeof(double), &cached, &count));
    if (count == 1) {
      memcpy(&state->sum_pool, cached, sizeof(double));
      goto done;
    }
  }
  size_t width = state->f->cols;
  for (size_t i = 0; i < state->sampled; i += BLOCK) {
    size_t n = state->sampled - i < BLOCK ? state->sampled - i : BLOCK;
    const float *block = state->sample + i * width;
    const double *norms = state->sample_norm + i;
    /* the block against itself, its diagonal of ones taken off, and twice what follows */
    state->sum_pool += kernel_sum(state, block, norms, n, block, norms, n) - (double)n;
    state->sum_pool += 2.0 * kernel_sum(state, block, norms, n, block + n * width, norms + n, state->sampled - i - n);
  }
  AL_TRY(al_store_create(&writer, "mmd", key));
  AL_TRY(al_store_put(writer, "sum", sizeof(double), &state->sum_pool, 1));
  status = al_store_commit(writer, NULL);
  writer = NULL;
done:
  al_store_abandon(writer);
  al_store_close(store);
  return status;
}

al_status al_labelled_state_new(al_labelled_state **out, const al_view *f, const int32_t *pool, size_t n,
                                const int32_t *truth, size_t classes, al_rng rng, const char *key) {
  al_status status;
  int32_t *order = NULL;
  al_labelled_state *state = NULL;
  *out = NULL;
  AL_TRY(AL_NEW(&state, 1));
  state->f = f;
  state->truth = truth;
  state->classes = classes;
  state->sampled = n < MOST_SAMPLE ? n : MOST_SAMPLE;
  size_t width = f->cols;
  AL_TRY(AL_NEW(&state->pool_share, classes));
  AL_TRY(AL_NEW(&state->counts, classes));
  AL_TRY(AL_NEW(&state->sample, state->sampled * width));
  AL_TRY(AL_NEW(&state->sample_norm, state->sampled));
  AL_TRY(al_grow(&state->products, &state->products_capacity, BLOCK * (state->sampled + 1), sizeof *state->products));
  AL_TRY(AL_NEW(&order, n));
  for (size_t i = 0; i < n; i++) {
    state->pool_share[truth[pool[i]]] += 1.0 / (double)n;
    order[i] = pool[i];
  }
  double s = kernel_width(f, pool, n, &rng);
  state->gamma = 1.0 / (2.0 * s * s);
  al_rng_sample(&rng, order, n, state->sampled);
  for (size_t i = 0; i < state->sampled; i++) {
    al_view_row(f, (size_t)order[i], state->sample + i * width);
    state->sample_norm[i] = squared_norm(state->sample + i * width, width);
  }
  AL_TRY(sum_of_pool(state, key));
  *out = state;
  state = NULL;
done:
  free(order);
  al_labelled_state_free(state);
  return status;
}

void al_labelled_state_free(al_labelled_state *state) {
  if (state == NULL) return;
  free(state->pool_share);
  free(state->counts);
  free(state->sample);
  free(state->sample_norm);
  free(state->rows);
  free(state->norm);
  free(state->products);
  free(state);
}

al_status al_labelled_state_add(al_labelled_state *state, const int32_t *rows, const int32_t *answers, size_t n) {
  al_status status;
  size_t width = state->f->cols, total = state->labelled + n;
  size_t widest = total > state->sampled ? total : state->sampled;
  AL_TRY(al_grow(&state->rows, &state->rows_capacity, total * width + 1, sizeof *state->rows));
  AL_TRY(al_grow(&state->norm, &state->norm_capacity, total + 1, sizeof *state->norm));
  AL_TRY(al_grow(&state->products, &state->products_capacity, BLOCK * (widest + 1), sizeof *state->products));
  for (size_t i = 0; i < n; i++) {
    float *row = state->rows + (state->labelled + i) * width;
    al_view_row(state->f, (size_t)rows[i], row);
    state->norm[state->labelled + i] = squared_norm(row, width);
    state->counts[answers[i]]++;
    state->wrong += answers[i] != state->truth[rows[i]];
  }
  for (size_t i = 0; i < n; i += BLOCK) {
    size_t size = n - i < BLOCK ? n - i : BLOCK, start = state->labelled + i;
    const float *block = state->rows + start * width;
    const double *norms = state->norm + start;
    state->sum_cross += kernel_sum(state, block, norms, size, state->sample, state->sample_norm, state->sampled);
    state->sum_own += 2.0 * kernel_sum(state, block, norms, size, state->rows, state->norm, start);
    state->sum_own += kernel_sum(state, block, norms, size, block, norms, size) - (double)size;
  }
  state->labelled = total;
done:
  return status;
}

json_t *al_labelled_state_json(const al_labelled_state *state) {
  json_t *counts = json_array();
  double kl = 0.0;
  size_t least = SIZE_MAX, most = 0;
  for (size_t c = 0; c < state->classes; c++) {
    json_array_append_new(counts, json_integer((json_int_t)state->counts[c]));
    least = state->counts[c] < least ? state->counts[c] : least;
    most = state->counts[c] > most ? state->counts[c] : most;
    double share = state->labelled == 0 ? 0.0 : (double)state->counts[c] / (double)state->labelled;
    if (share > 0.0) kl += share * log(fmax(share, 1e-12) / fmax(state->pool_share[c], 1e-12));
  }
  double n = (double)state->labelled, m = (double)state->sampled;
  json_t *mmd = state->labelled < 2 || state->sampled < 2
                    ? json_null()
                    : json_real(state->sum_own / (n * (n - 1.0)) + state->sum_pool / (m * (m - 1.0)) -
                                2.0 * state->sum_cross / (n * m));
  return json_pack("{s:o,s:f,s:o,s:o,s:f}", "counts", counts, "kl", kl, "imbalance",
                   least == 0 || most == 0 ? json_null() : json_real((double)most / (double)least), "mmd2", mmd,
                   "noise", state->labelled == 0 ? 0.0 : (double)state->wrong / n);
}
