/* One sentence a test, in every format the same; numbers for machines with 17 significant digits. */
#include "cli/gate_print.h"

#include "cli/text_table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

al_verdict al_gate_overall(const al_gate_report *report) {
  al_verdict worst = AL_IDENTICAL;
  for (size_t i = 0; i < report->n; i++)
    if (report->tests[i].verdict == AL_REGRESSED ||
        (report->tests[i].verdict == AL_INCONCLUSIVE && worst != AL_REGRESSED) ||
        (report->tests[i].verdict == AL_PASS && worst == AL_IDENTICAL))
      worst = report->tests[i].verdict;
  return worst;
}

static double mean_of(const al_gate_report *report, const double *areas, size_t n) {
  double sum = 0.0;
  for (size_t i = 0; i < n; i++) sum += areas[i];
  return (report->set->lower_is_better ? -1.0 : 1.0) * sum / (double)n;
}

static const char *setting_of(const al_gate_test *t, char text[512]) {
  snprintf(text, 512, "%s, %s%s%s", t->dataset, t->model, *t->setting == '\0' ? "" : ", ", t->setting);
  return text;
}

static const char *verdict_of(const al_gate_test *t) {
  if (t->verdict == AL_PASS && t->changed == 1) return "pass, changed";
  return al_verdict_names[t->verdict];
}

/* What happened to this strategy, in one sentence. */
static al_status say(al_buffer *out, const al_gate_report *report, const al_gate_test *t) {
  al_status status;
  char p[24];
  if (t->verdict == AL_IDENTICAL) return al_buffer_print(out, "identical: every round line of %zu replicates", t->n);
  AL_TRY(al_buffer_print(out, "%s: area of %s %+.4f", verdict_of(t), report->set->metric, t->difference));
  if (t->n >= 2)
    AL_TRY(al_buffer_print(out, ", at least %+.4f (one-sided %.4g %%), Holm p %s", t->lower,
                           100.0 * (1.0 - report->alpha), al_show_p(t->p_holm, p)));
  AL_TRY(al_buffer_print(out, ", %zu %s replicates, margin %g; worst replicate: %zu with %+.4f", t->n,
                         t->paired ? "paired" : "unpaired", report->margin, t->replicates[t->worst],
                         t->worst_difference));
  if (!t->paired) AL_TRY(al_buffer_print(out, "; not paired because %s", t->why_unpaired));
  if (t->verdict == AL_INCONCLUSIVE && t->needed != 0)
    AL_TRY(al_buffer_print(out, "; %zu replicates would detect a loss of the margin with 80 %% power", t->needed));
  if (t->verdict == AL_INCONCLUSIVE && t->needed == 0)
    AL_TRY(al_buffer_print(out, "; how many replicates are needed cannot be said from %zu", t->n));
  if (t->verdict == AL_PASS && t->changed == 1)
    AL_TRY(al_buffer_print(out, "; same quality, but other rows were asked on the same kind of machine and build"));
done:
  return status;
}

/* ---- for people ---- */

static al_status put_row(al_text_table *table, const al_gate_report *report, const al_gate_test *t) {
  al_status status;
  char setting[512], p[24];
  int d = t->verdict == AL_IDENTICAL ? 4 : al_digits_of(t->difference - t->lower);
  AL_TRY(al_text_table_add(table, "%s", setting_of(t, setting)));
  AL_TRY(al_text_table_add(table, "%s", t->strategy));
  AL_TRY(al_text_table_add(table, "%zu%s", t->n, t->paired ? "" : " (unpaired)"));
  AL_TRY(al_text_table_add(table, "%.*f", d, mean_of(report, t->pinned, t->n)));
  AL_TRY(al_text_table_add(table, "%.*f", d, mean_of(report, t->fresh, t->n)));
  AL_TRY(al_text_table_add(table, "%+.*f", d, t->difference));
  AL_TRY(isnan(t->lower) ? al_text_table_add(table, "-") : al_text_table_add(table, "%+.*f", d, t->lower));
  AL_TRY(al_text_table_add(table, "%s", al_show_p(t->p_holm, p)));
  AL_TRY(al_text_table_add(table, "%+.*f (r%zu)", d, t->worst_difference, t->replicates[t->worst]));
  if (t->verdict == AL_INCONCLUSIVE && t->needed != 0)
    AL_TRY(al_text_table_add(table, "inconclusive; %zu replicates needed", t->needed));
  else
    AL_TRY(al_text_table_add(table, "%s", verdict_of(t)));
done:
  return status;
}

