/* SPDX-License-Identifier: MIT */
/*
** Tasks: spawning on recycled coroutines, the base frame, the end of a task.
**
** A task and its coroutine are together for life, in a slot. In the coroutine's stack lies the base
** frame with (spawning function, message handler, task, function, arguments). The task is there as
** the reference that a script got from 'spawn', which so lives as long as the task without being
** stored anywhere else; or as an address, where there was no reference yet. What the base frame
** returns, at most one value (above the reference), becomes the user value of the reference, or
** stays on the stack for whoever collects it. All that can run out of memory happens in the base
** frame or, of tasks that never began or are killed, in calls of its own, under protection.
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
#include "core/place.h"
#include "core/report.h"
#include "core/site.h"
#include "core/slice.h"
#include "core/task_ref.h"
#include "core/trace.h"
#include "core/var.h"

enum {
  SPAWNER = ED_FRAME_SPAWNER, /* of the base frame */
  HANDLER = 2,
  TASK = ED_FRAME_TASK,
  FUNCTION = 4,
  ROOM = LUA_MINSTACK - FUNCTION - 2, /* arguments for which any coroutine has a place */
  MANY_SLOTS = 8192 /* after a run with so many at once the anchor tables are made anew */
};

/* ---- spare ones ---- */

static void make_spares (lua_State *L, ed_loop *loop) {
  if (loop->spare != NULL) return;
  loop->spare = ed_mem_new(&loop->mem, ED_SPARES * sizeof *loop->spare);
  if (loop->spare == NULL) luaL_error(L, "not enough memory");
}

/* What stays as it is from one life to the next. */
static ed_task *init_once (ed_task *task, ed_loop *loop, lua_State *co, int slot) {
  memset(task, 0, sizeof *task);
  task->co = co;
  task->loop = loop;
  task->slot = slot;
  task->is_spare = true;
  ed_list_init(&task->ready);
  ed_list_init(&task->sibling);
  ed_list_init(&task->watchers);
  return task;
}

/* A task with a fresh coroutine, in a slot of their own, put among the spare ones. */
static void add_spare (lua_State *L, ed_loop *loop) {
  lua_State *co;
  ed_task *task;
  int slot;
  make_spares(L, loop);
  lua_rawgeti(L, LUA_REGISTRYINDEX, loop->anchors);
  co = lua_newthread(L);
  slot = luaL_ref(L, -2);
  if (slot > loop->highest_slot) loop->highest_slot = slot;
  task = ed_mem_new(&loop->mem, sizeof *task);
  if (task == NULL) {
    luaL_unref(L, -1, slot);
    luaL_error(L, "not enough memory");
  }
  lua_pop(L, 1);
  loop->spare[loop->nspare++] = init_once(task, loop, co, slot);
}

static void free_task (ed_task *task) {
  ed_mem_free(&task->loop->mem, task, sizeof *task);
}

/* With its coroutine. The root may be among those that the end of a run kills. */
static void destroy (ed_task *task) {
  lua_State *L = task->loop->L;
  if (task->loop->root == task) task->loop->root = NULL;
  lua_rawgeti(L, LUA_REGISTRYINDEX, task->loop->anchors);
  luaL_unref(L, -1, task->slot);
  lua_pop(L, 1);
  if (task->has_place) lua_pushnil(L), ed_ref_store(L, task);
  free_task(task);
}

void ed_task_trim (ed_loop *loop, uint32_t keep) {
  while (loop->nspare > keep) destroy(loop->spare[--loop->nspare]);
}

void ed_task_free_spares (ed_loop *loop) {
  while (loop->nspare > 0) free_task(loop->spare[--loop->nspare]);
  ed_mem_free(&loop->mem, loop->spare, ED_SPARES * sizeof *loop->spare);
  loop->spare = NULL;
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
  renew_table(L, &loop->refs);
  loop->highest_slot = 0;
}

/* The hook is of this task, not of the next one. */
static void keep_spare (ed_loop *loop, ed_task *task) {
  if (lua_gethookmask(task->co) != 0) lua_sethook(task->co, NULL, 0, 0);
  lua_settop(task->co, 0);
  loop->spare[loop->nspare++] = task;
}

