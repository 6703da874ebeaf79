/* SPDX-License-Identifier: MIT */
/*
** Futures on the wait queue. Setting one wakes all who wait, in order; only another task (or a
** callback of the host) can do it, so tasks that wait for nothing else are a deadlock.
*/
#include "sync/future.h"

#include "core/class.h"
#include "sync/sync.h"
#include "sync/select.h"

static ed_future *check_future (lua_State *L) {
  return ed_class_check(L, ed_loop_of(L), 1, ED_CLASS_FUTURE);
}

/* The future is at index 1. */
static int give (lua_State *L, const ed_future *future) {
  int n = ed_values_push(L, 1, future->shape);
  return future->has_failed ? lua_error(L) : n;
}

/* What is raised leaves no operation behind. */
static int finish_await (lua_State *L, ed_op *op) {
  ed_future *future = check_future(L);
  if (future->has_failed) ed_op_abandon(op->task);
  return give(L, future);
}

static const ed_optype await_type = {
  .name = "future:await",
  .finish = finish_await,
  .cancel = ed_waitq_cancel,
  .drop = ed_drop_plain,
  .is_internal = true,
};

/*
** eddy.future() --> Future
*/
static int l_future (lua_State *L) {
  ed_future *future = ed_class_push(L, ed_loop_of(L), ED_CLASS_FUTURE, sizeof *future, 1);
  ed_list_init(&future->waiters);
  return 1;
}

static ed_future *check_unset (lua_State *L) {
  ed_future *future = check_future(L);
  if (future->is_set) luaL_error(L, "the future is already set");
  return future;
}

static int settle (lua_State *L, ed_future *future, bool has_failed) {
  future->shape = (uint8_t)ed_values_keep(L, 1, 2);
  future->has_failed = has_failed;
  future->is_set = true;
  ed_choice_wake_all(&future->waiters);
  return 0;
}

/*
** future:set(...)
** Any number of values. Raises if it was set or failed before.
*/
static int l_future_set (lua_State *L) { return settle(L, check_unset(L), false); }

/*
** future:fail(err)
** Any value; await raises the same. Raises if it was set or failed before.
*/
static int l_future_fail (lua_State *L) {
  ed_future *future = check_unset(L);
  luaL_checkany(L, 2);
  lua_settop(L, 2);
  return settle(L, future, true);
}

static int l_future_is_set (lua_State *L) {
  lua_pushboolean(L, check_future(L)->is_set);
  return 1;
}

/*
** future:await() --> the values
** Awaits until it is set; raises what it failed with. Cancelling leaves no trace.
*/
static int l_future_await (lua_State *L) {
  ed_future *future = check_future(L);
  ed_task *task = ed_checkpoint(L);
  ed_waiter *waiter;
  lua_settop(L, 1);
  if (future->is_set && ed_spend(task->loop)) return give(L, future);
  waiter = ed_op_new_for(L, task, &await_type, sizeof *waiter);
  ed_list_init(&waiter->link);
  if (future->is_set) ed_op_done(&waiter->op, 0);
  else ed_waitq_join(&future->waiters, waiter);
  return ed_await(L, &waiter->op, 0);
}

static int l_future_tostring (lua_State *L) {
  const ed_future *future = check_future(L);
  const char *state = !future->is_set ? "not set" : future->has_failed ? "failed" : "set";
  lua_pushfstring(L, "eddy.Future (%s)", state);
  return 1;
}

/* ---- select ---- */

static bool future_is_ready (const void *object) {
  return ((const ed_future *)object)->is_set;
}

static void future_join (void *object, ed_choice *choice) {
  ed_choice_join(&((ed_future *)object)->waiters, choice);
}

static int future_finish (lua_State *L, void *object, bool has_value) {
  (void)object, (void)has_value;
  return ed_finish_true(L, NULL);
}

const ed_choosable ed_future_choosable = {
  .class = ED_CLASS_FUTURE,
  .is_ready = future_is_ready,
  .join = future_join,
  .finish = future_finish,
};

static const luaL_Reg functions[] = {
  {"future", l_future},
  {NULL, NULL},
};

static const luaL_Reg methods[] = {
  {"set", l_future_set},
  {"fail", l_future_fail},
  {"is_set", l_future_is_set},
  {"await", l_future_await},
  {NULL, NULL},
};

static const luaL_Reg meta[] = {
  {"__tostring", l_future_tostring},
  {NULL, NULL},
};

void ed_open_future (lua_State *L, ed_loop *loop, int box) {
  ed_class_new(L, loop, ED_CLASS_FUTURE, "eddy.Future", methods, meta, box);
  ed_setfuncs(L, functions, box);
}
