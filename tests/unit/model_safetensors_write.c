/* What is written is read back: exactly in float32 and integers, to nearest even in float16 (IEEE 754-2019, 3.6: the
 * known halves below). */
#include "model/safetensors.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void round_trip(void **state) {
  (void)state;
  char path[] = "/tmp/alab-safetensors-XXXXXX";
  int file = mkstemp(path);
  assert_true(file >= 0);
  close(file);
  const float full[6] = {1.0F, -2.385F, 1e-30F, 3e38F, 0.0F, 7.25F};
  /* 2049 is half way between 2048 and 2050 and goes to the even 2048, 2051 to 2052; 65520 rounds to infinity; 2^-24 is
   * the smallest half, 2^-25 half of it goes to 0, 1.5 x 2^-24 to 2 x 2^-24, 1023.5 x 2^-24 to
   * the smallest normal half */
  const float wide[12] = {1.0F,     -2.0F,    0.1F,       65504.0F,     65519.0F, 65520.0F,
                          0x1p-24F, 0x1p-25F, 0x1.8p-24F, 0x1.ffcp-15F, 2049.0F,  2051.0F};
  const float wanted[12] = {1.0F,     -2.0F, 0.0999755859375F, 65504.0F, 65504.0F, INFINITY,
                            0x1p-24F, 0.0F,  0x1p-23F,         0x1p-14F, 2048.0F,  2052.0F};
  const int32_t ids[3] = {7, -1, 30521};
  const int64_t hashes[2] = {-5, INT64_MAX};
  const al_safetensors_tensor parts[] = {
      {.name = "half", .type = AL_SAFETENSORS_F16, .dims = 1, .shape = {12}, .count = 12, .values = wide},
      {.name = "full", .type = AL_SAFETENSORS_F32, .dims = 2, .shape = {2, 3}, .count = 6, .values = full},
      {.name = "ids", .type = AL_SAFETENSORS_I32, .dims = 1, .shape = {3}, .count = 3, .values = ids},
      {.name = "hashes", .type = AL_SAFETENSORS_I64, .dims = 1, .shape = {2}, .count = 2, .values = hashes}};
  json_t *metadata = json_pack("{s:s}", "format", "pt");
  assert_int_equal(al_safetensors_write(path, parts, 4, metadata), AL_OK);
  json_decref(metadata);
  al_safetensors read;
  assert_int_equal(al_safetensors_open(&read, path), AL_OK);
  assert_int_equal(read.data % 8, 0);
  for (size_t i = 0; i < 4; i++) { /* every tensor begins at a multiple of its width */
    json_int_t at = json_integer_value(
        json_array_get(json_object_get(json_object_get(read.header, parts[i].name), "data_offsets"), 0));
    assert_int_equal(at % (i == 0 ? 2 : i == 3 ? 8 : 4), 0);
  }
  float values[12];
  bool found = false;
  assert_int_equal(al_safetensors_read(&read, "full", values, 6, &found), AL_OK);
  assert_true(found);
  assert_memory_equal(values, full, sizeof full);
  assert_int_equal(al_safetensors_read(&read, "half", values, 12, &found), AL_OK);
  for (size_t i = 0; i < 12; i++)
    if (values[i] != wanted[i]) fail_msg("%zu: %a is not %a", i, (double)values[i], (double)wanted[i]);
  assert_int_equal(al_safetensors_read(&read, "full", values, 5, &found), AL_BAD_INPUT);
  json_int_t at =
      json_integer_value(json_array_get(json_object_get(json_object_get(read.header, "hashes"), "data_offsets"), 0));
  assert_memory_equal(read.map + read.data + at, hashes, sizeof hashes);
  al_safetensors_close(&read);
  unlink(path);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(round_trip)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
