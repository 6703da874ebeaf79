/* SPDX-License-Identifier: MIT */
/*
** Classes of userdata and argument reading. Metatables are kept by registry reference, so that
** pushing one costs an array access.
*/
#include "core/class.h"

#include <math.h>
#include <string.h>

void ed_setfuncs (lua_State *L, const luaL_Reg *reg, int box) {
  box = lua_absindex(L, box);
  lua_pushvalue(L, box);
  luaL_setfuncs(L, reg, 1);
}

void ed_class_new (lua_State *L, ed_loop *loop, ed_class id, const char *name,
  const luaL_Reg *methods, const luaL_Reg *meta, int box) {
  box = lua_absindex(L, box);
  lua_newtable(L);
  lua_pushstring(L, name);
  lua_setfield(L, -2, "__name");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  if (methods != NULL) {
    lua_newtable(L);
    ed_setfuncs(L, methods, box);
    lua_setfield(L, -2, "__index");
  }
  ed_setfuncs(L, meta, box);
  loop->metatable[id] = luaL_ref(L, LUA_REGISTRYINDEX);
}

void *ed_class_push_raw (lua_State *L, ed_loop *loop, ed_class id, size_t size, int nuv) {
  size_t mark = (size + sizeof loop->mark - 1) / sizeof loop->mark;
  uint64_t *object = lua_newuserdatauv(L, (mark + 1) * sizeof loop->mark, nuv);
  object[mark] = loop->mark + id;
  lua_rawgeti(L, LUA_REGISTRYINDEX, loop->metatable[id]);
  lua_setmetatable(L, -2);
  return object;
}

void *ed_class_push (lua_State *L, ed_loop *loop, ed_class id, size_t size, int nuv) {
  return memset(ed_class_push_raw(L, loop, id, size, nuv), 0, size);
}

/* The name must not come to lie where a missing argument would be. */
int ed_class_refuse (lua_State *L, ed_loop *loop, int arg, ed_class id) {
  bool is_missing = lua_isnone(L, arg);
  const char *name;
  lua_rawgeti(L, LUA_REGISTRYINDEX, loop->metatable[id]);
  lua_getfield(L, -1, "__name");
  name = lua_tostring(L, -1);
  if (!is_missing) return luaL_typeerror(L, arg, name);
  return luaL_argerror(L, arg, lua_pushfstring(L, "%s expected, got no value", name));
}

static const uint64_t too_many_seconds = 9000000000; /* for 64 bits of ns: for ever */

static uint64_t from_integer (lua_Integer seconds) {
  if (seconds <= 0) return 0;
  if ((uint64_t)seconds >= too_many_seconds) return UINT64_MAX;
  return (uint64_t)seconds * 1000000000;
}

/* Rounded up by hand: on a plain x86-64 ceil() is a call. Signed, which is one instruction there. */
static uint64_t from_float (lua_Number seconds) {
  lua_Number ns = seconds * 1e9;
  int64_t whole;
  if (seconds <= 0) return 0;
  if (seconds >= (lua_Number)too_many_seconds) return UINT64_MAX;
  whole = (int64_t)ns;
  return (uint64_t)whole + ((lua_Number)whole < ns);
}

static uint64_t check_float (lua_State *L, int arg) {
  lua_Number seconds = lua_tonumber(L, arg);
  if (lua_type(L, arg) != LUA_TNUMBER) luaL_typeerror(L, arg, "number");
  luaL_argcheck(L, !isnan(seconds), arg, "number expected, got NaN");
  return from_float(seconds);
}

uint64_t ed_check_seconds (lua_State *L, int arg) {
  if (lua_isinteger(L, arg)) return from_integer(lua_tointeger(L, arg));
  return check_float(L, arg);
}

uint64_t ed_opt_seconds (lua_State *L, int arg, uint64_t otherwise) {
  if (lua_isinteger(L, arg)) return from_integer(lua_tointeger(L, arg));
  return lua_isnoneornil(L, arg) ? otherwise : check_float(L, arg);
}

void ed_check_object_callable (lua_State *L, int arg) {
  if (luaL_getmetafield(L, arg, "__call") == LUA_TNIL) luaL_typeerror(L, arg, "function");
  lua_pop(L, 1);
}
