/* SPDX-License-Identifier: MIT */
/*
** heap.h: a 4-ary heap of deadlines in one array. Each timer knows its place, so that it
** can be taken out before it is due.
*/
#ifndef FLOOR_HEAP_H
#define FLOOR_HEAP_H

#include <stdint.h>
#include <stdlib.h>

typedef struct timer {
  uint32_t place;
} timer;
typedef struct entry {
  uint64_t due;
  timer *who;
} entry;
typedef struct heap {
  entry *at;
  uint32_t count, room;
} heap;

static inline void heap_put (heap *h, uint32_t i, entry e) {
  h->at[i] = e;
  e.who->place = i;
}

static inline void heap_up (heap *h, uint32_t i, entry e) {
  for (; i > 0 && e.due < h->at[(i - 1) / 4].due; i = (i - 1) / 4)
    heap_put(h, i, h->at[(i - 1) / 4]);
  heap_put(h, i, e);
}

static inline uint32_t heap_least_child (const heap *h, uint32_t first) {
  uint32_t least = first;
  for (uint32_t i = first + 1; i < first + 4 && i < h->count; i++)
    if (h->at[i].due < h->at[least].due) least = i;
  return least;
}

static inline void heap_down (heap *h, uint32_t i, entry e) {
  while (4 * i + 1 < h->count) {
    uint32_t child = heap_least_child(h, 4 * i + 1);
    if (e.due <= h->at[child].due) break;
    heap_put(h, i, h->at[child]);
    i = child;
  }
  heap_put(h, i, e);
}

static inline void heap_push (heap *h, uint64_t due, timer *who) {
  if (h->count == h->room) {
    h->room = h->room > 0 ? 2 * h->room : 64;
    h->at = realloc(h->at, h->room * sizeof *h->at);
    if (h->at == NULL) exit(1);
  }
  heap_up(h, h->count++, (entry){due, who});
}

static inline void heap_remove (heap *h, timer *who) {
  uint32_t i = who->place;
  entry last = h->at[--h->count];
  if (i == h->count) return;
  if (i > 0 && last.due < h->at[(i - 1) / 4].due) heap_up(h, i, last);
  else heap_down(h, i, last);
}

#endif
