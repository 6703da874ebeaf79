/* SPDX-License-Identifier: MIT */
/*
** offload_cores.c THREADS: the same Lua work so many times one after the other, and on so many
** threads at once, each with a state of its own. Prints how many times faster the second is.
*/
#include <uv.h>
#include "floor.h"

static const char source[] =
  "local function fib (n) return n < 2 and n or fib(n - 1) + fib(n - 2) end\n"
  "return function () return fib(30) end";

static void work (void *state) {
  lua_State *L = state;
  lua_pushvalue(L, -1);
  check(L, lua_pcall(L, 0, 0, 0));
}

static double seconds (int threads, lua_State **state, int is_parallel) {
  uv_thread_t thread[64];
  uint64_t began = uv_hrtime();
  for (int i = 0; i < threads; i++)
    if (is_parallel) uv_thread_create(&thread[i], work, state[i]);
    else work(state[0]);
  for (int i = 0; is_parallel && i < threads; i++) uv_thread_join(&thread[i]);
  return (double)(uv_hrtime() - began) * 1e-9;
}

int main (int argc, char **argv) {
  int threads = argc > 1 ? atoi(argv[1]) : 2;
  lua_State *state[64];
  double best = 0;
  if (threads > 64) return 1;
  for (int i = 0; i < threads; i++) {
    state[i] = new_state();
    push_chunk(state[i], source);
  }
  for (int i = 0; i < 5; i++) {
    double ratio = seconds(threads, state, 0) / seconds(threads, state, 1);
    if (ratio > best) best = ratio;
  }
  printf("%.3f\n", best);
  return 0;
}
