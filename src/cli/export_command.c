/* alab export STUDY_DIR --format csv|sqlite [-o F]. */
#include "cli/cli.h"

#include "base/file.h"
#include "base/memory.h"
#include "record/export.h"
#include "record/record.h"

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static al_status to_file(const char *folder, const char *path) {
  al_status status;
  char *temporary = NULL;
  bool device = !al_file_replaceable(path);
  AL_TRY(al_format(&temporary, device ? "%s" : "%s.tmp", path));
  FILE *out = fopen(temporary, "we");
  if (out == NULL) {
    status = al_fail_errno("cannot write %s", path);
    goto done;
  }
  status = al_export_csv(folder, out);
  if (status == AL_OK && ferror(out)) status = al_fail_errno("cannot write %s", path);
  if (fclose(out) != 0 && status == AL_OK) status = al_fail_errno("cannot write %s", path);
  if (status == AL_OK && !device && rename(temporary, path) != 0) status = al_fail_errno("cannot write %s", path);
  if (status != AL_OK && !device) remove(temporary);
done:
  free(temporary);
  return status;
}

al_status al_cli_export(int argc, char **argv) {
  static const struct option options[] = {
      {"format", required_argument, NULL, 'f'}, {"help", no_argument, NULL, 'h'}, {0}};
  const char *format = NULL, *path = NULL;
  json_t *study = NULL;
  int option;
  opterr = 0;
  optind = 1;
  while ((option = getopt_long(argc, argv, "o:h", options, NULL)) != -1) {
    if (option == 'f') {
      format = optarg;
    } else if (option == 'o') {
      path = optarg;
    } else if (option == 'h') {
      puts("usage: alab export STUDY_DIR --format csv|sqlite [-o FILE]\n\nOne row a round (csv, to standard output by "
           "default), or a\n"
           "database with runs, rounds, picks, metrics and views (sqlite; needs -o).");
      return AL_OK;
    } else {
      return al_cli_unknown_option("export", argv);
    }
  }
  if (argc - optind != 1 || format == NULL)
    return al_fail(AL_BAD_INPUT, "export: give one results folder and --format csv or sqlite; see alab export --help");
  al_status status = al_study_read(&study, argv[optind]); /* before a file is opened for writing */
  json_decref(study);
  if (status != AL_OK) return status;
  if (strcmp(format, "csv") == 0)
    return path == NULL ? al_export_csv(argv[optind], stdout) : to_file(argv[optind], path);
  if (strcmp(format, "sqlite") != 0) return al_fail(AL_BAD_INPUT, "--format: '%s' is not csv or sqlite", format);
  if (path == NULL) return al_fail(AL_BAD_INPUT, "export: a database needs a file; give -o FILE");
  return al_export_sqlite(argv[optind], path);
}
