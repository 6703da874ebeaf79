/* SPDX-License-Identifier: MIT */
/*
** What a failure leaves to read: where it happened, through whose hands it went, and where
** those tasks were spawned.
**
** The text is made by the message handler under which every body and every block runs, at the
** point of the error, and filed for the task; error objects get it in 'traceback' as well. The
** value itself passes on unchanged. When a task raises what another task failed with, that
** one's text comes first and "awaited by" follows, so the root's text tells the whole way.
*/
#ifndef ED_TRACE_H
#define ED_TRACE_H

#include "core/loop.h"

/* The message handler: files the text of an error that is no cancellation. */
int ed_trace_handler (lua_State *L);

/* The value at the top, which 'task' raises next, is what the ended task at 'child' failed with. */
void ed_trace_passes_on (lua_State *L, ed_task *task, int child);

/*
** The error at the top ended the coroutine 'co' of the running task: push the text of that, or
** nil for a cancellation. Then, when the value to be raised is at the top: 'text' belongs to it.
*/
void ed_trace_push_coroutine (lua_State *L, ed_loop *loop, lua_State *co);
void ed_trace_belongs (lua_State *L, ed_loop *loop, int text);

/* The running task raises once more what it has failed with: its text is filed already. */
void ed_trace_again (ed_task *task);

/* Push the text filed for the task at 'index', or nil. */
void ed_trace_push (lua_State *L, ed_loop *loop, int index);

/* Push where a task that has not ended is: the stacks of its coroutines, and its spawning. */
void ed_trace_push_live (lua_State *L, ed_task *task);

#endif
