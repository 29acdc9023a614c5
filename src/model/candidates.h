/* What `tune` chooses among: the candidates of a model's params. Without `tune` there is one, the params as they are.
 */
#ifndef AL_MODEL_CANDIDATES_H
#define AL_MODEL_CANDIDATES_H

#include "model/model.h"

/* The product of the lists. AL_BAD_INPUT for a `tune` that is none. */
al_status al_candidates_count(size_t *count, const json_t *params, const char *where) AL_MUST_USE;
/* Fresh: the params with candidate `which` set, neither checked nor filled in. text, NULL or of `size` bytes: what of
 * it was chosen, in words. */
al_status al_candidate_given(json_t **out, char *text, size_t size, const json_t *params, size_t which,
                             const char *where) AL_MUST_USE;
/* The same, resolved against the model's table. */
al_status al_candidate(json_t **out, char *text, size_t size, const al_model_type *type, const json_t *params,
                       size_t which, const char *where) AL_MUST_USE;

#endif
