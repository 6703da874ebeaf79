/* SPDX-License-Identifier: MIT */
/*
** What a task has begun and must be closed before it ends, though no '<close>' variable of its own
** holds it: generators (lua/eddy/gen.lua) that were left in the middle. Each such task has a set of
** them; when its body and its children have ended, one function of the library is called with the
** set, in the task, where it may wait. A task without one pays for a test of a bit.
*/
#ifndef ED_ENDING_H
#define ED_ENDING_H

#include "core/loop.h"

/*
** Call the function for the set of the running task, protected, and go on with 'k' and 'ctx' as
** lua_pcallk does. The message handler is at 'handler'.
*/
int ed_ending_call (
  lua_State *L, ed_task *task, int handler, lua_KContext ctx, lua_KFunction k);

/* The same for a task that is killed, where nothing can wait. What it raises is lost with the task. */
void ed_ending_kill (ed_task *task);

/* Push 'ending' and 'on_ending' into the table at the top. */
void ed_open_ending (lua_State *L, int box);

#endif
