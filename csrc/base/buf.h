/* SPDX-License-Identifier: MIT */
/*
** Byte queue: append at the back, consume at the front, search. One block that grows by
** doubling; consumed bytes are reclaimed by moving what is left when room is wanted, so that
** each byte moves at most a constant number of times. An empty buffer owns no block larger
** than a page.
*/
#ifndef ED_BUF_H
#define ED_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"

typedef struct ed_buf {
  char *block;
  size_t start; /* of the bytes in the block */
  size_t size;  /* of the bytes */
  size_t room;  /* of the block */
} ed_buf;

static inline char *ed_buf_bytes (const ed_buf *buf) { return buf->block + buf->start; }

/* Room for 'n' more bytes behind the last: where to write them, or NULL. */
char *ed_buf_reserve (ed_buf *buf, ed_mem *mem, size_t n);

/* The same for a size that is known: the block does not become larger than that. */
char *ed_buf_fit (ed_buf *buf, ed_mem *mem, size_t n);

/* 'n' bytes were written where ed_buf_reserve said. */
static inline void ed_buf_commit (ed_buf *buf, size_t n) { buf->size += n; }

/* How many bytes can be written behind the last as things are. */
static inline size_t ed_buf_free_room (const ed_buf *buf) {
  return buf->room - buf->start - buf->size;
}

/* Copy 'n' bytes to the back; false when memory is short. */
bool ed_buf_append (ed_buf *buf, ed_mem *mem, const char *bytes, size_t n);

/* Drop 'n' bytes at the front; an emptied large block is given back. */
void ed_buf_consume (ed_buf *buf, ed_mem *mem, size_t n);

/* Where 'needle' begins, at or after offset 'from'; -1 if nowhere. */
long ed_buf_find (const ed_buf *buf, size_t from, const char *needle, size_t n);

void ed_buf_free (ed_buf *buf, ed_mem *mem);

#endif
