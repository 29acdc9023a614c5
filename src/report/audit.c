/* One function a question. What the experiment says is read from its resolved form; what happened is read from the
 * logs. */
#include "report/audit.h"

#include "report/html.h"
#include "report/summarise.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double alpha = 0.05;
/* A difference in accuracy that would matter: the default margin of alab gate. */
static const double margin = 0.02;
enum { LEAST_REPLICATES = 5, GOOD_REPLICATES = 10, LEAST_FOR_RANKS = 6, MOST_REPLICATES = 4096 };

typedef struct {
  al_audit *audit;
  const json_t *e;
  al_collection *c;
} auditor;

static const char *text_of(const json_t *object, const char *key) {
  const char *text = json_string_value(json_object_get(object, key));
  return text == NULL ? "" : text;
}

static al_status add(const auditor *a, const char *name, const char *question, al_verdict verdict, const char *evidence,
                     const char *remedy) {
  al_status status;
  al_audit *audit = a->audit;
  AL_TRY(al_grow(&audit->items, &audit->capacity, audit->n + 1, sizeof *audit->items));
  al_finding *f = &audit->items[audit->n];
  *f = (al_finding){.name = name, .question = question, .verdict = verdict};
  audit->n++;
  AL_TRY(al_copy_string(&f->evidence, evidence));
  if (verdict != AL_VERDICT_SOUND) AL_TRY(al_copy_string(&f->remedy, remedy));
done:
  return status;
}

/* A list of names for evidence: the first few, then how many more. */
typedef struct {
  char text[400];
  size_t n;
} names;

static void put_name(names *list, const char *name) {
  size_t used = strlen(list->text);
  if (list->n < 4) snprintf(list->text + used, sizeof list->text - used, "%s%s", list->n == 0 ? "" : ", ", name);
  list->n++;
}

static const char *show_names(names *list) {
  size_t used = strlen(list->text);
  if (list->n > 4) snprintf(list->text + used, sizeof list->text - used, " and %zu more", list->n - 4);
  return list->text;
}

/* ---- the strategies ---- */

static al_status audit_baseline(const auditor *a) {
  static const char question[] = "Is there a random baseline?";
  char evidence[600];
  const json_t *strategies = json_object_get(a->e, "strategies");
  bool named = false, other_label = false;
  for (size_t i = 0; i < json_array_size(strategies); i++) {
    const json_t *s = json_array_get(strategies, i);
    if (strcmp(text_of(s, "name"), "random") != 0) continue;
    named |= strcmp(text_of(s, "label"), "random") == 0;
    other_label |= strcmp(text_of(s, "label"), "random") != 0;
  }
  if (!named)
    return add(a, "baseline", question, AL_VERDICT_PROBLEM,
               other_label ? "random runs under another label, so nothing is compared with it"
                           : "random is not among the strategies: nothing says whether choosing helps at all",
               other_label ? "let it keep the label random"
                           : "add random to strategies and run again; finished cells stay");
  if (a->c == NULL) return add(a, "baseline", question, AL_VERDICT_SOUND, "random is among the strategies", NULL);
  names missing = {0};
  for (size_t i = 0; i < a->c->n; i++) {
    char title[256];
    if (al_setting_random(&a->c->settings[i]) == NULL) put_name(&missing, al_setting_title(&a->c->settings[i], title));
  }
  if (missing.n != 0) {
    snprintf(evidence, sizeof evidence, "no complete cell of random in: %s", show_names(&missing));
    return add(a, "baseline", question, AL_VERDICT_PROBLEM, evidence, "run the study to its end");
  }
  snprintf(evidence, sizeof evidence, "random has complete cells in %s%zu setting%s", a->c->n == 1 ? "the " : "all ",
           a->c->n, a->c->n == 1 ? "" : "s");
  return add(a, "baseline", question, AL_VERDICT_SOUND, evidence, NULL);
}

/* Before a run the caller has put in what the experiment leaves to its models. */
static size_t planned_replicates(const json_t *e) {
  const json_t *given = json_object_get(e, "replicates");
  return json_is_integer(given) ? (size_t)json_integer_value(given) : 0;
}

