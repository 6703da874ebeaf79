/* SPDX-License-Identifier: MIT */
/*
** Tasks: spawning on recycled coroutines, the base frame, the end of a task.
**
** A coroutine has a slot for life; a task borrows both. In the coroutine's stack lies the base
** frame with (message handler, task, function, arguments). A task that a script holds lies there
** as its userdata, which so lives as long as the task without being stored anywhere else; a task
** that none has seen lies in the table of tasks, and as an address in the frame. What the base
** frame returns, at most one value (above the userdata), becomes the user value. All that can run
** out of memory happens in the base frame, under protection; the scheduler's side allocates
** nothing.
*/
#include "core/task.h"

#include <string.h>

#include "compat.h"
#include "core/block.h"
#include "core/class.h"
#include "core/coroutine.h"
#include "core/ending.h"
#include "core/error.h"
#include "core/limits.h"
#include "core/loop.h"
#include "core/slice.h"
#include "core/trace.h"
#include "core/var.h"

enum {
  HANDLER = 1, /* of the base frame: the message handler, the task, the function */
  TASK = 2,
  FUNCTION = 3,
  ROOM = LUA_MINSTACK - FUNCTION - 2, /* arguments for which any coroutine has a place */
  MANY_SLOTS = 8192 /* after a run with so many at once the anchor tables are made anew */
};

/* ---- coroutines ---- */

static void make_spares (lua_State *L, ed_loop *loop) {
  if (loop->spare != NULL) return;
  loop->spare = ed_mem_new(&loop->mem, ED_SPARES * sizeof *loop->spare);
  if (loop->spare == NULL) luaL_error(L, "not enough memory");
}

/* A fresh coroutine in a slot of its own, put among the spare ones. */
static void add_spare (lua_State *L, ed_loop *loop) {
  ed_spare spare = {NULL, NULL, 0};
  make_spares(L, loop);
  lua_rawgeti(L, LUA_REGISTRYINDEX, loop->tasks);
  lua_rawgeti(L, LUA_REGISTRYINDEX, loop->anchors);
  spare.co = lua_newthread(L);
  spare.slot = luaL_ref(L, -2);
  if (spare.slot > loop->highest_slot) loop->highest_slot = spare.slot;
  lua_pushboolean(L, 0);
  lua_rawseti(
    L, -3, spare.slot); /* so that storing a task there allocates nothing later */
  lua_pop(L, 2);
  loop->spare[loop->nspare++] = spare;
}

static void store_task (lua_State *L, ed_loop *loop, int slot) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, loop->tasks);
  lua_insert(L, -2);
  lua_rawseti(L, -2, slot);
  lua_pop(L, 1);
}

static void free_slot (ed_loop *loop, int slot) {
  lua_State *L = loop->L;
  lua_pushboolean(L, 0);
  store_task(L, loop, slot);
  lua_rawgeti(L, LUA_REGISTRYINDEX, loop->anchors);
  luaL_unref(L, -1, slot);
  lua_pop(L, 1);
}

void ed_task_trim (ed_loop *loop, uint32_t keep) {
  while (loop->nspare > keep) free_slot(loop, loop->spare[--loop->nspare].slot);
}

static void renew_table (lua_State *L, int *table) {
  lua_newtable(L);
  luaL_unref(L, LUA_REGISTRYINDEX, *table);
  *table = luaL_ref(L, LUA_REGISTRYINDEX);
}

void ed_task_shrink (lua_State *L, ed_loop *loop) {
  if (loop->highest_slot < MANY_SLOTS) return;
  ed_task_trim(loop, 0);
  renew_table(L, &loop->anchors);
  renew_table(L, &loop->tasks);
  loop->highest_slot = 0;
}

static void forget_traceback (ed_task *task) {
  lua_State *co = task->co;
  lua_rawgeti(co, LUA_REGISTRYINDEX, task->loop->tracebacks);
  ed_task_push(co, task);
  if (lua_rawget(co, 1) != LUA_TNIL) {
    ed_task_push(co, task);
    lua_pushnil(co);
    lua_rawset(co, 1);
  }
}

