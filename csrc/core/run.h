/* SPDX-License-Identifier: MIT */
/*
** eddy.run, config, stats, dump: the script's view of the runtime as a whole.
*/
#ifndef ED_RUN_H
#define ED_RUN_H

#include "core/loop.h"

/* Push the tree of live tasks, a line each. */
void ed_dump_push (lua_State *L, ed_loop *loop);

/* Was this option of eddy.config set to false? */
bool ed_config_is_off (lua_State *L, ed_loop *loop, const char *name);

void ed_open_run (lua_State *L, int box);

#endif
