/* SPDX-License-Identifier: MIT */
/*
** find, match, gmatch and gsub as the string library has them, with a bound (base/pattern).
*/
#ifndef ED_PATTERN_LUA_H
#define ED_PATTERN_LUA_H

#include <lua.h>

/* Push the table of them. */
void ed_open_pattern (lua_State *L);

#endif
