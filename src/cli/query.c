/* alab query STRATEGY: one query on arrays from files, so that any language can use a strategy, or check one. */
#include "cli/cli.h"

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/npy.h"
#include "base/yaml.h"
#include "model/model.h"
#include "model/refit.h"
#include "strategy/strategy.h"

#include <cblas.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FOLDS = 5, LEAST_FOR_FOLDS = 10, MOST_TOKEN_FILE = 1 << 30, MOST_HISTORY_FILE = 1 << 30 };

static const char help[] =
    "usage: alab query STRATEGY -n K [options]\n"
    "\n"
    "Prints min(K, |U|) picked rows in pick order, one a line. Arrays are NumPy .npy files over all N rows; U = the "
    "rows that\n"
    "--labelled does not name.\n"
    "\n"
    "  --probs F          N x C class probabilities\n"
    "  --embeddings F     N x D, the model's last layer      --features F   N x D, fixed features\n"
    "  --mc F             T x N x C stochastic passes\n"
    "  --tokens F         text file, a line a row: token ids separated by spaces\n"
    "  --pixels F         uint8, N x C x H x W\n"
    "  --rows N           number of rows, where no array is needed\n"
    "  --labelled F       indices of labelled rows           --labels F     their classes\n"
    "  --head F --bias F  C x D and C, the last layer\n"
    "  --true-labels F    classes of all rows (oracle-error only)\n"
    "  --history F        past rounds, a line of JSON each (a cell's log is one): round, asked, answers, state\n"
    "  --state F          where the strategy's own state goes, for the next history\n"
    "  --seed S, --threads N, --param KEY=VALUE (YAML value), --scores, -o FILE\n";

typedef struct {
  const char *probs, *embeddings, *features, *mc, *tokens, *pixels, *labelled, *labels, *head, *bias, *truth, *output;
  const char *history, *state;
  size_t k, rows, threads;
  uint64_t seed;
  al_texts params;
  bool scores;
} arguments;

static al_status parse_seed(uint64_t *seed, const char *text) {
  char *end = NULL;
  errno = 0;
  *seed = strtoull(text, &end, 10);
  if (*text < '0' || *text > '9' || *end != '\0' || errno != 0)
    return al_fail(AL_BAD_INPUT, "--seed: '%s' is not a whole number", text);
  return AL_OK;
}

