/* SPDX-License-Identifier: MIT */
/*
** Runs a fuzz target over the files named on the command line, so that the corpus is a test
** with any compiler. A finding aborts, as it does under the fuzzer; a file that cannot be read
** is a failure.
*/
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

/* The whole file in a block of its size, or NULL. */
static uint8_t *read_all (FILE *file, size_t *size) {
  uint8_t *data;
  long len;
  if (fseek(file, 0, SEEK_END) != 0 || (len = ftell(file)) < 0) return NULL;
  rewind(file);
  *size = (size_t)len;
  data = malloc(*size > 0 ? *size : 1);
  if (data != NULL && fread(data, 1, *size, file) == *size) return data;
  free(data);
  return NULL;
}

static bool replay (const char *path) {
  FILE *file = fopen(path, "rb");
  size_t size = 0;
  uint8_t *data;
  if (file == NULL) return false;
  data = read_all(file, &size);
  fclose(file);
  if (data == NULL) return false;
  LLVMFuzzerTestOneInput(data, size);
  free(data);
  return true;
}

int main (int argc, char **argv) {
  int failed = 0;
  for (int i = 1; i < argc; i++) {
    if (!replay(argv[i])) {
      failed++;
      printf("%s: cannot be read\n", argv[i]);
    }
  }
  printf("%d passed, %d failed\n", argc - 1 - failed, failed);
  return failed > 0;
}
