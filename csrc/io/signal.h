/* SPDX-License-Identifier: MIT */
/*
** Signals that cancel a run: for the program. The library installs nothing unasked.
*/
#ifndef ED_SIGNAL_H
#define ED_SIGNAL_H

#include <lua.h>

void ed_open_signal (lua_State *L, int box);

#endif
