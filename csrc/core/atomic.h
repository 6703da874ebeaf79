/* SPDX-License-Identifier: MIT */
/*
** eddy.atomic: a stretch of code in which nothing else can run.
*/
#ifndef ED_ATOMIC_H
#define ED_ATOMIC_H

#include <lua.h>

void ed_open_atomic (lua_State *L, int box);

#endif
