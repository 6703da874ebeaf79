/* SPDX-License-Identifier: MIT */
/*
** The scope tree: pushing, popping, and cancelling without recursion. A cancel walks the
** subtree in place: a scope's first child is its inner scope on the same task, then come the
** root scopes of the tasks that it owns; from a leaf the way on is found through the links.
**
** The cancellation error of a scope is one object, made at its first delivery and kept in a
** table under the scope's address until the scope ends, and the scope under the error: identity
** decides who absorbs it.
*/
#include "core/scope.h"

#include <stdio.h>

#include "core/block.h"
#include "core/error.h"
#include "core/loop.h"
#include "core/place.h"
#include "core/report.h"
#include "core/site.h"
#include "core/task.h"

enum { SWALLOW_WARN = 256, SWALLOW_KILL = 1024 };

/* What a scope inside 'parent' is cancelled by from the start. */
static ed_scope *inherited (ed_scope *parent, ed_scope_kind kind) {
  if (parent == NULL || kind == ED_SCOPE_SHIELD) return NULL;
  if (parent->cause == NULL && kind == ED_SCOPE_TASK && parent->kind == ED_SCOPE_GROUP
    && parent->why != ED_NOT_CANCELLED)
    return parent; /* a <close> group that was cancelled, but not its body */
  return parent->cause;
}

void ed_scope_push (
  ed_scope *scope, ed_scope *parent, ed_task *host, ed_scope_kind kind) {
  scope->parent = parent;
  scope->inner = NULL;
  scope->host = host;
  ed_list_init(&scope->children);
  scope->cause = inherited(parent, kind);
  scope->live = 0;
  scope->kind = (uint8_t)kind;
  scope->why = ED_NOT_CANCELLED;
  scope->has_error = scope->is_closed = false;
  if (kind == ED_SCOPE_TASK || kind == ED_SCOPE_TOP) return;
  parent->inner = scope;
  host->scope = scope;
}

void ed_scope_pop (ed_scope *scope) {
  scope->is_closed = true;
  scope->parent->inner = NULL;
  scope->host->scope = scope->parent;
  if (scope->cause != scope) return;
  scope->host->swallowed = 0; /* its cancellation ends here, */
  scope->host->since = 0;     /* and the grace of the next one begins anew */
}

static ed_scope *root_of_child (ed_link *link) {
  return &ED_OF(link, ed_task, sibling)->root;
}

/* The first scope below 'at', or NULL. */
static ed_scope *below (ed_scope *at) {
  if (at->inner != NULL) return at->inner;
  return ed_list_is_empty(&at->children) ? NULL : root_of_child(at->children.next);
}

/* The scope after the subtree of 'at', which lies below 'top'; NULL at the end. */
static ed_scope *beside (ed_scope *at, ed_scope *top) {
  while (at != top) {
    ed_scope *parent = at->parent;
    ed_link *next = at->kind == ED_SCOPE_TASK ? at->host->sibling.next
                                              : parent->children.next;
    if (next != &parent->children) return root_of_child(next);
    at = parent;
  }
  return NULL;
}

/* Tasks above 'at', counted on: each step of the walk goes up only as far as it went down. */
static int levels_between (const ed_scope *at, const ed_scope *top) {
  int levels = 0;
  for (; at != top; at = at->parent) levels += at->kind == ED_SCOPE_TASK;
  return levels;
}

ed_scope *ed_scope_after (ed_scope *at, ed_scope *top, int *depth) {
  ed_scope *next = below(at);
  if (next == NULL && (next = beside(at, top)) != NULL)
    *depth -= levels_between(at, next->parent);
  if (next != NULL) *depth += next->kind == ED_SCOPE_TASK;
  return next;
}

static void apply (ed_scope *scope, ed_scope *cause) {
  scope->cause = cause;
  if (scope->host != NULL && scope->host->scope == scope) ed_task_interrupt(scope->host);
}

/* Spread 'cause' over 'top' and what is below it, except behind shields. */
static void spread (ed_scope *top, ed_scope *cause) {
  ed_scope *at = top;
  while (at != NULL) {
    bool enters = at == top || at->kind != ED_SCOPE_SHIELD;
    ed_scope *next;
    if (enters) apply(at, cause);
    else ed_block_besieged(at);
    next = enters ? below(at) : NULL;
    at = next != NULL ? next : beside(at, top);
  }
}

