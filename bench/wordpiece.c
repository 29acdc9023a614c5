/* WordPiece over every text of a dataset, one thread: megabytes of text and pieces a second. Processor time of the best
 * of five passes; reading and preparing the dataset is not timed. Argument: a dataset's name [20newsgroups]. */
#include "data/features_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double processor_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

int main(int argc, char **argv) {
  const char *name = argc > 1 ? argv[1] : "20newsgroups";
  json_t *given = json_pack("{s:s}", "name", name), *spec = NULL;
  al_dataset *dataset = NULL;
  al_wordpiece *pieces = NULL;
  int32_t *ids = NULL;
  size_t capacity = 0, count = 0;
  double best = 1e300;
  al_status status = al_params_resolve(&spec, al_dataset_params, given, "bench");
  if (status == AL_OK) status = al_dataset_open(&dataset, spec, ".", "bench");
  if (status == AL_OK && dataset->kind != AL_TEXT) status = al_fail(AL_BAD_INPUT, "%s has no text", name);
  if (status == AL_OK) status = al_wordpiece_open(&pieces);
  for (int pass = 0; pass < 5 && status == AL_OK; pass++) {
    double start = processor_seconds();
    count = 0;
    for (size_t row = 0; row < dataset->rows && status == AL_OK; row++) {
      size_t n = 0, size = (size_t)(dataset->text_begin[row + 1] - dataset->text_begin[row]);
      status = al_wordpiece_encode(pieces, dataset->text + dataset->text_begin[row], size, SIZE_MAX, &ids, &n,
                                   &capacity, NULL);
      count += n;
    }
    double seconds = processor_seconds() - start;
    best = seconds < best ? seconds : best;
  }
  if (status == AL_OK) {
    double megabytes = (double)dataset->text_begin[dataset->rows] / 1e6;
    printf("%s: %zu texts, %.1f MB, %zu pieces; %.3f s, %.1f MB/s, %.1f million pieces/s\n", name, dataset->rows,
           megabytes, count, best, megabytes / best, (double)count / 1e6 / best);
  } else {
    fprintf(stderr, "wordpiece: %s\n", al_message());
  }
  free(ids);
  al_wordpiece_free(pieces);
  al_dataset_free(dataset);
  json_decref(given);
  json_decref(spec);
  return (int)status;
}
