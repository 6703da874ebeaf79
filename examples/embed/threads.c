/* SPDX-License-Identifier: MIT */
/*
** Four runtimes on four threads, which do not know of each other: no globals, no locks.
*/
#include <stdio.h>
#include <string.h>

#include <uv.h>

#include "end.h"

enum { THREADS = 4 };

typedef struct worker {
  uv_thread_t thread;
  int number;
  int status;
  lua_Integer sum;
} worker;

static const char script[] = "local eddy, number = require 'eddy', NUMBER\n"
                             "local sum = 0\n"
                             "for _, n in ipairs(eddy.map({1, 2, 3, 4}, function(n)\n"
                             "  eddy.sleep(0.001 * n)\n"
                             "  return n * number\n"
                             "end)) do sum = sum + n end\n"
                             "return sum\n";

static void on_done (eddy *e, eddy_id id, int status, lua_State *L, int n, void *ud) {
  (void)e, (void)id;
  if (status == EDDY_OK && n == 1) ((worker *)ud)->sum = lua_tointeger(L, -1);
}

static void work (void *arg) {
  worker *w = arg;
  eddy *e;
  eddy_id id;
  if (eddy_new(&e, NULL, NULL) < 0) return;
  lua_pushinteger(eddy_lua(e), w->number);
  lua_setglobal(eddy_lua(e), "NUMBER");
  if (eddy_spawn_buffer(e, script, strlen(script), "=script", NULL, &id) == EDDY_OK)
    eddy_task_on_done(e, id, on_done, w);
  eddy_run(e);
  w->status = end_runtime(e, 0);
}

int main (void) {
  worker workers[THREADS] = {{.number = 1}, {.number = 2}, {.number = 3}, {.number = 4}};
  int status = 0;
  for (int i = 0; i < THREADS; i++)
    if (uv_thread_create(&workers[i].thread, work, &workers[i]) != 0) return 1;
  for (int i = 0; i < THREADS; i++) {
    uv_thread_join(&workers[i].thread);
    printf("thread %d: %d\n", workers[i].number, (int)workers[i].sum);
    status |= workers[i].status;
  }
  return status;
}
