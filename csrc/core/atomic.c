/* SPDX-License-Identifier: MIT */
/*
** Tasks change places only where one waits. eddy.atomic makes sure that a stretch of code does
** not: any wait inside raises, however deep, also in a coroutine.
*/
#include "core/atomic.h"

#include "core/class.h"
#include "core/trace.h"

enum { MAX_DEPTH = 200 }; /* Lua's own limit on C calls comes first */

/*
** eddy.atomic(fn, ...) --> results of fn
** Calls 'fn'; any wait inside raises before it has done anything. Spawning is allowed.
*/
static int l_atomic (lua_State *L) {
  ed_task *task = ed_loop_of(L)->current;
  int status;
  ed_check_callable(L, 1);
  if (task == NULL) { /* nobody could come in between */
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
  }
  if (task->atomic >= MAX_DEPTH) return luaL_error(L, "eddy.atomic nested too deep");
  lua_pushcfunction(L, ed_trace_handler);
  lua_insert(L, 1);
  task->atomic++;
  task->barred++;
  status = lua_pcall(L, lua_gettop(L) - 2, LUA_MULTRET, 1);
  task->atomic--;
  task->barred--;
  if (status == LUA_OK) return lua_gettop(L) - 1;
  ed_trace_again(task);
  return lua_error(L);
}

static const luaL_Reg functions[] = {
  {"atomic", l_atomic},
  {NULL, NULL},
};

void ed_open_atomic (lua_State *L, int box) { ed_setfuncs(L, functions, box); }
