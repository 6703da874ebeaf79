/* SPDX-License-Identifier: MIT */
/*
** How the sources of the library begin is noted once, when its first file is loaded.
*/
#include "core/place.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void ed_place_library (lua_State *L, ed_loop *loop) {
  lua_Debug at;
  const char *end;
  size_t len;
  if (!lua_getstack(L, 1, &at) || !lua_getinfo(L, "S", &at)) return;
  end = strrchr(at.source, '/');
  if (end == NULL || loop->library != NULL) return;
  len = (size_t)(end - at.source) + 1;
  loop->library = ed_mem_new(&loop->mem, len + 1);
  if (loop->library == NULL) luaL_error(L, "not enough memory");
  memcpy(loop->library, at.source, len);
  loop->library[len] = '\0';
}

static bool is_source_of_library (const ed_loop *loop, const char *source) {
  return loop->library != NULL
    && strncmp(source, loop->library, strlen(loop->library)) == 0;
}

bool ed_place_is_library (lua_State *L, const ed_loop *loop) {
  lua_Debug at;
  return lua_getstack(L, 0, &at) && lua_getinfo(L, "S", &at)
    && is_source_of_library(loop, at.source);
}

/* The level of the caller; outside of a script's code nobody is blamed, as luaL_where does. */
static int level_to_blame (lua_State *L, const ed_loop *loop) {
  lua_Debug at;
  int level = 1;
  while (lua_getstack(L, level, &at) && lua_getinfo(L, "S", &at)) {
    bool is_between = level > 1 && *at.what == 'C';
    if (!is_between && !is_source_of_library(loop, at.source)) break;
    level++;
  }
  return level;
}

int ed_place_error (lua_State *L, const ed_loop *loop, const char *format, ...) {
  va_list args;
  luaL_where(L, level_to_blame(L, loop));
  va_start(args, format);
  lua_pushvfstring(L, format, args);
  va_end(args);
  lua_concat(L, 2);
  return lua_error(L);
}

bool ed_place_find (lua_State *co, const ed_loop *loop, char *text) {
  lua_Debug at;
  for (int level = 0; lua_getstack(co, level, &at); level++) {
    if (!lua_getinfo(co, "Sl", &at) || at.currentline <= 0) continue;
    if (is_source_of_library(loop, at.source)) continue;
    snprintf(text, ED_PLACE_ROOM, "%s:%d", at.short_src, at.currentline);
    return true;
  }
  return false;
}