static al_status parse(arguments *a, int argc, char **argv, bool *wants_help) {
  static const struct option options[] = {{"probs", required_argument, NULL, 1},
                                          {"embeddings", required_argument, NULL, 2},
                                          {"features", required_argument, NULL, 3},
                                          {"mc", required_argument, NULL, 4},
                                          {"tokens", required_argument, NULL, 5},
                                          {"pixels", required_argument, NULL, 6},
                                          {"labelled", required_argument, NULL, 7},
                                          {"labels", required_argument, NULL, 8},
                                          {"head", required_argument, NULL, 9},
                                          {"bias", required_argument, NULL, 10},
                                          {"true-labels", required_argument, NULL, 11},
                                          {"rows", required_argument, NULL, 12},
                                          {"seed", required_argument, NULL, 13},
                                          {"threads", required_argument, NULL, 14},
                                          {"param", required_argument, NULL, 15},
                                          {"scores", no_argument, NULL, 16},
                                          {"history", required_argument, NULL, 17},
                                          {"state", required_argument, NULL, 18},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
  const char **texts[] = {NULL,       &a->probs,    &a->embeddings, &a->features, &a->mc,   &a->tokens,
                          &a->pixels, &a->labelled, &a->labels,     &a->head,     &a->bias, &a->truth};
  al_status status = AL_OK;
  int option;
  a->threads = 1;
  opterr = 0;
  optind = 1;
  while (status == AL_OK && (option = getopt_long(argc, argv, "n:o:h", options, NULL)) != -1) {
    if (option >= 1 && option <= 11)
      *texts[option] = optarg;
    else if (option == 12)
      status = al_cli_number(&a->rows, optarg, "--rows", INT32_MAX);
    else if (option == 13)
      status = parse_seed(&a->seed, optarg);
    else if (option == 14)
      status = al_cli_number(&a->threads, optarg, "--threads", 1024);
    else if (option == 15)
      status = al_cli_add(&a->params, optarg, "--param");
    else if (option == 16)
      a->scores = true;
    else if (option == 17)
      a->history = optarg;
    else if (option == 18)
      a->state = optarg;
    else if (option == 'n')
      status = al_cli_number(&a->k, optarg, "-n", INT32_MAX);
    else if (option == 'o')
      a->output = optarg;
    else if (option == 'h')
      *wants_help = true;
    else
      status = al_cli_unknown_option("query", argv);
  }
  return status;
}

/* ---- reading ---- */

typedef struct {
  size_t rows, classes;
  al_npy probs, embeddings, features, mc, pixels, labelled, labels, head, bias, truth;
  bool *is_labelled;
  int32_t *pool_rows, *labelled_rows; /* U ascending; L as given */
  size_t pool, labelled_count;
  /* tokens */
  int64_t *token_begin, *pool_token_begin, *pool_token_end, *labelled_token_begin, *labelled_token_end;
  int32_t *token_ids;
  int32_t universe;
  /* gathered for U */
  float *pool_probs, *labelled_probs, *pool_mc, *oof_probs;
  int32_t *pool_truth, *predicted;
  uint8_t *errors, *fold_of;
  al_subset h_pool, h_labelled, f_pool, f_labelled;
  al_refitter *refitter;
} arrays;

static al_status agree_on_rows(arrays *x, size_t rows, const char *path) {
  if (x->rows != 0 && x->rows != rows)
    return al_fail(AL_BAD_INPUT, "%s: %zu rows, but another array has %zu", path, rows, x->rows);
  x->rows = rows;
  return AL_OK;
}

static al_status read_floats(al_npy *out, const char *path, size_t dims) {
  al_status status = al_npy_read(out, path);
  if (status == AL_OK && out->dims != dims)
    status = al_fail(AL_BAD_INPUT, "%s: %zu dimensions, but %zu are expected", path, out->dims, dims);
  return status == AL_OK ? al_npy_to_f32(out, path) : status;
}

static al_status read_integers(al_npy *out, const char *path) {
  al_status status = al_npy_read(out, path);
  if (status == AL_OK && out->dims != 1) status = al_fail(AL_BAD_INPUT, "%s: must have one dimension", path);
  return status == AL_OK ? al_npy_to_i32(out, path) : status;
}

static int ascending(const void *a, const void *b) {
  int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
  return (x > y) - (x < y);
}

/* A line a row; ids are made ascending and distinct. */
static al_status read_tokens(arrays *x, const char *path) {
  al_status status;
  char *text = NULL;
  size_t size = 0, rows = 0, n = 0, capacity = 0, row_capacity = 0;
  AL_TRY(al_file_read(&text, &size, path, MOST_TOKEN_FILE));
  for (char *line = text; line < text + size;) {
    char *end = memchr(line, '\n', (size_t)(text + size - line));
    if (end != NULL) *end = '\0';
    size_t first = n;
    for (char *at = line + strspn(line, " \t\r"); *at != '\0'; at += strspn(at, " \t\r")) {
      char *stop = NULL;
      errno = 0;
      long id = strtol(at, &stop, 10);
      if (stop == at || errno != 0 || id < 0 || id >= INT32_MAX || (*stop != '\0' && strchr(" \t\r", *stop) == NULL)) {
        status = al_fail(AL_BAD_INPUT, "%s:%zu: token ids must be whole numbers from 0", path, rows + 1);
        goto done;
      }
      AL_TRY(al_grow(&x->token_ids, &capacity, n + 1, sizeof *x->token_ids));
      x->token_ids[n++] = (int32_t)id;
      if (id >= x->universe) x->universe = (int32_t)id + 1;
      at = stop;
    }
    qsort(x->token_ids + first, n - first, sizeof *x->token_ids, ascending);
    size_t kept = first;
    for (size_t i = first; i < n; i++)
      if (kept == first || x->token_ids[kept - 1] != x->token_ids[i]) x->token_ids[kept++] = x->token_ids[i];
    n = kept;
    AL_TRY(al_grow(&x->token_begin, &row_capacity, rows + 2, sizeof *x->token_begin));
    if (rows == 0) x->token_begin[0] = 0;
    x->token_begin[++rows] = (int64_t)n;
    if (end == NULL) break;
    line = end + 1;
  }
  AL_TRY(agree_on_rows(x, rows, path));
done:
  free(text);
  return status;
}

static al_status read_arrays(arrays *x, const arguments *a) {
  al_status status = AL_OK;
  x->rows = a->rows;
  if (a->probs != NULL) {
    AL_TRY(read_floats(&x->probs, a->probs, 2));
    AL_TRY(agree_on_rows(x, x->probs.shape[0], a->probs));
    x->classes = x->probs.shape[1];
  }
  if (a->embeddings != NULL) {
    AL_TRY(read_floats(&x->embeddings, a->embeddings, 2));
    AL_TRY(agree_on_rows(x, x->embeddings.shape[0], a->embeddings));
  }
  if (a->features != NULL) {
    AL_TRY(read_floats(&x->features, a->features, 2));
    AL_TRY(agree_on_rows(x, x->features.shape[0], a->features));
  }
  if (a->mc != NULL) {
    AL_TRY(read_floats(&x->mc, a->mc, 3));
    AL_TRY(agree_on_rows(x, x->mc.shape[1], a->mc));
    if (x->classes != 0 && x->mc.shape[2] != x->classes)
      return al_fail(AL_BAD_INPUT, "%s: %zu classes, but the probabilities have %zu", a->mc, x->mc.shape[2],
                     x->classes);
    x->classes = x->mc.shape[2];
  }
  if (a->tokens != NULL) AL_TRY(read_tokens(x, a->tokens));
  if (a->pixels != NULL) {
    AL_TRY(al_npy_read(&x->pixels, a->pixels));
    if (x->pixels.type != AL_NPY_U8 || x->pixels.dims != 4)
      return al_fail(AL_BAD_INPUT, "%s: must be uint8 of N x C x H x W", a->pixels);
    AL_TRY(agree_on_rows(x, x->pixels.shape[0], a->pixels));
  }
  if (a->truth != NULL) {
    AL_TRY(read_integers(&x->truth, a->truth));
    AL_TRY(agree_on_rows(x, x->truth.count, a->truth));
  }
  if (a->head != NULL) AL_TRY(read_floats(&x->head, a->head, 2));
  if (a->bias != NULL) AL_TRY(read_floats(&x->bias, a->bias, 1));
  if (x->head.data != NULL && x->bias.data != NULL && x->head.shape[0] != x->bias.shape[0])
    return al_fail(AL_BAD_INPUT, "%s: %zu classes, but %s has %zu", a->bias, x->bias.shape[0], a->head,
                   x->head.shape[0]);
  if (x->classes == 0 && (a->probs != NULL || a->mc != NULL))
    return al_fail(AL_BAD_INPUT, "%s: no columns, so no classes", a->probs != NULL ? a->probs : a->mc);
  if (x->head.data != NULL && x->classes != 0 && x->head.shape[0] != x->classes)
    return al_fail(AL_BAD_INPUT, "%s: %zu classes, but the probabilities have %zu", a->head, x->head.shape[0],
                   x->classes);
  if (x->head.data != NULL && x->embeddings.data != NULL && x->head.shape[1] != x->embeddings.shape[1])
    return al_fail(AL_BAD_INPUT, "%s: %zu columns, but %s has %zu", a->head, x->head.shape[1], a->embeddings,
                   x->embeddings.shape[1]);
  if (x->rows == 0) return al_fail(AL_BAD_INPUT, "query: no rows; give an array, or --rows N");
done:
  return status;
}

/* Which rows are L and U. */
static al_status split_rows(arrays *x, const arguments *a) {
  al_status status;
  AL_TRY(AL_NEW(&x->is_labelled, x->rows));
  AL_TRY(AL_NEW(&x->pool_rows, x->rows));
  if (a->labels != NULL && a->labelled == NULL)
    return al_fail(AL_BAD_INPUT, "--labels: says the classes of --labelled rows, which are not given");
  if (a->labelled != NULL) {
    AL_TRY(read_integers(&x->labelled, a->labelled));
    x->labelled_count = x->labelled.count;
    x->labelled_rows = x->labelled.data;
    for (size_t i = 0; i < x->labelled_count; i++) {
      int32_t row = x->labelled_rows[i];
      if (row < 0 || (size_t)row >= x->rows)
        return al_fail(AL_BAD_INPUT, "%s: entry %zu is row %d, outside 0 to %zu", a->labelled, i, row, x->rows - 1);
      if (x->is_labelled[row]) return al_fail(AL_BAD_INPUT, "%s: entry %zu repeats row %d", a->labelled, i, row);
      x->is_labelled[row] = true;
    }
  }
  if (a->labels != NULL) {
    AL_TRY(read_integers(&x->labels, a->labels));
    if (x->labels.count != x->labelled_count)
      return al_fail(AL_BAD_INPUT, "%s: %zu labels, but %s has %zu rows", a->labels, x->labels.count, a->labelled,
                     x->labelled_count);
    const int32_t *labels = x->labels.data;
    for (size_t i = 0; i < x->labels.count; i++) {
      if (labels[i] < 0 || (x->classes != 0 && (size_t)labels[i] >= x->classes))
        return al_fail(AL_BAD_INPUT, "%s: entry %zu is class %d, outside 0 to %zu", a->labels, i, labels[i],
                       x->classes == 0 ? (size_t)INT32_MAX : x->classes - 1);
    }
  }
  for (size_t row = 0; row < x->rows; row++)
    if (!x->is_labelled[row]) x->pool_rows[x->pool++] = (int32_t)row;
  if (x->classes == 0) { /* no probabilities: as many as the labels name */
    const al_npy *sources[] = {&x->labels, &x->truth};
    for (size_t s = 0; s < 2; s++)
      for (size_t i = 0; i < sources[s]->count; i++) {
        int32_t class = ((const int32_t *)sources[s]->data)[i];
        if (class >= 0 && (size_t) class >= x->classes) x->classes = (size_t) class + 1;
      }
  }
done:
  return status;
}

/* ---- checks that name file and row ---- */

static al_status check_probs(const al_npy *array, const char *path, size_t classes) {
  const float *p = array->data;
  for (size_t i = 0; i < array->count / classes; i++) {
    double sum = 0.0;
    for (size_t c = 0; c < classes; c++) {
      float value = p[i * classes + c];
      if (!(value >= -1e-3F && value <= 1.001F))
        return al_fail(AL_BAD_INPUT, "%s: row %zu, column %zu is %g, not a probability", path, i, c, (double)value);
      sum += (double)value;
    }
    if (sum < 1.0 - 1e-3 || sum > 1.0 + 1e-3)
      return al_fail(AL_BAD_INPUT, "%s: row %zu sums to %g, not to 1", path, i, sum);
  }
  return AL_OK;
}

static al_status check_finite(const al_npy *array, const char *path) {
  if (array->data == NULL) return AL_OK;
  al_view view = al_view_dense(array->data, array->shape[0], array->shape[0] == 0 ? 0 : array->count / array->shape[0]);
  size_t row = 0, col = 0;
  if (al_view_finite(&view, &row, &col)) return AL_OK;
  return al_fail(AL_BAD_INPUT, "%s: row %zu, column %zu is NaN or infinite", path, row, col);
}

static al_status check_arrays(const arrays *x, const arguments *a) {
  al_status status = AL_OK;
  if (x->probs.data != NULL) AL_TRY(check_probs(&x->probs, a->probs, x->classes));
  if (x->mc.data != NULL) AL_TRY(check_probs(&x->mc, a->mc, x->classes));
  AL_TRY(check_finite(&x->embeddings, a->embeddings));
  AL_TRY(check_finite(&x->features, a->features));
  AL_TRY(check_finite(&x->head, a->head));
  AL_TRY(check_finite(&x->bias, a->bias));
done:
  return status;
}

/* ---- the query ---- */

static al_status gather_floats(float **out, const float *from, size_t width, const int32_t *rows, size_t n) {
  al_status status = AL_NEW(out, n * width);
  for (size_t i = 0; status == AL_OK && i < n; i++)
    memcpy(*out + i * width, from + (size_t)rows[i] * width, width * sizeof **out);
  return status;
}

static al_status gather_views(arrays *x, al_query *query, unsigned needs) {
  al_status status = AL_OK;
  if (x->embeddings.data != NULL) {
    al_view all = al_view_dense(x->embeddings.data, x->rows, x->embeddings.shape[1]);
    AL_TRY(al_view_take(&query->h_pool, &all, x->pool_rows, x->pool, &x->h_pool));
    AL_TRY(al_view_take(&query->h_labelled, &all, x->labelled_rows, x->labelled_count, &x->h_labelled));
  }
  const al_npy *features = &x->features;
  if (features->data == NULL && (needs & AL_NEED_FEATURES) && x->embeddings.data != NULL) {
    al_log_notice("no --features given: the embeddings stand in for them");
    features = &x->embeddings;
  }
  if (features->data != NULL) {
    al_view all = al_view_dense(features->data, x->rows, features->shape[1]);
    query->f_all = all;
    AL_TRY(al_view_take(&query->f_pool, &all, x->pool_rows, x->pool, &x->f_pool));
    AL_TRY(al_view_take(&query->f_labelled, &all, x->labelled_rows, x->labelled_count, &x->f_labelled));
  }
done:
  return status;
}

static al_status gather_tokens(arrays *x, al_query *query) {
  al_status status = AL_OK;
  if (x->token_begin == NULL) return AL_OK;
  AL_TRY(AL_NEW(&x->pool_token_begin, x->pool));
  AL_TRY(AL_NEW(&x->pool_token_end, x->pool));
  AL_TRY(AL_NEW(&x->labelled_token_begin, x->labelled_count));
  AL_TRY(AL_NEW(&x->labelled_token_end, x->labelled_count));
  for (size_t i = 0; i < x->pool; i++) {
    x->pool_token_begin[i] = x->token_begin[x->pool_rows[i]];
    x->pool_token_end[i] = x->token_begin[x->pool_rows[i] + 1];
  }
  for (size_t i = 0; i < x->labelled_count; i++) {
    x->labelled_token_begin[i] = x->token_begin[x->labelled_rows[i]];
    x->labelled_token_end[i] = x->token_begin[x->labelled_rows[i] + 1];
  }
  query->tokens_all = (al_sets){x->rows, x->universe, x->token_begin, x->token_begin + 1, x->token_ids};
  query->tokens_pool = (al_sets){x->pool, x->universe, x->pool_token_begin, x->pool_token_end, x->token_ids};
  query->tokens_labelled =
      (al_sets){x->labelled_count, x->universe, x->labelled_token_begin, x->labelled_token_end, x->token_ids};
done:
  return status;
}

static al_status gather_oof(arrays *x, al_query *query, al_oof *oof) {
  al_status status = AL_OK;
  const int32_t *labels = x->labels.data;
  size_t n = x->labelled_count;
  bool several = false;
  if (labels == NULL) return AL_OK; /* the strategy says what it misses */
  if (x->embeddings.data == NULL) return al_fail(AL_BAD_INPUT, "query: out-of-fold errors need --embeddings");
  for (size_t i = 1; i < n; i++) several |= labels[i] != labels[0];
  if (n < LEAST_FOR_FOLDS || !several) return AL_OK;
  al_log_notice("out-of-fold errors are those of alab's linear model on the embeddings (l2 1)");
  AL_TRY(AL_NEW(&x->fold_of, n));
  AL_TRY(AL_NEW(&x->errors, n));
  AL_TRY(AL_NEW(&x->predicted, n));
  AL_TRY(AL_NEW(&x->oof_probs, n * x->classes));
  al_deal_folds(labels, n, x->classes, FOLDS, x->fold_of);
  AL_TRY(al_softmax_cross_validate(&query->h_labelled, labels, x->classes, 1.0, x->fold_of, FOLDS, x->oof_probs));
  for (size_t i = 0; i < n; i++) {
    const float *p = x->oof_probs + i * x->classes;
    for (size_t c = 1; c < x->classes; c++)
      if (p[c] > p[x->predicted[i]]) x->predicted[i] = (int32_t)c;
    x->errors[i] = x->predicted[i] != labels[i];
  }
  *oof = (al_oof){.error = x->errors, .predicted = x->predicted, .probs = x->oof_probs};
  query->oof = oof;
done:
  return status;
}

/* Like the loop's, on what is given; what is missing the strategy says. */
static al_status gather_refit(arrays *x, al_query *query) {
  if (x->labels.data == NULL || x->labelled_count == 0) return AL_OK;
  if (x->embeddings.data == NULL) return al_fail(AL_BAD_INPUT, "query: refits need --embeddings");
  al_log_notice("refits are those of alab's linear model on the embeddings (l2 1)");
  al_status status = al_refitter_new(&x->refitter, &query->h_labelled, x->labels.data, x->classes, &query->h_pool, 1.0);
  if (status == AL_OK) query->refit = al_refitter_callbacks(x->refitter);
  return status;
}

static al_status gather(arrays *x, al_query *query, unsigned needs, al_oof *oof) {
  al_status status = AL_OK;
  if (x->probs.data != NULL) {
    AL_TRY(gather_floats(&x->pool_probs, x->probs.data, x->classes, x->pool_rows, x->pool));
    query->probs = x->pool_probs;
    AL_TRY(gather_floats(&x->labelled_probs, x->probs.data, x->classes, x->labelled_rows, x->labelled_count));
    query->probs_labelled = x->labelled_probs;
  }
  if (x->mc.data != NULL) {
    size_t passes = x->mc.shape[0], width = x->pool * x->classes;
    AL_TRY(AL_NEW(&x->pool_mc, passes * width));
    for (size_t t = 0; t < passes; t++)
      for (size_t i = 0; i < x->pool; i++)
        memcpy(x->pool_mc + t * width + i * x->classes,
               (const float *)x->mc.data + (t * x->rows + (size_t)x->pool_rows[i]) * x->classes,
               x->classes * sizeof(float));
    query->mc = x->pool_mc;
    query->passes = passes;
  }
  if (x->pixels.data != NULL) {
    al_pixels all = {.data = x->pixels.data,
                     .channels = x->pixels.shape[1],
                     .height = x->pixels.shape[2],
                     .width = x->pixels.shape[3]};
    query->pixels_pool = query->pixels_labelled = all;
    query->pixels_pool.rows = x->pool_rows;
    query->pixels_pool.n = x->pool;
    query->pixels_labelled.rows = x->labelled_rows;
    query->pixels_labelled.n = x->labelled_count;
  }
  if (x->truth.data != NULL) {
    AL_TRY(AL_NEW(&x->pool_truth, x->pool));
    for (size_t i = 0; i < x->pool; i++) x->pool_truth[i] = ((const int32_t *)x->truth.data)[x->pool_rows[i]];
    query->truth = x->pool_truth;
  }
  AL_TRY(gather_views(x, query, needs));
  AL_TRY(gather_tokens(x, query));
  query->head = x->head.data;
  query->bias = x->bias.data;
  query->labels = x->labels.data;
  query->all_pool = x->pool_rows;
  query->all_labelled = x->labelled_rows;
  if (needs & AL_NEED_OOF) AL_TRY(gather_oof(x, query, oof));
  if ((needs & AL_NEED_REFIT) || ((needs & AL_NEED_MC_OR_REFIT) && query->mc == NULL)) AL_TRY(gather_refit(x, query));
done:
  return status;
}

static al_status read_params(json_t **out, const al_strategy *strategy, const arguments *a) {
  al_status status = AL_OK;
  json_t *given = json_object();
  for (size_t i = 0; i < a->params.n; i++) {
    const char *text = a->params.items[i], *equals = strchr(text, '=');
    json_t *value = NULL;
    char where[200], key[64];
    if (equals == NULL || equals == text || (size_t)(equals - text) >= sizeof key) {
      status = al_fail(AL_BAD_INPUT, "--param %s: give KEY=VALUE", text);
      goto done;
    }
    snprintf(where, sizeof where, "--param %s", text);
    snprintf(key, sizeof key, "%.*s", (int)(equals - text), text);
    AL_TRY(al_yaml_value(&value, equals + 1, where));
    json_object_set_new(given, key, value);
  }
  AL_TRY(al_params_resolve(out, strategy->params, given, strategy->name));
  AL_TRY(al_strategy_settle(strategy, *out, strategy->name));
  AL_TRY(al_strategy_check_batch(strategy, *out, a->k, strategy->name));
done:
  json_decref(given);
  return status;
}

/* ---- the past ---- */

/* One round of a history, checked as far as it is read: rows there are, and an answer for each. */
static al_status check_round(const json_t *round, const arrays *x, const char *path, size_t line) {
  const json_t *asked = json_object_get(round, "asked"), *answers = json_object_get(round, "answers");
  json_int_t number = json_integer_value(json_object_get(round, "round"));
  if (number < 0 || number >= INT32_MAX) return al_fail(AL_BAD_INPUT, "%s:%zu: no round has that number", path, line);
  if (!json_is_array(asked) || json_array_size(answers) != json_array_size(asked))
    return al_fail(AL_BAD_INPUT, "%s:%zu: a round needs asked and answers, lists of one length", path, line);
  for (size_t i = 0; i < json_array_size(asked); i++) {
    const json_t *row = json_array_get(asked, i);
    if (!json_is_integer(row) || json_integer_value(row) < 0 || (size_t)json_integer_value(row) >= x->rows)
      return al_fail(AL_BAD_INPUT, "%s:%zu: asked[%zu] is no row from 0 to %zu", path, line, i, x->rows - 1);
  }
  return AL_OK;
}

/* The lines that are rounds (a cell's log begins with a header and may end with an end line). */
static al_status read_history(json_t **out, const arrays *x, const char *path) {
  al_status status;
  char *text = NULL;
  size_t size = 0, number = 0;
  json_t *line = NULL;
  *out = json_array();
  AL_TRY(al_file_read(&text, &size, path, MOST_HISTORY_FILE));
  for (char *at = text, *next; at != NULL && *at != '\0'; at = next) {
    json_error_t error;
    next = strchr(at, '\n');
    size_t length = next == NULL ? strlen(at) : (size_t)(next - at);
    if (next != NULL) next++;
    number++;
    if (strspn(at, " \t\r") >= length) continue;
    json_decref(line);
    line = json_loadb(at, length, 0, &error);
    if (!json_is_object(line)) {
      status = al_fail(AL_BAD_INPUT, "%s:%zu: not a JSON object%s%s", path, number, line == NULL ? ": " : "",
                       line == NULL ? error.text : "");
      goto done;
    }
    if (!json_is_integer(json_object_get(line, "round"))) continue;
    AL_TRY(check_round(line, x, path, number));
    json_array_append(*out, line);
  }
done:
  json_decref(line);
  free(text);
  return status;
}

static al_status write_state(const al_picks *picks, const char *path) {
  char *text = json_dumps(picks->state == NULL ? json_null() : picks->state,
                          JSON_COMPACT | JSON_REAL_PRECISION(17) | JSON_ENCODE_ANY);
  if (text == NULL) return al_fail(AL_ENVIRONMENT, "out of memory");
  al_status status = al_file_write(path, text, strlen(text));
  free(text);
  return status;
}

static al_status print_picks(const arrays *x, const al_picks *picks, const arguments *a) {
  al_status status = AL_OK;
  al_buffer text = {0};
  for (size_t i = 0; i < picks->count; i++) {
    int32_t row = x->pool_rows[picks->pos[i]];
    if (!a->scores)
      AL_TRY(al_buffer_print(&text, "%d\n", row));
    else if (picks->scored)
      AL_TRY(al_buffer_print(&text, "%d\t%.9g\n", row, picks->scores[i]));
    else
      AL_TRY(al_buffer_print(&text, "%d\t\n", row));
  }
  if (a->output != NULL)
    status = al_file_write(a->output, text.data == NULL ? "" : text.data, text.size);
  else if (text.size != 0)
    fwrite(text.data, 1, text.size, stdout);
done:
  al_buffer_free(&text);
  return status;
}

static void arrays_free(arrays *x) {
  al_refitter_free(x->refitter);
  al_npy *npys[] = {&x->probs,    &x->embeddings, &x->features, &x->mc,   &x->pixels,
                    &x->labelled, &x->labels,     &x->head,     &x->bias, &x->truth};
  for (size_t i = 0; i < sizeof npys / sizeof *npys; i++) al_npy_free(npys[i]);
  void *blocks[] = {x->is_labelled,
                    x->pool_rows,
                    x->token_begin,
                    x->pool_token_begin,
                    x->pool_token_end,
                    x->labelled_token_begin,
                    x->labelled_token_end,
                    x->token_ids,
                    x->pool_probs,
                    x->labelled_probs,
                    x->pool_mc,
                    x->oof_probs,
                    x->pool_truth,
                    x->predicted,
                    x->errors,
                    x->fold_of};
  for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) free(blocks[i]);
  al_subset *subsets[] = {&x->h_pool, &x->h_labelled, &x->f_pool, &x->f_labelled};
  for (size_t i = 0; i < 4; i++) al_subset_free(subsets[i]);
}

