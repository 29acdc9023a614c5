/* HTML details of the page. */
#include "report/html.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

al_status al_html_text(al_buffer *out, const char *text) {
  al_status status = AL_OK;
  for (; *text != '\0' && status == AL_OK; text++) {
    const char *with = *text == '&'   ? "&amp;"
                       : *text == '<' ? "&lt;"
                       : *text == '>' ? "&gt;"
                       : *text == '"' ? "&quot;"
                                      : NULL;
    status = with != NULL ? al_buffer_append(out, with, strlen(with)) : al_buffer_append(out, text, 1);
  }
  return status;
}

/* Colours of style.gp that follow the page's theme; all others (heat maps) stay as they are. */
static const char *variable_of(unsigned colour) {
  static const struct {
    unsigned colour;
    const char *name;
  } table[] = {{0x000000, "ink"},  {0x0072b2, "s2"},   {0xd55e00, "s3"},   {0x009e73, "s4"},
               {0xcc79a7, "s5"},   {0xe69f00, "s6"},   {0x56b4e9, "s7"},   {0x7f5f00, "s8"},
               {0x882255, "s9"},   {0x44aa99, "s10"},  {0xaa4499, "s11"},  {0x666666, "s12"},
               {0x444444, "soft"}, {0x555555, "soft"}, {0xdddddd, "line"}, {0xbbbbbb, "grey"}};
  for (size_t i = 0; i < sizeof table / sizeof *table; i++)
    if (table[i].colour == colour) return table[i].name;
  return NULL;
}

/* "rgb(  0, 114, 178)" at `at`: its end and the colour; NULL when it is none. */
static const char *read_colour(const char *at, unsigned *colour) {
  unsigned r, g, b;
  int end = 0;
  if (sscanf(at, "rgb(%u,%u,%u)%n", &r, &g, &b, &end) != 3 || end == 0) return NULL;
  *colour = (r & 255U) << 16 | (g & 255U) << 8 | (b & 255U);
  return at + end;
}

static bool starts(const char *at, const char *with) { return strncmp(at, with, strlen(with)) == 0; }

/* A curve's <title>: gnuplot keeps the backslashes of its enhanced text there. */
static const char *copy_title(al_buffer *out, const char *at, al_status *status) {
  const char *end = strstr(at, "</title>");
  for (; end != NULL && at < end && *status == AL_OK; at++)
    if (*at != '\\') *status = al_buffer_append(out, at, 1);
  return at;
}

/* One piece of the SVG: what is written for it; the return value is where to go on. */
static const char *copy_piece(al_buffer *out, const char *at, const char *prefix, al_status *status) {
  unsigned colour = 0;
  const char *end = NULL;
  if (starts(at, "<title>")) return copy_title(out, at, status);
  if (starts(at, " id=\"") || starts(at, " id='")) {
    *status = al_buffer_print(out, "%.5s%s", at, prefix);
    return at + 5;
  }
  if (starts(at, "href='#") || starts(at, "href=\"#") || starts(at, "url(#")) {
    size_t n = strcspn(at, "#") + 1;
    *status = al_buffer_print(out, "%.*s%s", (int)n, at, prefix);
    return at + n;
  }
  if (starts(at, "'black'") || starts(at, "\"black\"")) {
    *status = al_buffer_print(out, "\"var(--ink)\"");
    return at + 7;
  }
  if (starts(at, "rgb(") && (end = read_colour(at, &colour)) != NULL && variable_of(colour) != NULL) {
    *status = al_buffer_print(out, "var(--%s)", variable_of(colour));
    return end;
  }
  *status = al_buffer_append(out, at, 1);
  return at + 1;
}

/* Attributes that say what is so anyhow, and groups with nothing in them: half of what gnuplot writes. */
static const char *skip_idle(const char *at) {
  static const char *const idle[] = {" color=\"black\"", " stroke-linecap=\"butt\"", " stroke-linejoin=\"miter\"",
                                     " font-family=\"DejaVu Sans\""};
  for (size_t i = 0; i < sizeof idle / sizeof *idle; i++)
    if (starts(at, idle[i])) return at + strlen(idle[i]);
  if (starts(at, "<g fill=\"none\"")) {
    const char *end = strchr(at, '>');
    if (end != NULL && starts(end, ">\n</g>\n")) return end + strlen(">\n</g>\n");
  }
  if (starts(at, "\n\t") || starts(at, "\t\t")) return at + 1;
  return at;
}

/* A background of the whole canvas is the page's matter. */
static const char *skip_background(const char *at) {
  if (!starts(at, "<rect x=\"0\" y=\"0\"")) return at;
  const char *end = strstr(at, "/>");
  return end == NULL ? at : end + 2;
}

al_status al_html_svg(al_buffer *out, const char *svg, const char *prefix, const char *label) {
  al_status status;
  const char *at = strstr(svg, "viewBox=\""), *box_end = at == NULL ? NULL : strchr(at + 9, '"');
  const char *body = box_end == NULL ? NULL : strstr(box_end, "<g id=");
  if (body == NULL) return al_fail(AL_ENVIRONMENT, "gnuplot wrote an SVG that alab cannot read");
  AL_TRY(al_buffer_print(out, "<svg class=\"plot\" %.*s role=\"img\" aria-label=\"", (int)(box_end + 1 - at), at));
  AL_TRY(al_html_text(out, label));
  AL_TRY(al_buffer_print(out, "\">\n"));
  for (at = body; *at != '\0' && status == AL_OK;) {
    const char *behind = skip_background(skip_idle(at));
    at = behind != at ? behind : copy_piece(out, at, prefix, &status);
  }
done:
  return status;
}
