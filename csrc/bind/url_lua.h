/* SPDX-License-Identifier: MIT */
/* The table 'core.url': http addresses for Lua. */
#ifndef ED_URL_LUA_H
#define ED_URL_LUA_H

#include <lua.h>

/* Push it; 'box' is the index of the runtime's box. */
void ed_open_url (lua_State *L, int box);

#endif
