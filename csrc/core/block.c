/* SPDX-License-Identifier: MIT */
/*
** Blocks in function form (group, timeout, within, shield) and groups in a <close> variable.
** The Lua stack of a block's C function is: message handler, [group,] function, arguments. What
** is left behind the body's error or results, which lie from 'first_result' on, is what the
** block returns.
*/
#include "core/block.h"

#include <math.h>
#include <string.h>

#include "core/class.h"
#include "core/coroutine.h"
#include "core/error.h"
#include "core/trace.h"

/* ---- opening and closing ---- */

ed_block *ed_block_open (
  lua_State *L, ed_task *task, ed_block_verb verb, ed_scope_kind kind) {
  ed_loop *loop = task->loop;
  ed_block *block = ed_mem_new(&loop->mem, sizeof *block);
  if (block == NULL) luaL_error(L, "not enough memory");
  memset(block, 0, sizeof *block);
  block->verb = (uint8_t)verb;
  block->due = UINT64_MAX;
  block->timer.kind = ED_TIMER_SCOPE;
  ed_scope_push(&block->scope, task->scope, task, kind);
  return block;
}

static void set_timer (ed_loop *loop, ed_block *block, uint64_t due) {
  if (block->has_promise) loop->timers.promised--;
  block->has_promise = false;
  ed_heap_push(&loop->timers, &block->timer, due);
}

/* There is a place for it in the heap. */
static void start_timer (ed_loop *loop, ed_block *block, uint64_t due) {
  block->due = due;
  if (due != UINT64_MAX) set_timer(loop, block, due);
}

void ed_block_arm (lua_State *L, ed_block *block, uint64_t due) {
  ed_loop *loop = block->scope.host->loop;
  if (due != UINT64_MAX && !ed_heap_reserve(&loop->timers, &loop->mem))
    luaL_error(L, "not enough memory");
  start_timer(loop, block, due);
}

static void release_block (lua_State *L, ed_loop *loop, ed_block *block) {
  ed_heap_remove(&loop->timers, &block->timer);
  if (block->has_promise) loop->timers.promised--;
  if (block->group != NULL) block->group->block = NULL;
  ed_cancel_forget(L, loop, &block->scope);
  ed_mem_free(&loop->mem, block, sizeof *block);
}

void ed_block_close (lua_State *L, ed_block *block) {
  ed_loop *loop = block->scope.host->loop;
  if (block->verb == ED_BLOCK_SHIELD) block->scope.host->since = 0;
  ed_scope_pop(&block->scope);
  release_block(L, loop, block);
}

void ed_block_discard (lua_State *L, ed_block *block) {
  ed_loop *loop = block->scope.host->loop;
  ed_scope_release_children(&block->scope);
  ed_scope_pop(&block->scope);
  release_block(L, loop, block);
}

const char *ed_block_name (const ed_scope *scope) {
  static const char *const names[] = {"group", "timeout", "within", "shield", "gather"};
  return names[ED_OF(scope, ed_block, scope)->verb];
}

/* ---- time ---- */

void ed_block_fire (ed_block *block) {
  if (block->verb == ED_BLOCK_SHIELD) ed_scope_expose(&block->scope);
  else ed_scope_cancel(&block->scope, ED_BY_TIMEOUT);
}

void ed_block_besieged (ed_scope *scope) {
  ed_block *shield = ED_OF(scope, ed_block, scope);
  ed_loop *loop = scope->host->loop;
  if (!shield->has_promise || shield->timer.place != 0) return;
  set_timer(loop, shield, ed_after(ed_loop_now(loop), shield->grace));
}

uint64_t ed_block_deadline (const ed_scope *from) {
  uint64_t due = UINT64_MAX;
  for (const ed_scope *at = from; at != NULL; at = at->parent) {
    if (at->kind != ED_SCOPE_TASK && at->kind != ED_SCOPE_TOP) {
      const ed_block *block = (const ed_block *)at;
      if (block->due < due) due = block->due;
    }
    if (at->kind == ED_SCOPE_SHIELD) break;
  }
  return due;
}

/* ---- the end of a block ---- */

/* The timeout that a block raises; what its body left as an error may refer to it. */
static void push_timeout (lua_State *L) {
  ed_error_push(L, "timeout", NULL, "timeout", NULL, "the block did not end in time");
}

