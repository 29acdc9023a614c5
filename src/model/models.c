/* The models there are. */
#include "model/model.h"

#include "model/candidates.h"

#include <stdio.h>
#include <string.h>

extern const al_model_type al_model_linear, al_model_mlp, al_model_exec;
#ifdef ALAB_TORCH
extern const al_model_type al_model_bert, al_model_resnet, al_model_torchscript;
#endif

/* clang-format off */
const al_model_type *const al_models[] = {
    &al_model_linear, &al_model_mlp,
#ifdef ALAB_TORCH
    &al_model_bert, &al_model_resnet, &al_model_torchscript,
#endif
    &al_model_exec, NULL,
};
/* clang-format on */

const al_model_type *al_model_find(const char *name) {
  for (size_t i = 0; al_models[i] != NULL; i++)
    if (strcmp(al_models[i]->name, name) == 0) return al_models[i];
  return NULL;
}

al_status al_model_check(const al_model_type *type, const json_t *params, al_kind kind, const char *base,
                         const char *where) {
  al_status status;
  size_t count;
  json_t *candidate = NULL;
  char inner[300];
  snprintf(inner, sizeof inner, "%s%s", where, json_is_object(json_object_get(params, "tune")) ? ".tune" : "");
  AL_TRY(al_candidates_count(&count, params, where));
  for (size_t i = 0; i < count; i++) {
    json_decref(candidate);
    AL_TRY(al_candidate(&candidate, NULL, 0, type, params, i, where));
    AL_TRY(type->check(candidate, kind, base, inner));
  }
done:
  json_decref(candidate);
  return status;
}

unsigned al_model_gives(const al_model_type *type, const json_t *params, const char *base) {
  unsigned gives = type->gives;
  size_t count;
  if (type->gives_of == NULL) return gives;
  if (al_candidates_count(&count, params, type->name) != AL_OK) return 0;
  for (size_t i = 0; i < count; i++) {
    json_t *candidate = NULL;
    al_status status = al_candidate(&candidate, NULL, 0, type, params, i, type->name);
    gives &= status == AL_OK ? type->gives_of(candidate, base) : 0;
    json_decref(candidate);
  }
  return gives;
}

al_status al_model_settings(json_t **out, const al_model_type *type, const json_t *params, const char *base) {
  al_status status = al_params_nondefault(out, type->params, params);
  if (status != AL_OK || type->settings == NULL) return status;
  status = type->settings(*out, base);
  if (status != AL_OK) {
    json_decref(*out);
    *out = NULL;
  }
  return status;
}
