/* libyaml documents turned into jansson values. Scalars follow YAML 1.2's core schema (so `no` is a text and `1e-3` a
 * number); bombs of aliases are stopped by a count of expanded nodes. */
#include "base/yaml.h"

#include "base/memory.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { MOST_BYTES = 1 << 20, MOST_DEPTH = 32, MOST_NODES = 100000 };

typedef struct {
  yaml_document_t *document;
  const char *name;
  al_marks *marks;
  size_t nodes;
} walker;

static al_status mark(al_marks *marks, const char *path, size_t line) {
  if (marks == NULL) return AL_OK;
  al_status status = al_grow(&marks->paths, &marks->path_capacity, marks->count + 1, sizeof *marks->paths);
  if (status == AL_OK) status = al_grow(&marks->lines, &marks->line_capacity, marks->count + 1, sizeof *marks->lines);
  if (status == AL_OK) status = al_copy_string(&marks->paths[marks->count], path);
  if (status == AL_OK) marks->lines[marks->count++] = line;
  return status;
}

void al_marks_free(al_marks *marks) {
  for (size_t i = 0; i < marks->count; i++) free(marks->paths[i]);
  free(marks->paths);
  free(marks->lines);
  *marks = (al_marks){0};
}

size_t al_marks_line(const al_marks *marks, const char *path) {
  size_t best = 1, best_length = 0;
  for (size_t i = 0; i < marks->count; i++) {
    size_t length = strlen(marks->paths[i]);
    if (length < best_length || strncmp(marks->paths[i], path, length) != 0) continue;
    if (path[length] != '\0' && path[length] != '.' && path[length] != '[' && length != 0) continue;
    best = marks->lines[i];
    best_length = length;
  }
  return best;
}

/* A plain scalar by the core schema. */
static json_t *plain_scalar(const char *text, size_t length) {
  static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
  static const char *const trues[] = {"true", "True", "TRUE"};
  static const char *const falses[] = {"false", "False", "FALSE"};
  if (strlen(text) != length) return json_stringn(text, length); /* a NUL inside: jansson refuses or keeps it */
  for (size_t i = 0; i < 5; i++)
    if (strcmp(text, nulls[i]) == 0) return json_null();
  for (size_t i = 0; i < 3; i++) {
    if (strcmp(text, trues[i]) == 0) return json_true();
    if (strcmp(text, falses[i]) == 0) return json_false();
  }
  if (strspn(text, "+-.0123456789eE") == length && strpbrk(text, "0123456789") != NULL) {
    char *end = NULL;
    errno = 0;
    long long integer = strtoll(text, &end, 10);
    if (*end == '\0' && errno == 0) return json_integer(integer);
    double real = strtod(text, &end);
    if (*end == '\0' && isfinite(real)) return json_real(real);
  }
  return json_stringn(text, length);
}

static al_status convert(walker *w, yaml_node_t *node, const char *path, size_t depth, json_t **out);

static al_status convert_mapping(walker *w, yaml_node_t *node, const char *path, size_t depth, json_t **out) {
  *out = json_object();
  for (yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++) {
    yaml_node_t *key = yaml_document_get_node(w->document, pair->key);
    size_t line = key->start_mark.line + 1;
    if (key->type != YAML_SCALAR_NODE) return al_fail(AL_BAD_INPUT, "%s:%zu: a key must be a text", w->name, line);
    const char *text = (const char *)key->data.scalar.value;
    if (strlen(text) != key->data.scalar.length || *text == '\0')
      return al_fail(AL_BAD_INPUT, "%s:%zu: a key must be a text without NUL bytes", w->name, line);
    if (json_object_get(*out, text) != NULL)
      return al_fail(AL_BAD_INPUT, "%s:%zu: the key '%s' stands twice; remove one", w->name, line, text);
    char *inner = NULL;
    json_t *value = NULL;
    al_status status = al_format(&inner, "%s%s%s", path, *path == '\0' ? "" : ".", text);
    if (status == AL_OK) status = mark(w->marks, inner, line);
    if (status == AL_OK)
      status = convert(w, yaml_document_get_node(w->document, pair->value), inner, depth + 1, &value);
    free(inner);
    if (status != AL_OK) {
      json_decref(value);
      return status;
    }
    if (json_object_set_new(*out, text, value) != 0)
      return al_fail(AL_BAD_INPUT, "%s:%zu: the key is not valid UTF-8", w->name, line);
  }
  return AL_OK;
}

