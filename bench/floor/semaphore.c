/* SPDX-License-Identifier: MIT */
/*
** semaphore.c TASKS: that many tasks share one permit. One task alone always finds it
** free; of several, each waits every time, because a released permit goes to who has
** waited longest. The semaphore is its own permit here. The unit is one acquire and one
** release.
*/
#include "floor.h"

typedef struct semaphore {
  long available;
  task_list waiting;
} semaphore;

static task_list ready;

static semaphore *to_semaphore (lua_State *L) {
  if (!lua_getmetatable(L, 1) || !lua_rawequal(L, -1, lua_upvalueindex(1)))
    luaL_typeerror(L, 1, "semaphore");
  return lua_touserdata(L, 1);
}

static int finish_acquire (lua_State *L, int status, lua_KContext context) {
  (void)status, (void)context;
  lua_settop(L, 1);
  return 1;
}

static int l_acquire (lua_State *L) {
  semaphore *s = to_semaphore(L);
  if (s->available == 0) {
    append(&s->waiting, task_of(L));
    return lua_yieldk(L, 0, 0, finish_acquire);
  }
  s->available--;
  return finish_acquire(L, LUA_OK, 0);
}

static int l_release (lua_State *L) {
  semaphore *s = to_semaphore(L);
  task *next = take_first(&s->waiting);
  if (next != NULL) append(&ready, next);
  else s->available++;
  return 0;
}

static int finish_pause (lua_State *co, int status, lua_KContext context) {
  (void)co, (void)status, (void)context;
  return 0;
}

static int l_pause (lua_State *co) {
  append(&ready, task_of(co));
  return lua_yieldk(co, 0, 0, finish_pause);
}

static void push_semaphore (lua_State *L) {
  semaphore *s = lua_newuserdatauv(L, sizeof *s, 0);
  *s = (semaphore){.available = 1};
  lua_newtable(L);
  lua_newtable(L);
  lua_pushvalue(L, -2);
  lua_pushcclosure(L, l_acquire, 1);
  lua_setfield(L, -2, "acquire");
  lua_pushvalue(L, -2);
  lua_pushcclosure(L, l_release, 1);
  lua_setfield(L, -2, "release");
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
}

static void start (lua_State *L, long n) {
  task *t = new_task(L);
  lua_pushvalue(L, -1);
  lua_pushinteger(L, n);
  lua_xmove(L, t->co, 2);
  append(&ready, t);
}

static double take_often (lua_State *L, long n) {
  long tasks = (long)lua_tointeger(L, 1);
  double began;
  task *t;
  for (long i = 0; i < tasks; i++) start(L, n / tasks);
  began = cpu_seconds();
  while ((t = take_first(&ready)) != NULL) {
    int results, arguments = lua_status(t->co) == LUA_YIELD ? 0 : 1;
    check(t->co, lua_resume(t->co, L, arguments, &results));
  }
  return cpu_seconds() - began;
}

int main (int argc, char **argv) {
  lua_State *L = new_state();
  lua_pushinteger(L, argc > 1 ? atoi(argv[1]) : 1);
  push_semaphore(L);
  lua_setglobal(L, "semaphore");
  lua_pushcfunction(L, l_pause);
  lua_setglobal(L, "pause");
  push_chunk(L,
    "local semaphore, pause = semaphore, pause\n"
    "return function (n)\n"
    "  local first = semaphore:acquire(); pause(); first:release()\n"
    "  for _ = 1, n do local permit = semaphore:acquire(); permit:release() end\n"
    "end");
  printf("%.1f\n", ns_per_unit(L, take_often));
  return 0;
}
