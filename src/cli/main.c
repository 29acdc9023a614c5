/* alab: find the subcommand, run it, print its error, exit with its status. */
#include "cli/cli.h"

#include "base/log.h"
#include "base/params.h"

#include <cblas.h>
#include <gsl/gsl_errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
  const char *name, *summary;
  al_status (*run)(int argc, char **argv);
} command;

static const command commands[] = {
    {"run", "run or continue a study", al_cli_run},
    {"report", "figures, tables and a page from finished studies", al_cli_report},
    {"compare", "strategies, code versions or models side by side, with tests", al_cli_compare},
    {"gate", "did a strategy lose quality against a pinned baseline?", al_cli_gate},
    {"audit", "is the protocol of an experiment or study sound?", al_cli_audit},
    {"query", "one query of a strategy on NumPy arrays", al_cli_query},
    {"list", "datasets, models, strategies, oracles", al_cli_list},
    {"explain", "definition, citation, cost and parameters of a name", al_cli_explain},
    {"fetch", "get datasets and models from a mirror or the network", al_cli_fetch},
    {"prepare", "build the caches that an experiment needs", al_cli_prepare},
    {"pretrain", "a network trained on unlabelled text or images, by a recipe", al_cli_pretrain},
    {"verify", "replay-check the logs of a study", al_cli_verify},
    {"show", "what a cell picked", al_cli_show},
    {"export", "the logs of a study as CSV or SQLite", al_cli_export},
};
enum { COMMANDS = sizeof commands / sizeof *commands };

static void print_help(FILE *out) {
  fputs("usage: alab COMMAND [ARGUMENTS]\n\nActive learning, simulated and measured.\n\n", out);
  for (size_t i = 0; i < COMMANDS; i++) fprintf(out, "  %-9s %s\n", commands[i].name, commands[i].summary);
  fputs("\nalab COMMAND --help says more.\n", out);
}

/* BLAS threads would only contend with the worker processes, and results must not depend on their number. */
static void limit_threads(char **argv) {
  if (getenv("OPENBLAS_NUM_THREADS") == NULL || getenv("OMP_NUM_THREADS") == NULL) {
    setenv("OPENBLAS_NUM_THREADS", "1", 1);
    setenv("OMP_NUM_THREADS", "1", 1);
  }
  (void)argv;
  openblas_set_num_threads(1);
}

static al_status dispatch(int argc, char **argv) {
  const char *names[COMMANDS];
  for (size_t i = 0; i < COMMANDS; i++) {
    if (strcmp(commands[i].name, argv[1]) == 0) return commands[i].run(argc - 1, argv + 1);
    names[i] = commands[i].name;
  }
  const char *nearest = al_nearest(argv[1], names, COMMANDS);
  if (nearest != NULL) return al_fail(AL_BAD_INPUT, "unknown command '%s'; did you mean '%s'?", argv[1], nearest);
  return al_fail(AL_BAD_INPUT, "unknown command '%s'; see alab --help", argv[1]);
}

int main(int argc, char **argv) {
  gsl_set_error_handler_off();
  setlocale(LC_ALL, "C.UTF-8");
  setlocale(LC_NUMERIC, "C");
  limit_threads(argv);
  if (argc < 2) {
    print_help(stderr);
    return AL_BAD_INPUT;
  }
  if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
    print_help(stdout);
    return AL_OK;
  }
  if (strcmp(argv[1], "--version") == 0) {
    puts("alab " ALAB_VERSION);
    return AL_OK;
  }
  al_status status = dispatch(argc, argv);
  if ((fflush(stdout) != 0 || ferror(stdout)) && status == AL_OK)
    status = al_fail_errno("cannot write to standard output");
  if (status != AL_OK) al_log_error("%s", al_message());
  return (int)status;
}