static void run_sweeps (ed_loop *loop) {
  ed_link *link;
  while ((link = ed_list_shift(&loop->sweep)) != NULL) {
    ed_sweep *sweep = ED_OF(link, ed_sweep, link);
    sweep->run(sweep);
  }
}

void ed_scope_sweep (ed_loop *loop, ed_sweep *sweep) {
  ed_list_remove(&sweep->link);
  ed_list_append(&loop->sweep, &sweep->link);
  if (loop->is_sweeping) return;
  loop->is_sweeping = true;
  run_sweeps(loop);
  loop->is_sweeping = false;
}

/* As spread; what operations have to cancel in turn comes when the whole tree knows. */
static void spread_and_sweep (ed_scope *top, ed_scope *cause) {
  ed_loop *loop = top->kind == ED_SCOPE_TOP ? ED_OF(top, ed_loop, top) : top->host->loop;
  bool is_first = !loop->is_sweeping;
  loop->is_sweeping = true;
  spread(top, cause);
  if (!is_first) return;
  run_sweeps(loop);
  loop->is_sweeping = false;
}

/* A <close> group's own cancel reaches its members, not the body that holds the group. */
static void spread_to_members (ed_scope *group) {
  for (ed_link *at = group->children.next; at != &group->children; at = at->next)
    spread_and_sweep(root_of_child(at), group);
}

/* A member of a cancelled <close> group has failed: now the body is interrupted as well. */
static void widen (ed_scope *group) {
  group->why = ED_BY_FAILURE;
  if (group->cause == NULL) spread_and_sweep(group, group);
}

bool ed_scope_cancel (ed_scope *scope, ed_why why) {
  if (scope->kind == ED_SCOPE_GROUP && scope->why == ED_BY_USER && why == ED_BY_FAILURE)
    widen(scope);
  if (scope->why != ED_NOT_CANCELLED) return false;
  scope->why = (uint8_t)why;
  if (scope->cause != NULL)
    return true; /* the outer cancellation stays the one that counts */
  if (scope->kind == ED_SCOPE_GROUP && why == ED_BY_USER) spread_to_members(scope);
  else spread_and_sweep(scope, scope);
  return true;
}

void ed_scope_expose (ed_scope *shield) {
  shield->kind = ED_SCOPE_BLOCK;
  if (shield->cause == NULL && shield->parent->cause != NULL)
    spread_and_sweep(shield, shield->parent->cause);
}

bool ed_scope_is_besieged (const ed_scope *shield) {
  return shield->parent->cause != NULL;
}

/* ---- the error object ---- */

static const char *const why_text[] = {
  "cancelled",
  "cancelled",
  "a member failed",
  "timeout",
  "interrupt",
  "deadlock",
  "the owner ended",
};

void ed_cancel_reason (lua_State *L, ed_loop *loop, ed_scope *scope) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, loop->reasons);
  lua_insert(L, -2);
  lua_rawsetp(L, -2, scope);
  lua_pop(L, 1);
}

/* Where it was cancelled lies beside the reason, under the address behind the scope's. */
static const void *site_key (const ed_scope *scope) { return (const char *)scope + 1; }

void ed_cancel_site (lua_State *L, ed_loop *loop, ed_scope *scope) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, loop->reasons);
  if (ed_site_push_here(L)) lua_rawsetp(L, -2, site_key(scope));
  lua_pop(L, 1);
}

/* Give the error at the top the line that cancelled, if a script did. */
static void add_site (lua_State *L, ed_loop *loop, ed_scope *scope) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, loop->reasons);
  if (lua_rawgetp(L, -1, site_key(scope)) != LUA_TNIL) {
    lua_pushfstring(L, "cancelled at %s", lua_tostring(L, -1));
    lua_setfield(L, -4, "traceback");
  }
  lua_pop(L, 2);
}

/* The reason that a script gave, or what the runtime says itself. */
static void push_reason (lua_State *L, ed_loop *loop, ed_scope *scope) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, loop->reasons);
  lua_rawgetp(L, -1, scope);
  lua_remove(L, -2);
  if (!lua_isnil(L, -1) || scope->why == ED_BY_USER) return;
  lua_pop(L, 1);
  lua_pushstring(L, why_text[scope->why]);
}