static size_t fewest_replicates(const auditor *a, const char **where) {
  size_t least = SIZE_MAX;
  for (size_t i = 0; i < a->c->n; i++)
    for (size_t j = 0; j < a->c->settings[i].n; j++)
      if (a->c->settings[i].contenders[j].n < least) {
        least = a->c->settings[i].contenders[j].n;
        *where = a->c->settings[i].contenders[j].strategy;
      }
  return least;
}

static al_status audit_replicates(const auditor *a) {
  const char *where = "";
  size_t n = a->c == NULL ? planned_replicates(a->e) : fewest_replicates(a, &where);
  char evidence[200];
  snprintf(evidence, sizeof evidence, "%zu replicate%s%s%s%s", n, n == 1 ? "" : "s",
           a->c == NULL ? " planned" : " complete at the least (", where, a->c == NULL ? "" : ")");
  return add(a, "replicates", "Are there at least 5 replicates?",
             n < LEAST_REPLICATES  ? AL_VERDICT_PROBLEM
             : n < GOOD_REPLICATES ? AL_VERDICT_NOTE
                                   : AL_VERDICT_SOUND,
             evidence,
             n < LEAST_REPLICATES
                 ? "set replicates to 5 or more: below that an interval says next to nothing"
                 : "below 10 the standard deviation itself is uncertain; give n beside every interval");
}

static al_status audit_start(const auditor *a) {
  static const char question[] = "Do all strategies of a replicate start from the same initial set?";
  names different = {0};
  size_t cells = 0, starts = 0;
  char evidence[600];
  if (a->c == NULL)
    return add(a, "start", question, AL_VERDICT_SOUND,
               "the initial set's stream leaves the strategy out; the results folder will show it", NULL);
  for (size_t i = 0; i < a->c->n; i++) {
    const al_setting *s = &a->c->settings[i];
    for (size_t j = 0; j < s->n; j++)
      for (size_t k = 0; k < s->contenders[j].n; k++) {
        const al_run *run = &s->contenders[j].runs[k], *first = NULL;
        for (size_t q = 0; q <= j && first == NULL; q++) first = al_run_of_replicate(&s->contenders[q], run->replicate);
        cells++;
        starts += first == run;
        if (strcmp(run->start, first->start) != 0 || strcmp(run->data, first->data) != 0)
          put_name(&different, run->cell);
      }
  }
  if (different.n != 0) {
    snprintf(evidence, sizeof evidence, "another initial set, hold-out or dataset than the replicate's first cell: %s",
             show_names(&different));
    return add(a, "start", question, AL_VERDICT_PROBLEM, evidence,
               "differences are not paired here: run all strategies in one study with one build");
  }
  snprintf(evidence, sizeof evidence,
           "%zu cells have %zu starts, one for each setting and replicate (digests of the rows in the logs)", cells,
           starts);
  return add(a, "start", question, AL_VERDICT_SOUND, evidence, NULL);
}

static al_status audit_bound(const auditor *a) {
  const json_t *strategies = json_object_get(a->e, "strategies");
  for (size_t i = 0; i < json_array_size(strategies); i++)
    if (strcmp(text_of(json_array_get(strategies, i), "name"), "oracle-error") == 0)
      return add(a, "bound", "Does any strategy see labels that it could not have?", AL_VERDICT_NOTE,
                 "oracle-error sees the true labels of the pool: it is an upper bound, no strategy",
                 "mark it so in every table and figure, and claim nothing for it");
  return add(a, "bound", "Does any strategy see labels that it could not have?", AL_VERDICT_SOUND,
             "no strategy that reads the pool's true labels is in the study", NULL);
}

/* ---- the settings ---- */

static size_t distinct(const json_t *axis, const char *key) {
  size_t n = 0;
  for (size_t i = 0; i < json_array_size(axis); i++) {
    bool known = false;
    for (size_t j = 0; j < i; j++)
      known |= json_equal(json_object_get(json_array_get(axis, i), key), json_object_get(json_array_get(axis, j), key));
    n += !known;
  }
  return n;
}

