/* CSV and SQLite from the logs that study.json names, references included. Rows come in the order of study.json. */
#include "record/export.h"

#include "base/file.h"
#include "base/memory.h"
#include "record/record.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const metric_names[] = {"accuracy",
                                           "balanced_accuracy",
                                           "precision_macro",
                                           "recall_macro",
                                           "f1_macro",
                                           "precision_micro",
                                           "recall_micro",
                                           "f1_micro",
                                           "nll",
                                           "brier",
                                           "ece",
                                           "ece_mass"};
enum { METRICS = sizeof metric_names / sizeof *metric_names };

typedef al_status (*visit_log)(void *context, const al_log *log);

static al_status each_log(const char *folder, visit_log visit, void *context) {
  json_t *study = NULL;
  al_status status = al_study_read(&study, folder);
  static const char *const lists[] = {"cells", "references"};
  for (size_t l = 0; l < 2 && status == AL_OK; l++) {
    const json_t *names = json_object_get(study, lists[l]);
    for (size_t i = 0; i < json_array_size(names) && status == AL_OK; i++) {
      al_log *log = NULL;
      char path[4096];
      snprintf(path, sizeof path, "%s/cells/%s.jsonl", folder, json_string_value(json_array_get(names, i)));
      if (access(path, F_OK) != 0) continue; /* not run yet */
      status = al_log_read(&log, folder, json_string_value(json_array_get(names, i)));
      if (status == AL_OK) status = visit(context, log);
      al_log_free(log);
    }
  }
  json_decref(study);
  return status;
}

static const char *text_of(const json_t *object, const char *key) {
  const char *text = json_string_value(json_object_get(object, key));
  return text == NULL ? "" : text;
}

static void put_text(FILE *out, const char *text) {
  if (strpbrk(text, ",\"\r\n") == NULL) {
    fprintf(out, "%s,", text);
    return;
  }
  putc('"', out);
  for (; *text != '\0'; text++) {
    if (*text == '"') putc('"', out);
    putc(*text, out);
  }
  fputs("\",", out);
}

static void put_number(FILE *out, const json_t *value, const char *behind) {
  if (json_is_integer(value))
    fprintf(out, "%lld", (long long)json_integer_value(value));
  else if (json_is_real(value))
    fprintf(out, "%.17g", json_real_value(value));
  fputs(behind, out);
}

static al_status log_to_csv(void *context, const al_log *log) {
  FILE *out = context;
  const json_t *header = log->header, *dataset = json_object_get(header, "dataset");
  char *budget = json_dumps(json_object_get(log->end, "budget"), JSON_COMPACT);
  for (size_t r = 0; r < json_array_size(log->rounds); r++) {
    const json_t *round = json_array_get(log->rounds, r);
    const json_t *metrics = json_object_get(json_object_get(round, "metrics"), "test");
    put_text(out, text_of(header, "study"));
    put_text(out, text_of(dataset, "label"));
    put_text(out, text_of(json_object_get(header, "model"), "label"));
    put_text(out, text_of(header, "setting"));
    put_text(out, text_of(json_object_get(header, "strategy"), "label"));
    put_number(out, json_object_get(header, "replicate"), ",");
    put_number(out, json_object_get(round, "round"), ",");
    put_number(out, json_object_get(round, "labels"), ",");
    put_number(out, json_object_get(round, "cost"), ",");
    put_number(out, json_object_get(header, "seed"), ",");
    put_number(out, json_object_get(header, "stream_version"), ",");
    put_text(out, text_of(dataset, "digest"));
    put_text(out, budget == NULL ? "" : budget);
    put_text(out, text_of(log->end, "end"));
    for (size_t m = 0; m < METRICS; m++)
      put_number(out, json_object_get(metrics, metric_names[m]), m + 1 < METRICS ? "," : "\n");
  }
  free(budget);
  return ferror(out) ? al_fail_errno("cannot write the CSV") : AL_OK;
}

al_status al_export_csv(const char *folder, FILE *out) {
  fputs("study,dataset,model,setting,strategy,replicate,round,labels,cost,seed,streams,digest,budget,end", out);
  for (size_t m = 0; m < METRICS; m++) fprintf(out, ",%s", metric_names[m]);
  putc('\n', out);
  return each_log(folder, log_to_csv, out);
}

