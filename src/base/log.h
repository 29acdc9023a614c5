/* What alab says on standard error: notices, errors and the progress bar. Standard output is for results only.
 *
 * Only base prints. One line a message, "alab: " in front. A bar is redrawn in place on a terminal; elsewhere a plain
 * line is printed at most every ten seconds and at the end. NO_COLOR and --quiet are respected. */
#ifndef AL_BASE_LOG_H
#define AL_BASE_LOG_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>

void al_log_set_quiet(bool quiet); /* hides notices and progress, never errors and warnings */
/* Notices go to `take` instead of standard error (a worker's, which its parent prints); NULL: back to standard error.
 */
void al_log_set_listener(void (*take)(void *context, const char *text), void *context);
void al_log_notice(const char *format, ...) AL_PRINTF(1, 2);
void al_log_warning(const char *format, ...) AL_PRINTF(1, 2);
void al_log_error(const char *format, ...) AL_PRINTF(1, 2); /* "alab: error: ..." */

/* A progress bar: [#####     ] 42 % | 12.3 MB / 29 MB | 00:13 left. Work is counted in any unit; the ETA comes from the
 * rate since the start. One bar at a time; notices clear and redraw it. */
void al_progress_start(const char *title, double total, const char *unit /* "cells", "bytes", ... */);
void al_progress_update(double done, const char *detail /* may be NULL */);
/* How much of all work is done, 0 to 1, where units differ in what they cost: percentage and ETA come from it from now
 * on. Before the update that it belongs to. */
void al_progress_share(double share);
void al_progress_end(void); /* leaves the last state on its own line */

/* Seconds of a monotonic clock. */
double al_seconds(void);
/* "1.2 GB", "34 ms", "2 h 05 min" into a caller's buffer (32 bytes); returns it. */
char *al_show_bytes(double bytes, char text[32]);
char *al_show_seconds(double seconds, char text[32]);

#endif