al_status al_gate_print_text(const al_gate_report *report, FILE *out) {
  static const char *const head[] = {"setting", "strategy",   "n",          "baseline",        "now",
                                     "change",  "at least *", "p (Holm) *", "worst replicate", "verdict"};
  enum { COLUMNS = sizeof head / sizeof *head };
  al_status status = AL_OK;
  al_text_table table = {.columns = COLUMNS};
  for (size_t c = 0; c < COLUMNS; c++) AL_TRY(al_text_table_add(&table, "%s", head[c]));
  for (size_t i = 0; i < report->n; i++) AL_TRY(put_row(&table, report, &report->tests[i]));
  fprintf(out, "%s against %s: area under %s over labels, margin %g\n\n", report->study, report->baseline,
          report->set->metric, report->margin);
  al_text_table_print(&table, AL_STYLE_TEXT, out);
  fprintf(out, "\n* one-sided, alpha %g", report->alpha);
  if (report->looks > 1) fprintf(out, " (%g over %zu looks)", report->alpha * (double)report->looks, report->looks);
  fprintf(out, "; change and bound in the direction of better%s.\nn: replicates. Verdict: %s\n",
          report->set->lower_is_better ? " (lower values)" : "", al_verdict_names[al_gate_overall(report)]);
done:
  al_text_table_free(&table);
  return status;
}

/* ---- for machines ---- */

static json_t *real_or_null(double value) { return isfinite(value) ? json_real(value) : json_null(); }

static json_t *test_json(const al_gate_report *report, const al_gate_test *t) {
  json_t *replicates = json_array(), *differences = json_array();
  for (size_t i = 0; i < t->n; i++) {
    json_array_append_new(replicates, json_integer((json_int_t)t->replicates[i]));
    json_array_append_new(differences, json_real(t->fresh[i] - t->pinned[i]));
  }
  return json_pack("{s:s,s:s,s:s,s:s,s:s,s:o,s:I,s:I,s:b,s:s,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:I,s:o,s:o,s:o,s:o}",
                   "dataset", t->dataset, "model", t->model, "setting", t->setting, "strategy", t->strategy, "verdict",
                   al_verdict_names[t->verdict], "changed", t->changed < 0 ? json_null() : json_boolean(t->changed),
                   "replicates", (json_int_t)t->n, "missing", (json_int_t)t->missing, "paired", (int)t->paired,
                   "why_unpaired", t->why_unpaired, "baseline", real_or_null(mean_of(report, t->pinned, t->n)), "now",
                   real_or_null(mean_of(report, t->fresh, t->n)), "difference", real_or_null(t->difference), "sd",
                   real_or_null(t->sd), "lower", real_or_null(t->lower), "p", real_or_null(t->p), "p_holm",
                   real_or_null(t->p_holm), "worst_replicate", (json_int_t)t->replicates[t->worst], "worst_difference",
                   real_or_null(t->worst_difference), "replicates_needed",
                   t->needed == 0 ? json_null() : json_integer((json_int_t)t->needed), "replicate", replicates,
                   "replicate_difference", differences);
}

static al_status dump(json_t *root, FILE *out) {
  if (root == NULL) return al_fail(AL_ENVIRONMENT, "out of memory");
  json_dumpf(root, out, JSON_INDENT(1) | JSON_REAL_PRECISION(17));
  putc('\n', out);
  json_decref(root);
  return AL_OK; /* main looks at standard output's errors */
}

