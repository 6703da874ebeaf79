/* SPDX-License-Identifier: MIT */
/*
** Tasks of the host: arguments and results, ids that go stale, cancel and kill, being told
** exactly once, groups.
*/
#include "host.h"

static int integer_global (eddy *e, const char *name) {
  lua_State *L = eddy_lua(e);
  int value;
  lua_getglobal(L, name);
  value = (int)lua_tointeger(L, -1);
  lua_pop(L, 1);
  return value;
}

static void test_arguments_and_results (void) {
  witness w, done;
  eddy *e = open_runtime(&w);
  lua_State *L = eddy_lua(e);
  eddy_spawn_options options = {.size = sizeof options, .name = "adder"};
  eddy_id id;
  memset(&done, 0, sizeof done);
  CHECK_EQ(luaL_loadstring(L, "local a, b = ... return a + b, nil, 'x', nil"), LUA_OK);
  lua_pushinteger(L, 40);
  lua_pushinteger(L, 2);
  CHECK_EQ(eddy_spawn(e, L, 2, &options, &id), EDDY_OK);
  CHECK_EQ(lua_gettop(L), 0);
  CHECK_EQ(eddy_task_on_done(e, id, note_done, &done), EDDY_OK);
  CHECK_EQ(eddy_task_status(e, id), EDDY_TASK_READY);
  CHECK_EQ(eddy_step(e, UINT64_MAX), EDDY_IDLE);
  CHECK_EQ(done.done, 1);
  CHECK_EQ(done.n, 4);
  CHECK_EQ(done.value, 42);
  CHECK(done.id == id);
  CHECK_EQ(eddy_task_status(e, id), EDDY_ESTALE);
  CHECK_EQ(eddy_task_on_done(e, id, note_done, &done), EDDY_ESTALE);
  CHECK_EQ(eddy_task_cancel(e, id, NULL), EDDY_ESTALE);
  CHECK_EQ(eddy_task_kill(e, id), EDDY_ESTALE);
  CHECK_EQ(eddy_task_status(e, 0), EDDY_ESTALE);
  CHECK_EQ(eddy_task_status(e, UINT64_MAX), EDDY_ESTALE);
  CHECK_EQ(lua_gettop(L), 0);
  close_runtime(e);
}

static void test_bad_spawns (void) {
  witness w;
  eddy_config config = witnessed(&w);
  eddy_spawn_options options = {.size = sizeof options, .group = 12345};
  eddy *e;
  lua_State *L;
  eddy_id id = 7;
  config.max_tasks = 2;
  CHECK_EQ(eddy_new(&e, NULL, &config), EDDY_OK);
  L = eddy_lua(e);
  lua_pushinteger(L, 1), lua_pushinteger(L, 2);
  CHECK_EQ(eddy_spawn(e, L, 1, NULL, &id), EDDY_EINVAL); /* 1 cannot be called */
  CHECK_EQ(id, 0);
  CHECK_EQ(lua_gettop(L), 0);
  CHECK_EQ(eddy_spawn_buffer(e, "", 0, NULL, &options, NULL), EDDY_ESTALE);
  options.group = 0, options.flags = 64;
  CHECK_EQ(eddy_spawn_buffer(e, "", 0, NULL, &options, NULL), EDDY_EINVAL);
  options.size = 1;
  CHECK_EQ(eddy_spawn_buffer(e, "", 0, NULL, &options, NULL), EDDY_EINVAL);
  CHECK_EQ(eddy_spawn_buffer(e, "x x", 3, "=bad", NULL, NULL), EDDY_ESCRIPT);
  CHECK_EQ(w.errors, 1);
  CHECK(strstr(w.text, "bad:1:") != NULL);
  CHECK_EQ(eddy_spawn_buffer(e, LUA_SIGNATURE "x", 5, NULL, NULL, NULL), EDDY_ESCRIPT);
  CHECK_EQ(eddy_spawn_buffer(e, "", 0, NULL, NULL, NULL), EDDY_OK);
  CHECK_EQ(eddy_spawn_buffer(e, "", 0, NULL, NULL, NULL), EDDY_OK);
  CHECK_EQ(eddy_spawn_buffer(e, "", 0, NULL, NULL, NULL), EDDY_ELIMIT);
  CHECK_EQ(eddy_step(e, UINT64_MAX), EDDY_IDLE);
  CHECK_EQ(eddy_spawn_buffer(e, "", 0, NULL, NULL, NULL), EDDY_OK);
  CHECK_EQ(lua_gettop(L), 0);
  close_runtime(e);
}

static void test_start_now (void) {
  witness w;
  eddy *e = open_runtime(&w);
  eddy_spawn_options options = {.size = sizeof options, .flags = EDDY_SPAWN_NOW};
  const char *text = "N = 1 require'eddy'.sleep(0) N = 2";
  eddy_id id;
  CHECK_EQ(eddy_spawn_buffer(e, text, strlen(text), "=now", &options, &id), EDDY_OK);
  CHECK_EQ(integer_global(e, "N"), 1);
  CHECK_EQ(eddy_task_status(e, id), EDDY_TASK_READY);
  CHECK_EQ(eddy_step(e, 0), EDDY_IDLE);
  CHECK_EQ(integer_global(e, "N"), 2);
  close_runtime(e);
}

