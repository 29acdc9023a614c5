/* The local engine: one worker process a cell, `jobs` at a time. A cell that fails, crashes or runs out of memory fails
 * alone; the others go on. */
#ifndef AL_SIM_ENGINE_H
#define AL_SIM_ENGINE_H

#include "base/status.h"

#include <signal.h>
#include <stddef.h>

/* One task: run(context, watch) in a forked child. The progress bar counts rounds; its ETA comes from `work`, what the
 * first `rounds` of them cost in any unit that all tasks share. */
typedef struct al_cell_watch al_cell_watch;
typedef struct al_task {
  const char *name;
  size_t done, weight; /* rounds on disk already, rounds in all */
  al_status (*run)(void *context, const al_cell_watch *watch);
  double (*work)(const void *context, size_t rounds);
  void *context;
} al_task;

/* Runs the tasks in order of the array. *failed counts those that failed (each reported on stderr as it happens).
 * Returns AL_OK when all went well; AL_INTERRUPTED after Ctrl-C (workers finish the line at hand; a second Ctrl-C ends
 * them at once); otherwise the status that all failures share when nothing succeeded, else AL_NEGATIVE. */
al_status al_engine_run(al_task *tasks, size_t n, unsigned jobs, const char *title, size_t *failed) AL_MUST_USE;

/* Runs one task in a child and passes on its status and message: for work that must leave no trace in this process,
 * such as loading libtorch before workers are forked. `result` (bytes of it) is filled by the child's run through
 * `context`. */
al_status al_engine_isolate(al_status (*run)(void *context, void *result), void *context, void *result,
                            size_t bytes) AL_MUST_USE;

/* Catches SIGINT and SIGTERM for the run; restore with al_engine_release_signals. */
void al_engine_catch_signals(void);
void al_engine_release_signals(void);
/* Non-zero once one has come: for long work in this process. */
volatile sig_atomic_t *al_engine_stop_flag(void);

#endif
