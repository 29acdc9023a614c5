/* The command of a user's program, as an experiment gives it: its words, the files among them and what they hold, and
 * the environment that it is run in. */
#ifndef AL_BASE_COMMAND_H
#define AL_BASE_COMMAND_H

#include "base/params.h"
#include "base/status.h"

#include <jansson.h>
#include <stddef.h>

enum { AL_MOST_WORDS = 64 };

/* Keys that every such program has beside what it is for: command, timeout, options, files, environment. unit: of the
 * timeout's help ("seconds a round"). */
#define AL_COMMAND_PARAMS(unit)                                                                                        \
  {.key = "command", .type = AL_PARAM_ANY, .help = "program and arguments: a list, or a text that is cut at spaces"},  \
      {.key = "timeout", .type = AL_PARAM_REAL, .fallback = "600", .min = 0.01, .max = 1e6, .help = (unit)},           \
      {.key = "options", .type = AL_PARAM_MAP, .fallback = "{}", .help = "anything: stands in params.json"},           \
      {.key = "files",                                                                                                 \
       .type = AL_PARAM_LIST,                                                                                          \
       .fallback = "[]",                                                                                               \
       .help = "further files that the program reads; a changed one makes another cell"},                              \
  {                                                                                                                    \
    .key = "environment", .type = AL_PARAM_LIST, .fallback = "[]",                                                     \
    .help = "names of variables that it sees beside PATH, HOME and LANG"                                               \
  }

/* Words of the key `command`, the files of `files` and the names of `environment`: AL_BAD_INPUT naming the key. */
al_status al_command_check(const json_t *params, const char *where) AL_MUST_USE;

/* Adds {word: digest of the file's content} for every word that is a file below `base` (a program without '/' is looked
 * up in PATH and is the environment's), and for each of `files`. A program or file that is not there: AL_BAD_INPUT. */
al_status al_command_files(json_t *files, const json_t *params, const char *base, const char *where) AL_MUST_USE;
/* AL_BAD_INPUT naming a file whose content is no longer what `files` says. files NULL: nothing is compared. */
al_status al_command_unchanged(const json_t *files, const json_t *params, const char *base,
                               const char *where) AL_MUST_USE;

/* Runs it in `folder` (base/program.h), with words that are files below `base` made absolute, and sees PATH, HOME,
 * LANG, the names of `environment`, TMPDIR = folder, and one BLAS thread. */
al_status al_command_run(char **output, size_t *size, const json_t *params, const char *base, const char *folder,
                         size_t most_output, const char *where) AL_MUST_USE;

/* A JSON value as folder/name. */
al_status al_json_write(const char *folder, const char *name, const json_t *value) AL_MUST_USE;

#endif
