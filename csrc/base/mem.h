/* SPDX-License-Identifier: MIT */
/*
** The one door to malloc. Every block that eddy takes for itself goes through an 'ed_mem' of
** its runtime, so that live bytes are known at any time (the leak oracle) and a test can make
** the n-th request fail. Small blocks are kept for reuse, so that a wait costs no malloc once
** a program is warm. Not for memory that a pool thread touches: that is plain malloc.
** Promise: a NULL answer changes nothing; freeing needs the size that was asked for.
*/
#ifndef ED_MEM_H
#define ED_MEM_H

#include <stdbool.h>
#include <stddef.h>

enum {
  ED_MEM_STEP = 16, /* granularity of kept blocks */
  ED_MEM_KINDS = 20 /* blocks up to ED_MEM_STEP * (ED_MEM_KINDS - 1) bytes are kept */
};

/* Of each size, at most so many; a sanitizer sees more with 0. */
#ifndef ED_MEM_KEEP
#define ED_MEM_KEEP 1024
#endif

typedef struct ed_mem_spare {
  struct ed_mem_spare *next;
} ed_mem_spare;

typedef struct ed_mem {
  size_t bytes;         /* live, as asked for */
  size_t blocks;        /* live */
  size_t asked;         /* times that the system was asked for memory */
  size_t limit;         /* of 'bytes' and '*beside' together; 0: none */
  const size_t *beside; /* bytes of somebody who shares the limit */
  size_t fail_in;       /* 1: the next request fails; 0: none will */
  bool fails_on;        /* and so do all behind that one */
  bool expects_bulk;
  ed_mem_spare *spare[ED_MEM_KINDS]; /* freed blocks by size in steps */
  unsigned short kept[ED_MEM_KINDS]; /* how many are in each list */
} ed_mem;

/* A block of 'size' bytes, not cleared, or NULL. */
void *ed_mem_new (ed_mem *mem, size_t size);

/* Give back a block of 'size' bytes. NULL is fine. */
void ed_mem_free (ed_mem *mem, void *block, size_t size);

/* Grow or shrink a block as realloc does; on NULL the old block is as it was. */
void *ed_mem_resize (ed_mem *mem, void *block, size_t old, size_t size);

/* Hand all kept blocks back to the system. */
void ed_mem_trim (ed_mem *mem);

/* Blocks of a megabyte will come and go from now on, ours and Lua's. */
void ed_mem_expect_bulk (ed_mem *mem);

#endif
