/* SPDX-License-Identifier: MIT */
/*
** sleepers.c TASKS: that many coroutines, each asleep for a different time between half a
** second and one and a half, in one heap behind one uv_timer_t. Prints CPU microseconds a
** task, from making it to its end, and bytes a task while all of them sleep.
*/
#include <uv.h>
#include "floor.h"
#include "heap.h"

typedef struct sleeper {
  task task;
  timer timer;
} sleeper;

static struct {
  lua_State *L;
  uv_loop_t loop;
  uv_timer_t timer;
  heap heap;
} all;

static sleeper *owner_of (timer *t) {
  return (sleeper *)((char *)t - offsetof(sleeper, timer));
}

static int finish_sleep (lua_State *co, int status, lua_KContext context) {
  (void)co, (void)status, (void)context;
  return 0;
}

static int l_sleep (lua_State *co) {
  lua_Number seconds = luaL_checknumber(co, 1);
  sleeper *s = *(sleeper **)lua_getextraspace(co);
  heap_push(&all.heap, uv_hrtime() + (uint64_t)(seconds * 1e9), &s->timer);
  return lua_yieldk(co, 0, 0, finish_sleep);
}

static void wake (sleeper *s) {
  int results;
  check(s->task.co, lua_resume(s->task.co, all.L, 0, &results));
}

static void on_timer (uv_timer_t *unused) {
  uint64_t now = uv_hrtime();
  (void)unused;
  while (all.heap.count > 0 && all.heap.at[0].due <= now) {
    sleeper *s = owner_of(all.heap.at[0].who);
    heap_remove(&all.heap, &s->timer);
    wake(s);
  }
  if (all.heap.count > 0)
    uv_timer_start(
      &all.timer, on_timer, (all.heap.at[0].due - now + 999999) / 1000000, 0);
}

static void start_sleeper (lua_State *L, lua_Number seconds) {
  sleeper *s = malloc(sizeof *s);
  int results;
  if (s == NULL) exit(1);
  s->task.co = lua_newthread(L);
  *(sleeper **)lua_getextraspace(s->task.co) = s;
  luaL_ref(L, LUA_REGISTRYINDEX);
  lua_pushcfunction(s->task.co, base_frame);
  lua_pushvalue(L, -1);
  lua_xmove(L, s->task.co, 1);
  lua_pushnumber(s->task.co, seconds);
  check(s->task.co, lua_resume(s->task.co, L, 2, &results));
}

int main (int argc, char **argv) {
  lua_State *L = all.L = new_state();
  long tasks = argc > 1 ? atol(argv[1]) : 100000, before, asleep;
  double began;
  uv_loop_init(&all.loop);
  uv_timer_init(&all.loop, &all.timer);
  lua_pushcfunction(L, l_sleep);
  lua_setglobal(L, "sleep");
  push_chunk(L, "local sleep = sleep; return function (seconds) sleep(seconds) end");
  before = resident_bytes();
  began = cpu_seconds();
  for (long i = 0; i < tasks; i++)
    start_sleeper(L, 0.5 + (double)(i * 7919 % tasks) / (double)tasks);
  asleep = resident_bytes();
  on_timer(&all.timer);
  uv_run(&all.loop, UV_RUN_DEFAULT);
  printf("%.3f %ld\n", (cpu_seconds() - began) / (double)tasks * 1e6,
    before < 0 ? -1 : (asleep - before) / tasks);
  return 0;
}
