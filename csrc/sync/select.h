/* SPDX-License-Identifier: MIT */
/*
** What an object needs so that 'select' can wait for it: a row of functions, added to the list in
** select.c. While a select waits it has a place (or, at a task, a watch) with every object; the
** first that has something for it calls ed_select_win, which takes all places away at once, so
** that a loser is left without a trace.
*/
#ifndef ED_SELECT_H
#define ED_SELECT_H

#include "sync/waitq.h"

/*
** One object of a select. In the object's list it stands like any waiter, but its 'op' only says
** what it is, and whose: it is never completed.
*/
typedef struct ed_choice {
  ed_waiter place; /* first: in the object's list of waiters */
  ed_watch watch;  /* or among those who watch a task */
  ed_op *select;
  const struct ed_choosable *kind;
  void *object; /* anchored by the list at index 1 of the function that waits */
} ed_choice;

typedef struct ed_choosable {
  ed_class class;
  bool (*is_ready)(const void *object);

  /* Make sure that 'take' cannot fail, or NULL. May raise, and run finalizers: ask again. */
  void (*prepare)(lua_State *L, int self, void *object);

  /*
  ** It is ready and chosen: take what it has, as if it had been handed over. True if that is a
  ** value, now on top of the stack; NULL if it never is.
  */
  bool (*take)(lua_State *L, int self, void *object);

  /* Wait at the object; never fails. */
  void (*join)(void *object, ed_choice *choice);

  /* In the woken task: push the results; a value that was handed over is on top. */
  int (*finish)(lua_State *L, void *object, bool has_value);

  /* The task is killed with a value in hand: it is on top of the stack, and popped. */
  void (*give_back)(lua_State *co, int self, void *object);
} ed_choosable;

extern const ed_optype ed_choice_type;

/*
** The object of this choice has something for the select; 'has_value': an item, which lies on
** the stack of the waiting task already.
*/
void ed_select_win (ed_choice *choice, bool has_value);

static inline bool ed_waiter_is_choice (const ed_waiter *waiter) {
  return waiter->op.type == &ed_choice_type;
}

/* Wake whoever stands here, a select or a plain waiter, without a value. */
static inline void ed_choice_wake (ed_waiter *waiter) {
  if (ed_waiter_is_choice(waiter)) ed_select_win((ed_choice *)waiter, false);
  else ed_waitq_wake(waiter, 0);
}

/* Wake all who wait now, in order. */
static inline void ed_choice_wake_all (ed_link *queue) {
  for (ed_waiter *at; (at = ed_waitq_first(queue)) != NULL;) ed_choice_wake(at);
}

/* The 'join' of objects that keep a list of places. */
static inline void ed_choice_join (ed_link *queue, ed_choice *choice) {
  ed_waitq_join(queue, &choice->place);
}

/* Objects that can be chosen. */
extern const ed_choosable ed_event_choosable;
extern const ed_choosable ed_future_choosable;
extern const ed_choosable ed_queue_choosable;

#endif
