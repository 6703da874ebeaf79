/* SPDX-License-Identifier: MIT */
/*
** Making states, running jobs in them, stopping them.
**
** Stopping: a hook, set by the interrupt on this thread for every coroutine that is being run,
** raises an error. Code that catches it goes on for some instructions, so that '<close>' variables
** can do their work, and is told again; after a while every instruction raises, so that no 'pcall'
** keeps a loop alive. A wait of an eddy.run in here is woken and its root task cancelled.
*/
#include "io/worker.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdlib.h>
#include <string.h>

#include "compat.h"
#include "core/class.h"
#include "core/coroutine.h"
#include "core/error.h"
#include "eddy.h"

enum {
  GRACE = 10000, /* instructions between two errors of a stop */
  PATIENCE = 50  /* errors; after that there is one at every instruction */
};

/* Registry key, by address: the traceback of the latest error. */
static const char traceback_key = 0;

/* ---- memory ---- */

static void *allocate (void *data, void *block, size_t old, size_t size) {
  ed_worker *w = data;
  void *moved;
  if (block == NULL) old = 0; /* it is a type then */
  if (size == 0) {
    free(block);
    w->bytes -= old;
    return NULL;
  }
  if (size > old && w->setup->memory != 0 && size - old > w->setup->memory - w->bytes)
    return NULL;
  moved = realloc(block, size);
  if (moved != NULL) w->bytes += size - old;
  return moved;
}

/* ---- stopping ---- */

static void stop_hook (lua_State *L, lua_Debug *at) {
  ed_worker *w = NULL;
  (void)at;
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &ed_box_key) == LUA_TUSERDATA
    && ((ed_box *)lua_touserdata(L, -1))->loop != NULL)
    w = ((ed_box *)lua_touserdata(L, -1))->loop->worker;
  lua_pop(L, 1);
  lua_sethook(
    L, stop_hook, LUA_MASKCOUNT, w != NULL && ++w->raises < PATIENCE ? GRACE : 1);
  luaL_error(L, "stopped: nobody waits for this any more");
}

static void set_hook (lua_State *L) { lua_sethook(L, stop_hook, LUA_MASKCOUNT, 1); }

/* In a signal handler, on the worker's thread. */
static bool act_on_interrupt (ed_interruptible *who) {
  ed_worker *w = (ed_worker *)who;
  const ed_task *task;
  if (!w->is_in_lua || !atomic_load(&w->is_stopping)) return false;
  set_hook(w->L);
  if (w->loop == NULL) return true;
  for (const ed_resumed *at = w->loop->resumed; at != NULL; at = at->outer)
    set_hook(at->co);
  task = w->loop->current;
  if (task != NULL) set_hook(task->co);
  if (w->has_wake) uv_async_send(&w->wake);
  return true;
}

/* A wait of this state's eddy.run is over: its tasks are to end. */
static void on_wake (uv_async_t *wake) {
  ed_worker *w = wake->data;
  ed_loop *loop = w->loop;
  loop->progress++;
  if (atomic_load(&w->is_stopping) && loop->is_running && loop->root != NULL
    && !ed_task_has_ended(loop->root))
    ed_task_cancel(loop->root, ED_BY_END);
}

static void open_wake (ed_loop *loop) {
  ed_worker *w = loop->worker;
  w->wake.data = w;
  if (uv_async_init(loop->uv, &w->wake, on_wake) < 0) return;
  uv_unref((uv_handle_t *)&w->wake);
  w->has_wake = true;
}

static void close_wake (ed_loop *loop) {
  ed_worker *w = loop->worker;
  if (w->has_wake) uv_close((uv_handle_t *)&w->wake, NULL);
  w->has_wake = false;
}

/* ---- making a state ---- */

static void set_preload (lua_State *L, const ed_worker_setup *setup) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  for (size_t i = 0; i < setup->npreload; i++) {
    const ed_preload *entry = &setup->preload[i];
    if (entry->has_data) lua_pushlightuserdata(L, entry->data);
    lua_pushcclosure(L, entry->open, entry->has_data);
    lua_setfield(L, -2, entry->name);
  }
  lua_pop(L, 1);
}

static void open_runtime (lua_State *L, ed_worker *w) {
  luaL_requiref(L, "eddy.core", luaopen_eddy_core, 0);
  lua_pop(L, 1);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &ed_box_key);
  w->loop = ((ed_box *)lua_touserdata(L, -1))->loop;
  lua_pop(L, 1);
  w->loop->worker = w;
  if (w->setup->is_confined) w->loop->permits = &w->setup->permits;
  w->loop->on_start = open_wake;
  w->loop->on_stop = close_wake;
  ed_coroutine_install(L, w->loop, true); /* ours tell which coroutine runs */
}

