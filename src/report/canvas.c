/* Data files, scripts and gnuplot. A script is the figure's own values followed by its template, so that it can be
 * taken away and edited; style.gp, the look that all share, lies beside it. */
#include "report/canvas.h"

#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LEAST_MAJOR = 5, LEAST_MINOR = 2, MOST_CHILDREN = 64, MOST_WARNINGS = 3 };

void al_canvas_free(al_canvas *c) {
  al_buffer_free(&c->data);
  al_buffer_free(&c->script);
  al_buffer_free(&c->skipped);
  al_buffer_free(&c->caption);
}

static al_status append_formatted(al_buffer *out, const char *format, va_list arguments) {
  char text[2048];
  int n = vsnprintf(text, sizeof text, format, arguments);
  if (n < 0 || (size_t)n >= sizeof text) return al_fail(AL_ENVIRONMENT, "a text of a figure is too long");
  return al_buffer_append(out, text, (size_t)n);
}

al_status al_canvas_skip(al_canvas *c, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  al_status status = append_formatted(&c->skipped, format, arguments);
  va_end(arguments);
  return status;
}

al_status al_canvas_say(al_canvas *c, const char *format, ...) {
  al_status status = AL_OK;
  va_list arguments;
  if (c->caption.size != 0) AL_TRY(al_buffer_print(&c->caption, " "));
  va_start(arguments, format);
  status = append_formatted(&c->caption, format, arguments);
  va_end(arguments);
done:
  return status;
}

al_status al_canvas_set(al_canvas *c, const char *name, double value) {
  if (!isfinite(value)) return al_buffer_print(&c->script, "%s = NaN\n", name);
  return al_buffer_print(&c->script, "%s = %.10g\n", name, value);
}

/* 'text' in gnuplot's single quotes, escaped for gnuplot's enhanced text or for LaTeX. */
static al_status append_quoted(al_buffer *out, const char *text, bool tex) {
  al_status status = AL_OK;
  AL_TRY(al_buffer_append(out, "'", 1));
  for (const char *at = text; *at != '\0'; at++) {
    if (*at == '\'')
      AL_TRY(al_buffer_append(out, "''", 2));
    else if (*at == '\n' || *at == '\r')
      AL_TRY(al_buffer_append(out, " ", 1));
    else if (!tex)
      AL_TRY(al_buffer_print(out, strchr("_^{}@&~\\", *at) != NULL ? "\\%c" : "%c", *at));
    else if (strchr("%_&#${}", *at) != NULL)
      AL_TRY(al_buffer_print(out, "\\%c", *at));
    else if (*at == '<' || *at == '>')
      AL_TRY(al_buffer_print(out, "$%c$", *at));
    else if (*at == '\\' || *at == '~' || *at == '^')
      AL_TRY(al_buffer_append(out, " ", 1)); /* no label of alab's has them */
    else
      AL_TRY(al_buffer_append(out, at, 1));
  }
  AL_TRY(al_buffer_append(out, "'", 1));
done:
  return status;
}

static al_status append_text(al_buffer *out, const char *text) {
  al_status status;
  if (strpbrk(text, "%_&#${}<>\\~^") == NULL) return append_quoted(out, text, false);
  AL_TRY(al_buffer_print(out, "T("));
  AL_TRY(append_quoted(out, text, false));
  AL_TRY(al_buffer_print(out, ", "));
  AL_TRY(append_quoted(out, text, true));
  AL_TRY(al_buffer_print(out, ")"));
done:
  return status;
}

static al_status set_text(al_canvas *c, const char *name, const char *format, va_list arguments) {
  al_status status;
  al_buffer text = {0};
  AL_TRY(al_buffer_print(&text, "%s", ""));
  AL_TRY(append_formatted(&text, format, arguments));
  AL_TRY(al_buffer_print(&c->script, "%s = ", name));
  AL_TRY(append_text(&c->script, text.data));
  AL_TRY(al_buffer_print(&c->script, "\n"));
done:
  al_buffer_free(&text);
  return status;
}

