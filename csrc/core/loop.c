/* SPDX-License-Identifier: MIT */
/*
** The life of the runtime and the turn of the loop.
**
** Why the turn is as it is: one uv_run costs as much as four task switches, so the ready list
** is drained first, for at most a slice of time, and I/O is looked at between slices. Looking
** at the clock costs half a switch, so it is done once in a batch of resumes.
**
** The way down, in order: tasks are killed (their '<close>' variables run while everything
** they refer to still works), workers are stopped, then handles are closed, then libuv runs
** until it has let go of all of them, then its loop is closed. A thread of the pool that does not
** come back within the grace makes us leave the loop behind: a small leak instead of a write into
** freed memory.
*/
#include "core/loop.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "core/block.h"
#include "core/handle.h"
#include "core/limits.h"
#include "core/place.h"
#include "core/probe.h"
#include "core/slice.h"

const char ed_box_key = 0;

enum {
  BATCH = 32,           /* resumes between two looks at the clock */
  MOMENT_MS = 2,        /* of waiting for sockets before a manual clock jumps */
  DRAIN_NS = 1000000000 /* how long we wait for libuv to let go at the end */
};

static const uint64_t slice_ns = 200000; /* of resuming between two looks at I/O */
static const uint64_t far_away_ms = 3600
  * 1000; /* an alarm that only keeps libuv waiting */

int ed_loop_gone (lua_State *L) { return luaL_error(L, "eddy is closed"); }

/* ---- birth ---- */

static int new_table_ref (lua_State *L, const char *mode) {
  lua_newtable(L);
  if (mode != NULL) {
    lua_newtable(L);
    lua_pushstring(L, mode);
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
  }
  return luaL_ref(L, LUA_REGISTRYINDEX);
}

static void init_lists (ed_loop *loop) {
  ed_list_init(&loop->ready);
  ed_list_init(&loop->sweep);
  ed_list_init(&loop->handles);
  ed_list_init(&loop->closed);
  ed_scope_push(&loop->top, NULL, NULL, ED_SCOPE_TOP);
}

static void init_tables (lua_State *L, ed_loop *loop) {
  loop->anchors = new_table_ref(L, NULL);
  loop->refs = new_table_ref(L, NULL);
  loop->cancels = new_table_ref(L, NULL);
  loop->reasons = new_table_ref(L, NULL);
  loop->tracebacks = new_table_ref(L, "k");
  loop->endings = new_table_ref(L, NULL);
  loop->origin = new_table_ref(L, "v");
  loop->names = new_table_ref(L, "k");
  loop->vars = new_table_ref(L, "k");
  loop->config = new_table_ref(L, NULL);
}

static int box_gc (lua_State *L) {
  ed_loop_close(L, lua_touserdata(L, 1));
  return 0;
}

ed_loop *ed_loop_new (lua_State *L) {
  ed_box *box = lua_newuserdatauv(L, sizeof *box, 0);
  box->loop = NULL;
  lua_newtable(L);
  lua_pushcfunction(L, box_gc);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  box->loop = calloc(1, sizeof *box->loop);
  if (box->loop == NULL) luaL_error(L, "not enough memory");
  box->loop->L = L;
  if (uv_random(NULL, NULL, &box->loop->mark, sizeof box->loop->mark, 0, NULL) != 0)
    box->loop->mark = uv_hrtime() * 0x9e3779b97f4a7c15u ^ (uintptr_t)box->loop;
  box->loop->kill_grace = ED_KILL_GRACE;
  init_lists(box->loop);
  init_tables(L, box->loop);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &ed_box_key);
  return box->loop;
}

int ed_loop_start (ed_loop *loop) {
  int status;
  if (loop->is_started) return 0;
  if (loop->uv == NULL) {
    if ((status = uv_loop_init(&loop->own)) < 0) return status;
    loop->uv = &loop->own;
  }
  uv_timer_init(loop->uv, &loop->alarm);
  loop->alarm.data = loop;
  loop->alarm_due = UINT64_MAX;
  loop->now = ed_loop_now(loop);
  loop->is_started = true;
  if (loop->on_start != NULL) loop->on_start(loop);
  return 0;
}

int ed_loop_use (ed_loop *loop, uv_loop_t *uv) {
  if (loop->is_started) return UV_EBUSY;
  loop->uv = uv;
  return 0;
}