static al_status audit_variety(const auditor *a) {
  al_status status;
  char evidence[200];
  size_t datasets = distinct(json_object_get(a->e, "datasets"), "name");
  size_t batches = distinct(json_object_get(a->e, "query"), "batch");
  size_t sizes = distinct(json_object_get(a->e, "initial"), "size");
  snprintf(evidence, sizeof evidence, "%zu distinct dataset%s", datasets, datasets == 1 ? "" : "s");
  AL_TRY(add(a, "datasets", "Is there more than one dataset?",
             datasets < 2                 ? AL_VERDICT_WARNING
             : datasets < LEAST_FOR_RANKS ? AL_VERDICT_NOTE
                                          : AL_VERDICT_SOUND,
             evidence,
             datasets < 2 ? "add datasets: orders of strategies change between datasets, and one cannot show it"
                          : "ranks over datasets are tested from 6 datasets on"));
  snprintf(evidence, sizeof evidence, "%zu batch size%s", batches, batches == 1 ? "" : "s");
  AL_TRY(add(a, "batch-sizes", "Is there more than one batch size?",
             batches < 2 ? AL_VERDICT_WARNING : AL_VERDICT_SOUND, evidence,
             "make query a list, as [{as: small, batch: 10}, {as: large, batch: 100}]: strategies that pick one by one "
             "suffer in large batches"));
  snprintf(evidence, sizeof evidence, "%zu starting size%s", sizes, sizes == 1 ? "" : "s");
  AL_TRY(add(a, "starting-sizes", "Is there more than one starting size?",
             sizes < 2 ? AL_VERDICT_WARNING : AL_VERDICT_SOUND, evidence,
             "make initial a list, as [{as: cold, size: 20}, {as: warm, size: 200}]: uncertainty needs a model that "
             "has learnt something"));
done:
  return status;
}

static al_status audit_reference(const auditor *a) {
  static const char question[] = "Is there a full-data reference?";
  char evidence[600], title[256];
  if (a->c == NULL)
    return add(a, "reference", question, AL_VERDICT_SOUND, "alab run fits the model on the whole pool as well", NULL);
  names missing = {0};
  for (size_t i = 0; i < a->c->n; i++)
    if (a->c->settings[i].full_n == 0) put_name(&missing, al_setting_title(&a->c->settings[i], title));
  if (missing.n != 0) {
    snprintf(evidence, sizeof evidence, "no complete full-data cell for: %s", show_names(&missing));
    return add(a, "reference", question, AL_VERDICT_WARNING, evidence,
               "run the study to its end: without the reference no target is a share of what can be reached");
  }
  snprintf(evidence, sizeof evidence, "every setting has one (%zu cell%s in the first)", a->c->settings[0].full_n,
           a->c->settings[0].full_n == 1 ? "" : "s");
  return add(a, "reference", question, AL_VERDICT_SOUND, evidence, NULL);
}

static al_status audit_budget(const auditor *a) {
  static const char question[] = "Do all strategies get as far?";
  names none = {0}, short_ones = {0};
  char evidence[600], title[256];
  if (a->c == NULL)
    return add(a, "budget", question, AL_VERDICT_SOUND, "one budget for all strategies of a setting", NULL);
  for (size_t i = 0; i < a->c->n; i++) {
    const al_table_of_setting *t = NULL;
    al_status status = al_setting_table(&t, &a->c->settings[i], AL_MEASURE_ACCURACY, AL_AXIS_LABELS);
    if (status != AL_OK) return status;
    if (!(t->to > t->from))
      put_name(&none, al_setting_title(&a->c->settings[i], title));
    else if (t->half_budget)
      put_name(&short_ones, al_setting_title(&a->c->settings[i], title));
  }
  if (none.n != 0) {
    snprintf(evidence, sizeof evidence, "the cells share no range of labels in: %s", show_names(&none));
    return add(a, "budget", question, AL_VERDICT_PROBLEM, evidence, "give all cells one budget in labels or rounds");
  }
  if (short_ones.n != 0) {
    snprintf(evidence, sizeof evidence, "areas cover less than half of the longest curve in: %s",
             show_names(&short_ones));
    return add(a, "budget", question, AL_VERDICT_WARNING, evidence, "give all cells one budget in labels or rounds");
  }
  return add(a, "budget", question, AL_VERDICT_SOUND,
             "all cells of a setting share at least half of the longest range of labels", NULL);
}

