/* SPDX-License-Identifier: MIT */
/*
** The sets of what tasks must close at their ends: task -> set in one table of the runtime, whose
** field 1 is the function that closes.
*/
#include "core/ending.h"

#include "core/class.h"
#include "core/report.h"
#include "core/slice.h"
#include "core/task_ref.h"

enum { CLOSER = 1 };

/* Push the function and the set of 'task', which is taken off it. */
static void push_call (lua_State *L, ed_task *task) {
  int table = lua_gettop(L) + 1;
  lua_rawgeti(L, LUA_REGISTRYINDEX, task->loop->endings);
  lua_rawgeti(L, table, CLOSER);
  ed_task_push(L, task);
  lua_pushvalue(L, -1);
  lua_rawget(L, table); /* function, task, set */
  lua_insert(L, -2);
  lua_pushnil(L); /* an existing key: storing allocates nothing */
  lua_rawset(L, table);
  lua_remove(L, table);
  task->has_ending = false;
}

int ed_ending_call (
  lua_State *L, ed_task *task, int handler, lua_KContext ctx, lua_KFunction k) {
  lua_checkstack(L, 6); /* perhaps above very many results */
  push_call(L, task);
  return k(L, lua_pcallk(L, 1, 0, handler, ctx, k), ctx);
}

/* Leaves an error, if there is one. */
static void call_killed (ed_task *task) {
  lua_State *L = task->loop->L;
  lua_State *outer = task->loop->closing;
  push_call(L, task);
  task->loop->closing = L; /* what scripts have put into generators may run here */
  lua_pcall(L, 1, 0, 0);
  task->loop->closing = outer;
}

/* Whoever is told of an error has no part in the time for clean-up, nor in its being over. */
void ed_ending_kill (ed_task *task) {
  lua_State *L = task->loop->L;
  int top = lua_gettop(L);
  if (task->loop->watch != NULL) ed_slice_close(task->loop, task, call_killed);
  else call_killed(task);
  if (lua_gettop(L) > top) ed_report_clean_up(task, L);
  lua_settop(L, top);
}

/*
** core.ending(task) --> table | nil
** What 'task' closes when it ends, as weak keys, and one field 'left' that is false at first; nil
** when it is too late for that.
*/
static int l_ending (lua_State *L) {
  ed_loop *loop = ed_loop_of(L);
  ed_task *task = ed_ref_task(ed_ref_check(L, 1));
  lua_settop(L, 1);
  if (task == NULL || ed_task_has_ended(task) || task->is_killed || task->root.is_closed)
    return 0;
  lua_rawgeti(L, LUA_REGISTRYINDEX, loop->endings);
  lua_pushvalue(L, 1);
  if (lua_rawget(L, 2) != LUA_TNIL) return 1;
  lua_createtable(L, 0, 1);
  lua_pushboolean(
    L, 0); /* a field that is there: finalizers may set it during a traversal */
  lua_setfield(L, -2, "left");
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "k");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_pushvalue(L, 1);
  lua_pushvalue(L, -2);
  lua_rawset(L, 2);
  task->has_ending = true;
  return 1;
}

/*
** core.on_ending(fn)
** fn(set) closes what is in it; it may wait.
*/
static int l_on_ending (lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_rawgeti(L, LUA_REGISTRYINDEX, ed_loop_of(L)->endings);
  lua_pushvalue(L, 1);
  lua_rawseti(L, -2, CLOSER);
  return 0;
}

static const luaL_Reg functions[] = {
  {"ending", l_ending},
  {"on_ending", l_on_ending},
  {NULL, NULL},
};

void ed_open_ending (lua_State *L, int box) { ed_setfuncs(L, functions, box); }