al_status al_gate_print_json(const al_gate_report *report, FILE *out) {
  json_t *tests = json_array(), *unfinished = json_array();
  for (size_t i = 0; i < report->n; i++) json_array_append_new(tests, test_json(report, &report->tests[i]));
  for (size_t i = 0; i < report->set->unfinished_n; i++)
    json_array_append_new(unfinished, json_string(report->set->unfinished[i]));
  return dump(json_pack("{s:s,s:s,s:s,s:s,s:b,s:f,s:f,s:I,s:b,s:s,s:o,s:o}", "schema", "alab.gate.result/1", "study",
                        report->study, "baseline", report->baseline, "metric", report->set->metric, "lower_is_better",
                        (int)report->set->lower_is_better, "margin", report->margin, "alpha", report->alpha, "looks",
                        (json_int_t)report->looks, "strict", (int)report->strict, "verdict",
                        al_verdict_names[al_gate_overall(report)], "tests", tests, "unfinished", unfinished),
              out);
}

/* Workflow commands: %, CR and LF are escaped; in a property also : and , */
static void put_command(const char *text, bool property, FILE *out) {
  for (; *text != '\0'; text++) {
    if (strchr(property ? "%\r\n:," : "%\r\n", *text) != NULL)
      fprintf(out, "%%%02X", (unsigned char)*text);
    else
      putc(*text, out);
  }
}

al_status al_gate_print_github(const al_gate_report *report, FILE *out) {
  al_status status = AL_OK;
  al_buffer text = {0};
  for (size_t i = 0; i < report->n; i++) {
    const al_gate_test *t = &report->tests[i];
    char setting[512];
    bool error = t->verdict == AL_REGRESSED || (t->verdict == AL_INCONCLUSIVE && report->strict);
    text.size = 0;
    AL_TRY(say(&text, report, t));
    fprintf(out, "::%s title=", error ? "error" : t->verdict == AL_INCONCLUSIVE ? "warning" : "notice");
    put_command("alab gate: ", true, out);
    put_command(t->strategy, true, out);
    fputs("::", out);
    put_command(setting_of(t, setting), false, out);
    fputs(": ", out);
    put_command(text.data, false, out);
    putc('\n', out);
  }
done:
  al_buffer_free(&text);
  return status;
}

static al_status put_xml(al_buffer *out, const char *text) {
  al_status status = AL_OK;
  for (; *text != '\0' && status == AL_OK; text++) {
    const char *with = *text == '&'                  ? "&amp;"
                       : *text == '<'                ? "&lt;"
                       : *text == '>'                ? "&gt;"
                       : *text == '"'                ? "&quot;"
                       : *text == '\''               ? "&apos;"
                       : (unsigned char)*text < 0x20 ? " "
                                                     : NULL;
    status = with != NULL ? al_buffer_append(out, with, strlen(with)) : al_buffer_append(out, text, 1);
  }
  return status;
}

static al_status put_case(al_buffer *out, const al_gate_report *report, const al_gate_test *t) {
  al_status status;
  al_buffer text = {0};
  const char *kind = t->verdict == AL_REGRESSED                        ? "failure"
                     : t->verdict == AL_INCONCLUSIVE && report->strict ? "failure"
                     : t->verdict == AL_INCONCLUSIVE                   ? "skipped"
                                                                       : NULL;
  AL_TRY(say(&text, report, t));
  AL_TRY(al_buffer_print(out, "    <testcase classname=\""));
  AL_TRY(put_xml(out, t->dataset));
  AL_TRY(al_buffer_print(out, "."));
  AL_TRY(put_xml(out, t->model));
  AL_TRY(al_buffer_print(out, "%s", *t->setting == '\0' ? "" : "."));
  AL_TRY(put_xml(out, t->setting));
  AL_TRY(al_buffer_print(out, "\" name=\""));
  AL_TRY(put_xml(out, t->strategy));
  AL_TRY(
      al_buffer_print(out, "\">\n      <%s%s", kind == NULL ? "system-out" : kind, kind == NULL ? ">" : " message=\""));
  AL_TRY(put_xml(out, text.data));
  if (kind == NULL)
    AL_TRY(al_buffer_print(out, "</system-out>\n"));
  else
    AL_TRY(al_buffer_print(out, "\"/>\n"));
  AL_TRY(al_buffer_print(out, "    </testcase>\n"));
done:
  al_buffer_free(&text);
  return status;
}

