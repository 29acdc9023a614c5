/* alab gate: pin a baseline, or judge a study against one. */
#include "cli/cli.h"

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "cli/gate_print.h"
#include "record/record.h"
#include "sim/study.h"

#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char help[] =
    "usage: alab gate STUDY_DIR|EXPERIMENT.yaml --write FILE [--metric M]\n"
    "       alab gate STUDY_DIR|EXPERIMENT.yaml --baseline FILE [options]\n"
    "\n"
    "Did a strategy lose quality against a pinned baseline? Each one is identical, pass, regressed or inconclusive\n"
    "(docs/gate.md). An experiment is run in a new folder first.\n"
    "\n"
    "  --write FILE     pin this study; says how many replicates the gate will need\n"
    "  --metric M       what to pin (default: accuracy)\n"
    "  --baseline FILE  judge against FILE; exit status 1 when a strategy has regressed\n"
    "  --margin X       a loss of area that would be unacceptable (default: 0.02)\n"
    "  --alpha X        error rate of the whole gate (default: 0.05)\n"
    "  --looks N        this many looks at the same data, growing, are planned: each is at alpha / N (default: 1)\n"
    "  --strict         exit status 1 when a strategy is inconclusive, too\n"
    "  --junit FILE     JUnit XML as well\n"
    "  --format F       text, json or github (workflow annotations) to standard output (default: text)\n"
    "  --out DIR        the new folder of an experiment (default: results/STUDY-gate, or with a number behind it)\n"
    "  --jobs N         worker processes of an experiment (default: the processors there are)\n";

typedef struct {
  const char *source, *write, *baseline, *metric, *junit, *format, *out;
  double margin, alpha;
  size_t looks, jobs;
  bool strict, judged_only /* an option that needs --baseline was given */;
} arguments;

static al_status parse_real(double *out, const char *text, const char *name, double most) {
  char *end = NULL;
  *out = strtod(text, &end);
  if (end == text || *end != '\0' || !(*out > 0.0) || !(*out < most))
    return al_fail(AL_BAD_INPUT, "%s: '%s' is not a number above 0 and below %g", name, text, most);
  return AL_OK;
}

static al_status check(const arguments *a) {
  if ((a->write == NULL) == (a->baseline == NULL))
    return al_fail(AL_BAD_INPUT, "gate: give either --write FILE or --baseline FILE; see alab gate --help");
  if (a->metric != NULL && a->baseline != NULL)
    return al_fail(AL_BAD_INPUT, "gate: --metric goes with --write; a baseline says its own");
  if (a->judged_only && a->baseline == NULL)
    return al_fail(AL_BAD_INPUT, "gate: --strict and --junit go with --baseline");
  if (a->write != NULL && strcmp(a->format, "github") == 0)
    return al_fail(AL_BAD_INPUT, "gate: --format github goes with --baseline");
  return AL_OK;
}

