/* SPDX-License-Identifier: MIT */
/*
** eddy.sleep, sleep_until, now.
*/
#ifndef ED_TIME_H
#define ED_TIME_H

#include <lua.h>

/* Put the functions into the table at the top; 'box' is the index of the runtime's box. */
void ed_open_time (lua_State *L, int box);

#endif