/* What the next task in the same userdata must not inherit. */
static void forget_result (ed_task *task) {
  lua_State *co = task->co;
  if (!task->is_on_stack) {
    ed_task_push(co, task);
    lua_pushnil(co);
    lua_setiuservalue(co, 1, 1);
  }
  lua_settop(co, 0);
  if (task->state == ED_TASK_FAILED) forget_traceback(task);
  lua_settop(co, 0);
}

/* A seen task leaves only its coroutine for reuse, an unseen one itself as well. */
static void keep_spare (ed_task *task) {
  ed_loop *loop = task->loop;
  lua_State *co = task->co;
  ed_spare spare = {co, task->is_seen ? NULL : task, task->slot};
  if (lua_gethookmask(co) != 0)
    lua_sethook(co, NULL, 0, 0); /* of this task, not of the next one */
  if (!task->is_seen && task->shape != 0) forget_result(task);
  else if (task->is_seen) {
    lua_settop(co, 0);
    if (!task->is_in_frame) lua_pushboolean(co, 0), store_task(co, loop, task->slot);
  }
  loop->spare[loop->nspare++] = spare;
}

void ed_task_release (ed_task *task) {
  ed_loop *loop = task->loop;
  if (task->co == NULL) return;
  if (task->is_killed || loop->nspare >= ED_SPARES) free_slot(loop, task->slot);
  else keep_spare(task);
  task->co = NULL;
}

/* ---- the base frame ---- */

static int is_cancellation (lua_State *L, ed_task *task, int index) {
  return ed_cancel_owner(L, task->loop, task->scope, index) != NULL;
}

static void pack_results (lua_State *L, ed_task *task) {
  int n = lua_gettop(L) - TASK;
  if (n <= 1) return;
  lua_createtable(L, n, 1);
  lua_insert(L, FUNCTION);
  for (int i = n; i > 0; i--) lua_rawseti(L, FUNCTION, i);
  lua_pushinteger(L, n);
  lua_setfield(L, FUNCTION, "n");
  task->shape = 2;
}

/* All children have ended: what is the outcome? Leaves its value, if any, behind the task. */
static int conclude (lua_State *L, ed_task *task) {
  ed_scope *root = &task->root;
  bool is_cancel = task->has_failed && is_cancellation(L, task, FUNCTION);
  int body = task->has_failed && !is_cancel ? FUNCTION : 0;
  if (ed_scope_push_failure(L, root, body, (uint32_t)task->nargs)) {
    lua_pushcfunction(L, ed_trace_handler); /* what children failed with is now ours */
    lua_insert(L, -2);
    lua_call(L, 1, 1);
    return 1;
  }
  if (task->has_failed || (task->is_joining && root->cause != NULL)) {
    if (!task->has_failed) ed_cancel_push(L, task->loop, root->cause);
    task->outcome = ED_TASK_CANCELLED;
    return 1;
  }
  pack_results(L, task);
  task->outcome = ED_TASK_DONE;
  return lua_gettop(L) >= FUNCTION ? 1 : 0;
}

static int l_conclude (lua_State *L) { return conclude(L, lua_touserdata(L, TASK)); }

/* The common end needs no memory; anything else runs protected. Returns as the base frame does. */
static int conclude_safely (lua_State *L, ed_task *task) {
  int n = lua_gettop(L);
  if (!task->has_failed && !task->is_joining && n <= FUNCTION
    && ed_list_is_empty(&task->root.children)) {
    task->outcome = ED_TASK_DONE;
    return n - TASK + task->is_in_frame;
  }
  task->outcome =
    ED_TASK_FAILED;     /* should memory run out on the way, or there be none to begin */
  lua_checkstack(L, 2); /* the pcall needs more, and finds that there is none */
  lua_pushvalue(L, TASK);
  lua_pushcfunction(L, l_conclude);
  lua_rotate(L, 1, 2);
  lua_pcall(L, n, LUA_MULTRET, 0); /* an error here is the value, outcome "failed" */
  return (lua_gettop(L) > 1 ? 1 : 0) + task->is_in_frame; /* that may have changed */
}