void ed_task_release (ed_task *task) {
  ed_loop *loop = task->loop;
  if (task->is_spare || task->is_ending) return;
  ed_ref_leave(task);
  task->is_spare = true;
  if (task->is_killed || loop->nspare >= ED_SPARES) destroy(task);
  else keep_spare(loop, task);
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

static ed_task *task_of_frame (lua_State *L) {
  void *at = lua_touserdata(L, TASK);
  return lua_islightuserdata(L, TASK) ? at : ed_ref_task(at);
}

static int l_conclude (lua_State *L) { return conclude(L, task_of_frame(L)); }

/* The common end needs no memory; anything else runs protected. Returns as the base frame does. */
static int conclude_safely (lua_State *L, ed_task *task) {
  int n = lua_gettop(L);
  if (!task->has_failed && !task->is_joining && n <= FUNCTION
    && ed_list_is_empty(&task->root.children)) {
    task->outcome = ED_TASK_DONE;
    return n - TASK + task->is_in_frame;
  }
  task->outcome =
    ED_TASK_FAILED; /* should memory run out on the way, or there be none to begin */
  lua_checkstack(L, FUNCTION); /* the pcall needs more, and finds that there is none */
  for (int i = 1; i <= TASK; i++) lua_pushvalue(L, i); /* where they are looked for */
  lua_pushcfunction(L, l_conclude);
  lua_rotate(L, 1, FUNCTION);
  lua_pcall(L, n, LUA_MULTRET, 0); /* an error here is the value, outcome "failed" */
  ed_scope_release_children(&task->root); /* what it had no memory to tell of */
  return (lua_gettop(L) > TASK ? 1 : 0) + task->is_in_frame; /* that may have changed */
}

static int joined_k (lua_State *L, int status, lua_KContext ctx);

static int ending_k (lua_State *L, int status, lua_KContext ctx);

/* A group that no <close> variable held, with members in it. */
static void warn_unclosed (lua_State *L, ed_task *task) {
  if (!lua_checkstack(L, 8)) return; /* perhaps above very many results */
  ed_report_warning(L, task, "closed", "unclosed",
    "a group was still open when its task ended, and its members are cancelled: "
    "write local group <close> = eddy.group()");
}

static int end_of_body (lua_State *L, ed_task *task) {
  while (task->scope != &task->root) { /* groups that no <close> variable held */
    ed_scope *open = task->scope;
    if (open->live > 0) {
      if (ed_scope_cancel(open, ED_BY_END)) warn_unclosed(L, task);
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
  ed_task *task = task_of_frame(L);
  int status = lua_pcallk(
    L, task->nargs - FUNCTION, LUA_MULTRET, HANDLER, (lua_KContext)task, body_k);
  return body_k(L, status, (lua_KContext)task);
}

/* ---- spawn ---- */

/* The rest is as init_once has left it, or the end of the life before. */
static void begin_life (ed_task *task, ed_scope *owner) {
  ed_loop *loop = task->loop;
  task->op = NULL;
  task->leaf = task->co;
  task->nest = NULL;
  task->ref = NULL;
  task->scope = &task->root;
  task->id = ++loop->next_id;
  task->filed = task->since = 0;
  task->line = task->barred = task->swallowed = 0;
  task->state = ED_TASK_READY;
  task->atomic = task->shape = task->outcome = 0;
  task->has_started = task->is_spare = task->is_in_frame = task->has_vars = false;
  task->is_ending = task->has_ending = task->is_joining = task->is_on_stack =
    task->is_killed = false;
  task->has_yielded = task->is_held = task->has_failed = task->has_limits = false;
  task->is_preempted = false;
  task->round = 0;
  ed_scope_push(&task->root, owner, task, ED_SCOPE_TASK);
  ed_list_append(&owner->children, &task->sibling);
  owner->live++;
  ed_list_append(&loop->ready, &task->ready);
  loop->ntasks++;
}

static void check_owner (lua_State *L, ed_loop *loop, const ed_scope *owner) {
  if (owner->is_closed || loop->is_closing
    || (owner->host != NULL && owner->host->is_killed))
    ed_place_error(L, loop, "cannot spawn: the block has ended");
}

/*
** The spare task that is next, whose coroutine has a place for so many arguments. It is nobody's until
** it is taken off, so nothing may run finalizers until then: these may spawn tasks too.
*/
static inline ed_task *find_spare (lua_State *L, ed_loop *loop, int nargs) {
  ed_task *task;
  if (loop->nspare == 0) add_spare(L, loop);
  task = loop->spare[loop->nspare - 1];
  if (nargs > ROOM && !lua_checkstack(task->co, nargs + FUNCTION + 2))
    luaL_error(L, "too many arguments");
  return task;
}

/* The reference, which lies below the function, is in the frame if it is nowhere else. */
static void push_known (lua_State *L, ed_task *task, int nargs) {
  task->line = ed_site_push_caller(L);
  lua_pushcfunction(L, ed_trace_handler);
  if (task->is_in_frame) lua_pushvalue(L, -nargs - 4);
  else lua_pushlightuserdata(L, task);
  lua_xmove(L, task->co, FUNCTION - 1);
}

static void push_unknown (lua_State *co, ed_task *task) {
  lua_pushnil(co);
  lua_pushcfunction(co, ed_trace_handler);
  lua_pushlightuserdata(co, task);
}

/* The function and its arguments, on top of L, go into the base frame of 'task'. */
static void fill_frame (lua_State *L, ed_task *task, int nargs) {
  task->nargs = nargs + FUNCTION;
  lua_pushcfunction(task->co, ed_task_base);
  if (task->ref != NULL) push_known(L, task, nargs);
  else push_unknown(task->co, task);
  lua_xmove(L, task->co, nargs + 1);
}

/*
** The library's own functions can close a coroutine under us, and its base frame with that: where ours
** are not in their place, references are stored.
*/
static ed_task *find_with_place (lua_State *L, ed_loop *loop, int nargs) {
  ed_task *task;
  while (!(task = find_spare(L, loop, nargs))->has_place && !loop->is_installed)
    ed_ref_make_place(L, task);
  return task;
}

/* The reference lies below the function. */
static void give_ref (lua_State *L, ed_task *task, ed_task_ref *ref, int nargs) {
  ed_ref_set(ref, task);
  task->is_in_frame = task->loop->is_installed;
  if (task->is_in_frame) return;
  lua_pushvalue(L, -nargs - 2);
  ed_ref_store(L, task);
}

ed_task *ed_task_spawn (
  lua_State *L, ed_loop *loop, ed_scope *owner, int nargs, bool has_ref) {
  ed_task_ref *ref = NULL;
  ed_task *task;
  bool has_vars;
  check_owner(L, loop, owner);
  if (has_ref) ref = ed_ref_push_new(L, loop), lua_insert(L, -nargs - 2);
  has_vars = ed_vars_push(L, loop);
  task = has_ref ? find_with_place(L, loop, nargs) : find_spare(L, loop, nargs);
  if (has_vars) ed_vars_give(L, loop, task->co);
  loop->nspare--;
  begin_life(task, owner);
  task->has_vars = has_vars;
  if (has_ref) give_ref(L, task, ref, nargs);
  fill_frame(L, task, nargs);
  return task;
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
  task->is_ending = true;
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
  if (outcome == ED_TASK_FAILED && !is_awaited && !stays) ed_report_failure(task);
  leave_owner(task, stays);
  task->is_ending = false;
  if (!stays && !task->is_held) ed_task_release(task);
}

/*
** A script may ask for the result of a task that it holds at any time, so that goes into the
** reference. What only its owner collects, if anybody, stays where it is.
*/
static void take_result (ed_task *task, int nres) {
  lua_State *co = task->co;
  if (nres < 1 + task->is_in_frame) return;
  if (task->shape == 0) task->shape = 1;
  if (task->is_in_frame) lua_setiuservalue(co, 1, 1);
  else if (task->ref == NULL) task->is_on_stack = true;
  else {
    ed_task_find(co, task);
    lua_insert(co, -2);
    lua_setiuservalue(co, -2, 1);
  }
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
  ed_ref_rescue(task);
  if (task->loop->watch != NULL) ed_slice_close(task->loop, task, ed_nest_close);
  else ed_nest_close(task);
}

/* (task) --> its cancellation */
static int l_cancellation (lua_State *L) {
  ed_task *task = lua_touserdata(L, 1);
  ed_cancel_push(L, task->loop, task->root.cause);
  return 1;
}

/* Cancelled before it ran, it never runs; its error is the cancellation that kept it from it. */
static void end_unstarted (ed_loop *loop, ed_task *task) {
  lua_State *co = task->co;
  ed_ref_rescue(task);
  lua_settop(co, 0);
  lua_pushcfunction(co, l_cancellation);
  lua_pushlightuserdata(co, task);
  if (task->shape == 0 && lua_pcall(co, 1, 1, 0) == LUA_OK) take_result(task, 1);
  ed_cancel_forget(co, loop, &task->root);
  ed_task_end(task, ED_TASK_CANCELLED);
}

/* (task, error) */
static int l_keep_error (lua_State *L) {
  ed_task *task = lua_touserdata(L, 1);
  ed_task_push(L, task);
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, -2, 1);
  task->shape = 1;
  return 0;
}

/* The error at the top of the dead coroutine, which is about to go, becomes the task's. */
static void keep_error (lua_State *L, ed_task *task) {
  lua_pushcfunction(L, l_keep_error);
  lua_pushlightuserdata(L, task);
  lua_xmove(task->co, L, 1);
  if (lua_pcall(L, 2, 0, 0) != LUA_OK) lua_pop(L, 1);
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
