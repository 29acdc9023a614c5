/* Reading, checking and running a user's command. */
#include "base/command.h"

#include "base/file.h"
#include "base/memory.h"
#include "base/program.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MOST_PASSED = 64 };

/* Words and the texts they point into. */
typedef struct {
  char *words[AL_MOST_WORDS + 1];
  size_t n;
} command;

static void command_free(command *c) {
  for (size_t i = 0; i < c->n; i++) free(c->words[i]);
  c->n = 0;
}

static al_status add_word(command *c, const char *text, size_t length, const char *where) {
  if (c->n == AL_MOST_WORDS) return al_fail(AL_BAD_INPUT, "%s.command: more than %d words", where, AL_MOST_WORDS);
  al_status status = al_copy_bytes(&c->words[c->n], text, length);
  if (status == AL_OK) c->n++;
  return status;
}

/* As given: a list of texts, or one text cut at spaces (no quotes, no shell). */
static al_status read_command(command *c, const json_t *params, const char *where) {
  const json_t *given = json_object_get(params, "command");
  al_status status = AL_OK;
  *c = (command){.n = 0};
  if (json_is_string(given)) {
    for (const char *at = json_string_value(given); status == AL_OK && *(at += strspn(at, " \t\n")) != '\0';) {
      size_t length = strcspn(at, " \t\n");
      status = add_word(c, at, length, where);
      at += length;
    }
  } else {
    for (size_t i = 0; status == AL_OK && i < json_array_size(given); i++) {
      const char *word = json_string_value(json_array_get(given, i));
      status = word == NULL ? al_fail(AL_BAD_INPUT, "%s.command[%zu]: must be a text; put quotes around it", where, i)
                            : add_word(c, word, strlen(word), where);
    }
  }
  if (status == AL_OK && (c->n == 0 || *c->words[0] == '\0'))
    status = al_fail(AL_BAD_INPUT, "%s.command: give a program and its arguments, as [python3, margin.py]", where);
  if (status != AL_OK) command_free(c);
  return status;
}

static al_status check_texts(const json_t *list, const char *key, const char *where) {
  for (size_t i = 0; i < json_array_size(list); i++)
    if (!json_is_string(json_array_get(list, i)))
      return al_fail(AL_BAD_INPUT, "%s.%s[%zu]: must be a text", where, key, i);
  return AL_OK;
}

al_status al_command_check(const json_t *params, const char *where) {
  al_status status;
  command c;
  const json_t *names = json_object_get(params, "environment");
  AL_TRY(read_command(&c, params, where));
  command_free(&c);
  AL_TRY(check_texts(json_object_get(params, "files"), "files", where));
  AL_TRY(check_texts(names, "environment", where));
  if (json_array_size(names) > MOST_PASSED)
    status = al_fail(AL_BAD_INPUT, "%s.environment: more than %d names", where, MOST_PASSED);
done:
  return status;
}

/* *path: where the word is a file, its absolute path; else NULL. */
static al_status find_file(char **path, const char *word, const char *base) {
  char *joined = NULL, real[PATH_MAX];
  struct stat facts;
  *path = NULL;
  al_status status =
      *word == '/' ? al_copy_string(&joined, word) : al_format(&joined, "%s/%s", base == NULL ? "." : base, word);
  if (status != AL_OK) return status;
  if (stat(joined, &facts) == 0 && S_ISREG(facts.st_mode) && realpath(joined, real) != NULL)
    status = al_copy_string(path, real);
  free(joined);
  return status;
}

/* A program without '/' is looked up in PATH and is the environment's, like this program's libraries. */
static bool may_be_file(const command *c, size_t i) { return i != 0 || strchr(c->words[0], '/') != NULL; }

static al_status add_digest(json_t *files, const char *word, const char *path) {
  char hex[33];
  al_status status = al_file_digest(path, hex);
  if (status != AL_OK) return status;
  return json_object_set_new(files, word, json_string(hex)) == 0 ? AL_OK : al_fail(AL_ENVIRONMENT, "out of memory");
}

