/* Bounded heap selection. The heap keeps its worst member on top: lowest score, and of equal scores the highest
 * position. */
#include "base/topk.h"

#include <assert.h>

static int worse(const double *scores, int32_t a, int32_t b) {
  if (scores[a] != scores[b]) return scores[a] < scores[b];
  return a > b;
}

static void sift_down(const double *scores, int32_t *heap, size_t size, size_t at) {
  int32_t item = heap[at];
  for (;;) {
    size_t child = 2 * at + 1;
    if (child >= size) break;
    if (child + 1 < size && worse(scores, heap[child + 1], heap[child])) child++;
    if (!worse(scores, heap[child], item)) break;
    heap[at] = heap[child];
    at = child;
  }
  heap[at] = item;
}

void al_top_k(const double *scores, size_t n, size_t k, int32_t *out) {
  assert(k <= n);
  if (k == 0) return;
  for (size_t i = 0; i < k; i++) out[i] = (int32_t)i;
  for (size_t i = k / 2; i-- > 0;) sift_down(scores, out, k, i);
  for (size_t i = k; i < n; i++)
    if (worse(scores, out[0], (int32_t)i)) {
      out[0] = (int32_t)i;
      sift_down(scores, out, k, 0);
    }
  for (size_t size = k; size > 1; size--) { /* worst goes last */
    int32_t top = out[0];
    out[0] = out[size - 1];
    out[size - 1] = top;
    sift_down(scores, out, size - 1, 0);
  }
}