static int joined_k (lua_State *L, int status, lua_KContext ctx);

static int ending_k (lua_State *L, int status, lua_KContext ctx);

static int end_of_body (lua_State *L, ed_task *task) {
  while (task->scope != &task->root) { /* groups that no <close> variable held */
    ed_scope *open = task->scope;
    if (open->live > 0) {
      ed_scope_cancel(open, ED_BY_END);
      return ed_task_join_children(L, open, (lua_KContext)task, joined_k);
    }
    ed_block_discard(L, (ed_block *)open);
  }
  if (task->root.live > 0) {
    task->is_joining = true;
    return ed_task_join_children(L, &task->root, (lua_KContext)task, joined_k);
  }
  if (task->has_ending)
    return ed_ending_call(L, task, HANDLER, (lua_KContext)task, ending_k);
  task->root.is_closed = true;
  return conclude_safely(L, task);
}

static int joined_k (lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  return end_of_body(L, (ed_task *)ctx);
}

/*
** What was left has been closed. An error of that takes the place of what the body ended with, as an
** error in a '<close>' variable does; but no failure is lost to a cancellation.
*/
static int ending_k (lua_State *L, int status, lua_KContext ctx) {
  ed_task *task = (ed_task *)ctx;
  if (status != LUA_OK && status != LUA_YIELD) {
    if (lua_gettop(L) > FUNCTION && !(task->has_failed && is_cancellation(L, task, -1)))
      lua_replace(L, FUNCTION);
    lua_settop(L, FUNCTION);
    task->has_failed = true;
    task->nargs = (int)ed_scope_failures(&task->root);
  }
  return end_of_body(L, task);
}

static int body_k (lua_State *L, int status, lua_KContext ctx) {
  ed_task *task = (ed_task *)ctx;
  task->has_failed = status != LUA_OK && status != LUA_YIELD;
  if (task->has_failed && task->has_limits) ed_limits_replace(L, task);
  task->nargs = 0;
  if (task->has_failed && task->root.live > 0 && !is_cancellation(L, task, -1)) {
    task->nargs = (int)ed_scope_failures(&task->root);
    ed_scope_cancel(&task->root, ED_BY_FAILURE);
  }
  return end_of_body(L, task);
}

int ed_task_base (lua_State *L) {
  ed_task *task = lua_touserdata(L, TASK);
  int status = lua_pcallk(
    L, task->nargs - FUNCTION, LUA_MULTRET, HANDLER, (lua_KContext)task, body_k);
  return body_k(L, status, (lua_KContext)task);
}

/* ---- spawn ---- */

/* Every field, one by one: clearing the whole first costs as much again. */
static void init_task (
  ed_task *task, ed_loop *loop, ed_scope *owner, const ed_spare *spare) {
  task->op = NULL;
  task->co = task->leaf = spare->co;
  task->nest = NULL;
  task->loop = loop;
  task->scope = &task->root;
  task->slot = spare->slot;
  task->nargs = 0;
  task->id = ++loop->next_id;
  task->filed = task->since = 0;
  task->site = task->barred = task->swallowed = 0;
  task->state = ED_TASK_READY;
  task->atomic = task->shape = task->outcome = 0;
  task->has_started = task->is_seen = task->is_in_frame = task->has_vars = false;
  task->has_ending = false;
  task->is_joining = task->is_on_stack = task->is_killed = task->has_yielded = false;
  task->is_held = task->has_failed = task->has_limits = task->is_preempted = false;
  task->round = 0;
  ed_list_init(&task->watchers);
  ed_scope_push(&task->root, owner, task, ED_SCOPE_TASK);
  ed_list_append(&owner->children, &task->sibling);
  owner->live++;
  ed_list_append(&loop->ready, &task->ready);
  loop->ntasks++;
}

static void check_owner (lua_State *L, ed_loop *loop, const ed_scope *owner) {
  if (owner->is_closed || loop->is_closing
    || (owner->host != NULL && owner->host->is_killed))
    luaL_error(L, "cannot spawn: the block has ended");
}

