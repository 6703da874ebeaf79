/* SPDX-License-Identifier: MIT */
/*
** switch.c TASKS: that many coroutines give way in turn. A switch is one lua_resume, one
** lua_yieldk and a move to the end of the ready list.
*/
#include "floor.h"

static task_list ready;

static int resumed (lua_State *co, int status, lua_KContext context) {
  (void)co, (void)status, (void)context;
  return 0;
}

static int l_pause (lua_State *co) { return lua_yieldk(co, 0, 0, resumed); }

static void switch_once (lua_State *L) {
  task *t = take_first(&ready);
  int results;
  check(t->co, lua_resume(t->co, L, 0, &results));
  append(&ready, t);
}

static double switch_often (lua_State *L, long n) {
  double began = cpu_seconds();
  for (long i = 0; i < n; i++) switch_once(L);
  return cpu_seconds() - began;
}

int main (int argc, char **argv) {
  lua_State *L = new_state();
  int tasks = argc > 1 ? atoi(argv[1]) : 2;
  lua_pushcfunction(L, l_pause);
  lua_setglobal(L, "pause");
  push_chunk(L, "local pause = pause; return function () while true do pause(0) end end");
  for (int i = 0; i < tasks; i++) {
    task *t = new_task(L);
    lua_pushvalue(L, -1);
    lua_xmove(L, t->co, 1);
    append(&ready, t);
  }
  for (int i = 0; i < tasks; i++) switch_once(L);
  printf("%.1f\n", ns_per_unit(L, switch_often));
  return 0;
}
