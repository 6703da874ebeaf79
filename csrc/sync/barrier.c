/* SPDX-License-Identifier: MIT */
/*
** Barriers: the last of n arrivals lets all of them through. Those who wait are let through in
** one go, so a fast task that comes back counts for the next round.
*/
#include <stdio.h>

#include "core/class.h"
#include "core/error.h"
#include "sync/sync.h"
#include "sync/waitq.h"

typedef struct ed_barrier {
  ed_link waiters;
  lua_Integer n;
  lua_Integer here; /* how many wait */
  bool is_broken;
} ed_barrier;

typedef struct arriving {
  ed_waiter waiter; /* first */
  ed_barrier *barrier;
  lua_Integer index; /* 0: the barrier was broken */
} arriving;

/* ---- engine half ---- */

/* Wake all; they get their numbers in the order in which they came, or none. */
static void release_all (ed_barrier *b, bool is_broken) {
  lua_Integer index = 0;
  ed_waiter *first;
  b->here = 0;
  while ((first = ed_waitq_first(&b->waiters)) != NULL) {
    ((arriving *)first)->index = is_broken ? 0 : ++index;
    ed_waitq_wake(first, 0);
  }
}

static ed_verdict cancel_arrival (ed_op *op) {
  ((arriving *)op)->barrier->here--;
  return ed_waitq_cancel(op);
}

static void describe_arrival (const ed_op *op, char *text, size_t room) {
  const ed_barrier *b = ((const arriving *)op)->barrier;
  snprintf(
    text, room, "a barrier where %lld of %lld are", (long long)b->here, (long long)b->n);
}

/* ---- Lua half ---- */

static int raise_broken (lua_State *L) {
  ed_error_push(L, "closed", "broken", "barrier:wait", NULL, "the barrier is broken");
  return lua_error(L);
}

static int finish_arrival (lua_State *L, ed_op *op) {
  lua_Integer index = ((arriving *)op)->index;
  if (index == 0) {
    ed_op_abandon(op->task); /* what is raised leaves no operation behind */
    return raise_broken(L);
  }
  lua_pushinteger(L, index);
  return 1;
}

static const ed_optype wait_type = {
  .name = "barrier:wait",
  .finish = finish_arrival,
  .cancel = cancel_arrival,
  .drop = ed_drop_plain,
  .is_internal = true,
  .describe = describe_arrival,
};

static ed_barrier *check_barrier (lua_State *L) {
  return ed_class_check(L, ed_loop_of(L), 1, ED_CLASS_BARRIER);
}

/*
** eddy.barrier(n) --> Barrier
*/
static int l_barrier (lua_State *L) {
  lua_Integer n = luaL_checkinteger(L, 1);
  ed_barrier *b;
  luaL_argcheck(L, n > 0, 1, "must be above 0");
  b = ed_class_push(L, ed_loop_of(L), ED_CLASS_BARRIER, sizeof *b, 0);
  ed_list_init(&b->waiters);
  b->n = n;
  return 1;
}

/* The last one lets the others go and is itself the n-th. */
static int arrive_last (lua_State *L, ed_barrier *b, ed_task *task) {
  release_all(b, false);
  lua_pushinteger(L, b->n);
  return ed_spend(task->loop) ? 1 : ed_yield_with(L, task, 1);
}

/*
** barrier:wait() --> index, 1..n in the order of arrival
** Awaits n arrivals. Raises with code "broken" when the barrier is aborted or, for those who
** wait, reset. Cancelled: it does not count as having arrived.
*/
static int l_barrier_wait (lua_State *L) {
  ed_barrier *b = check_barrier(L);
  ed_task *task = ed_checkpoint(L);
  arriving *a;
  if (b->is_broken) return raise_broken(L);
  if (b->here + 1 == b->n) return arrive_last(L, b, task);
  a = ed_op_new_for(L, task, &wait_type, sizeof *a);
  a->barrier = b;
  b->here++;
  ed_waitq_join(&b->waiters, &a->waiter);
  return ed_await(L, &a->waiter.op, 0);
}

/*
** barrier:abort()
** Those who wait, and who come from now on, get the error. Until 'reset'.
*/
static int l_barrier_abort (lua_State *L) {
  ed_barrier *b = check_barrier(L);
  b->is_broken = true;
  release_all(b, true);
  return 0;
}

/*
** barrier:reset()
** Those who wait get the error; after that the barrier is as new.
*/
static int l_barrier_reset (lua_State *L) {
  ed_barrier *b = check_barrier(L);
  b->is_broken = false;
  release_all(b, true);
  return 0;
}

static const luaL_Reg functions[] = {
  {"barrier", l_barrier},
  {NULL, NULL},
};

static const luaL_Reg methods[] = {
  {"wait", l_barrier_wait},
  {"abort", l_barrier_abort},
  {"reset", l_barrier_reset},
  {NULL, NULL},
};

static const luaL_Reg meta[] = {
  {NULL, NULL},
};

void ed_open_barrier (lua_State *L, ed_loop *loop, int box) {
  ed_class_new(L, loop, ED_CLASS_BARRIER, "eddy.Barrier", methods, meta, box);
  ed_setfuncs(L, functions, box);
}
