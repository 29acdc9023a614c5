/* Tables for people, and CSV fields. */
#include "report/grid.h"

#include "report/html.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

al_status al_grid_begin(al_grid *g, const char *caption, const char *const *heads, size_t columns, size_t rows) {
  al_status status;
  *g = (al_grid){.caption = caption, .heads = heads, .columns = columns, .rows = rows};
  AL_TRY(al_allocate(&g->cells, rows * columns, AL_GRID_CELL));
  AL_TRY(AL_NEW(&g->keys, rows * columns));
done:
  return status;
}

void al_grid_put(al_grid *g, size_t row, size_t column, double key, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(g->cells[row * g->columns + column], AL_GRID_CELL, format, arguments);
  va_end(arguments);
  g->keys[row * g->columns + column] = key;
}

void al_grid_free(al_grid *g) {
  free(g->cells);
  free(g->keys);
  *g = (al_grid){0};
}

static const char *cell_of(const al_grid *g, size_t row, size_t column) {
  return row == 0 ? g->heads[column] : g->cells[(row - 1) * g->columns + column];
}

static al_status put_text(al_buffer *out, const al_grid *g) {
  al_status status = AL_OK;
  size_t *widths = NULL;
  AL_TRY(AL_NEW(&widths, g->columns));
  for (size_t c = 0; c < g->columns; c++)
    for (size_t r = 0; r <= g->rows; r++) {
      size_t n = strlen(cell_of(g, r, c));
      widths[c] = n > widths[c] ? n : widths[c];
    }
  for (size_t r = 0; r <= g->rows; r++)
    for (size_t c = 0; c < g->columns; c++)
      AL_TRY(al_buffer_print(out, "%-*s%s", c + 1 < g->columns ? (int)widths[c] : 0, cell_of(g, r, c),
                             c + 1 < g->columns ? "  " : "\n"));
done:
  free(widths);
  return status;
}

static al_status put_md(al_buffer *out, const al_grid *g) {
  al_status status = AL_OK;
  for (size_t r = 0; r <= g->rows; r++) {
    for (size_t c = 0; c < g->columns; c++) AL_TRY(al_buffer_print(out, "| %s ", cell_of(g, r, c)));
    AL_TRY(al_buffer_print(out, "|\n"));
    for (size_t c = 0; c < g->columns && r == 0; c++) AL_TRY(al_buffer_print(out, "| --- "));
    if (r == 0) AL_TRY(al_buffer_print(out, "|\n"));
  }
done:
  return status;
}

/* A minus in front of a number is a minus, not a hyphen. */
static al_status tex_text(al_buffer *out, const char *text) {
  al_status status = AL_OK;
  char before = ' ';
  for (const char *at = text; *at != '\0' && status == AL_OK; before = *at++) {
    bool sign = *at == '-' && (before == ' ' || before == '[') && at[1] >= '0' && at[1] <= '9';
    if (strchr("%_&#$", *at) != NULL) {
      status = al_buffer_print(out, "\\%c", *at);
    } else if ((*at == '<' || *at == '>') && at[1] == '=') {
      status = al_buffer_print(out, "$\\%s$", *at == '<' ? "le" : "ge");
      at++;
    } else if (strchr("<>+", *at) != NULL || sign) {
      status = al_buffer_print(out, "$%c$", *at);
    } else {
      status = al_buffer_append(out, at, 1);
    }
  }
  return status;
}

static al_status put_tex(al_buffer *out, const al_grid *g) {
  al_status status;
  AL_TRY(al_buffer_print(out, "%% needs \\usepackage{booktabs}\n\\begin{tabular}{l"));
  for (size_t c = 1; c < g->columns; c++) AL_TRY(al_buffer_print(out, "r"));
  AL_TRY(al_buffer_print(out, "}\n\\toprule\n"));
  for (size_t r = 0; r <= g->rows; r++) {
    for (size_t c = 0; c < g->columns; c++) {
      AL_TRY(tex_text(out, cell_of(g, r, c)));
      AL_TRY(al_buffer_print(out, "%s", c + 1 < g->columns ? " & " : " \\\\\n"));
    }
    if (r == 0) AL_TRY(al_buffer_print(out, "\\midrule\n"));
  }
  AL_TRY(al_buffer_print(out, "\\bottomrule\n\\end{tabular}\n"));
done:
  return status;
}

static al_status put_html(al_buffer *out, const al_grid *g) {
  al_status status;
  AL_TRY(al_buffer_print(out, "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\""));
  AL_TRY(al_html_text(out, g->caption));
  AL_TRY(al_buffer_print(out, "\">\n<table class=\"sortable\">\n<caption>"));
  AL_TRY(al_html_text(out, g->caption));
  AL_TRY(al_buffer_print(out, "</caption>\n<thead><tr>"));
  for (size_t c = 0; c < g->columns; c++) {
    AL_TRY(al_buffer_print(out, "<th scope=\"col\" aria-sort=\"none\"><button type=\"button\">"));
    AL_TRY(al_html_text(out, g->heads[c]));
    AL_TRY(al_buffer_print(out, "</button></th>"));
  }
  AL_TRY(al_buffer_print(out, "</tr></thead>\n<tbody>\n"));
  for (size_t r = 0; r < g->rows; r++) {
    AL_TRY(al_buffer_print(out, "<tr>"));
    for (size_t c = 0; c < g->columns; c++) {
      double key = g->keys[r * g->columns + c];
      AL_TRY(al_buffer_print(out, c == 0 ? "<th scope=\"row\"" : "<td"));
      if (!isnan(key)) AL_TRY(al_buffer_print(out, " data-key=\"%.10g\"", key));
      AL_TRY(al_buffer_print(out, ">"));
      AL_TRY(al_html_text(out, g->cells[r * g->columns + c]));
      AL_TRY(al_buffer_print(out, c == 0 ? "</th>" : "</td>"));
    }
    AL_TRY(al_buffer_print(out, "</tr>\n"));
  }
  AL_TRY(al_buffer_print(out, "</tbody>\n</table>\n</div>\n"));
done:
  return status;
}

al_status al_grid_append(al_buffer *out, const al_grid *g, al_grid_style style) {
  switch (style) {
  case AL_GRID_TEXT: return put_text(out, g);
  case AL_GRID_MD: return put_md(out, g);
  case AL_GRID_TEX: return put_tex(out, g);
  case AL_GRID_HTML: return put_html(out, g);
  }
  return AL_OK;
}

static al_status comma(al_buffer *out) {
  return out->size == 0 || out->data[out->size - 1] == '\n' ? AL_OK : al_buffer_append(out, ",", 1);
}

al_status al_csv_text(al_buffer *out, const char *text) {
  al_status status;
  AL_TRY(comma(out));
  if (strpbrk(text, ",\"\r\n") == NULL) return al_buffer_append(out, text, strlen(text));
  AL_TRY(al_buffer_append(out, "\"", 1));
  for (; *text != '\0'; text++) AL_TRY(al_buffer_append(out, *text == '"' ? "\"\"" : text, *text == '"' ? 2 : 1));
  AL_TRY(al_buffer_append(out, "\"", 1));
done:
  return status;
}

al_status al_csv_number(al_buffer *out, double value) {
  al_status status = comma(out);
  if (status != AL_OK || isnan(value)) return status;
  return al_buffer_print(out, "%.17g", value);
}
