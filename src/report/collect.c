/* Reading logs into curves. Cells without an end line are left out and named. */
#include "report/collect.h"

#include "base/memory.h"
#include "record/record.h"
#include "report/summarise.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POINTS_OF_A_UNION = 12 };

static const char *text_of(const json_t *object, const char *key) {
  const char *text = json_string_value(json_object_get(object, key));
  return text == NULL ? "" : text;
}

static double number_of(const json_t *object, const char *key) {
  const json_t *value = json_object_get(object, key);
  return json_is_number(value) ? json_number_value(value) : NAN;
}

/* ---- settings and strategies ---- */

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

/* random has the first of the twelve line styles; the others share the rest in turn. */
static al_status find_style(size_t *style, al_collection *c, const char *strategy) {
  al_status status = AL_OK;
  size_t at = 0;
  *style = 1;
  if (strcmp(strategy, "random") == 0) return AL_OK;
  while (at < c->strategy_count && strcmp(c->strategies[at], strategy) != 0) at++;
  if (at == c->strategy_count) {
    AL_TRY(al_grow(&c->strategies, &c->strategy_capacity, at + 1, sizeof *c->strategies));
    AL_TRY(al_copy_string(&c->strategies[at], strategy));
    c->strategy_count++;
  }
  *style = 2 + at % 11;
done:
  return status;
}

static al_status find_contender(al_contender **out, al_collection *c, al_setting *s, const json_t *strategy) {
  const char *label = text_of(strategy, "label");
  al_status status;
  for (size_t i = 0; i < s->n; i++)
    if (strcmp(s->contenders[i].strategy, label) == 0) {
      *out = &s->contenders[i];
      return AL_OK;
    }
  AL_TRY(al_grow(&s->contenders, &s->capacity, s->n + 1, sizeof *s->contenders));
  size_t at = s->n;
  if (strcmp(label, "random") == 0) { /* the baseline leads */
    memmove(s->contenders + 1, s->contenders, s->n * sizeof *s->contenders);
    at = 0;
  }
  s->contenders[at] = (al_contender){0};
  s->n++;
  AL_TRY(al_copy_string(&s->contenders[at].strategy, label));
  AL_TRY(al_copy_string(&s->contenders[at].name, text_of(strategy, "name")));
  AL_TRY(find_style(&s->contenders[at].style, c, label));
  *out = &s->contenders[at];
done:
  return status;
}

/* ---- one cell ---- */

static int by_row(const void *a, const void *b) {
  int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
  return (x > y) - (x < y);
}

static double sum_of(const json_t *numbers) {
  double sum = 0.0;
  for (size_t i = 0; i < json_array_size(numbers); i++) sum += json_number_value(json_array_get(numbers, i));
  return sum;
}

static size_t count_answers(const json_t *answers) {
  size_t n = 0;
  for (size_t i = 0; i < json_array_size(answers); i++) n += !json_is_null(json_array_get(answers, i));
  return n;
}

/* What the audit looks at: the start, what it cost, and rows that were asked twice. */
static al_status read_facts(al_run *run, const al_log *log) {
  al_status status;
  int32_t *sorted = NULL;
  const json_t *first = json_array_get(log->rounds, 0), *holdout = json_object_get(first, "holdout");
  const json_t *held = json_object_get(holdout, "asked");
  size_t n = run->rounds == 0 ? 0 : run->asked_end[run->rounds - 1];
  json_t *start = json_pack("{s:O?,s:O?}", "asked", json_object_get(first, "asked"), "holdout", held);
  AL_TRY(al_json_digest(start, run->start));
  snprintf(run->data, sizeof run->data, "%s", text_of(json_object_get(log->header, "dataset"), "digest"));
  snprintf(run->end, sizeof run->end, "%s", text_of(log->end, "end"));
  run->holdout = json_array_size(held);
  run->first_paid = sum_of(json_object_get(first, "paid")) + sum_of(json_object_get(holdout, "paid"));
  run->first_answers =
      count_answers(json_object_get(first, "answers")) + count_answers(json_object_get(holdout, "answers"));
  AL_TRY(AL_NEW(&sorted, n + run->holdout));
  if (n != 0) memcpy(sorted, run->asked, n * sizeof *sorted);
  for (size_t i = 0; i < run->holdout; i++) sorted[n++] = (int32_t)json_integer_value(json_array_get(held, i));
  qsort(sorted, n, sizeof *sorted, by_row);
  for (size_t i = 1; i < n; i++) run->repeated += sorted[i] == sorted[i - 1];
done:
  json_decref(start);
  free(sorted);
  return status;
}

