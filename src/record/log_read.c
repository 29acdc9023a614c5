/* Reading a cell's log and its timing file for those who only look. */
#include "base/file.h"
#include "base/memory.h"
#include "record/lines.h"
#include "record/record.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_TIMING_BYTES = 1 << 28 };

/* Timing lines carry no digests; what does not parse (a torn line) is passed over. */
static al_status read_timing(json_t *timing, const char *folder, const char *name) {
  al_status status;
  char *path = NULL, *text = NULL;
  size_t size = 0;
  AL_TRY(al_format(&path, "%s/cells/%s.timing.jsonl", folder, name));
  if (access(path, R_OK) != 0) goto done;
  AL_TRY(al_file_read(&text, &size, path, MOST_TIMING_BYTES));
  for (char *start = text, *newline; (newline = strchr(start, '\n')) != NULL; start = newline + 1) {
    json_t *line = json_loadb(start, (size_t)(newline - start), 0, NULL);
    if (json_is_object(line)) json_array_append(timing, line);
    json_decref(line);
  }
done:
  free(path);
  free(text);
  return status;
}

al_status al_log_read(al_log **out, const char *folder, const char *name) {
  al_status status;
  al_log *log = NULL;
  al_lines lines = {0};
  char *path = NULL;
  *out = NULL;
  AL_TRY(AL_NEW(&log, 1));
  AL_TRY(al_copy_string(&log->name, name));
  AL_TRY(al_format(&path, "%s/cells/%s.jsonl", folder, name));
  AL_TRY(al_lines_read(&lines, path));
  if (lines.header == NULL) {
    status = al_fail(AL_BAD_INPUT, "%s: the log has no header yet", path);
    goto done;
  }
  log->header = json_incref(lines.header);
  log->rounds = json_incref(lines.rounds);
  log->end = json_incref(lines.end);
  log->timing = json_array();
  AL_TRY(read_timing(log->timing, folder, name));
  *out = log;
  log = NULL;
done:
  al_lines_free(&lines);
  al_log_free(log);
  free(path);
  return status;
}

al_status al_log_begun(bool *begun, const char *folder, const char *name) {
  al_status status;
  char *path = NULL;
  al_lines lines = {0};
  *begun = false;
  AL_TRY(al_format(&path, "%s/cells/%s.jsonl", folder, name));
  if (!al_file_exists(path)) goto done;
  AL_TRY(al_lines_read(&lines, path));
  *begun = lines.header != NULL;
done:
  al_lines_free(&lines);
  free(path);
  return status;
}

void al_log_free(al_log *log) {
  if (log == NULL) return;
  free(log->name);
  json_decref(log->header);
  json_decref(log->rounds);
  json_decref(log->end);
  json_decref(log->timing);
  free(log);
}
