/* A model that is an al_trainer and its inputs, seen through al_model_type. */
#include "model/torch_train.h"

/* Its first member, whatever else the model's own struct holds. */
static al_trainer *trainer_of(al_model *model) { return (al_trainer *)(void *)model; }
static const al_trainer *trainer_in(const al_model *model) { return (const al_trainer *)(const void *)model; }

al_status al_trained_fit(al_model *model, const al_training *training) {
  return al_trainer_fit(trainer_of(model), training);
}

al_status al_trained_predict(al_model *model, const int32_t *rows, size_t n, const al_prediction *out) {
  return al_trainer_predict(trainer_of(model), rows, n, out);
}

al_status al_trained_head(al_model *model, const float **weights, const float **bias, size_t *width) {
  al_status status;
  al_trainer *t = trainer_of(model);
  if (t->head_weights == NULL) AL_TRY(AL_NEW(&t->head_weights, t->classes * t->width));
  if (t->head_bias == NULL) AL_TRY(AL_NEW(&t->head_bias, t->classes));
  *weights = t->head_weights;
  *bias = t->head_bias;
  *width = t->width;
  status = al_trainer_head(t, t->head_weights, t->head_bias);
done:
  return status;
}

bool al_trained_chained(const al_model *model) { return trainer_in(model)->warm; }

al_status al_trained_save(const al_model *model, al_buffer *out) { return al_trainer_save(trainer_in(model), out); }

al_status al_trained_load(al_model *model, const void *bytes, size_t size, uint32_t round, bool *good) {
  return al_trainer_load(trainer_of(model), bytes, size, round, good);
}

json_t *al_trained_notes(const al_model *model) { return al_trainer_notes(trainer_in(model)); }

size_t al_trained_passes(const al_model *model) { return trainer_in(model)->passes; }

const char *al_trained_device(const al_model *model) { return al_trainer_device(trainer_in(model)); }

const char *al_trained_weights(const al_model *model) {
  const al_trainer *t = trainer_in(model);
  return t->weights[0] == '\0' ? NULL : t->weights;
}
