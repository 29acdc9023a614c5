/* Errors: one status from everything that can fail, one message a thread.
 *
 * The doctrine. The function that meets the trouble calls al_fail(code, ...) with a message that says what is wrong,
 * where (file:line, key, value) and what to do; every caller passes the status on with AL_TRY and frees at one `done:`
 * label. Programmer errors assert; data and environment errors return. Only src/cli exits, only base prints. */
#ifndef AL_BASE_STATUS_H
#define AL_BASE_STATUS_H

#include <stdarg.h>
#include <stddef.h>

/* The values are the program's exit statuses (docs/cli.md). */
typedef enum al_status {
  AL_OK = 0,
  AL_NEGATIVE = 1,     /* a verdict: gate failed, verify found a difference, some cells failed */
  AL_BAD_INPUT = 2,    /* bad usage or bad input */
  AL_ENVIRONMENT = 3,  /* missing data, disk full, out of memory, download failed */
  AL_INTERRUPTED = 130 /* Ctrl-C, after finishing the line at hand */
} al_status;

#if defined(__GNUC__)
#define AL_PRINTF(format_at, first_at) __attribute__((format(printf, format_at, first_at)))
#define AL_MUST_USE __attribute__((warn_unused_result))
#else
#define AL_PRINTF(format_at, first_at)
#define AL_MUST_USE
#endif

/* Sets this thread's message (at most 2,000 bytes are kept, always one line) and returns `code`. */
al_status al_fail(al_status code, const char *format, ...) AL_PRINTF(2, 3);

/* Puts "<text>: " in front of this thread's message, for callers that know more of the place; returns `code`. */
al_status al_context(al_status code, const char *format, ...) AL_PRINTF(2, 3);

/* al_fail for a failed system call: appends strerror(errno); ENOSPC and EDQUOT read "disk full". Always AL_ENVIRONMENT.
 */
al_status al_fail_errno(const char *format, ...) AL_PRINTF(1, 2);

/* This thread's message; "" when nothing failed. Borrowed, valid until the next al_fail of the thread. */
const char *al_message(void);

/* Needs a local `al_status status` and a label `done:` that frees and returns it. */
#define AL_TRY(expression)                                                                                             \
  do {                                                                                                                 \
    status = (expression);                                                                                             \
    if (status != AL_OK) goto done;                                                                                    \
  } while (0)

#endif
