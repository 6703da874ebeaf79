/* SPDX-License-Identifier: MIT */
/*
** Where a queue keeps its items, and which comes out next: first in, first out; last in, first
** out; or smallest priority first, equal ones in order of arrival.
**
** Items lie in a Lua table, user value 1 of the queue's userdata. For fifo and lifo it is a ring
** whose size is a power of two; for priorities a heap of rows, in a userdata that is user value 2,
** says in which order its slots come out. A queue in steady use allocates nothing.
**
** An item that is handed to a task may come back, if that task is killed. A place is kept for
** each such item ('handed'), so that coming back never fails; it is then the next to come out.
*/
#ifndef ED_QUEUE_ITEMS_H
#define ED_QUEUE_ITEMS_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum ed_order { ED_FIFO, ED_LIFO, ED_PRIORITY } ed_order;

/* A priority: integers and floats compare exactly, as in Lua. */
typedef struct ed_priority {
  lua_Integer integer;
  lua_Number number; /* when is_float */
  bool is_float;
} ed_priority;

typedef struct ed_items {
  lua_Integer head;   /* of the ring, counted up for ever */
  lua_Integer size;   /* items that lie here */
  lua_Integer room;   /* slots */
  lua_Integer handed; /* items on stacks of tasks that have not run yet */
  struct ed_item_row
    *row; /* the heap, in front of the free slots; NULL but for priorities */
  int64_t arrivals, returns;
  uint8_t order; /* ed_order */
} ed_items;

enum { ED_ITEMS_VALUES = 2 }; /* user values that the userdata needs */

/* Begin with no items in the userdata at 'self' that holds 'items'. May raise. */
void ed_items_open (lua_State *L, ed_items *items, int self, ed_order order);

/*
** Room for one more item besides the places kept for handed ones. May raise. True if it had to make
** some: finalizers may have run then and used the queue, so look at it again.
*/
bool ed_items_reserve (lua_State *L, ed_items *items, int self);

/* The value at 'value' comes in; there must be room. */
void ed_items_put (
  lua_State *L, ed_items *items, int self, int value, const ed_priority *priority);

/* Push a value that means nothing and then the item that is next, which is forgotten; there must
   be one. */
void ed_items_take (lua_State *L, ed_items *items, int self);

/* The value at the top (popped) comes back and is next. */
void ed_items_return (lua_State *L, ed_items *items, int self);

/* Push a list of all items, oldest first, and forget them; returns how many. May raise, before. */
lua_Integer ed_items_clear (lua_State *L, ed_items *items, int self);

/* The priority at 'arg', 0 if there is none; raises if it is no number or NaN. */
ed_priority ed_check_priority (lua_State *L, int arg);

#endif
