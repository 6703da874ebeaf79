/* SPDX-License-Identifier: MIT */
/*
** Queues. What lies in one is kept by queue_items; here is who waits and what is handed to whom.
**
** Hand-off: an item for a waiting getter is put on that task's own stack at once, so nobody
** can steal it; a getter that is killed with an item in hand puts it back, for which a place is
** kept. A blocked putter's item stays on the putter's stack until there is room. Getters may be
** selects (sync/select).
*/
#include <stdio.h>
#include <string.h>

#include "core/class.h"
#include "core/error.h"
#include "sync/queue_items.h"
#include "sync/select.h"
#include "sync/sync.h"

typedef struct ed_queue {
  ed_link getters;
  ed_link putters;
  ed_link joiners;
  ed_items items;
  lua_Integer max; /* 0: rendezvous; LUA_MAXINTEGER: unbounded */
  lua_Integer unfinished;
  bool is_closed;
} ed_queue;

typedef struct transfer {
  ed_waiter waiter;
  ed_queue *queue;
  bool has_item; /* get: the item is on the task's stack; put: it was taken */
} transfer;

/* ---- engine half ---- */

static bool has_waiting (const ed_link *queue) { return ed_waitq_first(queue) != NULL; }

/* The value at the top of L goes to the first getter. */
static void hand_to_getter (lua_State *L, ed_queue *q) {
  ed_waiter *first = ed_waitq_first(&q->getters);
  lua_xmove(L, ed_task_leaf(first->op.task), 1);
  q->items.handed++;
  if (ed_waiter_is_choice(first)) {
    ed_select_win((ed_choice *)first, true);
    return;
  }
  ((transfer *)first)->has_item = true;
  ed_waitq_wake(first, 0);
}

/* Push the item of the first putter, which has delivered with that; its priority too. */
static ed_priority take_from_putter (lua_State *L, ed_queue *q) {
  ed_waiter *first = ed_waitq_first(&q->putters);
  lua_State *co = ed_task_leaf(first->op.task);
  ed_priority priority = ed_check_priority(co, 3); /* it was checked: cannot raise */
  lua_pushvalue(co, 2);
  lua_xmove(co, L, 1);
  ((transfer *)first)->has_item = true;
  q->unfinished++;
  ed_waitq_wake(first, 0);
  return priority;
}

/* A task is killed with the item at the top in hand: to the next one, or back where it is next. */
static void return_item (lua_State *co, ed_queue *q, int self) {
  q->items.handed--;
  if (has_waiting(&q->getters)) hand_to_getter(co, q);
  else ed_items_return(co, &q->items, self);
}

static void give_back_get (lua_State *co, ed_op *op) {
  transfer *t = (transfer *)op;
  if (!t->has_item) return;
  t->has_item = false;
  return_item(co, t->queue, 1);
}

/* ---- Lua half ---- */

static int get_closed (lua_State *L) {
  return ed_error_fail(L, "closed", NULL, "queue:get", NULL, "the queue is closed");
}

static int put_closed (lua_State *L) {
  return ed_error_fail(L, "closed", NULL, "queue:put", NULL, "the queue is closed");
}

static int finish_get (lua_State *L, ed_op *op) {
  transfer *t = (transfer *)op;
  if (!t->has_item) return get_closed(L);
  t->has_item = false;
  t->queue->items.handed--;
  return 1; /* the item was put on this stack */
}

static int finish_put (lua_State *L, ed_op *op) {
  if (((transfer *)op)->has_item) return ed_finish_true(L, op);
  return put_closed(L);
}

static void describe_get (const ed_op *op, char *text, size_t room) {
  (void)op;
  snprintf(text, room, "an empty queue that nobody has closed");
}

static void describe_put (const ed_op *op, char *text, size_t room) {
  long long n = (long long)((const transfer *)op)->queue->items.size;
  if (n == 0) snprintf(text, room, "a queue without room, which needs somebody to get");
  else snprintf(text, room, "a full queue with %lld item%s", n, n == 1 ? "" : "s");
}

static void describe_join (const ed_op *op, char *text, size_t room) {
  const ed_queue *q = ((const transfer *)op)->queue;
  snprintf(text, room, "a queue with %lld item%s, %lld without task_done",
    (long long)q->items.size, q->items.size == 1 ? "" : "s", (long long)q->unfinished);
}

static const ed_optype get_type = {
  .name = "queue:get",
  .finish = finish_get,
  .cancel = ed_waitq_cancel,
  .drop = ed_drop_plain,
  .is_internal = true,
  .describe = describe_get,
  .give_back = give_back_get,
};

static const ed_optype put_type = {
  .name = "queue:put",
  .finish = finish_put,
  .cancel = ed_waitq_cancel,
  .drop = ed_drop_plain,
  .is_internal = true,
  .describe = describe_put,
};

