/* SPDX-License-Identifier: MIT */
/*
** Awaitable operations: birth at a checkpoint, parking, the two owners, and giving up. See
** op.h for the idiom. The order of a checkpoint matters: impossible waits raise first, then a
** cancelled scope takes the task through the scheduler once and raises, and only then may an
** engine be started; so nothing has happened yet when a wait is refused.
*/
#include "core/op.h"

#include <string.h>

#include "core/coroutine.h"
#include "core/error.h"
#include "core/loop.h"
#include "core/place.h"
#include "core/task.h"

enum { CLEARED_BY_HAND = 128 }; /* bytes */

static const uint64_t slice_ns =
  2000000; /* of immediate answers before others get a turn */

/* Push the name of the function at the top (popped) if a loaded library has it; else "?". */
static const char *library_name (lua_State *L) {
  int function = lua_gettop(L);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  for (lua_pushnil(L); lua_next(L, function + 1); lua_settop(L, function + 2)) {
    if (!lua_istable(L, -1)) continue;
    for (lua_pushnil(L); lua_next(L, function + 3); lua_pop(L, 1))
      if (lua_rawequal(L, -1, function) && lua_type(L, -2) == LUA_TSTRING)
        return lua_tostring(L, -2);
  }
  return "?";
}

/* The name of the function that 'at' describes, as a script writer knows it. */
static const char *function_name (lua_State *L, lua_Debug *at) {
  if (at->name != NULL && *at->namewhat != '\0') return at->name;
  lua_getinfo(L, "f", at);
  return library_name(L);
}

static bool is_finalizer (const lua_Debug *at) {
  return strcmp(at->namewhat, "metamethod") == 0 && at->name && strstr(at->name, "gc");
}

/* These call through a continuation: they are never what is in the way. */
static bool can_suspend (const char *name) {
  return strcmp(name, "pcall") == 0 || strcmp(name, "xpcall") == 0
    || strcmp(name, "dofile") == 0;
}

static bool find_finalizer (lua_State *co) {
  lua_Debug at;
  for (int level = 1; lua_getstack(co, level, &at); level++)
    if (lua_getinfo(co, "n", &at) && is_finalizer(&at)) return true;
  return false;
}

int ed_raise_blocked (lua_State *L, ed_loop *loop, lua_State *co) {
  lua_Debug at;
  if (find_finalizer(co)) return ed_place_error(L, loop, "cannot await in a finalizer");
  for (int level = 1; lua_getstack(co, level, &at); level++) {
    const char *name;
    lua_getinfo(co, "nS", &at);
    if (*at.what != 'C') continue;
    name = function_name(co, &at);
    if (can_suspend(name)) continue;
    return ed_place_error(
      L, loop, "cannot await inside '%s' (a C function that cannot be suspended)", name);
  }
  return ed_place_error(
    L, loop, "cannot await here (inside C code that cannot be suspended)");
}

static int raise_impossible (lua_State *L, ed_loop *loop) {
  if (loop->is_closing)
    return ed_place_error(L, loop, "cannot await: task is being killed");
  if (loop->current == NULL)
    return ed_place_error(L, loop, "cannot await outside a task; use eddy.run");
  if (loop->current->is_killed)
    return ed_place_error(L, loop, "cannot await: task is being killed");
  if (loop->current->atomic > 0)
    return ed_place_error(L, loop, "cannot await inside eddy.atomic");
  if (loop->current->leaf == L && !lua_isyieldable(L))
    return ed_raise_blocked(L, loop, L);
  return ed_nest_raise_blocked(L, loop->current);
}

/* After the pass through the scheduler that every cancelled checkpoint makes. */
static int cancelled_k (lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  return ed_cancel_raise(L, ed_loop_of(L)->current);
}

static int pass_and_raise (lua_State *L, ed_task *task) {
  ed_list_append(&task->loop->ready, &task->ready);
  task->state = ED_TASK_READY;
  return lua_yieldk(L, 0, 0, cancelled_k);
}

ed_task *ed_checkpoint_refuse (lua_State *L, ed_loop *loop) {
  ed_task *task = loop->current;
  if (task == NULL || task->leaf != L || task->barred != 0 || !lua_isyieldable(L))
    raise_impossible(L, loop);
  if (task->scope->cause != NULL) pass_and_raise(L, task);
  return task;
}

ed_task *ed_checkpoint (lua_State *L) { return ed_checkpoint_in(L, ed_loop_of(L)); }

/* As cancelled_k, but the loop comes along: the function that is left is not ours. */
static int refused_k (lua_State *L, int status, lua_KContext loop) {
  (void)status;
  return ed_cancel_raise(L, ((ed_loop *)loop)->current);
}

