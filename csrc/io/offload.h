/* SPDX-License-Identifier: MIT */
/*
** eddy.offload: a Lua function in another state, on another core, as if it were called here.
*/
#ifndef ED_OFFLOAD_H
#define ED_OFFLOAD_H

#include <lua.h>

/* Push the table of functions. */
void ed_open_offload (lua_State *L, int box);

#endif
