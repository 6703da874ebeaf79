/* SPDX-License-Identifier: MIT */
/*
** Counted allocation with lists of spare small blocks. A kept block's first word is its link.
*/
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { BULK = 16 << 20 };

static unsigned kind_of (size_t size) {
  return (unsigned)((size + ED_MEM_STEP - 1) / ED_MEM_STEP);
}

static bool is_small (size_t size) { return size > 0 && kind_of(size) < ED_MEM_KINDS; }

/* Tests ask for the n-th request to fail; in real life this is one compare. */
static bool must_fail (ed_mem *mem) {
  if (mem->fail_in == 0 || --mem->fail_in > 0) return false;
  mem->fail_in = mem->fails_on;
  return true;
}

/* Is there no room for so many bytes more? */
static bool is_full (const ed_mem *mem, size_t more) {
  size_t used;
  if (mem->limit == 0) return false;
  used = mem->bytes + *mem->beside;
  return used > mem->limit || more > mem->limit - used;
}

static void *ask (ed_mem *mem, size_t size) {
  mem->asked++;
  return malloc(size);
}

static void *take (ed_mem *mem, size_t size) {
  unsigned kind = kind_of(size);
  ed_mem_spare *block = mem->spare[kind];
  if (block == NULL) return ask(mem, (size_t)kind * ED_MEM_STEP);
  mem->spare[kind] = block->next;
  mem->kept[kind]--;
  return block;
}

void *ed_mem_new (ed_mem *mem, size_t size) {
  void *block;
  if (must_fail(mem) || is_full(mem, size)) return NULL;
  block = is_small(size) ? take(mem, size) : ask(mem, size);
  if (block != NULL) {
    mem->bytes += size;
    mem->blocks++;
  }
  return block;
}

static void keep (ed_mem *mem, void *block, unsigned kind) {
  ed_mem_spare *spare = block;
  spare->next = mem->spare[kind];
  mem->spare[kind] = spare;
  mem->kept[kind]++;
}

void ed_mem_free (ed_mem *mem, void *block, size_t size) {
  if (block == NULL) return;
  mem->bytes -= size;
  mem->blocks--;
  if (is_small(size) && mem->kept[kind_of(size)] + 1 <= ED_MEM_KEEP)
    keep(mem, block, kind_of(size));
  else free(block);
}

/* Between the small sizes a block moves; large ones are the system's business. */
void *ed_mem_resize (ed_mem *mem, void *block, size_t old, size_t size) {
  void *moved;
  if (block == NULL) return ed_mem_new(mem, size);
  if (is_small(old) || is_small(size)) {
    if ((moved = ed_mem_new(mem, size)) == NULL) return NULL;
    memcpy(moved, block, old < size ? old : size);
    ed_mem_free(mem, block, old);
    return moved;
  }
  mem->asked++;
  if (size > old && is_full(mem, size - old)) return NULL;
  if (must_fail(mem) || (moved = realloc(block, size)) == NULL) return NULL;
  mem->bytes += size - old;
  return moved;
}

void ed_mem_trim (ed_mem *mem) {
  for (unsigned kind = 0; kind < ED_MEM_KINDS; kind++) {
    ed_mem_spare *block = mem->spare[kind];
    while (block != NULL) {
      ed_mem_spare *next = block->next;
      free(block);
      block = next;
    }
    mem->spare[kind] = NULL;
    mem->kept[kind] = 0;
  }
}

/*
** glibc returns the free end of its heap to the system above a threshold, which begins so low that
** a body of a megabyte, and the Lua string made of it, give their pages back and fault them in
** again each time: three quarters of what such a request costs. The threshold follows the largest
** block that was mapped and freed (mallopt(3), M_MMAP_THRESHOLD; twice its size, here 32 MiB), so
** one is made and given back, untouched. No setting is changed; other allocators do not mind.
*/
void ed_mem_expect_bulk (ed_mem *mem) {
#ifdef __GLIBC__
  void *volatile block; /* or the pair would be optimised away */
  if (mem->expects_bulk) return;
  block = malloc(BULK);
  free(block);
#endif
  mem->expects_bulk = true;
}
