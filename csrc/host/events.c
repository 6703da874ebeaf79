/* SPDX-License-Identifier: MIT */
/*
** What scripts hear from the host: frames and named events.
**
** A wait for a frame is a link in the list of its phase and costs nothing but itself. Events go
** through one Lua function, which the Lua half (eddy.host) sets when a script first listens;
** until then nobody hears them.
*/
#include "core/class.h"
#include "host/host.h"
#include "sync/waitq.h"

static const char listener_key = 0; /* registry: function(name, ...) */

/* ---- frames ---- */

static int finish_frame (lua_State *L, ed_op *op) {
  lua_pushnumber(L, op->loop->host->frame_seconds);
  return 1;
}

static const ed_optype frame_type = {
  .name = "frame",
  .finish = finish_frame,
  .cancel = ed_waitq_cancel,
  .drop = ed_drop_plain,
};

/*
** eddy.frame([phase]) --> seconds
** Awaits the next frame's phase (default 0) and returns how long the host says it is. Raises
** where no host makes frames. Cancelling leaves no trace.
*/
static int l_frame (lua_State *L) {
  lua_Integer phase = luaL_optinteger(L, 1, 0);
  eddy *e = ed_loop_of(L)->host;
  ed_waiter *waiter;
  luaL_argcheck(L, phase >= 0 && phase < EDDY_PHASES, 1, "phase out of range");
  if (e == NULL || !e->is_attached) return luaL_error(L, "no host makes frames here");
  waiter = ed_op_new(L, &frame_type, sizeof *waiter);
  ed_list_init(&waiter->link);
  ed_waitq_join(&e->frame[phase], waiter);
  return ed_await(L, &waiter->op, 0);
}

/* ---- events ---- */

/*
** core.listen(fn)
** fn(name, ...) gets every event of the host from now on.
*/
static int l_listen (lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &listener_key);
  return 0;
}

typedef struct event {
  const char *name;
  int (*push)(lua_State *L, void *ud);
  void *ud;
  eddy *host;
} event;

/* (event) */
static int l_emit (lua_State *L) {
  event *v = lua_touserdata(L, 1);
  int n = 0, top;
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &listener_key) != LUA_TFUNCTION) return 0;
  lua_pushstring(L, v->name);
  top = lua_gettop(L);
  if (v->push != NULL) n = v->push(L, v->ud);
  if (n < 0 || lua_gettop(L) < top + n) return luaL_error(L, "bad number of values");
  while (lua_gettop(L) > top + n) lua_remove(L, top + 1); /* what it left below them */
  lua_call(L, n + 1, 0);
  return 0;
}

int eddy_emit (eddy *e, const char *name, int (*push)(lua_State *L, void *ud), void *ud) {
  event v = {name, push, ud, e};
  if (e == NULL || name == NULL) return EDDY_EINVAL;
  if (e->loop == NULL || e->is_down) return EDDY_ECLOSED;
  ed_journal(e, "emit %s", name);
  return ed_host_protect(e, e->L, l_emit, &v, 0);
}

static const luaL_Reg functions[] = {
  {"frame", l_frame},
  {"listen", l_listen},
  {NULL, NULL},
};

void ed_open_host (lua_State *L, int box) { ed_setfuncs(L, functions, box); }
