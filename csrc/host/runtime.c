/* SPDX-License-Identifier: MIT */
/*
** The life of the block behind 'eddy', its handles in the uv loop, and what the loop asks it.
**
** The way down has one order, whether the host closes or lua_close does: tasks are killed and
** the host is told; the queue is shut and run for the last time; operations that still have no
** answer are destroyed; our handles leave the uv loop. The block stays for whoever holds it.
*/
#include "host/host.h"

#include <stdlib.h>
#include <string.h>

#include "core/place.h"
#include "core/trace.h"

/* ---- references ---- */

eddy *ed_host_new (void) {
  eddy *e = calloc(1, sizeof *e);
  if (e == NULL) return NULL;
  if (uv_mutex_init(&e->lock) != 0) {
    free(e);
    return NULL;
  }
  e->refs = 1;
  e->scale = 1;
  ed_list_init(&e->queue);
  ed_list_init(&e->finished);
  ed_list_init(&e->groups);
  ed_list_init(&e->ops);
  for (int i = 0; i < EDDY_PHASES; i++) ed_list_init(&e->frame[i]);
  return e;
}

void eddy_retain (eddy *e) {
  if (e == NULL) return;
  uv_mutex_lock(&e->lock);
  e->refs++;
  uv_mutex_unlock(&e->lock);
}

void eddy_release (eddy *e) {
  bool is_last;
  if (e == NULL) return;
  uv_mutex_lock(&e->lock);
  is_last = --e->refs == 0;
  uv_mutex_unlock(&e->lock);
  if (!is_last) return;
  uv_mutex_destroy(&e->lock);
  free(e->slot);
  free(e);
}

/* ---- structs of callers with another version of the header ---- */

bool ed_host_read_struct (
  void *to, size_t room, const void *from, size_t size, size_t least) {
  const unsigned char *bytes = from;
  if (size < least) return false;
  for (size_t i = room; i < size; i++)
    if (bytes[i] != 0) return false;
  memcpy(to, from, size < room ? size : room);
  return true;
}

/* ---- handles ---- */

static void on_posted (uv_async_t *async) { /* posts are run once a turn, in order */
  ((eddy *)async->data)->loop->progress++;
}

static void on_idle (uv_idle_t *idle) { (void)idle; }

/* The one place where tasks are resumed inside uv_run: after the poll, below no callback of ours
   that libuv would miss a return from. */
static void turn_after_poll (uv_check_t *check) { ed_host_turn(check->data); }

static bool has_work (eddy *e) {
  if (ed_post_is_waiting(e)) return true;
  return !e->is_paused
    && (!ed_list_is_empty(&e->loop->ready) || ed_loop_until_timer(e->loop) == 0);
}

/* Before the poll of a host that turns libuv: it must not sleep over our timers and tasks. */
static void on_prepare (uv_prepare_t *prepare) {
  eddy *e = prepare->data;
  bool has = !e->is_stepping && has_work(e);
  if (!e->is_stepping) ed_loop_arm(e->loop);
  if (has) uv_idle_start(&e->idle, on_idle);
  else uv_idle_stop(&e->idle);
}

static void open_drivers (eddy *e, uv_loop_t *uv) {
  uv_prepare_init(uv, &e->prepare);
  uv_check_init(uv, &e->check);
  uv_idle_init(uv, &e->idle);
  e->prepare.data = e->check.data = e->idle.data = e;
  uv_prepare_start(&e->prepare, on_prepare);
  uv_check_start(&e->check, turn_after_poll);
  uv_unref((uv_handle_t *)&e->prepare);
  uv_unref((uv_handle_t *)&e->check);
  e->has_drivers = true;
}

int ed_host_open (eddy *e, ed_loop *loop) {
  int status = uv_async_init(loop->uv, &e->async, on_posted);
  if (status < 0) return status;
  e->async.data = e;
  uv_unref((uv_handle_t *)&e->async);
  if (e->config.flags & EDDY_DRIVEN) open_drivers(e, loop->uv);
  loop->is_driven = e->has_drivers;
  e->loop = loop;
  loop->host = e;
  loop->hosting = &ed_host_hooks;
  e->refs++; /* of the loop */
  e->is_open = true;
  ed_host_keep_alive(e);
  return 0;
}

void ed_host_keep_alive (eddy *e) {
  bool is_own = e->loop->uv == &e->loop->own;
  uv_handle_t *async = (uv_handle_t *)&e->async;
  if (e->is_attached && (is_own || e->loop->ntasks > 0)) uv_ref(async);
  else uv_unref(async);
}

/* Each handle holds a reference until libuv lets go of it; a loop that is left behind keeps it. */
static void on_closed (uv_handle_t *handle) { eddy_release(handle->data); }