/* ---- tuning, hold-out, test set ---- */

static al_status audit_tuning(const auditor *a) {
  static const char question[] = "Were hyper-parameters kept from the test set?";
  names variants = {0};
  char evidence[700];
  static const char *const axes[] = {"models", "strategies"};
  for (size_t x = 0; x < 2; x++) {
    const json_t *axis = json_object_get(a->e, axes[x]);
    for (size_t i = 0; i < json_array_size(axis); i++)
      for (size_t j = 0; j < i; j++) {
        const json_t *one = json_array_get(axis, i), *other = json_array_get(axis, j);
        if (strcmp(text_of(one, "name"), text_of(other, "name")) != 0) continue;
        put_name(&variants, text_of(one, "label"));
        break;
      }
  }
  if (variants.n != 0) {
    snprintf(evidence, sizeof evidence,
             "variants of one model or strategy stand side by side, all measured on the test set: %s",
             show_names(&variants));
    return add(
        a, "tuning", question, AL_VERDICT_WARNING, evidence,
        "report every variant, or choose among them on other data; the best of several by test accuracy is tuned on "
        "the test set (Holm's correction covers the strategies, not the choice)");
  }
  const json_t *models = json_object_get(a->e, "models");
  char *options =
      json_dumps(json_object_get(json_array_get(models, 0), "options"), JSON_COMPACT | JSON_REAL_PRECISION(6));
  snprintf(evidence, sizeof evidence,
           "one set of hyper-parameters a model, the same for all strategies and rounds, and alab tunes none of them: "
           "%s has %.300s. "
           "Where the values came from no log can show",
           text_of(json_array_get(models, 0), "label"), options == NULL ? "none" : options);
  free(options);
  return add(a, "tuning", question, AL_VERDICT_NOTE, evidence,
             "say how they were chosen; not by accuracy on these test sets");
}

static al_status audit_holdout(const auditor *a) {
  static const char question[] = "Is a hold-out counted as cost?";
  json_int_t size = json_integer_value(json_object_get(json_object_get(a->e, "holdout"), "size"));
  char evidence[600];
  names wrong = {0};
  size_t cells = 0;
  if (size == 0)
    return add(a, "holdout", question, AL_VERDICT_SOUND, "there is no hold-out, and nothing reads one", NULL);
  if (a->c == NULL)
    return add(a, "holdout", question, AL_VERDICT_SOUND,
               "its rows come from the pool and are paid for in round 0; the results folder will show it", NULL);
  for (size_t i = 0; i < a->c->n; i++)
    for (size_t j = 0; j < a->c->settings[i].n; j++)
      for (size_t k = 0; k < a->c->settings[i].contenders[j].n; k++) {
        const al_run *run = &a->c->settings[i].contenders[j].runs[k];
        cells++;
        bool paid = fabs(run->first_paid - run->cost[0]) <= 1e-9 * fmax(1.0, run->cost[0]);
        if (run->holdout != (size_t)size || !paid || (double)run->first_answers != run->labels[0])
          put_name(&wrong, run->cell);
      }
  if (wrong.n != 0) {
    snprintf(evidence, sizeof evidence, "labels or cost of round 0 leave the hold-out's %lld rows out in: %s",
             (long long)size, show_names(&wrong));
    return add(a, "holdout", question, AL_VERDICT_PROBLEM, evidence,
               "count them: labels that only stopping reads are paid for, too");
  }
  snprintf(evidence, sizeof evidence, "the %lld rows are in labels and cost of round 0 of all %zu cells",
           (long long)size, cells);
  return add(a, "holdout", question, AL_VERDICT_SOUND, evidence, NULL);
}

