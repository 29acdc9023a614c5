/* What a timing depends on: host, CPU, BLAS, compiler; and the identity of the build that wrote a log. */
#ifndef AL_SIM_HOST_H
#define AL_SIM_HOST_H

#include "base/status.h"

#include <jansson.h>

/* {"version", "compiler", "flags", "blas", "libtorch" (null when built without), "id"}: id is the XXH3-128 of the
 * running executable and its torch module, so that it changes when the code does. Fresh. */
al_status al_host_build(json_t **out) AL_MUST_USE;
/* Appends the start line of a timing file: the build's parts, host and CPU, and what the model is computed on (NULL:
 * the CPU). */
al_status al_host_start_line(const char *folder, const char *cell, const char *build, const char *device) AL_MUST_USE;

#endif