int ed_op_refuse (lua_State *L, ed_loop *loop) {
  ed_task *task = loop->current;
  if (task == NULL || task->leaf != L || task->barred != 0 || !lua_isyieldable(L))
    return raise_impossible(L, loop);
  ed_list_append(&loop->ready, &task->ready);
  task->state = ED_TASK_READY;
  return lua_yieldk(L, 0, (lua_KContext)loop, refused_k);
}

bool ed_spend_time (ed_loop *loop) { return ed_loop_now(loop) - loop->now < slice_ns; }

static int yielded_k (lua_State *L, int status, lua_KContext n) {
  (void)L, (void)status;
  return (int)n;
}

static void queue_again (ed_task *task) {
  ed_list_append(&task->loop->ready, &task->ready);
  task->state = ED_TASK_READY;
  task->has_yielded = true;
}

int ed_yield_with (lua_State *L, ed_task *task, int n) {
  queue_again(task);
  return lua_yieldk(L, 0, n, yielded_k);
}

/*
** Members that go on in one turn may all have their say: several that fail are all raised, though the
** first has cancelled the block. Who was told to stop by somebody, or by a deadline, stops.
*/
static bool is_told_to_stop (const ed_scope *cause) {
  return cause != NULL && cause->why != ED_BY_FAILURE && cause->why != ED_BY_END;
}

static int let_run_k (lua_State *L, int status, lua_KContext task) {
  (void)status;
  if (!is_told_to_stop(((ed_task *)task)->scope->cause)) return 0;
  return ed_cancel_raise(L, (ed_task *)task);
}

int ed_yield (lua_State *L, ed_task *task) {
  queue_again(task);
  return lua_yieldk(L, 0, (lua_KContext)task, let_run_k);
}

/* memset is a call, which costs more than all that most operations are. */
static void clear (void *block, size_t size) {
  uint64_t *at = block;
  if (size > CLEARED_BY_HAND) {
    memset(block, 0, size);
    return;
  }
  for (size_t i = 0; i < size / sizeof *at; i++) at[i] = 0;
}

void *ed_op_new_for (lua_State *L, ed_task *task, const ed_optype *type, size_t size) {
  ed_loop *loop = task->loop;
  ed_op *op;
  if (task->op != NULL) ed_op_abandon(task); /* its 'finish' had raised */
  size = (size + ED_MEM_STEP - 1) / ED_MEM_STEP * ED_MEM_STEP;
  op = ed_mem_new(&loop->mem, size);
  if (op == NULL) luaL_error(L, "not enough memory");
  clear(op, size);
  op->size = (uint8_t)(size / ED_MEM_STEP);
  ed_op_adopt(loop, task, type, op);
  return op;
}

void ed_op_adopt (ed_loop *loop, ed_task *task, const ed_optype *type, ed_op *op) {
  if (task->op != NULL) ed_op_abandon(task);
  op->type = type;
  op->task = task;
  op->loop = loop;
  op->status = 0;
  op->owners = ED_WAITER;
  op->done = op->asked = false;
  task->op = op;
  loop->nops++;
}

void ed_op_launch (ed_loop *loop, const ed_optype *type, ed_op *op) {
  op->type = type;
  op->task = NULL;
  op->loop = loop;
  op->status = 0;
  op->owners = ED_ENGINE;
  op->done = op->asked = false;
  loop->nops++;
}

void *ed_op_new (lua_State *L, const ed_optype *type, size_t size) {
  return ed_op_new_for(L, ed_checkpoint(L), type, size);
}

void ed_op_free (ed_op *op) {
  ed_mem_free(&op->loop->mem, op, (size_t)op->size * ED_MEM_STEP);
}

void ed_drop_plain (ed_op *op) { ed_op_free(op); }

int ed_finish_true (lua_State *L, ed_op *op) {
  (void)op;
  lua_pushboolean(L, 1);
  return 1;
}

static void let_go (ed_op *op, unsigned owner) {
  op->owners &= (uint8_t)~owner;
  if (op->owners != 0) return;
  op->loop->nops--;
  op->type->drop(op);
}

/* Only operations that something outside can complete keep a run from being a deadlock. */
static void count_pending (ed_op *op, int change) {
  if (!op->type->is_internal) op->loop->nexternal += (uint32_t)change;
}

/* The waiter's share, after the answer, after a cancel, or when its task ends. */
static void waiter_leaves (ed_task *task, ed_op *op) {
  if ((op->owners & ED_ENGINE) && !op->done)
    count_pending(op, -1); /* it can wake nobody */
  task->op = NULL;
  op->task = NULL;
  let_go(op, ED_WAITER);
}

void ed_op_detach (ed_op *op) {
  if (!op->done) {
    op->owners |= ED_ENGINE;
    count_pending(op, 1);
  }
  waiter_leaves(op->task, op);
}

static void withdraw (ed_op *op) {
  if (!op->asked) {
    op->asked = true;
    if (op->type->cancel(op) != ED_FINISHING) return;
  }
  if (op->type->withdraw != NULL) op->type->withdraw(op);
}

