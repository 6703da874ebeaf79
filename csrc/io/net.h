/* SPDX-License-Identifier: MIT */
/*
** The functions of eddy.core.net, which lua/eddy/net.lua gives their public form.
*/
#ifndef ED_NET_H
#define ED_NET_H

#include <lua.h>
#include <sys/un.h>

enum { ED_UNIX_MAX = sizeof(((struct sockaddr_un *)0)->sun_path) - 1 };

int ed_l_connect (lua_State *L);
int ed_l_connect_unix (lua_State *L);
int ed_l_progress (lua_State *L);
int ed_l_resolved (lua_State *L);
int ed_l_listen (lua_State *L);
int ed_l_listen_unix (lua_State *L);

/* The class of listeners; pushes nothing. */
void ed_open_listener (lua_State *L, int box);

void ed_open_net (lua_State *L, int box);

#endif
