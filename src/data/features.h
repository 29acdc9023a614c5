/* Label-free views of a dataset: TF-IDF rows, WordPiece ids, token sets, and the fixed representation f.
 *
 * Each covers ALL rows of the dataset in dataset order, is fitted on the train part of the split only (vocabulary,
 * document frequencies, SVD, PCA, scalers never see a test row), and is cached under a hash of dataset digest, split
 * digest and options, so that all workers and runs share one mmapped file. */
#ifndef AL_DATA_FEATURES_H
#define AL_DATA_FEATURES_H

#include "data/dataset.h"

typedef struct al_features {
  al_view view;    /* rows x D */
  char digest[33]; /* of what determines it (content, split, options), not of paths */
  al_store *store;
} al_features;
void al_features_free(al_features *features);

/* Options of TF-IDF (MODELS.md, F): pattern, lower, sublinear, min_df, max_features, first. */
extern const al_param al_tfidf_params[];

/* scikit-learn's TfidfVectorizer: tf = 1 + ln(count) if sublinear; idf = ln((1+n)/(1+df)) + 1; l2 rows; with
 * max_features the terms of highest total count in the train part (ties: byte order); columns in byte order of the
 * term. CSR. */
al_status al_tfidf_open(al_features **out, const al_dataset *dataset, const al_split *split,
                        const json_t *options) AL_MUST_USE;

/* The fixed representation f (STRATEGIES.md): `spec` is the dataset's resolved entry (key `representation`; null =
 * default by kind: svd, pca, standardised). Dense. seed: the study's master seed (SVD and PCA draw from their own
 * streams). */
al_status al_representation_open(al_features **out, const al_dataset *dataset, const al_split *split,
                                 const json_t *spec, uint64_t seed) AL_MUST_USE;

/* Rows that a layer above computes (frozen encoders): values of n rows, n x cols, from their dataset rows alone. */
typedef al_status (*al_encode_rows)(void *context, const int32_t *rows, size_t n, float *out);
/* The encoded rows of the whole dataset, from the cache, or encoded now under a progress bar: AL_ENCODED_BLOCK rows a
 * call in dataset order, so that a row's company, and with it its bits, is always the same. options: all that
 * determines a value beside the dataset. `encode` is not called when the file is there. Dense; 4 x rows x cols bytes on
 * disk, memory for one block. */
enum { AL_ENCODED_BLOCK = 1024 };
al_status al_encoded_open(al_features **out, const al_dataset *dataset, const json_t *options, size_t cols,
                          al_encode_rows encode, void *context) AL_MUST_USE;
/* Columns of `all` (rows of the dataset) minus the train part's mean over its standard deviation; a column that is
 * constant there keeps deviation 1. Cached; always dense. */
al_status al_features_standardise(al_features **out, const al_features *all, const al_split *split) AL_MUST_USE;

/* Model input for `linear`: features "tfidf" | "pixels" (scaled to [0,1], dense) | "columns" (standardised on the train
 * part when dense; as is when CSR) | {"tfidf": {..}}; null = by kind. Unfit for the kind: AL_BAD_INPUT. */
al_status al_input_open(al_features **out, const al_dataset *dataset, const al_split *split, const json_t *features,
                        const char *where) AL_MUST_USE;
/* The check alone, without data. */
al_status al_input_check(const json_t *features, al_kind kind, const char *where) AL_MUST_USE;

/* WordPiece ids of every row, [CLS] first and [SEP] last, at most max_tokens. */
typedef struct al_tokens {
  size_t rows;
  const int64_t *begin; /* rows + 1 */
  const int32_t *ids;
  al_store *store;
  char digest[33];
} al_tokens;
al_status al_tokens_open(al_tokens **out, const al_dataset *dataset, size_t max_tokens) AL_MUST_USE;
void al_tokens_free(al_tokens *tokens);

/* Which WordPiece ids go on a word ("##..."): *out is fresh, *count flags. The vocabulary is missing: AL_ENVIRONMENT.
 */
al_status al_token_continues(uint8_t **out, size_t *count) AL_MUST_USE;

/* A vector a token from what it stands beside: the `width` leading columns of U S of the token x document matrix of
 * (1 + ln tf) ln(n / df), documents of unit length. documents: begin (n + 1) and ids below `tokens`, in reading order.
 * out: tokens x width; columns beyond the rank are 0. Cached by content. O(powers nnz width). */
al_status al_token_vectors(float *out, const int64_t *begin, const int32_t *ids, size_t n, size_t tokens, size_t width,
                           al_rng rng) AL_MUST_USE;

/* TOKENS of jaccard and mutual-information: distinct word ids a row (every match of the default word pattern,
 * lower-cased, no document-frequency limit), or distinct WordPiece ids (whole text, no special tokens). Text only. */
typedef struct al_token_sets {
  al_sets sets;
  al_store *store;
} al_token_sets;
al_status al_token_sets_open(al_token_sets **out, const al_dataset *dataset, bool wordpiece) AL_MUST_USE;
void al_token_sets_free(al_token_sets *sets);

#endif
