/* datasets/catalogue.yaml: what exists, where from, how it is checked. And fetching it. */
#ifndef AL_DATA_CATALOGUE_H
#define AL_DATA_CATALOGUE_H

#include "base/status.h"
#include "data/dataset.h"
#include "data/table.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* The catalogue as JSON ({"datasets": {..}, "models": {..}}), read once and kept: ALAB_CATALOGUE, else
 * datasets/catalogue.yaml below the working folder, else that of the source tree. Checked as a whole: an entry that
 * lacks what the code here reads, or with a file name that would leave its folder, is AL_BAD_INPUT. Borrowed. */
al_status al_catalogue(const json_t **out) AL_MUST_USE;
/* The entry of a dataset or model, or NULL. *section: "datasets" or "models"; may be NULL. */
const json_t *al_catalogue_find(const json_t *catalogue, const char *name, const char **section);

/* What is here of an entry: the files of its first alternative that is complete in <cache>/raw/<name>. n = 0: nothing.
 * identity: XXH3-128 of names and recorded checksums. O(1) in their sizes: the recorded checksums are believed. */
typedef struct al_installed {
  al_raw_file files[16];
  size_t n, limit; /* limit: most unpacked bytes */
  char identity[33];
} al_installed;
al_status al_installed_find(al_installed *out, const char *name, const json_t *entry) AL_MUST_USE;

/* Every file still has the checksum that it was installed with; else AL_ENVIRONMENT naming the file. Reads them all. */
al_status al_installed_verify(const al_installed *found, const char *name) AL_MUST_USE;
/* Removes the files, so that they are fetched anew. */
void al_installed_remove(const al_installed *found);

/* Installs an entry: mirror folders (ALAB_MIRROR) first, then, when `network`, its URLs with a progress bar and
 * resuming. Every file is checked (sha256, md5, or the digests of what is inside; archives also for hostile entries)
 * before it gets its name. Not to be had: AL_ENVIRONMENT. */
al_status al_fetch(const char *name, bool network) AL_MUST_USE;

/* Path of a fetched model file; fetched from a mirror silently; AL_ENVIRONMENT naming `alab fetch MODEL` when missing.
 */
al_status al_fetch_model_file(char *path, size_t size, const char *model, const char *file) AL_MUST_USE;

#endif
