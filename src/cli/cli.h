/* The subcommands. Each gets argv with its own name first, prints results to standard output, and returns a status
 * whose message main prints. */
#ifndef AL_CLI_CLI_H
#define AL_CLI_CLI_H

#include "base/status.h"
#include "config/experiment.h"

#include <stdbool.h>
#include <stddef.h>

al_status al_cli_run(int argc, char **argv);
al_status al_cli_prepare(int argc, char **argv);
al_status al_cli_pretrain(int argc, char **argv);
al_status al_cli_report(int argc, char **argv);
al_status al_cli_compare(int argc, char **argv);
al_status al_cli_gate(int argc, char **argv);
al_status al_cli_audit(int argc, char **argv);
al_status al_cli_query(int argc, char **argv);
al_status al_cli_list(int argc, char **argv);
al_status al_cli_explain(int argc, char **argv);
al_status al_cli_fetch(int argc, char **argv);
al_status al_cli_verify(int argc, char **argv);
al_status al_cli_show(int argc, char **argv);
al_status al_cli_export(int argc, char **argv);

/* All names there are, for the experiment reader. */
const al_vocabulary *al_cli_vocabulary(void);

/* A whole positive number of at most `most`, for the option `name`. */
al_status al_cli_number(size_t *out, const char *text, const char *name, size_t most) AL_MUST_USE;

/* Options that may repeat: pointers into argv. */
typedef struct al_texts {
  const char *items[64];
  size_t n;
} al_texts;
al_status al_cli_add(al_texts *texts, const char *text, const char *name) AL_MUST_USE;

/* What getopt_long could not read. */
al_status al_cli_unknown_option(const char *command, char **argv) AL_MUST_USE;

#endif