static void make_error (lua_State *L, ed_loop *loop, ed_scope *scope, const char *what) {
  char text[200];
  snprintf(text, sizeof text, "%s", what);
  push_reason(L, loop, scope);
  if (lua_isstring(L, -1)) {
    lua_pushvalue(L, -1); /* a number becomes text here, not where the script finds it */
    snprintf(text, sizeof text, "%s: %.120s", what, lua_tostring(L, -1));
    lua_pop(L, 1);
  }
  ed_error_push(L, "cancelled", NULL, NULL, NULL, text);
  lua_insert(L, -2);
  lua_setfield(L, -2, "reason");
  add_site(L, loop, scope);
}

/*
** Both ways, so that the owner of an error is found without going through a chain of tasks that may be as
** long as memory. Should that run out between, the place of the scope is there and holds false.
*/
static void keep_error (lua_State *L, ed_scope *scope, int table, int error) {
  lua_pushboolean(L, 0);
  lua_rawsetp(L, table, scope);
  lua_pushvalue(L, error);
  lua_pushlightuserdata(L, scope);
  lua_rawset(L, table);
  lua_pushvalue(L, error);
  lua_rawsetp(L, table, scope);
  scope->has_error = true;
}

void ed_cancel_push (lua_State *L, ed_loop *loop, ed_scope *scope) {
  luaL_checkstack(L, 8, "cancellation");
  lua_rawgeti(L, LUA_REGISTRYINDEX, loop->cancels);
  if (lua_rawgetp(L, -1, scope) != LUA_TTABLE) {
    lua_pop(L, 1);
    make_error(L, loop, scope, "task cancelled");
    keep_error(L, scope, lua_absindex(L, -2), lua_absindex(L, -1));
  }
  lua_remove(L, -2);
}

void ed_cancel_push_kill (lua_State *L, ed_task *task, ed_scope *scope) {
  luaL_checkstack(L, 8, "cancellation");
  make_error(L, task->loop, scope,
    task->swallowed > 0 ? "task killed, for it kept catching its cancellation"
                        : "task killed");
}

/*
** Has it been catching cancellations for longer than config.kill_grace? What it spends behind
** shields and waiting for children does not count: these end by themselves.
*/
bool ed_cancel_is_overdue (ed_task *task) {
  uint64_t now = ed_loop_now(task->loop) / 1000000 + 1;
  if (task->since == 0) task->since = (uint32_t)now;
  return (uint32_t)now - task->since > task->loop->kill_grace;
}

int ed_cancel_raise (lua_State *L, ed_task *task) {
  ed_scope *cause = task->scope->cause;
  if (cause == NULL)
    return ed_place_error(L, task->loop, "cannot await: task is being killed");
  task->swallowed++;
  if (task->swallowed == SWALLOW_WARN) ed_report_swallowed(L, task);
  if (task->swallowed >= SWALLOW_KILL || ed_cancel_is_overdue(task))
    return ed_task_give_up(L, task);
  ed_cancel_push(L, task->loop, cause);
  return lua_error(L);
}

static bool is_around (const ed_scope *scope, const ed_scope *at) {
  while (at != NULL && at != scope) at = at->parent;
  return at != NULL;
}

ed_scope *ed_cancel_owner (lua_State *L, ed_loop *loop, ed_scope *from, int index) {
  ed_scope *owner;
  if (!lua_istable(L, index)) return NULL;
  index = lua_absindex(L, index);
  lua_rawgeti(L, LUA_REGISTRYINDEX, loop->cancels);
  lua_pushvalue(L, index);
  lua_rawget(L, -2);
  owner = lua_touserdata(L, -1);
  lua_pop(L, 2);
  if (owner == NULL || owner == from->cause) return owner;
  return is_around(owner, from) ? owner : NULL;
}

static void forget (lua_State *L, int table, const void *scope) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, table);
  if (lua_rawgetp(L, -1, scope)
    != LUA_TNIL) { /* an existing key: storing allocates nothing */
    lua_pushnil(L);
    lua_rawsetp(L, -3, scope);
  }
  lua_pop(L, 2);
}

static void forget_error (lua_State *L, ed_loop *loop, ed_scope *scope) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, loop->cancels);
  lua_rawgetp(L, -1, scope);
  lua_pushnil(L);
  lua_rawset(L, -3); /* an existing key, too */
  lua_pop(L, 1);
}

void ed_cancel_forget_all (lua_State *L, ed_loop *loop, ed_scope *scope) {
  if (scope->has_error) forget_error(L, loop, scope);
  forget(L, loop->cancels, scope);
  forget(L, loop->reasons, scope);
  forget(L, loop->reasons, site_key(scope));
  scope->has_error = false;
}
