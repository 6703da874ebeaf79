/* SPDX-License-Identifier: MIT */
/*
** eddy_new: a runtime for a state of the host's, or for one of our own with a limit of memory.
** In the archive only, not in the module: it brings the Lua half of the library along.
**
** Everything that can fail comes before the last step, and undoes itself.
*/
#include <stdlib.h>
#include <string.h>

#include <lualib.h>

#include "compat.h"
#include "core/coroutine.h"
#include "core/run.h"
#include "core/slice.h"
#include "host/host.h"

/* ---- config ---- */

int eddy_config_init (eddy_config *config, size_t size) {
  if (config == NULL || size < offsetof(eddy_config, loop)) return EDDY_EINVAL;
  memset(config, 0, size);
  config->size = size;
  return EDDY_OK;
}

static bool is_coherent (const eddy_config *config, const lua_State *L) {
  bool is_sandbox = (config->flags & EDDY_SANDBOX) != 0;
  if (config->flags & ~(uint32_t)(EDDY_DRIVEN | EDDY_SANDBOX)) return false;
  if ((config->flags & EDDY_DRIVEN) && config->loop == NULL) return false;
  if (config->clock != EDDY_CLOCK_REAL && config->clock != EDDY_CLOCK_MANUAL)
    return false;
  if (L != NULL && (config->alloc != NULL || config->mem_limit != 0))
    return false; /* they would have no effect on a state that is there */
  if (is_sandbox) return L == NULL && (config->caps & ~(uint32_t)EDDY_CAP_ALL) == 0;
  return config->caps == 0 && config->access == NULL; /* was the flag forgotten? */
}

static int read_config (eddy_config *to, const eddy_config *from, const lua_State *L) {
  memset(to, 0, sizeof *to);
  if (from == NULL) return EDDY_OK;
  if (!ed_host_read_struct(to, sizeof *to, from, from->size, offsetof(eddy_config, loop)))
    return EDDY_EINVAL;
  return is_coherent(to, L) ? EDDY_OK : EDDY_EINVAL;
}

/* ---- a state of our own ---- */

static void *plain_alloc (void *ud, void *block, size_t old, size_t size) {
  (void)ud, (void)old;
  if (size > 0) return realloc(block, size);
  free(block);
  return NULL;
}

/* The runtime's own memory counts too, once it is there. */
static bool is_full (const eddy *e, size_t more) {
  size_t limit = e->config.mem_limit, used = e->used;
  if (limit == 0) return false;
  if (e->loop != NULL) used += e->loop->mem.bytes;
  return used > limit || more > limit - used;
}

/* Counts what Lua holds; a request beyond the limit is answered as if memory had run out. */
static void *limited_alloc (void *ud, void *block, size_t old, size_t size) {
  eddy *e = ud;
  void *moved;
  if (block == NULL) old = 0; /* it tells the kind of object then */
  if (size > old && is_full(e, size - old)) return NULL;
  moved = e->config.alloc(e->config.alloc_ud, block, old, size);
  if (moved == NULL && size > 0) return NULL;
  e->used = e->used - old + size;
  return moved;
}

static lua_State *new_state (eddy *e) {
  if (e->config.alloc == NULL) e->config.alloc = plain_alloc;
  e->owns_state = true;
  return ed_lua_newstate(limited_alloc, e);
}

/* What the runtime takes for itself is under the limit as well. */
static void share_limit (eddy *e, ed_loop *loop) {
  loop->mem.beside = &e->used;
  loop->mem.limit = e->config.mem_limit;
}

/* ---- attaching ---- */

/* Where there is a library with random numbers. */
static void seed_random (lua_State *L, uint64_t seed) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (lua_getfield(L, -1, LUA_MATHLIBNAME) == LUA_TTABLE
    && lua_getfield(L, -1, "randomseed") == LUA_TFUNCTION) {
    lua_pushinteger(L, (lua_Integer)seed);
    lua_call(L, 1, 0);
  }
}

static int l_attach (lua_State *L) {
  eddy *e = lua_touserdata(L, 1);
  ed_box *box;
  luaL_checkversion(L);
  if (e->owns_state) luaL_openlibs(L);
  eddy_preload(L);
  luaL_requiref(L, "eddy.core", luaopen_eddy_core, 0);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &ed_box_key);
  box = lua_touserdata(L, -1);
  if (box == NULL || box->loop == NULL) return ed_loop_gone(L);
  e->loop = box->loop;
  if (e->config.seed != 0) seed_random(L, e->config.seed);
  if (e->owns_state) share_limit(e, e->loop);
  if (!ed_config_is_off(L, e->loop, "coroutine")) ed_coroutine_install(L, e->loop, true);
  if (ed_is_sandbox(e)) ed_sandbox_close(e, L);
  return 0;
}

/* What the config says stands beside what a script has said to eddy.config. */
static bool set_policy (const eddy_config *config, ed_loop *loop) {
  ed_policy policy = ed_slice_policy(loop);
  if (config->slice_ns != 0) policy.slice = config->slice_ns;
  if (config->warn_ns != 0) policy.warn = config->warn_ns;
  policy.kill_after = config->kill_after_ns;
  return ed_slice_set(loop, &policy);
}

/* The loop is found; from here on nothing of Lua can fail. */
static int open_loop (eddy *e, ed_loop *loop) {
  int status = EDDY_OK;
  e->loop = NULL;
  if (loop->is_running || loop->host != NULL) return EDDY_EINVAL;
  if (e->config.loop != NULL) status = ed_loop_use(loop, e->config.loop);
  if (status < 0) return EDDY_EINVAL; /* it has run on another one */
  if (!set_policy(&e->config, loop)) return EDDY_ENOMEM;
  if (ed_loop_start(loop) < 0 || ed_slice_start(loop) < 0) return EDDY_ENOMEM;
  e->is_attached = true;
  if (ed_host_open(e, loop) < 0) return EDDY_ENOMEM;
  loop->L = e->L;
  loop->is_running = true;
  loop->root = NULL;
  if (e->config.clock == EDDY_CLOCK_MANUAL) {
    loop->is_manual = loop->is_by_hand = true;
    loop->clock = 0;
  }
  loop->now = e->began = ed_loop_now(loop);
  return EDDY_OK;
}

static int attach (eddy *e, lua_State *L) {
  int status;
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  e->L = lua_tothread(L, -1);
  lua_pop(L, 1);
  status = ed_host_protect(e, L, l_attach, e, 0);
  return status == EDDY_OK ? open_loop(e, e->loop) : status;
}

int eddy_new (eddy **made, lua_State *L, const eddy_config *config) {
  eddy *e;
  int status;
  bool is_own = L == NULL;
  if (made == NULL) return EDDY_EINVAL;
  *made = NULL;
  if (!is_own && (eddy_of(L) != NULL || !lua_checkstack(L, LUA_MINSTACK)))
    return EDDY_EINVAL;
  if ((e = ed_host_new()) == NULL) return EDDY_ENOMEM;
  status = read_config(&e->config, config, L);
  if (status == EDDY_OK && is_own && (L = new_state(e)) == NULL) status = EDDY_ENOMEM;
  if (status == EDDY_OK) status = attach(e, L);
  if (status == EDDY_OK) {
    *made = e;
    return EDDY_OK;
  }
  e->loop = NULL; /* it goes with the state */
  if (is_own && L != NULL) lua_close(L);
  eddy_release(e);
  return status;
}