static al_status audit_test_set(const auditor *a) {
  static const char question[] = "Is the test set untouched by selection, stopping and early stopping?";
  const json_t *stop = json_object_get(a->e, "stop");
  bool by_accuracy = json_is_number(json_object_get(stop, "accuracy"));
  json_int_t holdout = json_integer_value(json_object_get(json_object_get(a->e, "holdout"), "size"));
  char evidence[700];
  names wrong = {0};
  size_t asked = 0, rules = 0;
  if (by_accuracy && holdout == 0)
    return add(a, "test-set", question, AL_VERDICT_PROBLEM, "stop.accuracy is set and there is no hold-out to read",
               "set holdout: {size: N}");
  for (size_t i = 0; a->c != NULL && i < a->c->n; i++)
    for (size_t j = 0; j < a->c->settings[i].n; j++)
      for (size_t k = 0; k < a->c->settings[i].contenders[j].n; k++) {
        const al_run *run = &a->c->settings[i].contenders[j].runs[k];
        asked += run->asked_end[run->rounds - 1];
        bool ended = strcmp(run->end, "accuracy") == 0;
        rules += ended;
        if (run->repeated != 0 || (ended && run->holdout == 0)) put_name(&wrong, run->cell);
      }
  if (wrong.n != 0) {
    snprintf(evidence, sizeof evidence,
             "rows asked twice, asked though held out, or a cell ended by accuracy without a hold-out: %s",
             show_names(&wrong));
    return add(a, "test-set", question, AL_VERDICT_PROBLEM, evidence,
               "find out with alab verify what wrote these logs");
  }
  snprintf(evidence, sizeof evidence, "strategies and models get rows of the pool alone; %s%s",
           by_accuracy ? "stopping by accuracy reads the hold-out" : "no stopping rule reads accuracy",
           a->c == NULL ? "" : ";");
  if (a->c != NULL) {
    size_t used = strlen(evidence);
    snprintf(evidence + used, sizeof evidence - used,
             " of %zu rows asked none was asked twice or held out; %zu cells ended by a quality rule; tables show "
             "areas and last "
             "rounds, never the best round",
             asked, rules);
  }
  return add(a, "test-set", question, AL_VERDICT_SOUND, evidence, NULL);
}

/* ---- power, completeness, machine ---- */

/* Smallest number of replicates that detects `margin`; 0: more than MOST_REPLICATES. */
static size_t replicates_for(double sd, double level) {
  size_t low = 2, high = 2;
  while (high <= MOST_REPLICATES && !(al_detectable(sd, high, level) <= margin)) {
    low = high;
    high *= 2;
  }
  if (high > MOST_REPLICATES) return 0;
  while (high - low > 1) {
    size_t middle = low + (high - low) / 2;
    if (al_detectable(sd, middle, level) <= margin)
      high = middle;
    else
      low = middle;
  }
  return high;
}

static al_status audit_planned_power(const auditor *a) {
  size_t n = planned_replicates(a->e), strategies = json_array_size(json_object_get(a->e, "strategies"));
  double level = alpha / (double)(strategies > 2 ? strategies - 1 : 1);
  char evidence[300];
  snprintf(evidence, sizeof evidence,
           "%zu replicates and %zu comparisons detect a difference of %.2f standard deviations of the paired "
           "differences with 80 %% "
           "power; how large those are only a run can show",
           n, strategies > 1 ? strategies - 1 : 0, al_detectable(1.0, n, level));
  return add(a, "power", "Is there enough power for the differences that are claimed?", AL_VERDICT_NOTE, evidence,
             "run it, audit the results folder, and add replicates where it says so; finished cells stay");
}

