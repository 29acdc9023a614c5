/* alab run and alab prepare. */
#include "cli/cli.h"

#include "base/log.h"
#include "base/memory.h"
#include "sim/study.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char run_help[] =
    "usage: alab run EXPERIMENT.yaml [options]\n"
    "\n"
    "Runs a study, or continues what is unfinished of it. One log a cell in results/STUDY/cells.\n"
    "\n"
    "  --jobs N          worker processes (default: the processors there are)\n"
    "  --out DIR         results folder (default: results/STUDY)\n"
    "  --set KEY=VALUE   override a key of the experiment, as query.batch=20 or datasets[0].pool=2000\n"
    "  --only KEY=VALUE  only cells of this dataset, model, strategy, setting or replicate; repeatable\n"
    "  --shard I/N       only every N-th cell, from the I-th\n"
    "  --dry-run         list the cells and predict the time\n"
    "  --quiet           no notices and no progress\n";

typedef struct {
  al_texts set, only;
  size_t jobs;
  const char *out;
  unsigned shard, shards;
  bool dry_run;
} arguments;

static al_status parse_shard(arguments *a, const char *text) {
  unsigned i = 0, n = 0;
  char end = 0;
  if (sscanf(text, "%u/%u%c", &i, &n, &end) != 2 || i < 1 || n < 1 || i > n || n > 100000)
    return al_fail(AL_BAD_INPUT, "--shard: give I/N with 1 <= I <= N, as 2/8");
  a->shard = i;
  a->shards = n;
  return AL_OK;
}

static al_status parse(arguments *a, int argc, char **argv, bool *help) {
  static const struct option options[] = {{"jobs", required_argument, NULL, 'j'},
                                          {"out", required_argument, NULL, 'o'},
                                          {"set", required_argument, NULL, 's'},
                                          {"only", required_argument, NULL, 'y'},
                                          {"shard", required_argument, NULL, 'd'},
                                          {"dry-run", no_argument, NULL, 'n'},
                                          {"quiet", no_argument, NULL, 'q'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
  al_status status = AL_OK;
  int option;
  long processors = sysconf(_SC_NPROCESSORS_ONLN);
  a->jobs = processors > 0 ? (size_t)processors : 1;
  opterr = 0;
  optind = 1;
  while (status == AL_OK && (option = getopt_long(argc, argv, "j:o:qh", options, NULL)) != -1) {
    switch (option) {
    case 'j': status = al_cli_number(&a->jobs, optarg, "--jobs", 1024); break;
    case 'o': a->out = optarg; break;
    case 's': status = al_cli_add(&a->set, optarg, "--set"); break;
    case 'y': status = al_cli_add(&a->only, optarg, "--only"); break;
    case 'd': status = parse_shard(a, optarg); break;
    case 'n': a->dry_run = true; break;
    case 'q': al_log_set_quiet(true); break;
    case 'h': *help = true; return AL_OK;
    default: return al_cli_unknown_option(argv[0], argv);
    }
  }
  if (status == AL_OK && argc - optind != 1)
    return al_fail(AL_BAD_INPUT, "%s: give one experiment file; see alab %s --help", argv[0], argv[0]);
  return status;
}

static al_status run_study(al_study *study, const arguments *a, const char *path) {
  char *folder = NULL;
  al_status status =
      a->out != NULL ? al_copy_string(&folder, a->out) : al_format(&folder, "results/%s", study->experiment->study);
  if (status != AL_OK) return status;
  al_run_options options = {.folder = folder,
                            .jobs = (unsigned)a->jobs,
                            .only = a->only.items,
                            .only_count = a->only.n,
                            .shard = a->shard,
                            .shards = a->shards};
  if (a->dry_run) {
    status = al_study_dry_run(study, &options, stdout);
  } else {
    status = al_study_run(study, &options);
    if (status == AL_OK)
      al_log_notice("done: %s; next: alab report %s", folder, folder);
    else if (status == AL_INTERRUPTED)
      (void)al_fail(AL_INTERRUPTED, "%s; go on with: alab run %s%s%s", al_message(), path,
                    a->out == NULL ? "" : " --out ", a->out == NULL ? "" : a->out);
  }
  free(folder);
  return status;
}

al_status al_cli_run(int argc, char **argv) {
  al_status status;
  arguments a = {0};
  al_experiment *experiment = NULL;
  al_study *study = NULL;
  bool help = false;
  AL_TRY(parse(&a, argc, argv, &help));
  if (help) {
    fputs(run_help, stdout);
    return AL_OK;
  }
  AL_TRY(al_experiment_read(&experiment, argv[optind], a.set.items, a.set.n, al_cli_vocabulary()));
  AL_TRY(al_study_open(&study, experiment));
  AL_TRY(run_study(study, &a, argv[optind]));
done:
  al_study_free(study);
  al_experiment_free(experiment);
  return status;
}

static const char prepare_help[] =
    "usage: alab prepare EXPERIMENT.yaml [--set KEY=VALUE]... [--quiet]\n"
    "\n"
    "Reads the datasets of an experiment and builds every cache that its cells will map.\n";

al_status al_cli_prepare(int argc, char **argv) {
  al_status status;
  arguments a = {0};
  al_experiment *experiment = NULL;
  al_study *study = NULL;
  bool help = false;
  AL_TRY(parse(&a, argc, argv, &help));
  if (help) {
    fputs(prepare_help, stdout);
    return AL_OK;
  }
  if (a.out != NULL || a.only.n != 0 || a.shards != 0 || a.dry_run)
    return al_fail(AL_BAD_INPUT, "prepare: takes --set and --quiet only; see alab prepare --help");
  AL_TRY(al_experiment_read(&experiment, argv[optind], a.set.items, a.set.n, al_cli_vocabulary()));
  AL_TRY(al_study_open(&study, experiment));
  AL_TRY(al_study_prepare(study));
  printf("%zu cells are ready to run\n", study->cell_count);
done:
  al_study_free(study);
  al_experiment_free(experiment);
  return status;
}
