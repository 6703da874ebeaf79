/* SPDX-License-Identifier: MIT */
/*
** Locks: owned by a task, handed over in strict order. The owner's end releases the lock, and
** because what it guarded may be half done, the next acquire is told so, once.
*/
#include "sync/lock.h"

#include <stdio.h>

#include "core/class.h"
#include "core/error.h"
#include "core/probe.h"
#include "sync/sync.h"

typedef struct ed_guard {
  ed_lock *lock; /* anchored by the user value; NULL once released */
  uint64_t turn;
} ed_guard;

/* ---- engine half ---- */

void ed_lock_own (ed_lock *lock, ed_task *task, uint64_t turn) {
  lock->owner = task;
  lock->turn = turn != 0 ? turn : ++lock->turns;
  ed_list_append(&task->watchers, &lock->hold.link);
}

/* Those who come back from a condition must have the lock, and are told nothing. */
static void hand_over (ed_lock *lock) {
  ed_waiter *first;
  while (lock->owner == NULL && (first = ed_waitq_first(&lock->waiters)) != NULL) {
    ed_locking *l = (ed_locking *)first;
    if (lock->is_abandoned && l->turn == 0) {
      lock->is_abandoned = false;
      l->is_told = true;
    } else {
      ed_lock_own(lock, first->op.task, l->turn);
      l->turn = lock->turn;
      l->is_granted = true;
    }
    ed_waitq_wake(first, 0);
  }
}

static void set_free (ed_lock *lock) {
  ed_list_remove(&lock->hold.link);
  lock->owner = NULL;
  lock->turn = 0;
}

void ed_lock_give_up (ed_lock *lock) {
  set_free(lock);
  hand_over(lock);
}

/* The owner has ended with the lock in its hands. */
static void owner_ended (ed_watch *hold, ed_task *task) {
  ed_lock *lock = ED_OF(hold, ed_lock, hold);
  ed_task_name(task->loop->L, task, lock->abandoner, sizeof lock->abandoner);
  lock->is_abandoned = true;
  ed_lock_give_up(lock);
}

void ed_lock_queue (ed_locking *locking) {
  ed_waitq_join(&locking->lock->waiters, &locking->waiter);
}

void ed_drop_locking (ed_op *op) {
  ed_locking *l = (ed_locking *)op;
  if (l->is_told) l->lock->is_abandoned = true; /* whoever is next must know */
  if (l->is_granted) ed_lock_give_up(l->lock);
  ed_op_free(op);
}

void ed_lock_describe (const ed_lock *lock, char *text, size_t room) {
  char name[64];
  if (lock->owner == NULL) snprintf(text, room, "a free lock");
  else {
    ed_task_name(lock->owner->loop->L, lock->owner, name, sizeof name);
    snprintf(text, room, "a lock held by %s", name);
  }
}

static void describe_acquire (const ed_op *op, char *text, size_t room) {
  ed_lock_describe(((const ed_locking *)op)->lock, text, room);
}

/* ---- Lua half ---- */

/* The guard exists before it holds anything, so that an error in between loses nothing. */
static ed_guard *push_guard (lua_State *L, ed_loop *loop) {
  ed_guard *guard = ed_class_push(L, loop, ED_CLASS_GUARD, sizeof *guard, 1);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  if (loop->probe != NULL) ed_probe_note_hold(L, loop, -1, "guard of a lock");
  return guard;
}

static int raise_abandoned (lua_State *L, const ed_lock *lock) {
  char text[96];
  snprintf(text, sizeof text, "%s ended while it held the lock", lock->abandoner);
  ed_error_push(L, "closed", "abandoned", "lock:acquire", NULL, text);
  return lua_error(L);
}

static int finish_acquire (lua_State *L, ed_op *op) {
  ed_locking *l = (ed_locking *)op;
  ed_lock *lock = l->lock;
  ed_guard *guard;
  if (l->is_told) {
    l->is_told = false;
    ed_op_abandon(op->task); /* what is raised leaves no operation behind */
    return raise_abandoned(L, lock);
  }
  guard = push_guard(L, op->loop);
  guard->lock = lock;
  guard->turn = l->turn;
  l->is_granted = false; /* taken */
  return 1;
}

static const ed_optype acquire_type = {
  .name = "lock:acquire",
  .finish = finish_acquire,
  .cancel = ed_waitq_cancel,
  .drop = ed_drop_locking,
  .is_internal = true,
  .describe = describe_acquire,
};

ed_lock *ed_lock_check (lua_State *L, int arg) {
  return ed_class_check(L, ed_loop_of(L), arg, ED_CLASS_LOCK);
}

ed_lock *ed_lock_push (lua_State *L, ed_loop *loop) {
  ed_lock *lock = ed_class_push(L, loop, ED_CLASS_LOCK, sizeof *lock, 0);
  ed_list_init(&lock->waiters);
  ed_list_init(&lock->hold.link);
  lock->hold.ended = owner_ended;
  lock->hold.is_silent = true;
  return lock;
}

/*
** eddy.lock() --> Lock
*/
static int l_lock (lua_State *L) { return ed_lock_push(L, ed_loop_of(L)), 1; }

