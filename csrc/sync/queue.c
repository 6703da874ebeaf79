/* SPDX-License-Identifier: MIT */
/*
** FIFO queues. Items lie in a ring inside a Lua table (the user value), whose size is a power
** of two, so that a queue in steady use allocates nothing.
**
** Hand-off: an item for a waiting getter is put on that task's own stack at once, so nobody
** can steal it; a getter that is killed with an item in hand puts it back at the front, for
** which a place in the ring is kept. A blocked putter's item stays on the putter's stack until
** there is room.
*/
#include "core/class.h"
#include "core/error.h"
#include "sync/sync.h"
#include "sync/waitq.h"

typedef struct ed_queue {
  ed_link getters;
  ed_link putters;
  lua_Integer max;    /* 0: rendezvous; LUA_MAXINTEGER: unbounded */
  lua_Integer head;   /* of the ring, counted up for ever */
  lua_Integer size;   /* items in the ring */
  lua_Integer room;   /* of the ring; a power of two */
  lua_Integer handed; /* items on stacks of getters that have not run yet */
  lua_Integer unfinished;
  ed_link joiners;
  bool is_closed;
} ed_queue;

typedef struct transfer {
  ed_waiter waiter;
  ed_queue *queue;
  bool has_item; /* get: the item is on the task's stack; put: it was taken */
} transfer;

enum { ITEMS = 1, FIRST_ROOM = 8 };

/* ---- the ring; 'table' is the index of the items' table ---- */

static lua_Integer slot_of (const ed_queue *q, lua_Integer at) {
  return (at & (q->room - 1)) + 1;
}

/* Move the items to a ring twice as large: those that wrap go behind the old end. */
static void grow (lua_State *L, ed_queue *q, int table) {
  lua_Integer old = q->room;
  lua_createtable(L, (int)old * 2, 0);
  for (lua_Integer i = 0; i < old * 2; i++) {
    if (i < q->size) lua_rawgeti(L, table, slot_of(q, q->head + i));
    else lua_pushboolean(L, 0);
    lua_rawseti(L, -2, i + 1);
  }
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, 1, ITEMS);
  lua_replace(L, table);
  q->head = 0;
  q->room = old * 2;
}

/* Room for one more item, besides the places kept for handed ones. May raise. */
static void reserve (lua_State *L, ed_queue *q, int table) {
  while (q->size + q->handed + 1 > q->room) grow(L, q, table);
}

/* The value at the top goes to the back. */
static void push_back (lua_State *L, ed_queue *q, int table) {
  lua_rawseti(L, table, slot_of(q, q->head + q->size++));
}

/* Push the oldest item and forget it in the ring. */
static void take_front (lua_State *L, ed_queue *q, int table) {
  lua_Integer slot = slot_of(q, q->head);
  lua_rawgeti(L, table, slot);
  lua_pushboolean(L, 0);
  lua_rawseti(L, table, slot);
  q->head++;
  q->size--;
}

/* ---- engine half ---- */

/* The value at the top of L goes to the first getter. */
static void hand_to_getter (lua_State *L, ed_queue *q) {
  transfer *t = (transfer *)ed_waitq_first(&q->getters);
  lua_xmove(L, ed_task_leaf(t->waiter.op.task), 1);
  t->has_item = true;
  q->handed++;
  ed_waitq_wake(&t->waiter, 0);
}

/* Push the item of the first putter, which has delivered with that. */
static void take_from_putter (lua_State *L, ed_queue *q) {
  transfer *t = (transfer *)ed_waitq_first(&q->putters);
  lua_State *co = ed_task_leaf(t->waiter.op.task);
  lua_pushvalue(co, 2);
  lua_xmove(co, L, 1);
  t->has_item = true;
  q->unfinished++;
  ed_waitq_wake(&t->waiter, 0);
}

/* A getter is killed with its item in hand: back to the front, where a place was kept. */
static void give_back_get (lua_State *co, ed_op *op) {
  transfer *t = (transfer *)op;
  ed_queue *q = t->queue;
  if (!t->has_item) return;
  t->has_item = false;
  q->handed--;
  if (ed_waitq_first(&q->getters) != NULL) {
    hand_to_getter(co, q);
    return;
  }
  lua_getiuservalue(co, 1, ITEMS);
  lua_insert(co, -2);
  q->head--;
  q->size++;
  lua_rawseti(co, -2, slot_of(q, q->head));
  lua_pop(co, 1);
}

/* ---- Lua half ---- */

static int finish_get (lua_State *L, ed_op *op) {
  transfer *t = (transfer *)op;
  if (!t->has_item)
    return ed_error_fail(L, "closed", NULL, "queue:get", NULL, "the queue is closed");
  t->has_item = false;
  t->queue->handed--;
  return 1; /* the item was put on this stack */
}

static int finish_put (lua_State *L, ed_op *op) {
  if (((transfer *)op)->has_item) return ed_finish_true(L, op);
  return ed_error_fail(L, "closed", NULL, "queue:put", NULL, "the queue is closed");
}

