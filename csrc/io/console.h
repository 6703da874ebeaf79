/* SPDX-License-Identifier: MIT */
#ifndef ED_IO_CONSOLE_H
#define ED_IO_CONSOLE_H

#include <lua.h>

/* Push the table eddy.core.console: what the program's prompt needs. */
void ed_open_console (lua_State *L, int box);

#endif
