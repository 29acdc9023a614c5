/* alab audit EXPERIMENT.yaml|STUDY_DIR: is the protocol sound? */
#include "cli/cli.h"

#include "base/file.h"
#include "base/memory.h"
#include "model/model.h"
#include "report/audit.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char help[] =
    "usage: alab audit EXPERIMENT.yaml|STUDY_DIR [--format text|md|json]\n"
    "\n"
    "Does the study avoid the known pitfalls of evaluating active learning? Each finding has a verdict (sound, note,\n"
    "warning, problem), its evidence and a remedy. A results folder is judged by its logs, an experiment file by what "
    "it\n"
    "says. Exit status 1 when there is a problem.\n";

/* Replicates that `run` would take where the file says nothing. */
static void fill_replicates(const al_experiment *e) {
  bool fine_tuned = false;
  if (e->replicates != 0) return;
  for (size_t i = 0; i < json_array_size(e->models); i++) {
    const al_model_type *type = al_model_find(json_string_value(json_object_get(json_array_get(e->models, i), "name")));
    fine_tuned |= type != NULL && type->fine_tuned;
  }
  json_object_set_new(e->resolved, "replicates", json_integer(fine_tuned ? 5 : 10));
}

static al_status audit_one(const char *path, al_audit_style style) {
  al_status status;
  al_audit audit = {0};
  al_buffer text = {0};
  al_collection *c = NULL;
  al_experiment *e = NULL;
  struct stat info;
  if (stat(path, &info) == 0 && S_ISDIR(info.st_mode)) {
    AL_TRY(al_collect(&c, &path, 1, NULL));
    AL_TRY(al_audit_make(&audit, json_object_get(c->study, "experiment"), c));
  } else {
    AL_TRY(al_experiment_read(&e, path, NULL, 0, al_cli_vocabulary()));
    fill_replicates(e);
    AL_TRY(al_audit_make(&audit, e->resolved, NULL));
  }
  AL_TRY(al_audit_append(&text, &audit, style));
  fwrite(text.data, 1, text.size, stdout);
  size_t problems = al_audit_count(&audit, AL_VERDICT_PROBLEM);
  if (problems != 0)
    status = al_fail(AL_NEGATIVE, "%s: the protocol has %zu problem%s", path, problems, problems == 1 ? "" : "s");
done:
  al_audit_free(&audit);
  al_buffer_free(&text);
  al_collection_free(c);
  al_experiment_free(e);
  return status;
}

al_status al_cli_audit(int argc, char **argv) {
  static const struct option options[] = {
      {"format", required_argument, NULL, 'f'}, {"help", no_argument, NULL, 'h'}, {0}};
  static const char *const names[] = {"text", "md", "json"};
  static const al_audit_style styles[] = {AL_AUDIT_TEXT, AL_AUDIT_MD, AL_AUDIT_JSON};
  al_audit_style style = AL_AUDIT_TEXT;
  int option;
  opterr = 0;
  optind = 1;
  while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
    if (option == 'h') return fputs(help, stdout) < 0 ? al_fail_errno("standard output") : AL_OK;
    if (option != 'f') return al_cli_unknown_option("audit", argv);
    size_t i = 0;
    while (i < 3 && strcmp(names[i], optarg) != 0) i++;
    if (i == 3) return al_fail(AL_BAD_INPUT, "--format: '%s' is not one of text, md, json", optarg);
    style = styles[i];
  }
  if (argc != optind + 1)
    return al_fail(AL_BAD_INPUT, "audit: give one experiment file or results folder; see alab audit --help");
  return audit_one(argv[optind], style);
}
