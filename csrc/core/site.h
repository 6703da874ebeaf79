/* SPDX-License-Identifier: MIT */
/*
** Lines from which tasks were spawned, each stored once and known by a small number, so that
** every task can tell where it comes from for the price of one look at the debug information
** (about 30 ns). The table grows with the number of different lines, up to ED_SITES_MAX; what
** comes later has no line.
*/
#ifndef ED_SITE_H
#define ED_SITE_H

#include "core/loop.h"

enum { ED_SITES_MAX = 4096 };

/* The line of Lua that calls the running C function; 0 when there is none or no room. */
uint16_t ed_site_here (lua_State *L, ed_loop *loop);

/* Push "file:line"; nothing for 0. Returns how many values were pushed. */
int ed_site_push (lua_State *L, const ed_loop *loop, uint16_t site);

void ed_site_free (ed_loop *loop);

#endif
