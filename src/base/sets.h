/* Sets of small integers, one a row: token sets, label sets. Ids ascend and are distinct within a row. */
#ifndef AL_BASE_SETS_H
#define AL_BASE_SETS_H

#include <stddef.h>
#include <stdint.h>

typedef struct al_sets {
  size_t rows;
  int32_t universe;           /* ids are 0 .. universe - 1 */
  const int64_t *begin, *end; /* rows; offsets into ids (gathered subsets as in base/matrix.h) */
  const int32_t *ids;
} al_sets;

#endif
