/* SPDX-License-Identifier: MIT */
/* The table 'core.coding': content codings for Lua. */
#ifndef ED_CODING_LUA_H
#define ED_CODING_LUA_H

#include <lua.h>

/* Push it; 'box' is the index of the runtime's box. */
void ed_open_coding (lua_State *L, int box);

#endif
