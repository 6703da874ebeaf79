/* SPDX-License-Identifier: MIT */
/*
** An xpcall for scripts that are not trusted.
*/
#ifndef ED_XPCALL_H
#define ED_XPCALL_H

#include <lua.h>

void ed_open_xpcall (lua_State *L);

#endif