/* ---- SQLite ---- */

static const char schema[] =
    "CREATE TABLE runs (run INTEGER PRIMARY KEY, cell TEXT UNIQUE, study TEXT, dataset TEXT, model TEXT, setting TEXT,"
    " strategy TEXT, replicate INTEGER, seed INTEGER, streams INTEGER, digest TEXT, end TEXT, header TEXT);"
    "CREATE TABLE rounds (run INTEGER REFERENCES runs, round INTEGER, labels INTEGER, cost REAL, PRIMARY KEY (run, "
    "round));"
    "CREATE TABLE picks (run INTEGER REFERENCES runs, round INTEGER, position INTEGER, row INTEGER, score REAL, answer "
    "TEXT,"
    " paid REAL, PRIMARY KEY (run, round, position));"
    "CREATE TABLE metrics (run INTEGER REFERENCES runs, round INTEGER, metric TEXT, value REAL, PRIMARY KEY (run, "
    "round, metric));"
    "CREATE VIEW curves AS SELECT study, dataset, model, setting, strategy, replicate, round, labels, cost, metric, "
    "value"
    " FROM runs JOIN rounds USING (run) JOIN metrics USING (run, round);"
    "CREATE VIEW summaries AS SELECT study, dataset, model, setting, strategy, labels, metric, count(*) AS replicates,"
    " avg(value) AS mean, min(value) AS least, max(value) AS most FROM curves"
    " GROUP BY study, dataset, model, setting, strategy, labels, metric;";

typedef struct {
  sqlite3 *db;
  sqlite3_stmt *run, *round, *pick, *metric;
  sqlite3_int64 number;
} database;

static al_status sql_failed(const database *d) { return al_fail(AL_ENVIRONMENT, "SQLite: %s", sqlite3_errmsg(d->db)); }

static al_status step(const database *d, sqlite3_stmt *statement) {
  int result = sqlite3_step(statement);
  sqlite3_reset(statement);
  sqlite3_clear_bindings(statement);
  return result == SQLITE_DONE ? AL_OK : sql_failed(d);
}

static void bind_text(sqlite3_stmt *statement, int at, const char *text) {
  sqlite3_bind_text(statement, at, text, -1, SQLITE_TRANSIENT);
}

static void bind_number(sqlite3_stmt *statement, int at, const json_t *value) {
  if (json_is_integer(value))
    sqlite3_bind_int64(statement, at, json_integer_value(value));
  else if (json_is_real(value))
    sqlite3_bind_double(statement, at, json_real_value(value));
}

static al_status insert_picks(database *d, const json_t *round, size_t r) {
  al_status status = AL_OK;
  const json_t *asked = json_object_get(round, "asked");
  for (size_t i = 0; i < json_array_size(asked) && status == AL_OK; i++) {
    char *answer = json_dumps(json_array_get(json_object_get(round, "answers"), i), JSON_COMPACT | JSON_ENCODE_ANY);
    sqlite3_bind_int64(d->pick, 1, d->number);
    sqlite3_bind_int64(d->pick, 2, (sqlite3_int64)r);
    sqlite3_bind_int64(d->pick, 3, (sqlite3_int64)i);
    bind_number(d->pick, 4, json_array_get(asked, i));
    bind_number(d->pick, 5, json_array_get(json_object_get(round, "scores"), i));
    if (answer != NULL) bind_text(d->pick, 6, answer);
    bind_number(d->pick, 7, json_array_get(json_object_get(round, "paid"), i));
    status = step(d, d->pick);
    free(answer);
  }
  return status;
}

static al_status insert_round(database *d, const json_t *round, size_t r) {
  al_status status;
  const json_t *metrics = json_object_get(json_object_get(round, "metrics"), "test");
  sqlite3_bind_int64(d->round, 1, d->number);
  sqlite3_bind_int64(d->round, 2, (sqlite3_int64)r);
  bind_number(d->round, 3, json_object_get(round, "labels"));
  bind_number(d->round, 4, json_object_get(round, "cost"));
  AL_TRY(step(d, d->round));
  AL_TRY(insert_picks(d, round, r));
  for (size_t m = 0; m < METRICS; m++) {
    sqlite3_bind_int64(d->metric, 1, d->number);
    sqlite3_bind_int64(d->metric, 2, (sqlite3_int64)r);
    bind_text(d->metric, 3, metric_names[m]);
    bind_number(d->metric, 4, json_object_get(metrics, metric_names[m]));
    AL_TRY(step(d, d->metric));
  }
done:
  return status;
}

