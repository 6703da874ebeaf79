/* SPDX-License-Identifier: MIT */
/*
** Task-local variables: eddy.var.
*/
#ifndef ED_VAR_H
#define ED_VAR_H

#include "core/loop.h"

/* 'child', of a task to be, sees what the caller sees now. Is that anything? May raise for memory. */
bool ed_vars_inherit (lua_State *L, ed_loop *loop, lua_State *child);

/* A task that has bindings ends. Never fails. */
void ed_vars_forget (lua_State *L, ed_task *task);

void ed_open_var (lua_State *L, ed_loop *loop, int box);

#endif