static void read_timing(al_run *run, const al_log *log) {
  for (size_t i = 0; i < json_array_size(log->timing); i++) {
    const json_t *line = json_array_get(log->timing, i);
    double round = number_of(line, "round"), query = number_of(line, "query"), predict = number_of(line, "predict");
    if (isnan(round) || round < 0 || (size_t)round >= run->rounds) continue;
    size_t r = (size_t)round;
    if (r != 0) run->seconds[r] = query + predict; /* nothing is chosen in round 0 */
    run->pool[r] = number_of(line, "pool");
    run->memory[r] = number_of(line, "peak_rss");
    double all = query + predict + number_of(line, "train") + number_of(line, "evaluate");
    if (!isnan(all)) run->seconds_in_all += all;
  }
}

static al_status read_run(al_run *run, const al_log *log) {
  al_status status;
  size_t n = json_array_size(log->rounds), asked = 0, classes;
  classes = json_array_size(json_object_get(json_object_get(log->header, "dataset"), "classes"));
  run->rounds = n;
  run->classes = classes;
  run->replicate = (size_t)json_integer_value(json_object_get(log->header, "replicate"));
  run->environment = SIZE_MAX;
  AL_TRY(al_copy_string(&run->cell, log->name));
  AL_TRY(AL_NEW(&run->labels, n));
  AL_TRY(AL_NEW(&run->cost, n));
  AL_TRY(AL_NEW(&run->values, n * AL_MEASURES));
  AL_TRY(AL_NEW(&run->counts, n * classes));
  AL_TRY(AL_NEW(&run->seconds, n));
  AL_TRY(AL_NEW(&run->pool, n));
  AL_TRY(AL_NEW(&run->memory, n));
  AL_TRY(AL_NEW(&run->asked_end, n));
  for (size_t r = 0; r < n; r++) asked += json_array_size(json_object_get(json_array_get(log->rounds, r), "asked"));
  AL_TRY(AL_NEW(&run->asked, asked));
  asked = 0;
  for (size_t r = 0; r < n; r++) {
    const json_t *round = json_array_get(log->rounds, r), *rows = json_object_get(round, "asked");
    const json_t *counts = json_object_get(json_object_get(round, "labelled"), "counts");
    run->labels[r] = number_of(round, "labels");
    run->cost[r] = number_of(round, "cost");
    for (size_t m = 0; m < AL_MEASURES; m++) run->values[m * n + r] = al_measure_of(m, round);
    for (size_t k = 0; k < classes; k++) run->counts[r * classes + k] = json_number_value(json_array_get(counts, k));
    for (size_t i = 0; i < json_array_size(rows); i++)
      run->asked[asked++] = (int32_t)json_integer_value(json_array_get(rows, i));
    run->asked_end[r] = asked;
    run->seconds[r] = run->pool[r] = run->memory[r] = NAN;
  }
  const json_t *bins = json_object_get(json_array_get(log->rounds, n == 0 ? 0 : n - 1), "calibration");
  for (size_t b = 0; b < AL_BINS; b++)
    for (size_t k = 0; k < 3; k++) run->bins[b][k] = json_number_value(json_array_get(json_array_get(bins, b), k));
  read_timing(run, log);
  AL_TRY(read_facts(run, log));
done:
  return status;
}

static void run_free(al_run *run) {
  void *parts[] = {run->cell,    run->labels, run->cost,   run->values, run->counts,
                   run->seconds, run->pool,   run->memory, run->asked,  run->asked_end};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) free(parts[i]);
}

/* The last start line that names the machine; SIZE_MAX without one. */
static size_t note_environment(al_collection *c, const al_log *log) {
  static const char *const keys[] = {"host", "cpu", "blas", "libtorch", "compiler", "flags", "threads", "device"};
  size_t found = SIZE_MAX;
  for (size_t i = 0; i < json_array_size(log->timing); i++) {
    const json_t *line = json_array_get(log->timing, i);
    if (json_object_get(line, "cpu") == NULL) continue;
    json_t *kept = json_object();
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
      if (json_object_get(line, keys[k]) != NULL) json_object_set(kept, keys[k], json_object_get(line, keys[k]));
    found = 0;
    while (found < json_array_size(c->environment) && !json_equal(json_array_get(c->environment, found), kept)) found++;
    if (found == json_array_size(c->environment)) json_array_append(c->environment, kept);
    json_decref(kept);
  }
  return found;
}

