/* Running a user's program: bounded in time, output, environment and open files, and ended with everything it started.
 */
#ifndef AL_BASE_PROGRAM_H
#define AL_BASE_PROGRAM_H

#include "base/status.h"

#include <stddef.h>

typedef struct al_program {
  const char *const *words;       /* program and arguments, ended by NULL; without '/' it is looked up in PATH */
  const char *folder;             /* working directory */
  const char *const *environment; /* NAME=VALUE, ended by NULL: all that it sees */
  double timeout;                 /* seconds */
  size_t most_output;             /* bytes of standard output; more is an error */
} al_program;

/* Runs it to its end with an empty standard input, in a process group of its own; whatever of the group is left then is
 * killed, and the program dies with this process. *output: its standard output and a NUL, freed by the caller, NULL on
 * failure. AL_BAD_INPUT with a message that names words[0]: it cannot be started, ran longer than the timeout, ended
 * with another status than 0 or by a signal (with the last line of its standard error), or printed too much. */
al_status al_program_run(char **output, size_t *size, const al_program *program) AL_MUST_USE;

#endif
