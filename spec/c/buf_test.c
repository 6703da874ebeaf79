/* SPDX-License-Identifier: MIT */
/*
** The byte queue: what goes in comes out, in order; room, search, and memory that runs short.
*/
#include "base/buf.h"

#include "test.h"

static ed_mem mem;

static void check_empty (const ed_buf *buf) {
  CHECK_EQ(buf->size, 0);
  CHECK_EQ(buf->start, 0);
}

static void test_append_and_consume (void) {
  ed_buf buf = {0};
  CHECK(ed_buf_append(&buf, &mem, "hello ", 6));
  CHECK(ed_buf_append(&buf, &mem, "", 0));
  CHECK(ed_buf_append(&buf, &mem, NULL, 0));
  CHECK(ed_buf_append(&buf, &mem, "world", 5));
  CHECK_TEXT(ed_buf_bytes(&buf), buf.size, "hello world");
  ed_buf_consume(&buf, &mem, 6);
  CHECK_TEXT(ed_buf_bytes(&buf), buf.size, "world");
  ed_buf_consume(&buf, &mem, 0);
  CHECK_EQ(buf.size, 5);
  ed_buf_consume(&buf, &mem, 5);
  check_empty(&buf);
  ed_buf_free(&buf, &mem);
  ed_buf_free(&buf, &mem);
  CHECK_EQ(mem.bytes, 0);
}

static void test_reserve (void) {
  ed_buf buf = {0};
  char *at = ed_buf_reserve(&buf, &mem, 10);
  if (!CHECK(at != NULL)) return;
  CHECK_EQ(buf.size, 0);
  memcpy(at, "0123456789", 10);
  ed_buf_commit(&buf, 4);
  CHECK_TEXT(ed_buf_bytes(&buf), buf.size, "0123");
  at = ed_buf_reserve(&buf, &mem, 1);
  CHECK(at == ed_buf_bytes(&buf) + 4);
  CHECK(ed_buf_reserve(&buf, &mem, SIZE_MAX) == NULL);
  CHECK(ed_buf_reserve(&buf, &mem, SIZE_MAX - 4) == NULL);
  CHECK_TEXT(ed_buf_bytes(&buf), buf.size, "0123");
  ed_buf_free(&buf, &mem);
}

/* An emptied small block is kept, a large one is not. */
static void test_empty_is_small (void) {
  ed_buf buf = {0};
  static char big[100000];
  CHECK(ed_buf_append(&buf, &mem, "x", 1));
  ed_buf_consume(&buf, &mem, 1);
  CHECK(buf.room > 0);
  CHECK(ed_buf_append(&buf, &mem, big, sizeof big));
  CHECK(buf.room >= sizeof big);
  ed_buf_consume(&buf, &mem, sizeof big - 1);
  CHECK_EQ(buf.size, 1);
  ed_buf_consume(&buf, &mem, 1);
  CHECK(buf.room <= 4096);
  ed_buf_free(&buf, &mem);
  CHECK_EQ(mem.bytes, 0);
}

/* A queue that is never empty stays as large as what it holds asks for. */
static void test_flow (void) {
  ed_buf buf = {0};
  unsigned in = 0, out = 0;
  bool in_order = true;
  for (int i = 0; i < 100; i++) ed_buf_append(&buf, &mem, (char[]){(char)in++}, 1);
  for (int i = 0; i < 100000; i++) {
    ed_buf_append(&buf, &mem, (char[]){(char)in++}, 1);
    if (*ed_buf_bytes(&buf) != (char)out++) in_order = false;
    ed_buf_consume(&buf, &mem, 1);
  }
  CHECK(in_order);
  CHECK_EQ(buf.size, 100);
  CHECK(buf.room <= 1024);
  ed_buf_free(&buf, &mem);
}

static void test_find (void) {
  ed_buf buf = {0};
  static const char text[] = "xx--a--b---c";
  CHECK_EQ(ed_buf_find(&buf, 0, "a", 1), -1);
  CHECK(ed_buf_append(&buf, &mem, text, sizeof text - 1));
  ed_buf_consume(&buf, &mem, 2);
  CHECK_EQ(ed_buf_find(&buf, 0, "--", 2), 0);
  CHECK_EQ(ed_buf_find(&buf, 1, "--", 2), 3);
  CHECK_EQ(ed_buf_find(&buf, 4, "--", 2), 6);
  CHECK_EQ(ed_buf_find(&buf, 7, "--", 2), 7);
  CHECK_EQ(ed_buf_find(&buf, 8, "--", 2), -1);
  CHECK_EQ(ed_buf_find(&buf, 0, "---c", 4), 6);
  CHECK_EQ(ed_buf_find(&buf, 0, "---cd", 5), -1);
  CHECK_EQ(ed_buf_find(&buf, 0, "c", 1), 9);
  CHECK_EQ(ed_buf_find(&buf, 10, "c", 1), -1);
  CHECK_EQ(ed_buf_find(&buf, 100, "c", 1), -1);
  CHECK_EQ(ed_buf_find(&buf, 0, "", 0), -1);
  ed_buf_free(&buf, &mem);
}

static void test_no_memory (void) {
  ed_buf buf = {0};
  char big[1000] = "";
  mem.fail_in = 1;
  CHECK(!ed_buf_append(&buf, &mem, "x", 1));
  check_empty(&buf);
  CHECK(ed_buf_append(&buf, &mem, "kept", 4));
  mem.fail_in = 1;
  CHECK(!ed_buf_append(&buf, &mem, big, sizeof big));
  CHECK_TEXT(ed_buf_bytes(&buf), buf.size, "kept");
  CHECK(ed_buf_append(&buf, &mem, big, sizeof big));
  CHECK_EQ(buf.size, 1004);
  ed_buf_free(&buf, &mem);
  CHECK_EQ(mem.bytes, 0);
  CHECK_EQ(mem.blocks, 0);
}

/* Random appends and consumes beside a plain array. */
static void test_against_an_array (void) {
  enum { ROOM = 5000 };
  static char want[ROOM];
  size_t size = 0;
  ed_buf buf = {0};
  bool same = true;
  srand(7);
  for (int i = 0; i < 20000 && same; i++) {
    char piece[300];
    size_t n = (size_t)rand() % sizeof piece;
    if (rand() % 2 == 0 && size + n <= ROOM) {
      memset(piece, rand(), n);
      same = ed_buf_append(&buf, &mem, piece, n);
      memcpy(want + size, piece, n);
      size += n;
    } else {
      if (n > size) n = size;
      ed_buf_consume(&buf, &mem, n);
      memmove(want, want + n, size -= n);
    }
    same = same && buf.size == size
      && (size == 0 || !memcmp(ed_buf_bytes(&buf), want, size));
  }
  CHECK(same);
  ed_buf_free(&buf, &mem);
}

int main (void) {
  test_append_and_consume();
  test_reserve();
  test_empty_is_small();
  test_flow();
  test_find();
  test_no_memory();
  test_against_an_array();
  ed_mem_trim(&mem);
  return test_report();
}
