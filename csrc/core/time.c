/* SPDX-License-Identifier: MIT */
/*
** Sleeping and the clock. A sleep is an entry of the timer heap; it is never early, because its
** end is counted from a fresh look at the clock and compared with one.
*/
#include "core/time.h"

#include <math.h>

#include "core/class.h"
#include "core/loop.h"

typedef struct sleeping {
  ed_op op;
  ed_timer timer;
} sleeping;

void ed_sleep_fire (ed_timer *timer) {
  ed_op_complete(&ED_OF(timer, sleeping, timer)->op, 0);
}

static ed_verdict cancel_sleep (ed_op *op) {
  ed_heap_remove(&op->loop->timers, &((sleeping *)op)->timer);
  ed_op_release(op);
  return ED_STOPPED;
}

static int finish_sleep (lua_State *L, ed_op *op) {
  (void)L, (void)op;
  return 0;
}

static const ed_optype sleep_type = {
  .name = "sleep",
  .finish = finish_sleep,
  .cancel = cancel_sleep,
  .drop = ed_drop_plain,
};

static int sleep_until (lua_State *L, ed_task *task, uint64_t due) {
  ed_loop *loop = task->loop;
  sleeping *s;
  if (!ed_heap_reserve(&loop->timers, &loop->mem))
    return luaL_error(L, "not enough memory");
  s = ed_op_new_for(L, task, &sleep_type, sizeof *s);
  if (due != UINT64_MAX) ed_heap_push(&loop->timers, &s->timer, due);
  return ed_await(L, &s->op, 0);
}

/*
** eddy.sleep(seconds)
** Awaits, at least so long; 0 or less lets every ready task run first; math.huge waits for a
** cancel. Cancelling takes the sleep back.
*/
static int l_sleep (lua_State *L) {
  uint64_t ns = ed_check_seconds(L, 1);
  ed_task *task = ed_checkpoint(L);
  if (ns == 0) return ed_yield(L, task);
  return sleep_until(L, task, ed_after(ed_loop_now(task->loop), ed_after(ns, 1)));
}

/*
** eddy.sleep_until(time)
** Awaits until eddy.now() is at least 'time'.
*/
static int l_sleep_until (lua_State *L) {
  uint64_t due = ed_check_seconds(L, 1);
  ed_task *task = ed_checkpoint(L);
  if (due <= ed_loop_now(task->loop)) return ed_yield(L, task);
  return sleep_until(L, task, ed_after(due, 1));
}

/*
** eddy.now() --> seconds
** Monotonic; only differences mean something.
*/
static int l_now (lua_State *L) {
  lua_pushnumber(L, (lua_Number)ed_loop_now(ed_loop_of(L)) / 1e9);
  return 1;
}

static const luaL_Reg functions[] = {
  {"sleep", l_sleep},
  {"sleep_until", l_sleep_until},
  {"now", l_now},
  {NULL, NULL},
};

void ed_open_time (lua_State *L, int box) { ed_setfuncs(L, functions, box); }
