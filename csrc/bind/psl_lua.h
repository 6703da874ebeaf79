/* SPDX-License-Identifier: MIT */
/* The function 'core.is_public_suffix': who may own cookies. */
#ifndef ED_PSL_LUA_H
#define ED_PSL_LUA_H

#include <lua.h>

/* Push it. */
void ed_open_psl (lua_State *L);

#endif