uv_loop_t *ed_loop_uv (lua_State *L) {
  ed_loop *loop = ed_loop_of(L);
  if (!loop->is_running)
    ed_place_error(L, loop, "the loop does not run: call this inside eddy.run");
  return loop->uv;
}

/* ---- memory shared by the engines ---- */

char *ed_loop_borrow_buffer (ed_loop *loop) {
  if (loop->nbuffers > 0) return loop->buffer[--loop->nbuffers];
  return ed_mem_new(&loop->mem, ED_READ_ROOM);
}

void ed_loop_return_buffer (ed_loop *loop, char *buffer) {
  if (buffer != NULL && loop->nbuffers < ED_BUFFERS)
    loop->buffer[loop->nbuffers++] = buffer;
  else ed_mem_free(&loop->mem, buffer, ED_READ_ROOM);
}

static void free_buffers (ed_loop *loop) {
  while (loop->nbuffers > 0)
    ed_mem_free(&loop->mem, loop->buffer[--loop->nbuffers], ED_READ_ROOM);
}

void *ed_loop_calloc (ed_loop *loop, size_t size) {
  void *block = ed_mem_new(&loop->mem, size);
  return block != NULL ? memset(block, 0, size) : NULL;
}

/* ---- time ---- */

uint64_t ed_loop_now (ed_loop *loop) {
  if (loop->is_manual) return loop->clock;
  if (!loop->is_paced) return uv_hrtime();
  return loop->clock + (uint64_t)((double)(uv_hrtime() - loop->since) * loop->pace);
}

/*
** libuv runs timers before it polls, also in a turn that may block. An alarm that fires there
** would leave the poll without an end; uv_stop makes that poll look only.
*/
static void on_alarm (uv_timer_t *alarm) {
  ed_loop *loop = alarm->data;
  loop->alarm_due = UINT64_MAX;
  if (!loop->is_driven) uv_stop(alarm->loop);
}

static void set_alarm (ed_loop *loop, uint64_t due, uint64_t ms) {
  if (due >= loop->alarm_due && loop->alarm_due != UINT64_MAX)
    return; /* it wakes us earlier */
  uv_update_time(loop->uv);
  if (uv_timer_start(&loop->alarm, on_alarm, ms, 0) == 0) loop->alarm_due = due;
}

uint64_t ed_loop_until_timer (ed_loop *loop) {
  uint64_t due = ed_heap_due(&loop->timers), now;
  double ns;
  if (due == UINT64_MAX) return UINT64_MAX;
  now = ed_loop_now(loop);
  if (due <= now) return 0;
  if (loop->is_manual || (loop->is_paced && loop->pace <= 0)) return UINT64_MAX;
  if (!loop->is_paced) return due - now;
  ns = (double)(due - now) / loop->pace + 1;
  return ns < 9e18 ? (uint64_t)ns : UINT64_MAX;
}

void ed_loop_arm (ed_loop *loop) {
  uint64_t ns = ed_loop_until_timer(loop);
  uint64_t ms = ns / 1000000 + (ns % 1000000 != 0);
  uint64_t due = UINT64_MAX - 1;
  if (ns == UINT64_MAX
    && loop->is_driven) { /* the alarm would keep a host's loop alive */
    uv_timer_stop(&loop->alarm);
    loop->alarm_due = UINT64_MAX;
    return;
  }
  if (ns != UINT64_MAX)
    due = loop->is_paced ? uv_hrtime() + ns : ed_heap_due(&loop->timers);
  if (loop->probe != NULL) ms = ed_probe_patience(loop->probe, ms);
  set_alarm(loop, due, ms < far_away_ms ? ms : far_away_ms);
}

static void fire (ed_timer *timer) {
  if (timer->kind == ED_TIMER_SCOPE) ed_block_fire(ED_OF(timer, ed_block, timer));
  else if (timer->kind == ED_TIMER_ALARM) ((ed_alarm *)timer)->ring((ed_alarm *)timer);
  else ed_sleep_fire(timer);
}

static void fire_timers (ed_loop *loop) {
  loop->now = ed_loop_now(loop);
  while (ed_heap_due(&loop->timers) <= loop->now) {
    ed_timer *timer = loop->timers.entry[0].timer;
    ed_heap_remove(&loop->timers, timer);
    fire(timer);
  }
}