static ed_lock *check_not_held (lua_State *L, ed_loop *loop) {
  ed_lock *lock = ed_class_check(L, loop, 1, ED_CLASS_LOCK);
  if (lock->owner != NULL && lock->owner == loop->current)
    luaL_error(L, "the lock is already held by this task");
  if (lock->is_finalized) luaL_error(L, "the lock is being collected");
  return lock;
}

/* Push the guard of a lock that was free; it is taken unless a finalizer that ran was faster. */
static int take_now (lua_State *L, ed_lock *lock, ed_task *task) {
  ed_guard *guard;
  if (lock->is_abandoned) {
    lock->is_abandoned = false;
    return raise_abandoned(L, lock);
  }
  guard = push_guard(L, task->loop);
  check_not_held(L, task->loop);
  ed_lock_own(lock, task, 0);
  guard->lock = lock;
  guard->turn = lock->turn;
  return 1;
}

/*
** lock:acquire() --> Guard
** Awaits its turn. Raises if this task holds the lock already, and, once, with code "abandoned"
** when a task ended that held it. Cancelled in the queue: leaves it; a lock already handed over
** is delivered.
*/
static int l_lock_acquire (lua_State *L) {
  ed_loop *loop = ed_loop_of(L);
  ed_lock *lock = check_not_held(L, loop);
  ed_task *task = ed_checkpoint(L);
  ed_locking *l;
  if (lock->owner == NULL && ed_spend(loop)) return take_now(L, lock, task);
  l = ed_op_new_for(L, task, &acquire_type, sizeof *l);
  l->lock = lock;
  ed_list_init(&l->waiter.link);
  ed_lock_queue(l);
  if (lock->owner == NULL) hand_over(lock); /* but others have waited long enough */
  return ed_await(L, &l->waiter.op, 0);
}

/*
** lock:try_acquire() --> Guard | nil
** Only in a task; raises as acquire does.
*/
static int l_lock_try (lua_State *L) {
  ed_loop *loop = ed_loop_of(L);
  ed_lock *lock = check_not_held(L, loop);
  if (loop->current == NULL)
    return luaL_error(L, "a lock belongs to a task: cannot acquire it outside of one");
  if (lock->owner == NULL) return take_now(L, lock, loop->current);
  lua_pushnil(L);
  return 1;
}

/*
** lock:locked() --> boolean
*/
static int l_lock_locked (lua_State *L) {
  lua_pushboolean(L, ed_lock_check(L, 1)->owner != NULL);
  return 1;
}

/*
** A lock that nobody can reach any more leaves its owner's list. Another finalizer may still have it
** in hand, but there is none left to take it out of a list a second time.
*/
static int l_lock_gc (lua_State *L) {
  ed_lock *lock = lua_touserdata(L, 1);
  ed_list_remove(&lock->hold.link);
  lock->is_finalized = true;
  return 0;
}

/* The guard at 1. False if it was released, or the lock was lost, before; raises for anybody but
   the owner. */
static bool release_guard (lua_State *L, ed_loop *loop, ed_guard *guard) {
  ed_lock *lock = guard->lock;
  if (lock == NULL) return false;
  if (lock->turn != guard->turn) { /* lost with its owner, or while that was killed */
    if (loop->probe != NULL) ed_probe_note_release(L, loop, 1);
    return false;
  }
  if (lock->owner != loop->current)
    luaL_error(L, "the lock is held by another task: only its owner releases it");
  if (loop->probe != NULL) ed_probe_note_release(L, loop, 1);
  guard->lock = NULL;
  ed_lock_give_up(lock);
  return true;
}

/*
** guard:release() --> boolean
** False when it had been released before. By the owner only.
*/
static int l_guard_release (lua_State *L) {
  ed_loop *loop = ed_loop_of(L);
  lua_pushboolean(L, release_guard(L, loop, ed_class_check(L, loop, 1, ED_CLASS_GUARD)));
  return 1;
}

static int l_guard_close (lua_State *L) {
  ed_loop *loop = ed_loop_opt(L);
  ed_guard *guard = loop != NULL ? ed_class_test(L, loop, 1, ED_CLASS_GUARD) : NULL;
  if (guard != NULL) release_guard(L, loop, guard);
  return 0;
}

static const luaL_Reg functions[] = {
  {"lock", l_lock},
  {NULL, NULL},
};

static const luaL_Reg methods[] = {
  {"acquire", l_lock_acquire},
  {"try_acquire", l_lock_try},
  {"locked", l_lock_locked},
  {NULL, NULL},
};

static const luaL_Reg meta[] = {
  {"__gc", l_lock_gc},
  {NULL, NULL},
};

static const luaL_Reg guard_methods[] = {
  {"release", l_guard_release},
  {NULL, NULL},
};

static const luaL_Reg guard_meta[] = {
  {"__close", l_guard_close},
  {NULL, NULL},
};

void ed_open_lock (lua_State *L, ed_loop *loop, int box) {
  ed_class_new(L, loop, ED_CLASS_LOCK, "eddy.Lock", methods, meta, box);
  ed_class_new(L, loop, ED_CLASS_GUARD, "eddy.Guard", guard_methods, guard_meta, box);
  ed_setfuncs(L, functions, box);
}