/* ---- errors ---- */

static void test_errors_go_to_one_place (void) {
  witness w, done;
  eddy *e = open_runtime(&w);
  eddy_id id = spawn_text(e, "error('alone', 0)");
  CHECK_EQ(eddy_step(e, UINT64_MAX), EDDY_IDLE);
  CHECK_EQ(w.errors, 1);
  CHECK(w.id == id);
  CHECK_TEXT(w.text, strlen(w.text), "alone");
  memset(&done, 0, sizeof done);
  spawn_watched(e, "error('watched', 0)", &done);
  CHECK_EQ(eddy_step(e, UINT64_MAX), EDDY_IDLE);
  CHECK_EQ(w.errors, 1);
  CHECK_EQ(done.status, EDDY_ESCRIPT);
  CHECK_TEXT(done.text, strlen(done.text), "watched");
  spawn_text(
    e, "eddy.background(error, 'behind', 0) eddy.sleep(0)"); /* not the host's task */
  CHECK_EQ(eddy_step(e, UINT64_MAX), EDDY_IDLE);
  CHECK_EQ(w.errors, 2);
  CHECK_EQ(w.id, 0);
  spawn_text(e, "T = eddy.current() eddy.sleep(0) error('awaited', 0)");
  spawn_text(e, "pcall(T.await, T)"); /* a task awaits it */
  CHECK_EQ(eddy_step(e, UINT64_MAX), EDDY_IDLE);
  CHECK_EQ(w.errors, 2);
  close_runtime(e);
}

static void raise_in_done (
  eddy *e, eddy_id id, int status, lua_State *L, int n, void *ud) {
  (void)e, (void)id, (void)status, (void)n;
  ++*(int *)ud;
  luaL_error(L, "in a callback");
}

static void test_callback_that_raises (void) {
  witness w;
  eddy *e = open_runtime(&w);
  int calls = 0;
  eddy_id id = spawn_text(e, "return 1");
  eddy_task_on_done(e, id, raise_in_done, &calls);
  CHECK_EQ(eddy_step(e, UINT64_MAX), EDDY_IDLE);
  CHECK_EQ(calls, 1);
  close_runtime(e);
}

static void spawn_in_done (
  eddy *e, eddy_id id, int status, lua_State *L, int n, void *ud) {
  (void)id, (void)status, (void)L, (void)n;
  if (++*(int *)ud >= 3) return;
  CHECK_EQ(eddy_task_on_done(e, spawn_text(e, "return 2"), spawn_in_done, ud), EDDY_OK);
  CHECK_EQ(eddy_close(e, 0), EDDY_EREENTRANT);
}

static void test_callback_that_spawns (void) {
  witness w;
  eddy *e = open_runtime(&w);
  int calls = 0;
  eddy_task_on_done(e, spawn_text(e, "return 1"), spawn_in_done, &calls);
  CHECK_EQ(eddy_run(e), EDDY_IDLE);
  CHECK_EQ(calls, 3);
  close_runtime(e);
}

/* ---- cancel, kill, trace ---- */

static void test_cancel_and_kill (void) {
  witness w, done;
  eddy *e = open_runtime(&w);
  eddy_id id;
  char text[400], tiny[8];
  memset(&done, 0, sizeof done);
  id = spawn_watched(e,
    "local ok, err = pcall(eddy.sleep, 1e9) assert(err.reason == 'enough') error(err)",
    &done);
  eddy_step(e, UINT64_MAX);
  CHECK_EQ(eddy_task_status(e, id), EDDY_TASK_WAITING);
  CHECK(eddy_task_traceback(e, id, text, sizeof text) > 8);
  CHECK(strstr(text, "sleep") != NULL);
  CHECK_EQ(eddy_task_traceback(e, id, tiny, sizeof tiny), (int)strlen(text));
  CHECK(strncmp(tiny, text, 7) == 0 && tiny[7] == '\0');
  CHECK_EQ(eddy_task_cancel(e, id, "enough"), EDDY_OK);
  CHECK_EQ(eddy_task_cancel(e, id, "again"), EDDY_OK);
  CHECK_EQ(done.done, 0);
  CHECK_EQ(eddy_step(e, UINT64_MAX), EDDY_IDLE);
  CHECK_EQ(done.done, 1);
  CHECK_EQ(done.status, EDDY_ECANCELED);
  memset(&done, 0, sizeof done);
  id = spawn_watched(e,
    "local c <close> = setmetatable({}, {__close = function() N = (N or 0) + 1 end}) "
    "while true do pcall(eddy.sleep, 1) end",
    &done);
  eddy_step(e, 0);
  CHECK_EQ(eddy_task_cancel(e, id, NULL), EDDY_OK);
  CHECK_EQ(eddy_task_kill(e, id), EDDY_OK); /* overtakes what is asked for */
  CHECK_EQ(done.done, 1);
  CHECK_EQ(done.status, EDDY_ECANCELED);
  CHECK_EQ(integer_global(e, "N"), 1);
  CHECK_EQ(eddy_step(e, 0), EDDY_IDLE);
  CHECK_EQ(w.errors, 0);
  close_runtime(e);
}

