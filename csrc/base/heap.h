/* SPDX-License-Identifier: MIT */
/*
** Timer heap: a 4-ary heap in one array, smallest time first, equal times in order of
** insertion. A timer knows its place, so that taking it out is O(log n). Four children per
** node fit in a cache line, which makes push and pop about a third cheaper than in a binary
** heap. The heap owns its array only; timers belong to whoever embeds them.
*/
#ifndef ED_HEAP_H
#define ED_HEAP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"

typedef struct ed_timer {
  uint32_t place;      /* index + 1; 0 when not in the heap */
  uint32_t order : 30; /* of insertion, for equal times; compared as a difference */
  uint32_t kind : 2;   /* the owner's: what embeds this timer */
} ed_timer;

typedef struct ed_heap_entry {
  uint64_t due;
  ed_timer *timer;
} ed_heap_entry;

typedef struct ed_heap {
  ed_heap_entry *entry;
  uint32_t count;
  uint32_t room;
  uint32_t promised; /* places kept free for timers that must not fail */
  uint32_t order;    /* of the next insertion */
} ed_heap;

/* Make sure that the next push (and all promised ones) finds a place. */
bool ed_heap_reserve (ed_heap *heap, ed_mem *mem);

/* Insert; there must be room. */
void ed_heap_push (ed_heap *heap, ed_timer *timer, uint64_t due);

/* Take out, if it is in. */
void ed_heap_remove (ed_heap *heap, ed_timer *timer);

/* The time of the earliest timer, or UINT64_MAX. */
static inline uint64_t ed_heap_due (const ed_heap *heap) {
  return heap->count > 0 ? heap->entry[0].due : UINT64_MAX;
}

void ed_heap_free (ed_heap *heap, ed_mem *mem);

#endif
