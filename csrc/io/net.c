/* SPDX-License-Identifier: MIT */
/*
** eddy.core.net.
*/
#include "io/net.h"

#include "core/class.h"
#include "io/stream.h"

/*
** net.spare(stream, boolean)
** A library keeps this stream for later: it is nobody's leak. False takes that back.
*/
static int l_spare (lua_State *L) {
  ed_stream_check(L, 1)->handle.is_spare = lua_toboolean(L, 2);
  return 0;
}

/* net.random(n) --> n bytes from the system's source of randomness, at most 64. Does not wait. */
static int l_random (lua_State *L) {
  char bytes[64];
  lua_Integer n = luaL_checkinteger(L, 1);
  luaL_argcheck(L, n > 0 && n <= (lua_Integer)sizeof bytes, 1, "1 to 64");
  if (uv_random(NULL, NULL, bytes, (size_t)n, 0, NULL) != 0)
    return luaL_error(L, "the system has no randomness to give");
  lua_pushlstring(L, bytes, (size_t)n);
  return 1;
}

static const luaL_Reg functions[] = {
  {"random", l_random},
  {"connect", ed_l_connect},
  {"connect_unix", ed_l_connect_unix},
  {"listen", ed_l_listen},
  {"listen_unix", ed_l_listen_unix},
  {"progress", ed_l_progress},
  {"resolved", ed_l_resolved},
  {"spare", l_spare},
  {NULL, NULL},
};

/* Policy in Lua adds to the methods of these classes. */
static void set_methods (lua_State *L, ed_loop *loop, ed_class id, const char *field) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, loop->metatable[id]);
  lua_getfield(L, -1, id == ED_CLASS_LISTENER ? "__methods" : "__index");
  lua_setfield(L, -3, field);
  lua_pop(L, 1);
}

void ed_open_net (lua_State *L, int box) {
  ed_loop *loop = ((ed_box *)lua_touserdata(L, box))->loop;
  ed_open_stream(L, loop, box);
  ed_open_listener(L, box);
  lua_newtable(L);
  ed_setfuncs(L, functions, box);
  set_methods(L, loop, ED_CLASS_STREAM, "stream");
  set_methods(L, loop, ED_CLASS_LISTENER, "listener");
}