/* An error of clean-up that replaces a timeout keeps it as its cause. */
static void add_cause (lua_State *L, const ed_block *block) {
  if (block->scope.why != ED_BY_TIMEOUT || !ed_error_is(L, -1)) return;
  if (lua_getfield(L, -1, "cause") == LUA_TNIL) {
    push_timeout(L);
    lua_setfield(L, -3, "cause");
  }
  lua_pop(L, 1);
}

/* (block [, the body's error]) --> what is to be raised. May run out of memory on the way. */
static int l_decide (lua_State *L) {
  ed_block *block = lua_touserdata(L, 1);
  ed_scope_push_failure(L, &block->scope, lua_gettop(L) > 1 ? 2 : 0, block->order);
  add_cause(L, block);
  return 1;
}

/*
** A child has failed, or the body with the error at 'body' (else 0): close the block, whatever
** happens, and raise what it ends with. Results that lie on the stack do not count any more.
*/
static int leave_failing (lua_State *L, ed_block *block, int body, int first) {
  if (body == 0) lua_settop(L, first - 1);
  lua_pushcfunction(L, l_decide);
  lua_pushlightuserdata(L, block);
  if (body != 0) lua_pushvalue(L, body);
  lua_pcall(L, body != 0 ? 2 : 1, 1, 0); /* an error here is the value */
  if (block->verb == ED_BLOCK_SHIELD) block->scope.host->since = 0;
  ed_block_discard(L, block);
  return lua_error(L);
}

/* A cancellation of 'owner', further out, goes through the block. */
static int leave_cancelled (lua_State *L, ed_block *block, ed_scope *owner) {
  ed_loop *loop = block->scope.host->loop;
  bool has_failed = block->has_failed;
  ed_block_close(L, block);
  if (!has_failed) ed_cancel_push(L, loop, owner);
  return lua_error(L);
}

/* The block's own cancellation ends here. */
static int absorb (lua_State *L, ed_block *block, int first) {
  ed_why why = block->scope.why;
  ed_block_verb verb = block->verb;
  bool has_failed = block->has_failed;
  ed_block_close(L, block);
  if (why == ED_BY_TIMEOUT && verb == ED_BLOCK_WITHIN) {
    lua_pushboolean(L, 0);
    return 1;
  }
  if (why == ED_BY_TIMEOUT) {
    push_timeout(L);
    return lua_error(L);
  }
  return has_failed ? 0 : lua_gettop(L) - first + 1;
}

/*
** All children have ended; the body's results or its error lie on the stack. A finalizer that runs
** meanwhile cannot spawn into the block any more.
*/
static int leave (lua_State *L, ed_block *block, int first) {
  ed_scope *scope = &block->scope;
  ed_loop *loop = scope->host->loop;
  int body = lua_gettop(L);
  ed_scope *owner;
  scope->is_closed = true;
  if (!block->has_failed && !block->has_joined && ed_list_is_empty(&scope->children)) {
    ed_block_close(L, block);
    return body - first + 1;
  }
  lua_checkstack(L, 8); /* above perhaps very many results */
  owner = block->has_failed ? ed_cancel_owner(L, loop, scope, body) : NULL;
  if (!ed_list_is_empty(&scope->children) || (block->has_failed && owner == NULL))
    return leave_failing(L, block, block->has_failed && !owner ? body : 0, first);
  if (!block->has_failed && block->has_joined) owner = scope->cause;
  if (owner == scope) return absorb(L, block, first);
  if (owner != NULL) return leave_cancelled(L, block, owner);
  ed_block_close(L, block);
  return body - first + 1;
}

enum { HANDLER = 1 };

/* The message handler, which is an upvalue of those that take seconds, in place of these. */
static void put_handler (lua_State *L) { lua_copy(L, lua_upvalueindex(2), HANDLER); }

/* 'within' puts its true in the handler's place, which is not needed any more. */
static int first_result (lua_State *L, const ed_block *block) {
  if (block->verb == ED_BLOCK_GROUP) return HANDLER + 2;
  if (block->verb != ED_BLOCK_WITHIN) return HANDLER + 1;
  lua_checkstack(L, 1);
  lua_pushboolean(L, 1);
  lua_replace(L, HANDLER);
  return HANDLER;
}

