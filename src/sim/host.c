/* Facts about the build and the machine. They stand in the timing file and in study.json, never in a log. */
#include "sim/host.h"

#include "base/build.h"
#include "base/memory.h"
#include "record/record.h"

#include <cblas.h>
#include <stdio.h>
#include <unistd.h>

al_status al_host_build(json_t **out) {
  char id[33];
  *out = NULL;
  al_status status = al_build_id(id);
  if (status != AL_OK) return status;
  *out = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s}", "version", ALAB_VERSION, "compiler", __VERSION__, "flags", ALAB_FLAGS,
                   "blas", openblas_get_config(), "libtorch", ALAB_LIBTORCH, "id", id);
  return *out == NULL ? al_fail(AL_ENVIRONMENT, "out of memory") : AL_OK;
}

al_status al_host_start_line(const char *folder, const char *cell, const char *build, const char *device) {
  char host[256] = "unknown", cpu[256];
  gethostname(host, sizeof host - 1);
  al_cpu_name(cpu, sizeof cpu);
  json_t *line = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:i}", "build", build, "host", host, "cpu", cpu, "blas",
                           openblas_get_config(), "libtorch", ALAB_LIBTORCH, "compiler", __VERSION__, "flags",
                           ALAB_FLAGS, "threads", openblas_get_num_threads());
  if (line == NULL) return al_fail(AL_ENVIRONMENT, "out of memory");
  if (device != NULL) json_object_set_new(line, "device", json_string(device));
  al_status status = al_record_timing(folder, cell, line);
  json_decref(line);
  return status;
}
