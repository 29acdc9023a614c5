/* YAML as JSON with line marks: what the experiment file and the catalogue are read through. */
#ifndef AL_BASE_YAML_H
#define AL_BASE_YAML_H

#include "base/status.h"

#include <jansson.h>
#include <stddef.h>

/* The line of every node, by its path ("strategies[2].params.dims"). */
typedef struct al_marks {
  char **paths;
  size_t *lines, count, path_capacity, line_capacity;
} al_marks;

/* Parses one document of at most 1 MiB: core-schema scalars, mappings with distinct text keys, sequences, at most 32
 * levels and 100,000 nodes with aliases expanded. Errors read "name:line: ...". */
al_status al_yaml_parse(json_t **out, al_marks *marks, const char *text, size_t size, const char *name) AL_MUST_USE;
void al_marks_free(al_marks *marks);
/* Line of the node at `path`, or of its nearest parent; 1 when there is none. */
size_t al_marks_line(const al_marks *marks, const char *path);

/* A YAML value (scalar, flow list or mapping) as JSON: for --set and --param. where: for messages. */
al_status al_yaml_value(json_t **out, const char *text, const char *where) AL_MUST_USE;

#endif
