/* What is the same for every network that sees images or tokens. */
#include "model/torch_batch.h"

#include <stdlib.h>
#include <string.h>

/* One plane of an image at (down, right) of its frame, mirrored or not; what is of the frame is 0. */
static void put_plane(const uint8_t *from, uint8_t *to, size_t height, size_t width, long down, long right, bool flip) {
  for (long y = 0; y < (long)height; y++)
    for (long x = 0; x < (long)width; x++) {
      long fy = y + down, fx = (flip ? (long)width - 1 - x : x) + right;
      bool inside = fy >= 0 && fy < (long)height && fx >= 0 && fx < (long)width;
      to[y * (long)width + x] = inside ? from[fy * (long)width + fx] : 0;
    }
}

al_status al_image_batch(al_image_feed *feed, const al_trainer *trainer, const int32_t *rows, size_t n,
                         al_torch_batch *batch) {
  const al_dataset *d = trainer->source.dataset;
  al_rng *rng = trainer->augmenting;
  size_t plane = d->height * d->width, own = d->channels * plane, size = feed->channels * plane;
  size_t frame_y = (d->height + 4) / 8, frame_x = (d->width + 4) / 8; /* an eighth: 4 of 32, 4 of 28 */
  al_status status = al_grow(&feed->pixels, &feed->capacity, n * size, 1);
  if (status != AL_OK) return status;
  for (size_t i = 0; i < n; i++) {
    long down = rng == NULL ? 0 : (long)al_rng_below(rng, 2 * frame_y + 1) - (long)frame_y;
    long right = rng == NULL ? 0 : (long)al_rng_below(rng, 2 * frame_x + 1) - (long)frame_x;
    bool flip = rng != NULL && al_rng_below(rng, 2) == 1;
    for (size_t c = 0; c < feed->channels; c++) {
      const uint8_t *from = d->pixels + (size_t)rows[i] * own + (c % d->channels) * plane;
      uint8_t *to = feed->pixels + i * size + c * plane;
      if (rng == NULL)
        memcpy(to, from, plane);
      else
        put_plane(from, to, d->height, d->width, down, right, flip);
    }
  }
  *batch = (al_torch_batch){.n = n, .pixels = feed->pixels, .height = d->height, .width = d->width};
  return AL_OK;
}

void al_image_feed_free(al_image_feed *feed) {
  free(feed->pixels);
  *feed = (al_image_feed){0};
}

al_status al_text_batch(al_text_feed *feed, const int32_t *rows, size_t n, al_torch_batch *batch) {
  al_status status;
  const al_tokens *tokens = feed->tokens;
  size_t total = 0;
  AL_TRY(al_grow(&feed->begin, &feed->begin_capacity, n + 1, sizeof *feed->begin));
  feed->begin[0] = 0;
  for (size_t i = 0; i < n; i++) {
    int64_t from = tokens->begin[rows[i]], to = tokens->begin[rows[i] + 1];
    AL_TRY(al_grow(&feed->ids, &feed->id_capacity, total + (size_t)(to - from), sizeof *feed->ids));
    for (int64_t p = from; p < to; p++)
      feed->ids[total++] = feed->compact == NULL ? tokens->ids[p] : feed->compact[tokens->ids[p]];
    feed->begin[i + 1] = (int64_t)total;
  }
  *batch = (al_torch_batch){.n = n, .ids = feed->ids, .begin = feed->begin};
done:
  return status;
}

void al_text_feed_free(al_text_feed *feed) {
  al_tokens_free(feed->tokens);
  free(feed->compact);
  free(feed->ids);
  free(feed->begin);
  *feed = (al_text_feed){0};
}
