/* SPDX-License-Identifier: MIT */
/*
** Scripts that compute for long: slices that end a step, the callback, the kill, limits of one task,
** and configs of callers that were compiled before there was any of that.
*/
#include "host.h"

static const char forever[] = "while true do end";

typedef struct judge {
  witness w; /* first: what note_error gets */
  int calls;
  int answer;
  eddy_id id;
  uint64_t ns;
  char place[100];
} judge;

static int note_overrun (eddy *e, eddy_id id, uint64_t ns, const char *place, void *ud) {
  judge *j = ud;
  (void)e;
  j->calls++;
  j->id = id;
  j->ns = ns;
  snprintf(j->place, sizeof j->place, "%s", place);
  return j->calls > 2 ? EDDY_OVERRUN_KILL : j->answer;
}

static void ignore_line (eddy *e, const char *line, size_t len, void *ud) {
  (void)e, (void)line, (void)len, (void)ud;
}

static eddy *open_with (eddy_config *config) {
  eddy *e = NULL;
  if (!CHECK_EQ(eddy_new(&e, NULL, config), EDDY_OK)) abort();
  return e;
}

static void test_a_slice_ends_the_step (void) {
  witness w, done;
  eddy_config config = witnessed(&w);
  eddy *e;
  config.slice_ns = 2 * MS;
  e = open_with(&config);
  memset(&done, 0, sizeof done);
  spawn_text(e, forever);
  spawn_watched(e, "return 7", &done);
  for (int i = 0; i < 3; i++) CHECK_EQ(eddy_step(e, UINT64_MAX), EDDY_BUSY);
  CHECK_EQ(done.value, 7);
  for (int i = 0; i < 3; i++) CHECK_EQ(eddy_frame(e, 0, MS), EDDY_BUSY);
  CHECK_EQ(eddy_close(e, 0), 1);
  eddy_release(e);
  CHECK_EQ(w.errors, 0);
}

/* Who waits for a frame gets it, however many runaways there are: each has one slice. */
static void test_runaways_beside_a_frame (void) {
  witness w, done;
  eddy_config config = witnessed(&w);
  eddy *e;
  config.slice_ns = MS;
  for (int noted = 0; noted < 2; noted++) {
    config.journal = noted ? ignore_line : NULL;
    e = open_with(&config);
    memset(&done, 0, sizeof done);
    for (int i = 0; i < 3; i++) spawn_text(e, forever);
    spawn_watched(
      e, "local n = 0 for _ = 1, 4 do eddy.frame() n = n + 1 end return n", &done);
    for (int i = 0; i < 5; i++) CHECK_EQ(eddy_frame(e, 0, MS), EDDY_BUSY);
    CHECK_EQ(done.value, 4);
    CHECK_EQ(eddy_close(e, 0), 3);
    eddy_release(e);
  }
}

static void test_a_host_decides (void) {
  judge j;
  eddy_config config = witnessed(&j.w);
  eddy_id id;
  eddy *e;
  witness done;
  memset(&j.calls, 0, sizeof j - sizeof j.w);
  memset(&done, 0, sizeof done);
  config.slice_ns = 2 * MS;
  config.on_overrun = note_overrun;
  j.answer = EDDY_OVERRUN_GO_ON;
  e = open_with(&config);
  id = spawn_watched(e, forever, &done);
  CHECK_EQ(eddy_step(e, UINT64_MAX), EDDY_IDLE); /* it never yielded */
  CHECK_EQ(j.calls, 3);
  CHECK(j.id == id);
  CHECK(j.ns >= config.slice_ns);
  CHECK(strncmp(j.place, "test:1", 6) == 0);
  CHECK_EQ(done.status, EDDY_ESCRIPT);
  CHECK(strstr(done.text, "stopped by the host") != NULL);
  close_runtime(e);
}

static void test_kill_after (void) {
  witness w;
  eddy_config config = witnessed(&w);
  eddy *e;
  for (int slices = 0; slices < 2; slices++) {
    witness done;
    memset(&done, 0, sizeof done);
    config.slice_ns = slices ? MS : 0;
    config.kill_after_ns = 10 * MS;
    e = open_with(&config);
    spawn_watched(e, "while true do pcall(function() while true do end end) end", &done);
    spawn_text(e, "for i = 1, 5 do eddy.sleep(0.002) end");
    CHECK_EQ(eddy_run(e), EDDY_IDLE);
    CHECK_EQ(done.status, EDDY_ESCRIPT);
    CHECK(strstr(done.text, "without waiting (cpu)") != NULL);
    close_runtime(e);
  }
}

