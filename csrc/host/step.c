/* SPDX-License-Identifier: MIT */
/*
** Driving a runtime from outside: a step with a budget, a run that blocks, the descriptor and
** the timeout for a foreign loop, and the way out.
**
** Lua runs on the state's main thread here, under lua_pcall throughout; a step inside a step is
** refused, so that no callback finds the ready list half done.
*/
#include "host/host.h"

#include <inttypes.h>

#include "sync/waitq.h"

enum {
  ROOM = 32,      /* slots on the main thread's stack that one step may need */
  CLOSING = 65536 /* bytes beyond the limit of memory for closing */
};

int ed_host_protect (eddy *e, lua_State *L, lua_CFunction fn, void *arg, int nargs) {
  int status;
  (void)e;
  if (!lua_checkstack(L, ROOM)) {
    lua_pop(L, nargs);
    return EDDY_ENOMEM;
  }
  lua_pushcfunction(L, fn);
  lua_insert(L, -nargs - 1);
  lua_pushlightuserdata(L, arg);
  lua_insert(L, -nargs - 1);
  status = lua_pcall(L, nargs + 1, 0, 0);
  if (status == LUA_OK) return EDDY_OK;
  lua_pop(L, 1);
  return status == LUA_ERRMEM ? EDDY_ENOMEM : EDDY_ESCRIPT;
}

bool ed_host_must_not_step (const eddy *e) {
  return e->is_stepping || e->loop->current != NULL || e->is_closing;
}

/* Why the runtime cannot be driven now, or EDDY_OK. */
static int check (eddy *e) {
  if (e == NULL) return EDDY_EINVAL;
  if (e->loop == NULL) return EDDY_ECLOSED;
  if (!e->is_attached) return EDDY_EINVAL; /* a script's eddy.run drives it */
  if (ed_host_must_not_step(e)) return EDDY_EREENTRANT;
  return lua_checkstack(e->L, ROOM) ? EDDY_OK : EDDY_ENOMEM;
}

static bool has_ready (const eddy *e) {
  return !e->is_paused && !ed_list_is_empty(&e->loop->ready);
}

void ed_host_finish_step (eddy *e) {
  ed_record_tell_all(e);
  ed_host_keep_alive(e);
  e->is_stepping = false;
}

static int answer (eddy *e) {
  if (has_ready(e) || ed_post_is_waiting(e)) return EDDY_BUSY;
  return e->loop->ntasks > 0 ? EDDY_WAITING : EDDY_IDLE;
}

/* At most as far as the clock goes: UINT64_MAX is without an end. */
static uint64_t end_after (uint64_t ns) {
  uint64_t now = uv_hrtime();
  return ns > UINT64_MAX - now ? UINT64_MAX : now + ns;
}

static void run_tasks (eddy *e, uint64_t end) {
  if (!e->is_paused) ed_host_run_ready(e, end, 1);
}

void ed_host_turn (eddy *e) {
  if (e->is_stepping || e->loop->current != NULL) return;
  if (!lua_checkstack(e->L, ROOM)) return; /* the next turn may have room */
  e->is_stepping = true;
  ed_loop_fire(e->loop);
  run_tasks(e, end_after(1000000));
  ed_host_finish_step(e);
}

int eddy_step (eddy *e, uint64_t budget_ns) {
  uint64_t end = end_after(budget_ns);
  int status = check(e);
  if (status < 0) return status;
  if (e->has_drivers) return EDDY_EINVAL; /* libuv must not be entered twice */
  e->is_stepping = true;
  ed_loop_look(e->loop);
  run_tasks(e, end);
  ed_host_finish_step(e);
  return answer(e);
}

int eddy_frame (eddy *e, int phase, uint64_t dt_ns) {
  ed_link woken, *at;
  int status = check(e);
  if (status < 0) return status;
  if (phase < 0 || phase >= EDDY_PHASES) return EDDY_EINVAL;
  if (e->loop->is_manual && !ed_host_clock_reaches(e, dt_ns)) return EDDY_EINVAL;
  if (e->is_paused) return answer(e);
  ed_journal(e, "frame %d %" PRIu64, phase, dt_ns);
  e->is_stepping = true;
  if (e->loop->is_manual) e->loop->clock += dt_ns;
  e->frame_seconds = (double)dt_ns / 1e9;
  ed_list_init(&woken);
  while ((at = ed_list_shift(&e->frame[phase])) != NULL) ed_list_append(&woken, at);
  while ((at = ed_list_shift(&woken)) != NULL)
    ed_op_complete(&ED_OF(at, ed_waiter, link)->op, 0);
  ed_loop_fire(e->loop);
  ed_host_run_ready(e, UINT64_MAX, 64);
  ed_host_finish_step(e);
  return answer(e);
}

/* ---- a run that blocks ---- */

static bool takes_stop (eddy *e) {
  bool wants;
  uv_mutex_lock(&e->lock);
  wants = e->wants_stop;
  e->wants_stop = false;
  uv_mutex_unlock(&e->lock);
  return wants;
}

