/* Reading a study's logs into curves, and the summary table of a setting. Cells without an end line are left out and
 * named. */
#include "report/collect.h"

#include "base/memory.h"
#include "record/record.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *text_of(const json_t *object, const char *key) {
  const char *text = json_string_value(json_object_get(object, key));
  return text == NULL ? "" : text;
}

static double number_of(const json_t *object, const char *key) {
  const json_t *value = json_object_get(object, key);
  return json_is_number(value) ? json_number_value(value) : NAN;
}

static al_status find_setting(al_setting **out, al_collection *c, const json_t *header) {
  const char *dataset = text_of(json_object_get(header, "dataset"), "label");
  const char *model = text_of(json_object_get(header, "model"), "label"), *axes = text_of(header, "setting");
  al_status status;
  for (size_t i = 0; i < c->n; i++) {
    al_setting *s = &c->settings[i];
    if (strcmp(s->dataset, dataset) == 0 && strcmp(s->model, model) == 0 && strcmp(s->axes, axes) == 0) {
      *out = s;
      return AL_OK;
    }
  }
  AL_TRY(al_grow(&c->settings, &c->capacity, c->n + 1, sizeof *c->settings));
  al_setting *s = &c->settings[c->n];
  *s = (al_setting){0};
  c->n++;
  AL_TRY(al_copy_string(&s->dataset, dataset));
  AL_TRY(al_copy_string(&s->model, model));
  AL_TRY(al_copy_string(&s->axes, axes));
  AL_TRY(al_copy_string(&s->cost_kind, text_of(json_object_get(header, "cost"), "kind")));
  s->header = json_incref((json_t *)(uintptr_t)header);
  *out = s;
done:
  return status;
}

static al_status find_contender(al_contender **out, al_setting *s, const char *strategy) {
  al_status status;
  for (size_t i = 0; i < s->n; i++)
    if (strcmp(s->contenders[i].strategy, strategy) == 0) {
      *out = &s->contenders[i];
      return AL_OK;
    }
  AL_TRY(al_grow(&s->contenders, &s->capacity, s->n + 1, sizeof *s->contenders));
  size_t at = s->n;
  if (strcmp(strategy, "random") == 0) { /* the baseline leads */
    memmove(s->contenders + 1, s->contenders, s->n * sizeof *s->contenders);
    at = 0;
  }
  s->contenders[at] = (al_contender){0};
  s->n++;
  AL_TRY(al_copy_string(&s->contenders[at].strategy, strategy));
  *out = &s->contenders[at];
done:
  return status;
}

static al_status read_run(al_run *run, const al_log *log) {
  al_status status;
  size_t n = json_array_size(log->rounds);
  *run = (al_run){.rounds = n, .replicate = (size_t)json_integer_value(json_object_get(log->header, "replicate"))};
  AL_TRY(al_copy_string(&run->cell, log->name));
  AL_TRY(AL_NEW(&run->labels, n));
  AL_TRY(AL_NEW(&run->cost, n));
  AL_TRY(AL_NEW(&run->accuracy, n));
  AL_TRY(AL_NEW(&run->seconds, n));
  for (size_t i = 0; i < n; i++) {
    const json_t *round = json_array_get(log->rounds, i);
    run->labels[i] = number_of(round, "labels");
    run->cost[i] = number_of(round, "cost");
    run->accuracy[i] = number_of(json_object_get(json_object_get(round, "metrics"), "test"), "accuracy");
    run->seconds[i] = NAN;
  }
  for (size_t i = 0; i < json_array_size(log->timing); i++) {
    const json_t *line = json_array_get(log->timing, i);
    double round = number_of(line, "round"), query = number_of(line, "query"), predict = number_of(line, "predict");
    if (isnan(round) || round < 0 || (size_t)round >= n) continue;
    run->seconds[(size_t)round] = query + predict;
    double all = query + predict + number_of(line, "train") + number_of(line, "evaluate");
    if (!isnan(all)) run->seconds_in_all += all;
  }
done:
  return status;
}

static void note_environment(al_collection *c, const al_log *log) {
  static const char *const keys[] = {"host", "cpu", "blas", "libtorch", "compiler", "flags", "threads"};
  for (size_t i = 0; i < json_array_size(log->timing); i++) {
    const json_t *line = json_array_get(log->timing, i);
    if (json_object_get(line, "cpu") == NULL) continue;
    json_t *kept = json_object();
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
      if (json_object_get(line, keys[k]) != NULL) json_object_set(kept, keys[k], json_object_get(line, keys[k]));
    bool known = false;
    for (size_t j = 0; j < json_array_size(c->environment); j++)
      known = known || json_equal(json_array_get(c->environment, j), kept);
    if (!known) json_array_append(c->environment, kept);
    json_decref(kept);
  }
}

