/* SPDX-License-Identifier: MIT */
/*
** Module "eddy.core": makes the runtime of a Lua state and the table of everything that is
** written in C. Scripts require "eddy", whose Lua half adds policy and documentation.
*/
#include "eddy.h"

#include <unistd.h>

#include "bind/coding_lua.h"
#include "bind/pattern_lua.h"
#include "bind/psl_lua.h"
#include "bind/url_lua.h"
#include "core/atomic.h"
#include "core/block.h"
#include "core/class.h"
#include "core/coroutine.h"
#include "core/ending.h"
#include "core/error.h"
#include "core/loop.h"
#include "core/permit.h"
#include "core/place.h"
#include "core/probe.h"
#include "core/run.h"
#include "core/slice.h"
#include "core/time.h"
#include "core/trace.h"
#include "core/var.h"
#include "core/xpcall.h"
#include "host/host.h"
#include "io/io.h"
#include "sync/sync.h"

/*
** core.isatty(fd) --> boolean
*/
static int l_isatty (lua_State *L) {
  lua_pushboolean(L, isatty((int)luaL_checkinteger(L, 1)));
  return 1;
}

/*
** core.checkpoint()
** For waits written in Lua that may have nothing to wait for: raises where waiting is impossible
** or cancelled, and lets others run once the budget of such luck is spent.
*/
static int l_checkpoint (lua_State *L) {
  ed_task *task = ed_checkpoint(L);
  return ed_spend(task->loop) ? 0 : ed_yield_with(L, task, 0);
}

/*
** core.awaitable() --> boolean
** Could the caller wait here?
*/
static int l_awaitable (lua_State *L) {
  ed_task *task = ed_loop_of(L)->current;
  lua_pushboolean(
    L, task != NULL && task->leaf == L && task->barred == 0 && lua_isyieldable(L));
  return 1;
}

/*
** core.cancels(err) --> boolean
** Is this value the cancellation of a scope around the running task?
*/
static int l_cancels (lua_State *L) {
  ed_loop *loop = ed_loop_of(L);
  luaL_checkany(L, 1);
  lua_pushboolean(L,
    loop->current != NULL && ed_cancel_owner(L, loop, loop->current->scope, 1) != NULL);
  return 1;
}

/*
** core.trace(err) --> text | nil
** In a message handler inside a coroutine: what the failure leaves to read. Nil for a
** cancellation, and outside a task.
*/
static int l_trace (lua_State *L) {
  ed_loop *loop = ed_loop_of(L);
  lua_settop(L, 1);
  if (loop->current == NULL) return 0;
  ed_trace_push_coroutine(L, loop, L);
  return 1;
}

/*
** core.raise(err, text)
** Raises 'err' in the running task; 'text' from core.trace, or nil, belongs to it.
*/
static int l_raise (lua_State *L) {
  ed_loop *loop = ed_loop_of(L);
  lua_settop(L, 2);
  lua_pushvalue(L, 1);
  if (loop->current != NULL && lua_isstring(L, 2)) ed_trace_belongs(L, loop, 2);
  return lua_error(L);
}

/*
** core.istask(value) --> boolean
*/
static int l_istask (lua_State *L) {
  luaL_checkany(L, 1);
  lua_pushboolean(L, ed_class_test(L, ed_loop_of(L), 1, ED_CLASS_TASK) != NULL);
  return 1;
}

/*
** core.methods(object) --> the table of methods of its class, for Lua to add policy
*/
static int l_methods (lua_State *L) {
  luaL_checktype(L, 1, LUA_TUSERDATA);
  if (luaL_getmetafield(L, 1, "__methods") == LUA_TNIL
    && luaL_getmetafield(L, 1, "__index") == LUA_TNIL)
    lua_pushnil(L);
  return 1;
}

/*
** core.allocations() --> integer
** How often the system has been asked for memory so far: a warm program does not ask.
*/
static int l_allocations (lua_State *L) {
  lua_pushinteger(L, (lua_Integer)ed_loop_of(L)->mem.asked);
  return 1;
}

/*
** core.library()
** Called once by a module of the library: what lies beside it is the library's own Lua, in which
** no task is preempted.
*/
static int l_library (lua_State *L) {
  ed_place_library(L, ed_loop_of(L));
  return 0;
}

static const luaL_Reg functions[] = {
  {"isatty", l_isatty},
  {"checkpoint", l_checkpoint},
  {"awaitable", l_awaitable},
  {"cancels", l_cancels},
  {"istask", l_istask},
  {"trace", l_trace},
  {"raise", l_raise},
  {"methods", l_methods},
  {"allocations", l_allocations},
  {"library", l_library},
  {NULL, NULL},
};

static void set_versions (lua_State *L) {
  lua_pushliteral(L, EDDY_VERSION);
  lua_setfield(L, -2, "version");
  lua_pushliteral(L, LUA_RELEASE);
  lua_setfield(L, -2, "lua_version");
  lua_pushstring(L, uv_version_string());
  lua_setfield(L, -2, "libuv_version");
}

static void open_kernel (lua_State *L, ed_loop *loop, int box) {
  ed_open_error(L);
  ed_open_task(L, loop, box);
  ed_open_block(L, loop, box);
  ed_open_coroutine(L, loop, box);
  ed_open_time(L, box);
  ed_open_var(L, loop, box);
  ed_open_atomic(L, box);
  ed_open_xpcall(L);
  ed_open_ending(L, box);
  ed_open_run(L, box);
  ed_open_probe(L, box);
  ed_open_permit(L, box);
  ed_open_sync(L, loop, box);
  ed_open_host(L, box);
  ed_setfuncs(L, functions, box);
  set_versions(L);
}

static void open_io (lua_State *L, int box) {
  for (const ed_io_module *module = ed_io_modules; module->name != NULL; module++) {
    module->open(L, box);
    lua_setfield(L, -2, module->name);
  }
  ed_open_url(L, box);
  lua_setfield(L, -2, "url");
  ed_open_pattern(L);
  lua_setfield(L, -2, "pattern");
#ifndef EDDY_NO_HTTP
  ed_open_coding(L, box);
  lua_setfield(L, -2, "coding");
  ed_open_psl(L);
  lua_setfield(L, -2, "is_public_suffix");
#endif
}

int luaopen_eddy_core (lua_State *L) {
  ed_loop *loop;
  luaL_checkversion(L);
  lua_settop(L, 0);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &ed_box_key)
    == LUA_TUSERDATA) /* loaded once more */
    loop = ((ed_box *)lua_touserdata(L, 1))->loop;
  else {
    lua_settop(L, 0);
    loop = ed_loop_new(L);
  }
  if (loop == NULL) return ed_loop_gone(L);
  lua_newtable(L);
  open_kernel(L, loop, 1);
  open_io(L, 1);
  return 1;
}

int eddy_use_loop (lua_State *L, uv_loop_t *uv) {
  ed_loop *loop = NULL;
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &ed_box_key) == LUA_TUSERDATA)
    loop = ((ed_box *)lua_touserdata(L, -1))->loop;
  lua_pop(L, 1);
  return loop != NULL && uv != NULL ? ed_loop_use(loop, uv) : UV_EINVAL;
}
