/* SPDX-License-Identifier: MIT */
/*
** How tasks end as seen from outside: waiting for the children of a scope, and deciding what it raises
** when some of them failed.
*/
#include "core/error.h"
#include "core/loop.h"
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

void ed_scope_release_children (ed_scope *scope) {
  ed_link *at;
  while ((at = ed_list_shift(&scope->children)) != NULL)
    ed_task_release(ED_OF(at, ed_task, sibling));
}

/* Push what 'task', which failed, failed with; its text goes into 'texts' as number 'n'. */
static void push_failed (lua_State *L, ed_task *task, int texts, uint32_t n) {
  luaL_checkstack(L, 8, "too many failures");
  ed_task_find(L, task);
  ed_task_push_first(L, task);
  ed_trace_passes_on(L, task->root.parent->host, -2);
  ed_trace_push(L, task->loop, -2);
  lua_rawseti(L, texts, n);
  lua_remove(L, -2);
}

/* The body's own failure is at 'body', and its text is filed for the host. */
static void push_body (lua_State *L, ed_task *host, int body, int texts, uint32_t n) {
  ed_task_find(L, host);
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
