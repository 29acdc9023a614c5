/* exec: a user's program as a strategy (docs/exec.md is the protocol).
 *
 * The program gets the arrays it asks for as .npy files in a temporary folder and prints rows. It gets no label of the
 * pool and nothing of the test set, and its answer is checked line by line: what is wrong is reported by name. */
#include "strategy/strategy.h"

#include "base/command.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/npy.h"
#include "base/npy_view.h"
#include "base/scratch.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_LINE = 64 /* bytes of an answer's line, with room for a score */ };

static const char *const array_names[] = {"probs",  "probs-labelled", "embeddings", "features", "mc",
                                          "tokens", "pixels",         "head",       "oof"};
enum { ARRAYS = sizeof array_names / sizeof *array_names };
static const unsigned array_needs[ARRAYS] = {AL_NEED_PROBS,
                                             AL_NEED_PROBS_LABELLED,
                                             AL_NEED_EMBEDDINGS,
                                             AL_NEED_FEATURES,
                                             AL_NEED_MC,
                                             AL_NEED_TOKENS,
                                             AL_NEED_PIXELS,
                                             AL_NEED_HEAD | AL_NEED_EMBEDDINGS,
                                             AL_NEED_OOF | AL_NEED_LABELLED};

static const al_param params_of_exec[] = {
    {.key = "arrays",
     .type = AL_PARAM_LIST,
     .fallback = "[\"probs\", \"embeddings\"]",
     .help = "what it gets: probs, probs-labelled, embeddings, features, mc, tokens, pixels, head, oof"},
    AL_COMMAND_PARAMS("seconds a round"),
    {0}};

static unsigned needs_of_exec(const json_t *params) {
  unsigned needs = 0;
  const json_t *arrays = json_object_get(params, "arrays");
  for (size_t i = 0; i < json_array_size(arrays); i++)
    for (size_t a = 0; a < ARRAYS; a++) {
      const char *name = json_string_value(json_array_get(arrays, i));
      if (name != NULL && strcmp(name, array_names[a]) == 0) needs |= array_needs[a];
    }
  return needs;
}

static al_status check_texts(const json_t *list, const char *key, const char *where) {
  for (size_t i = 0; i < json_array_size(list); i++)
    if (!json_is_string(json_array_get(list, i)))
      return al_fail(AL_BAD_INPUT, "%s.%s[%zu]: must be a text", where, key, i);
  return AL_OK;
}

static al_status check_exec(const json_t *params, const char *where) {
  al_status status;
  const json_t *arrays = json_object_get(params, "arrays");
  AL_TRY(al_command_check(params, where));
  AL_TRY(check_texts(arrays, "arrays", where));
  for (size_t i = 0; i < json_array_size(arrays); i++) {
    const char *name = json_string_value(json_array_get(arrays, i));
    bool known = false;
    for (size_t a = 0; a < ARRAYS; a++) known |= strcmp(name, array_names[a]) == 0;
    if (known) continue;
    const char *nearest = al_nearest(name, array_names, ARRAYS);
    if (nearest != NULL)
      return al_fail(AL_BAD_INPUT, "%s.arrays[%zu]: unknown array '%s'; did you mean '%s'?", where, i, name, nearest);
    return al_fail(AL_BAD_INPUT, "%s.arrays[%zu]: unknown array '%s'; see alab explain exec", where, i, name);
  }
done:
  return status;
}

/* ---- what the program gets ---- */

static al_status write_ids(const char *folder, const char *name, const int32_t *ids, size_t n) {
  return al_npy_write_in(folder, name, AL_NPY_I32, ids, &n, 1);
}

/* Two views of one kind, of U and of L, and what params.json says of them. */
static al_status write_views(const char *folder, const char *name, const al_view *pool, const al_view *labelled,
                             json_t *arrays) {
  char part[64];
  al_status status = al_npy_write_view(folder, name, pool);
  snprintf(part, sizeof part, "%s_labelled", name);
  if (status == AL_OK && labelled->kind != AL_VIEW_NONE) status = al_npy_write_view(folder, part, labelled);
  json_object_set_new(
      arrays, name,
      json_pack("{s:s,s:I}", "format", pool->kind == AL_VIEW_CSR ? "csr" : "dense", "columns", (json_int_t)pool->cols));
  return status;
}

static al_status write_pixels(const char *folder, const char *name, const al_pixels *pixels) {
  size_t size = pixels->channels * pixels->height * pixels->width;
  size_t shape[4] = {pixels->n, pixels->channels, pixels->height, pixels->width};
  uint8_t *images = NULL;
  al_status status = AL_NEW(&images, pixels->n * size);
  for (size_t i = 0; status == AL_OK && i < pixels->n; i++)
    memcpy(images + i * size, pixels->data + (pixels->rows == NULL ? i : (size_t)pixels->rows[i]) * size, size);
  if (status == AL_OK) status = al_npy_write_in(folder, name, AL_NPY_U8, images, shape, 4);
  free(images);
  return status;
}