al_status al_gate_junit(al_buffer *out, const al_gate_report *report) {
  al_status status;
  size_t failures = 0, skipped = 0;
  for (size_t i = 0; i < report->n; i++) {
    bool inconclusive = report->tests[i].verdict == AL_INCONCLUSIVE;
    failures += report->tests[i].verdict == AL_REGRESSED || (inconclusive && report->strict);
    skipped += inconclusive && !report->strict;
  }
  AL_TRY(al_buffer_print(out,
                         "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  <testsuite name=\"alab gate\" "
                         "tests=\"%zu\" failures=\"%zu\" errors=\"0\" skipped=\"%zu\">\n",
                         report->n, failures, skipped));
  for (size_t i = 0; i < report->n; i++) AL_TRY(put_case(out, report, &report->tests[i]));
  AL_TRY(al_buffer_print(out, "  </testsuite>\n</testsuites>\n"));
done:
  return status;
}

/* ---- sizes ---- */

static al_status sizes_json(const al_gate_size *sizes, size_t n, const al_curve_set *set, double margin, double alpha,
                            FILE *out) {
  json_t *list = json_array();
  for (size_t i = 0; i < n; i++) {
    const al_gate_size *s = &sizes[i];
    json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:s,s:I,s:o,s:o,s:o}", "dataset", s->dataset, "model", s->model,
                                          "setting", s->setting, "strategy", s->strategy, "replicates",
                                          (json_int_t)s->n, "area", real_or_null(s->mean), "expected_sd",
                                          real_or_null(s->sd), "replicates_needed",
                                          s->needed == 0 ? json_null() : json_integer((json_int_t)s->needed)));
  }
  return dump(json_pack("{s:s,s:s,s:f,s:f,s:o}", "schema", "alab.gate.sizes/1", "metric", set->metric, "margin", margin,
                        "alpha", alpha, "strategies", list),
              out);
}

al_status al_gate_print_sizes(const al_gate_size *sizes, size_t n, const al_curve_set *set, double margin, double alpha,
                              const char *format, FILE *out) {
  static const char *const head[] = {"dataset", "model", "setting",     "strategy",
                                     "n",       "area",  "expected sd", "replicates needed"};
  enum { COLUMNS = sizeof head / sizeof *head };
  al_status status = AL_OK;
  al_text_table table = {.columns = COLUMNS};
  if (strcmp(format, "json") == 0) return sizes_json(sizes, n, set, margin, alpha, out);
  for (size_t c = 0; c < COLUMNS; c++) AL_TRY(al_text_table_add(&table, "%s", head[c]));
  for (size_t i = 0; i < n; i++) {
    const al_gate_size *s = &sizes[i];
    AL_TRY(al_text_table_add(&table, "%s", s->dataset));
    AL_TRY(al_text_table_add(&table, "%s", s->model));
    AL_TRY(al_text_table_add(&table, "%s", *s->setting == '\0' ? "-" : s->setting));
    AL_TRY(al_text_table_add(&table, "%s", s->strategy));
    AL_TRY(al_text_table_add(&table, "%zu", s->n));
    AL_TRY(al_text_table_add(&table, "%.4f", s->mean));
    AL_TRY(isnan(s->sd) ? al_text_table_add(&table, "-") : al_text_table_add(&table, "%.4f", s->sd));
    AL_TRY(s->needed == 0 ? al_text_table_add(&table, "-") : al_text_table_add(&table, "%zu", s->needed));
  }
  fprintf(out, "pinned: area under %s over labels\n\n", set->metric);
  al_text_table_print(&table, AL_STYLE_TEXT, out);
  fprintf(
      out,
      "\nn: replicates pinned. Needed: to find a loss of %g regressed with 80 %% power at alpha %g, from the sd that "
      "a\nlater run's paired difference is expected to have.\n",
      margin, alpha);
done:
  al_text_table_free(&table);
  return status;
}
