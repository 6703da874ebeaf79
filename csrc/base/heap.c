/* SPDX-License-Identifier: MIT */
/*
** The 4-ary timer heap. Moves shift entries and write the moving one once, at its final place.
*/
#include "base/heap.h"

enum { ARITY = 4, FIRST_ROOM = 16 };

static bool is_before (const ed_heap_entry *a, const ed_heap_entry *b) {
  if (a->due != b->due) return a->due < b->due;
  return (((uint32_t)a->timer->order - b->timer->order) >> 29 & 1)
    != 0; /* wraps round in 30 bits */
}

static void put (ed_heap *heap, uint32_t at, ed_heap_entry entry) {
  heap->entry[at] = entry;
  entry.timer->place = at + 1;
}

static void sift_up (ed_heap *heap, uint32_t at, ed_heap_entry entry) {
  while (at > 0) {
    uint32_t parent = (at - 1) / ARITY;
    if (!is_before(&entry, &heap->entry[parent])) break;
    put(heap, at, heap->entry[parent]);
    at = parent;
  }
  put(heap, at, entry);
}

static uint32_t smallest_child (const ed_heap *heap, uint32_t first) {
  uint32_t best = first;
  uint32_t end = first + ARITY < heap->count ? first + ARITY : heap->count;
  for (uint32_t i = first + 1; i < end; i++)
    if (is_before(&heap->entry[i], &heap->entry[best])) best = i;
  return best;
}

static void sift_down (ed_heap *heap, uint32_t at, ed_heap_entry entry) {
  for (;;) {
    uint32_t child = at * ARITY + 1;
    if (child >= heap->count) break;
    child = smallest_child(heap, child);
    if (!is_before(&heap->entry[child], &entry)) break;
    put(heap, at, heap->entry[child]);
    at = child;
  }
  put(heap, at, entry);
}

bool ed_heap_reserve (ed_heap *heap, ed_mem *mem) {
  uint32_t room = heap->room > 0 ? heap->room * 2 : FIRST_ROOM;
  ed_heap_entry *grown;
  if (heap->count + heap->promised < heap->room) return true;
  grown = ed_mem_resize(
    mem, heap->entry, heap->room * sizeof *grown, room * sizeof *grown);
  if (grown == NULL) return false;
  heap->entry = grown;
  heap->room = room;
  return true;
}

void ed_heap_push (ed_heap *heap, ed_timer *timer, uint64_t due) {
  ed_heap_entry entry = {due, timer};
  timer->order = heap->order++ & 0x7fffffff;
  sift_up(heap, heap->count++, entry);
}

void ed_heap_remove (ed_heap *heap, ed_timer *timer) {
  uint32_t at = timer->place - 1;
  ed_heap_entry last;
  if (timer->place == 0) return;
  timer->place = 0;
  last = heap->entry[--heap->count];
  if (at == heap->count) return;
  if (at > 0 && is_before(&last, &heap->entry[(at - 1) / ARITY])) sift_up(heap, at, last);
  else sift_down(heap, at, last);
}

void ed_heap_free (ed_heap *heap, ed_mem *mem) {
  ed_mem_free(mem, heap->entry, heap->room * sizeof *heap->entry);
  heap->entry = NULL;
  heap->count = heap->room = 0;
}