static const ed_optype join_type = {
  .name = "queue:join",
  .finish = ed_finish_true,
  .cancel = ed_waitq_cancel,
  .drop = ed_drop_plain,
  .is_internal = true,
  .describe = describe_join,
};

static ed_queue *check_in (lua_State *L, ed_loop *loop) {
  return ed_class_check(L, loop, 1, ED_CLASS_QUEUE);
}

static ed_queue *check_queue (lua_State *L) { return check_in(L, ed_loop_of(L)); }

static ed_order check_order (lua_State *L, const char *name) {
  static const char *const names[] = {"fifo", "lifo", "priority", NULL};
  int order = 0;
  while (names[order] != NULL && strcmp(names[order], name) != 0) order++;
  if (names[order] == NULL) luaL_error(L, "unknown queue order '%s'", name);
  return (ed_order)order;
}

/* {order=} at 2 */
static ed_order check_options (lua_State *L) {
  ed_order order = ED_FIFO;
  if (lua_isnoneornil(L, 2)) return order;
  luaL_checktype(L, 2, LUA_TTABLE);
  for (lua_pushnil(L); lua_next(L, 2); lua_pop(L, 1)) {
    const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
    if (strcmp(name, "order") != 0) luaL_error(L, "unknown queue option '%s'", name);
    if (lua_type(L, -1) != LUA_TSTRING)
      luaL_error(
        L, "queue option 'order': string expected, got %s", luaL_typename(L, -1));
    order = check_order(L, lua_tostring(L, -1));
  }
  return order;
}

/*
** eddy.queue([max [, {order="fifo"|"lifo"|"priority"}]]) --> Queue
** 'max' 0 is a rendezvous; none is unbounded.
*/
static int l_queue (lua_State *L) {
  lua_Integer max = luaL_optinteger(L, 1, LUA_MAXINTEGER);
  ed_order order = check_options(L);
  ed_queue *q;
  luaL_argcheck(L, max >= 0, 1, "must not be negative");
  q = ed_class_push(L, ed_loop_of(L), ED_CLASS_QUEUE, sizeof *q, ED_ITEMS_VALUES);
  ed_list_init(&q->getters);
  ed_list_init(&q->putters);
  ed_list_init(&q->joiners);
  q->max = max;
  ed_items_open(L, &q->items, -1, order);
  return 1;
}

/*
** Deliver the value at index 2, with the priority at 3, if that is possible now. May raise for
** memory, before.
*/
static bool put_now (lua_State *L, ed_queue *q) {
  bool has_getter = has_waiting(&q->getters);
  ed_priority priority = {0, 0, false};
  if (!has_getter && q->items.size >= q->max) return false;
  if (ed_items_reserve(L, &q->items, 1)) return put_now(L, q);
  if (q->items.order == ED_PRIORITY) priority = ed_check_priority(L, 3);
  q->unfinished++;
  if (has_getter) lua_pushvalue(L, 2), hand_to_getter(L, q);
  else ed_items_put(L, &q->items, 1, 2, &priority);
  return true;
}

/* (queue, item [, priority]) */
static ed_queue *check_put (lua_State *L, ed_loop *loop) {
  ed_queue *q = check_in(L, loop);
  luaL_argcheck(L, !lua_isnoneornil(L, 2), 2, "nil cannot be an item of a queue");
  if (!lua_isnoneornil(L, 3)) {
    luaL_argcheck(L, q->items.order == ED_PRIORITY, 3, "the queue has no priorities");
    ed_check_priority(L, 3);
  }
  return q;
}

static transfer *new_transfer (
  lua_State *L, ed_task *task, ed_queue *q, const ed_optype *type) {
  transfer *t = ed_op_new_for(L, task, type, sizeof *t);
  t->queue = q;
  ed_list_init(&t->waiter.link);
  return t;
}

/*
** queue:put(item [, priority]) --> true | nil, err
** Awaits room. Cancelled while it waits: the item is not in the queue.
*/
static int l_queue_put (lua_State *L) {
  ed_loop *loop = ed_loop_of(L);
  ed_queue *q = check_put(L, loop);
  ed_task *task = ed_checkpoint_in(L, loop);
  transfer *t;
  if (q->is_closed) return put_closed(L);
  if (put_now(L, q)) {
    lua_pushboolean(L, 1);
    return ed_spend(loop) ? 1 : ed_yield_with(L, task, 1);
  }
  t = new_transfer(L, task, q, &put_type);
  ed_waitq_join(&q->putters, &t->waiter);
  return ed_await(L, &t->waiter.op, 0);
}

