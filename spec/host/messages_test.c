/* SPDX-License-Identifier: MIT */
/*
** Frames, events, posted calls; the script clock; a loop of the host's, driven by it or by steps.
*/
#include "host.h"

static double number_global (eddy *e, const char *name) {
  lua_State *L = eddy_lua(e);
  double value;
  lua_getglobal(L, name);
  value = lua_tonumber(L, -1);
  lua_pop(L, 1);
  return value;
}

/* ---- frames ---- */

static void test_frames (void) {
  witness w;
  eddy *e = open_runtime(&w);
  spawn_text(e, "SUM, N = 0, 0 while true do SUM = SUM + eddy.frame() N = N + 1 end");
  spawn_text(e, "LATE = 0 while true do eddy.frame(3) LATE = LATE + 1 end");
  CHECK_EQ(eddy_step(e, UINT64_MAX), EDDY_WAITING);
  for (int i = 1; i <= 10; i++) {
    CHECK_EQ(eddy_frame(e, 0, 500 * (uint64_t)MS), EDDY_WAITING);
    CHECK_EQ((int)number_global(e, "N"), i); /* once a frame, though it waits again */
    if (i % 2 == 0) eddy_frame(e, 3, 0);
  }
  CHECK(number_global(e, "SUM") == 5.0);
  CHECK_EQ((int)number_global(e, "LATE"), 5);
  CHECK_EQ(eddy_frame(e, -1, 0), EDDY_EINVAL);
  CHECK_EQ(eddy_frame(e, EDDY_PHASES, 0), EDDY_EINVAL);
  spawn_text(e, "eddy.frame(16)");
  eddy_step(e, UINT64_MAX);
  CHECK(strstr(w.text, "phase out of range") != NULL);
  CHECK_EQ(luaL_dostring(eddy_lua(e), "require'eddy'.frame()"), 1);
  CHECK_EQ(eddy_close(e, 0), 2);
  eddy_release(e);
}

/* ---- events and calls ---- */

static int push_three (lua_State *L, void *ud) {
  lua_pushliteral(L, "junk below");
  lua_pushinteger(L, *(int *)ud);
  lua_pushliteral(L, "two");
  lua_pushboolean(L, 1);
  return 3;
}

static int push_error (lua_State *L, void *ud) {
  (void)ud;
  return luaL_error(L, "no values");
}

static void test_events (void) {
  witness w, done, late;
  eddy *e = open_runtime(&w);
  int seven = 7;
  memset(&done, 0, sizeof done), memset(&late, 0, sizeof late);
  CHECK_EQ(eddy_emit(e, "unheard", push_three, &seven), EDDY_OK);
  spawn_watched(e,
    "local list = {} for a, b, c in eddy.on('click') do list[#list + 1] = tostring(a) "
    "if b then assert(b == 'two' and c == true) end if #list == 4 then break end end "
    "return table.concat(list, ' ')",
    &done);
  spawn_watched(e,
    "local next_key <close> = eddy.on('key') eddy.sleep(0) return next_key() .. "
    "next_key()",
    &late);
  eddy_step(e, UINT64_MAX);
  CHECK_EQ(eddy_post(e, "click", "a\0b", 1), EDDY_OK);
  CHECK_EQ(eddy_post(e, "key", "x", 1), EDDY_OK);
  CHECK_EQ(eddy_post(e, "key", "y", 1), EDDY_OK);
  eddy_step(e, UINT64_MAX);
  CHECK_EQ(eddy_emit(e, "click", push_three, &seven), EDDY_OK);
  CHECK_EQ(eddy_emit(e, "click", NULL, NULL), EDDY_OK);
  CHECK_EQ(eddy_emit(e, "click", push_error, NULL), EDDY_ESCRIPT);
  CHECK_EQ(eddy_post(e, "click", "", 0), EDDY_OK);
  eddy_step(e, UINT64_MAX);
  CHECK_TEXT(done.text, strlen(done.text), "a 7 true ");
  CHECK_TEXT(late.text, strlen(late.text), "xy");
  CHECK_EQ(lua_gettop(eddy_lua(e)), 0);
  CHECK_EQ(eddy_post(e, NULL, "", 0), EDDY_EINVAL);
  close_runtime(e);
}

typedef struct order {
  int n;
  char text[32];
} order;

static void call_a (eddy *e, void *ud) {
  (void)e;
  ((order *)ud)->text[((order *)ud)->n++] = 'a';
}

static void call_b (eddy *e, void *ud) {
  ((order *)ud)->text[((order *)ud)->n++] = 'b';
  if (((order *)ud)->n < 5) CHECK_EQ(eddy_call_soon(e, call_a, ud), EDDY_OK);
}