/* A manual clock jumps to the next timer when nothing else can happen first. */
static void jump (ed_loop *loop) {
  if (loop->njobs == 0 && loop->timers.count > 0)
    if (loop->clock < ed_heap_due(&loop->timers))
      loop->clock = ed_heap_due(&loop->timers);
}

/* ---- SIGPIPE ---- */

ed_pipe_guard ed_pipe_guard_begin (void) {
  ed_pipe_guard guard = {false};
  sigset_t pending, pipe_only, before;
  sigpending(&pending);
  if (sigismember(&pending, SIGPIPE)) return guard; /* somebody else's: leave it alone */
  sigemptyset(&pipe_only);
  sigaddset(&pipe_only, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe_only, &before);
  guard.is_on = !sigismember(&before, SIGPIPE);
  return guard;
}

void ed_pipe_guard_end (ed_pipe_guard guard) {
  sigset_t pending, pipe_only;
  int number;
  if (!guard.is_on) return;
  sigemptyset(&pipe_only);
  sigaddset(&pipe_only, SIGPIPE);
  sigpending(&pending);
  if (sigismember(&pending, SIGPIPE))
    sigwait(&pipe_only, &number); /* ours: take it away */
  pthread_sigmask(SIG_UNBLOCK, &pipe_only, NULL);
}

static void run_uv (ed_loop *loop, uv_run_mode mode) {
  ed_pipe_guard guard;
  if (loop->nwrites == 0) {
    uv_run(loop->uv, mode);
    return;
  }
  guard = ed_pipe_guard_begin();
  uv_run(loop->uv, mode);
  ed_pipe_guard_end(guard);
}

/* ---- the turn ---- */

void ed_loop_run_until (ed_loop *loop, uint64_t end, int batch) {
  bool is_real = !loop->is_manual && !loop->is_paced; /* the end always is */
  while (!ed_list_is_empty(&loop->ready)) {
    if (loop->watch != NULL) {
      ed_slice_run_until(loop, end, batch);
      return;
    }
    ed_task_run_ready(loop, batch);
    loop->now = ed_loop_now(loop);
    if ((is_real ? loop->now : uv_hrtime()) >= end) break;
  }
}

void ed_loop_run_ready (ed_loop *loop) {
  ed_loop_run_until(loop, uv_hrtime() + slice_ns, BATCH);
}

/* A busy system takes a moment to bring the bytes of a socket to its other end. */
static void look_for_a_moment (ed_loop *loop) {
  uv_update_time(loop->uv);
  uv_timer_start(&loop->alarm, on_alarm, MOMENT_MS, 0);
  run_uv(loop, UV_RUN_ONCE);
  uv_timer_stop(&loop->alarm);
  loop->alarm_due = UINT64_MAX;
}

/* Two empty looks, because one may have moved bytes without waking anybody yet. */
static bool look_finds_nothing (ed_loop *loop) {
  for (int looks = 0; looks < 2; looks++) {
    uint32_t before = loop->progress;
    if (looks > 0 && loop->nhandles > 0) look_for_a_moment(loop);
    else run_uv(loop, UV_RUN_NOWAIT);
    if (!ed_list_is_empty(&loop->ready) || loop->progress != before) return false;
  }
  return true;
}

static void wait_for_events (ed_loop *loop) {
  if (loop->is_manual && !loop->is_by_hand) {
    if (!look_finds_nothing(loop)) return;
    if (loop->timers.count > 0 && loop->njobs == 0) {
      jump(loop);
      return;
    }
  }
  ed_loop_arm(loop);
  run_uv(loop, UV_RUN_ONCE);
}

void ed_loop_fire (ed_loop *loop) {
  fire_timers(loop);
  if (loop->hosting != NULL) loop->hosting->posted(loop);
}

void ed_loop_poll (ed_loop *loop) { run_uv(loop, UV_RUN_ONCE); }

void ed_loop_look (ed_loop *loop) {
  run_uv(loop, UV_RUN_NOWAIT);
  ed_loop_fire(loop);
}

