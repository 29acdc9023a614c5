/* study.json: what a results folder is. Written to a temporary name and renamed, so that it is whole or the old one. */
#include "base/file.h"
#include "base/memory.h"
#include "record/record.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_STUDY_BYTES = 1 << 26 };

al_status al_study_write(const char *folder, const json_t *study) {
  al_status status;
  al_buffer text = {0};
  char *path = NULL, *dump = json_dumps(study, JSON_INDENT(1) | JSON_REAL_PRECISION(17));
  if (dump == NULL) return al_fail(AL_ENVIRONMENT, "out of memory");
  AL_TRY(al_format(&path, "%s/study.json", folder));
  AL_TRY(al_buffer_print(&text, "%s\n", dump));
  AL_TRY(al_file_write(path, text.data, text.size));
done:
  free(path);
  free(dump);
  al_buffer_free(&text);
  return status;
}

al_status al_study_read(json_t **out, const char *folder) {
  al_status status;
  char *path = NULL, *text = NULL;
  size_t size = 0;
  json_error_t error;
  *out = NULL;
  AL_TRY(al_format(&path, "%s/study.json", folder));
  if (!al_file_exists(path)) {
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
