/* SPDX-License-Identifier: MIT */
/*
** Turns that take too long: slices, the report of blocking, and killing what does not end.
**
** A turn is what a task does between two waits. Nothing here costs a runtime that did not ask:
** loop->watch is NULL then, and that is all that a resume looks at. With a policy each turn has a
** number, by which the watchdog (core/watchdog) sees that it lasts; its signal puts a hook on the
** coroutine that runs, and the hook decides: note where it was, suspend the task as if it had
** waited for nothing ("preempt" it), kill it, or try again later.
**
** A task is preempted between two instructions of the script. Not in the library's own Lua, which
** may count on what it reads between two waits; not in eddy.atomic, nor below a C function that
** cannot be suspended, nor in a coroutine of the stock library: there it happens later. A
** preempted task goes on in the next turn of the loop, after I/O and timers were looked at.
*/
#ifndef ED_SLICE_H
#define ED_SLICE_H

#include "core/loop.h"

/* ns of so many seconds, at least 1; UINT64_MAX from about 300 years on. */
uint64_t ed_slice_ns (lua_Number seconds);

/* Those of every task of the runtime: ns, 0 for none. False when memory is short. */
typedef struct ed_policy {
  uint64_t slice;      /* of uninterrupted Lua before others get a turn */
  uint64_t warn;       /* a turn that lasts so long is reported to config.on_error */
  uint64_t kill_after; /* of CPU time without a wait */
} ed_policy;
bool ed_slice_set (ed_loop *loop, const ed_policy *policy);
ed_policy ed_slice_policy (const ed_loop *loop);

/* Before the first turn of a run: start the watchdog if the policy wants one. 0 or a UV_E code. */
int ed_slice_start (ed_loop *loop);

/* The run is over, no task lives. */
void ed_slice_stop (ed_loop *loop);
void ed_slice_free (ed_loop *loop);

/* For a task that is about to get these limits. 0 or a UV_E code. */
int ed_slice_prepare (ed_loop *loop, const struct ed_limits *limits);

/* So many tasks more have limits. */
void ed_slice_count (ed_loop *loop, int change);

/* In the place of lua_resume while there is a policy. */
int ed_slice_resume (ed_loop *loop, ed_task *task, int nargs, int *nres);

/* In the place of ed_loop_run_until: one round. */
void ed_slice_run_until (ed_loop *loop, uint64_t end, int batch);

/* A round: who is preempted in it goes on in the next one. Is that the first of those ready? */
void ed_slice_begin_round (ed_loop *loop);
bool ed_slice_ends_round (const ed_loop *loop);

/* Run 'close', clean-up of a task that is killed, for a limited time. */
void ed_slice_close (ed_loop *loop, ed_task *task, void (*close)(ed_task *task));

/* On the way: loop->closing is another one now. If the time is over it is looked at as well. */
void ed_slice_closes_next (ed_loop *loop);

/* Look at the running task at its next instruction. Does not touch Lua but for hooks. */
void ed_slice_interrupt (ed_loop *loop);

/*
** For tests: preempt every task after each 'count' instructions, 0: never; in the library, too. How
** many preemptions there were so far; -1 when memory is short.
*/
int ed_slice_every (ed_loop *loop, int count, bool everywhere);

#endif
