/* SPDX-License-Identifier: MIT */
/*
** Where Lua code is: in a script, at which line of it, or in the library's own files.
*/
#ifndef ED_PLACE_H
#define ED_PLACE_H

#include "core/loop.h"

enum { ED_PLACE_ROOM = 160 /* bytes of "file:line" */ };

/* Lua code whose source begins like that of the function at level 1 of L is the library's. */
void ed_place_library (lua_State *L, ed_loop *loop);

/* Is what runs in L now the library's? */
bool ed_place_is_library (lua_State *L, const ed_loop *loop);

/*
** As luaL_error, with the position of the function that called, or, where that is the library's own, of
** the script that called the library.
*/
int ed_place_error (lua_State *L, const ed_loop *loop, const char *format, ...);

/* "file:line" of the innermost line of the script in 'co' into 'text'; false if there is none. */
bool ed_place_find (lua_State *co, const ed_loop *loop, char *text);

#endif