static void close_handle (eddy *e, uv_handle_t *handle) {
  eddy_retain(e);
  uv_close(handle, on_closed);
}

static void close_handles (eddy *e) {
  close_handle(e, (uv_handle_t *)&e->async);
  if (!e->has_drivers) return;
  close_handle(e, (uv_handle_t *)&e->prepare);
  close_handle(e, (uv_handle_t *)&e->check);
  close_handle(e, (uv_handle_t *)&e->idle);
}

/* ---- what the loop asks ---- */

static void posted (ed_loop *loop) { ed_post_run_all(loop->host); }

static bool report (lua_State *L, ed_loop *loop) {
  eddy *e = loop->host;
  const char *traceback = NULL;
  if (e->config.on_error == NULL && !ed_is_sandbox(e)) return false;
  if (lua_isuserdata(L, 2)) {
    ed_trace_push(L, loop, 2);
    traceback = lua_tostring(L, -1);
  }
  ed_host_report(e, L, 0, 1, traceback);
  return true;
}

static void closing (lua_State *L, ed_loop *loop) {
  eddy *e = loop->host;
  lua_State *before = loop->L;
  e->is_closing = e->is_down = true;
  loop->L = L;
  ed_loop_kill_all(loop);
  ed_host_cancel_ops(e);
  ed_record_tell_all(e);
  ed_post_close(e);
  ed_record_tell_all(e);
  ed_host_drop_ops(e);
  ed_record_free_all(e);
  ed_group_free_all(e);
  close_handles(e);
  loop->L = before;
  loop->is_running = false;
  loop->hosting = NULL;
  loop->is_forsaken = true;
  loop->host = NULL;
  e->loop = NULL;
  if (!e->owns_state) e->L = NULL;
  loop->mem.limit = 0; /* 'e' may go before the loop does */
  eddy_release(e);
}

static ed_overrun overrun (ed_loop *loop, ed_task *task, uint64_t ns, const char *place) {
  eddy *e = loop->host;
  int answer = EDDY_OVERRUN_YIELD;
  if (e->config.on_overrun != NULL)
    answer = e->config.on_overrun(e, ed_record_id(task), ns, place, e->config.userdata);
  if (answer == EDDY_OVERRUN_KILL) return ED_OVERRUN_KILL;
  return answer == EDDY_OVERRUN_GO_ON ? ED_OVERRUN_GO_ON : ED_OVERRUN_YIELD;
}

const ed_hosting ed_host_hooks = {posted, report, closing, overrun};

/* ---- finding it ---- */

static ed_loop *loop_of (lua_State *L) {
  ed_box *box = NULL;
  if (!lua_checkstack(L, 1)) return NULL;
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &ed_box_key) == LUA_TUSERDATA)
    box = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return box != NULL ? box->loop : NULL;
}

eddy *eddy_of (lua_State *L) {
  ed_loop *loop = L != NULL ? loop_of(L) : NULL;
  return loop != NULL ? loop->host : NULL;
}

eddy *ed_host_of (lua_State *L) {
  ed_loop *loop = loop_of(L);
  eddy *e;
  int status;
  if (loop == NULL) luaL_error(L, "cannot await: eddy is not loaded, or closed");
  if (loop->host != NULL) return loop->host;
  if (!loop->is_running)
    ed_place_error(L, loop, "cannot await outside a task; use eddy.run");
  if ((e = ed_host_new()) == NULL) luaL_error(L, "not enough memory");
  if ((status = ed_host_open(e, loop)) < 0) {
    eddy_release(e);
    luaL_error(L, "cannot await: %s", uv_strerror(status));
  }
  eddy_release(e); /* the loop's reference is the only one */
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  e->L = lua_tothread(L, -1);
  lua_pop(L, 1);
  return e;
}

lua_State *eddy_lua (eddy *e) { return e != NULL && e->loop != NULL ? e->L : NULL; }

struct uv_loop_s *eddy_loop (eddy *e) {
  return e != NULL && e->loop != NULL ? e->loop->uv : NULL;
}

void *eddy_userdata (eddy *e) { return e != NULL ? e->config.userdata : NULL; }

/* ---- constants ---- */

const char *eddy_version (void) { return EDDY_VERSION; }

int eddy_abi (void) { return EDDY_ABI; }

const char *eddy_strerror (int code) {
  static const char *const texts[] = {
    "no error",
    "invalid argument",
    "not enough memory",
    "the runtime is closed",
    "no such task, group or operation any more",
    "limit reached",
    "not permitted",
    "a script failed",
    "cancelled",
    "wrong thread",
    "not while the runtime is stepping",
  };
  int number = code <= 0 && code > -(int)(sizeof texts / sizeof *texts) ? -code : -1;
  return number >= 0 ? texts[number] : "unknown code";
}