static al_status audit_power(const auditor *a) {
  static const char question[] = "Is there enough power for the differences that are claimed?";
  size_t decided = 0, open = 0, weak = 0;
  double least = INFINITY, most = 0.0, worst_sd = 0.0, level = alpha;
  char evidence[500], remedy[300];
  for (size_t i = 0; i < a->c->n; i++) {
    const al_table_of_setting *t = NULL;
    al_status status = al_setting_table(&t, &a->c->settings[i], AL_MEASURE_ACCURACY, AL_AXIS_LABELS);
    if (status != AL_OK) return status;
    for (size_t r = 0; r < t->n; r++) {
      const al_row *row = &t->rows[r];
      if (row->difference.n < 2) continue;
      decided += row->p < alpha;
      if (row->p < alpha) continue;
      open++;
      least = fmin(least, row->detectable);
      most = fmax(most, row->detectable);
      weak += row->detectable > margin;
      if (row->difference.sd > worst_sd) {
        worst_sd = row->difference.sd;
        level = alpha / (double)(t->n > 1 ? t->n - 1 : 1);
      }
    }
  }
  if (decided + open == 0)
    return add(a, "power", question, AL_VERDICT_PROBLEM, "no strategy has two replicates paired with random",
               "add random and replicates");
  if (open == 0) {
    snprintf(evidence, sizeof evidence, "all %zu comparisons with random are decided after Holm's correction", decided);
    return add(a, "power", question, AL_VERDICT_SOUND, evidence, NULL);
  }
  snprintf(evidence, sizeof evidence,
           "%zu of %zu comparisons with random are decided; the others would have found true differences in area from "
           "%.4f (best) to %.4f "
           "(worst) with 80 %% power, %zu of them only above %.2f",
           decided, decided + open, least, most, weak, margin);
  if (weak == 0) return add(a, "power", question, AL_VERDICT_SOUND, evidence, NULL);
  size_t need = replicates_for(worst_sd, level);
  if (need == 0)
    snprintf(remedy, sizeof remedy,
             "read them as undecided, not as equal; the noisiest would need more than %d replicates to find %.2f: make "
             "curves longer or "
             "the test set larger",
             MOST_REPLICATES, margin);
  else
    snprintf(remedy, sizeof remedy,
             "read them as undecided, not as equal; about %zu replicates would find %.2f even in the noisiest", need,
             margin);
  return add(a, "power", question, AL_VERDICT_WARNING, evidence, remedy);
}

static al_status audit_complete(const auditor *a) {
  static const char question[] = "Is every cell of the grid complete?";
  char evidence[600];
  names list = {0};
  if (a->c == NULL) return AL_OK;
  for (size_t i = 0; i < json_array_size(a->c->unfinished); i++)
    put_name(&list, json_string_value(json_array_get(a->c->unfinished, i)));
  if (list.n != 0) {
    snprintf(evidence, sizeof evidence, "%zu cells are not complete and are left out: %s", list.n, show_names(&list));
    return add(a, "complete", question, AL_VERDICT_PROBLEM, evidence,
               "run the study again: it goes on where it stopped");
  }
  size_t left_out = json_array_size(a->c->left_out);
  if (left_out != 0) {
    snprintf(evidence, sizeof evidence, "every cell is complete; %zu combinations cannot run and are left out",
             left_out);
    return add(a, "complete", question, AL_VERDICT_NOTE, evidence,
               "name them where strategies are compared over datasets");
  }
  return add(a, "complete", question, AL_VERDICT_SOUND, "every cell that study.json names is complete", NULL);
}

