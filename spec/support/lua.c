/* SPDX-License-Identifier: MIT */
/*
** A plain Lua interpreter with eddy.core linked in: lua SCRIPT [ARGS]. 'make sanitize' runs the
** specs with it, because a sanitizer must be in the program from the start. (Preloading it into
** the system's interpreter also preloads it into every shell that a test starts.)
**
** It has a module "spec.foreign" for what no script can do: be a library that shares the loop.
*/
#include <stdio.h>
#include <stdlib.h>
#include <lauxlib.h>
#include <lualib.h>
#include <uv.h>

#include "eddy.h"

/* ---- spec.foreign ---- */

typedef struct foreign_timer {
  uv_timer_t uv; /* first */
  lua_State *L;
  int fn;
} foreign_timer;

static void on_timer_closed (uv_handle_t *uv) { free(uv); }

static void call_back (uv_timer_t *uv) {
  foreign_timer *timer = (foreign_timer *)uv;
  lua_rawgeti(timer->L, LUA_REGISTRYINDEX, timer->fn);
  luaL_unref(timer->L, LUA_REGISTRYINDEX, timer->fn);
  if (lua_pcall(timer->L, 0, 0, 0) != LUA_OK) abort();
  uv_close((uv_handle_t *)uv, on_timer_closed);
}

/* later(ms, fn): a timer of ours, on the loop that eddy uses, calls 'fn' */
static int l_later (lua_State *L) {
  foreign_timer *timer = calloc(1, sizeof *timer);
  if (timer == NULL) abort();
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  timer->L = lua_tothread(L, -1);
  lua_settop(L, 2);
  timer->fn = luaL_ref(L, LUA_REGISTRYINDEX);
  uv_timer_init(lua_touserdata(L, lua_upvalueindex(1)), &timer->uv);
  uv_timer_start(&timer->uv, call_back, (uint64_t)luaL_checkinteger(L, 1), 0);
  return 0;
}

/* The chunk's result, or its error, as text. */
static const char *run_chunk (lua_State *L, uv_loop_t *loop, const char *chunk) {
  luaL_openlibs(L);
  eddy_preload(L);
  if (luaL_dostring(L, "require 'eddy'") != LUA_OK || eddy_use_loop(L, loop) != 0)
    return "no eddy";
  lua_pushlightuserdata(L, loop);
  lua_pushcclosure(L, l_later, 1);
  lua_setglobal(L, "later");
  (void)luaL_dostring(L, chunk);
  return luaL_tolstring(L, -1, NULL);
}

/* foreign.run(chunk) --> text: in a state of its own, with a loop that has handles of others */
static int l_run (lua_State *L) {
  const char *chunk = luaL_checkstring(L, 1);
  lua_State *own = luaL_newstate();
  uv_loop_t loop;
  if (own == NULL || uv_loop_init(&loop) != 0) abort();
  lua_pushstring(L, run_chunk(own, &loop, chunk));
  lua_close(own);
  uv_run(&loop, UV_RUN_DEFAULT);
  if (uv_loop_close(&loop) != 0) return luaL_error(L, "the loop is not free");
  return 1;
}

static int open_foreign (lua_State *L) {
  lua_newtable(L);
  lua_pushcfunction(L, l_run);
  lua_setfield(L, -2, "run");
  return 1;
}

/* ---- the interpreter ---- */

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
  lua_pushcfunction(L, open_foreign);
  lua_setfield(L, -2, "spec.foreign");
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