static ed_task *push_box (lua_State *L, ed_loop *loop) {
  return ed_class_push_raw(L, loop, ED_CLASS_TASK, sizeof(ed_task), 1);
}

/*
** The spare coroutine that is next, with a place for so many arguments. It is nobody's until it is
** taken off, so nothing may run finalizers until then: these may spawn tasks too.
*/
static inline ed_spare *find_spare (lua_State *L, ed_loop *loop, int nargs) {
  ed_spare *spare;
  if (loop->nspare == 0) add_spare(L, loop);
  spare = &loop->spare[loop->nspare - 1];
  if (nargs > ROOM && !lua_checkstack(spare->co, nargs + FUNCTION + 2))
    luaL_error(L, "too many arguments");
  return spare;
}

/* One with a task that no script has seen. */
static ed_spare *find_unseen (lua_State *L, ed_loop *loop, int nargs) {
  ed_spare *spare = find_spare(L, loop, nargs);
  ed_task *task;
  if (spare->task != NULL) return spare;
  task = push_box(L, loop);
  spare = find_spare(L, loop, nargs);
  if (spare->task == NULL) spare->task = task, store_task(L, loop, spare->slot);
  else lua_pop(L, 1);
  return spare;
}

/* One for the task whose userdata was pushed. */
static ed_spare *find_unboxed (lua_State *L, ed_loop *loop, int nargs) {
  ed_spare *spare = find_spare(L, loop, nargs);
  if (spare->task == NULL) return spare;
  spare->task = NULL;
  lua_pushboolean(L, 0);
  store_task(L, loop, spare->slot);
  return spare;
}

/* The function and its arguments, on top of L, go into the base frame of 'task'. */
static void fill_frame (lua_State *L, ed_task *task, int nargs) {
  lua_State *co = task->co;
  task->nargs = nargs + FUNCTION;
  lua_pushcfunction(co, ed_task_base);
  lua_pushcfunction(co, ed_trace_handler);
  if (task->is_in_frame) {
    lua_pushvalue(L, -nargs - 2);
    lua_xmove(L, co, 1);
  } else lua_pushlightuserdata(co, task);
  lua_xmove(L, co, nargs + 1);
}

/* The library's own functions can close a coroutine under us, and its base frame with that. */
static void anchor (lua_State *L, ed_task *task, int nargs) {
  lua_pushvalue(L, -nargs - 2);
  store_task(L, task->loop, task->slot);
  task->is_in_frame = false;
}

ed_task *ed_task_spawn (
  lua_State *L, ed_loop *loop, ed_scope *owner, int nargs, bool is_seen) {
  ed_task *task = NULL;
  ed_spare *spare;
  bool has_vars;
  check_owner(L, loop, owner);
  if (is_seen) task = push_box(L, loop), lua_insert(L, -nargs - 2);
  has_vars = ed_vars_push(L, loop);
  spare = is_seen ? find_unboxed(L, loop, nargs) : find_unseen(L, loop, nargs);
  if (has_vars) ed_vars_give(L, loop, spare->co);
  if (!is_seen) task = spare->task;
  loop->nspare--;
  init_task(task, loop, owner, spare);
  task->is_seen = task->is_in_frame = is_seen;
  if (is_seen && !loop->is_installed) anchor(L, task, nargs);
  task->has_vars = has_vars;
  fill_frame(L, task, nargs);
  return task;
}

/* The level of the frame at the bottom of 'co', found in steps that grow and shrink by two. */
static int bottom_level (lua_State *co) {
  lua_Debug at;
  int level = 0, step = 1;
  while (lua_getstack(co, level + step, &at)) level += step, step *= 2;
  for (; step > 0; step /= 2)
    if (lua_getstack(co, level + step, &at)) level += step;
  return level;
}