static eddy_id victim;

static int l_kill_victim (lua_State *L) {
  lua_pushinteger(L, eddy_task_kill(eddy_of(L), victim));
  return 1;
}

static void test_kill_from_a_task (void) {
  witness w, done;
  eddy *e = open_runtime(&w);
  memset(&done, 0, sizeof done);
  lua_register(eddy_lua(e), "kill_victim", l_kill_victim);
  victim = spawn_watched(
    e, "assert(kill_victim() == 0) AFTER = 1 eddy.sleep(1e9) AFTER = 2", &done);
  CHECK_EQ(eddy_run(e), EDDY_IDLE);
  CHECK_EQ(done.done, 1);
  CHECK_EQ(done.status, EDDY_ECANCELED);
  CHECK_EQ(integer_global(e, "AFTER"), 1);
  close_runtime(e);
}

/* ---- groups ---- */

static eddy_id spawn_into (eddy *e, eddy_id group, const char *text, witness *w) {
  char chunk[500];
  eddy_spawn_options options = {.size = sizeof options, .group = group};
  eddy_id id = 0;
  int len = snprintf(chunk, sizeof chunk, "local eddy = require 'eddy' %s", text);
  CHECK_EQ(eddy_spawn_buffer(e, chunk, (size_t)len, "=member", &options, &id), EDDY_OK);
  CHECK_EQ(eddy_task_on_done(e, id, note_done, w), EDDY_OK);
  return id;
}

static void test_groups (void) {
  witness w, member[3], outsider;
  eddy *e = open_runtime(&w);
  eddy_stats_t stats;
  eddy_id outer, inner, id;
  memset(member, 0, sizeof member), memset(&outsider, 0, sizeof outsider);
  CHECK_EQ(eddy_group_new(e, 0, &outer), EDDY_OK);
  CHECK_EQ(eddy_group_new(e, outer, &inner), EDDY_OK);
  CHECK_EQ(eddy_group_new(e, 99, &id), EDDY_ESTALE);
  spawn_into(e, outer, "error('its own affair')", &member[0]);
  spawn_into(e, outer, "pcall(eddy.sleep, 1e9) return 'left'", &member[1]);
  spawn_into(e, inner, "eddy.shield(1e9, eddy.sleep, 1e9)", &member[2]);
  spawn_watched(e, "eddy.sleep(1e9)", &outsider);
  CHECK_EQ(eddy_step(e, UINT64_MAX), EDDY_WAITING);
  CHECK_EQ(member[0].status, EDDY_ESCRIPT);
  CHECK_EQ(eddy_group_close(e, outer, 5 * (uint64_t)MS), 1);
  CHECK_EQ(member[1].done, 1);
  CHECK_TEXT(member[1].text, strlen(member[1].text), "left");
  CHECK_EQ(member[2].status, EDDY_ECANCELED);
  CHECK_EQ(outsider.done, 0);
  CHECK_EQ(eddy_group_close(e, outer, 0), EDDY_ESTALE);
  CHECK_EQ(eddy_group_close(e, inner, 0), EDDY_ESTALE);
  CHECK_EQ(eddy_stats(e, &stats, sizeof stats), EDDY_OK);
  CHECK_EQ(stats.tasks, 1);
  CHECK_EQ(stats.groups, 0);
  CHECK_EQ(
    eddy_group_new(e, 0, &outer), EDDY_OK); /* left open: closing the runtime frees it */
  close_runtime(e);
}

/* Ids of slots that are used again differ. */
static void test_many_ids (void) {
  witness w;
  eddy *e = open_runtime(&w);
  eddy_id id[100], again;
  for (int i = 0; i < 100; i++) id[i] = spawn_text(e, "eddy.sleep(1e9)");
  eddy_step(e, UINT64_MAX);
  for (int i = 0; i < 100; i += 2) CHECK_EQ(eddy_task_kill(e, id[i]), EDDY_OK);
  for (int i = 0; i < 100; i += 2) {
    again = spawn_text(e, "eddy.sleep(1e9)");
    CHECK((uint32_t)again == (uint32_t)id[i] && again != id[i]);
    CHECK_EQ(eddy_task_status(e, id[i]), EDDY_ESTALE);
  }
  eddy_step(e, UINT64_MAX);
  CHECK_EQ(eddy_close(e, 0), 100);
  eddy_release(e);
}

int main (void) {
  test_arguments_and_results();
  test_bad_spawns();
  test_start_now();
  test_errors_go_to_one_place();
  test_callback_that_raises();
  test_callback_that_spawns();
  test_cancel_and_kill();
  test_kill_from_a_task();
  test_groups();
  test_many_ids();
  return test_report();
}
