/* Names may come from strangers' files: they are printable UTF-8 by then, and each format escapes what it must. */
#include "cli/text_table.h"

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static al_status add_cell(al_text_table *table, char *text) {
  al_status status = al_grow(&table->cells, &table->capacity, table->n + 1, sizeof *table->cells);
  if (status == AL_OK)
    table->cells[table->n++] = text;
  else
    free(text);
  return status;
}

al_status al_text_table_add(al_text_table *table, const char *format, ...) {
  va_list arguments;
  char *text = NULL;
  va_start(arguments, format);
  int length = vasprintf(&text, format, arguments);
  va_end(arguments);
  return length < 0 ? al_fail(AL_ENVIRONMENT, "out of memory: a cell of a table") : add_cell(table, text);
}

al_status al_text_table_exact(al_text_table *table, double value) {
  return isnan(value) ? al_text_table_add(table, "%s", "") : al_text_table_add(table, "%.17g", value);
}

void al_text_table_free(al_text_table *table) {
  for (size_t i = 0; i < table->n; i++) free(table->cells[i]);
  free(table->cells);
  *table = (al_text_table){.columns = table->columns};
}

/* Code points: good enough for names of letters. */
static size_t width_of(const char *text) {
  size_t width = 0;
  for (; *text != '\0'; text++) width += ((unsigned char)*text & 0xC0) != 0x80;
  return width;
}

static void put_md(const char *text, FILE *out) {
  for (; *text != '\0'; text++) {
    if (strchr("|<>`*_[]\\", *text) != NULL) putc('\\', out);
    putc(*text, out);
  }
}

static void put_csv(const char *text, FILE *out) {
  if (strpbrk(text, ",\"\r\n") == NULL) {
    fputs(text, out);
    return;
  }
  putc('"', out);
  for (; *text != '\0'; text++) {
    if (*text == '"') putc('"', out);
    putc(*text, out);
  }
  putc('"', out);
}

static void print_text(const al_text_table *table, FILE *out) {
  for (size_t i = 0; i < table->n; i++) {
    size_t column = i % table->columns, widest = 0;
    fputs(table->cells[i], out);
    if (column + 1 == table->columns) {
      putc('\n', out);
      continue;
    }
    for (size_t j = column; j < table->n; j += table->columns) {
      size_t width = width_of(table->cells[j]);
      widest = width > widest ? width : widest;
    }
    for (size_t pad = width_of(table->cells[i]); pad < widest + 2; pad++) putc(' ', out);
  }
}

void al_text_table_print(const al_text_table *table, al_text_style style, FILE *out) {
  if (style == AL_STYLE_TEXT) {
    print_text(table, out);
    return;
  }
  for (size_t i = 0; i < table->n; i++) {
    bool last = i % table->columns + 1 == table->columns;
    if (style == AL_STYLE_MD) {
      fputs("| ", out);
      put_md(table->cells[i], out);
      fputs(last ? " |\n" : " ", out);
      if (i + 1 == table->columns) {
        for (size_t c = 0; c < table->columns; c++) fputs("| --- ", out);
        fputs("|\n", out);
      }
    } else {
      put_csv(table->cells[i], out);
      putc(last ? '\n' : ',', out);
    }
  }
}

int al_digits_of(double half_width) {
  if (!(half_width > 0.0) || isinf(half_width)) return 4;
  int digits = (int)ceil(-log10(half_width)) + 1;
  return digits < 2 ? 2 : digits > 5 ? 5 : digits;
}

const char *al_show_p(double p, char text[24]) {
  if (isnan(p))
    snprintf(text, 24, "-");
  else if (p < 0.0001)
    snprintf(text, 24, "< 0.0001");
  else
    snprintf(text, 24, p < 0.001 ? "%.4f" : "%.3f", p);
  return text;
}