/* ---- a folder ---- */

static bool matches(const json_t *wanted, const char *text) {
  if (wanted == NULL) return true;
  if (json_is_array(wanted)) {
    for (size_t i = 0; i < json_array_size(wanted); i++)
      if (matches(json_array_get(wanted, i), text)) return true;
    return false;
  }
  char number[32];
  snprintf(number, sizeof number, "%lld", (long long)json_integer_value(wanted));
  return strcmp(json_is_string(wanted) ? json_string_value(wanted) : number, text) == 0;
}

static bool is_wanted(const json_t *only, const json_t *header, bool reference) {
  char replicate[32];
  snprintf(replicate, sizeof replicate, "%lld", (long long)json_integer_value(json_object_get(header, "replicate")));
  return matches(json_object_get(only, "dataset"), text_of(json_object_get(header, "dataset"), "label")) &&
         matches(json_object_get(only, "model"), text_of(json_object_get(header, "model"), "label")) &&
         (reference ||
          (matches(json_object_get(only, "strategy"), text_of(json_object_get(header, "strategy"), "label")) &&
           matches(json_object_get(only, "setting"), text_of(header, "setting")) &&
           matches(json_object_get(only, "replicate"), replicate)));
}

/* One reference serves every setting of its dataset and model. */
static al_status add_reference(al_collection *c, const al_log *log) {
  al_status status = AL_OK;
  const char *dataset = text_of(json_object_get(log->header, "dataset"), "label");
  const char *model = text_of(json_object_get(log->header, "model"), "label");
  for (size_t i = 0; i < c->n; i++) {
    al_setting *s = &c->settings[i];
    if (strcmp(s->dataset, dataset) != 0 || strcmp(s->model, model) != 0) continue;
    AL_TRY(al_grow(&s->full, &s->full_capacity, (s->full_n + 1) * AL_MEASURES_OF_TEST, sizeof *s->full));
    for (size_t m = 0; m < AL_MEASURES_OF_TEST; m++)
      s->full[s->full_n * AL_MEASURES_OF_TEST + m] = al_measure_of(m, json_array_get(log->rounds, 0));
    s->full_n++;
  }
done:
  return status;
}

static al_status add_log(al_collection *c, const al_log *log, bool reference, const json_t *only) {
  al_status status;
  if (!is_wanted(only, log->header, reference)) return AL_OK;
  if (log->end == NULL) {
    json_array_append_new(c->unfinished, json_string(log->name));
    return AL_OK;
  }
  if (reference) return add_reference(c, log);
  al_setting *setting = NULL;
  al_contender *contender = NULL;
  AL_TRY(find_setting(&setting, c, log->header));
  AL_TRY(find_contender(&contender, c, setting, json_object_get(log->header, "strategy")));
  size_t replicate = (size_t)json_integer_value(json_object_get(log->header, "replicate"));
  if (al_run_of_replicate(contender, replicate) != NULL) {
    status = al_fail(AL_BAD_INPUT,
                     "%s: two of the studies hold this cell; name other studies, or narrow them with only", log->name);
    goto done;
  }
  AL_TRY(al_grow(&contender->runs, &contender->capacity, contender->n + 1, sizeof *contender->runs));
  contender->runs[contender->n] = (al_run){0};
  contender->n++;
  AL_TRY(read_run(&contender->runs[contender->n - 1], log));
  contender->runs[contender->n - 1].environment = note_environment(c, log);
done:
  return status;
}

/* Is there a whole first line? A run that was killed at its first instant leaves a log without one. */
static bool has_begun(const char *folder, const char *name) {
  char path[4096];
  int byte = 0;
  snprintf(path, sizeof path, "%s/cells/%s.jsonl", folder, name);
  FILE *file = fopen(path, "rb");
  if (file == NULL) return false;
  while ((byte = getc(file)) != EOF && byte != '\n') {
  }
  fclose(file);
  return byte == '\n';
}

