/* SPDX-License-Identifier: MIT */
/*
** resume, wrap, yield, close and status as the stock library has them, with awaits passing
** through. What a stock coroutine is to us: it may stand between a task and one of ours (its
** functions were taken before ours were installed), and then nothing inside it can wait.
*/
#include "core/coroutine.h"

#include <lualib.h>
#include <stdatomic.h>

#include "compat.h"
#include "core/block.h"
#include "core/class.h"
#include "core/limits.h"
#include "core/place.h"
#include "core/report.h"
#include "core/slice.h"
#include "core/task_ref.h"
#include "core/trace.h"

/* One coroutine that was entered from 'outer'. */
typedef struct level {
  lua_State *outer; /* its caller: the leaf before */
  ed_scope *scope;  /* innermost of the task at entry: it may not yield out of others */
  lua_State *blocked_in; /* the caller could not be suspended, and here is why; or NULL */
} level;

typedef struct ed_nest {
  int depth, room;
  level at[];
} ed_nest;

static ed_nest *nest_of (const ed_task *task) {
  return task->has_limits ? task->limits->nest : task->nest;
}

static void set_nest (ed_task *task, ed_nest *nest) {
  if (task->has_limits) task->limits->nest = nest;
  else task->nest = nest;
}

static level *top_level (ed_task *task) {
  ed_nest *nest = nest_of(task);
  return &nest->at[nest->depth - 1];
}

/* ---- the nest ---- */

static size_t nest_size (int room) {
  return sizeof(ed_nest) + (size_t)room * sizeof(level);
}

/* Room for one more level; false when memory is short. */
static bool reserve_level (ed_task *task) {
  ed_nest *nest = nest_of(task);
  int old = nest != NULL ? nest->room : 0, room = old > 0 ? old * 2 : 2;
  if (nest != NULL && nest->depth < old) return true;
  nest = ed_mem_resize(
    &task->loop->mem, nest, old > 0 ? nest_size(old) : 0, nest_size(room));
  if (nest == NULL) return false;
  if (old == 0) nest->depth = 0;
  nest->room = room;
  set_nest(task, nest);
  return true;
}

void ed_nest_free (ed_task *task) {
  ed_nest *nest = nest_of(task);
  if (nest == NULL) return;
  ed_mem_free(&task->loop->mem, nest, nest_size(nest->room));
  set_nest(task, NULL);
}

/* There is room: see refusal. */
static void enter (lua_State *L, ed_task *task, lua_State *co) {
  ed_nest *nest = nest_of(task);
  level *l = &nest->at[nest->depth++];
  l->outer = task->leaf;
  l->scope = task->scope;
  l->blocked_in = task->leaf != L || !lua_isyieldable(L) ? L : NULL;
  if (l->blocked_in != NULL) task->barred++;
  task->leaf = co;
}

static void leave (ed_task *task) {
  level *l = top_level(task);
  if (l->blocked_in != NULL) task->barred--;
  task->leaf = l->outer;
  nest_of(task)->depth--;
}

lua_State *ed_nest_outer (const ed_task *task, lua_State *co) {
  const ed_nest *nest = nest_of(task);
  int depth = nest != NULL ? nest->depth : 0;
  lua_State *at = task->leaf;
  while (depth > 0) {
    lua_State *outer = nest->at[--depth].outer;
    if (at == co) return outer;
    at = outer;
  }
  return NULL;
}

bool ed_nest_is_outside (const ed_task *task) {
  const ed_nest *nest = nest_of(task);
  return nest != NULL && nest->depth > 0
    && nest->at[nest->depth - 1].scope == task->scope;
}

/* What a '<close>' variable raises has nobody else to go to; without memory it cannot be told. */
static void close_one (ed_task *task, lua_State *co) {
  ed_loop *loop = task->loop;
  lua_State *outer = loop->closing;
  int before = lua_status(co), status;
  loop->closing = co;
  ed_slice_closes_next(loop);
  status = lua_closethread(co, loop->L);
  loop->closing = outer;
  if (before != LUA_OK && before != LUA_YIELD) return; /* it had failed before */
  if (status != LUA_OK && status != LUA_ERRMEM) ed_report_clean_up(task, co);
}

