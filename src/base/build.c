/* Facts about the running program and the processor below it. */
#include "base/build.h"

#include <cblas.h>
#include <glob.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

/* The first value of a key in a file of lines "key: value"; "unknown" without one. */
static void read_fact(char *value, size_t size, const char *path, const char *key) {
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

void al_cpu_name(char *name, size_t size) { read_fact(name, size, "/proc/cpuinfo", "model name"); }

void al_cpu_kind(char *kind, size_t size) {
  char name[256];
  al_cpu_name(name, sizeof name);
  snprintf(kind, size, "%s, %s", name, openblas_get_corename());
}

void al_gpu_kind(char *kind, size_t size, const char *folder) {
  char pattern[512], model[256];
  const char *visible = getenv("CUDA_VISIBLE_DEVICES");
  glob_t found = {0};
  size_t models = 0, used = 0;
  snprintf(kind, size, "unknown");
  snprintf(pattern, sizeof pattern, "%s/*/information", folder == NULL ? "/proc/driver/nvidia/gpus" : folder);
  if (glob(pattern, 0, NULL, &found) != 0) return;
  for (size_t i = 0; i < found.gl_pathc; i++) {
    read_fact(model, sizeof model, found.gl_pathv[i], "Model");
    if (used >= size || (models != 0 && strstr(kind, model) != NULL)) continue;
    used += (size_t)snprintf(kind + used, size - used, "%s%s", models++ == 0 ? "" : " + ", model);
  }
  if (models > 1 && visible != NULL && used < size)
    snprintf(kind + used, size - used, ", CUDA_VISIBLE_DEVICES=%s", visible);
  globfree(&found);
}

void al_torch_module_path(char *path, size_t size) {
  static const char *const places[] = {"", "../", "../lib/alab/"};
  const char *chosen = getenv("ALAB_TORCH_MODULE");
  if (chosen != NULL && *chosen != '\0') { /* a file: dlopen would look for a name without a folder elsewhere */
    snprintf(path, size, "%s%s", strchr(chosen, '/') == NULL ? "./" : "", chosen);
    return;
  }
  char folder[PATH_MAX] = "./";
  ssize_t length = readlink("/proc/self/exe", folder, sizeof folder - 1);
  if (length > 0) {
    folder[length] = '\0';
    char *slash = strrchr(folder, '/');
    if (slash != NULL) slash[1] = '\0';
  }
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    snprintf(path, size, "%s%slibalab_torch.so", folder, places[i]);
    if (access(path, R_OK) == 0) return;
  }
  *path = '\0';
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
  char module[PATH_MAX + 64];
  if (*known == '\0') {
    XXH3_128bits_reset(&state);
    if (!hash_file(&state, "/proc/self/exe")) return al_fail_errno("cannot read the running executable");
    al_torch_module_path(module, sizeof module);
    (void)hash_file(&state, module); /* built without torch: nothing to add */
    XXH128_hash_t hash = XXH3_128bits_digest(&state);
    snprintf(known, sizeof known, "%016llx%016llx", (unsigned long long)hash.high64, (unsigned long long)hash.low64);
  }
  memcpy(hex, known, sizeof known);
  return AL_OK;
}
