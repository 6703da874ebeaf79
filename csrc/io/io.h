/* SPDX-License-Identifier: MIT */
/*
** The table of I/O modules: each pushes one table of functions, given the runtime's box.
*/
#ifndef ED_IO_H
#define ED_IO_H

#include <lua.h>

typedef struct ed_io_module {
  const char *name;
  void (*open)(lua_State *L, int box);
} ed_io_module;

extern const ed_io_module ed_io_modules[]; /* the last row has no name */

#endif