void ed_nest_close (ed_task *task) {
  const ed_nest *nest = nest_of(task);
  while (nest != NULL && nest->depth > 0) {
    lua_State *co = task->leaf;
    leave(task);
    close_one(task, co);
  }
  close_one(task, task->co);
}

int ed_nest_raise_blocked (lua_State *L, ed_task *task) {
  const ed_nest *nest = nest_of(task);
  for (int i = nest != NULL ? nest->depth : 0; i-- > 0;) {
    const level *l = &nest->at[i];
    if (l->blocked_in == NULL) continue;
    if (l->blocked_in == l->outer) return ed_raise_blocked(L, task->loop, l->blocked_in);
    break;
  }
  return ed_place_error(L, task->loop,
    "cannot await inside a plain coroutine (one of the stock library); use "
    "eddy.coroutine");
}

/* ---- whose coroutine is it? ---- */

static int l_yield (lua_State *L);

/* The function at 'level' of 'co' is pushed on its stack; false if there is none. */
static bool push_function (lua_State *co, int at, lua_Debug *info) {
  return lua_getstack(co, at, info) && lua_getinfo(co, "f", info);
}

static bool is_awaiting_function (lua_State *L, lua_State *co) {
  const void *box = lua_touserdata(L, lua_upvalueindex(1));
  bool same;
  if (!lua_iscfunction(co, -1)) return true; /* suspended by a hook: that is ours */
  if (lua_getupvalue(co, -1, 1) == NULL) return false;
  same = lua_touserdata(co, -1) == box;
  lua_pop(co, 1);
  return same;
}

static bool is_outermost_ours (lua_State *co) {
  lua_Debug info;
  int last = 0;
  bool ours;
  while (lua_getstack(co, last + 1, &info)) last++;
  if (!push_function(co, last, &info)) return false;
  ours = lua_tocfunction(co, -1) == ed_task_base;
  lua_pop(co, 1);
  return ours;
}

/* Does 'co' wait in an await, or is it a task's own? Then only the runtime may touch it. */
static bool is_taken (lua_State *L, lua_State *co) {
  lua_Debug info;
  bool is_yield, is_ours;
  if (lua_status(co) == LUA_OK) /* a task that has not begun lies there ready */
    return lua_gettop(co) > 0 && lua_tocfunction(co, 1) == ed_task_base;
  if (lua_status(co) != LUA_YIELD || !lua_checkstack(co, 2)) return false;
  if (!push_function(co, 0, &info)) return false;
  is_yield = lua_tocfunction(co, -1) == l_yield;
  is_ours = !is_yield && is_awaiting_function(L, co);
  lua_pop(co, 1);
  return is_ours || (!is_yield && is_outermost_ours(co));
}

static lua_State *check_coroutine (lua_State *L) {
  lua_State *co = lua_tothread(L, 1);
  luaL_argexpected(L, co, 1, "coroutine");
  return co;
}

/* ---- resume ---- */

/* A yield that is none of ours, out of a block: said at its own place. */
static void misplaced_yield (lua_State *L, lua_Debug *at) {
  ed_task *task;
  (void)at;
  lua_sethook(L, NULL, 0, 0);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &ed_box_key);
  task = ((ed_box *)lua_touserdata(L, -1))->loop->current;
  lua_pop(L, 1);
  luaL_error(L, "cannot yield out of '%s'", ed_block_name(task->scope));
}

