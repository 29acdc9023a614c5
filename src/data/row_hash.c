/* What pretrained weights say they have read, a number a row. The linked xxhash is enough: rows are hashed once. */
#include "data/dataset.h"

#include <xxhash.h>

uint64_t al_dataset_row_hash(const al_dataset *d, int32_t row) {
  if (d->kind == AL_TEXT)
    return XXH64(d->text + d->text_begin[row], (size_t)(d->text_begin[row + 1] - d->text_begin[row]), 0);
  if (d->kind == AL_IMAGE) {
    size_t size = d->channels * d->height * d->width;
    return XXH64(d->pixels + (size_t)row * size, size, 0);
  }
  if (d->columns.kind == AL_VIEW_DENSE)
    return XXH64(d->columns.values + (size_t)row * d->columns.cols, d->columns.cols * sizeof(float), 0);
  size_t from = (size_t)d->columns.begin[row], n = (size_t)d->columns.end[row] - from;
  return XXH64(d->columns.values + from, n * sizeof(float), XXH64(d->columns.indices + from, n * sizeof(int32_t), 0));
}
