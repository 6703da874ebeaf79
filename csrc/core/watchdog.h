/* SPDX-License-Identifier: MIT */
/*
** The watchdog: a thread that sees when a turn of Lua takes longer than it may, and interrupts it.
**
** The loop's thread gives each turn a number and says how long it may take; that is all it does
** for a turn that keeps to it: a few plain stores. The watchdog looks now and then, and when it
** has seen the same number for too long it sends a signal, whose handler calls 'act' on the
** loop's thread. One thread for each runtime that asks; it sleeps while no turn is on, and
** between turns and at the end the runtime's thread may go away, which is what the lock is for.
**
** Promise: 'act' is called on the loop's thread, between enter and leave. It may come late: then
** the turn that it was meant for is over, and 'called' tells.
*/
#ifndef ED_WATCHDOG_H
#define ED_WATCHDOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "core/interrupt.h"

typedef struct ed_watchdog {
  ed_interruptible interruptible; /* first */
  atomic_uint turn;               /* the number of the one that is on; 0: none */
  _Atomic uint64_t budget;        /* ns that it may take; UINT64_MAX: any time */
  _Atomic uint64_t begun;         /* when the watchdog saw it first, by uv_hrtime */
  atomic_uint called;             /* the turn for which the signal was sent last */
  uv_mutex_t lock;                /* of what follows */
  uv_cond_t wake;
  uv_thread_t owner; /* the loop's, while is_inside */
  uint64_t period;   /* ns between two looks */
  bool is_inside, is_asleep, is_ending;
  /* the watchdog's own */
  unsigned seen;
  unsigned idle;        /* looks without a turn */
  uint64_t sent_budget; /* what the signal was sent for; */
  uint64_t sent_after;  /* and when, in ns of the turn; 0: not yet */
  bool has_handler;
  /* the loop's own */
  uv_thread_t thread;
  bool is_started;
  bool is_entered;
} ed_watchdog;

/* Start the thread of a cleared watchdog whose 'interruptible.act' is set. A UV_E code. */
int ed_watchdog_start (ed_watchdog *dog);

/* End it, and wait for that. Harmless if it was not started. */
void ed_watchdog_stop (ed_watchdog *dog);

/* Turns of 'ns' are to be noticed soon after. */
void ed_watchdog_expect (ed_watchdog *dog, uint64_t ns);

/* The calling thread runs turns of the loop from now on; and no more. */
void ed_watchdog_enter (ed_watchdog *dog);
void ed_watchdog_leave (ed_watchdog *dog);

/* Turn 'number' is on, or 0: none. */
static inline void ed_watchdog_turn (ed_watchdog *dog, unsigned number, uint64_t budget) {
  atomic_store_explicit(&dog->budget, budget, memory_order_relaxed);
  atomic_store_explicit(&dog->turn, number, memory_order_release);
}

/* The one that is on may take so long. */
static inline void ed_watchdog_grant (ed_watchdog *dog, uint64_t budget) {
  atomic_store_explicit(&dog->budget, budget, memory_order_relaxed);
}

#endif