/*
** queue:try_put(item [, priority]) --> true | false | nil, err
*/
static int l_queue_try_put (lua_State *L) {
  ed_queue *q = check_put(L, ed_loop_of(L));
  if (q->is_closed) return put_closed(L);
  lua_pushboolean(L, put_now(L, q));
  return 1;
}

static bool has_item (const ed_queue *q) {
  return q->items.size > 0 || has_waiting(&q->putters);
}

/* Push the next item, perhaps over another value; a blocked putter moves up. There must be one. */
static void get_now (lua_State *L, ed_queue *q, int self) {
  if (q->items.size == 0) {
    take_from_putter(L, q);
    return;
  }
  ed_items_take(L, &q->items, self);
  if (has_waiting(&q->putters) && q->items.size < q->max) {
    ed_priority priority = take_from_putter(L, q);
    ed_items_put(L, &q->items, self, lua_gettop(L), &priority);
    lua_pop(L, 1);
  }
}

/* Push the next item as one in hand; for that there is a place to put it back to. */
static void take_in_hand (lua_State *L, ed_queue *q, int self) {
  get_now(L, q, self);
  q->items.handed++;
}

/*
** queue:get() --> item | nil, err
** Awaits an item; kind "closed" once closed and drained. An item already handed over is
** delivered in spite of a cancel.
*/
static int l_queue_get (lua_State *L) {
  ed_loop *loop = ed_loop_of(L);
  ed_queue *q = check_in(L, loop);
  ed_task *task = ed_checkpoint_in(L, loop);
  transfer *t;
  if (has_item(q) && ed_spend(loop)) return get_now(L, q, 1), 1;
  if (has_item(q)) ed_items_reserve(L, &q->items, 1);
  if (!has_item(q) && q->is_closed) return get_closed(L);
  t = new_transfer(L, task, q, &get_type);
  if (has_item(q)) { /* but others have waited long enough */
    take_in_hand(L, q, 1);
    t->has_item = true;
    ed_op_done(&t->waiter.op, 0);
  } else ed_waitq_join(&q->getters, &t->waiter);
  return ed_await(L, &t->waiter.op, 0);
}

/*
** queue:try_get() --> item | nil | nil, err
*/
static int l_queue_try_get (lua_State *L) {
  ed_queue *q = check_queue(L);
  lua_settop(L, 1);
  if (has_item(q)) get_now(L, q, 1);
  else if (q->is_closed) return get_closed(L);
  else lua_pushnil(L);
  return 1;
}

static void finish_items (ed_queue *q, lua_Integer n) {
  q->unfinished -= n;
  if (q->unfinished == 0) ed_waitq_wake_all(&q->joiners, 0);
}

/*
** queue:close([discard]) --> list of dropped items, with 'discard'
** Blocked putters and, when the queue is empty, blocked getters get nil, err. Idempotent.
*/
static int l_queue_close (lua_State *L) {
  ed_queue *q = check_queue(L);
  bool discard = lua_toboolean(L, 2);
  lua_settop(L, 1);
  if (discard) { finish_items(q, ed_items_clear(L, &q->items, 1)); }
  q->is_closed = true;
  ed_waitq_wake_all(&q->putters, 0);
  ed_choice_wake_all(&q->getters);
  return discard ? 1 : 0;
}

static int l_queue_size (lua_State *L) {
  lua_pushinteger(L, check_queue(L)->items.size);
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
  transfer *t;
  if (q->unfinished == 0 && ed_spend(task->loop)) return ed_finish_true(L, NULL);
  t = new_transfer(L, task, q, &join_type);
  if (q->unfinished == 0) ed_op_done(&t->waiter.op, 0);
  else ed_waitq_join(&q->joiners, &t->waiter);
  return ed_await(L, &t->waiter.op, 0);
}

/* ---- select ---- */

static bool queue_is_ready (const void *object) {
  return has_item(object) || ((const ed_queue *)object)->is_closed;
}

static void queue_prepare (lua_State *L, int self, void *object) {
  ed_items_reserve(L, &((ed_queue *)object)->items, self);
}

static bool queue_take (lua_State *L, int self, void *object) {
  if (!has_item(object)) return false;
  take_in_hand(L, object, self);
  return true;
}

static void queue_join (void *object, ed_choice *choice) {
  ed_choice_join(&((ed_queue *)object)->getters, choice);
}

static int queue_finish (lua_State *L, void *object, bool has_value) {
  if (!has_value) return get_closed(L);
  ((ed_queue *)object)->items.handed--;
  return 1;
}

static void queue_give_back (lua_State *co, int self, void *object) {
  return_item(co, object, self);
}

const ed_choosable ed_queue_choosable = {
  .class = ED_CLASS_QUEUE,
  .is_ready = queue_is_ready,
  .prepare = queue_prepare,
  .take = queue_take,
  .join = queue_join,
  .finish = queue_finish,
  .give_back = queue_give_back,
};

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
