/* SPDX-License-Identifier: MIT */
/*
** Looking for names. What C functions are called does not change while a state lives (but for
** scripts that move them about), so what was found once is kept in the registry.
*/
#include "io/transfer_names.h"

#include "core/push.h"

#include <lauxlib.h>

/* Registry key, by address: C function -> {module, name}, weak keys. */
static const char members_key = 0;

void ed_names_push_modules (lua_State *L) {
  lua_newtable(L);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
    if (!lua_istable(L, -1) && lua_type(L, -1) != LUA_TUSERDATA) continue;
    if (lua_type(L, -2) != LUA_TSTRING) continue;
    lua_pushvalue(L, -1);
    lua_pushvalue(L, -3);
    lua_rawset(L, -6);
  }
  lua_pop(L, 1);
}

/* The value at 'index' in the table at the top: push its key. */
static bool push_key_of (lua_State *L, int index) {
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING || !lua_rawequal(L, -1, index)) continue;
    lua_pop(L, 1);
    return true;
  }
  return false;
}

/* Push {module, name} for the function at 'index'; the globals come last. */
static bool find_member (lua_State *L, int index) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING || !lua_istable(L, -1)) continue;
    if (!push_key_of(L, index)) continue;
    lua_createtable(L, 2, 0);
    lua_insert(L, -2);
    lua_rawseti(L, -2, 2);
    lua_pushvalue(L, -3);
    lua_rawseti(L, -2, 1);
    lua_insert(L, -4);
    lua_pop(L, 3);
    return true;
  }
  lua_pop(L, 1);
  return false;
}

/* Keep the pair at the top for the function at 'index'; the table is below. */
static void keep_member (lua_State *L, int index) {
  lua_pushvalue(L, index);
  lua_pushvalue(L, -2);
  lua_rawset(L, -4);
}

bool ed_names_push_member (lua_State *L, int index) {
  index = lua_absindex(L, index);
  luaL_checkstack(L, 12, "no memory for a transfer");
  ed_push_weak(L, &members_key, "k");
  lua_pushvalue(L, index);
  if (lua_rawget(L, -2) == LUA_TNIL) {
    lua_pop(L, 1);
    if (!find_member(L, index)) {
      lua_pop(L, 1);
      return false;
    }
    keep_member(L, index);
  }
  lua_rawgeti(L, -1, 1);
  lua_rawgeti(L, -2, 2);
  lua_replace(L, -4);
  lua_replace(L, -2);
  lua_insert(L, -2);
  return true;
}

bool ed_names_push_metatable (lua_State *L, int index) {
  index = lua_absindex(L, index);
  lua_pushliteral(L, "__name");
  if (lua_rawget(L, index) == LUA_TSTRING) {
    lua_pushvalue(L, -1);
    lua_rawget(L, LUA_REGISTRYINDEX);
    if (lua_rawequal(L, -1, index)) {
      lua_pop(L, 1);
      return true;
    }
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return false;
}

void ed_names_require (lua_State *L) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushvalue(L, -2);
  lua_rawget(L, -2);
  lua_remove(L, -2);
  if (!lua_isnil(L, -1)) {
    lua_remove(L, -2);
    return;
  }
  lua_pop(L, 1);
  lua_getglobal(L, "require");
  lua_insert(L, -2);
  lua_call(L, 1, 1);
}
