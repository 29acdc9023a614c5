/* The protocol audit: for each finding a study that is sound and studies that are not. */
#include "report/audit.h"
#include "study_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Nothing to object to: six datasets, two batch sizes, two starting sizes, a drawn pool. */
static const char sound[] =
    "{'study': 'fixture', 'seed': 1, 'replicates': 10, 'datasets': ["
    "{'name': 'a', 'label': 'a', 'options': {'pool': 0.9}}, {'name': 'b', 'label': 'b', 'options': {'pool': 0.9}},"
    "{'name': 'c', 'label': 'c', 'options': {'pool': 0.9}}, {'name': 'e', 'label': 'e', 'options': {'pool': 0.9}},"
    "{'name': 'f', 'label': 'f', 'options': {'pool': 0.9}},"
    "{'name': 'g', 'label': 'g', 'options': {'pool': null, 'split': {'test': 0.2, 'per': 'replicate'}}}],"
    "'models': [{'name': 'linear', 'label': 'linear', 'options': {'l2': 0.1}}],"
    "'strategies': [{'name': 'random', 'label': 'random', 'params': {}}, {'name': 'margin', 'label': 'margin', "
    "'params': {}}],"
    "'initial': [{'label': 'cold', 'size': 10}, {'label': 'warm', 'size': 50}],"
    "'query': [{'label': 'small', 'batch': 5}, {'label': 'large', 'batch': 20}],"
    "'stop': {'labels': null, 'cost': null, 'rounds': null, 'accuracy': null}, 'holdout': {'size': 0},"
    "'evaluate': {'sample': 0}}";

static const al_finding *finding(const al_audit *audit, const char *name) {
  for (size_t i = 0; i < audit->n; i++)
    if (strcmp(audit->items[i].name, name) == 0) return &audit->items[i];
  fail_msg("there is no finding '%s'", name);
  return NULL;
}

static void expect(const al_audit *audit, const char *name, al_verdict verdict, const char *evidence) {
  const al_finding *f = finding(audit, name);
  if (f->verdict != verdict || strstr(f->evidence, evidence) == NULL)
    fail_msg("%s: %s, \"%s\"; expected %s with \"%s\"", name, al_verdict_name(f->verdict), f->evidence,
             al_verdict_name(verdict), evidence);
  assert_true((f->remedy == NULL) == (verdict == AL_VERDICT_SOUND));
  if (f->remedy != NULL) assert_true(strlen(f->remedy) > 10);
}

/* ---- by the experiment alone ---- */

/* `sound` with one member replaced. */
static void audit_with(al_audit *audit, const char *key, const char *value) {
  json_t *e = fixture_experiment(sound);
  if (key != NULL) json_object_set_new(e, key, fixture_experiment(value));
  assert_int_equal(al_audit_make(audit, e, NULL), AL_OK);
  json_decref(e);
}

static void expect_with(const char *key, const char *value, const char *name, al_verdict verdict,
                        const char *evidence) {
  al_audit audit;
  audit_with(&audit, key, value);
  expect(&audit, name, verdict, evidence);
  al_audit_free(&audit);
}

static void sound_experiment(void **unused) {
  (void)unused;
  al_audit audit;
  audit_with(&audit, NULL, NULL);
  assert_int_equal(al_audit_count(&audit, AL_VERDICT_PROBLEM), 0);
  assert_int_equal(al_audit_count(&audit, AL_VERDICT_WARNING), 0);
  const char *const names[] = {"baseline",  "replicates", "start",       "holdout",        "test-set",
                               "reference", "datasets",   "batch-sizes", "starting-sizes", "budget",
                               "bound",     "evaluation", "coverage"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) expect(&audit, names[i], AL_VERDICT_SOUND, "");
  expect(&audit, "tuning", AL_VERDICT_NOTE, "\"l2\":0.1");
  expect(&audit, "power", AL_VERDICT_NOTE, "1.00 standard deviations"); /* R: power.t.test(n = 10, power = 0.8, type =
                                                                           "paired", strict = TRUE)$delta = 0.9960 */
  al_audit_free(&audit);
}

