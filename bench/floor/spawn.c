/* SPDX-License-Identifier: MIT */
/*
** spawn.c: `spawn(f):await()` for an empty f, again and again. Spawn takes a coroutine
** that ended before and puts the base frame and the body on it. Await finds it ready and
** runs it to completion on top of the waiter, which so need not be parked. The handle is
** an object of its own, since the script may keep it while the coroutine goes on to serve
** others.
*/
#include "floor.h"

static task_list spare, ready;

static int l_spawn (lua_State *L) {
  task *t = recycled_task(L, &spare);
  task **handle;
  lua_pushcfunction(t->co, base_frame);
  lua_xmove(L, t->co, 1);
  append(&ready, t);
  handle = lua_newuserdatauv(L, sizeof *handle, 0);
  *handle = t;
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_setmetatable(L, -2);
  return 1;
}

static int l_await (lua_State *L) {
  task **handle = lua_touserdata(L, 1), *t = take_first(&ready);
  int results;
  if (t != *handle) return luaL_error(L, "another task is ready");
  check(t->co, lua_resume(t->co, L, 1, &results));
  lua_xmove(t->co, L, results);
  append(&spare, t);
  return results;
}

/* The handle's metatable is an upvalue of spawn. */
static void push_spawn (lua_State *L) {
  lua_newtable(L);
  lua_newtable(L);
  lua_pushcfunction(L, l_await);
  lua_setfield(L, -2, "await");
  lua_setfield(L, -2, "__index");
  lua_pushcclosure(L, l_spawn, 1);
}

static double spawn_often (lua_State *L, long n) {
  double began = cpu_seconds();
  lua_pushvalue(L, -1);
  lua_pushinteger(L, n);
  check(L, lua_pcall(L, 1, 0, 0));
  return cpu_seconds() - began;
}

int main (void) {
  lua_State *L = new_state();
  push_spawn(L);
  lua_setglobal(L, "spawn");
  push_chunk(L,
    "local spawn = spawn; local function empty () end\n"
    "return function (n) for _ = 1, n do spawn(empty):await() end end");
  printf("%.1f\n", ns_per_unit(L, spawn_often));
  return 0;
}
