/* SPDX-License-Identifier: MIT */
/*
** What a script holds of a task: a small userdata that outlives the task. The task itself, which is
** large, is memory of the runtime and serves the next one as soon as nobody collects its result;
** from then on the reference alone knows how it ended, and has the results as its user value.
**
** A task has one reference or none: 'spawn' gives it one, to others (members of a gather) it comes
** when somebody asks. As long as the task lives so does its reference: it lies in the task's base
** frame, or in the runtime's table of references.
*/
#ifndef ED_TASK_REF_H
#define ED_TASK_REF_H

#include "core/task.h"

/* A word, because a hundred thousand of them count: where the task is or, once it was let go, how it
   ended, with the lowest bit set. */
struct ed_task_ref {
  uint64_t word;
};

/* The reference at 'arg', or an argument error. */
ed_task_ref *ed_ref_check (lua_State *L, int arg);

/* The task; NULL once it has ended and was let go. */
static inline ed_task *ed_ref_task (const ed_task_ref *ref) {
  return ref->word & 1 ? NULL : (ed_task *)(uintptr_t)ref->word;
}

static inline ed_task_state ed_ref_state (const ed_task_ref *ref) {
  return ref->word & 1 ? (ed_task_state)(ref->word >> 1 & 7) : ed_ref_task(ref)->state;
}

/* Its number. */
uint32_t ed_ref_id (const ed_task_ref *ref);

static inline bool ed_ref_has_ended (const ed_task_ref *ref) {
  return ed_ref_state(ref) >= ED_TASK_DONE;
}

/*
** Push what lies at 'slot' (ED_FRAME_*) of the base frame of a task that has not ended; false when there
** is no place for it on the stack of its coroutine.
*/
bool ed_frame_push (lua_State *L, ed_task *task, int slot);

/* Push a reference to nothing yet. May raise. */
ed_task_ref *ed_ref_push_new (lua_State *L, ed_loop *loop);

static inline void ed_ref_set (ed_task_ref *ref, ed_task *task) {
  ref->word = (uintptr_t)task;
  task->ref = ref;
}

/* See to it that the table has a place for the task. May raise, and run finalizers. */
void ed_ref_make_place (lua_State *L, ed_task *task);

/* Put the reference at the top (popped) into that place. */
void ed_ref_store (lua_State *L, const ed_task *task);

/* The base frame may go at any time: from there into the table. May raise. */
void ed_ref_secure (lua_State *L, ed_task *task);

/* The base frame is about to go: from there into the table. Without memory for that the reference
   is on its own from now on, as that of a task that was cancelled. */
void ed_ref_rescue (ed_task *task);

/* The task is let go: its reference goes on alone. */
void ed_ref_leave (ed_task *task);

/* Push the results (any number) of an ended task, or its error (one value). 'ref' lies at 'index'. */
int ed_ref_push_results (lua_State *L, const ed_task_ref *ref, int index);

/* Push its first result, or its error. */
void ed_ref_push_first (lua_State *L, const ed_task_ref *ref, int index);

#endif
