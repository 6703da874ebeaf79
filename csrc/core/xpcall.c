/* SPDX-License-Identifier: MIT */
/*
** xpcall whose message handler can be stopped. Lua calls the handler where the error is raised; for
** one that a hook raises that is inside the hook, and there no hook is called: a handler without an
** end could never be interrupted. So this one does not call the script's for errors of hooks, which
** are the ones that stop a script.
*/
#include "core/xpcall.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <string.h>

enum { BODY = 1, HANDLER = 2 };

static bool is_raised_by_hook (lua_State *L) {
  lua_Debug at;
  return lua_getstack(L, 0, &at) && lua_getinfo(L, "n", &at)
    && strcmp(at.namewhat, "hook") == 0;
}

/* (error) --> what the script's handler makes of it */
static int l_handle (lua_State *L) {
  if (is_raised_by_hook(L)) return 1;
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, 1, 1);
  return 1;
}

static int finish_xpcall (lua_State *L, int status, lua_KContext ctx) {
  (void)ctx;
  if (status == LUA_OK || status == LUA_YIELD) return lua_gettop(L) - HANDLER;
  lua_pushboolean(L, 0);
  lua_pushvalue(L, -2);
  return 2;
}

/*
** xpcall(fn, handler, ...) --> true, results | false, what handler(error) returns
** May wait, where 'fn' does.
*/
static int l_xpcall (lua_State *L) {
  int n = lua_gettop(L);
  luaL_checktype(L, HANDLER, LUA_TFUNCTION);
  lua_pushvalue(L, HANDLER);
  lua_pushcclosure(L, l_handle, 1);
  lua_replace(L, HANDLER);
  lua_pushboolean(L, 1);
  lua_pushvalue(L, BODY);
  lua_rotate(L, HANDLER + 1, 2);
  return finish_xpcall(
    L, lua_pcallk(L, n - HANDLER, LUA_MULTRET, HANDLER, 0, finish_xpcall), 0);
}

void ed_open_xpcall (lua_State *L) {
  lua_pushcfunction(L, l_xpcall);
  lua_setfield(L, -2, "xpcall");
}
