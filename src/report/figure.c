/* Curves as gnuplot data and scripts. A point of a mean curve is there only where all replicates have one; where x
 * differs between replicates (cost), each is interpolated on the union of x. */
#include "report/figure.h"

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const double *x_of(const al_run *run, al_figure_kind kind) {
  return kind == AL_FIGURE_COST ? run->cost : run->labels;
}
static const double *y_of(const al_run *run, al_figure_kind kind) {
  return kind == AL_FIGURE_TIME ? run->seconds : run->accuracy;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* One block: x, mean, low, high, replicates. */
static al_status write_block(al_buffer *out, const al_contender *c, al_figure_kind kind) {
  al_status status;
  double *grid = NULL, *values = NULL, from = -INFINITY, to = INFINITY;
  size_t n = 0;
  for (size_t i = 0; i < c->n; i++) n += c->runs[i].rounds;
  AL_TRY(AL_NEW(&grid, n));
  AL_TRY(AL_NEW(&values, c->n));
  n = 0;
  for (size_t i = 0; i < c->n; i++) {
    const al_run *run = &c->runs[i];
    const double *x = x_of(run, kind);
    from = fmax(from, x[0]);
    to = fmin(to, x[run->rounds - 1]);
    memcpy(grid + n, x, run->rounds * sizeof *grid);
    n += run->rounds;
  }
  qsort(grid, n, sizeof *grid, ascending);
  AL_TRY(al_buffer_print(out, "# %s: x, mean, low and high of the 95 %% interval, replicates\n", c->strategy));
  double gap = kind == AL_FIGURE_COST ? (to - from) / 40.0 : 0.0,
         last = -INFINITY; /* a union of many x is thinned for the eye */
  for (size_t i = 0; i < n; i++) {
    double x = grid[i];
    bool at_end = x == to;
    if (x < from || x > to || x == last || (x - last < gap && !at_end)) continue;
    size_t used = 0;
    for (size_t j = 0; j < c->n; j++) {
      const al_run *run = &c->runs[j];
      al_curve curve = {.x = x_of(run, kind), .y = y_of(run, kind), .n = run->rounds};
      double y = al_curve_at(&curve, x);
      if (isfinite(y)) values[used++] = y;
    }
    last = x;
    if (used != c->n || (kind == AL_FIGURE_TIME && i == 0)) continue;
    al_interval m = al_mean_interval(values, used);
    AL_TRY(al_buffer_print(out, "%.10g %.10g %.10g %.10g %zu\n", x, m.mean, m.n > 1 ? m.low : m.mean,
                           m.n > 1 ? m.high : m.mean, m.n));
  }
  AL_TRY(al_buffer_print(out, "\n\n"));
done:
  free(grid);
  free(values);
  return status;
}

static const char *const x_titles[] = {"labels", NULL, "labels when the batch was chosen and answered"};
static const char *const y_titles[] = {"test accuracy", "test accuracy",
                                       "seconds a query (predicting the pool, choosing)"};
static const char *const titles[] = {"Learning curves", "Learning curves against cost", "Time of a query"};

static al_status write_script(const char *folder, const char *name, const al_setting *s, al_figure_kind kind,
                              double full, const char *source) {
  al_status status;
  al_buffer g = {0};
  char *path = NULL;
  const char *x_title = kind == AL_FIGURE_COST
                            ? (strcmp(s->cost_kind, "time") == 0 ? "cost in seconds of annotation" : "cost")
                            : x_titles[kind];
  AL_TRY(al_buffer_print(
      &g,
      "# Redraw: gnuplot -e \"format='svg'\" %s.gp   (svg, pdf or png)\n"
      "# Data: %s.dat, from %s\n"
      "if (!exists(\"format\")) format = 'svg'\n"
      "if (format eq 'svg') set terminal svg size 860,480 dynamic font 'DejaVu Sans,12' enhanced background 'white'\n"
      "if (format eq 'pdf') set terminal pdfcairo size 8.6,4.8 font 'DejaVu Sans,11' enhanced\n"
      "if (format eq 'png') set terminal pngcairo size 1290,720 font 'DejaVu Sans,13' enhanced\n"
      "set output '%s.'.format\n"
      "load 'style.gp'\n",
      name, name, source, name));
  AL_TRY(al_buffer_print(&g, "set title \"%s: %s, %s%s%s\" noenhanced\n", titles[kind], s->dataset, s->model,
                         *s->axes == '\0' ? "" : ", ", s->axes));
  AL_TRY(al_buffer_print(&g, "set xlabel \"%s\"\nset ylabel \"%s\"\n", x_title, y_titles[kind]));
  if (kind == AL_FIGURE_TIME) AL_TRY(al_buffer_print(&g, "set logscale y\nset format y \"%%g\"\n"));
  AL_TRY(al_buffer_print(
      &g,
      "set label 1 \"mean over replicates, bars: 95 %% t interval; data: %s.dat, from %s; redraw: gnuplot "
      "%s.gp\" at screen 0.02,0.025 font ',8' tc rgb '#666666' noenhanced\n",
      name, source, name));
  AL_TRY(al_buffer_print(&g, "plot "));
  bool line = kind != AL_FIGURE_TIME && isfinite(full);
  for (size_t i = 0; i < s->n; i++)
    AL_TRY(al_buffer_print(
        &g, "%s'%s.dat' index %zu using 1:2:3:4 with yerrorlines ls %zu title \"%s (%zu)\" noenhanced",
        i == 0 ? "" : ", \\\n     ", name, i, i % 12 + 1, s->contenders[i].strategy, s->contenders[i].n));
  if (line) AL_TRY(al_buffer_print(&g, ", \\\n     %.10g with lines ls 90 title \"full data\"", full));
  AL_TRY(al_buffer_print(&g, "\n"));
  AL_TRY(al_format(&path, "%s/%s.gp", folder, name));
  AL_TRY(al_file_write(path, g.data, g.size));
done:
  free(path);
  al_buffer_free(&g);
  return status;
}

/* plots/style.gp beside the figures, so that they can be redrawn wherever they are taken. */
static al_status copy_style(const char *folder) {
  al_status status;
  char *text = NULL, *path = NULL;
  size_t size = 0;
  const char *from = al_file_exists("plots/style.gp") ? "plots/style.gp" : ALAB_SOURCE_DIR "/plots/style.gp";
  AL_TRY(al_file_read(&text, &size, from, 1 << 20));
  AL_TRY(al_format(&path, "%s/style.gp", folder));
  AL_TRY(al_file_write(path, text, size));
done:
  free(text);
  free(path);
  return status;
}

/* gnuplot in `folder`, without a shell; its messages go to <name>.log. False when it is missing or fails. */
static bool run_gnuplot(const char *folder, const char *name, const char *format) {
  char assign[32], script[300], log[300];
  int how = 0;
  snprintf(assign, sizeof assign, "format='%s'", format);
  snprintf(script, sizeof script, "%s.gp", name);
  snprintf(log, sizeof log, "%s.log", name);
  fflush(NULL);
  pid_t pid = fork();
  if (pid < 0) return false;
  if (pid == 0) {
    if (chdir(folder) != 0) _exit(126);
    int file = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (file >= 0) {
      dup2(file, STDOUT_FILENO);
      dup2(file, STDERR_FILENO);
    }
    execlp("gnuplot", "gnuplot", "-e", assign, script, (char *)NULL);
    _exit(127);
  }
  while (waitpid(pid, &how, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(how) && WEXITSTATUS(how) == 0) {
    char *path = NULL;
    if (al_format(&path, "%s/%s", folder, log) == AL_OK) unlink(path);
    free(path);
    return true;
  }
  static bool said;
  if (!said) {
    if (WIFEXITED(how) && WEXITSTATUS(how) == 127)
      al_log_warning("gnuplot is not installed: tables are written, figures are not (install gnuplot 5 and run alab "
                     "report again)");
    else
      al_log_warning("gnuplot could not draw %s/%s (see %s there; gnuplot 5.2 or later is needed)", folder, script,
                     log);
    said = true;
  }
  return false;
}

/* gnuplot's PDF terminal writes the time of day: a fixed date of the same length instead, so that equal figures are
 * equal files. */
static al_status fix_date(const char *folder, const char *name) {
  static const char key[] = "/CreationDate (";
  al_status status;
  char *path = NULL, *bytes = NULL;
  size_t size = 0;
  AL_TRY(al_format(&path, "%s/%s.pdf", folder, name));
  AL_TRY(al_file_read(&bytes, &size, path, 1 << 28));
  char *at = memmem(bytes, size, key, strlen(key));
  if (at == NULL) goto done;
  for (at += strlen(key); at < bytes + size && *at != ')'; at++)
    if (*at >= '0' && *at <= '9') *at = '0';
  AL_TRY(al_file_write(path, bytes, size));
done:
  free(path);
  free(bytes);
  return status;
}

al_status al_figure_draw(const char *folder, const char *name, const al_setting *s, al_figure_kind kind, double full,
                         const char *source, unsigned formats, bool *drawn) {
  al_status status;
  al_buffer data = {0};
  char *path = NULL;
  *drawn = true;
  for (size_t i = 0; i < s->n; i++) AL_TRY(write_block(&data, &s->contenders[i], kind));
  AL_TRY(al_format(&path, "%s/%s.dat", folder, name));
  AL_TRY(al_file_write(path, data.data, data.size));
  AL_TRY(write_script(folder, name, s, kind, full, source));
  AL_TRY(copy_style(folder));
  if (formats & (AL_FORMAT_SVG | AL_FORMAT_HTML)) *drawn = run_gnuplot(folder, name, "svg") && *drawn;
  if ((formats & AL_FORMAT_PNG) && *drawn) *drawn = run_gnuplot(folder, name, "png");
  if ((formats & AL_FORMAT_PDF) && *drawn) {
    *drawn = run_gnuplot(folder, name, "pdf");
    if (*drawn) AL_TRY(fix_date(folder, name));
  }
done:
  free(path);
  al_buffer_free(&data);
  return status;
}