void ed_loop_turn (ed_loop *loop, bool may_block) {
  if (may_block && ed_list_is_empty(&loop->ready)) wait_for_events(loop);
  else run_uv(loop, UV_RUN_NOWAIT);
  ed_loop_fire(loop);
  if (loop->probe != NULL) ed_probe_turn(loop);
  else ed_loop_run_ready(loop);
}

static void count_active (uv_handle_t *handle, void *count) {
  *(uint32_t *)count += uv_is_active(handle) && uv_has_ref(handle);
}

/*
** Is there anything in the uv loop, of a library that shares it, that could call a script back?
** What is ours cannot: it answers operations, and they are counted.
*/
static bool has_foreign_life (const ed_loop *loop) {
  uint32_t all = 0, ours = uv_is_active((const uv_handle_t *)&loop->alarm) != 0;
  for (ed_link *at = loop->handles.next; at != &loop->handles; at = at->next)
    count_active(&ED_OF(at, ed_handle, link)->uv.any, &ours);
  uv_walk(loop->uv, count_active, &all);
  return all > ours || loop->uv->active_reqs.count > 0;
}

bool ed_loop_is_stuck (const ed_loop *loop) {
  return ed_list_is_empty(&loop->ready) && loop->timers.count == 0 && loop->nexternal == 0
    && (loop->ncallbacks == 0 || !has_foreign_life(loop));
}

/* ---- the way down ---- */

static void close_handles (ed_loop *loop) {
  ed_link *at = loop->handles.next;
  while (at != &loop->handles) {
    ed_link *next = at->next;
    ed_handle_close(ED_OF(at, ed_handle, link));
    at = next;
  }
}

/* Turn libuv until it holds nothing of ours, at most for the grace. */
static void let_uv_finish (ed_loop *loop) {
  uint64_t end = uv_hrtime() + DRAIN_NS;
  while ((loop->nhandles > 0 || loop->njobs > 0) && uv_hrtime() < end) {
    uv_update_time(loop->uv);
    uv_timer_start(&loop->alarm, on_alarm, 20, 0);
    run_uv(loop, UV_RUN_ONCE);
  }
  uv_timer_stop(&loop->alarm);
  loop->alarm_due = UINT64_MAX;
}

void ed_loop_drain (lua_State *L, ed_loop *loop) {
  lua_State *before = loop->L;
  if (!loop->is_started) return;
  loop->L = L;
  loop->is_closing = true;
  ed_loop_kill_all(loop);
  ed_slice_stop(loop);
  if (loop->pool != NULL) loop->end_pool(loop);
  close_handles(loop);
  let_uv_finish(loop);
  free_buffers(loop);
  loop->is_closing = false;
  loop->L = before;
}

static void on_alarm_closed (uv_handle_t *alarm) {
  ((ed_loop *)alarm->data)->is_started = false;
}

/* A host's loop goes on without us: only our alarm leaves it. */
static bool close_uv (ed_loop *loop) {
  if (loop->on_stop != NULL) loop->on_stop(loop);
  uv_close((uv_handle_t *)&loop->alarm, on_alarm_closed);
  while (loop->is_started) uv_run(loop->uv, UV_RUN_NOWAIT);
  if (loop->uv != &loop->own) return loop->njobs == 0;
  return uv_loop_close(&loop->own) == 0;
}

void ed_loop_close (lua_State *L, ed_box *box) {
  ed_loop *loop = box->loop;
  if (loop == NULL) return;
  if (loop->hosting != NULL) loop->hosting->closing(L, loop);
  ed_loop_drain(L, loop);
  ed_limits_close(L, loop);
  loop->is_closing = true;
  if (loop->is_started && !close_uv(loop)) loop->is_left_behind = true;
  box->loop = NULL;
  if (loop->is_left_behind) {
    lua_warning(
      L, "eddy: a thread of the pool is still busy; its loop is left behind", 0);
    return;
  }
  ed_handle_unbox_all(loop);
  ed_task_free_spares(loop);
  ed_heap_free(&loop->timers, &loop->mem);
  ed_slice_free(loop);
  if (loop->free_resolver != NULL) loop->free_resolver(loop);
  ed_probe_free(loop);
  ed_mem_trim(&loop->mem);
  if (loop->remains != NULL) *loop->remains = loop->mem.bytes;
  free(loop);
}
