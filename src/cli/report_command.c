/* alab report STUDY_DIR... */
#include "cli/cli.h"

#include "base/log.h"
#include "base/memory.h"
#include "report/report.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: alab report STUDY_DIR... [--out DIR] [--formats html,svg,pdf,png,tex,md,csv]\n"
    "\n"
    "Figures, tables and index.html from the logs of finished cells; the tables as text to standard output.\n"
    "\n"
    "  --out DIR       where (default: STUDY_DIR/report; with several studies a folder each below DIR)\n"
    "  --formats LIST  default: all of them\n";

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

static al_status report_one(const char *study, const char *out, bool several, unsigned formats) {
  al_status status;
  char *folder = NULL, *trimmed = NULL;
  AL_TRY(al_copy_string(&trimmed, study));
  for (size_t n = strlen(trimmed); n > 1 && trimmed[n - 1] == '/'; n--) trimmed[n - 1] = '\0';
  const char *slash = strrchr(trimmed, '/');
  if (out == NULL)
    AL_TRY(al_format(&folder, "%s/report", trimmed));
  else if (several)
    AL_TRY(al_format(&folder, "%s/%s", out, slash == NULL ? trimmed : slash + 1));
  else
    AL_TRY(al_copy_string(&folder, out));
  AL_TRY(al_report_study(trimmed, folder, formats, stdout));
  al_log_notice("report: %s/%s", folder, formats & AL_FORMAT_HTML ? "index.html" : "");
done:
  free(folder);
  free(trimmed);
  return status;
}

al_status al_cli_report(int argc, char **argv) {
  static const struct option options[] = {{"out", required_argument, NULL, 'o'},
                                          {"formats", required_argument, NULL, 'f'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
  const char *out = NULL;
  unsigned formats =
      AL_FORMAT_HTML | AL_FORMAT_SVG | AL_FORMAT_PDF | AL_FORMAT_PNG | AL_FORMAT_TEX | AL_FORMAT_MD | AL_FORMAT_CSV;
  al_status status = AL_OK;
  int option;
  opterr = 0;
  optind = 1;
  while (status == AL_OK && (option = getopt_long(argc, argv, "o:h", options, NULL)) != -1) {
    if (option == 'o') {
      out = optarg;
    } else if (option == 'f') {
      status = parse_formats(&formats, optarg);
    } else if (option == 'h') {
      fputs(help, stdout);
      return AL_OK;
    } else {
      status = al_cli_unknown_option("report", argv);
    }
  }
  if (status == AL_OK && argc == optind)
    status = al_fail(AL_BAD_INPUT, "report: give a results folder; see alab report --help");
  for (int i = optind; i < argc && status == AL_OK; i++) status = report_one(argv[i], out, argc - optind > 1, formats);
  return status;
}