static al_status audit_machine(const auditor *a) {
  static const char question[] = "Did paired cells run on one kind of machine and build?";
  names mixed = {0};
  if (a->c == NULL) return AL_OK;
  size_t kinds = json_array_size(a->c->environment);
  if (kinds == 0)
    return add(a, "machine", question, AL_VERDICT_NOTE, "the timing files are missing, so the logs do not say",
               "keep the .timing.jsonl files beside the logs");
  for (size_t i = 0; i < a->c->n; i++) {
    const al_setting *s = &a->c->settings[i];
    for (size_t j = 1; j < s->n; j++)
      for (size_t k = 0; k < s->contenders[j].n; k++) {
        const al_run *run = &s->contenders[j].runs[k];
        const al_run *pair = al_run_of_replicate(&s->contenders[0], run->replicate);
        if (pair != NULL && pair->environment != run->environment) put_name(&mixed, run->cell);
      }
  }
  char evidence[600];
  if (mixed.n != 0) {
    snprintf(evidence, sizeof evidence, "another CPU, BLAS, compiler or host than the paired cell of %s: %s",
             a->c->settings[0].contenders[0].strategy, show_names(&mixed));
    return add(a, "machine", question, AL_VERDICT_WARNING, evidence,
               "rounding differs between kernels, so a difference may be the machine's: run pairs on one kind");
  }
  snprintf(evidence, sizeof evidence, "%zu environment%s, and paired cells share theirs", kinds, kinds == 1 ? "" : "s");
  return add(a, "machine", question, AL_VERDICT_SOUND, evidence, NULL);
}

static al_status audit_evaluation(const auditor *a) {
  static const char question[] = "Is the whole test set evaluated?";
  json_int_t sample = json_integer_value(json_object_get(json_object_get(a->e, "evaluate"), "sample"));
  char evidence[240];
  if (sample == 0) return add(a, "evaluation", question, AL_VERDICT_SOUND, "every test row, every round", NULL);
  snprintf(evidence, sizeof evidence,
           "a sample of %lld test rows, the same for all strategies: an accuracy of 0.8 has a standard error of %.4f "
           "that pairing "
           "largely, not wholly, removes",
           (long long)sample, sqrt(0.16 / (double)sample));
  return add(a, "evaluation", question, AL_VERDICT_NOTE, evidence,
             "set evaluate: {sample: 0} for what goes into a paper");
}

static al_status audit_coverage(const auditor *a) {
  static const char question[] = "What do the intervals cover?";
  const json_t *datasets = json_object_get(a->e, "datasets");
  size_t drawn = 0, n = json_array_size(datasets);
  for (size_t i = 0; i < n; i++) {
    const json_t *options = json_object_get(json_array_get(datasets, i), "options"),
                 *pool = json_object_get(options, "pool");
    bool share = json_is_real(pool) && json_real_value(pool) < 1.0;
    drawn += share || strcmp(text_of(json_object_get(options, "split"), "per"), "replicate") == 0;
  }
  if (n != 0 && drawn == n)
    return add(a, "coverage", question, AL_VERDICT_SOUND,
               "initial set, order, seeds, and the pool or split, which are drawn anew each replicate", NULL);
  char evidence[200];
  snprintf(evidence, sizeof evidence,
           "initial set, order and seeds; the pool and the test set are fixed in %zu of %zu datasets", n - drawn, n);
  return add(a, "coverage", question, AL_VERDICT_NOTE, evidence,
             "say so beside the intervals, or set pool: 0.9 (drawn anew each replicate) or split: {per: replicate}");
}

al_status al_audit_make(al_audit *out, const json_t *experiment, al_collection *collection) {
  al_status status;
  *out = (al_audit){0};
  auditor a = {.audit = out, .e = experiment, .c = collection};
  AL_TRY(audit_baseline(&a));
  AL_TRY(audit_replicates(&a));
  AL_TRY(audit_start(&a));
  AL_TRY(audit_tuning(&a));
  AL_TRY(audit_holdout(&a));
  AL_TRY(audit_test_set(&a));
  AL_TRY(audit_reference(&a));
  AL_TRY(audit_variety(&a));
  AL_TRY(collection == NULL ? audit_planned_power(&a) : audit_power(&a));
  AL_TRY(audit_budget(&a));
  AL_TRY(audit_complete(&a));
  AL_TRY(audit_machine(&a));
  AL_TRY(audit_bound(&a));
  AL_TRY(audit_evaluation(&a));
  AL_TRY(audit_coverage(&a));
done:
  if (status != AL_OK) al_audit_free(out);
  return status;
}

