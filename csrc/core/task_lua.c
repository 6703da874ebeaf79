/* SPDX-License-Identifier: MIT */
/*
** What a script does with tasks: spawn, await, join, cancel, and asking about them.
*/
#include <stdio.h>
#include <string.h>

#include "compat.h"
#include "core/class.h"
#include "core/error.h"
#include "core/limits.h"
#include "core/loop.h"
#include "core/place.h"
#include "core/report.h"
#include "core/task_ref.h"
#include "core/trace.h"

/* ---- awaiting the end of a task ---- */

typedef struct joining {
  ed_op op;
  ed_watch watch;
  ed_task_ref *ref; /* anchored by the waiter's first argument */
  bool is_last;     /* of those who were told of the end */
} joining;

static void task_ended (ed_watch *watch, ed_task *task) {
  joining *j = ED_OF(watch, joining, watch);
  j->is_last = ed_list_is_empty(&task->watchers);
  ed_op_complete(&j->op, 0);
}

static ed_verdict cancel_join (ed_op *op) {
  ed_list_remove(&((joining *)op)->watch.link);
  ed_op_release(op);
  return ED_STOPPED;
}

static int push_await (lua_State *L, ed_task *waiter, const ed_task_ref *ref) {
  ed_task_state state = ed_ref_state(ref);
  if (state == ED_TASK_DONE) return ed_ref_push_results(L, ref, 1);
  ed_ref_push_first(L, ref, 1);
  if (state == ED_TASK_FAILED) ed_trace_passes_on(L, waiter, 1);
  return lua_error(L);
}

static int push_join (lua_State *L, const ed_task_ref *ref) {
  lua_pushboolean(L, ed_ref_state(ref) == ED_TASK_DONE);
  return 1 + ed_ref_push_results(L, ref, 1);
}

/* What is raised leaves no operation behind. */
static int finish_await (lua_State *L, ed_op *op) {
  const ed_task_ref *ref = ((joining *)op)->ref;
  ed_task *waiter = op->task;
  if (ed_ref_state(ref) != ED_TASK_DONE) ed_op_abandon(waiter);
  return push_await(L, waiter, ref);
}

static int finish_join (lua_State *L, ed_op *op) {
  return push_join(L, ((joining *)op)->ref);
}

static void describe_join (const ed_op *op, char *text, size_t room) {
  ed_task_describe(((const joining *)op)->ref, text, room);
}

/* The failure that it was to raise: with the last who was told of it goes to on_error. */
static void give_back_failure (lua_State *co, ed_op *op) {
  const joining *j = (const joining *)op;
  if (!j->is_last || ed_ref_state(j->ref) != ED_TASK_FAILED || op->loop->is_closing)
    return;
  lua_pushvalue(co, 1);
  ed_report_ended(op->loop, co);
}

/* Nothing is to be freed of one on the C stack. */
static void drop_join (ed_op *op) {
  if (op->size > 0) ed_op_free(op);
}

static const ed_optype await_type = {
  .name = "task:await",
  .finish = finish_await,
  .cancel = cancel_join,
  .drop = drop_join,
  .is_internal = true,
  .describe = describe_join,
  .give_back = give_back_failure,
};

static const ed_optype join_type = {
  .name = "task:join",
  .finish = finish_join,
  .cancel = cancel_join,
  .drop = drop_join,
  .is_internal = true,
  .describe = describe_join,
  .give_back = give_back_failure,
};

static int push_end (
  lua_State *L, ed_task *waiter, const ed_task_ref *ref, const ed_optype *type) {
  return type == &await_type ? push_await(L, waiter, ref) : push_join(L, ref);
}

static int ended_k (lua_State *L, int status, lua_KContext type) {
  ed_task *waiter = ed_op_resumed(L, ed_loop_of(L));
  (void)status;
  return push_end(L, waiter, lua_touserdata(L, 1), (const ed_optype *)type);
}

static void watch_end (joining *j, ed_task_ref *ref) {
  j->ref = ref;
  j->watch.ended = task_ended;
  j->watch.is_silent = false;
  ed_list_append(&ed_ref_task(ref)->watchers, &j->watch.link);
}

