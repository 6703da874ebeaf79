/* SPDX-License-Identifier: MIT */
/*
** A libuv handle in a block of its own, with two owners: the *box* (the userdata that Lua
** holds) and the *engine* (libuv, from uv_*_init to the close callback). The last one out runs
** 'drop', which frees the block. Every living handle is in the loop's list, so that the end of
** a run can close what a script left open.
**
** Promise: closing never waits, never fails, and can be repeated.
*/
#ifndef ED_HANDLE_H
#define ED_HANDLE_H

#include "core/loop.h"

typedef struct ed_handle ed_handle;

struct ed_handle {
  ed_link link; /* in loop->handles while the engine holds it, then in loop->closed */
  ed_loop *loop;
  void (*closing)(
    ed_handle *handle); /* a close begins: wake whoever waits; no Lua; or NULL */
  void (*drop)(ed_handle *handle); /* both owners are gone: free the block; no Lua */
  void (*describe)(const ed_handle *handle, char *text, size_t room); /* or NULL */
  bool has_box;
  bool has_engine;
  bool is_closing;
  bool is_spare; /* kept for later by a library, or ends with the run: nobody's leak */
  union {
    uv_handle_t any;
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
    uv_timer_t timer;
    uv_async_t async;
    uv_signal_t signal;
  } uv;
};

/* Fill a cleared block; libuv does not hold it yet. */
void ed_handle_init (ed_handle *handle, ed_loop *loop, void (*closing)(ed_handle *),
  void (*drop)(ed_handle *));

/* uv_*_init on handle->uv has succeeded: the engine holds the block from now on. */
void ed_handle_opened (ed_handle *handle);

/* Begin to close. Idempotent; the engine lets go in libuv's close callback. */
void ed_handle_close (ed_handle *handle);

/* The userdata is gone (or never came to be): close, and free when the engine is out too. */
void ed_handle_unbox (ed_handle *handle);

/* The runtime goes for ever, and boxes that live on will not look here again: free what is closed. */
void ed_handle_unbox_all (ed_loop *loop);

#endif
