/* SPDX-License-Identifier: MIT */
/*
** What the floors share: a clock, a way to measure, and recycled coroutines. A floor does
** only what no scheduler on top of Lua's C API and libuv can leave out: it checks
** nothing, cancels nothing and reports nothing. It stands on no code of eddy's.
*/
#ifndef FLOOR_H
#define FLOOR_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <lua.h>
#include <lauxlib.h>
#include <lualib.h>

#define LONG_ENOUGH 0.4 /* CPU seconds that a measured run lasts at least, roughly */

static inline double cpu_seconds (void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Does `n` units of work; answers the CPU seconds that the part worth measuring took. */
typedef double floor_work (lua_State *L, long n);

/* CPU nanoseconds a unit. The short runs that find the right `n` are the warm-up. */
static inline double ns_per_unit (lua_State *L, floor_work *work) {
  long n = 1000;
  double took = work(L, n);
  while (took < LONG_ENOUGH) {
    n = took < LONG_ENOUGH / 20 ? n * 4 : (long)((double)n * 1.2 * LONG_ENOUGH / took);
    took = work(L, n);
  }
  return took / (double)n * 1e9;
}

/* Bytes of this process in memory; -1 where the system does not tell. */
static inline long resident_bytes (void) {
  long pages = -1;
  FILE *f = fopen("/proc/self/statm", "r");
  if (f == NULL) return -1;
  if (fscanf(f, "%*s %ld", &pages) != 1) pages = -1;
  fclose(f);
  return pages < 0 ? -1 : pages * sysconf(_SC_PAGESIZE);
}

static inline void check (lua_State *L, int status) {
  if (status == LUA_OK || status == LUA_YIELD) return;
  fprintf(stderr, "%s\n", lua_tostring(L, -1));
  exit(1);
}

static inline lua_State *new_state (void) {
  lua_State *L = luaL_newstate();
  if (L == NULL) exit(1);
  luaL_openlibs(L);
  return L;
}

/* Leaves the function that `source` returns on the stack. */
static inline void push_chunk (lua_State *L, const char *source) {
  check(L, luaL_loadstring(L, source));
  check(L, lua_pcall(L, 0, 1, 0));
}

/* ---- Tasks ---------------------------------------------------------------------------- */

typedef struct task {
  lua_State *co;
  struct task *next; /* in the ready list, or in the list of free ones */
  int index;         /* for whoever collects results */
} task;

typedef struct task_list {
  task *first, *last;
} task_list;

static inline void append (task_list *list, task *t) {
  t->next = NULL;
  if (list->first == NULL) list->first = t;
  else list->last->next = t;
  list->last = t;
}

static inline task *take_first (task_list *list) {
  task *t = list->first;
  if (t != NULL) list->first = t->next;
  return t;
}

/* A thread finds its task in its extra space, where Lua leaves room for one pointer. */
static inline task *task_of (lua_State *co) { return *(task **)lua_getextraspace(co); }

static inline task *new_task (lua_State *L) {
  task *t = calloc(1, sizeof *t);
  if (t == NULL) exit(1);
  t->co = lua_newthread(L);
  *(task **)lua_getextraspace(t->co) = t;
  luaL_ref(L, LUA_REGISTRYINDEX);
  return t;
}

/* A coroutine that ended well takes the next body as it is; a missing one is made. */
static inline task *recycled_task (lua_State *L, task_list *spare) {
  task *t = take_first(spare);
  return t != NULL ? t : new_task(L);
}

static int finish_body (lua_State *co, int status, lua_KContext context) {
  (void)status, (void)context;
  return lua_gettop(co);
}

/* Every body runs under this frame, which catches its error inside the coroutine. */
static inline int base_frame (lua_State *co) {
  return finish_body(
    co, lua_pcallk(co, lua_gettop(co) - 1, LUA_MULTRET, 0, 0, finish_body), 0);
}

#endif
