/* SPDX-License-Identifier: MIT */
/*
** The harness of the C tests: each program includes it once, makes its checks, and ends with
** 'return test_report();'. A failed check says where and what, and the program goes on. The
** last line of output is "N passed, M failed", which tools/suite.lua adds up.
*/
#ifndef ED_TEST_H
#define ED_TEST_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static long test_passed;
static long test_failed;

static inline bool test_check (
  bool ok, const char *what, const char *note, const char *file, int line) {
  if (ok) test_passed++;
  else {
    test_failed++;
    printf("%s:%d: %s%s%s\n", file, line, what, note != NULL ? ", with " : "",
      note != NULL ? note : "");
  }
  return ok;
}

static inline bool test_equal (long long got, long long want, const char *what,
  const char *note, const char *file, int line) {
  char text[256];
  snprintf(text, sizeof text, "%s is %lld, not %lld", what, got, want);
  return test_check(got == want, text, note, file, line);
}

static inline bool test_text (const char *got, size_t len, const char *want,
  const char *what, const char *file, int line) {
  char text[512];
  bool ok = len == strlen(want) && (len == 0 || memcmp(got, want, len) == 0);
  if (!ok)
    snprintf(text, sizeof text, "%s is \"%.*s\", not \"%s\"", what, (int)len, got, want);
  return test_check(ok, ok ? what : text, NULL, file, line);
}

/* All answer whether the check passed. The note tells cases of a table apart. */
#define CHECK(cond) test_check((cond), #cond, NULL, __FILE__, __LINE__)
#define CHECK_FOR(note, cond) test_check((cond), #cond, (note), __FILE__, __LINE__)
#define CHECK_EQ(got, want) test_equal((got), (want), #got, NULL, __FILE__, __LINE__)
#define CHECK_EQ_FOR(note, got, want) \
  test_equal((got), (want), #got, (note), __FILE__, __LINE__)
#define CHECK_TEXT(got, len, want) \
  test_text((got), (len), (want), #got, __FILE__, __LINE__)

/* A copy in a block of exactly its size, so that the sanitizer sees a step too far. */
static inline char *test_copy (const char *text, size_t len) {
  char *copy = malloc(len > 0 ? len : 1);
  if (copy == NULL) abort();
  if (len > 0) memcpy(copy, text, len);
  return copy;
}

static inline int test_report (void) {
  printf("%ld passed, %ld failed\n", test_passed, test_failed);
  return test_failed > 0;
}

#endif
