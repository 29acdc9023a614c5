/* Facts about the build and the machine. They stand in the timing file and in study.json, never in a log. */
#include "sim/host.h"

#include "base/memory.h"
#include "record/record.h"

#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

static void first_line_value(const char *path, const char *key, char *value, size_t size) {
  char line[512];
  FILE *file = fopen(path, "re");
  snprintf(value, size, "unknown");
  if (file == NULL) return;
  while (fgets(line, sizeof line, file) != NULL) {
    char *colon = strchr(line, ':');
    if (strncmp(line, key, strlen(key)) != 0 || colon == NULL) continue;
    char *text = colon + 1 + strspn(colon + 1, " \t");
    text[strcspn(text, "\n")] = '\0';
    snprintf(value, size, "%s", text);
    break;
  }
  fclose(file);
}

static bool hash_file(XXH3_state_t *state, const char *path) {
  char bytes[1 << 16];
  FILE *file = fopen(path, "rbe");
  if (file == NULL) return false;
  size_t n;
  while ((n = fread(bytes, 1, sizeof bytes, file)) != 0) XXH3_128bits_update(state, bytes, n);
  fclose(file);
  return true;
}

/* The executable is the build: same bytes, same results on one machine. */
static al_status build_id(char hex[33]) {
  XXH3_state_t state;
  char path[4096];
  XXH3_128bits_reset(&state);
  ssize_t length = readlink("/proc/self/exe", path, sizeof path - 32);
  if (length <= 0 || !hash_file(&state, "/proc/self/exe")) return al_fail_errno("cannot read the running executable");
  path[length] = '\0';
  char *slash = strrchr(path, '/');
  if (slash != NULL) {
    memcpy(slash + 1, "libalab_torch.so", sizeof "libalab_torch.so");
    (void)hash_file(&state, path); /* built without torch: nothing to add */
  }
  XXH128_hash_t hash = XXH3_128bits_digest(&state);
  snprintf(hex, 33, "%016llx%016llx", (unsigned long long)hash.high64, (unsigned long long)hash.low64);
  return AL_OK;
}

al_status al_host_build(json_t **out) {
  char id[33];
  *out = NULL;
  al_status status = build_id(id);
  if (status != AL_OK) return status;
  *out = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s}", "version", ALAB_VERSION, "compiler", __VERSION__, "flags", ALAB_FLAGS,
                   "blas", openblas_get_config(), "libtorch", ALAB_LIBTORCH, "id", id);
  return *out == NULL ? al_fail(AL_ENVIRONMENT, "out of memory") : AL_OK;
}

al_status al_host_start_line(const char *folder, const char *cell, const char *build) {
  char host[256] = "unknown", cpu[256];
  gethostname(host, sizeof host - 1);
  first_line_value("/proc/cpuinfo", "model name", cpu, sizeof cpu);
  json_t *line = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:i}", "build", build, "host", host, "cpu", cpu, "blas",
                           openblas_get_config(), "libtorch", ALAB_LIBTORCH, "compiler", __VERSION__, "flags",
                           ALAB_FLAGS, "threads", openblas_get_num_threads());
  if (line == NULL) return al_fail(AL_ENVIRONMENT, "out of memory");
  al_status status = al_record_timing(folder, cell, line);
  json_decref(line);
  return status;
}
