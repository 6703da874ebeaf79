/* SPDX-License-Identifier: MIT */
/*
** Tasks: spawning on recycled coroutines, the base frame, the end of a task, the kill.
**
** A coroutine has a slot for life; a task borrows both. In the coroutine's stack lies the base
** frame with (task, message handler, function, arguments); what the base frame returns, at
** most one value, becomes the user value of the task's userdata. All that can run out of
** memory happens in the base frame, under protection; the scheduler's side allocates nothing.
*/
#include "core/task.h"

#include <string.h>

#include "compat.h"
#include "core/block.h"
#include "core/class.h"
#include "core/coroutine.h"
#include "core/error.h"
#include "core/loop.h"
#include "core/trace.h"
#include "core/var.h"

enum {
  BASE_ARGS = 3,    /* task, handler, function */
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
  lua_settop(co, 0);
  lua_sethook(co, NULL, 0, 0); /* of this task, not of the next one */
  if (task->is_seen) {
    lua_pushboolean(co, 0);
    store_task(co, loop, task->slot);
  } else if (task->shape != 0) forget_result(task);
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
  int n = lua_gettop(L) - (BASE_ARGS - 1);
  if (n <= 1) return;
  lua_createtable(L, n, 1);
  lua_insert(L, BASE_ARGS);
  for (int i = n; i > 0; i--) lua_rawseti(L, BASE_ARGS, i);
  lua_pushinteger(L, n);
  lua_setfield(L, BASE_ARGS, "n");
  task->shape = 2;
}

/* All children have ended: what is the outcome? Leaves its value, if any, at index 3. */
static int conclude (lua_State *L, ed_task *task) {
  ed_scope *root = &task->root;
  bool is_cancel = task->has_failed && is_cancellation(L, task, BASE_ARGS);
  int body = task->has_failed && !is_cancel ? BASE_ARGS : 0;
  task->outcome = ED_TASK_FAILED; /* should memory run out on the way */
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
  return lua_gettop(L) >= BASE_ARGS ? 1 : 0;
}

static int l_conclude (lua_State *L) { return conclude(L, lua_touserdata(L, 1)); }

/* The common end needs no memory; anything else runs protected. */
static int conclude_safely (lua_State *L, ed_task *task) {
  int n;
  if (!task->has_failed && !task->is_joining && lua_gettop(L) <= BASE_ARGS
    && ed_list_is_empty(&task->root.children)) {
    task->outcome = ED_TASK_DONE;
    return lua_gettop(L) - (BASE_ARGS - 1);
  }
  lua_pushcfunction(L, l_conclude);
  lua_insert(L, 1);
  n = lua_gettop(L) - 1;
  lua_pcall(L, n, LUA_MULTRET, 0); /* an error here is the value, outcome "failed" */
  return lua_gettop(L) > 0 ? 1 : 0;
}

static int joined_k (lua_State *L, int status, lua_KContext ctx);

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
  task->root.is_closed = true;
  return conclude_safely(L, task);
}

static int joined_k (lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  return end_of_body(L, (ed_task *)ctx);
}

static int body_k (lua_State *L, int status, lua_KContext ctx) {
  ed_task *task = (ed_task *)ctx;
  task->has_failed = status != LUA_OK && status != LUA_YIELD;
  task->nargs = 0;
  if (task->has_failed && task->root.live > 0 && !is_cancellation(L, task, -1)) {
    task->nargs = (int)ed_scope_failures(&task->root);
    ed_scope_cancel(&task->root, ED_BY_FAILURE);
  }
  return end_of_body(L, task);
}

int ed_task_base (lua_State *L) {
  ed_task *task = lua_touserdata(L, 1);
  int status = lua_pcallk(
    L, lua_gettop(L) - BASE_ARGS, LUA_MULTRET, 2, (lua_KContext)task, body_k);
  return body_k(L, status, (lua_KContext)task);
}

/* ---- spawn ---- */

static void init_task (
  ed_task *task, ed_loop *loop, ed_scope *owner, const ed_spare *spare) {
  memset(task, 0, sizeof *task);
  ed_list_init(&task->ready);
  ed_list_init(&task->watchers);
  task->loop = loop;
  task->co = task->leaf = spare->co;
  task->slot = spare->slot;
  task->id = ++loop->next_id;
  ed_scope_push(&task->root, owner, task, ED_SCOPE_TASK);
  task->scope = &task->root;
  ed_list_append(&owner->children, &task->sibling);
  owner->live++;
  ed_list_append(&loop->ready, &task->ready);
  loop->ntasks++;
}

/*
** The task for 'spare', below the function and its arguments: a new userdata if a script will
** see it or there is none (this may raise), else the one that waits in the slot.
*/
static ed_task *box_task (lua_State *L, ed_loop *loop, ed_spare *spare, int nargs) {
  ed_task *task = ed_class_push_raw(L, loop, ED_CLASS_TASK, sizeof *task, 1);
  lua_rawgeti(L, LUA_REGISTRYINDEX, loop->tasks);
  lua_pushvalue(L, -2);
  lua_rawseti(L, -2, spare->slot);
  lua_pop(L, 1);
  lua_insert(L, -nargs - 2);
  spare->task = NULL;
  return task;
}