static ed_ran run_task (ed_task *waiter, ed_task_ref *ref, const ed_optype *type) {
  joining j;
  ed_op_adopt(waiter->loop, waiter, type, &j.op);
  j.op.size = 0;
  watch_end(&j, ref);
  return ed_op_run(&j.op, ed_ref_task(ref));
}

static int await_end (
  lua_State *L, ed_task *waiter, ed_task_ref *ref, const ed_optype *type) {
  joining *j = ed_op_new_for(L, waiter, type, sizeof *j);
  if (ed_ref_has_ended(ref)) {
    j->ref = ref;
    ed_list_init(&j->watch.link);
    ed_op_done(&j->op, 0);
  } else watch_end(j, ref);
  return ed_await(L, &j->op, 0);
}

static int wait_for (lua_State *L, const ed_optype *type) {
  ed_loop *loop = ed_loop_of(L);
  ed_task_ref *ref = ed_class_check(L, loop, 1, ED_CLASS_TASK);
  ed_task *waiter = ed_checkpoint_in(L, loop);
  if (ed_ref_task(ref) == waiter) return luaL_error(L, "task cannot await itself");
  if (lua_gettop(L) > 1) lua_settop(L, 1);
  if (ed_ref_has_ended(ref)) {
    if (ed_spend(loop)) return push_end(L, waiter, ref, type);
  } else if (ed_op_may_run(waiter, ed_ref_task(ref))) {
    switch (run_task(waiter, ref, type)) {
      case ED_RAN_ENDED: return push_end(L, waiter, ref, type);
      case ED_RAN_QUEUED: return lua_yieldk(L, 0, (lua_KContext)type, ended_k);
      case ED_RAN_CANCELLED: return ed_op_raise_cancelled(L, loop);
      case ED_RAN_WAITS: break;
    }
  }
  return await_end(L, waiter, ref, type);
}

/*
** task:await() --> results
** Awaits; raises the task's own error. Cancelling the waiter leaves the task alone.
*/
static int l_task_await (lua_State *L) { return wait_for(L, &await_type); }

/*
** task:join() --> true, results | false, error
** Awaits; never raises the task's error.
*/
static int l_task_join (lua_State *L) { return wait_for(L, &join_type); }

/* ---- spawn ---- */

static ed_task *check_spawner (lua_State *L) {
  ed_loop *loop = ed_loop_of(L);
  ed_task *task = loop->current;
  if (task == NULL) ed_place_error(L, loop, "cannot spawn outside a task; use eddy.run");
  return task;
}

/*
** eddy.spawn(fn, ...) --> Task
** A child of the running task's innermost block; starts at the spawner's next wait.
*/
static int l_spawn (lua_State *L) {
  ed_task *parent = check_spawner(L);
  ed_check_callable(L, 1);
  ed_task_spawn(L, parent->loop, parent->scope, lua_gettop(L) - 1, true);
  return 1;
}

void ed_task_set_name (lua_State *L, ed_loop *loop, int task, int name) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, loop->names);
  lua_pushvalue(L, task);
  lua_pushvalue(L, name);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

static bool is_option (lua_State *L, int key) {
  static const char *const options[] = {"name", "slice", "cpu", "memory", NULL};
  const char *const *at = options;
  if (lua_type(L, key) != LUA_TSTRING) return false;
  while (*at != NULL && strcmp(*at, lua_tostring(L, key)) != 0) at++;
  return *at != NULL;
}

/* Leaves the name, or nil. */
static void check_options (lua_State *L, int index) {
  luaL_checktype(L, index, LUA_TTABLE);
  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1))
    if (!is_option(L, -2))
      luaL_error(L, "unknown spawn_with option '%s'", luaL_tolstring(L, -2, NULL));
  if (lua_getfield(L, index, "name") == LUA_TNIL) return;
  if (!lua_isstring(L, -1)) luaL_error(L, "spawn_with option 'name' must be a string");
  lua_tostring(L, -1); /* a number becomes one */
}

int ed_task_spawn_with (lua_State *L, ed_loop *loop, ed_scope *owner, int index) {
  ed_limits limits;
  bool has_limits;
  ed_task *task;
  check_options(L, index);
  ed_check_callable(L, index + 1);
  has_limits = ed_limits_check(L, index, &limits);
  lua_replace(L, index);
  if (has_limits) ed_limits_prepare(L, loop, &limits);
  task = ed_task_spawn(L, loop, owner, lua_gettop(L) - index - 1, true);
  if (has_limits) ed_limits_set(task, &limits);
  if (!lua_isnil(L, index)) ed_task_set_name(L, loop, index + 1, index);
  return 1;
}

