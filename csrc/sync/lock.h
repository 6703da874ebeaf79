/* SPDX-License-Identifier: MIT */
/*
** A lock from inside: what a condition needs of the lock that it gives up and takes again.
**
** The lock belongs to a task and knows it; the task's end is noticed by a silent
** watch. Each time that it is taken by 'acquire' has a number, which the guard of that time
** shares: an older guard is without effect. A condition gives the lock up and takes it back under
** the same number.
*/
#ifndef ED_LOCK_H
#define ED_LOCK_H

#include "sync/waitq.h"

typedef struct ed_lock {
  ed_link waiters;   /* ed_locking */
  ed_watch hold;     /* among those of the owner; silent */
  ed_task *owner;    /* NULL: free */
  uint64_t turn;     /* number of the present ownership */
  uint64_t turns;    /* numbers given so far */
  bool is_abandoned; /* the next acquire is told */
  bool is_finalized; /* the collector has found it: it takes no owner */
  char abandoner[48];
} ed_lock;

/* An operation that waits for the lock. */
typedef struct ed_locking {
  ed_waiter waiter; /* first */
  ed_lock *lock;
  uint64_t turn;   /* to be restored; 0: a new one */
  bool is_granted; /* the lock is the task's, and that was not delivered yet */
  bool is_told;    /* instead of the lock: that it was abandoned */
} ed_locking;

/* The lock at 'arg', or an argument error. */
ed_lock *ed_lock_check (lua_State *L, int arg);

/* Push a new lock. */
ed_lock *ed_lock_push (lua_State *L, ed_loop *loop);

/* Make a free lock 'task's; 'turn' 0 is a new turn. */
void ed_lock_own (ed_lock *lock, ed_task *task, uint64_t turn);

/* The owner gives it up: it goes to the first waiter. */
void ed_lock_give_up (ed_lock *lock);

/* Queue for a lock that is taken. */
void ed_lock_queue (ed_locking *locking);

/* 'drop' of such operations: what was granted and never delivered goes on. */
void ed_drop_locking (ed_op *op);

/* Who holds it, for the task tree. */
void ed_lock_describe (const ed_lock *lock, char *text, size_t room);

#endif
