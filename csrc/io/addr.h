/* SPDX-License-Identifier: MIT */
/*
** Socket addresses: to and from host and port.
*/
#ifndef ED_ADDR_H
#define ED_ADDR_H

#include <lua.h>
#include <stdbool.h>
#include <uv.h>

/* Push host and port of an address; returns 2. */
int ed_addr_push (lua_State *L, const struct sockaddr_storage *addr);

/* "127.0.0.1:80" or "[::1]:80" into 'text'. */
enum { ED_ADDR_TEXT = 64 };
void ed_addr_text (const struct sockaddr_storage *addr, char text[ED_ADDR_TEXT]);

/* Is 'host' written as digits? Then 'addr' is filled. */
bool ed_addr_parse (const char *host, int port, struct sockaddr_storage *addr);

/* The port of an address, in host order. */
int ed_addr_port (const struct sockaddr_storage *addr);

void ed_addr_set_port (struct sockaddr_storage *addr, int port);

#endif
