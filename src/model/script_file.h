/* TorchScript files as bytes: found, checked, hashed, and looked into as far as can be done without libtorch. Private
 * to model. */
#ifndef AL_MODEL_SCRIPT_FILE_H
#define AL_MODEL_SCRIPT_FILE_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct al_script_facts {
  char digest[33]; /* XXH3-128 of the file */
  bool dropout;    /* its code has a class of a Dropout layer */
} al_script_facts;

/* What `given` is: a zip that holds TorchScript, of sane sizes; AL_BAD_INPUT otherwise, naming the file and what to do.
 * base: folder that a relative file starts from (NULL: the working folder). bytes: fresh, *size of them; NULL: they are
 * not wanted, and a file that this process has looked at is not read again. */
al_status al_script_open(al_script_facts *out, char **bytes, size_t *size, const char *given,
                         const char *base) AL_MUST_USE;

#endif