/* (worker): what every worker has, then what the script wants it to have. */
static int l_prepare (lua_State *L) {
  ed_worker *w = lua_touserdata(L, 1);
  luaL_openlibs(L);
  set_preload(L, w->setup);
  open_runtime(L, w);
  lua_settop(L, 0);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, 1, LUA_LOADLIBNAME);
  ed_transfer_unpack(L, w->setup->values.at, w->setup->values.size);
  lua_setfield(L, 2, "cpath");
  lua_setfield(L, 2, "path");
  if (w->setup->is_confined) w->setup->permits.confine(L);
  if (!lua_isnil(L, 3)) lua_call(L, 0, 0); /* worker_init */
  return 0;
}

/* ---- running a job ---- */

/* Keep where it happened; the value itself passes on unchanged. */
static int l_keep_traceback (lua_State *L) {
  bool has_text = false;
  lua_settop(L, 1);
  if (ed_error_is(L, 1)) {
    lua_getfield(L, 1, "traceback");
    has_text = lua_type(L, 2) == LUA_TSTRING;
    if (has_text) lua_pushliteral(L, "\n");
    else lua_pop(L, 1);
  }
  luaL_traceback(L, L, "in a worker", 1);
  if (has_text) lua_concat(L, 3);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &traceback_key);
  return 1;
}

/* (job): run it and pack its results. */
static int l_run_job (lua_State *L) {
  const ed_bytes *job = lua_touserdata(L, 1);
  ed_worker *w = lua_touserdata(L, 2);
  int n;
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &traceback_key); /* of the job before */
  n = ed_transfer_unpack_job(L, job->at, job->size);
  lua_call(L, n - 1, LUA_MULTRET);
  if ((n = lua_gettop(L) - 2) == 0) return 0; /* no bytes say that as well */
  ed_transfer_pack(L, 3, n, "result");
  w->answer->values = ed_transfer_take(L, -1);
  return 0;
}

static int l_pack_pair (lua_State *L) {
  ed_transfer_pack(L, 1, 2, "error");
  return 1;
}

static int l_to_text (lua_State *L) {
  luaL_tolstring(L, 1, NULL);
  return 1;
}

/* Replace the error at 1, which cannot travel because of 'why', by one that tells of it. */
static void replace_error (lua_State *L, const char *why) {
  lua_pushcfunction(L, l_to_text);
  lua_pushvalue(L, 1);
  if (lua_pcall(L, 1, 1, 0) != LUA_OK) {
    lua_pop(L, 1);
    lua_pushfstring(L, "an error that is a %s", luaL_typename(L, 1));
  }
  lua_pushfstring(L, "%s (%s)", lua_tostring(L, -1), why);
  ed_error_push(L, "worker", NULL, NULL, NULL, lua_tostring(L, -1));
  lua_replace(L, 1);
}

/* (error, worker): pack it with its traceback. */
static int l_pack_error (lua_State *L) {
  ed_worker *w = lua_touserdata(L, 2);
  lua_settop(L, 1);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &traceback_key);
  lua_pushcfunction(L, l_pack_pair);
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 2);
  if (lua_pcall(L, 2, 1, 0) != LUA_OK) {
    replace_error(L, lua_isstring(L, -1) ? lua_tostring(L, -1) : "it cannot be sent");
    lua_settop(L, 2);
    ed_transfer_pack(L, 1, 2, "error");
  }
  w->answer->values = ed_transfer_take(L, -1);
  return 0;
}

/* Call a C function with two light arguments below the handler; its error is left on top. */
static int call_protected (
  ed_worker *w, lua_CFunction f, const void *first, lua_CFunction handler) {
  lua_State *L = w->L;
  int status;
  lua_settop(L, 0);
  lua_pushcfunction(L, handler);
  lua_pushcfunction(L, f);
  lua_pushlightuserdata(L, (void *)first);
  lua_pushlightuserdata(L, w);
  w->is_in_lua = true;
  status = lua_pcall(L, 2, 0, 1);
  w->is_in_lua = false;
  return status;
}

static void answer_error (ed_worker *w, int status) {
  lua_State *L = w->L;
  w->answer->outcome = ED_JOB_FAILED;
  if (status != LUA_ERRMEM) {
    lua_pushcfunction(L, l_pack_error);
    lua_insert(L, -2);
    lua_pushlightuserdata(L, w);
    w->is_in_lua = true;
    status = lua_pcall(L, 2, 0, 0);
    w->is_in_lua = false;
    if (status == LUA_OK) return;
  }
  w->answer->outcome = ED_JOB_MEMORY;
}