static void unsound_experiments(void **unused) {
  (void)unused;
  expect_with("strategies", "[{'name': 'margin', 'label': 'margin', 'params': {}}]", "baseline", AL_VERDICT_PROBLEM,
              "not among");
  expect_with("strategies", "[{'name': 'random', 'label': 'rnd', 'params': {}}]", "baseline", AL_VERDICT_PROBLEM,
              "another label");
  expect_with("replicates", "[]", "replicates", AL_VERDICT_PROBLEM, "0 replicates");
  json_t *e = fixture_experiment(sound);
  for (int n = 4; n <= 10; n += 3) {
    al_audit audit;
    json_object_set_new(e, "replicates", json_integer(n));
    assert_int_equal(al_audit_make(&audit, e, NULL), AL_OK);
    expect(&audit, "replicates", n < 5 ? AL_VERDICT_PROBLEM : n < 10 ? AL_VERDICT_NOTE : AL_VERDICT_SOUND, "planned");
    al_audit_free(&audit);
  }
  json_decref(e);
  expect_with("datasets", "[{'name': 'a', 'label': 'a', 'options': {}}, {'name': 'a', 'label': 'b', 'options': {}}]",
              "datasets", AL_VERDICT_WARNING, "1 distinct dataset");
  expect_with("datasets",
              "[{'name': 'a', 'label': 'a', 'options': {}}, {'name': 'b', 'label': 'b', 'options': {'pool': 2000}}]",
              "datasets", AL_VERDICT_NOTE, "2 distinct datasets");
  expect_with(
      "datasets",
      "[{'name': 'a', 'label': 'a', 'options': {'pool': 0.5}}, {'name': 'b', 'label': 'b', 'options': {'pool': 2000}}]",
      "coverage", AL_VERDICT_NOTE, "fixed in 1 of 2");
  expect_with("query", "[{'label': '', 'batch': 5}]", "batch-sizes", AL_VERDICT_WARNING, "1 batch size");
  expect_with("initial", "[{'label': 'x', 'size': 10}, {'label': 'y', 'size': 10}]", "starting-sizes",
              AL_VERDICT_WARNING, "1 starting size");
  expect_with("models",
              "[{'name': 'linear', 'label': 'l1', 'options': {'l2': 1}}, {'name': 'linear', 'label': 'l2', 'options': "
              "{'l2': 2}}]",
              "tuning", AL_VERDICT_WARNING, "l2");
  expect_with("strategies",
              "[{'name': 'random', 'label': 'random', 'params': {}}, {'name': 'badge', 'label': 'badge', 'params': "
              "{}}, {'name': "
              "'badge', 'label': 'badge-d8', 'params': {'dims': 8}}]",
              "tuning", AL_VERDICT_WARNING, "badge-d8");
  expect_with(
      "strategies",
      "[{'name': 'random', 'label': 'random', 'params': {}}, {'name': 'oracle-error', 'label': 'bound', 'params': {}}]",
      "bound", AL_VERDICT_NOTE, "upper bound");
  expect_with("stop", "{'accuracy': 0.9}", "test-set", AL_VERDICT_PROBLEM, "no hold-out");
  expect_with("evaluate", "{'sample': 400}", "evaluation", AL_VERDICT_NOTE, "0.0200"); /* sqrt(0.8 * 0.2 / 400) */
  expect_with("holdout", "{'size': 20}", "holdout", AL_VERDICT_SOUND, "round 0");
}

/* ---- by the logs ---- */

/* Three strategies, `replicates` each, differences to random that vary with the replicate by `spread`. */
static void add_all(study *s, int replicates, double spread, const cell *change, int changed_strategy,
                    int changed_replicate) {
  static const char *const strategies[] = {"random", "margin", "badge"};
  for (int i = 0; i < 3; i++)
    for (int r = 0; r < replicates; r++) {
      bool changed = change != NULL && (changed_strategy < 0 || changed_strategy == i) &&
                     (changed_replicate < 0 || changed_replicate == r);
      cell c = changed ? *change : (cell){0};
      c.strategy = strategies[i];
      c.replicate = r;
      for (int q = 0; q < FIXTURE_ROUNDS; q++)
        c.accuracy[q] = 0.5 + 0.05 * q + (i == 0 || q == 0 ? 0.0 : (i == 1 ? 0.01 : -0.01) + spread * (r % 3 - 1));
      if (c.first_row == 0) c.first_row = 20 * r;
      study_add(s, &c, false);
    }
  study_add(s, &(cell){.strategy = "full-data", .accuracy = {0.9}}, true);
}