static void test_calls (void) {
  witness w;
  eddy *e = open_runtime(&w);
  order o = {0, ""};
  eddy_call_soon(e, call_a, &o);
  eddy_call_soon(e, call_b, &o);
  eddy_call_soon(e, call_a, &o);
  CHECK_EQ(o.n, 0);
  CHECK_EQ(eddy_step(e, 0), EDDY_BUSY); /* what a call posts is of the next step */
  CHECK_TEXT(o.text, (size_t)o.n, "aba");
  CHECK_EQ(eddy_step(e, 0), EDDY_IDLE);
  CHECK_TEXT(o.text, (size_t)o.n, "abaa");
  eddy_call_soon(e, call_a, &o);
  eddy_close(e, 0);
  CHECK_TEXT(o.text, (size_t)o.n, "abaaa");
  CHECK_EQ(eddy_call_soon(e, call_a, &o), EDDY_ECLOSED);
  eddy_release(e);
}

static void on_wakeup (eddy *e, void *ud) {
  (void)e;
  ++*(int *)ud;
}

static void test_wakeup (void) {
  eddy_config config;
  eddy *e;
  int wakes = 0;
  order o = {0, ""};
  eddy_config_init(&config, sizeof config);
  config.on_wakeup = on_wakeup;
  config.userdata = &wakes;
  CHECK_EQ(eddy_new(&e, NULL, &config), EDDY_OK);
  eddy_call_soon(e, call_a, &o);
  eddy_call_soon(e, call_a, &o); /* there is something already */
  CHECK_EQ(wakes, 1);
  eddy_step(e, 0);
  eddy_wakeup(e);
  CHECK_EQ(wakes, 2);
  close_runtime(e);
}

/* ---- clocks ---- */

static void test_manual_clock (void) {
  witness w, done;
  eddy *e = open_runtime(&w);
  uint64_t begin;
  memset(&done, 0, sizeof done);
  CHECK_EQ(eddy_clock_advance(e, 1), EDDY_EINVAL);
  CHECK_EQ(eddy_clock_set(e, EDDY_CLOCK_MANUAL, 1), EDDY_OK);
  begin = eddy_now(e);
  spawn_watched(
    e, "local t = eddy.now() eddy.sleep(3600) return math.floor(eddy.now() - t)", &done);
  CHECK_EQ(eddy_step(e, UINT64_MAX), EDDY_WAITING);
  CHECK_EQ(eddy_next_timeout_ns(e), -1); /* nothing but the host moves it */
  CHECK_EQ(eddy_clock_advance(e, 3599 * 1000 * (uint64_t)MS), EDDY_OK);
  CHECK_EQ(eddy_step(e, UINT64_MAX), EDDY_WAITING);
  CHECK_EQ(eddy_frame(e, 0, 1000 * (uint64_t)MS + 2), EDDY_IDLE);
  CHECK_EQ(done.value, 3600);
  CHECK(eddy_now(e) - begin == 3600 * 1000 * (uint64_t)MS + 2);
  CHECK_EQ(eddy_clock_set(e, 9, 1), EDDY_EINVAL);
  CHECK_EQ(eddy_clock_set(e, EDDY_CLOCK_SCALED, -1), EDDY_EINVAL);
  close_runtime(e);
}

static void test_scaled_clock (void) {
  witness w, done;
  eddy *e = open_runtime(&w);
  uint64_t begin = uv_hrtime();
  int64_t ns;
  memset(&done, 0, sizeof done);
  CHECK_EQ(eddy_clock_set(e, EDDY_CLOCK_SCALED, 1000), EDDY_OK);
  spawn_watched(e, "eddy.sleep(10) return 1", &done);
  eddy_step(e, UINT64_MAX);
  ns = eddy_next_timeout_ns(e);
  CHECK(ns >= 0 && ns <= 11 * (int64_t)MS);
  CHECK_EQ(eddy_run(e), EDDY_IDLE);
  CHECK(uv_hrtime() - begin >= 10 * (uint64_t)MS);
  CHECK(uv_hrtime() - begin < 5000 * (uint64_t)MS);
  CHECK_EQ(done.value, 1);
  close_runtime(e);
}

