/* SPDX-License-Identifier: MIT */
/*
** eddy.run, config, stats, dump: the script's view of the runtime as a whole.
*/
#ifndef ED_RUN_H
#define ED_RUN_H

#include "core/loop.h"

/* Push the tree of live tasks, a line each. */
void ed_dump_push (lua_State *L, ed_loop *loop);

void ed_open_run (lua_State *L, int box);

#endif