static al_status read_list(al_collection *c, const char *folder, const json_t *study, const char *key,
                           const json_t *only) {
  const json_t *names = json_object_get(study, key);
  al_status status = AL_OK;
  for (size_t i = 0; i < json_array_size(names) && status == AL_OK; i++) {
    const char *name = json_string_value(json_array_get(names, i));
    al_log *log = NULL;
    if (!has_begun(folder, name)) {
      json_array_append_new(c->unfinished, json_string(name));
      continue;
    }
    status = al_log_read(&log, folder, name);
    if (status == AL_OK) status = add_log(c, log, strcmp(key, "references") == 0, only);
    al_log_free(log);
  }
  return status;
}

static int by_replicate(const void *a, const void *b) {
  size_t x = ((const al_run *)a)->replicate, y = ((const al_run *)b)->replicate;
  return (x > y) - (x < y);
}

static al_status name_source(al_collection *c, const json_t *studies) {
  al_buffer text = {0};
  al_status status = al_buffer_print(&text, "%s", json_array_size(studies) == 1 ? "study " : "studies ");
  for (size_t i = 0; i < json_array_size(studies) && status == AL_OK; i++)
    status = al_buffer_print(&text, "%s%s", i == 0 ? "" : ", ", text_of(json_array_get(studies, i), "study"));
  c->source = text.data;
  return status;
}

al_status al_collect(al_collection **out, const char *const *folders, size_t n, const json_t *only) {
  static const char *const lists[] = {"cells", "references"};
  al_status status;
  al_collection *c = NULL;
  json_t *studies = json_array();
  *out = NULL;
  AL_TRY(AL_NEW(&c, 1));
  c->unfinished = json_array();
  c->left_out = json_array();
  c->environment = json_array();
  for (size_t f = 0; f < n; f++) {
    json_t *study = NULL;
    AL_TRY(al_study_read(&study, folders[f]));
    json_array_append_new(studies, study);
    if (f == 0) c->study = json_incref(study);
    json_array_extend(c->left_out, json_object_get(study, "left_out"));
  }
  for (size_t l = 0; l < 2; l++)
    for (size_t f = 0; f < n; f++) AL_TRY(read_list(c, folders[f], json_array_get(studies, f), lists[l], only));
  AL_TRY(name_source(c, studies));
  if (c->n == 0) {
    status = only != NULL ? al_fail(AL_BAD_INPUT, "%s: no complete cell is left by only", folders[0])
                          : al_fail(AL_BAD_INPUT, "%s: no cell of the study is complete yet; run it first", folders[0]);
    goto done;
  }
  for (size_t i = 0; i < c->n; i++)
    for (size_t j = 0; j < c->settings[i].n; j++) {
      al_contender *contender = &c->settings[i].contenders[j];
      qsort(contender->runs, contender->n, sizeof *contender->runs, by_replicate);
    }
  *out = c;
  c = NULL;
done:
  json_decref(studies);
  al_collection_free(c);
  return status;
}

static void setting_free(al_setting *s) {
  for (size_t j = 0; j < s->n; j++) {
    for (size_t k = 0; k < s->contenders[j].n; k++) run_free(&s->contenders[j].runs[k]);
    free(s->contenders[j].runs);
    free(s->contenders[j].strategy);
    free(s->contenders[j].name);
  }
  for (size_t i = 0; i < s->table_count; i++) {
    al_summary_free(s->tables[i]);
    free(s->tables[i]);
  }
  free(s->tables);
  free(s->contenders);
  free(s->dataset);
  free(s->model);
  free(s->axes);
  free(s->cost_kind);
  free(s->full);
  json_decref(s->header);
}

void al_collection_free(al_collection *c) {
  if (c == NULL) return;
  for (size_t i = 0; i < c->n; i++) setting_free(&c->settings[i]);
  for (size_t i = 0; i < c->strategy_count; i++) free(c->strategies[i]);
  free(c->strategies);
  free(c->settings);
  free(c->source);
  json_decref(c->study);
  json_decref(c->unfinished);
  json_decref(c->left_out);
  json_decref(c->environment);
  free(c);
}

const al_run *al_run_of_replicate(const al_contender *contender, size_t replicate) {
  for (size_t i = 0; i < contender->n; i++)
    if (contender->runs[i].replicate == replicate) return &contender->runs[i];
  return NULL;
}

const al_contender *al_setting_random(const al_setting *s) {
  return s->n != 0 && strcmp(s->contenders[0].strategy, "random") == 0 ? &s->contenders[0] : NULL;
}