/*
** eddy.spawn_with({name=, slice=, cpu=, memory=}, fn, ...) --> Task
** 'slice': seconds of uninterrupted Lua before others get a turn; 'cpu': seconds in all, 'memory':
** bytes, then it is killed with an error of kind "limit".
*/
static int l_spawn_with (lua_State *L) {
  ed_task *parent = check_spawner(L);
  return ed_task_spawn_with(L, parent->loop, parent->scope, 1);
}

/*
** eddy.background(fn, ...) --> Task
** Owned by the runtime: cancelled when the root task has ended; a failure that nobody awaits
** goes to config.on_error.
*/
static int l_background (lua_State *L) {
  ed_loop *loop = check_spawner(L)->loop;
  ed_check_callable(L, 1);
  ed_task_spawn(L, loop, &loop->top, lua_gettop(L) - 1, true);
  return 1;
}

/*
** eddy.current() --> Task | nil
*/
static int l_current (lua_State *L) {
  ed_task *task = ed_loop_of(L)->current;
  if (task == NULL) lua_pushnil(L);
  else ed_task_push(L, task);
  return 1;
}

/* ---- asking and telling ---- */

/* A task that never runs has no other moment to learn its own cancellation. */
static void keep_cancellation (lua_State *L, ed_task *task) {
  ed_cancel_push(L, task->loop, &task->root);
  lua_setiuservalue(L, 1, 1);
  task->shape = 1;
}

/*
** task:cancel([reason]) --> boolean
** Asks the task to end; its waits raise from now on. True if this was the first request.
*/
static int l_task_cancel (lua_State *L) {
  ed_task *task = ed_ref_task(ed_ref_check(L, 1));
  lua_settop(L, 2);
  if (task == NULL || ed_task_has_ended(task) || task->root.why != ED_NOT_CANCELLED) {
    lua_pushboolean(L, 0);
    return 1;
  }
  ed_cancel_site(L, task->loop, &task->root);
  if (!lua_isnil(L, 2)) ed_cancel_reason(L, task->loop, &task->root);
  ed_task_cancel(task, ED_BY_USER);
  if (!task->has_started) keep_cancellation(L, task);
  lua_pushboolean(L, 1);
  return 1;
}

static const char *name_of (ed_task_state state) {
  static const char *const names[] = {
    "ready", "running", "waiting", "done", "failed", "cancelled"};
  return names[state];
}

/* Who was cancelled before it ran is what it will be, though its turn to end has yet to come. */
const char *ed_task_status (const ed_task *task) {
  bool never_runs = task->state == ED_TASK_READY && !task->has_started;
  return name_of(
    never_runs && task->root.cause != NULL ? ED_TASK_CANCELLED : task->state);
}

static int l_task_status (lua_State *L) {
  const ed_task_ref *ref = ed_ref_check(L, 1);
  const ed_task *task = ed_ref_task(ref);
  lua_pushstring(L, task != NULL ? ed_task_status(task) : name_of(ed_ref_state(ref)));
  return 1;
}

static bool is_main (const ed_loop *loop, const ed_task *task) {
  return task != NULL && task == loop->root;
}

/* Of the task at 1. */
static void push_name (lua_State *L) {
  const ed_task_ref *ref = ed_ref_check(L, 1);
  const ed_loop *loop = ed_loop_of(L);
  lua_rawgeti(L, LUA_REGISTRYINDEX, loop->names);
  lua_pushvalue(L, 1);
  if (lua_rawget(L, -2) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_pushfstring(
      L, is_main(loop, ed_ref_task(ref)) ? "main" : "task %d", (int)ed_ref_id(ref));
  }
  lua_remove(L, -2);
}

/* Names are any bytes; lines of text, perhaps on a terminal, show no control characters. */
static void copy_printable (char *text, size_t room, const char *name) {
  snprintf(text, room, "%s", name);
  for (char *at = text; *at != '\0'; at++)
    if ((unsigned char)*at < ' ' || *at == 127) *at = '?';
}

