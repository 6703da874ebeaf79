/* SPDX-License-Identifier: MIT */
/*
** eddy without files: the Lua half of the library, carried inside the archive as source text
** (bundle.h), put into package.preload. In the static library and the program, not in the
** module, which finds its Lua files as every module does.
*/
#include <lauxlib.h>

#include "bundle.h"
#include "eddy.h"
#include "host/host.h"

const char ed_library_key = 0;

/* package.preload[name] for a module of the bundle: compiles it, then is what it returns. */
static int l_load_bundled (lua_State *L) {
  const ed_bundle_entry *entry = lua_touserdata(L, lua_upvalueindex(1));
  const char *bytes = (const char *)entry->bytes;
  if (luaL_loadbufferx(L, bytes, entry->size, entry->chunk, "t") != LUA_OK)
    return lua_error(L);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &ed_library_key) != LUA_TTABLE) lua_pop(L, 1);
  else if (lua_setupvalue(L, -2, 1) == NULL) lua_pop(L, 1); /* it uses no global */
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, 1);
  return 1;
}

/*
** For a file eddy.so that holds everything: Lua looks there for "eddy" and for what is below it. The
** bundle is put into package.preload first, so that the 'require' in here finds it.
*/
static int require_bundled (lua_State *L, const char *name) {
  luaL_checkversion(L);
  eddy_preload(L);
  lua_getglobal(L, "require");
  lua_pushstring(L, name);
  lua_call(L, 1, 1);
  return 1;
}

int luaopen_eddy (lua_State *L) { return require_bundled(L, "eddy"); }
int luaopen_eddy_http (lua_State *L) { return require_bundled(L, "eddy.http"); }
int luaopen_eddy_json (lua_State *L) { return require_bundled(L, "eddy.json"); }
int luaopen_eddy_net (lua_State *L) { return require_bundled(L, "eddy.net"); }
int luaopen_eddy_testing (lua_State *L) { return require_bundled(L, "eddy.testing"); }
int luaopen_eddy_tls (lua_State *L) { return require_bundled(L, "eddy.tls"); }

void eddy_preload (lua_State *L) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushcfunction(L, luaopen_eddy_core);
  lua_setfield(L, -2, "eddy.core");
  for (const ed_bundle_entry *entry = ed_bundle; entry->name != NULL; entry++) {
    lua_pushlightuserdata(L, (void *)entry);
    lua_pushcclosure(L, l_load_bundled, 1);
    lua_setfield(L, -2, entry->name);
  }
  lua_pop(L, 1);
}
