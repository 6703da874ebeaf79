/* SPDX-License-Identifier: MIT */
/*
** Errors and warnings for config.on_error, or whoever the host has put there; the last resort is the
** standard error. All that runs scripts or takes memory is protected.
*/
#include "core/report.h"

#include <stdio.h>
#include <string.h>

#include "compat.h"
#include "core/class.h"
#include "core/error.h"
#include "core/limits.h"
#include "core/loop.h"
#include "core/task_ref.h"
#include "core/trace.h"

static int l_text (lua_State *L) { return luaL_tolstring(L, 1, NULL), 1; }

/* Push the value at 'index' as text, whatever its __tostring does. */
static const char *push_text (lua_State *L, int index) {
  index = lua_absindex(L, index);
  lua_pushcfunction(L, l_text);
  lua_pushvalue(L, index);
  if (lua_pcall(L, 1, 1, 0) == LUA_OK) return lua_tostring(L, -1);
  lua_pop(L, 1);
  return lua_pushfstring(L, "(a %s whose __tostring failed)", luaL_typename(L, index));
}

/* (err, task) to stderr, behind 'what' */
static void print_error (lua_State *L, ed_loop *loop, const char *what) {
  lua_writestringerror("eddy: %s", what);
  lua_writestringerror("%s\n", push_text(L, 1));
  if (!lua_isuserdata(L, 2)) return;
  ed_trace_push(L, loop, 2);
  if (lua_isstring(L, -1)) lua_writestringerror("%s\n", lua_tostring(L, -1));
}

/* (err, task) to config.on_error, or to stderr, also when that fails: an error behind 'what', or a
   warning. */
static int hand_over (lua_State *L, ed_loop *loop, const char *what) {
  if (loop->is_forsaken) return 0;
  if (loop->hosting != NULL && loop->hosting->report(L, loop)) return 0;
  lua_rawgeti(L, LUA_REGISTRYINDEX, loop->config);
  if (lua_getfield(L, -1, "on_error") == LUA_TFUNCTION) {
    lua_pushvalue(L, 1);
    lua_pushvalue(L, 2);
    if (lua_pcall(L, 2, 0, 0) == LUA_OK) return 0;
    lua_writestringerror("eddy: error in on_error: %s\n", push_text(L, -1));
  }
  print_error(L, loop, what);
  return 0;
}

static int hand_to_on_error (lua_State *L, ed_loop *loop) {
  return hand_over(L, loop, "error that nobody awaits: ");
}

static int report_protected (lua_State *L) {
  ed_task *task = lua_touserdata(L, 1);
  ed_task_push(L, task);
  ed_ref_push_first(L, task->ref, 2);
  lua_replace(L, 1);
  return hand_to_on_error(L, task->loop);
}

void ed_report_failure (ed_task *task) {
  lua_State *L = task->loop->L;
  lua_pushcfunction(L, report_protected);
  lua_pushlightuserdata(L, task);
  if (lua_pcall(L, 1, 0, 0) == LUA_OK) return;
  lua_writestringerror("eddy: error that nobody awaits, and cannot be told: %s\n",
    lua_isstring(L, -1) ? lua_tostring(L, -1) : "(no message)");
  lua_pop(L, 1);
}

/* (loop, reference of a task that failed) */
static int report_ended (lua_State *L) {
  ed_loop *loop = lua_touserdata(L, 1);
  ed_ref_push_first(L, lua_touserdata(L, 2), 2);
  lua_replace(L, 1);
  return hand_to_on_error(L, loop);
}

void ed_report_ended (ed_loop *loop, lua_State *co) {
  lua_State *L = loop->L;
  lua_pushcfunction(L, report_ended);
  lua_pushlightuserdata(L, loop);
  lua_xmove(co, L, 1);
  if (lua_pcall(L, 2, 0, 0) != LUA_OK) lua_pop(L, 1);
}

/* (task, err): nobody is told any more while the runtime closes, or by what only ends it in time. */
static int report_clean_up (lua_State *L) {
  ed_task *task = lua_touserdata(L, 1);
  ed_task_push(L, task);
  lua_replace(L, 1);
  lua_insert(L, 1);
  return hand_over(L, task->loop, "error in the clean-up of a killed task: ");
}

/*
** That a wait is refused there is part of being killed, and no news. Nor is nil, which Lua 5.4.4 makes of
** any error in the clean-up of one that waited in a block: it calls a message handler that has gone.
*/
static bool is_no_news (lua_State *co) {
  if (lua_isnil(co, -1)) return true;
  return lua_type(co, -1) == LUA_TSTRING
    && strstr(lua_tostring(co, -1), "cannot await: task is being killed") != NULL;
}

void ed_report_clean_up (ed_task *task, lua_State *co) {
  lua_State *L = task->loop->L;
  bool is_told = !task->loop->is_closing && !ed_limits_has_excess(task)
    && !is_no_news(co);
  if (co == L) lua_pushvalue(L, -1);
  else lua_xmove(co, L, 1);
  if (is_told) {
    lua_pushcfunction(L, report_clean_up);
    lua_pushlightuserdata(L, task);
    lua_rotate(L, -3, 2);
    if (lua_pcall(L, 2, 0, 0) == LUA_OK) return;
  }
  lua_pop(L, 1);
}

/*
** core.report(err)
** For library code whose error has nobody else to go to. In the finalizers of a state that ends there
** are no tasks any more.
*/
static int l_report (lua_State *L) {
  ed_loop *loop = ed_loop_of(L);
  lua_settop(L, 1);
  if (loop->current != NULL && !loop->is_closing) ed_task_push(L, loop->current);
  lua_settop(L, 2);
  return hand_to_on_error(L, loop);
}

/* (kind, task, code, text) */
static int make_warning (lua_State *L) {
  ed_task *task = lua_touserdata(L, 2);
  ed_error_push(
    L, lua_touserdata(L, 1), lua_touserdata(L, 3), NULL, NULL, lua_touserdata(L, 4));
  lua_replace(L, 1);
  lua_settop(L, 2);
  ed_task_push(L, task);
  lua_replace(L, 2);
  return hand_over(L, task->loop, "");
}

void ed_report_warning (
  lua_State *L, ed_task *task, const char *kind, const char *code, const char *text) {
  lua_pushcfunction(L, make_warning);
  lua_pushlightuserdata(L, (void *)kind);
  lua_pushlightuserdata(L, task);
  lua_pushlightuserdata(L, (void *)code);
  lua_pushlightuserdata(L, (void *)text);
  if (lua_pcall(L, 4, 0, 0) != LUA_OK) lua_pop(L, 1);
}

/* The line of Lua that waits: C functions in between (pcall, say) have none. */
static bool find_line (lua_State *L, lua_Debug *at) {
  for (int level = 0; lua_getstack(L, level, at); level++)
    if (lua_getinfo(L, "Sl", at) && at->currentline > 0) return true;
  return false;
}

void ed_report_swallowed (lua_State *L, ed_task *task) {
  char text[200];
  lua_Debug at;
  snprintf(text, sizeof text, "a task keeps catching its cancellation");
  if (find_line(L, &at))
    snprintf(text, sizeof text,
      "a task keeps catching its cancellation at %s:%d: eddy.pcall lets it through",
      at.short_src, at.currentline);
  ed_report_warning(L, task, "cancelled", "swallowed", text);
}

static const luaL_Reg functions[] = {
  {"report", l_report},
  {NULL, NULL},
};

void ed_open_report (lua_State *L, int box) { ed_setfuncs(L, functions, box); }