static al_status add_log(al_collection *c, const al_log *log, bool reference) {
  al_status status;
  if (log->end == NULL) {
    json_array_append_new(c->unfinished, json_string(log->name));
    return AL_OK;
  }
  note_environment(c, log);
  if (reference) { /* one reference for every setting of its dataset and model */
    const char *dataset = text_of(json_object_get(log->header, "dataset"), "label");
    const char *model = text_of(json_object_get(log->header, "model"), "label");
    const json_t *metrics = json_object_get(json_object_get(json_array_get(log->rounds, 0), "metrics"), "test");
    for (size_t i = 0; i < c->n; i++) {
      al_setting *s = &c->settings[i];
      if (strcmp(s->dataset, dataset) != 0 || strcmp(s->model, model) != 0) continue;
      AL_TRY(al_grow(&s->full, &s->full_capacity, s->full_n + 1, sizeof *s->full));
      s->full[s->full_n++] = number_of(metrics, "accuracy");
    }
    return AL_OK;
  }
  al_setting *setting = NULL;
  al_contender *contender = NULL;
  AL_TRY(find_setting(&setting, c, log->header));
  AL_TRY(find_contender(&contender, setting, text_of(json_object_get(log->header, "strategy"), "label")));
  AL_TRY(al_grow(&contender->runs, &contender->capacity, contender->n + 1, sizeof *contender->runs));
  contender->n++;
  AL_TRY(read_run(&contender->runs[contender->n - 1], log));
done:
  return status;
}

static al_status read_list(al_collection *c, const char *key, bool reference) {
  const json_t *names = json_object_get(c->study, key);
  al_status status = AL_OK;
  for (size_t i = 0; i < json_array_size(names) && status == AL_OK; i++) {
    const char *name = json_string_value(json_array_get(names, i));
    char path[4096];
    al_log *log = NULL;
    snprintf(path, sizeof path, "%s/cells/%s.jsonl", c->folder, name);
    if (access(path, F_OK) != 0) {
      json_array_append_new(c->unfinished, json_string(name));
      continue;
    }
    status = al_log_read(&log, c->folder, name);
    if (status == AL_OK) status = add_log(c, log, reference);
    al_log_free(log);
  }
  return status;
}

static int by_replicate(const void *a, const void *b) {
  size_t x = ((const al_run *)a)->replicate, y = ((const al_run *)b)->replicate;
  return (x > y) - (x < y);
}

al_status al_collect(al_collection **out, const char *folder) {
  al_status status;
  al_collection *c = NULL;
  *out = NULL;
  AL_TRY(AL_NEW(&c, 1));
  c->unfinished = json_array();
  c->environment = json_array();
  AL_TRY(al_copy_string(&c->folder, folder));
  AL_TRY(al_study_read(&c->study, folder));
  AL_TRY(read_list(c, "cells", false));
  if (c->n == 0) {
    status = al_fail(AL_BAD_INPUT, "%s: no cell of the study is complete yet; run it first", folder);
    goto done;
  }
  AL_TRY(read_list(c, "references", true));
  for (size_t i = 0; i < c->n; i++)
    for (size_t j = 0; j < c->settings[i].n; j++) {
      al_contender *contender = &c->settings[i].contenders[j];
      qsort(contender->runs, contender->n, sizeof *contender->runs, by_replicate);
    }
  *out = c;
  c = NULL;
done:
  al_collection_free(c);
  return status;
}

void al_collection_free(al_collection *c) {
  if (c == NULL) return;
  for (size_t i = 0; i < c->n; i++) {
    al_setting *s = &c->settings[i];
    for (size_t j = 0; j < s->n; j++) {
      for (size_t k = 0; k < s->contenders[j].n; k++) {
        al_run *run = &s->contenders[j].runs[k];
        free(run->cell);
        free(run->labels);
        free(run->cost);
        free(run->accuracy);
        free(run->seconds);
      }
      free(s->contenders[j].runs);
      free(s->contenders[j].strategy);
    }
    free(s->contenders);
    free(s->dataset);
    free(s->model);
    free(s->axes);
    free(s->cost_kind);
    free(s->full);
    json_decref(s->header);
  }
  free(c->settings);
  free(c->folder);
  json_decref(c->study);
  json_decref(c->unfinished);
  json_decref(c->environment);
  free(c);
}

/* ---- the table ---- */

static al_curve curve_of(const al_run *run) {
  return (al_curve){.x = run->labels, .y = run->accuracy, .n = run->rounds};
}

static const al_run *replicate_of(const al_contender *contender, size_t replicate) {
  for (size_t i = 0; i < contender->n; i++)
    if (contender->runs[i].replicate == replicate) return &contender->runs[i];
  return NULL;
}

/* The range of labels that every run reaches. */
static void common_range(const al_setting *s, double *from, double *to, double *longest) {
  *from = 0.0;
  *to = INFINITY;
  *longest = 0.0;
  for (size_t i = 0; i < s->n; i++)
    for (size_t j = 0; j < s->contenders[i].n; j++) {
      const al_run *run = &s->contenders[i].runs[j];
      *from = fmax(*from, run->labels[0]);
      *to = fmin(*to, run->labels[run->rounds - 1]);
      *longest = fmax(*longest, run->labels[run->rounds - 1]);
    }
}

