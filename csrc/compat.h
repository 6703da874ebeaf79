/* SPDX-License-Identifier: MIT */
/*
** Lua 5.4.4 to 5.5 behind one face, which is that of the newest. Every version test stands here.
*/
#ifndef ED_COMPAT_H
#define ED_COMPAT_H

#include <lua.h>
#include <lauxlib.h>

#if LUA_VERSION_NUM < 504 || (LUA_VERSION_NUM == 504 && LUA_VERSION_RELEASE_NUM < 50404)
#error "eddy needs Lua 5.4.4 or newer"
#endif

/*
** Close a coroutine from outside: runs its pending to-be-closed variables. Before 5.4.6 the call
** does not know from whom it comes, so C-stack depth is then counted anew.
*/
#if LUA_VERSION_NUM == 504 && LUA_VERSION_RELEASE_NUM < 50406
#define lua_closethread(L, from) ((void)(from), lua_resetthread(L))
#define ED_CLOSES \
  20 /* that may be nested: each may go as deep into the C stack as Lua allows */
#else
#define ED_CLOSES 200 /* Lua counts by itself, and stops first */
#endif

/* Write to the standard error; 5.5 has no such macro in its header. */
#if !defined(lua_writestringerror)
#include <stdio.h>
#define lua_writestringerror(format, text) \
  (fprintf(stderr, (format), (text)), fflush(stderr))
#endif

/* A state with an allocator of one's own: 5.5 wants the seed of its string hash from the caller. */
#if LUA_VERSION_NUM >= 505
#define ed_lua_newstate(alloc, ud) lua_newstate((alloc), (ud), luaL_makeseed(NULL))
#else
#define ed_lua_newstate(alloc, ud) lua_newstate((alloc), (ud))
#endif

#endif
