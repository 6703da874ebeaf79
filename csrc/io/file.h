/* SPDX-License-Identifier: MIT */
/*
** Files for reading in the thread pool; see file.c.
*/
#ifndef ED_FILE_H
#define ED_FILE_H

#include <lua.h>

/* Push the table of core.file. */
void ed_open_file (lua_State *L, int box);

#endif