static void on_limit (uv_timer_t *timer) { uv_stop(timer->loop); }

/* A turn that may block, but not beyond 'end'. */
void ed_host_wait (eddy *e, uint64_t end) {
  ed_loop *loop = e->loop;
  uint64_t now = uv_hrtime();
  e->is_stepping = true;
  if (has_ready(e) || ed_post_is_waiting(e) || end <= now) ed_loop_look(loop);
  else {
    uint64_t ms = end == UINT64_MAX ? 3600 * 1000 : (end - now) / 1000000 + 1;
    uint64_t timer = ed_loop_until_timer(loop) / 1000000 + 1;
    uv_update_time(loop->uv);
    uv_timer_start(&loop->alarm, on_limit, timer < ms ? timer : ms, 0);
    ed_loop_poll(loop);
    uv_timer_stop(&loop->alarm);
    loop->alarm_due = UINT64_MAX;
    ed_loop_fire(loop);
  }
  run_tasks(e, end_after(200000));
  ed_host_finish_step(e);
}

int eddy_run (eddy *e) {
  int status = check(e);
  if (status < 0) return status;
  if (e->has_drivers) return EDDY_EINVAL;
  while (e->loop->ntasks > 0 || ed_post_is_waiting(e)) {
    if (takes_stop(e)) break;
    ed_host_wait(e, UINT64_MAX);
    if (e->loop == NULL) return EDDY_ECLOSED; /* a callback closed the state */
  }
  takes_stop(e);
  return e->loop->ntasks > 0 ? EDDY_WAITING : EDDY_IDLE;
}

/* ---- a foreign loop ---- */

int eddy_backend_fd (eddy *e) {
  return e != NULL && e->loop != NULL && e->is_attached ? uv_backend_fd(e->loop->uv) : -1;
}

int64_t eddy_next_timeout_ns (eddy *e) {
  uint64_t ns;
  int ms;
  if (e == NULL || e->loop == NULL || !e->is_attached) return -1;
  if (has_ready(e) || ed_post_is_waiting(e)) return 0;
  ns = e->is_paused ? UINT64_MAX : ed_loop_until_timer(e->loop);
  uv_update_time(e->loop->uv);
  ms = uv_loop_alive(e->loop->uv) ? uv_backend_timeout(e->loop->uv) : -1;
  if (ms >= 0 && (uint64_t)ms * 1000000 < ns) ns = (uint64_t)ms * 1000000;
  return ns > INT64_MAX ? -1 : (int64_t)ns;
}

/* ---- the way out ---- */

static void wind_down (eddy *e, uint64_t grace_ns) {
  uint64_t end = end_after(grace_ns);
  ed_scope_cancel(&e->loop->top, ED_BY_END);
  ed_host_keep_alive(e);
  while ((e->loop->ntasks > 0 || e->nops > 0) && uv_hrtime() < end) ed_host_wait(e, end);
}

/* The finalizers of a state that goes as well still find the loop, which lua_close ends. */
static int l_close_loop (lua_State *L) {
  eddy *e = lua_touserdata(L, 1);
  ed_loop *loop = e->loop;
  if (e->owns_state) {
    loop->hosting->closing(e->L, loop);
    ed_loop_drain(L, loop);
    return 0;
  }
  lua_gc(L, LUA_GCCOLLECT); /* what nobody holds goes the ordinary way */
  lua_rawgetp(L, LUA_REGISTRYINDEX, &ed_box_key);
  ed_loop_close(e->L, lua_touserdata(L, -1));
  return 0;
}

/* A script that has used up its memory does not keep the runtime from closing. */
static void make_room (eddy *e) {
  if (e->config.mem_limit == 0 || e->config.mem_limit > SIZE_MAX - CLOSING) return;
  e->config.mem_limit += CLOSING;
  e->loop->mem.limit = e->config.mem_limit;
}

int eddy_close (eddy *e, uint64_t grace_ns) {
  int killed, status;
  if (e == NULL) return EDDY_EINVAL;
  if (e->loop == NULL) return 0;
  if (!e->is_attached) return EDDY_EINVAL;
  if (ed_host_must_not_step(e)) return EDDY_EREENTRANT;
  eddy_retain(e);
  eddy_pause(e, 0);
  ed_journal(e, "close");
  e->is_closing = true;
  if (grace_ns > 0 && lua_checkstack(e->L, ROOM)) wind_down(e, grace_ns);
  killed = (int)e->loop->ntasks;
  make_room(e);
  status = ed_host_protect(e, e->L, l_close_loop, e, 0);
  if (!e->is_down)
    e->is_closing = false; /* no room to begin: the next call may have it */
  else if (e->owns_state) {
    lua_State *L = e->L;
    e->L = NULL;
    lua_close(L);
  }
  eddy_release(e);
  return status < 0 ? status : killed;
}
