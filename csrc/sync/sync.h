/* SPDX-License-Identifier: MIT */
/*
** What tasks use to wait for each other. Opens into the table at the top.
*/
#ifndef ED_SYNC_H
#define ED_SYNC_H

#include "core/loop.h"

void ed_open_sync (lua_State *L, ed_loop *loop, int box);

/* Its parts. */
void ed_open_event (lua_State *L, ed_loop *loop, int box);
void ed_open_lock (lua_State *L, ed_loop *loop, int box);
void ed_open_condition (lua_State *L, ed_loop *loop, int box);
void ed_open_barrier (lua_State *L, ed_loop *loop, int box);
void ed_open_ratelimit (lua_State *L, ed_loop *loop, int box);
void ed_open_semaphore (lua_State *L, ed_loop *loop, int box);
void ed_open_queue (lua_State *L, ed_loop *loop, int box);
void ed_open_select (lua_State *L, int box);
void ed_open_gather (lua_State *L, int box);
void ed_open_future (lua_State *L, ed_loop *loop, int box);
void ed_open_callback (lua_State *L, ed_loop *loop, int box);
void ed_open_completions (lua_State *L, ed_loop *loop, int box);
void ed_open_start (lua_State *L, ed_loop *loop, int box);

#endif