/* Resume with the 'narg' arguments on the stack of 'co'; come back when it is our turn. */
static int step (lua_State *L, ed_task *task, lua_State *co, int narg, int *nres) {
  ed_loop *loop = ed_loop_of(L);
  for (;;) {
    ed_resumed resumed = {co, loop->resumed};
    int status;
    atomic_signal_fence(memory_order_release); /* a handler of a signal may look at it */
    loop->resumed = &resumed;
    status = lua_resume(co, L, narg, nres);
    loop->resumed = resumed.outer;
    if (status != LUA_YIELD || task == NULL || task->state != ED_TASK_RUNNING
      || task->is_killed || task->scope == top_level(task)->scope)
      return status;
    lua_pop(co, *nres);
    lua_sethook(co, misplaced_yield, LUA_MASKCOUNT, 1);
    narg = 0;
  }
}

static bool is_suspended_by_us (const ed_task *task, int status) {
  return status == LUA_YIELD && task != NULL
    && (task->state != ED_TASK_RUNNING || task->is_killed);
}

static int finish_step (lua_State *L, ed_task *task, lua_State *co, int status, int nres);

static int stepped_k (lua_State *L, int status, lua_KContext ctx) {
  ed_task *task = ed_loop_of(L)->current;
  lua_State *co = (lua_State *)ctx;
  int nres;
  if (lua_status(co) != LUA_YIELD) /* it was not 'co' we waited for, but what it left */
    return finish_step(L, task, co, lua_status(co), lua_gettop(co));
  status = step(L, task, co, 0, &nres);
  return finish_step(L, task, co, status, nres);
}

/*
** A coroutine that died by an error may have left groups open in its task: their members are
** cancelled and awaited before the error goes on.
*/
static bool has_left_blocks (const ed_task *task, int status) {
  return task != NULL && status != LUA_OK && status != LUA_YIELD
    && task->scope != top_level((ed_task *)task)->scope;
}

static int give_results (lua_State *L, lua_State *co, int status, int nres);

/* 'task' is NULL where no task runs: then this is the stock library. */
static int finish_step (
  lua_State *L, ed_task *task, lua_State *co, int status, int nres) {
  lua_KContext ctx = (lua_KContext)co;
  if (is_suspended_by_us(task, status)) return lua_yieldk(L, 0, ctx, stepped_k);
  while (has_left_blocks(task, status) && lua_isyieldable(L)) {
    ed_scope *open = task->scope;
    ed_scope_cancel(open, ED_BY_FAILURE);
    if (open->live > 0) return ed_task_join_children(L, open, ctx, stepped_k);
    ed_block_discard(L, (ed_block *)open);
  }
  if (task != NULL) leave(task);
  return give_results(L, co, status, nres);
}

static int fail (lua_State *L, const char *text) {
  lua_pushboolean(L, 0);
  lua_pushstring(L, text);
  return 2;
}

static bool has_room (lua_State *L) {
  ed_task *task = ed_loop_of(L)->current;
  return task == NULL || task->is_killed || reserve_level(task);
}

/* Why 'co' cannot be resumed, or NULL. */
static const char *refusal (lua_State *L, lua_State *co, int narg) {
  lua_Debug info;
  if (co == L) return "cannot resume non-suspended coroutine";
  if (is_taken(L, co)) return "cannot resume a coroutine that is waiting in an await";
  if (lua_status(co) == LUA_OK) {
    if (lua_getstack(co, 0, &info)) return "cannot resume non-suspended coroutine";
    if (lua_gettop(co) == 0) return "cannot resume dead coroutine";
  } else if (lua_status(co) != LUA_YIELD) return "cannot resume dead coroutine";
  if (!lua_checkstack(co, narg)) return "too many arguments to resume";
  return has_room(L) ? NULL : "not enough memory";
}

/* Resume 'co' with the top 'narg' values. */
static int run_step (lua_State *L, lua_State *co, int narg) {
  ed_task *task = ed_loop_of(L)->current;
  int status, nres;
  if (task != NULL && task->is_killed) task = NULL;
  if (task != NULL) enter(L, task, co);
  lua_xmove(L, co, narg);
  status = step(L, task, co, narg, &nres);
  return finish_step(L, task, co, status, nres);
}

/* ---- Lua ---- */

