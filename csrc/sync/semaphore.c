/* SPDX-License-Identifier: MIT */
/*
** Semaphores with strict FIFO hand-off: a released permit goes to the head of the queue and is
** never seen free by anybody else; a newcomer queues behind. What was granted to a task that is
** killed before it runs goes on to the next.
*/
#include <stdio.h>

#include "core/class.h"
#include "core/probe.h"
#include "sync/holders.h"
#include "sync/sync.h"
#include "sync/waitq.h"

typedef struct ed_semaphore {
  ed_link waiters;
  lua_Integer value;
  lua_Integer max; /* LUA_MAXINTEGER: no bound */
  ed_holders holders;
} ed_semaphore;

typedef struct ed_permit {
  ed_semaphore *semaphore; /* anchored by the user value; NULL once released */
  lua_Integer count;
} ed_permit;

typedef struct acquiring {
  ed_waiter waiter;
  ed_semaphore *semaphore;
  lua_Integer count;
  bool is_granted; /* and not taken yet */
} acquiring;

/* ---- engine half ---- */

/* Serve the queue from its head, as far as the permits go. */
static void hand_over (ed_semaphore *s) {
  ed_waiter *first;
  while ((first = ed_waitq_first(&s->waiters)) != NULL) {
    acquiring *a = (acquiring *)first;
    if (a->count > s->value) return;
    s->value -= a->count;
    a->is_granted = true;
    ed_waitq_wake(first, 0);
  }
}

static void give (ed_semaphore *s, lua_Integer count) {
  s->value += count;
  hand_over(s);
}

static void drop_acquire (ed_op *op) {
  acquiring *a = (acquiring *)op;
  if (a->is_granted) give(a->semaphore, a->count);
  ed_op_free(op);
}

/* The head may have been all that kept the others waiting. */
static ed_verdict cancel_acquire (ed_op *op) {
  ed_list_remove(&((ed_waiter *)op)->link);
  hand_over(((acquiring *)op)->semaphore);
  ed_op_release(op);
  return ED_STOPPED;
}

/* ---- Lua half ---- */

/* The permit exists before it holds anything, so that an error in between loses nothing. */
static ed_permit *push_permit (lua_State *L, ed_loop *loop) {
  ed_permit *permit = ed_class_push(L, loop, ED_CLASS_PERMIT, sizeof *permit, 1);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  if (loop->probe != NULL) ed_probe_note_hold(L, loop, -1, "permit of a semaphore");
  return permit;
}

static int finish_acquire (lua_State *L, ed_op *op) {
  acquiring *a = (acquiring *)op;
  ed_permit *permit = push_permit(L, op->loop);
  permit->semaphore = a->semaphore;
  permit->count = a->count;
  a->is_granted = false; /* taken */
  ed_holders_add(&a->semaphore->holders, op->task, permit);
  return 1;
}

static void describe_acquire (const ed_op *op, char *text, size_t room) {
  const acquiring *a = (const acquiring *)op;
  snprintf(text, room, "a semaphore with %lld free, %lld wanted",
    (long long)a->semaphore->value, (long long)a->count);
  ed_holders_describe(&a->semaphore->holders, text, room);
}

static const ed_optype acquire_type = {
  .name = "semaphore:acquire",
  .finish = finish_acquire,
  .cancel = cancel_acquire,
  .drop = drop_acquire,
  .is_internal = true,
  .describe = describe_acquire,
};

static ed_semaphore *check_semaphore (lua_State *L, ed_loop *loop) {
  return ed_class_check(L, loop, 1, ED_CLASS_SEMAPHORE);
}

static lua_Integer check_count (lua_State *L, const ed_semaphore *s) {
  lua_Integer count = 1;
  if (lua_isnoneornil(L, 2)) return count;
  count = luaL_checkinteger(L, 2);
  luaL_argcheck(L, count > 0, 2, "count must be above 0");
  luaL_argcheck(L, count <= s->max, 2, "count above the semaphore's maximum");
  return count;
}

static bool is_free (const ed_semaphore *s, lua_Integer count) {
  return s->value >= count && ed_list_is_empty(&s->waiters);
}

/*
** eddy.semaphore(n [, max]) --> Semaphore
*/
static int l_semaphore (lua_State *L) {
  lua_Integer n = luaL_checkinteger(L, 1);
  lua_Integer max = luaL_optinteger(L, 2, LUA_MAXINTEGER);
  ed_semaphore *s;
  luaL_argcheck(L, n >= 0, 1, "must not be negative");
  luaL_argcheck(
    L, max >= n && max > 0, 2, "must be at least the initial value, and above 0");
  s = ed_class_push(L, ed_loop_of(L), ED_CLASS_SEMAPHORE, sizeof *s, 0); /* zero */
  ed_list_init(&s->waiters);
  s->value = n;
  s->max = max;
  return 1;
}

/* Push a permit that holds something; false if a finalizer that ran meanwhile has taken it. */
static bool take_now (lua_State *L, ed_loop *loop, ed_semaphore *s, lua_Integer count) {
  ed_permit *permit = push_permit(L, loop);
  if (!is_free(s, count)) return false;
  s->value -= count;
  permit->semaphore = s;
  permit->count = count;
  ed_holders_add(&s->holders, loop->current, permit);
  return true;
}

