/* SPDX-License-Identifier: MIT */
/*
** Looking at the caller, and making a text of what was seen.
*/
#include "core/site.h"

#include "core/task_ref.h"

enum { MAX_LINE = (1 << 24) - 1 }; /* as there is room for in a task */

uint32_t ed_site_push_caller (lua_State *L) {
  lua_Debug at;
  if (!lua_getstack(L, 1, &at)) {
    lua_pushnil(L);
    return 0;
  }
  lua_getinfo(L, "fl", &at);
  if (at.currentline > 0 && at.currentline <= MAX_LINE) return (uint32_t)at.currentline;
  lua_pop(L, 1);
  lua_pushnil(L);
  return 0;
}

/* Replace the function at the top by "file:line". */
static int describe (lua_State *L, uint32_t line) {
  lua_Debug at;
  if (line == 0) {
    lua_pop(L, 1);
    return 0;
  }
  lua_getinfo(L, ">S", &at);
  lua_pushfstring(L, "%s:%d", at.short_src, (int)line);
  return 1;
}

int ed_site_push_here (lua_State *L) { return describe(L, ed_site_push_caller(L)); }

int ed_site_push (lua_State *L, ed_task *task) {
  if (task->line == 0 || !ed_frame_push(L, task, ED_FRAME_SPAWNER)) return 0;
  return describe(L, task->line);
}
