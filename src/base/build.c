/* Facts about the running program and the processor below it. */
#include "base/build.h"

#include <cblas.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

void al_cpu_name(char *name, size_t size) {
  static const char key[] = "model name";
  char line[512];
  FILE *file = fopen("/proc/cpuinfo", "re");
  snprintf(name, size, "unknown");
  if (file == NULL) return;
  while (fgets(line, sizeof line, file) != NULL) {
    char *colon = strchr(line, ':');
    if (strncmp(line, key, sizeof key - 1) != 0 || colon == NULL) continue;
    char *text = colon + 1 + strspn(colon + 1, " \t");
    text[strcspn(text, "\n")] = '\0';
    snprintf(name, size, "%s", text);
    break;
  }
  fclose(file);
}

void al_cpu_kind(char *kind, size_t size) {
  char name[256];
  al_cpu_name(name, sizeof name);
  snprintf(kind, size, "%s, %s", name, openblas_get_corename());
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

al_status al_build_id(char hex[33]) {
  static char known[33];
  XXH3_state_t state;
  char path[4096];
  if (*known == '\0') {
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
    snprintf(known, sizeof known, "%016llx%016llx", (unsigned long long)hash.high64, (unsigned long long)hash.low64);
  }
  memcpy(hex, known, sizeof known);
  return AL_OK;
}
