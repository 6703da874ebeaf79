/* SPDX-License-Identifier: MIT */
/*
** Texts of failures. Whether an error that a handler sees was passed on by an 'await' or a
** block cannot be told from its value (two tasks may fail with the same string), so that is
** noted just before it is raised, with the number of the resume: nothing else can run between.
*/
#include "core/trace.h"

#include <string.h>

#include "core/coroutine.h"
#include "core/error.h"
#include "core/site.h"

enum {
  ORIGIN_VALUE = 1, /* what was passed on */
  ORIGIN_TEXT = 2,  /* the text of the task that failed with it */
  MAX_ANCESTORS = 20,
  MAX_TEXT = 16384 /* bytes: beyond that it is passed on as it is */
};

void ed_trace_push (lua_State *L, ed_loop *loop, int index) {
  index = lua_absindex(L, index);
  lua_rawgeti(L, LUA_REGISTRYINDEX, loop->tracebacks);
  lua_pushvalue(L, index);
  lua_rawget(L, -2);
  lua_remove(L, -2);
}

/* The value at the top is raised next, and 'text' belongs to it. */
static void note_origin (lua_State *L, ed_loop *loop, int text, bool is_own) {
  luaL_checkstack(L, 6, "error");
  lua_rawgeti(L, LUA_REGISTRYINDEX, loop->origin);
  lua_pushvalue(L, -2);
  lua_rawseti(L, -2, ORIGIN_VALUE);
  lua_pushvalue(L, text);
  lua_rawseti(L, -2, ORIGIN_TEXT);
  lua_pop(L, 1);
  loop->passed_on = loop->nresumes;
  loop->is_own_origin = is_own;
}

void ed_trace_passes_on (lua_State *L, ed_task *task, int child) {
  luaL_checkstack(L, 6, "error");
  ed_trace_push(L, task->loop, child);
  lua_insert(L, -2);
  note_origin(L, task->loop, lua_gettop(L) - 1, false);
  lua_remove(L, -2);
}

void ed_trace_belongs (lua_State *L, ed_loop *loop, int text) {
  note_origin(L, loop, lua_absindex(L, text), true);
}

void ed_trace_again (ed_task *task) { task->filed = task->loop->nresumes; }

/* Add "\nspawned at file:line by name" for 'task' and its ancestors to the text at the top. */
static void add_spawning (lua_State *L, ed_task *task) {
  char name[80];
  for (int n = 0; n < MAX_ANCESTORS && task != NULL; n++) {
    ed_task *parent = task->root.parent->host;
    if (ed_site_push(L, task)) {
      ed_task_name(L, parent != NULL ? parent : task, name, sizeof name);
      if (parent != NULL)
        lua_pushfstring(L, "\nspawned at %s by %s", lua_tostring(L, -1), name);
      else lua_pushfstring(L, "\nspawned at %s", lua_tostring(L, -1));
      lua_remove(L, -2);
      lua_concat(L, 2);
    }
    task = parent;
  }
}

/* Push what came with the value at 'index' from elsewhere; nil if it is new. */
static void push_origin (lua_State *L, ed_loop *loop, int index) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, loop->origin);
  lua_rawgeti(L, -1, ORIGIN_VALUE);
  if (loop->passed_on == loop->nresumes && lua_rawequal(L, -1, index))
    lua_rawgeti(L, -2, ORIGIN_TEXT);
  else {
    loop->is_own_origin = false;
    if (ed_error_is(L, index)) lua_getfield(L, index, "traceback");
    else lua_pushnil(L);
  }
  lua_replace(L, -3);
  lua_pop(L, 1);
}

void ed_trace_push_coroutine (lua_State *L, ed_loop *loop, lua_State *co) {
  int value = lua_gettop(L);
  luaL_checkstack(L, 8, "error");
  if (ed_cancel_owner(L, loop, loop->current->scope, value) != NULL) {
    lua_pushnil(L);
    return;
  }
  push_origin(L, loop, value);
  if (lua_isstring(L, -1)) lua_pushliteral(L, "\n");
  else lua_pushliteral(L, ""), lua_replace(L, -2), lua_pushliteral(L, "");
  luaL_traceback(L, co, "in a coroutine", 0);
  lua_concat(L, 3);
}

/*
** Is the text at the top long enough? A failure may go through as many tasks as there are, and
** each has a text: were each longer than the one before, the whole would be quadratic.
*/
static bool is_full (lua_State *L) {
  static const char mark[] = "\n...\t(awaited by more tasks)";
  size_t len = lua_rawlen(L, -1);
  if (len < MAX_TEXT) return false;
  if (len >= sizeof mark
    && strcmp(lua_tostring(L, -1) + len - (sizeof mark - 1), mark) == 0)
    return true;
  lua_pushstring(L, mark);
  lua_concat(L, 2);
  return true;
}

/* Is any Lua code on the stack? A body that has ended, whose children failed later, says nothing. */
static bool has_line (lua_State *L) {
  lua_Debug at;
  for (int level = 1; lua_getstack(L, level, &at); level++)
    if (lua_getinfo(L, "l", &at) && at.currentline > 0) return true;
  return false;
}

/* Push the whole text for the error at 1 of the running task. */
static void push_text (lua_State *L, ed_task *task) {
  char name[100] = "awaited by ", heading[100] = "in task ";
  ed_task_name(L, task, heading + 8, sizeof heading - 8);
  push_origin(L, task->loop, 1);
  if (!lua_isstring(L, -1)) {
    luaL_traceback(L, L, ed_task_is_named(L, task) ? heading : NULL, 1);
    add_spawning(L, task);
    lua_remove(L, -2);
    return;
  }
  if (is_full(L)) return;
  ed_task_name(L, task, name + 11, sizeof name - 11);
  lua_pushliteral(L, "\n");
  if (has_line(L)) luaL_traceback(L, L, task->loop->is_own_origin ? NULL : name, 1);
  else lua_pushstring(L, name);
  add_spawning(L, task);
  lua_concat(L, 3);
}

static void file (lua_State *L, ed_task *task) {
  ed_loop *loop = task->loop;
  lua_rawgeti(L, LUA_REGISTRYINDEX, loop->tracebacks);
  ed_task_push(L, task);
  push_text(L, task);
  if (ed_error_is(L, 1)) {
    lua_pushvalue(L, -1);
    lua_setfield(L, 1, "traceback");
  }
  lua_rawset(L, -3);
  ed_trace_again(task);
}

int ed_trace_handler (lua_State *L) {
  ed_task *task;
  ed_loop *loop;
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &ed_box_key) != LUA_TUSERDATA) return 1;
  loop = ((ed_box *)lua_touserdata(L, -1))->loop;
  task = loop != NULL ? loop->current : NULL;
  lua_settop(L, 1);
  if (task == NULL || task->filed == loop->nresumes
    || ed_cancel_owner(L, loop, task->scope, 1) != NULL)
    return 1;
  file(L, task);
  lua_settop(L, 1);
  return 1;
}

/* Of any number of coroutines, with a few places on the stack. */
void ed_trace_push_live (lua_State *L, ed_task *task) {
  luaL_checkstack(L, 8, "traceback");
  lua_pushliteral(L, "");
  for (lua_State *co = task->leaf; co != NULL; co = ed_nest_outer(task, co)) {
    if (co != task->leaf) lua_pushliteral(L, "\n"), lua_concat(L, 2);
    luaL_traceback(L, co, co == task->co ? NULL : "in a coroutine", 0);
    lua_concat(L, 2);
  }
  add_spawning(L, task);
}