static al_status fill_targets(al_row *row, const al_contender *contender, const al_contender *random, double target,
                              double limit) {
  al_status status;
  al_crossing *own = NULL, *other = NULL;
  bool own_exact, other_exact;
  AL_TRY(AL_NEW(&own, contender->n));
  AL_TRY(AL_NEW(&other, random == NULL ? 1 : random->n));
  for (size_t i = 0; i < contender->n; i++) {
    al_curve curve = curve_of(&contender->runs[i]);
    own[i] = al_curve_crossing(&curve, target);
    row->reached += !own[i].censored;
    row->censored_n += own[i].censored;
    row->at_start = row->at_start || own[i].at_start;
  }
  AL_TRY(al_censored_median(&row->target_labels, own, contender->n));
  if (random == NULL || random == contender) goto done;
  for (size_t i = 0; i < random->n; i++) {
    al_curve curve = curve_of(&random->runs[i]);
    other[i] = al_curve_crossing(&curve, target);
  }
  double mine = al_restricted_mean(own, contender->n, limit, &own_exact);
  double theirs = al_restricted_mean(other, random->n, limit, &other_exact);
  row->saving = 1.0 - mine / theirs;
  row->saving_mark = own_exact && other_exact ? '=' : own_exact ? '>' : other_exact ? '<' : '?';
done:
  free(own);
  free(other);
  return status;
}

static al_status fill_row(al_row *row, const al_setting *s, const al_contender *contender,
                          const al_table_of_setting *t) {
  al_status status;
  double *areas = NULL, *finals = NULL, *differences = NULL;
  size_t paired = 0;
  const al_contender *random = strcmp(s->contenders[0].strategy, "random") == 0 ? &s->contenders[0] : NULL;
  *row = (al_row){.strategy = contender->strategy,
                  .n = contender->n,
                  .p = NAN,
                  .p_wilcoxon = NAN,
                  .detectable = NAN,
                  .target_labels = NAN,
                  .saving = NAN,
                  .saving_mark = '?'};
  row->difference = al_mean_interval(NULL, 0);
  row->aulc = al_mean_interval(NULL, 0);
  AL_TRY(AL_NEW(&areas, contender->n));
  AL_TRY(AL_NEW(&finals, contender->n));
  AL_TRY(AL_NEW(&differences, contender->n));
  bool comparable = t->to > t->from;
  for (size_t i = 0; i < contender->n; i++) {
    const al_run *run = &contender->runs[i];
    al_curve curve = curve_of(run);
    finals[i] = run->accuracy[run->rounds - 1];
    if (!comparable) continue;
    areas[i] = al_curve_area(&curve, t->from, t->to);
    const al_run *pair = random == NULL || random == contender ? NULL : replicate_of(random, run->replicate);
    if (pair == NULL) continue;
    al_curve baseline = curve_of(pair);
    differences[paired++] = areas[i] - al_curve_area(&baseline, t->from, t->to);
  }
  row->final = al_mean_interval(finals, contender->n);
  if (comparable) row->aulc = al_mean_interval(areas, contender->n);
  if (paired != 0) {
    row->difference = al_mean_interval(differences, paired);
    row->p = al_paired_t(differences, paired);
    AL_TRY(al_wilcoxon(&row->p_wilcoxon, differences, paired));
    row->detectable = al_detectable(row->difference.sd, paired, 0.05 / (double)(s->n > 1 ? s->n - 1 : 1));
  }
  if (!isnan(t->target)) AL_TRY(fill_targets(row, contender, random, t->target, t->to));
done:
  free(areas);
  free(finals);
  free(differences);
  return status;
}

al_status al_summarise(al_table_of_setting *out, const al_setting *s) {
  al_status status;
  double longest, *p = NULL;
  *out = (al_table_of_setting){.n = s->n, .target = NAN, .full = NAN};
  AL_TRY(AL_NEW(&out->rows, s->n));
  AL_TRY(AL_NEW(&p, s->n));
  common_range(s, &out->from, &out->to, &longest);
  out->half_budget = out->to - out->from < 0.5 * (longest - out->from);
  if (s->full_n != 0) {
    out->full = al_mean_interval(s->full, s->full_n).mean;
    out->target = 0.9 * out->full;
  }
  for (size_t i = 0; i < s->n; i++) AL_TRY(fill_row(&out->rows[i], s, &s->contenders[i], out));
  for (int test = 0; test < 2; test++) {
    for (size_t i = 0; i < s->n; i++) p[i] = test == 0 ? out->rows[i].p : out->rows[i].p_wilcoxon;
    AL_TRY(al_holm(p, s->n));
    for (size_t i = 0; i < s->n; i++) *(test == 0 ? &out->rows[i].p : &out->rows[i].p_wilcoxon) = p[i];
  }
done:
  free(p);
  if (status != AL_OK) al_summary_free(out);
  return status;
}

void al_summary_free(al_table_of_setting *table) {
  free(table->rows);
  table->rows = NULL;
}
