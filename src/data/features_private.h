/* What the feature files share. Private to data. */
#ifndef AL_DATA_FEATURES_PRIVATE_H
#define AL_DATA_FEATURES_PRIVATE_H

#include "data/features.h"
#include "data/store.h"

enum { AL_FEATURE_VERSION = 2 };

/* Digest of {kind of feature, version, dataset or split digest, options}: the cache key and the feature's identity. */
al_status al_feature_key(char hex[33], const char *what, const char *content, const json_t *options) AL_MUST_USE;

/* Opens a cached feature matrix; *out NULL when it must be made. */
al_status al_features_cached(al_features **out, const char *kind, const char key[33]) AL_MUST_USE;
/* Writes a dense (values only) or CSR matrix, commits, and opens it. */
al_status al_features_write_dense(al_features **out, const char *kind, const char key[33], const float *values,
                                  size_t rows, size_t cols) AL_MUST_USE;
al_status al_features_write_csr(al_features **out, const char *kind, const char key[33], const int64_t *indptr,
                                const int32_t *indices, const float *values, size_t rows, size_t cols) AL_MUST_USE;

/* Commits what a writer was given (values; of CSR, indices and indptr) and opens it. Takes the writer in any case. */
al_status al_features_finish(al_features **out, const char *kind, const char key[33], al_store_writer *writer,
                             size_t rows, size_t cols, bool csr) AL_MUST_USE;

/* The randomised SVD of representation.c, cached as `kind`/`key`: rows of `all` (all of them, minus the train part's
 * mean when `centred`) times the `columns` (at most the rank) leading right singular vectors of its n `train` rows. */
al_status al_reduce(al_features **out, const char *kind, const char *key, const al_view *all, const int32_t *train,
                    size_t n, size_t columns, bool centred, al_rng rng) AL_MUST_USE;

/* Columns of a table minus the train part's mean over its standard deviation. Always dense. */
al_status al_standardised_open(al_features **out, const al_dataset *dataset, const al_split *split) AL_MUST_USE;

/* WordPiece (data/wordpiece.c). */
typedef struct al_wordpiece al_wordpiece;
al_status al_wordpiece_open(al_wordpiece **out) AL_MUST_USE; /* bert-base-uncased's vocabulary */
al_status al_wordpiece_new(al_wordpiece **out, const char *vocabulary, size_t size, const char *name) AL_MUST_USE;
void al_wordpiece_free(al_wordpiece *pieces);
/* Ids of the text's pieces without [CLS] and [SEP], appended to *ids (grown; *n of them); at most `most` in all.
 * *cut, when cut is not NULL: where the text of the `most`-th piece ends (`size` when there are fewer). Any bytes.
 * O(size) for pieces of bounded length, no allocation but *ids. */
al_status al_wordpiece_encode(const al_wordpiece *pieces, const char *text, size_t size, size_t most, int32_t **ids,
                              size_t *n, size_t *capacity, size_t *cut) AL_MUST_USE;
extern const int32_t al_wordpiece_cls, al_wordpiece_sep;
size_t al_wordpiece_size(const al_wordpiece *pieces);

#endif
