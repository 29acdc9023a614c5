/* A prepared dataset: everything about rows that does not depend on a study, mmapped read-only and shared by workers.
 *
 * Rows are numbered train before test (DESIGN.md). A dataset without an official split has train_rows == rows, and
 * al_split draws its test part. Labels are sets of class ids; a single-label dataset has exactly one id a row. */
#ifndef AL_DATA_DATASET_H
#define AL_DATA_DATASET_H

#include "base/matrix.h"
#include "base/params.h"
#include "base/rng.h"
#include "base/sets.h"
#include "base/status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum al_kind { AL_TEXT, AL_IMAGE, AL_TABULAR } al_kind;

typedef struct al_store al_store; /* data/store.h: an mmapped file of named arrays */

typedef struct al_dataset {
  al_kind kind;
  bool multi;                     /* more than one label a row is possible */
  size_t rows, train_rows;        /* rows [0, train_rows) are train, the rest test */
  size_t classes;                 /* C */
  const char *const *class_names; /* C; UTF-8 */
  al_sets labels;                 /* rows; universe C */
  /* AL_TEXT */
  const int64_t *text_begin; /* rows + 1; offsets into text */
  const char *text;          /* UTF-8, not NUL-terminated */
  const int32_t *words;      /* rows: matches of the word pattern in the raw text (what a reader is paid for) */
  /* AL_IMAGE: rows x channels x height x width */
  const uint8_t *pixels;
  size_t channels, height, width;
  /* AL_TABULAR: rows x columns, dense or CSR */
  al_view columns;
  const char *name; /* as in the experiment file */
  char digest[33];  /* XXH3-128 of kind, rows, labels, class names and content, in hex */
  al_store *store;
  void *owned; /* what data/dataset.c must free */
} al_dataset;

/* Keys a dataset entry may have (name, as, parts, pool, labels, split, representation; format, train, test, text,
 * label, size; the generators' knobs). `alab explain NAME` prints them; al_dataset_check says which do not fit the
 * name. */
extern const al_param al_dataset_params[];

/* Opens the prepared form of a resolved entry, preparing and caching it first when need be (readers, generators).
 * Missing raw data is AL_ENVIRONMENT and names `alab fetch NAME`. where: for messages. base: folder that a user's
 * relative paths start from. Not thread-safe against itself on one cache, but safe between processes (atomic rename).
 */
al_status al_dataset_open(al_dataset **out, const json_t *spec, const char *base, const char *where) AL_MUST_USE;
void al_dataset_free(al_dataset *dataset);

/* Unknown name, or keys that do not fit it: AL_BAD_INPUT. Reads nothing but the catalogue. *kind may be NULL; it is set
 * where it can be known without the data (always, but for a user's csv/jsonl/npy, which say it by their keys). */
al_status al_dataset_check(const json_t *spec, const char *where, al_kind *kind) AL_MUST_USE;

/* Train and test rows of one study and replicate. */
typedef struct al_split {
  int32_t *train, *test; /* rows, ascending */
  size_t train_size, test_size;
  char digest[33]; /* of both lists and the dataset's digest */
} al_split;

/* Official split where there is one, otherwise a stratified draw from `rng` (test share from spec.split.test, default
 * 0.2; per class the largest remainder, so that sizes add up). */
al_status al_split_make(al_split *out, const al_dataset *dataset, const json_t *spec, al_rng rng) AL_MUST_USE;
void al_split_free(al_split *split);

/* Single-label class of a row. */
int32_t al_dataset_label(const al_dataset *dataset, int32_t row);

/* XXH64 of a row's content (text, pixels or columns; not its label): what pretrained weights say they have read. */
uint64_t al_dataset_row_hash(const al_dataset *dataset, int32_t row);

/* Where caches go: ALAB_DATA, default datasets/cache; made when missing. path: PATH_MAX bytes. */
al_status al_cache_folder(char *path, size_t size) AL_MUST_USE;

#endif
