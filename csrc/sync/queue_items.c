/* SPDX-License-Identifier: MIT */
/*
** The three orders of a queue. See queue_items.h.
*/
#include "sync/queue_items.h"

#include <lauxlib.h>
#include <math.h>
#include <string.h>

enum { ITEMS = 1, ROWS = 2, FIRST_ROOM = 8 };

/* Rows beyond the heap's size hold the free slots. */
typedef struct ed_item_row {
  ed_priority priority;
  int64_t stamp; /* order of arrival; of a returned item: below 0, the last one lowest */
  lua_Integer slot; /* in the table */
} row;

/* ---- the ring ---- */

static lua_Integer ring_slot (const ed_items *items, lua_Integer at) {
  return (at & (items->room - 1)) + 1;
}

/* ---- the heap ---- */

/* A float beside an integer: compared as integers where the float's whole part is one. */
static bool is_float_below (lua_Number number, lua_Integer integer) {
  if (number >= 0x1p63) return false;
  if (number < -0x1p63) return true;
  if ((lua_Integer)number != integer) return (lua_Integer)number < integer;
  return number < (lua_Number)(lua_Integer)number;
}

static bool is_integer_below (lua_Integer integer, lua_Number number) {
  if (number >= 0x1p63) return true;
  if (number < -0x1p63) return false;
  if ((lua_Integer)number != integer) return integer < (lua_Integer)number;
  return (lua_Number)(lua_Integer)number < number;
}

static bool is_below (const ed_priority *a, const ed_priority *b) {
  if (a->is_float)
    return b->is_float ? a->number < b->number : is_float_below(a->number, b->integer);
  return b->is_float ? is_integer_below(a->integer, b->number) : a->integer < b->integer;
}

static bool is_before (const row *a, const row *b) {
  if (a->stamp < 0 || b->stamp < 0) return a->stamp < b->stamp;
  if (is_below(&a->priority, &b->priority)) return true;
  return !is_below(&b->priority, &a->priority) && a->stamp < b->stamp;
}

static void swap (row *a, row *b) {
  row kept = *a;
  *a = *b;
  *b = kept;
}

static void sift_up (row *heap, lua_Integer at) {
  for (; at > 0 && is_before(&heap[at], &heap[(at - 1) / 2]); at = (at - 1) / 2)
    swap(&heap[at], &heap[(at - 1) / 2]);
}

static void sift_down (row *heap, lua_Integer size, lua_Integer at) {
  for (;;) {
    lua_Integer child = 2 * at + 1;
    if (child >= size) return;
    if (child + 1 < size && is_before(&heap[child + 1], &heap[child])) child++;
    if (!is_before(&heap[child], &heap[at])) return;
    swap(&heap[at], &heap[child]);
    at = child;
  }
}

/* A slot for one more item; its row is in the heap already. */
static lua_Integer heap_add (
  ed_items *items, const ed_priority *priority, int64_t stamp) {
  row *new_row = &items->row[items->size];
  lua_Integer slot = new_row->slot;
  new_row->priority = *priority;
  new_row->stamp = stamp;
  sift_up(items->row, items->size++);
  return slot;
}

/* The slot of the item that is next, which leaves the heap. */
static lua_Integer heap_remove (ed_items *items) {
  row *heap = items->row;
  lua_Integer slot = heap[0].slot;
  swap(&heap[0], &heap[--items->size]);
  sift_down(heap, items->size, 0);
  return slot;
}

/* Only the order of arrival counts from now on. */
static void forget_priorities (ed_items *items) {
  for (lua_Integer i = 0; i < items->size; i++)
    items->row[i].priority = (ed_priority){0, 0, false};
  for (lua_Integer i = items->size / 2; i-- > 0;) sift_down(items->row, items->size, i);
}

/* ---- either ---- */

/* Where the next item comes in. */
static lua_Integer slot_for_new (ed_items *items, const ed_priority *priority) {
  if (items->order == ED_PRIORITY) return heap_add(items, priority, items->arrivals++);
  return ring_slot(items, items->head + items->size++);
}

static lua_Integer slot_for_returned (ed_items *items) {
  static const ed_priority none = {0, 0, false};
  if (items->order == ED_PRIORITY) return heap_add(items, &none, --items->returns);
  if (items->order == ED_LIFO) return ring_slot(items, items->head + items->size++);
  items->size++;
  return ring_slot(items, --items->head);
}

static lua_Integer slot_of_next (ed_items *items) {
  if (items->order == ED_PRIORITY) return heap_remove(items);
  if (items->order == ED_LIFO) return ring_slot(items, items->head + --items->size);
  items->size--;
  return ring_slot(items, items->head++);
}

/* The value at 'value' goes into 'slot'. */
static void store (lua_State *L, int self, int value, lua_Integer slot) {
  lua_getiuservalue(L, self, ITEMS);
  lua_pushvalue(L, value);
  lua_rawseti(L, -2, slot);
  lua_pop(L, 1);
}

