/* The run log (docs/log.md): one JSON-lines file a cell, append-only, digest-chained, byte-identical between equal
 * runs.
 *
 * record knows lines, digests, folders and locks; what is in a round line is built by sim. */
#ifndef AL_RECORD_RECORD_H
#define AL_RECORD_RECORD_H

#include "base/status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define AL_RECORD_SCHEMA "alab.run/1"
#define AL_STREAM_VERSION 1 /* raised when equal settings would give other lines: new draws, changed defaults */

/* A cell's log, open for appending. Lines are compact JSON with keys in insertion order and reals with 17 significant
 * digits; each line gets its "digest" (XXH3-128 in hex) as last member: header = over its own text, round = chained
 * over the previous line's digest and its own text from round 0 on (the chain starts at ""), end = over header and last
 * round. */
typedef struct al_record al_record;

/* Opens cells/<name>.jsonl in `folder` for this run: takes the cell's lock (another run holds it: AL_BAD_INPUT naming
 * it), drops a torn last line with a notice, verifies header and chain (an edited log: AL_BAD_INPUT naming file:line).
 * header: written when the file is new, compared otherwise (differing: AL_BAD_INPUT). *rounds: fresh array of the round
 * objects already there (the caller frees); *end: the end object or NULL. */
al_status al_record_open(al_record **out, const char *folder, const char *name, const json_t *header, json_t **rounds,
                         json_t **end) AL_MUST_USE;
/* One write and one fdatasync; `round` gets its digest added. Disk full: the partial line is cut off again. */
al_status al_record_append(al_record *record, json_t *round) AL_MUST_USE;
/* Empties the log of an unfinished cell, which is to start anew, and removes its timing file. Another run holds the
 * cell's lock: AL_BAD_INPUT, and nothing is touched. */
al_status al_record_clear(const char *folder, const char *name) AL_MUST_USE;
/* Drops the end line and every round from `keep` on (a raised budget). */
al_status al_record_truncate(al_record *record, size_t keep) AL_MUST_USE;
al_status al_record_finish(al_record *record, json_t *end) AL_MUST_USE;
void al_record_close(al_record *record); /* releases the lock; NULL is fine */

/* The timing file beside it: <name>.timing.jsonl, append-only, no digests; a torn last line is ignored by readers. */
al_status al_record_timing(const char *folder, const char *name, const json_t *line) AL_MUST_USE;

/* A finished or unfinished cell, for readers (stats, report, verify, show, export). */
typedef struct al_log {
  char *name;     /* file name without .jsonl */
  json_t *header; /* object */
  json_t *rounds; /* array */
  json_t *end;    /* object, or NULL: unfinished */
  json_t *timing; /* array of timing lines, possibly empty */
} al_log;
al_status al_log_read(al_log **out, const char *folder, const char *name) AL_MUST_USE; /* digests are checked */
void al_log_free(al_log *log);
/* Is there a whole header line? A run that was killed at its first instant leaves a log without one. */
al_status al_log_begun(bool *begun, const char *folder, const char *name) AL_MUST_USE;

/* results/<study>/study.json, written atomically: {schema, study, experiment (resolved), hash, build, budget, left_out,
 * cells: [names]}. Reading a folder without one, or of another schema: AL_BAD_INPUT. */
al_status al_study_write(const char *folder, const json_t *study) AL_MUST_USE;
al_status al_study_read(json_t **out, const char *folder) AL_MUST_USE;

/* XXH3-128 in hex of a JSON value's compact dump with sorted keys (settings hashes), and of bytes. hex: 33 bytes. */
al_status al_json_digest(const json_t *value, char hex[33]) AL_MUST_USE;
void al_bytes_digest(const void *bytes, size_t size, char hex[33]);

#endif
