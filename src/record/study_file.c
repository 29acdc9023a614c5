/* study.json: what a results folder is. Written to a temporary name and renamed, so that it is whole or the old one. */
#include "record/lines.h"
#include "record/record.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_STUDY_BYTES = 1 << 26 };

al_status al_study_write(const char *folder, const json_t *study) {
  al_status status;
  char *path = NULL, *temporary = NULL, *text = NULL;
  int file = -1;
  AL_TRY(al_format(&path, "%s/study.json", folder));
  AL_TRY(al_format(&temporary, "%s/.study.json.%ld", folder, (long)getpid()));
  text = json_dumps(study, JSON_INDENT(1) | JSON_REAL_PRECISION(17));
  if (text == NULL) {
    status = al_fail(AL_ENVIRONMENT, "out of memory");
    goto done;
  }
  size_t size = strlen(text);
  text[size] = '\n'; /* in place of the NUL: the file ends in a newline */
  file = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (file < 0 || write(file, text, size + 1) != (ssize_t)(size + 1) || fsync(file) != 0 ||
      rename(temporary, path) != 0) {
    status = al_fail_errno("cannot write %s", path);
    unlink(temporary);
  }
done:
  if (file >= 0) close(file);
  free(path);
  free(temporary);
  free(text);
  return status;
}

al_status al_study_read(json_t **out, const char *folder) {
  al_status status;
  char *path = NULL, *text = NULL;
  size_t size = 0;
  json_error_t error;
  *out = NULL;
  AL_TRY(al_format(&path, "%s/study.json", folder));
  if (access(path, F_OK) != 0) {
    status = al_fail(AL_BAD_INPUT,
                     "%s: not a results folder (it has no study.json); give the folder that alab run wrote", folder);
    goto done;
  }
  AL_TRY(al_file_read(&text, &size, path, MOST_STUDY_BYTES));
  json_t *study = json_loadb(text, size, 0, &error);
  const char *schema = json_string_value(json_object_get(study, "schema"));
  if (study == NULL || schema == NULL || strcmp(schema, "alab.study/1") != 0) {
    json_decref(study);
    status =
        al_fail(AL_BAD_INPUT, "%s:%d: not a study file of schema alab.study/1", path, study == NULL ? error.line : 1);
    goto done;
  }
  *out = study;
done:
  free(path);
  free(text);
  return status;
}
