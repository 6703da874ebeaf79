/* SPDX-License-Identifier: MIT */
/*
** A FIFO of parked operations: the primitive that events, semaphores and queues put their
** policy on. The list is the engine of its operations: taking one out and completing it hands
** the answer over; giving one up takes it out and lets go. The head lives in the object's
** userdata, which the waiting C function holds as its first argument.
**
** What stands in a list may also be one of the several places of a 'select' (sync/select.h). Lists
** that let it in wake with ed_choice_wake.
*/
#ifndef ED_WAITQ_H
#define ED_WAITQ_H

#include "core/loop.h"

typedef struct ed_waiter {
  ed_op op; /* first */
  ed_link link;
} ed_waiter;

static inline ed_waiter *ed_waitq_first (const ed_link *queue) {
  return queue->next == queue ? NULL : ED_OF(queue->next, ed_waiter, link);
}

static inline void ed_waitq_join (ed_link *queue, ed_waiter *waiter) {
  ed_list_append(queue, &waiter->link);
}

/* Take 'waiter' out and give it its answer. */
static inline void ed_waitq_wake (ed_waiter *waiter, int status) {
  ed_list_remove(&waiter->link);
  ed_op_complete(&waiter->op, status);
}

/* Wake all who wait now, in order. */
static inline void ed_waitq_wake_all (ed_link *queue, int status) {
  for (ed_waiter *at; (at = ed_waitq_first(queue)) != NULL;) ed_waitq_wake(at, status);
}

static inline lua_Integer ed_waitq_count (const ed_link *queue) {
  lua_Integer n = 0;
  for (const ed_link *at = queue->next; at != queue; at = at->next) n++;
  return n;
}

/* The 'cancel' of such operations. */
static inline ed_verdict ed_waitq_cancel (ed_op *op) {
  ed_list_remove(&((ed_waiter *)op)->link);
  ed_op_release(op);
  return ED_STOPPED;
}

#endif
