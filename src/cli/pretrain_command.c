/* alab pretrain: a recipe, run or measured. */
#include "cli/cli.h"

#include "base/log.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

static const char help[] =
    "usage: alab pretrain RECIPE.yaml [--set KEY=VALUE]... [--minutes M] [--quiet]\n"
    "\n"
    "Trains a network on the text or images of train parts alone (no label, no test row) and writes the safetensors "
    "file\n"
    "that the recipe names. An interrupted run goes on from its checkpoint to the same file.\n"
    "  --set KEY=VALUE   overrides a key of the recipe: --set steps=2000, --set train.lr=0.002\n"
    "  --minutes M       measures, and prints how many steps fit into M minutes here; trains nothing\n";

#ifdef ALAB_TORCH
#include "model/pretrain.h"
#include "sim/engine.h"

static al_status measure(const al_recipe *recipe, double minutes) {
  size_t steps = 0;
  double setting_up = 0.0;
  char text[32];
  al_status status = al_pretrain_measure(recipe, minutes, &steps, &setting_up);
  if (status != AL_OK) return status;
  printf("%zu\n", steps);
  al_log_notice("%zu steps fit into %g minutes on one core here, %s of setting up included; give --set steps=%zu",
                steps, minutes, al_show_seconds(setting_up, text), steps);
  return AL_OK;
}

static al_status train(const al_recipe *recipe) {
  al_engine_catch_signals();
  al_status status = al_pretrain_run(recipe, al_engine_stop_flag());
  al_engine_release_signals();
  return status;
}
#endif

al_status al_cli_pretrain(int argc, char **argv) {
  static const struct option options[] = {{"set", required_argument, NULL, 's'},
                                          {"minutes", required_argument, NULL, 'm'},
                                          {"quiet", no_argument, NULL, 'q'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
  al_status status = AL_OK;
  al_texts set = {0};
  double minutes = 0.0;
  int option;
  opterr = 0;
  optind = 1;
  while (status == AL_OK && (option = getopt_long(argc, argv, "qh", options, NULL)) != -1) {
    char *end = NULL;
    switch (option) {
    case 's': status = al_cli_add(&set, optarg, "--set"); break;
    case 'm':
      minutes = strtod(optarg, &end);
      if (end == optarg || *end != '\0' || !(minutes > 0.0) || minutes > 1e6)
        return al_fail(AL_BAD_INPUT, "--minutes: '%s' is not a number of minutes above 0", optarg);
      break;
    case 'q': al_log_set_quiet(true); break;
    case 'h': fputs(help, stdout); return AL_OK;
    default: return al_cli_unknown_option(argv[0], argv);
    }
  }
  if (status != AL_OK) return status;
  if (argc - optind != 1) return al_fail(AL_BAD_INPUT, "pretrain: give one recipe; see alab pretrain --help");
#ifdef ALAB_TORCH
  al_recipe *recipe = NULL;
  AL_TRY(al_recipe_read(&recipe, argv[optind], set.items, set.n));
  AL_TRY(minutes > 0.0 ? measure(recipe, minutes) : train(recipe));
done:
  al_recipe_free(recipe);
  return status;
#else
  return al_fail(AL_BAD_INPUT, "pretrain: needs libtorch, and this alab was built without (-DALAB_TORCH=OFF)");
#endif
}
