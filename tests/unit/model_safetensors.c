/* The safetensors reader: every type by known bits, and every way in which a file can be wrong. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "model/safetensors.h"
#include "weights_fixture.h"

static char path[] = "/tmp/alab-tensors-XXXXXX";

static void put(const char *header, const void *bytes, size_t size) {
  al_buffer whole = {0};
  uint64_t length = strlen(header);
  assert_int_equal(al_buffer_append(&whole, &length, 8), AL_OK);
  assert_int_equal(al_buffer_append(&whole, header, length), AL_OK);
  assert_int_equal(al_buffer_append(&whole, bytes, size), AL_OK);
  assert_int_equal(al_file_write(path, whole.data, whole.size), AL_OK);
  al_buffer_free(&whole);
}

static void refused(const char *header, size_t payload, const char *says) {
  static const char zeros[64];
  al_safetensors file;
  put(header, zeros, payload);
  assert_int_equal(al_safetensors_open(&file, path), AL_BAD_INPUT);
  if (strstr(al_message(), says) == NULL || strstr(al_message(), path) == NULL)
    fail_msg("%s: '%s' does not say '%s'", header, al_message(), says);
  assert_null(file.map); /* nothing is left to close */
}

/* Bits and values from IEEE 754 (binary16: 5 exponent bits, bias 15) and bfloat16 (the upper half of binary32). */
static void floats_by_their_bits(void **state) {
  (void)state;
  static const uint16_t half[] = {0x0000, 0x8000, 0x3c00, 0xc000, 0x3555, 0x7bff, 0x0400,
                                  0x03ff, 0x0001, 0x8001, 0x7c00, 0xfc00, 0x7e00};
  static const double of_half[] = {0.0,         -0.0,    1.0,      -2.0,     0.333251953125, 65504.0, 0x1p-14,
                                   0x1.ff8p-15, 0x1p-24, -0x1p-24, INFINITY, -INFINITY,      NAN};
  static const uint16_t brain[] = {0x0000, 0x3f80, 0xc000, 0x4049, 0x7f7f, 0x0001, 0x7f80, 0x7fc0};
  static const double of_brain[] = {0.0, 1.0, -2.0, 3.140625, 0x1.fep127, 0x1p-133, INFINITY, NAN};
  char bytes[sizeof half + sizeof brain];
  memcpy(bytes, half, sizeof half);
  memcpy(bytes + sizeof half, brain, sizeof brain);
  put("{\"h\":{\"dtype\":\"F16\",\"shape\":[13],\"data_offsets\":[0,26]},"
      "\"b\":{\"dtype\":\"BF16\",\"shape\":[2,4],\"data_offsets\":[26,42]}}",
      bytes, sizeof bytes);
  al_safetensors file;
  float values[13];
  bool found = false;
  assert_int_equal(al_safetensors_open(&file, path), AL_OK);
  assert_int_equal(al_safetensors_read(&file, "h", values, 13, &found), AL_OK);
  assert_true(found);
  for (size_t i = 0; i < 13; i++) {
    assert_int_equal(isnan(values[i]), isnan(of_half[i]));
    if (!isnan(of_half[i])) assert_true((double)values[i] == of_half[i] && !signbit(values[i]) == !signbit(of_half[i]));
  }
  assert_int_equal(al_safetensors_read(&file, "b", values, 8, &found), AL_OK);
  for (size_t i = 0; i < 8; i++) assert_true(isnan(of_brain[i]) ? isnan(values[i]) : (double)values[i] == of_brain[i]);
  /* a part is the whole's */
  assert_int_equal(al_safetensors_part(&file, "h", 4, values, 2), AL_OK);
  assert_true((double)values[0] == of_half[4] && (double)values[1] == of_half[5]);
  assert_int_equal(al_safetensors_part(&file, "h", 12, values, 2), AL_BAD_INPUT);
  assert_int_equal(al_safetensors_part(&file, "h", SIZE_MAX, values, 1), AL_BAD_INPUT);
  /* another count, another name */
  assert_int_equal(al_safetensors_read(&file, "h", values, 12, &found), AL_BAD_INPUT);
  assert_int_equal(al_safetensors_read(&file, "x", values, 12, &found), AL_OK);
  assert_false(found);
  size_t shape[4], dims;
  assert_true(al_safetensors_shape(&file, "b", shape, &dims));
  assert_int_equal(dims, 2);
  assert_int_equal(shape[0] * 1000 + shape[1] * 100 + shape[2] * 10 + shape[3], 2411);
  assert_false(al_safetensors_shape(&file, "__metadata__", shape, &dims));
  al_safetensors_close(&file);
}