typedef struct outcome {
  study s;
  al_collection *c;
  al_audit audit;
} outcome;

static void open_outcome(outcome *o, const char *experiment) {
  const char *folder = o->s.folder;
  study_write(&o->s, experiment);
  assert_int_equal(al_collect(&o->c, &folder, 1, NULL), AL_OK);
  assert_int_equal(al_audit_make(&o->audit, json_object_get(o->c->study, "experiment"), o->c), AL_OK);
}

static void close_outcome(outcome *o) {
  al_audit_free(&o->audit);
  al_collection_free(o->c);
  study_end(&o->s);
}

static void sound_study(void **unused) {
  (void)unused;
  outcome o;
  study_begin(&o.s);
  add_all(&o.s, 10, 0.001, NULL, 0, 0);
  open_outcome(&o, sound);
  assert_int_equal(al_audit_count(&o.audit, AL_VERDICT_PROBLEM), 0);
  expect(&o.audit, "baseline", AL_VERDICT_SOUND, "the 1 setting");
  expect(&o.audit, "replicates", AL_VERDICT_SOUND, "10 replicates complete");
  expect(&o.audit, "start", AL_VERDICT_SOUND, "30 cells have 10 starts");
  expect(&o.audit, "reference", AL_VERDICT_SOUND, "");
  expect(&o.audit, "budget", AL_VERDICT_SOUND, "");
  expect(&o.audit, "complete", AL_VERDICT_SOUND, "");
  expect(&o.audit, "machine", AL_VERDICT_SOUND, "1 environment");
  expect(&o.audit, "test-set", AL_VERDICT_SOUND, "of 750 rows asked none"); /* 30 cells x (10 + 3 x 5) */
  expect(&o.audit, "power", AL_VERDICT_SOUND, "all 2 comparisons");
  close_outcome(&o);
}

/* One thing wrong in the logs, and the finding that must see it. */
static void unsound_study(const cell *change, int strategy, int replicate, const char *experiment, const char *name,
                          al_verdict verdict, const char *evidence) {
  outcome o;
  study_begin(&o.s);
  add_all(&o.s, 6, 0.001, change, strategy, replicate);
  open_outcome(&o, experiment);
  expect(&o.audit, name, verdict, evidence);
  close_outcome(&o);
}

static const char with_holdout[] =
    "{'study': 'fixture', 'seed': 1, 'replicates': 6, 'datasets': [{'name': 'd', 'label': 'd', 'options': {}}],"
    "'models': [{'name': 'linear', 'label': 'linear', 'options': {}}],"
    "'strategies': [{'name': 'random', 'label': 'random', 'params': {}}, {'name': 'margin', 'label': 'margin', "
    "'params': {}}],"
    "'initial': [{'label': '', 'size': 10}], 'query': [{'label': '', 'batch': 5}],"
    "'stop': {'accuracy': 0.9}, 'holdout': {'size': 4}, 'evaluate': {'sample': 0}}";