static al_status parse(arguments *a, int argc, char **argv, bool *asked_help) {
  static const struct option options[] = {{"write", required_argument, NULL, 'w'},
                                          {"baseline", required_argument, NULL, 'b'},
                                          {"metric", required_argument, NULL, 'M'},
                                          {"margin", required_argument, NULL, 'm'},
                                          {"alpha", required_argument, NULL, 'a'},
                                          {"looks", required_argument, NULL, 'l'},
                                          {"strict", no_argument, NULL, 's'},
                                          {"junit", required_argument, NULL, 'x'},
                                          {"format", required_argument, NULL, 'f'},
                                          {"out", required_argument, NULL, 'o'},
                                          {"jobs", required_argument, NULL, 'j'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
  al_status status = AL_OK;
  int option;
  *a = (arguments){.source = "", .format = "text", .margin = 0.02, .alpha = 0.05, .looks = 1};
  opterr = 0;
  optind = 1;
  while (status == AL_OK && (option = getopt_long(argc, argv, "o:j:h", options, NULL)) != -1) {
    switch (option) {
    case 'w': a->write = optarg; break;
    case 'b': a->baseline = optarg; break;
    case 'M': a->metric = optarg; break;
    case 'm': status = parse_real(&a->margin, optarg, "--margin", INFINITY); break;
    case 'a': status = parse_real(&a->alpha, optarg, "--alpha", 0.5); break;
    case 'l': status = al_cli_number(&a->looks, optarg, "--looks", 100); break;
    case 's': a->strict = a->judged_only = true; break;
    case 'x':
      a->junit = optarg;
      a->judged_only = true;
      break;
    case 'f': a->format = optarg; break;
    case 'o': a->out = optarg; break;
    case 'j': status = al_cli_number(&a->jobs, optarg, "--jobs", 1024); break;
    case 'h': *asked_help = true; return AL_OK;
    default: return al_cli_unknown_option(argv[0], argv);
    }
  }
  if (status != AL_OK) return status;
  if (argc - optind != 1)
    return al_fail(AL_BAD_INPUT, "gate: give one study folder or one experiment; see alab gate --help");
  a->source = argv[optind];
  if (strcmp(a->format, "text") != 0 && strcmp(a->format, "json") != 0 && strcmp(a->format, "github") != 0)
    return al_fail(AL_BAD_INPUT, "--format: '%s' is not text, json or github", a->format);
  return check(a);
}

/* A folder of its own for this run: what an earlier one left is not judged again. */
static al_status new_folder(char **folder, const arguments *a, const char *study) {
  al_status status;
  if (a->out != NULL) {
    if (al_file_exists(a->out) && rmdir(a->out) != 0)
      return al_fail(AL_BAD_INPUT,
                     "%s: the gate runs an experiment in a new folder, and this one holds something; "
                     "to judge it, give it in place of the experiment",
                     a->out);
    return al_copy_string(folder, a->out);
  }
  AL_TRY(al_format(folder, "results/%s-gate", study));
  for (unsigned i = 2; al_file_exists(*folder) && i < 100000; i++) {
    free(*folder);
    AL_TRY(al_format(folder, "results/%s-gate-%u", study, i));
  }
done:
  return status;
}

static al_status run_experiment(char **folder, const arguments *a) {
  al_status status;
  al_experiment *experiment = NULL;
  al_study *study = NULL;
  long processors = sysconf(_SC_NPROCESSORS_ONLN);
  AL_TRY(al_experiment_read(&experiment, a->source, NULL, 0, al_cli_vocabulary()));
  AL_TRY(al_study_open(&study, experiment));
  AL_TRY(new_folder(folder, a, experiment->study));
  al_run_options options = {.folder = *folder,
                            .jobs = a->jobs != 0     ? (unsigned)a->jobs
                                    : processors > 0 ? (unsigned)processors
                                                     : 1};
  status = al_study_run(study, &options);
  if (status == AL_INTERRUPTED)
    (void)al_fail(status, "%s; go on with: alab run %s --out %s, then alab gate %s", al_message(), a->source, *folder,
                  *folder);
  if (status == AL_OK) al_log_notice("ran in %s", *folder);
done:
  al_study_free(study);
  al_experiment_free(experiment);
  return status;
}

static al_status find_study(char **folder, const arguments *a) {
  struct stat facts;
  if (stat(a->source, &facts) != 0 || !S_ISDIR(facts.st_mode)) return run_experiment(folder, a);
  if (a->out != NULL || a->jobs != 0)
    return al_fail(AL_BAD_INPUT, "gate: --out and --jobs go with an experiment, and %s is a folder", a->source);
  return al_copy_string(folder, a->source);
}

static al_status read_study(al_curve_set **set, const char *folder, const char *metric) {
  al_status status;
  AL_TRY(al_curve_set_new(set, metric));
  AL_TRY(al_curve_set_add_study(*set, folder));
  for (size_t i = 0; i < (*set)->unfinished_n; i++) al_log_warning("unfinished, not judged: %s", (*set)->unfinished[i]);
done:
  return status;
}

/* ---- writing a baseline ---- */

static al_status write_baseline(const arguments *a, const char *folder) {
  al_status status;
  al_curve_set *set = NULL;
  al_gate_size *sizes = NULL;
  al_buffer text = {0};
  json_t *study = NULL;
  size_t n = 0, lacking = 0, most = 0;
  AL_TRY(read_study(&set, folder, a->metric == NULL ? "accuracy" : a->metric));
  AL_TRY(al_study_read(&study, folder));
  const char *name = json_string_value(json_object_get(study, "study"));
  AL_TRY(al_gate_pin(&text, set, name == NULL ? "" : name));
  double alpha = a->alpha / (double)a->looks;
  AL_TRY(al_gate_sizes(&sizes, &n, set, a->margin, alpha));
  AL_TRY(al_file_write(a->write, text.data, text.size));
  AL_TRY(al_gate_print_sizes(sizes, n, set, a->margin, alpha, a->format, stdout));
  for (size_t i = 0; i < n; i++) {
    bool short_of = sizes[i].needed == 0 || sizes[i].needed > sizes[i].n;
    lacking += short_of;
    if (short_of && (sizes[i].needed == 0 || sizes[i].needed > most)) most = sizes[i].needed;
  }
  if (lacking != 0 && most != 0)
    al_log_warning("%zu of %zu strategies have fewer replicates than a margin of %g needs (up to %zu): the gate will "
                   "often be inconclusive; see docs/gate.md",
                   lacking, n, a->margin, most);
  else if (lacking != 0)
    al_log_warning("%zu of %zu strategies have too few replicates to say how many are needed; see docs/gate.md",
                   lacking, n);
  al_log_notice("wrote %s", a->write);
done:
  free(sizes);
  al_buffer_free(&text);
  json_decref(study);
  al_curve_set_free(set);
  return status;
}

/* ---- judging ---- */

static void name_unpinned(const al_curve_set *set, const al_gate_test *tests, size_t n) {
  for (size_t i = 0; i < set->n; i++) {
    const al_cell_curve *c = &set->cells[i];
    bool pinned = false, named = false;
    for (size_t t = 0; t < n && !pinned; t++)
      pinned = strcmp(tests[t].strategy, c->strategy) == 0 && strcmp(tests[t].dataset, c->dataset) == 0 &&
               strcmp(tests[t].model, c->model) == 0 && strcmp(tests[t].setting, c->setting) == 0;
    for (size_t j = 0; j < i && !named; j++)
      named = strcmp(set->cells[j].strategy, c->strategy) == 0 && strcmp(set->cells[j].dataset, c->dataset) == 0 &&
              strcmp(set->cells[j].model, c->model) == 0 && strcmp(set->cells[j].setting, c->setting) == 0;
    if (!pinned && !named)
      al_log_notice("not in the baseline, not judged: %s, %s, %s", c->dataset, c->model, c->strategy);
  }
}

static al_status verdict_status(const al_gate_report *report) {
  size_t counts[4] = {0};
  for (size_t i = 0; i < report->n; i++) counts[report->tests[i].verdict]++;
  for (size_t i = 0; i < report->n; i++)
    if (report->tests[i].missing != 0)
      al_log_warning("%s, %s, %s: %zu of the baseline's replicates are not in the study", report->tests[i].dataset,
                     report->tests[i].model, report->tests[i].strategy, report->tests[i].missing);
  if (counts[AL_REGRESSED] != 0)
    return al_fail(AL_NEGATIVE, "gate: %zu of %zu strategies regressed%s", counts[AL_REGRESSED], report->n,
                   counts[AL_INCONCLUSIVE] != 0 ? ", others are inconclusive" : "");
  if (counts[AL_INCONCLUSIVE] != 0 && report->strict)
    return al_fail(AL_NEGATIVE, "gate: %zu of %zu strategies are inconclusive; run more replicates (docs/gate.md)",
                   counts[AL_INCONCLUSIVE], report->n);
  if (counts[AL_INCONCLUSIVE] != 0)
    al_log_warning("gate: %zu of %zu strategies are inconclusive; --strict would fail", counts[AL_INCONCLUSIVE],
                   report->n);
  return AL_OK;
}

static al_status judge(const arguments *a, const al_gate_baseline *baseline, const char *folder) {
  al_status status;
  al_curve_set *set = NULL;
  al_gate_test *tests = NULL;
  al_buffer junit = {0};
  size_t n = 0;
  double alpha = a->alpha / (double)a->looks;
  AL_TRY(read_study(&set, folder, baseline->set->metric));
  AL_TRY(al_gate_match(&tests, &n, baseline, set));
  AL_TRY(al_gate_decide(tests, n, a->margin, alpha));
  al_gate_report report = {.study = folder,
                           .baseline = a->baseline,
                           .set = set,
                           .tests = tests,
                           .n = n,
                           .margin = a->margin,
                           .alpha = alpha,
                           .looks = a->looks,
                           .strict = a->strict};
  if (a->junit != NULL) {
    AL_TRY(al_gate_junit(&junit, &report));
    AL_TRY(al_file_write(a->junit, junit.data, junit.size));
  }
  if (strcmp(a->format, "json") == 0)
    AL_TRY(al_gate_print_json(&report, stdout));
  else if (strcmp(a->format, "github") == 0)
    AL_TRY(al_gate_print_github(&report, stdout));
  else
    AL_TRY(al_gate_print_text(&report, stdout));
  name_unpinned(set, tests, n);
  status = verdict_status(&report);
done:
  al_buffer_free(&junit);
  al_gate_tests_free(tests, n);
  al_curve_set_free(set);
  return status;
}

/* What can be refused before a long run is refused before it. */
static al_status check_writable(const char *path) {
  char *folder = NULL;
  if (path == NULL || access(path, W_OK) == 0) return AL_OK;
  const char *slash = strrchr(path, '/');
  al_status status =
      slash == NULL ? al_copy_string(&folder, ".") : al_copy_bytes(&folder, path, (size_t)(slash - path) + 1);
  if (status == AL_OK && access(folder, W_OK) != 0) status = al_fail_errno("cannot write %s", path);
  free(folder);
  return status;
}

al_status al_cli_gate(int argc, char **argv) {
  al_status status;
  arguments a;
  al_gate_baseline *baseline = NULL;
  char *folder = NULL;
  bool asked_help = false;
  AL_TRY(parse(&a, argc, argv, &asked_help));
  if (asked_help) {
    fputs(help, stdout);
    return AL_OK;
  }
  AL_TRY(check_writable(a.write));
  AL_TRY(check_writable(a.junit));
  if (a.baseline != NULL) AL_TRY(al_gate_read(&baseline, a.baseline));
  AL_TRY(find_study(&folder, &a));
  status = baseline != NULL ? judge(&a, baseline, folder) : write_baseline(&a, folder);
done:
  al_gate_baseline_free(baseline);
  free(folder);
  return status;
}
