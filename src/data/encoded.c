/* Rows that a model encodes, kept on disk: the data layer owns order, batching and the file, the caller the encoder. */
#include "data/features_private.h"

#include "base/log.h"
#include "base/memory.h"

#include <math.h>
#include <stdlib.h>

al_status al_encoded_open(al_features **out, const al_dataset *dataset, const json_t *options, size_t cols,
                          al_encode_rows encode, void *context) {
  al_status status;
  char key[33];
  float *values = NULL; /* AL_ENCODED_BLOCK x cols */
  int32_t rows[AL_ENCODED_BLOCK];
  al_store_writer *writer = NULL;
  bool drawn = false;
  AL_TRY(al_feature_key(key, "encoded", dataset->digest, options));
  AL_TRY(al_features_cached(out, "encoded", key));
  if (*out != NULL) goto done;
  AL_TRY(AL_NEW(&values, AL_ENCODED_BLOCK * cols));
  AL_TRY(al_store_create(&writer, "encoded", key));
  AL_TRY(al_store_begin(writer, "values", sizeof *values));
  al_log_notice("encoding %s, once for these weights and this build", dataset->name);
  al_progress_start("encoding", (double)dataset->rows, "rows");
  drawn = true;
  for (size_t first = 0; first < dataset->rows; first += AL_ENCODED_BLOCK) {
    size_t n = dataset->rows - first < AL_ENCODED_BLOCK ? dataset->rows - first : AL_ENCODED_BLOCK;
    for (size_t i = 0; i < n; i++) rows[i] = (int32_t)(first + i);
    AL_TRY(encode(context, rows, n, values));
    for (size_t i = 0; i < n * cols; i++)
      if (!isfinite(values[i])) {
        status =
            al_fail(AL_BAD_INPUT, "the encoder gives row %zu of %s a value that is not finite; are these its weights?",
                    first + i / cols, dataset->name);
        goto done;
      }
    AL_TRY(al_store_append(writer, values, n * cols));
    al_progress_update((double)(first + n), dataset->name);
  }
  al_progress_end();
  drawn = false;
  status = al_features_finish(out, "encoded", key, writer, dataset->rows, cols, false);
  writer = NULL;
done:
  if (drawn) al_progress_end();
  al_store_abandon(writer);
  free(values);
  return status;
}
