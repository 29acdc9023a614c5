/* alab compare STUDY_DIR|CURVES.csv... */
#include "cli/cli.h"

#include "base/log.h"
#include "cli/compare_print.h"

#include <getopt.h>
#include <string.h>

static const char help[] =
    "usage: alab compare STUDY_DIR|CURVES.csv... [--metric NAME] [--baseline STRATEGY] [--across model]\n"
    "                    [--format text|md|csv|json]\n"
    "\n"
    "One source: its strategies with a baseline. Several (code versions, studies; each study of a CSV is one): each "
    "with\n"
    "the first. Intervals, tests, power and ranks: docs/statistics.md, which also says how a CSV of curves looks.\n"
    "\n"
    "  --metric NAME        accuracy (default) or any other test metric; a column of the CSV\n"
    "  --baseline STRATEGY  within one source (default: random, where there is one)\n"
    "  --across model       compare models: cells match whatever their model\n"
    "  --format F           default: text\n";

static al_status print(const al_comparison *c, const char *format) {
  if (strcmp(format, "csv") == 0) return al_compare_print_csv(c, stdout);
  if (strcmp(format, "json") == 0) return al_compare_print_json(c, stdout);
  return al_compare_print_tables(c, strcmp(format, "md") == 0 ? AL_STYLE_MD : AL_STYLE_TEXT, stdout);
}

static al_status compare(int n, char **paths, const char *metric, const char *baseline, bool across,
                         const char *format) {
  al_status status;
  al_curve_set *set = NULL;
  al_comparison *c = NULL;
  AL_TRY(al_curve_set_new(&set, metric));
  for (int i = 0; i < n; i++) AL_TRY(al_curve_set_add(set, paths[i]));
  for (size_t i = 0; i < set->unfinished_n; i++) al_log_warning("unfinished, left out: %s", set->unfinished[i]);
  AL_TRY(al_compare(&c, set, baseline, across, 0.05));
  if (c->unmatched != 0)
    al_log_warning("%zu cells have no counterpart, or no value of '%s'; they are left out", c->unmatched, metric);
  if (c->side_count == 1 && c->baseline == NULL)
    al_log_warning("no strategy is called random; name what to compare with by --baseline");
  status = print(c, format);
done:
  al_comparison_free(c);
  al_curve_set_free(set);
  return status;
}

al_status al_cli_compare(int argc, char **argv) {
  static const struct option options[] = {
      {"metric", required_argument, NULL, 'm'}, {"baseline", required_argument, NULL, 'b'},
      {"across", required_argument, NULL, 'a'}, {"format", required_argument, NULL, 'f'},
      {"help", no_argument, NULL, 'h'},         {0}};
  static const char *const formats[] = {"text", "md", "csv", "json"};
  const char *metric = "accuracy", *baseline = NULL, *format = "text";
  bool across = false, known = false;
  int option;
  opterr = 0;
  optind = 1;
  while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
    switch (option) {
    case 'm': metric = optarg; break;
    case 'b': baseline = optarg; break;
    case 'a':
      if (strcmp(optarg, "model") != 0) return al_fail(AL_BAD_INPUT, "--across: '%s' is not model", optarg);
      across = true;
      break;
    case 'f': format = optarg; break;
    case 'h': fputs(help, stdout); return AL_OK;
    default: return al_cli_unknown_option(argv[0], argv);
    }
  }
  for (size_t i = 0; i < 4; i++) known = known || strcmp(format, formats[i]) == 0;
  if (!known) return al_fail(AL_BAD_INPUT, "--format: '%s' is not text, md, csv or json", format);
  if (argc == optind)
    return al_fail(AL_BAD_INPUT, "compare: give results folders or CSV files; see alab compare --help");
  return compare(argc - optind, argv + optind, metric, baseline, across, format);
}
