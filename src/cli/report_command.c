/* alab report STUDY_DIR..., alab report --figures FILE.yaml */
#include "cli/cli.h"

#include "base/log.h"
#include "base/memory.h"
#include "report/report.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
    "usage: alab report STUDY_DIR... [--out DIR] [--formats LIST] [--metric NAME] [--jobs N]\n"
    "       alab report --figures FILE.yaml [--out DIR] [--formats svg,pdf,png,tex] [--jobs N]\n"
    "\n"
    "Figures, tables, the protocol audit and index.html from the logs of finished cells; the tables as text to "
    "standard\n"
    "output. The second form draws the figures that a file lists, as those of a paper: a list of {figure, studies, "
    "only,\n"
    "metric, x, size, o}, paths relative to the file (docs/report.md).\n"
    "\n"
    "  --out DIR       where (default: STUDY_DIR/report, with several studies a folder each below DIR; for a figures\n"
    "                  file the folder \"figures\" beside it)\n"
    "  --formats LIST  of html, svg, pdf, png, tex, md, csv; default: all of them\n"
    "  --metric NAME   what curves, areas and ranks show (default: accuracy)\n"
    "  --jobs N        gnuplot processes at once (default: one for each core)\n";

static al_status parse_formats(unsigned *formats, const char *text) {
  static const struct {
    const char *name;
    unsigned bit;
  } known[] = {{"html", AL_FORMAT_HTML}, {"svg", AL_FORMAT_SVG}, {"pdf", AL_FORMAT_PDF}, {"png", AL_FORMAT_PNG},
               {"tex", AL_FORMAT_TEX},   {"md", AL_FORMAT_MD},   {"csv", AL_FORMAT_CSV}};
  *formats = 0;
  for (const char *at = text; *at != '\0';) {
    size_t length = strcspn(at, ","), i = 0;
    while (i < 7 && (strlen(known[i].name) != length || strncmp(known[i].name, at, length) != 0)) i++;
    if (i == 7)
      return al_fail(AL_BAD_INPUT, "--formats: '%.*s' is not one of html, svg, pdf, png, tex, md, csv", (int)length,
                     at);
    *formats |= known[i].bit;
    at += length + (at[length] == ',');
  }
  return *formats == 0 ? al_fail(AL_BAD_INPUT, "--formats: the list is empty") : AL_OK;
}

static al_status report_one(const char *study, const char *out, bool several, const al_report_options *options) {
  al_status status;
  char *folder = NULL, *trimmed = NULL;
  al_report_options own = *options;
  AL_TRY(al_copy_string(&trimmed, study));
  for (size_t n = strlen(trimmed); n > 1 && trimmed[n - 1] == '/'; n--) trimmed[n - 1] = '\0';
  const char *slash = strrchr(trimmed, '/');
  if (out == NULL)
    AL_TRY(al_format(&folder, "%s/report", trimmed));
  else if (several)
    AL_TRY(al_format(&folder, "%s/%s", out, slash == NULL ? trimmed : slash + 1));
  else
    AL_TRY(al_copy_string(&folder, out));
  own.out = folder;
  AL_TRY(al_report_study(trimmed, &own, stdout));
  al_log_notice("report: %s/%s", folder, own.formats & AL_FORMAT_HTML ? "index.html" : "");
done:
  free(folder);
  free(trimmed);
  return status;
}

al_status al_cli_report(int argc, char **argv) {
  static const struct option options[] = {{"out", required_argument, NULL, 'o'},
                                          {"formats", required_argument, NULL, 'f'},
                                          {"metric", required_argument, NULL, 'm'},
                                          {"figures", required_argument, NULL, 'y'},
                                          {"jobs", required_argument, NULL, 'j'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
  long cores = sysconf(_SC_NPROCESSORS_ONLN);
  al_report_options how = {
      .formats = AL_FORMAT_ALL, .measure = AL_MEASURE_ACCURACY, .jobs = cores > 0 ? (size_t)cores : 1};
  const char *out = NULL, *figures = NULL, *metric = NULL;
  al_status status = AL_OK;
  int option;
  opterr = 0;
  optind = 1;
  while (status == AL_OK && (option = getopt_long(argc, argv, "o:h", options, NULL)) != -1) {
    if (option == 'o')
      out = optarg;
    else if (option == 'f')
      status = parse_formats(&how.formats, optarg);
    else if (option == 'm')
      status = al_measure_find(&how.measure, metric = optarg, "--metric");
    else if (option == 'y')
      figures = optarg;
    else if (option == 'j')
      status = al_cli_number(&how.jobs, optarg, "--jobs", 64);
    else if (option == 'h')
      return fputs(help, stdout) < 0 ? al_fail_errno("standard output") : AL_OK;
    else
      status = al_cli_unknown_option("report", argv);
  }
  if (status != AL_OK) return status;
  if (how.measure >= AL_MEASURES_OF_TEST)
    return al_fail(
        AL_BAD_INPUT,
        "--metric: %s is a state of the labelled set, which is neither better nor worse; a figures file can draw "
        "its curves",
        metric);
  if (figures != NULL) {
    if (argc != optind || metric != NULL)
      return al_fail(AL_BAD_INPUT, "report --figures: studies and metrics stand in the file; see alab report --help");
    how.out = out;
    return al_report_figures(figures, &how);
  }
  if (argc == optind) return al_fail(AL_BAD_INPUT, "report: give a results folder; see alab report --help");
  for (int i = optind; i < argc && status == AL_OK; i++) status = report_one(argv[i], out, argc - optind > 1, &how);
  return status;
}