al_status al_command_files(json_t *files, const json_t *params, const char *base, const char *where) {
  al_status status;
  command c = {.n = 0};
  char *path = NULL;
  const json_t *further = json_object_get(params, "files");
  AL_TRY(read_command(&c, params, where));
  for (size_t i = 0; i < c.n; i++) {
    if (!may_be_file(&c, i)) continue;
    AL_TRY(find_file(&path, c.words[i], base));
    if (path != NULL) AL_TRY(add_digest(files, c.words[i], path));
    if (path == NULL && i == 0) {
      status = al_fail(AL_BAD_INPUT, "%s.command: no such program: %s", where, c.words[0]);
      goto done;
    }
    free(path);
    path = NULL;
  }
  for (size_t i = 0; i < json_array_size(further); i++) {
    const char *name = json_string_value(json_array_get(further, i));
    AL_TRY(find_file(&path, name, base));
    if (path == NULL) {
      status = al_fail(AL_BAD_INPUT, "%s.files[%zu]: no such file: %s", where, i, name);
      goto done;
    }
    AL_TRY(add_digest(files, name, path));
    free(path);
    path = NULL;
  }
done:
  free(path);
  command_free(&c);
  return status;
}

al_status al_command_unchanged(const json_t *files, const json_t *params, const char *base, const char *where) {
  if (files == NULL) return AL_OK;
  json_t *now = json_object();
  const char *name;
  json_t *digest;
  al_status status =
      now == NULL ? al_fail(AL_ENVIRONMENT, "out of memory") : al_command_files(now, params, base, where);
  if (status == AL_OK) {
    json_object_foreach(now, name, digest) {
      if (json_equal(digest, json_object_get(files, name))) continue;
      status = al_fail(AL_BAD_INPUT, "%s: %s changed while the study ran; run it again for the cells of the new one",
                       where, name);
      break;
    }
  }
  json_decref(now);
  return status;
}

/* NAME=VALUE of what may be seen. BLAS threads would contend with the other cells' processes. */
static al_status make_environment(char **out, const json_t *params, const char *folder) {
  static const char *const always[] = {"PATH", "HOME", "LANG"};
  static const char *const threads[] = {"OMP_NUM_THREADS=1", "OPENBLAS_NUM_THREADS=1", "MKL_NUM_THREADS=1"};
  const json_t *names = json_object_get(params, "environment");
  size_t n = 0;
  al_status status = al_format(&out[n++], "TMPDIR=%s", folder);
  for (size_t i = 0; status == AL_OK && i < 3; i++) status = al_copy_string(&out[n++], threads[i]);
  for (size_t i = 0; status == AL_OK && i < 3 + json_array_size(names); i++) {
    const char *name = i < 3 ? always[i] : json_string_value(json_array_get(names, i - 3));
    const char *value = getenv(name);
    if (value == NULL && i == 0) value = "/usr/local/bin:/usr/bin:/bin";
    if (value != NULL) status = al_format(&out[n++], "%s=%s", name, value);
  }
  return status;
}

al_status al_command_run(char **output, size_t *size, const json_t *params, const char *base, const char *folder,
                         size_t most_output, const char *where) {
  al_status status;
  command c = {.n = 0};
  char *environment[MOST_PASSED + 8] = {0};
  AL_TRY(read_command(&c, params, where));
  for (size_t i = 0; i < c.n; i++) {
    char *path = NULL;
    if (!may_be_file(&c, i)) continue;
    AL_TRY(find_file(&path, c.words[i], base)); /* the program does not run where relative names start */
    if (path == NULL) continue;
    free(c.words[i]);
    c.words[i] = path;
  }
  AL_TRY(make_environment(environment, params, folder));
  al_program program = {.words = (const char *const *)c.words,
                        .folder = folder,
                        .environment = (const char *const *)environment,
                        .timeout = al_params_real(params, "timeout"),
                        .most_output = most_output};
  AL_TRY(al_program_run(output, size, &program));
done:
  for (size_t i = 0; environment[i] != NULL; i++) free(environment[i]);
  command_free(&c);
  return status;
}

al_status al_json_write(const char *folder, const char *name, const json_t *value) {
  char *path = NULL;
  al_status status = al_format(&path, "%s/%s", folder, name);
  if (status == AL_OK && json_dump_file(value, path, JSON_INDENT(1) | JSON_ENCODE_ANY | JSON_REAL_PRECISION(17)) != 0)
    status = al_fail_errno("cannot write %s", path);
  free(path);
  return status;
}