static const ed_optype get_type = {
  .name = "queue:get",
  .finish = finish_get,
  .cancel = ed_waitq_cancel,
  .drop = ed_drop_plain,
  .is_internal = true,
  .give_back = give_back_get,
};

static const ed_optype put_type = {
  .name = "queue:put",
  .finish = finish_put,
  .cancel = ed_waitq_cancel,
  .drop = ed_drop_plain,
  .is_internal = true,
};

static const ed_optype join_type = {
  .name = "queue:join",
  .finish = ed_finish_true,
  .cancel = ed_waitq_cancel,
  .drop = ed_drop_plain,
  .is_internal = true,
};

static ed_queue *check_queue (lua_State *L) {
  return ed_class_check(L, ed_loop_of(L), 1, ED_CLASS_QUEUE);
}

static lua_Integer check_max (lua_State *L) {
  lua_Integer max = luaL_optinteger(L, 1, LUA_MAXINTEGER);
  luaL_argcheck(L, max >= 0, 1, "must not be negative");
  if (lua_istable(L, 2) && lua_getfield(L, 2, "order") != LUA_TNIL) {
    const char *order = luaL_checkstring(L, -1);
    if (*order != 'f') luaL_error(L, "not yet: queue order '%s'", order);
  }
  return max;
}

/*
** eddy.queue([max]) --> Queue
** 'max' 0 is a rendezvous; none is unbounded.
*/
static int l_queue (lua_State *L) {
  lua_Integer max = check_max(L);
  ed_queue *q = ed_class_push(L, ed_loop_of(L), ED_CLASS_QUEUE, sizeof *q, 1);
  ed_list_init(&q->getters);
  ed_list_init(&q->putters);
  ed_list_init(&q->joiners);
  q->max = max;
  q->room = FIRST_ROOM;
  lua_createtable(L, FIRST_ROOM, 0);
  for (int i = 1; i <= FIRST_ROOM; i++) lua_pushboolean(L, 0), lua_rawseti(L, -2, i);
  lua_setiuservalue(L, -2, ITEMS);
  return 1;
}

/*
** Deliver the value at index 2 if that is possible now; leaves something on the stack. May raise
** for memory, before.
*/
static bool put_now (lua_State *L, ed_queue *q) {
  int table = lua_gettop(L) + 1;
  bool has_getter = ed_waitq_first(&q->getters) != NULL;
  if (!has_getter && q->size >= q->max) return false;
  lua_getiuservalue(L, 1, ITEMS);
  reserve(L, q, table);
  lua_pushvalue(L, 2);
  q->unfinished++;
  if (has_getter) hand_to_getter(L, q);
  else push_back(L, q, table);
  lua_settop(L, table - 1);
  return true;
}

static ed_queue *check_put (lua_State *L) {
  ed_queue *q = check_queue(L);
  luaL_argcheck(L, !lua_isnoneornil(L, 2), 2, "nil cannot be an item of a queue");
  lua_settop(L, 2);
  return q;
}

static int put_closed (lua_State *L) {
  return ed_error_fail(L, "closed", NULL, "queue:put", NULL, "the queue is closed");
}

static transfer *new_transfer (
  lua_State *L, ed_task *task, ed_queue *q, const ed_optype *type) {
  transfer *t = ed_op_new_for(L, task, type, sizeof *t);
  t->queue = q;
  ed_list_init(&t->waiter.link);
  return t;
}

/*
** queue:put(item) --> true | nil, err
** Awaits room. Cancelled while it waits: the item is not in the queue.
*/
static int l_queue_put (lua_State *L) {
  ed_queue *q = check_put(L);
  ed_task *task = ed_checkpoint(L);
  transfer *t;
  if (q->is_closed) return put_closed(L);
  if (put_now(L, q)) {
    lua_pushboolean(L, 1);
    return ed_spend(task->loop) ? 1 : ed_yield_with(L, task, 1);
  }
  t = new_transfer(L, task, q, &put_type);
  ed_waitq_join(&q->putters, &t->waiter);
  return ed_await(L, &t->waiter.op, 0);
}

/*
** queue:try_put(item) --> true | false | nil, err
*/
static int l_queue_try_put (lua_State *L) {
  ed_queue *q = check_put(L);
  if (q->is_closed) return put_closed(L);
  lua_pushboolean(L, put_now(L, q));
  return 1;
}

/* Push an item if there is one; a blocked putter moves up. May raise for memory, before. */
static bool get_now (lua_State *L, ed_queue *q) {
  int table = lua_gettop(L) + 1;
  bool has_putter = ed_waitq_first(&q->putters) != NULL;
  if (q->size == 0) {
    if (!has_putter) return false;
    take_from_putter(L, q);
    return true;
  }
  lua_getiuservalue(L, 1, ITEMS);
  take_front(L, q, table);
  if (has_putter && q->size < q->max) {
    take_from_putter(L, q);
    push_back(L, q, table);
  }
  return true;
}