/* The clean-up of many tasks has a tenth of a second together, and each a moment then. */
static void test_clean_up_without_an_end (void) {
  static const char chunk[] =
    "for i = 1, 100 do eddy.spawn(function() "
    "local _ <close> = setmetatable({}, {__close = function() "
    "while true do pcall(function() while true do end end) end end}) "
    "while true do pcall(eddy.sleep, 1) end end) end eddy.sleep(1)";
  witness w;
  eddy_config config = witnessed(&w);
  eddy *e;
  uint64_t began;
  config.kill_after_ns = 20 * MS;
  e = open_with(&config);
  spawn_text(e, chunk);
  while (eddy_step(e, UINT64_MAX) == EDDY_BUSY) {}
  began = uv_hrtime();
  CHECK_EQ(eddy_close(e, 0), 101);
  CHECK(uv_hrtime() - began < 5000 * (uint64_t)MS); /* not 100 times a tenth */
  eddy_release(e);
}

static void test_limits_of_one_task (void) {
  static const char *const texts[] = {"", "CPU time (cpu)", "bytes of memory (memory)"};
  for (int i = 0; i < 3; i++) {
    witness w, done;
    eddy *e = open_runtime(&w);
    const char *chunk = "local t = {} for n = 1, ... do t[n] = tostring(n) end return 1";
    eddy_spawn_options options = {.size = sizeof options, .name = "x"};
    eddy_id id = 0;
    memset(&done, 0, sizeof done);
    options.cpu_ns = i == 1 ? 5 * MS : 0;
    options.memory = i == 2 ? 1 << 18 : 0;
    CHECK_EQ(luaL_loadstring(eddy_lua(e), chunk), LUA_OK);
    lua_pushinteger(eddy_lua(e), i == 0 ? 10 : 1 << 30);
    CHECK_EQ(eddy_spawn(e, eddy_lua(e), 1, &options, &id), EDDY_OK);
    CHECK_EQ(eddy_task_on_done(e, id, note_done, &done), EDDY_OK);
    CHECK_EQ(eddy_run(e), EDDY_IDLE);
    CHECK_EQ(done.status, i == 0 ? EDDY_OK : EDDY_ESCRIPT);
    CHECK(strstr(done.text, texts[i]) != NULL);
    close_runtime(e);
  }
}

static void test_blocking_is_reported (void) {
  witness w;
  eddy_config config = witnessed(&w);
  eddy *e;
  config.warn_ns = 5 * MS;
  e = open_with(&config);
  spawn_text(e, "local t = os.clock() while os.clock() - t < 0.05 do end");
  CHECK_EQ(eddy_run(e), EDDY_IDLE);
  CHECK_EQ(w.errors, 1);
  CHECK(strstr(w.text, "held the loop for") != NULL);
  close_runtime(e);
}

/* The state of the host has its allocator again, also while a task with a limit lives. */
static void test_the_allocator_is_given_back (void) {
  lua_State *L = luaL_newstate();
  void *ud, *ud_before;
  lua_Alloc before = lua_getallocf(L, &ud_before);
  witness w;
  eddy_config config = witnessed(&w);
  eddy_spawn_options options = {.size = sizeof options, .memory = 1 << 20};
  eddy *e;
  luaL_openlibs(L);
  CHECK_EQ(eddy_new(&e, L, &config), EDDY_OK);
  CHECK_EQ(eddy_spawn_buffer(e, "require 'eddy'.sleep(9)", 23, NULL, &options, NULL), 0);
  CHECK_EQ(eddy_step(e, 0), EDDY_WAITING);
  CHECK(lua_getallocf(L, &ud) != before);
  close_runtime(e);
  CHECK(lua_getallocf(L, &ud) == before);
  CHECK(ud == ud_before);
  lua_close(L);
}

static void test_older_callers (void) {
  witness w;
  eddy_config config = witnessed(&w);
  eddy_spawn_options options = {
    .size = offsetof(eddy_spawn_options, slice_ns), .slice_ns = 1};
  eddy *e;
  config.size = offsetof(eddy_config, slice_ns);
  config.slice_ns = config.kill_after_ns = config.warn_ns = 1; /* behind its end */
  e = open_with(&config);
  CHECK_EQ(eddy_spawn_buffer(e, "for i = 1, 1e6 do end", 21, NULL, &options, NULL), 0);
  CHECK_EQ(eddy_step(e, UINT64_MAX), EDDY_IDLE);
  CHECK_EQ(w.errors, 0);
  close_runtime(e);
}

int main (void) {
  test_a_slice_ends_the_step();
  test_runaways_beside_a_frame();
  test_a_host_decides();
  test_kill_after();
  test_clean_up_without_an_end();
  test_limits_of_one_task();
  test_blocking_is_reported();
  test_the_allocator_is_given_back();
  test_older_callers();
  return test_report();
}
