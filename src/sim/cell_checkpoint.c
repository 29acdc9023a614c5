/* Checkpoints of models that start warm: the last fit's weights beside the cell's log, cells/<cell>.<digest>.fit.
 *
 * The file of round r is on disk before line r, which has its digest; the last two are kept, since a raised budget may
 * drop the last line. Without a good one the fits are made again from round 0, to the same bytes. */
#include "sim/cell_private.h"

#include "base/file.h"
#include "base/memory.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char ending[] = ".fit";
enum { DIGEST = 32, MOST_BYTES_SHIFT = 40 };

static al_status path_of(char path[PATH_MAX], const char *folder, const char *cell, const char *digest) {
  int length = snprintf(path, PATH_MAX, "%s/cells/%s.%s%s", folder, cell, digest, ending);
  return length < PATH_MAX ? AL_OK : al_fail(AL_BAD_INPUT, "%s: the path is too long", folder);
}

al_status al_loop_save_fit(const al_loop *l, const char *folder, char digest[33]) {
  al_status status;
  al_buffer bytes = {0};
  char path[PATH_MAX];
  *digest = '\0';
  if (!al_predictor_chained(l->model)) return AL_OK;
  AL_TRY(al_predictor_save(l->model, &bytes));
  al_bytes_digest(bytes.data, bytes.size, digest);
  AL_TRY(path_of(path, folder, l->cell->name, digest));
  AL_TRY(al_file_write(path, bytes.data, bytes.size));
done:
  al_buffer_free(&bytes);
  return status;
}

al_status al_loop_restore_fit(al_loop *l, const char *folder, const char *digest, const al_training *training,
                              bool *good) {
  al_status status;
  char path[PATH_MAX], found[33], *bytes = NULL;
  size_t size = 0;
  *good = false;
  AL_TRY(path_of(path, folder, l->cell->name, digest));
  if (!al_file_exists(path)) return AL_OK;
  AL_TRY(al_file_read(&bytes, &size, path, (size_t)1 << MOST_BYTES_SHIFT));
  al_bytes_digest(bytes, size, found);
  if (strcmp(found, digest) == 0) AL_TRY(al_predictor_restore(l->model, bytes, size, training, good));
done:
  free(bytes);
  return status;
}

/* "<cell>.<32 hexadecimal digits>.fit" */
static bool is_checkpoint(const char *file, const char *cell, const char **digest) {
  size_t length = strlen(cell);
  if (strncmp(file, cell, length) != 0 || file[length] != '.') return false;
  *digest = file + length + 1;
  return strspn(*digest, "0123456789abcdef") == DIGEST && strcmp(*digest + DIGEST, ending) == 0;
}

al_status al_checkpoints_prune(const char *folder, const char *cell, const char *const *keep, size_t n) {
  char cells[PATH_MAX - 300], path[PATH_MAX];
  const char *digest;
  al_status status = AL_OK;
  snprintf(cells, sizeof cells, "%s/cells", folder);
  DIR *list = opendir(cells);
  if (list == NULL) return errno == ENOENT ? AL_OK : al_fail_errno("cannot read %s", cells);
  for (const struct dirent *entry; status == AL_OK && (entry = readdir(list)) != NULL;) {
    if (!is_checkpoint(entry->d_name, cell, &digest)) continue;
    bool kept = false;
    for (size_t i = 0; i < n; i++) kept |= keep[i] != NULL && strncmp(keep[i], digest, DIGEST) == 0;
    if (kept) continue;
    snprintf(path, sizeof path, "%s/%s", cells, entry->d_name);
    if (unlink(path) != 0 && errno != ENOENT) status = al_fail_errno("cannot remove %s", path);
  }
  closedir(list);
  return status;
}

static const char *digest_of(const json_t *history, size_t back) {
  size_t n = json_array_size(history);
  return n < back ? NULL : json_string_value(json_object_get(json_array_get(history, n - back), "checkpoint"));
}

al_status al_loop_prune_fits(const al_loop *l, const char *folder) {
  if (!al_predictor_chained(l->model)) return AL_OK;
  const char *keep[2] = {digest_of(l->history, 1), digest_of(l->history, 2)};
  return al_checkpoints_prune(folder, l->cell->name, keep, 2);
}