static void integers(void **state) {
  (void)state;
  const int32_t narrow[] = {7, -2000000000};
  const int64_t wide[] = {5, -6}, beyond[] = {3, 2147483648};
  char bytes[40];
  memcpy(bytes, narrow, 8);
  memcpy(bytes + 8, wide, 16);
  memcpy(bytes + 24, beyond, 16);
  put("{\"n\":{\"dtype\":\"I32\",\"shape\":[2],\"data_offsets\":[0,8]},"
      "\"w\":{\"dtype\":\"I64\",\"shape\":[2],\"data_offsets\":[8,24]},"
      "\"b\":{\"dtype\":\"I64\",\"shape\":[2],\"data_offsets\":[24,40]}}",
      bytes, sizeof bytes);
  al_safetensors file;
  int32_t *values = NULL;
  float number;
  size_t n = 0;
  bool found = false;
  assert_int_equal(al_safetensors_open(&file, path), AL_OK);
  assert_int_equal(al_safetensors_integers(&file, "n", &values, &n, &found), AL_OK);
  assert_true(found && n == 2 && values[0] == 7 && values[1] == -2000000000);
  free(values);
  assert_int_equal(al_safetensors_integers(&file, "w", &values, &n, &found), AL_OK);
  assert_true(found && n == 2 && values[0] == 5 && values[1] == -6);
  free(values);
  assert_int_equal(al_safetensors_integers(&file, "b", &values, &n, &found), AL_BAD_INPUT);
  assert_null(values);
  assert_int_equal(al_safetensors_integers(&file, "x", &values, &n, &found), AL_OK);
  assert_false(found);
  assert_int_equal(al_safetensors_read(&file, "n", &number, 2, &found), AL_BAD_INPUT); /* ids are no weights */
  al_safetensors_close(&file);
}

#define F32(name, shape, from, to)                                                                                     \
  "\"" name "\":{\"dtype\":\"F32\",\"shape\":[" shape "],\"data_offsets\":[" from "," to "]}"

