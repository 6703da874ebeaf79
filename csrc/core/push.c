/* SPDX-License-Identifier: MIT */
/*
** Weak tables in the registry, packed values, lower case.
*/
#include "core/push.h"

#include <lauxlib.h>

void ed_push_weak (lua_State *L, const void *key, const char *mode) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, key) == LUA_TTABLE) return;
  lua_pop(L, 1);
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushstring(L, mode);
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, key);
}

int ed_push_unpacked (lua_State *L) {
  int table = lua_gettop(L), n;
  lua_getfield(L, table, "n");
  n = (int)lua_tointeger(L, -1);
  lua_pop(L, 1);
  luaL_checkstack(L, n, "too many results");
  for (int i = 1; i <= n; i++) lua_rawgeti(L, table, i);
  lua_remove(L, table);
  return n;
}

void ed_push_lower (lua_State *L, const char *text, size_t len) {
  luaL_Buffer b;
  char *to = luaL_buffinitsize(L, &b, len);
  for (size_t i = 0; i < len; i++)
    to[i] = (char)(text[i] >= 'A' && text[i] <= 'Z' ? text[i] | 0x20 : text[i]);
  luaL_pushresultsize(&b, len);
}
