/* SPDX-License-Identifier: MIT */
/*
** Task-local variables. A binding is a node (variable, value, next) of a chain that is never
** changed, so that a child takes over all bindings of its spawner by one reference. A coroutine
** inside a task has a chain of its own in front of its task's: what a generator binds is not
** seen by its consumer, however the two are interleaved.
**
** The chains hang in a table under their coroutines, with weak keys; a task's own, which is
** used again, is taken out at its end. Tasks that never bind anything pay for none of this.
*/
#include "core/var.h"

#include "core/class.h"
#include "core/coroutine.h"
#include "core/trace.h"

enum { NODE_VAR = 1, NODE_VALUE = 2, NODE_NEXT = 3 };

/* Push the chain of 'co', or nil. */
static void push_chain (lua_State *L, ed_loop *loop, lua_State *co) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, loop->vars);
  lua_pushthread(co);
  if (co != L) lua_xmove(co, L, 1);
  lua_rawget(L, -2);
  lua_remove(L, -2);
}

/* The value at the top (popped) becomes the chain of 'co'. */
static void store_chain (lua_State *L, ed_loop *loop, lua_State *co) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, loop->vars);
  lua_pushthread(co);
  if (co != L) lua_xmove(co, L, 1);
  lua_rotate(L, -3, -1);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

/* Put the variable at 'var' and the value at 'value' before the chain at the top. */
static void put_node (lua_State *L, int var, int value) {
  lua_createtable(L, 3, 0);
  lua_insert(L, -2);
  lua_rawseti(L, -2, NODE_NEXT);
  lua_pushvalue(L, var);
  lua_rawseti(L, -2, NODE_VAR);
  lua_pushvalue(L, value);
  lua_rawseti(L, -2, NODE_VALUE);
}

/* Replace the chain at the top by the value bound to the variable at 1; false: none there. */
static bool find_value (lua_State *L) {
  while (lua_istable(L, -1)) {
    lua_rawgeti(L, -1, NODE_VAR);
    if (lua_rawequal(L, -1, 1)) {
      lua_rawgeti(L, -2, NODE_VALUE);
      return true;
    }
    lua_rawgeti(L, -2, NODE_NEXT);
    lua_replace(L, -3);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return false;
}

/* ---- what tasks take over ---- */

/* Copy the nodes of the chain at the top (popped), outermost first, before the one at 'chain'. */
static void put_before (lua_State *L, int chain) {
  int first = lua_gettop(L);
  while (lua_istable(L, -1)) {
    luaL_checkstack(L, 4, "too many bindings");
    lua_rawgeti(L, -1, NODE_NEXT);
  }
  for (int node = lua_gettop(L) - 1; node >= first; node--) {
    lua_rawgeti(L, node, NODE_VAR);
    lua_rawgeti(L, node, NODE_VALUE);
    lua_pushvalue(L, chain);
    put_node(L, -3, -2);
    lua_replace(L, chain);
    lua_pop(L, 2);
  }
  lua_settop(L, first - 1);
}

/* Push all that 'task' sees, coroutine by coroutine from its own inward. */
static void push_visible (lua_State *L, ed_task *task, lua_State *co) {
  lua_State *outer = ed_nest_outer(task, co);
  int chain;
  if (outer == NULL) {
    push_chain(L, task->loop, co);
    return;
  }
  push_visible(L, task, outer);
  chain = lua_gettop(L);
  push_chain(L, task->loop, co);
  put_before(L, chain);
}

/* Push all that the caller sees, in a task or outside. */
static void push_all_visible (lua_State *L, ed_loop *loop) {
  ed_task *task = loop->current;
  if (task != NULL) push_visible(L, task, task->leaf);
  else push_chain(L, loop, L);
}

/* A coroutine that has bound something may be taken up by any task. */
static bool may_see_any (const ed_loop *loop) {
  return loop->current == NULL || loop->current->has_vars || loop->has_loose_vars;
}

bool ed_vars_push_visible (lua_State *L, ed_loop *loop) {
  int top = lua_gettop(L);
  luaL_checkstack(L, 8, "bindings");
  push_all_visible(L, loop);
  if (lua_isnil(L, -1)) lua_settop(L, top);
  return lua_gettop(L) > top;
}

void ed_vars_give (lua_State *L, ed_loop *loop, lua_State *child) {
  store_chain(L, loop, child);
}

void ed_vars_forget (lua_State *L, ed_task *task) {
  lua_pushnil(L); /* an existing key: storing allocates nothing */
  store_chain(L, task->loop, task->co);
}

/* ---- Lua ---- */

/*
** eddy.var([default]) --> Var
** A variable that has its own value in every task; a child sees what was bound where it was
** spawned.
*/
static int l_var (lua_State *L) {
  lua_settop(L, 1);
  ed_class_push(L, ed_loop_of(L), ED_CLASS_VAR, 1, 1);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  return 1;
}

/*
** var:get() --> value
*/
static int l_var_get (lua_State *L) {
  ed_loop *loop = ed_loop_of(L);
  ed_task *task = loop->current;
  ed_class_check(L, loop, 1, ED_CLASS_VAR);
  lua_settop(L, 1);
  if (may_see_any(loop))
    for (lua_State *co = task ? task->leaf : L; co != NULL;) {
      push_chain(L, loop, co);
      if (find_value(L)) return 1;
      co = task != NULL ? ed_nest_outer(task, co) : NULL;
    }
  lua_getiuservalue(L, 1, 1);
  return 1;
}

/* The chain of before lies at 3, the results or the error behind. */
static int with_k (lua_State *L, int status, lua_KContext ctx) {
  ed_loop *loop = ed_loop_of(L);
  (void)ctx;
  lua_checkstack(L, 4);
  lua_pushvalue(L, 3);
  store_chain(L, loop, L);
  if (status == LUA_OK || status == LUA_YIELD) return lua_gettop(L) - 3;
  if (loop->current != NULL) ed_trace_again(loop->current);
  return lua_error(L);
}

/*
** var:with(value, fn, ...) --> results of fn
** Calls 'fn' with the variable bound to 'value' for it and all that it spawns. 'fn' may await.
*/
static int l_var_with (lua_State *L) {
  ed_loop *loop = ed_loop_of(L);
  ed_task *task = loop->current;
  int status;
  ed_class_check(L, loop, 1, ED_CLASS_VAR);
  ed_check_callable(L, 3);
  push_chain(L, loop, L);
  lua_insert(L, 3);
  lua_pushvalue(L, 3);
  put_node(L, 1, 2);
  if (task != NULL && task->co == L) task->has_vars = true;
  else loop->has_loose_vars = true;
  store_chain(L, loop, L);
  lua_pushcfunction(L, ed_trace_handler);
  lua_replace(L, 2);
  status = lua_pcallk(L, lua_gettop(L) - 4, LUA_MULTRET, 2, 0, with_k);
  return with_k(L, status, 0);
}

static const luaL_Reg functions[] = {
  {"var", l_var},
  {NULL, NULL},
};

static const luaL_Reg methods[] = {
  {"get", l_var_get},
  {"with", l_var_with},
  {NULL, NULL},
};

static const luaL_Reg meta[] = {
  {NULL, NULL},
};

void ed_open_var (lua_State *L, ed_loop *loop, int box) {
  ed_class_new(L, loop, ED_CLASS_VAR, "eddy.Var", methods, meta, box);
  ed_setfuncs(L, functions, box);
}
