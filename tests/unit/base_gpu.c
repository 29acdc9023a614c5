/* What is said of GPUs, from files as NVIDIA's driver lays them out. */
#include "base/build.h"
#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void put(const char *folder, const char *bus, const char *model) {
  char path[300], text[300];
  snprintf(path, sizeof path, "%s/%s", folder, bus);
  assert_int_equal(al_folder_make(path), AL_OK);
  snprintf(path, sizeof path, "%s/%s/information", folder, bus);
  snprintf(text, sizeof text, "Model: \t\t %s\nIRQ:   \t\t 52\nGPU UUID: \t GPU-1c27\nBus Type: \t PCIe\n", model);
  assert_int_equal(al_file_write(path, text, strlen(text)), AL_OK);
}

static void gpus(void **state) {
  (void)state;
  char folder[] = "/tmp/alab-gpu-XXXXXX", kind[320], command[400];
  assert_non_null(mkdtemp(folder));
  unsetenv("CUDA_VISIBLE_DEVICES");
  al_gpu_kind(kind, sizeof kind, folder);
  assert_string_equal(kind, "unknown");
  put(folder, "0000:1b:00.0", "NVIDIA A40");
  put(folder, "0000:43:00.0", "NVIDIA A40");
  al_gpu_kind(kind, sizeof kind, folder);
  assert_string_equal(kind, "NVIDIA A40");
  setenv("CUDA_VISIBLE_DEVICES", "1", 1);
  al_gpu_kind(kind, sizeof kind, folder); /* which of equal ones is no matter */
  assert_string_equal(kind, "NVIDIA A40");
  put(folder, "0000:52:00.0", "Tesla T4");
  al_gpu_kind(kind, sizeof kind, folder);
  assert_string_equal(kind, "NVIDIA A40 + Tesla T4, CUDA_VISIBLE_DEVICES=1");
  unsetenv("CUDA_VISIBLE_DEVICES");
  al_gpu_kind(kind, sizeof kind, folder);
  assert_string_equal(kind, "NVIDIA A40 + Tesla T4");
  char small[8] = "xxxxxxx";
  al_gpu_kind(small, sizeof small, folder);
  assert_string_equal(small, "NVIDIA ");
  snprintf(command, sizeof command, "rm -r %s", folder);
  assert_int_equal(system(command), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(gpus)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
