/* SPDX-License-Identifier: MIT */
/*
** The byte queue. Room is found by moving what is left to the front when that is at most half
** of the block, else by doubling.
*/
#include "base/buf.h"

#include <string.h>

enum { FIRST_ROOM = 256, KEEP_ROOM = 4096 };

static void pull_to_front (ed_buf *buf) {
  if (buf->start == 0) return;
  memmove(buf->block, buf->block + buf->start, buf->size);
  buf->start = 0;
}

static bool resize (ed_buf *buf, ed_mem *mem, size_t room) {
  char *block = ed_mem_resize(mem, buf->block, buf->room, room);
  if (block == NULL) return false;
  buf->block = block;
  buf->room = room;
  return true;
}

static bool grow (ed_buf *buf, ed_mem *mem, size_t needed) {
  size_t room = buf->room > 0 ? buf->room : FIRST_ROOM;
  while (room < needed)
    if ((room *= 2) == 0) return false;
  return resize(buf, mem, room);
}

char *ed_buf_reserve (ed_buf *buf, ed_mem *mem, size_t n) {
  if (n > SIZE_MAX / 2 - buf->size) return NULL;
  if (buf->start + buf->size + n > buf->room) {
    if (buf->start >= buf->size || buf->size + n > buf->room) pull_to_front(buf);
    if (buf->start + buf->size + n > buf->room
      && !grow(buf, mem, buf->start + buf->size + n))
      return NULL;
  }
  return buf->block + buf->start + buf->size;
}

char *ed_buf_fit (ed_buf *buf, ed_mem *mem, size_t n) {
  if (n > SIZE_MAX / 2 - buf->size) return NULL;
  if (ed_buf_free_room(buf) < n) {
    pull_to_front(buf);
    if (buf->size + n > buf->room && !resize(buf, mem, buf->size + n)) return NULL;
  }
  return buf->block + buf->start + buf->size;
}

bool ed_buf_append (ed_buf *buf, ed_mem *mem, const char *bytes, size_t n) {
  char *to = ed_buf_reserve(buf, mem, n);
  if (to == NULL) return false;
  if (n > 0) memcpy(to, bytes, n);
  buf->size += n;
  return true;
}

void ed_buf_consume (ed_buf *buf, ed_mem *mem, size_t n) {
  buf->start += n;
  buf->size -= n;
  if (buf->size > 0) return;
  buf->start = 0;
  if (buf->room > KEEP_ROOM) ed_buf_free(buf, mem);
}

long ed_buf_find (const ed_buf *buf, size_t from, const char *needle, size_t n) {
  const char *bytes = ed_buf_bytes(buf);
  if (n == 0 || buf->size < n) return -1;
  for (size_t at = from; at + n <= buf->size; at++) {
    const char *hit = memchr(bytes + at, needle[0], buf->size - n + 1 - at);
    if (hit == NULL) return -1;
    at = (size_t)(hit - bytes);
    if (memcmp(hit, needle, n) == 0) return (long)at;
  }
  return -1;
}

void ed_buf_free (ed_buf *buf, ed_mem *mem) {
  ed_mem_free(mem, buf->block, buf->room);
  buf->block = NULL;
  buf->start = buf->size = buf->room = 0;
}
