/* The figures of a paper: a YAML list of {figure, studies, only, metric, x, size, o}, drawn from logs. */
#include "report/report_parts.h"

#include "base/file.h"
#include "base/log.h"
#include "base/params.h"
#include "base/yaml.h"

#include <libgen.h>
#include <stdlib.h>
#include <string.h>

static const al_param keys[] = {
    {.key = "figure", .type = AL_PARAM_STRING, .help = "kind of figure"},
    {.key = "studies", .type = AL_PARAM_ANY, .help = "a results folder, or a list of them"},
    {.key = "only",
     .type = AL_PARAM_MAP,
     .fallback = "{}",
     .help = "dataset, model, strategy, setting, replicate: a value or a list"},
    {.key = "metric", .type = AL_PARAM_STRING, .fallback = "\"accuracy\"", .help = "what it shows"},
    {.key = "x",
     .type = AL_PARAM_CHOICE,
     .fallback = "\"labels\"",
     .choices = "labels|cost",
     .help = "the axis of effort"},
    {.key = "size", .type = AL_PARAM_STRING, .fallback = "null", .help = "WIDTHxHEIGHT in inches"},
    {.key = "o", .type = AL_PARAM_STRING, .fallback = "null", .help = "file name, without extension"},
    {0}};

static const char *const only_keys[] = {"dataset", "model", "strategy", "setting", "replicate"};

typedef struct {
  const char *file;
  al_marks marks;
  const al_report_options *options;
  char *base; /* folder of the file */
  char *redraw;
  al_pictures pictures;
} reader;

static al_status check_only(const json_t *only, const char *where) {
  const char *key;
  json_t *value;
  enum { KEYS = sizeof only_keys / sizeof *only_keys };
  json_object_foreach((json_t *)(uintptr_t)only, key, value) {
    size_t i = 0;
    while (i < KEYS && strcmp(only_keys[i], key) != 0) i++;
    if (i < KEYS) continue;
    const char *nearest = al_nearest(key, only_keys, KEYS);
    return al_fail(AL_BAD_INPUT, "%s.only: unknown key '%s'; %s%s%s", where, key,
                   nearest == NULL ? "there are " : "did you mean '",
                   nearest == NULL ? "dataset, model, strategy, setting, replicate" : nearest,
                   nearest == NULL ? "" : "'?");
  }
  return AL_OK;
}

static al_status read_size(double *width, double *height, const char *text, const char *where) {
  char behind = '\0';
  *width = *height = 0.0;
  if (text == NULL) return AL_OK;
  if (sscanf(text, "%lfx%lf%c", width, height, &behind) != 2 ||
      !(*width >= 1.0 && *width <= 40.0 && *height >= 1.0 && *height <= 40.0))
    return al_fail(AL_BAD_INPUT, "%s.size: '%s' is not WIDTHxHEIGHT in inches, each from 1 to 40, as 3.3x2.4", where,
                   text);
  return AL_OK;
}

static al_status collect_studies(const reader *r, al_collection **c, const json_t *studies, const json_t *only,
                                 const char *where) {
  al_status status;
  char *folders[64] = {0};
  size_t n = json_is_array(studies) ? json_array_size(studies) : 1;
  if (n == 0 || n > 64) {
    status = al_fail(AL_BAD_INPUT, "%s.studies: name 1 to 64 results folders", where);
    goto done;
  }
  for (size_t i = 0; i < n; i++) {
    const char *name = json_string_value(json_is_array(studies) ? json_array_get(studies, i) : studies);
    if (name == NULL || *name == '\0') {
      status = al_fail(AL_BAD_INPUT, "%s.studies: must be a folder's name, or a list of them", where);
      goto done;
    }
    if (*name == '/')
      AL_TRY(al_copy_string(&folders[i], name));
    else
      AL_TRY(al_format(&folders[i], "%s/%s", r->base, name));
  }
  status = al_collect(c, (const char *const *)folders, n, json_object_size(only) == 0 ? NULL : only);
  if (status != AL_OK) status = al_context(status, "%s", where);
done:
  for (size_t i = 0; i < 64; i++) free(folders[i]);
  return status;
}