al_status al_canvas_text(al_canvas *c, const char *name, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  al_status status = set_text(c, name, format, arguments);
  va_end(arguments);
  return status;
}

al_status al_canvas_text_at(al_canvas *c, const char *array, size_t at, const char *format, ...) {
  char name[64];
  va_list arguments;
  snprintf(name, sizeof name, "%s[%zu]", array, at);
  va_start(arguments, format);
  al_status status = set_text(c, name, format, arguments);
  va_end(arguments);
  return status;
}

al_status al_canvas_set_at(al_canvas *c, const char *array, size_t at, double value) {
  char name[64];
  snprintf(name, sizeof name, "%s[%zu]", array, at);
  return al_canvas_set(c, name, value);
}

al_status al_canvas_array(al_canvas *c, const char *name, size_t n) {
  return al_buffer_print(&c->script, "array %s[%zu]\n", name, n == 0 ? 1 : n);
}

al_status al_canvas_block(al_canvas *c, const char *format, ...) {
  al_status status;
  AL_TRY(al_buffer_print(&c->data, "%s# ", c->blocks == 0 ? "" : "\n\n"));
  va_list arguments;
  va_start(arguments, format);
  status = append_formatted(&c->data, format, arguments);
  va_end(arguments);
  if (status != AL_OK) goto done;
  AL_TRY(al_buffer_print(&c->data, "\n"));
  c->blocks++;
done:
  return status;
}

al_status al_canvas_row(al_canvas *c, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  al_status status = append_formatted(&c->data, format, arguments);
  va_end(arguments);
  return status == AL_OK ? al_buffer_append(&c->data, "\n", 1) : status;
}

al_status al_canvas_numbers(al_canvas *c, const double *values, size_t n) {
  al_status status = AL_OK;
  for (size_t i = 0; i < n; i++) {
    const char *behind = i + 1 < n ? " " : "\n";
    AL_TRY(isfinite(values[i]) ? al_buffer_print(&c->data, "%.10g%s", values[i], behind)
                               : al_buffer_print(&c->data, "NaN%s", behind));
  }
done:
  return status;
}

/* ---- files ---- */

const char *al_asset_text(const char *name) {
  for (size_t i = 0; al_assets[i].name != NULL; i++)
    if (strcmp(al_assets[i].name, name) == 0) return al_assets[i].text;
  return NULL;
}

static al_status put_file(const char *folder, const char *name, const char *extension, const void *bytes, size_t size) {
  char *path = NULL;
  al_status status = al_format(&path, "%s/%s%s", folder, name, extension);
  if (status == AL_OK) status = al_file_write(path, bytes, size);
  free(path);
  return status;
}

al_status al_canvas_finish(al_canvas *c, const char *folder, al_drawings *drawings) {
  al_status status;
  al_buffer g = {0};
  char name[64];
  snprintf(name, sizeof name, "%s.gp", c->template);
  const char *template = al_asset_text(name), *style = al_asset_text("style.gp");
  if (template == NULL || style == NULL) return al_fail(AL_ENVIRONMENT, "the template %s is not in this program", name);
  AL_TRY(al_folder_make(folder));
  AL_TRY(al_buffer_print(&g,
                         "# Data: %s.dat, from %s. Redraw in this folder: gnuplot %s.gp\n"
                         "# (gnuplot -e \"format='pdf'\" %s.gp; there are svg, pdf, png and tex), or anew from the "
                         "logs: %s\n"
                         "if (!exists('format')) format = 'svg'\n"
                         "T(plain, latex) = format eq 'tex' ? latex : plain\n"
                         "name = '%s'\nwidth = %.10g\nheight = %.10g\n",
                         c->name, c->source, c->name, c->name, c->redraw, c->name, c->width, c->height));
  AL_TRY(al_buffer_print(&g, "provenance = "));
  char provenance[1024];
  snprintf(provenance, sizeof provenance, "data: %s.dat, from %s; redraw: %s", c->name, c->source, c->redraw);
  AL_TRY(append_text(&g, provenance));
  AL_TRY(al_buffer_print(&g, "\n"));
  AL_TRY(al_buffer_append(&g, c->script.data == NULL ? "" : c->script.data, c->script.size));
  AL_TRY(al_buffer_print(&g, "load 'style.gp'\n\n%s", template));
  AL_TRY(put_file(folder, c->name, ".gp", g.data, g.size));
  AL_TRY(put_file(folder, c->name, ".dat", c->data.data == NULL ? "" : c->data.data, c->data.size));
  AL_TRY(put_file(folder, "style", ".gp", style, strlen(style)));
  AL_TRY(al_grow(&drawings->items, &drawings->capacity, drawings->n + 1, sizeof *drawings->items));
  al_drawing *drawing = &drawings->items[drawings->n++];
  *drawing = (al_drawing){0};
  AL_TRY(al_copy_string(&drawing->folder, folder));
  AL_TRY(al_copy_string(&drawing->name, c->name));
  AL_TRY(al_copy_string(&drawing->source, provenance));
done:
  al_buffer_free(&g);
  return status;
}

