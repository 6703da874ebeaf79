/* SPDX-License-Identifier: MIT */
/*
** What a host may count on and that can be counted without a clock: frames that allocate nothing,
** a budget under which nobody is lost, and the memory of a runtime that does nothing. What needs
** a clock is in bench/embed.c.
*/
#include "host.h"

/* ---- frames ---- */

enum { CROWD = 10000 };

/* Neither Lua's memory nor ours, for those who wait for the frame and those who sleep on. */
static void test_frames_allocate_nothing (void) {
  counter c = {0};
  eddy_config config;
  eddy_stats_t before, after;
  eddy *e;
  long requests;
  eddy_config_init(&config, sizeof config);
  config.alloc = counted;
  config.alloc_ud = &c;
  CHECK_EQ(eddy_new(&e, NULL, &config), EDDY_OK);
  lua_pushinteger(eddy_lua(e), 0);
  lua_setglobal(eddy_lua(e), "WOKEN");
  for (int i = 0; i < CROWD; i++) {
    spawn_text(e, "while true do eddy.frame() WOKEN = WOKEN + 1 end");
    if (i % 10 == 0) spawn_text(e, "eddy.sleep(1e6)");
  }
  eddy_step(e, UINT64_MAX);
  for (int i = 0; i < 3; i++) eddy_frame(e, 0, MS);
  lua_gc(eddy_lua(e), LUA_GCSTOP);
  eddy_stats(e, &before, sizeof before);
  requests = c.requests;
  for (int i = 0; i < 10; i++) {
    eddy_frame(e, 0, MS);
    eddy_step(e, UINT64_MAX);
  }
  eddy_stats(e, &after, sizeof after);
  CHECK_EQ(c.requests, requests);
  CHECK_EQ((long long)after.memory, (long long)before.memory);
  CHECK_EQ((long long)after.tasks, CROWD + CROWD / 10);
  lua_getglobal(eddy_lua(e), "WOKEN");
  CHECK_EQ(lua_tointeger(eddy_lua(e), -1), 13 * CROWD);
  close_runtime(e);
}

/* ---- a budget ---- */

static int l_burn (lua_State *L) {
  uint64_t end = uv_hrtime() + 20000;
  (void)L;
  while (uv_hrtime() < end)
    ;
  return 0;
}

/* Each step does some, in order, and what it leaves is done by the next ones. */
static void test_budget_loses_nobody (void) {
  witness w;
  eddy *e = open_runtime(&w);
  lua_State *L = eddy_lua(e);
  int steps = 0, status;
  lua_register(L, "burn", l_burn);
  CHECK_EQ(luaL_dostring(L, "ORDER = {}"), LUA_OK);
  for (int i = 1; i <= 1000; i++) {
    CHECK_EQ(luaL_loadstring(L, "burn() ORDER[#ORDER + 1] = ..."), LUA_OK);
    lua_pushinteger(L, i);
    CHECK_EQ(eddy_spawn(e, L, 1, NULL, NULL), EDDY_OK);
  }
  do {
    status = eddy_step(e, 400000);
    steps++;
  } while (status == EDDY_BUSY);
  CHECK_EQ(status, EDDY_IDLE);
  CHECK(steps >= 40 && steps <= 1000); /* 1 000 tasks of 0.02 ms take 50 budgets */
  CHECK_EQ(luaL_dostring(L, "for i = 1, 1000 do assert(ORDER[i] == i) end return #ORDER"),
    LUA_OK);
  CHECK_EQ(lua_tointeger(L, -1), 1000);
  close_runtime(e);
}

/* ---- memory ---- */

static size_t held (lua_State *L) {
  lua_gc(L, LUA_GCCOLLECT);
  return (size_t)lua_gc(L, LUA_GCCOUNT) * 1024 + (size_t)lua_gc(L, LUA_GCCOUNTB);
}

/* Attached, and once a script has asked for the module. */
static void test_idle_memory (void) {
  witness w;
  eddy_config config = witnessed(&w);
  lua_State *L = luaL_newstate();
  size_t bare;
  eddy *e;
  luaL_openlibs(L);
  bare = held(L);
  CHECK_EQ(eddy_new(&e, L, &config), EDDY_OK);
  held(L);
  CHECK(eddy_mem_used(e) - bare <= 75 * (size_t)1024);
  spawn_text(e, "eddy.sleep(0)");
  CHECK_EQ(eddy_run(e), EDDY_IDLE);
  held(L);
  printf("idle memory: %zu bytes beyond the bare state\n", eddy_mem_used(e) - bare);
  CHECK(eddy_mem_used(e) - bare <= 150 * (size_t)1024);
  CHECK_EQ(eddy_close(e, 0), 0);
  eddy_release(e);
  lua_close(L);
}

int main (void) {
  test_frames_allocate_nothing();
  test_budget_loses_nobody();
  test_idle_memory();
  return test_report();
}
