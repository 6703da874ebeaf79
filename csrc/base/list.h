/* SPDX-License-Identifier: MIT */
/*
** Circular doubly linked list through links inside the members; the head is a link too.
** Nothing is allocated; adding and removing are O(1). A link that is in no list points at
** itself, so that removing it again is harmless.
*/
#ifndef ED_LIST_H
#define ED_LIST_H

#include <stdbool.h>
#include <stddef.h>

typedef struct ed_link {
  struct ed_link *next;
  struct ed_link *prev;
} ed_link;

/* The struct of 'type' whose field 'member' is at 'link'. */
#define ED_OF(link, type, member) ((type *)((char *)(link)-offsetof(type, member)))

static inline void ed_list_init (ed_link *link) { link->next = link->prev = link; }

static inline bool ed_list_is_empty (const ed_link *list) { return list->next == list; }

/* Put 'link' in front of 'at'; with the head as 'at' that is the end of the list. */
static inline void ed_list_append (ed_link *at, ed_link *link) {
  link->next = at;
  link->prev = at->prev;
  at->prev->next = link;
  at->prev = link;
}

static inline void ed_list_remove (ed_link *link) {
  link->prev->next = link->next;
  link->next->prev = link->prev;
  ed_list_init(link);
}

/* Take the first link out, or NULL. */
static inline ed_link *ed_list_shift (ed_link *list) {
  ed_link *first = list->next;
  if (first == list) return NULL;
  ed_list_remove(first);
  return first;
}

#endif
