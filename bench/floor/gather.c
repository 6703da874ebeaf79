/* SPDX-License-Identifier: MIT */
/*
** gather.c MEMBERS: runs a list of empty functions, each on a recycled coroutine, and
** collects the first result of each in a new list. The unit is one member.
*/
#include "floor.h"

static task_list ready, spare;

static void start_members (lua_State *L, int list, int count) {
  for (int i = 1; i <= count; i++) {
    task *t = recycled_task(L, &spare);
    t->index = i;
    lua_pushcfunction(t->co, base_frame);
    lua_rawgeti(L, list, i);
    lua_xmove(L, t->co, 1);
    append(&ready, t);
  }
}

static void run_members (lua_State *L, int found) {
  task *t;
  while ((t = take_first(&ready)) != NULL) {
    int results;
    check(t->co, lua_resume(t->co, L, 1, &results));
    lua_settop(t->co, 1);
    lua_xmove(t->co, L, 1);
    lua_rawseti(L, found, t->index);
    append(&spare, t);
  }
}

static int l_gather (lua_State *L) {
  int count = (int)lua_rawlen(L, 1);
  lua_createtable(L, count, 1);
  start_members(L, 1, count);
  run_members(L, 2);
  lua_pushinteger(L, count);
  lua_setfield(L, 2, "n");
  return 1;
}

static double gather_often (lua_State *L, long n) {
  double began = cpu_seconds();
  lua_pushvalue(L, -1);
  lua_pushinteger(L, n);
  check(L, lua_pcall(L, 1, 0, 0));
  return cpu_seconds() - began;
}

int main (int argc, char **argv) {
  lua_State *L = new_state();
  lua_pushinteger(L, argc > 1 ? atoi(argv[1]) : 1000);
  lua_setglobal(L, "members");
  lua_pushcfunction(L, l_gather);
  lua_setglobal(L, "gather");
  push_chunk(L,
    "local gather, members, list = gather, members, {}\n"
    "for i = 1, members do list[i] = function () end end\n"
    "return function (n) for _ = 1, n, members do gather(list) end end");
  printf("%.1f\n", ns_per_unit(L, gather_often));
  return 0;
}
