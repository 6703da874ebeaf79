/* SPDX-License-Identifier: MIT */
/*
** EDDY_SANDBOX: from the config of a host to the permits of its loop, and a state whose scripts
** are shut in (lua/eddy/sandbox.lua says how). In the archive only, as eddy_new is.
*/
#include <lauxlib.h>

#include "host/host.h"

static bool ask (void *host, uint32_t cap, const char *target) {
  eddy *e = host;
  return e->config.access(e, (int)cap, target, e->config.userdata) != 0;
}

static void hold (void *host) { eddy_retain(host); }

static void let_go (void *host) { eddy_release(host); }

/* "eddy.core" is loaded, the library's files are in package.preload. */
static void confine (lua_State *L) {
  lua_getglobal(L, "require");
  lua_pushliteral(L, "eddy.sandbox");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "confine");
  lua_call(L, 0, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &ed_library_key);
  lua_pop(L, 1);
}

void ed_sandbox_close (eddy *e, lua_State *L) {
  ed_permits *permits = &e->permits;
  permits->caps = e->config.caps;
  permits->ask = e->config.access != NULL ? ask : NULL;
  permits->hold = hold;
  permits->release = let_go;
  permits->host = e;
  permits->memory = e->config.mem_limit;
  permits->confine = confine;
  e->loop->permits = permits;
  confine(L);
}
