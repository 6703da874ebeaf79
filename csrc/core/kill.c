/* SPDX-License-Identifier: MIT */
/*
** The kill: a task ends now, whatever it does. Children come before parents, and nothing is
** recursive, because a chain of tasks may be as long as memory. What a killed task was granted goes
** back; its '<close>' variables run once and cannot wait; its blocks are taken away. Its error says
** why it had been cancelled. What its members and its clean-up failed with, which it cannot raise
** any more, goes to config.on_error.
*/
#include "core/block.h"
#include "core/ending.h"
#include "core/limits.h"
#include "core/loop.h"
#include "core/report.h"
#include "core/task.h"

/*
** The outermost cancellation around it that reaches it, were it not for shields; NULL if there is none.
** Of a task that is killed its root knows: so of a long chain of them each looks no further than to its owner.
*/
static ed_scope *cause_of (const ed_task *task) {
  ed_scope *at = task->scope;
  while (at != NULL && at->cause == NULL) {
    if (at->kind == ED_SCOPE_TASK && at->host->is_killed) return NULL;
    at = at->parent;
  }
  return at != NULL ? at->cause : NULL;
}

/* (task, cause) */
static int l_keep_cause (lua_State *L) {
  ed_task *task = lua_touserdata(L, 1);
  ed_task_push(L, task);
  ed_cancel_push_kill(L, task, lua_touserdata(L, 2));
  lua_setiuservalue(L, -2, 1);
  task->shape = 1;
  return 0;
}

/* Whoever awaits it learns why it was cancelled, unless it has an error already. */
static void keep_cause (ed_task *task) {
  lua_State *L = task->loop->L;
  bool is_asked_for = task->ref != NULL || task->is_held;
  ed_scope *cause = cause_of(task);
  if (task->root.cause == NULL) task->root.cause = cause;
  if (cause == NULL || task->shape != 0 || !is_asked_for || task->loop->is_closing)
    return;
  if (task->outcome == ED_TASK_FAILED)
    return; /* for want of memory, which needs no words */
  lua_pushcfunction(L, l_keep_cause);
  lua_pushlightuserdata(L, task);
  lua_pushlightuserdata(L, cause);
  if (lua_pcall(L, 2, 0, 0) != LUA_OK) lua_pop(L, 1);
}

/* From here on the task waits for nothing and cannot be woken; what it was granted goes back. */
static void begin_kill (ed_task *task) {
  keep_cause(task);
  task->is_killed = true;
  task->barred++;
  task->state = ED_TASK_RUNNING; /* its children's ends must not wake it */
  ed_list_remove(&task->ready);
  if (task->op == NULL) return;
  if (task->op->done && task->op->type->give_back != NULL)
    task->op->type->give_back(task->leaf, task->op);
  ed_op_abandon(task);
}

/* The newest first, so that what several had in hand goes back in its old order. */
static ed_task *live_child_of (ed_scope *scope) {
  for (ed_link *at = scope->children.prev; at != &scope->children; at = at->prev) {
    ed_task *child = ED_OF(at, ed_task, sibling);
    if (!ed_task_has_ended(child) && !child->is_killed) return child;
  }
  return NULL;
}

static ed_task *live_child (ed_task *task) {
  for (ed_scope *at = task->scope;; at = at->parent) {
    ed_task *child = at->live > 0 ? live_child_of(at) : NULL;
    if (child != NULL || at == &task->root) return child;
  }
}

/* Nobody will raise what the children of 'scope' have failed with. */
static void report_failures (ed_scope *scope) {
  if (scope->host->loop->is_closing) return;
  for (ed_link *at = scope->children.next; at != &scope->children; at = at->next)
    if (ED_OF(at, ed_task, sibling)->state == ED_TASK_FAILED)
      ed_report_failure(ED_OF(at, ed_task, sibling));
}

/* Blocks and failed children of a task that has no live ones. */
static void discard_scopes (ed_task *task) {
  while (task->scope != &task->root) {
    report_failures(task->scope);
    ed_block_discard(task->loop->L, (ed_block *)task->scope);
  }
  report_failures(&task->root);
  ed_scope_release_children(&task->root);
  task->root.is_closed = true;
}

static void finish_kill (ed_task *task) {
  ed_loop *loop = task->loop;
  ed_task *before = loop->current;
  bool has_failed;
  discard_scopes(task);
  loop->current = task;
  ed_task_close(task);
  if (task->has_ending) ed_ending_kill(task);
  loop->current = before != task ? before
                                 : NULL; /* it may have closed the state itself */
  if (task->op != NULL) ed_op_abandon(task);
  ed_cancel_forget(loop->L, loop, &task->root);
  has_failed = ed_limits_fail(task) || task->outcome == ED_TASK_FAILED;
  ed_task_end(task, has_failed ? ED_TASK_FAILED : ED_TASK_CANCELLED);
}

void ed_task_kill (ed_task *task) {
  ed_task *at = task;
  if (ed_task_has_ended(task) || task->is_killed) return;
  begin_kill(task);
  for (;;) {
    ed_task *child = live_child(at), *owner;
    if (child != NULL) {
      begin_kill(at = child);
      continue;
    }
    owner = at->root.parent->host;
    finish_kill(at);
    if (at == task) return;
    at = owner;
  }
}

int ed_task_give_up (lua_State *L, ed_task *task) {
  task->is_killed = true;
  return lua_yield(L, 0);
}

/* One that lives and is not being killed. */
static ed_task *any_task (ed_loop *loop) {
  ed_scope *top = &loop->top;
  int depth = 0;
  for (ed_scope *at = top; (at = ed_scope_after(at, top, &depth)) != NULL;)
    if (at->kind == ED_SCOPE_TASK && !ed_task_has_ended(at->host) && !at->host->is_killed)
      return at->host;
  return NULL;
}

/*
** The state may be closed by a '<close>' variable of a task that is being killed here: then that
** kill is not finished, and what it has not come to is done now.
*/
void ed_loop_kill_all (ed_loop *loop) {
  ed_task *task;
  ed_link *link;
  while ((task = any_task(loop)) != NULL) {
    task->is_held = false;
    ed_task_kill(task);
  }
  while ((link = ed_list_shift(&loop->top.children)) != NULL)
    ED_OF(link, ed_task, sibling)->is_held = false;
}
