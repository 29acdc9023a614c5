/* Putting a report together: for each setting and each group of datasets its figures and tables, then the audit and the
 * page that shows them. */
#include "report/report_parts.h"

#include "base/file.h"
#include "base/log.h"
#include "report/summary_table.h"

#include <stdlib.h>
#include <string.h>

static const al_figure_type *const of_setting[] = {&al_figure_curves,      &al_figure_areas,   &al_figure_differences,
                                                   &al_figure_targets,     &al_figure_metrics, &al_figure_fits,
                                                   &al_figure_labelled,    &al_figure_balance, &al_figure_overlap,
                                                   &al_figure_calibration, &al_figure_time};
static const al_figure_type *const of_group[] = {&al_figure_overview, &al_figure_ranks, &al_figure_wins,
                                                 &al_figure_penalty, &al_figure_time};

static al_status add_picture(al_report *w, const al_figure_type *type, al_setting **settings, size_t n, al_axis axis,
                             const char *folder) {
  char name[64];
  snprintf(name, sizeof name, "%s%s", type->name, axis == AL_AXIS_COST ? "-cost" : "");
  al_picture_request request = {
      .type = type,
      .figure = {.settings = settings, .n = n, .measure = w->options->measure, .axis = axis},
      .out = w->options->out,
      .folder = folder,
      .name = name,
      .source = w->c->source,
      .redraw = w->redraw,
  };
  return al_pictures_add(&w->pictures, &request);
}

static al_status add_setting(al_report *w, size_t at) {
  al_status status = AL_OK;
  al_setting *s = &w->c->settings[at];
  char folder[400];
  snprintf(folder, sizeof folder, "figures/%s.%s%s%s", s->dataset, s->model, *s->axes == '\0' ? "" : ".", s->axes);
  w->of_setting[at].from = w->pictures.n;
  for (size_t i = 0; i < sizeof of_setting / sizeof *of_setting; i++) {
    AL_TRY(add_picture(w, of_setting[i], &s, 1, AL_AXIS_LABELS, folder));
    if (i == 0 && strcmp(s->cost_kind, "labels") != 0)
      AL_TRY(add_picture(w, of_setting[i], &s, 1, AL_AXIS_COST, folder));
  }
  w->of_setting[at].to = w->pictures.n;
done:
  return status;
}

static al_status add_group(al_report *w, size_t at) {
  al_status status = AL_OK;
  al_group *g = &w->groups[at];
  char folder[400];
  const al_setting *s = g->settings[0];
  snprintf(folder, sizeof folder, "figures/across.%s%s%s", s->model, *s->axes == '\0' ? "" : ".", s->axes);
  w->of_group[at].from = w->pictures.n;
  for (size_t i = 0; i < sizeof of_group / sizeof *of_group && g->n > 1; i++)
    AL_TRY(add_picture(w, of_group[i], g->settings, g->n, AL_AXIS_LABELS, folder));
  w->of_group[at].to = w->pictures.n;
done:
  return status;
}

/* ---- tables ---- */

typedef struct {
  al_buffer md, tex, csv, ranking, text, audit;
} texts;

static al_status add_grid(texts *x, const al_grid *grid) {
  al_status status;
  AL_TRY(al_grid_append(&x->md, grid, AL_GRID_MD));
  AL_TRY(al_grid_append(&x->tex, grid, AL_GRID_TEX));
  AL_TRY(al_grid_append(&x->text, grid, AL_GRID_TEXT));
done:
  return status;
}

static al_status add_table(texts *x, al_report *w, size_t at) {
  al_status status;
  al_setting *s = &w->c->settings[at];
  const al_table_of_setting *t = NULL;
  al_grid grid = {0};
  al_buffer line = {0};
  char title[256];
  AL_TRY(al_setting_table(&t, s, w->options->measure, AL_AXIS_LABELS));
  AL_TRY(al_headline(&line, s, t));
  AL_TRY(al_summary_grid(&grid, s, t));
  al_setting_title(s, title);
  AL_TRY(al_buffer_print(&x->md, "## %s\n\n%s\n\n", title, line.data));
  AL_TRY(al_buffer_print(&x->tex, "%% %s\n", title));
  AL_TRY(al_buffer_print(&x->text, "%s\n", line.data));
  AL_TRY(add_grid(x, &grid));
  AL_TRY(al_buffer_print(&x->md,
                         "\nArea of %s from %g to %g labels, paired t test against random, Holm over the strategies.",
                         al_measures[t->measure].title, t->from, t->to));
  if (t->target == t->target)
    AL_TRY(al_buffer_print(&x->md, " Full data: %.4f (n = %zu); target %.4f.", t->full, t->full_n, t->target));
  if (t->half_budget) AL_TRY(al_buffer_print(&x->md, " The range that all cells reach is below half of the longest."));
  AL_TRY(al_buffer_print(&x->md, "\n\n"));
  AL_TRY(al_buffer_print(&x->tex, "\n"));
  AL_TRY(al_buffer_print(&x->text, "\n"));
  AL_TRY(al_summary_csv(&x->csv, s, t));
done:
  al_grid_free(&grid);
  al_buffer_free(&line);
  return status;
}

