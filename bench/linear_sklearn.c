/* One fit of al_softmax on CSR rows in .npy files, for bench/linear_sklearn.py: prints seconds and objective.
 * Arguments: indptr (int64) indices (int32) values (float32) classes (int32) columns classes l2. */
#include "base/log.h"
#include "base/npy.h"
#include "model/model.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
  if (argc != 8) {
    fprintf(stderr, "usage: linear_sklearn INDPTR INDICES VALUES CLASSES COLUMNS CLASS_COUNT L2\n");
    return 2;
  }
  al_npy arrays[4] = {{0}};
  const al_npy_type types[4] = {AL_NPY_I64, AL_NPY_I32, AL_NPY_F32, AL_NPY_I32};
  for (int i = 0; i < 4; i++)
    if (al_npy_read(&arrays[i], argv[1 + i]) != AL_OK || arrays[i].type != types[i]) {
      fprintf(stderr, "%s: %s\n", argv[1 + i], al_message());
      return 2;
    }
  al_view rows =
      al_view_csr(arrays[0].data, arrays[1].data, arrays[2].data, arrays[3].count, (size_t)strtoul(argv[5], NULL, 10));
  al_softmax *model;
  double start = al_seconds();
  if (al_softmax_fit(&model, &rows, arrays[3].data, (size_t)strtoul(argv[6], NULL, 10), strtod(argv[7], NULL)) != AL_OK)
    return 3;
  printf("%.6f %.9f\n", al_seconds() - start, al_softmax_objective(model));
  al_softmax_free(model);
  for (int i = 0; i < 4; i++) al_npy_free(&arrays[i]);
  return 0;
}