/*
** Wait for all children, first for those of groups that the body left open inside: these are
** cancelled, and their end is nobody's failure.
*/
static int joined_k (lua_State *L, int status, lua_KContext ctx) {
  ed_block *block = (ed_block *)ctx;
  ed_scope *scope = &block->scope;
  ed_task *host = scope->host;
  (void)status;
  while (host->scope != scope) {
    ed_scope_cancel(host->scope, ED_BY_END);
    if (host->scope->live > 0)
      return ed_task_join_children(L, host->scope, ctx, joined_k);
    ed_block_discard(L, (ed_block *)host->scope);
  }
  if (scope->live == 0) return leave(L, block, first_result(L, block));
  block->has_joined = true;
  return ed_task_join_children(L, scope, ctx, joined_k);
}

static int body_k (lua_State *L, int status, lua_KContext ctx) {
  ed_block *block = (ed_block *)ctx;
  ed_scope *scope = &block->scope;
  block->has_failed = status != LUA_OK && status != LUA_YIELD;
  block->order = block->has_failed ? ed_scope_failures(scope) : 0;
  if (block->has_failed && scope->live > 0
    && ed_cancel_owner(L, scope->host->loop, scope, -1) == NULL)
    ed_scope_cancel(scope, ED_BY_FAILURE);
  return joined_k(L, LUA_OK, ctx);
}

/* Run the function below 'nargs' arguments in 'block'. */
static int run_body (lua_State *L, ed_block *block, int nargs) {
  int status = lua_pcallk(L, nargs, LUA_MULTRET, HANDLER, (lua_KContext)block, body_k);
  return body_k(L, status, (lua_KContext)block);
}

/* ---- Lua: timeout, within, shield, group ---- */

static uint64_t check_duration (lua_State *L, int arg) {
  return ed_opt_seconds(L, arg, UINT64_MAX);
}

static int run_timed (lua_State *L, ed_block_verb verb) {
  uint64_t ns = check_duration(L, 1);
  ed_loop *loop = ed_loop_of(L);
  ed_task *task;
  ed_block *block;
  ed_check_callable(L, 2);
  task = ed_task_current_in(L, loop);
  if (ns != UINT64_MAX && !ed_heap_reserve(&loop->timers, &loop->mem))
    return luaL_error(L, "not enough memory"); /* before the block is there */
  block = ed_block_open(L, task, verb, ED_SCOPE_BLOCK);
  if (ns != UINT64_MAX) start_timer(loop, block, ed_after(ed_loop_now(loop), ns));
  if (ns == 0) ed_scope_cancel(&block->scope, ED_BY_TIMEOUT);
  put_handler(L);
  return run_body(L, block, lua_gettop(L) - 2);
}

/*
** eddy.timeout(seconds, fn, ...) --> results of fn
** Awaits. Past 'seconds' (nil or math.huge: never) the block is cancelled; when its clean-up
** has ended an error of kind "timeout" is raised.
*/
static int l_timeout (lua_State *L) { return run_timed(L, ED_BLOCK_TIMEOUT); }

/*
** eddy.within(seconds, fn, ...) --> true, results of fn | false
** Awaits. As timeout, but says false instead of raising.
*/
static int l_within (lua_State *L) { return run_timed(L, ED_BLOCK_WITHIN); }

/*
** eddy.shield(seconds, fn, ...) --> results of fn
** Awaits. Outer cancellations and deadlines wait, for at most 'seconds' from the first one
** (math.huge: until the block ends).
*/
static int l_shield (lua_State *L) {
  uint64_t ns = ed_check_seconds(L, 1);
  ed_task *task;
  ed_block *block;
  ed_check_callable(L, 2);
  task = ed_task_current_in(L, ed_loop_of(L));
  if (ns != UINT64_MAX && !ed_heap_reserve(&task->loop->timers, &task->loop->mem))
    return luaL_error(L, "not enough memory");
  block = ed_block_open(L, task, ED_BLOCK_SHIELD, ED_SCOPE_SHIELD);
  block->grace = ns;
  block->has_promise = ns != UINT64_MAX;
  if (block->has_promise) task->loop->timers.promised++;
  if (ed_scope_is_besieged(&block->scope)) {
    if (ns == 0) ed_block_fire(block); /* over at entry, as a deadline that is past */
    else ed_block_besieged(&block->scope);
  }
  put_handler(L);
  return run_body(L, block, lua_gettop(L) - 2);
}