static al_status add_ranking(texts *x, const al_report *w, const al_group *g) {
  al_status status;
  al_grid grid = {0};
  char title[256];
  if (g->n < 2 || g->k < 2) return AL_OK;
  al_group_title(g, title);
  AL_TRY(al_ranking_grid(&grid, g, w->options->measure));
  AL_TRY(al_buffer_print(&x->md, "## Ranking: %s, %zu datasets\n\n", title, g->n));
  AL_TRY(al_buffer_print(&x->tex, "%% Ranking: %s, %zu datasets\n", title, g->n));
  AL_TRY(al_buffer_print(&x->text, "%s: ranking over %zu datasets\n", title, g->n));
  AL_TRY(add_grid(x, &grid));
  AL_TRY(al_buffer_print(&x->md, "\n"));
  AL_TRY(al_buffer_print(&x->tex, "\n"));
  AL_TRY(al_buffer_print(&x->text, "\n"));
  AL_TRY(al_ranking_csv(&x->ranking, g, w->options->measure));
done:
  al_grid_free(&grid);
  return status;
}

static al_status put_file(const char *folder, const char *name, const al_buffer *bytes) {
  char *path = NULL;
  al_status status = al_format(&path, "%s/%s", folder, name);
  if (status == AL_OK) status = al_file_write(path, bytes->data == NULL ? "" : bytes->data, bytes->size);
  free(path);
  return status;
}

static al_status write_tables(al_report *w, FILE *text) {
  al_status status = AL_OK;
  texts x = {0};
  const char *out = w->options->out;
  unsigned formats = w->options->formats;
  for (size_t i = 0; i < w->group_count; i++) AL_TRY(add_ranking(&x, w, &w->groups[i]));
  for (size_t i = 0; i < w->c->n; i++) AL_TRY(add_table(&x, w, i));
  AL_TRY(al_audit_append(&x.audit, &w->audit, AL_AUDIT_MD));
  if (formats & AL_FORMAT_MD) {
    AL_TRY(put_file(out, "summary.md", &x.md));
    AL_TRY(put_file(out, "audit.md", &x.audit));
  }
  if (formats & AL_FORMAT_TEX) AL_TRY(put_file(out, "summary.tex", &x.tex));
  if (formats & AL_FORMAT_CSV) {
    AL_TRY(put_file(out, "summary.csv", &x.csv));
    if (x.ranking.size != 0) AL_TRY(put_file(out, "ranking.csv", &x.ranking));
  }
  if (text != NULL && x.text.size != 0) fwrite(x.text.data, 1, x.text.size, text);
done:
  al_buffer_free(&x.md);
  al_buffer_free(&x.tex);
  al_buffer_free(&x.csv);
  al_buffer_free(&x.ranking);
  al_buffer_free(&x.text);
  al_buffer_free(&x.audit);
  return status;
}

/* What a reader types to get the same: the folder as given where it is relative, else its last part, so that a figure
 * that travels names no folder of this machine. */
static al_status name_command(al_report *w) {
  al_status status;
  const char *slash = strrchr(w->study, '/');
  const char *folder = *w->study == '/' && slash != NULL ? slash + 1 : w->study;
  size_t m = w->options->measure;
  if (m == AL_MEASURE_ACCURACY)
    AL_TRY(al_format(&w->redraw, "alab report %s", folder));
  else
    AL_TRY(al_format(&w->redraw, "alab report %s --metric %s", folder, al_measures[m].name));
done:
  return status;
}

al_status al_report_study(const char *study, const al_report_options *options, FILE *text) {
  al_status status;
  al_report w = {.options = options, .study = study};
  AL_TRY(name_command(&w));
  AL_TRY(al_collect(&w.c, &study, 1, NULL));
  AL_TRY(al_groups_of(&w.groups, &w.group_count, w.c, options->measure));
  AL_TRY(AL_NEW(&w.of_setting, w.c->n));
  AL_TRY(AL_NEW(&w.of_group, w.group_count));
  AL_TRY(al_audit_make(&w.audit, json_object_get(w.c->study, "experiment"), w.c));
  AL_TRY(al_folder_make(options->out));
  AL_TRY(write_tables(&w, text)); /* before the figures: they come without gnuplot, and whatever it does */
  bool pictures = (options->formats & AL_FORMAT_PICTURES) != 0;
  for (size_t i = 0; i < w.group_count && pictures; i++) AL_TRY(add_group(&w, i));
  for (size_t i = 0; i < w.c->n && pictures; i++) AL_TRY(add_setting(&w, i));
  AL_TRY(al_drawings_make(&w.pictures.drawings, options->formats, options->jobs));
  if (options->formats & AL_FORMAT_HTML) AL_TRY(al_page_write(&w));
  for (size_t i = 0; i < json_array_size(w.c->unfinished); i++)
    al_log_notice("unfinished, left out: %s", json_string_value(json_array_get(w.c->unfinished, i)));
done:
  al_pictures_free(&w.pictures);
  al_audit_free(&w.audit);
  al_groups_free(w.groups, w.group_count);
  free(w.of_setting);
  free(w.of_group);
  free(w.redraw);
  al_collection_free(w.c);
  return status;
}