/* Push the userdata of a task in whose frame it lies, or on what has become of that, on 'co'. */
static bool push_from_frame (lua_State *co, const ed_task *task) {
  lua_Debug at;
  if (!lua_checkstack(co, 1)) return false;
  if (ed_task_has_ended(task)) lua_pushvalue(co, 1);
  else if (!lua_getstack(co, 0, &at)) lua_pushvalue(co, 1 + TASK); /* it did not start */
  else if (!lua_getstack(co, bottom_level(co), &at) || !lua_getlocal(co, &at, TASK))
    return false;
  return true;
}

/* Put it into the table. */
static bool store_from_frame (ed_task *task) {
  if (!push_from_frame(task->co, task)) return false;
  lua_xmove(task->co, task->loop->L, 1);
  store_task(task->loop->L, task->loop, task->slot);
  task->is_in_frame = false;
  return true;
}

void ed_task_push (lua_State *L, ed_task *task) {
  if (task->is_in_frame) store_from_frame(task);
  lua_rawgeti(L, LUA_REGISTRYINDEX, task->loop->tasks);
  lua_rawgeti(L, -1, task->slot);
  lua_remove(L, -2);
}

/* ---- running ---- */

void ed_task_wake (ed_task *task) {
  if (task->state != ED_TASK_WAITING) return;
  task->state = ED_TASK_READY;
  ed_list_append(&task->loop->ready, &task->ready);
}

/* Is the owner's host waiting for this last child? */
static void leave_owner (ed_task *task, bool stays) {
  ed_scope *owner = task->root.parent;
  ed_list_remove(&task->sibling);
  if (stays) ed_list_append(&owner->children, &task->sibling);
  if (--owner->live == 0 && owner->host != NULL && owner->host->op == NULL
    && owner->host->scope == owner && owner->host->state == ED_TASK_WAITING)
    ed_task_wake(owner->host);
  if (stays) ed_scope_cancel(owner, ED_BY_FAILURE);
}

/* The coroutine is at rest and the result in place. */
void ed_task_end (ed_task *task, ed_task_state outcome) {
  bool is_awaited = false;
  bool stays;
  ed_link *link;
  task->state = (uint8_t)outcome;
  task->loop->ntasks--;
  ed_nest_free(task);
  if (task->has_limits) ed_limits_free(task);
  if (task->has_vars) ed_vars_forget(task->loop->L, task);
  while ((link = ed_list_shift(&task->watchers)) != NULL) {
    ed_watch *watch = ED_OF(link, ed_watch, link);
    if (!watch->is_silent) is_awaited = true;
    watch->ended(watch, task);
  }
  stays = outcome == ED_TASK_FAILED && !is_awaited
    && task->root.parent->kind != ED_SCOPE_TOP;
  if (outcome == ED_TASK_FAILED && !is_awaited && !stays) ed_task_report(task);
  leave_owner(task, stays);
  if (!stays && !task->is_held) ed_task_release(task);
}

/*
** A script may ask for the result of a task that it has seen at any time, so that goes into the
** userdata. What only its owner collects, soon, stays where it is.
*/
static void take_result (ed_task *task, int nres) {
  lua_State *co = task->co;
  if (task->is_in_frame) {
    if (nres < 2) return;
    lua_setiuservalue(co, 1, 1);
    if (task->shape == 0) task->shape = 1;
    return;
  }
  if (nres == 0) return;
  if (task->is_held && !task->is_seen) {
    task->is_on_stack = true;
    if (task->shape == 0) task->shape = 1;
    return;
  }
  ed_task_push(co, task);
  lua_insert(co, -2);
  lua_setiuservalue(co, -2, 1);
  if (task->shape == 0) task->shape = 1;
}

/* A yield that is none of ours: coroutine.yield in a task's own body. Say so in its place. */
static void stray_yield (lua_State *L, lua_Debug *at) {
  (void)at;
  lua_sethook(L, NULL, 0, 0);
  luaL_error(L, "cannot yield from a task's own body (only from a coroutine inside it)");
}