void al_drawings_free(al_drawings *drawings) {
  for (size_t i = 0; i < drawings->n; i++) {
    free(drawings->items[i].folder);
    free(drawings->items[i].name);
    free(drawings->items[i].source);
  }
  free(drawings->items);
  *drawings = (al_drawings){0};
}

/* ---- gnuplot ---- */

/* The first line of `gnuplot --version`; false when it cannot be started. */
static bool ask_version(char *text, size_t size) {
  int ends[2], how = 0;
  size_t used = 0;
  if (pipe(ends) != 0) return false;
  fflush(NULL);
  pid_t pid = fork();
  if (pid == 0) {
    dup2(ends[1], STDOUT_FILENO);
    close(ends[0]);
    close(ends[1]);
    execlp("gnuplot", "gnuplot", "--version", (char *)NULL);
    _exit(127);
  }
  close(ends[1]);
  while (pid > 0 && used + 1 < size) {
    ssize_t n = read(ends[0], text + used, size - 1 - used);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    used += (size_t)n;
  }
  text[used] = '\0';
  text[strcspn(text, "\r\n")] = '\0';
  close(ends[0]);
  if (pid < 0) return false;
  while (waitpid(pid, &how, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(how) && WEXITSTATUS(how) == 0;
}

static bool gnuplot_will_do(void) {
  char text[128] = "";
  int major = 0, minor = 0;
  if (!ask_version(text, sizeof text)) {
    al_log_warning("gnuplot is not installed: tables are written, figures are not (install gnuplot %d.%d or later, as "
                   "Debian's gnuplot-nox, and run the same command again)",
                   LEAST_MAJOR, LEAST_MINOR);
    return false;
  }
  if (sscanf(text, "gnuplot %d.%d", &major, &minor) != 2 || major < LEAST_MAJOR ||
      (major == LEAST_MAJOR && minor < LEAST_MINOR)) {
    al_log_warning("'%s' is too old: tables are written, figures are not (install gnuplot %d.%d or later and run the "
                   "same command again)",
                   text, LEAST_MAJOR, LEAST_MINOR);
    return false;
  }
  return true;
}

/* One child: gnuplot without the user's settings, in the figure's folder, its messages in <name>.log. */
static pid_t start_child(const al_drawing *drawing, const char *format) {
  char assign[32], script[300], log[300];
  snprintf(assign, sizeof assign, "format='%s'", format);
  snprintf(script, sizeof script, "%s.gp", drawing->name);
  snprintf(log, sizeof log, "%s.%s.log", drawing->name, format);
  fflush(NULL);
  pid_t pid = fork();
  if (pid != 0) return pid;
  if (chdir(drawing->folder) != 0) _exit(126);
  int file = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0666);
  if (file >= 0) {
    dup2(file, STDOUT_FILENO);
    dup2(file, STDERR_FILENO);
  }
  execlp("gnuplot", "gnuplot", "--default-settings", "-e", assign, script, (char *)NULL);
  _exit(127);
}

/* gnuplot's PDF writes the time of day: a fixed date of the same length instead. */
static al_status fix_date(const char *folder, const char *name, const char *extension) {
  static const char key[] = "/CreationDate (";
  al_status status;
  char *path = NULL, *bytes = NULL;
  size_t size = 0;
  AL_TRY(al_format(&path, "%s/%s%s", folder, name, extension));
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

/* A figure for a paper carries its source as a comment, not as text in the picture. */
static al_status head_tex(const al_drawing *drawing) {
  al_status status;
  char *path = NULL, *text = NULL;
  al_buffer whole = {0};
  size_t size = 0;
  AL_TRY(al_format(&path, "%s/%s-tex.tex", drawing->folder, drawing->name));
  AL_TRY(al_file_read(&text, &size, path, 1 << 28));
  AL_TRY(al_buffer_print(&whole, "%% %s\n", drawing->source));
  AL_TRY(al_buffer_append(&whole, text, size));
  AL_TRY(al_file_write(path, whole.data, whole.size));
done:
  free(path);
  free(text);
  al_buffer_free(&whole);
  return status;
}

typedef struct {
  pid_t pid;
  al_drawing *drawing;
  const char *format;
} child;

static al_status end_child(const child *c, int how, size_t *failed) {
  al_status status = AL_OK;
  char *log = NULL;
  AL_TRY(al_format(&log, "%s/%s.%s.log", c->drawing->folder, c->drawing->name, c->format));
  if (WIFEXITED(how) && WEXITSTATUS(how) == 0) {
    unlink(log);
    if (strcmp(c->format, "pdf") == 0) AL_TRY(fix_date(c->drawing->folder, c->drawing->name, ".pdf"));
    if (strcmp(c->format, "tex") == 0) {
      AL_TRY(fix_date(c->drawing->folder, c->drawing->name, "-tex.pdf"));
      AL_TRY(head_tex(c->drawing));
    }
  } else {
    c->drawing->drawn = false;
    if ((*failed)++ < MOST_WARNINGS)
      al_log_warning("gnuplot could not draw %s/%s.gp as %s; what it said is in %s", c->drawing->folder,
                     c->drawing->name, c->format, log);
  }
done:
  free(log);
  return status;
}

al_status al_drawings_make(al_drawings *drawings, unsigned formats, size_t jobs) {
  static const struct {
    unsigned bits;
    const char *name;
  } kinds[] = {
      {AL_FORMAT_SVG | AL_FORMAT_HTML, "svg"}, {AL_FORMAT_PDF, "pdf"}, {AL_FORMAT_PNG, "png"}, {AL_FORMAT_TEX, "tex"}};
  al_status status = AL_OK;
  child running[MOST_CHILDREN];
  size_t n = 0, failed = 0, most = jobs < 1 ? 1 : jobs > MOST_CHILDREN ? MOST_CHILDREN : jobs;
  if (drawings->n == 0 || (formats & AL_FORMAT_PICTURES) == 0) return AL_OK;
  if (!gnuplot_will_do()) return AL_OK;
  size_t next = 0, kind = 0;
  for (size_t i = 0; i < drawings->n; i++) drawings->items[i].drawn = true;
  while (n != 0 || (next < drawings->n && status == AL_OK)) {
    while (n < most && next < drawings->n && status == AL_OK) {
      if (kinds[kind].bits & formats) {
        pid_t pid = start_child(&drawings->items[next], kinds[kind].name);
        if (pid < 0) return al_fail_errno("cannot start gnuplot");
        running[n++] = (child){.pid = pid, .drawing = &drawings->items[next], .format = kinds[kind].name};
      }
      if (++kind == sizeof kinds / sizeof *kinds) {
        kind = 0;
        next++;
      }
    }
    if (n == 0) break;
    int how = 0;
    pid_t pid = waitpid(running[0].pid, &how, 0); /* the oldest: no other child of this program is taken */
    if (pid < 0 && errno == EINTR) continue;
    al_status ended = end_child(&running[0], how, &failed);
    if (status == AL_OK) status = ended;
    n--;
    memmove(running, running + 1, n * sizeof *running);
  }
  if (failed > MOST_WARNINGS) al_log_warning("gnuplot could not draw %zu pictures in all", failed);
  return status;
}
