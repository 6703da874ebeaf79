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

static const luaL_Reg functions[] = {
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
