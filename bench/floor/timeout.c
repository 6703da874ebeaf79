/* SPDX-License-Identifier: MIT */
/*
** timeout.c: a deadline around a function that ends at once: the timer goes into the
** heap, the function runs under lua_pcallk, the timer comes out. The clock is read each
** time, since a deadline taken from the loop's time could pass too early. Another one is
** in the heap all the while.
*/
#include <uv.h>
#include "floor.h"
#include "heap.h"

static heap deadlines;

static int finish_timeout (lua_State *L, int status, lua_KContext context) {
  (void)status;
  heap_remove(&deadlines, (timer *)context);
  return lua_gettop(L) - 1;
}

static int l_timeout (lua_State *L) {
  lua_Number seconds = luaL_checknumber(L, 1);
  timer
    deadline; /* lives long enough here: nothing yields; the status is never asked for */
  heap_push(&deadlines, uv_hrtime() + (uint64_t)(seconds * 1e9), &deadline);
  return finish_timeout(L,
    lua_pcallk(
      L, lua_gettop(L) - 2, LUA_MULTRET, 0, (lua_KContext)&deadline, finish_timeout),
    (lua_KContext)&deadline);
}

static double time_out_often (lua_State *L, long n) {
  double began = cpu_seconds();
  task *t = task_of(L);
  int results;
  lua_pushvalue(L, -1);
  lua_pushinteger(L, n);
  lua_xmove(L, t->co, 2);
  check(t->co, lua_resume(t->co, L, 1, &results));
  return cpu_seconds() - began;
}

int main (void) {
  lua_State *L = new_state();
  timer other;
  heap_push(&deadlines, 1000, &other);
  *(task **)lua_getextraspace(L) = new_task(L);
  lua_pushcfunction(L, l_timeout);
  lua_setglobal(L, "timeout");
  push_chunk(L,
    "local timeout = timeout; local function work () end\n"
    "return function (n) for _ = 1, n do timeout(5, work) end end");
  printf("%.1f\n", ns_per_unit(L, time_out_often));
  return 0;
}