static al_status convert_sequence(walker *w, yaml_node_t *node, const char *path, size_t depth, json_t **out) {
  *out = json_array();
  size_t index = 0;
  for (yaml_node_item_t *item = node->data.sequence.items.start; item < node->data.sequence.items.top;
       item++, index++) {
    yaml_node_t *child = yaml_document_get_node(w->document, *item);
    char *inner = NULL;
    json_t *value = NULL;
    al_status status = al_format(&inner, "%s[%zu]", path, index);
    if (status == AL_OK) status = mark(w->marks, inner, child->start_mark.line + 1);
    if (status == AL_OK) status = convert(w, child, inner, depth + 1, &value);
    free(inner);
    if (status != AL_OK) {
      json_decref(value);
      return status;
    }
    json_array_append_new(*out, value);
  }
  return AL_OK;
}

static al_status convert(walker *w, yaml_node_t *node, const char *path, size_t depth, json_t **out) {
  size_t line = node->start_mark.line + 1;
  if (depth > MOST_DEPTH) return al_fail(AL_BAD_INPUT, "%s:%zu: more than %d levels deep", w->name, line, MOST_DEPTH);
  if (++w->nodes > MOST_NODES)
    return al_fail(AL_BAD_INPUT, "%s:%zu: more than %d values (aliases count each time)", w->name, line, MOST_NODES);
  switch (node->type) {
  case YAML_SCALAR_NODE: {
    const char *text = (const char *)node->data.scalar.value;
    size_t length = node->data.scalar.length;
    *out = node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE ? plain_scalar(text, length) : json_stringn(text, length);
    if (*out == NULL) return al_fail(AL_BAD_INPUT, "%s:%zu: the text is not valid UTF-8", w->name, line);
    return AL_OK;
  }
  case YAML_SEQUENCE_NODE: return convert_sequence(w, node, path, depth, out);
  case YAML_MAPPING_NODE: return convert_mapping(w, node, path, depth, out);
  default: return al_fail(AL_BAD_INPUT, "%s:%zu: an empty node", w->name, line);
  }
}

al_status al_yaml_parse(json_t **out, al_marks *marks, const char *text, size_t size, const char *name) {
  yaml_parser_t parser;
  yaml_document_t document, second;
  *out = NULL;
  if (size > MOST_BYTES) return al_fail(AL_BAD_INPUT, "%s: larger than 1 MiB", name);
  if (!yaml_parser_initialize(&parser)) return al_fail(AL_ENVIRONMENT, "out of memory");
  yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
  if (!yaml_parser_load(&parser, &document)) {
    al_status status = al_fail(AL_BAD_INPUT, "%s:%zu: not YAML: %s", name, parser.problem_mark.line + 1,
                               parser.problem == NULL ? "unreadable" : parser.problem);
    yaml_parser_delete(&parser);
    return status;
  }
  walker w = {.document = &document, .name = name, .marks = marks};
  yaml_node_t *root = yaml_document_get_root_node(&document);
  al_status status =
      root == NULL ? al_fail(AL_BAD_INPUT, "%s: the file is empty", name) : convert(&w, root, "", 0, out);
  if (status == AL_OK) {
    if (!yaml_parser_load(&parser, &second)) {
      status = al_fail(AL_BAD_INPUT, "%s:%zu: not YAML: %s", name, parser.problem_mark.line + 1,
                       parser.problem == NULL ? "unreadable" : parser.problem);
    } else {
      if (yaml_document_get_root_node(&second) != NULL)
        status = al_fail(AL_BAD_INPUT, "%s: more than one YAML document", name);
      yaml_document_delete(&second);
    }
  }
  yaml_document_delete(&document);
  yaml_parser_delete(&parser);
  if (status != AL_OK) {
    json_decref(*out);
    *out = NULL;
  }
  return status;
}

al_status al_yaml_value(json_t **out, const char *text, const char *where) {
  *out = NULL;
  if (text[strspn(text, " \t")] == '\0') {
    *out = json_string("");
    return *out == NULL ? al_fail(AL_ENVIRONMENT, "out of memory") : AL_OK;
  }
  return al_yaml_parse(out, NULL, text, strlen(text), where);
}
