/* SPDX-License-Identifier: MIT */
/*
** group:start: spawn a member and wait until it says that it is ready. Until then its failure is
** the caller's alone; from then on it is a member like the others. The *ready* object is shared by
** the child's function 'ready', which may be kept and called from anywhere, and the waiting call.
*/
#include <stdio.h>

#include "core/block.h"
#include "core/class.h"
#include "core/task_ref.h"
#include "core/trace.h"
#include "sync/sync.h"
#include "sync/values.h"

typedef struct starting starting;

/* User value 1: what 'ready' was called with. */
typedef struct ready_state {
  starting *waiting; /* NULL: nobody waits (any more) */
  uint8_t shape;
  bool is_ready;
} ready_state;

struct starting {
  ed_op op;
  ed_watch watch;
  ed_sweep sweep;     /* the child is to be cancelled */
  ed_task *task;      /* NULL once it has ended */
  ready_state *ready; /* anchored by the waiter's stack; NULL once cancelled */
};

enum { READY = 1, TASK = 2 }; /* stack of the waiting call */

/* ---- engine half ---- */

static void stop_waiting (starting *s) {
  if (s->ready != NULL) s->ready->waiting = NULL;
  ed_list_remove(&s->watch.link);
  ed_op_complete(&s->op, 0);
}

static void child_ended (ed_watch *watch, ed_task *task) {
  (void)task;
  ED_OF(watch, starting, watch)->task = NULL;
  stop_waiting(ED_OF(watch, starting, watch));
}

/* The child goes too, and its end is waited for; that it becomes ready counts no more. */
static ed_verdict cancel_start (ed_op *op) {
  starting *s = (starting *)op;
  s->ready->waiting = NULL;
  s->ready = NULL; /* a killed waiter's stack does not keep it */
  ed_scope_sweep(op->loop, &s->sweep);
  return ED_FINISHING;
}

static void cancel_child (ed_sweep *sweep) {
  ed_task *child = ED_OF(sweep, starting, sweep)->task;
  if (child != NULL) ed_task_cancel(child, ED_BY_END);
}

static void drop_start (ed_op *op) {
  ed_list_remove(&((starting *)op)->sweep.link);
  ed_op_free(op);
}

static void describe_start (const ed_op *op, char *text, size_t room) {
  ed_task *child = ((const starting *)op)->task;
  if (child != NULL) ed_task_name(op->loop->L, child, text, room);
}

/* ---- Lua half ---- */

/* The child has ended without being ready: what is raised in the caller? */
static int raise_end (lua_State *L, ed_task *caller, bool was_cancelled) {
  const ed_task_ref *ref = lua_touserdata(L, TASK);
  ed_task_state state = ed_ref_state(ref);
  if (state != ED_TASK_FAILED && was_cancelled) return ed_cancel_raise(L, caller);
  if (state == ED_TASK_DONE)
    return luaL_error(L, "group:start: the function returned without calling ready");
  if (state == ED_TASK_CANCELLED && caller->scope->cause != NULL)
    return ed_cancel_raise(L, caller);
  ed_ref_push_first(L, ref, TASK);
  if (state == ED_TASK_FAILED) ed_trace_passes_on(L, caller, TASK);
  return lua_error(L);
}

static int finish_start (lua_State *L, ed_op *op) {
  starting *s = (starting *)op;
  ed_task *caller = op->task;
  ready_state *ready = s->ready;
  if (ready != NULL && ready->is_ready) return ed_values_push(L, READY, ready->shape);
  ed_op_abandon(caller); /* what is raised leaves no operation behind */
  return raise_end(L, caller, ready == NULL);
}

static const ed_optype start_type = {
  .name = "group:start",
  .finish = finish_start,
  .cancel = cancel_start,
  .drop = drop_start,
  .is_internal = true,
  .describe = describe_start,
};

/*
** ready(...)
** Lets group:start return these values. Raises when called again.
*/
static int l_ready (lua_State *L) {
  ready_state *ready = lua_touserdata(L, lua_upvalueindex(2));
  starting *s = ready->waiting;
  if (ready->is_ready) return luaL_error(L, "ready was called before");
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_insert(L, 1);
  ready->shape = (uint8_t)ed_values_keep(L, 1, 2);
  ready->is_ready = true;
  if (s != NULL) stop_waiting(s);
  return 0;
}

/* The group at 1, the function at 2, arguments behind --> ready_state at 1, the task at 2. */
static ed_task *spawn_child (lua_State *L, ed_loop *loop, ed_scope *owner) {
  ed_task *child;
  ed_class_push(L, loop, ED_CLASS_READY, sizeof(ready_state), 1);
  lua_replace(L, 1);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushvalue(L, 1);
  lua_pushcclosure(L, l_ready, 2);
  lua_insert(L, 3);
  child = ed_task_spawn(L, loop, owner, lua_gettop(L) - 2, true);
  return child;
}

/*
** group:start(fn, ...) --> what 'ready' was called with
** Awaits fn(ready, ...) until it calls ready(...). Its failure before that is raised here and
** leaves the group alone; returning without 'ready' raises. Cancelling cancels the child and
** waits for its end.
*/
static int l_group_start (lua_State *L) {
  ed_group *group = ed_class_check(L, ed_loop_of(L), 1, ED_CLASS_GROUP);
  ed_task *task, *child;
  starting *s;
  ed_check_callable(L, 2);
  if (group->block == NULL) return luaL_error(L, "the group has ended");
  task = ed_checkpoint(L);
  child = spawn_child(L, task->loop, &group->block->scope);
  s = ed_op_new_for(L, task, &start_type, sizeof *s);
  s->task = child;
  s->ready = lua_touserdata(L, READY);
  s->ready->waiting = s;
  s->watch.ended = child_ended;
  s->sweep.run = cancel_child;
  ed_list_init(&s->sweep.link);
  ed_list_append(&child->watchers, &s->watch.link);
  return ed_await(L, &s->op, 0);
}

static const luaL_Reg methods[] = {
  {"start", l_group_start},
  {NULL, NULL},
};

static const luaL_Reg meta[] = {
  {NULL, NULL},
};

/* Adds to the methods of groups. */
void ed_open_start (lua_State *L, ed_loop *loop, int box) {
  box = lua_absindex(L, box);
  ed_class_new(L, loop, ED_CLASS_READY, "eddy.Ready", NULL, meta, box);
  lua_rawgeti(L, LUA_REGISTRYINDEX, loop->metatable[ED_CLASS_GROUP]);
  lua_getfield(L, -1, "__index");
  ed_setfuncs(L, methods, box);
  lua_pop(L, 2);
}