static al_status write_sets(const char *folder, const char *name, const al_sets *sets) {
  return al_npy_write_rows(folder, name, sets->begin, sets->end, sets->rows, sets->ids, NULL);
}

static al_status write_one(const char *folder, const char *name, const al_query *query, json_t *arrays) {
  al_status status = AL_OK;
  size_t classes = query->classes, of_pool[2] = {query->pool, classes}, of_labelled[2] = {query->labelled, classes};
  if (strcmp(name, "probs") == 0) {
    AL_TRY(al_npy_write_in(folder, "probs", AL_NPY_F32, query->probs, of_pool, 2));
  } else if (strcmp(name, "probs-labelled") == 0 && query->probs_labelled != NULL) {
    AL_TRY(al_npy_write_in(folder, "probs_labelled", AL_NPY_F32, query->probs_labelled, of_labelled, 2));
  } else if (strcmp(name, "embeddings") == 0) {
    AL_TRY(write_views(folder, "embeddings", &query->h_pool, &query->h_labelled, arrays));
  } else if (strcmp(name, "features") == 0) {
    AL_TRY(write_views(folder, "features", &query->f_pool, &query->f_labelled, arrays));
  } else if (strcmp(name, "mc") == 0) {
    size_t shape[3] = {query->passes, query->pool, classes};
    AL_TRY(al_npy_write_in(folder, "mc", AL_NPY_F32, query->mc, shape, 3));
  } else if (strcmp(name, "tokens") == 0 && query->tokens_pool.begin != NULL) {
    AL_TRY(write_sets(folder, "tokens", &query->tokens_pool));
    if (query->tokens_labelled.begin != NULL) AL_TRY(write_sets(folder, "tokens_labelled", &query->tokens_labelled));
  } else if (strcmp(name, "pixels") == 0 && query->pixels_pool.data != NULL) {
    AL_TRY(write_pixels(folder, "pixels", &query->pixels_pool));
    AL_TRY(write_pixels(folder, "pixels_labelled", &query->pixels_labelled));
  } else if (strcmp(name, "head") == 0) {
    size_t shape[2] = {classes, query->h_pool.cols};
    AL_TRY(al_npy_write_in(folder, "head", AL_NPY_F32, query->head, shape, 2));
    AL_TRY(al_npy_write_in(folder, "bias", AL_NPY_F32, query->bias, &classes, 1));
  } else if (strcmp(name, "oof") == 0 && query->oof != NULL) {
    if (query->oof->probs != NULL)
      AL_TRY(al_npy_write_in(folder, "oof_probs", AL_NPY_F32, query->oof->probs, of_labelled, 2));
    AL_TRY(write_ids(folder, "oof_predicted", query->oof->predicted, query->labelled));
  }
done:
  return status;
}

static al_status write_inputs(const char *folder, const al_query *query, const json_t *params, size_t k) {
  al_status status = AL_OK;
  const json_t *names = json_object_get(params, "arrays"), *state = json_object_get(query->state, "exec");
  json_t *arrays = json_object(), *facts = NULL;
  al_rng rng = query->rng;
  for (size_t i = 0; i < json_array_size(names); i++) {
    bool before = false;
    for (size_t j = 0; j < i; j++) before |= json_equal(json_array_get(names, i), json_array_get(names, j));
    if (!before) AL_TRY(write_one(folder, json_string_value(json_array_get(names, i)), query, arrays));
  }
  if (query->labels != NULL) AL_TRY(write_ids(folder, "labels", query->labels, query->labelled));
  if (state != NULL) AL_TRY(al_json_write(folder, "state.json", state));
  /* 53 bits: exact in every reader of JSON */
  facts = json_pack("{s:i,s:I,s:I,s:I,s:I,s:I,s:I,s:O,s:O}", "protocol", 1, "k", (json_int_t)k, "round",
                    (json_int_t)query->round, "seed", (json_int_t)(al_rng_u64(&rng) >> 11), "classes",
                    (json_int_t)query->classes, "pool", (json_int_t)query->pool, "labelled",
                    (json_int_t)query->labelled, "arrays", arrays, "options", json_object_get(params, "options"));
  if (facts == NULL) {
    status = al_fail(AL_ENVIRONMENT, "out of memory");
    goto done;
  }
  AL_TRY(al_json_write(folder, "params.json", facts));
done:
  json_decref(arrays);
  json_decref(facts);
  return status;
}

/* ---- the answer ---- */

static al_status not_a_line(size_t number, const char *line, const char *why) {
  return al_fail(AL_BAD_INPUT, "exec: line %zu of the answer, '%.40s', %s", number, line, why);
}

