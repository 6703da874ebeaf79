/* SPDX-License-Identifier: MIT */
/*
** Events: a flag that tasks can wait for. Setting wakes all who wait at that moment.
*/
#include "core/class.h"
#include "sync/select.h"
#include "sync/sync.h"

typedef struct ed_event {
  ed_link waiters;
  bool is_set;
} ed_event;

static const ed_optype wait_type = {
  .name = "event:wait",
  .finish = ed_finish_true,
  .cancel = ed_waitq_cancel,
  .drop = ed_drop_plain,
  .is_internal = true,
};

static ed_event *check_event (lua_State *L) {
  return ed_class_check(L, ed_loop_of(L), 1, ED_CLASS_EVENT);
}

/*
** eddy.event() --> Event
*/
static int l_event (lua_State *L) {
  ed_event *event = ed_class_push(L, ed_loop_of(L), ED_CLASS_EVENT, sizeof *event, 0);
  ed_list_init(&event->waiters);
  return 1;
}

/*
** event:set()
** Wakes all who wait, in order. Idempotent.
*/
static int l_event_set (lua_State *L) {
  ed_event *event = check_event(L);
  event->is_set = true;
  ed_choice_wake_all(&event->waiters);
  return 0;
}

static int l_event_clear (lua_State *L) {
  check_event(L)->is_set = false;
  return 0;
}

static int l_event_is_set (lua_State *L) {
  lua_pushboolean(L, check_event(L)->is_set);
  return 1;
}

/*
** event:wait() --> true
** Awaits until the event is set. Cancelling leaves no trace.
*/
static int l_event_wait (lua_State *L) {
  ed_event *event = check_event(L);
  ed_task *task = ed_checkpoint(L);
  ed_waiter *waiter;
  if (event->is_set && ed_spend(task->loop)) return ed_finish_true(L, NULL);
  waiter = ed_op_new_for(L, task, &wait_type, sizeof *waiter);
  ed_list_init(&waiter->link);
  if (event->is_set) ed_op_done(&waiter->op, 0);
  else ed_waitq_join(&event->waiters, waiter);
  return ed_await(L, &waiter->op, 0);
}

/* ---- select ---- */

static bool event_is_ready (const void *object) {
  return ((const ed_event *)object)->is_set;
}

static void event_join (void *object, ed_choice *choice) {
  ed_choice_join(&((ed_event *)object)->waiters, choice);
}

static int event_finish (lua_State *L, void *object, bool has_value) {
  (void)object, (void)has_value;
  return ed_finish_true(L, NULL);
}

const ed_choosable ed_event_choosable = {
  .class = ED_CLASS_EVENT,
  .is_ready = event_is_ready,
  .join = event_join,
  .finish = event_finish,
};

static const luaL_Reg functions[] = {
  {"event", l_event},
  {NULL, NULL},
};

static const luaL_Reg methods[] = {
  {"set", l_event_set},
  {"clear", l_event_clear},
  {"is_set", l_event_is_set},
  {"wait", l_event_wait},
  {NULL, NULL},
};

static const luaL_Reg meta[] = {
  {NULL, NULL},
};

void ed_open_event (lua_State *L, ed_loop *loop, int box) {
  ed_class_new(L, loop, ED_CLASS_EVENT, "eddy.Event", methods, meta, box);
  ed_setfuncs(L, functions, box);
}