static void hostile_headers(void **state) {
  (void)state;
  refused("{" F32("a", "2", "0", "8") "}", 7, "do not fit the file");
  refused("{" F32("a", "2", "0", "8") "}", 9, "bytes behind");
  refused("{" F32("a", "2", "4", "12") "}", 12, "between");
  refused("{" F32("a", "1", "0", "4") "," F32("b", "1", "8", "12") "}", 12, "between");
  refused("{" F32("a", "2", "0", "8") "," F32("b", "2", "4", "12") "}", 12, "overlap");
  refused("{" F32("a", "2", "0", "8") "," F32("b", "2", "0", "8") "}", 8, "overlap");
  refused("{" F32("a", "3", "0", "8") "}", 8, "do not fit the file");
  refused("{" F32("a", "-2", "8", "0") "}", 8, "do not fit the file");
  refused("{" F32("a", "2.0", "0", "8") "}", 8, "do not fit the file");
  refused("{" F32("a", "\"2\"", "0", "8") "}", 8, "do not fit the file");
  refused("{" F32("a", "2", "0", "8.0") "}", 8, "do not fit the file");
  refused("{" F32("a", "2", "0", "8,9") "}", 8, "do not fit the file");
  refused("{" F32("a", "4611686018427387904,8", "0", "8") "}", 8, "do not fit the file");
  refused("{" F32("a", "0,9223372036854775807,2", "0", "8") "}", 8, "do not fit the file");
  refused("{" F32("a", "2", "0", "9223372036854775807") "}", 8, "do not fit the file");
  refused("{\"a\":{\"dtype\":\"X9\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "not of f32");
  refused("{\"a\":{\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[0,8]}}", 8, "not of f32");
  refused("{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "not of f32");
  refused("{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", 8, "do not fit the file");
  refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, "do not fit the file");
  refused("{\"a\":3}", 8, "not of f32");
  refused("{" F32("a", "1", "0", "4") "," F32("a", "1", "4", "8") "}", 8, "not a JSON object"); /* a name twice */
  refused("[1, 2]", 8, "not a JSON object");
  refused("{\"a\":", 8, "not a JSON object");
  refused("{\"a\\u0000b\":"
          "{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}",
          0, "not a JSON object");
}

static void sizes_of_the_file(void **state) {
  (void)state;
  al_safetensors file;
  unsigned char bytes[32];
  memset(bytes, 0xff, sizeof bytes);
  assert_int_equal(al_file_write(path, bytes, sizeof bytes), AL_OK);
  assert_int_equal(al_safetensors_open(&file, path), AL_BAD_INPUT); /* header of 2^64 - 1 bytes */
  uint64_t length = (1 << 24) + 1;
  memcpy(bytes, &length, 8);
  assert_int_equal(al_file_write(path, bytes, sizeof bytes), AL_OK);
  assert_int_equal(al_safetensors_open(&file, path), AL_BAD_INPUT);
  for (size_t n = 0; n < 10; n++) {
    assert_int_equal(al_file_write(path, bytes, n), AL_OK);
    assert_int_equal(al_safetensors_open(&file, path), AL_BAD_INPUT);
  }
  assert_int_equal(unlink(path), 0);
  assert_int_equal(al_safetensors_open(&file, path), AL_ENVIRONMENT);
}

/* A good file cut anywhere is refused; whole it is read to its last value. */
static void truncated_anywhere(void **state) {
  (void)state;
  weights_file f = {0};
  char *whole = NULL;
  size_t size = 0;
  weights_tensor(&f, "a", 0.0, 1.0, 2, (size_t)3, (size_t)5);
  weights_tensor(&f, "b", 0.0, 1.0, 1, (size_t)4);
  weights_write(&f, path, "{\"format\":\"pt\"}");
  assert_int_equal(al_file_read(&whole, &size, path, 10000), AL_OK);
  al_safetensors file;
  float values[15];
  bool found = false;
  assert_int_equal(al_safetensors_open(&file, path), AL_OK);
  assert_int_equal(al_safetensors_read(&file, "a", values, 15, &found), AL_OK);
  for (size_t k = 0; k < 15; k++) assert_true(values[k] == weights_value(0, k));
  assert_int_equal(al_safetensors_read(&file, "b", values, 4, &found), AL_OK);
  for (size_t k = 0; k < 4; k++) assert_true(values[k] == weights_value(1, k));
  char digest[2][33];
  al_safetensors_digest(&file, digest[0]);
  al_safetensors_close(&file);
  for (size_t cut = 0; cut < size; cut++) {
    assert_int_equal(al_file_write(path, whole, cut), AL_OK);
    assert_int_equal(al_safetensors_open(&file, path), AL_BAD_INPUT);
  }
  whole[size - 1] ^= 1; /* any bit is another digest */
  assert_int_equal(al_file_write(path, whole, size), AL_OK);
  assert_int_equal(al_safetensors_open(&file, path), AL_OK);
  al_safetensors_digest(&file, digest[1]);
  assert_string_not_equal(digest[0], digest[1]);
  al_safetensors_close(&file);
  free(whole);
}

static int setup(void **state) {
  (void)state;
  int file = mkstemp(path);
  return file < 0 ? -1 : close(file);
}

static int teardown(void **state) {
  (void)state;
  unlink(path);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(floats_by_their_bits), cmocka_unit_test(integers),          cmocka_unit_test(hostile_headers),
      cmocka_unit_test(truncated_anywhere),   cmocka_unit_test(sizes_of_the_file),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
