/* SPDX-License-Identifier: MIT */
/*
** What a server in C needs of a listener: to be given each connection as it comes, without a
** task that waits for it. A listener with a sink accepts for it alone.
*/
#ifndef ED_LISTEN_H
#define ED_LISTEN_H

#include "io/stream.h"

typedef struct ed_listener ed_listener;

/* Who takes the connections. Runs in libuv's callback: no Lua. */
typedef struct ed_sink {
  void (*accepted)(
    struct ed_sink *sink, ed_stream *stream);        /* its box's share is yours */
  void (*refused)(struct ed_sink *sink, int status); /* one could not be taken */
  void (*ended)(struct ed_sink *sink);               /* the listener closes */
} ed_sink;

/* The listener at 'arg', or an argument error. */
ed_listener *ed_listener_check (lua_State *L, int arg);

/* Give all connections to 'sink' from now on; NULL: to nobody. */
void ed_listener_serve (ed_listener *listener, ed_sink *sink);

/* Begin to close; can be repeated. */
void ed_listener_close (ed_listener *listener);

#endif