static al_status log_to_sqlite(void *context, const al_log *log) {
  database *d = context;
  al_status status;
  const json_t *header = log->header, *dataset = json_object_get(header, "dataset");
  char *text = json_dumps(header, JSON_COMPACT | JSON_REAL_PRECISION(17));
  d->number++;
  sqlite3_bind_int64(d->run, 1, d->number);
  bind_text(d->run, 2, log->name);
  bind_text(d->run, 3, text_of(header, "study"));
  bind_text(d->run, 4, text_of(dataset, "label"));
  bind_text(d->run, 5, text_of(json_object_get(header, "model"), "label"));
  bind_text(d->run, 6, text_of(header, "setting"));
  bind_text(d->run, 7, text_of(json_object_get(header, "strategy"), "label"));
  bind_number(d->run, 8, json_object_get(header, "replicate"));
  bind_number(d->run, 9, json_object_get(header, "seed"));
  bind_number(d->run, 10, json_object_get(header, "stream_version"));
  bind_text(d->run, 11, text_of(dataset, "digest"));
  if (log->end != NULL) bind_text(d->run, 12, text_of(log->end, "end"));
  if (text != NULL) bind_text(d->run, 13, text);
  AL_TRY(step(d, d->run));
  for (size_t r = 0; r < json_array_size(log->rounds); r++) AL_TRY(insert_round(d, json_array_get(log->rounds, r), r));
done:
  free(text);
  return status;
}

static al_status prepare(database *d, sqlite3_stmt **statement, const char *sql) {
  return sqlite3_prepare_v2(d->db, sql, -1, statement, NULL) == SQLITE_OK ? AL_OK : sql_failed(d);
}

static al_status execute(database *d, const char *sql) {
  return sqlite3_exec(d->db, sql, NULL, NULL, NULL) == SQLITE_OK ? AL_OK : sql_failed(d);
}

al_status al_export_sqlite(const char *folder, const char *path) {
  al_status status;
  database d = {0};
  char *temporary = NULL;
  if (!al_file_replaceable(path)) return al_fail(AL_BAD_INPUT, "%s: a database needs a regular file", path);
  AL_TRY(al_format(&temporary, "%s.%ld.tmp", path, (long)getpid()));
  if (sqlite3_open(temporary, &d.db) != SQLITE_OK) {
    status = al_fail(AL_ENVIRONMENT, "cannot write %s: %s", temporary, sqlite3_errmsg(d.db));
    goto done;
  }
  AL_TRY(execute(&d, "PRAGMA journal_mode = MEMORY; BEGIN"));
  AL_TRY(execute(&d, schema));
  AL_TRY(prepare(&d, &d.run, "INSERT INTO runs VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)"));
  AL_TRY(prepare(&d, &d.round, "INSERT INTO rounds VALUES (?,?,?,?)"));
  AL_TRY(prepare(&d, &d.pick, "INSERT INTO picks VALUES (?,?,?,?,?,?,?)"));
  AL_TRY(prepare(&d, &d.metric, "INSERT INTO metrics VALUES (?,?,?,?)"));
  AL_TRY(each_log(folder, log_to_sqlite, &d));
  AL_TRY(execute(&d, "COMMIT"));
done:
  sqlite3_finalize(d.run);
  sqlite3_finalize(d.round);
  sqlite3_finalize(d.pick);
  sqlite3_finalize(d.metric);
  if (sqlite3_close(d.db) != SQLITE_OK && status == AL_OK) status = al_fail(AL_ENVIRONMENT, "cannot finish %s", path);
  if (status == AL_OK && rename(temporary, path) != 0) status = al_fail_errno("cannot write %s", path);
  if (status != AL_OK && temporary != NULL) unlink(temporary);
  free(temporary);
  return status;
}
