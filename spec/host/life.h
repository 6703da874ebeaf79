/* SPDX-License-Identifier: MIT */
/*
** For tests that close runtimes at any moment: a value that has to be closed, and an operation that
** the test answers, or nobody; both are counted.
*/
#ifndef ED_SPEC_LIFE_H
#define ED_SPEC_LIFE_H

#include "host.h"

enum { PENDING = 100 };

static int opened, closed, begun, destroyed, npending;
static eddy_op *pending[PENDING];

static inline void count_from_zero (void) {
  opened = closed = begun = destroyed = npending = 0;
}

static inline int l_close_guard (lua_State *L) {
  (void)L;
  closed++;
  return 0;
}

static inline int l_guard (lua_State *L) {
  lua_newtable(L);
  lua_newtable(L);
  lua_pushcfunction(L, l_close_guard);
  lua_setfield(L, -2, "__close");
  lua_setmetatable(L, -2);
  opened++;
  return 1;
}

static inline void destroy (void *data) {
  (void)data;
  destroyed++;
}

static const eddy_op_class life_class = {"pend", NULL, NULL, destroy};

static inline int l_pend (lua_State *L) {
  eddy_op *op;
  eddy_op_new(L, &life_class, 8, &op);
  begun++;
  pending[npending++] = op;
  return eddy_op_wait(L, op);
}

#endif