static void unsound_studies(void **unused) {
  (void)unused;
  unsound_study(&(cell){.first_row = 777}, 2, 3, sound, "start", AL_VERDICT_PROBLEM, "badge.r3");
  unsound_study(&(cell){.digest = "4567"}, 1, 0, sound, "start", AL_VERDICT_PROBLEM, "margin.r0");
  unsound_study(&(cell){.asks_twice = true}, 1, 2, sound, "test-set", AL_VERDICT_PROBLEM, "margin.r2");
  unsound_study(&(cell){.end = "accuracy"}, 1, 2, sound, "test-set", AL_VERDICT_PROBLEM, "margin.r2");
  unsound_study(&(cell){.end = ""}, 2, 5, sound, "complete", AL_VERDICT_PROBLEM, "badge.r5");
  unsound_study(&(cell){.end = ""}, 2, 5, sound, "replicates", AL_VERDICT_NOTE, "5 replicates");
  unsound_study(&(cell){.end = ""}, 0, -1, sound, "baseline", AL_VERDICT_PROBLEM, "no complete cell of random");
  unsound_study(&(cell){.end = ""}, 0, -1, sound, "power", AL_VERDICT_PROBLEM, "two replicates");
  unsound_study(&(cell){.cpu = "B"}, 1, 4, sound, "machine", AL_VERDICT_WARNING, "margin.r4");
  unsound_study(&(cell){.cpu = ""}, -1, -1, sound, "machine", AL_VERDICT_NOTE, "missing");
  unsound_study(&(cell){.rounds = 2}, 1, 4, sound, "budget", AL_VERDICT_WARNING,
                "less than half"); /* to 15 of 25 labels */
  unsound_study(&(cell){.rounds = 1}, 1, 4, sound, "budget", AL_VERDICT_PROBLEM, "share no range");
  unsound_study(&(cell){.holdout = 4}, -1, -1, with_holdout, "holdout", AL_VERDICT_SOUND, "all 18 cells");
  unsound_study(&(cell){.holdout = 4, .holdout_unpaid = true}, 1, 1, with_holdout, "holdout", AL_VERDICT_PROBLEM,
                "leave the hold-out's 4");
  unsound_study(&(cell){.holdout = 4, .end = "accuracy"}, -1, -1, with_holdout, "test-set", AL_VERDICT_SOUND,
                "18 cells ended by a quality rule");
}

static void missing_reference(void **unused) {
  (void)unused;
  outcome o;
  study_begin(&o.s);
  add_all(&o.s, 5, 0.001, NULL, 0, 0);
  json_array_clear(o.s.references);
  open_outcome(&o, sound);
  expect(&o.audit, "reference", AL_VERDICT_WARNING, "d, linear");
  close_outcome(&o);
}

/* Differences of +-0.01 whose replicates vary by +-0.08: undecided, and weak. */
static void weak_study(void **unused) {
  (void)unused;
  outcome o;
  study_begin(&o.s);
  add_all(&o.s, 9, 0.08, NULL, 0, 0);
  open_outcome(&o, sound);
  expect(&o.audit, "power", AL_VERDICT_WARNING, "0 of 2 comparisons");
  /* the area weighs round 0 by 1/6, so the sd is 0.08 * sqrt(3/4) * 5/6 = 0.0577; R: power.t.test(delta = 0.02, sd =
   * 0.05773503, sig.level = 0.025, power = 0.8, type = "paired", strict = TRUE)$n = 81.8 */
  assert_non_null(strstr(finding(&o.audit, "power")->remedy, "82 replicates"));
  close_outcome(&o);
}

static void written_forms(void **unused) {
  (void)unused;
  al_audit audit;
  al_buffer text = {0};
  audit_with(&audit, "strategies", "[{'name': 'margin', 'label': 'margin', 'params': {}}]");
  assert_int_equal(al_audit_append(&text, &audit, AL_AUDIT_TEXT), AL_OK);
  assert_non_null(strstr(text.data, "problem  Is there a random baseline?"));
  assert_non_null(strstr(text.data, "1 problems"));
  text.size = 0;
  assert_int_equal(al_audit_append(&text, &audit, AL_AUDIT_MD), AL_OK);
  assert_non_null(strstr(text.data, "| problem | Is there a random baseline? |"));
  text.size = 0;
  assert_int_equal(al_audit_append(&text, &audit, AL_AUDIT_HTML), AL_OK);
  assert_non_null(strstr(text.data, "<tr id=\"audit-baseline\"><td class=\"verdict problem\">problem</td>"));
  text.size = 0;
  assert_int_equal(al_audit_append(&text, &audit, AL_AUDIT_JSON), AL_OK);
  json_t *list = json_loads(text.data, 0, NULL);
  assert_int_equal(json_array_size(list), audit.n);
  for (size_t i = 0; i < json_array_size(list); i++)
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, i), "verdict")),
                        al_verdict_name(audit.items[i].verdict));
  json_decref(list);
  al_buffer_free(&text);
  al_audit_free(&audit);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sound_experiment), cmocka_unit_test(unsound_experiments), cmocka_unit_test(sound_study),
      cmocka_unit_test(unsound_studies),  cmocka_unit_test(missing_reference),   cmocka_unit_test(weak_study),
      cmocka_unit_test(written_forms),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