/* Is this call of finish_step one of 'wrap'? Its coroutine lies in an upvalue then. */
static bool is_wrap (lua_State *L) { return lua_isthread(L, lua_upvalueindex(2)); }

/*
** Close a coroutine that a script asks for; false when too many are being closed already, one in
** the '<close>' variables of the other. Raises nothing: the error is left in 'co'.
*/
static bool close_nested (lua_State *L, lua_State *co, int *status) {
  ed_loop *loop = ed_loop_of(L);
  ed_resumed resumed = {co, loop->resumed};
  if (loop->ncloses >= ED_CLOSES) return false;
  loop->ncloses++;
  atomic_signal_fence(memory_order_release);
  loop->resumed = &resumed;
  *status = lua_closethread(co, L);
  loop->resumed = resumed.outer;
  loop->ncloses--;
  return true;
}

/* What a wrapped function raises: the error at the top, with a position before a string. */
static int raise_wrapped (lua_State *L, lua_State *co) {
  ed_loop *loop = ed_loop_of(L);
  int status = lua_status(co), text = lua_gettop(L);
  if (loop->current != NULL && co != L) ed_trace_push_coroutine(L, loop, co);
  else lua_pushnil(L);
  lua_insert(L, text);
  if (status != LUA_OK && status != LUA_YIELD) { /* it died of it: close what is open */
    if (close_nested(L, co, &status)) lua_xmove(co, L, 1);
    else lua_pushliteral(L, "C stack overflow");
  }
  if (status != LUA_ERRMEM && lua_type(L, -1) == LUA_TSTRING) {
    luaL_where(L, 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
  }
  if (lua_isstring(L, text)) ed_trace_belongs(L, loop, text);
  return lua_error(L);
}

static int give_results (lua_State *L, lua_State *co, int status, int nres) {
  bool failed = status != LUA_OK && status != LUA_YIELD;
  if (failed) nres = 1;
  if (!lua_checkstack(L, nres + 1)) {
    lua_pop(co, nres);
    if (is_wrap(L)) return luaL_error(L, "too many results to resume");
    return fail(L, "too many results to resume");
  }
  if (!is_wrap(L)) lua_pushboolean(L, !failed);
  lua_xmove(co, L, nres);
  if (failed && is_wrap(L)) return raise_wrapped(L, co);
  return nres + !is_wrap(L);
}

/*
** coroutine.resume(co, ...) --> true, values | false, error
** May await, where the coroutine does.
*/
static int l_resume (lua_State *L) {
  lua_State *co = check_coroutine(L);
  const char *refused = refusal(L, co, lua_gettop(L) - 1);
  if (refused != NULL) return fail(L, refused);
  return run_step(L, co, lua_gettop(L) - 1);
}

static int l_step_wrapped (lua_State *L) {
  lua_State *co = lua_tothread(L, lua_upvalueindex(2));
  const char *refused = refusal(L, co, lua_gettop(L));
  if (refused != NULL) {
    lua_pushstring(L, refused);
    return raise_wrapped(L, L);
  }
  return run_step(L, co, lua_gettop(L));
}

/*
** coroutine.wrap(fn) --> function
** Its calls may await, where 'fn' does.
*/
static int l_wrap (lua_State *L) {
  lua_State *co;
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_pushvalue(L, lua_upvalueindex(1));
  co = lua_newthread(L);
  lua_pushvalue(L, 1);
  lua_xmove(L, co, 1);
  lua_pushcclosure(L, l_step_wrapped, 2);
  return 1;
}

/*
** coroutine.yield(...) --> what resume passes
*/
static int l_yield (lua_State *L) {
  ed_loop *loop = ed_loop_opt(L);
  ed_task *task = loop != NULL ? loop->current : NULL;
  if (task != NULL && task->co == L)
    return luaL_error(
      L, "cannot yield from a task's own body (only from a coroutine inside it)");
  if (task != NULL && task->leaf == L && task->scope != top_level(task)->scope)
    return luaL_error(L, "cannot yield out of '%s'", ed_block_name(task->scope));
  return lua_yield(L, lua_gettop(L));
}

/*
** coroutine.running() --> thread, boolean
** Whoever has the coroutine of a task could end it with the library's own functions, which know
** nothing of tasks: then the task must still be there.
*/
static int l_running (lua_State *L) {
  ed_loop *loop = ed_loop_opt(L);
  ed_task *task = loop != NULL ? loop->current : NULL;
  if (task != NULL && task->co == L) ed_ref_secure(L, task);
  lua_pushboolean(L, lua_pushthread(L));
  return 2;
}

static const char *status_of (lua_State *L, lua_State *co) {
  lua_Debug info;
  if (L == co) return "running";
  if (is_taken(L, co)) return "normal";
  if (lua_status(co) == LUA_YIELD) return "suspended";
  if (lua_status(co) != LUA_OK) return "dead";
  if (lua_getstack(co, 0, &info)) return "normal";
  return lua_gettop(co) == 0 ? "dead" : "suspended";
}

/*
** coroutine.status(co) --> "running" | "suspended" | "normal" | "dead"
** One that waits in an await is "normal".
*/
static int l_status (lua_State *L) {
  lua_pushstring(L, status_of(L, check_coroutine(L)));
  return 1;
}

/*
** coroutine.close(co) --> true | false, error
** Its '<close>' variables run; they cannot await. One that waits in an await belongs to its
** task: cancel that.
*/
static int l_close (lua_State *L) {
  lua_State *co = check_coroutine(L);
  const char *status = status_of(L, co);
  int ended;
  if (co != L && is_taken(L, co))
    return luaL_error(L, "cannot close a coroutine that is waiting in an await");
  if (*status != 's' && *status != 'd')
    return luaL_error(L, "cannot close a %s coroutine", status);
  if (!close_nested(L, co, &ended)) return luaL_error(L, "C stack overflow");
  if (ended == LUA_OK) {
    lua_pushboolean(L, 1);
    return 1;
  }
  lua_pushboolean(L, 0);
  lua_xmove(co, L, 1);
  return 2;
}

static const luaL_Reg functions[] = {
  {"resume", l_resume},
  {"wrap", l_wrap},
  {"yield", l_yield},
  {"running", l_running},
  {"status", l_status},
  {"close", l_close},
  {NULL, NULL},
};

/* ---- installing ---- */

/* Copy the fields of the table at the top into the one below. */
static void copy_fields (lua_State *L) {
  for (lua_pushnil(L); lua_next(L, -2);) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, -5);
  }
}