/* Push what lies in 'slot' and empty it; the table is at 'table'. */
static void fetch (lua_State *L, int table, lua_Integer slot) {
  lua_rawgeti(L, table, slot);
  lua_pushboolean(L, 0);
  lua_rawseti(L, table, slot);
}

void ed_items_put (
  lua_State *L, ed_items *items, int self, int value, const ed_priority *priority) {
  store(L, self, value, slot_for_new(items, priority));
}

void ed_items_return (lua_State *L, ed_items *items, int self) {
  store(L, self, lua_gettop(L), slot_for_returned(items));
  lua_pop(L, 1);
}

void ed_items_take (lua_State *L, ed_items *items, int self) {
  lua_Integer slot = slot_of_next(items);
  lua_getiuservalue(L, self, ITEMS);
  lua_rawgeti(L, -1, slot);
  lua_pushboolean(L, 0);
  lua_rawseti(L, -3, slot);
}

lua_Integer ed_items_clear (lua_State *L, ed_items *items, int self) {
  lua_Integer n = 0;
  int list = lua_gettop(L) + 1;
  lua_createtable(L, (int)items->size, 0);
  lua_getiuservalue(L, self, ITEMS);
  if (items->order == ED_PRIORITY) forget_priorities(items);
  while (items->size > 0) {
    lua_Integer slot;
    if (items->order == ED_PRIORITY) slot = heap_remove(items);
    else slot = ring_slot(items, items->head++), items->size--;
    fetch(L, list + 1, slot);
    lua_rawseti(L, list, ++n);
  }
  lua_settop(L, list);
  return n;
}

/* ---- room ---- */

/* The ring in the table at 'from' comes to the front of the 'room' slots of the one at 'to'. */
static void copy_ring (
  lua_State *L, const ed_items *items, int from, int to, lua_Integer room) {
  for (lua_Integer i = 0; i < room; i++) {
    if (i < items->size) lua_rawgeti(L, from, ring_slot(items, items->head + i));
    else lua_pushboolean(L, 0);
    lua_rawseti(L, to, i + 1);
  }
}

/* The same with each item in the slot that it has. */
static void copy_slots (
  lua_State *L, const ed_items *items, int from, int to, lua_Integer room) {
  for (lua_Integer i = 1; i <= room; i++) {
    if (i <= items->room) lua_rawgeti(L, from, i);
    else lua_pushboolean(L, 0);
    lua_rawseti(L, to, i);
  }
}

/* The rows so far, and new ones for the slots up to 'room'. */
static void copy_rows (const ed_items *items, row *rows, lua_Integer room) {
  memset(rows, 0, (size_t)room * sizeof *rows);
  if (items->row != NULL) memcpy(rows, items->row, (size_t)items->room * sizeof *rows);
  for (lua_Integer i = items->room; i < room; i++) rows[i].slot = i + 1;
}

/*
** All that is new is there before the old is looked at: to make a table may run finalizers, which
** may use the queue.
*/
static void resize (lua_State *L, ed_items *items, int self, lua_Integer room) {
  int top = lua_gettop(L), slots = top + 1, rows = top + 2, old = top + 3;
  row *new_rows = NULL;
  lua_createtable(L, (int)room, 0);
  if (items->order == ED_PRIORITY)
    new_rows = lua_newuserdatauv(L, (size_t)room * sizeof *new_rows, 0);
  lua_settop(L, rows);
  lua_getiuservalue(L, self, ITEMS);
  if (items->room < room) {
    if (new_rows != NULL) copy_rows(items, new_rows, room);
    if (new_rows != NULL) copy_slots(L, items, old, slots, room);
    else copy_ring(L, items, old, slots, room);
    items->head = 0;
    items->room = room;
    items->row = new_rows;
    lua_settop(L, rows);
    lua_setiuservalue(L, self, ROWS);
    lua_setiuservalue(L, self, ITEMS);
  }
  lua_settop(L, top);
}

void ed_items_open (lua_State *L, ed_items *items, int self, ed_order order) {
  memset(items, 0, sizeof *items);
  items->order = (uint8_t)order;
  resize(L, items, lua_absindex(L, self), FIRST_ROOM);
}

bool ed_items_reserve (lua_State *L, ed_items *items, int self) {
  if (items->size + items->handed + 1 <= items->room) return false;
  while (items->size + items->handed + 1 > items->room)
    resize(L, items, self, items->room * 2);
  return true;
}

ed_priority ed_check_priority (lua_State *L, int arg) {
  ed_priority priority = {0, 0, false};
  if (lua_isnoneornil(L, arg)) return priority;
  if (lua_isinteger(L, arg)) priority.integer = lua_tointeger(L, arg);
  else {
    priority.number = luaL_checknumber(L, arg);
    luaL_argcheck(L, !isnan(priority.number), arg, "a priority cannot be NaN");
    priority.is_float = true;
  }
  return priority;
}
