/* SPDX-License-Identifier: MIT */
/*
** Ordinary coroutines inside tasks, through which awaits pass.
**
** Stock coroutine.resume takes whatever a coroutine yields for its own consumer's. Ours tells a
** yield of the script from a suspension of the runtime: that one it passes on outward, level by
** level, until the task's own coroutine has yielded to the scheduler; when the task is woken,
** every level resumes the next inner one. An await d levels deep costs d resumes.
**
** The levels between a task's own coroutine and the one that runs are its *nest*. Promise: as
** long as a coroutine waits it belongs to its task; nobody else can resume or close it. Outside
** tasks, and for generators that do not wait, everything is as in the stock library.
*/
#ifndef ED_COROUTINE_H
#define ED_COROUTINE_H

#include "core/loop.h"

/* Close the coroutines of a task that is killed, the innermost first and its own last. */
void ed_nest_close (ed_task *task);

/* The coroutine from which 'co', one of the task's, was resumed; NULL for its own. */
lua_State *ed_nest_outer (const ed_task *task, lua_State *co);

/* Was the task's innermost block open already when the coroutine that runs was entered? */
bool ed_nest_is_outside (const ed_task *task);

/* Free a task's nest. */
void ed_nest_free (ed_task *task);

/* Why does a coroutine between the task and L keep L from waiting? Raises. */
int ed_nest_raise_blocked (lua_State *L, ed_task *task);

/* Replace the fields of the global library's table by ours, or put its own back. */
void ed_coroutine_install (lua_State *L, ed_loop *loop, bool ours);

/* Push the table of our functions into the table at the top, as field 'coroutine'. */
void ed_open_coroutine (lua_State *L, ed_loop *loop, int box);

#endif
