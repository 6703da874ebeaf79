/* SPDX-License-Identifier: MIT */
/*
** How tasks end as seen from outside: waiting for the children of a scope, deciding what it
** raises when some of them failed, and reading the result of an ended task.
*/
#include "core/error.h"
#include "core/loop.h"
#include "core/push.h"
#include "core/trace.h"

/* ---- joining children, collecting failures ---- */

int ed_task_join_children (
  lua_State *L, ed_scope *scope, lua_KContext ctx, lua_KFunction k) {
  if (scope->host->op != NULL) ed_op_abandon(scope->host);
  scope->host->since = 0;
  scope->host->state = ED_TASK_WAITING;
  return lua_yieldk(L, 0, ctx, k);
}

uint32_t ed_scope_failures (const ed_scope *scope) {
  uint32_t n = 0;
  for (ed_link *at = scope->children.next; at != &scope->children; at = at->next)
    n += ed_task_has_ended(ED_OF(at, ed_task, sibling));
  return n;
}

/* Push what 'task', which failed, failed with; its text goes into 'texts' as number 'n'. */
static void push_failed (lua_State *L, ed_task *task, int texts, uint32_t n) {
  luaL_checkstack(L, 8, "too many failures");
  ed_task_push(L, task);
  ed_task_push_first(L, -1, task);
  ed_trace_passes_on(L, task->root.parent->host, -2);
  ed_trace_push(L, task->loop, -2);
  lua_rawseti(L, texts, n);
  lua_remove(L, -2);
}

/* The body's own failure is at 'body', and its text is filed for the host. */
static void push_body (lua_State *L, ed_task *host, int body, int texts, uint32_t n) {
  ed_task_push(L, host);
  ed_trace_push(L, host->loop, -1);
  lua_rawseti(L, texts, n);
  lua_pop(L, 1);
  lua_pushvalue(L, body);
  ed_trace_again(host);
}

bool ed_scope_push_failure (lua_State *L, ed_scope *scope, int body, uint32_t order) {
  uint32_t n = 0, seen = 0;
  int texts = lua_gettop(L) + 1;
  ed_link *link;
  if (ed_list_is_empty(&scope->children) && body == 0) return false;
  luaL_checkstack(L, 8, "failure");
  lua_newtable(L);
  while ((link = scope->children.next) != &scope->children) {
    ed_task *child = ED_OF(link, ed_task, sibling);
    if (body != 0 && seen++ == order) push_body(L, scope->host, body, texts, ++n);
    push_failed(L, child, texts, ++n);
    ed_list_remove(link);
    ed_task_release(child);
  }
  if (body != 0 && seen <= order) push_body(L, scope->host, body, texts, ++n);
  if (n > 1) ed_error_group(L, (int)n, texts);
  lua_remove(L, texts);
  return true;
}

/* ---- results ---- */

/* A task that could not say how it ended was killed or never ran. */
static void push_missing_error (lua_State *L, const ed_task *task) {
  if (task->state == ED_TASK_FAILED) lua_pushliteral(L, "not enough memory");
  else ed_error_push(L, "cancelled", NULL, NULL, NULL, "task cancelled");
}

static void push_value (lua_State *L, int index, const ed_task *task) {
  if (!task->is_on_stack) {
    lua_getiuservalue(L, index, 1);
    return;
  }
  lua_pushvalue(task->co, -1);
  lua_xmove(task->co, L, 1);
}

static int push_results (lua_State *L, int index, const ed_task *task) {
  if (task->shape == 0) return 0;
  push_value(L, index, task);
  if (task->shape == 1) return 1;
  return ed_push_unpacked(L);
}

int ed_task_push_results (lua_State *L, int index, ed_task *task) {
  index = lua_absindex(L, index);
  if (task->state == ED_TASK_DONE) return push_results(L, index, task);
  ed_task_push_first(L, index, task);
  return 1;
}

void ed_task_push_first (lua_State *L, int index, ed_task *task) {
  if (task->shape != 0) push_value(L, index, task);
  else if (task->state == ED_TASK_DONE) lua_pushnil(L);
  else push_missing_error(L, task);
  if (task->shape != 2) return;
  lua_rawgeti(L, -1, 1);
  lua_remove(L, -2);
}

bool ed_task_take_first (lua_State *L, ed_task *task) {
  if (task->state != ED_TASK_DONE || task->shape > 1) return false;
  if (task->shape == 0) {
    lua_pushnil(L);
    return true;
  }
  if (!task->is_on_stack) return false;
  lua_xmove(task->co, L, 1);
  task->shape = 0;
  return true;
}