static ed_group *push_group (lua_State *L, ed_task *task, ed_scope_kind kind) {
  ed_group *group = ed_class_push(L, task->loop, ED_CLASS_GROUP, sizeof *group, 0);
  group->block = ed_block_open(L, task, ED_BLOCK_GROUP, kind);
  group->block->group = group;
  return group;
}

/*
** eddy.group(fn) --> results of fn;  local g <close> = eddy.group()
** Awaits (at the block's end): the block ends when all tasks spawned into it have. The first
** failure cancels the rest and is raised then.
*/
static int l_group (lua_State *L) {
  ed_group *group;
  if (lua_isnoneornil(L, 1)) {
    push_group(L, ed_task_current_in(L, ed_loop_of(L)), ED_SCOPE_GROUP);
    return 1;
  }
  ed_check_callable(L, 1);
  lua_settop(L, 1);
  group = push_group(L, ed_task_current_in(L, ed_loop_of(L)), ED_SCOPE_BLOCK);
  lua_insert(L, 1);
  lua_pushcfunction(L, ed_trace_handler);
  lua_insert(L, HANDLER);
  lua_pushvalue(L, HANDLER + 1); /* handler, group, function, group */
  return run_body(L, group->block, 1);
}

static ed_block *check_open (lua_State *L) {
  ed_group *group = ed_class_check(L, ed_loop_of(L), 1, ED_CLASS_GROUP);
  if (group->block == NULL) luaL_error(L, "the group has ended");
  return group->block;
}

/*
** group:spawn(fn, ...) --> Task
** Starts at the spawner's next wait. Raises when the group has ended.
*/
static int l_group_spawn (lua_State *L) {
  ed_block *block = check_open(L);
  ed_loop *loop = ed_loop_of(L);
  ed_check_callable(L, 2);
  ed_task_spawn(L, loop, &block->scope, lua_gettop(L) - 2, true);
  return 1;
}

/*
** group:spawn_with({name=}, fn, ...) --> Task
*/
static int l_group_spawn_with (lua_State *L) {
  ed_block *block = check_open(L);
  return ed_task_spawn_with(L, ed_loop_of(L), &block->scope, 2);
}

/*
** group:cancel([reason])
** Cancels the members and, in the function form, the body; the block then ends normally. A group
** that has ended has nothing to cancel.
*/
static int l_group_cancel (lua_State *L) {
  ed_group *group = ed_class_check(L, ed_loop_of(L), 1, ED_CLASS_GROUP);
  ed_block *block = group->block;
  if (block == NULL) return 0;
  lua_settop(L, 2);
  if (block->scope.why == ED_NOT_CANCELLED) {
    ed_cancel_site(L, ed_loop_of(L), &block->scope);
    if (!lua_isnil(L, 2)) ed_cancel_reason(L, ed_loop_of(L), &block->scope);
  }
  ed_scope_cancel(&block->scope, ED_BY_USER);
  return 0;
}

/* ---- the <close> form ---- */

static int close_joined_k (lua_State *L, int status, lua_KContext ctx) {
  ed_block *block = (ed_block *)ctx;
  ed_scope *scope = &block->scope;
  ed_loop *loop = scope->host->loop;
  ed_scope *owner;
  (void)status;
  if (scope->live > 0) return ed_task_join_children(L, scope, ctx, close_joined_k);
  scope->is_closed = true;
  owner = block->has_failed ? ed_cancel_owner(L, loop, scope, 2) : NULL;
  if (!ed_list_is_empty(&scope->children) || (block->has_failed && owner == NULL))
    return leave_failing(L, block, block->has_failed && !owner ? 2 : 0, 3);
  owner = block->has_joined && !block->has_failed ? scope->cause : NULL;
  if (owner != NULL && owner != scope) return leave_cancelled(L, block, owner);
  ed_block_close(L, block);
  return 0;
}