void ed_op_abandon (ed_task *task) {
  ed_op *op = task->op;
  if (op == NULL) return;
  if ((op->owners & ED_ENGINE) && !op->done) withdraw(op);
  waiter_leaves(task, op);
}

void ed_op_done (ed_op *op, int status) {
  ed_task *task = op->task;
  if (op->done) return;
  op->done = true;
  op->status = status;
  op->loop->progress++;
  if (task == NULL) return;
  if (op->owners & ED_ENGINE) count_pending(op, -1);
  ed_task_wake(task);
}

void ed_op_release (ed_op *op) {
  if (!op->done && (op->owners & ED_ENGINE)) {
    if (op->task != NULL) count_pending(op, -1);
    op->done = true;
  }
  let_go(op, ED_ENGINE);
}

void ed_op_complete (ed_op *op, int status) {
  if (!(op->owners & ED_ENGINE)) { /* answered before ed_await: nobody is parked yet */
    op->done = true;
    op->status = status;
    return;
  }
  ed_op_done(op, status);
  let_go(op, ED_ENGINE);
}

static int push_failure (lua_State *L, ed_op *op) {
  char target[160] = "";
  if (op->type->fail != NULL) return op->type->fail(L, op);
  if (op->type->describe != NULL) op->type->describe(op, target, sizeof target);
  return ed_error_uv(L, op->status, op->type->name, *target ? target : NULL);
}

static int answer (lua_State *L, ed_task *task, ed_op *op) {
  int n = op->status < 0 ? push_failure(L, op) : op->type->finish(L, op);
  waiter_leaves(task, op);
  return n;
}

ed_task *ed_op_resumed (lua_State *L, ed_loop *loop) {
  ed_task *task = loop->current;
  if (task == NULL || task->leaf != L)
    luaL_error(L, "a task that waits was resumed by a script");
  return task;
}

/* A task that is closed with its runtime is not resumed: the loop is there as long as we are. */
static int await_k (lua_State *L, int status, lua_KContext loop) {
  ed_task *task = ed_op_resumed(L, (ed_loop *)loop);
  (void)status;
  if (task->op == NULL) return ed_cancel_raise(L, task); /* a scope took it away */
  return answer(L, task, task->op);
}

/* The engine answers from now on. */
static void hand_to_engine (ed_task *task, ed_op *op) {
  op->owners |= ED_ENGINE;
  count_pending(op, 1);
  task->state = ED_TASK_WAITING;
}

int ed_await (lua_State *L, ed_op *op, int started) {
  ed_task *task = op->task;
  if (started < 0) {
    op->status = started;
    op->done = true;
    return answer(L, task, op);
  }
  if (!op->done) hand_to_engine(task, op);
  else if (ed_spend(task->loop)) return answer(L, task, op);
  else { /* answered on the spot, but others have waited long enough */
    ed_list_append(&task->loop->ready, &task->ready);
    task->state = ED_TASK_READY;
  }
  return lua_yieldk(L, 0, (lua_KContext)task->loop, await_k);
}

bool ed_op_may_run (const ed_task *waiter, const ed_task *next) {
  ed_loop *loop = waiter->loop;
  return !loop->is_nested && !next->has_started && loop->ready.next == &next->ready
    && !waiter->has_limits && ed_spend(loop);
}

/* Nobody is ready before it. */
static bool is_next (const ed_task *task) {
  return task->state == ED_TASK_READY && task->loop->ready.next == &task->ready;
}

/* A waiter that was not woken lets go of 'op', which is not there for long. */
static ed_ran what_became (ed_task *waiter, ed_op *op) {
  bool is_answered = op->done;
  if (waiter->op == NULL) return ED_RAN_CANCELLED;
  ed_op_abandon(waiter);
  if (is_answered && !is_next(waiter)) return ED_RAN_QUEUED;
  ed_list_remove(&waiter->ready);
  waiter->state = ED_TASK_RUNNING;
  return is_answered ? ED_RAN_ENDED : ED_RAN_WAITS;
}

ed_ran ed_op_run (ed_op *op, ed_task *next) {
  ed_task *waiter = op->task;
  ed_loop *loop = waiter->loop;
  hand_to_engine(waiter, op);
  ed_list_remove(&next->ready);
  loop->is_nested = true;
  ed_task_resume(loop, next);
  loop->is_nested = false;
  loop->current = waiter;
  return what_became(waiter, op);
}

int ed_op_raise_cancelled (lua_State *L, ed_loop *loop) {
  return lua_yieldk(L, 0, (lua_KContext)loop, await_k);
}

void ed_task_interrupt (ed_task *task) {
  ed_op *op = task->op;
  if (task->state != ED_TASK_WAITING || op == NULL || op->done || op->asked) return;
  op->asked = true;
  if (op->type->cancel(op) == ED_FINISHING) return;
  waiter_leaves(task, op);
  ed_task_wake(task);
}
