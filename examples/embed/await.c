/* SPDX-License-Identifier: MIT */
/*
** A C function that waits: load(name) asks the application's own loader, which answers from a
** thread of its own. To the script it is a plain function; it can be cancelled like any wait.
*/
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <uv.h>

#include "end.h"

/* ---- the application's loader: one thread, which calls back ---- */

typedef void (*loaded)(void *ud, size_t size);

typedef struct order {
  char name[32];
  loaded callback;
  void *ud;
  uv_thread_t thread;
} order;

static void load_it (void *arg) {
  order *o = arg;
  uv_sleep(5);
  o->callback(o->ud, strlen(o->name) * 100);
}

/* ---- the C function ---- */

typedef struct load {
  eddy_op *op;
  order order;
  size_t size;
} load;

static void on_loaded (void *ud, size_t size) { /* on the loader's thread */
  load *l = ud;
  l->size = size;
  eddy_op_complete(l->op, 0);
}

static int push_load (lua_State *L, void *data, int status) {
  (void)status;
  lua_pushinteger(L, (lua_Integer)((load *)data)->size);
  return 1;
}

/* The answer has been given: the thread is about to end. */
static void destroy_load (void *data) { uv_thread_join(&((load *)data)->order.thread); }

static const eddy_op_class load_class = {"load", push_load, NULL, destroy_load};

static int l_load (lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  eddy_op *op;
  load *l;
  eddy_op_new(L, &load_class, sizeof *l, &op);
  l = eddy_op_data(op);
  l->op = op;
  snprintf(l->order.name, sizeof l->order.name, "%s", name);
  l->order.callback = on_loaded;
  l->order.ud = l;
  if (uv_thread_create(&l->order.thread, load_it, &l->order) != 0) abort();
  return eddy_op_wait(L, op);
}

/* ---- the host ---- */

static const char script[] =
  "local eddy = require 'eddy'\n"
  "local sizes = eddy.map({'map', 'sound', 'actor'}, load_asset)\n"
  "print(table.concat(sizes, ' '))\n"
  "print(eddy.within(0.001, load_asset, 'late'))\n";

int main (void) {
  eddy *e;
  if (eddy_new(&e, NULL, NULL) < 0) return 1;
  lua_register(eddy_lua(e), "load_asset", l_load);
  eddy_spawn_buffer(e, script, strlen(script), "=script", NULL, NULL);
  eddy_run(e);
  return end_runtime(e, 1000000000); /* who started a thread waits for its answer */
}
