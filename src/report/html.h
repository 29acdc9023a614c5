/* Text for HTML, and gnuplot's SVG made part of a page. */
#ifndef AL_REPORT_HTML_H
#define AL_REPORT_HTML_H

#include "base/memory.h"

/* Escapes &, <, > and ". */
al_status al_html_text(al_buffer *out, const char *text) AL_MUST_USE;

/* An SVG file of gnuplot's as part of a page: ids get `prefix` in front (several figures stand in one page), colours of
 * style.gp become CSS variables (light and dark), the font is the page's, and `label` is what a screen reader says. */
al_status al_html_svg(al_buffer *out, const char *svg, const char *prefix, const char *label) AL_MUST_USE;

#endif
