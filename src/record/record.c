/* Writing a cell's log. A line is on disk before the next begins; what a kill leaves behind is at most one torn last
 * line, which the next open drops. */
#include "record/record.h"

#include "base/log.h"
#include "base/memory.h"
#include "record/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct al_record {
  int file;
  char *path;
  off_t size;    /* bytes of whole lines */
  off_t *starts; /* where each line begins: header, rounds, end */
  size_t lines, capacity;
  char header_digest[33], last_digest[33];
};

static al_status reopen_error(const char *path, const char *what) { return al_fail_errno("%s: cannot %s", path, what); }

static al_status open_and_lock(al_record *record, const char *folder, const char *name) {
  al_status status = al_format(&record->path, "%s/cells/%s.jsonl", folder, name);
  if (status != AL_OK) return status;
  record->file = open(record->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (record->file < 0) return reopen_error(record->path, "open the log");
  /* the lock goes with the process, however it ends */
  if (flock(record->file, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK)
      return al_fail(AL_BAD_INPUT, "%s: in use by another run; wait for it, or give another folder with --out",
                     record->path);
    return reopen_error(record->path, "lock the log");
  }
  return AL_OK;
}

static al_status note_line(al_record *record, off_t start) {
  al_status status = al_grow(&record->starts, &record->capacity, record->lines + 1, sizeof *record->starts);
  if (status == AL_OK) record->starts[record->lines++] = start;
  return status;
}

static al_status cut_at(al_record *record, off_t size) {
  if (ftruncate(record->file, size) != 0 || fdatasync(record->file) != 0)
    return reopen_error(record->path, "shorten the log");
  record->size = size;
  return AL_OK;
}

/* One write; what a full disk leaves of it is cut off again. */
static al_status write_line(al_record *record, const json_t *line) {
  al_buffer text = {0};
  al_status status = al_line_dump(&text, line);
  if (status == AL_OK) status = al_buffer_append(&text, "\n", 1);
  if (status == AL_OK) status = note_line(record, record->size);
  if (status != AL_OK) {
    al_buffer_free(&text);
    return status;
  }
  ssize_t written = pwrite(record->file, text.data, text.size, record->size);
  if (written != (ssize_t)text.size || fdatasync(record->file) != 0) {
    if (written >= 0 && written != (ssize_t)text.size) errno = ENOSPC;
    status = reopen_error(record->path, "write a line");
    record->lines--;
    if (ftruncate(record->file, record->size) != 0) { /* the torn line is dropped at the next open */
    }
  } else {
    record->size += (off_t)text.size;
  }
  al_buffer_free(&text);
  return status;
}

static al_status add_digest(json_t *line, const char *chain, char digest[33]) {
  al_status status = al_line_digest(line, chain, digest);
  if (status != AL_OK) return status;
  return json_object_set_new(line, "digest", json_string(digest)) == 0 ? AL_OK
                                                                       : al_fail(AL_ENVIRONMENT, "out of memory");
}

static al_status write_header(al_record *record, const json_t *header) {
  json_t *line = json_deep_copy(header);
  al_status status = line == NULL ? al_fail(AL_ENVIRONMENT, "out of memory") : AL_OK;
  if (status == AL_OK) status = add_digest(line, "", record->header_digest);
  if (status == AL_OK) status = write_line(record, line);
  record->last_digest[0] = '\0';
  json_decref(line);
  return status;
}

/* The header on disk must be the one this run would write. */
static al_status compare_header(al_record *record, const json_t *header, const json_t *found) {
  char wanted[33];
  al_status status = al_line_digest(header, "", wanted);
  if (status != AL_OK) return status;
  const char *digest = json_string_value(json_object_get(found, "digest"));
  snprintf(record->header_digest, sizeof record->header_digest, "%s", digest);
  if (strcmp(wanted, digest) != 0)
    return al_fail(AL_BAD_INPUT,
                   "%s:1: the header is not the one these settings and data give; give another folder with "
                   "--out",
                   record->path);
  return AL_OK;
}

static al_status read_existing(al_record *record, const json_t *header, json_t **rounds, json_t **end) {
  al_lines lines = {0};
  al_status status;
  AL_TRY(al_lines_read(&lines, record->path));
  for (size_t i = 0; i < lines.count; i++) AL_TRY(note_line(record, (off_t)lines.starts[i]));
  if (lines.torn) {
    al_log_notice("%s: dropped a torn last line", record->path);
    AL_TRY(cut_at(record, (off_t)lines.whole_bytes));
  }
  record->size = (off_t)lines.whole_bytes;
  if (lines.header == NULL) {
    AL_TRY(write_header(record, header));
    goto done;
  }
  AL_TRY(compare_header(record, header, lines.header));
  size_t n = json_array_size(lines.rounds);
  if (n != 0)
    snprintf(record->last_digest, sizeof record->last_digest, "%s",
             json_string_value(json_object_get(json_array_get(lines.rounds, n - 1), "digest")));
  json_array_extend(*rounds, lines.rounds);
  *end = json_incref(lines.end);
done:
  al_lines_free(&lines);
  return status;
}

al_status al_record_open(al_record **out, const char *folder, const char *name, const json_t *header, json_t **rounds,
                         json_t **end) {
  al_status status;
  al_record *record = NULL;
  *out = NULL;
  *end = NULL;
  *rounds = json_array();
  AL_TRY(AL_NEW(&record, 1));
  record->file = -1;
  AL_TRY(open_and_lock(record, folder, name));
  AL_TRY(read_existing(record, header, rounds, end));
  *out = record;
  record = NULL;
done:
  al_record_close(record);
  if (status != AL_OK) {
    json_decref(*rounds);
    json_decref(*end);
    *rounds = *end = NULL;
  }
  return status;
}

/* The log is emptied and not removed: who waits for its lock would hold that of a file which is gone. The timing file
 * goes first, so that a kill in between leaves a log that is not taken for one of the build to come. */
al_status al_record_clear(const char *folder, const char *name) {
  al_status status;
  al_record record = {.file = -1};
  char *timing = NULL;
  AL_TRY(open_and_lock(&record, folder, name));
  AL_TRY(al_format(&timing, "%s/cells/%s.timing.jsonl", folder, name));
  if (unlink(timing) != 0 && errno != ENOENT) {
    status = al_fail_errno("cannot remove %s", timing);
    goto done;
  }
  AL_TRY(cut_at(&record, 0));
done:
  if (record.file >= 0) close(record.file);
  free(record.path);
  free(timing);
  return status;
}

al_status al_record_append(al_record *record, json_t *round) {
  char digest[33];
  al_status status = add_digest(round, record->last_digest, digest);
  if (status == AL_OK) status = write_line(record, round);
  if (status == AL_OK) memcpy(record->last_digest, digest, sizeof digest);
  return status;
}

al_status al_record_truncate(al_record *record, size_t keep) {
  al_status status;
  al_lines lines = {0};
  if (keep + 1 >= record->lines + 1) return AL_OK;
  AL_TRY(al_lines_read(&lines, record->path));
  if (keep + 1 < record->lines) {
    AL_TRY(cut_at(record, record->starts[keep + 1]));
    record->lines = keep + 1;
  }
  record->last_digest[0] = '\0';
  if (keep != 0)
    snprintf(record->last_digest, sizeof record->last_digest, "%s",
             json_string_value(json_object_get(json_array_get(lines.rounds, keep - 1), "digest")));
done:
  al_lines_free(&lines);
  return status;
}

al_status al_record_finish(al_record *record, json_t *end) {
  char digest[33], chain[80];
  snprintf(chain, sizeof chain, "%s%s", record->header_digest, record->last_digest);
  al_status status = add_digest(end, chain, digest);
  return status == AL_OK ? write_line(record, end) : status;
}

void al_record_close(al_record *record) {
  if (record == NULL) return;
  if (record->file >= 0) close(record->file);
  free(record->path);
  free(record->starts);
  free(record);
}

al_status al_record_timing(const char *folder, const char *name, const json_t *line) {
  al_status status;
  char *path = NULL;
  al_buffer text = {0};
  int file = -1;
  AL_TRY(al_format(&path, "%s/cells/%s.timing.jsonl", folder, name));
  AL_TRY(al_line_dump(&text, line));
  AL_TRY(al_buffer_append(&text, "\n", 1));
  file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (file < 0 || write(file, text.data, text.size) != (ssize_t)text.size)
    status = al_fail_errno("%s: cannot write a timing line", path);
done:
  if (file >= 0) close(file);
  free(path);
  al_buffer_free(&text);
  return status;
}
