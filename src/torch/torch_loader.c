/* Finding and loading the libtorch module, and the devices that it can use. */
#include "torch/al_torch.h"

#include "base/build.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

static const al_torch_api *loaded;

al_status al_torch_load(const al_torch_api **out) {
  *out = loaded;
  if (loaded != NULL) return AL_OK;
  char path[PATH_MAX + 64];
  al_torch_module_path(path, sizeof path);
  void *module = *path == '\0' ? NULL : dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (module == NULL) {
    const char *why = *path == '\0' ? NULL : dlerror();
    return al_fail(AL_ENVIRONMENT,
                   "cannot load libalab_torch.so (%s); build with -DALAB_TORCH=ON or set ALAB_TORCH_MODULE",
                   why == NULL ? "not found beside alab" : why);
  }
  const al_torch_api *(*get)(void) = NULL;
  void *symbol = dlsym(module, "al_torch_module");
  memcpy(&get, &symbol, sizeof get); /* ISO C has no cast from object to function pointer */
  if (get == NULL) return al_fail(AL_ENVIRONMENT, "libalab_torch.so is not alab's module");
  *out = loaded = get();
  return AL_OK;
}

al_status al_torch_check(const al_torch_api *api, int result, const char *what) {
  return result == 0 ? AL_OK : al_fail(AL_ENVIRONMENT, "%s: %s: %.600s", api->name, what, api->message());
}

int al_torch_device_of(const char *name) { return strcmp(name, "cuda") == 0 ? AL_DEVICE_CUDA : AL_DEVICE_CPU; }

al_status al_torch_device(const al_torch_api *api, int device, const char *where, char *text, size_t size) {
  char gpu[320], libraries[128];
  *text = '\0';
  if (device == AL_DEVICE_CPU) return AL_OK;
  if (api->device(device, libraries, sizeof libraries) != 0)
    return al_fail(AL_ENVIRONMENT, "%s.device: cuda: %.300s; give cpu, or see Devices in docs/models.md", where,
                   api->message());
  al_gpu_kind(gpu, sizeof gpu, NULL);
  snprintf(text, size, "%s, %s", gpu, libraries);
  return AL_OK;
}
