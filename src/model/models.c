/* The models there are. */
#include "model/model.h"

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

unsigned al_model_gives(const al_model_type *type, const json_t *params, const char *base) {
  return type->gives_of == NULL ? type->gives : type->gives_of(params, base);
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
