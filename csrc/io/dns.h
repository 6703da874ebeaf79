/* SPDX-License-Identifier: MIT */
/*
** Name lookup off the loop. Lookups of the same name that are under way at the same time are
** one; at most ED_LOOKUPS run at once, because a lookup cannot be interrupted and a few dead
** name servers must not fill the thread pool that files need too. Others queue.
*/
#ifndef ED_DNS_H
#define ED_DNS_H

#include "core/loop.h"

enum { ED_LOOKUPS = 2 };

typedef struct ed_resolving ed_resolving;

/* Somebody who wants the addresses of a name. Part of the operation that waits. */
struct ed_resolving {
  ed_link link;
  /* Called once, from the loop, unless given up; 'found' lives until the return. No Lua. */
  void (*done)(ed_resolving *who, int status, const struct addrinfo *found);
};

/* Start; 'done' is called later, never from here. Returns 0 or a UV_E code. */
int ed_dns_start (ed_loop *loop, const char *host, ed_resolving *who);

/* Give up waiting. Safe after 'done' as well. */
void ed_dns_stop (ed_resolving *who);

#endif