void al_audit_free(al_audit *audit) {
  for (size_t i = 0; i < audit->n; i++) {
    free(audit->items[i].evidence);
    free(audit->items[i].remedy);
  }
  free(audit->items);
  *audit = (al_audit){0};
}

size_t al_audit_count(const al_audit *audit, al_verdict verdict) {
  size_t n = 0;
  for (size_t i = 0; i < audit->n; i++) n += audit->items[i].verdict == verdict;
  return n;
}

const char *al_verdict_name(al_verdict verdict) {
  static const char *const list[] = {"sound", "note", "warning", "problem"};
  return list[verdict];
}

/* ---- text, Markdown, JSON, HTML ---- */

static al_status put_json(al_buffer *out, const al_audit *audit) {
  json_t *list = json_array();
  for (size_t i = 0; i < audit->n; i++) {
    const al_finding *f = &audit->items[i];
    json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:s,s:s?}", "name", f->name, "question", f->question, "verdict",
                                          al_verdict_name(f->verdict), "evidence", f->evidence, "remedy", f->remedy));
  }
  char *text = json_dumps(list, JSON_INDENT(1));
  al_status status = text == NULL ? al_fail(AL_ENVIRONMENT, "out of memory") : al_buffer_print(out, "%s\n", text);
  free(text);
  json_decref(list);
  return status;
}

static al_status put_one(al_buffer *out, const al_finding *f, al_audit_style style) {
  al_status status;
  const char *verdict = al_verdict_name(f->verdict);
  if (style == AL_AUDIT_TEXT) {
    AL_TRY(al_buffer_print(out, "%-8s %s\n         %s.\n", verdict, f->question, f->evidence));
    if (f->remedy != NULL) AL_TRY(al_buffer_print(out, "         -> %s.\n", f->remedy));
  } else if (style == AL_AUDIT_MD) {
    AL_TRY(al_buffer_print(out, "| %s | %s | %s | %s |\n", verdict, f->question, f->evidence,
                           f->remedy == NULL ? "" : f->remedy));
  } else {
    AL_TRY(al_buffer_print(out, "<tr id=\"audit-%s\"><td class=\"verdict %s\">%s</td><th scope=\"row\">", f->name,
                           verdict, verdict));
    AL_TRY(al_html_text(out, f->question));
    AL_TRY(al_buffer_print(out, "</th><td>"));
    AL_TRY(al_html_text(out, f->evidence));
    AL_TRY(al_buffer_print(out, ".</td><td>"));
    AL_TRY(al_html_text(out, f->remedy == NULL ? "" : f->remedy));
    AL_TRY(al_buffer_print(out, "</td></tr>\n"));
  }
done:
  return status;
}

al_status al_audit_append(al_buffer *out, const al_audit *audit, al_audit_style style) {
  al_status status;
  if (style == AL_AUDIT_JSON) return put_json(out, audit);
  if (style == AL_AUDIT_MD)
    AL_TRY(al_buffer_print(out, "| verdict | question | evidence | remedy |\n| --- | --- | --- | --- |\n"));
  if (style == AL_AUDIT_HTML)
    AL_TRY(al_buffer_print(
        out, "<table class=\"audit\">\n<thead><tr><th scope=\"col\">Verdict</th><th scope=\"col\">Question</th><th "
             "scope=\"col\">Evidence</th><th scope=\"col\">Remedy</th></tr></thead>\n<tbody>\n"));
  for (size_t i = 0; i < audit->n; i++) AL_TRY(put_one(out, &audit->items[i], style));
  if (style == AL_AUDIT_HTML) AL_TRY(al_buffer_print(out, "</tbody>\n</table>\n"));
  if (style == AL_AUDIT_TEXT)
    AL_TRY(al_buffer_print(out, "\n%zu sound, %zu notes, %zu warnings, %zu problems\n",
                           al_audit_count(audit, AL_VERDICT_SOUND), al_audit_count(audit, AL_VERDICT_NOTE),
                           al_audit_count(audit, AL_VERDICT_WARNING), al_audit_count(audit, AL_VERDICT_PROBLEM)));
  status = AL_OK;
done:
  return status;
}