/*
** group.__close(group, err)
** Awaits the members; a failure of theirs is raised, in the place of a cancellation of ours.
*/
static int l_group_close (lua_State *L) {
  ed_group *group = ed_class_check(L, ed_loop_of(L), 1, ED_CLASS_GROUP);
  ed_block *block = group->block;
  ed_task *task = ed_loop_of(L)->current;
  lua_settop(L, 2);
  if (block == NULL || task == NULL || task->is_killed) return 0;
  ed_task_current_in(
    L, task->loop); /* raises where no block can be open: in a finalizer, say */
  if (task->scope != &block->scope)
    return luaL_error(
      L, "group closed out of order: another block is still open inside it");
  if (ed_nest_is_outside(task))
    return luaL_error(L, "group closed in another coroutine than it was opened in");
  block->has_failed = !lua_isnil(L, 2);
  block->order = ed_scope_failures(&block->scope);
  if (block->has_failed && ed_cancel_owner(L, task->loop, &block->scope, 2) == NULL)
    ed_scope_cancel(&block->scope, ED_BY_FAILURE);
  block->has_joined = block->scope.live > 0;
  return close_joined_k(L, LUA_OK, (lua_KContext)block);
}

/* The box goes first when a script drops a group without closing it; the block stays. */
static int l_group_gc (lua_State *L) {
  ed_group *group = lua_touserdata(L, 1);
  if (group->block != NULL) group->block->group = NULL;
  group->block = NULL;
  return 0;
}

static int l_group_tostring (lua_State *L) {
  ed_group *group = ed_class_check(L, ed_loop_of(L), 1, ED_CLASS_GROUP);
  if (group->block == NULL) lua_pushliteral(L, "eddy.group (ended)");
  else lua_pushfstring(L, "eddy.group (%d alive)", (int)group->block->scope.live);
  return 1;
}

/*
** eddy.deadline() --> time on eddy.now's clock, or math.huge
*/
static int l_deadline (lua_State *L) {
  ed_task *task = ed_loop_of(L)->current;
  uint64_t due = task != NULL ? ed_block_deadline(task->scope) : UINT64_MAX;
  lua_pushnumber(L, due == UINT64_MAX ? HUGE_VAL : (lua_Number)due / 1e9);
  return 1;
}

/*
** eddy.remaining() --> seconds until the deadline (0 when past), or math.huge
*/
static int l_remaining (lua_State *L) {
  ed_loop *loop = ed_loop_of(L);
  uint64_t due = loop->current ? ed_block_deadline(loop->current->scope) : UINT64_MAX;
  uint64_t now = ed_loop_now(loop);
  lua_Number left = due <= now ? 0 : (lua_Number)(due - now) / 1e9;
  lua_pushnumber(L, due == UINT64_MAX ? HUGE_VAL : left);
  return 1;
}

/*
** eddy.cancelled() --> boolean
** Would the next wait raise a cancellation?
*/
static int l_cancelled (lua_State *L) {
  ed_task *task = ed_loop_of(L)->current;
  lua_pushboolean(L, task != NULL && task->scope->cause != NULL);
  return 1;
}

static const luaL_Reg timed_functions[] = {
  {"timeout", l_timeout},
  {"within", l_within},
  {"shield", l_shield},
  {NULL, NULL},
};

static const luaL_Reg functions[] = {
  {"group", l_group},
  {"deadline", l_deadline},
  {"remaining", l_remaining},
  {"cancelled", l_cancelled},
  {NULL, NULL},
};

static const luaL_Reg group_methods[] = {
  {"spawn", l_group_spawn},
  {"spawn_with", l_group_spawn_with},
  {"cancel", l_group_cancel},
  {NULL, NULL},
};

static const luaL_Reg group_meta[] = {
  {"__close", l_group_close},
  {"__gc", l_group_gc},
  {"__tostring", l_group_tostring},
  {NULL, NULL},
};

void ed_open_block (lua_State *L, ed_loop *loop, int box) {
  box = lua_absindex(L, box);
  ed_class_new(L, loop, ED_CLASS_GROUP, "eddy.Group", group_methods, group_meta, box);
  ed_setfuncs(L, functions, box);
  lua_pushvalue(L, box);
  lua_pushcfunction(L, ed_trace_handler);
  luaL_setfuncs(L, timed_functions, 2);
}
