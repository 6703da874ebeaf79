/* SPDX-License-Identifier: MIT */
/*
** What a host pays: a question of bench/questions.lua, answered through eddy.h alone.
**
** Prints one line of numbers, in the order of the rows there: a step with nothing to do, in µs;
** how long a step of 1 000 ready tasks of 0.1 ms with a budget of 2 ms takes, in ms, and how many
** of them were lost in the end; what 10 000 idle tasks add to a frame, in µs; what it costs to
** wake one of 10 000 frame waiters, in ns; a runtime attached to a state and closed, in µs; and
** what it holds beyond the bare state, in KiB.
*/
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <lauxlib.h>
#include <lualib.h>
#include <uv.h>

#include "eddy.h"

enum { CROWD = 10000, READY = 1000 };

static const uint64_t long_enough = 200000000; /* ns that a measured run lasts */

static void must (int status, const char *what) {
  if (status >= 0) return;
  fprintf(stderr, "%s: %s\n", what, eddy_strerror(status));
  exit(1);
}

static eddy *open_runtime (void) {
  eddy *e;
  must(eddy_new(&e, NULL, NULL), "eddy_new");
  return e;
}

static void close_runtime (eddy *e) {
  must(eddy_close(e, 0), "eddy_close");
  eddy_release(e);
}

static void spawn (eddy *e, const char *text, int n) {
  for (int i = 0; i < n; i++)
    must(eddy_spawn_buffer(e, text, strlen(text), "=bench", NULL, NULL), "spawn");
}

static uint64_t cpu_ns (void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* CPU ns of one 'work', of as many as fit into a run that is long enough. */
static double ns_each (void (*work)(eddy *e), eddy *e) {
  for (long n = 10;; n *= 4) {
    uint64_t begin = cpu_ns(), took;
    for (long i = 0; i < n; i++) work(e);
    took = cpu_ns() - begin;
    if (took >= long_enough) return (double)took / (double)n;
  }
}

static void step (eddy *e) { eddy_step(e, 2000000); }

static void frame (eddy *e) {
  eddy_frame(e, 0, 16666667);
  eddy_step(e, 2000000);
}

/* ---- a step with nothing to do ---- */

static double step_idle (void) {
  eddy *e = open_runtime();
  double ns = ns_each(step, e);
  close_runtime(e);
  return ns;
}

/* ---- a budget ---- */

static int l_burn (lua_State *L) {
  uint64_t end = uv_hrtime() + (uint64_t)luaL_checkinteger(L, 1);
  while (uv_hrtime() < end)
    ;
  return 0;
}

static int compare (const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* The median of what the steps took: a busy neighbour may take the processor away in one. */
static double budgeted_steps (long *lost) {
  static double took[READY];
  eddy *e = open_runtime();
  lua_State *L = eddy_lua(e);
  int n = 0, status;
  lua_register(L, "burn", l_burn);
  spawn(e, "burn(100000) DONE = (DONE or 0) + 1", READY);
  do {
    uint64_t begin = uv_hrtime();
    status = eddy_step(e, 2000000);
    took[n++] = (double)(uv_hrtime() - begin) / 1e6;
  } while (status == EDDY_BUSY && n < READY);
  lua_getglobal(L, "DONE");
  *lost = READY - (long)lua_tointeger(L, -1);
  close_runtime(e);
  qsort(took, (size_t)n, sizeof *took, compare);
  return took[n / 2];
}

/* ---- crowds ---- */

static double frame_with (const char *text, int n) {
  eddy *e = open_runtime();
  double ns;
  spawn(e, text, n);
  while (eddy_step(e, UINT64_MAX) == EDDY_BUSY)
    ;
  ns = ns_each(frame, e);
  close_runtime(e);
  return ns;
}

/* ---- birth and end, memory ---- */

static void attach_and_close (lua_State *L) {
  eddy *e;
  must(eddy_new(&e, L, NULL), "eddy_new");
  must(eddy_step(e, 0), "eddy_step");
  close_runtime(e);
}

/* States are made and closed beside the clock. */
static double life (void) {
  uint64_t took = 0;
  long n = 0;
  while (took < long_enough) {
    lua_State *L = luaL_newstate();
    uint64_t begin;
    luaL_openlibs(L);
    begin = cpu_ns();
    attach_and_close(L);
    took += cpu_ns() - begin;
    n++;
    lua_close(L);
  }
  return (double)took / (double)n;
}

static size_t held (lua_State *state) {
  lua_gc(state, LUA_GCCOLLECT);
  return (size_t)lua_gc(state, LUA_GCCOUNT) * 1024 + (size_t)lua_gc(state, LUA_GCCOUNTB);
}

static double memory_beyond_state (void) {
  lua_State *bare = luaL_newstate();
  size_t before;
  eddy *e;
  luaL_openlibs(bare);
  before = held(bare);
  must(eddy_new(&e, bare, NULL), "eddy_new");
  held(bare);
  before = eddy_mem_used(e) - before;
  close_runtime(e);
  lua_close(bare);
  return (double)before;
}

int main (void) {
  long lost;
  double idle = step_idle(), budgeted = budgeted_steps(&lost);
  double none = frame_with("", 0), sleeping = frame_with("require'eddy'.sleep(1e6)", CROWD);
  double woken = frame_with("local e = require'eddy' while true do e.frame() end", CROWD);
  printf("%.3f %.3f %ld %.3f %.1f %.2f %.1f\n", idle / 1e3, budgeted, lost,
    (sleeping - none) / 1e3, woken / CROWD, life() / 1e3, memory_beyond_state() / 1024);
  return 0;
}