/* The item is there, but others have waited long enough: it is in hand meanwhile. */
static void take_and_yield (lua_State *L, ed_queue *q, transfer *t) {
  lua_getiuservalue(L, 1, ITEMS);
  reserve(L, q, 2); /* a place to put it back to */
  lua_settop(L, 1);
  get_now(L, q);
  t->has_item = true;
  q->handed++;
  ed_op_done(&t->waiter.op, 0);
}

static int get_closed (lua_State *L) {
  return ed_error_fail(L, "closed", NULL, "queue:get", NULL, "the queue is closed");
}

/*
** queue:get() --> item | nil, err
** Awaits an item; kind "closed" once closed and drained. An item already handed over is
** delivered in spite of a cancel.
*/
static int l_queue_get (lua_State *L) {
  ed_queue *q = check_queue(L);
  ed_task *task = ed_checkpoint(L);
  bool has_item = q->size > 0 || ed_waitq_first(&q->putters) != NULL;
  transfer *t;
  lua_settop(L, 1);
  if (has_item && ed_spend(task->loop)) return get_now(L, q);
  if (!has_item && q->is_closed) return get_closed(L);
  t = new_transfer(L, task, q, &get_type);
  if (has_item) take_and_yield(L, q, t);
  else ed_waitq_join(&q->getters, &t->waiter);
  return ed_await(L, &t->waiter.op, 0);
}

/*
** queue:try_get() --> item | nil | nil, err
*/
static int l_queue_try_get (lua_State *L) {
  ed_queue *q = check_queue(L);
  lua_settop(L, 1);
  if (get_now(L, q)) return 1;
  if (q->is_closed) return get_closed(L);
  lua_pushnil(L);
  return 1;
}

static void finish_items (ed_queue *q, lua_Integer n) {
  q->unfinished -= n;
  if (q->unfinished == 0) ed_waitq_wake_all(&q->joiners, 0);
}

/* Push a list of the items and empty the ring. */
static void push_discarded (lua_State *L, ed_queue *q) {
  lua_Integer n = q->size;
  lua_createtable(L, (int)n, 0);
  lua_getiuservalue(L, 1, ITEMS);
  for (lua_Integer i = 1; i <= n; i++) {
    take_front(L, q, lua_gettop(L));
    lua_rawseti(L, -3, i);
  }
  lua_pop(L, 1);
  finish_items(q, n);
}

/*
** queue:close([discard]) --> list of dropped items, with 'discard'
** Blocked putters and, when the queue is empty, blocked getters get nil, err. Idempotent.
*/
static int l_queue_close (lua_State *L) {
  ed_queue *q = check_queue(L);
  bool discard = lua_toboolean(L, 2);
  lua_settop(L, 1);
  if (discard) push_discarded(L, q);
  q->is_closed = true;
  ed_waitq_wake_all(&q->putters, 0);
  ed_waitq_wake_all(&q->getters, 0);
  return discard ? 1 : 0;
}

static int l_queue_size (lua_State *L) {
  lua_pushinteger(L, check_queue(L)->size);
  return 1;
}

/*
** queue:task_done()
** An item that was got is dealt with; more calls than items raise.
*/
static int l_queue_task_done (lua_State *L) {
  ed_queue *q = check_queue(L);
  if (q->unfinished <= 0)
    return luaL_error(L, "task_done called more often than items were put");
  finish_items(q, 1);
  return 0;
}

/*
** queue:join() --> true
** Awaits until every item that was put has been followed by task_done.
*/
static int l_queue_join (lua_State *L) {
  ed_queue *q = check_queue(L);
  ed_task *task = ed_checkpoint(L);
  ed_waiter *waiter;
  if (q->unfinished == 0 && ed_spend(task->loop)) return ed_finish_true(L, NULL);
  waiter = ed_op_new_for(L, task, &join_type, sizeof *waiter);
  ed_list_init(&waiter->link);
  if (q->unfinished == 0) ed_op_done(&waiter->op, 0);
  else ed_waitq_join(&q->joiners, waiter);
  return ed_await(L, &waiter->op, 0);
}

static const luaL_Reg functions[] = {
  {"queue", l_queue},
  {NULL, NULL},
};

static const luaL_Reg methods[] = {
  {"put", l_queue_put},
  {"get", l_queue_get},
  {"try_put", l_queue_try_put},
  {"try_get", l_queue_try_get},
  {"close", l_queue_close},
  {"size", l_queue_size},
  {"task_done", l_queue_task_done},
  {"join", l_queue_join},
  {NULL, NULL},
};

static const luaL_Reg meta[] = {
  {NULL, NULL},
};

void ed_open_queue (lua_State *L, ed_loop *loop, int box) {
  ed_class_new(L, loop, ED_CLASS_QUEUE, "eddy.Queue", methods, meta, box);
  ed_setfuncs(L, functions, box);
}