/* "ROW" or "ROW SCORE". */
static al_status read_line(const char *line, size_t number, size_t pool, int32_t *pos, double *score, bool *scored) {
  char *end = NULL;
  errno = 0;
  long long row = strtoll(line, &end, 10);
  if (end == line || (*end != '\0' && !isspace((unsigned char)*end)))
    return not_a_line(number, line, "is not a row number");
  if (errno != 0 || row < 0 || (unsigned long long)row >= pool)
    return al_fail(AL_BAD_INPUT, "exec: line %zu of the answer names row %lld, outside 0 to %zu", number, row,
                   pool - 1);
  *pos = (int32_t)row;
  end += strspn(end, " \t");
  *scored = *end != '\0';
  *score = 0.0;
  if (!*scored) return AL_OK;
  const char *text = end;
  *score = strtod(text, &end);
  if (end == text || end[strspn(end, " \t")] != '\0' || !isfinite(*score) || *score < 0.0)
    return not_a_line(number, line, "has a score that is not a finite number of at least 0");
  return AL_OK;
}

static al_status read_answer(char *output, size_t size, size_t pool, size_t k, al_picks *picks) {
  al_status status;
  bool *taken = NULL;
  size_t number = 0, count = 0;
  AL_TRY(AL_NEW(&taken, pool));
  if (memchr(output, '\0', size) != NULL) {
    status = al_fail(AL_BAD_INPUT, "exec: the answer is not text: it holds NUL bytes");
    goto done;
  }
  for (char *line = output, *next; line != NULL; line = next) {
    next = strchr(line, '\n');
    if (next != NULL) *next++ = '\0';
    number++;
    size_t length = strlen(line);
    while (length != 0 && isspace((unsigned char)line[length - 1])) line[--length] = '\0';
    line += strspn(line, " \t");
    if (*line == '\0') continue;
    int32_t pos = 0;
    double score = 0.0;
    bool scored = false;
    AL_TRY(read_line(line, number, pool, &pos, &score, &scored));
    if (taken[pos]) {
      status = al_fail(AL_BAD_INPUT, "exec: line %zu of the answer repeats row %d", number, pos);
      goto done;
    }
    taken[pos] = true;
    if (count != 0 && scored != picks->scored) {
      status = not_a_line(number, line, "must have a score where the others have one, and none where they have none");
      goto done;
    }
    picks->scored = scored;
    if (count < k) {
      picks->pos[count] = pos;
      picks->scores[count] = score;
    }
    count++;
  }
  if (count != k) status = al_fail(AL_BAD_INPUT, "exec: the program returned %zu rows, and %zu are wanted", count, k);
  picks->count = k;
done:
  free(taken);
  return status;
}

/* What the program keeps for the next round. */
static al_status read_state(const char *folder, json_t **state) {
  al_status status;
  char *path = NULL, *text = NULL;
  size_t size = 0;
  struct stat facts;
  AL_TRY(al_format(&path, "%s/state.json", folder));
  if (lstat(path, &facts) != 0) goto done;
  if (!S_ISREG(facts.st_mode) || facts.st_size > AL_MOST_STATE) {
    status = al_fail(AL_BAD_INPUT, "exec: state.json must be a file of at most %d bytes", AL_MOST_STATE);
    goto done;
  }
  AL_TRY(al_file_read(&text, &size, path, AL_MOST_STATE));
  json_error_t error;
  json_t *value = json_loadb(text, size, JSON_DECODE_ANY, &error);
  if (value == NULL)
    status = al_fail(AL_BAD_INPUT, "exec: state.json is not JSON: line %d: %s", error.line, error.text);
  else if ((*state = json_pack("{s:o}", "exec", value)) == NULL)
    status = al_fail(AL_ENVIRONMENT, "out of memory");
done:
  free(path);
  free(text);
  return status;
}

static al_status select_by_program(const al_query *query, const json_t *params, al_picks *picks) {
  size_t k = query->batch < query->pool ? query->batch : query->pool, size = 0;
  char *output = NULL;
  al_scratch scratch = {0};
  al_status status = al_command_unchanged(query->files, params, query->base, "exec");
  if (status != AL_OK) return status;
  AL_TRY(al_scratch_open(&scratch, "exec"));
  AL_TRY(write_inputs(scratch.path, query, params, k));
  status = al_command_run(&output, &size, params, query->base, scratch.path, (k + 64) * MOST_LINE, "exec");
  if (status != AL_OK) {
    (void)al_context(status, "exec");
    goto done;
  }
  AL_TRY(read_answer(output, size, query->pool, k, picks));
  AL_TRY(read_state(scratch.path, &picks->state));
done:
  al_scratch_close(&scratch);
  free(output);
  return status;
}

const al_strategy al_strategy_exec = {
    .name = "exec",
    .family = "composed",
    .summary = "a program of yours, over .npy files",
    .definition =
        "`command` runs in a temporary folder that holds params.json and the `arrays` as .npy (CSR as _data, "
        "_indices,\n"
        "_indptr), labels.npy (classes of L) and, from the second round on, the state.json it left; it prints k row\n"
        "numbers of U, one a line, each with a score behind it or none. Relative names start at the experiment's\n"
        "folder. No label of the pool and nothing of the test set is there. Files that the command names, and "
        "`files`,\n"
        "count by content: a changed program is another cell. docs/exec.md has the protocol.",
    .citation = "",
    .cost = "yours; writing the arrays once a round",
    .params = params_of_exec,
    .needs = needs_of_exec,
    .select = select_by_program,
    .check = check_exec,
    .files = al_command_files,
};