static void test_pause (void) {
  witness w, done, cancelled;
  eddy *e = open_runtime(&w);
  eddy_id id;
  uint64_t now;
  memset(&done, 0, sizeof done), memset(&cancelled, 0, sizeof cancelled);
  spawn_watched(e, "eddy.sleep(0.001) return 1", &done);
  id = spawn_watched(e, "eddy.sleep(1e9)", &cancelled);
  eddy_step(e, UINT64_MAX);
  CHECK_EQ(eddy_pause(e, 1), EDDY_OK);
  now = eddy_now(e);
  uv_sleep(3);
  CHECK_EQ(eddy_next_timeout_ns(e), -1);
  eddy_task_cancel(e, id, NULL);
  CHECK_EQ(eddy_step(e, UINT64_MAX), EDDY_WAITING);
  CHECK_EQ(eddy_frame(e, 0, MS), EDDY_WAITING);
  CHECK(eddy_now(e) == now);
  CHECK_EQ(done.done + cancelled.done, 0);
  CHECK_EQ(eddy_pause(e, 0), EDDY_OK);
  CHECK_EQ(eddy_run(e), EDDY_IDLE);
  CHECK_EQ(done.status, EDDY_OK);
  CHECK_EQ(cancelled.status, EDDY_ECANCELED);
  spawn_watched(e, "pcall(eddy.sleep, 1e9) return 2", &done);
  eddy_step(e, UINT64_MAX);
  eddy_pause(e, 1);
  CHECK_EQ(eddy_close(e, 1000 * (uint64_t)MS), 0); /* closing ends the pause */
  CHECK_EQ(done.value, 2);
  eddy_release(e);
}

/* ---- a loop of the host's ---- */

static void on_tick (uv_timer_t *timer) {
  int *ticks = timer->data;
  if (++*ticks == 3) uv_close((uv_handle_t *)timer, NULL);
}

static void test_hosts_loop (uint32_t flags) {
  witness w, done;
  eddy_config config = witnessed(&w);
  uv_loop_t loop;
  uv_timer_t timer;
  eddy *e;
  int ticks = 0;
  memset(&done, 0, sizeof done);
  uv_loop_init(&loop);
  uv_timer_init(&loop, &timer);
  timer.data = &ticks;
  uv_timer_start(&timer, on_tick, 1, 1);
  config.loop = &loop;
  config.flags = flags;
  CHECK_EQ(eddy_new(&e, NULL, &config), EDDY_OK);
  CHECK(eddy_loop(e) == &loop);
  spawn_watched(
    e, "local n = 0 for i = 1, 5 do eddy.sleep(0.002) n = n + 1 end return n", &done);
  if (flags & EDDY_DRIVEN) {
    CHECK_EQ(
      uv_run(&loop, UV_RUN_DEFAULT), 0); /* ends when neither side has anything to do */
    CHECK_EQ(eddy_step(e, 0), EDDY_EINVAL);
    CHECK_EQ(eddy_run(e), EDDY_EINVAL);
  } else CHECK_EQ(eddy_run(e), EDDY_IDLE);
  CHECK_EQ(done.value, 5);
  spawn_text(e, "eddy.sleep(1e9)");
  CHECK_EQ(eddy_close(e, MS), 0);
  eddy_release(e);
  uv_run(&loop, UV_RUN_DEFAULT);
  CHECK_EQ(ticks, 3);
  CHECK_EQ(uv_loop_close(&loop), 0);
}

static void keep_text_of (void *ud, const char *text, size_t len) {
  snprintf(ud, 200, "%.*s", (int)len, text);
}

static void test_looking_inside (void) {
  witness w;
  eddy *e = open_runtime(&w);
  eddy_spawn_options options = {.size = sizeof options, .name = "sleeper"};
  eddy_stats_t stats;
  char text[200];
  eddy_spawn_buffer(e, "require'eddy'.sleep(9)", 22, "=s", &options, NULL);
  eddy_step(e, UINT64_MAX);
  CHECK_EQ(eddy_stats(e, &stats, sizeof stats), EDDY_OK);
  CHECK_EQ(stats.tasks, 1);
  CHECK_EQ(stats.timers, 1);
  CHECK(stats.memory > 0);
  stats.timers = 99;
  CHECK_EQ(eddy_stats(e, &stats, 2 * sizeof(uint64_t)), EDDY_OK); /* an older caller */
  CHECK_EQ(stats.timers, 99);
  CHECK_EQ(eddy_dump(e, keep_text_of, text), EDDY_OK);
  CHECK_TEXT(text, strlen(text), "sleeper: waiting in sleep\n");
  close_runtime(e);
}

int main (void) {
  test_frames();
  test_events();
  test_calls();
  test_wakeup();
  test_manual_clock();
  test_scaled_clock();
  test_pause();
  test_hosts_loop(0);
  test_hosts_loop(EDDY_DRIVEN);
  test_looking_inside();
  return test_report();
}
