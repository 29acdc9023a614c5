/* Standard error. The bar's state is the one thing static here, since there is one terminal. */
#include "base/log.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static struct {
  bool quiet, active, drawn;
  char title[80], unit[16], detail[80];
  double total, done, share /* NAN: done / total */, start, last_print;
} bar;

double al_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

char *al_show_bytes(double bytes, char text[32]) {
  const char *units[] = {"B", "kB", "MB", "GB", "TB"};
  size_t unit = 0;
  while (bytes >= 1000.0 && unit + 1 < sizeof units / sizeof *units) {
    bytes /= 1000.0;
    unit++;
  }
  snprintf(text, 32, unit == 0 || bytes >= 100.0 ? "%.0f %s" : "%.1f %s", bytes, units[unit]);
  return text;
}

char *al_show_seconds(double seconds, char text[32]) {
  if (seconds < 0.0) seconds = 0.0;
  if (seconds < 1.0)
    snprintf(text, 32, "%.0f ms", seconds * 1e3);
  else if (seconds < 60.0)
    snprintf(text, 32, "%.1f s", seconds);
  else if (seconds < 3600.0)
    snprintf(text, 32, "%.0f min %02.0f s", (double)(long)(seconds / 60.0), (double)((long)seconds % 60));
  else
    snprintf(text, 32, "%.0f h %02.0f min", (double)(long)(seconds / 3600.0), (double)((long)seconds / 60 % 60));
  return text;
}

static bool on_terminal(void) {
  const char *term = getenv("TERM");
  return isatty(STDERR_FILENO) && term != NULL && strcmp(term, "dumb") != 0;
}

static void clear_bar(void) {
  if (bar.drawn) fputs("\r\033[K", stderr);
  bar.drawn = false;
}

static double share_done(void) {
  if (bar.done >= bar.total) return 1.0;
  return isnan(bar.share) ? bar.done / bar.total : bar.share;
}

static void describe(char *text, size_t size) {
  char eta[48] = "", seconds[32], done[32], total[32];
  double elapsed = al_seconds() - bar.start, share = share_done();
  if (bar.done >= bar.total)
    snprintf(eta, sizeof eta, "%s", al_show_seconds(elapsed, seconds));
  else if (share > 0.0 && elapsed > 0.5)
    snprintf(eta, sizeof eta, "%s left", al_show_seconds(elapsed * (1.0 - share) / share, seconds));
  double percent = 100.0 * share;
  if (strcmp(bar.unit, "bytes") == 0)
    snprintf(text, size, "%3.0f %% | %s / %s | %s", percent, al_show_bytes(bar.done, done),
             al_show_bytes(bar.total, total), eta);
  else
    snprintf(text, size, "%3.0f %% | %.0f / %.0f %s | %s", percent, bar.done, bar.total, bar.unit, eta);
}

static void draw_bar(void) {
  enum { CELLS = 24 };
  char text[160], cells[CELLS + 1];
  describe(text, sizeof text);
  int full = (int)(share_done() * CELLS);
  if (full > CELLS) full = CELLS;
  for (int i = 0; i < CELLS; i++) cells[i] = i < full ? '#' : '.';
  cells[CELLS] = '\0';
  struct winsize window = {0};
  int columns = ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 20 ? window.ws_col : 80;
  char line[512];
  snprintf(line, sizeof line, "%s [%s] %s %s", bar.title, cells, text, bar.detail);
  fprintf(stderr, "\r\033[K%.*s", columns - 1, line);
  fflush(stderr);
  bar.drawn = true;
}

static void say(const char *prefix, const char *format, va_list arguments) {
  char text[2400];
  vsnprintf(text, sizeof text, format, arguments);
  clear_bar();
  fprintf(stderr, "alab: %s%s\n", prefix, text);
  if (bar.active && !bar.quiet && on_terminal()) draw_bar();
}

void al_log_set_quiet(bool quiet) { bar.quiet = quiet; }

static struct {
  void (*take)(void *context, const char *text);
  void *context;
} listener;

void al_log_set_listener(void (*take)(void *context, const char *text), void *context) {
  listener.take = take;
  listener.context = context;
}

void al_log_notice(const char *format, ...) {
  if (bar.quiet && listener.take == NULL) return;
  va_list arguments;
  va_start(arguments, format);
  if (listener.take != NULL) {
    char text[2400];
    vsnprintf(text, sizeof text, format, arguments);
    listener.take(listener.context, text);
  } else {
    say("", format, arguments);
  }
  va_end(arguments);
}

void al_log_warning(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  say("warning: ", format, arguments);
  va_end(arguments);
}

void al_log_error(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  say("error: ", format, arguments);
  va_end(arguments);
}

void al_progress_start(const char *title, double total, const char *unit) {
  snprintf(bar.title, sizeof bar.title, "%s", title);
  snprintf(bar.unit, sizeof bar.unit, "%s", unit);
  bar.detail[0] = '\0';
  bar.total = total;
  bar.done = 0.0;
  bar.share = NAN;
  bar.start = bar.last_print = al_seconds();
  bar.active = true;
}

static void print_plain(void) {
  char text[160];
  describe(text, sizeof text);
  fprintf(stderr, "alab: %s %s%s%s\n", bar.title, text, bar.detail[0] ? " " : "", bar.detail);
}

void al_progress_update(double done, const char *detail) {
  if (!bar.active) return;
  bar.done = done;
  if (detail != NULL) snprintf(bar.detail, sizeof bar.detail, "%s", detail);
  if (bar.quiet) return;
  double now = al_seconds();
  bool terminal = on_terminal();
  if (now - bar.last_print < (terminal ? 0.1 : 10.0)) return;
  bar.last_print = now;
  if (terminal)
    draw_bar();
  else
    print_plain();
}

void al_progress_share(double share) { bar.share = share; }

void al_progress_end(void) {
  if (!bar.active) return;
  bar.active = false;
  if (bar.quiet) return;
  bar.detail[0] = '\0';
  clear_bar();
  print_plain();
}
