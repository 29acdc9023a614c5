/* Fuzzes what reads weights: the safetensors reader, and what tells the network from its tensors. A libFuzzer entry:
 *     clang -fsanitize=fuzzer,address -DALAB_LIBFUZZER ... tests/fuzz/fuzz_safetensors.c
 * The ordinary build has a main of its own that runs the files and folders given to it (in ctest: the committed
 * corpus), each also cut short and with bytes flipped, so that gcc alone checks as much as it can.
 *
 * Input: a whole file. Whatever is accepted must hold its promises: every tensor readable to its last byte, none beyond
 * the file. A broken promise aborts. */
#include "base/file.h"
#include "base/memory.h"
#include "model/weights.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds, const char *what) {
  if (holds) return;
  fprintf(stderr, "broken: %s (%s)\n", what, al_message());
  abort();
}

static void read_tensor(const al_safetensors *file, const char *name) {
  size_t shape[4], dims, count = 1, given = 0;
  int32_t *integers = NULL;
  bool found = false;
  must(al_safetensors_shape(file, name, shape, &dims), "a tensor of the header is found");
  const json_t *entry = json_object_get(file->header, name), *sizes = json_object_get(entry, "shape");
  must(json_array_size(sizes) == dims, "dimensions");
  for (size_t i = 0; i < dims; i++) count *= (size_t)json_integer_value(json_array_get(sizes, i));
  must(count <= file->size, "a tensor is no larger than the file");
  if (json_string_value(json_object_get(entry, "dtype"))[0] == 'I') {
    if (al_safetensors_integers(file, name, &integers, &given, &found) == AL_OK)
      must(found && given == count, "as many integers as the shape says");
    free(integers);
    must(al_safetensors_read(file, name, NULL, count, &found) == AL_BAD_INPUT, "integers are no weights");
    return;
  }
  float *values = NULL, last = 0.0F;
  must(AL_NEW(&values, count) == AL_OK, "memory");
  must(al_safetensors_read(file, name, values, count, &found) == AL_OK && found, "all values");
  if (count != 0) {
    must(al_safetensors_part(file, name, count - 1, &last, 1) == AL_OK, "the last value");
    must(memcmp(&last, &values[count - 1], sizeof last) == 0, "a part is what the whole is");
  }
  must(al_safetensors_part(file, name, count, &last, 1) == AL_BAD_INPUT, "nothing behind the last value");
  must(al_safetensors_read(file, name, values, count + 1, &found) == AL_BAD_INPUT, "another count is refused");
  free(values);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char path[64], name[200];
  int file = memfd_create("weights", MFD_CLOEXEC);
  must(file >= 0 && write(file, data, size) == (ssize_t)size, "a file in memory");
  snprintf(path, sizeof path, "/proc/self/fd/%d", file);
  al_weights weights = {.config = json_object()};
  al_status status = al_safetensors_open(&weights.file, path);
  must(status == AL_OK || status == AL_BAD_INPUT, "accepted or refused");
  if (status == AL_OK) {
    const char *key;
    json_t *entry;
    json_object_foreach(weights.file.header, key, entry) if (strcmp(key, "__metadata__") != 0)
        read_tensor(&weights.file, key);
    al_bert_shape bert;
    al_resnet_shape resnet;
    al_kind kind;
    if (al_weights_bert(&weights, &bert) == AL_OK)
      must(bert.width > 0 && bert.heads > 0 && bert.width % bert.heads == 0 && bert.layers > 0, "a BERT's shape");
    if (al_weights_resnet(&weights, &resnet) == AL_OK)
      must(resnet.width > 0 && resnet.stages >= 1 && resnet.stages <= 4, "a ResNet's shape");
    if (al_weights_kind(&weights, &kind) == AL_OK) must(kind == AL_TEXT || kind == AL_IMAGE, "a kind of data");
    (void)al_weights_find_bert(&weights, "embeddings.LayerNorm.weight", name);
  }
  al_weights_close(&weights);
  close(file);
  return 0;
}

#ifndef ALAB_LIBFUZZER
static size_t run_path(const char *path) {
  struct stat facts;
  if (stat(path, &facts) != 0) return 0;
  if (S_ISDIR(facts.st_mode)) {
    DIR *list = opendir(path);
    size_t n = 0;
    for (const struct dirent *entry; list != NULL && (entry = readdir(list)) != NULL;) {
      char inner[PATH_MAX];
      if (entry->d_name[0] == '.') continue;
      snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
      n += run_path(inner);
    }
    if (list != NULL) closedir(list);
    return n;
  }
  char *text = NULL;
  size_t size = 0;
  must(al_file_read(&text, &size, path, 1 << 24) == AL_OK, path);
  (void)LLVMFuzzerTestOneInput((const uint8_t *)text, size);
  for (size_t cut = 0; cut < size && cut < 1024; cut++) (void)LLVMFuzzerTestOneInput((const uint8_t *)text, cut);
  for (size_t i = 0; i < size && i < 2048; i++)
    for (int bit = 0; bit < 8; bit += 3) {
      text[i] = (char)(text[i] ^ (1 << bit));
      (void)LLVMFuzzerTestOneInput((const uint8_t *)text, size);
      text[i] = (char)(text[i] ^ (1 << bit));
    }
  free(text);
  return 1;
}

int main(int argc, char **argv) {
  size_t n = 0;
  for (int i = 1; i < argc; i++) n += run_path(argv[i]);
  printf("%zu inputs\n", n);
  return n == 0;
}
#endif