static int open_state (ed_worker *w) {
  w->bytes = 0;
  w->L = ed_lua_newstate(allocate, w);
  if (w->L == NULL) return LUA_ERRMEM;
  return call_protected(w, l_prepare, w, l_keep_traceback);
}

void ed_worker_run (ed_worker *w, const ed_bytes *job, ed_answer *answer) {
  bool is_new = w->L == NULL;
  int status = LUA_OK;
  memset(answer, 0, sizeof *answer);
  w->answer = answer;
  w->raises = 0;
  if (is_new) status = open_state(w);
  if (status == LUA_OK) {
    is_new = false;
    status = call_protected(w, l_run_job, job, l_keep_traceback);
  }
  if (w->L == NULL) answer->outcome = ED_JOB_MEMORY;
  else if (atomic_load(&w->is_stopping)) answer->outcome = ED_JOB_STOPPED;
  else if (status != LUA_OK) answer_error(w, status);
  if (w->L != NULL) lua_settop(w->L, 0);
  if (is_new || answer->outcome == ED_JOB_MEMORY) ed_worker_close(w);
}

void ed_worker_close (ed_worker *w) {
  lua_State *L = w->L;
  if (L == NULL) return;
  lua_sethook(L, NULL, 0, 0);
  lua_close(L);
  w->L = NULL;
  w->loop = NULL;
}

void ed_worker_init (ed_worker *w, const ed_worker_setup *setup) {
  w->interruptible.act = act_on_interrupt;
  w->setup = setup;
  atomic_init(&w->is_stopping, 0);
}

/* ---- the setup ---- */

static bool add_preload (lua_State *L, ed_worker_setup *setup, const char *name) {
  ed_preload entry = {NULL, lua_tocfunction(L, -1), NULL, false};
  ed_preload *list = setup->preload;
  if (lua_getupvalue(L, -1, 1) != NULL) {
    entry.has_data = lua_islightuserdata(L, -1);
    entry.data = lua_touserdata(L, -1);
    lua_pop(L, 1);
    if (!entry.has_data) return true; /* it belongs to this state */
    if (lua_getupvalue(L, -1, 2) != NULL) return lua_pop(L, 1), true;
  }
  list = realloc(list, (setup->npreload + 1) * sizeof *list);
  if (list == NULL) return false;
  setup->preload = list;
  if ((entry.name = strdup(name)) == NULL) return false;
  list[setup->npreload++] = entry;
  return true;
}

/* Modules that are linked into this program, and have no file that a worker could find. */
static bool add_preloads (lua_State *L, ed_worker_setup *setup) {
  bool ok = true;
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
    if (lua_type(L, -2) == LUA_TSTRING && lua_iscfunction(L, -1))
      ok = ok && add_preload(L, setup, lua_tostring(L, -2));
  lua_pop(L, 1);
  return ok;
}

void ed_worker_setup_confine (ed_worker_setup *setup, const ed_permits *permits) {
  setup->permits = *permits;
  setup->is_confined = true;
  permits->hold(permits->host);
  if (permits->memory > 0 && (setup->memory == 0 || permits->memory < setup->memory))
    setup->memory = permits->memory;
}

void ed_worker_setup_free (ed_worker_setup *setup) {
  if (setup == NULL) return;
  if (setup->is_confined) setup->permits.release(setup->permits.host);
  for (size_t i = 0; i < setup->npreload; i++) free(setup->preload[i].name);
  free(setup->preload);
  free(setup->values.at);
  free(setup);
}

ed_worker_setup *ed_worker_setup_new (lua_State *L, int init, size_t memory) {
  ed_worker_setup *setup;
  int top = lua_gettop(L);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, -1, LUA_LOADLIBNAME);
  luaL_checktype(L, -1, LUA_TTABLE);
  lua_pushvalue(L, init);
  lua_getfield(L, -2, "path");
  lua_getfield(L, -3, "cpath");
  ed_transfer_pack(L, top + 3, 3, "worker_init");
  setup = calloc(1, sizeof *setup);
  if (setup == NULL || !add_preloads(L, setup)) {
    ed_worker_setup_free(setup);
    luaL_error(L, "not enough memory");
  }
  setup->values = ed_transfer_take(L, top + 6);
  setup->memory = memory;
  lua_settop(L, top);
  return setup;
}
