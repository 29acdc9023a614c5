/* Temporary folders that do not outlive their process for long. */
#ifndef AL_BASE_SCRATCH_H
#define AL_BASE_SCRATCH_H

#include "base/status.h"

typedef struct al_scratch {
  char *path;
  int lock; /* of the open folder; held as long as this process lives */
} al_scratch;

/* A new folder alab-<what>-XXXXXX that only this user may enter, in TMPDIR or /tmp. Those of processes that were killed
 * before they could remove theirs (no one holds the lock) are removed on the way. */
al_status al_scratch_open(al_scratch *scratch, const char *what) AL_MUST_USE;
/* Removes the folder with all that is in it, links not followed; a warning where that fails. {0} is fine. */
void al_scratch_close(al_scratch *scratch);

#endif
