/* SPDX-License-Identifier: MIT */
/*
** Task-local variables: eddy.var.
*/
#ifndef ED_VAR_H
#define ED_VAR_H

#include "core/loop.h"

/* Push what the caller sees now, for a task to be; false: that is nothing. May raise for memory. */
bool ed_vars_push_visible (lua_State *L, ed_loop *loop);

/* A coroutine that has bound something may be taken up by any task. */
static inline bool ed_vars_push (lua_State *L, ed_loop *loop) {
  ed_task *task = loop->current;
  return (task == NULL || task->has_vars || loop->has_loose_vars)
    && ed_vars_push_visible(L, loop);
}

/* 'child', of a task to be, sees what was pushed (and is popped). Runs no finalizers. */
void ed_vars_give (lua_State *L, ed_loop *loop, lua_State *child);

/* A task that has bindings ends. Never fails. */
void ed_vars_forget (lua_State *L, ed_task *task);

void ed_open_var (lua_State *L, ed_loop *loop, int box);

#endif