const char *al_setting_title(const al_setting *s, char text[256]) {
  snprintf(text, 256, "%s, %s%s%s", s->dataset, s->model, *s->axes == '\0' ? "" : ", ", s->axes);
  return text;
}

/* ---- curves ---- */

al_curve al_run_curve(const al_run *run, al_axis axis, size_t measure, double *x, double *y) {
  size_t n = 0;
  const double *from = axis == AL_AXIS_COST ? run->cost : run->labels;
  for (size_t r = 0; r < run->rounds; r++) {
    double value = run->values[measure * run->rounds + r];
    if (isnan(value) || isnan(from[r])) continue;
    if (n != 0 && from[r] == x[n - 1]) n--; /* an answer that cost nothing: the later model counts */
    x[n] = from[r];
    y[n++] = value;
  }
  return (al_curve){.x = x, .y = y, .n = n};
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* The cells that count: with a baseline those that have a paired run. */
typedef struct {
  al_curve *curves, *against; /* n each */
  double *storage, *grid;
  size_t n, points;
  double from, to;
} stack;

static al_status fill_stack(stack *k, const al_contender *c, const al_contender *baseline, al_axis axis,
                            size_t measure) {
  al_status status;
  size_t total = 0, used = 0;
  *k = (stack){.from = -INFINITY, .to = INFINITY};
  for (size_t i = 0; i < c->n; i++) total += c->runs[i].rounds;
  if (baseline != NULL)
    for (size_t i = 0; i < baseline->n; i++) total += baseline->runs[i].rounds;
  AL_TRY(AL_NEW(&k->curves, c->n));
  AL_TRY(AL_NEW(&k->against, c->n));
  AL_TRY(AL_NEW(&k->storage, 2 * total));
  AL_TRY(AL_NEW(&k->grid, total));
  for (size_t i = 0; i < c->n; i++) {
    const al_run *pair = baseline == NULL ? NULL : al_run_of_replicate(baseline, c->runs[i].replicate);
    if (baseline != NULL && pair == NULL) continue;
    for (int side = 0; side < (baseline == NULL ? 1 : 2); side++) {
      const al_run *run = side == 0 ? &c->runs[i] : pair;
      al_curve curve = al_run_curve(run, axis, measure, k->storage + used, k->storage + used + run->rounds);
      used += 2 * run->rounds;
      *(side == 0 ? &k->curves[k->n] : &k->against[k->n]) = curve;
      if (curve.n == 0) {
        k->to = -INFINITY;
        continue;
      }
      k->from = fmax(k->from, curve.x[0]);
      k->to = fmin(k->to, curve.x[curve.n - 1]);
      memcpy(k->grid + k->points, curve.x, curve.n * sizeof *k->grid);
      k->points += curve.n;
    }
    k->n++;
  }
done:
  return status;
}

al_status al_mean_curve_of(al_mean_curve *out, const al_contender *c, const al_contender *baseline, al_axis axis,
                           size_t measure) {
  al_status status;
  stack k = {0};
  double *values = NULL;
  *out = (al_mean_curve){0};
  AL_TRY(fill_stack(&k, c, baseline, axis, measure));
  AL_TRY(AL_NEW(&values, k.n));
  AL_TRY(AL_NEW(&out->x, k.points));
  AL_TRY(AL_NEW(&out->y, k.points));
  qsort(k.grid, k.points, sizeof *k.grid, ascending);
  double gap = axis == AL_AXIS_COST ? (k.to - k.from) / (POINTS_OF_A_UNION - 1) : 0.0, last = -INFINITY;
  out->replicates = k.to >= k.from ? k.n : 0;
  for (size_t i = 0; i < k.points && out->replicates != 0; i++) {
    double x = k.grid[i];
    if (x < k.from || x > k.to || x == last || (x - last < gap && x != k.to)) continue;
    for (size_t j = 0; j < k.n; j++)
      values[j] = al_curve_at(&k.curves[j], x) - (baseline == NULL ? 0.0 : al_curve_at(&k.against[j], x));
    out->x[out->n] = last = x;
    out->y[out->n++] = al_mean_interval(values, k.n);
  }
done:
  free(k.curves);
  free(k.against);
  free(k.storage);
  free(k.grid);
  free(values);
  if (status != AL_OK) al_mean_curve_free(out);
  return status;
}

void al_mean_curve_free(al_mean_curve *curve) {
  free(curve->x);
  free(curve->y);
  *curve = (al_mean_curve){0};
}
