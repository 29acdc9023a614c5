/* WordPiece over every text of a dataset, one thread: megabytes of text and pieces a second. Processor time,
 * the median of at least five passes and a second; reading and preparing the dataset is not timed. Argument: a
 * dataset's name [20newsgroups]. */
#include "data/features_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { MOST_PASSES = 1000 };

static double processor_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

int main(int argc, char **argv) {
  const char *name = argc > 1 ? argv[1] : "20newsgroups";
  json_t *given = json_pack("{s:s}", "name", name), *spec = NULL;
  al_dataset *dataset = NULL;
  al_wordpiece *pieces = NULL;
  int32_t *ids = NULL;
  size_t capacity = 0, count = 0;
  double seconds[MOST_PASSES], total = 0.0;
  int passes = 0;
  al_status status = al_params_resolve(&spec, al_dataset_params, given, "bench");
  if (status == AL_OK) status = al_dataset_open(&dataset, spec, ".", "bench");
  if (status == AL_OK && dataset->kind != AL_TEXT) status = al_fail(AL_BAD_INPUT, "%s has no text", name);
  if (status == AL_OK) status = al_wordpiece_open(&pieces);
  for (; passes < MOST_PASSES && (passes < 5 || total < 1.0) && status == AL_OK; passes++) {
    double start = processor_seconds();
    count = 0;
    for (size_t row = 0; row < dataset->rows && status == AL_OK; row++) {
      size_t n = 0, size = (size_t)(dataset->text_begin[row + 1] - dataset->text_begin[row]);
      status = al_wordpiece_encode(pieces, dataset->text + dataset->text_begin[row], size, SIZE_MAX, &ids, &n,
                                   &capacity, NULL);
      count += n;
    }
    seconds[passes] = processor_seconds() - start;
    total += seconds[passes];
  }
  if (status == AL_OK) {
    qsort(seconds, (size_t)passes, sizeof *seconds, by_value);
    double megabytes = (double)dataset->text_begin[dataset->rows] / 1e6, median = seconds[passes / 2];
    printf("%s: %zu texts, %.1f MB, %zu pieces; %.3f s, %.1f MB/s, %.1f million pieces/s\n", name, dataset->rows,
           megabytes, count, median, megabytes / median, (double)count / 1e6 / median);
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