void ed_task_name (lua_State *L, ed_task *task, char *text, size_t room) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, task->loop->names);
  ed_task_find(L, task);
  if (lua_rawget(L, -2) == LUA_TSTRING) copy_printable(text, room, lua_tostring(L, -1));
  else if (task == task->loop->root) snprintf(text, room, "main");
  else snprintf(text, room, "task %u", (unsigned)task->id);
  lua_pop(L, 2);
}

void ed_task_describe (const ed_task_ref *ref, char *text, size_t room) {
  if (ed_ref_has_ended(ref)) snprintf(text, room, "task %u", (unsigned)ed_ref_id(ref));
  else ed_task_name(ed_ref_task(ref)->loop->L, ed_ref_task(ref), text, room);
}

void ed_task_quote (lua_State *L, ed_task *task, char *text, size_t room) {
  bool is_named = task == task->loop->root || ed_task_is_named(L, task);
  char name[80];
  ed_task_name(L, task, name, sizeof name);
  snprintf(text, room, is_named ? "task '%s'" : "%s", name);
}

bool ed_task_is_named (lua_State *L, ed_task *task) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, task->loop->names);
  ed_task_find(L, task);
  bool is_named = lua_rawget(L, -2) == LUA_TSTRING;
  lua_pop(L, 2);
  return is_named;
}

static int l_task_name (lua_State *L) {
  push_name(L);
  return 1;
}

/*
** task:traceback() --> string
** Of a failed task: where it failed, who awaited it, where these were spawned. Of one that
** lives: where it is now. "" for one that ended otherwise.
*/
static int l_task_traceback (lua_State *L) {
  const ed_task_ref *ref = ed_ref_check(L, 1);
  if (!ed_ref_has_ended(ref)) {
    ed_trace_push_live(L, ed_ref_task(ref));
    return 1;
  }
  ed_trace_push(L, ed_loop_of(L), 1);
  if (ed_ref_state(ref) != ED_TASK_FAILED || lua_isnil(L, -1)) lua_pushliteral(L, "");
  return 1;
}

static void describe_wait (const ed_task *task, char *text, size_t room) {
  char target[120] = "";
  *text = '\0';
  if (task->state != ED_TASK_WAITING) return;
  if (task->op == NULL) {
    snprintf(text, room, " for its children");
    return;
  }
  if (task->op->type->describe != NULL)
    task->op->type->describe(task->op, target, sizeof target);
  snprintf(text, room, " in %s%s%s", task->op->type->name, *target ? " of " : "", target);
}

void ed_task_push_line (lua_State *L, ed_task *task) {
  char name[80], wait[200];
  ed_task_name(L, task, name, sizeof name);
  describe_wait(task, wait, sizeof wait);
  lua_pushfstring(L, "%s: %s%s", name, ed_task_status(task), wait);
}

static int l_task_tostring (lua_State *L) {
  const ed_task_ref *ref = ed_ref_check(L, 1);
  lua_pushliteral(L, "eddy.Task ");
  if (!ed_ref_has_ended(ref)) ed_task_push_line(L, ed_ref_task(ref));
  else {
    push_name(L);
    lua_pushfstring(L, "%s: %s", lua_tostring(L, -1), name_of(ed_ref_state(ref)));
    lua_remove(L, -2);
  }
  lua_concat(L, 2);
  return 1;
}

static const luaL_Reg functions[] = {
  {"spawn", l_spawn},
  {"spawn_with", l_spawn_with},
  {"background", l_background},
  {"current", l_current},
  {NULL, NULL},
};

static const luaL_Reg methods[] = {
  {"await", l_task_await},
  {"join", l_task_join},
  {"cancel", l_task_cancel},
  {"status", l_task_status},
  {"name", l_task_name},
  {"traceback", l_task_traceback},
  {NULL, NULL},
};

static const luaL_Reg meta[] = {
  {"__tostring", l_task_tostring},
  {NULL, NULL},
};

void ed_open_task (lua_State *L, ed_loop *loop, int box) {
  ed_class_new(L, loop, ED_CLASS_TASK, "eddy.Task", methods, meta, box);
  ed_setfuncs(L, functions, box);
  ed_open_report(L, box);
}
