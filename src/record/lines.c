/* Reading logs. A line is trusted when its digest fits its text and the line before; nothing else in a log is. */
#include "record/lines.h"

#include "base/file.h"
#include "record/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

enum { MOST_LOG_BYTES = 1 << 30 };

static const size_t dump_flags = JSON_COMPACT | JSON_REAL_PRECISION(17);

void al_bytes_digest(const void *bytes, size_t size, char hex[33]) {
  XXH128_hash_t hash = XXH3_128bits(bytes, size);
  snprintf(hex, 33, "%016llx%016llx", (unsigned long long)hash.high64, (unsigned long long)hash.low64);
}

static int onto_buffer(const char *bytes, size_t size, void *context) {
  return al_buffer_append(context, bytes, size) == AL_OK ? 0 : -1;
}

al_status al_line_dump(al_buffer *text, const json_t *line) {
  if (json_dump_callback(line, onto_buffer, text, dump_flags) != 0)
    return al_fail(AL_ENVIRONMENT, "cannot write a value as JSON (out of memory, or a number that is not finite)");
  return AL_OK;
}

al_status al_json_digest(const json_t *value, char hex[33]) {
  al_buffer text = {0};
  if (json_dump_callback(value, onto_buffer, &text, dump_flags | JSON_SORT_KEYS | JSON_ENCODE_ANY) != 0) {
    al_buffer_free(&text);
    return al_fail(AL_ENVIRONMENT, "cannot write a value as JSON");
  }
  al_bytes_digest(text.data, text.size, hex);
  al_buffer_free(&text);
  return AL_OK;
}

al_status al_line_digest(const json_t *line, const char *chain, char hex[33]) {
  al_status status;
  al_buffer text = {0};
  json_t *bare = json_copy((json_t *)(uintptr_t)line);
  if (bare == NULL) return al_fail(AL_ENVIRONMENT, "out of memory");
  json_object_del(bare, "digest");
  AL_TRY(al_buffer_append(&text, chain, strlen(chain)));
  AL_TRY(al_line_dump(&text, bare));
  al_bytes_digest(text.data, text.size, hex);
done:
  json_decref(bare);
  al_buffer_free(&text);
  return status;
}

static al_status check_header(const json_t *line, const char *path) {
  const char *schema = json_string_value(json_object_get(line, "schema"));
  if (schema == NULL || strcmp(schema, AL_RECORD_SCHEMA) != 0)
    return al_fail(AL_BAD_INPUT, "%s:1: not a log of schema %s", path, AL_RECORD_SCHEMA);
  const json_t *version = json_object_get(line, "stream_version");
  if (!json_is_integer(version) || json_integer_value(version) != AL_STREAM_VERSION)
    return al_fail(AL_BAD_INPUT, "%s:1: stream version %lld, but this alab has %d; give another folder with --out",
                   path, (long long)json_integer_value(version), AL_STREAM_VERSION);
  return AL_OK;
}

/* Places one parsed line: header, round or end. */
static al_status place_line(al_lines *lines, json_t *line, const char *path, size_t number) {
  char digest[33], chain[80] = "";
  if (!json_is_object(line)) return al_fail(AL_BAD_INPUT, "%s:%zu: not a JSON object", path, number);
  if (lines->end != NULL) return al_fail(AL_BAD_INPUT, "%s:%zu: a line after the end line", path, number);
  size_t rounds = json_array_size(lines->rounds);
  const char *last =
      rounds == 0 ? "" : json_string_value(json_object_get(json_array_get(lines->rounds, rounds - 1), "digest"));
  bool end = lines->header != NULL && json_object_get(line, "end") != NULL;
  if (end)
    snprintf(chain, sizeof chain, "%.32s%.32s", json_string_value(json_object_get(lines->header, "digest")), last);
  else if (lines->header != NULL)
    snprintf(chain, sizeof chain, "%.32s", last);
  al_status status = al_line_digest(line, chain, digest);
  if (status != AL_OK) return status;
  const char *found = json_string_value(json_object_get(line, "digest"));
  if (found == NULL || strcmp(found, digest) != 0)
    return al_fail(AL_BAD_INPUT,
                   "%s:%zu: the line was edited (its digest does not fit); remove the file to run the cell anew", path,
                   number);
  if (lines->header == NULL) {
    lines->header = json_incref(line);
    return check_header(line, path);
  }
  if (end) {
    lines->end = json_incref(line);
    return AL_OK;
  }
  const json_t *round = json_object_get(line, "round");
  if (!json_is_integer(round) || json_integer_value(round) != (json_int_t)rounds)
    return al_fail(AL_BAD_INPUT, "%s:%zu: expected round %zu", path, number, rounds);
  json_array_append(lines->rounds, line);
  return AL_OK;
}

al_status al_lines_read(al_lines *lines, const char *path) {
  al_status status;
  char *text = NULL;
  size_t size = 0, start = 0;
  *lines = (al_lines){.rounds = json_array()};
  AL_TRY(al_file_read(&text, &size, path, MOST_LOG_BYTES));
  while (start < size) {
    const char *newline = memchr(text + start, '\n', size - start);
    if (newline == NULL) {
      lines->torn = true;
      break;
    }
    size_t end = (size_t)(newline - text);
    json_error_t error;
    json_t *line = json_loadb(text + start, end - start, JSON_REJECT_DUPLICATES, &error);
    if (line == NULL) {
      status = al_fail(AL_BAD_INPUT, "%s:%zu: not JSON (%s); remove the file to run the cell anew", path,
                       lines->count + 1, error.text);
      goto done;
    }
    status = place_line(lines, line, path, lines->count + 1);
    json_decref(line);
    if (status != AL_OK) goto done;
    AL_TRY(al_grow(&lines->starts, &lines->capacity, lines->count + 1, sizeof *lines->starts));
    lines->starts[lines->count++] = start;
    start = end + 1;
  }
  lines->whole_bytes = start;
done:
  free(text);
  if (status != AL_OK) al_lines_free(lines);
  return status;
}

void al_lines_free(al_lines *lines) {
  json_decref(lines->header);
  json_decref(lines->rounds);
  json_decref(lines->end);
  free(lines->starts);
  *lines = (al_lines){0};
}