/* The library's table is at the top: a host may have put functions of its own there. */
static void keep_stock (lua_State *L, ed_loop *loop) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, loop->stock_coroutine);
  lua_pushvalue(L, -2);
  copy_fields(L);
  lua_pop(L, 2);
}

void ed_coroutine_install (lua_State *L, ed_loop *loop, bool ours) {
  if (loop->is_installed == ours) return;
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (lua_getfield(L, -1, LUA_COLIBNAME) == LUA_TTABLE) {
    if (ours) keep_stock(L, loop);
    lua_rawgeti(L, LUA_REGISTRYINDEX, ours ? loop->our_coroutine : loop->stock_coroutine);
    copy_fields(L);
    lua_pop(L, 1);
    loop->is_installed = ours;
  }
  lua_pop(L, 2);
}

void ed_open_coroutine (lua_State *L, ed_loop *loop, int box) {
  box = lua_absindex(L, box);
  lua_pushcfunction(L, luaopen_coroutine);
  lua_call(L, 0, 1);
  lua_newtable(L);
  lua_pushvalue(L, -2);
  copy_fields(L);
  lua_pop(L, 1);
  loop->stock_coroutine = luaL_ref(L, LUA_REGISTRYINDEX);
  ed_setfuncs(L, functions, box);
  lua_pushvalue(L, -1);
  loop->our_coroutine = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_setfield(L, -2, "coroutine");
}
