/* SPDX-License-Identifier: MIT */
/*
** A plain Lua interpreter with eddy.core linked in: lua SCRIPT [ARGS]. 'make sanitize' runs the
** specs with it, because a sanitizer must be in the program from the start. (Preloading it into
** the system's interpreter also preloads it into every shell that a test starts.)
*/
#include <stdio.h>
#include <lauxlib.h>
#include <lualib.h>

int luaopen_eddy_core (lua_State *L);

static int add_traceback (lua_State *L) {
  luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
  return 1;
}

static void set_arguments (lua_State *L, int argc, char **argv) {
  lua_createtable(L, argc, 1);
  for (int i = 0; i < argc; i++) {
    lua_pushstring(L, argv[i]);
    lua_rawseti(L, -2, i - 1);
  }
  lua_setglobal(L, "arg");
}

static void set_preload (lua_State *L) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushcfunction(L, luaopen_eddy_core);
  lua_setfield(L, -2, "eddy.core");
  lua_pop(L, 1);
}

int main (int argc, char **argv) {
  int status;
  lua_State *L = luaL_newstate();
  if (L == NULL || argc < 2) return fputs("usage: lua SCRIPT [ARGS]\n", stderr), 2;
  luaL_openlibs(L);
  set_arguments(L, argc, argv);
  set_preload(L);
  lua_pushcfunction(L, add_traceback);
  status = luaL_loadfile(L, argv[1]);
  if (status == LUA_OK) {
    for (int i = 2; i < argc; i++) lua_pushstring(L, argv[i]);
    status = lua_pcall(L, argc - 2, 0, 1);
  }
  if (status != LUA_OK) fprintf(stderr, "%s\n", lua_tostring(L, -1));
  lua_close(L);
  return status == LUA_OK ? 0 : 1;
}
