/* SPDX-License-Identifier: MIT */
/*
** Where tasks come from. The function of Lua that spawns a task lies in the base frame of that, and the
** line in the task, so that nothing is looked up or written down unless somebody asks.
*/
#ifndef ED_SITE_H
#define ED_SITE_H

#include "core/task.h"

/* Push the function of Lua that calls the running C function; returns the line. Nil and 0: none does. */
uint32_t ed_site_push_caller (lua_State *L);

/* Push "file:line" of that call. Returns how many values were pushed. */
int ed_site_push_here (lua_State *L);

/* Push "file:line" where a task that has not ended was spawned, if it was in Lua. The same. */
int ed_site_push (lua_State *L, ed_task *task);

#endif
