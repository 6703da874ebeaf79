/* SPDX-License-Identifier: MIT */
/*
** Conditions: wait until somebody who changed what the lock guards says so. A wait gives the lock
** up and always holds it again when it returns or raises.
**
** One operation goes through both queues: notify moves it from the condition's to the lock's, so
** a woken waiter never runs only to find the lock taken. A cancelled waiter moves there too, and
** raises once it is handed the lock; a notification it had been given goes to the next waiter.
** A killed one leaves whichever queue it is in.
*/
#include <string.h>

#include "core/class.h"
#include "sync/lock.h"
#include "sync/sync.h"

typedef struct ed_condition {
  ed_link waiters;
  ed_lock *lock; /* anchored by the user value */
} ed_condition;

typedef struct waiting {
  ed_locking locking; /* first */
  ed_condition *condition;
  bool is_notified;
  bool is_cancelled;
} waiting;

/* ---- engine half ---- */

static void leave_queue (waiting *w) { ed_list_remove(&w->locking.waiter.link); }

/* From the condition's queue to the lock's. The lock is held, or nobody would queue for it. */
static void notify_first (ed_condition *c) {
  waiting *w = (waiting *)ed_waitq_first(&c->waiters);
  leave_queue(w);
  w->is_notified = true;
  ed_lock_queue(&w->locking);
}

/* The notification goes to somebody else, if anybody waits. */
static void pass_on (waiting *w) {
  if (!w->is_notified) return;
  w->is_notified = false;
  if (ed_waitq_first(&w->condition->waiters) != NULL) notify_first(w->condition);
}

static ed_verdict cancel_killed (waiting *w) {
  leave_queue(w);
  pass_on(w);
  ed_op_release(&w->locking.waiter.op);
  return ED_STOPPED;
}

/* A notified waiter keeps its place in the lock's queue; another one goes to the end of it. */
static ed_verdict cancel_wait (ed_op *op) {
  waiting *w = (waiting *)op;
  ed_lock *lock = w->locking.lock;
  if (op->task->is_killed) return cancel_killed(w);
  w->is_cancelled = true;
  if (w->is_notified) pass_on(w);
  else {
    leave_queue(w);
    if (lock->owner == NULL) { /* nobody holds it, so nobody queues for it */
      ed_lock_own(lock, op->task, w->locking.turn);
      ed_op_release(op);
      return ED_STOPPED;
    }
    ed_lock_queue(&w->locking);
  }
  return ED_FINISHING;
}

/* Cancelled before and now killed: it no longer waits for the lock. */
static void withdraw_wait (ed_op *op) {
  leave_queue((waiting *)op);
  ed_op_release(op);
}

/* ---- Lua half ---- */

static int finish_wait (lua_State *L, ed_op *op) {
  waiting *w = (waiting *)op;
  ed_task *task = op->task;
  bool is_cancelled = w->is_cancelled;
  w->locking.is_granted = false; /* it is the task's, as before the wait */
  if (!is_cancelled) return ed_finish_true(L, op);
  ed_op_abandon(task); /* what is raised leaves no operation behind */
  return ed_cancel_raise(L, task);
}

static void describe_wait (const ed_op *op, char *text, size_t room) {
  const waiting *w = (const waiting *)op;
  if (w->is_notified || w->is_cancelled) ed_lock_describe(w->locking.lock, text, room);
}

static const ed_optype wait_type = {
  .name = "condition:wait",
  .finish = finish_wait,
  .cancel = cancel_wait,
  .drop = ed_drop_locking,
  .is_internal = true,
  .describe = describe_wait,
  .withdraw = withdraw_wait,
};

/* The condition at 1, whose lock the running task must hold. */
static ed_condition *check_held (lua_State *L) {
  ed_loop *loop = ed_loop_of(L);
  ed_condition *c = ed_class_check(L, loop, 1, ED_CLASS_CONDITION);
  if (loop->current == NULL || c->lock->owner != loop->current)
    luaL_error(L, "the condition's lock is not held by this task");
  return c;
}

/*
** eddy.condition([lock]) --> Condition
*/
static int l_condition (lua_State *L) {
  ed_loop *loop = ed_loop_of(L);
  bool is_given = !lua_isnoneornil(L, 1);
  ed_lock *lock = is_given ? ed_lock_check(L, 1) : NULL;
  ed_condition *c;
  lua_settop(L, 1);
  if (!is_given) {
    lock = ed_lock_push(L, loop);
    lua_replace(L, 1);
  }
  c = ed_class_push(L, loop, ED_CLASS_CONDITION, sizeof *c, 1);
  ed_list_init(&c->waiters);
  c->lock = lock;
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, 2, 1);
  return 1;
}

/*
** condition:wait() --> true
** Awaits a notification, with the lock given up meanwhile. The lock is held again when this
** returns or raises. Cancelled: raises once the lock is held; a notification passes on.
*/
static int l_condition_wait (lua_State *L) {
  ed_condition *c = check_held(L);
  ed_task *task = ed_checkpoint(L);
  waiting *w = ed_op_new_for(L, task, &wait_type, sizeof *w);
  w->condition = c;
  w->locking.lock = c->lock;
  w->locking.turn = c->lock->turn;
  ed_waitq_join(&c->waiters, &w->locking.waiter);
  ed_lock_give_up(c->lock);
  return ed_await(L, &w->locking.waiter.op, 0);
}

/*
** condition:notify([n])
** Wakes the 'n' (default 1) that have waited longest. With the lock held.
*/
static int l_condition_notify (lua_State *L) {
  ed_condition *c = check_held(L);
  lua_Integer n = luaL_optinteger(L, 2, 1);
  luaL_argcheck(L, n >= 0, 2, "must not be negative");
  for (; n > 0 && ed_waitq_first(&c->waiters) != NULL; n--) notify_first(c);
  return 0;
}

/*
** condition:notify_all()
*/
static int l_condition_notify_all (lua_State *L) {
  ed_condition *c = check_held(L);
  while (ed_waitq_first(&c->waiters) != NULL) notify_first(c);
  return 0;
}

/*
** core.condition_check(condition)
** Raises unless the running task holds the lock.
*/
static int l_condition_check (lua_State *L) {
  check_held(L);
  return 0;
}

/* 'lock', or a method: the table of methods is upvalue 1. */
static int l_condition_index (lua_State *L) {
  const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
  if (strcmp(name, "lock") == 0) lua_getiuservalue(L, 1, 1);
  else lua_gettable(L, lua_upvalueindex(1));
  return 1;
}

static const luaL_Reg functions[] = {
  {"condition", l_condition},
  {"condition_check", l_condition_check},
  {NULL, NULL},
};

static const luaL_Reg methods[] = {
  {"wait", l_condition_wait},
  {"notify", l_condition_notify},
  {"notify_all", l_condition_notify_all},
  {NULL, NULL},
};

static const luaL_Reg meta[] = {
  {NULL, NULL},
};

void ed_open_condition (lua_State *L, ed_loop *loop, int box) {
  ed_class_new(L, loop, ED_CLASS_CONDITION, "eddy.Condition", methods, meta, box);
  lua_rawgeti(L, LUA_REGISTRYINDEX, loop->metatable[ED_CLASS_CONDITION]);
  lua_getfield(L, -1, "__index");
  lua_pushvalue(L, -1);
  lua_setfield(L, -3, "__methods");
  lua_pushcclosure(L, l_condition_index, 1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  ed_setfuncs(L, functions, box);
}