static al_status draw_one(reader *r, const json_t *given, size_t index) {
  al_status status;
  json_t *entry = NULL;
  al_collection *c = NULL;
  const al_figure_type *type = NULL;
  size_t measure = 0;
  double width, height;
  char where[600], path[32], name[400];
  al_setting **settings = NULL;
  snprintf(path, sizeof path, "[%zu]", index);
  snprintf(where, sizeof where, "%s:%zu: figure %zu", r->file, al_marks_line(&r->marks, path), index + 1);
  if (!json_is_object(given)) return al_fail(AL_BAD_INPUT, "%s: must be a mapping with figure and studies", where);
  AL_TRY(al_params_resolve(&entry, keys, given, where));
  AL_TRY(al_figure_find(&type, al_params_string(entry, "figure"), where));
  AL_TRY(al_measure_find(&measure, al_params_string(entry, "metric"), where));
  al_axis axis = strcmp(al_params_string(entry, "x"), "cost") == 0 ? AL_AXIS_COST : AL_AXIS_LABELS;
  if (json_object_get(given, "metric") != NULL && !type->any_measure) {
    status = al_fail(AL_BAD_INPUT, "%s.metric: the figure %s shows no chosen metric; leave it out", where, type->name);
    goto done;
  }
  if (axis == AL_AXIS_COST && !type->any_axis) {
    status = al_fail(AL_BAD_INPUT, "%s.x: the figure %s has no cost axis; leave it out", where, type->name);
    goto done;
  }
  if (type->across && measure >= AL_MEASURES_OF_TEST) {
    status =
        al_fail(AL_BAD_INPUT,
                "%s.metric: %s is a state of the labelled set, which is neither better nor worse; there is no rank",
                where, al_measures[measure].name);
    goto done;
  }
  const json_t *only = json_object_get(entry, "only");
  AL_TRY(check_only(only, where));
  AL_TRY(read_size(&width, &height, al_params_string(entry, "size"), where));
  AL_TRY(collect_studies(r, &c, json_object_get(entry, "studies"), only, where));
  AL_TRY(AL_NEW(&settings, c->n));
  for (size_t i = 0; i < c->n; i++) settings[i] = &c->settings[i];
  const char *stem = al_params_string(entry, "o");
  if (stem != NULL && (*stem == '\0' || strpbrk(stem, "/'\"\\ ") != NULL)) {
    status = al_fail(AL_BAD_INPUT, "%s.o: '%s' must be a plain file name without spaces or folders", where, stem);
    goto done;
  }
  size_t pictures = type->across ? 1 : c->n;
  for (size_t i = 0; i < pictures; i++) {
    const al_setting *s = settings[i];
    char own[200];
    snprintf(own, sizeof own, "%02zu-%s", index + 1, type->name);
    if (pictures == 1)
      snprintf(name, sizeof name, "%s", stem == NULL ? own : stem);
    else
      snprintf(name, sizeof name, "%s-%s-%s%s%s", stem == NULL ? own : stem, s->dataset, s->model,
               *s->axes == '\0' ? "" : "-", s->axes);
    for (size_t j = 0; j < r->pictures.n; j++)
      if (strcmp(r->pictures.items[j].name, name) == 0) {
        status = al_fail(AL_BAD_INPUT, "%s.o: a figure named '%s' is there already", where, name);
        goto done;
      }
    al_picture_request request = {
        .type = type,
        .figure = {.settings = settings + i, .n = type->across ? c->n : 1, .measure = measure, .axis = axis},
        .out = r->options->out,
        .folder = "",
        .name = name,
        .source = c->source,
        .redraw = r->redraw,
        .width = width,
        .height = height};
    AL_TRY(al_pictures_add(&r->pictures, &request));
    const al_picture *made = &r->pictures.items[r->pictures.n - 1];
    if (made->skipped != NULL) {
      status = al_fail(AL_BAD_INPUT, "%s: %s cannot be drawn: %s", where, name, made->skipped);
      goto done;
    }
  }
done:
  json_decref(entry);
  free(settings);
  al_collection_free(c);
  return status;
}

al_status al_report_figures(const char *file, const al_report_options *options) {
  al_status status;
  al_report_options own = *options;
  reader r = {.file = file, .options = &own};
  char *text = NULL, *copy = NULL, *out = NULL;
  json_t *document = NULL;
  size_t size = 0;
  AL_TRY(al_copy_string(&copy, file));
  AL_TRY(al_copy_string(&r.base, dirname(copy)));
  const char *slash = strrchr(file, '/');
  AL_TRY(al_format(&r.redraw, "alab report --figures %s", slash == NULL ? file : slash + 1));
  AL_TRY(al_format(&out, "%s/figures", r.base));
  if (own.out == NULL) own.out = out;
  AL_TRY(al_file_read(&text, &size, file, 1 << 20));
  AL_TRY(al_yaml_parse(&document, &r.marks, text, size, file));
  if (!json_is_array(document) || json_array_size(document) == 0) {
    status =
        al_fail(AL_BAD_INPUT, "%s:1: a figures file is a list of {figure, studies, only, metric, x, size, o}", file);
    goto done;
  }
  AL_TRY(al_folder_make(own.out));
  for (size_t i = 0; i < json_array_size(document); i++) AL_TRY(draw_one(&r, json_array_get(document, i), i));
  AL_TRY(al_drawings_make(&r.pictures.drawings, own.formats, own.jobs));
  al_log_notice("%zu figures in %s", r.pictures.n, own.out);
done:
  al_marks_free(&r.marks);
  al_pictures_free(&r.pictures);
  json_decref(document);
  free(text);
  free(copy);
  free(out);
  free(r.base);
  free(r.redraw);
  return status;
}