static void after_yield (ed_loop *loop, ed_task *task, int nres) {
  if (nres > 0) lua_pop(task->co, nres);
  if (task->is_killed) {
    task->is_killed = false;
    task->state = ED_TASK_WAITING;
    ed_task_kill(task);
  } else if (task->state == ED_TASK_RUNNING) {
    lua_sethook(task->co, stray_yield, LUA_MASKCOUNT, 1);
    task->state = ED_TASK_READY;
    ed_list_append(&loop->ready, &task->ready);
  }
}

/* What runs then, '<close>' variables and all, may still ask for the task. */
void ed_task_close (ed_task *task) {
  if (task->is_in_frame && !store_from_frame(task)) {
    lua_pop(task->co, 1); /* there is no memory for one place more, so we take this */
    store_from_frame(task);
  }
  if (task->loop->watch != NULL) ed_slice_close(task->loop, task, ed_nest_close);
  else ed_nest_close(task);
}

static int l_store_cancellation (lua_State *L) {
  ed_task *task = lua_touserdata(L, 1);
  ed_task_push(L, task);
  ed_cancel_push(L, task->loop, task->root.cause);
  lua_setiuservalue(L, -2, 1);
  task->shape = 1;
  return 0;
}

/* Cancelled before it ran, it never runs; its error is the cancellation that kept it from it. */
static void end_unstarted (ed_loop *loop, ed_task *task) {
  if (task->is_in_frame) store_from_frame(task);
  lua_settop(task->co, 0);
  if (task->shape == 0) {
    lua_pushcfunction(task->co, l_store_cancellation);
    lua_pushlightuserdata(task->co, task);
    lua_pcall(task->co, 1, 0, 0);
    lua_settop(task->co, 0);
  }
  ed_cancel_forget(task->co, loop, &task->root);
  ed_task_end(task, ED_TASK_CANCELLED);
}

/* The error at the top of the dead coroutine becomes the task's. */
static void keep_error (lua_State *L, ed_task *task) {
  ed_task_push(L, task);
  lua_xmove(task->co, L, 1);
  lua_setiuservalue(L, -2, 1);
  lua_pop(L, 1);
  task->shape = 1;
}

/*
** A coroutine comes back by longjmp, after which every return is predicted wrongly, for some
** 7 ns each: so this is part of its callers.
*/
static inline __attribute__((always_inline)) void resume (ed_loop *loop, ed_task *task) {
  int nres, status, nargs = 0;
  if (!task->has_started) {
    if (task->root.cause != NULL) {
      end_unstarted(loop, task);
      return;
    }
    task->has_started = true;
    nargs = task->nargs;
  }
  task->state = ED_TASK_RUNNING;
  loop->current = task;
  if (++loop->nresumes == 0) loop->nresumes = 1;
  status = loop->watch == NULL ? lua_resume(task->co, loop->L, nargs, &nres)
                               : ed_slice_resume(loop, task, nargs, &nres);
  loop->current = NULL;
  if (status == LUA_YIELD) {
    if (nres > 0 || task->state == ED_TASK_RUNNING || task->is_killed)
      after_yield(loop, task, nres);
    return;
  }
  if (task->op != NULL) ed_op_abandon(task);
  if (status == LUA_OK) {
    take_result(task, nres);
    ed_cancel_forget(task->co, loop, &task->root);
    ed_task_end(task, task->outcome);
  } else { /* not even the base frame could run, or a script has closed the coroutine */
    if (status != LUA_ERRMEM) keep_error(loop->L, task);
    task->state = ED_TASK_WAITING;
    task->outcome = ED_TASK_FAILED;
    ed_task_kill(task);
  }
}

void ed_task_resume (ed_loop *loop, ed_task *task) { resume(loop, task); }

void ed_task_run_ready (ed_loop *loop, int n) {
  while (n-- > 0 && !ed_list_is_empty(&loop->ready)) {
    ed_task *task = ED_OF(loop->ready.next, ed_task, ready);
    ed_list_remove(&task->ready);
    loop->luck = ED_LUCK;
    resume(loop, task);
  }
}

bool ed_task_cancel (ed_task *task, ed_why why) {
  return !ed_task_has_ended(task) && ed_scope_cancel(&task->root, why);
}