static al_status run_query(const al_strategy *strategy, const arguments *a) {
  al_status status;
  arrays x = {0};
  al_picks picks = {0};
  json_t *params = NULL, *history = NULL;
  al_oof oof = {0};
  al_stream_key key = {.seed = a->seed, .purpose = "query", .dataset = "query", .strategy = strategy->name};
  AL_TRY(read_params(&params, strategy, a));
  AL_TRY(read_arrays(&x, a));
  AL_TRY(split_rows(&x, a));
  AL_TRY(check_arrays(&x, a));
  al_query query = {.pool = x.pool,
                    .labelled = x.labelled_count,
                    .classes = x.classes,
                    .batch = a->k,
                    .round = 1,
                    .rows_labelled = x.labelled_rows,
                    .rng = al_rng_open(&key)};
  query.cell_rng = al_rng_child(&query.rng, 0);
  if (a->history != NULL) {
    AL_TRY(read_history(&history, &x, a->history));
    query.history = history;
  }
  if (json_array_size(history) != 0) {
    const json_t *last = json_array_get(history, json_array_size(history) - 1);
    const json_t *state = json_object_get(last, "state");
    query.state = json_is_null(state) ? NULL : state;
    query.round = (size_t)json_integer_value(json_object_get(last, "round")) + 1;
    key.round = (uint32_t)query.round; /* another round draws anew */
    query.rng = al_rng_open(&key);
  }
  AL_TRY(gather(&x, &query, strategy->needs(params), &oof));
  size_t k = a->k < x.pool ? a->k : x.pool;
  AL_TRY(AL_NEW(&picks.pos, k));
  AL_TRY(AL_NEW(&picks.scores, k));
  AL_TRY(al_strategy_select(strategy, &query, params, &picks));
  if (picks.note != NULL) al_log_notice("%s", picks.note);
  if (a->state != NULL) AL_TRY(write_state(&picks, a->state));
  AL_TRY(print_picks(&x, &picks, a));
done:
  json_decref(params);
  json_decref(history);
  al_picks_free(&picks);
  arrays_free(&x);
  return status;
}

al_status al_cli_query(int argc, char **argv) {
  arguments a = {0};
  bool wants_help = false;
  al_status status = parse(&a, argc, argv, &wants_help);
  if (status != AL_OK) return status;
  if (wants_help) {
    fputs(help, stdout);
    return AL_OK;
  }
  if (argc - optind != 1 || a.k == 0)
    return al_fail(AL_BAD_INPUT, "query: give a strategy and -n K; see alab query --help");
  const al_strategy *strategy = al_strategy_find(argv[optind]);
  if (strategy == NULL) {
    const char *const *names = al_cli_vocabulary()->strategies;
    size_t n = 0;
    while (names[n] != NULL) n++;
    const char *nearest = al_nearest(argv[optind], names, n);
    if (nearest != NULL)
      return al_fail(AL_BAD_INPUT, "unknown strategy '%s'; did you mean '%s'?", argv[optind], nearest);
    return al_fail(AL_BAD_INPUT, "unknown strategy '%s'; see alab list strategies", argv[optind]);
  }
  openblas_set_num_threads((int)a.threads);
  return run_query(strategy, &a);
}