/*
** semaphore:acquire([k]) --> Permit
** Awaits its turn. Cancelled in the queue: leaves it; a permit already granted is delivered.
*/
static int l_semaphore_acquire (lua_State *L) {
  ed_loop *loop = ed_loop_of(L);
  ed_semaphore *s = check_semaphore(L, loop);
  lua_Integer count = check_count(L, s);
  ed_task *task = ed_checkpoint_in(L, loop);
  acquiring *a;
  if (is_free(s, count) && ed_spend(loop) && take_now(L, loop, s, count)) return 1;
  a = ed_op_new_for(L, task, &acquire_type, sizeof *a);
  a->semaphore = s;
  a->count = count;
  ed_list_init(&a->waiter.link);
  if (is_free(s, count)) {
    s->value -= count;
    a->is_granted = true;
    ed_op_done(&a->waiter.op, 0);
  } else ed_waitq_join(&s->waiters, &a->waiter);
  return ed_await(L, &a->waiter.op, 0);
}

/*
** semaphore:try_acquire([k]) --> Permit | nil
*/
static int l_semaphore_try (lua_State *L) {
  ed_loop *loop = ed_loop_of(L);
  ed_semaphore *s = check_semaphore(L, loop);
  lua_Integer count = check_count(L, s);
  if (is_free(s, count) && take_now(L, loop, s, count)) return 1;
  lua_pushnil(L);
  return 1;
}

/*
** semaphore:release([k])
** Adds permits without a permit object; above the maximum raises.
*/
static int l_semaphore_release (lua_State *L) {
  ed_loop *loop = ed_loop_of(L);
  ed_semaphore *s = check_semaphore(L, loop);
  lua_Integer count = check_count(L, s);
  if (count > s->max - s->value)
    return luaL_error(L, "semaphore released above its maximum");
  ed_holders_remove_any(&s->holders, loop->current);
  give(s, count);
  return 0;
}

static int l_semaphore_gc (lua_State *L) {
  ed_holders_finalize(&((ed_semaphore *)lua_touserdata(L, 1))->holders);
  return 0;
}

static int l_semaphore_available (lua_State *L) {
  lua_pushinteger(L, check_semaphore(L, ed_loop_of(L))->value);
  return 1;
}

/*
** semaphore:waiting() --> integer
** How many tasks queue for a permit now.
*/
static int l_semaphore_waiting (lua_State *L) {
  lua_pushinteger(L, ed_waitq_count(&check_semaphore(L, ed_loop_of(L))->waiters));
  return 1;
}

/* The permit at index 1. */
static bool release_permit (lua_State *L, ed_loop *loop, ed_permit *permit) {
  ed_semaphore *s = permit->semaphore;
  if (s == NULL) return false;
  if (loop->probe != NULL) ed_probe_note_release(L, loop, 1);
  permit->semaphore = NULL;
  ed_holders_remove(&s->holders, permit);
  if (permit->count > s->max - s->value) permit->count = s->max - s->value;
  give(
    s, permit->count); /* never above the maximum, also after a 'release' in its stead */
  return true;
}

/*
** permit:release() --> boolean
** False when it had been released before.
*/
static int l_permit_release (lua_State *L) {
  ed_loop *loop = ed_loop_of(L);
  ed_permit *permit = ed_class_check(L, loop, 1, ED_CLASS_PERMIT);
  lua_pushboolean(L, release_permit(L, loop, permit));
  return 1;
}

static int l_permit_close (lua_State *L) {
  ed_loop *loop = ed_loop_opt(L);
  ed_permit *permit = loop != NULL ? ed_class_test(L, loop, 1, ED_CLASS_PERMIT) : NULL;
  if (permit != NULL) release_permit(L, loop, permit);
  return 0;
}

static const luaL_Reg functions[] = {
  {"semaphore", l_semaphore},
  {NULL, NULL},
};

static const luaL_Reg methods[] = {
  {"acquire", l_semaphore_acquire},
  {"try_acquire", l_semaphore_try},
  {"release", l_semaphore_release},
  {"available", l_semaphore_available},
  {"waiting", l_semaphore_waiting},
  {NULL, NULL},
};

static const luaL_Reg meta[] = {
  {"__gc", l_semaphore_gc},
  {NULL, NULL},
};

static const luaL_Reg permit_methods[] = {
  {"release", l_permit_release},
  {NULL, NULL},
};

static const luaL_Reg permit_meta[] = {
  {"__close", l_permit_close},
  {NULL, NULL},
};

void ed_open_semaphore (lua_State *L, ed_loop *loop, int box) {
  ed_class_new(L, loop, ED_CLASS_SEMAPHORE, "eddy.Semaphore", methods, meta, box);
  ed_class_new(L, loop, ED_CLASS_PERMIT, "eddy.Permit", permit_methods, permit_meta, box);
  ed_setfuncs(L, functions, box);
}