static void check_owner (lua_State *L, ed_loop *loop, const ed_scope *owner) {
  if (owner->is_closed || loop->is_closing
    || (owner->host != NULL && owner->host->is_killed))
    luaL_error(L, "cannot spawn: the block has ended");
}

ed_task *ed_task_spawn (
  lua_State *L, ed_loop *loop, ed_scope *owner, int nargs, bool is_seen) {
  ed_task *task;
  ed_spare *spare;
  bool has_vars;
  check_owner(L, loop, owner);
  if (loop->nspare == 0) add_spare(L, loop);
  spare = &loop->spare[loop->nspare - 1];
  if (!lua_checkstack(spare->co, nargs + BASE_ARGS + 2))
    luaL_error(L, "too many arguments");
  task = spare->task;
  if (is_seen || task == NULL) task = box_task(L, loop, spare, nargs);
  has_vars = ed_vars_inherit(L, loop, spare->co);
  loop->nspare--;
  init_task(task, loop, owner, spare);
  task->is_seen = is_seen;
  task->has_vars = has_vars;
  task->nargs = nargs + BASE_ARGS;
  lua_pushcfunction(task->co, ed_task_base);
  lua_pushlightuserdata(task->co, task);
  lua_pushcfunction(task->co, ed_trace_handler);
  lua_xmove(L, task->co, nargs + 1);
  if (!is_seen && spare->task == NULL) lua_pop(L, 1);
  return task;
}

void ed_task_push (lua_State *L, ed_task *task) {
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
static void end_task (ed_task *task, ed_task_state outcome) {
  bool is_awaited = false;
  bool stays;
  ed_link *link;
  task->state = (uint8_t)outcome;
  task->loop->ntasks--;
  ed_nest_free(task);
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
  lua_settop(task->co, 0);
  if (task->shape == 0) {
    lua_pushcfunction(task->co, l_store_cancellation);
    lua_pushlightuserdata(task->co, task);
    lua_pcall(task->co, 1, 0, 0);
    lua_settop(task->co, 0);
  }
  ed_cancel_forget(task->co, loop, &task->root);
  end_task(task, ED_TASK_CANCELLED);
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
  status = lua_resume(task->co, loop->L, nargs, &nres);
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
    end_task(task, task->outcome);
  } else { /* not even the base frame could run */
    task->is_killed = true;
    task->barred++;
    ed_nest_close(task);
    lua_closethread(task->co, loop->L);
    end_task(task, ED_TASK_FAILED);
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

/* ---- kill ---- */

/* From here on the task waits for nothing and cannot be woken; what it was granted goes back. */
static void begin_kill (ed_task *task) {
  task->is_killed = true;
  task->barred++;
  task->state = ED_TASK_RUNNING; /* its children's ends must not wake it */
  ed_list_remove(&task->ready);
  if (task->op == NULL) return;
  if (task->op->done && task->op->type->give_back != NULL)
    task->op->type->give_back(task->leaf, task->op);
  ed_op_abandon(task);
}

/* The newest first, so that what several had in hand goes back in its old order. */
static ed_task *live_child_of (ed_scope *scope) {
  for (ed_link *at = scope->children.prev; at != &scope->children; at = at->prev) {
    ed_task *child = ED_OF(at, ed_task, sibling);
    if (!ed_task_has_ended(child) && !child->is_killed) return child;
  }
  return NULL;
}

static ed_task *live_child (ed_task *task) {
  for (ed_scope *at = task->scope;; at = at->parent) {
    ed_task *child = at->live > 0 ? live_child_of(at) : NULL;
    if (child != NULL || at == &task->root) return child;
  }
}

/* Blocks and failed children of a task that has no live ones. */
static void discard_scopes (ed_task *task) {
  ed_link *at;
  while (task->scope != &task->root)
    ed_block_discard(task->loop->L, (ed_block *)task->scope);
  while ((at = ed_list_shift(&task->root.children)) != NULL)
    ed_task_release(ED_OF(at, ed_task, sibling));
  task->root.is_closed = true;
}

static void finish_kill (ed_task *task) {
  ed_loop *loop = task->loop;
  ed_task *before = loop->current;
  discard_scopes(task);
  loop->current = task;
  ed_nest_close(task);
  lua_closethread(task->co, loop->L);
  loop->current = before;
  if (task->op != NULL) ed_op_abandon(task);
  ed_cancel_forget(loop->L, loop, &task->root);
  end_task(task, ED_TASK_CANCELLED);
}

/* Children before parents, without recursion: a chain of tasks may be as long as memory. */
void ed_task_kill (ed_task *task) {
  ed_task *at = task;
  if (ed_task_has_ended(task) || task->is_killed) return;
  begin_kill(task);
  for (;;) {
    ed_task *child = live_child(at), *owner;
    if (child != NULL) {
      begin_kill(at = child);
      continue;
    }
    owner = at->root.parent->host;
    finish_kill(at);
    if (at == task) return;
    at = owner;
  }
}

int ed_task_give_up (lua_State *L, ed_task *task) {
  task->is_killed = true;
  return lua_yield(L, 0);
}

bool ed_task_cancel (ed_task *task, ed_why why) {
  return !ed_task_has_ended(task) && ed_scope_cancel(&task->root, why);
}
